//! Moves a vault from a folder into an object store, with its id and ledger.
//!
//! Its mark is created last: before that it is not a vault there, and nobody merges into it. A second attempt does
//! the same with the same keys.

use std::{io, path::Path};

use super::{
    commit_error::{CommitError, InStoreError},
    identity::{self, Identity},
    in_store::{self, attempt_name, begin_key, commit_bytes, data_key, line_key, revision_key},
    layout, ledger,
    manifest::{MANIFEST_BYTES_MAX, Manifest},
};
use crate::{
    place::store::{Content, Created, Key, Store, create_of},
    segment::{raw, sha256::Sha256},
    world::{
        crash::{self, Point},
        disk::{self, Disk},
        error_at::{At as _, ErrorAt},
    },
};

/// A vault, and where it is to lie.
pub struct Move<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The file system.
    pub disk: &'a dyn Disk,
    /// The vault's folder.
    pub vault: &'a Path,
}

impl Move<'_> {
    /// Puts it there; gives how many hours.
    pub fn put(&self) -> Result<u64, InStoreError> {
        let path = identity::path(self.vault);
        let identity = Identity::read(self.disk, self.vault).map_err(CommitError::from)?;
        let identity = identity.ok_or_else(|| ErrorAt::new(&path, io::ErrorKind::NotFound))?;
        let lines = ledger::read(self.disk, self.vault)?;
        let mut hours = 0;
        for (number, line) in (1..).zip(&lines) {
            let latest = lines.iter().rfind(|other| other.hour == line.hour);
            let is_latest = latest.is_some_and(|latest| latest.revision == line.revision);
            hours += u64::from(is_latest);
            self.revision(line, is_latest)?;
            let bytes = line.to_bytes().map_err(io::Error::from).at(self.vault)?;
            self.create(&line_key(number)?, &bytes)?;
            crash::point(Point::LineCreated);
        }
        if let Some(first) = identity.first_hour {
            self.create(&begin_key(first)?, b"")?;
        }
        let mark = Identity::mark(&identity.id, &identity.timezone, &identity.stream);
        let mark = mark.map_err(io::Error::from).at(&path)?;
        in_store::begin(self.store, &mark)?;
        Ok(hours)
    }

    /// The manifest of a revision, and before it the data of one that is the latest of its hour.
    fn revision(&self, line: &ledger::LedgerLine, is_latest: bool) -> Result<(), InStoreError> {
        let (hour, revision) = (line.hour, line.revision);
        let path = if is_latest {
            layout::manifest_path(self.vault, hour)
        } else {
            layout::archived_path(self.vault, hour, revision)
        };
        let bytes = disk::read_bounded(self.disk, &path, MANIFEST_BYTES_MAX).at(&path)?;
        if Sha256::of(&bytes) != line.manifest_sha256 {
            return Err(
                ErrorAt::new(&path, io::Error::other("it is not what the ledger says")).into(),
            );
        }
        // another attempt at moving it has the same name
        let attempt = attempt_name(revision, line.manifest_sha256.begin());
        if is_latest {
            let manifest = Manifest::from_json(&bytes);
            let manifest = manifest.map_err(|why| ErrorAt::new(&path, io::Error::other(why)))?;
            for output in &manifest.outputs {
                let path = layout::day_folder(self.vault, hour.day()).join(&output.name);
                let read = || raw::read_through(&mut *self.disk.open(&path)?, |_| Ok(()));
                let digest = read().at(&path)?;
                if digest.sha256 != output.sha256 {
                    return Err(ErrorAt::new(
                        &path,
                        io::Error::other("it is not what its manifest says"),
                    )
                    .into());
                }
                let content = Content {
                    digest: &digest,
                    open: &|| Ok(Box::new(self.disk.open(&path)?)),
                };
                let key = data_key(hour, &attempt, &output.name)?;
                self.stands(&key, &self.store.create(&key, &content)?)?;
            }
        }
        let commit = commit_bytes(&attempt, &bytes).at(&path)?;
        self.create(&revision_key(hour, revision)?, &commit)
    }

    fn create(&self, key: &Key, bytes: &[u8]) -> Result<(), InStoreError> {
        self.stands(key, &create_of(self.store, key, bytes)?)
    }

    fn stands(&self, key: &Key, created: &Created) -> Result<(), InStoreError> {
        match created {
            Created::Stands => Ok(()),
            Created::Taken { .. } => Err(InStoreError::Wrong {
                place: self.store.name(),
                key: key.to_string(),
                why: "another file is there; it was not overwritten".to_owned(),
            }),
        }
    }
}
