//! One world: from a seed, servers that deliver to an object store, and machines that merge from it and to it, all at the same
//! time. Machines die and come back or do not, answers are lost and requests are late, clocks are wrong, data comes late, posts
//! are taken out on request, and raw data is swept. In the end the store has what one machine would have made without any
//! of it.

mod books;
mod machine;
mod stage;
mod unannounced;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::Value;
use twinstream::{
    config::settings::{Merge, Role, Server, Xz},
    merge::{deletions::Honour, outcome::MergeOutcome},
    period::{Hour, UtcMs, Zone},
    segment::{
        line,
        name::{Partition, SegmentName},
        recover::recover,
        runs::{Run, Runs},
        spool,
        writer::{Lines, Writer},
    },
    source::{BLUESKY, SAMPLE, SAMPLE10, Stream, key::Key},
    vault::redactions::Redactions,
    world::disk::{Disk as _, read_bounded},
};

use self::{
    books::Objects,
    machine::{Archive, Collector, FULL, Merger, ROOT, Task, spool_of},
    stage::{Act, Fate, Stage, Ways},
};
use crate::{
    support::{
        events,
        posts::{Received, Segment, stream},
        primary::{Site, at, unxz},
        recorded::{Turn, recorded},
        seeds::seeds,
    },
    week::Dice,
};

/// Every everyday run tries so many worlds; `scripts/sim` many more.
const SEEDS: u64 = 8;

/// With so many worlds each kind of fault has occurred in some.
const ALL_OCCUR: u64 = 30;

/// What has to have happened in some of them.
const KINDS: [&str; 34] = [
    "a clock is ahead",
    "a clock is behind",
    "a clock was set",
    "a collector lost what was not synced",
    "a conflict",
    "a disk was full",
    "a machine came back as it was",
    "a machine came back after a power cut",
    "a machine came back without its folder",
    "a machine never came back",
    "a person merged by hand",
    "a share was merged",
    "a superseded revision went",
    "an orphan was swept",
    "another committed first",
    "another had the line first",
    "arrived late and was done",
    "data came late",
    "died after",
    "died at a call of its disk",
    "died before",
    "done and said to have failed",
    "overtaken by others",
    "posts were taken out",
    "raw data went",
    "rows stood for raw data",
    "segments stayed in the store",
    "slept",
    "slow down",
    "the answer was lost",
    "the body was cut",
    "the store was silent",
    "too late for a commit",
    "was not heard",
];

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// The end of a minute's data until it is sealed and delivered, or held up.
struct Coming {
    collector: usize,
    segment: Segment,
    /// The turn in which its server's disk is there to deliver it.
    turn: u64,
}

struct World {
    dice: Dice,
    stage: Arc<Stage>,
    archive: Archive,
    collectors: Vec<Collector>,
    mergers: Vec<Merger>,
    coming: Vec<Coming>,
    /// The right time.
    now: UtcMs,
    /// By how much the clock of each merger is ahead.
    ahead_ms: Vec<i64>,
    redacted: BTreeSet<String>,
}

fn luck(dice: &mut Dice, of_hundred: u64) -> bool {
    dice.next() % 100 < of_hundred
}

fn below(dice: &mut Dice, end: u64) -> u64 {
    dice.next() % end
}

/// What the servers received in some minutes and recorded of themselves, as segments, each with its server's place.
fn data(
    of: Stream,
    partitions: &[Partition],
    servers: u64,
    dice: &mut Dice,
) -> Vec<(usize, Segment)> {
    let mut received: Vec<Vec<Received>> = (0..servers).map(|_| Vec::new()).collect();
    let mut turns: Vec<Vec<(UtcMs, Turn)>> = (0..servers).map(|_| Vec::new()).collect();
    for chunk in 0..dice.between(2, 3) {
        let begin = at("2026-11-23T13:56:00Z").plus_ms(chunk * HOUR_MS);
        let begin = begin.plus_ms(dice.between(0, 2) * MINUTE_MS);
        let (minutes, per_minute) = (dice.between(3, 4), 2 + below(dice, 4));
        let of_chunk: Vec<Vec<Received>> = if of.word == BLUESKY.word {
            let all = events::events(begin, minutes, per_minute);
            let received = (1..=servers).map(|server| events::received_by(server, &all));
            received.collect()
        } else {
            stream(servers, begin, minutes, per_minute)
        };
        for ((all, turns), of_chunk) in received.iter_mut().zip(&mut turns).zip(of_chunk) {
            let (Some(first), Some(last)) = (of_chunk.first(), of_chunk.last()) else {
                continue;
            };
            let (first, last) = (first.at.minute().begin(), last.at.minute().end());
            turns.extend(what_happens((first, last), dice));
            all.extend(of_chunk);
        }
    }
    let mut data = Vec::new();
    for (server, (received, turns)) in received.iter().zip(&turns).enumerate() {
        if turns.is_empty() {
            continue;
        }
        let segments = recorded(of.word, &(server + 1).to_string(), received, turns);
        let parts = segments.iter().flat_map(|one| in_parts(one, partitions));
        data.extend(parts.map(|part| (server, part)));
    }
    data
}

/// A server runs for some minutes. It may lose its connection, and may end without a word.
fn what_happens((first, last): (UtcMs, UtcMs), dice: &mut Dice) -> Vec<(UtcMs, Turn)> {
    let mut turns = vec![(first, Turn::Starts), (first.plus_ms(1), Turn::Connects)];
    if luck(dice, 40) {
        let breaks = first.plus_ms(dice.between(10_000, last.0 - first.0 - 10_000));
        let connects = breaks.plus_ms(dice.between(500, 90_000));
        turns.push((breaks, Turn::Breaks));
        if connects < last {
            turns.push((connects, Turn::Connects));
        }
    }
    let ends = if luck(dice, 50) {
        Turn::Stops
    } else {
        Turn::Dies
    };
    turns.push((last.plus_ms(-1), ends));
    turns
}

/// A segment of each partition in its place; each post is in one of them.
pub(crate) fn in_parts(segment: &Segment, partitions: &[Partition]) -> Vec<Segment> {
    if partitions.is_empty() {
        return vec![segment.clone()];
    }
    // the id is at the beginning of a line, also of a torn one
    let place_of = |line: &[u8]| {
        let digits = line.iter().take(35).filter(|byte| byte.is_ascii_digit());
        digits.map(|digit| usize::from(*digit)).sum::<usize>() % partitions.len()
    };
    let part = |(place, partition): (usize, &Partition)| {
        let mut part = segment.clone();
        part.name.partition = Some(*partition);
        part.lines.retain(|one| place_of(&one.line) == place);
        part
    };
    partitions.iter().enumerate().map(part).collect()
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let (of, partitions) = match below(&mut dice, 8) {
            0 => (SAMPLE10, vec![1, 2]),
            1 => (BLUESKY, Vec::new()),
            _ => (SAMPLE, Vec::new()),
        };
        let partitions: Vec<Partition> = partitions
            .into_iter()
            .map(|number| Partition::new(number).unwrap())
            .collect();
        let servers = 2 + below(&mut dice, 3);
        let server = |number: u64| Server {
            id: number.to_string().parse().unwrap(),
            role: Role::Secondary,
            host: number.to_string(),
            endpoint: None,
            partitions: partitions.clone(),
            deliver_to: None,
            until: None,
        };
        let keep_raw = luck(&mut dice, 75).then_some(Duration::from_mins(40));
        let archive = Archive {
            stream: of,
            settings: Merge {
                timezone: Zone::named("UTC").unwrap(),
                settle: Duration::from_mins(10),
                // rows stand for raw data that is gone
                parquet: keep_raw.is_some(),
                xz: Xz::Fast,
                keep_raw,
                orphans: Duration::from_secs(books::ORPHANS_S),
                keep_superseded: Duration::from_secs(books::SUPERSEDED_S),
                keep_free: 0,
            },
            servers: (1..=servers).map(server).collect(),
            honours: of.word == BLUESKY.word && luck(&mut dice, 50),
        };
        let now = at("2026-11-23T14:00:00Z");
        let stage = Stage::new(seed, now.second().cast_unsigned(), archive.honours);
        let data = data(of, &partitions, servers, &mut dice);
        let mut coming = Vec::new();
        for (collector, segment) in data {
            let turn = if luck(&mut dice, 20) {
                stage.happens("data came late");
                1 + below(&mut dice, 6)
            } else {
                0
            };
            coming.push(Coming {
                collector,
                segment,
                turn,
            });
        }
        let mergers = 2 + below(&mut dice, 4);
        Self {
            stage,
            collectors: (1..=servers)
                .map(|number| Collector::new(&number.to_string()))
                .collect(),
            mergers: (1..=mergers)
                .map(|number| Merger::new(&format!("m{number}"), seed * 10 + number, 0))
                .collect(),
            ahead_ms: vec![0; usize::try_from(mergers).unwrap()],
            archive,
            coming,
            now,
            redacted: BTreeSet::new(),
            dice,
        }
    }

    /// Seals what has come up to now; one of them in spite of a power cut.
    fn seal(&mut self, turn: u64) {
        let now = self.now;
        let is_due = |one: &Coming| one.turn <= turn && one.segment.name.minute.end() <= now;
        let coming = std::mem::take(&mut self.coming).into_iter();
        let (due, later): (Vec<Coming>, Vec<Coming>) = coming.partition(is_due);
        self.coming = later;
        for Coming {
            collector, segment, ..
        } in due
        {
            let collector = &self.collectors[collector];
            let is_cut = self.archive.stream.word != BLUESKY.word
                && 2 < segment.lines.len()
                && luck(&mut self.dice, 10);
            if is_cut {
                let is_lost = write_until_power_cut(collector, &segment, self.dice.next());
                if is_lost {
                    self.stage.happens("a collector lost what was not synced");
                }
            } else {
                segment.put(&collector.disk, &spool_of(Path::new(ROOT)), true);
            }
        }
    }

    fn fate(&mut self) -> Fate {
        let dice = &mut self.dice;
        Fate {
            dies: luck(dice, 22).then(|| (1 + below(dice, 220), luck(dice, 50))),
            silence: luck(dice, 8).then(|| (1 + below(dice, 150), 5 + below(dice, 60))),
            sleeps: luck(dice, 18).then(|| {
                let seconds =
                    [0, 60, 7 * 3_600, 15 * 3_600][usize::try_from(below(dice, 4)).unwrap()];
                (1 + below(dice, 200), 10 + below(dice, 200), seconds)
            }),
        }
    }

    fn task(&mut self) -> Task {
        let dice = &mut self.dice;
        match below(dice, 20) {
            0 | 1 => {
                self.stage.happens("a person merged by hand");
                let hour = ["13", "14", "15", "16"][usize::try_from(below(dice, 4)).unwrap()];
                let hour: Hour = format!("2026-11-23_{hour}").parse().unwrap();
                Task::Merge([hour].into(), None)
            }
            2 | 3 => {
                self.stage.happens("a share was merged");
                let share = format!("{}/2", 1 + below(dice, 2)).parse().unwrap();
                Task::Merge(BTreeSet::new(), Some(share))
            }
            5 if self.archive.honours => {
                self.stage.happens("deletions were honoured");
                Task::Honour
            }
            4 if self.archive.stream.word != BLUESKY.word => self.take_out(),
            _ => Task::Merge(BTreeSet::new(), None),
        }
    }

    /// Some posts that were sent; they may have arrived or not.
    fn take_out(&mut self) -> Task {
        let mut all: BTreeSet<String> = BTreeSet::new();
        for collector in &self.collectors {
            all.extend(ids_of(collector));
        }
        let lines = self.coming.iter().flat_map(|one| &one.segment.lines);
        all.extend(lines.filter_map(|one| id_of(&one.line)));
        let mut keys = BTreeSet::new();
        let all: Vec<String> = all.into_iter().collect();
        for _ in 0..=below(&mut self.dice, 2) {
            let id = &all[usize::try_from(below(&mut self.dice, all.len() as u64)).unwrap()];
            keys.insert(self.archive.stream.source.key(id).unwrap());
        }
        self.stage.happens("posts were taken out");
        Task::Redact(keys)
    }

    /// Leaves only so much room on a merger's disk.
    fn fill(&mut self, merger: usize) {
        let disk = &self.mergers[merger].disk;
        let used: usize = disk.files().values().map(Vec::len).sum();
        disk.set_capacity(Some(used as u64 + below(&mut self.dice, 60_000)));
    }

    fn set_clocks(&mut self) {
        for ahead_ms in &mut self.ahead_ms {
            if luck(&mut self.dice, 70) {
                continue;
            }
            let set = match below(&mut self.dice, 4) {
                0 => -self.dice.between(1, 180),
                1 => self.dice.between(1, 60),
                _ => 0,
            };
            if 0 < set {
                self.stage.happens("a clock is ahead");
            } else if set < 0 {
                self.stage.happens("a clock is behind");
            }
            if *ahead_ms != 0 && set == 0 {
                self.stage.happens("a clock was set");
            }
            *ahead_ms = set * MINUTE_MS;
        }
    }

    /// All act at once, and much goes wrong.
    fn turn(&mut self) {
        self.set_clocks();
        let trouble = [0, 4, 12][usize::try_from(below(&mut self.dice, 3)).unwrap()];
        let said = Mutex::new(Vec::new());
        let mut plans = Vec::new();
        for _ in 0..self.collectors.len() {
            plans.push(luck(&mut self.dice, 80).then(|| self.fate()));
        }
        let mut tasks = Vec::new();
        for merger in 0..self.mergers.len() {
            if luck(&mut self.dice, 12) {
                tasks.push(None);
                continue;
            }
            let task = (self.task(), self.fate(), luck(&mut self.dice, 40));
            if luck(&mut self.dice, 10) {
                self.mergers[merger]
                    .disk
                    .fail_in(1 + below(&mut self.dice, 4_000));
            } else if luck(&mut self.dice, 8) {
                self.fill(merger);
            }
            tasks.push(Some(task));
        }
        let (archive, now, wrongs) = (&self.archive, self.now, &said);
        let mut acts = Vec::new();
        for (collector, fate) in self.collectors.iter().zip(plans) {
            let Some(fate) = fate else { continue };
            acts.push(Act {
                machine: format!("server {}", collector.id),
                disk: collector.disk.clone(),
                fate,
                does: Box::new(move |ways: &Ways| {
                    if let Err(why) = collector.deliver(ways, archive.stream, now)
                        && !may_fail(&why)
                        && !collector.disk.is_out()
                    {
                        wrongs.lock().unwrap().push(why);
                    }
                }),
            });
        }
        let mergers = self.mergers.iter().zip(&self.ahead_ms).zip(&tasks);
        for ((merger, ahead_ms), task) in mergers {
            let Some((task, fate, is_time)) = task else {
                continue;
            };
            acts.push(Act {
                machine: merger.machine(),
                disk: merger.disk.clone(),
                fate: fate.clone(),
                does: Box::new(move |ways: &Ways| {
                    let now = now.plus_ms(*ahead_ms);
                    let done = merger.act(ways, archive, (task, now, *is_time));
                    match merger.disk.is_out() {
                        true if ways.is_killed() => (),
                        true => ways.happens("died at a call of its disk"),
                        false => {
                            let said = wrongs_of(done, ways).into_iter();
                            let said = said.map(|why| format!("{}: {why}", merger.machine()));
                            wrongs.lock().unwrap().extend(said);
                        }
                    }
                }),
            });
        }
        self.stage.act(trouble, acts);
        let said = said.into_inner().unwrap();
        assert!(said.is_empty(), "{said:?}");
        self.check();
        self.come_back();
    }

    /// What becomes of machines that have died.
    fn come_back(&mut self) {
        for collector in self.collectors.iter().filter(|one| one.disk.is_out()) {
            if luck(&mut self.dice, 50) {
                collector.disk.power_cut(self.dice.next());
            } else {
                collector.disk.go_on();
            }
        }
        let mut merger = 0;
        while merger < self.mergers.len() {
            let is_last = self.mergers.len() == 1;
            let one = &mut self.mergers[merger];
            one.disk.set_capacity(None);
            if !one.disk.is_out() {
                one.disk.go_on();
                merger += 1;
                continue;
            }
            match below(&mut self.dice, 4) {
                0 => {
                    one.disk.power_cut(self.dice.next());
                    self.stage.happens("a machine came back after a power cut");
                }
                1 => {
                    *one = one.anew();
                    self.stage.happens("a machine came back without its folder");
                }
                2 if !is_last => {
                    self.mergers.remove(merger);
                    self.ahead_ms.remove(merger);
                    self.stage.happens("a machine never came back");
                    continue;
                }
                _ => {
                    one.disk.go_on();
                    self.stage.happens("a machine came back as it was");
                }
            }
            merger += 1;
        }
    }

    fn check(&self) {
        let wrongs = self.stage.wrongs();
        assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
    }

    /// Nothing goes wrong any more, and each merges, one after the other; says whether anything was committed.
    fn calm_turn(&self) -> bool {
        let outcomes = Mutex::new(Vec::new());
        let (archive, now) = (&self.archive, self.now);
        let task = Task::Honour;
        for merger in &self.mergers {
            let (outcomes, task) = (&outcomes, &task);
            let act = Act {
                machine: merger.machine(),
                disk: merger.disk.clone(),
                fate: Fate::default(),
                does: Box::new(move |ways: &Ways| {
                    let done = merger.act(ways, archive, (task, now, true));
                    outcomes.lock().unwrap().push(done);
                }),
            };
            self.stage.act(0, vec![act]);
        }
        self.check();
        let outcomes: Result<Vec<MergeOutcome>, String> =
            outcomes.into_inner().unwrap().into_iter().collect();
        let outcomes = outcomes.unwrap();
        for outcome in &outcomes {
            let swept = &outcome.swept.problems;
            assert!(
                outcome.failed.is_empty() && outcome.unusable.is_empty() && swept.is_empty(),
                "{outcome:?}"
            );
        }
        let mut committed = outcomes.iter().flat_map(|outcome| &outcome.committed);
        committed.next().is_some()
    }

    fn deliver_all(&self) {
        let (now, delivered) = (self.now, Mutex::new(Vec::new()));
        let stream = self.archive.stream;
        for collector in &self.collectors {
            let delivered = &delivered;
            let act = Act {
                machine: format!("server {}", collector.id),
                disk: collector.disk.clone(),
                fate: Fate::default(),
                does: Box::new(move |ways: &Ways| {
                    let sent = collector.deliver(ways, stream, now);
                    delivered.lock().unwrap().push(sent);
                }),
            };
            self.stage.act(0, vec![act]);
        }
        for done in delivered.into_inner().unwrap() {
            done.unwrap();
        }
    }

    fn live(&mut self) {
        for turn in 0..3 + below(&mut self.dice, 3) {
            let minutes = self.dice.between(12, 50);
            self.pass(minutes * MINUTE_MS);
            self.seal(turn);
            self.turn();
        }
        // later than any clock was, and than the hours of all data have settled; no hour ends soon
        let hour = self.now.0.div_euclid(HOUR_MS) + 2;
        let end = UtcMs(hour * HOUR_MS + 20 * MINUTE_MS);
        let end = end.max(at("2026-11-23T17:20:00Z"));
        self.pass(end.0 - self.now.0);
        self.seal(u64::MAX);
        self.deliver_all();
        for _twice in 0..2 {
            self.calm_turn();
            self.pass(11 * MINUTE_MS);
        }
        // a revision that a machine committed and died is finished by one merge, and what came later is in the next
        let is_settled = (0..2).any(|_again| {
            let has_merged = self.calm_turn();
            self.pass(11 * MINUTE_MS);
            !has_merged
        });
        assert!(is_settled, "something was left to merge");
        // nobody needs any more what was superseded or never committed
        self.stage.pass(20 * 3_600);
        self.mergers.truncate(1);
        assert!(!self.calm_turn(), "something was left to merge");
        self.judge();
    }

    fn pass(&mut self, ms: i64) {
        self.now = self.now.plus_ms(ms);
        self.stage.pass((ms / 1_000).unsigned_abs());
        self.stage.tell(format!("it is {}", self.now));
    }

    fn judge(&mut self) {
        let objects = self.stage.store.objects();
        let (current, left) = books::judge(&objects).unwrap();
        assert_eq!(left, 0, "files of the vault that nobody reads are left");
        books::judge_table(&objects).unwrap();
        self.read_list(&objects);
        let expected = self.alone();
        let hours: Vec<&String> = current.keys().collect();
        assert_eq!(hours, expected.keys().collect::<Vec<_>>());
        let mut wrongs = Vec::new();
        for (hour, (manifest, files)) in &current {
            let (of_one, data) = &expected[hour];
            let names: Vec<&String> = files.keys().collect();
            assert_eq!(names, data.keys().collect::<Vec<_>>(), "{hour}");
            let is_carried = !manifest["carried"].is_null();
            if is_carried {
                self.stage.happens("rows stood for raw data");
            }
            for (name, bytes) in files {
                let is_same = if !is_carried {
                    data[name] == *bytes
                } else if name.ends_with("_conflicts.jsonl.xz") {
                    kept(&data[name]) == kept(bytes)
                } else if name.ends_with("_posts.parquet") {
                    content(manifest, name) == content(of_one, name)
                } else {
                    data[name] == *bytes
                };
                if !is_same {
                    wrongs.push(format!("{name} is not what one machine makes"));
                }
            }
            for part in PARTS {
                differ((part, hour), &manifest[part], &of_one[part], &mut wrongs);
            }
            // of copies that are gone it is not known in what they differed, nor which of them were the further ones
            let all = if is_carried {
                &[][..]
            } else {
                &["inputs", "conflicts", "backfills"][..]
            };
            for part in all {
                differ((part, hour), &manifest[part], &of_one[part], &mut wrongs);
            }
        }
        assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
        if self.archive.stream.word != BLUESKY.word {
            let sent: BTreeSet<String> = self.collectors.iter().flat_map(ids_of).collect();
            let expected: BTreeSet<String> = &sent - &self.redacted;
            let found = books::ids(&current).unwrap();
            let differ: Vec<&String> = expected.symmetric_difference(&found).collect();
            assert!(differ.is_empty(), "not there, or not sent: {differ:?}");
        }
        self.check_redacted(&objects);
        let copy = Site::on(
            Box::new(self.mergers[0].disk.clone()),
            Path::new(ROOT),
            "UTC",
        );
        assert_eq!(copy.verify().worst(), None);
    }

    /// What the list in the store names.
    fn read_list(&mut self, objects: &Objects) {
        for (key, bytes) in objects {
            if key.starts_with("x/vault/redactions/") {
                for line in bytes
                    .split(|byte| *byte == b'\n')
                    .filter(|line| !line.is_empty())
                {
                    let line: Value = serde_json::from_slice(line).unwrap();
                    self.redacted
                        .insert(line["id"].as_str().unwrap().to_owned());
                }
            }
        }
    }

    /// What was taken out is in nothing that can be read without columns.
    fn check_redacted(&self, objects: &Objects) {
        for (key, bytes) in objects {
            let bytes = match key.rsplit('.').next() {
                Some("zst") => zstd::decode_all(&bytes[..]).unwrap(),
                Some("xz") => unxz(bytes).into_bytes(),
                _ => continue,
            };
            for id in &self.redacted {
                let found = memchr::memmem::find(&bytes, id.as_bytes());
                assert!(found.is_none(), "{id} is in {key}");
            }
        }
    }

    /// What one machine makes of the same segments without any fault: of each hour the manifest and the files.
    fn alone(&self) -> BTreeMap<String, (Value, BTreeMap<String, Vec<u8>>)> {
        let mut site = Site::in_memory();
        site.settings.parquet = self.archive.settings.parquet;
        site.stream = self.archive.stream;
        site.servers.clone_from(&self.archive.servers);
        if self.archive.honours {
            site.honour = Honour::Now;
        }
        let from = spool_of(Path::new(ROOT));
        for collector in &self.collectors {
            for name in sealed(collector) {
                let (here, there) = (name.paths(&from), name.paths(&site.spool()));
                site.disk.make_folder(&there.folder).unwrap();
                for (here, there) in [
                    (here.segment, there.segment),
                    (here.events, there.events),
                    (here.seal, there.seal),
                ] {
                    let bytes = read_bounded(&collector.disk, &here, 1 << 20).unwrap();
                    twinstream::world::disk::put(&*site.disk, &there, &bytes).unwrap();
                }
            }
        }
        site.opened().unwrap();
        let source = self.archive.stream.source;
        let mut list = Redactions::none(source);
        let keys: Vec<Key> = self
            .redacted
            .iter()
            .map(|id| source.key(id).unwrap())
            .collect();
        list.ask(keys, "asked");
        list.write(&*site.disk, &site.vault()).unwrap();
        site.merge(&self.now.to_string());
        let files = site.files();
        let of_hour = |hour: String| {
            let manifest = &files[&format!("{}/{hour}_manifest.json", &hour[..10])];
            let manifest: Value = serde_json::from_slice(manifest).unwrap();
            let outputs = manifest["outputs"].as_array().unwrap().iter();
            let data = outputs.map(|output| {
                let name = output["name"].as_str().unwrap();
                let bytes = files[&format!("{}/{name}", &hour[..10])].clone();
                (name.to_owned(), bytes)
            });
            let data = data.collect();
            (hour, (manifest, data))
        };
        site.hours().into_iter().map(of_hour).collect()
    }
}

/// Whether a machine that is alive may say so.
fn may_fail(why: &str) -> bool {
    ["cannot be reached", "it was too late for it", FULL]
        .iter()
        .any(|may| why.contains(may))
}

/// What a merger that is alive should not have said.
fn wrongs_of(done: Result<MergeOutcome, String>, ways: &Ways) -> Vec<String> {
    let said = match done {
        Ok(outcome) => {
            let failed = outcome.failed.into_iter();
            let failed = failed.map(|one| format!("{}: {}", one.hour, one.why));
            let unusable = outcome.unusable.iter().map(|one| format!("{one:?}"));
            let mut said: Vec<String> = failed.chain(unusable).collect();
            said.extend(outcome.swept.problems);
            said
        }
        Err(why) => vec![why],
    };
    if said.iter().any(|why| why.contains(FULL)) {
        ways.happens("a disk was full");
    }
    said.into_iter().filter(|why| !may_fail(why)).collect()
}

fn sealed(collector: &Collector) -> Vec<SegmentName> {
    let sealed = spool::sealed(&collector.disk, &spool_of(Path::new(ROOT)), &collector.id);
    sealed.unwrap().found
}

/// The id of the post that a line of X has, if it has one.
fn id_of(line: &[u8]) -> Option<String> {
    // half of a pair is no text for others
    let line = String::from_utf8_lossy(line).replace("\\ud83d!", "!");
    let line: Value = serde_json::from_str(&line).ok()?;
    Some(line["data"]["id"].as_str()?.to_owned())
}

/// The ids of all posts that a server has sealed.
fn ids_of(collector: &Collector) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for name in sealed(collector) {
        let path = name.paths(&spool_of(Path::new(ROOT))).segment;
        let bytes = read_bounded(&collector.disk, &path, 1 << 20).unwrap();
        ids.extend(bytes.split(|byte| *byte == b'\n').filter_map(id_of));
    }
    ids
}

/// A server collects a minute, syncs when half of it has come, and the power fails. Says whether anything was lost; what was
/// synced is not.
fn write_until_power_cut(collector: &Collector, segment: &Segment, seed: u64) -> bool {
    let (disk, name) = (&collector.disk, &segment.name);
    let (root, leg) = (spool_of(Path::new(ROOT)), name.leg());
    let run = Run {
        number: 1,
        id: name.run,
    };
    let runs = serde_json::json!({ "runs": [run] });
    let runs: Runs = serde_json::from_value(runs).unwrap();
    disk.make_folder(&root.join(leg.server.as_str())).unwrap();
    runs.keep(disk, &root, &leg).unwrap();
    let mut writer = Writer::new(Arc::new(disk.clone()), &root, &leg, &name.stream, run);
    assert!(writer.turn_to(name.minute.begin()).is_none());
    for event in &segment.events {
        writer.event(event).unwrap();
    }
    let (mut written, mut synced) = (Vec::new(), 0);
    for (nth, one) in segment.lines.iter().enumerate() {
        let mut stored = Vec::new();
        line::store(&one.line, one.at, &mut stored);
        let lines = Lines {
            first: one.at,
            last: one.at,
            stored: &stored,
            oversize: 0,
        };
        writer.lines(lines).unwrap();
        written.extend(stored);
        if nth == segment.lines.len() / 2 {
            writer.watch().unwrap().unwrap().sync(disk).unwrap();
            synced = written.len();
        }
    }
    drop(writer);
    disk.power_cut(seed);
    let recovered = recover(disk, &root, &collector.id).unwrap();
    assert!(recovered.failed.is_empty(), "{:?}", recovered.failed);
    let left = read_bounded(disk, &name.paths(&root).segment, 1 << 20).unwrap();
    assert!(written.starts_with(&left) && synced <= left.len());
    left.len() < written.len()
}

/// Lives a world; what has happened in it, or why it failed, with its last requests.
fn try_world(seed: u64, told: usize) -> Result<BTreeMap<&'static str, u64>, String> {
    let mut world = World::new(seed);
    let stage = Arc::clone(&world.stage);
    let lived = catch_unwind(AssertUnwindSafe(|| world.live()));
    lived.map(|()| stage.happened()).map_err(|why| {
        let why = why
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| Some((*why.downcast_ref::<&str>()?).to_owned()))
            .unwrap_or_default();
        format!(
            "the world of seed {seed} failed (TWINSTREAM_SIM_SEEDS={seed}-{seed}): {why}\nits last requests:\n{}\n{why}",
            stage.told(told)
        )
    })
}

fn add(all: &mut BTreeMap<&'static str, u64>, of_one: BTreeMap<&'static str, u64>) {
    for (what, times) in of_one {
        *all.entry(what).or_default() += times;
    }
}

#[test]
fn whatever_becomes_of_machines_and_requests_the_store_has_one_whole_archive() {
    let seeds = seeds(SEEDS);
    let count = seeds.end() + 1 - seeds.start();
    let happened: Mutex<BTreeMap<&str, u64>> = Mutex::new(BTreeMap::new());
    let failed = Mutex::new(Vec::new());
    // of one alone everything is told
    let told = if count == 1 { usize::MAX } else { 100 };
    let left = Mutex::new(seeds);
    let next = || left.lock().unwrap().next();
    let work = || {
        while let Some(seed) = next() {
            match try_world(seed, told) {
                Ok(in_this) => add(&mut happened.lock().unwrap(), in_this),
                Err(why) => failed.lock().unwrap().push(why),
            }
        }
    };
    thread::scope(|scope| {
        for _core in 0..2 {
            scope.spawn(work);
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    assert!(
        failed.is_empty(),
        "{} of {count} worlds failed: {}",
        failed.len(),
        failed[0]
    );
    let happened = happened.into_inner().unwrap();
    println!("{count} worlds: {happened:?}");
    if ALL_OCCUR <= count {
        for kind in KINDS {
            assert!(
                happened.contains_key(kind),
                "{kind}: never in {count} worlds"
            );
        }
    }
}

/// What a manifest says of an hour whichever machines merged it, and in whichever order everything came.
const PARTS: [&str; 9] = [
    "counts",
    "minutes",
    "coverage",
    "gaps",
    "estimate",
    "residues",
    "rules",
    "redactions",
    "deletions",
];

/// What a manifest says of the rows of a file. (`posts.parquet` also has what the events files told: of an hour that was made
/// again from rows, also those that are not the nearest any more.)
fn content(manifest: &Value, name: &str) -> (Value, Value) {
    let mut outputs = manifest["outputs"].as_array().unwrap().iter();
    let output = outputs.find(|output| output["name"] == *name).unwrap();
    (output["rows"].clone(), output["content_sha256"].clone())
}

/// The copies that count of posts whose copies differ. (Of those that do not count and are gone, it is not known which came first.)
fn kept(examples: &[u8]) -> Vec<(Value, Value, Value)> {
    let examples = unxz(examples);
    let lines = examples.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        (
            line["field"].take(),
            line["id"].take(),
            line["kept"]["value"].take(),
        )
    });
    lines.collect()
}

/// Tells in which places two values differ.
fn differ((path, hour): (&str, &str), one: &Value, other: &Value, wrongs: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                differ(
                    (&format!("{path}.{key}"), hour),
                    &one[key],
                    &other[key],
                    wrongs,
                );
            }
        }
        _ if one == other => (),
        _ => wrongs.push(format!("{hour}: {path} is {one}, one machine says {other}")),
    }
}
