//! Compares the log with the ledger and the manifests, version by version: what each of them must have follows from the
//! lines of the ledger that are in it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        commit_error::InStoreError,
        in_store::{InStore, line_key},
        ledger,
    },
    action::{Removed, TableFile, Version},
    checkpoint,
    log::{
        FOLDER, Hint, VERSION_BYTES_MAX, checkpoint_key, checkpoint_of, file, hint_key, read,
        version_key, version_of,
    },
    table::Table,
};
use crate::{
    period::Hour,
    place::store::{Key, read_whole},
    text::plural,
};

/// What was found.
#[derive(Debug, Default)]
pub struct Checked {
    /// What does not hold: the object, and why.
    pub wrong: Vec<(String, String)>,
    /// What is worth knowing.
    pub notes: Vec<(String, String)>,
}

/// What lies there.
#[derive(Default)]
struct There {
    versions: BTreeSet<u64>,
    checkpoints: BTreeSet<u64>,
    strangers: Vec<Key>,
}

/// The log as far as it was read.
struct Check<'a> {
    vault: &'a InStore<'a>,
    /// The lines of the copy's ledger.
    lines: Vec<(Hour, u64)>,
    table: Table,
    /// The file of each hour.
    current: BTreeMap<Hour, Option<TableFile>>,
    schema_of: u64,
    /// Whether others have gone on since the vault was copied.
    is_ahead: bool,
    checked: Checked,
}

/// Checks the log of a vault that was copied to where the copy is now.
pub fn check(vault: &InStore<'_>) -> Result<Checked, InStoreError> {
    let mut lines = Vec::new();
    ledger::each_line(vault.disk, vault.vault, |line| {
        lines.push((line.hour, line.revision));
    })?;
    let check = Check {
        vault,
        lines,
        table: Table::default(),
        current: BTreeMap::new(),
        schema_of: 0,
        is_ahead: false,
        checked: Checked::default(),
    };
    check.whole()
}

impl Check<'_> {
    fn there(&self) -> Result<There, InStoreError> {
        let mut there = There::default();
        self.vault.store.list(FOLDER, &mut |listed| {
            if let Some(version) = version_of(&listed.key) {
                there.versions.insert(version);
            } else if let Some(version) = checkpoint_of(&listed.key) {
                there.checkpoints.insert(version);
            } else if hint_key().is_ok_and(|hint| hint != listed.key) {
                there.strangers.push(listed.key);
            }
        })?;
        Ok(there)
    }

    fn wrong(&mut self, key: &Key, why: impl Into<String>) {
        let name = format!("{}/{key}", self.vault.store.name());
        self.checked.wrong.push((name, why.into()));
    }

    fn note(&mut self, key: &str, what: String) {
        let name = format!("{}/{key}", self.vault.store.name());
        self.checked.notes.push((name, what));
    }

    fn whole(mut self) -> Result<Checked, InStoreError> {
        let there = self.there()?;
        for key in &there.strangers {
            self.note(key.as_str(), "it is no file of the log".to_owned());
        }
        if let Some(last) = there.versions.last() {
            for number in 0..=*last {
                if !self.version(number, &there)? {
                    break;
                }
            }
        }
        self.hint(&there)?;
        let lacks = (self.lines.len() as u64).saturating_sub(self.table.ledger);
        if self.checked.wrong.is_empty() && !self.is_ahead && 0 < lacks {
            let lines = plural(lacks, "line", "lines");
            let what =
                format!("it lacks {lines} of the ledger: a merge adds them, at most a day later");
            self.note(FOLDER, what);
        }
        Ok(self.checked)
    }

    /// Checks the next version, and the checkpoint that has it; `false`: nothing can be said of those after it.
    fn version(&mut self, number: u64, there: &There) -> Result<bool, InStoreError> {
        let key = version_key(number)?;
        let version = match read(self.vault.store, number) {
            Ok(Some(version)) => version,
            Ok(None) => {
                self.wrong(&key, "it is missing, but later ones are there");
                return Ok(false);
            }
            Err(InStoreError::Wrong { why, .. }) => {
                self.wrong(&key, why);
                return Ok(false);
            }
            Err(why) => return Err(why),
        };
        if (self.lines.len() as u64) < version.ledger {
            let line = line_key(version.ledger)?;
            let is_known = read_whole(self.vault.store, &line, VERSION_BYTES_MAX)?.is_some();
            if !is_known {
                let why = format!(
                    "it has {} lines of the ledger, and there are fewer",
                    version.ledger
                );
                self.wrong(&key, why);
            }
            self.is_ahead = is_known;
            return Ok(false);
        }
        if let Err(why) = self.follow(number, &version)? {
            self.wrong(&key, why);
            return Ok(false);
        }
        if there.checkpoints.contains(&number) {
            self.checkpoint(number)?;
        }
        Ok(true)
    }

    /// Whether a version has what the ledger says.
    fn follow(
        &mut self,
        number: u64,
        version: &Version,
    ) -> Result<Result<(), String>, InStoreError> {
        let (known, lines) = (self.table.ledger, version.ledger);
        if let Err(why) = self.table.take(version) {
            return Ok(Err(why));
        }
        if version.meta_data.is_some() {
            self.schema_of = number;
        }
        if version.schema_of != self.schema_of {
            return Ok(Err("it names another version for the schema".to_owned()));
        }
        let [known, lines] = [known, lines].map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        let new = self.lines.get(known..lines).unwrap_or_default();
        let new: BTreeMap<Hour, u64> = new.iter().copied().collect();
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        for (hour, revision) in new {
            let file = file(self.vault, hour, revision)?;
            let before = self.current.insert(hour, file.clone()).flatten();
            removed.extend(before.map(|TableFile { path, bytes, .. }| Removed { path, bytes }));
            added.extend(file);
        }
        if (&removed, &added) != (&version.removed, &version.added) {
            let why = format!(
                "it does not have each hour as line {} of the ledger has it",
                version.ledger
            );
            return Ok(Err(why));
        }
        Ok(Ok(()))
    }

    fn checkpoint(&mut self, number: u64) -> Result<(), InStoreError> {
        let key = checkpoint_key(number)?;
        let bytes = read_whole(self.vault.store, &key, VERSION_BYTES_MAX)?;
        match checkpoint::read(bytes.unwrap_or_default()) {
            Ok(table) if table == self.table => (),
            Ok(_) => self.wrong(&key, "it does not have what the version has"),
            Err(why) => self.wrong(&key, why),
        }
        Ok(())
    }

    /// Whether readers are led to a checkpoint that is there.
    fn hint(&mut self, there: &There) -> Result<(), InStoreError> {
        let key = hint_key()?;
        let Some(bytes) = read_whole(self.vault.store, &key, VERSION_BYTES_MAX)? else {
            return Ok(());
        };
        match serde_json::from_slice::<Hint>(&bytes) {
            Ok(hint) => {
                let named = checkpoint_key(hint.version)?;
                // it may have been made since the listing
                if !there.checkpoints.contains(&hint.version)
                    && read_whole(self.vault.store, &named, VERSION_BYTES_MAX)?.is_none()
                {
                    self.wrong(&key, format!("it names {named}, which is missing"));
                }
            }
            Err(why) => self.wrong(&key, why.to_string()),
        }
        Ok(())
    }
}
