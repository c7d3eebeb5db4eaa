//! What one stream sends at each moment: decided here without sockets, from the feed and the faults.
//!
//! The cursor is the delivery moment up to which everything was taken from the feed. A backfill is a
//! cursor that begins minutes ago; a stall is a cursor that stands still; a quiet time is a cursor
//! that moves without sending. Between two changes of the schedule the conditions are the same,
//! so a step goes from change to change and does not depend on how often it is called.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{
    answer,
    chance::Chance,
    extras,
    fault::{Fault, FaultKind},
    feed::{Feed, Piece},
    garbage,
    schedule::{Occurrence, Schedule, Target},
    selection::Selection,
};
use crate::period::UtcMs;

/// After so much silence an empty line is sent.
const KEEP_ALIVE_MS: i64 = 20_000;

/// How much one step gives at most; the next one continues.
const STEP_BYTES_MAX: usize = 256 << 10;

const KIND_GARBAGE: u64 = 0x6761_7262;

/// What is to be done, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Send these bytes.
    Send(Vec<u8>),
    /// Spoil the gzip stream's next bytes.
    Spoil,
    /// Send the first part of a line, then end in its middle.
    Tear(Bytes),
    /// A fault has hit this stream.
    Hit(Occurrence),
    /// These posts were sent.
    Sent(Span),
    /// An empty line was sent.
    KeptAlive,
    /// The stream is over.
    End(End),
}

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The body ends as if that were right; with or without the trailer of a gzip stream.
    Clean { trailer: bool },
    /// The connection is reset.
    Reset,
    /// The connection is closed in mid-chunk.
    Cut,
}

/// The posts sent out of one second of delivery moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(super) struct Span {
    /// The delivery moment of the first one …
    pub(super) from: UtcMs,
    /// … and of the last one.
    pub(super) to: UtcMs,
    /// How many lines of the feed, without repeats.
    pub(super) posts: u64,
    /// How many of them came twice.
    pub(super) repeats: u64,
    pub(super) first: Option<u64>,
    pub(super) last: Option<u64>,
}

struct Line {
    bytes: Bytes,
    /// `None` for what is not from the feed.
    from: Option<(UtcMs, Option<u64>)>,
    repeat: bool,
}

/// One stream.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, not a state machine"
)]
pub(super) struct Session {
    target: Target,
    selection: Selection,
    seed: u64,
    gzip: bool,
    /// Everything delivered up to here was taken from the feed.
    cursor: UtcMs,
    /// Everything the schedule says up to here has been done.
    moment: UtcMs,
    fresh: bool,
    over: bool,
    behind: bool,
    waiting: VecDeque<Line>,
    sent_of_first: usize,
    credit_per_mille: i64,
    last_byte: UtcMs,
    repeat_next: u32,
    errors_next: u32,
    span: Option<Span>,
}

/// What holds at a moment.
#[derive(Clone, Copy)]
enum Condition {
    Normal,
    Stalled,
    Quiet,
    Slow(i64),
}

impl Session {
    /// A stream opened at that moment.
    pub(super) fn new(
        (target, selection): (Target, Selection),
        seed: u64,
        opened: UtcMs,
        backfill_minutes: i64,
        gzip: bool,
    ) -> Self {
        Self {
            target,
            selection,
            seed,
            gzip,
            cursor: opened.plus_ms(-backfill_minutes * 60_000),
            moment: opened,
            fresh: true,
            over: false,
            behind: false,
            waiting: VecDeque::new(),
            sent_of_first: 0,
            credit_per_mille: 0,
            last_byte: opened,
            repeat_next: 0,
            errors_next: 0,
            span: None,
        }
    }

    /// All that is to be done up to `now`.
    pub(super) fn step(&mut self, now: UtcMs, feed: &mut Feed, schedule: &Schedule) -> Vec<Act> {
        let mut acts = Vec::new();
        self.behind = false;
        if self.fresh {
            self.fresh = false;
            let going_on: Vec<Occurrence> = schedule
                .active(self.moment, self.target)
                .map(|(one, _)| one)
                .collect();
            for one in going_on {
                self.strike(one, schedule, feed, &mut acts);
            }
        }
        while !self.over {
            let stop = schedule.next_change(self.moment, now).unwrap_or(now);
            let condition = self.condition(schedule);
            self.deliver(condition, stop, feed, &mut acts);
            if self.behind {
                break;
            }
            if self.moment < stop {
                self.moment = stop;
                for one in schedule.beginning(stop, self.target) {
                    self.strike(one, schedule, feed, &mut acts);
                }
            }
            if now <= stop {
                break;
            }
        }
        acts
    }

    /// When the next step is due.
    pub(super) fn next_wake(&self, feed: &mut Feed, schedule: &Schedule) -> UtcMs {
        if self.over || self.behind {
            return self.moment;
        }
        let horizon = self.moment.plus_ms(KEEP_ALIVE_MS);
        let change = schedule
            .next_change(self.moment, horizon)
            .unwrap_or(horizon);
        let own = match self.condition(schedule) {
            Condition::Stalled => horizon,
            Condition::Quiet => self.last_byte.plus_ms(KEEP_ALIVE_MS),
            Condition::Slow(_) => self.moment.plus_ms(1_000),
            Condition::Normal => {
                let keep_alive = self.last_byte.plus_ms(KEEP_ALIVE_MS);
                feed.next(self.cursor, horizon, self.selection)
                    .map_or(keep_alive, |piece| piece.at.min(keep_alive))
            }
        };
        change.min(own)
    }

    /// What was sent and not yet reported by an [`Act::Sent`].
    pub(super) const fn take_span(&mut self) -> Option<Span> {
        self.span.take()
    }

    fn condition(&self, schedule: &Schedule) -> Condition {
        let mut found = Condition::Normal;
        for (_, fault) in schedule.active(self.moment, self.target) {
            match (&fault.kind, found) {
                (FaultKind::Stall, _) => return Condition::Stalled,
                (FaultKind::Quiet, _) => found = Condition::Quiet,
                (FaultKind::Slow { bytes_per_s }, Condition::Normal) => {
                    found = Condition::Slow(i64::from(*bytes_per_s));
                }
                _ => (),
            }
        }
        found
    }

    fn deliver(&mut self, condition: Condition, stop: UtcMs, feed: &mut Feed, acts: &mut Vec<Act>) {
        match condition {
            Condition::Stalled => self.last_byte = stop,
            Condition::Quiet => {
                self.cursor = stop;
                self.keep_alive(stop, acts);
                self.emit(usize::MAX, acts);
            }
            Condition::Slow(bytes_per_s) => {
                self.credit_per_mille += bytes_per_s * (stop.0 - self.moment.0);
                while 1_000 <= self.credit_per_mille {
                    if self.waiting.is_empty() && !self.pull(stop, feed, acts) {
                        self.credit_per_mille = 0;
                        break;
                    }
                    let budget = usize::try_from(self.credit_per_mille / 1_000).unwrap_or(0);
                    let sent = i64::try_from(self.emit(budget, acts)).unwrap_or(0);
                    self.credit_per_mille -= sent * 1_000;
                }
                self.last_byte = stop;
            }
            Condition::Normal => {
                self.credit_per_mille = 0;
                let mut sent = 0;
                while self.pull(stop, feed, acts) || !self.waiting.is_empty() {
                    sent += self.emit(usize::MAX, acts);
                    if STEP_BYTES_MAX < sent && self.cursor < stop {
                        self.behind = true;
                        return;
                    }
                }
                self.keep_alive(stop, acts);
                self.emit(usize::MAX, acts);
            }
        }
    }

    /// Takes up to a second of what is due from the feed; false if nothing is left up to `stop`.
    fn pull(&mut self, stop: UtcMs, feed: &mut Feed, acts: &mut Vec<Act>) -> bool {
        if stop <= self.cursor {
            return false;
        }
        let to = self.cursor.plus_ms(1_000).min(stop);
        for piece in feed.due(self.cursor, to, self.selection) {
            self.keep_alive(piece.at, acts);
            self.last_byte = self.last_byte.max(piece.at);
            self.take(piece);
        }
        self.cursor = to;
        true
    }

    fn take(&mut self, piece: Piece) {
        let from = Some((piece.at, piece.id));
        let bytes = if 0 < self.errors_next {
            self.errors_next -= 1;
            with_errors(&piece.bytes)
        } else {
            piece.bytes
        };
        if 0 < self.repeat_next {
            self.repeat_next -= 1;
            self.waiting.push_back(Line {
                bytes: bytes.clone(),
                from,
                repeat: false,
            });
            self.waiting.push_back(Line {
                bytes,
                from,
                repeat: true,
            });
        } else {
            self.waiting.push_back(Line {
                bytes,
                from,
                repeat: false,
            });
        }
    }

    /// Puts in the empty lines that a silence up to `at` asks for.
    fn keep_alive(&mut self, at: UtcMs, acts: &mut Vec<Act>) {
        while self.last_byte.plus_ms(KEEP_ALIVE_MS) <= at {
            self.last_byte = self.last_byte.plus_ms(KEEP_ALIVE_MS);
            self.add(Bytes::from_static(b"\r\n"));
            acts.push(Act::KeptAlive);
        }
    }

    fn add(&mut self, bytes: Bytes) {
        self.waiting.push_back(Line {
            bytes,
            from: None,
            repeat: false,
        });
    }

    /// Sends up to that many of the waiting bytes; gives how many.
    fn emit(&mut self, budget: usize, acts: &mut Vec<Act>) -> usize {
        let mut out = Vec::new();
        let mut told = Vec::new();
        while let Some(line) = self.waiting.front() {
            let rest = line.bytes.get(self.sent_of_first..).unwrap_or(&[]);
            let room = budget - out.len();
            if room < rest.len() {
                out.extend_from_slice(&rest[..room]);
                self.sent_of_first += room;
                break;
            }
            out.extend_from_slice(rest);
            self.sent_of_first = 0;
            if let Some(Line {
                from: Some((at, id)),
                repeat,
                ..
            }) = self.waiting.pop_front()
            {
                told.extend(self.tally(at, id, repeat));
            }
        }
        let sent = out.len();
        if 0 < sent {
            acts.push(Act::Send(out));
        }
        acts.extend(told.into_iter().map(Act::Sent));
        sent
    }

    /// Counts a line; gives the span before it, if the line begins another.
    fn tally(&mut self, at: UtcMs, id: Option<u64>, repeat: bool) -> Option<Span> {
        let (posts, repeats) = if repeat { (0, 1) } else { (1, 0) };
        match &mut self.span {
            Some(span) if span.from.second() == at.second() => {
                (span.to, span.last) = (at, id);
                span.posts += posts;
                span.repeats += repeats;
                None
            }
            other => other.replace(Span {
                from: at,
                to: at,
                posts,
                repeats,
                first: id,
                last: id,
            }),
        }
    }

    /// Does what a fault does at its beginning, or to a stream opened while it lasts.
    fn strike(
        &mut self,
        one: Occurrence,
        schedule: &Schedule,
        feed: &mut Feed,
        acts: &mut Vec<Act>,
    ) {
        let fault: &Fault = schedule.fault(one);
        let only_gzip = matches!(fault.kind, FaultKind::GzipDamage | FaultKind::NoTrailer);
        let spares = matches!(fault.kind, FaultKind::Lockout { close: false });
        if self.over || !fault.kind.hits_streams() || spares || only_gzip && !self.gzip {
            return;
        }
        acts.push(Act::Hit(one));
        match &fault.kind {
            FaultKind::Drop { trailer } => self.end(End::Clean { trailer: *trailer }, acts),
            FaultKind::NoTrailer | FaultKind::Lockout { .. } => {
                self.end(End::Clean { trailer: false }, acts);
            }
            FaultKind::Brief => {
                if let Some(piece) = feed.next(
                    self.cursor,
                    self.cursor.plus_ms(KEEP_ALIVE_MS),
                    self.selection,
                ) {
                    self.take(piece);
                }
                self.emit(usize::MAX, acts);
                self.end(End::Clean { trailer: false }, acts);
            }
            FaultKind::Reset | FaultKind::Cut => {
                let next = feed.next(
                    self.cursor,
                    self.cursor.plus_ms(3 * KEEP_ALIVE_MS),
                    self.selection,
                );
                let line = next.map_or(Bytes::from_static(b"{\"data\":{\"id\":\"1"), |piece| {
                    piece.bytes
                });
                acts.push(Act::Tear(line));
                let reset = fault.kind == FaultKind::Reset;
                self.end(if reset { End::Reset } else { End::Cut }, acts);
            }
            FaultKind::ErrorFrame { disconnect_type } => {
                self.add(answer::error_frame(disconnect_type).into());
                self.emit(usize::MAX, acts);
                self.end(End::Clean { trailer: false }, acts);
            }
            FaultKind::PartialErrors { count } => self.errors_next += count,
            FaultKind::Duplicates { count } => self.repeat_next += count,
            FaultKind::Garbage { line, bytes } => {
                let kinds = line.as_ref().map_or(garbage::ALL, std::slice::from_ref);
                let case = one.begin.0.unsigned_abs();
                let mut chance = Chance::of(self.seed, KIND_GARBAGE, case);
                for kind in kinds {
                    self.add(garbage::line(*kind, *bytes, one.begin, &mut chance).into());
                }
                self.emit(usize::MAX, acts);
            }
            FaultKind::GzipDamage => acts.push(Act::Spoil),
            _ => (),
        }
    }

    fn end(&mut self, how: End, acts: &mut Vec<Act>) {
        self.over = true;
        acts.extend(self.span.take().map(Act::Sent));
        acts.push(Act::End(how));
    }
}

/// The line with errors beside its data, as the API adds them when a referred post is gone.
fn with_errors(line: &Bytes) -> Bytes {
    let has_them = memchr::memmem::find(line, b"],\"errors\":[").is_some();
    match line.strip_suffix(b"}\r\n") {
        Some(inside) if !has_them => {
            let mut out = inside.to_vec();
            extras::put_errors(
                "1541815603606036480",
                "referenced_tweets.id",
                "tweet",
                &mut out,
            );
            out.extend_from_slice(b"}\r\n");
            Bytes::from(out)
        }
        _ => line.clone(),
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
