//! What all connections to the instances share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{instance::Feed, session::SessionContext};
use crate::simulate::ports;

/// What all connections share.
pub(super) struct Shared {
    pub(super) ports: Arc<ports::Common>,
    pub(super) dictionary: Option<Vec<u8>>,
    pub(super) feed: Mutex<Feed>,
    pub(super) window_ms: i64,
}

impl Shared {
    pub(super) fn feed(&self) -> MutexGuard<'_, Feed> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a session look at what all share.
    pub(super) fn with_context<T>(&self, of: impl FnOnce(&mut SessionContext<'_>) -> T) -> T {
        of(&mut SessionContext {
            feed: &mut self.feed(),
            schedule: &self.ports.schedule,
            seed: self.ports.seed,
            window_ms: self.window_ms,
        })
    }
}
