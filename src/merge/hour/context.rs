//! What every hour is merged with, and the files that are being written of one.

use std::path::{Path, PathBuf};

use super::{due::DueHour, former::Former, uncommitted::HourError};
use crate::{
    merge::index::Indexes,
    period::{Hour, Zone},
    segment::name::Leg,
    source::Source,
    vault::{
        commit::{Commits, HourOfVault},
        deleted::Deleted,
        layout::FileKind,
        xz::{Compress, Filling, Written, XzWriter},
    },
    world::error_at::At as _,
};

/// Compressing takes some 60 MiB for each thread.
const COMPRESSING_THREADS_MAX: usize = 8;

/// What every hour is merged with.
pub struct HourContext<'a> {
    /// Segments and their indexes.
    pub indexes: Indexes<'a>,
    /// What was deleted: it stays out, or is held back.
    pub deleted: &'a Deleted<'a>,
    /// The vault.
    pub vault: &'a Path,
    /// A folder for what does not fit into memory.
    pub scratch: &'a Path,
    /// The vault's zone.
    pub zone: &'a Zone,
    /// How files are compressed.
    pub compress: &'a dyn Compress,
    /// Where its hours are committed.
    pub commits: &'a dyn Commits,
    /// Whether `posts.parquet` is wanted.
    pub parquet: bool,
    /// How many threads may work.
    pub threads: usize,
    /// Bytes of lines that make a unit of work.
    pub unit_bytes: u64,
}

/// A data file that is being written.
pub(super) struct DataFile {
    pub(super) path: PathBuf,
    kind: FileKind,
    pub(super) file: XzWriter,
}

impl DataFile {
    pub(super) fn write(&mut self, text: &[u8]) -> Result<(), HourError> {
        Ok(self.file.write_all(text).at(&self.path)?)
    }

    pub(super) fn finish(self, hour: Hour) -> Result<Written, HourError> {
        let (name, header) = (self.kind.name(hour), self.kind.header_lines());
        Ok(self.file.finish(name, header).at(&self.path)?)
    }
}

impl HourContext<'_> {
    /// What lines are.
    pub(super) fn source(&self) -> &'static dyn Source {
        self.indexes.redactions.source
    }

    pub(super) fn former<'f>(&'f self, due: &DueHour, servers: &'f [Leg]) -> Former<'f> {
        Former {
            disk: self.indexes.disk,
            vault: self.vault,
            hour: due.hour,
            servers,
        }
    }

    pub(super) fn data_file(
        &self,
        place: &HourOfVault<'_>,
        kind: FileKind,
        due: &DueHour,
    ) -> Result<DataFile, HourError> {
        let path = place.aside(kind, due.history.revision);
        // ids are few and compress well: one thread keeps up
        let threads = match kind {
            FileKind::Held
            | FileKind::Ids
            | FileKind::Posts
            | FileKind::Deletions
            | FileKind::Rejected
            | FileKind::Conflicts => 1,
            FileKind::Tweets | FileKind::PostsTable | FileKind::Users => {
                self.threads.clamp(1, COMPRESSING_THREADS_MAX)
            }
        };
        let threads = u32::try_from(threads).unwrap_or(1);
        let disk = self.indexes.disk;
        let filling = if kind == FileKind::Users {
            Filling::AtTheEnd
        } else {
            Filling::Gradual
        };
        let file = XzWriter::create(disk, &path, self.compress, (threads, filling)).at(&path)?;
        Ok(DataFile { path, kind, file })
    }
}
