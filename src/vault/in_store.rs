//! A vault in an object store, into which any number of machines commit without knowing of each other.
//!
//! ```text
//! vault.json                                          which vault it is, created once
//! 2026-11-23/2026-11-23_14/r2-3fa9c01b5d20e7aa/<file> the data of one attempt: no other attempt has this name
//! 2026-11-23/2026-11-23_14/r2.json                    the commit: attempt and manifest, created once
//! ledger/41.json                                      line 41, which names the hash of line 40, created once
//! begin/2026-11-23_14                                 the vault begins with this hour, or with an earlier one
//! redactions/7.jsonl                                  what was removed on request: the list's seventh entry, created once
//! _delta_log/…                                        which Parquet files are current, for other programs (`delta`)
//! ```
//!
//! Creating `r2.json` commits revision 2. A machine that finds another's `r2.json` deletes its own attempt. If a
//! commit still lacks its line of the ledger, the next machine appends it. To create line *n*, a machine must have
//! read all lines before it, and only one line *n* can exist: the chain cannot fork, and has no revision twice. No
//! machine waits for another, and no clock of theirs decides anything; the store's clock says when an attempt is too
//! late (`attempts` deletes what is left of it, and superseded revisions).
//!
//! Each machine has a copy, a plain vault that follows the ledger line by line. It is always the vault as it was
//! after some line, so reading, publishing and stamping need not know of the store.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    commit::{Commits, HourOfVault, ReadBack},
    commit_error::{CommitError, InStoreError},
    identity::Identity,
    layout::{self, FileKind},
    ledger::{self, Ledger, LedgerLine},
    manifest::{MANIFEST_BYTES_MAX, Manifest, Output},
    redactions::{Redactions, RedactionsError},
};
use crate::{
    period::{Day, Hour},
    place::{
        decide::Found,
        mirror,
        open::{OfVault, PlaceKind as _},
        store::{
            self, Content, Created, Key, NotAKey, Store, StoreError, Timed, Window, create_of,
            read_whole,
        },
    },
    segment::{
        raw,
        seal::{Digest, Hashing},
        sha256::Sha256,
    },
    source::Source,
    world::{
        crash::{self, Point},
        disk::{self, Disk},
        error_at::At as _,
        workers,
    },
};

/// A line of a ledger has some 250 bytes.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// How long after its first file an attempt may be committed, by the store's clock. The store itself refuses it
/// later, so a much older attempt no longer belongs to any merger. An hour takes minutes.
pub const ATTEMPT_MAX: Duration = Duration::from_hours(6);

/// How often a copy that finds files gone looks for the revision that superseded them.
const LOOKS_MAX: usize = 16;

/// What is asked for at once, millions of posts.
const LIST_BYTES_MAX: u64 = 1 << 30;

/// Some 100 bytes.
const IDENTITY_BYTES_MAX: u64 = 64 * 1024;

/// The key that says that the vault begins with this hour, or with an earlier one.
pub(super) fn begin_key(first: Hour) -> Result<Key, InStoreError> {
    Ok(format!("begin/{first}").try_into()?)
}

/// Which attempt.
pub(super) fn attempt_name(revision: u64, attempt: u64) -> String {
    format!("r{revision}-{attempt:016x}")
}

pub(super) fn hour_folder(hour: Hour) -> String {
    format!("{}/{hour}", hour.day())
}

pub(super) fn revision_key(hour: Hour, revision: u64) -> Result<Key, NotAKey> {
    format!("{}/r{revision}.json", hour_folder(hour)).try_into()
}

pub(super) fn data_key(hour: Hour, attempt: &str, file: &str) -> Result<Key, NotAKey> {
    format!("{}/{attempt}/{file}", hour_folder(hour)).try_into()
}

fn list_key(entry: u64) -> Result<Key, NotAKey> {
    format!("redactions/{entry}.jsonl").try_into()
}

fn boxed(why: impl Into<InStoreError>) -> Box<InStoreError> {
    Box::new(why.into())
}

pub(super) fn line_key(number: u64) -> Result<Key, NotAKey> {
    format!("ledger/{number}.json").try_into()
}

/// What `r<n>.json` holds; the manifest's bytes are kept as they are.
#[derive(Serialize, Deserialize)]
struct Commit<'a> {
    attempt: String,
    #[serde(borrow)]
    manifest: &'a RawValue,
}

/// A committed revision.
pub(super) struct Committed {
    pub(super) attempt: String,
    pub(super) manifest: Manifest,
    pub(super) bytes: Vec<u8>,
}

/// The bytes of `r<n>.json`.
pub(super) fn commit_bytes(attempt: &str, manifest: &[u8]) -> io::Result<Vec<u8>> {
    let text = std::str::from_utf8(manifest).map_err(io::Error::other)?;
    let raw: &RawValue = serde_json::from_str(text)?;
    let attempt = attempt.to_owned();
    let mut json = serde_json::to_vec(&Commit {
        attempt,
        manifest: raw,
    })?;
    json.push(b'\n');
    Ok(json)
}

/// Reads them; an error says what is wrong.
fn read_commit(bytes: &[u8], hour: Hour, revision: u64) -> Result<Committed, String> {
    let text = std::str::from_utf8(bytes).map_err(|why| why.to_string())?;
    let commit: Commit<'_> = serde_json::from_str(text).map_err(|why| why.to_string())?;
    let bytes = format!("{}\n", commit.manifest.get()).into_bytes();
    let manifest = Manifest::from_json(&bytes).map_err(|why| why.to_string())?;
    if (manifest.hour, manifest.history.revision) != (hour, revision) {
        return Err(format!(
            "it is revision {} of hour {}",
            manifest.history.revision, manifest.hour
        ));
    }
    let prefix = format!("r{revision}-");
    let digits = commit.attempt.strip_prefix(&prefix).unwrap_or_default();
    if digits.len() != 16 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(format!("{:?} is not an attempt at it", commit.attempt));
    }
    let is_ours =
        |output: &Output| FileKind::of_name(&output.name).is_some_and(|(of, _)| of == hour);
    if let Some(other) = manifest.outputs.iter().find(|output| !is_ours(output)) {
        return Err(format!("{:?} is not a file of that hour", other.name));
    }
    Ok(Committed {
        attempt: commit.attempt,
        manifest,
        bytes,
    })
}

/// A revision that was committed there; `None`: there is none.
pub(super) fn committed(
    store: &dyn Store,
    hour: Hour,
    revision: u64,
) -> Result<Option<Committed>, InStoreError> {
    let key = revision_key(hour, revision)?;
    let Some(bytes) = read_whole(store, &key, MANIFEST_BYTES_MAX)? else {
        return Ok(None);
    };
    let read = read_commit(&bytes, hour, revision);
    read.map(Some).map_err(|why| wrong(store, &key, why))
}

pub(super) fn wrong(store: &dyn Store, key: &Key, why: impl Into<String>) -> InStoreError {
    InStoreError::Wrong {
        place: store.name(),
        key: key.to_string(),
        why: why.into(),
    }
}

/// The ledger in the store, as far as it was read.
struct Chain {
    /// How many lines.
    lines: u64,
    /// The hash of the last of them.
    previous: Sha256,
    latest: BTreeMap<Hour, u64>,
}

impl Chain {
    /// As far as the copy here has it.
    fn of(lines: &[LedgerLine]) -> Self {
        let mut chain = Self {
            lines: lines.len() as u64,
            previous: ledger::head_of(lines, lines),
            latest: BTreeMap::new(),
        };
        for line in lines {
            chain.has(line);
        }
        chain
    }

    fn has(&mut self, line: &LedgerLine) {
        let revision = self.latest.entry(line.hour).or_insert(0);
        *revision = line.revision.max(*revision);
    }

    /// With a further line.
    fn take(&mut self, line: &LedgerLine) -> io::Result<()> {
        self.previous = line.hash()?;
        self.lines += 1;
        self.has(line);
        Ok(())
    }
}

/// A vault in a store, and its copy on this machine.
pub struct InStore<'a> {
    pub(super) store: &'a dyn Timed,
    pub(super) disk: &'a dyn Disk,
    /// The copy.
    pub(super) vault: &'a Path,
    /// Draws a number that no other attempt has.
    draw: &'a dyn Fn() -> io::Result<u64>,
    /// How many data files are sent or fetched at the same time.
    at_once: usize,
    chain: RefCell<Chain>,
}

/// The mark of the vault, if it has one.
pub fn identity(store: &dyn Store) -> Result<Option<Vec<u8>>, StoreError> {
    read_whole(store, &identity_key()?, IDENTITY_BYTES_MAX)
}

/// What lies where a vault should be.
pub fn look(store: &dyn Store) -> Result<Found, StoreError> {
    let marked = || {
        let mark = identity(store)?;
        Ok::<_, StoreError>(mark.map(|mark| match Identity::id_of(&mark) {
            Some(id) => Found::Id(id),
            None => Found::Unreadable(format!("its {} is no vault's", OfVault::MARK)),
        }))
    };
    if let Some(found) = marked()? {
        return Ok(found);
    }
    if mirror::anything(store)?.is_none() {
        return Ok(Found::Empty);
    }
    // another machine may have marked it meanwhile
    Ok(marked()?.unwrap_or(Found::Unmarked))
}

/// Marks it; it is fine if another machine has done so meanwhile.
pub fn begin(store: &dyn Store, mark: &[u8]) -> Result<(), StoreError> {
    match create_of(store, &identity_key()?, mark)? {
        Created::Stands | Created::Taken { .. } => Ok(()),
    }
}

fn identity_key() -> Result<Key, StoreError> {
    let key = Key::try_from("vault.json".to_owned());
    key.map_err(|why| StoreError::Io(io::Error::other(why)))
}

impl<'a> InStore<'a> {
    /// A vault whose copy is in that folder.
    pub fn new(
        store: &'a dyn Timed,
        disk: &'a dyn Disk,
        vault: &'a Path,
        draw: &'a dyn Fn() -> io::Result<u64>,
    ) -> Result<Self, InStoreError> {
        let chain = Chain::of(&ledger::read(disk, vault)?);
        Ok(Self {
            store,
            disk,
            vault,
            draw,
            at_once: 1,
            chain: RefCell::new(chain),
        })
    }

    /// The same, which sends and fetches so many data files at the same time.
    #[must_use]
    pub fn at_once(self, at_once: usize) -> Self {
        Self { at_once, ..self }
    }

    pub(super) fn wrong(&self, key: &Key, why: impl Into<String>) -> InStoreError {
        wrong(self.store, key, why)
    }

    pub(super) fn committed(
        &self,
        hour: Hour,
        revision: u64,
    ) -> Result<Option<Committed>, InStoreError> {
        committed(self.store, hour, revision)
    }

    /// How many lines the ledger has, as far as it was read: after `follow`, those of the copy.
    pub(super) fn lines(&self) -> u64 {
        self.chain.borrow().lines
    }

    /// The latest revision of an hour that these lines have; 0 if they have none.
    pub(super) fn latest(&self, hour: Hour) -> u64 {
        self.chain.borrow().latest.get(&hour).copied().unwrap_or(0)
    }

    /// Reads the ledger's further lines.
    fn catch_up(&self) -> Result<(), InStoreError> {
        let mut chain = self.chain.borrow_mut();
        while let Some(line) = self.line(chain.lines + 1, chain.previous)? {
            chain.take(&line).at(self.vault)?;
        }
        Ok(())
    }

    /// A line, which must continue the one before.
    fn line(&self, number: u64, previous: Sha256) -> Result<Option<LedgerLine>, InStoreError> {
        let key = line_key(number)?;
        let Some(bytes) = read_whole(self.store, &key, LINE_BYTES_MAX)? else {
            return Ok(None);
        };
        let line = LedgerLine::read(&bytes).map_err(|why| self.wrong(&key, why))?;
        if line.previous == previous {
            Ok(Some(line))
        } else {
            Err(self.wrong(
                &key,
                "it does not go on from the line before, as this copy has it",
            ))
        }
    }

    /// Appends the lines of an hour up to a committed revision, unless others have done so.
    fn append(&self, hour: Hour, revision: u64) -> Result<(), InStoreError> {
        loop {
            self.catch_up()?;
            let mut chain = self.chain.borrow_mut();
            let known = chain.latest.get(&hour).copied().unwrap_or(0);
            if revision <= known {
                return Ok(());
            }
            let next = known + 1;
            let Some(committed) = self.committed(hour, next)? else {
                let key = revision_key(hour, next)?;
                return Err(self.wrong(&key, "it is missing, but a later one exists"));
            };
            let line = LedgerLine {
                hour,
                revision: next,
                manifest_sha256: Sha256::of(&committed.bytes),
                previous: chain.previous,
            };
            let bytes = line.to_bytes().map_err(io::Error::from).at(self.vault)?;
            // whoever was faster is read by the next turn
            if create_of(self.store, &line_key(chain.lines + 1)?, &bytes)? == Created::Stands {
                chain.take(&line).at(self.vault)?;
                crash::point(Point::LineCreated);
            }
        }
    }

    /// Puts the data of an attempt there and commits it; `false`: another has committed this revision.
    fn put(&self, place: &HourOfVault<'_>, manifest: &Manifest) -> Result<bool, InStoreError> {
        let (hour, revision) = (manifest.hour, manifest.history.revision);
        let attempt = attempt_name(revision, (self.draw)().at(self.vault)?);
        // before the first of its files
        let window = Window {
            since: self.store.now()?,
            lasts: ATTEMPT_MAX,
        };
        let files = files(place, &attempt, manifest)?;
        let (disk, store) = (self.disk, self.store);
        let create = |file: &DataFile<'_>| {
            create_file((disk, store), file).inspect(|()| crash::point(Point::AttemptStored))
        };
        workers::in_order(&files, self.at_once, create, |done| done)?;
        let key = revision_key(hour, revision)?;
        let bytes = commit_bytes(&attempt, &manifest.to_json()).at(self.vault)?;
        let content = Content {
            digest: &store::digest(&bytes),
            open: &|| Ok(Box::new(io::Cursor::new(bytes.clone()))),
        };
        match self.store.create_within(&key, &content, window)? {
            Created::Stands => Ok(true),
            Created::Taken { .. } => {
                // another commit was seen there, so no machine will ever look for these files
                for file in &files {
                    self.store.delete(&file.key)?;
                }
                Ok(false)
            }
        }
    }

    /// Brings the copy up to the ledger, line by line; for days that are not wanted, only the lines. Returns the
    /// hours that have changed.
    pub fn follow(&self, wants: &dyn Fn(Day) -> bool) -> Result<Vec<Hour>, InStoreError> {
        let mut changed = Vec::new();
        let mut looks = 0;
        loop {
            match self.follow_once(wants, &mut changed) {
                // the ledger has what superseded it, so that it is no longer the latest
                Err(InStoreError::Superseded { .. }) if looks < LOOKS_MAX => looks += 1,
                done => return done.map(|()| changed),
            }
        }
    }

    fn follow_once(
        &self,
        wants: &dyn Fn(Day) -> bool,
        changed: &mut Vec<Hour>,
    ) -> Result<(), InStoreError> {
        let mut ledger = Ledger::open(self.disk, self.vault)?;
        let mut chain = Chain::of(&ledger::read(self.disk, self.vault)?);
        let mut lines = Vec::new();
        while let Some(line) = self.line(chain.lines + 1, chain.previous)? {
            chain.take(&line).at(self.vault)?;
            lines.push(line);
        }
        for line in &lines {
            let key = revision_key(line.hour, line.revision)?;
            let committed = self.committed(line.hour, line.revision)?;
            let committed = committed.ok_or_else(|| self.wrong(&key, "it is missing"))?;
            if Sha256::of(&committed.bytes) != line.manifest_sha256 {
                return Err(self.wrong(&key, "it is not what the ledger says"));
            }
            if wants(line.hour.day()) {
                let is_latest = chain.latest.get(&line.hour) == Some(&line.revision);
                self.place(&committed, is_latest, &mut ledger)?;
                if is_latest {
                    changed.push(line.hour);
                }
            }
            if ledger.revision(line.hour) < line.revision {
                let bytes = &committed.bytes;
                ledger.append(self.disk, line.hour, line.revision, bytes)?;
            }
        }
        // as far as the copy has it, and no further
        self.chain.replace(chain);
        self.begin_with_first()
    }

    /// Puts a revision into the copy; of one that is no longer the latest, only the manifest.
    fn place(
        &self,
        committed: &Committed,
        is_latest: bool,
        ledger: &mut Ledger,
    ) -> Result<(), InStoreError> {
        let (hour, revision) = (committed.manifest.hour, committed.manifest.history.revision);
        let folder = layout::day_folder(self.vault, hour.day());
        if !is_latest {
            let path = layout::archived_path(self.vault, hour, revision);
            let revisions = folder.join("revisions");
            self.disk.make_folder(&revisions).at(&revisions)?;
            return Ok(disk::put(self.disk, &path, &committed.bytes).at(&path)?);
        }
        self.disk.make_folder(&folder).at(&folder)?;
        let place = HourOfVault {
            disk: self.disk,
            vault: self.vault,
            hour,
        };
        self.fetch(&place, committed)?;
        self.disk.sync_folder(&folder).at(&folder)?;
        Ok(place.take(&committed.manifest, &committed.bytes, ledger)?)
    }

    /// The data files, aside: those that were merged here, or those of the attempt that was committed.
    fn fetch(&self, place: &HourOfVault<'_>, committed: &Committed) -> Result<(), InStoreError> {
        let manifest = &committed.manifest;
        let files = files(place, &committed.attempt, manifest)?;
        let (disk, store) = (self.disk, self.store);
        let fetch = |file| (file, fetch_file((disk, store), file));
        workers::in_order(&files, self.at_once, fetch, |(file, done)| {
            if done? {
                return Ok(());
            }
            Err(self.absent(&file.key, place.hour, manifest.history.revision)?)
        })
    }

    /// What it means that a data file of a revision is not there.
    fn absent(&self, key: &Key, hour: Hour, revision: u64) -> Result<InStoreError, InStoreError> {
        if self.committed(hour, revision + 1)?.is_some() {
            return Ok(InStoreError::Superseded {
                place: self.store.name(),
                key: key.to_string(),
            });
        }
        Ok(self.wrong(key, "it is not what its manifest says"))
    }

    /// Merges the copy's list of what was removed on request with the store's, so that both have all entries.
    pub fn follow_list(&self, source: &'static dyn Source) -> Result<(), RedactionsError> {
        let mut list = Redactions::read(self.disk, self.vault, source)?;
        let before = list.entries();
        self.send_list(&mut list)?;
        if before < list.entries() {
            list.write(self.disk, self.vault)?;
        }
        Ok(())
    }

    /// Takes the next entry of the list in, if there is one.
    fn take_entry(&self, list: &mut Redactions) -> Result<bool, RedactionsError> {
        let entry = list.entries() + 1;
        let key = list_key(entry).map_err(boxed)?;
        let bytes = read_whole(self.store, &key, LIST_BYTES_MAX).map_err(boxed)?;
        let Some(bytes) = bytes else {
            return Ok(false);
        };
        let place = PathBuf::from(format!("{}/{key}", self.store.name()));
        list.take(&bytes, Some(entry), &place)?;
        Ok(true)
    }

    /// Adds missing entries to the list in the store: to create an entry, one must have read all before it.
    fn send_list(&self, list: &mut Redactions) -> Result<(), RedactionsError> {
        loop {
            while self.take_entry(list)? {}
            let bytes = list.unsent().at(self.vault)?;
            if bytes.is_empty() {
                return Ok(());
            }
            let entry = list.entries() + 1;
            let key = list_key(entry).map_err(boxed)?;
            // whoever was faster is read by the next turn
            if create_of(self.store, &key, &bytes).map_err(boxed)? == Created::Stands {
                list.sent(entry);
            }
        }
    }

    /// Records in the store with which hour the vault begins, unless an earlier one is recorded.
    pub fn tell_first_hour(&self) -> Result<(), InStoreError> {
        let identity = Identity::read(self.disk, self.vault).map_err(CommitError::from)?;
        let Some(first) = identity.and_then(|identity| identity.first_hour) else {
            return Ok(());
        };
        if self.first_hour()?.is_none_or(|known| first < known) {
            create_of(self.store, &begin_key(first)?, b"")?;
        }
        Ok(())
    }

    fn first_hour(&self) -> Result<Option<Hour>, InStoreError> {
        let mut first: Option<Hour> = None;
        self.store.list("begin/", &mut |listed| {
            let name = listed.key.as_str().strip_prefix("begin/");
            if let Some(hour) = name.and_then(|name| name.parse().ok()) {
                first = Some(first.map_or(hour, |known| known.min(hour)));
            }
        })?;
        Ok(first)
    }

    fn begin_with_first(&self) -> Result<(), InStoreError> {
        if let Some(first) = self.first_hour()?
            && let Some(mut identity) =
                Identity::read(self.disk, self.vault).map_err(CommitError::from)?
        {
            let begun = identity.begin_at(self.disk, self.vault, first);
            begun.map_err(CommitError::from)?;
        }
        Ok(())
    }
}

impl Commits for InStore<'_> {
    fn is_taken(&self, hour: Hour, revision: u64) -> Result<bool, CommitError> {
        let taken = || {
            if self.committed(hour, revision)?.is_none() {
                return Ok(false);
            }
            // it may be one whose merger ended before it had its line
            self.append(hour, revision)?;
            Ok(true)
        };
        taken().map_err(|why: InStoreError| CommitError::InStore(Box::new(why)))
    }

    fn commit(
        &self,
        place: &HourOfVault<'_>,
        manifest: &Manifest,
        read_back: &[ReadBack],
        _ledger: &mut Ledger,
    ) -> Result<(), CommitError> {
        place.check(manifest, read_back)?;
        let (hour, revision) = (manifest.hour, manifest.history.revision);
        let is_ours = self.put(place, manifest);
        let is_ours = is_ours.map_err(|why| CommitError::InStore(Box::new(why)))?;
        crash::point(Point::RevisionCreated);
        if let Err(why) = self.append(hour, revision) {
            // it is committed; the next machine appends the line
            tracing::warn!(
                "revision {revision} of hour {hour} is committed, but not in the ledger yet: {why}"
            );
        }
        if is_ours {
            Ok(())
        } else {
            Err(CommitError::Taken { hour, revision })
        }
    }

    fn is_in_place(&self) -> bool {
        // the copy follows the ledger
        false
    }

    fn keep_list(
        &self,
        disk: &dyn Disk,
        vault: &Path,
        list: &mut Redactions,
    ) -> Result<(), RedactionsError> {
        self.send_list(list)?;
        list.write(disk, vault)
    }

    fn check_whole(&self, manifest: &Manifest) -> Result<(), CommitError> {
        let check = || {
            let (hour, revision) = (manifest.hour, manifest.history.revision);
            let committed = self.committed(hour, revision)?;
            match committed.filter(|there| there.bytes == manifest.to_json()) {
                Some(committed) => self.read_again(hour, &committed),
                None => Err(self.wrong(&revision_key(hour, revision)?, "it is not as it was")),
            }
        };
        check().map_err(|why: InStoreError| CommitError::InStore(Box::new(why)))
    }
}

/// A data file of an attempt.
struct DataFile<'a> {
    /// Where it is there.
    key: Key,
    /// Where it is here, aside.
    path: PathBuf,
    output: &'a Output,
}

/// The data files of an attempt.
fn files<'a>(
    place: &HourOfVault<'_>,
    attempt: &str,
    manifest: &'a Manifest,
) -> Result<Vec<DataFile<'a>>, InStoreError> {
    let revision = manifest.history.revision;
    let file = |output: &'a Output| {
        Ok(DataFile {
            key: data_key(place.hour, attempt, &output.name)?,
            path: place.aside_of(&output.name, revision),
            output,
        })
    };
    manifest.outputs.iter().map(file).collect()
}

/// Creates a data file of an attempt there.
fn create_file(
    (disk, store): (&dyn Disk, &dyn Timed),
    DataFile { key, path, output }: &DataFile<'_>,
) -> Result<(), InStoreError> {
    let digest = digest_of(disk, path).at(path)?;
    let content = Content {
        digest: &digest,
        open: &|| Ok(Box::new(disk.open(path)?)),
    };
    match store.create(key, &content)? {
        Created::Stands if digest.sha256 == output.sha256 => Ok(()),
        Created::Stands | Created::Taken { .. } => {
            Err(wrong(store, key, "it is not what was merged"))
        }
    }
}

/// Fetches a data file, unless it is here; `false`: it is not there.
fn fetch_file(
    (disk, store): (&dyn Disk, &dyn Timed),
    DataFile { key, path, output }: &DataFile<'_>,
) -> Result<bool, InStoreError> {
    let is_it = |found: &Digest| (found.bytes, &found.sha256) == (output.bytes, &output.sha256);
    if disk.len(path).at(path)? == Some(output.bytes) && is_it(&digest_of(disk, path).at(path)?) {
        return Ok(true);
    }
    let file = disk::create_anew(disk, path).at(path)?;
    let mut to = Hashing::new(file);
    if store.read(key, output.bytes, &mut to)?.is_none() {
        return Ok(false);
    }
    if !is_it(&to.digester.finish()) {
        return Err(wrong(store, key, "it is not what its manifest says"));
    }
    to.to.sync().at(path)?;
    Ok(true)
}

/// What a file is.
fn digest_of(disk: &dyn Disk, path: &Path) -> io::Result<Digest> {
    raw::read_through(&mut *disk.open(path)?, |_| Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_keeps_the_manifest_s_bytes_and_names_what_it_may_only() {
        let hour: Hour = "2026-11-23_14".parse().unwrap();
        let manifest = b"{\n \"a\": [1, 2.50]\n}\n";
        let attempt = attempt_name(2, 0xab);
        assert_eq!(attempt, "r2-00000000000000ab");
        let bytes = commit_bytes(&attempt, manifest).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let commit: Commit<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!(format!("{}\n", commit.manifest.get()).as_bytes(), manifest);
        // that is no manifest
        assert!(read_commit(&bytes, hour, 2).is_err());
        assert!(read_commit(b"{", hour, 2).is_err());
        let key = data_key(hour, &attempt, "2026-11-23_14_IDs.txt.xz").unwrap();
        assert_eq!(
            key.as_str(),
            "2026-11-23/2026-11-23_14/r2-00000000000000ab/2026-11-23_14_IDs.txt.xz"
        );
        assert!(data_key(hour, &attempt, "../../a").is_err());
    }
}
