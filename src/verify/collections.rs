//! Checks whether a manifest is consistent about the collections that were requested. What the servers recorded is in
//! events files, which are not published.

use std::{collections::BTreeSet, path::Path};

use super::problem::Problems;
use crate::{
    cover::{
        collections::{Requested, Stretch},
        seconds, throughout,
    },
    source::Source,
    vault::manifest::HourSaid,
};

/// Checks it.
pub fn check(path: &Path, (source, said): (&dyn Source, &HourSaid), problems: &mut Problems) {
    let has_collections = source.has_collections();
    let found = match &said.collections {
        Some(found) if has_collections => found,
        None if !has_collections => return,
        Some(_) => return problems.wrong(path, "it has collections, but its stream has none"),
        None => return problems.wrong(path, "it does not say which collections were requested"),
    };
    if !are_those_of_servers(found) {
        problems.wrong(
            path,
            "its lists of collections are not those of the servers",
        );
    }
    let coverage = &said.coverage;
    if !found.servers.keys().eq(coverage.servers.keys()) {
        let what = "it does not have the collections of the servers of the coverage";
        return problems.wrong(path, what);
    }
    let all: Vec<i64> = seconds::all(&said.intervals).collect();
    for (leg, stretches) in &found.servers {
        if !is_every_second(&all, stretches) {
            let what =
                format!("the stretches of server {leg}'s collections do not add up to the hour");
            problems.wrong(path, what);
        }
    }
    let covered: Vec<_> = coverage.servers.values().collect();
    if found.union(&said.intervals, &covered) != found.union {
        let what =
            "the collections of the union are not those of the servers that have its seconds";
        problems.wrong(path, what);
    }
}

/// Whether the lists ascend, and are those that servers requested.
fn are_those_of_servers(found: &Requested) -> bool {
    let stretches = found.servers.values().flatten();
    let named: BTreeSet<usize> = stretches
        .flat_map(|stretch| &stretch.holds.lists)
        .copied()
        .collect();
    named.into_iter().eq(0..found.lists.len()) && found.lists.is_sorted_by(|a, b| a < b)
}

/// Whether stretches of one server are the hour, each as long as it can be, and with lists that ascend.
fn is_every_second(all: &[i64], stretches: &[Stretch]) -> bool {
    let ascends = |stretch: &Stretch| stretch.holds.lists.is_sorted_by(|a, b| a < b);
    throughout::are_all(all, stretches) && stretches.iter().all(ascends)
}
