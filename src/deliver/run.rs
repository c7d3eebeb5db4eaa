//! One delivery: plan, send one segment after the other, acknowledge, delete what is settled.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    folder,
    plan::{self, Plan},
};
use crate::{
    period::UtcMs,
    segment::{
        acks,
        name::{SegmentName, ServerId},
        raw, spool,
    },
    world::disk::Disk,
};

/// What a delivery is told.
#[derive(Debug)]
pub struct Job<'a> {
    /// Whose segments.
    pub server: &'a ServerId,
    /// Where they are.
    pub spool: &'a Path,
    /// The primary's spool.
    pub target: &'a Path,
    /// How long a file stays here after it was acknowledged.
    pub keep_delivered: Duration,
}

/// What came of it.
#[derive(Debug, Default, serde::Serialize)]
pub struct Delivered {
    /// Segments that are safe at the target since this delivery.
    pub sent: u64,
    /// Segments that could not be delivered; the log says why, and they are tried again next time.
    pub failed: u64,
    /// Segments deleted here, long after they were acknowledged.
    pub deleted: u64,
}

/// Why nothing could be delivered at all.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The target is the spool that is to be delivered: deleting there would delete here.
    #[error("deliver_to is this server's own spool: {}", .0.display())]
    OwnSpool(PathBuf),
    /// The target's parent folder is missing, as when a disk is not mounted.
    #[error("the target cannot be reached: {}: {source}", path.display())]
    Unreachable {
        /// The folder above the target.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The spool here cannot be read, or an acknowledgement not be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What is to be done, without doing it.
pub fn look(disk: &dyn Disk, job: &Job<'_>, now: UtcMs) -> Result<Plan, DeliverError> {
    check_target(job)?;
    let here = |source| DeliverError::Io {
        path: job.spool.to_owned(),
        source,
    };
    let sealed = spool::sealed(disk, job.spool, job.server).map_err(here)?;
    let path = acks::path(job.target, job.server);
    let acks = acks::read(disk, &path).map_err(|source| DeliverError::Io { path, source })?;
    Ok(plan::plan(sealed, &acks, job.keep_delivered, now))
}

/// Carries a plan out. `tell` hears of every segment that is done with.
pub fn carry_out(
    disk: &dyn Disk,
    job: &Job<'_>,
    plan: &Plan,
    now: &dyn Fn() -> UtcMs,
    mut tell: impl FnMut(&SegmentName),
) -> Result<Delivered, DeliverError> {
    let mut delivered = Delivered::default();
    let path = acks::path(job.target, job.server);
    for name in &plan.send {
        match folder::send(disk, name, job.spool, job.target, now) {
            Ok(given) => {
                acks::append(disk, &path, &given).map_err(|source| DeliverError::Io {
                    path: path.clone(),
                    source,
                })?;
                delivered.sent += 1;
            }
            Err(why) => {
                tracing::error!(alarm = "delivery", segment = %name, "not delivered: {why}");
                delivered.failed += 1;
            }
        }
        tell(name);
    }
    for name in &plan.settled {
        raw::remove(disk, &name.paths(job.spool)).map_err(|source| DeliverError::Io {
            path: job.spool.join(name.folder()),
            source,
        })?;
        delivered.deleted += 1;
    }
    let settled = plan.settled.iter();
    spool::remove_empty_folders(disk, job.spool, settled, now()).map_err(|source| {
        DeliverError::Io {
            path: job.spool.to_owned(),
            source,
        }
    })?;
    Ok(delivered)
}

/// The folder above the target must be there (else a disk is not mounted), and the target must not
/// be the spool itself.
fn check_target(job: &Job<'_>) -> Result<(), DeliverError> {
    let parent = job.target.parent().unwrap_or(Path::new("/"));
    if let Err(source) = parent.read_dir() {
        return Err(DeliverError::Unreachable {
            path: parent.to_owned(),
            source,
        });
    }
    match (job.target.canonicalize(), job.spool.canonicalize()) {
        (Ok(target), Ok(spool)) if target == spool => Err(DeliverError::OwnSpool(target)),
        _ => Ok(()),
    }
}
