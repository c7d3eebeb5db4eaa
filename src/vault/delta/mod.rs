//! The Delta Lake log of a vault in an object store: which `posts.parquet` each hour consists of, now and at every version
//! before, for polars, `deltalake` and all other readers of such tables.
//!
//! ```text
//! _delta_log/00000000000000000041.json                 version 41, created once: the files that came and went, and how
//!                                                      many lines of the ledger are in it
//! _delta_log/00000000000000000100.checkpoint.parquet   all files of version 100: who reads a later one begins here
//! _delta_log/_last_checkpoint                          where the latest of them is
//! ```
//!
//! A version follows from the one before, the ledger, and the manifests: nothing else is known or remembered, so any
//! machine can write the next one, and whoever comes next does what a killed one has left undone. Of two that write the
//! same version one wins, and the other goes on after it.

/// The lines of a version.
pub mod action;
/// Whether the log is what the ledger says.
pub mod check;
/// All files of a version, as a file.
pub mod checkpoint;
/// Writes the versions that are missing, and reads them.
pub mod log;
/// The columns, in Delta Lake's words.
pub mod schema;
/// The files of a version, and how they change with the ledger.
pub mod table;
