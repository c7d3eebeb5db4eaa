//! The statement in words and numbers: `YYYY-mm-dd_certificate.txt`.
//!
//! Lines of at most 100 columns, for a person.

use std::collections::BTreeSet;

use super::{
    collections,
    gaps::{self, second},
    legs,
    revision::Revision,
    rules, stamped,
    statement::{Share, Statement},
};
use crate::{
    cover::{alike::alike, estimate::Estimate, seconds, window},
    period::{Day, Hour},
    segment::name::Partition,
    source::{Sources, Words},
    text::{self, percent, plural, table, thousands, wrapped},
    vault::{
        deleted::LeftOut,
        manifest::{self, ByWord, Conflicts},
    },
};

/// Columns of a line.
const WIDTH: usize = 100;

/// The section on the books.
const BOOKS: &str = "The books";

/// Backfills that are listed: of many legs, each connection has one.
const BACKFILLS_MAX: usize = 200;

/// Runs of residues that are told one by one.
const RUNS_MAX: usize = 4;

/// The certificate.
pub fn text(statement: &Statement) -> String {
    let title = format!(
        "Certificate of completeness: {}\nstream {}, hours of {}\n{}\n\n",
        statement.day,
        statement.stream,
        statement.timezone,
        "=".repeat(WIDTH)
    );
    let told = Sources::words_of(&statement.stream);
    let brought = format!("What came by {}", told.backfill);
    let sections = [
        ("What this day has", has(statement)),
        ("What is missing, and why", gaps::section(statement)),
        ("What both servers may have missed", unseen(statement)),
        (&*brought, backfills(statement)),
        (BOOKS, books(statement)),
        ("Revisions", revisions(statement)),
        ("Data files", files(statement)),
        ("Witness", witness(statement)),
        ("How to verify this", how_to_verify(statement, told)),
    ];
    let mut text = title + &headline(statement);
    let sections = sections.into_iter().flat_map(|(head, body)| {
        // which rules there were, or what was requested, stands before what they brought
        let rules = (head == BOOKS).then(|| rules::section(statement)).flatten();
        let rules = rules.map(|body| (rules::HEAD, body));
        let requested = (head == BOOKS).then(|| collections::section(statement));
        let requested = requested.flatten().map(|body| (collections::HEAD, body));
        rules.into_iter().chain(requested).chain([(head, body)])
    });
    for (head, body) in sections {
        let line = "-".repeat(head.chars().count());
        text.extend([format!("\n{head}\n{line}\n\n{body}")]);
    }
    text + &format!(
        "\ncertificate format {}, {}\n",
        statement.format, statement.program
    )
}

/// What is covered, and what is missing.
fn covered(statement: &Statement) -> String {
    let sum = &statement.union.sum;
    let uncollected = statement.uncollected();
    let mut words = format!(
        "Of their {}, {}{} by at least one server ({}).",
        plural(statement.committed, "second", "seconds"),
        plural(sum.covered, "is covered", "are covered"),
        match uncollected.is_empty() {
            _ if !statement.has_partitions() => "",
            true => " in every partition",
            false => " in every collected partition",
        },
        percent(sum.covered, statement.committed)
    );
    let missing = if sum.missing == 0 {
        "No second is missing.".to_owned()
    } else if sum.missing == 1 && !statement.has_partitions() {
        let causes = gaps::causes(&statement.union);
        format!("One second is missing: {causes}.")
    } else if statement.has_partitions() {
        format!(
            "The other {} at least one partition: {}.",
            plural(sum.missing, "second lacks", "seconds lack"),
            gaps::causes(&statement.union)
        )
    } else {
        format!(
            "The other {} seconds are missing: {}.",
            thousands(sum.missing),
            gaps::causes(&statement.union)
        )
    };
    words.extend([" ", &missing]);
    let counted = statement.counted().count();
    for (hours, partitions) in &uncollected {
        let which = format!(
            "{} of the {} of the stream",
            Partition::words(partitions),
            Sources::words_of(&statement.stream).partitions
        );
        words.extend([if hours.len() == counted {
            format!(" No server collects {which}: their posts are in no second of this day.")
        } else {
            format!(" In {}, no server collected {which}.", in_hours(hours))
        }]);
    }
    words
}

/// The most important in three sentences.
pub fn headline(statement: &Statement) -> String {
    let mut words = format!(
        "{} in {}. ",
        plural(statement.union.books.posts, "post", "posts"),
        plural(statement.hours.len() as u64, "hour", "hours")
    );
    words += &if statement.committed == 0 {
        "None of their seconds counts: the archive had not begun, or they were still to come."
            .to_owned()
    } else {
        covered(statement)
    };
    if let Some(requested) = collections::sentence(statement) {
        words.extend([" ", &requested]);
    }
    if let Some(estimate) = &statement.estimate {
        words.extend([format!(" {}", estimated(statement, estimate))]);
    }
    if let [.., _, (_, hours)] = statement.windows().as_slice() {
        let from = hours.first().map_or(0, |hour| hour.of_day());
        words.extend([format!(
            " The sampling window changed during this day, the last time at hour {from:02}."
        )]);
    }
    if let Some(began) = statement.began {
        let began = began.to_string();
        let began = began.get(..19).unwrap_or_default();
        words.extend([format!(
            " The archive began at {began}Z. Earlier seconds are neither covered nor missing; earlier posts that \
             arrived later are part of the archive."
        )]);
    }
    let mut text = wrapped(&words, "", WIDTH);
    if !statement.absent.is_empty() {
        let absent = format!(
            "This statement does not include {} of the day that are not in the archive: {}. They are before its \
             beginning, still to come, or not merged yet.",
            plural(statement.absent.len() as u64, "hour", "hours"),
            ranges(&statement.absent)
        );
        text.extend([format!("\n{}", wrapped(&absent, "", WIDTH))]);
    }
    text
}

/// `00-12, 15`
pub fn ranges(hours: &[Hour]) -> String {
    let runs = text::runs(
        hours,
        |a, b| a.0 + 1 == b.0,
        |one| format!("{:02}", one.of_day()),
        |first, last| format!("{:02}-{:02}", first.of_day(), last.of_day()),
    );
    runs.join(", ")
}

/// The table of what each server, and all together, have.
fn has(statement: &Statement) -> String {
    if statement.has_partitions() {
        return legs::has(statement);
    }
    let mut head = vec![String::new(), "together".to_owned()];
    head.extend(statement.servers.keys().map(|id| format!("server {id}")));
    let mut rows = vec![head];
    let all = &statement.union;
    let each = |share: fn(&Share) -> u64| statement.servers.values().map(share);
    let mut number = |what: &str, has_together: bool, of: fn(&Share) -> u64| {
        let together = has_together.then(|| thousands(of(all)));
        let mut row = vec![what.to_owned(), together.unwrap_or_default()];
        row.extend(each(of).map(thousands));
        rows.push(row);
    };
    number("seconds covered", true, |of| of.sum.covered);
    number("  of these quiet", true, |of| of.sum.quiet);
    number("  of these partial", true, |of| of.sum.partial);
    let is_emptied = 0 < all.sum.emptied || each(|of| of.sum.emptied).any(|seconds| 0 < seconds);
    if is_emptied {
        number("  of these emptied", true, |of| of.sum.emptied);
    }
    number("seconds in gaps", true, |of| of.sum.missing);
    number("gaps", true, |of| of.gaps);
    if 0 < all.sum.before || each(|of| of.sum.before).any(|before| 0 < before) {
        number("seconds before the beginning", true, |of| of.sum.before);
    }
    if each(|of| of.sum.untold).any(|untold| 0 < untold) {
        number("seconds without an account", false, |of| of.sum.untold);
    }
    number("posts", true, |of| of.books.posts);
    if 1 < statement.servers.len() {
        number("  that no other server has", false, |of| of.books.only_here);
        let mut by_all = vec!["  that all servers have".to_owned()];
        by_all.push(thousands(statement.seen_by_all));
        rows.push(by_all);
    }
    rows.extend(deletions(statement));
    let right: Vec<usize> = (1..statement.servers.len() + 2).collect();
    let mut words = Sources::words_of(&statement.stream).covered("A second") + ".";
    if is_emptied {
        words += " An emptied second is covered as well: its posts came, and all of them were taken out, or are held \
                  back.";
    }
    if 1 < statement.servers.len() && !is_alike(statement) {
        words += " In some seconds the servers were not sent the same, or it is not known that they were: a post of these \
                  that no other server has is not necessarily one that the others missed.";
    }
    format!("{}\n{}", table(&rows, &right), wrapped(&words, "", WIDTH))
}

/// Rows of what was deleted, and of what is held back, if anything was.
fn deletions(statement: &Statement) -> Vec<Vec<String>> {
    let records = |words: &str, why: LeftOut| {
        let records = statement.deletions.get(why.word())?;
        Some(vec![words.to_owned(), thousands(*records)])
    };
    let rows = [
        records("posts taken out, deleted", LeftOut::Deleted),
        records("posts taken out, account gone", LeftOut::Account),
        records("posts held back", LeftOut::Held),
    ];
    let mut rows: Vec<Vec<String>> = rows.into_iter().flatten().collect();
    let deleted = statement.union.books.deleted;
    if 0 < deleted {
        let mut lines = vec!["lines of what is taken out".to_owned(), thousands(deleted)];
        let servers = statement.servers.values();
        lines.extend(servers.map(|of| thousands(of.books.deleted)));
        rows.push(lines);
    }
    rows
}

/// Whether all servers were sent the same all the time, as far as it is known.
fn is_alike(statement: &Statement) -> bool {
    statement.hours.iter().all(|said| {
        let all: Vec<i64> = seconds::all(&said.intervals).collect();
        let chosen = (said.rules.as_ref(), said.collections.as_ref());
        let mut pairs = said.minutes.servers.array_windows();
        pairs.all(|[first, second]| {
            let alike = alike(&all, chosen, [first, second]);
            alike.is_none_or(|alike| alike.iter().all(|alike| *alike))
        })
    })
}

fn estimated(statement: &Statement, estimate: &Estimate) -> String {
    let which = if is_alike(statement) {
        "that both servers cover"
    } else {
        "that both servers cover and in which they were sent the same"
    };
    match (estimate.unseen, estimate.low) {
        (Some(unseen), Some(low)) => format!(
            "In the seconds {which}, both missed about {} (95 % interval: {} to {}).",
            plural(unseen, "post", "posts"),
            thousands(low),
            thousands(estimate.high)
        ),
        _ => format!(
            "In the seconds {which}, both missed at most {} (97.5 % limit), if they lose posts independently.",
            plural(estimate.high, "post", "posts")
        ),
    }
}

fn unseen(statement: &Statement) -> String {
    let Some(estimate) = &statement.estimate else {
        let why = "This cannot be estimated: that takes two servers, and seconds in which both have posts";
        let why = if is_alike(statement) {
            format!("{why}.")
        } else {
            format!("{why} and were sent the same.")
        };
        return wrapped(&why, "", WIDTH);
    };
    let based_on = if statement.has_partitions() {
        let seconds = plural(estimate.seconds, "partition-second", "partition-seconds");
        format!("{seconds} (each second counts once for each partition that two servers have)")
    } else {
        plural(estimate.seconds, "second", "seconds")
    };
    let others = if is_alike(statement) {
        ""
    } else {
        ", and seconds in which it is not known that the servers were sent the same,"
    };
    let words = format!(
        "{} The estimate is based on {based_on}; seconds in gaps and at their edges{others} do not count. Method: {}, summed over the minutes of the day.",
        estimated(statement, estimate),
        estimate.method
    );
    let assumes = Sources::words_of(&statement.stream).assumes;
    wrapped(&words, "", WIDTH) + "\n" + &wrapped(assumes, "", WIDTH)
}

fn backfills(statement: &Statement) -> String {
    let head = [
        "server",
        "connected (UTC)",
        "hour",
        "minutes",
        "posts",
        "copies",
        "hole: cause",
        "found",
        "open",
    ];
    let rows = statement.backfills().map(|(hour, backfill)| {
        let (cause, closed, open) = backfill.hole.as_ref().map_or_else(
            || ("-".to_owned(), String::new(), String::new()),
            |hole| {
                let seconds = |count| format!("{} s", thousands(count));
                (
                    hole.cause.to_string(),
                    seconds(hole.closed),
                    seconds(hole.open),
                )
            },
        );
        vec![
            backfill.server.to_string(),
            second(backfill.connected),
            format!("{:02}", hour.of_day()),
            backfill.minutes.to_string(),
            thousands(backfill.posts),
            thousands(backfill.duplicates),
            cause,
            closed,
            open,
        ]
    });
    let mut rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        return "No connection of this day asked for what it had missed.\n".to_owned();
    }
    let beyond = rows.len().saturating_sub(BACKFILLS_MAX);
    rows.truncate(BACKFILLS_MAX);
    let rows = [vec![head.map(str::to_owned).to_vec()], rows].concat();
    let words = "Some connections asked for the minutes before they began. Each line is about one connection and one \
                 hour: how many posts it brought, and how many copies of posts that the server already had. It also \
                 says how many seconds of the hole before the connection were found and how many are still open, as \
                 far back as those minutes reach.";
    let others = match beyond {
        0 => String::new(),
        _ => format!(
            "\n{} later ones are not listed; certificate.json has them all.\n",
            thousands(beyond as u64)
        ),
    };
    wrapped(words, "", WIDTH) + "\n" + &table(&rows, &[2, 3, 4, 5, 7, 8]) + &others
}

/// Words with their counts, most first.
fn words_of(counts: &ByWord) -> String {
    let mut counts: Vec<(&String, &u64)> = counts.iter().collect();
    counts.sort_by_key(|(word, count)| (std::cmp::Reverse(**count), (*word).clone()));
    let told = counts
        .iter()
        .map(|(word, count)| format!("{word} {}", thousands(**count)));
    told.collect::<Vec<String>>().join(", ")
}

fn books(statement: &Statement) -> String {
    let all = &statement.union.books;
    let held = statement.deletions.get(LeftOut::Held.word()).copied();
    let held = held.unwrap_or(0);
    let some = |count: u64, one: &str, more: &str| match count {
        0 => String::new(),
        one_or_more => plural(one_or_more, one, more),
    };
    let told = all.unlisted.saturating_sub(held);
    let (event, events) = (
        "deletion or account event, ",
        "deletions and account events, ",
    );
    let (post, posts) = ("post that is held back, ", "posts that are held back, ");
    let unlisted = some(told, event, events) + &some(held, post, posts);
    let (line, of_deleted) = (
        "line of what was taken out, ",
        "lines of what was taken out, ",
    );
    let deleted = some(all.deleted, line, of_deleted);
    let mut lines = vec![format!(
        "{} received: {}, {unlisted}{deleted}{}, {}.",
        plural(all.lines, "line was", "lines were"),
        plural(all.posts, "post", "posts"),
        plural(all.duplicates, "further copy", "further copies"),
        plural(
            all.rejected_lines(),
            "line that is not a post",
            "lines that are not posts"
        )
    )];
    if !all.rejected.is_empty() {
        lines.push(format!(
            "The lines that are not posts, by reason: {}. They are kept as received, and are not public.",
            words_of(&all.rejected)
        ));
    }
    let Conflicts { posts, by_field } = &statement.conflicts;
    lines.push(if *posts == 0 {
        "No post has copies that differ.".to_owned()
    } else {
        format!(
            "{} copies that differ, in: {}. The copy that came first is kept.",
            plural(*posts, "post has", "posts have"),
            words_of(by_field)
        )
    });
    if !statement.redactions.is_empty() {
        lines.push(format!(
            "{} taken out on request, by reason: {}. They are in none of the files, and no other number here \
             includes them.",
            plural(statement.redactions.values().sum(), "post was", "posts were"),
            words_of(&statement.redactions)
        ));
    }
    if !statement.deletions.is_empty() {
        lines.push(
            "Posts are taken out because they were deleted, or because their account was deleted or taken down. They \
             are in none of the files, and no other number here includes them. Posts are held back while their \
             account is not active: they are in no list, and are taken out after 30 days."
                .to_owned(),
        );
    }
    lines.extend(sampled(statement));
    lines.extend(window_by_hour(statement));
    let wrapped = lines.iter().map(|line| wrapped(line, "", WIDTH));
    wrapped.collect::<Vec<String>>().join("\n")
}

/// The sampling window, as the ids show it.
fn sampled(statement: &Statement) -> Option<String> {
    let mut runs: Vec<(u64, u64, u64)> = statement
        .residues
        .chunk_by(|a, b| a.0 + 1 == b.0)
        .filter_map(|run| Some((run.first()?.0, run.last()?.0, run.iter().map(|r| r.1).sum())))
        .collect();
    if runs.is_empty() {
        let told = Sources::words_of(&statement.stream).no_window;
        return (!told.is_empty()).then(|| format!("Sampling window: {told}."));
    }
    runs.sort_by_key(|(first, _, ids)| (std::cmp::Reverse(*ids), *first));
    let told = runs.iter().take(RUNS_MAX).map(|(first, last, ids)| {
        let ids = plural(*ids, "id", "ids");
        if first == last {
            format!("{first} ({ids})")
        } else {
            format!("{first}-{last} ({ids})")
        }
    });
    let mut text = format!(
        "Sampling window: (id >> 22) % 1000, the last three digits of the milliseconds that an id counts, is {}",
        told.collect::<Vec<String>>().join(", ")
    );
    let others = runs.get(RUNS_MAX..).unwrap_or_default();
    if !others.is_empty() {
        let ids: u64 = others.iter().map(|(.., ids)| ids).sum();
        text.extend([format!(
            ", and in {} others ({})",
            thousands(others.len() as u64),
            plural(ids, "id", "ids")
        )]);
    }
    Some(text + ".")
}

/// Which hours have which window; the milliseconds of an hour that have far fewer ids than others are strays.
fn window_by_hour(statement: &Statement) -> Option<String> {
    let told: Vec<String> = statement
        .windows()
        .iter()
        .map(|(window, hours)| format!("{} in {}", window::words(window), in_hours(hours)))
        .collect();
    match told.as_slice() {
        [] => None,
        [one] => Some(format!("Without strays it is {one}.")),
        several => Some(format!(
            "It changed during this day, and the sample changed with it: without strays it is {}.",
            several.join(", then ")
        )),
    }
}

/// `hour 13`, `hours 00-12, 15`
pub fn in_hours(hours: &[Hour]) -> String {
    match hours {
        [_] => format!("hour {}", ranges(hours)),
        _ => format!("hours {}", ranges(hours)),
    }
}

fn revisions(statement: &Statement) -> String {
    let words = "Late data makes a new revision of its hour. Each line has the hour, the revision and the SHA-256 of \
                 its manifest. The ledger lists all revisions, each line chained to the one before by its hash. Below \
                 a later revision is what it changed in this certificate: posts, seconds in gaps, the causes of the \
                 remaining gaps, the estimate.";
    let mut text = wrapped(words, "", WIDTH) + "\n";
    for Revision { of, change } in &statement.revisions {
        text.extend([format!(
            "  {}  r{:<2} {}\n",
            of.hour, of.revision, of.manifest_sha256
        )]);
        if let Some(change) = change {
            text += &wrapped(&change.words(), "                 ", WIDTH);
        }
    }
    text
}

fn files(statement: &Statement) -> String {
    let words = "SHA-256 and name of each file. Only the lists (IDs.txt.xz) may be public. This command checks the \
                 files that are beside this certificate:";
    let command = check_hashes(statement.day);
    let outputs = statement.hours.iter().flat_map(|said| &said.outputs);
    let lines = outputs.map(|output| format!("{}  {}\n", output.sha256, output.name));
    format!(
        "{}\n  {command}\n\n{}",
        wrapped(words, "", WIDTH),
        lines.collect::<String>()
    )
}

/// The command that checks the hashes with common tools. `sha256sum` would warn of all other lines.
pub fn check_hashes(day: Day) -> String {
    format!("grep '^[0-9a-f]\\{{64\\}}  ' {day}_certificate.txt | sha256sum -c --ignore-missing")
}

/// Since when the manifests are what they are.
fn witness(statement: &Statement) -> String {
    let Some(stamp) = &statement.witness else {
        let words = "When this was written, no stamp of an authority covered all manifests of this day: only the \
                     archive itself says that they are what was committed. A later stamp (in witness/ beside the \
                     ledger) covers them too; `twinstream verify` shows it.";
        return wrapped(words, "", WIDTH);
    };
    let words = format!(
        "Any change to a manifest of this day after the time below can be detected, even one by the makers of the \
         archive. At that time, a time-stamping authority (RFC 3161) signed the hash of line {} of the ledger, and \
         each line has the hash of the one before. The stamp is in witness/ beside the ledger:",
        stamp.line
    );
    format!("{}\n{}", wrapped(&words, "", WIDTH), stamped::text(stamp))
}

fn how_to_verify(statement: &Statement, told: &Words) -> String {
    let window = if statement.residues.is_empty() {
        ""
    } else {
        "the sampling window, "
    };
    let names = told.names;
    let words = format!(
        "Run `twinstream verify FOLDER` on this day's folder, or on all days with the ledger. It needs no key and no \
         configuration. From the {names} it recomputes how many posts each hour has, which seconds are covered and \
         which are in gaps, {window}and all hashes; it checks that the {names} are in order and belong to their hour. \
         From the manifests it recomputes the estimate, the day's tables, and this certificate as values \
         (certificate.json); from those values it makes this text again, word by word. It compares the manifests with \
         the ledger: they must be those that were committed. It cannot recompute what each server had, or why there \
         is a gap; there it can only check that everything is consistent, and is what was committed.",
    );
    let programs: BTreeSet<&str> = statement
        .hours
        .iter()
        .map(|said| said.program.as_str())
        .collect();
    let programs: Vec<&str> = programs.into_iter().collect();
    let by = format!(
        "The manifests have format {} and were written by {}.",
        manifest::FORMAT,
        programs.join(", ")
    );
    wrapped(&words, "", WIDTH) + "\n" + &wrapped(&by, "", WIDTH)
}
