//! What is settled before anything runs: one TOML file, the same on every server.
//!
//! ```text
//! text ──file──▶ Written (known keys, with lines) ──resolve──▶ Settings (cannot be wrong)
//!                default.toml ─────────────────────┘
//! ```
//!
//! Reads no files and no environment: texts and names are handed in.

/// Addresses as they are written.
pub mod address;
/// Who made the data set, and how it is to be cited.
pub mod dataset;
/// The TOML as it is written.
pub mod file;
/// `~` and `$HOME` in a path that a user writes.
pub mod home;
/// Which platforms there are.
pub mod platform;
/// The settings of the system that was there before.
pub mod predecessor;
/// The proxy of a network, as the environment names it.
pub mod proxy;
/// The user's file with a simulated world around it.
pub mod rehearsal;
/// Resolves the user's file and the defaults into settings, or reports everything that is wrong.
pub mod resolve;
/// `[bluesky]`.
mod resolve_bluesky;
/// `[dataset]`.
mod resolve_dataset;
/// `[mail]` and `[status]`.
mod resolve_mail_status;
/// `[publish.osf]`.
mod resolve_publish;
/// `[s3]`.
mod resolve_s3;
/// `[witness]`.
mod resolve_witness;
/// `[x]`.
pub mod resolve_x;
/// From a secret file's bytes and rights to a text that cannot be printed.
pub mod secrets;
/// The values that stages take; they exist only if every check has passed.
pub mod settings;
/// Where the stream of the chosen platform is, and what it needs.
mod stream;
/// Durations and sizes with their unit.
pub mod units;
/// A commented file from answers.
pub mod write;
