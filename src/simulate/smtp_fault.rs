//! What goes wrong with the simulated mail server, as it is written.
//!
//! ```toml
//! [[fault]]
//! at = "10m"          # after the simulator's start
//! for = "2h"
//! kind = "down"       # down slow refuse greylist drop lose_reply
//! ```

use serde::{Deserialize, Serialize};

use super::fault::duration_ms;
use crate::period::UtcMs;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The port is closed.
    Down,
    /// Every reply takes its time.
    Slow,
    /// Recipients are refused for good: 550.
    Refuse,
    /// Recipients are refused for now: 451.
    Greylist,
    /// The connection is closed after the mail, which is not kept.
    Drop,
    /// The mail is kept, and the connection is closed before that is said.
    LoseReply,
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmtpFault {
    /// When it begins, in milliseconds after the start.
    pub at_ms: i64,
    /// How long it lasts.
    pub lasts_ms: i64,
    /// What happens.
    pub kind: Kind,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    fault: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    at: String,
    #[serde(rename = "for")]
    lasts: String,
    kind: Kind,
}

/// Reads a file of `[[fault]]` entries.
pub fn parse(text: &str) -> Result<Vec<SmtpFault>, String> {
    let file: File = toml::from_str(text).map_err(|why| why.to_string())?;
    let entries = file.fault.into_iter();
    entries
        .map(|entry| {
            let duration = |text: &str| duration_ms(text).map_err(|why| why.to_string());
            Ok(SmtpFault {
                at_ms: duration(&entry.at)?,
                lasts_ms: duration(&entry.lasts)?,
                kind: entry.kind,
            })
        })
        .collect()
}

/// What goes wrong at that instant.
pub(super) fn active(faults: &[SmtpFault], start: UtcMs, now: UtcMs) -> Option<Kind> {
    let since = now.0 - start.0;
    let found = faults
        .iter()
        .find(|fault| fault.at_ms <= since && since < fault.at_ms + fault.lasts_ms);
    found.map(|fault| fault.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_hold_for_their_time() {
        let text = "[[fault]]\nat = \"10s\"\nfor = \"5s\"\nkind = \"down\"\n";
        let faults = parse(text).unwrap();
        let at = |s: i64| active(&faults, UtcMs(1_000), UtcMs(1_000 + 1_000 * s));
        assert_eq!(
            (at(9), at(10), at(14), at(15)),
            (None, Some(Kind::Down), Some(Kind::Down), None)
        );
        assert!(parse("[[fault]]\nat = \"1s\"\nfor = \"1s\"\nkind = \"no\"\n").is_err());
        assert!(parse("[[fault]]\nat = \"1\"\nfor = \"1s\"\nkind = \"slow\"\n").is_err());
    }
}
