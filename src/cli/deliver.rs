//! `deliver`: sends what is sealed and not yet acknowledged, once.

use std::{collections::BTreeMap, fmt::Display};

use serde::Serialize;

use super::{
    exit::{Exit, Failure},
    global::Global,
    output, progress,
    setup::{self, Setup},
    store,
};
use crate::{
    alarm::AlarmKind,
    config::{
        address::{SshTarget, Target},
        settings::{Role, Server},
    },
    deliver::{
        over_ssh,
        plan::Plan,
        rsync::{Remote, RsyncError},
        run::{self, DeliverError, DeliverJob, Delivered},
        to_store,
    },
    merge::{index::Indexes, unfetched},
    place::{
        decide::Asks,
        id::PlaceId,
        mirror::MirrorError,
        open::{Spool, Unopened},
        s3::address::Address,
    },
    segment::{
        name::{SegmentName, ServerId},
        spool,
    },
    text::plural,
    vault::redactions::Redactions,
    world::{
        disk::{Disk as _, RealDisk},
        lock::Lock,
    },
};

/// Runs one delivery: sends every sealed segment that is not yet acknowledged.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream deliver                  send everything that is not yet acknowledged
  twinstream deliver --dry-run        say what would be sent and deleted, and do nothing

A file is deleted on this server only [deliver] keep_delivered after the primary's copy of it was
read back and checked.")]
pub(crate) struct DeliverArgs {
    /// Say what would be sent and deleted, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(global: &Global, args: &DeliverArgs) -> Result<Exit, Failure> {
    let setup = setup::load(global)?;
    let this = setup.this_server()?;
    let Some(target) = target_of(this) else {
        return Err(Failure::new(
            Exit::Configuration,
            format!(
                "server {} is the {}: it has nobody to deliver to",
                this.id,
                this.role.name()
            ),
        )
        .hint("run deliver on a secondary"));
    };
    RealDisk.make_folder(&setup.settings.data_dir)?;
    let _lock = Lock::take(&setup.settings.data_dir, "deliver", setup.clock.now())
        .map_err(Failure::lock)?;
    match target {
        Target::Folder(path) => to_folder(&setup, this, path, args),
        Target::Ssh(target) => over_ssh(&setup, this, target, args),
        Target::Store(address) => to_store(&setup, this, address, args),
    }
}

/// Where a server delivers to.
pub(super) fn target_of(this: &Server) -> Option<&Target> {
    let to = this.deliver_to.as_ref();
    // if the vault is in an object store, the primary delivers too
    to.filter(|to| this.role == Role::Secondary || matches!(to, Target::Store(_)))
}

/// What there is of servers that are not delivered, as an alarm and a finding have it; and what to do.
pub(super) fn of_left_behind(this: &Server, server: &ServerId, count: u64) -> (String, String) {
    let segments = plural(count, "sealed segment", "sealed segments");
    let what = format!(
        "this spool also holds {segments} of server {server}, a former id of this machine; only those of server {} are \
         delivered",
        this.id
    );
    let hint = format!(
        "put the [[servers]] entry of server {server} back with `until`, on every server, then run `twinstream --server \
         {server} deliver` here (docs/operations.md, A server with another id)"
    );
    (what, hint)
}

fn left_behind(spool: &Spool, this: &Server) -> Result<BTreeMap<ServerId, u64>, Failure> {
    let left = spool::left_behind(&RealDisk, spool, &this.id)?;
    for (server, count) in &left {
        let (what, hint) = of_left_behind(this, server, *count);
        alarm!(AlarmKind::NotDelivered, server, "{what}\n  hint: {hint}");
    }
    Ok(left)
}

fn to_store(
    setup: &Setup,
    this: &Server,
    address: &Address,
    args: &DeliverArgs,
) -> Result<Exit, Failure> {
    let settings = &setup.settings;
    let (asks, store) = if args.dry_run {
        (Asks::Look, store::open(setup, address)?)
    } else {
        (Asks::Use, store::trusted(setup, address)?)
    };
    let spool = setup.spool(asks)?;
    let mirror = over_ssh::mirror_dir(&settings.data_dir);
    let unopened = mirror.clone().into();
    let stream = setup.stream();
    let nothing = Redactions::none(stream.source);
    let indexes = Indexes {
        disk: &RealDisk,
        stream: stream.word,
        spool: &spool,
        folder: &settings.data_dir.join("index"),
        keep: false,
        redactions: &nothing,
    };
    let job = to_store::StoreJob {
        server: &this.id,
        spool: &spool,
        store: &store,
        mirror: &mirror,
        keep_delivered: settings.deliver.keep_delivered,
        recognize: &|| {
            let opened = setup.opener().spool(&unopened, asks);
            opened.map_err(|why| why.of(&address.to_string()))
        },
        draw: &PlaceId::draw,
        index: &|name| unfetched::to_deliver(&indexes, name),
    };
    let left_behind = left_behind(&spool, this)?;
    let plan = job.look(&RealDisk, setup.clock.now()).map_err(failure)?;
    if args.dry_run {
        return tell_plan(&plan, &left_behind, args.json);
    }
    let now = || setup.clock.now();
    let bar = progress::bar(plan.send.len() as u64, "segments delivered");
    let delivered = job
        .carry_out(&RealDisk, &plan, &now, |_| bar.inc(1))
        .map_err(failure)?;
    bar.finish_and_clear();
    tell_outcome(this, (&delivered, &left_behind), address, args.json)
}

fn to_folder(
    setup: &Setup,
    this: &Server,
    folder: &Unopened,
    args: &DeliverArgs,
) -> Result<Exit, Failure> {
    let settings = &setup.settings;
    let (own, asks) = if args.dry_run {
        (Asks::Look, Asks::Look)
    } else {
        (Asks::Use, Asks::MakeInEmpty)
    };
    run::refuse_own(settings.spool_dir.name(), folder.name()).map_err(failure)?;
    let (spool, target) = (setup.spool(own)?, setup.target(folder, asks)?);
    let job = DeliverJob {
        server: &this.id,
        spool: &spool,
        target: &target,
        keep_delivered: settings.deliver.keep_delivered,
        keep_free: settings.merge.keep_free,
    };
    let left_behind = left_behind(&spool, this)?;
    let plan = run::look(&RealDisk, &job, setup.clock.now()).map_err(failure)?;
    if args.dry_run {
        return tell_plan(&plan, &left_behind, args.json);
    }
    let now = || setup.clock.now();
    let bar = progress::bar(plan.send.len() as u64, "segments delivered");
    let delivered =
        run::carry_out(&RealDisk, &job, &plan, &now, |_| bar.inc(1)).map_err(failure)?;
    bar.finish_and_clear();
    tell_outcome(
        this,
        (&delivered, &left_behind),
        &target.display(),
        args.json,
    )
}

fn over_ssh(
    setup: &Setup,
    this: &Server,
    target: &SshTarget,
    args: &DeliverArgs,
) -> Result<Exit, Failure> {
    let settings = &setup.settings;
    let servers = settings.ids_of(|_| true);
    let asks = if args.dry_run { Asks::Look } else { Asks::Use };
    let spool = setup.spool(asks)?;
    let mirror = over_ssh::mirror_dir(&settings.data_dir).into();
    let job = over_ssh::SshJob {
        server: &this.id,
        servers: &servers,
        spool: &spool,
        data_dir: &settings.data_dir,
        remote: Remote {
            target,
            ssh_options: &settings.deliver.ssh_options,
        },
        keep_delivered: settings.deliver.keep_delivered,
        recognize: &|| {
            let mirror = setup.opener().spool(&mirror, asks);
            mirror.map_err(|why| why.of(&target.to_string()))
        },
    };
    let left_behind = left_behind(&spool, this)?;
    let looked = job.look(&RealDisk, setup.clock.now()).map_err(failure)?;
    if args.dry_run {
        return tell_plan(&looked.plan, &left_behind, args.json);
    }
    let now = || setup.clock.now();
    let bar = progress::bar(looked.plan.send.len() as u64, "segments delivered");
    let delivered = job
        .carry_out(&RealDisk, &looked, &now, |_| bar.inc(1))
        .map_err(failure)?;
    bar.finish_and_clear();
    tell_outcome(this, (&delivered, &left_behind), target, args.json)
}

/// What would be done.
#[derive(Debug, Serialize)]
struct Planned<'a> {
    send: &'a [SegmentName],
    delete: Vec<&'a SegmentName>,
    left_behind: &'a BTreeMap<ServerId, u64>,
}

fn tell_plan(
    plan: &Plan,
    left_behind: &BTreeMap<ServerId, u64>,
    json: bool,
) -> Result<Exit, Failure> {
    let planned = Planned {
        send: &plan.send,
        delete: plan.settled.iter().map(|settled| &settled.name).collect(),
        left_behind,
    };
    if json {
        output::print_json(&planned)?;
    } else {
        for name in planned.send {
            output::print(&format!("send    {name}\n"))?;
        }
        for name in &planned.delete {
            output::print(&format!("delete  {name}\n"))?;
        }
    }
    Ok(Exit::Done)
}

/// What was done.
#[derive(Serialize)]
struct Outcome<'a> {
    #[serde(flatten)]
    delivered: &'a Delivered,
    left_behind: &'a BTreeMap<ServerId, u64>,
}

fn tell_outcome(
    this: &Server,
    (delivered, left_behind): (&Delivered, &BTreeMap<ServerId, u64>),
    target: &dyn Display,
    json: bool,
) -> Result<Exit, Failure> {
    let Delivered {
        sent,
        waiting,
        failed,
        deleted,
    } = delivered;
    if json {
        output::print_json(&Outcome {
            delivered,
            left_behind,
        })?;
    } else if 0 < sent + failed + deleted {
        let segments = plural(*sent, "segment", "segments");
        output::print(&format!(
            "delivered {segments} to {target}, {failed} failed, {deleted} deleted here\n"
        ))?;
    }
    if 0 < *waiting {
        tracing::info!(
            "{} to be acknowledged by the primary's merge",
            plural(
                *waiting,
                "segment lies there and waits",
                "segments lie there and wait"
            )
        );
    }
    Ok(match (failed, sent + deleted) {
        (0, 0) => {
            if *waiting == 0 {
                let id = &this.id;
                tracing::info!(
                    "nothing to deliver: all that server {id} has sealed here is acknowledged"
                );
            }
            if left_behind.is_empty() {
                Exit::NothingToDo
            } else {
                Exit::Incomplete
            }
        }
        (0, _) if left_behind.is_empty() => Exit::Done,
        (0, _) => Exit::Incomplete,
        _ => Exit::Failed,
    })
}

fn failure(error: DeliverError) -> Failure {
    let error = match error {
        DeliverError::Place(why) => return setup::told(&why),
        DeliverError::Store(why) | DeliverError::Mirror(MirrorError::Store(why)) => {
            return store::told(&why);
        }
        DeliverError::Mirror(why) => return store::mirror_failure(&why),
        error => error,
    };
    let (exit, hint) = match &error {
        DeliverError::OwnSpool(_) => (Exit::Configuration, "set deliver_to to the primary's spool"),
        DeliverError::Unreachable(_) => (
            Exit::Unreachable,
            "mount the disk; nothing is lost, the next delivery sends everything",
        ),
        DeliverError::Hold { .. } => (
            Exit::Unreachable,
            "free space there; nothing is lost, the next delivery sends everything",
        ),
        DeliverError::NoSpool { .. } => (
            Exit::Unreachable,
            "run `twinstream merge` on the primary once: it makes and marks the folder; for a restricted key see docs/operations.md",
        ),
        DeliverError::Rsync(RsyncError::Unreachable { .. }) => (
            Exit::Unreachable,
            "`twinstream check` tests the connection; nothing is lost, the next delivery sends everything",
        ),
        DeliverError::Rsync(RsyncError::Start(_)) => {
            (Exit::Failed, "install rsync: apt install rsync")
        }
        DeliverError::Rsync(_)
        | DeliverError::Io(_)
        | DeliverError::Place(_)
        | DeliverError::Store(_)
        | DeliverError::Mirror(_) => (
            Exit::Failed,
            "the next delivery resumes where this one stopped",
        ),
    };
    Failure::new(exit, error.to_string()).hint(hint)
}
