//! Chance that is the same for ever: splitmix64, seeded by what it is asked for.
//!
//! Every decision of the simulator has its own generator, made from the seed, a number for the
//! kind of decision and a number for the case (a second, a connection, a round). So no decision
//! depends on how many were made before it, and two processes agree without talking.
//! The constants are those of Steele, Lea and Flood's splitmix64; they are part of the format:
//! changing them changes every simulated post.

/// A stream of numbers that follows from where it began.
#[derive(Debug, Clone)]
pub(super) struct Chance {
    state: u64,
}

/// The finalizer of splitmix64: every bit of the result depends on every bit of the input.
pub(super) const fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Chance {
    /// The generator for one case of one kind of decision.
    pub(super) const fn of(seed: u64, kind: u64, case: u64) -> Self {
        Self {
            state: mix(seed ^ mix(kind ^ mix(case))),
        }
    }

    /// The next 64 bits.
    pub(super) const fn bits(&mut self) -> u64 {
        let found = mix(self.state);
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        found
    }

    /// A number below `limit`, each about equally likely; 0 if the limit is 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        scale(self.bits(), limit)
    }

    /// A number below `limit`, small ones far likelier: the cube of an even choice.
    pub(super) fn skewed(&mut self, limit: u64) -> u64 {
        let even = self.bits();
        let cubed = scale(even, scale(even, even));
        scale(cubed, limit)
    }

    /// A number of `from..=to`.
    pub(super) fn between(&mut self, from: i64, to: i64) -> i64 {
        let width = u64::try_from(to.saturating_sub(from)).unwrap_or(0);
        from.saturating_add_unsigned(self.below(width.saturating_add(1)))
    }

    /// True once in `n` times.
    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A place in a list of that length.
    pub(super) fn index(&mut self, len: usize) -> usize {
        to_usize(self.below(len as u64))
    }

    /// A place in a list of that length, the first ones far likelier.
    pub(super) fn skewed_index(&mut self, len: usize) -> usize {
        to_usize(self.skewed(len as u64))
    }

    /// One of the list. The list is never empty.
    pub(super) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.index(list.len())]
    }
}

/// The upper half of the product: `value` as a share of 2^64, times `limit`.
fn scale(value: u64, limit: u64) -> u64 {
    let product = u128::from(value) * u128::from(limit);
    u64::try_from(product >> 64).expect("the upper half of 128 bits has 64")
}

fn to_usize(value: u64) -> usize {
    usize::try_from(value).expect("below the length of a list")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        // the reference sequence for seed 0, as published with the algorithm
        let mut chance = Chance { state: 0 };
        let found = [chance.bits(), chance.bits(), chance.bits()];
        let expected = [
            0xe220_a839_7b1d_cdaf,
            0x6e78_9e6a_a1b9_65f4,
            0x06c4_5d18_8009_454f,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn choices_stay_within_their_limits() {
        let mut chance = Chance::of(1, 2, 3);
        for _ in 0..10_000 {
            assert!(chance.below(10) < 10);
            assert!(chance.skewed(10) < 10);
            assert!((-3..=3).contains(&chance.between(-3, 3)));
        }
        assert_eq!(chance.below(0), 0);
        assert_eq!(chance.between(5, 5), 5);
        let small = (0..10_000).filter(|_| chance.skewed(1_000) < 125).count();
        assert!(
            4_800 < small && small < 5_200,
            "half lies below an eighth: {small}"
        );
    }
}
