//! MD5, which OSF still tells beside SHA-256: what a client may compare, it must be able to.
//!
//! Written after RFC 1321; nothing here relies on it being hard to forge.

/// How far each of the 64 steps rotates: four amounts a round, each four times in turn.
const ROTATE: [[u32; 4]; 4] = [
    [7, 12, 17, 22],
    [5, 9, 14, 20],
    [4, 11, 16, 23],
    [6, 10, 15, 21],
];

/// The constant of a step: the first 32 bits of the fraction of |sin(step + 1)|.
fn constant(step: u32) -> u32 {
    let scaled = f64::from(step + 1).sin().abs() * 4_294_967_296.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a sine is at most 1, so this is below 2^32"
    )]
    let whole = scaled as u64;
    u32::try_from(whole).unwrap_or(u32::MAX)
}

/// The MD5 of bytes, in hex.
pub(super) fn md5(bytes: &[u8]) -> String {
    let mut message = bytes.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    let bits = (bytes.len() as u64).wrapping_mul(8);
    message.extend_from_slice(&bits.to_le_bytes());
    let constants: Vec<u32> = (0..64).map(constant).collect();
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in message.chunks_exact(64) {
        let words: Vec<u32> = block
            .chunks_exact(4)
            .map(|four| four.iter().rev().fold(0, |w, &b| w << 8 | u32::from(b)))
            .collect();
        let turned = turn(state, &words, &constants);
        for (sum, part) in state.iter_mut().zip(turned) {
            *sum = sum.wrapping_add(part);
        }
    }
    let hex = |word: &u32| format!("{:08x}", word.swap_bytes());
    state.iter().map(hex).collect()
}

/// The 64 steps over one block.
fn turn(state: [u32; 4], words: &[u32], constants: &[u32]) -> [u32; 4] {
    let [mut a, mut b, mut c, mut d] = state;
    for step in 0..64 {
        let (mixed, word) = match step / 16 {
            0 => ((b & c) | (!b & d), step),
            1 => ((d & b) | (!d & c), (5 * step + 1) % 16),
            2 => (b ^ c ^ d, (3 * step + 5) % 16),
            _ => (c ^ (b | !d), (7 * step) % 16),
        };
        let sum = a
            .wrapping_add(mixed)
            .wrapping_add(constants[step])
            .wrapping_add(words[word]);
        (a, d, c) = (d, c, b);
        b = b.wrapping_add(sum.rotate_left(ROTATE[step / 16][step % 4]));
    }
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_those_of_the_rfc() {
        for (text, sum) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
        ] {
            assert_eq!(md5(text.as_bytes()), sum);
        }
    }
}
