//! From all servers' segments to committed vault hours.
//!
//! ```text
//! spool ──index──▶ runs of lines with one post minute ──plan──▶ hours that are due
//!                                                                     │
//!       units (a minute, or part of one) ◀── hour ◀──────────────────┘
//!          │ workers: read, parse, dedupe, sort, flatten
//!          ▼
//!       one writer, in order ──▶ IDs, tweets, users (spilled), rejected ──▶ manifest ──▶ commit
//! ```
//!
//! The same inputs give the same bytes, whatever the order of arrival, the number of threads or
//! of merges. Memory is bounded by the units in flight, not by the hour. One bad line, segment or
//! hour never stops the others.

/// Copies of posts → each post once, and what that says about the servers.
pub mod dedupe;

/// What a sealed segment holds, read once.
pub mod index;

/// A minute, or part of one: its lines from all segments → rows.
pub mod unit;

/// The latest row of each author, with bounded memory.
pub mod users;

/// Work done by several threads, taken in order.
pub mod workers;
