//! Stage 1: from the socket to sealed segments. Understands lines, not posts.
//!
//! ```text
//! connect ▶ session ▶ intake (the source's) ▶ outbox ═queue═▶ threads: write │ sync, seal
//!             ▲                                          pulse: one record a minute
//!            run ◀ backoff: when to try again
//! ```
//!
//! One task reads, one thread writes, one thread syncs and seals; nothing on the disk's side can
//! hold up reading before the queue between them is full. A connection's end is never the
//! process's end: only a signal or a failing disk is.

#![deny(clippy::indexing_slicing, clippy::string_slice)]

pub use connect::ApiError;
pub use progress::Progress;
pub use right::RightMemory;
pub use run::{CollectError, Collector};
pub use trial::{NoStream, trial};

/// What each minute was like: the record `alive`. Pure, so that a simulated week can use it too.
pub mod pulse;

/// What the unit tests of attempts need.
#[cfg(test)]
mod fixture;

mod connect;
mod earlier;
mod fault;
mod halt;
mod handshake;
mod http;
mod log;
mod matched;
mod outbox;
mod progress;
mod right;
mod rules;
mod run;
mod session;
mod threads;
mod trial;
mod tunnel;
