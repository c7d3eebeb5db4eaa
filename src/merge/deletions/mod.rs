//! Deletions, once a day: what the hours tell of them goes to the lists, and the hours that may hold what is meant are noted as
//! due, durably, before anything counts as read (`vault/deleted` has the lists).

pub use honour::Honour;
pub(super) use lists::begin;

/// Which hours hold something of an account.
mod holders;
/// What is new goes on the lists, and the hours that it is about are noted.
mod honour;
/// What the files of an hour say.
mod lists;
