//! What `verify` found, put together: by day, the worst first.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

use super::{
    problem::{Problem, Problems, Severity},
    survey::Head,
    witness::Witnessed,
};
use crate::period::{Day, Hour};

/// What a day comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DayFound {
    /// Hours that were checked.
    pub hours: u64,
    /// Hours that something speaks of, and of which there is nothing to check.
    pub missing: Vec<Hour>,
    /// Their posts.
    pub posts: u64,
    /// Bytes of data files that were read.
    pub bytes: u64,
    /// The worst that was found about it, what concerns all days included; none if nothing was.
    pub worst: Option<Severity>,
}

/// Everything that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// By day.
    pub days: BTreeMap<Day, DayFound>,
    /// The ledgers that were read.
    pub ledgers: Vec<Head>,
    /// Since when they are witnessed, those that are.
    pub witnesses: Vec<Witnessed>,
    /// What does not hold, the worst first.
    pub problems: Vec<Problem>,
}

impl Found {
    /// The worst that was found; `None` if all holds and there is nothing to note.
    pub fn worst(&self) -> Option<Severity> {
        self.problems.iter().map(|problem| problem.severity).max()
    }

    /// With all that was found, in order.
    #[must_use]
    pub fn with(mut self, problems: Problems) -> Self {
        self.problems.extend(problems.0);
        // first what all the rest is held against
        let rank = |problem: &Problem| !is_measure(&problem.path);
        self.problems.sort_by(|a, b| {
            (b.severity, rank(a), &a.path, &a.what).cmp(&(a.severity, rank(b), &b.path, &b.what))
        });
        self.problems.dedup();
        for (day, found) in &mut self.days {
            let concerns = |problem: &&Problem| problem.day.is_none_or(|of| of == *day);
            let here = self.problems.iter().filter(concerns);
            found.worst = here.map(|problem| problem.severity).max();
        }
        self.ledgers.sort();
        self
    }

    /// How many problems are that bad.
    pub fn count(&self, severity: Severity) -> usize {
        let all = self.problems.iter();
        all.filter(|problem| problem.severity == severity).count()
    }
}

/// Whether it is the ledger or a manifest.
fn is_measure(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.contains("_manifest") || name == "ledger.jsonl"
}
