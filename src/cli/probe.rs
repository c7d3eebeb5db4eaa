//! One GET with a token, for `check`: status, date, and the begin of a JSON answer.

use std::{io::Read as _, time::Duration};

use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::{config::settings::Secret, period::UtcMs};

/// For the whole request. A stream's answer has no end: only its head is waited for.
const WHOLE: Duration = Duration::from_secs(20);

/// OSF's description of a project has some kilobytes.
const BODY_BYTES_MAX: u64 = 1 << 20;

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    /// The `Date` header.
    pub(super) date: Option<UtcMs>,
    /// OSF's word on what the token's owner may do with a project.
    permissions: Vec<String>,
}

impl Answer {
    /// Whether the project that was asked for can be written.
    pub(super) fn may_write(&self) -> bool {
        self.permissions
            .iter()
            .any(|permission| permission == "write")
    }
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
    let mut response = request.call().map_err(|why| why.to_string())?;
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
    let type_is_json = response.headers().get("content-type").is_some_and(|kind| {
        kind.to_str()
            .is_ok_and(|kind| kind.starts_with("application/vnd.api+json"))
    });
    let mut body = Vec::new();
    if type_is_json {
        let read = response
            .body_mut()
            .as_reader()
            .take(BODY_BYTES_MAX)
            .read_to_end(&mut body);
        read.map_err(|why| why.to_string())?;
    }
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let given = json
        .pointer("/data/attributes/current_user_permissions")
        .and_then(|list| list.as_array());
    let words = given.into_iter().flatten().filter_map(|word| word.as_str());
    Ok(Answer {
        status: response.status().as_u16(),
        date,
        permissions: words.map(str::to_owned).collect(),
    })
}
