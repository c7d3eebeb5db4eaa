//! What several tests need.

/// An API by hand, one closure per test.
pub(crate) mod api;

/// A time-stamping authority.
pub(crate) mod authority;

/// A disk in memory that forgets at a power cut what was not synced.
pub(crate) mod disk;

/// Events of Bluesky of many shapes, and what servers received of them.
pub(crate) mod events;

/// What lies below a folder.
pub(crate) mod folder;

/// Inputs that were tampered with.
pub(crate) mod fuzz;

/// An object store with faults.
pub(crate) mod object_store;

/// A simulated OSF, and a primary that publishes to it.
pub(crate) mod osf;

/// Simulated time that passes no faster than this machine can follow.
pub(crate) mod pace;

/// What servers record of themselves.
pub(crate) mod recorded;

/// Ports for what is told by number where it listens.
pub(crate) mod port;

/// Posts of many shapes, and a spool with what servers received of them.
pub(crate) mod posts;

/// A primary with its spool and vault.
pub(crate) mod primary;

/// A proxy with `CONNECT`.
pub(crate) mod proxy;

/// A collector with its folder.
pub(crate) mod site;

/// Which simulated worlds are tried.
pub(crate) mod seeds;

/// What this machine lacks, said so that it is seen.
pub(crate) mod skipped;

/// A real sshd on loopback.
pub(crate) mod sshd;
