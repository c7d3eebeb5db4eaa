//! `redactions.jsonl`: the posts that were removed on request, and stay out.
//!
//! One JSON object a line: `{"id":"1541815603606036480","reason":"deleted by its author","hour":"2026-11-23_14"}`.
//! `hour` is the one that the post was removed from; it is missing as long as the archive has never had
//! the post. `{"author":"12","reason":"asked to be left out"}` stands for all posts of an author: each that is
//! found gets a line of its own. Ids and reasons only. It is never published.
//!
//! Of a vault in an object store `redactions/<n>.jsonl` there, each created once, hold the same lines, in the order in which they were
//! asked for or found; a later line about the same id says its hour. In the copy here `entry` says up to which they were read.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{commit_error::InStoreError, manifest::ByWord};
use crate::{
    period::Hour,
    segment::sha256::Sha256,
    source::{Source, key::Key},
    world::{
        disk::{self, Disk},
        error_at::{At as _, ErrorAt},
    },
};

/// Millions of posts; a longer file is not ours.
const BYTES_MAX: u64 = 1 << 30;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RedactionLine {
    #[serde(flatten)]
    what: Removal,
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hour: Option<Hour>,
    /// Of a copy: the last entry in the store that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entry: Option<u64>,
    /// Whether it was found here, and no entry in the store says so yet.
    #[serde(skip)]
    is_found_here: bool,
}

impl RedactionLine {
    const fn is_unsent(&self) -> bool {
        self.entry.is_none() || self.is_found_here
    }
}

/// What is to stay out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Removal {
    /// A post.
    Id(String),
    /// All posts of an author.
    Author(String),
}

/// Why the list cannot be used. Nothing is merged without it: what was removed would come back.
#[derive(Debug, thiserror::Error)]
pub enum RedactionsError {
    /// The file.
    #[error(transparent)]
    Io(#[from] ErrorAt),
    /// The list in the object store.
    #[error(transparent)]
    InStore(#[from] Box<InStoreError>),
    /// A line that is not a redaction.
    #[error("{}:{line}: it is not a redaction: {why}", path.display())]
    Line {
        /// Which.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Why.
        why: String,
    },
}

/// The list.
#[derive(Debug, Clone)]
pub struct Redactions {
    /// Whose keys they are.
    pub source: &'static dyn Source,
    /// In the order in which they were asked for.
    lines: Vec<RedactionLine>,
    /// The place of each post in the list.
    places: BTreeMap<Key, usize>,
    /// The place of each author.
    authors: BTreeMap<Key, usize>,
}

/// Where it lies.
pub fn path(vault: &Path) -> PathBuf {
    vault.join("redactions.jsonl")
}

impl Redactions {
    /// An empty one.
    pub const fn none(source: &'static dyn Source) -> Self {
        Self {
            source,
            lines: Vec::new(),
            places: BTreeMap::new(),
            authors: BTreeMap::new(),
        }
    }

    /// Reads it; a vault without the file has an empty one.
    pub fn read(
        disk: &dyn Disk,
        vault: &Path,
        source: &'static dyn Source,
    ) -> Result<Self, RedactionsError> {
        let path = path(vault);
        let mut list = Self::none(source);
        if disk.len(&path).at(&path)?.is_none() {
            return Ok(list);
        }
        let bytes = disk::read_bounded(disk, &path, BYTES_MAX).at(&path)?;
        list.take(&bytes, None, &path)?;
        Ok(list)
    }

    /// Takes lines in: those of the file, or of an entry in the store. What the store says of a post counts.
    pub fn take(
        &mut self,
        bytes: &[u8],
        entry: Option<u64>,
        path: &Path,
    ) -> Result<(), RedactionsError> {
        for (number, text) in bytes.split(|&byte| byte == b'\n').enumerate() {
            if text.is_empty() {
                continue;
            }
            let wrong = |why: String| RedactionsError::Line {
                path: path.to_owned(),
                line: number + 1,
                why,
            };
            let mut line: RedactionLine =
                serde_json::from_slice(text).map_err(|why| wrong(why.to_string()))?;
            line.entry = entry.or(line.entry);
            let (key, places) = match &line.what {
                Removal::Id(id) => (self.source.key(id), &mut self.places),
                Removal::Author(id) => (self.source.author_key(id), &mut self.authors),
            };
            let key = key.ok_or_else(|| wrong("its id is not an id".to_owned()))?;
            let place = *places.entry(key).or_insert(self.lines.len());
            match self.lines.get_mut(place) {
                // that it was found, and where, may have been found here, too, and not be there yet
                Some(known) if line.hour.is_some() || known.hour.is_none() => *known = line,
                Some(known) => known.entry = line.entry,
                None => self.lines.push(line),
            }
        }
        Ok(())
    }

    /// How many entries of the store are in it.
    pub fn entries(&self) -> u64 {
        let entries = self.lines.iter().filter_map(|line| line.entry);
        entries.max().unwrap_or(0)
    }

    /// The lines that no entry of the store has as they are here.
    pub fn unsent(&self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        for line in self.lines.iter().filter(|line| line.is_unsent()) {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        Ok(text)
    }

    /// That entry of the store has them now.
    pub fn sent(&mut self, entry: u64) {
        for line in self.lines.iter_mut().filter(|line| line.is_unsent()) {
            line.entry = Some(entry);
            line.is_found_here = false;
        }
    }

    /// Puts it in place, durably.
    pub fn write(&self, disk: &dyn Disk, vault: &Path) -> Result<(), RedactionsError> {
        let path = path(vault);
        let mut text = Vec::new();
        for line in &self.lines {
            serde_json::to_writer(&mut text, line)
                .map_err(io::Error::from)
                .at(&path)?;
            text.push(b'\n');
        }
        Ok(disk::put(disk, &path, &text).at(&path)?)
    }

    /// Adds posts; one that is on the list keeps its reason. How many are new.
    pub fn ask(&mut self, keys: impl IntoIterator<Item = Key>, reason: &str) -> u64 {
        let before = self.lines.len();
        for key in keys {
            let text = key.to_string();
            self.places.entry(key).or_insert_with(|| {
                self.lines.push(RedactionLine {
                    what: Removal::Id(text),
                    reason: reason.to_owned(),
                    hour: None,
                    entry: None,
                    is_found_here: false,
                });
                self.lines.len() - 1
            });
        }
        (self.lines.len() - before) as u64
    }

    /// Adds authors; one that is on the list keeps the reason.
    pub fn ask_for_authors(&mut self, keys: impl IntoIterator<Item = Key>, reason: &str) {
        for key in keys {
            let text = key.to_string();
            self.authors.entry(key).or_insert_with(|| {
                self.lines.push(RedactionLine {
                    what: Removal::Author(text),
                    reason: reason.to_owned(),
                    hour: None,
                    entry: None,
                    is_found_here: false,
                });
                self.lines.len() - 1
            });
        }
    }

    /// Why a post is to stay out, whose line this is, if it is to.
    pub fn reason(&self, key: &Key, line: &[u8]) -> Option<&str> {
        let place = self.places.get(key).or_else(|| self.author_of(line));
        let line = place.and_then(|place| self.lines.get(*place));
        line.map(|line| line.reason.as_str())
    }

    /// The place of the author of a line, if one of those on the list has written it.
    fn author_of(&self, line: &[u8]) -> Option<&usize> {
        if self.authors.is_empty() {
            return None;
        }
        self.authors.get(&self.source.author(line)?)
    }

    /// Says that the archive had a post: whether that is news.
    pub fn found(&mut self, key: &Key, hour: Hour) -> bool {
        let place = self.places.get(key);
        match place.and_then(|place| self.lines.get_mut(*place)) {
            Some(line) if line.hour.is_none() => {
                line.hour = Some(hour);
                line.is_found_here = true;
                true
            }
            _ => false,
        }
    }

    /// What stands on it, as a hash.
    pub fn sha256(&self) -> io::Result<Sha256> {
        Ok(Sha256::of(&serde_json::to_vec(&self.lines)?))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether a post is to stay out.
    pub fn has(&self, key: &Key) -> bool {
        self.places.contains_key(key)
    }

    /// Whether an author is on the list from a place on.
    pub fn has_authors_since(&self, place: usize) -> bool {
        self.authors.values().any(|at| place <= *at)
    }

    /// The posts from a place of the list on, and the hours that they were removed from.
    pub fn since(&self, place: usize) -> Vec<(Key, Option<Hour>)> {
        let of = |line: &RedactionLine| match &line.what {
            Removal::Id(id) => self.source.key(id).map(|key| (key, line.hour)),
            Removal::Author(_) => None,
        };
        self.lines
            .get(place..)
            .unwrap_or_default()
            .iter()
            .filter_map(of)
            .collect()
    }

    /// The hours that posts were removed from.
    pub fn hours(&self) -> BTreeSet<Hour> {
        self.lines.iter().filter_map(|line| line.hour).collect()
    }

    /// How many posts were removed from an hour, by reason.
    pub fn of_hour(&self, hour: Hour) -> ByWord {
        let mut counts = ByWord::new();
        for line in self.lines.iter().filter(|line| line.hour == Some(hour)) {
            *counts.entry(line.reason.clone()).or_default() += 1;
        }
        counts
    }

    /// Whether a line that is no record names one of them, or one of their authors.
    pub fn are_named_in(&self, line: &[u8]) -> bool {
        let is_listed = |key: &Key| self.has(key) || self.authors.contains_key(key);
        !self.is_empty() && self.source.is_named_in(line, &is_listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{source::x::X, world::disk::RealDisk};

    #[test]
    fn the_list_reads_back_and_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut list = Redactions::read(&RealDisk, folder.path(), &X).unwrap();
        assert_eq!(
            list.ask([1_541_815_603_606_036_480.into(), 20.into()], "deleted"),
            2
        );
        assert_eq!(list.ask([20.into(), 21.into()], "ethics board"), 1);
        let hour = "2026-11-23_14".parse().unwrap();
        assert!(
            list.found(&20.into(), hour)
                && list.found(&21.into(), hour)
                && !list.found(&21.into(), hour)
        );
        list.write(&RealDisk, folder.path()).unwrap();
        let read = Redactions::read(&RealDisk, folder.path(), &X).unwrap();
        // in a folder nobody needs to be told what was found here
        for line in &mut list.lines {
            line.is_found_here = false;
        }
        assert_eq!(read.lines, list.lines);
        let counts = [("deleted".to_owned(), 1), ("ethics board".to_owned(), 1)];
        assert_eq!(read.of_hour(hour), counts.into());
        assert_eq!(read.since(2), [(21.into(), Some(hour))]);
        let names = |line: &str| read.are_named_in(line.as_bytes());
        assert!(!names(r#"{"data":{"id":"20"#) && names(r#"{"id":"20","#));
        list.ask_for_authors([77.into(), 77.into()], "asked");
        list.write(&RealDisk, folder.path()).unwrap();
        let read_again = Redactions::read(&RealDisk, folder.path(), &X).unwrap();
        assert_eq!(read_again.lines, list.lines);
        let by = |author: &str| format!(r#"{{"data":{{"author_id":"{author}","id":"30"}}}}"#);
        assert_eq!(list.reason(&30.into(), by("77").as_bytes()), Some("asked"));
        assert_eq!(list.reason(&30.into(), by("78").as_bytes()), None);
        assert_eq!(
            list.reason(&20.into(), by("77").as_bytes()),
            Some("deleted")
        );
        assert!(list.are_named_in(br#"{"author_id":"77","#) && !list.are_named_in(b"77"));
        assert!(list.has_authors_since(3) && !list.has_authors_since(4));
        assert!(
            names("torn 1541815603606036480") && !names("15418156036060364801") && !names("20")
        );
    }
    #[test]
    fn lists_of_several_machines_become_one() {
        let hour = |text: &str| text.parse::<Hour>().unwrap();
        let take = |list: &mut Redactions, text: &[u8], entry| {
            list.take(text, Some(entry), Path::new("list")).unwrap();
        };
        let (mut one, mut two) = (Redactions::none(&X), Redactions::none(&X));
        one.ask([20.into(), 21.into()], "asked");
        let first = one.unsent().unwrap();
        one.sent(1);
        assert_eq!((one.entries(), one.unsent().unwrap()), (1, Vec::new()));
        // both have found the post, one of them has not said so yet
        take(&mut two, &first, 1);
        assert!(two.found(&20.into(), hour("2026-11-23_14")) && two.entries() == 1);
        // what was found here is not forgotten over what was asked for before
        take(&mut two, &first, 1);
        let second = two.unsent().unwrap();
        two.sent(2);
        assert!(one.found(&20.into(), hour("2026-11-23_15")));
        one.ask([22.into()], "asked");
        assert!(!one.unsent().unwrap().is_empty());
        take(&mut one, &second, 2);
        let third = one.unsent().unwrap();
        one.sent(3);
        take(&mut two, &third, 3);
        assert_eq!((one.entries(), two.entries()), (3, 3));
        assert_eq!(one.lines, two.lines);
        assert_eq!(one.of_hour(hour("2026-11-23_14")).len(), 1);
        assert_eq!(one.of_hour(hour("2026-11-23_15")).len(), 0);
    }
}
