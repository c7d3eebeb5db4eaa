//! The strips of the picture: what each second of the day is, put into columns.

use std::collections::BTreeMap;

use super::statement::Statement;
use crate::{
    cover::{cause::Cause, gap::UNION, seconds},
    period::{Hour, Interval},
    vault::manifest::HourSaid,
};

/// Columns of a strip: one for each minute of a day of 24 hours.
pub(super) const COLUMNS: usize = 1_440;

/// What a second is. The order is that in which a column shows them, from the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SecondState {
    /// In a gap.
    Gap(Cause),
    /// The hour says nothing about this server.
    Untold,
    /// Without a post, and nothing was missed.
    Quiet,
    /// A post's time falls into it.
    Covered,
    /// Its hour is not in the archive, or it lies before the beginning.
    Absent,
}

/// How many seconds of a column are what.
pub(super) type Column = BTreeMap<SecondState, u64>;

/// The seconds of a day in the order of UTC.
pub(super) struct Axis {
    /// Each range, the hour that it belongs to, and the place of its first second.
    ranges: Vec<(Interval, Hour, usize)>,
    /// How many there are.
    seconds: usize,
}

impl Axis {
    /// Of the hours that the day has.
    pub(super) fn of(hours: &[(Hour, Vec<Interval>)]) -> Self {
        let ranges = hours
            .iter()
            .flat_map(|(hour, intervals)| intervals.iter().map(|interval| (*interval, *hour)));
        let mut ranges: Vec<(Interval, Hour)> = ranges.collect();
        ranges.sort_unstable();
        let mut seconds = 0;
        let placed = ranges.into_iter().map(|(interval, hour)| {
            let place = seconds;
            seconds += usize::try_from(interval.seconds()).unwrap_or(0);
            (interval, hour, place)
        });
        let ranges = placed.collect();
        Self { ranges, seconds }
    }

    /// The place of a second since 1970.
    fn place(&self, second: i64) -> Option<usize> {
        let range = self
            .ranges
            .partition_point(|(interval, ..)| interval.begin.second() <= second)
            .checked_sub(1)?;
        let (interval, _, place) = self.ranges.get(range)?;
        if interval.end.second() <= second {
            return None;
        }
        Some(place + usize::try_from(second - interval.begin.second()).ok()?)
    }

    /// Where hours begin, in columns. The later part of an hour that comes in two is none.
    pub(super) fn hours(&self) -> Vec<(Hour, usize)> {
        let mut hours: Vec<(Hour, usize)> = Vec::new();
        for (_, hour, place) in &self.ranges {
            if !hours.iter().any(|(known, _)| known == hour) {
                hours.push((*hour, place * COLUMNS / self.seconds.max(1)));
            }
        }
        hours
    }

    /// The second of the day at which a column begins.
    fn begin(&self, column: usize) -> usize {
        column * self.seconds / COLUMNS
    }

    /// The first second since 1970 of a column.
    pub(super) fn second_of(&self, column: usize) -> i64 {
        let place = self.begin(column);
        let range = self.ranges.partition_point(|(.., first)| *first <= place);
        let range = range
            .checked_sub(1)
            .and_then(|range| self.ranges.get(range));
        range.map_or(0, |(interval, _, first)| {
            interval.begin.second() + i64::try_from(place - first).unwrap_or(0)
        })
    }
}

/// The columns of a server, or of the union. No second is lost in them: each is counted in one.
pub(super) fn columns(statement: &Statement, axis: &Axis, of: &str) -> Vec<Column> {
    let mut states = vec![SecondState::Absent; axis.seconds];
    for said in &statement.hours {
        fill(said, axis, of, &mut states);
    }
    let column = |number: usize| {
        let mut column = Column::new();
        let seconds = states.get(axis.begin(number)..axis.begin(number + 1));
        for state in seconds.unwrap_or_default() {
            *column.entry(*state).or_default() += 1;
        }
        column
    };
    (0..COLUMNS).map(column).collect()
}

fn fill(said: &HourSaid, axis: &Axis, of: &str, states: &mut [SecondState]) {
    let covered = if of == UNION {
        Some(&said.coverage.union)
    } else {
        let mut servers = said.coverage.servers.iter();
        servers
            .find(|(server, _)| server.to_string() == of)
            .map(|(_, covered)| covered)
    };
    let seconds: Vec<i64> = seconds::all(&said.intervals).collect();
    let bits = covered.and_then(|covered| covered.bits(seconds.len()));
    let begins = covered.and_then(|covered| covered.begins);
    let mut gaps = said.gaps.iter().filter(|gap| gap.server == of).peekable();
    for (number, second) in seconds.iter().enumerate() {
        while gaps.next_if(|gap| gap.end.second() <= *second).is_some() {}
        let cause = gaps
            .peek()
            .filter(|gap| gap.begin.second() <= *second)
            .map_or(Cause::Unknown, |gap| gap.cause);
        let state = match &bits {
            None => SecondState::Untold,
            Some((_, quiet)) if quiet.get(number) == Some(&true) => SecondState::Quiet,
            Some((covered, _)) if covered.get(number) == Some(&true) => SecondState::Covered,
            Some(_) if !seconds::counts(begins, *second) => SecondState::Absent,
            Some(_) => SecondState::Gap(cause),
        };
        if let Some(place) = axis.place(*second)
            && let Some(here) = states.get_mut(place)
        {
            *here = state;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::period::{Day, Zone};

    #[test]
    fn every_second_of_any_day_is_in_one_column() {
        for (zone, day, seconds) in [
            ("UTC", "2026-11-23", 86_400),
            ("CET", "2026-10-25", 90_000),
            ("CET", "2026-03-29", 82_800),
            ("Australia/Lord_Howe", "2026-10-04", 84_600),
            ("America/St_Johns", "2010-11-06", 86_400 + 3_600 - 60),
        ] {
            let zone = Zone::named(zone).unwrap();
            let day: Day = day.parse().unwrap();
            let hours: Vec<_> = day
                .hours()
                .map(|hour| (hour, zone.intervals(hour)))
                .filter(|(_, intervals)| !intervals.is_empty())
                .collect();
            let axis = Axis::of(&hours);
            let all = hours.iter().flat_map(|(_, i)| seconds::all(i));
            let mut places: Vec<usize> = all.map(|second| axis.place(second).unwrap()).collect();
            places.sort_unstable();
            assert_eq!(places, (0..axis.seconds).collect::<Vec<usize>>());
            assert_eq!(axis.seconds, seconds, "{day}");
            assert_eq!(axis.begin(COLUMNS), axis.seconds);
            let first = axis.second_of(0);
            assert_eq!(axis.place(first), Some(0));
            assert_eq!(axis.place(first - 1), None);
            for column in 0..COLUMNS {
                assert_eq!(axis.place(axis.second_of(column)), Some(axis.begin(column)));
            }
            assert_eq!(axis.hours().len(), hours.len());
        }
    }

    /// The example's first hour: the archive begins at 13:57:06, and server 1 has posts in 14 seconds since, and in one before.
    #[test]
    fn each_second_looks_like_what_it_is() {
        let text =
            include_str!("../../tests/golden/v1/vault/2026-11-23/2026-11-23_13_manifest.json");
        let states = |change: &dyn Fn(&mut HourSaid)| {
            let mut said: HourSaid = serde_json::from_str(text).unwrap();
            change(&mut said);
            let axis = Axis::of(&[(said.hour, said.intervals.clone())]);
            let mut states = vec![SecondState::Absent; axis.seconds];
            fill(&said, &axis, "1", &mut states);
            let mut counts = Column::new();
            for state in states {
                *counts.entry(state).or_default() += 1;
            }
            counts.into_iter().collect::<Vec<(SecondState, u64)>>()
        };
        let (gap, covered) = (SecondState::Gap(Cause::NotRunning), SecondState::Covered);
        let absent = (SecondState::Absent, 3_425);
        assert_eq!(states(&|_| ()), [(gap, 160), (covered, 15), absent]);
        let server: crate::segment::name::Leg = "1".parse().unwrap();
        let quiet = |said: &mut HourSaid| {
            let of = said.coverage.servers.get_mut(&server).unwrap();
            of.quiet_bitmap.clone_from(&of.bitmap);
        };
        assert_eq!(
            states(&quiet),
            [(gap, 160), (SecondState::Quiet, 15), absent]
        );
        let nobody = |said: &mut HourSaid| drop(said.coverage.servers.remove(&server));
        assert_eq!(states(&nobody), [(SecondState::Untold, 3_600)]);
    }
}
