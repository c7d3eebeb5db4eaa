//! Stage 5: an authority of time-stamping stamps the ledger's last line, once a day.
//!
//! ```text
//! ledger, stamps ──plan──▶ ask (the authority) ──▶ stamp (does the answer hold?) ──▶ vault/witness/
//! ```
//!
//! Nothing waits for it: an authority that is away, or whose answer does not hold, is a warning.

/// One call.
pub mod ask;

/// Whether one is due.
pub mod plan;

/// One run.
pub mod run;
