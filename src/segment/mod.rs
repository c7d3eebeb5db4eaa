//! How one minute of one server is stored in the spool, and the life of its three files.
//!
//! ```text
//! <spool>/<server>/<YYYY-MM-DD>/<HH>/                     UTC, by arrival
//!     1_sample_20261123T1405Z_3fa9c01b_000.jsonl          the segment: one line per received line
//!     1_sample_20261123T1405Z_3fa9c01b_000.events.jsonl   what happened to the connection
//!     1_sample_20261123T1405Z_3fa9c01b_000.seal.json      counts and hashes of the two
//!
//! .jsonl.open ──lines──▶ .jsonl.open ──sync, rename──▶ .jsonl ──seal──▶ sealed: never changes again
//!                                              ──merged──▶ .jsonl.zst (the same lines, compressed) ──▶ gone
//! ```
//!
//! The seal is written last and durably: present ⇒ complete. Everything without one is open, or
//! was left by a crash and will be cut after its last whole line and sealed as `recovered`.
//! Bytes, counts and hashes only: this module does not know what a post is.

/// What has been read back and checked where it was delivered to.
pub mod acks;

/// Where lies what cannot be used.
pub mod aside;

/// The collections that a stream is asked for.
pub mod collections;

/// The folders of a spool by day, and what they were like.
pub mod days;

/// The records of an events file.
pub mod event;

/// A stored line: the received bytes, and the one member that is put in.
pub mod line;

/// Names of the files, read as strictly as they are written.
pub mod name;

/// The bytes of a sealed segment, plain or compressed.
pub mod raw;

/// The rules that choose what a stream brings.
pub mod rules;

/// The closing record.
pub mod seal;

/// The runs of a server in their order.
pub mod runs;

/// By what a file is known to be the same.
pub mod sha256;

/// Lists a spool.
pub mod spool;

/// Mends what an unclean end left behind.
pub mod recover;

/// Writes segments and events files, and seals them.
pub mod writer;
