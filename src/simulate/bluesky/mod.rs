//! Bluesky's Jetstream: what happens on Bluesky, and instances that tell it, each in its own time.

mod account;
mod frame;
mod instance;
mod name;
mod record;
mod session;
mod shared;
mod socket;
mod wanted;

/// The server on its sockets.
pub mod jetstream;
/// What happens, made from the seed and the second alone.
pub mod world;

pub use frame::dictionary;
pub(super) use session::{Begin, Span};
pub(super) use wanted::Wanted;
