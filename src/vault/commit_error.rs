//! Why a revision was not committed, and why a vault in an object store cannot be used.

use std::{io, path::PathBuf};

use super::{identity::IdentityError, ledger::LedgerError, manifest::ManifestError};
use crate::{
    period::Hour,
    place::store::{NotAKey, StoreError},
    world::error_at::ErrorAt,
};

/// Why a revision was not committed, or not finished.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// A file.
    #[error(transparent)]
    Io(#[from] ErrorAt),
    /// A manifest, or a file of the day.
    #[error(transparent)]
    Manifest(#[from] ErrorAt<ManifestError>),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What the vault is.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The vault in an object store.
    #[error(transparent)]
    InStore(Box<InStoreError>),
    /// Another machine has committed this revision.
    #[error("another machine has committed revision {revision} of hour {hour}")]
    Taken {
        /// Which hour.
        hour: Hour,
        /// Which revision.
        revision: u64,
    },
    /// A file does not read back as it was written.
    #[error("{} does not read back as it was written: {what}", path.display())]
    ReadBack {
        /// Which.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// A file is in the way that no manifest names.
    #[error("{} exists but belongs to no revision; it was not overwritten", .0.display())]
    Foreign(PathBuf),
    /// What a committed manifest names is neither aside nor in place.
    #[error("{} of revision {revision} is missing", path.display())]
    Missing {
        /// Which.
        path: PathBuf,
        /// Of which revision.
        revision: u64,
    },
}

impl CommitError {
    /// Whether the place of the vault does not answer.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::InStore(why) if why.is_away())
    }
}

/// Why a vault in a store cannot be used, or not be followed.
#[derive(Debug, thiserror::Error)]
pub enum InStoreError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The copy here.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The copy's ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A file here.
    #[error(transparent)]
    Io(#[from] ErrorAt),
    /// A file of a revision that others have superseded meanwhile is gone.
    #[error("{place}/{key}: it is gone: a later revision of its hour was committed meanwhile")]
    Superseded {
        /// Which vault.
        place: String,
        /// Which object.
        key: String,
    },
    /// Something in the store is not what it must be.
    #[error("{place}/{key}: {why}")]
    Wrong {
        /// Which vault.
        place: String,
        /// Which object.
        key: String,
        /// What is wrong with it.
        why: String,
    },
}

impl InStoreError {
    /// Whether the store does not answer.
    pub const fn is_away(&self) -> bool {
        matches!(self, Self::Store(why) if why.is_passing())
    }
}

impl From<NotAKey> for InStoreError {
    fn from(why: NotAKey) -> Self {
        Self::Store(StoreError::Io(io::Error::other(why)))
    }
}
