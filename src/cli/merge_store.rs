//! `merge` from a spool and into a vault that lie in an object store: one of any number of machines that do so.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{
    exit::{Exit, Failure},
    merge::{self, Hook, MergeArgs},
    progress,
    setup::Setup,
    store,
};
use crate::{
    alarm::Kind,
    config::settings::{Role, Server},
    merge::{
        deletions::Honour,
        outcome::Outcome,
        run::{Job, Step},
        unit::UNIT_BYTES,
    },
    period::Hour,
    place::{
        decide::Asks,
        door::{Door, Spool},
        s3::{address::Address, store::S3},
        store::Store as _,
    },
    text::plural,
    vault::in_store::{InStore, InStoreError},
    world::{
        disk::{Disk as _, RealDisk},
        lock::Lock,
    },
};

/// Merges what lies in the spool in the store, commits it to the vault in the store, and brings the copy here up to date.
pub(super) fn run(
    setup: &Setup,
    args: &MergeArgs,
    [spool, vault]: [&Address; 2],
) -> Result<Exit, Failure> {
    if args.dry_run {
        let what = "--dry-run is not possible with a vault in an object store";
        return Err(Failure::new(Exit::Usage, what)
            .hint("what is due there is known only when it was fetched"));
    }
    let settings = &setup.settings;
    RealDisk.make_folder(&settings.data_dir)?;
    let lock = Lock::take(&settings.data_dir, "merge", setup.clock.now());
    let _lock = lock.map_err(Failure::lock)?;
    let there = store::trusted(setup, vault)?;
    let copy = store::vault_copy(setup, &there)?;
    let draw = || {
        let mut bits = [0; 8];
        getrandom::fill(&mut bits).map_err(std::io::Error::other)?;
        Ok(u64::from_ne_bytes(bits))
    };
    let vault = InStore::new(&there, &RealDisk, &copy, &draw).map_err(|why| failure(&why))?;
    // before the spool is looked at: what a revision was made of is there then
    vault.follow(&|_| true).map_err(|why| failure(&why))?;
    let folder = folder(&settings.data_dir);
    let own = own_spool(setup, &folder)?;
    let fetched = merge::fetch(setup, &own, spool)?;
    let received = merge::receive(setup, &own);
    let asked: BTreeSet<Hour> = args.hours.iter().copied().collect();
    let servers = collectors(settings.servers.iter());
    let job = Job {
        disk: &RealDisk,
        data_dir: &folder,
        spool: &own,
        vault: &copy,
        commits: &vault,
        stream: setup.stream(),
        settings: &settings.merge,
        servers: &servers,
        honour: Honour::Never,
        asked: &asked,
        share: args.share,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        unit_bytes: UNIT_BYTES,
        now: setup.clock.now(),
    };
    let bar = progress::bar(0, "hours merged");
    let mut tell = |step: Step<'_>| match step {
        Step::Stock(..) => (),
        Step::Hours(all) => bar.set_length(all as u64),
        Step::Hour(_) => bar.inc(1),
    };
    let outcome = job.run(&mut tell).map_err(merge::failure)?;
    bar.finish_and_clear();
    vault.tell_first_hour().map_err(|why| failure(&why))?;
    vault.follow(&|_| true).map_err(|why| failure(&why))?;
    let mut hook = Hook {
        command: &settings.after_hour,
        vault: &copy,
        hangs: false,
    };
    for committed in &outcome.committed {
        hook.after(committed.hour);
    }
    tell_of_others(&outcome, &there);
    let exit = merge::tell_outcome(&outcome, &asked, args.json)?;
    let is_failed = !received.failed.is_empty() || 0 < fetched.failed;
    Ok(match exit {
        Exit::Done | Exit::NothingToDo | Exit::Incomplete if is_failed => Exit::Failed,
        Exit::Done | Exit::NothingToDo if !received.refused.is_empty() => Exit::Incomplete,
        exit => exit,
    })
}

/// What others have done meanwhile, and whether the store has ceased to answer.
fn tell_of_others(outcome: &Outcome, there: &S3) {
    if !outcome.elsewhere.is_empty() {
        let hours = plural(outcome.elsewhere.len() as u64, "hour", "hours");
        tracing::info!("{hours} were committed by other machines meanwhile");
    }
    if outcome.away {
        let what = "it has ceased to answer; the next merge goes on where this one ended";
        alarm!(Kind::PlaceAway, "object store", "{}: {what}", there.name());
    }
}

/// What a machine needs for merging: the raw data that it has fetched, its index, scratch.
pub(super) fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("merger")
}

/// The spool into which is fetched what is merged. That of this server's collector is none: what it has not delivered is
/// nowhere else yet, and no other machine could merge the hour after it.
fn own_spool(setup: &Setup, folder: &Path) -> Result<Spool, Failure> {
    let door = Door {
        data_dir: folder,
        ..setup.door()
    };
    let spool = door.spool(&folder.join("spool").into(), Asks::Make);
    spool.map_err(|why| super::setup::told(&why))
}

/// Of nobody it is known that all has come: each delivers to the store.
fn collectors<'s>(servers: impl Iterator<Item = &'s Server>) -> Vec<Server> {
    let as_secondary = |server: &Server| Server {
        role: Role::Secondary,
        ..server.clone()
    };
    servers.map(as_secondary).collect()
}

/// What becomes of a stage that cannot work with the vault in the store.
pub(super) fn failure(why: &InStoreError) -> Failure {
    match why {
        InStoreError::Store(why) => store::told(why),
        InStoreError::Wrong { .. } => Failure::new(Exit::Failed, why.to_string()).hint(
            "nothing was changed; compare it with another machine's copy, or with what was published",
        ),
        _ => Failure::new(Exit::Failed, why.to_string()),
    }
}
