//! `vault.json`: what a vault is, once and for all.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::manifest::FORMAT;
use crate::{
    period::Hour,
    place::{
        decide::Asks,
        id::PlaceId,
        open::{NotHere, Opener, Unopened, Vault},
    },
    world::{
        disk::{self, Disk},
        error_at::{At as _, ErrorAt},
    },
};

/// It has some 100 bytes.
const BYTES_MAX: u64 = 64 * 1024;

/// What a vault is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Version of the vault's format: 1.
    pub format: u32,
    /// Which vault it is: drawn once, and in no other file of it.
    pub id: PlaceId,
    /// The zone of its hours, an IANA name.
    pub timezone: String,
    /// Which stream.
    pub stream: String,
    /// The hour of the first `started` event: the first one that is committed. It only ever moves back.
    pub first_hour: Option<Hour>,
}

/// Why a vault cannot be used with this configuration.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file.
    #[error(transparent)]
    Io(#[from] ErrorAt),
    /// Not such a file.
    #[error("{}: it is not a vault's description: {source}", path.display())]
    Json {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// From a later program, or damaged.
    #[error("{}: the vault has format {format}, this program knows 1 to {FORMAT}", path.display())]
    UnknownFormat {
        /// Which.
        path: PathBuf,
        /// The vault's.
        format: u32,
    },
    /// Another zone or stream than the configuration's.
    #[error("{}: the vault's {what} is {has:?}, the configuration says {wants:?}", path.display())]
    Differs {
        /// Which.
        path: PathBuf,
        /// `timezone` or `stream`.
        what: &'static str,
        /// The vault's.
        has: String,
        /// The configuration's.
        wants: String,
    },
}

/// Where it lies.
pub fn path(vault: &Path) -> PathBuf {
    vault.join("vault.json")
}

impl Identity {
    /// Reads it; `None` if the vault has none.
    pub fn read(disk: &dyn Disk, vault: &Path) -> Result<Option<Self>, IdentityError> {
        let path = path(vault);
        if disk.len(&path).at(&path)?.is_none() {
            return Ok(None);
        }
        let bytes = disk::read_bounded(disk, &path, BYTES_MAX).at(&path)?;
        let identity: Self =
            serde_json::from_slice(&bytes).map_err(|source| IdentityError::Json {
                path: path.clone(),
                source,
            })?;
        if !(1..=FORMAT).contains(&identity.format) {
            return Err(IdentityError::UnknownFormat {
                path,
                format: identity.format,
            });
        }
        Ok(Some(identity))
    }

    /// Whether the file's bytes are the ones that this says. One of an earlier format may be
    /// written in another way.
    pub fn is_as_written(&self, disk: &dyn Disk, vault: &Path) -> io::Result<bool> {
        let bytes = disk::read_bounded(disk, &path(vault), BYTES_MAX)?;
        Ok(self.format < FORMAT || self.to_json()? == bytes)
    }

    fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let mut json = serde_json::to_vec(self)?;
        json.push(b'\n');
        Ok(json)
    }

    /// The vault's identity, which must be the configuration's; `None` if there is no vault yet.
    pub fn check(
        disk: &dyn Disk,
        vault: &Path,
        timezone: &str,
        stream: &str,
    ) -> Result<Option<Self>, IdentityError> {
        let Some(identity) = Self::read(disk, vault)? else {
            return Ok(None);
        };
        let pairs = [
            ("timezone", &identity.timezone, timezone),
            ("stream", &identity.stream, stream),
        ];
        for (what, has, wants) in pairs {
            if has != wants {
                return Err(IdentityError::Differs {
                    path: path(vault),
                    what,
                    has: has.clone(),
                    wants: wants.to_owned(),
                });
            }
        }
        Ok(Some(identity))
    }

    /// The bytes that mark a new vault.
    pub fn mark(id: &PlaceId, timezone: &str, stream: &str) -> serde_json::Result<Vec<u8>> {
        Self::new(id, timezone, stream).to_json()
    }

    /// Of a vault that has no hour yet.
    fn new(id: &PlaceId, timezone: &str, stream: &str) -> Self {
        Self {
            format: FORMAT,
            id: id.clone(),
            timezone: timezone.to_owned(),
            stream: stream.to_owned(),
            first_hour: None,
        }
    }

    /// Which vault is marked so.
    pub fn id_of(mark: &[u8]) -> Option<PlaceId> {
        let identity: Self = serde_json::from_slice(mark).ok()?;
        Some(identity.id)
    }

    /// Describes a new vault: this marks it.
    pub fn begin(
        disk: &dyn Disk,
        vault: &Path,
        id: &PlaceId,
        timezone: &str,
        stream: &str,
    ) -> Result<(), IdentityError> {
        Self::new(id, timezone, stream).write(disk, vault)
    }

    /// Moves the first hour back if that one is earlier.
    pub fn begin_at(
        &mut self,
        disk: &dyn Disk,
        vault: &Path,
        hour: Hour,
    ) -> Result<(), IdentityError> {
        if self.first_hour.is_none_or(|first| hour < first) {
            self.first_hour = Some(hour);
            self.write(disk, vault)?;
        }
        Ok(())
    }

    fn write(&self, disk: &dyn Disk, vault: &Path) -> Result<(), IdentityError> {
        let path = path(vault);
        let json = self.to_json().map_err(|source| IdentityError::Json {
            path: path.clone(),
            source,
        })?;
        Ok(disk::put(disk, &path, &json).at(&path)?)
    }
}

/// Opens a vault; a new one is of this zone and stream.
pub fn open(
    opener: &Opener<'_>,
    folder: &Unopened,
    asks: Asks,
    timezone: &str,
    stream: &str,
) -> Result<Vault, NotHere> {
    opener.open(folder, asks, &|id| {
        let begun = Identity::begin(opener.disk, folder.name(), id, timezone, stream);
        begun.map_err(io::Error::other)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::disk::RealDisk;

    #[test]
    fn a_vault_is_of_one_zone_and_one_stream_and_begins_earlier_only() {
        let dir = tempfile::tempdir().unwrap();
        let vault = dir.path();
        Identity::begin(&RealDisk, vault, &PlaceId::of(7), "CET", "sample").unwrap();
        let check = |zone, stream| match Identity::check(&RealDisk, vault, zone, stream) {
            Ok(found) => Ok(found.map(|found| found.stream)),
            Err(IdentityError::Differs {
                what, has, wants, ..
            }) => Err((what, has, wants)),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(check("CET", "sample"), Ok(Some("sample".to_owned())));
        let differs = |what, has: &str, wants: &str| Err((what, has.to_owned(), wants.to_owned()));
        assert_eq!(check("UTC", "sample"), differs("timezone", "CET", "UTC"));
        assert_eq!(
            check("CET", "sample10"),
            differs("stream", "sample", "sample10")
        );

        let first = || {
            Identity::read(&RealDisk, vault)
                .unwrap()
                .unwrap()
                .first_hour
        };
        let mut identity = Identity::read(&RealDisk, vault).unwrap().unwrap();
        let mut begin_at = |text: &str| {
            let hour: Hour = text.parse().unwrap();
            identity.begin_at(&RealDisk, vault, hour).unwrap();
            first().unwrap().to_string()
        };
        assert_eq!(begin_at("2026-11-23_13"), "2026-11-23_13");
        assert_eq!(begin_at("2026-11-23_14"), "2026-11-23_13");
        assert_eq!(begin_at("2026-11-23_12"), "2026-11-23_12");
    }
}
