//! An object store with the S3 API as a place. Only its create-only write is relied on to keep two writers apart.
//!
//! ```text
//! create: PUT If-None-Match: * ─▶ whatever came back, or nothing ─▶ GET, compare ─▶ stands | taken | again
//! ```
//!
//! `answer` (pure) says what an answer means, `request` sends one, `store` asks until it knows, `probe` finds out
//! whether a store keeps the condition.

/// Where in which store: `s3://bucket/prefix`.
pub mod address;

/// What an answer means.
pub mod answer;

/// Whether a store can be trusted with the condition.
pub mod probe;

/// Signs and sends one request.
pub mod request;

/// A prefix of a bucket as a place.
pub mod store;
