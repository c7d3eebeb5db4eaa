//! Between which of the platform's times everything has come, as the events themselves tell.
//!
//! A platform that says when it saw each event, and resumes from such a time, sends everything from there on, in that
//! order. So nothing is missing between two events of one connection, nor between the requested time and the first
//! event, however long ago that was, and even if nobody was connected then.
//!
//! Whether the platform itself got anything is another question: where events follow each other within `PAUSE_MS`, it did.

use serde::{Deserialize, Serialize};

use crate::{
    period::{Interval, UtcMs},
    segment::event::{Event, EventKind},
};

/// Events of some kind come all the time. If none comes for this long, the platform itself may be receiving nothing:
/// then the collector asks again too.
const PAUSE_MS: i64 = 60_000;

/// What a segment has of one connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listened {
    /// The connection's number in its run, if it was made in the segment's minute; else it is the one of the segment before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<u64>,
    /// When the platform saw the first event of it.
    pub first: UtcMs,
    /// When it saw the last one.
    pub last: UtcMs,
    /// Between which of these times it saw nothing for longer than `PAUSE_MS`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pauses: Vec<Interval>,
}

/// Gathers it from the events of one segment.
#[derive(Debug, Default)]
pub struct Listener {
    connections: Vec<(UtcMs, u64)>,
    listened: Vec<Listened>,
}

impl Listener {
    /// A connection was made, later than those before it.
    pub fn event(&mut self, event: &Event) {
        if matches!(event.what, EventKind::Connected { .. }) {
            self.connections.push((event.at, event.connection));
        }
    }

    /// An event came, and when the platform saw it. All connections of the segment are known by then.
    pub fn line(&mut self, arrived: UtcMs, seen: UtcMs) {
        let made = self.connections.partition_point(|(at, _)| *at <= arrived);
        let made = made
            .checked_sub(1)
            .and_then(|last| self.connections.get(last));
        let connection = made.map(|(_, connection)| *connection);
        match self.listened.last_mut() {
            Some(listened) if listened.connection == connection => {
                if PAUSE_MS < seen.0.saturating_sub(listened.last.0) {
                    listened.pauses.push(Interval {
                        begin: listened.last,
                        end: seen,
                    });
                }
                listened.last = seen;
            }
            _ => self.listened.push(Listened {
                connection,
                first: seen,
                last: seen,
                pauses: Vec::new(),
            }),
        }
    }

    /// What it has of each connection, in their order.
    pub fn finish(self) -> Vec<Listened> {
        self.listened
    }
}

/// Follows the connections of a server from segment to segment.
#[derive(Debug, Default)]
pub(super) struct Follower {
    /// From where on the last connection asked for it.
    asked: Option<UtcMs>,
    /// Up to where everything has come on the present connection.
    reached: Option<UtcMs>,
    listened: Vec<Interval>,
    flowing: Vec<Interval>,
}

impl Follower {
    /// A segment is missing: what came in it is not known.
    pub(super) fn lose_track(&mut self) {
        (self.asked, self.reached) = (None, None);
    }

    /// The next segment: what happened to its connections, and what it has of each.
    pub(super) fn segment(&mut self, events: &[Event], listened: &[Listened]) {
        let mut present = None;
        for event in events {
            match &event.what {
                EventKind::Connecting { cursor, .. } => {
                    self.asked = cursor.map(|us| UtcMs(us.div_euclid(1_000)));
                }
                EventKind::Connected { .. } => {
                    self.take_in(listened, present);
                    present = Some(event.connection);
                    self.reached = self.asked;
                }
                // what lies between is not to be had any more
                EventKind::ReplayClamped { first, .. } => self.reached = Some(*first),
                _ => (),
            }
        }
        self.take_in(listened, present);
    }

    /// What has come of one connection.
    fn take_in(&mut self, of_segment: &[Listened], connection: Option<u64>) {
        for listened in of_segment.iter().filter(|of| of.connection == connection) {
            // an endpoint ignores a requested time that is in the future
            let begin = self
                .reached
                .map_or(listened.first, |at| at.min(listened.first));
            self.reached = Some(listened.last);
            if begin < listened.last {
                self.listened.push(Interval {
                    begin,
                    end: listened.last,
                });
            }
            let mut from = if PAUSE_MS < listened.first.0.saturating_sub(begin.0) {
                listened.first
            } else {
                begin
            };
            for pause in &listened.pauses {
                self.flowing.push(Interval {
                    begin: from,
                    end: pause.begin,
                });
                from = pause.end;
            }
            self.flowing.push(Interval {
                begin: from,
                end: listened.last,
            });
        }
    }

    /// All that has come, and of this where events followed each other.
    pub(super) fn finish(self) -> (Vec<Interval>, Vec<Interval>) {
        (joined(self.listened), joined(self.flowing))
    }
}

/// The same time, ascending; no two parts touch.
pub(super) fn joined(mut parts: Vec<Interval>) -> Vec<Interval> {
    parts.retain(|part| part.begin < part.end);
    parts.sort_by_key(|part| part.begin);
    let mut joined: Vec<Interval> = Vec::new();
    for part in parts {
        match joined.last_mut() {
            Some(last) if part.begin <= last.end => last.end = last.end.max(part.end),
            _ => joined.push(part),
        }
    }
    joined
}

/// Whether a whole second is in one of these parts, which are joined.
pub(super) fn has(parts: &[Interval], second: i64) -> bool {
    let (begin, end) = (UtcMs(second * 1_000), UtcMs((second + 1) * 1_000));
    let place = parts.partition_point(|part| part.end < end);
    parts.get(place).is_some_and(|part| part.begin <= begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connected(at: i64, connection: u64, asked: Option<i64>) -> [Event; 2] {
        let connecting = EventKind::Connecting {
            backfill_minutes: 0,
            cursor: asked.map(|ms| ms * 1_000),
            endpoint: None,
            collections: None,
        };
        let connected = EventKind::Connected {
            status: 101,
            backfill_minutes: 0,
            transaction: None,
        };
        [connecting, connected].map(|what| Event {
            at: UtcMs(at),
            what,
            connection,
        })
    }

    fn listened(events: &[Event], lines: &[(i64, i64)]) -> Vec<Listened> {
        let mut listener = Listener::default();
        for event in events {
            listener.event(event);
        }
        for (arrived, seen) in lines {
            listener.line(UtcMs(*arrived), UtcMs(*seen));
        }
        listener.finish()
    }

    /// The events of a segment, and its lines: when they came, and when the platform saw them.
    type Segment<'s> = (&'s [Event], &'s [(i64, i64)]);

    /// Between which times.
    type Parts = Vec<(i64, i64)>;

    /// Segments, and of which times all has come; a segment without anything stands for one that is missing.
    #[track_caller]
    fn check(segments: &[Segment<'_>], expected: &[(i64, i64)]) {
        assert_eq!(found(segments).0, expected, "{segments:?}");
    }

    /// What has come, and where events followed each other.
    fn found(segments: &[Segment<'_>]) -> (Parts, Parts) {
        let mut follower = Follower::default();
        for (events, lines) in segments {
            if events.is_empty() && lines.is_empty() {
                follower.lose_track();
            }
            follower.segment(events, &listened(events, lines));
        }
        let plain = |parts: Vec<Interval>| {
            let parts = parts.iter().map(|part| (part.begin.0, part.end.0));
            parts.collect::<Parts>()
        };
        let (listened, flowing) = follower.finish();
        (plain(listened), plain(flowing))
    }

    #[test]
    fn a_connection_brings_all_from_what_was_asked_for_to_the_last_event() {
        let at = 90_000_000;
        let first = connected(at, 1, Some(10_000));
        let again = connected(at + 500, 2, Some(50_000));
        let live = connected(at, 1, None);
        check(
            &[(&first, &[(at, 20_000), (at + 1, 60_000)])],
            &[(10_000, 60_000)],
        );
        // it goes on in the next segments, also after one in which nothing came
        let more: &[(i64, i64)] = &[(at + 9, 95_000)];
        check(
            &[(&first, &[(at, 20_000)]), (&[], more)],
            &[(10_000, 95_000)],
        );
        check(
            &[(&first, &[(at, 20_000)]), (&first[..0], &[]), (&[], more)],
            &[(10_000, 20_000)],
        );
        // interrupted, and asked for again with an overlap; or from further on
        let both = [&first[..], &again].concat();
        let lines = [
            (at, 20_000),
            (at + 499, 60_000),
            (at + 500, 52_000),
            (at + 501, 99_000),
        ];
        check(&[(&both, &lines)], &[(10_000, 99_000)]);
        let lines = [(at, 20_000), (at + 499, 40_000), (at + 501, 99_000)];
        check(&[(&both, &lines)], &[(10_000, 40_000), (50_000, 99_000)]);
        // without a cursor, and with one that is still to come, all counts from the first event on
        check(
            &[(&live, &[(at, 70_000), (at + 1, 80_000)])],
            &[(70_000, 80_000)],
        );
        let ahead = connected(at, 1, Some(3_000_000));
        check(
            &[(&ahead, &[(at, 70_000), (at + 1, 80_000)])],
            &[(70_000, 80_000)],
        );
        // nothing came
        check(&[(&first, &[])], &[]);
    }

    #[test]
    fn what_was_not_to_be_had_any_more_has_not_come() {
        let at = 90_000_000;
        let clamped = Event {
            at: UtcMs(at + 1),
            what: EventKind::ReplayClamped {
                asked: UtcMs(10_000),
                first: UtcMs(70_000),
            },
            connection: 1,
        };
        let [connecting, connected] = connected(at, 1, Some(10_000));
        let lines: &[(i64, i64)] = &[(at + 1, 70_000), (at + 2, 90_000)];
        let events = [connecting.clone(), connected.clone(), clamped.clone()];
        check(&[(&events, lines)], &[(70_000, 90_000)]);
        // the first event came in a later minute
        check(
            &[(&[connecting, connected], &[]), (&[clamped], lines)],
            &[(70_000, 90_000)],
        );
    }

    #[test]
    fn a_pause_has_come_and_tells_not_that_the_platform_got_anything() {
        let at = 90_000_000;
        let first = connected(at, 1, Some(10_000));
        let again = connected(at + 500, 2, Some(400_000));
        let flowing = |segments: &[Segment<'_>]| found(segments).1;
        // events follow each other over the end of a segment, and from the cursor on
        let more: &[(i64, i64)] = &[(at + 9, 130_000), (at + 10, 131_000)];
        let segments: &[Segment<'_>] = &[(&first, &[(at, 20_000), (at + 1, 70_000)]), (&[], more)];
        assert_eq!(flowing(segments), [(10_000, 131_000)]);
        // longer than a minute: between segments, within one, after the cursor
        let more: &[(i64, i64)] = &[(at + 9, 130_001), (at + 10, 131_000)];
        let segments: &[Segment<'_>] = &[(&first, &[(at, 20_000), (at + 1, 70_000)]), (&[], more)];
        assert_eq!(flowing(segments), [(10_000, 70_000), (130_001, 131_000)]);
        let lines: &[(i64, i64)] = &[(at, 20_000), (at + 1, 80_001), (at + 2, 90_000)];
        let segments: &[Segment<'_>] = &[(&first, lines)];
        assert_eq!(flowing(segments), [(10_000, 20_000), (80_001, 90_000)]);
        check(segments, &[(10_000, 90_000)]);
        let lines: &[(i64, i64)] = &[(at, 70_001), (at + 1, 90_000)];
        assert_eq!(flowing(&[(&first, lines)]), [(70_001, 90_000)]);
        // another endpoint had something in it
        let both = [&first[..], &again].concat();
        let lines: &[(i64, i64)] = &[
            (at, 20_000),
            (at + 1, 390_000),
            (at + 2, 410_000),
            (at + 501, 405_000),
            (at + 502, 460_000),
        ];
        assert_eq!(
            flowing(&[(&both, lines)]),
            [(10_000, 20_000), (390_000, 460_000)]
        );
    }

    #[test]
    fn a_second_has_come_when_all_of_it_has() {
        let part = |begin, end| Interval {
            begin: UtcMs(begin),
            end: UtcMs(end),
        };
        let parts = [part(500, 2_000), part(3_000, 4_500)];
        let found = [0, 1, 2, 3, 4, 5].map(|second| has(&parts, second));
        assert_eq!(found, [false, true, false, true, false, false]);
        assert!(!has(&[], 1));
    }
}
