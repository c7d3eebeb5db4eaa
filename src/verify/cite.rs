//! Whether the files in a root are what ledger and manifests say. Nothing else is asked: what a person has
//! said is in `datacite.json`, and all six are made again from that, the ledger and the manifests.
//!
//! Where a copy lacks hours, their sums cannot be made again; then the files are held against each other, the
//! ledger, and the hours that are here.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use super::{
    difference::difference,
    problem::{Problems, Severity},
    survey::{Root, Survey},
    witness::told_wrong,
};
use crate::{
    cite::{
        datacite::{self, ReadBack},
        day::DaySum,
        description::{Archive, ArchiveState, Beside, Description, described, latest, revised},
        files,
        make::in_place,
    },
    doi::Doi,
    period::{Day, Hour},
    report::{read, stamped, statement::Statement},
    text::plural,
    vault::{
        doi::{self, Minted},
        ledger::{self, LedgerLine},
        public::{Public, RootFile},
    },
    world::disk::Disk,
};

/// Checks those of every root that is checked as a whole.
pub fn check(disk: &dyn Disk, survey: &Survey) -> Problems {
    let mut problems = Problems::default();
    for (number, root) in survey.roots.iter().enumerate() {
        let mut check = Check {
            disk,
            survey,
            number,
            root,
            texts: BTreeMap::new(),
            problems: &mut problems,
        };
        if root.is_whole && check.read() {
            check.all();
        }
    }
    problems
}

/// Nothing here tells whether an archive has a DOI.
pub(super) struct NotTold;

/// The DOI of an archive, if it has one.
pub(super) fn doi_of(disk: &dyn Disk, root: &Root) -> Result<Option<Doi>, NotTold> {
    if root.identity.is_some() {
        return Minted::doi(disk, &root.path).map_err(|_damaged| NotTold);
    }
    let path = Public::Root(RootFile::DataCite).path(&root.path);
    let text = in_place(disk, &path).map_err(|_damaged| NotTold)?;
    let read = |text: Vec<u8>| datacite::read_back(&String::from_utf8_lossy(&text));
    text.and_then(read).map(|says| says.doi).ok_or(NotTold)
}

struct Check<'a> {
    disk: &'a dyn Disk,
    survey: &'a Survey,
    number: usize,
    root: &'a Root,
    /// The files that are here.
    texts: BTreeMap<RootFile, String>,
    problems: &'a mut Problems,
}

impl Check<'_> {
    fn path(&self, file: RootFile) -> PathBuf {
        Public::Root(file).path(&self.root.path)
    }

    fn is_vault(&self) -> bool {
        self.root.identity.is_some()
    }

    fn wrong(&mut self, file: RootFile, what: impl Into<String>) {
        let path = self.path(file);
        self.problems.wrong(&path, what);
    }

    /// Reads them; returns whether there are any, and reports those that are missing.
    fn read(&mut self) -> bool {
        for file in RootFile::ALL {
            let path = self.path(file);
            match in_place(self.disk, &path) {
                Ok(Some(bytes)) => {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    self.texts.insert(file, text);
                }
                Ok(None) => (),
                Err(why) => self.problems.wrong(&path, why.to_string()),
            }
        }
        if self.texts.is_empty() {
            return false;
        }
        let missing = RootFile::ALL
            .into_iter()
            .filter(|file| !self.texts.contains_key(file));
        let missing: Vec<RootFile> = missing.collect();
        let severity = if self.is_vault() {
            Severity::Unfinished
        } else {
            Severity::Incomplete
        };
        for file in missing {
            let what = "it is missing: it is made together with the others that are here";
            self.problems.add(severity, &self.path(file), what);
        }
        true
    }

    fn all(&mut self) {
        let Some(text) = self.texts.get(&RootFile::DataCite) else {
            self.incomplete(
                "without datacite.json, which has the title, creators and the like, the files to cite by could not be checked",
            );
            return;
        };
        let Some(says) = datacite::read_back(text) else {
            self.wrong(
                RootFile::DataCite,
                "it does not have the form that this program writes",
            );
            return;
        };
        if self.is_vault() {
            self.is_minted(says.doi.as_ref());
        }
        let whole = ledger::read(self.disk, &self.root.path).unwrap_or_default();
        if let Some((first, state)) = self.described(&says, &whole) {
            self.made_again(&says, first, state);
        }
    }

    /// Holds the DOI that is cited by against the one that the vault was given.
    fn is_minted(&mut self, says: Option<&Doi>) {
        let path = self.path(RootFile::DataCite);
        match Minted::doi(self.disk, &self.root.path) {
            Ok(minted) if minted.as_ref() == says => (),
            Ok(None) => {
                let what = "it names a DOI, but none was minted for this vault (doi.json)";
                self.problems.wrong(&path, what);
            }
            Ok(Some(doi)) => {
                let what = format!(
                    "it does not name the archive's DOI, {doi}: `twinstream report` makes it again"
                );
                self.problems.unfinished(&path, what);
            }
            Err(why) => self
                .problems
                .wrong(&doi::path(&self.root.path), why.to_string()),
        }
    }

    /// The lines of the ledger that are described, if they are here and nothing of them is outdated.
    fn described<'l>(
        &mut self,
        says: &ReadBack,
        whole: &'l [LedgerLine],
    ) -> Option<(&'l [LedgerLine], ArchiveState)> {
        let Some((lines, hours)) = described(&says.version) else {
            let what = format!(
                "it has the version {}, which this program does not write",
                says.version
            );
            self.wrong(RootFile::DataCite, what);
            return None;
        };
        if whole.is_empty() {
            self.incomplete("without a ledger the files to cite by could not be checked");
            return None;
        }
        let Some(first) = usize::try_from(lines)
            .ok()
            .and_then(|lines| whole.get(..lines))
        else {
            let what = format!(
                "it describes {} of the ledger, of which {} here",
                plural(lines, "line", "lines"),
                plural(whole.len() as u64, "is", "are")
            );
            let severity = if self.is_vault() {
                Severity::Wrong
            } else {
                Severity::Incomplete
            };
            self.problems
                .add(severity, &self.path(RootFile::DataCite), what);
            return None;
        };
        let state = ArchiveState::of(first, whole);
        if state.hours != hours {
            let what = format!(
                "it says {}, the ledger has {}",
                plural(hours, "hour", "hours"),
                state.hours
            );
            self.wrong(RootFile::DataCite, what);
            return None;
        }
        let path = self.path(RootFile::DataCite);
        if let Some(newer) = revised(first, whole) {
            let by = if self.is_vault() {
                "`twinstream report`"
            } else {
                "the next report, and then published"
            };
            let what = format!(
                "{} has revision {} now, which it does not describe: it is made again by {by}",
                newer.hour, newer.revision
            );
            self.problems.unfinished(&path, what);
            return None;
        }
        let newer = whole.len().saturating_sub(first.len()) as u64;
        if 0 < newer {
            let hours = plural(newer, "hour is", "hours are");
            let what =
                format!("{hours} newer than this description; the next report makes it again");
            self.problems.note(&path, what);
        }
        Some((first, state))
    }

    fn incomplete(&mut self, what: &str) {
        self.problems
            .add_of(Severity::Incomplete, &self.root.path, None, what);
    }

    /// Makes them again, as far as everything is here.
    fn made_again(&mut self, says: &ReadBack, lines: &[LedgerLine], state: ArchiveState) {
        let (days, archive, absent) = self.days(lines);
        let Some(archive) = archive else {
            self.incomplete("without any hour the files to cite by could not be checked");
            return;
        };
        if !absent.is_empty() {
            self.held_together(says, &days, &absent, &state);
            return;
        }
        let stamp = self.texts.get(&RootFile::Page);
        let stamp = stamp.and_then(|page| stamped::told(page));
        if let Some(stamp) = &stamp {
            let witness = &self.root.witness;
            // it says itself how many lines it covers
            let wrong = told_wrong(self.disk, witness, stamp, Some(0), self.is_vault());
            if let Some((severity, what)) = wrong {
                self.problems
                    .add(severity, &self.path(RootFile::Page), what);
            }
        }
        let beside = Beside {
            dataset: &says.dataset,
            doi: says.doi.as_ref(),
            stamp: stamp.as_ref(),
        };
        let Ok(Some(mut made)) = Description::of(beside, &archive, state, lines, &days) else {
            // an unknown zone is already reported
            return;
        };
        for (file, text) in std::mem::take(&mut self.texts) {
            let Some(what) = difference(text.as_bytes(), &files::text(file, &made)) else {
                continue;
            };
            let path = self.path(file);
            let doi = made.doi.take();
            let is_before_doi = doi.is_some() && text == files::text(file, &made);
            made.doi = doi;
            if is_before_doi {
                let what = "it does not name the DOI that datacite.json has: these files are replaced one after \
                            another";
                self.problems.unfinished(&path, what);
            } else if text.contains(&says.version) {
                let what =
                    format!("it is not what ledger, manifests and datacite.json say: {what}");
                self.problems.wrong(&path, what);
            } else {
                let what = format!(
                    "it does not describe version {}, as datacite.json does: these files are replaced one after \
                     another",
                    says.version
                );
                self.problems.unfinished(&path, what);
            }
        }
    }

    /// The sums of the days that are here, the archive's marks, and the hours that are not here.
    fn days(
        &self,
        lines: &[LedgerLine],
    ) -> (BTreeMap<Day, DaySum>, Option<Archive>, BTreeSet<Hour>) {
        let latest = latest(lines);
        let mut absent: BTreeSet<Hour> = latest.keys().copied().collect();
        let mut days = BTreeMap::new();
        let mut archive = None;
        for ((folder, day), root) in &self.survey.days {
            if *root != Some(self.number) {
                continue;
            }
            let mut said = read::readable(self.disk, folder, *day);
            let revisions = said.revisions.clone();
            said.retain(|hour| {
                let line = latest.get(&hour);
                let mut revisions = revisions.iter().rev();
                let last = revisions.find(|revision| revision.of.hour == hour);
                // a manifest that differs from the ledger is already reported
                line.zip(last)
                    .is_some_and(|(line, last)| line.manifest_sha256 == last.of.manifest_sha256)
            });
            let Ok(statement) = Statement::of(*day, said) else {
                continue;
            };
            for said in &statement.hours {
                absent.remove(&said.hour);
            }
            archive = Some(Archive::of(&statement));
            days.insert(*day, DaySum::of(&statement));
        }
        (days, archive, absent)
    }

    /// What can be said without some of the hours.
    fn held_together(
        &mut self,
        says: &ReadBack,
        here: &BTreeMap<Day, DaySum>,
        absent: &BTreeSet<Hour>,
        state: &ArchiveState,
    ) {
        let what = format!(
            "{} not here that the files to cite by describe: their sums were not checked, only whether the files \
             agree with each other, name this ledger, and cover at least what is here",
            plural(absent.len() as u64, "hour is", "hours are")
        );
        self.incomplete(&what);
        let sum: DaySum = here.values().sum();
        let sizes = [sum.posts, sum.hours, sum.seconds, sum.covered];
        let words = ["posts", "hours", "seconds", "seconds covered"];
        for ((said, found), word) in says.sizes.iter().zip(sizes).zip(words) {
            if *said < found {
                let what = format!("it says {said} {word}, and {found} are here");
                self.wrong(RootFile::DataCite, what);
            }
        }
        let quoted = serde_json::json!(says.missing).to_string();
        for (file, text) in std::mem::take(&mut self.texts) {
            if !text.contains(&says.version) {
                self.wrong(
                    file,
                    format!(
                        "it does not describe version {}, as datacite.json does",
                        says.version
                    ),
                );
            }
            if file == RootFile::Croissant {
                if !text.contains(&format!("SHA-256 {}.", state.head)) {
                    self.wrong(
                        file,
                        format!(
                            "it does not name {}, the ledger's last line that it describes",
                            state.head
                        ),
                    );
                }
                if !text.contains(&quoted) {
                    self.wrong(
                        file,
                        "it does not agree with datacite.json about what is missing",
                    );
                }
            }
        }
    }
}
