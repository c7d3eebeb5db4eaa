//! The page on its socket. Everything that comes is hostile: bounded in size, number and time, and
//! only one path in a short list is answered.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use sha2::{Digest as _, Sha256};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

use super::{alarm::not_storing, metrics, page, threads::Monitor};
use crate::{
    config::{address, settings::Secret},
    world::clock::Clock,
};

/// Connections at the same time: a person, a monitor, and some more.
const CONNECTIONS_MAX: usize = 32;
/// From the first byte of a request to its last header, in real time.
const HEADERS: Duration = Duration::from_secs(5);
/// For a whole connection, in real time.
const CONNECTION: Duration = Duration::from_secs(30);
/// A request has some hundred bytes.
const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// And some dozen headers.
const HEADERS_MAX: usize = 64;

/// Nothing but what comes from here.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What answers.
pub struct Page {
    /// Where the picture comes from.
    pub monitor: Arc<Monitor>,
    /// The token that is asked for; without it only this machine is served.
    pub token: Option<Secret>,
}

type Answer = Response<Full<Bytes>>;

impl Page {
    /// Takes the address, so that it is known before anything else begins whether it can be had.
    pub fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Serves as long as the process lives.
    pub fn run(self, listener: std::net::TcpListener) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener)?;
            Arc::new(self).serve(listener).await
        })
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) -> io::Result<()> {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let real = Clock::system();
        let mut connections = JoinSet::new();
        loop {
            // while all places are taken, further connections wait in the kernel's queue
            let Ok(place) = Arc::clone(&room).acquire_owned().await else {
                return Ok(());
            };
            let tcp = match listener.accept().await {
                Ok((tcp, _)) => tcp,
                Err(why) => {
                    tracing::debug!("the page: {why}");
                    real.sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            while connections.try_join_next().is_some() {}
            let (page, real) = (Arc::clone(&self), real.clone());
            connections.spawn(async move {
                tokio::select! {
                    () = page.converse(tcp) => (),
                    () = real.sleep(CONNECTION) => (),
                }
                drop(place);
            });
        }
    }

    /// One request and its answer.
    async fn converse(&self, tcp: TcpStream) {
        let answer =
            service_fn(|request| std::future::ready(Ok::<_, Infallible>(self.answer(&request))));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS)
            .max_buf_size(REQUEST_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .keep_alive(false)
            .serve_connection(TokioIo::new(tcp), answer);
        if let Err(why) = connection.await {
            tracing::debug!("the page: {why}");
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Answer {
        let header = |name| {
            request
                .headers()
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
        };
        let mut answer = match self.refusal(header(header::HOST), header(header::AUTHORIZATION)) {
            Some(refusal) => refusal,
            None if !matches!(*request.method(), Method::GET | Method::HEAD) => {
                let mut answer = plain(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "only GET is answered here\n",
                );
                set(&mut answer, header::ALLOW, "GET, HEAD");
                answer
            }
            None => self.of_path(request.uri().path()),
        };
        if request.method() == Method::HEAD {
            *answer.body_mut() = Full::default();
        }
        for (name, value) in [
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::CACHE_CONTROL, "no-store"),
        ] {
            set(&mut answer, name, value);
        }
        answer
    }

    /// Why somebody is not served.
    fn refusal(&self, host: Option<&str>, authorization: Option<&str>) -> Option<Answer> {
        let Some(token) = &self.token else {
            // a page elsewhere that has its name point here must not read what is here
            let is_ours = host.is_some_and(|host| address::is_loopback(&format!("http://{host}/")));
            let why = "this page is asked for by the name or address of this machine\n";
            return (!is_ours).then(|| plain(StatusCode::MISDIRECTED_REQUEST, why));
        };
        if authorization.is_some_and(|given| is_allowed(given, token)) {
            return None;
        }
        let mut answer = plain(
            StatusCode::UNAUTHORIZED,
            "the status token is needed, as the password\n",
        );
        set(
            &mut answer,
            header::WWW_AUTHENTICATE,
            "Basic realm=\"twinstream\", charset=\"UTF-8\"",
        );
        Some(answer)
    }

    fn of_path(&self, path: &str) -> Answer {
        match path {
            "/page.css" => return typed("text/css; charset=utf-8", page::STYLE.to_owned()),
            "/page.js" => return typed("text/javascript; charset=utf-8", page::SCRIPT.to_owned()),
            "/" | "/health" | "/metrics" | "/api/status" => (),
            _ => {
                return plain(
                    StatusCode::NOT_FOUND,
                    "there is /, /health, /metrics and /api/status\n",
                );
            }
        }
        let picture = match self.monitor.picture() {
            Ok(picture) => picture,
            Err(why) => {
                let why = format!("cannot read the state: {why}\n");
                return plain(StatusCode::SERVICE_UNAVAILABLE, &why);
            }
        };
        match path {
            "/health" => match not_storing(&picture) {
                None => plain(StatusCode::OK, "posts are being stored\n"),
                Some(why) => plain(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}\n")),
            },
            "/metrics" => match metrics::of(&picture) {
                Ok(text) => typed(
                    "application/openmetrics-text; version=1.0.0; charset=utf-8",
                    text,
                ),
                Err(why) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{why}\n")),
            },
            "/api/status" => match serde_json::to_string_pretty(&*picture) {
                Ok(json) => typed("application/json", json + "\n"),
                Err(why) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{why}\n")),
            },
            _ => typed("text/html; charset=utf-8", page::of(&picture).into_string()),
        }
    }
}

/// The token as the password of HTTP's basic scheme, with any user name, or as a bearer token.
fn is_allowed(given: &str, token: &Secret) -> bool {
    // digests of the same length are compared, so that the time tells nothing of the token
    let digest = |bytes: &[u8]| Sha256::digest(bytes);
    let expected = digest(token.reveal().as_bytes());
    if let Some(bearer) = given.strip_prefix("Bearer ") {
        return digest(bearer.as_bytes()) == expected;
    }
    let Some(decoded) = given
        .strip_prefix("Basic ")
        .and_then(|basic| STANDARD.decode(basic).ok())
    else {
        return false;
    };
    let colon = memchr::memchr(b':', &decoded);
    colon.is_some_and(|colon| digest(decoded.get(colon + 1..).unwrap_or(&[])) == expected)
}

fn plain(status: StatusCode, text: &str) -> Answer {
    let mut answer = typed("text/plain; charset=utf-8", text.to_owned());
    *answer.status_mut() = status;
    answer
}

fn typed(kind: &'static str, text: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    set(&mut answer, header::CONTENT_TYPE, kind);
    answer
}

fn set(answer: &mut Answer, name: header::HeaderName, value: &'static str) {
    answer
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_opens() {
        let token = Secret::new("s3cret");
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert!(is_allowed("Bearer s3cret", &token));
        assert!(is_allowed(&basic("anybody:s3cret"), &token));
        assert!(is_allowed(&basic(":s3cret"), &token));
        for wrong in [
            "",
            "s3cret",
            "Bearer ",
            "Bearer s3cre",
            "Basic s3cret",
            "Basic é",
        ] {
            assert!(!is_allowed(wrong, &token), "{wrong}");
        }
        for wrong in ["s3cret", "s3cret:", "s3cret:x", "s3cret:s3cret:"] {
            assert!(
                !is_allowed(&basic(wrong), &token),
                "the token is the password: {wrong}"
            );
        }
        assert!(!is_allowed(&basic("a:b:s3cret"), &token));
    }

    #[test]
    fn without_a_token_only_this_machine_is_answered_and_with_one_whoever_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let page = |token: Option<&str>| Page {
            monitor: Arc::new(super::super::threads::tests::monitor_of(dir.path(), false)),
            token: token.map(Secret::new),
        };
        let open = page(None);
        let status = |page: &Page, host: Option<&str>, given: Option<&str>| {
            page.refusal(host, given)
                .map(|answer| answer.status().as_u16())
        };
        for host in [
            "127.0.0.1:8430",
            "localhost",
            "LOCALHOST:1",
            "[::1]:8430",
            "127.0.0.9",
        ] {
            assert_eq!(status(&open, Some(host), None), None, "{host}");
        }
        // a name that somebody else has point here
        for host in [
            "",
            "example.org",
            "127.0.0.1.example.org:8430",
            "localhost.example.org",
            "10.0.0.1:8430",
        ] {
            assert_eq!(
                status(&open, Some(host), Some("Bearer x")),
                Some(421),
                "{host}"
            );
        }
        assert_eq!(status(&open, None, None), Some(421));
        let closed = page(Some("s3cret"));
        for host in [None, Some("example.org"), Some("127.0.0.1:8430")] {
            assert_eq!(status(&closed, host, Some("Bearer s3cret")), None);
            assert_eq!(status(&closed, host, Some("Bearer other")), Some(401));
            assert_eq!(status(&closed, host, None), Some(401));
        }
        for (path, status, kind) in [
            ("/", 200, "text/html"),
            ("/health", 503, "text/plain"),
            ("/metrics", 200, "application/openmetrics-text"),
            ("/api/status", 200, "application/json"),
            ("/page.css", 200, "text/css"),
            ("/page.js", 200, "text/javascript"),
            ("/health/", 404, "text/plain"),
            ("/../etc/passwd", 404, "text/plain"),
        ] {
            let answer = open.of_path(path);
            assert_eq!(answer.status().as_u16(), status, "{path}");
            let found = answer.headers()[header::CONTENT_TYPE]
                .to_str()
                .unwrap()
                .to_owned();
            assert!(found.starts_with(kind), "{path}: {found}");
        }
    }
}
