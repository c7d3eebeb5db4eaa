//! One GET, for `check`: the status and the date of the answer, and whether it is the API's.

use std::{io::Read as _, time::Duration};

use ureq::{Agent, tls::TlsConfig};

use crate::{
    config::{proxy::Proxies, settings::Secret},
    period::UtcMs,
    source::{page, x::wire::impostor::FirstLine},
    world::agent,
};

/// For the whole request. A stream's answer has no end: only its first line is waited for.
const WHOLE: Duration = Duration::from_secs(20);

/// A line is told by less.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    /// The `Date` header.
    pub(super) date: Option<UtcMs>,
    /// Why it is not the API's.
    pub(super) not_the_api: Option<String>,
}

/// Asks once; redirects are not followed, so that the token goes nowhere else.
pub(super) fn get(url: &str, token: Option<&Secret>, proxies: &Proxies) -> Result<Answer, String> {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(proxies.way_to(url))
        .user_agent(concat!("twinstream/", env!("CARGO_PKG_VERSION")))
        .timeout_global(Some(WHOLE));
    if url.starts_with("https://") {
        let roots = agent::roots().map_err(|why| why.to_string())?;
        config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
    }
    let client: Agent = config.build().into();
    let mut request = client.get(url);
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {}", token.reveal()));
    }
    let mut response = request.call().map_err(|why| agent::words(&why))?;
    let date = response
        .headers()
        .get("date")
        .and_then(|value| value.to_str().ok());
    let date = date
        .and_then(|text| httpdate::parse_http_date(text).ok())
        .and_then(|at| {
            let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
            i64::try_from(since.as_millis()).ok().map(UtcMs)
        });
    let status = response.status();
    let not_the_api = page::head(status, response.headers()).or_else(|| {
        (status == 200 && token.is_some())
            .then(|| first_line(&mut response.body_mut().as_reader()).err())?
    });
    Ok(Answer {
        status: status.as_u16(),
        date,
        not_the_api,
    })
}

/// Reads until the first line has told whose it is. A stream in which nothing comes for so long that reading
/// ends tells nothing.
fn first_line(body: &mut ureq::BodyReader<'_>) -> Result<(), String> {
    let mut first = FirstLine::default();
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    while read.len() < LINE_BYTES_MAX {
        let bytes = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => buffer.get(..len).unwrap_or(&[]),
            Err(_silent) => return Ok(()),
        };
        first.bytes(bytes)?;
        read.extend_from_slice(bytes);
        let begun = read.trim_ascii_start();
        if let Some(end) = memchr::memchr(b'\n', begun) {
            return first.line(begun.get(..end).unwrap_or(begun));
        }
    }
    match read.trim_ascii() {
        [] => Err("it ended without a line".to_owned()),
        line => first.line(line),
    }
}
