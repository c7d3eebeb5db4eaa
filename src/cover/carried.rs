//! What a former revision knew of a server's connection, when the events files that it knew it from
//! are gone: coverage and gaps, as a timeline again.

use super::{
    cause::Cause,
    evidence::{Down, Timeline},
    gap::Gap,
    listened,
    reason::Reason,
    seconds::{self, Covered},
};
use crate::period::{Interval, UtcMs};

/// A server's timeline in an hour. In a former gap it was down, by that cause; in a former covered second there were
/// bytes, and events, if these tell when the platform saw them; of a former quiet second everything had come; where it
/// was `late`, what has come in since then tells more.
pub fn timeline(
    intervals: &[Interval],
    (covered, gaps): (&Covered, &[&Gap]),
    tells_when_seen: bool,
    since: Option<Timeline>,
) -> Timeline {
    let is_known = since.is_some();
    let since = since.unwrap_or_else(Timeline::late);
    let mut downs = Vec::new();
    for gap in gaps {
        if is_known && gap.cause == Cause::Late {
            let touching = since.downs.iter();
            let touching = touching.filter(|down| down.begin < gap.end && gap.begin < down.end);
            downs.extend(touching.map(|down| Down {
                begin: down.begin.max(gap.begin),
                end: down.end.min(gap.end),
                reason: down.reason.clone(),
            }));
        } else {
            downs.push(Down {
                begin: gap.begin,
                end: gap.end,
                reason: Reason::new(gap.cause, gap.detail.as_str()),
            });
        }
    }
    downs.sort_by_key(|down| down.begin);
    let (covered_bits, quiet_bits) = covered.bits(seconds::count(intervals)).unwrap_or_default();
    let of = |bits: Vec<bool>| -> Vec<i64> {
        let known = seconds::all(intervals).zip(bits);
        let known = known.filter(|(_, is_set)| *is_set);
        known.map(|(second, _)| second).collect()
    };
    let mut bytes = of(covered_bits);
    let whole = |second: &i64| Interval {
        begin: UtcMs(second * 1_000),
        end: UtcMs((second + 1) * 1_000),
    };
    let mut listened = since.listened;
    listened.extend(of(quiet_bits).iter().map(whole));
    let mut flowing = since.flowing;
    if tells_when_seen {
        flowing.extend(bytes.iter().map(whole));
    }
    bytes.extend(&since.bytes);
    bytes.sort_unstable();
    bytes.dedup();
    Timeline {
        downs,
        bytes,
        connections: since.connections,
        out_of_window: since.out_of_window,
        listened: listened::joined(listened),
        flowing: listened::joined(flowing),
        first_start: since.first_start.or(covered.begins),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was late has come: there the events tell, within what they were waited for; elsewhere the former revision does.
    #[test]
    fn what_was_late_is_told_by_the_events_that_have_come() {
        let begin: UtcMs = "2026-11-23T14:00:00Z".parse().unwrap();
        let at = |second: i64| begin.plus_ms(second * 1_000);
        let hour = Interval {
            begin,
            end: at(3_600),
        };
        let gap = |from, to, cause| Gap {
            server: "2".to_owned(),
            partitions: Vec::new(),
            begin: at(from),
            end: at(to),
            cause,
            detail: String::new(),
        };
        let down = |from, to, cause| Down {
            begin: at(from),
            end: at(to),
            reason: Reason::new(cause, ""),
        };
        let (late, disk) = (gap(600, 900, Cause::Late), gap(30, 40, Cause::Disk));
        let come = Timeline {
            downs: vec![
                down(500, 700, Cause::Network),
                down(850, 1_000, Cause::Refused),
            ],
            ..Timeline::late()
        };
        let told = |since| {
            timeline(
                &[hour],
                (&Covered::default(), &[&late, &disk]),
                false,
                since,
            )
            .downs
        };
        let first = down(30, 40, Cause::Disk);
        assert_eq!(
            told(Some(come)),
            [
                first.clone(),
                down(600, 700, Cause::Network),
                down(850, 900, Cause::Refused)
            ]
        );
        assert_eq!(told(None), [first, down(600, 900, Cause::Late)]);
    }
}
