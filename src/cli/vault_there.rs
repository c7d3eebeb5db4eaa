//! A vault in an object store, for a command that only asks what is committed: it needs no copy here.

use std::{collections::BTreeMap, io, path::PathBuf};

use super::{exit::Failure, setup::Setup, store};
use crate::{
    monitor::gather::RemoteVault,
    period::Hour,
    place::{
        decide::{Asks, Found},
        open::{self, OfVault},
        s3::address::Address,
        store::Store,
    },
    vault::manifests::Manifests,
    world::disk::RealDisk,
};

/// The vault there.
pub(super) struct VaultThere {
    store: Box<dyn Store + Send + Sync>,
    /// Its copy here, if there is one.
    copy: Option<PathBuf>,
}

impl VaultThere {
    /// Looks which vault is there; `None`: none yet.
    pub(super) fn open(setup: &Setup, address: &Address) -> Result<Option<Self>, Failure> {
        let store = store::open(setup, address)?;
        let id = store::vault_id(setup, &store, Asks::Look)?;
        let folder = setup.settings.vault_dir.name();
        let is_copy = |id| open::look::<OfVault>(&RealDisk, folder) == Found::Id(id);
        Ok(id.map(|id| Self {
            copy: is_copy(id).then(|| folder.to_owned()),
            store: Box::new(store),
        }))
    }

    /// What is committed there.
    pub(super) fn manifests(&self) -> Manifests<'_> {
        Manifests {
            store: &*self.store,
            disk: &RealDisk,
            copy: self.copy.as_deref(),
        }
    }
}

impl RemoteVault for VaultThere {
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
