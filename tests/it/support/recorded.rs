//! What a server records of itself minute by minute, as the collector does, when this and that happens to it.

use twinstream::{
    period::UtcMs,
    segment::{
        event::{Alive, Disconnected, Down, EndCause, Event, EventKind},
        name::RunId,
    },
};

use super::posts::{Received, Segment, segments_of};

/// What happens to a server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Turn {
    Starts,
    Connects,
    Breaks,
    Stops,
    /// It stops without recording it.
    Dies,
}

/// The segments of a server that has done this: its lines that came while it was connected, and its own record of each minute.
pub(crate) fn recorded(
    stream: &str,
    server: &str,
    lines: &[Received],
    turns: &[(UtcMs, Turn)],
) -> Vec<Segment> {
    let state = |when: UtcMs| {
        let last = turns.iter().rev().find(|(at, _)| *at <= when);
        match last {
            None | Some((_, Turn::Dies)) => (when, Turn::Stops),
            Some(last) => *last,
        }
    };
    let came = lines.iter().filter(|one| state(one.at).1 == Turn::Connects);
    let mut minutes: Vec<Received> = came.cloned().collect();
    // also those in which nothing came
    minutes.extend(turns.iter().map(|(at, _)| Received {
        at: *at,
        line: Vec::new(),
    }));
    let mut all = segments_of(stream, server, &minutes);
    all.retain(|segment| {
        let (begin, end) = (segment.name.minute.begin(), segment.name.minute.end());
        let is_in = |at: &UtcMs| begin <= *at && *at < end;
        state(begin).1 != Turn::Stops || turns.iter().any(|(at, _)| is_in(at))
    });
    let event = |at, what| Event {
        at,
        what,
        connection: 1,
    };
    for segment in &mut all {
        segment.lines.retain(|one| !one.line.is_empty());
        let minute = segment.name.minute;
        let last = minute.end().plus_ms(-1);
        let runs = turns
            .iter()
            .filter(|(at, turn)| *at <= last && *turn == Turn::Starts);
        let run = runs.count() as u64;
        segment.name.run = RunId(0x3fa9_c01b + u32::try_from(run).unwrap());
        segment.events.clear();
        for (at, turn) in turns.iter().filter(|(at, _)| at.minute() == minute) {
            let what = match turn {
                Turn::Starts => EventKind::Started {
                    program: "test/1".to_owned(),
                    number: run,
                    after: (1 < run).then_some(run - 1),
                    last_line: (1 < run).then_some(at.plus_ms(-100_000)),
                },
                Turn::Connects => EventKind::Connected {
                    status: 200,
                    backfill_minutes: 0,
                    transaction: None,
                },
                Turn::Breaks => EventKind::Disconnected(Disconnected {
                    cause: EndCause::Reset,
                    status: None,
                    disconnect_type: None,
                    lines: 5,
                    unfinished: None,
                    detail: String::new(),
                }),
                Turn::Stops => EventKind::Stopped {
                    why: "signal".to_owned(),
                },
                Turn::Dies => continue,
            };
            segment.events.push(event(*at, what));
        }
        let (since, now) = state(last);
        if now == Turn::Stops {
            continue;
        }
        let is_up = |second: &u8| {
            let when = minute.begin().plus_ms(1_000 * i64::from(*second));
            state(when).1 == Turn::Connects
        };
        let alive = EventKind::Alive(Alive {
            minute,
            seconds: (0..60).filter(is_up).collect(),
            lines: segment.lines.len() as u64,
            keep_alives: 3,
            silences: Vec::new(),
            clock_offset_ms: None,
            connected: now == Turn::Connects,
            down: (now != Turn::Connects).then_some(Down {
                since,
                nothing_since: since,
                cause: (now == Turn::Breaks).then_some(EndCause::Reset),
                status: None,
                disconnect_type: None,
                why: None,
            }),
            rules: None,
            collections: None,
            asleep: None,
        });
        segment.events.push(event(last, alive));
    }
    all
}
