//! The only thing that can be sent.
//!
//! A `Publishable` is made from a kind of the closed list of `vault::public`, never from a path or
//! from bytes, and the bytes that it holds were held against the vault's manifests (see `truth`): an ids
//! file has ids and nothing else, a day's file is what its manifests make of it. So what lies under
//! the name of a public file and is something else stays here.

use std::path::PathBuf;

use super::{
    plan::Wanted,
    truth::{Truth, Untrue},
};
use crate::{
    segment::sha256::Sha256,
    vault::public::Public,
    world::{
        disk,
        error_at::{At as _, ErrorAt},
    },
};

/// An hour of X's sample has about a megabyte of ids, one of its firehose less than a hundred; a file beyond this is not sent, since
/// it is held whole while it is.
const BYTES_MAX: u64 = 256 << 20;

/// Bytes that may be public, and are those that were wanted.
pub struct Publishable {
    bytes: Vec<u8>,
}

/// Why a file is not sent.
#[derive(Debug, thiserror::Error)]
pub enum NotPublishable {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] ErrorAt),
    /// It is not the file any more that it was when this run began: a merge has made another one.
    #[error("{} changed during this run", .0.display())]
    Changed(PathBuf),
    /// It goes with a certificate that speaks of former revisions.
    #[error("{} is older than the revisions in place: the next `twinstream report` writes it again", .0.display())]
    Outdated(PathBuf),
    /// What is in it is not what it must be.
    #[error("{} is not what it must be: {why}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl Publishable {
    /// Reads a wanted file and holds it against the truth.
    pub(super) fn read(truth: &Truth<'_>, wanted: &Wanted) -> Result<Self, NotPublishable> {
        let path = wanted.what.path(truth.vault);
        let mut bytes = disk::read_bounded(truth.disk, &path, BYTES_MAX).at(&path)?;
        if wanted.what == Public::Ledger {
            // it has grown by whole lines only; what this run speaks of is its beginning
            bytes.truncate(usize::try_from(wanted.bytes).unwrap_or(usize::MAX));
        }
        if Sha256::of(&bytes) != wanted.sha256 {
            return Err(NotPublishable::Changed(path));
        }
        match truth.check(wanted.what, &bytes) {
            Ok(()) => Ok(Self { bytes }),
            Err(Untrue::Outdated) => Err(NotPublishable::Outdated(path)),
            Err(Untrue::Other(why)) => Err(NotPublishable::Content { path, why }),
        }
    }

    /// What is sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
