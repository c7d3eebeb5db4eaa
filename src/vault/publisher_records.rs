//! What the publisher keeps of a vault in an object store beside its hours, so that another machine can continue from
//! there:
//!
//! ```text
//! doi.json, witness/<file>    as in the vault's folder, created once
//! published/41.jsonl          lines of the diary of what was published, created once
//! ```
//!
//! It is synchronised both ways, before and after a stage: what is only there is fetched, and what is only here is
//! put there.

use std::{
    collections::BTreeSet,
    io::{self, Read as _, SeekFrom},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    commit_error::InStoreError,
    doi, published,
    witness::{self, AuthorityName, StampName},
};
use crate::{
    place::store::{Created, Key, Store, create_of, read_whole},
    world::{
        disk::{self, Disk},
        error_at::At as _,
    },
};

/// A stamp, an authority's certificates or a DOI; the largest of them have some hundred kilobytes.
const RECORD_BYTES_MAX: u64 = 1 << 20;

/// As many bytes of the diary as go into one object.
const DIARY_BYTES_MAX: usize = 1 << 20;

/// The records of a vault.
pub struct PublisherRecords<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The file system.
    pub disk: &'a dyn Disk,
    /// The copy of the vault here.
    pub vault: &'a Path,
}

/// How much of the diary here is there, and how much of that there is here: `<data_dir>/published.shared.json`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Shared {
    /// The bytes of the diary here that are in the store.
    bytes: u64,
    /// The objects there whose lines are here.
    objects: u64,
}

impl PublisherRecords<'_> {
    /// Fetches what is only there, and puts there what is only here.
    pub fn share(&self) -> Result<(), InStoreError> {
        self.fetch()?;
        let (here, there) = (self.here()?, self.there()?);
        // the name of a stamp practically determines its content
        let is_new = |name: &&String| **name == DOI || !there.contains(*name);
        for name in here.iter().filter(is_new) {
            let bytes = self.read(&self.path(name))?;
            self.create(&key(name)?, &bytes)?;
        }
        Ok(())
    }

    /// Fetches what is only there.
    pub fn fetch(&self) -> Result<(), InStoreError> {
        for name in self.there()?.difference(&self.here()?) {
            let Some(bytes) = read_whole(self.store, &key(name)?, RECORD_BYTES_MAX)? else {
                continue;
            };
            let path = self.path(name);
            let folder = path.parent().unwrap_or(self.vault);
            self.disk.make_folder(folder).at(folder)?;
            disk::put(self.disk, &path, &bytes).at(&path)?;
        }
        Ok(())
    }

    /// Shares the diary too.
    pub fn share_diary(&self, data_dir: &Path) -> Result<(), InStoreError> {
        let path = published::path(data_dir);
        let note = data_dir.join("published.shared.json");
        let mut shared = self.shared(&note)?;
        let before = shared;
        let own = self.tail(&path, shared.bytes)?;
        let own: Vec<&[u8]> = own.split_inclusive(|byte| *byte == b'\n').collect();
        let mut there: BTreeSet<Vec<u8>> = BTreeSet::new();
        let mut foreign = Vec::new();
        loop {
            let key = format!("published/{}.jsonl", shared.objects + 1).try_into()?;
            let bytes_max = DIARY_BYTES_MAX as u64;
            if let Some(lines) = read_whole(self.store, &key, bytes_max)? {
                // one that was killed before it could note it has put its own there already
                let lines = lines.split_inclusive(|byte| *byte == b'\n');
                let new = lines.filter(|line| there.insert(line.to_vec()));
                foreign.extend(new.filter(|line| !own.contains(line)).flatten());
                shared.objects += 1;
                continue;
            }
            let mut next = Vec::new();
            for line in own.iter().filter(|line| !there.contains(**line)) {
                if DIARY_BYTES_MAX < next.len() + line.len() {
                    break;
                }
                next.extend_from_slice(line);
            }
            if next.is_empty() {
                break;
            }
            // if another machine was faster, the next turn reads its entry
            if create_of(self.store, &key, &next)? == Created::Stands {
                let lines = next.split_inclusive(|byte| *byte == b'\n');
                there.extend(lines.map(<[u8]>::to_vec));
                shared.objects += 1;
            }
        }
        if foreign.is_empty() {
            shared.bytes += own.iter().map(|line| line.len() as u64).sum::<u64>();
        } else {
            disk::append_lines(self.disk, &path, &foreign).at(&path)?;
            shared.bytes = self.disk.len(&path).at(&path)?.unwrap_or(0);
        }
        if shared != before {
            let json = serde_json::to_vec(&shared)
                .map_err(io::Error::from)
                .at(&note)?;
            disk::put(self.disk, &note, &json).at(&note)?;
        }
        Ok(())
    }

    fn shared(&self, path: &Path) -> Result<Shared, InStoreError> {
        if self.disk.len(path).at(path)?.is_none() {
            return Ok(Shared::default());
        }
        let bytes = self.read(path)?;
        Ok(serde_json::from_slice(&bytes)
            .map_err(io::Error::from)
            .at(path)?)
    }

    /// The whole lines of the diary behind so many bytes.
    fn tail(&self, path: &Path, from: u64) -> Result<Vec<u8>, InStoreError> {
        let mut lines = Vec::new();
        if from < self.disk.len(path).at(path)?.unwrap_or(0) {
            let mut file = self.disk.open(path).at(path)?;
            file.seek(SeekFrom::Start(from)).at(path)?;
            file.read_to_end(&mut lines).at(path)?;
        }
        let whole = lines.iter().rposition(|byte| *byte == b'\n');
        lines.truncate(whole.map_or(0, |end| end + 1));
        Ok(lines)
    }

    fn here(&self) -> Result<BTreeSet<String>, InStoreError> {
        let folder = witness::folder(self.vault);
        let entries = self.disk.list(&folder).at(&folder)?.into_iter();
        let stamps = entries.map(|entry| format!("witness/{}", entry.name));
        let mut here: BTreeSet<String> = stamps.filter(|name| is_record(name)).collect();
        let doi = doi::path(self.vault);
        if self.disk.len(&doi).at(&doi)?.is_some() {
            here.insert(DOI.to_owned());
        }
        Ok(here)
    }

    fn there(&self) -> Result<BTreeSet<String>, InStoreError> {
        let mut there = BTreeSet::new();
        for prefix in [DOI, "witness/"] {
            self.store.list(prefix, &mut |listed| {
                let name = listed.key.as_str();
                if is_record(name) {
                    there.insert(name.to_owned());
                }
            })?;
        }
        Ok(there)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.vault.join(name)
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, InStoreError> {
        Ok(disk::read_bounded(self.disk, path, RECORD_BYTES_MAX).at(path)?)
    }

    fn create(&self, key: &Key, bytes: &[u8]) -> Result<(), InStoreError> {
        match create_of(self.store, key, bytes)? {
            Created::Stands => Ok(()),
            Created::Taken { .. } => Err(InStoreError::Wrong {
                place: self.store.name(),
                key: key.to_string(),
                why: "the one there is not the one here".to_owned(),
            }),
        }
    }
}

/// The DOI's name.
const DOI: &str = "doi.json";

fn key(name: &str) -> Result<Key, InStoreError> {
    Ok(name.to_owned().try_into()?)
}

/// Whether that is the name of a record: it leads nowhere else.
fn is_record(name: &str) -> bool {
    let of_witness =
        |file: &str| file.parse::<StampName>().is_ok() || file.parse::<AuthorityName>().is_ok();
    name == DOI || name.strip_prefix("witness/").is_some_and(of_witness)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::{place::folder::Folder, world::disk::RealDisk};

    struct Machine(TempDir);

    impl Machine {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.0.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            disk::put(&RealDisk, &path, text.as_bytes()).unwrap();
        }

        fn read(&self, name: &str) -> String {
            std::fs::read_to_string(self.0.path().join(name)).unwrap_or_default()
        }

        fn share(&self, store: &dyn Store) {
            let records = PublisherRecords {
                store,
                disk: &RealDisk,
                vault: self.0.path(),
            };
            records.share().unwrap();
            records.share_diary(self.0.path()).unwrap();
        }
    }

    #[test]
    fn whoever_publishes_next_has_what_the_former_one_kept() {
        let there = tempfile::tempdir().unwrap();
        let store = Folder {
            disk: &RealDisk,
            root: there.path(),
        };
        let (one, two) = (Machine::new(), Machine::new());
        one.write(DOI, "d");
        one.write("witness/ledger_000123_20261124T140509Z.tsr", "a");
        one.write("witness/note.txt", "private");
        one.write("published.jsonl", "1\n2\ntorn");
        one.share(&store);
        two.share(&store);
        assert_eq!(
            (two.read(DOI), two.read("published.jsonl")),
            ("d".into(), "1\n2\n".into())
        );
        assert_eq!(two.read("witness/ledger_000123_20261124T140509Z.tsr"), "a");
        assert_eq!(two.read("witness/note.txt"), "");
        // both go on, and one of them was killed before it could note what it had put there
        two.write("published.jsonl", "1\n2\n3\n4\n");
        let note = two.read("published.shared.json");
        two.share(&store);
        two.write("published.shared.json", &note);
        two.write("published.jsonl", "1\n2\n3\n4\n5\n");
        two.share(&store);
        one.write("published.jsonl", "1\n2\ntorn\n6\n");
        one.share(&store);
        two.share(&store);
        let lines = |machine: &Machine| {
            let text = machine.read("published.jsonl");
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.retain(|line| line != "torn");
            lines.sort();
            lines.concat()
        };
        assert_eq!(
            (lines(&one), lines(&two)),
            ("123456".into(), "123456".into())
        );
        // one that begins has each once
        let three = Machine::new();
        three.share(&store);
        assert_eq!(lines(&three), "123456");
        // another DOI is never taken for the same
        three.write(DOI, "e");
        let records = PublisherRecords {
            store: &store,
            disk: &RealDisk,
            vault: three.0.path(),
        };
        let why = records.share().unwrap_err().to_string();
        assert!(
            why.ends_with("doi.json: the one there is not the one here"),
            "{why}"
        );
    }
}
