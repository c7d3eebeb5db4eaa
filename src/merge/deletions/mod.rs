//! Deletions, once a day: what the hours tell of them goes to the lists, and the hours that may hold what is meant are noted as
//! due, durably, before anything counts as heard (`vault/deleted` has the lists).

pub use hear::Hear;
pub(super) use lists::begin;

/// What is new is heard, and the hours that it is about are noted.
mod hear;
/// Which hours hold something of an account.
mod holders;
/// What the files of an hour say.
mod lists;
