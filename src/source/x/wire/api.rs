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

    fn expects_posts(&self) -> bool {
        self.settings.stream != XStream::Filtered
    }

    fn rules(&self) -> Option<&dyn AskRules> {
        self.rules.as_ref().map(|rules| -> &dyn AskRules { rules })
    }
}
