//! Jetstream's `/subscribe`, as the collector sees it: what it asks for, and what answers mean.
//!
//! The first version of the wire, which old and new instances speak. A cursor (µs since 1970, by the endpoint's clock)
//! brings all events since then, as long as the endpoint has them; where it has not, it begins later without a word.

use std::{
    io,
    path::{Path, PathBuf},
};

use hyper::{HeaderMap, StatusCode};

use super::messages::{Messages, Unpacker};
use crate::{
    backoff::Refusal,
    config::settings::Bluesky as Settings,
    period::UtcMs,
    segment::{collections::Collections, line::CursorOf},
    source::{
        bluesky::{event::seen_us, lines::BLUESKY},
        page,
        wire::{Ask, Intake, Last, Refused, Resume, Transport, Wire},
    },
    text::one_line,
    world::users_file,
};

/// A dictionary has some 100 KiB.
const DICTIONARY_BYTES_MAX: u64 = 16 << 20;

/// How much of an endpoint's words on a refusal is kept.
const SAID_CHARS_MAX: usize = 300;

/// What is configured cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The dictionary's file cannot be read.
    #[error("bluesky.dictionary_file cannot be read: {0}")]
    Unread(#[from] io::Error),
    /// It is no dictionary.
    #[error("bluesky.dictionary_file {}: {why}", file.display())]
    NoDictionary {
        /// The file.
        file: PathBuf,
        /// Why it is not one.
        why: String,
    },
}

/// What Jetstream is asked for.
pub struct Subscribe {
    settings: Settings,
    /// The configured ones, in one order.
    collections: Collections,
    dictionary: Option<Vec<u8>>,
}

impl Subscribe {
    /// As configured.
    pub fn new(settings: &Settings) -> Result<Self, Unusable> {
        let file = settings.dictionary_file.as_deref();
        let read = |file: &Path| {
            let bytes = users_file::read(file, DICTIONARY_BYTES_MAX)?;
            match Unpacker::new(&bytes) {
                Ok(_it_can_be_used) => Ok(bytes),
                Err(why) => Err(Unusable::NoDictionary {
                    file: file.to_owned(),
                    why,
                }),
            }
        };
        Ok(Self {
            settings: settings.clone(),
            collections: settings.collections.clone().into(),
            dictionary: file.map(read).transpose()?,
        })
    }
}

/// An endpoint's clock may be so far ahead of ours.
const AHEAD_MS: i64 = 300_000;

/// No event of Jetstream is older: 2024-01-01.
const BEGAN_US: i64 = 1_704_067_200_000_000;

/// A time that an endpoint gave or, if it is in the future, one shortly before its event arrived: with a future
/// cursor, endpoints send nothing of what was missed. If our own clock is late, more is requested than is needed.
fn possible(cursor: i64, arrival: Option<UtcMs>, now: UtcMs) -> i64 {
    let us = |at: UtcMs| at.0.saturating_mul(1_000);
    if us(now) < BEGAN_US {
        // a machine that does not know the time yet cannot tell that it is wrong
        cursor
    } else if us(now.plus_ms(AHEAD_MS)) < cursor {
        // when it arrived is not known where the clock of then or that of now is not believed
        let arrival = arrival.filter(|at| BEGAN_US <= us(*at));
        us(arrival.unwrap_or(now).plus_ms(-AHEAD_MS))
    } else {
        cursor
    }
}

impl Wire for Subscribe {
    fn stream(&self) -> &'static str {
        BLUESKY
    }

    fn transport(&self) -> Transport {
        Transport::WebSocket
    }

    fn resume(&self, last: Last, now: UtcMs) -> Resume {
        let overlap_us = i64::try_from(self.settings.overlap.as_micros()).unwrap_or(0);
        match last
            .cursor
            .map(|cursor| possible(cursor, last.arrival, now))
        {
            Some(cursor) if BEGAN_US <= cursor => Resume::Since(cursor.saturating_sub(overlap_us)),
            _ => Resume::Live,
        }
    }

    fn ask(&self, resume: Resume) -> Ask {
        let collections = self.settings.collections.iter();
        let mut parameters: Vec<String> = collections
            .map(|collection| format!("wantedCollections={collection}"))
            .collect();
        if let Resume::Since(cursor) = resume {
            parameters.push(format!("cursor={cursor}"));
        }
        if self.dictionary.is_some() {
            parameters.push("compress=true".to_owned());
        }
        Ask {
            path: format!("/subscribe?{}", parameters.join("&")),
            headers: Vec::new(),
        }
    }

    fn is_other(&self, status: StatusCode, headers: &HeaderMap) -> Option<String> {
        page::head(status, headers)
    }

    fn refusal(&self, status: u16, _encoding: Option<&str>, body: &[u8]) -> Refused {
        let said: String = String::from_utf8_lossy(body)
            .chars()
            .take(SAID_CHARS_MAX)
            .collect();
        Refused {
            refusal: match status {
                400 => Refusal::BadRequest,
                401 | 403 => Refusal::Unauthorized,
                429 => Refusal::RateLimit,
                408 | 500..=599 => Refusal::Server,
                _ => Refusal::NotFound,
            },
            detail: one_line(said.trim()),
        }
    }

    fn intake(
        &self,
        _encoding: Option<&str>,
        endpoint: &str,
        resume: Resume,
    ) -> Result<Box<dyn Intake>, String> {
        let asked_us = match resume {
            Resume::Since(cursor) => Some(cursor),
            Resume::Live | Resume::Minutes(_) => None,
        };
        let dictionary = self.dictionary.as_deref();
        let unpacker = dictionary.map(Unpacker::new).transpose()?;
        Ok(Box::new(Messages::new(endpoint, unpacker, asked_us)))
    }

    fn cursor_of(&self) -> Option<CursorOf> {
        Some(|line| seen_us(line.trim_ascii_end()))
    }

    fn collections(&self) -> Option<&Collections> {
        Some(&self.collections)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn subscribe(collections: &[&str]) -> Subscribe {
        let settings = Settings {
            collections: collections.iter().map(|one| (*one).to_owned()).collect(),
            endpoints: Vec::new(),
            overlap: Duration::from_secs(10),
            dictionary_file: None,
            honours_deletions: true,
        };
        Subscribe::new(&settings).unwrap()
    }

    #[test]
    fn it_goes_on_before_the_last_event() {
        let wire = subscribe(&["app.bsky.feed.post", "app.bsky.graph.*"]);
        let cursor_of = wire.cursor_of().unwrap();
        let line = br#"{"did":"did:plc:a","time_us":1795442709123456,"kind":"account"}"#;
        let last = Last {
            arrival: None,
            cursor: cursor_of(line),
        };
        let now = UtcMs(1_795_442_710_000);
        let resume = wire.resume(last, now);
        assert_eq!(resume, Resume::Since(1_795_442_699_123_456));
        assert_eq!(
            wire.ask(resume).path,
            "/subscribe?wantedCollections=app.bsky.feed.post&wantedCollections=app.bsky.graph.*&cursor=1795442699123456"
        );
        assert_eq!(wire.resume(Last::default(), now), Resume::Live);
        assert_eq!(subscribe(&[]).ask(Resume::Live).path, "/subscribe?");
        assert_eq!(cursor_of(b"no json"), None);
    }

    #[test]
    fn it_asks_for_no_time_that_cannot_have_been() {
        let now = UtcMs(1_795_442_710_000);
        let resume = |cursor, arrival| {
            let last = Last {
                arrival,
                cursor: Some(cursor),
            };
            subscribe(&[]).resume(last, now)
        };
        let since = |ms: i64| Resume::Since((ms - 10_000) * 1_000);
        // its clock may be ahead of ours, but not by years: then when the event came says enough
        assert_eq!(
            resume((now.0 + 299_000) * 1_000, None),
            since(now.0 + 299_000)
        );
        for ahead_ms in [301_000, 400 * 86_400_000, i64::MAX / 1_000 - now.0] {
            let cursor = (now.0 + ahead_ms) * 1_000;
            let arrival = now.plus_ms(-60_000);
            assert_eq!(resume(cursor, Some(arrival)), since(arrival.0 - 300_000));
            assert_eq!(resume(cursor, None), since(now.0 - 300_000));
            // as after a restart with a clock that is late
            let unknown = Some(UtcMs(i64::MIN));
            assert_eq!(resume(cursor, unknown), since(now.0 - 300_000));
        }
        // as on a machine that does not know the time yet
        let last = Last {
            arrival: Some(now),
            cursor: Some(now.0 * 1_000),
        };
        assert_eq!(subscribe(&[]).resume(last, UtcMs(60_000)), since(now.0));
        for no_time in [i64::MIN, -1, 0, 1, 1_704_067_199_999_999] {
            assert_eq!(resume(no_time, Some(now)), Resume::Live);
        }
        assert_eq!(
            resume(1_704_067_200_000_000, Some(now)),
            since(1_704_067_200_000)
        );
    }

    #[test]
    fn each_status_is_a_row_of_the_table_of_waits() {
        let wire = subscribe(&[]);
        let refused = |status| wire.refusal(status, None, b" no\r\nway \x1b[2J").refusal;
        for (statuses, expected) in [
            (&[400][..], Refusal::BadRequest),
            (&[401, 403], Refusal::Unauthorized),
            (&[429], Refusal::RateLimit),
            (&[408, 500, 502, 503, 504, 599], Refusal::Server),
            (&[200, 301, 402, 404, 409, 410, 600], Refusal::NotFound),
        ] {
            for status in statuses {
                assert_eq!(refused(*status), expected, "{status}");
            }
        }
        let said = wire.refusal(503, None, b" no\r\nway \x1b[2J").detail;
        assert_eq!(said, "no  way  [2J");
        let long = wire
            .refusal(503, None, "\u{e9}".repeat(1_000).as_bytes())
            .detail;
        assert_eq!(long.chars().count(), SAID_CHARS_MAX);
    }
}
