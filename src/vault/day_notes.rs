//! What was found in each day of a vault, kept for the next time: a day is read again only if its folder has changed.
//!
//! Every file of a day is put there by renaming, which changes the time of last change of its folder, and nobody can set that. A file that
//! was changed in place is not noticed here; `verify` reads all of them. Notes that are lost are made again.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::layout;
use crate::{
    period::{Day, UtcMs},
    segment::{days::Still, sha256::Sha256},
    world::{
        disk::{self, Disk, FolderState},
        error_at::placed,
    },
};

/// Ten years have some megabytes.
const BYTES_MAX: u64 = 256 << 20;

/// What was found, and what the folders were like then.
#[derive(Debug, Serialize, Deserialize)]
struct Note<T> {
    folders: Sha256,
    found: T,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept<T> {
    days: BTreeMap<Day, Note<T>>,
    /// Since when the others have been as they are.
    still: Still,
}

/// The state of a day's folders before they were read; `None` if it is unknown.
#[derive(Debug, Clone, Copy)]
pub struct Before(Option<Sha256>);

/// Notes about the days of a vault.
pub struct DayNotes<'a, T> {
    disk: &'a dyn Disk,
    vault: &'a Path,
    now: UtcMs,
    /// Where they are kept.
    path: Option<PathBuf>,
    kept: Kept<T>,
    is_new: bool,
}

impl<'a, T: Serialize + DeserializeOwned> DayNotes<'a, T> {
    /// None, and none will be kept.
    pub fn none(disk: &'a dyn Disk, vault: &'a Path, now: UtcMs) -> Self {
        let kept = Kept {
            days: BTreeMap::new(),
            still: Still::default(),
        };
        Self {
            disk,
            vault,
            now,
            path: None,
            kept,
            is_new: false,
        }
    }

    /// As they were left in a file. What cannot be read is not known.
    pub fn read(disk: &'a dyn Disk, vault: &'a Path, now: UtcMs, path: PathBuf) -> Self {
        let mut notes = Self::none(disk, vault, now);
        if let Some(kept) = disk::noted(disk, &path, BYTES_MAX) {
            notes.kept = kept;
        }
        notes.path = Some(path);
        notes
    }

    /// The state of a day now; ask before reading it.
    pub fn before(&self, day: Day) -> Before {
        let folder = layout::day_folder(self.vault, day);
        let like = |folder: &Path| self.disk.version(folder).ok().flatten();
        let Some(FolderState(of_day)) = like(&folder) else {
            return Before(None);
        };
        let former = like(&layout::archived_folder(self.vault, day));
        let former = former.map(|FolderState(numbers)| numbers);
        Before(Some(Sha256::of(
            format!("{of_day:?} {former:?}").as_bytes(),
        )))
    }

    /// What was found, if the day has been like that since then.
    pub fn found(&self, day: Day, before: Before) -> Option<&T> {
        let note = self.kept.days.get(&day)?;
        (Some(note.folders) == before.0).then_some(&note.found)
    }

    /// Notes what was found of a day, if it has been like that for a while.
    pub fn note(&mut self, day: Day, before: Before, found: T) {
        let Some(folders) = before.0 else {
            return;
        };
        self.is_new = true;
        let Kept { days, still } = &mut self.kept;
        if still.is(day, folders, self.now) {
            days.insert(day, Note { folders, found });
        } else {
            days.remove(&day);
        }
    }

    /// Keeps them for the next run. If that fails, the next run reads all days again.
    pub fn keep(&mut self) {
        let Some(path) = self.path.as_ref().filter(|_| self.is_new) else {
            return;
        };
        let Kept { days, still } = &mut self.kept;
        still.retain(|day| !days.contains_key(&day));
        let json = serde_json::to_vec(&self.kept).map_err(io::Error::from);
        match json.and_then(|json| disk::put(self.disk, path, &json)) {
            Ok(()) => self.is_new = false,
            Err(why) => tracing::warn!(
                "what was found of each day is not noted, and is looked for again: {}",
                placed(path, &why)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::disk::RealDisk;

    #[test]
    fn a_day_is_looked_into_again_only_when_something_was_put_into_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (path, vault) = (dir.path().join("notes"), dir.path().join("vault"));
        let day: Day = "2026-11-23".parse().unwrap();
        let folder = layout::day_folder(&vault, day);
        RealDisk.make_folder(&folder).unwrap();
        // what is known at that second; if nothing is, that it was looked for then
        let look = |second: i64| {
            let mut notes = DayNotes::read(&RealDisk, &vault, UtcMs(second * 1_000), path.clone());
            let before = notes.before(day);
            let known = notes.found(day, before).copied();
            if known.is_none() {
                notes.note(day, before, second);
            }
            notes.keep();
            known
        };
        let put = |folder: &Path, name: &str| disk::put(&RealDisk, &folder.join(name), b"1");
        // within the same tick of the disk's clock more may have come
        assert_eq!([0, 59, 60].map(look), [None, None, None]);
        assert_eq!([61, 600].map(look), [Some(60), Some(60)]);
        put(&folder, "x").unwrap();
        assert_eq!(
            [601, 660, 661, 662].map(look),
            [None, None, None, Some(661)]
        );
        // a clock that was set back tells nothing of how long it has been so
        put(&folder, "y").unwrap();
        assert_eq!(
            [700, 640, 699, 700, 701].map(look),
            [None, None, None, None, Some(700)]
        );
        let archived = layout::archived_folder(&vault, day);
        RealDisk.make_folder(&archived).unwrap();
        assert_eq!([800, 860, 861].map(look), [None, None, Some(860)]);
        put(&archived, "z").unwrap();
        assert_eq!(look(862), None);
        disk::put(&RealDisk, &path, b"torn").unwrap();
        assert_eq!([1_000, 1_060, 1_061].map(look), [None, None, Some(1_060)]);
    }
}
