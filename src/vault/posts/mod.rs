//! `posts.parquet`: one row a post, ascending by id, with everything that was delivered of it.
//!
//! `columns` is the one list behind the file's schema, the description in its metadata and the data
//! dictionary. A line goes through `rows` (typed cells, made by `cells`) into batches, and those
//! through `write` into the file; `read` gives batches again, and `check` makes the rows again from
//! their lines.

/// What comes beside a post: users, media, polls, places, topics.
mod api_beside;

/// What posts and users have in common.
mod api_parts;

/// Posts as the API has them.
mod api_post;

/// JSON → typed columns.
mod cells;

/// Checks a file row by row.
pub mod check;

/// The list of columns.
pub mod columns;

/// What every column means, for people and programs.
pub mod dictionary;

/// The file, as it is read.
pub mod read;

/// Posts → rows.
pub mod rows;

/// Columns → Arrow's types.
mod arrow;

/// The file, as it is written.
pub mod write;
