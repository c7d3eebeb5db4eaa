//! The order for a run, and whether it may begin.

use std::path::Path;

use super::{osf::Osf, outcome::PublishError, retry::Retries, upload::RetryingClient};
use crate::{
    config::{
        proxy::Proxies,
        settings::{Publish, Secret},
    },
    place::open::Vault,
    source::Stream,
    vault::published::{self, LastRun, Published},
    world::{
        clock::Clock,
        disk::Disk,
        error_at::{At as _, ErrorAt},
    },
};

/// The order for a run.
pub struct PublishJob<'a> {
    /// The file system.
    pub disk: &'a dyn Disk,
    /// The folder of the diary, the folders and the last run's result.
    pub data_dir: &'a Path,
    /// What is to be public.
    pub vault: &'a Vault,
    /// Its stream.
    pub stream: Stream,
    /// Where.
    pub settings: &'a Publish,
    /// Bytes that must stay free.
    pub keep_free: u64,
    /// The token.
    pub token: &'a Secret,
    /// The network's proxies.
    pub proxies: &'a Proxies,
    /// Tells the time and waits.
    pub clock: &'a Clock,
    /// Chance from 0 to 1.
    pub chance: &'a dyn Fn() -> f64,
    /// Whether a merge is at work: what it has not finished yet is not wrong.
    pub merging: &'a dyn Fn() -> bool,
}

impl PublishJob<'_> {
    /// Whether anything may be asked now: there is room, and the service has not asked for time.
    pub fn may_begin(&self) -> Result<(), PublishError> {
        let free = self.disk.free(self.data_dir);
        let free = free.at(self.data_dir)?;
        if free < self.keep_free {
            return Err(PublishError::Room {
                path: self.data_dir.to_owned(),
                free,
                keep_free: self.keep_free,
            });
        }
        let last = LastRun::read(self.disk, self.data_dir);
        match last.and_then(|last| last.asks_to_wait(self.clock.now())) {
            Some(until) => Err(PublishError::NotYet(until)),
            None => Ok(()),
        }
    }

    /// The diary as it is.
    pub fn diary(&self) -> Result<Published, ErrorAt> {
        let path = published::path(self.data_dir);
        Published::read(self.disk, &path).at(&path)
    }

    /// A client that repeats calls so often.
    pub(super) fn client<'o>(&'o self, osf: &'o Osf<'o>, retries: Retries) -> RetryingClient<'o> {
        RetryingClient {
            osf,
            retries,
            clock: self.clock,
            chance: self.chance,
        }
    }
}
