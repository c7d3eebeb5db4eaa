//! One lock per data directory and stage: `<data_dir>/<stage>.lock`; and one for each folder that only one process may write
//! to.
//!
//! `flock` on an open file, so it dies with its holder. The file's content (process id, host,
//! start) is only for the message to a person and is never trusted.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use super::clock::Clock;
use crate::period::UtcMs;

/// Whoever looks whether a lock is held has it for a moment: whoever takes it tries so often, so long apart.
const TRIES: u32 = 5;
const APART: Duration = Duration::from_millis(20);

/// Held as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// A folder that only its holder writes to, whatever data directory others have. The kernel locks the folder itself, so
/// nothing lies in it; a file system that cannot do that locks nothing.
#[derive(Debug)]
pub struct FolderLock {
    _folder: Option<File>,
}

impl FolderLock {
    /// Takes it, at once or not at all. `stage` is what is to be done there.
    pub fn take(folder: &Path, stage: &'static str) -> Result<Self, LockError> {
        let folder_file = File::open(folder).ok();
        match folder_file.as_ref().map(try_lock) {
            Some(Err(TryLockError::WouldBlock)) => Err(LockError::Taken {
                stage,
                path: folder.to_owned(),
                holder: "another process, whose configuration has another data_dir".to_owned(),
            }),
            None | Some(Ok(()) | Err(TryLockError::Error(_))) => Ok(Self {
                _folder: folder_file,
            }),
        }
    }
}

fn try_lock(file: &File) -> Result<(), TryLockError> {
    let mut tries = 1;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if tries < TRIES => {
                tries += 1;
                Clock::system().block(APART);
            }
            locked => break locked,
        }
    }
}

/// Why a lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{stage} is already running here: {} is held by {holder}", path.display())]
    Taken {
        /// The stage that was to be started.
        stage: &'static str,
        /// The lock file.
        path: PathBuf,
        /// What the holder wrote about itself.
        holder: String,
    },
    /// The file could not be opened or locked.
    #[error("cannot lock {}: {source}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o640)
        .open(path)
}

impl Lock {
    /// The lock of whoever collects here.
    pub const COLLECT: &'static str = "collect";
    /// The lock of whoever watches for alarms here.
    pub const MONITOR: &'static str = "monitor";

    /// Takes a lock that is held for moments only, as soon as it is free.
    pub fn when_free(data_dir: &Path, name: &'static str) -> io::Result<Self> {
        let file = open(&data_dir.join(format!("{name}.lock")))?;
        file.lock()?;
        Ok(Self { _file: file })
    }

    /// Whether somebody has the lock of a stage; `None` if that cannot be told, or nobody here ever had it. The file is
    /// only read.
    pub fn is_held(data_dir: &Path, stage: &'static str) -> Option<bool> {
        let file = File::open(data_dir.join(format!("{stage}.lock"))).ok()?;
        match file.try_lock_shared() {
            Ok(()) => Some(false),
            Err(TryLockError::WouldBlock) => Some(true),
            Err(TryLockError::Error(_)) => None,
        }
    }

    /// Takes the lock of a stage, at once or not at all.
    pub fn take(data_dir: &Path, stage: &'static str, now: UtcMs) -> Result<Self, LockError> {
        let path = data_dir.join(format!("{stage}.lock"));
        let io = |source| LockError::Io {
            path: path.clone(),
            source,
        };
        let mut file = open(&path).map_err(io)?;
        match try_lock(&file) {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.take(500).read_to_string(&mut holder).map_err(io)?;
                let holder = holder.trim().to_owned();
                return Err(LockError::Taken {
                    stage,
                    path,
                    holder,
                });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        let line = format!("process {} on {host} since {now}\n", std::process::id());
        file.set_len(0).map_err(io)?;
        file.rewind().map_err(io)?;
        file.write_all(line.as_bytes()).map_err(io)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_had_once_and_says_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let now = UtcMs(1_795_442_700_000);
        assert_eq!(Lock::is_held(dir.path(), "merge"), None);
        let held = Lock::take(dir.path(), "merge", now).unwrap();
        let why = Lock::take(dir.path(), "merge", now)
            .unwrap_err()
            .to_string();
        let holder = format!("is held by process {} on ", std::process::id());
        assert!(
            why.contains(&holder) && why.ends_with("since 2026-11-23T14:05:00.000Z"),
            "{why}"
        );
        assert!(why.starts_with("merge is already running here: "), "{why}");
        assert!(
            Lock::take(dir.path(), "publish", now).is_ok(),
            "another stage"
        );
        assert_eq!(Lock::is_held(dir.path(), "merge"), Some(true));
        drop(held);
        assert_eq!(Lock::is_held(dir.path(), "merge"), Some(false));
        assert!(Lock::take(dir.path(), "merge", now).is_ok());
        // a folder is locked whatever the data directory
        let alone = FolderLock::take(dir.path(), "collect").unwrap();
        assert!(matches!(
            FolderLock::take(dir.path(), "collect"),
            Err(LockError::Taken { .. })
        ));
        drop(alone);
        assert!(FolderLock::take(dir.path(), "collect").is_ok());
    }
}
