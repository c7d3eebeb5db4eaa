//! Decides from how attempts ended how long to wait before the API is asked again, and why.
//!
//! The table of waits is only here, as values without sockets, clocks or chance. Only a connection that held resets
//! the counters. Besides the table, there is a budget of HTTP answers, since all servers of a set-up share one limit.
//! The first requests of a quarter of an hour may be made quickly; the others are spread over the rest of it, so that
//! a burst never uses up the budget. Pauses are lengthened a little at random, so that no two servers keep in step.
//! Each leg of a server has its own counters and pace. Its legs share the budget, since the app has one limit; they
//! also share what the API says about it, and a request that is promised to one leg is not available to another.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use crate::{alarm::AlarmKind, period::UtcMs, segment::event::WaitReason};

/// A connection that has brought lines for this long has held: earlier failures no longer count.
pub const HOLDS_MS: i64 = 30_000;

/// Network failures wait this much longer each time, as X recommends …
const NETWORK_STEP_MS: i64 = 250;
/// … up to this.
const NETWORK_MAX_MS: i64 = 16_000;

/// Answers in the sliding window: less than half of the 50 that X allows an app, for two servers.
pub const ANSWERS_MAX: usize = 20;
/// Each further leg may have so many more, for what hits all of them at once …
const ANSWERS_PER_LEG: usize = 2;
/// … up to half of the 100 that X allows for a stream in partitions.
const ANSWERS_OF_LEGS_MAX: usize = 50;
/// The sliding window of X's rate limits; no limit can hold longer than it.
pub const WINDOW_MS: i64 = 15 * 60_000;

/// How long after the n-th answer of a window the next request may be made: the first ones at once, the later ones
/// after at most half a minute.
const PACE_MS: [i64; 11] = [
    0,
    0,
    0,
    0,
    2_000,
    6_000,
    14_000,
    28_000,
    PACE_MAX_MS,
    PACE_MAX_MS,
    PACE_MAX_MS,
];

/// The last of these, and the shortest pause when the rest of a budget is spread.
const PACE_MAX_MS: i64 = 31_000;

/// Pauses are lengthened by chance up to a tenth …
const JITTER_PART: i64 = 10;
/// … and to this.
const JITTER_MAX_MS: i64 = 5_000;

/// Added to the end of a limit, since two clocks need not agree to the second.
const AFTER_RESET_MS: i64 = 1_000;

/// The requests that the API has left are shared by two servers.
const SERVERS: u64 = 2;

/// What X asks for at most.
const BACKFILL_MINUTES_MAX: i64 = 5;

/// Why the API did not answer with a stream; selects the row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 5xx, 408, and whatever else is the API's own trouble.
    Server,
    /// 429: too many requests.
    RateLimit,
    /// 429: more connections than allowed; often it still counts our own last one, which is dead.
    TooManyConnections,
    /// 429: a change of the subscription is under way.
    Provisioning,
    /// 429 with the type usage-capped, or 402: paid volume is used up.
    UsageCap,
    /// 409, or another status with the issue of rules: the app has none, or no valid ones.
    NoRules,
    /// 401, 403: token or access.
    Unauthorized,
    /// 400: the request is wrong.
    BadRequest,
    /// 404 and all other: the address is wrong.
    NotFound,
}

/// How an attempt to stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A stream that had brought something broke, or a stream fell silent.
    Dropped,
    /// There was no answer, or a stream that brought nothing.
    Failed,
    /// Something else answered in the API's place.
    NotTheApi,
    /// Another status than 200.
    Refused {
        /// The row of the table.
        refusal: Refusal,
        /// Whether backfill had been asked for.
        with_backfill: bool,
    },
    /// We ended it ourselves, for want of disk.
    Local,
}

/// What an answer says about the rate limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests left.
    pub remaining: Option<u64>,
    /// When there will be more, by our clock.
    pub reset: Option<UtcMs>,
}

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// Not before this instant.
    pub until: UtcMs,
    /// Why not sooner: the row of the table, or that requests are spread.
    pub why: WaitReason,
    /// Until when the row of the table would wait by itself, and the row.
    pub row: (UtcMs, WaitReason),
    /// The alarm, if a person has to act. Trouble that passes by itself raises only the alarm that it leads to: no
    /// posts.
    pub alarm: Option<AlarmKind>,
}

impl Next {
    /// The waits until then, one after the other. Trouble is waited out first; if there is no request for the leg after
    /// that, it is this and no longer the trouble that keeps it from asking.
    pub fn waits(self, now: UtcMs) -> impl Iterator<Item = (UtcMs, WaitReason)> {
        let trouble = (self.why == WaitReason::Budget).then_some(self.row);
        let waits = trouble.into_iter().chain([(self.until, self.why)]);
        waits.filter(move |(until, _)| now < *until)
    }
}

/// What all legs of a server share: the budget, the API's last word on its rate limit, and which legs have been
/// promised a request.
#[derive(Debug, Clone)]
pub struct Allowance(Rc<RefCell<Shared>>);

#[derive(Debug)]
struct Shared {
    limit: RateLimit,
    /// By the number of the leg: when it may ask.
    promised: BTreeMap<usize, UtcMs>,
    /// The latest answers to all of them, ascending: as many as the budget has.
    answers: VecDeque<UtcMs>,
    budget: usize,
    /// How many legs there are, and how many have a number.
    legs: usize,
    numbered: usize,
    /// Backfill was refused, to whichever leg.
    without_backfill: bool,
}

impl Allowance {
    /// That of so many legs, whose requests of earlier runs got these answers.
    pub fn new(legs: usize, answers: impl IntoIterator<Item = UtcMs>) -> Self {
        let legs = legs.max(1);
        let budget = (ANSWERS_MAX + ANSWERS_PER_LEG * (legs - 1)).min(ANSWERS_OF_LEGS_MAX);
        let mut answers: Vec<UtcMs> = answers.into_iter().collect();
        answers.sort_unstable();
        let spare = answers.len().saturating_sub(budget);
        Self(Rc::new(RefCell::new(Shared {
            limit: RateLimit::default(),
            promised: BTreeMap::new(),
            answers: answers.into_iter().skip(spare).collect(),
            budget,
            legs,
            numbered: 0,
            without_backfill: false,
        })))
    }

    /// An earlier run was refused backfill.
    pub fn has_no_backfill(&self) {
        self.0.borrow_mut().without_backfill = true;
    }
}

impl Shared {
    /// When the budget has a request for a leg, besides those promised to others; `None`: now. If there is less than
    /// one for every other leg, they are spread.
    fn allowed(&self, leg: usize, now: UtcMs) -> Option<UtcMs> {
        let begin = now.plus_ms(-WINDOW_MS);
        let in_window = self.answers.iter().filter(|at| begin < **at && **at <= now);
        let in_window: Vec<UtcMs> = in_window.copied().collect();
        let others = self.promised.iter().filter(|(other, _)| **other != leg);
        let others: Vec<UtcMs> = others.map(|(_, until)| *until).collect();
        let taken = in_window.len() + others.len();
        if taken + self.legs / 2 < self.budget {
            return None;
        }
        let renewed = |place: usize| {
            let at = in_window.get(place).copied().unwrap_or(now);
            at.plus_ms(WINDOW_MS).plus_ms(AFTER_RESET_MS)
        };
        let left = self.budget.saturating_sub(taken);
        if left == 0 {
            return Some(renewed(taken - self.budget));
        }
        let last = others.into_iter().max().map_or(now, |last| last.max(now));
        Some(last.plus_ms(spread(renewed(0).0 - last.0, left as u64)))
    }
}

/// Counts what went wrong since a connection held.
#[derive(Debug)]
pub struct Backoff {
    /// The state of the dice.
    chance: u64,
    network: u32,
    server: u32,
    rate_limit: u32,
    connections: u32,
    unauthorized: u32,
    /// The latest answers, ascending.
    answers: VecDeque<UtcMs>,
    /// What it shares with the other legs, among which it has this number.
    allowance: Allowance,
    leg: usize,
    /// It was this leg that asked for backfill and was refused.
    without_backfill: bool,
}

/// `first`, doubled with each failure before this one, at most `max`.
fn doubling(first_ms: i64, failures_before: u32, max_ms: i64) -> i64 {
    let factor = 1_i64.checked_shl(failures_before.min(32)).unwrap_or(1);
    first_ms.saturating_mul(factor).min(max_ms)
}

fn linear(failures_before: u32) -> i64 {
    NETWORK_STEP_MS
        .saturating_mul(i64::from(failures_before) + 1)
        .min(NETWORK_MAX_MS)
}

impl Backoff {
    /// At the start of a run: `chance` differs on every server, `answers` are those that earlier runs got.
    pub fn new(chance: u32, answers: impl IntoIterator<Item = UtcMs>) -> Self {
        let answers: Vec<UtcMs> = answers.into_iter().collect();
        Self::of_leg(chance, answers.clone(), &Allowance::new(1, answers))
    }

    /// The same for one of several legs, which share what the API allows.
    pub fn of_leg(
        chance: u32,
        answers: impl IntoIterator<Item = UtcMs>,
        allowance: &Allowance,
    ) -> Self {
        let leg = {
            let mut shared = allowance.0.borrow_mut();
            shared.numbered += 1;
            shared.numbered
        };
        let mut answers: Vec<UtcMs> = answers.into_iter().collect();
        answers.sort_unstable();
        let spare = answers.len().saturating_sub(ANSWERS_MAX);
        Self {
            chance: u64::from(chance),
            network: 0,
            server: 0,
            rate_limit: 0,
            connections: 0,
            unauthorized: 0,
            answers: answers.into_iter().skip(spare).collect(),
            allowance: allowance.clone(),
            leg,
            without_backfill: false,
        }
    }

    /// When the first request of a run may be made: at once, unless earlier runs left so little of the budget that it
    /// must be spread.
    pub fn first(&mut self, now: UtcMs) -> Next {
        let is_spread = PACE_MS.len() < self.in_window(now).count();
        let spread = if is_spread { self.allowed(now) } else { None };
        let of_all = self.allowance.0.borrow().allowed(self.leg, now);
        let of_all = of_all.map(|until| (until, WaitReason::Budget));
        let row = (now, WaitReason::Reconnect);
        let (until, why) = spread.or(of_all).unwrap_or(row);
        self.promise(until);
        Next {
            until,
            why,
            row,
            alarm: None,
        }
    }

    /// The API has answered a request, with whatever status.
    pub fn answered(&mut self, now: UtcMs, limit: RateLimit) {
        let mut shared = self.allowance.0.borrow_mut();
        shared.limit = limit;
        shared.promised.remove(&self.leg);
        shared.answers.push_back(now);
        if shared.budget < shared.answers.len() {
            shared.answers.pop_front();
        }
        drop(shared);
        self.answers.push_back(now);
        if ANSWERS_MAX < self.answers.len() {
            self.answers.pop_front();
        }
    }

    /// A connection has brought lines for [`HOLDS_MS`]: what went wrong before is over.
    pub fn held(&mut self) {
        self.network = 0;
        self.server = 0;
        self.rate_limit = 0;
        self.connections = 0;
        self.unauthorized = 0;
    }

    /// A refused cursor says nothing about later ones.
    pub fn may_backfill_again(&mut self) {
        self.without_backfill = false;
        self.allowance.0.borrow_mut().without_backfill = false;
    }

    /// Whether backfill may be requested: never again once it was refused to any leg, unless `may_backfill_again`
    /// allows it.
    pub fn may_backfill(&self) -> bool {
        !self.allowance.0.borrow().without_backfill
    }

    /// An attempt has ended: when is the next, and why then?
    pub fn ended(&mut self, now: UtcMs, end: End) -> Next {
        let (wait_ms, why, alarm) = match end {
            End::Local => (0, WaitReason::DiskFull, None),
            End::Dropped => (0, WaitReason::Reconnect, None),
            End::Failed => (linear(count(&mut self.network)), WaitReason::Network, None),
            End::NotTheApi => {
                let wait_ms = linear(count(&mut self.network));
                (wait_ms, WaitReason::NotTheApi, Some(AlarmKind::NotTheApi))
            }
            End::Refused {
                refusal,
                with_backfill,
            } => self.refused(now, refusal, with_backfill),
        };
        let row = (now.plus_ms(wait_ms + self.jitter(wait_ms)), why);
        let spread = self.allowed(now).filter(|(until, _)| row.0 < *until);
        let (until, why) = spread.unwrap_or(row);
        let next = Next {
            until,
            why,
            row,
            alarm,
        };
        self.promise(next.until);
        next
    }

    /// Promises the leg a request from then on.
    fn promise(&self, until: UtcMs) {
        let mut shared = self.allowance.0.borrow_mut();
        shared.promised.insert(self.leg, until);
    }

    fn refused(
        &mut self,
        now: UtcMs,
        refusal: Refusal,
        with_backfill: bool,
    ) -> (i64, WaitReason, Option<AlarmKind>) {
        const MINUTE_MS: i64 = 60_000;
        const SERVER_MAX_MS: i64 = 320_000;
        match refusal {
            Refusal::Server => {
                let wait_ms = doubling(5_000, count(&mut self.server), SERVER_MAX_MS);
                (wait_ms, WaitReason::ServerError, None)
            }
            Refusal::RateLimit => match self.limit().reset {
                Some(reset) if now < reset => {
                    (until_reset(now, reset), WaitReason::RateLimit, None)
                }
                _ => {
                    let wait_ms = doubling(MINUTE_MS, count(&mut self.rate_limit), WINDOW_MS);
                    (wait_ms, WaitReason::RateLimit, None)
                }
            },
            Refusal::TooManyConnections => {
                let wait_ms = match count(&mut self.connections) {
                    0 => 10_000,
                    before => doubling(MINUTE_MS, before - 1, 5 * MINUTE_MS),
                };
                (wait_ms, WaitReason::TooManyConnections, None)
            }
            Refusal::Provisioning => (MINUTE_MS, WaitReason::Provisioning, None),
            Refusal::UsageCap => (WINDOW_MS, WaitReason::UsageCap, Some(AlarmKind::Refused)),
            // a person has to push some, and does not want to wait then
            Refusal::NoRules => (MINUTE_MS, WaitReason::NoRules, Some(AlarmKind::Rules)),
            Refusal::Unauthorized => {
                let wait_ms = doubling(10_000, count(&mut self.unauthorized), WINDOW_MS);
                (wait_ms, WaitReason::Unauthorized, Some(AlarmKind::Refused))
            }
            Refusal::BadRequest if with_backfill && !self.without_backfill => {
                self.without_backfill = true;
                self.allowance.has_no_backfill();
                (0, WaitReason::NoBackfill, None)
            }
            Refusal::BadRequest => (WINDOW_MS, WaitReason::BadRequest, Some(AlarmKind::Refused)),
            Refusal::NotFound => (WINDOW_MS, WaitReason::NotFound, Some(AlarmKind::Refused)),
        }
    }

    /// What the API has said last, to whichever leg.
    fn limit(&self) -> RateLimit {
        self.allowance.0.borrow().limit
    }

    /// How many requests other legs have been promised before that limit ends.
    fn promised_to_others(&self, reset: UtcMs) -> u64 {
        let shared = self.allowance.0.borrow();
        let promised = shared.promised.iter();
        promised
            .filter(|(leg, until)| **leg != self.leg && **until < reset)
            .count() as u64
    }

    /// Answers in the window that ends now.
    fn in_window(&self, now: UtcMs) -> impl DoubleEndedIterator<Item = UtcMs> {
        let begin = now.plus_ms(-WINDOW_MS);
        let answers = self.answers.iter().copied();
        answers.filter(move |at| begin < *at && *at <= now)
    }

    /// When another request may be made, by our count and by the API's, and why not sooner; `None`: now.
    fn allowed(&mut self, now: UtcMs) -> Option<(UtcMs, WaitReason)> {
        let ends = self
            .in_window(now)
            .next()
            .zip(self.in_window(now).next_back());
        let paced = ends.map_or(now, |(first, last)| self.paced(now, (first, last)));
        let last = ends.map_or(now, |(_, last)| last);
        let of_all = self.allowance.0.borrow().allowed(self.leg, now);
        let mut until = of_all.unwrap_or(now);
        let limit = self.limit();
        if let (Some(remaining), Some(reset)) = (limit.remaining, limit.reset)
            && now < reset
        {
            let others = self.promised_to_others(reset);
            let after_ms = match (remaining / SERVERS).saturating_sub(others) {
                0 if remaining == 0 || 0 < others => until_reset(last, reset),
                left if left < (ANSWERS_MAX - PACE_MS.len()) as u64 => {
                    spread(until_reset(last, reset), left)
                }
                _ => 0,
            };
            until = until.max(last.plus_ms(after_ms));
        }
        // what the pace spreads of the budget ends with the budget
        let next = if paced.plus_ms(AFTER_RESET_MS) < until {
            (until, WaitReason::Budget)
        } else {
            (until.max(paced), WaitReason::Pace)
        };
        (now < next.0).then_some(next)
    }

    /// When the leg's pace has another request, by our count of its answers; these are the first and the last of them.
    fn paced(&mut self, now: UtcMs, (first, last): (UtcMs, UtcMs)) -> UtcMs {
        let used = self.in_window(now).count();
        let after_ms = PACE_MS.get(used - 1).copied().unwrap_or_else(|| {
            let renewed = first.plus_ms(WINDOW_MS);
            let left = ANSWERS_MAX.saturating_sub(used);
            spread(renewed.0.saturating_sub(last.0), left as u64).max(PACE_MAX_MS)
        });
        last.plus_ms(after_ms + self.jitter(after_ms))
    }

    /// What chance adds to a pause.
    fn jitter(&mut self, wait_ms: i64) -> i64 {
        let most = (wait_ms / JITTER_PART).min(JITTER_MAX_MS);
        // splitmix64
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.chance ^ (self.chance >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let draw = (z ^ (z >> 31)) % (most.max(0).unsigned_abs() + 1);
        i64::try_from(draw).unwrap_or(0)
    }
}

/// The pause before the next of `left` requests that are spread over a time, the last of which ends it.
fn spread(over_ms: i64, left: u64) -> i64 {
    over_ms.max(0) / i64::try_from(left + 1).unwrap_or(i64::MAX)
}

/// Counts one more failure and says how many there were before.
fn count(failures: &mut u32) -> u32 {
    let before = *failures;
    *failures = before.saturating_add(1);
    before
}

fn until_reset(now: UtcMs, reset: UtcMs) -> i64 {
    (reset.0.saturating_sub(now.0))
        .saturating_add(AFTER_RESET_MS)
        .clamp(0, WINDOW_MS)
}

/// How many minutes of backfill cover everything since the last line; none if there has never been one.
pub fn backfill_minutes(last_line: Option<UtcMs>, now: UtcMs) -> u8 {
    let Some(last_line) = last_line else {
        return 0;
    };
    let outage_ms = now.0.saturating_sub(last_line.0).max(0);
    let minutes = outage_ms / 60_000 + i64::from(outage_ms % 60_000 != 0) + 1;
    u8::try_from(minutes.min(BACKFILL_MINUTES_MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: UtcMs = UtcMs(1_795_442_400_000);

    fn refused(refusal: Refusal) -> End {
        End::Refused {
            refusal,
            with_backfill: false,
        }
    }

    fn backoff() -> Backoff {
        Backoff::new(7, [])
    }

    /// Whether a pause is that of the table, and what chance may add.
    fn is_about(wait_ms: i64, expected_ms: i64) -> bool {
        (expected_ms..=expected_ms + (expected_ms / 10).min(5_000)).contains(&wait_ms)
    }

    /// The waits, in ms, and rows when the same end comes again and again, each as soon as it may.
    #[track_caller]
    fn check_waits(end: End, why: WaitReason, alarms: bool, expected_ms: &[i64]) {
        let mut backoff = backoff();
        let mut now = START;
        for expected_ms in expected_ms {
            let next = backoff.ended(now, end);
            let wait_ms = next.until.0 - now.0;
            assert_eq!(next.why, why);
            assert_eq!(next.alarm, alarms.then_some(AlarmKind::Refused));
            assert!(is_about(wait_ms, *expected_ms), "{expected_ms}: {wait_ms}");
            now = next.until.plus_ms(20_000);
        }
    }

    #[test]
    fn each_row_of_the_table() {
        let s = |seconds: &[i64]| -> Vec<i64> { seconds.iter().map(|s| s * 1_000).collect() };
        check_waits(End::Dropped, WaitReason::Reconnect, false, &[0, 0, 0, 0]);
        check_waits(End::Local, WaitReason::DiskFull, false, &[0, 0]);
        check_waits(
            refused(Refusal::Server),
            WaitReason::ServerError,
            false,
            &s(&[5, 10, 20, 40, 80, 160, 320, 320, 320]),
        );
        check_waits(
            refused(Refusal::RateLimit),
            WaitReason::RateLimit,
            false,
            &s(&[60, 120, 240, 480, 900, 900]),
        );
        check_waits(
            refused(Refusal::TooManyConnections),
            WaitReason::TooManyConnections,
            false,
            &s(&[10, 60, 120, 240, 300, 300]),
        );
        check_waits(
            refused(Refusal::Provisioning),
            WaitReason::Provisioning,
            false,
            &s(&[60, 60, 60]),
        );
        check_waits(
            refused(Refusal::UsageCap),
            WaitReason::UsageCap,
            true,
            &s(&[900, 900]),
        );
        check_waits(
            refused(Refusal::Unauthorized),
            WaitReason::Unauthorized,
            true,
            &s(&[10, 20, 40, 80, 160, 320, 640, 900]),
        );
        check_waits(
            refused(Refusal::BadRequest),
            WaitReason::BadRequest,
            true,
            &s(&[900, 900]),
        );
        check_waits(
            refused(Refusal::NotFound),
            WaitReason::NotFound,
            true,
            &s(&[900, 900]),
        );
    }

    #[test]
    fn network_failures_wait_a_quarter_second_longer_each_time() {
        let mut backoff = backoff();
        for n in 1..=66 {
            let wait_ms = backoff.ended(START, End::Failed).until.0 - START.0;
            assert!(is_about(wait_ms, (n * 250).min(16_000)), "{n}: {wait_ms}");
        }
        backoff.held();
        let wait_ms = backoff.ended(START, End::Failed).until.0 - START.0;
        assert!(
            is_about(wait_ms, 250),
            "a connection that held puts the counters back"
        );
    }

    #[test]
    fn what_the_api_has_left_is_promised_to_one_leg_only() {
        let allowance = Allowance::new(5, []);
        let mut legs: Vec<Backoff> = (0..5)
            .map(|chance| Backoff::of_leg(chance, [], &allowance))
            .collect();
        let reset = START.plus_ms(600_000);
        let limit = RateLimit {
            remaining: Some(6),
            reset: Some(reset),
        };
        let until: Vec<UtcMs> = legs
            .iter_mut()
            .map(|leg| {
                leg.answered(START, limit);
                leg.ended(START, End::Dropped).until
            })
            .collect();
        // three of the six are for this server
        let soon = until.iter().filter(|until| **until < reset).count();
        assert_eq!(soon, 3, "{until:?}");
        let mut ascending = until.clone();
        ascending.dedup();
        assert!(until.is_sorted() && ascending.len() >= 4, "{until:?}");
        // one leg's failures are its own
        let mut other = backoff();
        other.ended(START, refused(Refusal::Server));
        let next = legs[0].ended(reset.plus_ms(WINDOW_MS), refused(Refusal::Server));
        assert!(is_about(next.until.0 - reset.plus_ms(WINDOW_MS).0, 5_000));
    }

    /// Nineteen legs stay connected: what the API has left is for the one that is not.
    #[test]
    fn a_leg_that_has_got_its_answer_keeps_nothing_back_for_itself() {
        let allowance = Allowance::new(20, []);
        let limit = RateLimit {
            remaining: Some(20),
            reset: Some(START.plus_ms(600_000)),
        };
        let mut legs: Vec<Backoff> = (0..20)
            .map(|chance| Backoff::of_leg(chance, [], &allowance))
            .collect();
        for leg in &mut legs {
            assert_eq!(leg.first(START).until, START);
        }
        for leg in &mut legs {
            leg.answered(START, limit);
        }
        let later = START.plus_ms(60_000);
        assert_eq!(legs[0].ended(later, End::Dropped).until, later);
    }

    /// Legs of one server, and when each got an answer.
    struct Legs {
        all: Vec<Backoff>,
        until: Vec<UtcMs>,
        answers: Vec<UtcMs>,
    }

    impl Legs {
        fn start(count: usize, answers: Vec<UtcMs>, now: UtcMs) -> Self {
            let allowance = Allowance::new(count, answers.clone());
            let mut all: Vec<Backoff> = (0..)
                .take(count)
                .map(|chance| Backoff::of_leg(chance, [], &allowance))
                .collect();
            let until = all.iter_mut().map(|leg| leg.first(now).until).collect();
            Self {
                all,
                until,
                answers,
            }
        }

        /// The next leg asks, gets a stream of an API that says nothing of its limit, and loses it after so long.
        fn next(&mut self, lasts_ms: i64) {
            let (leg, at) = self
                .until
                .iter()
                .copied()
                .enumerate()
                .min_by_key(|one| one.1)
                .unwrap();
            self.answers.push(at);
            self.all[leg].answered(at, RateLimit::default());
            self.until[leg] = self.all[leg]
                .ended(at.plus_ms(lasts_ms), End::Dropped)
                .until;
        }

        fn most(&self) -> usize {
            let mut answers = self.answers.clone();
            answers.sort_unstable();
            let in_window = |at: &UtcMs| {
                let end = at.plus_ms(WINDOW_MS);
                answers
                    .iter()
                    .filter(|other| at <= *other && **other < end)
                    .count()
            };
            answers.iter().map(in_window).max().unwrap_or(0)
        }
    }

    #[test]
    fn the_legs_of_a_server_have_one_budget_also_across_restarts() {
        for count in [1, 2, 5, 20] {
            let budget = (ANSWERS_MAX + 2 * (count - 1)).min(ANSWERS_OF_LEGS_MAX);
            let mut legs = Legs::start(count, Vec::new(), START);
            // all of them ask at once, and what ends them all at once is no reason to wait
            assert!(legs.until.iter().all(|until| *until == START), "{count}");
            for _ in 0..count {
                legs.next(60_000);
            }
            assert!(
                legs.until
                    .iter()
                    .all(|until| *until == START.plus_ms(60_000)),
                "{count}"
            );
            for _ in 0..600 {
                legs.next(10);
            }
            assert!(legs.most() <= budget, "{count}: {}", legs.most());
            // started again and again, with what the events of earlier runs tell
            let mut now = *legs.answers.iter().max().unwrap();
            let mut answers = legs.answers;
            for _ in 0..20 {
                let mut again = Legs::start(count, answers, now);
                for _ in 0..count {
                    again.next(10);
                }
                now = now.max(*again.answers.iter().max().unwrap()).plus_ms(2_000);
                assert!(again.most() <= budget, "{count}: {}", again.most());
                answers = again.answers;
            }
        }
    }

    #[test]
    fn no_two_servers_go_in_step() {
        let waits = |chance: u32| -> Vec<i64> {
            let mut backoff = Backoff::new(chance, []);
            (0..20)
                .map(|_| backoff.ended(START, End::Failed).until.0 - START.0)
                .collect()
        };
        assert_eq!(waits(1), waits(1), "chance is an argument");
        let (one, other) = (waits(1), waits(2));
        let same = one.iter().zip(&other).filter(|(a, b)| a == b).count();
        assert!(same < 4, "{one:?} {other:?}");
    }

    #[test]
    fn a_rate_limit_holds_until_its_reset_and_a_second() {
        let wait = |reset_ms: i64| {
            let limit = RateLimit {
                remaining: Some(0),
                reset: Some(START.plus_ms(reset_ms)),
            };
            let mut backoff = backoff();
            backoff.answered(START, limit);
            let next = backoff.ended(START, refused(Refusal::RateLimit));
            assert_eq!(next.why, WaitReason::RateLimit);
            next.until.0 - START.0
        };
        assert!(is_about(wait(7_000), 8_000));
        assert!(is_about(wait(24 * 3_600_000), 900_000));
        assert!(is_about(wait(-1), 60_000), "a reset in the past");
    }

    /// What an API that is not well does to a request.
    #[derive(Debug, Clone, Copy)]
    enum Ill {
        /// A stream that gives something and ends after so long.
        Ends(i64),
        /// A stream that gives nothing.
        Empty,
        Page,
        Unreachable(i64),
        Server,
        TooMany,
        RateLimit(i64),
    }

    /// One server's attempts at an API that is ill for a while, and then well.
    struct Trial {
        backoff: Backoff,
        answers: Vec<UtcMs>,
        now: UtcMs,
        /// The API's limit, where it tells one.
        limit: RateLimit,
    }

    impl Trial {
        fn new(chance: u32) -> Self {
            Self {
                backoff: Backoff::new(chance, []),
                answers: Vec::new(),
                now: START,
                limit: RateLimit::default(),
            }
        }

        fn answered(&mut self) {
            self.answers.push(self.now);
            self.backoff.answered(self.now, self.limit);
        }

        fn meets(&mut self, ill: Ill) {
            let end = match ill {
                Ill::Ends(after_ms) => {
                    self.answered();
                    self.now = self.now.plus_ms(after_ms);
                    if HOLDS_MS <= after_ms {
                        self.backoff.held();
                    }
                    End::Dropped
                }
                Ill::Empty => {
                    self.answered();
                    End::Failed
                }
                Ill::Page => {
                    self.answered();
                    End::NotTheApi
                }
                Ill::Unreachable(after_ms) => {
                    self.now = self.now.plus_ms(after_ms);
                    End::Failed
                }
                Ill::Server => {
                    self.answered();
                    refused(Refusal::Server)
                }
                Ill::TooMany => {
                    self.answered();
                    refused(Refusal::TooManyConnections)
                }
                Ill::RateLimit(for_ms) => {
                    let reset = self.now.plus_ms(for_ms);
                    self.limit = RateLimit {
                        remaining: Some(0),
                        reset: Some(reset),
                    };
                    self.answered();
                    self.limit = RateLimit::default();
                    refused(Refusal::RateLimit)
                }
            };
            self.now = self.backoff.ended(self.now, end).until;
        }

        /// How long after the API has become well the next request is made.
        fn is_ill_for(&mut self, ill_ms: i64, with: &[Ill]) -> i64 {
            let well = START.plus_ms(ill_ms);
            let mut ills = with.iter().cycle();
            while self.now < well {
                self.meets(*ills.next().unwrap());
            }
            self.now.0 - well.0
        }

        /// The most answers in any quarter of an hour.
        fn most(&self) -> usize {
            let windows = self.answers.iter().enumerate().map(|(place, begin)| {
                let end = begin.plus_ms(WINDOW_MS);
                self.answers[place..].iter().filter(|at| **at < end).count()
            });
            windows.max().unwrap_or(0)
        }
    }

    /// How soon it collects again after a trouble that was over within two minutes …
    const SOON_MS: i64 = 35_000;
    /// … and after a longer one, as far as the budget goes.
    const LATE_MS: i64 = 120_000;

    fn bound(ill_ms: i64) -> i64 {
        if ill_ms <= 120_000 { SOON_MS } else { LATE_MS }
    }

    fn broken() -> impl Strategy<Value = Ill> {
        prop_oneof![
            (0..40_000_i64).prop_map(Ill::Ends),
            (0..500_i64).prop_map(Ill::Ends),
            Just(Ill::Empty),
            Just(Ill::Page),
            (0..10_000_i64).prop_map(Ill::Unreachable),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn after_any_trouble_it_collects_again_soon(
            chance: u32,
            ill_ms in prop_oneof![1_000..120_000_i64, 1_000..1_800_000_i64],
            with in proptest::collection::vec(broken(), 1..40),
        ) {
            let mut trial = Trial::new(chance);
            // it may notice that it is well only when a connection of that time ends
            let longest = with.iter().map(|ill| match ill {
                Ill::Ends(ms) | Ill::Unreachable(ms) => *ms,
                _ => 0,
            });
            let longest = longest.max().unwrap_or(0);
            let late_ms = trial.is_ill_for(ill_ms, &with);
            prop_assert!(late_ms <= bound(ill_ms).max(longest), "{late_ms} ms");
            prop_assert!(trial.most() <= ANSWERS_MAX, "{:?}", trial.answers);
        }

        #[test]
        fn refusals_wait_as_the_table_says_and_no_longer(
            chance: u32,
            ill_ms in 1_000..1_800_000_i64,
            with in proptest::collection::vec(
                prop_oneof![
                    broken(),
                    Just(Ill::Server),
                    Just(Ill::TooMany),
                    (0..900_000_i64).prop_map(Ill::RateLimit),
                ],
                1..40,
            ),
        ) {
            let mut trial = Trial::new(chance);
            let late_ms = trial.is_ill_for(ill_ms, &with);
            // a pause that doubles is no longer than the trouble has lasted, and its first step
            let table_ms = (ill_ms + 60_000).min(320_000) + JITTER_MAX_MS;
            let limit_ms = with.iter().filter_map(|ill| match ill {
                Ill::RateLimit(ms) => Some(ms + AFTER_RESET_MS + JITTER_MAX_MS),
                _ => None,
            });
            let limit_ms = limit_ms.max().unwrap_or(0);
            prop_assert!(late_ms <= bound(ill_ms).max(table_ms).max(limit_ms), "{late_ms} ms");
            prop_assert!(trial.most() <= ANSWERS_MAX, "{:?}", trial.answers);
        }

        #[test]
        fn no_loop_of_restarts_burns_the_budget(
            chances in proptest::collection::vec(any::<u32>(), 1..20),
            apart_ms in 100..10_000_i64,
        ) {
            let mut trial = Trial::new(0);
            let mut chances = chances.iter().cycle();
            let mut first_wait = None;
            while trial.now < START.plus_ms(3 * WINDOW_MS) {
                let past = trial.answers.clone();
                trial.backoff = Backoff::new(*chances.next().unwrap(), past);
                let first = trial.backoff.first(trial.now);
                if trial.now < first.until && first_wait.is_none() {
                    first_wait = Some(trial.answers.len());
                }
                trial.now = first.until;
                trial.answered();
                trial.now = trial.now.plus_ms(apart_ms);
            }
            prop_assert!(trial.most() <= ANSWERS_MAX);
            prop_assert!(first_wait.is_none_or(|n| PACE_MS.len() < n), "{first_wait:?}");
        }
    }

    #[test]
    fn a_stream_that_held_is_asked_for_at_once_after_any_trouble() {
        let mut trial = Trial::new(3);
        trial.is_ill_for(13_000, &[Ill::Ends(10)]);
        let before = trial.now;
        trial.meets(Ill::Ends(35_000));
        assert_eq!(trial.now, before.plus_ms(35_000));
        assert!(trial.answers.len() < 12, "{:?}", trial.answers);
    }

    #[test]
    fn the_api_s_own_count_goes_before_ours_where_it_is_smaller() {
        let wait = |remaining: u64| {
            let mut backoff = backoff();
            let limit = RateLimit {
                remaining: Some(remaining),
                reset: Some(START.plus_ms(599_000)),
            };
            backoff.answered(START, limit);
            backoff.ended(START, End::Dropped).until.0 - START.0
        };
        assert_eq!(wait(49), 0);
        assert_eq!(wait(0), 600_000);
        assert_eq!(wait(10), 100_000, "half of it is the other server's");
    }

    #[test]
    fn want_of_requests_is_told_from_the_trouble_and_from_the_pace() {
        // the API has none left
        let limit = RateLimit {
            remaining: Some(0),
            reset: Some(START.plus_ms(599_000)),
        };
        let mut one = backoff();
        one.answered(START, limit);
        let next = one.ended(START, refused(Refusal::Server));
        let waits: Vec<(UtcMs, WaitReason)> = next.waits(START).collect();
        let [(over, WaitReason::ServerError), (until, WaitReason::Budget)] = waits[..] else {
            panic!("{waits:?}");
        };
        assert!(is_about(over.0 - START.0, 5_000));
        assert_eq!(until, START.plus_ms(600_000));
        let left: Vec<(UtcMs, WaitReason)> = next.waits(over).collect();
        assert_eq!(left, [(until, WaitReason::Budget)]);
        // other legs have taken all
        let allowance = Allowance::new(2, vec![START; 22]);
        let mut leg = Backoff::of_leg(1, [], &allowance);
        assert_eq!(leg.first(START).why, WaitReason::Budget);
        assert_eq!(leg.ended(START, End::Dropped).why, WaitReason::Budget);
        // streams that break again and again are no want of requests
        let mut trial = Trial::new(3);
        for _ in 0..200 {
            trial.answered();
            let next = trial.backoff.ended(trial.now, End::Dropped);
            assert!(
                matches!(next.why, WaitReason::Reconnect | WaitReason::Pace),
                "{next:?}"
            );
            assert!(next.waits(trial.now).count() < 2);
            trial.now = next.until.plus_ms(10);
        }
    }

    #[test]
    fn backfill_that_one_leg_is_refused_no_leg_asks_for() {
        let allowance = Allowance::new(3, []);
        let mut legs: Vec<Backoff> = (0..3)
            .map(|chance| Backoff::of_leg(chance, [], &allowance))
            .collect();
        let with = End::Refused {
            refusal: Refusal::BadRequest,
            with_backfill: true,
        };
        // two had asked before one of them was answered
        for leg in &mut legs[..2] {
            assert_eq!(leg.ended(START, with).why, WaitReason::NoBackfill);
        }
        assert!(legs.iter().all(|leg| !leg.may_backfill()));
        let later = Allowance::new(1, []);
        later.has_no_backfill();
        assert!(!Backoff::of_leg(0, [], &later).may_backfill());
    }

    #[test]
    fn backfill_that_is_refused_is_left_out_at_once_and_for_good() {
        let mut backoff = backoff();
        assert!(backoff.may_backfill());
        let with = End::Refused {
            refusal: Refusal::BadRequest,
            with_backfill: true,
        };
        let next = backoff.ended(START, with);
        assert_eq!((next.until, next.why), (START, WaitReason::NoBackfill));
        backoff.held();
        assert!(!backoff.may_backfill());
        backoff.may_backfill_again();
        assert!(backoff.may_backfill());
        backoff.ended(START, with);
        let again = backoff.ended(START, with);
        assert!(is_about(again.until.0 - START.0, 900_000) && again.alarm.is_some());
    }

    #[test]
    fn backfill_covers_the_outage() {
        let minutes = |outage_ms: i64| backfill_minutes(Some(START), START.plus_ms(outage_ms));
        assert_eq!(backfill_minutes(None, START), 0, "the very first start");
        assert_eq!(
            [
                -5_000,
                0,
                1,
                59_999,
                60_000,
                60_001,
                90_000,
                180_000,
                180_001,
                i64::MAX
            ]
            .map(minutes),
            [1, 1, 2, 2, 2, 3, 3, 4, 5, 5]
        );
    }

    /// Each trouble is over for good once a connection has held: what it had come to is not gone on with.
    #[test]
    fn a_connection_that_held_ends_every_row_of_the_table() {
        let all = [
            (End::Failed, 250),
            (End::NotTheApi, 250),
            (refused(Refusal::Server), 5_000),
            (refused(Refusal::RateLimit), 60_000),
            (refused(Refusal::TooManyConnections), 10_000),
            (refused(Refusal::Unauthorized), 10_000),
        ];
        for (end, first_ms) in all {
            let mut backoff = backoff();
            let mut wait_ms = || backoff.ended(START, end).until.0 - START.0;
            assert!(is_about(wait_ms(), first_ms), "{end:?}");
            assert!(first_ms * 2 <= wait_ms().max(wait_ms()), "{end:?} grows");
            backoff.held();
            let again = backoff.ended(START, end).until.0 - START.0;
            assert!(is_about(again, first_ms), "{end:?}: {again}");
        }
    }

    /// The rows whose alarm is none of refusals.
    #[test]
    fn what_a_person_has_to_mend_is_asked_for_again_soon() {
        for (end, why, alarm, expected_ms) in [
            (
                refused(Refusal::NoRules),
                WaitReason::NoRules,
                AlarmKind::Rules,
                [60_000, 60_000, 60_000],
            ),
            (
                End::NotTheApi,
                WaitReason::NotTheApi,
                AlarmKind::NotTheApi,
                [250, 500, 750],
            ),
        ] {
            let mut backoff = backoff();
            for expected_ms in expected_ms {
                let next = backoff.ended(START, end);
                assert_eq!((next.why, next.alarm), (why, Some(alarm)));
                assert!(is_about(next.until.0 - START.0, expected_ms), "{next:?}");
            }
        }
    }

    /// Two requests are left in the window. Four legs that start at once get one each at its own time, not all at once.
    #[test]
    fn the_first_requests_of_legs_are_promised_to_one_each() {
        let budget = ANSWERS_MAX + 3 * ANSWERS_PER_LEG;
        let allowance = Allowance::new(4, vec![START.plus_ms(-1_000); budget - 4]);
        let mut legs: Vec<Backoff> = (0..4)
            .map(|chance| Backoff::of_leg(chance, [], &allowance))
            .collect();
        let until: Vec<UtcMs> = legs.iter_mut().map(|leg| leg.first(START).until).collect();
        let at_once = until.iter().filter(|until| **until == START).count();
        assert!((1..4).contains(&at_once), "{until:?}");
        let different: std::collections::BTreeSet<&UtcMs> = until.iter().collect();
        assert!(2 < different.len(), "{until:?}");
    }
}
