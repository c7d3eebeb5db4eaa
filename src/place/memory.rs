//! `<data_dir>/places.json`: the ids of the places that this data directory has worked with.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::id::PlaceId;
use crate::world::disk::{self, Disk};

/// The version of the file.
const FORMAT: u32 = 1;

/// It has four entries.
const BYTES_MAX: u64 = 64 * 1024;

/// The ids by the word for the place: `spool`, `vault`, `target`, `store`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    format: u32,
    places: BTreeMap<String, PlaceId>,
}

/// Where it lies.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("places.json")
}

impl Memory {
    /// Reads it. One that is not there remembers nothing; one that cannot be read is an error, since
    /// nothing may be taken for new then.
    pub fn read(disk: &dyn Disk, data_dir: &Path) -> io::Result<Self> {
        let path = path(data_dir);
        if disk.len(&path)?.is_none() {
            return Ok(Self {
                format: FORMAT,
                places: BTreeMap::new(),
            });
        }
        let bytes = disk::read_bounded(disk, &path, BYTES_MAX)?;
        let memory: Self = serde_json::from_slice(&bytes)?;
        if memory.format != FORMAT {
            let format = memory.format;
            let why = format!("it has format {format}, this program knows {FORMAT}");
            return Err(io::Error::other(why));
        }
        Ok(memory)
    }

    /// The id of a place.
    pub fn id(&self, place: &str) -> Option<&PlaceId> {
        self.places.get(place)
    }

    /// Remembers an id, durably.
    pub fn remember(
        &mut self,
        disk: &dyn Disk,
        data_dir: &Path,
        place: &str,
        id: &PlaceId,
    ) -> io::Result<()> {
        self.places.insert(place.to_owned(), id.clone());
        let mut json = serde_json::to_vec(self)?;
        json.push(b'\n');
        disk.make_folder(data_dir)?;
        disk::put(disk, &path(data_dir), &json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::disk::RealDisk;

    #[test]
    fn what_cannot_be_understood_is_an_error_and_not_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let read = || Memory::read(&RealDisk, dir.path());
        let id = PlaceId::of(1);
        let mut memory = read().unwrap();
        assert_eq!(memory.id("spool"), None);
        memory
            .remember(&RealDisk, dir.path(), "spool", &id)
            .unwrap();
        memory
            .remember(&RealDisk, dir.path(), "vault", &PlaceId::of(2))
            .unwrap();
        assert_eq!(read().unwrap(), memory);
        assert_eq!(read().unwrap().id("spool"), Some(&id));
        for wrong in [
            "",
            "{",
            r#"{"format":2,"places":{"spool":"a"}}"#,
            r#"{"format":1,"places":{"spool":"../a"}}"#,
        ] {
            disk::put(&RealDisk, &path(dir.path()), wrong.as_bytes()).unwrap();
            assert!(read().is_err(), "{wrong}");
        }
    }
}
