//! What of the platform's posts the stream has: what was requested, and what rules chose.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    cover::{collections::ByLists, rules::RulesState},
    report::statement::Statement,
    segment::{collections::ALL, sha256::Sha256},
    text::{plural, thousands},
};

/// Collections that are named one by one; the certificates name all.
const NAMES_MAX: usize = 30;

/// What of the stream was requested, and what rules chose of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// Where a platform sends only the collections that are requested: the seconds that a server has, by these.
    #[serde(default, skip_serializing_if = "ByLists::is_empty")]
    pub collections: ByLists,
    /// Where rules choose: the lists of rules that were in force, by their hashes.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub rules: BTreeSet<Sha256>,
    /// The seconds that a server has, by what is known of the rules in them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_state: BTreeMap<RulesState, u64>,
}

impl Chosen {
    /// Of a day.
    pub(super) fn of(statement: &Statement) -> Self {
        let hours = || statement.hours.iter();
        let mut chosen = Self {
            collections: ByLists::of(hours().filter_map(|said| said.collections.as_ref())),
            ..Self::default()
        };
        for of_hour in hours().filter_map(|said| said.rules.as_ref()) {
            chosen.rules.extend(of_hour.named());
            for stretch in &of_hour.union {
                *chosen.by_state.entry(stretch.holds.state).or_default() += stretch.seconds();
            }
        }
        chosen
    }

    /// Takes in that of another day.
    pub(super) fn add(&mut self, day: &Self) {
        self.collections.add(&day.collections);
        self.rules.extend(&day.rules);
        for (state, seconds) in &day.by_state {
            *self.by_state.entry(*state).or_default() += seconds;
        }
    }

    /// In words, each sentence after a space; nothing if the stream has all that there is.
    pub(super) fn words(&self) -> String {
        [self.of_collections(), self.of_rules()].concat()
    }

    fn of_collections(&self) -> String {
        let all = self.collections.seconds();
        if all == 0 {
            return String::new();
        }
        let complete = self.collections.complete();
        let is_constant = complete.values().all(|seconds| *seconds == all);
        if is_constant && complete.contains_key(ALL) {
            return format!(" The servers requested {ALL} all the time.");
        }
        let told = complete.iter().take(NAMES_MAX);
        let told = told.map(|(name, seconds)| {
            if is_constant {
                (*name).to_owned()
            } else {
                format!("{name} in {}", thousands(*seconds))
            }
        });
        let others = match complete.len().saturating_sub(NAMES_MAX) as u64 {
            0 => String::new(),
            others => format!(", and {}", plural(others, "other", "others")),
        };
        let told = told.collect::<Vec<String>>().join(", ") + &others;
        if is_constant {
            return format!(" The servers requested these collections all the time: {told}.");
        }
        format!(
            " The servers did not request the same collections all the time. Of the {}, a server had requested {told}. \
             Each day's certificate says in which seconds.",
            plural(all, "covered second", "covered seconds"),
        )
    }

    fn of_rules(&self) -> String {
        if self.by_state.is_empty() {
            return String::new();
        }
        let seconds = |states: &[RulesState]| -> u64 {
            let each = states.iter().filter_map(|state| self.by_state.get(state));
            each.sum()
        };
        let all = seconds(&RulesState::ALL);
        format!(
            " Rules chose which posts the stream sent. {} in force. In {} of the {}, they were those of the configuration; \
             in {}, they were others, or not the same on all servers; in {}, they are not known. Each day's certificate has \
             the rules and says in which seconds they were in force.",
            plural(
                self.rules.len() as u64,
                "list of rules was",
                "lists of rules were"
            ),
            thousands(seconds(&[RulesState::AsConfigured])),
            plural(all, "covered second", "covered seconds"),
            thousands(seconds(&[RulesState::NotConfigured, RulesState::Differ])),
            thousands(seconds(&[RulesState::Unknown]))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cover::{
            collections::{Places, Requested},
            throughout::Stretch,
        },
        period::UtcMs,
        segment::collections::tests::list,
    };

    /// For each stretch of ten seconds the lists of it.
    fn requested(lists: &[&str], stretches: &[&[usize]]) -> ByLists {
        let union = stretches.iter().zip(0..).map(|(places, nth)| Stretch {
            begin: UtcMs(nth * 10_000),
            end: UtcMs((nth + 1) * 10_000),
            holds: Places {
                lists: places.to_vec(),
            },
        });
        let of_hour = Requested {
            lists: lists.iter().map(|names| list(names)).collect(),
            servers: BTreeMap::new(),
            union: union.collect(),
        };
        ByLists::of([&of_hour].into_iter())
    }

    fn collections(by_lists: ByLists) -> Chosen {
        Chosen {
            collections: by_lists,
            ..Chosen::default()
        }
    }

    #[test]
    fn a_stream_of_which_nothing_is_chosen_needs_no_word() {
        assert_eq!(Chosen::default().words(), "");
    }

    #[test]
    fn the_same_list_all_the_time_is_named_once() {
        let mut chosen = collections(requested(&["a.b.post a.b.repost"], &[&[0]]));
        let sentence =
            " The servers requested these collections all the time: a.b.post, a.b.repost.";
        assert_eq!(chosen.words(), sentence);
        chosen.add(&chosen.clone());
        assert_eq!(chosen.words(), sentence);
        let all = collections(requested(&[""], &[&[0]]));
        assert_eq!(
            all.words(),
            " The servers requested all collections all the time."
        );
    }

    /// A day on which all collections were requested has those of the other day, too.
    #[test]
    fn of_different_lists_the_seconds_of_each_collection_are_told_over_the_days() {
        let mut chosen = collections(requested(
            &["a.b.post", "a.b.post a.b.like"],
            &[&[0], &[0, 1], &[]],
        ));
        chosen.add(&collections(requested(&[""], &[&[0]])));
        assert_eq!(
            chosen.words(),
            " The servers did not request the same collections all the time. Of the 40 covered seconds, a server had requested \
             a.b.like in 20, a.b.post in 30, all collections in 10. Each day's certificate says in which seconds."
        );
        let grown = requested(&["a.b.post", "a.b.post a.b.like"], &[&[0], &[1]]);
        let words = collections(grown).words();
        assert!(
            words.contains(" a.b.like in 10, a.b.post in 20. "),
            "{words}"
        );
        let json = serde_json::to_string(&chosen).unwrap();
        assert_eq!(serde_json::from_str::<Chosen>(&json).unwrap(), chosen);
    }

    #[test]
    fn of_many_collections_the_first_are_named() {
        let names: Vec<String> = (10..42).map(|nth| format!("a.b.n{nth}")).collect();
        let words = collections(requested(&[&names.join(" ")], &[&[0]])).words();
        assert!(
            words.ends_with("a.b.n38, a.b.n39, and 2 others."),
            "{words}"
        );
    }

    #[test]
    fn rules_are_counted_and_so_are_the_seconds_by_what_is_known_of_them() {
        let mut chosen = Chosen {
            rules: [Sha256::of(b"a"), Sha256::of(b"b")].into(),
            by_state: [
                (RulesState::AsConfigured, 1_000),
                (RulesState::NotConfigured, 200),
                (RulesState::Differ, 30),
                (RulesState::Unknown, 4),
            ]
            .into(),
            ..Chosen::default()
        };
        let told = |chosen: &Chosen| {
            let words = chosen.words();
            words
                .split_once("sent. ")
                .unwrap()
                .1
                .split_once(". Each")
                .unwrap()
                .0
                .to_owned()
        };
        assert_eq!(
            told(&chosen),
            "2 lists of rules were in force. In 1,000 of the 1,234 covered seconds, they were those of the configuration; \
             in 230, they were others, or not the same on all servers; in 4, they are not known"
        );
        chosen.add(&Chosen {
            rules: [Sha256::of(b"b"), Sha256::of(b"c")].into(),
            by_state: [(RulesState::Unknown, 6)].into(),
            ..Chosen::default()
        });
        assert!(
            told(&chosen)
                .starts_with("3 lists of rules were in force. In 1,000 of the 1,240 covered")
        );
        assert!(told(&chosen).ends_with("; in 10, they are not known"));
    }
}
