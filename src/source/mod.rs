//! What a stream is. Everything known of a platform is in a folder of its own, behind one trait (`Source`): what a
//! line is, in which columns it is written, and how ids are listed.
//!
//! Everything else works on keys, times and the names of columns, and cannot import such a folder
//! (`tests/it/tidy.rs`); `Sources` is where the word of a stream becomes what its lines are. Collecting does not
//! ask what a line is, so a change of the JSON costs a new merge and never a record.
//!
//! A new platform is a folder here and a row in `platform`, its settings (`config/platform.rs` says which), and a file
//! each in `cli/platform/`, `pseudonym/` and `simulate/`.

pub use deletions::Deletions;
pub use platform::{BLUESKY, FILTERED, FIREHOSE, SAMPLE, SAMPLE10, Source, Sources, Stream};
pub use record::{AuthorName, Difference, Listed, Placed, Records, Rejected};
pub use table::{Dictionary, Join, List, Named, Table, differing, joined};
pub use words::Words;

/// The Arrow types of columns.
pub mod arrow;
/// Bluesky.
pub mod bluesky;
/// Turns JSON into typed columns.
pub mod cells;
/// What a column of Parquet is.
pub mod columns;
/// How a stream reports that records are gone.
pub mod deletions;
/// The text of a JSON string.
mod escape;
/// The body of an HTTP answer, decoded as its bytes come.
pub mod gunzip;
/// JSON without opinions: members, items and texts as they stand in the line.
pub mod json;
/// What names a record.
pub mod key;
/// Whether an answer is a page of somebody else.
pub mod page;
/// What there is to know of a platform.
mod platform;
/// What a line is.
mod record;
/// The CSV files of an hour, and what is said of all files.
mod table;
/// How a stream is asked for, and what its bytes are.
pub mod wire;
/// The texts on a platform.
pub mod words;
/// X.
pub mod x;
