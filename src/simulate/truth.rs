//! The truth log: what the simulator did, as JSON lines, each written out as it happens.
//!
//! Every line has `at`, the instant on the simulator's clock, and `event`. A line is handed to the kernel before the
//! simulator continues, so that nothing is lost when it is killed.

use std::{
    fmt,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;

use super::{
    bluesky::{self, Begin, Wanted, happened::HappenedKind},
    fault::Name,
    osf::site::{Met, Service},
    rules::Rule,
    session::Span,
};
use crate::period::UtcMs;

/// Where the truth goes. Clones write to the same place.
#[derive(Clone)]
pub struct Truth(Arc<Mutex<Inner>>);

struct Inner {
    out: Option<Box<dyn Write + Send>>,
    failed: Option<io::Error>,
}

impl fmt::Debug for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Truth")
    }
}

#[derive(Serialize)]
struct Entry<'a> {
    at: UtcMs,
    #[serde(flatten)]
    event: Event<'a>,
}

/// What is worth knowing.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event<'a> {
    /// The simulator began.
    Start { seed: u64, listeners: &'a [String] },
    /// A request was answered.
    Request {
        listener: usize,
        request: u64,
        path: &'a str,
        query: &'a str,
        status: u16,
        /// The number of the fault that gave the answer.
        #[serde(skip_serializing_if = "Option::is_none")]
        fault: Option<usize>,
    },
    /// The rules of the filtered stream are these from now on.
    Rules { rules: &'a [Rule] },
    /// A stream was opened.
    Open {
        connection: u64,
        listener: usize,
        /// Which one on its listener.
        stream: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        partition: Option<u8>,
        backfill_minutes: i64,
        gzip: bool,
    },
    /// Posts went out on a stream: all of the feed between two delivery moments of one second.
    Sent {
        connection: u64,
        #[serde(flatten)]
        span: Span,
    },
    /// An empty line went out on a stream.
    KeepAlive { connection: u64 },
    /// A fault begins or ends.
    Fault {
        phase: Phase,
        fault: usize,
        round: i64,
        kind: Name,
        #[serde(skip_serializing_if = "Option::is_none")]
        listener: Option<usize>,
        begin: UtcMs,
        end: UtcMs,
    },
    /// A fault has hit a stream.
    Hit {
        connection: u64,
        fault: usize,
        round: i64,
        kind: Name,
    },
    /// Somebody subscribed at an instance of Jetstream.
    Subscribe {
        connection: u64,
        listener: usize,
        /// Which one on its listener.
        stream: u64,
        #[serde(flatten)]
        wanted: &'a Wanted,
        compress: bool,
        hello: bool,
    },
    /// From here on a subscriber gets events.
    Begin {
        connection: u64,
        #[serde(flatten)]
        begin: Begin,
    },
    /// A subscriber wants something else.
    Update {
        connection: u64,
        #[serde(flatten)]
        wanted: &'a Wanted,
    },
    /// Events went out: all that reached the instance in one second.
    Delivered {
        connection: u64,
        #[serde(flatten)]
        span: bluesky::Span,
    },
    /// A subscriber has taken nothing for too long, and is told so before it is disconnected.
    SlowReader { connection: u64 },
    /// A subscription is over.
    Unsubscribe {
        connection: u64,
        why: EndReason,
        /// The code of the close frame that was sent.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<u16>,
        events: u64,
        first: Option<&'a str>,
        last: Option<&'a str>,
    },
    /// A post was made, changed or deleted on Bluesky, or something happened to an account.
    Exists {
        key: &'a str,
        #[serde(flatten)]
        what: &'a HappenedKind,
        time: UtcMs,
        /// When each instance says that it came; null if it never does.
        time_us: &'a [Option<i64>],
    },
    /// A stream is over.
    Close {
        connection: u64,
        why: EndReason,
        posts: u64,
    },
    /// A port is closed or open again.
    Port { listener: usize, open: bool },
    /// The mail server has kept a mail.
    Mail { file: &'a str, bytes: usize },
    /// The mail server has not taken a mail.
    MailRefused { words: &'a str },
    /// The mail server's port is closed or open again.
    SmtpPort { open: bool },
    /// A request to the simulated OSF was answered, or was not.
    Osf {
        service: Service,
        request: u64,
        method: &'a str,
        path: &'a str,
        query: &'a str,
        /// Absent when there was no answer.
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// Whether a credential came with it.
        authorization: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        fault: Option<Met>,
    },
    /// A new version is in the simulated OSF.
    OsfStored {
        path: &'a str,
        version: usize,
        sha256: &'a str,
        bytes: u64,
    },
    /// The simulator ended.
    Stop,
}

/// Which end of a fault.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    Begin,
    End,
}

/// Why a stream is over.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EndReason {
    /// The client went away.
    Client,
    /// The client did not read.
    SlowReader,
    /// The simulator ended.
    Stop,
    /// A fault: the body ended, the connection was reset, or closed in mid-chunk.
    Clean,
    Reset,
    Cut,
    /// A fault: the connection was closed between two frames.
    Drop,
    /// The client asked for something that makes no sense.
    Invalid,
}

impl Truth {
    /// Writes to that place.
    pub fn to(out: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            out: Some(Box::new(out)),
            failed: None,
        })))
    }

    /// Writes nowhere.
    pub fn nowhere() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            out: None,
            failed: None,
        })))
    }

    /// Writes one line. A failure ends the simulator: see [`Truth::failure`].
    pub(super) fn tell(&self, at: UtcMs, event: Event<'_>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(out) = &mut inner.out else {
            return;
        };
        let written = serde_json::to_vec(&Entry { at, event })
            .map_err(io::Error::from)
            .and_then(|mut line| {
                line.push(b'\n');
                out.write_all(&line)?;
                out.flush()
            });
        if let Err(error) = written {
            inner.out = None;
            inner.failed = Some(error);
        }
    }

    /// Whether anything is written.
    pub(super) fn is_kept(&self) -> bool {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.out.is_some()
    }

    /// Why the log is incomplete, if it is; reported once.
    pub(super) fn failure(&self) -> Option<io::Error> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.failed.take()
    }
}
