//! What most commands need before they start: the log, the settings, the clock, the token.

use std::{
    io,
    path::{Path, PathBuf},
};

use tracing_subscriber::fmt::{format::Writer, time::FormatTime};

use super::{
    exit::{Exit, Failure},
    global::{Global, LogForm},
    stream,
};
use crate::{
    alarm::AlarmKind,
    config::{
        address,
        file::{self, Problem, Written},
        home,
        proxy::Proxies,
        resolve::{self, ThisMachine},
        secrets::{self, SecretError},
        settings::{Mail, Secret, Server, Settings},
    },
    place::{
        decide::Asks,
        id::PlaceId,
        open::{NotHere, Opener, Spool, Target, Unopened, Vault},
    },
    source::Stream,
    vault::identity,
    world::{clock::Clock, disk::RealDisk, error_at::placed, lock::Lock, users_file},
};

/// Where a configuration is looked for when none is named.
const SEARCHED: [&str; 2] = ["twinstream.toml", "/etc/twinstream/twinstream.toml"];

/// A configuration has some kilobytes; a file beyond this is not one.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// The environment variable that goes before the token's file.
pub(crate) const TOKEN_VARIABLE: &str = "TWINSTREAM_X_BEARER_TOKEN";

/// What a stage's command has at hand.
#[derive(Clone)]
pub(crate) struct Setup {
    /// The configuration file.
    pub(crate) path: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    /// Whether another place is accepted on purpose.
    pub(crate) adopt: bool,
}

/// A configuration file as it was found.
pub(crate) struct Loaded {
    pub(crate) path: PathBuf,
    pub(crate) written: Written,
    pub(crate) settings: Settings,
}

/// Reads the configuration and makes the clock.
pub(crate) fn load(global: &Global) -> Result<Setup, Failure> {
    let Loaded { path, settings, .. } = load_but_mail(global)?;
    let endpoints = settings.endpoints();
    let far = endpoints.iter().find(|url| !address::is_loopback(url));
    if let Some(far) = far.filter(|_| global.clock.is_some()) {
        let what = format!("--clock is refused: {far} is not on this machine");
        let hint = settings.source.how_to_simulate();
        return Err(Failure::new(Exit::Configuration, what).hint(hint));
    }
    Ok(Setup {
        path,
        settings,
        clock: clock(global),
        adopt: global.adopt,
    })
}

/// The clock that this process is to go by.
pub(crate) fn clock(global: &Global) -> Clock {
    global.clock.map_or_else(Clock::system, Clock::simulated)
}

/// The configuration, if nothing in it is wrong, `[mail]` included.
pub(crate) fn load_file(global: &Global) -> Result<Loaded, Failure> {
    let loaded = load_but_mail(global)?;
    mail(&loaded.path, &loaded.settings)?;
    Ok(loaded)
}

/// `[mail]`, if there is one and nothing is wrong with it.
pub(crate) fn mail<'a>(path: &Path, settings: &'a Settings) -> Result<Option<&'a Mail>, Failure> {
    match &settings.mail {
        None => Ok(None),
        Some(Ok(mail)) => Ok(Some(mail)),
        Some(Err(problems)) => Err(wrong(path, problems)),
    }
}

/// Finds, reads and proves the configuration. What is wrong with `[mail]` stops nothing but mail.
fn load_but_mail(global: &Global) -> Result<Loaded, Failure> {
    let path = find(global)?;
    let text = users_file::read_text(&path, CONFIG_BYTES_MAX).map_err(|why| {
        let what = format!("cannot read the config: {}", placed(&path, &why));
        let failure = Failure::new(Exit::Configuration, what);
        match why.kind() {
            io::ErrorKind::NotFound => failure.hint("`twinstream init` writes one"),
            io::ErrorKind::IsADirectory => failure.hint("name the file in it"),
            io::ErrorKind::PermissionDenied => {
                failure.hint("run this as the user that the service runs as")
            }
            _ => failure,
        }
    })?;
    let folder = std::path::absolute(&path)?
        .parent()
        .unwrap_or(Path::new("/"))
        .to_owned();
    let host = host();
    let home = home::home();
    let me = ThisMachine {
        asked: global.server.as_deref(),
        host: &host,
        home: home.as_deref(),
    };
    let written = file::read(&text).map_err(|problems| wrong(&path, &problems))?;
    let settings =
        resolve::resolve(&written, &folder, &me).map_err(|problems| wrong(&path, &problems))?;
    Ok(Loaded {
        path,
        written,
        settings,
    })
}

/// This machine's name.
pub(crate) fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

fn find(global: &Global) -> Result<PathBuf, Failure> {
    if let Some(path) = &global.config {
        return Ok(path.clone());
    }
    SEARCHED
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .ok_or_else(|| {
            Failure::new(
                Exit::Configuration,
                format!(
                    "no config: neither ./{} nor {} is there",
                    SEARCHED[0], SEARCHED[1]
                ),
            )
            .hint("name one with --config FILE; `twinstream config default` prints a commented one")
        })
}

/// All problems of a file as one failure, one line each.
fn wrong(path: &Path, problems: &[Problem]) -> Failure {
    let line = |problem: &Problem| {
        let at = problem
            .line
            .map_or_else(String::new, |line| format!("{line}:"));
        let hint = problem
            .hint
            .as_ref()
            .map_or_else(String::new, |hint| format!("\n  hint: {hint}"));
        format!("wrong config: {}:{at} {problem}{hint}", path.display())
    };
    let lines: Vec<String> = problems.iter().map(line).collect();
    Failure::new(Exit::Configuration, lines.join("\n"))
}

/// The proxies that the environment names.
pub(crate) fn proxies() -> Result<Proxies, Failure> {
    Proxies::new(|name| std::env::var(name).ok()).map_err(|why| {
        Failure::new(Exit::Configuration, why.to_string())
            .hint("set it to http://[USER:PASSWORD@]HOST:PORT, or unset it; NO_PROXY lists hosts that need no proxy")
    })
}

impl Setup {
    /// What opens the places of this server.
    pub(crate) fn opener(&self) -> Opener<'_> {
        Opener {
            disk: &RealDisk,
            data_dir: &self.settings.data_dir,
            adopt: self.adopt,
            draw: &PlaceId::draw,
            alone: &|data_dir| Lock::when_free(data_dir, "places").map(Some),
        }
    }

    /// This server's spool.
    pub(crate) fn spool(&self, asks: Asks) -> Result<Spool, Failure> {
        let spool = self.opener().spool(&self.settings.spool_dir, asks);
        spool.map_err(|why| told(&why))
    }

    /// What is collected.
    pub(crate) fn stream(&self) -> Stream {
        stream::of(&self.settings)
    }

    /// The vault.
    pub(crate) fn vault(&self, asks: Asks) -> Result<Vault, Failure> {
        // a copy of one in an object store is made by a merge only, which knows which one it is of
        let asks = match (&self.settings.vault_store, asks) {
            (Some(_), Asks::Make | Asks::MakeInEmpty) => Asks::Use,
            (_, asks) => asks,
        };
        let zone = self.settings.merge.timezone.name();
        let word = self.stream().word;
        let vault = identity::open(&self.opener(), &self.settings.vault_dir, asks, zone, word);
        vault.map_err(|why| told(&why))
    }

    /// The folder that is delivered to.
    pub(crate) fn target(&self, folder: &Unopened, asks: Asks) -> Result<Target, Failure> {
        self.opener().spool(folder, asks).map_err(|why| told(&why))
    }

    /// Refuses on a server that is not the publisher. `doing` is what is the publisher's.
    pub(crate) fn publishes(&self, doing: &str) -> Result<(), Failure> {
        let this = self.this_server()?;
        let publisher = &self.settings.publisher;
        if self.settings.is_publisher(this) {
            return Ok(());
        }
        let (id, role) = (&this.id, this.role.name());
        let what = format!("server {id} is a {role}: {doing} is done by server {publisher}");
        let hint =
            format!("run it on server {publisher}; `publisher` in the configuration names another");
        Err(Failure::new(Exit::Configuration, what).hint(hint))
    }

    /// The server that this process runs on.
    pub(crate) fn this_server(&self) -> Result<&Server, Failure> {
        let servers = &self.settings.servers;
        self.settings.this_one().ok_or_else(|| {
            let known: Vec<String> = servers
                .iter()
                .chain(&self.settings.mergers)
                .map(|server| format!("{} ({})", server.id, server.host))
                .collect();
            let host = host();
            Failure::new(
                Exit::Configuration,
                format!(
                    "cannot tell which server this is: no [[servers]] entry has the host {host:?}"
                ),
            )
            .hint(format!(
                "name it with --server ID; there is {}",
                known.join(", ")
            ))
        })
    }
}

/// The failure of a stage whose place is away.
pub(crate) fn told(why: &NotHere) -> Failure {
    let failure = Failure::place(why);
    if failure.exit == Exit::Unreachable {
        alarm!(AlarmKind::PlaceAway, why.word(), "{why}");
    }
    failure
}

/// The token: from the environment, from a systemd credential, or from its file.
pub(crate) fn bearer_token(settings: &Settings) -> Result<Secret, Failure> {
    if let Ok(text) = std::env::var(TOKEN_VARIABLE) {
        return secrets::from_text(&text).map_err(|why| {
            Failure::new(
                Exit::Configuration,
                format!("cannot use ${TOKEN_VARIABLE}: {why}"),
            )
        });
    }
    let file = Some(settings.x.bearer_token_file.as_path());
    let token = secret("the token", "x-bearer-token", file)?;
    token.ok_or_else(|| Failure::new(Exit::Configuration, "there is no token"))
}

/// A secret: from the systemd credential of that name, or from its file, if there is one.
pub(crate) fn secret(
    what: &str,
    credential: &str,
    file: Option<&Path>,
) -> Result<Option<Secret>, Failure> {
    let word = |bytes: &[u8]| secrets::from_text(&String::from_utf8_lossy(bytes));
    self::credential(credential, file)
        .map(|path| secret_file(what, &path, word))
        .transpose()
}

/// Where a secret is: a systemd credential goes before its file.
fn credential(name: &str, file: Option<&Path>) -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY")
        .map(|folder| PathBuf::from(folder).join(name))
        .filter(|path| path.exists())
        .or_else(|| file.map(Path::to_owned))
}

/// The password for the mail server, from a systemd credential or from its file.
pub(crate) fn mail_password(file: Option<&Path>) -> Result<Option<Secret>, Failure> {
    let what = "the mail password";
    credential("mail-password", file)
        .map(|path| secret_file(what, &path, secrets::first_line))
        .transpose()
}

/// The access key for the object store, id and secret, from a systemd credential or from its file.
pub(crate) fn access_key(file: Option<&Path>) -> Result<Option<(Secret, Secret)>, Failure> {
    let what = "the access key";
    credential("s3-access-key", file)
        .map(|path| secret_file(what, &path, secrets::two_lines))
        .transpose()
}

fn secret_file<T>(
    what: &str,
    path: &Path,
    take: impl FnOnce(&[u8]) -> Result<T, SecretError>,
) -> Result<T, Failure> {
    let shown = path.display();
    let read = users_file::read_secret(path, secrets::SECRET_BYTES_MAX, secrets::check_mode);
    read.and_then(|bytes| take(&bytes)).map_err(|why| {
        let (why, hint) = match why {
            SecretError::File(why) => (
                why,
                format!("put {what} there, where others cannot read it (mode 600)"),
            ),
            SecretError::Open { .. } => (format!("{shown}: {why}"), format!("chmod 600 {shown}")),
            SecretError::Empty | SecretError::NotOneWord | SecretError::NotTwoLines => (
                format!("{shown}: {why}"),
                format!("put {what}, and nothing else, into that file"),
            ),
        };
        Failure::new(Exit::Configuration, format!("cannot use {what}: {why}")).hint(hint)
    })
}

/// Log lines show the time that the process goes by.
struct LogTime(Clock);

impl FormatTime for LogTime {
    fn format_time(&self, to: &mut Writer<'_>) -> std::fmt::Result {
        write!(to, "{}", self.0.now())
    }
}

/// Sends log lines to standard error in the form asked for.
pub(crate) fn start_log(global: &Global) {
    use std::io::IsTerminal as _;
    use tracing::Level;
    let level = match (global.quiet, global.verbose) {
        (true, _) => Level::WARN,
        (_, true) => Level::DEBUG,
        _ => Level::INFO,
    };
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(colours)
        .with_timer(LogTime(clock(global)));
    match global.log {
        LogForm::Text => log.init(),
        LogForm::Json => log.json().flatten_event(true).init(),
    }
}
