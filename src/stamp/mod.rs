//! RFC 3161: what a time-stamping authority is asked, and whether its answer holds. Pure.
//!
//! ```text
//! request ──▶ authority ──▶ answer ──token──▶ time, hash, nonce
//!                                     ▲
//!                      trust: its certificate and ours
//! ```

/// The elements of DER, one after the other.
mod element;

/// What the authority is asked.
pub mod request;

/// What it answered, and whether that is signed by it.
pub mod token;

/// Whose signature is believed.
pub mod trust;
