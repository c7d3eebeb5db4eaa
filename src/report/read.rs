//! From a day's folder, in the vault or in a copy of its published files, to the hours of a statement.

use std::path::{Path, PathBuf};

use super::{revision::Revision, stamped, statement::HourRead};
use crate::{
    period::{Day, Hour},
    vault::{
        layout,
        manifest::{MANIFEST_BYTES_MAX, Manifest, ManifestError, sha256},
        witness::{Stamp, Witness},
    },
    world::disk::{self, Disk},
};

/// Why a day cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}", crate::world::disk::placed(path, source))]
pub struct ReadError {
    /// A manifest, or the folder.
    pub path: PathBuf,
    /// Why.
    pub source: ManifestError,
}

/// The hours that are committed, ascending.
pub fn hours(disk: &dyn Disk, folder: &Path, day: Day) -> Result<Vec<HourRead>, ReadError> {
    let at = |source: std::io::Error| ReadError {
        path: folder.to_owned(),
        source: source.into(),
    };
    let entries = disk.list(folder).map_err(at)?;
    let mut hours: Vec<HourRead> = Vec::new();
    for entry in entries {
        let is_of_day = layout::hour_of_manifest(&entry.name).is_some_and(|h| h.day() == day);
        if is_of_day {
            hours.push(hour(disk, folder, &entry.name)?);
        }
    }
    hours.sort_by_key(|hour| hour.manifest.hour);
    Ok(hours)
}

/// Those that can be read and are of that day by their own words; what is wrong with the others is told by
/// whoever checks each hour. Without the former manifests that cannot be read.
pub fn readable(disk: &dyn Disk, folder: &Path, day: Day) -> Vec<HourRead> {
    let entries = disk.list(folder).unwrap_or_default();
    let of_day = entries.iter().filter_map(|entry| {
        let hour = layout::hour_of_manifest(&entry.name)?;
        (hour.day() == day).then_some((hour, &entry.name))
    });
    let read = |(label, name): (Hour, &String)| {
        let read = hour(disk, folder, name).or_else(|_damaged| {
            let (manifest, hash) = manifest(disk, &folder.join(name))?;
            let revisions = vec![Revision::of(&manifest, hash, None)];
            Ok::<_, ReadError>(HourRead {
                manifest,
                revisions,
            })
        });
        read.ok().filter(|read| read.manifest.hour == label)
    };
    let mut hours: Vec<HourRead> = of_day.filter_map(read).collect();
    hours.sort_by_key(|hour| hour.manifest.hour);
    hours
}

/// The oldest stamp of the ledger with all manifests of these hours in it.
pub fn witness(
    disk: &dyn Disk,
    vault: &Path,
    hours: &[HourRead],
) -> std::io::Result<Option<Stamp>> {
    let witness = Witness::open(disk, vault, None)?;
    let line = witness.line_of(revisions(hours));
    Ok(line.and_then(|line| witness.since(disk, line)))
}

/// The stamp that a text about these hours names, if it holds and covers them.
pub fn told_witness(
    disk: &dyn Disk,
    vault: &Path,
    hours: &[HourRead],
    text: &str,
) -> std::io::Result<Option<Stamp>> {
    let Some(told) = stamped::told(text) else {
        return Ok(None);
    };
    let witness = Witness::open(disk, vault, None)?;
    let line = witness.line_of(revisions(hours));
    let covers = |stamp: &Stamp| line.is_some_and(|line| line <= stamp.line);
    Ok(stamped::held(disk, &witness, &told).filter(covers))
}

/// The revisions of these hours of which there is a manifest.
pub fn revisions(hours: &[HourRead]) -> impl Iterator<Item = (Hour, u64, &str)> {
    hours.iter().flat_map(|read| {
        let revisions = read.revisions.iter();
        revisions.map(|of| (read.manifest.hour, of.number, &*of.sha256))
    })
}

fn hour(disk: &dyn Disk, folder: &Path, name: &str) -> Result<HourRead, ReadError> {
    let (manifest, hash) = manifest(disk, &folder.join(name))?;
    let mut revisions = Vec::new();
    let mut former: Option<Manifest> = None;
    for number in 1..manifest.history.revision {
        let name = layout::archived_name(manifest.hour, number);
        let path = folder.join("revisions").join(name);
        // a copy of published files has none of them
        let is_there = disk.len(&path).map_err(|source| ReadError {
            path: path.clone(),
            source: source.into(),
        })?;
        if is_there.is_none() {
            former = None;
            continue;
        }
        let (this, hash) = self::manifest(disk, &path)?;
        revisions.push(Revision::of(&this, hash, former.as_ref()));
        former = Some(this);
    }
    revisions.push(Revision::of(&manifest, hash, former.as_ref()));
    Ok(HourRead {
        manifest,
        revisions,
    })
}

fn manifest(disk: &dyn Disk, path: &Path) -> Result<(Manifest, String), ReadError> {
    let read = || {
        let bytes = disk::read_bounded(disk, path, MANIFEST_BYTES_MAX)?;
        Ok((Manifest::from_json(&bytes)?, sha256(&bytes)))
    };
    read().map_err(|source| ReadError {
        path: path.to_owned(),
        source,
    })
}
