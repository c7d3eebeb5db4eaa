//! One picture of the state, and everything that shows it: the page, `status`, `/metrics`, the alarms and their
//! mails.
//!
//! ```text
//! disk ──gather──▶ Facts ──snapshot──▶ Snapshot ─┬─▶ page, text, metrics
//!                                                └─alarm──▶ what began, what ended ──letters──▶ queue ──send──▶ SMTP
//! ```
//!
//! It knows the stages only by the files they write, so it shows the same after a crash, from another
//! process, and of a service that is not running.

/// Which states a person has to do something about.
pub mod alarm;

/// The mail of a day.
pub mod daily;

/// What lies on the disk, as far as the picture needs it.
pub mod facts;

/// From the disk to the facts.
pub mod gather;

/// The page on its socket.
pub mod http;

/// What the mails say.
pub mod letters;

/// What a server's connection is like.
pub mod link;

/// The picture for Prometheus.
pub mod metrics;

/// The picture as a page.
pub mod page;

/// Mails that wait to be sent.
pub mod queue;

/// Days whose certificate was remade, until a mail mentions them.
pub mod renewed;

/// Hands a letter to a mail server.
pub mod send;

/// The picture itself.
pub mod snapshot;

mod spool;

/// The picture in a terminal.
pub mod text;

/// The threads that look and write.
pub mod threads;
