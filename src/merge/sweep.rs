//! Compresses and deletes raw data that has been merged. No other code deletes raw data.
//!
//! ```text
//! compress   ….jsonl ─▶ ….jsonl.zst aside, synced ─▶ read back, compared with the seal ─▶ in place ─▶ ….jsonl removed
//! delete     data files of every hour re-read, compared with their manifests ─▶ names noted in sweep.json
//!            ─▶ segments, events files, seals removed ─▶ sweep.json removed
//! ```
//!
//! Segments that were fetched from an object store are deleted there first, and here once that is recorded. If the
//! vault is in a store, the hours are read again there too. Several machines may do this at once: they delete the
//! same names.
//!
//! A crash at any point loses nothing: what is recorded in `sweep.json` had been found whole, and the next merge
//! finishes it before anything else. `<data_dir>/verified.json` says since when each hour is known to be whole. Only
//! `keep_raw` counts from that time, so losing the file keeps raw data longer. No deletion relies on it: right before
//! deleting, the hours are read again.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    closed::ClosedDays,
    index::Indexes,
    note,
    plan::SpoolSegment,
    retention::{Allowed, Needs},
};
use crate::{
    alarm::AlarmKind,
    period::{Hour, UtcMs, ms},
    place::{
        segments::{self, Elsewhere},
        store::StoreError,
    },
    segment::{
        name::SegmentName,
        raw::{self, Packed},
        seal::{Digest, SEAL_BYTES_MAX, Seal, SealError},
        sha256::Sha256,
        spool,
    },
    vault::{
        commit::{Commits, HourOfVault},
        commit_error::CommitError,
        layout,
        ledger::Ledger,
        manifest::{MANIFEST_BYTES_MAX, Manifest},
    },
    world::{
        crash::{self, Point},
        disk::{self, Disk},
        error_at::{At as _, ErrorAt},
        workers,
    },
};

/// A year of names has some 50 MiB; a longer file is not ours.
const NOTES_BYTES_MAX: u64 = 1 << 30;

/// The order for a sweep.
#[derive(Clone, Copy)]
pub struct Sweep<'a> {
    /// The file system.
    pub disk: &'a dyn Disk,
    /// Where it keeps its notes.
    pub data_dir: &'a Path,
    /// The vault.
    pub vault: &'a Path,
    /// The segments and their indexes.
    pub indexes: Indexes<'a>,
    /// From where segments were fetched.
    pub elsewhere: Elsewhere<'a>,
    /// Where the vault's hours are committed.
    pub commits: &'a dyn Commits,
    /// How long raw data stays after a verified merge; `None`: for ever.
    pub keep_raw: Option<Duration>,
    /// How many threads may work.
    pub threads: usize,
    /// Now.
    pub now: UtcMs,
}

/// The result of a sweep.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Segments that were compressed.
    pub compressed: u64,
    /// Segments that were deleted, with their events files and seals.
    pub deleted: u64,
    /// Attempts that nobody reads any more and that were deleted from the vault in an object store.
    #[serde(skip_serializing_if = "is_zero")]
    pub attempts: u64,
    /// Hours that are not whole, and segments that could not be compressed or deleted. Their raw
    /// data is kept.
    pub problems: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Why a segment was not compressed, or an hour's raw data is kept.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// A file.
    #[error(transparent)]
    Io(#[from] ErrorAt),
    /// A seal.
    #[error(transparent)]
    Seal(#[from] ErrorAt<SealError>),
    /// The hour cannot be read.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The spool in an object store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The same, before it was asked.
    #[error("the segments are also in an object store, which cannot be used now")]
    Away,
    /// A file is not what it should be.
    #[error("{} is not as it was {how}: {} bytes with sha256 {}, found {} and {}", path.display(), says.0, says.1, found.0, found.1)]
    Differs {
        /// Which.
        path: PathBuf,
        /// `sealed`, `committed` or `written`.
        how: &'static str,
        /// Bytes and sha256 that it should have.
        says: (u64, Sha256),
        /// Bytes and sha256 that it has.
        found: (u64, Sha256),
    },
    /// The hour is not committed, or not as the ledger says.
    #[error("hour {0} has no manifest that the ledger knows")]
    NotCommitted(Hour),
}

fn differs(path: &Path, how: &'static str, says: &Digest, found: &Digest) -> SweepError {
    SweepError::Differs {
        path: path.to_owned(),
        how,
        says: (says.bytes, says.sha256),
        found: (found.bytes, found.sha256),
    }
}

/// The hours that were found whole.
pub type WholeHours = BTreeMap<Hour, Whole>;

/// An hour that was found whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whole {
    /// With this manifest.
    manifest_sha256: Sha256,
    /// First found whole with it.
    since: UtcMs,
}

/// What is being deleted.
#[derive(Debug, Serialize, Deserialize)]
struct Deletion {
    delete: Vec<SegmentName>,
    /// Whether the spool in the object store has nothing of it any more.
    #[serde(default)]
    only_here: bool,
}

impl Sweep<'_> {
    fn verified_path(&self) -> PathBuf {
        self.data_dir.join("verified.json")
    }

    fn deletion_path(&self) -> PathBuf {
        self.data_dir.join("sweep.json")
    }

    /// Finishes a deletion that was cut off: how many segments it had noted.
    pub fn finish(&self) -> Result<u64, SweepError> {
        let path = self.deletion_path();
        let Some(noted) = note::read::<Deletion>(self.disk, &path, NOTES_BYTES_MAX)? else {
            return Ok(0);
        };
        let count = noted.delete.len() as u64;
        match self.delete_noted(noted) {
            Ok(()) => Ok(count),
            // nothing is deleted here yet, so everything is as before
            Err(why @ (SweepError::Store(_) | SweepError::Away)) => {
                tracing::warn!("a deletion that was cut off waits: {why}");
                Ok(0)
            }
            Err(why) => Err(why),
        }
    }

    /// Says what would be done, without doing it; hours that were never verified would come first.
    pub fn look(
        &self,
        needs: &Needs<'_>,
        spooled: &[SpoolSegment],
        known: &WholeHours,
    ) -> (u64, u64) {
        let since = |hour| {
            known
                .get(&hour)
                .map_or(Some(self.now), |whole| Some(whole.since))
        };
        let allowed = needs.allowed(since, self.keep_raw, self.now);
        let is_plain = |number: &&usize| {
            let path = spooled
                .get(**number)
                .map(|s| s.name.paths(self.indexes.spool).segment);
            path.is_some_and(|path| matches!(self.disk.len(&path), Ok(Some(_))))
        };
        let compress = allowed.compress.iter().filter(is_plain).count() as u64;
        (compress, allowed.delete.len() as u64)
    }

    /// Sweeps. `whole` has the hours that were found whole before, and is brought up to date. Closed days are
    /// skipped.
    pub fn run(
        &self,
        needs: &Needs<'_>,
        (spooled, closed): (&[SpoolSegment], &ClosedDays),
        ledger: &Ledger,
        whole: &mut WholeHours,
    ) -> Swept {
        let mut swept = Swept::default();
        self.verify_new((&needs.hours(), &closed.hours()), ledger, whole, &mut swept);
        let since = |hour| whole.get(&hour).map(|whole: &Whole| whole.since);
        let Allowed { compress, delete } = needs.allowed(since, self.keep_raw, self.now);
        let going: BTreeSet<usize> = delete.iter().copied().collect();
        let names: Vec<&SegmentName> = compress
            .iter()
            .filter(|number| !going.contains(number))
            .filter_map(|number| spooled.get(*number))
            .map(|segment| &segment.name)
            .collect();
        self.compress_all(&names, &mut swept);
        let gone = match self.delete((&delete, spooled), needs, ledger, whole, &mut swept) {
            Ok(gone) => gone,
            Err(why) => {
                swept.problem("raw data was not deleted", &why);
                BTreeSet::new()
            }
        };
        let here: BTreeSet<&SegmentName> = spooled
            .iter()
            .map(|segment| &segment.name)
            .filter(|name| !gone.contains(name))
            .collect();
        if let Err(why) = self.indexes.clean(&here, &|day| closed.has(day)) {
            tracing::warn!("indexes of segments that are gone could not be removed: {why}");
        }
        swept
    }

    /// The hours that were found whole, as the last merge left it.
    pub fn known_whole(&self) -> WholeHours {
        match note::read(self.disk, &self.verified_path(), NOTES_BYTES_MAX) {
            Ok(known) => known.unwrap_or_default(),
            Err(why) => {
                tracing::warn!(
                    "the record of what was verified cannot be read; it is verified again: {why}"
                );
                BTreeMap::new()
            }
        }
    }

    /// Whether an hour's raw data may be old enough to delete, if nothing else needs it. An hour that is not known to
    /// be whole has to be examined.
    pub fn is_time(&self, known: &WholeHours) -> impl Fn(Hour) -> bool {
        let now = self.now;
        let keep = self.keep_raw.map(ms);
        move |hour| {
            let ends = |whole: &Whole| keep.is_some_and(|keep| whole.since.plus_ms(keep) <= now);
            known.get(&hour).is_none_or(ends)
        }
    }

    /// The hours that are whole, after verifying those that are new or have changed. Hours of closed days have not
    /// changed.
    fn verify_new(
        &self,
        (hours, closed): (&BTreeSet<Hour>, &BTreeSet<Hour>),
        ledger: &Ledger,
        whole: &mut WholeHours,
        swept: &mut Swept,
    ) {
        let known = whole.clone();
        whole.retain(|hour, _| closed.contains(hour) && !hours.contains(hour));
        for hour in hours {
            let path = layout::manifest_path(self.vault, *hour);
            let manifest = disk::read_bounded(self.disk, &path, MANIFEST_BYTES_MAX);
            let found = manifest
                .at(&path)
                .map_err(SweepError::from)
                .and_then(|bytes| {
                    let manifest_sha256 = Sha256::of(&bytes);
                    if let Some(before) = known.get(hour)
                        && before.manifest_sha256 == manifest_sha256
                    {
                        return Ok(before.clone());
                    }
                    self.verify(*hour, ledger)?;
                    let since = self.now;
                    Ok(Whole {
                        manifest_sha256,
                        since,
                    })
                });
            match found {
                Ok(found) => {
                    whole.insert(*hour, found);
                }
                Err(why) => swept.problem("an hour is damaged; its raw data is kept", &why),
            }
        }
        if *whole != known
            && let Err(why) = note::write(self.disk, &self.verified_path(), whole)
        {
            tracing::warn!("the record of what was verified cannot be saved: {why}");
        }
    }

    /// Reads an hour's data files again, and compares them with its manifest, which must be the one
    /// of the revision that the ledger knows.
    fn verify(&self, hour: Hour, ledger: &Ledger) -> Result<Manifest, SweepError> {
        let place = HourOfVault {
            disk: self.disk,
            vault: self.vault,
            hour,
        };
        let committed = place.current()?;
        let committed = committed.map(|(manifest, _)| manifest);
        let Some(manifest) =
            committed.filter(|manifest| manifest.history.revision == ledger.revision(hour))
        else {
            return Err(SweepError::NotCommitted(hour));
        };
        for output in &manifest.outputs {
            let path = layout::day_folder(self.vault, hour.day()).join(&output.name);
            let mut file = self.disk.open(&path).at(&path)?;
            let found = raw::read_through(&mut *file, |_| Ok(())).at(&path)?;
            let says = Digest {
                lines: found.lines,
                bytes: output.bytes,
                sha256: output.sha256,
            };
            if found != says {
                return Err(differs(&path, "committed", &says, &found));
            }
        }
        Ok(manifest)
    }

    fn compress_all<'n>(&self, names: &[&'n SegmentName], swept: &mut Swept) {
        let (disk, spool) = (self.disk, self.indexes.spool);
        let work = |name: &&'n SegmentName| (*name, compress(disk, spool, name));
        let outcome = workers::in_order(names, self.threads, work, |(name, done)| {
            match done {
                Ok(true) => swept.compressed += 1,
                Ok(false) => (),
                Err(why) => {
                    swept.problem("a segment was not compressed", &why);
                    // the next merge reads it against its seal, and sets it aside if it is damaged
                    if let SweepError::Differs { how: "sealed", .. } = why
                        && let Err(why) = self.indexes.forget(name)
                    {
                        tracing::warn!("the index of {name} cannot be removed: {why}");
                    }
                }
            }
            Ok::<_, std::convert::Infallible>(())
        });
        match outcome {
            Ok(()) => (),
            Err(never) => match never {},
        }
    }

    /// Reads the hours again, deletes the segments whose hours are whole, and returns these.
    fn delete(
        &self,
        (numbers, spooled): (&[usize], &[SpoolSegment]),
        needs: &Needs<'_>,
        ledger: &Ledger,
        known: &mut WholeHours,
        swept: &mut Swept,
    ) -> Result<BTreeSet<SegmentName>, SweepError> {
        if matches!(self.elsewhere, Elsewhere::Away) {
            return Ok(BTreeSet::new());
        }
        let mut whole: BTreeMap<Hour, bool> = BTreeMap::new();
        let mut names = Vec::new();
        for number in numbers {
            let hours = needs.hours_of(*number);
            for hour in &hours {
                let verify = || self.is_whole_now(*hour, ledger, swept);
                whole.entry(*hour).or_insert_with(verify);
            }
            let is_whole = |hour| whole.get(hour) == Some(&true);
            if !hours.is_empty()
                && hours.iter().all(is_whole)
                && let Some(segment) = spooled.get(*number)
            {
                names.push(segment.name.clone());
            }
        }
        if whole.values().any(|is_whole| !is_whole) {
            // an hour that is no longer whole is verified each time until it is
            known.retain(|hour, _| whole.get(hour) != Some(&false));
            note::write(self.disk, &self.verified_path(), known)?;
        }
        if names.is_empty() {
            return Ok(BTreeSet::new());
        }
        let note = Deletion {
            delete: names.clone(),
            only_here: false,
        };
        note::write(self.disk, &self.deletion_path(), &note)?;
        crash::point(Point::DeletionNoted);
        self.delete_noted(note)?;
        swept.deleted += names.len() as u64;
        Ok(names.into_iter().collect())
    }

    fn is_whole_now(&self, hour: Hour, ledger: &Ledger, swept: &mut Swept) -> bool {
        let verified = self.verify(hour, ledger);
        let verified = verified.and_then(|whole| Ok(self.commits.check_whole(&whole)?));
        if let Err(why) = &verified {
            swept.problem("an hour has been damaged; its raw data is kept", why);
        }
        verified.is_ok()
    }

    /// In the object store first: what is deleted only here would be fetched again.
    fn delete_noted(&self, mut note: Deletion) -> Result<(), SweepError> {
        match self.elsewhere {
            _ if note.only_here => (),
            Elsewhere::Nowhere => (),
            Elsewhere::Away => return Err(SweepError::Away),
            Elsewhere::In(store) => {
                segments::delete(store, &note.delete, &mut || {
                    crash::point(Point::ObjectDeleted);
                })?;
                note.only_here = true;
                note::write(self.disk, &self.deletion_path(), &note)?;
            }
        }
        let names = &note.delete;
        let spool = self.indexes.spool;
        for name in names {
            let paths = name.paths(spool);
            if self.disk.list(&paths.folder).at(&paths.folder)?.is_empty() {
                continue;
            }
            raw::remove(self.disk, &paths).at(&paths.folder)?;
            crash::point(Point::SegmentDeleted);
        }
        spool::remove_empty_folders(self.disk, spool, names.iter(), self.now).at(spool)?;
        crash::point(Point::AllDeleted);
        let path = self.deletion_path();
        self.disk.remove(&path).at(&path)?;
        Ok(self.disk.sync_folder(self.data_dir).at(self.data_dir)?)
    }
}

/// Replaces the plain form with the compressed one, if that is there.
fn compress(disk: &dyn Disk, spool: &Path, name: &SegmentName) -> Result<bool, SweepError> {
    let paths = name.paths(spool);
    let plain = &paths.segment;
    if disk.len(plain).at(plain)?.is_none() {
        return Ok(false);
    }
    let bytes = disk::read_bounded(disk, &paths.seal, SEAL_BYTES_MAX).at(&paths.seal)?;
    let seal = Seal::read(&bytes, name).at(&paths.seal)?;
    let packed = raw::compressed(plain);
    let aside = disk::aside(&packed);
    if let Err(why) = pack(disk, plain, &aside, &seal.segment) {
        // a partial file is of no use, and takes up space
        if let Ok(Some(_)) = disk.len(&aside) {
            disk.remove(&aside).at(&aside)?;
        }
        return Err(why);
    }
    crash::point(Point::PackedChecked);
    disk.rename(&aside, &packed).at(&packed)?;
    let folder = &paths.folder;
    disk.sync_folder(folder).at(folder)?;
    crash::point(Point::PackedInPlace);
    disk.remove(plain).at(plain)?;
    disk.sync_folder(folder).at(folder)?;
    crash::point(Point::PlainRemoved);
    Ok(true)
}

/// Writes the compressed form durably, reads it back, and compares it with the seal.
fn pack(disk: &dyn Disk, plain: &Path, aside: &Path, sealed: &Digest) -> Result<(), SweepError> {
    match raw::pack(disk, plain, aside, sealed).at(plain)? {
        Packed::Whole => Ok(()),
        Packed::Damaged(found) => Err(differs(plain, "sealed", sealed, &found)),
        Packed::ReadsBack(found) => Err(differs(aside, "written", sealed, &found)),
    }
}

impl Swept {
    fn problem(&mut self, what: &str, why: &SweepError) {
        alarm!(
            AlarmKind::RawDataKept,
            "",
            "{what}: {why}\n  hint: nothing was deleted; `twinstream verify` says what is wrong"
        );
        self.problems.push(format!("{what}: {why}"));
    }
}
