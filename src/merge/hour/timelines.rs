//! The state of each server's connection, from the events files among an hour's inputs.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
};

use super::{due::DueHour, remembered::Remembered, uncommitted::HourError};
use crate::{
    cover::{
        clock::{self, Lag},
        collections::Lists,
        evidence::{EventsFile, Timeline},
        rules::Answers,
    },
    merge::index::Indexes,
    period::{Interval, Minute},
    segment::{
        aside,
        event::{Event, EventKind},
        name::{Leg, RunId, SegmentName},
        seal::Digester,
        sha256::Sha256,
    },
    source::Source,
    vault::manifest::EventsInput,
    world::error_at::At as _,
};

/// No record that matters here is longer: one with a thousand rules has some megabytes. Error frames may be, and are
/// passed over.
const RECORD_BYTES_MAX: u64 = 16 << 20;

/// What lies aside, and where.
pub type Aside = BTreeMap<SegmentName, String>;

/// What the events files tell.
pub struct HourTimelines {
    /// The servers' timelines, in their order.
    pub timelines: Vec<Timeline>,
    /// How far the stamps of each run lie after the posts' clock.
    pub lags_ms: BTreeMap<(Leg, RunId), i64>,
    /// What the platform told each server of its rules, in their order.
    pub rules: Vec<Answers>,
    /// Which collections each server asked for, in their order.
    pub collections: Vec<Lists>,
}

/// What the events files that are read now tell, and the segments of their runs.
pub fn read_all(indexes: &Indexes<'_>, due: &DueHour) -> Result<Remembered, HourError> {
    let files = due.fresh(|inputs| &inputs.events);
    let files: Result<Vec<EventsFile>, HourError> =
        files.map(|input| read(indexes, due, input)).collect();
    // those of the files on both sides of a hole, too: a run that is known by one file only has no other posts
    let of_events = due.fresh(|inputs| &inputs.events).map(|input| &input.name);
    let of_lines = due
        .fresh(|inputs| &inputs.segments)
        .map(|input| &input.name);
    let names: BTreeSet<&SegmentName> = of_events.chain(of_lines).collect();
    let lag = |name: &SegmentName| Some((name.clone(), due.known.get(name)?.lag?));
    Ok(Remembered {
        files: files?,
        lags: names.into_iter().filter_map(lag).collect(),
    })
}

/// What came of the primary in an hour, or just before or after it, and lies aside; and where that is below the spool.
/// (Another server's comes again: its acknowledgement was withdrawn.)
pub fn set_aside(
    indexes: &Indexes<'_>,
    due: &DueHour,
    intervals: &[Interval],
) -> Result<Aside, HourError> {
    let Some(server) = &due.primary else {
        return Ok(Aside::new());
    };
    let hours = intervals.iter().flat_map(|interval| {
        let near = interval.begin.minute().0 - 60..=interval.end.minute().0 + 60;
        near.step_by(60).map(Minute)
    });
    let folders: BTreeSet<PathBuf> = hours
        .map(|minute| Path::new(&minute.day_folder()).join(minute.hour_folder()))
        .collect();
    let mut found = Aside::new();
    for folder in &folders {
        let of_hour = aside::segments_of(indexes.disk, indexes.spool, server, folder);
        let of_hour = of_hour
            .at(&indexes.spool.join(server.as_str()))?
            .into_iter();
        found.extend(of_hour.map(|(name, folder)| (name, folder.display().to_string())));
    }
    Ok(found)
}

/// The timelines of the servers, from all events files of the hour. In an hour outside the span, nothing ran.
pub fn told(
    source: &dyn Source,
    (all, aside): (&Remembered, &Aside),
    due: &DueHour,
    servers: &[Leg],
) -> HourTimelines {
    let mut told = HourTimelines {
        timelines: Vec::new(),
        lags_ms: BTreeMap::new(),
        rules: Vec::new(),
        collections: Vec::new(),
    };
    for server in servers {
        let (timeline, rules, lists) = if due.is_in_span {
            timeline(source, (all, aside), due, server, &mut told.lags_ms)
        } else {
            (
                Timeline::not_running(),
                Answers::default(),
                Lists::default(),
            )
        };
        told.timelines.push(timeline);
        told.rules.push(rules);
        told.collections.push(lists);
    }
    told
}

fn timeline(
    source: &dyn Source,
    (all, aside): (&Remembered, &Aside),
    due: &DueHour,
    server: &Leg,
    lags_ms: &mut BTreeMap<(Leg, RunId), i64>,
) -> (Timeline, Answers, Lists) {
    let mut lags: BTreeMap<RunId, Vec<Lag>> = BTreeMap::new();
    for (name, lag) in all.lags.iter().filter(|(name, _)| name.is_of(server)) {
        lags.entry(name.run).or_default().push(*lag);
    }
    let of_server = all.files.iter().filter(|file| file.name.is_of(server));
    let mut files: Vec<EventsFile> = of_server.cloned().collect();
    clock::set(&mut files, &lags, source.tells_when_seen());
    for file in &files {
        lags_ms.insert((server.clone(), file.name.run), file.lag_ms);
    }
    let rules = Answers::of(&files);
    let is_whole = due.has_all_of(server);
    let lists = Lists::of(&files);
    let aside = aside.iter().filter(|(name, _)| name.is_of(server));
    let aside = aside.map(|(name, place)| {
        let late_ms = lags_ms.get(&(server.clone(), name.run)).copied();
        let begin = name.minute.begin().plus_ms(-late_ms.unwrap_or(0));
        let end = begin.plus_ms(60_000);
        (Interval { begin, end }, place.clone())
    });
    let mut aside: Vec<(Interval, String)> = aside.collect();
    aside.sort_by_key(|(time, _)| time.begin);
    let timeline = Timeline::of(&files, is_whole).with_aside(&aside);
    (timeline, rules, lists)
}

/// Reads an events file again, and checks that it is what was indexed.
fn read(
    indexes: &Indexes<'_>,
    due: &DueHour,
    input: &EventsInput,
) -> Result<EventsFile, HourError> {
    let path = indexes.events_path(&input.name).at(indexes.spool)?;
    let file = indexes.disk.open(&path).at(&path)?;
    let (events, sha256) = read_records(BufReader::new(file)).at(&path)?;
    let known = due.known.get(&input.name);
    let Some(known) = known.filter(|_| sha256 == input.sha256) else {
        return Err(HourError::Changed(path));
    };
    Ok(EventsFile {
        name: input.name.clone(),
        number: known.number,
        lag_ms: 0,
        events,
        listened: known.listened.clone(),
    })
}

/// The records on the connection, and the hash of the whole.
fn read_records(mut from: impl io::BufRead) -> io::Result<(Vec<Event>, Sha256)> {
    let (mut events, mut digester) = (Vec::new(), Digester::default());
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = from.by_ref().take(RECORD_BYTES_MAX);
        if bounded.read_until(b'\n', &mut line)? == 0 {
            return Ok((events, digester.finish().sha256));
        }
        digester.update(&line);
        match serde_json::from_slice::<Event>(&line) {
            Ok(event) if !matches!(event.what, EventKind::ErrorFrame { .. }) => events.push(event),
            Ok(_) | Err(_) => (),
        }
    }
}
