//! `merge`: merges the given or all ready hours, once.

use std::collections::BTreeSet;

use indicatif::ProgressBar;

use super::{
    exit::{Exit, Failure},
    global::Global,
    merge_store,
    merging::{self, Fetch, Hook, failure, fetch, receive, tell_outcome},
    output, progress,
    setup::{self, Setup},
};
use crate::{
    config::settings::Role,
    deliver::receive::Received,
    merge::{
        job::{MergeJob, Step},
        preview::Plan,
    },
    period::Hour,
    place::{
        decide::Asks,
        open::{Spool, Vault},
        segments::Elsewhere,
    },
    segment::name::SegmentName,
    share::Share,
    text::plural,
    vault::commit::Here,
    world::{
        disk::{Disk as _, RealDisk},
        lock::{FolderLock, Lock},
    },
};

/// Merges what all servers collected into the vault, once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream merge                          every hour that is due
  twinstream merge --hour 2026-11-23_14     this hour, now
  twinstream merge --dry-run                say what would be done, and do nothing
  twinstream merge --share 2/3              the second of three tasks that split the hours

An hour is due once it has settled ([merge] settle), and again when late data has arrived, which
makes a new revision. Running it twice changes nothing. Input that cannot be used is set aside,
never deleted.

Without --hour, it also takes out once a day what people have deleted on Bluesky ([bluesky]
honour_deletions), compresses merged raw data, and deletes it after [merge] keep_raw, once the
hours made from it were read again and found undamaged.

If spool and vault are in an object store, any number of machines may merge at the same time: an
hour that one has committed is not committed again by another. --share I/N splits the hours among N
tasks that run at the same time. No two of them do the same work, and each fetches only the raw
data of its own hours; the result is the same without it.")]
pub(crate) struct MergeArgs {
    /// Only this hour of the vault's time zone, without waiting for it to settle (repeatable)
    #[arg(long = "hour", value_name = "YYYY-MM-DD_HH")]
    hours: Vec<Hour>,
    /// Every hour that is due (the default without --hour)
    #[arg(long, conflicts_with = "hours")]
    pending: bool,
    /// Only the hours of task I of N
    #[arg(long, value_name = "I/N", conflicts_with = "hours")]
    share: Option<Share>,
    /// Say what would be merged, and do nothing (with the vault in an object store, only from what is already fetched)
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What commands on the vault need: that this is the primary, its places, and the order for a merge.
pub(crate) struct Primary {
    pub(crate) setup: Setup,
    pub(crate) spool: Spool,
    pub(crate) vault: Vault,
}

impl Primary {
    /// Refuses on a secondary; `doing` is what only the primary does. `asks` says whether anything is left
    /// behind.
    pub(crate) fn of(setup: Setup, doing: &str, asks: Asks) -> Result<Self, Failure> {
        let this = setup.this_server()?;
        if this.role == Role::Secondary {
            let what = format!(
                "server {} is a secondary: {doing} is done on the primary",
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
    pub(crate) fn job<'a>(&'a self, asked: &'a BTreeSet<Hour>) -> MergeJob<'a> {
        let settings = &self.setup.settings;
        MergeJob {
            asked,
            ..merging::job(
                &self.setup,
                (&settings.data_dir, &self.spool, &self.vault),
                &Here,
                &settings.servers,
            )
        }
    }

    /// Nobody else may merge meanwhile, nor write to the vault from another data directory.
    pub(crate) fn lock(&self) -> Result<(Lock, FolderLock), Failure> {
        let data_dir = &self.setup.settings.data_dir;
        RealDisk.make_folder(data_dir)?;
        let here = Lock::take(data_dir, "merge", self.setup.clock.now());
        let here = here.map_err(Failure::lock)?;
        let there = FolderLock::take(&self.vault, "merge").map_err(Failure::lock)?;
        Ok((here, there))
    }
}

/// Whoever asks for an hour before its end gets it as it is so far.
fn warn_of_what_is_to_come(setup: &Setup, asked: &BTreeSet<Hour>) {
    let is_to_come = |hour: &&Hour| {
        let intervals = setup.settings.merge.timezone.intervals(**hour);
        intervals
            .last()
            .is_some_and(|last| setup.clock.now() < last.end)
    };
    for hour in asked.iter().filter(is_to_come) {
        tracing::warn!(
            "hour {hour} is not over: what has not arrived yet counts as missing (late) until the hour is merged again"
        );
    }
}

fn show(bar: &ProgressBar, step: &Step<'_>) {
    match step {
        Step::Stock(done, all) => {
            bar.set_length(*all as u64);
            bar.set_position(*done as u64);
        }
        Step::Hours(all) => {
            bar.set_message("hours checked");
            bar.set_length(*all as u64);
            bar.set_position(0);
        }
        Step::Hour(_) => bar.inc(1),
    }
}

pub(crate) fn run(global: &Global, args: &MergeArgs) -> Result<Exit, Failure> {
    let setup = setup::load(global)?;
    let asked: BTreeSet<Hour> = args.hours.iter().copied().collect();
    warn_of_what_is_to_come(&setup, &asked);
    let stores = (&setup.settings.spool_store, &setup.settings.vault_store);
    if let (Some(spool), Some(vault)) = stores {
        setup.this_server()?;
        if args.dry_run {
            let planned = merge_store::plan(&setup, (&asked, args.share))?;
            return tell_plan(&planned, args.json);
        }
        return merge_store::run(&setup, (&asked, args.share), args.json, [spool, vault]);
    }
    let asks = if args.dry_run { Asks::Look } else { Asks::Make };
    let primary = Primary::of(setup, "merging", asks)?;
    let setup = &primary.setup;
    let settings = &setup.settings;
    let job = MergeJob {
        share: args.share,
        ..primary.job(&asked)
    };
    let bar = progress::bar(0, "segments read");
    let mut hook = Hook {
        command: &settings.after_hour,
        vault: &primary.vault,
        hangs: false,
    };
    let mut tell = |step: Step<'_>| {
        show(&bar, &step);
        if let Step::Hour(Some(committed)) = step {
            hook.after(committed.hour);
        }
    };
    if args.dry_run {
        let planned = job.plan(&mut tell).map_err(failure)?;
        bar.finish_and_clear();
        return tell_plan(&planned, args.json);
    }
    let _lock = primary.lock()?;
    let fetched = match &settings.spool_store {
        Some(address) => fetch(setup, (&primary.spool, None), address),
        None => Ok(Fetch::default()),
    };
    let received = receive(setup, &primary.spool);
    let elsewhere = fetched.as_ref().map_or(Elsewhere::Away, Fetch::elsewhere);
    let bring = |names: &BTreeSet<SegmentName>| match &fetched {
        Ok(fetch) => fetch.bring((setup, &primary.spool), names),
        Err(_) => Ok(0),
    };
    let job = MergeJob {
        elsewhere,
        bring: &bring,
        ..job
    };
    let outcome = job.run(&mut tell).map_err(failure)?;
    bar.finish_and_clear();
    for hour in &outcome.finished {
        hook.after(*hour);
    }
    with_what_came(
        tell_outcome(&outcome, &asked, args.json)?,
        fetched,
        &received,
    )
}

/// What a merge ends with after what had to be fetched and received for it.
fn with_what_came(
    exit: Exit,
    fetched: Result<Fetch, Failure>,
    received: &Received,
) -> Result<Exit, Failure> {
    let is_merged = [Exit::Done, Exit::NothingToDo, Exit::Incomplete].contains(&exit);
    let fetched = match fetched {
        Ok(fetch) => fetch.fetched,
        // the segments here were merged; those in the store will be merged later
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
