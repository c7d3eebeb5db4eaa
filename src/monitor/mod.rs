//! One picture of the state, and everything that shows it: the page, `status`, `/metrics`, the alarms and their
//! mails.
//!
//! ```text
//! disk ──gather──▶ Facts ──snapshot──▶ Snapshot ─┬─▶ page, plain_text, metrics
//!                                                └─alarm──▶ what began, what ended ──mail_texts──▶ queue ──send──▶ SMTP
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

/// What a server's connection is like.
pub mod link;

/// What the mails say.
pub mod mail_texts;

/// The picture for Prometheus.
pub mod metrics;

/// The picture as a page.
pub mod page;

/// The picture as plain text.
pub mod plain_text;

/// Mails that wait to be sent.
pub mod queue;

/// Days whose certificate was remade, until a mail mentions them.
pub mod renewed;

/// Hands a mail to a mail server.
pub mod send;

/// The picture itself.
pub mod snapshot;

mod spool;

/// The threads that look and write.
pub mod threads;
