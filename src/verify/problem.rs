//! What does not hold, and how bad that is.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::period::Day;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// It is not there, or could not be checked: nothing shows that it holds.
    Incomplete,
    /// A merge was interrupted; the next one completes it.
    Unfinished,
    /// It does not hold.
    Wrong,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file.
    pub path: PathBuf,
    /// What does not hold, and what was found instead.
    pub what: String,
    /// The day that it is about; none if it is about all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<Day>,
}

/// Things that were found, as they are.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// It does not hold.
    pub fn wrong(&mut self, path: &Path, what: impl Into<String>) {
        self.add(Severity::Wrong, path, what);
    }

    /// It is not there, or could not be checked.
    pub fn incomplete(&mut self, path: &Path, what: impl Into<String>) {
        self.add(Severity::Incomplete, path, what);
    }

    /// A merge was interrupted.
    pub fn unfinished(&mut self, path: &Path, what: impl Into<String>) {
        self.add(Severity::Unfinished, path, what);
    }

    /// Worth knowing.
    pub fn note(&mut self, path: &Path, what: impl Into<String>) {
        self.add(Severity::Note, path, what);
    }

    /// Adds something about the day that the file's name tells, if it tells one.
    pub fn add(&mut self, severity: Severity, path: &Path, what: impl Into<String>) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let day = name.get(..10).and_then(|day| day.parse().ok());
        self.add_of(severity, path, day, what);
    }

    /// Adds something about a day, or about all of them.
    pub fn add_of(
        &mut self,
        severity: Severity,
        path: &Path,
        day: Option<Day>,
        what: impl Into<String>,
    ) {
        self.0.push(Problem {
            severity,
            path: path.to_owned(),
            what: what.into(),
            day,
        });
    }

    /// Whether something was said of a file already.
    pub fn tells_of(&self, path: &Path) -> bool {
        self.0.iter().any(|problem| problem.path == path)
    }

    /// Whether the two are the same; if not, says so.
    #[expect(clippy::needless_pass_by_value, reason = "mostly numbers")]
    pub fn same<T: PartialEq + std::fmt::Display>(
        &mut self,
        path: &Path,
        what: &str,
        says: T,
        found: T,
    ) {
        if says != found {
            self.wrong(path, format!("{what}: it says {says}, found {found}"));
        }
    }
}

/// The first of several things, and how many there are.
pub fn some(all: &[String]) -> String {
    const SHOWN: usize = 3;
    let told = all.iter().take(SHOWN).cloned();
    let told = told.collect::<Vec<String>>().join("; ");
    match all.len().saturating_sub(SHOWN) {
        0 => told,
        more => format!("{told}; and {more} more"),
    }
}
