//! How an hour is stored in the vault (`layout` has the picture), and how it gets there.
//!
//! Nothing in here is true before its manifest is durable; the next stage can finish everything after that. This
//! module knows files and columns, but not segments or servers' clocks.

/// What is taken away of a vault in an object store: attempts that nobody reads any more.
pub mod attempts;
/// Writes a revision aside, commits it by its manifest, finishes what was left half done.
pub mod commit;
/// Why a revision was not committed, and why a vault in an object store cannot be used.
pub mod commit_error;
/// Examples of posts whose copies differ.
pub mod conflicts;
/// Rows of the CSV files.
pub mod csv;
/// The files of a day: report, gaps, exposure.
pub mod day;
/// What the files of each day are, without reading all of them each time.
pub mod day_hashes;
/// What was found of each day, and need not be looked for again.
pub mod day_notes;
/// What was deleted, and stays out.
pub mod deleted;
/// The Delta Lake log of a vault in an object store.
pub mod delta;
/// By what DOI the archive is cited.
pub mod doi;
/// What the vault is: `vault.json`.
pub mod identity;

/// A vault in an object store, and its copy here.
pub mod in_store;
/// Where every file of an hour lies.
pub mod layout;
/// The hash-chained list of revisions.
pub mod ledger;
/// Which hours are committed, without listing all days each time.
pub mod listings;
/// What a revision contains.
pub mod manifest;
/// The manifests of a vault in an object store, and nothing else of it.
pub mod manifests;
/// A vault that is put into an object store.
pub mod moved;
/// `posts.parquet`.
pub mod posts;
/// Which files may ever be public.
pub mod public;
/// The diary of what was put in public.
pub mod published;
/// What the publisher of a vault in an object store keeps beside its hours.
pub mod publisher_records;
/// The posts that were removed on request, and stay out.
pub mod redactions;
/// The day's report.
pub mod report;
/// Stamps of the ledger by an authority.
pub mod witness;
/// Files compressed with xz, hashed as they are written and as they are read.
pub mod xz;
