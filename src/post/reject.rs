//! The closed list of reasons for which a line is no post.

use serde::{Deserialize, Serialize};

/// Why a line is no post. It is kept verbatim, with this reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rejected {
    /// Not JSON, or not UTF-8: torn, cut for its length, damaged.
    NotJson,
    /// No `data` object with an `id`.
    NoId,
    /// The id is not a number of at most 64 bits.
    BadId,
    /// An id from before ids carried their time, without a readable `created_at`.
    NoTime,
}

impl Rejected {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 4] = [Self::NotJson, Self::NoId, Self::BadId, Self::NoTime];

    /// The word for it in manifests and in `rejected.jsonl`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NoId => "no_id",
            Self::BadId => "bad_id",
            Self::NoTime => "no_time",
        }
    }
}

impl From<super::json::NotJson> for Rejected {
    fn from(super::json::NotJson: super::json::NotJson) -> Self {
        Self::NotJson
    }
}
