//! One GET, for `check`: what the answer says, and whether it is the API's.

use std::{io::Read as _, time::Duration};

use hyper::HeaderMap;
use ureq::{Agent, Body, tls::TlsConfig};

use crate::{
    config::{proxy::Proxies, settings::Secret},
    period::UtcMs,
    source::{page, x::wire::impostor::FirstLine},
    world::{agent, clock::Clock},
};

/// For the whole request. A stream's answer has no end: only its first line is waited for.
const WHOLE: Duration = Duration::from_secs(20);

/// A line is told by less.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// A refusal has less.
const BODY_BYTES_MAX: u64 = 64 * 1024;

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    /// How far this machine's clock is ahead of the `Date` header, when that came: the first line of a stream may come
    /// much later.
    pub(super) ahead_ms: Option<i64>,
    /// How often X lets this app ask in 15 minutes, and how often it may still.
    pub(super) limit: Option<u32>,
    pub(super) left: Option<u32>,
    /// When it may ask so often again.
    pub(super) reset: Option<String>,
    /// Of a refusal, what it says.
    pub(super) body: Vec<u8>,
    /// The connection of a stream, which is open as long as this is kept.
    _open: Option<Body>,
    /// Why it is not the API's.
    pub(super) not_the_api: Option<String>,
}

/// Asks once; redirects are not followed, so that the token goes nowhere else.
pub(super) fn get(
    url: &str,
    token: &Secret,
    (clock, proxies): (&Clock, &Proxies),
) -> Result<Answer, String> {
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
    let request = client.get(url);
    let request = request.header("Authorization", format!("Bearer {}", token.reveal()));
    let mut response = request.call().map_err(|why| agent::words(&why))?;
    let date = text(response.headers(), "date").and_then(date);
    let ahead_ms = date.map(|date| clock.now().0 - date.0);
    let status = response.status();
    let is_stream = status == 200;
    let not_the_api = page::head(status, response.headers())
        .or_else(|| is_stream.then(|| first_line(&mut response.body_mut().as_reader()).err())?);
    let (head, mut body) = response.into_parts();
    let said = if is_stream {
        Vec::new()
    } else {
        let said = body.with_config().limit(BODY_BYTES_MAX).read_to_vec();
        said.unwrap_or_default()
    };
    let number = |name| text(&head.headers, name)?.parse::<i64>().ok();
    let count = |name| number(name).and_then(|count| u32::try_from(count).ok());
    let seconds = number("x-rate-limit-reset");
    Ok(Answer {
        status: status.as_u16(),
        ahead_ms,
        limit: count("x-rate-limit-limit"),
        left: count("x-rate-limit-remaining"),
        reset: seconds.and_then(|seconds| Some(UtcMs(seconds.checked_mul(1_000)?).to_string())),
        body: said,
        _open: is_stream.then_some(body),
        not_the_api,
    })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn date(text: &str) -> Option<UtcMs> {
    let at = httpdate::parse_http_date(text).ok()?;
    let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(UtcMs)
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
