//! `<data_dir>/listings.json`: which hours of each day are committed, by the names in its folder. So the cost of a
//! merge depends on the number of days that have changed, not on that of all days.

use std::{collections::BTreeMap, io, path::Path};

use super::{
    day_notes::DayNotes,
    layout::{self, DayListing},
};
use crate::{
    period::{Day, Hour, UtcMs},
    world::disk::Disk,
};

/// Lists the days of a vault.
pub struct Listings<'a> {
    disk: &'a dyn Disk,
    vault: &'a Path,
    /// The hours of a day with nothing aside, and the number of earlier revisions of each.
    notes: DayNotes<'a, BTreeMap<Hour, u64>>,
}

impl<'a> Listings<'a> {
    /// As they were left.
    pub fn read(disk: &'a dyn Disk, (data_dir, vault): (&Path, &'a Path), now: UtcMs) -> Self {
        Self {
            disk,
            vault,
            notes: DayNotes::read(disk, vault, now, data_dir.join("listings.json")),
        }
    }

    /// The days, ascending.
    pub fn days(&self) -> io::Result<Vec<Day>> {
        layout::days(self.disk, self.vault)
    }

    /// What is committed of a day, and what is aside.
    pub fn of(&mut self, day: Day) -> io::Result<DayListing> {
        let before = self.notes.before(day);
        if let Some(hours) = self.notes.found(day, before) {
            return Ok(DayListing {
                hours: hours.clone(),
                ..DayListing::default()
            });
        }
        let listing = layout::list_day(self.disk, self.vault, day)?;
        if listing.unfinished.is_empty() {
            self.notes.note(day, before, listing.hours.clone());
        }
        Ok(listing)
    }

    /// Keeps them for the next run.
    pub fn keep(&mut self) {
        self.notes.keep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        vault::layout::FileKind,
        world::disk::{self, RealDisk},
    };

    #[test]
    fn what_lies_aside_is_told_until_it_is_gone_however_long_that_takes() {
        let dir = tempfile::tempdir().unwrap();
        let (data_dir, vault) = (dir.path(), dir.path().join("vault"));
        let hour: Hour = "2026-11-23_14".parse().unwrap();
        // makes that of the day, too
        let archived = layout::archived_folder(&vault, hour.day());
        RealDisk.make_folder(&archived).unwrap();
        let put = |path: &Path| disk::put(&RealDisk, path, b"1").unwrap();
        let look = |second: i64| {
            let now = UtcMs(second * 1_000);
            let mut listings = Listings::read(&RealDisk, (data_dir, &vault), now);
            let DayListing { hours, unfinished } = listings.of(hour.day()).unwrap();
            listings.keep();
            (hours, unfinished.into_iter().collect::<Vec<Hour>>())
        };
        put(&layout::manifest_path(&vault, hour));
        let aside = layout::aside(&layout::data_path(&vault, hour, FileKind::Ids), 2);
        put(&aside);
        let committed = BTreeMap::from([(hour, 0)]);
        for second in [0, 61, 122, 9_999] {
            assert_eq!(look(second), (committed.clone(), vec![hour]));
        }
        RealDisk.remove(&aside).unwrap();
        for second in [10_000, 10_061, 10_122] {
            assert_eq!(look(second), (committed.clone(), Vec::new()));
        }
        // the hour is committed once more
        put(&layout::archived_path(&vault, hour, 1));
        assert_eq!(look(10_123).0, BTreeMap::from([(hour, 1)]));
    }
}
