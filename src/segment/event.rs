//! The records of an events file: what happened to the connection, one JSON object a line.
//!
//! Every record has `at` (UTC, ms), `kind` and `connection` (counted from 1 at each start; 0 before
//! the first one). Gaps and their causes are found from these records alone, so what is said here
//! is said in closed lists. A reader passes over kinds that it does not know.

use serde::{Deserialize, Serialize};

use super::{
    collections::Collections,
    rules::{KnownRules, Rule},
};
use crate::{
    period::{Interval, Minute, UtcMs},
    segment::sha256::Sha256,
};

/// One record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened.
    pub at: UtcMs,
    /// What happened.
    #[serde(flatten)]
    pub what: EventKind,
    /// On which connection since the start; 0 before the first.
    pub connection: u64,
}

/// The closed list of what can happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventKind {
    /// The collector starts, and a run begins.
    Started {
        /// Name and version of the program.
        program: String,
        /// The place of its run in the order of the server's runs.
        number: u64,
        /// The place of the last run before it that left a file in this server's spool; `None` if none did, so
        /// nothing of an earlier run can still arrive. Zero if its place is not known any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<u64>,
        /// When the last line in this server's spool arrived; `None` if there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_line: Option<UtcMs>,
    },
    /// The machine's clock was set, or was found to have drifted: a new run continues the one before.
    ClockStepped {
        /// The place of the new run in the order of the server's runs.
        number: u64,
        /// By how much stamps are later now than they would have been.
        step_ms: i64,
    },
    /// A request is about to be made.
    Connecting {
        /// Minutes of backfill asked for; 0 for none.
        backfill_minutes: u32,
        /// The place in the platform's stream from which on all is asked for: µs since 1970.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<i64>,
        /// Which of several places is asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
        /// Which collections are asked for, where a platform sends only those that are named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        collections: Option<Collections>,
    },
    /// The API has answered with 200.
    Connected {
        /// The HTTP status.
        status: u16,
        /// Minutes of backfill asked for; 0 for none.
        backfill_minutes: u32,
        /// The API's name for this request, for questions to its operators.
        #[serde(skip_serializing_if = "Option::is_none")]
        transaction: Option<String>,
    },
    /// The first line or keep-alive of a connection.
    FirstLine {
        /// The API's clock minus ours, from the answer's `Date` header (whole seconds, so ± 1 s): told only now, since
        /// before a line nothing shows that the answer is the API's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clock_offset_ms: Option<i64>,
    },
    /// The connection is over, or could not be made.
    Disconnected(Disconnected),
    /// Nothing is tried for a while.
    Waiting {
        /// For how long; `None` while it waits for room on the disk, which takes as long as it takes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wait_ms: Option<u64>,
        /// Why: the row of the table of waits.
        why: WaitReason,
    },
    /// A line with `errors` and without `data`, verbatim.
    ErrorFrame {
        /// The line.
        line: String,
    },
    /// The platform no longer has all that was asked for: what it gives begins later.
    ReplayClamped {
        /// From where it was asked for, by the platform's clock.
        asked: UtcMs,
        /// Where it begins, by the platform's clock.
        first: UtcMs,
    },
    /// The platform has told the rules by which it chooses what this stream brings.
    Rules {
        /// All of them.
        rules: Vec<Rule>,
        /// Their hash.
        sha256: Sha256,
        /// The hash of those that the configuration has.
        configured: Sha256,
    },
    /// It was asked for them and did not tell them.
    RulesUnknown {
        /// Why, in words.
        detail: String,
    },
    /// Keep-alives come, but no post for 60 s.
    NoPosts {
        /// The last post.
        since: UtcMs,
    },
    /// One a minute: what this minute was like.
    Alive(Alive),
    /// What an unclean end left behind, found at the next start.
    Recovered {
        /// The segment that was open.
        segment: String,
        /// Whole lines that it keeps.
        lines: u64,
        /// Bytes of a torn last line that were cut off, in the segment and its events file.
        cut_bytes: u64,
        /// The last instant that the open pair records; what came after is in doubt.
        last: Option<UtcMs>,
    },
    /// The collector ends.
    Stopped {
        /// Why: `signal`, or what went wrong.
        why: String,
    },
    /// A kind that this version does not know.
    #[serde(other)]
    Unknown,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disconnected {
    /// The one cause.
    pub cause: EndCause,
    /// The HTTP status, when the cause is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What the platform called it, when the platform ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disconnect_type: Option<String>,
    /// Lines that the connection gave.
    pub lines: u64,
    /// What came after the last line end, when it is no whole object; at most 64 KiB of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<String>,
    /// In words, for a person. Nothing is decided on it.
    pub detail: String,
}

/// The closed list of causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// The other side ended the response.
    Eof,
    /// The connection was reset, or broke in the middle of a chunk.
    Reset,
    /// The address was not found.
    Dns,
    /// The TCP connection was refused or unreachable.
    Connect,
    /// TLS could not be agreed on.
    Tls,
    /// The other side's certificate is from an issuer that this machine does not know.
    UnknownIssuer,
    /// The network's proxy does not let this machine through.
    Proxy,
    /// Nothing came in time while connecting.
    Timeout,
    /// No byte for 30 s on a connection that was up.
    Stall,
    /// The API answered with another status than 200.
    HttpStatus,
    /// The API said in an error frame that it disconnects; `disconnect_type` has its word for it.
    Platform,
    /// The bytes were not HTTP, or not gzip.
    Protocol,
    /// Something else answered in the API's place.
    NotTheApi,
    /// This process was asked to stop.
    Shutdown,
    /// There is no room on the disk.
    Disk,
    /// A cause that this version does not know.
    #[serde(other)]
    Other,
}

/// The closed list of reasons for which nothing is tried: the rows of the table of waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// A stream that was up broke: it is requested again at once.
    Reconnect,
    /// No answer, or none that held.
    Network,
    /// Something else answers in the API's place.
    NotTheApi,
    /// The API's own trouble.
    ServerError,
    /// 429: too many requests.
    RateLimit,
    /// 429: more connections than allowed.
    TooManyConnections,
    /// 429: a change of the subscription is under way.
    Provisioning,
    /// Paid volume is used up.
    UsageCap,
    /// The app has no rules by which a stream could be chosen.
    NoRules,
    /// Token or access.
    Unauthorized,
    /// Backfill was refused: the stream is requested again at once without it.
    NoBackfill,
    /// The request is wrong.
    BadRequest,
    /// The address is wrong.
    NotFound,
    /// After several requests in a short time, the next ones are made at a slower pace.
    Pace,
    /// The platform's window of requests has none for it yet: they are used up, or kept for others.
    Budget,
    /// There is no room on the disk.
    DiskFull,
    /// A reason that this version does not know.
    #[serde(other)]
    Other,
}

impl WaitReason {
    /// The word for it, the same in files and log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reconnect => "reconnect",
            Self::Network => "network",
            Self::NotTheApi => "not_the_api",
            Self::ServerError => "server_error",
            Self::RateLimit => "rate_limit",
            Self::TooManyConnections => "too_many_connections",
            Self::Provisioning => "provisioning",
            Self::UsageCap => "usage_cap",
            Self::NoRules => "no_rules",
            Self::Unauthorized => "unauthorized",
            Self::NoBackfill => "no_backfill",
            Self::BadRequest => "bad_request",
            Self::NotFound => "not_found",
            Self::Pace => "pace",
            Self::Budget => "budget",
            Self::DiskFull => "disk_full",
            Self::Other => "other",
        }
    }
}

impl std::fmt::Display for WaitReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

/// What one minute was like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alive {
    /// The minute.
    pub minute: Minute,
    /// The seconds of the minute (0 to 59) in which bytes arrived.
    pub seconds: Vec<u8>,
    /// Lines stored.
    pub lines: u64,
    /// Keep-alives.
    pub keep_alives: u64,
    /// Silences longer than 2 s while connected; one that lasts is cut at the minute's end.
    pub silences: Vec<Interval>,
    /// The API's clock minus ours, as last seen in this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
    /// Whether a connection was up at the end of the minute.
    pub connected: bool,
    /// While none is: since when, and why. So each minute's file is enough by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<Down>,
    /// The time in which the machine slept, if it did: in the record of the minute in which it fell
    /// asleep to the minute's end, and whole in the one of the minute in which it woke up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asleep: Option<Interval>,
    /// What is known of the rules that choose what the stream brings: what the platform told last in this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Box<KnownRules>>,
    /// Which collections were asked for last: so each minute's file is enough by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collections: Option<Collections>,
}

/// Why nothing is connected: how the last attempt ended, or that there is no request for the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Down {
    /// Since when this is why: when the attempt ended so, or when the wait for the budget began; before that, when the
    /// collector started.
    pub since: UtcMs,
    /// Since when nothing has come, however many attempts have failed since then; at most since this run began.
    pub nothing_since: UtcMs,
    /// The cause; none before the first attempt has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<EndCause>,
    /// The HTTP status, when the cause is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What the platform called it, when the platform ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disconnect_type: Option<String>,
    /// The row of the table of waits, while one is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<WaitReason>,
}

impl Event {
    /// The API's clock minus ours, if it is known.
    pub fn clock_offset_ms(&self) -> Option<i64> {
        match &self.what {
            EventKind::FirstLine { clock_offset_ms } => *clock_offset_ms,
            EventKind::Alive(alive) => alive.clock_offset_ms,
            _ => None,
        }
    }

    /// One line of JSON with its LF.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec(self).unwrap_or_default();
        json.push(b'\n');
        json
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::segment::collections::tests::list;

    #[track_caller]
    fn check_json(what: EventKind, json: &str) {
        let event = Event {
            at: UtcMs(1_795_442_709_123),
            what,
            connection: 3,
        };
        let line = String::from_utf8(event.to_json()).unwrap();
        assert_eq!(line, format!("{json}\n"));
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }

    /// A collector's record of a minute in which nothing came.
    pub(crate) fn alive(minute: Minute, down: Option<Down>, asleep: Option<Interval>) -> EventKind {
        EventKind::Alive(Alive {
            minute,
            seconds: Vec::new(),
            lines: 0,
            keep_alives: 0,
            silences: Vec::new(),
            clock_offset_ms: None,
            connected: down.is_none(),
            down,
            asleep,
            rules: None,
            collections: None,
        })
    }

    #[test]
    fn records_read_back() {
        check_json(
            EventKind::FirstLine {
                clock_offset_ms: None,
            },
            r#"{"at":"2026-11-23T14:05:09.123Z","kind":"first_line","connection":3}"#,
        );
        check_json(
            EventKind::Disconnected(Disconnected {
                cause: EndCause::HttpStatus,
                status: Some(503),
                disconnect_type: None,
                lines: 0,
                unfinished: None,
                detail: "Service Unavailable".to_owned(),
            }),
            r#"{"at":"2026-11-23T14:05:09.123Z","kind":"disconnected","cause":"http_status","status":503,"lines":0,"detail":"Service Unavailable","connection":3}"#,
        );
        check_json(
            EventKind::Alive(Alive {
                minute: Minute(29_924_045),
                seconds: vec![0, 59],
                lines: 7,
                keep_alives: 1,
                silences: vec![Interval {
                    begin: UtcMs(0),
                    end: UtcMs(2_500),
                }],
                clock_offset_ms: None,
                connected: true,
                down: None,
                asleep: None,
                rules: None,
                collections: None,
            }),
            r#"{"at":"2026-11-23T14:05:09.123Z","kind":"alive","minute":"2026-11-23T14:05Z","seconds":[0,59],"lines":7,"keep_alives":1,"silences":[{"begin":"1970-01-01T00:00:00.000Z","end":"1970-01-01T00:00:02.500Z"}],"connected":true,"connection":3}"#,
        );
    }

    #[test]
    fn rules_are_told_whole_and_remembered_by_their_hash() {
        let rule = |value: &str, tag: &str, id: &str| Rule {
            value: value.to_owned(),
            tag: tag.to_owned(),
            id: id.to_owned(),
        };
        let [ab, cd] = [0xab, 0xcd].map(|byte| Sha256::from([byte; 32]));
        check_json(
            EventKind::Rules {
                rules: vec![rule("cat", "cats", "1"), rule("dog", "", "2")],
                sha256: ab,
                configured: cd,
            },
            &format!(
                r#"{{"at":"2026-11-23T14:05:09.123Z","kind":"rules","rules":[{{"value":"cat","tag":"cats","id":"1"}},{{"value":"dog","id":"2"}}],"sha256":"{ab}","configured":"{cd}","connection":3}}"#
            ),
        );
        check_json(
            EventKind::RulesUnknown {
                detail: "HTTP 503".to_owned(),
            },
            r#"{"at":"2026-11-23T14:05:09.123Z","kind":"rules_unknown","detail":"HTTP 503","connection":3}"#,
        );
        let told = KnownRules {
            at: UtcMs(1_000),
            sha256: ab,
            configured: ab,
        };
        assert!(told.is_as_configured());
        assert_eq!(
            serde_json::to_string(&told).unwrap(),
            format!(r#"{{"at":"1970-01-01T00:00:01.000Z","sha256":"{ab}","configured":"{ab}"}}"#)
        );
    }

    #[test]
    fn which_collections_are_asked_for_is_told_even_if_none_is_named() {
        for (names, json) in [("a.b.d a.b.c", r#"["a.b.c","a.b.d"]"#), ("", "[]")] {
            check_json(
                EventKind::Connecting {
                    backfill_minutes: 1,
                    cursor: Some(7),
                    endpoint: None,
                    collections: Some(list(names)),
                },
                &format!(
                    r#"{{"at":"2026-11-23T14:05:09.123Z","kind":"connecting","backfill_minutes":1,"cursor":7,"collections":{json},"connection":3}}"#
                ),
            );
        }
    }

    #[test]
    fn a_minute_without_a_connection_says_why() {
        check_json(
            alive(
                Minute(29_924_045),
                Some(Down {
                    since: UtcMs(1_000),
                    nothing_since: UtcMs(500),
                    cause: Some(EndCause::HttpStatus),
                    status: Some(429),
                    disconnect_type: None,
                    why: Some(WaitReason::RateLimit),
                }),
                None,
            ),
            r#"{"at":"2026-11-23T14:05:09.123Z","kind":"alive","minute":"2026-11-23T14:05Z","seconds":[],"lines":0,"keep_alives":0,"silences":[],"connected":false,"down":{"since":"1970-01-01T00:00:01.000Z","nothing_since":"1970-01-01T00:00:00.500Z","cause":"http_status","status":429,"why":"rate_limit"},"connection":3}"#,
        );
    }

    #[test]
    fn the_words_for_waits_are_those_of_the_files() {
        for word in [
            "reconnect",
            "network",
            "not_the_api",
            "server_error",
            "rate_limit",
            "too_many_connections",
            "provisioning",
            "usage_cap",
            "no_rules",
            "unauthorized",
            "no_backfill",
            "bad_request",
            "not_found",
            "pace",
            "budget",
            "disk_full",
        ] {
            let why: WaitReason = serde_json::from_str(&format!("\"{word}\"")).unwrap();
            assert_eq!(why.word(), word);
            assert_eq!(serde_json::to_string(&why).unwrap(), format!("\"{word}\""));
        }
        let why: WaitReason = serde_json::from_str("\"of_tomorrow\"").unwrap();
        assert_eq!(why, WaitReason::Other);
    }

    #[test]
    fn a_kind_of_tomorrow_is_passed_over() {
        let line =
            r#"{"at":"2026-11-23T14:05:09.123Z","kind":"moon_phase","phase":3,"connection":1}"#;
        assert_eq!(
            serde_json::from_str::<Event>(line).unwrap().what,
            EventKind::Unknown
        );
    }
}
