//! The closed list of the files of a vault that may ever be public, with the path of each in the vault and in the
//! public storage.
//!
//! `publish` can name only these. Posts, authors, rejected lines and everything that a segment holds are not among
//! them and cannot be: there is no way from a path to a `Public`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    layout::{self, FileKind},
    ledger,
    witness::{self, AuthorityName, StampName},
};
use crate::period::{Day, Hour};

/// A file that may be public. Their order is that of publishing: an hour's data before its manifest,
/// the day's files after its hours, the ledger last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Public {
    /// The post ids of an hour.
    Ids(Hour),
    /// What an hour's revision contains.
    Manifest(Hour),
    /// A file about a day.
    Day(Day, DayFile),
    /// A file about the whole archive, by which it is found and cited.
    Root(RootFile),
    /// The certificates of an authority that has stamped the ledger.
    Authority(AuthorityName),
    /// Its stamp.
    Stamp(StampName),
    /// The list of all revisions.
    Ledger,
}

/// The closed list of the files about the whole archive, which are there if `[dataset]` is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RootFile {
    /// What a DOI is registered with.
    DataCite,
    /// How it is loaded, for machine learning.
    Croissant,
    /// A Research Object Crate.
    RoCrate,
    /// A Frictionless Data Package.
    DataPackage,
    /// How it is cited.
    Citation,
    /// The page for people.
    Page,
}

impl RootFile {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::DataCite,
        Self::Croissant,
        Self::RoCrate,
        Self::DataPackage,
        Self::Citation,
        Self::Page,
    ];

    /// Its name, which is its format's where that says one.
    const fn name(self) -> &'static str {
        match self {
            Self::DataCite => "datacite.json",
            Self::Croissant => "croissant.json",
            Self::RoCrate => "ro-crate-metadata.json",
            Self::DataPackage => "datapackage.json",
            Self::Citation => "CITATION.cff",
            Self::Page => "DATASET.md",
        }
    }
}

/// The folders of what is public, in the order in which they are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PublicFolder {
    /// That of a day.
    Day(Day),
    /// That of the stamps.
    Witness,
    /// The root.
    Root,
}

/// The closed list of a day's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DayFile {
    /// The table of its hours.
    Report,
    /// The seconds that are missing, and why.
    Gaps,
    /// The seconds that were seen, minute by minute.
    Exposure,
    /// The statement of the day in words.
    Certificate,
    /// Its picture.
    Picture,
    /// What the folder holds and how it may be used.
    Readme,
    /// The statement as values, from which these three are made. It comes after them, so that what it names is there.
    Statement,
}

impl DayFile {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Report,
        Self::Gaps,
        Self::Exposure,
        Self::Certificate,
        Self::Picture,
        Self::Readme,
        Self::Statement,
    ];

    /// What the name has after the day.
    const fn ending(self) -> &'static str {
        match self {
            Self::Report => "_report.txt",
            Self::Gaps => "_gaps.csv",
            Self::Exposure => "_exposure.csv",
            Self::Certificate => "_certificate.txt",
            Self::Picture => "_certificate.svg",
            Self::Readme => "_README.md",
            Self::Statement => "_certificate.json",
        }
    }
}

impl Public {
    /// Its name, the same here and there.
    pub fn name(self) -> String {
        match self {
            Self::Ids(hour) => FileKind::Ids.name(hour),
            Self::Manifest(hour) => file_name(&layout::manifest_path(Path::new(""), hour)),
            Self::Day(day, file) => format!("{day}{}", file.ending()),
            Self::Root(file) => file.name().to_owned(),
            Self::Authority(name) => name.to_string(),
            Self::Stamp(name) => name.to_string(),
            Self::Ledger => file_name(&ledger::path(Path::new(""))),
        }
    }

    /// What a name stands for; `None` if no file of that name may be public.
    pub fn of_name(name: &str) -> Option<Self> {
        if let Some((hour, FileKind::Ids)) = FileKind::of_name(name) {
            return Some(Self::Ids(hour));
        }
        if let Some(hour) = layout::hour_of_manifest(name) {
            return Some(Self::Manifest(hour));
        }
        if name == Self::Ledger.name() {
            return Some(Self::Ledger);
        }
        if let Some(file) = RootFile::ALL.into_iter().find(|file| file.name() == name) {
            return Some(Self::Root(file));
        }
        if let Ok(stamp) = name.parse() {
            return Some(Self::Stamp(stamp));
        }
        if let Ok(authority) = name.parse() {
            return Some(Self::Authority(authority));
        }
        let of_day = |file: DayFile| {
            let day = name.strip_suffix(file.ending())?;
            day.parse().map_or(None, |day| Some(Self::Day(day, file)))
        };
        DayFile::ALL.into_iter().find_map(of_day)
    }

    /// Its path in the vault.
    pub fn path(self, vault: &Path) -> PathBuf {
        match self.place() {
            PublicFolder::Day(day) => layout::day_folder(vault, day),
            PublicFolder::Witness => witness::folder(vault),
            PublicFolder::Root => vault.to_owned(),
        }
        .join(self.name())
    }

    /// The folder it belongs to.
    pub const fn place(self) -> PublicFolder {
        match self {
            Self::Ids(hour) | Self::Manifest(hour) => PublicFolder::Day(hour.day()),
            Self::Day(day, _) => PublicFolder::Day(day),
            Self::Authority(_) | Self::Stamp(_) => PublicFolder::Witness,
            Self::Root(_) | Self::Ledger => PublicFolder::Root,
        }
    }

    /// Its path in the public storage.
    pub fn published_path(self) -> String {
        let mut parts = published_folder(self.place());
        parts.push(self.name());
        parts.join("/")
    }

    /// The day it belongs to; ledger and stamps belong to none.
    pub const fn day(self) -> Option<Day> {
        match self.place() {
            PublicFolder::Day(day) => Some(day),
            PublicFolder::Witness | PublicFolder::Root => None,
        }
    }

    /// The hour it belongs to.
    pub const fn hour(self) -> Option<Hour> {
        match self {
            Self::Ids(hour) | Self::Manifest(hour) => Some(hour),
            Self::Day(..) | Self::Root(_) | Self::Authority(_) | Self::Stamp(_) | Self::Ledger => {
                None
            }
        }
    }
}

/// The published folder of the stamps.
pub const WITNESS: &str = "witness";

/// The parts of the path of a published folder: of a day, year, month and day.
pub fn published_folder(place: PublicFolder) -> Vec<String> {
    match place {
        PublicFolder::Day(day) => day.to_string().split('-').map(str::to_owned).collect(),
        PublicFolder::Witness => vec![WITNESS.to_owned()],
        PublicFolder::Root => Vec::new(),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_no_other_file_has_one() {
        let hour: Hour = "2026-11-23_14".parse().unwrap();
        let mut all = vec![Public::Ids(hour), Public::Manifest(hour), Public::Ledger];
        for name in [
            "ledger_000123_20261124T140509Z.tsr",
            "authority_3f9a0c41b2d7e865.pem",
        ] {
            all.push(Public::of_name(name).unwrap());
        }
        all.extend(DayFile::ALL.map(|file| Public::Day(hour.day(), file)));
        all.extend(RootFile::ALL.map(Public::Root));
        for one in all {
            assert_eq!(Public::of_name(&one.name()), Some(one));
        }
        for kind in FileKind::ALL {
            let may = Public::of_name(&kind.name(hour)).is_some();
            assert_eq!(may, kind == FileKind::Ids, "{kind:?}");
        }
        for never in [
            "2026-11-23_14_posts.parquet",
            "vault.json",
            "1_sample_20261123T1405Z_3fa9c01b_000.jsonl",
            "../2026-11-23_report.txt",
            "2026-11-23_14_IDs.txt.xz.r2.new",
            "2026-11-23_14_tweets.csv",
            "report.txt",
            "",
        ] {
            assert_eq!(Public::of_name(never), None, "{never}");
        }
        assert_eq!(
            Public::Ids(hour).path(Path::new("/v")),
            Path::new("/v/2026-11-23/2026-11-23_14_IDs.txt.xz")
        );
    }
}
