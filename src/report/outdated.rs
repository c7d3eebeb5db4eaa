//! Whose certificate does not speak of the revisions that are in place: days to which late data came.
//!
//! The ledger says what is in place, a certificate what it speaks of. The ledger is read on from where
//! it was, and a certificate only when its day has new lines, so looking often costs little.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use super::certificate;
use crate::{
    period::{Day, Hour},
    vault::{
        ledger,
        public::{DayFile, Public},
    },
    world::{
        disk::{self, Disk},
        growing::Place,
    },
};

/// A day of nothing but gaps has some megabytes.
const CERTIFICATE_BYTES_MAX: u64 = 64 << 20;

/// The revision of an hour, and the begin of its manifest's hash. That is enough to see a difference;
/// whether anybody has tampered is for `verify` to say.
type InPlace = (u64, u64);

/// Looks for outdated certificates, again and again.
#[derive(Debug, Default)]
pub struct Outdated {
    ledger: Place,
    latest: BTreeMap<Hour, InPlace>,
    /// Days whose certificate has not been found to be as it should.
    suspects: BTreeSet<Day>,
}

impl Outdated {
    /// The days that have a certificate that is outdated, each with how many revisions its hours have
    /// now: one that becomes outdated further has another number.
    pub fn look(&mut self, disk: &dyn Disk, vault: &Path) -> io::Result<BTreeMap<Day, u64>> {
        let path = ledger::path(vault);
        if !self.ledger.is_within(disk.len(&path)?.unwrap_or(0)) {
            *self = Self::default();
        }
        let (latest, suspects) = (&mut self.latest, &mut self.suspects);
        self.ledger.read_on(disk, &path, |line| {
            // whether the chain holds is for `verify` to say
            if let Ok(line) = serde_json::from_slice::<ledger::Line>(line) {
                latest.insert(line.hour, in_place(line.revision, &line.manifest_sha256));
                suspects.insert(line.hour.day());
            }
        })?;
        let mut outdated = BTreeMap::new();
        for day in self.suspects.clone() {
            let now: BTreeMap<Hour, InPlace> = day
                .hours()
                .filter_map(|hour| Some((hour, *self.latest.get(&hour)?)))
                .collect();
            if is_outdated(disk, vault, day, &now)? {
                let revisions = now.values().map(|(revision, _)| revision).sum();
                outdated.insert(day, revisions);
            } else {
                self.suspects.remove(&day);
            }
        }
        Ok(outdated)
    }
}

fn in_place(revision: u64, manifest_sha256: &str) -> InPlace {
    let begin = manifest_sha256.get(..16).unwrap_or_default();
    (revision, u64::from_str_radix(begin, 16).unwrap_or(0))
}

/// Whether there is a certificate, and it speaks of something else.
fn is_outdated(
    disk: &dyn Disk,
    vault: &Path,
    day: Day,
    now: &BTreeMap<Hour, InPlace>,
) -> io::Result<bool> {
    let path = Public::Day(day, DayFile::Certificate).path(vault);
    if disk.len(&path)?.is_none() {
        return Ok(false);
    }
    let text = disk::read_bounded(disk, &path, CERTIFICATE_BYTES_MAX)?;
    let text = String::from_utf8_lossy(&text);
    let spoken: BTreeMap<Hour, InPlace> = certificate::spoken_of(&text)
        .map(|(hour, revision, sha256)| (hour, in_place(revision, sha256)))
        .collect();
    Ok(spoken != *now)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::world::disk::RealDisk;

    /// Puts the lines of a ledger, or of a certificate.
    fn append(path: &Path, lines: &str) {
        RealDisk.make_folder(path.parent().unwrap()).unwrap();
        let mut file = RealDisk.append(path).unwrap();
        file.write_all(lines.as_bytes()).unwrap();
    }

    fn hash(of: u64) -> String {
        format!("{of:064x}").chars().rev().collect()
    }

    fn line(hour: &str, revision: u64, of: u64) -> String {
        let manifest = hash(of);
        format!(
            "{{\"hour\":\"{hour}\",\"revision\":{revision},\"manifest_sha256\":\"{manifest}\",\"previous\":\"\"}}\n"
        )
    }

    #[test]
    fn a_certificate_is_outdated_from_the_next_revision_until_it_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let vault = dir.path();
        let certificate = |day: &str| {
            let day: Day = day.parse().unwrap();
            Public::Day(day, DayFile::Certificate).path(vault)
        };
        let ledger = ledger::path(vault);
        let mut outdated = Outdated::default();
        let mut look = || -> Vec<String> {
            let found = outdated.look(&RealDisk, vault).unwrap();
            found.iter().map(|(day, n)| format!("{day} {n}")).collect()
        };
        assert!(look().is_empty(), "no vault yet");
        append(&ledger, &line("2026-11-23_01", 1, 1));
        append(&ledger, &line("2026-11-23_02", 1, 2));
        append(&ledger, &line("2026-11-24_02", 1, 3));
        assert!(
            look().is_empty(),
            "a day without a certificate has none that is outdated"
        );
        let row = |hour: &str, revision: u64, of| format!("  {hour}  r{revision}  {}\n", hash(of));
        let first = row("2026-11-23_01", 1, 1) + &row("2026-11-23_02", 1, 2);
        append(&certificate("2026-11-23"), &first);
        append(&ledger, &line("2026-11-24_03", 1, 4));
        assert!(look().is_empty());
        append(&ledger, &line("2026-11-23_01", 2, 5));
        assert_eq!(look(), ["2026-11-23 3"]);
        assert_eq!(look(), ["2026-11-23 3"]);
        append(&ledger, &line("2026-11-23_02", 2, 6));
        append(&ledger, "{\"torn");
        assert_eq!(look(), ["2026-11-23 4"]);
        let second = row("2026-11-23_01", 2, 5) + &row("2026-11-23_02", 2, 6);
        disk::put(&RealDisk, &certificate("2026-11-23"), second.as_bytes()).unwrap();
        assert!(look().is_empty());
        // a vault that was restored: the same revision with another manifest
        disk::put(&RealDisk, &ledger, line("2026-11-23_01", 2, 7).as_bytes()).unwrap();
        assert_eq!(look(), ["2026-11-23 2"]);
    }
}
