//! Places: the folders, and folders in object stores, on which an archive depends. They can be away (a disk that is not mounted), or another one can
//! be in their place. What is away is not new.
//!
//! ```text
//! places.json (remembered) ─┐
//! the folder's mark (found) ─┼─▶ decide ─▶ open ─▶ a `Place`, which nothing else can make
//! who asks ──────────────────┘
//! ```
//!
//! The trait `Store` has the operations of every kind of place (decision 38). A new kind is a file here that implements it, a
//! form of address (`config/address.rs`, `Target`), and the code that opens it from the configuration, which for an object
//! store is `cli/store.rs`. `deliver` has a file for each kind of target.
//!
//! The configuration gives only `Unopened` folders, so no stage can bypass this.

/// Decides what to do, from the recorded id, what is found, and who asks.
pub mod decide;

/// The one way to a place.
pub mod open;

/// A folder as a place.
pub mod folder;

/// The id of a place.
pub mod id;

/// Which places a data directory has worked with.
pub mod memory;

/// The mark of a spool in a store, copied where it can be read.
pub mod mirror;

/// A prefix of an object store's bucket as a place.
pub mod s3;

/// The names of segments in a place.
pub mod segments;

/// What a place can do: create, read, list, delete.
pub mod store;
