//! TIDs: 13 characters that sort as the instants that they name.
//!
//! 64 bits, five a character, the highest zero; then 53 bits of microseconds since 1970 and ten that keep clocks apart.

use crate::period::UtcMs;

const ALPHABET: &[u8; 32] = b"234567abcdefghijklmnopqrstuvwxyz";

/// Characters of a TID.
const LEN: usize = 13;

/// Bits below the microsecond.
const BITS_OF_CLOCK: u32 = 10;

const US_PER_MS: u64 = 1_000;

/// The value of a text that is a TID.
fn value(text: &str) -> Option<u64> {
    let text: &[u8; LEN] = text.as_bytes().try_into().ok()?;
    let value = text.iter().try_fold(0_u128, |value, byte| {
        let digit = ALPHABET.iter().position(|known| known == byte)?;
        Some(value << 5 | digit as u128)
    })?;
    // 65 bits, of which two are not used
    u64::try_from(value)
        .ok()
        .filter(|value| value.leading_zeros() != 0)
}

/// The millisecond of a text that is a TID.
pub fn time(text: &str) -> Option<UtcMs> {
    let us = value(text)? >> BITS_OF_CLOCK;
    i64::try_from(us / US_PER_MS).ok().map(UtcMs)
}

/// The first TID of an instant.
pub fn first_of(at: UtcMs) -> String {
    let us = u64::try_from(at.0).unwrap_or(0).saturating_mul(US_PER_MS);
    text_of(us << BITS_OF_CLOCK)
}

fn text_of(value: u64) -> String {
    let digits = (0..LEN).rev().map(|place| {
        let digit = usize::try_from(value >> (5 * place) & 31).unwrap_or(0);
        char::from(*ALPHABET.get(digit).unwrap_or(&b'2'))
    });
    digits.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_is_a_tid_or_it_is_none() {
        let at = time("3mptbypluud2a").unwrap();
        assert_eq!(at.to_string(), "2026-07-04T14:38:07.514Z");
        assert_eq!(time("2222222222222"), Some(UtcMs(0)));
        assert_eq!(time("bzzzzzzzzzzzz").unwrap().0, ((1 << 53) - 1) / 1_000);
        for wrong in [
            "",
            "3mptbypluud2",
            "3mptbypluud2aa",
            "3mptbypluud2A",
            "3mptbypluud21",
            "3mptbypluud2é",
            "c222222222222",
            "zzzzzzzzzzzzz",
        ] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn texts_and_values_are_the_same_in_the_same_order(a in 0_u64..1 << 63, b in 0_u64..1 << 63) {
            let [text_a, text_b] = [a, b].map(text_of);
            prop_assert_eq!(value(&text_a), Some(a));
            prop_assert_eq!(a.cmp(&b), text_a.cmp(&text_b));
        }

        #[test]
        fn the_first_of_an_instant_is_of_it_and_none_before_is(ms in 1_i64..9_007_199_254_740) {
            let first = first_of(UtcMs(ms));
            prop_assert_eq!(time(&first), Some(UtcMs(ms)));
            let before = text_of(value(&first).unwrap() - 1);
            prop_assert_eq!(time(&before), Some(UtcMs(ms - 1)));
        }

        #[test]
        fn no_text_is_read_that_would_not_be_written(text in "[2-7a-z]{13}|\\PC{0,14}") {
            if let Some(value) = value(&text) {
                prop_assert_eq!(text_of(value), text);
            }
        }
    }
}
