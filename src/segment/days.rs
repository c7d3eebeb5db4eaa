//! The folders of a spool by UTC day, and their state before they were read: unchanged folders need not be read
//! again.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    name::{SegmentName, ServerId},
    sha256::Sha256,
    spool,
};
use crate::{
    period::{Day, UtcMs},
    world::disk::{Disk, FolderState},
};

/// How long a day's folders must be unchanged before the day counts as done: a change within the same tick of the
/// file system's clock cannot be detected.
const STILL_MS: i64 = 60_000;

/// The folders of one UTC day.
#[derive(Debug, Default)]
pub struct Folders {
    folders: Vec<(ServerId, PathBuf)>,
    /// Their state before they were read; `None` if it is unknown.
    pub version: Option<Sha256>,
}

/// Segments, each with its folder.
pub type InFolders<'a> = Vec<(SegmentName, &'a Path)>;

/// What was found of a spool.
#[derive(Debug, Default)]
pub struct Walk {
    /// The days.
    pub days: BTreeMap<Day, Folders>,
    /// The folders that could not be read, by server.
    pub unreadable: Vec<(ServerId, io::Error)>,
}

/// Lists what these spools have of these servers, without reading the folders of hours.
pub fn walk(disk: &dyn Disk, spools: &[&Path], servers: &[ServerId]) -> io::Result<Walk> {
    let mut walk = Walk::default();
    let each = spools
        .iter()
        .flat_map(|spool| servers.iter().map(move |server| (spool, server)));
    for (spool, server) in each {
        let (found, unreadable) = match spool::hour_folders(disk, spool, server) {
            Ok(walked) => (walked.found, walked.unreadable),
            Err(why) => (Vec::new(), vec![why]),
        };
        let unreadable = unreadable.into_iter().map(|why| (server.clone(), why));
        walk.unreadable.extend(unreadable);
        for folder in found {
            if let Some(day) = spool::day_of(&folder) {
                let of_day = walk.days.entry(day).or_default();
                of_day.folders.push((server.clone(), folder));
            }
        }
    }
    for of_day in walk.days.values_mut() {
        of_day.version = of_day.version_now(disk)?;
    }
    Ok(walk)
}

impl Folders {
    /// Each of them, and whose it is.
    pub fn each(&self) -> impl Iterator<Item = (&ServerId, &Path)> {
        self.folders
            .iter()
            .map(|(server, folder)| (server, folder.as_path()))
    }

    /// The sealed segments in them, each with its folder, and in which folder of whom nothing could be seen.
    pub fn sealed(&self, disk: &dyn Disk) -> (InFolders<'_>, Vec<(ServerId, io::Error)>) {
        let (mut names, mut unreadable) = (Vec::new(), Vec::new());
        for (server, folder) in &self.folders {
            match spool::in_folder(disk, folder, server) {
                Ok(here) => {
                    let sealed = here.into_iter().filter(|(_, found)| found.sealed);
                    names.extend(sealed.map(|(name, _)| (name, folder.as_path())));
                }
                Err(why) => unreadable.push((server.clone(), why)),
            }
        }
        (names, unreadable)
    }

    /// What they are like, if that is as it was before anybody looked.
    pub fn unchanged(&self, disk: &dyn Disk) -> io::Result<Option<Sha256>> {
        let now = self.version_now(disk)?;
        Ok(now.filter(|now| self.version.as_ref() == Some(now)))
    }

    fn version_now(&self, disk: &dyn Disk) -> io::Result<Option<Sha256>> {
        let mut text = Vec::new();
        for (server, folder) in &self.folders {
            let Some(FolderState(numbers)) = disk.version(folder)? else {
                return Ok(None);
            };
            let hour = folder.file_name().unwrap_or_default().display();
            writeln!(text, "{server} {hour} {numbers:?}")?;
        }
        Ok(Some(Sha256::of(&text)))
    }
}

/// Days whose folders have been as they are for some time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Still {
    days: BTreeMap<Day, (Sha256, UtcMs)>,
}

impl Still {
    /// Whether a day has been like that for a while. It is remembered since when.
    pub fn is(&mut self, day: Day, version: Sha256, now: UtcMs) -> bool {
        let known = self.days.get(&day);
        // after a clock is set back, waiting begins again
        let known = known.filter(|(known, since)| *known == version && *since <= now);
        let since = known.map_or(now, |(_, since)| *since);
        self.days.insert(day, (version, since));
        since.plus_ms(STILL_MS) <= now
    }

    /// Forgets the days of which it is not so.
    pub fn retain(&mut self, is_so: impl Fn(Day) -> bool) {
        self.days.retain(|day, _| is_so(*day));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_still_when_it_has_been_the_same_for_a_minute_by_whatever_clock() {
        let (day, a, b) = (Day(20_000), Sha256::of(b"a"), Sha256::of(b"b"));
        let at = |s: i64| UtcMs(1_795_442_400_000 + 1_000 * s);
        let mut still = Still::default();
        for (version, s, is_still) in [
            (a, 0, false),
            (a, 59, false),
            (a, 60, true),
            (a, 500, true),
            // something has changed
            (b, 501, false),
            (b, 560, false),
            (b, 561, true),
            (a, 562, false),
            // the clock was set back
            (a, -7_200, false),
            (a, -7_141, false),
            (a, -7_140, true),
        ] {
            assert_eq!(still.is(day, version, at(s)), is_still, "{s}");
        }
        assert!(!still.is(Day(20_001), a, at(-7_140)), "another day");
        still.retain(|kept| kept != day);
        assert!(!still.is(day, a, at(-7_140)), "it was forgotten");
    }
}
