//! The stream of X's API, as the collector sees it.

use hyper::{
    HeaderMap, StatusCode,
    header::{self, HeaderValue},
};

use super::{intake::Body, notice, query::path_and_query, rules::Rules};
use crate::{
    backoff::backfill_minutes,
    config::settings::{Secret, X, XStream},
    period::UtcMs,
    segment::{line::CursorOf, name::Partition, sha256::Sha256},
    source::{
        gunzip::decode_short,
        page,
        wire::{Ask, AskRules, Intake, Last, Refused, Resume, Transport, Wire},
    },
};

/// Of the body of a refusal so much is read.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// The token cannot be one.
#[derive(Debug, thiserror::Error)]
#[error("the bearer token has characters that a token cannot have")]
pub struct NotAToken;

/// What X is asked for.
pub struct Api {
    settings: X,
    partition: Option<Partition>,
    authorization: HeaderValue,
    /// What the right to backfill depends on.
    right: String,
    /// Of the filtered stream.
    rules: Option<Rules>,
}

impl Api {
    /// With a token, which goes into one header, as it was issued, and nowhere else.
    pub fn new(
        settings: &X,
        partition: Option<Partition>,
        token: &Secret,
    ) -> Result<Self, NotAToken> {
        let bearer = HeaderValue::from_str(&format!("Bearer {}", token.reveal()));
        let Ok(mut authorization) = bearer else {
            return Err(NotAToken);
        };
        authorization.set_sensitive(true);
        Ok(Self {
            rules: (settings.stream == XStream::Filtered)
                .then(|| Rules::new(&settings.rules, authorization.clone())),
            right: Self::right_of(settings, token),
            settings: settings.clone(),
            partition,
            authorization,
        })
    }

    /// What the right to backfill depends on: token, stream and address, as the first 32 bits of a hash. They tell one
    /// from another, and nothing of the token.
    pub fn right_of(settings: &X, token: &Secret) -> String {
        let parts = [settings.stream.word(), &settings.base_url, token.reveal()];
        let hash = Sha256::of(parts.join("\0").as_bytes()).to_string();
        hash.chars().take(8).collect()
    }

    /// Path and query of the request.
    pub fn path_and_query(settings: &X, partition: Option<Partition>, minutes: u8) -> String {
        path_and_query(settings, partition, minutes)
    }
}

impl Wire for Api {
    fn stream(&self) -> &'static str {
        self.settings.stream.word()
    }

    fn partition(&self) -> Option<Partition> {
        self.partition
    }

    fn transport(&self) -> Transport {
        Transport::Http
    }

    fn resume(&self, last: Last, now: UtcMs) -> Resume {
        match backfill_minutes(last.arrival, now) {
            minutes @ 1.. if self.settings.backfill => Resume::Minutes(minutes),
            _ => Resume::Live,
        }
    }

    fn right(&self) -> Option<String> {
        Some(self.right.clone())
    }

    fn ask(&self, resume: Resume) -> Ask {
        let minutes = match resume {
            Resume::Minutes(minutes) => minutes,
            Resume::Live | Resume::Since(_) => 0,
        };
        Ask {
            path: path_and_query(&self.settings, self.partition, minutes),
            headers: vec![
                (header::AUTHORIZATION, self.authorization.clone()),
                (header::ACCEPT_ENCODING, HeaderValue::from_static("gzip")),
            ],
        }
    }

    fn is_other(&self, status: StatusCode, headers: &HeaderMap) -> Option<String> {
        page::head(status, headers)
    }

    fn refusal(&self, status: u16, encoding: Option<&str>, body: &[u8]) -> Refused {
        let body = decode_short(encoding, body, REFUSAL_BYTES_MAX);
        notice::read_refusal(status, &body)
    }

    fn intake(
        &self,
        encoding: Option<&str>,
        _endpoint: &str,
        _resume: Resume,
    ) -> Result<Box<dyn Intake>, String> {
        let body = Body::new(encoding, self.settings.max_line);
        let mut body = body.map_err(|why| why.to_string())?;
        body.names_rules = self.rules.is_some();
        Ok(Box::new(body))
    }

    fn cursor_of(&self) -> Option<CursorOf> {
        None
    }

    fn rules(&self) -> Option<&dyn AskRules> {
        self.rules.as_ref().map(|rules| -> &dyn AskRules { rules })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Fields;

    fn x(stream: XStream, backfill: bool) -> X {
        X {
            stream,
            rules: Vec::new(),
            base_url: "https://api.x.com".to_owned(),
            bearer_token_file: "token".into(),
            fields: Fields::Core,
            backfill,
            max_line: 1_000,
        }
    }

    fn api(settings: &X) -> Api {
        Api::new(settings, Partition::new(7), &Secret::new("AAAA")).unwrap()
    }

    #[test]
    fn what_was_missed_is_asked_for_if_that_is_wanted() {
        let now = UtcMs(1_795_442_700_000);
        let last = |ago_ms: Option<i64>| Last {
            arrival: ago_ms.map(|ms| now.plus_ms(-ms)),
            cursor: None,
        };
        let wanted = api(&x(XStream::Sample, true));
        for (ago_ms, expected) in [
            (None, Resume::Live),
            (Some(0), Resume::Minutes(1)),
            (Some(61_000), Resume::Minutes(3)),
            (Some(9_000_000), Resume::Minutes(5)),
        ] {
            let found = wanted.resume(last(ago_ms), now);
            assert_eq!(found, expected);
            let minutes = match expected {
                Resume::Minutes(minutes) => format!("&backfill_minutes={minutes}"),
                Resume::Live | Resume::Since(_) => String::new(),
            };
            let ask = wanted.ask(found);
            assert!(
                ask.path.ends_with(&format!("&partition=7{minutes}")),
                "{}",
                ask.path
            );
        }
        let unwanted = api(&x(XStream::Sample, false));
        assert_eq!(unwanted.resume(last(Some(61_000)), now), Resume::Live);
    }

    #[test]
    fn the_token_stands_in_one_header_and_is_not_shown() {
        let ask = api(&x(XStream::Sample, true)).ask(Resume::Live);
        let [(name, token), (_, encoding)] = &ask.headers[..] else {
            panic!("{:?}", ask.headers);
        };
        assert_eq!(
            (name, token.as_bytes()),
            (&header::AUTHORIZATION, &b"Bearer AAAA"[..])
        );
        assert!(token.is_sensitive() && encoding == "gzip");
        assert!(!format!("{ask:?}").contains("AAAA"), "{ask:?}");
        assert!(!ask.path.contains("AAAA"));
        assert!(Api::new(&x(XStream::Sample, true), None, &Secret::new("a\nb")).is_err());
    }

    /// Another token, another stream or another address may have another right.
    #[test]
    fn a_right_is_that_of_a_token_for_a_stream_at_an_address() {
        let of = |stream, url: &str, token: &str| {
            let settings = X {
                base_url: url.to_owned(),
                ..x(stream, true)
            };
            Api::right_of(&settings, &Secret::new(token))
        };
        let one = of(XStream::Sample, "https://a", "t");
        assert_eq!(one, of(XStream::Sample, "https://a", "t"));
        assert!(one.len() == 8 && one.bytes().all(|byte| byte.is_ascii_hexdigit()));
        for other in [
            of(XStream::Filtered, "https://a", "t"),
            of(XStream::Sample, "https://b", "t"),
            of(XStream::Sample, "https://a", "u"),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn only_the_filtered_stream_has_rules() {
        for stream in XStream::ALL {
            let api = api(&x(stream, true));
            assert_eq!(api.rules().is_some(), stream == XStream::Filtered);
            assert_eq!(
                (api.stream(), api.partition()),
                (stream.word(), Partition::new(7))
            );
        }
    }
}
