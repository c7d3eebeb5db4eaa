//! Lists a spool: sealed segments, and files without a seal.
//!
//! A spool is walked as `<server>/<YYYY-MM-DD>/<HH>`; folders and files of other names are not
//! ours and are passed over.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use super::{
    name::{SegmentName, ServerId},
    runs,
};
use crate::{
    period::{Day, Minute, UtcMs},
    world::disk::Disk,
};

/// What lies under one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpoolEntry {
    /// Whether the seal is there.
    pub sealed: bool,
    /// Bytes of the segment and the events file, open or not.
    pub bytes: u64,
}

/// The servers that have a folder in the spool.
pub fn servers(disk: &dyn Disk, spool: &Path) -> io::Result<Vec<ServerId>> {
    let entries = disk.list(spool)?;
    let ids = entries
        .iter()
        .filter(|entry| entry.folder)
        .map(|entry| entry.name.parse());
    Ok(ids.filter_map(Result::ok).collect())
}

/// What was found, and the folders that could not be read, which stop nothing else but must be reported.
#[derive(Debug)]
pub struct Walk<T> {
    /// What was found.
    pub found: Vec<T>,
    /// Each error names its folder.
    pub unreadable: Vec<io::Error>,
}

/// The UTC hour folders of one server, `<YYYY-MM-DD>/<HH>`, ascending.
pub fn hour_folders(disk: &dyn Disk, spool: &Path, server: &ServerId) -> io::Result<Walk<PathBuf>> {
    let is_number = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())
    };
    let top = spool.join(server.as_str());
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    for day in disk.list(&top)? {
        if !day.folder || day.name.parse::<Day>().is_err() {
            continue;
        }
        let day = top.join(&day.name);
        match disk.list(&day) {
            Ok(hours) => found.extend(
                hours
                    .iter()
                    .filter(|hour| hour.folder && is_number(&hour.name, 2))
                    .map(|hour| day.join(&hour.name)),
            ),
            Err(why) => unreadable.push(why),
        }
    }
    Ok(Walk { found, unreadable })
}

/// The UTC day of an hour folder.
pub fn day_of(folder: &Path) -> Option<Day> {
    folder.parent()?.file_name()?.to_str()?.parse().ok()
}

/// The hour folder of a minute.
pub fn hour_folder(spool: &Path, server: &ServerId, minute: Minute) -> PathBuf {
    spool
        .join(server.as_str())
        .join(minute.day_folder())
        .join(minute.hour_folder())
}

/// Everything of one server in one hour folder, by name.
pub fn in_folder(
    disk: &dyn Disk,
    folder: &Path,
    server: &ServerId,
) -> io::Result<Vec<(SegmentName, SpoolEntry)>> {
    let mut found: BTreeMap<SegmentName, SpoolEntry> = BTreeMap::new();
    for entry in disk.list(folder)? {
        let Some((name, kind)) = SegmentName::of_file(&entry.name) else {
            continue;
        };
        if entry.folder || name.server != *server || !folder.ends_with(name.folder()) {
            continue;
        }
        match kind {
            "seal.json" => found.entry(name).or_default().sealed = true,
            "jsonl" | "jsonl.zst" | "jsonl.open" | "events.jsonl" | "events.jsonl.open" => {
                found.entry(name).or_default().bytes += entry.len;
            }
            _ => (),
        }
    }
    Ok(found.into_iter().collect())
}

/// All sealed segments of one server, ascending by name.
pub fn sealed(disk: &dyn Disk, spool: &Path, server: &ServerId) -> io::Result<Walk<SegmentName>> {
    let folders = hour_folders(disk, spool, server)?;
    let (mut found, mut unreadable) = (Vec::new(), folders.unreadable);
    for folder in folders.found {
        match in_folder(disk, &folder, server) {
            Ok(here) => found.extend(
                here.into_iter()
                    .filter(|(_, found)| found.sealed)
                    .map(|(name, _)| name),
            ),
            Err(why) => unreadable.push(why),
        }
    }
    Ok(Walk { found, unreadable })
}

/// The servers other than this one that have collected here and have sealed segments here, and how many: this machine once had
/// their ids. What others have delivered here is not counted.
pub fn left_behind(
    disk: &dyn Disk,
    spool: &Path,
    this: &ServerId,
) -> io::Result<BTreeMap<ServerId, u64>> {
    let mut left = BTreeMap::new();
    for server in servers(disk, spool)? {
        let entries = disk.list(&spool.join(server.as_str()))?;
        if server == *this || !entries.iter().any(|entry| runs::is_kept_in(&entry.name)) {
            continue;
        }
        let count = sealed(disk, spool, &server)?.found.len() as u64;
        if 0 < count {
            left.insert(server, count);
        }
    }
    Ok(left)
}

/// Removes the hour and day folders that a deletion of these has emptied and that no segment will be
/// put in again.
pub fn remove_empty_folders<'a>(
    disk: &dyn Disk,
    spool: &Path,
    deleted: impl Iterator<Item = &'a SegmentName>,
    now: UtcMs,
) -> io::Result<()> {
    let place = |minute: Minute| (minute.day_folder(), minute.hour_folder());
    let this_hour = place(now.minute());
    let folders: BTreeSet<PathBuf> = deleted
        .filter(|name| place(name.minute) < this_hour)
        .map(|name| spool.join(name.folder()))
        .collect();
    // one that is gone was removed by an attempt that was cut off
    let remove_if_empty = |folder: &Path| {
        if !disk.list(folder)?.is_empty() {
            return Ok(());
        }
        match disk.remove_folder(folder) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    };
    for folder in folders {
        remove_if_empty(&folder)?;
        let day = folder.parent().unwrap_or(&folder);
        if !day.ends_with(&this_hour.0) {
            remove_if_empty(day)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::disk::{self, RealDisk};

    /// Segments of four hours were deleted; one of the hours has another one.
    #[test]
    fn folders_that_are_empty_go_but_for_those_that_are_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<SegmentName> = [
            "20261122T2359",
            "20261123T1100",
            "20261123T1358",
            "20261123T1402",
        ]
        .map(|minute| format!("2_sample_{minute}Z_3fa9c01b_000").parse().unwrap())
        .to_vec();
        for name in &names {
            RealDisk
                .make_folder(&dir.path().join(name.folder()))
                .unwrap();
        }
        let kept = dir.path().join(names[2].folder()).join("kept");
        disk::put(&RealDisk, &kept, b"x").unwrap();
        let is_there = |name: &SegmentName| dir.path().join(name.folder()).is_dir();
        let now: UtcMs = "2026-11-23T14:05:00Z".parse().unwrap();
        let remove = || remove_empty_folders(&RealDisk, dir.path(), names.iter(), now);
        remove().unwrap();
        assert_eq!(
            names.iter().map(is_there).collect::<Vec<_>>(),
            [false, false, true, true]
        );
        assert!(
            !dir.path().join("2/2026-11-22").exists() && dir.path().join("2/2026-11-23").is_dir()
        );
        // once more, as after an attempt that was cut off
        remove().unwrap();
        // and if all but the present hour is empty
        RealDisk.remove(&kept).unwrap();
        remove().unwrap();
        assert_eq!(
            names.iter().map(is_there).collect::<Vec<_>>(),
            [false, false, false, true]
        );
    }
}
