//! Where every file of an hour lies: hour and kind ↔ folder and name.
//!
//! ```text
//! <vault>/vault.json                                   format, id, time zone, stream, first hour
//! <vault>/doi.json                                     the DOI, if one was minted
//! <vault>/ledger.jsonl                                 one line a revision, each chained to the last
//! <vault>/witness/ledger_000123_20261124T140509Z.tsr   a stamp of it
//!                 authority_3f9a0c41b2d7e865.pem       by whom
//! <vault>/2026-11-23/2026-11-23_14_IDs.txt.xz          the post ids, ascending
//!                    2026-11-23_14_tweets.csv.xz       20 columns a post, ascending by id
//!                    2026-11-23_14_posts.csv.xz        Bluesky's in their place: 19 columns a post
//!                    2026-11-23_14_users.csv.xz        12 columns an author, ascending by author id
//!                    2026-11-23_14_posts.parquet       everything that was delivered of each post
//!                    2026-11-23_14_deletions.txt.xz    what was deleted and what became of accounts, where the stream tells of it
//!                    2026-11-23_14_held.txt.xz         posts that are held back; only if there are any
//!                    2026-11-23_14_rejected.jsonl.xz   lines that are not posts; only if there are any
//!                    2026-11-23_14_conflicts.jsonl.xz  examples of posts whose copies differ; only if there are any
//!                    2026-11-23_14_manifest.json       what all of this is and was made of
//!                    2026-11-23_report.txt             the day's table of hours
//!                    2026-11-23_gaps.csv               the seconds that are missing, and why
//!                    2026-11-23_exposure.csv           the seconds that were seen, minute by minute
//!                    revisions/2026-11-23_14_r1_manifest.json
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use crate::{
    period::{Day, Hour},
    source::Source,
    world::disk::Disk,
};

/// The closed list of data files of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// The post ids: the only posts' data that may ever be published.
    Ids,
    /// X's table of posts.
    Tweets,
    /// Bluesky's.
    PostsTable,
    /// The authors.
    Users,
    /// Everything that was delivered of each post.
    Posts,
    /// What was deleted, and what became of accounts.
    Deletions,
    /// The posts that are held back from the list of ids.
    Held,
    /// Lines that are not posts.
    Rejected,
    /// Examples of posts whose copies differ.
    Conflicts,
}

impl FileKind {
    /// All of them, in the order in which a manifest lists them.
    pub const ALL: [Self; 9] = [
        Self::Held,
        Self::Ids,
        Self::Tweets,
        Self::PostsTable,
        Self::Users,
        Self::Posts,
        Self::Deletions,
        Self::Rejected,
        Self::Conflicts,
    ];

    /// What the name has after the hour.
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Ids => "IDs.txt.xz",
            Self::Tweets => "tweets.csv.xz",
            Self::PostsTable => "posts.csv.xz",
            Self::Users => "users.csv.xz",
            Self::Posts => "posts.parquet",
            Self::Deletions => "deletions.txt.xz",
            Self::Held => "held.txt.xz",
            Self::Rejected => "rejected.jsonl.xz",
            Self::Conflicts => "conflicts.jsonl.xz",
        }
    }

    /// The file's name for people: without the hour, and without how it is compressed.
    pub fn words(self) -> &'static str {
        let ending = self.ending();
        ending.strip_suffix(".xz").unwrap_or(ending)
    }

    /// Lines before the first row.
    pub const fn header_lines(self) -> u64 {
        match self {
            Self::Held
            | Self::Ids
            | Self::Posts
            | Self::Deletions
            | Self::Rejected
            | Self::Conflicts => 0,
            Self::Tweets | Self::PostsTable | Self::Users => 1,
        }
    }

    /// A source's table of records.
    pub fn table_of(source: &dyn Source) -> Self {
        let is_it =
            |kind: &Self| kind.ending().strip_suffix(".csv.xz") == Some(source.table().name);
        // every platform's is among them: a unit test holds on to that
        Self::ALL
            .into_iter()
            .find(is_it)
            .unwrap_or(Self::PostsTable)
    }

    /// Whether every hour of a source has such a file; of the others, which may be missing, it is not said.
    pub fn is_always_there(self, source: &dyn Source) -> bool {
        match self {
            Self::Ids | Self::Users => true,
            Self::Tweets | Self::PostsTable => self == Self::table_of(source),
            Self::Deletions => source.deletions().is_some(),
            Self::Held | Self::Posts | Self::Rejected | Self::Conflicts => false,
        }
    }

    /// The name of an hour's file of this kind.
    pub fn name(self, hour: Hour) -> String {
        format!("{hour}_{}", self.ending())
    }

    /// The hour and kind of a file's name.
    pub fn of_name(name: &str) -> Option<(Hour, Self)> {
        let (hour, ending) = name.split_at_checked(13)?;
        let ending = ending.strip_prefix('_')?;
        let kind = Self::ALL.into_iter().find(|kind| kind.ending() == ending)?;
        hour.parse().ok().map(|hour| (hour, kind))
    }
}

/// The ending of a manifest's name.
const MANIFEST: &str = "_manifest.json";

/// The folder of a day.
pub fn day_folder(vault: &Path, day: Day) -> PathBuf {
    vault.join(day.to_string())
}

/// A data file in its place.
pub fn data_path(vault: &Path, hour: Hour, kind: FileKind) -> PathBuf {
    day_folder(vault, hour.day()).join(kind.name(hour))
}

/// The manifest in its place.
pub fn manifest_path(vault: &Path, hour: Hour) -> PathBuf {
    day_folder(vault, hour.day()).join(format!("{hour}{MANIFEST}"))
}

/// The hour of a manifest's name.
pub fn hour_of_manifest(name: &str) -> Option<Hour> {
    name.strip_suffix(MANIFEST)?.parse().ok()
}

/// Where the manifest of an earlier revision is kept.
pub fn archived_path(vault: &Path, hour: Hour, revision: u64) -> PathBuf {
    archived_folder(vault, hour.day()).join(archived_name(hour, revision))
}

/// Where the manifests of a day's earlier revisions are kept.
pub fn archived_folder(vault: &Path, day: Day) -> PathBuf {
    day_folder(vault, day).join("revisions")
}

/// Its name.
pub fn archived_name(hour: Hour, revision: u64) -> String {
    format!("{hour}_r{revision}{MANIFEST}")
}

/// The hour and revision of an archived manifest's name.
pub fn of_archived(name: &str) -> Option<(Hour, u64)> {
    let (hour, revision) = name.strip_suffix(MANIFEST)?.split_once("_r")?;
    let (hour, revision) = (hour.parse().ok()?, revision.parse().ok()?);
    (archived_name(hour, revision) == name).then_some((hour, revision))
}

/// The day's report.
pub fn report_path(vault: &Path, day: Day) -> PathBuf {
    day_folder(vault, day).join(format!("{day}_report.txt"))
}

/// A file of a revision before it is renamed into place: `<name>.r<revision>.new`.
pub fn aside(path: &Path, revision: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".r{revision}.new"));
    PathBuf::from(name)
}

/// The name and revision of a file that lies aside.
pub fn of_aside(name: &str) -> Option<(&str, u64)> {
    let (of, revision) = name.strip_suffix(".new")?.rsplit_once(".r")?;
    let revision = revision.parse().ok()?;
    (aside(Path::new(of), revision) == Path::new(name)).then_some((of, revision))
}

/// The days of a vault, ascending.
pub fn days(disk: &dyn Disk, vault: &Path) -> io::Result<Vec<Day>> {
    let entries = disk.list(vault)?;
    Ok(entries
        .iter()
        .filter(|e| e.folder)
        .filter_map(|e| e.name.parse().ok())
        .collect())
}

/// The same without those of which nothing is committed yet; of days before `since` the folder is enough, and those that
/// are `known` to have something are not looked into again.
pub fn days_committed(
    disk: &dyn Disk,
    vault: &Path,
    since: Day,
    known: &mut BTreeSet<Day>,
) -> io::Result<Vec<Day>> {
    let mut found = days(disk, vault)?;
    found.retain(|day| {
        if *day < since || known.contains(day) {
            return true;
        }
        match list_day(disk, vault, *day) {
            Ok(listing) if listing.hours.is_empty() => return false,
            Ok(_) => drop(known.insert(*day)),
            // one day stops no other; its report says why it cannot be read
            Err(why) => tracing::warn!("{day}: {why}"),
        }
        true
    });
    Ok(found)
}

/// What is committed of a day, by the names alone.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DayListing {
    /// Hours with a manifest in place, and the number of earlier revisions kept.
    pub hours: BTreeMap<Hour, u64>,
    /// Hours of which something lies aside.
    pub unfinished: BTreeSet<Hour>,
}

/// Lists a day.
pub fn list_day(disk: &dyn Disk, vault: &Path, day: Day) -> io::Result<DayListing> {
    let folder = day_folder(vault, day);
    let mut listing = DayListing::default();
    for entry in disk.list(&folder)? {
        if let Some(hour) = hour_of_manifest(&entry.name) {
            listing.hours.entry(hour).or_default();
        }
        let aside = of_aside(&entry.name).map(|(name, _)| name);
        // what `put` was writing when the process ended is `<name>.tmp`
        let torn = entry
            .name
            .strip_suffix(".tmp")
            .map(|name| of_aside(name).map_or(name, |a| a.0));
        if let Some(name) = aside.or(torn) {
            let hour =
                hour_of_manifest(name).or_else(|| FileKind::of_name(name).map(|(hour, _)| hour));
            listing.unfinished.extend(hour);
        }
    }
    for entry in disk.list(&archived_folder(vault, day))? {
        if let Some((hour, _)) = of_archived(&entry.name)
            && let Some(earlier) = listing.hours.get_mut(&hour)
        {
            *earlier += 1;
        }
    }
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::disk::{self, RealDisk};

    #[test]
    fn every_platform_s_table_has_a_kind() {
        for source in crate::source::Sources::known().all() {
            let ending = format!("{}.csv.xz", source.table().name);
            assert_eq!(FileKind::table_of(source).ending(), ending);
        }
    }

    #[test]
    fn a_day_counts_when_an_hour_of_it_is_committed() {
        let dir = tempfile::tempdir().unwrap();
        let vault = dir.path();
        let [old, before, day] =
            ["21", "22", "23"].map(|n| format!("2026-11-{n}").parse().unwrap());
        for day in [old, before, day] {
            RealDisk.make_folder(&day_folder(vault, day)).unwrap();
        }
        let mut known = BTreeSet::new();
        let mut found = || days_committed(&RealDisk, vault, before, &mut known).unwrap();
        // the data of an hour is put there before its manifest, which is the commit
        let hour: Hour = "2026-11-23_14".parse().unwrap();
        let manifest = manifest_path(vault, hour);
        for path in [data_path(vault, hour, FileKind::Ids), aside(&manifest, 1)] {
            disk::put(&RealDisk, &path, b"").unwrap();
        }
        assert_eq!(found(), [old]);
        disk::put(&RealDisk, &manifest, b"").unwrap();
        assert_eq!(found(), [old, day]);
    }

    #[test]
    fn names_read_back() {
        let hour: Hour = "2026-11-23_14".parse().unwrap();
        for kind in FileKind::ALL {
            assert_eq!(FileKind::of_name(&kind.name(hour)), Some((hour, kind)));
        }
        let vault = Path::new("/v");
        let path = aside(&data_path(vault, hour, FileKind::Ids), 12);
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(of_aside(name), Some(("2026-11-23_14_IDs.txt.xz", 12)));
        let path = archived_path(vault, hour, 3);
        assert_eq!(
            of_archived(path.file_name().unwrap().to_str().unwrap()),
            Some((hour, 3))
        );
        assert_eq!(hour_of_manifest("2026-11-23_14_manifest.json"), Some(hour));
        for foreign in [
            "2026-11-23_14_posts.csv",
            "x",
            "2026-11-23_1_IDs.txt.xz",
            "é",
        ] {
            assert_eq!(FileKind::of_name(foreign), None);
        }
    }
}
