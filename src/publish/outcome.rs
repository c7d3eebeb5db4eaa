//! The result of a run: what is public now, what is not and why, and why nothing was done at all.

use std::path::PathBuf;

use serde::Serialize;

use super::{address::BadAddress, answer::Trouble, fork::Fork, look::LookError};
use crate::{
    alarm::AlarmKind,
    doi::Doi,
    period::UtcMs,
    vault::doi::Unreadable,
    world::{agent::NoCertificates, error_at::ErrorAt},
};

/// The result.
#[derive(Debug, Default, Serialize)]
pub struct PublishOutcome {
    /// Files that are public since this run, each read back.
    pub uploaded: Vec<Uploaded>,
    /// Files that turned out to be public already.
    pub confirmed: u64,
    /// Files that are not; they are tried again next time.
    pub failed: Vec<FailedFile>,
    /// Files that wait for the cap, or for a file before them.
    pub held: u64,
    /// Why no further ids went out: the cap would have been passed.
    pub capped: Option<String>,
    /// Why the run ended before its end.
    pub stopped: Option<Stopped>,
    /// New ids of the last 30 days.
    pub ids_in_30_days: u64,
    /// How many there may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids_per_30_days: Option<u64>,
}

/// A file that is public now.
#[derive(Debug, Serialize)]
pub struct Uploaded {
    /// Its path there.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
    /// Ids in it that were not public before.
    pub new_ids: u64,
}

/// A file that could not be made public.
#[derive(Debug, Serialize)]
pub struct FailedFile {
    /// Its path there.
    pub path: String,
    /// The word for what kind of trouble it is.
    pub alarm: AlarmKind,
    /// What happened.
    pub why: String,
}

/// Why a run ended early.
#[derive(Debug, Serialize)]
pub struct Stopped {
    /// The word for what kind of trouble it is.
    pub alarm: AlarmKind,
    /// What happened.
    pub why: String,
    /// When it may be tried again, if the service said so.
    pub not_before: Option<UtcMs>,
}

/// Why nothing could be done at all.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The vault.
    #[error(transparent)]
    Look(#[from] LookError),
    /// The API's address.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// No certificates.
    #[error(transparent)]
    Certificates(#[from] NoCertificates),
    /// A file of our own.
    #[error(transparent)]
    Io(#[from] ErrorAt),
    /// The disk is nearly full.
    #[error("too little space: {}: {free} bytes are free, merge.keep_free is {keep_free}", path.display())]
    Room {
        /// Where.
        path: PathBuf,
        /// Bytes.
        free: u64,
        /// Bytes.
        keep_free: u64,
    },
    /// The service has asked for time.
    #[error("OSF has asked for no more requests until {0}")]
    NotYet(UtcMs),
    /// What is public is not a former state of the vault.
    #[error(transparent)]
    Forked(#[from] Fork),
    /// No DOI can be minted.
    #[error(transparent)]
    NoDoi(#[from] NoDoi),
    /// The service could not be asked.
    #[error("{0}")]
    Trouble(Trouble),
}

/// Why no DOI is minted. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum NoDoi {
    /// What the vault keeps cannot be read.
    #[error(transparent)]
    Kept(#[from] Unreadable),
    /// The archive has one that leads elsewhere.
    #[error(
        "the archive has the DOI {doi}, which leads to the project {project}, and not to the one that is configured"
    )]
    Elsewhere {
        /// The DOI.
        doi: Doi,
        /// Where it leads.
        project: String,
    },
    /// OSF mints for public projects only.
    #[error("the project {0} is private")]
    Private(String),
    /// And for the people in charge of them.
    #[error("the token's owner is not an administrator of the project {0}")]
    NotAdmin(String),
}

/// Which alarm a trouble is.
pub fn alarm(trouble: &Trouble) -> AlarmKind {
    match trouble {
        Trouble::Unauthorized(_) => AlarmKind::OsfToken,
        Trouble::Refused { status: 507, .. } => AlarmKind::OsfQuota,
        Trouble::Refused { .. } | Trouble::Address(_) => AlarmKind::OsfRefused,
        Trouble::Passing { .. } => AlarmKind::OsfUnreachable,
    }
}
