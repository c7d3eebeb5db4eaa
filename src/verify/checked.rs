//! A day that is being checked: what is here of it, and what it says.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::survey::Root;
use crate::{
    period::{Day, Hour},
    report::{
        certificate::in_hours,
        statement::{AnyStatement, DaySaid, ReadStatement},
    },
    vault::{
        ledger::LedgerLine,
        manifest::HourSaid,
        public::{DayFile, Public},
    },
    world::disk::Disk,
};

/// A day that is being checked.
pub(super) struct Checked<'a> {
    pub(super) disk: &'a dyn Disk,
    /// Its folder.
    pub(super) folder: &'a Path,
    /// Which.
    pub(super) day: Day,
    /// Whether everything must be there.
    pub(super) is_strict: bool,
    /// What it belongs to.
    pub(super) root: Option<&'a Root>,
    /// Its files that are there.
    pub(super) texts: BTreeMap<DayFile, Vec<u8>>,
    /// What the manifests say that are here and can be read.
    pub(super) said: DaySaid,
    /// What its statement speaks of.
    pub(super) spoken: Option<AnyStatement>,
    /// What its statement says, if it has the form that this program writes.
    pub(super) told: Option<ReadStatement>,
    /// The hours that are named somewhere, but have no manifest here.
    pub(super) lacks: BTreeSet<Hour>,
}

impl Checked<'_> {
    /// Where a file of the day lies.
    pub(super) fn path(&self, file: DayFile) -> PathBuf {
        self.folder.join(Public::Day(self.day, file).name())
    }

    /// The ledger's lines of an hour; `None` without a ledger.
    pub(super) fn lines(&self, hour: Hour) -> Option<&[LedgerLine]> {
        let ledger = self.root?.ledger.as_ref()?;
        Some(ledger.get(&hour).map_or(&[][..], Vec::as_slice))
    }

    /// What the statement says of the hours that lack, if it speaks of their last revisions.
    pub(super) fn told_of_lacks(&self) -> Option<Vec<&HourSaid>> {
        let of = |hour: &Hour| {
            let told = self.told.as_ref()?;
            let said = told.hours.iter().find(|said| said.hour == *hour)?;
            let last = self.lines(*hour).and_then(<[LedgerLine]>::last);
            let mut revisions = told.revisions.iter();
            let is_last = last.is_none_or(|last| revisions.any(|it| last.is_of(&it.of)));
            is_last.then_some(said)
        };
        self.lacks.iter().map(of).collect()
    }

    /// What all hours of the day say, as far as it is known which there are and what each says.
    pub(super) fn all_hours(&self) -> Option<Vec<HourSaid>> {
        let mut all = self.said.hours.clone();
        all.extend(self.told_of_lacks()?.into_iter().cloned());
        all.sort_by_key(|said| said.hour);
        (!all.is_empty()).then_some(all)
    }

    /// What is said of a file that is not what it should be.
    pub(super) fn not_as(&self, file: DayFile, what: &str) -> String {
        let lacks: Vec<Hour> = self.lacks.iter().copied().collect();
        let (statement, says) = match file {
            DayFile::Statement => ("its own values", "say"),
            _ => ("certificate.json", "says"),
        };
        let by = match (self.said.hours.as_slice(), lacks.as_slice()) {
            (_, []) => "the day's manifests say".to_owned(),
            ([], _) => format!("{statement} {says}"),
            (_, lacks) => format!(
                "the day's manifests, and of {} {statement}, say",
                in_hours(lacks)
            ),
        };
        format!("it is not what {by}: {what}")
    }
}
