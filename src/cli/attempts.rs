//! Once a day, a merger deletes from the vault in the store what nobody reads any more.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{exit::Failure, setup::Setup, store::vault_failure};
use crate::{
    alarm::AlarmKind,
    merge::outcome::MergeOutcome,
    period::{DAILY_MS, UtcMs},
    vault::{attempts::Keep, in_store::InStore},
    world::disk::{self, RealDisk},
};

/// When that was done last. The whole vault is listed for it.
#[derive(Serialize, Deserialize)]
struct SweptAt {
    at: UtcMs,
}

const NOTE_BYTES_MAX: u64 = 4096;

fn note(folder: &Path) -> PathBuf {
    folder.join("swept.json")
}

/// Whether a day has passed. A time that is not known, or of the future, was never.
pub(super) fn is_time(folder: &Path, now: UtcMs) -> bool {
    let bytes = disk::read_bounded(&RealDisk, &note(folder), NOTE_BYTES_MAX);
    let known = bytes
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    known.is_none_or(|SweptAt { at }| !(at..at.plus_ms(DAILY_MS)).contains(&now))
}

/// Does it.
pub(super) fn sweep(
    setup: &Setup,
    folder: &Path,
    vault: &InStore<'_>,
    outcome: &mut MergeOutcome,
) -> Result<(), Failure> {
    let at = setup.clock.now();
    let swept = vault
        .sweep(None, keep(setup))
        .map_err(|why| vault_failure(&why))?;
    outcome.swept.attempts += swept.attempts;
    for why in swept.problems {
        alarm!(
            AlarmKind::RawDataKept,
            "",
            "{why}\n  hint: nothing of it was deleted; compare it with another machine's copy"
        );
        outcome.swept.problems.push(why);
    }
    let json = serde_json::to_vec(&SweptAt { at }).map_err(std::io::Error::from)?;
    Ok(disk::put(&RealDisk, &note(folder), &json)?)
}

/// How long what nobody may need stays. Where deletions are honoured any former revision may have what a later one lacks:
/// none stays.
pub(super) fn keep(setup: &Setup) -> Keep {
    let settings = &setup.settings.merge;
    Keep {
        orphans: settings.orphans,
        superseded: (!setup.settings.honours_deletions()).then_some(settings.keep_superseded),
    }
}
