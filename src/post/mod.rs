//! What a line says: its post, or the reason for which it is none.
//!
//! Only `merge` and its readers understand posts; collecting does not, so that a change of the
//! JSON costs a new merge and never a post. Both spellings of the API (tweet and post) are read,
//! unknown members never matter, and a member of an unexpected type is an empty cell.

/// The text of a JSON string.
mod escape;

/// A post → the cells of the CSV files.
pub mod flatten;

/// Post ids, and the time that is in them.
pub mod id;

/// JSON without opinions: members, items and texts as they stand in the line.
pub mod json;

/// A line → a post.
pub mod parse;

/// The closed list of reasons for which a line is no post.
pub mod reject;
