//! The sampling window: the milliseconds of a second whose posts are in the sample, told by their ids.
//!
//! The 1 % sample is what was created in ten of the thousand milliseconds of each second. If that
//! changes, so does what the sample is a sample of, and a person has to know.

use std::collections::BTreeSet;

/// Of fewer ids nothing is concluded.
const IDS_MIN: u64 = 1_000;

/// A millisecond belongs to the window if it has at least this part of the ids of the fullest one.
/// Stray ids of other milliseconds come with replays and old posts.
const PART_OF_FULLEST: u64 = 10;

/// The milliseconds of the window, from how many ids have each; `None` if there are too few ids.
pub fn window(residues: &[(u64, u64)]) -> Option<BTreeSet<u64>> {
    let all: u64 = residues.iter().map(|(_, ids)| ids).sum();
    let fullest = residues.iter().map(|(_, ids)| *ids).max()?;
    let belongs = |(_, ids): &&(u64, u64)| fullest <= ids.saturating_mul(PART_OF_FULLEST);
    let inside = residues.iter().filter(belongs).map(|(residue, _)| *residue);
    (IDS_MIN <= all).then(|| inside.collect())
}

/// A window in words: `657-666`, `0-9 500`.
pub fn words(window: &BTreeSet<u64>) -> String {
    let inside: Vec<u64> = window.iter().copied().collect();
    let runs = inside.chunk_by(|a, b| a + 1 == *b);
    let words: Vec<String> = runs
        .filter_map(|run| match run {
            [one] => Some(one.to_string()),
            [first, .., last] => Some(format!("{first}-{last}")),
            [] => None,
        })
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_what_most_ids_have() {
        let ten: Vec<(u64, u64)> = (657..667).map(|ms| (ms, 180)).collect();
        assert_eq!(window(&ten).map(|w| words(&w)), Some("657-666".to_owned()));
        let stray = [&ten[..], &[(3, 2), (667, 17)]].concat();
        assert_eq!(window(&stray), window(&ten));
        let moved = [&ten[1..], &[(667, 190)]].concat();
        assert_eq!(
            window(&moved).map(|w| words(&w)),
            Some("658-667".to_owned())
        );
        let split = [&ten[..5], &[(900, 500)]].concat();
        assert_eq!(
            window(&split).map(|w| words(&w)),
            Some("657-661 900".to_owned())
        );
        assert_eq!(window(&ten[..5]), None, "too few");
        assert_eq!(window(&[]), None);
    }
}
