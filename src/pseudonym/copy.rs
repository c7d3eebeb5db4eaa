//! From days of a vault to a folder that a team may share. The vault is only read, and what is read is held
//! against its manifests.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{
    key::HashKey,
    row::{self, Row},
    tables::{Form, Tables},
};
use crate::{
    period::{Day, Hour},
    segment::sha256::Sha256,
    vault::{
        layout::{self, FileKind},
        manifest::{Manifest, ManifestError},
        posts::read::{self, Wanted},
        public::{DayFile, Public},
        xz::{self, Effort, Filling, XzWriter},
    },
    world::{
        disk::{self, Disk},
        error_at::{At as _, ErrorAt},
    },
};

/// A day's tables have some megabytes.
const TABLE_BYTES_MAX: u64 = 256 << 20;

/// What is copied.
pub struct CopyJob<'a> {
    /// The file system.
    pub disk: &'a dyn Disk,
    /// What of them.
    pub of: &'a Form,
    /// From where.
    pub vault: &'a Path,
    /// Where to: a folder that is not there yet.
    pub out: &'a Path,
    /// By what.
    pub key: &'a HashKey,
}

/// The result.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Hours.
    pub hours: u64,
    /// Posts in them.
    pub posts: u64,
}

/// Why it cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum NoCopy {
    /// A file or folder.
    #[error(transparent)]
    Io(#[from] ErrorAt),
    /// A manifest.
    #[error(transparent)]
    Manifest(#[from] ErrorAt<ManifestError>),
    /// The hour has no Parquet, from which it is made.
    #[error("{0} has no posts.parquet: [merge] formats left it out")]
    NoParquet(Hour),
    /// A file is not what the manifest says.
    #[error("{} is not what its manifest says", .0.display())]
    Changed(PathBuf),
}

/// The hours of those days that are committed, ascending.
pub fn hours(disk: &dyn Disk, vault: &Path, days: &[Day]) -> Result<Vec<Hour>, NoCopy> {
    let mut hours = Vec::new();
    for day in days {
        let folder = layout::day_folder(vault, *day);
        let entries = disk.list(&folder).at(&folder)?;
        hours.extend(
            entries
                .iter()
                .filter_map(|entry| layout::hour_of_manifest(&entry.name)),
        );
    }
    hours.sort();
    hours.dedup();
    Ok(hours)
}

impl CopyJob<'_> {
    /// How much there is to copy.
    pub fn preview(&self, hours: &[Hour]) -> Result<Copied, NoCopy> {
        let posts = hours.iter().map(|hour| {
            let (manifest, _) = self.manifest(*hour)?;
            Ok(manifest.counts.total.posts)
        });
        Ok(Copied {
            hours: hours.len() as u64,
            posts: posts.sum::<Result<u64, NoCopy>>()?,
        })
    }

    /// Copies; `tell` hears of each hour that is done.
    pub fn copy(&self, hours: &[Hour], mut tell: impl FnMut()) -> Result<Copied, NoCopy> {
        let mut copied = Copied::default();
        self.disk.make_folder(self.out).at(self.out)?;
        for hour in hours {
            copied.posts += self.hour(*hour)?;
            copied.hours += 1;
            tell();
        }
        let mut days: Vec<Day> = hours.iter().map(|hour| hour.day()).collect();
        days.dedup();
        for day in days {
            for file in [DayFile::Gaps, DayFile::Exposure] {
                self.table(Public::Day(day, file))?;
            }
        }
        // written last, so that it is there if all is
        let readme = self.of.readme.replace("KEY", &self.key.mark());
        let path = self.out.join("README.md");
        disk::put(self.disk, &path, readme.as_bytes()).at(&path)?;
        Ok(copied)
    }

    /// The manifest of an hour, and the hash that it has of its Parquet.
    fn manifest(&self, hour: Hour) -> Result<(Manifest, Sha256), NoCopy> {
        let path = layout::manifest_path(self.vault, hour);
        let manifest = Manifest::read(self.disk, &path).at(&path)?;
        let name = FileKind::Posts.name(hour);
        let posts = manifest.outputs.iter().find(|output| output.name == name);
        let sha256 = posts.ok_or(NoCopy::NoParquet(hour))?.sha256;
        Ok((manifest, sha256))
    }

    /// One hour: how many posts.
    fn hour(&self, hour: Hour) -> Result<u64, NoCopy> {
        let (_, sha256) = self.manifest(hour)?;
        let from = layout::data_path(self.vault, hour, FileKind::Posts);
        let form = self.of;
        let mut tables = Tables::without(self.held(hour)?);
        let read = read::read_through(self.disk, &from, Wanted::Only(form.read), |batch| {
            let rows = row::table(batch);
            for number in 0..batch.num_rows() {
                (form.add)(&mut tables, self.key, &Row::new(&rows, number));
            }
            Ok(())
        });
        if read.at(&from)?.sha256 != sha256 {
            return Err(NoCopy::Changed(from));
        }
        let posts = tables.len();
        let folder = layout::day_folder(self.out, hour.day());
        self.disk.make_folder(&folder).at(&folder)?;
        for ((what, columns), rows) in form.tables.iter().zip(tables.rows()) {
            let (name, head) = (format!("{hour}_{what}.csv.xz"), columns.join(",") + "\n");
            let path = folder.join(&name);
            let write = || {
                let mut to =
                    XzWriter::create(self.disk, &path, &Effort::Balanced, (1, Filling::Gradual))?;
                to.write_all(head.as_bytes())?;
                for row in &rows {
                    to.write_all(row)?;
                }
                to.finish(name, 1)
            };
            write().at(&path)?;
        }
        Ok(posts)
    }

    /// The lines of what is held back in an hour.
    fn held(&self, hour: Hour) -> Result<BTreeSet<String>, NoCopy> {
        let (manifest, _) = self.manifest(hour)?;
        let name = FileKind::Held.name(hour);
        let mut held = BTreeSet::new();
        let Some(known) = manifest.outputs.iter().find(|output| output.name == name) else {
            return Ok(held);
        };
        let from = layout::data_path(self.vault, hour, FileKind::Held);
        let mut lines = xz::Lines::new(|line: &[u8]| {
            held.insert(String::from_utf8_lossy(line).into_owned());
            Ok(())
        });
        let read = xz::read_through(self.disk, &from, 0, |piece| lines.take(piece));
        if read.at(&from)?.sha256 != known.sha256 {
            return Err(NoCopy::Changed(from));
        }
        Ok(held)
    }

    /// A day's table without data on single posts, unchanged.
    fn table(&self, what: Public) -> Result<(), NoCopy> {
        let (from, to) = (what.path(self.vault), what.path(self.out));
        let bytes = disk::read_bounded(self.disk, &from, TABLE_BYTES_MAX).at(&from)?;
        Ok(disk::put(self.disk, &to, &bytes).at(&to)?)
    }
}
