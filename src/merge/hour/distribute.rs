//! Lines on their way from the segments to the units that they belong to. Posts come in no strict
//! order, so a run may have lines of several units; it is read once all the same.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::units::{Segment, Unit};
use crate::{
    merge::runs::{Run, RunKey, read_run},
    segment::raw,
    source::Source,
    world::{
        disk::{self, Disk},
        error_at::{At as _, ErrorAt},
    },
};

/// Why lines could not be read: the hour is held back.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DistributeError(#[from] pub ErrorAt);

/// The lines of a unit.
#[derive(Debug, Default)]
pub struct Text {
    /// Each with its LF.
    bytes: Vec<u8>,
    /// The number of the segment, and where what comes from it ends.
    parts: Vec<(usize, usize)>,
}

impl Text {
    fn of(unit: &Unit) -> Self {
        // an estimate: seconds have more and fewer posts
        let bytes = usize::try_from(unit.bytes + unit.bytes / 8).unwrap_or(0);
        Self {
            bytes: Vec::with_capacity(bytes),
            parts: Vec::new(),
        }
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
    /// Nothing is distributed so far.
    pub fn new(
        disk: &'a dyn Disk,
        source: &'a dyn Source,
        segments: &'a [Segment],
        units: &'a [Unit],
    ) -> Self {
        Self {
            disk,
            source,
            segments,
            units,
            distributed: Mutex::default(),
        }
    }

    /// All lines of a unit; each can be asked for once.
    pub fn take(&self, number: usize) -> Result<Text, DistributeError> {
        let mut distributed = self
            .distributed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while distributed.next <= number {
            let next = distributed.next;
            self.read(next, &mut distributed.kept)?;
            distributed.next += 1;
        }
        Ok(distributed.kept.remove(&number).unwrap_or_default())
    }

    /// Reads the runs that begin with a unit, and hands them to it and those after it.
    fn read(&self, number: usize, kept: &mut BTreeMap<usize, Text>) -> Result<(), DistributeError> {
        let Some(unit) = self.units.get(number) else {
            return Ok(());
        };
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
                    let file = raw::open(self.disk, &segment.path).at(&segment.path)?;
                    &mut other.insert((of, file)).1
                }
            };
            if is_whole(run, unit) {
                let text = kept.entry(number).or_insert_with(|| Text::of(unit));
                read_run(&mut **file, run, &mut text.bytes).at(&segment.path)?;
                text.end(of);
            } else {
                mixed.clear();
                read_run(&mut **file, run, &mut mixed).at(&segment.path)?;
                self.hand_out(number, (of, run.is_early), &mixed, kept);
            }
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
            if let Some(unit) = units.get(after) {
                let text = kept.entry(number + after);
                let text = text.or_insert_with(|| Text::of(unit));
                text.bytes.extend_from_slice(line);
                text.end(segment);
            }
        }
    }
}

/// Whether a run that begins with a unit has lines of no other.
fn is_whole(run: &Run, unit: &Unit) -> bool {
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
        merge::{hour::units, runs::read_segment},
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
        let read =
            read_segment(&RealDisk, &path, &Redactions::none(&X), Listener::default()).unwrap();
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
        for (unit_bytes, least) in [(1 << 30, 2), (100_000, 10), (1, 1_200)] {
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
            let distributor = Distributor::new(&RealDisk, &X, &segments, &units);
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
        }
    }
}
