//! What should be public, and is not known to be: reads the vault.

use std::{collections::BTreeMap, path::Path};

use super::plan::{self, IdsOfHour, Wanted};
use crate::{
    cite::make::{self, MakeError},
    period::{Hour, UtcMs},
    segment::sha256::Sha256,
    vault::{
        day_hashes::{DayHashes, Hashed},
        layout::{self, FileKind},
        ledger::{self, LedgerError},
        manifest::{MANIFEST_BYTES_MAX, Manifest},
        public::{Public, RootFile},
        published::Published,
        witness::Witness,
    },
    world::{
        disk::{self, Disk},
        error_at::{At as _, ErrorAt},
    },
};

/// Stamps and the files about the whole archive have some kilobytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Why the vault cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// A file or folder.
    #[error(transparent)]
    Io(#[from] ErrorAt),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What was found.
#[derive(Debug, Default)]
pub struct Look {
    /// What should be public.
    pub wanted: Vec<Wanted>,
    /// Files that cannot be read, and manifests that are not those that the ledger speaks of: a merge is at
    /// work, or something is wrong, which `verify` tells.
    pub unready: Vec<(Public, String)>,
}

/// Which part of the vault is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What the diary does not have.
    New,
    /// Everything.
    All,
}

/// Looks.
pub fn look(
    disk: &dyn Disk,
    (data_dir, vault): (&Path, &Path),
    published: &Published,
    (scope, now): (Scope, UtcMs),
) -> Result<Look, LookError> {
    let is_new = |what: Public, sha256: Sha256| scope == Scope::All || !published.has(what, sha256);
    let mut due = BTreeMap::new();
    let ledger = ledger::each_line(disk, vault, |line| {
        let is_new = is_new(Public::Manifest(line.hour), line.manifest_sha256);
        plan::take_line(&mut due, &line, is_new);
    })?;
    let mut found = Look::default();
    for (hour, (revision, manifest_sha256)) in due {
        match wanted_of(disk, vault, hour, manifest_sha256, published) {
            Ok(wanted) => found.wanted.extend(wanted),
            Err(why) => found.unready.push((
                Public::Manifest(hour),
                format!("revision {revision}: {why}"),
            )),
        }
    }
    day_files(disk, (data_dir, vault), (scope, now), &is_new, &mut found)?;
    let witness = Witness::open(disk, vault, None).at(vault)?;
    let authorities = witness.authorities.iter().copied().map(Public::Authority);
    let stamps = witness.stamps.iter().copied().map(Public::Stamp);
    for what in authorities.chain(stamps) {
        if let Some(one) = read(disk, vault, what, &mut found) {
            found.wanted.push(one);
        }
    }
    root_files(disk, (data_dir, vault), &is_new, &mut found);
    if 0 < ledger.bytes {
        found.wanted.push(Wanted {
            what: Public::Ledger,
            bytes: ledger.bytes,
            sha256: ledger.sha256,
            revision: None,
            new_ids: 0,
        });
    }
    found
        .wanted
        .retain(|one| is_new(one.what, one.sha256) || one.revision.is_some());
    Ok(found)
}

/// The files of all days. Those of an unchanged day are not read again, unless everything is to be read.
fn day_files(
    disk: &dyn Disk,
    (data_dir, vault): (&Path, &Path),
    (scope, now): (Scope, UtcMs),
    is_new: &dyn Fn(Public, Sha256) -> bool,
    found: &mut Look,
) -> Result<(), LookError> {
    let mut hashes = match scope {
        Scope::New => DayHashes::read(disk, data_dir, vault, now),
        Scope::All => DayHashes::none(disk, vault, now),
    };
    for day in layout::days(disk, vault).at(vault)? {
        hashes.each(day, |what, hashed| match hashed {
            Ok(Hashed { bytes, sha256 }) if is_new(what, sha256) => found.wanted.push(Wanted {
                what,
                bytes,
                sha256,
                revision: None,
                new_ids: 0,
            }),
            Ok(_) => (),
            // one that cannot be read stops no other
            Err(why) => {
                let why = ErrorAt::new(&what.path(vault), why).to_string();
                found.unready.push((what, why));
            }
        });
    }
    hashes.keep();
    Ok(())
}

/// The files about the whole archive that are in place. They are remade only if any of them is new.
fn root_files(
    disk: &dyn Disk,
    (data_dir, vault): (&Path, &Path),
    is_new: &dyn Fn(Public, Sha256) -> bool,
    found: &mut Look,
) {
    let mut there = Vec::new();
    for what in RootFile::ALL.map(Public::Root) {
        there.extend(read(disk, vault, what, found));
    }
    if !there.iter().any(|one| is_new(one.what, one.sha256)) {
        return;
    }
    let made = match make::again(disk, vault, data_dir) {
        Ok(made) => made,
        Err(why @ (MakeError::Outdated { .. } | MakeError::OtherDoi(_))) => {
            tracing::info!("left for a later run: {why}");
            return;
        }
        Err(why) => {
            let of = there.iter().map(|one| (one.what, why.to_string()));
            found.unready.extend(of);
            return;
        }
    };
    for one in there {
        let is_it = |(file, text): (&RootFile, &String)| {
            Public::Root(*file) == one.what && Sha256::of(text.as_bytes()) == one.sha256
        };
        if made.iter().any(is_it) {
            found.wanted.push(one);
        } else {
            let why = "it is not what configuration, ledger and manifests say".to_owned();
            found.unready.push((one.what, why));
        }
    }
}

/// A file as it is in the vault, if it is there. One that cannot be read stops no other.
fn read(disk: &dyn Disk, vault: &Path, what: Public, found: &mut Look) -> Option<Wanted> {
    let path = what.path(vault);
    match disk::read_if_there(disk, &path, FILE_BYTES_MAX).at(&path) {
        Ok(bytes) => bytes.map(|bytes| wanted(what, &bytes)),
        Err(why) => {
            found.unready.push((what, why.to_string()));
            None
        }
    }
}

fn wanted(what: Public, bytes: &[u8]) -> Wanted {
    Wanted {
        what,
        bytes: bytes.len() as u64,
        sha256: Sha256::of(bytes),
        revision: None,
        new_ids: 0,
    }
}

/// The two files of an hour, if the manifest in place is the one that the ledger speaks of.
fn wanted_of(
    disk: &dyn Disk,
    vault: &Path,
    hour: Hour,
    manifest_sha256: Sha256,
    published: &Published,
) -> Result<[Wanted; 2], String> {
    let path = layout::manifest_path(vault, hour);
    let bytes = disk::read_bounded(disk, &path, MANIFEST_BYTES_MAX);
    let bytes = bytes.at(&path).map_err(|why| why.to_string())?;
    let mut of_manifest = wanted(Public::Manifest(hour), &bytes);
    if of_manifest.sha256 != manifest_sha256 {
        return Err("its manifest is not the one in the ledger".to_owned());
    }
    let manifest = Manifest::from_json(&bytes).map_err(|why| why.to_string())?;
    let name = FileKind::Ids.name(hour);
    let ids = manifest.outputs.iter().find(|output| output.name == name);
    let ids = ids.ok_or("its manifest names no ids file")?;
    let revision = manifest.history.revision;
    let mut ids_of = BTreeMap::from([(revision, IdsOfHour::of(&manifest))]);
    let public = published.revision(hour);
    for earlier in public.unwrap_or(revision)..revision {
        let path = layout::archived_path(vault, hour, earlier);
        match Manifest::read(disk, &path) {
            Ok(manifest) => drop(ids_of.insert(earlier, IdsOfHour::of(&manifest))),
            Err(why) => tracing::warn!("{}: {why}: all ids of the hour count", path.display()),
        }
    }
    let of_ids = Wanted {
        what: Public::Ids(hour),
        bytes: ids.bytes,
        sha256: ids.sha256,
        revision: Some(revision),
        new_ids: plan::new_ids(&ids_of, public, revision),
    };
    of_manifest.revision = Some(revision);
    Ok([of_ids, of_manifest])
}
