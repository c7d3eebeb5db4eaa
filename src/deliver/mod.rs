//! Sends what is sealed and not yet acknowledged, and deletes only what is acknowledged.
//!
//! ```text
//! <spool>/2/…/2_sample_…_000.{jsonl,events.jsonl,seal.json}
//!        │ copied, synced, read back and checked against the seal; the seal last
//!        ▼
//! <target>/2/…/the same names          <target>/2/acks.jsonl   one line for each file that is safe there
//! ```
//!
//! In an object store the same names are created, once (decision 38), with segments compressed, and mergers fetch them.
//!
//! Over ssh the primary does the second half: it receives, and acknowledges.
//!
//! An interrupted, repeated or overlapping delivery loses and duplicates nothing: every step checks what is there
//! already. A file with other content under the same name is never overwritten.

/// What has arrived in an object store, told by who delivers.
mod arrivals;

/// The primary's side of an object store: fetches what was delivered there.
pub mod fetch;

/// A folder as target: copies durably.
pub mod folder;

/// One delivery over ssh.
pub mod over_ssh;

/// Decides what to send and what may be deleted, from what is here and what is acknowledged.
pub mod plan;

/// The primary's side: reads back what was delivered, and acknowledges it.
pub mod receive;

/// Where, as the key sees it, the folder on the primary lies.
pub mod remote_folder;

/// rsync over ssh as a child process.
pub mod rsync;

/// One delivery to a folder.
pub mod run;

/// Whether a sealed segment is what its seal says.
pub mod sealed;

/// Deletes here what is safe there.
pub mod settle;

/// One delivery to an object store.
pub mod to_store;
