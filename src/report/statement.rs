//! Everything that is stated about a day, as values: `YYYY-mm-dd_certificate.json`. Pure.
//!
//! The values of the hours and their revisions are those of their manifests. Everything else follows from them and is
//! calculated here: the sums of a statement that was read are not trusted, but calculated again.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::revision::Revision;
use crate::{
    cover::{
        backfill::Backfill,
        cause::Cause,
        estimate::{self, Estimate},
        gap::{self, Gap, UNION},
        seconds::{self, Covered},
        window,
    },
    doi::Doi,
    period::{Day, Hour, Interval, UnknownZone, UtcMs, Zone},
    segment::{
        line::PROGRAM,
        name::{Leg, Partition},
    },
    source::Sources,
    vault::{
        ledger::Committed,
        manifest::{ByWord, Conflicts, HourSaid, canonical},
        witness::WitnessStamp,
    },
};

/// The version of its format, and of the formats of certificate, picture and README, which are written together with
/// it. Raise it after any change of a member, a word or a stroke.
pub const FORMAT: u32 = 1;

/// A day of nothing but gaps of many legs has some megabytes.
pub const BYTES_MAX: u64 = 256 << 20;

/// What a day's manifests say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DaySaid {
    /// The hours that are committed, ascending.
    pub hours: Vec<HourSaid>,
    /// Their revisions, ascending by hour and number.
    pub revisions: Vec<Revision>,
}

impl DaySaid {
    /// The revisions of an hour.
    pub fn revisions_of(&self, hour: Hour) -> impl DoubleEndedIterator<Item = &Revision> {
        self.revisions.iter().filter(move |it| it.of.hour == hour)
    }

    /// Keeps only some of the hours.
    pub fn retain(&mut self, is_kept: impl Fn(Hour) -> bool) {
        self.hours.retain(|said| is_kept(said.hour));
        self.revisions.retain(|revision| is_kept(revision.of.hour));
    }
}

/// How many seconds a server, or the union, has and has not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// Covered.
    #[serde(rename = "seconds_covered")]
    pub covered: u64,
    /// Of these without a post.
    #[serde(rename = "seconds_quiet")]
    pub quiet: u64,
    /// Of these at the edge of a gap.
    #[serde(rename = "seconds_partial")]
    pub partial: u64,
    /// Of these with posts that were all taken out, or are held back.
    #[serde(rename = "seconds_emptied", skip_serializing_if = "is_zero")]
    pub emptied: u64,
    /// In gaps.
    #[serde(rename = "seconds_missing")]
    pub missing: u64,
    /// Before it began: they count for nothing.
    #[serde(rename = "seconds_before")]
    pub before: u64,
    /// In hours that have no data on this server.
    #[serde(rename = "seconds_untold")]
    pub untold: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Gaps of one cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfCause {
    /// How many.
    pub gaps: u64,
    /// How long together.
    pub seconds: u64,
}

/// The books of a server, or of all together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Books {
    /// Lines.
    pub lines: u64,
    /// Different posts.
    pub posts: u64,
    /// Different records that are in no list of ids: deletions, account events, and records that are held back.
    pub unlisted: u64,
    /// Further copies.
    pub duplicates: u64,
    /// Lines that are not posts, by reason.
    pub rejected: ByWord,
    /// Lines of what was deleted.
    pub deleted: u64,
    /// Posts that no other server has; of the union none.
    #[serde(rename = "posts_only_here")]
    pub only_here: u64,
}

/// What a server, or all together, have of the day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Its seconds.
    #[serde(flatten)]
    pub sum: Sum,
    /// Number of gaps.
    pub gaps: u64,
    /// The gaps by their causes.
    pub causes: BTreeMap<Cause, OfCause>,
    /// Its books.
    #[serde(flatten)]
    pub books: Books,
}

/// What is stated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// [`FORMAT`].
    pub format: u32,
    /// Name and version of the program that wrote it.
    pub program: String,
    /// The day.
    pub day: Day,
    /// The stream.
    pub stream: String,
    /// The vault's time zone.
    pub timezone: String,
    /// Seconds of the day.
    pub seconds: u64,
    /// Seconds of the hours that are committed, from the archive's beginning on.
    #[serde(rename = "seconds_committed")]
    pub committed: u64,
    /// When the archive began, if it did on that day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began: Option<UtcMs>,
    /// Hours of the day without a manifest.
    #[serde(rename = "hours_absent")]
    pub absent: Vec<Hour>,
    /// All servers together.
    pub union: Share,
    /// Each server in any of the hours; if the stream has partitions, each leg.
    pub servers: BTreeMap<Leg, Share>,
    /// Posts that all servers have, of hours that all servers have part in.
    #[serde(rename = "posts_seen_by_all")]
    pub seen_by_all: u64,
    /// Gaps, joined over the hours: of the servers, then of the union.
    pub gaps: Vec<Gap>,
    /// How many posts both of two servers missed.
    pub estimate: Option<Estimate>,
    /// Ids by `(id >> 22) % 1000`.
    pub residues: Vec<(u64, u64)>,
    /// Posts whose copies differ.
    pub conflicts: Conflicts,
    /// Posts that were taken out on request, by reason.
    pub redactions: ByWord,
    /// Records that were deleted, or whose accounts are gone, and what is held back.
    pub deletions: ByWord,
    /// The oldest stamp of the ledger with all of these manifests in it, if there is one.
    pub witness: Option<WitnessStamp>,
    /// The DOI by which the archive is cited, if it has one.
    pub doi: Option<Doi>,
    /// The revisions of its hours, ascending.
    pub revisions: Vec<Revision>,
    /// Its hours that are committed, ascending; at least one.
    pub hours: Vec<HourSaid>,
    /// The hours that the day has in its zone, and their UTC time.
    #[serde(skip)]
    pub exist: Vec<(Hour, Vec<Interval>)>,
}

/// Why nothing can be stated.
#[derive(Debug, thiserror::Error)]
pub enum NoStatement {
    /// No hour of the day is committed.
    #[error("no hour of {0} is committed")]
    NoHour(Day),
    /// The zone of the manifests.
    #[error(transparent)]
    Zone(#[from] UnknownZone),
    /// A manifest whose UTC time is not that of its hour.
    #[error("the UTC time in the manifest of {0} is not that of this hour in {1}")]
    Intervals(Hour, String),
}

/// A statement as it was read, without what is calculated.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReadStatement {
    /// Who wrote it.
    pub program: String,
    /// The stamp that it names.
    pub witness: Option<WitnessStamp>,
    /// The DOI that it names.
    pub doi: Option<Doi>,
    /// The revisions that it names.
    pub revisions: Vec<Revision>,
    /// What the hours say.
    pub hours: Vec<HourSaid>,
}

/// What can be read of a statement of any version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AnyStatement {
    /// The version of its form.
    pub format: u32,
    /// Who wrote it.
    pub program: String,
    /// The stamp that it names.
    pub witness: Option<WitnessStamp>,
    /// The DOI that it names.
    pub doi: Option<Doi>,
    /// The revisions.
    pub revisions: Vec<Committed>,
}

impl Statement {
    /// Combines a day's hours. The caller adds the stamp and the DOI.
    pub fn of(day: Day, said: DaySaid) -> Result<Self, NoStatement> {
        let DaySaid { hours, revisions } = said;
        let Some(first) = hours.first() else {
            return Err(NoStatement::NoHour(day));
        };
        let (stream, timezone) = (first.stream.clone(), first.timezone.clone());
        let zone = Zone::named(&timezone)?;
        let exist = day.hours().map(|hour| (hour, zone.intervals(hour)));
        let exist: Vec<(Hour, Vec<Interval>)> = exist
            .filter(|(_, intervals)| !intervals.is_empty())
            .collect();
        let is_of_hour = |said: &HourSaid| {
            let known = exist.iter().find(|(hour, _)| *hour == said.hour);
            known.is_some_and(|(_, intervals)| *intervals == said.intervals)
                && said.timezone == timezone
        };
        if let Some(wrong) = hours.iter().find(|said| !is_of_hour(said)) {
            return Err(NoStatement::Intervals(wrong.hour, timezone));
        }
        let committed: BTreeSet<Hour> = hours.iter().map(|said| said.hour).collect();
        let absent = exist.iter().map(|(hour, _)| *hour);
        let begins = |said: &HourSaid| {
            let union = &said.coverage.union;
            union.begins.filter(|_| 0 < union.seconds)
        };
        let mut all = Self {
            format: FORMAT,
            program: PROGRAM.to_owned(),
            day,
            stream,
            timezone,
            seconds: exist.iter().map(|(_, intervals)| length(intervals)).sum(),
            committed: hours.iter().map(|said| said.coverage.union.seconds).sum(),
            began: hours.iter().find_map(begins),
            absent: absent.filter(|hour| !committed.contains(hour)).collect(),
            union: Share::default(),
            servers: BTreeMap::new(),
            seen_by_all: 0,
            gaps: gap::join(hours.iter().flat_map(|said| &said.gaps)),
            estimate: estimate::estimate(hours.iter().flat_map(|said| said.minutes.both())),
            residues: Vec::new(),
            conflicts: Conflicts::default(),
            redactions: ByWord::new(),
            deletions: ByWord::new(),
            witness: None,
            doi: None,
            revisions,
            hours: Vec::new(),
            exist,
        };
        let mut residues: BTreeMap<u64, u64> = BTreeMap::new();
        for said in &hours {
            all.add(said);
            for (residue, ids) in &said.residues {
                *residues.entry(*residue).or_default() += ids;
            }
        }
        all.residues = residues.into_iter().collect();
        let whole: u64 = hours.iter().map(|said| length(&said.intervals)).sum();
        for (server, share) in &mut all.servers {
            let sum = &mut share.sum;
            sum.untold = whole.saturating_sub(sum.covered + sum.missing + sum.before);
            share.take(&all.gaps, &server.to_string());
        }
        all.union.take(&all.gaps, UNION);
        all.hours = hours;
        Ok(all)
    }

    fn add(&mut self, said: &HourSaid) {
        let seconds = length(&said.intervals);
        for (server, covered) in &said.coverage.servers {
            let share = self.servers.entry(server.clone()).or_default();
            share.sum.add(covered, seconds);
        }
        for (server, counts) in &said.counts.servers {
            let books = &mut self.servers.entry(server.clone()).or_default().books;
            books.lines += counts.lines;
            books.posts += counts.posts;
            books.unlisted += counts.unlisted;
            books.deleted += counts.deleted;
            books.duplicates += counts.duplicates;
            books.only_here += counts.only_here;
            add_words(&mut books.rejected, &counts.rejected);
        }
        let Share { sum, books, .. } = &mut self.union;
        sum.add(&said.coverage.union, seconds);
        let total = &said.counts.total;
        books.lines += total.lines;
        books.posts += total.posts;
        books.unlisted += total.unlisted;
        books.deleted += total.deleted;
        books.duplicates += total.duplicates;
        add_words(&mut books.rejected, &total.rejected);
        self.seen_by_all += total.seen_by_all;
        self.conflicts.posts += said.conflicts.posts;
        add_words(&mut self.conflicts.by_field, &said.conflicts.by_field);
        add_words(&mut self.redactions, &said.redactions);
        add_words(&mut self.deletions, &said.deletions);
    }

    /// Its bytes.
    pub fn to_json(&self) -> Vec<u8> {
        canonical(self)
    }

    /// The sampling windows of the day, each with the hours that have it.
    pub fn windows(&self) -> Vec<(BTreeSet<u64>, Vec<Hour>)> {
        let hours = self.hours.iter();
        window::stretches(hours.map(|said| (said.hour, said.residues.as_slice())))
    }

    /// Whether the stream has partitions, so that values are given for legs in place of servers.
    pub fn has_partitions(&self) -> bool {
        self.servers.keys().any(|leg| leg.partition.is_some())
    }

    /// The hours that have seconds that count.
    pub fn counted(&self) -> impl Iterator<Item = &HourSaid> {
        let counts = |said: &&HourSaid| 0 < said.coverage.union.seconds;
        self.hours.iter().filter(counts)
    }

    /// The partitions of the stream that no server collected, by the hours in which nobody did. Whether they had posts
    /// is not known.
    pub fn uncollected(&self) -> BTreeMap<Vec<Hour>, Vec<Partition>> {
        let mut uncollected: BTreeMap<Vec<Hour>, Vec<Partition>> = BTreeMap::new();
        let all = 1..=Sources::words_of(&self.stream).partitions;
        for partition in all.filter_map(Partition::new) {
            let lacks = |said: &&HourSaid| {
                let mut legs = said.coverage.servers.iter();
                !legs.any(|(leg, of)| leg.partition == Some(partition) && 0 < of.seconds)
            };
            let hours: Vec<Hour> = self.counted().filter(lacks).map(|said| said.hour).collect();
            if !hours.is_empty() {
                uncollected.entry(hours).or_default().push(partition);
            }
        }
        uncollected
    }

    /// The gaps of a server, or of the union.
    pub fn gaps_of(&self, server: &str) -> impl Iterator<Item = &Gap> {
        self.gaps.iter().filter(move |gap| gap.server == server)
    }

    /// What backfills brought, with the hour that they brought it to.
    pub fn backfills(&self) -> impl Iterator<Item = (Hour, &Backfill)> {
        let hours = self.hours.iter();
        hours.flat_map(|said| said.backfills.iter().map(|backfill| (said.hour, backfill)))
    }
}

impl Share {
    /// Counts the gaps that are its own.
    fn take(&mut self, gaps: &[Gap], server: &str) {
        for gap in gaps.iter().filter(|gap| gap.server == server) {
            self.gaps += 1;
            let of_cause = self.causes.entry(gap.cause).or_default();
            of_cause.gaps += 1;
            of_cause.seconds += u64::try_from(gap.seconds()).unwrap_or(0);
        }
    }

    /// Seconds of its gaps.
    pub fn in_gaps(&self) -> u64 {
        self.causes.values().map(|of| of.seconds).sum()
    }
}

impl Sum {
    fn add(&mut self, covered: &Covered, seconds: u64) {
        self.covered += covered.covered;
        self.quiet += covered.quiet;
        self.partial += covered.partial;
        self.emptied += covered.emptied;
        self.missing += covered.seconds.saturating_sub(covered.covered);
        self.before += seconds.saturating_sub(covered.seconds);
    }
}

impl Books {
    /// Lines that are not posts.
    pub fn rejected_lines(&self) -> u64 {
        self.rejected.values().sum()
    }
}

impl ReadStatement {
    /// From the bytes of a statement; `None` if it has another form than this program's.
    pub fn read(bytes: &[u8], spoken: &AnyStatement) -> serde_json::Result<Option<Self>> {
        let has_form = spoken.format == FORMAT;
        has_form.then(|| serde_json::from_slice(bytes)).transpose()
    }
}

impl AnyStatement {
    /// From the bytes of a statement.
    pub fn read(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }
}

fn length(intervals: &[Interval]) -> u64 {
    seconds::count(intervals) as u64
}

fn add_words(to: &mut ByWord, from: &ByWord) {
    for (word, count) in from {
        *to.entry(word.clone()).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::manifest::{ServerCounts, TotalCounts};

    /// Every second of the hours of a day is covered, missing, before the beginning, or of an hour that does not mention the
    /// server.
    #[test]
    fn the_seconds_of_each_server_add_up() {
        let hours = [
            include_str!("../../tests/golden/v1/vault/2026-11-23/2026-11-23_13_manifest.json"),
            include_str!("../../tests/golden/v1/vault/2026-11-23/2026-11-23_14_manifest.json"),
        ];
        let hours = hours.map(|text| serde_json::from_str::<HourSaid>(text).unwrap());
        let said = DaySaid {
            hours: hours.to_vec(),
            revisions: Vec::new(),
        };
        let stated = |said: &DaySaid| Statement::of(Day(20_780), said.clone()).unwrap();
        let mut one_hour = said.clone();
        let second: Leg = "2".parse().unwrap();
        one_hour.hours[1].coverage.servers.remove(&second);
        for (said, untold) in [(said, 0), (one_hour, 3_600)] {
            let stated = stated(&said);
            assert!(0 < stated.union.sum.before, "{:?}", stated.union);
            for (leg, Share { sum, .. }) in &stated.servers {
                let told = sum.covered + sum.missing + sum.before;
                assert_eq!(told + sum.untold, 7_200, "{leg}: {sum:?}");
                let expected = if *leg == second { untold } else { 0 };
                assert_eq!(sum.untold, expected, "{leg}: {sum:?}");
            }
            let Share { sum, .. } = &stated.union;
            assert_eq!(sum.covered + sum.missing + sum.before, 7_200);
            assert_eq!(stated.committed + sum.before, 7_200);
        }
    }

    /// Numbers that are all different: a sum that takes another one, or one hour only, is another sum.
    fn hour_of_numbers(text: &str, number: &mut u64) -> HourSaid {
        let mut next = || {
            *number = *number * 7 / 5 + 1;
            *number
        };
        let mut said: HourSaid = serde_json::from_str(text).unwrap();
        let mut words =
            |words: [&str; 2]| -> ByWord { words.map(|word| (word.to_owned(), next())).into() };
        let reasons = ["no_id", "no_json"];
        let total = &mut said.counts.total;
        total.rejected = words(reasons);
        said.conflicts.by_field = words(["text", "lang"]);
        said.redactions = words(["asked", "ethics"]);
        said.deletions = words(["deleted", "account"]);
        for of in said.counts.servers.values_mut() {
            of.rejected = words(reasons);
        }
        let numbers = [
            &mut total.lines,
            &mut total.posts,
            &mut total.unlisted,
            &mut total.duplicates,
            &mut total.deleted,
            &mut total.seen_by_all,
            &mut said.conflicts.posts,
        ];
        for of in numbers {
            *of = next();
        }
        for of in said.counts.servers.values_mut() {
            let numbers = [
                &mut of.lines,
                &mut of.posts,
                &mut of.unlisted,
                &mut of.duplicates,
                &mut of.deleted,
                &mut of.only_here,
            ];
            for of in numbers {
                *of = next();
            }
        }
        let coverage = &mut said.coverage;
        for of in coverage.servers.values_mut().chain([&mut coverage.union]) {
            let numbers = [&mut of.covered, &mut of.quiet, &mut of.partial];
            for of in numbers {
                *of = next();
            }
            of.seconds = of.covered + 1;
        }
        said.residues = vec![(70, next()), (71, next())];
        said
    }

    /// Each number of a day is the sum of just that number of its hours.
    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of all numbers")]
    fn each_number_is_the_sum_of_the_hours() {
        let mut number = 3;
        let hours = [
            include_str!("../../tests/golden/v1/vault/2026-11-23/2026-11-23_13_manifest.json"),
            include_str!("../../tests/golden/v1/vault/2026-11-23/2026-11-23_14_manifest.json"),
        ]
        .map(|text| hour_of_numbers(text, &mut number));
        let said = DaySaid {
            hours: hours.to_vec(),
            revisions: Vec::new(),
        };
        let stated = Statement::of(Day(20_780), said).unwrap();
        let sum = |of: &dyn Fn(&HourSaid) -> u64| hours.iter().map(of).sum::<u64>();
        let words = |of: &dyn Fn(&HourSaid) -> &ByWord| {
            let mut sums = ByWord::new();
            for said in &hours {
                add_words(&mut sums, of(said));
            }
            sums
        };
        for leg in stated.servers.keys() {
            let Share {
                sum: seconds,
                books,
                ..
            } = &stated.servers[leg];
            let counts = |of: fn(&ServerCounts) -> u64| sum(&|said| of(&said.counts.servers[leg]));
            let covered = |of: fn(&Covered) -> u64| sum(&|said| of(&said.coverage.servers[leg]));
            let found = Books {
                lines: counts(|of| of.lines),
                posts: counts(|of| of.posts),
                unlisted: counts(|of| of.unlisted),
                duplicates: counts(|of| of.duplicates),
                rejected: words(&|said| &said.counts.servers[leg].rejected),
                deleted: counts(|of| of.deleted),
                only_here: counts(|of| of.only_here),
            };
            assert_eq!(*books, found, "{leg}");
            let found = [
                covered(|of| of.covered),
                covered(|of| of.quiet),
                covered(|of| of.partial),
                covered(|of| of.seconds - of.covered),
            ];
            let told = [
                seconds.covered,
                seconds.quiet,
                seconds.partial,
                seconds.missing,
            ];
            assert_eq!(told, found, "{leg}");
        }
        let Share {
            sum: seconds,
            books,
            ..
        } = &stated.union;
        let total = |of: fn(&TotalCounts) -> u64| sum(&|said| of(&said.counts.total));
        let union = |of: fn(&Covered) -> u64| sum(&|said| of(&said.coverage.union));
        let found = Books {
            lines: total(|of| of.lines),
            posts: total(|of| of.posts),
            unlisted: total(|of| of.unlisted),
            duplicates: total(|of| of.duplicates),
            rejected: words(&|said| &said.counts.total.rejected),
            deleted: total(|of| of.deleted),
            only_here: 0,
        };
        assert_eq!(*books, found);
        let told = [
            seconds.covered,
            seconds.quiet,
            seconds.partial,
            seconds.missing,
        ];
        let found = [
            union(|of| of.covered),
            union(|of| of.quiet),
            union(|of| of.partial),
            union(|of| of.seconds - of.covered),
        ];
        assert_eq!(told, found);
        assert_eq!(stated.committed, union(|of| of.seconds));
        assert_eq!(stated.seen_by_all, total(|of| of.seen_by_all));
        assert_eq!(stated.conflicts.posts, sum(&|said| said.conflicts.posts));
        assert_eq!(
            stated.conflicts.by_field,
            words(&|said| &said.conflicts.by_field)
        );
        assert_eq!(stated.redactions, words(&|said| &said.redactions));
        assert_eq!(stated.deletions, words(&|said| &said.deletions));
        let residue = |place: usize| (70 + place as u64, sum(&|said| said.residues[place].1));
        assert_eq!(stated.residues, [residue(0), residue(1)]);
        assert_eq!(stated.gaps_of(UNION).count() as u64, stated.union.gaps);
    }

    /// A partition lacks the hours in which nobody collected it, and none that do not count.
    #[test]
    fn a_partition_is_uncollected_in_hours_that_count() {
        let text =
            include_str!("../../tests/golden/v1/vault/2026-11-23/2026-11-23_14_manifest.json");
        let mut said: HourSaid = serde_json::from_str(text).unwrap();
        said.stream = "sample10".to_owned();
        let servers = std::mem::take(&mut said.coverage.servers);
        let legs = servers.into_iter().map(|(leg, of)| {
            let leg = format!("{leg}.01").parse::<Leg>().unwrap();
            (leg, of)
        });
        said.coverage.servers = legs.collect();
        let uncollected = |said: &HourSaid| {
            let day = DaySaid {
                hours: vec![said.clone()],
                revisions: Vec::new(),
            };
            let found = Statement::of(Day(20_780), day).unwrap().uncollected();
            let words = found.values().map(|of| Partition::words(of));
            words.collect::<Vec<String>>()
        };
        assert_eq!(uncollected(&said), ["partition 2"]);
        said.coverage.union.seconds = 0;
        assert_eq!(uncollected(&said), [""; 0]);
    }
}
