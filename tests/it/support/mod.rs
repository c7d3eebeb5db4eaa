//! What several tests need.

/// An API by hand, one closure per test.
pub mod api;

/// A disk in memory that forgets at a power cut what was not synced.
pub mod disk;

/// A collector with its folder.
pub mod site;
