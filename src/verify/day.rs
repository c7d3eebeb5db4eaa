//! Which hours a day has, and whether all of its files are there that speak of each other.
//!
//! If a copy lacks hours, `certificate.json` replaces their manifests: then the day's files are compared with each
//! other, and with the manifests of the hours that are here.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    checked::Checked,
    day_files,
    found::Found,
    hour::HourFound,
    problem::{Problems, Severity},
    survey::{Root, Survey},
    whole::{self, Whole},
};
use crate::{
    period::{Day, Hour},
    report::{
        certificate::{in_hours, ranges},
        files, read,
        statement::{AnyStatement, BYTES_MAX, ReadStatement},
    },
    text::plural,
    vault::{
        ledger::{self},
        public::{DayFile, Public},
    },
    world::disk::{self, Disk},
};

/// Puts together what was found in the hours of a survey (in its order), and checks all that they have in
/// common.
pub fn whole(disk: &dyn Disk, survey: &Survey, hours: Vec<HourFound>) -> Found {
    let Whole {
        mut found,
        mut problems,
        unfinished,
    } = whole::whole(disk, survey, hours);
    for ((folder, day), root) in &survey.days {
        let root = root.and_then(|root| survey.roots.get(root));
        let missing = check_day(
            disk,
            survey,
            (folder, *day),
            root,
            &unfinished,
            &mut problems,
        );
        if let Some(of_day) = found.days.get_mut(day) {
            of_day.missing.extend(missing);
        }
    }
    found.with(problems)
}

/// Checks a day; gives the hours of which there is nothing to check.
fn check_day(
    disk: &dyn Disk,
    survey: &Survey,
    (folder, day): (&Path, Day),
    root: Option<&Root>,
    unfinished: &BTreeSet<Hour>,
    problems: &mut Problems,
) -> Vec<Hour> {
    let places = || {
        let all = survey.hours.iter().map(|(place, _)| place);
        all.filter(|place| place.folder == folder && place.hour.day() == day)
    };
    let is_vault = root.is_some_and(|root| root.identity.is_some());
    let is_strict = is_vault || places().any(|place| place.is_strict);
    let named: BTreeSet<Hour> = places().map(|place| place.hour).collect();
    let mut checked = Checked {
        disk,
        folder,
        day,
        is_strict,
        root,
        texts: BTreeMap::new(),
        said: read::readable(disk, folder, day),
        spoken: None,
        told: None,
        lacks: BTreeSet::new(),
    };
    read_files(&mut checked, problems);
    let mut all: BTreeSet<Hour> = named.clone();
    let speakers = speakers(&checked);
    let is_ledger = |(name, _): &&(&str, BTreeSet<Hour>)| *name == LEDGER;
    // in a vault the ledger alone says what there is
    let ledger = speakers.iter().find(is_ledger).filter(|_| is_strict);
    let who = ledger.map_or(&*speakers, std::slice::from_ref);
    all.extend(who.iter().flat_map(|(_, hours)| hours));
    checked.lacks.clone_from(&all);
    for said in &checked.said.hours {
        checked.lacks.remove(&said.hour);
    }
    let missing: BTreeSet<Hour> = all.difference(&named).copied().collect();
    if is_strict {
        let of = root.map_or(folder, |root| &root.path);
        for hour in &missing {
            let what = format!("it has {hour}, which has no file here");
            problems.add_of(Severity::Wrong, &ledger::path(of), Some(day), what);
        }
    } else {
        tell_lacks(&checked, &speakers, problems);
        tell_missing_files(&checked, problems);
    }
    // the files of a revision that is being put in place may be those of before or after
    let is_unfinished = is_strict && places().any(|place| unfinished.contains(&place.hour));
    day_files::tables(&checked, is_unfinished, problems);
    if !places().any(|place| place.is_half_done) {
        day_files::certified(&checked, problems);
    }
    let is_missing = |hour: &Hour| !is_strict || missing.contains(hour);
    let lacks = checked.lacks.into_iter();
    lacks.filter(is_missing).collect()
}

/// Reads the day's files.
fn read_files(of: &mut Checked<'_>, problems: &mut Problems) {
    for file in DayFile::ALL {
        let path = of.path(file);
        let read = || match of.disk.len(&path)? {
            Some(_) => disk::read_bounded(of.disk, &path, BYTES_MAX).map(Some),
            None => Ok(None),
        };
        match read() {
            Ok(text) => of.texts.extend(text.map(|text| (file, text))),
            Err(why) => {
                problems.wrong(&path, why.to_string());
                // it is there
                of.texts.insert(file, Vec::new());
            }
        }
    }
    let Some(bytes) = of.texts.get(&DayFile::Statement) else {
        return;
    };
    let read = AnyStatement::read(bytes)
        .and_then(|spoken| Ok((ReadStatement::read(bytes, &spoken)?, spoken)));
    match read {
        Ok((told, spoken)) => (of.told, of.spoken) = (told, Some(spoken)),
        Err(why) => {
            let path = of.path(DayFile::Statement);
            problems.wrong(&path, format!("it is not a certificate: {why}"));
        }
    }
}

/// How a person calls the ledger.
const LEDGER: &str = "the ledger";

/// Who speaks of which hours of the day. The report does where neither ledger nor statement does: it is held against them.
fn speakers(of: &Checked<'_>) -> Vec<(&'static str, BTreeSet<Hour>)> {
    let of_day = |hours: &mut dyn Iterator<Item = Hour>| -> BTreeSet<Hour> {
        hours.filter(|hour| hour.day() == of.day).collect()
    };
    let ledger = of.root.and_then(|root| root.ledger.as_ref());
    let mut speakers = Vec::new();
    if let Some(ledger) = ledger {
        speakers.push((LEDGER, of_day(&mut ledger.keys().copied())));
    }
    if let Some(spoken) = &of.spoken {
        let mut hours = spoken.revisions.iter().map(|it| it.hour);
        speakers.push(("certificate.json", of_day(&mut hours)));
    }
    if let Some(report) = of
        .texts
        .get(&DayFile::Report)
        .filter(|_| speakers.is_empty())
    {
        let report = String::from_utf8_lossy(report);
        let rows = report
            .lines()
            .filter_map(|row| row.split('\t').next()?.parse().ok());
        let rows: BTreeSet<i64> = rows.collect();
        let mut hours = of.day.hours().filter(|hour| rows.contains(&hour.of_day()));
        speakers.push(("report.txt", of_day(&mut hours)));
    }
    speakers
}

/// Names the hours that a copy lacks, and what could be checked without them.
fn tell_lacks(of: &Checked<'_>, speakers: &[(&str, BTreeSet<Hour>)], problems: &mut Problems) {
    if of.lacks.is_empty() {
        return;
    }
    let lacks: Vec<Hour> = of.lacks.iter().copied().collect();
    let (have, them) = match lacks.len() {
        1 => ("has", "it"),
        _ => ("have", "them"),
    };
    let hours = in_hours(&lacks);
    let mut what = format!("{hours} of {} {have} no manifest here", of.day);
    let speaking = speakers.iter();
    let speaking = speaking.filter(|(_, hours)| !hours.is_disjoint(&of.lacks));
    let speaking: Vec<&str> = speaking.map(|(name, _)| *name).collect();
    match speaking[..] {
        [] => (),
        [one] => what.extend([format!(", but {one} names {them}")]),
        _ => what.extend([format!(", but {} name {them}", speaking.join(" and "))]),
    }
    if let Some((LEDGER, ledger)) = speakers.first() {
        let unknown: Vec<Hour> = of.lacks.difference(ledger).copied().collect();
        if !unknown.is_empty() {
            what.extend([format!(
                " (the ledger does not know {}: it is older than the other files, or lines were removed from it)",
                ranges(&unknown)
            )]);
        }
    }
    let here: Vec<Hour> = of.said.hours.iter().map(|said| said.hour).collect();
    let checked = if here.is_empty() {
        String::new()
    } else {
        format!("{}, and ", in_hours(&here))
    };
    let rest = if of.told_of_lacks().is_some() {
        format!(
            ". Checked: {checked}whether the day's files agree with what certificate.json says of {hours}. Not checked: \
             whether they are what was committed"
        )
    } else if here.is_empty() {
        ". Nothing of the day could be checked".to_owned()
    } else {
        format!(
            ". Checked: {}, as far as their files are here. Not checked: {hours}, and the day's tables",
            in_hours(&here)
        )
    };
    what += &rest;
    problems.add_of(Severity::Incomplete, of.folder, Some(of.day), what);
}

/// Names the files that a published day has and this copy has not.
fn tell_missing_files(of: &Checked<'_>, problems: &mut Problems) {
    let missing = DayFile::ALL
        .into_iter()
        .filter(|file| !of.texts.contains_key(file));
    let missing: Vec<DayFile> = missing.collect();
    if missing.is_empty() {
        return;
    }
    let names = missing.iter().map(|file| Public::Day(of.day, *file).name());
    let names: Vec<String> = names.collect();
    let mut what = format!(
        "{} of the day {} missing, and could not be compared: {}",
        plural(missing.len() as u64, "file", "files"),
        if missing.len() == 1 { "is" } else { "are" },
        names.join(", ")
    );
    if files::REPORTED.iter().all(|file| missing.contains(file)) {
        what += " (certificate, picture and README are published after the day's report)";
    } else if missing.contains(&DayFile::Statement) {
        what += " (without certificate.json, the certificate, its picture and the README could not be compared \
                 either)";
    }
    problems.add_of(Severity::Incomplete, of.folder, Some(of.day), what);
}
