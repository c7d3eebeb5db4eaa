//! `posts.parquet`: one row a post, ascending by id, with everything that was delivered of it.
//!
//! A source's columns and those that the program adds (`ours`) are behind the file's schema, the description
//! in its metadata and the data dictionary. A line goes through `rows` into batches, and those
//! through `write` into the file; `read` gives batches again.

/// What every column means, for people and programs.
pub mod dictionary;

/// The file, as it is read.
pub mod read;

/// Turns posts into rows.
pub mod rows;

/// The columns that the program adds.
pub mod ours;

/// The file, as it is written.
pub mod write;
