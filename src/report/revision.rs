//! What a revision of an hour changed: posts that came in, seconds that were found.

use std::collections::BTreeMap;

use crate::{
    cover::{gap::UNION, seconds},
    segment::name::ServerId,
    text::{plural, thousands},
    vault::manifest::Manifest,
};

/// A committed revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// 1, 2, 3 …
    pub number: u64,
    /// SHA-256 of its manifest.
    pub sha256: String,
    /// What it changed; `None` for the first one, and where the manifest before is not at hand.
    pub change: Option<Change>,
}

/// What a revision changed: each pair is before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Posts.
    pub posts: (u64, u64),
    /// Seconds in gaps, of each server that either knows, and of the union under its name.
    pub missing: BTreeMap<String, (u64, u64)>,
    /// Segments that came in, by server.
    pub segments: BTreeMap<ServerId, u64>,
    /// Events files that came in.
    pub events: u64,
}

impl Revision {
    /// Of a manifest and the one before it.
    pub fn of(manifest: &Manifest, sha256: String, former: Option<&Manifest>) -> Self {
        Self {
            number: manifest.history.revision,
            sha256,
            change: former.map(|former| Change::between(former, manifest)),
        }
    }
}

impl Change {
    /// Of two manifests of one hour.
    fn between(former: &Manifest, manifest: &Manifest) -> Self {
        let mut missing: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for (server, seconds) in missing_in(former) {
            missing.entry(server).or_default().0 = seconds;
        }
        for (server, seconds) in missing_in(manifest) {
            missing.entry(server).or_default().1 = seconds;
        }
        let mut segments: BTreeMap<ServerId, u64> = BTreeMap::new();
        for name in &manifest.history.segments {
            *segments.entry(name.server.clone()).or_default() += 1;
        }
        Self {
            posts: (former.counts.total.posts, manifest.counts.total.posts),
            missing,
            segments,
            events: manifest.history.events.len() as u64,
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
        for (of, (before, after)) in &self.missing {
            if before != after {
                let of = if of == UNION {
                    "all servers together".to_owned()
                } else {
                    format!("server {of}")
                };
                parts.push(format!(
                    "seconds in gaps of {of} {} -> {}",
                    thousands(*before),
                    thousands(*after)
                ));
            }
        }
        parts.join("; ")
    }
}

fn moved(what: &str, (before, after): (u64, u64)) -> String {
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
    let seconds = seconds::count(&manifest.intervals) as u64;
    let coverage = &manifest.coverage;
    let servers = coverage.servers.iter();
    servers
        .map(|(server, covered)| (server.to_string(), covered))
        .chain([(UNION.to_owned(), &coverage.union)])
        .map(|(of, covered)| (of, seconds.saturating_sub(covered.covered)))
        .collect()
}
