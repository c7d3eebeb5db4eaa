//! Checks whether a manifest is consistent about the rules in force. The platform's answers are in events files,
//! which are not published.

use std::path::Path;

use super::problem::Problems;
use crate::{
    cover::{
        rules::{self, RulesState, Stretch},
        seconds,
    },
    source::Source,
    vault::manifest::HourSaid,
};

/// Checks it.
pub fn check(path: &Path, (source, said): (&dyn Source, &HourSaid), problems: &mut Problems) {
    let has_rules = source.has_rules(&said.stream);
    let found = match &said.rules {
        Some(found) if has_rules => found,
        None if !has_rules => return,
        Some(_) => return problems.wrong(path, "it has rules, but its stream has none"),
        None => return problems.wrong(path, "it does not say which rules were in force"),
    };
    if !rules::lists_are_right(found) {
        problems.wrong(path, "a list of rules does not have its hash");
    }
    let coverage = &said.coverage;
    if !found.servers.keys().eq(coverage.servers.keys()) {
        problems.wrong(
            path,
            "it does not have the rules of the servers of the coverage",
        );
        return;
    }
    let all: Vec<i64> = seconds::all(&said.intervals).collect();
    for (leg, of_server) in &found.servers {
        if !is_every_second(&all, of_server) {
            let what = format!("the stretches of server {leg}'s rules do not add up to the hour");
            problems.wrong(path, what);
        }
    }
    let covered: Vec<_> = coverage.servers.values().collect();
    if found.union(&said.intervals, &covered) != found.union {
        problems.wrong(
            path,
            "the rules of the union are not those of the servers that have its seconds",
        );
    }
}

/// Whether stretches of one server are the hour, each as long as it can be, and each with the one hash that its state says.
fn is_every_second(all: &[i64], stretches: &[Stretch]) -> bool {
    let seconds: Vec<i64> = stretches
        .iter()
        .flat_map(|stretch| stretch.begin.second()..stretch.end.second())
        .collect();
    let has_hash = |stretch: &Stretch| match stretch.state {
        RulesState::AsConfigured | RulesState::NotConfigured => stretch.rules.len() == 1,
        RulesState::Unknown => stretch.rules.is_empty(),
        RulesState::Differ => false,
    };
    let is_maximal = stretches.windows(2).all(|two| match two {
        [a, b] => !a.goes_on(b),
        _ => true,
    });
    seconds == all && is_maximal && stretches.iter().all(has_hash)
}
