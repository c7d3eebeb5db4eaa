//! The seconds of an hour in the order of its UTC time, and which of them are covered.

use serde::{Deserialize, Serialize};

use crate::period::{Interval, Minute, UtcMs};

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

/// How many seconds of an hour count if that instant is the first that does.
pub fn count_from(intervals: &[Interval], begins: Option<UtcMs>) -> usize {
    all(intervals)
        .filter(|second| counts(begins, *second))
        .count()
}

/// Some places of an hour's seconds, ascending, in runs of seconds that follow each other.
pub fn runs<'p>(seconds: &[i64], places: &'p [usize]) -> impl Iterator<Item = &'p [usize]> {
    let at = |place: usize| seconds.get(place).copied();
    places.chunk_by(move |a, b| a + 1 == *b && at(*a).map(|a| a + 1) == at(*b))
}

/// Whether a second counts: what lies before the beginning is no gap, and part of no percentage.
pub fn counts(begins: Option<UtcMs>, second: i64) -> bool {
    begins.is_none_or(|begins| begins.second() <= second)
}

/// Which seconds of an hour a server, or any server, has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    /// Seconds that count: those of the hour, without those before the beginning.
    pub seconds: u64,
    /// The first second that counts, if it is not the hour's first: what lies before it is before the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins: Option<UtcMs>,
    /// Seconds that are covered: a post's time falls into them, or they are quiet.
    pub covered: u64,
    /// Of these: seconds without a post that nothing was missed in, as far as one can tell.
    pub quiet: u64,
    /// Of these: seconds at the edge of a gap in this hour. Only a part of them was seen.
    pub partial: u64,
    /// The seconds that are covered, also those with a post that do not count: four a hex digit, the first one in the
    /// highest bit.
    pub bitmap: String,
    /// The seconds that are quiet, in the same form; absent if there are none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub quiet_bitmap: String,
    /// Of those that are covered: seconds with posts that were all taken out of the archive, or are held back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub emptied: u64,
    /// These seconds, in the same form; absent if there are none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub emptied_bitmap: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Covered {
    /// What is said of an hour of which these seconds have posts, and these are quiet. Those before it `begins` do
    /// not count.
    pub fn of(
        intervals: &[Interval],
        begins: Option<UtcMs>,
        with_posts: &[bool],
        quiet: &[bool],
    ) -> Self {
        let first = intervals.first().map(|first| first.begin);
        let begins = begins.filter(|begins| first.is_some_and(|first| first < *begins));
        let last = intervals.last().map(|last| last.end);
        let begins = begins.map(|begins| last.map_or(begins, |last| begins.min(last)));
        let only_counted = |bits: &[bool]| -> Vec<bool> {
            let both = bits.iter().zip(all(intervals));
            both.map(|(bit, second)| *bit && counts(begins, second))
                .collect()
        };
        let quiet = only_counted(quiet);
        let covered: Vec<bool> = with_posts.iter().zip(&quiet).map(|(a, b)| a | b).collect();
        let count = |bits: &[bool]| bits.iter().filter(|bit| **bit).count() as u64;
        let quiet_count = count(&quiet);
        Self {
            seconds: count_from(intervals, begins) as u64,
            begins,
            covered: count(&only_counted(&covered)),
            quiet: quiet_count,
            partial: count(&edges(intervals, begins, &covered)),
            bitmap: to_hex(covered.iter().copied()),
            quiet_bitmap: if quiet_count == 0 {
                String::new()
            } else {
                to_hex(quiet.iter().copied())
            },
            emptied: 0,
            emptied_bitmap: String::new(),
        }
    }

    /// The same, of which these seconds have lost all their posts.
    #[must_use]
    pub fn emptied(mut self, intervals: &[Interval], emptied: &[bool]) -> Self {
        let counted = all(intervals).zip(emptied);
        let counted = counted.filter(|(second, is)| **is && counts(self.begins, *second));
        self.emptied = counted.count() as u64;
        if emptied.contains(&true) {
            self.emptied_bitmap = to_hex(emptied.iter().copied());
        }
        self
    }

    /// The seconds that have lost all their posts; `None` as with [`bits`](Self::bits).
    pub fn emptied_bits(&self, seconds: usize) -> Option<Vec<bool>> {
        if self.emptied_bitmap.is_empty() {
            return Some(vec![false; seconds]);
        }
        from_hex(&self.emptied_bitmap, seconds)
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

/// The seconds that a leg has seen whole, and that have posts: those beside a gap of the leg were cut short by what made the gap.
pub fn whole_with_posts(
    intervals: &[Interval],
    begins: Option<UtcMs>,
    covered: &[bool],
    quiet: &[bool],
) -> Vec<bool> {
    let edges = edges(intervals, begins, covered);
    let of_each = covered.iter().zip(quiet).zip(edges);
    of_each
        .map(|((covered, quiet), is_edge)| *covered && !quiet && !is_edge)
        .collect()
}

/// The covered seconds that lie beside an uncovered one of the same hour that counts.
fn edges(intervals: &[Interval], begins: Option<UtcMs>, covered: &[bool]) -> Vec<bool> {
    let seconds: Vec<i64> = all(intervals).collect();
    let is_gap = |place: Option<usize>, second: i64| {
        counts(begins, second)
            && place.is_some_and(|place| {
                seconds.get(place) == Some(&second) && covered.get(place) == Some(&false)
            })
    };
    let edge = |(place, (second, is_covered)): (usize, (&i64, &bool))| {
        *is_covered
            && counts(begins, *second)
            && (is_gap(place.checked_sub(1), second - 1) || is_gap(Some(place + 1), second + 1))
    };
    seconds.iter().zip(covered).enumerate().map(edge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let found = Covered::of(&intervals, None, &covered, &quiet);
        assert_eq!((found.seconds, found.covered, found.partial), (9, 6, 4));
        assert_eq!(found.bits(9), Some((covered.to_vec(), quiet.to_vec())));
        // from second 2 on: what lies before is no gap and does not count
        let begins = Some(UtcMs(2_000));
        let found = Covered::of(&intervals, begins, &covered, &quiet);
        assert_eq!((found.seconds, found.begins), (7, begins));
        assert_eq!((found.covered, found.partial), (5, 2));
        // the hour's own begin is no beginning, and none lies after its end
        let found = Covered::of(&intervals, Some(UtcMs(0)), &covered, &quiet);
        assert_eq!((found.seconds, found.begins), (9, None));
        let found = Covered::of(&intervals, Some(UtcMs(900_000)), &covered, &quiet);
        let end = Some(UtcMs(64_000));
        assert_eq!((found.seconds, found.covered, found.begins), (0, 0, end));
    }
}
