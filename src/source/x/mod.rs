//! X: posts as its API delivers them, older (tweet) and newer (post) spelling alike.
//!
//! Unknown members never matter, and a member of an unexpected type is an empty cell.

pub(super) use lines::STREAMS;
pub use lines::X;

/// A post's columns of Parquet.
mod columns;
mod columns_beside;
mod columns_parts;
mod columns_post;
/// The columns of the CSV files.
mod csv;
/// Turns a post into the cells of the CSV files.
mod flatten;
/// Post ids, and the time that is in them.
pub mod id;
/// What X's lines are.
mod lines;
/// Parses a line into a post.
pub mod parse;
/// Posts of a unit of work.
mod records;
/// Why a line is no post.
mod reject;
/// How X is asked, and what its bytes are.
pub mod wire;
/// The texts on it.
mod words;
