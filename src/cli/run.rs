//! `run`: the service. Collects, and beside that starts the other stages, serves the page, watches. On a machine that only
//! merges it does all but collect.

use std::{
    collections::BTreeSet,
    io,
    net::TcpListener,
    path::PathBuf,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Duration,
};

use super::{
    collect,
    exit::{Exit, Failure},
    global::Global,
    setup::{self, Setup},
    status,
};
use crate::{
    collect::Progress,
    config::settings::{Role, Secret, Settings, Status},
    monitor::{
        http::Page,
        threads::{Mailer, Monitor},
    },
    period::Day,
    place::decide::Asks,
    report::outdated::{self, Outdated},
    schedule::{
        plan::{DueStage, Schedule},
        reported::REPORT_DAYS_MAX,
        service::{self, Service, Systemd, Watched},
        stage::Stage,
    },
    vault::layout,
    world::{
        clock::Clock,
        disk::{self, Disk, RealDisk},
        lock::Lock,
        signals::{self, Asked},
    },
};

/// How long the last mail is waited for, after everything is sealed: not as long as an end may take.
const LAST_MAIL: Duration = Duration::from_secs(1);

/// How often is looked whether a stamp is due: an authority that was away is asked again after this.
const WITNESS_LOOK: Duration = Duration::from_hours(1);

/// How often it is tried again to serve the page.
const PAGE_AGAIN: Duration = Duration::from_secs(2);

const EXAMPLE: &str = "\
Example:
  twinstream run --config /etc/twinstream/twinstream.toml

Each server runs one service. It collects, and starts the other stages on schedule, as separate
processes with lower priority: deliver on a secondary; merge, publish, report and witness on the
primary. Collecting continues even if they fail. You may also run each stage by hand meanwhile. On
a merger, the service does not collect. If the vault is in an object store, the primary delivers,
too, and `publisher` names the machine that publishes, reports and has the ledger stamped.

The page is at http://127.0.0.1:8430/ ([status] listen), with /metrics, /health and /api/status.
On SIGTERM or Ctrl-C it seals what it has and exits with 0; on a second one it ends at once. It
tells systemd when it is ready and, as long as it makes progress, that it is alive (Type=notify,
WatchdogSec=).";

#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLE)]
pub(crate) struct RunArgs {}

pub(crate) fn run(global: &Global, _args: &RunArgs) -> Result<Exit, Failure> {
    if let Some(path) = &global.config
        && path.exists()
        && !path.is_file()
        && !path.is_dir()
    {
        let what = format!(
            "cannot use the config: {} is a pipe, and each stage reads it again",
            path.display()
        );
        return Err(Failure::new(Exit::Configuration, what).hint("put it into a file"));
    }
    let setup = setup::load(global)?;
    if setup.this_server()?.is_merger() {
        return merge_only(global, &setup);
    }
    let (collector, _lock) = collect::prepare(&setup)?;
    test_writing(&setup.settings)?;
    let collecting = Collecting {
        progress: Arc::clone(&collector.progress),
        clock: setup.clock.clone(),
    };
    let beside = Beside::start(global, &setup, Arc::new(collecting))?;
    let ended = collect::until_told(collector);
    beside.end();
    ended
}

/// The service of a machine that collects nothing: the stages, the page and the alarms.
fn merge_only(global: &Global, setup: &Setup) -> Result<Exit, Failure> {
    let data_dir = &setup.settings.data_dir;
    RealDisk.make_folder(data_dir)?;
    let _lock = Lock::take(data_dir, "run", setup.clock.now()).map_err(Failure::lock)?;
    test_writing(&setup.settings)?;
    let told = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut asked = told.block_on(async { Asked::new() })?;
    let merging = Arc::new(Merging::default());
    let beside = Beside::start(global, setup, Arc::clone(&merging) as Arc<dyn Watched>)?;
    told.block_on(asked.next());
    tracing::info!("told to stop: the stages are ended");
    merging.is_stopping.store(true, Ordering::Relaxed);
    thread("signals", move || {
        told.block_on(asked.next());
        signals::end_at_once();
    })?;
    beside.end();
    Ok(Exit::Done)
}

/// What runs beside the collector. Nothing in here is waited for before collecting has ended, and
/// then not for long.
struct Beside {
    end: Arc<AtomicBool>,
    service: thread::JoinHandle<()>,
    /// Tells that the last mail has been tried.
    last_mail: Receiver<()>,
}

impl Beside {
    fn start(global: &Global, setup: &Setup, watched: Arc<dyn Watched>) -> Result<Self, Failure> {
        let settings = &setup.settings;
        let mailer = mailer(setup);
        let service = Service {
            schedule: schedule(setup)?,
            starter: starter(global, setup)?,
            data_dir: settings.data_dir.clone(),
            days: Mutex::new(days(setup.clone())),
            clock: setup.clock.clone(),
            disk: Arc::new(RealDisk),
            collector: Arc::clone(&watched),
            systemd: Systemd::real(),
        };
        let end = Arc::new(AtomicBool::new(false));
        let when_to_end = Arc::clone(&end);
        // this thread lives as long as the process: the kernel ends a child with the thread that
        // started it
        let service = thread("service", move || service.run(&when_to_end))?;
        let monitor = Arc::new(status::monitor(setup));
        let (shown, status) = (Arc::clone(&monitor), settings.status.clone());
        thread("page", move || serve(&shown, &status))?;
        let (tried, last_mail) = mpsc::channel();
        thread("monitor", move || {
            monitor_and_mail(&monitor, mailer, &*watched, &tried);
        })?;
        Ok(Self {
            end,
            service,
            last_mail,
        })
    }

    /// Waits until the children have ended, and a little for the last mail.
    fn end(self) {
        self.end.store(true, Ordering::Relaxed);
        // a thread that panicked has ended too
        drop(self.service.join());
        // what was not sent is sent by the next start
        if self.last_mail.recv_timeout(LAST_MAIL).is_err() {
            tracing::debug!("mails still wait to be sent");
        }
    }
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// The alarms here, the mails in a thread of their own: a mail server may take its time.
fn monitor_and_mail(
    monitor: &Monitor,
    mailer: Option<Mailer>,
    watched: &dyn Watched,
    tried: &Sender<()>,
) {
    let written = AtomicBool::new(false);
    let mails = mailer.is_some();
    thread::scope(|scope| {
        if let Some(mailer) = mailer {
            let (written, tried) = (&written, tried.clone());
            scope.spawn(move || {
                mailer.run(written);
                // it fails only when nobody waits for it
                let _: Result<(), _> = tried.send(());
            });
        }
        monitor.run(mails, &|| watched.is_stopping());
        written.store(true, Ordering::Relaxed);
        if !mails {
            let _: Result<(), _> = tried.send(());
        }
    });
}

/// Serves the page. If its address is taken or its token cannot be read, that is an alarm, and collecting continues.
fn serve(monitor: &Arc<Monitor>, status: &Status) {
    let real = Clock::system();
    loop {
        let served = page(status).and_then(|(listener, token)| {
            let at = listener.local_addr().unwrap_or(status.listen);
            tracing::info!("the page is at http://{at}/");
            monitor.page_is(None);
            let page = Page {
                monitor: Arc::clone(monitor),
                token,
            };
            page.run(listener)
                .map_err(|why| format!("the page is gone: {why}"))
        });
        monitor.page_is(served.err());
        real.block(PAGE_AGAIN);
    }
}

/// The page's address and its token.
fn page(status: &Status) -> Result<(TcpListener, Option<Secret>), String> {
    let file = status.token_file.as_deref();
    let token = setup::secret("the status token", "status-token", file);
    let token = token.map_err(|failure| failure.what)?;
    let listener = Page::listen(status.listen)
        .map_err(|why| format!("cannot serve the page at {}: {why}", status.listen))?;
    Ok((listener, token))
}

/// Who sends mail, if any is to be sent. What is wrong with the configuration of mail, or with the
/// password, is an alarm, and keeps nobody from collecting; the mails wait.
pub(crate) fn mailer(setup: &Setup) -> Option<Mailer> {
    let mail = match setup::mail(&setup.path, &setup.settings) {
        Ok(mail) => Ok(mail?.clone()),
        Err(failure) => Err(failure.what),
    };
    let file = mail.as_ref().ok().and_then(|mail| {
        let file = mail.password_file.clone();
        file.filter(|_| mail.user.is_some())
    });
    Some(Mailer {
        mail,
        password: Box::new(move || {
            setup::mail_password(file.as_deref()).map_err(|failure| failure.what)
        }),
        clock: setup.clock.clone(),
        disk: Arc::new(RealDisk),
        data_dir: setup.settings.data_dir.clone(),
    })
}

/// The collector as the service sees it.
struct Collecting {
    progress: Arc<Progress>,
    clock: Clock,
}

impl Watched for Collecting {
    fn is_ready(&self) -> bool {
        self.progress.has_begun() || self.progress.is_full()
    }

    fn goes_on(&self) -> bool {
        self.progress.goes_on(self.clock.steady())
    }

    fn is_stopping(&self) -> bool {
        self.progress.is_stopping()
    }

    fn words(&self) -> String {
        let words = if self.progress.is_full() {
            "waiting for the disk"
        } else if self.goes_on() {
            "collecting"
        } else {
            "no progress"
        };
        words.to_owned()
    }
}

/// What a machine that only merges lets be known: nothing in it can hang, and whether the stages do their work they say themselves.
#[derive(Default)]
struct Merging {
    is_stopping: AtomicBool,
}

impl Watched for Merging {
    fn is_ready(&self) -> bool {
        true
    }

    fn goes_on(&self) -> bool {
        true
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    fn words(&self) -> String {
        "merging".to_owned()
    }
}

/// A full disk is no reason not to start: the collector waits for room by itself.
fn test_writing(settings: &Settings) -> Result<(), Failure> {
    let path = settings.data_dir.join("write-test");
    let tested = disk::put(&RealDisk, &path, b"twinstream can write here\n")
        .and_then(|()| RealDisk.remove(&path));
    match tested {
        Err(why) if why.kind() == io::ErrorKind::StorageFull => Ok(()),
        Err(why) => {
            let what = format!(
                "cannot write: {}",
                crate::world::error_at::placed(&settings.data_dir, &why)
            );
            let hint = "make the folder writable for the user that this runs as";
            Err(Failure::new(Exit::Failed, what).hint(hint))
        }
        Ok(()) => Ok(()),
    }
}

fn schedule(setup: &Setup) -> Result<Schedule, Failure> {
    let settings = &setup.settings;
    let this = setup.this_server()?;
    let is_publisher = settings.is_publisher(this);
    // if the vault is in an object store, the primary delivers too
    let delivers = match this.role {
        Role::Primary => settings.vault_store.is_some(),
        Role::Secondary => true,
        Role::Merger => false,
    };
    let merges = this.role != Role::Secondary;
    Ok(Schedule {
        deliver_every: delivers.then_some(settings.deliver.every),
        merge: merges.then(|| (settings.merge.timezone.clone(), settings.merge.settle)),
        publish_every: settings
            .publish
            .as_ref()
            .filter(|_| is_publisher)
            .map(|publish| publish.every),
        witness_every: settings
            .witness
            .as_ref()
            .filter(|_| is_publisher)
            .map(|witness| witness.every.min(WITNESS_LOOK)),
        report_at: is_publisher.then_some(settings.report_at),
    })
}

/// Looks at the days of a vault.
fn days(setup: Setup) -> Box<dyn FnMut() -> io::Result<service::Days> + Send> {
    let (mut outdated, mut committed) = (Outdated::default(), BTreeSet::new());
    Box::new(move || {
        let vault = setup.vault(Asks::Look);
        let vault = vault.map_err(|away| io::Error::other(away.what))?;
        // a report that finds nothing committed yet would be the day's last
        let now = setup.clock.now();
        let today = setup.settings.merge.timezone.hour_of(now).day();
        let since = Day(today.0 - REPORT_DAYS_MAX);
        let days = layout::days_committed(&RealDisk, &vault, since, &mut committed)?;
        // `report` keeps them
        let places = (setup.settings.data_dir.as_path(), vault.as_ref());
        let mut notes = outdated::notes(&RealDisk, places, now);
        let late = outdated.look(&RealDisk, &vault, &mut notes)?.into_iter();
        Ok((days, late.map(|(day, how)| (day, how.revisions)).collect()))
    })
}

/// How a stage is started: this same program, config and time.
fn starter(global: &Global, setup: &Setup) -> Result<Box<service::Starter>, Failure> {
    let program = std::env::current_exe()?;
    let config: PathBuf = std::path::absolute(&setup.path)?;
    let server = setup.this_server()?.id.clone();
    let (clock, verbose) = (setup.clock.clone(), global.verbose);
    let mails = setup.settings.mail.is_some();
    Ok(Box::new(move |due: DueStage| {
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
                // remade certificates are mentioned in the next regular mail
                command.args((mails && !due.renews).then_some("--mail"));
            }
            Stage::Deliver | Stage::Merge | Stage::Publish | Stage::Witness => (),
        }
        command
    }))
}
