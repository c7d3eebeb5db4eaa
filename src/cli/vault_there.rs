//! A vault in an object store, for a command that only asks what is committed: it needs no copy here.

use std::{collections::BTreeMap, io, path::PathBuf};

use super::{
    exit::Failure,
    setup::{self, Setup},
    store,
};
use crate::{
    monitor::gather::Elsewhere,
    period::Hour,
    place::{
        decide::{self, Asks, Found, Verdict},
        memory::Memory,
        open::{self, NotHere, OfVault, PlaceKind as _},
        s3::{address::Address, store::S3},
        store::Store as _,
    },
    vault::{identity::Identity, in_store, manifests::Manifests},
    world::disk::RealDisk,
};

/// The vault there.
pub(super) struct VaultThere {
    store: S3,
    /// Its copy here, if there is one.
    copy: Option<PathBuf>,
}

impl VaultThere {
    /// Looks which vault is there; `None`: none yet.
    pub(super) fn open(setup: &Setup, address: &Address) -> Result<Option<Self>, Failure> {
        let settings = &setup.settings;
        let store = store::open(setup, address)?;
        let mark = in_store::identity(&store).map_err(|why| store::told(&why))?;
        let id = mark.and_then(|mark| Identity::id_of(&mark));
        let memory = Memory::read(&RealDisk, &settings.data_dir)?;
        let known = memory.id(OfVault::KEY);
        let found = id.clone().map_or(Found::Empty, Found::Id);
        let (word, path) = (OfVault::WORD, store.name().into());
        let not_here = match decide::decide(known, &found, Asks::Look, setup.adopt) {
            Verdict::Other(is) => known.cloned().map(|was| NotHere::Other {
                word,
                path,
                is,
                was,
            }),
            Verdict::Away => {
                let found = format!("it has no {}", OfVault::MARK);
                Some(NotHere::Away { word, path, found })
            }
            _ => None,
        };
        if let Some(why) = not_here {
            return Err(setup::told(&why));
        }
        let folder = settings.vault_dir.name();
        let is_copy = |id| open::look::<OfVault>(&RealDisk, folder) == Found::Id(id);
        Ok(id.map(|id| Self {
            copy: is_copy(id).then(|| folder.to_owned()),
            store,
        }))
    }

    /// What is committed there.
    pub(super) fn manifests(&self) -> Manifests<'_> {
        Manifests {
            store: &self.store,
            disk: &RealDisk,
            copy: self.copy.as_deref(),
        }
    }
}

impl Elsewhere for VaultThere {
    fn revisions(&self) -> io::Result<BTreeMap<Hour, u64>> {
        self.manifests()
            .latest(None, None)
            .map_err(io::Error::other)
    }

    fn manifest(&self, hour: Hour, revision: u64) -> io::Result<Vec<u8>> {
        self.manifests()
            .bytes(hour, revision)
            .map_err(io::Error::other)
    }
}
