//! The part of a manifest that describes the hour, without its inputs: all that a day's files need.

use serde::{Deserialize, Serialize};

use super::{
    deleted::HELD_BACK,
    manifest::{ByWord, Conflicts, Counts, Coverage, Minutes, Output},
};
use crate::{
    cover::{backfill::Backfill, estimate::Estimate, gap::Gap, rules::InForce},
    period::{Hour, Interval},
};

/// What is said of an hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HourSaid {
    /// Name and version of the program that merged.
    pub program: String,
    /// Which stream.
    pub stream: String,
    /// The vault's time zone, an IANA name.
    pub timezone: String,
    /// The label.
    pub hour: Hour,
    /// The UTC time that carries the label.
    pub intervals: Vec<Interval>,
    /// The books.
    pub counts: Counts,
    /// The data files.
    pub outputs: Vec<Output>,
    /// What each server saw in each minute.
    pub minutes: Minutes,
    /// The seconds that each server has, and any.
    pub coverage: Coverage,
    /// All other seconds: the gaps of the servers in their order, then those of the union.
    pub gaps: Vec<Gap>,
    /// Where rules choose what the stream brings: which were in force in which seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<InForce>,
    /// How many posts both missed; none with other than two servers, or no second that both have.
    pub estimate: Option<Estimate>,
    /// What the connections that asked for backfill brought, by server and time.
    pub backfills: Vec<Backfill>,
    /// How many ids have each `(id >> 22) % 1000`; residues without one are left out.
    pub residues: Vec<(u64, u64)>,
    /// Posts whose copies differ.
    pub conflicts: Conflicts,
    /// How many posts of this hour were taken out on request, by the reason that was given.
    #[serde(default, skip_serializing_if = "ByWord::is_empty")]
    pub redactions: ByWord,
    /// How many records of this hour were taken out because they were `deleted`, or because their `account` is gone, and how
    /// many are `held_back`.
    #[serde(default, skip_serializing_if = "ByWord::is_empty")]
    pub deletions: ByWord,
}

impl HourSaid {
    /// How many records are held back.
    pub fn held_back(&self) -> u64 {
        self.deletions.get(HELD_BACK).copied().unwrap_or(0)
    }
}
