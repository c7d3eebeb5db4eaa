//! What each minute was like: the record `alive`.
//!
//! From these records and the connection's other events all gaps are found later, so a second
//! counts as seen only if bytes arrived in it.

use crate::{
    period::{Interval, Minute, UtcMs},
    segment::{
        collections::Collections,
        event::{Alive, Disconnected, Down, EventKind, WaitReason},
        rules::KnownRules,
    },
};

/// A silence that a record is worth: the stream brings dozens of posts a second.
const SILENCE_MS: i64 = 2_000;

/// How many missed minutes are recorded afterwards. If more passed at once, this process did not run (the machine
/// slept), and it would be untrue to record it as alive.
const MISSED_MINUTES_MAX: i64 = 2;

/// Gathers what happens in the minute that is not over yet.
#[derive(Debug)]
pub struct Pulse {
    minute: Minute,
    /// Bit n: bytes arrived in second n.
    seconds: u64,
    lines: u64,
    keep_alives: u64,
    silences: Vec<Interval>,
    /// While connected: since when nothing was heard, as far as it is not recorded yet.
    silent_since: Option<UtcMs>,
    /// The part of the present silence that an earlier minute's record has.
    recorded_ms: i64,
    clock_offset_ms: Option<i64>,
    /// While nothing is connected: since when, and why.
    down: Option<Down>,
    /// Since when nothing has come: an answer alone brings nothing.
    nothing_since: Option<UtcMs>,
    /// When something happened last.
    awake: UtcMs,
    /// The time in which this process did not run, as far as it is known.
    asleep: Option<Interval>,
    /// What the platform told last of its rules.
    rules: Option<KnownRules>,
    /// Which collections were asked for last.
    collections: Option<Collections>,
}

impl Pulse {
    /// When the collector starts.
    pub fn new(now: UtcMs) -> Self {
        Self {
            minute: now.minute(),
            seconds: 0,
            lines: 0,
            keep_alives: 0,
            silences: Vec::new(),
            silent_since: None,
            recorded_ms: 0,
            clock_offset_ms: None,
            down: Some(Down {
                since: now,
                nothing_since: now,
                cause: None,
                status: None,
                disconnect_type: None,
                why: None,
            }),
            nothing_since: Some(now),
            awake: now,
            asleep: None,
            rules: None,
            collections: None,
        }
    }

    /// Heeds what a record says of why nothing is connected.
    pub fn event(&mut self, at: UtcMs, what: &EventKind) {
        self.awake = at;
        match what {
            EventKind::Connecting { collections, .. } => self.collections.clone_from(collections),
            EventKind::Connected { .. } => self.down = None,
            EventKind::FirstLine { .. } => self.nothing_since = None,
            EventKind::Disconnected(Disconnected {
                cause,
                status,
                disconnect_type,
                ..
            }) => {
                self.down = Some(Down {
                    since: at,
                    nothing_since: *self.nothing_since.get_or_insert(at),
                    cause: Some(*cause),
                    status: *status,
                    disconnect_type: disconnect_type.clone(),
                    why: None,
                });
            }
            EventKind::Waiting { why, .. } => {
                if let Some(down) = &mut self.down {
                    down.why = Some(*why);
                    if *why == WaitReason::Budget {
                        down.since = at;
                    }
                }
            }
            EventKind::Rules {
                sha256, configured, ..
            } => {
                self.rules = Some(KnownRules {
                    at,
                    sha256: *sha256,
                    configured: *configured,
                });
            }
            _ => (),
        }
    }

    /// The minute that is being gathered.
    pub fn minute(&self) -> Minute {
        self.minute
    }

    /// The API's clock minus ours, from an answer.
    pub fn clock_seen(&mut self, offset_ms: i64) {
        self.clock_offset_ms = Some(offset_ms);
    }

    /// The machine's clock was set to this time: a new run continues the one before, whose minute is already
    /// recorded.
    pub fn stepped(&mut self, now: UtcMs, step_ms: i64) {
        self.begin(now.minute());
        self.awake = now;
        self.silent_since = self.silent_since.map(|since| since.plus_ms(step_ms));
        if let Some(down) = &mut self.down {
            down.since = down.since.plus_ms(step_ms);
            down.nothing_since = down.nothing_since.plus_ms(step_ms);
        }
        self.nothing_since = self.nothing_since.map(|since| since.plus_ms(step_ms));
        if let Some(rules) = &mut self.rules {
            rules.at = rules.at.plus_ms(step_ms);
        }
        if let Some(offset_ms) = &mut self.clock_offset_ms {
            *offset_ms -= step_ms;
        }
    }

    /// The response has begun.
    pub fn connected(&mut self, at: UtcMs) {
        self.silent_since = Some(at);
        self.recorded_ms = 0;
    }

    /// The response is over.
    pub fn disconnected(&mut self, at: UtcMs) {
        self.end_silence(at);
        self.silent_since = None;
    }

    /// Whether a response is coming.
    pub fn is_connected(&self) -> bool {
        self.silent_since.is_some()
    }

    /// Bytes have arrived.
    pub fn bytes(&mut self, at: UtcMs) {
        self.end_silence(at);
        self.silent_since = Some(at);
        self.awake = at;
        self.recorded_ms = 0;
        let second = at.second().rem_euclid(60);
        self.seconds |= 1_u64.wrapping_shl(u32::try_from(second).unwrap_or(0));
    }

    /// Of the bytes that have arrived, so much was this.
    pub fn counted(&mut self, lines: u64, keep_alives: u64) {
        self.lines += lines;
        self.keep_alives += keep_alives;
    }

    fn end_silence(&mut self, at: UtcMs) {
        let Some(begin) = self.silent_since else {
            return;
        };
        if SILENCE_MS < at.0 - begin.0 + self.recorded_ms && begin < at {
            self.silences.push(Interval { begin, end: at });
        }
    }

    /// The records of all minutes that are over by now, oldest first.
    pub fn over(&mut self, now: UtcMs) -> Vec<Alive> {
        let mut records = Vec::new();
        while self.minute < now.minute() {
            if MISSED_MINUTES_MAX < now.minute().0 - self.minute.0 - 1 {
                let minute_end = self.minute.end();
                // nobody was awake after what happened last, as far as one can tell
                let fell_asleep = self.awake.max(self.minute.begin()).min(minute_end);
                self.asleep = Some(Interval {
                    begin: fell_asleep,
                    end: minute_end,
                });
                records.push(self.record(minute_end));
                self.begin(now.minute());
                self.asleep = Some(Interval {
                    begin: fell_asleep,
                    end: now,
                });
                return records;
            }
            records.push(self.record(self.minute.end()));
            self.begin(Minute(self.minute.0 + 1));
        }
        records
    }

    /// The record of the minute that is not over yet, when the process ends.
    pub fn last(&mut self, now: UtcMs) -> Alive {
        self.record(now)
    }

    fn begin(&mut self, minute: Minute) {
        self.minute = minute;
        self.seconds = 0;
        self.lines = 0;
        self.keep_alives = 0;
    }

    fn record(&mut self, end: UtcMs) -> Alive {
        if let Some(begin) = self.silent_since
            && SILENCE_MS < end.0 - begin.0 + self.recorded_ms
            && begin < end
        {
            self.silences.push(Interval { begin, end });
            self.recorded_ms += end.0 - begin.0;
            self.silent_since = Some(end);
        }
        Alive {
            minute: self.minute,
            seconds: (0..60)
                .filter(|second| self.seconds >> second & 1 == 1)
                .collect(),
            lines: self.lines,
            keep_alives: self.keep_alives,
            silences: std::mem::take(&mut self.silences),
            clock_offset_ms: self.clock_offset_ms,
            connected: self.silent_since.is_some(),
            down: self.down.clone().filter(|_| self.silent_since.is_none()),
            asleep: self.asleep.take(),
            rules: self.rules.map(Box::new),
            collections: self.collections.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::event::EndCause;

    const MINUTE: Minute = Minute(29_924_045);

    fn at(ms: i64) -> UtcMs {
        MINUTE.begin().plus_ms(ms)
    }

    fn silences(alive: &Alive) -> Vec<(i64, i64)> {
        let from_begin = |t: UtcMs| t.0 - MINUTE.begin().0;
        let pairs = alive.silences.iter();
        pairs
            .map(|s| (from_begin(s.begin), from_begin(s.end)))
            .collect()
    }

    #[test]
    fn a_minute_tells_its_seconds_and_its_silences() {
        let mut pulse = Pulse::new(at(500));
        pulse.connected(at(1_000));
        pulse.clock_seen(-40);
        for ms in [3_000, 3_100, 5_101, 59_500] {
            pulse.bytes(at(ms));
            pulse.counted(2, 1);
        }
        // 1.0 s … 3.0 s is not longer than 2 s
        let alive = pulse.over(at(60_000)).remove(0);
        assert_eq!(alive.seconds, [3, 5, 59]);
        assert_eq!((alive.lines, alive.keep_alives), (8, 4));
        assert_eq!(silences(&alive), [(3_100, 5_101), (5_101, 59_500)]);
        assert_eq!(alive.clock_offset_ms, Some(-40));
        assert!(alive.connected);
        // the next one tells only what is its own
        pulse.bytes(at(60_400));
        pulse.counted(3, 2);
        let next = pulse.over(at(120_000)).remove(0);
        assert_eq!((next.minute.0, next.seconds), (MINUTE.0 + 1, vec![0]));
        assert_eq!((next.lines, next.keep_alives), (3, 2));
        let silent = next.silences.iter().map(|of| (of.begin, of.end));
        assert_eq!(silent.collect::<Vec<_>>(), [(at(60_400), at(120_000))]);
        let last = pulse.last(at(121_000));
        assert_eq!((last.lines, last.keep_alives, last.seconds), (0, 0, vec![]));
    }

    #[test]
    fn each_minute_tells_which_collections_are_requested() {
        let mut pulse = Pulse::new(at(500));
        assert_eq!(pulse.over(at(60_000)).remove(0).collections, None);
        let names = vec!["a.b.c".to_owned()];
        let connecting = EventKind::Connecting {
            backfill_minutes: 0,
            cursor: None,
            endpoint: None,
            collections: Some(names.clone().into()),
        };
        pulse.event(at(61_000), &connecting);
        for (now, step_ms) in [(120_000, 3_600_000), (3_780_000, 0)] {
            let told = pulse.over(at(now)).remove(0).collections;
            assert_eq!(told, Some(names.clone().into()));
            pulse.stepped(at(now + step_ms), step_ms);
        }
    }

    #[test]
    fn a_silence_that_lasts_is_cut_at_the_minutes_end() {
        let mut pulse = Pulse::new(at(0));
        pulse.connected(at(50_000));
        let first = pulse.over(at(60_010)).remove(0);
        assert_eq!(silences(&first), [(50_000, 60_000)]);
        pulse.bytes(at(60_500));
        pulse.disconnected(at(61_000));
        let second = pulse.last(at(70_000));
        assert_eq!(silences(&second), [(60_000, 60_500)]);
        assert_eq!((second.seconds, second.connected), (vec![0], false));
    }

    #[test]
    fn a_short_silence_across_the_boundary_is_told_whole_by_the_second_minute() {
        let mut pulse = Pulse::new(at(0));
        pulse.connected(at(58_500));
        assert_eq!(silences(&pulse.over(at(60_000))[0]), [(0, 0); 0]);
        pulse.bytes(at(61_500));
        assert_eq!(silences(&pulse.last(at(61_600))), [(58_500, 61_500)]);
    }

    #[test]
    fn a_minute_without_a_connection_tells_since_when_and_why() {
        let mut pulse = Pulse::new(at(500));
        let down = pulse.over(at(60_000)).remove(0).down.unwrap();
        assert_eq!((down.since, down.cause), (at(500), None));
        let refused = EventKind::Disconnected(Disconnected {
            cause: EndCause::HttpStatus,
            status: Some(429),
            disconnect_type: None,
            lines: 0,
            unfinished: None,
            detail: String::new(),
        });
        pulse.event(at(61_000), &refused);
        let waiting = EventKind::Waiting {
            wait_ms: Some(10_000),
            why: WaitReason::TooManyConnections,
        };
        pulse.event(at(61_000), &waiting);
        for minute in [2, 3] {
            let down = pulse.over(at(minute * 60_000)).remove(0).down.unwrap();
            assert_eq!((down.since, down.status), (at(61_000), Some(429)));
            assert_eq!(down.why, Some(WaitReason::TooManyConnections));
            assert_eq!(down.nothing_since, at(500));
        }
        // from then on it is for want of requests
        let waiting = EventKind::Waiting {
            wait_ms: Some(600_000),
            why: WaitReason::Budget,
        };
        pulse.event(at(185_000), &waiting);
        let down = pulse.last(at(186_000)).down.unwrap();
        assert_eq!((down.since, down.nothing_since), (at(185_000), at(500)));
        pulse.connected(at(190_000));
        let alive = pulse.over(at(240_000)).remove(0);
        assert_eq!((alive.connected, alive.down), (true, None));
    }

    #[test]
    fn a_step_moves_what_was_begun_and_loses_nothing() {
        let mut pulse = Pulse::new(at(500));
        pulse.clock_seen(7_200_000);
        pulse.connected(at(1_000));
        pulse.bytes(at(20_000));
        let last = pulse.last(at(21_000));
        assert_eq!((last.seconds, last.connected), (vec![20], true));
        // two hours behind until now
        pulse.stepped(at(7_221_000), 7_200_000);
        pulse.bytes(at(7_224_500));
        let next = pulse.over(at(7_260_000)).remove(0);
        assert_eq!(next.minute, at(7_221_000).minute());
        assert_eq!(next.seconds, [24]);
        assert_eq!(
            silences(&next),
            [(7_220_000, 7_224_500), (7_224_500, 7_260_000)]
        );
        assert_eq!(next.clock_offset_ms, Some(0));
        let mut pulse = Pulse::new(at(500));
        pulse.stepped(at(7_201_000), 7_200_000);
        let down = pulse.last(at(7_202_000)).down.unwrap();
        assert_eq!(down.since, at(7_200_500));
        assert_eq!(down.nothing_since, at(7_200_500));
    }

    #[test]
    fn sleep_is_told_by_its_first_minute_and_whole_by_the_first_after_it() {
        let mut pulse = Pulse::new(at(0));
        pulse.connected(at(1_000));
        pulse.bytes(at(20_000));
        // whichever of the two sees first that it is late
        pulse.disconnected(at(600_500));
        let asleep = pulse.over(at(600_500)).remove(0).asleep.unwrap();
        assert_eq!((asleep.begin, asleep.end), (at(20_000), at(60_000)));
        let asleep = pulse.over(at(660_000)).remove(0).asleep.unwrap();
        assert_eq!((asleep.begin, asleep.end), (at(20_000), at(600_500)));
        assert_eq!(pulse.over(at(720_000)).remove(0).asleep, None);
    }

    #[test]
    fn missed_minutes_are_told_unless_the_machine_slept() {
        let minutes = |now_ms: i64| -> Vec<i64> {
            let over = Pulse::new(at(0)).over(at(now_ms));
            over.iter().map(|alive| alive.minute.0 - MINUTE.0).collect()
        };
        assert_eq!(minutes(59_999), [0; 0]);
        assert_eq!(minutes(60_000), [0]);
        assert_eq!(minutes(3 * 60_000), [0, 1, 2]);
        assert_eq!(minutes(4 * 60_000), [0]);
    }

    fn gone(cause: EndCause) -> EventKind {
        EventKind::Disconnected(Disconnected {
            cause,
            status: None,
            disconnect_type: None,
            lines: 0,
            unfinished: None,
            detail: String::new(),
        })
    }

    fn connected() -> EventKind {
        EventKind::Connected {
            status: 200,
            backfill_minutes: 0,
            transaction: None,
        }
    }

    const FIRST_LINE: EventKind = EventKind::FirstLine {
        clock_offset_ms: None,
    };

    /// Three outages, in the second of which an answer brought nothing.
    #[test]
    fn each_outage_has_its_own_begin_and_its_own_reason() {
        let mut pulse = Pulse::new(at(0));
        for (ms, what) in [
            (1_000, gone(EndCause::Dns)),
            (2_000, connected()),
            (2_500, FIRST_LINE),
            (30_000, gone(EndCause::Eof)),
            (31_000, connected()),
            (31_500, gone(EndCause::Reset)),
        ] {
            pulse.event(at(ms), &what);
        }
        let down = pulse.over(at(60_000)).remove(0).down.unwrap();
        assert_eq!(
            (down.since, down.nothing_since, down.cause),
            (at(31_500), at(30_000), Some(EndCause::Reset))
        );
        pulse.event(at(61_000), &connected());
        pulse.event(at(61_500), &FIRST_LINE);
        // up again: nothing of it is left, and what waits now has no outage to tell of
        let waiting = EventKind::Waiting {
            wait_ms: None,
            why: WaitReason::DiskFull,
        };
        pulse.event(at(62_000), &waiting);
        assert_eq!(pulse.over(at(120_000)).remove(0).down, None);
        pulse.event(at(130_000), &gone(EndCause::Stall));
        let down = pulse.last(at(131_000)).down.unwrap();
        assert_eq!(
            (down.since, down.nothing_since, down.why),
            (at(130_000), at(130_000), None)
        );
    }

    #[test]
    fn a_silence_that_the_end_of_the_connection_ends_is_told() {
        let mut pulse = Pulse::new(at(0));
        pulse.connected(at(1_000));
        pulse.bytes(at(5_000));
        pulse.disconnected(at(35_000));
        pulse.connected(at(36_000));
        pulse.disconnected(at(38_001));
        // nothing is silent while nothing is connected
        let alive = pulse.last(at(50_000));
        assert_eq!(
            silences(&alive),
            [(1_000, 5_000), (5_000, 35_000), (36_000, 38_001)]
        );
    }

    #[test]
    fn whatever_a_step_finds_begun_is_moved_by_it() {
        let hash = |text: &[u8]| crate::segment::sha256::Sha256::of(text);
        let mut pulse = Pulse::new(at(0));
        pulse.event(
            at(500),
            &EventKind::Rules {
                rules: Vec::new(),
                sha256: hash(b"a"),
                configured: hash(b"b"),
            },
        );
        pulse.event(at(1_000), &gone(EndCause::Dns));
        pulse.event(at(2_000), &connected());
        let hour = 3_600_000;
        pulse.stepped(at(hour + 3_000), hour);
        // an answer alone has brought nothing: it is still nothing since the begin
        pulse.event(at(hour + 4_000), &gone(EndCause::Eof));
        let last = pulse.last(at(hour + 5_000));
        let told = last.rules.unwrap();
        assert_eq!((told.at, told.sha256), (at(hour + 500), hash(b"a")));
        let down = last.down.unwrap();
        assert_eq!(
            (down.since, down.nothing_since),
            (at(hour + 4_000), at(hour))
        );
    }

    /// It was awake when something happened last, be it bytes, an event or a step of its clock.
    #[test]
    fn a_machine_sleeps_since_whatever_happened_last() {
        let asleep = |happened: &dyn Fn(&mut Pulse)| {
            let mut pulse = Pulse::new(at(0));
            pulse.bytes(at(10_000));
            happened(&mut pulse);
            let found = pulse.over(at(900_000)).remove(0).asleep.unwrap();
            found.begin
        };
        assert_eq!(asleep(&|_| ()), at(10_000));
        assert_eq!(asleep(&|pulse| pulse.bytes(at(20_000))), at(20_000));
        let event = |pulse: &mut Pulse| pulse.event(at(30_000), &gone(EndCause::Eof));
        assert_eq!(asleep(&event), at(30_000));
        assert_eq!(
            asleep(&|pulse| pulse.stepped(at(40_000), 5_000)),
            at(40_000)
        );
        // of a clock that was put back nothing of before is left
        let back = |pulse: &mut Pulse| pulse.stepped(at(-120_000 + 7_000), -3_600_000);
        assert_eq!(asleep(&back), at(-120_000 + 7_000));
    }
}
