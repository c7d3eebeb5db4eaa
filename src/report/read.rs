//! From a day's folder, in the vault or in a copy of its published files, to what a statement is made of.

use std::{io, path::Path};

use super::{
    revision::Revision,
    statement::{DaySaid, Statement},
};
use crate::{
    period::{Day, Hour},
    segment::sha256::Sha256,
    vault::{
        doi::Minted,
        layout,
        manifest::{MANIFEST_BYTES_MAX, Manifest, ManifestError},
        witness::Witness,
    },
    world::{
        disk::{self, Disk},
        error_at::{At as _, ErrorAt},
    },
};

/// Why a day cannot be read: a manifest, or the folder.
pub type ReadError = ErrorAt<ManifestError>;

/// What the manifests of a day say.
pub fn day(disk: &dyn Disk, folder: &Path, day: Day) -> Result<DaySaid, ReadError> {
    let mut said = DaySaid::default();
    for (hour, name) in manifests(disk, folder, day)? {
        let revisions = revisions(disk, folder, hour, &name)?;
        add(&mut said, revisions);
    }
    Ok(said)
}

/// What those manifests say that can be read and that name that day; checking each hour reports errors in the others.
/// Former manifests that cannot be read are left out.
pub fn readable(disk: &dyn Disk, folder: &Path, day: Day) -> DaySaid {
    let mut said = DaySaid::default();
    for (hour, name) in manifests(disk, folder, day).unwrap_or_default() {
        let read = revisions(disk, folder, hour, &name).or_else(|_damaged| {
            let (manifest, hash) = manifest(disk, &folder.join(name))?;
            let revisions = vec![Revision::of(&manifest, hash, None)];
            Ok::<_, ReadError>((manifest, revisions))
        });
        if let Ok(read) = read
            && read.0.hour == hour
        {
            add(&mut said, read);
        }
    }
    said
}

/// The hours of a day that have a manifest, ascending, and its name.
fn manifests(disk: &dyn Disk, folder: &Path, day: Day) -> Result<Vec<(Hour, String)>, ReadError> {
    let entries = disk.list(folder).map_err(ManifestError::from).at(folder)?;
    let of_day = entries.into_iter().filter_map(|entry| {
        let hour = layout::hour_of_manifest(&entry.name)?;
        (hour.day() == day).then_some((hour, entry.name))
    });
    let mut of_day: Vec<(Hour, String)> = of_day.collect();
    of_day.sort();
    Ok(of_day)
}

/// Adds what is not in manifests, but in the ledger and the archive: the stamp, and the DOI.
pub fn beside(disk: &dyn Disk, vault: &Path, statement: &mut Statement) -> io::Result<()> {
    let witness = Witness::open(disk, vault, None)?;
    let line = witness.line_of(statement.revisions.iter().map(|it| &it.of));
    statement.witness = line.and_then(|line| witness.since(disk, line));
    statement.doi = Minted::doi(disk, vault).map_err(io::Error::other)?;
    Ok(())
}

fn add(said: &mut DaySaid, (manifest, revisions): (Manifest, Vec<Revision>)) {
    said.hours.push(manifest.said);
    said.revisions.extend(revisions);
}

/// The manifest in place, and the revisions of which there are manifests.
fn revisions(
    disk: &dyn Disk,
    folder: &Path,
    hour: Hour,
    name: &str,
) -> Result<(Manifest, Vec<Revision>), ReadError> {
    let (manifest, hash) = manifest(disk, &folder.join(name))?;
    let mut revisions = Vec::new();
    let mut former: Option<Manifest> = None;
    for number in 1..manifest.history.revision {
        let name = layout::archived_name(hour, number);
        let path = folder.join("revisions").join(name);
        // a copy of published files has none of them
        let is_there = disk.len(&path).map_err(ManifestError::from).at(&path)?;
        if is_there.is_none() {
            former = None;
            continue;
        }
        let (this, hash) = self::manifest(disk, &path)?;
        revisions.push(Revision::of(&this, hash, former.as_ref()));
        former = Some(this);
    }
    revisions.push(Revision::of(&manifest, hash, former.as_ref()));
    Ok((manifest, revisions))
}

fn manifest(disk: &dyn Disk, path: &Path) -> Result<(Manifest, Sha256), ReadError> {
    let read = || {
        let bytes = disk::read_bounded(disk, path, MANIFEST_BYTES_MAX)?;
        Ok((Manifest::from_json(&bytes)?, Sha256::of(&bytes)))
    };
    read().at(path)
}
