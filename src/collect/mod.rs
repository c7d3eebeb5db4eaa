//! Stage 1.
mod frame;
mod gunzip;
mod notice;
mod pulse;
mod query;
