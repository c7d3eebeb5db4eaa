//! Whether the manifests are those that were committed: the ledger, and the manifests of earlier
//! revisions.
//!
//! A contradiction to the ledger is wrong. A line that a copy's ledger lacks makes the result incomplete: a ledger is
//! published after what it vouches for, so a copy of it may be older, and that looks the same as a ledger that
//! somebody has cut.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{
    hour::HourFound,
    problem::{Problems, Severity, some},
    survey::{HourPlace, Root},
};
use crate::{
    period::{Day, Hour},
    segment::sha256::Sha256,
    vault::{
        ledger::{self, LedgerLine},
        manifest::{MANIFEST_BYTES_MAX, Manifest},
    },
    world::disk::{self, Disk},
};

/// An hour of which the ledger lacks the last lines, and how many.
#[derive(Debug)]
pub struct Behind {
    hour: Hour,
    ledger: PathBuf,
    lacks: u64,
    is_copy: bool,
}

/// The manifests of an hour's earlier revisions, their chain, and what the ledger says of all of them.
pub fn check_revisions(
    disk: &dyn Disk,
    place: &HourPlace,
    hour: &HourFound,
    root: Option<&Root>,
    behind: &mut Vec<Behind>,
    problems: &mut Problems,
) {
    let mut hashes: Vec<Option<Sha256>> = Vec::new();
    let mut previous: Option<Sha256> = None;
    let revisions = place.folder.join("revisions");
    for revision in 1..hour.revision {
        let path = revisions.join(format!("{}_r{revision}_manifest.json", place.hour));
        let bytes = match disk.len(&path) {
            Ok(Some(_)) => disk::read_bounded(disk, &path, MANIFEST_BYTES_MAX),
            Ok(None) if !place.is_strict => {
                hashes.push(None);
                previous = None;
                continue;
            }
            Ok(None) => Err(std::io::Error::other("it is missing")),
            Err(why) => Err(why),
        };
        match bytes {
            Ok(bytes) => {
                check_former(&path, &bytes, place.hour, revision, previous, problems);
                hashes.push(Some(Sha256::of(&bytes)));
            }
            Err(why) => {
                problems.wrong(&path, why.to_string());
                hashes.push(None);
            }
        }
        previous = hashes.last().copied().flatten();
    }
    let path = place.folder.join(format!("{}_manifest.json", place.hour));
    if let (Some(says), Some(is)) = (hour.previous_manifest, previous)
        && says != is
    {
        problems.wrong(&path, "the manifest before it is not the one that it names");
    }
    hashes.push(hour.manifest_sha256);
    let Some(ledger) = root.and_then(|root| root.ledger.as_ref().map(|ledger| (root, ledger)))
    else {
        return;
    };
    if 0 < hour.revision {
        check_ledger(place, &hashes, ledger, behind, problems);
    }
}

fn check_former(
    path: &Path,
    bytes: &[u8],
    hour: Hour,
    revision: u64,
    previous: Option<Sha256>,
    problems: &mut Problems,
) {
    match Manifest::from_json(bytes) {
        Ok(manifest) => {
            problems.same(path, "the hour", manifest.hour, hour);
            problems.same(path, "the revision", manifest.history.revision, revision);
            if let (Some(says), Some(is)) = (manifest.history.previous_manifest, previous)
                && says != is
            {
                problems.wrong(path, "the manifest before it is not the one that it names");
            }
        }
        Err(why) => problems.wrong(path, why.to_string()),
    }
}

fn check_ledger(
    place: &HourPlace,
    hashes: &[Option<Sha256>],
    (root, ledger): (&Root, &BTreeMap<Hour, Vec<LedgerLine>>),
    behind: &mut Vec<Behind>,
    problems: &mut Problems,
) {
    let ledger_path = ledger::path(&root.path);
    let day = Some(place.hour.day());
    let lines = ledger.get(&place.hour).map_or(&[][..], Vec::as_slice);
    for (hash, line) in hashes.iter().zip(lines) {
        if hash.is_some_and(|hash| hash != line.manifest_sha256) {
            let what = format!(
                "revision {} of {}: its manifest is not the one that was committed",
                line.revision, place.hour
            );
            problems.add_of(Severity::Wrong, &ledger_path, day, what);
        }
    }
    if hashes.len() < lines.len() {
        let what = format!(
            "the ledger has {} revisions of {}, the folder {}",
            lines.len(),
            place.hour,
            hashes.len()
        );
        problems.add_of(Severity::Wrong, &place.folder, day, what);
    } else if lines.len() < hashes.len() {
        behind.push(Behind {
            hour: place.hour,
            ledger: ledger_path,
            lacks: (hashes.len() - lines.len()) as u64,
            is_copy: !place.is_strict,
        });
    }
}

/// Says what ledgers lack. In a vault one merge at a time commits one revision at a time, so only one
/// line can be waiting for its merge: its hour is unfinished.
pub fn tell_behind(behind: &[Behind], unfinished: &mut BTreeSet<Hour>, problems: &mut Problems) {
    let (copies, vaults): (Vec<&Behind>, Vec<&Behind>) = behind.iter().partition(|b| b.is_copy);
    let is_one = matches!(vaults[..], [one] if one.lacks == 1);
    for Behind {
        hour,
        ledger,
        lacks,
        ..
    } in vaults
    {
        let day = Some(hour.day());
        if is_one {
            unfinished.insert(*hour);
            let what = format!(
                "the line of the last revision of {hour} is missing: the next merge appends it"
            );
            problems.add_of(Severity::Unfinished, ledger, day, what);
        } else {
            let what = format!("{lacks} lines of {hour} are missing");
            problems.add_of(Severity::Wrong, ledger, day, what);
        }
    }
    let mut by_day: BTreeMap<(&Path, Day), Vec<String>> = BTreeMap::new();
    for behind in copies {
        let of_day = by_day.entry((&behind.ledger, behind.hour.day()));
        of_day.or_default().push(behind.hour.to_string());
    }
    for ((ledger, day), hours) in by_day {
        let what = format!(
            "it does not have the last revision of {}: either this ledger is older than the manifests, or somebody removed \
             lines; until the ledger is fetched again, nothing shows that these were committed",
            some(&hours)
        );
        problems.add_of(Severity::Incomplete, ledger, Some(day), what);
    }
}

/// What is said of a copy without a ledger.
const NO_LEDGER: &str = "it is missing: nothing shows that the manifests are those that were committed. A changed manifest, \
     with all that follows from it, would not be found. The ledger is in the root of the archive: put it beside the day's \
     files or above them";

/// Says where a ledger is missing; `hours` have the number of their root.
pub fn check_there(
    roots: &[Root],
    hours: &[(HourPlace, Option<usize>)],
    days: &BTreeMap<(PathBuf, Day), Option<usize>>,
    problems: &mut Problems,
) {
    let of_hours = hours
        .iter()
        .map(|(place, root)| (&place.folder, place.is_strict, *root));
    let of_days = days
        .iter()
        .map(|((folder, _), root)| (folder, false, *root));
    let mut without: BTreeMap<PathBuf, bool> = BTreeMap::new();
    for (folder, is_strict, root) in of_hours.chain(of_days) {
        let root = root.and_then(|number| roots.get(number));
        if root.is_some_and(|root| root.has_ledger) {
            continue;
        }
        let of_vault = root.is_some_and(|root| is_strict || root.identity.is_some());
        let of = root.map_or(folder, |root| &root.path);
        *without.entry(ledger::path(of)).or_default() |= of_vault;
    }
    for (path, is_vault) in without {
        if is_vault {
            problems.wrong(&path, "the ledger is missing");
        } else {
            problems.incomplete(&path, NO_LEDGER);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found of an hour whose manifests have these hashes, where the ledger has lines with those.
    fn found(manifests: &[u8], lines: &[u8]) -> (Vec<String>, Vec<u64>) {
        let hour: Hour = "2026-11-23_14".parse().unwrap();
        let hash = |of: &u8| Sha256::of(&[*of]);
        let line = |(of, revision): (&u8, u64)| LedgerLine {
            hour,
            revision,
            manifest_sha256: hash(of),
            previous: hash(&0),
        };
        let lines: Vec<LedgerLine> = lines.iter().zip(1..).map(line).collect();
        let place = HourPlace {
            folder: PathBuf::from("vault/2026-11-23"),
            hour,
            is_strict: true,
            is_half_done: false,
        };
        let hashes: Vec<Option<Sha256>> = manifests.iter().map(|of| Some(hash(of))).collect();
        let (mut behind, mut problems) = (Vec::new(), Problems::default());
        check_ledger(
            &place,
            &hashes,
            (&Root::default(), &[(hour, lines)].into()),
            &mut behind,
            &mut problems,
        );
        let told = problems.0.into_iter().map(|problem| problem.what);
        (told.collect(), behind.iter().map(|of| of.lacks).collect())
    }

    #[test]
    fn an_hour_has_the_revisions_of_the_ledger_no_fewer_and_no_others() {
        assert_eq!(found(&[1, 2], &[1, 2]), (vec![], vec![]));
        let (told, behind) = found(&[1], &[1, 2]);
        assert_eq!(
            told,
            ["the ledger has 2 revisions of 2026-11-23_14, the folder 1"]
        );
        assert!(behind.is_empty());
        let (told, _) = found(&[1, 3], &[1, 2]);
        assert_eq!(
            told,
            ["revision 2 of 2026-11-23_14: its manifest is not the one that was committed"]
        );
        // a copy of a ledger may be older than what it vouches for
        assert_eq!(found(&[1, 2, 3], &[1]), (vec![], vec![2]));
    }
}
