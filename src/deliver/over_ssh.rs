//! One delivery over ssh: find the place, fetch what is acknowledged, ask what is not there, send that,
//! the seals last, and delete what is settled.
//!
//! The primary acknowledges by itself (see `receive`), after it has read a file back. If a delivery breaks off, the
//! next one continues, and checks again what is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    folder::FolderError,
    plan::{self, ENDINGS, Plan},
    remote_folder::{self, Candidate, HOLD},
    rsync::{Remote, RsyncError, There},
    run::{DeliverError, Delivered, NO_SPOOL, tell_unreadable},
    sealed,
};
use crate::{
    period::UtcMs,
    place::{
        id::PlaceId,
        open::{Mirror, NotHere, SPOOL_MARK, Spool},
    },
    segment::{
        acks::{self, ACKS, WITHDRAWN},
        name::{SegmentName, ServerId},
        spool,
    },
    text::one_line,
    world::{
        disk::{self, Disk},
        error_at::{At as _, ErrorAt},
    },
};

/// A line has some 160 bytes and a server three a minute: even if the primary keeps all raw data this is
/// more than ten years.
const ACKS_BYTES_MAX: u64 = 4 << 30;

/// How many entries of a root that is not ours are named.
const SHOWN: usize = 5;

/// What the primary tells this server.
const TOLD: [&str; 4] = [ACKS, WITHDRAWN, HOLD, SPOOL_MARK];

/// What is shown of a reason that the primary gives.
const HOLD_BYTES_MAX: u64 = 4_096;

/// The remembered place has some hundred bytes.
const PLACE_BYTES_MAX: u64 = 64 * 1024;

/// The order for a delivery.
pub struct SshJob<'a> {
    /// Whose segments.
    pub server: &'a ServerId,
    /// All configured servers.
    pub servers: &'a [ServerId],
    /// Where the segments are.
    pub spool: &'a Spool,
    /// Where what was fetched is kept.
    pub data_dir: &'a Path,
    /// The primary.
    pub remote: Remote<'a>,
    /// How long a file stays here after it was acknowledged.
    pub keep_delivered: Duration,
    /// Opens the place of which something was fetched into the mirror.
    pub recognize: &'a dyn Fn() -> Result<Mirror, NotHere>,
}

/// What is to be done, and where.
#[derive(Debug)]
pub struct Looked {
    /// What is to be done.
    pub plan: Plan,
    /// This server's folder, as the key sees it.
    folder: String,
    /// Why the primary takes nothing at present.
    hold: Option<String>,
    /// What the primary's spool is.
    place: Mirror,
}

/// Where the folder was found last time.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    server: ServerId,
    target: String,
    folder: String,
}

/// Why the primary takes nothing at present, if it says so.
fn read_hold(disk: &dyn Disk, path: &Path) -> Result<Option<String>, DeliverError> {
    if disk.len(path).at(path)?.is_none() {
        return Ok(None);
    }
    let bytes = disk::read_bounded(disk, path, HOLD_BYTES_MAX).at(path)?;
    let text = one_line(&String::from_utf8_lossy(&bytes));
    Ok(Some(text.trim().to_owned()))
}

/// The place that was found last time, if server and target are still the same; what cannot be read is found again.
fn remembered(disk: &dyn Disk, path: &Path, server: &ServerId, target: &str) -> Option<String> {
    let remembered: Remembered = disk::noted(disk, path, PLACE_BYTES_MAX)?;
    (remembered.server == *server && remembered.target == target).then_some(remembered.folder)
}

/// Where what the primary tells is kept.
pub fn mirror_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("deliver")
}

/// Whether the mark of the primary's spool has been fetched.
fn has_mark(disk: &dyn Disk, mirror: &Path) -> Result<bool, ErrorAt> {
    let len = disk.len(&mirror.join(SPOOL_MARK)).at(mirror)?;
    Ok(len.is_some())
}

/// Forgets what was fetched: nothing of it is there any more.
fn clear(disk: &dyn Disk, mirror: &Path) -> Result<(), ErrorAt> {
    TOLD.iter()
        .try_for_each(|name| disk::remove_if_there(disk, &mirror.join(name)))
        .at(mirror)
}

impl Looked {
    /// The id of the primary's spool, if it has told it.
    pub const fn id(&self) -> Option<&PlaceId> {
        self.place.id()
    }

    /// Why the primary takes nothing at present.
    pub fn hold(&self) -> Option<&str> {
        self.hold.as_deref()
    }
}

impl SshJob<'_> {
    fn mirror_dir(&self) -> PathBuf {
        mirror_dir(self.data_dir)
    }

    /// What is to be done, without doing it.
    pub fn look(&self, disk: &dyn Disk, now: UtcMs) -> Result<Looked, DeliverError> {
        let mirror = self.mirror_dir();
        disk.make_folder(&mirror).at(&mirror)?;
        let folder = match self.fetch(disk, &mirror) {
            Err(DeliverError::NoSpool { target, why }) => {
                clear(disk, &mirror)?;
                return Err(match (self.recognize)() {
                    Err(NotHere::Away { word, path, .. }) => {
                        let found = format!("{NO_SPOOL}{why}");
                        NotHere::Away { word, path, found }.into()
                    }
                    Err(why) => why.into(),
                    Ok(_) => DeliverError::NoSpool { target, why },
                });
            }
            fetched => fetched?,
        };
        let place = (self.recognize)()?;
        let path = mirror.join(ACKS);
        let sealed = spool::sealed(disk, self.spool, self.server).at(self.spool)?;
        let (sealed, unreadable) = tell_unreadable(sealed, self.server);
        let here: BTreeSet<&SegmentName> = sealed.iter().collect();
        let acks = acks::read(disk, &path, |name| here.contains(name)).at(&path)?;
        Ok(Looked {
            plan: Plan {
                unreadable,
                ..plan::plan(sealed, &acks, self.keep_delivered, now)
            },
            folder,
            hold: read_hold(disk, &mirror.join(HOLD))?,
            place,
        })
    }

    /// Fetches what the primary says to this server, and gives the place where it says it.
    fn fetch(&self, disk: &dyn Disk, mirror: &Path) -> Result<String, DeliverError> {
        let path = mirror.join("place.json");
        let target = self.remote.target.to_string();
        if let Some(folder) = remembered(disk, &path, self.server, &target)
            && self.fetch_from(&folder, mirror)?
            && (folder != "/" || disk.len(&mirror.join(ACKS)).at(mirror)?.is_some())
            && has_mark(disk, mirror)?
        {
            return Ok(folder);
        }
        let (folder, spool) = self.find()?;
        if !self.fetch_from(&folder, mirror)? {
            clear(disk, mirror)?;
        }
        // the primary's next merge puts the mark into a folder that a delivery has made; until then it lies above
        if let Some(spool) = spool
            && !has_mark(disk, mirror)?
        {
            let mark = &[SPOOL_MARK];
            self.remote.mirror(&spool, mark, ACKS_BYTES_MAX, mirror)?;
        }
        let remembered = Remembered {
            server: self.server.clone(),
            target,
            folder,
        };
        let json = serde_json::to_vec(&remembered)
            .map_err(io::Error::from)
            .at(&path)?;
        disk::put(disk, &path, &json).at(&path)?;
        Ok(remembered.folder)
    }

    /// Fetches into the mirror; whether the folder is there.
    fn fetch_from(&self, folder: &str, mirror: &Path) -> Result<bool, RsyncError> {
        match self.remote.mirror(folder, &TOLD, ACKS_BYTES_MAX, mirror) {
            Ok(()) => Ok(true),
            Err(RsyncError::Missing { .. }) => Ok(false),
            Err(why) => Err(why),
        }
    }

    /// Looks where this server's folder lies as the key sees it, and the spool above it, if that is seen.
    fn find(&self) -> Result<(String, Option<String>), DeliverError> {
        let path = &self.remote.target.path;
        let mut at_root = Vec::new();
        for candidate in remote_folder::candidates(path, self.server) {
            let entries = match self.remote.list(candidate.folder()) {
                Ok(entries) => entries,
                Err(RsyncError::Missing { .. }) => continue,
                Err(why) => return Err(why.into()),
            };
            if let Some(folder) = candidate.judge(&entries, self.server, self.servers) {
                let above = (!matches!(candidate, Candidate::Server(_)) && folder != "/")
                    .then(|| candidate.folder().to_owned());
                return Ok((folder, above));
            }
            at_root = entries;
        }
        at_root.truncate(SHOWN);
        Err(DeliverError::NoSpool {
            target: self.remote.target.to_string(),
            why: match at_root.as_slice() {
                [] => String::new(),
                some => format!(" (at the root it sees {}, …)", some.join(", ")),
            },
        })
    }

    /// Carries a plan out. `tell` hears of every segment that is done with.
    pub fn carry_out(
        &self,
        disk: &dyn Disk,
        looked: &Looked,
        now: &dyn Fn() -> UtcMs,
        mut tell: impl FnMut(&SegmentName),
    ) -> Result<Delivered, DeliverError> {
        let mut delivered = Delivered {
            failed: looked.plan.unreadable,
            ..Delivered::default()
        };
        delivered.settle(disk, self.spool, &looked.plan, now())?;
        if let Some(why) = &looked.hold {
            return Err(DeliverError::Hold {
                target: self.remote.target.to_string(),
                why: why.clone(),
            });
        }
        for batch in plan::batches(&looked.plan.send) {
            self.send(disk, &looked.folder, batch, &mut delivered)?;
            batch.iter().for_each(&mut tell);
        }
        Ok(delivered)
    }

    /// The segments of a batch of which all three files are here; rsync stops at one that is not.
    fn whole<'b>(
        &self,
        disk: &dyn Disk,
        batch: &'b [SegmentName],
        delivered: &mut Delivered,
    ) -> Result<Vec<&'b SegmentName>, DeliverError> {
        let mut whole = Vec::new();
        for name in batch {
            let paths = name.paths(self.spool);
            let mut lacks = None;
            for path in [paths.segment, paths.events] {
                if disk.len(&path).at(&path)?.is_none() {
                    lacks = Some(path);
                }
            }
            match lacks {
                None => whole.push(name),
                Some(path) => delivered.fail(name, &Lacking(path)),
            }
        }
        Ok(whole)
    }

    /// Sends what of a batch is not there: first all segments and events files, then all seals.
    fn send(
        &self,
        disk: &dyn Disk,
        folder: &str,
        batch: &[SegmentName],
        delivered: &mut Delivered,
    ) -> Result<(), DeliverError> {
        let from = self.spool.join(self.server.as_str());
        let batch = self.whole(disk, batch, delivered)?;
        let names: Vec<String> = batch.iter().copied().flat_map(files_of).collect();
        let found = self.remote.compare(&from, folder, &names)?;
        let found: BTreeMap<String, There> = found.into_iter().collect();
        let (mut data, mut seals) = (Vec::new(), Vec::new());
        for name in batch {
            let files = files_of(name);
            let of_file = |file: &String| found.get(file);
            if let Some(file) = files
                .iter()
                .find(|file| of_file(file) == Some(&There::Other))
            {
                let (file, target) = (file.clone(), self.remote.target.to_string());
                delivered.fail(name, &Conflict { file, target });
            } else if files.iter().all(|file| of_file(file).is_none()) {
                delivered.waiting += 1;
            } else if let Err(why) = sealed::check(disk, name, self.spool) {
                delivered.fail(name, &FolderError::Here(why));
            } else {
                let [segment, events, seal] = files;
                data.extend([segment, events]);
                seals.push(seal);
                delivered.sent += 1;
            }
        }
        for names in [data, seals] {
            if !names.is_empty() {
                self.remote.send(&from, folder, &names)?;
            }
        }
        Ok(())
    }
}

/// A sealed segment without its lines or its events.
#[derive(Debug, thiserror::Error)]
#[error("{} is missing, or compressed by a merge that ran here", .0.display())]
struct Lacking(PathBuf);

/// Another file is there under this name.
#[derive(Debug, thiserror::Error)]
#[error("{file} exists at {target} with other content; it was not overwritten")]
struct Conflict {
    file: String,
    target: String,
}

/// The three files of a segment below the server's folder, in the order of [`ENDINGS`].
fn files_of(name: &SegmentName) -> [String; 3] {
    let (day, hour) = (name.minute.day_folder(), name.minute.hour_folder());
    ENDINGS.map(|ending| format!("{day}/{hour}/{name}.{ending}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::disk::RealDisk;

    #[test]
    fn a_place_that_was_found_is_that_of_this_server_at_this_target() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("place.json");
        let server: ServerId = "2".parse().unwrap();
        let found = |id: &str, target: &str| {
            let server: ServerId = id.parse().unwrap();
            remembered(&RealDisk, &path, &server, target)
        };
        let target = "ssh://u@a/spool";
        assert_eq!(found("2", target), None);
        let known = Remembered {
            server,
            target: target.to_owned(),
            folder: "/2".to_owned(),
        };
        disk::put(&RealDisk, &path, &serde_json::to_vec(&known).unwrap()).unwrap();
        assert_eq!(found("2", target), Some("/2".to_owned()));
        assert_eq!(found("3", target), None);
        assert_eq!(found("2", "ssh://u@b/spool"), None);
        disk::put(&RealDisk, &path, b"{").unwrap();
        assert_eq!(found("2", target), None);
    }
}
