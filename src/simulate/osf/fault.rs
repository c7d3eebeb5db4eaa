//! What goes wrong at the simulated OSF, as it is written and as what it is.
//!
//! ```toml
//! [[fault]]
//! on = "create"       # find list folder create update download mint; absent: every request
//! name = "IDs"        # only files or folders whose name has this in it
//! skip = 1            # not the first of them
//! times = 2           # so often, then never again; absent: always
//! at = "10m"          # not before, after the simulator's start
//! for = "90s"         # and only so long; both absent: at any time
//! kind = "status"
//! status = 503
//! ```
//!
//! Or none of them written down: chance from the seed, the same for the same number of a request.

use serde::{Deserialize, Serialize};

use crate::simulate::{chance::Chance, fault::duration_ms};

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Finding the project and its storage.
    Find,
    /// Listing a folder, or asking about a file.
    List,
    /// Making a folder.
    Folder,
    /// Putting a new file.
    Create,
    /// Putting a new version of a file.
    Update,
    /// Getting a file's bytes.
    Download,
    /// Minting a DOI.
    Mint,
    /// Anything else.
    Other,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OsfFaultKind {
    /// That status, with the body that the asked service has for it.
    Status,
    /// 429 with `retry_after`: seconds, or `date+N` for the instant N seconds from now as a date.
    Throttled,
    /// The connection is reset: in the middle of an upload's body, else before the answer.
    Reset,
    /// All is done as asked, and the connection is reset in place of the answer.
    Lost,
    /// The answer breaks off in its middle.
    Torn,
    /// The answer comes after `wait`.
    Stall,
    /// Other bytes are stored than were sent; the answer tells the hash of what is stored.
    Damage,
    /// A list is empty, as before the last changes were made.
    Stale,
    /// Other bytes come down than are stored.
    Garble,
    /// The answer's links lead to another host.
    Foreign,
    /// The file is checked out by somebody.
    CheckedOut,
    /// The conflict that a new file of an existing name makes is seen as a reset only.
    ConflictReset,
}

/// A fault as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    on: Option<Purpose>,
    name: Option<String>,
    #[serde(default)]
    skip: u64,
    times: Option<u64>,
    at: Option<String>,
    #[serde(rename = "for")]
    lasts: Option<String>,
    kind: OsfFaultKind,
    #[serde(default = "unavailable")]
    status: u16,
    #[serde(default = "a_second")]
    retry_after: String,
    wait: Option<String>,
}

const fn unavailable() -> u16 {
    503
}

fn a_second() -> String {
    "1".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    fault: Vec<Fault>,
}

/// What happens to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hit {
    /// The number of the fault in its list, from 1; 0 for one that chance made.
    pub(super) number: usize,
    pub(super) kind: OsfFaultKind,
    pub(super) status: u16,
    pub(super) retry_after: String,
    pub(super) wait_ms: i64,
}

/// Where faults come from.
#[derive(Debug, Clone)]
pub enum Faults {
    /// A list, and how often each has been met.
    Listed(Vec<(Fault, u64)>),
    /// About one request in so many.
    Random(u64),
}

/// What is asked, as far as faults care.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) purpose: Purpose,
    pub(super) name: &'a str,
    /// The number of the request, from 1.
    pub(super) request: u64,
    pub(super) since_start_ms: i64,
}

/// Reads a file of faults.
pub fn parse(text: &str) -> Result<Faults, String> {
    let file: File = toml::from_str(text).map_err(|why| why.to_string())?;
    for fault in &file.fault {
        for time in [&fault.at, &fault.lasts, &fault.wait].into_iter().flatten() {
            duration_ms(time).map_err(|why| why.to_string())?;
        }
    }
    let unmet = |fault| (fault, 0);
    Ok(Faults::Listed(file.fault.into_iter().map(unmet).collect()))
}

/// A duration that `parse` has let through; 0 if there is none.
fn ms(text: Option<&String>) -> i64 {
    text.map_or(0, |text| duration_ms(text).unwrap_or(0))
}

impl Fault {
    fn fits(&self, asked: Asked<'_>) -> bool {
        let begin = ms(self.at.as_ref());
        let is_time = begin <= asked.since_start_ms
            && (self.lasts.is_none() || asked.since_start_ms < begin + ms(self.lasts.as_ref()));
        let is_meant = self.on.is_none_or(|on| on == asked.purpose)
            && self
                .name
                .as_ref()
                .is_none_or(|name| asked.name.contains(name.as_str()));
        is_time && is_meant
    }
}

impl Faults {
    /// What happens to this request, if anything.
    pub(super) fn meet(&mut self, asked: Asked<'_>, seed: u64) -> Option<Hit> {
        match self {
            Self::Random(one_in) => random(asked, seed, *one_in),
            Self::Listed(list) => {
                for (place, (fault, met)) in list.iter_mut().enumerate() {
                    if !fault.fits(asked) {
                        continue;
                    }
                    *met += 1;
                    let nth = met.saturating_sub(fault.skip);
                    if nth == 0 || fault.times.is_some_and(|times| times < nth) {
                        continue;
                    }
                    return Some(Hit {
                        number: place + 1,
                        kind: fault.kind,
                        status: fault.status,
                        retry_after: fault.retry_after.clone(),
                        wait_ms: ms(fault.wait.as_ref()),
                    });
                }
                None
            }
        }
    }
}

const KIND_OSF: u64 = 0x006f_7366;

/// A fault that passes: nothing of what a person has to mend.
fn random(asked: Asked<'_>, seed: u64, one_in: u64) -> Option<Hit> {
    let mut chance = Chance::of(seed, KIND_OSF, asked.request);
    if !chance.one_in(one_in) {
        return None;
    }
    let kinds = [
        (OsfFaultKind::Status, 500),
        (OsfFaultKind::Status, 502),
        (OsfFaultKind::Status, 503),
        (OsfFaultKind::Status, 504),
        (OsfFaultKind::Throttled, 429),
        (OsfFaultKind::Reset, 0),
        (OsfFaultKind::Lost, 0),
        (OsfFaultKind::Lost, 0),
        (OsfFaultKind::Torn, 0),
        (OsfFaultKind::Damage, 0),
        (OsfFaultKind::ConflictReset, 0),
    ];
    let (kind, status) = chance.pick(&kinds);
    Some(Hit {
        number: 0,
        kind,
        status,
        retry_after: (1 + chance.below(5)).to_string(),
        wait_ms: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(purpose: Purpose, name: &str, second: i64) -> Asked<'_> {
        Asked {
            purpose,
            name,
            request: 1,
            since_start_ms: second * 1_000,
        }
    }

    #[test]
    fn a_fault_hits_what_it_is_meant_for_as_often_as_it_says() {
        let text = "[[fault]]\non = \"create\"\nname = \"IDs\"\nskip = 1\ntimes = 2\nkind = \"status\"\n\
                    [[fault]]\nat = \"10s\"\nfor = \"5s\"\nkind = \"reset\"\n";
        let mut faults = parse(text).unwrap();
        let mut hits = |purpose, name, second| {
            let hit = faults.meet(asked(purpose, name, second), 1);
            hit.map(|hit| (hit.number, hit.status))
        };
        assert_eq!(hits(Purpose::Create, "report", 0), None);
        let ids: Vec<_> = (0..4).map(|_| hits(Purpose::Create, "14_IDs", 0)).collect();
        assert_eq!(ids, [None, Some((1, 503)), Some((1, 503)), None]);
        let late: Vec<_> = [9, 10, 14, 15]
            .map(|s| hits(Purpose::List, "", s).is_some())
            .into();
        assert_eq!(late, [false, true, true, false]);
        assert!(parse("[[fault]]\nkind = \"odd\"\n").is_err());
        assert!(parse("[[fault]]\nkind = \"reset\"\nat = \"soon\"\n").is_err());
    }
}
