//! The seconds of an hour in the order of its UTC time, and which of them are covered.

use serde::{Deserialize, Serialize};

use crate::period::{Interval, Minute};

/// All seconds since 1970 that belong to an hour, in order.
pub fn all(intervals: &[Interval]) -> impl Iterator<Item = i64> {
    intervals
        .iter()
        .flat_map(|interval| interval.begin.second()..interval.end.second())
}

/// All minutes of an hour, in order.
pub fn minutes(intervals: &[Interval]) -> impl Iterator<Item = Minute> {
    intervals
        .iter()
        .flat_map(|interval| (interval.begin.minute().0..interval.end.minute().0).map(Minute))
}

/// How many seconds an hour has.
pub fn count(intervals: &[Interval]) -> usize {
    all(intervals).count()
}

/// One bit for each second of an hour; four of them a hex digit, the first one in the highest bit.
pub fn to_hex(bits: impl IntoIterator<Item = bool>) -> String {
    let (mut text, mut nibble, mut filled) = (String::new(), 0_u32, 0);
    for bit in bits {
        nibble = nibble << 1 | u32::from(bit);
        filled += 1;
        if filled == 4 {
            text.extend(char::from_digit(nibble, 16));
            (nibble, filled) = (0, 0);
        }
    }
    if 0 < filled {
        text.extend(char::from_digit(nibble << (4 - filled), 16));
    }
    text
}

/// The bits of an hour with so many seconds; `None` if the text is no bitmap of just that many.
pub fn from_hex(text: &str, seconds: usize) -> Option<Vec<bool>> {
    if text.len() != seconds.div_ceil(4) {
        return None;
    }
    let mut bits = Vec::with_capacity(4 * text.len());
    for digit in text.chars() {
        let nibble = digit.to_digit(16)?;
        bits.extend((0..4).rev().map(|place| nibble >> place & 1 == 1));
    }
    let rest_is_zero = bits.get(seconds..)?.iter().all(|bit| !bit);
    bits.truncate(seconds);
    rest_is_zero.then_some(bits)
}

/// Which seconds of an hour a server, or any server, has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    /// Seconds that are covered: a post's time falls into them, or they are quiet.
    pub covered: u64,
    /// Of these: seconds without a post that nothing was missed in, as far as one can tell.
    pub quiet: u64,
    /// Of these: seconds at the edge of a gap in this hour. Only a part of them was seen.
    pub partial: u64,
    /// The seconds that are covered: four a hex digit, the first one in the highest bit.
    pub bitmap: String,
    /// The seconds that are quiet, in the same form; absent if there are none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub quiet_bitmap: String,
}

impl Covered {
    /// What is said of an hour of which these seconds have posts, and these are quiet.
    pub fn of(intervals: &[Interval], with_posts: &[bool], quiet: &[bool]) -> Self {
        let covered: Vec<bool> = with_posts.iter().zip(quiet).map(|(a, b)| a | b).collect();
        let count = |bits: &[bool]| bits.iter().filter(|bit| **bit).count() as u64;
        let quiet_count = count(quiet);
        Self {
            covered: count(&covered),
            quiet: quiet_count,
            partial: count(&edges(intervals, &covered)),
            bitmap: to_hex(covered.iter().copied()),
            quiet_bitmap: if quiet_count == 0 {
                String::new()
            } else {
                to_hex(quiet.iter().copied())
            },
        }
    }

    /// The seconds that are covered, and those that are quiet. `None` if the bitmaps are not those
    /// of an hour with so many seconds.
    pub fn bits(&self, seconds: usize) -> Option<(Vec<bool>, Vec<bool>)> {
        let covered = from_hex(&self.bitmap, seconds)?;
        let quiet = if self.quiet_bitmap.is_empty() {
            vec![false; seconds]
        } else {
            from_hex(&self.quiet_bitmap, seconds)?
        };
        Some((covered, quiet))
    }
}

/// The covered seconds that lie beside an uncovered one of the same hour.
fn edges(intervals: &[Interval], covered: &[bool]) -> Vec<bool> {
    let seconds: Vec<i64> = all(intervals).collect();
    let is_gap = |place: Option<usize>, second: i64| {
        place.is_some_and(|place| {
            seconds.get(place) == Some(&second) && covered.get(place) == Some(&false)
        })
    };
    let edge = |(place, (second, is_covered)): (usize, (&i64, &bool))| {
        *is_covered
            && (is_gap(place.checked_sub(1), second - 1) || is_gap(Some(place + 1), second + 1))
    };
    seconds.iter().zip(covered).enumerate().map(edge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::period::UtcMs;

    #[test]
    fn bitmaps_read_back_and_nothing_else_is_one() {
        for seconds in [0, 1, 4, 7, 3_600, 5_400] {
            let bits: Vec<bool> = (0..seconds).map(|n| n % 3 == 0).collect();
            assert_eq!(from_hex(&to_hex(bits.clone()), seconds), Some(bits));
        }
        assert_eq!(to_hex([true, false, false, true, true]), "98");
        for wrong in ["9", "980", "99", "9g", "é"] {
            assert_eq!(from_hex(wrong, 5), None, "{wrong}");
        }
    }

    #[test]
    fn the_seconds_beside_a_gap_are_partial() {
        let interval = |begin: i64, end: i64| Interval {
            begin: UtcMs(begin * 1_000),
            end: UtcMs(end * 1_000),
        };
        // two ranges that do not touch: second 5 is no neighbour of second 4
        let intervals = [interval(0, 5), interval(60, 64)];
        let covered = [true, false, true, true, false, true, true, true, false];
        let quiet = [false; 9];
        let found = Covered::of(&intervals, &covered, &quiet);
        assert_eq!((found.covered, found.partial), (6, 4));
        assert_eq!(found.bits(9), Some((covered.to_vec(), quiet.to_vec())));
    }
}
