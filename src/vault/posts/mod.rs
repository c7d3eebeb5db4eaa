//! `posts.parquet`: one row a post, ascending by id, with everything that was delivered of it.
//!
//! A source's columns and those that the program adds (`ours`) are behind the file's schema, the description
//! in its metadata and the data dictionary. A line goes through `rows` into batches, and those
//! through `write` into the file; `read` gives batches again, and `check` makes the rows again from
//! their lines.

/// Checks a file row by row.
pub mod check;

/// What every column means, for people and programs.
pub mod dictionary;

/// The file, as it is read.
pub mod read;

/// Posts → rows.
pub mod rows;

/// The columns that the program adds.
mod ours;

/// The file, as it is written.
pub mod write;
