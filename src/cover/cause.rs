//! The closed list of causes for which a second is not covered, and the one rule by which the
//! causes of all servers become one for the union. What follows a new one: `gaps` and `picture` in `report/`, and
//! `page.rs` and `page.css` in `monitor/`. The compiler asks for all of them, a test for the colours.

use serde::{Deserialize, Serialize};

/// Why a second is not covered. The order is the precedence in the union: of several causes the
/// first in this list holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// No events file of the server covers the second (yet): the gap may still close.
    #[serde(rename = "late")]
    Late,
    /// All servers that ran were connected, and none got anything.
    #[serde(rename = "upstream silence")]
    UpstreamSilence,
    /// The platform said that it disconnects; the detail has its word for why.
    #[serde(rename = "platform disconnect")]
    PlatformDisconnect,
    /// The connection was up and brought nothing.
    #[serde(rename = "stall")]
    Stall,
    /// The platform no longer had it when it was asked for it again.
    #[serde(rename = "replay window")]
    ReplayWindow,
    /// The API does not let this client in for a while: too many connections, rate limits.
    #[serde(rename = "lock-out")]
    LockOut,
    /// The API answered with another status than 200; the detail has it.
    #[serde(rename = "refused")]
    Refused,
    /// The connection broke or could not be made.
    #[serde(rename = "network")]
    Network,
    /// There was no room on the server's disk.
    #[serde(rename = "disk")]
    Disk,
    /// The server did not collect.
    #[serde(rename = "not running")]
    NotRunning,
    /// None of the above can be shown: a bug to report.
    #[serde(rename = "unknown")]
    Unknown,
}

impl Cause {
    /// All of them, in the order of precedence.
    pub const ALL: [Self; 11] = [
        Self::Late,
        Self::UpstreamSilence,
        Self::PlatformDisconnect,
        Self::Stall,
        Self::ReplayWindow,
        Self::LockOut,
        Self::Refused,
        Self::Network,
        Self::Disk,
        Self::NotRunning,
        Self::Unknown,
    ];

    /// The word for it, the same in every file and table.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::UpstreamSilence => "upstream silence",
            Self::PlatformDisconnect => "platform disconnect",
            Self::Stall => "stall",
            Self::ReplayWindow => "replay window",
            Self::LockOut => "lock-out",
            Self::Refused => "refused",
            Self::Network => "network",
            Self::Disk => "disk",
            Self::NotRunning => "not running",
            Self::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

/// The one cause of a second that nobody covered: all the same is that; else `late` before all
/// others, since the gap may still close; then what lay with the platform, since another server
/// would not have helped; then what lay with the network and the servers. Without any server:
/// nothing ran.
pub fn of_union(causes: impl IntoIterator<Item = Cause>) -> Cause {
    causes.into_iter().min().unwrap_or(Cause::NotRunning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_files() {
        for cause in Cause::ALL {
            let json = serde_json::to_string(&cause).unwrap();
            assert_eq!(json, format!("\"{cause}\""));
        }
        let mut sorted = Cause::ALL;
        sorted.sort_unstable();
        assert_eq!(sorted, Cause::ALL);
    }

    #[test]
    fn late_comes_before_all_and_unknown_after_all() {
        for cause in Cause::ALL {
            assert_eq!(of_union([cause, cause]), cause);
            assert_eq!(of_union([cause, Cause::Late]), Cause::Late);
            assert_eq!(of_union([Cause::Unknown, cause]), cause);
        }
        assert_eq!(of_union([]), Cause::NotRunning);
    }
}
