//! What all connections to the simulated X API share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{feed::Feed, gate::Gate, ports::Common};

/// What all connections share.
pub(super) struct Shared {
    pub(super) common: Arc<Common>,
    pub(super) feed: Mutex<Feed>,
    pub(super) gate: Mutex<Gate>,
    pub(super) gzip: bool,
}

impl Shared {
    pub(super) fn feed(&self) -> MutexGuard<'_, Feed> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
