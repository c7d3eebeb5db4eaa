//! The simulated OSF on its sockets: the JSON:API, WaterButler, and the storage behind it.
//!
//! Three listeners, as in the real one: the API; WaterButler on another port, as a regional host; and, on another
//! address, the storage to which a download is sent on. The storage refuses requests with a credential. Every request
//! and every stored version goes to the truth log.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::Incoming,
    header::{self, HeaderMap},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use super::{
    answer::{refusal, response, shut_out},
    api, butler,
    fault::{Asked, Faults, Hit, OsfFaultKind, Purpose},
    site::{Answer, Ask, Met, Role, Service, Site},
    tree::Tree,
};
use crate::{
    period::UtcMs,
    simulate::{
        ports::ServeError,
        truth::{Event, Truth},
        wire::{Fate, Wire},
    },
    world::clock::Clock,
};

/// What a simulated OSF is.
#[derive(Debug)]
pub struct Options {
    /// Where it keeps what it is given.
    pub dir: PathBuf,
    /// The one project it has.
    pub project: String,
    /// Whether nobody but its contributors sees it.
    pub is_private: bool,
    /// What the token's owner may do there.
    pub role: Role,
    /// The token that is let in.
    pub token: String,
    /// What ids follow from, and chance.
    pub seed: u64,
    /// Bytes of all versions that fit.
    pub quota: u64,
    /// What goes wrong.
    pub faults: Faults,
    /// The instant that the times of faults count from.
    pub start: UtcMs,
    /// Where it is written down.
    pub truth: Truth,
}

/// The three ports.
#[derive(Debug)]
pub struct Listeners {
    /// The JSON:API.
    pub api: TcpListener,
    /// WaterButler.
    pub files: TcpListener,
    /// Where bytes are really fetched.
    pub storage: TcpListener,
}

struct Shared {
    clock: Clock,
    start: UtcMs,
    site: Site,
    truth: Truth,
    state: Mutex<OsfState>,
}

struct OsfState {
    tree: Tree,
    faults: Faults,
    requests: u64,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, OsfState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes three ports: the API and WaterButler at that address, the storage at another one.
pub async fn bind(api: SocketAddr) -> Result<Listeners, ServeError> {
    let here = SocketAddr::new(api.ip(), 0);
    let there = SocketAddr::from(([127, 0, 0, 2], 0));
    Ok(Listeners {
        api: crate::simulate::ports::bind(api).await?,
        files: crate::simulate::ports::bind(here).await?,
        storage: crate::simulate::ports::bind(there).await?,
    })
}

/// Serves until `stop`.
pub async fn serve(
    listeners: Listeners,
    options: Options,
    clock: Clock,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let url = |listener: &TcpListener| {
        let address = listener.local_addr().map_err(|source| ServeError::Listen {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            source,
        })?;
        Ok::<_, ServeError>(format!("http://{address}"))
    };
    let site = Site {
        api: url(&listeners.api)?,
        files: url(&listeners.files)?,
        storage: url(&listeners.storage)?,
        project: options.project,
        is_private: options.is_private,
        role: options.role,
        token: options.token,
        seed: options.seed,
        quota: options.quota,
    };
    let tree = Tree::open(&options.dir, options.seed).map_err(ServeError::Truth)?;
    let shared = Arc::new(Shared {
        clock,
        start: options.start,
        site,
        truth: options.truth,
        state: Mutex::new(OsfState {
            tree,
            faults: options.faults,
            requests: 0,
        }),
    });
    let (ended, end) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for (service, listener) in [
        (Service::Api, listeners.api),
        (Service::Files, listeners.files),
        (Service::Storage, listeners.storage),
    ] {
        tasks.spawn(listen(service, listener, Arc::clone(&shared), end.clone()));
    }
    stop.await;
    ended.send_replace(true);
    while let Some(task) = tasks.join_next().await {
        task?;
    }
    Ok(())
}

async fn listen(
    service: Service,
    listener: TcpListener,
    shared: Arc<Shared>,
    mut end: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = end.changed() => break,
            Some(_) = connections.join_next() => (),
            accepted = listener.accept() => {
                // a client that is gone before it was accepted wants nothing
                if let Ok((socket, _)) = accepted {
                    connections.spawn(converse(service, socket, Arc::clone(&shared)));
                }
            }
        }
    }
    connections.shutdown().await;
}

async fn converse(service: Service, socket: TcpStream, shared: Arc<Shared>) {
    let (wire, fate) = Wire::new(socket);
    let service = service_fn(|request: Request<Incoming>| {
        let (shared, fate) = (Arc::clone(&shared), fate.clone());
        async move { respond(service, request, &shared, &fate).await }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(wire), service);
    // the truth log says how it ended
    drop(connection.await);
}

/// One request from its head to its answer; an error resets the connection.
async fn respond(
    service: Service,
    request: Request<Incoming>,
    shared: &Shared,
    fate: &Fate,
) -> Result<Response<Full<Bytes>>, io::Error> {
    let (head, body) = request.into_parts();
    let credential = head.headers.get(header::AUTHORIZATION);
    let mut ask = Ask {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: pairs(head.uri.query().unwrap_or("")),
        accept: text(&head.headers, header::ACCEPT),
        body: Vec::new(),
        has_length: head.headers.contains_key(header::CONTENT_LENGTH),
        now: shared.clock.now(),
    };
    let (number, purpose, hit) = meet(service, &ask, shared);
    let seen = Seen {
        service,
        number,
        query: head.uri.query().unwrap_or(""),
        authorization: credential.is_some(),
        hit: hit.as_ref(),
    };
    let kind = hit.as_ref().map(|hit| hit.kind);
    let is_conflict = kind == Some(OsfFaultKind::ConflictReset) && purpose == Purpose::Create;
    if kind == Some(OsfFaultKind::Reset) || (is_conflict && is_there(&ask, shared)) {
        let whole = text(&head.headers, header::CONTENT_LENGTH).parse::<usize>();
        read(body, whole.unwrap_or(0) / 2).await?;
        return Err(reset(shared, &ask, &seen, fate));
    }
    if let Some(hit) = hit.as_ref().filter(|hit| hit.kind == OsfFaultKind::Stall) {
        // the client may have left when it is over
        tell(shared, &ask, &seen, None);
        let wait = u64::try_from(hit.wait_ms).unwrap_or(0);
        shared.clock.sleep(Duration::from_millis(wait)).await;
    }
    ask.body = read(body, usize::MAX).await?;
    let bearer = format!("Bearer {}", shared.site.token);
    let is_let_in = match service {
        Service::Storage => credential.is_none(),
        _ => credential.is_some_and(|given| given.as_bytes() == bearer.as_bytes()),
    };
    let answer = if is_let_in {
        hit.as_ref()
            .and_then(|hit| refusal(service, hit, &ask))
            .unwrap_or_else(|| act(service, &mut ask, kind, shared))
    } else {
        shut_out(service)
    };
    match kind {
        Some(OsfFaultKind::Lost) => return Err(reset(shared, &ask, &seen, fate)),
        Some(OsfFaultKind::Torn) => fate.cut(),
        _ => (),
    }
    tell(shared, &ask, &seen, Some(answer.status));
    Ok(response(answer, number, kind, &shared.site))
}

/// What the truth log says of a request besides what it asks.
struct Seen<'a> {
    service: Service,
    number: u64,
    query: &'a str,
    authorization: bool,
    hit: Option<&'a Hit>,
}

fn tell(shared: &Shared, ask: &Ask, seen: &Seen<'_>, status: Option<u16>) {
    let event = Event::Osf {
        service: seen.service,
        request: seen.number,
        method: &ask.method,
        path: &ask.path,
        query: seen.query,
        status,
        authorization: seen.authorization,
        fault: seen.hit.map(|hit| Met {
            number: hit.number,
            kind: hit.kind,
        }),
    };
    shared.truth.tell(shared.clock.now(), event);
}

/// Makes the connection end in a reset.
fn reset(shared: &Shared, ask: &Ask, seen: &Seen<'_>, fate: &Fate) -> io::Error {
    fate.reset();
    tell(shared, ask, seen, None);
    io::ErrorKind::ConnectionReset.into()
}

/// Counts a request and looks what happens to it.
fn meet(service: Service, ask: &Ask, shared: &Shared) -> (u64, Purpose, Option<Hit>) {
    let mut state = shared.state();
    state.requests += 1;
    let (purpose, name) = match service {
        Service::Api => api::purpose(ask),
        Service::Files => butler::purpose(ask, &state.tree),
        Service::Storage => (Purpose::Download, String::new()),
    };
    let asked = Asked {
        purpose,
        name: &name,
        request: state.requests,
        since_start_ms: ask.now.0 - shared.start.0,
    };
    let hit = state.faults.meet(asked, shared.site.seed);
    (state.requests, purpose, hit)
}

/// Whether the file that is to be made is there already.
fn is_there(ask: &Ask, shared: &Shared) -> bool {
    butler::existing(ask, &shared.state().tree).is_some()
}

/// Does what is asked, if it is to be done at all.
fn act(service: Service, ask: &mut Ask, kind: Option<OsfFaultKind>, shared: &Shared) -> Answer {
    if kind == Some(OsfFaultKind::Damage)
        && let Some(byte) = ask.body.first_mut()
    {
        *byte ^= 0xff;
    }
    let mut state = shared.state();
    let mut answer = match service {
        Service::Api if kind == Some(OsfFaultKind::Stale) => api::nothing(),
        Service::Api => api::answer(ask, &shared.site, &mut state.tree),
        Service::Files => butler::answer(ask, &shared.site, &mut state.tree, &shared.truth),
        Service::Storage => butler::stored(ask, &state.tree),
    };
    if kind == Some(OsfFaultKind::Garble)
        && service == Service::Storage
        && let Some(byte) = answer.body.first_mut()
    {
        *byte ^= 0xff;
    }
    answer
}

/// The body up to so many bytes at least.
async fn read(mut body: Incoming, enough: usize) -> Result<Vec<u8>, io::Error> {
    let mut found = Vec::new();
    while found.len() < enough {
        match body.frame().await {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    found.extend_from_slice(&data);
                }
            }
            Some(Err(why)) => return Err(io::Error::other(why)),
            None => break,
        }
    }
    Ok(found)
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> String {
    let value = headers.get(name).map(header::HeaderValue::as_bytes);
    String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
}

fn pairs(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}
