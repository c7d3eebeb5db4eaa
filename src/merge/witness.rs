//! The events files among an hour's inputs → what each server's connection was like.

use std::io::{self, BufRead as _, BufReader, Read as _};

use super::{
    hour::{Due, HourError, at},
    index::Indexes,
};
use crate::{
    cover::{
        carried,
        evidence::{EventsFile, Timeline},
        gap::Gap,
    },
    segment::{
        event::{Event, What},
        name::ServerId,
        seal::Digester,
    },
    vault::manifest::EventsInput,
};

/// No record that matters here is longer; error frames are, and are passed over.
const RECORD_BYTES_MAX: u64 = 1 << 20;

/// The timelines of the servers, in their order. In an hour outside the span nothing ran.
pub fn timelines(
    indexes: &Indexes<'_>,
    due: &Due,
    servers: &[ServerId],
) -> Result<Vec<Timeline>, HourError> {
    if !due.is_in_span {
        return Ok(servers.iter().map(|_| Timeline::not_running()).collect());
    }
    let timeline = |server: &ServerId| {
        let inputs = due.fresh(|inputs| &inputs.events);
        let of_server = inputs.filter(|input| input.name.server == *server);
        let files: Result<Vec<EventsFile>, HourError> =
            of_server.map(|input| read(indexes, input)).collect();
        let files = files?;
        let is_whole = due.primary.as_ref() == Some(server);
        let former = due.former.as_ref();
        let known = former.and_then(|f| Some((f, f.coverage.servers.get(server)?)));
        let Some((former, covered)) = known else {
            return Ok(Timeline::of(&files, is_whole));
        };
        let gaps = former.gaps.iter();
        let gaps: Vec<&Gap> = gaps.filter(|gap| gap.server == server.as_str()).collect();
        let since = (!files.is_empty()).then(|| Timeline::of(&files, is_whole));
        Ok(carried::timeline(
            &former.intervals,
            (covered, &gaps),
            since,
        ))
    };
    servers.iter().map(timeline).collect()
}

/// Reads an events file again, and checks that it is what was indexed.
fn read(indexes: &Indexes<'_>, input: &EventsInput) -> Result<EventsFile, HourError> {
    let path = input.name.paths(indexes.spool).events;
    let file = indexes.disk.open(&path).map_err(at(&path))?;
    let (events, sha256) = read_records(BufReader::new(file)).map_err(at(&path))?;
    if sha256 != input.sha256 {
        return Err(HourError::Changed(path));
    }
    Ok(EventsFile {
        name: input.name.clone(),
        events,
    })
}

/// The records that tell of the connection, and the hash of the whole.
fn read_records(mut from: impl io::BufRead) -> io::Result<(Vec<Event>, String)> {
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
            Ok(event) if !matches!(event.what, What::ErrorFrame { .. }) => events.push(event),
            Ok(_) | Err(_) => (),
        }
    }
}
