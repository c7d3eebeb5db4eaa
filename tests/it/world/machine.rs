//! The machines of a world, each with its disk: those that collect and deliver to the store, and those that merge from it
//! and to it. What they do is what the commands `deliver`, `merge` and `redact` do, in the same order.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use twinstream::{
    config::settings::{Merge, Server},
    deliver::{
        fetch::{Choice, FetchJob},
        receive::ReceiveJob,
        to_store::StoreJob,
    },
    merge::{
        deletions::Honour,
        index::Indexes,
        job::MergeJob,
        outcome::MergeOutcome,
        unfetched::{self, OwnHours, StaysOut},
    },
    period::{Hour, UtcMs},
    place::{
        decide::Asks,
        id::PlaceId,
        mirror,
        open::{OfMirror, OfStore, OfVault, Opener, Spool, Vault},
        segments::Elsewhere,
        store::Store,
    },
    segment::{
        name::{SegmentName, ServerId},
        seal::Seal,
    },
    share::Share,
    source::{Stream, key::Key},
    vault::{
        attempts::Keep,
        delta::log::DeltaLog,
        identity::{self, Identity},
        in_store::{self, InStore},
        redactions::Redactions,
        xz::Effort,
    },
    world::disk::{self, Disk as _},
};

use super::stage::Ways;
use crate::support::{disk::SimulatedDisk, posts::mix};

/// What all machines know of the archive.
pub(crate) struct Archive {
    pub(crate) stream: Stream,
    pub(crate) settings: Merge,
    pub(crate) servers: Vec<Server>,
    /// Whether what was deleted is taken out.
    pub(crate) honours: bool,
}

impl Archive {
    /// Where deletions are honoured any former revision may have what a later one lacks.
    fn keep(&self) -> Keep {
        Keep {
            orphans: self.settings.orphans,
            superseded: (!self.honours).then_some(self.settings.keep_superseded),
        }
    }

    fn ids(&self) -> Vec<ServerId> {
        self.servers.iter().map(|one| one.id.clone()).collect()
    }
}

/// What is said where a disk is full.
pub(crate) const FULL: &str = "no storage space";

/// As long as a world lasts.
const KEEP_DELIVERED: Duration = Duration::from_hours(1_000);

/// A world has some ten versions.
const CHECKPOINT_EVERY: u64 = 4;

/// As many passes as `redact` makes.
const PASSES_MAX: usize = 8;

/// A server that collects.
pub(crate) struct Collector {
    pub(crate) id: ServerId,
    pub(crate) disk: SimulatedDisk,
}

pub(crate) fn spool_of(root: &Path) -> PathBuf {
    root.join("spool")
}

/// Where a merger's copy of the vault is.
fn copy_of_vault() -> PathBuf {
    Path::new(ROOT).join("vault")
}

pub(crate) const ROOT: &str = "/server";

fn told(why: impl std::fmt::Display) -> String {
    why.to_string()
}

impl Collector {
    pub(crate) fn new(id: &str) -> Self {
        let disk = SimulatedDisk::default();
        disk.make_folder(&spool_of(Path::new(ROOT))).unwrap();
        Self {
            id: id.parse().unwrap(),
            disk,
        }
    }

    /// Delivers all that is sealed.
    pub(crate) fn deliver(&self, ways: &Ways, stream: Stream, now: UtcMs) -> Result<u64, String> {
        let root = Path::new(ROOT);
        let opener = Opener::of(&self.disk, root);
        let opener = Opener {
            draw: &|| Ok(PlaceId::of(mix(1, 2).into())),
            ..opener
        };
        let spool: Spool = opener
            .spool(&spool_of(root).into(), Asks::Make)
            .map_err(told)?;
        let (store, mirror) = (ways.spool(), root.join("mirror"));
        let unopened = mirror.clone().into();
        let nothing = Redactions::none(stream.source);
        let indexes = Indexes {
            disk: &self.disk,
            stream: stream.word,
            spool: &spool,
            folder: &root.join("index"),
            keep: false,
            redactions: &nothing,
        };
        let job = StoreJob {
            server: &self.id,
            spool: &spool,
            store: &store,
            mirror: &mirror,
            keep_delivered: KEEP_DELIVERED,
            recognize: &|| opener.spool::<OfMirror>(&unopened, Asks::Use),
            draw: &|| Ok(PlaceId::of(mix(3, self.id.as_str().len() as u64).into())),
            index: &|name| unfetched::to_deliver(&indexes, name),
        };
        let plan = job.look(&self.disk, now).map_err(told)?;
        let delivered = job.carry_out(&self.disk, &plan, &|| now, |_| ());
        let delivered = delivered.map_err(told)?;
        if delivered.failed == 0 {
            Ok(delivered.sent)
        } else {
            Err(format!("{delivered:?}"))
        }
    }
}

/// What a merger is told to do.
#[derive(Debug, Clone)]
pub(crate) enum Task {
    /// `merge`; of these hours only, or of a share.
    Merge(BTreeSet<Hour>, Option<Share>),
    /// `redact`
    Redact(BTreeSet<Key>),
    /// `redact --deleted`, or `merge` where deletions are not honoured.
    Honour,
}

/// A machine that merges.
pub(crate) struct Merger {
    pub(crate) id: String,
    /// How often it was set up anew.
    pub(crate) generation: u64,
    pub(crate) disk: SimulatedDisk,
    seed: u64,
    draws: AtomicU64,
}

impl Merger {
    pub(crate) fn new(id: &str, seed: u64, generation: u64) -> Self {
        Self {
            id: id.to_owned(),
            generation,
            disk: SimulatedDisk::default(),
            seed,
            draws: AtomicU64::new(0),
        }
    }

    /// The same with an empty disk.
    pub(crate) fn anew(&self) -> Self {
        Self::new(&self.id, self.seed, self.generation + 1)
    }

    /// It as it is now.
    pub(crate) fn machine(&self) -> String {
        format!("{}.{}", self.id, self.generation)
    }

    fn draw(&self) -> u64 {
        let nth = self.draws.fetch_add(1, Ordering::Relaxed);
        mix(mix(self.seed, self.generation), nth)
    }

    /// Brings the copy of the vault up to date, fetches what was delivered, and does what it is told; then it sweeps, if it
    /// is time for it.
    pub(crate) fn act(
        &self,
        ways: &Ways,
        archive: &Archive,
        (task, now, is_time): (&Task, UtcMs, bool),
    ) -> Result<MergeOutcome, String> {
        let (root, disk) = (Path::new(ROOT), &self.disk);
        disk.make_folder(root).map_err(told)?;
        let opener = Opener {
            draw: &|| Ok(PlaceId::of(self.draw().into())),
            ..Opener::of(disk, root)
        };
        let there = ways.vault();
        let copy = self.copy(&opener, &there, archive)?;
        let draw = || Ok::<_, io::Error>(self.draw());
        let vault = InStore::new(&there, disk, &copy, &draw).map_err(told)?;
        vault.follow(&|_| true).map_err(told)?;
        let source = archive.stream.source;
        vault.follow_list(source).map_err(told)?;
        let own: Spool = opener
            .spool(&spool_of(root).into(), Asks::Make)
            .map_err(told)?;
        let (store, ids) = (ways.spool(), archive.ids());
        let share = match task {
            Task::Merge(_, share) => *share,
            _ => None,
        };
        let list = Redactions::read(disk, &copy, source).map_err(told)?;
        let hours = share.map(|share| OwnHours {
            zone: &archive.settings.timezone,
            stream: archive.stream.word,
            share,
            out: StaysOut::of(&list, source),
        });
        let label = hours.as_ref().map(OwnHours::label);
        let needs = |name: &SegmentName, seal: &Seal, index: &[u8]| {
            let needs = (hours.as_ref()).is_none_or(|hours| hours.need(name, seal, index));
            if !needs {
                ways.happens("segments stayed in the store");
            }
            needs
        };
        let choice = label.as_ref().map(|label| Choice {
            label,
            needs: &needs,
        });
        let spool_there = self.fetch(&opener, (&own, &ids, choice), &store, now)?;
        let received = ReceiveJob {
            disk,
            data_dir: root,
            spool: &own,
            servers: &ids,
            keep_free: 0,
            keep_delivered: KEEP_DELIVERED,
        };
        let received = received.run(&|| now);
        if !received.refused.is_empty() {
            return Err(format!("{received:?}"));
        }
        let job = MergeJob {
            disk,
            data_dir: root,
            spool: &own,
            vault: &copy,
            commits: &vault,
            elsewhere: if spool_there.is_some() {
                Elsewhere::In(&store)
            } else {
                Elsewhere::Nowhere
            },
            bring: &|names| match &spool_there {
                Some(id) => {
                    let job = self.fetch_job((&own, &ids, None), &store, id, now);
                    job.bring(names)
                }
                None => Ok(0),
            },
            stream: archive.stream,
            settings: &archive.settings,
            servers: &archive.servers,
            honour: match task {
                _ if !archive.honours => Honour::Never,
                Task::Honour => Honour::Now,
                _ => Honour::Daily,
            },
            asked: const { &BTreeSet::new() },
            share,
            compress: &Effort::Fast,
            threads: 1,
            unit_bytes: 4 << 20,
            now,
        };
        let follow = || {
            let told_first = vault.tell_first_hour();
            let followed = told_first.and_then(|()| vault.follow(&|_| true));
            followed.map(drop).map_err(told)
        };
        let (outcome, outdated) = match task {
            Task::Merge(..) | Task::Honour => {
                let job = match task {
                    Task::Merge(asked, _) => MergeJob { asked, ..job },
                    _ => job,
                };
                let outcome = job.run(&mut |_| ()).map_err(told)?;
                follow()?;
                let list = Redactions::read(disk, &copy, source).map_err(told)?;
                let anew = outcome.committed.iter().filter(|one| 1 < one.revision);
                let anew = anew.map(|one| one.hour);
                let anew: BTreeSet<Hour> = anew.chain(outcome.elsewhere.iter().copied()).collect();
                let outdated = if archive.honours {
                    anew
                } else {
                    &anew & &list.hours()
                };
                (outcome, outdated)
            }
            Task::Redact(keys) => self.redact(job, keys, &follow)?,
        };
        let log = DeltaLog {
            vault: &vault,
            source,
            folder: root,
            checkpoint_every: CHECKPOINT_EVERY,
        };
        log.extend().map_err(told)?;
        let swept = match (is_time, outdated.is_empty()) {
            (true, _) => Some(vault.sweep(None, archive.keep())),
            (false, false) => Some(vault.sweep(Some(&outdated), archive.keep())),
            (false, true) => None,
        };
        if let Some(swept) = swept {
            let swept = swept.map_err(told)?;
            if !swept.problems.is_empty() {
                return Err(swept.problems.join("; "));
            }
        }
        Ok(outcome)
    }

    /// The copy of the vault, which is marked here and there if there is none anywhere.
    fn copy(
        &self,
        opener: &Opener<'_>,
        there: &dyn Store,
        archive: &Archive,
    ) -> Result<Vault, String> {
        let (zone, word) = (archive.settings.timezone.name(), archive.stream.word);
        if in_store::identity(there).map_err(told)?.is_none() {
            let found = in_store::look(there).map_err(told)?;
            let judged = opener.judge::<OfVault>(&there.name(), found, Asks::MakeInEmpty);
            judged.map_err(told)?;
            let mark = Identity::mark(&PlaceId::of(self.draw().into()), zone, word);
            in_store::begin(there, &mark.unwrap()).map_err(told)?;
        }
        let mark = in_store::identity(there).map_err(told)?;
        let mark = mark.ok_or("the vault has no mark")?;
        let path = identity::path(&copy_of_vault());
        if self.disk.len(&path).map_err(told)?.is_none() {
            self.disk.make_folder(&copy_of_vault()).map_err(told)?;
            disk::put(&self.disk, &path, &mark).map_err(told)?;
        }
        identity::open(opener, &copy_of_vault().into(), Asks::Use, zone, word).map_err(told)
    }

    fn fetch_job<'a>(
        &'a self,
        (spool, servers, choice): (&'a Spool, &'a [ServerId], Option<Choice<'a>>),
        store: &'a dyn Store,
        id: &'a PlaceId,
        now: UtcMs,
    ) -> FetchJob<'a> {
        FetchJob {
            disk: &self.disk,
            spool,
            store,
            servers,
            keep_free: 0,
            id,
            now,
            at_once: 1,
            choice,
        }
    }

    /// Fetches what was delivered; which spool that is, if there is one yet.
    fn fetch(
        &self,
        opener: &Opener<'_>,
        own: (&Spool, &[ServerId], Option<Choice<'_>>),
        store: &dyn Store,
        now: UtcMs,
    ) -> Result<Option<PlaceId>, String> {
        let folder = Path::new(ROOT).join("store");
        mirror::fetch(store, &self.disk, &folder, &[]).map_err(told)?;
        let spool = opener.spool::<OfStore>(&folder.into(), Asks::Use);
        let spool = spool.map_err(told)?;
        let Some(id) = spool.id() else {
            return Ok(None);
        };
        let fetched = self.fetch_job(own, store, id, now).run().map_err(told)?;
        match fetched.failed {
            0 => Ok(Some(id.clone())),
            // the log says why
            _ if self.disk.is_limited() => Err(FULL.to_owned()),
            _ => Err(format!("{fetched:?}")),
        }
    }

    /// Puts posts on the list, and makes the hours that have them anew.
    fn redact(
        &self,
        job: MergeJob<'_>,
        keys: &BTreeSet<Key>,
        follow: &dyn Fn() -> Result<(), String>,
    ) -> Result<(MergeOutcome, BTreeSet<Hour>), String> {
        let found = job.scrubber().hours_with(keys).map_err(told)?;
        let mut hours: BTreeSet<Hour> = found.into_values().collect();
        let (vault, source) = (job.vault, job.stream.source);
        let mut list = Redactions::read(&self.disk, vault, source).map_err(told)?;
        list.ask(keys.iter().cloned(), "asked");
        let kept = job.commits.keep_list(&self.disk, vault, &mut list);
        kept.map_err(told)?;
        let asked = hours.clone();
        let job = MergeJob {
            asked: &asked,
            ..job
        };
        let mut outcome = MergeOutcome::default();
        for _ in 0..PASSES_MAX {
            outcome = job.run(&mut |_| ()).map_err(told)?;
            follow()?;
            if outcome.elsewhere.is_empty() {
                break;
            }
        }
        let list = Redactions::read(&self.disk, vault, source).map_err(told)?;
        let of_these = list.since(0).into_iter();
        let of_these = of_these.filter(|(key, _)| keys.contains(key));
        hours.extend(of_these.filter_map(|(_, hour)| hour));
        Ok((outcome, hours))
    }
}
