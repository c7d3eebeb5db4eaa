//! What is missing and why, in words and tables.

use super::{
    legs::{self, Alike},
    statement::{OfCause, Share, Statement},
};
use crate::{
    cover::{
        cause::Cause,
        gap::{Gap, UNION},
    },
    period::UtcMs,
    text::{one_line, plural, table, thousands, wrapped},
};

/// Of each server so many gaps are listed, the longest; all are in the day's `_gaps.csv`.
const OF_SERVER_MAX: usize = 50;

/// How many groups of legs are reported; legs that lack the same count as one.
const GROUPS_MAX: usize = 20;

/// Columns that a detail may take in its line.
const DETAIL_MAX: usize = 26;

/// Columns before one that stands on a line of its own.
const DETAIL_INDENT: usize = 53;

/// What a cause means, for a reader who does not know the program.
pub const fn meaning(cause: Cause) -> &'static str {
    match cause {
        Cause::Late => {
            "the server's data for the second is not here yet; if it still comes, it makes a new revision"
        }
        Cause::UpstreamSilence => "all running servers were connected, and none received anything",
        Cause::PlatformDisconnect => "the platform ended the connection and said so",
        Cause::Stall => "the connection was up, but nothing came",
        Cause::ReplayWindow => {
            "the platform no longer had the events when they were requested again"
        }
        Cause::LockOut => {
            "the platform's limits kept the server out: it refused, or no requests were left"
        }
        Cause::Refused => "the platform refused the request; the detail is its status",
        Cause::Network => "the connection broke or could not be made",
        Cause::Disk => "the server's disk was full",
        Cause::NotRunning => "the server did not collect",
        Cause::Unknown => "no cause was found: this is a bug of the program, please report it",
    }
}

/// An instant, to the second.
pub(super) fn second(at: UtcMs) -> String {
    at.to_string().replace('T', " ").chars().take(19).collect()
}

/// The section.
pub(super) fn section(statement: &Statement) -> String {
    let mut text = union(statement);
    let (told, others) = legs::worth_telling(statement, GROUPS_MAX);
    for alike in &told {
        text.push('\n');
        text += &of_server(statement, alike);
    }
    if let Some(others) = others {
        text.extend(["\n", &*wrapped(&others, "", 100)]);
    }
    text += &glossary(statement);
    text
}

fn union(statement: &Statement) -> String {
    let all = &statement.union;
    if statement.committed == 0 {
        return "No second of this day counts, so none is missing.".to_owned();
    }
    if all.gaps == 0 {
        return wrapped(
            "Nothing: every second of the committed hours is covered by at least one server.",
            "",
            100,
        );
    }
    let head = format!(
        "{} {}, {}: {}.",
        plural(all.sum.missing, "second", "seconds"),
        if statement.has_partitions() {
            "in which at least one partition is missing"
        } else {
            "that no server has"
        },
        in_gaps(all.gaps),
        causes(all)
    );
    let gaps: Vec<&Gap> = statement.gaps_of(UNION).collect();
    let end = "The end of a gap is the first second after it.";
    wrapped(&format!("{head} {end}"), "", 100) + "\n" + &list(&gaps)
}

fn in_gaps(gaps: u64) -> String {
    format!("in {}", plural(gaps, "gap", "gaps"))
}

/// `network 30 s in 2 gaps, stall 41 s in 1 gap`
pub(super) fn causes(of: &Share) -> String {
    let mut causes: Vec<(&Cause, &OfCause)> = of.causes.iter().collect();
    causes.sort_by_key(|(cause, of)| (std::cmp::Reverse(of.seconds), **cause));
    let told = causes
        .iter()
        .map(|(cause, of)| format!("{cause} {} s {}", thousands(of.seconds), in_gaps(of.gaps)));
    told.collect::<Vec<String>>().join(", ")
}

fn of_server(statement: &Statement, alike: &Alike<'_>) -> String {
    let (who, share) = (alike.subject(), alike.share);
    let mut gaps = alike.gaps.clone();
    if gaps.is_empty() {
        return format!("{who} covers every second for which it has records.\n");
    }
    let mut head = format!(
        "{who} lacks {} {}: {}.",
        plural(share.in_gaps(), "second", "seconds"),
        in_gaps(share.gaps),
        causes(share)
    );
    if 1 < alike.legs.len() {
        head += " The gaps of the first of them are listed; those of the others are the same within 2 seconds.";
    }
    if OF_SERVER_MAX < gaps.len() {
        gaps.sort_by_key(|gap| (std::cmp::Reverse(gap.seconds()), gap.begin));
        gaps.truncate(OF_SERVER_MAX);
        gaps.sort_by_key(|gap| gap.begin);
        head.extend([format!(
            " The {OF_SERVER_MAX} longest are listed, all of them in {}_gaps.csv.",
            statement.day
        )]);
    }
    wrapped(&head, "", 100) + "\n" + &list(&gaps)
}

/// Gaps as a table. A detail that is too long for its line stands on the next.
fn list(gaps: &[&Gap]) -> String {
    let head = ["  begin (UTC)", "end (UTC)", "seconds", "cause", "detail"];
    let details: Vec<String> = gaps.iter().map(|gap| one_line(&gap.detail)).collect();
    let fits = |detail: &&String| detail.chars().count() <= DETAIL_MAX;
    let row = |(gap, detail): (&&Gap, &String)| {
        let seconds = u64::try_from(gap.seconds()).unwrap_or(0);
        vec![
            format!("  {}", second(gap.begin)),
            second(gap.end),
            thousands(seconds),
            gap.cause.to_string(),
            Some(detail).filter(fits).cloned().unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = std::iter::once(head.map(str::to_owned).to_vec())
        .chain(gaps.iter().zip(&details).map(row))
        .collect();
    let rows = table(&rows, &[2]);
    let mut lines = rows.lines();
    let mut text = lines.next().unwrap_or_default().to_owned() + "\n";
    for (line, detail) in lines.zip(&details) {
        text.extend([line, "\n"]);
        if !fits(&detail) {
            text += &wrapped(detail, &" ".repeat(DETAIL_INDENT), 100);
        }
    }
    text
}

fn glossary(statement: &Statement) -> String {
    let used = |cause: &Cause| statement.gaps.iter().any(|gap| gap.cause == *cause);
    let mut text = String::new();
    for cause in Cause::ALL.into_iter().filter(used) {
        text += &wrapped(&format!("{cause}: {}.", meaning(cause)), "  ", 100);
    }
    if text.is_empty() {
        return text;
    }
    let rule = "If servers lack the same second for different causes, the gap of all together has the one that comes \
                first in this list.";
    format!("\nThe causes:\n{text}{}", wrapped(rule, "  ", 100))
}
