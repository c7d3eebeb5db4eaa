//! What goes wrong with the simulated mail server, as it is written.
//!
//! ```toml
//! [[fault]]
//! at = "10m"          # after the simulator's start
//! for = "2h"
//! kind = "down"       # down slow refuse greylist bare_hello single drop lose_reply
//! to = "b@example.org"   # refuse and greylist: this recipient only
//! ```

use serde::{Deserialize, Serialize};

use super::fault::duration_ms;
use crate::period::UtcMs;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailFaultKind {
    /// The port is closed.
    Down,
    /// Every reply takes its time.
    Slow,
    /// Recipients are refused for good: 550.
    Refuse,
    /// Recipients are refused for now: 451.
    Greylist,
    /// A client is not greeted by a name without a dot: 504.
    BareHello,
    /// A mail is taken for one recipient at a time: 554 after it was given for several.
    Single,
    /// The connection is closed after the mail, which is not kept.
    Drop,
    /// The mail is kept, and the connection is closed before that is said.
    LoseReply,
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpFault {
    /// When it begins, in milliseconds after the start.
    pub at_ms: i64,
    /// How long it lasts.
    pub lasts_ms: i64,
    /// What happens.
    pub kind: MailFaultKind,
    /// To whom, if not to all.
    pub to: Option<String>,
}

impl SmtpFault {
    /// Whether it is one of these for that recipient.
    pub(super) fn is_for(&self, kind: MailFaultKind, recipient: &str) -> bool {
        self.kind == kind && self.to.as_deref().is_none_or(|to| to == recipient)
    }
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
    kind: MailFaultKind,
    to: Option<String>,
}

/// Reads a file of `[[fault]]` entries.
pub fn parse(text: &str) -> Result<Vec<SmtpFault>, String> {
    let file: File = toml::from_str(text).map_err(|why| why.to_string())?;
    let entries = file.fault.into_iter();
    entries
        .map(|entry| {
            let duration = |text: &str| duration_ms(text).map_err(|why| why.to_string());
            if entry.to.is_some()
                && ![MailFaultKind::Refuse, MailFaultKind::Greylist].contains(&entry.kind)
            {
                return Err("`to` goes with \"refuse\" and \"greylist\" only".to_owned());
            }
            Ok(SmtpFault {
                at_ms: duration(&entry.at)?,
                lasts_ms: duration(&entry.lasts)?,
                kind: entry.kind,
                to: entry.to,
            })
        })
        .collect()
}

/// What goes wrong at that instant.
pub(super) fn active(faults: &[SmtpFault], start: UtcMs, now: UtcMs) -> Option<&SmtpFault> {
    let since = now.0 - start.0;
    faults
        .iter()
        .find(|fault| fault.at_ms <= since && since < fault.at_ms + fault.lasts_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_hold_for_their_time() {
        let text = "[[fault]]\nat = \"10s\"\nfor = \"5s\"\nkind = \"down\"\n";
        let faults = parse(text).unwrap();
        let at = |s: i64| {
            let active = active(&faults, UtcMs(1_000), UtcMs(1_000 + 1_000 * s));
            active.map(|fault| fault.kind)
        };
        assert_eq!(
            (at(9), at(10), at(14), at(15)),
            (
                None,
                Some(MailFaultKind::Down),
                Some(MailFaultKind::Down),
                None
            )
        );
        assert!(parse("[[fault]]\nat = \"1s\"\nfor = \"1s\"\nkind = \"no\"\n").is_err());
        let with_to = |kind: &str| {
            parse(&format!(
                "[[fault]]\nat = \"1s\"\nfor = \"1s\"\nkind = \"{kind}\"\nto = \"a@x\"\n"
            ))
        };
        let refuse = with_to("refuse").unwrap().remove(0);
        assert!(
            refuse.is_for(MailFaultKind::Refuse, "a@x")
                && !refuse.is_for(MailFaultKind::Refuse, "b@x")
        );
        assert!(with_to("slow").is_err());
        assert!(parse("[[fault]]\nat = \"1\"\nfor = \"1s\"\nkind = \"slow\"\n").is_err());
    }
}
