//! One delivery to an object store: segment, events, what the segment holds, then the seal, each created once and read back;
//! then acknowledged, and deleted here after its time.
//!
//! Nobody else acknowledges: what was read back from the store is safe there. The acknowledgements are kept on this
//! server beside the mark of the spool that they are about, and go with it: in another spool nothing is safe yet.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    arrivals::{Arrivals, TOGETHER_MAX},
    plan::{self, ENDINGS, Plan},
    run::{DeliverError, Delivered, tell_unreadable},
    sealed::{self, SealedError},
};
use crate::{
    period::UtcMs,
    place::{
        id::PlaceId,
        mirror,
        open::{Mirror, NotHere, Spool},
        segments,
        store::{Content, Created, Key, NotAKey, Store, StoreError, create_of},
    },
    segment::{
        acks::{self, ACKS, Ack},
        name::{SegmentName, ServerId},
        seal::Digest,
        sha256::Sha256,
        spool,
    },
    world::{
        crash::{self, Point},
        disk::{self, Disk},
        error_at::At as _,
    },
};

/// The order for a delivery.
pub struct StoreJob<'a> {
    /// Whose segments.
    pub server: &'a ServerId,
    /// Where they are.
    pub spool: &'a Spool,
    /// The spool in the store.
    pub store: &'a dyn Store,
    /// Where its mark and the acknowledgements are kept.
    pub mirror: &'a Path,
    /// How long a file stays here after it was acknowledged.
    pub keep_delivered: Duration,
    /// Opens the place whose mark was fetched.
    pub recognize: &'a dyn Fn() -> Result<Mirror, NotHere>,
    /// Draws the id of a new spool.
    pub draw: &'a dyn Fn() -> io::Result<PlaceId>,
    /// What a segment holds, for those who need not fetch it; `None`: nobody is told.
    pub index: &'a dyn Fn(&SegmentName) -> Option<Vec<u8>>,
}

/// Beside the mark of the spool: the number under which was last told what has arrived there.
const TOLD: &str = "told.json";

#[derive(Serialize, Deserialize)]
struct Announced {
    server: ServerId,
    number: u64,
}

/// It has some bytes.
const TOLD_BYTES_MAX: u64 = 4_096;

/// Why one segment was not delivered. The others are.
#[derive(Debug, thiserror::Error)]
enum NotSent {
    #[error("{0}; it stays here and was not sent")]
    Here(#[from] SealedError),
    #[error(
        "{place}/{key} exists with other content (sha256 {there}, ours {ours}); it was not overwritten"
    )]
    Taken {
        place: String,
        key: Key,
        there: Sha256,
        ours: Sha256,
    },
    #[error(transparent)]
    Store(StoreError),
    #[error(transparent)]
    Name(#[from] NotAKey),
}

impl StoreJob<'_> {
    fn acks(&self) -> PathBuf {
        self.mirror.join(ACKS)
    }

    /// What is to be done, without doing it.
    pub fn look(&self, disk: &dyn Disk, now: UtcMs) -> Result<Plan, DeliverError> {
        mirror::fetch(self.store, disk, self.mirror, &[ACKS, TOLD])?;
        (self.recognize)()?;
        let sealed = spool::sealed(disk, self.spool, self.server).at(self.spool)?;
        let (sealed, unreadable) = tell_unreadable(sealed, self.server);
        let here: BTreeSet<&SegmentName> = sealed.iter().collect();
        let path = self.acks();
        let acks = acks::read(disk, &path, |name| here.contains(name)).at(&path)?;
        Ok(Plan {
            unreadable,
            ..plan::plan(sealed, &acks, self.keep_delivered, now)
        })
    }

    /// The spool is there and known, or is made: nothing is put where there is none.
    fn begin(&self, disk: &dyn Disk) -> Result<(), DeliverError> {
        if (self.recognize)()?.id().is_some() {
            return Ok(());
        }
        let id = (self.draw)().at(self.mirror)?;
        mirror::make(self.store, &id)?;
        crash::point(Point::PlaceMade);
        mirror::fetch(self.store, disk, self.mirror, &[ACKS, TOLD])?;
        (self.recognize)()?;
        Ok(())
    }

    /// Carries a plan out. `tell` hears of every segment that is done with.
    pub fn carry_out(
        &self,
        disk: &dyn Disk,
        plan: &Plan,
        now: &dyn Fn() -> UtcMs,
        mut tell: impl FnMut(&SegmentName),
    ) -> Result<Delivered, DeliverError> {
        let mut delivered = Delivered {
            failed: plan.unreadable,
            ..Delivered::default()
        };
        self.begin(disk)?;
        delivered.settle(disk, self.spool, plan, now())?;
        let mut sent = Vec::new();
        for name in &plan.send {
            match self.send(disk, name, now) {
                Ok(given) => {
                    sent.push((name, given));
                    if TOGETHER_MAX <= sent.len() {
                        delivered.sent += self.acknowledge(disk, &mut sent)?;
                    }
                }
                // the next one would fare no better
                Err(NotSent::Store(
                    why @ (StoreError::Unreachable { .. } | StoreError::Refused { .. }),
                )) => return Err(why.into()),
                Err(why) => delivered.fail(name, &why),
            }
            tell(name);
        }
        delivered.sent += self.acknowledge(disk, &mut sent)?;
        self.forget_acks(disk, now())?;
        Ok(delivered)
    }

    /// Tells what has arrived, then acknowledges it: what was told twice is fetched once, what was never told would not be.
    fn acknowledge(
        &self,
        disk: &dyn Disk,
        sent: &mut Vec<(&SegmentName, Vec<Ack>)>,
    ) -> Result<u64, DeliverError> {
        if sent.is_empty() {
            return Ok(0);
        }
        let note = self.mirror.join(TOLD);
        // one that cannot be read, or is another server's, is found again
        let last = disk::noted::<Announced>(disk, &note, TOLD_BYTES_MAX)
            .filter(|told| told.server == *self.server)
            .map_or(0, |told| told.number);
        let arrivals = Arrivals {
            store: self.store,
            server: self.server,
        };
        let names: Vec<&SegmentName> = sent.iter().map(|(name, _)| *name).collect();
        let told = Announced {
            server: self.server.clone(),
            number: arrivals.tell(last, &names)?,
        };
        crash::point(Point::ArrivalsTold);
        let json = serde_json::to_vec(&told)
            .map_err(io::Error::from)
            .at(&note)?;
        disk::put(disk, &note, &json).at(&note)?;
        let path = self.acks();
        let acks: Vec<Ack> = sent.drain(..).flat_map(|(_, given)| given).collect();
        acks::append(disk, &path, &acks).at(&path)?;
        Ok(names.len() as u64)
    }

    /// Creates the files of a segment, and gives the acknowledgements of those that it consists of.
    fn send(
        &self,
        disk: &dyn Disk,
        name: &SegmentName,
        now: &dyn Fn() -> UtcMs,
    ) -> Result<Vec<Ack>, NotSent> {
        let digests = sealed::check(disk, name, self.spool)?;
        let [of_segment, of_events, of_seal] = &digests;
        let paths = name.paths(self.spool);
        let [segment, events, seal] = segments::keys(name, 0)?;
        let packed = (&segment, of_segment);
        let created = segments::create_packed(disk, self.store, packed, &paths.segment);
        self.stands(&segment, of_segment, created)?;
        let create = |key: &Key, path: &Path, digest: &Digest| {
            let content = Content {
                digest,
                open: &|| Ok(Box::new(disk.open(path)?)),
            };
            self.stands(key, digest, self.store.create(key, &content))
        };
        create(&events, &paths.events, of_events)?;
        // one that is there already serves as well: whoever reads it compares it with the seal
        if let Some(index) = (self.index)(name) {
            let created = create_of(self.store, &segments::index_key(name)?, &index);
            created.map_err(NotSent::Store)?;
            crash::point(Point::ObjectCreated);
        }
        create(&seal, &paths.seal, of_seal)?;
        let ack = |(digest, ending): (Digest, &str)| Ack {
            at: now(),
            file: format!("{name}.{ending}"),
            sha256: digest.sha256,
        };
        Ok(digests.into_iter().zip(ENDINGS).map(ack).collect())
    }

    /// Whether the store has the given content.
    fn stands(
        &self,
        key: &Key,
        ours: &Digest,
        created: Result<Created, StoreError>,
    ) -> Result<(), NotSent> {
        match created.map_err(NotSent::Store)? {
            Created::Stands => {
                crash::point(Point::ObjectCreated);
                Ok(())
            }
            Created::Taken { sha256 } => Err(NotSent::Taken {
                place: self.store.name(),
                key: key.clone(),
                there: sha256,
                ours: ours.sha256,
            }),
        }
    }

    /// Takes acknowledgements out of the list of what has gone here.
    fn forget_acks(&self, disk: &dyn Disk, now: UtcMs) -> Result<(), DeliverError> {
        let sealed = spool::sealed(disk, self.spool, self.server).at(self.spool)?;
        if !sealed.unreadable.is_empty() {
            // what cannot be seen may still be asked for
            return Ok(());
        }
        let here: BTreeSet<SegmentName> = sealed.found.into_iter().collect();
        let path = self.acks();
        let is_here = |name: &SegmentName| here.contains(name);
        acks::forget(disk, &path, self.keep_delivered, now, is_here).at(&path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        place::{decide::Asks, folder::Folder, open::Opener},
        world::{
            disk::RealDisk,
            faulty::{Call, FaultyDisk},
        },
    };

    /// A server with a spool, and a folder that stands for the store.
    struct Site {
        dir: tempfile::TempDir,
        spool: Spool,
        server: ServerId,
    }

    impl Site {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let opener = Opener::of(&RealDisk, dir.path());
            let spool = opener
                .spool(&dir.path().join("spool").into(), Asks::Make)
                .unwrap();
            for name in ["store", "mirror"] {
                RealDisk.make_folder(&dir.path().join(name)).unwrap();
            }
            let server = "2".parse().unwrap();
            Self { dir, spool, server }
        }

        fn with<T>(&self, work: impl FnOnce(&StoreJob<'_>, &Arrivals<'_>) -> T) -> T {
            let (root, mirror) = (
                self.dir.path().join("store"),
                self.dir.path().join("mirror"),
            );
            let store = Folder {
                disk: &RealDisk,
                root: &root,
            };
            let job = StoreJob {
                server: &self.server,
                spool: &self.spool,
                store: &store,
                mirror: &mirror,
                keep_delivered: Duration::ZERO,
                recognize: &|| unreachable!("nobody asks"),
                draw: &PlaceId::draw,
                index: &|_| None,
            };
            let arrivals = Arrivals {
                store: &store,
                server: &self.server,
            };
            work(&job, &arrivals)
        }
    }

    fn ack(name: &SegmentName, at: UtcMs) -> Ack {
        Ack {
            at,
            file: format!("{name}.jsonl"),
            sha256: Sha256::ZEROS,
        }
    }

    /// The note may be gone, of another server, or behind: numbers have no gap, else nobody would look beyond it.
    #[test]
    fn what_has_arrived_is_told_under_the_next_number_whatever_the_note_says() {
        let site = Site::new();
        let names: Vec<SegmentName> = (0..5)
            .map(|n| {
                format!("2_sample_20261123T140{n}Z_3fa9c01b_000")
                    .parse()
                    .unwrap()
            })
            .collect();
        let note = site.dir.path().join("mirror").join(TOLD);
        site.with(|job, arrivals| {
            let told = |server: &str, number| {
                let server = server.parse().unwrap();
                let json = serde_json::to_vec(&Announced { server, number }).unwrap();
                disk::put(&RealDisk, &note, &json).unwrap();
            };
            for (number, name) in (1..).zip(&names) {
                match number {
                    2 => told("1", 77),
                    3 => disk::put(&RealDisk, &note, b"{").unwrap(),
                    4 => told("2", 1),
                    _ => (),
                }
                let mut sent = vec![(name, vec![ack(name, UtcMs(1))])];
                assert_eq!(job.acknowledge(&RealDisk, &mut sent).unwrap(), 1);
                assert!(sent.is_empty());
                assert_eq!(arrivals.last(0).unwrap(), number);
                assert_eq!(
                    arrivals.read(number).unwrap().unwrap(),
                    [name.clone()].into()
                );
                let known: Announced = disk::noted(&RealDisk, &note, TOLD_BYTES_MAX).unwrap();
                assert_eq!((known.server.as_str(), known.number), ("2", number));
            }
            let acks = acks::read(&RealDisk, &job.acks(), |_| true).unwrap();
            assert_eq!(acks.len(), names.len());
        });
    }

    #[test]
    fn acknowledgements_of_what_cannot_be_seen_are_kept() {
        let site = Site::new();
        let name: SegmentName = "2_sample_20261123T1400Z_3fa9c01b_000".parse().unwrap();
        let folder = site.spool.join(name.folder());
        RealDisk.make_folder(&folder).unwrap();
        let faulty = FaultyDisk::default();
        let now = UtcMs(1_795_442_700_000);
        site.with(|job, _| {
            acks::append(&RealDisk, &job.acks(), &[ack(&name, UtcMs(0))]).unwrap();
            let left = || acks::read(&RealDisk, &job.acks(), |_| true).unwrap().len();
            faulty.fail(Call::List, "2026-11-23/14", io::ErrorKind::PermissionDenied);
            job.forget_acks(&faulty, now).unwrap();
            assert_eq!(left(), 1);
            faulty.mend();
            job.forget_acks(&faulty, now).unwrap();
            assert_eq!(left(), 0);
        });
    }
}
