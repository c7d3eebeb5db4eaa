//! What a merge notes beside its work, so that it is finished whatever happens: a JSON file in the data directory. One that
//! cannot be read is an error, for nobody else writes it.

use std::{io, path::Path};

use serde::{Serialize, de::DeserializeOwned};

use crate::world::{
    disk::{self, Disk},
    error_at::{At as _, ErrorAt},
};

/// What was noted, if anything was. No note is longer than `max`.
pub(super) fn read<T: DeserializeOwned>(
    disk: &dyn Disk,
    path: &Path,
    max: u64,
) -> Result<Option<T>, ErrorAt> {
    if disk.len(path).at(path)?.is_none() {
        return Ok(None);
    }
    let bytes = disk::read_bounded(disk, path, max).at(path)?;
    let note = serde_json::from_slice(&bytes).map_err(io::Error::from);
    Ok(Some(note.at(path)?))
}

/// Notes it, durably.
pub(super) fn write(disk: &dyn Disk, path: &Path, note: &impl Serialize) -> Result<(), ErrorAt> {
    let mut json = serde_json::to_vec(note).map_err(io::Error::from).at(path)?;
    json.push(b'\n');
    disk::put(disk, path, &json).at(path)
}
