//! Ids that carry their millisecond, as the real ones do.
//!
//! ```text
//! (unix ms − 1288834974657) << 22 | 10 bits of worker | 12 bits of sequence
//! ```

use crate::period::UtcMs;

/// The millisecond that ids count from.
pub(super) const EPOCH_MS: i64 = 1_288_834_974_657;

/// How many ids one millisecond can have.
pub(super) const PER_MS: u64 = 1 << 22;

/// The id with those lower 22 bits, made at that millisecond.
pub(super) fn at(created: UtcMs, lower: u64) -> u64 {
    let ms = u64::try_from(created.0 - EPOCH_MS).unwrap_or(0);
    ms * PER_MS + lower % PER_MS
}

/// When the id was made.
pub(super) fn created(id: u64) -> UtcMs {
    UtcMs(EPOCH_MS).plus_ms(i64::try_from(id / PER_MS).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_ids_have_their_known_times() {
        for (id, time) in [
            (1_541_815_603_606_036_480, "2022-06-28T16:07:40.105Z"),
            (1_212_092_628_029_698_048, "2019-12-31T19:26:16.771Z"),
            (2_101_712_260_468_977_783, "2026-09-20T16:37:05.478Z"),
        ] {
            assert_eq!(created(id).to_string(), time);
            assert_eq!(at(created(id), id % PER_MS), id);
        }
    }
}
