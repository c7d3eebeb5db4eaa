//! One delivery to an object store: segment, events, then the seal, each created once and read back; then
//! acknowledged, and deleted here after its time.
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
        store::{Content, Created, Key, NotAKey, Store, StoreError},
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

    /// Creates the three files of a segment, and gives their acknowledgements.
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
        for (key, path, digest) in [
            (events, &paths.events, of_events),
            (seal, &paths.seal, of_seal),
        ] {
            let content = Content {
                digest,
                open: &|| Ok(Box::new(disk.open(path)?)),
            };
            self.stands(&key, digest, self.store.create(&key, &content))?;
        }
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
