//! One call to the authority: a request goes there, an answer comes back, or why none does.

use std::time::Duration;

use crate::{
    config::proxy::Proxies,
    stamp::token::ANSWER_BYTES_MAX,
    world::{
        agent::{self, Limits, NoCertificates},
        clock::Clock,
    },
};

/// An authority answers within seconds; nobody waits for it.
const LIMITS: Limits = Limits {
    whole: Duration::from_mins(1),
    connect: Duration::from_secs(20),
    silence: Duration::from_secs(30),
};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// https without certificates.
    #[error(transparent)]
    Certificates(#[from] NoCertificates),
    /// It is not there, or what it said broke off.
    #[error("no whole answer: {0}")]
    Away(String),
    /// Something else answered.
    #[error("status {0} instead of an answer")]
    Status(u16),
}

impl NoAnswer {
    /// Whether it may be there later.
    pub fn passes(&self) -> bool {
        match self {
            Self::Away(_) => true,
            Self::Status(status) => *status == 429 || 500 <= *status,
            Self::Certificates(_) => false,
        }
    }
}

/// Asks.
pub fn ask(
    url: &str,
    request: &[u8],
    proxies: &Proxies,
    clock: &Clock,
) -> Result<Vec<u8>, NoAnswer> {
    let agent = agent::agent(clock, LIMITS, url.starts_with("https:"))?;
    let away = |why: ureq::Error| NoAnswer::Away(agent::words(&why));
    let mut response = agent
        .post(url)
        .config()
        .proxy(proxies.way_to(url))
        .build()
        .header("Content-Type", "application/timestamp-query")
        .header("Accept", "application/timestamp-reply")
        .send(request)
        .map_err(away)?;
    match response.status().as_u16() {
        200 => (),
        other => return Err(NoAnswer::Status(other)),
    }
    let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
    body.read_to_vec().map_err(away)
}
