//! Whose certificate does not speak of the revisions that are in place: days to which late data came.
//!
//! The ledger says which revisions are in place, a certificate which ones it names. The ledger is read on from the
//! last position, and a certificate only when its day has new lines, so frequent checks cost little.
//! `certificates.json` has the lines and stamps for which a day's certificate was found correct, so the first check
//! costs little too.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use super::statement::{AnyStatement, BYTES_MAX};
use crate::{
    period::{Day, Hour, UtcMs},
    segment::sha256::Sha256,
    vault::{
        day_notes::DayNotes,
        ledger,
        public::{DayFile, Public},
        witness::Witness,
    },
    world::{
        disk::{self, Disk},
        growing::ReadPosition,
    },
};

/// The revision of an hour, and the begin of its manifest's hash. That is enough to see a difference;
/// whether anybody has tampered is for `verify` to say.
type InPlace = (u64, u64);

/// How a certificate is outdated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct How {
    /// How many revisions the day's hours have now: one that becomes outdated further has another number.
    pub revisions: u64,
    /// Whether late data has come; else only a stamp that covers the day.
    pub is_late: bool,
}

/// Looks for outdated certificates, again and again.
#[derive(Debug, Default)]
pub struct Outdated {
    ledger: ReadPosition,
    lines: u64,
    /// Of each hour, and the number of its line.
    latest: BTreeMap<Hour, (InPlace, u64)>,
    /// The last line that was stamped.
    stamped: u64,
    /// Days whose certificate has not been found to be as it should.
    suspects: BTreeSet<Day>,
}

/// What is known from earlier looks: for which revisions and stamps a day's certificate was as it should, or there was none.
pub fn notes<'a>(
    disk: &'a dyn Disk,
    (data_dir, vault): (&Path, &'a Path),
    now: UtcMs,
) -> DayNotes<'a, Sha256> {
    DayNotes::read(disk, vault, now, data_dir.join("certificates.json"))
}

impl Outdated {
    /// The days that have a certificate that is outdated, and how.
    pub fn look(
        &mut self,
        disk: &dyn Disk,
        vault: &Path,
        notes: &mut DayNotes<'_, Sha256>,
    ) -> io::Result<BTreeMap<Day, How>> {
        let path = ledger::path(vault);
        if !self.ledger.is_within(disk.len(&path)?.unwrap_or(0)) {
            *self = Self::default();
        }
        let (latest, suspects) = (&mut self.latest, &mut self.suspects);
        let number = &mut self.lines;
        self.ledger.read_on(disk, &path, |line| {
            // whether the chain holds is for `verify` to say
            *number += 1;
            if let Ok(line) = serde_json::from_slice::<ledger::LedgerLine>(line) {
                let in_place = (line.revision, line.manifest_sha256.begin());
                latest.insert(line.hour, (in_place, *number));
                suspects.insert(line.hour.day());
            }
        })?;
        let stamps = Witness::names(disk, vault)?;
        let stamped = stamps.iter().map(|name| name.line).max().unwrap_or(0);
        if self.stamped < stamped {
            let newly = latest.iter().filter(|(_, (_, line))| self.stamped < *line);
            suspects.extend(newly.map(|(hour, _)| hour.day()));
        }
        self.stamped = stamped;
        let mut outdated = BTreeMap::new();
        for day in self.suspects.clone() {
            let of_day = day
                .hours()
                .filter_map(|hour| Some((hour, *self.latest.get(&hour)?)));
            let of_day: Vec<(Hour, (InPlace, u64))> = of_day.collect();
            let is_stamped = of_day.iter().all(|(_, (_, line))| *line <= self.stamped);
            let now: BTreeMap<Hour, InPlace> = of_day
                .iter()
                .map(|(hour, (in_place, _))| (*hour, *in_place))
                .collect();
            let of = Sha256::of(format!("{now:?} {is_stamped}").as_bytes());
            let before = notes.before(day);
            if notes.found(day, before) == Some(&of) {
                self.suspects.remove(&day);
                continue;
            }
            // one that cannot be read stays a suspect
            let is_outdated = match is_outdated(disk, vault, day, (&now, is_stamped)) {
                Ok(is_outdated) => is_outdated,
                Err(why) => {
                    tracing::warn!(
                        "whether the certificate of {day} is outdated cannot be told: {why}"
                    );
                    continue;
                }
            };
            if let Some(is_late) = is_outdated {
                let revisions = now.values().map(|(revision, _)| revision).sum();
                outdated.insert(day, How { revisions, is_late });
            } else {
                self.suspects.remove(&day);
                notes.note(day, before, of);
            }
        }
        Ok(outdated)
    }
}

/// Whether there is a certificate, and it speaks of something else, which is late data, or of no stamp.
fn is_outdated(
    disk: &dyn Disk,
    vault: &Path,
    day: Day,
    (now, is_stamped): (&BTreeMap<Hour, InPlace>, bool),
) -> io::Result<Option<bool>> {
    let path = Public::Day(day, DayFile::Statement).path(vault);
    if disk.len(&path)?.is_none() {
        return Ok(None);
    }
    let told = AnyStatement::read(&disk::read_bounded(disk, &path, BYTES_MAX)?)?;
    let spoken = told.revisions.iter();
    let spoken: BTreeMap<Hour, InPlace> = spoken
        .map(|of| (of.hour, (of.revision, of.manifest_sha256.begin())))
        .collect();
    let lacks_stamp = is_stamped && told.witness.is_none();
    let is_late = spoken != *now;
    Ok((is_late || lacks_stamp).then_some(is_late))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::{vault::witness, world::disk::RealDisk};

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
            "{{\"hour\":\"{hour}\",\"revision\":{revision},\"manifest_sha256\":\"{manifest}\",\"previous\":\"{manifest}\"}}\n"
        )
    }

    /// A certificate that speaks of these revisions.
    fn statement(of: &[(&str, u64, u64)], witness: &str) -> String {
        let revisions = of.iter().map(|(hour, revision, of)| {
            let manifest = hash(*of);
            format!(
                "{{\"hour\":\"{hour}\",\"revision\":{revision},\"manifest_sha256\":\"{manifest}\"}}"
            )
        });
        let revisions = revisions.collect::<Vec<String>>().join(",");
        format!(
            "{{\"format\":1,\"program\":\"\",\"witness\":{witness},\"doi\":null,\"revisions\":[{revisions}]}}"
        )
    }

    #[test]
    fn a_certificate_that_was_up_to_date_is_read_again_only_when_the_ledger_says_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let vault = dir.path();
        let day: Day = "2026-11-23".parse().unwrap();
        let (ledger, certificate) = (
            ledger::path(vault),
            Public::Day(day, DayFile::Statement).path(vault),
        );
        append(&ledger, &line("2026-11-23_01", 1, 1));
        let text = statement(&[("2026-11-23_01", 1, 1)], "null");
        append(&certificate, &text);
        let look = |second: i64| {
            let mut notes = notes(&RealDisk, (vault, vault), UtcMs(second * 1_000));
            let found = Outdated::default().look(&RealDisk, vault, &mut notes);
            notes.keep();
            found.unwrap().into_keys().collect::<Vec<Day>>()
        };
        assert!([0, 61, 62].map(look).concat().is_empty());
        // in place, so that its folder does not change: a certificate that is read is outdated
        let other = text.replace(&hash(1), &hash(2));
        let mut file = RealDisk.append(&certificate).unwrap();
        file.cut(0).unwrap();
        file.write_all(other.as_bytes()).unwrap();
        assert!(look(63).is_empty(), "it is not read");
        append(&ledger, &line("2026-11-23_02", 1, 3));
        assert_eq!(look(64), [day]);
    }

    #[test]
    fn an_hour_that_the_certificate_does_not_have_makes_it_outdated() {
        let dir = tempfile::tempdir().unwrap();
        let vault = dir.path();
        let day: Day = "2026-11-23".parse().unwrap();
        append(&ledger::path(vault), &line("2026-11-23_01", 1, 1));
        let text = statement(&[("2026-11-23_01", 1, 1)], "null");
        append(&Public::Day(day, DayFile::Statement).path(vault), &text);
        let mut outdated = Outdated::default();
        let mut look = || {
            let mut notes = DayNotes::none(&RealDisk, vault, UtcMs(0));
            outdated.look(&RealDisk, vault, &mut notes).unwrap()
        };
        assert!(look().is_empty());
        append(&ledger::path(vault), &line("2026-11-23_02", 1, 2));
        let found = look();
        let how = How {
            revisions: 2,
            is_late: true,
        };
        assert_eq!(found, [(day, how)].into());
    }

    #[test]
    fn a_certificate_is_outdated_from_the_next_revision_until_it_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let vault = dir.path();
        let certificate = |day: &str| {
            let day: Day = day.parse().unwrap();
            Public::Day(day, DayFile::Statement).path(vault)
        };
        let ledger = ledger::path(vault);
        let mut outdated = Outdated::default();
        let mut look = || -> Vec<String> {
            let mut notes = DayNotes::none(&RealDisk, vault, UtcMs(0));
            let found = outdated.look(&RealDisk, vault, &mut notes).unwrap();
            let told = found.iter().map(|(day, how)| {
                let why = if how.is_late { "late" } else { "stamped" };
                format!("{day} {} {why}", how.revisions)
            });
            told.collect()
        };
        assert!(look().is_empty(), "no vault yet");
        append(&ledger, &line("2026-11-23_01", 1, 1));
        append(&ledger, &line("2026-11-23_02", 1, 2));
        append(&ledger, &line("2026-11-24_02", 1, 3));
        assert!(
            look().is_empty(),
            "a day without a certificate has none that is outdated"
        );
        let first = [("2026-11-23_01", 1, 1), ("2026-11-23_02", 1, 2)];
        append(&certificate("2026-11-23"), &statement(&first, "null"));
        append(&ledger, &line("2026-11-24_03", 1, 4));
        assert!(look().is_empty());
        append(&ledger, &line("2026-11-23_01", 2, 5));
        assert_eq!(look(), ["2026-11-23 3 late"]);
        assert_eq!(look(), ["2026-11-23 3 late"]);
        append(&ledger, &line("2026-11-23_02", 2, 6));
        append(&ledger, "{\"torn");
        assert_eq!(look(), ["2026-11-23 4 late"]);
        let second = [("2026-11-23_01", 2, 5), ("2026-11-23_02", 2, 6)];
        let text = statement(&second, "null");
        disk::put(&RealDisk, &certificate("2026-11-23"), text.as_bytes()).unwrap();
        assert!(look().is_empty());
        // a stamp of lines 1 to 6 covers the day; the certificate says so once it is made anew
        let stamp = "ledger_000006_20261124T140509Z.tsr";
        append(&witness::folder(vault).join(stamp), "");
        assert_eq!(look(), ["2026-11-23 4 stamped"]);
        let witness = format!(
            "{{\"name\":\"{stamp}\",\"line\":6,\"time\":\"2026-11-24T14:05:09.000Z\",\"authority\":\"CN=TSA\"}}"
        );
        let told = statement(&second, &witness);
        disk::put(&RealDisk, &certificate("2026-11-23"), told.as_bytes()).unwrap();
        assert!(look().is_empty());
        // of the next day one hour is stamped, and another one is not
        append(&ledger, &line("2026-11-24_04", 1, 8));
        let next = [
            ("2026-11-24_02", 1, 3),
            ("2026-11-24_03", 1, 4),
            ("2026-11-24_04", 1, 8),
        ];
        append(&certificate("2026-11-24"), &statement(&next, "null"));
        assert!(look().is_empty());
        // a vault that was restored: the same revision with another manifest
        disk::put(&RealDisk, &ledger, line("2026-11-23_01", 2, 7).as_bytes()).unwrap();
        assert_eq!(look(), ["2026-11-23 2 late"]);
    }
}
