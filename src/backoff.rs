//! When to ask the API again: how attempts ended goes in, how long to wait and why comes out.
//!
//! The table of waits stands here and nowhere else, as values without sockets or clocks. Counters
//! go back to zero after the first line of a connection, not after its status 200. Besides the
//! table there is a budget of HTTP answers, since every server of a set-up draws on the same limit.

use std::collections::VecDeque;

use crate::{period::UtcMs, segment::event::Why};

/// Reconnecting at once is for streams that were up; beyond this many times …
const AT_ONCE_MAX: usize = 5;
/// … within this time it is a failure like any other.
const AT_ONCE_WINDOW_MS: i64 = 10_000;

/// Network failures wait this much longer each time, as X recommends …
const NETWORK_STEP_MS: i64 = 250;
/// … up to this.
const NETWORK_MAX_MS: i64 = 16_000;

/// Answers in the sliding window: less than half of the 50 that X allows an app, for two servers.
const ANSWERS_MAX: usize = 20;
/// The sliding window of X's rate limits; no limit can hold longer than it.
const WINDOW_MS: i64 = 15 * 60_000;

/// After a limit's end, so that two clocks need not agree to the second.
const AFTER_RESET_MS: i64 = 1_000;

/// What X asks for at most.
const BACKFILL_MINUTES_MAX: i64 = 5;

/// Why the API did not answer with a stream: what the row of waits depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 5xx, 408, and whatever else is the API's own trouble.
    Server,
    /// 429: too many requests.
    RateLimit,
    /// 429: more connections than allowed; often our own last one, not yet seen to be dead.
    TooManyConnections,
    /// 429: a change of the subscription is under way.
    Provisioning,
    /// 429 with the type usage-capped, or 402: paid volume is used up.
    UsageCap,
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
    /// A stream that had given something broke, or one fell silent.
    Dropped,
    /// There was no answer, or a stream that gave nothing.
    Failed,
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
    /// The row of the table.
    pub why: Why,
    /// A person has to do something about it. What passes by itself is told as what it leads to: no posts.
    pub alarm: bool,
}

/// Counts what went wrong since the last line.
#[derive(Debug, Default)]
pub struct Backoff {
    network: u32,
    server: u32,
    rate_limit: u32,
    connections: u32,
    unauthorized: u32,
    /// Streams that broke although they had used up their reconnections at once.
    flapping: u32,
    at_once: VecDeque<UtcMs>,
    answers: VecDeque<UtcMs>,
    limit: RateLimit,
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
    /// At the start of a run.
    pub fn new() -> Self {
        Self::default()
    }

    /// The API has answered a request, with whatever status.
    pub fn answered(&mut self, now: UtcMs, limit: RateLimit) {
        self.limit = limit;
        self.answers.push_back(now);
        if ANSWERS_MAX < self.answers.len() {
            self.answers.pop_front();
        }
    }

    /// A line or keep-alive has come: what went wrong before is over.
    pub fn heard(&mut self) {
        self.network = 0;
        self.server = 0;
        self.rate_limit = 0;
        self.connections = 0;
        self.unauthorized = 0;
    }

    /// Whether backfill may be asked for; never again in this run once it was refused.
    pub fn may_backfill(&self) -> bool {
        !self.without_backfill
    }

    /// An attempt has ended: when is the next, and why then?
    pub fn ended(&mut self, now: UtcMs, end: End) -> Next {
        let (wait_ms, why, alarm) = match end {
            End::Local => (0, Why::DiskFull, false),
            End::Dropped => self.dropped(now),
            End::Failed => (linear(count(&mut self.network)), Why::Network, false),
            End::Refused {
                refusal,
                with_backfill,
            } => self.refused(now, refusal, with_backfill),
        };
        let next = Next {
            until: now.plus_ms(wait_ms),
            why,
            alarm,
        };
        match self.budget_allows(now) {
            Some(until) if next.until < until => Next {
                until,
                why: Why::Budget,
                alarm,
            },
            _ => next,
        }
    }

    fn dropped(&mut self, now: UtcMs) -> (i64, Why, bool) {
        let window_begin = now.plus_ms(-AT_ONCE_WINDOW_MS);
        while self.at_once.front().is_some_and(|at| *at <= window_begin) {
            self.at_once.pop_front();
        }
        if self.at_once.len() < AT_ONCE_MAX {
            self.at_once.push_back(now);
            self.flapping = 0;
            (0, Why::Reconnect, false)
        } else {
            (linear(count(&mut self.flapping)), Why::Flapping, false)
        }
    }

    fn refused(&mut self, now: UtcMs, refusal: Refusal, with_backfill: bool) -> (i64, Why, bool) {
        const MINUTE_MS: i64 = 60_000;
        const SERVER_MAX_MS: i64 = 320_000;
        match refusal {
            Refusal::Server => {
                let wait_ms = doubling(5_000, count(&mut self.server), SERVER_MAX_MS);
                (wait_ms, Why::ServerError, false)
            }
            Refusal::RateLimit => match self.limit.reset {
                Some(reset) if now < reset => (until_reset(now, reset), Why::RateLimit, false),
                _ => {
                    let wait_ms = doubling(MINUTE_MS, count(&mut self.rate_limit), WINDOW_MS);
                    (wait_ms, Why::RateLimit, false)
                }
            },
            Refusal::TooManyConnections => {
                let wait_ms = match count(&mut self.connections) {
                    0 => 10_000,
                    before => doubling(MINUTE_MS, before - 1, 5 * MINUTE_MS),
                };
                (wait_ms, Why::TooManyConnections, false)
            }
            Refusal::Provisioning => (MINUTE_MS, Why::Provisioning, false),
            Refusal::UsageCap => (WINDOW_MS, Why::UsageCap, true),
            Refusal::Unauthorized => {
                let wait_ms = doubling(10_000, count(&mut self.unauthorized), WINDOW_MS);
                (wait_ms, Why::Unauthorized, true)
            }
            Refusal::BadRequest if with_backfill && !self.without_backfill => {
                self.without_backfill = true;
                (0, Why::NoBackfill, false)
            }
            Refusal::BadRequest => (WINDOW_MS, Why::BadRequest, true),
            Refusal::NotFound => (WINDOW_MS, Why::NotFound, true),
        }
    }

    /// From when on another answer fits into the budget; `None`: it does now.
    fn budget_allows(&self, now: UtcMs) -> Option<UtcMs> {
        match (self.limit.remaining, self.limit.reset) {
            (Some(0), Some(reset)) if now < reset => Some(now.plus_ms(until_reset(now, reset))),
            (Some(left), _) if 0 < left => None,
            _ => {
                let oldest = self.answers.front()?;
                let free_again = oldest.plus_ms(WINDOW_MS);
                (self.answers.len() == ANSWERS_MAX && now < free_again).then_some(free_again)
            }
        }
    }
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

/// How many minutes of backfill make up for everything since the last line; none if there has
/// never been one.
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
    use super::*;

    const START: UtcMs = UtcMs(1_795_442_400_000);

    fn refused(refusal: Refusal) -> End {
        End::Refused {
            refusal,
            with_backfill: false,
        }
    }

    /// The waits, in ms, and rows when the same end comes again and again, each as soon as it may.
    #[track_caller]
    fn check_waits(end: End, times: usize, why: Why, alarms: bool, expected_ms: &[i64]) {
        let mut backoff = Backoff::new();
        let mut now = START;
        let waits: Vec<i64> = (0..times)
            .map(|_| {
                let next = backoff.ended(now, end);
                let wait_ms = next.until.0 - now.0;
                assert_eq!(next.why, why);
                assert_eq!(next.alarm, alarms);
                now = next.until.plus_ms(20_000);
                wait_ms
            })
            .collect();
        assert_eq!(waits, expected_ms);
    }

    #[test]
    fn each_row_of_the_table() {
        let s = |seconds: &[i64]| -> Vec<i64> { seconds.iter().map(|s| s * 1_000).collect() };
        check_waits(End::Dropped, 4, Why::Reconnect, false, &[0, 0, 0, 0]);
        check_waits(End::Local, 2, Why::DiskFull, false, &[0, 0]);
        check_waits(
            refused(Refusal::Server),
            9,
            Why::ServerError,
            false,
            &s(&[5, 10, 20, 40, 80, 160, 320, 320, 320]),
        );
        check_waits(
            refused(Refusal::RateLimit),
            6,
            Why::RateLimit,
            false,
            &s(&[60, 120, 240, 480, 900, 900]),
        );
        check_waits(
            refused(Refusal::TooManyConnections),
            6,
            Why::TooManyConnections,
            false,
            &s(&[10, 60, 120, 240, 300, 300]),
        );
        check_waits(
            refused(Refusal::Provisioning),
            3,
            Why::Provisioning,
            false,
            &s(&[60, 60, 60]),
        );
        check_waits(
            refused(Refusal::UsageCap),
            2,
            Why::UsageCap,
            true,
            &s(&[900, 900]),
        );
        check_waits(
            refused(Refusal::Unauthorized),
            8,
            Why::Unauthorized,
            true,
            &s(&[10, 20, 40, 80, 160, 320, 640, 900]),
        );
        check_waits(
            refused(Refusal::BadRequest),
            2,
            Why::BadRequest,
            true,
            &s(&[900, 900]),
        );
        check_waits(
            refused(Refusal::NotFound),
            2,
            Why::NotFound,
            true,
            &s(&[900, 900]),
        );
    }

    #[test]
    fn network_failures_wait_a_quarter_second_longer_each_time() {
        let mut backoff = Backoff::new();
        let waits: Vec<i64> = (0..66)
            .map(|_| backoff.ended(START, End::Failed).until.0 - START.0)
            .collect();
        let mut expected: Vec<i64> = (1..=64).map(|n| n * 250).collect();
        expected.extend([16_000, 16_000]);
        assert_eq!(waits, expected);
        backoff.heard();
        assert_eq!(
            backoff.ended(START, End::Failed).until,
            START.plus_ms(250),
            "a line puts the counters back"
        );
    }

    #[test]
    fn a_stream_that_breaks_all_the_time_is_not_asked_again_in_a_loop() {
        let mut backoff = Backoff::new();
        let mut now = START;
        let mut waits = Vec::new();
        for _ in 0..9 {
            backoff.heard();
            let next = backoff.ended(now, End::Dropped);
            waits.push((next.until.0 - now.0, next.why));
            now = next.until.plus_ms(100);
        }
        assert_eq!(&waits[..5], [(0, Why::Reconnect); 5]);
        assert_eq!(
            &waits[5..],
            [250, 500, 750, 1_000].map(|ms| (ms, Why::Flapping))
        );
        let later = now.plus_ms(10_000);
        assert_eq!(backoff.ended(later, End::Dropped).until, later);
    }

    #[test]
    fn a_rate_limit_holds_until_its_reset_and_a_second() {
        let mut backoff = Backoff::new();
        let mut wait = |reset_ms: i64| {
            let limit = RateLimit {
                remaining: Some(0),
                reset: Some(START.plus_ms(reset_ms)),
            };
            backoff.answered(START, limit);
            let next = backoff.ended(START, refused(Refusal::RateLimit));
            (next.until.0 - START.0, next.why)
        };
        assert_eq!(wait(7_000), (8_000, Why::RateLimit));
        assert_eq!(wait(24 * 3_600_000), (900_000, Why::RateLimit));
        assert_eq!(wait(-1), (60_000, Why::RateLimit), "a reset in the past");
    }

    #[test]
    fn the_twentieth_answer_in_a_quarter_of_an_hour_is_the_last() {
        let mut backoff = Backoff::new();
        let answer = |backoff: &mut Backoff, second: i64, limit: RateLimit| {
            let now = START.plus_ms(second * 1_000);
            backoff.answered(now, limit);
            backoff.heard();
            let next = backoff.ended(now, End::Dropped);
            (next.until.0 - START.0, next.why)
        };
        let silent = RateLimit::default();
        for n in 0..19 {
            let at = n * 20;
            assert_eq!(
                answer(&mut backoff, at, silent),
                (at * 1_000, Why::Reconnect)
            );
        }
        assert_eq!(
            answer(&mut backoff, 400, silent),
            (900_000, Why::Budget),
            "when the first one leaves the window"
        );
        assert_eq!(answer(&mut backoff, 900, silent), (920_000, Why::Budget));
        let left = RateLimit {
            remaining: Some(3),
            reset: None,
        };
        assert_eq!(
            answer(&mut backoff, 901, left),
            (901_000, Why::Reconnect),
            "the API knows better"
        );
        let none_left = RateLimit {
            remaining: Some(0),
            reset: Some(START.plus_ms(950_000)),
        };
        assert_eq!(answer(&mut backoff, 902, none_left), (951_000, Why::Budget));
    }

    #[test]
    fn backfill_that_is_refused_is_left_out_at_once_and_for_good() {
        let mut backoff = Backoff::new();
        assert!(backoff.may_backfill());
        let with = End::Refused {
            refusal: Refusal::BadRequest,
            with_backfill: true,
        };
        let next = backoff.ended(START, with);
        assert_eq!((next.until, next.why), (START, Why::NoBackfill));
        backoff.heard();
        assert!(!backoff.may_backfill());
        let again = backoff.ended(START, with);
        assert_eq!((again.until.0 - START.0, again.alarm), (900_000, true));
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
}
