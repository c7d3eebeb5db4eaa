//! Everything that is stated about a day, put together from its manifests. Pure.

use std::collections::{BTreeMap, BTreeSet};

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
    segment::name::Leg,
    vault::{
        manifest::{ByWord, Manifest},
        witness::Stamp,
    },
};

/// An hour as it lies in the vault.
#[derive(Debug, Clone)]
pub struct HourRead {
    /// The manifest in place.
    pub manifest: Manifest,
    /// The revisions, ascending; the last one is that manifest's.
    pub revisions: Vec<Revision>,
}

/// How many seconds a server, or the union, has and has not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sum {
    /// Covered.
    pub covered: u64,
    /// Of these without a post.
    pub quiet: u64,
    /// Of these at the edge of a gap.
    pub partial: u64,
    /// In gaps.
    pub missing: u64,
    /// Before it began: they count for nothing.
    pub before: u64,
    /// In hours that say nothing about this server.
    pub untold: u64,
    /// Number of gaps.
    pub gaps: u64,
}

/// The books of a server, or of all together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// Lines.
    pub lines: u64,
    /// Different posts.
    pub posts: u64,
    /// Further copies.
    pub duplicates: u64,
    /// Different records that are in no list of ids: deletions, what is told of accounts, and what is held back.
    pub unlisted: u64,
    /// Lines of what was deleted.
    pub deleted: u64,
    /// Posts that no other server has.
    pub only_here: u64,
    /// Lines that are no posts, by reason.
    pub rejected: ByWord,
}

/// What is stated.
#[derive(Debug)]
pub struct Statement<'a> {
    /// The day.
    pub day: Day,
    /// Its hours that are committed, ascending; at least one.
    pub hours: &'a [HourRead],
    /// The vault's time zone.
    pub timezone: &'a str,
    /// The stream.
    pub stream: &'a str,
    /// The hours that the day has, and their UTC time.
    pub exist: Vec<(Hour, Vec<Interval>)>,
    /// Those of them without a manifest.
    pub absent: Vec<Hour>,
    /// Seconds of the day.
    pub seconds: u64,
    /// Seconds of the hours that are committed, from the archive's beginning on.
    pub committed: u64,
    /// When the archive began, if it did on that day.
    pub began: Option<UtcMs>,
    /// Each server that any of the hours knows.
    pub servers: BTreeMap<Leg, (Sum, Books)>,
    /// All servers together.
    pub union: (Sum, Books),
    /// Posts that all servers have, of hours that all servers have part in.
    pub seen_by_all: u64,
    /// Gaps, joined over the hours: of the servers, then of the union.
    pub gaps: Vec<Gap>,
    /// How many posts both of two servers missed.
    pub estimate: Option<Estimate>,
    /// Ids by `(id >> 22) % 1000`.
    pub residues: BTreeMap<u64, u64>,
    /// Posts whose copies differ.
    pub conflicts: (u64, ByWord),
    /// Posts that were taken out on request, by reason.
    pub redactions: ByWord,
    /// Records that were deleted, or whose accounts are gone, and what is held back.
    pub deletions: ByWord,
    /// The oldest stamp of the ledger with all of these manifests in it, if there is one.
    pub witness: Option<Stamp>,
    /// The DOI by which the archive is cited, if it has one.
    pub doi: Option<Doi>,
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
    #[error("the manifest of {0} has not the UTC time of that hour in {1}")]
    Intervals(Hour, String),
}

impl<'a> Statement<'a> {
    /// The sampling windows of the day, each with the hours that have it.
    pub fn windows(&self) -> Vec<(BTreeSet<u64>, Vec<Hour>)> {
        let hours = self.hours.iter().map(|hour| &hour.manifest);
        window::stretches(hours.map(|manifest| (manifest.hour, manifest.residues.as_slice())))
    }

    /// Puts a day's hours together.
    pub fn of(day: Day, hours: &'a [HourRead]) -> Result<Self, NoStatement> {
        let Some(first) = hours.first() else {
            return Err(NoStatement::NoHour(day));
        };
        let zone = Zone::named(&first.manifest.timezone)?;
        let committed: BTreeSet<Hour> = hours.iter().map(|hour| hour.manifest.hour).collect();
        let exist = day
            .hours()
            .map(|hour| (hour, zone.intervals(hour)))
            .filter(|(_, intervals)| !intervals.is_empty());
        let exist: Vec<(Hour, Vec<Interval>)> = exist.collect();
        let is_of_hour = |manifest: &Manifest| {
            let known = exist.iter().find(|(hour, _)| *hour == manifest.hour);
            known.is_some_and(|(_, intervals)| *intervals == manifest.intervals)
                && manifest.timezone == first.manifest.timezone
        };
        if let Some(wrong) = hours.iter().find(|hour| !is_of_hour(&hour.manifest)) {
            let zone = first.manifest.timezone.clone();
            return Err(NoStatement::Intervals(wrong.manifest.hour, zone));
        }
        let length = |intervals: &[Interval]| seconds::count(intervals) as u64;
        let absent = exist.iter().map(|(hour, _)| *hour);
        let manifests = hours.iter().map(|hour| &hour.manifest);
        let both = manifests
            .clone()
            .flat_map(|manifest| manifest.minutes.both());
        let mut all = Self {
            day,
            hours,
            timezone: &first.manifest.timezone,
            stream: &first.manifest.stream,
            absent: absent.filter(|hour| !committed.contains(hour)).collect(),
            seconds: exist.iter().map(|(_, intervals)| length(intervals)).sum(),
            exist: exist.clone(),
            committed: manifests.clone().map(|m| m.coverage.union.seconds).sum(),
            began: manifests.clone().find_map(|m| {
                let union = &m.coverage.union;
                union.begins.filter(|_| 0 < union.seconds)
            }),
            servers: BTreeMap::new(),
            union: (Sum::default(), Books::default()),
            seen_by_all: 0,
            gaps: gap::join(manifests.clone().flat_map(|manifest| &manifest.gaps)),
            estimate: estimate::estimate(both),
            residues: BTreeMap::new(),
            conflicts: (0, ByWord::new()),
            redactions: ByWord::new(),
            deletions: ByWord::new(),
            witness: None,
            doi: None,
        };
        let whole: u64 = manifests.clone().map(|m| length(&m.intervals)).sum();
        for manifest in manifests {
            all.add(manifest, length(&manifest.intervals));
        }
        for (server, (sum, _)) in &mut all.servers {
            sum.untold = whole.saturating_sub(sum.covered + sum.missing + sum.before);
            sum.gaps = count(&all.gaps, &server.to_string());
        }
        all.union.0.gaps = count(&all.gaps, UNION);
        Ok(all)
    }

    fn add(&mut self, manifest: &Manifest, seconds: u64) {
        for (server, covered) in &manifest.coverage.servers {
            let (sum, _) = self.servers.entry(server.clone()).or_default();
            sum.add(covered, seconds);
        }
        for (server, counts) in &manifest.counts.servers {
            let (_, books) = self.servers.entry(server.clone()).or_default();
            books.lines += counts.lines;
            books.posts += counts.posts;
            books.unlisted += counts.unlisted;
            books.deleted += counts.deleted;
            books.duplicates += counts.duplicates;
            books.only_here += counts.only_here;
            add_words(&mut books.rejected, &counts.rejected);
        }
        let (sum, books) = &mut self.union;
        sum.add(&manifest.coverage.union, seconds);
        let total = &manifest.counts.total;
        books.lines += total.lines;
        books.posts += total.posts;
        books.unlisted += total.unlisted;
        books.deleted += total.deleted;
        books.duplicates += total.duplicates;
        add_words(&mut books.rejected, &total.rejected);
        self.seen_by_all += total.seen_by_all;
        for (residue, ids) in &manifest.residues {
            *self.residues.entry(*residue).or_default() += ids;
        }
        self.conflicts.0 += manifest.conflicts.posts;
        add_words(&mut self.conflicts.1, &manifest.conflicts.by_field);
        add_words(&mut self.redactions, &manifest.redactions);
        add_words(&mut self.deletions, &manifest.deletions);
    }

    /// Whether the stream comes in partitions, so that what is told of servers is told of legs.
    pub fn has_partitions(&self) -> bool {
        self.servers.keys().any(|leg| leg.partition.is_some())
    }

    /// The gaps of a server, or of the union.
    pub fn gaps_of(&self, server: &str) -> impl Iterator<Item = &Gap> {
        self.gaps.iter().filter(move |gap| gap.server == server)
    }

    /// For each cause that a server, or the union, has gaps of: how many, and how many seconds.
    pub fn causes(&self, server: &str) -> BTreeMap<Cause, (u64, u64)> {
        let mut causes: BTreeMap<Cause, (u64, u64)> = BTreeMap::new();
        for gap in self.gaps_of(server) {
            let (gaps, seconds) = causes.entry(gap.cause).or_default();
            *gaps += 1;
            *seconds += u64::try_from(gap.seconds()).unwrap_or(0);
        }
        causes
    }

    /// What backfills brought, with the hour that they brought it to.
    pub fn backfills(&self) -> impl Iterator<Item = (Hour, &Backfill)> {
        self.hours.iter().flat_map(|hour| {
            let backfills = hour.manifest.backfills.iter();
            backfills.map(|backfill| (hour.manifest.hour, backfill))
        })
    }
}

impl Sum {
    fn add(&mut self, covered: &Covered, seconds: u64) {
        self.covered += covered.covered;
        self.quiet += covered.quiet;
        self.partial += covered.partial;
        self.missing += covered.seconds.saturating_sub(covered.covered);
        self.before += seconds.saturating_sub(covered.seconds);
    }
}

impl Books {
    /// Lines that are no posts.
    pub fn rejected_lines(&self) -> u64 {
        self.rejected.values().sum()
    }
}

fn add_words(to: &mut ByWord, from: &ByWord) {
    for (word, count) in from {
        *to.entry(word.clone()).or_default() += count;
    }
}

fn count(gaps: &[Gap], server: &str) -> u64 {
    gaps.iter().filter(|gap| gap.server == server).count() as u64
}
