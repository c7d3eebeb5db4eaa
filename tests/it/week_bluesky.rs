//! A simulated week of Bluesky: two servers at two instances of Jetstream, with everything that keeps events away from
//! them. What is missing is asked for again, so nearly all of it must leave no gap; what an instance no longer has, what
//! a server that is gone never asked for and what is not delivered yet must come out as gaps with just that cause.
//!
//! As in `week`, only values are made: the events files that a collector would have written, by its own record of each
//! minute, table of waits, cursors and messages; and for each second the posts that a server has. Revisions that lie in
//! the past, forged ones, deletions and what is told of accounts are real lines, which the source itself places.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::catch_unwind,
    time::Duration,
};

use twinstream::{
    backoff::{Backoff, End, HOLDS_MS, Next, RateLimit, Refusal},
    collect::pulse::Pulse,
    config::settings::Bluesky as Settings,
    cover::{
        account::{Account, Given, InSecond, account},
        cause::Cause,
        clock::{self, Lag},
        evidence::{EventsFile, Timeline},
        gap,
        listened::Listener,
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
    source::{
        self, List,
        bluesky::wire::Subscribe,
        wire::{Last, Resume, Wire as _},
    },
};

use crate::{
    support::{
        events::{self, commit},
        seeds::seeds,
    },
    week::{Dice, ends_early, stops},
};

/// How often something is posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rate {
    /// `POSTS` in each second.
    Dense,
    /// Once a minute: most seconds of a week have nothing, and it must be told which of them were missed.
    Sparse,
    /// Every five hours or so; but what is told of accounts comes all the time.
    Rare,
}

/// Every everyday run tries so many weeks of it; `scripts/sim` many more.
const SEEDS: u64 = 1;

const WEEK_S: i64 = 7 * 86_400;
/// Posts of each second, evenly spread.
const POSTS: i64 = 40;
const APART_MS: i64 = 1_000 / POSTS;
const BEGIN: &str = "2026-11-23T00:00:00Z";
/// How far back an instance has events.
const WINDOW_MS: i64 = 24 * 3_600_000;
/// From an instance to a server.
const WAY_MS: i64 = 20;
/// An instance gives what was before so much faster.
const REPLAY: i64 = 100;
/// After an outage upstream events come so much faster than they were made.
const CATCH_UP: i64 = 10;
/// Revisions that lie in the past, and others that are not posts of their time.
const ODD: usize = 3_000;
/// Where two times that nobody can tell apart begin and end.
const UNSURE_S: i64 = 2;

struct Instance {
    /// From the relay to here.
    lag_ms: i64,
    /// How far its clock is ahead.
    skew_ms: i64,
}

impl Instance {
    /// Its `time_us` of what the relay passes on then, in ms.
    const fn seen_ms(&self, relayed_ms: i64) -> i64 {
        relayed_ms + self.lag_ms + self.skew_ms
    }
}

/// An event that is not a post of its time.
struct Odd {
    /// When the relay passes it on.
    relayed_ms: i64,
    /// The second in which it counts, if it does, and whether it is belated.
    counts: Option<(i64, bool)>,
}

/// What both servers' week has in common, in ms after its begin.
struct World {
    /// When an event comes, where they do not come all the time, …
    sparse: Vec<i64>,
    /// … and of how many of them one is a post.
    one_of: usize,
    begin: UtcMs,
    instances: [Instance; 2],
    /// The relay gets nothing, and gets it later.
    upstream: Vec<(i64, i64)>,
    /// Cursors reach back no further, at both instances.
    clamps: Vec<(i64, i64, i64)>,
    /// Both servers are without a network.
    both_away: Vec<(i64, i64)>,
    odd: Vec<Odd>,
    /// From here on a server never runs again.
    gone: (usize, i64),
}

impl World {
    fn new(rate: Rate, dice: &mut Dice) -> Self {
        let instance = |dice: &mut Dice| Instance {
            lag_ms: dice.between(60, 690),
            skew_ms: dice.between(-250, 250),
        };
        let instances = [instance(dice), instance(dice)];
        // windows that do not touch, a day and more from the end so that each comes to its end
        let mut windows: Vec<(i64, i64)> = Vec::new();
        while windows.len() < 9 {
            let begin = dice.between(7_200, WEEK_S - 2 * 86_400) * 1_000;
            let end = begin + dice.between(100, 3_000) * 1_000;
            let apart = 4 * 3_600_000;
            if windows
                .iter()
                .all(|w| end + apart < w.0 || w.1 + apart < begin)
            {
                windows.push((begin, end));
            }
        }
        let mut upstream = windows.split_off(6);
        let mut sparse = Vec::new();
        if rate != Rate::Dense {
            // that nothing comes for a while is as ever
            upstream.clear();
            let each_s = if rate == Rate::Rare { 20 } else { 60 };
            let times = (0..(WEEK_S + 600) / each_s).map(|n| {
                let apart_ms = each_s * 1_000;
                n * apart_ms + dice.between(0, apart_ms - 1)
            });
            sparse.extend(times);
        }
        let both_away = windows.split_off(3);
        // one is in force when both come back; the others meet whoever comes
        let clamp = |(begin, end): &(i64, i64)| (begin - 60_000, end + 600_000, 240_000);
        let mut clamps: Vec<(i64, i64, i64)> = both_away.iter().take(2).map(clamp).collect();
        let more = windows.iter();
        clamps.extend(more.map(|(begin, _)| (*begin, begin + 3 * 3_600_000, 45_000)));
        let mut world = Self {
            sparse,
            one_of: if rate == Rate::Rare { 1_000 } else { 1 },
            begin: BEGIN.parse().unwrap(),
            instances,
            upstream,
            clamps,
            both_away,
            odd: Vec::new(),
            gone: (1, dice.between(WEEK_S - 86_400, WEEK_S - 20_000) * 1_000),
        };
        let odd = if rate == Rate::Dense { ODD } else { 0 };
        let place = |n: usize| world.odd(dice, n as u64);
        world.odd = (0..odd).map(place).collect();
        world
    }

    fn at(&self, ms: i64) -> UtcMs {
        self.begin.plus_ms(ms)
    }

    /// An event with another time than that at which it is passed on, or one that counts nowhere: as a line.
    fn odd(&self, dice: &mut Dice, n: u64) -> Odd {
        let relayed_ms = dice.between(0, WEEK_S * 1_000 - 1);
        let before_ms = match n % 4 {
            // a server that was away, or whose clock is wrong
            0 => dice.between(61_000, 3_600_000),
            // forged, to fall into the day before
            1 => dice.between(61_000, WINDOW_MS - 5_000),
            // forged, to open hours that are over
            2 => dice.between(WINDOW_MS + 5_000, 20 * WINDOW_MS),
            // a clock that is ahead
            _ => -dice.between(2_000, 200_000),
        };
        let made = (self.at(relayed_ms - before_ms), n);
        let did = events::did(n);
        let post = ("app.bsky.feed.post", "3kodd");
        let record = events::post(n);
        let event = match n % 5 {
            0 => commit(made, &did, "delete", post, None),
            1 => events::Event {
                at: made.0,
                kind: "account",
                says: format!(
                    r#"{{"active":false,"status":"deleted","did":"{did}","seq":{n},"time":"{}"}}"#,
                    made.0
                ),
                did,
            },
            _ => commit(made, &did, "create", post, Some(&record)),
        };
        let seen_ms = self.instances[0].seen_ms(relayed_ms);
        let line = format!(
            r#"{{"did":"{}","time_us":{},"kind":"{}","{}":{}}}"#,
            event.did,
            self.at(seen_ms).0 * 1_000,
            event.kind,
            event.kind,
            event.says
        );
        let placed = source::BLUESKY.source.place(line.as_bytes());
        assert_eq!(placed.is_err(), n % 4 == 2, "{line} {placed:?}");
        let placed = placed.ok();
        let placed =
            placed.filter(|placed| source::BLUESKY.source.stands_in(&placed.key, List::Ids));
        assert_eq!(placed.is_some(), 1 < n % 5 && n % 4 != 2);
        Odd {
            relayed_ms,
            counts: placed.map(|placed| {
                let second = placed.at.second() - self.begin.second();
                (second, !placed.is_prompt)
            }),
        }
    }

    /// When the relay passes a post on that was made then.
    fn relayed_ms(&self, made_ms: i64) -> i64 {
        let outage = self
            .upstream
            .iter()
            .find(|w| w.0 <= made_ms && made_ms < w.1);
        outage.map_or(made_ms, |(begin, end)| end + (made_ms - begin) / CATCH_UP)
    }

    /// How far back a cursor reaches that is used then.
    fn window_ms(&self, ms: i64) -> i64 {
        let clamp = self
            .clamps
            .iter()
            .find(|clamp| clamp.0 <= ms && ms < clamp.1);
        clamp.map_or(WINDOW_MS, |clamp| clamp.2)
    }

    /// Whether a server of its own must not be disturbed then.
    fn is_reserved(&self, begin_ms: i64, end_ms: i64) -> bool {
        let windows = self.upstream.iter().chain(&self.both_away);
        let near = |w: &(i64, i64)| w.0 - 600_000 < end_ms && begin_ms < w.1 + 1_200_000;
        windows.into_iter().any(near)
    }
}

/// Something that goes wrong at one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Network,
    Refused,
    /// The instance sends nothing more to those that are connected.
    Stale {
        pings: bool,
    },
    SlowConsumer,
    CloseFrame,
    Restart,
    Kill,
    Disk,
    Asleep,
    /// It is off for more than a day.
    Off,
}

impl Fault {
    const ALL: [Self; 10] = [
        Self::Network,
        Self::Refused,
        Self::Stale { pings: true },
        Self::Stale { pings: false },
        Self::SlowConsumer,
        Self::CloseFrame,
        Self::Restart,
        Self::Kill,
        Self::Disk,
        Self::Asleep,
    ];
}

/// What came, and what could not.
#[derive(Clone, Default)]
struct Got {
    /// From which instance, and between which of its times.
    parts: Vec<(usize, i64, i64)>,
    /// The times of the last post before and the first one after what was no longer to be had.
    out_of_window: Vec<(i64, i64)>,
}

impl Got {
    /// Whether what the relay passed on then has come.
    fn has(&self, world: &World, relayed_ms: i64) -> bool {
        // in order of time, and they hardly overlap
        let after = self
            .parts
            .partition_point(|(_, _, to)| *to <= relayed_ms - 20_000);
        let near = self.parts[after..].iter();
        let near = near.take_while(|(_, from, _)| *from <= relayed_ms + 20_000);
        let mut near = near.map(|(instance, from, to)| {
            let seen_ms = world.instances[*instance].seen_ms(relayed_ms);
            (*from..*to).contains(&seen_ms)
        });
        near.any(|has| has)
    }
}

/// One server's week as it was, and what its collector wrote.
struct Server<'a> {
    world: &'a World,
    id: ServerId,
    wire: Subscribe,
    pulse: Pulse,
    backoff: Backoff,
    is_running: bool,
    run_number: u64,
    run: u32,
    connection: u64,
    /// The instance that it is at, and since when that has given nothing.
    endpoint: usize,
    failing_since: Option<i64>,
    /// The `time_us` that came last, in ms.
    cursor_ms: Option<i64>,
    connected_ms: i64,
    /// What has come on this connection goes up to this `time_us`.
    got_ms: i64,
    /// What the connection asked for, until its first event has come.
    awaits_first: Option<Resume>,
    now_ms: i64,
    files: BTreeMap<(u64, Minute, u32), Vec<Event>>,
    lags: BTreeMap<(u64, Minute), Lag>,
    /// The events that came, or some of them: when, and when the instance saw them.
    lines: BTreeMap<(u64, Minute), Vec<(UtcMs, UtcMs)>>,
    got: Got,
    started_ms: i64,
    /// In the midst of what it asked for again after more than a day: when, what it had then, and between which seconds.
    midst: Option<(i64, Got, std::ops::Range<i64>)>,
    happened: BTreeSet<String>,
}

impl<'a> Server<'a> {
    fn live(world: &'a World, number: usize, dice: &mut Dice) -> Self {
        let settings = Settings {
            collections: Vec::new(),
            endpoints: Vec::new(),
            overlap: Duration::from_secs(10),
            dictionary_file: None,
            honours_deletions: false,
        };
        let started_ms = dice.between(0, 600_000);
        let mut server = Self {
            world,
            id: (number + 1).to_string().parse().unwrap(),
            wire: Subscribe::new(&settings).unwrap(),
            pulse: Pulse::new(world.at(started_ms)),
            backoff: Backoff::new(0, []),
            is_running: false,
            run_number: 0,
            run: 0,
            connection: 0,
            endpoint: number,
            failing_since: None,
            cursor_ms: None,
            connected_ms: started_ms,
            got_ms: 0,
            awaits_first: None,
            now_ms: started_ms,
            files: BTreeMap::new(),
            lags: BTreeMap::new(),
            lines: BTreeMap::new(),
            got: Got::default(),
            started_ms,
            midst: None,
            happened: BTreeSet::new(),
        };
        server.start(dice, None);
        server.connect();
        let mut both_away = world.both_away.clone();
        both_away.sort_unstable();
        let mut off = Some(dice.between(86_400, 3 * 86_400) * 1_000);
        let end_ms = if world.gone.0 == number {
            world.gone.1
        } else {
            WEEK_S * 1_000 + 600_000
        };
        while server.now_ms < end_ms {
            let begin = server.now_ms + dice.between(120, 16_000) * 1_000 + dice.between(0, 999);
            if let Some((away, back)) = both_away.first().copied().filter(|w| w.0 < begin) {
                server.up_to(away.max(server.now_ms + 1_000));
                server.strike(Fault::Network, back - server.now_ms, dice);
                both_away.remove(0);
                continue;
            }
            let (fault, lasts_ms) = if off.is_some_and(|off| off < begin) {
                (
                    Fault::Off,
                    dice.between(86_400 + 1_800, 86_400 + 20_000) * 1_000,
                )
            } else {
                let n = usize::try_from(dice.between(0, 9)).unwrap();
                let most = if dice.between(0, 3) == 0 { 5_000 } else { 150 };
                (Fault::ALL[n], dice.between(1, most) * 1_000)
            };
            if world.is_reserved(begin, begin + lasts_ms) || end_ms < begin + lasts_ms + 3_600_000 {
                server.up_to(begin.min(end_ms));
                continue;
            }
            if fault == Fault::Off {
                off = None;
            }
            server.up_to(begin);
            server.strike(fault, lasts_ms, dice);
        }
        if world.gone.0 == number {
            server.stop();
        } else {
            server.up_to(server.now_ms + 180_000);
            server.broken();
        }
        server
    }

    fn at(&self) -> UtcMs {
        self.world.at(self.now_ms)
    }

    fn turn(&mut self) {
        let now = self.at();
        for alive in self.pulse.over(now) {
            let at = alive.minute.end().plus_ms(-1);
            self.put(at, EventKind::Alive(alive));
        }
    }

    fn put(&mut self, at: UtcMs, what: EventKind) {
        let event = Event {
            at,
            what,
            connection: self.connection,
        };
        let key = (self.run_number, at.minute(), self.run);
        self.files.entry(key).or_default().push(event);
    }

    fn tell(&mut self, what: EventKind) {
        self.turn();
        let at = self.at();
        self.pulse.event(at, &what);
        self.put(at, what);
    }

    fn start(&mut self, dice: &mut Dice, last_line: Option<UtcMs>) {
        self.is_running = true;
        self.run = u32::try_from(dice.next() >> 32).unwrap();
        self.run_number += 1;
        self.connection = 0;
        self.backoff = Backoff::new(self.run, []);
        self.pulse = Pulse::new(self.at());
        // the first of its list again
        self.endpoint = usize::from(self.id.as_str() == "2");
        self.failing_since = None;
        self.tell(EventKind::Started {
            program: "test/1".to_owned(),
            number: self.run_number,
            after: self.files.keys().map(|key| key.0).max(),
            last_line,
        });
    }

    fn stop(&mut self) {
        self.broken();
        self.ended(event::EndCause::Shutdown, None, None);
        let last = self.pulse.last(self.at());
        self.tell(EventKind::Alive(last));
        self.tell(EventKind::Stopped {
            why: "signal".to_owned(),
        });
        self.is_running = false;
    }

    fn ask(&mut self) -> (Resume, u32) {
        self.connection += 1;
        let last = Last {
            arrival: None,
            cursor: self.cursor_ms.map(|ms| self.world.at(ms).0 * 1_000),
        };
        let resume = self.wire.resume(last, self.at());
        let (cursor, minutes) = match resume {
            Resume::Since(cursor) => {
                let ms = self.at().0 - cursor / 1_000;
                (Some(cursor), u32::try_from(ms / 60_000).unwrap() + 1)
            }
            _ => (None, 0),
        };
        self.tell(EventKind::Connecting {
            backfill_minutes: minutes,
            cursor,
            endpoint: Some(format!("wss://{}.example.org", self.endpoint)),
            collections: self.wire.collections().cloned(),
        });
        (resume, minutes)
    }

    /// A connection that comes about, and what it begins with.
    fn connect(&mut self) {
        let (resume, backfill_minutes) = self.ask();
        self.now_ms += 120;
        self.tell(EventKind::Connected {
            status: 101,
            backfill_minutes,
            transaction: None,
        });
        let now = self.at();
        self.pulse.connected(now);
        self.backoff.answered(now, RateLimit::default());
        self.connected_ms = self.now_ms;
        let live_ms = self.live_ms();
        let oldest_ms = live_ms - self.world.window_ms(self.now_ms);
        self.got_ms = match resume {
            Resume::Since(cursor) => (cursor / 1_000 - self.world.begin.0).max(oldest_ms),
            _ => live_ms,
        };
        self.awaits_first = Some(resume);
        if self.world.sparse.is_empty() {
            self.comes(self.got_ms);
        }
    }

    /// An event comes, which the instance saw then.
    fn comes(&mut self, seen_ms: i64) {
        if let Some(resume) = self.awaits_first.take() {
            self.begins_with(resume, seen_ms);
        }
        let key = (self.run_number, self.at().minute());
        let line = (self.at(), self.world.at(seen_ms));
        self.lines.entry(key).or_default().push(line);
    }

    /// Heeds what the first event is.
    fn begins_with(&mut self, resume: Resume, first_ms: i64) {
        // during an outage upstream nothing comes before it is over, and that is no sign of a window
        let is_silent = (self.world.upstream.iter()).any(|w| w.0 <= first_ms && first_ms < w.1);
        if is_silent {
            return;
        }
        let first = self.world.at(first_ms);
        let line = format!(
            r#"{{"did":"did:plc:a","time_us":{},"kind":"identity"}}"#,
            first.0 * 1_000
        );
        let endpoint = format!("wss://{}.example.org", self.endpoint);
        let mut intake = self.wire.intake(None, &endpoint, resume).unwrap();
        let portion = intake
            .take(&mut line.as_bytes(), self.at())
            .unwrap()
            .unwrap();
        if let Some((asked, first)) = portion.clamped {
            self.tell(EventKind::ReplayClamped { asked, first });
            let before_ms = self.cursor_ms.unwrap();
            self.got.out_of_window.push((before_ms, first_ms));
            self.happened.insert("clamped".to_owned());
        }
        self.tell(EventKind::FirstLine {
            clock_offset_ms: None,
        });
    }

    /// The time of the instance that is live now.
    fn live_ms(&self) -> i64 {
        self.now_ms - WAY_MS + self.world.instances[self.endpoint].skew_ms
    }

    /// The connection has given what it has until now.
    fn advance(&mut self, from_ms: i64) {
        let live_ms = self.live_ms();
        let behind_ms = live_ms - self.got_ms;
        let replayed_ms = ((self.now_ms - from_ms) * REPLAY).min(behind_ms).max(0);
        let from = self.got_ms;
        self.got_ms += replayed_ms;
        if from < self.got_ms {
            match self.got.parts.last_mut() {
                Some((instance, _, to)) if *instance == self.endpoint && *to == from => {
                    *to = self.got_ms;
                }
                _ => self.got.parts.push((self.endpoint, from, self.got_ms)),
            }
        }
        if !self.world.sparse.is_empty() {
            return self.events(from);
        }
        if from < self.got_ms {
            self.cursor_ms = self.cursor_ms.max(Some(self.got_ms));
            self.comes(self.got_ms);
        }
        let lag_ms = live_ms - self.got_ms + self.world.instances[self.endpoint].lag_ms + WAY_MS;
        let posts = u64::try_from((self.got_ms - from) / APART_MS).unwrap();
        let key = (self.run_number, self.at().minute());
        let lag = self.lags.entry(key).or_insert((lag_ms, 0));
        *lag = (lag.0.min(lag_ms), lag.1 + posts);
    }

    /// Where there are few, each event that has come since then; says whether there were any.
    fn events(&mut self, from_ms: i64) {
        let instance = &self.world.instances[self.endpoint];
        let later_ms = instance.seen_ms(0);
        let part = |ms: i64| {
            self.world
                .sparse
                .partition_point(|made| made + later_ms < ms)
        };
        for made_ms in &self.world.sparse[part(from_ms)..part(self.got_ms)] {
            self.pulse.bytes(self.at());
            self.comes(made_ms + later_ms);
            self.cursor_ms = self.cursor_ms.max(Some(made_ms + later_ms));
            let key = (self.run_number, self.at().minute());
            let lag_ms = self.now_ms - made_ms;
            let lag = self.lags.entry(key).or_insert((lag_ms, 0));
            *lag = (lag.0.min(lag_ms), lag.1 + 1);
        }
    }

    /// What was under way is lost with the connection; what came is known up to here.
    fn broken(&mut self) {
        let held = HOLDS_MS <= self.now_ms - self.connected_ms;
        if held {
            self.backoff.held();
        }
    }

    fn ended(&mut self, cause: event::EndCause, status: Option<u16>, word: Option<&str>) {
        self.turn();
        self.pulse.disconnected(self.at());
        self.tell(EventKind::Disconnected(Disconnected {
            cause,
            status,
            disconnect_type: word.map(str::to_owned),
            lines: 9,
            unfinished: None,
            detail: String::new(),
        }));
    }

    fn wait(&mut self, next: Next) {
        for (until, why) in next.waits(self.at()) {
            let wait_ms = until.0 - self.at().0;
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
        while self.now_ms + 30_000 < end_ms {
            self.now_ms += 30_000;
            self.turn();
        }
        self.now_ms = end_ms;
        self.turn();
    }

    /// A connection that is up, and goes on where it was when it falls silent.
    fn up_to(&mut self, end_ms: i64) {
        let mut silent_since = None;
        while self.now_ms < end_ms {
            let from_ms = self.now_ms;
            self.now_ms = (from_ms + 1_000 - from_ms.rem_euclid(1_000)).min(end_ms);
            let made_ms = self.now_ms - 1_000;
            let is_silent = (self.world.upstream.iter()).any(|w| w.0 <= made_ms && made_ms < w.1)
                && self.live_ms() - self.got_ms < 2_000;
            self.turn();
            if is_silent && self.now_ms / 1_000 % 30 != 0 {
                let since = *silent_since.get_or_insert(self.now_ms);
                if 60_000 <= self.now_ms - since {
                    silent_since = None;
                    self.happened.insert("silent upstream".to_owned());
                    self.lose(event::EndCause::Stall, None);
                }
                // there is nothing that has these times
                self.got_ms = self.got_ms.max(self.live_ms());
                continue;
            }
            if !is_silent {
                silent_since = None;
            }
            // an event, or a ping
            if self.world.sparse.is_empty() || self.now_ms / 1_000 % 20 == 0 {
                self.pulse.bytes(self.at());
            }
            self.advance(from_ms);
            if self.now_ms / 1_000 % 60 == 30 && self.live_ms() - self.got_ms < 1_000 {
                let offset_ms = self.world.instances[self.endpoint].skew_ms - 100;
                self.pulse.clock_seen(offset_ms);
            }
        }
    }

    /// The connection ends, and is made again as soon as the table of waits has it.
    fn lose(&mut self, cause: event::EndCause, word: Option<&str>) {
        self.broken();
        self.ended(cause, None, word);
        let next = self.backoff.ended(self.at(), End::Dropped);
        self.wait(next);
        self.connect();
    }

    fn strike(&mut self, fault: Fault, lasts_ms: i64, dice: &mut Dice) {
        let over_ms = self.now_ms + lasts_ms;
        self.happened.insert(format!("{fault:?}"));
        match fault {
            Fault::Network => self.outage(event::EndCause::Reset, over_ms, None),
            Fault::Refused => {
                let answer = Some((503, Refusal::Server));
                self.outage(event::EndCause::Eof, over_ms, answer);
            }
            Fault::Stale { pings } => {
                self.idle(if pings { 60_000 } else { 30_000 });
                self.lose(event::EndCause::Stall, None);
            }
            Fault::SlowConsumer => {
                let word = "closed 1008: consumer too slow";
                self.lose(event::EndCause::Platform, Some(word));
            }
            Fault::CloseFrame => self.lose(event::EndCause::Platform, Some("closed 1012")),
            Fault::Restart | Fault::Off => {
                self.stop();
                let last = self.at();
                self.now_ms = over_ms;
                self.start(dice, Some(last));
                self.connect();
                if fault == Fault::Off {
                    self.look_at_the_midst(last, dice);
                }
            }
            Fault::Kill => self.kill(over_ms, dice),
            Fault::Disk => {
                self.broken();
                self.ended(event::EndCause::Disk, None, None);
                self.tell(EventKind::Waiting {
                    wait_ms: None,
                    why: event::WaitReason::DiskFull,
                });
                self.idle(lasts_ms);
                self.connect();
            }
            Fault::Asleep => {
                self.now_ms = over_ms;
                self.lose(event::EndCause::Stall, None);
            }
        }
    }

    /// So much is asked for again that hours of it are merged before the rest has come.
    fn look_at_the_midst(&mut self, last: UtcMs, dice: &mut Dice) {
        let takes_ms = (self.live_ms() - self.got_ms) / REPLAY;
        if takes_ms < 300_000 {
            // nearly nothing is to be had again
            return;
        }
        self.happened.insert("in the midst".to_owned());
        self.up_to((self.now_ms + takes_ms / 2) / 60_000 * 60_000);
        let since = last.second() - self.world.begin.second();
        let last_ms = if self.world.sparse.is_empty() {
            self.got_ms
        } else {
            // what came in the last second is in the next segment
            self.cursor_ms.unwrap() - 2 * REPLAY * 1_000
        };
        let until = last_ms / 1_000 - 60;
        self.midst = Some((self.now_ms, self.got.clone(), since..until));
        if !self.world.sparse.is_empty() {
            // it crashes, and asks again for what has not come yet
            self.up_to(self.now_ms + 90_500);
            self.strike(Fault::Kill, 20_000, dice);
        }
    }

    fn kill(&mut self, over_ms: i64, dice: &mut Dice) {
        self.broken();
        self.turn();
        self.is_running = false;
        let last = self.at();
        let segment = self.name(last.minute(), self.run);
        // lines alone open a pair as well
        let key = (self.run_number, last.minute(), self.run);
        self.files.entry(key).or_default();
        self.now_ms = over_ms;
        self.start(dice, Some(last));
        self.tell(EventKind::Recovered {
            segment: segment.to_string(),
            lines: 7,
            cut_bytes: 0,
            last: Some(last),
        });
        self.connect();
    }

    /// A connection breaks, and until `over_ms` no new one can be made: the instances are asked in turns.
    fn outage(&mut self, cause: event::EndCause, over_ms: i64, answer: Option<(u16, Refusal)>) {
        self.broken();
        self.ended(cause, None, None);
        self.failing_since = None;
        let mut next = self.backoff.ended(self.at(), End::Dropped);
        loop {
            self.wait(next);
            if over_ms <= self.now_ms {
                return self.connect();
            }
            let since = *self.failing_since.get_or_insert(self.now_ms);
            let _asked = self.ask();
            self.now_ms += 40;
            self.turn();
            let now = self.at();
            next = if let Some((status, refusal)) = answer {
                self.ended(event::EndCause::HttpStatus, Some(status), None);
                self.backoff.answered(now, RateLimit::default());
                let end = End::Refused {
                    refusal,
                    with_backfill: true,
                };
                self.backoff.ended(now, end)
            } else {
                self.ended(event::EndCause::Connect, None, None);
                self.backoff.ended(now, End::Failed)
            };
            if 60_000 <= self.now_ms - since {
                self.failing_since = None;
                self.endpoint = 1 - self.endpoint;
                self.happened.insert("moved on".to_owned());
            }
        }
    }

    fn name(&self, minute: Minute, run: u32) -> SegmentName {
        SegmentName {
            server: self.id.clone(),
            stream: "bluesky".to_owned(),
            partition: None,
            minute,
            run: RunId(run),
            part: 0,
        }
    }

    fn stock_and_files(&self) -> Vec<(SpoolSegment, EventsFile)> {
        let files = self.files.iter();
        files
            .map(|((number, minute, run), events)| {
                let name = self.name(*minute, *run);
                let find = |what: fn(&Event) -> Option<UtcMs>| events.iter().find_map(what);
                let asked = events.iter().filter_map(|event| match event.what {
                    EventKind::Connected {
                        backfill_minutes, ..
                    } => Some(backfill_minutes),
                    _ => None,
                });
                let mut listener = Listener::default();
                for event in events {
                    listener.event(event);
                }
                let lines = self.lines.get(&(*number, *minute)).into_iter().flatten();
                for (arrived, seen) in lines {
                    listener.line(*arrived, *seen);
                }
                let parts = listener.finish();
                let stock = SpoolSegment {
                    is_here: true,
                    listened: parts.clone(),
                    minute: *minute,
                    is_slow: false,
                    number: *number,
                    offset_ms: events.iter().rev().find_map(|event| match &event.what {
                        EventKind::Alive(alive) => alive.clock_offset_ms,
                        _ => None,
                    }),
                    lag: self.lags.get(&(*number, *minute)).copied(),
                    step_ms: None,
                    rejected: 0,
                    began: find(|event| match event.what {
                        EventKind::Connected { .. } => Some(event.at),
                        _ => None,
                    }),
                    formerly: Vec::new(),
                    sha256: Sha256::ZEROS,
                    lines: 0,
                    events_sha256: Sha256::ZEROS,
                    events: events.len() as u64,
                    hours: BTreeMap::new(),
                    started: find(|event| match event.what {
                        EventKind::Started { .. } => Some(event.at),
                        _ => None,
                    }),
                    is_first: events
                        .iter()
                        .any(|event| matches!(event.what, EventKind::Started { after: None, .. })),
                    ends_early: ends_early(*minute, events),
                    stopped: stops(events),
                    backfill: asked.max().unwrap_or(0),
                    out_of_window: (events.iter())
                        .filter_map(|event| match event.what {
                            EventKind::ReplayClamped { asked, first } => Some(Interval {
                                begin: asked,
                                end: first,
                            }),
                            _ => None,
                        })
                        .collect(),
                    arrived: minute.end(),
                    name: name.clone(),
                };
                let file = EventsFile {
                    name,
                    number: *number,
                    lag_ms: 0,
                    listened: parts,
                    events: events.clone(),
                };
                (stock, file)
            })
            .collect()
    }
}

/// One second of a server's week.
#[derive(Debug, Clone, Copy, Default)]
struct Truth {
    posts: u64,
    belated: u64,
    /// Of these, what has another time than that at which it happened.
    odd: u64,
    /// Why it has none that are of then.
    cause: Option<Cause>,
    /// What came last before something was no longer to be had came earlier, and a connection was up then: only pings
    /// tell how far it was listened to.
    is_unsure: bool,
}

/// What is true of these seconds of a server's week, of which it has that.
fn truth(world: &World, got: &Got, id: &ServerId, seconds: std::ops::Range<i64>) -> Vec<Truth> {
    let mut got = got.clone();
    got.parts.sort_unstable_by_key(|(_, from, to)| (*to, *from));
    let has = |relayed_ms: i64| got.has(world, relayed_ms);
    let of_second = |second: i64| {
        let mut truth = Truth::default();
        let begin_ms = second * 1_000;
        let relayed_ms = |ms: i64| world.relayed_ms(ms);
        let ends = [begin_ms, begin_ms + 999].map(|ms| (relayed_ms(ms) - ms, relayed_ms(ms)));
        let both = ends.map(|(_, relayed_ms)| has(relayed_ms));
        if !world.sparse.is_empty() {
            let part = |ms: i64| world.sparse.partition_point(|made_ms| *made_ms < ms);
            let here = part(begin_ms)..part(begin_ms + 1_000);
            let posts = here.filter(|place| place.is_multiple_of(world.one_of));
            truth.posts = posts.filter(|place| has(world.sparse[*place])).count() as u64;
        } else if both[0] == both[1] && ends.iter().all(|(late_ms, _)| *late_ms == 0) {
            // nothing begins or ends within that second
            truth.posts = u64::from(both[0]) * POSTS.unsigned_abs();
        } else {
            for made_ms in (0..POSTS).map(|post| begin_ms + post * APART_MS) {
                let relayed_ms = relayed_ms(made_ms);
                let has = has(relayed_ms);
                truth.posts += u64::from(has);
                truth.belated += u64::from(has && 60_000 < relayed_ms - made_ms);
            }
        }
        let is_gone = id.as_str() == "2" && world.gone.1 <= begin_ms;
        let lost = |w: &(i64, i64)| w.0 - 2_000 <= begin_ms && begin_ms <= w.1 + 1_000;
        truth.cause = if 0 < truth.posts {
            None
        } else if is_gone {
            // what it had after that may still be on its way
            Some(Cause::Late)
        } else if got.out_of_window.iter().any(lost) {
            Some(Cause::ReplayWindow)
        } else if !world.sparse.is_empty() {
            None
        } else {
            Some(Cause::Unknown)
        };
        truth.is_unsure = truth.cause == Some(Cause::ReplayWindow) && both.contains(&true);
        truth
    };
    let mut truths: Vec<Truth> = seconds.clone().map(of_second).collect();
    for odd in &world.odd {
        if let Some((second, is_belated)) = odd.counts
            && seconds.contains(&second)
            && has(odd.relayed_ms)
        {
            let place = usize::try_from(second - seconds.start).unwrap();
            let truth = &mut truths[place];
            truth.posts += 1;
            truth.odd += 1;
            truth.belated += u64::from(is_belated);
        }
    }
    truths
}

/// Merges all hours, and gives the cause of each second of both servers and the union, `None` where it is covered.
fn found(
    world: &World,
    stock: &[(SpoolSegment, EventsFile)],
    truths: &[Vec<Truth>; 2],
    seconds: std::ops::Range<i64>,
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
        now: world.at(WEEK_S * 1_000 + 3_600_000),
        primary: None,
        servers: &[],
    };
    let servers: Vec<ServerId> = ["1", "2"].map(|id| id.parse().unwrap()).into();
    let both_servers: Vec<Leg> = ["1", "2"].map(|id| id.parse().unwrap()).into();
    let mut found = Vec::new();
    for candidate in plan::candidates(&known, &BTreeSet::new(), &when) {
        let intervals = zone.intervals(candidate.hour);
        let begin = intervals[0].begin.second() - world.begin.second();
        if !seconds.contains(&begin) {
            continue;
        }
        let timelines: Vec<Timeline> = servers
            .iter()
            .map(|id| {
                let numbers = candidate.events.iter();
                let numbers = numbers.filter(|n| known[**n].name.server == *id);
                let mut files: Vec<EventsFile> =
                    numbers.clone().map(|n| stock[*n].1.clone()).collect();
                let mut lags: BTreeMap<RunId, Vec<Lag>> = BTreeMap::new();
                let of_hour = numbers.map(|number| &known[*number]);
                for of in of_hour.filter(|of| intervals[0].contains(of.minute.begin())) {
                    lags.entry(of.name.run).or_default().extend(of.lag);
                }
                clock::set(&mut files, &lags, true);
                Timeline::of(&files, false)
            })
            .collect();
        let posts = (begin..begin + 3_600).filter_map(|second| {
            let place = usize::try_from(second).unwrap();
            let [first, other] = [0, 1].map(|number| truths[number][place]);
            let in_second = InSecond {
                posts: first.posts.max(other.posts),
                servers: vec![first.posts, other.posts],
                common: first.posts.min(other.posts),
                belated: vec![first.belated, other.belated],
            };
            (0 < in_second.posts).then_some((world.begin.second() + second, in_second))
        });
        let account = account(&Given {
            intervals: &intervals,
            servers: &both_servers,
            posts: &[posts.collect()],
            timelines: &timelines,
            is_in_span: true,
            began: when.span.began,
            changes: &[],
            has_rules: false,
            tells_when_seen: true,
            alike: None,
            lost: &[],
        });
        found.push((begin, account));
    }
    found
}

/// The seconds in which gaps begin or end: which of two seconds is the last one hangs on parts of it.
fn is_edge(truths: &[Vec<Truth>; 2], second: i64) -> bool {
    let cause = |number: usize, second: i64| {
        let place = usize::try_from(second).ok();
        place.and_then(|place| truths[number].get(place)?.cause)
    };
    let near = second - UNSURE_S..=second + UNSURE_S;
    (0..2).any(|number| {
        near.clone()
            .any(|other| cause(number, other) != cause(number, second))
    })
}

/// What a week was seen to have.
#[derive(Default)]
struct Seen {
    happened: BTreeSet<String>,
    /// Causes of gaps, of servers and of the union.
    causes: BTreeSet<(String, Cause)>,
    /// Seconds with nothing but posts of another time, and posts that came after an outage upstream.
    odd: u64,
    belated: u64,
}

/// While a server still gets what it asked for again, what has come leaves no gap but that of what it could not have.
fn check_midst(
    world: &World,
    server: &Server<'_>,
    stock: &[(SpoolSegment, EventsFile)],
    truths: &[Vec<Truth>; 2],
) {
    let Some((at_ms, got, seconds)) = &server.midst else {
        return;
    };
    let until = world.at(*at_ms);
    let here: Vec<(SpoolSegment, EventsFile)> = (stock.iter())
        .filter(|(stock, _)| stock.arrived <= until)
        .cloned()
        .collect();
    let number = usize::from(server.id.as_str() == "2");
    let mut truths = truths.clone();
    truths[number] = truth(world, got, &server.id, 0..WEEK_S);
    let hours = seconds.start / 3_600 * 3_600..seconds.end / 3_600 * 3_600;
    for (begin, account) in found(world, &here, &truths, hours) {
        for gap in account
            .gaps
            .iter()
            .filter(|gap| gap.server == server.id.as_str())
        {
            for second in gap.begin.second()..gap.end.second() {
                let second = second - world.begin.second();
                let found = (Some(gap.cause), begin);
                let truth = truths[number][usize::try_from(second).unwrap()];
                if seconds.contains(&second) && !is_edge(&truths, second) && !truth.is_unsure {
                    assert_eq!(found, (truth.cause, begin), "{second} {gap:?} {truth:?}");
                }
            }
        }
    }
}

fn check_week(seed: u64, rate: Rate) -> Seen {
    let mut dice = Dice(seed ^ 0xb1e5_0000);
    let world = World::new(rate, &mut dice);
    let servers = [0, 1].map(|number| Server::live(&world, number, &mut dice));
    let of = |server: &Server<'_>| truth(&world, &server.got, &server.id, 0..WEEK_S);
    let truths = servers.each_ref().map(of);
    let mut stock: Vec<(SpoolSegment, EventsFile)> =
        servers.iter().flat_map(Server::stock_and_files).collect();
    stock.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    let mut week = Seen::default();
    for server in &servers {
        week.happened.extend(server.happened.iter().cloned());
    }
    let beginnings = servers
        .each_ref()
        .map(|server| server.started_ms / 1_000 + if rate == Rate::Dense { 60 } else { 180 });
    for server in &servers {
        check_midst(&world, server, &stock, &truths);
    }
    // whether a server that is gone still listened after its last event, nobody can tell
    let unsure = (world.sparse.iter()).rfind(|made_ms| **made_ms + 2_000 < world.gone.1);
    // its last event is in the second in which an instance saw it, by whose clock time was requested
    let seen_ms = |made_ms: i64| {
        let times = (world.instances.iter()).map(|one| one.seen_ms(world.relayed_ms(made_ms)));
        times.min().unwrap_or(made_ms).min(made_ms)
    };
    let unsure = unsure.map_or(0..0, |last_ms| {
        seen_ms(*last_ms) / 1_000..world.gone.1 / 1_000
    });
    for (begin, account) in found(&world, &stock, &truths, 0..WEEK_S) {
        let mut causes: Vec<[Option<Cause>; 3]> = vec![[None; 3]; 3_600];
        for gap in &account.gaps {
            let number = match gap.server.as_str() {
                "1" => 0,
                "2" => 1,
                _ => 2,
            };
            for second in gap.begin.second()..gap.end.second() {
                let place = usize::try_from(second - world.begin.second() - begin).unwrap();
                let before = causes[place][number].replace(gap.cause);
                assert_eq!(before, None, "seed {seed}: two causes at {second}");
            }
            week.causes.insert((gap.server.clone(), gap.cause));
        }
        for (second, found) in (begin..).zip(causes) {
            let place = usize::try_from(second).unwrap();
            let [one, two] = [0, 1].map(|number| truths[number][place]);
            let is_unsure = unsure.contains(&second)
                || is_edge(&truths, second)
                || one.is_unsure
                || two.is_unsure;
            if is_unsure || beginnings.iter().any(|until| second <= *until) {
                continue;
            }
            let both = one.cause.zip(two.cause).map(|(a, b)| a.min(b));
            let near: Vec<&gap::Gap> = account.gaps.iter().collect();
            let at = world.at(second * 1_000);
            assert_eq!(
                found,
                [one.cause, two.cause, both],
                "seed {seed}: {at} (found, expected) {one:?} {two:?} {near:#?}"
            );
            for truth in [one, two] {
                week.odd += u64::from(truth.cause.is_some() && 0 < truth.odd);
                week.belated += u64::from(truth.cause.is_none() && truth.posts == truth.belated);
            }
        }
    }
    week
}

#[test]
fn a_simulated_week_of_bluesky_has_only_the_gaps_that_could_not_be_had_again() {
    let rates = [Rate::Dense, Rate::Sparse, Rate::Rare];
    let weeks: Vec<(u64, Rate)> = seeds(SEEDS)
        .flat_map(|seed| rates.map(|rate| (seed, rate)))
        .collect();
    let seen: Vec<Seen> = std::thread::scope(|scope| {
        let part = |of: Rate| {
            let weeks = weeks.iter().filter(move |(_, rate)| *rate == of);
            scope.spawn(move || {
                // of hundreds of weeks all are tried
                let week = |(seed, rate): &(u64, Rate)| {
                    catch_unwind(|| check_week(*seed, *rate)).map_err(|_why| (*seed, *rate))
                };
                weeks.map(week).collect::<Vec<_>>()
            })
        };
        let parts = rates.map(part);
        let weeks = parts.into_iter().flat_map(|part| part.join().unwrap());
        let (right, wrong): (Vec<_>, Vec<_>) = weeks.partition(Result::is_ok);
        let wrong: Vec<(u64, Rate)> = wrong.into_iter().filter_map(Result::err).collect();
        assert!(wrong.is_empty(), "other gaps than were injected: {wrong:?}");
        right.into_iter().filter_map(Result::ok).collect()
    });
    let happened: BTreeSet<&str> = (seen.iter().flat_map(|seen| &seen.happened))
        .map(String::as_str)
        .collect();
    let faults = Fault::ALL.into_iter().chain([Fault::Off]);
    let mut expected: BTreeSet<String> = faults.map(|fault| format!("{fault:?}")).collect();
    expected.extend(["clamped", "moved on", "silent upstream", "in the midst"].map(str::to_owned));
    let missing: Vec<&String> = (expected.iter())
        .filter(|word| !happened.contains(word.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?} did not happen");
    let causes: BTreeSet<&(String, Cause)> = seen.iter().flat_map(|seen| &seen.causes).collect();
    for (server, cause) in [
        ("1", Cause::ReplayWindow),
        ("2", Cause::ReplayWindow),
        ("2", Cause::Late),
        (gap::UNION, Cause::ReplayWindow),
    ] {
        let gap = (server.to_owned(), cause);
        assert!(causes.contains(&gap), "no gap was {gap:?}: {causes:?}");
    }
    let sum = |of: fn(&Seen) -> u64| seen.iter().map(of).sum::<u64>();
    assert!(0 < sum(|seen| seen.odd), "no other post fell into a gap");
    assert!(
        0 < sum(|seen| seen.belated),
        "nothing came after an outage upstream"
    );
}
