//! Gaps that a file tells of, held against those of some hours only: where others are missing, a gap that
//! reaches into them is cut at their edge. Pure.

use std::collections::BTreeMap;

use crate::{
    cover::gap::Gap,
    period::{Interval, UtcMs},
    report::told_gaps::Told,
    text::plural,
};

/// The hours of a day, as a copy has them.
#[derive(Debug, Clone, Copy)]
pub struct Time<'a> {
    /// The UTC time of the hours that are here.
    pub here: &'a [Interval],
    /// That of all hours that anything speaks of.
    pub known: &'a [Interval],
}

/// Server, begin, end, cause.
type Piece<'a> = (&'a str, UtcMs, UtcMs, &'a str);

/// The parts of a gap that lie in some intervals.
fn cut(begin: UtcMs, end: UtcMs, intervals: &[Interval]) -> impl Iterator<Item = (UtcMs, UtcMs)> {
    let parts = intervals
        .iter()
        .map(move |of| (begin.max(of.begin), end.min(of.end)));
    parts.filter(|(begin, end)| begin < end)
}

/// What is wrong with the gaps that a file tells, given all gaps of the hours that are here. Of servers
/// of which it tells only some (`tells_all` says of which it tells all) none need be told.
pub fn differences(
    told: &[Told],
    gaps: &[Gap],
    time: Time<'_>,
    tells_all: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let mut open: BTreeMap<Piece<'_>, usize> = BTreeMap::new();
    for gap in gaps {
        for (begin, end) in cut(gap.begin, gap.end, time.here) {
            let piece = (gap.server.as_str(), begin, end, gap.cause.word());
            *open.entry(piece).or_default() += 1;
        }
    }
    let mut wrong = Vec::new();
    for row in told {
        let length = |parts: &mut dyn Iterator<Item = (UtcMs, UtcMs)>| -> i64 {
            parts.map(|(begin, end)| end.0 - begin.0).sum()
        };
        let within = length(&mut cut(row.begin, row.end, time.known));
        if within != row.end.0.saturating_sub(row.begin.0) || within <= 0 {
            let what = "reaches into a time of which nothing else speaks";
            wrong.push(format!("line {}: the gap {} {what}", row.line, words(row)));
            continue;
        }
        for (begin, end) in cut(row.begin, row.end, time.here) {
            let piece = (row.server.as_str(), begin, end, row.cause.as_str());
            match open.get_mut(&piece) {
                Some(left) if 0 < *left => *left -= 1,
                _ => wrong.push(format!(
                    "line {}: the gap {} is not in them",
                    row.line,
                    words(row)
                )),
            }
        }
    }
    let missing = open
        .iter()
        .filter(|(piece, left)| 0 < **left && tells_all(piece.0));
    wrong.extend(missing.map(|((server, begin, end, cause), _)| {
        let gap = Told {
            line: 0,
            server: (*server).to_owned(),
            begin: *begin,
            end: *end,
            cause: (*cause).to_owned(),
        };
        format!("the gap {} is missing", words(&gap))
    }));
    wrong
}

fn words(gap: &Told) -> String {
    let seconds = gap.end.second().saturating_sub(gap.begin.second());
    format!(
        "of {} from {} ({}, {})",
        gap.server,
        gap.begin,
        plural(u64::try_from(seconds).unwrap_or(0), "second", "seconds"),
        gap.cause
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cover::cause::Cause;

    const HOUR: i64 = 3_600_000;

    fn hour(number: i64) -> Interval {
        Interval {
            begin: UtcMs(number * HOUR),
            end: UtcMs((number + 1) * HOUR),
        }
    }

    fn gap(begin: i64, end: i64) -> Gap {
        Gap {
            server: "1".to_owned(),
            partitions: Vec::new(),
            begin: UtcMs(begin),
            end: UtcMs(end),
            cause: Cause::Stall,
            detail: String::new(),
        }
    }

    fn row(begin: i64, end: i64, cause: &str) -> Told {
        Told {
            line: 2,
            server: "1".to_owned(),
            begin: UtcMs(begin),
            end: UtcMs(end),
            cause: cause.to_owned(),
        }
    }

    #[track_caller]
    fn check(told: &[Told], all: bool, wrong: &[&str]) {
        // hours 1 and 2 are here, 3 is known and missing
        let (here, known) = ([hour(1), hour(2)], [hour(1), hour(2), hour(3)]);
        let time = Time {
            here: &here,
            known: &known,
        };
        let gaps = [
            gap(HOUR + 9_000, 2 * HOUR),
            gap(2 * HOUR, 2 * HOUR + 5_000),
            gap(3 * HOUR - 7_000, 3 * HOUR),
        ];
        let found = differences(told, &gaps, time, &|_| all);
        assert_eq!(found.len(), wrong.len(), "{found:?}");
        for (found, wrong) in found.iter().zip(wrong) {
            assert!(found.contains(wrong), "{found}: {wrong}");
        }
    }

    #[test]
    fn what_reaches_into_a_missing_hour_is_cut_at_its_edge() {
        let first = row(HOUR + 9_000, 2 * HOUR + 5_000, "stall");
        let last = row(3 * HOUR - 7_000, 3 * HOUR + 90_000, "stall");
        check(&[first.clone(), last.clone()], true, &[]);
        let elsewhere = row(3 * HOUR + 200_000, 3 * HOUR + 300_000, "disk");
        check(&[first.clone(), last.clone(), elsewhere], true, &[]);
        check(std::slice::from_ref(&first), true, &["is missing"]);
        check(std::slice::from_ref(&first), false, &[]);
        let other = row(3 * HOUR - 7_000, 3 * HOUR + 90_000, "disk");
        check(
            &[first.clone(), other],
            true,
            &["disk) is not in them", "stall) is missing"],
        );
        let longer = row(3 * HOUR - 8_000, 3 * HOUR, "stall");
        check(&[first.clone(), longer], false, &["is not in them"]);
        let twice = [first.clone(), last.clone(), last.clone()];
        check(&twice, true, &["is not in them"]);
        let beyond = row(4 * HOUR, 4 * HOUR + 1_000, "stall");
        check(&[first, last, beyond], true, &["nothing else speaks"]);
    }
}
