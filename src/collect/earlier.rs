//! What earlier runs have drawn of the budget of requests, as their events tell: a service that is
//! started again and again must not burn what the collector spares.

use std::{collections::BTreeMap, io, path::Path};

use crate::{
    backoff::WINDOW_MS,
    period::UtcMs,
    segment::{
        event::{Disconnected, Event, EventKind},
        name::{Partition, ServerId},
        spool,
    },
    world::disk::{self, Disk},
};

/// A minute's events file has some kilobytes; one of so many is not worth the time.
const EVENTS_BYTES_MAX: u64 = 4 << 20;

/// When the API answered a request of this server in the last quarter of an hour, by the part of the stream that was
/// asked for.
pub(super) fn answers(
    disk: &dyn Disk,
    spool: &Path,
    server: &ServerId,
    now: UtcMs,
) -> io::Result<BTreeMap<Option<Partition>, Vec<UtcMs>>> {
    let begin = now.plus_ms(-WINDOW_MS);
    let mut found: BTreeMap<Option<Partition>, Vec<UtcMs>> = BTreeMap::new();
    for folder in spool::hour_folders(disk, spool, server)?.found {
        for (name, _) in spool::in_folder(disk, &folder, server).unwrap_or_default() {
            if name.minute < begin.minute() || now.minute() < name.minute {
                continue;
            }
            // the recovery has reported an unreadable file
            let path = name.paths(spool).events;
            let bytes = disk::read_bounded(disk, &path, EVENTS_BYTES_MAX).unwrap_or_default();
            let lines = bytes.split(|byte| *byte == b'\n');
            let events = lines.filter_map(|line| serde_json::from_slice::<Event>(line).ok());
            let mut answers = of_run(events);
            answers.retain(|at| begin < *at && *at <= now);
            found.entry(name.partition).or_default().extend(answers);
        }
    }
    Ok(found)
}

/// The answers in the events of one file. A request without a recorded end counts as answered: the process may have
/// been ended because of the answer.
fn of_run(events: impl Iterator<Item = Event>) -> Vec<UtcMs> {
    let mut found = Vec::new();
    let mut asked = None;
    for event in events {
        match event.what {
            EventKind::Connecting { .. } => asked = Some(event.at),
            EventKind::Connected { .. } => {
                asked = None;
                found.push(event.at);
            }
            EventKind::Disconnected(Disconnected { status, .. }) => {
                asked = None;
                found.extend(status.map(|_| event.at));
            }
            _ => (),
        }
    }
    found.extend(asked);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::event::EndCause;

    fn event(at: i64, what: EventKind) -> Event {
        Event {
            at: UtcMs(at),
            what,
            connection: 1,
        }
    }

    fn ended(cause: EndCause, status: Option<u16>) -> EventKind {
        EventKind::Disconnected(Disconnected {
            cause,
            status,
            disconnect_type: None,
            lines: 0,
            unfinished: None,
            detail: String::new(),
        })
    }

    #[test]
    fn answers_count_and_so_do_requests_of_which_nothing_more_is_known() {
        let asked = || EventKind::Connecting {
            backfill_minutes: 0,
            cursor: None,
            endpoint: None,
            collections: None,
        };
        let connected = || EventKind::Connected {
            status: 200,
            backfill_minutes: 0,
            transaction: None,
        };
        let events = [
            event(1, asked()),
            event(2, connected()),
            event(3, ended(EndCause::Eof, None)),
            event(4, asked()),
            event(5, ended(EndCause::HttpStatus, Some(503))),
            event(6, asked()),
            event(7, ended(EndCause::Dns, None)),
            event(8, asked()),
        ];
        assert_eq!(of_run(events.into_iter()), [2, 5, 8].map(UtcMs));
    }
}
