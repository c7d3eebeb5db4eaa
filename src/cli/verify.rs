//! `verify`: checks vault hours, days or a whole vault again; needs no keys and no configuration.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    args::Global,
    exit::{Exit, Failure},
    output, progress,
};
use crate::{
    merge::workers,
    period::Day,
    report::check,
    vault::{
        verify::{self, Found, Severity},
        verify_hour, verify_whole,
    },
    world::disk::RealDisk,
};

/// Checks vault hours, days or a whole vault again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream verify /var/lib/twinstream/vault
  twinstream verify vault/2026-11-23
  twinstream verify vault/2026-11-23/2026-11-23_14_manifest.json
  twinstream verify 2026-11-23_certificate.txt           that file and the day beside it

Everything is worked out again from the files: hashes, rows, order, the hour of each id, the
books, the tables of minutes and seconds, the day's files, earlier revisions, and the chain of the
ledger.")]
pub(crate) struct VerifyArgs {
    /// A vault, a day's folder, a file of an hour or a day, or a copy of published files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(_global: &Global, args: &VerifyArgs) -> Result<Exit, Failure> {
    for path in &args.paths {
        if let Err(why) = path.metadata() {
            return Err(Failure::new(
                Exit::Failed,
                format!("cannot verify: {}: {why}", path.display()),
            )
            .hint("name a vault, a day's folder, or a file of an hour or a day"));
        }
    }
    let survey = verify::survey(&RealDisk, &args.paths)?;
    if survey.hours.is_empty() && survey.roots.is_empty() && survey.problems.0.is_empty() {
        tracing::info!("nothing to verify: there is no hour in what was named");
        return Ok(Exit::NothingToDo);
    }
    let bar = progress::bar(survey.hours.len() as u64, "hours verified");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = |number: usize| {
        survey.hours.get(number).map(|(place, root)| {
            let root = root.and_then(|root| survey.roots.get(root));
            verify_hour::hour(&RealDisk, place, root)
        })
    };
    let mut hours = Vec::new();
    let take = |hour| {
        hours.extend(hour);
        bar.inc(1);
        Ok::<(), std::convert::Infallible>(())
    };
    match workers::in_order(survey.hours.len(), threads, work, take) {
        Ok(()) => bar.finish_and_clear(),
        Err(never) => match never {},
    }
    let mut survey = survey;
    let told = check::days(&RealDisk, &survey);
    survey.problems.0.extend(told.0);
    let found = verify_whole::whole(&RealDisk, survey, hours);
    if args.json {
        output::print_json(&found)?;
    } else {
        output::print(&text(&found))?;
    }
    Ok(match found.worst() {
        Some(Severity::Wrong) => Exit::Failed,
        Some(Severity::Unfinished) => Exit::Incomplete,
        Some(Severity::Note) | None if found.days.is_empty() => Exit::NothingToDo,
        Some(Severity::Note) | None => Exit::Done,
    })
}

/// A line for each day, then what was found, the worst first.
fn text(found: &Found) -> String {
    let mut worst: BTreeMap<Day, Severity> = BTreeMap::new();
    for problem in &found.problems {
        let name = problem
            .path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        if let Some(day) = name.get(..10).and_then(|day| day.parse().ok()) {
            let of_day = worst.entry(day).or_insert(problem.severity);
            *of_day = problem.severity.max(*of_day);
        }
    }
    let mut lines = vec![format!(
        "{:<10}  {:>5}  {:>10}  {:>10}  result",
        "day", "hours", "posts", "data"
    )];
    for (day, of_day) in &found.days {
        let result = match worst.get(day) {
            Some(Severity::Wrong) => "WRONG",
            Some(Severity::Unfinished) => "unfinished",
            Some(Severity::Note) | None => "ok",
        };
        lines.push(format!(
            "{:<10}  {:>5}  {:>10}  {:>10}  {result}",
            day.to_string(),
            of_day.hours,
            of_day.posts,
            output::bytes(of_day.bytes)
        ));
    }
    for problem in &found.problems {
        let word = match problem.severity {
            Severity::Wrong => "WRONG",
            Severity::Unfinished => "unfinished",
            Severity::Note => "note",
        };
        lines.push(format!(
            "{word}: {}: {}",
            problem.path.display(),
            problem.what
        ));
    }
    let wrong = found
        .problems
        .iter()
        .filter(|problem| problem.severity == Severity::Wrong)
        .count();
    let hours: u64 = found.days.values().map(|day| day.hours).sum();
    let checked = format!("{hours} hour{} checked", if hours == 1 { "" } else { "s" });
    lines.push(match found.worst() {
        Some(Severity::Wrong) if wrong == 1 => format!("{checked}: 1 thing does not hold"),
        Some(Severity::Wrong) => format!("{checked}: {wrong} things do not hold"),
        Some(Severity::Unfinished) => {
            format!("{checked}: what is committed holds; something is to be finished")
        }
        Some(Severity::Note) | None if hours == 0 => "there is no hour to check".to_owned(),
        Some(Severity::Note) | None => format!("{checked}: all holds"),
    });
    lines.join("\n") + "\n"
}
