//! The primary's side of a delivery to an object store: fetches what is only there into the spool, each file checked
//! against its seal before it has its name; `receive` does the rest, as with what comes over ssh.
//!
//! New files are those announced since the last time (`arrivals`); a machine that has never fetched lists everything. It does so
//! once more when a server has announced nothing for a day: one that dies for good has not announced what it delivered last.
//!
//! Other machines put the files into the store: names and bytes are trusted only after they were checked. Nothing is
//! overwritten, here or there, but what a fetch that was cut off has left without a seal; what was delivered once more
//! after lines were taken out of it on request goes from there again.
//!
//! A machine that merges a share of the hours leaves the segments that have no line of them in the store. It keeps what their
//! hours' neighbours need: seal, events file and index of each (`place::segments::unfetched`).

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::arrivals::Arrivals;
use crate::{
    alarm::AlarmKind,
    period::UtcMs,
    place::{
        id::PlaceId,
        open::Spool,
        segments::{self, There},
        store::{self, Key, NotAKey, Store, StoreError},
    },
    segment::{
        acks,
        name::{Paths, SegmentName, ServerId},
        raw,
        seal::{Digest, SEAL_BYTES_MAX, Seal, SealError},
        sha256::Sha256,
        spool,
    },
    world::{
        crash::{self, Point},
        disk::{self, Disk},
        error_at::{At as _, ErrorAt},
        workers,
    },
};

/// What is to be fetched.
pub struct FetchJob<'a> {
    /// The file system.
    pub disk: &'a dyn Disk,
    /// The primary's spool.
    pub spool: &'a Spool,
    /// The spool in the store.
    pub store: &'a dyn Store,
    /// The servers that deliver to it.
    pub servers: &'a [ServerId],
    /// Bytes that must stay free; below it nothing is fetched.
    pub keep_free: u64,
    /// Which spool that is.
    pub id: &'a PlaceId,
    /// Now.
    pub now: UtcMs,
    /// How many segments are fetched at the same time: each waits for the store and for the disk.
    pub at_once: usize,
    /// Which of them this machine needs; `None`: all.
    pub choice: Option<Choice<'a>>,
}

/// Which segments a machine needs.
#[derive(Clone, Copy)]
pub struct Choice<'a> {
    /// Tells this choice from others. After another one, all that was left is looked at again.
    pub label: &'a str,
    /// Whether a segment is needed, by its name, its seal, and the index that lies beside it.
    pub needs: &'a (dyn Fn(&SegmentName, &Seal, &[u8]) -> bool + Sync),
}

/// What of a spool in a store is here: `<spool>/arrived.json`.
#[derive(Default, Serialize, Deserialize)]
struct Arrived {
    /// Which spool.
    spool: Option<PlaceId>,
    /// By server: the last number of its arrivals of which all is here.
    last: BTreeMap<ServerId, u64>,
    /// By server: since when it has announced nothing.
    silent: BTreeMap<ServerId, Silent>,
    /// By which choice segments were left there; `None`: all were needed.
    #[serde(default)]
    choice: Option<String>,
    /// When what was left there was last looked at.
    #[serde(default)]
    looked: Option<UtcMs>,
}

/// Since when a server has announced nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Silent {
    /// The last number that it has announced.
    after: u64,
    /// When that was found out, by the clock of this machine.
    since: UtcMs,
    /// Whether everything was listed since then.
    listed: bool,
}

/// A server that is alive delivers every few minutes, and has announced by then whatever it could.
const SILENT_MS: i64 = 86_400_000;

/// What is left there goes one day, and nobody announces that.
const LOOK_MS: i64 = 86_400_000;

/// Some bytes for each server.
const ARRIVED_BYTES_MAX: u64 = 1 << 20;

/// The result.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Segments that are in the spool since.
    pub segments: u64,
    /// Segments that this machine does not need, and has left in the store.
    pub left: u64,
    /// Segments that could not be fetched; the log says why.
    pub failed: u64,
}

/// What became of one segment.
enum Became {
    /// It is in the spool.
    Here,
    /// It is not needed here.
    Left,
    /// It is not in the store any more: what was merged may have been swept.
    Gone,
}

/// Why one segment was not fetched. The others are.
#[derive(Debug, thiserror::Error)]
enum NotFetched {
    #[error("{0}")]
    Seal(#[from] SealError),
    #[error("{key} is not what the seal says: sealed with sha256 {sealed}, found {found}")]
    Differs {
        key: Key,
        sealed: Sha256,
        found: String,
    },
    #[error("{0} was listed, but is not there")]
    Missing(Key),
    #[error("{} is here with other content, and was not overwritten", .0.display())]
    Here(PathBuf),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Name(#[from] NotAKey),
    #[error(transparent)]
    Io(#[from] ErrorAt),
}

impl FetchJob<'_> {
    /// Fetches from all servers. A failure of one is reported, and does not stop the others; a store that does not
    /// answer stops all of them.
    pub fn run(&self) -> Result<Fetched, StoreError> {
        let mut fetched = Fetched::default();
        let path = self.spool.join("arrived.json");
        let mut arrived = self.arrived(&path);
        self.look_again((&path, &mut arrived), &mut fetched)?;
        for server in self.servers {
            match self.from(server, (&path, &mut arrived), &mut fetched) {
                Ok(()) => (),
                Err(why @ (StoreError::Unreachable { .. } | StoreError::Refused { .. })) => {
                    return Err(why);
                }
                Err(why) => {
                    alarm!(
                        AlarmKind::FailsCheck,
                        server,
                        "what server {server} delivers to {} cannot be fetched, and is not merged: {why}",
                        self.store.name()
                    );
                    fetched.failed += 1;
                }
            }
        }
        Ok(fetched)
    }

    fn from(
        &self,
        server: &ServerId,
        (path, arrived): (&Path, &mut Arrived),
        fetched: &mut Fetched,
    ) -> Result<(), StoreError> {
        let arrivals = Arrivals {
            store: self.store,
            server,
        };
        // what arrives while the listing is read is announced under a later number
        let (mut number, mut wanted) = match arrived.last.get(server) {
            Some(last) => (*last, Vec::new()),
            None => (arrivals.last(0)?, self.wanted(server)?),
        };
        let mut is_whole = true;
        loop {
            is_whole &= self.fetch(&wanted, (server, self.choice), fetched)?;
            if is_whole && arrived.last.get(server) != Some(&number) {
                arrived.last.insert(server.clone(), number);
                self.keep(path, arrived)?;
            }
            let Some(names) = arrivals.read(number + 1)? else {
                break;
            };
            number += 1;
            wanted = self.not_here(names)?;
        }
        if let Some(silent) = self.silent(server, number, arrived, fetched)? {
            arrived.silent.insert(server.clone(), silent);
            self.keep(path, arrived)?;
        }
        self.again(server, fetched)
    }

    /// Fetches once more what was damaged here after it had been acknowledged, and was set aside: nobody announces it again.
    fn again(&self, server: &ServerId, fetched: &mut Fetched) -> Result<(), StoreError> {
        let path = acks::path(self.spool, server);
        self.bring_to(&acks::wanted_again(self.disk, &path)?, fetched)
    }

    fn keep(&self, path: &Path, arrived: &Arrived) -> io::Result<()> {
        disk::put(self.disk, path, &serde_json::to_vec(arrived)?)
    }

    /// Fetches what a server has not announced that has announced nothing for a day after that number. Gives what is new about
    /// its silence.
    fn silent(
        &self,
        server: &ServerId,
        after: u64,
        arrived: &Arrived,
        fetched: &mut Fetched,
    ) -> Result<Option<Silent>, StoreError> {
        let now = self.now;
        let begins = Silent {
            after,
            since: now,
            listed: false,
        };
        let Some(known) = arrived.silent.get(server) else {
            return Ok(Some(begins));
        };
        // after a clock is set back, waiting begins again
        if known.after != after || now < known.since {
            return Ok(Some(begins));
        }
        if known.listed || now < known.since.plus_ms(SILENT_MS) {
            return Ok(None);
        }
        let wanted = self.wanted(server)?;
        let is_whole = self.fetch(&wanted, (server, self.choice), fetched)?;
        Ok(is_whole.then(|| Silent {
            listed: true,
            ..known.clone()
        }))
    }

    /// Looks at what was left in the store, once a day and whenever another choice is made: fetches what is needed now, or
    /// has another form there, and forgets what is gone there.
    fn look_again(
        &self,
        (path, arrived): (&Path, &mut Arrived),
        fetched: &mut Fetched,
    ) -> Result<(), StoreError> {
        let label = self.choice.map(|choice| choice.label);
        let is_known = arrived.choice.as_deref() == label;
        let is_recent = |at: UtcMs| at <= self.now && self.now < at.plus_ms(LOOK_MS);
        if is_known && arrived.looked.is_some_and(is_recent) {
            return Ok(());
        }
        let left = segments::unfetched(self.spool);
        let mut is_whole = true;
        for server in spool::servers(self.disk, &left)? {
            let walked = spool::hour_folders(self.disk, &left, &server)?;
            is_whole &= walked.unreadable.is_empty();
            for folder in walked.found {
                is_whole &= self.look_again_in(&folder, &server, fetched)?;
            }
        }
        if is_whole {
            arrived.choice = label.map(str::to_owned);
            arrived.looked = Some(self.now);
            self.keep(path, arrived)?;
        }
        Ok(())
    }

    fn look_again_in(
        &self,
        folder: &Path,
        server: &ServerId,
        fetched: &mut Fetched,
    ) -> Result<bool, StoreError> {
        let sealed = spool::in_folder(self.disk, folder, server)?.into_iter();
        let left: BTreeSet<SegmentName> = sealed
            .filter(|(_, found)| found.sealed)
            .map(|(name, _)| name)
            .collect();
        let Some(first) = left.first() else {
            return Ok(true);
        };
        let there = self.there(server, &segments::folder(first), &|name| {
            left.contains(name)
        })?;
        let mut wanted = Vec::new();
        for name in &left {
            match there.get(name).and_then(There::latest) {
                None => self.forget_left(name)?,
                Some(0) if !self.needs_left(name) => (),
                Some(_) => wanted.push(name.clone()),
            }
        }
        let is_whole = self.fetch(&wanted, (server, None), fetched)?;
        let root = segments::unfetched(self.spool);
        spool::remove_empty_folders(self.disk, &root, left.iter(), self.now)?;
        Ok(is_whole)
    }

    /// Whether one that was left is needed now; if that cannot be told, it is.
    fn needs_left(&self, name: &SegmentName) -> bool {
        let Some(choice) = self.choice else {
            return true;
        };
        let read = |path: &Path, bytes_max| disk::read_bounded(self.disk, path, bytes_max).ok();
        let sealed = read(&self.left(name).seal, SEAL_BYTES_MAX)
            .and_then(|bytes| Seal::read(&bytes, name).ok());
        let index = read(
            &segments::index_path(self.spool, name),
            segments::INDEX_BYTES_MAX,
        );
        let known = sealed.zip(index);
        known.is_none_or(|(sealed, index)| (choice.needs)(name, &sealed, &index))
    }

    /// Where seal and events file are of one that is left in the store.
    fn left(&self, name: &SegmentName) -> Paths {
        name.paths(&segments::unfetched(self.spool))
    }

    /// Forgets one that was left in the store: the seal first, without it there is nothing.
    fn forget_left(&self, name: &SegmentName) -> io::Result<()> {
        let Paths { seal, events, .. } = self.left(name);
        for path in [seal, events, segments::index_path(self.spool, name)] {
            disk::remove_if_there(self.disk, &path)?;
        }
        Ok(())
    }

    /// Whether it is in the spool, or known and left in the store.
    fn is_known(&self, name: &SegmentName) -> io::Result<bool> {
        let is_there = |path: &Path| Ok::<_, io::Error>(self.disk.len(path)?.is_some());
        Ok(is_there(&name.paths(self.spool).seal)? || is_there(&self.left(name).seal)?)
    }

    /// One that cannot be read, or is of another spool, tells nothing: then all is listed.
    fn arrived(&self, path: &Path) -> Arrived {
        let known = disk::noted(self.disk, path, ARRIVED_BYTES_MAX);
        let is_it = |known: &Arrived| known.spool.as_ref() == Some(self.id);
        known.filter(is_it).unwrap_or_else(|| Arrived {
            spool: Some(self.id.clone()),
            ..Arrived::default()
        })
    }

    /// Those that are not here. One that is here was delivered once more, beside a later form of it, and must not
    /// stay there.
    fn not_here(&self, names: BTreeSet<SegmentName>) -> Result<Vec<SegmentName>, StoreError> {
        let mut wanted = Vec::new();
        for name in names {
            if self.is_known(&name)? {
                segments::delete_former(self.store, &name)?;
            } else {
                wanted.push(name);
            }
        }
        Ok(wanted)
    }

    /// Fetches those of these that are needed; says whether nothing is left to do.
    fn fetch(
        &self,
        wanted: &[SegmentName],
        (server, choice): (&ServerId, Option<Choice<'_>>),
        fetched: &mut Fetched,
    ) -> Result<bool, StoreError> {
        let failed = fetched.failed;
        let mut has_room = true;
        let work = |name| {
            // the stage that receives reports it
            let free = self.disk.free(self.spool).unwrap_or(0);
            (self.keep_free <= free).then(|| (name, self.segment(name, choice)))
        };
        workers::in_order(wanted, self.at_once, work, |done| {
            match done {
                None => has_room = false,
                Some((_, Ok(Became::Here))) => fetched.segments += 1,
                Some((_, Ok(Became::Left))) => fetched.left += 1,
                Some((_, Ok(Became::Gone))) => (),
                Some((
                    _,
                    Err(NotFetched::Store(
                        why @ (StoreError::Unreachable { .. } | StoreError::Refused { .. }),
                    )),
                )) => return Err(why),
                Some((name, Err(why))) => {
                    alarm!(
                        AlarmKind::FailsCheck,
                        server,
                        "{name} is in {} and is not merged: {why}\n  hint: compare it with the copy on server {server}; nothing was changed here or there",
                        self.store.name()
                    );
                    fetched.failed += 1;
                }
            }
            Ok(())
        })?;
        Ok(has_room && fetched.failed == failed)
    }

    /// Fetches those of these that are there and not here, whether they were announced or not: another machine that has
    /// listed everything may have merged them already. Says how many are here since.
    pub fn bring(&self, names: &BTreeSet<SegmentName>) -> Result<u64, StoreError> {
        let mut fetched = Fetched::default();
        self.bring_to(names, &mut fetched)?;
        Ok(fetched.segments)
    }

    fn bring_to(
        &self,
        names: &BTreeSet<SegmentName>,
        fetched: &mut Fetched,
    ) -> Result<(), StoreError> {
        let mut folders: BTreeMap<(&ServerId, String), BTreeSet<&SegmentName>> = BTreeMap::new();
        for name in names
            .iter()
            .filter(|name| self.servers.contains(&name.server))
        {
            if self.disk.len(&name.paths(self.spool).seal)?.is_none() {
                let of_folder = folders.entry((&name.server, segments::folder(name)));
                of_folder.or_default().insert(name);
            }
        }
        for ((server, folder), names) in folders {
            let wanted = self.whole(server, &folder, &|name| names.contains(name))?;
            self.fetch(&wanted, (server, None), fetched)?;
        }
        Ok(())
    }

    /// The segments of a server that are whole in the store and not known here, oldest first.
    fn wanted(&self, server: &ServerId) -> Result<Vec<SegmentName>, StoreError> {
        let left = segments::unfetched(self.spool);
        let here = spool::sealed(self.disk, self.spool, server)?.found;
        let left = spool::sealed(self.disk, &left, server)?.found;
        let known: BTreeSet<SegmentName> = here.into_iter().chain(left).collect();
        self.whole(server, &segments::prefix(server), &|name| {
            !known.contains(name)
        })
    }

    /// Of what lies there under a prefix the segments of a server that are asked for and whole, oldest first.
    fn whole(
        &self,
        server: &ServerId,
        prefix: &str,
        is_asked: &dyn Fn(&SegmentName) -> bool,
    ) -> Result<Vec<SegmentName>, StoreError> {
        let there = self.there(server, prefix, is_asked)?;
        let is_whole = |(name, files): (SegmentName, There)| files.latest().map(|_form| name);
        let mut wanted: Vec<SegmentName> = there.into_iter().filter_map(is_whole).collect();
        wanted.sort_by_key(|name| (name.minute, name.run, name.part));
        Ok(wanted)
    }

    /// What lies there under a prefix of the segments of a server that are asked for.
    fn there(
        &self,
        server: &ServerId,
        prefix: &str,
        is_asked: &dyn Fn(&SegmentName) -> bool,
    ) -> Result<BTreeMap<SegmentName, There>, StoreError> {
        let mut there: BTreeMap<SegmentName, There> = BTreeMap::new();
        self.store.list(
            prefix,
            &mut |listed| match segments::parse(&listed.key, server) {
                Some((name, _)) if !is_asked(&name) => (),
                Some((name, file)) => there.entry(name).or_default().take(file),
                None => tracing::warn!(
                    "{}/{} is not a file of server {server} and is skipped",
                    self.store.name(),
                    listed.key
                ),
            },
        )?;
        Ok(there)
    }

    fn segment(
        &self,
        name: &SegmentName,
        choice: Option<Choice<'_>>,
    ) -> Result<Became, NotFetched> {
        // most have one form
        let mut form = 0;
        loop {
            let missing = match self.form(name, form, choice) {
                Err(NotFetched::Missing(key)) => key,
                other => return other,
            };
            match segments::look(self.store, name)?.latest() {
                None => {
                    self.remove_rest(name)?;
                    return Ok(Became::Gone);
                }
                // another machine may take lines out at this moment
                Some(latest) if form < latest => form = latest,
                Some(_) => return Err(NotFetched::Missing(missing)),
            }
        }
    }

    fn form(
        &self,
        name: &SegmentName,
        form: u64,
        choice: Option<Choice<'_>>,
    ) -> Result<Became, NotFetched> {
        let [segment, events, seal] = segments::keys(name, form)?;
        let bytes = store::read_whole(self.store, &seal, SEAL_BYTES_MAX)?;
        let bytes = bytes.ok_or_else(|| NotFetched::Missing(seal.clone()))?;
        let sealed = Seal::read(&bytes, name)?;
        // the index is that of the first form
        if form == 0
            && let Some(choice) = choice
            && self.is_left((name, &sealed), (&events, &bytes), choice)?
        {
            return Ok(Became::Left);
        }
        let paths = name.paths(self.spool);
        self.disk.make_folder(&paths.folder).at(&paths.folder)?;
        let plain = &paths.segment;
        if 0 < form {
            self.remove_former(plain, &sealed.segment)?;
        }
        if self.disk.len(plain).at(plain)?.is_some() {
            // it counts, whatever lies beside it
            self.file(&segment, plain, &sealed.segment, false)?;
        } else {
            self.file(&segment, &raw::compressed(plain), &sealed.segment, true)?;
        }
        self.file(&events, &paths.events, &sealed.events, false)?;
        crash::point(Point::DataFetched);
        disk::put(self.disk, &paths.seal, &bytes).at(&paths.seal)?;
        // in between it is in both places, and the spool counts
        let left = self.left(name).seal;
        self.forget_left(name).at(&left)?;
        Ok(Became::Here)
    }

    /// Leaves a segment in the store if it is not needed here, and keeps what others' hours need of it. Says whether it did.
    fn is_left(
        &self,
        (name, sealed): (&SegmentName, &Seal),
        (events, seal): (&Key, &[u8]),
        choice: Choice<'_>,
    ) -> Result<bool, NotFetched> {
        let key = segments::index_key(name)?;
        let index = match store::read_whole(self.store, &key, segments::INDEX_BYTES_MAX) {
            Ok(Some(index)) if !(choice.needs)(name, sealed, &index) => index,
            Ok(_) | Err(StoreError::TooLong { .. }) => return Ok(false),
            Err(why) => return Err(why.into()),
        };
        let paths = self.left(name);
        self.disk.make_folder(&paths.folder).at(&paths.folder)?;
        self.file(events, &paths.events, &sealed.events, false)?;
        let path = segments::index_path(self.spool, name);
        disk::put(self.disk, &path, &index).at(&path)?;
        self.remove_rest(name)?;
        crash::point(Point::DataFetched);
        disk::put(self.disk, &paths.seal, seal).at(&paths.seal)?;
        Ok(true)
    }

    /// What an earlier fetch that was cut off has left may have lines that were taken out since.
    fn remove_former(&self, plain: &Path, sealed: &Digest) -> Result<(), NotFetched> {
        for (path, is_packed) in [(plain, false), (&raw::compressed(plain), true)] {
            if self.disk.len(path).at(path)?.is_some()
                && self.digest(path, sealed, is_packed).ok().as_ref() != Some(sealed)
            {
                self.disk.remove(path).at(path)?;
            }
        }
        Ok(())
    }

    /// Nobody needs what an earlier fetch that was cut off has put into the spool of a segment that does not come.
    fn remove_rest(&self, name: &SegmentName) -> Result<(), NotFetched> {
        let paths = name.paths(self.spool);
        for path in [raw::compressed(&paths.segment), paths.events] {
            disk::remove_if_there(self.disk, &path).at(&path)?;
        }
        Ok(())
    }

    /// Puts one file in place, unless an earlier fetch has done so.
    fn file(
        &self,
        key: &Key,
        path: &Path,
        sealed: &Digest,
        is_packed: bool,
    ) -> Result<(), NotFetched> {
        if self.disk.len(path).at(path)?.is_some() {
            let here = self.digest(path, sealed, is_packed).at(path)?;
            return if here == *sealed {
                Ok(())
            } else {
                Err(NotFetched::Here(path.to_owned()))
            };
        }
        let aside = disk::aside(path);
        let is_it = self.read_to(&aside, (key, sealed), is_packed);
        if let Err(why) = is_it {
            self.disk.remove(&aside).at(&aside)?;
            return Err(why);
        }
        self.disk.rename(&aside, path).at(path)?;
        let folder = path.parent().unwrap_or(path);
        Ok(self.disk.sync_folder(folder).at(folder)?)
    }

    /// Reads a file from there, durably, and compares it with what was sealed.
    fn read_to(
        &self,
        aside: &Path,
        (key, sealed): (&Key, &Digest),
        is_packed: bool,
    ) -> Result<(), NotFetched> {
        let mut file = disk::create_anew(self.disk, aside).at(aside)?;
        let bytes_max = if is_packed {
            raw::packed_max(sealed.bytes)
        } else {
            sealed.bytes
        };
        let read = self.store.read(key, bytes_max, &mut file)?;
        if read.is_none() {
            return Err(NotFetched::Missing(key.clone()));
        }
        file.sync().at(aside)?;
        drop(file);
        let found = match self.digest(aside, sealed, is_packed) {
            Ok(found) if found == *sealed => return Ok(()),
            Ok(found) => found.sha256.to_string(),
            // what was written a moment ago can be read, and is no compressed segment
            Err(why) => why.to_string(),
        };
        Err(NotFetched::Differs {
            key: key.clone(),
            sealed: sealed.sha256,
            found,
        })
    }

    /// What a file here is, of a segment plainly.
    fn digest(&self, path: &Path, sealed: &Digest, is_packed: bool) -> io::Result<Digest> {
        if is_packed {
            raw::unpacked(self.disk, path, sealed.bytes)
        } else {
            super::sealed::digest_of(self.disk, path)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use tempfile::TempDir;

    use super::*;
    use crate::{
        place::{
            decide::Asks,
            folder::Folder,
            open::{Opener, Unopened},
            store::create_of,
        },
        segment::seal::{Digester, FORMAT},
        world::disk::RealDisk,
    };

    /// A store, and a spool to which is fetched from there.
    struct Setting {
        dir: TempDir,
        spool: Spool,
        servers: [ServerId; 1],
    }

    fn digest(bytes: &[u8]) -> Digest {
        let mut digester = Digester::default();
        digester.update(bytes);
        digester.finish()
    }

    fn name(text: &str) -> SegmentName {
        text.parse().unwrap()
    }

    /// The segment of that minute of the hour 14.
    fn minute(minute: u8) -> SegmentName {
        name(&format!("2_sample_20261123T14{minute:02}Z_3fa9c01b_000"))
    }

    impl Setting {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            for folder in ["store", "spool", "data"] {
                std::fs::create_dir(dir.path().join(folder)).unwrap();
            }
            let data = dir.path().join("data");
            let spool = Opener::of(&RealDisk, &data)
                .spool(&Unopened::from(dir.path().join("spool")), Asks::Make)
                .unwrap();
            Self {
                spool,
                servers: ["2".parse().unwrap()],
                dir,
            }
        }

        fn packed(&self, plain: &[u8]) -> Vec<u8> {
            let path = self.dir.path().join("packed");
            let mut packer = raw::Packer::create(&RealDisk, &path).unwrap();
            packer.write_all(plain).unwrap();
            packer.finish().unwrap();
            std::fs::read(path).unwrap()
        }

        fn with_store<T>(&self, ask: impl FnOnce(&Folder<'_>) -> T) -> T {
            let root = self.dir.path().join("store");
            ask(&Folder {
                disk: &RealDisk,
                root: &root,
            })
        }

        /// Puts a form of a segment into the store; what is sealed may be something else.
        fn put(&self, name: &SegmentName, form: u64, (plain, sealed): (&[u8], &[u8])) {
            let seal = Seal {
                format: FORMAT,
                program: "twinstream".to_owned(),
                server: name.server.clone(),
                stream: name.stream.clone(),
                partition: name.partition,
                minute: name.minute,
                run: name.run,
                run_number: 1,
                part: name.part,
                segment: digest(sealed),
                events: digest(b""),
                first_arrival: None,
                last_arrival: None,
                oversize: 0,
                recovered: false,
                redacted: Vec::new(),
            };
            let [segment, events, sealed] = segments::keys(name, form).unwrap();
            self.with_store(|store| {
                for (key, bytes) in [
                    (segment, self.packed(plain)),
                    (events, Vec::new()),
                    (sealed, seal.to_json()),
                ] {
                    create_of(store, &key, &bytes).unwrap();
                }
            });
        }

        fn announce(&self, last: u64, name: &SegmentName) {
            let server = &self.servers[0];
            self.with_store(|store| Arrivals { store, server }.tell(last, &[name]).unwrap());
        }

        fn with_job<T>(
            &self,
            (id, now): (u128, UtcMs),
            work: impl FnOnce(&FetchJob<'_>) -> T,
        ) -> T {
            self.choosing((id, now), None, work)
        }

        /// Where a label is given, what is needed is what an index says so of.
        fn choosing<T>(
            &self,
            (id, now): (u128, UtcMs),
            label: Option<&str>,
            work: impl FnOnce(&FetchJob<'_>) -> T,
        ) -> T {
            let needs = |_: &SegmentName, _: &Seal, index: &[u8]| {
                let index = str::from_utf8(index).unwrap();
                index.split(' ').any(|one| Some(one) == label)
            };
            let choice = label.map(|label| Choice {
                label,
                needs: &needs,
            });
            self.with_store(|store| {
                work(&FetchJob {
                    disk: &RealDisk,
                    spool: &self.spool,
                    store,
                    servers: &self.servers,
                    keep_free: 0,
                    at_once: 1,
                    choice,
                    id: &PlaceId::of(id),
                    now,
                })
            })
        }

        /// Puts a segment into the store with an index that says by which choices it is needed.
        fn put_for(&self, name: &SegmentName, needed: &str) {
            self.put(name, 0, (b"1\n", b"1\n"));
            let key = segments::index_key(name).unwrap();
            self.with_store(|store| create_of(store, &key, needed.as_bytes()).unwrap());
        }

        /// How many were fetched, and left there.
        fn run_choosing(&self, label: Option<&str>, now: UtcMs) -> (u64, u64) {
            let fetched = self.choosing((1, now), label, |job| job.run().unwrap());
            assert_eq!(fetched.failed, 0);
            (fetched.segments, fetched.left)
        }

        /// Of each of these minutes whether it is in the spool, and whether something is kept of it beside that.
        fn is_here(&self, minutes: &[u8]) -> Vec<(bool, bool)> {
            let is_there = |path: &Path| RealDisk.len(path).unwrap().is_some();
            let each = minutes.iter().map(|n| {
                let name = minute(*n);
                let (here, left) = (
                    name.paths(&self.spool),
                    name.paths(&segments::unfetched(&self.spool)),
                );
                let parts = [
                    is_there(&left.seal),
                    is_there(&left.events),
                    is_there(&segments::index_path(&self.spool, &name)),
                ];
                assert!(parts == [true; 3] || parts == [false; 3], "{n}: {parts:?}");
                assert!(!is_there(&left.segment) && !is_there(&raw::compressed(&left.segment)));
                (is_there(&here.seal), parts[0])
            });
            each.collect()
        }

        /// How many were fetched, and how many could not be.
        fn run(&self, id: u128, now: UtcMs) -> (u64, u64) {
            let fetched = self.with_job((id, now), |job| job.run().unwrap());
            (fetched.segments, fetched.failed)
        }
    }

    #[test]
    fn who_announces_nothing_for_a_day_is_listed_once() {
        let place = Setting::new();
        let deliver = |n| place.put(&minute(n), 0, (b"1\n", b"1\n"));
        let day = |days: i64, ms: i64| UtcMs(1_800_000_000_000 + days * SILENT_MS + ms);
        deliver(0);
        place.announce(0, &minute(0));
        assert_eq!(place.run(1, day(0, 0)), (1, 0));
        // not announced
        deliver(1);
        place.put(&minute(2), 0, (b"2\n", b"1\n"));
        assert_eq!(place.run(1, day(1, -1)), (0, 0));
        assert_eq!(place.run(1, day(1, 0)), (1, 1));
        deliver(3);
        assert_eq!(place.run(1, day(1, 1)), (1, 1), "one has failed");
        for key in segments::keys(&minute(2), 0).unwrap() {
            place.with_store(|store| store.delete(&key).unwrap());
        }
        assert_eq!(place.run(1, day(1, 2)), (0, 0));
        deliver(4);
        assert_eq!(place.run(1, day(1, 3)), (0, 0), "all was listed");
        assert_eq!(place.run(1, day(5, 0)), (0, 0), "all was listed");
        // it has announced something since
        deliver(5);
        place.announce(1, &minute(5));
        assert_eq!(place.run(1, day(5, 1)), (1, 0));
        assert_eq!(place.run(1, day(6, 0)), (0, 0));
        assert_eq!(place.run(1, day(6, 1)), (1, 0));
        // after the clock was set back
        deliver(6);
        assert_eq!(place.run(1, day(2, 0)), (0, 0));
        assert_eq!(place.run(1, day(3, -1)), (0, 0));
        assert_eq!(place.run(1, day(3, 0)), (1, 0));
        // another spool
        deliver(7);
        assert_eq!(place.run(2, day(3, 0)), (1, 0));
    }

    #[test]
    fn what_a_fetch_has_left_before_lines_were_taken_out_does_not_stay() {
        let place = Setting::new();
        for (n, is_packed) in [(0, true), (1, false)] {
            let (former, latest): (&[u8], &[u8]) = (b"1\n2\n", b"1\n");
            let name = minute(n);
            let paths = name.paths(&place.spool);
            std::fs::create_dir_all(&paths.folder).unwrap();
            let (left, bytes) = if is_packed {
                (raw::compressed(&paths.segment), place.packed(former))
            } else {
                (paths.segment.clone(), former.to_vec())
            };
            disk::put(&RealDisk, &left, &bytes).unwrap();
            place.put(&name, 3, (latest, latest));
            // after the first time, all is listed after a day
            let now = UtcMs(1_800_000_000_000 + 2 * SILENT_MS * i64::from(n));
            assert_eq!(place.run(1, now), (1, 0), "{n}");
            let mut found = Vec::new();
            raw::open(&RealDisk, &paths.segment)
                .unwrap()
                .read_to_end(&mut found)
                .unwrap();
            assert_eq!(found, latest, "{n}");
        }
    }

    /// What could not be fetched is asked for again, whatever was announced and fetched after it.
    #[test]
    fn a_later_arrival_does_not_hide_one_that_could_not_be_fetched() {
        let place = Setting::new();
        let now = UtcMs(1_800_000_000_000);
        // what was announced is asked for one by one from now on
        assert_eq!(place.run(1, now), (0, 0));
        place.put(&minute(0), 0, (b"2\n", b"1\n"));
        place.announce(0, &minute(0));
        place.put(&minute(1), 0, (b"1\n", b"1\n"));
        place.announce(1, &minute(1));
        assert_eq!(place.run(1, now), (1, 1));
        for key in segments::keys(&minute(0), 0).unwrap() {
            place.with_store(|store| store.delete(&key).unwrap());
        }
        place.put(&minute(0), 0, (b"1\n", b"1\n"));
        assert_eq!(place.run(1, now.plus_ms(60_000)), (1, 0));
    }

    #[test]
    fn of_what_is_wanted_all_that_is_not_here_is_brought() {
        let place = Setting::new();
        let later = name("2_sample_20261123T1500Z_3fa9c01b_000");
        let foreign = name("1_sample_20261123T1400Z_3fa9c01b_000");
        let names: BTreeSet<SegmentName> = [minute(0), minute(1), later, foreign].into();
        for name in &names {
            place.put(name, 0, (b"1\n", b"1\n"));
        }
        let bring = |names: &BTreeSet<SegmentName>| {
            place.with_job((1, UtcMs(0)), |job| job.bring(names).unwrap())
        };
        assert_eq!(bring(&[minute(0)].into()), 1);
        assert_eq!(bring(&names), 2);
        assert_eq!(bring(&names), 0);
    }

    const HERE: (bool, bool) = (true, false);
    const LEFT: (bool, bool) = (false, true);
    const GONE: (bool, bool) = (false, false);

    #[test]
    fn what_is_not_needed_stays_in_the_store_until_it_is() {
        let place = Setting::new();
        let now = UtcMs(1_800_000_000_000);
        for (n, needed) in [(0, "a"), (1, "b"), (2, "b"), (3, "c")] {
            place.put_for(&minute(n), needed);
        }
        // nobody tells what it holds, or at such a length that nobody reads it
        place.put(&minute(4), 0, (b"1\n", b"1\n"));
        place.put_for(&minute(5), &"b ".repeat(40_000));
        place.announce(0, &minute(0));
        assert_eq!(place.run_choosing(Some("a"), now), (3, 3));
        let all = [0, 1, 2, 3, 4, 5];
        assert_eq!(place.is_here(&all), [HERE, LEFT, LEFT, LEFT, HERE, HERE]);
        // it is known by now, also if it is announced again
        place.announce(1, &minute(1));
        assert_eq!(place.run_choosing(Some("a"), now.plus_ms(1)), (0, 0));
        place.put_for(&minute(6), "b");
        place.announce(2, &minute(6));
        assert_eq!(place.run_choosing(Some("a"), now.plus_ms(2)), (0, 1));
        // another share needs others, and what is here stays here
        assert_eq!(place.run_choosing(Some("b"), now.plus_ms(3)), (3, 0));
        assert_eq!(place.is_here(&all[..4]), [HERE, HERE, HERE, LEFT]);
        // whoever merges all hours needs all
        assert_eq!(place.run_choosing(None, now.plus_ms(4)), (1, 0));
        assert_eq!(place.is_here(&all), [HERE; 6]);
    }

    #[test]
    fn one_that_was_left_is_brought_when_it_is_asked_for() {
        let place = Setting::new();
        let now = UtcMs(1_800_000_000_000);
        for n in [0, 1] {
            place.put_for(&minute(n), "b");
        }
        assert_eq!(place.run_choosing(Some("a"), now), (0, 2));
        let brought = place.choosing((1, now), Some("a"), |job| {
            job.bring(&[minute(1)].into()).unwrap()
        });
        assert_eq!(brought, 1);
        assert_eq!(place.is_here(&[0, 1]), [LEFT, HERE]);
    }

    /// Nobody announces that something was deleted or has another form since.
    #[test]
    fn what_was_left_is_looked_at_once_a_day() {
        let place = Setting::new();
        let now = UtcMs(1_800_000_000_000);
        for n in [0, 1, 2, 3] {
            place.put_for(&minute(n), "b");
        }
        assert_eq!(place.run_choosing(Some("a"), now), (0, 4));
        let [segment, _, seal] = segments::keys(&minute(0), 0).unwrap();
        place.with_store(|store| {
            for key in [segment, seal] {
                store.delete(&key).unwrap();
            }
        });
        // lines were taken out of this one
        place.put(&minute(1), 3, (b"", b""));
        // what is kept of this one is lost
        disk::put(
            &RealDisk,
            &minute(2).paths(&segments::unfetched(&place.spool)).seal,
            b"{",
        )
        .unwrap();
        let all = [0, 1, 2, 3];
        assert_eq!(
            place.run_choosing(Some("a"), now.plus_ms(LOOK_MS - 1)),
            (0, 0)
        );
        assert_eq!(place.is_here(&all), [LEFT; 4]);
        assert_eq!(place.run_choosing(Some("a"), now.plus_ms(LOOK_MS)), (2, 0));
        assert_eq!(place.is_here(&all), [GONE, HERE, HERE, LEFT]);
        // after the clock was set back
        place.with_store(|store| {
            let [segment, _, _] = segments::keys(&minute(3), 0).unwrap();
            store.delete(&segment).unwrap();
        });
        assert_eq!(place.run_choosing(Some("a"), now.plus_ms(-1)), (0, 0));
        assert_eq!(place.is_here(&all), [GONE, HERE, HERE, GONE]);
        let left = segments::unfetched(&place.spool).join("2");
        assert!(
            RealDisk.list(&left).unwrap().is_empty(),
            "its folders are gone"
        );
    }

    /// After a change of the spool in the configuration, or a restore: what has arrived in one says nothing of another.
    #[test]
    fn what_has_arrived_is_known_of_one_spool_only() {
        let dir = tempfile::tempdir().unwrap();
        let opener = Opener::of(&RealDisk, dir.path());
        let spool: Spool = opener.spool(&dir.path().into(), Asks::Make).unwrap();
        let store = Folder {
            disk: &RealDisk,
            root: dir.path(),
        };
        let path = dir.path().join("arrived.json");
        let last = |id: &PlaceId| {
            let job = FetchJob {
                disk: &RealDisk,
                spool: &spool,
                store: &store,
                servers: &[],
                keep_free: 0,
                at_once: 1,
                choice: None,
                id,
                now: UtcMs(0),
            };
            let arrived = job.arrived(&path);
            assert_eq!(arrived.spool.as_ref(), Some(id));
            arrived.last
        };
        let (a, b) = (PlaceId::of(1), PlaceId::of(2));
        assert!(last(&a).is_empty());
        let known: BTreeMap<ServerId, u64> = [("2".parse().unwrap(), 7)].into();
        for spool in [Some(a.clone()), None] {
            let arrived = Arrived {
                spool: spool.clone(),
                last: known.clone(),
                ..Arrived::default()
            };
            disk::put(&RealDisk, &path, &serde_json::to_vec(&arrived).unwrap()).unwrap();
            assert_eq!(
                last(&a),
                if spool.is_some() {
                    known.clone()
                } else {
                    BTreeMap::new()
                }
            );
            assert!(last(&b).is_empty());
        }
    }
}
