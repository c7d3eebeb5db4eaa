//! Stage 1: from the socket to sealed segments. Understands lines, not posts.
//!
//! ```text
//! connect ▶ session ▶ intake (gunzip, frame, notice) ▶ outbox ═queue═▶ scribe: write │ sync, seal
//!             ▲                                          pulse: one record a minute
//!          driver ◀ backoff: when to try again
//! ```
//!
//! One task reads, one thread writes, one thread syncs and seals; nothing on the disk's side can
//! hold up reading before the queue between them is full. A connection's end is never the
//! process's end: only a signal or a failing disk is.

use std::{io, path::PathBuf, sync::Arc};

pub use connect::ApiError;

use crate::{
    config::settings::{Secret, X},
    segment::{name::ServerId, writer::WriteError},
    world::{clock::Clock, disk::Disk},
};

mod connect;
mod driver;
mod frame;
mod gunzip;
mod halt;
mod intake;
mod notice;
mod outbox;
mod pulse;
mod query;
mod scribe;
mod session;

/// What collecting needs.
pub struct Collector {
    /// Where the spool is.
    pub spool: PathBuf,
    /// Which server this is.
    pub server: ServerId,
    /// The stream.
    pub x: X,
    /// The API's token.
    pub token: Secret,
    /// The time.
    pub clock: Clock,
    /// The disk.
    pub disk: Arc<dyn Disk>,
}

/// Why collecting ended, or could not begin.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The API cannot be spoken to as configured.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// What an earlier run left could not be mended.
    #[error("cannot recover what an earlier run left open: {0}")]
    Recover(WriteError),
    /// The spool cannot be used.
    #[error("cannot use the spool: {}: {source}", path.display())]
    Spool {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system did not give what a process needs.
    #[error("cannot start: {0}")]
    Start(io::Error),
    /// The disk failed while collecting.
    #[error("{0}")]
    Disk(String),
    /// It had to end while the disk was full or too slow.
    #[error("not everything that was received could be written and sealed before the end")]
    Unwritten,
}

impl Collector {
    /// Collects until it is told to stop.
    pub fn run(self) -> Result<(), CollectError> {
        driver::run(self)
    }
}
