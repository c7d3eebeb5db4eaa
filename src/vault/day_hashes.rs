//! `<data_dir>/day_hashes.json`: what the files of each day are, by hash, so that whoever compares them with what is public
//! reads a day again only when something was put into its folder.
//!
//! Every file of a day is put there by renaming, which changes the folder's time of last change, and nobody can set that. A file that
//! was changed in place is not noticed here; `verify` and `publish --audit` read all of them. Lost, all are read once.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    layout,
    public::{DayFile, Public},
};
use crate::{
    period::{Day, UtcMs},
    segment::{days::Still, sha256::Sha256},
    world::disk::{self, Disk, Version},
};

/// A day's files have some kilobytes, a picture some hundred.
const DAY_FILE_BYTES_MAX: u64 = 64 << 20;

/// A kilobyte for each day.
const KNOWN_BYTES_MAX: u64 = 64 << 20;

/// A file: how long it is, and its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashed {
    /// Bytes.
    pub bytes: u64,
    /// SHA-256.
    pub sha256: Sha256,
}

/// The files of a day that are there, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OfDay {
    /// What the folder was like.
    folder: Sha256,
    files: BTreeMap<String, Hashed>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    days: BTreeMap<Day, OfDay>,
    /// Since when the others have been as they are.
    still: Still,
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("day_hashes.json")
}

/// What the files of each day are.
pub struct DayHashes<'a> {
    disk: &'a dyn Disk,
    vault: &'a Path,
    before: Known,
    known: Known,
    now: UtcMs,
}

impl<'a> DayHashes<'a> {
    /// Of nothing that was read before.
    pub fn none(disk: &'a dyn Disk, vault: &'a Path, now: UtcMs) -> Self {
        Self {
            disk,
            vault,
            before: Known::default(),
            known: Known::default(),
            now,
        }
    }

    /// As it was left. What cannot be read is not known.
    pub fn read(disk: &'a dyn Disk, data_dir: &Path, vault: &'a Path, now: UtcMs) -> Self {
        let before: Known = disk::noted(disk, &path(data_dir), KNOWN_BYTES_MAX).unwrap_or_default();
        Self {
            known: before.clone(),
            before,
            ..Self::none(disk, vault, now)
        }
    }

    /// Gives each file of a day that is there, or why it cannot be read.
    pub fn each(&mut self, day: Day, mut each: impl FnMut(Public, io::Result<Hashed>)) {
        let folder = self.folder(day);
        if let (Some(folder), Some(of_day)) = (folder, self.known.days.get(&day))
            && of_day.folder == folder
        {
            for file in DayFile::ALL.map(|file| Public::Day(day, file)) {
                if let Some(hashed) = of_day.files.get(&file.name()) {
                    each(file, Ok(hashed.clone()));
                }
            }
            return;
        }
        let mut files = BTreeMap::new();
        let mut is_whole = true;
        for file in DayFile::ALL.map(|file| Public::Day(day, file)) {
            match self.hashed(file).transpose() {
                Some(Ok(hashed)) => {
                    files.insert(file.name(), hashed.clone());
                    each(file, Ok(hashed));
                }
                Some(Err(why)) => {
                    is_whole = false;
                    each(file, Err(why));
                }
                None => (),
            }
        }
        self.known.days.remove(&day);
        if let Some(folder) = folder.filter(|_| is_whole)
            && self.known.still.is(day, folder, self.now)
        {
            self.known.days.insert(day, OfDay { folder, files });
        }
    }

    /// What the folder of a day is like, as a hash, if that can be told.
    fn folder(&self, day: Day) -> Option<Sha256> {
        let folder = layout::day_folder(self.vault, day);
        let Version(numbers) = self.disk.version(&folder).ok()??;
        Some(Sha256::of(format!("{numbers:?}").as_bytes()))
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
    pub fn keep(mut self, data_dir: &Path) -> io::Result<()> {
        let days = &self.known.days;
        self.known.still.retain(|day| !days.contains_key(&day));
        if self.known == self.before {
            return Ok(());
        }
        disk::put(
            self.disk,
            &path(data_dir),
            &serde_json::to_vec(&self.known)?,
        )
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
            hashes.keep(data_dir).unwrap();
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
        disk::put(&RealDisk, &super::path(data_dir), b"{").unwrap();
        append("6");
        assert_eq!(look(10_001), is("56"));
    }
}
