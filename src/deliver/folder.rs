//! A folder as target: copies durably, reads back, and never overwrites.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    plan::ENDINGS,
    sealed::{self, SealedError},
};
use crate::{
    period::UtcMs,
    place::{
        folder::Folder,
        segments,
        store::{Content, Created, Key, Store as _, StoreError},
    },
    segment::{
        acks::Ack,
        name::SegmentName,
        raw,
        seal::{Digest, Redacted, SEAL_BYTES_MAX, Seal},
        sha256::Sha256,
    },
    world::{
        disk::{self, Disk, Entry},
        error_at::{At as _, ErrorAt},
    },
};

/// Why one segment was not delivered. The others are.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] ErrorAt),
    /// The file here is not what was sealed.
    #[error("{0}; it stays here and was not sent")]
    Here(#[from] SealedError),
    /// A link on the way below the target.
    #[error(
        "{} is not a real folder: merges follow no links and would never find what is behind it; \
         nothing was sent",
        .0.display()
    )]
    Link(PathBuf),
    /// Another file is there under this name.
    #[error("{} exists with other content (sha256 {there}, ours {ours}); it was not overwritten", path.display())]
    Conflict {
        /// Which, at the target.
        path: PathBuf,
        /// The hash there.
        there: Sha256,
        /// The hash here.
        ours: Sha256,
    },
    /// It was written and does not read back the same.
    #[error("{} does not read back as it was written (sha256 {there}, ours {ours})", path.display())]
    ReadBack {
        /// Which, at the target.
        path: PathBuf,
        /// The hash there.
        there: Sha256,
        /// The hash here.
        ours: Sha256,
    },
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
    let [segment, events, seal] = sealed::digests(disk, name, &here)?;
    let there = name.paths(target);
    disk.make_folder(&there.folder).at(&there.folder)?;
    not_through_links(disk, name, target)?;
    let is_done = is_redacted_there(disk, name, &there.seal, &segment)?;
    let files = [
        (&here.segment, &there.segment, segment),
        (&here.events, &there.events, events),
        (&here.seal, &there.seal, seal),
    ];
    let keys =
        segments::plain_keys(name).map_err(|why| ErrorAt::new(target, io::Error::other(why)))?;
    let mut acks = Vec::new();
    for (((from, to, digest), ending), key) in files.into_iter().zip(ENDINGS).zip(&keys) {
        if !is_done {
            put_copy(disk, from, to, (target, key), &digest)?;
        }
        acks.push(Ack {
            at: now(),
            file: format!("{name}.{ending}"),
            sha256: digest.sha256,
        });
    }
    Ok(acks)
}

/// The target itself may be a link; below it everything is read without following any.
fn not_through_links(
    disk: &dyn Disk,
    name: &SegmentName,
    target: &Path,
) -> Result<(), FolderError> {
    let mut at = target.to_owned();
    for part in &name.folder() {
        let entries = disk.list(&at).at(&at)?;
        at.push(part);
        let is_it = |entry: &Entry| entry.folder && part == entry.name.as_str();
        if !entries.iter().any(is_it) {
            return Err(FolderError::Link(at));
        }
    }
    Ok(())
}

/// Whether this segment was delivered before, and posts were taken out of it there on request: it
/// is not to come back.
fn is_redacted_there(
    disk: &dyn Disk,
    name: &SegmentName,
    path: &Path,
    ours: &Digest,
) -> Result<bool, FolderError> {
    if disk.len(path).at(path)?.is_none() {
        return Ok(false);
    }
    let bytes = disk::read_bounded(disk, path, SEAL_BYTES_MAX).at(path)?;
    // a seal that cannot be read is compared byte by byte, as every other file
    let there = Seal::read(&bytes, name).ok();
    let was_ours = |past: &Redacted| past.sha256 == ours.sha256;
    Ok(there.is_some_and(|there| there.redacted.iter().any(was_ours)))
}

/// Writes one file at the target unless the same bytes are there already. A segment may be compressed on either side;
/// its plain form is sent.
fn put_copy(
    disk: &dyn Disk,
    from: &Path,
    to: &Path,
    (root, key): (&Path, &Key),
    digest: &Digest,
) -> Result<(), FolderError> {
    let ours = digest.sha256;
    if raw::exists(disk, to).at(to)? {
        let there = sealed::digest_of(disk, to).at(to)?.sha256;
        let path = to.to_owned();
        return if there == ours {
            Ok(())
        } else {
            Err(FolderError::Conflict { path, there, ours })
        };
    }
    let content = Content {
        digest,
        open: &|| Ok(Box::new(raw::open(disk, from)?)),
    };
    let (from, to) = (from.to_owned(), to.to_owned());
    match (Folder { disk, root }).create(key, &content) {
        Ok(Created::Stands) => Ok(()),
        Ok(Created::Taken { sha256: there }) => Err(FolderError::Conflict {
            path: to,
            there,
            ours,
        }),
        Err(StoreError::Changed { found, .. }) => Err(FolderError::Here(SealedError::Content {
            path: from,
            sealed: ours,
            found,
        })),
        Err(StoreError::ReadBack { there, .. }) => {
            let path = disk::aside(&to);
            Err(FolderError::ReadBack { path, there, ours })
        }
        Err(StoreError::Io(source)) => Err(ErrorAt::new(&to, source).into()),
        Err(other) => Err(ErrorAt::new(&to, io::Error::other(other)).into()),
    }
}
