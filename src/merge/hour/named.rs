//! The names of accounts: a record may tell one, and rows of later records in the hour have a cell for it.
//!
//! Workers make the rows of a unit without knowing the units before; the thread that writes them in order fills the
//! cells. So the same records give the same rows, however they are divided.

use std::collections::BTreeMap;

use crate::{source::key::Key, vault::csv};

/// How many accounts are known by name at once: some 20 MB. An hour of Bluesky names some thousand.
const KNOWN_MAX: usize = 200_000;

/// A thing about a name, in the order of the records.
#[derive(Debug)]
pub enum Named {
    /// An account is called so from here on.
    Told(Key, String),
    /// A row has an empty cell for the name of that account, at that place of the table.
    Wanted(Key, usize),
}

/// What accounts were called so far.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<Key, String>);

impl Names {
    /// Fills the cells of a part of the table.
    pub(super) fn fill(&mut self, table: &mut Vec<u8>, named: Vec<Named>) {
        let mut filled = Vec::new();
        let mut done = 0;
        for one in named {
            match one {
                Named::Told(account, name) => {
                    if self.0.len() < KNOWN_MAX || self.0.contains_key(&account) {
                        self.0.insert(account, name);
                    }
                }
                Named::Wanted(account, at) => {
                    if let Some(name) = self.0.get(&account) {
                        filled.extend_from_slice(table.get(done..at).unwrap_or_default());
                        csv::push_field(&mut filled, name);
                        done = at;
                    }
                }
            }
        }
        if 0 < done {
            filled.extend_from_slice(table.get(done..).unwrap_or_default());
            *table = filled;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_filled_with_what_was_told_before_it_in_whatever_parts() {
        let key = |did: &str| Key::from(did);
        let rows = ["a,,1\n", "b,,2\n", "a,,3\n", "a,,4\n", "b,,5\n"];
        let told = |before: usize| match before {
            1 => vec![("a", "x.example")],
            3 => vec![("a", "y, \"z\""), ("b", "b.example")],
            _ => Vec::new(),
        };
        let expected = "a,,1\nb,,2\na,x.example,3\na,\"y, \"\"z\"\"\",4\nb,b.example,5\n";
        let part = |range: std::ops::Range<usize>| {
            let (mut table, mut things) = (Vec::new(), Vec::new());
            for number in range {
                let told = told(number).into_iter();
                things.extend(told.map(|(did, name)| Named::Told(key(did), name.to_owned())));
                let row = rows[number];
                things.push(Named::Wanted(key(&row[..1]), table.len() + 2));
                table.extend_from_slice(row.as_bytes());
            }
            (table, things)
        };
        for ends in [vec![5], vec![1, 5], vec![2, 3, 5], vec![1, 2, 3, 4, 5]] {
            let (mut known, mut all, mut begin) = (Names::default(), Vec::new(), 0);
            for end in ends {
                let (mut table, things) = part(begin..end);
                known.fill(&mut table, things);
                all.extend(table);
                begin = end;
            }
            assert_eq!(String::from_utf8(all).unwrap(), expected);
        }
    }
}
