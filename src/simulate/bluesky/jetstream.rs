//! Instances of Jetstream on their sockets, one for each port.

use std::{
    future::Future,
    sync::{Arc, Mutex},
};

use tokio::net::TcpListener;

use super::{
    happened::Breadth,
    instance::Feed,
    shared::Shared,
    socket::converse,
    world::{World, instant},
};
use crate::{
    period::UtcMs,
    simulate::{
        fault::Fault,
        ports::{self, ServeError},
        schedule::Schedule,
        truth::{Event, Truth},
    },
    world::clock::Clock,
};

/// What the instances do.
#[derive(Debug)]
pub struct JetstreamOptions {
    /// What happens, and the seed of every other choice.
    pub world: World,
    /// The instant that the times of faults count from.
    pub start: UtcMs,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// How far back cursors reach, in milliseconds.
    pub window_ms: i64,
    /// With what frames are compressed for those who ask for it; absent: for nobody.
    pub dictionary: Option<Vec<u8>>,
    /// Where it is written down.
    pub truth: Truth,
}

/// Serves until `stop`.
pub async fn serve(
    listeners: Vec<TcpListener>,
    options: JetstreamOptions,
    clock: Clock,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let (start, seed, instances) = (options.start, options.world.seed, listeners.len());
    let schedule = Arc::new(Schedule::new(options.faults, seed, start));
    let feed = Feed::new(options.world, Arc::clone(&schedule));
    let ports = Arc::new(ports::Common::new(
        clock,
        schedule,
        options.truth,
        seed,
        instances,
    ));
    let shared = Arc::new(Shared {
        ports: Arc::clone(&ports),
        dictionary: options.dictionary,
        feed: Mutex::new(feed),
        window_ms: options.window_ms,
    });
    let of_connections = Arc::clone(&shared);
    let converse = move |socket, listener| converse(socket, listener, Arc::clone(&of_connections));
    let stop = async {
        let mut census = Census {
            shared: &shared,
            instances,
            second: start.second(),
        };
        tokio::select! {
            () = stop => (),
            never = census.run() => match never {},
        }
        census.tell();
    };
    ports::serve(listeners, ports, start, converse, stop).await
}

/// Tells what there is, whether or not anybody gets it.
struct Census<'a> {
    shared: &'a Shared,
    instances: usize,
    /// The first second that is not in the log.
    second: i64,
}

enum Never {}

impl Census<'_> {
    async fn run(&mut self) -> Never {
        let ports = &self.shared.ports;
        loop {
            self.tell();
            ports
                .clock
                .sleep_until(UtcMs((self.second + 1) * 1_000))
                .await;
        }
    }

    /// Tells of all seconds that are over.
    fn tell(&mut self) {
        let ports = &self.shared.ports;
        if !ports.truth.is_kept() {
            return;
        }
        let now = ports.clock.now();
        while self.second < now.second() {
            let mut feed = self.shared.feed();
            let happened = feed.happened(self.second, Breadth::Posts);
            for event in happened.iter() {
                let time_us: Vec<Option<i64>> = (1..=self.instances)
                    .map(|instance| feed.time_us(instance, event))
                    .collect();
                let told = Event::Exists {
                    key: &event.key(),
                    what: &event.what,
                    time: instant(event.made_us),
                    time_us: &time_us,
                };
                ports.truth.tell(now, told);
            }
            self.second += 1;
        }
    }
}
