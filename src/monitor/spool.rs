//! Reads one server's folder in the spool: how much came when, and the state of its connection.
//!
//! "Latest" means latest in the order of the server's runs: a clock that was ahead and is right again has stamped the
//! past later than the present.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read as _, SeekFrom},
    ops::Bound,
    path::{Path, PathBuf},
};

use super::{
    facts::{LegFacts, ServerFacts},
    link::{self, Link, LinkState},
};
use crate::{
    period::{Minute, UtcMs},
    segment::{
        acks::Ack,
        aside,
        event::Event,
        line,
        name::{self, Leg, RunId, SegmentName, ServerId},
        runs::Runs,
        seal::{SEAL_BYTES_MAX, Seal},
        spool,
    },
    world::{
        clock::Reading,
        disk::{self, Disk},
        growing::ReadPosition,
    },
};

/// Minutes that are shown: a day.
const MINUTES: i64 = 24 * 60;

/// This many last minutes are kept, whatever their stamps say.
const KEPT_MINUTES: usize = 60;

/// Folders in which files may still come and go, so that they are listed each time.
const BUSY_FOLDERS: usize = 2;

/// The others are listed this often.
const QUIET_MS: i64 = 10 * 60_000;

/// An events file has some kilobytes; a larger one is ignored.
const EVENTS_BYTES_MAX: u64 = 4 << 20;

/// A segment of a minute longer ago is not being written any more.
const OPEN_MINUTES: i64 = 3;

/// At the turn of a minute the next segment is open while the last one is being sealed, and a step of the clock
/// begins another.
const WRITTEN_MINUTES: usize = 3;

/// How deep folders are nested: day, hour.
const ASIDE_DEPTH: u8 = 2;

/// The last acknowledgements lie within this.
const ACKS_TAIL_BYTES: u64 = 64 * 1024;

/// Where one server's files lie.
pub(super) struct Spool<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) folder: &'a Path,
    pub(super) server: &'a ServerId,
    /// Its legs, as the configuration has them; none: those that are found.
    pub(super) legs: &'a [Leg],
    /// Where its acknowledgements lie, if it delivers.
    pub(super) acks: Option<&'a Path>,
}

/// A segment that is not sealed this long after its minute is no longer being written.
const LEFT_OPEN_MS: i64 = 15 * 60_000;

/// What a folder held when it was last listed.
#[derive(Debug, Default)]
struct Listed {
    at: Option<UtcMs>,
    sealed: u64,
    open: u64,
    left_open: u64,
    bytes: u64,
}

/// A minute of one run, in the order in which they happened.
type Turn = (u64, Minute);

/// What a seal says.
#[derive(Debug, Clone, Copy)]
struct Sealed {
    lines: u64,
    last: Option<UtcMs>,
}

/// What is known of a server already.
#[derive(Debug, Default)]
pub(super) struct KnownServer {
    folders: BTreeMap<PathBuf, Listed>,
    legs: BTreeMap<Leg, KnownLeg>,
    /// When something new was last seen to come in, in the steady time; of a secondary itself, an acknowledgement.
    news: Option<UtcMs>,
    acknowledged: Option<(Minute, UtcMs)>,
}

/// What is known of one leg of it.
#[derive(Debug, Default)]
struct KnownLeg {
    /// The numbers of the runs.
    runs: BTreeMap<RunId, u64>,
    /// The segments of the last day, and at least the last so many minutes, and whether they are sealed.
    names: BTreeMap<Turn, BTreeMap<SegmentName, bool>>,
    /// What the seals of the sealed ones say.
    sealed: BTreeMap<SegmentName, Sealed>,
    /// The last line, with the number of its run.
    last_line: Option<(u64, UtcMs)>,
    /// The state according to the events, up to the end of a minute of which everything is sealed.
    link: Link,
    told_until: Option<Turn>,
    /// The segments that are being written, as far as they have been read.
    open: BTreeMap<SegmentName, ReadPosition>,
}

impl KnownServer {
    /// Looks again.
    pub(super) fn look(&mut self, spool: &Spool<'_>, time: Reading) -> io::Result<ServerFacts> {
        let now = time.now;
        let oldest = Minute(now.minute().0 - MINUTES);
        let knew_any = !self.folders.is_empty();
        let is_new = self.list(spool, oldest, time)?;
        let mut minutes: BTreeMap<Minute, u64> = BTreeMap::new();
        let mut legs: BTreeMap<Leg, LegFacts> = BTreeMap::new();
        for (leg, known) in &mut self.legs {
            legs.insert(leg.clone(), known.look(spool, oldest, &mut minutes)?);
        }
        if !spool.legs.is_empty() {
            legs.retain(|leg, _| spool.legs.contains(leg));
            for leg in spool.legs {
                legs.entry(leg.clone()).or_default();
            }
        }
        let acknowledged = spool.acks.and_then(|path| acknowledged(spool.disk, path));
        // what this secondary seals itself says nothing of the primary
        let is_news = match spool.acks {
            Some(_) => acknowledged != self.acknowledged,
            None => is_new,
        };
        self.acknowledged = acknowledged;
        if knew_any && is_news {
            self.news = Some(time.steady);
        }
        let folders = self.folders.values();
        // the server as a whole shows the state of its worst leg
        let worst = legs.values().max_by_key(|leg| leg.link.trouble());
        let is_whole = legs.keys().all(|leg| leg.partition.is_none());
        Ok(ServerFacts {
            sealed: folders.clone().map(|listed| listed.sealed).sum(),
            open: folders.clone().map(|listed| listed.open).sum(),
            left_open: folders.clone().map(|listed| listed.left_open).sum(),
            bytes: folders.map(|listed| listed.bytes).sum(),
            aside: aside(spool)?,
            minutes,
            last_line: legs.values().filter_map(|leg| leg.last_line).max(),
            sealed_until: legs.values().filter_map(|leg| leg.sealed_until).min(),
            news: self.news.map(|at| now.plus_ms(at.0 - time.steady.0)),
            link: worst.map(|leg| leg.link.clone()).unwrap_or_default(),
            acknowledged,
            legs: if is_whole { BTreeMap::new() } else { legs },
        })
    }

    /// Lists the folders; says whether a sealed segment is new.
    fn list(&mut self, spool: &Spool<'_>, oldest: Minute, time: Reading) -> io::Result<bool> {
        // the stage that needs an unreadable file reports it
        let folders = spool::hour_folders(spool.disk, spool.folder, spool.server)?.found;
        self.folders.retain(|folder, _| folders.contains(folder));
        for (leg, known) in &mut self.legs {
            known.read_runs(spool, leg)?;
        }
        let busy_from = folders.len().saturating_sub(BUSY_FOLDERS);
        let last = |leg: &KnownLeg| Some(leg.names.last_key_value()?.0.1);
        let latest = self.legs.values().filter_map(last).max();
        let near = [Some(time.now.minute()), latest];
        let near = near.into_iter().flatten();
        let near = near.flat_map(|minute| [Minute(minute.0 - 60), minute, Minute(minute.0 + 60)]);
        let near: BTreeSet<PathBuf> = near
            .map(|minute| spool::hour_folder(spool.folder, spool.server, minute))
            .collect();
        let mut is_new = false;
        for (number, folder) in folders.iter().enumerate() {
            let listed = self.folders.entry(folder.clone()).or_default();
            let is_busy = busy_from <= number || near.contains(folder);
            let since_ms = |at: UtcMs| time.steady.0 - at.0;
            if !is_busy && listed.at.is_some_and(|at| since_ms(at) < QUIET_MS) {
                continue;
            }
            *listed = Listed {
                at: Some(time.steady),
                ..Listed::default()
            };
            let here = spool::in_folder(spool.disk, folder, spool.server).unwrap_or_default();
            for (name, found) in here {
                listed.bytes += found.bytes;
                if found.sealed {
                    listed.sealed += 1;
                } else {
                    listed.open += 1;
                    listed.left_open +=
                        u64::from(name.minute.end().plus_ms(LEFT_OPEN_MS) < time.now);
                }
                if !(oldest <= name.minute || is_busy) {
                    continue;
                }
                let leg = name.leg();
                if !self.legs.contains_key(&leg) {
                    let mut known = KnownLeg::default();
                    known.read_runs(spool, &leg)?;
                    self.legs.insert(leg.clone(), known);
                }
                if let Some(known) = self.legs.get_mut(&leg) {
                    is_new |= known.take(spool, name, found.sealed);
                }
            }
        }
        Ok(is_new)
    }
}

impl KnownLeg {
    /// What there is of it now; its lines are added to those of each minute.
    fn look(
        &mut self,
        spool: &Spool<'_>,
        oldest: Minute,
        minutes: &mut BTreeMap<Minute, u64>,
    ) -> io::Result<LegFacts> {
        self.names.retain(|_, names| !names.is_empty());
        self.forget(oldest);
        for (name, sealed) in &self.sealed {
            *minutes.entry(name.minute).or_insert(0) += sealed.lines;
        }
        self.read_open(spool)?;
        let latest = self.latest();
        for (name, place) in &self.open {
            *minutes.entry(name.minute).or_insert(0) += place.lines;
        }
        self.last_line = latest.or(self.last_line);
        let link = self.read_events(spool, oldest);
        let last = self.names.last_key_value();
        let last = last.and_then(|(_, names)| names.iter().rfind(|(_, sealed)| **sealed));
        let sealed_until = last.or_else(|| {
            let mut names = self.names.values().rev().flatten();
            names.find(|(_, sealed)| **sealed)
        });
        Ok(LegFacts {
            last_line: self
                .last_line
                .map(|(run, at)| link.by_todays_clock(run, at)),
            sealed_until: sealed_until.map(|(name, _)| name.minute.end()),
            link,
        })
    }

    /// A server that delivers here keeps its own order there, and its seals tell it.
    fn read_runs(&mut self, spool: &Spool<'_>, leg: &Leg) -> io::Result<()> {
        let runs = Runs::read(spool.disk, spool.folder, leg)?;
        self.runs
            .extend(runs.iter().map(|run| (run.id, run.number)));
        Ok(())
    }

    /// Takes a segment in; returns whether it is newly sealed.
    fn take(&mut self, spool: &Spool<'_>, name: SegmentName, is_sealed: bool) -> bool {
        if self.sealed.contains_key(&name) {
            return false;
        }
        if is_sealed {
            let (run_number, sealed) = sealed(spool, &name);
            self.sealed.insert(name.clone(), sealed);
            // of a damaged seal only its name is known
            let number = run_number.map(|number| (name.run, number));
            self.runs.extend(number);
        }
        // the run that is not known yet is the one that goes on here
        let number = self.runs.get(&name.run).copied().unwrap_or(u64::MAX);
        for names in self.names.values_mut() {
            names.remove(&name);
        }
        let of_minute = self.names.entry((number, name.minute)).or_default();
        of_minute.insert(name, is_sealed);
        is_sealed
    }

    /// Forgets what is older than a day and not among the last minutes.
    fn forget(&mut self, oldest: Minute) {
        let beyond = self.names.len().saturating_sub(KEPT_MINUTES);
        let old: Vec<Turn> = self.names.keys().take(beyond).copied().collect();
        for turn in old.iter().filter(|(_, minute)| *minute < oldest) {
            for name in self.names.remove(turn).into_iter().flatten() {
                self.sealed.remove(&name.0);
            }
        }
    }

    /// The last line that any segment tells of, with the number of its run.
    fn latest(&self) -> Option<(u64, UtcMs)> {
        let mut turns = self.names.iter().rev();
        turns.find_map(|((number, _), names)| {
            let arrived = |name: &SegmentName| {
                let open = self.open.get(name);
                let open = open.and_then(|place| line::cut(&place.last).retrieved_at);
                let sealed = self.sealed.get(name).and_then(|sealed| sealed.last);
                open.max(sealed)
            };
            let last = names.keys().filter_map(arrived).max()?;
            Some((*number, last))
        })
    }

    /// Reads on in the segments that are being written.
    fn read_open(&mut self, spool: &Spool<'_>) -> io::Result<()> {
        let newest = self.names.values().rev().take(WRITTEN_MINUTES).flatten();
        let open: BTreeSet<SegmentName> = newest
            .filter(|(_, sealed)| !**sealed)
            .map(|(name, _)| name.clone())
            .collect();
        self.open.retain(|name, _| open.contains(name));
        for name in open {
            let sealed = name.paths(spool.folder).segment;
            let open = name::open(&sealed);
            // it has its final name for a moment before its seal is there
            let is_open = spool.disk.len(&open)?.is_some();
            let place = self.open.entry(name).or_default();
            place.read_on(spool.disk, if is_open { &open } else { &sealed }, |_| ())?;
        }
        Ok(())
    }

    /// The state of the connection: the former one, and the events since.
    fn read_events(&mut self, spool: &Spool<'_>, oldest: Minute) -> Link {
        if self.told_until.is_none() {
            self.begin_reading_events(spool);
        }
        let last = self.names.last_key_value().map(|(turn, _)| *turn);
        let mut link = self.link.clone();
        let mut all_over = true;
        let from = match self.told_until {
            Some(told) => Bound::Excluded(told),
            None => Bound::Unbounded,
        };
        for (turn, names) in self.names.range((from, Bound::Unbounded)) {
            link::fold(&mut link, &events(spool, names));
            // nothing more can come to it, unless what a crash left open is mended
            let is_past = last.is_some_and(|last| *turn < last);
            let is_old =
                last.is_some_and(|last| last.0 != turn.0 || OPEN_MINUTES < last.1.0 - turn.1.0);
            let is_sealed = names.values().all(|sealed| *sealed);
            all_over &= is_past && (is_old || is_sealed) && turn.0 != u64::MAX;
            if all_over {
                self.link = link.clone();
                self.told_until = Some(*turn);
            }
        }
        // after a day, the only state that still holds is that it was stopped
        if last.is_some_and(|(_, minute)| minute < oldest) && link.state != LinkState::Stopped {
            return Link {
                told: link.told,
                ..Link::default()
            };
        }
        link
    }

    /// Goes back to the last minute that tells the state of the connection by itself.
    fn begin_reading_events(&mut self, spool: &Spool<'_>) {
        let telling = self
            .names
            .iter()
            .rev()
            .find(|(_, names)| events(spool, names).iter().any(Link::is_told_by));
        // the minute before it says since when; nothing before that matters, and without one everything there is does
        let before = telling.and_then(|(turn, _)| self.names.range(..*turn).nth_back(1));
        self.told_until = before.map(|(turn, _)| *turn);
    }
}

/// The run's number, and what the seal says of its segment. A damaged seal is reported by those who use it.
fn sealed(spool: &Spool<'_>, name: &SegmentName) -> (Option<u64>, Sealed) {
    let path = name.paths(spool.folder).seal;
    let seal = disk::read_bounded(spool.disk, &path, SEAL_BYTES_MAX)
        .ok()
        .and_then(|bytes| Seal::read(&bytes, name).ok());
    let (lines, last) = seal
        .as_ref()
        .map_or((0, None), |seal| (seal.segment.lines, seal.last_arrival));
    (seal.map(|seal| seal.run_number), Sealed { lines, last })
}

/// The events of one minute of one run, part after part.
fn events(spool: &Spool<'_>, names: &BTreeMap<SegmentName, bool>) -> Vec<Event> {
    let mut found = Vec::new();
    for name in names.keys() {
        let path = name.paths(spool.folder).events;
        let read = |path: &Path| disk::read_bounded(spool.disk, path, EVENTS_BYTES_MAX);
        // it may get its final name at any moment, and may have gone after a merge
        let bytes = read(&path)
            .or_else(|_| read(&name::open(&path)))
            .unwrap_or_default();
        let lines = bytes.split(|byte| *byte == b'\n');
        found.extend(lines.filter_map(|line| serde_json::from_slice::<Event>(line).ok()));
    }
    found
}

/// Segments and other entries that cannot be used and lie aside, `aside/<day>/<hour>/…`: each is
/// counted once, whatever it has of its files.
fn aside(spool: &Spool<'_>) -> io::Result<u64> {
    let top = spool.folder.join(spool.server.as_str());
    let mut folders: Vec<(PathBuf, u8)> = Vec::new();
    for entry in spool.disk.list(&top)? {
        if entry.folder && aside::is_aside(&entry.name) {
            folders.push((top.join(&entry.name), 0));
        }
    }
    let mut count = 0;
    while let Some((folder, depth)) = folders.pop() {
        let mut stems = BTreeSet::new();
        for entry in spool.disk.list(&folder)? {
            if entry.folder && depth < ASIDE_DEPTH {
                folders.push((folder.join(&entry.name), depth + 1));
            } else {
                let stem = SegmentName::of_file(&entry.name).map(|(name, _)| name.to_string());
                stems.insert(stem.unwrap_or(entry.name));
            }
        }
        count += stems.len() as u64;
    }
    Ok(count)
}

/// The last minute that was acknowledged, and when; `None` also when that cannot be seen from here.
fn acknowledged(disk: &dyn Disk, path: &Path) -> Option<(Minute, UtcMs)> {
    let len = disk.len(path).ok()??;
    let mut file = disk.open(path).ok()?;
    file.seek(SeekFrom::Start(len.saturating_sub(ACKS_TAIL_BYTES)))
        .ok()?;
    let mut bytes = Vec::new();
    file.take(ACKS_TAIL_BYTES).read_to_end(&mut bytes).ok()?;
    let acks = bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Ack>(line).ok());
    acks.filter_map(|ack| {
        let (name, _) = SegmentName::of_file(&ack.file)?;
        Some((name.minute, ack.at))
    })
    .max()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{super::link::BEFORE_MS, *};
    use crate::{
        segment::{
            event::EventKind,
            name::{Partition, RunId},
            runs::Run,
            sha256::Sha256,
            writer::{Lines, Writer},
        },
        world::disk::RealDisk,
    };

    const BEGIN: UtcMs = UtcMs(1_795_442_400_000);

    struct Written {
        dir: tempfile::TempDir,
        server: ServerId,
        writer: Writer,
    }

    impl Written {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let server: ServerId = "1".parse().unwrap();
            let writer = Writer::new(
                Arc::new(RealDisk),
                dir.path(),
                &Leg::whole(server.clone()),
                "sample",
                Run {
                    number: 1,
                    id: RunId(7),
                },
            );
            Self {
                dir,
                server,
                writer,
            }
        }

        fn line(&mut self, at: UtcMs) {
            self.received(b"{\"data\":{}}", at);
        }

        fn received(&mut self, line: &[u8], at: UtcMs) {
            let mut stored = Vec::new();
            line::store(line, at, &mut stored);
            let lines = Lines {
                first: at,
                last: at,
                stored: &stored,
                oversize: 0,
            };
            self.writer.lines(lines).unwrap();
        }

        fn event(&mut self, at: UtcMs, what: EventKind) {
            let event = Event {
                at,
                connection: 1,
                what,
            };
            self.writer.event(&event).unwrap();
        }

        fn seen(&self, known: &mut KnownServer, now: UtcMs) -> ServerFacts {
            self.seen_with(known, now, None)
        }

        fn seen_with(
            &self,
            known: &mut KnownServer,
            now: UtcMs,
            acks: Option<&Path>,
        ) -> ServerFacts {
            let spool = Spool {
                disk: &RealDisk,
                folder: self.dir.path(),
                server: &self.server,
                legs: &[],
                acks,
            };
            let time = Reading {
                now,
                steady: now,
                steps: 0,
                stepped_ms: 0,
            };
            known.look(&spool, time).unwrap()
        }
    }

    #[test]
    fn what_a_secondary_seals_is_no_news_of_the_primary() {
        let mut written = Written::new();
        let acks = written.dir.path().join("acks.jsonl");
        let (mut there, mut own) = (KnownServer::default(), KnownServer::default());
        let minute = |n: i64| BEGIN.plus_ms(60_000 * n);
        for n in 0..2 {
            written.line(minute(n));
            let mut closed = written.writer.turn_to(minute(n + 1)).unwrap();
            closed.seal(&RealDisk).unwrap();
            let now = minute(n + 1);
            let news = (n == 1).then_some(now);
            assert_eq!(written.seen(&mut there, now).news, news, "what came in");
            assert_eq!(written.seen_with(&mut own, now, Some(&acks)).news, None);
        }
        let ack = Ack {
            at: minute(3),
            file: "1_sample_20261123T0000Z_00000007_000.jsonl".to_owned(),
            sha256: Sha256::ZEROS,
        };
        crate::segment::acks::append(&RealDisk, &acks, &[ack]).unwrap();
        let seen = written.seen_with(&mut own, minute(3), Some(&acks));
        assert!(seen.acknowledged.is_some());
        assert_eq!(seen.news, Some(minute(3)));
    }

    #[test]
    fn a_server_has_delivered_as_far_as_the_leg_that_is_furthest_behind() {
        let mut written = Written::new();
        let minute = |n: i64| BEGIN.plus_ms(60_000 * n);
        for (partition, minutes) in [(1, 5), (2, 2), (3, 4)] {
            let leg = Leg {
                server: written.server.clone(),
                partition: Partition::new(partition),
            };
            let run = Run {
                number: 1,
                id: RunId(partition.into()),
            };
            let disk = Arc::new(RealDisk);
            written.writer = Writer::new(disk, written.dir.path(), &leg, "sample10", run);
            for n in 0..minutes {
                written.line(minute(n));
                written.writer.close().unwrap().seal(&RealDisk).unwrap();
            }
        }
        let seen = written.seen(&mut KnownServer::default(), minute(5));
        assert_eq!(seen.sealed_until, Some(minute(2)));
        let of_legs = seen.legs.values().map(|leg| leg.sealed_until);
        assert!(of_legs.eq([5, 2, 4].map(|n| Some(minute(n)))));
    }

    #[test]
    fn the_last_line_is_known_while_its_minute_is_being_sealed() {
        let mut written = Written::new();
        let mut known = KnownServer::default();
        let minute = |n: i64| BEGIN.plus_ms(60_000 * n);
        written.line(minute(0).plus_ms(59_000));
        written
            .writer
            .turn_to(minute(1))
            .unwrap()
            .seal(&RealDisk)
            .unwrap();
        written.line(minute(1).plus_ms(30_000));
        let seen = written.seen(&mut known, minute(1).plus_ms(31_000));
        assert_eq!(seen.last_line, Some(minute(1).plus_ms(30_000)));
        written.line(minute(1).plus_ms(59_900));
        // the next minute has begun, without a line yet; the one before is not sealed yet
        let mut closed = written.writer.turn_to(minute(2)).unwrap();
        written.event(
            minute(2),
            EventKind::FirstLine {
                clock_offset_ms: None,
            },
        );
        for known in [&mut known, &mut KnownServer::default()] {
            let seen = written.seen(known, minute(2).plus_ms(10));
            assert_eq!(seen.last_line, Some(minute(1).plus_ms(59_900)));
            assert_eq!(seen.minutes.get(&minute(1).minute()), Some(&2));
        }
        closed.seal(&RealDisk).unwrap();
        let seen = written.seen(&mut known, minute(2).plus_ms(20));
        assert_eq!(seen.last_line, Some(minute(1).plus_ms(59_900)));
        assert_eq!(seen.minutes.values().sum::<u64>(), 3);
    }

    #[test]
    fn the_latest_is_that_of_the_latest_run_whatever_its_stamps_say() {
        let mut written = Written::new();
        let mut known = KnownServer::default();
        let hours = |n: i64| BEGIN.plus_ms(n * 3_600_000);
        let started = |number| EventKind::Started {
            program: "test/1".to_owned(),
            number,
            after: None,
            last_line: None,
        };
        // two hours ahead …
        written.event(hours(2), started(1));
        written.line(hours(2).plus_ms(5_000));
        written.writer.close().unwrap().seal(&RealDisk).unwrap();
        let seen = written.seen(&mut known, hours(2).plus_ms(6_000));
        assert_eq!(seen.last_line, Some(hours(2).plus_ms(5_000)));
        // … then put right while it runs
        let next = Run {
            number: 2,
            id: RunId(3),
        };
        assert!(written.writer.begin_run(next).is_none());
        let step_ms = hours(0).0 - hours(2).0;
        let stepped = EventKind::ClockStepped { number: 2, step_ms };
        written.event(hours(0).plus_ms(6_000), stepped);
        written.writer.close().unwrap().seal(&RealDisk).unwrap();
        for known in [&mut known, &mut KnownServer::default()] {
            let seen = written.seen(known, hours(0).plus_ms(7_000));
            assert_eq!(seen.last_line, Some(hours(0).plus_ms(5_000)));
            assert_eq!(seen.link.started, Some(hours(0)));
        }
        written.line(hours(0).plus_ms(8_000));
        written.writer.close().unwrap().seal(&RealDisk).unwrap();
        // and restarted with a clock that is a day behind, in which nothing has come yet
        assert!(
            written
                .writer
                .begin_run(Run {
                    number: 3,
                    id: RunId(5)
                })
                .is_none()
        );
        written.event(hours(-24), started(3));
        written.writer.close().unwrap().seal(&RealDisk).unwrap();
        for known in [&mut known, &mut KnownServer::default()] {
            let seen = written.seen(known, hours(-24).plus_ms(9_000));
            assert_eq!(seen.last_line, Some(hours(-24).plus_ms(-BEFORE_MS)));
            assert_eq!(seen.link.started, Some(hours(-24)));
        }
        written.line(hours(-24).plus_ms(9_500));
        written.writer.close().unwrap().seal(&RealDisk).unwrap();
        let seen = written.seen(&mut known, hours(-24).plus_ms(9_900));
        assert_eq!(seen.last_line, Some(hours(-24).plus_ms(9_500)));
    }

    #[test]
    fn one_that_was_stopped_days_ago_is_stopped() {
        let mut written = Written::new();
        let days = |n: i64| BEGIN.plus_ms(n * 24 * 3_600_000);
        written.line(BEGIN);
        written.event(
            BEGIN,
            EventKind::FirstLine {
                clock_offset_ms: None,
            },
        );
        written.writer.close().unwrap().seal(&RealDisk).unwrap();
        let seen = |written: &Written, now| written.seen(&mut KnownServer::default(), now).link;
        assert_eq!(seen(&written, days(0)).state, LinkState::Connected);
        // without a word since then nobody knows
        assert_eq!(seen(&written, days(3)).state, LinkState::Unknown);
        let at = BEGIN.plus_ms(60_000);
        let why = "signal".to_owned();
        written.event(at, EventKind::Stopped { why });
        written.writer.close().unwrap().seal(&RealDisk).unwrap();
        let mut known = KnownServer::default();
        for now in [days(0).plus_ms(120_000), days(3), days(4)] {
            let link = written.seen(&mut known, now).link;
            assert_eq!((link.state, link.since), (LinkState::Stopped, Some(at)));
        }
        assert_eq!(seen(&written, days(3)).state, LinkState::Stopped);
    }

    /// A stored line is told from others by both its ends, of which the first may lie far away.
    #[test]
    fn the_last_line_is_known_however_long_it_is() {
        let mut written = Written::new();
        let mut known = KnownServer::default();
        for (ms, len) in [(0, 10), (1_000, 5_000), (2_000, 700_000), (3_000, 4_096)] {
            let at = BEGIN.plus_ms(ms);
            let received = format!(" {{\"text\":\"{}\"}}", "x".repeat(len));
            written.received(received.as_bytes(), at);
            for known in [&mut known, &mut KnownServer::default()] {
                let seen = written.seen(known, at.plus_ms(10));
                assert_eq!(seen.last_line, Some(at), "{len}");
            }
        }
    }

    #[test]
    fn a_segment_is_left_open_when_its_minute_is_long_over() {
        let mut written = Written::new();
        written.line(BEGIN);
        for (s, left_open) in [(59, 0), (120, 0), (60 + 15 * 60, 0), (61 + 15 * 60, 1)] {
            let now = BEGIN.plus_ms(1_000 * s);
            let seen = written.seen(&mut KnownServer::default(), now);
            assert_eq!((seen.open, seen.left_open), (1, left_open), "{s}");
        }
        written.writer.close().unwrap().seal(&RealDisk).unwrap();
        let seen = written.seen(&mut KnownServer::default(), BEGIN.plus_ms(9_000_000));
        assert_eq!((seen.sealed, seen.open, seen.left_open), (1, 0, 0));
    }
}
