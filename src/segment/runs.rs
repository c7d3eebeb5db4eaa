//! A leg's runs in their order, which its server's spool keeps: `<spool>/<server>/runs.json`, and `runs.07.json` for the
//! partition 07.
//!
//! Clocks are set and are wrong, so stamps cannot tell which of two runs came later. A run begins when a collector
//! starts, and when its machine's clock is set. Its number is durable before anything of it is written, and every
//! seal has it.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::name::{Leg, RunId};
use crate::{
    period::UtcMs,
    world::disk::{self, Disk},
};

/// A crash leaves pairs of the last run open, and a full disk of a few more: so many are remembered.
const KEPT_MAX: usize = 100;

/// A hundred runs have some five kilobytes.
const BYTES_MAX: u64 = 64 * 1024;

/// A run: the id that its files are named for, and its place in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Run {
    /// Greater than those of all runs before it.
    pub number: u64,
    /// Drawn.
    pub id: RunId,
}

/// The last runs of a leg, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runs {
    runs: Vec<Run>,
}

/// Where they are kept.
pub fn path(spool: &Path, leg: &Leg) -> PathBuf {
    let name = match leg.partition {
        None => "runs.json".to_owned(),
        Some(partition) => format!("runs.{partition}.json"),
    };
    spool.join(leg.server.as_str()).join(name)
}

/// Whether a file of this name keeps the runs of a leg.
pub fn is_kept_in(name: &str) -> bool {
    name.starts_with("runs.") && name.strip_suffix(".json").is_some()
}

impl Runs {
    /// What is kept; nothing if there is no such file, or one that cannot be understood.
    pub fn read(disk: &dyn Disk, spool: &Path, leg: &Leg) -> io::Result<Self> {
        let path = path(spool, leg);
        if disk.len(&path)?.is_none() {
            return Ok(Self::default());
        }
        let bytes = disk::read_bounded(disk, &path, BYTES_MAX)?;
        Ok(serde_json::from_slice(&bytes).unwrap_or_else(|why| {
            tracing::warn!("{}: {why}; it is written again", path.display());
            Self::default()
        }))
    }

    /// The number of a run; `None` if it is not known any more.
    pub fn number(&self, id: RunId) -> Option<u64> {
        let mut runs = self.runs.iter();
        runs.find(|run| run.id == id).map(|run| run.number)
    }

    /// All that are remembered.
    pub fn iter(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter()
    }

    /// Takes a new run in. A server that remembers none may be one that was rebuilt, whose former runs lie elsewhere:
    /// its first number is the second since 1970, which is greater than all of them.
    pub fn begin(&mut self, id: RunId, now: UtcMs) -> Run {
        let first = || u64::try_from(now.second()).unwrap_or(1);
        let greatest = self.runs.iter().map(|run| run.number).max();
        let number = greatest.map_or_else(first, |number| number.saturating_add(1));
        let run = Run { number, id };
        self.runs.push(run);
        let beyond = self.runs.len().saturating_sub(KEPT_MAX);
        self.runs.drain(..beyond);
        run
    }

    /// Keeps them durably.
    pub fn keep(&self, disk: &dyn Disk, spool: &Path, leg: &Leg) -> io::Result<()> {
        let mut json = serde_json::to_vec(self)?;
        json.push(b'\n');
        disk::put(disk, &path(spool, leg), &json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::disk::RealDisk;

    #[test]
    fn numbers_ascend_whatever_the_clock_says_and_are_known_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let server: Leg = "1".parse().unwrap();
        std::fs::create_dir(dir.path().join("1")).unwrap();
        let mut runs = Runs::read(&RealDisk, dir.path(), &server).unwrap();
        let first = runs.begin(RunId(7), UtcMs(1_795_442_400_000));
        assert_eq!(first.number, 1_795_442_400);
        // the clock was two hours ahead
        let second = runs.begin(RunId(3), UtcMs(1_795_435_200_000));
        assert_eq!(second.number, 1_795_442_401);
        runs.keep(&RealDisk, dir.path(), &server).unwrap();
        let mut known = Runs::read(&RealDisk, dir.path(), &server).unwrap();
        assert_eq!(known, runs);
        assert_eq!(known.number(RunId(7)), Some(1_795_442_400));
        for id in 100..300 {
            known.begin(RunId(id), UtcMs(0));
        }
        assert_eq!(known.number(RunId(7)), None);
        assert_eq!(known.number(RunId(299)), Some(1_795_442_601));
    }
}
