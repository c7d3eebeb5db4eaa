//! The sums of an hour → its manifest. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::dedupe::Tally;
use crate::{
    period::{Hour, Interval, Minute, Zone},
    post::reject::Rejected,
    segment::{
        line::PROGRAM,
        name::{SAMPLE, ServerId},
    },
    vault::manifest::{
        ByWord, Conflicts, Counts, Covered, FORMAT, History, Inputs, Manifest, Minutes, Output,
        Seconds, ServerCounts, TotalCounts,
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
    /// The servers of the inputs, ascending.
    pub servers: &'a [ServerId],
    /// What the posts say, servers in the same order.
    pub tally: Tally,
    /// The lines that are no posts.
    pub rejected: RejectedLines,
    /// The data files.
    pub outputs: Vec<Output>,
    /// What this revision has to do with the ones before.
    pub history: History,
}

/// The servers of an hour's inputs, ascending.
pub fn servers(inputs: &Inputs) -> Vec<ServerId> {
    let segments = inputs.segments.iter().map(|input| &input.name.server);
    let events = inputs.events.iter().map(|input| &input.name.server);
    let servers: BTreeSet<&ServerId> = segments.chain(events).collect();
    servers.into_iter().cloned().collect()
}

/// The manifest.
pub fn manifest(sums: Sums<'_>) -> Manifest {
    let intervals = sums.zone.intervals(sums.hour);
    let tally = &sums.tally;
    let mut residues: Vec<(u64, u64)> = Vec::new();
    residues.extend(tally.residues.iter().map(|(residue, ids)| (*residue, *ids)));
    Manifest {
        format: FORMAT,
        program: PROGRAM.to_owned(),
        stream: SAMPLE.to_owned(),
        timezone: sums.zone.name().to_owned(),
        hour: sums.hour,
        counts: counts(&sums),
        minutes: minutes(&sums, &intervals),
        seconds: seconds(&sums, &intervals),
        residues,
        conflicts: Conflicts {
            posts: tally.conflicting,
            by_field: tally.by_field.clone(),
        },
        intervals,
        inputs: sums.inputs,
        outputs: sums.outputs,
        history: sums.history,
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
            of_server.duplicates = of_tally.duplicates;
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

fn minutes(sums: &Sums<'_>, intervals: &[Interval]) -> Minutes {
    let nothing = (0, vec![0; sums.servers.len()], 0);
    let row = |minute: Minute| {
        let (posts, of_servers, common) = sums.tally.minutes.get(&minute).unwrap_or(&nothing);
        (minute, *posts, of_servers.clone(), *common)
    };
    let minutes = intervals
        .iter()
        .flat_map(|i| (i.begin.minute().0..i.end.minute().0).map(Minute));
    Minutes {
        servers: sums.servers.to_vec(),
        rows: minutes.map(row).collect(),
    }
}

fn seconds(sums: &Sums<'_>, intervals: &[Interval]) -> Seconds {
    let mut seconds = Seconds::default();
    let mut union: BTreeSet<i64> = BTreeSet::new();
    for (server, of_tally) in sums.servers.iter().zip(&sums.tally.servers) {
        let covered = Covered::of(intervals, |second| of_tally.seconds.contains(&second));
        seconds.servers.insert(server.clone(), covered);
        union.extend(&of_tally.seconds);
    }
    seconds.union = Covered::of(intervals, |second| union.contains(&second));
    seconds
}
