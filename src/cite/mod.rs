//! The files by which the data set is found, cited and loaded: who made it, what it has, what is missing.
//!
//! ```text
//! [dataset] ─────────────────────┐        files ┌─croissant────▶ croissant.json
//! ledger ────────────────────────┼─description──┼─ro_crate─────▶ ro-crate-metadata.json
//! manifests ──day──▶ sums of days ┘             ├─datapackage──▶ datapackage.json
//!                                               ├─citation─────▶ CITATION.cff
//!                                               ├─datacite─────▶ datacite.json
//!                                               └─dataset_page─▶ DATASET.md
//! ```
//!
//! No clock and no host name: each is a function of configuration, ledger and manifests. What is said of an
//! archive is the sum of what is said of its days, so a day whose manifests are as they were is not read again.

/// What of the stream was requested, and what rules chose of it.
mod chosen;

/// `CITATION.cff`.
mod citation;

/// `croissant.json`.
mod croissant;

/// `datacite.json`, and what a person has said, out of it again.
pub mod datacite;

/// `datapackage.json`.
mod datapackage;

/// `DATASET.md`.
mod dataset_page;

/// What is said of a day, in small sums.
pub mod day;

/// Everything that is said of the data set.
pub mod description;

/// Which text each of the files has.
pub mod files;

/// Puts the files in place.
pub mod make;

/// `ro-crate-metadata.json`.
mod ro_crate;

/// The sentences that several files have.
mod words;
