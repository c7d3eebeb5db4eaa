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
    }
}
