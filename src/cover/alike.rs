//! In which seconds two servers were sent the same: where they had requested the same collections, or the same rules
//! chose their posts. Only these seconds can be compared.

use super::{collections::Requested, quiet::UNDER_WAY_MS, rules::InForce};
use crate::segment::name::Leg;

/// Whether each second can be compared; `None` if every second can.
pub fn alike(
    all: &[i64],
    (rules, requested): (Option<&InForce>, Option<&Requested>),
    [first, second]: [&Leg; 2],
) -> Option<Vec<bool>> {
    let by_rules = rules.map(|rules| {
        let of = |leg: &Leg| rules.one_by_one(leg, all);
        both(&of(first), &of(second))
    });
    let by_lists = requested.map(|requested| {
        let of = |leg: &Leg| requested.one_by_one(leg, all);
        both(&of(first), &of(second))
    });
    by_rules.or(by_lists)
}

/// Whether both have the same, also in the second before, and for as long after it as its posts may be under way.
fn both<T: PartialEq>(first: &[Option<T>], second: &[Option<T>]) -> Vec<bool> {
    let under_way_s = usize::try_from(UNDER_WAY_MS / 1_000).unwrap_or(0);
    let is_same = |(first, second): (&Option<T>, &Option<T>)| first.is_some() && first == second;
    let same: Vec<bool> = first.iter().zip(second).map(is_same).collect();
    let around = |place: usize| {
        let last = (place + under_way_s).min(same.len().saturating_sub(1));
        let near = same.get(place.saturating_sub(1)..=last);
        near.is_some_and(|near| near.iter().all(|same| *same))
    };
    (0..same.len()).map(around).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_of_another_time_is_not_compared() {
        let of = |text: &str| -> Vec<Option<char>> {
            text.chars()
                .map(|one| (one != '?').then_some(one))
                .collect()
        };
        let check = |first: &str, second: &str, expected: &str| {
            let found = both(&of(first), &of(second)).into_iter();
            let found: String = found.map(|alike| if alike { '=' } else { '.' }).collect();
            assert_eq!(found, expected);
        };
        check(
            "aaaaaaaaaaaaaaaaaaaaaa",
            "aaaaaaaaaaaaaaaaaaaaaa",
            "======================",
        );
        check(
            "aaaaaaaaaaaaaaaaaaaaaa",
            "aaaaaaaaaaaabaaaaaaaaa",
            "==............========",
        );
        check(
            "aaaaaaaaaaaa?aaaaaaaaa",
            "aaaaaaaaaaaa?aaaaaaaaa",
            "==............========",
        );
        check(
            "aaaaaaaaaaaabbbbbbbbbb",
            "aaaaaaaaaaaabbbbbbbbbb",
            "======================",
        );
        check("", "", "");
    }
}
