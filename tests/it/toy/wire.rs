//! How the readings come: one a line, four fields with semicolons between them. And who sends them.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use hyper::{HeaderMap, StatusCode};
use twinstream::{
    backoff::Refusal,
    period::UtcMs,
    segment::line::{self, CursorOf},
    source::wire::{Ask, Intake, IntakeError, Last, Portion, Refused, Resume, Transport, Wire},
};

use super::lines::TIDES;

/// The gauge, as a collector sees it.
pub(crate) struct Gauge;

impl Wire for Gauge {
    fn stream(&self) -> &'static str {
        TIDES
    }

    fn transport(&self) -> Transport {
        Transport::Http
    }

    fn resume(&self, _last: Last, _now: UtcMs) -> Resume {
        Resume::Live
    }

    fn ask(&self, _resume: Resume) -> Ask {
        Ask {
            path: "/tides".to_owned(),
            headers: Vec::new(),
        }
    }

    fn is_other(&self, _status: StatusCode, _headers: &HeaderMap) -> Option<String> {
        None
    }

    fn refusal(&self, _status: u16, _encoding: Option<&str>, _body: &[u8]) -> Refused {
        Refused {
            refusal: Refusal::Server,
            detail: "the gauge is being cleaned".to_owned(),
        }
    }

    fn intake(
        &self,
        _encoding: Option<&str>,
        _endpoint: &str,
        _resume: Resume,
    ) -> Result<Box<dyn Intake>, String> {
        Ok(Box::new(Lines(Vec::new())))
    }

    fn cursor_of(&self) -> Option<CursorOf> {
        None
    }
}

/// The begin of a line whose end has not come.
struct Lines(Vec<u8>);

impl Intake for Lines {
    fn take(&mut self, input: &mut &[u8], at: UtcMs) -> Result<Option<Portion>, IntakeError> {
        let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
            self.0.extend_from_slice(std::mem::take(input));
            return Ok(None);
        };
        let (begin, rest) = input.split_at(end);
        *input = &rest[1..];
        self.0.extend_from_slice(begin);
        let whole = String::from_utf8(std::mem::take(&mut self.0)).unwrap();
        let mut portion = Portion::default();
        match whole.split(';').collect::<Vec<_>>()[..] {
            [name, time, station, level] => {
                let line = serde_json::json!({"name": name, "time": time, "station": station, "level": level});
                line::store(line.to_string().as_bytes(), at, &mut portion.stored);
                portion.lines = 1;
            }
            _ => portion.keep_alives = 1,
        }
        Ok(Some(portion))
    }

    fn finish(self: Box<Self>, _at: UtcMs) -> Result<(Portion, Option<String>), IntakeError> {
        Ok((Portion::default(), None))
    }
}

/// Sends readings to whoever asks, as long as it lives.
pub(crate) struct Sender {
    pub(crate) url: String,
    /// While that is set, who asks is refused, and who was let in is let go.
    pub(crate) is_closed: Arc<AtomicBool>,
}

impl Sender {
    pub(crate) fn new(now: fn() -> UtcMs) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let is_closed = Arc::new(AtomicBool::new(false));
        let closed = Arc::clone(&is_closed);
        // ends with the tests' process
        thread::spawn(move || {
            for stream in listener.incoming() {
                let closed = Arc::clone(&closed);
                thread::spawn(move || drop(send(stream.unwrap(), &closed, now)));
            }
        });
        Self { url, is_closed }
    }
}

fn send(stream: TcpStream, closed: &AtomicBool, now: fn() -> UtcMs) -> std::io::Result<()> {
    /// A reading each so many ms of the gauge's clock.
    const EVERY_MS: i64 = 20;
    let mut head = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while head.read_line(&mut line)? > 2 {
        line.clear();
    }
    let mut stream = stream;
    if closed.load(Ordering::SeqCst) {
        return stream
            .write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n")?;
    let mut next = now().0 / EVERY_MS;
    while !closed.load(Ordering::SeqCst) {
        while next < now().0 / EVERY_MS {
            next += 1;
            // names ascend in no order of time
            let name = format!("r-{:08x}", next.wrapping_mul(0x9e37_79b1) & 0xffff_ffff);
            let (time, station) = (UtcMs(next * EVERY_MS), next % 7);
            writeln!(stream, "{name};{time};s-{station};{}", next % 400)?;
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
