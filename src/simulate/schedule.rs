//! Which faults happen when: the same for the same seed, start and list.

use super::{
    chance::Chance,
    fault::{Fault, FaultKind, When},
};
use crate::period::UtcMs;

const KIND_JITTER: u64 = 0x6a_6974;

/// All faults, and the instant their times count from.
#[derive(Debug)]
pub struct Schedule {
    faults: Vec<Fault>,
    seed: u64,
    start: UtcMs,
}

/// One time that one fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// Its place in the list of faults.
    pub fault: usize,
    /// Which time, for those that happen again and again.
    pub round: i64,
    /// Its first instant.
    pub begin: UtcMs,
    /// The first instant after it; its begin for those that happen at one moment.
    pub end: UtcMs,
}

/// Whom a fault may hit: one stream, or a request that may become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The listener, counted from 1.
    pub listener: usize,
    /// Which of the streams opened on it, counted from 1; `None` for a request.
    pub connection: Option<u64>,
    /// The partition of the stream, if it is one.
    pub partition: Option<u8>,
}

impl Target {
    /// Whether the fault is meant for it.
    pub(super) const fn is_hit_by(self, fault: &Fault) -> bool {
        let listener = match fault.listener {
            Some(listener) => listener == self.listener,
            None => true,
        };
        let connection = match (fault.connection, self.connection) {
            (Some(wanted), Some(is)) => wanted == is,
            (None, _) => true,
            (Some(_), None) => false,
        };
        let partition = match (fault.partition, self.partition) {
            (Some(wanted), Some(is)) => wanted == is,
            (None, _) => true,
            (Some(_), None) => false,
        };
        listener && connection && partition
    }
}

impl Occurrence {
    /// Whether it lasts at that instant.
    pub fn covers(&self, at: UtcMs) -> bool {
        self.begin <= at && at < self.end
    }
}

impl Schedule {
    /// The faults of one run of the simulator.
    pub const fn new(faults: Vec<Fault>, seed: u64, start: UtcMs) -> Self {
        Self {
            faults,
            seed,
            start,
        }
    }

    /// The fault that an occurrence is one of.
    pub fn fault(&self, occurrence: Occurrence) -> &Fault {
        &self.faults[occurrence.fault]
    }

    /// What touches `from..=to`, by begin.
    pub fn around(&self, from: UtcMs, to: UtcMs) -> Vec<Occurrence> {
        let mut found = Vec::new();
        for (place, fault) in self.faults.iter().enumerate() {
            match fault.when {
                When::At(offset) => {
                    found.push(occurrence(place, 0, self.start.plus_ms(offset), fault));
                }
                When::Every(apart) => {
                    let round_at = |at: UtcMs| (at.0 - self.start.0).div_euclid(apart);
                    let first = round_at(from.plus_ms(-fault.lasts_ms)) - 1;
                    for round in first.max(1)..=round_at(to) + 1 {
                        let case = u64::try_from(round).unwrap_or(0);
                        let jitter = Chance::of(self.seed, KIND_JITTER + place as u64, case)
                            .between(-apart / 4, apart / 4);
                        let begin = self.start.plus_ms(round * apart + jitter);
                        found.push(occurrence(place, round, begin, fault));
                    }
                }
            }
        }
        found.retain(|one| one.begin <= to && from <= one.end);
        found.sort_by_key(|one| (one.begin, one.fault, one.round));
        found
    }

    /// The faults that last at that instant for the target.
    pub fn active(&self, at: UtcMs, target: Target) -> impl Iterator<Item = (Occurrence, &Fault)> {
        self.around(at, at)
            .into_iter()
            .filter(move |one| one.covers(at))
            .map(|one| (one, self.fault(one)))
            .filter(move |(_, fault)| target.is_hit_by(fault))
    }

    /// What begins for the target exactly at that instant.
    pub fn beginning(&self, at: UtcMs, target: Target) -> Vec<Occurrence> {
        let mut found = self.around(at, at);
        found.retain(|one| one.begin == at && target.is_hit_by(self.fault(*one)));
        found
    }

    /// The next instant after `after`, and not beyond `until`, at which something begins or ends.
    pub fn next_change(&self, after: UtcMs, until: UtcMs) -> Option<UtcMs> {
        self.around(after, until)
            .into_iter()
            .flat_map(|one| [one.begin, one.end])
            .filter(|at| after < *at && *at <= until)
            .min()
    }

    /// The next time that a listener's port is closed, at or after `after` and not beyond `until`.
    pub fn next_refusal(&self, listener: usize, after: UtcMs, until: UtcMs) -> Option<Occurrence> {
        let target = Target {
            listener,
            connection: None,
            partition: None,
        };
        self.around(after, until).into_iter().find(|one| {
            let fault = self.fault(*one);
            after < one.end && fault.kind == FaultKind::Refuse && target.is_hit_by(fault)
        })
    }

    /// How long the longest fault of these kinds lasts; `None` if there is none.
    pub(super) fn longest_ms(&self, of: impl Fn(&FaultKind) -> bool) -> Option<i64> {
        let these = self.faults.iter().filter(|fault| of(&fault.kind));
        these.map(|fault| fault.lasts_ms).max()
    }

    /// Whether a post created at that instant is never sent.
    pub fn loses(&self, created: UtcMs) -> bool {
        self.faults
            .iter()
            .any(|fault| fault.kind == FaultKind::Upstream)
            && self
                .around(created, created)
                .iter()
                .any(|one| one.covers(created) && self.fault(*one).kind == FaultKind::Upstream)
    }
}

fn occurrence(place: usize, round: i64, begin: UtcMs, fault: &Fault) -> Occurrence {
    Occurrence {
        fault: place,
        round,
        begin,
        end: begin.plus_ms(fault.lasts_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UtcMs = UtcMs(1_795_435_200_000);

    fn fault(when: When, lasts_ms: i64, kind: FaultKind) -> Fault {
        Fault {
            when,
            lasts_ms,
            listener: None,
            connection: None,
            partition: None,
            kind,
        }
    }

    #[test]
    fn what_recurs_does_so_about_as_often_as_it_says() {
        let list = vec![fault(When::Every(60_000), 5_000, FaultKind::Stall)];
        let schedule = Schedule::new(list.clone(), 3, START);
        let hour = schedule.around(START, START.plus_ms(3_600_000));
        assert!((59..=60).contains(&hour.len()), "{}", hour.len());
        for pair in hour.windows(2) {
            let apart = pair[1].begin.0 - pair[0].begin.0;
            assert!((30_000..=90_000).contains(&apart), "{apart}");
        }
        let begins = |seed| -> Vec<UtcMs> {
            Schedule::new(list.clone(), seed, START)
                .around(START, START.plus_ms(600_000))
                .iter()
                .map(|one| one.begin)
                .collect()
        };
        assert_eq!(begins(3), begins(3));
        assert_ne!(begins(3), begins(4));
    }

    #[test]
    fn a_window_shows_what_reaches_into_it_and_changes_come_in_order() {
        let schedule = Schedule::new(
            vec![
                fault(When::At(10_000), 90_000, FaultKind::Quiet),
                fault(When::At(50_000), 0, FaultKind::Reset),
            ],
            1,
            START,
        );
        let at = |s: i64| START.plus_ms(s * 1_000);
        let mut changes = Vec::new();
        let mut after = START;
        while let Some(next) = schedule.next_change(after, at(1_000)) {
            changes.push((next.0 - START.0) / 1_000);
            after = next;
        }
        assert_eq!(changes, [10, 50, 100]);
        let all = Target {
            listener: 1,
            connection: Some(1),
            partition: None,
        };
        assert_eq!(schedule.active(at(99), all).count(), 1);
        assert_eq!(schedule.active(at(100), all).count(), 0);
        assert_eq!(schedule.beginning(at(50), all).len(), 1);
    }

    #[test]
    fn a_fault_hits_only_whom_it_is_meant_for() {
        let mut one = fault(When::At(0), 1_000, FaultKind::Quiet);
        (one.listener, one.connection) = (Some(2), Some(3));
        let schedule = Schedule::new(vec![one], 1, START);
        let hits = |listener, connection| {
            schedule
                .active(
                    START,
                    Target {
                        listener,
                        connection,
                        partition: None,
                    },
                )
                .count()
                == 1
        };
        assert!(hits(2, Some(3)));
        assert!(!hits(1, Some(3)) && !hits(2, Some(2)) && !hits(2, None));
    }

    #[test]
    fn posts_created_in_an_upstream_outage_are_lost() {
        let outage = fault(When::At(1_000), 1_000, FaultKind::Upstream);
        let schedule = Schedule::new(vec![outage], 1, START);
        let lost: Vec<bool> = [999, 1_000, 1_999, 2_000]
            .map(|ms| schedule.loses(START.plus_ms(ms)))
            .into();
        assert_eq!(lost, [false, true, true, false]);
    }
}
