//! What to do: what should be public and what is, in; an order of work, out.
//!
//! No files, no network, no clock: only lists.

use std::collections::BTreeMap;

use serde::Serialize;

use super::answer::RemoteEntry;
use crate::{
    period::{Hour, UtcMs},
    segment::sha256::Sha256,
    vault::{
        layout::FileKind,
        ledger::LedgerLine,
        manifest::HourSaid,
        public::{DayFile, Public, PublicFolder, RootFile},
    },
};

/// All versions of a file count against a project's storage. A ledger that is larger than this is uploaded at most
/// once a day: 24 versions a day of some megabytes would soon take most of the storage.
const SMALL_LEDGER_BYTES: u64 = 256 << 10;
const DAY_MS: i64 = 24 * 3_600_000;

/// A file that should be public, as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Which.
    pub what: Public,
    /// Its bytes.
    pub bytes: u64,
    /// SHA-256 of them.
    pub sha256: Sha256,
    /// The revision of its hour.
    pub revision: Option<u64>,
    /// Post ids in it that were not public before.
    pub new_ids: u64,
}

/// What is to be done about a wanted file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// It is there; whether it reads back is still to be seen.
    Confirm(RemoteEntry),
    /// A file of that name is there with other bytes.
    Replace(RemoteEntry),
    /// There is none.
    Create,
    /// It can wait until the public one is a day old.
    Later,
}

/// How a wanted file stands against what a folder holds.
pub fn task(wanted: &Wanted, listing: &[RemoteEntry], now: UtcMs) -> Task {
    let name = wanted.what.name();
    let mut same_name = listing.iter().filter(|e| !e.is_folder && e.name == name);
    let Some(first) = same_name.clone().next() else {
        return Task::Create;
    };
    if let Some(same) = same_name.find(|entry| is_same(wanted, entry)) {
        return Task::Confirm(same.clone());
    }
    let is_young = |at: UtcMs| now.0 - at.0 < DAY_MS;
    if wanted.what == Public::Ledger
        && SMALL_LEDGER_BYTES < wanted.bytes
        && first.modified.is_some_and(is_young)
    {
        return Task::Later;
    }
    Task::Replace(first.clone())
}

/// Whether a remote file has the bytes that are wanted.
pub fn is_same(wanted: &Wanted, entry: &RemoteEntry) -> bool {
    entry.size == Some(wanted.bytes) && entry.sha256 == Some(wanted.sha256)
}

/// The wanted files in the order in which they go out: day by day, in each an hour's data before its
/// manifest, the day's files after its hours; then the stamps; those about all of them, and the ledger last.
pub fn order(mut wanted: Vec<Wanted>) -> Vec<(PublicFolder, Vec<Wanted>)> {
    let rank = |what: Public| {
        let within = match what {
            Public::Ids(hour) => (0, hour.0, 0),
            Public::Manifest(hour) => (0, hour.0, 1),
            Public::Day(_, file) => (
                1,
                0,
                DayFile::ALL.iter().position(|f| *f == file).unwrap_or(0),
            ),
            Public::Authority(_) => (2, 0, 0),
            Public::Stamp(name) => (3, name.second, 0),
            Public::Root(file) => (
                4,
                0,
                RootFile::ALL.iter().position(|f| *f == file).unwrap_or(0),
            ),
            Public::Ledger => (5, 0, 0),
        };
        (what.place(), within)
    };
    wanted.sort_by_key(|wanted| rank(wanted.what));
    let mut places: Vec<(PublicFolder, Vec<Wanted>)> = Vec::new();
    for one in wanted {
        match places.last_mut() {
            Some((place, list)) if *place == one.what.place() => list.push(one),
            _ => places.push((one.what.place(), vec![one])),
        }
    }
    places
}

/// What a manifest says about its hour's ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdsOfHour {
    /// How many there are.
    pub there: u64,
    /// How many were taken out so far.
    pub gone: u64,
    /// How many are held back: they may come back.
    pub held: u64,
}

impl IdsOfHour {
    /// As it is said.
    pub fn of(said: &HourSaid) -> Self {
        let taken_out = said.redactions.values().chain(said.deletions.values());
        Self {
            there: said.counts.total.posts,
            gone: taken_out.sum::<u64>().saturating_sub(said.held_back()),
            held: said.held_back(),
        }
    }

    /// How many came in with the next revision, at most: as many as it took out or holds back may have come, and of
    /// what was deleted it does not say how much had an id here.
    fn new_in(self, next: Self) -> u64 {
        let after = next.there + next.gone + next.held.max(self.held);
        let before = self.there + self.gone + self.held;
        after.saturating_sub(before).min(next.there)
    }
}

/// Ids of an hour's revision that were not public before: what came in with each revision since the
/// one whose ids are public. `ids` has them by revision; where one is missing, all
/// ids of the newest count, since the count must not be too low.
pub fn new_ids(ids: &BTreeMap<u64, IdsOfHour>, public: Option<u64>, revision: u64) -> u64 {
    let all = ids.get(&revision).map_or(0, |ids| ids.there);
    let Some(public) = public.filter(|public| *public <= revision) else {
        return all;
    };
    let steps = (public..revision).map(|before| {
        let (before, after) = (ids.get(&before)?, ids.get(&(before + 1))?);
        Some(before.new_in(*after))
    });
    steps.sum::<Option<u64>>().unwrap_or(all)
}

/// Whether so many further ids may become public.
pub fn fits(in_30_days: u64, new_ids: u64, cap: u64) -> bool {
    new_ids == 0 || in_30_days.saturating_add(new_ids) <= cap
}

/// What the comparison of all that is public with the vault has found.
#[derive(Debug, Default, Serialize, PartialEq, Eq)]
pub struct Compared {
    /// Files that are public as they should be.
    pub good: u64,
    /// Files of the vault that are not public.
    pub missing: Vec<String>,
    /// Files that are public with other bytes than the vault's.
    pub differs: Vec<String>,
    /// Files that are public and should not be.
    pub foreign: Vec<String>,
    /// The ledger is public up to a former revision; the next run puts it right.
    pub ledger_behind: bool,
}

/// A public folder: its path, empty for the root and with a `/` at its end otherwise, and its content.
pub type Listed = (String, Vec<RemoteEntry>);

/// Compares. Of the root only what is wanted is ours, and what must never be public; other files and
/// folders there are the project's own. `is_former_ledger` says whether a file is what the ledger was
/// once.
pub fn compare(
    wanted: &[Wanted],
    listed: &[Listed],
    is_former_ledger: &dyn Fn(&RemoteEntry) -> bool,
) -> Compared {
    let mut public: BTreeMap<String, Vec<&RemoteEntry>> = BTreeMap::new();
    for (path, entries) in listed {
        for entry in entries.iter().filter(|entry| !entry.is_folder) {
            let path = format!("{path}{}", entry.name);
            public.entry(path).or_default().push(entry);
        }
    }
    let mut compared = Compared::default();
    for one in wanted {
        let path = one.what.published_path();
        let found = public.remove(&path).unwrap_or_default();
        let is_former =
            |entry: &&RemoteEntry| one.what == Public::Ledger && is_former_ledger(entry);
        if found.is_empty() {
            compared.missing.push(path);
        } else if found.iter().any(|entry| is_same(one, entry)) {
            compared.good += 1;
        } else if found.iter().any(is_former) {
            compared.ledger_behind = true;
        } else {
            compared.differs.push(path);
        }
    }
    let others = public.into_keys();
    compared.foreign = others
        .filter(|path| path.contains('/') || is_private(path))
        .collect();
    compared
}

/// A name of a vault's or spool's file that may not be public.
fn is_private(name: &str) -> bool {
    let is_data = FileKind::of_name(name).is_some_and(|(_, kind)| kind != FileKind::Ids);
    let is_raw = name.contains(".jsonl") && Public::of_name(name).is_none();
    is_data || is_raw || name.ends_with("_posts.parquet")
}

/// Takes a further line of the ledger in: `due` has the latest revision of each hour whose latest one is new. The lines of an hour
/// come in the order of its revisions.
pub fn take_line(due: &mut BTreeMap<Hour, (u64, Sha256)>, line: &LedgerLine, is_new: bool) {
    let later = |(revision, _): &(u64, Sha256)| line.revision <= *revision;
    if due.get(&line.hour).is_some_and(later) {
        return;
    }
    if is_new {
        due.insert(line.hour, (line.revision, line.manifest_sha256));
    } else {
        due.remove(&line.hour);
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    fn wanted(what: Public, bytes: u64, sha256: &str) -> Wanted {
        Wanted {
            what,
            bytes,
            sha256: Sha256::of(sha256.as_bytes()),
            revision: None,
            new_ids: 0,
        }
    }

    fn entry(name: &str, size: u64, sha256: &str) -> RemoteEntry {
        RemoteEntry {
            name: name.to_owned(),
            is_folder: false,
            provider: "osfstorage".to_owned(),
            size: Some(size),
            sha256: Some(Sha256::of(sha256.as_bytes())),
            version: 1,
            modified: Some(UtcMs(0)),
            place: None,
            children: None,
        }
    }

    fn hour(text: &str) -> Hour {
        text.parse().unwrap()
    }

    #[test]
    fn data_goes_before_its_manifest_and_the_ledger_last() {
        let (one, two, next) = (
            hour("2026-11-23_01"),
            hour("2026-11-23_02"),
            hour("2026-11-24_00"),
        );
        let mixed = [
            Public::Ledger,
            Public::Root(RootFile::Page),
            Public::Root(RootFile::DataCite),
            Public::Manifest(next),
            Public::Day(one.day(), DayFile::Report),
            Public::Ids(next),
            Public::Manifest(two),
            Public::Manifest(one),
            Public::Ids(two),
            Public::Ids(one),
        ];
        let days = order(mixed.iter().map(|what| wanted(*what, 1, "a")).collect());
        let names: Vec<Vec<String>> = days
            .iter()
            .map(|(_, list)| list.iter().map(|one| one.what.name()).collect())
            .collect();
        assert_eq!(
            names,
            [
                vec![
                    "2026-11-23_01_IDs.txt.xz",
                    "2026-11-23_01_manifest.json",
                    "2026-11-23_02_IDs.txt.xz",
                    "2026-11-23_02_manifest.json",
                    "2026-11-23_report.txt",
                ],
                vec!["2026-11-24_00_IDs.txt.xz", "2026-11-24_00_manifest.json"],
                vec!["datacite.json", "DATASET.md", "ledger.jsonl"],
            ]
        );
    }

    #[test]
    fn an_hour_is_due_if_its_latest_revision_is_new() {
        let (public, new) = (false, true);
        for (lines, expected) in [
            (vec![(1, public)], None),
            (vec![(1, new)], Some(1)),
            (vec![(1, public), (2, new)], Some(2)),
            (vec![(1, new), (2, public)], None),
            (vec![(1, new), (2, public), (3, new)], Some(3)),
            // one that was put back to a former state, and published then
            (vec![(1, new), (2, new), (1, public)], Some(2)),
        ] {
            let mut due = BTreeMap::new();
            for (revision, is_new) in &lines {
                let line = LedgerLine {
                    hour: hour("2026-11-23_01"),
                    revision: *revision,
                    manifest_sha256: Sha256::ZEROS,
                    previous: Sha256::ZEROS,
                };
                take_line(&mut due, &line, *is_new);
            }
            let found = due.values().map(|(revision, _)| *revision).next();
            assert_eq!(found, expected, "{lines:?}");
        }
    }

    #[test]
    fn a_task_follows_from_name_size_and_hash() {
        let what = Public::Ids(hour("2026-11-23_01"));
        let name = what.name();
        let one = wanted(what, 5, "ab");
        let now = UtcMs(DAY_MS);
        let mut folder = entry(&name, 5, "ab");
        folder.is_folder = true;
        let longer = entry(&format!("x{name}"), 5, "ab");
        assert_eq!(task(&one, &[folder, longer], now), Task::Create);
        let (same, other) = (entry(&name, 5, "ab"), entry(&name, 5, "cd"));
        assert_eq!(
            task(&one, from_ref(&same), now),
            Task::Confirm(same.clone())
        );
        assert_eq!(
            task(&one, from_ref(&other), now),
            Task::Replace(other.clone())
        );
        assert_eq!(task(&one, &[other, same.clone()], now), Task::Confirm(same));
        let short = entry(&name, 4, "ab");
        assert_eq!(task(&one, from_ref(&short), now), Task::Replace(short));
        let ledger = wanted(Public::Ledger, 1 << 20, "new");
        let public = entry("ledger.jsonl", 9, "old");
        assert_eq!(
            task(&ledger, from_ref(&public), UtcMs(DAY_MS - 1)),
            Task::Later
        );
        assert_eq!(
            task(&ledger, from_ref(&public), now),
            Task::Replace(public.clone())
        );
        let small = wanted(Public::Ledger, 1_000, "new");
        assert_eq!(
            task(&small, from_ref(&public), UtcMs(1)),
            Task::Replace(public)
        );
    }

    #[test]
    fn a_revision_counts_the_ids_that_came_in() {
        let of = |there, gone| IdsOfHour {
            there,
            gone,
            held: 0,
        };
        let ids = [of(100, 0), of(110, 0), of(105, 5), of(125, 5), of(115, 25)];
        let ids: BTreeMap<u64, IdsOfHour> = (1..).zip(ids).collect();
        assert_eq!(new_ids(&ids, None, 4), 125);
        assert_eq!(new_ids(&ids, Some(1), 2), 10);
        assert_eq!(
            new_ids(&ids, Some(1), 4),
            30,
            "what was taken out was public once"
        );
        assert_eq!(new_ids(&ids, Some(4), 4), 0);
        assert_eq!(
            new_ids(&ids, Some(4), 5),
            10,
            "they came in while twenty were taken out"
        );
        let holding = |there, held| IdsOfHour {
            held,
            ..of(there, 0)
        };
        for (before, after, new) in [
            (of(100, 0), holding(95, 5), 0),
            (of(100, 0), holding(100, 5), 5),
            (holding(95, 5), of(100, 0), 5),
            // thousands of records without an id were deleted
            (of(100, 0), of(100, 5_000), 100),
        ] {
            let ids = BTreeMap::from([(1, before), (2, after)]);
            assert_eq!(new_ids(&ids, Some(1), 2), new, "{before:?} {after:?}");
        }
        let holed = BTreeMap::from([(1, of(100, 0)), (3, of(105, 0))]);
        assert_eq!(
            new_ids(&holed, Some(1), 3),
            105,
            "rather too many than too few"
        );
        assert!(fits(90, 10, 100) && !fits(90, 11, 100) && fits(200, 0, 100));
    }

    #[test]
    fn what_is_public_is_compared_with_what_should_be() {
        let (one, two) = (hour("2026-11-23_01"), hour("2026-11-23_02"));
        let all = [
            wanted(Public::Ids(one), 5, "ab"),
            wanted(Public::Manifest(one), 6, "cd"),
            wanted(Public::Ids(two), 7, "ef"),
            wanted(Public::Ledger, 8, "new"),
        ];
        let listed = [
            (
                String::new(),
                vec![
                    entry("ledger.jsonl", 4, "old"),
                    entry("notes.md", 1, "x"),
                    entry("2026-11-23_01_users.csv.xz", 1, "x"),
                ],
            ),
            (
                "2026/11/23/".to_owned(),
                vec![
                    entry("2026-11-23_01_IDs.txt.xz", 5, "ab"),
                    entry("2026-11-23_01_manifest.json", 6, "other"),
                    entry("2026-11-23_01_tweets.csv.xz", 9, "y"),
                    entry("2026-11-23_03_IDs.txt.xz", 9, "z"),
                ],
            ),
        ];
        let compared = compare(&all, &listed, &|entry| {
            entry.sha256 == Some(Sha256::of(b"old"))
        });
        assert_eq!((compared.good, compared.ledger_behind), (1, true));
        assert_eq!(compared.missing, ["2026/11/23/2026-11-23_02_IDs.txt.xz"]);
        assert_eq!(compared.differs, ["2026/11/23/2026-11-23_01_manifest.json"]);
        assert_eq!(
            compared.foreign,
            [
                "2026-11-23_01_users.csv.xz",
                "2026/11/23/2026-11-23_01_tweets.csv.xz",
                "2026/11/23/2026-11-23_03_IDs.txt.xz",
            ]
        );
    }

    #[test]
    fn what_a_vault_or_spool_has_is_private_but_for_what_is_published() {
        for private in [
            "1_sample_20261123T1405Z_3fa9c01b_000.jsonl",
            "1_sample_20261123T1405Z_3fa9c01b_000.jsonl.zst",
            "1_sample_20261123T1405Z_3fa9c01b_000.events.jsonl",
            "2026-11-23_14_rejected.jsonl.xz",
            "2026-11-23_14_tweets.csv.xz",
            "2026-11-23_14_users.csv.xz",
            "2026-11-23_14_posts.parquet",
            "all_of_2026_posts.parquet",
        ] {
            assert!(is_private(private), "{private}");
        }
        for other in [
            "2026-11-23_14_IDs.txt.xz",
            "ledger.jsonl",
            "notes.txt",
            "paper.pdf",
        ] {
            assert!(!is_private(other), "{other}");
        }
    }
}
