//! Converts a server's stamps to the posts' clock.
//!
//! No server's clock is believed. All servers share only the posts' clock: each post says when it was made. The lag
//! of a run says how far its stamps are ahead of that clock. It is the clock's error plus the time that a post takes
//! to arrive, and is taken from the posts that the run stamped. Without posts it is taken from the API's `Date`
//! header, or else from the order of the runs: a run that begins with a step of the clock continues where the former
//! one ended, and no run begins before the former one has ended. Within a run stamps follow one clock, so one number
//! converts all of them.

use std::collections::BTreeMap;

use super::evidence::EventsFile;
use crate::{
    period::UtcMs,
    segment::{event::EventKind, name::RunId},
};

/// A `Date` header has whole seconds: on the average it is half a second old.
const DATE_MS: i64 = 500;

/// A smaller difference than this tells nothing.
const UNSURE_MS: i64 = 2_000;

/// If posts are later than this by the `Date` header, most of them came by backfill, and tell nothing.
const LATE_MS: i64 = 90_000;

/// The same, if the platform says when it saw each post: then the difference of the clocks is known to the
/// millisecond, and posts that are later than this come from a replay.
const LATE_SEEN_MS: i64 = 5_000;

/// A larger error is not concluded from posts alone: they come from a replay.
const LAG_MAX_MS: i64 = 26 * 3_600_000;

/// A run without any evidence may be this long before the next one; beyond that, its clock was wrong.
const ALONE_MAX_MS: i64 = 31 * 24 * 3_600_000;

/// Fewer posts than this tell little.
const POSTS_MIN: u64 = 5;

/// The lag of a segment is that of its fastest twentieth of posts: these did not come by backfill, and are not all
/// forged.
const BEFORE_LAG: usize = 20;

/// A lag, and of how many posts.
pub type Lag = (i64, u64);

/// The evidence on one run's clock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signs {
    /// The first and the last instant that it stamped, as far as they are known.
    pub stamps: Option<(UtcMs, UtcMs)>,
    /// The API's clock minus the server's, as the `Date` headers told.
    pub offsets_ms: Vec<i64>,
    /// The lags of its segments.
    pub lags: Vec<Lag>,
    /// If it began with a step of the clock: by how much its stamps are later than those of the run before.
    pub step_ms: Option<i64>,
    /// Whether the offsets come from the times at which the platform saw posts, rather than from `Date` headers.
    pub tells_when_seen: bool,
}

impl Signs {
    /// How far the server's clock was off, according to the `Date` headers; zero if that may be chance.
    pub fn off_ms(&self) -> Option<i64> {
        let by_date = self.by_date_ms()?;
        let is_sure = UNSURE_MS < by_date.saturating_abs();
        Some(if is_sure { by_date } else { 0 })
    }

    fn by_date_ms(&self) -> Option<i64> {
        let mut offsets = self.offsets_ms.clone();
        offsets.sort_unstable();
        let offset = offsets.get(offsets.len() / 2)?;
        Some(offset.saturating_neg().saturating_sub(DATE_MS))
    }

    /// How far its stamps are ahead of the posts' clock, by its own evidence.
    pub fn own_ms(&self) -> Option<i64> {
        let by_date = self.by_date_ms();
        let posts: u64 = self.lags.iter().map(|(_, posts)| posts).sum();
        match (by_date, middle(&self.lags)) {
            (Some(date), Some(lag)) => {
                let late_ms = if self.tells_when_seen {
                    LATE_SEEN_MS
                } else {
                    LATE_MS
                };
                let fits = (-LAG_MAX_MS..=late_ms).contains(&lag.saturating_sub(date));
                Some(if POSTS_MIN <= posts && fits {
                    lag
                } else {
                    date
                })
            }
            (by_date, lag) => by_date.or(lag.filter(|lag| lag.saturating_abs() <= LAG_MAX_MS)),
        }
    }
}

/// The lag of a segment, from those of its posts.
pub fn lag(mut of_posts_ms: Vec<i64>) -> Option<Lag> {
    let posts = of_posts_ms.len();
    let place = posts / BEFORE_LAG;
    let (_, lag, _) = (place < posts).then(|| of_posts_ms.select_nth_unstable(place))?;
    Some((*lag, posts as u64))
}

/// The median lag, weighted by posts.
fn middle(lags: &[Lag]) -> Option<i64> {
    let mut lags = lags.to_vec();
    lags.sort_unstable();
    let all: u64 = lags.iter().map(|(_, posts)| posts).sum();
    let mut before = 0;
    let lag = lags.into_iter().find(|(_, posts)| {
        before += posts;
        all <= 2 * before
    });
    lag.map(|(lag, _)| lag)
}

/// For each of a server's runs, in their order: how far its stamps are ahead of the posts' clock.
pub fn lags_ms(runs: &[Signs]) -> Vec<i64> {
    let mut known: Vec<Option<i64>> = runs.iter().map(Signs::own_ms).collect();
    let step = |number: usize| runs.get(number).and_then(|run| run.step_ms);
    for number in 1..runs.len() {
        let before = known.get(number - 1).copied().flatten();
        if let (Some(lag), Some(before), Some(step)) = (known.get_mut(number), before, step(number))
        {
            lag.get_or_insert(before.saturating_add(step));
        }
    }
    for number in (1..runs.len()).rev() {
        let after = known.get(number).copied().flatten();
        if let (Some(lag), Some(after), Some(step)) =
            (known.get_mut(number - 1), after, step(number))
        {
            lag.get_or_insert(after.saturating_sub(step));
        }
    }
    let mut lags: Vec<i64> = Vec::new();
    for number in 0..runs.len() {
        let lag = match known.get(number).copied().flatten() {
            Some(lag) => lag,
            None => unsigned(runs, &known, &lags, number),
        };
        lags.push(lag);
    }
    lags
}

/// The lag of a run without evidence: that of the run before, or else of the run after. But it begins after the run
/// before has ended, and ends before the next begins if that is possible.
fn unsigned(runs: &[Signs], known: &[Option<i64>], before: &[i64], number: usize) -> i64 {
    let next = (number + 1..runs.len()).find_map(|next| Some((next, known.get(next).copied()??)));
    let near = before.last().copied().or(next.map(|(_, lag)| lag));
    let lag = near.unwrap_or(0);
    let stamps = |number: usize| runs.get(number).and_then(|run| run.stamps);
    let Some((begin, end)) = stamps(number) else {
        return lag;
    };
    let floor = before.iter().enumerate().rev().find_map(|(number, lag)| {
        let (_, end) = stamps(number)?;
        Some(end.plus_ms(lag.saturating_neg()))
    });
    let ceiling = next.and_then(|(next, lag)| Some(stamps(next)?.0.plus_ms(lag.saturating_neg())));
    let lag = ceiling.map_or(lag, |ceiling| {
        let at_the_latest = end.0.saturating_sub(ceiling.0);
        let is_alone = ALONE_MAX_MS < lag.saturating_sub(at_the_latest);
        if is_alone {
            at_the_latest
        } else {
            lag.max(at_the_latest)
        }
    });
    floor.map_or(lag, |floor| lag.min(begin.0.saturating_sub(floor.0)))
}

/// Finds how far the stamps of each file's run are ahead of the posts' clock, and sets it in the files, all of one
/// server. `lags` has the lags from the runs' posts; the platform may say when it saw each post.
pub fn set(files: &mut [EventsFile], lags: &BTreeMap<RunId, Vec<Lag>>, tells_when_seen: bool) {
    let mut runs: BTreeMap<(u64, RunId), Signs> = BTreeMap::new();
    for file in files.iter() {
        let run = file.name.run;
        let signs = runs.entry((file.number, run)).or_insert_with(|| Signs {
            lags: lags.get(&run).cloned().unwrap_or_default(),
            tells_when_seen,
            ..Signs::default()
        });
        for event in &file.events {
            signs.offsets_ms.extend(event.clock_offset_ms());
            if let EventKind::ClockStepped { step_ms, .. } = event.what {
                signs.step_ms = Some(step_ms);
            }
            let (first, last) = signs.stamps.unwrap_or((event.at, event.at));
            signs.stamps = Some((first.min(event.at), last.max(event.at)));
        }
    }
    let signs: Vec<Signs> = runs.values().cloned().collect();
    let found: BTreeMap<(u64, RunId), i64> = runs.into_keys().zip(lags_ms(&signs)).collect();
    for file in files {
        file.lag_ms = found
            .get(&(file.number, file.name.run))
            .copied()
            .unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(begin: i64, end: i64) -> Signs {
        Signs {
            stamps: Some((UtcMs(begin), UtcMs(end))),
            ..Signs::default()
        }
    }

    #[test]
    fn a_post_whose_time_is_forged_tells_no_lag() {
        let honest: Vec<i64> = (0..40).map(|n| 27_000 + 10 * n).collect();
        let forged = [-80_000_000].into_iter().chain(honest.iter().copied());
        assert_eq!(lag(honest.clone()), Some((27_020, 40)));
        assert_eq!(lag(forged.collect()), Some((27_010, 41)));
        assert_eq!(lag(Vec::new()), None);
    }

    #[test]
    fn posts_tell_before_the_date_and_the_date_before_nothing() {
        let lag = |offsets_ms: &[i64], lags: &[Lag]| {
            let signs = Signs {
                offsets_ms: offsets_ms.to_vec(),
                lags: lags.to_vec(),
                ..run(0, 1)
            };
            lags_ms(&[signs])[0]
        };
        assert_eq!(lag(&[], &[]), 0);
        assert_eq!(lag(&[-25_500], &[]), 25_000);
        assert_eq!(lag(&[-25_500, -25_900, 7], &[]), 25_000);
        assert_eq!(lag(&[-25_500], &[(27_300, 900), (31_000, 40)]), 27_300);
        assert_eq!(lag(&[-25_500], &[(27_300, 4)]), 25_000, "too few");
        assert_eq!(lag(&[-25_500], &[(300_000, 900)]), 25_000, "backfill");
        assert_eq!(lag(&[-25_500], &[(80_000, 900)]), 80_000);
        let seen = Signs {
            offsets_ms: vec![-25_500],
            lags: vec![(80_000, 900)],
            tells_when_seen: true,
            ..run(0, 1)
        };
        assert_eq!(lags_ms(&[seen]), [25_000], "played again");
        assert_eq!(lag(&[25_500], &[(-24_000, 900)]), -24_000);
        assert_eq!(lag(&[], &[(-24_000, 1)]), -24_000);
        let four_years = 126_000_000_000;
        assert_eq!(lag(&[], &[(four_years, 900)]), 0, "old posts, played again");
        assert_eq!(
            lag(&[four_years], &[(-four_years, 900)]),
            -four_years,
            "1970"
        );
    }

    #[test]
    fn whatever_a_server_says_of_its_clock_can_be_reckoned_with() {
        let extremes = [i64::MIN, -1, 0, i64::MAX];
        for (offset, step) in extremes.into_iter().flat_map(|a| extremes.map(|b| (a, b))) {
            for (begin, end) in [(0, 1), (i64::MIN, i64::MAX)] {
                let said = Signs {
                    offsets_ms: vec![offset],
                    lags: vec![(step, 7)],
                    step_ms: Some(step),
                    ..run(begin, end)
                };
                let runs = [
                    run(begin, end),
                    run(end, begin),
                    said.clone(),
                    run(begin, end),
                    said,
                ];
                assert_eq!(lags_ms(&runs).len(), runs.len());
            }
        }
    }

    #[test]
    fn a_run_without_a_sign_goes_by_the_step_and_by_the_order() {
        let signed = |lag, signs: Signs| Signs {
            lags: vec![(lag, 100)],
            ..signs
        };
        let stepped = |step, signs: Signs| Signs {
            step_ms: Some(step),
            ..signs
        };
        let hour = 3_600_000;
        let runs = [
            // before any answer, two hours ahead; then put right
            run(2 * hour, 2 * hour + 9_000),
            stepped(-2 * hour, signed(500, run(9_000, 90_000))),
            stepped(1_000, run(91_000, 99_000)),
            stepped(7_000, run(106_000, 109_000)),
        ];
        assert_eq!(lags_ms(&runs), [2 * hour + 500, 500, 1_500, 8_500]);
        // one that never got an answer, with a clock two hours behind
        let runs = [
            signed(500, run(0, 90_000)),
            run(-2 * hour, -2 * hour + 10_000),
            signed(500, run(200_000, 300_000)),
        ];
        assert_eq!(lags_ms(&runs), [500, -2 * hour - 89_500, 500]);
        // and two hours ahead: it has ended before the next one begins
        let runs = [
            signed(500, run(0, 90_000)),
            run(2 * hour, 2 * hour + 10_000),
            signed(500, run(200_000, 300_000)),
        ];
        assert_eq!(lags_ms(&runs), [500, 2 * hour - 189_500, 500]);
        // the first one, in 1970
        let year = 365 * 24 * hour;
        let runs = [run(0, 10_000), signed(500, run(year, year + 9_000))];
        assert_eq!(lags_ms(&runs)[0], 10_500 - year);
    }

    #[test]
    fn a_small_difference_may_be_chance_and_each_post_counts_once() {
        let off = |offset_ms: i64| {
            let signs = Signs {
                offsets_ms: vec![offset_ms],
                ..Signs::default()
            };
            signs.off_ms()
        };
        assert_eq!(Signs::default().off_ms(), None);
        assert_eq!([-2_500, -2_501].map(off), [Some(0), Some(2_001)]);
        assert_eq!([1_500, 1_501].map(off), [Some(0), Some(-2_001)]);
        // of segments the one with most posts
        assert_eq!(middle(&[(1, 9), (2, 9), (3, 100)]), Some(3));
        assert_eq!(middle(&[(3, 9), (2, 9), (1, 100)]), Some(1));
        assert_eq!(middle(&[(1, 10), (2, 10)]), Some(1));
        assert_eq!(middle(&[]), None);
    }

    /// What is known of a run's clock is known of those before and after it, as far as the steps between them are known.
    #[test]
    fn a_step_tells_of_the_run_before_it_as_of_the_one_after() {
        let of = |step_ms, offset_ms: Option<i64>| Signs {
            step_ms,
            offsets_ms: offset_ms.into_iter().collect(),
            ..Signs::default()
        };
        let step = |ms| of(Some(ms), None);
        let known = of(Some(300_000), Some(-100_500));
        assert_eq!(
            lags_ms(&[of(None, None), step(7_000), known.clone(), step(-60_000)]),
            [-207_000, -200_000, 100_000, 40_000]
        );
        assert_eq!(lags_ms(&[known, step(-60_000)]), [100_000, 40_000]);
    }
}
