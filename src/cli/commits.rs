//! Commits that a merge left half done: whoever opens the vault's hours finishes them first.

use super::{exit::Failure, setup::Setup};
use crate::{
    alarm::Kind,
    place::door::Vault,
    vault::{
        commit::{HourOfVault, half_done},
        ledger::Ledger,
    },
    world::{
        disk::RealDisk,
        lock::{Lock, LockError},
    },
};

/// Finishes what a merge left half done. One that is at work does so itself: says whether there is one.
pub(super) fn finish(setup: &Setup, vault: &Vault) -> Result<bool, Failure> {
    let settings = &setup.settings;
    let _lock = match Lock::take(&settings.data_dir, "merge", setup.clock.now()) {
        Ok(lock) => lock,
        Err(LockError::Taken { .. }) => return Ok(true),
        Err(why) => return Err(Failure::lock(why)),
    };
    let mut ledger = Ledger::open(&RealDisk, vault)?;
    for hour in half_done(&RealDisk, vault, &ledger)? {
        let of_vault = HourOfVault {
            disk: &RealDisk,
            vault,
            hour,
        };
        if let Err(why) = of_vault.finish(&mut ledger) {
            alarm!(
                Kind::HourNotMerged,
                "",
                "{hour} is half done and cannot be finished: {why}"
            );
        }
    }
    Ok(false)
}
