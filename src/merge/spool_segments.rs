//! The sealed segments of every server in the spool, indexed, for the days that are read. Files that cannot be used
//! are set aside under `<spool>/<server>/aside/` with an alarm: they are neither used nor deleted.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
};

use super::{
    closed::ClosedDays,
    index::{Index, IndexError, Indexes},
    known_lines::KnownLines,
    plan::SpoolSegment,
    runs::ToRedact,
};
use crate::{
    alarm::AlarmKind,
    period::{Day, UtcMs, Zone},
    place::segments,
    segment::{
        acks::{self, Ack},
        aside,
        days::{self, Folders},
        name::{SegmentName, ServerId},
        sha256::Sha256,
        spool,
    },
    text::plural,
    world::{error_at::placed, workers},
};

/// What is not used, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Unusable {
    /// The segment, or the folder that could not be read.
    pub what: String,
    /// Where it was moved to; `None` if it stays where it is and is tried again.
    pub moved_to: Option<PathBuf>,
    /// Why.
    pub why: String,
}

/// The folders of a spool, by UTC day.
#[derive(Debug, Default)]
pub struct Walk {
    servers: Vec<ServerId>,
    days: BTreeMap<Day, Folders>,
    /// Folders that could not be read.
    pub unusable: Vec<Unusable>,
}

impl Walk {
    /// Lists a spool, and what is kept of segments that were left in the object store, without reading the folders of hours.
    pub fn of(indexes: &Indexes<'_>) -> io::Result<Self> {
        let unfetched = segments::unfetched(indexes.spool);
        let spools = [indexes.spool, &unfetched];
        let mut servers = BTreeSet::new();
        for spool in spools {
            servers.extend(spool::servers(indexes.disk, spool)?);
        }
        let servers: Vec<ServerId> = servers.into_iter().collect();
        let walked = days::walk(indexes.disk, &spools, &servers)?;
        let unreadable = walked.unreadable.iter();
        let unreadable = unreadable.map(|(server, why)| unreadable_folder(indexes, server, why));
        Ok(Self {
            unusable: unreadable.collect(),
            days: walked.days,
            servers,
        })
    }

    /// The servers.
    pub fn servers(&self) -> &[ServerId] {
        &self.servers
    }

    /// The days.
    pub fn days(&self) -> impl Iterator<Item = Day> {
        self.days.keys().copied()
    }

    /// The state of a day's folders before they were read.
    pub fn version(&self, day: Day) -> Option<Sha256> {
        self.days.get(&day)?.version
    }

    /// The same, if they are like that still, and hold no segment that is yet to be compressed.
    pub fn settled_version(&self, indexes: &Indexes<'_>, day: Day) -> io::Result<Option<Sha256>> {
        let Some(of_day) = self.days.get(&day) else {
            return Ok(None);
        };
        for (_, folder) in of_day.each() {
            let entries = indexes.disk.list(folder)?;
            let mut kinds = entries
                .iter()
                .filter_map(|entry| SegmentName::of_file(&entry.name));
            if kinds.any(|(_, kind)| kind == "jsonl") {
                return Ok(None);
            }
        }
        of_day.unchanged(indexes.disk)
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct FoundSegments {
    /// What can be used, ascending by name; not yet put on the posts' clock.
    pub spooled: Vec<SpoolSegment>,
    /// What cannot.
    pub unusable: Vec<Unusable>,
    /// What holds posts that are to stay out, which are to be taken out first.
    pub to_redact: Vec<(SegmentName, Vec<ToRedact>)>,
    /// Days that have segments of another stream.
    pub foreign: BTreeSet<Day>,
    /// Of each server that has some of these segments: how many bytes of its acknowledgements lie before theirs.
    pub acks: BTreeMap<ServerId, u64>,
}

/// Reads the segments of some days of a spool. `tell` hears of every segment; `now` only limits what
/// acknowledgements say.
pub fn read(
    indexes: &Indexes<'_>,
    zone: &Zone,
    now: UtcMs,
    threads: usize,
    (walk, days, closed): (&Walk, &BTreeSet<Day>, &ClosedDays),
    mut tell: impl FnMut(usize, usize),
) -> FoundSegments {
    let mut found = FoundSegments::default();
    let (mut names, mut unfetched) = (Vec::new(), BTreeSet::new());
    let elsewhere = segments::unfetched(indexes.spool);
    for of_day in days.iter().filter_map(|day| walk.days.get(day)) {
        let (sealed, unreadable) = of_day.sealed(indexes.disk);
        for (name, folder) in sealed {
            if folder.starts_with(&elsewhere) {
                unfetched.insert(name);
            } else {
                names.push(name);
            }
        }
        let unreadable = unreadable.iter();
        let unusable = unreadable.map(|(server, why)| unreadable_folder(indexes, server, why));
        found.unusable.extend(unusable);
    }
    // one that was fetched a moment ago may be in both
    for name in &names {
        unfetched.remove(name);
    }
    names.extend(unfetched.iter().cloned());
    let (mut names, foreign): (Vec<_>, Vec<_>) = names
        .into_iter()
        .partition(|name| name.stream == indexes.stream);
    if let Some(name) = foreign.first() {
        let count = plural(foreign.len() as u64, "segment is", "segments are");
        tracing::warn!("{count} of another stream and not merged, the first is {name}");
    }
    found.foreign = foreign.iter().map(|name| name.minute.utc_day()).collect();
    names.sort();
    let acks;
    (acks, found.acks) = acknowledged(indexes, (&walk.servers, closed), &names);
    let count = names.len();
    let names = by_copies(names);
    let of_index = |name: &SegmentName, index: &Index| SpoolSegment {
        is_here: !unfetched.contains(name),
        ..summary(
            name,
            index,
            zone,
            acks.get(&format!("{name}.seal.json"))
                .map(|ack| ack.at.min(now)),
        )
    };
    let work = |copies| read_copies(indexes, (copies, &unfetched), &of_index);
    let outcome = workers::in_order(&names, threads, work, |read| {
        for (name, result) in read {
            match result {
                Ok(segment) => found.spooled.push(segment),
                Err(IndexError::Redacted { name, posts }) => found.to_redact.push((name, posts)),
                Err(why) => found.unusable.push(give_up(indexes, name, &why)),
            }
            tell(found.spooled.len() + found.unusable.len(), count);
        }
        Ok::<_, std::convert::Infallible>(())
    });
    match outcome {
        Ok(()) => {
            found.spooled.sort_by(|a, b| a.name.cmp(&b.name));
            found
        }
        Err(never) => match never {},
    }
}

/// Segments by what has their lines in common, ascending: several servers receive nearly the same in one minute, and one
/// thread reads all of that.
fn by_copies(names: Vec<SegmentName>) -> Vec<Vec<SegmentName>> {
    let mut copies: BTreeMap<_, Vec<SegmentName>> = BTreeMap::new();
    for name in names {
        let of = copies.entry((name.minute, name.partition)).or_default();
        of.push(name);
    }
    copies.into_values().collect()
}

/// Reads segments that have many lines in common.
fn read_copies<'a>(
    indexes: &Indexes<'_>,
    (copies, unfetched): (&'a Vec<SegmentName>, &BTreeSet<SegmentName>),
    of_index: &impl Fn(&SegmentName, &Index) -> SpoolSegment,
) -> Vec<(&'a SegmentName, Result<SpoolSegment, IndexError>)> {
    let mut known = match copies.as_slice() {
        // nobody else has its lines
        [] | [_] => KnownLines::none(),
        _ => KnownLines::some(),
    };
    let mut read = |name| {
        let index = if unfetched.contains(name) {
            indexes.of_unfetched(name)?
        } else {
            indexes.get_knowing(name, &mut known)?
        };
        Ok(of_index(name, &index))
    };
    copies.iter().map(|name| (name, read(name))).collect()
}

/// The acknowledgements of these segments, which are ascending, and how many bytes lie before those of each server.
/// Nothing rests on them but how long late input waits for more.
fn acknowledged(
    indexes: &Indexes<'_>,
    (servers, closed): (&[ServerId], &ClosedDays),
    names: &[SegmentName],
) -> (BTreeMap<String, Ack>, BTreeMap<ServerId, u64>) {
    let (mut acks, mut before) = (BTreeMap::new(), BTreeMap::new());
    let is_here = |name: &SegmentName| names.binary_search(name).is_ok();
    let has_some = |server: &&ServerId| names.iter().any(|name| name.server == **server);
    for server in servers.iter().filter(has_some) {
        let path = acks::path(indexes.spool, server);
        let after = closed.old_acks(server);
        match acks::read_after(indexes.disk, (&path, after), is_here) {
            Ok((of_server, first)) => {
                acks.extend(of_server);
                before.insert(server.clone(), first);
            }
            Err(why) => {
                tracing::warn!("the acknowledgements for server {server} cannot be read: {why}");
            }
        }
    }
    (acks, before)
}

/// What the plan needs of an index, before it is known where it lies on the posts' clock.
fn summary(name: &SegmentName, index: &Index, zone: &Zone, arrived: Option<UtcMs>) -> SpoolSegment {
    SpoolSegment {
        name: name.clone(),
        is_here: true,
        minute: name.minute,
        is_slow: false,
        number: index.facts.number,
        offset_ms: index.facts.offset_ms,
        lag: index.lag,
        step_ms: index.facts.step_ms,
        rejected: index.rejected(),
        began: index.facts.began,
        sha256: index.segment.sha256,
        formerly: index.formerly.clone(),
        lines: index.runs.iter().map(|run| run.lines).sum(),
        events_sha256: index.events.sha256,
        events: index.events.lines,
        hours: index.hours(zone),
        started: index.facts.started,
        is_first: index.facts.is_first,
        ends_early: index.facts.ends_early,
        stopped: index.facts.stopped,
        backfill: index.facts.backfill,
        out_of_window: index.facts.out_of_window.clone(),
        listened: index.listened.clone(),
        arrived: arrived.unwrap_or_else(|| name.minute.end()),
    }
}

/// Withdraws what a segment was acknowledged with, so that it comes again, then sets it aside: a cut in between leaves a segment
/// that the next merge sets aside. Says whether it was acknowledged.
fn set_aside(indexes: &Indexes<'_>, name: &SegmentName) -> io::Result<(PathBuf, bool)> {
    let path = acks::path(indexes.spool, &name.server);
    let withdrawn = acks::withdraw(indexes.disk, &path, name)?;
    let folder = aside::segment(indexes.disk, indexes.spool, name)?;
    Ok((folder, withdrawn))
}

/// Sets a segment aside that can never be used, and says so.
fn give_up(indexes: &Indexes<'_>, name: &SegmentName, why: &IndexError) -> Unusable {
    let (mut moved_to, mut withdrawn) = (None, false);
    if why.is_final() && indexes.keep {
        match set_aside(indexes, name) {
            Ok((folder, was_acknowledged)) => {
                (moved_to, withdrawn) = (Some(folder), was_acknowledged);
            }
            Err(why) => alarm!(
                AlarmKind::Unreadable,
                name.server,
                "{name} cannot be set aside: {why}"
            ),
        }
    }
    if let Some(folder) = &moved_to {
        let server = &name.server;
        let next = if withdrawn {
            format!(
                "its acknowledgement is withdrawn, so it is fetched again from the object store, or server {server} sends it again, if it is still there"
            )
        } else {
            format!("compare it with the copy on server {server}")
        };
        alarm!(
            AlarmKind::FailsCheck,
            server,
            "{name} is set aside and not merged: {why}\n  hint: it is kept in {}; {next}",
            folder.display()
        );
    } else {
        alarm!(
            AlarmKind::Unreadable,
            name.server,
            "{name} is not merged: {why}\n  hint: the next merge tries again"
        );
    }
    Unusable {
        what: name.to_string(),
        moved_to,
        why: why.to_string(),
    }
}

fn unreadable_folder(indexes: &Indexes<'_>, server: &ServerId, why: &io::Error) -> Unusable {
    let folder = indexes.spool.join(server.as_str());
    let what = folder.display().to_string();
    alarm!(
        AlarmKind::Unreadable,
        server,
        "of server {server} nothing is merged that lies there: {}\n  hint: the next merge tries again",
        placed(&folder, why)
    );
    Unusable {
        what,
        moved_to: None,
        why: why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_received_in_one_minute_is_read_together() {
        let names = |of: &[(&str, u8)]| -> Vec<SegmentName> {
            let name = |(leg, minute): &(&str, u8)| {
                let name = format!("{leg}_sample_20261123T18{minute:02}Z_1a2b3c4d_000");
                name.parse().unwrap()
            };
            of.iter().map(name).collect()
        };
        let all = names(&[("1", 0), ("1", 1), ("1", 2), ("2", 0), ("2", 2)]);
        let together = [
            names(&[("1", 0), ("2", 0)]),
            names(&[("1", 1)]),
            names(&[("1", 2), ("2", 2)]),
        ];
        assert_eq!(by_copies(all), together);
    }
}
