//! `run`: the service. Collects, and beside that starts the other stages, serves the page, watches.

use std::{
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use sd_notify::NotifyState;

use super::{
    args::{Cli, Global},
    collect,
    exit::{Exit, Failure},
    setup::Setup,
};
use crate::{
    collect::Progress,
    config::settings::{Role, Settings},
    supervise::{
        plan::{Due, Rules, Stage},
        service::{self, Service, Watched},
    },
    world::{
        clock::Clock,
        disk::{self, Disk, RealDisk},
    },
};

const EXAMPLE: &str = "\
Example:
  twinstream run --config /etc/twinstream/twinstream.toml

One service per server. It collects, and on schedule starts the other stages as processes of their
own with lower priority: deliver on a secondary; merge, publish and report on the primary. Whatever
becomes of them, it goes on collecting. Each of them may also be run by hand beside it.

The page is at http://127.0.0.1:8430/ ([status] listen), with /metrics, /health and /api/status.
SIGTERM or Ctrl-C: it seals what it has and exits 0; a second one ends it at once. Under systemd it
says when it is ready and, while it makes progress, that it is alive (Type=notify, WatchdogSec=).";

#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLE)]
pub(crate) struct RunArgs {}

pub(crate) fn run(global: &Global, _args: &RunArgs) -> Result<Exit, Failure> {
    let (setup, collector, _lock) = collect::prepare(global)?;
    test_writing(&setup.settings)?;
    let beside = Beside::start(global, &setup, &collector.progress)?;
    service::tell(&[NotifyState::Ready]);
    let ended = collect::until_told(collector);
    beside.end();
    ended
}

/// What runs beside the collector, and ends after it.
struct Beside {
    end: Arc<AtomicBool>,
    service: thread::JoinHandle<()>,
}

impl Beside {
    fn start(global: &Global, setup: &Setup, progress: &Arc<Progress>) -> Result<Self, Failure> {
        let settings = &setup.settings;
        let collector: Arc<dyn Watched> = Arc::new(Collecting {
            progress: Arc::clone(progress),
            clock: setup.clock.clone(),
        });
        let vault = settings.vault_dir.clone();
        let service = Service {
            rules: rules(setup)?,
            starter: starter(global, setup)?,
            data_dir: settings.data_dir.clone(),
            days: Box::new(move || service::days_of(&RealDisk, &vault)),
            clock: setup.clock.clone(),
            disk: Arc::new(RealDisk),
            collector,
        };
        let end = Arc::new(AtomicBool::new(false));
        let when_to_end = Arc::clone(&end);
        // the thread lives as long as the process: the kernel ends a child with the thread that
        // started it
        let service = thread::Builder::new()
            .name("service".to_owned())
            .spawn(move || service.run(&when_to_end))?;
        Ok(Self { end, service })
    }

    /// Waits until the children have ended.
    fn end(self) {
        self.end.store(true, Ordering::Relaxed);
        // a thread that panicked has ended too
        drop(self.service.join());
    }
}

/// The collector as the service sees it.
struct Collecting {
    progress: Arc<Progress>,
    clock: Clock,
}

impl Watched for Collecting {
    fn goes_on(&self) -> bool {
        self.progress.goes_on(self.clock.now())
    }

    fn is_stopping(&self) -> bool {
        self.progress.is_stopping()
    }

    fn words(&self) -> String {
        let words = if self.progress.is_full() {
            "waiting for room on the disk"
        } else if self.goes_on() {
            "collecting"
        } else {
            "no progress"
        };
        words.to_owned()
    }
}

/// A full disk is no reason not to start: the collector waits for room by itself.
fn test_writing(settings: &Settings) -> Result<(), Failure> {
    let path = settings.data_dir.join("write-test");
    let tested = disk::put(&RealDisk, &path, b"twinstream can write here\n")
        .and_then(|()| RealDisk.remove(&path));
    match tested {
        Err(why) if why.kind() == std::io::ErrorKind::StorageFull => Ok(()),
        Err(why) => {
            let what = format!("cannot write to {}: {why}", settings.data_dir.display());
            let hint = "make the folder writable for the user that this runs as";
            Err(Failure::new(Exit::Failed, what).hint(hint))
        }
        Ok(()) => Ok(()),
    }
}

fn rules(setup: &Setup) -> Result<Rules, Failure> {
    let settings = &setup.settings;
    let is_primary = setup.this_server()?.role == Role::Primary;
    Ok(Rules {
        deliver_every: (!is_primary).then_some(settings.deliver.every),
        merge: is_primary.then(|| (settings.merge.timezone.clone(), settings.merge.settle)),
        publish_every: None,
        report_at: (is_primary && has_command(Stage::Report)).then_some(settings.report_at),
    })
}

/// Whether this program has the command of a stage.
fn has_command(stage: Stage) -> bool {
    <Cli as clap::CommandFactory>::command()
        .find_subcommand(stage.name())
        .is_some()
}

/// How a stage is started: this same program, config and time.
fn starter(global: &Global, setup: &Setup) -> Result<Box<service::Starter>, Failure> {
    let program = std::env::current_exe()?;
    let config: PathBuf = std::path::absolute(&setup.path)?;
    let server = setup.this_server()?.id.clone();
    let (clock, verbose) = (setup.clock.clone(), global.verbose);
    let mails = setup.settings.mail.is_some();
    Ok(Box::new(move |due: Due| {
        let mut command = Command::new(&program);
        command.args(["--child-of", &std::process::id().to_string()]);
        command.args(["--log", "json", "--server", server.as_str(), "--config"]);
        command.arg(&config);
        if let Some(time) = clock.to_hand_on() {
            command.args(["--clock", &time.to_string()]);
        }
        if verbose {
            command.arg("--verbose");
        }
        command.arg(due.stage.name());
        match due.stage {
            Stage::Report => {
                command.args(due.day.map(|day| day.to_string()));
                command.args(mails.then_some("--mail"));
            }
            Stage::Deliver | Stage::Merge | Stage::Publish => (),
        }
        command
    }))
}
