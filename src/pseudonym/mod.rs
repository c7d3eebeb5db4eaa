//! A copy of days of the vault for sharing inside a team, in which keyed hashes stand for ids.
//!
//! ```text
//! posts.parquet ──row──▶ typed cells ─┬─key────▶ hashes of ids ─┬─▶ …_posts.csv.xz
//!                                     └─words──▶ cleaned texts ─┘   …_users.csv.xz (of X)
//! ```
//!
//! What is copied is a closed list: a member that the API adds one day stays behind. Who a person is can
//! still be found out from what they wrote; `README.md` in the copy says how.

/// Bluesky's posts.
mod bluesky;

/// Copies days into a folder of files.
pub mod copy;

/// Replaces ids with hashes under a key.
pub mod key;

/// Cells of a row.
mod row;

/// The tables.
mod tables;

/// Texts without what names a person or a post.
mod words;

/// X's posts.
mod x;

pub use bluesky::FORM as BLUESKY;
pub use tables::Form;
pub use x::FORM as X;
