//! Makes an hour's manifest from its sums. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    dedupe::Tally,
    taken_out::{Known, Loss, Out},
};
use crate::{
    cover::{
        account::{Account, Given, account},
        alike::alike,
        backfill::{Backfill, Connection, Hole},
        collections::{self, Lists, Requested},
        estimate::estimate,
        evidence::Timeline,
        part::{self, Part},
        rules::{self, Answers, InForce},
        seconds::{self, Covered},
    },
    period::{Hour, Interval, Minute, UtcMs, Zone},
    segment::{line::PROGRAM, name::Leg},
    source::Rejected,
    vault::deleted::HELD_BACK,
    vault::manifest::{
        ByWord, Carried, Conflicts, Counts, Coverage, FORMAT, History, HourSaid, Inputs, Manifest,
        MinuteRow, Minutes, Output, ServerCounts, TotalCounts,
    },
};

/// Rejected lines of each server (by its number) and reason.
pub type RejectedLines = BTreeMap<(usize, Rejected), u64>;

/// Everything that an hour's manifest says.
#[derive(Debug)]
pub struct Sums<'a> {
    /// The stream.
    pub stream: &'a str,
    /// The label.
    pub hour: Hour,
    /// The vault's zone.
    pub zone: &'a Zone,
    /// What was merged.
    pub inputs: Inputs,
    /// The servers, ascending.
    pub servers: &'a [Leg],
    /// What their connections were like, in the same order.
    pub timelines: &'a [Timeline],
    /// Whether the hour is in the vault's span.
    pub is_in_span: bool,
    /// When the vault began: its first connection.
    pub began: Option<UtcMs>,
    /// What the platform told each server of its rules, in their order; `None`: none choose what the stream brings.
    pub rules: Option<&'a [Answers]>,
    /// Which collections each server requested, in their order; `None`: the stream has all that there are.
    pub collections: Option<&'a [Lists]>,
    /// Whether the platform tells when it saw each record.
    pub tells_when_seen: bool,
    /// What the posts say, servers in the same order.
    pub tally: Tally,
    /// The lines that are not posts.
    pub rejected: RejectedLines,
    /// The differences of copies that were found now and that the former revision has counted already.
    pub counted_before: Conflicts,
    /// What was taken out of the rows of the former revision.
    pub out: &'a Out,
    /// The data files.
    pub outputs: Vec<Output>,
    /// The posts that were taken out on request, by reason.
    pub redactions: ByWord,
    /// The former revision, if its raw data is gone and its rows stand for its inputs.
    pub former: Option<&'a Manifest>,
    /// What this revision has to do with the ones before.
    pub history: History,
}

/// The servers of an hour, ascending: those that were expected, and those of its inputs.
pub fn servers(inputs: &Inputs, expected: &[Leg]) -> Vec<Leg> {
    let segments = inputs.segments.iter().map(|input| input.name.leg());
    let events = inputs.events.iter().map(|input| input.name.leg());
    let all = segments.chain(events).chain(expected.iter().cloned());
    let legs: BTreeSet<Leg> = all.collect();
    legs.into_iter().collect()
}

/// The manifest.
pub fn manifest(sums: Sums<'_>) -> Manifest {
    let intervals = sums.zone.intervals(sums.hour);
    let tally = &sums.tally;
    let (mut rules, mut collections) = (rules(&sums, &intervals), collections(&sums, &intervals));
    let lost = lost(&sums, &intervals);
    let alike = alike_of(&sums, &intervals, (rules.as_ref(), collections.as_ref()));
    let changes = collections.as_ref().map_or_else(Vec::new, |requested| {
        let of_servers = sums.servers.iter();
        of_servers.map(|leg| requested.changes(leg)).collect()
    });
    let account = account(&Given {
        intervals: &intervals,
        servers: sums.servers,
        posts: &tally.parts,
        timelines: sums.timelines,
        is_in_span: sums.is_in_span,
        began: sums.began,
        has_rules: sums.rules.is_some(),
        tells_when_seen: sums.tells_when_seen,
        alike: alike.as_deref(),
        lost: &lost,
        changes: &changes,
    });
    let covered: Vec<&Covered> = account.servers.iter().collect();
    if let Some(rules) = &mut rules {
        rules.union = rules.union(&intervals, &covered);
    }
    if let Some(asked_for) = &mut collections {
        asked_for.union = asked_for.union(&intervals, &covered);
    }
    let minutes = minutes(&sums, &intervals, &account);
    let shares = shares(&sums);
    let carried = sums
        .former
        .map(|former| carried(&sums, former, &shares.redacted));
    let deletions = deletions(&sums);
    let mut residues: Vec<(u64, u64)> = Vec::new();
    residues.extend(tally.residues.iter().map(|(residue, ids)| (*residue, *ids)));
    Manifest {
        format: FORMAT,
        said: HourSaid {
            program: PROGRAM.to_owned(),
            stream: sums.stream.to_owned(),
            timezone: sums.zone.name().to_owned(),
            hour: sums.hour,
            counts: counts(&sums, &shares, carried.as_ref()),
            estimate: estimate(minutes.both()),
            minutes,
            backfills: backfills(&sums, &intervals, &account),
            coverage: Coverage {
                servers: sums.servers.iter().cloned().zip(account.servers).collect(),
                began: account
                    .began
                    .filter(|_| account.union.begins.is_some() && 0 < account.union.seconds),
                union: account.union,
            },
            gaps: account.gaps,
            rules,
            collections,
            residues,
            conflicts: conflicts(&sums),
            intervals,
            outputs: sums.outputs,
            redactions: sums.redactions,
            deletions,
        },
        inputs: sums.inputs,
        carried,
        history: sums.history,
    }
}

/// The rules in force.
fn rules(sums: &Sums<'_>, intervals: &[Interval]) -> Option<InForce> {
    let servers: Vec<(&Leg, &Answers)> = sums.servers.iter().zip(sums.rules?).collect();
    Some(rules::of_servers(intervals, &servers))
}

/// The collections that were requested.
fn collections(sums: &Sums<'_>, intervals: &[Interval]) -> Option<Requested> {
    let servers: Vec<(&Leg, &Lists)> = sums.servers.iter().zip(sums.collections?).collect();
    Some(collections::of_servers(intervals, &servers))
}

/// The seconds of each server of which posts were taken out: now, and of the former revision if its rows stand for the
/// raw data.
fn lost(sums: &Sums<'_>, intervals: &[Interval]) -> Vec<BTreeSet<i64>> {
    let mut lost = sums.tally.lost.clone();
    lost.add(sums.out.lost.clone());
    let mut lost = lost.of_servers(sums.servers.len());
    let all: Vec<i64> = seconds::all(intervals).collect();
    for (server, lost) in sums.servers.iter().zip(&mut lost) {
        let before = sums.former.and_then(|f| f.coverage.servers.get(server));
        let before = before.and_then(|before| before.emptied_bits(all.len()));
        let before = all.iter().zip(before.into_iter().flatten());
        lost.extend(before.filter(|(_, is)| *is).map(|(second, _)| second));
    }
    lost
}

/// In which seconds two servers were sent the same.
fn alike_of(
    sums: &Sums<'_>,
    intervals: &[Interval],
    chosen: (Option<&InForce>, Option<&Requested>),
) -> Option<Vec<bool>> {
    let [first, second] = sums.servers else {
        return None;
    };
    let all: Vec<i64> = seconds::all(intervals).collect();
    alike(&all, chosen, [first, second])
}

/// Posts whose copies differ: those that were found now, and those that were found before.
fn conflicts(sums: &Sums<'_>) -> Conflicts {
    let mut conflicts = sums
        .former
        .map_or_else(Conflicts::default, |f| f.conflicts.clone());
    let counted = &sums.counted_before;
    conflicts.posts += sums.tally.conflicting.saturating_sub(counted.posts);
    for (field, posts) in &sums.tally.by_field {
        let counted = counted.by_field.get(field).copied().unwrap_or(0);
        *conflicts.by_field.entry(field.clone()).or_default() += posts.saturating_sub(counted);
    }
    conflicts
}

/// Records that were deleted: those that were found now, and those that were found before. Held back is what is now.
fn deletions(sums: &Sums<'_>) -> ByWord {
    let mut deletions = sums.tally.deletions.clone();
    let before = sums.former.iter().flat_map(|former| &former.deletions);
    let before = before.filter(|(why, _)| *why != HELD_BACK);
    for (why, records) in before.chain(&sums.out.whys) {
        *deletions.entry(why.clone()).or_default() += records;
    }
    deletions
}

/// What each server loses by what was taken out of the former revision's rows.
struct Shares {
    /// On request.
    redacted: Vec<Loss>,
    /// Because it was deleted.
    deleted: Vec<Loss>,
}

fn shares(sums: &Sums<'_>) -> Shares {
    let known = |server: &Leg| {
        let Some(former) = sums.former else {
            return Known::default();
        };
        let counts = former.counts.servers.get(server);
        let lines = counts.map_or(0, |counts| counts.lines) + former.redacted(server);
        Known {
            lost_here: lines.saturating_sub(former.inputs.taken(server)),
            duplicates: counts.map_or(0, |counts| counts.duplicates),
        }
    };
    let mut known: Vec<Known> = sums.servers.iter().map(known).collect();
    let redacted = sums.out.redacted.shares(&known);
    for (known, share) in known.iter_mut().zip(&redacted) {
        known.duplicates = known.duplicates.saturating_sub(share.duplicates);
        // no segment loses a line by a deletion
        known.lost_here = 0;
    }
    let deleted = sums.out.deleted.shares(&known);
    Shares { redacted, deleted }
}

/// Lines of each server that were taken out of rows whose raw data is gone: their segments still
/// count them.
fn redacted(sums: &Sums<'_>, former: &Manifest, shares: &[Loss]) -> BTreeMap<Leg, u64> {
    let of_server = |(server, share): (&Leg, &Loss)| {
        let lines = former
            .counts
            .servers
            .get(server)
            .map_or(0, |counts| counts.lines);
        let left = lines.saturating_sub(share.lines);
        let redacted = former.inputs.taken(server).saturating_sub(left);
        (0 < redacted).then(|| (server.clone(), redacted))
    };
    sums.servers
        .iter()
        .zip(shares)
        .filter_map(of_server)
        .collect()
}

/// The manifest's part on what was carried over.
fn carried(sums: &Sums<'_>, former: &Manifest, shares: &[Loss]) -> Carried {
    let before = former.carried.as_ref();
    let mut members = vec!["counts.servers.duplicates", "conflicts", "backfills"];
    if !former.deletions.is_empty() {
        members.extend(["counts.servers.deleted", "deletions"]);
    }
    Carried {
        revision: before.map_or(former.history.revision, |before| before.revision),
        segments: former.inputs.segments.len() as u64,
        posts: former
            .counts
            .total
            .records()
            .saturating_sub(sums.out.redacted.posts + sums.out.deleted.posts),
        members: members.into_iter().map(str::to_owned).collect(),
        redacted: redacted(sums, former, shares),
    }
}

fn counts(sums: &Sums<'_>, shares: &Shares, carried: Option<&Carried>) -> Counts {
    let tally = &sums.tally;
    let mut counts = Counts::default();
    for (number, server) in sums.servers.iter().enumerate() {
        let mut of_server = ServerCounts::default();
        let redacted = carried.and_then(|carried| carried.redacted.get(server));
        let lines = sums.inputs.taken(server);
        of_server.lines = lines.saturating_sub(redacted.copied().unwrap_or(0));
        if let Some(of_tally) = tally.servers.get(number) {
            of_server.posts = of_tally.posts;
            of_server.unlisted = of_tally.unlisted;
            let before = sums.former.and_then(|f| f.counts.servers.get(server));
            let (duplicates, deleted) = before.map_or((0, 0), |b| (b.duplicates, b.deleted));
            let share = |of: &[Loss]| of.get(number).copied().unwrap_or_default();
            let (redacted, gone) = (share(&shares.redacted), share(&shares.deleted));
            of_server.duplicates = (of_tally.duplicates + duplicates)
                .saturating_sub(redacted.duplicates + gone.duplicates);
            of_server.deleted = of_tally.deleted + deleted + gone.lines;
            of_server.only_here = of_tally.only_here;
        }
        of_server.rejected = by_reason(&sums.rejected, |of| of == number);
        counts.servers.insert(server.clone(), of_server);
    }
    counts.total = TotalCounts {
        lines: counts.servers.values().map(|server| server.lines).sum(),
        posts: tally.posts,
        unlisted: tally.unlisted,
        duplicates: tally.duplicates,
        rejected: by_reason(&sums.rejected, |_| true),
        deleted: counts.servers.values().map(|server| server.deleted).sum(),
        seen_by_all: tally.seen_by_all,
    };
    counts
}

/// Counts by the reasons that occur.
fn by_reason(rejected: &RejectedLines, counts: impl Fn(usize) -> bool) -> ByWord {
    let mut by_word = ByWord::new();
    for ((_, reason), lines) in rejected.iter().filter(|((server, _), _)| counts(*server)) {
        *by_word.entry(reason.word().to_owned()).or_default() += lines;
    }
    by_word
}

fn minutes(sums: &Sums<'_>, intervals: &[Interval], account: &Account) -> Minutes {
    let mut minutes: BTreeMap<Minute, MinuteRow> = BTreeMap::new();
    let parts = part::parts(sums.servers);
    let is_whole = |part: &Part| part.partition.is_none();
    let whole = account.both.first().filter(|_| parts.iter().all(is_whole));
    for minute in seconds::minutes(intervals) {
        let nothing = vec![0; sums.servers.len()];
        let both = whole.and_then(|of| of.get(&minute)).copied();
        let row = MinuteRow {
            minute,
            posts: 0,
            of_servers: nothing,
            common: 0,
            both,
        };
        minutes.insert(minute, row);
    }
    for (part, seconds) in parts.iter().zip(&sums.tally.parts) {
        for (second, in_second) in seconds {
            let minute = UtcMs(second * 1_000).minute();
            let Some(MinuteRow {
                posts,
                of_servers: of_legs,
                common,
                ..
            }) = minutes.get_mut(&minute)
            else {
                continue;
            };
            *posts += in_second.posts;
            *common += in_second.common;
            for (leg, posts) in part.legs.iter().zip(&in_second.servers) {
                if let Some(sum) = of_legs.get_mut(*leg) {
                    *sum += posts;
                }
            }
        }
    }
    let both = parts.iter().zip(&account.both);
    let both = both.filter(|(_, minutes)| !minutes.is_empty());
    let both = both.filter_map(|(part, minutes)| {
        let number = part.partition?.number();
        Some((number, minutes.values().copied().collect()))
    });
    Minutes {
        servers: sums.servers.to_vec(),
        rows: minutes.into_values().collect(),
        partitions: both.collect(),
    }
}

/// The connections that asked for backfill and were made in the hour, or brought something to it.
fn backfills(sums: &Sums<'_>, intervals: &[Interval], account: &Account) -> Vec<Backfill> {
    let before_of = |server: &Leg, of: &Connection| {
        let mut before = sums.former.iter().flat_map(|former| &former.backfills);
        let of = (server, of.run, of.connection);
        before.find(|before| (&before.server, before.run, before.connection) == of)
    };
    let mut found = Vec::new();
    let servers = sums
        .servers
        .iter()
        .zip(sums.timelines)
        .zip(&account.servers);
    for (number, ((server, timeline), covered)) in servers.enumerate() {
        let seconds = covered.bits(seconds::count(intervals));
        let covered = seconds.map(|(covered, _)| covered).unwrap_or_default();
        for (place, connection) in timeline.connections.iter().enumerate() {
            let brought = sums.tally.backfilled.get(&(number, place));
            let is_here = intervals.iter().any(|i| i.contains(connection.at));
            let before = before_of(server, connection);
            if connection.minutes == 0 || !(is_here || brought.is_some() || before.is_some()) {
                continue;
            }
            let (mut posts, mut duplicates) = brought.copied().unwrap_or_default();
            // the copies that rows stand for were counted then
            if let Some(before) = before {
                posts += before.posts;
                duplicates += before.duplicates;
            }
            found.push(Backfill {
                server: server.clone(),
                run: connection.run,
                connection: connection.connection,
                connected: connection.at,
                minutes: connection.minutes,
                posts,
                duplicates,
                hole: Hole::before(connection, intervals, &covered),
            });
        }
    }
    found.sort_by(|a, b| (&a.server, a.connected).cmp(&(&b.server, b.connected)));
    found
}
