//! How a stream reports that records are gone, and how its reports are matched with records.

use std::fmt;

use super::key::Key;
use crate::period::UtcMs;

/// A version of a record that can be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version<'k> {
    /// Where the record is.
    pub record: String,
    /// Its revision. Those of one record ascend as texts.
    pub revision: &'k str,
    /// The time of that.
    pub at: UtcMs,
    /// Whose it is.
    pub account: &'k str,
}

/// What a line of `deletions.txt` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeletionLine<'l> {
    /// A record was deleted.
    Record {
        /// Where it was.
        record: &'l str,
        /// The revision that deleted it.
        revision: &'l str,
        /// The time of that.
        at: UtcMs,
    },
    /// Something became of an account.
    Account {
        /// Which.
        account: &'l str,
        /// When.
        at: UtcMs,
        /// The event's number: later ones have greater ones.
        number: u64,
        /// What.
        standing: AccountStatus,
    },
}

/// What became of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountStatus {
    /// It is there.
    Active,
    /// It is not there, and may come back.
    Away,
    /// It is gone.
    Gone,
    /// Something that says nothing about it: a server has fallen behind.
    Unchanged,
}

/// What a line that is no record names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Where records are.
    pub records: Vec<String>,
    /// Accounts whose line it may be.
    pub accounts: Vec<String>,
}

/// The interface of a stream that reports deletions.
pub trait Deletions: Send + Sync + fmt::Debug {
    /// The version of a record that a key names, if it can be deleted.
    fn version<'k>(&self, key: &'k Key) -> Option<Version<'k>>;

    /// What a line of `deletions.txt` tells.
    fn told<'l>(&self, line: &'l str) -> Option<DeletionLine<'l>>;

    /// Whose record an address leads to; `None` if it is no address.
    fn account_of(&self, record: &str) -> Option<Key>;

    /// When a record was made, as its address says.
    fn made(&self, record: &str) -> Option<UtcMs>;

    /// What a line that is no record names.
    fn names_in(&self, line: &[u8]) -> Names;
}
