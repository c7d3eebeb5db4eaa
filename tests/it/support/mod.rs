//! What several tests need.

/// A disk in memory that forgets at a power cut what was not synced.
pub mod disk;
