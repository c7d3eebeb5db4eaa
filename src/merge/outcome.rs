//! The result of a merge, for reports.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{spool_segments::Unusable, sweep::Swept};
use crate::{alarm::AlarmKind, period::Hour, segment::name::ServerId, vault::manifest::Manifest};

/// The result of an hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommittedHour {
    /// The hour.
    pub hour: Hour,
    /// Its revision.
    pub revision: u64,
    /// Different posts.
    pub posts: u64,
    /// Posts of each server.
    pub servers: BTreeMap<ServerId, u64>,
    /// Further copies.
    pub duplicates: u64,
    /// Lines that are not posts.
    pub rejected: u64,
}

/// An hour that is not as it should be; its inputs are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedHour {
    /// The hour.
    pub hour: Hour,
    /// Why.
    pub why: String,
    /// Whether something is wrong with the inputs or the vault, rather than with writing.
    pub held_back: bool,
}

/// What came of a merge.
#[derive(Debug, Default, Serialize)]
pub struct MergeOutcome {
    /// Hours that were committed, ascending.
    pub committed: Vec<CommittedHour>,
    /// Hours that were half done and are whole now.
    pub finished: Vec<Hour>,
    /// Hours that another machine has committed meanwhile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<Hour>,
    /// Whether the vault's place does not answer: no further hour is begun.
    #[serde(skip)]
    pub away: bool,
    /// Segments that an hour lacked and that are here since: it is examined again.
    #[serde(skip)]
    pub(super) brought: u64,
    /// Hours that could not be committed or finished.
    pub failed: Vec<FailedHour>,
    /// What is not used.
    pub unusable: Vec<Unusable>,
    /// Hours with input that wait for more.
    pub waiting: u64,
    /// Hours that are due and are other tasks' share.
    #[serde(skip_serializing_if = "is_none")]
    pub left: u64,
    /// Why the merge ended before its last hour.
    pub stopped: Option<String>,
    /// Segments that posts were taken out of on request.
    pub redacted: u64,
    /// Segments that posts are to be taken out of when the object store answers again; their hours wait.
    #[serde(skip_serializing_if = "is_none")]
    pub unredacted: u64,
    /// What was done about raw data.
    pub swept: Swept,
}

/// What would be done about an hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// The hour.
    pub hour: Hour,
    /// Segments that it would be made of.
    pub segments: u64,
    /// Lines that it would take.
    pub lines: u64,
    /// Segments that come in.
    pub new_segments: u64,
    /// Files that it lacks, if it would be held back.
    pub missing: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_none(left: &u64) -> bool {
    *left == 0
}

impl MergeOutcome {
    /// An hour is not as it should be.
    pub(super) fn fail(&mut self, hour: Hour, why: &str, held_back: bool) {
        alarm!(
            AlarmKind::HourNotMerged,
            "",
            "hour {hour} is held back: {why}\n  hint: its inputs are kept; other hours go on"
        );
        self.failed.push(FailedHour {
            hour,
            why: why.to_owned(),
            held_back,
        });
    }

    /// The combined result of this merge and the one right after it.
    pub(super) fn then(mut self, mut later: Self) -> Self {
        let is_later = |hour: &Hour| later.committed.iter().any(|one| one.hour == *hour);
        self.committed.retain(|one| !is_later(&one.hour));
        later.committed.append(&mut self.committed);
        later.committed.sort_by_key(|one| one.hour);
        later.finished.append(&mut self.finished);
        later.elsewhere.append(&mut self.elsewhere);
        later.redacted += self.redacted;
        later.swept.compressed += self.swept.compressed;
        later.swept.deleted += self.swept.deleted;
        later.swept.attempts += self.swept.attempts;
        // what was set aside is not found again
        let is_gone = |one: &Unusable| !later.unusable.contains(one);
        self.unusable.retain(is_gone);
        later.unusable.append(&mut self.unusable);
        later
    }
}

impl CommittedHour {
    /// What a manifest says.
    pub(super) fn of(manifest: &Manifest) -> Self {
        let mut servers: BTreeMap<ServerId, u64> = BTreeMap::new();
        for (leg, counts) in &manifest.counts.servers {
            *servers.entry(leg.server.clone()).or_default() += counts.posts;
        }
        CommittedHour {
            hour: manifest.hour,
            revision: manifest.history.revision,
            posts: manifest.counts.total.posts,
            servers,
            duplicates: manifest.counts.total.duplicates,
            rejected: manifest.counts.total.rejected.values().sum(),
        }
    }
}
