//! A stamp of the ledger as a text names it: certificate, README, and the archive's page.

use crate::{
    vault::{
        verify::Severity,
        witness::{Stamp, StampName, Witness},
    },
    world::disk::Disk,
};

/// Columns of its lines.
const WIDTH: usize = 100;

/// Its two lines: when and which, by whom.
pub fn text(stamp: &Stamp) -> String {
    let authority: String = stamp.authority.chars().take(WIDTH - 2).collect();
    format!("  {}  {}\n  {authority}\n", stamp.time, stamp.name)
}

/// The same in Markdown.
pub fn fenced(stamp: &Stamp) -> String {
    format!("```\n{}```\n", text(stamp))
}

/// The stamp that a text names.
pub fn told(text: &str) -> Option<Stamp> {
    let mut lines = text.lines();
    let (time, name) = lines.find_map(|line| {
        let (time, name) = line.strip_prefix("  ")?.split_once("  ")?;
        Some((time.parse().ok()?, name.parse::<StampName>().ok()?))
    })?;
    Some(Stamp {
        name: name.to_string(),
        line: name.line,
        time,
        authority: lines.next()?.strip_prefix("  ")?.to_owned(),
    })
}

/// The stamp of that name, if it is as it was told.
pub fn held(disk: &dyn Disk, witness: &Witness, told: &Stamp) -> Option<Stamp> {
    let stamp = witness.stamp(disk, told.name.parse().ok()?).ok()?;
    (text(&stamp) == text(told)).then_some(stamp)
}

/// What is wrong with a stamp that was told, and is to cover the ledger up to that line; `None` for the line if
/// the ledger does not have what it is to cover. In a vault everything must be there.
pub fn wrong(
    disk: &dyn Disk,
    witness: &Witness,
    told: &Stamp,
    line: Option<u64>,
    is_strict: bool,
) -> Option<(Severity, String)> {
    let is_here = |name: &&StampName| name.to_string() == told.name;
    let Some(name) = witness.stamps.iter().find(is_here) else {
        let severity = if is_strict {
            Severity::Wrong
        } else {
            Severity::Incomplete
        };
        let what = format!("it names a stamp that is not here: {}", told.name);
        return Some((severity, what));
    };
    match witness.stamp(disk, *name) {
        Ok(stamp) if line.is_none_or(|line| stamp.line < line) => {
            let what = format!("the stamp that it names does not cover it: {name}");
            Some((Severity::Wrong, what))
        }
        Ok(stamp) if text(&stamp) == text(told) => None,
        Ok(stamp) => {
            let what = format!(
                "the stamp that it names says something else: {} by {}",
                stamp.time, stamp.authority
            );
            Some((Severity::Wrong, what))
        }
        Err(why) => {
            let what = format!("the stamp that it names is not shown to hold: {name}: {why}");
            Some((Severity::Incomplete, what))
        }
    }
}
