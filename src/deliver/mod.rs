//! Sends what is sealed and not yet acknowledged, and deletes only what is acknowledged.
//!
//! ```text
//! <spool>/2/…/2_sample_…_000.{jsonl,events.jsonl,seal.json}
//!        │ copied, synced, read back and checked against the seal; the seal last
//!        ▼
//! <target>/2/…/the same names          <target>/2/acks.jsonl   one line for each file that is safe there
//! ```
//!
//! An interrupted, repeated or overlapping delivery loses and duplicates nothing: every step asks
//! what is there already. A file of other content under the same name is never overwritten.

/// A folder as target: copies durably.
pub mod folder;

/// What is here and what is acknowledged → what to send, what may go.
pub mod plan;

/// One delivery.
pub mod run;
