//! `merge` with spool and vault in an object store, on one of any number of machines.

use std::{cell::Cell, collections::BTreeSet, path::Path};

use super::{
    attempts,
    exit::{Exit, Failure},
    merging::{self, Hook},
    progress,
    setup::Setup,
    store,
};
use crate::{
    alarm::AlarmKind,
    config::settings::{Role, Server},
    merge::{
        job::{MergeError, MergeJob, Step},
        outcome::MergeOutcome,
        preview::Plan,
        unfetched::StaysOut,
    },
    period::Hour,
    place::{
        decide::Asks,
        open::{Opener, Spool, Vault},
        s3::address::Address,
        store::Timed,
    },
    segment::name::SegmentName,
    share::Share,
    text::plural,
    vault::{
        commit::Here,
        commit_error::InStoreError,
        delta::log::{CHECKPOINT_EVERY, DeltaLog},
        in_store::InStore,
        redactions::{Redactions, RedactionsError},
    },
    world::{
        agent,
        disk::{Disk as _, RealDisk},
        lock::Lock,
    },
};

/// What this machine has of the vault and the spool in the store, brought up to date.
pub(super) struct Merger<'a> {
    setup: &'a Setup,
    there: &'a dyn Timed,
    /// The vault.
    pub(super) vault: &'a InStore<'a>,
    copy: &'a Vault,
    folder: &'a Path,
    /// Whether something that was delivered could not be used.
    failed: bool,
    refused: bool,
    /// Whether the Delta Lake log cannot go on.
    log_stops: Cell<bool>,
}

impl Merger<'_> {
    /// Brings the copy to what was committed, by this machine and others.
    pub(super) fn follow(&self) -> Result<(), Failure> {
        let told = self.vault.tell_first_hour();
        let followed = told.and_then(|()| self.vault.follow(&|_| true));
        followed.map(drop).map_err(|why| store::vault_failure(&why))
    }

    /// The Delta Lake log.
    fn log(&self) -> DeltaLog<'_> {
        DeltaLog {
            vault: self.vault,
            source: self.setup.stream().source,
            folder: self.folder,
            checkpoint_every: CHECKPOINT_EVERY,
        }
    }

    /// What was done with the log. One that cannot go on stops no merge.
    fn of_log(&self, done: Result<(), InStoreError>) -> Result<(), Failure> {
        match done {
            Ok(()) => Ok(()),
            Err(why) if why.is_away() => Err(store::vault_failure(&why)),
            Err(why) => {
                alarm!(
                    AlarmKind::DeltaLog,
                    "",
                    "{why}\n  hint: hours are still committed, but readers of the Delta Lake table do not see them, and miss \
                     each posts.parquet that was deleted on request"
                );
                self.log_stops.set(true);
                Ok(())
            }
        }
    }

    /// Writes the versions that the log lacks.
    fn extend_log(&self) -> Result<(), Failure> {
        self.of_log(self.log().extend())
    }

    /// The hours from which something was taken out, here or meanwhile by another machine: a former revision still
    /// has it.
    pub(super) fn outdated(&self, outcome: &MergeOutcome) -> Result<BTreeSet<Hour>, Failure> {
        let anew = outcome.committed.iter().filter(|one| 1 < one.revision);
        let anew = anew.map(|one| one.hour);
        let anew: BTreeSet<Hour> = anew.chain(outcome.elsewhere.iter().copied()).collect();
        if self.setup.settings.honours_deletions() {
            return Ok(anew);
        }
        let source = self.setup.stream().source;
        let list = Redactions::read(&RealDisk, self.copy, source).map_err(list_failure)?;
        Ok(&anew & &list.hours())
    }

    /// Merges, brings the copy here up to date, and takes away what nobody reads any more.
    pub(super) fn merge(&self, job: &MergeJob<'_>, json: bool) -> Result<Exit, Failure> {
        let bar = progress::bar(0, "hours merged");
        let mut tell = |step: Step<'_>| match step {
            Step::Stock(..) => (),
            Step::Hours(all) => bar.set_length(all as u64),
            Step::Hour(_) => bar.inc(1),
        };
        let mut outcome = job.run(&mut tell).map_err(merging::failure)?;
        bar.finish_and_clear();
        self.follow()?;
        tell_hook(self.setup, self.copy, &outcome);
        tell_of_others(&outcome, self.there);
        let is_daily =
            job.asked.is_empty() && attempts::is_time(self.folder, self.setup.clock.now());
        if is_daily {
            self.of_log(self.log().look())?;
        }
        self.sweep(&self.outdated(&outcome)?)?;
        if is_daily {
            attempts::sweep(self.setup, self.folder, self.vault, &mut outcome)?;
        }
        Ok(match merging::tell_outcome(&outcome, job.asked, json)? {
            Exit::Done | Exit::NothingToDo | Exit::Incomplete if self.failed => Exit::Failed,
            Exit::Done | Exit::NothingToDo if self.refused => Exit::Incomplete,
            exit => self.exit(exit),
        })
    }

    /// How a command ends that would end so: the log may have stopped.
    pub(super) fn exit(&self, exit: Exit) -> Exit {
        match exit {
            Exit::Done | Exit::NothingToDo if self.log_stops.get() => Exit::Incomplete,
            exit => exit,
        }
    }

    /// Brings the Delta Lake log to what the copy has, and takes away what nobody may read of these hours any more.
    pub(super) fn sweep(&self, hours: &BTreeSet<Hour>) -> Result<(), Failure> {
        self.extend_log()?;
        if hours.is_empty() {
            return Ok(());
        }
        let swept = self.vault.sweep(Some(hours), attempts::keep(self.setup));
        let swept = swept.map_err(|why| store::vault_failure(&why))?;
        if swept.problems.is_empty() {
            return Ok(());
        }
        Err(Failure::new(Exit::Failed, swept.problems.join("; "))
            .hint("the next merge tries again; compare these hours with another machine's copy"))
    }
}

/// Brings the copy of the vault up to date, fetches what was delivered, as far as a share needs it, and has `act` work with a
/// job that is asked for no hour.
pub(super) fn with<T>(
    setup: &Setup,
    ([spool, vault], share): ([&Address; 2], Option<Share>),
    act: impl FnOnce(&Merger<'_>, MergeJob<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
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
    let vault = InStore::new(&there, &RealDisk, &copy, &draw);
    let vault = vault.map_err(|why| store::vault_failure(&why))?;
    let vault = vault.at_once(agent::AT_ONCE_MAX);
    // before the spool is fetched, so that it has the inputs of the revisions (but those that were not announced, which are
    // brought); the list after the revisions, so that it has every entry that they were made with
    vault
        .follow(&|_| true)
        .map_err(|why| store::vault_failure(&why))?;
    let source = setup.stream().source;
    vault.follow_list(source).map_err(list_failure)?;
    let folder = store::merger_dir(&settings.data_dir);
    let own = own_spool(setup, &folder, Asks::Make)?;
    let needs = match share {
        Some(share) => {
            let list = Redactions::read(&RealDisk, &copy, source).map_err(list_failure)?;
            Some((share, StaysOut::of(&list, source)))
        }
        None => None,
    };
    let fetch = merging::fetch(setup, (&own, needs), spool)?;
    let received = merging::receive(setup, &own);
    let servers = collectors(settings.servers.iter());
    let bring = |names: &BTreeSet<SegmentName>| fetch.bring((setup, &own), names);
    let job = MergeJob {
        elsewhere: fetch.elsewhere(),
        bring: &bring,
        share,
        ..merging::job(setup, (&folder, &own, &copy), &vault, &servers)
    };
    let merger = Merger {
        setup,
        there: &there,
        vault: &vault,
        copy: &copy,
        folder: &folder,
        failed: !received.failed.is_empty() || 0 < fetch.fetched.failed,
        refused: !received.refused.is_empty(),
        log_stops: Cell::new(false),
    };
    act(&merger, job)
}

/// What a merge would do with what this machine has fetched so far. Nothing is fetched or changed.
pub(super) fn plan(
    setup: &Setup,
    (asked, share): (&BTreeSet<Hour>, Option<Share>),
) -> Result<Plan, Failure> {
    let copy = setup.vault(Asks::Look)?;
    let folder = store::merger_dir(&setup.settings.data_dir);
    let own = own_spool(setup, &folder, Asks::Look)?;
    let servers = collectors(setup.settings.servers.iter());
    let job = MergeJob {
        asked,
        share,
        ..merging::job(setup, (&folder, &own, &copy), &Here, &servers)
    };
    job.plan(&mut |_| ()).map_err(merging::failure)
}

/// Merges the spool in the store, commits to the vault in the store, and brings the copy here up to date.
pub(super) fn run(
    setup: &Setup,
    (asked, share): (&BTreeSet<Hour>, Option<Share>),
    json: bool,
    places: [&Address; 2],
) -> Result<Exit, Failure> {
    with(setup, (places, share), |merger, job| {
        let job = MergeJob { asked, ..job };
        merger.merge(&job, json)
    })
}

/// The failure of a stage that cannot read the list of what was removed on request.
pub(super) fn list_failure(why: RedactionsError) -> Failure {
    match why {
        RedactionsError::InStore(why) => store::vault_failure(&why),
        why => merging::failure(MergeError::Redactions(why)),
    }
}

/// What others have done meanwhile, and whether the store has ceased to answer.
fn tell_of_others(outcome: &MergeOutcome, there: &dyn Timed) {
    if !outcome.elsewhere.is_empty() {
        let hours = plural(outcome.elsewhere.len() as u64, "hour", "hours");
        tracing::info!("{hours} were committed by other machines meanwhile");
    }
    if outcome.away {
        let what = "it has ceased to answer; the next merge resumes where this one stopped";
        alarm!(
            AlarmKind::PlaceAway,
            "object store",
            "{}: {what}",
            there.name()
        );
    }
}

/// `[hook] after_hour`, for the hours that were committed here: they are in the copy now.
fn tell_hook(setup: &Setup, copy: &Path, outcome: &MergeOutcome) {
    let mut hook = Hook {
        command: &setup.settings.after_hour,
        vault: copy,
        hangs: false,
    };
    for committed in &outcome.committed {
        hook.after(committed.hour);
    }
}

/// The spool that segments are fetched into to be merged. The spool of this server's collector does not serve for that:
/// what it has not delivered is nowhere else yet, and no other machine could merge the hour after it.
fn own_spool(setup: &Setup, folder: &Path, asks: Asks) -> Result<Spool, Failure> {
    let opener = Opener {
        data_dir: folder,
        ..setup.opener()
    };
    let spool = opener.spool(&folder.join("spool").into(), asks);
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
