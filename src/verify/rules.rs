//! Checks whether a manifest is consistent about the rules in force. The platform's answers are in events files,
//! which are not published.

use std::path::Path;

use super::problem::Problems;
use crate::{
    cover::{
        rules::{self, RulesState, Stretch},
        seconds, throughout,
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
    let has_hash = |stretch: &Stretch| match stretch.holds.state {
        RulesState::AsConfigured | RulesState::NotConfigured => stretch.holds.rules.len() == 1,
        RulesState::Unknown => stretch.holds.rules.is_empty(),
        RulesState::Differ => false,
    };
    throughout::are_all(all, stretches) && stretches.iter().all(has_hash)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::source::x::X;

    const GOLDEN: &str =
        include_str!("../../tests/golden/v1/vault/2026-11-23/2026-11-23_13_manifest.json");

    /// What is said of the example's hour with rules that nobody knows, after a change.
    fn wrongs(change: impl Fn(&mut Value)) -> Vec<String> {
        let mut says: Value = serde_json::from_str(GOLDEN).unwrap();
        says["stream"] = json!("filtered");
        let stretch = |begin: &str, end: &str| json!({"begin": format!("2026-11-23T{begin}Z"), "end": format!("2026-11-23T{end}Z"), "state": "unknown"});
        let whole = json!([stretch("13:00:00", "14:00:00")]);
        says["rules"] = json!({"lists": {}, "servers": {"1": whole, "2": whole}, "union": []});
        let said: HourSaid = serde_json::from_value(says.clone()).unwrap();
        let covered: Vec<_> = said.coverage.servers.values().collect();
        let union = said
            .rules
            .as_ref()
            .unwrap()
            .union(&said.intervals, &covered);
        assert!(1 < union.len(), "{union:?}");
        says["rules"]["union"] = serde_json::to_value(union).unwrap();
        change(&mut says);
        let said: HourSaid = serde_json::from_value(says).unwrap();
        let mut problems = Problems::default();
        check(Path::new("manifest"), (&X, &said), &mut problems);
        problems.0.into_iter().map(|found| found.what).collect()
    }

    #[test]
    fn rules_that_do_not_follow_from_the_servers_are_found() {
        assert_eq!(wrongs(|_| ()), [""; 0]);
        let of_first = |says: &mut Value, to: Value| says["rules"]["servers"]["1"] = to;
        let stretch = |begin: &str, end: &str, state: &str| json!({"begin": format!("2026-11-23T{begin}Z"), "end": format!("2026-11-23T{end}Z"), "state": state});
        let stretches = "the stretches of server 1's rules do not add up to the hour";
        for wrong in [
            json!([stretch("13:00:01", "14:00:00", "unknown")]),
            json!([stretch("13:00:00", "13:59:59", "unknown")]),
            json!([stretch("13:00:00", "14:00:00", "as_configured")]),
            json!([stretch("13:00:00", "14:00:00", "differ")]),
            json!([
                stretch("13:00:00", "13:30:00", "unknown"),
                stretch("13:30:00", "14:00:00", "unknown")
            ]),
        ] {
            let found = wrongs(|says| of_first(says, wrong.clone()));
            assert!(
                found.iter().any(|what| what == stretches),
                "{wrong}: {found:?}"
            );
        }
        let found = wrongs(|says| {
            says["rules"]["servers"]
                .as_object_mut()
                .unwrap()
                .remove("1");
        });
        assert_eq!(
            found,
            ["it does not have the rules of the servers of the coverage"]
        );
        let found = wrongs(|says| {
            says["rules"]["union"].as_array_mut().unwrap().pop();
        });
        assert_eq!(
            found,
            ["the rules of the union are not those of the servers that have its seconds"]
        );
        let found = wrongs(|says| {
            let hash = "0".repeat(64);
            says["rules"]["lists"] = json!({hash: []});
        });
        assert_eq!(found, ["a list of rules does not have its hash"]);
        let found = wrongs(|says| says["stream"] = json!("sample"));
        assert_eq!(found, ["it has rules, but its stream has none"]);
        let found = wrongs(|says| drop(says.as_object_mut().unwrap().remove("rules")));
        assert_eq!(found, ["it does not say which rules were in force"]);
    }
}
