//! Ports for what is told by number where it listens.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
};

/// Below those that the kernel gives to whoever asks for any, so that nobody gets this one meanwhile.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// A port where nobody listens; no other test of this process gets it.
pub(crate) fn free_port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // processes that run at the same time begin far from each other
    let begin = std::process::id() as u16 % 200 * 100;
    loop {
        let nth = GIVEN.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (begin + nth) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
