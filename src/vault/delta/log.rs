//! Writes the versions that are missing, and reads them.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    super::{
        commit_error::{CommitError, InStoreError},
        identity::Identity,
        in_store::{Committed, InStore, data_key, revision_key, wrong},
        layout::FileKind,
        ledger,
    },
    action::{MetaData, Protocol, Removed, TableFile, Version},
    checkpoint, schema,
    table::{Changes, Table},
};
use crate::{
    period::{Hour, UtcMs},
    place::store::{Created, Key, Listed, Store, create_of, read_whole},
    segment::sha256::Sha256,
    source::Source,
    world::{
        crash::{self, Point},
        disk,
        error_at::At as _,
    },
};

/// Where the log lies.
pub(in crate::vault) const FOLDER: &str = "_delta_log/";

/// The first version of a vault with ten years of hours has some 30 MiB.
pub(super) const VERSION_BYTES_MAX: u64 = 1 << 30;

/// Every so many versions there is a checkpoint.
pub const CHECKPOINT_EVERY: u64 = 100;

/// Some 50 bytes.
const HINT_BYTES_MAX: u64 = 4096;

/// Some 100 bytes.
const NOTE_BYTES_MAX: u64 = 4096;

/// The log of a vault in a store.
pub struct DeltaLog<'a> {
    /// The vault, and its copy here.
    pub vault: &'a InStore<'a>,
    /// Which columns its files have.
    pub source: &'a dyn Source,
    /// Where this machine notes what it has seen, so that it need not ask again.
    pub folder: &'a Path,
    /// Every so many versions there is a file with all that the version has.
    pub checkpoint_every: u64,
}

/// What this machine has seen of the log. Nothing but the number of requests depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    /// Of which vault.
    vault: String,
    /// The latest version.
    version: u64,
    /// How many lines of the ledger are in it.
    ledger: u64,
    /// The latest checkpoint.
    checkpoint: u64,
    /// A version whose schema was found to have all our columns, and the hash of these.
    columns: Option<(u64, Sha256)>,
}

/// What the next version needs of the latest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tail {
    version: u64,
    ledger: u64,
    schema_of: u64,
}

impl Tail {
    const fn of(version: u64, read: &Version) -> Self {
        Self {
            version,
            ledger: read.ledger,
            schema_of: read.schema_of,
        }
    }
}

/// The hint at the latest checkpoint.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hint {
    pub(super) version: u64,
    /// Its rows.
    size: u64,
}

/// Where a version lies.
pub(in crate::vault) fn version_key(version: u64) -> Result<Key, InStoreError> {
    Ok(format!("{FOLDER}{version:020}.json").try_into()?)
}

/// The version that lies under a key.
pub(in crate::vault) fn version_of(key: &Key) -> Option<u64> {
    let name = key.as_str().strip_prefix(FOLDER)?;
    let version = name.strip_suffix(".json")?.parse().ok()?;
    let is_it = version_key(version).is_ok_and(|own| own == *key);
    is_it.then_some(version)
}

pub(super) fn checkpoint_key(version: u64) -> Result<Key, InStoreError> {
    Ok(format!("{FOLDER}{version:020}.checkpoint.parquet").try_into()?)
}

/// The version of the checkpoint that lies under a key.
pub(super) fn checkpoint_of(key: &Key) -> Option<u64> {
    let name = key.as_str().strip_prefix(FOLDER)?;
    let version = name.strip_suffix(".checkpoint.parquet")?.parse().ok()?;
    let is_it = checkpoint_key(version).is_ok_and(|own| own == *key);
    is_it.then_some(version)
}

pub(super) fn hint_key() -> Result<Key, InStoreError> {
    Ok(format!("{FOLDER}_last_checkpoint").try_into()?)
}

/// A version; `None`: there is none of that number yet.
pub(in crate::vault) fn read(
    store: &dyn Store,
    version: u64,
) -> Result<Option<Version>, InStoreError> {
    let key = version_key(version)?;
    let Some(bytes) = read_whole(store, &key, VERSION_BYTES_MAX)? else {
        return Ok(None);
    };
    let read = Version::read(&bytes);
    read.map(Some).map_err(|why| wrong(store, &key, why))
}

/// The file of posts that a revision has; `None`: it has none, or there is no revision yet.
pub(super) fn file(
    vault: &InStore<'_>,
    hour: Hour,
    revision: u64,
) -> Result<Option<TableFile>, InStoreError> {
    if revision == 0 {
        return Ok(None);
    }
    let committed = vault.committed(hour, revision)?;
    let Some(Committed {
        attempt, manifest, ..
    }) = committed
    else {
        return Err(vault.wrong(&revision_key(hour, revision)?, "it is missing"));
    };
    let name = FileKind::Posts.name(hour);
    let Some(output) = manifest.outputs.iter().find(|output| output.name == name) else {
        return Ok(None);
    };
    let end = manifest.intervals.last().map_or(UtcMs(0), |last| last.end);
    Ok(Some(TableFile {
        path: data_key(hour, &attempt, &name)?.to_string(),
        bytes: output.bytes,
        rows: output.rows,
        time: end,
    }))
}

impl DeltaLog<'_> {
    /// Forgets what this machine has seen of the log if that is no longer there: somebody has deleted the log, or a part of it.
    pub fn look(&self) -> Result<(), InStoreError> {
        let Some(seen) = self.seen() else {
            return Ok(());
        };
        if !self.is_there(&version_key(seen.version)?)? || !self.has_begin(&seen)? {
            let path = self.path();
            disk::remove_if_there(self.vault.disk, &path).at(&path)?;
        }
        Ok(())
    }

    /// Whether that is there with which a reader of the latest version begins.
    fn has_begin(&self, seen: &Seen) -> Result<bool, InStoreError> {
        self.is_there(&match seen.checkpoint {
            0 => version_key(0)?,
            checkpoint => checkpoint_key(checkpoint)?,
        })
    }

    /// Writes what is missing: the version that has the ledger as the copy here has it after it has followed, and the latest
    /// checkpoint.
    pub fn extend(&self) -> Result<(), InStoreError> {
        let vault = self.vault_id()?;
        let seen = self.seen().filter(|seen| seen.vault == vault);
        let lines = self.vault.lines();
        let is_done = |seen: &Seen| {
            lines <= seen.ledger && self.checkpoint_before(seen.version) == seen.checkpoint
        };
        if lines == 0 || seen.as_ref().is_some_and(is_done) {
            return Ok(());
        }
        // a version is never written after one that has no log before it
        let seen = match seen {
            Some(noted) if self.has_begin(&noted)? => Some(noted),
            _ => None,
        };
        let ours = schema::of_source(self.source);
        let sha256 = Sha256::of(ours.to_string().as_bytes());
        let mut columns = seen.as_ref().and_then(|seen| seen.columns);
        columns = columns.filter(|(_, of_ours)| *of_ours == sha256);
        let mut tail = self.tail(seen.as_ref())?;
        while tail.is_none_or(|tail| tail.ledger < lines) {
            let number = tail.map_or(0, |tail| tail.version + 1);
            let known = columns.map(|(version, _)| version);
            let version = self.next(tail, (&vault, &ours, known))?;
            if version.meta_data.is_none() {
                columns = Some((version.schema_of, sha256));
            }
            tail = Some(self.create(number, &version, tail)?);
        }
        let Some(tail) = tail else {
            return Ok(());
        };
        let checkpoint = self.checkpoint_before(tail.version);
        if 0 < checkpoint && seen.is_none_or(|seen| seen.checkpoint != checkpoint) {
            self.make_checkpoint(checkpoint)?;
        }
        self.note(&Seen {
            vault,
            version: tail.version,
            ledger: tail.ledger,
            checkpoint,
            columns,
        })
    }

    /// The latest version with a checkpoint up to one; 0: none.
    const fn checkpoint_before(&self, version: u64) -> u64 {
        version - version % self.checkpoint_every
    }

    fn vault_id(&self) -> Result<String, InStoreError> {
        let (disk, vault) = (self.vault.disk, self.vault.vault);
        let identity = Identity::read(disk, vault).map_err(CommitError::from)?;
        Ok(identity.map_or_else(String::new, |identity| identity.id.to_string()))
    }

    fn path(&self) -> PathBuf {
        self.folder.join("delta_log.json")
    }

    fn seen(&self) -> Option<Seen> {
        let bytes = disk::read_bounded(self.vault.disk, &self.path(), NOTE_BYTES_MAX).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    fn note(&self, seen: &Seen) -> Result<(), InStoreError> {
        let path = self.path();
        let json = serde_json::to_vec(seen).map_err(io::Error::from);
        Ok(disk::put(self.vault.disk, &path, &json.at(&path)?).at(&path)?)
    }

    fn read(&self, version: u64) -> Result<Option<Version>, InStoreError> {
        read(self.vault.store, version)
    }

    fn is_there(&self, key: &Key) -> Result<bool, InStoreError> {
        let mut is_there = false;
        let mut each = |listed: Listed| is_there |= listed.key == *key;
        self.vault.store.list(key.as_str(), &mut each)?;
        Ok(is_there)
    }

    /// The latest version; `None`: there is none.
    fn tail(&self, seen: Option<&Seen>) -> Result<Option<Tail>, InStoreError> {
        let known = match seen {
            Some(seen) => self.read(seen.version)?.map(|read| (seen.version, read)),
            None => None,
        };
        let mut tail = match known {
            Some((version, read)) => Tail::of(version, &read),
            None => match self.search()? {
                Some(tail) => tail,
                None => return Ok(None),
            },
        };
        while let Some(read) = self.read(tail.version + 1)? {
            tail = self.after(tail, &read)?;
        }
        Ok(Some(tail))
    }

    /// A version late in the log: from the latest checkpoint on, or from the first version, none is there without its
    /// predecessor.
    fn search(&self) -> Result<Option<Tail>, InStoreError> {
        let is_there = |version: u64| self.is_there(&version_key(version)?);
        let hint = read_whole(self.vault.store, &hint_key()?, HINT_BYTES_MAX)?;
        let hint = hint.and_then(|bytes| serde_json::from_slice::<Hint>(&bytes).ok());
        let begin = match hint {
            Some(hint) if is_there(hint.version)? => hint.version,
            _ if is_there(0)? => 0,
            _ => return Ok(None),
        };
        let (mut there, mut absent) = (begin, begin + 1);
        while is_there(absent)? {
            (there, absent) = (absent, absent + (absent - begin));
        }
        while there + 1 < absent {
            let middle = there.midpoint(absent);
            if is_there(middle)? {
                there = middle;
            } else {
                absent = middle;
            }
        }
        let read = self.read(there)?;
        Ok(read.map(|read| Tail::of(there, &read)))
    }

    /// The next version is what another has written.
    fn after(&self, tail: Tail, read: &Version) -> Result<Tail, InStoreError> {
        let next = Tail::of(tail.version + 1, read);
        if tail.ledger < next.ledger && next.schema_of <= next.version {
            return Ok(next);
        }
        let key = version_key(next.version)?;
        Err(self
            .vault
            .wrong(&key, "it does not go on from the version before"))
    }

    /// What follows from the ledger.
    fn next(
        &self,
        tail: Option<Tail>,
        of: (&str, &Value, Option<u64>),
    ) -> Result<Version, InStoreError> {
        let mut changes = Changes::since(tail.map_or(0, |tail| tail.ledger));
        let (disk, copy) = (self.vault.disk, self.vault.vault);
        ledger::each_line(disk, copy, |line| changes.take(line.hour, line.revision))?;
        let mut version = Version::new(tail.map_or(0, |tail| tail.schema_of), changes.lines);
        self.describe(&mut version, tail, of)?;
        for (hour, (before, latest)) in changes.hours {
            if let Some(file) = file(self.vault, hour, before)? {
                let TableFile { path, bytes, .. } = file;
                version.removed.push(Removed { path, bytes });
            }
            version.added.extend(file(self.vault, hour, latest)?);
        }
        Ok(version)
    }

    /// What the table is: in the first version, and where our files have columns that the log does not know. The schema
    /// of one version is `known` to have them.
    fn describe(
        &self,
        version: &mut Version,
        tail: Option<Tail>,
        (vault, ours, known): (&str, &Value, Option<u64>),
    ) -> Result<(), InStoreError> {
        let Some(tail) = tail else {
            version.protocol = Some(Protocol::ours());
            version.meta_data = Some(MetaData::new(vault.to_owned(), ours));
            return Ok(());
        };
        if known == Some(tail.schema_of) {
            return Ok(());
        }
        // the first version may be large, and in the end it is the checkpoint that counts
        let (key, known) = match self.checkpoint_at(self.checkpoint_before(tail.version))? {
            Some((base, table)) if tail.schema_of <= base => {
                (checkpoint_key(base)?, table.meta_data)
            }
            _ => {
                let read = self.read(tail.schema_of)?;
                let known = read.and_then(|read| read.meta_data);
                (version_key(tail.schema_of)?, known)
            }
        };
        let wrong = |why: &str| self.vault.wrong(&key, why);
        let known = known.ok_or_else(|| wrong("it does not say what the table is"))?;
        let schema = known.schema().map_err(|why| wrong(&why))?;
        let united = schema::united(&schema, ours).map_err(|why| wrong(&why))?;
        if united != schema {
            version.schema_of = tail.version + 1;
            version.meta_data = Some(MetaData::new(known.id, &united));
        }
        Ok(())
    }

    /// Creates a version, or takes another's.
    fn create(
        &self,
        number: u64,
        version: &Version,
        tail: Option<Tail>,
    ) -> Result<Tail, InStoreError> {
        let key = version_key(number)?;
        let bytes = version.to_bytes().at(self.vault.vault)?;
        if create_of(self.vault.store, &key, &bytes)? == Created::Stands {
            crash::point(Point::VersionCreated);
            return Ok(Tail::of(number, version));
        }
        let read = self.read(number)?;
        let read = read.ok_or_else(|| self.vault.wrong(&key, "it was there, and is gone"))?;
        match tail {
            Some(tail) => self.after(tail, &read),
            None => Ok(Tail::of(number, &read)),
        }
    }

    /// Makes a checkpoint, unless it is there, and says where it is.
    fn make_checkpoint(&self, version: u64) -> Result<(), InStoreError> {
        let key = checkpoint_key(version)?;
        let there = read_whole(self.vault.store, &key, VERSION_BYTES_MAX)?;
        let table = if let Some(bytes) = there {
            checkpoint::read(bytes).map_err(|why| self.vault.wrong(&key, why))?
        } else {
            let table = self.table(version)?;
            let bytes = checkpoint::write(&table).at(self.vault.vault)?;
            // another program may write the same in another way
            create_of(self.vault.store, &key, &bytes)?;
            crash::point(Point::CheckpointCreated);
            table
        };
        self.hint(version, checkpoint::len(&table))
    }

    /// The table at a version: from the checkpoint before, if there is one, and all versions since.
    fn table(&self, version: u64) -> Result<Table, InStoreError> {
        let before = self.checkpoint_at(self.checkpoint_before(version - 1))?;
        let (base, mut table) = before.unwrap_or_default();
        let first = if base == 0 { 0 } else { base + 1 };
        for number in first..=version {
            let key = version_key(number)?;
            let next = self.read(number)?;
            let next = next.ok_or_else(|| self.vault.wrong(&key, "it is missing"))?;
            table
                .take(&next)
                .map_err(|why| self.vault.wrong(&key, why))?;
        }
        Ok(table)
    }

    /// The latest checkpoint up to one; `None`: there is none.
    fn checkpoint_at(&self, mut base: u64) -> Result<Option<(u64, Table)>, InStoreError> {
        while 0 < base {
            let key = checkpoint_key(base)?;
            if let Some(bytes) = read_whole(self.vault.store, &key, VERSION_BYTES_MAX)? {
                let table = checkpoint::read(bytes).map_err(|why| self.vault.wrong(&key, why))?;
                return Ok(Some((base, table)));
            }
            base -= self.checkpoint_every;
        }
        Ok(None)
    }

    /// Says where the latest checkpoint is. Only readers ask, and without it, or with an older one, they list more.
    fn hint(&self, version: u64, size: u64) -> Result<(), InStoreError> {
        let key = hint_key()?;
        let store = self.vault.store;
        let there = read_whole(store, &key, HINT_BYTES_MAX)?;
        let known = there
            .as_ref()
            .and_then(|bytes| serde_json::from_slice::<Hint>(bytes).ok());
        if known.is_some_and(|known| version <= known.version) {
            return Ok(());
        }
        if there.is_some() {
            store.delete(&key)?;
            crash::point(Point::HintDeleted);
        }
        let json = serde_json::to_vec(&Hint { version, size }).map_err(io::Error::from);
        // if another has made it meanwhile, there is one
        create_of(store, &key, &json.at(self.vault.vault)?)?;
        Ok(())
    }
}
