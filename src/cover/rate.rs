//! How often posts come, and which silences that explains.
//!
//! Only seconds in which a server was listening count: a rate that is divided by seconds of which nothing is known would
//! be too low. A silence is surprising if at least 15 posts were to be expected in it, at the mean rate of the seconds
//! near it: that none comes then has a probability of e^-15 < 10⁻⁶. Few posts in few seconds, as after a start, tell no
//! mean rate. So a silence of s seconds is surprising only if the n posts of the N seconds near it, itself among them,
//! all miss it by as rare a chance: n · ln(N / (N - s)) ≥ 15. But a silence of five minutes or more is judged without
//! that if n is less than 15. And if n is less than 15 although the hour has more, the hour must say the same.

use std::collections::BTreeMap;

use crate::period::{Minute, UtcMs};

/// A silence is surprising if so many posts were to be expected in it: e^-15 < 10⁻⁶.
pub(super) const SURPRISING: u64 = 15;

/// So many minutes before and after a silence tell how surprising it is.
const NEAR_MINUTES: i64 = 5;

/// A longer silence is surprising even if the seconds near it are few.
const SHORT_S: u64 = 300;

/// Logarithms are whole numbers of billionths, since these are the same on every machine.
pub(super) const NANO: u64 = 1_000_000_000;

/// Posts are counted in thousandths, because the posts of a minute are divided among its seconds.
pub(super) const MILLI: u64 = 1_000;

/// Fewer posts tell little, in thousandths.
const FEW: u64 = SURPRISING * MILLI;

/// A minute: how many posts came in the seconds that tell how often posts come, and how many seconds these are.
#[derive(Debug, Clone, Copy, Default)]
struct OfMinute {
    milli_posts: u64,
    seconds: u64,
    /// Of a second with posts, on the mean.
    milli_posts_a_second: u64,
}

/// The posts of an hour's minutes, and the seconds of each in which a server was listening.
#[derive(Debug, Clone)]
pub struct Rate {
    minutes: BTreeMap<Minute, OfMinute>,
    /// Also those that do not tell how often posts come.
    posts: u64,
}

/// What a second tells of how often posts come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tells {
    /// Posts came.
    Posts,
    /// None came, and the server was listening.
    Silence,
    /// Posts came, but they may be what is left of a silence.
    Nothing,
}

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
    /// From the posts of an hour's minutes and what its seconds tell.
    pub fn of(posts: &BTreeMap<Minute, u64>, tell: impl IntoIterator<Item = (i64, Tells)>) -> Self {
        let mut with_posts: BTreeMap<Minute, (u64, u64)> = BTreeMap::new();
        let mut minutes: BTreeMap<Minute, OfMinute> = BTreeMap::new();
        for (second, tells) in tell {
            let minute = UtcMs(second * 1_000).minute();
            if tells != Tells::Nothing {
                minutes.entry(minute).or_default().seconds += 1;
            }
            let (all, telling) = with_posts.entry(minute).or_default();
            *all += u64::from(tells != Tells::Silence);
            *telling += u64::from(tells == Tells::Posts);
        }
        for (minute, posts) in posts {
            let of_minute = minutes.entry(*minute).or_default();
            let posts = posts.saturating_mul(MILLI);
            let (all, telling) = with_posts.get(minute).copied().unwrap_or_default();
            of_minute.milli_posts = match all {
                0 => posts,
                all => posts.saturating_mul(telling) / all,
            };
            of_minute.milli_posts_a_second = posts / all.max(1);
        }
        Self {
            minutes,
            posts: posts.values().sum(),
        }
    }

    /// How many posts a second of that minute has, if it has any: on the mean, in thousandths.
    pub fn milli_posts_of(&self, second: i64) -> u64 {
        let minute = self.minutes.get(&UtcMs(second * 1_000).minute());
        minute.map_or(0, |of| of.milli_posts_a_second)
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
    pub const fn is_unknown(&self) -> bool {
        self.posts < SURPRISING
    }

    fn judge(&self, silence: Silence, more: u64) -> bool {
        let minute = |second: i64| UtcMs(second * 1_000).minute().0;
        let (first, last) = (minute(silence.first), minute(silence.last));
        let near = self.between(first - NEAR_MINUTES, last + NEAR_MINUTES);
        let hour = self.between(i64::MIN, i64::MAX);
        let by_near = || 0 < near.milli_posts && near.explains(silence, more);
        // where the minutes near it tell little
        let by_hour = || FEW <= hour.milli_posts && hour.explains(silence, more);
        by_near() || near.milli_posts < FEW && by_hour()
    }

    fn between(&self, first: i64, last: i64) -> OfMinute {
        let minutes = self.minutes.range(Minute(first)..=Minute(last));
        minutes.fold(OfMinute::default(), |sum, (_, of)| OfMinute {
            milli_posts: sum.milli_posts + of.milli_posts,
            seconds: sum.seconds + of.seconds,
            ..sum
        })
    }
}

impl OfMinute {
    /// Whether chance explains a silence among these minutes, of which so many seconds are not counted in them.
    fn explains(self, silence: Silence, more: u64) -> bool {
        let (seconds, silent) = (self.seconds + more, silence.seconds);
        let others = seconds.saturating_sub(silent);
        let few_expected = self.milli_posts.saturating_mul(silent) < FEW.saturating_mul(others);
        let is_told = FEW <= self.milli_posts;
        few_expected
            || (silent < SHORT_S || is_told) && is_chance(self.milli_posts, seconds, others)
    }
}

/// Whether so many posts in these seconds all fall into some of them by chance.
fn is_chance(milli_posts: u64, seconds: u64, others: u64) -> bool {
    let each = u128::from(ln(seconds.into(), others.into()));
    0 < others && u128::from(milli_posts) * each < u128::from(FEW) * u128::from(NANO)
}

/// The natural logarithm of a ratio that is at least 1, in billionths: whole powers of two, and of what is left
/// ln x = 2 (y + y³/3 + y⁵/5 + …) with y = (x - 1) / (x + 1) ≤ 1/3.
pub(super) fn ln(all: u128, part: u128) -> u64 {
    const LN_2: u64 = 693_147_181;
    const TERMS: u64 = 8;
    let powers = all.checked_div(part).and_then(u128::checked_ilog2);
    let Some(powers) = powers else {
        return 0;
    };
    let (less, sum) = (all - (part << powers), all + (part << powers));
    // so that a product with a billion is a word
    let too_long = (128 - sum.leading_zeros()).saturating_sub(34);
    let word = |number: u128| u64::try_from(number >> too_long).unwrap_or(u64::MAX);
    let y = word(less) * NANO / word(sum);
    let square = y * y / NANO;
    let (mut power, mut series) = (y, 0);
    for term in 0..TERMS {
        series += power / (2 * term + 1);
        power = power * square / NANO;
    }
    LN_2 * u64::from(powers) + 2 * series
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An hour with so many posts in each minute, listened to in these seconds.
    fn rate(posts: impl Fn(i64) -> u64, listening: impl IntoIterator<Item = i64>) -> Rate {
        let minutes = (0..60).map(|minute| (Minute(minute), posts(minute)));
        let minutes: BTreeMap<Minute, u64> = minutes.collect();
        // as many of the seconds as have posts, if they have one each
        let mut left = minutes.clone();
        let tell = listening.into_iter().map(|second| {
            let left = left.get_mut(&UtcMs(second * 1_000).minute()).unwrap();
            let tells = if *left == 0 {
                Tells::Silence
            } else {
                Tells::Posts
            };
            *left = left.saturating_sub(1);
            (second, tells)
        });
        Rate::of(&minutes, tell)
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
        let even = |listening: Vec<i64>| rate(|_| 60, listening);
        assert!(even((0..3_600).collect()).explains(silence(1_800, 14)));
        let less = even((0..1_500).chain(1_600..3_600).collect());
        assert!(!less.explains(silence(1_800, 14)));
    }

    #[test]
    fn a_long_silence_is_surprising_even_if_little_came_before_it() {
        // an outage that begins with the hour's first second
        for posts in 1..30 {
            let outage = rate(|minute| if minute == 0 { posts } else { 0 }, 0..3_600);
            assert!(!outage.explains(silence(1, 3_599)), "{posts}");
        }
        // seconds of which it is not known whether anybody listened
        let listening = (0..1_800).chain(3_000..3_600);
        let away = rate(|minute| if minute < 30 { 2 } else { 0 }, listening);
        assert!(!away.would_explain(silence(1_800, 1_200)));
        assert!(away.would_explain(silence(1_800, 25)));
    }

    #[test]
    fn the_logarithm_is_that_of_the_ratio() {
        for (all, part) in [
            (600_u32, 599_u32),
            (600, 400),
            (600, 300),
            (60, 1),
            (59, 3),
            (7_200_000, 7),
            (1, 1),
            (2_047, 1_024),
        ] {
            let exact = (f64::from(all) / f64::from(part)).ln();
            let found = f64::from(u32::try_from(ln(all.into(), part.into()) / 10).unwrap()) / 1e8;
            assert!(
                (found - exact).abs() < 1e-6,
                "{all} {part}: {found} {exact}"
            );
        }
        assert_eq!((ln(3, 0), ln(1, 2)), (0, 0));
    }
}
