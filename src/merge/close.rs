//! Which open days of the spool may be closed after a merge, and which closed ones are to be opened.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use super::{
    closed::ClosedDay,
    index::Indexes,
    job::MergeJob,
    look::Look,
    placing,
    plan::{self, Candidate, SpoolSegment},
    sweep::WholeHours,
};
use crate::period::{Day, Hour, UtcMs};

impl MergeJob<'_> {
    /// Closes the days that are merged completely, compressed and found whole, and opens those with an hour that
    /// needed something. `settled` has the hours that were examined and need nothing, with their revisions, `whole`
    /// those that were found whole.
    pub(super) fn close_days(
        &self,
        look: &Look,
        (settled, whole): (&BTreeMap<Hour, u64>, &WholeHours),
        indexes: &Indexes<'_>,
    ) {
        // it can be found out again, so a full disk is no reason to fail
        if look.unusable.is_empty()
            && let Err(why) = self.try_close_days(look, (settled, whole), indexes)
        {
            tracing::warn!("the list of closed days cannot be saved: {why}");
        }
    }

    fn try_close_days(
        &self,
        look: &Look,
        (settled, whole): (&BTreeMap<Hour, u64>, &WholeHours),
        indexes: &Indexes<'_>,
    ) -> io::Result<()> {
        let (days, spooled, now) = (&look.spool, &look.spooled, look.now);
        let mut closed = days.closed.clone();
        let hours = look.candidates.iter().map(|candidate| candidate.hour);
        let left: BTreeSet<Hour> = hours.filter(|hour| !settled.contains_key(hour)).collect();
        let beside = closed.with_hours(&left);
        closed.open_if(|day, _| beside.contains(&day));
        let mut hours = hours_of_days(&look.candidates, spooled);
        let last = last_days(spooled);
        let mut of_days: BTreeMap<Day, Vec<&SpoolSegment>> = BTreeMap::new();
        for segment in spooled {
            let of_day = of_days.entry(segment.name.minute.utc_day()).or_default();
            of_day.push(segment);
        }
        let mut still = BTreeSet::new();
        for day in days.open() {
            let hours = hours.remove(&day).unwrap_or_default().into_iter();
            let revisions = hours.map(|hour| {
                let revision = settled.get(&hour).filter(|_| whole.contains_key(&hour))?;
                Some((hour, *revision))
            });
            let revisions: Option<BTreeMap<Hour, u64>> = revisions.collect();
            let of_day = of_days.remove(&day).unwrap_or_default();
            let is_kept = last.contains(&day) || days.foreign.contains(&day);
            if let Some(revisions) = revisions
                && !is_kept
                && of_day.iter().all(|segment| tells_of_the_past(segment, now))
                && let Some(folders) = days.walk.settled_version(indexes, day)?
            {
                let told = placing::told(of_day.iter().copied()).remove(&day);
                let told = told.unwrap_or_default();
                let of_day = ClosedDay::of(folders, revisions, &of_day, told, &days.clocks);
                closed.close(day, self.now, of_day);
                still.insert(day);
            }
        }
        closed.retain_still(&still);
        let servers = (&**self.spool, days.walk.servers());
        closed.acks_go_on(self.disk, servers, &look.acks, self.now)?;
        if closed == days.closed {
            return Ok(());
        }
        closed.keep(self.disk, self.data_dir)
    }
}

/// The hours to which something of each day belongs.
fn hours_of_days(
    candidates: &[Candidate],
    spooled: &[SpoolSegment],
) -> BTreeMap<Day, BTreeSet<Hour>> {
    let mut days: BTreeMap<Day, BTreeSet<Hour>> = BTreeMap::new();
    for candidate in candidates {
        let numbers = candidate.segments.iter().chain(&candidate.events);
        for segment in numbers.filter_map(|number| spooled.get(*number)) {
            let of_day = days.entry(segment.name.minute.utc_day()).or_default();
            of_day.insert(candidate.hour);
        }
    }
    days
}

/// Whether no future hour can belong to the times in a segment.
fn tells_of_the_past(segment: &SpoolSegment, now: UtcMs) -> bool {
    segment.minute.end() <= now && segment.tells_of().iter().all(|part| part.end < now)
}

/// The days that stay open: the last one of each leg, on the posts' clock and in the order of its runs. Of hours to come
/// they are the nearest that is known.
fn last_days(spooled: &[SpoolSegment]) -> BTreeSet<Day> {
    let mut legs = BTreeMap::new();
    for segment in spooled {
        let name = &segment.name;
        let this = (segment.minute, name.minute.utc_day());
        let last = legs.entry((&name.server, name.partition)).or_insert(this);
        *last = this.max(*last);
    }
    let by_run = plan::latest_of_each_leg(spooled).into_iter();
    let by_run = by_run.filter_map(|number| spooled.get(number));
    let by_run = by_run.map(|segment| segment.name.minute.utc_day());
    legs.into_values()
        .map(|last| last.1)
        .chain(by_run)
        .collect()
}
