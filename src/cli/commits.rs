//! Commits that a merge left half done: a command that opens the vault's hours finishes them first.

use super::{exit::Failure, setup::Setup, store};
use crate::{
    alarm::AlarmKind,
    place::open::Vault,
    vault::{
        commit::{HourOfVault, half_done},
        ledger::Ledger,
        listings::Listings,
    },
    world::{
        disk::RealDisk,
        lock::{FolderLock, Lock, LockError},
    },
};

/// Finishes what a merge left half done; a copy of a vault in an object store is brought up to date. A merge that is at work
/// does so itself: says whether there is one.
pub(super) fn finish(setup: &Setup, vault: &Vault) -> Result<bool, Failure> {
    let settings = &setup.settings;
    let here = Lock::take(&settings.data_dir, "merge", setup.clock.now());
    let both = here.and_then(|here| Ok((here, FolderLock::take(vault, "merge")?)));
    let _both = match both {
        Ok(both) => both,
        Err(LockError::Taken { .. }) => return Ok(true),
        Err(why) => return Err(Failure::lock(why)),
    };
    if settings.vault_store.is_some() {
        store::follow(setup, vault)?;
        return Ok(false);
    }
    let mut ledger = Ledger::open(&RealDisk, vault)?;
    let now = setup.clock.now();
    let mut listings = Listings::read(&RealDisk, (&settings.data_dir, vault), now);
    for hour in half_done(&mut listings, &ledger)? {
        let of_vault = HourOfVault {
            disk: &RealDisk,
            vault,
            hour,
        };
        if let Err(why) = of_vault.finish(&mut ledger) {
            alarm!(
                AlarmKind::HourNotMerged,
                "",
                "{hour} is half done and cannot be finished: {why}"
            );
        }
    }
    Ok(false)
}
