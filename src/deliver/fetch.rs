//! The primary's side of a delivery to an object store: fetches what is only there into the spool, each file checked
//! against its seal before it has its name; `receive` does the rest, as with what comes over ssh.
//!
//! New files are those announced since the last time (`arrivals`); a machine that has never fetched lists everything. It does so
//! once more when a server has announced nothing for a day: one that dies for good has not announced what it delivered last.
//!
//! Other machines put the files into the store: names and bytes are trusted only after they were checked. Nothing is
//! overwritten, here or there, but what a fetch that was cut off has left without a seal; what was delivered once more
//! after lines were taken out of it on request goes from there again.

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
        name::{SegmentName, ServerId},
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

/// Some bytes for each server.
const ARRIVED_BYTES_MAX: u64 = 1 << 20;

/// The result.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Segments that are in the spool since.
    pub segments: u64,
    /// Segments that could not be fetched; the log says why.
    pub failed: u64,
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
            is_whole &= self.fetch(&wanted, server, fetched)?;
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
        let is_whole = self.fetch(&wanted, server, fetched)?;
        Ok(is_whole.then(|| Silent {
            listed: true,
            ..known.clone()
        }))
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
            if self.disk.len(&name.paths(self.spool).seal)?.is_none() {
                wanted.push(name);
            } else {
                segments::delete_former(self.store, &name)?;
            }
        }
        Ok(wanted)
    }

    /// Fetches these; says whether all are here.
    fn fetch(
        &self,
        wanted: &[SegmentName],
        server: &ServerId,
        fetched: &mut Fetched,
    ) -> Result<bool, StoreError> {
        let failed = fetched.failed;
        let mut has_room = true;
        let work = |name| {
            // the stage that receives reports it
            let free = self.disk.free(self.spool).unwrap_or(0);
            (self.keep_free <= free).then(|| (name, self.segment(name)))
        };
        workers::in_order(wanted, self.at_once, work, |done| {
            match done {
                None => has_room = false,
                Some((_, Ok(is_there))) => fetched.segments += u64::from(is_there),
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
            self.fetch(&wanted, server, fetched)?;
        }
        Ok(())
    }

    /// The segments of a server that are whole in the store and not here, oldest first.
    fn wanted(&self, server: &ServerId) -> Result<Vec<SegmentName>, StoreError> {
        let sealed = spool::sealed(self.disk, self.spool, server)?;
        let here: BTreeSet<SegmentName> = sealed.found.into_iter().collect();
        self.whole(server, &segments::prefix(server), &|name| {
            !here.contains(name)
        })
    }

    /// Of what lies there under a prefix the segments of a server that are asked for and whole, oldest first.
    fn whole(
        &self,
        server: &ServerId,
        prefix: &str,
        is_asked: &dyn Fn(&SegmentName) -> bool,
    ) -> Result<Vec<SegmentName>, StoreError> {
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
        let is_whole = |(name, files): (SegmentName, There)| files.latest().map(|_form| name);
        let mut wanted: Vec<SegmentName> = there.into_iter().filter_map(is_whole).collect();
        wanted.sort_by_key(|name| (name.minute, name.run, name.part));
        Ok(wanted)
    }

    /// Says whether it is there still: what was merged may have been swept.
    fn segment(&self, name: &SegmentName) -> Result<bool, NotFetched> {
        // most have one form
        let mut form = 0;
        loop {
            let missing = match self.form(name, form) {
                Err(NotFetched::Missing(key)) => key,
                other => return other.map(|()| true),
            };
            match segments::look(self.store, name)?.latest() {
                None => return self.leave(name).map(|()| false),
                // another machine may take lines out at this moment
                Some(latest) if form < latest => form = latest,
                Some(_) => return Err(NotFetched::Missing(missing)),
            }
        }
    }

    fn form(&self, name: &SegmentName, form: u64) -> Result<(), NotFetched> {
        let [segment, events, seal] = segments::keys(name, form)?;
        let bytes = store::read_whole(self.store, &seal, SEAL_BYTES_MAX)?;
        let bytes = bytes.ok_or_else(|| NotFetched::Missing(seal.clone()))?;
        let sealed = Seal::read(&bytes, name)?;
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
        Ok(disk::put(self.disk, &paths.seal, &bytes).at(&paths.seal)?)
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

    /// Nobody needs what an earlier fetch that was cut off has left of a segment that is nowhere any more.
    fn leave(&self, name: &SegmentName) -> Result<(), NotFetched> {
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
            self.with_store(|store| {
                work(&FetchJob {
                    disk: &RealDisk,
                    spool: &self.spool,
                    store,
                    servers: &self.servers,
                    keep_free: 0,
                    at_once: 1,
                    id: &PlaceId::of(id),
                    now,
                })
            })
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
                silent: BTreeMap::new(),
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
