//! The signals that ask a process to end: the first one asks for an orderly end, the second one ends it at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit code of a process that was told to end at once, as shells know it for SIGINT.
const ENDED_AT_ONCE: i32 = 130;

/// They; a terminal that is closed is one of them.
#[derive(Debug)]
pub struct Asked([Signal; 3]);

impl Asked {
    /// From now on they are heeded.
    pub fn new() -> io::Result<Self> {
        Ok(Self([
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        let [term, interrupt, hangup] = &mut self.0;
        tokio::select! {
            _ = term.recv() => (),
            _ = interrupt.recv() => (),
            _ = hangup.recv() => (),
        }
    }
}

/// What is synced is safe, and a user who asks twice does not want to wait for the rest.
#[expect(
    clippy::exit,
    reason = "a second signal ends the process wherever it is; nothing may be run after it"
)]
pub fn end_at_once() {
    std::process::exit(ENDED_AT_ONCE);
}
