//! Deletes here what is safe there: the only code of this stage that deletes.
//!
//! An acknowledgement counts only if it names the bytes that are here. One for other bytes under the same name is
//! reported, and nothing is deleted.

use std::path::Path;

use super::{
    plan::Settled,
    sealed::{self, SealedError},
};
use crate::{
    segment::{raw, sha256::Sha256},
    world::{
        disk::Disk,
        error_at::{At as _, ErrorAt},
    },
};

/// Why a settled segment stays.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// Its files here.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// What was acknowledged is something else.
    #[error(
        "{name} was acknowledged with sha256 {acknowledged}, but the file here has {here}: both are kept"
    )]
    Other {
        /// Which file.
        name: String,
        /// What the primary has.
        acknowledged: Sha256,
        /// What is here.
        here: Sha256,
    },
    /// A file could not be removed.
    #[error(transparent)]
    Io(#[from] ErrorAt),
}

/// Deletes the three files of a segment if the acknowledged bytes are those that are here.
pub fn remove(disk: &dyn Disk, settled: &Settled, spool: &Path) -> Result<(), SettleError> {
    let paths = settled.name.paths(spool);
    let here = sealed::digests(disk, &settled.name, &paths)?;
    for (digest, ack) in here.iter().zip(&settled.acks) {
        if digest.sha256 != ack.sha256 {
            return Err(SettleError::Other {
                name: ack.file.clone(),
                acknowledged: ack.sha256,
                here: digest.sha256,
            });
        }
    }
    Ok(raw::remove(disk, &paths).at(&paths.folder)?)
}
