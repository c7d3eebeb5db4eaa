//! Plain HTTP calls, one at a time, each within limits.

use std::time::Duration;

use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

use super::{clock::Clock, tls};

/// However fast a simulated clock runs, this machine takes its time.
const REAL_MIN: Duration = Duration::from_secs(3);

/// No certificates: https cannot be verified.
#[derive(Debug, thiserror::Error)]
#[error("this machine has no certificates with which to verify the other side: {0}")]
pub struct NoCertificates(String);

/// How long a call may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From begin to end.
    pub whole: Duration,
    /// Until a connection is there.
    pub connect: Duration,
    /// Without a byte in either direction.
    pub silence: Duration,
}

/// A client that follows no redirect by itself and takes every status for an answer.
pub fn agent(clock: &Clock, limits: Limits, is_https: bool) -> Result<Agent, NoCertificates> {
    let known = is_https.then(roots).transpose()?;
    Ok(agent_with(clock, limits, known))
}

/// How many calls are made at the same time at most.
pub const AT_ONCE_MAX: usize = 8;

/// The same, which knows these certificates.
pub fn agent_with(clock: &Clock, limits: Limits, known: Option<RootCerts>) -> Agent {
    let limit = |wait| Some(clock.real(wait).max(REAL_MIN));
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("twinstream/", env!("CARGO_PKG_VERSION")))
        .max_idle_connections_per_host(AT_ONCE_MAX)
        .timeout_global(limit(limits.whole))
        .timeout_connect(limit(limits.connect))
        .timeout_per_read(limit(limits.silence))
        .timeout_per_write(limit(limits.silence));
    if let Some(known) = known {
        config = config.tls_config(TlsConfig::builder().root_certs(known).build());
    }
    config.build().new_agent()
}

/// What a call that got no answer says, and what to do about it.
pub fn words(why: &ureq::Error) -> String {
    let is_unknown = match why {
        ureq::Error::Io(why) => tls::is_unknown_issuer(why),
        ureq::Error::Rustls(why) => tls::is_unknown_issuer(why),
        _ => false,
    };
    match why {
        _ if is_unknown => tls::UNKNOWN_ISSUER.to_owned(),
        ureq::Error::ConnectProxyFailed(said) => {
            format!("the network's proxy (HTTPS_PROXY) refuses the connection: {said}")
        }
        other => other.to_string(),
    }
}

/// The certificates that this machine's administrator keeps current.
pub fn roots() -> Result<RootCerts, NoCertificates> {
    let store = rustls_native_certs::load_native_certs();
    let certificates: Vec<Certificate<'static>> = store
        .certs
        .iter()
        .map(|der| Certificate::from_der(der).to_owned())
        .collect();
    if certificates.is_empty() {
        let why: Vec<String> = store.errors.iter().map(ToString::to_string).collect();
        return Err(NoCertificates(why.join("; ")));
    }
    Ok(RootCerts::from(certificates))
}
