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

/// What happens, made from the seed and the second alone.
pub mod happened;
/// The server on its sockets.
pub mod jetstream;
/// The records that it happens to.
pub mod world;

pub use frame::dictionary;
pub(super) use session::{Begin, Span};
pub(super) use wanted::Wanted;
