//! `deliver`: sends what is sealed and not yet acknowledged, once.

use super::{
    args::Global,
    exit::{Exit, Failure},
    output, progress, setup,
};
use crate::{
    config::settings::{Role, Target},
    deliver::run::{self, DeliverError, Job},
    world::{disk::RealDisk, lock::Lock},
};

/// Sends what is sealed and not yet acknowledged, once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream deliver                  send everything that is not yet acknowledged
  twinstream deliver --dry-run        only say what would be sent and deleted

A file is deleted here only when the primary's copy was read back and checked, and [deliver]
keep_delivered has passed since.")]
pub(crate) struct DeliverArgs {
    /// Only say what would be sent and deleted
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(global: &Global, args: &DeliverArgs) -> Result<Exit, Failure> {
    let setup = setup::load(global)?;
    let this = setup.this_server()?;
    let target = match (&this.role, &this.deliver_to) {
        (Role::Secondary, Some(Target::Folder(path))) => path,
        (Role::Secondary, Some(Target::Ssh(url))) => {
            return Err(Failure::new(
                Exit::Configuration,
                format!("cannot deliver to {url}: this version delivers to folders only"),
            )
            .hint("set deliver_to to a folder, for example the primary's spool mounted here"));
        }
        _ => {
            return Err(Failure::new(
                Exit::Configuration,
                format!(
                    "server {} is the primary: it has nobody to deliver to",
                    this.id
                ),
            )
            .hint("run deliver on a secondary"));
        }
    };
    let settings = &setup.settings;
    let job = Job {
        server: &this.id,
        spool: &settings.spool_dir,
        target,
        keep_delivered: settings.deliver.keep_delivered,
    };
    let _lock =
        Lock::take(&settings.data_dir, "deliver", setup.clock.now()).map_err(Failure::lock)?;
    let plan = run::look(&RealDisk, &job, setup.clock.now()).map_err(|why| failure(&why))?;
    if args.dry_run {
        for name in &plan.send {
            output::print(&format!("send    {name}\n"))?;
        }
        for name in &plan.settled {
            output::print(&format!("delete  {name}\n"))?;
        }
        return Ok(Exit::Done);
    }
    if plan.send.is_empty() && plan.settled.is_empty() {
        tracing::info!("nothing to deliver: all that is sealed is acknowledged");
        return Ok(Exit::NothingToDo);
    }
    let bar = progress::bar(plan.send.len() as u64, "segments delivered");
    let now = || setup.clock.now();
    let delivered = run::carry_out(&RealDisk, &job, &plan, &now, |_| bar.inc(1))
        .map_err(|why| failure(&why))?;
    bar.finish_and_clear();
    if args.json {
        output::print_json(&delivered)?;
    } else {
        output::print(&format!(
            "delivered {} segments to {}, {} failed, {} deleted here\n",
            delivered.sent,
            target.display(),
            delivered.failed,
            delivered.deleted
        ))?;
    }
    Ok(if delivered.failed == 0 {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn failure(error: &DeliverError) -> Failure {
    let (exit, hint) = match error {
        DeliverError::OwnSpool(_) => (Exit::Configuration, "set deliver_to to the primary's spool"),
        DeliverError::Unreachable { .. } => (
            Exit::Unreachable,
            "mount the disk, or make the folder; nothing is lost, the next delivery sends all",
        ),
        DeliverError::Io { .. } => (
            Exit::Failed,
            "the next delivery goes on where this one ended",
        ),
    };
    Failure::new(exit, error.to_string()).hint(hint)
}
