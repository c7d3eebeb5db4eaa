//! The sentences that several files have. They say what this archive has, and nothing of the service that it
//! was collected from.

use super::{day::DaySum, description::Description};
use crate::{
    cover::cause::Cause,
    report::{statement::OfCause, told_gaps::meaning},
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
    )
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
            "taken out because they were deleted or their account is gone",
        ),
        (
            sum.held,
            "is",
            "are",
            "held back while their account is not active",
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
