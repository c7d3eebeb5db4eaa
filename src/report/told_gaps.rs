//! What is missing and why, in words and tables.

use std::collections::BTreeSet;

use super::statement::Statement;
use crate::{
    cover::{
        cause::Cause,
        gap::{Gap, UNION},
    },
    period::UtcMs,
    text::{one_line, plural, table, thousands, wrapped},
};

/// A gap as a file tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// In which line.
    pub line: usize,
    /// The server, or the union.
    pub server: String,
    /// Its first second.
    pub begin: UtcMs,
    /// The first second after it.
    pub end: UtcMs,
    /// The word of its cause.
    pub cause: String,
}

/// Of each server so many gaps are listed, the longest; all are in the day's `_gaps.csv`.
const OF_SERVER_MAX: usize = 50;

/// What is said where not all of a server's are listed.
const LONGEST: &str = "longest are listed";

/// The head of this section, and that of the next one.
pub(super) const HEAD: &str = "What is missing, and why";
pub(super) const NEXT_HEAD: &str = "What both servers may have missed";

/// Columns that a detail may take in its line.
const DETAIL_MAX: usize = 26;

/// Columns before one that stands on a line of its own.
const DETAIL_INDENT: usize = 53;

/// What a cause means, for somebody who has never seen the program.
pub const fn meaning(cause: Cause) -> &'static str {
    match cause {
        Cause::Late => {
            "no record of the server covers the second yet; its data may still come, and then makes a \
             new revision"
        }
        Cause::UpstreamSilence => "all servers that ran were connected, and none got anything",
        Cause::PlatformDisconnect => "the platform ended the connection and said so",
        Cause::Stall => "the connection was up and brought nothing",
        Cause::ReplayWindow => "the platform no longer had it when it was asked for again",
        Cause::LockOut => "the platform did not let the server in for a while (limits)",
        Cause::Refused => "the platform refused the request; the detail is its status",
        Cause::Network => "the connection broke or could not be made",
        Cause::Disk => "the server's disk was full",
        Cause::NotRunning => "the server did not collect",
        Cause::Unknown => "no cause can be shown: a fault of the program to report",
    }
}

/// An instant, to the second.
pub(super) fn second(at: UtcMs) -> String {
    at.to_string().replace('T', " ").chars().take(19).collect()
}

/// The section.
pub(super) fn section(statement: &Statement<'_>) -> String {
    let mut text = union(statement);
    for server in statement.servers.keys() {
        text.push('\n');
        text += &of_server(statement, &server.to_string());
    }
    text += &glossary(statement);
    text
}

fn union(statement: &Statement<'_>) -> String {
    let (sum, _) = &statement.union;
    if sum.gaps == 0 {
        return wrapped(
            "Nothing: no second of the committed hours is without a server that covers it.",
            "",
            100,
        );
    }
    let head = format!(
        "{} {}, {}: {}.",
        plural(sum.missing, "second", "seconds"),
        if statement.has_partitions() {
            "in which no server has some partition"
        } else {
            "that no server has"
        },
        in_gaps(sum.gaps),
        causes(statement, UNION)
    );
    let gaps: Vec<&Gap> = statement.gaps_of(UNION).collect();
    let end = "The end of a gap is the first second after it.";
    wrapped(&format!("{head} {end}"), "", 100) + "\n" + &list(&gaps)
}

/// The gaps that a certificate lists, and of which servers, or the union, it lists all.
pub(super) fn read(text: &str) -> (Vec<Told>, BTreeSet<String>) {
    let section = text
        .split_once(&format!("\n{HEAD}\n"))
        .map(|(before, section)| {
            let lines_before = before.lines().count() + 1;
            let end = section
                .find(&format!("\n{NEXT_HEAD}\n"))
                .unwrap_or(section.len());
            (lines_before, section.get(..end).unwrap_or_default())
        });
    let (lines_before, section) = section.unwrap_or((0, ""));
    let mut of = UNION.to_owned();
    let (mut told, mut all) = (Vec::new(), BTreeSet::from([of.clone()]));
    for (number, line) in (lines_before + 1..).zip(section.lines()) {
        let mut words = line.split_whitespace();
        match (line.strip_prefix("Server "), words.next()) {
            (Some(rest), _) => {
                rest.split(' ')
                    .next()
                    .unwrap_or_default()
                    .clone_into(&mut of);
                all.insert(of.clone());
            }
            (None, Some(first)) if line.starts_with("  ") => {
                if let Some((begin, end)) = begin_and_end(first, &mut words) {
                    let _seconds = words.next();
                    let rest: Vec<&str> = words.collect();
                    let cause = cause_of(&rest.join(" "));
                    told.push(Told {
                        line: number,
                        server: of.clone(),
                        begin,
                        end,
                        cause,
                    });
                }
            }
            _ => (),
        }
        if line.contains(LONGEST) {
            all.remove(&of);
        }
    }
    (told, all)
}

/// `2026-11-23 14:05:09  2026-11-23 14:05:10`, of which the first word was read.
fn begin_and_end<'a>(
    day: &str,
    words: &mut impl Iterator<Item = &'a str>,
) -> Option<(UtcMs, UtcMs)> {
    let begin = instant(day, words.next()?)?;
    let end = instant(words.next()?, words.next()?)?;
    Some((begin, end))
}

/// The cause with which a text begins; the text if it is none.
fn cause_of(text: &str) -> String {
    let mut causes = Cause::ALL.into_iter().map(Cause::word);
    let known = causes.find(|word| {
        let rest = text.strip_prefix(word);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    });
    known.unwrap_or(text).to_owned()
}

/// An instant as it is told here: `2026-11-23` and `14:05:09`.
pub(super) fn instant(day: &str, time: &str) -> Option<UtcMs> {
    format!("{day}T{time}Z").parse().ok()
}

fn in_gaps(gaps: u64) -> String {
    format!("in {}", plural(gaps, "gap", "gaps"))
}

/// `network 30 s in 2 gaps, stall 41 s in 1 gap`
pub(super) fn causes(statement: &Statement<'_>, of: &str) -> String {
    let causes = statement.causes(of);
    let mut causes: Vec<(&Cause, &(u64, u64))> = causes.iter().collect();
    causes.sort_by_key(|(cause, (_, seconds))| (std::cmp::Reverse(*seconds), **cause));
    let told: Vec<String> = causes
        .iter()
        .map(|(cause, (gaps, seconds))| {
            format!("{cause} {} s {}", thousands(*seconds), in_gaps(*gaps))
        })
        .collect();
    told.join(", ")
}

fn of_server(statement: &Statement<'_>, server: &str) -> String {
    let mut gaps: Vec<&Gap> = statement.gaps_of(server).collect();
    if gaps.is_empty() {
        return format!("Server {server} has every second that it gives an account of.\n");
    }
    let missing: u64 = statement.causes(server).values().map(|(_, s)| s).sum();
    let mut head = format!(
        "Server {server} lacks {} {}: {}.",
        plural(missing, "second", "seconds"),
        in_gaps(gaps.len() as u64),
        causes(statement, server)
    );
    if OF_SERVER_MAX < gaps.len() {
        gaps.sort_by_key(|gap| (std::cmp::Reverse(gap.seconds()), gap.begin));
        gaps.truncate(OF_SERVER_MAX);
        gaps.sort_by_key(|gap| gap.begin);
        head.extend([format!(
            " The {OF_SERVER_MAX} {LONGEST}, all of them in {}_gaps.csv.",
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

fn glossary(statement: &Statement<'_>) -> String {
    let used = |cause: &Cause| statement.gaps.iter().any(|gap| gap.cause == *cause);
    let mut text = String::new();
    for cause in Cause::ALL.into_iter().filter(used) {
        text += &wrapped(&format!("{cause}: {}.", meaning(cause)), "  ", 100);
    }
    if text.is_empty() {
        return text;
    }
    let rule =
        "A second of the union has one cause: of its servers' causes the first in this order.";
    format!("\nThe causes:\n{text}{}", wrapped(rule, "  ", 100))
}
