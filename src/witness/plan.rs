//! Whether a stamp is due: what there is and the time go in. Pure.

use std::time::Duration;

use crate::{period::UtcMs, vault::witness::StampName};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
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
) -> Due {
    let Some(newest) = newest.filter(|_| 0 < lines) else {
        return if lines == 0 {
            Due::NoLine
        } else {
            Due::Stamp(lines)
        };
    };
    // a stamp from the future is one of a time at which this clock, or the authority's, was wrong
    let age = now.second().abs_diff(newest.second);
    if newest.line == lines {
        Due::Stamped(newest)
    } else if age < every.as_secs() && !at_once {
        Due::TooYoung(newest)
    } else {
        Due::Stamp(lines)
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
        assert_eq!(due(0, None, 0, false), Due::NoLine);
        assert_eq!(due(9, None, 0, false), Due::Stamp(9));
        assert_eq!(due(7, Some(newest), 100, true), Due::Stamped(newest));
        assert_eq!(due(9, Some(newest), 23, false), Due::TooYoung(newest));
        assert_eq!(due(9, Some(newest), 23, true), Due::Stamp(9));
        assert_eq!(due(9, Some(newest), 24, false), Due::Stamp(9));
        assert_eq!(
            due(9, Some(newest), -24, false),
            Due::Stamp(9),
            "the clock was wrong"
        );
    }
}
