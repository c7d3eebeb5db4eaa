//! `redactions.jsonl`: the posts that were removed on request, and stay out.
//!
//! One JSON object a line: `{"id":"1541815603606036480","reason":"deleted by its author","hour":"2026-11-23_14"}`.
//! `hour` is the one that the post was removed from; it is missing as long as the archive has never had
//! the post. `{"author":"12","reason":"asked to be left out"}` stands for all posts of an author: each that is
//! found gets a line of its own. Ids and reasons only. It is never published.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::manifest::ByWord;
use crate::{
    period::Hour,
    post::{id, parse},
    world::disk::{self, Disk},
};

/// Millions of posts; a longer file is none of ours.
const BYTES_MAX: u64 = 1 << 30;

/// Digits from which on a number is taken for an id wherever it stands; a shorter one must be quoted.
const PLAIN_DIGITS: usize = 15;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    what: What,
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hour: Option<Hour>,
}

/// What is to stay out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    /// A post.
    Id(String),
    /// All posts of an author.
    Author(String),
}

/// Why the list cannot be used. Nothing is merged without it: what was removed would come back.
#[derive(Debug, thiserror::Error)]
pub enum RedactionsError {
    /// The file.
    #[error("{}", crate::world::disk::placed(path, source))]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line that is none.
    #[error("{}:{line}: it is no redaction: {why}", path.display())]
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redactions {
    /// In the order in which they were asked for.
    lines: Vec<Line>,
    /// The place of each post in the list.
    places: BTreeMap<u64, usize>,
    /// The place of each author.
    authors: BTreeMap<u64, usize>,
}

/// Where it lies.
pub fn path(vault: &Path) -> PathBuf {
    vault.join("redactions.jsonl")
}

impl Redactions {
    /// Reads it; a vault without the file has an empty one.
    pub fn read(disk: &dyn Disk, vault: &Path) -> Result<Self, RedactionsError> {
        let path = path(vault);
        let io = |source| RedactionsError::Io {
            path: path.clone(),
            source,
        };
        let mut list = Self::default();
        if disk.len(&path).map_err(io)?.is_none() {
            return Ok(list);
        }
        let bytes = disk::read_bounded(disk, &path, BYTES_MAX).map_err(io)?;
        for (number, text) in bytes.split(|&byte| byte == b'\n').enumerate() {
            if text.is_empty() {
                continue;
            }
            let wrong = |why: String| RedactionsError::Line {
                path: path.clone(),
                line: number + 1,
                why,
            };
            let line: Line = serde_json::from_slice(text).map_err(|why| wrong(why.to_string()))?;
            let (text, places) = match &line.what {
                What::Id(id) => (id, &mut list.places),
                What::Author(id) => (id, &mut list.authors),
            };
            let id = id::parse(text).ok_or_else(|| wrong("its id is no id".to_owned()))?;
            places.insert(id, list.lines.len());
            list.lines.push(line);
        }
        Ok(list)
    }

    /// Puts it in place, durably.
    pub fn write(&self, disk: &dyn Disk, vault: &Path) -> Result<(), RedactionsError> {
        let path = path(vault);
        let mut text = Vec::new();
        for line in &self.lines {
            serde_json::to_writer(&mut text, line).map_err(|why| RedactionsError::Io {
                path: path.clone(),
                source: why.into(),
            })?;
            text.push(b'\n');
        }
        disk::put(disk, &path, &text).map_err(|source| RedactionsError::Io { path, source })
    }

    /// Adds posts; one that is on the list keeps its reason. How many are new.
    pub fn ask(&mut self, ids: impl IntoIterator<Item = u64>, reason: &str) -> u64 {
        let before = self.lines.len();
        for id in ids {
            self.places.entry(id).or_insert_with(|| {
                self.lines.push(Line {
                    what: What::Id(id.to_string()),
                    reason: reason.to_owned(),
                    hour: None,
                });
                self.lines.len() - 1
            });
        }
        (self.lines.len() - before) as u64
    }

    /// Adds authors; one that is on the list keeps the reason.
    pub fn ask_for_authors(&mut self, ids: impl IntoIterator<Item = u64>, reason: &str) {
        for id in ids {
            self.authors.entry(id).or_insert_with(|| {
                self.lines.push(Line {
                    what: What::Author(id.to_string()),
                    reason: reason.to_owned(),
                    hour: None,
                });
                self.lines.len() - 1
            });
        }
    }

    /// Why a post is to stay out, whose line this is, if it is to.
    pub fn reason(&self, id: u64, line: &[u8]) -> Option<&str> {
        let place = self.places.get(&id).or_else(|| self.author_of(line));
        let line = place.and_then(|place| self.lines.get(*place));
        line.map(|line| line.reason.as_str())
    }

    /// The place of the author of a line, if one of those on the list has written it.
    fn author_of(&self, line: &[u8]) -> Option<&usize> {
        if self.authors.is_empty() {
            return None;
        }
        let author = parse::author(line)?;
        self.authors.get(&id::parse(&author)?)
    }

    /// Says that the archive had a post: whether that is news.
    pub fn found(&mut self, id: u64, hour: Hour) -> bool {
        let place = self.places.get(&id);
        match place.and_then(|place| self.lines.get_mut(*place)) {
            Some(line) if line.hour.is_none() => {
                line.hour = Some(hour);
                true
            }
            _ => false,
        }
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
    pub fn has(&self, id: u64) -> bool {
        self.places.contains_key(&id)
    }

    /// Whether an author is on the list from a place on.
    pub fn has_authors_since(&self, place: usize) -> bool {
        self.authors.values().any(|at| place <= *at)
    }

    /// The posts from a place of the list on, and the hours that they were removed from.
    pub fn since(&self, place: usize) -> Vec<(u64, Option<Hour>)> {
        let of = |line: &Line| match &line.what {
            What::Id(id) => id::parse(id).map(|id| (id, line.hour)),
            What::Author(_) => None,
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

    /// Whether a line that is no post names one of them, or one of their authors: in quotes, or by a number as
    /// long as ids are.
    pub fn are_named_in(&self, line: &[u8]) -> bool {
        if self.is_empty() {
            return false;
        }
        let is_digit = |at: &usize| line.get(*at).is_some_and(u8::is_ascii_digit);
        let mut at = 0;
        while at < line.len() {
            if !is_digit(&at) {
                at += 1;
                continue;
            }
            let begin = at;
            while is_digit(&at) {
                at += 1;
            }
            let is_quoted =
                0 < begin && line.get(begin - 1) == Some(&b'"') && line.get(at) == Some(&b'"');
            let text = line
                .get(begin..at)
                .and_then(|text| str::from_utf8(text).ok());
            let is_listed = |id| self.has(id) || self.authors.contains_key(&id);
            let named = text.and_then(id::parse).is_some_and(is_listed);
            if named && (is_quoted || PLAIN_DIGITS <= at - begin) {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::disk::RealDisk;

    #[test]
    fn the_list_reads_back_and_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut list = Redactions::read(&RealDisk, folder.path()).unwrap();
        assert_eq!(list.ask([1_541_815_603_606_036_480, 20], "deleted"), 2);
        assert_eq!(list.ask([20, 21], "ethics board"), 1);
        let hour = "2026-11-23_14".parse().unwrap();
        assert!(list.found(20, hour) && list.found(21, hour) && !list.found(21, hour));
        list.write(&RealDisk, folder.path()).unwrap();
        let read = Redactions::read(&RealDisk, folder.path()).unwrap();
        assert_eq!(read, list);
        let counts = [("deleted".to_owned(), 1), ("ethics board".to_owned(), 1)];
        assert_eq!(read.of_hour(hour), counts.into());
        assert_eq!(read.since(2), [(21, Some(hour))]);
        let names = |line: &str| read.are_named_in(line.as_bytes());
        assert!(!names(r#"{"data":{"id":"20"#) && names(r#"{"id":"20","#));
        list.ask_for_authors([77, 77], "asked");
        list.write(&RealDisk, folder.path()).unwrap();
        assert_eq!(Redactions::read(&RealDisk, folder.path()).unwrap(), list);
        let by = |author: &str| format!(r#"{{"data":{{"author_id":"{author}","id":"30"}}}}"#);
        assert_eq!(list.reason(30, by("77").as_bytes()), Some("asked"));
        assert_eq!(list.reason(30, by("78").as_bytes()), None);
        assert_eq!(list.reason(20, by("77").as_bytes()), Some("deleted"));
        assert!(list.are_named_in(br#"{"author_id":"77","#) && !list.are_named_in(b"77"));
        assert!(list.has_authors_since(3) && !list.has_authors_since(4));
        assert!(
            names("torn 1541815603606036480") && !names("15418156036060364801") && !names("20")
        );
    }
}
