//! The sentences that several files have. They say what this archive has, and nothing of the service that it
//! was collected from.

use super::{day::DaySum, description::Description};
use crate::{
    cover::cause::Cause,
    report::{gaps::meaning, statement::OfCause},
    text::{percent, plural, thousands},
};

/// What it is.
pub(super) fn what(of: &Description<'_>) -> String {
    let (begin, end) = instants(of);
    format!(
        "{} of {} that {} sent from {begin} to {end}, as received by {}: one list an hour ({}), with a statement of \
         which seconds are missing and why. The posts themselves are not included.",
        of.told().listed,
        plural(of.sum.posts, "post", "posts"),
        of.told().stream,
        plural(of.sum.servers.len() as u64, "server", "servers"),
        plural(of.sum.hours, "hour", "hours"),
    )
}

/// The same with what its makers say of it before.
pub(super) fn description(of: &Description<'_>) -> String {
    match &of.dataset.description {
        Some(own) => format!("{own}\n\n{}", what(of)),
        None => what(of),
    }
}

/// Begin and end, to the second.
pub(super) fn instants(of: &Description<'_>) -> (String, String) {
    let second =
        |at: crate::period::UtcMs| at.to_string().chars().take(19).collect::<String>() + "Z";
    (second(of.time.0), second(of.time.1))
}

/// How it was collected.
pub(super) fn collection(of: &Description<'_>) -> String {
    format!(
        "Each server holds one connection to the stream, stores every line as received, with the time of its \
         arrival, and records what happens to the connection. A post belongs to the hour in which it was made, as {} \
         tells. Several copies of a post count once; only its {} is published. The manifest of each hour has counts, \
         hashes, and what is known of each second; ledger.jsonl lists every revision of every hour, each line chained \
         to the one before by its hash.",
        of.told().dated_by,
        of.told().name
    ) + &of.sum.chosen.words()
}

/// What is missing, and why.
pub(super) fn missing(of: &Description<'_>) -> String {
    let sum = &of.sum;
    let has_partitions = 0 < of.told().partitions;
    let mut text = format!(
        "This archive covers {} of {} of its {} ({}). A second is covered if{} at least one server received a post \
         that was made in it, or was connected while none came ({} of these seconds).",
        thousands(sum.covered),
        plural(sum.seconds, "second", "seconds"),
        plural(sum.hours, "hour", "hours"),
        percent(sum.covered, sum.seconds),
        if has_partitions {
            ", in each partition of the stream that is collected,"
        } else {
            ""
        },
        thousands(sum.quiet),
    );
    if 0 < of.before {
        text.extend([format!(
            " {} of these hours {} before the archive began: they are neither covered nor missing. Posts that were \
             made in them and arrived later are part of the archive.",
            plural(of.before, "second", "seconds"),
            if of.before == 1 { "lies" } else { "lie" }
        )]);
    }
    if sum.missing == 0 {
        text += " No second of these hours is missing.";
    } else {
        text.extend([format!(
            " {} in {} missing: {}. {} at the edge of a gap and may be covered only in part.",
            plural(sum.missing, "second", "seconds"),
            plural(sum.gaps(), "gap is", "gaps are"),
            causes(of),
            plural(sum.partial, "covered second lies", "covered seconds lie"),
        )]);
    }
    if of.absent == 0 {
        text += " No hour between the beginning and the end of the archive is absent.";
    } else {
        text.extend([format!(
            " {} between the beginning and the end of the archive {} absent.",
            plural(of.absent, "hour", "hours"),
            if of.absent == 1 { "is" } else { "are" }
        )]);
    }
    if let Some(unseen) = of.sum.unseen {
        let many = match unseen.likely {
            0 => format!("at most {}", thousands(unseen.high)),
            likely => format!(
                "about {}, from {} to {}",
                thousands(likely),
                thousands(unseen.low),
                thousands(unseen.high)
            ),
        };
        text.extend([format!(
            " Posts that both servers missed in the {} for which both have posts: {many} (Chapman's estimate for \
             each day, added up). {}",
            if has_partitions {
                let seconds = plural(unseen.seconds, "partition-second", "partition-seconds");
                format!("{seconds} (one second of one partition each)")
            } else {
                plural(unseen.seconds, "second", "seconds")
            },
            of.told().assumes
        )]);
    }
    text += &taken_out(sum);
    text + " Each day's _gaps.csv has every gap with its cause, and its _exposure.csv the covered seconds of each \
            minute. All of this describes the archive; it does not measure the service that it was collected from."
}

/// What is not in it though it was received.
fn taken_out(sum: &DaySum) -> String {
    let told = [
        (sum.removed, "was", "were", "taken out on request"),
        (
            sum.deleted,
            "was",
            "were",
            "taken out because of a deletion, or because an account is gone",
        ),
        (
            sum.held,
            "is",
            "are",
            "held back while an account is not active",
        ),
    ];
    let told = told.into_iter().filter(|(posts, ..)| 0 < *posts);
    let told = told.map(|(posts, one, more, why)| {
        let posts = plural(posts, &format!("post {one}"), &format!("posts {more}"));
        format!(" {posts} {why}.")
    });
    told.collect()
}

/// The causes of the union's gaps, the longest first.
fn causes(of: &Description<'_>) -> String {
    let mut causes: Vec<(&Cause, &OfCause)> = of.sum.causes.iter().collect();
    causes.sort_by_key(|(cause, of)| (std::cmp::Reverse(of.seconds), **cause));
    let told = causes.iter().map(|(cause, OfCause { gaps, seconds })| {
        format!(
            "{cause} {} s in {} ({})",
            thousands(*seconds),
            plural(*gaps, "gap", "gaps"),
            meaning(**cause)
        )
    });
    told.collect::<Vec<String>>().join(", ")
}

/// How the archive continues, and which state this is.
pub(super) fn maintenance(of: &Description<'_>) -> String {
    format!(
        "Hours are added as they are collected. Late data makes a new revision of its hour, and {}; ledger.jsonl \
         lists all revisions. This text describes the archive up to line {} of it, which has the SHA-256 {}.",
        of.told().taken_out,
        of.state.lines,
        of.state.head
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        cite::{
            chosen::Chosen,
            day::Unseen,
            description::{Archive, ArchiveState, tests::dataset},
        },
        config::dataset::Dataset,
        period::UtcMs,
        segment::sha256::Sha256,
    };

    /// No two numbers are the same, so that none can stand in another's place.
    fn sum() -> DaySum {
        let of = |gaps, seconds| OfCause { gaps, seconds };
        DaySum {
            hours: 3,
            posts: 12_345,
            seconds: 10_700,
            time: None,
            covered: 9_631,
            quiet: 402,
            partial: 27,
            missing: 1_069,
            causes: [
                (Cause::Network, of(21, 69)),
                (Cause::NotRunning, of(4, 1_000)),
            ]
            .into(),
            servers: ["1", "2"].map(|id| id.parse().unwrap()).into(),
            unseen: Some(Unseen {
                seconds: 9_100,
                likely: 1_200,
                low: 880,
                high: 1_640,
            }),
            removed: 31,
            deleted: 1,
            held: 53,
            chosen: Chosen::default(),
        }
    }

    fn described<T>(
        stream: &str,
        sum: DaySum,
        (before, absent): (u64, u64),
        of: impl FnOnce(&Description<'_>) -> T,
    ) -> T {
        let (archive, dataset, days) = (
            Archive {
                timezone: "UTC".to_owned(),
                stream: stream.to_owned(),
            },
            dataset(),
            BTreeMap::new(),
        );
        let dataset: &Dataset = &dataset;
        of(&Description {
            dataset,
            doi: None,
            stamp: None,
            archive: &archive,
            state: ArchiveState {
                lines: 77,
                hours: 3,
                head: Sha256::of(b"a"),
            },
            hours: Vec::new(),
            time: (UtcMs(1_795_442_409_876), UtcMs(1_795_449_600_000)),
            before,
            absent,
            days: &days,
            sum,
        })
    }

    fn told(stream: &str, sum: DaySum, beside: (u64, u64)) -> [String; 3] {
        described(stream, sum, beside, |of| {
            [what(of), missing(of), maintenance(of)]
        })
    }

    /// These parts stand in the text in this order.
    #[track_caller]
    fn has(text: &str, parts: &[&str]) {
        let mut rest = text;
        for part in parts {
            let Some((_, after)) = rest.split_once(part) else {
                panic!("no {part:?} in its place in: {text}")
            };
            rest = after;
        }
    }

    #[test]
    fn every_number_is_told_where_it_belongs() {
        let [what, missing, maintenance] = told("sample", sum(), (100, 2));
        has(
            &what,
            &[
                "Ids of 12,345 posts that ",
                " sent from 2026-11-23T14:00:09Z to 2026-11-23T16:00:00Z, as received by 2 servers: one list an hour (3 hours),",
            ],
        );
        has(
            &missing,
            &[
                "This archive covers 9,631 of 10,700 seconds of its 3 hours (90.00 %). A second is covered if at least one",
                " while none came (402 of these seconds). 100 seconds of these hours lie before the archive began: ",
                " 1,069 seconds in 25 gaps are missing: not running 1,000 s in 4 gaps (the server did not collect), network \
                 69 s in 21 gaps (the connection broke or could not be made). 27 covered seconds lie at the edge of a gap ",
                " 2 hours between the beginning and the end of the archive are absent. Posts that both servers missed in the \
                 9,100 seconds for which both have posts: about 1,200, from 880 to 1,640 (",
                " 31 posts were taken out on request. 1 post was taken out because of a deletion, or because an account is \
                 gone. 53 posts are held back while an account is not active. Each day's",
            ],
        );
        has(
            &maintenance,
            &["up to line 77 of it, which has the SHA-256 ca978112ca1bbdca"],
        );
    }

    #[test]
    fn of_one_each_and_where_nothing_is_missing_it_is_told_so() {
        let one = DaySum {
            hours: 1,
            posts: 1,
            seconds: 1,
            covered: 1,
            servers: ["1".parse().unwrap()].into(),
            ..DaySum::default()
        };
        let [what, missing, _] = told("sample", one, (1, 1));
        has(
            &what,
            &[
                "Ids of 1 post that ",
                " by 1 server: one list an hour (1 hour),",
            ],
        );
        has(
            &missing,
            &[
                "This archive covers 1 of 1 second of its 1 hour (100.00 %).",
                "none came (0 of these seconds). 1 second of these hours lies before the archive began: ",
                " No second of these hours is missing. 1 hour between the beginning and the end of the archive is absent. \
                 Each day's",
            ],
        );
    }

    #[test]
    fn a_stream_in_partitions_is_told_by_them_and_a_limit_alone_as_one() {
        let mut sum = sum();
        sum.unseen = Some(Unseen {
            likely: 0,
            ..sum.unseen.unwrap()
        });
        let [_, missing, _] = told("sample10", sum, (0, 0));
        has(
            &missing,
            &[
                "covered if, in each partition of the stream that is collected, at least one",
                "(402 of these seconds). 1,069 seconds in 25 gaps",
                " No hour between the beginning and the end of the archive is absent. Posts",
                "9,100 partition-seconds (one second of one partition each) for which both have posts: at most 1,640 (",
            ],
        );
    }
}
