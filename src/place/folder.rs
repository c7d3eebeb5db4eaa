//! A folder as a place. A file is written aside, synced, read back and renamed: it is there with all its bytes or
//! not at all.
//!
//! No file system that is mounted everywhere has a create-only rename, so that no one else may write the same
//! keys at the same moment: each server has its own folder in a spool, and one lock for each stage.

use std::{
    io::{Read as _, Write},
    path::{Path, PathBuf},
};

use super::store::{Checked, Content, Created, Key, Listed, Store, StoreError};
use crate::{
    segment::{raw, seal::Digest},
    world::disk::{self, Disk},
};

/// A folder.
pub struct Folder<'a> {
    /// The file system.
    pub disk: &'a dyn Disk,
    /// Where it is.
    pub root: &'a Path,
}

impl Folder<'_> {
    fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    fn digest(&self, path: &Path) -> Result<Digest, StoreError> {
        Ok(raw::read_through(&mut *self.disk.open(path)?, |_| Ok(()))?)
    }

    fn walk(
        &self,
        folder: &str,
        prefix: &str,
        each: &mut dyn FnMut(Listed),
    ) -> Result<(), StoreError> {
        for entry in self.disk.list(&self.root.join(folder))? {
            let name = format!("{folder}{}", entry.name);
            if entry.folder {
                let inside = format!("{name}/");
                if inside.starts_with(prefix) || prefix.starts_with(&inside) {
                    self.walk(&inside, prefix, each)?;
                }
            } else if name.starts_with(prefix) && !is_aside(&name) {
                match Key::try_from(name) {
                    Ok(key) => each(Listed {
                        key,
                        bytes: entry.len,
                        created: None,
                    }),
                    Err(why) => tracing::warn!("{}: {why}; it is skipped", self.name()),
                }
            }
        }
        Ok(())
    }
}

/// What [`disk::aside`] names so is not there yet.
fn is_aside(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|ending| ending == "tmp")
}

impl Store for Folder<'_> {
    fn name(&self) -> String {
        self.root.display().to_string()
    }

    fn create(&self, key: &Key, content: &Content<'_>) -> Result<Created, StoreError> {
        let path = self.path(key);
        if self.disk.len(&path)?.is_some() {
            let there = self.digest(&path)?;
            return Ok(if there == *content.digest {
                Created::Stands
            } else {
                Created::Taken {
                    sha256: there.sha256,
                }
            });
        }
        let folder = path.parent().unwrap_or(self.root);
        self.disk.make_folder(folder)?;
        let aside = disk::aside(&path);
        let mut file = disk::create_anew(self.disk, &aside)?;
        let mut checked = Checked::open(content)?;
        if let Err(why) = std::io::copy(&mut checked, &mut file) {
            drop(file);
            self.disk.remove(&aside)?;
            checked.ended(key)?;
            return Err(why.into());
        }
        file.sync()?;
        drop(file);
        let there = self.digest(&aside)?;
        if there != *content.digest {
            return Err(StoreError::ReadBack {
                place: self.name(),
                key: key.clone(),
                there: there.sha256,
                ours: content.digest.sha256,
            });
        }
        self.disk.rename(&aside, &path)?;
        self.disk.sync_folder(folder)?;
        Ok(Created::Stands)
    }

    fn read(
        &self,
        key: &Key,
        bytes_max: u64,
        sink: &mut dyn Write,
    ) -> Result<Option<u64>, StoreError> {
        let path = self.path(key);
        let Some(len) = self.disk.len(&path)? else {
            return Ok(None);
        };
        if bytes_max < len {
            return Err(StoreError::TooLong {
                place: self.name(),
                key: key.to_string(),
                bytes_max,
            });
        }
        let mut file = self.disk.open(&path)?.take(len);
        Ok(Some(std::io::copy(&mut file, sink)?))
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        self.walk("", prefix, each)
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        Ok(disk::remove_if_there(self.disk, &self.path(key))?)
    }
}
