//! The order for a merge, its progress, and why nothing could be merged at all.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{
    deletions::Honour,
    index::Indexes,
    outcome::CommittedHour,
    plan::{Span, When},
    redact::{RedactError, Scrubber},
    sweep::{Sweep, SweepError},
};
use crate::{
    config::settings::{Merge, Role, Server},
    period::{Hour, UtcMs, ms},
    place::{
        open::{Spool, Vault},
        segments::{Bring, Elsewhere},
    },
    segment::name::{Leg, ServerId},
    share::Share,
    source::Stream,
    vault::{
        commit::{Commits, HourOfVault},
        deleted::DeletedError,
        identity::IdentityError,
        ledger::LedgerError,
        listings::Listings,
        redactions::{Redactions, RedactionsError},
        xz::Compress,
    },
    world::{disk::Disk, error_at::ErrorAt},
};

/// The order for a merge.
#[derive(Clone, Copy)]
pub struct MergeJob<'a> {
    /// The file system.
    pub disk: &'a dyn Disk,
    /// For indexes and what does not fit into memory.
    pub data_dir: &'a Path,
    /// The segments of all servers.
    pub spool: &'a Spool,
    /// The vault.
    pub vault: &'a Vault,
    /// Where its hours are committed.
    pub commits: &'a dyn Commits,
    /// From where segments were fetched.
    pub elsewhere: Elsewhere<'a>,
    /// Fetches more of them: what a revision was made of that another machine has made, and is not here.
    pub bring: Bring<'a>,
    /// Its stream.
    pub stream: Stream,
    /// `[merge]`
    pub settings: &'a Merge,
    /// The configured servers. Others are merged too, with a warning.
    pub servers: &'a [Server],
    /// When deletions are honoured.
    pub honour: Honour,
    /// Only these hours, and these at once; empty: all that are due.
    pub asked: &'a BTreeSet<Hour>,
    /// Which of the hours that are due are this merge's.
    pub share: Option<Share>,
    /// What compresses files: what `settings.xz` says, unless a benchmark brings its own.
    pub compress: &'a dyn Compress,
    /// How many threads may work.
    pub threads: usize,
    /// Bytes of lines that make a unit of work.
    pub unit_bytes: u64,
    /// Now.
    pub now: UtcMs,
}

/// How far a merge is.
#[derive(Debug)]
pub enum Step<'a> {
    /// How many segments are indexed, of how many.
    Stock(usize, usize),
    /// How many hours may be due.
    Hours(usize),
    /// One of them is done with.
    Hour(Option<&'a CommittedHour>),
}

/// Why nothing could be merged at all.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// The vault is another one than the configuration's.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The ledger.
    #[error("the ledger cannot be used: {0}")]
    Ledger(#[from] LedgerError),
    /// A deletion that was cut off cannot be finished.
    #[error("a deletion that was cut off cannot be finished: {0}")]
    Sweep(#[from] SweepError),
    /// The list of what is to stay out.
    #[error("the list of redactions cannot be used: {0}")]
    Redactions(#[from] RedactionsError),
    /// The lists of what was deleted.
    #[error("the list of deletions cannot be used: {0}")]
    Deleted(#[from] DeletedError),
    /// Posts that are to stay out could not be taken out.
    #[error("posts that must stay out could not be taken out: {0}")]
    Redact(#[from] RedactError),
    /// A folder.
    #[error(transparent)]
    Io(#[from] ErrorAt),
}

impl MergeJob<'_> {
    pub(super) fn indexes<'a>(
        &'a self,
        folder: &'a Path,
        keep: bool,
        redactions: &'a Redactions,
    ) -> Indexes<'a> {
        Indexes {
            disk: self.disk,
            stream: self.stream.word,
            spool: self.spool,
            folder,
            keep,
            redactions,
        }
    }

    /// Where posts are taken out on request.
    pub fn scrubber(&self) -> Scrubber<'_> {
        Scrubber {
            disk: self.disk,
            data_dir: self.data_dir,
            spool: self.spool,
            vault: self.vault,
            zone: &self.settings.timezone,
            source: self.stream.source,
            commits: self.commits,
            elsewhere: self.elsewhere,
        }
    }

    /// What is committed, by the names alone.
    pub(super) fn listings(&self) -> Listings<'_> {
        Listings::read(self.disk, (self.data_dir, self.vault), self.now)
    }

    pub(super) fn index_dir(&self) -> PathBuf {
        self.data_dir.join("index")
    }

    pub(super) fn sweep<'a>(&'a self, indexes: Indexes<'a>) -> Sweep<'a> {
        Sweep {
            disk: self.disk,
            data_dir: self.data_dir,
            vault: self.vault,
            indexes,
            elsewhere: self.elsewhere,
            commits: self.commits,
            keep_raw: self.settings.keep_raw,
            threads: self.threads,
            now: self.now,
        }
    }

    pub(super) fn when(&self, span: Span, now: UtcMs) -> When<'_> {
        When {
            zone: &self.settings.timezone,
            span,
            settle_ms: ms(self.settings.settle),
            now,
            primary: self.primary(),
            servers: self.servers,
        }
    }

    pub(super) fn primary(&self) -> Option<&ServerId> {
        let mut servers = self.servers.iter();
        let primary = servers.find(|server| server.role == Role::Primary);
        primary.map(|server| &server.id)
    }

    /// The legs of the configured servers that have not ended before an hour.
    pub(super) fn expected(&self, hour: Hour) -> Vec<Leg> {
        let servers = self.servers.iter();
        servers
            .filter(|server| server.is_there(hour))
            .flat_map(Server::legs)
            .collect()
    }

    pub(super) fn place(&self, hour: Hour) -> HourOfVault<'_> {
        HourOfVault {
            disk: self.disk,
            vault: self.vault,
            hour,
        }
    }
}
