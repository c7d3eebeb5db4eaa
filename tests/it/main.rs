//! The behaviour of the whole: the built binary, real files, real processes, real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on fails, and it looks at the program with its own clock and files"
)]

mod bluesky;
mod cite;
mod clock;
mod closed;
mod collect;
mod deletions;
mod deliver;
mod delta_log;
mod disk;
mod documents;
mod doi;
mod faults;
mod fuzz;
mod install;
mod late;
mod life;
mod merge;
mod mergers;
mod object_store;
mod over_ssh;
mod places;
mod planted;
mod power;
mod pseudonymise;
mod publish;
mod redact;
mod rehearsal;
mod report;
mod retain;
mod service;
mod simulate;
mod soak;
mod support;
mod tidy;
mod toy;
mod unreadable;
mod users_files;
mod vault;
mod week;
mod week_bluesky;
mod whole;
mod witness;
mod world;
