//! Stage 4: what is committed becomes public, on OSF.
//!
//! What is OSF's own is in `osf` (the calls), `answer` (what it says), `address` (its hosts), `folders` (its tree) and `doi`;
//! another archive host needs these again. The other files do not depend on the host.
//!
//! What is to be done follows from two lists: what the ledger and the manifests say should be public,
//! and what the remote folder says it holds. The diary (`published.jsonl`) only says where to look and
//! how many ids went out. A file counts when its bytes were read back. Nothing but a
//! `publishable::Publishable` can be sent, and that can be made of the closed list of
//! `vault::public` only.
//!
//! ```text
//! look (vault, diary) ─▶ folders, listing (osf) ─▶ plan ─▶ upload (osf: put, read back) ─▶ diary
//! ```

/// Where a request may go, and where a credential may.
pub mod address;
/// A file that is public and that the diary does not know.
mod adopt;
/// What OSF answers: entries, and trouble of three kinds.
pub mod answer;
/// Compares all that is public with the vault.
pub mod audit;
/// The project's DOI.
pub mod doi;
/// The folders of the remote tree.
pub mod folders;
/// Whether our ledger begins with the public one.
pub mod fork;
/// The order for a run.
pub mod job;
/// What should be public, and is not known to be.
pub mod look;
/// The calls to OSF.
pub mod osf;
/// The result of a run.
pub mod outcome;
/// What to do: two lists in, an order of work out.
pub mod plan;
/// The only thing that can be sent.
pub mod publishable;
/// How long to wait after a failure, and when to give up.
pub mod retry;
/// One run.
pub mod run;
/// Whether a file is what the manifests say it must be.
mod truth;
/// One file, until it is there.
pub mod upload;
