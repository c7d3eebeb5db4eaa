//! The simulated X API on its sockets: listens, and closes ports when a fault wants it.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use super::{
    fault::Fault,
    feed::Feed,
    gate::{Gate, Limits},
    post::Recipe,
    replay::Replay,
    respond::converse,
    schedule::Schedule,
    truth::{Event, Phase, Truth},
};
use crate::{period::UtcMs, world::clock::Clock};

/// How far the herald and the listeners look ahead, in milliseconds.
const AHEAD_MS: i64 = 60_000;

/// What a simulator does.
#[derive(Debug)]
pub struct Options {
    /// Which posts there are, and the seed of every other choice.
    pub recipe: Recipe,
    /// Lines that are sent in place of the recipe's posts, at its rate.
    pub replay: Option<Replay>,
    /// The instant that the times of faults and the windows of the rate limit count from.
    pub start: UtcMs,
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
    pub(super) seed: u64,
    pub(super) gzip: bool,
}

/// How often what has happened.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) connections: u64,
    /// Streams opened on each listener.
    pub(super) streams_of: Vec<u64>,
}

impl Shared {
    pub(super) fn feed(&self) -> MutexGuard<'_, Feed> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counts(&self) -> MutexGuard<'_, Counts> {
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

/// Serves until `stop`.
pub async fn serve(
    listeners: Vec<TcpListener>,
    options: Options,
    clock: Clock,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let (now, start) = (clock.now(), options.start);
    let seed = options.recipe.seed;
    let schedule = Arc::new(Schedule::new(options.faults, seed, start));
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
        gate: Mutex::new(Gate::new(options.limits, start)),
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
    tasks.spawn(herald(Arc::clone(&shared), start, end.clone()));
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
