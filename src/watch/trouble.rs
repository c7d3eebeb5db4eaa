//! What publishing says of its last run, for the picture.

use serde::Serialize;

use super::facts::Facts;

/// Something that publishing could not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// `publish`'s word for it.
    pub alarm: String,
    /// What happened to the first file.
    pub why: String,
    /// How many files it concerns.
    pub files: u64,
}

/// What the last run says, one of each kind.
pub fn of(facts: &Facts) -> Vec<Trouble> {
    let mut found: Vec<Trouble> = Vec::new();
    let alarms = facts.publish.iter().flat_map(|last| &last.alarms);
    for alarm in alarms {
        match found.iter_mut().find(|one| one.alarm == alarm.alarm) {
            Some(one) => one.files += 1,
            None => found.push(Trouble {
                alarm: alarm.alarm.clone(),
                why: alarm.why.clone(),
                files: 1,
            }),
        }
    }
    found
}
