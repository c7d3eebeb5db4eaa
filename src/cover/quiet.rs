//! Which seconds without a post are quiet: the server was listening in them, and the silence around them is not
//! surprising (`rate`).

use std::collections::BTreeMap;

use super::{
    cause::Cause,
    evidence::{Timeline, WARMING_UP_MS},
    rate::Rate,
    seconds,
    stretch::{self, Hour, Rates, set},
};
use crate::period::{Minute, UtcMs};

/// Posts arrive within so many ms of their creation: 99 % of them within 6 to 7 s, says X.
pub(super) const UNDER_WAY_MS: i64 = 10_000;

/// If other servers have posts that did not come here, although other posts came all the time, they were under way
/// for at most this many ms when the connection broke.
pub const UNDER_WAY_MAX_MS: i64 = 60_000;

/// A quiet second must have bytes this near on both sides: keep-alives come at least every 20 s.
pub(super) const QUIET_BYTES_NEAR_S: i64 = 25;

/// The seconds that are quiet, and how often posts come. If rules choose the posts, no silence is surprising, and
/// there is no rate.
pub(super) fn quiet(
    of: Silent<'_>,
    with_posts: &[bool],
    posts: Option<&BTreeMap<Minute, u64>>,
) -> Judged {
    let counts = |place: &usize| {
        with_posts.get(*place) == Some(&false)
            && seconds::counts(Some(of.begins), of.second(*place))
    };
    let empty: Vec<usize> = (0..of.seconds.len()).filter(counts).collect();
    let mut quiet = vec![false; of.seconds.len()];
    for run in seconds::runs(of.seconds, &empty) {
        of.listening(run, with_posts)
            .into_iter()
            .for_each(|place| set(&mut quiet, place));
    }
    let Some(posts) = posts else {
        return Judged {
            surprising: vec![false; quiet.len()],
            quiet,
            rates: None,
        };
    };
    let hour = Hour {
        seconds: of.seconds,
        begins: Some(of.begins),
        with_posts,
        listening: &quiet,
        posts,
        changes: of.changes,
    };
    let (surprising, rates) = stretch::surprising(&hour);
    for (quiet, surprising) in quiet.iter_mut().zip(&surprising) {
        *quiet &= !surprising;
    }
    let is_unknown = |place: &usize| rates.at(*place).is_none_or(Rate::is_unknown);
    let is_flowing = |place: &usize| of.timeline.was_flowing(of.second(*place));
    let flowing = empty.into_iter().filter(is_unknown).filter(is_flowing);
    flowing.for_each(|place| set(&mut quiet, place));
    Judged {
        quiet,
        surprising,
        rates: Some(rates),
    }
}

/// What is said of a leg's seconds without a post.
pub(super) struct Judged {
    /// Which are quiet.
    pub(super) quiet: Vec<bool>,
    /// In which the server was listening, but the silence is surprising.
    pub(super) surprising: Vec<bool>,
    /// How often posts come; `None` if rules choose them.
    pub(super) rates: Option<Rates>,
}

/// What tells of a leg's seconds without a post.
#[derive(Clone, Copy)]
pub(super) struct Silent<'a> {
    pub(super) seconds: &'a [i64],
    pub(super) timeline: &'a Timeline,
    /// Whether only the posts themselves tell what has come, so that it is not known what was under way.
    pub(super) is_delayed: bool,
    pub(super) has_rules: bool,
    pub(super) begins: UtcMs,
    /// From which seconds on something else was requested than before.
    pub(super) changes: &'a [i64],
}

impl Silent<'_> {
    fn second(&self, place: usize) -> i64 {
        self.seconds.get(place).copied().unwrap_or(0)
    }

    /// Of a run of seconds without a post: those in which posts would have come. A connection may also have replayed
    /// the time before, and broken afterwards.
    fn listening(&self, run: &[usize], with_posts: &[bool]) -> Vec<usize> {
        let Some((first, last)) = run.first().zip(run.last()) else {
            return Vec::new();
        };
        // whether a post ends a run at the end of the hour is not known here
        let is_cut = last + 1 == self.seconds.len();
        let end = UtcMs(if is_cut {
            i64::MAX
        } else {
            1_000 * (self.second(*last) + 1)
        });
        let posted = first.checked_sub(1);
        let posted = posted.filter(|place| with_posts.get(*place) == Some(&true));
        let posted = posted.map(|place| self.second(place));
        let was_listening = |place: &&usize| {
            let second = self.second(**place);
            let was_listening = || {
                !was_out_of_window(second, self.timeline)
                    && was_listening(second, self.timeline, self.answer(second, posted))
                    && !(self.is_delayed && self.breaks_soon(second, end))
            };
            self.timeline.was_listened_to(second) || was_listening()
        };
        run.iter().filter(was_listening).copied().collect()
    }

    /// When the connection was made, if that counts as the first bytes: the next may come as late as a keep-alive. But
    /// where no rules choose them, the first posts may be missing for some seconds, unless one has come since then:
    /// `posted` is the last second before that has a post.
    fn answer(&self, second: i64, posted: Option<i64>) -> Option<UtcMs> {
        let answer = self.timeline.last_connection(UtcMs(second * 1_000))?;
        let is_warm = answer.plus_ms(WARMING_UP_MS).0 <= second * 1_000
            || posted.is_some_and(|posted| answer.second() <= posted);
        (self.has_rules || self.is_delayed && is_warm).then_some(answer)
    }

    /// Whether the connection breaks so soon after a second that its posts may have been under way, before the run
    /// without a post ends.
    fn breaks_soon(&self, second: i64, run_ends: UtcMs) -> bool {
        let end = UtcMs((second + 1) * 1_000);
        let until = end.plus_ms(UNDER_WAY_MS).min(run_ends);
        self.timeline.first_down(end, until).is_some()
    }
}

/// Whether a connection was up around a second, with bytes near it on both sides, or before it the response that opened
/// the connection.
fn was_listening(second: i64, timeline: &Timeline, answer: Option<UtcMs>) -> bool {
    let (before, Some(after)) = timeline.bytes_around(second) else {
        return false;
    };
    let bytes = before.map(|before| UtcMs(before * 1_000));
    let Some(from) = bytes.max(answer) else {
        return false;
    };
    let is_near =
        second - from.second() <= QUIET_BYTES_NEAR_S && after - second <= QUIET_BYTES_NEAR_S;
    let to = UtcMs((after + 1) * 1_000);
    is_near && timeline.first_down(from, to).is_none()
}

/// Whether the platform no longer had a second when it was asked for it again: then belated posts of that second do
/// not come from the replay.
pub(super) fn was_out_of_window(second: i64, timeline: &Timeline) -> bool {
    let (begin, end) = (UtcMs(second * 1_000), UtcMs((second + 1) * 1_000));
    let mut formerly = timeline.lasting(begin, end);
    timeline.was_out_of_window(second)
        || formerly.any(|down| down.reason.cause == Cause::ReplayWindow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cover::estimate::tests::Dice;

    const SECONDS: i64 = 3_600;

    /// How many posts a second has at that rate.
    fn posts(dice: &mut Dice, rate: f64) -> u64 {
        let (mut posts, mut left) = (0, dice.share());
        let none = (-rate).exp();
        while none < left {
            left *= dice.share();
            posts += 1;
        }
        posts
    }

    /// An hour over one connection that stays up, at so many posts an hour. In each stretch, only one post in so many
    /// comes.
    struct Simulated {
        sent: Vec<u64>,
        came: Vec<u64>,
        quiet: Vec<bool>,
    }

    impl Simulated {
        fn of(seed: u64, rate: f64, losses: &[(std::ops::Range<i64>, f64)]) -> Self {
            Self::made(seed, |_| rate, losses, &[])
        }

        /// Posts come at another rate for a while.
        fn with_burst(seed: u64, rate: f64, burst: (std::ops::Range<i64>, f64)) -> Self {
            let (when, faster) = burst;
            Self::made(
                seed,
                |second| if when.contains(&second) { faster } else { rate },
                &[],
                &[],
            )
        }

        /// From a second on something else is requested, of which other posts come.
        fn changed(
            seed: u64,
            (change, before, after): (i64, f64, f64),
            losses: &[(std::ops::Range<i64>, f64)],
        ) -> Self {
            let rate = |second: i64| if second < change { before } else { after };
            Self::made(seed, rate, losses, &[change])
        }

        fn made(
            seed: u64,
            rate: impl Fn(i64) -> f64,
            losses: &[(std::ops::Range<i64>, f64)],
            changes: &[i64],
        ) -> Self {
            let mut dice = Dice::of(seed);
            let sent: Vec<u64> = (0..SECONDS)
                .map(|second| posts(&mut dice, rate(second)))
                .collect();
            let came = |(second, sent): (i64, &u64)| {
                let lost = losses.iter().find(|(lost, _)| lost.contains(&second));
                let comes = lost.map_or(1.0, |(_, comes)| *comes);
                (0..*sent).filter(|_| dice.hits(comes)).count() as u64
            };
            let came: Vec<u64> = (0..).zip(&sent).map(came).collect();
            let seconds: Vec<i64> = (0..SECONDS).collect();
            let has: Vec<bool> = came.iter().map(|posts| 0 < *posts).collect();
            let mut posts = BTreeMap::new();
            for (second, came) in (0..).zip(&came) {
                *posts
                    .entry(UtcMs(second * 1_000_i64).minute())
                    .or_insert(0_u64) += came;
            }
            let timeline = Timeline {
                bytes: (-20..SECONDS + 20).collect(),
                ..Timeline::default()
            };
            let silent = Silent {
                seconds: &seconds,
                timeline: &timeline,
                is_delayed: true,
                has_rules: false,
                begins: UtcMs(0),
                changes,
            };
            let quiet = quiet(silent, &has, Some(&posts)).quiet;
            Self { sent, came, quiet }
        }

        /// The posts that were lost in seconds that are called quiet.
        fn lost_in_quiet(&self) -> u64 {
            let all = self.sent.iter().zip(&self.came).zip(&self.quiet);
            all.filter(|(_, quiet)| **quiet)
                .map(|((sent, came), _)| sent - came)
                .sum()
        }

        fn gap_seconds(&self, but: std::ops::Range<i64>) -> usize {
            let all = (0..SECONDS).zip(self.came.iter().zip(&self.quiet));
            all.filter(|(second, (came, quiet))| !but.contains(second) && **came == 0 && !**quiet)
                .count()
        }
    }

    /// From one a minute to fifty a second.
    const RATES: [f64; 9] = [1.0 / 60.0, 0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 12.0, 50.0];

    /// Of ten hours in each of which 60 to 300 posts are sent and hardly any comes: the posts that were lost in
    /// seconds that are called quiet, at most in one hour and in all, and those that were lost.
    fn lost(rate: f64, comes: f64) -> (u64, u64, u64) {
        let hours = (0..10_u32).map(|number| {
            let expected = 60.0 + 24.0 * f64::from(number);
            let seconds = (1..1_200).find(|seconds| expected <= rate * f64::from(*seconds));
            let begin = 100 + i64::from(number) * 237 % 2_200;
            let lost = begin..begin + i64::from(seconds.unwrap_or(1_200).max(3));
            Simulated::of(number.into(), rate, &[(lost, comes)])
        });
        hours.fold((0, 0, 0), |(most, quiet, all), hour| {
            let (sent, came) = (hour.sent.iter().sum::<u64>(), hour.came.iter().sum::<u64>());
            let in_quiet = hour.lost_in_quiet();
            (most.max(in_quiet), quiet + in_quiet, all + sent - came)
        })
    }

    #[test]
    fn posts_that_straggle_in_make_no_silence_quiet() {
        // one in a hundred to one in ten; judged piece by piece, up to four in five of the lost posts are in quiet seconds
        for rate in RATES.into_iter().filter(|rate| 0.2 <= *rate) {
            for comes in [0.0, 0.01, 0.05] {
                let (most, quiet, all) = lost(rate, comes);
                assert!(
                    most < 15 && 50 * quiet < all,
                    "{rate} {comes}: {most}, {quiet} of {all}"
                );
            }
            let (_, quiet, all) = lost(rate, 0.1);
            assert!(25 * quiet < all, "{rate}: {quiet} of {all}");
        }
        // three a minute: an hour tells less
        let (_, quiet, all) = lost(0.05, 0.05);
        assert!(4 * quiet < all, "{quiet} of {all}");
    }

    #[test]
    fn without_a_fault_there_is_no_gap() {
        for rate in RATES {
            for seed in 0..20 {
                let gaps = Simulated::of(seed, rate, &[]).gap_seconds(0..0);
                assert_eq!(gaps, 0, "{rate} {seed}");
            }
        }
    }

    #[test]
    fn what_was_requested_before_tells_no_rate_of_what_is_requested_now() {
        // in the middle of a minute, too: when its posts came is not known
        for change in [1_800, 1_815, 1_859] {
            for seed in 0..20 {
                for (before, after) in [(50.0, RATES[0]), (5.0, RATES[1]), (RATES[0], 50.0)] {
                    let hour = Simulated::changed(seed, (change, before, after), &[]);
                    assert_eq!(
                        hour.gap_seconds(0..0),
                        0,
                        "{change} {seed} {before} {after}"
                    );
                }
                // what is lost of either is missing all the same
                let losses = [(900..1_000, 0.0), (2_700..2_800, 0.0)];
                let hour = Simulated::changed(seed, (change, 50.0, 2.0), &losses);
                assert_eq!(hour.lost_in_quiet(), 0, "{change} {seed}");
            }
        }
    }

    #[test]
    fn beside_a_burst_nothing_is_missing() {
        let bursts = [
            (1_800, 30, 4.0),
            (600, 300, 1.0),
            (3_000, 5, 30.0),
            (2_400, 600, 0.3),
        ];
        let mut wrong = 0;
        for (begin, seconds, faster) in bursts {
            for seed in 0..20 {
                let burst = begin..begin + seconds;
                let hour = Simulated::with_burst(seed, RATES[0], (burst.clone(), faster));
                // within five minutes of it the rate is that of both, and a silence may reach beyond
                wrong += usize::from(0 < hour.gap_seconds(burst.start - 800..burst.end + 800));
            }
        }
        assert!(wrong <= 3, "{wrong} of 80 hours");
    }
}
