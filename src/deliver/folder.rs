//! A folder as target: copies durably, reads back, and never overwrites.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::plan::ENDINGS;
use crate::{
    period::UtcMs,
    segment::{
        acks::Ack,
        name::SegmentName,
        raw,
        seal::{Digest, Digester, SEAL_BYTES_MAX, Seal, SealError},
    },
    world::disk::{self, Disk},
};

/// Why one segment was not delivered. The others are.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The seal here is unusable.
    #[error("{}: {source}", path.display())]
    Seal {
        /// Which.
        path: PathBuf,
        /// Why.
        source: SealError,
    },
    /// What lies here is not what was sealed.
    #[error("{} is damaged: sealed with sha256 {sealed}, found {found}; it stays here and was not sent", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// The hash in the seal.
        sealed: String,
        /// The hash of the bytes.
        found: String,
    },
    /// Something else lies there under this name.
    #[error("{} exists with other content (sha256 {there}, ours {ours}); it was not overwritten", path.display())]
    Conflict {
        /// Which, at the target.
        path: PathBuf,
        /// The hash there.
        there: String,
        /// The hash here.
        ours: String,
    },
    /// It was written and does not read back the same.
    #[error("{} does not read back as it was written (sha256 {there}, ours {ours})", path.display())]
    ReadBack {
        /// Which, at the target.
        path: PathBuf,
        /// The hash there.
        there: String,
        /// The hash here.
        ours: String,
    },
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> FolderError + '_ {
    move |source| FolderError::Io {
        path: path.to_owned(),
        source,
    }
}

/// Copies one sealed segment to the target spool and gives its acknowledgements.
pub fn send(
    disk: &dyn Disk,
    name: &SegmentName,
    spool: &Path,
    target: &Path,
    now: impl Fn() -> UtcMs,
) -> Result<Vec<Ack>, FolderError> {
    let here = name.paths(spool);
    let bytes = disk::read_bounded(disk, &here.seal, SEAL_BYTES_MAX).map_err(io_at(&here.seal))?;
    let seal = Seal::read(&bytes, name).map_err(|source| FolderError::Seal {
        path: here.seal.clone(),
        source,
    })?;
    let mut of_seal = Digester::default();
    of_seal.update(&bytes);
    let there = name.paths(target);
    disk.make_folder(&there.folder)
        .map_err(io_at(&there.folder))?;
    let files = [
        (&here.segment, &there.segment, seal.segment),
        (&here.events, &there.events, seal.events),
        (&here.seal, &there.seal, of_seal.finish()),
    ];
    let mut acks = Vec::new();
    for ((from, to, digest), ending) in files.into_iter().zip(ENDINGS) {
        put_copy(disk, from, to, &digest)?;
        acks.push(Ack {
            at: now(),
            file: format!("{name}.{ending}"),
            sha256: digest.sha256,
        });
    }
    Ok(acks)
}

/// Puts one file in place at the target unless the same bytes lie there already. A segment may lie
/// compressed on either side; what is sent is always its plain form.
fn put_copy(disk: &dyn Disk, from: &Path, to: &Path, digest: &Digest) -> Result<(), FolderError> {
    let ours = digest.sha256.clone();
    if raw::exists(disk, to).map_err(io_at(to))? {
        let there = copy(disk, to, None)?.sha256;
        let path = to.to_owned();
        return if there == ours {
            Ok(())
        } else {
            Err(FolderError::Conflict { path, there, ours })
        };
    }
    let aside = disk::aside(to);
    if disk.len(&aside).map_err(io_at(&aside))?.is_some() {
        disk.remove(&aside).map_err(io_at(&aside))?;
    }
    let found = copy(disk, from, Some(&aside))?;
    if found != *digest {
        disk.remove(&aside).map_err(io_at(&aside))?;
        return Err(FolderError::Damaged {
            path: from.to_owned(),
            sealed: ours,
            found: found.sha256,
        });
    }
    let there = copy(disk, &aside, None)?.sha256;
    if there != ours {
        return Err(FolderError::ReadBack {
            path: aside,
            there,
            ours,
        });
    }
    disk.rename(&aside, to).map_err(io_at(to))?;
    let folder = to.parent().unwrap_or(Path::new("."));
    disk.sync_folder(folder).map_err(io_at(folder))
}

/// Reads a file through (of a segment its plain bytes), into another one if asked; that one is synced.
fn copy(disk: &dyn Disk, from: &Path, to: Option<&Path>) -> Result<Digest, FolderError> {
    let mut source = raw::open(disk, from).map_err(io_at(from))?;
    let mut sink = match to {
        Some(to) => Some((to, disk.create(to).map_err(io_at(to))?)),
        None => None,
    };
    let digest = raw::read_through(&mut *source, |bytes| match &mut sink {
        Some((_, file)) => file.write_all(bytes),
        None => Ok(()),
    });
    let digest = digest.map_err(io_at(from))?;
    if let Some((to, mut file)) = sink {
        file.sync().map_err(io_at(to))?;
    }
    Ok(digest)
}
