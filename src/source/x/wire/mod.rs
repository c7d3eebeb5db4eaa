//! How X is asked for a stream, and what its bytes are.

pub use api::{Api, NotAToken};
pub use notice::read_refusal;

/// The stream, as the collector sees it.
mod api;
/// Turns bytes into lines.
mod frame;
/// Whether the API answers at all: `check` asks that too.
pub mod impostor;
/// From the bytes of one response to what is stored of them.
mod intake;
/// What the API says about itself.
mod notice;
/// Path and parameters of the request.
mod query;
/// The rules of the filtered stream: how they are asked for and changed.
pub mod rules;
