//! Why an hour was not committed.

use std::path::PathBuf;

use crate::{
    merge::index::IndexError,
    source::key::Key,
    vault::{commit_error::CommitError, deleted::DeletedError},
    world::error_at::ErrorAt,
};

/// Why an hour was not committed. Its inputs are kept.
#[derive(Debug, thiserror::Error)]
pub enum HourError {
    /// A segment cannot be used any more.
    #[error("a segment cannot be used: {0}")]
    Index(#[from] IndexError),
    /// A segment is another one than when the hour was planned.
    #[error("{} has changed since the merge began", .0.display())]
    Changed(PathBuf),
    /// The rows that stand for raw data that is gone are not what was committed.
    #[error("raw data is gone, and {} is not as its manifest says", .0.display())]
    Former(PathBuf),
    /// A segment does not read as it was indexed.
    #[error("a segment cannot be used: {0}")]
    Segment(#[source] ErrorAt),
    /// The ids did not ascend.
    #[error("the ids do not ascend after {0}")]
    Order(Key),
    /// Lines have gone missing, or there are too many.
    #[error(
        "the books do not balance: {lines} lines taken, but {posts} posts, {duplicates} duplicates, {rejected} rejected lines and {deleted} deleted ones"
    )]
    Books {
        /// Lines taken, by the index.
        lines: u64,
        /// Different posts.
        posts: u64,
        /// Further copies.
        duplicates: u64,
        /// No posts.
        rejected: u64,
        /// Of what was deleted since.
        deleted: u64,
    },
    /// A file could not be written or read.
    #[error(transparent)]
    Io(#[from] ErrorAt),
    /// The lists of what was deleted.
    #[error("the list of deletions cannot be used: {0}")]
    Deleted(#[from] DeletedError),
    /// The vault.
    #[error(transparent)]
    Commit(#[from] CommitError),
}
