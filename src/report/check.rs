//! Whether certificate, picture and README of a day are what its manifests say.
//!
//! In a vault every word is made again. A copy of published files lacks the manifests of former
//! revisions: there the section on revisions is held against the ledger, and all the rest is made again.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    certificate, picture, read, readme,
    statement::{HourRead, Statement},
};
use crate::{
    period::{Day, Hour},
    vault::{
        ledger::Line,
        public::{DayFile, Public},
        verify::{Problems, Survey},
    },
    world::disk::{self, Disk},
};

/// A day of nothing but gaps has some megabytes.
const BYTES_MAX: u64 = 64 << 20;

/// Checks all days of a survey that are to be checked whole.
pub fn days(disk: &dyn Disk, survey: &Survey) -> Problems {
    let mut problems = Problems::default();
    for folder in &survey.days {
        let mut hours = survey.hours.iter();
        let place = hours.find(|(place, _)| place.folder == *folder);
        let is_half_done = survey
            .hours
            .iter()
            .any(|(place, _)| place.folder == *folder && place.is_half_done);
        let Some((place, root)) = place.filter(|_| !is_half_done) else {
            continue;
        };
        let root = root.and_then(|root| survey.roots.get(root));
        let mut check = Check {
            disk,
            folder,
            day: place.hour.day(),
            is_strict: place.is_strict,
            ledger: root.and_then(|root| root.ledger.as_ref()),
            problems: &mut problems,
        };
        check.run();
    }
    problems
}

struct Check<'a> {
    disk: &'a dyn Disk,
    folder: &'a Path,
    day: Day,
    is_strict: bool,
    ledger: Option<&'a BTreeMap<Hour, Vec<Line>>>,
    problems: &'a mut Problems,
}

impl Check<'_> {
    fn run(&mut self) {
        let files = [DayFile::Certificate, DayFile::Picture, DayFile::Readme];
        let [certificate, picture, readme] = files.map(|file| self.text(file));
        if certificate.is_none() && picture.is_none() && readme.is_none() {
            return;
        }
        // what cannot be read, or does not fit its zone, has been told of
        let Ok(hours) = read::hours(self.disk, self.folder, self.day) else {
            return;
        };
        let Ok(statement) = Statement::of(self.day, &hours) else {
            return;
        };
        if let Some(text) = &certificate
            && !self.certificate(text, &statement)
        {
            return;
        }
        let of_picture = |text: &str| {
            let (_, rest) = text.split_once(" data-format=\"")?;
            rest.split('"').next()?.parse::<u32>().ok()
        };
        let expected = picture::svg(&statement);
        self.made(DayFile::Picture, picture.as_deref(), &expected, &|text| {
            of_picture(text).map(|format| (format, picture::FORMAT))
        });
        let expected = readme::text(&statement);
        self.made(DayFile::Readme, readme.as_deref(), &expected, &|text| {
            readme::format_of(text).map(|format| (format, readme::FORMAT))
        });
    }

    /// The text of a file; `None` if there is none, or none that can be read.
    fn text(&mut self, file: DayFile) -> Option<String> {
        let path = self.folder.join(Public::Day(self.day, file).name());
        let read = || {
            if self.disk.len(&path)?.is_none() {
                return Ok(None);
            }
            let bytes = disk::read_bounded(self.disk, &path, BYTES_MAX)?;
            String::from_utf8(bytes)
                .map(Some)
                .map_err(std::io::Error::other)
        };
        match read() {
            Ok(text) => text,
            Err(why) => {
                self.problems.wrong(&path, why.to_string());
                None
            }
        }
    }

    /// Checks the certificate; says whether it speaks of the day as it is.
    fn certificate(&mut self, text: &str, statement: &Statement<'_>) -> bool {
        let name = Public::Day(self.day, DayFile::Certificate).name();
        let path = self.folder.join(name);
        let Some((format, program)) = certificate::origin(text) else {
            self.problems.wrong(&path, "it is not a certificate");
            return false;
        };
        let spoken: Vec<(Hour, u64, &str)> = certificate::spoken_of(text).collect();
        for (hour, revision, sha256) in &spoken {
            if self.is_committed(*hour, *revision, sha256, statement.hours) == Some(false) {
                self.problems.wrong(
                    &path,
                    format!(
                        "revision {revision} of {hour}: the manifest that it names is not the one that \
                         was committed"
                    ),
                );
            }
        }
        if !self.speaks_of_this(&path, &spoken, statement.hours) {
            return false;
        }
        if format != certificate::FORMAT {
            self.problems.note(
                &path,
                format!("it was written by {program}: only its hashes were checked"),
            );
            return true;
        }
        let expected = certificate::text(statement, program);
        let has_all = |hour: &HourRead| {
            u64::try_from(hour.revisions.len()) == Ok(hour.manifest.history.revision)
        };
        let (says, expected) = if statement.hours.iter().all(has_all) {
            (text.to_owned(), expected)
        } else {
            let short = certificate::without_revisions;
            (short(text), short(&expected))
        };
        self.compare(&path, &says, &expected);
        true
    }

    /// Whether a manifest is the one that was committed; `None` if nothing here knows.
    fn is_committed(
        &self,
        hour: Hour,
        revision: u64,
        sha256: &str,
        hours: &[HourRead],
    ) -> Option<bool> {
        let here = hours.iter().find(|read| read.manifest.hour == hour);
        let mut revisions = here.iter().flat_map(|read| &read.revisions);
        let here = revisions.find(|known| known.number == revision);
        if let Some(known) = here {
            return Some(known.sha256 == sha256);
        }
        let lines = self.ledger?.get(&hour).map_or(&[][..], Vec::as_slice);
        let line = lines.iter().find(|line| line.revision == revision);
        Some(line.is_some_and(|line| line.manifest_sha256 == sha256))
    }

    /// Whether the certificate speaks of the revisions that are in place; if not, says what it is.
    fn speaks_of_this(
        &mut self,
        path: &Path,
        spoken: &[(Hour, u64, &str)],
        hours: &[HourRead],
    ) -> bool {
        let mut latest: BTreeMap<Hour, u64> = BTreeMap::new();
        for (hour, revision, _) in spoken {
            let known = latest.entry(*hour).or_default();
            *known = (*known).max(*revision);
        }
        let here: BTreeSet<Hour> = hours.iter().map(|read| read.manifest.hour).collect();
        if latest.keys().any(|hour| !here.contains(hour)) {
            let what = "it speaks of hours that are not here, and was not checked";
            if self.is_strict {
                self.problems.wrong(path, what);
            } else {
                self.problems.note(path, what);
            }
            return false;
        }
        let is_newer = |read: &&HourRead| {
            let of = &read.manifest;
            latest.get(&of.hour).copied().unwrap_or(0) < of.history.revision
        };
        if let Some(newer) = hours.iter().find(is_newer) {
            let what = format!(
                "{} has revision {} now, of which it does not speak: `twinstream report {}` writes it anew",
                newer.manifest.hour, newer.manifest.history.revision, self.day
            );
            self.problems.unfinished(path, what);
            return false;
        }
        true
    }

    /// Compares a file with what is made again. `formats` has the file's and this program's.
    fn made(
        &mut self,
        file: DayFile,
        says: Option<&str>,
        expected: &str,
        formats: &dyn Fn(&str) -> Option<(u32, u32)>,
    ) {
        let path = self.folder.join(Public::Day(self.day, file).name());
        let Some(says) = says else {
            if self.is_strict {
                let what = "it is missing: it is written together with the certificate";
                self.problems.wrong(&path, what);
            }
            return;
        };
        match formats(says) {
            Some((format, this)) if format != this => self.problems.note(
                &path,
                format!("it has format {format}, this program writes {this}: it was not checked"),
            ),
            _ => self.compare(&path, says, expected),
        }
    }

    fn compare(&mut self, path: &Path, says: &str, expected: &str) {
        if says == expected {
            return;
        }
        // a picture is one line, of which nobody wants to be shown the begin
        let is_text = 1 < expected.lines().count();
        let mut lines = expected.lines().zip(says.lines()).filter(|_| is_text);
        let what = match lines.find(|(expected, says)| expected != says) {
            Some((expected, says)) => format!(
                "it is not what the day's manifests say: it has {:?} where {:?} follows from them",
                shortened(says),
                shortened(expected)
            ),
            None if is_text => {
                "it is not what the day's manifests say: it has other lines at its end".to_owned()
            }
            None => "it is not what the day's manifests say".to_owned(),
        };
        self.problems.wrong(path, what);
    }
}

/// As much of a line as a message needs.
fn shortened(line: &str) -> String {
    line.trim().chars().take(120).collect()
}
