//! Deletions, once a day: adds those in the hours to the lists, and durably records the hours that may hold the
//! deleted records as due, before anything counts as read (`vault/deleted` has the lists).

pub use honour::Honour;
pub(super) use lists::begin;

/// Which hours hold something of an account.
mod holders;
/// Adds new deletions to the lists, and records the hours that they concern.
mod honour;
/// What the files of an hour say.
mod lists;
