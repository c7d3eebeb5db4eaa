//! `service`: prints or installs the systemd unit for this server.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    exit::{Exit, Failure},
    global::Global,
    output,
    setup::{self, Setup},
    unit::{Unit, UnitOwner},
};
use crate::world::disk::{self, Disk as _, RealDisk};

/// The name of the unit.
pub(super) const UNIT: &str = "twinstream.service";

/// Where an administrator's units lie.
pub(super) const SYSTEM_UNITS: &str = "/etc/systemd/system";

/// Prints or installs the systemd unit for this server.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream service print                   the unit of a system service that runs as twinstream
  sudo twinstream service install            installs it, and says what to do next
  twinstream service install --user          as your own user's service, without root
  twinstream service install --dry-run       only say what would be written, and where

The service never runs as root. It reads the secrets as systemd credentials, writes only to the
configured folders, and is restarted whenever it ends or makes no progress for two minutes.")]
pub(crate) struct ServiceArgs {
    #[command(subcommand)]
    command: ServiceCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ServiceCommand {
    /// Prints the unit
    #[command(
        after_help = "Examples:\n  twinstream service print\n  twinstream service print --user"
    )]
    Print(Whose),
    /// Installs the unit
    #[command(after_help = "Examples:\n  sudo twinstream service install\n  \
        twinstream service install --user\n  twinstream service install --dry-run")]
    Install {
        #[command(flatten)]
        whose: Whose,
        /// Say what would be written and where, and write nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Whose {
    /// As a service of your own user instead of a system service
    #[arg(long, conflicts_with = "run_as")]
    user: bool,
    /// The user that a system service runs as
    #[arg(long, value_name = "USER", default_value = "twinstream")]
    run_as: String,
}

pub(crate) fn run(global: &Global, args: &ServiceArgs) -> Result<Exit, Failure> {
    let setup = setup::load(global)?;
    setup.this_server()?;
    match &args.command {
        ServiceCommand::Print(whose) => output::print(&text(global, &setup, whose)?)?,
        ServiceCommand::Install { whose, dry_run } => install(global, &setup, whose, *dry_run)?,
    }
    Ok(Exit::Done)
}

fn text(global: &Global, setup: &Setup, whose: &Whose) -> Result<String, Failure> {
    let program = std::env::current_exe()?;
    let config = std::path::absolute(&setup.path)?;
    let unit = Unit {
        kind: kind(whose)?,
        program: &program,
        config: &config,
        server: global.server.as_deref(),
        settings: &setup.settings,
    };
    for path in [&program, &config] {
        if !whose.user && (path.starts_with("/tmp") || path.starts_with("/var/tmp")) {
            let elsewhere = if path == &program {
                "/usr/local/bin"
            } else {
                "/etc/twinstream"
            };
            tracing::warn!(
                "{} is in a folder that the service does not see (PrivateTmp)\n  hint: copy it elsewhere, for example to {elsewhere}",
                path.display()
            );
        }
        if path
            .to_str()
            .is_none_or(|path| path.chars().any(char::is_control))
        {
            let what = format!("a unit cannot name {}", path.display());
            return Err(Failure::new(Exit::Configuration, what).hint("give it a plain name"));
        }
    }
    Ok(unit.text())
}

/// Never root, under whatever name.
fn kind(whose: &Whose) -> Result<UnitOwner<'_>, Failure> {
    let refused = |what: &str, hint: &str| Err(Failure::new(Exit::Configuration, what).hint(hint));
    if whose.user {
        if rustix::process::geteuid().is_root() {
            return refused(
                "--user would make a service of root, and twinstream never runs as root",
                "run it as an ordinary user, or leave out --user for a system service of the user twinstream",
            );
        }
        return Ok(UnitOwner::User);
    }
    let user = whose.run_as.as_str();
    let is_name = !user.is_empty()
        && !user.starts_with('-')
        && user.len() <= 31
        && user
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if !is_name || user.bytes().all(|b| b.is_ascii_digit()) {
        return refused(
            &format!("{user:?} is not a user's name"),
            "name a system user, for example twinstream",
        );
    }
    if user == "root" || id_of(user) == Some(0) {
        return refused(
            "twinstream never runs as root",
            "make a user for it: useradd --system --create-home --home-dir /var/lib/twinstream --shell /bin/sh twinstream",
        );
    }
    Ok(UnitOwner::System { user })
}

/// The number of a user, if there is one of that name.
fn id_of(user: &str) -> Option<u32> {
    let said = Command::new("id").args(["-u", "--", user]).output().ok()?;
    String::from_utf8(said.stdout).ok()?.trim().parse().ok()
}

fn install(global: &Global, setup: &Setup, whose: &Whose, dry_run: bool) -> Result<(), Failure> {
    let text = text(global, setup, whose)?;
    let folder = folder(whose)?;
    let path = folder.join(UNIT);
    let ctl: &[&str] = if whose.user { &["--user"] } else { &[] };
    let shown = [&["systemctl"], ctl].concat().join(" ");
    if dry_run {
        output::print(&format!("# would be written to {}\n{text}", path.display()))?;
        return output::print(&format!("# then: {shown} daemon-reload\n"));
    }
    if !whose.user && id_of(&whose.run_as).is_none() {
        let what = format!("there is no user {:?}", whose.run_as);
        let hint = format!(
            "make it: useradd --system --create-home --home-dir /var/lib/{0} --shell /bin/sh {0}",
            whose.run_as
        );
        return Err(Failure::new(Exit::Configuration, what).hint(hint));
    }
    RealDisk.make_folder(&folder)?;
    disk::put(&RealDisk, &path, text.as_bytes()).map_err(|why| {
        let what = format!("cannot install the unit: {}: {why}", path.display());
        Failure::new(Exit::Failed, what)
            .hint("a system service is installed as root: sudo twinstream service install")
    })?;
    if !whose.user {
        // systemd and everybody who looks may read it; there is no secret in it
        readable(&path)?;
    }
    let reloaded = Command::new("systemctl")
        .args(ctl)
        .arg("daemon-reload")
        .output();
    let reload = match reloaded {
        Ok(said) if said.status.success() => String::new(),
        _ => format!("  {shown} daemon-reload\n"),
    };
    let linger = if whose.user {
        "  loginctl enable-linger        so that it runs while you are not logged in\n"
    } else {
        ""
    };
    output::print(&format!(
        "installed {}\nnext:\n  twinstream check\n{reload}{linger}  {shown} enable --now twinstream\n  {shown} status twinstream\n",
        path.display()
    ))
}

fn readable(path: &Path) -> Result<(), Failure> {
    let file = std::fs::File::open(path)?;
    rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o644))
        .map_err(std::io::Error::from)?;
    Ok(())
}

fn folder(whose: &Whose) -> Result<PathBuf, Failure> {
    if !whose.user {
        return Ok(PathBuf::from(SYSTEM_UNITS));
    }
    user_units()
        .ok_or_else(|| Failure::new(Exit::Failed, "this user has no home: $HOME is not set"))
}

/// Where a user's own units lie.
pub(super) fn user_units() -> Option<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME").filter(|value| !value.is_empty());
    let config = config
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")))?;
    Some(config.join("systemd/user"))
}
