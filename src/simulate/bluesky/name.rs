//! What things are called on Bluesky: TIDs, DIDs, handles, CIDs. Made from chance; no registry knows them.

use crate::simulate::chance::Chance;

/// The digits of a TID, which sort as their values do.
const SORTED: &[u8; 32] = b"234567abcdefghijklmnopqrstuvwxyz";

/// The digits of RFC 4648's base32, in small letters.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

const TID_DIGITS: u32 = 13;

/// Appends the TID of that microsecond: 53 bits of time, 10 of a clock's number.
pub(super) fn put_tid(out: &mut String, us: i64, clock: u64) {
    let time = (u64::try_from(us).unwrap_or(0) << 10) & (u64::MAX >> 1);
    let value = time | (clock % 1_024);
    for digit in (0..TID_DIGITS).rev() {
        put_digit(out, SORTED, value >> (5 * digit));
    }
}

/// Appends 24 digits: what makes a did:plc one.
pub(super) fn put_plc(out: &mut String, chance: &mut Chance) {
    for _ in 0..24 {
        put_digit(out, BASE32, chance.below(32));
    }
}

/// Appends a CID of a record (`bafyrei…`) or of a blob (`bafkrei…`): the hash is chance's.
pub(super) fn put_cid(out: &mut String, of: CidOf, chance: &mut Chance) {
    let codec = match of {
        CidOf::Record => 0x71,
        CidOf::Blob => 0x55,
    };
    let mut bytes = vec![1, codec, 0x12, 0x20];
    for _ in 0..4 {
        bytes.extend_from_slice(&chance.bits().to_be_bytes());
    }
    out.push('b');
    let (mut held, mut bits) = (0_u64, 0);
    for byte in bytes {
        held = (held << 8) | u64::from(byte);
        bits += 8;
        while 5 <= bits {
            bits -= 5;
            put_digit(out, BASE32, held >> bits);
        }
    }
    if 0 < bits {
        put_digit(out, BASE32, held << (5 - bits));
    }
}

/// What a CID is the name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CidOf {
    Record,
    Blob,
}

fn put_digit(out: &mut String, digits: &[u8; 32], value: u64) {
    let place = usize::try_from(value & 31).unwrap_or(0);
    out.push(char::from(digits[place]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_have_their_known_tids() {
        let tid = |us, clock| {
            let mut out = String::new();
            put_tid(&mut out, us, clock);
            out
        };
        assert_eq!(tid(0, 0), "2222222222222");
        assert_eq!(tid(0, 1), "2222222222223");
        assert_eq!(tid(1, 0), "2222222222322");
        // 2^53 − 1 µs and the last clock: all that 63 bits hold
        assert_eq!(tid((1 << 53) - 1, 1_023), "bzzzzzzzzzzzz");
        let times: Vec<String> = (0..50)
            .map(|k| tid(1_795_442_400_000_000 + k * 33, 5))
            .collect();
        assert!(times.is_sorted());
    }

    #[test]
    fn cids_have_the_form_of_their_kind() {
        for (of, head) in [(CidOf::Record, "bafyrei"), (CidOf::Blob, "bafkrei")] {
            let mut out = String::new();
            put_cid(&mut out, of, &mut Chance::of(1, 2, 3));
            assert!(out.starts_with(head), "{out}");
            assert_eq!(out.len(), 59, "{out}");
        }
    }
}
