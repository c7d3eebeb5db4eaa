//! What is kept of the stages' runs: `<data_dir>/stages.json`.
//!
//! Written by the service, read by `status`, the page and the alarms. It can be deleted: then
//! reports begin with yesterday's, and nothing else changes.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{reported::Reported, stage::Stage};
use crate::{
    alarm::AlarmKind,
    period::UtcMs,
    world::disk::{self, Disk},
};

/// It has four entries with some dozens of texts each.
const RECORD_BYTES_MAX: u64 = 1 << 20;

/// The latest run of a stage, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageRun {
    /// When it was started.
    pub started: UtcMs,
    /// When it ended; `None` while it runs.
    pub ended: Option<UtcMs>,
    /// Its exit code; `None` while it runs, or when a signal ended it.
    pub exit: Option<i32>,
    /// How many runs in a row have failed, this one included.
    #[serde(default)]
    pub failures: u32,
    /// When the first of them was started.
    #[serde(default)]
    pub failing_since: Option<UtcMs>,
    /// What it said when it failed, or set something aside.
    #[serde(default)]
    pub said: Option<String>,
    /// The alarms that it raised, the first line of each kind and subject.
    #[serde(default)]
    pub alarms: Vec<Raised>,
}

/// An alarm that a stage raised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raised {
    /// Which.
    pub kind: AlarmKind,
    /// Whom it concerns; empty if that is clear.
    pub subject: String,
    /// Its words.
    pub what: String,
    /// How many more lines it had of the same.
    pub more: u64,
}

/// The exit code of a stage that found another run in progress.
pub(super) const LOCKED: i32 = 7;

impl StageRun {
    /// One that has just been started.
    pub const fn begun(started: UtcMs) -> Self {
        Self {
            started,
            ended: None,
            exit: None,
            failures: 0,
            failing_since: None,
            said: None,
            alarms: Vec::new(),
        }
    }

    /// Whether it has not ended.
    pub const fn is_running(&self) -> bool {
        self.ended.is_none()
    }

    /// Whether it has not done what it was started for.
    pub(super) fn is_to_be_repeated(&self) -> bool {
        0 < self.failures || self.exit == Some(LOCKED)
    }
}

/// All that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The latest run of each stage.
    pub stages: BTreeMap<Stage, StageRun>,
    /// The days whose report was made.
    pub reported: Reported,
}

/// Where it lies.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("stages.json")
}

/// Reads it; an absent or damaged one is an empty one.
pub fn read(disk: &dyn Disk, data_dir: &Path) -> Record {
    let path = path(data_dir);
    match disk::read_bounded(disk, &path, RECORD_BYTES_MAX) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|why| {
            tracing::warn!("{}: it is skipped: {why}", path.display());
            Record::default()
        }),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Record::default(),
        Err(why) => {
            tracing::warn!("{}: {why}", path.display());
            Record::default()
        }
    }
}

/// Writes it.
pub fn write(disk: &dyn Disk, data_dir: &Path, record: &Record) -> io::Result<()> {
    let mut json = serde_json::to_vec(record)?;
    json.push(b'\n');
    disk::put(disk, &path(data_dir), &json)
}
