//! What every simulated API does on its sockets: listens, tells when faults begin and end, and closes ports when
//! one wants it.

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
    schedule::Schedule,
    truth::{Event, Phase, Truth},
};
use crate::{period::UtcMs, world::clock::Clock};

/// How far the herald and the listeners look ahead, in milliseconds.
const AHEAD_MS: i64 = 60_000;

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

/// What all connections to all ports share, whatever they speak.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) clock: Clock,
    pub(super) schedule: Arc<Schedule>,
    pub(super) truth: Truth,
    pub(super) seed: u64,
    pub(super) stopping: AtomicBool,
    counts: Mutex<Counts>,
}

/// How often what has happened.
#[derive(Debug)]
struct Counts {
    requests: u64,
    connections: u64,
    /// Streams opened on each listener.
    streams_of: Vec<u64>,
}

impl Common {
    pub(super) fn new(
        clock: Clock,
        schedule: Arc<Schedule>,
        truth: Truth,
        seed: u64,
        listeners: usize,
    ) -> Self {
        Self {
            clock,
            schedule,
            truth,
            seed,
            stopping: AtomicBool::new(false),
            counts: Mutex::new(Counts {
                requests: 0,
                connections: 0,
                streams_of: vec![0; listeners],
            }),
        }
    }

    /// The number of a request that has just come.
    pub(super) fn count_request(&self) -> u64 {
        let mut counts = self.counts();
        counts.requests += 1;
        counts.requests
    }

    /// The number of a stream that is opened, over all listeners, and among those of its listener.
    pub(super) fn count_stream(&self, listener: usize) -> (u64, u64) {
        let mut counts = self.counts();
        counts.connections += 1;
        let streams = counts.streams_of.get_mut(listener - 1);
        let stream = streams.map_or(0, |streams| {
            *streams += 1;
            *streams
        });
        (counts.connections, stream)
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

/// Serves all connections to one of the ports, until `stop`.
pub(super) async fn serve<C>(
    listeners: Vec<TcpListener>,
    common: Arc<Common>,
    start: UtcMs,
    converse: impl Fn(TcpStream, usize) -> C + Clone + Send + 'static,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError>
where
    C: Future<Output = ()> + Send + 'static,
{
    let addresses: Vec<String> = listeners
        .iter()
        .map(|listener| {
            listener
                .local_addr()
                .map_or_else(|e| e.to_string(), |at| at.to_string())
        })
        .collect();
    let event = Event::Start {
        seed: common.seed,
        listeners: &addresses,
    };
    common.truth.tell(common.clock.now(), event);
    let (ended, end) = watch::channel(false);
    let mut tasks = JoinSet::new();
    tasks.spawn(herald(Arc::clone(&common), start, end.clone()));
    for (place, listener) in listeners.into_iter().enumerate() {
        let (common, converse, end) = (Arc::clone(&common), converse.clone(), end.clone());
        tasks.spawn(listen(place + 1, listener, common, converse, end));
    }
    let mut result = tokio::select! {
        () = stop => Ok(()),
        Some(task) = tasks.join_next() => flat(task),
    };
    common.stopping.store(true, Ordering::Relaxed);
    ended.send_replace(true);
    while let Some(task) = tasks.join_next().await {
        result = result.and(flat(task));
    }
    common.truth.tell(common.clock.now(), Event::Stop);
    match common.truth.failure() {
        Some(error) => Err(ServeError::Truth(error)),
        None => result,
    }
}

fn flat(task: Result<Result<(), ServeError>, tokio::task::JoinError>) -> Result<(), ServeError> {
    task?
}

/// Logs the beginnings and ends of faults, and ends the simulator if they cannot be logged.
async fn herald(
    common: Arc<Common>,
    start: UtcMs,
    mut end: watch::Receiver<bool>,
) -> Result<(), ServeError> {
    let mut told = start.plus_ms(-1);
    loop {
        let now = common.clock.now();
        while let Some(at) = common.schedule.next_change(told, now) {
            told = at;
            tell_change(&common, at, now);
        }
        told = told.max(now);
        if let Some(error) = common.truth.failure() {
            return Err(ServeError::Truth(error));
        }
        let next = common.schedule.next_change(told, now.plus_ms(AHEAD_MS));
        tokio::select! {
            _ = end.changed() => return Ok(()),
            () = common.clock.sleep_until(next.unwrap_or(now.plus_ms(AHEAD_MS))) => (),
        }
    }
}

/// Tells what begins or ends at that instant.
fn tell_change(common: &Common, at: UtcMs, now: UtcMs) {
    for one in common.schedule.around(at, at) {
        let fault = common.schedule.fault(one);
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
                common.truth.tell(now, event);
            }
        }
    }
}

/// Accepts connections on one port, except while a fault keeps it closed.
async fn listen<C>(
    number: usize,
    listener: TcpListener,
    common: Arc<Common>,
    converse: impl Fn(TcpStream, usize) -> C,
    mut end: watch::Receiver<bool>,
) -> Result<(), ServeError>
where
    C: Future<Output = ()> + Send + 'static,
{
    let failed = |address| move |source| ServeError::Listen { address, source };
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let address = listener.local_addr().map_err(failed(nowhere))?;
    let mut socket = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let now = common.clock.now();
        let refusal = common
            .schedule
            .next_refusal(number, now, now.plus_ms(AHEAD_MS));
        let wake = match refusal {
            Some(one) if one.covers(now) => {
                if socket.take().is_some() {
                    common.truth.tell(
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
            common.truth.tell(
                now,
                Event::Port {
                    listener: number,
                    open: true,
                },
            );
        }
        tokio::select! {
            _ = end.changed() => break,
            () = common.clock.sleep_until(wake) => (),
            Some(connection) = connections.join_next() => connection?,
            accepted = accept(socket.as_ref()) => {
                let accepted = accepted.map_err(failed(address))?;
                connections.spawn(converse(accepted, number));
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
