//! What hours have in common: the ledger, earlier revisions, the days' reports, files that belong to
//! nothing.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{
    found::Found,
    hour::HourFound,
    ledger::{check_revisions, check_there, tell_behind},
    problem::{Problems, Severity, some},
    survey::{self, HourPlace, Root, Survey, UNKNOWN},
    witness,
};
use crate::{
    period::{Day, Hour},
    vault::{
        identity,
        layout::{self, FileKind},
        ledger,
        public::Public,
    },
    world::disk::Disk,
};

/// What the hours of a survey come to together.
#[derive(Debug, Default)]
pub struct Whole {
    /// By day, and the ledgers.
    pub found: Found,
    /// What does not hold.
    pub problems: Problems,
    /// Hours of a vault that the next merge completes: the day's files may be those of before or after.
    pub unfinished: BTreeSet<Hour>,
}

/// Puts together what was found in the hours (in the order of the survey), and checks what they have
/// in common.
pub fn whole(disk: &dyn Disk, survey: &Survey, hours: Vec<HourFound>) -> Whole {
    let mut all = Whole {
        problems: survey.problems.clone(),
        ..Whole::default()
    };
    let Whole {
        found,
        problems,
        unfinished,
    } = &mut all;
    let mut behind = Vec::new();
    let mut collected: BTreeMap<&Path, Hour> = BTreeMap::new();
    let mut counted: BTreeMap<&Path, Vec<(&HourPlace, bool)>> = BTreeMap::new();
    let mut absent: BTreeMap<&Path, Vec<FileKind>> = BTreeMap::new();
    for ((place, root), hour) in survey.hours.iter().zip(hours) {
        let day = found.days.entry(place.hour.day()).or_default();
        day.hours += u64::from(hour.manifest_sha256.is_some() || place.is_half_done);
        day.posts += hour.posts;
        day.bytes += hour.bytes;
        let root = root.and_then(|number| survey.roots.get(number));
        if let Some(root) = root.filter(|_| hour.was_collected) {
            let first = collected.entry(&root.path).or_insert(place.hour);
            *first = place.hour.min(*first);
        }
        if !place.is_strict {
            let of = root.map_or(&place.folder, |root| &root.path);
            absent.entry(of).or_default().extend(&hour.absent);
        }
        if 0 < hour.counts.0 {
            let of = root.map_or(&place.folder, |root| &root.path);
            counted.entry(of).or_default().push((place, hour.counts.1));
        }
        if place.is_half_done {
            unfinished.insert(place.hour);
        } else {
            check_revisions(disk, place, &hour, root, &mut behind, problems);
        }
        problems.0.extend(hour.problems.0);
    }
    for hours in counted.into_values() {
        check_beginning(hours, problems);
    }
    for (copy, kinds) in absent {
        note_copy(copy, &kinds, problems);
    }
    for (_, day) in survey.days.keys() {
        found.days.entry(*day).or_default();
    }
    tell_behind(&behind, unfinished, problems);
    check_there(&survey.roots, &survey.hours, &survey.days, problems);
    check_places(survey, problems);
    for root in &survey.roots {
        found.ledgers.extend(root.head.clone());
        if root.is_whole {
            let is_given = survey.trust.is_some();
            let witnessed = witness::check(disk, root, is_given, problems);
            found.witnesses.extend(witnessed);
            check_root(root, survey, problems);
            if survey.share.is_none() {
                check_first(root, collected.get(root.path.as_path()), problems);
            }
        }
    }
    let folders: BTreeSet<&PathBuf> = survey.days.keys().map(|(folder, _)| folder).collect();
    for folder in folders {
        note_unknown(disk, folder, problems);
    }
    all
}

/// An archive has each day once, in the folder that is named for it: whoever reads its folders would count a day twice, or take
/// it for another.
fn check_places(survey: &Survey, problems: &mut Problems) {
    let mut known: BTreeMap<(usize, Day), &Path> = BTreeMap::new();
    for ((folder, day), root) in &survey.days {
        let Some(number) = *root else {
            continue;
        };
        let root = survey.roots.get(number);
        if let Some(other) = survey::day_of(folder).filter(|named| named != day) {
            // what a copy's folders are called is its owner's business
            let severity = if root.is_some_and(|root| root.identity.is_some()) {
                Severity::Wrong
            } else {
                Severity::Note
            };
            let what = format!(
                "it has files of {day}, and its name is that of {other}: move them to the folder of their day, or remove \
                 them if they are there, too"
            );
            problems.add_of(severity, folder, Some(*day), what);
        }
        if let Some(first) = known.insert((number, *day), folder) {
            let what = format!(
                "it has files of {day}, as {} has: remove one of the copies",
                first.display()
            );
            problems.add_of(Severity::Wrong, folder, Some(*day), what);
        }
    }
}

/// What is said of a copy of published files.
pub const ONLY_TOGETHER: &str = "what each server had, and the causes of gaps, were only checked for consistency and \
                                 against what was committed; the lines and events that they come from stay in the \
                                 vault";

/// What a copy cannot show.
fn note_copy(copy: &Path, absent: &[FileKind], problems: &mut Problems) {
    problems.note(copy, ONLY_TOGETHER);
    let mut kinds: Vec<String> = Vec::new();
    for kind in FileKind::ALL {
        match absent.iter().filter(|absent| **absent == kind).count() {
            0 => (),
            files => kinds.push(format!("{files} {}", kind.ending())),
        }
    }
    if !kinds.is_empty() {
        let what = format!(
            "data files that are never published are not part of this copy, and were not checked: {}",
            kinds.join(", ")
        );
        problems.note(copy, what);
    }
}

/// Days that the ledger knows and the folders do not; hours of the span that nobody knows. Hours of a
/// day that is here are for its own check to tell.
fn check_root(root: &Root, survey: &Survey, problems: &mut Problems) {
    let hours = &survey.hours;
    let path = ledger::path(&root.path);
    let of_root = |place: &&HourPlace| place.folder.starts_with(&root.path);
    let places = || hours.iter().map(|(place, _)| place).filter(of_root);
    let here = places().map(|place| place.hour);
    let left = root.ledger.iter().flatten().map(|(hour, _)| *hour);
    let left = left.filter(|hour| survey.leaves(hour.day()));
    let here: BTreeSet<Hour> = here.chain(left).collect();
    let is_strict = places().any(|place| place.is_strict) || root.identity.is_some();
    let days: BTreeSet<Day> = survey.days.keys().map(|(_, day)| *day).collect();
    let known = root.ledger.iter().flatten().map(|(hour, _)| *hour);
    let gone: Vec<Hour> = known
        .filter(|hour| !days.contains(&hour.day()) && !survey.leaves(hour.day()))
        .collect();
    if is_strict {
        for hour in &gone {
            problems.wrong(&path, format!("it has {hour}, which has no file here"));
        }
    } else if !gone.is_empty() {
        let days: BTreeSet<Day> = gone.iter().map(|hour| hour.day()).collect();
        let days: Vec<String> = days.iter().map(Day::to_string).collect();
        let what = format!(
            "it also has hours of days that are not here, which were not checked: {}",
            some(&days)
        );
        // beside a day's files it is the archive's ledger, of which this is one day
        let is_beside = survey.days.keys().any(|(folder, _)| *folder == root.path);
        let severity = if is_beside {
            Severity::Note
        } else {
            Severity::Incomplete
        };
        problems.add_of(severity, &path, None, what);
    }
    let identity = identity::path(&root.path);
    let Some(first) = root
        .identity
        .as_ref()
        .and_then(|identity| identity.first_hour)
    else {
        let already_told = problems.tells_of(&identity);
        if is_strict && root.identity.is_none() && !already_told {
            problems.wrong(&identity, "it is missing");
        }
        return;
    };
    check_span(root, first, &here, problems);
}

/// An archive begins once: in an hour that follows others no second lies before the beginning.
fn check_beginning(mut hours: Vec<(&HourPlace, bool)>, problems: &mut Problems) {
    hours.sort_by_key(|(place, _)| place.hour);
    for (place, _) in hours.iter().skip(1).filter(|(_, begins)| *begins) {
        let path = place.folder.join(Public::Manifest(place.hour).name());
        let what = "it says that the archive begins in this hour, but there are earlier ones";
        problems.wrong(&path, what);
    }
}

/// The span begins with the first hour in which a collector ran.
fn check_first(root: &Root, collected: Option<&Hour>, problems: &mut Problems) {
    let says = root.identity.as_ref().and_then(|of| of.first_hour);
    let (Some(says), Some(collected)) = (says, collected) else {
        return;
    };
    let path = identity::path(&root.path);
    let text = format!("the first hour: it says {says}, but collecting began in {collected}");
    match says.cmp(collected) {
        // a start in the last second of an hour may be in the next one by the posts' clock
        Ordering::Less if collected.0.abs_diff(says.0) == 1 => (),
        Ordering::Less if collected.0.abs_diff(says.0) <= LEAP_MAX as u64 => {
            problems.unfinished(&path, text);
        }
        Ordering::Less | Ordering::Greater => problems.wrong(&path, text),
        Ordering::Equal => (),
    }
}

/// Every hour from the first one to the last committed one that is not of the future.
fn check_span(root: &Root, first: Hour, here: &BTreeSet<Hour>, problems: &mut Problems) {
    let path = identity::path(&root.path);
    let Some(zone) = root
        .identity
        .as_ref()
        .and_then(|identity| survey::zone(&identity.timezone, &path, problems))
    else {
        return;
    };
    // hours of the future are islands: the span is what follows from the first hour without a leap
    let mut missing = Vec::new();
    for hour in (first.0..).map(Hour) {
        if here.range(hour..).next().is_none() || LEAP_MAX < missing.len() {
            break;
        }
        if here.contains(&hour) {
            let held_back = std::mem::take(&mut missing);
            for gap in held_back {
                problems.unfinished(&path, format!("hour {gap} of the span is not committed"));
            }
        } else if !zone.intervals(hour).is_empty() {
            missing.push(hour);
        }
    }
}

/// More hours than these without one committed are no hole in the span but its end.
const LEAP_MAX: usize = 24 * 31;

/// Files that belong to nothing.
fn note_unknown(disk: &dyn Disk, folder: &Path, problems: &mut Problems) {
    for entry in disk.list(folder).unwrap_or_default() {
        let name = entry.name.as_str();
        let is_ours = if entry.folder {
            name == "revisions"
        } else {
            FileKind::of_name(name).is_some()
                || layout::hour_of_manifest(name).is_some()
                || layout::of_aside(name).is_some()
                || matches!(
                    Public::of_name(name),
                    Some(Public::Day(..) | Public::Ledger)
                )
                || identity::path(Path::new("")) == Path::new(name)
        };
        if !is_ours {
            problems.note(&folder.join(name), UNKNOWN);
        }
    }
}
