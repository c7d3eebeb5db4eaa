//! The simulated X API on its sockets: listens, answers requests, and closes ports when told to.

use std::{
    convert::Infallible,
    future::Future,
    io::{self, Write as _},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_body_util::{Either, Full};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    header::{self, HeaderValue},
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
    answer::Answer,
    ask,
    chance::{Chance, mix},
    fault::Fault,
    feed::Feed,
    gate::{self, Gate, Limits, Verdict},
    post::Recipe,
    replay::Replay,
    schedule::{Schedule, Target},
    session::Session,
    stream::{Live, Open},
    truth::{Event, Phase, Truth},
    wire::{Chunker, Fate, Wire},
};
use crate::{period::UtcMs, world::clock::Clock};

/// How far the herald and the listeners look ahead, in milliseconds.
const AHEAD_MS: i64 = 60_000;

const KIND_CHUNKS: u64 = 0x6368_6e6b;

/// What a simulator does.
#[derive(Debug)]
pub struct Options {
    /// Which posts there are, and the seed of every other choice.
    pub recipe: Recipe,
    /// Lines that are sent in place of the recipe's posts, at its rate.
    pub replay: Option<Replay>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// What may be had.
    pub limits: Limits,
    /// Whether those who ask for gzip get it.
    pub gzip: bool,
    /// Where it is written down.
    pub truth: Truth,
}

/// Why the simulator ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Only loopback is allowed.
    #[error("cannot listen on {0}: the simulated API is for this machine only")]
    NotLoopback(SocketAddr),
    /// A port cannot be had, at first or again after a fault.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The truth log is incomplete.
    #[error("cannot write the truth log")]
    Truth(#[source] io::Error),
    /// A task ended in a panic.
    #[error("a part of the simulator ended")]
    Task(#[from] tokio::task::JoinError),
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) schedule: Arc<Schedule>,
    pub(super) truth: Truth,
    pub(super) stopping: AtomicBool,
    feed: Mutex<Feed>,
    gate: Mutex<Gate>,
    counts: Mutex<Counts>,
    seed: u64,
    gzip: bool,
}

#[derive(Default)]
struct Counts {
    requests: u64,
    connections: u64,
    streams_of: Vec<u64>,
}

impl Shared {
    pub(super) fn feed(&self) -> MutexGuard<'_, Feed> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a port of this machine's loopback.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    if !address.ip().is_loopback() {
        return Err(ServeError::NotLoopback(address));
    }
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(source) => Err(ServeError::Listen { address, source }),
    }
}

/// Serves until `stop`. The schedule of faults counts from this call.
pub async fn serve(
    listeners: Vec<TcpListener>,
    options: Options,
    clock: Clock,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let now = clock.now();
    let seed = options.recipe.seed;
    let schedule = Arc::new(Schedule::new(options.faults, seed, now));
    let rate = i64::try_from(options.recipe.posts_per_1000s)
        .unwrap_or(i64::MAX)
        .max(1);
    let feed = match options.replay {
        None => Feed::made(options.recipe, Arc::clone(&schedule)),
        Some(replay) => Feed::replayed(replay, rate, Arc::clone(&schedule)),
    };
    let streams_of = vec![0; listeners.len()];
    let shared = Arc::new(Shared {
        clock,
        schedule,
        truth: options.truth,
        stopping: AtomicBool::new(false),
        feed: Mutex::new(feed),
        gate: Mutex::new(Gate::new(options.limits, now)),
        counts: Mutex::new(Counts {
            streams_of,
            ..Counts::default()
        }),
        seed,
        gzip: options.gzip,
    });
    let addresses: Vec<String> = listeners
        .iter()
        .map(|listener| {
            listener
                .local_addr()
                .map_or_else(|e| e.to_string(), |at| at.to_string())
        })
        .collect();
    shared.truth.tell(
        now,
        Event::Start {
            seed,
            listeners: &addresses,
        },
    );
    let (ended, end) = watch::channel(false);
    let mut tasks = JoinSet::new();
    tasks.spawn(herald(Arc::clone(&shared), now, end.clone()));
    for (place, listener) in listeners.into_iter().enumerate() {
        tasks.spawn(listen(
            place + 1,
            listener,
            Arc::clone(&shared),
            end.clone(),
        ));
    }
    let mut result = tokio::select! {
        () = stop => Ok(()),
        Some(task) = tasks.join_next() => flat(task),
    };
    shared.stopping.store(true, Ordering::Relaxed);
    ended.send_replace(true);
    while let Some(task) = tasks.join_next().await {
        result = result.and(flat(task));
    }
    shared.truth.tell(shared.clock.now(), Event::Stop);
    match shared.truth.failure() {
        Some(error) => Err(ServeError::Truth(error)),
        None => result,
    }
}

fn flat(task: Result<Result<(), ServeError>, tokio::task::JoinError>) -> Result<(), ServeError> {
    task?
}

/// Tells the beginnings and ends of faults, and ends the simulator when they cannot be told.
async fn herald(
    shared: Arc<Shared>,
    start: UtcMs,
    mut end: watch::Receiver<bool>,
) -> Result<(), ServeError> {
    let mut told = start.plus_ms(-1);
    loop {
        let now = shared.clock.now();
        while let Some(at) = shared.schedule.next_change(told, now) {
            told = at;
            tell_change(&shared, at, now);
        }
        told = told.max(now);
        if let Some(error) = shared.truth.failure() {
            return Err(ServeError::Truth(error));
        }
        let next = shared.schedule.next_change(told, now.plus_ms(AHEAD_MS));
        tokio::select! {
            _ = end.changed() => return Ok(()),
            () = shared.clock.sleep_until(next.unwrap_or(now.plus_ms(AHEAD_MS))) => (),
        }
    }
}

/// Tells what begins or ends at that instant.
fn tell_change(shared: &Shared, at: UtcMs, now: UtcMs) {
    for one in shared.schedule.around(at, at) {
        let fault = shared.schedule.fault(one);
        for (phase, when) in [(Phase::Begin, one.begin), (Phase::End, one.end)] {
            if when == at {
                let event = Event::Fault {
                    phase,
                    fault: one.fault + 1,
                    round: one.round,
                    kind: fault.kind.name(),
                    listener: fault.listener,
                    begin: one.begin,
                    end: one.end,
                };
                shared.truth.tell(now, event);
            }
        }
    }
}

/// Accepts connections on one port, except while a fault keeps it closed.
async fn listen(
    number: usize,
    listener: TcpListener,
    shared: Arc<Shared>,
    mut end: watch::Receiver<bool>,
) -> Result<(), ServeError> {
    let failed = |address| move |source| ServeError::Listen { address, source };
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let address = listener.local_addr().map_err(failed(nowhere))?;
    let mut socket = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let now = shared.clock.now();
        let refusal = shared
            .schedule
            .next_refusal(number, now, now.plus_ms(AHEAD_MS));
        let wake = match refusal {
            Some(one) if one.covers(now) => {
                if socket.take().is_some() {
                    shared.truth.tell(
                        now,
                        Event::Port {
                            listener: number,
                            open: false,
                        },
                    );
                }
                one.end
            }
            Some(one) => one.begin,
            None => now.plus_ms(AHEAD_MS),
        };
        if socket.is_none() && refusal.is_none_or(|one| !one.covers(now)) {
            socket = Some(TcpListener::bind(address).await.map_err(failed(address))?);
            shared.truth.tell(
                now,
                Event::Port {
                    listener: number,
                    open: true,
                },
            );
        }
        tokio::select! {
            _ = end.changed() => break,
            () = shared.clock.sleep_until(wake) => (),
            Some(connection) = connections.join_next() => connection?,
            accepted = accept(socket.as_ref()) => {
                let accepted = accepted.map_err(failed(address))?;
                connections.spawn(converse(accepted, number, Arc::clone(&shared)));
            }
        }
    }
    connections.shutdown().await;
    Ok(())
}

async fn accept(socket: Option<&TcpListener>) -> io::Result<TcpStream> {
    match socket {
        Some(socket) => Ok(socket.accept().await?.0),
        None => std::future::pending().await,
    }
}

/// One connection with its one request.
async fn converse(socket: TcpStream, listener: usize, shared: Arc<Shared>) {
    match socket.set_nodelay(true) {
        Ok(()) | Err(_) => (), // it only makes small chunks later
    }
    let (wire, fate) = Wire::new(socket);
    let service = service_fn(|request: Request<Incoming>| {
        let response = respond(&shared, listener, &request, fate.clone());
        async move { Ok::<_, Infallible>(response) }
    });
    let mut server = http1::Builder::new();
    server.keep_alive(false);
    match server.serve_connection(TokioIo::new(wire), service).await {
        // how a stream ended stands in the truth log; how other requests end matters to nobody
        Ok(()) | Err(_) => (),
    }
}

fn respond(
    shared: &Arc<Shared>,
    listener: usize,
    request: &Request<Incoming>,
    fate: Fate,
) -> Response<Either<Full<Bytes>, Live>> {
    let now = shared.clock.now();
    let text = |name| match request.headers().get(name).map(HeaderValue::to_str) {
        Some(Ok(text)) => Some(text),
        _ => None,
    };
    let asked = gate::Request {
        is_get: request.method() == Method::GET,
        path: request.uri().path(),
        query: request.uri().query().unwrap_or(""),
        authorization: text(header::AUTHORIZATION),
    };
    let gzip = shared.gzip && text(header::ACCEPT_ENCODING).is_some_and(ask::accepts_gzip);
    let number = {
        let mut counts = shared.counts();
        counts.requests += 1;
        counts.requests
    };
    let target = Target {
        listener,
        connection: None,
    };
    let verdict = shared.gate().decide(now, asked, target, &shared.schedule);
    let (answer, fault) = match &verdict {
        Verdict::Stream { .. } => (None, None),
        Verdict::Answer(answer, fault) => (Some(answer), fault.map(|one| one.fault + 1)),
    };
    let event = Event::Request {
        listener,
        request: number,
        path: asked.path,
        query: asked.query,
        status: answer.map_or(200, Answer::status),
        fault,
    };
    shared.truth.tell(now, event);
    let rate = shared.gate().rate(answer);
    let mut response = match verdict {
        Verdict::Stream { backfill_minutes } => {
            open(shared, listener, backfill_minutes, gzip, fate)
        }
        // now and then an error's body is compressed too
        Verdict::Answer(answer, _) => refuse(&answer, gzip && number.is_multiple_of(2)),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        ("date", http_date(now)),
        ("x-rate-limit-limit", rate.limit.to_string()),
        ("x-rate-limit-remaining", rate.remaining.to_string()),
        ("x-rate-limit-reset", rate.reset.to_string()),
        (
            "x-transaction-id",
            format!("{:016x}", mix(shared.seed ^ number)),
        ),
        ("server", "simulated".to_owned()),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const PAGE: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");

fn refuse(answer: &Answer, gzip: bool) -> Response<Either<Full<Bytes>, Live>> {
    let mut body = answer.body().into_bytes();
    let mut compressed = false;
    if gzip && !body.is_empty() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        if let Ok(shorter) = encoder.write_all(&body).and_then(|()| encoder.finish()) {
            (body, compressed) = (shorter, true);
        }
    }
    let is_empty = body.is_empty();
    let mut response = Response::new(Either::Left(Full::new(Bytes::from(body))));
    match hyper::StatusCode::from_u16(answer.status()) {
        Ok(status) => *response.status_mut() = status,
        Err(_no_status) => *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR,
    }
    let headers = response.headers_mut();
    if !is_empty {
        headers.insert(
            header::CONTENT_TYPE,
            if answer.is_json() { JSON } else { PAGE },
        );
    }
    if compressed {
        headers.insert(header::CONTENT_ENCODING, GZIP);
    }
    response
}

fn open(
    shared: &Arc<Shared>,
    listener: usize,
    backfill_minutes: i64,
    gzip: bool,
    fate: Fate,
) -> Response<Either<Full<Bytes>, Live>> {
    let now = shared.clock.now();
    let (connection, stream) = {
        let mut counts = shared.counts();
        counts.connections += 1;
        let connection = counts.connections;
        let stream = counts
            .streams_of
            .get_mut(listener - 1)
            .map_or(0, |streams| {
                *streams += 1;
                *streams
            });
        (connection, stream)
    };
    let event = Event::Open {
        connection,
        listener,
        stream,
        backfill_minutes,
        gzip,
    };
    shared.truth.tell(now, event);
    let streams = shared.gate().open();
    shared.feed().connected(streams, now);
    let target = Target {
        listener,
        connection: Some(stream),
    };
    let open = Open {
        shared: Arc::clone(shared),
        session: Session::new(target, shared.seed, now, backfill_minutes, gzip),
        connection,
        chunker: Chunker::new(Chance::of(shared.seed, KIND_CHUNKS, connection), gzip),
        fate,
        tail: None,
        why: None,
        posts: 0,
    };
    let mut response = Response::new(Either::Right(open.into_body()));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    if gzip {
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, GZIP);
    }
    response
}

/// `Mon, 23 Nov 2026 14:05:09 GMT`
fn http_date(at: UtcMs) -> String {
    match jiff::Timestamp::from_second(at.second()) {
        Ok(at) => at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        Err(_beyond_all_years) => String::new(),
    }
}
