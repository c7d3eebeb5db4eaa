//! One hour: from its runs to a committed revision.
//! ```text
//! due ─▶ make: its segments' runs ─▶ units (a minute, or part of one) ─▶ distribute: lines to units
//!                                       │ workers: unit: parse, dedupe, sort, flatten
//!                                       ▼
//!                        one writer, in order ─▶ files of the hour ─▶ summary: manifest ─▶ commit
//! ```

/// Examples of posts whose copies differ.
pub mod conflicts;
/// What every hour is merged with, and the files that are being written of one.
pub mod context;
/// Reduces copies of posts to one each, and counts what they say about the servers.
pub mod dedupe;
/// Lines on their way from segments to units.
pub mod distribute;
/// An hour that is due.
pub mod due;
/// The rows of the former revision, where its raw data is gone.
pub mod former;
/// What is made of the units of an hour.
pub mod made;
/// One hour: from its runs to a committed revision.
pub mod make;
mod named;
/// Lines that are not posts, kept verbatim.
pub mod rejected;
/// What the events files of an hour told, also those that are gone.
pub mod remembered;
/// Makes an hour's manifest from its sums.
pub mod summary;
/// What is taken out on request of rows whose raw data is gone.
pub mod taken_out;
/// The state of each server's connection, from the events files among an hour's inputs.
pub mod timelines;
/// Why an hour was not committed.
pub mod uncommitted;
/// Turns the lines of a minute, or of a part of one, from all segments into rows.
pub mod unit;
/// Divides the posts of an hour into units of work.
pub mod units;
/// The latest row of each author, with bounded memory.
pub mod users;
/// Whether the sample is still taken from the same milliseconds.
pub mod window;
