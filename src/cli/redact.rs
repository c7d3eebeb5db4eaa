//! `redact`: takes posts out of the archive on request.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::Serialize;

use super::{
    args::Global,
    exit::{Exit, Failure},
    merge::Primary,
    output, setup,
};
use crate::{
    merge::outcome::{Committed, Outcome},
    period::Hour,
    place::decide::Asks,
    post::id,
    text::plural,
    vault::redactions::Redactions,
    world::{
        crash::{self, Point},
        disk::{self, RealDisk},
    },
};

/// A million ids have some 20 MiB.
const IDS_BYTES_MAX: u64 = 256 << 20;

/// Takes posts out of the archive on request
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream redact --ids ids.txt --reason \"deleted by its author\" --dry-run
  twinstream redact --ids ids.txt --reason \"deleted by its author\"

The file has one id a line. Every hour that has one of the posts gets a new revision without it:
it is gone from IDs, CSV, Parquet, rejected lines and raw data. The manifest counts it with the
reason, and the ledger shows the revision. Posts on the list stay out when they come again later.
Copies that others have, and what lies on secondaries until it is delivered, are not reached
(docs/operations.md).")]
pub(crate) struct RedactArgs {
    /// A file with one id a line
    #[arg(long, value_name = "FILE")]
    ids: PathBuf,
    /// Why; it stands in the manifests
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Only say what would be taken out
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What came of it, or would.
#[derive(Debug, Default, Serialize)]
struct Told {
    /// Whether nothing was done.
    dry_run: bool,
    /// The posts that the archive has or had, by id, and their hours.
    found: BTreeMap<String, Hour>,
    /// The posts that it never had; they stay out if they come.
    not_found: Vec<String>,
    /// Segments that posts were taken out of.
    segments: u64,
    /// Hours that were made anew.
    committed: Vec<Committed>,
}

pub(crate) fn run(global: &Global, args: &RedactArgs) -> Result<Exit, Failure> {
    let ids = read_ids(args)?;
    let reason = args.reason.trim();
    if reason.is_empty() {
        return Err(Failure::new(Exit::Usage, "--reason is empty")
            .hint("say why in a few words: they stand in the manifests"));
    }
    let asks = if args.dry_run { Asks::Look } else { Asks::Make };
    let primary = Primary::of(setup::load(global)?, "redacting", asks)?;
    let vault = &primary.vault;
    let mut told = Told {
        dry_run: args.dry_run,
        ..Told::default()
    };
    if args.dry_run {
        let found = primary.job(&BTreeSet::new()).would_redact(&ids)?;
        let found_at = found.0.into_iter();
        told.found = found_at.map(|(id, hour)| (id.to_string(), hour)).collect();
        told.segments = found.1;
    } else {
        let _lock = primary.lock()?;
        let nobody = BTreeSet::new();
        let job = primary.job(&nobody);
        let asked = job.scrubber().hours_with(&ids)?;
        let asked: BTreeSet<Hour> = asked.into_values().collect();
        // whatever no hour has may be in raw data; to look there means to read all of it
        let is_idle = asked.is_empty() && job.would_redact(&ids)?.1 == 0;
        let mut list = Redactions::read(&RealDisk, vault)?;
        list.ask(ids.iter().copied(), reason);
        list.write(&RealDisk, vault)?;
        crash::point(Point::RedactionListed);
        // a merge that is asked for no hour is one of all that are due
        let outcome = if is_idle {
            Outcome::default()
        } else {
            let job = primary.job(&asked);
            job.run(&mut |_| ()).map_err(super::merge::failure)?
        };
        let list = Redactions::read(&RealDisk, vault)?;
        for (id, hour) in list.since(0) {
            if let (true, Some(hour)) = (ids.contains(&id), hour) {
                told.found.insert(id.to_string(), hour);
            }
        }
        told.segments = outcome.redacted;
        told.committed = outcome.committed;
        let failed = outcome.failed.iter().filter(|f| asked.contains(&f.hour));
        let failed: Vec<String> = failed.map(|f| format!("{}: {}", f.hour, f.why)).collect();
        if !failed.is_empty() {
            return Err(Failure::new(
                Exit::Failed,
                format!(
                    "these hours still have posts that were to go: {}",
                    failed.join("; ")
                ),
            )
            .hint("the posts are on the list: the next merge that can, takes them out"));
        }
        if let Some(why) = outcome.stopped {
            return Err(Failure::new(Exit::Failed, why)
                .hint("free space; the posts are on the list, and the next merge takes them out"));
        }
    }
    let missing = ids.iter().map(u64::to_string);
    told.not_found = missing.filter(|id| !told.found.contains_key(id)).collect();
    tell(&told, args.json)?;
    Ok(Exit::Done)
}

fn read_ids(args: &RedactArgs) -> Result<BTreeSet<u64>, Failure> {
    let path = args.ids.display();
    let cannot = |why: String| Failure::new(Exit::Usage, format!("cannot use {path}: {why}"));
    let bytes = disk::read_bounded(&RealDisk, &args.ids, IDS_BYTES_MAX)
        .map_err(|why| cannot(why.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_not_text| cannot("it is not text".to_owned()))?;
    let mut ids = BTreeSet::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let id = id::parse(line).ok_or_else(|| {
            cannot(format!("line {} is no post id: {line:.40?}", number + 1))
                .hint("one id a line, digits only; nothing was taken out")
        })?;
        ids.insert(id);
    }
    if ids.is_empty() {
        return Err(cannot("it has no ids".to_owned()));
    }
    Ok(ids)
}

fn tell(told: &Told, json: bool) -> Result<(), Failure> {
    if json {
        return output::print_json(told);
    }
    let row = |id: &str, hour: &str| format!("{id:<20}  {hour}\n");
    let found = told.found.iter();
    let mut text = row("id", "hour");
    text.extend(found.map(|(id, hour)| row(id, &hour.to_string())));
    let not_found = told.not_found.iter();
    text.extend(not_found.map(|id| row(id, "the archive never had it")));
    output::print(&text)?;
    let (would, hours) = if told.dry_run {
        let hours: BTreeSet<&Hour> = told.found.values().collect();
        ("would be", hours.len())
    } else if told.found.len() == 1 {
        ("was", told.committed.len())
    } else {
        ("were", told.committed.len())
    };
    tracing::info!(
        "{} {would} taken out of {}; {} with a new revision",
        plural(told.found.len() as u64, "post", "posts"),
        plural(told.segments, "segment", "segments"),
        plural(hours as u64, "hour", "hours")
    );
    Ok(())
}
