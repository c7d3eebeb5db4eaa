//! What each instance of Jetstream sees of what happens, when, and what its clock says then.
//!
//! An instance has its own way to the relay and its own clock, both a little off and slowly changing. It sends
//! events in the order in which they reached it; their `time_us` is about that order, but not quite.
//! A moment here is what the simulator's clock shows when an event reaches the instance, in microseconds.

use std::sync::Arc;

use super::{
    happened::{Breadth, Happened},
    world::World,
};
use crate::{
    period::UtcMs,
    simulate::{
        chance::{Chance, mix},
        fault::FaultKind,
        kept::Kept,
        schedule::{Schedule, Target},
    },
};

const KIND_WAY: u64 = 0x0077_6179;
const KIND_CLOCK: u64 = 0x0063_6c6f_636b;
const KIND_JITTER: u64 = 0x6a69_7474;
const KIND_LOSS: u64 = 0x6c6f_7373;

/// The delay and the clock of an instance go from one value to another in this time.
const DRIFT_US: i64 = 97_000_000;

/// The least and the most that the way from the relay takes, and what may be added to it for one event.
const WAY_US: (i64, i64) = (60_000, 650_000);
const JITTER_US: u64 = 40_000;

/// By how much the clock of an instance may be wrong.
const CLOCK_US: i64 = 250_000;

/// By how much `time_us` may fall behind the order, for one event in forty.
const BEHIND_US: u64 = 4_000;

/// After an outage of its way to the relay an instance catches up so many times as fast as time passes.
const CATCH_UP: i64 = 20;

/// One event as an instance sends it.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// The moment at which it reached the instance.
    pub(super) at_us: i64,
    /// What the instance says when that was.
    pub(super) time_us: i64,
    second: Arc<Vec<Happened>>,
    place: usize,
}

impl Piece {
    pub(super) fn event(&self) -> &Happened {
        &self.second[self.place]
    }

    /// The JSON, as it goes over the wire.
    pub(super) fn json(&self, seq: bool) -> Vec<u8> {
        // an instance's own number: it only has to grow
        let number = seq.then_some(self.at_us - 1_700_000_000_000_000);
        self.event().json(self.time_us, number)
    }
}

/// What all instances send, as far as it was computed lately.
#[derive(Debug)]
pub(super) struct Feed {
    world: World,
    schedule: Arc<Schedule>,
    /// Whether any fault keeps events from an instance, for good or for a while.
    is_hindered: bool,
    /// How long the instances need after the longest outage.
    catch_up_ms: i64,
    seconds: Kept<(i64, Breadth), Vec<Happened>>,
    arrivals: Kept<(i64, Breadth, usize), Vec<Piece>>,
}

impl Feed {
    pub(super) fn new(world: World, schedule: Arc<Schedule>) -> Self {
        let outage = schedule.longest_ms(|kind| *kind == FaultKind::Upstream);
        let loss = schedule.longest_ms(|kind| matches!(kind, FaultKind::Loss { .. }));
        Self {
            world,
            schedule,
            is_hindered: outage.is_some() || loss.is_some(),
            catch_up_ms: outage.unwrap_or(0) / CATCH_UP + 1,
            seconds: Kept::new(),
            arrivals: Kept::new(),
        }
    }

    /// What reached the instance after `after` and not after `until`, in its order.
    pub(super) fn due(
        &mut self,
        instance: usize,
        breadth: Breadth,
        after_us: i64,
        until_us: i64,
    ) -> Vec<Piece> {
        let mut found = Vec::new();
        if until_us <= after_us {
            return found;
        }
        for second in after_us.div_euclid(1_000_000)..=until_us.div_euclid(1_000_000) {
            let arrived = self.arrived(instance, breadth, second);
            let from = arrived.partition_point(|piece| piece.at_us <= after_us);
            let to = arrived.partition_point(|piece| piece.at_us <= until_us);
            found.extend_from_slice(arrived.get(from..to).unwrap_or(&[]));
        }
        found
    }

    /// The next event that reaches the instance after `after` and not after `until`.
    pub(super) fn next(
        &mut self,
        instance: usize,
        breadth: Breadth,
        after_us: i64,
        until_us: i64,
    ) -> Option<Piece> {
        let mut from = after_us;
        while from < until_us {
            let to = ((from.div_euclid(1_000_000) + 1) * 1_000_000).min(until_us);
            if let Some(piece) = self.due(instance, breadth, from, to).into_iter().next() {
                return Some(piece);
            }
            from = to;
        }
        None
    }

    /// What the relay passes on in that second.
    pub(super) fn happened(&mut self, second: i64, breadth: Breadth) -> Arc<Vec<Happened>> {
        let key = (second, breadth);
        if let Some(kept) = self.seconds.get(&key) {
            return kept;
        }
        let made = self.world.second(second, breadth);
        let bytes = made.iter().map(|event| event.rest.len()).sum();
        self.seconds.put(key, made, bytes)
    }

    /// The `time_us` that the instance gives an event; `None` if it never sees it.
    pub(super) fn time_us(&self, instance: usize, event: &Happened) -> Option<i64> {
        let at_us = self.at_us(instance, event)?;
        Some(self.stamp(instance, event, at_us))
    }

    /// What the instance's clock shows at that moment.
    pub(super) fn clock_us(&self, instance: usize, at_us: i64) -> i64 {
        let off = slow(
            self.world.seed,
            KIND_CLOCK,
            instance,
            at_us,
            (-CLOCK_US, CLOCK_US),
        );
        at_us + off
    }

    fn arrived(&mut self, instance: usize, breadth: Breadth, second: i64) -> Arc<Vec<Piece>> {
        let key = (second, breadth, instance);
        if let Some(kept) = self.arrivals.get(&key) {
            return kept;
        }
        let mut found = Vec::new();
        for relayed in self.sources(instance, second) {
            let happened = self.happened(relayed, breadth);
            for (place, event) in happened.iter().enumerate() {
                if let Some(at_us) = self.at_us(instance, event)
                    && at_us.div_euclid(1_000_000) == second
                {
                    found.push(Piece {
                        at_us,
                        time_us: self.stamp(instance, event, at_us),
                        second: Arc::clone(&happened),
                        place,
                    });
                }
            }
        }
        found.sort_by_key(|piece| (piece.at_us, piece.event().relayed_us));
        self.arrivals.put(key, found, 0)
    }

    /// The seconds of the relay whose events can reach the instance in that second.
    fn sources(&self, instance: usize, second: i64) -> Vec<i64> {
        let mut found: Vec<i64> = (second - 2..=second).collect();
        if !self.is_hindered {
            return found;
        }
        let target = Target {
            listener: instance,
            connection: None,
            partition: None,
        };
        let (begin, end) = (UtcMs(second * 1_000), UtcMs((second + 1) * 1_000));
        for one in self.schedule.around(begin.plus_ms(-self.catch_up_ms), end) {
            let fault = self.schedule.fault(one);
            if fault.kind == FaultKind::Upstream && target.is_hit_by(fault) {
                // what comes late comes in a twentieth of the time in which it should have come
                let back = |at: UtcMs| one.begin.0 + (at.0 - one.end.0) * CATCH_UP;
                let first = back(begin).max(one.begin.0) / 1_000 - 2;
                let last = back(end).min(one.end.0) / 1_000;
                found.extend(first..=last);
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn at_us(&self, instance: usize, event: &Happened) -> Option<i64> {
        let mut chance = self.of_event(KIND_JITTER, instance, event);
        let way = slow(
            self.world.seed,
            KIND_WAY,
            instance,
            event.relayed_us,
            WAY_US,
        );
        let jitter = i64::try_from(chance.skewed(JITTER_US)).unwrap_or(0);
        let at_us = event.relayed_us + way + jitter;
        if !self.is_hindered {
            return Some(at_us);
        }
        let target = Target {
            listener: instance,
            connection: None,
            partition: None,
        };
        let at = UtcMs(at_us.div_euclid(1_000));
        for (one, fault) in self.schedule.active(at, target) {
            match fault.kind {
                FaultKind::Loss { one_in }
                    if self.of_event(KIND_LOSS, one.fault, event).one_in(one_in) =>
                {
                    return None;
                }
                FaultKind::Upstream => {
                    let passed_us = at_us - one.begin.0 * 1_000;
                    return Some(one.end.0 * 1_000 + passed_us / CATCH_UP);
                }
                _ => (),
            }
        }
        Some(at_us)
    }

    fn stamp(&self, instance: usize, event: &Happened, at_us: i64) -> i64 {
        let mut chance = self.of_event(KIND_CLOCK, instance, event);
        let behind = if chance.one_in(40) {
            chance.below(BEHIND_US)
        } else {
            0
        };
        self.clock_us(instance, at_us)
            .saturating_sub_unsigned(behind)
    }

    fn of_event(&self, kind: u64, instance: usize, event: &Happened) -> Chance {
        let case = mix(event.relayed_us.unsigned_abs()) ^ event.made_us.unsigned_abs();
        Chance::of(self.world.seed, kind + ((instance as u64) << 40), case)
    }
}

/// A value between two that changes slowly: straight from one choice to the next.
fn slow(seed: u64, kind: u64, instance: usize, at_us: i64, (from, to): (i64, i64)) -> i64 {
    let (knot, passed_us) = (at_us.div_euclid(DRIFT_US), at_us.rem_euclid(DRIFT_US));
    let at = |knot: i64| {
        Chance::of(seed, kind + ((instance as u64) << 40), knot.unsigned_abs()).between(from, to)
    };
    let (this, next) = (at(knot), at(knot + 1));
    this + (next - this) * (passed_us / 1_000) / (DRIFT_US / 1_000)
}
