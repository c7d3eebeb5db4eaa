//! What is to be checked: the hours, days and roots of what was named.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::problem::{Problems, Severity};
use crate::{
    period::{Day, Hour, Zone},
    segment::sha256::Sha256,
    share::Share,
    stamp::trust::Trust,
    vault::{
        identity::{self, Identity},
        layout::{self, FileKind},
        ledger::{self, LedgerLine},
        public::Public,
        witness::Witness,
    },
    world::disk::Disk,
};

/// An hour that is to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HourPlace {
    /// Its day's folder.
    pub folder: PathBuf,
    /// The hour.
    pub hour: Hour,
    /// Whether every file that the manifest names must be there.
    pub is_strict: bool,
    /// Whether a committed revision waits to be brought into place.
    pub is_half_done: bool,
}

/// The root that a folder belongs to, if it was found.
#[derive(Debug, Default)]
pub struct Root {
    /// Where it is.
    pub path: PathBuf,
    /// `vault.json`
    pub identity: Option<Identity>,
    /// The ledger's lines by hour, in their order; none if there is none that can be read.
    pub ledger: Option<BTreeMap<Hour, Vec<LedgerLine>>>,
    /// The same from outside.
    pub head: Option<Head>,
    /// The stamps of the ledger.
    pub witness: Witness,
    /// Whether there is a file of the ledger's name, readable or not.
    pub has_ledger: bool,
    /// Whether the whole of it is to be checked.
    pub is_whole: bool,
}

/// A ledger as one that compares two copies needs it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Head {
    /// The file.
    pub path: PathBuf,
    /// Its whole lines.
    pub lines: u64,
    /// SHA-256 of the last one without its LF, which the next line would name as `previous`; 64 zeros
    /// if there is none.
    pub sha256: Sha256,
}

/// What is to be checked.
#[derive(Debug, Default)]
pub struct Survey {
    /// The roots of what was asked for.
    pub roots: Vec<Root>,
    /// The hours, with the number of their root.
    pub hours: Vec<(HourPlace, Option<usize>)>,
    /// The days that are to be checked whole: folder and day, with the number of their root.
    pub days: BTreeMap<(PathBuf, Day), Option<usize>>,
    /// Which of the days are to be checked; `None`: all.
    pub share: Option<Share>,
    /// What was found on the way.
    pub problems: Problems,
    /// Whose stamps are believed; `None`: those whose certificates lie beside them.
    pub trust: Option<Trust>,
}

/// Folders above a day's folder in which a root is looked for: `YYYY/mm/dd` has three.
const ABOVE_MAX: usize = 3;

/// Finds out what is to be checked.
pub fn survey(disk: &dyn Disk, paths: &[PathBuf], trust: Option<Trust>) -> io::Result<Survey> {
    let mut survey = Survey {
        trust,
        ..Survey::default()
    };
    for path in paths {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).to_owned();
        if disk.len(path)?.is_none() {
            survey.folder(disk, path)?;
        } else if let Some(hour) = hour_of(&name) {
            let root = survey.root_above(disk, &folder)?;
            survey.add_hours(disk, &folder, root, Some(hour))?;
        } else if matches!(Public::of_name(&name), Some(Public::Day(..))) {
            // it speaks of the whole day
            survey.folder(disk, &folder)?;
        } else if [ledger::path(&folder), identity::path(&folder)].contains(path)
            || matches!(Public::of_name(&name), Some(Public::Root(_)))
        {
            // it speaks of the whole vault
            survey.folder(disk, &folder)?;
        } else if matches!(Public::of_name(&name), Some(Public::Stamp(_))) {
            survey.folder(disk, &above(&folder, 1))?;
        } else {
            survey
                .problems
                .note(path, "it is not a file of a vault, and was not checked");
        }
    }
    Ok(survey)
}

/// The hour that a file's name tells.
fn hour_of(name: &str) -> Option<Hour> {
    let of_kind = || FileKind::of_name(name).map(|(hour, _)| hour);
    let archived = || layout::of_archived(name).map(|(hour, _)| hour);
    layout::hour_of_manifest(name)
        .or_else(of_kind)
        .or_else(archived)
}

impl Survey {
    /// Leaves the days that are not this task's; what is not of one day is the first one's.
    pub fn only(&mut self, share: Share) {
        self.share = Some(share);
        self.hours.retain(|(place, _)| share.has(&place.hour.day()));
        self.days.retain(|(_, day), _| share.has(day));
        for root in &mut self.roots {
            root.is_whole &= share.is_first();
        }
    }

    /// Whether a day is another task's.
    pub(super) fn leaves(&self, day: Day) -> bool {
        self.share.is_some_and(|share| !share.has(&day))
    }

    /// A folder: a root, a day, or something above days.
    fn folder(&mut self, disk: &dyn Disk, path: &Path) -> io::Result<()> {
        let is_root =
            disk.len(&ledger::path(path))?.is_some() || disk.len(&identity::path(path))?.is_some();
        let days = day_folders(disk, path, ABOVE_MAX, &mut self.problems)?;
        let is_day = days.contains(path);
        let root = if is_root || !is_day {
            self.root(disk, path, true)?
        } else {
            self.root_above(disk, path)?
        };
        for day in days {
            let found = self
                .add_hours(disk, &day, root, None)
                .and_then(|()| days_in(disk, &day));
            match found {
                Ok(days) => {
                    let days = days.into_iter().map(|of_day| ((day.clone(), of_day), root));
                    self.days.extend(days);
                }
                Err(why) => self.problems.incomplete(&day, unchecked(&why)),
            }
        }
        Ok(())
    }

    fn root_above(&mut self, disk: &dyn Disk, folder: &Path) -> io::Result<Option<usize>> {
        let above = (1..=ABOVE_MAX).map(|levels| above(folder, levels));
        for above in std::iter::once(folder.to_owned()).chain(above) {
            if disk.len(&ledger::path(&above))?.is_some()
                || disk.len(&identity::path(&above))?.is_some()
            {
                return self.root(disk, &above, false);
            }
        }
        Ok(None)
    }

    /// Takes a root up, once.
    fn root(&mut self, disk: &dyn Disk, path: &Path, whole: bool) -> io::Result<Option<usize>> {
        if let Some(known) = self.roots.iter().position(|root| root.path == path) {
            if let Some(root) = self.roots.get_mut(known) {
                root.is_whole |= whole;
            }
            return Ok(Some(known));
        }
        let mut root = Root {
            path: path.to_owned(),
            is_whole: whole,
            ..Root::default()
        };
        match Identity::read(disk, path) {
            Ok(identity) => root.identity = identity,
            Err(why) => self.problems.wrong(&identity::path(path), why.to_string()),
        }
        if let Some(identity) = &root.identity
            && !identity.is_as_written(disk, path)?
        {
            self.problems
                .wrong(&identity::path(path), "it is not as this program writes it");
        }
        self.read_ledger(disk, &mut root)?;
        root.witness = Witness::open(disk, path, self.trust.as_ref())?;
        self.roots.push(root);
        Ok(Some(self.roots.len() - 1))
    }

    fn read_ledger(&mut self, disk: &dyn Disk, root: &mut Root) -> io::Result<()> {
        let path = ledger::path(&root.path);
        if disk.len(&path)?.is_none() {
            return Ok(());
        }
        root.has_ledger = true;
        let problems = &mut self.problems;
        if let Ok(true) = ledger::is_torn(disk, &root.path) {
            problems.unfinished(
                &path,
                "the last line is torn: the next merge cuts it off and writes it again",
            );
        }
        match ledger::read(disk, &root.path) {
            Ok(lines) => {
                match ledger::breaks(disk, &root.path) {
                    Ok(breaks) => {
                        for number in breaks {
                            let line = number.checked_sub(1).and_then(|place| lines.get(place));
                            let what = format!(
                                "line {number} does not have the hash of the line before it, or was changed"
                            );
                            let day = line.map(|line| line.hour.day());
                            problems.add_of(Severity::Wrong, &path, day, what);
                        }
                    }
                    Err(why) => problems.wrong(&path, why.to_string()),
                }
                root.head = Some(Head {
                    path: path.clone(),
                    lines: lines.len() as u64,
                    sha256: ledger::head(disk, &root.path).map_err(io::Error::other)?,
                });
                let mut by_hour: BTreeMap<Hour, Vec<LedgerLine>> = BTreeMap::new();
                for line in lines {
                    let of_hour = by_hour.entry(line.hour).or_default();
                    if line.revision != of_hour.len() as u64 + 1 {
                        let what = format!(
                            "revision {} of {} comes after {} others",
                            line.revision,
                            line.hour,
                            of_hour.len()
                        );
                        problems.add_of(Severity::Wrong, &path, Some(line.hour.day()), what);
                    }
                    of_hour.push(line);
                }
                root.ledger = Some(by_hour);
            }
            Err(why) => problems.wrong(&path, why.to_string()),
        }
        Ok(())
    }

    /// Takes the hours of a folder up, or one of them.
    fn add_hours(
        &mut self,
        disk: &dyn Disk,
        folder: &Path,
        root: Option<usize>,
        only: Option<Hour>,
    ) -> io::Result<()> {
        let entries = disk.list(folder)?;
        let has_private = |name: &str| matches!(FileKind::of_name(name), Some((_, kind)) if kind != FileKind::Ids);
        let is_strict = root
            .and_then(|root| self.roots.get(root))
            .is_some_and(|root| root.identity.is_some())
            || entries.iter().any(|entry| has_private(&entry.name));
        let mut hours: BTreeMap<Hour, bool> = BTreeMap::new();
        for entry in entries.iter().filter(|entry| !entry.folder) {
            let aside = layout::of_aside(&entry.name);
            if let Some(hour) = hour_of(&entry.name) {
                hours.entry(hour).or_default();
            } else if let Some((name, revision)) = aside {
                let path = folder.join(&entry.name);
                let committed = layout::hour_of_manifest(name);
                match (committed, hour_of(name)) {
                    (Some(hour), _) => {
                        hours.insert(hour, true);
                        self.problems.unfinished(&path, format!("revision {revision} is committed and not in place yet: the next merge moves it there"));
                    }
                    (None, Some(_)) => self.problems.unfinished(
                        &path,
                        "an attempt that was not committed: the next merge removes it",
                    ),
                    (None, None) => self.problems.note(&path, UNKNOWN),
                }
            }
        }
        for (hour, is_half_done) in hours {
            if only.is_none_or(|only| only == hour) {
                let place = HourPlace {
                    folder: folder.to_owned(),
                    hour,
                    is_strict,
                    is_half_done,
                };
                if !self.hours.iter().any(|(known, _)| *known == place) {
                    self.hours.push((place, root));
                }
            }
        }
        Ok(())
    }
}

/// The folder so many levels above one, which may be named relative to where we are.
fn above(folder: &Path, levels: usize) -> PathBuf {
    let named = folder.ancestors().nth(levels);
    let named = named.filter(|above| !above.as_os_str().is_empty() && !folder.ends_with(".."));
    named.map_or_else(
        || folder.join(["..", "../..", "../../.."].get(levels - 1).unwrap_or(&"..")),
        Path::to_owned,
    )
}

/// What is said of a file that is not ours.
pub const UNKNOWN: &str = "it is not a file of a vault, and was not checked";

/// The days that have files in a folder.
fn days_in(disk: &dyn Disk, folder: &Path) -> io::Result<BTreeSet<Day>> {
    let mut entries = disk.list(folder)?;
    entries.extend(disk.list(&folder.join("revisions"))?);
    let days = entries.iter().filter_map(|entry| {
        let name = layout::of_aside(&entry.name).map_or(entry.name.as_str(), |(name, _)| name);
        let day = || Public::of_name(name).and_then(Public::day);
        hour_of(name).map(Hour::day).or_else(day)
    });
    Ok(days.collect())
}

/// The day that a folder is named for: `2026-11-23` in a vault, `2026/11/23` in what is published.
pub(super) fn day_of(folder: &Path) -> Option<Day> {
    let name = |levels: usize| folder.ancestors().nth(levels)?.file_name()?.to_str();
    let of_name = name(0).and_then(|name| name.parse().ok());
    of_name.or_else(|| {
        format!("{}-{}-{}", name(2)?, name(1)?, name(0)?)
            .parse()
            .ok()
    })
}

/// What is said of a folder that cannot be read.
fn unchecked(why: &io::Error) -> String {
    format!("nothing in it was checked: {why}")
}

/// The folders in which hours lie, or files about a day, below a folder or that folder itself.
fn day_folders(
    disk: &dyn Disk,
    folder: &Path,
    below_max: usize,
    problems: &mut Problems,
) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for entry in disk.list(folder)? {
        let path = folder.join(&entry.name);
        if !entry.folder {
            let is_of_day = matches!(Public::of_name(&entry.name), Some(Public::Day(..)));
            if is_of_day
                || hour_of(&entry.name).is_some()
                || layout::of_aside(&entry.name).is_some()
            {
                found.insert(folder.to_owned());
            }
        } else if entry.name == "revisions" {
            // without its manifests in place the day is still a day
            match disk.list(&path) {
                Ok(entries) => {
                    let mut entries = entries.iter();
                    if entries.any(|entry| layout::of_archived(&entry.name).is_some()) {
                        found.insert(folder.to_owned());
                    }
                }
                Err(why) => problems.incomplete(&path, unchecked(&why)),
            }
        } else if 0 < below_max {
            match day_folders(disk, &path, below_max - 1, problems) {
                Ok(below) => found.extend(below),
                // one that cannot be read stops no other
                Err(why) => problems.incomplete(&path, unchecked(&why)),
            }
        }
    }
    Ok(found)
}

/// The zone that a manifest names, if this program knows it.
pub fn zone(name: &str, path: &Path, problems: &mut Problems) -> Option<Zone> {
    match Zone::named(name) {
        Ok(zone) => Some(zone),
        Err(why) => {
            problems.wrong(path, why.to_string());
            None
        }
    }
}
