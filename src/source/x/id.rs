//! Post ids: numbers of at most 2^63 − 1, which from November 2010 on carry their millisecond.

use crate::{
    period::UtcMs,
    source::key::{Key, numeric_id},
};

/// The first id that carries a time. Smaller ones were counted up and say nothing of theirs.
pub const FIRST_SNOWFLAKE: u64 = 29_700_000_000;

/// The instant that an id counts from: 2010-11-04T01:42:54.657Z, the epoch of snowflake ids.
const EPOCH_MS: i64 = 1_288_834_974_657;

/// Bits below the millisecond: five of the datacenter, five of the worker, twelve of the sequence.
const BITS_BELOW_MS: u32 = 22;

/// The time in an id; `None` for the ones from before there was one in them.
pub fn time(id: u64) -> Option<UtcMs> {
    let ms = i64::try_from(id >> BITS_BELOW_MS).unwrap_or(i64::MAX);
    (FIRST_SNOWFLAKE <= id).then(|| UtcMs(ms.saturating_add(EPOCH_MS)))
}

/// The smallest id of an instant.
pub fn first_of(at: UtcMs) -> u64 {
    let ms = u64::try_from(at.0.saturating_sub(EPOCH_MS)).unwrap_or(0);
    ms.saturating_mul(1 << BITS_BELOW_MS)
}

/// Which of the 1,000 residues of the millisecond an id has: the stream is sampled by them.
pub const fn residue(id: u64) -> u64 {
    (id >> BITS_BELOW_MS) % 1_000
}

/// The id of a text that is written as this program writes ids.
pub(super) fn plain(text: &str) -> Option<u64> {
    numeric_id(text).filter(|_| text == "0" || !text.starts_with('0'))
}

/// An author: a number, or a text if it is not a number.
pub(super) fn author(text: &str) -> Option<Key> {
    match plain(text) {
        _ if text.is_empty() => None,
        Some(number) => Some(number.into()),
        None => Some(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_their_millisecond() {
        for (id, at) in [
            (1_541_815_603_606_036_480, "2022-06-28T16:07:40.105Z"),
            (1_212_092_628_029_698_048, "2019-12-31T19:26:16.771Z"),
            (2_101_712_260_468_977_783, "2026-09-20T16:37:05.478Z"),
        ] {
            assert_eq!(time(id).unwrap().to_string(), at);
            assert!(first_of(time(id).unwrap()) <= id);
            assert!(id < first_of(time(id).unwrap().plus_ms(1)));
        }
        assert_eq!(time(29_699_999_999), None);
        assert_eq!(
            first_of("2022-09-21T12:00:00.657Z".parse().unwrap()),
            1_572_556_247_138_304_000
        );
    }
}
