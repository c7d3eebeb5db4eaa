//! `<data_dir>/day_hashes.json`: the hashes of each day's files, so that comparing them with the public ones reads a
//! day again only when its folder has changed. `verify` and `publish --audit` read all of them.

use std::{collections::BTreeMap, io, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    day_notes::DayNotes,
    public::{DayFile, Public},
};
use crate::{
    period::{Day, UtcMs},
    segment::sha256::Sha256,
    world::disk::{self, Disk},
};

/// A day's files have some kilobytes, a picture some hundred.
const DAY_FILE_BYTES_MAX: u64 = 64 << 20;

/// A file: how long it is, and its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashed {
    /// Bytes.
    pub bytes: u64,
    /// SHA-256.
    pub sha256: Sha256,
}

/// What the files of each day are.
pub struct DayHashes<'a> {
    disk: &'a dyn Disk,
    vault: &'a Path,
    /// The files of a day that are there.
    notes: DayNotes<'a, BTreeMap<DayFile, Hashed>>,
}

impl<'a> DayHashes<'a> {
    /// Of nothing that was read before.
    pub fn none(disk: &'a dyn Disk, vault: &'a Path, now: UtcMs) -> Self {
        let notes = DayNotes::none(disk, vault, now);
        Self { disk, vault, notes }
    }

    /// As it was left. What cannot be read is not known.
    pub fn read(disk: &'a dyn Disk, data_dir: &Path, vault: &'a Path, now: UtcMs) -> Self {
        let notes = DayNotes::read(disk, vault, now, data_dir.join("day_hashes.json"));
        Self { disk, vault, notes }
    }

    /// Gives each file of a day that is there, or why it cannot be read.
    pub fn each(&mut self, day: Day, mut each: impl FnMut(Public, io::Result<Hashed>)) {
        let before = self.notes.before(day);
        if let Some(files) = self.notes.found(day, before) {
            for (file, hashed) in files {
                each(Public::Day(day, *file), Ok(*hashed));
            }
            return;
        }
        let mut files = BTreeMap::new();
        let mut is_whole = true;
        for file in DayFile::ALL {
            let what = Public::Day(day, file);
            match self.hashed(what).transpose() {
                Some(Ok(hashed)) => {
                    files.insert(file, hashed);
                    each(what, Ok(hashed));
                }
                Some(Err(why)) => {
                    is_whole = false;
                    each(what, Err(why));
                }
                None => (),
            }
        }
        if is_whole {
            self.notes.note(day, before, files);
        }
    }

    fn hashed(&self, file: Public) -> io::Result<Option<Hashed>> {
        let path = file.path(self.vault);
        if self.disk.len(&path)?.is_none() {
            return Ok(None);
        }
        let bytes = disk::read_bounded(self.disk, &path, DAY_FILE_BYTES_MAX)?;
        Ok(Some(Hashed {
            bytes: bytes.len() as u64,
            sha256: Sha256::of(&bytes),
        }))
    }

    /// Keeps it for the next run.
    pub fn keep(&mut self) {
        self.notes.keep();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::world::disk::RealDisk;

    #[test]
    fn a_day_is_read_again_only_when_something_was_put_into_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (data_dir, vault) = (dir.path(), dir.path().join("vault"));
        let day: Day = "2026-11-23".parse().unwrap();
        let path = Public::Day(day, DayFile::Report).path(&vault);
        RealDisk.make_folder(path.parent().unwrap()).unwrap();
        let look = |second: i64| {
            let mut hashes = DayHashes::read(&RealDisk, data_dir, &vault, UtcMs(second * 1_000));
            let mut found = Vec::new();
            hashes.each(day, |what, hashed| found.push((what, hashed.unwrap())));
            hashes.keep();
            found
        };
        let is = |text: &str| {
            let (bytes, sha256) = (text.len() as u64, Sha256::of(text.as_bytes()));
            let hashed = Hashed { bytes, sha256 };
            vec![(Public::Day(day, DayFile::Report), hashed)]
        };
        let append = |text: &str| {
            let mut file = RealDisk.append(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        assert_eq!(look(0), []);
        disk::put(&RealDisk, &path, b"1").unwrap();
        assert_eq!(look(10), is("1"));
        // within the same tick of the disk's clock more may have come
        append("2");
        assert_eq!(look(69), is("12"));
        append("3");
        assert_eq!(look(70), is("123"));
        // from now on it is known; what is changed in place is for others to find
        append("4");
        assert_eq!(look(71), is("123"));
        assert_eq!(look(9_999), is("123"));
        disk::put(&RealDisk, &path, b"5").unwrap();
        assert_eq!(look(10_000), is("5"));
        // a file that is damaged stops nothing: it is found out anew
        disk::put(&RealDisk, &data_dir.join("day_hashes.json"), b"{").unwrap();
        append("6");
        assert_eq!(look(10_001), is("56"));
    }
}
