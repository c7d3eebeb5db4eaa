//! Which hours a day's files speak of. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    period::{Day, Hour},
    report::certificate,
    vault::ledger::Line,
};

/// Who speaks of which hours of a day; a file that is not there speaks of nothing.
#[derive(Debug, Default)]
pub struct Spoken {
    /// The ledger's, if it can be read.
    pub ledger: Option<BTreeSet<Hour>>,
    /// Those of the report.
    pub report: Option<BTreeSet<Hour>>,
    /// Those of the exposure.
    pub exposure: Option<BTreeSet<Hour>>,
    /// Those of the certificate.
    pub certificate: Option<BTreeSet<Hour>>,
}

/// The hours of that day in a ledger.
pub(super) fn of_ledger(day: Day, ledger: &BTreeMap<Hour, Vec<Line>>) -> BTreeSet<Hour> {
    let hours = ledger.keys().copied();
    hours.filter(|hour| hour.day() == day).collect()
}

/// The hour of a report's row.
pub(super) fn of_report_row(day: Day, row: &str) -> Option<Hour> {
    let number: i64 = row.split('\t').next()?.parse().ok()?;
    day.hours().find(|hour| hour.of_day() == number)
}

/// The hour of an exposure's row.
pub(super) fn of_exposure_row(day: Day, row: &str) -> Option<Hour> {
    let hour: Hour = row.split(',').next()?.parse().ok()?;
    (hour.day() == day).then_some(hour)
}

/// The hours of a certificate.
pub(super) fn of_certificate(day: Day, text: &str) -> BTreeSet<Hour> {
    let spoken = certificate::spoken_of(text).map(|(hour, ..)| hour);
    spoken.filter(|hour| hour.day() == day).collect()
}

/// A name for a person, and the hours that it speaks of.
type Speaker<'a> = (&'static str, Option<&'a BTreeSet<Hour>>);

impl Spoken {
    /// Everyone who speaks, with a name for a person.
    fn all(&self) -> [Speaker<'_>; 4] {
        [
            ("the ledger", self.ledger.as_ref()),
            ("report.txt", self.report.as_ref()),
            ("exposure.csv", self.exposure.as_ref()),
            ("certificate.txt", self.certificate.as_ref()),
        ]
    }

    /// All hours that anybody speaks of.
    pub fn hours(&self) -> BTreeSet<Hour> {
        let all = self.all().into_iter().filter_map(|(_, hours)| hours);
        all.flatten().copied().collect()
    }

    /// Who speaks of one of these.
    pub fn speakers(&self, hours: &BTreeSet<Hour>) -> Vec<&'static str> {
        let speaks = |of: Option<&BTreeSet<Hour>>| of.is_some_and(|of| !of.is_disjoint(hours));
        let all = self.all().into_iter();
        all.filter(|(_, of)| speaks(*of))
            .map(|(name, _)| name)
            .collect()
    }

    /// Of these hours those that one file speaks of and another, which is written with it or before it,
    /// does not: the file that speaks, the other one, the hours.
    pub fn alone(&self, hours: &BTreeSet<Hour>) -> Vec<(&'static str, &'static str, Vec<Hour>)> {
        let [_, report, exposure, certificate] = self.all();
        let pairs = [
            (report, exposure),
            (exposure, report),
            (certificate, report),
            (certificate, exposure),
        ];
        let only = |((name, speaks), (other, silent)): (Speaker<'_>, Speaker<'_>)| {
            let (speaks, silent) = (speaks?, silent?);
            let alone = speaks.difference(silent).copied();
            let alone: Vec<Hour> = alone.filter(|hour| hours.contains(hour)).collect();
            (!alone.is_empty()).then_some((name, other, alone))
        };
        pairs.into_iter().filter_map(only).collect()
    }
}
