//! What the rest of this process may know of the collector: whether it makes progress.
//!
//! Three numbers that one side writes and the other reads, so nothing that reads them can hold the
//! collector up.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::period::UtcMs;

/// Longer than any step that ends by itself: a stall is given up after 30 s, an attempt to connect
/// earlier.
const GRACE_MS: i64 = 60_000;

/// Whether the collector makes progress.
#[derive(Debug)]
pub struct Progress {
    /// When bytes last came, or an attempt began.
    moved: AtomicI64,
    /// Until when it waits for a reason that it has told.
    waits_until: AtomicI64,
    begun: AtomicBool,
    full: AtomicBool,
    stopping: AtomicBool,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            moved: AtomicI64::new(i64::MIN),
            waits_until: AtomicI64::new(i64::MIN),
            begun: AtomicBool::new(false),
            full: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        }
    }
}

impl Progress {
    /// Bytes have come, keep-alives too, or an attempt begins.
    pub(super) fn moved(&self, at: UtcMs) {
        self.moved.store(at.0, Ordering::Relaxed);
    }

    /// It heeds signals and begins to collect.
    pub(super) fn begun(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    /// It waits on purpose.
    pub(super) fn waits(&self, until: UtcMs) {
        self.waits_until.store(until.0, Ordering::Relaxed);
    }

    pub(super) fn full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    pub(super) fn stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether bytes came, an attempt began or a wait ended in the last minute, or it waits now,
    /// be it for room on the disk.
    pub fn goes_on(&self, now: UtcMs) -> bool {
        let last = self.moved.load(Ordering::Relaxed);
        let last = last.max(self.waits_until.load(Ordering::Relaxed));
        self.is_full() || now.0.saturating_sub(last) <= GRACE_MS
    }

    /// Whether it has begun: from then on, it ends in order on request.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Whether it waits for room on the disk.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Whether it has been told to end.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_no_progress_and_a_told_wait_is() {
        let progress = Progress::default();
        let at = |s: i64| UtcMs(1_000 * s);
        assert!(!progress.goes_on(at(0)));
        progress.moved(at(0));
        assert!(progress.goes_on(at(60)));
        assert!(!progress.goes_on(at(61)));
        progress.waits(at(900));
        assert!(progress.goes_on(at(960)));
        assert!(!progress.goes_on(at(961)));
        progress.full(true);
        assert!(progress.goes_on(at(5_000)));
    }
}
