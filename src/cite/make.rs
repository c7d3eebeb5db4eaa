//! Writes the files into the vault's root. The sums of a day are kept under the hashes of its manifests, so remaking
//! the files costs only what is new.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    datacite,
    day::DaySum,
    description::{Archive, ArchiveState, Beside, Description, described, latest, revised},
    files,
};
use crate::{
    config::dataset::Dataset,
    period::{Day, Hour, UnknownZone},
    report::{
        read::{self, ReadError},
        stamped,
        statement::{NoStatement, Statement},
    },
    segment::sha256::Sha256,
    vault::{
        doi::{Minted, Unreadable},
        identity::{Identity, IdentityError},
        layout,
        ledger::{self, LedgerError, LedgerLine},
        public::{Public, RootFile},
        witness::Witness,
    },
    world::{
        disk::{self, Disk},
        error_at::{At as _, ErrorAt},
    },
};

/// A day takes some 500 bytes, an hour's path some 50.
const BYTES_MAX: u64 = 256 << 20;

/// Why the files cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// A file.
    #[error(transparent)]
    Io(#[from] ErrorAt),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What the vault is.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The DOI.
    #[error(transparent)]
    Doi(#[from] Unreadable),
    /// A manifest.
    #[error(transparent)]
    Manifest(#[from] ReadError),
    /// The manifests of a day.
    #[error(transparent)]
    Statement(#[from] NoStatement),
    /// The zone of the vault.
    #[error(transparent)]
    Zone(#[from] UnknownZone),
    /// A manifest that is not the one that was committed: a merge is at work, or something is wrong.
    #[error("the manifest of {0} is not the one that the ledger has")]
    NotCommitted(Hour),
    /// A file that is none of these.
    #[error("{} is not what this program writes about this archive", .0.display())]
    NoDescription(PathBuf),
    /// The archive has another DOI, or one since.
    #[error("{} does not name the archive's DOI: the next report makes it again", .0.display())]
    OtherDoi(PathBuf),
    /// An hour that it describes has a later revision.
    #[error("{} does not name the latest revision of {hour}: the next report makes it again", path.display())]
    Outdated {
        /// The file.
        path: PathBuf,
        /// Which hour.
        hour: Hour,
    },
}

/// The file in the data directory that remembers what is known of the days. It may be deleted.
fn memory_path(data_dir: &Path) -> PathBuf {
    data_dir.join("days.json")
}

/// What is known of a day, as long as its manifests are these.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    /// SHA-256 of its lines in the ledger.
    of: Sha256,
    sum: DaySum,
}

type Memory = BTreeMap<Day, Remembered>;

/// Files and what is in them.
pub type Texts = BTreeMap<RootFile, String>;

/// The files that describe the first lines of a ledger; none if there is no hour.
fn texts(
    (disk, vault, data_dir): (&dyn Disk, &Path, &Path),
    beside: Beside<'_>,
    first: &[LedgerLine],
    whole: &[LedgerLine],
) -> Result<Texts, MakeError> {
    let Some(identity) = Identity::read(disk, vault)? else {
        return Ok(Texts::new());
    };
    let archive = Archive {
        timezone: identity.timezone,
        stream: identity.stream,
    };
    let days = days(disk, vault, data_dir, first)?;
    let state = ArchiveState::of(first, whole);
    let Some(of) = Description::of(beside, &archive, state, first, &days)? else {
        return Ok(Texts::new());
    };
    let each = RootFile::ALL.into_iter();
    Ok(each.map(|file| (file, files::text(file, &of))).collect())
}

/// The files that are in place, as they must be: those of the state that they describe.
pub fn again(disk: &dyn Disk, vault: &Path, data_dir: &Path) -> Result<Texts, MakeError> {
    let path = Public::Root(RootFile::DataCite).path(vault);
    let text = in_place(disk, &path)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let whole = ledger::read(disk, vault)?;
    let described = datacite::read_back(&text).and_then(|says| {
        let (lines, _) = described(&says.version)?;
        Some((whole.get(..usize::try_from(lines).ok()?)?, says))
    });
    let Some((first, says)) = described else {
        return Err(MakeError::NoDescription(path));
    };
    let doi = Minted::doi(disk, vault)?;
    if says.doi != doi {
        return Err(MakeError::OtherDoi(path));
    }
    if let Some(newer) = revised(first, &whole) {
        let hour = newer.hour;
        return Err(MakeError::Outdated { path, hour });
    }
    let page = in_place(disk, &Public::Root(RootFile::Page).path(vault))?.unwrap_or_default();
    let told = stamped::told(&String::from_utf8_lossy(&page));
    let stamp = told.and_then(|told| {
        let witness = Witness::open(disk, vault, None).ok()?;
        stamped::held(disk, &witness, &told)
    });
    let beside = Beside {
        dataset: &says.dataset,
        doi: doi.as_ref(),
        stamp: stamp.as_ref(),
    };
    texts((disk, vault, data_dir), beside, first, &whole)
}

/// Makes the files, and puts those in place that are others.
pub fn make(
    disk: &dyn Disk,
    vault: &Path,
    data_dir: &Path,
    dataset: &Dataset,
) -> Result<(), MakeError> {
    let lines = ledger::read(disk, vault)?;
    let witness = Witness::open(disk, vault, None).at(vault)?;
    let (doi, stamp) = (
        Minted::doi(disk, vault)?,
        witness.up_to(disk, lines.len() as u64),
    );
    let beside = Beside {
        dataset,
        doi: doi.as_ref(),
        stamp: stamp.as_ref(),
    };
    for (file, text) in texts((disk, vault, data_dir), beside, &lines, &lines)? {
        let path = Public::Root(file).path(vault);
        if in_place(disk, &path)?.as_deref() != Some(text.as_bytes()) {
            disk::put(disk, &path, text.as_bytes()).at(&path)?;
        }
    }
    Ok(())
}

/// Whether all are in place, and have what is configured, and the archive's DOI.
pub fn has(disk: &dyn Disk, vault: &Path, dataset: &Dataset) -> Result<bool, MakeError> {
    let doi = Minted::doi(disk, vault)?;
    for file in RootFile::ALL {
        let path = Public::Root(file).path(vault);
        let Some(bytes) = in_place(disk, &path)? else {
            return Ok(false);
        };
        if file == RootFile::DataCite {
            let says = datacite::read_back(&String::from_utf8_lossy(&bytes));
            if says.is_none_or(|says| says.dataset != *dataset || says.doi != doi) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The file that is there, if any.
pub fn in_place(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>, ErrorAt> {
    let read = || match disk.len(path)? {
        Some(_) => disk::read_bounded(disk, path, BYTES_MAX).map(Some),
        None => Ok(None),
    };
    read().at(path)
}

/// The sums of all days. Only those are read of which something is new.
fn days(
    disk: &dyn Disk,
    vault: &Path,
    data_dir: &Path,
    lines: &[LedgerLine],
) -> Result<BTreeMap<Day, DaySum>, MakeError> {
    let path = memory_path(data_dir);
    // an unreadable file is made again
    let memory = in_place(disk, &path)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let mut memory: Memory = memory.unwrap_or_default();
    let latest = latest(lines);
    let mut is_new = false;
    let mut days: BTreeMap<Day, DaySum> = BTreeMap::new();
    for day in latest
        .keys()
        .map(|hour| hour.day())
        .collect::<BTreeSet<_>>()
    {
        let of_day = latest.range(hours(day)).map(|(_, line)| *line);
        let of_day: Vec<&LedgerLine> = of_day.collect();
        let of = mark(&of_day);
        if memory.get(&day).is_none_or(|known| known.of != of) {
            let sum = sum(disk, &layout::day_folder(vault, day), day, &of_day)?;
            memory.insert(day, Remembered { of, sum });
            is_new = true;
        }
        if let Some(known) = memory.get(&day) {
            days.insert(day, known.sum.clone());
        }
    }
    if is_new {
        memory.retain(|day, _| days.contains_key(day));
        let json = serde_json::to_vec(&memory)
            .map_err(io::Error::from)
            .at(&path)?;
        if let Err(why) = disk::put(disk, &path, &json) {
            tracing::warn!(
                "{}: {why}: the days are read again next time",
                path.display()
            );
        }
    }
    Ok(days)
}

/// The hours of a day.
pub(super) fn hours(day: Day) -> std::ops::RangeInclusive<Hour> {
    let of_day = |hour: i64| Hour(day.0 * 24 + hour);
    of_day(0)..=of_day(23)
}

fn mark(lines: &[&LedgerLine]) -> Sha256 {
    let text = lines.iter().flat_map(|line| {
        [
            line.hour.to_string(),
            line.revision.to_string(),
            line.manifest_sha256.to_string(),
        ]
    });
    let text = text.collect::<Vec<String>>().join(" ");
    Sha256::of(text.as_bytes())
}

/// The sums of the hours of a day that those lines speak of.
fn sum(
    disk: &dyn Disk,
    folder: &Path,
    day: Day,
    lines: &[&LedgerLine],
) -> Result<DaySum, MakeError> {
    let mut said = read::day(disk, folder, day)?;
    said.retain(|hour| lines.iter().any(|line| line.hour == hour));
    let is_it = |line: &&&LedgerLine| {
        let last = said.revisions_of(line.hour).next_back();
        last.is_some_and(|last| last.of.manifest_sha256 == line.manifest_sha256)
    };
    if let Some(other) = lines.iter().find(|line| !is_it(line)) {
        return Err(MakeError::NotCommitted(other.hour));
    }
    Ok(DaySum::of(&Statement::of(day, said)?))
}
