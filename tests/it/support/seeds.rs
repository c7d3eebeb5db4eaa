//! Which simulated worlds are tried: some of every day, more or one of them again on request.

use std::ops::RangeInclusive;

/// From which seeds worlds are made: so many of every day, or what `TWINSTREAM_SIM_SEEDS` says (`200`: the first 200;
/// `56-56`: that one again).
pub(crate) fn seeds(everyday: u64) -> RangeInclusive<u64> {
    let asked = std::env::var("TWINSTREAM_SIM_SEEDS").unwrap_or_else(|_unset| everyday.to_string());
    let number = |text: &str| {
        text.parse()
            .expect("TWINSTREAM_SIM_SEEDS: a number, or first-last")
    };
    match asked.split_once('-') {
        Some((first, last)) => number(first)..=number(last),
        None => 1..=number(&asked),
    }
}
