//! `report`: shows a day's report, and mails it.

use super::{
    args::Global,
    exit::{Exit, Failure},
    output,
    run::postman,
    setup,
};
use crate::{
    config::settings::Role,
    period::Day,
    vault::layout,
    watch::daily,
    world::{
        disk::{self, Disk as _, RealDisk},
        lock::{Lock, LockError},
    },
};

/// A day's report has 25 lines.
const REPORT_BYTES_MAX: u64 = 1 << 20;

/// Shows the report of a day, and mails it if asked.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream report 2026-11-23
  twinstream report 2026-11-23 --mail      as the service does every night for the day before")]
pub(crate) struct ReportArgs {
    /// The day, in the vault's time zone
    #[arg(value_name = "YYYY-MM-DD")]
    day: Day,
    /// Mail it to [mail] to
    #[arg(long)]
    mail: bool,
    /// Only say what would be mailed
    #[arg(long, requires = "mail")]
    dry_run: bool,
}

pub(crate) fn run(global: &Global, args: &ReportArgs) -> Result<Exit, Failure> {
    let setup = setup::load(global)?;
    let this = setup.this_server()?;
    if this.role == Role::Secondary {
        let what = format!(
            "server {} is a secondary: the vault is the primary's",
            this.id
        );
        return Err(Failure::new(Exit::Configuration, what).hint("run report on the primary"));
    }
    let settings = &setup.settings;
    let path = layout::report_path(&settings.vault_dir, args.day);
    if RealDisk.len(&path)?.is_none() {
        tracing::info!("no hour of {} is merged: there is no report", args.day);
        return Ok(Exit::NothingToDo);
    }
    let bytes = disk::read_bounded(&RealDisk, &path, REPORT_BYTES_MAX)?;
    output::print(&String::from_utf8_lossy(&bytes))?;
    if !args.mail {
        return Ok(Exit::Done);
    }
    let Some(postman) = postman(&setup)? else {
        let hint = "set host, from and to in [mail]";
        return Err(Failure::new(Exit::Configuration, "no mail is configured").hint(hint));
    };
    if args.dry_run {
        tracing::info!("it would be mailed to {}", postman.mail.to.join(", "));
        return Ok(Exit::Done);
    }
    let now = setup.clock.now();
    daily::put(
        &RealDisk,
        &settings.data_dir,
        &settings.vault_dir,
        &this.id,
        args.day,
        now,
    )?;
    match Lock::take(&settings.data_dir, "mail", now) {
        Ok(_lock) => {
            // what is not taken now waits for the service, or for the next time
            let taken = postman.send_due()?;
            if taken == 0 {
                return Err(Failure::new(Exit::Unreachable, "the mail waits to be sent"));
            }
        }
        Err(LockError::Taken { .. }) => tracing::info!("the service sends the mail"),
        Err(error) => return Err(error.into()),
    }
    Ok(Exit::Done)
}
