//! Stretches of seconds throughout which the same holds: which rules were in force, which collections were requested.

use serde::{Deserialize, Serialize};

use super::seconds::{self, Covered};
use crate::period::{Interval, UtcMs};

/// Seconds in a row in each of which the same holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch<T> {
    /// Its first second.
    pub begin: UtcMs,
    /// The first second after it.
    pub end: UtcMs,
    /// What holds in each of them.
    #[serde(flatten)]
    pub holds: T,
}

impl<T: PartialEq> Stretch<T> {
    /// Its length in seconds.
    pub fn seconds(&self) -> u64 {
        u64::try_from(self.end.second() - self.begin.second()).unwrap_or(0)
    }

    /// Whether the next one continues it: then the two are one.
    fn goes_on(&self, next: &Self) -> bool {
        self.end == next.begin && self.holds == next.holds
    }
}

/// Stretches that go on in the next one are one.
pub fn joined<T: PartialEq>(all: impl Iterator<Item = Stretch<T>>) -> Vec<Stretch<T>> {
    let mut joined: Vec<Stretch<T>> = Vec::new();
    for stretch in all {
        match joined.last_mut() {
            Some(last) if last.goes_on(&stretch) => last.end = stretch.end,
            _ => joined.push(stretch),
        }
    }
    joined
}

/// The stretches of some of these seconds.
pub fn of_seconds<T: PartialEq>(
    all: &[i64],
    holds: impl Iterator<Item = Option<T>>,
) -> Vec<Stretch<T>> {
    let of_second = |(second, holds): (&i64, Option<T>)| {
        Some(Stretch {
            begin: UtcMs(second * 1_000),
            end: UtcMs((second + 1) * 1_000),
            holds: holds?,
        })
    };
    joined(all.iter().zip(holds).filter_map(of_second))
}

/// The seconds with which another stretch begins, ascending.
pub fn changes<T>(stretches: &[Stretch<T>]) -> Vec<i64> {
    let later = stretches.iter().skip(1);
    later.map(|stretch| stretch.begin.second()).collect()
}

/// What stretches, ascending, say of each second.
pub fn at_each<'a, T>(stretches: &'a [Stretch<T>], all: &[i64]) -> Vec<Option<&'a T>> {
    let mut rest = stretches.iter().peekable();
    let holds = |second: &i64| {
        let at = UtcMs(second * 1_000);
        while rest.next_if(|stretch| stretch.end <= at).is_some() {}
        let stretch = rest.peek().filter(|stretch| stretch.begin <= at);
        stretch.map(|stretch| &stretch.holds)
    };
    all.iter().map(holds).collect()
}

/// The seconds that any of these servers has, with what holds for those that have it together.
pub fn union<'a, T: PartialEq + 'a>(
    intervals: &[Interval],
    servers: impl Iterator<Item = (&'a Covered, &'a Vec<Stretch<T>>)>,
    together: impl Fn(&[Option<&T>]) -> T,
) -> Vec<Stretch<T>> {
    let all: Vec<i64> = seconds::all(intervals).collect();
    let servers: Vec<(Vec<bool>, Vec<Option<&T>>)> = servers
        .map(|(covered, stretches)| {
            let bits = covered.bits(all.len());
            let bits = bits.map(|(covered, _)| covered).unwrap_or_default();
            (bits, at_each(stretches, &all))
        })
        .collect();
    let holds = (0..all.len()).map(|place| {
        let having = servers
            .iter()
            .filter(|(bits, _)| bits.get(place) == Some(&true));
        let having: Vec<Option<&T>> = having
            .filter_map(|(_, holds)| holds.get(place).copied())
            .collect();
        (!having.is_empty()).then(|| together(&having))
    });
    of_seconds(&all, holds)
}

/// Whether stretches are all of these seconds, each as long as it can be.
pub fn are_all<T: PartialEq>(all: &[i64], stretches: &[Stretch<T>]) -> bool {
    let seconds = stretches
        .iter()
        .flat_map(|stretch| stretch.begin.second()..stretch.end.second());
    let is_maximal = stretches.windows(2).all(|two| match two {
        [a, b] => !a.goes_on(b),
        _ => true,
    });
    seconds.eq(all.iter().copied()) && is_maximal
}
