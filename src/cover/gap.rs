//! Runs of uncovered seconds, each with one cause, and how runs of several hours become one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cause::Cause;
use crate::{period::UtcMs, segment::name::Partition};

/// The name of all servers together, where a server's id could stand. No server may be called so.
pub const UNION: &str = "union";

/// Of a run's details so many are told.
const DETAILS_MAX: usize = 3;

/// A maximal run of uncovered seconds with one cause, and of the union, with the same partitions missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The server's id, where the stream comes in partitions its leg's; or `union` for what nobody had.
    pub server: String,
    /// For the union of a stream with partitions: those that nobody had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<Partition>,
    /// Its first second.
    pub begin: UtcMs,
    /// The first second after it.
    pub end: UtcMs,
    /// The one cause.
    pub cause: Cause,
    /// More about the cause, for a person: a status, the platform's word, how the network failed;
    /// for the union each server's cause.
    pub detail: String,
}

impl Gap {
    /// Its length in seconds.
    pub fn seconds(&self) -> i64 {
        self.end.second() - self.begin.second()
    }
}

/// Makes runs of uncovered seconds, which come one by one in ascending order.
#[derive(Debug)]
pub struct Runs {
    server: String,
    gaps: Vec<Gap>,
    details: Vec<String>,
}

impl Runs {
    /// For a server, or the union.
    pub fn of(server: &str) -> Self {
        Self {
            server: server.to_owned(),
            gaps: Vec::new(),
            details: Vec::new(),
        }
    }

    /// The next uncovered second.
    pub fn push(&mut self, second: i64, cause: Cause, detail: &str) {
        self.push_parts(second, &[], cause, detail);
    }

    /// The next second of the union that these partitions are not covered in.
    pub fn push_parts(
        &mut self,
        second: i64,
        partitions: &[Partition],
        cause: Cause,
        detail: &str,
    ) {
        let begin = UtcMs(second * 1_000);
        let end = UtcMs((second + 1) * 1_000);
        match self.gaps.last_mut() {
            Some(gap) if gap.end == begin && gap.cause == cause && gap.partitions == partitions => {
                gap.end = end;
            }
            _ => {
                self.tell();
                self.gaps.push(Gap {
                    server: self.server.clone(),
                    partitions: partitions.to_vec(),
                    begin,
                    end,
                    cause,
                    detail: String::new(),
                });
            }
        }
        if !detail.is_empty() && !self.details.iter().any(|known| known == detail) {
            self.details.push(detail.to_owned());
        }
    }

    fn tell(&mut self) {
        let details = std::mem::take(&mut self.details);
        if let Some(gap) = self.gaps.last_mut() {
            gap.detail = joined(&details);
        }
    }

    /// All of them.
    pub fn finish(mut self) -> Vec<Gap> {
        self.tell();
        self.gaps
    }
}

fn joined<T: AsRef<str>>(details: &[T]) -> String {
    let shown: Vec<&str> = details
        .iter()
        .take(DETAILS_MAX)
        .map(AsRef::as_ref)
        .collect();
    let mut text = shown.join(", ");
    if DETAILS_MAX < details.len() {
        text += ", …";
    }
    text
}

/// Joins the gaps of several hours, in the order of their hours: those of one server that touch and
/// have one cause become one, and of the union, those that also lack the same partitions. What comes out is ordered by server, the union last, then by time.
pub fn join<'a>(gaps: impl IntoIterator<Item = &'a Gap>) -> Vec<Gap> {
    let mut by_server: BTreeMap<(bool, &str), Vec<&Gap>> = BTreeMap::new();
    for gap in gaps {
        let key = (gap.server == UNION, gap.server.as_str());
        by_server.entry(key).or_default().push(gap);
    }
    let mut joined_gaps: Vec<Gap> = Vec::new();
    for mut of_server in by_server.into_values() {
        of_server.sort_by_key(|gap| gap.begin);
        let is_like = |a: &Gap, b: &Gap| a.cause == b.cause && a.partitions == b.partitions;
        let touch = |a: &&Gap, b: &&Gap| a.end == b.begin && is_like(a, b);
        for run in of_server.chunk_by(touch) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else {
                continue;
            };
            let mut details: Vec<&str> = Vec::new();
            for detail in run.iter().map(|gap| gap.detail.as_str()) {
                if !detail.is_empty() && !details.contains(&detail) {
                    details.push(detail);
                }
            }
            joined_gaps.push(Gap {
                end: last.end,
                detail: joined(&details),
                ..(*first).clone()
            });
        }
    }
    joined_gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_end_where_the_cause_changes_and_are_joined_where_it_does_not() {
        let mut runs = Runs::of("1");
        for (second, cause, detail) in [
            (10, Cause::Network, "dns"),
            (11, Cause::Network, "connect"),
            (12, Cause::Network, "dns"),
            (13, Cause::Refused, "503"),
            (20, Cause::Refused, "503"),
        ] {
            runs.push(second, cause, detail);
        }
        let first_hour = runs.finish();
        let found: Vec<(i64, i64, &str)> = first_hour
            .iter()
            .map(|gap| (gap.begin.second(), gap.seconds(), gap.detail.as_str()))
            .collect();
        assert_eq!(
            found,
            [(10, 3, "dns, connect"), (13, 1, "503"), (20, 1, "503")]
        );
        let mut runs = Runs::of("1");
        runs.push(21, Cause::Refused, "401");
        runs.push(22, Cause::Network, "");
        let mut all = Runs::of(UNION);
        all.push(5, Cause::Late, "");
        let next_hour = [all.finish(), runs.finish()].concat();
        let found: Vec<(String, i64, i64, String)> = join(first_hour.iter().chain(&next_hour))
            .into_iter()
            .map(|gap| {
                (
                    gap.server.clone(),
                    gap.begin.second(),
                    gap.seconds(),
                    gap.detail,
                )
            })
            .collect();
        let row = |server: &str, begin, seconds, detail: &str| {
            (server.to_owned(), begin, seconds, detail.to_owned())
        };
        assert_eq!(
            found,
            [
                row("1", 10, 3, "dns, connect"),
                row("1", 13, 1, "503"),
                row("1", 20, 2, "503, 401"),
                row("1", 22, 1, ""),
                row("union", 5, 1, "")
            ]
        );
    }
}
