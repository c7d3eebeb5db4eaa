//! A stamp of the ledger as a text names it: certificate, README, and the archive's page.

use crate::{
    vault::witness::{StampName, Witness, WitnessStamp},
    world::disk::Disk,
};

/// Columns of its lines.
const WIDTH: usize = 100;

/// Its two lines: when and which, by whom.
pub fn text(stamp: &WitnessStamp) -> String {
    let authority: String = stamp.authority.chars().take(WIDTH - 2).collect();
    format!("  {}  {}\n  {authority}\n", stamp.time, stamp.name)
}

/// The same in Markdown.
pub fn fenced(stamp: &WitnessStamp) -> String {
    format!("```\n{}```\n", text(stamp))
}

/// The stamp that a text names.
pub fn told(text: &str) -> Option<WitnessStamp> {
    let mut lines = text.lines();
    let (time, name) = lines.find_map(|line| {
        let (time, name) = line.strip_prefix("  ")?.split_once("  ")?;
        Some((time.parse().ok()?, name.parse::<StampName>().ok()?))
    })?;
    Some(WitnessStamp {
        name: name.to_string(),
        line: name.line,
        time,
        authority: lines.next()?.strip_prefix("  ")?.to_owned(),
    })
}

/// The stamp of that name, if it is as it was told.
pub fn held(disk: &dyn Disk, witness: &Witness, told: &WitnessStamp) -> Option<WitnessStamp> {
    let stamp = witness.stamp(disk, told.name.parse().ok()?).ok()?;
    (text(&stamp) == text(told)).then_some(stamp)
}
