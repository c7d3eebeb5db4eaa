//! What one subscriber gets at each moment: decided here without sockets, from the feed and the faults.
//!
//! `taken_us` is the moment up to which everything was taken from the instance. A replay is one that begins
//! earlier; a stall is one that stands still; a quiet time is one that moves without sending. Between two changes of
//! the schedule the conditions are the same, so a step does not depend on how often it is called.

use serde::Serialize;

use super::{
    frame,
    instance::{Feed, Piece},
    wanted::Wanted,
};
use crate::{
    period::UtcMs,
    simulate::{
        chance::Chance,
        fault::FaultKind,
        garbage,
        schedule::{Occurrence, Schedule, Target},
    },
};

/// How often the server pings.
const PING_MS: i64 = 30_000;

/// How much one step gives at most; the next one continues.
const STEP_BYTES_MAX: usize = 256 << 10;

/// `time_us` and the order of arrival are less than this apart.
const APART_US: i64 = 2_000_000;

const KIND_GARBAGE: u64 = 0x0062_6761_7262;

/// What is to be done, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Send an event.
    Event(Vec<u8>),
    /// Send these bytes as a text frame, whatever they are.
    Frame(Vec<u8>),
    /// Send a binary frame that nobody can read.
    UnknownDictionary,
    /// Ping.
    Ping,
    /// A fault has hit this stream.
    Hit(Occurrence),
    /// Events are sent from here on.
    Begin(Begin),
    /// These events were sent.
    Delivered(Span),
    /// The stream is over.
    End(End),
}

/// How a stream ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// With a close frame.
    Close { code: u16, reason: String },
    /// The connection is closed between two frames, without a word.
    Drop,
    /// The connection is reset in the middle of this event.
    Reset(Vec<u8>),
    /// The connection is closed in the middle of this event.
    Cut(Vec<u8>),
}

/// Where the events of a stream begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(in crate::simulate) struct Begin {
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cursor: Option<i64>,
    /// The `time_us` from which events come; absent for a live stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) from_us: Option<i64>,
    /// Whether the cursor was older than the oldest event.
    pub(super) clamped: bool,
}

/// The events sent of those that reached the instance in one second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::simulate) struct Span {
    /// The `time_us` of the first one …
    pub(super) from_us: i64,
    /// … and of the last one.
    pub(super) to_us: i64,
    /// How many, without repeats.
    pub(super) events: u64,
    /// How many of them came twice.
    pub(super) repeats: u64,
    /// The key of the first one …
    pub(super) first: String,
    /// … and of the last one.
    pub(super) last: String,
    #[serde(skip)]
    second: i64,
}

/// What all subscribers of a server share.
pub(super) struct SessionContext<'a> {
    pub(super) feed: &'a mut Feed,
    pub(super) schedule: &'a Schedule,
    pub(super) seed: u64,
    /// How far back cursors reach.
    pub(super) window_ms: i64,
}

/// One subscriber.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, not a state machine"
)]
pub(super) struct Session {
    target: Target,
    wanted: Wanted,
    cursor: Option<i64>,
    /// Everything that reached the instance up to here was taken.
    taken_us: i64,
    /// Everything the schedule says up to here has been done.
    moment: UtcMs,
    fresh: bool,
    awaits_hello: bool,
    begun: bool,
    over: bool,
    behind: bool,
    /// Nothing comes any more; whether pings do.
    stale: Option<bool>,
    last_ping: UtcMs,
    repeat_next: u32,
    span: Option<Span>,
}

/// What holds at a moment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Normal,
    /// Nothing comes, and what was due comes later.
    Stalled,
    /// Only pings come.
    Quiet,
    /// Nothing comes, and what was due never does.
    Mute,
}

impl Session {
    /// A stream opened at that moment.
    pub(super) fn new(
        target: Target,
        opened: UtcMs,
        wanted: Wanted,
        cursor: Option<i64>,
        hello: bool,
    ) -> Self {
        Self {
            target,
            wanted,
            cursor,
            taken_us: opened.0 * 1_000,
            moment: opened,
            fresh: true,
            awaits_hello: hello,
            begun: false,
            over: false,
            behind: false,
            stale: None,
            last_ping: opened,
            repeat_next: 0,
            span: None,
        }
    }

    /// Other options hold from now on; with the first ones a stream that waits for them begins.
    pub(super) fn update(&mut self, wanted: Wanted) {
        self.wanted = wanted;
        self.awaits_hello = false;
    }

    /// Whether the server hears nothing, so that not even a ping is answered.
    pub(super) fn is_deaf(&self, schedule: &Schedule) -> bool {
        matches!(
            self.condition(schedule),
            Condition::Stalled | Condition::Mute
        )
    }

    /// All that is to be done up to `now`.
    pub(super) fn step(&mut self, now: UtcMs, context: &mut SessionContext<'_>) -> Vec<Act> {
        let mut acts = Vec::new();
        self.behind = false;
        if self.fresh {
            self.fresh = false;
            let going_on: Vec<Occurrence> = context
                .schedule
                .active(self.moment, self.target)
                .map(|(one, _)| one)
                .collect();
            for one in going_on {
                self.strike(one, context, &mut acts);
            }
        }
        if !self.begun && !self.awaits_hello {
            self.begun = true;
            let begin = self.begin(context);
            acts.push(Act::Begin(begin));
        }
        while !self.over {
            let stop = context
                .schedule
                .next_change(self.moment, now)
                .unwrap_or(now);
            self.deliver(stop, context, &mut acts);
            if self.behind || self.over {
                break;
            }
            if self.moment < stop {
                self.moment = stop;
                for one in context.schedule.beginning(stop, self.target) {
                    self.strike(one, context, &mut acts);
                }
            }
            if now <= stop {
                break;
            }
        }
        acts
    }

    /// When the next step is due.
    pub(super) fn next_wake(&self, context: &mut SessionContext<'_>) -> UtcMs {
        if self.over || self.behind {
            return self.moment;
        }
        let horizon = self.moment.plus_ms(PING_MS);
        let change = context
            .schedule
            .next_change(self.moment, horizon)
            .unwrap_or(horizon);
        let ping = self.last_ping.plus_ms(PING_MS);
        let own = match self.condition(context.schedule) {
            Condition::Stalled | Condition::Mute => horizon,
            Condition::Quiet => ping,
            Condition::Normal if self.awaits_hello => ping,
            Condition::Normal => {
                let (breadth, until_us) = (self.wanted.breadth(), horizon.0 * 1_000);
                let next =
                    context
                        .feed
                        .next(self.target.listener, breadth, self.taken_us, until_us);
                // not before the whole millisecond in which it comes is over
                next.map_or(ping, |piece| {
                    UtcMs(piece.at_us.div_euclid(1_000) + 1).min(ping)
                })
            }
        };
        change.min(own)
    }

    /// What was sent and not yet reported by an [`Act::Delivered`].
    pub(super) const fn take_span(&mut self) -> Option<Span> {
        self.span.take()
    }

    /// Where it begins: at the cursor, at the oldest event, or with what comes now.
    fn begin(&mut self, context: &mut SessionContext<'_>) -> Begin {
        let now_us = self.moment.0 * 1_000;
        self.taken_us = self.taken_us.max(now_us);
        let instance = self.target.listener;
        let clock_us = context.feed.clock_us(instance, now_us);
        let live = Begin {
            cursor: self.cursor,
            from_us: None,
            clamped: false,
        };
        let Some(cursor) = self.cursor.filter(|cursor| *cursor <= clock_us) else {
            return live;
        };
        let mut window_ms = context.window_ms;
        for (_, fault) in context.schedule.active(self.moment, self.target) {
            if let FaultKind::Clamp { window_ms: shorter } = fault.kind {
                window_ms = window_ms.min(shorter);
            }
        }
        let oldest = clock_us - window_ms * 1_000;
        let from_us = cursor.max(oldest);
        // the first event in the order of arrival that has this time or a later one
        let breadth = self.wanted.breadth();
        let until_us = now_us.min(from_us + APART_US);
        let near = context
            .feed
            .due(instance, breadth, from_us - APART_US, until_us);
        let first = near.iter().find(|piece| from_us <= piece.time_us);
        self.taken_us = first.map_or(until_us, |piece| piece.at_us - 1);
        Begin {
            from_us: Some(from_us),
            clamped: cursor < oldest,
            ..live
        }
    }

    fn condition(&self, schedule: &Schedule) -> Condition {
        match self.stale {
            Some(true) => return Condition::Quiet,
            Some(false) => return Condition::Mute,
            None => (),
        }
        let mut found = Condition::Normal;
        for (_, fault) in schedule.active(self.moment, self.target) {
            match fault.kind {
                FaultKind::Stall => return Condition::Stalled,
                FaultKind::Quiet => found = Condition::Quiet,
                _ => (),
            }
        }
        found
    }

    fn deliver(&mut self, stop: UtcMs, context: &mut SessionContext<'_>, acts: &mut Vec<Act>) {
        let condition = self.condition(context.schedule);
        let stop_us = stop.0 * 1_000;
        match condition {
            Condition::Stalled => {
                self.last_ping = stop;
                return;
            }
            Condition::Mute => return,
            Condition::Quiet => self.taken_us = self.taken_us.max(stop_us),
            Condition::Normal if self.awaits_hello => self.taken_us = self.taken_us.max(stop_us),
            Condition::Normal => {
                let mut sent = 0;
                while self.taken_us < stop_us {
                    let to_us = (self.taken_us + 1_000_000).min(stop_us);
                    let breadth = self.wanted.breadth();
                    for piece in
                        context
                            .feed
                            .due(self.target.listener, breadth, self.taken_us, to_us)
                    {
                        sent += self.send(&piece, acts);
                    }
                    self.taken_us = to_us;
                    if STEP_BYTES_MAX < sent && self.taken_us < stop_us {
                        self.behind = true;
                        return;
                    }
                }
            }
        }
        while self.last_ping.plus_ms(PING_MS) <= stop {
            self.last_ping = self.last_ping.plus_ms(PING_MS);
            acts.push(Act::Ping);
        }
    }

    /// Sends an event that is wanted; gives how many bytes.
    fn send(&mut self, piece: &Piece, acts: &mut Vec<Act>) -> usize {
        if !self.wanted.wants(piece) {
            return 0;
        }
        let json = piece.json(numbers(self.target.listener));
        if !self.wanted.takes(json.len()) {
            return 0;
        }
        let repeat = 0 < self.repeat_next;
        self.repeat_next = self.repeat_next.saturating_sub(1);
        let len = json.len();
        if repeat {
            acts.push(Act::Event(json.clone()));
        }
        acts.push(Act::Event(json));
        acts.extend(self.tally(piece, repeat).map(Act::Delivered));
        len
    }

    /// Counts an event; gives the span before it, if it begins another.
    fn tally(&mut self, piece: &Piece, repeat: bool) -> Option<Span> {
        let key = piece.event().key();
        let second = piece.at_us.div_euclid(1_000_000);
        match &mut self.span {
            Some(span) if span.second == second => {
                (span.to_us, span.last) = (piece.time_us, key);
                span.events += 1;
                span.repeats += u64::from(repeat);
                None
            }
            other => other.replace(Span {
                from_us: piece.time_us,
                to_us: piece.time_us,
                events: 1,
                repeats: u64::from(repeat),
                first: key.clone(),
                last: key,
                second,
            }),
        }
    }

    /// Does what a fault does at its beginning, or to a stream opened while it lasts.
    fn strike(&mut self, one: Occurrence, context: &mut SessionContext<'_>, acts: &mut Vec<Act>) {
        let fault = context.schedule.fault(one);
        if self.over || !fault.kind.hits_streams() {
            return;
        }
        acts.push(Act::Hit(one));
        let ahead_us = self.taken_us + 60_000_000;
        match &fault.kind {
            FaultKind::Drop { .. } => self.end(End::Drop, acts),
            FaultKind::CloseFrame { code, reason } => {
                let (code, reason) = (*code, reason.clone());
                self.end(End::Close { code, reason }, acts);
            }
            FaultKind::Brief => {
                let breadth = self.wanted.breadth();
                let next =
                    context
                        .feed
                        .next(self.target.listener, breadth, self.taken_us, ahead_us);
                if let Some(piece) = next {
                    self.send(&piece, acts);
                }
                let (code, reason) = (1000, String::new());
                self.end(End::Close { code, reason }, acts);
            }
            FaultKind::Reset | FaultKind::Cut => {
                let breadth = self.wanted.breadth();
                let next =
                    context
                        .feed
                        .next(self.target.listener, breadth, self.taken_us, ahead_us);
                let json = next.map_or_else(
                    || b"{\"did\":\"did:plc:".to_vec(),
                    |piece| piece.json(numbers(self.target.listener)),
                );
                let reset = fault.kind == FaultKind::Reset;
                self.end(
                    if reset {
                        End::Reset(json)
                    } else {
                        End::Cut(json)
                    },
                    acts,
                );
            }
            FaultKind::Stale { pings } => self.stale = Some(*pings),
            FaultKind::Duplicates { count } => self.repeat_next += count,
            FaultKind::Garbage { line, bytes } => {
                let kinds = line.as_ref().map_or(garbage::ALL, std::slice::from_ref);
                let case = one.begin.0.unsigned_abs();
                let mut chance = Chance::of(context.seed, KIND_GARBAGE, case);
                for kind in kinds {
                    let frame = frame::garbage(*kind, *bytes, one.begin, &mut chance);
                    acts.push(Act::Frame(frame));
                }
            }
            FaultKind::UnknownDictionary => acts.push(Act::UnknownDictionary),
            _ => (),
        }
    }

    fn end(&mut self, how: End, acts: &mut Vec<Act>) {
        self.over = true;
        acts.extend(self.span.take().map(Act::Delivered));
        acts.push(Act::End(how));
    }
}

/// Whether the instance numbers its events, as newer servers do: every second one.
const fn numbers(listener: usize) -> bool {
    listener.is_multiple_of(2)
}
