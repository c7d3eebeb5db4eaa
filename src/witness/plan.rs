//! Whether a stamp is due: what there is and the time go in. Pure.

use std::time::Duration;

use crate::{period::UtcMs, vault::witness::StampName};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StampDecision {
    /// The ledger's line of that number is to be stamped.
    Stamp(u64),
    /// The ledger has no line.
    NoLine,
    /// Its last line is stamped already.
    Stamped(StampName),
    /// The newest stamp is too young.
    TooYoung(StampName),
}

/// How the ledger of so many lines stands. With `at_once` the newest stamp's age does not count.
pub fn due(
    lines: u64,
    newest: Option<StampName>,
    every: Duration,
    now: UtcMs,
    at_once: bool,
) -> StampDecision {
    let Some(newest) = newest.filter(|_| 0 < lines) else {
        return if lines == 0 {
            StampDecision::NoLine
        } else {
            StampDecision::Stamp(lines)
        };
    };
    // a stamp from the future is one of a time at which this clock, or the authority's, was wrong
    let age = now.second().abs_diff(newest.second);
    if newest.line == lines {
        StampDecision::Stamped(newest)
    } else if age < every.as_secs() && !at_once {
        StampDecision::TooYoung(newest)
    } else {
        StampDecision::Stamp(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_stamped_once_and_lines_after_it_a_day_later() {
        let day = Duration::from_hours(24);
        let newest = StampName {
            second: 1_000_000,
            line: 7,
        };
        let at = |hours: i64| UtcMs((1_000_000 + hours * 3_600) * 1_000);
        let due = |lines, newest, hours, at_once| due(lines, newest, day, at(hours), at_once);
        assert_eq!(due(0, None, 0, false), StampDecision::NoLine);
        assert_eq!(due(9, None, 0, false), StampDecision::Stamp(9));
        assert_eq!(
            due(7, Some(newest), 100, true),
            StampDecision::Stamped(newest)
        );
        assert_eq!(
            due(9, Some(newest), 23, false),
            StampDecision::TooYoung(newest)
        );
        assert_eq!(due(9, Some(newest), 23, true), StampDecision::Stamp(9));
        assert_eq!(due(9, Some(newest), 24, false), StampDecision::Stamp(9));
        assert_eq!(
            due(9, Some(newest), -24, false),
            StampDecision::Stamp(9),
            "the clock was wrong"
        );
    }
}
