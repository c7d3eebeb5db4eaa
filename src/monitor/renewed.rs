//! `<data_dir>/renewed.json`: days whose certificate was remade after late data, and that no mail has mentioned yet.
//! `report` writes it; the next mail of a day mentions them. If it is deleted, no mail does.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use crate::{
    period::Day,
    world::disk::{self, Disk},
};

/// How many of the latest days are kept: late data for a whole vault is not a text for a mail.
const DAYS_MAX: usize = 31;

/// Some sentences of each.
const RENEWED_BYTES_MAX: u64 = 1 << 20;

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("renewed.json")
}

/// The days, each with what its certificate says first.
pub fn read(disk: &dyn Disk, data_dir: &Path) -> io::Result<BTreeMap<Day, String>> {
    let path = path(data_dir);
    if disk.len(&path)?.is_none() {
        return Ok(BTreeMap::new());
    }
    let bytes = disk::read_bounded(disk, &path, RENEWED_BYTES_MAX)?;
    Ok(serde_json::from_slice(&bytes).unwrap_or_else(|why| {
        tracing::warn!("{}: it is skipped: {why}", path.display());
        BTreeMap::new()
    }))
}

/// Adds days.
pub fn add(disk: &dyn Disk, data_dir: &Path, more: &BTreeMap<Day, String>) -> io::Result<()> {
    let mut days = read(disk, data_dir)?;
    days.extend(more.clone());
    while DAYS_MAX < days.len() {
        days.pop_first();
    }
    disk::put(disk, &path(data_dir), &serde_json::to_vec(&days)?)
}

/// Drops them once they are in a mail.
pub fn clear(disk: &dyn Disk, data_dir: &Path) -> io::Result<()> {
    disk::remove_if_there(disk, &path(data_dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::disk::RealDisk;

    #[test]
    fn of_many_days_the_latest_are_told_each_with_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..40 {
            let more = [(Day(20_000 + n), format!("first {n}"))].into();
            add(&RealDisk, dir.path(), &more).unwrap();
        }
        let more = [
            (Day(20_039), "again".to_owned()),
            (Day(19_000), "too old".to_owned()),
        ]
        .into();
        add(&RealDisk, dir.path(), &more).unwrap();
        let days = read(&RealDisk, dir.path()).unwrap();
        let expected: Vec<Day> = (20_009..20_040).map(Day).collect();
        assert_eq!(days.keys().copied().collect::<Vec<_>>(), expected);
        assert_eq!(days[&Day(20_039)], "again");
        clear(&RealDisk, dir.path()).unwrap();
        assert!(read(&RealDisk, dir.path()).unwrap().is_empty());
    }
}
