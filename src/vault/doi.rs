//! `<vault>/doi.json`: the DOI by which the archive is cited, and the project that it was minted for.
//!
//! It is in the vault, so that another publisher, or a restored vault, uses the same DOI. The public copy has it in
//! `datacite.json`.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    doi::Doi,
    world::disk::{self, Disk},
};

/// The format of the file.
const FORMAT: u32 = 1;

/// It has some hundred bytes.
const BYTES_MAX: u64 = 64 << 10;

/// The file's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Minted {
    format: u32,
    /// The DOI.
    pub doi: Doi,
    /// The OSF project that it leads to.
    pub project: String,
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct Unreadable {
    path: PathBuf,
    source: io::Error,
}

/// Where it lies.
pub fn path(vault: &Path) -> PathBuf {
    vault.join("doi.json")
}

impl Minted {
    /// Reads it; `None` if the archive has no DOI.
    pub fn read(disk: &dyn Disk, vault: &Path) -> Result<Option<Self>, Unreadable> {
        let path = path(vault);
        let read = || -> io::Result<Option<Self>> {
            if disk.len(&path)?.is_none() {
                return Ok(None);
            }
            let minted: Self =
                serde_json::from_slice(&disk::read_bounded(disk, &path, BYTES_MAX)?)?;
            if minted.format == FORMAT {
                Ok(Some(minted))
            } else {
                let what = format!("it has format {}, this program knows 1", minted.format);
                Err(io::Error::other(what))
            }
        };
        read().map_err(|source| Unreadable { path, source })
    }

    /// Only the DOI.
    pub fn doi(disk: &dyn Disk, vault: &Path) -> Result<Option<Doi>, Unreadable> {
        Ok(Self::read(disk, vault)?.map(|minted| minted.doi))
    }

    /// Keeps a DOI.
    pub fn keep(disk: &dyn Disk, vault: &Path, doi: &Doi, project: &str) -> io::Result<()> {
        let minted = Self {
            format: FORMAT,
            doi: doi.clone(),
            project: project.to_owned(),
        };
        let mut json = serde_json::to_vec(&minted)?;
        json.push(b'\n');
        disk::put(disk, &path(vault), &json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::disk::RealDisk;

    #[test]
    fn a_doi_is_read_as_it_was_kept_and_of_no_other_format() {
        let dir = tempfile::tempdir().unwrap();
        let vault = dir.path();
        assert!(Minted::read(&RealDisk, vault).unwrap().is_none());
        let doi: Doi = "10.17605/OSF.IO/ABCDE".parse().unwrap();
        Minted::keep(&RealDisk, vault, &doi, "abcde").unwrap();
        let kept = Minted::read(&RealDisk, vault).unwrap().unwrap();
        assert_eq!((&kept.doi, &*kept.project), (&doi, "abcde"));
        let text = String::from_utf8(serde_json::to_vec(&kept).unwrap()).unwrap();
        for other in [
            text.replace("\"format\":1", "\"format\":2"),
            text.replace('}', ",\"more\":1}"),
            text.replace("10.", "11."),
        ] {
            disk::put(&RealDisk, &path(vault), other.as_bytes()).unwrap();
            assert!(Minted::doi(&RealDisk, vault).is_err(), "{other}");
        }
    }
}
