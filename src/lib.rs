//! twinstream collects one stream on two or more servers, merges what they got into one archive,
//! and proves for every second what it has, what it missed, and why.
//!
//! The modules in reading order. Stages (`collect`, `deliver`, `merge`) never import each other:
//! they meet only in files on disk. `ARCHITECTURE.md` has the map and the promises.

/// A type goes into JSON as the text it prints, and comes out by reading that text.
macro_rules! serde_as_text {
    ($($type:ty),*) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(from)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    )*};
}

/// The closed list of alarms, and the log line of one.
#[macro_use]
pub mod alarm;

/// The command line: one file per command, the exit codes, what people see.
pub mod cli;

/// The one TOML file: as written, then as values that cannot be wrong.
pub mod config;

/// Stage 1: from the socket to sealed segments. Understands lines, not posts.
pub mod collect;

/// Stage 2: from one server's spool to the primary's.
pub mod deliver;

/// Stage 3: from all servers' segments to committed vault hours.
pub mod merge;

/// The service beside the collector: starts the other stages on schedule.
pub mod schedule;

/// Stage 4: from committed vault hours to the public folder on OSF.
pub mod publish;

/// One picture of the state: the page, `status`, metrics, alarms and their mails.
pub mod monitor;

/// The statement on a day: certificate, picture, README. A function of its manifests.
pub mod report;

/// By what an archive is found, cited and loaded: a function of configuration, ledger and manifests.
pub mod cite;

/// What an archive has second by second, what it missed, and why. Values only.
pub mod cover;

/// The folders that can be away or be others: recognized, or not used.
pub mod place;

/// How a segment, its events and its seal are stored in the spool.
pub mod segment;

/// What a stream is: each platform in a folder of its own, behind one trait.
pub mod source;

/// How an hour is stored in the vault: files, manifest, ledger.
pub mod vault;

/// Works out again what the files say.
pub mod verify;

/// A copy of days for sharing inside a team, with keyed hashes in place of ids.
pub mod pseudonym;

/// Stage 5: from the ledger to a stamp of an authority.
pub mod witness;

/// Stamps of a time-stamping authority: what is asked, and whether an answer holds.
pub mod stamp;

/// UTC milliseconds, UTC minutes, and the hours of a vault's time zone.
pub mod period;

/// Which hours are one task's of several.
pub mod share;

/// A DOI.
pub mod doi;

/// Numbers and tables for people.
pub mod text;

/// When to ask again: how attempts ended goes in, how long to wait and why comes out.
pub mod backoff;

/// Everything outside the process (clock, disk, locks).
pub mod world;

/// The world outside made from a seed: the simulated X API.
pub mod simulate;

/// Inputs that were tampered with, for parsers that only their own module reaches.
#[cfg(test)]
#[path = "../tests/it/support/fuzz.rs"]
mod fuzz;
