//! Whether a day's files are what its manifests say, and whether all are there that speak of each other.
//!
//! In a vault every word is made again. A copy of published files lacks the manifests of former
//! revisions: there the section on revisions is held against the ledger, and all the rest is made again.
//! Where a copy lacks hours, what its files say of the others is still checked.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{
    day_tables, day_words,
    found::Found,
    hour::HourFound,
    pieces::Time,
    problem::{Problems, Severity},
    survey::{Root, Survey},
    told_hours::{Spoken, of_certificate, of_exposure_row, of_ledger, of_report_row},
    whole::{self, Whole},
};
use crate::{
    period::{Day, Hour, Interval, Zone},
    report::{certificate::ranges, read, statement::HourRead},
    text::plural,
    vault::{
        ledger::{self, Line},
        public::{DayFile, Public},
        witness::Witness,
    },
    world::disk::{self, Disk},
};

/// A gap has some 100 bytes, and a day at most a few for each of its seconds and servers.
const BYTES_MAX: u64 = 256 << 20;

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

/// A day that is being checked.
pub struct Checked<'a> {
    /// Its folder.
    pub folder: &'a Path,
    /// Which.
    pub day: Day,
    /// Whether everything must be there.
    pub is_strict: bool,
    /// The ledger that was found.
    pub ledger: Option<&'a BTreeMap<Hour, Vec<Line>>>,
    /// Its stamps.
    pub witness: Option<&'a Witness>,
    /// The hours that can be read, ascending.
    pub hours: Vec<HourRead>,
    /// The hours that something speaks of and that cannot be read.
    pub lacks: BTreeSet<Hour>,
    /// Who speaks of which hours.
    pub spoken: Spoken,
    /// The UTC time of the hours that are here, and of all.
    time: [Vec<Interval>; 2],
}

impl Checked<'_> {
    /// The name of a file of the day.
    pub fn name(&self, file: DayFile) -> String {
        Public::Day(self.day, file).name()
    }

    /// The UTC time of its hours.
    pub fn time(&self) -> Time<'_> {
        let [here, known] = &self.time;
        Time { here, known }
    }
}

/// What a day's files hold, those that are there.
pub type Texts = BTreeMap<DayFile, Vec<u8>>;

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
    let texts = texts(disk, (folder, day), problems);
    let ledger = root.and_then(|root| root.ledger.as_ref());
    let spoken = spoken(day, ledger, &texts);
    let hours = read::readable(disk, folder, day);
    let here: BTreeSet<Hour> = hours.iter().map(|hour| hour.manifest.hour).collect();
    let mut all: BTreeSet<Hour> = named.clone();
    // in a vault the ledger alone says what there is
    all.extend(match (is_strict, &spoken.ledger) {
        (true, Some(ledger)) => ledger.clone(),
        _ => spoken.hours(),
    });
    let time = times(&hours, &all);
    let checked = Checked {
        folder,
        day,
        is_strict,
        ledger,
        witness: root.map(|root| &root.witness),
        lacks: all.difference(&here).copied().collect(),
        hours,
        spoken,
        time,
    };
    let missing: BTreeSet<Hour> = all.difference(&named).copied().collect();
    if is_strict {
        let of = root.map_or(folder, |root| &root.path);
        for hour in &missing {
            let what = format!("it has {hour}, of which there is no file");
            problems.add_of(Severity::Wrong, &ledger::path(of), Some(day), what);
        }
    } else {
        tell_lacks(&checked, problems);
        tell_missing_files(&checked, &texts, problems);
    }
    // the files of a revision that is being put in place may be those of before or after
    let is_unfinished = is_strict && places().any(|place| unfinished.contains(&place.hour));
    check_tables(&checked, &texts, is_unfinished, problems);
    if !places().any(|place| place.is_half_done) {
        day_words::check(disk, &checked, &texts, problems);
    }
    let is_missing = |hour: &&Hour| !is_strict || missing.contains(hour);
    checked.lacks.iter().filter(is_missing).copied().collect()
}

/// Reads the day's files.
fn texts(disk: &dyn Disk, (folder, day): (&Path, Day), problems: &mut Problems) -> Texts {
    let mut texts = Texts::new();
    for file in DayFile::ALL {
        let path = folder.join(Public::Day(day, file).name());
        let read = || match disk.len(&path)? {
            Some(_) => disk::read_bounded(disk, &path, BYTES_MAX).map(Some),
            None => Ok(None),
        };
        match read() {
            Ok(text) => texts.extend(text.map(|text| (file, text))),
            Err(why) => {
                problems.wrong(&path, why.to_string());
                // it is there
                texts.insert(file, Vec::new());
            }
        }
    }
    texts
}

/// Which hours the files speak of.
fn spoken(day: Day, ledger: Option<&BTreeMap<Hour, Vec<Line>>>, texts: &Texts) -> Spoken {
    let text = |file| {
        let text = texts.get(&file)?;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    let of = |file, hour_of: &dyn Fn(&str) -> Option<Hour>| {
        Some(day_tables::hours_of(&text(file)?, hour_of))
    };
    Spoken {
        ledger: ledger.map(|ledger| of_ledger(day, ledger)),
        report: of(DayFile::Report, &|row| of_report_row(day, row)),
        exposure: of(DayFile::Exposure, &|row| of_exposure_row(day, row)),
        certificate: text(DayFile::Certificate).map(|text| of_certificate(day, &text)),
    }
}

/// The UTC time of the hours that can be read, and of all.
fn times(hours: &[HourRead], all: &BTreeSet<Hour>) -> [Vec<Interval>; 2] {
    let here = hours
        .iter()
        .flat_map(|hour| hour.manifest.intervals.clone());
    let here: Vec<Interval> = here.collect();
    let zone = hours.first().map(|hour| hour.manifest.timezone.as_str());
    // a zone that is not known has been told of
    let zone = zone.and_then(|zone| Zone::named(zone).ok());
    let known = |zone: Zone| all.iter().flat_map(|hour| zone.intervals(*hour)).collect();
    let known = zone.map_or_else(Vec::new, known);
    [here, known]
}

/// Names the hours that a copy lacks, and what could be checked without them.
fn tell_lacks(of: &Checked<'_>, problems: &mut Problems) {
    if of.lacks.is_empty() {
        return;
    }
    let lacks: Vec<Hour> = of.lacks.iter().copied().collect();
    let (word, have) = match lacks.len() {
        1 => ("hour", "has"),
        _ => ("hours", "have"),
    };
    let mut what = format!(
        "{word} {} of {} {have} no manifest here",
        ranges(&lacks),
        of.day
    );
    let speakers = of.spoken.speakers(&of.lacks);
    if let Some((last, others)) = speakers.split_last() {
        let speak = if others.is_empty() { "speaks" } else { "speak" };
        let all = if others.is_empty() {
            (*last).to_owned()
        } else {
            format!("{} and {last}", others.join(", "))
        };
        what.extend([format!(
            ", but {all} {speak} of {}",
            if lacks.len() == 1 { "it" } else { "them" }
        )]);
    }
    if let Some(ledger) = &of.spoken.ledger {
        let unknown: Vec<Hour> = of.lacks.difference(ledger).copied().collect();
        if !unknown.is_empty() {
            what.extend([format!(
                " (the ledger does not know {}: it is older than the other files, or lines were taken away)",
                ranges(&unknown)
            )]);
        }
    }
    let here: Vec<Hour> = of.hours.iter().map(|hour| hour.manifest.hour).collect();
    let rest = if here.is_empty() {
        ". Nothing of the day could be checked".to_owned()
    } else {
        format!(
            ". Checked: {} {}, and what the day's tables and lists say of {}. Not checked: {word} {}, and what is \
             said of the whole day (sums, picture)",
            if here.len() == 1 { "hour" } else { "hours" },
            ranges(&here),
            if here.len() == 1 { "it" } else { "them" },
            ranges(&lacks)
        )
    };
    what += &rest;
    problems.add_of(Severity::Incomplete, of.folder, Some(of.day), what);
    for (speaks, silent, hours) in of.spoken.alone(&of.lacks) {
        let ending = |file: &DayFile| of.name(*file).ends_with(&format!("_{speaks}"));
        let file = DayFile::ALL.into_iter().find(ending);
        let path = file.map_or(of.folder.to_owned(), |file| of.folder.join(of.name(file)));
        let hours = ranges(&hours);
        problems.wrong(
            &path,
            format!("it speaks of hour {hours}, of which {silent} says nothing"),
        );
    }
}

/// Names the files that a published day has and this copy has not.
fn tell_missing_files(of: &Checked<'_>, texts: &Texts, problems: &mut Problems) {
    let missing = DayFile::ALL
        .into_iter()
        .filter(|file| !texts.contains_key(file));
    let missing: Vec<DayFile> = missing.collect();
    if missing.is_empty() {
        return;
    }
    let names: Vec<String> = missing.iter().map(|file| of.name(*file)).collect();
    let mut what = format!(
        "{} of the day {} missing, and could not be compared: {}",
        plural(missing.len() as u64, "file", "files"),
        if missing.len() == 1 { "is" } else { "are" },
        names.join(", ")
    );
    let nightly = [DayFile::Certificate, DayFile::Picture, DayFile::Readme];
    if nightly.iter().all(|file| missing.contains(file)) {
        what += " (certificate, picture and README are published after the day's report)";
    }
    problems.add_of(Severity::Incomplete, of.folder, Some(of.day), what);
}

fn check_tables(of: &Checked<'_>, texts: &Texts, is_unfinished: bool, problems: &mut Problems) {
    let severity = if is_unfinished {
        Severity::Unfinished
    } else {
        Severity::Wrong
    };
    if of.hours.is_empty() {
        return;
    }
    for file in [DayFile::Report, DayFile::Gaps, DayFile::Exposure] {
        let path: PathBuf = of.folder.join(of.name(file));
        match texts.get(&file) {
            Some(text) => {
                if let Some(what) = day_tables::wrong(of, file, text) {
                    let what = format!("it is not what the day's manifests say: {what}");
                    problems.add(severity, &path, what);
                }
            }
            None if of.is_strict => problems.add(severity, &path, "it is missing"),
            // that has been told
            None => (),
        }
    }
}
