//! Recognizes what the API says about itself: error frames in the stream, and refusals instead of
//! one.
//!
//! An error frame is an object with `errors` and without `data` at its top level; a line that begins with `{"data"`
//! is not read. A refusal is judged by its status, then by the end of its `type`, then by `connection_issue`: the API
//! has two host names, and its words change.

use std::fmt;

use serde::{
    Deserialize,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

use crate::{
    backoff::Refusal,
    source::wire::{Notice, Refused},
    text::one_line,
};

/// An error frame has some 300 bytes; a longer one is kept whole but not searched for what it
/// means.
const FRAME_SEARCHED_BYTES_MAX: usize = 64 * 1024;

/// The platform's own words are cut to this many bytes before they go into an event or the log.
const WORD_BYTES_MAX: usize = 300;

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

/// The first bytes of a foreign text, cut at a character, on one line.
fn short(text: &str) -> String {
    let mut end = WORD_BYTES_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let head = text.get(..end).unwrap_or("");
    one_line(head)
}

/// Judges an answer with another status than 200. The body is decoded and bounded already.
pub fn read_refusal(status: u16, body: &[u8]) -> Refused {
    let problem: Value = match serde_json::from_slice(body) {
        Ok(problem) => problem,
        Err(_html_or_text) => Value::Null,
    };
    let word = |key: &str| problem.get(key).and_then(Value::as_str);
    let kind = word("type").unwrap_or("");
    let refusal = match status {
        400 | 409 | 429
            if matches!(
                word("connection_issue"),
                Some("RuleConfigurationIssue" | "RulesInvalidIssue")
            ) =>
        {
            Refusal::NoRules
        }
        409 => Refusal::NoRules,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::Fuzz;

    #[track_caller]
    fn check_frame(line: &str, expected: Option<&Notice>) {
        assert_eq!(read_frame(line.as_bytes()).as_ref(), expected, "{line}");
    }

    #[test]
    fn error_frames_are_told_from_lines() {
        let disconnect = |word: &str| Notice::Disconnect(word.to_owned());
        for host in ["api.x.com", "api.twitter.com"] {
            check_frame(
                &format!(
                    r#"{{"errors":[{{"title":"operational-disconnect","disconnect_type":"UpstreamOperationalDisconnect","detail":"This stream has been disconnected upstream for operational reasons.","type":"https://{host}/2/problems/operational-disconnect"}}]}}"#
                ),
                Some(&disconnect("UpstreamOperationalDisconnect")),
            );
            check_frame(
                &format!(
                    r#" {{ "errors" : [{{"title":"x","type":"https://{host}/2/problems/operational-disconnect"}}]}}"#
                ),
                Some(&disconnect("operational-disconnect")),
            );
            check_frame(
                &format!(
                    r#"{{"errors":[{{"type":"about:blank"}},{{"title":"ConnectionException","connection_issue":"TooManyConnections","type":"https://{host}/2/problems/streaming-connection"}}]}}"#
                ),
                Some(&disconnect("streaming-connection")),
            );
        }
        check_frame(
            r#"{"title":"t","errors":[{"disconnect_type":"OfTomorrow"}],"detail":"d"}"#,
            Some(&disconnect("OfTomorrow")),
        );
        check_frame(
            r#"{"errors":[{"title":"client-disconnected","type":"https://api.x.com/2/problems/client-disconnected"}]}"#,
            Some(&Notice::Message),
        );
        check_frame(r#"{"errors":17}"#, Some(&Notice::Message));
        check_frame(r#"{"\u0065rrors":[]}"#, Some(&Notice::Message));
        for stored in [
            r#"{"data":{"id":"1"}}"#,
            r#"{"data":{"id":"1"},"errors":[{"disconnect_type":"no"}]}"#,
            r#"{"errors":[{"title":"Not Found Error"}],"data":{"id":"1"}}"#,
            r#"{"includes":{},"data":{"errors":[]}}"#,
            r#"{"meta":{"errors":[{"disconnect_type":"no"}]}}"#,
            r#"{"errors":[{"disconnect_type":"no"}]"#,
            r#"{"errors":[]}{}"#,
            r#"["errors"]"#,
            "<html>errors</html>",
            "",
        ] {
            check_frame(stored, None);
        }
        let deep = format!(
            "{{\"x\":{}1{},\"errors\":[]}}",
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        check_frame(&deep, Some(&Notice::Message));
    }

    #[track_caller]
    fn check_refusal(status: u16, body: &str, refusal: Refusal, detail: &str) {
        for body in [
            body.to_owned(),
            body.replace("api.x.com", "api.twitter.com"),
        ] {
            let expected = Refused {
                refusal,
                detail: detail.to_owned(),
            };
            assert_eq!(read_refusal(status, body.as_bytes()), expected);
        }
    }

    #[test]
    fn too_many_requests_means_four_things() {
        check_refusal(
            429,
            r#"{"title":"ConnectionException","detail":"This stream is currently at the maximum allowed connection limit.","connection_issue":"TooManyConnections","type":"https://api.x.com/2/problems/streaming-connection"}"#,
            Refusal::TooManyConnections,
            "ConnectionException: This stream is currently at the maximum allowed connection limit.",
        );
        check_refusal(
            429,
            r#"{"title":"ConnectionException","detail":"Your subscription change is currently being provisioned, please try again in a minute.","connection_issue":"ProvisioningSubscription","type":"https://api.x.com/2/problems/streaming-connection"}"#,
            Refusal::Provisioning,
            "ConnectionException: Your subscription change is currently being provisioned, please try again in a minute.",
        );
        for body in [
            r#"{"title":"Too Many Requests","detail":"Too Many Requests","type":"about:blank","status":429}"#,
            r#"{"title":"Too Many Requests","detail":"Too Many Requests","type":"https://api.x.com/2/problems/rate-limit-exceeded"}"#,
        ] {
            check_refusal(
                429,
                body,
                Refusal::RateLimit,
                "Too Many Requests: Too Many Requests",
            );
        }
        check_refusal(
            429,
            r#"{"errors":[{"code":88,"message":"Rate limit exceeded"}]}"#,
            Refusal::RateLimit,
            "Rate limit exceeded",
        );
        check_refusal(429, "", Refusal::RateLimit, "");
        check_refusal(
            429,
            r#"{"account_id":123,"product_name":"standard-basic","title":"UsageCapExceeded","period":"Monthly","scope":"Product","detail":"Usage cap exceeded: Monthly product cap","type":"https://api.x.com/2/problems/usage-capped"}"#,
            Refusal::UsageCap,
            "UsageCapExceeded: Usage cap exceeded: Monthly product cap",
        );
        check_refusal(
            429,
            r#"{"title":"UsageCapExceeded","detail":"words decide nothing","type":"about:blank"}"#,
            Refusal::RateLimit,
            "UsageCapExceeded: words decide nothing",
        );
    }

    #[test]
    fn every_other_refusal_has_its_row() {
        check_refusal(
            402,
            r#"{"detail":"credits depleted","status":402,"title":"Payment Required","type":"https://api.x.com/2/problems/credits-depleted"}"#,
            Refusal::UsageCap,
            "Payment Required: credits depleted",
        );
        check_refusal(
            400,
            r#"{"errors":[{"parameters":{"backfill_minutes":["5"]},"message":"no such right"}],"title":"Invalid Request","detail":"One or more parameters to your request was invalid.","type":"https://api.x.com/2/problems/invalid-request"}"#,
            Refusal::BadRequest,
            "Invalid Request: One or more parameters to your request was invalid.: no such right",
        );
        check_refusal(
            401,
            r#"{"title":"Unauthorized","type":"about:blank","status":401,"detail":"Unauthorized"}"#,
            Refusal::Unauthorized,
            "Unauthorized: Unauthorized",
        );
        for kind in [
            "client-forbidden",
            "unsupported-authentication",
            "user-suspended",
        ] {
            check_refusal(
                403,
                &format!(
                    r#"{{"detail":"No.","title":"Forbidden","reason":"client-not-enrolled","type":"https://api.x.com/2/problems/{kind}"}}"#
                ),
                Refusal::Unauthorized,
                "Forbidden: No.",
            );
        }
        check_refusal(404, "", Refusal::NotFound, "");
        check_refusal(
            409,
            r#"{"type":"https://api.x.com/2/problems/conflict","title":"Conflict"}"#,
            Refusal::NoRules,
            "Conflict",
        );
        check_refusal(
            429,
            r#"{"type":"https://api.x.com/2/problems/streaming-connection","title":"ConnectionException","detail":"Rules must be defined.","connection_issue":"RuleConfigurationIssue"}"#,
            Refusal::NoRules,
            "ConnectionException: Rules must be defined.",
        );
        check_refusal(301, "", Refusal::NotFound, "");
        check_refusal(
            503,
            r#"{"title":"Service Unavailable","detail":"Service Unavailable","type":"about:blank","status":503}"#,
            Refusal::Server,
            "Service Unavailable: Service Unavailable",
        );
        for status in [408, 500, 502, 504, 520] {
            let page = "<html>\r\nbad gateway";
            check_refusal(status, page, Refusal::Server, "<html>  bad gateway");
        }
        let long = read_refusal(500, "ä".repeat(1_000).as_bytes());
        assert_eq!(long.detail, "ä".repeat(150));
    }

    #[test]
    fn fuzz_frames_and_refusals() {
        let one_line = |text: &str| {
            assert!(!text.chars().any(char::is_control), "{text:?}");
            assert!(text.len() <= WORD_BYTES_MAX);
        };
        let fuzz = Fuzz::new("frames_and_refusals", 6_000)
            .seed(r#"{"errors":[{"title":"operational-disconnect","disconnect_type":"UpstreamOperationalDisconnect","type":"https://api.x.com/2/problems/operational-disconnect"}]}"#)
            .seed(r#"{"title":"ConnectionException","detail":"maximum","connection_issue":"TooManyConnections","type":"https://api.x.com/2/problems/streaming-connection"}"#)
            .seed(r#"{"data":{"id":"1"},"errors":[]}"#)
            .seed("<html>\x1b[2J");
        fuzz.run(|input| {
            let frame = read_frame(input);
            if let Some(Notice::Disconnect(word)) = &frame {
                one_line(word);
            }
            // a frame is an object with errors and without data, and nothing else is one
            if let Ok(value) = serde_json::from_slice::<Value>(input) {
                let is_frame = value.get("errors").is_some() && value.get("data").is_none();
                let is_looked_at = !input.starts_with(b"{\"data\"");
                assert_eq!(frame.is_some(), is_frame && is_looked_at, "{value}");
            }
            let refused = [301, 400, 402, 403, 404, 429, 503].map(|status| {
                let refused = read_refusal(status, input);
                one_line(&refused.detail);
                refused.refusal
            });
            format!("{frame:?} {refused:?}")
        });
    }
}
