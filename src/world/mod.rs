//! The world: everything outside the process that a stage may touch, one small file each.
//!
//! The sockets of `collect` and `simulate` are the exception: they use hyper.

/// HTTP calls, one at a time.
pub mod agent;

/// The one reader of the system's clocks, and the only way to wait.
pub mod clock;

/// Places at which a test can have the process killed.
pub mod crash;

/// Files: the one trait of the project, because the tests really implement it a second time.
pub mod disk;

/// Errors of files, with the file.
pub mod error_at;

/// The disk of unit tests, which fails as it is told to.
#[cfg(test)]
pub mod faulty;

/// Files that only grow, read on from where one was.
pub mod growing;

/// Where memory comes from.
mod heap;

/// Somebody else's command, within a bounded time.
pub mod hook;

/// One lock per data directory and stage, which dies with its holder.
pub mod lock;

/// What a panic does.
pub mod panic;

/// Files that a user names.
pub mod users_file;

/// What a child of the service says to the kernel about itself, and how one is ended.
pub mod process;

/// The signals that ask a process to end.
pub mod signals;

/// What TLS says of a certificate.
pub mod tls;

/// Work done by several threads, taken in order.
pub mod workers;
