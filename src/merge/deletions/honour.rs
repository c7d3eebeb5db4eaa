//! Honours deletions: adds new ones to the lists, and records the hours that they concern.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    holders::bits,
    lists::{HourLists, begin},
};
use crate::{
    merge::job::{MergeError, MergeJob},
    period::{DAILY_MS, Hour},
    source::deletions::DeletionLine,
    text::plural,
    vault::{
        deleted::{Deleted, DeletedState, LeftOut},
        layout::FileKind,
        ledger::Ledger,
    },
    world::crash::{self, Point},
};

/// How many lines are added to the lists at once.
const LINES_MAX: usize = 500_000;

/// When deletions are honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Honour {
    /// Not at all.
    Never,
    /// When a day has passed.
    Daily,
    /// Now.
    Now,
}

/// What may hold records that have to be removed or held back.
#[derive(Default)]
struct Wanted {
    /// Hours to which the addresses of records lead.
    hours: BTreeSet<Hour>,
    /// Accounts with events.
    accounts: BTreeSet<String>,
    /// Accounts, and addresses of records.
    bits: BTreeSet<u64>,
}

impl MergeJob<'_> {
    /// Returns the lists of what was deleted, after adding new deletions if it is time.
    pub(in crate::merge) fn deleted(&self, ledger: &Ledger) -> Result<Deleted<'_>, MergeError> {
        let told = self.stream.source.deletions();
        let mut deleted = Deleted::read(self.disk, self.vault, told)?;
        let is_due = match self.honour {
            Honour::Never => false,
            Honour::Daily => {
                let next = deleted.state.as_of.plus_ms(DAILY_MS);
                self.asked.is_empty() && next <= self.now
            }
            Honour::Now => true,
        };
        if told.is_some() && is_due {
            self.honour(ledger, &mut deleted)?;
        } else if told.is_some() && self.honour != Honour::Never && self.others_merge() {
            self.list(ledger, &mut deleted)?;
        }
        Ok(deleted)
    }

    /// Whether other machines merge into this vault too.
    fn others_merge(&self) -> bool {
        !self.commits.is_in_place()
    }

    /// Adds new deletions to the lists, without finding the hours that they concern yet. Another machine may already
    /// have taken the records out of these, and a merge here must not bring them back.
    fn list(&self, ledger: &Ledger, deleted: &mut Deleted<'_>) -> Result<(), MergeError> {
        let is_known = |state: &DeletedState, hour| state.listed.get(&hour).copied();
        let listed = self.read_new(ledger, deleted, is_known, |_, _| ())?;
        if listed.is_empty() {
            return Ok(());
        }
        deleted.read_again()?;
        deleted.write_standing()?;
        deleted.state.listed.extend(listed);
        Ok(deleted.write_state()?)
    }

    /// Reads the deletions of hours whose revision is not known, and adds new ones to the lists. `each` gets all of
    /// them. Returns the hours that were read.
    fn read_new(
        &self,
        ledger: &Ledger,
        deleted: &Deleted<'_>,
        known: impl Fn(&DeletedState, Hour) -> Option<u64>,
        mut each: impl FnMut(Hour, &BTreeSet<String>),
    ) -> Result<BTreeMap<Hour, u64>, MergeError> {
        let mut lines = BTreeSet::new();
        let mut read = BTreeMap::new();
        for (hour, revision) in ledger.hours() {
            if known(&deleted.state, hour) == Some(revision) {
                continue;
            }
            match self.lines_of(hour) {
                Ok(of_hour) => {
                    each(hour, &of_hour);
                    if deleted.state.listed.get(&hour) != Some(&revision) {
                        lines.extend(of_hour);
                    }
                    read.insert(hour, revision);
                }
                // the stage that needs the hour reports the error; its deletions are added once it can be read
                Err(why) => tracing::warn!("the deletions of hour {hour} cannot be read: {why}"),
            }
            if LINES_MAX <= lines.len() {
                deleted.add(std::mem::take(&mut lines))?;
            }
        }
        deleted.add(lines)?;
        Ok(read)
    }

    fn honour(&self, ledger: &Ledger, deleted: &mut Deleted<'_>) -> Result<(), MergeError> {
        let mut wanted = Wanted::default();
        let mut due = BTreeSet::new();
        let is_known = |state: &DeletedState, hour| state.honoured.get(&hour).copied();
        let honoured = self.read_new(ledger, deleted, is_known, |hour, lines| {
            self.want(lines, deleted, &mut wanted);
            // another machine may have made it with shorter lists
            due.extend(self.others_merge().then_some(hour));
        })?;
        crash::point(Point::DeletionsListed);
        let later = self.now.max(deleted.state.as_of);
        let accounts = deleted.go_on_to(later, &wanted.accounts)?;
        deleted.write_standing()?;
        wanted.bits.extend(accounts.iter().map(|text| bits(text)));
        for (hour, revision) in ledger.hours() {
            if wanted.hours.contains(&hour) || self.may_hold((hour, revision), deleted, &wanted) {
                due.insert(hour);
            }
        }
        tracing::info!(
            "deletions of {} read; {} may hold what was deleted",
            plural(honoured.len() as u64, "hour", "hours"),
            plural(due.len() as u64, "hour", "hours")
        );
        deleted.state.due.extend(due);
        deleted.state.listed.extend(honoured.clone());
        deleted.state.honoured.extend(honoured);
        deleted.write_state()?;
        crash::point(Point::DeletionsNoted);
        Ok(())
    }

    /// Whether an hour may hold what is wanted by account or address; one that cannot be read may.
    fn may_hold(
        &self,
        (hour, revision): (Hour, u64),
        deleted: &Deleted<'_>,
        wanted: &Wanted,
    ) -> bool {
        if wanted.bits.is_empty() {
            return false;
        }
        match self.holder(hour, revision, deleted) {
            Ok(holder) => holder.may_hold(&wanted.bits),
            Err(why) => {
                tracing::warn!("what hour {hour} holds cannot be read: {why}");
                true
            }
        }
    }

    /// The deletions in an hour.
    fn lines_of(&self, hour: Hour) -> Result<BTreeSet<String>, MergeError> {
        let mut lines = BTreeSet::new();
        let lists = HourLists { job: self, hour };
        lists.each_line(FileKind::Deletions, &mut |line| {
            lines.extend(str::from_utf8(line).map(str::to_owned));
        })?;
        Ok(lines)
    }

    /// What these lines concern.
    fn want(&self, lines: &BTreeSet<String>, deleted: &Deleted<'_>, wanted: &mut Wanted) {
        let Some(told) = deleted.told() else {
            return;
        };
        for line in lines {
            match told.told(line) {
                Some(DeletionLine::Record { record, .. }) => {
                    if let Some(made) = deleted.made(record) {
                        // a revision may belong to the hour after the one in its address
                        let hour = self.settings.timezone.hour_of(made);
                        wanted.hours.extend([hour, Hour(hour.0 + 1)]);
                    }
                    wanted.bits.insert(bits(record));
                }
                Some(DeletionLine::Account { account, .. }) => {
                    wanted.accounts.insert(account.to_owned());
                }
                None => (),
            }
        }
    }

    /// Whether an hour is due, and holds records that have to be removed or held back.
    pub(in crate::merge) fn is_outdated(&self, hour: Hour, deleted: &Deleted<'_>) -> bool {
        deleted.state.due.contains(&hour)
            && self.holds_other(hour, deleted).unwrap_or_else(|why| {
                // the merge remakes the files, or says what is wrong
                tracing::warn!("hour {hour} cannot be looked through for deletions: {why}");
                true
            })
    }

    fn holds_other(&self, hour: Hour, deleted: &Deleted<'_>) -> Result<bool, MergeError> {
        let lists = HourLists { job: self, hour };
        let mut is_outdated = false;
        lists.each_key_of(FileKind::Ids, &mut |key| {
            is_outdated |= deleted.why(&key).is_some();
        })?;
        lists.each_key_of(FileKind::Held, &mut |key| {
            is_outdated |= deleted.why(&key) != Some(LeftOut::Held);
        })?;
        let since = begin(&self.settings.timezone, hour);
        lists.each_rejected(&mut |line| is_outdated |= deleted.are_named_in(line, since))?;
        deleted.check()?;
        Ok(is_outdated)
    }
}
