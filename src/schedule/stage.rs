//! What the service starts as a child.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A stage that is a child of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// `deliver`, on a secondary.
    Deliver,
    /// `merge`, on the primary and on mergers.
    Merge,
    /// `publish`, on the publisher.
    Publish,
    /// `report DAY`, on the publisher.
    Report,
    /// `witness`, on the publisher.
    Witness,
}

impl Stage {
    /// The command's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deliver => "deliver",
            Self::Merge => "merge",
            Self::Publish => "publish",
            Self::Report => "report",
            Self::Witness => "witness",
        }
    }

    /// How long it may take before it counts as hanging. The next run continues where it was ended.
    pub const fn limit(self) -> Duration {
        match self {
            // weeks of undelivered data
            Self::Deliver => Duration::from_hours(12),
            // a vault's worth of late data
            Self::Merge => Duration::from_hours(6),
            Self::Publish => Duration::from_hours(3),
            Self::Report => Duration::from_mins(30),
            Self::Witness => Duration::from_mins(5),
        }
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
