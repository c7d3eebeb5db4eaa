//! Recognizes what the API says about itself: error frames in the stream, and refusals instead of
//! one.
//!
//! An error frame is an object with `errors` and without `data` at its top level; a line that
//! begins with `{"data"` is not looked at. A refusal is judged by its status, then by the end of
//! its `type`, then by `connection_issue`: the API has two host names, and its words change.

use std::fmt;

use serde::{
    Deserialize,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

use crate::backoff::Refusal;

/// An error frame has some 300 bytes; a longer one is kept whole but not searched for what it
/// means.
const FRAME_SEARCHED_BYTES_MAX: usize = 64 * 1024;

/// The platform's own words are cut to this many bytes before they go into an event or the log.
const WORD_BYTES_MAX: usize = 300;

/// What an error frame means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Notice {
    /// It only tells something.
    Message,
    /// The platform disconnects, with its word for why.
    Disconnect(String),
}

/// Whether `errors` and `data` stand at the top level of an object.
#[derive(Default)]
struct TopLevel {
    errors: bool,
    data: bool,
}

impl<'de> Deserialize<'de> for TopLevel {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = TopLevel;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TopLevel, A::Error> {
                let mut found = TopLevel::default();
                while let Some(key) = map.next_key::<String>()? {
                    found.errors |= key == "errors";
                    found.data |= key == "data";
                    map.next_value::<IgnoredAny>()?;
                }
                Ok(found)
            }
        }
        from.deserialize_map(Keys)
    }
}

/// What the line says about the connection; `None` for a line that belongs into the segment.
pub(super) fn read_frame(line: &[u8]) -> Option<Notice> {
    if line.starts_with(b"{\"data\"") {
        return None;
    }
    match serde_json::from_slice::<TopLevel>(line) {
        Ok(found) if found.errors && !found.data => (),
        Ok(_) | Err(_) => return None,
    }
    Some(disconnect_word(line).map_or(Notice::Message, Notice::Disconnect))
}

/// The platform's word for a disconnect, if this frame announces one.
fn disconnect_word(line: &[u8]) -> Option<String> {
    if FRAME_SEARCHED_BYTES_MAX < line.len() {
        return None;
    }
    let frame: Value = match serde_json::from_slice(line) {
        Ok(frame) => frame,
        Err(_not_for_us) => return None,
    };
    let errors = frame.get("errors")?.as_array()?;
    errors.iter().find_map(|error| {
        let kind = error.get("type").and_then(Value::as_str);
        match (error.get("disconnect_type").and_then(Value::as_str), kind) {
            (Some(word), _) => Some(short(word)),
            (None, Some(kind)) if is(kind, "operational-disconnect") => {
                Some("operational-disconnect".to_owned())
            }
            (None, Some(kind)) if is(kind, "streaming-connection") => {
                Some("streaming-connection".to_owned())
            }
            _ => None,
        }
    })
}

/// Whether a problem's `type` is that one, on whichever host.
fn is(kind: &str, suffix: &str) -> bool {
    kind.strip_suffix(suffix)
        .is_some_and(|before| before.ends_with('/'))
}

/// The first bytes of a foreign text, cut at a character, without control characters.
fn short(text: &str) -> String {
    let mut end = WORD_BYTES_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let head = text.get(..end).unwrap_or("");
    head.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A refusal, and what the API says about it in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    /// For a person; nothing is decided on it.
    pub(super) detail: String,
}

/// Judges an answer with another status than 200. The body is decoded and bounded already.
pub(super) fn read_refusal(status: u16, body: &[u8]) -> Refused {
    let problem: Value = match serde_json::from_slice(body) {
        Ok(problem) => problem,
        Err(_html_or_text) => Value::Null,
    };
    let word = |key: &str| problem.get(key).and_then(Value::as_str);
    let kind = word("type").unwrap_or("");
    let refusal = match status {
        402 => Refusal::UsageCap,
        429 if is(kind, "usage-capped") || is(kind, "credits-depleted") => Refusal::UsageCap,
        429 => match word("connection_issue") {
            Some("ProvisioningSubscription") => Refusal::Provisioning,
            Some(_) => Refusal::TooManyConnections,
            None if is(kind, "streaming-connection") => Refusal::TooManyConnections,
            None => Refusal::RateLimit,
        },
        401 | 403 => Refusal::Unauthorized,
        400 => Refusal::BadRequest,
        408 | 500..=599 => Refusal::Server,
        _ => Refusal::NotFound,
    };
    Refused {
        refusal,
        detail: words(&problem, body),
    }
}

/// What a problem says of itself: its title and detail, its first error's message, or its bytes.
fn words(problem: &Value, body: &[u8]) -> String {
    let first_error = problem.get("errors").and_then(|errors| errors.get(0));
    let said: Vec<&str> = [
        problem.get("title"),
        problem.get("detail"),
        first_error.and_then(|error| error.get("message")),
    ]
    .into_iter()
    .flatten()
    .filter_map(Value::as_str)
    .collect();
    if said.is_empty() {
        short(&String::from_utf8_lossy(body))
    } else {
        short(&said.join(": "))
    }
}
