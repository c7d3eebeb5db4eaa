//! Which hours hold something of an account, or a record whose address leads to another hour: the index of holders.
//!
//! `<data_dir>/holders/2026-11-23/2026-11-23_14_r3` has 64 bits for each of them, ascending, as little-endian bytes: what
//! revision 3 of that hour may hold. Two can have the same 64 bits, so it says "perhaps". It may be deleted at any time: it is
//! made again.

use std::{
    collections::BTreeSet,
    io::{self, Write as _},
    path::PathBuf,
};

use sha2::{Digest as _, Sha256};

use super::lists::HourLists;
use crate::{
    merge::job::{MergeError, MergeJob},
    period::Hour,
    vault::deleted::Deleted,
    world::{
        disk::{self, Disk},
        error_at::At as _,
    },
};

/// Millions of accounts and records.
const HOLDER_BYTES_MAX: u64 = 1 << 30;

/// What stands for an account or the address of a record.
pub(super) fn bits(text: &str) -> u64 {
    let hash: [u8; 32] = Sha256::digest(text).into();
    hash.first_chunk()
        .map_or(0, |first| u64::from_le_bytes(*first))
}

/// The index of one revision of an hour.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Holder(Vec<u64>);

impl Holder {
    /// Whether it may hold one of these.
    pub(super) fn may_hold(&self, wanted: &BTreeSet<u64>) -> bool {
        if wanted.len() < self.0.len() / 16 {
            return wanted.iter().any(|bits| self.0.binary_search(bits).is_ok());
        }
        self.0.iter().any(|bits| wanted.contains(bits))
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let (words, _) = bytes.as_chunks::<8>();
        Self(words.iter().map(|word| u64::from_le_bytes(*word)).collect())
    }

    fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|bits| bits.to_le_bytes()).collect()
    }
}

impl MergeJob<'_> {
    fn holder_folder(&self, hour: Hour) -> PathBuf {
        let day = hour.day().to_string();
        self.data_dir.join("holders").join(day)
    }

    /// The index of an hour's revision: the one that is kept, or a new one, which is then kept.
    pub(super) fn holder(
        &self,
        hour: Hour,
        revision: u64,
        deleted: &Deleted<'_>,
    ) -> Result<Holder, MergeError> {
        let folder = self.holder_folder(hour);
        let path = folder.join(format!("{hour}_r{revision}"));
        if self.disk.len(&path).at(&path)?.is_some() {
            let bytes = disk::read_bounded(self.disk, &path, HOLDER_BYTES_MAX);
            return Ok(Holder::from_bytes(&bytes.at(&path)?));
        }
        let holder = self.make_holder(hour, deleted)?;
        // it can be made again, so a full disk is no reason to know nothing of the hour
        if let Err(why) = keep(self.disk, (&folder, &path), hour, &holder) {
            tracing::warn!("{}: the index cannot be saved: {why}", path.display());
        }
        Ok(holder)
    }

    fn make_holder(&self, hour: Hour, deleted: &Deleted<'_>) -> Result<Holder, MergeError> {
        let mut all = BTreeSet::new();
        let zone = &self.settings.timezone;
        let leads_here = |record: &str| {
            let made = deleted.made(record).map(|made| zone.hour_of(made));
            made.is_some_and(|made| made == hour || made.0 + 1 == hour.0)
        };
        let Some(told) = deleted.told() else {
            return Ok(Holder(Vec::new()));
        };
        let lists = HourLists { job: self, hour };
        lists.each_key(&mut |key| {
            if let Some(version) = told.version(&key) {
                all.insert(bits(version.account));
                if !leads_here(&version.record) {
                    all.insert(bits(&version.record));
                }
            }
        })?;
        lists.each_rejected(&mut |line| {
            let names = told.names_in(line);
            let both = names.accounts.iter().chain(&names.records);
            all.extend(both.map(|text| bits(text)));
        })?;
        Ok(Holder(all.into_iter().collect()))
    }
}

/// Puts an index in place, whole or not at all while the power is on, and removes those of former revisions.
fn keep(
    disk: &dyn Disk,
    (folder, path): (&std::path::Path, &std::path::Path),
    hour: Hour,
    holder: &Holder,
) -> io::Result<()> {
    disk.make_folder(folder)?;
    let former = format!("{hour}_r");
    for entry in disk.list(folder)? {
        if entry.name.starts_with(&former) {
            disk.remove(&folder.join(&entry.name))?;
        }
    }
    let aside = disk::aside(path);
    let mut file = disk::create_anew(disk, &aside)?;
    file.write_all(&holder.to_bytes())?;
    // a torn one would say that the hour holds nothing
    file.sync()?;
    drop(file);
    disk.rename(&aside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_found_among_few_and_many() {
        let all: BTreeSet<u64> = (0..1_000).map(|n| n * 7).collect();
        let holder = Holder(all.iter().copied().collect());
        assert_eq!(Holder::from_bytes(&holder.to_bytes()), holder);
        let others: BTreeSet<u64> = (0..1_000).map(|n| n * 7 + 1).collect();
        assert!(!holder.may_hold(&others) && !holder.may_hold(&[8].into()));
        assert!(holder.may_hold(&[8, 6_993].into()) && !holder.may_hold(&BTreeSet::new()));
        assert!(holder.may_hold(&others.into_iter().chain([700]).collect()));
    }
}
