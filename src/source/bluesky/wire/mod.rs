//! How Bluesky's Jetstream is asked for events, and what its messages are.

pub use subscribe::{Subscribe, Unusable};

/// When messages are as old as they always are.
mod live;
/// Turns messages into lines.
mod messages;
/// The stream, as the collector sees it.
mod subscribe;
