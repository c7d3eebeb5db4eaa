//! `checkout`: copies the current state of a vault from an object store into a folder.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use super::{
    exit::{Exit, Failure},
    global::{Global, users_path},
    output,
    setup::{self, Setup},
    store,
};
use crate::{
    period::{Day, Hour},
    place::s3::address::{Address, SCHEME},
    text::plural,
    vault::{
        delta::{self, check::Checked},
        in_store::InStore,
        ledger,
        publisher_records::PublisherRecords,
    },
    world::{
        agent::AT_ONCE_MAX,
        disk::{Disk as _, RealDisk},
    },
};

/// Copies the current state of a vault from an object store into a folder
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream checkout s3://archive/vault --to /data/vault
  twinstream checkout s3://archive/vault --day 2026-11-23 --day 2026-11-24 --to week

The folder becomes an ordinary vault: `twinstream verify` checks it, and every program that reads
vaults can read it. Run the command again to bring the folder up to date. With --day, the folder
has the whole ledger and the hours of these days only; it cannot be updated or given more days.

Section [s3] of the configuration says how to reach the store.")]
pub(crate) struct CheckoutArgs {
    /// The vault: s3://bucket/folder
    #[arg(value_name = "PATH")]
    path: String,
    /// Only the hours of this day (repeatable)
    #[arg(long = "day", value_name = "YYYY-MM-DD")]
    days: Vec<Day>,
    /// The folder to copy to; it is made if it does not exist
    #[arg(value_parser = users_path(), long, value_name = "FOLDER")]
    to: PathBuf,
}

pub(crate) fn run(global: &Global, args: &CheckoutArgs) -> Result<Exit, Failure> {
    let setup = setup::load(global)?;
    let lines =
        ledger::read(&RealDisk, &args.to).map_err(|why| Failure::from(io::Error::other(why)))?;
    let partial = args.to.join(PARTIAL);
    let is_partial = RealDisk.len(&partial)?.is_some();
    if is_partial || !args.days.is_empty() && !lines.is_empty() {
        let what = format!(
            "{} has the hours of some days only, or would",
            args.to.display()
        );
        return Err(Failure::new(Exit::Usage, what).hint("name another folder"));
    }
    let days: BTreeSet<Day> = args.days.iter().copied().collect();
    let is_wanted = |day| days.is_empty() || days.contains(&day);
    // before the first of them: what is cut off has the hours of some days only, too
    let mark = (!days.is_empty()).then_some(partial.as_path());
    let changed = copy(&setup, &args.path, (&args.to, mark), &is_wanted)?;
    let hours = plural(changed.len() as u64, "hour", "hours");
    output::print(&format!(
        "{hours} of {} copied to {}\n",
        args.path,
        args.to.display()
    ))?;
    Ok(if changed.is_empty() {
        Exit::NothingToDo
    } else {
        Exit::Done
    })
}

/// Copies the hours of these days, and what is kept beside the hours, from `s3://bucket/folder`, and makes that mark before; gives
/// the hours.
pub(super) fn copy(
    setup: &Setup,
    from: &str,
    (to, mark): (&Path, Option<&Path>),
    is_wanted: &dyn Fn(Day) -> bool,
) -> Result<Vec<Hour>, Failure> {
    let there = store::open(setup, &address(from)?)?;
    store::mark_copy(&there, to)?;
    if let Some(mark) = mark {
        RealDisk.create(mark)?;
    }
    let records = PublisherRecords {
        store: &there,
        disk: &RealDisk,
        vault: to,
    };
    // a stamp is never of a line that is not there yet
    let copied = records.fetch().and_then(|()| {
        let copy = InStore::new(&there, &RealDisk, to, &NO_COMMIT)?;
        copy.at_once(AT_ONCE_MAX).follow(is_wanted)
    });
    copied.map_err(|why| store::vault_failure(&why))
}

/// Nothing is committed from a copy.
const NO_COMMIT: fn() -> io::Result<u64> = || Err(io::Error::other("nothing is committed here"));

fn address(from: &str) -> Result<Address, Failure> {
    let address = from
        .strip_prefix(SCHEME)
        .ok_or("it is not an s3:// address");
    address.and_then(Address::new).map_err(|why| {
        Failure::new(Exit::Usage, format!("{from}: {why}"))
            .hint("write s3://bucket/folder; a vault that is a folder can be copied as it is")
    })
}

/// Compares the Delta Lake log of a vault with what was copied of it.
pub(super) fn check_log(setup: &Setup, from: &str, copy: &Path) -> Result<Checked, Failure> {
    let there = store::open(setup, &address(from)?)?;
    let checked = InStore::new(&there, &RealDisk, copy, &NO_COMMIT);
    let checked = checked.and_then(|vault| delta::check::check(&vault));
    checked.map_err(|why| store::vault_failure(&why))
}

/// Marks a folder that has the hours of some days only.
const PARTIAL: &str = ".some-days";
