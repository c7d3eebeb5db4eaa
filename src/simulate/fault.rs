//! Faults as they are written in a TOML file, and as what they are.
//!
//! ```toml
//! [[fault]]
//! at = "10m"          # after the simulator's start; or: every = "7m", about, from the seed
//! for = "90s"         # how long, for those that last
//! kind = "stall"
//! listener = 1        # only streams of that listener, counted from 1; absent: all
//! connection = 2      # only the second stream opened there; absent: all
//! partition = 7       # only streams of that partition; absent: all
//! ```

use serde::{Deserialize, Serialize};

use super::{
    answer::{Answer, Portal},
    garbage::Garbage,
    selection::PARTITIONS_MAX,
};

/// When a fault happens, in milliseconds after the simulator's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Once.
    At(i64),
    /// Again and again, about so far apart; the seed decides how exactly.
    Every(i64),
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// When it begins.
    pub when: When,
    /// How long it lasts, in milliseconds; 0 for those that happen at one moment.
    pub lasts_ms: i64,
    /// The listener it hits, counted from 1; all if `None`.
    pub listener: Option<usize>,
    /// Which of the streams opened on a listener it hits, counted from 1; all if `None`.
    pub connection: Option<u64>,
    /// The partition of a stream that it hits; all if `None`.
    pub partition: Option<u8>,
    /// What happens.
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// The body ends as if that were right.
    Drop {
        /// A gzip stream gets its trailer.
        trailer: bool,
    },
    /// The connection is reset in the middle of a chunk.
    Reset,
    /// The connection is closed in the middle of a line and of a chunk.
    Cut,
    /// Streams end as soon as they have given a line.
    Brief,
    /// No byte comes; what was due comes when it is over.
    Stall,
    /// A few bytes come each second; what was due comes when it is over.
    Slow {
        /// How many.
        bytes_per_s: u32,
    },
    /// Keep-alives come, the posts of that time never do.
    Quiet,
    /// A line that is no good post, or one of each kind.
    Garbage {
        /// The kind of line; each kind once if `None`.
        line: Option<Garbage>,
        /// How long an over-long line is.
        bytes: usize,
    },
    /// The next posts come twice.
    Duplicates {
        /// How many.
        count: u32,
    },
    /// New connections are refused as too many.
    Lockout {
        /// Those that are open are ended.
        close: bool,
    },
    /// Something else answers in the API's place.
    Portal(Portal),
    /// Requests get that answer.
    Status(Answer),
    /// Requests about rules get that answer.
    Rules(Answer),
    /// A line of errors without data, then the end.
    ErrorFrame {
        /// What kind of disconnect it names.
        disconnect_type: String,
    },
    /// The next posts have errors beside their data.
    PartialErrors {
        /// How many.
        count: u32,
    },
    /// The port is closed.
    Refuse,
    /// Posts created in that time are never sent to anybody. An instance of Jetstream gets the events of that time
    /// when it is over.
    Upstream,
    /// Bytes inside a gzip stream are wrong.
    GzipDamage,
    /// A gzip stream ends without its trailer, the body as if that were right.
    NoTrailer,
    /// Streams that are open give no event any more.
    Stale {
        /// Pings still come.
        pings: bool,
    },
    /// A frame that says why, then the end.
    CloseFrame {
        /// The code in the frame.
        code: u16,
        /// The words in it.
        reason: String,
    },
    /// Events of that time never reach an instance.
    Loss {
        /// One of so many.
        one_in: u64,
    },
    /// Cursors reach back no further than this.
    Clamp {
        /// How far, in milliseconds.
        window_ms: i64,
    },
    /// A binary frame that was compressed with a dictionary that nobody has.
    UnknownDictionary,
}

/// Whose streams a fault can hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// X's sample.
    X,
    /// Bluesky's Jetstream.
    Jetstream,
}

/// The kinds by name, as in the file and in the truth log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Name {
    /// [`FaultKind::Drop`]
    Drop,
    /// [`FaultKind::Reset`]
    Reset,
    /// [`FaultKind::Cut`]
    Cut,
    /// [`FaultKind::Brief`]
    Brief,
    /// [`FaultKind::Stall`]
    Stall,
    /// [`FaultKind::Slow`]
    Slow,
    /// [`FaultKind::Quiet`]
    Quiet,
    /// [`FaultKind::Garbage`]
    Garbage,
    /// [`FaultKind::Duplicates`]
    Duplicates,
    /// [`FaultKind::Lockout`]
    Lockout,
    /// [`FaultKind::Portal`]
    Portal,
    /// [`FaultKind::Status`]
    Status,
    /// [`FaultKind::Rules`]
    Rules,
    /// [`FaultKind::ErrorFrame`], and [`FaultKind::PartialErrors`] with `close = false`
    ErrorFrame,
    /// [`FaultKind::Refuse`]
    Refuse,
    /// [`FaultKind::Upstream`]
    Upstream,
    /// [`FaultKind::GzipDamage`]
    GzipDamage,
    /// [`FaultKind::NoTrailer`]
    NoTrailer,
    /// [`FaultKind::Stale`]
    Stale,
    /// [`FaultKind::CloseFrame`]
    CloseFrame,
    /// [`FaultKind::Loss`]
    Loss,
    /// [`FaultKind::Clamp`]
    Clamp,
    /// [`FaultKind::UnknownDictionary`]
    UnknownDictionary,
}

impl FaultKind {
    /// Its name in the file and in the truth log.
    pub const fn name(&self) -> Name {
        match self {
            Self::Drop { .. } => Name::Drop,
            Self::Reset => Name::Reset,
            Self::Cut => Name::Cut,
            Self::Brief => Name::Brief,
            Self::Stall => Name::Stall,
            Self::Slow { .. } => Name::Slow,
            Self::Quiet => Name::Quiet,
            Self::Garbage { .. } => Name::Garbage,
            Self::Duplicates { .. } => Name::Duplicates,
            Self::Lockout { .. } => Name::Lockout,
            Self::Portal(_) => Name::Portal,
            Self::Status(_) => Name::Status,
            Self::Rules(_) => Name::Rules,
            Self::ErrorFrame { .. } | Self::PartialErrors { .. } => Name::ErrorFrame,
            Self::Refuse => Name::Refuse,
            Self::Upstream => Name::Upstream,
            Self::GzipDamage => Name::GzipDamage,
            Self::NoTrailer => Name::NoTrailer,
            Self::Stale { .. } => Name::Stale,
            Self::CloseFrame { .. } => Name::CloseFrame,
            Self::Loss { .. } => Name::Loss,
            Self::Clamp { .. } => Name::Clamp,
            Self::UnknownDictionary => Name::UnknownDictionary,
        }
    }

    /// Whether it can happen to that API.
    const fn is_of(&self, api: Api) -> bool {
        let only = match self {
            Self::Slow { .. }
            | Self::Lockout { .. }
            | Self::Rules(_)
            | Self::ErrorFrame { .. }
            | Self::PartialErrors { .. }
            | Self::GzipDamage
            | Self::NoTrailer
            | Self::Drop { trailer: true } => Api::X,
            Self::Stale { .. }
            | Self::CloseFrame { .. }
            | Self::Loss { .. }
            | Self::Clamp { .. }
            | Self::UnknownDictionary => Api::Jetstream,
            _ => return true,
        };
        matches!(
            (only, api),
            (Api::X, Api::X) | (Api::Jetstream, Api::Jetstream)
        )
    }

    /// Whether it only makes sense for a while.
    const fn lasts(&self) -> bool {
        !self.hits_streams()
            || matches!(
                self,
                Self::Brief | Self::Stall | Self::Slow { .. } | Self::Quiet | Self::Lockout { .. }
            )
    }

    /// Whether it happens to streams that are open, and not to requests, ports or the world.
    pub(super) const fn hits_streams(&self) -> bool {
        !matches!(
            self,
            Self::Portal(_)
                | Self::Status(_)
                | Self::Rules(_)
                | Self::Refuse
                | Self::Upstream
                | Self::Loss { .. }
                | Self::Clamp { .. }
        )
    }
}

/// Why a text is not a schedule of faults.
#[derive(Debug, thiserror::Error)]
pub enum BadFaults {
    /// It is not TOML, or has a key or value that does not exist.
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    /// An entry makes no sense.
    #[error("fault {number}: {why}")]
    Entry {
        /// Which entry, counted from 1.
        number: usize,
        /// What is wrong with it.
        why: String,
    },
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
    at: Option<String>,
    every: Option<String>,
    #[serde(rename = "for")]
    lasts: Option<String>,
    kind: Name,
    listener: Option<usize>,
    connection: Option<u64>,
    partition: Option<u8>,
    portal: Option<Portal>,
    status: Option<u16>,
    issue: Option<String>,
    disconnect_type: Option<String>,
    close: Option<bool>,
    count: Option<u32>,
    line: Option<Garbage>,
    bytes: Option<usize>,
    bytes_per_s: Option<u32>,
    trailer: Option<bool>,
    pings: Option<bool>,
    code: Option<u16>,
    reason: Option<String>,
    one_in: Option<u64>,
    window: Option<String>,
}

/// Reads a file of `[[fault]]` entries.
pub fn parse(text: &str) -> Result<Vec<Fault>, BadFaults> {
    let file: File = toml::from_str(text)?;
    let entries = file.fault.into_iter().enumerate();
    entries
        .map(|(index, entry)| {
            read(entry).map_err(|why| BadFaults::Entry {
                number: index + 1,
                why,
            })
        })
        .collect()
}

/// Refuses what cannot happen to that API.
pub fn check(faults: &[Fault], api: Api) -> Result<(), BadFaults> {
    let why = |fault: &Fault| match (api, fault.partition) {
        (Api::X, _) if !fault.kind.is_of(api) => {
            Some("happens to Bluesky's streams only (`--source bluesky`)".to_owned())
        }
        (Api::Jetstream, _) if !fault.kind.is_of(api) => {
            Some("happens to X's streams only".to_owned())
        }
        (Api::X, Some(partition)) if PARTITIONS_MAX < partition => Some(format!(
            "there is no partition {partition}: the firehose has {PARTITIONS_MAX}"
        )),
        (Api::Jetstream, Some(_)) => Some("only streams of X have partitions".to_owned()),
        _ => None,
    };
    let numbered = (1..).zip(faults);
    let wrong = numbered.filter_map(|(number, fault)| Some((number, why(fault)?)));
    match wrong.into_iter().next() {
        None => Ok(()),
        Some((number, why)) => Err(BadFaults::Entry { number, why }),
    }
}

/// Reads a duration such as `90s`, `1h30m` or `500ms`.
pub fn duration_ms(text: &str) -> Result<i64, NotADuration> {
    let wrong = || NotADuration(text.to_owned());
    match text.parse::<jiff::SignedDuration>() {
        Ok(found) if !found.is_negative() => {
            i64::try_from(found.as_millis()).map_err(|_too_long| wrong())
        }
        Ok(_negative) => Err(wrong()),
        Err(_not_one) => Err(wrong()),
    }
}

/// A text that is no duration.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a duration (examples: \"90s\", \"1h30m\", \"500ms\")")]
pub struct NotADuration(String);

fn read(mut entry: Entry) -> Result<Fault, String> {
    let duration = |text: &String| duration_ms(text).map_err(|e| e.to_string());
    let when = match (&entry.at, &entry.every) {
        (Some(at), None) => When::At(duration(at)?),
        (None, Some(every)) => When::Every(duration(every)?.max(1)),
        _ => return Err("needs either `at` or `every`".to_owned()),
    };
    let lasts_ms = entry.lasts.as_ref().map_or(Ok(0), duration)?;
    if entry.listener == Some(0) || entry.connection == Some(0) || entry.partition == Some(0) {
        return Err("`listener`, `connection` and `partition` count from 1".to_owned());
    }
    let kind = kind(&mut entry)?;
    if kind.lasts() && lasts_ms == 0 {
        return Err("needs `for`: how long it lasts".to_owned());
    }
    let left_over = [
        ("portal", entry.portal.is_some()),
        ("status", entry.status.is_some()),
        ("issue", entry.issue.is_some()),
        ("disconnect_type", entry.disconnect_type.is_some()),
        ("close", entry.close.is_some()),
        ("count", entry.count.is_some()),
        ("line", entry.line.is_some()),
        ("bytes", entry.bytes.is_some()),
        ("bytes_per_s", entry.bytes_per_s.is_some()),
        ("trailer", entry.trailer.is_some()),
        ("pings", entry.pings.is_some()),
        ("code", entry.code.is_some()),
        ("reason", entry.reason.is_some()),
        ("one_in", entry.one_in.is_some()),
        ("window", entry.window.is_some()),
    ];
    if let Some((key, _)) = left_over.iter().find(|(_, there)| *there) {
        return Err(format!("`{key}` does not belong to this kind"));
    }
    Ok(Fault {
        when,
        lasts_ms,
        listener: entry.listener,
        connection: entry.connection,
        partition: entry.partition,
        kind,
    })
}

/// The answer that an entry names.
fn answer(entry: &mut Entry) -> Result<Answer, String> {
    let status = entry.status.take().ok_or("needs `status`")?;
    let answer = Answer::named(status, entry.issue.take().as_deref());
    answer.map_err(|e| e.to_string())
}

/// Takes what belongs to the kind out of the entry.
fn kind(entry: &mut Entry) -> Result<FaultKind, String> {
    const LONG_BYTES: usize = 2 << 20;
    Ok(match entry.kind {
        Name::Drop => FaultKind::Drop {
            trailer: entry.trailer.take().unwrap_or(false),
        },
        Name::Reset => FaultKind::Reset,
        Name::Cut => FaultKind::Cut,
        Name::Brief => FaultKind::Brief,
        Name::Stall => FaultKind::Stall,
        Name::Slow => FaultKind::Slow {
            bytes_per_s: entry.bytes_per_s.take().unwrap_or(20),
        },
        Name::Quiet => FaultKind::Quiet,
        Name::Garbage => FaultKind::Garbage {
            line: entry.line.take(),
            bytes: entry.bytes.take().unwrap_or(LONG_BYTES),
        },
        Name::Duplicates => FaultKind::Duplicates {
            count: entry.count.take().unwrap_or(10),
        },
        Name::Lockout => FaultKind::Lockout {
            close: entry.close.take().unwrap_or(false),
        },
        Name::Portal => FaultKind::Portal(entry.portal.take().unwrap_or_default()),
        Name::Status => FaultKind::Status(answer(entry)?),
        Name::Rules => FaultKind::Rules(answer(entry)?),
        Name::ErrorFrame if entry.close.take() == Some(false) => FaultKind::PartialErrors {
            count: entry.count.take().unwrap_or(1),
        },
        Name::ErrorFrame => FaultKind::ErrorFrame {
            disconnect_type: entry
                .disconnect_type
                .take()
                .unwrap_or_else(|| "UpstreamOperationalDisconnect".to_owned()),
        },
        Name::Refuse => FaultKind::Refuse,
        Name::Upstream => FaultKind::Upstream,
        Name::GzipDamage => FaultKind::GzipDamage,
        Name::NoTrailer => FaultKind::NoTrailer,
        Name::Stale => FaultKind::Stale {
            pings: entry.pings.take().unwrap_or(true),
        },
        Name::CloseFrame => close_frame(entry)?,
        Name::Loss => FaultKind::Loss {
            one_in: entry.one_in.take().unwrap_or(1).max(1),
        },
        Name::Clamp => {
            let window = entry
                .window
                .take()
                .ok_or("needs `window`: how far back cursors reach")?;
            FaultKind::Clamp {
                window_ms: duration_ms(&window).map_err(|e| e.to_string())?,
            }
        }
        Name::UnknownDictionary => FaultKind::UnknownDictionary,
    })
}

fn close_frame(entry: &mut Entry) -> Result<FaultKind, String> {
    const REASON_BYTES_MAX: usize = 123;
    let code = entry.code.take().unwrap_or(1012);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(format!("{code} is no code that a close frame may have"));
    }
    let reason = entry.reason.take().unwrap_or_default();
    if REASON_BYTES_MAX < reason.len() {
        return Err(format!("a reason has at most {REASON_BYTES_MAX} bytes"));
    }
    Ok(FaultKind::CloseFrame { code, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(text: &str, message: &str) {
        let found = parse(text).unwrap_err().to_string();
        assert!(found.contains(message), "{found}");
    }

    #[test]
    fn entries_become_faults() {
        let text = r#"
            [[fault]]
            at = "10m"
            for = "1m30s"
            kind = "slow"
            bytes_per_s = 5
            listener = 2

            [[fault]]
            every = "7m"
            kind = "error_frame"
            close = false
            count = 3

            [[fault]]
            at = "0s"
            for = "5s"
            kind = "status"
            status = 429
            issue = "usage_cap"
        "#;
        let plain = |when, lasts_ms, listener, kind| Fault {
            when,
            lasts_ms,
            listener,
            connection: None,
            partition: None,
            kind,
        };
        let expected = vec![
            plain(
                When::At(600_000),
                90_000,
                Some(2),
                FaultKind::Slow { bytes_per_s: 5 },
            ),
            plain(
                When::Every(420_000),
                0,
                None,
                FaultKind::PartialErrors { count: 3 },
            ),
            plain(
                When::At(0),
                5_000,
                None,
                FaultKind::Status(Answer::UsageCap),
            ),
        ];
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn a_fault_of_another_api_is_refused() {
        for (kind, x, jetstream) in [
            ("gzip_damage", true, false),
            ("stale", false, true),
            ("cut", true, true),
        ] {
            let faults = parse(&format!("[[fault]]\nat = \"1s\"\nkind = \"{kind}\"")).unwrap();
            assert_eq!(check(&faults, Api::X).is_ok(), x, "{kind}");
            assert_eq!(check(&faults, Api::Jetstream).is_ok(), jetstream, "{kind}");
        }
        for (partition, x) in [(20, true), (21, false)] {
            let text = format!("[[fault]]\nat = \"1s\"\nkind = \"cut\"\npartition = {partition}");
            let faults = parse(&text).unwrap();
            assert_eq!(check(&faults, Api::X).is_ok(), x, "{partition}");
            assert!(check(&faults, Api::Jetstream).is_err(), "{partition}");
        }
    }

    #[test]
    fn entries_that_make_no_sense_are_refused() {
        check_refused(
            "[[fault]]\nkind = \"drop\"",
            "fault 1: needs either `at` or `every`",
        );
        check_refused(
            "[[fault]]\nat = \"soon\"\nkind = \"drop\"",
            "\"soon\" is not a duration",
        );
        check_refused("[[fault]]\nat = \"1s\"\nkind = \"stall\"", "needs `for`");
        check_refused(
            "[[fault]]\nat = \"1s\"\nkind = \"sleep\"",
            "unknown variant `sleep`",
        );
        check_refused(
            "[[fault]]\nat = \"1s\"\nkind = \"drop\"\nwho = 1",
            "unknown field `who`",
        );
        check_refused(
            "[[fault]]\nat = \"1s\"\nkind = \"drop\"\ncount = 1",
            "`count` does not belong to this kind",
        );
        check_refused(
            "[[fault]]\nat = \"1s\"\nkind = \"drop\"\nlistener = 0",
            "count from 1",
        );
        check_refused(
            "[[fault]]\nat = \"1s\"\nfor = \"1s\"\nkind = \"status\"\nstatus = 418",
            "418",
        );
        check_refused(
            "[[fault]]\nat = \"1s\"\nkind = \"close_frame\"\ncode = 1006",
            "1006 is no code",
        );
    }
}
