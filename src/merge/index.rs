//! What a sealed segment holds, read once: its runs of lines that belong together.
//!
//! A run is a stretch of consecutive lines with the same key: the minute of their post time, the
//! same for ids that carry no time, or "no post". The index is kept as
//! `<data_dir>/index/<server>/<YYYY-MM-DD>/<HH>/<name>.json` and may be deleted at any time: it is
//! made again. All offsets of time zones since 2006 are whole minutes, so a minute has one hour.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    known_lines::KnownLines,
    runs::{LineRun, Read, RunKey, ToRedact, read_segment},
    unfetched,
};
use crate::{
    cover::{
        clock::Lag,
        listened::{Listened, Listener},
    },
    period::{Day, Hour, Interval, UtcMs, Zone},
    place::segments,
    segment::{
        event::{Event, EventKind},
        name::SegmentName,
        raw,
        seal::{Digest, Digester, SEAL_BYTES_MAX, Seal, SealError, SecondsOf},
        sha256::Sha256,
        spool,
    },
    vault::redactions::Redactions,
    world::{
        disk::{self, Disk},
        error_at::{At as _, ErrorAt},
    },
};

/// The version of the index's format.
pub(super) const FORMAT: u32 = 10;

/// A shuffled segment has a run for every line; beyond this an index is not one.
const INDEX_BYTES_MAX: u64 = 1 << 30;

/// Bytes read at a time.
const BUFFER_BYTES: usize = 256 * 1024;

/// What is known of a sealed segment and its events file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Version of this format.
    format: u32,
    /// The segment as its seal has it, checked.
    pub segment: Digest,
    /// The events file as its seal has it, checked.
    pub events: Digest,
    /// What its events file says that matters for more than its own minute.
    pub facts: EventFacts,
    /// How far its stamps lie after its posts.
    #[serde(default)]
    pub lag: Option<Lag>,
    /// Between which of the platform's times it has all of each connection.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listened: Vec<Listened>,
    /// The hashes that the segment had before lines were taken out of it on request.
    #[serde(default)]
    pub formerly: Vec<Sha256>,
    /// The seconds of the posts that these lines were.
    #[serde(default, skip_serializing_if = "SecondsOf::is_empty")]
    pub lost: SecondsOf,
    /// All lines of the segment, in order.
    pub runs: Vec<LineRun>,
}

impl Index {
    /// Whether this version of the program made it of the files that a seal names.
    pub fn is_of(&self, seal: &Seal) -> bool {
        let has_its_lines = self.segment == seal.segment;
        let has_its_events = self.events == seal.events;
        self.format == FORMAT && has_its_lines && has_its_events
    }

    /// How many lines it has of each hour. An hour of which it has lost all lines is there, too: the segment still tells of it.
    pub fn hours(&self, zone: &Zone) -> BTreeMap<Hour, u64> {
        let mut hours = BTreeMap::new();
        for run in &self.runs {
            if let RunKey::Minute(minute) | RunKey::Old(minute) = run.key {
                *hours.entry(zone.hour_of(minute.begin())).or_default() += run.lines;
            }
        }
        for minute in self.lost.keys() {
            hours.entry(zone.hour_of(minute.begin())).or_insert(0);
        }
        hours
    }

    /// How many of its lines are no posts.
    pub fn rejected(&self) -> u64 {
        let rejected = self.runs.iter().filter(|run| run.key == RunKey::Rejected);
        rejected.map(|run| run.lines).sum()
    }
}

/// What an events file says that decides to which hours it belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFacts {
    /// The first `started`.
    pub started: Option<UtcMs>,
    /// The first connection, or the first line if that was before.
    pub began: Option<UtcMs>,
    /// The place of its run in the order of the server's runs.
    pub number: u64,
    /// By how much the stamps of its run are later than those of the run before, if it began so.
    pub step_ms: Option<i64>,
    /// The API's clock minus the server's, as last seen.
    pub offset_ms: Option<i64>,
    /// Whether that was the first start of a server that had never collected before.
    pub is_first: bool,
    /// The most minutes of backfill that a connection asked for.
    pub backfill: u32,
    /// What the platform no longer had when a connection asked for it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub out_of_window: Vec<Interval>,
    /// Whether its run ended or crashed in its minute.
    pub ends_early: bool,
    /// Whether its run said that it ends.
    pub stopped: bool,
}

/// Why a segment cannot be indexed.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// A file could not be read or written. Trying again may help.
    #[error(transparent)]
    Io(#[from] ErrorAt),
    /// The seal is unusable.
    #[error(transparent)]
    Seal(#[from] ErrorAt<SealError>),
    /// The bytes are not what was sealed.
    #[error("{} is damaged: sealed with {} bytes and sha256 {}, found {} and {}", path.display(), sealed.bytes, sealed.sha256, found.bytes, found.sha256)]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What the seal says.
        sealed: Digest,
        /// What is there.
        found: Digest,
    },
    /// It holds posts that are to stay out: they are to be taken out first.
    #[error("{name} holds {} posts that were redacted", posts.len())]
    Redacted {
        /// Which segment.
        name: SegmentName,
        /// They and their times; a line that is not a post and names one of them has none.
        posts: Vec<ToRedact>,
    },
    /// It was left in the object store, and what is kept of it says nothing any more: it is fetched once that is noticed.
    #[error("{} cannot be used", .0.display())]
    Unfetched(PathBuf),
}

impl IndexError {
    /// Whether the segment can never be used as it is: it is to be set aside.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Io(why) => matches!(
                why.source.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::InvalidData
            ),
            Self::Seal(why) => !matches!(why.source, SealError::TooNew { .. }),
            Self::Damaged { .. } => true,
            Self::Redacted { .. } | Self::Unfetched(_) => false,
        }
    }
}

/// Where segments and their indexes are.
#[derive(Clone, Copy)]
pub struct Indexes<'a> {
    /// The file system.
    pub disk: &'a dyn Disk,
    /// The vault's stream.
    pub stream: &'a str,
    /// The spool.
    pub spool: &'a Path,
    /// Where indexes are kept.
    pub folder: &'a Path,
    /// Whether new ones are kept (a dry run keeps none).
    pub keep: bool,
    /// The posts that are to stay out: a segment that holds one of them is not indexed.
    pub redactions: &'a Redactions,
}

impl Indexes<'_> {
    /// Where the events file of a segment lies: in the spool, or with what is kept of segments that are left in a store.
    pub fn events_path(&self, name: &SegmentName) -> io::Result<PathBuf> {
        let here = name.paths(self.spool);
        Ok(if self.disk.len(&here.seal)?.is_some() {
            here.events
        } else {
            name.paths(&segments::unfetched(self.spool)).events
        })
    }

    /// The index of a segment: the one that is kept, or a new one, which is then kept.
    pub fn get(&self, name: &SegmentName) -> Result<Index, IndexError> {
        self.get_knowing(name, &mut KnownLines::none())
    }

    /// The same for one of several segments that have many lines in common.
    pub(super) fn get_knowing(
        &self,
        name: &SegmentName,
        known: &mut KnownLines,
    ) -> Result<Index, IndexError> {
        let disk = self.disk;
        let paths = name.paths(self.spool);
        let bytes = disk::read_bounded(disk, &paths.seal, SEAL_BYTES_MAX).at(&paths.seal)?;
        let seal = Seal::read(&bytes, name).at(&paths.seal)?;
        let folder = self.folder.join(name.folder());
        let path = folder.join(format!("{name}.json"));
        if let Some(kept) = read_kept(disk, &path).at(&path)?
            && kept.is_of(&seal)
            && raw::is_there(disk, &paths.segment, kept.segment.bytes).at(&paths.segment)?
        {
            return Ok(kept);
        }
        let of_events = read_events(disk, &paths.events).at(&paths.events)?;
        let (events, mut facts, listener) = of_events;
        let knowing = (self.redactions, known);
        let read = read_segment(disk, &paths.segment, knowing, listener);
        let Read {
            digest: segment,
            runs,
            named,
            lag,
            listened,
        } = read.at(&paths.segment)?;
        facts.number = seal.run_number;
        let first = [facts.began, seal.first_arrival];
        facts.began = first.into_iter().flatten().min();
        for (path, sealed, found) in [
            (&paths.segment, seal.segment, &segment),
            (&paths.events, seal.events, &events),
        ] {
            if sealed != *found {
                return Err(IndexError::Damaged {
                    path: path.clone(),
                    sealed,
                    found: *found,
                });
            }
        }
        if let Some(posts) = named {
            let name = name.clone();
            return Err(IndexError::Redacted { name, posts });
        }
        facts.ends_early |= seal.recovered;
        let index = Index {
            format: FORMAT,
            segment,
            events,
            facts,
            lag,
            listened,
            formerly: seal.redacted.iter().map(|past| past.sha256).collect(),
            lost: lost(&seal),
            runs,
        };
        // it can be made again, so a full disk is no reason not to use the segment
        if self.keep
            && let Err(why) = keep(disk, &folder, &path, &index)
        {
            tracing::warn!("{}: the index cannot be saved: {why}", path.display());
        }
        Ok(index)
    }

    /// The index of a segment that was left in the object store, as it was delivered.
    pub(super) fn of_unfetched(&self, name: &SegmentName) -> Result<Index, IndexError> {
        let paths = name.paths(&segments::unfetched(self.spool));
        let bytes = disk::read_bounded(self.disk, &paths.seal, SEAL_BYTES_MAX).at(&paths.seal)?;
        let seal = Seal::read(&bytes, name).at(&paths.seal)?;
        let path = segments::index_path(self.spool, name);
        let bytes = disk::read_bounded(self.disk, &path, segments::INDEX_BYTES_MAX).at(&path)?;
        unfetched::read(&bytes, &seal).ok_or(IndexError::Unfetched(path))
    }

    /// Removes the indexes of segments that are not here any more; those of some days are passed over.
    pub fn clean(
        &self,
        here: &BTreeSet<&SegmentName>,
        is_passed_over: &dyn Fn(Day) -> bool,
    ) -> io::Result<()> {
        for server in spool::servers(self.disk, self.folder)? {
            for folder in spool::hour_folders(self.disk, self.folder, &server)?.found {
                if !spool::day_of(&folder).is_some_and(is_passed_over) {
                    self.clean_folder(&folder, here)?;
                }
            }
        }
        Ok(())
    }

    fn clean_folder(&self, folder: &Path, here: &BTreeSet<&SegmentName>) -> io::Result<()> {
        let entries = self.disk.list(folder)?;
        let mut left = entries.len();
        for entry in entries {
            let name = SegmentName::of_file(&entry.name);
            if name.is_some_and(|(name, _)| !here.contains(&name)) {
                self.disk.remove(&folder.join(&entry.name))?;
                left -= 1;
            }
        }
        if left == 0 {
            self.disk.remove_folder(folder)?;
        }
        Ok(())
    }

    /// Removes the indexes for which it is so; those that cannot be read are made again anyway.
    pub fn forget_if(&self, is_so: &dyn Fn(&Index) -> bool) -> io::Result<()> {
        for server in spool::servers(self.disk, self.folder)? {
            for folder in spool::hour_folders(self.disk, self.folder, &server)?.found {
                self.forget_in(&folder, is_so)?;
            }
        }
        Ok(())
    }

    fn forget_in(&self, folder: &Path, is_so: &dyn Fn(&Index) -> bool) -> io::Result<()> {
        for entry in self.disk.list(folder)? {
            let path = folder.join(&entry.name);
            if read_kept(self.disk, &path)?.is_some_and(|index| is_so(&index)) {
                self.disk.remove(&path)?;
            }
        }
        Ok(())
    }

    /// Removes the index that is kept.
    pub fn forget(&self, name: &SegmentName) -> io::Result<()> {
        let path = self.folder.join(name.folder()).join(format!("{name}.json"));
        disk::remove_if_there(self.disk, &path)
    }
}

/// The seconds of the posts that were taken out of a segment.
fn lost(seal: &Seal) -> SecondsOf {
    let mut lost = SecondsOf::new();
    for (minute, seconds) in seal.redacted.iter().flat_map(|past| &past.seconds) {
        lost.entry(*minute).or_default().extend(seconds);
    }
    lost
}

/// Keeps an index, whole or not at all while the power is on. It is not synced: one that a power
/// cut has torn cannot be read, and is made again.
fn keep(disk: &dyn Disk, folder: &Path, path: &Path, index: &Index) -> io::Result<()> {
    disk.make_folder(folder)?;
    let json = serde_json::to_vec(index)?;
    let aside = disk::aside(path);
    disk::create_anew(disk, &aside)?.write_all(&json)?;
    disk.rename(&aside, path)
}

/// The index that is kept; one that cannot be read counts as missing, since it can be made again.
fn read_kept(disk: &dyn Disk, path: &Path) -> io::Result<Option<Index>> {
    if disk.len(path)?.is_none() {
        return Ok(None);
    }
    let bytes = disk::read_bounded(disk, path, INDEX_BYTES_MAX)?;
    match serde_json::from_slice::<Index>(&bytes) {
        Ok(index) if index.format == FORMAT => Ok(Some(index)),
        Ok(_) | Err(_) => Ok(None),
    }
}

fn read_events(disk: &dyn Disk, path: &Path) -> io::Result<(Digest, EventFacts, Listener)> {
    let mut lines = BufReader::with_capacity(BUFFER_BYTES, disk.open(path)?);
    let mut digester = Digester::default();
    let (mut facts, mut listener) = (EventFacts::default(), Listener::default());
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok((digester.finish(), facts, listener));
        }
        digester.update(&line);
        if let Ok(event) = serde_json::from_slice::<Event>(&line) {
            facts.heed(&event);
            listener.event(&event);
        }
    }
}

impl EventFacts {
    fn heed(&mut self, event: &Event) {
        self.offset_ms = event.clock_offset_ms().or(self.offset_ms);
        match &event.what {
            EventKind::Started { after, .. } if self.started.is_none() => {
                self.started = Some(event.at);
                self.is_first = after.is_none();
            }
            EventKind::Connected {
                backfill_minutes, ..
            } => {
                self.backfill = self.backfill.max(*backfill_minutes);
                self.began = self.began.or(Some(event.at));
            }
            EventKind::ClockStepped { step_ms, .. } => self.step_ms = Some(*step_ms),
            EventKind::ReplayClamped { asked, first } => self.out_of_window.push(Interval {
                begin: *asked,
                end: *first,
            }),
            // a step of the clock ended the run in the middle of its minute
            EventKind::Alive(alive) => {
                self.ends_early |= event.at.plus_ms(1) < alive.minute.end();
            }
            EventKind::Stopped { .. } => (self.ends_early, self.stopped) = (true, true),
            _ => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> UtcMs {
        format!("2026-11-23T14:{text}Z").parse().unwrap()
    }

    /// What events say that decides to which hours their file belongs: each with its time, its kind and its members.
    fn facts(events: &[(&str, &str, serde_json::Value)]) -> EventFacts {
        let mut facts = EventFacts::default();
        for (time, kind, members) in events {
            let mut event = members.clone();
            event["at"] = json!(at(time));
            event["kind"] = json!(kind);
            event["connection"] = json!(1);
            facts.heed(&serde_json::from_value(event).unwrap());
        }
        facts
    }

    #[test]
    fn each_event_tells_what_it_tells_whatever_comes_after_it() {
        let started = |after| json!({"program": "", "number": 7, "after": after});
        let connected = |minutes| json!({"status": 200, "backfill_minutes": minutes});
        let clamped = |from: &str, to: &str| json!({"asked": at(from), "first": at(to)});
        let found = facts(&[
            ("05:01", "started", started(None::<u64>)),
            ("05:02", "connected", connected(3)),
            ("05:10", "replay_clamped", clamped("01:00", "02:00")),
            ("05:20", "started", started(Some(6))),
            ("05:21", "connected", connected(1)),
            ("05:22", "replay_clamped", clamped("03:00", "04:00")),
            (
                "05:30",
                "clock_stepped",
                json!({"number": 8, "step_ms": -7}),
            ),
        ]);
        let window = |from, to| Interval {
            begin: at(from),
            end: at(to),
        };
        let expected = EventFacts {
            started: Some(at("05:01")),
            began: Some(at("05:02")),
            is_first: true,
            backfill: 3,
            out_of_window: vec![window("01:00", "02:00"), window("03:00", "04:00")],
            step_ms: Some(-7),
            ..EventFacts::default()
        };
        assert_eq!(found, expected);
        let later = facts(&[
            ("05:01", "started", started(Some(6))),
            ("05:02", "connected", connected(1)),
            ("05:21", "connected", connected(4)),
        ]);
        assert_eq!((later.is_first, later.backfill), (false, 4));

        let alive = |offset| {
            json!({"minute": "2026-11-23T14:05Z", "seconds": [], "lines": 0, "keep_alives": 0, "silences": [],
                "connected": true, "clock_offset_ms": offset})
        };
        let of_end = |events: &[(&str, &str, serde_json::Value)]| {
            let found = facts(events);
            (found.ends_early, found.stopped, found.offset_ms)
        };
        let whole = ("05:59.999", "alive", alive(Some(5)));
        assert_eq!(
            of_end(std::slice::from_ref(&whole)),
            (false, false, Some(5))
        );
        assert_eq!(
            of_end(&[("05:40", "alive", alive(None))]),
            (true, false, None)
        );
        let stopped = ("05:59.999", "stopped", json!({"why": "signal"}));
        assert_eq!(of_end(&[whole.clone(), stopped]), (true, true, Some(5)));
        let first_line = ("05:02", "first_line", json!({"clock_offset_ms": 3}));
        assert_eq!(
            of_end(&[first_line.clone(), whole.clone()]),
            (false, false, Some(5))
        );
        let silent = ("05:59.999", "alive", alive(None));
        assert_eq!(of_end(&[first_line, silent]), (false, false, Some(3)));
    }

    /// What may be otherwise at the next try stays where it is.
    #[test]
    fn only_what_can_never_be_used_is_set_aside() {
        let path = Path::new("x");
        let of_kind = |kind: io::ErrorKind| IndexError::Io(ErrorAt::new(path, kind));
        let of_seal = |why: SealError| IndexError::from(Err::<(), _>(why).at(path).unwrap_err());
        let digest = Digester::default().finish();
        let damaged = IndexError::Damaged {
            path: path.to_owned(),
            sealed: digest,
            found: digest,
        };
        let redacted = IndexError::Redacted {
            name: "1_sample_20261123T1400Z_3fa9c01b_000".parse().unwrap(),
            posts: Vec::new(),
        };
        let name = "1_sample_20261123T1400Z_3fa9c01b_000".parse().unwrap();
        let seal = |text: &[u8]| Seal::read(text, &name).unwrap_err();
        for (why, is_final) in [
            (of_kind(io::ErrorKind::NotFound), true),
            (of_kind(io::ErrorKind::InvalidData), true),
            (of_kind(io::ErrorKind::PermissionDenied), false),
            (of_kind(io::ErrorKind::Other), false),
            (of_seal(seal(b"{}")), true),
            (of_seal(seal(b"{\"format\":99}")), false),
            (damaged, true),
            (redacted, false),
        ] {
            assert_eq!(why.is_final(), is_final, "{why}");
        }
    }
}
