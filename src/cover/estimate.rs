//! How many posts did both of two servers miss, in the seconds that both of them covered?
//!
//! Chapman's estimator, minute by minute: of n₁ posts of one server and n₂ of the other, m in common, both missed
//! about (n₁ − m)(n₂ − m) / (m + 1). The sums over the minutes get a log-normal interval of 95 % on the number unseen
//! (Burnham's, as in Rexstad and Burnham 1991). Below 5 the interval says little, and only an upper limit is given.
//!
//! It assumes that the two lose posts independently of each other, and that both are offered the same posts. If both
//! lose the same posts (because of the platform, or a shared network), the true number is greater: the estimate is
//! then a lower bound. Seconds that one of them did not cover at all are gaps and take no part, nor do the seconds
//! beside them, which it covered in part: a burst is no failure to catch single posts.

use serde::{Deserialize, Serialize};

/// Posts of two servers in the seconds of a minute that both covered. Which seconds these are, at the edges of gaps too,
/// is decided in `account` (`both`); this module only calculates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u64; 4]", into = "[u64; 4]")]
pub struct Both {
    /// How many seconds both covered with posts, none of them beside a gap of one of the two.
    pub seconds: u64,
    /// Posts of the first server in them.
    pub first: u64,
    /// Posts of the second.
    pub second: u64,
    /// Posts that both have.
    pub common: u64,
}

impl From<[u64; 4]> for Both {
    fn from([seconds, first, second, common]: [u64; 4]) -> Self {
        Self {
            seconds,
            first,
            second,
            common,
        }
    }
}

impl From<Both> for [u64; 4] {
    fn from(both: Both) -> Self {
        [both.seconds, both.first, both.second, both.common]
    }
}

/// The estimate of the posts that both missed, with 95 % confidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// The seconds that it speaks of.
    pub seconds: u64,
    /// The most likely number; absent where only an upper limit can be told.
    pub unseen: Option<u64>,
    /// The lower end of the interval; absent where only an upper limit can be told.
    pub low: Option<u64>,
    /// The upper end of the interval, or the upper limit.
    pub high: u64,
    /// How it was worked out.
    pub method: String,
}

/// With an interval.
pub const INTERVAL: &str = "Chapman per minute, log-normal 95 % interval";

/// Without.
pub const LIMIT: &str = "Chapman per minute, upper 97.5 % limit only";

/// Below this many, only an upper limit is given.
const INTERVAL_FROM: f64 = 5.0;

/// The 97.5 % quantile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// The estimate for any number of minutes: an hour's, a day's. `None` if there is no second that
/// both covered.
pub fn estimate<'a>(minutes: impl IntoIterator<Item = &'a Both>) -> Option<Estimate> {
    let (mut seconds, mut unseen, mut variance, mut limit) = (0, 0.0, 0.0, 0.0);
    for both in minutes.into_iter().filter(|both| 0 < both.seconds) {
        seconds += both.seconds;
        let common = float(both.common);
        let only = |all: u64| float(all.saturating_sub(both.common));
        let (first, second) = (only(both.first), only(both.second));
        unseen += first * second / (common + 1.0);
        variance += (float(both.first) + 1.0) * (float(both.second) + 1.0) * first * second
            / ((common + 1.0) * (common + 1.0) * (common + 2.0));
        // one more each: that none was missed in so few is no proof that none ever is
        limit += (first + 1.0) * (second + 1.0) / (common + 1.0);
    }
    if seconds == 0 {
        return None;
    }
    if unseen < INTERVAL_FROM {
        return Some(Estimate {
            seconds,
            unseen: None,
            low: None,
            high: poisson_limit(limit),
            method: LIMIT.to_owned(),
        });
    }
    let spread = (Z * (variance / (unseen * unseen)).ln_1p().sqrt()).exp();
    Some(Estimate {
        seconds,
        unseen: Some(whole(unseen.round())),
        low: Some(whole((unseen / spread).floor())),
        high: whole((unseen * spread).ceil()),
        method: INTERVAL.to_owned(),
    })
}

/// The number that a Poisson variable of that mean does not exceed with 97.5 %.
fn poisson_limit(mean: f64) -> u64 {
    /// Beyond this, the normal distribution is good enough, and e^-mean too small a number.
    const SMALL: f64 = 500.0;
    if SMALL < mean {
        return whole((mean + Z * mean.sqrt()).ceil());
    }
    let (mut term, mut reached) = ((-mean).exp(), 0.0);
    for number in 0_u32..10_000 {
        reached += term;
        if 0.975 <= reached {
            return u64::from(number);
        }
        term *= mean / f64::from(number + 1);
    }
    whole((mean + Z * mean.sqrt()).ceil())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "posts of a minute are far below 2^53"
)]
const fn float(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and what is rounded is not negative"
)]
const fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Numbers that look random, the same for the same seed.
    pub(in crate::cover) struct Dice(u64);

    impl Dice {
        pub(in crate::cover) fn of(seed: u64) -> Self {
            Self(seed.wrapping_mul(0x1234_5678_9abc_def1))
        }

        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        /// At least 0 and below 1.
        pub(in crate::cover) fn share(&mut self) -> f64 {
            float(self.next() >> 11) / float(1 << 53)
        }

        pub(in crate::cover) fn hits(&mut self, probability: f64) -> bool {
            self.share() < probability
        }
    }

    /// Twenty minutes with so many posts each, of which each server loses a share, and both together
    /// another; gives what two servers saw, and how many posts neither did.
    fn minutes(seed: u64, posts: u64, lose: (f64, f64), lose_both: f64) -> (Vec<Both>, u64) {
        let mut dice = Dice::of(seed);
        let mut unseen = 0;
        let minute = |_| {
            let mut both = Both {
                seconds: 60,
                ..Both::default()
            };
            for _ in 0..posts {
                let together = dice.hits(lose_both);
                let first = !together && !dice.hits(lose.0);
                let second = !together && !dice.hits(lose.1);
                both.first += u64::from(first);
                both.second += u64::from(second);
                both.common += u64::from(first && second);
                unseen += u64::from(!first && !second);
            }
            both
        };
        ((0..20).map(minute).collect(), unseen)
    }

    /// How many of so many seeds have the true number in the interval told.
    fn told_right(seeds: u64, posts: u64, lose: (f64, f64), lose_both: f64) -> (u64, u64) {
        let (mut right, mut above) = (0, 0);
        for seed in 0..seeds {
            let (told_of, unseen) = minutes(seed, posts, lose, lose_both);
            let told = estimate(&told_of).unwrap();
            let is_above = told.high < unseen;
            above += u64::from(is_above);
            right += u64::from(!is_above && told.low.unwrap_or(0) <= unseen);
        }
        (right, above)
    }

    #[test]
    fn the_interval_has_the_truth_as_often_as_it_says_when_losses_are_independent() {
        const SEEDS: u64 = 200;
        // 95 % of 200 is 190; fewer than 180 has a probability of one in a thousand
        const RIGHT_MIN: u64 = 180;
        for (posts, lose) in [
            (600, (0.02, 0.03)),
            (600, (0.05, 0.05)),
            (300, (0.2, 0.1)),
            (1_000, (0.01, 0.015)),
            (200, (0.3, 0.02)),
            // below 5: only a limit
            (600, (0.002, 0.003)),
            (300, (0.0, 0.05)),
            (100, (0.01, 0.01)),
            (30, (0.0, 0.0)),
        ] {
            let (right, _) = told_right(SEEDS, posts, lose, 0.0);
            assert!(RIGHT_MIN <= right, "{posts} {lose:?}: {right} of {SEEDS}");
        }
    }

    #[test]
    fn when_both_lose_the_same_posts_it_is_a_lower_bound() {
        let (_, above) = told_right(100, 600, (0.03, 0.03), 0.02);
        assert_eq!(above, 100, "the truth lies above the interval");
    }

    #[test]
    fn it_is_worked_out_as_the_formulas_say() {
        let both = |first, second, common| Both {
            seconds: 60,
            first,
            second,
            common,
        };
        let told = |minutes: &[Both]| {
            let told = estimate(minutes).unwrap();
            (told.unseen, told.low, told.high)
        };
        // few in common, so that every one that is added to a number shows; worked out by hand
        assert_eq!(told(&[both(10, 12, 4)]), (Some(10), Some(2), 34));
        assert_eq!(told(&[both(6, 9, 1)]), (Some(20), Some(5), 76));
        let two = [both(10, 12, 4), both(30, 20, 9)];
        assert_eq!(told(&two), (Some(33), Some(15), 72));
        // a limit, and minutes without a second that both have, which are none
        let limit = told(&[both(9, 9, 8)]);
        assert_eq!(limit, (None, None, 2));
        for minutes in [&two[..], &[both(9, 9, 8)]] {
            let nothing = [Both::default(); 50];
            assert_eq!(told(minutes), told(&[minutes, &nothing].concat()));
        }
    }

    #[test]
    fn few_seconds_and_none() {
        assert_eq!(estimate(&[]), None);
        assert_eq!(estimate(&[Both::default()]), None);
        let both = |first, second, common| Both {
            seconds: 60,
            first,
            second,
            common,
        };
        let told = estimate(&[both(3_000, 3_000, 3_000)]).unwrap();
        assert_eq!((told.unseen, told.low, told.high), (None, None, 0));
        let told = estimate(&[both(0, 0, 0)]).unwrap();
        assert_eq!(told.high, 3, "one post more or less, and nobody saw any");
        // 200 × 200 / 1801 = 22.2
        let told = estimate(&[both(2_000, 2_000, 1_800)]).unwrap();
        assert_eq!((told.unseen, told.low, told.high), (Some(22), Some(14), 36));
        let told = estimate(&[both(u64::MAX, u64::MAX, 0)]).unwrap();
        assert!(told.low <= told.unseen);
    }
}
