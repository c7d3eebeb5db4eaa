//! What a revision of an hour changed: posts that came in, seconds that were found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    cover::{cause::Cause, estimate::Estimate, gap::UNION},
    segment::{name::Leg, sha256::Sha256},
    text::{plural, thousands},
    vault::{ledger::Committed, manifest::Manifest},
};

/// A committed revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// As the ledger has it.
    #[serde(flatten)]
    pub of: Committed,
    /// What it changed; `None` for the first one, and where the manifest before is not at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
}

/// What a revision changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Posts.
    pub posts: Pair<u64>,
    /// Seconds in gaps, of each server that either knows, and of the union under its name.
    #[serde(rename = "seconds_missing")]
    pub missing: BTreeMap<String, Pair<u64>>,
    /// Segments that came in, by server.
    pub segments: BTreeMap<Leg, u64>,
    /// Events files that came in.
    #[serde(rename = "events_files")]
    pub events: u64,
    /// Seconds that are missing as before, by another cause than before.
    pub causes: Vec<OtherCause>,
    /// What both servers missed, as far as it can be told.
    #[serde(rename = "estimate")]
    pub unseen: Pair<Option<Estimate>>,
}

/// What was, and what is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair<T> {
    /// By the manifest before.
    pub before: T,
    /// By this one.
    pub after: T,
}

/// Seconds of a server, or of the union, that have another cause now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherCause {
    /// The server, or the union.
    pub server: String,
    /// Both causes.
    #[serde(flatten)]
    pub cause: Pair<Cause>,
    /// How many seconds.
    pub seconds: u64,
}

impl Revision {
    /// Of a manifest and the one before it.
    pub fn of(manifest: &Manifest, sha256: Sha256, former: Option<&Manifest>) -> Self {
        let of = Committed {
            hour: manifest.hour,
            revision: manifest.history.revision,
            manifest_sha256: sha256,
        };
        Self {
            of,
            change: former.map(|former| Change::between(former, manifest)),
        }
    }
}

impl Change {
    /// Of two manifests of one hour.
    fn between(former: &Manifest, manifest: &Manifest) -> Self {
        let mut missing: BTreeMap<String, Pair<u64>> = BTreeMap::new();
        for (server, seconds) in missing_in(former) {
            missing.entry(server).or_default().before = seconds;
        }
        for (server, seconds) in missing_in(manifest) {
            missing.entry(server).or_default().after = seconds;
        }
        let mut segments: BTreeMap<Leg, u64> = BTreeMap::new();
        for name in &manifest.history.segments {
            *segments.entry(name.leg()).or_default() += 1;
        }
        Self {
            posts: Pair {
                before: former.counts.total.posts,
                after: manifest.counts.total.posts,
            },
            missing,
            segments,
            events: manifest.history.events.len() as u64,
            causes: other_causes(former, manifest),
            unseen: Pair {
                before: former.estimate.clone(),
                after: manifest.estimate.clone(),
            },
        }
    }

    /// In a sentence.
    pub fn words(&self) -> String {
        let mut parts = vec![moved("posts", self.posts)];
        let came = self.segments.iter();
        parts.extend(came.map(|(server, count)| {
            let segments = plural(*count, "segment", "segments");
            format!("{segments} of server {server} came in")
        }));
        if 0 < self.events {
            parts.push(format!(
                "{} came in",
                plural(self.events, "events file", "events files")
            ));
        }
        for (of, Pair { before, after }) in &self.missing {
            if before != after {
                parts.push(format!(
                    "seconds in gaps of {} {} -> {}",
                    whom(of),
                    thousands(*before),
                    thousands(*after)
                ));
            }
        }
        for other in &self.causes {
            let Pair { before, after } = other.cause;
            parts.push(format!(
                "cause of {} s of {} {before} -> {after}",
                thousands(other.seconds),
                whom(&other.server)
            ));
        }
        let Pair { before, after } = &self.unseen;
        if before != after {
            let told = |estimate: &Option<Estimate>| match estimate {
                None => "unknown".to_owned(),
                Some(estimate) => estimate.unseen.map_or_else(
                    || format!("at most {}", thousands(estimate.high)),
                    |unseen| format!("about {}", thousands(unseen)),
                ),
            };
            let (before, after) = (told(before), told(after));
            parts.push(format!(
                "posts that both servers missed {before} -> {after}"
            ));
        }
        parts.join("; ")
    }
}

fn whom(of: &str) -> String {
    if of == UNION {
        "all servers together".to_owned()
    } else {
        format!("server {of}")
    }
}

/// The seconds that are in gaps of both, by different causes.
fn other_causes(former: &Manifest, manifest: &Manifest) -> Vec<OtherCause> {
    let seconds = |manifest: &Manifest| -> BTreeMap<(String, i64), Cause> {
        let each = manifest.gaps.iter().flat_map(|gap| {
            let seconds = gap.begin.second()..gap.end.second();
            seconds.map(|second| ((gap.server.clone(), second), gap.cause))
        });
        each.collect()
    };
    let before = seconds(former);
    let mut found: BTreeMap<(String, Cause, Cause), u64> = BTreeMap::new();
    for ((of, second), after) in seconds(manifest) {
        let before = before.get(&(of.clone(), second)).copied();
        if let Some(before) = before.filter(|before| *before != after) {
            *found.entry((of, before, after)).or_default() += 1;
        }
    }
    let other = |((server, before, after), seconds)| OtherCause {
        server,
        cause: Pair { before, after },
        seconds,
    };
    found.into_iter().map(other).collect()
}

fn moved(what: &str, Pair { before, after }: Pair<u64>) -> String {
    if before == after {
        return format!("no change in {what}");
    }
    let sign = if before < after { '+' } else { '-' };
    let by = thousands(before.abs_diff(after));
    format!(
        "{what} {} -> {} ({sign}{by})",
        thousands(before),
        thousands(after)
    )
}

/// The seconds of an hour that each server, and the union, lacks.
fn missing_in(manifest: &Manifest) -> BTreeMap<String, u64> {
    let coverage = &manifest.coverage;
    let servers = coverage.servers.iter();
    servers
        .map(|(server, covered)| (server.to_string(), covered))
        .chain([(UNION.to_owned(), &coverage.union)])
        .map(|(of, covered)| (of, covered.seconds.saturating_sub(covered.covered)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const GOLDEN: &str =
        include_str!("../../tests/golden/v1/vault/2026-11-23/2026-11-23_13_manifest.json");

    /// The example's hour, changed so.
    fn manifest(change: impl Fn(&mut Value)) -> Manifest {
        let mut says: Value = serde_json::from_str(GOLDEN).unwrap();
        change(&mut says);
        Manifest::from_json(says.to_string().as_bytes()).unwrap()
    }

    /// What is told of the example as it follows another one, which was changed so.
    fn told(change: impl Fn(&mut Value), after: impl Fn(&mut Value)) -> String {
        let (former, after) = (manifest(change), manifest(after));
        Change::between(&former, &after).words()
    }

    #[test]
    fn each_change_of_a_revision_is_told_and_nothing_that_is_as_before() {
        let nothing = told(|_| (), |_| ());
        assert!(nothing.starts_with("no change in posts; "), "{nothing}");
        assert!(
            !nothing.contains("seconds") && !nothing.contains("cause"),
            "{nothing}"
        );
        let quiet = |says: &mut Value| {
            says["history"]["segments"] = json!([]);
            says["history"]["events"] = json!([]);
        };
        let change = |former: &dyn Fn(&mut Value)| {
            told(
                |says| {
                    quiet(says);
                    former(says);
                },
                quiet,
            )
        };
        assert_eq!(change(&|_| ()), "no change in posts");
        assert_eq!(
            change(&|says| says["counts"]["total"]["posts"] = json!(1_020)),
            "posts 1,020 -> 18 (-1,002)"
        );
        // 14 of 174 seconds of server 1 are covered
        assert_eq!(
            change(&|says| says["coverage"]["servers"]["1"]["covered"] = json!(4)),
            "no change in posts; seconds in gaps of server 1 170 -> 160"
        );
        let before = |says: &mut Value| {
            let of = &mut says["coverage"]["servers"]["1"];
            (of["seconds"], of["covered"]) = (json!(1), json!(1));
        };
        assert_eq!(
            change(&before),
            "no change in posts; seconds in gaps of server 1 0 -> 160"
        );
        assert_eq!(
            change(&|says| says["coverage"]["union"]["covered"] = json!(0)),
            "no change in posts; seconds in gaps of all servers together 174 -> 157"
        );
        // a second without a post is no second in a gap
        assert_eq!(
            change(&|says| says["coverage"]["union"]["quiet"] = json!(5)),
            "no change in posts"
        );
        // the first gap has five seconds, and was another one's fault
        assert_eq!(
            change(&|says| says["gaps"][0]["cause"] = json!("late")),
            "no change in posts; cause of 5 s of server 1 late -> not running"
        );
        assert_eq!(
            change(&|says| says["estimate"] = Value::Null),
            "no change in posts; posts that both servers missed unknown -> at most 2"
        );
        let one = |says: &mut Value| {
            quiet(says);
            says["history"]["segments"] = json!(["1_sample_20261123T1357Z_3fa9c01b_000"]);
            says["history"]["events"] = json!(["1_sample_20261123T1357Z_3fa9c01b_000"]);
            says["coverage"]["servers"]["3"] = says["coverage"]["servers"]["1"].clone();
        };
        assert_eq!(
            told(quiet, one),
            "no change in posts; 1 segment of server 1 came in; 1 events file came in; \
             seconds in gaps of server 3 0 -> 160"
        );
    }
}
