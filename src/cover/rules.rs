//! Decides from the platform's answers which rules were in force in which seconds.
//!
//! A server asks for the rules at every connection and every quarter of an hour. Between two answers that agree, the
//! rules are assumed to be unchanged. Between two that differ, nobody knows when they changed, so these seconds are
//! unknown, as are those that are not near any answer. A second of the union combines those of its servers: rules
//! belong to an app, and two servers may use two apps.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    evidence::EventsFile,
    seconds::{self, Covered},
    throughout,
};
use crate::{
    period::{Interval, UtcMs},
    segment::{
        event::EventKind,
        name::Leg,
        rules::{self, KnownRules, Rule},
        sha256::Sha256,
    },
};

/// For this long before the first answer and after the last one, the rules are assumed to be the same.
const NEAR_MS: i64 = 60_000;

/// What is known of the rules in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RulesState {
    /// They were those of the server's configuration.
    AsConfigured,
    /// They were others.
    NotConfigured,
    /// The servers that have the second had different ones.
    Differ,
    /// Nobody knows.
    Unknown,
}

impl RulesState {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::AsConfigured,
        Self::NotConfigured,
        Self::Differ,
        Self::Unknown,
    ];
}

/// The rules of each second of a stretch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfSecond {
    /// What is known of them.
    pub state: RulesState,
    /// Their hashes: one, or where servers differ, several; those that are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Sha256>,
}

/// A stretch of seconds with the same rules.
pub type Stretch = throughout::Stretch<OfSecond>;

/// The rules of an hour.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// The lists of rules that were in force in some second, or that the platform told in this hour, by their hashes:
    /// posts of a list may have come whose seconds are not known.
    pub lists: BTreeMap<Sha256, Vec<Rule>>,
    /// Every second of each server.
    pub servers: BTreeMap<Leg, Vec<Stretch>>,
    /// The seconds that any server has.
    pub union: Vec<Stretch>,
}

impl InForce {
    /// The hashes of the lists that were in force in some second of a server.
    pub fn named(&self) -> BTreeSet<Sha256> {
        let stretches = self.servers.values().flatten();
        let hashes = stretches.flat_map(|stretch| &stretch.holds.rules);
        hashes.copied().collect()
    }

    /// For each second of a server: the hash of the rules that were in force, if it is known.
    pub fn one_by_one(&self, leg: &Leg, all: &[i64]) -> Vec<Option<Sha256>> {
        let stretches = self.servers.get(leg).map_or(&[][..], Vec::as_slice);
        let told = throughout::at_each(stretches, all).into_iter();
        let hash = |told| known(told).map(|(hash, _)| hash);
        told.map(hash).collect()
    }

    /// The union of what the servers have, in their order, with the rules of each.
    pub fn union(&self, intervals: &[Interval], servers: &[&Covered]) -> Vec<Stretch> {
        let servers = servers.iter().copied().zip(self.servers.values());
        throughout::union(intervals, servers, |having| {
            let known: Vec<Known> = having.iter().copied().map(known).collect();
            together(&known)
        })
    }
}

/// What one server was told, on the posts' clock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// When, and the hashes.
    pub told: Vec<KnownRules>,
    /// The lists themselves, by their hashes.
    pub lists: BTreeMap<Sha256, Vec<Rule>>,
}

impl Answers {
    /// What the events files of one server tell, in whatever order they come.
    pub fn of(files: &[EventsFile]) -> Self {
        let mut found = Self::default();
        for (file, event) in files.iter().flat_map(|file| {
            let events = file.events.iter();
            events.map(move |event| (file, event))
        }) {
            let told = match &event.what {
                EventKind::Rules {
                    rules,
                    sha256,
                    configured,
                } => {
                    found.lists.insert(*sha256, rules.clone());
                    Some(KnownRules {
                        at: event.at,
                        sha256: *sha256,
                        configured: *configured,
                    })
                }
                EventKind::Alive(alive) => alive.rules.as_deref().copied(),
                _ => None,
            };
            found.told.extend(told.map(|told| KnownRules {
                at: file.on_posts_clock(told.at),
                ..told
            }));
        }
        found.told.sort_by_key(|one| (one.at, one.sha256));
        found.told.dedup();
        found
    }
}

/// What is known of a second: the hash, and whether it is that of the configuration.
type Known = Option<(Sha256, bool)>;

/// The rules of an hour, from its servers' answers; what the union has of it is not told yet.
pub fn of_servers(intervals: &[Interval], servers: &[(&Leg, &Answers)]) -> InForce {
    let all: Vec<i64> = seconds::all(intervals).collect();
    let mut found = InForce::default();
    let mut lists: BTreeMap<Sha256, Vec<Rule>> = BTreeMap::new();
    let mut told: BTreeSet<Sha256> = BTreeSet::new();
    for (leg, answers) in servers {
        let here = answers.told.iter();
        let here = here.filter(|told| intervals.iter().any(|within| within.contains(told.at)));
        told.extend(here.map(|told| told.sha256));
        let known = of_seconds(&answers.told, &all);
        lists.extend(answers.lists.clone());
        let told = known.iter().map(|known| Some(of_second(known)));
        let stretches = throughout::of_seconds(&all, told);
        found.servers.insert((*leg).clone(), stretches);
    }
    let named = found.named();
    lists.retain(|hash, _| named.contains(hash) || told.contains(hash));
    found.lists = lists;
    found
}

/// What one server's answers say of each second.
fn of_seconds(told: &[KnownRules], all: &[i64]) -> Vec<Known> {
    let mut told: Vec<&KnownRules> = told.iter().collect();
    told.sort_by_key(|one| one.at);
    let known = |one: &KnownRules| (one.sha256, one.is_as_configured());
    all.iter()
        .map(|second| {
            let (begin, end) = (UtcMs(second * 1_000), UtcMs((second + 1) * 1_000));
            let after = told.partition_point(|one| one.at <= begin);
            let before = after.checked_sub(1).and_then(|place| told.get(place));
            // an answer in the second itself may be of a change in it
            let until = told.partition_point(|one| one.at < end);
            let here = told.get(after..until).unwrap_or_default();
            let next = here.first().or_else(|| told.get(until));
            let agree =
                |one: &&&KnownRules| before.is_none_or(|before| before.sha256 == one.sha256);
            match (before, next) {
                (Some(before), Some(_)) => {
                    let all_agree = here.iter().all(|one| agree(&one)) && next.iter().all(agree);
                    all_agree.then(|| known(before))
                }
                (Some(before), None) => (end.0 - before.at.0 <= NEAR_MS).then(|| known(before)),
                (None, Some(next)) => {
                    let is_one = here.windows(2).all(|two| match two {
                        [a, b] => a.sha256 == b.sha256,
                        _ => true,
                    });
                    (is_one && next.at.0 - begin.0 <= NEAR_MS).then(|| known(next))
                }
                (None, None) => None,
            }
        })
        .collect()
}

/// What is said of a second of which this is known.
fn of_second(known: &Known) -> OfSecond {
    let (state, rules) = match known {
        None => (RulesState::Unknown, Vec::new()),
        Some((hash, true)) => (RulesState::AsConfigured, vec![*hash]),
        Some((hash, false)) => (RulesState::NotConfigured, vec![*hash]),
    };
    OfSecond { state, rules }
}

/// What is known of a second of one server of which this is said.
fn known(told: Option<&OfSecond>) -> Known {
    let told = told?;
    let hash = *told.rules.first()?;
    match told.state {
        RulesState::AsConfigured => Some((hash, true)),
        RulesState::NotConfigured => Some((hash, false)),
        RulesState::Differ | RulesState::Unknown => None,
    }
}

/// What is said of a second that these servers have.
fn together(servers: &[Known]) -> OfSecond {
    let hashes: BTreeSet<Sha256> = servers.iter().flatten().map(|(hash, _)| *hash).collect();
    let rules: Vec<Sha256> = hashes.into_iter().collect();
    let is_configured = servers.iter().flatten().all(|(_, is)| *is);
    let state = if servers.iter().any(Option::is_none) {
        RulesState::Unknown
    } else if 1 < rules.len() {
        RulesState::Differ
    } else if is_configured {
        RulesState::AsConfigured
    } else {
        RulesState::NotConfigured
    };
    OfSecond { state, rules }
}

/// Whether every list has the hash that it stands under.
pub fn lists_are_right(found: &InForce) -> bool {
    let mut lists = found.lists.iter();
    lists.all(|(hash, list)| rules::hash(list) == *hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Interval = Interval {
        begin: UtcMs(3_600_000),
        end: UtcMs(7_200_000),
    };

    /// Answers at seconds after the hour's begin: a letter for the rules, in capitals if they are as configured.
    fn answers(of: &[(i64, char)]) -> Answers {
        let told = of.iter().map(|(second, letter)| {
            let hash = |letter: char| Sha256::from([u8::try_from(letter).unwrap(); 32]);
            let sha256 = hash(letter.to_ascii_lowercase());
            KnownRules {
                at: HOUR.begin.plus_ms(second * 1_000),
                configured: if letter.is_uppercase() {
                    sha256
                } else {
                    hash('-')
                },
                sha256,
            }
        });
        let told: Vec<KnownRules> = told.collect();
        let lists = told.iter().map(|told| (told.sha256, Vec::new())).collect();
        Answers { told, lists }
    }

    fn in_force(intervals: &[Interval], servers: &[(&Leg, &Answers, &Covered)]) -> InForce {
        let told = servers.iter().map(|(leg, answers, _)| (*leg, *answers));
        let mut found = of_servers(intervals, &told.collect::<Vec<_>>());
        let covered = servers.iter().map(|(_, _, covered)| *covered);
        found.union = found.union(intervals, &covered.collect::<Vec<_>>());
        found
    }

    fn covered(seconds: std::ops::Range<usize>) -> Covered {
        let bits: Vec<bool> = (0..3_600).map(|place| seconds.contains(&place)).collect();
        Covered::of(&[HOUR], None, &bits, &[false; 3_600])
    }

    /// `0-60 a`: the seconds after the hour's begin, and the letter; `?` unknown, `ab` where servers differ.
    fn told(stretches: &[Stretch]) -> Vec<String> {
        let one = |stretch: &Stretch| {
            let second = |at: UtcMs| at.second() - HOUR.begin.second();
            let letter = |hash: &Sha256| char::from(hash.begin().to_be_bytes()[0]);
            let letters: String = stretch.holds.rules.iter().map(letter).collect();
            let letters = match stretch.holds.state {
                RulesState::AsConfigured => letters.to_uppercase(),
                RulesState::Unknown => "?".to_owned(),
                RulesState::NotConfigured | RulesState::Differ => letters,
            };
            format!(
                "{}-{} {letters}",
                second(stretch.begin),
                second(stretch.end)
            )
        };
        stretches.iter().map(one).collect()
    }

    #[track_caller]
    fn check(of: &[(i64, char)], expected: &[&str]) {
        let all: Vec<i64> = seconds::all(&[HOUR]).collect();
        let known = of_seconds(&answers(of).told, &all);
        let found = throughout::of_seconds(&all, known.iter().map(|known| Some(of_second(known))));
        assert_eq!(told(&found), expected, "{of:?}");
    }

    #[test]
    fn between_answers_that_agree_the_rules_are_known() {
        check(&[(-30, 'A'), (900, 'A'), (3_610, 'A')], &["0-3600 A"]);
        // far from any answer nothing is known
        check(&[], &["0-3600 ?"]);
        check(
            &[(300, 'A'), (900, 'A')],
            &["0-240 ?", "240-960 A", "960-3600 ?"],
        );
        // and between two that differ, but for their own seconds
        check(
            &[(-30, 'A'), (900, 'A'), (1_800, 'b'), (3_610, 'b')],
            &["0-900 A", "900-1800 ?", "1800-3600 b"],
        );
        check(&[(-30, 'A'), (1_000, 'b'), (3_620, 'A')], &["0-3600 ?"]);
        // others were configured in between
        check(
            &[(-30, 'A'), (1_800, 'a'), (3_610, 'a')],
            &["0-1800 A", "1800-3600 a"],
        );
    }

    #[test]
    fn a_second_of_the_union_is_what_its_servers_had() {
        let (one, two): (Leg, Leg) = ("1".parse().unwrap(), "2".parse().unwrap());
        let always = answers(&[(-10, 'A'), (3_610, 'A')]);
        let changed = answers(&[(-10, 'A'), (600, 'A'), (1_200, 'b'), (3_610, 'b')]);
        let (whole, begin) = (covered(0..3_600), covered(0..2_000));
        let found = in_force(
            &[HOUR],
            &[(&one, &always, &begin), (&two, &changed, &whole)],
        );
        assert_eq!(
            told(&found.union),
            ["0-600 A", "600-1200 ?", "1200-2000 ab", "2000-3600 b"]
        );
        // one list, which only one of two configurations has
        let other = answers(&[(-10, 'a'), (3_610, 'a')]);
        for servers in [[&always, &other], [&other, &always]] {
            let servers = [(&one, servers[0], &whole), (&two, servers[1], &whole)];
            assert_eq!(told(&in_force(&[HOUR], &servers).union), ["0-3600 a"]);
        }
        // a list of which no second is known was told all the same
        let thrice = answers(&[(-30, 'A'), (1_000, 'b'), (1_900, 'A'), (3_700, 'c')]);
        let found = in_force(&[HOUR], &[(&one, &thrice, &whole)]);
        let letters = found.lists.keys().map(|hash| hash.begin() >> 56);
        assert!(letters.eq([b'a', b'b'].map(u64::from)));
        // nobody's seconds are not told of
        let alone = in_force(&[HOUR], &[(&one, &always, &covered(10..20))]);
        assert_eq!(told(&alone.union), ["10-20 A"]);
    }

    /// Of a second in which answers differ it is not known which of them held.
    #[test]
    fn a_change_within_a_second_makes_it_unknown() {
        let mut answers = answers(&[(0, 'A'), (100, 'A'), (100, 'b'), (100, 'A'), (200, 'A')]);
        for (told, ms) in answers.told.iter_mut().zip([0, 200, 400, 600, 0]) {
            told.at = told.at.plus_ms(ms);
        }
        let all: Vec<i64> = seconds::all(&[HOUR]).take(200).collect();
        let known = of_seconds(&answers.told, &all);
        let found = throughout::of_seconds(&all, known.iter().map(|known| Some(of_second(known))));
        assert_eq!(told(&found), ["0-100 A", "100-101 ?", "101-200 A"]);
    }
}
