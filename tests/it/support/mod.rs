//! What several tests need.

/// An API by hand, one closure per test.
pub(crate) mod api;

/// A disk in memory that forgets at a power cut what was not synced.
pub(crate) mod disk;

/// A collector with its folder.
pub(crate) mod site;
