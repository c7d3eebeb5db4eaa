//! Gathers the facts from the disk. Thin and lazy: what was read once is kept, since a sealed file never changes, and
//! old folders are listed again only now and then.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;

use super::{
    facts::{Away, Facts, HourFacts, MailFacts, PublishedFacts, ServerFacts, VaultFacts},
    queue::Queue,
    spool::{KnownServer, Spool},
};
use crate::{
    period::{Hour, UtcMs, Zone},
    place::{
        decide::Asks,
        id::PlaceId,
        open::{self as place, NotHere, Opener, PlaceKind as _, Unopened},
    },
    schedule::record,
    segment::{
        acks,
        name::{Leg, ServerId},
        spool,
    },
    vault::{layout, ledger, public::Public, published},
    world::{
        clock::Reading,
        disk::{self, Disk},
        growing::ReadPosition,
        lock::Lock,
    },
};

/// Days of the strips.
pub const DAYS: i64 = 7;
/// Weeks that an hour is compared with.
pub const WEEKS: i64 = 4;

/// A manifest with thousands of inputs; a larger one is not shown.
const MANIFEST_BYTES_MAX: u64 = 32 << 20;

/// Some days of samples, one an hour.
const FREE_BYTES_MAX: u64 = 1 << 20;

/// Where things lie.
#[derive(Debug, Clone)]
pub struct Places {
    /// The folder of everything that has none of its own.
    pub data_dir: PathBuf,
    /// Which server this is, if it is one.
    pub this: Option<ServerId>,
    /// The spool.
    pub spool: Unopened,
    /// The folder in whose spool lies what merges have fetched of other servers, if it is not delivered to the spool here.
    pub merger: Option<PathBuf>,
    /// The vault.
    pub vault: Unopened,
    /// The legs of the servers of the configuration.
    pub legs: Vec<Leg>,
    /// A secondary's id, and where its acknowledgements lie.
    pub acks: Option<(ServerId, Acks)>,
    /// The vault's zone.
    pub zone: Zone,
}

/// Where acknowledgements lie.
#[derive(Debug, Clone)]
pub enum Acks {
    /// In the spool that is delivered to.
    There(Unopened),
    /// In the folder of what was fetched from it; by what name that is known.
    Fetched(Unopened, String),
}

/// Tells what is committed to a vault that is not on this machine.
pub trait RemoteVault: Send + Sync {
    /// The latest revision of each hour.
    fn revisions(&self) -> io::Result<BTreeMap<Hour, u64>>;

    /// The manifest of one of them.
    fn manifest(&self, hour: Hour, revision: u64) -> io::Result<Vec<u8>>;
}

/// How often it is asked, by the steady time.
const ELSEWHERE_MS: i64 = 60_000;

/// Reads, and remembers what it has read.
pub struct Gatherer {
    disk: Arc<dyn Disk>,
    places: Places,
    servers: BTreeMap<ServerId, KnownServer>,
    /// What was seen of them when the spool was there.
    seen: BTreeMap<ServerId, ServerFacts>,
    vault: VaultFacts,
    /// Where the vault is, if neither it nor a copy is here, and when it was asked last.
    remote_vault: Option<(Box<dyn RemoteVault>, Option<UtcMs>)>,
    ledger: ReadPosition,
    /// The revision whose manifest was read, also if it could not be used.
    read: BTreeMap<Hour, u64>,
    published: ReadPosition,
    public: PublishedFacts,
}

/// Where the samples of free space lie.
pub fn free_path(data_dir: &Path) -> PathBuf {
    data_dir.join("free.jsonl")
}

/// Where mails wait.
pub fn mail_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("mail")
}

impl Gatherer {
    /// Knows nothing yet.
    pub fn new(disk: Arc<dyn Disk>, places: Places) -> Self {
        let legs = places.legs.iter();
        let seen = legs.map(|leg| (leg.server.clone(), ServerFacts::default()));
        let seen = seen.collect();
        Self {
            disk,
            places,
            servers: BTreeMap::new(),
            seen,
            vault: VaultFacts::default(),
            remote_vault: None,
            ledger: ReadPosition::default(),
            read: BTreeMap::new(),
            published: ReadPosition::default(),
            public: PublishedFacts::default(),
        }
    }

    /// Asks there what is committed.
    pub fn ask(&mut self, remote_vault: Box<dyn RemoteVault>) {
        self.remote_vault = Some((remote_vault, None));
    }

    /// The facts as they are now.
    pub fn gather(&mut self, time: Reading) -> io::Result<Facts> {
        let now = time.now;
        let disk = Arc::clone(&self.disk);
        let mut away = Vec::new();
        let places = self.places.clone();
        let opener = Opener::of(&*disk, &places.data_dir);
        let acks = told(&mut away, acks(&opener, places.acks.as_ref())).flatten();
        let spool = told(&mut away, opener.spool(&places.spool, Asks::Look));
        let others = match &places.merger {
            Some(folder) => {
                let spool = folder.join("spool").into();
                let there = Opener::of(&*disk, folder).spool(&spool, Asks::Look);
                told(&mut away, there)
            }
            None => spool.clone(),
        };
        if let (Some(spool), Some(others)) = (spool, others) {
            self.look_into_spools([&spool, &others], acks.as_ref(), time)?;
        }
        let no_mark = |_: &PlaceId| Ok(());
        if let Some((remote_vault, asked)) = self.remote_vault.take() {
            let looked = self.look_elsewhere(&*remote_vault, asked, time);
            if let Err(why) = &looked {
                let (place, what) = (place::OfVault::WORD, why.to_string());
                away.push(Away { place, what });
            }
            self.remote_vault = Some((remote_vault, looked.ok()));
        } else if let Some(vault) =
            told(&mut away, opener.open(&places.vault, Asks::Look, &no_mark))
        {
            self.look_into_vault(&vault, now)?;
        }
        let published = self.look_at_published(now)?;
        let existing = self.places.data_dir.ancestors().find(|path| path.is_dir());
        Ok(Facts {
            servers: self.seen.clone(),
            is_collecting: Lock::is_held(&self.places.data_dir, Lock::COLLECT),
            vault: self.vault.clone(),
            published,
            free_bytes: disk.free(existing.unwrap_or(Path::new("/")))?,
            free_then: free_then(&*disk, &self.places.data_dir),
            record: record::read(&*disk, &self.places.data_dir),
            away,
            mails: mails(&*disk, &self.places.data_dir)?,
        })
    }

    /// Of this server in the first, of others in the second.
    fn look_into_spools(
        &mut self,
        [own, others]: [&place::Spool; 2],
        acks: Option<&(ServerId, PathBuf)>,
        time: Reading,
    ) -> io::Result<()> {
        let disk = &*self.disk;
        let mut ids: BTreeSet<ServerId> = self
            .places
            .legs
            .iter()
            .map(|leg| leg.server.clone())
            .collect();
        ids.extend(spool::servers(disk, own)?);
        ids.extend(spool::servers(disk, others)?);
        self.seen.clear();
        for id in ids {
            let of_this = acks.filter(|(this, _)| *this == id);
            let legs = self.places.legs.iter().filter(|leg| leg.server == id);
            let legs: Vec<Leg> = legs.cloned().collect();
            let is_own = self.places.this.as_ref() == Some(&id);
            let place = Spool {
                disk,
                folder: if is_own { own } else { others },
                server: &id,
                legs: &legs,
                acks: of_this.map(|(_, path)| path.as_path()),
            };
            let facts = self.servers.entry(id.clone()).or_default();
            let facts = facts.look(&place, time)?;
            self.seen.insert(id, facts);
        }
        Ok(())
    }

    fn look_into_vault(&mut self, of: &place::Vault, now: UtcMs) -> io::Result<()> {
        let disk = Arc::clone(&self.disk);
        let Self { vault, ledger, .. } = self;
        let path = ledger::path(of);
        ledger.read_on(&*disk, &path, |line| {
            // whether the chain holds is for `verify` to say
            if let Ok(line) = serde_json::from_slice::<ledger::LedgerLine>(line) {
                let latest = vault.revisions.entry(line.hour).or_insert(0);
                *latest = line.revision.max(*latest);
            }
        })?;
        vault.lines = ledger.lines;
        self.read_manifests(now, &|hour, _| {
            let path = layout::manifest_path(of, hour);
            disk::read_bounded(&*disk, &path, MANIFEST_BYTES_MAX)
        });
        Ok(())
    }

    /// Asks again if it is time; says when it was asked last.
    fn look_elsewhere(
        &mut self,
        remote_vault: &dyn RemoteVault,
        asked: Option<UtcMs>,
        time: Reading,
    ) -> io::Result<UtcMs> {
        if let Some(asked) = asked.filter(|asked| time.steady.0 - asked.0 < ELSEWHERE_MS) {
            return Ok(asked);
        }
        self.vault.revisions = remote_vault.revisions()?;
        self.vault.lines = self.vault.revisions.values().sum();
        let manifest = |hour, revision| remote_vault.manifest(hour, revision);
        self.read_manifests(time.now, &manifest);
        Ok(time.steady)
    }

    /// Reads what is new of the manifests that are shown.
    fn read_manifests(&mut self, now: UtcMs, read: &dyn Fn(Hour, u64) -> io::Result<Vec<u8>>) {
        let vault = &mut self.vault;
        let wanted = wanted(self.places.zone.hour_of(now));
        vault.hours.retain(|hour, _| wanted.contains(hour));
        self.read.retain(|hour, _| wanted.contains(hour));
        for hour in wanted {
            let Some(revision) = vault.revisions.get(&hour).copied() else {
                continue;
            };
            if self.read.insert(hour, revision) == Some(revision) {
                continue;
            }
            let bytes = read(hour, revision);
            match bytes.and_then(|bytes| Ok(serde_json::from_slice::<HourFacts>(&bytes)?)) {
                Ok(facts) => drop(vault.hours.insert(hour, facts)),
                // a merge is putting it there just now, or it is damaged, which `verify` says
                Err(why) => {
                    self.read.remove(&hour);
                    tracing::debug!("the manifest of hour {hour}: {why}");
                }
            }
        }
    }

    fn look_at_published(&mut self, now: UtcMs) -> io::Result<Option<PublishedFacts>> {
        let path = published::path(&self.places.data_dir);
        let public = &mut self.public;
        self.published.read_on(&*self.disk, &path, |line| {
            if let Ok(entry) = serde_json::from_slice::<published::DiaryEntry>(line) {
                if let (Some(Public::Manifest(hour)), Some(revision)) =
                    (Public::of_name(&entry.file), entry.revision)
                {
                    let latest = public.revisions.entry(hour).or_insert(0);
                    *latest = revision.max(*latest);
                }
                if 0 < entry.new_ids {
                    public.ids.push((entry.time, entry.new_ids));
                }
            }
        })?;
        public
            .ids
            .retain(|(at, _)| now.0 - at.0 < published::WINDOW_MS);
        Ok((0 < self.published.lines).then(|| public.clone()))
    }
}

/// Where the acknowledgements lie, and whose they are.
fn acks(
    opener: &Opener<'_>,
    places: Option<&(ServerId, Acks)>,
) -> Result<Option<(ServerId, PathBuf)>, NotHere> {
    let Some((id, place)) = places else {
        return Ok(None);
    };
    let path = match place {
        Acks::There(spool) => {
            let spool: place::Target = opener.spool(spool, Asks::Look)?;
            acks::path(&spool, id)
        }
        Acks::Fetched(mirror, name) => {
            let mirror = opener.spool::<place::OfMirror>(mirror, Asks::Look);
            let mirror = mirror.map_err(|why| why.of(name))?;
            mirror.join(acks::ACKS)
        }
    };
    Ok(Some((id.clone(), path)))
}

/// What is there; why it is not is noted.
fn told<T>(away: &mut Vec<Away>, there: Result<T, NotHere>) -> Option<T> {
    let note = |why: NotHere| {
        away.push(Away {
            place: why.word(),
            what: why.to_string(),
        });
    };
    there.map_err(note).ok()
}

/// The hours whose manifests are read: the last days, and those the last day is compared with.
fn wanted(now: Hour) -> BTreeSet<Hour> {
    let last_days = (0..DAYS * 24).map(|back| Hour(now.0 - back));
    let weeks =
        (0..24).flat_map(|back| (1..=WEEKS).map(move |week| Hour(now.0 - back - week * 7 * 24)));
    last_days.chain(weeks).collect()
}

/// One sample of free space.
#[derive(Debug, Deserialize, serde::Serialize)]
pub(super) struct Sample {
    pub(super) at: UtcMs,
    pub(super) free_bytes: u64,
}

fn free_then(disk: &dyn Disk, data_dir: &Path) -> Vec<(UtcMs, u64)> {
    let path = free_path(data_dir);
    // without it nothing is known of the past
    let bytes = disk::read_bounded(disk, &path, FREE_BYTES_MAX).unwrap_or_default();
    let lines = bytes.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| serde_json::from_slice::<Sample>(line).ok())
        .map(|sample| (sample.at, sample.free_bytes))
        .collect()
}

fn mails(disk: &dyn Disk, data_dir: &Path) -> io::Result<MailFacts> {
    let folder = mail_dir(data_dir);
    let entries = disk.list(&folder)?;
    let times = entries
        .iter()
        .filter_map(|entry| super::queue::time_of(&entry.name));
    Ok(MailFacts {
        waiting: times.clone().count() as u64,
        since: times.min(),
        why: Queue::new(disk, folder).why_oldest(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{segment::sha256::Sha256, vault::published::DiaryEntry, world::disk::RealDisk};

    fn hour(text: &str) -> Hour {
        format!("2026-11-{text}").parse().unwrap()
    }

    fn at(text: &str) -> UtcMs {
        format!("2026-11-{text}:00Z").parse().unwrap()
    }

    fn append(path: &Path, line: &impl serde::Serialize) {
        let json = serde_json::to_string(line).unwrap() + "\n";
        disk::append_lines(&RealDisk, path, json.as_bytes()).unwrap();
    }

    /// A primary's folders.
    struct Site {
        dir: tempfile::TempDir,
        gatherer: Gatherer,
    }

    impl Site {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let folder = |name: &str| dir.path().join(name);
            for name in ["spool", "vault"] {
                RealDisk.make_folder(&folder(name)).unwrap();
                let mark = folder(name).join(format!("{name}.json"));
                disk::put(&RealDisk, &mark, br#"{"id":"a"}"#).unwrap();
            }
            let places = Places {
                data_dir: dir.path().to_owned(),
                this: Some("1".parse().unwrap()),
                spool: folder("spool").into(),
                merger: None,
                vault: folder("vault").into(),
                legs: vec!["1".parse().unwrap()],
                acks: None,
                zone: Zone::named("UTC").unwrap(),
            };
            let gatherer = Gatherer::new(Arc::new(RealDisk), places);
            Self { dir, gatherer }
        }

        /// A revision of an hour is committed that has so many posts; `None`: its manifest cannot be read.
        fn commit(&self, of: Hour, revision: u64, posts: Option<u64>) {
            let vault = self.dir.path().join("vault");
            let path = layout::manifest_path(&vault, of);
            RealDisk.make_folder(path.parent().unwrap()).unwrap();
            let manifest = posts.map_or_else(
                || "{".to_owned(),
                |posts| {
                    format!(
                        r#"{{"intervals":[],"counts":{{"servers":{{}},"total":{{"posts":{posts}}}}},
                            "coverage":{{"servers":{{}},"union":{{"seconds":3600,"covered":3600}}}}}}"#
                    )
                },
            );
            disk::put(&RealDisk, &path, manifest.as_bytes()).unwrap();
            let line = ledger::LedgerLine {
                hour: of,
                revision,
                manifest_sha256: Sha256::ZEROS,
                previous: Sha256::ZEROS,
            };
            append(&ledger::path(&vault), &line);
        }

        fn publish(&self, file: &str, revision: Option<u64>, new_ids: u64, time: UtcMs) {
            let entry = DiaryEntry {
                time,
                hour: None,
                revision,
                file: file.to_owned(),
                sha256: Sha256::ZEROS,
                new_ids,
            };
            append(&published::path(self.dir.path()), &entry);
        }

        fn look(&mut self, now: UtcMs) -> Facts {
            let time = Reading {
                now,
                steady: now,
                steps: 0,
                stepped_ms: 0,
            };
            self.gatherer.gather(time).unwrap()
        }

        /// The posts of those hours that are known.
        fn posts(&mut self, now: UtcMs) -> Vec<(String, u64)> {
            let hours = self.look(now).vault.hours;
            let posts = hours
                .iter()
                .map(|(hour, facts)| (hour.to_string(), facts.counts.total.posts));
            posts.collect()
        }
    }

    #[test]
    fn of_each_hour_that_is_shown_its_latest_revision_is_known() {
        let mut site = Site::new();
        let now = at("23T14:30");
        assert!(site.posts(now).is_empty());
        let (one, other) = (hour("23_13"), hour("23_12"));
        site.commit(one, 1, Some(5));
        let known = |posts: &[(&str, u64)]| -> Vec<(String, u64)> {
            let all = posts
                .iter()
                .map(|(hour, posts)| (format!("2026-11-{hour}"), *posts));
            all.collect()
        };
        assert_eq!(site.posts(now), known(&[("23_13", 5)]));
        site.commit(one, 2, Some(7));
        assert_eq!(site.posts(now), known(&[("23_13", 7)]));
        // one whose manifest is being put there just now is looked for again
        site.commit(other, 1, None);
        assert_eq!(site.posts(now), known(&[("23_13", 7)]));
        site.commit(other, 1, Some(9));
        assert_eq!(site.posts(now), known(&[("23_12", 9), ("23_13", 7)]));
        let facts = site.look(now);
        assert_eq!(facts.vault.revisions, [(other, 1), (one, 2)].into());
        assert_eq!(facts.vault.lines, 4);
        // what is older than a week is not shown, but for what the last day is compared with
        let (weeks, older) = (hour("09_13"), hour("09_10"));
        site.commit(weeks, 1, Some(3));
        site.commit(older, 1, Some(2));
        let later = at("24T11:30");
        assert_eq!(site.posts(now).len(), 4);
        assert_eq!(
            site.posts(later),
            known(&[("09_13", 3), ("23_12", 9), ("23_13", 7)])
        );
        assert!(site.look(now).away.is_empty());
    }

    #[test]
    fn the_hours_of_four_weeks_ago_are_compared_with() {
        let now = hour("29_14");
        let wanted = wanted(now);
        for week in 1..=4 {
            for back in [0, 23] {
                assert!(
                    wanted.contains(&Hour(now.0 - back - week * 168)),
                    "{week} {back}"
                );
            }
            if 1 < week {
                assert!(!wanted.contains(&Hour(now.0 - 24 - week * 168)), "{week}");
            }
        }
        assert!(!wanted.contains(&Hour(now.0 - 5 * 168)) && !wanted.contains(&Hour(now.0 + 1)));
        assert!((0..168).all(|back| wanted.contains(&Hour(now.0 - back))));
    }

    /// The diary may tell of a revision once more after a later one: it was found again.
    #[test]
    fn what_is_public_is_the_latest_that_ever_was_and_ids_count_for_thirty_days() {
        let mut site = Site::new();
        let now = at("23T14:30");
        assert!(site.look(now).published.is_none());
        let manifest = "2026-11-23_13_manifest.json";
        let name = Public::Manifest(hour("23_13")).name();
        assert_eq!(name, manifest);
        let ago = |ms: i64| now.plus_ms(-ms);
        site.publish(
            &Public::Ids(hour("23_13")).name(),
            Some(3),
            40,
            ago(published::WINDOW_MS),
        );
        site.publish(&name, Some(2), 0, ago(9));
        site.publish(
            &Public::Ids(hour("23_13")).name(),
            Some(3),
            7,
            ago(published::WINDOW_MS - 1),
        );
        site.publish(&name, Some(1), 0, ago(3));
        let public = site.look(now).published.unwrap();
        // ids without their manifest do not make an hour public
        assert_eq!(public.revisions, [(hour("23_13"), 2)].into());
        assert_eq!(public.ids, [(ago(published::WINDOW_MS - 1), 7)]);
        let later = site.look(now.plus_ms(1)).published.unwrap();
        assert_eq!(later.ids, []);
    }
}
