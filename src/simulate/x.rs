//! The simulated X API on its sockets.

use std::{
    future::Future,
    sync::{Arc, Mutex},
};

use tokio::net::TcpListener;

use super::{
    fault::Fault,
    feed::Feed,
    gate::{Gate, Limits},
    ports::{self, Common, ServeError},
    recipe::Recipe,
    replay::Replay,
    respond::converse,
    schedule::Schedule,
    truth::Truth,
    x_shared::Shared,
};
use crate::{period::UtcMs, world::clock::Clock};

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

/// Serves until `stop`.
pub async fn serve(
    listeners: Vec<TcpListener>,
    options: Options,
    clock: Clock,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let start = options.start;
    let seed = options.recipe.seed;
    let schedule = Arc::new(Schedule::new(options.faults, seed, start));
    let rate = i64::try_from(options.recipe.posts_per_1000s)
        .unwrap_or(i64::MAX)
        .max(1);
    let feed = match options.replay {
        None => Feed::made(options.recipe, Arc::clone(&schedule)),
        Some(replay) => Feed::replayed(replay, rate, Arc::clone(&schedule)),
    };
    let common = Arc::new(Common::new(
        clock,
        schedule,
        options.truth,
        seed,
        listeners.len(),
    ));
    let shared = Arc::new(Shared {
        common: Arc::clone(&common),
        feed: Mutex::new(feed),
        gate: Mutex::new(Gate::new(options.limits, start)),
        gzip: options.gzip,
    });
    let converse = move |socket, listener| converse(socket, listener, Arc::clone(&shared));
    ports::serve(listeners, common, start, converse, stop).await
}
