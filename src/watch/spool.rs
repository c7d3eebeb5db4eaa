//! What one server's folder in the spool tells: how much came when, and what its connection is like.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read as _, SeekFrom},
    path::{Path, PathBuf},
};

use super::{
    facts::ServerFacts,
    link::{self, Link, State},
};
use crate::{
    period::{Minute, UtcMs},
    segment::{
        acks::Ack,
        aside,
        event::Event,
        line,
        name::{self, SegmentName, ServerId},
        seal::{SEAL_BYTES_MAX, Seal},
        spool,
    },
    world::{
        disk::{self, Disk},
        growing::Place,
    },
};

/// Minutes that are kept: a day.
const MINUTES: i64 = 24 * 60;

/// Folders in which files may still come and go, so that they are listed each time.
const BUSY_FOLDERS: usize = 2;

/// The others are listed this often.
const QUIET_MS: i64 = 10 * 60_000;

/// An events file has some kilobytes; of one with more nothing is taken.
const EVENTS_BYTES_MAX: u64 = 4 << 20;

/// A segment of a minute longer ago is not being written any more.
const OPEN_MINUTES: i64 = 3;

/// At the turn of a minute the next segment is open while the last one is being sealed.
const WRITTEN_MINUTES: usize = 2;

/// Folders of a day and of an hour lie in each other.
const ASIDE_DEPTH: u8 = 2;

/// The last acknowledgements lie within this.
const ACKS_TAIL_BYTES: u64 = 64 * 1024;

/// Where one server's files lie.
pub(super) struct Spool<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) folder: &'a Path,
    pub(super) server: &'a ServerId,
    /// Where its acknowledgements lie, if it delivers.
    pub(super) acks: Option<&'a Path>,
}

/// What a folder held when it was last listed.
#[derive(Debug, Default)]
struct Listed {
    at: Option<UtcMs>,
    sealed: u64,
    open: u64,
    bytes: u64,
}

/// What is known of a server already.
#[derive(Debug, Default)]
pub(super) struct KnownServer {
    folders: BTreeMap<PathBuf, Listed>,
    /// The segments of the last day, or else of the last minute, and whether they are sealed.
    names: BTreeMap<Minute, BTreeMap<SegmentName, bool>>,
    /// Lines of the sealed ones.
    lines: BTreeMap<SegmentName, u64>,
    last_line: Option<UtcMs>,
    sealed_until: Option<UtcMs>,
    /// What the events tell up to and with a minute of which everything is sealed.
    link: Link,
    told_until: Option<Minute>,
    /// The segments that are being written, as far as they have been read.
    open: BTreeMap<SegmentName, Place>,
}

impl KnownServer {
    /// Looks again.
    pub(super) fn look(&mut self, spool: &Spool<'_>, now: UtcMs) -> io::Result<ServerFacts> {
        let oldest = Minute(now.minute().0 - MINUTES);
        self.list(spool, oldest, now)?;
        let last = self.names.keys().next_back().copied();
        self.names
            .retain(|minute, _| oldest <= *minute || Some(*minute) == last);
        self.lines.retain(|name, _| oldest <= name.minute);
        let mut minutes: BTreeMap<Minute, u64> = BTreeMap::new();
        for (name, lines) in &self.lines {
            *minutes.entry(name.minute).or_insert(0) += lines;
        }
        self.read_open(spool)?;
        for (name, place) in &self.open {
            *minutes.entry(name.minute).or_insert(0) += place.lines;
            let arrived = line::cut(&place.last).retrieved_at;
            self.last_line = self.last_line.max(arrived);
        }
        let folders = self.folders.values();
        Ok(ServerFacts {
            sealed: folders.clone().map(|listed| listed.sealed).sum(),
            open: folders.clone().map(|listed| listed.open).sum(),
            bytes: folders.map(|listed| listed.bytes).sum(),
            aside: aside(spool)?,
            minutes,
            last_line: self.last_line,
            sealed_until: self.sealed_until,
            link: self.read_events(spool, oldest),
            acknowledged: spool.acks.and_then(|path| acknowledged(spool.disk, path)),
        })
    }

    fn list(&mut self, spool: &Spool<'_>, oldest: Minute, now: UtcMs) -> io::Result<()> {
        // whoever needs what cannot be read tells of it
        let folders = spool::hour_folders(spool.disk, spool.folder, spool.server)?.found;
        self.folders.retain(|folder, _| folders.contains(folder));
        let busy_from = folders.len().saturating_sub(BUSY_FOLDERS);
        for (number, folder) in folders.iter().enumerate() {
            let listed = self.folders.entry(folder.clone()).or_default();
            let is_busy = busy_from <= number;
            if !is_busy && listed.at.is_some_and(|at| now.0 - at.0 < QUIET_MS) {
                continue;
            }
            *listed = Listed {
                at: Some(now),
                ..Listed::default()
            };
            let here = spool::in_folder(spool.disk, folder, spool.server).unwrap_or_default();
            for (name, found) in here {
                listed.bytes += found.bytes;
                if found.sealed {
                    listed.sealed += 1;
                } else {
                    listed.open += 1;
                }
                if oldest <= name.minute || is_busy {
                    let of_minute = self.names.entry(name.minute).or_default();
                    of_minute.insert(name.clone(), found.sealed);
                }
                if found.sealed
                    && (oldest <= name.minute || is_busy)
                    && !self.lines.contains_key(&name)
                {
                    let (lines, last) = sealed(spool, &name);
                    self.last_line = self.last_line.max(last);
                    self.sealed_until = self.sealed_until.max(Some(name.minute.end()));
                    self.lines.insert(name, lines);
                }
            }
        }
        Ok(())
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

    /// What the connection is like: what was told before, and what has come since.
    fn read_events(&mut self, spool: &Spool<'_>, oldest: Minute) -> Link {
        if self.told_until.is_none() {
            self.begin_reading_events(spool);
        }
        let told_until = self.told_until.unwrap_or(Minute(i64::MIN));
        let last = self.names.keys().next_back().copied();
        let mut link = self.link.clone();
        let mut all_over = true;
        for (minute, names) in self.names.range(Minute(told_until.0.saturating_add(1))..) {
            link::fold(&mut link, events(spool, names));
            // nothing more can come to it, unless what a crash left open is mended
            let age = last.map_or(0, |last| last.0 - minute.0);
            let is_sealed = names.values().all(|sealed| *sealed);
            all_over &= OPEN_MINUTES < age || (0 < age && is_sealed);
            if all_over {
                self.link = link.clone();
                self.told_until = Some(*minute);
            }
        }
        // of a day ago nothing holds any more but that it was stopped
        if last.is_some_and(|last| last < oldest) && link.state != State::Stopped {
            return Link::default();
        }
        link
    }

    /// Goes back to the last minute that tells by itself what the connection is like.
    fn begin_reading_events(&mut self, spool: &Spool<'_>) {
        let telling = self
            .names
            .iter()
            .rev()
            .find(|(_, names)| events(spool, names).iter().any(Link::is_told_by));
        let first = telling.map(|(minute, _)| *minute);
        // nothing before it matters; without one everything there is
        self.told_until = first.map(|minute| Minute(minute.0 - 1));
    }
}

/// Lines and last arrival of a sealed segment. A damaged seal is reported by those who use its segment.
fn sealed(spool: &Spool<'_>, name: &SegmentName) -> (u64, Option<UtcMs>) {
    let path = name.paths(spool.folder).seal;
    let seal = disk::read_bounded(spool.disk, &path, SEAL_BYTES_MAX)
        .ok()
        .and_then(|bytes| Seal::read(&bytes, name).ok());
    seal.map_or((0, None), |seal| (seal.segment.lines, seal.last_arrival))
}

/// The events of one minute, of all runs.
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
                let stem = entry.name.split('.').next().unwrap_or(&entry.name);
                stems.insert(stem.to_owned());
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
        let name: SegmentName = ack.file.split('.').next()?.parse().ok()?;
        Some((name.minute, ack.at))
    })
    .max()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        segment::{
            event::What,
            name::RunId,
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
            let writer = Writer::new(Arc::new(RealDisk), dir.path(), &server, RunId(7));
            Self {
                dir,
                server,
                writer,
            }
        }

        fn line(&mut self, at: UtcMs) {
            let mut stored = Vec::new();
            line::store(b"{\"data\":{}}", at, &mut stored);
            let lines = Lines {
                first: at,
                last: at,
                stored: &stored,
                oversize: 0,
            };
            self.writer.lines(lines).unwrap();
        }

        fn event(&mut self, at: UtcMs, what: What) {
            let event = Event {
                at,
                connection: 1,
                what,
            };
            self.writer.event(&event).unwrap();
        }

        fn seen(&self, known: &mut KnownServer, now: UtcMs) -> ServerFacts {
            let spool = Spool {
                disk: &RealDisk,
                folder: self.dir.path(),
                server: &self.server,
                acks: None,
            };
            known.look(&spool, now).unwrap()
        }
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
        written.event(minute(2), What::FirstLine);
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
    fn one_that_was_stopped_days_ago_is_stopped() {
        let mut written = Written::new();
        let days = |n: i64| BEGIN.plus_ms(n * 24 * 3_600_000);
        written.line(BEGIN);
        written.event(BEGIN, What::FirstLine);
        written.writer.close().unwrap().seal(&RealDisk).unwrap();
        let seen = |written: &Written, now| written.seen(&mut KnownServer::default(), now).link;
        assert_eq!(seen(&written, days(0)).state, State::Connected);
        // without a word since then nobody knows
        assert_eq!(seen(&written, days(3)).state, State::Unknown);
        let at = BEGIN.plus_ms(60_000);
        let why = "signal".to_owned();
        written.event(at, What::Stopped { why });
        written.writer.close().unwrap().seal(&RealDisk).unwrap();
        let mut known = KnownServer::default();
        for now in [days(0).plus_ms(120_000), days(3), days(4)] {
            let link = written.seen(&mut known, now).link;
            assert_eq!((link.state, link.since), (State::Stopped, Some(at)));
        }
        assert_eq!(seen(&written, days(3)).state, State::Stopped);
    }
}
