//! One delivery to a folder: plan, send one segment after the other, acknowledge, delete what is settled.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    folder,
    plan::{self, Plan},
    rsync::RsyncError,
    settle,
};
use crate::{
    alarm::AlarmKind,
    period::UtcMs,
    place::{
        mirror::MirrorError,
        open::{NotHere, Spool, Target},
        store::StoreError,
    },
    segment::{
        acks,
        name::{SegmentName, ServerId},
        spool::{self, Walk},
    },
    world::{
        disk::Disk,
        error_at::{At as _, ErrorAt},
    },
};

/// The order for a delivery.
#[derive(Debug)]
pub struct DeliverJob<'a> {
    /// Whose segments.
    pub server: &'a ServerId,
    /// Where they are.
    pub spool: &'a Spool,
    /// The primary's spool.
    pub target: &'a Target,
    /// How long a file stays here after it was acknowledged.
    pub keep_delivered: Duration,
    /// Bytes that must stay free at the target.
    pub keep_free: u64,
}

/// The result.
#[derive(Debug, Default, serde::Serialize)]
pub struct Delivered {
    /// Segments that this delivery put there; a folder acknowledges them at once, a primary over ssh
    /// when it has read them back.
    pub sent: u64,
    /// Segments that lay there already and are not acknowledged yet.
    pub waiting: u64,
    /// Segments that could not be delivered; the log says why, and they are tried again next time.
    pub failed: u64,
    /// Segments deleted here, long after they were acknowledged.
    pub deleted: u64,
}

/// What is said where nothing looks like one.
pub(super) const NO_SPOOL: &str = "no spool is there that this key can see";

/// Why nothing could be delivered at all.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The target is the spool that is to be delivered: deleting there would delete here.
    #[error("deliver_to is this server's own spool: {}", .0.display())]
    OwnSpool(PathBuf),
    /// The target has gone since it was recognized.
    #[error("the target cannot be reached: {0}")]
    Unreachable(#[source] ErrorAt),
    /// The other side, or the way to it.
    #[error(transparent)]
    Rsync(#[from] RsyncError),
    /// The object store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The spool in the object store.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// The primary's spool is away, or another one.
    #[error(transparent)]
    Place(#[from] NotHere),
    /// The primary's spool is not where it should be.
    #[error("{target}: {NO_SPOOL}{why}")]
    NoSpool {
        /// Where it should be.
        target: String,
        /// What was seen instead.
        why: String,
    },
    /// The other side has too little room.
    #[error("{target} accepts nothing at present: {why}")]
    Hold {
        /// Where.
        target: String,
        /// What it says.
        why: String,
    },
    /// The spool here cannot be read, or an acknowledgement not be written.
    #[error(transparent)]
    Io(#[from] ErrorAt),
}

/// What is to be done, without doing it.
pub fn look(disk: &dyn Disk, job: &DeliverJob<'_>, now: UtcMs) -> Result<Plan, DeliverError> {
    refuse_own(job.spool, job.target)?;
    let sealed = spool::sealed(disk, job.spool, job.server).at(job.spool)?;
    let (sealed, unreadable) = tell_unreadable(sealed, job.server);
    let path = acks::path(job.target, job.server);
    let here: BTreeSet<&SegmentName> = sealed.iter().collect();
    let acks = acks::read(disk, &path, |name| here.contains(name)).at(&path)?;
    Ok(Plan {
        unreadable,
        ..plan::plan(sealed, &acks, job.keep_delivered, now)
    })
}

/// Reports the folders that could not be read, which stop nothing; returns what was found, and their number.
pub(super) fn tell_unreadable(
    sealed: Walk<SegmentName>,
    server: &ServerId,
) -> (Vec<SegmentName>, u64) {
    for why in &sealed.unreadable {
        alarm!(
            AlarmKind::Unreadable,
            server,
            "the files there are not delivered: {why}"
        );
    }
    (sealed.found, sealed.unreadable.len() as u64)
}

/// Carries a plan out. `tell` hears of every segment that is done with.
pub fn carry_out(
    disk: &dyn Disk,
    job: &DeliverJob<'_>,
    plan: &Plan,
    now: &dyn Fn() -> UtcMs,
    mut tell: impl FnMut(&SegmentName),
) -> Result<Delivered, DeliverError> {
    let mut delivered = Delivered {
        failed: plan.unreadable,
        ..Delivered::default()
    };
    delivered.settle(disk, job.spool, plan, now())?;
    let path = acks::path(job.target, job.server);
    for name in &plan.send {
        check_room(disk, job)?;
        match folder::send(disk, name, job.spool, job.target, now) {
            Ok(given) => {
                acks::append(disk, &path, &given).at(&path)?;
                delivered.sent += 1;
            }
            Err(why) => delivered.fail(name, &why),
        }
        tell(name);
    }
    forget_acks(disk, job, now())?;
    Ok(delivered)
}

/// Takes acknowledgements out of the list that nobody can ask for any more.
fn forget_acks(disk: &dyn Disk, job: &DeliverJob<'_>, now: UtcMs) -> Result<(), DeliverError> {
    let mut here = BTreeSet::new();
    for spool in [&**job.spool, &**job.target] {
        let sealed = spool::sealed(disk, spool, job.server);
        let sealed = sealed.at(spool)?;
        if !sealed.unreadable.is_empty() {
            // what cannot be seen may still be asked for
            return Ok(());
        }
        here.extend(sealed.found);
    }
    let path = acks::path(job.target, job.server);
    let is_here = |name: &SegmentName| here.contains(name);
    acks::forget(disk, &path, job.keep_delivered, now, is_here).at(&path)?;
    Ok(())
}

impl Delivered {
    /// A segment that is not delivered; the others are.
    pub(super) fn fail(&mut self, name: &SegmentName, why: &dyn std::error::Error) {
        alarm!(
            AlarmKind::NotDelivered,
            "",
            "{name} is not delivered: {why}"
        );
        self.failed += 1;
    }

    /// Deletes here what has been acknowledged for long enough.
    pub(super) fn settle(
        &mut self,
        disk: &dyn Disk,
        spool: &Path,
        plan: &Plan,
        now: UtcMs,
    ) -> Result<(), DeliverError> {
        for settled in &plan.settled {
            match settle::remove(disk, settled, spool) {
                Ok(()) => self.deleted += 1,
                Err(why) => self.fail(&settled.name, &why),
            }
        }
        let names = plan.settled.iter().map(|settled| &settled.name);
        Ok(spool::remove_empty_folders(disk, spool, names, now).at(spool)?)
    }
}

/// The disk there keeps its reserve: the collector of that machine may be writing to it.
fn check_room(disk: &dyn Disk, job: &DeliverJob<'_>) -> Result<(), DeliverError> {
    let free = disk
        .free(job.target)
        .at(job.target)
        .map_err(DeliverError::Unreachable)?;
    if free < job.keep_free {
        return Err(DeliverError::Hold {
            target: job.target.display().to_string(),
            why: format!(
                "{free} bytes are free there, merge.keep_free is {}",
                job.keep_free
            ),
        });
    }
    Ok(())
}

/// The target must not be the spool itself, whatever the way to it.
pub fn refuse_own(spool: &Path, target: &Path) -> Result<(), DeliverError> {
    match (target.canonicalize(), spool.canonicalize()) {
        (Ok(target), Ok(spool)) if target == spool => Err(DeliverError::OwnSpool(target)),
        _ => Ok(()),
    }
}
