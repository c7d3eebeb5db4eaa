//! `check`: tests every connection and folder once, and says how to mend what fails.

use std::{io, path::Path, process::Command};

use super::{
    check_services, deliver,
    exit::{Exit, Failure},
    finding::{Finding, FindingState, fail, failed, ok, warn},
    global::Global,
    output, service,
    setup::{self, Setup},
    status,
};
use crate::{
    config::settings::{Role, Server},
    monitor::plain_text,
    place::{
        decide::Asks,
        open::{NotHere, OfSpool, OfVault, Place, PlaceKind, Unopened},
    },
    segment::spool,
    world::disk::{Disk as _, RealDisk},
};

/// A disk that is full sooner is an alarm of the service, too.
const DAYS_TO_FULL_MIN: f64 = 3.0;

/// Tests every connection and folder once: API, disk, clock, primary, mail, OSF, witness, service.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream check
  twinstream check --json | jq '.[] | select(.state != \"ok\")'

Run it as the service's user: sudo -u twinstream twinstream check. It sends no mail, uploads
nothing, and leaves a running collector's connections alone. If no collector runs, it opens all
connections that this server needs at the same time, and closes them. Exit code 0: nothing failed
(warnings do not count); 6: the only failures are that something cannot be reached; 1: anything
else.")]
pub(crate) struct CheckArgs {
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(global: &Global, args: &CheckArgs) -> Result<Exit, Failure> {
    let setup = setup::load(global)?;
    let this = setup.this_server()?;
    let mut findings = vec![ok(
        "config",
        format!("{}: this is server {}", setup.path.display(), this.id),
    )];
    findings.extend(root());
    findings.extend(folders(&setup, this));
    findings.extend(disk(&setup));
    findings.extend(left_behind(&setup, this));
    let proxies = match check_services::proxy(&setup, this) {
        Ok((proxies, through)) => {
            findings.extend(through);
            Some(proxies)
        }
        Err(finding) => {
            findings.push(finding);
            None
        }
    };
    // without knowing the way nothing is asked
    findings.extend(
        proxies
            .iter()
            .filter(|_| !this.is_merger())
            .flat_map(|proxies| setup.platform().check(&setup, proxies)),
    );
    findings.extend(check_services::primary(&setup, this));
    findings.extend(check_services::mail(&setup));
    findings.extend(proxies.iter().flat_map(|proxies| {
        let osf = check_services::osf(&setup, this, proxies);
        osf.into_iter()
            .chain(check_services::witness(&setup, this, proxies))
    }));
    findings.push(installed());
    if args.json {
        output::print_json(&findings)?;
    } else {
        output::print(&as_text(&findings))?;
    }
    let mut fails = findings
        .iter()
        .filter(|finding| finding.state == FindingState::Fail);
    Ok(match fails.next() {
        None => Exit::Done,
        Some(first) if first.unreachable && fails.all(|finding| finding.unreachable) => {
            Exit::Unreachable
        }
        Some(_) => Exit::Failed,
    })
}

fn as_text(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let state = match finding.state {
            FindingState::Ok => "ok",
            FindingState::Warn => "warn",
            FindingState::Fail => "fail",
        };
        let hint = finding.hint.as_deref().filter(|hint| !hint.is_empty());
        let hint = hint.map_or_else(String::new, |hint| {
            format!("                  hint: {hint}\n")
        });
        format!("{state:<5} {:<11} {}\n{hint}", finding.check, finding.what)
    };
    findings.iter().map(line).collect()
}

/// What opens to root may be closed to the service.
fn root() -> Option<Finding> {
    let hint = "sudo -u twinstream twinstream check";
    let is_root = rustix::process::geteuid().is_root();
    is_root.then(|| {
        warn(
            "user",
            "you are root, but the service runs as another user",
            hint,
        )
    })
}

/// Each folder is written to, and left as it was; one that is not there is not made, since this may be
/// another user than the service's. A secondary has no vault.
fn folders(setup: &Setup, this: &Server) -> Vec<Finding> {
    let settings = &setup.settings;
    let mut found: Vec<Finding> = writable(&settings.data_dir, "").into_iter().collect();
    let spool = setup
        .opener()
        .spool::<OfSpool>(&settings.spool_dir, Asks::Look);
    found.extend(place(&settings.spool_dir, spool));
    if this.role == Role::Secondary {
        return found;
    }
    let vault = setup
        .opener()
        .open::<OfVault>(&settings.vault_dir, Asks::Look, &|_| Ok(()));
    found.extend(place(&settings.vault_dir, vault));
    found
}

/// What lies in the spool of this machine and is not delivered, since it has another id now.
fn left_behind(setup: &Setup, this: &Server) -> Vec<Finding> {
    let opened = setup
        .opener()
        .spool::<OfSpool>(&setup.settings.spool_dir, Asks::Look);
    // one that is away is a finding already
    let (Ok(spool), Some(_)) = (opened, deliver::target_of(this)) else {
        return Vec::new();
    };
    match spool::left_behind(&RealDisk, &spool, &this.id) {
        Ok(left) => left
            .into_iter()
            .map(|(server, count)| {
                let (what, hint) = deliver::of_left_behind(this, &server, count);
                warn("spool", what, hint)
            })
            .collect(),
        Err(why) => vec![fail(
            "spool",
            format!("it cannot be listed: {why}"),
            "check permissions and disk",
        )],
    }
}

/// Checks whether a place is the one that this server has worked with.
fn place<K: PlaceKind>(folder: &Unopened, opened: Result<Place<K>, NotHere>) -> Option<Finding> {
    match opened {
        Ok(place) => {
            let id = place.id();
            let is = id.map_or_else(String::new, |id| format!(", it is the {} {id}", K::WORD));
            writable(folder.name(), &is)
        }
        Err(why) => Some(failed("folder", Failure::place(&why))),
    }
}

fn writable(folder: &Path, is: &str) -> Option<Finding> {
    let hint = "make the service's user its owner, and run check as that user";
    let shown = folder.display();
    let there = folder.ancestors().find(|path| path.is_dir())?;
    Some(match try_writing(there) {
        Ok(()) if there == folder => ok("folder", format!("{shown} can be written{is}")),
        Ok(()) => ok("folder", format!("{shown} will be made")),
        Err(why) => fail(
            "folder",
            format!("{shown} cannot be written: {}: {why}", there.display()),
            hint,
        ),
    })
}

fn try_writing(folder: &Path) -> io::Result<()> {
    let probe = folder.join(format!(".twinstream-check-{}", std::process::id()));
    let mut file = RealDisk.create(&probe)?;
    let written = file
        .write_all(b"twinstream check\n")
        .and_then(|()| file.sync());
    RealDisk.remove(&probe)?;
    written
}

fn disk(setup: &Setup) -> Vec<Finding> {
    let settings = &setup.settings;
    let existing = settings
        .spool_dir
        .name()
        .ancestors()
        .find(|path| path.is_dir());
    let free = match RealDisk.free(existing.unwrap_or(Path::new("/"))) {
        Ok(free) => free,
        Err(why) => {
            return vec![fail(
                "disk",
                format!("the free space is unknown: {why}"),
                "",
            )];
        }
    };
    if RealDisk.has_no_inode(existing.unwrap_or(Path::new("/"))) {
        return vec![fail(
            "disk",
            "no more files can be made: all inodes are in use",
            "remove many small files (`df -i` counts inodes); merging and receiving stop until then",
        )];
    }
    let shown = format!("{} free", output::bytes(free));
    if free < settings.merge.keep_free {
        let what = format!(
            "{shown}, less than merge.keep_free ({})",
            output::bytes(settings.merge.keep_free)
        );
        return vec![fail(
            "disk",
            what,
            "free space, or lower merge.keep_free; merging and receiving stop below it",
        )];
    }
    let runway = status::monitor(setup)
        .picture()
        .ok()
        .and_then(|picture| picture.runway.clone());
    vec![match runway.and_then(|runway| runway.days) {
        Some(days) if days < DAYS_TO_FULL_MIN => warn(
            "disk",
            format!("{shown}, which will last {days:.1} days"),
            "free space, or shorten merge.keep_raw",
        ),
        Some(days) => ok(
            "disk",
            format!("{shown}, which will last {}", plain_text::of_days(days)),
        ),
        None => ok(
            "disk",
            format!("{shown}; how long that will last is known after some days of collecting"),
        ),
    }]
}

/// Whether systemd will start it with the machine.
fn installed() -> Finding {
    let system = [
        service::SYSTEM_UNITS,
        "/lib/systemd/system",
        "/usr/lib/systemd/system",
    ];
    let users = service::user_units();
    let system = system
        .iter()
        .map(|folder| Path::new(folder).join(service::UNIT))
        .find(|path| path.exists());
    let users = users
        .map(|folder| folder.join(service::UNIT))
        .filter(|path| path.exists());
    let (path, ctl) = match (system, users) {
        (Some(path), _) => (path, Vec::new()),
        (None, Some(path)) => (path, vec!["--user"]),
        (None, None) => {
            return warn(
                "service",
                "no unit is installed",
                "twinstream service install",
            );
        }
    };
    let said = Command::new("systemctl")
        .args(&ctl)
        .args(["is-enabled", service::UNIT])
        .output();
    let shown = path.display();
    match said {
        Ok(said) if said.status.success() => ok("service", format!("{shown} is enabled")),
        Ok(said) => {
            let state = String::from_utf8_lossy(&said.stdout).trim().to_owned();
            let state = if state.is_empty() {
                "not enabled".to_owned()
            } else {
                state
            };
            let hint = [
                &["systemctl"],
                ctl.as_slice(),
                &["enable", "--now", "twinstream"],
            ]
            .concat()
            .join(" ");
            warn("service", format!("{shown} is there, but {state}"), hint)
        }
        Err(why) => warn(
            "service",
            format!("{shown} is installed, but systemctl cannot be run: {why}"),
            "is systemd this machine's init?",
        ),
    }
}
