//! Commits a revision whose files are written under temporary names (aside).
//!
//! ```text
//! write data aside ─▶ sync, read back, check ─▶ manifest aside, durably      ◀── this is the commit
//!        ─▶ rename the data into place ─▶ keep the former manifest under revisions/
//!        ─▶ rename the manifest into place ─▶ the day's files ─▶ append the ledger's line
//! ```
//!
//! A crash before the commit leaves files aside without a manifest: they are removed. A crash after
//! it leaves work that `finish` does, as often as it takes, with the same bytes. Nothing that is
//! not named by a manifest is ever overwritten.

use std::{
    collections::BTreeSet,
    io,
    panic::resume_unwind,
    path::{Path, PathBuf},
    thread::ScopedJoinHandle,
};

use super::{
    commit_error::CommitError,
    day,
    layout::{self, FileKind},
    ledger::Ledger,
    listings::Listings,
    manifest::{MANIFEST_BYTES_MAX, Manifest, Output},
    posts::read::{self, Wanted},
    redactions::{Redactions, RedactionsError},
    xz::{self, Written},
};
use crate::{
    period::Hour,
    world::{
        crash::{self, Point},
        disk::{self, Disk},
        error_at::At as _,
    },
};

/// A manifest, and its bytes.
pub type ManifestBytes = (Manifest, Vec<u8>);

/// A data file that was read back, and is what was written.
#[derive(Debug)]
pub struct ReadBack(Output);

impl ReadBack {
    /// What is in it.
    pub fn output(&self) -> &Output {
        &self.0
    }
}

/// Where revisions are committed.
pub trait Commits {
    /// Whether somebody else has committed a revision that this vault does not have yet.
    fn is_taken(&self, hour: Hour, revision: u64) -> Result<bool, CommitError>;

    /// Commits the revision whose data lies aside; files that were read back already are not read again.
    fn commit(
        &self,
        place: &HourOfVault<'_>,
        manifest: &Manifest,
        read_back: &[ReadBack],
        ledger: &mut Ledger,
    ) -> Result<(), CommitError>;

    /// Whether what was committed is in place then.
    fn is_in_place(&self) -> bool;

    /// Makes the list of what was removed on request durable, where all who merge read it.
    fn keep_list(
        &self,
        disk: &dyn Disk,
        vault: &Path,
        list: &mut Redactions,
    ) -> Result<(), RedactionsError>;

    /// Reads a revision again that is whole in this vault, where it was committed, if that is elsewhere.
    fn check_whole(&self, manifest: &Manifest) -> Result<(), CommitError>;
}

/// A vault of this machine: nobody else commits to it.
pub struct Here;

impl Commits for Here {
    fn is_taken(&self, _hour: Hour, _revision: u64) -> Result<bool, CommitError> {
        Ok(false)
    }

    fn commit(
        &self,
        place: &HourOfVault<'_>,
        manifest: &Manifest,
        read_back: &[ReadBack],
        ledger: &mut Ledger,
    ) -> Result<(), CommitError> {
        place.check(manifest, read_back)?;
        place.take(manifest, &manifest.to_json(), ledger)
    }

    fn is_in_place(&self) -> bool {
        true
    }

    fn check_whole(&self, _manifest: &Manifest) -> Result<(), CommitError> {
        Ok(())
    }

    fn keep_list(
        &self,
        disk: &dyn Disk,
        vault: &Path,
        list: &mut Redactions,
    ) -> Result<(), RedactionsError> {
        list.write(disk, vault)
    }
}

/// An hour of a vault that is being worked on.
pub struct HourOfVault<'a> {
    /// The file system.
    pub disk: &'a dyn Disk,
    /// The vault.
    pub vault: &'a Path,
    /// The hour.
    pub hour: Hour,
}

impl HourOfVault<'_> {
    fn folder(&self) -> PathBuf {
        layout::day_folder(self.vault, self.hour.day())
    }

    /// Where a data file of a revision is written before it is committed.
    pub fn aside(&self, kind: FileKind, revision: u64) -> PathBuf {
        layout::aside(&layout::data_path(self.vault, self.hour, kind), revision)
    }

    fn manifest_aside(&self, revision: u64) -> PathBuf {
        layout::aside(&layout::manifest_path(self.vault, self.hour), revision)
    }

    /// The manifest in place and its bytes; `None` if the hour was never committed.
    pub fn current(&self) -> Result<Option<ManifestBytes>, CommitError> {
        let path = layout::manifest_path(self.vault, self.hour);
        self.manifest_at(&path)
    }

    fn manifest_at(&self, path: &Path) -> Result<Option<ManifestBytes>, CommitError> {
        if self.disk.len(path).at(path)?.is_none() {
            return Ok(None);
        }
        let bytes = disk::read_bounded(self.disk, path, MANIFEST_BYTES_MAX).at(path)?;
        let manifest = Manifest::from_json(&bytes).at(path)?;
        Ok(Some((manifest, bytes)))
    }

    /// Where a data file of that name is written before it is committed.
    pub(super) fn aside_of(&self, name: &str, revision: u64) -> PathBuf {
        layout::aside(&self.folder().join(name), revision)
    }

    /// Reads a data file of a revision back that was written and synced: often others are still being written then.
    pub fn read_back(&self, written: &Written, revision: u64) -> Result<ReadBack, CommitError> {
        let output = &written.output;
        let path = self.aside_of(&output.name, revision);
        if !xz::reads_back(self.disk, &path, written).at(&path)? {
            // its SHA-256 decides, and is told
            self.check_written(output, revision)?;
        }
        Ok(ReadBack(output.clone()))
    }

    /// Whether the files aside are what was written, and nothing foreign is in their way.
    pub(super) fn check(
        &self,
        manifest: &Manifest,
        read_back: &[ReadBack],
    ) -> Result<(), CommitError> {
        let revision = manifest.history.revision;
        assert!(
            manifest.balances(),
            "the books of {} do not balance",
            self.hour
        );
        crash::point(Point::DataAside);
        let former = self
            .current()?
            .map_or_else(Vec::new, |(former, _)| former.said.outputs);
        // each by a thread of its own: there are few, and the largest of them takes longest
        let checks: Vec<Result<(), CommitError>> = std::thread::scope(|scope| {
            let check = |output| scope.spawn(move || self.check_written(output, revision));
            let is_new = |output: &&Output| !read_back.iter().any(|ReadBack(done)| done == *output);
            let checks: Vec<_> = manifest.outputs.iter().filter(is_new).map(check).collect();
            let checks = checks.into_iter().map(ScopedJoinHandle::join);
            checks
                .map(|check| check.unwrap_or_else(|why| resume_unwind(why)))
                .collect()
        });
        checks.into_iter().collect::<Result<(), CommitError>>()?;
        for output in &manifest.outputs {
            let path = self.folder().join(&output.name);
            let is_there = self.disk.len(&path).at(&path)?.is_some();
            if is_there && !former.iter().any(|known| known.name == output.name) {
                return Err(CommitError::Foreign(path));
            }
        }
        self.disk.sync_folder(&self.folder()).at(&self.folder())?;
        crash::point(Point::DataChecked);
        Ok(())
    }

    /// Takes the files aside, which were checked, as this manifest's, and moves them into place.
    pub(super) fn take(
        &self,
        manifest: &Manifest,
        bytes: &[u8],
        ledger: &mut Ledger,
    ) -> Result<(), CommitError> {
        let path = self.manifest_aside(manifest.history.revision);
        disk::put(self.disk, &path, bytes).at(&path)?;
        crash::point(Point::ManifestAside);
        self.finish(ledger)
    }

    /// Reads a data file back and compares it with what was written.
    fn check_written(&self, output: &Output, revision: u64) -> Result<(), CommitError> {
        let path = layout::aside(&self.folder().join(&output.name), revision);
        let kind = FileKind::of_name(&output.name).map(|(_, kind)| kind);
        let found = if kind == Some(FileKind::Posts) {
            read::read_through(self.disk, &path, Wanted::Only(&["id"]), |_| Ok(()))
        } else {
            let header = kind.map_or(0, FileKind::header_lines);
            xz::read_through(self.disk, &path, header, |_| Ok(()))
        };
        let found = found.at(&path)?;
        let found = Output {
            name: output.name.clone(),
            ..found
        };
        if found == *output {
            return Ok(());
        }
        let what = format!(
            "{} bytes with sha256 {}, not {} with {}",
            found.bytes, found.sha256, output.bytes, output.sha256
        );
        Err(CommitError::ReadBack { path, what })
    }

    /// Finishes what was committed and not brought into place, and removes what was not committed.
    pub fn finish(&self, ledger: &mut Ledger) -> Result<(), CommitError> {
        let folder = self.folder();
        let entries = self.disk.list(&folder).at(&folder)?;
        let of_this_hour = |name: &str| {
            layout::hour_of_manifest(name) == Some(self.hour)
                || FileKind::of_name(name).is_some_and(|(hour, _)| hour == self.hour)
        };
        let mut aside: Vec<(String, u64)> = Vec::new();
        for entry in &entries {
            let torn = entry.name.strip_suffix(".tmp");
            let inner = layout::of_aside(torn.unwrap_or(&entry.name)).map(|(name, _)| name);
            if torn.is_some() && inner.or(torn).is_some_and(of_this_hour) {
                let path = folder.join(&entry.name);
                self.disk.remove(&path).at(&path)?;
            } else if let Some((name, revision)) = layout::of_aside(&entry.name)
                && of_this_hour(name)
            {
                aside.push((name.to_owned(), revision));
            }
        }
        let is_manifest = |(name, _): &&(String, u64)| layout::hour_of_manifest(name).is_some();
        let committed: BTreeSet<u64> = aside.iter().filter(is_manifest).map(|(_, r)| *r).collect();
        for revision in &committed {
            self.bring_into_place(*revision)?;
        }
        for (name, revision) in aside
            .iter()
            .filter(|(_, revision)| !committed.contains(revision))
        {
            let path = layout::aside(&folder.join(name), *revision);
            self.disk.remove(&path).at(&path)?;
        }
        if self
            .disk
            .len(&layout::manifest_path(self.vault, self.hour))
            .at(&folder)?
            .is_none()
        {
            return Ok(());
        }
        // before the ledger: a day whose files are missing is seen to be unfinished
        match day::write(self.disk, self.vault, self.hour.day()) {
            // an hour that cannot be read keeps no other from being finished
            Err(why) if day::hour_of(&why).is_some_and(|hour| hour != self.hour) => {
                let day = self.hour.day();
                tracing::warn!(
                    "the files of {day} stay as they are until its hours can be read: {why}"
                );
            }
            written => written?,
        }
        crash::point(Point::DayWritten);
        self.complete_ledger(ledger)
    }

    fn bring_into_place(&self, revision: u64) -> Result<(), CommitError> {
        let folder = self.folder();
        let manifest_aside = self.manifest_aside(revision);
        let Some((manifest, _)) = self.manifest_at(&manifest_aside)? else {
            return Ok(());
        };
        for output in &manifest.outputs {
            let path = folder.join(&output.name);
            let aside = layout::aside(&path, revision);
            if self.disk.len(&aside).at(&aside)?.is_some() {
                self.disk.rename(&aside, &path).at(&path)?;
                crash::point(Point::FileInPlace);
            } else if self.disk.len(&path).at(&path)? != Some(output.bytes) {
                return Err(CommitError::Missing { path, revision });
            }
        }
        crash::point(Point::DataInPlace);
        if let Some((former, bytes)) = self.current()?
            && former.history.revision < revision
        {
            let kept = layout::archived_path(self.vault, self.hour, former.history.revision);
            let revisions = layout::archived_folder(self.vault, self.hour.day());
            self.disk.make_folder(&revisions).at(&revisions)?;
            disk::put(self.disk, &kept, &bytes).at(&kept)?;
            crash::point(Point::FormerKept);
            let is_gone = |old: &&Output| !manifest.outputs.iter().any(|new| new.name == old.name);
            for output in former.outputs.iter().filter(is_gone) {
                let path = folder.join(&output.name);
                disk::remove_if_there(self.disk, &path).at(&path)?;
            }
        }
        self.disk.sync_folder(&folder).at(&folder)?;
        let path = layout::manifest_path(self.vault, self.hour);
        self.disk.rename(&manifest_aside, &path).at(&path)?;
        self.disk.sync_folder(&folder).at(&folder)?;
        crash::point(Point::ManifestInPlace);
        Ok(())
    }

    /// Appends the ledger's lines that are missing for this hour.
    fn complete_ledger(&self, ledger: &mut Ledger) -> Result<(), CommitError> {
        let Some((manifest, bytes)) = self.current()? else {
            return Ok(());
        };
        let last = manifest.history.revision;
        for revision in ledger.revision(self.hour) + 1..last {
            let path = layout::archived_path(self.vault, self.hour, revision);
            let bytes = disk::read_bounded(self.disk, &path, MANIFEST_BYTES_MAX).at(&path)?;
            ledger.append(self.disk, self.hour, revision, &bytes)?;
        }
        if ledger.revision(self.hour) < last {
            ledger.append(self.disk, self.hour, last, &bytes)?;
            crash::point(Point::LedgerAppended);
        }
        Ok(())
    }
}

/// The hours of a vault that a crash may have left half done: something lies aside, or the ledger
/// does not know their latest revision. Looks at names only.
pub fn half_done(listings: &mut Listings<'_>, ledger: &Ledger) -> io::Result<BTreeSet<Hour>> {
    let mut hours = BTreeSet::new();
    for day in listings.days()? {
        let listing = match listings.of(day) {
            Ok(listing) => listing,
            // one day stops no other
            Err(why) => {
                tracing::warn!("half-done commits of {day} cannot be looked for: {why}");
                continue;
            }
        };
        hours.extend(listing.unfinished);
        let unknown = |(hour, earlier): &(&Hour, &u64)| ledger.revision(**hour) <= **earlier;
        hours.extend(listing.hours.iter().filter(unknown).map(|(hour, _)| *hour));
    }
    listings.keep();
    Ok(hours)
}
