//! What the manifest of an hour says, as far as a day's files need it.

use serde::{Deserialize, Serialize};

use super::{
    deleted::HELD_BACK,
    manifest::{ByWord, Conflicts, Counts, Coverage, Manifest, Minutes, Output},
};
use crate::{
    cover::{backfill::Backfill, estimate::Estimate, gap::Gap, rules::InForce},
    period::{Hour, Interval},
};

/// What the manifest of an hour says, but for its inputs and its history: all that a day's files take from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HourSaid {
    /// The hour.
    pub hour: Hour,
    /// Name and version of the program that merged.
    pub program: String,
    /// Which stream.
    pub stream: String,
    /// The vault's time zone.
    pub timezone: String,
    /// Its UTC time.
    pub intervals: Vec<Interval>,
    /// Its books.
    pub counts: Counts,
    /// The data files.
    pub outputs: Vec<Output>,
    /// Its table of minutes.
    pub minutes: Minutes,
    /// The seconds that the servers have.
    pub coverage: Coverage,
    /// Those that they have not.
    pub gaps: Vec<Gap>,
    /// Which rules were in force, where rules choose what the stream brings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<InForce>,
    /// How many posts both of two servers missed.
    pub estimate: Option<Estimate>,
    /// What backfills brought.
    pub backfills: Vec<Backfill>,
    /// How many ids have each `(id >> 22) % 1000`.
    pub residues: Vec<(u64, u64)>,
    /// Posts whose copies differ.
    pub conflicts: Conflicts,
    /// Posts that were taken out on request, by reason.
    #[serde(default, skip_serializing_if = "ByWord::is_empty")]
    pub redactions: ByWord,
    /// Records that were deleted, whose account is gone, or that are held back.
    #[serde(default, skip_serializing_if = "ByWord::is_empty")]
    pub deletions: ByWord,
}

impl From<Manifest> for HourSaid {
    fn from(manifest: Manifest) -> Self {
        Self {
            hour: manifest.hour,
            program: manifest.program,
            stream: manifest.stream,
            timezone: manifest.timezone,
            intervals: manifest.intervals,
            counts: manifest.counts,
            outputs: manifest.outputs,
            minutes: manifest.minutes,
            coverage: manifest.coverage,
            gaps: manifest.gaps,
            rules: manifest.rules,
            estimate: manifest.estimate,
            backfills: manifest.backfills,
            residues: manifest.residues,
            conflicts: manifest.conflicts,
            redactions: manifest.redactions,
            deletions: manifest.deletions,
        }
    }
}

impl HourSaid {
    /// How many records are held back.
    pub fn held_back(&self) -> u64 {
        self.deletions.get(HELD_BACK).copied().unwrap_or(0)
    }
}
