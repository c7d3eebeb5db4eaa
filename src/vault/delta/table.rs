//! The files of a version, and how they change with the ledger: decided from lists alone.

use std::collections::BTreeMap;

use super::action::{MetaData, Protocol, TableFile, Version};
use crate::period::Hour;

/// What lines of the ledger change: of each hour that they name the revision that is in the table before (0: none), and the
/// latest.
///
/// All lines that are known are taken together. A version that ended in the middle of them would name revisions whose
/// files may be gone by now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// How many lines there are in all.
    pub lines: u64,
    /// By hour.
    pub hours: BTreeMap<Hour, (u64, u64)>,
    before: BTreeMap<Hour, u64>,
    known: u64,
}

impl Changes {
    /// Since so many lines.
    pub fn since(known: u64) -> Self {
        Self {
            known,
            ..Self::default()
        }
    }

    /// The next line.
    pub fn take(&mut self, hour: Hour, revision: u64) {
        self.lines += 1;
        if self.lines <= self.known {
            self.before.insert(hour, revision);
        } else {
            let before = self.before.get(&hour).copied().unwrap_or(0);
            self.hours.entry(hour).or_insert((before, 0)).1 = revision;
        }
    }
}

/// All that a version has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// What readers and writers must be able to do.
    pub protocol: Option<Protocol>,
    /// What it is.
    pub meta_data: Option<MetaData>,
    /// How many lines of the ledger are in it.
    pub ledger: u64,
    /// The files, by path.
    pub files: BTreeMap<String, TableFile>,
}

impl Table {
    /// The table after the next version. An error says why that cannot follow.
    pub fn take(&mut self, version: &Version) -> Result<(), String> {
        if version.ledger <= self.ledger {
            return Err(format!(
                "it has {} lines of the ledger, and the version before has {}",
                version.ledger, self.ledger
            ));
        }
        let is_first = self.meta_data.is_none();
        if is_first && version.meta_data.is_none() || is_first != version.protocol.is_some() {
            return Err("only the first version says what the table is, and it must".to_owned());
        }
        for removed in &version.removed {
            if self.files.remove(&removed.path).is_none() {
                return Err(format!("it removes {:?}, which is not there", removed.path));
            }
        }
        for added in &version.added {
            let path = added.path.clone();
            if self.files.insert(path, added.clone()).is_some() {
                return Err(format!("it adds {:?}, which is there already", added.path));
            }
        }
        self.ledger = version.ledger;
        self.protocol = version.protocol.clone().or(self.protocol.take());
        self.meta_data = version.meta_data.clone().or(self.meta_data.take());
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::period::UtcMs;

    pub(crate) fn file(hour: Hour, revision: u64) -> TableFile {
        TableFile {
            path: format!("{}/{hour}/r{revision}", hour.day()),
            bytes: 100 + revision,
            rows: revision,
            time: UtcMs(hour.0),
        }
    }

    /// What a writer that knows these lines writes.
    pub(crate) fn next(is_first: bool, known: u64, lines: &[(Hour, u64)]) -> Version {
        let mut changes = Changes::since(known);
        for (hour, revision) in lines {
            changes.take(*hour, *revision);
        }
        let mut version = Version::new(0, changes.lines);
        if is_first {
            version.protocol = Some(Protocol::ours());
            let schema = json!({"type": "struct", "fields": []});
            version.meta_data = Some(MetaData::new("ab".to_owned(), &schema));
        }
        for (hour, (before, latest)) in changes.hours {
            // every third revision has no posts
            let named = |revision: u64| (!revision.is_multiple_of(3)).then(|| file(hour, revision));
            version
                .removed
                .extend(named(before).map(|file| super::super::action::Removed {
                    path: file.path,
                    bytes: file.bytes,
                }));
            version.added.extend(named(latest));
        }
        version
    }

    proptest! {
        #[test]
        fn whoever_writes_when_each_version_has_each_hour_as_the_ledger_has_it_then(
            hours in prop::collection::vec(0_i64..6, 1..40),
            ends in prop::collection::btree_set(1_usize..40, 1..12),
        ) {
            let mut latest: BTreeMap<Hour, u64> = BTreeMap::new();
            let lines: Vec<(Hour, u64)> = hours.iter().map(|hour| {
                let revision = latest.entry(Hour(*hour)).or_insert(0);
                *revision += 1;
                (Hour(*hour), *revision)
            }).collect();
            let mut table = Table::default();
            for end in ends.into_iter().filter(|end| *end <= lines.len()) {
                let version = next(table.meta_data.is_none(), table.ledger, &lines[..end]);
                prop_assert_eq!(&Version::read(&version.to_bytes().unwrap()).unwrap(), &version);
                table.take(&version).unwrap();
                let then: BTreeMap<Hour, u64> = lines[..end].iter().copied().collect();
                let expected = then.iter().filter(|(_, revision)| !revision.is_multiple_of(3));
                let expected = expected.map(|(hour, revision)| file(*hour, *revision));
                prop_assert!(table.files.values().cloned().eq(expected));
                prop_assert_eq!(table.ledger, end as u64);
                // the same again cannot follow
                prop_assert!(table.clone().take(&version).is_err());
            }
        }
    }

    #[test]
    fn what_cannot_follow_is_refused() {
        let lines = [(Hour(1), 1), (Hour(2), 1), (Hour(1), 2)];
        let mut table = Table::default();
        assert!(
            table.take(&next(false, 0, &lines[..1])).is_err(),
            "it has no schema"
        );
        table.take(&next(true, 0, &lines[..2])).unwrap();
        let good = next(false, 2, &lines);
        let mut twice = good.clone();
        twice.removed.extend(good.removed.clone());
        let mut known = good.clone();
        known.added = vec![file(Hour(2), 1)];
        let again = next(true, 2, &lines);
        for wrong in [twice, known, again] {
            assert!(table.clone().take(&wrong).is_err(), "{wrong:?}");
        }
        table.take(&good).unwrap();
        assert_eq!(table.files.len(), 2);
    }
}
