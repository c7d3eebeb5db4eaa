//! `verify`: checks vault hours, days or a whole vault again; needs no keys and no configuration.

use std::path::{Path, PathBuf};

use super::{
    checkout,
    exit::{Exit, Failure},
    global::{Global, users_path},
    output, progress,
    scratch::ScratchFolder,
    setup::{self, Setup},
    witness,
};
use crate::{
    period::Day,
    place::s3::address::SCHEME,
    share::Share,
    source::Sources,
    text::{plural, table},
    verify::{
        found::Found,
        hour,
        problem::{Problems, Severity},
        survey, together,
        whole::ONLY_TOGETHER,
        witness::Witnessed,
    },
    world::{disk::UsersDisk, workers},
};

/// Checks hours, days or a whole vault.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream verify /var/lib/twinstream/vault
  twinstream verify vault/2026-11-23
  twinstream verify vault/2026-11-23/2026-11-23_14_manifest.json
  twinstream verify 2026-11-23_certificate.txt           that file and the day beside it
  twinstream verify s3://archive/vault                   copied to a temporary folder
  twinstream verify vault --share 2/3                    the second of three tasks

Everything is recomputed from the files: hashes, rows, order, the hour of each id, the counts, the
tables of minutes and seconds, the day's files, earlier revisions, the chain of the ledger, and the
files to cite by.

A contradiction is WRONG (exit code 1). Something that is mentioned but missing, or that could not
be checked, is incomplete (exit code 5): an hour, a file of a day, the ledger. Notes say what a
copy of published files cannot show; -q leaves them out. To find out whether two copies are of the
same archive, compare the number of lines of the ledger and the SHA-256 of its last line with those
of a copy from another time or place.

If a time-stamping authority has stamped a line of the ledger, the ledger up to that line cannot
have been changed since. The authority's certificates beside the stamps were put there by whoever
made the archive: download them from the authority itself and give them with --tsa-ca, or compare
the SHA-256.")]
pub(crate) struct VerifyArgs {
    /// A vault, a day's folder, a file of an hour or a day, or a copy of published files
    #[arg(value_parser = users_path(), required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The root certificate (PEM) that must vouch for the stamps [default: those beside the stamps]
    #[arg(value_parser = users_path(), long, value_name = "FILE")]
    tsa_ca: Option<PathBuf>,
    /// Only the days of task I of N; task 1 also checks what does not belong to a day
    #[arg(long, value_name = "I/N")]
    share: Option<Share>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(global: &Global, args: &VerifyArgs) -> Result<Exit, Failure> {
    let (scratch, of_log) = checked_out(global, args)?;
    let paths: Vec<PathBuf> = match &scratch {
        Some(scratch) => vec![scratch.path().to_owned()],
        None => args.paths.clone(),
    };
    for path in &paths {
        if let Err(why) = path.metadata() {
            return Err(Failure::new(
                Exit::Failed,
                format!("cannot verify: {}: {why}", path.display()),
            )
            .hint("name a vault, a day's folder, or a file of an hour or a day"));
        }
    }
    let trust = args.tsa_ca.as_deref().map(witness::trust).transpose()?;
    let mut survey = survey::survey(&UsersDisk, &paths, trust)?;
    if let Some(share) = args.share {
        survey.only(share);
    }
    if survey.hours.is_empty() && survey.roots.is_empty() && survey.problems.0.is_empty() {
        tracing::info!("nothing to verify: there is no hour in the named paths");
        return Ok(Exit::NothingToDo);
    }
    let sources = Sources::known();
    let bar = progress::bar(survey.hours.len() as u64, "hours verified");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = |(place, root): &(survey::HourPlace, Option<usize>)| {
        let root = root.and_then(|root| survey.roots.get(root));
        hour::hour(&UsersDisk, &sources, place, root)
    };
    let mut hours = Vec::new();
    let take = |hour| {
        hours.push(hour);
        bar.inc(1);
        Ok::<(), std::convert::Infallible>(())
    };
    match workers::in_order(&survey.hours, threads, work, take) {
        Ok(()) => bar.finish_and_clear(),
        Err(never) => match never {},
    }
    let found = together(&UsersDisk, &survey, hours).with(of_log);
    if args.json {
        output::print_json(&found)?;
    } else {
        output::print(&text(&found, global.quiet))?;
    }
    Ok(match found.worst() {
        Some(Severity::Wrong) => Exit::Failed,
        Some(Severity::Unfinished | Severity::Incomplete) => Exit::Incomplete,
        Some(Severity::Note) | None if found.days.is_empty() => Exit::NothingToDo,
        Some(Severity::Note) | None => Exit::Done,
    })
}

/// A vault in an object store is copied to a temporary folder: each file is read once, and compared with its manifest
/// on the way. Its Delta Lake log is not copied; if all of the vault is asked for, gives what was found in the log.
fn checked_out(
    global: &Global,
    args: &VerifyArgs,
) -> Result<(Option<ScratchFolder>, Problems), Failure> {
    let is_there = |path: &&PathBuf| path.to_str().is_some_and(|path| path.starts_with(SCHEME));
    let Some(path) = args.paths.iter().find(is_there) else {
        return Ok((None, Problems::default()));
    };
    if 1 < args.paths.len() {
        return Err(Failure::new(
            Exit::Usage,
            "if there are several paths, none may be in an object store",
        )
        .hint("verify one after the other"));
    }
    let path = path.to_string_lossy();
    let day = path
        .rsplit_once('/')
        .and_then(|(vault, day)| Some((vault, day.parse().ok()?)));
    let (vault, day): (&str, Option<Day>) =
        day.map_or((&*path, None), |(vault, day)| (vault, Some(day)));
    let scratch = ScratchFolder::new("verify")?;
    let setup = setup::load(global)?;
    let is_wanted =
        |of: Day| day.is_none_or(|day| day == of) && args.share.is_none_or(|share| share.has(&of));
    checkout::copy(&setup, vault, (scratch.path(), None), &is_wanted)?;
    let mut of_log = Problems::default();
    if day.is_none() && args.share.is_none_or(Share::is_first) {
        of_log = log_found(&setup, vault, scratch.path());
    }
    let scratch = match day {
        Some(day) => scratch.inside(&day.to_string()),
        None => scratch,
    };
    Ok((Some(scratch), of_log))
}

/// What there is to say of the Delta Lake log. If it cannot be read, the copy is verified all the same.
fn log_found(setup: &Setup, vault: &str, copy: &Path) -> Problems {
    let mut found = Problems::default();
    match checkout::check_log(setup, vault, copy) {
        Ok(checked) => {
            for (key, why) in checked.wrong {
                found.wrong(key.as_ref(), why);
            }
            for (key, what) in checked.notes {
                found.note(key.as_ref(), what);
            }
        }
        Err(why) => {
            let log = format!("{vault}/_delta_log/");
            let what = format!("the log could not be checked: {}", why.what);
            found.incomplete(log.as_ref(), what);
        }
    }
    found
}

/// A line for each day and ledger, then what was found, the worst first; notes only on request.
fn text(found: &Found, is_quiet: bool) -> String {
    let head = ["day", "hours", "posts", "data", "result"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (day, of_day) in &found.days {
        let result = match of_day.worst {
            Some(Severity::Wrong) => "WRONG",
            Some(Severity::Unfinished) => "unfinished",
            Some(Severity::Incomplete) => "incomplete",
            Some(Severity::Note) | None => "ok",
        };
        rows.push(vec![
            day.to_string(),
            of_day.hours.to_string(),
            of_day.posts.to_string(),
            output::bytes(of_day.bytes),
            result.to_owned(),
        ]);
    }
    let mut text = table(&rows, &[1, 2, 3]);
    for ledger in &found.ledgers {
        let lines = plural(ledger.lines, "line", "lines");
        text.extend([format!(
            "{}: {lines}, the last one's SHA-256 is {}\n",
            ledger.path.display(),
            ledger.sha256
        )]);
    }
    for witnessed in &found.witnesses {
        text += &witnessed_by(witnessed);
    }
    for problem in &found.problems {
        let word = match problem.severity {
            Severity::Wrong => "WRONG",
            Severity::Unfinished => "unfinished",
            Severity::Incomplete => "incomplete",
            Severity::Note if is_quiet => continue,
            Severity::Note => "note",
        };
        text.extend([format!(
            "{word}: {}: {}\n",
            problem.path.display(),
            problem.what
        )]);
    }
    // a copy is told so among its problems
    let is_told = found
        .problems
        .iter()
        .any(|problem| problem.what == ONLY_TOGETHER);
    if !is_told && !is_quiet && !found.days.is_empty() {
        text += "note: what each server had, and the causes of gaps, were only checked for consistency: the lines \
                 and events that they come from were not read\n";
    }
    text + &summary(found) + "\n"
}

/// Since when the ledger is witnessed, and by whom.
fn witnessed_by(of: &Witnessed) -> String {
    let root = if of.is_by_itself {
        "whose root certificate lies beside the stamps (compare its SHA-256 with the one that the authority \
         publishes)"
    } else {
        "by the root certificate that was given"
    };
    format!(
        "{}: {}; line {} and all before it were there at {}, line {} at {}: says {}, {root}: {}\n",
        of.path.display(),
        plural(of.stamps, "stamp holds", "stamps hold"),
        of.first.line,
        of.first.time,
        of.last.line,
        of.last.time,
        of.last.authority,
        of.roots.join(", ")
    )
}

/// What it comes to, in one line.
fn summary(found: &Found) -> String {
    let hours: u64 = found.days.values().map(|day| day.hours).sum();
    let missing: u64 = found
        .days
        .values()
        .map(|day| day.missing.len() as u64)
        .sum();
    let mut checked = plural(hours, "hour checked", "hours checked");
    if 0 < missing {
        checked.extend([format!(", {missing} missing")]);
    }
    let things = |severity| plural(found.count(severity) as u64, "thing", "things");
    match found.worst() {
        Some(Severity::Wrong) => {
            let verb = if found.count(Severity::Wrong) == 1 {
                "does"
            } else {
                "do"
            };
            format!("{checked}: {} {verb} not hold", things(Severity::Wrong))
        }
        Some(Severity::Unfinished) => {
            format!("{checked}: what is committed holds; something is to be finished")
        }
        Some(Severity::Incomplete) => {
            format!("{checked}: what could be checked holds; it is incomplete")
        }
        Some(Severity::Note) | None if hours == 0 => "there is no hour to check".to_owned(),
        Some(Severity::Note) | None => format!("{checked}: all holds"),
    }
}
