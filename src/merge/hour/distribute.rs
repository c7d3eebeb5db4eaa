//! Lines on their way from the segments to the units that they belong to. Posts come in no strict
//! order, so a run may have lines of several units; it is read once all the same. Lines for later
//! units wait in memory; beyond a limit, those of the latest units wait on the disk.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{
    uncommitted::HourError,
    units::{Segment, Unit},
};
use crate::{
    merge::runs::{LineRun, RunKey, read_run},
    segment::raw,
    source::Source,
    world::{
        disk::{self, Disk},
        error_at::At as _,
    },
};

/// About so many bytes of lines for later units are held in memory. Posts made in one second arrive over
/// several: with 18 million posts an hour, that is more.
const HELD_BYTES_MAX: usize = 20 << 20;

/// A unit's lines go to the disk in pieces of at least so many bytes.
const ASIDE_BYTES_MIN: usize = 128 * 1024;

/// The lines of a unit.
#[derive(Debug, Default)]
pub struct Text {
    /// Each with its LF.
    bytes: Vec<u8>,
    /// The number of the segment, and where what comes from it ends.
    parts: Vec<(usize, usize)>,
    /// Lines that wait on the disk.
    aside: Option<Aside>,
}

/// Lines of a unit in a file of their own.
#[derive(Debug, Default)]
struct Aside {
    len: usize,
    parts: Vec<(usize, usize)>,
    crc32: crc32fast::Hasher,
}

impl Text {
    /// Makes room for the rest of a unit's lines.
    fn reserve(&mut self, unit: &Unit) {
        // an estimate: seconds have more and fewer posts
        let bytes = usize::try_from(unit.bytes + unit.bytes / 8).unwrap_or(0);
        self.bytes.reserve(bytes.saturating_sub(self.bytes.len()));
    }

    /// What was appended comes from that segment. The last line of a segment may lack its end.
    fn end(&mut self, segment: usize) {
        if self.bytes.last().is_some_and(|last| *last != b'\n') {
            self.bytes.push(b'\n');
        }
        match self.parts.last_mut() {
            Some((of, end)) if *of == segment => *end = self.bytes.len(),
            _ => self.parts.push((segment, self.bytes.len())),
        }
    }

    /// Appends the lines to the unit's file.
    fn put_aside(&mut self, disk: &dyn Disk, path: &Path) -> io::Result<()> {
        let mut file = match &self.aside {
            Some(_) => disk.append(path)?,
            None => disk::create_anew(disk, path)?,
        };
        file.write_all(&self.bytes)?;
        let aside = self.aside.get_or_insert_default();
        let parts = self.parts.drain(..);
        let parts = parts.map(|(segment, end)| (segment, aside.len + end));
        aside.parts.extend(parts);
        aside.len += self.bytes.len();
        aside.crc32.update(&self.bytes);
        self.bytes = Vec::new();
        Ok(())
    }

    /// Takes back the lines from the unit's file, behind those that are held, and removes it.
    fn take_back(&mut self, disk: &dyn Disk, path: &Path) -> io::Result<()> {
        let Some(aside) = self.aside.take() else {
            return Ok(());
        };
        let before = self.bytes.len();
        self.bytes.resize(before + aside.len, 0);
        let bytes = self.bytes.get_mut(before..).unwrap_or_default();
        disk.open(path)?.read_exact(bytes)?;
        if crc32fast::hash(bytes) != aside.crc32.finalize() {
            return Err(io::Error::other("it has changed since it was written"));
        }
        let parts = aside.parts.into_iter();
        let parts = parts.map(|(segment, end)| (segment, before + end));
        self.parts.extend(parts);
        disk.remove(path)
    }

    /// Every line without its LF, and the number of its segment.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let begins = std::iter::once(0).chain(self.parts.iter().map(|(_, end)| *end));
        let parts = begins.zip(&self.parts);
        parts.flat_map(|(begin, (segment, end))| {
            let lines = lines(self.bytes.get(begin..*end).unwrap_or_default());
            lines.map(|line| (*segment, line.strip_suffix(b"\n").unwrap_or(line)))
        })
    }
}

/// The lines of a text that are not empty, each with its LF if it has one.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut begin = 0;
    let ends = memchr::memchr_iter(b'\n', text).map(|end| end + 1);
    ends.chain([text.len()]).filter_map(move |end| {
        let line = text.get(begin..end).unwrap_or_default();
        begin = end;
        (!matches!(line, b"" | b"\n")).then_some(line)
    })
}

/// Deals lines to units. Units are asked for in about their order.
pub struct Distributor<'a> {
    disk: &'a dyn Disk,
    /// Where lines wait that are too many.
    scratch: &'a Path,
    held_bytes_max: usize,
    source: &'a dyn Source,
    segments: &'a [Segment],
    units: &'a [Unit],
    distributed: Mutex<Distributed>,
}

#[derive(Default)]
struct Distributed {
    /// The first unit whose runs were not read.
    next: usize,
    /// What was distributed to units that nobody has asked for.
    kept: BTreeMap<usize, Text>,
}

impl<'a> Distributor<'a> {
    /// Nothing is distributed so far; `scratch` is a folder for this hour alone.
    pub fn new(
        disk: &'a dyn Disk,
        scratch: &'a Path,
        source: &'a dyn Source,
        segments: &'a [Segment],
        units: &'a [Unit],
    ) -> Self {
        Self {
            disk,
            scratch,
            held_bytes_max: HELD_BYTES_MAX,
            source,
            segments,
            units,
            distributed: Mutex::default(),
        }
    }

    /// All lines of a unit; each can be asked for once.
    pub fn take(&self, number: usize) -> Result<Text, HourError> {
        let mut distributed = self
            .distributed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while distributed.next <= number {
            let next = distributed.next;
            self.read(next, &mut distributed.kept)?;
            distributed.next += 1;
        }
        let text = distributed.kept.remove(&number);
        drop(distributed);
        let mut text = text.unwrap_or_default();
        let path = self.path(number);
        text.take_back(self.disk, &path).at(&path)?;
        Ok(text)
    }

    /// The file of a unit's lines.
    fn path(&self, number: usize) -> PathBuf {
        self.scratch.join(format!("lines_{number:05}"))
    }

    /// Reads the runs that begin with a unit, and hands them to it and those after it.
    fn read(&self, number: usize, kept: &mut BTreeMap<usize, Text>) -> Result<(), HourError> {
        let Some(unit) = self.units.get(number) else {
            return Ok(());
        };
        kept.entry(number).or_default().reserve(unit);
        let mut open: Option<(usize, Box<dyn disk::Source>)> = None;
        let mut mixed = Vec::new();
        for &(of, run) in &unit.runs {
            let Some((segment, run)) = self
                .segments
                .get(of)
                .and_then(|s| Some((s, s.runs.get(run)?)))
            else {
                continue;
            };
            let file = match &mut open {
                Some((opened, file)) if *opened == of => file,
                other => {
                    let file = raw::open(self.disk, &segment.path);
                    let file = file.at(&segment.path).map_err(HourError::Segment)?;
                    &mut other.insert((of, file)).1
                }
            };
            if is_whole(run, unit) {
                let text = kept.entry(number).or_default();
                let read = read_run(&mut **file, run, &mut text.bytes);
                read.at(&segment.path).map_err(HourError::Segment)?;
                text.end(of);
            } else {
                mixed.clear();
                let read = read_run(&mut **file, run, &mut mixed);
                read.at(&segment.path).map_err(HourError::Segment)?;
                self.hand_out(number, (of, run.is_early), &mixed, kept);
                self.put_aside(number, kept)?;
            }
        }
        Ok(())
    }

    /// Lets lines of the latest units wait on the disk while too many are held for units after this one.
    fn put_aside(&self, number: usize, kept: &mut BTreeMap<usize, Text>) -> Result<(), HourError> {
        let later = kept.range(number + 1..).map(|(_, text)| text.bytes.len());
        let mut held: usize = later.sum();
        let least = ASIDE_BYTES_MIN.min(self.held_bytes_max);
        for (number, text) in kept.range_mut(number + 1..).rev() {
            if held <= self.held_bytes_max {
                break;
            }
            if text.bytes.len() < least {
                continue;
            }
            held -= text.bytes.len();
            self.disk.make_folder(self.scratch).at(self.scratch)?;
            let path = self.path(*number);
            text.put_aside(self.disk, &path).at(&path)?;
        }
        Ok(())
    }

    /// Deals the lines of a run one by one. The index has found each of them to be a post, and whether its beginning
    /// tells its time; should that be wrong, the books will tell.
    fn hand_out(
        &self,
        number: usize,
        (segment, is_early): (usize, bool),
        run: &[u8],
        kept: &mut BTreeMap<usize, Text>,
    ) {
        let units = self.units.get(number..).unwrap_or_default();
        for line in lines(run) {
            let stored = line.strip_suffix(b"\n").unwrap_or(line);
            let at = if is_early {
                self.source.early_time(stored)
            } else {
                self.source.place(stored).ok().map(|placed| placed.at)
            };
            let after = at.map_or(0, |at| units.partition_point(|unit| unit.time.end <= at));
            if after < units.len() {
                let text = kept.entry(number + after).or_default();
                text.bytes.extend_from_slice(line);
                text.end(segment);
            }
        }
    }
}

/// Whether a run that begins with a unit has lines of no other.
fn is_whole(run: &LineRun, unit: &Unit) -> bool {
    match run.key {
        RunKey::Minute(minute) => run.end(minute) <= unit.time.end,
        RunKey::Old(_) | RunKey::Rejected => true,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, io::Write as _, path::PathBuf};

    use super::*;
    use crate::{
        cover::listened::Listener,
        merge::{hour::units, known_lines::KnownLines, runs::read_segment},
        period::Minute,
        source::x::{X, id},
        vault::redactions::Redactions,
        world::disk::RealDisk,
    };

    const BEGIN: Minute = Minute(29_924_280);

    /// A segment with posts made at such milliseconds after the hour's begin.
    fn segment(path: PathBuf, server: usize, posts: impl Iterator<Item = i64>) -> Segment {
        let mut text = Vec::new();
        for (ms, number) in posts.zip(0..) {
            let post_id = id::first_of(BEGIN.begin().plus_ms(ms)) + number;
            // the last id of a post counts, and the first one may tell another time
            let first = match number % 300 {
                0 => format!(r#""id":"{}","#, post_id + (20_000 << 22)),
                _ => String::new(),
            };
            writeln!(
                text,
                r#"{{"data":{{{first}"id":"{post_id}","text":"{server:300}"}}}}"#
            )
            .unwrap();
        }
        // as a crash leaves it
        text.pop();
        RealDisk.create(&path).unwrap().write_all(&text).unwrap();
        let knowing = (&Redactions::none(&X), &mut KnownLines::none());
        let read = read_segment(&RealDisk, &path, knowing, Listener::default()).unwrap();
        Segment {
            path,
            server,
            lag_ms: 0,
            is_former: false,
            runs: read.runs,
        }
    }

    #[test]
    fn every_line_comes_once_and_to_its_unit() {
        let folder = tempfile::tempdir().unwrap();
        // two minutes, in the order of arrival: some posts are up to 8 s late
        let late = |n: i64| (n * 7_919 % 3_000) + if n % 97 == 0 { 5_000 } else { 0 };
        let segments: Vec<Segment> = (0..2)
            .map(|server: usize| {
                let posts = (0..3_000_i64).map(move |n| (n * 40 - late(n)).max(0));
                segment(folder.path().join(server.to_string()), server, posts)
            })
            .collect();
        assert!(
            segments[0]
                .runs
                .iter()
                .any(|run| run.seconds.0 + 3 < run.seconds.1)
        );
        let limits = [
            (1 << 30, 2, HELD_BYTES_MAX),
            (100_000, 10, HELD_BYTES_MAX),
            (1, 1_200, HELD_BYTES_MAX),
            (100_000, 10, 10_000),
            (1, 1_200, 500),
        ];
        for (unit_bytes, least, held_bytes_max) in limits {
            let units = units::units(&segments, unit_bytes);
            assert!(least <= units.len(), "{}", units.len());
            let runs: Vec<_> = units.iter().flat_map(|unit| &unit.runs).collect();
            let once: BTreeSet<_> = runs.iter().collect();
            let count: usize = segments.iter().map(|segment| segment.runs.len()).sum();
            assert_eq!(
                (runs.len(), once.len()),
                (count, count),
                "each is read once"
            );
            let scratch = folder.path().join("hour");
            let distributor = Distributor {
                held_bytes_max,
                ..Distributor::new(&RealDisk, &scratch, &X, &segments, &units)
            };
            let (mut taken, mut seen) = (0, BTreeSet::new());
            // not in order, as threads may ask
            let (odd, even): (Vec<_>, Vec<_>) = (0..units.len()).partition(|n| n % 2 == 1);
            for number in odd.into_iter().chain(even) {
                let text = distributor.take(number).unwrap();
                for (of, line) in text.lines() {
                    let placed = X.place(line).unwrap();
                    assert!(units[number].time.contains(placed.at));
                    taken += 1;
                    seen.insert((of, line.to_vec()));
                }
            }
            assert_eq!((taken, seen.len()), (6_000, 6_000));
            let is_some_aside = held_bytes_max < HELD_BYTES_MAX;
            assert_eq!(scratch.is_dir(), is_some_aside, "{unit_bytes}");
            assert_eq!(RealDisk.list(&scratch).unwrap(), [], "all is taken back");
            let _gone = RealDisk.remove_folder(&scratch);
        }
    }
    #[test]
    fn lines_that_waited_on_the_disk_are_those_that_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        // a former attempt's, which must not be appended to
        disk::put(&RealDisk, &path, b"former").unwrap();
        let mut text = Text::default();
        for (segment, line) in [(0, "a"), (1, "b"), (1, "c"), (2, "d")] {
            text.bytes.extend_from_slice(line.as_bytes());
            text.end(segment);
            if line != "d" {
                text.put_aside(&RealDisk, &path).unwrap();
            }
        }
        text.take_back(&RealDisk, &path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines, [(2, &b"d"[..]), (0, b"a"), (1, b"b"), (1, b"c")]);
        text.put_aside(&RealDisk, &path).unwrap();
        disk::put(&RealDisk, &path, b"d\na\nb\nx\n").unwrap();
        let why = text.take_back(&RealDisk, &path).unwrap_err().to_string();
        assert_eq!(why, "it has changed since it was written");
    }
}
