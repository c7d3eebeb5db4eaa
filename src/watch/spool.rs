//! What one server's folder in the spool tells: how much came when, and what its connection is like.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read as _, SeekFrom},
    path::{Path, PathBuf},
};

use super::{
    facts::ServerFacts,
    link::{self, Link},
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
    /// The segments of the last day, and whether they are sealed.
    names: BTreeMap<Minute, BTreeMap<SegmentName, bool>>,
    /// Lines of the sealed ones.
    lines: BTreeMap<SegmentName, u64>,
    last_line: Option<UtcMs>,
    sealed_until: Option<UtcMs>,
    /// What the events tell up to and with a minute of which everything is sealed.
    link: Link,
    told_until: Option<Minute>,
    /// The segment that is being written, as far as it has been read.
    open: Option<(SegmentName, Place)>,
}

impl KnownServer {
    /// Looks again.
    pub(super) fn look(&mut self, spool: &Spool<'_>, now: UtcMs) -> io::Result<ServerFacts> {
        let oldest = Minute(now.minute().0 - MINUTES);
        self.list(spool, oldest, now)?;
        self.names.retain(|minute, _| oldest <= *minute);
        self.lines.retain(|name, _| oldest <= name.minute);
        let mut minutes: BTreeMap<Minute, u64> = BTreeMap::new();
        for (name, lines) in &self.lines {
            *minutes.entry(name.minute).or_insert(0) += lines;
        }
        self.read_open(spool)?;
        let mut last_line = self.last_line;
        if let Some((name, place)) = &self.open {
            *minutes.entry(name.minute).or_insert(0) += place.lines;
            last_line = last_line.max(line::cut(&place.last).retrieved_at);
        }
        let folders = self.folders.values();
        Ok(ServerFacts {
            sealed: folders.clone().map(|listed| listed.sealed).sum(),
            open: folders.clone().map(|listed| listed.open).sum(),
            bytes: folders.map(|listed| listed.bytes).sum(),
            aside: aside(spool)?,
            minutes,
            last_line,
            sealed_until: self.sealed_until,
            link: self.read_events(spool),
            acknowledged: spool.acks.and_then(|path| acknowledged(spool.disk, path)),
        })
    }

    fn list(&mut self, spool: &Spool<'_>, oldest: Minute, now: UtcMs) -> io::Result<()> {
        let folders = spool::hour_folders(spool.disk, spool.folder, spool.server)?;
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
            for (name, found) in spool::in_folder(spool.disk, folder, spool.server)? {
                listed.bytes += found.bytes;
                if found.sealed {
                    listed.sealed += 1;
                } else {
                    listed.open += 1;
                }
                if oldest <= name.minute {
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

    /// Reads on in the segment that is being written.
    fn read_open(&mut self, spool: &Spool<'_>) -> io::Result<()> {
        let newest = self.names.values().next_back();
        let open = newest.and_then(|names| names.iter().find(|(_, sealed)| !**sealed));
        let Some((name, _)) = open else {
            self.open = None;
            return Ok(());
        };
        if self.open.as_ref().is_none_or(|(before, _)| before != name) {
            self.open = Some((name.clone(), Place::default()));
        }
        if let Some((name, place)) = &mut self.open {
            let path = name::open(&name.paths(spool.folder).segment);
            place.read_on(spool.disk, &path, |_| ())?;
        }
        Ok(())
    }

    /// What the connection is like: what was told before, and what has come since.
    fn read_events(&mut self, spool: &Spool<'_>) -> Link {
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
