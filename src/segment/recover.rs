//! Mends what an unclean end left behind: every pair without a seal is cut after its last whole
//! line, gets its final names, and is sealed as recovered.
//!
//! Sealed files are never touched. Each step leaves a pair that the next start can take up, so a
//! crash in here does no harm, and doing it twice gives the same bytes. Only to be run while
//! nobody writes: the lock of `collect` sees to that.

#![deny(clippy::indexing_slicing, clippy::string_slice)]

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io::{self, BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
};

use super::{
    event::Event,
    line::{CursorOf, PROGRAM, cut},
    name::{Leg, Paths, SegmentName, ServerId, open},
    raw,
    runs::Runs,
    seal::{Digest, Digester, FORMAT, SEAL_BYTES_MAX, Seal},
    spool,
    writer::WriteError,
};
use crate::{
    alarm::AlarmKind,
    period::UtcMs,
    world::{
        disk::{self, Disk},
        growing::LineEnd,
    },
};

/// The end of a line in which its stamp is looked for: the stamp is the last of its members, and
/// only white space can come after it.
const TAIL_BYTES_MAX: usize = 64 * 1024;

/// An events file has some kilobytes; of one with more nothing is taken.
const EVENTS_BYTES_MAX: u64 = 4 << 20;

/// Bytes read at a time.
const READ_BYTES: usize = 256 * 1024;

/// What was left open by one crash, and is sealed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The segment.
    pub name: SegmentName,
    /// Whole lines that it keeps.
    pub lines: u64,
    /// Bytes of torn last lines that were cut off, in both files.
    pub cut_bytes: u64,
    /// The last instant in either file.
    pub last: Option<UtcMs>,
}

/// What a recovery did.
#[derive(Debug, Default)]
pub struct Recovery {
    /// What is sealed now.
    pub recovered: Vec<Recovered>,
    /// What could not be mended and stays as it is, to be tried again at the next start.
    pub failed: Vec<(SegmentName, WriteError)>,
}

/// Recovers everything of one server that has no seal, in the order of the names. One that cannot
/// be mended stops none of the others, nor does a folder that may not be read; only a full disk does.
pub fn recover(disk: &dyn Disk, spool: &Path, server: &ServerId) -> Result<Recovery, WriteError> {
    let at = |source| WriteError::new(spool, source);
    let mut recovery = Recovery::default();
    let mut runs: BTreeMap<Leg, Runs> = BTreeMap::new();
    let folders = spool::hour_folders(disk, spool, server).map_err(at)?;
    let pass_over = |why: io::Error| match why.kind() {
        io::ErrorKind::PermissionDenied => {
            alarm!(
                AlarmKind::Unreadable,
                server,
                "nothing is recovered there: {why}"
            );
            Ok(())
        }
        _ => Err(WriteError::new(spool, why)),
    };
    folders.unreadable.into_iter().try_for_each(pass_over)?;
    for folder in folders.found {
        let here =
            remove_leftovers(disk, &folder).and_then(|()| spool::in_folder(disk, &folder, server));
        let here = match here {
            Ok(here) => here,
            Err(why) => {
                pass_over(why)?;
                continue;
            }
        };
        for (name, found) in here {
            if found.sealed {
                continue;
            }
            let runs = match runs.entry(name.leg()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(leg) => {
                    let read = Runs::read(disk, spool, leg.key()).map_err(at)?;
                    leg.insert(read)
                }
            };
            match recover_one(disk, spool, &name, runs) {
                Ok(recovered) => recovery.recovered.push(recovered),
                Err(error) if error.passes() => return Err(error),
                Err(error) => recovery.failed.push((name, error)),
            }
        }
    }
    Ok(recovery)
}

/// Removes seals that were being put when the process ended.
fn remove_leftovers(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    for entry in disk.list(folder)? {
        let stem = entry.name.strip_suffix(".seal.json.tmp");
        let ours = stem.is_some_and(|stem| stem.parse::<SegmentName>().is_ok());
        if ours && !entry.folder {
            disk.remove(&folder.join(&entry.name))?;
        }
    }
    Ok(())
}

fn recover_one(
    disk: &dyn Disk,
    spool: &Path,
    name: &SegmentName,
    runs: &Runs,
) -> Result<Recovered, WriteError> {
    let paths = name.paths(spool);
    let mut segment = mend(disk, &paths.segment)?;
    let mut events = mend(disk, &paths.events)?;
    disk.sync_folder(&paths.folder)
        .map_err(|e| WriteError::new(&paths.folder, e))?;
    // one that is not remembered is older than all that are
    let number = runs.number(name.run).unwrap_or(0);
    let seal = seal_of(name, number, &segment, &events);
    disk::put(disk, &paths.seal, &seal.to_json()).map_err(|e| WriteError::new(&paths.seal, e))?;
    let last_event = events.last_line.take().and_then(|line| instant_of(&line));
    let last_line = segment.last_stamp.take();
    Ok(Recovered {
        name: name.clone(),
        lines: segment.digest.lines,
        cut_bytes: segment.cut_bytes + events.cut_bytes,
        last: last_line.max(last_event),
    })
}

fn seal_of(name: &SegmentName, run_number: u64, segment: &Mended, events: &Mended) -> Seal {
    Seal {
        format: FORMAT,
        program: PROGRAM.to_owned(),
        server: name.server.clone(),
        stream: name.stream.clone(),
        partition: name.partition,
        minute: name.minute,
        run: name.run,
        run_number,
        part: name.part,
        segment: segment.digest,
        events: events.digest,
        first_arrival: segment.first_stamp,
        last_arrival: segment.last_stamp,
        // which of its lines were cut, only the process that is gone could tell
        oversize: 0,
        recovered: true,
        redacted: Vec::new(),
    }
}

fn instant_of(event: &[u8]) -> Option<UtcMs> {
    match serde_json::from_slice::<Event>(event) {
        Ok(event) => Some(event.at),
        Err(_not_an_event) => None,
    }
}

/// One file of a pair, whole and under its final name.
struct Mended {
    digest: Digest,
    cut_bytes: u64,
    first_stamp: Option<UtcMs>,
    last_stamp: Option<UtcMs>,
    last_line: Option<Vec<u8>>,
}

fn mend(disk: &dyn Disk, path: &Path) -> Result<Mended, WriteError> {
    let at = |source| WriteError::new(path, source);
    let being_written = open(path);
    let is_open = disk.len(&being_written).map_err(at)?.is_some();
    let is_final = disk.len(path).map_err(at)?.is_some();
    let present: PathBuf = match (is_open, is_final) {
        (true, true) => {
            let what = format!("{} lies beside it", being_written.display());
            return Err(at(io::Error::other(what)));
        }
        (true, false) => being_written,
        (false, true) => path.to_owned(),
        (false, false) => {
            disk.create(path).and_then(|mut f| f.sync()).map_err(at)?;
            path.to_owned()
        }
    };
    let mended = scan(disk, &present).map_err(at)?;
    let mut file = disk.append(&present).map_err(at)?;
    if 0 < mended.cut_bytes {
        file.cut(mended.digest.bytes).map_err(at)?;
    }
    file.sync().map_err(at)?;
    drop(file);
    if is_open {
        disk.rename(&present, path).map_err(at)?;
    }
    Ok(mended)
}

/// Reads a file once: what its whole lines are, and how much comes after them.
fn scan(disk: &dyn Disk, path: &Path) -> io::Result<Mended> {
    let mut source = disk.open(path)?;
    let mut buffer = vec![0; READ_BYTES];
    // all bytes so far, and all up to the last line end
    let (mut all, mut whole) = (Digester::default(), Digester::default());
    let mut tail = LineEnd::default();
    let (mut first_stamp, mut last_stamp, mut last_line) = (None, None, None);
    loop {
        let len = source.read(&mut buffer)?;
        let bytes = buffer.get(..len).unwrap_or(&[]);
        if bytes.is_empty() {
            break;
        }
        let (lines, begun) = bytes.split_at(memchr::memrchr(b'\n', bytes).map_or(0, |lf| lf + 1));
        all.update(lines);
        if !lines.is_empty() {
            whole = all.clone();
        }
        all.update(begun);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            tail.push(line.strip_suffix(b"\n").unwrap_or(line), TAIL_BYTES_MAX);
            let line = tail.take();
            last_stamp = cut(&line).retrieved_at.or(last_stamp);
            first_stamp = first_stamp.or(last_stamp);
            last_line = Some(line);
        }
        tail.push(begun, TAIL_BYTES_MAX);
    }
    Ok(Mended {
        cut_bytes: all.bytes() - whole.bytes(),
        digest: whole.finish(),
        first_stamp,
        last_stamp,
        last_line,
    })
}

/// What earlier runs left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Past {
    /// The place of the last run that left a file; zero if it is not known any more.
    pub run_number: Option<u64>,
    /// When the last line arrived, by the clock of its run.
    pub last_line: Option<UtcMs>,
    /// The API's clock minus that one, as last seen.
    pub clock_offset_ms: Option<i64>,
    /// The position in the platform's stream of the last line that tells one.
    pub cursor: Option<i64>,
}

/// Looks for the last line of a leg among what is sealed of its server, as the seals tell it. The lines of a stream that can go on from a place are
/// read with `cursor_of`: where the last segment tells none, or cannot be read, the one before it does, from which
/// more comes twice and nothing is lost.
pub fn past(
    disk: &dyn Disk,
    spool: &Path,
    leg: &Leg,
    (sealed, stream): (&[SegmentName], &str),
    cursor_of: Option<CursorOf>,
) -> io::Result<Past> {
    let runs = Runs::read(disk, spool, leg)?;
    let of_leg = sealed.iter().filter(|name| name.is_of(leg));
    let mut names: Vec<&SegmentName> = of_leg.collect();
    names.sort_by_key(|name| {
        let number = runs.number(name.run);
        (number, name.minute, name.part)
    });
    let mut past = Past::default();
    for name in names.into_iter().rev() {
        let paths = name.paths(spool);
        let seal = read_seal(disk, &paths, name);
        past.run_number = past.run_number.or_else(|| {
            let sealed = seal.as_ref().map(|seal| seal.run_number);
            Some(sealed.or(runs.number(name.run)).unwrap_or(0))
        });
        let Some(arrival) = seal.and_then(|seal| seal.last_arrival) else {
            continue;
        };
        if past.last_line.is_none() {
            past.last_line = Some(arrival);
            past.clock_offset_ms = offset_in(disk, &paths.events);
        }
        let Some(cursor_of) = cursor_of else { break };
        if name.stream != stream {
            continue;
        }
        match last_cursor(disk, &paths, cursor_of) {
            Ok(None) => (),
            Ok(cursor) => {
                past.cursor = cursor;
                break;
            }
            Err(why) => alarm!(
                AlarmKind::Unreadable,
                leg,
                "{}: {why}; collecting continues from the segment before it",
                paths.segment.display()
            ),
        }
    }
    Ok(past)
}

/// The last cursor in a segment.
fn last_cursor(disk: &dyn Disk, paths: &Paths, cursor_of: CursorOf) -> io::Result<Option<i64>> {
    let (mut last, mut line) = (None, Vec::new());
    let mut lines = BufReader::new(raw::open(disk, &paths.segment)?);
    while lines.read_until(b'\n', &mut line)? != 0 {
        last = cursor_of(&line).or(last);
        line.clear();
    }
    Ok(last)
}

fn read_seal(disk: &dyn Disk, paths: &Paths, name: &SegmentName) -> Option<Seal> {
    // a damaged seal is reported by those who use its segment
    let bytes = disk::read_bounded(disk, &paths.seal, SEAL_BYTES_MAX).ok()?;
    Seal::read(&bytes, name).ok()
}

/// The last offset in an events file.
fn offset_in(disk: &dyn Disk, path: &Path) -> Option<i64> {
    let bytes = disk::read_bounded(disk, path, EVENTS_BYTES_MAX).ok()?;
    let lines = bytes.split(|byte| *byte == b'\n').rev();
    let mut events = lines.filter_map(|line| serde_json::from_slice::<Event>(line).ok());
    events.find_map(|event| event.clock_offset_ms())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        segment::{event::EventKind, line},
        world::disk::RealDisk,
    };

    /// Lines longer than one read, and longer than what is kept of one: their stamps stand at their ends.
    #[test]
    fn the_first_and_the_last_stamp_are_found_however_long_lines_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        let at = |n: i64| UtcMs(1_795_442_700_000 + n);
        for lens in [
            &[10, 20][..],
            &[TAIL_BYTES_MAX, 10],
            &[READ_BYTES, READ_BYTES + 1, 3 * READ_BYTES],
            &[10, 3 * READ_BYTES + 7],
        ] {
            let mut stored = Vec::new();
            for (number, len) in (0..).zip(lens) {
                let text = format!("{{\"x\":\"{}\"}}", "y".repeat(*len));
                line::store(text.as_bytes(), at(number), &mut stored);
            }
            // the last one is torn, and has what looks like a stamp
            stored.extend_from_slice(&stored.clone()[..stored.len() - 1]);
            let torn = stored.iter().rev().position(|byte| *byte == b'\n').unwrap() as u64;
            disk::put(&RealDisk, &path, &stored).unwrap();
            let found = scan(&RealDisk, &path).unwrap();
            assert_eq!(found.first_stamp, Some(at(0)), "{lens:?}");
            assert_eq!(found.cut_bytes, torn);
            let lines = found.digest.lines;
            let last = (lines - 1) % lens.len() as u64;
            assert_eq!(found.last_stamp, Some(at(i64::try_from(last).unwrap())));
            assert_eq!(found.digest.bytes + torn, stored.len() as u64);
        }
    }

    #[test]
    fn the_clock_of_a_run_is_judged_by_the_last_that_was_told_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        let offset = |events: &[EventKind]| {
            let events = events.iter().map(|what| Event {
                at: UtcMs(0),
                what: what.clone(),
                connection: 1,
            });
            let lines: Vec<u8> = events.flat_map(|event| event.to_json()).collect();
            disk::put(&RealDisk, &path, &lines).unwrap();
            offset_in(&RealDisk, &path)
        };
        let told = |clock_offset_ms| EventKind::FirstLine { clock_offset_ms };
        let nothing = EventKind::NoPosts { since: UtcMs(0) };
        assert_eq!(offset(&[]), None);
        assert_eq!(offset(&[told(Some(7_000)), told(Some(20))]), Some(20));
        assert_eq!(
            offset(&[told(Some(20)), told(Some(7_000)), nothing, told(None)]),
            Some(7_000)
        );
    }
}
