//! Writes segments and their events files, and seals them.
//!
//! ```text
//! Writer ──turn_to──▶ Closed ──seal──▶ sealed          (another thread may seal)
//!    └─────watch────▶ Watched ──sync──▶ durable         (another thread may sync)
//! ```
//!
//! Every call hands its bytes to the kernel at once, in one write, and either all of them are
//! there afterwards or none: a partial write is cut back, so a file always ends with a whole line
//! as long as the process lives. Nothing is durable before `sync`. Sealing goes by steps that may
//! each be repeated, so that a full disk only delays it.
//!
//! No threads and no clock: when to write, sync and seal is `collect`'s.

#![deny(clippy::indexing_slicing, clippy::string_slice)]

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    event::Event,
    line::PROGRAM,
    name::{Leg, Paths, SegmentName, open},
    runs::Run,
    seal::{Digester, FORMAT, Seal},
};
use crate::{
    period::{Minute, UtcMs},
    world::disk::{self, Disk, DiskFile},
};

/// Parts a minute can have: the name has three digits for them.
const PARTS_MAX: u16 = 1_000;

/// Why something could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk is full, or the quota used up. Nothing of this call was written; it can be repeated.
    #[error("disk is full: {}", path.display())]
    Full {
        /// The file that could not grow or be made.
        path: PathBuf,
    },
    /// The disk of the spool is away, or another is in its place. The call can be repeated.
    #[error("the spool is away: {}", path.display())]
    Away {
        /// The spool, or the file in it.
        path: PathBuf,
    },
    /// Anything else; the pair must not be written any further.
    #[error("cannot write: {}", crate::world::error_at::placed(path, source))]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl WriteError {
    /// Sorts an error of the disk: is it for want of room?
    pub fn new(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Io { path, source },
        }
    }

    /// Whether it passes by itself: when there is room, or the disk is back.
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Away { .. })
    }
}

/// Lines that arrived one soon after the other, as they are stored.
#[derive(Debug, Clone, Copy)]
pub struct Lines<'a> {
    /// When the first of them arrived.
    pub first: UtcMs,
    /// When the last of them arrived, in the same minute.
    pub last: UtcMs,
    /// Whole stored lines, each with its LF.
    pub stored: &'a [u8],
    /// How many of them were cut.
    pub oversize: u64,
}

/// One of the two files of a pair that is being written.
struct OpenFile {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    digester: Digester,
}

impl OpenFile {
    fn create(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: disk.create(path)?,
            digester: Digester::default(),
        })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let written = self.file.write_all(bytes);
        if let Err(source) = written {
            let whole = self.digester.bytes();
            return Err(match self.file.cut(whole) {
                Ok(()) => WriteError::new(&self.path, source),
                Err(source) => WriteError::Io {
                    path: self.path.clone(),
                    source,
                },
            });
        }
        self.digester.update(bytes);
        Ok(())
    }
}

/// A pair that is being written.
struct Pair {
    name: SegmentName,
    paths: Paths,
    segment: OpenFile,
    events: OpenFile,
    first_arrival: Option<UtcMs>,
    last_arrival: Option<UtcMs>,
    oversize: u64,
}

/// Writes the segments of a leg, run after run.
pub struct Writer {
    disk: Arc<dyn Disk>,
    spool: PathBuf,
    leg: Leg,
    stream: String,
    run: Run,
    pair: Option<Pair>,
    /// The minute and part of the last pair, open or not.
    last: Option<(Minute, u16)>,
}

impl Writer {
    /// A writer for a run; nothing is made on the disk yet.
    pub fn new(disk: Arc<dyn Disk>, spool: &Path, leg: &Leg, stream: &str, run: Run) -> Self {
        Self {
            disk,
            spool: spool.to_owned(),
            leg: leg.clone(),
            stream: stream.to_owned(),
            run,
            pair: None,
            last: None,
        }
    }

    /// Goes on with another run; the open pair is to be sealed.
    pub fn begin_run(&mut self, run: Run) -> Option<Closed> {
        let closed = self.close();
        (self.run, self.last) = (run, None);
        closed
    }

    /// Closes the open pair if that instant is in a later minute; the pair must then be sealed.
    pub fn turn_to(&mut self, at: UtcMs) -> Option<Closed> {
        match &self.pair {
            Some(pair) if pair.name.minute < at.minute() => self.close(),
            _ => None,
        }
    }

    /// Closes the open pair; then it is to be sealed.
    pub fn close(&mut self) -> Option<Closed> {
        let pair = self.pair.take()?;
        let seal = Seal {
            format: FORMAT,
            program: PROGRAM.to_owned(),
            server: pair.name.server,
            stream: pair.name.stream,
            partition: pair.name.partition,
            minute: pair.name.minute,
            run: pair.name.run,
            run_number: self.run.number,
            part: pair.name.part,
            segment: pair.segment.digester.finish(),
            events: pair.events.digester.finish(),
            first_arrival: pair.first_arrival,
            last_arrival: pair.last_arrival,
            oversize: pair.oversize,
            recovered: false,
            redacted: Vec::new(),
        };
        Some(Closed {
            paths: pair.paths,
            files: Some((pair.segment.file, pair.events.file)),
            renamed: 0,
            seal,
        })
    }

    /// Writes lines into the open pair, which is opened for their minute if there is none.
    pub fn lines(&mut self, lines: Lines) -> Result<(), WriteError> {
        let pair = self.pair(lines.first.minute())?;
        pair.segment.append(lines.stored)?;
        pair.first_arrival = pair.first_arrival.or(Some(lines.first));
        pair.last_arrival = Some(lines.last);
        pair.oversize += lines.oversize;
        Ok(())
    }

    /// Writes an event into the open pair, which is opened for its minute if there is none.
    pub fn event(&mut self, event: &Event) -> Result<(), WriteError> {
        let json = event.to_json();
        self.pair(event.at.minute())?.events.append(&json)
    }

    /// The open pair, to sync it; `None` if none is open.
    pub fn watch(&self) -> Result<Option<Watched>, WriteError> {
        let Some(pair) = &self.pair else {
            return Ok(None);
        };
        let handle = |file: &OpenFile| {
            file.file
                .second_handle()
                .map_err(|source| WriteError::new(&file.path, source))
        };
        Ok(Some(Watched {
            segment: handle(&pair.segment)?,
            events: handle(&pair.events)?,
            folder: pair.paths.folder.clone(),
            entries_durable: false,
        }))
    }

    /// Whether the pair of which this is the name is the one that is open.
    pub fn open_name(&self) -> Option<&SegmentName> {
        self.pair.as_ref().map(|pair| &pair.name)
    }

    fn pair(&mut self, minute: Minute) -> Result<&mut Pair, WriteError> {
        let pair = match self.pair.take() {
            Some(pair) => pair,
            None => self.open(minute)?,
        };
        Ok(self.pair.insert(pair))
    }

    fn open(&mut self, minute: Minute) -> Result<Pair, WriteError> {
        let mut part = match self.last {
            Some((last, part)) if last == minute => part + 1,
            _ => 0,
        };
        loop {
            let name = SegmentName {
                server: self.leg.server.clone(),
                stream: self.stream.clone(),
                partition: self.leg.partition,
                minute,
                run: self.run.id,
                part,
            };
            let paths = name.paths(&self.spool);
            match open_files(&*self.disk, &paths) {
                // what a failure on a full disk may have left: recovered at the next start
                Err(WriteError::Io { source, .. })
                    if source.kind() == io::ErrorKind::AlreadyExists && part + 1 < PARTS_MAX =>
                {
                    part += 1;
                }
                Err(error) => return Err(error),
                Ok((segment, events)) => {
                    self.last = Some((minute, part));
                    return Ok(Pair {
                        name,
                        paths,
                        segment,
                        events,
                        first_arrival: None,
                        last_arrival: None,
                        oversize: 0,
                    });
                }
            }
        }
    }
}

fn open_files(disk: &dyn Disk, paths: &Paths) -> Result<(OpenFile, OpenFile), WriteError> {
    disk.make_folder(&paths.folder)
        .map_err(|source| WriteError::new(&paths.folder, source))?;
    let segment_path = open(&paths.segment);
    let segment = OpenFile::create(disk, &segment_path)
        .map_err(|source| WriteError::new(&segment_path, source))?;
    let events_path = open(&paths.events);
    match OpenFile::create(disk, &events_path) {
        Ok(events) => Ok((segment, events)),
        Err(source) => {
            drop(segment);
            // if this fails as well, the name is passed over and the file recovered later
            match disk.remove(&segment_path) {
                Ok(()) | Err(_) => Err(WriteError::new(&events_path, source)),
            }
        }
    }
}

/// An open pair as seen by the one who syncs it.
pub struct Watched {
    segment: Box<dyn DiskFile>,
    events: Box<dyn DiskFile>,
    folder: PathBuf,
    entries_durable: bool,
}

impl Watched {
    /// Makes durable what was written before this call.
    pub fn sync(&mut self, disk: &dyn Disk) -> Result<(), WriteError> {
        let at = |source| WriteError::new(&self.folder, source);
        self.segment.sync().map_err(at)?;
        self.events.sync().map_err(at)?;
        if !self.entries_durable {
            disk.sync_folder(&self.folder).map_err(at)?;
            self.entries_durable = true;
        }
        Ok(())
    }
}

/// A pair that will not be written any more and is on its way to be sealed.
pub struct Closed {
    paths: Paths,
    files: Option<(Box<dyn DiskFile>, Box<dyn DiskFile>)>,
    /// How many of the two have their final names.
    renamed: u8,
    seal: Seal,
}

impl Closed {
    /// What its seal will say.
    pub fn seal_to_be(&self) -> &Seal {
        &self.seal
    }

    /// Seals it: sync both, rename both, sync the folder, put the seal. After an error it can be called again, and
    /// continues where it was.
    pub fn seal(&mut self, disk: &dyn Disk) -> Result<(), WriteError> {
        let at = |path: &Path, source| WriteError::new(path, source);
        if let Some((segment, events)) = &mut self.files {
            segment.sync().map_err(|e| at(&self.paths.segment, e))?;
            events.sync().map_err(|e| at(&self.paths.events, e))?;
            self.files = None;
        }
        for (index, path) in [&self.paths.segment, &self.paths.events]
            .into_iter()
            .enumerate()
        {
            if usize::from(self.renamed) == index {
                disk.rename(&open(path), path).map_err(|e| at(path, e))?;
                self.renamed += 1;
            }
        }
        disk.sync_folder(&self.paths.folder)
            .map_err(|e| at(&self.paths.folder, e))?;
        disk::put(disk, &self.paths.seal, &self.seal.to_json()).map_err(|e| at(&self.paths.seal, e))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        segment::{event::EventKind, name::RunId},
        world::disk::RealDisk,
    };

    /// What was written into one pair.
    #[derive(Default)]
    struct Wrote {
        stored: Vec<u8>,
        events: Vec<u8>,
        arrivals: Vec<UtcMs>,
        oversize: u64,
    }

    /// Batches of several sizes, some of which have cut lines, and events between them: two minutes of one run, the second in two
    /// parts, then the same minute of another run.
    #[test]
    #[expect(clippy::too_many_lines, reason = "one story")]
    fn a_seal_sums_up_what_was_written_into_its_pair_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let leg: Leg = "1".parse().unwrap();
        let run = |number| Run {
            number,
            id: RunId(0x3fa9_c000 + u32::try_from(number).unwrap()),
        };
        let mut writer = Writer::new(Arc::clone(&disk), dir.path(), &leg, "sample", run(7));
        let mut wrote: BTreeMap<SegmentName, Wrote> = BTreeMap::new();
        let mut seals = Vec::new();
        let mut seal = |closed: Option<Closed>| {
            if let Some(mut closed) = closed {
                closed.seal(&RealDisk).unwrap();
                seals.push(closed.seal_to_be().clone());
            }
        };
        for n in 0_u64..40 {
            let ms = i64::try_from(3_000 * n).unwrap();
            let at = UtcMs(1_795_442_400_000 + ms.min(110_000));
            seal(writer.turn_to(at));
            match n {
                25 => seal(writer.close()),
                35 => seal(writer.begin_run(run(8))),
                _ => (),
            }
            let stored = format!("{n}\n").repeat(1 + usize::try_from(n % 3).unwrap());
            let (last, oversize) = (at.plus_ms(40), n % 3);
            if n % 5 != 4 {
                writer
                    .lines(Lines {
                        first: at,
                        last,
                        stored: stored.as_bytes(),
                        oversize,
                    })
                    .unwrap();
            }
            let event = Event {
                at,
                what: EventKind::NoPosts { since: at },
                connection: n,
            };
            writer.event(&event).unwrap();
            let of = wrote
                .entry(writer.open_name().unwrap().clone())
                .or_default();
            of.events.extend(event.to_json());
            if n % 5 != 4 {
                of.stored.extend(stored.as_bytes());
                of.arrivals.extend([at, last]);
                of.oversize += oversize;
            }
        }
        seal(writer.close());
        let names: Vec<String> = wrote.keys().map(SegmentName::to_string).collect();
        let parts: Vec<&str> = names
            .iter()
            .map(|name| name.trim_start_matches("1_sample_"))
            .collect();
        assert_eq!(
            parts,
            [
                "20261123T1400Z_3fa9c007_000",
                "20261123T1401Z_3fa9c007_000",
                "20261123T1401Z_3fa9c007_001",
                "20261123T1401Z_3fa9c008_000"
            ]
        );
        assert_eq!(seals.len(), wrote.len());
        for (seal, (name, wrote)) in seals.iter().zip(&wrote) {
            let digest = |bytes: &[u8]| {
                let mut digester = Digester::default();
                digester.update(bytes);
                digester.finish()
            };
            assert_eq!(
                *seal,
                Seal {
                    segment: digest(&wrote.stored),
                    events: digest(&wrote.events),
                    first_arrival: wrote.arrivals.first().copied(),
                    last_arrival: wrote.arrivals.last().copied(),
                    oversize: wrote.oversize,
                    run: name.run,
                    run_number: if name.run == run(7).id { 7 } else { 8 },
                    part: name.part,
                    minute: name.minute,
                    recovered: false,
                    redacted: Vec::new(),
                    ..seal.clone()
                }
            );
            assert!(2 < wrote.oversize, "{name}: more than one batch has some");
            let paths = name.paths(dir.path());
            let read = |path: &Path| std::fs::read(path).unwrap();
            assert_eq!(
                [read(&paths.segment), read(&paths.events), read(&paths.seal)],
                [wrote.stored.clone(), wrote.events.clone(), seal.to_json()]
            );
        }
    }
}
