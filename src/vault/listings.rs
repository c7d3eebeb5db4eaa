//! `<data_dir>/listings.json`: which hours of each day are committed, by the names in its folder. What a merge, or whoever finishes one, costs
//! is in the number of days into which something was put, not in that of all days.

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
    /// The hours of a day of which nothing lies aside, and the number of earlier revisions of each.
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

    /// What is committed of a day, and what lies aside.
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
