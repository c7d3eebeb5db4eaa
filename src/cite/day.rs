//! What is said of a day, in small sums that add up to those of the archive.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::chosen::Chosen;
use crate::{
    cover::cause::Cause,
    period::UtcMs,
    report::statement::{OfCause, Share, Statement},
    segment::name::ServerId,
    vault::deleted::LeftOut,
};

/// The sums of a day, or of many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaySum {
    /// Hours that are committed.
    pub hours: u64,
    /// Different posts.
    pub posts: u64,
    /// Seconds of those hours.
    pub seconds: u64,
    /// The begin of the first of these, and the end of the last.
    pub time: Option<(UtcMs, UtcMs)>,
    /// Of these covered by any server.
    pub covered: u64,
    /// Of these without a post.
    pub quiet: u64,
    /// Of the covered ones, beside a gap.
    pub partial: u64,
    /// In gaps of all servers together.
    pub missing: u64,
    /// For each cause of these gaps: how many, and how many seconds.
    pub causes: BTreeMap<Cause, OfCause>,
    /// The servers that have a part in it.
    pub servers: BTreeSet<ServerId>,
    /// What both of two servers missed, if that can be told.
    pub unseen: Option<Unseen>,
    /// Posts that were taken out on request.
    pub removed: u64,
    /// Posts that were taken out because they were deleted, or their account is gone.
    pub deleted: u64,
    /// Posts that are held back.
    pub held: u64,
    /// What of the stream was requested, and what rules chose of it.
    pub chosen: Chosen,
}

/// An estimate, or the sum of the estimates of several days.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unseen {
    /// The seconds that it speaks of.
    pub seconds: u64,
    /// The most likely number, as far as one can be told.
    pub likely: u64,
    /// The lower end of the interval.
    pub low: u64,
    /// The upper end.
    pub high: u64,
}

impl DaySum {
    /// Of a day.
    pub fn of(statement: &Statement) -> Self {
        let Share { sum, books, .. } = &statement.union;
        let deletions = |why: LeftOut| {
            let records = statement.deletions.get(why.word());
            records.copied().unwrap_or(0)
        };
        let legs = statement.hours.iter();
        let servers = legs.flat_map(|said| said.counts.servers.keys().map(|leg| &leg.server));
        Self {
            hours: statement.hours.len() as u64,
            posts: books.posts,
            seconds: statement.committed,
            time: time(statement),
            covered: sum.covered,
            quiet: sum.quiet,
            partial: sum.partial,
            missing: sum.missing,
            causes: statement.union.causes.clone(),
            servers: servers.cloned().collect(),
            unseen: statement.estimate.as_ref().map(|estimate| Unseen {
                seconds: estimate.seconds,
                likely: estimate.unseen.unwrap_or(0),
                low: estimate.low.unwrap_or(0),
                high: estimate.high,
            }),
            removed: statement.redactions.values().sum(),
            deleted: deletions(LeftOut::Deleted) + deletions(LeftOut::Account),
            held: deletions(LeftOut::Held),
            chosen: Chosen::of(statement),
        }
    }

    /// Gaps of all servers together.
    pub fn gaps(&self) -> u64 {
        self.causes.values().map(|of| of.gaps).sum()
    }
}

/// From the first second that counts to the last one. Posts may have times of before the archive's beginning.
fn time(statement: &Statement) -> Option<(UtcMs, UtcMs)> {
    let hours = statement.hours.iter();
    let mut hours = hours.filter(|said| 0 < said.coverage.union.seconds);
    let first = hours.next()?;
    let last = hours.next_back().unwrap_or(first);
    let begin = first.intervals.first()?.begin;
    let begin = first.coverage.union.begins.unwrap_or(begin);
    Some((begin, last.intervals.last()?.end))
}

impl<'a> std::iter::Sum<&'a DaySum> for DaySum {
    fn sum<I: Iterator<Item = &'a DaySum>>(days: I) -> Self {
        days.fold(Self::default(), |mut all, day| {
            all.hours += day.hours;
            all.posts += day.posts;
            all.seconds += day.seconds;
            let times = all.time.into_iter().chain(day.time);
            all.time = times.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
            all.covered += day.covered;
            all.quiet += day.quiet;
            all.partial += day.partial;
            all.missing += day.missing;
            for (cause, of) in &day.causes {
                let of_all = all.causes.entry(*cause).or_default();
                of_all.gaps += of.gaps;
                of_all.seconds += of.seconds;
            }
            all.servers.extend(day.servers.iter().cloned());
            if let Some(of_day) = day.unseen {
                let unseen = all.unseen.get_or_insert_default();
                unseen.seconds += of_day.seconds;
                unseen.likely += of_day.likely;
                unseen.low += of_day.low;
                unseen.high += of_day.high;
            }
            all.removed += day.removed;
            all.deleted += day.deleted;
            all.held += day.held;
            all.chosen.add(&day.chosen);
            all
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cover::rules::RulesState;
    use crate::report::statement::DaySaid;

    /// Replayed posts may be older than the archive: its time begins with the first second that counts.
    #[test]
    fn an_hour_of_before_the_archive_is_no_part_of_its_time() {
        let hours = [
            include_str!("../../tests/golden/v1/vault/2026-11-23/2026-11-23_13_manifest.json"),
            include_str!("../../tests/golden/v1/vault/2026-11-23/2026-11-23_14_manifest.json"),
        ];
        let mut said = DaySaid {
            hours: hours
                .map(|text| serde_json::from_str(text).unwrap())
                .to_vec(),
            revisions: Vec::new(),
        };
        let at = |text: &str| format!("2026-11-23T{text}Z").parse::<UtcMs>().unwrap();
        let time = |said: &DaySaid| {
            let statement = Statement::of("2026-11-23".parse().unwrap(), said.clone());
            DaySum::of(&statement.unwrap()).time
        };
        assert_eq!(time(&said), Some((at("13:57:06"), at("15:00:00"))));
        let union = &mut said.hours[0].coverage.union;
        (union.seconds, union.begins) = (0, None);
        assert_eq!(time(&said), Some((at("14:00:00"), at("15:00:00"))));
    }

    /// A day of which each number is another one.
    fn day(factor: u64) -> DaySum {
        let of_cause = |by: u64| OfCause {
            gaps: by * factor,
            seconds: (by + 1) * factor,
        };
        let at = |hour: u64| UtcMs(i64::try_from(hour * factor).unwrap());
        DaySum {
            hours: 2 * factor,
            posts: 3 * factor,
            seconds: 5 * factor,
            time: Some((at(7), at(11))),
            covered: 13 * factor,
            quiet: 17 * factor,
            partial: 19 * factor,
            missing: 23 * factor,
            causes: [(Cause::Network, of_cause(29)), (Cause::Stall, of_cause(31))].into(),
            servers: [factor.to_string().parse().unwrap()].into(),
            unseen: Some(Unseen {
                seconds: 37 * factor,
                likely: 41 * factor,
                low: 43 * factor,
                high: 47 * factor,
            }),
            removed: 53 * factor,
            deleted: 59 * factor,
            held: 61 * factor,
            chosen: Chosen {
                by_state: [(RulesState::Unknown, 67 * factor)].into(),
                ..Chosen::default()
            },
        }
    }

    #[test]
    fn each_number_of_an_archive_is_the_sum_of_its_days() {
        let sum: DaySum = [&day(1), &day(100)].into_iter().sum();
        let servers = ["1", "100"].map(|id| id.parse().unwrap());
        let expected = DaySum {
            time: Some((UtcMs(7), UtcMs(1_100))),
            servers: servers.into(),
            ..day(101)
        };
        assert_eq!(sum, expected);
        assert_eq!(sum.gaps(), 60 * 101);
    }

    #[test]
    fn what_was_taken_out_is_told_by_why() {
        let mut said: DaySaid = DaySaid::default();
        let text =
            include_str!("../../tests/golden/v1/vault/2026-11-23/2026-11-23_13_manifest.json");
        said.hours.push(serde_json::from_str(text).unwrap());
        let words = |words: &[(&str, u64)]| {
            let words = words
                .iter()
                .map(|(word, posts)| ((*word).to_owned(), *posts));
            words.collect()
        };
        said.hours[0].redactions = words(&[("asked", 2), ("ethics", 3)]);
        said.hours[0].deletions = words(&[("deleted", 5), ("account", 7), ("held_back", 11)]);
        let statement = Statement::of("2026-11-23".parse().unwrap(), said).unwrap();
        let sum = DaySum::of(&statement);
        assert_eq!((sum.removed, sum.deleted, sum.held), (5, 12, 11));
        let estimate = statement.estimate.as_ref().unwrap();
        let unseen = sum.unseen.unwrap();
        assert_eq!(
            (unseen.seconds, unseen.high),
            (estimate.seconds, estimate.high)
        );
    }
}
