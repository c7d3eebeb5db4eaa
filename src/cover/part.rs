//! The parts of a stream: where it comes in partitions, each is accounted for as a stream of its own, and a second of the
//! whole is covered when it is covered in each of them.

use std::collections::BTreeMap;

use crate::segment::name::{Leg, Partition};

/// A part, and the legs that it comes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its partition; `None`: it is the whole stream.
    pub partition: Option<Partition>,
    /// The places of its legs among all of them, ascending.
    pub legs: Vec<usize>,
}

/// The parts that legs are of, ascending; the whole stream if there are none.
pub fn parts(legs: &[Leg]) -> Vec<Part> {
    let mut parts: BTreeMap<Option<Partition>, Vec<usize>> = BTreeMap::new();
    for (place, leg) in legs.iter().enumerate() {
        parts.entry(leg.partition).or_default().push(place);
    }
    if parts.is_empty() {
        parts.insert(None, Vec::new());
    }
    let part = |(partition, legs)| Part { partition, legs };
    parts.into_iter().map(part).collect()
}

/// The part that each leg is of, by its number.
pub fn of_legs(legs: &[Leg]) -> Vec<usize> {
    let mut of_legs = vec![0; legs.len()];
    for (number, part) in parts(legs).iter().enumerate() {
        for place in &part.legs {
            if let Some(of_leg) = of_legs.get_mut(*place) {
                *of_leg = number;
            }
        }
    }
    of_legs
}

/// Whether a second of the union is covered: some leg has it, in every part that has begun. `None`: none has begun. `of_leg`
/// tells whether the second counts for a leg, and whether the leg has it.
pub fn is_covered(parts: &[Part], of_leg: impl Fn(usize) -> (bool, bool)) -> Option<bool> {
    let begun = parts.iter().filter_map(|part| {
        let legs = || part.legs.iter().map(|leg| of_leg(*leg));
        let has_begun = legs().any(|(counts, _)| counts);
        has_begun.then(|| legs().any(|(_, has)| has))
    });
    begun.reduce(|all, part| all && part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legs_are_put_together_by_their_partition() {
        let legs = |texts: &[&str]| -> Vec<Leg> {
            let legs = texts.iter().map(|text| text.parse());
            legs.collect::<Result<_, _>>().unwrap()
        };
        let whole = parts(&legs(&["1", "2"]));
        assert_eq!((whole.len(), whole[0].partition), (1, None));
        assert_eq!(parts(&[]).len(), 1);
        let legs = legs(&["1.01", "1.02", "2.02", "2.03"]);
        let places: Vec<Vec<usize>> = parts(&legs).into_iter().map(|part| part.legs).collect();
        assert_eq!(places, [vec![0], vec![1, 2], vec![3]]);
        assert_eq!(of_legs(&legs), [0, 1, 1, 2]);
        // the first part is covered, the second by one of its legs, the third has not begun
        let parts = parts(&legs);
        let mut legs = [(true, true), (true, true), (true, false), (false, false)];
        assert_eq!(is_covered(&parts, |leg| legs[leg]), Some(true));
        legs[1].1 = false;
        assert_eq!(is_covered(&parts, |leg| legs[leg]), Some(false));
        assert_eq!(is_covered(&parts, |_| (false, true)), None);
    }
}
