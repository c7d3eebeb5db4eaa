//! The only code that opens a place that is a folder (`cli/store.rs` opens those in object stores): it looks, decides, makes or records the place, and returns it.

use std::{
    fmt, io,
    marker::PhantomData,
    ops::Deref,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    decide::{Asks, Found, Verdict, decide},
    id::PlaceId,
    memory::{self, Memory},
};
use crate::{
    period::Day,
    world::{
        crash::{self, Point},
        disk::{self, Disk, Entry},
        error_at::{At as _, ErrorAt},
        lock::Lock,
    },
};

/// The file that marks a spool.
pub const SPOOL_MARK: &str = "spool.json";

/// The version of the spool's format.
const SPOOL_FORMAT: u32 = 1;

/// A mark has some 100 bytes.
const MARK_BYTES_MAX: u64 = 64 * 1024;

/// A folder of the configuration that is not opened yet: only an `Opener` makes a place of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unopened(PathBuf);

impl<P: Into<PathBuf>> From<P> for Unopened {
    fn from(path: P) -> Self {
        Self(path.into())
    }
}

impl Unopened {
    /// Its path, for code that only names the folder and does not read it.
    pub fn name(&self) -> &Path {
        &self.0
    }
}

/// What kind of place: what marks it, and what it is called.
pub trait PlaceKind: fmt::Debug + Clone + Send + Sync + 'static {
    /// Under which word it is remembered.
    const KEY: &'static str;
    /// The file in it that has its id.
    const MARK: &'static str;
    /// What people call it.
    const WORD: &'static str;
    /// Whether an entry shows that this was a place, with or without a mark.
    fn is_trace(entry: &Entry) -> bool;
}

/// What people call a spool.
pub const SPOOL: &str = "spool";

/// The spool of this server: deliveries may be in it before it is marked.
#[derive(Debug, Clone)]
pub struct OfSpool;

impl PlaceKind for OfSpool {
    const KEY: &'static str = "spool";
    const MARK: &'static str = SPOOL_MARK;
    const WORD: &'static str = SPOOL;

    fn is_trace(_: &Entry) -> bool {
        false
    }
}

/// The vault.
#[derive(Debug, Clone)]
pub struct OfVault;

impl PlaceKind for OfVault {
    const KEY: &'static str = "vault";
    const MARK: &'static str = "vault.json";
    const WORD: &'static str = "vault";

    fn is_trace(entry: &Entry) -> bool {
        entry.name == "ledger.jsonl" || (entry.folder && entry.name.parse::<Day>().is_ok())
    }
}

/// The folder that a secondary delivers to: the primary's spool.
#[derive(Debug, Clone)]
pub struct OfTarget;

impl PlaceKind for OfTarget {
    const KEY: &'static str = "target";
    const MARK: &'static str = SPOOL_MARK;
    const WORD: &'static str = "primary's spool";

    fn is_trace(entry: &Entry) -> bool {
        let is_passed_over = ["lost+found", "spool.json.tmp"].contains(&&*entry.name);
        !is_passed_over && !entry.name.starts_with('.')
    }
}

/// The same, represented by what was fetched from it over ssh: a folder of this server.
#[derive(Debug, Clone)]
pub struct OfMirror;

impl PlaceKind for OfMirror {
    const KEY: &'static str = OfTarget::KEY;
    const MARK: &'static str = SPOOL_MARK;
    const WORD: &'static str = OfTarget::WORD;

    fn is_trace(_: &Entry) -> bool {
        false
    }
}

/// The spool in an object store from which the primary fetches, seen through its mark.
#[derive(Debug, Clone)]
pub struct OfStore;

impl PlaceKind for OfStore {
    const KEY: &'static str = "store";
    const MARK: &'static str = SPOOL_MARK;
    const WORD: &'static str = "spool in the object store";

    fn is_trace(_: &Entry) -> bool {
        false
    }
}

/// This server's spool.
pub type Spool = Place<OfSpool>;
/// The vault.
pub type Vault = Place<OfVault>;
/// The folder that is delivered to.
pub type Target = Place<OfTarget>;
/// What is delivered to over ssh.
pub type Mirror = Place<OfMirror>;

/// A place that was recognized. It is used as its path.
#[derive(Debug, Clone)]
pub struct Place<K> {
    path: PathBuf,
    id: Option<PlaceId>,
    kind: PhantomData<K>,
}

impl<K> Deref for Place<K> {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl<K> AsRef<Path> for Place<K> {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

impl<K: PlaceKind> Place<K> {
    /// Its id; `None` if there is nothing to read yet.
    pub const fn id(&self) -> Option<&PlaceId> {
        self.id.as_ref()
    }

    /// Whether it is still there. Cheap: one small file is read.
    pub fn is_here(&self, disk: &dyn Disk) -> bool {
        match (&self.id, look::<K>(disk, &self.path)) {
            (Some(id), Found::Id(found)) => *id == found,
            (known, _) => known.is_none(),
        }
    }
}

/// The mark of a spool.
#[derive(Serialize)]
struct SpoolMark<'a> {
    format: u32,
    id: &'a PlaceId,
}

/// What every mark has.
#[derive(Deserialize)]
struct Marked {
    id: PlaceId,
}

/// The bytes of a spool's mark.
pub fn spool_mark(id: &PlaceId) -> io::Result<Vec<u8>> {
    let mut json = serde_json::to_vec(&SpoolMark {
        format: SPOOL_FORMAT,
        id,
    })?;
    json.push(b'\n');
    Ok(json)
}

/// What lies where a place should be.
pub fn look<K: PlaceKind>(disk: &dyn Disk, path: &Path) -> Found {
    try_to_look::<K>(disk, path).unwrap_or_else(|why| Found::Unreadable(why.to_string()))
}

fn try_to_look<K: PlaceKind>(disk: &dyn Disk, path: &Path) -> io::Result<Found> {
    let mark = path.join(K::MARK);
    if disk.len(&mark)?.is_some() {
        let bytes = disk::read_bounded(disk, &mark, MARK_BYTES_MAX)?;
        let marked: Marked = serde_json::from_slice(&bytes)
            .map_err(|why| io::Error::other(format!("{}: {why}", mark.display())))?;
        return Ok(Found::Id(marked.id));
    }
    let entries = disk.list(path)?;
    if entries.iter().any(K::is_trace) {
        return Ok(Found::Unmarked);
    }
    // an absent folder is listed as an empty one, and has no file system
    match disk.free(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(Found::Missing),
        Err(why) => Err(why),
        Ok(_) => Ok(Found::Empty),
    }
}

/// Why a place cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum NotHere {
    /// It was there before, and is gone.
    #[error("the {word} is away: {}: {found}", path.display())]
    Away {
        /// What it is.
        word: &'static str,
        /// Where it should be.
        path: PathBuf,
        /// What is there.
        found: String,
    },
    /// It is another one.
    #[error("{} is another {word}: its id is {is}, this server has worked with {was}", path.display())]
    Other {
        /// What it is.
        word: &'static str,
        /// Where it is.
        path: PathBuf,
        /// The id that was found.
        is: PlaceId,
        /// The id that is remembered.
        was: PlaceId,
    },
    /// It never was there.
    #[error("{} is no {word}: {found}", path.display())]
    NoPlace {
        /// What it should be.
        word: &'static str,
        /// Where.
        path: PathBuf,
        /// What is there.
        found: String,
    },
    /// It could not be made or recorded.
    #[error(transparent)]
    Io(#[from] ErrorAt),
}

impl NotHere {
    /// What it is that is not here.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Away { word, .. } | Self::Other { word, .. } | Self::NoPlace { word, .. } => word,
            Self::Io(_) => "",
        }
    }

    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Away { .. } => {
                "mount its disk: nothing was done, and the next turn tries again; if it is gone for good, see \
                 \"A disk is away\" in docs/operations.md"
            }
            Self::Other { .. } => {
                "is the right disk mounted? To work with this one from now on (a restore, a move), say --adopt once"
            }
            Self::NoPlace { .. } => {
                "mount its disk, or make an empty folder; if it is there, is the configuration's path right?"
            }
            Self::Io(_) => "give the folder to the user that this runs as",
        }
    }

    /// The same for a place that is known by another name than the folder.
    #[must_use]
    pub fn of(mut self, name: &str) -> Self {
        match &mut self {
            Self::Away { path, .. } | Self::Other { path, .. } | Self::NoPlace { path, .. } => {
                *path = name.into();
            }
            Self::Io(_) => (),
        }
        self
    }
}

/// Keeps other processes from making and recording places in a data directory meanwhile; `None` if there are none.
pub type Alone = dyn Fn(&Path) -> io::Result<Option<Lock>>;

/// Opens places: the only one that makes them.
pub struct Opener<'a> {
    /// The file system.
    pub disk: &'a dyn Disk,
    /// Where places are recorded.
    pub data_dir: &'a Path,
    /// Whether another place is accepted on purpose.
    pub adopt: bool,
    /// Draws an id.
    pub draw: &'a dyn Fn() -> io::Result<PlaceId>,
    /// Locks out other processes while something is written.
    pub alone: &'a Alone,
}

impl<'a> Opener<'a> {
    /// An opener for a process that has the data directory for itself, or makes nothing.
    pub fn of(disk: &'a dyn Disk, data_dir: &'a Path) -> Self {
        Self {
            disk,
            data_dir,
            adopt: false,
            draw: &PlaceId::draw,
            alone: &|_| Ok(None),
        }
    }

    /// The place in a folder. `mark` writes the file that marks a new one.
    pub fn open<K: PlaceKind>(
        &self,
        folder: &Unopened,
        asks: Asks,
        mark: &dyn Fn(&PlaceId) -> io::Result<()>,
    ) -> Result<Place<K>, NotHere> {
        let path = folder.name();
        let judge = || {
            let memory = Memory::read(self.disk, self.data_dir).at(&memory::path(self.data_dir))?;
            let found = look::<K>(self.disk, path);
            let verdict = decide(memory.id(K::KEY), &found, asks, self.adopt);
            Ok::<_, NotHere>((memory, found, verdict))
        };
        let (mut memory, mut found, mut verdict) = judge()?;
        let _alone = if matches!(verdict, Verdict::Make | Verdict::Remember(_)) {
            let alone = self.disk.make_folder(self.data_dir);
            let alone = alone.and_then(|()| (self.alone)(self.data_dir));
            let alone = alone.at(self.data_dir)?;
            // another process may have done it meanwhile
            (memory, found, verdict) = judge()?;
            alone
        } else {
            None
        };
        refuse::<K>(path, &found, memory.id(K::KEY), &verdict)?;
        let id = match verdict {
            Verdict::Remember(id) => Some(self.remember::<K>(&mut memory, id)?),
            Verdict::Make => {
                let id = (self.draw)().at(path)?;
                self.disk.make_folder(path).at(path)?;
                mark(&id).at(path)?;
                // what marks it is durable before anything relies on it
                crash::point(Point::PlaceMade);
                Some(self.remember::<K>(&mut memory, id)?)
            }
            _ => found.id(),
        };
        Ok(Place {
            path: path.to_owned(),
            id,
            kind: PhantomData,
        })
    }

    /// Which place it is, for a place that is not a folder, and where that was found; `None` if there is none yet.
    /// Nothing is made or recorded.
    pub fn judge<K: PlaceKind>(
        &self,
        name: &str,
        found: Found,
        asks: Asks,
    ) -> Result<Option<PlaceId>, NotHere> {
        let memory = Memory::read(self.disk, self.data_dir).at(&memory::path(self.data_dir))?;
        let known = memory.id(K::KEY);
        let verdict = decide(known, &found, asks, self.adopt);
        refuse::<K>(Path::new(name), &found, known, &verdict)?;
        Ok(found.id())
    }

    /// A spool of any kind; a new one is marked with a new id.
    pub fn spool<K: PlaceKind>(&self, folder: &Unopened, asks: Asks) -> Result<Place<K>, NotHere> {
        self.open(folder, asks, &|id| {
            disk::put(self.disk, &folder.name().join(SPOOL_MARK), &spool_mark(id)?)
        })
    }

    fn remember<K: PlaceKind>(&self, memory: &mut Memory, id: PlaceId) -> Result<PlaceId, NotHere> {
        let remembered = memory.remember(self.disk, self.data_dir, K::KEY, &id);
        remembered.at(&memory::path(self.data_dir))?;
        Ok(id)
    }
}

/// A verdict that gives no place, as an error.
fn refuse<K: PlaceKind>(
    path: &Path,
    found: &Found,
    known: Option<&PlaceId>,
    verdict: &Verdict,
) -> Result<(), NotHere> {
    let (word, path) = (K::WORD, path.to_owned());
    match verdict {
        Verdict::GoOn | Verdict::NotYet | Verdict::Remember(_) | Verdict::Make => Ok(()),
        Verdict::Away => {
            let was = known.map_or_else(String::new, |id| {
                format!(", and this server has worked with {id}")
            });
            let found = format!("{}{was}", words::<K>(found));
            Err(NotHere::Away { word, path, found })
        }
        Verdict::Other(is) => {
            let (is, was) = (is.clone(), known.unwrap_or(is).clone());
            Err(NotHere::Other {
                word,
                path,
                is,
                was,
            })
        }
        Verdict::NoPlace => {
            let found = words::<K>(found);
            Err(NotHere::NoPlace { word, path, found })
        }
    }
}

fn words<K: PlaceKind>(found: &Found) -> String {
    match found {
        Found::Missing => "no such folder".to_owned(),
        Found::Empty => "it is empty".to_owned(),
        Found::Unmarked => format!("it has no {}, and is not empty", K::MARK),
        Found::Id(id) => format!("its id is {id}"),
        Found::Unreadable(why) => why.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_that_something_was_here() {
        let entry = |name: &str, folder| Entry {
            name: name.to_owned(),
            folder,
            len: 1,
        };
        for (name, folder, vault, target) in [
            ("ledger.jsonl", false, true, true),
            ("2026-11-23", true, true, true),
            ("2026-11-23", false, false, true),
            ("photo.jpg", false, false, true),
            ("2.old", true, false, true),
            ("witness", true, false, true),
            ("lost+found", true, false, false),
            ("spool.json.tmp", false, false, false),
            (".Trash-1000", true, false, false),
        ] {
            assert_eq!(
                OfVault::is_trace(&entry(name, folder)),
                vault,
                "vault: {name}"
            );
            assert_eq!(
                OfTarget::is_trace(&entry(name, folder)),
                target,
                "target: {name}"
            );
        }
    }

    /// Two processes find that there never was a place. The one that comes second takes the first one's.
    #[test]
    fn who_makes_a_place_while_another_does_so_takes_what_the_other_has_made() {
        use crate::world::disk::RealDisk;
        let dir = tempfile::tempdir().unwrap();
        let (data_dir, folder) = (dir.path().join("data"), dir.path().join("spool"));
        let unopened: Unopened = folder.clone().into();
        let there = (data_dir.clone(), unopened.clone());
        let other = move |_: &Path| {
            let (data_dir, unopened) = &there;
            let opener = Opener {
                draw: &|| Ok(PlaceId::of(1)),
                ..Opener::of(&RealDisk, data_dir)
            };
            let made: Spool = opener.spool(unopened, Asks::Make).unwrap();
            assert_eq!(made.id(), Some(&PlaceId::of(1)));
            Ok(None)
        };
        let opener = Opener {
            draw: &|| Ok(PlaceId::of(2)),
            alone: &other,
            ..Opener::of(&RealDisk, &data_dir)
        };
        let found: Spool = opener.spool(&unopened, Asks::Make).unwrap();
        assert_eq!(found.id(), Some(&PlaceId::of(1)));
        assert!(found.is_here(&RealDisk));
    }
}
