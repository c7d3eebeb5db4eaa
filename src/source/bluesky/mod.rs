//! Bluesky: events as Jetstream delivers them (v1 wire), one JSON object a line.
//!
//! A commit is a change of one record in one repository; identity and account events say how an account is called and
//! whether it is active. Every event has a row in `posts.parquet`; commits that create or update have a line in the list of
//! ids, and if they are posts, a row in the table; those that delete have a line in the list of deletions.

pub(super) use lines::BLUESKY;
pub use lines::Bluesky;

/// What became of an account, as a line.
mod account;
/// An event's columns of Parquet.
mod columns;
mod columns_record;
/// The columns of the CSV files.
mod csv;
/// How deletions are reported.
mod deletions;
/// Parses a line into an event.
mod event;
/// What Bluesky's lines are.
mod lines;
/// What names an event.
mod name;
/// Turns a post's record into the cells of the table.
mod post;
/// Events of a unit of work.
mod records;
/// Why a line is no event.
mod reject;
/// Timestamp identifiers: the instant that is in a revision.
pub mod tid;
/// What a torn line may name.
mod torn;
/// How Jetstream is asked for events, and what its messages are.
pub mod wire;
/// The texts on it.
mod words;
