//! The stamps of the ledger: whether each holds, and since when the chain is witnessed.

use serde::Serialize;

use super::{
    problem::{Problems, Severity},
    survey::{Root, UNKNOWN},
};
use crate::{
    report::stamped,
    stamp::trust::Trust,
    vault::witness::{self, NotStamped, StampName, Witness, WitnessStamp},
    world::disk::Disk,
};

/// What a witness comes to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Witnessed {
    /// Its folder.
    pub path: std::path::PathBuf,
    /// Stamps that hold.
    pub stamps: u64,
    /// The oldest of them.
    pub first: WitnessStamp,
    /// The newest.
    pub last: WitnessStamp,
    /// SHA-256 of each root certificate that was trusted.
    pub roots: Vec<String>,
    /// Whether they are those that lie beside the stamps, since none was given.
    pub is_by_itself: bool,
}

/// Checks all stamps of a root; `is_given`: by certificates that somebody has brought.
pub fn check(
    disk: &dyn Disk,
    root: &Root,
    is_given: bool,
    problems: &mut Problems,
) -> Option<Witnessed> {
    let folder = witness::folder(&root.path);
    for name in &root.witness.unknown {
        problems.note(&folder.join(name), UNKNOWN);
    }
    for name in &root.witness.authorities {
        if let Err(why) = witness::authority(disk, &root.path, *name) {
            problems.wrong(&folder.join(name.to_string()), why.to_string());
        }
    }
    let mut held = Vec::new();
    for name in &root.witness.stamps {
        let path = folder.join(name.to_string());
        let why = match root.witness.stamp(disk, *name) {
            Ok(stamp) => {
                held.push(stamp);
                continue;
            }
            Err(why) => why,
        };
        let (severity, hint) = match why {
            NotStamped::NoAuthority => (Severity::Incomplete, "; give one with --tsa-ca"),
            // a copy of the ledger may be older, or not be there
            NotStamped::NoLine(_) if root.identity.is_none() => (Severity::Incomplete, ""),
            _ => (Severity::Wrong, ""),
        };
        let what = format!("nothing shows that it stamps the ledger: {why}{hint}");
        problems.add_of(severity, &path, None, what);
    }
    let trusted = root.witness.trusted.iter();
    Some(Witnessed {
        path: folder,
        stamps: held.len() as u64,
        first: held.first()?.clone(),
        last: held.last()?.clone(),
        roots: trusted.flat_map(Trust::fingerprints).collect(),
        is_by_itself: !is_given,
    })
}

/// What is wrong with a stamp that was told, and is to cover the ledger up to that line; `None` for the line if
/// the ledger does not have what it is to cover. In a vault everything must be there.
pub(super) fn told_wrong(
    disk: &dyn Disk,
    witness: &Witness,
    told: &WitnessStamp,
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
        Ok(stamp) if stamped::text(&stamp) == stamped::text(told) => None,
        Ok(stamp) => {
            let what = format!(
                "the stamp that it names says something else: {} by {}",
                stamp.time, stamp.authority
            );
            Some((Severity::Wrong, what))
        }
        Err(why) => {
            let what = format!("the stamp that it names cannot be confirmed: {name}: {why}");
            Some((Severity::Incomplete, what))
        }
    }
}
