//! How often posts come, and which silences that explains.
//!
//! Only seconds in which a server was listening count: a rate that is divided by seconds of which nothing is known would
//! be too low. A silence is surprising if at least 15 posts were to be expected in it, at the mean rate of the seconds
//! near it: that none comes then has a probability of e^-15 < 10⁻⁶. Few posts in few seconds, as after a start, tell no
//! mean rate. So a silence of s seconds, less than five minutes, is surprising only if the n posts of the N seconds near
//! it, itself among them, all miss it by as rare a chance: n · ln(N / (N - s)) ≥ 15.

use std::collections::BTreeMap;

use crate::period::{Minute, UtcMs};

/// A silence is surprising if so many posts were to be expected in it: e^-15 < 10⁻⁶.
const SURPRISING: u64 = 15;

/// So many minutes before and after a silence tell how surprising it is.
const NEAR_MINUTES: i64 = 5;

/// A longer silence is surprising even if the seconds near it are few.
const SHORT_S: u64 = 300;

/// A minute: how many posts came, and how many seconds the server was listening.
#[derive(Debug, Clone, Copy, Default)]
struct OfMinute {
    posts: u64,
    seconds: u64,
}

/// The posts of an hour's minutes, and the seconds of each in which a server was listening.
#[derive(Debug, Clone)]
pub struct Rate(BTreeMap<Minute, OfMinute>);

/// Seconds without a post between two instants, in which a server was listening. There may be others between them.
#[derive(Debug, Clone, Copy)]
pub struct Silence {
    /// The first of these seconds.
    pub first: i64,
    /// The last one.
    pub last: i64,
    /// How many they are.
    pub seconds: u64,
}

impl Silence {
    /// The silence of these seconds, ascending; `None` if there are none.
    pub fn of(seconds: impl IntoIterator<Item = i64>) -> Option<Self> {
        let mut seconds = seconds.into_iter();
        let first = seconds.next()?;
        let of_one = Self {
            first,
            last: first,
            seconds: 1,
        };
        Some(seconds.fold(of_one, |silence, last| Self {
            last,
            seconds: silence.seconds + 1,
            ..silence
        }))
    }
}

impl Rate {
    /// From the posts of an hour's minutes and the seconds in which the server was listening.
    pub fn of(posts: &BTreeMap<Minute, u64>, listening: impl IntoIterator<Item = i64>) -> Self {
        let minutes = posts.iter().map(|(minute, posts)| {
            let of_minute = OfMinute {
                posts: *posts,
                seconds: 0,
            };
            (*minute, of_minute)
        });
        let mut rate = Self(minutes.collect());
        for second in listening {
            let minute = UtcMs(second * 1_000).minute();
            rate.0.entry(minute).or_default().seconds += 1;
        }
        rate
    }

    /// Takes a second out: the server was not listening after all.
    pub fn take_out(&mut self, second: i64) {
        if let Some(of_minute) = self.0.get_mut(&UtcMs(second * 1_000).minute()) {
            of_minute.seconds = of_minute.seconds.saturating_sub(1);
        }
    }

    /// Whether chance explains a silence whose seconds are among those of this rate.
    pub fn explains(&self, silence: Silence) -> bool {
        self.judge(silence, 0)
    }

    /// Whether chance would explain a silence if the server had been listening in it.
    pub fn would_explain(&self, silence: Silence) -> bool {
        self.judge(silence, silence.seconds)
    }

    /// Whether there are too few posts to tell how many should have come in any part of the hour.
    pub fn is_unknown(&self) -> bool {
        self.0.values().map(|of| of.posts).sum::<u64>() < SURPRISING
    }

    fn judge(&self, silence: Silence, more: u64) -> bool {
        let of = |first: i64, last: i64| {
            let minutes = self.0.range(Minute(first)..=Minute(last));
            minutes.fold(OfMinute::default(), |sum, (_, of)| OfMinute {
                posts: sum.posts + of.posts,
                seconds: sum.seconds + of.seconds,
            })
        };
        let minute = |second: i64| UtcMs(second * 1_000).minute().0;
        let (first, last) = (minute(silence.first), minute(silence.last));
        let mut known = of(first - NEAR_MINUTES, last + NEAR_MINUTES);
        if known.posts == 0 {
            known = of(i64::MIN, i64::MAX);
        }
        let (posts, seconds, silent) = (known.posts, known.seconds + more, silence.seconds);
        let others = seconds.saturating_sub(silent);
        let few_expected = posts.saturating_mul(silent) < SURPRISING.saturating_mul(others);
        // an hour without any post tells no rate, so nothing is claimed of it
        0 < posts && (few_expected || silent < SHORT_S && is_chance(posts, seconds, others))
    }
}

/// Whether so many posts in these seconds all fall into some of them by chance. The logarithm is that of whole powers of
/// two, and for what is left ln x ≥ 2 (x - 1) / (x + 1), since whole numbers give the same answer on every machine.
fn is_chance(posts: u64, seconds: u64, others: u64) -> bool {
    const LN_2: u128 = 693;
    if others == 0 {
        return false;
    }
    let powers = (seconds / others).ilog2();
    let (all, part) = (u128::from(seconds), u128::from(others) << powers);
    let (posts, surprising) = (u128::from(posts), u128::from(SURPRISING));
    let (sum, rest) = (all + part, all - part);
    posts * (LN_2 * u128::from(powers) * sum + 2_000 * rest) < 1_000 * surprising * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An hour with so many posts in each minute, listened to in these seconds.
    fn rate(posts: impl Fn(i64) -> u64, listening: std::ops::Range<i64>) -> Rate {
        let minutes = (0..60).map(|minute| (Minute(minute), posts(minute)));
        Rate::of(&minutes.collect(), listening)
    }

    fn silence(first: i64, seconds: i64) -> Silence {
        Silence::of(first..first + seconds).unwrap()
    }

    #[test]
    fn the_minutes_around_a_silence_tell_whether_it_is_surprising() {
        let near = |minute| (25..=35).contains(&minute);
        // ten a second near it, and hardly one on the mean of the hour
        let busy = rate(|minute| if near(minute) { 600 } else { 1 }, 0..3_600);
        assert!(!busy.explains(silence(1_800, 5)));
        assert!(busy.explains(silence(1_800, 1)));
        let lull = rate(|minute| if near(minute) { 1 } else { 600 }, 0..3_600);
        assert!(lull.explains(silence(1_800, 20)));
        // one a second: fifteen are to be expected, or one less
        let even = rate(|minute| if near(minute) { 60 } else { 0 }, 0..3_600);
        assert!(even.explains(silence(1_800, 14)));
        assert!(!even.explains(silence(1_800, 16)));
        let nothing = rate(|_| 0, 0..3_600);
        assert!(!nothing.explains(silence(1_800, 1)), "nothing is claimed");
        assert!(nothing.is_unknown() && !even.is_unknown());
    }

    #[test]
    fn seconds_in_which_nobody_listened_tell_no_rate() {
        // forty posts in forty seconds after a start, and nothing for twenty seconds in their midst
        let start = rate(|minute| if minute == 50 { 40 } else { 0 }, 3_000..3_060);
        assert!(!start.explains(silence(3_020, 20)));
        // the whole hour's seconds would have made it an expected silence
        let whole = rate(|minute| if minute == 50 { 40 } else { 0 }, 0..3_600);
        assert!(whole.explains(silence(3_020, 20)));
        // but two posts at once say nothing of the twenty-eight seconds that follow
        let few = rate(|minute| if minute == 59 { 2 } else { 0 }, 3_570..3_600);
        assert!(few.explains(silence(3_572, 28)));
        // nor do two posts in ten seconds, after a time that nobody can have again
        let rare = rate(|minute| u64::from(58 <= minute), 3_506..3_600);
        assert!(rare.explains(silence(3_507, 83)));
        let mut less = even(3_600);
        assert!(less.explains(silence(1_800, 14)));
        (1_500..1_600).for_each(|second| less.take_out(second));
        assert!(!less.explains(silence(1_800, 14)));
    }

    /// One post every second.
    fn even(seconds: i64) -> Rate {
        rate(|_| 60, 0..seconds)
    }

    #[test]
    fn a_long_silence_is_surprising_even_if_little_came_before_it() {
        // an outage that begins with the hour's first second
        for posts in 1..30 {
            let outage = rate(|minute| if minute == 0 { posts } else { 0 }, 0..3_600);
            assert!(!outage.explains(silence(1, 3_599)), "{posts}");
        }
        // seconds of which it is not known whether anybody listened
        let mut away = rate(|minute| if minute < 30 { 2 } else { 0 }, 0..3_600);
        (1_800..3_000).for_each(|second| away.take_out(second));
        assert!(!away.would_explain(silence(1_800, 1_200)));
        assert!(away.would_explain(silence(1_800, 25)));
    }

    #[test]
    fn the_logarithm_is_right_within_a_twentieth() {
        for (seconds, others) in [
            (600, 599),
            (600, 400),
            (600, 300),
            (60, 1),
            (59, 3),
            (3_600, 7),
        ] {
            let exact = 15.0 / (f64::from(seconds) / f64::from(others)).ln();
            let chance = |posts: u64| {
                is_chance(
                    posts,
                    seconds.try_into().unwrap(),
                    others.try_into().unwrap(),
                )
            };
            let most = (0..100_000)
                .take_while(|posts| chance(*posts))
                .last()
                .unwrap();
            let most = f64::from(u32::try_from(most).unwrap());
            assert!(
                exact - 1.0 <= most && most <= exact * 1.05,
                "{seconds} {others}: {most}"
            );
        }
    }
}
