//! Which days' reports were made.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::period::Day;

/// How many days of reports are caught up at most.
pub const REPORT_DAYS_MAX: i64 = 31;

/// The days whose report was made by its time: all up to the last one, but for those that were passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// The last of them.
    pub last: Option<Day>,
    /// Earlier ones of which the vault had nothing then: their data was late, or a merge had held it back.
    pub passed: BTreeSet<Day>,
}

impl Reported {
    /// Takes in that a day was reported: the oldest that the vault had and that was due.
    pub fn note(&mut self, day: Day) {
        self.passed.remove(&day);
        if let Some(last) = self.last {
            self.passed.extend((last.0 + 1..day.0).map(Day));
        }
        self.last = self.last.max(Some(day));
        self.passed
            .retain(|passed| day.0 - REPORT_DAYS_MAX <= passed.0);
    }
}
