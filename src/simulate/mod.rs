//! The simulated X API, the one fake that tests, `demo` and rehearsals share.
//!
//! What it does at each moment follows from the seed, the schedule of faults and its clock; it
//! writes that down as it happens, and that log is the truth which the gaps of an archive are
//! checked against. It shares no code with the stages it tests: only time and the doors.

mod chance;
mod extras;
mod json;
mod snowflake;
mod user;
mod words;

/// Posts made from the seed and the second alone.
pub mod post;
