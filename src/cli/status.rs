//! `status`: shows the state, from the files on the disk.
//!
//! It reads files only and starts nothing, so it may be run beside every stage, at any time.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    exit::{Exit, Failure},
    global::Global,
    output,
    setup::{self, Setup},
    store,
    vault_there::VaultThere,
};
use crate::{
    config::{
        address::Target,
        settings::{Forbid, Role, Server},
    },
    deliver::over_ssh,
    monitor::{
        gather::{Acks, Places, RemoteVault},
        plain_text,
        snapshot::Settled,
        threads::{MailFault, Monitor},
    },
    period::Hour,
    place::{decide::Asks, s3::address::Address},
    segment::line::PROGRAM,
    world::disk::RealDisk,
};

/// How often `--watch` looks.
const EVERY: Duration = Duration::from_secs(2);

/// What clears a terminal and goes to its top.
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

/// Prints what the status page shows; reads only files, so it also works while no service runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream status
  twinstream status --watch
  twinstream status --json | jq '.servers[].lag_s'")]
pub(crate) struct StatusArgs {
    /// Print JSON, the same as /api/status
    #[arg(long)]
    json: bool,
    /// Look again every two seconds, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

pub(crate) fn run(global: &Global, args: &StatusArgs) -> Result<Exit, Failure> {
    let setup = setup::load(global)?;
    let monitor = monitor(&setup);
    let failed = Arc::default();
    if let Some(address) = &setup.settings.vault_store
        && setup.vault(Asks::Look)?.id().is_none()
    {
        monitor.ask(Box::new(VaultAsked {
            setup: setup.clone(),
            address: address.clone(),
            there: Mutex::default(),
            failed: Arc::clone(&failed),
        }));
    }
    loop {
        // places that are away are named, and nothing else is said of them
        setup.spool(Asks::Look)?;
        setup.vault(Asks::Look)?;
        let picture = monitor.picture()?;
        if args.json {
            output::print_json(&*picture)?;
        } else {
            let clear = if args.watch && io::stdout().is_terminal() {
                CLEAR
            } else {
                ""
            };
            output::print(&format!("{clear}{}", plain_text::of(&picture)))?;
        }
        if !args.watch {
            // what lies here has been shown
            let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
            return failed.take().map_or(Ok(Exit::Done), Err);
        }
        setup.clock.block(EVERY);
    }
}

/// The vault in an object store: opened when it is asked, and again until that succeeds.
struct VaultAsked {
    setup: Setup,
    address: Address,
    there: Mutex<Option<VaultThere>>,
    /// Why it could not be opened.
    failed: Arc<Mutex<Option<Failure>>>,
}

impl RemoteVault for VaultAsked {
    fn revisions(&self) -> io::Result<BTreeMap<Hour, u64>> {
        let mut there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        if there.is_none() {
            let this = self.setup.settings.this_one();
            let only_collects = this.is_none_or(|this| this.role == Role::Secondary);
            match VaultThere::open(&self.setup, &self.address) {
                Ok(found) => *there = found,
                // the key of a machine that only collects need not read the vault
                Err(why) if only_collects && why.exit == Exit::Configuration => {
                    tracing::warn!("what is committed is not shown: {}", why.what);
                }
                Err(why) => {
                    let what = why.what.clone();
                    let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                    *failed = Some(why);
                    return Err(io::Error::other(what));
                }
            }
        }
        there
            .as_ref()
            .map_or_else(|| Ok(BTreeMap::new()), RemoteVault::revisions)
    }

    fn manifest(&self, hour: Hour, revision: u64) -> io::Result<Vec<u8>> {
        let there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        let there = there.as_ref().ok_or(io::ErrorKind::NotFound)?;
        there.manifest(hour, revision)
    }
}

/// What makes the picture of this set-up.
pub(crate) fn monitor(setup: &Setup) -> Monitor {
    let settings = &setup.settings;
    let this = settings.this_one();
    let acks = this
        .filter(|server| server.role == Role::Secondary)
        .map(|server| {
            let path = match &server.deliver_to {
                Some(Target::Folder(spool)) => Acks::There(spool.clone()),
                other => {
                    let mirror = over_ssh::mirror_dir(&settings.data_dir);
                    let name = match other {
                        Some(Target::Ssh(target)) => target.to_string(),
                        Some(Target::Store(address)) => address.to_string(),
                        _ => String::new(),
                    };
                    Acks::Fetched(mirror.into(), name)
                }
            };
            (server.id.clone(), path)
        });
    let gone = settings.servers.iter();
    let settled = Settled {
        program: PROGRAM,
        this: settings.this.clone(),
        role: this.map(|server| server.role),
        // a secondary merges nothing, and what it says of others concerns itself
        leaves_archive: settings.vault_store.is_some()
            && this
                .is_some_and(|this| this.role != Role::Secondary && !settings.is_publisher(this)),
        delivers_to_store: this
            .is_some_and(|this| matches!(this.deliver_to, Some(Target::Store(_)))),
        zone: settings.merge.timezone.clone(),
        partitions: settings.partitions(),
        has_rules: setup.stream().source.has_rules(setup.stream().word),
        collections: settings.collections(),
        ids_max: settings
            .publish
            .as_ref()
            .and_then(|publish| publish.ids_per_30_days),
        forbidden: settings.forbid.map(Forbid::why),
        until: gone
            .filter_map(|server| Some((server.id.clone(), server.until?)))
            .collect(),
    };
    let places = Places {
        data_dir: settings.data_dir.clone(),
        this: settings.this.clone(),
        spool: settings.spool_dir.clone(),
        merger: settings
            .vault_store
            .as_ref()
            .map(|_| store::merger_dir(&settings.data_dir)),
        vault: settings.vault_dir.clone(),
        legs: settings.servers.iter().flat_map(Server::legs).collect(),
        acks,
        zone: settings.merge.timezone.clone(),
    };
    let mail_fault = mail_fault(setup);
    Monitor::new(
        Arc::new(RealDisk),
        places,
        settled,
        setup.clock.clone(),
        mail_fault,
    )
}

/// What is wrong with `[mail]`, or with the password. It is read each time, since it may have been corrected.
fn mail_fault(setup: &Setup) -> Box<MailFault> {
    match setup::mail(&setup.path, &setup.settings) {
        Ok(None) => Box::new(|| None),
        Err(failure) => Box::new(move || Some(Err(failure.what.clone()))),
        Ok(Some(mail)) => {
            let file = mail.password_file.clone().filter(|_| mail.user.is_some());
            Box::new(move || {
                let password = setup::mail_password(file.as_deref());
                Some(password.map(drop).map_err(|failure| failure.what))
            })
        }
    }
}
