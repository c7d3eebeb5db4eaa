//! What hours have in common: the ledger, earlier revisions, the days' reports, files that belong to
//! nothing.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    day,
    layout::{self, Kind},
    ledger::{self, Line},
    manifest::{MANIFEST_BYTES_MAX, Manifest, sha256},
    public::Public,
    verify::{DayFound, Found, HourPlace, Problems, Root, Severity, Survey, UNKNOWN},
    verify_hour::HourFound,
};
use crate::{
    period::Hour,
    world::disk::{self, Disk},
};

/// Puts together what was found in the hours (in the order of the survey), and checks what they have
/// in common.
pub fn whole(disk: &dyn Disk, survey: Survey, hours: Vec<HourFound>) -> Found {
    let mut found = Found::default();
    let mut problems = survey.problems;
    let mut unfinished: BTreeSet<Hour> = BTreeSet::new();
    let mut behind = Vec::new();
    let mut collected: BTreeMap<&Path, Hour> = BTreeMap::new();
    for ((place, root), hour) in survey.hours.iter().zip(hours) {
        let day = found
            .days
            .entry(place.hour.day())
            .or_insert_with(DayFound::default);
        day.hours += 1;
        day.posts += hour.posts;
        day.bytes += hour.bytes;
        let root = root.and_then(|number| survey.roots.get(number));
        if let Some(root) = root.filter(|_| hour.was_collected) {
            let first = collected.entry(&root.path).or_insert(place.hour);
            *first = place.hour.min(*first);
        }
        if place.is_half_done {
            unfinished.insert(place.hour);
        } else {
            check_revisions(disk, place, &hour, root, &mut behind, &mut problems);
        }
        problems.0.extend(hour.problems.0);
    }
    tell_behind(&behind, &mut unfinished, &mut problems);
    for root in survey.roots.iter().filter(|root| root.is_whole) {
        check_root(root, &survey.hours, &mut problems);
        check_first(root, collected.get(root.path.as_path()), &mut problems);
    }
    for folder in &survey.days {
        let root = survey
            .hours
            .iter()
            .find(|(place, _)| place.folder == *folder);
        let root = root
            .and_then(|(_, root)| *root)
            .and_then(|number| survey.roots.get(number));
        let is_strict = survey
            .hours
            .iter()
            .any(|(place, _)| place.folder == *folder && place.is_strict);
        let is_unfinished = survey
            .hours
            .iter()
            .any(|(place, _)| place.folder == *folder && unfinished.contains(&place.hour));
        check_day(disk, folder, root, is_strict, is_unfinished, &mut problems);
        note_unknown(disk, folder, &mut problems);
    }
    found.problems = problems.0;
    found
        .problems
        .sort_by(|a, b| (b.severity, &a.path, &a.what).cmp(&(a.severity, &b.path, &b.what)));
    found.problems.dedup();
    found
}

/// An hour of which the ledger lacks the last line, and whether it lacks just that.
struct Behind {
    hour: Hour,
    ledger: std::path::PathBuf,
    lacks: u64,
    is_copy: bool,
}

/// The manifests of an hour's earlier revisions, their chain, and what the ledger says of all of them.
fn check_revisions(
    disk: &dyn Disk,
    place: &HourPlace,
    hour: &HourFound,
    root: Option<&Root>,
    behind: &mut Vec<Behind>,
    problems: &mut Problems,
) {
    let mut hashes: Vec<Option<String>> = Vec::new();
    let mut previous: Option<String> = None;
    let revisions = place.folder.join("revisions");
    for revision in 1..hour.revision {
        let path = revisions.join(format!("{}_r{revision}_manifest.json", place.hour));
        let bytes = match disk.len(&path) {
            Ok(Some(_)) => disk::read_bounded(disk, &path, MANIFEST_BYTES_MAX),
            Ok(None) if !place.is_strict => {
                hashes.push(None);
                previous = None;
                continue;
            }
            Ok(None) => Err(std::io::Error::other("it is missing")),
            Err(why) => Err(why),
        };
        match bytes {
            Ok(bytes) => {
                check_former(
                    &path,
                    &bytes,
                    place.hour,
                    revision,
                    previous.as_deref(),
                    problems,
                );
                hashes.push(Some(sha256(&bytes)));
            }
            Err(why) => {
                problems.wrong(&path, why.to_string());
                hashes.push(None);
            }
        }
        previous = hashes.last().cloned().flatten();
    }
    let path = place.folder.join(format!("{}_manifest.json", place.hour));
    if let (Some(says), Some(is)) = (&hour.previous_manifest, &previous)
        && says != is
    {
        problems.wrong(&path, "the manifest before it is not the one that it names");
    }
    hashes.push(hour.manifest_sha256.clone());
    let Some(ledger) = root.and_then(|root| root.ledger.as_ref().map(|ledger| (root, ledger)))
    else {
        return;
    };
    if 0 < hour.revision {
        check_ledger(place, &hashes, ledger, behind, problems);
    }
}

fn check_former(
    path: &Path,
    bytes: &[u8],
    hour: Hour,
    revision: u64,
    previous: Option<&str>,
    problems: &mut Problems,
) {
    match Manifest::from_json(bytes) {
        Ok(manifest) => {
            problems.same(path, "the hour", manifest.hour, hour);
            problems.same(path, "the revision", manifest.history.revision, revision);
            if let (Some(says), Some(is)) = (&manifest.history.previous_manifest, previous)
                && says != is
            {
                problems.wrong(path, "the manifest before it is not the one that it names");
            }
        }
        Err(why) => problems.wrong(path, why.to_string()),
    }
}

fn check_ledger(
    place: &HourPlace,
    hashes: &[Option<String>],
    (root, ledger): (&Root, &BTreeMap<Hour, Vec<Line>>),
    behind: &mut Vec<Behind>,
    problems: &mut Problems,
) {
    let ledger_path = ledger::path(&root.path);
    let lines = ledger.get(&place.hour).map_or(&[][..], Vec::as_slice);
    for (hash, line) in hashes.iter().zip(lines) {
        if hash
            .as_ref()
            .is_some_and(|hash| *hash != line.manifest_sha256)
        {
            problems.wrong(
                &ledger_path,
                format!(
                    "revision {} of {}: its manifest is not the one that was committed",
                    line.revision, place.hour
                ),
            );
        }
    }
    if hashes.len() < lines.len() {
        problems.wrong(
            &place.folder,
            format!(
                "the ledger has {} revisions of {}, the folder {}",
                lines.len(),
                place.hour,
                hashes.len()
            ),
        );
    } else if lines.len() < hashes.len() {
        behind.push(Behind {
            hour: place.hour,
            ledger: ledger_path,
            lacks: (hashes.len() - lines.len()) as u64,
            is_copy: !place.is_strict,
        });
    }
}

/// One merge at a time commits one revision at a time, so only one line can be waiting for its merge.
fn tell_behind(behind: &[Behind], unfinished: &mut BTreeSet<Hour>, problems: &mut Problems) {
    let is_one = matches!(behind, [one] if one.lacks == 1);
    for Behind {
        hour,
        ledger,
        lacks,
        is_copy,
    } in behind
    {
        if is_one {
            unfinished.insert(*hour);
            let means = if *is_copy {
                "the copy was made before the ledger was published with it, or somebody took the line \
                 away; that this revision was committed is not shown until the ledger is fetched again"
            } else {
                "the next merge appends it"
            };
            let what = format!("the line of the last revision of {hour} is missing: {means}");
            problems.unfinished(ledger, what);
        } else {
            problems.wrong(ledger, format!("{lacks} lines of {hour} are missing"));
        }
    }
}

/// Hours that the ledger knows and the folders do not; hours of the span that nobody knows.
fn check_root(root: &Root, hours: &[(HourPlace, Option<usize>)], problems: &mut Problems) {
    let path = ledger::path(&root.path);
    let here: BTreeSet<Hour> = hours
        .iter()
        .filter(|(place, _)| place.folder.starts_with(&root.path))
        .map(|(place, _)| place.hour)
        .collect();
    let is_strict = hours
        .iter()
        .any(|(place, _)| place.folder.starts_with(&root.path) && place.is_strict);
    let known = root.ledger.iter().flatten().map(|(hour, _)| *hour);
    for hour in known.filter(|hour| !here.contains(hour)) {
        if is_strict || root.identity.is_some() {
            problems.wrong(&path, format!("it has {hour}, of which there is no file"));
        } else {
            problems.note(
                &path,
                format!("it has {hour}, which is not part of this copy"),
            );
        }
    }
    if root.ledger.is_none() && !here.is_empty() {
        let already_told = problems.0.iter().any(|problem| problem.path == path);
        if is_strict && !already_told {
            problems.wrong(&path, "the ledger is missing");
        }
    }
    let identity = super::identity::path(&root.path);
    let Some(first) = root
        .identity
        .as_ref()
        .and_then(|identity| identity.first_hour)
    else {
        let already_told = problems.0.iter().any(|problem| problem.path == identity);
        if is_strict && root.identity.is_none() && !already_told {
            problems.wrong(&identity, "it is missing");
        }
        return;
    };
    check_span(root, first, &here, problems);
}

/// The span begins with the first hour in which a collector ran.
fn check_first(root: &Root, collected: Option<&Hour>, problems: &mut Problems) {
    let says = root.identity.as_ref().and_then(|of| of.first_hour);
    let (Some(says), Some(collected)) = (says, collected) else {
        return;
    };
    let path = super::identity::path(&root.path);
    let text =
        format!("the first hour: it says {says}, the first that was collected is {collected}");
    match says.cmp(collected) {
        Ordering::Less if collected.0.abs_diff(says.0) <= LEAP_MAX as u64 => {
            problems.unfinished(&path, text);
        }
        Ordering::Less | Ordering::Greater => problems.wrong(&path, text),
        Ordering::Equal => (),
    }
}

/// Every hour from the first one to the last committed one that is not of the future.
fn check_span(root: &Root, first: Hour, here: &BTreeSet<Hour>, problems: &mut Problems) {
    let path = super::identity::path(&root.path);
    let Some(zone) = root
        .identity
        .as_ref()
        .and_then(|identity| super::verify::zone(&identity.timezone, &path, problems))
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

/// Whether the day's files are what its manifests say.
fn check_day(
    disk: &dyn Disk,
    folder: &Path,
    root: Option<&Root>,
    is_strict: bool,
    is_unfinished: bool,
    problems: &mut Problems,
) {
    let entries = disk.list(folder).unwrap_or_default();
    let Some(day) = entries
        .iter()
        .find_map(|entry| layout::hour_of_manifest(&entry.name))
        .map(Hour::day)
    else {
        return;
    };
    let hours = match day::hours_in(disk, folder, day) {
        Ok(hours) => hours,
        // a manifest that cannot be read has been told of
        Err(_told) => return,
    };
    if !is_strict {
        problems.note(folder, ONLY_TOGETHER);
        if root.is_none_or(|root| root.ledger.is_none()) {
            problems.note(folder, NO_LEDGER);
        }
        let known = root
            .and_then(|root| root.ledger.as_ref())
            .into_iter()
            .flatten();
        let is_here = |hour: &Hour| hours.iter().any(|read| read.hour == *hour);
        let gone: Vec<String> = known
            .filter(|(hour, _)| hour.day() == day && !is_here(hour))
            .map(|(hour, _)| hour.to_string())
            .collect();
        if !gone.is_empty() {
            let what = format!(
                "the ledger has hours of this day that are not part of this copy: {}; the day's files \
                 speak of them, too, and were not checked",
                gone.join(", ")
            );
            problems.note(folder, what);
            return;
        }
    }
    let severity = if is_unfinished {
        Severity::Unfinished
    } else {
        Severity::Wrong
    };
    let must_be_there = is_strict || root.is_some_and(|root| root.identity.is_some());
    for (name, expected) in day::files(day, &hours) {
        let path = folder.join(name);
        let what = match disk.len(&path) {
            Ok(Some(_)) => match disk::read_bounded(disk, &path, DAY_FILE_BYTES_MAX) {
                Ok(text) if text == expected.as_bytes() => continue,
                Ok(text) => difference(&text, &expected),
                Err(why) => why.to_string(),
            },
            Ok(None) if must_be_there => "it is missing".to_owned(),
            Ok(None) => {
                problems.note(&path, "it is not part of this copy");
                continue;
            }
            Err(why) => why.to_string(),
        };
        problems.0.push(super::verify::Problem {
            severity,
            path,
            what,
        });
    }
}

/// Of a line so many characters are shown.
const SHOWN_CHARS_MAX: usize = 120;

/// The first line in which a day's file is not what the manifests say.
fn difference(text: &[u8], expected: &str) -> String {
    let text = String::from_utf8_lossy(text);
    let (mut found, mut wanted) = (text.lines(), expected.lines());
    let mut number = 0;
    let (found, wanted) = loop {
        number += 1;
        match (found.next(), wanted.next()) {
            (Some(line), Some(other)) if line == other => (),
            differing => break differing,
        }
    };
    let shown = |line: Option<&str>| match line {
        Some(line) => format!(
            "{:?}",
            line.chars().take(SHOWN_CHARS_MAX).collect::<String>()
        ),
        None => "missing".to_owned(),
    };
    format!(
        "it is not what the day's manifests say: line {number} is {}, by them it is {}",
        shown(found),
        shown(wanted)
    )
}

/// What is said of a copy of published files.
const ONLY_TOGETHER: &str = "what each server had, and the causes of gaps, were checked only for whether they fit \
     together; the lines and events that they come from stay in the vault";
/// What is said of one without a ledger.
const NO_LEDGER: &str =
    "there is no ledger here: whether the manifests are those that were committed was not checked";

/// A gap has some 100 bytes, and a day at most a few for each of its seconds and servers.
const DAY_FILE_BYTES_MAX: u64 = 256 << 20;

/// Files that belong to nothing.
fn note_unknown(disk: &dyn Disk, folder: &Path, problems: &mut Problems) {
    for entry in disk.list(folder).unwrap_or_default() {
        let name = entry.name.as_str();
        let is_ours = if entry.folder {
            name == "revisions"
        } else {
            Kind::of_name(name).is_some()
                || layout::hour_of_manifest(name).is_some()
                || layout::of_aside(name).is_some()
                || matches!(Public::of_name(name), Some(Public::Day(..)))
        };
        if !is_ours {
            problems.note(&folder.join(name), UNKNOWN);
        }
    }
}
