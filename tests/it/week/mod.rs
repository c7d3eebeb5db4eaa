//! A simulated week: two servers with drops, stalls, refusals, restarts, kills, full disks, sleep, a
//! server that is off for hours, an upstream outage, and late delivery. Every second of it must come
//! out covered, or in a gap with exactly the cause that was injected.
//!
//! The truth follows from the faults and the posts that they kept away, second by second; the code
//! under test gets the events files that a collector would have written, made by the collector's
//! own record of each minute and table of waits. `TWINSTREAM_SIM_SEEDS` says which weeks.
//!
//! Shorter worlds are lived by clocks that are wrong by up to a day and are set at any moment: nothing that comes out
//! may change.

use std::collections::{BTreeMap, BTreeSet};

use twinstream::{
    backoff::{Backoff, End, HOLDS_MS, Next, RateLimit, Refusal},
    collect::pulse::Pulse,
    cover::{
        account::{Account, Given, InSecond, Seconds, account},
        cause::Cause,
        clock::{self, Lag},
        evidence::{EventsFile, Timeline},
        gap,
        part::{self, Part},
    },
    merge::{
        placing::{self, Clocks},
        plan::{self, Span, SpoolSegment, When},
    },
    period::{Interval, Minute, UtcMs, Zone},
    segment::{
        event::{self, Disconnected, Event, EventKind},
        name::{Leg, RunId, SegmentName, ServerId},
        sha256::Sha256,
    },
};

use crate::support::seeds::seeds;

/// Days of a stream that rules choose.
/// Days of streams that come in partitions.
mod legs;
mod rare;

/// Every everyday run tries so many weeks; `scripts/sim` many more.
const SEEDS: u64 = 2;

/// So many worlds have clocks that are wrong.
const CLOCK_SEEDS: u64 = 10;

const WEEK_S: i64 = 7 * 86_400;
/// How long the worlds of streams with partitions last.
const DAY_S: i64 = 86_400;
/// How long the worlds of wrong clocks last.
const CLOCKS_S: i64 = 2 * 86_400;
/// Posts of each second, evenly spread.
const POSTS: i64 = 40;
const APART_MS: i64 = 1_000 / POSTS;
const BEGIN: &str = "2026-11-23T00:00:00Z";
/// No two things go wrong nearer than this at one server, so that each second has one cause.
const APART_MIN_S: i64 = 120;
/// How long a storm of faults lasts.
const STORM_S: i64 = 6 * 3_600;
/// The longest that a refusal can be waited out after it is over: the budget's window, and more.
const AFTERMATH_S: i64 = 1_500;

pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.next() % u64::try_from(high - low + 1).unwrap()).unwrap()
    }
}

/// What everybody's week has in common, in seconds after its begin.
struct World {
    begin: UtcMs,
    /// How long it lasts.
    seconds: i64,
    /// Nothing is posted to anybody.
    upstream: Vec<(i64, i64)>,
    /// One server gets keep-alives and no posts.
    quiet: Vec<(usize, i64, i64)>,
    /// A server is off for six hours and more.
    off: (usize, i64, i64),
}

impl World {
    fn new(dice: &mut Dice, seconds: i64) -> Self {
        let mut windows: Vec<(i64, i64)> = Vec::new();
        let count = match seconds {
            WEEK_S => 10,
            DAY_S => 3,
            _ => 7,
        };
        while windows.len() < count {
            let begin = dice.between(3_600, seconds - 7_200);
            let end = begin + dice.between(20, 1_500);
            let is_free = |other: &(i64, i64)| other.1 + 6_000 < begin || end + 6_000 < other.0;
            if windows.iter().all(is_free) {
                windows.push((begin, end));
            }
        }
        let quiet = windows.split_off(count * 3 / 5);
        let server = |n: usize| n % 2;
        let quiet: Vec<(usize, i64, i64)> = quiet
            .into_iter()
            .enumerate()
            .map(|(n, (begin, end))| (server(n), begin, end.min(begin + 300)))
            .collect();
        // around one of these windows, so that one server alone has to explain it
        let (who, around) = if dice.between(0, 1) == 0 {
            (1 - quiet[0].0, quiet[0].1)
        } else {
            (1, windows[0].0)
        };
        let mut world = Self {
            begin: BEGIN.parse().unwrap(),
            seconds,
            upstream: windows,
            quiet,
            off: (who, 0, 0),
        };
        loop {
            let begin = (around - dice.between(4_000, 15_000)).max(2_000);
            let end = begin + dice.between(21_600, 30_000);
            if !world.is_reserved(begin, begin + 200) && !world.is_reserved(end, end + 200) {
                world.off = (who, begin, end);
                return world;
            }
        }
    }

    fn at(&self, ms: i64) -> UtcMs {
        self.begin.plus_ms(ms)
    }

    /// Whether a server of its own must not be disturbed then, so that causes stay apart.
    fn is_reserved(&self, begin_s: i64, end_s: i64) -> bool {
        let touches =
            |from: i64, to: i64| from - APART_MIN_S - 60 < end_s && begin_s < to + APART_MIN_S + 60;
        self.upstream.iter().any(|w| touches(w.0, w.1))
            || self.quiet.iter().any(|w| touches(w.1, w.2))
    }

    fn is_upstream(&self, second: i64) -> bool {
        self.upstream.iter().any(|w| w.0 <= second && second < w.1)
    }
}

/// Something that goes wrong at one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Network(event::EndCause),
    Stall,
    Platform,
    Refused(u16, Refusal),
    LockOut(Refusal),
    Restart,
    Kill,
    /// A full disk; the process may be killed while it waits for room.
    Disk {
        is_killed: bool,
    },
    Asleep,
}

impl Fault {
    const ALL: [Self; 14] = [
        Self::Network(event::EndCause::Eof),
        Self::Network(event::EndCause::Reset),
        Self::Network(event::EndCause::Protocol),
        Self::Stall,
        Self::Platform,
        Self::Refused(503, Refusal::Server),
        Self::Refused(401, Refusal::Unauthorized),
        Self::Refused(429, Refusal::UsageCap),
        Self::LockOut(Refusal::TooManyConnections),
        Self::LockOut(Refusal::RateLimit),
        Self::Restart,
        Self::Kill,
        Self::Disk { is_killed: false },
        Self::Disk { is_killed: true },
    ];

    /// The word that its gap must have.
    const fn cause(self) -> Cause {
        match self {
            Self::Network(_) => Cause::Network,
            Self::Stall => Cause::Stall,
            Self::Platform => Cause::PlatformDisconnect,
            Self::Refused(..) => Cause::Refused,
            Self::LockOut(_) => Cause::LockOut,
            Self::Restart | Self::Kill | Self::Asleep | Self::Disk { is_killed: true } => {
                Cause::NotRunning
            }
            Self::Disk { is_killed: false } => Cause::Disk,
        }
    }
}

/// One second of a server's week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Truth {
    /// Whether the server had begun.
    counts: bool,
    /// Whether any had been connected.
    counts_for_all: bool,
    /// Posts that arrived.
    posts: i64,
    /// Why not all of them did.
    cause: Option<Cause>,
    /// With keep-alives and nothing else: a server alone cannot tell that from an outage upstream.
    is_quiet: bool,
}

/// One server's week as it was, and what its collector wrote.
struct Server<'a> {
    world: &'a World,
    number: usize,
    id: ServerId,
    /// From a post's creation to its arrival here.
    lag_ms: i64,
    pulse: Pulse,
    backoff: Backoff,
    /// How far its clock is ahead.
    ahead_ms: i64,
    /// When that changes, and to what.
    steps: Vec<(i64, i64)>,
    is_running: bool,
    run_number: u64,
    run: u32,
    connection: u64,
    connected_ms: i64,
    now_ms: i64,
    files: BTreeMap<(u64, Minute, u32), Vec<Event>>,
    /// How many seconds of each have posts.
    seconds_with_posts: BTreeMap<(u64, Minute, u32), u32>,
    /// Records wait in memory for room on the disk.
    has_no_room: bool,
    /// Segments that were sealed long after their minute, and when: the machine slept.
    sealed_ms: BTreeMap<(u64, Minute, u32), i64>,
    /// How far its clock was ahead in each run.
    aheads: BTreeMap<u64, i64>,
    /// When it first started.
    started_ms: i64,
    /// When nothing arrived, in ms after the begin, and why.
    away: Vec<(i64, i64, Cause)>,
}

impl<'a> Server<'a> {
    /// Its first start.
    fn begin(world: &'a World, number: usize, dice: &mut Dice, clock: &[(i64, i64)]) -> Self {
        let start_ms = dice.between(0, 900_000);
        let mut server = Self {
            world,
            number,
            id: (number + 1).to_string().parse().unwrap(),
            lag_ms: APART_MS * dice.between(20, 320),
            pulse: Pulse::new(world.at(start_ms)),
            backoff: Backoff::new(0, []),
            ahead_ms: 0,
            steps: clock.to_vec(),
            is_running: false,
            run_number: 0,
            aheads: BTreeMap::new(),
            started_ms: start_ms,
            run: 0,
            connection: 0,
            connected_ms: start_ms,
            now_ms: start_ms,
            files: BTreeMap::new(),
            seconds_with_posts: BTreeMap::new(),
            has_no_room: false,
            sealed_ms: BTreeMap::new(),
            away: vec![(i64::MIN / 4, 0, Cause::NotRunning)],
        };
        server.start(dice, None);
        server.connect(200);
        server.away[0].1 = server.now_ms;
        server
    }

    fn live(world: &'a World, number: usize, dice: &mut Dice, clock: &[(i64, i64)]) -> Self {
        let mut server = Self::begin(world, number, dice, clock);
        let mut is_off_over = false;
        loop {
            let begin = server.now_ms / 1_000 + dice.between(APART_MIN_S, 14_000);
            let (who, off, on) = world.off;
            if who == number && !is_off_over && off < begin {
                server.up_to((off * 1_000).max(server.now_ms + APART_MIN_S * 1_000));
                server.strike(Fault::Restart, on * 1_000 - server.now_ms, dice);
                is_off_over = true;
                continue;
            }
            if world.seconds + 600 < begin {
                break;
            }
            let fault = match dice.between(0, 14) {
                14 => Fault::Asleep,
                n => Fault::ALL[usize::try_from(n).unwrap()],
            };
            let lasts = match fault {
                Fault::Asleep => dice.between(240, 2_000),
                Fault::Platform => dice.between(1, 40),
                _ if dice.between(0, 3) == 0 => dice.between(300, 4_000),
                _ => dice.between(1, 120),
            };
            if world.is_reserved(begin, begin + lasts + AFTERMATH_S) {
                server.up_to((begin + APART_MIN_S) * 1_000);
                continue;
            }
            server.up_to(begin * 1_000 + dice.between(0, 999));
            server.strike(fault, lasts * 1_000 + dice.between(0, 999), dice);
        }
        // until the minute in which it came back is told of
        server.up_to((world.seconds * 1_000 + 600_000).max(server.now_ms + 120_000));
        server
    }

    /// Hours in which the next thing goes wrong soon after the one before, or at once.
    fn storm(world: &'a World, number: usize, dice: &mut Dice) -> Self {
        let mut server = Self::begin(world, number, dice, &[]);
        server.lag_ms = APART_MS * dice.between(20, 1_200);
        while server.now_ms / 1_000 < STORM_S {
            server.up_to(server.now_ms + dice.between(0, 1) * dice.between(1, 90_000));
            let fault = Fault::ALL[usize::try_from(dice.between(0, 13)).unwrap()];
            server.strike(fault, dice.between(1, 60_000), dice);
            if dice.between(0, 2) == 0 {
                server.up_to(server.now_ms + dice.between(60, 900) * 1_000);
            }
        }
        server.up_to((STORM_S + 600) * 1_000);
        server
    }

    /// What its clock shows.
    fn stamp(&self) -> UtcMs {
        self.world.at(self.now_ms + self.ahead_ms)
    }

    /// The time that its waits go by.
    fn steady(&self) -> UtcMs {
        self.world.at(self.now_ms)
    }

    /// Writes what the minutes that are over were like; a step of the clock that has come begins a new run.
    fn turn(&mut self) {
        if self.is_running
            && let Some(ahead_ms) = self.clock_is_set()
        {
            self.over();
            let last = self.pulse.last(self.stamp());
            self.put(self.stamp(), EventKind::Alive(last));
            let step_ms = ahead_ms - self.ahead_ms;
            self.ahead_ms = ahead_ms;
            self.pulse.stepped(self.stamp(), step_ms);
            self.begin_run(self.run.wrapping_mul(31).wrapping_add(7));
            let number = self.run_number;
            self.put(self.stamp(), EventKind::ClockStepped { number, step_ms });
        }
        self.over();
    }

    /// How far ahead it is from now on, if it has been set by more than what is no step.
    fn clock_is_set(&mut self) -> Option<i64> {
        let due = self.steps.iter().take_while(|step| step.0 <= self.now_ms);
        let due = due.count();
        let last = self.steps.drain(..due).next_back()?;
        (1_000 < (last.1 - self.ahead_ms).abs()).then_some(last.1)
    }

    fn over(&mut self) {
        let now = self.stamp();
        for alive in self.pulse.over(now) {
            let at = alive.minute.end().plus_ms(-1);
            self.put(at, EventKind::Alive(alive));
        }
    }

    fn begin_run(&mut self, run: u32) {
        self.run = run;
        self.run_number += 1;
        self.aheads.insert(self.run_number, self.ahead_ms);
    }

    fn put(&mut self, at: UtcMs, what: EventKind) {
        let event = Event {
            at,
            what,
            connection: self.connection,
        };
        if self.has_no_room {
            return;
        }
        let key = (self.run_number, at.minute(), self.run);
        self.files.entry(key).or_default().push(event);
    }

    /// The open segment.
    fn open(&self) -> (u64, Minute, u32) {
        (self.run_number, self.stamp().minute(), self.run)
    }

    /// The process is gone, and starts again after what was written up to `last`.
    fn start_after_crash(
        &mut self,
        (_, minute, run): (u64, Minute, u32),
        last: UtcMs,
        dice: &mut Dice,
    ) {
        let segment = SegmentName {
            server: self.id.clone(),
            stream: "sample".to_owned(),
            partition: None,
            minute,
            run: RunId(run),
            part: 0,
        };
        self.start(dice, Some(last));
        self.tell(EventKind::Recovered {
            segment: segment.to_string(),
            lines: 7,
            cut_bytes: 0,
            last: Some(last),
        });
        self.connect(150);
    }

    fn tell(&mut self, what: EventKind) {
        self.turn();
        let at = self.stamp();
        self.pulse.event(at, &what);
        self.put(at, what);
    }

    fn start(&mut self, dice: &mut Dice, last_line: Option<UtcMs>) {
        self.ahead_ms = self.clock_is_set().unwrap_or(self.ahead_ms);
        self.is_running = true;
        self.begin_run(u32::try_from(dice.next() >> 32).unwrap());
        self.connection = 0;
        self.backoff = Backoff::new(self.run, []);
        self.pulse = Pulse::new(self.stamp());
        self.tell(EventKind::Started {
            program: "test/1".to_owned(),
            number: self.run_number,
            after: self.files.keys().map(|(number, ..)| *number).max(),
            last_line,
        });
    }

    /// A connection that comes about after a while.
    fn connect(&mut self, takes_ms: i64) {
        self.connection += 1;
        self.tell(EventKind::Connecting {
            backfill_minutes: 0,
            cursor: None,
            endpoint: None,
            collections: None,
        });
        self.idle(takes_ms);
        self.turn();
        // the `Date` header has whole seconds
        let date = UtcMs(self.steady().second() * 1_000);
        let offset_ms = date.0 - self.stamp().0;
        self.pulse.clock_seen(offset_ms);
        self.tell(EventKind::Connected {
            status: 200,
            backfill_minutes: 0,
            transaction: None,
        });
        self.pulse.connected(self.stamp());
        self.backoff.answered(self.steady(), RateLimit::default());
        self.tell(EventKind::FirstLine {
            clock_offset_ms: None,
        });
        self.connected_ms = self.now_ms;
    }

    fn ended(&mut self, cause: event::EndCause, status: Option<u16>, lines: u64) {
        if 0 < lines && HOLDS_MS <= self.now_ms - self.connected_ms {
            self.backoff.held();
        }
        self.turn();
        self.pulse.disconnected(self.stamp());
        self.tell(EventKind::Disconnected(Disconnected {
            cause,
            status,
            disconnect_type: (cause == event::EndCause::Platform)
                .then(|| "UpstreamOperationalDisconnect".to_owned()),
            lines,
            unfinished: None,
            detail: String::new(),
        }));
    }

    fn wait(&mut self, next: Next) {
        for (until, why) in next.waits(self.steady()) {
            let wait_ms = until.0 - self.steady().0;
            self.tell(EventKind::Waiting {
                wait_ms: Some(u64::try_from(wait_ms).unwrap()),
                why,
            });
            self.idle(wait_ms);
        }
    }

    /// Nothing comes for a while, and the minutes are told of all the same.
    fn idle(&mut self, ms: i64) {
        let end_ms = self.now_ms + ms;
        loop {
            // the clock is looked at every second
            let step = self.steps.first().map(|step| step.0 + 999);
            let next = (self.now_ms + 60_000).min(step.unwrap_or(i64::MAX).max(self.now_ms + 1));
            if end_ms <= next {
                break;
            }
            self.now_ms = next;
            self.turn();
        }
        self.now_ms = end_ms;
        self.turn();
    }

    /// A connection that is up: bytes in every second, or keep-alives only.
    fn up_to(&mut self, end_ms: i64) {
        for second in self.now_ms / 1_000..=end_ms / 1_000 {
            let ms = second * 1_000 + 500;
            if ms <= self.now_ms || end_ms <= ms {
                continue;
            }
            let of_post = (ms - self.lag_ms) / 1_000;
            let is_quiet = self.world.is_upstream(of_post)
                || self
                    .world
                    .quiet
                    .iter()
                    .any(|w| w.0 == self.number && w.1 <= second && second < w.2);
            if is_quiet && second % 20 != 0 {
                continue;
            }
            self.now_ms = ms;
            self.turn();
            self.pulse.bytes(self.stamp());
            // while it is quiet, only keep-alives come
            let seconds = self.seconds_with_posts.entry(self.open()).or_default();
            *seconds += u32::from(!is_quiet);
        }
        self.now_ms = self.now_ms.max(end_ms);
        self.turn();
    }

    fn strike(&mut self, fault: Fault, lasts_ms: i64, dice: &mut Dice) {
        let begin_ms = self.now_ms;
        let over_ms = begin_ms + lasts_ms;
        match fault {
            Fault::Network(cause) => self.outage(cause, over_ms, None),
            Fault::Refused(status, refusal) => {
                self.outage(event::EndCause::Eof, over_ms, Some((status, refusal)));
            }
            Fault::LockOut(refusal) => {
                self.outage(event::EndCause::Reset, over_ms, Some((429, refusal)));
            }
            Fault::Stall => {
                self.idle(30_000);
                self.ended(event::EndCause::Stall, None, 9);
                let next = self.backoff.ended(self.steady(), End::Dropped);
                self.wait(next);
                self.connect(100);
            }
            Fault::Platform => {
                self.ended(event::EndCause::Platform, None, 9);
                let next = self.backoff.ended(self.steady(), End::Dropped);
                self.wait(next);
                self.connect(lasts_ms);
            }
            Fault::Restart => {
                self.ended(event::EndCause::Shutdown, None, 9);
                let now = self.stamp();
                let last = self.pulse.last(now);
                self.tell(EventKind::Alive(last));
                self.tell(EventKind::Stopped {
                    why: "signal".to_owned(),
                });
                self.is_running = false;
                self.now_ms = over_ms;
                self.start(dice, Some(now));
                self.connect(150);
            }
            Fault::Kill => {
                self.turn();
                self.is_running = false;
                let (open, last) = (self.open(), self.stamp());
                // lines alone open a pair as well
                self.files.entry(open).or_default();
                self.now_ms = over_ms;
                self.start_after_crash(open, last, dice);
            }
            Fault::Disk { is_killed } => {
                self.ended(event::EndCause::Disk, None, 9);
                self.tell(EventKind::Waiting {
                    wait_ms: None,
                    why: event::WaitReason::DiskFull,
                });
                let (open, last) = (self.open(), self.stamp());
                // a collector keeps what it cannot write: that is lost only with the process
                self.has_no_room = is_killed;
                self.idle(lasts_ms);
                self.has_no_room = false;
                if is_killed {
                    self.is_running = false;
                    // nor are runs kept that a step of the clock began meanwhile
                    self.run_number = open.0;
                    self.start_after_crash(open, last, dice);
                } else {
                    self.connect(150);
                }
            }
            Fault::Asleep => {
                self.sealed_ms.insert(self.open(), over_ms);
                self.now_ms = over_ms;
                self.ended(event::EndCause::Stall, None, 9);
                let next = self.backoff.ended(self.steady(), End::Dropped);
                self.wait(next);
                self.connect(100);
            }
        }
        self.away.push((begin_ms, self.now_ms, fault.cause()));
    }

    /// A connection breaks, and until `over_ms` no new one can be made.
    fn outage(&mut self, cause: event::EndCause, over_ms: i64, answer: Option<(u16, Refusal)>) {
        self.ended(cause, None, 9);
        let mut next = self.backoff.ended(self.steady(), End::Dropped);
        loop {
            self.wait(next);
            if over_ms <= self.now_ms {
                return self.connect(120);
            }
            self.connection += 1;
            self.tell(EventKind::Connecting {
                backfill_minutes: 0,
                cursor: None,
                endpoint: None,
                collections: None,
            });
            self.now_ms += 40;
            self.turn();
            let now = self.steady();
            next = if let Some((status, refusal)) = answer {
                self.ended(event::EndCause::HttpStatus, Some(status), 0);
                self.backoff.answered(now, RateLimit::default());
                let end = End::Refused {
                    refusal,
                    with_backfill: false,
                };
                self.backoff.ended(now, end)
            } else {
                self.ended(event::EndCause::Connect, None, 0);
                self.backoff.ended(now, End::Failed)
            };
        }
    }

    /// How many posts of each second of the week arrived, and why none did.
    fn truth(&self) -> Vec<Truth> {
        let whole = Truth {
            counts: true,
            counts_for_all: true,
            posts: POSTS,
            cause: None,
            is_quiet: false,
        };
        let mut seconds = vec![whole; usize::try_from(self.world.seconds).unwrap()];
        for (second, truth) in (0..).zip(&mut seconds) {
            truth.counts = (self.started_ms - self.lag_ms).div_euclid(1_000) <= second;
            truth.counts_for_all = (self.away[0].1 - self.lag_ms).div_euclid(1_000) <= second;
        }
        let is_off = |begin: i64, end: i64| {
            self.away
                .iter()
                .any(|away| away.0 <= begin && end <= away.1 && away.2 == Cause::NotRunning)
        };
        let quiet = self.world.quiet.iter().filter(|w| w.0 == self.number);
        let quiet = quiet
            .map(|w| (w.1 * 1_000, w.2 * 1_000, Cause::Stall))
            .filter(|w| !is_off(w.0, w.1));
        let away = self.away.iter().map(|away| (*away, false));
        for ((begin, end, cause), is_quiet) in away.chain(quiet.map(|w| (w, true))) {
            let (from, to) = (begin - self.lag_ms, end - self.lag_ms);
            for second in
                from.div_euclid(1_000).max(0)..=to.div_euclid(1_000).min(self.world.seconds - 1)
            {
                let truth = &mut seconds[usize::try_from(second).unwrap()];
                for post in 0..POSTS {
                    let at = second * 1_000 + post * APART_MS;
                    truth.posts -= i64::from(from <= at && at < to);
                }
                (truth.cause, truth.is_quiet) = (Some(cause), is_quiet);
            }
        }
        for (begin, end) in &self.world.upstream {
            for second in *begin..*end {
                let truth = &mut seconds[usize::try_from(second).unwrap()];
                // who was away then is told so
                if truth.posts != 0 {
                    truth.cause = Some(Cause::UpstreamSilence);
                }
                truth.posts = 0;
            }
        }
        seconds
    }

    fn stock_and_files(&self) -> Vec<(SpoolSegment, EventsFile)> {
        let files = self.files.iter();
        files
            .map(|(key, events)| {
                let (number, minute, run) = key;
                let offset_ms = events.iter().rev().find_map(|event| match &event.what {
                    EventKind::Alive(alive) => Some(alive.clock_offset_ms),
                    _ => None,
                });
                let step_ms = events.iter().find_map(|event| match event.what {
                    EventKind::ClockStepped { step_ms, .. } => Some(step_ms),
                    _ => None,
                });
                let has_posts = self.seconds_with_posts.get(key).is_some_and(|few| 5 < *few);
                let lag_ms = self.lag_ms + self.aheads[number];
                let began = events.iter().find_map(|event| match event.what {
                    EventKind::Connected { .. } => Some(event.at),
                    _ => None,
                });
                let name = SegmentName {
                    server: self.id.clone(),
                    stream: "sample".to_owned(),
                    partition: None,
                    minute: *minute,
                    run: RunId(*run),
                    part: 0,
                };
                let started = events.iter().find_map(|event| match event.what {
                    EventKind::Started { after, .. } => Some((event.at, after.is_none())),
                    _ => None,
                });
                let stock = SpoolSegment {
                    is_here: true,
                    minute: name.minute,
                    is_slow: false,
                    number: *number,
                    offset_ms: offset_ms.flatten(),
                    lag: has_posts.then_some((lag_ms, 900)),
                    step_ms,
                    rejected: 0,
                    began,
                    formerly: Vec::new(),
                    sha256: Sha256::ZEROS,
                    lines: 0,
                    events_sha256: Sha256::ZEROS,
                    events: events.len() as u64,
                    hours: BTreeMap::new(),
                    started: started.map(|started| started.0),
                    is_first: started.is_some_and(|started| started.1),
                    ends_early: ends_early(*minute, events),
                    stopped: stops(events),
                    backfill: 0,
                    out_of_window: Vec::new(),
                    listened: Vec::new(),
                    arrived: self
                        .sealed_ms
                        .get(&(*number, *minute, *run))
                        .map_or(minute.end(), |ms| self.world.at(*ms)),
                    name: name.clone(),
                };
                let file = EventsFile {
                    name,
                    number: *number,
                    lag_ms: 0,
                    listened: Vec::new(),
                    events: events.clone(),
                };
                (stock, file)
            })
            .collect()
    }
}

/// Whether a run ended in that minute, or crashed: then its record of the minute is missing.
pub(crate) fn ends_early(minute: Minute, events: &[Event]) -> bool {
    let is_told =
        |event: &Event| matches!(&event.what, EventKind::Alive(alive) if alive.minute == minute);
    !events.iter().any(is_told) || stops(events)
}

/// Whether a run said that it ends.
pub(crate) fn stops(events: &[Event]) -> bool {
    let stops = |event: &Event| matches!(event.what, EventKind::Stopped { .. });
    events.iter().any(stops)
}

/// The declared rule for a second that nobody has.
fn together(causes: impl Iterator<Item = Cause>) -> Cause {
    const ORDER: [&str; 11] = [
        "late",
        "upstream silence",
        "platform disconnect",
        "stall",
        "replay window",
        "lock-out",
        "refused",
        "network",
        "disk",
        "not running",
        "unknown",
    ];
    let place = |cause: &Cause| ORDER.iter().position(|word| *word == cause.word()).unwrap();
    causes.min_by_key(place).unwrap()
}

/// What is true of a second, for both servers and together: `None` is covered.
type Second = [Option<Cause>; 3];

/// What must come out.
fn expected(truth: &[Vec<Truth>; 2]) -> Vec<Second> {
    (0..truth[0].len())
        .map(|place| {
            let of = |number: usize| {
                let truth = truth[number][place];
                truth.cause.filter(|_| truth.posts == 0)
            };
            let alone = |number: usize| {
                let other = of(1 - number);
                match of(number) {
                    Some(_)
                        if truth[number][place].is_quiet && other == Some(Cause::NotRunning) =>
                    {
                        Some(Cause::UpstreamSilence)
                    }
                    // what the other one got is not known yet
                    Some(Cause::UpstreamSilence) if other == Some(Cause::Late) => {
                        Some(Cause::Stall)
                    }
                    cause => cause,
                }
            };
            let counts = |number: usize| truth[number][place].counts;
            let has = |number: usize| counts(number) && of(number).is_none();
            let both = [0, 1].map(|number| alone(number).filter(|_| counts(number)));
            let has_begun = (0..2).any(|number| truth[number][place].counts_for_all);
            let is_gap = has_begun && !has(0) && !has(1);
            let together = is_gap.then(|| together(both.into_iter().flatten()));
            [both[0], both[1], together]
        })
        .collect()
}

/// Accounts of the hours of a range, with their begin in seconds of the week; `legs` ascend, each with its posts.
fn accounts(
    world: &World,
    stock: &[(SpoolSegment, EventsFile)],
    (legs, posts): (&[Leg], &[&[Truth]]),
    hours: &std::ops::Range<i64>,
) -> Vec<(i64, Account)> {
    let zone = Zone::named("UTC").unwrap();
    let mut known: Vec<SpoolSegment> = stock.iter().map(|(stock, _)| stock.clone()).collect();
    let told = placing::told(&known);
    let clocks = Clocks::of(told.iter().map(|(day, told)| (*day, told.as_slice())));
    placing::place(&mut known, &clocks, &zone);
    let when = When {
        zone: &zone,
        span: plan::span(&known, &zone, Span::default()),
        settle_ms: 600_000,
        now: world.at(world.seconds * 1_000 + 3_600_000),
        primary: None,
        servers: &[],
    };
    let mut found = Vec::new();
    for candidate in plan::candidates(&known, &BTreeSet::new(), &when) {
        let intervals = zone.intervals(candidate.hour);
        let begin = intervals[0].begin.second() - world.begin.second();
        if !hours.contains(&begin) {
            continue;
        }
        let timelines: Vec<Timeline> = legs
            .iter()
            .map(|leg| {
                let numbers = candidate.events.iter();
                let numbers = numbers.filter(|n| known[**n].name.is_of(leg));
                let mut files: Vec<EventsFile> =
                    numbers.clone().map(|n| stock[*n].1.clone()).collect();
                let mut of_runs: BTreeMap<RunId, Vec<Lag>> = BTreeMap::new();
                for of in numbers.map(|number| &known[*number]) {
                    of_runs.entry(of.name.run).or_default().extend(of.lag);
                }
                clock::set(&mut files, &of_runs, false);
                Timeline::of(&files, false)
            })
            .collect();
        let of_part = |part: Part| -> Seconds {
            let in_second = (begin..begin + 3_600).filter_map(|second| {
                let place = usize::try_from(second).unwrap();
                let of = |leg: &usize| u64::try_from(posts[*leg][place].posts).unwrap();
                let servers: Vec<u64> = part.legs.iter().map(of).collect();
                let in_second = InSecond {
                    posts: servers.iter().copied().max().unwrap(),
                    common: servers.iter().copied().min().unwrap(),
                    servers,
                    belated: Vec::new(),
                };
                (0 < in_second.posts).then_some((world.begin.second() + second, in_second))
            });
            in_second.collect()
        };
        let parts: Vec<Seconds> = part::parts(legs).into_iter().map(of_part).collect();
        let account = account(&Given {
            intervals: &intervals,
            servers: legs,
            posts: &parts,
            timelines: &timelines,
            is_in_span: true,
            began: when.span.began,
            changes: &[],
            has_rules: false,
            tells_when_seen: false,
            alike: None,
            lost: &[],
        });
        found.push((begin, account));
    }
    found
}

/// Both servers, as legs of a stream without partitions.
fn two() -> [Leg; 2] {
    ["1", "2"].map(|id| id.parse().unwrap())
}

/// Merges all hours, or those of a range, and compares every second.
fn check(
    name: &str,
    world: &World,
    stock: &[(SpoolSegment, EventsFile)],
    posts: &[Vec<Truth>; 2],
    hours: std::ops::Range<i64>,
) -> BTreeSet<Cause> {
    let expected = expected(posts);
    let begins = |of: &Vec<Truth>, counts: fn(&Truth) -> bool| {
        let place = of.iter().position(counts).unwrap();
        i64::try_from(place).unwrap()
    };
    let of_server = |of: &Vec<Truth>| {
        let all = begins(of, |truth| truth.counts_for_all);
        [begins(of, |truth| truth.counts), all]
    };
    let beginnings: Vec<i64> = posts.iter().flat_map(of_server).collect();
    let mut causes = BTreeSet::new();
    let mut all_gaps = Vec::new();
    for (begin, found) in accounts(world, stock, (&two(), &[&posts[0], &posts[1]]), &hours) {
        check_hour(name, world, begin, &found.gaps, (&expected, &beginnings));
        let covered = |server: usize, place: i64| {
            let bits = found.servers[server].bits(3_600).unwrap().0;
            bits[usize::try_from(place).unwrap()]
        };
        // in the first hour it is before the beginning, or near it
        if 0 < begin {
            let place = usize::try_from(begin + 7).unwrap();
            assert_eq!(covered(0, 7), expected[place][0].is_none(), "{name}");
        }
        assert_eq!(found.union.quiet, 0, "nothing is quiet at such a rate");
        causes.extend(found.gaps.iter().map(|gap| gap.cause));
        all_gaps.extend(found.gaps);
    }
    for two in gap::join(&all_gaps).windows(2) {
        let touch = two[0].server == two[1].server && two[0].end == two[1].begin;
        assert!(!touch || two[0].cause != two[1].cause, "{name}: {two:?}");
    }
    causes
}

fn check_hour(
    name: &str,
    world: &World,
    begin: i64,
    gaps: &[gap::Gap],
    (expected, beginnings): (&[Second], &[i64]),
) {
    let mut found: Vec<Second> = vec![[None; 3]; 3_600];
    for gap in gaps {
        let number = match gap.server.as_str() {
            "1" => 0,
            "2" => 1,
            _ => 2,
        };
        for second in gap.begin.second()..gap.end.second() {
            let place = usize::try_from(second - world.begin.second() - begin).unwrap();
            let told_before = found[place][number].replace(gap.cause);
            assert_eq!(told_before, None, "{name}: two causes at {second}");
        }
    }
    for (second, found) in (begin..).zip(found) {
        let expected = expected[usize::try_from(second).unwrap()];
        let at = world.at(second * 1_000);
        // the beginning itself is stamped by a clock, which may be off by so much unnoticed
        if beginnings.iter().any(|begin| begin.abs_diff(second) <= 2) {
            continue;
        }
        let near =
            |gap: &&gap::Gap| gap.begin <= at.plus_ms(60_000) && at.plus_ms(-60_000) <= gap.end;
        let told = || gaps.iter().filter(near).collect::<Vec<_>>();
        assert_eq!(
            found,
            expected,
            "{name}: {at} (found, expected) {:#?}",
            told()
        );
    }
}

/// A stretch of minutes at whose ends nothing goes wrong, which one server delivers late.
fn late_minutes(server: &Server<'_>, dice: &mut Dice) -> (i64, i64) {
    let is_calm = |second: i64| {
        let near = |begin: i64, end: i64| begin - 300 < second && second < end + 300;
        !server
            .away
            .iter()
            .any(|away| near(away.0 / 1_000, away.1 / 1_000))
            && !server.world.is_reserved(second - 60, second + 60)
    };
    loop {
        let begin = dice.between(60, server.world.seconds / 60 - 800) * 60;
        let end = begin + dice.between(360, 700) * 60;
        if is_calm(begin) && is_calm(end) {
            return (begin, end);
        }
    }
}

fn check_week(seed: u64) -> BTreeSet<Cause> {
    let mut dice = Dice(seed);
    let world = World::new(&mut dice, WEEK_S);
    let servers = [
        Server::live(&world, 0, &mut dice, &[]),
        Server::live(&world, 1, &mut dice, &[]),
    ];
    let posts = [servers[0].truth(), servers[1].truth()];
    let mut stock: Vec<(SpoolSegment, EventsFile)> =
        servers.iter().flat_map(Server::stock_and_files).collect();
    stock.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    // before: what one server collected in these minutes has not come yet
    let (begin, end) = late_minutes(&servers[1], &mut dice);
    let late = Interval {
        begin: world.at(begin * 1_000),
        end: world.at(end * 1_000),
    };
    let is_here = |stock: &SpoolSegment| {
        stock.name.server != servers[1].id || !late.contains(stock.name.minute.begin())
    };
    let before: Vec<(SpoolSegment, EventsFile)> = stock
        .iter()
        .filter(|(stock, _)| is_here(stock))
        .cloned()
        .collect();
    let mut posts_before = posts.clone();
    for (second, truth) in (0..).zip(&mut posts_before[1]) {
        let arrival = |post: i64| second * 1_000 + post * APART_MS + servers[1].lag_ms;
        let is_late = |at: i64| begin * 1_000 <= at && at < end * 1_000;
        let missing = (0..POSTS).filter(|post| is_late(arrival(*post))).count();
        if 0 < missing {
            truth.posts = (truth.posts - i64::try_from(missing).unwrap()).max(0);
            (truth.cause, truth.is_quiet) = (Some(Cause::Late), false);
        }
    }
    let around = begin / 3_600 * 3_600..end;
    let mut causes = check(
        &format!("seed {seed}, before"),
        &world,
        &before,
        &posts_before,
        around,
    );
    assert!(causes.contains(&Cause::Late));
    causes.extend(check(
        &format!("seed {seed}"),
        &world,
        &stock,
        &posts,
        0..world.seconds,
    ));
    causes
}

#[test]
fn a_simulated_week_has_exactly_the_gaps_that_were_injected() {
    let weeks: Vec<u64> = seeds(SEEDS).collect();
    let causes: BTreeSet<Cause> = std::thread::scope(|scope| {
        let half = |odd: u64| {
            let weeks = weeks.iter().copied().filter(move |seed| seed % 2 == odd);
            scope.spawn(move || weeks.flat_map(check_week).collect::<BTreeSet<Cause>>())
        };
        let halves = [half(0), half(1)];
        halves
            .into_iter()
            .flat_map(|half| half.join().unwrap())
            .collect()
    });
    let missing: Vec<Cause> = Cause::ALL
        .into_iter()
        // X gives nothing again that is older than some minutes, so it has no window
        .filter(|cause| ![Cause::Unknown, Cause::ReplayWindow].contains(cause))
        .filter(|cause| !causes.contains(cause))
        .collect();
    assert_eq!(missing, [], "every cause was injected");
    assert!(!causes.contains(&Cause::Unknown));
}

/// How far a clock is ahead, and when it is set to what.
fn clock(dice: &mut Dice) -> Vec<(i64, i64)> {
    let mut ahead = || {
        let most = match dice.between(0, 4) {
            0 => 1_500,
            1 => 30_000,
            2 => 300_000,
            3 => 2 * 3_600_000,
            _ => 86_400_000,
        };
        dice.between(-most, most)
    };
    let mut clock = vec![(i64::MIN, ahead())];
    let aheads: Vec<i64> = (0..4).map(|_| ahead()).collect();
    for ahead_ms in aheads {
        if dice.between(0, 2) == 0 {
            clock.push((dice.between(0, CLOCKS_S * 1_000), ahead_ms));
        }
    }
    clock.sort_by_key(|step| step.0);
    clock
}

/// Lives a world by clocks that are wrong and are set; says how many steps there were.
fn check_clocks(seed: u64) -> usize {
    let mut dice = Dice(seed);
    let world = World::new(&mut dice, CLOCKS_S);
    let clocks = [clock(&mut dice), clock(&mut dice)];
    let servers = [0, 1].map(|number| Server::live(&world, number, &mut dice, &clocks[number]));
    let posts = servers.each_ref().map(Server::truth);
    let mut stock: Vec<(SpoolSegment, EventsFile)> =
        servers.iter().flat_map(Server::stock_and_files).collect();
    stock.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    let name = format!("seed {seed}, clocks {clocks:?}");
    check(&name, &world, &stock, &posts, 0..world.seconds);
    let events = stock.iter().flat_map(|(_, file)| &file.events);
    let stepped = |event: &&Event| matches!(event.what, EventKind::ClockStepped { .. });
    events.filter(stepped).count()
}

#[test]
fn clocks_that_are_wrong_and_are_set_change_no_gap_and_no_cause() {
    let steps: usize = std::thread::scope(|scope| {
        let half = |odd: u64| {
            let seeds = seeds(CLOCK_SEEDS).filter(move |seed| seed % 2 == odd);
            scope.spawn(|| seeds.map(check_clocks).sum::<usize>())
        };
        let halves = [half(0), half(1)];
        halves.into_iter().map(|half| half.join().unwrap()).sum()
    });
    assert!(0 < steps, "no clock was set while a server ran");
}

/// Hours in which one thing goes wrong after another, at both servers and upstream, and posts take
/// up to half a minute: here no truth is told second by second, but what must hold for every gap.
fn check_storm(seed: u64) {
    let mut dice = Dice(seed);
    let mut world = World::new(&mut dice, WEEK_S);
    let mut second = 600;
    world.upstream.clear();
    world.quiet.clear();
    while second < STORM_S {
        let end = second + dice.between(5, 200);
        if dice.between(0, 1) == 0 {
            world.upstream.push((second, end));
        } else {
            let who = usize::try_from(dice.between(0, 1)).unwrap();
            world.quiet.push((who, second, end));
        }
        second = end + dice.between(1, 1_200);
    }
    let servers = [0, 1].map(|number| Server::storm(&world, number, &mut dice));
    let mut posts = servers.each_ref().map(Server::truth);
    let mut stock: Vec<(SpoolSegment, EventsFile)> =
        servers.iter().flat_map(Server::stock_and_files).collect();
    stock.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    // some minutes of one server have not come yet, and some of those after which its disk was full
    let mut late: BTreeSet<i64> = (0..8).map(|_| dice.between(20, STORM_S / 60)).collect();
    let full = servers[1].away.iter().filter(|away| away.2 == Cause::Disk);
    late.extend(
        full.map(|away| away.0 / 60_000 + 1)
            .filter(|_| dice.between(0, 1) == 0),
    );
    let begin = world.begin.minute().0;
    let is_late = |name: &SegmentName| {
        name.server == servers[1].id && late.contains(&(name.minute.0 - begin))
    };
    // those of a run that received something in the minute before, and that no other run has a part of
    let mut runs: BTreeMap<i64, Vec<(RunId, bool)>> = BTreeMap::new();
    for (of, file) in stock
        .iter()
        .filter(|(of, _)| of.name.server == servers[1].id)
    {
        let has_posts = of.lag.is_some() && !file.events.is_empty();
        let of_minute = runs.entry(of.name.minute.0 - begin).or_default();
        of_minute.push((of.name.run, has_posts && !is_late(&of.name)));
    }
    let is_known_late = |minute: i64| {
        let before = runs.get(&(minute - 1)).and_then(|of| of.last());
        let alone = runs.get(&minute).filter(|of| of.len() == 1);
        let alone = alone.and_then(|of| of.first());
        late.contains(&minute)
            && alone
                .zip(before)
                .is_some_and(|(of, before)| of.0 == before.0 && before.1)
    };
    let mut withheld: BTreeSet<i64> = BTreeSet::new();
    stock.retain(|(stock, _)| !is_late(&stock.name));
    for (second, truth) in (0..STORM_S).zip(&mut posts[1]) {
        let arrival = |post: i64| second * 1_000 + post * APART_MS + servers[1].lag_ms;
        let missing = (0..POSTS).filter(|post| late.contains(&(arrival(*post) / 60_000)));
        let missing = i64::try_from(missing.count()).unwrap();
        let is_whole = truth.posts == POSTS && missing == POSTS;
        if is_whole
            && [0, POSTS - 1]
                .iter()
                .all(|post| is_known_late(arrival(*post) / 60_000))
        {
            withheld.insert(second);
        }
        truth.posts -= missing;
    }
    // what several things kept away is missing once
    for truth in posts.iter_mut().flatten() {
        truth.posts = truth.posts.max(0);
    }
    for (begin, found) in accounts(
        &world,
        &stock,
        (&two(), &[&posts[0], &posts[1]]),
        &(0..STORM_S),
    ) {
        let name = format!("storm {seed}, {}", world.at(begin * 1_000));
        check_parts(&name, world.begin.second() + begin, &found.gaps);
        let here = |gap: &&gap::Gap, cause| gap.cause == cause;
        let is_late_at = |second: i64| {
            let mut late = found.gaps.iter().filter(|gap| here(gap, Cause::Late));
            late.any(|gap| gap.begin.second() <= second && second < gap.end.second())
        };
        // what has come there and is not here is late, whatever happened before
        for second in withheld.range(begin..begin + 3_600) {
            let at = world.begin.second() + second;
            let mut here = found.gaps.iter().filter(|gap| {
                gap.server == "2" && gap.begin.second() <= at && at < gap.end.second()
            });
            let cause = here.next().map(|gap| gap.cause);
            assert_eq!(cause, Some(Cause::Late), "{name}: {second}");
        }
        for gap in found
            .gaps
            .iter()
            .filter(|gap| here(gap, Cause::UpstreamSilence))
        {
            for second in gap.begin.second()..gap.end.second() {
                let place = usize::try_from(second - world.begin.second()).unwrap();
                let has_none = posts.iter().all(|of| of[place].posts == 0);
                assert!(has_none && !is_late_at(second), "{name}: {gap:?}");
            }
        }
    }
}

/// No cause is unknown, and no part of a server's run of uncovered seconds is a splinter of a longer
/// one beside it, unless the hour cuts it.
fn check_parts(name: &str, begin: i64, gaps: &[gap::Gap]) {
    const SPLINTER_S: i64 = 5;
    let takes = |cause: Cause| !matches!(cause, Cause::Late | Cause::UpstreamSilence);
    assert!(
        gaps.iter().all(|gap| gap.cause != Cause::Unknown),
        "{name}: {gaps:?}"
    );
    for two in gaps.windows(2).filter(|two| two[0].server != gap::UNION) {
        let touch = two[0].server == two[1].server && two[0].end == two[1].begin;
        for (one, other) in [(&two[0], &two[1]), (&two[1], &two[0])] {
            let is_cut = one.begin.second() == begin || one.end.second() == begin + 3_600;
            let is_splinter = touch
                && one.seconds() < SPLINTER_S
                && one.seconds() <= other.seconds()
                && takes(other.cause)
                && one.cause != Cause::Late
                && !is_cut;
            assert!(!is_splinter, "{name}: {two:?}");
        }
    }
}

#[test]
fn one_fault_after_another_leaves_no_splinters_and_nothing_unknown() {
    std::thread::scope(|scope| {
        for odd in 0..2 {
            let seeds = seeds(SEEDS).filter(move |seed| seed % 2 == odd);
            scope.spawn(|| seeds.for_each(check_storm));
        }
    });
}
