//! What a stranger needs to use the published files of a day: `YYYY-mm-dd_README.md`.

use super::{
    certificate::{check_hashes, ranges},
    gaps::{causes, meaning, second},
    legs, stamped,
    statement::{Share, Statement},
};
use crate::{
    cover::{
        cause::Cause,
        gap::{Gap, UNION},
    },
    period::Day,
    source::{Sources, Words},
    text::{percent, plural, thousands, wrapped},
};

/// Gaps that are listed, the longest; all are in the day's `_gaps.csv`.
const GAPS_MAX: usize = 20;

/// How many groups of legs are reported; legs that lack the same count as one.
const LEGS_MAX: usize = 20;

/// Columns of a line of text.
const WIDTH: usize = 100;

/// The README.
pub fn text(statement: &Statement) -> String {
    let day = statement.day;
    let told = Sources::words_of(&statement.stream);
    let names = told.names;
    let to_posts = format!("From {names} to posts");
    let sections = [
        ("What is missing", missing(statement)),
        (&*to_posts, hydrate(day, told)),
        ("How to cite", cite(statement, told)),
        ("What you may do with it", terms(told)),
        ("Protection against later changes", since(statement)),
        ("How to verify it", verify(day, names)),
    ];
    let mut text = format!("# {}, {day}\n\n{}", told.titled, what(statement, told));
    for (head, body) in sections {
        text.extend([format!("\n## {head}\n\n{body}")]);
    }
    text + &format!("\n<!-- README format {} -->\n", statement.format)
}

fn what(statement: &Statement, told: &Words) -> String {
    let Statement { day, timezone, .. } = statement;
    let Share { sum, books, .. } = &statement.union;
    let words = format!(
        "The {} of {} that {} sent on {day} (hours of {timezone}), as received by {}. Of {} in {}, {} are covered by \
         at least one server ({}).",
        told.names,
        plural(books.posts, "post", "posts"),
        told.stream,
        plural(legs::servers(statement) as u64, "server", "servers"),
        plural(statement.committed, "second", "seconds"),
        plural(statement.hours.len() as u64, "hour", "hours"),
        thousands(sum.covered),
        percent(sum.covered, statement.committed)
    );
    let words = match statement.began {
        Some(began) => format!(
            "{words} The archive began at {}. Earlier seconds are neither covered nor missing; earlier posts that \
             arrived later are part of the archive.",
            second(began) + " UTC"
        ),
        None => words,
    };
    let files = [
        ("hh_IDs.txt.xz", told.ids),
        (
            "hh_manifest.json",
            "what the hour has: counts, hashes, each second's coverage, gaps with causes",
        ),
        ("report.txt", "posts of each hour and server"),
        (
            "gaps.csv",
            "every gap of each server and of all together (`union`), with its cause",
        ),
        (
            "exposure.csv",
            "covered seconds and posts of each minute: the offset for count models",
        ),
        (
            "certificate.txt",
            "all of this in words and numbers, with the hashes",
        ),
        ("certificate.svg", "the same as a picture"),
        (
            "certificate.json",
            "the same as values, for programs: everything that certificate, picture and this text say",
        ),
        ("README.md", "this text"),
    ];
    let rows = files
        .iter()
        .map(|(name, what)| format!("| `{day}_{name}` | {what} |\n"));
    let ledger = "`ledger.jsonl`, in the root of the archive, lists every revision of every hour, each line chained \
                  to the one before by its hash. Late data makes a new revision of its hour.";
    format!(
        "{}\n| file | what it is |\n|---|---|\n{}\n{}",
        wrapped(&words, "", WIDTH),
        rows.collect::<String>(),
        wrapped(ledger, "", WIDTH)
    )
}

fn missing(statement: &Statement) -> String {
    let all = &statement.union;
    let mut gaps: Vec<&Gap> = statement.gaps_of(UNION).collect();
    let mut text = if gaps.is_empty() {
        "Every second of the hours that are here is covered by at least one server.\n".to_owned()
    } else {
        let words = format!(
            "{} in {} {}: {}.",
            plural(all.sum.missing, "second", "seconds"),
            plural(all.gaps, "gap", "gaps"),
            if statement.has_partitions() {
                "in which at least one partition is missing"
            } else {
                "that no server has"
            },
            causes(all)
        );
        wrapped(&words, "", WIDTH)
    };
    if GAPS_MAX < gaps.len() {
        gaps.sort_by_key(|gap| (std::cmp::Reverse(gap.seconds()), gap.begin));
        gaps.truncate(GAPS_MAX);
        gaps.sort_by_key(|gap| gap.begin);
        text.extend([format!("The {GAPS_MAX} longest:\n")]);
    }
    if !gaps.is_empty() {
        text += "\n| begin (UTC) | first second after it | seconds | cause |\n|---|---|---:|---|\n";
        for gap in gaps {
            let seconds = u64::try_from(gap.seconds()).unwrap_or(0);
            text.extend([format!(
                "| {} | {} | {} | {} |\n",
                second(gap.begin),
                second(gap.end),
                thousands(seconds),
                gap.cause
            )]);
        }
    }
    text += &of_servers(statement);
    if !statement.absent.is_empty() {
        let words = format!(
            "These hours of the day are not part of the archive (yet): {}.",
            ranges(&statement.absent)
        );
        text.extend([format!("\n{}", wrapped(&words, "", WIDTH))]);
    }
    let covered = "A covered second may still lack posts; the certificate estimates how many posts both servers \
                   missed. If you count posts over time, use the covered seconds in `exposure.csv` as the offset: a \
                   minute with few posts may have been covered for only a few seconds.";
    text + "\n" + &wrapped(covered, "", WIDTH)
}

/// What each server lacks, and what the causes mean.
fn of_servers(statement: &Statement) -> String {
    let mut text = String::from("\n");
    let (told, others) = legs::worth_telling(statement, LEGS_MAX);
    for alike in &told {
        let (who, share) = (alike.subject(), alike.share);
        let words = if share.gaps == 0 {
            format!("{who} covers every second for which it has records.")
        } else {
            format!(
                "{who} lacks {} in {}: {}.",
                plural(share.in_gaps(), "second", "seconds"),
                plural(share.gaps, "gap", "gaps"),
                causes(share)
            )
        };
        text += &item(&words);
    }
    text.extend(others.map(|words| item(&words)));
    let used = |cause: &Cause| statement.gaps.iter().any(|gap| gap.cause == *cause);
    let used: Vec<Cause> = Cause::ALL.into_iter().filter(used).collect();
    if !used.is_empty() {
        text += "\nThe causes:\n\n";
        for cause in used {
            text += &item(&format!("`{cause}`: {}.", meaning(cause)));
        }
    }
    text
}

/// An item of a list.
fn item(words: &str) -> String {
    let text = wrapped(words, "  ", WIDTH);
    format!("-{}", text.get(1..).unwrap_or_default())
}

fn hydrate(day: Day, told: &Words) -> String {
    let commands = told.commands.replace("{day}", &day.to_string());
    format!(
        "{}\n```\n{commands}\n```\n\n{}",
        wrapped(told.fetch, "", WIDTH),
        wrapped(told.note, "", WIDTH)
    )
}

fn cite(statement: &Statement, told: &Words) -> String {
    let archive = statement.doi.as_ref().map_or_else(
        || {
            "If there is a `DATASET.md` in the root of the archive, it says what the archive is, who made it and how \
             to cite it (`CITATION.cff` beside it has the same for reference managers). Otherwise cite the project \
             that this folder belongs to, by the DOI or address at which you found it."
                .to_owned()
        },
        |doi| {
            format!(
                "Cite the archive by its DOI: <{}>. `DATASET.md` in its root says what it is, who made it and how to \
                 cite it (`CITATION.cff` beside it has the same for reference managers).",
                doi.url()
            )
        },
    );
    let state = "Also say which state of it you used: the day, and the SHA-256 of its certificate. Then others can \
                 check later whether they have the same files:";
    let example = format!(
        "> {}, {}, {}, {} covered. Certificate: SHA-256 … (`sha256sum \
         {}_certificate.txt`).",
        told.titled,
        statement.day,
        told.cited_as,
        percent(statement.union.sum.covered, statement.committed),
        statement.day
    );
    let words = format!("{archive} {state}");
    format!("{}\n{example}\n", wrapped(&words, "", WIDTH))
}

/// What stamp covers the day.
fn since(statement: &Statement) -> String {
    let Some(stamp) = &statement.witness else {
        let words = "When this was written, no time-stamping authority had stamped a ledger with all manifests of \
                     this day. Later stamps are in `witness/` beside the ledger, and the command below names them.";
        return wrapped(words, "", WIDTH);
    };
    let words = format!(
        "The ledger is stamped: at the time below, a time-stamping authority (RFC 3161) signed the hash of its line \
         {}. Each line has the hash of the one before, and the lines up to this one have the hashes of this day's \
         manifests. So any change to these manifests after that time can be detected, whoever made it.",
        stamp.line
    );
    format!("{}\n{}", wrapped(&words, "", WIDTH), stamped::fenced(stamp))
}

fn terms(told: &Words) -> String {
    let rules: Vec<String> = told.rules.iter().map(|rule| item(rule)).collect();
    format!(
        "{}
{}",
        wrapped(told.terms, "", WIDTH),
        rules.concat()
    )
}

fn verify(day: Day, names: &str) -> String {
    let words = "Leave this folder as it is, and put `ledger.jsonl` from the root of the archive beside or above it. \
                 This command then runs on any machine, without a key or a configuration:";
    let note = format!(
        "It recomputes from the {names} what the manifests say, and from the manifests `certificate.json` and the \
         tables. From `certificate.json` it makes the certificate, its picture and this text again. It compares the \
         manifests with the ledger. It names every value, and every line of a day's file, that was changed, and the \
         minute of {names} that were added, removed or moved. If {names} were replaced by others of the same minute, \
         it names only the hour; which ones they were can be seen only in the archive, where the posts are. If an \
         hour or a file is mentioned but is not here, the result is incomplete (exit code 5); if anything \
         contradicts, it is wrong (exit code 1)."
    );
    let head = "Anyone who changes everything consistently has to change the ledger too. `verify` prints the number \
                of lines of the ledger and the SHA-256 of the last one (as does the second command above). Compare \
                both with a copy from another time or place, such as the former versions that the public storage \
                keeps. If that copy has more lines, its next line has this SHA-256 as `previous`. Without a ledger, \
                nothing shows that a manifest is the one that was committed.";
    format!(
        "{}\n```\ntwinstream verify .\n```\n\nOr only the hashes, with common tools:\n\n```\n{}\n\
         tail -n 1 ledger.jsonl | tr -d '\\n' | sha256sum\n```\n\n{}\n{}",
        wrapped(words, "", WIDTH),
        check_hashes(day),
        wrapped(&note, "", WIDTH),
        wrapped(head, "", WIDTH)
    )
}
