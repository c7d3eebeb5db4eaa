//! What all merges share: the job, fetching and receiving deliveries, the hook, and the report of the result.

use std::{collections::BTreeSet, fmt::Write as _, path::Path, time::Duration};

use super::{
    exit::{Exit, Failure},
    output,
    setup::Setup,
    store,
};
use crate::{
    alarm::AlarmKind,
    config::{
        address::Target,
        settings::{Server, Xz},
    },
    deliver::{
        fetch::{self, Choice, Fetched},
        receive::{self, Received},
    },
    merge::{
        deletions::Honour,
        hour::units::UNIT_BYTES,
        job::{MergeError, MergeJob},
        outcome::MergeOutcome,
        unfetched::{OwnHours, StaysOut},
    },
    period::Hour,
    place::{
        decide::Asks,
        id::PlaceId,
        open::{OfStore, Spool, Vault},
        s3::address::Address,
        segments::{self, Elsewhere},
        store::{Store, StoreError},
    },
    segment::{
        name::{SegmentName, ServerId},
        seal::Seal,
    },
    share::Share,
    text::plural,
    vault::{commit::Commits, identity::IdentityError, layout, xz::Effort},
    world::{
        agent,
        disk::RealDisk,
        hook::{self, HookError},
    },
};

/// How long `after_hour` may take for one hour.
const HOOK_MAX: Duration = Duration::from_mins(10);

/// How hard `merge.xz` says to compress.
pub(super) const fn effort(xz: Xz) -> &'static Effort {
    match xz {
        Xz::Balanced => &Effort::Balanced,
        Xz::Fast => &Effort::Fast,
        Xz::Small => &Effort::Small,
    }
}

/// A merge of all hours that are due, as far as it is known what is delivered: nobody has looked there yet.
pub(super) fn job<'a>(
    setup: &'a Setup,
    (data_dir, spool, vault): (&'a Path, &'a Spool, &'a Vault),
    commits: &'a dyn Commits,
    servers: &'a [Server],
) -> MergeJob<'a> {
    let settings = &setup.settings;
    MergeJob {
        disk: &RealDisk,
        data_dir,
        spool,
        vault,
        commits,
        elsewhere: match settings.spool_store {
            Some(_) => Elsewhere::Away,
            None => Elsewhere::Nowhere,
        },
        bring: &segments::bring_nothing,
        stream: setup.stream(),
        settings: &settings.merge,
        servers,
        honour: if settings.honours_deletions() {
            Honour::Daily
        } else {
            Honour::Never
        },
        asked: const { &BTreeSet::new() },
        share: None,
        compress: effort(settings.merge.xz),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        unit_bytes: UNIT_BYTES,
        now: setup.clock.now(),
    }
}

/// `[hook] after_hour`, with the manifest's path. Its result is logged, and has no effect.
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
            tracing::warn!("after_hour was not run for hour {hour}: it took too long last time");
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
    from: Option<Origin>,
}

/// From where something was fetched.
struct Origin {
    store: Box<dyn Store>,
    id: PlaceId,
    servers: Vec<ServerId>,
}

impl Origin {
    fn job<'a>(
        &'a self,
        setup: &Setup,
        spool: &'a Spool,
        choice: Option<Choice<'a>>,
    ) -> fetch::FetchJob<'a> {
        fetch::FetchJob {
            disk: &RealDisk,
            spool,
            store: &*self.store,
            servers: &self.servers,
            keep_free: setup.settings.merge.keep_free,
            id: &self.id,
            now: setup.clock.now(),
            at_once: agent::AT_ONCE_MAX,
            choice,
        }
    }
}

impl Fetch {
    pub(super) fn elsewhere(&self) -> Elsewhere<'_> {
        match &self.from {
            Some(from) => Elsewhere::In(&*from.store),
            None => Elsewhere::Nowhere,
        }
    }

    /// Fetches these, announced or not; says how many are here since.
    pub(super) fn bring(
        &self,
        (setup, spool): (&Setup, &Spool),
        names: &BTreeSet<SegmentName>,
    ) -> Result<u64, StoreError> {
        let from = self.from.as_ref();
        from.map_or(Ok(0), |from| from.job(setup, spool, None).bring(names))
    }
}

/// Fetches into a spool what servers have delivered to the object store; of a share of the hours, what it needs.
pub(super) fn fetch(
    setup: &Setup,
    (spool, share): (&Spool, Option<(Share, StaysOut)>),
    address: &Address,
) -> Result<Fetch, Failure> {
    let settings = &setup.settings;
    let store = store::trusted(setup, address)?;
    let folder = store::mirror_dir(&settings.data_dir);
    let there = store::spool::<OfStore>(setup, &store, &folder, Asks::Use)?;
    let Some(id) = there.id() else {
        tracing::info!("{address} is no spool yet: no other server has delivered to it");
        return Ok(Fetch::default());
    };
    let from = Origin {
        id: id.clone(),
        servers: settings.ids_of(|one| matches!(one.deliver_to, Some(Target::Store(_)))),
        store: Box::new(store),
    };
    let own = share.map(|(share, out)| OwnHours {
        zone: &settings.merge.timezone,
        stream: setup.stream().word,
        share,
        out,
    });
    let label = own.as_ref().map(OwnHours::label);
    let needs = |name: &SegmentName, seal: &Seal, index: &[u8]| {
        own.as_ref().is_none_or(|own| own.need(name, seal, index))
    };
    let choice = label.as_ref().map(|label| Choice {
        label,
        needs: &needs,
    });
    let fetched = from.job(setup, spool, choice).run();
    let fetched = fetched.map_err(|why| store::told(&why))?;
    if 0 < fetched.segments {
        let segments = plural(fetched.segments, "segment", "segments");
        tracing::info!("fetched {segments} from {address}");
    }
    if 0 < fetched.left {
        let segments = plural(fetched.left, "segment", "segments");
        tracing::info!("left {segments} of other shares in {address}");
    }
    let from = Some(from);
    Ok(Fetch { fetched, from })
}

/// Reads back and acknowledges what secondaries have delivered over ssh, or what was fetched. A failure is reported,
/// and does not stop the merge.
pub(super) fn receive(setup: &Setup, spool: &Spool) -> Received {
    let is_elsewhere =
        |one: &Server| matches!(one.deliver_to, Some(Target::Ssh(_) | Target::Store(_)));
    let servers = setup.settings.ids_of(is_elsewhere);
    let job = receive::ReceiveJob {
        disk: &RealDisk,
        data_dir: &setup.settings.data_dir,
        spool,
        servers: &servers,
        keep_free: setup.settings.merge.keep_free,
        keep_delivered: setup.settings.deliver.keep_delivered,
    };
    let received = job.run(&|| setup.clock.now());
    if let Some(why) = &received.hold {
        alarm!(
            AlarmKind::Disk,
            "",
            "nothing is received from other servers: {why}\n  hint: free space, or lower merge.keep_free"
        );
    }
    if 0 < received.acknowledged {
        let segments = plural(received.acknowledged, "segment", "segments");
        tracing::info!("received and acknowledged {segments}");
    }
    received
}

pub(crate) fn tell_outcome(
    outcome: &MergeOutcome,
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
            "free space, or lower merge.keep_free; the next merge resumes where this one stopped",
        ));
    }
    let swept = &outcome.swept;
    let is_swept = 0 < swept.compressed + swept.deleted + swept.attempts;
    if 0 < swept.attempts {
        let attempts = plural(swept.attempts, "attempt", "attempts");
        tracing::info!("deleted {attempts} that nobody reads any more from the vault in the store");
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
    if 0 < outcome.unredacted {
        let segments = plural(outcome.unredacted, "segment", "segments");
        tracing::warn!(
            "the object store does not answer, so posts cannot be taken out of {segments} there yet: the hours of \
             these segments wait, all others are merged"
        );
        return Ok(Exit::Unreachable);
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
            ""
        } else {
            " for what was asked"
        };
        let waiting = match outcome.waiting {
            0 => String::new(),
            hours => {
                "; ".to_owned() + &plural(hours, "hour is not yet due", "hours are not yet due")
            }
        };
        tracing::info!("nothing to merge{which}{waiting}");
        return Ok(Exit::NothingToDo);
    }
    Ok(Exit::Done)
}

/// One line for each committed hour.
fn table(outcome: &MergeOutcome) -> String {
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
pub(crate) fn failure(error: MergeError) -> Failure {
    match &error {
        MergeError::Identity(IdentityError::Differs { what, has, .. }) => {
            let hint = format!(
                "a vault keeps its {what} for good: set it to {has:?} again, or begin another vault with its own data_dir"
            );
            Failure::new(Exit::Configuration, error.to_string()).hint(hint)
        }
        MergeError::Identity(IdentityError::UnknownFormat { .. }) => {
            Failure::new(Exit::Configuration, error.to_string()).hint("upgrade this server")
        }
        MergeError::Ledger(_) => Failure::new(Exit::Failed, error.to_string())
            .hint("`twinstream verify` says what else is wrong; put the ledger back from a copy"),
        MergeError::Identity(_)
        | MergeError::Sweep(_)
        | MergeError::Redactions(_)
        | MergeError::Deleted(_)
        | MergeError::Redact(_)
        | MergeError::Io(_) => Failure::from(error),
    }
}
