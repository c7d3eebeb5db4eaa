//! What makes the collector let go of its connection, and the space it holds back for that.
//!
//! Three things do: a signal, a disk error, and a full disk. A full disk is not an end: the reserve file is freed, so
//! that everything that was read can be written and sealed. Once there is room again, the reserve is made again and
//! collecting continues.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::watch;

use super::progress::Progress;
use crate::{
    alarm::AlarmKind,
    place::open::{SPOOL, Spool},
    segment::{name::ServerId, writer::WriteError},
    world::disk::Disk,
};

/// Holds the whole queue several times, and some days of events.
const RESERVE_BYTES: u64 = 64 * 1024 * 1024;

/// What must be free besides the reserve before collecting continues: several minutes of posts.
const ROOM_BYTES: u64 = 16 * 1024 * 1024;

/// Why the process ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// It was told to.
    Signal,
    /// The disk failed, in words.
    Trouble(String),
}

/// What the reading side has to heed.
#[derive(Debug, Clone, Default)]
pub(super) struct HaltState {
    pub(super) full: bool,
    pub(super) stop: Option<Stop>,
}

/// Shared by the threads that write and the task that reads.
pub(super) struct Halt {
    state: watch::Sender<HaltState>,
    disk: Arc<dyn Disk>,
    spool: Spool,
    /// The server's folder in the spool, which holds the reserve.
    folder: PathBuf,
    /// The last seconds before the end: do not wait for room any more.
    hurry: AtomicBool,
    /// The state that the rest of the process sees.
    progress: Arc<Progress>,
}

impl Halt {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        spool: Spool,
        server: &ServerId,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            state: watch::Sender::new(HaltState::default()),
            disk,
            folder: spool.join(server.as_str()),
            spool,
            hurry: AtomicBool::new(false),
            progress,
        }
    }

    /// Where progress of collecting is reported.
    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    fn reserve(&self) -> PathBuf {
        self.folder.join("reserve")
    }

    /// Takes the reserve from the disk, if it is not held already.
    pub(super) fn hold_reserve(&self) -> io::Result<()> {
        if self.disk.len(&self.reserve())? == Some(RESERVE_BYTES) {
            return Ok(());
        }
        let held = self.disk.reserve(&self.reserve(), RESERVE_BYTES);
        if held.is_err() {
            self.free_reserve();
        }
        held
    }

    /// Takes the reserve as soon as there is room for it, when there was none at the start.
    pub(super) fn renew_reserve(&self) {
        let is_held = matches!(self.disk.len(&self.reserve()), Ok(Some(RESERVE_BYTES)));
        let has_room = || {
            let free = self.disk.free(&self.folder);
            free.is_ok_and(|free| RESERVE_BYTES + ROOM_BYTES <= free)
        };
        if !is_held && !self.state.borrow().full && has_room() && self.hold_reserve().is_ok() {
            tracing::info!("64 MiB are reserved for a full disk now");
        }
    }

    /// Gives the reserve back; says whether there was one.
    fn free_reserve(&self) -> bool {
        // whatever the reason for which it cannot be removed, there is nothing to be had from it
        matches!(self.disk.len(&self.reserve()), Ok(Some(_)))
            && self.disk.remove(&self.reserve()).is_ok()
    }

    /// The disk is full, or away: frees the reserve of a full one, and has the connection closed. Says
    /// whether it is worth trying again at once.
    pub(super) fn disk_fails(&self, error: &WriteError) -> bool {
        let is_away = matches!(error, WriteError::Away { .. });
        let freed = !is_away && self.free_reserve();
        let first = self
            .state
            .send_if_modified(|state| !std::mem::replace(&mut state.full, true));
        self.progress.full(true);
        if first && is_away {
            alarm!(
                AlarmKind::PlaceAway,
                SPOOL,
                "{error}: collecting stops until its disk is mounted again, what was read is kept; collecting then \
                 continues by itself"
            );
        } else if first {
            alarm!(
                AlarmKind::Disk,
                "",
                "{error}: collecting stops until there is space, what was read is kept; free space below {}: \
                 collecting continues by itself once {} MiB are free",
                self.folder.display(),
                (RESERVE_BYTES + ROOM_BYTES) >> 20
            );
        }
        freed
    }

    /// Whether there is room again; then the reserve is held again.
    pub(super) fn try_resume(&self) -> bool {
        if !self.spool.is_here(&*self.disk) {
            return false;
        }
        let free = match self.disk.free(&self.folder) {
            Ok(free) => free,
            Err(error) => {
                tracing::warn!("cannot tell the free space: {error}");
                return false;
            }
        };
        if free < RESERVE_BYTES + ROOM_BYTES || self.hold_reserve().is_err() {
            return false;
        }
        self.state.send_modify(|state| state.full = false);
        self.progress.full(false);
        tracing::warn!("the disk is back and has space again: collecting continues");
        true
    }

    /// The process is to end. The first reason holds, but trouble outweighs a signal.
    pub(super) fn stop(&self, why: Stop) {
        self.progress.stopping();
        self.state
            .send_if_modified(|state| match (&state.stop, &why) {
                (None, _) | (Some(Stop::Signal), Stop::Trouble(_)) => {
                    state.stop = Some(why);
                    true
                }
                _ => false,
            });
    }

    /// How things stand.
    pub(super) fn state(&self) -> HaltState {
        self.state.borrow().clone()
    }

    /// Waits until the process is to end, or, if that matters too, until the disk is full.
    pub(super) async fn wait(&self, full_matters: bool) {
        let mut state = self.state.subscribe();
        let halted = |state: &HaltState| state.stop.is_some() || (full_matters && state.full);
        // it cannot fail: the sender is ours
        if state.wait_for(halted).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Has waiting for room given up.
    pub(super) fn hurry(&self) {
        self.hurry.store(true, Ordering::Relaxed);
    }

    /// Whether waiting for room is to be given up.
    pub(super) fn must_hurry(&self) -> bool {
        self.hurry.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        place::{decide::Asks, open::Opener},
        world::{
            clock::Clock,
            faulty::{Call, FaultyDisk},
        },
    };

    /// A server's folder on a disk with much room.
    fn halt(dir: &Path) -> (Arc<FaultyDisk>, Halt) {
        let disk = Arc::new(FaultyDisk::default());
        disk.has_free(1 << 40);
        let spool = Opener::of(&*disk, dir)
            .spool(&dir.into(), Asks::Make)
            .unwrap();
        disk.make_folder(&dir.join("1")).unwrap();
        let halt = Halt::new(
            Arc::clone(&disk) as Arc<dyn Disk>,
            spool,
            &"1".parse().unwrap(),
            Arc::default(),
        );
        (disk, halt)
    }

    fn full() -> WriteError {
        WriteError::Full { path: "x".into() }
    }

    fn away() -> WriteError {
        WriteError::Away { path: "x".into() }
    }

    #[test]
    fn the_first_reason_to_end_holds_but_trouble_outweighs_a_signal() {
        let trouble = |what: &str| Stop::Trouble(what.to_owned());
        for (stops, expected) in [
            (vec![Stop::Signal, Stop::Signal], Stop::Signal),
            (vec![Stop::Signal, trouble("a")], trouble("a")),
            (vec![trouble("a"), Stop::Signal], trouble("a")),
            (vec![trouble("a"), trouble("b")], trouble("a")),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let (_disk, halt) = halt(dir.path());
            assert!(!halt.progress().is_stopping());
            for stop in stops {
                halt.stop(stop);
            }
            assert_eq!(halt.state().stop, Some(expected));
            assert!(halt.progress().is_stopping());
        }
    }

    #[test]
    fn a_full_disk_gets_its_reserve_and_it_goes_on_when_there_is_room_for_all() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, halt) = halt(dir.path());
        let reserve = || disk.len(&dir.path().join("1/reserve")).unwrap();
        let hangs = Clock::system().steady();
        halt.hold_reserve().unwrap();
        assert_eq!(reserve(), Some(RESERVE_BYTES));
        // the first time there is something to be had from it
        assert!(halt.disk_fails(&full()) && !halt.disk_fails(&full()));
        assert_eq!((reserve(), halt.state().full), (None, true));
        assert!(
            halt.progress().goes_on(hangs),
            "waiting for room is no hanging"
        );
        halt.renew_reserve();
        assert_eq!(reserve(), None, "there is no room yet");
        disk.has_free(RESERVE_BYTES + ROOM_BYTES - 1);
        assert!(!halt.try_resume());
        disk.has_free(RESERVE_BYTES + ROOM_BYTES);
        disk.fail(Call::Reserve, "reserve", io::ErrorKind::StorageFull);
        assert!(!halt.try_resume(), "the reserve cannot be had");
        assert_eq!(reserve(), None, "and nothing of it stays");
        assert!(halt.state().full);
        disk.mend();
        assert!(halt.try_resume());
        assert_eq!((reserve(), halt.state().full), (Some(RESERVE_BYTES), false));
        assert!(
            !halt.progress().goes_on(hangs),
            "from now on hanging is hanging"
        );
    }

    #[test]
    fn a_reserve_that_could_not_be_had_is_taken_as_soon_as_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, halt) = halt(dir.path());
        let reserve = || disk.len(&dir.path().join("1/reserve")).unwrap();
        disk.fail(Call::Reserve, "reserve", io::ErrorKind::StorageFull);
        assert!(halt.hold_reserve().is_err());
        disk.has_free(RESERVE_BYTES + ROOM_BYTES - 1);
        disk.mend();
        halt.renew_reserve();
        assert_eq!(reserve(), None);
        disk.has_free(RESERVE_BYTES + ROOM_BYTES);
        halt.renew_reserve();
        assert_eq!(reserve(), Some(RESERVE_BYTES));
    }

    #[test]
    fn a_spool_that_is_away_is_waited_for_and_what_lies_in_its_place_is_let_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, halt) = halt(dir.path());
        halt.hold_reserve().unwrap();
        assert!(!halt.disk_fails(&away()), "it is not worth trying at once");
        assert!(disk.len(&dir.path().join("1/reserve")).unwrap().is_some());
        disk.rename(&dir.path().join("spool.json"), &dir.path().join("gone"))
            .unwrap();
        assert!(!halt.try_resume());
        disk.rename(&dir.path().join("gone"), &dir.path().join("spool.json"))
            .unwrap();
        assert!(halt.try_resume());
    }
}
