//! From all servers' segments to committed vault hours.
//! ```text
//! spool ──index──▶ runs of lines with one post minute ──plan──▶ hours that are due
//!                                                                     │
//!       units (a minute, or part of one) ◀── hour ◀──────────────────┘   workers: parse, dedupe, sort, flatten
//!          ▼
//!       one writer, in order ──▶ IDs, tweets, users (spilled), rejected ──▶ manifest ──▶ commit
//! ```
//! The same inputs give the same bytes. Memory is bounded by the units in flight. A bad line, segment or hour stops no other.

/// Examples of posts whose copies differ.
pub mod conflicts;
/// Lines on their way from segments to units.
pub mod deal;
/// Copies of posts → each post once, and what that says about the servers.
pub mod dedupe;
/// What was deleted, honoured once a day.
pub mod deletions;
/// An hour that is due.
pub mod due;
/// Why an hour was not committed.
pub mod error;
/// The rows of the former revision, where its raw data is gone.
pub mod former;
/// One hour: from its runs to a committed revision.
pub mod hour;
/// What a sealed segment holds, read once.
pub mod index;
/// What a merge is told, how far it is, and why nothing could be merged at all.
pub mod job;
/// What is there, and what may be due.
pub mod look;
/// What is made of the units of an hour.
pub mod made;
mod named;
/// What came of a merge.
pub mod outcome;
/// What is there, what is committed, and now → the hours that are due.
pub mod plan;
/// What a merge would do.
pub mod preview;
/// Takes posts out of raw data on request.
pub mod redact;
/// Lines that are no posts, kept verbatim.
pub mod rejected;
/// What the hours say about raw data → what may be compressed, and what may go.
pub mod retention;
/// One merge of everything that is due.
pub mod run;
/// A segment's lines → its runs.
pub mod runs;
/// What lies in the spool, and what of it cannot be used.
pub mod stock;
/// The sums of an hour → its manifest.
pub mod summary;
/// Compresses and deletes raw data that has been merged.
pub mod sweep;
/// What is taken out on request of rows whose raw data is gone.
pub mod taken_out;
/// The events files among an hour's inputs → what each server's connection was like.
pub mod timelines;
/// A minute, or part of one: its lines from all segments → rows.
pub mod unit;
/// The posts of an hour → units of work.
pub mod units;
/// The latest row of each author, with bounded memory.
pub mod users;
/// Whether the sample is still taken from the same milliseconds.
pub mod window;
/// Work done by several threads, taken in order.
pub mod workers;
/// What every hour is merged with, and the files that are being written of one.
pub mod workshop;
