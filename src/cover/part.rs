//! The parts of a stream: where it comes in partitions, each is accounted for as a stream of its own, and a second of the
//! whole is covered when it is covered in each of them.

use std::collections::BTreeMap;

use super::evidence::WARMING_UP_MS;
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

/// Connections that are made within so long of the first one of an archive are one beginning.
pub const AT_ONCE_MS: i64 = WARMING_UP_MS;

/// What a leg is like in a second.
#[derive(Debug, Clone, Copy)]
pub struct OfLeg {
    /// Whether any second of that hour counts for it: if not, it does not collect its part there.
    pub begins_here: bool,
    /// Whether the second counts for it.
    pub counts: bool,
    /// Whether it has the second.
    pub has: bool,
}

/// Whether a second of the union is covered: some leg has it, in every part that is collected in that hour. A part that
/// is added to others lacks what lies before its beginning. `None`: nothing has begun, so the second does not count.
pub fn is_covered(parts: &[Part], of_leg: impl Fn(usize) -> OfLeg) -> Option<bool> {
    let any = |part: &Part, is: fn(OfLeg) -> bool| part.legs.iter().any(|leg| is(of_leg(*leg)));
    let counts = parts.iter().any(|part| any(part, |leg| leg.counts));
    let mut collected = parts.iter().filter(|part| any(part, |leg| leg.begins_here));
    counts.then(|| collected.all(|part| any(part, |leg| leg.has)))
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
        // the first part is covered, the second by one of its legs, the third begins after the hour
        let parts = parts(&legs);
        let of = |begins_here, counts, has| OfLeg {
            begins_here,
            counts,
            has,
        };
        let has = of(true, true, true);
        let mut legs = [has, has, of(true, true, false), of(false, false, false)];
        let told = |legs: &[OfLeg; 4]| is_covered(&parts, |leg| legs[leg]);
        assert_eq!(told(&legs), Some(true));
        legs[1].has = false;
        assert_eq!(told(&legs), Some(false));
        // the third begins later in the hour
        legs[1] = has;
        legs[3].begins_here = true;
        assert_eq!(told(&legs), Some(false));
        assert_eq!(is_covered(&parts, |_| of(true, false, true)), None);
    }
}
