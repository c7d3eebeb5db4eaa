//! The right to backfill, which not every contract includes. X tells it only by refusing a request, so what one leg
//! learns counts for all of them, and a refusal also for the runs of a day: each of them would cost requests.

use std::{
    cell::Cell,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::{
    period::UtcMs,
    source::wire::Resume,
    world::{
        clock::Clock,
        disk::{self, Disk},
    },
};

/// The version of the file.
const FORMAT: u32 = 1;

/// It has three members.
const BYTES_MAX: u64 = 4 * 1024;

/// How long a refusal is believed: contracts change.
const BELIEVED_MS: i64 = 24 * 3_600_000;

/// How long other legs wait for what the first one is answered, in real time.
const ANSWER: Duration = Duration::from_secs(2);

/// `<data_dir>/backfill.json`: the last refusal.
#[derive(Debug, Serialize, Deserialize)]
struct Refusal {
    format: u32,
    refused: UtcMs,
    /// What the request depended on.
    asked: String,
}

/// What later runs know of the right. It may be deleted at any time.
#[derive(Debug, Clone)]
pub struct RightMemory {
    path: PathBuf,
    asked: String,
}

impl RightMemory {
    /// Of requests that depend on that: another token or stream may have another right.
    pub fn new(data_dir: &Path, asked: &str) -> Self {
        Self {
            path: data_dir.join("backfill.json"),
            asked: asked.to_owned(),
        }
    }

    /// When backfill was last refused, if that is still to be believed.
    pub fn refused(&self, disk: &dyn Disk, now: UtcMs) -> Option<UtcMs> {
        let known: Refusal = disk::noted(disk, &self.path, BYTES_MAX)?;
        let is_recent = (0..BELIEVED_MS).contains(&now.0.saturating_sub(known.refused.0));
        (known.format == FORMAT && known.asked == self.asked && is_recent).then_some(known.refused)
    }

    /// Remembers a refusal.
    pub fn remember(&self, disk: &dyn Disk, now: UtcMs) -> io::Result<()> {
        let known = Refusal {
            format: FORMAT,
            refused: now,
            asked: self.asked.clone(),
        };
        let mut json = serde_json::to_vec(&known)?;
        json.push(b'\n');
        disk::put(disk, &self.path, &json)
    }

    /// It was granted.
    pub fn forget(&self, disk: &dyn Disk) -> io::Result<()> {
        disk::remove_if_there(disk, &self.path)
    }
}

/// What the legs of a server know of the right.
pub(super) struct Right {
    memory: Option<RightMemory>,
    disk: Arc<dyn Disk>,
    clock: Clock,
    /// Backfill was granted in this run.
    is_granted: Cell<bool>,
    /// A request with backfill was refused in this run …
    is_refused: Cell<bool>,
    /// … and one without it was not, so it was the backfill.
    is_certain: Cell<bool>,
    /// A leg has asked for backfill and has no answer yet.
    is_asked: Cell<bool>,
    answered: Notify,
}

/// A leg's turn to ask for backfill; it ends with the answer.
pub(super) struct Turn<'a>(&'a Right);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.is_asked.set(false);
        self.0.answered.notify_waiters();
    }
}

impl Right {
    pub(super) fn new(memory: Option<RightMemory>, disk: Arc<dyn Disk>, clock: Clock) -> Self {
        Self {
            memory,
            disk,
            clock,
            is_granted: Cell::new(false),
            is_refused: Cell::new(false),
            is_certain: Cell::new(false),
            is_asked: Cell::new(false),
            answered: Notify::new(),
        }
    }

    /// When an earlier run, or `check`, was refused backfill.
    pub(super) fn refused_before(&self) -> Option<UtcMs> {
        let memory = self.memory.as_ref()?;
        memory.refused(&*self.disk, self.clock.now())
    }

    /// While nobody knows whether backfill is granted, one leg asks for it, and the others wait for its answer.
    pub(super) async fn turn(&self) -> Option<Turn<'_>> {
        while !self.is_granted.get() && !self.is_refused.get() {
            if !self.is_asked.replace(true) {
                return Some(Turn(self));
            }
            let answered = self.answered.notified();
            if tokio::time::timeout(ANSWER, answered).await.is_err() {
                break;
            }
        }
        None
    }

    /// A stream was opened.
    pub(super) fn opened(&self, resume: Resume) {
        match resume {
            Resume::Minutes(_) if !self.is_granted.replace(true) => {
                self.keep(|memory, disk, _| memory.forget(disk));
            }
            Resume::Live if self.is_refused.get() && !self.is_certain.replace(true) => {
                self.keep(RightMemory::remember);
            }
            Resume::Minutes(_) | Resume::Live | Resume::Since(_) => (),
        }
    }

    /// A request with backfill was refused.
    pub(super) fn refused(&self) {
        self.is_refused.set(true);
    }

    /// Changes the file beside the collecting, which does not wait for a disk.
    fn keep(
        &self,
        how: impl FnOnce(&RightMemory, &dyn Disk, UtcMs) -> io::Result<()> + Send + 'static,
    ) {
        let Some(memory) = self.memory.clone() else {
            return;
        };
        let (disk, now) = (Arc::clone(&self.disk), self.clock.now());
        tokio::task::spawn_blocking(move || {
            if let Err(error) = how(&memory, &*disk, now) {
                tracing::warn!("whether backfill is granted is not remembered: {error}");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::disk::RealDisk;

    #[test]
    fn a_refusal_is_believed_for_a_day_by_whoever_asks_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let of = |asked: &str| RightMemory::new(dir.path(), asked);
        let begin = UtcMs(1_795_442_709_123);
        let refused = |asked: &str, after_ms: i64| {
            let at = of(asked).refused(&RealDisk, begin.plus_ms(after_ms));
            assert!(at.is_none_or(|at| at == begin));
            at.is_some()
        };
        assert!(!refused("one", 0), "nothing is known");
        of("one").remember(&RealDisk, begin).unwrap();
        assert!(refused("one", 0) && refused("one", BELIEVED_MS - 1));
        assert!(!refused("one", BELIEVED_MS) && !refused("one", -1));
        assert!(!refused("other", 0), "another token or stream");
        of("one").forget(&RealDisk).unwrap();
        assert!(!refused("one", 0));
        of("one").forget(&RealDisk).unwrap();
    }

    #[tokio::test]
    async fn one_leg_asks_and_the_others_wait_for_its_answer() {
        let right = Right::new(None, Arc::new(RealDisk), Clock::system());
        let first = right.turn().await;
        assert!(first.is_some());
        let others = async { tokio::join!(right.turn(), right.turn()) };
        let no_answer = async {
            tokio::task::yield_now().await;
            drop(first);
            tokio::task::yield_now().await;
            // the next one has asked
            assert!(right.is_asked.get());
            right.refused();
            right.answered.notify_waiters();
        };
        let ((second, third), ()) = tokio::join!(others, no_answer);
        assert!(second.is_some() != third.is_some(), "one of them asked");
        drop((second, third));
        assert!(right.turn().await.is_none(), "it is known");
    }
}
