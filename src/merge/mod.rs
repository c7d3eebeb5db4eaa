//! From all servers' segments to committed vault hours.
//! ```text
//! spool ──index──▶ runs of lines with one post minute ──plan──▶ hours that are due
//!                                                                     │
//!       units (a minute, or part of one) ◀── hour ◀──────────────────┘   workers: parse, dedupe, sort, flatten
//!          ▼
//!       one writer, in order ──▶ IDs, tweets, users (spilled), rejected ──▶ manifest ──▶ commit
//! ```
//! The same inputs give the same bytes. Memory is bounded by the units in flight. A bad line, segment or hour stops no other.

/// Which days of the spool are closed after a merge.
mod close;
/// Days of the spool of which all is merged.
pub mod closed;
/// What was deleted, honoured once a day.
pub mod deletions;
/// One hour: from its runs to a committed revision.
pub mod hour;
/// What a sealed segment holds, read once.
pub mod index;
/// The order for a merge, its progress, and why nothing could be merged at all.
pub mod job;
/// Where lines belong that were read before.
mod known_lines;
/// What is there, and what may be due.
pub mod look;
/// What a merge notes, so that it is finished whatever happens.
mod note;
/// The result of a merge.
pub mod outcome;
/// The minute of each segment on the posts' clock.
pub mod placing;
/// Decides which hours are due.
pub mod plan;
/// What a merge would do.
pub mod preview;
/// Takes posts out of raw data on request.
pub mod redact;
/// Decides which raw data may be compressed, and which may be deleted.
pub mod retention;
/// One merge of everything that is due.
pub mod run;
/// Divides a segment's lines into runs.
pub mod runs;
/// The segments in the spool, and those that cannot be used.
pub mod spool_segments;
/// Compresses and deletes raw data that has been merged.
pub mod sweep;
/// Which segments a task leaves in the object store.
pub mod unfetched;
