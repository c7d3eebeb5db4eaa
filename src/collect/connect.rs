//! Opens the stream: address, TCP, TLS, HTTP; each step with its own cause when it fails.
//!
//! The name is looked up again for each attempt, and every address is tried.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{
    Request, StatusCode, Uri,
    header::{self, HeaderValue},
};
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use super::{
    fault::{Fault, fault},
    handshake,
    http::{Answer, Http, Socket},
    tunnel,
};
use crate::{
    config::proxy::{Proxies, Proxy},
    segment::{event::EndCause, line::PROGRAM},
    source::wire::{Ask, Transport},
    world::{clock::Clock, tls},
};

/// For looking up the address, for TCP, and for TLS each.
const CONNECT: Duration = Duration::from_secs(10);

/// From the request to the head of the answer.
const ANSWER: Duration = Duration::from_secs(30);

/// However fast a simulated clock runs, the network is a real one.
const REAL_MIN: Duration = Duration::from_millis(500);

/// What cannot be used to reach the API.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Not an address.
    #[error("{0:?} is not an address such as https://api.example.org")]
    Address(String),
    /// Nothing to check certificates against.
    #[error("this machine's certificate store cannot be used: {0}")]
    Certificates(String),
}

/// A place that gives the stream: where it is, and how to get there.
pub(super) struct Endpoint {
    /// Its address, as it was configured.
    pub(super) url: String,
    host: String,
    port: u16,
    authority: HeaderValue,
    path_prefix: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// What the way there leads through.
    proxy: Option<Proxy>,
    clock: Clock,
}

impl Endpoint {
    pub(super) fn new(url: &str, clock: &Clock, proxies: &Proxies) -> Result<Self, ApiError> {
        let wrong = || ApiError::Address(url.to_owned());
        let base: Uri = match url.parse() {
            Ok(base) => base,
            Err(_not_a_uri) => return Err(wrong()),
        };
        let authority = base.authority().ok_or_else(wrong)?;
        let https = match base.scheme_str() {
            Some("https" | "wss") => true,
            Some("http" | "ws") => false,
            _ => return Err(wrong()),
        };
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let tls = if https {
            let name = match ServerName::try_from(host.to_owned()) {
                Ok(name) => name,
                Err(_not_a_name) => return Err(wrong()),
            };
            Some((tls_connector()?, name))
        } else {
            None
        };
        Ok(Self {
            url: url.to_owned(),
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(if https { 443 } else { 80 }),
            authority: match HeaderValue::from_str(authority.as_str()) {
                Ok(value) => value,
                Err(_not_a_value) => return Err(wrong()),
            },
            path_prefix: base.path().trim_end_matches('/').to_owned(),
            tls,
            proxy: proxies.of(https, host).cloned(),
            clock: clock.clone(),
        })
    }

    /// Asks for the stream.
    pub(super) async fn open(&self, transport: Transport, mut ask: Ask) -> Result<Answer, Fault> {
        let key = match transport {
            Transport::Http => None,
            Transport::WebSocket => Some(handshake::key()),
        };
        let key = key
            .transpose()
            .map_err(|error| Fault::new(EndCause::Protocol, &error))?;
        if let Some(key) = &key {
            ask.headers.extend(handshake::headers(key));
        }
        let socket = self.connect().await?;
        let http = Http::new(socket).await.map_err(|error| fault(&error))?;
        let request = self.request(ask)?;
        let Some(answer) = self.within(ANSWER, http.ask(request)).await else {
            return Err(Fault::new(EndCause::Timeout, "no answer within 30 s"));
        };
        let mut answer = answer.map_err(|error| fault(&error))?;
        if let Some(key) = key
            && answer.response.status() == StatusCode::SWITCHING_PROTOCOLS
        {
            if !handshake::is_accepted(&key, answer.response.headers()) {
                let what = "the other side does not speak WebSocket: its handshake is wrong";
                return Err(Fault::new(EndCause::Protocol, what));
            }
            answer.body = answer.body.upgrade().await?;
        }
        Ok(answer)
    }

    fn request(&self, ask: Ask) -> Result<Request<Empty<Bytes>>, Fault> {
        let mut request = Request::get(format!("{}{}", self.path_prefix, ask.path))
            .header(header::HOST, &self.authority)
            .header(header::USER_AGENT, PROGRAM);
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        request
            .body(Empty::new())
            .map_err(|error| Fault::new(EndCause::Protocol, &error))
    }

    async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let limit = self.clock.real(limit).max(REAL_MIN);
        tokio::time::timeout(limit, work).await.ok()
    }

    async fn connect(&self) -> Result<Box<dyn Socket>, Fault> {
        let tcp = match &self.proxy {
            Some(proxy) => self.tunnel(proxy).await?,
            None => self.connect_tcp(&self.host, self.port).await?,
        };
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!("cannot set TCP_NODELAY: {error}");
        }
        let Some((connector, name)) = &self.tls else {
            return Ok(Box::new(tcp));
        };
        let handshake = connector.connect(name.clone(), tcp);
        match self.within(CONNECT, handshake).await {
            Some(Ok(stream)) => Ok(Box::new(stream)),
            Some(Err(error)) => Err(self.no_tls(&error)),
            None => Err(Fault::new(EndCause::Timeout, "TLS took longer than 10 s")),
        }
    }

    /// A tunnel through the proxy.
    async fn tunnel(&self, proxy: &Proxy) -> Result<TcpStream, Fault> {
        let (host, port) = (&self.host, self.port);
        let to = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        let name = format!("the proxy {proxy} ({})", proxy.variable);
        let mut tcp = match self.connect_tcp(&proxy.host, proxy.port).await {
            Ok(tcp) => tcp,
            Err(Fault { cause, detail }) => {
                return Err(Fault::new(cause, &format!("{name}: {detail}")));
            }
        };
        match self
            .within(ANSWER, tunnel::open(&mut tcp, proxy, &to))
            .await
        {
            Some(Ok(())) => Ok(tcp),
            Some(Err(why)) => Err(Fault::new(EndCause::Proxy, &why)),
            None => Err(Fault::new(
                EndCause::Timeout,
                &format!("{name} gives no answer within 30 s"),
            )),
        }
    }

    /// Why there is no TLS. An issuer that nobody knows is no fault of the network's.
    fn no_tls(&self, error: &io::Error) -> Fault {
        if tls::is_unknown_issuer(error) {
            let told = format!("{}: {}", self.host, tls::UNKNOWN_ISSUER);
            return Fault::new(EndCause::UnknownIssuer, &told);
        }
        Fault::new(EndCause::Tls, error)
    }

    async fn connect_tcp(&self, host: &str, port: u16) -> Result<TcpStream, Fault> {
        /// An address that swallows packets must leave time for the others.
        const PER_ADDRESS_MIN: Duration = Duration::from_secs(2);
        let lookup = lookup_host((host, port));
        let addresses: Vec<SocketAddr> = match self.within(CONNECT, lookup).await {
            Some(Ok(addresses)) => addresses.collect(),
            Some(Err(error)) => return Err(Fault::new(EndCause::Dns, &error)),
            None => return Err(Fault::new(EndCause::Dns, "no address within 10 s")),
        };
        let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
        let limit = (CONNECT / count).max(PER_ADDRESS_MIN);
        let mut last = Fault::new(EndCause::Dns, "the name has no address");
        for address in addresses {
            last = match self.within(limit, TcpStream::connect(address)).await {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => Fault::new(EndCause::Connect, &format!("{address}: {error}")),
                None => Fault::new(EndCause::Timeout, &format!("{address}: no answer")),
            };
        }
        Err(last)
    }
}

fn tls_connector() -> Result<TlsConnector, ApiError> {
    let store = rustls_native_certs::load_native_certs();
    let mut roots = rustls::RootCertStore::empty();
    let (used, _unusable) = roots.add_parsable_certificates(store.certs);
    if used == 0 {
        let why: Vec<String> = store.errors.iter().map(ToString::to_string).collect();
        let why = if why.is_empty() {
            "it is empty".to_owned()
        } else {
            why.join("; ")
        };
        return Err(ApiError::Certificates(why));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = match rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
    {
        Ok(builder) => builder.with_root_certificates(roots).with_no_client_auth(),
        Err(error) => return Err(ApiError::Certificates(error.to_string())),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
