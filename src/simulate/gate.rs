//! Who gets a stream: tokens, limits, and the answers that faults give instead.

use std::collections::BTreeMap;

use super::{
    answer::Answer,
    ask::{self, Asked},
    fault::FaultKind,
    rules,
    schedule::{Occurrence, Schedule, Target},
    selection::{Offer, Selection},
};
use crate::period::UtcMs;

/// The window of the rate limit.
const WINDOW_MS: i64 = 15 * 60_000;

/// What may be had.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The bearer token that is let in.
    pub token: String,
    /// Which streams it may have: sample, sample10, firehose, filtered.
    pub streams: Vec<String>,
    /// Streams open at the same time, over all listeners, of each partition where a stream has some.
    pub connections_max: usize,
    /// Requests in 15 minutes, over all listeners.
    pub requests_max: u32,
    /// Whether `backfill_minutes` may be asked for.
    pub backfill_right: bool,
}

impl Limits {
    fn may_have(&self, stream: &str) -> bool {
        self.streams.iter().any(|may| may == stream)
    }
}

/// The state of the limits.
#[derive(Debug)]
pub(super) struct Gate {
    limits: Limits,
    window_begin: UtcMs,
    used: u32,
    /// The budgets for requests that read the rules, and for those that change them.
    used_of_rules: [u32; 2],
    /// The streams that are open, by path and partition.
    open: BTreeMap<(&'static str, Option<u8>), usize>,
}

/// What a request says, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) is_get: bool,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) authorization: Option<&'a str>,
    /// Whether the app has rules.
    pub(super) has_rules: bool,
}

/// The decision.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A stream.
    Stream(Offer, Asked),
    /// An answer, and the fault that gave it, if it was one.
    Answer(Answer, Option<Occurrence>),
}

/// The three headers of the rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) limit: u32,
    pub(super) remaining: u32,
    pub(super) reset: i64,
}

impl Gate {
    pub(super) fn new(limits: Limits, now: UtcMs) -> Self {
        Self {
            limits,
            window_begin: now,
            used: 0,
            used_of_rules: [0; 2],
            open: BTreeMap::new(),
        }
    }

    /// Decides on a request. A stream that it grants counts as open until [`Gate::closed`].
    pub(super) fn decide(
        &mut self,
        now: UtcMs,
        request: Request<'_>,
        target: Target,
        schedule: &Schedule,
    ) -> Verdict {
        let Some(offer) = Offer::of(request.path).filter(|_| request.is_get) else {
            return Verdict::Answer(Answer::NotFound, None);
        };
        let expected = format!("Bearer {}", self.limits.token);
        if request.authorization != Some(expected.as_str()) {
            return Verdict::Answer(Answer::Unauthorized, None);
        }
        self.count(now);
        for (occurrence, fault) in schedule.active(now, target) {
            match &fault.kind {
                FaultKind::Status(answer) => {
                    return Verdict::Answer(answer.clone(), Some(occurrence));
                }
                FaultKind::Portal(portal) => {
                    return Verdict::Answer(Answer::Portal(*portal), Some(occurrence));
                }
                FaultKind::Lockout { .. } => {
                    return Verdict::Answer(Answer::TooManyConnections, Some(occurrence));
                }
                _ => (),
            }
        }
        if self.limits.requests_max < self.used {
            return Verdict::Answer(Answer::RateLimit, None);
        }
        if !self.limits.may_have(offer.word) {
            return Verdict::Answer(Answer::ClientForbidden, None);
        }
        if offer.by_rules && !request.has_rules {
            return Verdict::Answer(Answer::NoRules, None);
        }
        let asked = match ask::read(offer, request.query, self.limits.backfill_right) {
            Ok(asked) => asked,
            Err(answer) => return Verdict::Answer(answer, None),
        };
        let key = (offer.path, asked.selection.partition());
        let open = self.open.entry(key).or_default();
        if self.limits.connections_max <= *open {
            return Verdict::Answer(Answer::TooManyConnections, None);
        }
        *open += 1;
        Verdict::Stream(offer, asked)
    }

    /// Decides on a request that reads or changes the rules, which have budgets of their own: `None`, or why it gets none.
    pub(super) fn decide_rules(
        &mut self,
        (now, is_change): (UtcMs, bool),
        authorization: Option<&str>,
        target: Target,
        schedule: &Schedule,
    ) -> Option<(Answer, Option<Occurrence>)> {
        let expected = format!("Bearer {}", self.limits.token);
        if authorization != Some(expected.as_str()) {
            return Some((Answer::Unauthorized, None));
        }
        self.turn(now);
        let [reads, changes] = &mut self.used_of_rules;
        let used = if is_change { changes } else { reads };
        *used = used.saturating_add(1);
        for (occurrence, fault) in schedule.active(now, target) {
            if let FaultKind::Rules(answer) = &fault.kind {
                return Some((answer.clone(), Some(occurrence)));
            }
        }
        if !self.limits.may_have("filtered") {
            return Some((Answer::ClientForbidden, None));
        }
        let (used, most) = self.of_rules(is_change);
        (most < used).then_some((Answer::RateLimit, None))
    }

    fn count(&mut self, now: UtcMs) {
        self.turn(now);
        self.used = self.used.saturating_add(1);
    }

    /// Begins the next window, if it is time.
    fn turn(&mut self, now: UtcMs) {
        let windows = (now.0 - self.window_begin.0).div_euclid(WINDOW_MS);
        if windows != 0 {
            self.window_begin = self.window_begin.plus_ms(windows * WINDOW_MS);
            (self.used, self.used_of_rules) = (0, [0; 2]);
        }
    }

    /// How many requests of a kind there were in this window, and how many may be.
    const fn of_rules(&self, is_change: bool) -> (u32, u32) {
        let [reads, changes] = self.used_of_rules;
        if is_change {
            (changes, rules::CHANGES_MAX)
        } else {
            (reads, rules::READS_MAX)
        }
    }

    /// What the headers of an answer to such a request say.
    pub(super) fn rate_of_rules(&self, is_change: bool) -> Rate {
        let (used, limit) = self.of_rules(is_change);
        Rate {
            limit,
            remaining: limit.saturating_sub(used),
            reset: self.window_begin.plus_ms(WINDOW_MS).second(),
        }
    }

    /// What the headers say after the last request.
    pub(super) fn rate(&self, answer: Option<&Answer>) -> Rate {
        let left = self.limits.requests_max.saturating_sub(self.used);
        Rate {
            limit: self.limits.requests_max,
            remaining: if answer == Some(&Answer::RateLimit) {
                0
            } else {
                left
            },
            reset: self.window_begin.plus_ms(WINDOW_MS).second(),
        }
    }

    /// Notes that a stream is over.
    pub(super) fn closed(&mut self, offer: Offer, selection: Selection) {
        if let Some(open) = self.open.get_mut(&(offer.path, selection.partition())) {
            *open = open.saturating_sub(1);
        }
    }

    /// How many streams are open.
    pub(super) fn open(&self) -> usize {
        self.open.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fault, *};

    const START: UtcMs = UtcMs(1_795_435_200_000);
    const ASK: Request<'_> = Request {
        has_rules: false,
        is_get: true,
        path: "/2/tweets/sample/stream",
        query: "",
        authorization: Some("Bearer secret"),
    };

    fn gate() -> Gate {
        let limits = Limits {
            token: "secret".to_owned(),
            streams: ["sample", "firehose"].map(str::to_owned).to_vec(),
            connections_max: 2,
            requests_max: 5,
            backfill_right: true,
        };
        Gate::new(limits, START)
    }

    fn closed(gate: &mut Gate) {
        gate.closed(Offer::of(ASK.path).unwrap(), Selection::All);
    }

    fn schedule(toml: &str) -> Schedule {
        Schedule::new(fault::parse(toml).unwrap(), 1, START)
    }

    #[track_caller]
    fn check(gate: &mut Gate, at_s: i64, request: Request<'_>, status: u16) {
        check_with(gate, at_s, request, &schedule(""), status);
    }

    #[track_caller]
    fn check_with(gate: &mut Gate, at_s: i64, request: Request<'_>, on: &Schedule, status: u16) {
        let target = Target {
            listener: 1,
            connection: None,
            partition: None,
        };
        let found = match gate.decide(START.plus_ms(at_s * 1_000), request, target, on) {
            Verdict::Stream(..) => 200,
            Verdict::Answer(answer, _) => answer.status(),
        };
        assert_eq!(found, status);
    }

    #[test]
    fn only_the_token_and_the_path_open_the_stream() {
        let mut gate = gate();
        check(
            &mut gate,
            0,
            Request {
                authorization: None,
                ..ASK
            },
            401,
        );
        check(
            &mut gate,
            0,
            Request {
                authorization: Some("Bearer x"),
                ..ASK
            },
            401,
        );
        check(
            &mut gate,
            0,
            Request {
                authorization: Some("secret"),
                ..ASK
            },
            401,
        );
        check(
            &mut gate,
            0,
            Request {
                path: "/2/tweets",
                ..ASK
            },
            404,
        );
        check(
            &mut gate,
            0,
            Request {
                is_get: false,
                ..ASK
            },
            404,
        );
        check(
            &mut gate,
            0,
            Request {
                query: "partition=1",
                ..ASK
            },
            400,
        );
        check(&mut gate, 0, ASK, 200);
        let not_granted = Request {
            path: "/2/tweets/sample10/stream",
            query: "partition=1",
            ..ASK
        };
        check(&mut gate, 0, not_granted, 403);
    }

    #[test]
    fn where_there_are_partitions_one_must_be_named_and_each_has_its_places() {
        let mut gate = Gate::new(
            Limits {
                requests_max: 50,
                ..gate().limits
            },
            START,
        );
        let firehose = |query| Request {
            path: "/2/tweets/firehose/stream",
            query,
            ..ASK
        };
        for wrong in ["", "partition=0", "partition=21", "partition=x"] {
            check(&mut gate, 0, firehose(wrong), 400);
        }
        for status in [200, 200, 429] {
            check(&mut gate, 0, firehose("partition=20"), status);
        }
        check(&mut gate, 0, firehose("partition=1"), 200);
    }

    #[test]
    fn connections_and_requests_are_limited() {
        let mut gate = gate();
        check(&mut gate, 0, ASK, 200);
        check(&mut gate, 1, ASK, 200);
        check(&mut gate, 2, ASK, 429);
        assert_eq!(gate.rate(Some(&Answer::TooManyConnections)).remaining, 2);
        closed(&mut gate);
        check(&mut gate, 3, ASK, 200);
        closed(&mut gate);
        check(&mut gate, 4, ASK, 200);
        closed(&mut gate);
        check(&mut gate, 5, ASK, 429);
        let expected = Rate {
            limit: 5,
            remaining: 0,
            reset: START.second() + 900,
        };
        assert_eq!(gate.rate(Some(&Answer::RateLimit)), expected);
        check(&mut gate, 900, ASK, 200);
    }

    #[test]
    fn faults_answer_in_the_stream_s_place() {
        let faults = schedule(
            "[[fault]]\nat = \"10s\"\nfor = \"5s\"\nkind = \"lockout\"\n\
             [[fault]]\nat = \"20s\"\nfor = \"5s\"\nkind = \"status\"\nstatus = 503",
        );
        let mut gate = gate();
        check_with(&mut gate, 10, ASK, &faults, 429);
        check_with(&mut gate, 15, ASK, &faults, 200);
        check_with(&mut gate, 24, ASK, &faults, 503);
        check_with(&mut gate, 25, ASK, &faults, 200);
    }
}
