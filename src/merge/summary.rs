//! The sums of an hour → its manifest. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::dedupe::Tally;
use crate::{
    cover::{
        account::{Account, Given, account},
        backfill::{Backfill, Hole},
        estimate::estimate,
        evidence::Timeline,
        seconds,
    },
    period::{Hour, Interval, Minute, UtcMs, Zone},
    post::reject::Rejected,
    segment::{
        line::PROGRAM,
        name::{SAMPLE, ServerId},
    },
    vault::manifest::{
        ByWord, Carried, Conflicts, Counts, Coverage, FORMAT, History, Inputs, Manifest, MinuteRow,
        Minutes, Output, ServerCounts, TotalCounts,
    },
};

/// Rejected lines of each server (by its number) and reason.
pub type RejectedLines = BTreeMap<(usize, Rejected), u64>;

/// Everything that an hour's manifest says.
#[derive(Debug)]
pub struct Sums<'a> {
    /// The label.
    pub hour: Hour,
    /// The vault's zone.
    pub zone: &'a Zone,
    /// What was merged.
    pub inputs: Inputs,
    /// The servers, ascending.
    pub servers: &'a [ServerId],
    /// What their connections were like, in the same order.
    pub timelines: &'a [Timeline],
    /// What the posts say, servers in the same order.
    pub tally: Tally,
    /// The lines that are no posts.
    pub rejected: RejectedLines,
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
pub fn servers(inputs: &Inputs, expected: &[ServerId]) -> Vec<ServerId> {
    let segments = inputs.segments.iter().map(|input| &input.name.server);
    let events = inputs.events.iter().map(|input| &input.name.server);
    let servers: BTreeSet<&ServerId> = segments.chain(events).chain(expected).collect();
    servers.into_iter().cloned().collect()
}

/// The manifest.
pub fn manifest(sums: Sums<'_>) -> Manifest {
    let intervals = sums.zone.intervals(sums.hour);
    let tally = &sums.tally;
    let account = account(&Given {
        intervals: &intervals,
        servers: sums.servers,
        posts: &tally.seconds,
        timelines: sums.timelines,
    });
    let mut residues: Vec<(u64, u64)> = Vec::new();
    residues.extend(tally.residues.iter().map(|(residue, ids)| (*residue, *ids)));
    Manifest {
        format: FORMAT,
        program: PROGRAM.to_owned(),
        stream: SAMPLE.to_owned(),
        timezone: sums.zone.name().to_owned(),
        hour: sums.hour,
        counts: counts(&sums),
        minutes: minutes(&sums, &intervals, &account),
        backfills: backfills(&sums, &intervals, &account),
        estimate: estimate(account.both.values()),
        coverage: Coverage {
            servers: sums.servers.iter().cloned().zip(account.servers).collect(),
            union: account.union,
        },
        gaps: account.gaps,
        residues,
        conflicts: conflicts(&sums),
        carried: sums.former.map(carried),
        intervals,
        inputs: sums.inputs,
        outputs: sums.outputs,
        redactions: sums.redactions,
        history: sums.history,
    }
}

/// Posts whose copies differ: those that were found now, and those that were found before.
fn conflicts(sums: &Sums<'_>) -> Conflicts {
    let mut conflicts = sums
        .former
        .map_or_else(Conflicts::default, |f| f.conflicts.clone());
    conflicts.posts += sums.tally.conflicting;
    for (field, posts) in &sums.tally.by_field {
        *conflicts.by_field.entry(field.clone()).or_default() += posts;
    }
    conflicts
}

/// What is told of what was carried over.
fn carried(former: &Manifest) -> Carried {
    let before = former.carried.as_ref();
    let members = [
        "counts.servers.duplicates",
        "conflicts",
        "coverage",
        "gaps",
        "backfills",
    ];
    Carried {
        revision: before.map_or(former.history.revision, |before| before.revision),
        segments: former.inputs.segments.len() as u64,
        posts: former.counts.total.posts,
        members: members.map(str::to_owned).into(),
    }
}

fn counts(sums: &Sums<'_>) -> Counts {
    let tally = &sums.tally;
    let mut counts = Counts::default();
    for (number, server) in sums.servers.iter().enumerate() {
        let mut of_server = ServerCounts::default();
        let segments = sums.inputs.segments.iter();
        of_server.lines = segments
            .filter(|input| input.name.server == *server)
            .map(|input| input.taken)
            .sum();
        if let Some(of_tally) = tally.servers.get(number) {
            of_server.posts = of_tally.posts;
            let before = sums.former.and_then(|f| f.counts.servers.get(server));
            of_server.duplicates = of_tally.duplicates + before.map_or(0, |b| b.duplicates);
            of_server.only_here = of_tally.only_here;
        }
        of_server.rejected = by_reason(&sums.rejected, |of| of == number);
        counts.servers.insert(server.clone(), of_server);
    }
    counts.total = TotalCounts {
        lines: counts.servers.values().map(|server| server.lines).sum(),
        posts: tally.posts,
        duplicates: tally.duplicates,
        rejected: by_reason(&sums.rejected, |_| true),
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
    for minute in seconds::minutes(intervals) {
        let nothing = vec![0; sums.servers.len()];
        let both = account.both.get(&minute).copied();
        minutes.insert(minute, MinuteRow(minute, 0, nothing, 0, both));
    }
    for (second, in_second) in &sums.tally.seconds {
        let minute = UtcMs(second * 1_000).minute();
        let Some(MinuteRow(_, posts, of_servers, common, _)) = minutes.get_mut(&minute) else {
            continue;
        };
        *posts += in_second.posts;
        *common += in_second.common;
        for (sum, posts) in of_servers.iter_mut().zip(&in_second.servers) {
            *sum += posts;
        }
    }
    Minutes {
        servers: sums.servers.to_vec(),
        rows: minutes.into_values().collect(),
    }
}

/// The connections that asked for backfill and were made in the hour, or brought something to it.
fn backfills(sums: &Sums<'_>, intervals: &[Interval], account: &Account) -> Vec<Backfill> {
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
            if connection.minutes == 0 || !(is_here || brought.is_some()) {
                continue;
            }
            let (posts, duplicates) = brought.copied().unwrap_or_default();
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
    // those of before, of which no new copy tells
    let is_new = |old: &&Backfill| {
        let key = |b: &Backfill| (b.server.clone(), b.run, b.connection);
        !found.iter().any(|new| key(new) == key(old))
    };
    let before = sums.former.iter().flat_map(|former| &former.backfills);
    let before: Vec<Backfill> = before.filter(is_new).cloned().collect();
    found.extend(before);
    found.sort_by(|a, b| (&a.server, a.connected).cmp(&(&b.server, b.connected)));
    found
}
