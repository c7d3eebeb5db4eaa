//! Whether a day's files are what its manifests say, byte for byte: the tables, the statement, and what is made of the
//! statement.
//!
//! What manifests do not say is taken from the statement, and held against what knows it: the ledger, the stamps, the files
//! to cite by.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    checked::Checked,
    cite, difference,
    problem::{Problems, Severity},
    witness::told_wrong,
};
use crate::{
    doi::Doi,
    period::Hour,
    report::{
        files,
        revision::Revision,
        statement::{AnyStatement, DaySaid, ReadStatement, Statement},
    },
    vault::{
        day,
        ledger::Committed,
        public::DayFile,
        witness::{Witness, WitnessStamp},
    },
};

/// Checks report, gaps and exposure.
pub(super) fn tables(of: &Checked<'_>, is_unfinished: bool, problems: &mut Problems) {
    let severity = if is_unfinished {
        Severity::Unfinished
    } else {
        Severity::Wrong
    };
    let Some(hours) = of.all_hours() else {
        return;
    };
    for file in day::TABLES {
        let path = of.path(file);
        match of.texts.get(&file) {
            Some(text) => {
                let expected = day::table(file, &hours).unwrap_or_default();
                if let Some(what) = difference::difference(text, &expected) {
                    problems.add(severity, &path, of.not_as(file, &what));
                }
            }
            None if of.is_strict => problems.add(severity, &path, "it is missing"),
            // that has been told
            None => (),
        }
    }
}

/// Checks the statement, and certificate, picture and README, which are made of it.
pub(super) fn certified(of: &Checked<'_>, problems: &mut Problems) {
    let path = of.path(DayFile::Statement);
    let Some(spoken) = &of.spoken else {
        let is_here = |file: &DayFile| of.texts.contains_key(file);
        if of.is_strict && !is_here(&DayFile::Statement) && files::REPORTED.iter().any(is_here) {
            let what = format!(
                "it is missing, although files that are written with it are here: `twinstream report {}` writes it again",
                of.day
            );
            problems.unfinished(&path, what);
        }
        return;
    };
    for committed in &spoken.revisions {
        if is_committed(of, committed) == Some(false) {
            problems.wrong(&path, other_manifest(of, committed));
        }
    }
    if !speaks_of_this(of, spoken, &path, problems) {
        // then neither do the others, which are written with it
        return;
    }
    let Some(told) = &of.told else {
        let what = format!(
            "it has format {}, written by {}: only its hashes were checked, not the files that are written with it",
            spoken.format, spoken.program
        );
        return problems.incomplete(&path, what);
    };
    let statement = match Statement::of(of.day, expected(of, told)) {
        Ok(statement) => statement,
        Err(why) => {
            // of the manifests that are here it has been told
            if !of.lacks.is_empty() {
                problems.wrong(&path, why.to_string());
            }
            return;
        }
    };
    let mut check = Check {
        of,
        statement,
        now: None,
    };
    check.beside(told, &path, problems);
    check.made_again(problems);
}

/// What is made again.
struct Check<'a> {
    of: &'a Checked<'a>,
    /// What the statement should say.
    statement: Statement,
    /// What a report would say now, if that is something else.
    now: Option<Statement>,
}

impl Check<'_> {
    /// Takes what manifests do not say from the statement, or from what knows it.
    fn beside(&mut self, told: &ReadStatement, path: &Path, problems: &mut Problems) {
        let Self { of, statement, .. } = self;
        statement.program.clone_from(&told.program);
        statement.witness.clone_from(&told.witness);
        statement.doi.clone_from(&told.doi);
        let mut now = statement.clone();
        if let Some(witness) = of.root.map(|root| &root.witness) {
            let line = witness.line_of(statement.revisions.iter().map(|it| &it.of));
            now.witness = line.and_then(|line| witness.since(of.disk, line));
            if let Some(stamp) = &told.witness {
                let wrong = told_wrong(of.disk, witness, stamp, line, of.is_strict);
                if let Some((severity, what)) = wrong {
                    problems.add(severity, path, what);
                }
                statement.witness = Some(as_it_is(of, witness, stamp));
            } else if let Some(since) = &now.witness {
                let what = format!(
                    "a stamp of {} covers it, but it does not name that stamp yet",
                    since.time
                );
                problems.note(path, what);
            }
        }
        let doi = of.root.ok_or(cite::NotTold);
        let doi = doi.and_then(|root| cite::doi_of(of.disk, root));
        if let Some(told) = &told.doi {
            is_archive_s(told, &doi, path, problems);
        }
        if let Ok(doi) = doi {
            if doi.is_some() && told.doi.is_some() {
                statement.doi.clone_from(&doi);
            }
            now.doi = doi;
        }
        self.now = (now != self.statement).then_some(now);
    }

    fn made_again(&self, problems: &mut Problems) {
        for file in files::REPORTED {
            let path = self.of.path(file);
            let Some(says) = self.of.texts.get(&file) else {
                if self.of.is_strict {
                    let what = "it is missing: it is written together with certificate.json";
                    problems.wrong(&path, what);
                }
                continue;
            };
            let expected = files::text(&self.statement, file);
            if says == expected.as_bytes() {
                continue;
            }
            let is_of_now = |now: &Statement| says == files::text(now, file).as_bytes();
            if file != DayFile::Statement && self.now.as_ref().is_some_and(is_of_now) {
                let what = "it does not name the same stamp, or DOI, as certificate.json: these files are replaced \
                            one after another";
                problems.unfinished(&path, what);
                continue;
            }
            let what = match file {
                DayFile::Statement => difference::values(says, &expected),
                DayFile::Picture => difference::elements(says, &expected),
                _ => difference::difference(says, &expected).unwrap_or_default(),
            };
            problems.wrong(&path, self.of.not_as(file, &what));
        }
    }
}

/// The stamp of that name, if it is here and holds.
fn as_it_is(of: &Checked<'_>, witness: &Witness, told: &WitnessStamp) -> WitnessStamp {
    match told.name.parse().map(|name| witness.stamp(of.disk, name)) {
        Ok(Ok(stamp)) => stamp,
        _ => told.clone(),
    }
}

/// Whether the named DOI is the archive's, as far as that is known.
fn is_archive_s(
    told: &Doi,
    doi: &Result<Option<Doi>, cite::NotTold>,
    path: &Path,
    problems: &mut Problems,
) {
    match doi {
        Ok(Some(doi)) if doi == told => (),
        Ok(Some(doi)) => problems.wrong(path, format!("it names {told}, the archive has {doi}")),
        Ok(None) => {
            let what = format!("it names {told}, which the files to cite by do not name (yet)");
            problems.unfinished(path, what);
        }
        Err(cite::NotTold) => {
            let what = format!(
                "datacite.json, in the root of the archive, would tell whether {told} is the archive's"
            );
            problems.incomplete(path, what);
        }
    }
}

/// What the statement is made of: the manifests that are here, and what it says of those that are not.
fn expected(of: &Checked<'_>, told: &ReadStatement) -> DaySaid {
    let mut said = DaySaid {
        hours: of.said.hours.clone(),
        revisions: Vec::new(),
    };
    let here: BTreeSet<Hour> = said.hours.iter().map(|said| said.hour).collect();
    let others = told.hours.iter().filter(|said| !here.contains(&said.hour));
    said.hours.extend(others.cloned());
    said.hours.sort_by_key(|said| said.hour);
    // a problem reported twice counts once
    said.hours.dedup_by_key(|said| said.hour);
    let others = told.revisions.iter();
    let others = others.filter(|revision| !here.contains(&revision.of.hour));
    said.revisions.extend(others.cloned());
    for hour in here {
        let known: BTreeMap<u64, &Revision> = of
            .said
            .revisions_of(hour)
            .map(|revision| (revision.of.revision, revision))
            .collect();
        let last = known.keys().next_back().copied().unwrap_or(0);
        let told = told.revisions.iter();
        let told: BTreeMap<u64, &Revision> = told
            .filter(|revision| revision.of.hour == hour && revision.of.revision <= last)
            .map(|revision| (revision.of.revision, revision))
            .collect();
        for number in 1..=last {
            let (known, told) = (known.get(&number), told.get(&number));
            let revision = match (known, told) {
                // only the manifest before shows what it changed
                (Some(known), Some(told)) if known.change.is_none() && 1 < number => {
                    Some(Revision {
                        of: known.of.clone(),
                        change: told.change.clone(),
                    })
                }
                (known, told) => known.or(told).map(|revision| (**revision).clone()),
            };
            said.revisions.extend(revision);
        }
    }
    let key = |revision: &Revision| (revision.of.hour, revision.of.revision);
    said.revisions.sort_by_key(key);
    said.revisions.dedup_by_key(|revision| key(revision));
    said
}

/// Says who speaks of which manifest, so that a false one is not taken for the truth.
fn other_manifest(of: &Checked<'_>, committed: &Committed) -> String {
    let Committed { hour, revision, .. } = committed;
    let mut lines = of.lines(*hour).unwrap_or_default().iter();
    let line = lines.find(|line| line.revision == *revision);
    let manifest = format!("manifest of revision {revision} of {hour}");
    match line.map(|line| line.is_of(committed)) {
        Some(true) => format!(
            "it and the ledger name another {manifest} than the one that is here: that manifest was changed, and \
             what is found by it in other files may be true"
        ),
        Some(false) => format!("it names another {manifest} than the ledger"),
        None => format!("it names another {manifest} than the one that is here"),
    }
}

/// Whether a manifest is the one that was committed; `None` if nothing here knows.
fn is_committed(of: &Checked<'_>, committed: &Committed) -> Option<bool> {
    let Committed { hour, revision, .. } = committed;
    let here = || of.said.revisions_of(*hour).map(|known| &known.of);
    if let Some(known) = here().find(|known| known.revision == *revision) {
        return Some(known == committed);
    }
    let mut lines = of.lines(*hour)?.iter();
    match lines.find(|line| line.revision == *revision) {
        Some(line) => Some(line.is_of(committed)),
        // the ledger may be older, which has been told; but a manifest is published before a statement that
        // speaks of it
        None if !of.is_strict => here()
            .any(|last| last.revision < *revision)
            .then_some(false),
        None => Some(false),
    }
}

/// Whether the statement speaks of the revisions that are in place; if not, says what it is.
fn speaks_of_this(
    of: &Checked<'_>,
    spoken: &AnyStatement,
    path: &Path,
    problems: &mut Problems,
) -> bool {
    let is_here = |hour: Hour| of.said.hours.iter().any(|said| said.hour == hour);
    if of.is_strict && spoken.revisions.iter().any(|it| !is_here(it.hour)) {
        let what = "it describes hours that are not here, and was not checked";
        problems.wrong(path, what);
        return false;
    }
    let is_newer = |last: &&Committed| {
        let mut told = spoken.revisions.iter().filter(|it| it.hour == last.hour);
        told.all(|it| it.revision < last.revision)
    };
    let last = |hour| of.said.revisions_of(hour).next_back();
    let mut here = of
        .said
        .hours
        .iter()
        .filter_map(|said| Some(&last(said.hour)?.of));
    let Some(newer) = here.find(is_newer) else {
        return true;
    };
    let remedy = if of.is_strict {
        format!("`twinstream report {}` writes it again", of.day)
    } else {
        "the contents of this file, of the certificate's text and picture, and of the README were not checked; newer ones are \
         published with the day's next report"
            .to_owned()
    };
    let what = format!(
        "{} has revision {} now, which it does not describe: {remedy}",
        newer.hour, newer.revision
    );
    problems.unfinished(path, what);
    false
}
