//! The world outside: the X API, Bluesky's Jetstream, OSF and a mail server, the one fake that tests, `demo` and rehearsals share.
//!
//! The seed, the schedule of faults and its clock determine what it does at each moment; it
//! writes that down as it happens, and that log is the truth which the gaps of an archive are
//! checked against. It shares no code with the stages it tests: only time and `world`.

mod ask;
mod chance;
mod draft;
mod extras;
mod feed;
mod gate;
mod json;
mod kept;
mod respond;
mod rules;
mod selection;
mod session;
mod smtp_dialogue;
mod snowflake;
mod stream;
mod user;
mod wire;
mod words;
mod x_shared;

/// Every answer that is not a stream.
pub mod answer;
/// Bluesky's Jetstream.
pub mod bluesky;
/// Faults as they are written, and as what they are.
pub mod fault;
/// Lines that are no good posts.
pub mod garbage;
/// OSF and WaterButler, over a directory.
pub mod osf;
/// What every API does on its ports.
pub mod ports;
/// Posts made from the seed and the second alone.
pub mod post;
/// A schedule of faults that nobody wrote.
pub mod random;
/// What decides which posts there are.
pub mod recipe;
/// Lines of a file in place of generated posts.
pub mod replay;
/// Which faults happen when.
pub mod schedule;
/// A mail server that takes mail into files.
pub mod smtp;
/// What goes wrong with it.
pub mod smtp_fault;
/// The log of what was done.
pub mod truth;
/// The API of X on its sockets.
pub mod x;
pub use gate::Limits;
