//! `collect`: collects the stream until it is told to stop.

use std::sync::Arc;

use super::{
    exit::{Exit, Failure},
    global::Global,
    setup::{self, Setup},
};
use crate::{
    collect::{CollectError, Collector},
    place::decide::Asks,
    world::{
        disk::{Disk, RealDisk},
        lock::{Lock, LockError},
    },
};

const EXAMPLE: &str = "\
Example:
  twinstream collect --config /etc/twinstream/twinstream.toml

Each received line is written to <spool>/<server>/<day>/<hour>/ at once, and is durable a second
later. The collector reconnects by itself, resumes by itself after a full disk, and recovers at its
next start what a crash left behind. On SIGTERM or Ctrl-C it seals what it has and exits with 0; on
a second one it ends at once.";

#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLE)]
pub(crate) struct CollectArgs {}

pub(crate) fn run(global: &Global, _args: &CollectArgs) -> Result<Exit, Failure> {
    let setup = setup::load(global)?;
    let (collector, _lock) = prepare(&setup)?;
    // the service waits for a disk that is away, and raises an alarm; by itself, the collector would seem to work
    setup.spool(Asks::Make)?;
    until_told(collector)
}

/// Everything that collecting needs; the lock is held as long as it lives.
pub(crate) fn prepare(setup: &Setup) -> Result<(Collector, Lock), Failure> {
    let server = setup.this_server()?;
    if server.is_merger() {
        let what = format!("server {} is a merger: it collects nothing", server.id);
        return Err(Failure::new(Exit::Configuration, what)
            .hint("`twinstream run` merges there by the hour (docs/scale.md)"));
    }
    let settings = &setup.settings;
    let disk = RealDisk;
    let data_dir = &settings.data_dir;
    disk.make_folder(data_dir).map_err(|error| {
        let what = format!("cannot make the folder {}: {error}", data_dir.display());
        Failure::new(Exit::Failed, what)
    })?;
    let lock = match Lock::take(&settings.data_dir, Lock::COLLECT, setup.clock.now()) {
        Ok(lock) => lock,
        Err(locked @ LockError::Taken { .. }) => {
            return Err(Failure::new(Exit::Locked, locked.to_string()));
        }
        Err(error) => return Err(error.into()),
    };
    let collector = Collector {
        spool: {
            let setup = setup.clone();
            Box::new(move || setup.opener().spool(&setup.settings.spool_dir, Asks::Make))
        },
        data_dir: settings.data_dir.clone(),
        server: server.id.clone(),
        wires: setup.wires(server)?,
        endpoints: setup.settings.endpoints(),
        proxies: setup::proxies()?,
        clock: setup.clock.clone(),
        disk: Arc::new(disk),
        progress: Arc::default(),
    };
    Ok((collector, lock))
}

/// Collects until a signal comes.
pub(crate) fn until_told(collector: Collector) -> Result<Exit, Failure> {
    match collector.run() {
        Ok(()) => Ok(Exit::Done),
        Err(error @ CollectError::Api(_)) => {
            Err(Failure::new(Exit::Configuration, error.to_string()))
        }
        Err(CollectError::Locked(why)) => Err(Failure::lock(why)),
        Err(error) => Err(error.into()),
    }
}
