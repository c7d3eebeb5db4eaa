//! Whether certificate, picture and README of a day are what its manifests say: every word of them, or where
//! hours are missing their hashes and lists of the hours that are here.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use super::{
    day::{Checked, Texts},
    difference, pieces,
    problem::{Problems, Severity},
    witness::told_wrong,
};
use crate::{
    cover::gap::{Gap, UNION},
    period::Hour,
    report::{
        certificate, picture, read, readme, stamped,
        statement::{HourRead, Statement},
        told_gaps::Told,
    },
    vault::{layout::Kind, public::DayFile},
    world::disk::Disk,
};

/// Checks the three.
pub(super) fn check(disk: &dyn Disk, of: &Checked<'_>, texts: &Texts, problems: &mut Problems) {
    // what cannot be read, or does not fit its zone, has been told of
    let Ok(mut statement) = Statement::of(of.day, &of.hours) else {
        return;
    };
    let text = |file| {
        let bytes = texts.get(&file)?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    };
    let files = [DayFile::Certificate, DayFile::Picture, DayFile::Readme];
    let [certificate, picture, readme] = files.map(text);
    // which stamps there were when it was written is not for the manifests to say
    statement.witness = certificate.as_deref().and_then(stamped::told);
    let mut check = Check {
        disk,
        of,
        statement,
        problems,
    };
    if of.is_strict && certificate.is_none() && (picture.is_some() || readme.is_some()) {
        let path = check.path(DayFile::Certificate);
        let what = format!(
            "it is missing, and what is written with it is here: `twinstream report {}` writes it anew",
            of.day
        );
        check.problems.unfinished(&path, what);
    }
    let speaks_of_this = certificate.as_ref().map(|text| check.certificate(text));
    if speaks_of_this == Some(false) {
        // then neither do the others, which are written with it
        return;
    }
    let is_written = certificate.is_some();
    let format_of = |text: &str| {
        let (_, rest) = text.split_once(" data-format=\"")?;
        rest.split('"').next()?.parse().ok()
    };
    check.made(DayFile::Picture, picture.as_deref(), is_written, &format_of);
    if let Some(readme) = &readme {
        check.beside_manifests(readme, is_written);
    }
    check.made(
        DayFile::Readme,
        readme.as_deref(),
        is_written,
        &readme::format_of,
    );
}

struct Check<'a> {
    disk: &'a dyn Disk,
    of: &'a Checked<'a>,
    statement: Statement<'a>,
    problems: &'a mut Problems,
}

impl Check<'_> {
    fn path(&self, file: DayFile) -> PathBuf {
        self.of.folder.join(self.of.name(file))
    }

    fn wrong(&mut self, file: DayFile, what: &str) {
        let path = self.path(file);
        let what = format!("it is not what the day's manifests say: {what}");
        self.problems.wrong(&path, what);
    }

    /// A file of another version's form. In a copy nothing shows that what it says is true.
    fn other_form(&mut self, file: DayFile, what: &str) {
        let severity = if self.of.is_strict {
            Severity::Note
        } else {
            Severity::Incomplete
        };
        self.problems.add(severity, &self.path(file), what);
    }

    /// Checks the certificate; says whether it speaks of the day as it is.
    fn certificate(&mut self, text: &str) -> bool {
        let path = self.path(DayFile::Certificate);
        let Some((format, program)) = certificate::origin(text) else {
            self.problems.wrong(&path, "it is not a certificate");
            return false;
        };
        let spoken: Vec<(Hour, u64, &str)> = certificate::spoken_of(text).collect();
        for (hour, revision, sha256) in &spoken {
            if self.is_committed(*hour, *revision, sha256) == Some(false) {
                let what = self.other_manifest(*hour, *revision, sha256);
                self.problems.wrong(&path, what);
            }
        }
        if !self.speaks_of_this(&spoken) {
            return false;
        }
        self.witness(DayFile::Certificate, &spoken);
        if format != certificate::FORMAT {
            let what = format!("it was written by {program}: only its hashes were checked");
            self.other_form(DayFile::Certificate, &what);
            return true;
        }
        if !self.of.lacks.is_empty() {
            self.part_of_certificate(text);
            return true;
        }
        let expected = certificate::text(&self.statement, program);
        let has_all = |hour: &HourRead| {
            u64::try_from(hour.revisions.len()) == Ok(hour.manifest.history.revision)
        };
        let (says, expected) = if self.of.hours.iter().all(has_all) {
            (text.to_owned(), expected)
        } else {
            let short = certificate::without_revisions;
            (short(text), short(&expected))
        };
        if let Some(what) = difference::difference(says.as_bytes(), &expected) {
            self.wrong(DayFile::Certificate, &what);
        }
        true
    }

    /// Takes from a README what the manifests do not say: stamp and DOI. Whether the DOI is the archive's, the
    /// files to cite by tell.
    fn beside_manifests(&mut self, readme: &str, has_certificate: bool) {
        let told = stamped::told(readme);
        self.statement.doi = readme::told_doi(readme);
        if has_certificate && told == self.statement.witness {
            return;
        }
        self.statement.witness = told;
        if has_certificate {
            let path = self.path(DayFile::Readme);
            let what = "it does not name the same stamp as the certificate: they are put in place one after another";
            self.problems.unfinished(&path, what);
        }
        let of = self.of;
        let spoken: Vec<(Hour, u64, &str)> = read::revisions(&of.hours).collect();
        self.witness(DayFile::Readme, &spoken);
    }

    /// Whether the stamp that a file names covers what it speaks of.
    fn witness(&mut self, file: DayFile, spoken: &[(Hour, u64, &str)]) {
        let path = self.path(file);
        let Some(witness) = self.of.witness else {
            return;
        };
        let line = witness.line_of(spoken.iter().copied());
        let Some(told) = &self.statement.witness else {
            let since = line.and_then(|line| witness.since(self.disk, line));
            if let Some(since) = since {
                let what = format!(
                    "a stamp of {} covers it, which it does not tell yet",
                    since.time
                );
                self.problems.note(&path, what);
            }
            return;
        };
        let wrong = told_wrong(self.disk, witness, told, line, self.of.is_strict);
        if let Some((severity, what)) = wrong {
            self.problems.add(severity, &path, what);
        }
    }

    /// Says who speaks of which manifest, so that a false one is not taken for the truth.
    fn other_manifest(&self, hour: Hour, revision: u64, sha256: &str) -> String {
        let lines = self.of.ledger.and_then(|ledger| ledger.get(&hour));
        let line = lines.and_then(|lines| lines.iter().find(|line| line.revision == revision));
        let of = format!("manifest of revision {revision} of {hour}");
        match line.map(|line| line.manifest_sha256 == sha256) {
            Some(true) => format!(
                "it and the ledger name another {of} than the one that is here: that manifest was changed, and \
                 what is found by it in other files may be true"
            ),
            Some(false) => format!("it names another {of} than the ledger"),
            None => format!("it names another {of} than the one that is here"),
        }
    }

    /// Whether a manifest is the one that was committed; `None` if nothing here knows.
    fn is_committed(&self, hour: Hour, revision: u64, sha256: &str) -> Option<bool> {
        let here = self.of.hours.iter().find(|read| read.manifest.hour == hour);
        let mut revisions = here.iter().flat_map(|read| &read.revisions);
        let known = revisions.find(|known| known.number == revision);
        if let Some(known) = known {
            return Some(known.sha256 == sha256);
        }
        let lines = self.of.ledger?.get(&hour).map_or(&[][..], Vec::as_slice);
        let line = lines.iter().find(|line| line.revision == revision);
        match line {
            Some(line) => Some(line.manifest_sha256 == sha256),
            // the ledger may be older, which has been told; but a manifest is published before a
            // certificate that speaks of it
            None if !self.of.is_strict => {
                let is_later = here.is_some_and(|of| of.manifest.history.revision < revision);
                is_later.then_some(false)
            }
            None => Some(false),
        }
    }

    /// Whether the certificate speaks of the revisions that are in place; if not, says what it is.
    fn speaks_of_this(&mut self, spoken: &[(Hour, u64, &str)]) -> bool {
        let path = self.path(DayFile::Certificate);
        let mut latest: BTreeMap<Hour, u64> = BTreeMap::new();
        for (hour, revision, _) in spoken {
            let known = latest.entry(*hour).or_default();
            *known = (*known).max(*revision);
        }
        let here: BTreeSet<Hour> = self
            .of
            .hours
            .iter()
            .map(|read| read.manifest.hour)
            .collect();
        if self.of.is_strict && latest.keys().any(|hour| !here.contains(hour)) {
            let what = "it speaks of hours that are not here, and was not checked";
            self.problems.wrong(&path, what);
            return false;
        }
        let is_newer = |read: &&HourRead| {
            let of = &read.manifest;
            latest.get(&of.hour).copied().unwrap_or(0) < of.history.revision
        };
        if let Some(newer) = self.of.hours.iter().find(is_newer) {
            let remedy = if self.of.is_strict {
                format!("`twinstream report {}` writes it anew", self.of.day)
            } else {
                "what it and its picture and README say was not checked; a newer one is published with the \
                 day's next report"
                    .to_owned()
            };
            let what = format!(
                "{} has revision {} now, of which it does not speak: {remedy}",
                newer.manifest.hour, newer.manifest.history.revision
            );
            self.problems.unfinished(&path, what);
            return false;
        }
        true
    }

    /// The lines about the hours that are here: hashes of data files, revisions, gaps.
    fn part_of_certificate(&mut self, text: &str) {
        let mut wrong = self.hashes(text);
        for hour in &self.of.hours {
            let Some(last) = hour.revisions.last() else {
                continue;
            };
            let is_it = |(of, number, _): &(Hour, u64, &str)| {
                *of == hour.manifest.hour && *number == last.number
            };
            if !certificate::spoken_of(text).any(|spoken| is_it(&spoken)) {
                wrong.push(format!(
                    "the revision {} of {} is missing",
                    last.number, hour.manifest.hour
                ));
            }
        }
        let (told, all_told) = certificate::told_gaps(text);
        wrong.extend(self.gaps(&told, &|server| all_told.contains(server)));
        if !wrong.is_empty() {
            self.wrong(DayFile::Certificate, &difference::told(&wrong));
        }
    }

    /// The lines that `sha256sum` reads, of the hours that are here.
    fn hashes(&self, text: &str) -> Vec<String> {
        let is_here = |name: &str| {
            let hour = Kind::of_name(name).map(|(hour, _)| hour);
            hour.is_some_and(|hour| self.of.hours.iter().any(|h| h.manifest.hour == hour))
        };
        let is_hash = |line: &str| {
            let (hash, name) = line.split_once("  ")?;
            let is_it = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
            (is_it && is_here(name)).then_some(())
        };
        let lines = (1..).zip(text.lines());
        let lines: Vec<(usize, &str)> = lines.filter(|(_, line)| is_hash(line).is_some()).collect();
        let outputs = self.of.hours.iter().flat_map(|hour| &hour.manifest.outputs);
        let expected = outputs.map(|output| format!("{}  {}", output.sha256, output.name));
        let expected: Vec<String> = expected.collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        difference::differences(&lines, &expected, "line")
    }

    /// Gaps that are told, against those of the hours that are here.
    fn gaps(&self, told: &[Told], tells_all: &dyn Fn(&str) -> bool) -> Vec<String> {
        let gaps: Vec<Gap> = self
            .of
            .hours
            .iter()
            .flat_map(|hour| hour.manifest.gaps.clone())
            .collect();
        pieces::differences(told, &gaps, self.of.time(), tells_all)
    }

    /// Compares a file with what is made again; `is_written` with the certificate.
    fn made(
        &mut self,
        file: DayFile,
        says: Option<&str>,
        is_written: bool,
        format_of: &dyn Fn(&str) -> Option<u32>,
    ) {
        let path = self.path(file);
        let Some(says) = says else {
            if self.of.is_strict && is_written {
                let what = "it is missing: it is written together with the certificate";
                self.problems.wrong(&path, what);
            }
            return;
        };
        let this = match file {
            DayFile::Picture => picture::FORMAT,
            _ => readme::FORMAT,
        };
        if let Some(format) = format_of(says).filter(|format| *format != this) {
            let what =
                format!("it has format {format}, this program writes {this}: it was not checked");
            return self.other_form(file, &what);
        }
        let what = match (file, self.of.lacks.is_empty()) {
            (DayFile::Picture, true) => of_picture(says, &picture::svg(&self.statement)),
            (DayFile::Picture, false) => None,
            (_, true) => difference::difference(says.as_bytes(), &readme::text(&self.statement)),
            (_, false) => {
                let (told, is_all) = readme::told_gaps(says);
                let wrong = self.gaps(&told, &|server| is_all && server == UNION);
                (!wrong.is_empty()).then(|| difference::told(&wrong))
            }
        };
        if let Some(what) = what {
            self.wrong(file, &what);
        }
    }
}

/// How a picture is not the one that it should be. It is one line: its elements are told.
fn of_picture(says: &str, expected: &str) -> Option<String> {
    if says == expected {
        return None;
    }
    let elements = |text: &str| text.replace('<', "\n<");
    let (says, expected) = (elements(says), elements(expected));
    let found: Vec<(usize, &str)> = (0..).zip(says.lines()).collect();
    let wanted: Vec<&str> = expected.lines().collect();
    let differences = difference::differences(&found, &wanted, "element");
    Some(if differences.is_empty() {
        "its line ends are others".to_owned()
    } else {
        difference::told(&differences)
    })
}
