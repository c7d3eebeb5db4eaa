//! `<data_dir>/published.jsonl`: the diary of what was put in public.
//!
//! One JSON object a line: `time`, `hour`, `revision`, `file`, `sha256`, `new_ids`. A line is written
//! after the file was read back, so it is true; append-only, and a torn last line is one that was not
//! written. The ids of the last 30 days are counted from it. It is no ground for believing that a
//! file is public now: that is what the remote folder says, and from it the diary can be rebuilt.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::public::Public;
use crate::{
    period::{Hour, UtcMs},
    segment::sha256::Sha256,
    world::disk::{self, Disk},
};

/// A line has some 250 bytes; a longer one is not ours.
const LINE_BYTES_MAX: u64 = 4_096;

/// X counts ids by 30 days.
pub const WINDOW_MS: i64 = 30 * 24 * 3_600_000;

/// One file that was found to be public, or made so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiaryEntry {
    /// When.
    pub time: UtcMs,
    /// The hour it is about; none for the files of a day and the ledger.
    pub hour: Option<Hour>,
    /// The revision of that hour.
    pub revision: Option<u64>,
    /// Its name.
    pub file: String,
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
    /// Post ids that were not public before.
    pub new_ids: u64,
}

/// What the diary says.
#[derive(Debug, Default)]
pub struct Published {
    /// What was last put there of each hour.
    hours: BTreeMap<Hour, OfHour>,
    /// Of all other files: the hash of what was last put there.
    others: BTreeMap<Public, Sha256>,
    /// When how many ids became public.
    counts: Vec<(UtcMs, u64)>,
}

/// Of an hour, of which ten years have 87,600: the hashes of its two files, and the latest revision whose ids are public.
#[derive(Debug, Default)]
struct OfHour {
    ids: Option<Sha256>,
    manifest: Option<Sha256>,
    revision: Option<u64>,
}

/// Where it lies.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("published.jsonl")
}

impl Published {
    /// Reads it; one that is not there says nothing.
    pub fn read(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let mut all = Self::default();
        disk::each_line(
            disk,
            path,
            LINE_BYTES_MAX,
            |line| match serde_json::from_slice(line) {
                Ok(entry) => all.note(&entry),
                Err(why) => tracing::warn!(
                    "{}: a line does not belong in this diary and is skipped: {why}",
                    path.display()
                ),
            },
        )?;
        Ok(all)
    }

    /// Takes an entry in.
    pub fn note(&mut self, entry: &DiaryEntry) {
        match Public::of_name(&entry.file) {
            Some(Public::Ids(hour)) => {
                let of = self.hours.entry(hour).or_default();
                of.ids = Some(entry.sha256);
                of.revision = of.revision.max(entry.revision);
            }
            Some(Public::Manifest(hour)) => {
                self.hours.entry(hour).or_default().manifest = Some(entry.sha256);
            }
            Some(other) => drop(self.others.insert(other, entry.sha256)),
            // it cannot be asked for
            None => (),
        }
        if 0 < entry.new_ids {
            self.counts.push((entry.time, entry.new_ids));
        }
    }

    /// Whether that file with that hash was the last one put there.
    pub fn has(&self, what: Public, sha256: Sha256) -> bool {
        let latest = match what {
            Public::Ids(hour) => self.hours.get(&hour).and_then(|of| of.ids.as_ref()),
            Public::Manifest(hour) => self.hours.get(&hour).and_then(|of| of.manifest.as_ref()),
            other => self.others.get(&other),
        };
        latest == Some(&sha256)
    }

    /// The latest revision of an hour whose ids are public.
    pub fn revision(&self, hour: Hour) -> Option<u64> {
        self.hours.get(&hour)?.revision
    }

    /// Ids that became public in the 30 days before `now`.
    pub fn ids_in_30_days(&self, now: UtcMs) -> u64 {
        let begin = now.plus_ms(-WINDOW_MS);
        let recent = self.counts.iter().filter(|(time, _)| begin < *time);
        recent.map(|(_, ids)| ids).sum()
    }
}

/// Appends an entry, durably.
pub fn append(disk: &dyn Disk, path: &Path, entry: &DiaryEntry) -> io::Result<()> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    disk::append_lines(disk, path, &line)
}

/// `<data_dir>/publish.json`: how the last run ended, for the next one and for the monitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// When it ended.
    pub time: UtcMs,
    /// Before this instant the service does not want to be asked.
    pub not_before: Option<UtcMs>,
    /// New ids of the last 30 days.
    pub ids_in_30_days: u64,
    /// How many there may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids_per_30_days: Option<u64>,
}

impl LastRun {
    /// A run with many failures has some kilobytes.
    const BYTES_MAX: u64 = 16 << 20;

    fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("publish.json")
    }

    /// How the last run ended; `None` if there was none, or its result cannot be read.
    pub fn read(disk: &dyn Disk, data_dir: &Path) -> Option<Self> {
        let path = Self::path(data_dir);
        let read = || -> io::Result<Option<Self>> {
            if disk.len(&path)?.is_none() {
                return Ok(None);
            }
            let bytes = disk::read_bounded(disk, &path, Self::BYTES_MAX)?;
            Ok(Some(serde_json::from_slice(&bytes)?))
        };
        read().unwrap_or_else(|why| {
            tracing::warn!("{} is skipped: {why}", path.display());
            None
        })
    }

    /// A run that ended no further in the future than this was stamped by a clock that is about right.
    const AHEAD_MS: i64 = 60_000;

    /// Until when the service does not want to be asked, if that is still to come. A run that ended well in the future
    /// was stamped when the clock was ahead, and tells nothing of now.
    pub fn asks_to_wait(&self, now: UtcMs) -> Option<UtcMs> {
        let is_of_the_past = self.time <= now.plus_ms(Self::AHEAD_MS);
        self.not_before
            .filter(|until| is_of_the_past && now < *until)
    }

    /// Puts it in place.
    pub fn write(&self, disk: &dyn Disk, data_dir: &Path) -> io::Result<()> {
        disk::put(disk, &Self::path(data_dir), &serde_json::to_vec(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_the_future_asks_for_nothing() {
        let run = LastRun {
            time: UtcMs(100_000),
            not_before: Some(UtcMs(900_000)),
            ids_in_30_days: 0,
            ids_per_30_days: None,
        };
        assert_eq!(run.asks_to_wait(UtcMs(899_999)), Some(UtcMs(900_000)));
        assert_eq!(run.asks_to_wait(UtcMs(900_000)), None);
        assert_eq!(run.asks_to_wait(UtcMs(40_000)), Some(UtcMs(900_000)));
        assert_eq!(run.asks_to_wait(UtcMs(39_999)), None, "the clock was ahead");
    }

    #[test]
    fn ids_are_counted_for_thirty_days() {
        let day = |day: i64| UtcMs(day * 24 * 3_600_000);
        let entry = |time, revision: u8, new_ids| DiaryEntry {
            time,
            hour: Some("2026-11-23_14".parse().unwrap()),
            revision: Some(revision.into()),
            file: "2026-11-23_14_IDs.txt.xz".to_owned(),
            sha256: Sha256::of(&[revision]),
            new_ids,
        };
        let mut all = Published::default();
        all.note(&entry(day(100), 1, 1_000));
        all.note(&entry(day(110), 2, 50));
        let counts =
            [day(100), day(129), day(130), day(139), day(140)].map(|now| all.ids_in_30_days(now));
        assert_eq!(counts, [1_050, 1_050, 50, 50, 0]);
        let what = Public::Ids("2026-11-23_14".parse().unwrap());
        assert_eq!(
            [1, 2].map(|revision| all.has(what, Sha256::of(&[revision]))),
            [false, true]
        );
        assert_eq!(all.revision(what.hour().unwrap()), Some(2));
        // what is told later of an earlier revision, such as by another publisher
        all.note(&entry(day(120), 1, 0));
        assert_eq!(all.revision(what.hour().unwrap()), Some(2));
    }
}
