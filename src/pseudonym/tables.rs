//! The tables: what is copied of a platform, and the rows of an hour.

use std::collections::{BTreeMap, BTreeSet};

use super::{key::HashKey, row::Row};
use crate::period::UtcMs;

/// What is copied of a platform.
pub struct Form {
    /// The tables: what their files are called, and their columns.
    pub(super) tables: &'static [(&'static str, &'static [&'static str])],
    /// The columns of `posts.parquet` that are read.
    pub(super) read: &'static [&'static str],
    /// Takes a row of it in.
    pub(super) add: fn(&mut Tables, &HashKey, &Row<'_>),
    /// The texts on the copy.
    pub(super) readme: &'static str,
}

/// The rows of an hour, in the order of their hashes: that of ids would tell when each post was made.
#[derive(Default)]
pub(super) struct Tables {
    posts: Vec<Vec<u8>>,
    users: BTreeMap<String, Vec<u8>>,
    /// The lines of what is held back, which is not copied.
    pub(super) held: BTreeSet<String>,
}

impl Tables {
    /// None yet, and none of those lines is to come in.
    pub(super) fn without(held: BTreeSet<String>) -> Self {
        Self {
            held,
            ..Self::default()
        }
    }

    /// Takes the row of a post in.
    pub(super) fn post(&mut self, row: Vec<u8>) {
        self.posts.push(row);
    }

    /// Takes in a user's row, with the name there; a later one counts.
    pub(super) fn user(&mut self, id: String, row: Vec<u8>) {
        self.users.insert(id, row);
    }

    /// How many posts are in it.
    pub(super) fn len(&self) -> u64 {
        self.posts.len() as u64
    }

    /// The rows of posts, and of users.
    pub(super) fn rows(mut self) -> [Vec<Vec<u8>>; 2] {
        self.posts.sort();
        [self.posts, self.users.into_values().collect()]
    }
}

/// `2026-11-23T14:05Z`
pub(super) fn minute(at: UtcMs) -> String {
    at.to_string().chars().take(16).collect::<String>() + "Z"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_coarse() {
        let at: UtcMs = "2026-11-23T14:05:59.999Z".parse().unwrap();
        assert_eq!(minute(at), "2026-11-23T14:05Z");
    }
}
