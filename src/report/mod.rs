//! The statement on a day: the certificate, its picture, and the README beside the published files.
//!
//! ```text
//! manifests of the day ──read──▶ statement ─┬────────────▶ …_certificate.json
//!                                   ▲       ├─certificate▶ …_certificate.txt
//!  ledger's stamps, DOI ────────────┘       ├─picture────▶ …_certificate.svg
//!                                           └─readme─────▶ …_README.md
//! ```
//!
//! The sentences are in `certificate` and the files that it names, in `readme`, and for causes of gaps in `gaps`; those of
//! the files to cite by are in `cite/words.rs`.
//!
//! No clock and no host name: the statement is a function of the day's manifests, the stamps that cover them and the
//! archive's DOI, and every other file of the day is one of the statement. Whoever has these can make them again, and
//! `verify` does.

/// The statement in words and numbers.
pub mod certificate;

/// Which file says what.
pub mod files;

/// Whose certificate does not speak of what is in place.
pub mod outdated;

/// The statement as a picture.
pub mod picture;

/// The certificate's section on collections.
mod collections;

/// The report on many legs.
mod legs;

/// From the disk to what the statement is made of.
pub mod read;

/// What a stranger needs to use the published files.
pub mod readme;

/// What each later revision changed.
pub mod revision;

/// The certificate's section on rules.
mod rules;

/// A stamp of the ledger as a text names it.
pub mod stamped;

/// Everything that is stated about a day.
pub mod statement;

/// The strips of the picture: what each second is, put into columns.
mod strip;

/// The certificate's section on gaps.
pub mod gaps;
