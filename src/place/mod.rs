//! Places: the folders on which an archive depends and that can be away (a disk that is not mounted), or
//! be another than the one that is meant. What is away is not new.
//!
//! ```text
//! places.json (remembered) ─┐
//! the folder's mark (found) ─┼─▶ decide ─▶ open ─▶ a `Place`, which nothing else can make
//! who asks ──────────────────┘
//! ```
//!
//! What a place can do is the trait `Store`, whatever it is made of (page 38).
//!
//! The configuration gives `Unopened` folders only, so that no stage can pass by it.

/// What is remembered, what is found, who asks → what to do.
pub mod decide;

/// The one way to a place.
pub mod open;

/// A folder as a place.
pub mod folder;

/// The id of a place.
pub mod id;

/// Which places a data directory has worked with.
pub mod memory;

/// The mark of a spool in a store, where it can be looked at.
pub mod mirror;

/// A prefix of an object store's bucket as a place.
pub mod s3;

/// Under which names segments lie in a place.
pub mod segments;

/// What a place can do: create, read, list, delete.
pub mod store;
