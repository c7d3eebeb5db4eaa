//! Finds the minute of each segment on the posts' clock, from what segments say about their servers' clocks. Pure.
//!
//! The segments of a server go by their own signs; those without any go by those of their run, and that depends on all runs
//! of the leg.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::plan::SpoolSegment;
use crate::{
    cover::clock::{self, Lag, Signs},
    period::{Day, Minute, UtcMs, Zone},
    segment::name::{Leg, RunId},
};

/// What the segments of one run and UTC day say about its clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunClock {
    /// Whose run.
    leg: Leg,
    /// Its place in the order of the server's runs.
    number: u64,
    /// Which run.
    run: RunId,
    /// The first offset.
    offset_ms: Option<i64>,
    /// The first lag.
    lag: Option<Lag>,
    /// The step with which it began.
    step_ms: Option<i64>,
    /// The first and the last instant of its minutes.
    stamps: (UtcMs, UtcMs),
}

impl RunClock {
    fn of(segment: &SpoolSegment) -> Self {
        Self {
            leg: segment.name.leg(),
            number: segment.number,
            run: segment.name.run,
            offset_ms: segment.offset_ms,
            lag: segment.lag,
            step_ms: segment.step_ms,
            stamps: (segment.name.minute.begin(), segment.name.minute.end()),
        }
    }

    /// Adds what came after it.
    fn add(&mut self, later: &Self) {
        self.offset_ms = self.offset_ms.or(later.offset_ms);
        self.lag = self.lag.or(later.lag);
        self.step_ms = self.step_ms.or(later.step_ms);
        let (first, last) = self.stamps;
        self.stamps = (first.min(later.stamps.0), last.max(later.stamps.1));
    }

    fn signs(&self) -> Signs {
        Signs {
            stamps: Some(self.stamps),
            offsets_ms: self.offset_ms.into_iter().collect(),
            lags: self.lag.into_iter().collect(),
            step_ms: self.step_ms,
            ..Signs::default()
        }
    }
}

/// What segments tell, by UTC day and run. They are ascending by name.
pub fn told<'a>(
    spooled: impl IntoIterator<Item = &'a SpoolSegment>,
) -> BTreeMap<Day, Vec<RunClock>> {
    type OfRuns = BTreeMap<(Leg, u64, RunId), RunClock>;
    let mut days: BTreeMap<Day, OfRuns> = BTreeMap::new();
    for segment in spooled {
        let told = RunClock::of(segment);
        let runs = days.entry(segment.name.minute.utc_day()).or_default();
        match runs.get_mut(&(told.leg.clone(), told.number, told.run)) {
            Some(earlier) => earlier.add(&told),
            None => {
                runs.insert((told.leg.clone(), told.number, told.run), told);
            }
        }
    }
    let values = |(day, runs): (Day, OfRuns)| (day, runs.into_values().collect());
    days.into_iter().map(values).collect()
}

/// How far the stamps of each run lie after the posts' clock, and how far its server's clock was off, if that is known better.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Clocks {
    runs: BTreeMap<(Leg, RunId), (i64, Option<i64>)>,
}

impl Clocks {
    /// From what all segments tell, by UTC day.
    pub fn of<'a>(days: impl IntoIterator<Item = (Day, &'a [RunClock])>) -> Self {
        let mut ascending: BTreeMap<Day, Vec<&RunClock>> = BTreeMap::new();
        for (day, told) in days {
            ascending.entry(day).or_default().extend(told);
        }
        let mut legs: BTreeMap<Leg, BTreeMap<(u64, RunId), RunClock>> = BTreeMap::new();
        for told in ascending.into_values().flatten() {
            let runs = legs.entry(told.leg.clone()).or_default();
            let known = runs.entry((told.number, told.run));
            known
                .and_modify(|earlier| earlier.add(told))
                .or_insert_with(|| told.clone());
        }
        let mut found = Self::default();
        for (leg, runs) in legs {
            let signs: Vec<Signs> = runs.values().map(RunClock::signs).collect();
            for (((_, run), lag_ms), signs) in runs.keys().zip(clock::lags_ms(&signs)).zip(&signs) {
                let of_run = (lag_ms, signs.off_ms());
                found.runs.insert((leg.clone(), *run), of_run);
            }
        }
        found
    }

    /// That of one run.
    fn of_run(&self, leg: &Leg, run: RunId) -> (i64, Option<i64>) {
        let of_run = self.runs.get(&(leg.clone(), run));
        of_run.copied().unwrap_or_default()
    }

    /// Those of the runs that told this.
    pub fn of_told(&self, told: &[RunClock]) -> Vec<(i64, Option<i64>)> {
        let of_run = |told: &RunClock| self.of_run(&told.leg, told.run);
        told.iter().map(of_run).collect()
    }
}

/// Finds the minute of each segment on the posts' clock, and what follows from it. Once for each.
pub fn place(spooled: &mut [SpoolSegment], clocks: &Clocks, zone: &Zone) {
    for segment in spooled {
        let (run_lag_ms, run_off_ms) = clocks.of_run(&segment.name.leg(), segment.name.run);
        let own = Signs {
            offsets_ms: segment.offset_ms.into_iter().collect(),
            lags: segment.lag.into_iter().collect(),
            ..Signs::default()
        };
        let lag_ms = own.own_ms().unwrap_or(run_lag_ms);
        segment.place(lag_ms, own.off_ms().or(run_off_ms), zone);
    }
}

impl SpoolSegment {
    /// Its stamps lie `lag_ms` after the posts' clock; how far its server's clock was off may be known better.
    fn place(&mut self, lag_ms: i64, off_ms: Option<i64>, zone: &Zone) {
        const MINUTE_MS: i64 = 60_000;
        let minutes = lag_ms.saturating_add(MINUTE_MS / 2).div_euclid(MINUTE_MS);
        self.minute = Minute(self.name.minute.0.saturating_sub(minutes));
        self.is_slow = lag_ms < minutes.saturating_mul(MINUTE_MS);
        let off_ms = off_ms.unwrap_or(minutes.saturating_mul(MINUTE_MS));
        for at in [&mut self.started, &mut self.began] {
            *at = at.map(|at| at.plus_ms(off_ms.saturating_neg()));
        }
        if 0 < self.rejected {
            let hour = zone.hour_of(self.minute.begin());
            *self.hours.entry(hour).or_default() += self.rejected;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{merge::plan::testing::segment, period::Hour};

    /// A run has the evidence of all its days, and stamps from the first of them to the last.
    #[test]
    fn a_run_has_all_that_its_days_tell() {
        let of = |day: &str, offset_ms, lag| {
            let mut of = segment("1", "13:50", &[], "13:50");
            let name = of.name.to_string().replace("20261123", day);
            of.name = name.parse().unwrap();
            (of.offset_ms, of.lag) = (offset_ms, lag);
            of
        };
        let stock = [
            of("20261123", None, None),
            of("20261124", Some(-7_000), None),
            of("20261125", Some(-99_000), Some((7_500, 100))),
        ];
        let days = told(&stock);
        let mut all = days.values().flatten();
        let mut first = all.next().unwrap().clone();
        all.for_each(|later| first.add(later));
        assert_eq!(
            (first.offset_ms, first.lag),
            (Some(-7_000), Some((7_500, 100)))
        );
        let begin = stock[0].name.minute.begin();
        assert_eq!(first.stamps, (begin, stock[2].name.minute.end()));
        let clocks = Clocks::of(days.iter().map(|(day, told)| (*day, told.as_slice())));
        let of_run = clocks.of_run(&stock[0].name.leg(), stock[0].name.run);
        assert_eq!(of_run, (7_500, Some(6_500)));
    }

    /// Where a minute lies on the posts' clock, and what lies in it.
    #[test]
    fn a_segment_is_placed_by_its_own_signs_before_those_of_its_run() {
        let zone = Zone::named("UTC").unwrap();
        let placed = |lag: Option<Lag>, of_run_ms: i64, off_ms: Option<i64>| {
            let mut stock = [segment("1", "14:00", &[], "14:00")];
            let [of] = &mut stock;
            (of.lag, of.rejected) = (lag, 3);
            (of.started, of.began) = (Some(of.name.minute.begin()), Some(of.name.minute.end()));
            let key = (of.name.leg(), of.name.run);
            let clocks = Clocks {
                runs: BTreeMap::from([(key, (of_run_ms, off_ms))]),
            };
            place(&mut stock, &clocks, &zone);
            let [of] = stock;
            let minutes = of.name.minute.0 - of.minute.0;
            let moved = |at: Option<UtcMs>, from: UtcMs| from.0 - at.unwrap().0;
            let began = moved(of.began, of.name.minute.end());
            assert_eq!(moved(of.started, of.name.minute.begin()), began);
            let hours: Vec<(String, u64)> = of
                .hours
                .iter()
                .map(|(hour, lines): (&Hour, &u64)| (hour.to_string()[11..].to_owned(), *lines))
                .collect();
            (minutes, of.is_slow, began, hours)
        };
        let rejected = |hour: &str| vec![(hour.to_owned(), 3)];
        // without signs of its own it goes by its run; what its clock was off by may be known better
        assert_eq!(placed(None, 0, None), (0, false, 0, rejected("14")));
        assert_eq!(
            placed(None, 61_000, None),
            (1, false, 60_000, rejected("13"))
        );
        assert_eq!(
            placed(None, 59_000, Some(58_500)),
            (1, true, 58_500, rejected("13"))
        );
        assert_eq!(
            placed(None, -61_000, None),
            (-1, true, -60_000, rejected("14"))
        );
        assert_eq!(
            placed(None, -59_000, None),
            (-1, false, -60_000, rejected("14"))
        );
        // with signs of its own it does not
        let own = Some((120_500, 64));
        assert_eq!(placed(own, 0, None), (2, false, 120_000, rejected("13")));
    }
}
