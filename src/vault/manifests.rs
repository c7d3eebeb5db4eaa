//! Reads only the manifests of a vault in an object store: no data is fetched, nothing is written, and no copy has to
//! be here.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use super::{
    attempts::{Part, part},
    commit_error::InStoreError,
    in_store::{self, revision_key},
    layout,
    manifest::MANIFEST_BYTES_MAX,
};
use crate::{
    period::{Day, Hour},
    place::store::Store,
    world::disk::{self, Disk},
};

/// How the names of all days begin.
const MILLENNIUM: &str = "2";

/// Where they lie.
pub struct Manifests<'a> {
    /// The vault.
    pub store: &'a dyn Store,
    /// The file system of this machine.
    pub disk: &'a dyn Disk,
    /// A copy of the vault, if one is here: what it has need not be asked for.
    pub copy: Option<&'a Path>,
}

impl Manifests<'_> {
    /// The latest revision that was committed of each hour from one day to another, and perhaps of some before and after.
    pub fn latest(
        &self,
        first: Option<Day>,
        last: Option<Day>,
    ) -> Result<BTreeMap<Hour, u64>, InStoreError> {
        let mut latest = BTreeMap::new();
        self.store.list(&prefix(first, last), &mut |listed| {
            if let Some(Part::Revision(hour, revision)) = part(&listed.key) {
                let known = latest.entry(hour).or_insert(0);
                *known = revision.max(*known);
            }
        })?;
        Ok(latest)
    }

    /// The bytes of one of them.
    pub fn bytes(&self, hour: Hour, revision: u64) -> Result<Vec<u8>, InStoreError> {
        if let Some(bytes) = self.in_copy(hour, revision) {
            return Ok(bytes);
        }
        let committed = in_store::committed(self.store, hour, revision)?;
        let missing = || -> Result<InStoreError, InStoreError> {
            let key = revision_key(hour, revision)?;
            Ok(in_store::wrong(self.store, &key, "it is missing"))
        };
        match committed {
            Some(committed) => Ok(committed.bytes),
            None => Err(missing()?),
        }
    }

    /// The same from the copy, unless that has another one, or none.
    fn in_copy(&self, hour: Hour, revision: u64) -> Option<Vec<u8>> {
        let path = layout::manifest_path(self.copy?, hour);
        let bytes = disk::read_bounded(self.disk, &path, MANIFEST_BYTES_MAX).ok()?;
        let found: Numbered = serde_json::from_slice(&bytes).ok()?;
        (found.history.revision == revision).then_some(bytes)
    }
}

#[derive(Deserialize)]
struct Numbered {
    history: Revision,
}

#[derive(Deserialize)]
struct Revision {
    revision: u64,
}

/// How the names of these days begin.
fn prefix(first: Option<Day>, last: Option<Day>) -> String {
    let (Some(first), Some(last)) = (first, last) else {
        return MILLENNIUM.to_owned();
    };
    let (first, last) = (first.to_string(), last.to_string());
    let both = first.chars().zip(last.chars());
    both.take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_days_that_begin_alike_are_listed() {
        let day = |text: &str| Some(text.parse().unwrap());
        for (first, last, expected) in [
            (day("2026-11-23"), day("2026-11-23"), "2026-11-23"),
            (day("2026-11-23"), day("2026-11-30"), "2026-11-"),
            (day("2026-11-23"), day("2026-12-01"), "2026-1"),
            (day("2019-12-31"), day("2020-01-01"), "20"),
            (None, day("2026-11-23"), "2"),
            (None, None, "2"),
        ] {
            assert_eq!(prefix(first, last), expected);
        }
    }
}
