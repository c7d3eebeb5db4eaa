//! `<spool>/<server>/acks.jsonl`: what has been read back and checked where it was delivered to.
//!
//! One JSON object a line: `{"at":"2026-11-23T14:06:01.000Z","file":"2_sample_…_000.jsonl","sha256":"…"}`. Lines are
//! appended; a torn last line is an acknowledgement that was not given. Lines that nobody can need any more are
//! removed now and then, so that the file does not grow for years.
//!
//! `withdrawn.jsonl` beside it has the same lines again of those that were found untrue since: a copy was damaged after it
//! had been read back. These do not count any more, so the segment is sent again, and is acknowledged anew. It is a
//! file of its own because another machine may append to `acks.jsonl` at the same time.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::name::{SegmentName, ServerId};
use crate::{
    period::{UtcMs, ms},
    segment::sha256::Sha256,
    world::disk::{self, Disk},
};

/// A line has some 160 bytes; a longer one is not an acknowledgement.
const LINE_BYTES_MAX: u64 = 4_096;

/// How much longer than `deliver.keep_delivered` the acknowledgement of a file that has left the spool is kept: 30
/// days. A secondary that was off for longer sends what it still has once more, and it is acknowledged again.
const KEPT_MS: i64 = 30 * 86_400_000;

/// One acknowledged file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ack {
    /// When it was read back.
    pub at: UtcMs,
    /// Its name, without folders, which follow from it.
    pub file: String,
    /// SHA-256 of the bytes that were read back.
    pub sha256: Sha256,
}

/// The name of the file.
pub const ACKS: &str = "acks.jsonl";

/// The name of the file beside it, of those that do not count any more.
pub const WITHDRAWN: &str = "withdrawn.jsonl";

/// Where the acknowledgements of a server are in the spool that it delivers to.
pub fn path(spool: &Path, server: &ServerId) -> PathBuf {
    spool.join(server.as_str()).join(ACKS)
}

impl Ack {
    /// The segment that the file belongs to.
    fn segment(&self) -> Option<SegmentName> {
        SegmentName::of_file(&self.file).map(|(name, _)| name)
    }
}

/// How much of a file of acknowledgements need not be read any more: it is days old, or about days of which all is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Old {
    /// How many bytes.
    pub bytes: u64,
    /// How many the file had then; these will be old when the time has come.
    next: u64,
    at: Option<UtcMs>,
}

/// What was given so long ago is old: two days.
const OLD_MS: i64 = 2 * 86_400_000;

impl Old {
    /// Whether a file of so many bytes can be the one.
    const fn is_of(&self, bytes: u64) -> bool {
        self.next <= bytes && self.bytes <= bytes
    }

    /// What lies before so many bytes is not needed any more.
    pub fn skip_to(&mut self, bytes: u64) {
        self.bytes = bytes.max(self.bytes);
    }

    /// Moves on to now. Returns whether it changed: every other day, and when the file was rewritten.
    pub fn go_on(&mut self, disk: &dyn Disk, path: &Path, now: UtcMs) -> io::Result<bool> {
        let next = disk.len(path)?.unwrap_or(0);
        let at = self.at.filter(|at| *at <= now && self.is_of(next));
        let bytes = match at {
            Some(at) if now < at.plus_ms(OLD_MS) => return Ok(false),
            Some(_) => self.next.max(self.bytes),
            None => 0,
        };
        let at = Some(now);
        *self = Self { bytes, next, at };
        Ok(true)
    }
}

/// The acknowledgements of those segments that are `wanted`, by file name; the first of several for one
/// file counts, of those that were not withdrawn. Only what is wanted takes memory.
pub fn read(
    disk: &dyn Disk,
    path: &Path,
    wanted: impl Fn(&SegmentName) -> bool,
) -> io::Result<BTreeMap<String, Ack>> {
    Ok(read_after(disk, (path, 0), wanted)?.0)
}

/// The same of those after so many bytes; and how many bytes lie before the first of them, if there is none before the
/// next one to be given.
pub fn read_after(
    disk: &dyn Disk,
    (path, bytes): (&Path, u64),
    wanted: impl Fn(&SegmentName) -> bool,
) -> io::Result<(BTreeMap<String, Ack>, u64)> {
    let withdrawn = withdrawn(disk, path)?;
    let (mut acks, mut first) = (BTreeMap::new(), None);
    let end = each(disk, (path, bytes), |begin, ack| {
        let counts = !withdrawn.contains(&ack);
        if counts && ack.segment().is_some_and(|name| wanted(&name)) {
            first.get_or_insert(begin);
            acks.entry(ack.file.clone()).or_insert(ack);
        }
        Ok(())
    })?;
    Ok((acks, first.unwrap_or(end)))
}

/// Gives each acknowledgement, and where its line begins; then where the next one will.
fn each(
    disk: &dyn Disk,
    (path, bytes): (&Path, u64),
    mut take: impl FnMut(u64, Ack) -> io::Result<()>,
) -> io::Result<u64> {
    let (mut outcome, mut begin, mut end) = (Ok(()), bytes, bytes);
    disk::each_line_from(disk, (path, bytes), LINE_BYTES_MAX, |line| {
        match serde_json::from_slice::<Ack>(line) {
            Ok(ack) if outcome.is_ok() => outcome = take(begin, ack),
            Ok(_) => (),
            Err(why) => tracing::warn!(
                "{}: a line is not an acknowledgement and is ignored: {why}",
                path.display()
            ),
        }
        begin += line.len() as u64;
        if line.ends_with(b"\n") {
            end = begin;
        }
    })?;
    outcome.map(|()| end)
}

/// Removes acknowledgements that nobody can need any more: those that are 30 days older than `keep_delivered`, of
/// segments that are not `here`. It does so only if they are more than half of all, so the file is rarely rewritten.
/// Returns how many were removed. Only the process that appends may call it.
pub fn forget(
    disk: &dyn Disk,
    path: &Path,
    keep_delivered: Duration,
    now: UtcMs,
    here: impl Fn(&SegmentName) -> bool,
) -> io::Result<u64> {
    let before = now.plus_ms(-ms(keep_delivered).saturating_add(KEPT_MS));
    let is_spent = |ack: &Ack| ack.at < before && !ack.segment().is_some_and(|name| here(&name));
    let (mut all, mut spent) = (0_u64, 0_u64);
    each(disk, (path, 0), |_begin, ack| {
        all += 1;
        spent += u64::from(is_spent(&ack));
        Ok(())
    })?;
    if spent * 2 <= all {
        return Ok(0);
    }
    let aside = disk::aside(path);
    let mut file = BufWriter::new(disk::create_anew(disk, &aside)?);
    each(disk, (path, 0), |_begin, ack| {
        if is_spent(&ack) {
            return Ok(());
        }
        serde_json::to_writer(&mut file, &ack)?;
        file.write_all(b"\n")
    })?;
    let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync()?;
    drop(file);
    disk.rename(&aside, path)?;
    disk.sync_folder(path.parent().unwrap_or(Path::new(".")))?;
    Ok(spent)
}

/// Those that do not count any more; `path` is that of the acknowledgements.
pub fn withdrawn(disk: &dyn Disk, path: &Path) -> io::Result<BTreeSet<Ack>> {
    let mut withdrawn = BTreeSet::new();
    each(disk, (&path.with_file_name(WITHDRAWN), 0), |_begin, ack| {
        withdrawn.insert(ack);
        Ok(())
    })?;
    Ok(withdrawn)
}

/// The segments of which one was withdrawn, and none was given since.
pub fn wanted_again(disk: &dyn Disk, path: &Path) -> io::Result<BTreeSet<SegmentName>> {
    let withdrawn = withdrawn(disk, path)?;
    let mut wanted: BTreeSet<SegmentName> = withdrawn.iter().filter_map(Ack::segment).collect();
    if !wanted.is_empty() {
        let given = read(disk, path, |name| wanted.contains(name))?;
        for name in given.values().filter_map(Ack::segment) {
            wanted.remove(&name);
        }
    }
    Ok(wanted)
}

/// Withdraws all that a segment was acknowledged with, durably: its copy is not what was read back. Says whether there was
/// any. Only who reads the spool that was delivered to may call it.
pub fn withdraw(disk: &dyn Disk, path: &Path, name: &SegmentName) -> io::Result<bool> {
    let withdrawn = withdrawn(disk, path)?;
    let mut untrue = Vec::new();
    each(disk, (path, 0), |_begin, ack| {
        if ack.segment().as_ref() == Some(name) && !withdrawn.contains(&ack) {
            untrue.push(ack);
        }
        Ok(())
    })?;
    if untrue.is_empty() {
        return Ok(false);
    }
    append(disk, &path.with_file_name(WITHDRAWN), &untrue)?;
    Ok(true)
}

/// Appends acknowledgements, durably.
pub fn append(disk: &dyn Disk, path: &Path, acks: &[Ack]) -> io::Result<()> {
    let mut text = Vec::new();
    for ack in acks {
        serde_json::to_writer(&mut text, ack)?;
        text.push(b'\n');
    }
    disk::append_lines(disk, path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::disk::RealDisk;

    #[test]
    fn what_is_withdrawn_is_wanted_until_it_is_acknowledged_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(ACKS);
        let name: SegmentName = "2_sample_20261123T1405Z_3fa9c01b_000".parse().unwrap();
        let other: SegmentName = "2_sample_20261123T1406Z_3fa9c01b_000".parse().unwrap();
        let acknowledge = |name: &SegmentName, at| {
            let ack = Ack {
                at: UtcMs(at),
                file: format!("{name}.jsonl"),
                sha256: Sha256::ZEROS,
            };
            append(&RealDisk, &path, &[ack]).unwrap();
        };
        let wanted = || wanted_again(&RealDisk, &path).unwrap();
        acknowledge(&name, 1);
        acknowledge(&other, 2);
        assert!(wanted().is_empty());
        for at in [3, 4] {
            assert!(withdraw(&RealDisk, &path, &name).unwrap());
            assert!(!withdraw(&RealDisk, &path, &name).unwrap(), "once");
            assert!(wanted().iter().eq([&name]));
            acknowledge(&name, at);
            assert!(wanted().is_empty());
        }
    }

    #[test]
    fn none_is_forgotten_before_both_times_have_passed_and_only_what_is_gone() {
        const DAY_MS: i64 = 86_400_000;
        let name: SegmentName = "2_sample_20261123T1405Z_3fa9c01b_000".parse().unwrap();
        for (keep_days, is_here, day, left) in [
            (2, false, 32, 1),
            (2, false, 33, 0),
            (2, true, 33, 1),
            // what a server keeps for longer than 30 days it still asks for then
            (60, false, 33, 1),
            (60, false, 90, 1),
            (60, false, 91, 0),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(ACKS);
            let ack = Ack {
                at: UtcMs(0),
                file: format!("{name}.jsonl"),
                sha256: Sha256::ZEROS,
            };
            append(&RealDisk, &path, &[ack]).unwrap();
            let keep = Duration::from_hours(24 * keep_days);
            let now = UtcMs(day * DAY_MS);
            forget(&RealDisk, &path, keep, now, |_| is_here).unwrap();
            let acks = read(&RealDisk, &path, |_| true).unwrap();
            assert_eq!(acks.len(), left, "{keep_days} {is_here} {day}");
        }
    }
}
