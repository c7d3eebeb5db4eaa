//! A folder for the time that a command takes, where other programs keep theirs ($TMPDIR).

use std::path::{Path, PathBuf};

use super::exit::Failure;
use crate::world::disk::{Disk as _, RealDisk};

/// The folder; it goes with its owner.
pub(super) struct ScratchFolder {
    root: PathBuf,
    path: PathBuf,
}

impl ScratchFolder {
    /// Makes one that nobody else has.
    pub(super) fn new(what: &str) -> Result<Self, Failure> {
        let drawn = getrandom::u64().map_err(std::io::Error::other)?;
        let root = std::env::temp_dir().join(format!("twinstream-{what}-{drawn:016x}"));
        RealDisk.make_folder(&root)?;
        let path = root.clone();
        Ok(Self { root, path })
    }

    /// A folder inside it.
    pub(super) fn inside(mut self, name: &str) -> Self {
        self.path.push(name);
        self
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        if let Err(why) = std::fs::remove_dir_all(&self.root) {
            tracing::warn!("{} cannot be removed: {why}", self.root.display());
        }
    }
}
