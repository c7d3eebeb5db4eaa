//! The mark of a spool in an object store, copied into a folder of this server, where it is read like any other.

use std::{io, path::Path};

use super::{
    id::PlaceId,
    open::{SPOOL_MARK, spool_mark},
    store::{self, Created, Key, NotAKey, Store, StoreError},
};
use crate::world::{
    disk::{self, Disk},
    error_at::{At as _, ErrorAt},
};

/// A mark has some 100 bytes.
const MARK_BYTES_MAX: u64 = 64 * 1024;

/// Why a spool in a store could not be marked.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder here.
    #[error(transparent)]
    Io(#[from] ErrorAt),
    /// Something else lies where the spool is to be.
    #[error("{place} is no spool: it has no {SPOOL_MARK}, and is not empty ({found} lies there)")]
    NoPlace {
        /// Where.
        place: String,
        /// One of the entries there.
        found: Key,
    },
}

fn mark_key() -> Result<Key, StoreError> {
    let key = Key::try_from(SPOOL_MARK.to_owned());
    key.map_err(|why: NotAKey| StoreError::Io(io::Error::other(why)))
}

/// Fetches the mark. What the folder holds of another spool, `told` by name, is forgotten first.
pub fn fetch(
    store: &dyn Store,
    disk: &dyn Disk,
    mirror: &Path,
    told: &[&str],
) -> Result<(), MirrorError> {
    let there = store::read_whole(store, &mark_key()?, MARK_BYTES_MAX)?;
    disk.make_folder(mirror).at(mirror)?;
    let path = mirror.join(SPOOL_MARK);
    let here = match disk.len(&path).at(&path)? {
        Some(_) => Some(disk::read_bounded(disk, &path, MARK_BYTES_MAX).at(&path)?),
        None => None,
    };
    if here == there {
        return Ok(());
    }
    for name in told.iter().chain([&SPOOL_MARK]) {
        let path = mirror.join(name);
        disk::remove_if_there(disk, &path).at(&path)?;
    }
    match there {
        Some(mark) => Ok(disk::put(disk, &path, &mark).at(&path)?),
        None => Ok(()),
    }
}

/// An entry of a place, if there is any that is neither a probe's nor a person's own.
pub fn anything(store: &dyn Store) -> Result<Option<Key>, StoreError> {
    let mut found = None;
    store.list("", &mut |listed| {
        if !listed.key.as_str().starts_with('.') {
            found.get_or_insert(listed.key);
        }
    })?;
    Ok(found)
}

/// Marks an empty place as a spool. It is fine if another machine has done so meanwhile.
pub fn make(store: &dyn Store, id: &PlaceId) -> Result<(), MirrorError> {
    let found = anything(store)?.filter(|found| found.as_str() != SPOOL_MARK);
    if let Some(found) = found {
        // another machine may have marked it meanwhile, and delivered to it
        return match store::read_whole(store, &mark_key()?, MARK_BYTES_MAX)? {
            Some(_) => Ok(()),
            None => Err(MirrorError::NoPlace {
                place: store.name(),
                found,
            }),
        };
    }
    let mark = spool_mark(id).map_err(StoreError::Io)?;
    match store::create_of(store, &mark_key()?, &mark)? {
        Created::Stands | Created::Taken { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{place::folder::Folder, world::disk::RealDisk};

    /// Whoever believed another spool's acknowledgements would delete what this one has never had.
    #[test]
    fn what_another_spool_has_told_is_forgotten_and_what_this_one_has_told_is_kept() {
        let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = Folder {
            disk: &RealDisk,
            root: there.path(),
        };
        let told = here.path().join("acks.jsonl");
        let mark = |id: u128| {
            let mark = spool_mark(&PlaceId::of(id)).unwrap();
            disk::put(&RealDisk, &there.path().join(SPOOL_MARK), &mark).unwrap();
        };
        let is_told = || {
            fetch(&store, &RealDisk, here.path(), &["acks.jsonl"]).unwrap();
            RealDisk.len(&told).unwrap().is_some()
        };
        mark(1);
        assert!(!is_told());
        disk::put(&RealDisk, &told, b"{}\n").unwrap();
        assert!(is_told());
        mark(2);
        assert!(!is_told());
        disk::put(&RealDisk, &told, b"{}\n").unwrap();
        RealDisk.remove(&there.path().join(SPOOL_MARK)).unwrap();
        assert!(!is_told(), "one without a mark is another one");
        assert!(
            RealDisk
                .len(&here.path().join(SPOOL_MARK))
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn a_spool_is_marked_where_nothing_is_and_nowhere_else() {
        let (a, b) = (PlaceId::of(1), PlaceId::of(2));
        let mark = |id: &PlaceId| String::from_utf8(spool_mark(id).unwrap()).unwrap();
        // what lies there, and the mark that lies there then; none: it is refused
        for (there, marked) in [
            (&[][..], Some(&a)),
            (&[(".probe/x", "x")], Some(&a)),
            (&[("spool.json", &*mark(&b))], Some(&b)),
            (&[("spool.json", &*mark(&b)), ("2/x", "x")], Some(&b)),
            (&[("notes.txt", "x")], None),
            (&[("2/2026-11-23/14/x.jsonl.zst", "x")], None),
            // one that is being written is not there yet
            (&[("spool.json.tmp", "x")], Some(&a)),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let store = Folder {
                disk: &RealDisk,
                root: dir.path(),
            };
            for (name, bytes) in there {
                let path = dir.path().join(name);
                RealDisk.make_folder(path.parent().unwrap()).unwrap();
                disk::put(&RealDisk, &path, bytes.as_bytes()).unwrap();
            }
            let made = make(&store, &a);
            let path = dir.path().join(SPOOL_MARK);
            let found = disk::read_bounded(&RealDisk, &path, 999).ok();
            assert_eq!(found, marked.map(|id| mark(id).into_bytes()), "{there:?}");
            assert_eq!(made.is_ok(), marked.is_some(), "{there:?}");
        }
    }
}
