//! One GET with a token, for `check`: the status and the date of the answer.

use std::time::Duration;

use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::{config::settings::Secret, period::UtcMs};

/// For the whole request. A stream's answer has no end: only its head is waited for.
const WHOLE: Duration = Duration::from_secs(20);

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    /// The `Date` header.
    pub(super) date: Option<UtcMs>,
}

/// Asks once; redirects are not followed, so that the token goes nowhere else.
pub(super) fn get(url: &str, token: &Secret) -> Result<Answer, String> {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("twinstream/", env!("CARGO_PKG_VERSION")))
        .timeout_global(Some(WHOLE));
    if url.starts_with("https://") {
        let store = rustls_native_certs::load_native_certs();
        let certificates: Vec<Certificate<'static>> = store
            .certs
            .iter()
            .map(|der| Certificate::from_der(der).to_owned())
            .collect();
        let roots = RootCerts::new_with_certs(&certificates);
        config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
    }
    let agent: Agent = config.build().into();
    let request = agent
        .get(url)
        .header("Authorization", format!("Bearer {}", token.reveal()));
    let response = request.call().map_err(|why| why.to_string())?;
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
    Ok(Answer {
        status: response.status().as_u16(),
        date,
    })
}
