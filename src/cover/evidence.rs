//! From events files: the state of a server's connection at every instant.
//!
//! ```text
//!            started   connected        disconnected   connected
//! ── late ──┬─ not ──┬── up ───────────┬─ network ────┬── up ───────── (file missing) ── late ──
//!           running
//! ```
//!
//! A connection that is down stays down, with the cause of its last failure, until one is up again. A run writes a
//! file every minute: so if files of one run are missing, they are late; between two runs, nothing ran. The first
//! records of the next file tell what happened in the missing time: while nothing is connected, `alive` says every
//! minute since when, and why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    backfill::Connection,
    cause::Cause,
    listened::{self, Follower, Listened},
    reason::Reason,
};
use crate::{
    period::{Interval, Minute, UtcMs},
    segment::{
        event::{self, Alive, Event, EventKind, WaitReason},
        name::{RunId, SegmentName},
    },
};

/// How soon posts come after a connection is made, in ms.
pub(super) const WARMING_UP_MS: i64 = 5_000;

/// How long a stalled connection was silent before the collector gave it up: the time that it waits for a byte.
const STALL_MS: i64 = 30_000;

/// A shorter failure is a cause only if there is no other.
const SHORT_MS: i64 = 1_000;

/// A time in which nothing came in, by one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Down {
    /// From when.
    pub begin: UtcMs,
    /// Until when.
    pub end: UtcMs,
    /// Why.
    pub reason: Reason,
}

impl Down {
    /// Whether it is long enough to be the cause even if there is another one.
    pub const fn lasts(&self) -> bool {
        SHORT_MS <= self.end.0.saturating_sub(self.begin.0)
    }
}

/// What a server's connection was like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline {
    /// The times in which nothing came in, ascending; between them, a connection was up. Two that touch have
    /// different causes.
    pub downs: Vec<Down>,
    /// The seconds since 1970 in which bytes arrived, ascending.
    pub bytes: Vec<i64>,
    /// The connections that were made, ascending by time.
    pub connections: Vec<Connection>,
    /// The times that the platform no longer had when it was asked for them again, by the platform's clock.
    pub out_of_window: Vec<Interval>,
    /// The stretches of the platform's time of which everything has come, ascending.
    pub listened: Vec<Interval>,
    /// The parts of these in which events of any kind followed each other, so that the platform itself was receiving;
    /// ascending.
    pub flowing: Vec<Interval>,
    /// When the server first started, if it is recorded here: before that, it was not a server.
    pub first_start: Option<UtcMs>,
    /// When it began to collect: with its first connection, if that was soon after its first start.
    pub began: Option<UtcMs>,
}

/// One events file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventsFile {
    /// The name of its segment.
    pub name: SegmentName,
    /// The place of its run in the order of the server's runs.
    pub number: u64,
    /// How far the stamps of its run lie after the posts' clock.
    #[serde(skip)]
    pub lag_ms: i64,
    /// Its records, in their order.
    pub events: Vec<Event>,
    /// What its segment has of each connection.
    pub listened: Vec<Listened>,
}

impl EventsFile {
    fn started(&self) -> Option<&Event> {
        self.events
            .iter()
            .find(|event| matches!(event.what, EventKind::Started { .. }))
    }

    /// That it begins a run that continues the one before.
    fn stepped(&self) -> Option<&Event> {
        let stepped = |event: &&Event| matches!(event.what, EventKind::ClockStepped { .. });
        self.events.iter().find(stepped)
    }

    fn begin(&self) -> UtcMs {
        let minute = self.name.minute.begin();
        let first = self.started().or(self.stepped());
        self.on_posts_clock(first.map_or(minute, |event| event.at))
    }

    /// The begins of the seconds, by the server's clock, in which bytes arrived.
    fn stamped_bytes(&self) -> impl Iterator<Item = UtcMs> {
        let alive = self.events.iter().filter_map(|event| match &event.what {
            EventKind::Alive(alive) => Some(alive),
            _ => None,
        });
        alive.flat_map(|alive| {
            let begin = alive.minute.begin();
            let at = move |second: &u8| begin.plus_ms(1_000 * i64::from(*second));
            alive.seconds.iter().map(at)
        })
    }

    /// The seconds in which bytes arrived, on the posts' clock: a second of the server's clock reaches into two of
    /// these.
    fn bytes(&self) -> impl Iterator<Item = i64> {
        self.stamped_bytes().flat_map(|stamp| {
            let first = self.on_posts_clock(stamp);
            [first.second(), first.plus_ms(999).second()]
        })
    }

    /// What its run stamped, on the posts' clock.
    pub(super) fn on_posts_clock(&self, stamp: UtcMs) -> UtcMs {
        stamp.plus_ms(self.lag_ms.saturating_neg())
    }
}

/// The detail of time that is late after a run that ended in order.
const STOPPED: &str = "stopped before";

const BEGIN_OF_TIME: UtcMs = UtcMs(i64::MIN);
const END_OF_TIME: UtcMs = UtcMs(i64::MAX);

impl Timeline {
    /// A server of which nothing is known.
    pub fn late() -> Self {
        Self::always(Reason::late())
    }

    /// A server that did not run.
    pub fn not_running() -> Self {
        Self::always(Reason::not_running())
    }

    fn always(reason: Reason) -> Self {
        let down = Down {
            begin: BEGIN_OF_TIME,
            end: END_OF_TIME,
            reason,
        };
        Self {
            downs: vec![down],
            ..Self::default()
        }
    }

    /// The same of a server that counts from before the hour on.
    #[must_use]
    pub fn without_start(mut self) -> Self {
        (self.first_start, self.began) = (None, None);
        self
    }

    /// Reads the events files of one server, in any order, on the posts' clock. If none of its data can be on the way
    /// (`is_whole`), a run that recorded its end was the last one so far; otherwise later data may be late.
    pub fn of<'a>(files: impl IntoIterator<Item = &'a EventsFile>, is_whole: bool) -> Self {
        let mut files: Vec<&EventsFile> = files.into_iter().collect();
        files.sort_by_key(|file| (file.number, file.name.run, file.name.minute, file.name.part));
        let mut builder = TimelineBuilder::new(&files);
        for file in &files {
            builder.file(file);
        }
        builder.finish(is_whole)
    }

    /// With the times that are late because what came of them lies aside, ascending, and where that is: nothing more
    /// comes of these by itself.
    #[must_use]
    pub fn with_aside(mut self, aside: &[(Interval, String)]) -> Self {
        let mut downs = Vec::new();
        for down in std::mem::take(&mut self.downs) {
            let mut begin = down.begin;
            for (time, place) in aside.iter().filter(|_| down.reason.cause == Cause::Late) {
                let (from, to) = (time.begin.max(begin), time.end.min(down.end));
                if to <= from {
                    continue;
                }
                let before = Down {
                    begin,
                    end: from,
                    reason: down.reason.clone(),
                };
                downs.extend(Some(before).filter(|before| before.begin < before.end));
                downs.push(Down {
                    begin: from,
                    end: to,
                    reason: Reason::aside(place),
                });
                begin = to;
            }
            downs.extend((begin < down.end).then_some(Down { begin, ..down }));
        }
        self.downs = downs;
        self
    }

    /// The first time in which nothing came in that touches `from..to`.
    pub fn first_down(&self, from: UtcMs, to: UtcMs) -> Option<&Down> {
        self.downs_in(from, to).next()
    }

    /// Those that last at least a second.
    pub fn lasting(&self, from: UtcMs, to: UtcMs) -> impl Iterator<Item = &Down> {
        self.downs_in(from, to).filter(|down| down.lasts())
    }

    /// The first of these, or else the first shorter one: if a connection broke, was made again at once and was then
    /// refused, the refusal kept the posts away.
    pub fn first_lasting_down(&self, from: UtcMs, to: UtcMs) -> Option<&Down> {
        let first = || self.first_down(from, to);
        self.lasting(from, to).next().or_else(first)
    }

    /// Whether the platform no longer had a second when it was asked for it again.
    pub fn was_out_of_window(&self, second: i64) -> bool {
        let is_in = |part: &Interval| part.begin.second() <= second && second < part.end.second();
        self.out_of_window.iter().any(is_in)
    }

    /// Whether everything that the platform saw in a second has come, at whatever time.
    pub fn was_listened_to(&self, second: i64) -> bool {
        listened::has(&self.listened, second)
    }

    /// Whether events of any kind followed each other around a second of which everything has come.
    pub fn was_flowing(&self, second: i64) -> bool {
        listened::has(&self.flowing, second)
    }

    fn downs_in(&self, from: UtcMs, to: UtcMs) -> impl Iterator<Item = &Down> {
        let place = self.downs.partition_point(|down| down.end <= from);
        let rest = self.downs.get(place..).unwrap_or_default().iter();
        rest.take_while(move |down| down.begin < to)
    }

    /// The last time in which nothing came in that was over by `at`.
    pub fn last_down(&self, at: UtcMs) -> Option<&Down> {
        let place = self.downs.partition_point(|down| down.end <= at);
        self.downs.get(place.checked_sub(1)?)
    }

    /// When the last connection was made by that instant.
    pub fn last_connection(&self, at: UtcMs) -> Option<UtcMs> {
        let after = self.connections.partition_point(|made| made.at <= at);
        let last = self.connections.get(after.checked_sub(1)?);
        last.map(|last| last.at)
    }

    /// The nearest seconds with bytes, at or before a second and at or after it.
    pub fn bytes_around(&self, second: i64) -> (Option<i64>, Option<i64>) {
        let after = self.bytes.partition_point(|known| *known < second);
        let until = self.bytes.partition_point(|known| *known <= second);
        let before = until.checked_sub(1).and_then(|place| self.bytes.get(place));
        (before.copied(), self.bytes.get(after).copied())
    }
}

/// The state from an instant on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stretch {
    begin: UtcMs,
    /// `None`: a connection is up.
    reason: Option<Reason>,
}

/// How far the record of a file goes.
struct Before {
    run: RunId,
    /// The place of its run in the order of the server's runs.
    number: u64,
    minute: Minute,
    /// How far its stamps lie after the posts' clock.
    lag_ms: i64,
    /// The last instant that it records, on the posts' clock.
    last: UtcMs,
    /// Whether its run said that it ends.
    has_stopped: bool,
    /// Whether the record of its minute ends before the minute: a step of the clock ended its run.
    is_cut: bool,
}

impl Before {
    /// Whether no run is between its own and that of a file.
    fn is_followed_by(&self, file: &EventsFile) -> bool {
        self.number.checked_add(1) == Some(file.number)
    }
}

struct TimelineBuilder {
    stretches: Vec<Stretch>,
    bytes: Vec<i64>,
    /// The seconds of each run in which bytes arrived, by the server's clock: what was before what is told by it.
    stamped_bytes: BTreeMap<RunId, Vec<UtcMs>>,
    connections: Vec<Connection>,
    out_of_window: Vec<Interval>,
    follower: Follower,
    before: Option<Before>,
    first_start: Option<UtcMs>,
}

impl TimelineBuilder {
    fn new(files: &[&EventsFile]) -> Self {
        let mut bytes: Vec<i64> = files.iter().flat_map(|file| file.bytes()).collect();
        bytes.sort_unstable();
        bytes.dedup();
        let mut stamped_bytes: BTreeMap<RunId, Vec<UtcMs>> = BTreeMap::new();
        for file in files {
            let of_run = stamped_bytes.entry(file.name.run).or_default();
            of_run.extend(file.stamped_bytes());
        }
        Self {
            stamped_bytes,
            stretches: vec![Stretch {
                begin: BEGIN_OF_TIME,
                reason: Some(Reason::late()),
            }],
            bytes,
            connections: Vec::new(),
            out_of_window: Vec::new(),
            follower: Follower::default(),
            before: None,
            first_start: None,
        }
    }

    fn now(&self) -> Option<&Reason> {
        self.stretches.last().and_then(|last| last.reason.as_ref())
    }

    /// Sets the state from that instant on, and drops what was set for later ones.
    fn paint(&mut self, begin: UtcMs, reason: Option<Reason>) {
        while self
            .stretches
            .last()
            .is_some_and(|last| begin <= last.begin && last.begin != BEGIN_OF_TIME)
        {
            self.stretches.pop();
        }
        match self.stretches.last_mut() {
            Some(last) if last.reason == reason => (),
            Some(last) if begin <= last.begin => last.reason = reason,
            _ => self.stretches.push(Stretch { begin, reason }),
        }
    }

    fn file(&mut self, file: &EventsFile) {
        let follows = self.before.as_ref().is_some_and(|before| {
            before.run == file.name.run
                && !before.has_stopped
                && file.name.minute.0 <= before.minute.0 + 1
        });
        let is_next = |before: &Before| before.is_cut && before.is_followed_by(file);
        let goes_on = file.stepped().is_some() && self.before.as_ref().is_some_and(is_next);
        if !(follows || goes_on) {
            self.bridge(file);
        }
        if !follows {
            self.follower.lose_track();
        }
        self.follower.segment(&file.events, &file.listened);
        for event in &file.events {
            self.event(file, event);
        }
        let minute_end = file.name.minute.end();
        // a step of the clock ends a run in the middle of its minute, and is recorded then
        let alive = file.events.iter().rev().find(
            |event| matches!(&event.what, EventKind::Alive(alive) if alive.minute == file.name.minute),
        );
        let has_stopped = file
            .events
            .iter()
            .any(|event| matches!(event.what, EventKind::Stopped { .. }));
        let last_event = file.events.iter().map(|event| event.at).max();
        let last = match alive {
            Some(alive) if !has_stopped => alive.at.plus_ms(1).min(minute_end),
            _ => last_event.unwrap_or(file.name.minute.begin()),
        };
        self.before = Some(Before {
            run: file.name.run,
            number: file.number,
            minute: file.name.minute,
            lag_ms: file.lag_ms,
            last: file.on_posts_clock(last),
            has_stopped,
            is_cut: alive.is_some() && !has_stopped && last < minute_end,
        });
    }

    /// The time between the file before and this one, if this is not the next file of the run.
    fn bridge(&mut self, file: &EventsFile) {
        let begin = file.begin();
        let is_same_run = self
            .before
            .as_ref()
            .is_some_and(|before| before.run == file.name.run);
        match (&self.before, file.started()) {
            (before, Some(started)) if !is_same_run => {
                let (after, last_line) = match started.what {
                    EventKind::Started {
                        after, last_line, ..
                    } => (after, last_line),
                    _ => (None, None),
                };
                match before {
                    // all that a run between the two left is missing
                    Some(before) if Some(before.number) < after => {
                        self.paint(before.last, Some(Reason::late()));
                    }
                    Some(before) => {
                        let is_here = |name: &SegmentName| name.minute <= before.minute;
                        let here = recovered(file, before.run, is_here);
                        let missing = recovered(file, before.run, |name| !is_here(name));
                        let last_line =
                            last_line.filter(|_| self.was_last_to_receive(before, file));
                        let on_its_clock =
                            |at: UtcMs| at.plus_ms(before.lag_ms.saturating_neg()).min(begin);
                        let last = here.map_or(before.last, |at| before.last.max(on_its_clock(at)));
                        // if it received something later than all that is here, files are missing
                        let until = missing.max(last_line);
                        let until = until.map_or(last, |at| last.max(on_its_clock(at)));
                        if last < until {
                            self.paint(last, Some(Reason::late()));
                        }
                        self.paint(until, Some(Reason::not_running()));
                    }
                    None if after.is_none() => {
                        self.first_start = Some(begin);
                        self.paint(BEGIN_OF_TIME, Some(Reason::not_running()));
                    }
                    None => self.paint(begin, Some(Reason::not_running())),
                }
            }
            (before, _) => {
                let asleep = asleep(file);
                let last = before.as_ref().map(|before| before.last);
                // the record of a run that fell asleep goes on until then, or files are missing
                let goes_on_until = before.as_ref().filter(|_| is_same_run);
                let goes_on_until = goes_on_until.map(|before| before.minute.end());
                let awake = match asleep {
                    Some(asleep) if Some(asleep.begin) <= goes_on_until => {
                        Some(self.before(file.on_posts_clock(asleep.begin)))
                    }
                    _ => {
                        if let Some(last) = last {
                            self.paint(last, Some(Reason::late()));
                        }
                        let is_told = self.begin_in_the_middle(file, begin);
                        is_told.then(|| self.now().cloned())
                    }
                };
                if let Some(asleep) = asleep {
                    self.paint(file.on_posts_clock(asleep.begin), Some(sleep()));
                    if let Some(state) = awake {
                        self.paint(file.on_posts_clock(asleep.end), state);
                    }
                }
            }
        }
    }

    /// Whether the last line before the run of a file came to this one, so that it has a stamp of its clock, and the end of
    /// its record is not here.
    fn was_last_to_receive(&self, before: &Before, file: &EventsFile) -> bool {
        let of_run = self.stamped_bytes.get(&before.run);
        let has_received = of_run.is_some_and(|stamps| !stamps.is_empty());
        has_received && !before.has_stopped && before.is_followed_by(file)
    }

    /// The state before an instant.
    fn before(&self, at: UtcMs) -> Option<Reason> {
        let mut before = self.stretches.iter().rev();
        let before = before.find(|stretch| stretch.begin < at);
        before.and_then(|stretch| stretch.reason.clone())
    }

    /// The first records of a file whose predecessor is missing tell what happened before; says whether they do.
    fn begin_in_the_middle(&mut self, file: &EventsFile, begin: UtcMs) -> bool {
        for event in &file.events {
            match &event.what {
                // what went before is in the file that is missing
                EventKind::Started { .. } | EventKind::Connected { .. } => return false,
                EventKind::Disconnected(ended) => {
                    let was_up = 0 < ended.lines;
                    self.paint(begin, (!was_up).then(|| Reason::of_end(ended)));
                    return true;
                }
                EventKind::Alive(Alive {
                    down: Some(down), ..
                }) => {
                    let since = file.on_posts_clock(down.since).min(begin);
                    self.paint(since, Some(Reason::of_down(down)));
                    return true;
                }
                EventKind::Alive(alive) if alive.connected => {
                    self.paint(begin, None);
                    return true;
                }
                _ => (),
            }
        }
        false
    }

    fn event(&mut self, file: &EventsFile, event: &Event) {
        let at = file.on_posts_clock(event.at);
        match &event.what {
            EventKind::Started { .. } => {
                // not connected yet, and no failure to name
                self.paint(at, Some(Reason::not_running()));
            }
            EventKind::Connected {
                backfill_minutes, ..
            } => {
                let down = self.now().cloned();
                let begin = self.down_since();
                self.connections.push(Connection {
                    run: file.name.run,
                    connection: event.connection,
                    at,
                    minutes: *backfill_minutes,
                    hole: down.zip(begin).map(|(reason, begin)| (begin, reason.cause)),
                });
                self.paint(at, None);
            }
            EventKind::Disconnected(ended) => {
                let begin = if ended.cause == event::EndCause::Stall {
                    self.last_bytes(file, event.at)
                } else {
                    at
                };
                self.paint(begin, Some(Reason::of_end(ended)));
            }
            EventKind::ReplayClamped { asked, first } => self.out_of_window.push(Interval {
                begin: *asked,
                end: *first,
            }),
            EventKind::Waiting { why, .. } => self.waits(at, *why),
            EventKind::Alive(Alive {
                minute,
                asleep: Some(asleep),
                ..
            }) if minute.begin() <= asleep.begin => {
                self.paint(file.on_posts_clock(asleep.begin), Some(sleep()));
            }
            EventKind::Stopped { .. } => self.paint(at, Some(Reason::not_running())),
            _ => (),
        }
    }

    /// Since when nothing has been up, by whatever causes.
    fn down_since(&self) -> Option<UtcMs> {
        let downs = self.stretches.iter().rev();
        let run = downs.take_while(|stretch| stretch.reason.is_some());
        run.last().map(|first| first.begin)
    }

    /// When the last bytes came before a stall was seen.
    fn last_bytes(&self, file: &EventsFile, stamp: UtcMs) -> UtcMs {
        let of_run = self.stamped_bytes.get(&file.name.run);
        let before = of_run.into_iter().flatten();
        let last = before
            .filter(|second| second.second() < stamp.second())
            .max();
        let stalled = file.on_posts_clock(stamp);
        let silent = stalled.plus_ms(-STALL_MS);
        let begin = last.map_or(silent, |last| file.on_posts_clock(last.plus_ms(1_000)));
        // not longer than the connection
        let connected = self
            .stretches
            .last()
            .map_or(BEGIN_OF_TIME, |last| last.begin);
        begin.max(connected).min(stalled)
    }

    /// Refines the reason: the row of the table of waits tells one 429 from another. A wait for requests is a reason of
    /// its own, from its begin on.
    fn waits(&mut self, at: UtcMs, why: WaitReason) {
        let Some(refined) = self.now().map(|reason| reason.clone().refined(why)) else {
            return;
        };
        if why == WaitReason::Budget {
            self.paint(at, Some(refined));
        } else if let Some(last) = self.stretches.last_mut() {
            last.reason = Some(refined);
        }
    }

    fn finish(mut self, is_whole: bool) -> Timeline {
        match &self.before {
            Some(before) if before.has_stopped && is_whole => (),
            Some(Before {
                last, has_stopped, ..
            }) => {
                let word = if *has_stopped { STOPPED } else { "" };
                self.paint(*last, Some(Reason::new(Cause::Late, word)));
            }
            None => (),
        }
        let ends = self.stretches.iter().skip(1).map(|next| next.begin);
        let ends: Vec<UtcMs> = ends.chain([END_OF_TIME]).collect();
        let downs = self
            .stretches
            .into_iter()
            .zip(ends)
            .filter_map(|(stretch, end)| {
                stretch.reason.map(|reason| Down {
                    begin: stretch.begin,
                    end,
                    reason,
                })
            });
        let (listened, flowing) = self.follower.finish();
        let connected = self.connections.first().map(|first| first.at);
        let began = self.first_start.map(|start| {
            let is_soon = |at: &UtcMs| (0..=WARMING_UP_MS).contains(&(at.0 - start.0));
            connected.filter(is_soon).unwrap_or(start)
        });
        Timeline {
            downs: downs.collect(),
            bytes: self.bytes,
            connections: self.connections,
            out_of_window: self.out_of_window,
            listened,
            flowing,
            first_start: self.first_start,
            began,
        }
    }
}

fn sleep() -> Reason {
    Reason::new(Cause::NotRunning, "asleep")
}

/// The time in which the machine slept until the minute of that file.
fn asleep(file: &EventsFile) -> Option<Interval> {
    let asleep = file.events.iter().find_map(|event| match &event.what {
        EventKind::Alive(alive) => alive.asleep,
        _ => None,
    });
    asleep.filter(|asleep| asleep.begin < file.name.minute.begin())
}

/// The last instant that the run before recorded in some of its segments, as the next run found it.
fn recovered(
    file: &EventsFile,
    run: RunId,
    counts: impl Fn(&SegmentName) -> bool,
) -> Option<UtcMs> {
    let of_run = file.events.iter().filter_map(|event| match &event.what {
        EventKind::Recovered { segment, last, .. } => match segment.parse::<SegmentName>() {
            Ok(name) if name.run == run && counts(&name) => *last,
            _ => None,
        },
        _ => None,
    });
    of_run.max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::event::tests::alive;

    fn event(at: UtcMs, what: EventKind) -> Event {
        Event {
            at,
            what,
            connection: 1,
        }
    }

    fn started(number: u64, after: Option<u64>, last_line: Option<UtcMs>) -> EventKind {
        EventKind::Started {
            program: "test/1".to_owned(),
            number,
            after,
            last_line,
        }
    }

    /// A run whose clock is right crashes, and one whose clock is an hour ahead tells of it.
    #[test]
    fn what_a_crash_left_ended_by_the_clock_of_the_run_that_wrote_it() {
        const HOUR_MS: i64 = 3_600_000;
        let first: SegmentName = "1_sample_20261123T1405Z_3fa9c01b_000".parse().unwrap();
        let second: SegmentName = "1_sample_20261123T1507Z_00000002_000".parse().unwrap();
        let (begin, again) = (first.minute.begin(), second.minute.begin());
        let connected = EventKind::Connected {
            status: 200,
            backfill_minutes: 0,
            transaction: None,
        };
        let crashed = EventKind::Recovered {
            segment: first.to_string(),
            lines: 5,
            cut_bytes: 0,
            last: Some(begin.plus_ms(50_000)),
        };
        // what a run before that one had left was recovered at last, too
        let older = EventKind::Recovered {
            segment: "1_sample_20261123T1407Z_00000001_000".to_owned(),
            lines: 5,
            cut_bytes: 0,
            last: Some(begin.plus_ms(150_000)),
        };
        let files = [
            EventsFile {
                name: first,
                number: 1,
                lag_ms: 0,
                listened: Vec::new(),
                events: vec![
                    event(begin.plus_ms(5_000), started(1, None, None)),
                    event(begin.plus_ms(6_000), connected),
                ],
            },
            EventsFile {
                name: second,
                number: 2,
                lag_ms: HOUR_MS,
                listened: Vec::new(),
                events: vec![
                    event(again.plus_ms(10_000), started(2, Some(1), Some(begin))),
                    event(again.plus_ms(10_000), crashed),
                    event(again.plus_ms(10_000), older),
                ],
            },
        ];
        // whatever order they come in
        let timeline = Timeline::of([&files[1], &files[0]], true);
        assert_eq!(timeline.first_start, Some(begin.plus_ms(5_000)));
        // one that was there before, and received nothing, did not begin with this start
        let mut files = files;
        files[1].events[0].what = started(2, Some(1), None);
        let second = Timeline::of([&files[1]], true);
        assert_eq!(second.first_start, None);
        let before = second.first_down(BEGIN_OF_TIME, begin).unwrap();
        assert_eq!(before.reason, Reason::late());
        let down = timeline
            .first_down(begin.plus_ms(20_000), END_OF_TIME)
            .unwrap();
        assert_eq!(
            (down.begin, down.reason.cause),
            (begin.plus_ms(50_000), Cause::NotRunning)
        );
    }

    /// What came in a segment that is missing is not known, whatever came before and after it.
    #[test]
    fn what_lay_in_a_missing_segment_was_not_listened_to() {
        let connected = EventKind::Connected {
            status: 101,
            backfill_minutes: 0,
            transaction: None,
        };
        let files = [5, 6, 7].map(|minute| {
            let name = format!("1_jetstream_20261123T140{minute}Z_3fa9c01b_000");
            let name: SegmentName = name.parse().unwrap();
            let begin = name.minute.begin();
            let is_first = minute == 5;
            EventsFile {
                name,
                number: 1,
                lag_ms: 0,
                listened: vec![Listened {
                    connection: is_first.then_some(1),
                    first: begin.plus_ms(5_000),
                    last: begin.plus_ms(50_000),
                    pauses: Vec::new(),
                }],
                events: is_first
                    .then(|| event(begin, connected.clone()))
                    .into_iter()
                    .collect(),
            }
        });
        let [first, middle, last] = &files;
        let listened = |files: &[&EventsFile]| {
            let timeline = Timeline::of(files.iter().copied(), true);
            let begin = first.name.minute.begin().second();
            (begin..begin + 180)
                .filter(|second| timeline.was_listened_to(*second))
                .count()
        };
        assert_eq!(listened(&[first, middle, last]), 165);
        assert_eq!(listened(&[first, last]), 45 + 45);
    }

    /// What a backfill is to close begins where the connection broke, whatever attempts failed since then.
    #[test]
    fn a_hole_begins_where_the_connection_broke() {
        let name: SegmentName = "1_sample_20261123T1405Z_3fa9c01b_000".parse().unwrap();
        let begin = name.minute.begin();
        let connected = |backfill_minutes| EventKind::Connected {
            status: 200,
            backfill_minutes,
            transaction: None,
        };
        let events = [
            (5, started(1, None, None)),
            (6, connected(0)),
            (30, ended(event::EndCause::Reset, None)),
            (31, ended(event::EndCause::HttpStatus, Some(503))),
            (50, connected(2)),
        ];
        let events = events.map(|(second, what)| event(begin.plus_ms(1_000 * second), what));
        let file = EventsFile {
            name,
            number: 1,
            lag_ms: 0,
            listened: Vec::new(),
            events: events.into(),
        };
        let timeline = Timeline::of([&file], true);
        let holes: Vec<_> = timeline.connections.iter().map(|made| made.hole).collect();
        assert_eq!(holes[1], Some((begin.plus_ms(30_000), Cause::Refused)));
        assert_eq!(timeline.downs.len(), 4, "two causes in a row: {timeline:?}");
    }

    /// One file of one run, for each minute after 14:00.
    fn file_of(minute: u8, events: Vec<Event>) -> EventsFile {
        let name = format!("1_sample_20261123T14{minute:02}Z_3fa9c01b_000");
        EventsFile {
            name: name.parse().unwrap(),
            number: 1,
            lag_ms: 0,
            listened: Vec::new(),
            events,
        }
    }

    fn connected() -> EventKind {
        EventKind::Connected {
            status: 200,
            backfill_minutes: 0,
            transaction: None,
        }
    }

    /// A connection that ended, or without a line an attempt that failed.
    fn ended(cause: event::EndCause, status: Option<u16>) -> EventKind {
        EventKind::Disconnected(event::Disconnected {
            cause,
            status,
            disconnect_type: None,
            lines: u64::from(status.is_none()),
            unfinished: None,
            detail: String::new(),
        })
    }

    /// The causes at these seconds after 14:00; `None`: a connection was up.
    fn causes<const N: usize>(files: &[EventsFile], seconds: [i64; N]) -> [Option<Cause>; N] {
        let timeline = Timeline::of(files, true);
        let begin: UtcMs = "2026-11-23T14:00:00Z".parse().unwrap();
        seconds.map(|second| {
            let at = begin.plus_ms(1_000 * second);
            let down = timeline.first_down(at, at.plus_ms(1_000));
            down.map(|down| down.reason.cause)
        })
    }

    /// A collector whose disk is full keeps its records until they can be written: so if files are missing then, they are late
    /// as ever, and it may have collected again in their minutes.
    #[test]
    fn what_is_missing_after_a_full_disk_is_late() {
        let begin: UtcMs = "2026-11-23T14:00:00Z".parse().unwrap();
        let at = |second: i64| begin.plus_ms(1_000 * second);
        let down = || event::Down {
            since: at(330),
            nothing_since: at(330),
            cause: Some(event::EndCause::Disk),
            status: None,
            disconnect_type: None,
            why: None,
        };
        let full = file_of(
            5,
            vec![
                event(at(305), started(1, None, None)),
                event(at(306), connected()),
                event(at(330), ended(event::EndCause::Disk, None)),
                event(
                    at(359),
                    alive(Minute(begin.minute().0 + 5), Some(down()), None),
                ),
            ],
        );
        let minute = Minute(begin.minute().0 + 9);
        for again in [
            vec![event(at(599), alive(minute, None, None))],
            vec![
                event(at(541), connected()),
                event(at(599), alive(minute, None, None)),
            ],
        ] {
            let found = causes(&[full.clone(), file_of(9, again)], [340, 400, 560]);
            assert_eq!(found, [Some(Cause::Disk), Some(Cause::Late), None]);
        }
        // the record of the next file proves that nothing else happened
        let still = file_of(9, vec![event(at(599), alive(minute, Some(down()), None))]);
        assert_eq!(causes(&[full, still], [400, 560]), [Some(Cause::Disk); 2]);
    }

    /// An hour's first file tells of the sleep before it, although the file of the minute in which the machine fell asleep
    /// belongs to another hour.
    #[test]
    fn sleep_is_told_without_the_file_in_which_it_began() {
        let begin: UtcMs = "2026-11-23T14:00:00Z".parse().unwrap();
        let at = |second: i64| begin.plus_ms(1_000 * second);
        let asleep = Interval {
            begin: at(100),
            end: at(550),
        };
        let slept = || alive(Minute(begin.minute().0 + 9), None, Some(asleep));
        let awake = vec![
            event(at(550), ended(event::EndCause::Stall, None)),
            event(at(553), connected()),
            event(at(599), slept()),
        ];
        let seconds = [99, 100, 545, 551, 570];
        let (sleep, stall) = (Some(Cause::NotRunning), Some(Cause::Stall));
        let late = Some(Cause::Late);
        let found = causes(&[file_of(9, awake.clone())], seconds);
        assert_eq!(found, [late, sleep, sleep, stall, None]);
        // what lies between a file and the sleep is late
        let up = file_of(
            0,
            vec![
                event(at(5), connected()),
                event(at(59), alive(begin.minute(), None, None)),
            ],
        );
        let found = causes(&[up.clone(), file_of(9, awake)], seconds);
        assert_eq!(found, [late, sleep, sleep, stall, None]);
        // it was waiting when it fell asleep, and is not connected when it wakes
        let again = vec![event(at(553), connected()), event(at(599), slept())];
        for files in [vec![file_of(9, again.clone())], vec![up, file_of(9, again)]] {
            assert_eq!(causes(&files, seconds), [late, sleep, sleep, sleep, None]);
        }
    }

    /// A step of the clock ends a run in the middle of its minute, and the next one goes on at once. If the file that ends so is
    /// not there, what lay between is late.
    #[test]
    fn a_step_of_the_clock_continues_only_the_run_that_it_ended() {
        let begin: UtcMs = "2026-11-23T14:00:00Z".parse().unwrap();
        let at = |second: i64| begin.plus_ms(1_000 * second);
        let up = |until: i64| {
            let alive = alive(Minute(begin.minute().0 + 5), None, None);
            file_of(
                5,
                vec![
                    event(at(305), connected()),
                    event(at(until).plus_ms(-1), alive),
                ],
            )
        };
        let stepped = |number: u64, minute: u8, second: i64| {
            let what = EventKind::ClockStepped {
                number,
                step_ms: 2_000,
            };
            let alive = alive(Minute(begin.minute().0 + i64::from(minute)), None, None);
            let mut file = file_of(
                minute,
                vec![
                    event(at(second), what),
                    event(at(60 * i64::from(minute) + 59), alive),
                ],
            );
            (file.name.run, file.number) = (RunId(number.try_into().unwrap()), number);
            file
        };
        let late = Some(Cause::Late);
        let between = |until, number, minute, second| {
            let files = [up(until), stepped(number, minute, second)];
            causes(&files, [320, second - 10, second - 1, second + 10])
        };
        assert_eq!(between(330, 2, 5, 330), [None; 4]);
        assert_eq!(between(360, 2, 9, 570), [None, late, late, None]);
        // a run between them
        assert_eq!(between(330, 3, 9, 570), [None, late, late, None]);
        assert_eq!(between(330, 3, 5, 345), [None, late, late, None]);
    }

    /// What the next run says of the last line of the one before shows whether files of that one are missing.
    #[test]
    fn what_came_until_the_last_line_is_late_if_it_is_not_there() {
        let begin: UtcMs = "2026-11-23T14:00:00Z".parse().unwrap();
        let at = |second: i64| begin.plus_ms(1_000 * second);
        let minute_of = |minute: i64| Minute(begin.minute().0 + minute);
        let minute = minute_of(5);
        let found = |seconds: &[u8], number, after, last_line| {
            let mut record = alive(minute, None, None);
            if let EventKind::Alive(alive) = &mut record {
                alive.seconds = seconds.to_vec();
            }
            let first = file_of(5, vec![event(at(305), connected()), event(at(359), record)]);
            let mut next = file_of(
                20,
                vec![
                    event(at(1_205), started(number, Some(after), Some(at(last_line)))),
                    event(at(1_206), connected()),
                ],
            );
            (next.name.run, next.number) = (RunId(2), number);
            causes(&[first, next], [340, 400, 898, 902, 1_204])
        };
        let (late, not) = (Some(Cause::Late), Some(Cause::NotRunning));
        assert_eq!(found(&[6, 59], 2, 1, 900), [None, late, late, not, not]);
        assert_eq!(found(&[6, 59], 2, 1, 9_000), [None, late, late, late, late]);
        assert_eq!(found(&[6, 55], 2, 1, 355), [None, not, not, not, not]);
        // all of a run between the two is missing, whatever else is told
        for last_line in [355, 900] {
            let all_late = [None, late, late, late, late];
            assert_eq!(found(&[6, 55], 3, 2, last_line), all_late);
        }
        // what the start found after a crash tells the same of a segment that is not here
        let crashed = |minute: u8| {
            let up = alive(minute_of(5), None, None);
            let first = file_of(5, vec![event(at(305), connected()), event(at(359), up)]);
            let mut next = file_of(
                20,
                vec![
                    event(at(1_205), started(3, Some(1), None)),
                    event(
                        at(1_205),
                        EventKind::Recovered {
                            segment: file_of(minute, Vec::new()).name.to_string(),
                            lines: 5,
                            cut_bytes: 0,
                            last: Some(at(900)),
                        },
                    ),
                ],
            );
            (next.name.run, next.number) = (RunId(3), 3);
            causes(&[first, next], [340, 400, 898, 902, 1_204])
        };
        assert_eq!(crashed(14), [None, late, late, not, not]);
        assert_eq!(crashed(5), [None, None, None, not, not], "its own");
        // by the clock of another run
        assert_eq!(found(&[], 2, 1, 900), [None, not, not, not, not]);
        assert_eq!(
            found(&[6, 59], 3, 1, 900),
            [None, not, not, not, not],
            "the run between them left nothing"
        );
    }

    /// Trouble lasts as long as it is waited out; what comes after that is for want of requests, whatever broke before.
    #[test]
    fn a_wait_for_requests_is_a_lock_out_from_its_begin() {
        let name: SegmentName = "1_sample_20261123T1405Z_3fa9c01b_000".parse().unwrap();
        let begin = name.minute.begin();
        let waiting = |why| EventKind::Waiting {
            wait_ms: Some(5_000),
            why,
        };
        let events = [
            (5, started(1, None, None)),
            (6, connected()),
            (30, ended(event::EndCause::Reset, None)),
            (30, waiting(WaitReason::Budget)),
            (40, ended(event::EndCause::HttpStatus, Some(503))),
            (40, waiting(WaitReason::ServerError)),
            (45, waiting(WaitReason::Budget)),
            (50, ended(event::EndCause::Dns, None)),
            (50, waiting(WaitReason::Pace)),
            (55, connected()),
        ];
        let file = EventsFile {
            name,
            number: 1,
            lag_ms: 0,
            listened: Vec::new(),
            events: events
                .map(|(second, what)| event(begin.plus_ms(1_000 * second), what))
                .into(),
        };
        let timeline = Timeline::of([&file], true);
        let downs = timeline
            .downs
            .iter()
            .filter(|down| begin.plus_ms(6_000) < down.begin);
        let found: Vec<(i64, Cause, &str)> = downs
            .map(|down| {
                let second = (down.begin.0 - begin.0) / 1_000;
                (second, down.reason.cause, down.reason.detail.as_str())
            })
            .collect();
        let waited = |second| (second, Cause::LockOut, "waited for requests");
        let refused = (40, Cause::Refused, "503");
        assert_eq!(
            found[..4],
            [waited(30), refused, waited(45), (50, Cause::Network, "dns")]
        );
    }

    /// Who had no connection when the machine fell asleep has none when it wakes.
    #[test]
    fn sleep_makes_no_connection() {
        let first: SegmentName = "1_sample_20261123T1405Z_3fa9c01b_000".parse().unwrap();
        let second: SegmentName = "1_sample_20261123T1600Z_3fa9c01b_000".parse().unwrap();
        let (begin, awake) = (first.minute.begin(), second.minute.begin());
        let connected = EventKind::Connected {
            status: 200,
            backfill_minutes: 0,
            transaction: None,
        };
        let broken = EventKind::Disconnected(event::Disconnected {
            cause: event::EndCause::Reset,
            status: None,
            disconnect_type: None,
            lines: 5,
            unfinished: None,
            detail: String::new(),
        });
        let slept = EventKind::Alive(Alive {
            minute: second.minute,
            seconds: Vec::new(),
            lines: 0,
            keep_alives: 0,
            silences: Vec::new(),
            clock_offset_ms: None,
            connected: false,
            down: None,
            rules: None,
            collections: None,
            asleep: Some(Interval {
                begin: begin.plus_ms(50_000),
                end: awake.plus_ms(20_000),
            }),
        });
        let file = |name: SegmentName, events| EventsFile {
            name,
            number: 1,
            lag_ms: 0,
            listened: Vec::new(),
            events,
        };
        let files = [
            file(
                first,
                vec![
                    event(begin.plus_ms(5_000), started(1, None, None)),
                    event(begin.plus_ms(6_000), connected),
                    event(begin.plus_ms(30_000), broken),
                ],
            ),
            file(second, vec![event(awake.plus_ms(59_000), slept)]),
        ];
        let timeline = Timeline::of(&files, true);
        let cause = |at: UtcMs| {
            let down = timeline.first_down(at, at.plus_ms(1_000));
            down.map(|down| down.reason.cause)
        };
        let [before, during, after] =
            [begin.plus_ms(40_000), awake, awake.plus_ms(30_000)].map(cause);
        assert_eq!(before, Some(Cause::Network));
        assert_eq!(during, Some(Cause::NotRunning));
        assert_eq!(after, before);
    }

    /// A server began with its first connection if that was made at once.
    #[test]
    fn what_began_later_did_not_begin_with_the_start() {
        let begin: UtcMs = "2026-11-23T14:00:00Z".parse().unwrap();
        let at = |second: i64| begin.plus_ms(1_000 * second);
        let first_listens = |second: i64| {
            let events = vec![
                event(at(1), started(1, None, None)),
                event(at(second), connected()),
            ];
            let timeline = Timeline::of([&file_of(0, events)], true);
            timeline.began.map(|at| at.second() - begin.second())
        };
        assert_eq!([2, 6, 7].map(first_listens), [Some(2), Some(6), Some(1)]);
    }

    /// Of two breaks in a row the one that lasts kept posts away.
    #[test]
    fn a_break_that_lasts_is_the_cause_before_a_shorter_one() {
        let begin: UtcMs = "2026-11-23T14:00:00Z".parse().unwrap();
        let at = |ms: i64| begin.plus_ms(ms);
        let events = |again: i64| {
            vec![
                event(at(1_000), started(1, None, None)),
                event(at(2_000), connected()),
                event(at(20_000), ended(event::EndCause::Reset, None)),
                event(at(20_500), connected()),
                event(at(21_000), ended(event::EndCause::HttpStatus, Some(503))),
                event(at(again), connected()),
            ]
        };
        let cause = |again: i64| {
            let timeline = Timeline::of([&file_of(0, events(again))], true);
            let down = timeline.first_lasting_down(at(15_000), at(25_000));
            down.map(|down| down.reason.cause)
        };
        assert_eq!(cause(22_000), Some(Cause::Refused));
    }
}
