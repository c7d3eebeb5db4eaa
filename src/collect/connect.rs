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
        let lookup = lookup_host((host, port));
        let addresses: Vec<SocketAddr> = match self.within(CONNECT, lookup).await {
            Some(Ok(addresses)) => addresses.collect(),
            Some(Err(error)) => return Err(Fault::new(EndCause::Dns, &error)),
            None => return Err(Fault::new(EndCause::Dns, "no address within 10 s")),
        };
        self.connect_any(&addresses).await
    }

    /// To the first of these addresses that takes the connection.
    async fn connect_any(&self, addresses: &[SocketAddr]) -> Result<TcpStream, Fault> {
        /// An address that swallows packets must leave time for the others.
        const PER_ADDRESS_MIN: Duration = Duration::from_secs(2);
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

#[cfg(test)]
mod tests {
    use super::{
        super::fixture::{Says, run, served},
        *,
    };

    fn endpoint(url: &str, proxy: Option<&str>) -> Endpoint {
        let proxies = Proxies::new(|name| proxy.filter(|_| name == "ALL_PROXY").map(str::to_owned));
        Endpoint::new(url, &Clock::system(), &proxies.unwrap()).unwrap()
    }

    #[test]
    fn an_address_says_host_port_path_and_whether_there_is_tls() {
        for (url, host, port, authority, prefix, is_tls) in [
            ("https://api.x.com", "api.x.com", 443, "api.x.com", "", true),
            (
                "https://api.x.com/",
                "api.x.com",
                443,
                "api.x.com",
                "",
                true,
            ),
            (
                "wss://a.example:8443/x/y/",
                "a.example",
                8_443,
                "a.example:8443",
                "/x/y",
                true,
            ),
            ("http://127.0.0.1", "127.0.0.1", 80, "127.0.0.1", "", false),
            ("ws://[::1]:81/x", "::1", 81, "[::1]:81", "/x", false),
        ] {
            let found = endpoint(url, None);
            assert_eq!(
                (&*found.host, found.port, &*found.path_prefix),
                (host, port, prefix)
            );
            assert_eq!(found.authority, authority, "{url}");
            assert_eq!(found.tls.is_some(), is_tls, "{url}");
            let ask = Ask {
                path: "/2/a?b=c".to_owned(),
                headers: vec![(header::ACCEPT, HeaderValue::from_static("x"))],
            };
            let request = found.request(ask).unwrap();
            assert_eq!(request.uri().to_string(), format!("{prefix}/2/a?b=c"));
            assert_eq!(request.headers()[header::HOST], authority);
            assert_eq!(request.headers()[header::ACCEPT], "x");
        }
        for wrong in ["", "api.x.com", "ftp://a", "https://", "https://a b"] {
            let found = Endpoint::new(wrong, &Clock::system(), &Proxies::default());
            assert!(found.is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_address_of_a_name_is_tried_until_one_answers() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let there = listener.local_addr().unwrap();
        let closed = {
            let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            gone.local_addr().unwrap()
        };
        let endpoint = endpoint("http://a.example", None);
        let tried = |addresses: &[SocketAddr]| {
            let connected = run(async { endpoint.connect_any(addresses).await });
            connected
                .map(|stream| stream.peer_addr().unwrap())
                .map_err(|fault| fault.cause)
        };
        assert_eq!(tried(&[there]), Ok(there));
        assert_eq!(tried(&[closed, closed, there]), Ok(there));
        assert_eq!(tried(&[closed, closed]), Err(EndCause::Connect));
        assert_eq!(tried(&[]), Err(EndCause::Dns));
    }

    fn says(text: &str) -> Says {
        vec![(text.as_bytes().to_vec(), 200)]
    }

    #[test]
    fn a_proxy_is_asked_for_host_and_port_as_urls_write_them() {
        for (url, asked_for) in [
            ("http://[2001:db8::1]:81/x", "[2001:db8::1]:81"),
            ("ws://a.example/x", "a.example:80"),
            ("http://a.example:8080", "a.example:8080"),
        ] {
            let (proxy, asked) = served(vec![says("HTTP/1.1 403 No\r\n\r\n")]);
            let endpoint = endpoint(url, Some(&proxy));
            let fault = run(async { endpoint.connect().await.map(drop).unwrap_err() });
            assert_eq!(fault.cause, EndCause::Proxy);
            let head = asked.recv().unwrap();
            let connect = format!("CONNECT {asked_for} HTTP/1.1\nHost: {asked_for}\n");
            assert!(head.starts_with(&connect), "{head}");
        }
    }

    #[test]
    fn who_has_not_understood_the_handshake_is_no_endpoint() {
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n";
        for accept in ["", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"] {
            let (url, asked) = served(vec![says(&format!("{answer}{accept}\r\n"))]);
            let endpoint = endpoint(&url.replace("http", "ws"), None);
            let ask = Ask {
                path: "/subscribe".to_owned(),
                headers: Vec::new(),
            };
            let opened = run(async { endpoint.open(Transport::WebSocket, ask).await.map(drop) });
            let Err(fault) = opened else {
                panic!("it is taken for one: {accept:?}");
            };
            assert_eq!(fault.cause, EndCause::Protocol);
            assert!(
                fault.detail.contains("does not speak WebSocket"),
                "{}",
                fault.detail
            );
            let head = asked.recv().unwrap().to_ascii_lowercase();
            assert!(head.starts_with("get /subscribe http/1.1\n"), "{head}");
            assert!(head.contains("sec-websocket-version: 13\n"), "{head}");
        }
    }
}
