//! What the unit tests of attempts need: a wire without a platform, servers that say what they are told to, and what a
//! session works with.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::Path,
    sync::{
        Arc,
        mpsc::{self, Receiver},
    },
    thread,
    time::Duration,
};

use hyper::{HeaderMap, StatusCode};
use tokio::sync::{Notify, Semaphore};

use super::{
    connect::Endpoint,
    halt::Halt,
    log::Log,
    matched::Matched,
    outbox::{Outbox, QUEUE_BYTES},
    right::Right,
    session::Session,
    threads::Message,
};
use crate::{
    backoff::Refusal,
    config::proxy::Proxies,
    period::UtcMs,
    place::{decide::Asks, open::Opener},
    segment::{
        event::Event,
        line::CursorOf,
        name::{Leg, Partition},
        runs::Runs,
    },
    source::wire::{
        Ask, AskRules, Intake, IntakeError, Last, Portion, Refused, Resume, Transport, Wire,
    },
    world::{clock::Clock, disk::RealDisk},
};

/// A wire whose lines are stored as they come. A number in one is its place in the stream.
#[derive(Default)]
pub(super) struct Plain {
    pub(super) partition: Option<Partition>,
    pub(super) rules: Option<Box<dyn AskRules + Send + Sync>>,
}

impl Wire for Plain {
    fn stream(&self) -> &'static str {
        "sample"
    }

    fn partition(&self) -> Option<Partition> {
        self.partition
    }

    fn transport(&self) -> Transport {
        Transport::Http
    }

    fn resume(&self, last: Last, _now: UtcMs) -> Resume {
        match (last.cursor, last.arrival) {
            (Some(cursor), _) => Resume::Since(cursor),
            (None, Some(_)) => Resume::Minutes(3),
            (None, None) => Resume::Live,
        }
    }

    fn ask(&self, _resume: Resume) -> Ask {
        Ask {
            path: "/stream".to_owned(),
            headers: Vec::new(),
        }
    }

    fn is_other(&self, _status: StatusCode, _headers: &HeaderMap) -> Option<String> {
        None
    }

    fn refusal(&self, status: u16, _encoding: Option<&str>, body: &[u8]) -> Refused {
        Refused {
            refusal: match status {
                400 => Refusal::BadRequest,
                _ => Refusal::Server,
            },
            detail: format!("{} bytes", body.len()),
        }
    }

    fn intake(
        &self,
        _encoding: Option<&str>,
        _endpoint: &str,
        _resume: Resume,
    ) -> Result<Box<dyn Intake>, String> {
        Ok(Box::new(Lines))
    }

    fn cursor_of(&self) -> Option<CursorOf> {
        None
    }

    fn rules(&self) -> Option<&dyn AskRules> {
        let rules = self.rules.as_deref()?;
        Some(rules)
    }
}

/// Takes whole lines. One that says `misfit` cannot be read as configured, `offset 7` tells the platform's clock, and an
/// empty one is a sign of life.
struct Lines;

impl Intake for Lines {
    fn take(&mut self, input: &mut &[u8], _at: UtcMs) -> Result<Option<Portion>, IntakeError> {
        let taken = std::mem::take(input);
        let text = String::from_utf8_lossy(taken);
        let Some(line) = text.lines().next() else {
            return Ok(None);
        };
        *input = taken.get(line.len() + 1..).unwrap_or_default();
        if line == "misfit" {
            return Err(IntakeError::Misfit(line.to_owned()));
        }
        if line.is_empty() {
            return Ok(Some(Portion {
                keep_alives: 1,
                ..Portion::default()
            }));
        }
        Ok(Some(Portion {
            stored: format!("{line}\n").into_bytes(),
            lines: 1,
            cursor: line.parse().ok(),
            offset_ms: line.strip_prefix("offset ").and_then(|ms| ms.parse().ok()),
            ..Portion::default()
        }))
    }

    fn finish(self: Box<Self>, _at: UtcMs) -> Result<(Portion, Option<String>), IntakeError> {
        Ok((Portion::default(), None))
    }
}

/// What a session works with.
pub(super) struct Fixture {
    pub(super) wire: Plain,
    pub(super) clock: Clock,
    pub(super) halt: Arc<Halt>,
    pub(super) outbox: Outbox,
    pub(super) log: Log,
    pub(super) right: Right,
    leg: Leg,
    messages: Receiver<Message>,
    connected: Notify,
    matched: Matched,
}

impl Fixture {
    /// By a clock that runs so much faster.
    pub(super) fn new(rate: u32) -> Self {
        let clock = format!("2026-11-23T14:05:00.000Z@{rate}");
        let clock = Clock::simulated(clock.parse().unwrap());
        let spool = Opener::of(&RealDisk, Path::new("/nowhere"));
        let spool = spool.spool(&"/nowhere".into(), Asks::Look).unwrap();
        let leg: Leg = "1".parse().unwrap();
        let (disk, progress) = (Arc::new(RealDisk), Arc::default());
        let halt = Arc::new(Halt::new(disk, spool, &leg.server, progress));
        let (to_writer, messages) = mpsc::channel();
        let shared = (Arc::clone(&halt), Arc::new(Semaphore::new(QUEUE_BYTES)));
        Self {
            wire: Plain::default(),
            outbox: Outbox::new(to_writer, clock.clone(), shared, Runs::default()),
            log: Log::new(1),
            right: Right::new(None, Arc::new(RealDisk), clock.clone()),
            clock,
            halt,
            leg,
            messages,
            connected: Notify::new(),
            matched: Matched::default(),
        }
    }

    pub(super) fn session(&self) -> Session<'_> {
        Session {
            wire: &self.wire,
            leg: &self.leg,
            outbox: &self.outbox,
            halt: &self.halt,
            clock: &self.clock,
            connected: &self.connected,
            matched: &self.matched,
            log: &self.log,
            right: &self.right,
        }
    }

    pub(super) fn endpoint(&self, url: &str) -> Endpoint {
        Endpoint::new(url, &self.clock, &Proxies::default()).unwrap()
    }

    /// What was recorded since it was last asked for.
    pub(super) fn events(&self) -> Vec<Event> {
        let events = self
            .messages
            .try_iter()
            .filter_map(|message| match message {
                Message::Event { event, .. } => Some(event),
                _ => None,
            });
        events.collect()
    }
}

/// Does work on a runtime of its own; gives up after a real minute.
pub(super) fn run<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    let bounded = async { tokio::time::timeout(Duration::from_mins(1), work).await };
    let done = runtime.block_on(bounded);
    done.expect("it takes longer than a minute")
}

/// What a server says: bytes, and for how many milliseconds it then keeps silent.
pub(super) type Says = Vec<(Vec<u8>, u64)>;

/// Where a server is that answers each request with one of these, and then closes the connection. Gives what was asked, head
/// by head.
pub(super) fn served(answers: Vec<Says>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, heads) = mpsc::channel();
    thread::spawn(move || {
        for answer in answers {
            let Ok((stream, _)) = listener.accept() else {
                return;
            };
            let mut head = String::new();
            for line in BufReader::new(&stream).lines() {
                let line = line.unwrap_or_default();
                if line.is_empty() {
                    break;
                }
                head += &line;
                head.push('\n');
            }
            drop(asked.send(head));
            for (bytes, silence_ms) in answer {
                // whoever has read enough may have gone
                drop((&stream).write_all(&bytes));
                Clock::system().block(Duration::from_millis(silence_ms));
            }
        }
    });
    (url, heads)
}
