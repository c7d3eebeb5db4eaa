//! `merge`: merges the given or all ready hours, once.

use std::{collections::BTreeSet, fmt::Write as _, path::Path, time::Duration};

use super::{
    exit::{Exit, Failure},
    global::Global,
    merge_store, output, progress,
    setup::{self, Setup},
    store,
};
use crate::{
    alarm::Kind,
    config::{address::Target, settings::Role},
    deliver::{
        fetch::{self, Fetched},
        receive::{self, Received},
    },
    merge::{
        deletions::Honour,
        outcome::Outcome,
        run::{Job, Plan, RunError, Step},
        unit::UNIT_BYTES,
    },
    period::Hour,
    place::{
        decide::Asks,
        door::{OfStore, Spool, Vault},
        s3::{address::Address, store::S3},
        segments::Elsewhere,
    },
    segment::name::ServerId,
    share::Share,
    text::plural,
    vault::{commit::Here, identity::IdentityError, layout},
    world::{
        disk::{Disk as _, RealDisk},
        hook::{self, HookError},
        lock::Lock,
    },
};

/// How long `after_hour` may take for one hour.
const HOOK_MAX: Duration = Duration::from_mins(10);

/// Merges what all servers collected into the vault, once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream merge                          every hour that is due
  twinstream merge --hour 2026-11-23_14     this hour, now
  twinstream merge --dry-run                only say what would be done
  twinstream merge --share 2/3              the second of three tasks that share the hours

An hour is due when it has settled ([merge] settle), and again when late data has come in: that
makes a new revision. Doing it twice changes nothing. What cannot be used is set aside, never
deleted.

Without --hour it also takes out, once a day, what Bluesky says was deleted ([bluesky]
honour_deletions), and tends raw data: what is merged is compressed, and deleted after [merge]
keep_raw, but only if the hours that it went into are read again and found whole.

Where spool and vault lie in an object store, any number of machines may merge at the same time:
what one has committed no other commits again. --share I/N splits the hours between N tasks that run
at the same time, so that no two do the same work; whether they do changes no result.")]
pub(crate) struct MergeArgs {
    /// Only this hour of the vault's time zone, and without waiting for it to settle (repeatable)
    #[arg(long = "hour", value_name = "YYYY-MM-DD_HH")]
    pub(super) hours: Vec<Hour>,
    /// Every hour that is due: what is done without --hour
    #[arg(long, conflicts_with = "hours")]
    pending: bool,
    /// Only the hours of the I-th of N tasks
    #[arg(long, value_name = "I/N", conflicts_with = "hours")]
    pub(super) share: Option<Share>,
    /// Only say what would be merged
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// What works on the vault needs: that this is the primary, its places, and what a merge is told.
pub(crate) struct Primary {
    pub(crate) setup: Setup,
    pub(crate) spool: Spool,
    pub(crate) vault: Vault,
}

impl Primary {
    /// Refuses on a secondary; `doing` is what is the primary's. `asks` says whether anything is left
    /// behind.
    pub(crate) fn of(setup: Setup, doing: &str, asks: Asks) -> Result<Self, Failure> {
        let this = setup.this_server()?;
        if this.role == Role::Secondary {
            let what = format!(
                "server {} is a secondary: {doing} is the primary's",
                this.id
            );
            return Err(Failure::new(Exit::Configuration, what)
                .hint("run it on the primary; here it is `twinstream deliver`"));
        }
        let (spool, vault) = (setup.spool(asks)?, setup.vault(asks)?);
        Ok(Self {
            setup,
            spool,
            vault,
        })
    }

    /// A merge of these hours at once, or of all that are due.
    pub(crate) fn job<'a>(&'a self, asked: &'a BTreeSet<Hour>) -> Job<'a> {
        let settings = &self.setup.settings;
        Job {
            disk: &RealDisk,
            data_dir: &settings.data_dir,
            spool: &self.spool,
            vault: &self.vault,
            commits: &Here,
            // as long as nobody has looked there
            elsewhere: match settings.spool_store {
                Some(_) => Elsewhere::Away,
                None => Elsewhere::Nowhere,
            },
            stream: self.setup.stream(),
            settings: &settings.merge,
            servers: &settings.servers,
            honour: if self.setup.honours_deletions() {
                Honour::Daily
            } else {
                Honour::Never
            },
            asked,
            share: None,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            unit_bytes: UNIT_BYTES,
            now: self.setup.clock.now(),
        }
    }

    /// Nobody else may merge meanwhile.
    pub(crate) fn lock(&self) -> Result<Lock, Failure> {
        let data_dir = &self.setup.settings.data_dir;
        RealDisk.make_folder(data_dir)?;
        Lock::take(data_dir, "merge", self.setup.clock.now()).map_err(Failure::lock)
    }
}

pub(crate) fn run(global: &Global, args: &MergeArgs) -> Result<Exit, Failure> {
    let setup = setup::load(global)?;
    let stores = (&setup.settings.spool_store, &setup.settings.vault_store);
    if let (Some(spool), Some(vault)) = stores {
        setup.this_server()?;
        return merge_store::run(&setup, args, [spool, vault]);
    }
    let asks = if args.dry_run { Asks::Look } else { Asks::Make };
    let primary = Primary::of(setup, "merging", asks)?;
    let setup = &primary.setup;
    let settings = &setup.settings;
    let asked: BTreeSet<Hour> = args.hours.iter().copied().collect();
    let job = Job {
        share: args.share,
        ..primary.job(&asked)
    };
    let bar = progress::bar(0, "segments read");
    let mut hook = Hook {
        command: &settings.after_hour,
        vault: &primary.vault,
        hangs: false,
    };
    let mut tell = |step: Step<'_>| match step {
        Step::Stock(done, all) => {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        }
        Step::Hours(all) => {
            bar.set_message("hours looked at");
            bar.set_length(all as u64);
            bar.set_position(0);
        }
        Step::Hour(committed) => {
            bar.inc(1);
            if let Some(committed) = committed {
                hook.after(committed.hour);
            }
        }
    };
    if args.dry_run {
        let planned = job.plan(&mut tell).map_err(failure)?;
        bar.finish_and_clear();
        return tell_plan(&planned, args.json);
    }
    let _lock = primary.lock()?;
    let fetched = match &settings.spool_store {
        Some(address) => fetch(setup, &primary.spool, address),
        None => Ok(Fetch::default()),
    };
    let received = receive(setup, &primary.spool);
    let elsewhere = fetched.as_ref().map_or(Elsewhere::Away, Fetch::from);
    let job = Job { elsewhere, ..job };
    let outcome = job.run(&mut tell).map_err(failure)?;
    bar.finish_and_clear();
    for hour in &outcome.finished {
        hook.after(*hour);
    }
    let exit = tell_outcome(&outcome, &asked, args.json)?;
    let is_merged = [Exit::Done, Exit::NothingToDo, Exit::Incomplete].contains(&exit);
    let fetched = match fetched {
        Ok(fetch) => fetch.fetched,
        // what is here was merged, and what is there comes another time
        Err(why) if is_merged => return Err(why),
        Err(_) => return Ok(exit),
    };
    let is_failed = !received.failed.is_empty() || 0 < fetched.failed;
    Ok(match exit {
        _ if is_merged && is_failed => Exit::Failed,
        Exit::Done | Exit::NothingToDo if !received.refused.is_empty() => Exit::Incomplete,
        Exit::NothingToDo if 0 < received.acknowledged => Exit::Done,
        exit => exit,
    })
}

/// `[hook] after_hour`, with the manifest's path. What becomes of it is told and changes nothing.
pub(super) struct Hook<'a> {
    pub(super) command: &'a [String],
    pub(super) vault: &'a Path,
    /// One that was ended for taking too long is not started again by this merge: with many hours due
    /// it would hold them all up.
    pub(super) hangs: bool,
}

impl Hook<'_> {
    pub(super) fn after(&mut self, hour: Hour) {
        let manifest = layout::manifest_path(self.vault, hour);
        if self.hangs {
            tracing::warn!("after_hour was not run for hour {hour}: it took too long before");
        } else if let Err(why) = hook::run(self.command, &manifest, HOOK_MAX) {
            self.hangs = matches!(why, HookError::TooLong(_));
            tracing::warn!(
                "after_hour failed for hour {hour}: {why}\n  hint: the hour is committed all the same; run it by hand: {} {}",
                self.command.join(" "),
                manifest.display()
            );
        }
    }
}

/// What was fetched, and from where, if a spool is there.
#[derive(Default)]
pub(super) struct Fetch {
    pub(super) fetched: Fetched,
    store: Option<S3>,
}

impl Fetch {
    pub(super) fn from(&self) -> Elsewhere<'_> {
        match &self.store {
            Some(store) => Elsewhere::In(store),
            None => Elsewhere::Nowhere,
        }
    }
}

/// Fetches into a spool what servers have delivered to the object store.
pub(super) fn fetch(setup: &Setup, spool: &Spool, address: &Address) -> Result<Fetch, Failure> {
    let settings = &setup.settings;
    let store = store::trusted(setup, address)?;
    let folder = store::mirror_dir(&settings.data_dir);
    let there = store::spool::<OfStore>(setup, &store, &folder, Asks::Use)?;
    let Some(id) = there.id() else {
        tracing::info!("{address} is no spool yet: no other server has delivered to it");
        return Ok(Fetch::default());
    };
    let others = settings.servers.iter();
    let others = others.filter(|one| matches!(one.deliver_to, Some(Target::Store(_))));
    let servers: Vec<ServerId> = others.map(|server| server.id.clone()).collect();
    let job = fetch::Job {
        disk: &RealDisk,
        spool,
        store: &store,
        servers: &servers,
        keep_free: settings.merge.keep_free,
        id,
    };
    let fetched = job.run().map_err(|why| store::told(&why))?;
    if 0 < fetched.segments {
        let segments = plural(fetched.segments, "segment", "segments");
        tracing::info!("fetched {segments} from {address}");
    }
    let store = Some(store);
    Ok(Fetch { fetched, store })
}

/// Reads back and acknowledges what secondaries have delivered over ssh, or was fetched. A failure is told of, and
/// does not stop the merge.
pub(super) fn receive(setup: &Setup, spool: &Spool) -> Received {
    let others = setup.settings.servers.iter();
    let others =
        others.filter(|one| matches!(one.deliver_to, Some(Target::Ssh(_) | Target::Store(_))));
    let servers: Vec<ServerId> = others.map(|server| server.id.clone()).collect();
    let job = receive::Job {
        disk: &RealDisk,
        spool,
        servers: &servers,
        keep_free: setup.settings.merge.keep_free,
        keep_delivered: setup.settings.deliver.keep_delivered,
    };
    let received = job.run(&|| setup.clock.now());
    if let Some(why) = &received.hold {
        alarm!(
            Kind::Disk,
            "",
            "nothing is received from other servers: {why}\n  hint: make room, or lower merge.keep_free"
        );
    }
    if 0 < received.acknowledged {
        let segments = plural(received.acknowledged, "segment", "segments");
        tracing::info!("received and acknowledged {segments}");
    }
    received
}

fn tell_plan(plan: &Plan, json: bool) -> Result<Exit, Failure> {
    if json {
        output::print_json(plan)?;
    } else {
        for hour in &plan.hours {
            let what = if hour.missing.is_empty() {
                format!(
                    "{} of {}, {} of them new",
                    plural(hour.lines, "line", "lines"),
                    plural(hour.segments, "segment", "segments"),
                    hour.new_segments
                )
            } else {
                format!("held back: lacks {}", hour.missing.join(", "))
            };
            output::print(&format!("{}  {what}\n", hour.hour))?;
        }
        for (count, what) in [(plan.compress, "compressed"), (plan.delete, "deleted")] {
            if 0 < count {
                let segments = plural(count, "segment", "segments");
                output::print(&format!("raw data: {segments} would be {what}\n"))?;
            }
        }
    }
    let is_nothing = plan.hours.is_empty() && plan.compress == 0 && plan.delete == 0;
    Ok(if is_nothing {
        Exit::NothingToDo
    } else {
        Exit::Done
    })
}

pub(crate) fn tell_outcome(
    outcome: &Outcome,
    asked: &BTreeSet<Hour>,
    json: bool,
) -> Result<Exit, Failure> {
    if json {
        output::print_json(outcome)?;
    } else {
        output::print(&table(outcome))?;
    }
    if let Some(why) = &outcome.stopped {
        return Err(Failure::new(Exit::Failed, why.clone()).hint(
            "free space, or lower merge.keep_free; the next merge goes on where this one ended",
        ));
    }
    let swept = &outcome.swept;
    let is_swept = 0 < swept.compressed + swept.deleted + swept.attempts;
    if 0 < swept.attempts {
        let attempts = plural(swept.attempts, "attempt", "attempts");
        tracing::info!("{attempts} that nobody reads any more deleted from the vault in the store");
    }
    if 0 < swept.compressed + swept.deleted {
        tracing::info!(
            "raw data: {} compressed, {} deleted",
            plural(swept.compressed, "segment", "segments"),
            swept.deleted
        );
    }
    let is_incomplete = !outcome.unusable.is_empty()
        || !swept.problems.is_empty()
        || outcome.failed.iter().any(|failed| failed.held_back);
    if outcome.failed.iter().any(|failed| !failed.held_back) {
        return Ok(Exit::Failed);
    }
    if is_incomplete {
        return Ok(Exit::Incomplete);
    }
    if 0 < outcome.left {
        let hours = plural(outcome.left, "hour", "hours");
        tracing::info!("{hours} of other shares left to other tasks");
    }
    if outcome.committed.is_empty() && outcome.finished.is_empty() && !is_swept {
        let which = if asked.is_empty() {
            "no hour is due"
        } else {
            "nothing new for what was asked"
        };
        tracing::info!(
            "nothing to merge: {which}; {}",
            plural(
                outcome.waiting,
                "hour waits for its time",
                "hours wait for their time"
            )
        );
        return Ok(Exit::NothingToDo);
    }
    Ok(Exit::Done)
}

/// One line for each committed hour.
fn table(outcome: &Outcome) -> String {
    if outcome.committed.is_empty() {
        return String::new();
    }
    let servers: BTreeSet<&ServerId> = outcome
        .committed
        .iter()
        .flat_map(|hour| hour.servers.keys())
        .collect();
    let mut text = format!("{:<13}  {:>8}  {:>9}", "hour", "revision", "posts");
    let mut line = |args: std::fmt::Arguments<'_>| {
        // writing to a String cannot fail
        let _: std::fmt::Result = text.write_fmt(args);
    };
    for server in &servers {
        line(format_args!("  {:>12}", format!("server {server}")));
    }
    line(format_args!("  {:>10}  {:>8}\n", "duplicates", "rejected"));
    for hour in &outcome.committed {
        line(format_args!(
            "{:<13}  {:>8}  {:>9}",
            hour.hour.to_string(),
            hour.revision,
            hour.posts
        ));
        for server in &servers {
            line(format_args!(
                "  {:>12}",
                hour.servers.get(*server).copied().unwrap_or(0)
            ));
        }
        line(format_args!(
            "  {:>10}  {:>8}\n",
            hour.duplicates, hour.rejected
        ));
    }
    text
}

/// What a merge that could not be done at all ends with.
pub(crate) fn failure(error: RunError) -> Failure {
    match &error {
        RunError::Identity(IdentityError::Differs { what, has, .. }) => {
            let hint = format!(
                "a vault keeps its {what} for good: set it to {has:?} again, or begin another vault with its own data_dir"
            );
            Failure::new(Exit::Configuration, error.to_string()).hint(hint)
        }
        RunError::Identity(IdentityError::UnknownFormat { .. }) => {
            Failure::new(Exit::Configuration, error.to_string()).hint("upgrade this server")
        }
        RunError::Ledger(_) => Failure::new(Exit::Failed, error.to_string())
            .hint("`twinstream verify` says what else is wrong; put the ledger back from a copy"),
        RunError::Identity(_)
        | RunError::Sweep(_)
        | RunError::Redactions(_)
        | RunError::Deleted(_)
        | RunError::Redact(_)
        | RunError::Io { .. } => Failure::from(error),
    }
}
