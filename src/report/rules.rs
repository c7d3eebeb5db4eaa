//! The certificate's section on rules: which were in force in which seconds, where rules choose what the stream brings.

use std::collections::{BTreeMap, BTreeSet};

use super::{gaps::second, statement::Statement};
use crate::{
    cover::{
        rules::{RulesState, Stretch},
        throughout,
    },
    segment::{rules::Rule, sha256::Sha256},
    text::{one_line, plural, table, thousands, wrapped},
};

/// Its head.
pub(super) const HEAD: &str = "Rules in force";

/// Columns of a line.
const WIDTH: usize = 100;

/// Stretches that are told one by one; the manifests have all.
pub(super) const STRETCHES_MAX: usize = 100;

/// Digits of a hash by which a list is named.
const HASH_DIGITS: usize = 12;

const fn words(state: RulesState) -> &'static str {
    match state {
        RulesState::AsConfigured => "as configured",
        RulesState::NotConfigured => "not as configured",
        RulesState::Differ => "different between servers",
        RulesState::Unknown => "not known",
    }
}

/// The section, if the stream has rules.
pub(super) fn section(statement: &Statement) -> Option<String> {
    let hours = statement.hours.iter();
    let told: Vec<_> = hours.filter_map(|said| said.rules.as_ref()).collect();
    if told.is_empty() {
        return None;
    }
    let mut lists: BTreeMap<Sha256, &[Rule]> = BTreeMap::new();
    for (hash, list) in told.iter().flat_map(|told| &told.lists) {
        lists.insert(*hash, list);
    }
    // those that go on over the hour are one
    let stretches = throughout::joined(told.iter().flat_map(|told| &told.union).cloned());
    let known: BTreeSet<Sha256> = told.iter().flat_map(|told| told.named()).collect();
    let parts = [head(&stretches), rows(&stretches), named(&lists, &known)];
    Some(parts.join("\n"))
}

fn head(stretches: &[Stretch]) -> String {
    let seconds = |state: RulesState| -> u64 {
        let of_state = stretches
            .iter()
            .filter(|stretch| stretch.holds.state == state);
        of_state.map(Stretch::seconds).sum()
    };
    let told: Vec<String> = RulesState::ALL
        .into_iter()
        .filter(|state| 0 < seconds(*state))
        .map(|state| format!("{} {}", words(state), thousands(seconds(state))))
        .collect();
    let all: u64 = stretches.iter().map(Stretch::seconds).sum();
    let text = format!(
        "Rules choose which posts the stream sends. The {} that at least one server has, by the rules in force: {}. \
         Each server asks for the rules at every connection and every quarter of an hour. Between two answers that \
         agree, the rules are assumed to be unchanged. Between two that differ, and more than a minute before the \
         first answer or after the last one, they are not known.",
        plural(all, "second", "seconds"),
        if told.is_empty() {
            "none".to_owned()
        } else {
            told.join(", ")
        }
    );
    wrapped(&text, "", WIDTH)
}

fn short(hash: &Sha256) -> String {
    let mut digits = hash.to_string();
    digits.truncate(HASH_DIGITS);
    digits
}

fn rows(stretches: &[Stretch]) -> String {
    let head = ["from (UTC)", "until", "seconds", "rules", "list"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for stretch in stretches.iter().take(STRETCHES_MAX) {
        let lists: Vec<String> = stretch.holds.rules.iter().map(short).collect();
        rows.push(vec![
            second(stretch.begin),
            second(stretch.end),
            thousands(stretch.seconds()),
            words(stretch.holds.state).to_owned(),
            lists.join(", "),
        ]);
    }
    table(&rows, &[2]) + &further(stretches.len())
}

/// What is said of stretches beyond those that are told one by one.
pub(super) fn further(all: usize) -> String {
    match all.saturating_sub(STRETCHES_MAX) as u64 {
        0 => String::new(),
        beyond => format!(
            "… and {}, in the manifests\n",
            plural(beyond, "further stretch", "further stretches")
        ),
    }
}

/// The lists, rule by rule.
fn named(lists: &BTreeMap<Sha256, &[Rule]>, known: &BTreeSet<Sha256>) -> String {
    let list = |(hash, rules): (&Sha256, &&[Rule])| {
        let count = plural(rules.len() as u64, "rule", "rules");
        let rules = rules.iter().map(|rule| {
            let tag = match rule.tag.as_str() {
                "" => String::new(),
                tag => format!(" [{}]", one_line(tag)),
            };
            wrapped(&format!("- {}{tag}", one_line(&rule.value)), "  ", WIDTH)
        });
        let when = if known.contains(hash) {
            ""
        } else {
            ", in force at one answer; its other seconds are not known"
        };
        format!(
            "List {}: {count}{when}\n{}",
            short(hash),
            rules.collect::<String>()
        )
    };
    lists.iter().map(list).collect::<Vec<_>>().join("\n")
}
