//! The sampling window: the milliseconds of a second whose posts are in the sample, told by their ids.
//!
//! The 1 % sample is what was created in ten of the thousand milliseconds of each second. If that
//! changes, so does what the sample is a sample of, and a person has to know.

use std::collections::BTreeSet;

use crate::period::Hour;

/// Of fewer ids nothing is concluded …
const IDS_MIN: u64 = 1_000;
/// … nor if a millisecond of the window has fewer of them in the mean, so that chance leaves none out.
const IDS_EACH_MIN: u64 = 100;

/// A millisecond belongs to the window if it has at least this part of the ids of the fullest one.
/// Stray ids of other milliseconds come with replays and old posts.
const PART_OF_FULLEST: u64 = 10;

/// The milliseconds of the window, from how many ids have each; `None` if there are too few ids.
pub fn window(residues: &[(u64, u64)]) -> Option<BTreeSet<u64>> {
    let all: u64 = residues.iter().map(|(_, ids)| ids).sum();
    let fullest = residues.iter().map(|(_, ids)| *ids).max()?;
    let belongs = |(_, ids): &&(u64, u64)| fullest <= ids.saturating_mul(PART_OF_FULLEST);
    let inside: BTreeSet<u64> = residues
        .iter()
        .filter(belongs)
        .map(|(residue, _)| *residue)
        .collect();
    let needed = IDS_MIN.max(IDS_EACH_MIN.saturating_mul(inside.len() as u64));
    (needed <= all).then_some(inside)
}

/// The windows of successive hours, each with the hours that have it, from how many ids of each hour have
/// which millisecond. More than one: it has changed. Hours with too few ids are in none.
pub fn stretches<'r>(
    hours: impl IntoIterator<Item = (Hour, &'r [(u64, u64)])>,
) -> Vec<(BTreeSet<u64>, Vec<Hour>)> {
    let mut found: Vec<(BTreeSet<u64>, Vec<Hour>)> = Vec::new();
    for (hour, residues) in hours {
        let Some(now) = window(residues) else {
            continue;
        };
        match found.last_mut() {
            Some((before, hours)) if *before == now => hours.push(hour),
            _ => found.push((now, vec![hour])),
        }
    }
    found
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
        let all: Vec<(u64, u64)> = (0..1_000).map(|ms| (ms, 1 + ms % 30)).collect();
        assert_eq!(window(&all), None, "chance decides which are full");
    }

    #[test]
    fn a_change_is_told_by_the_hours_on_both_sides() {
        let ten: Vec<(u64, u64)> = (657..667).map(|ms| (ms, 180)).collect();
        let moved: Vec<(u64, u64)> = (700..710).map(|ms| (ms, 150)).collect();
        let hours = [&ten[..], &ten[..2], &ten, &moved, &ten];
        let hours = (10..).map(Hour).zip(hours);
        let told: Vec<(String, Vec<i64>)> = stretches(hours)
            .iter()
            .map(|(window, hours)| (words(window), hours.iter().map(|hour| hour.0).collect()))
            .collect();
        let expected = [
            ("657-666", vec![10, 12]),
            ("700-709", vec![13]),
            ("657-666", vec![14]),
        ];
        assert_eq!(
            told,
            expected.map(|(words, hours)| (words.to_owned(), hours))
        );
    }
}
