//! Everything that is said of the data set, as values: what a person has said of it, and what ledger and
//! manifests say. Pure.

use std::collections::BTreeMap;

use super::day::DaySum;
use crate::{
    config::dataset::{Creator, Dataset},
    doi::Doi,
    period::{Day, Hour, UnknownZone, UtcMs, Zone},
    report::statement::Statement,
    segment::sha256::Sha256,
    source::{Sources, Words},
    vault::{
        ledger::{self, LedgerLine},
        witness::WitnessStamp,
    },
};

/// The version of the files' format. Raise it after any change of a word.
pub const FORMAT: u64 = 1;

/// Which state of an archive is described: the first lines of its ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveState {
    /// How many lines.
    pub lines: u64,
    /// How many hours they have.
    pub hours: u64,
    /// SHA-256 of the last of them.
    pub head: Sha256,
}

impl ArchiveState {
    /// Of these first lines of a ledger, the whole of which is `ledger`.
    pub fn of(lines: &[LedgerLine], whole: &[LedgerLine]) -> Self {
        Self {
            lines: lines.len() as u64,
            hours: latest(lines).len() as u64,
            head: ledger::head_of(lines, whole),
        }
    }

    /// The version of what describes it: the form, the hours, and the revisions that came after the first of
    /// each. It only ever grows.
    pub fn version(&self) -> String {
        let later = self.lines.saturating_sub(self.hours);
        format!("{FORMAT}.{}.{later}", self.hours)
    }
}

/// The latest revision of each hour.
pub fn latest(lines: &[LedgerLine]) -> BTreeMap<Hour, &LedgerLine> {
    lines.iter().map(|line| (line.hour, line)).collect()
}

/// The lines of the ledger and the hours in a version, if it has this form.
pub fn described(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split('.').map(str::parse);
    match (parts.next()?, parts.next()?, parts.next()?, parts.next()) {
        (Ok(FORMAT), Ok(hours), Ok(later), None) => Some((u64::checked_add(hours, later)?, hours)),
        _ => None,
    }
}

/// The first of the hours described that has a later revision.
pub fn revised<'a>(first: &[LedgerLine], whole: &'a [LedgerLine]) -> Option<&'a LedgerLine> {
    let known = latest(first);
    let later = whole.get(first.len()..).unwrap_or_default();
    later.iter().find(|line| known.contains_key(&line.hour))
}

/// The vault's own marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Its time zone.
    pub timezone: String,
    /// The stream.
    pub stream: String,
}

impl Archive {
    /// As a day's manifests have them.
    pub fn of(statement: &Statement) -> Self {
        Self {
            timezone: statement.timezone.clone(),
            stream: statement.stream.clone(),
        }
    }
}

/// What ledger and manifests do not say.
#[derive(Debug, Clone, Copy)]
pub struct Beside<'a> {
    /// What a person has said.
    pub dataset: &'a Dataset,
    /// The DOI by which it is cited.
    pub doi: Option<&'a Doi>,
    /// The stamp of the ledger that says most of since when it is what it is.
    pub stamp: Option<&'a WitnessStamp>,
}

/// What is said.
#[derive(Debug)]
pub struct Description<'a> {
    /// What a person has said.
    pub dataset: &'a Dataset,
    /// The DOI by which it is cited.
    pub doi: Option<&'a Doi>,
    /// A stamp of the ledger.
    pub stamp: Option<&'a WitnessStamp>,
    /// Of which archive.
    pub archive: &'a Archive,
    /// Of which state of it.
    pub state: ArchiveState,
    /// The hours, ascending; at least one.
    pub hours: Vec<Hour>,
    /// From the archive's beginning to the end of the last hour that counts.
    pub time: (UtcMs, UtcMs),
    /// Seconds of these hours before the archive's beginning.
    pub before: u64,
    /// Hours of this time that are not part of it.
    pub absent: u64,
    /// The days that have any of them.
    pub days: &'a BTreeMap<Day, DaySum>,
    /// All days together.
    pub sum: DaySum,
}

impl Description<'_> {
    /// The texts of the platform.
    pub(super) fn told(&self) -> &'static Words {
        Sources::words_of(&self.archive.stream)
    }
}

impl<'a> Description<'a> {
    /// Of the first lines of a ledger, and the sums of their days; `None` if there is no hour.
    pub fn of(
        beside: Beside<'a>,
        archive: &'a Archive,
        state: ArchiveState,
        lines: &[LedgerLine],
        days: &'a BTreeMap<Day, DaySum>,
    ) -> Result<Option<Self>, UnknownZone> {
        let zone = Zone::named(&archive.timezone)?;
        let hours: Vec<Hour> = latest(lines).into_keys().collect();
        let (Some(first), Some(last)) = (hours.first(), hours.last()) else {
            return Ok(None);
        };
        let (begin, end) = (zone.intervals(*first), zone.intervals(*last));
        let (Some(begin), Some(end)) = (begin.first(), end.last()) else {
            return Ok(None);
        };
        let intervals = hours.iter().flat_map(|hour| zone.intervals(*hour));
        let ms: i64 = intervals.map(|of| of.end.0 - of.begin.0).sum();
        let sum: DaySum = days.values().sum();
        let before = u64::try_from(ms / 1_000).unwrap_or(0);
        let time = sum.time.unwrap_or((begin.begin, end.end));
        let since = zone.hour_of(time.0);
        let until = zone.hour_of(time.1.plus_ms(-1));
        let exist = (since.0..=until.0).map(Hour);
        let absent = exist
            .filter(|hour| !zone.intervals(*hour).is_empty() && hours.binary_search(hour).is_err());
        let absent = absent.count() as u64;
        Ok(Some(Self {
            dataset: beside.dataset,
            doi: beside.doi,
            stamp: beside.stamp,
            archive,
            state,
            time,
            before: before.saturating_sub(sum.seconds),
            absent,
            hours,
            sum,
            days,
        }))
    }

    /// The day of the last hour: no clock is asked.
    pub fn date(&self) -> String {
        self.hours
            .last()
            .map(|hour| hour.day().to_string())
            .unwrap_or_default()
    }

    /// The year of that day.
    pub fn year(&self) -> String {
        self.date().chars().take(4).collect()
    }

    /// The publisher: the first creator's affiliation, or else the first creator.
    pub fn publisher(&self) -> &str {
        let first = self.dataset.creators.first();
        first.map_or("", |creator| {
            creator.affiliation.as_deref().unwrap_or(&creator.name)
        })
    }

    /// How it is cited, in one line.
    pub fn citation(&self) -> String {
        let names = self
            .dataset
            .creators
            .iter()
            .map(|creator| creator.name.as_str());
        let names: Vec<&str> = names.collect();
        let doi = self.doi.map(|doi| format!(" {}", doi.url()));
        format!(
            "{} ({}): {}. Version {} [Data set].{}",
            names.join("; "),
            self.year(),
            self.dataset.title.trim_end_matches('.'),
            self.state.version(),
            doi.unwrap_or_default()
        )
    }
}

/// A JSON value as it is in a file.
pub fn json_text(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

/// Adds the parts of a creator's name, which all formats in JSON call the same.
pub fn put_name_parts(to: &mut serde_json::Value, of: &Creator) {
    if let Some((family, given)) = of.family_and_given() {
        to["familyName"] = family.into();
        to["givenName"] = given.into();
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::dataset::Licence;

    /// What a person says, who says as little as possible.
    pub(in crate::cite) fn dataset() -> Dataset {
        let creator = Creator {
            name: "Ada".to_owned(),
            orcid: None,
            affiliation: None,
        };
        Dataset {
            title: "Ids".to_owned(),
            creators: vec![creator],
            description: None,
            licence: Licence::of_id("CC0-1.0").unwrap(),
            keywords: Vec::new(),
            funding: Vec::new(),
            related: Vec::new(),
        }
    }

    /// Of an archive with these hours, whose seconds count from `begin` to `end`: how many hours are absent, and how many
    /// seconds lie before the beginning.
    #[track_caller]
    fn check(zone: &str, hours: &[&str], time: [&str; 2], seconds: u64, expected: (u64, u64)) {
        let [begin, end] = time.map(|text| format!("{text}Z").parse::<UtcMs>().unwrap());
        let lines: Vec<LedgerLine> = hours
            .iter()
            .map(|hour| LedgerLine {
                hour: hour.parse().unwrap(),
                revision: 1,
                manifest_sha256: Sha256::ZEROS,
                previous: Sha256::ZEROS,
            })
            .collect();
        let archive = Archive {
            timezone: zone.to_owned(),
            stream: "sample".to_owned(),
        };
        let sum = DaySum {
            seconds,
            time: Some((begin, end)),
            ..DaySum::default()
        };
        let days = BTreeMap::from([(lines[0].hour.day(), sum)]);
        let beside = Beside {
            dataset: &dataset(),
            doi: None,
            stamp: None,
        };
        let state = ArchiveState::of(&lines, &lines);
        let found = Description::of(beside, &archive, state, &lines, &days);
        let found = found.unwrap().unwrap();
        assert_eq!((found.absent, found.before), expected);
        let last = lines.last().unwrap().hour.day();
        assert_eq!(found.date(), last.to_string());
    }

    #[test]
    fn what_lies_between_begin_and_end_and_before_is_counted() {
        let time = ["2026-11-23T13:57:06", "2026-11-23T15:00:00"];
        check(
            "UTC",
            &["2026-11-23_13", "2026-11-23_14"],
            time,
            3_774,
            (0, 3_426),
        );
        // two hours are not merged, and the last of the others ends with its day
        let time = ["2026-11-23T20:00:00", "2026-11-24T00:00:00"];
        check(
            "UTC",
            &["2026-11-23_20", "2026-11-23_23"],
            time,
            7_200,
            (2, 0),
        );
        // posts that are older than the archive
        let time = ["2026-11-23T13:00:00", "2026-11-23T14:00:00"];
        check(
            "UTC",
            &["2020-01-01_00", "2026-11-23_13"],
            time,
            3_600,
            (0, 3_600),
        );
        // 2 h does not exist, or is two hours long
        let vienna = "Europe/Vienna";
        let time = ["2027-03-28T00:00:00", "2027-03-28T02:00:00"];
        check(
            vienna,
            &["2027-03-28_01", "2027-03-28_03"],
            time,
            7_200,
            (0, 0),
        );
        let time = ["2026-10-25T00:00:00", "2026-10-25T02:00:00"];
        check(vienna, &["2026-10-25_02"], time, 7_100, (0, 100));
        let time = ["2026-10-24T23:00:00", "2026-10-25T03:00:00"];
        check(
            vienna,
            &["2026-10-25_01", "2026-10-25_03"],
            time,
            7_200,
            (1, 0),
        );
    }

    #[test]
    fn a_version_tells_lines_and_hours() {
        assert_eq!(described("1.24.3"), Some((27, 24)));
        for other in [
            "2.24.3",
            "1.24",
            "1.24.3.1",
            "1.x.3",
            "",
            "1.18446744073709551615.1",
        ] {
            assert_eq!(described(other), None, "{other}");
        }
    }
}
