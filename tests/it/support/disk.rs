//! A disk in memory, as unkind as the contract of `world::disk::Disk` allows.
//!
//! What a file holds and what a folder lists is durable only after `sync` and `sync_folder`. At a
//! power cut each file keeps its durable bytes and a random part of what was appended since, each
//! folder a random prefix of the changes since. The disk can be told to lose its power at the n-th
//! call, and to have only so many bytes. What lies in a folder is gone with the folder.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{self, Cursor, Read, Seek, Write},
    ops::Bound,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use twinstream::world::disk::{Disk, DiskFile, Entry, FolderState, Source};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Node {
    File(usize),
    Folder,
}

#[derive(Default, Clone)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    reserved: u64,
}

/// A change of a folder that is not durable yet: what is removed, and what is put in.
#[derive(Clone)]
struct Change {
    folder: PathBuf,
    removed: Option<PathBuf>,
    put: Option<(PathBuf, Node)>,
}

#[derive(Clone, Default)]
struct State {
    files: Vec<Content>,
    now: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    changes: Vec<Change>,
    calls: u64,
    power_fails_at: Option<u64>,
    capacity: Option<u64>,
    /// Writes until one of them is spoiled.
    spoils_in: Option<u64>,
    /// How many bytes were read, by file.
    read: BTreeMap<PathBuf, u64>,
}

/// The disk; clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

struct SimulatedFile {
    disk: SimulatedDisk,
    file: usize,
}

/// A file that is read.
struct Reading {
    bytes: Cursor<Vec<u8>>,
    path: PathBuf,
    state: Arc<Mutex<State>>,
}

impl Read for Reading {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(to)?;
        let mut state = self.state.lock().unwrap();
        *state.read.entry(self.path.clone()).or_default() += read as u64;
        Ok(read)
    }
}

impl Seek for Reading {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

/// The next number of a simple generator (splitmix64), below `end`.
fn random(seed: &mut u64, end: usize) -> usize {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
}

impl State {
    fn used(&self) -> u64 {
        let files = self.now.values().filter_map(|node| match node {
            Node::File(file) => Some(&self.files[*file]),
            Node::Folder => None,
        });
        files
            .map(|content| (content.now.len() as u64).max(content.reserved))
            .sum()
    }

    fn room(&self) -> u64 {
        self.capacity
            .map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used()))
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.now.get(path) {
            Some(Node::File(file)) => Ok(*file),
            _ => Err(not_found()),
        }
    }

    fn change(&mut self, path: &Path, removed: Option<&Path>, put: Option<Node>) {
        if let Some(removed) = removed {
            self.now.remove(removed);
        }
        if let Some(node) = put {
            self.now.insert(path.to_owned(), node);
        }
        self.changes.push(Change {
            folder: path.parent().unwrap().to_owned(),
            removed: removed.map(Path::to_owned),
            put: put.map(|node| (path.to_owned(), node)),
        });
    }

    fn make_durable(&mut self, change: &Change) {
        if let Some(removed) = &change.removed {
            self.durable.remove(removed);
        }
        if let Some((path, node)) = &change.put {
            self.durable.insert(path.clone(), *node);
        }
    }
}

impl SimulatedDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Does one call: after the power failed nothing happens any more; at the call in which it
    /// fails the work may have been done.
    fn call<T>(&self, work: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state();
        state.calls += 1;
        let calls = state.calls;
        let fails_at = state.power_fails_at.unwrap_or(u64::MAX);
        if fails_at < calls {
            return Err(io::Error::other("the power is out"));
        }
        let done = work(&mut state)?;
        if fails_at == calls {
            return Err(io::Error::other("the power goes out"));
        }
        Ok(done)
    }

    /// Another disk with the same content.
    pub(crate) fn copy(&self) -> Self {
        let state = self.state().clone();
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Has the power fail in that call from now on (1: the next one).
    pub(crate) fn fail_in(&self, calls: u64) {
        let mut state = self.state();
        state.power_fails_at = Some(state.calls + calls);
    }

    /// Whether its power has failed.
    pub(crate) fn is_out(&self) -> bool {
        let state = self.state();
        state.power_fails_at.is_some_and(|at| at <= state.calls)
    }

    /// Its process was killed and starts again: all that was written is there.
    pub(crate) fn go_on(&self) {
        self.state().power_fails_at = None;
    }

    /// Whether only so much fits.
    pub(crate) fn is_limited(&self) -> bool {
        self.state().capacity.is_some()
    }

    /// How many bytes fit in all.
    pub(crate) fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Another program makes a folder and those above it, and syncs none of them.
    pub(crate) fn make_folder_undurably(&self, path: &Path) {
        let mut state = self.state();
        let above: Vec<&Path> = path.ancestors().collect();
        for folder in above.into_iter().rev() {
            if !state.now.contains_key(folder) {
                state.change(folder, None, Some(Node::Folder));
            }
        }
    }

    /// Has one bit of that write from now on (1: the next one) turned over on its way, untold.
    pub(crate) fn spoil_write(&self, nth: u64) {
        self.state().spoils_in = Some(nth);
    }

    /// Whether the write that was to be spoiled has come.
    pub(crate) fn has_spoiled(&self) -> bool {
        self.state().spoils_in == Some(0)
    }

    /// The power was out and is back: what is left?
    pub(crate) fn power_cut(&self, mut seed: u64) {
        let mut state = self.state();
        let mut kept: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for change in std::mem::take(&mut state.changes) {
            // each folder has its own prefix: once a change is lost, so are those after it
            let left = kept
                .entry(change.folder.clone())
                .or_insert_with(|| random(&mut seed, 6));
            if 0 < *left {
                *left -= 1;
                state.make_durable(&change);
            }
        }
        for content in &mut state.files {
            if content.now.starts_with(&content.durable) {
                let appended = content.now.len() - content.durable.len();
                let kept = content.durable.len() + random(&mut seed, appended + 1);
                content.now.truncate(kept);
            } else if random(&mut seed, 2) == 0 {
                content.now = content.durable.clone();
            }
            content.durable = content.now.clone();
        }
        // what lies in a folder that is gone is gone
        let mut left = BTreeMap::new();
        for (path, node) in std::mem::take(&mut state.durable) {
            if path.parent().is_none_or(|above| left.contains_key(above)) {
                left.insert(path, node);
            }
        }
        state.durable = left;
        state.now = state.durable.clone();
        state.power_fails_at = None;
    }

    /// How many bytes of a file were read so far.
    pub(crate) fn read_of(&self, path: &Path) -> u64 {
        self.state().read.get(path).copied().unwrap_or(0)
    }

    /// Every file with its bytes.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state();
        let files = state.now.iter().filter_map(|(path, node)| match node {
            Node::File(file) => Some((path.clone(), state.files[*file].now.clone())),
            Node::Folder => None,
        });
        files.collect()
    }
}

impl Write for SimulatedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.call(|state| {
            let len =
                usize::try_from(state.room()).map_or(bytes.len(), |room| room.min(bytes.len()));
            if len == 0 && !bytes.is_empty() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let content = &mut state.files[self.file].now;
            content.extend_from_slice(&bytes[..len]);
            if let Some(writes @ 1..) = &mut state.spoils_in {
                *writes -= 1;
                if *writes == 0
                    && let Some(last) = content.last_mut()
                {
                    *last ^= 1;
                }
            }
            Ok(len)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for SimulatedFile {
    fn sync(&mut self) -> io::Result<()> {
        self.disk.call(|state| {
            let content = &mut state.files[self.file];
            content.durable = content.now.clone();
            Ok(())
        })
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.disk.call(|state| {
            state.files[self.file]
                .now
                .resize(usize::try_from(len).unwrap(), 0);
            Ok(())
        })
    }

    fn second_handle(&self) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(Self {
            disk: self.disk.clone(),
            file: self.file,
        }))
    }
}

impl SimulatedDisk {
    fn new_file(&self, path: &Path, may_exist: bool) -> io::Result<Box<dyn DiskFile>> {
        let file = self.call(|state| {
            match (state.now.get(path), may_exist) {
                (Some(Node::File(file)), true) => return Ok(*file),
                (Some(_), _) => return Err(io::ErrorKind::AlreadyExists.into()),
                (None, _) => (),
            }
            if state.now.get(path.parent().unwrap()) != Some(&Node::Folder) {
                return Err(not_found());
            }
            if state.room() == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.files.push(Content::default());
            let file = state.files.len() - 1;
            state.change(path, None, Some(Node::File(file)));
            Ok(file)
        })?;
        Ok(Box::new(SimulatedFile {
            disk: self.clone(),
            file,
        }))
    }
}

impl Disk for SimulatedDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.new_file(path, false)
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.new_file(path, true)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Source>> {
        self.call(|state| {
            let bytes = state.files[state.file(path)?].now.clone();
            Ok(Box::new(Reading {
                bytes: Cursor::new(bytes),
                path: path.to_owned(),
                state: self.state.clone(),
            }) as Box<dyn Source>)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        assert_eq!(from.parent(), to.parent(), "renames stay in their folder");
        self.call(|state| {
            let file = state.file(from)?;
            state.change(to, Some(from), Some(Node::File(file)));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(|state| {
            state.file(path)?;
            state.change(path, Some(path), None);
            Ok(())
        })
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.call(|state| {
            let above: Vec<&Path> = path.ancestors().collect();
            for folder in above.into_iter().rev() {
                if let Some(Node::File(_)) = state.now.get(folder) {
                    return Err(io::ErrorKind::NotADirectory.into());
                }
                // one that is there is left as it is: who made it may not have made it durable
                if state.now.insert(folder.to_owned(), Node::Folder).is_none() {
                    state.durable.insert(folder.to_owned(), Node::Folder);
                }
            }
            Ok(())
        })
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.call(|state| {
            if state.now.keys().any(|other| other.parent() == Some(path)) {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            state.now.remove(path).map(|_| ()).ok_or_else(not_found)
        })
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.call(|state| {
            if state.now.get(path) != Some(&Node::Folder) {
                return Err(not_found());
            }
            for change in std::mem::take(&mut state.changes) {
                if change.folder == path {
                    state.make_durable(&change);
                } else {
                    state.changes.push(change);
                }
            }
            Ok(())
        })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.call(|state| {
            // paths are ordered by their parts: what lies below a folder follows it
            let after = (Bound::Excluded(path), Bound::Unbounded);
            let inside = state
                .now
                .range::<Path, _>(after)
                .take_while(|(entry, _)| entry.starts_with(path))
                .filter(|(entry, _)| entry.parent() == Some(path));
            let mut entries: Vec<Entry> = inside
                .map(|(entry, node)| Entry {
                    name: entry.file_name().unwrap().to_str().unwrap().to_owned(),
                    folder: *node == Node::Folder,
                    len: match node {
                        Node::File(file) => state.files[*file].now.len() as u64,
                        Node::Folder => 0,
                    },
                })
                .collect();
            entries.sort();
            Ok(entries)
        })
    }

    /// Which files are there under which names: after a power cut a folder is as it was.
    fn version(&self, path: &Path) -> io::Result<Option<FolderState>> {
        self.call(|state| {
            if state.now.get(path) != Some(&Node::Folder) {
                return Ok(None);
            }
            let after = (Bound::Excluded(path), Bound::Unbounded);
            let inside = state.now.range::<Path, _>(after);
            let inside = inside.take_while(|(entry, _)| entry.starts_with(path));
            let mut hasher = DefaultHasher::new();
            for (entry, node) in inside.filter(|(entry, _)| entry.parent() == Some(path)) {
                entry.hash(&mut hasher);
                if let Node::File(file) = node {
                    file.hash(&mut hasher);
                }
            }
            Ok(Some(FolderState([hasher.finish().cast_signed(), 0, 0])))
        })
    }

    fn len(&self, path: &Path) -> io::Result<Option<u64>> {
        self.call(|state| {
            Ok(match state.now.get(path) {
                Some(Node::File(file)) => {
                    let content = &state.files[*file];
                    Some((content.now.len() as u64).max(content.reserved))
                }
                _ => None,
            })
        })
    }

    fn reserve(&self, path: &Path, len: u64) -> io::Result<()> {
        drop(self.append(path)?);
        self.call(|state| {
            let file = state.file(path)?;
            if state.room() < len.saturating_sub(state.files[file].reserved) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.files[file].reserved = len;
            Ok(())
        })
    }

    fn free(&self, _folder: &Path) -> io::Result<u64> {
        self.call(|state| Ok(state.room()))
    }
}
