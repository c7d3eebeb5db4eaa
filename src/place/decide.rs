//! Decides what to do about a place, from the recorded id, what is found in its place, and who asks.
//!
//! Values only, no files. The rule behind the table: where a place was before, none is made.

use super::id::PlaceId;

/// What is found where a place should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// No folder.
    Missing,
    /// A folder with nothing in it that a place has: also the mount point of a disk that is away.
    Empty,
    /// Something of a place, without its mark.
    Unmarked,
    /// The mark of a place.
    Id(PlaceId),
    /// It cannot be read; the reason in words.
    Unreadable(String),
}

impl Found {
    /// Which place it is, if it is one.
    pub fn id(self) -> Option<PlaceId> {
        match self {
            Self::Id(id) => Some(id),
            _ => None,
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// A command that only reads, and records nothing.
    Look,
    /// A stage that works there, and makes no place.
    Use,
    /// One that makes the place, and its folder.
    Make,
    /// One that makes a place of a folder that is there and empty.
    MakeInEmpty,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is the place.
    GoOn,
    /// It is the place from now on: remember its id.
    Remember(PlaceId),
    /// Make it, then remember it.
    Make,
    /// There never was one: there is nothing to be read.
    NotYet,
    /// It was there before, and is gone.
    Away,
    /// It is another one.
    Other(PlaceId),
    /// It was never there, and what is found is not a place.
    NoPlace,
}

/// Decides. `adopt` accepts another place on purpose; it makes none.
pub fn decide(remembered: Option<&PlaceId>, found: &Found, asks: Asks, adopt: bool) -> Verdict {
    match (remembered, found) {
        (Some(known), Found::Id(id)) if known == id => Verdict::GoOn,
        (Some(_), Found::Id(id)) if !adopt => Verdict::Other(id.clone()),
        (_, Found::Id(_)) if asks == Asks::Look => Verdict::GoOn,
        (_, Found::Id(id)) => Verdict::Remember(id.clone()),
        (Some(_), _) | (None, Found::Unreadable(_)) => Verdict::Away,
        (None, Found::Unmarked) => Verdict::NoPlace,
        (None, Found::Missing | Found::Empty) if matches!(asks, Asks::Look | Asks::Use) => {
            Verdict::NotYet
        }
        (None, Found::Missing) if asks == Asks::MakeInEmpty => Verdict::NoPlace,
        (None, Found::Missing | Found::Empty) => Verdict::Make,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKS: [Asks; 4] = [Asks::Look, Asks::Use, Asks::Make, Asks::MakeInEmpty];

    #[test]
    fn a_place_is_made_only_where_none_ever_was() {
        use Verdict::{Away, GoOn, Make, NoPlace, NotYet, Other, Remember};
        let (a, b) = (PlaceId::of(1), PlaceId::of(2));
        let unreadable = Found::Unreadable("stale".to_owned());
        let is = |id: &PlaceId| Remember(id.clone());
        for (remembered, found, [look, uses, makes, fills]) in [
            (None, Found::Missing, [NotYet, NotYet, Make, NoPlace]),
            (None, Found::Empty, [NotYet, NotYet, Make, Make]),
            (None, Found::Unmarked, [NoPlace, NoPlace, NoPlace, NoPlace]),
            (None, Found::Id(a.clone()), [GoOn, is(&a), is(&a), is(&a)]),
            (None, unreadable.clone(), [Away, Away, Away, Away]),
            (Some(&a), Found::Missing, [Away, Away, Away, Away]),
            (Some(&a), Found::Empty, [Away, Away, Away, Away]),
            (Some(&a), Found::Unmarked, [Away, Away, Away, Away]),
            (Some(&a), Found::Id(a.clone()), [GoOn, GoOn, GoOn, GoOn]),
            (
                Some(&a),
                Found::Id(b.clone()),
                [(); 4].map(|()| Other(b.clone())),
            ),
            (Some(&a), unreadable, [Away, Away, Away, Away]),
        ] {
            let verdicts = [look, uses, makes, fills];
            for (asks, verdict) in ASKS.into_iter().zip(verdicts) {
                let context = format!("{remembered:?} {found:?} {asks:?}");
                assert_eq!(
                    decide(remembered, &found, asks, false),
                    verdict,
                    "{context}"
                );
                // on purpose, another one is the one; nothing else changes
                let adopted = match verdict {
                    Other(_) if asks == Asks::Look => GoOn,
                    Other(id) => Remember(id),
                    verdict => verdict,
                };
                assert_eq!(decide(remembered, &found, asks, true), adopted, "{context}");
            }
        }
    }
}
