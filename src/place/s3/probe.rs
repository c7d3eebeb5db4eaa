//! Whether a store can be trusted: of many writers who create one key at once, through all endpoints, exactly one
//! may win; what was written is listed and read at once.
//!
//! Some stores take the condition and do not keep it. Who works with one of those loses what another has committed,
//! and nothing says so.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Barrier,
};

use serde::{Deserialize, Serialize};

use super::{answer::Meaning, request::Said, store::S3};
use crate::{
    period::UtcMs,
    place::store::{Checked, Content, Key, Store as _, StoreError, digest, read_whole},
    world::disk::{self, Disk},
};

/// Writers at once.
pub const WRITERS: usize = 32;
/// Rounds in which answers may get lost.
const ROUNDS_MAX: u32 = 5;
/// A probe's object has some 60 bytes.
const BYTES_MAX: u64 = 4_096;
/// How long what was found out holds.
const HOLDS_MS: i64 = 24 * 60 * 60 * 1_000;
/// The version of the file that remembers it.
const FORMAT: u32 = 1;
/// It has some 100 bytes a place.
const MEMORY_BYTES_MAX: u64 = 64 * 1024;

/// Why a store is not worked with.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It does not keep the condition.
    #[error(
        "{place} does not keep the condition of a create-only write (If-None-Match: *): of {WRITERS} writers that \
         created one key at once, {won} were told that they had"
    )]
    Ignores {
        /// Which place.
        place: String,
        /// How many.
        won: usize,
    },
    /// Who was told to have won has not.
    #[error("{place} told one writer that it had created a key, but another's bytes are there")]
    Other {
        /// Which place.
        place: String,
    },
    /// A listing does not show what was written.
    #[error("{place} does not list at once what was written to it")]
    ListsLate {
        /// Which place.
        place: String,
    },
    /// A read does not give what was written.
    #[error("{place} does not return at once what was written to it")]
    ReadsLate {
        /// Which place.
        place: String,
    },
    /// Nobody could create anything.
    #[error("{place}: of {WRITERS} writers that created one key at once, none did: {why}")]
    Nobody {
        /// Which place.
        place: String,
        /// What one was told.
        why: String,
    },
    /// It cannot be reached, or says no.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The result of the writers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Race {
    /// One was told that it had created the key, or nobody was and answers got lost: what is read must be a
    /// writer's bytes, and this one's if it is known.
    Decided(Option<usize>),
    /// How many were.
    Won(usize),
    /// Nobody was told so, and nobody knows why.
    Nobody(String),
    /// The store says no.
    Refused(String),
}

/// Judges a store by what its writers were told.
fn race(said: &[Said<Meaning>]) -> Race {
    let is_won = |said: &Said<Meaning>| *said == Ok(Meaning::Done);
    let won: Vec<usize> = (0..said.len())
        .filter(|&k| said.get(k).is_some_and(is_won))
        .collect();
    let mut doubts = said.iter().filter_map(|said| match said {
        Ok(Meaning::Again(why)) | Err(why) => Some(why.clone()),
        _ => None,
    });
    let refused = said.iter().find_map(|said| match said {
        Ok(Meaning::Refused(why)) => Some(why.clone()),
        _ => None,
    });
    match (won.as_slice(), doubts.next(), refused) {
        (&[one], _, _) => Race::Decided(Some(one)),
        ([_, _, ..], _, _) => Race::Won(won.len()),
        ([], _, Some(why)) => Race::Refused(why),
        ([], Some(_), None) => Race::Decided(None),
        ([], None, None) => Race::Nobody("all were told that its name is taken".to_owned()),
    }
}

impl S3 {
    /// Finds out whether this store can be worked with. `draw` draws a name that nobody has.
    pub fn probe(&self, draw: &dyn Fn() -> io::Result<String>) -> Result<(), ProbeError> {
        for tries in 0..ROUNDS_MAX {
            let name = format!(".probe/{}", draw().map_err(StoreError::Io)?);
            let key = Key::try_from(name).map_err(|why| StoreError::Io(io::Error::other(why)))?;
            let found = self.probe_with(&key);
            // nobody needs it any more; that this may not be done here is no fault of the store
            if let Err(why) = self.delete(&key) {
                tracing::debug!("{key} stays: {why}");
            }
            match found? {
                Ok(()) => return Ok(()),
                // every answer of the round got lost
                Err(why) => self.wait_again(why, tries)?,
            }
        }
        Err(ProbeError::Store(StoreError::Unreachable {
            place: self.name(),
            why: "too many answers are lost to find out whether it keeps the condition".to_owned(),
        }))
    }

    /// One round. The inner error: nothing was found out.
    fn probe_with(&self, key: &Key) -> Result<Result<(), String>, ProbeError> {
        let place = || self.name();
        let bytes = |writer: usize| format!("twinstream: writer {writer} of {key}\n").into_bytes();
        let start = Barrier::new(WRITERS);
        let one = |writer: usize| {
            let bytes = bytes(writer);
            let digest = digest(&bytes);
            let open = || Ok(Box::new(io::Cursor::new(bytes.clone())) as Box<dyn io::Read>);
            let content = Content {
                digest: &digest,
                open: &open,
            };
            start.wait();
            match Checked::open(&content) {
                Ok(mut checked) => {
                    self.requests()
                        .put(writer, (key.as_str(), None), digest.bytes, &mut checked)
                }
                Err(why) => Err(why.to_string()),
            }
        };
        let said: Vec<Said<Meaning>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..WRITERS)
                .map(|writer| scope.spawn(move || one(writer)))
                .collect();
            let ended = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
            ended
                .map(|said| said.unwrap_or_else(|_panic| Err("a thread ended".to_owned())))
                .collect()
        });
        let winner = match race(&said) {
            Race::Decided(winner) => winner,
            Race::Won(won) => {
                return Err(ProbeError::Ignores {
                    place: place(),
                    won,
                });
            }
            Race::Nobody(why) => {
                return Err(ProbeError::Nobody {
                    place: place(),
                    why,
                });
            }
            Race::Refused(why) => {
                return Err(self.refused(format_args!("PUT {key}"), why).into());
            }
        };
        for _way in 0..self.requests().ways() {
            let mut is_listed = false;
            self.list(key.as_str(), &mut |listed| is_listed |= listed.key == *key)?;
            let Some(there) = read_whole(self, key, BYTES_MAX)? else {
                return match winner {
                    Some(_) => Err(ProbeError::ReadsLate { place: place() }),
                    None => Ok(Err("no writer got an answer".to_owned())),
                };
            };
            let is_one = (0..WRITERS).any(|writer| bytes(writer) == there);
            if !is_one || winner.is_some_and(|winner| bytes(winner) != there) {
                return Err(ProbeError::Other { place: place() });
            }
            if !is_listed {
                return Err(ProbeError::ListsLate { place: place() });
            }
            self.next_way();
        }
        Ok(match winner {
            Some(_) => Ok(()),
            None => Err("the winner's answer got lost".to_owned()),
        })
    }
}

/// `<data_dir>/probed.json`: which stores were found to be good, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    format: u32,
    places: BTreeMap<String, UtcMs>,
}

impl Probed {
    /// Where it lies.
    pub fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("probed.json")
    }

    /// Reads it. What cannot be read remembers nothing: the store is probed again.
    pub fn read(disk: &dyn Disk, data_dir: &Path) -> Self {
        let none = Self {
            format: FORMAT,
            places: BTreeMap::new(),
        };
        let bytes = disk::read_bounded(disk, &Self::path(data_dir), MEMORY_BYTES_MAX);
        let read = bytes
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        read.filter(|read: &Self| read.format == FORMAT)
            .unwrap_or(none)
    }

    /// Whether this place, by these ways, was found to be good within a day.
    pub fn holds(&self, what: &str, now: UtcMs) -> bool {
        let since = |at: &UtcMs| now.0.checked_sub(at.0);
        self.places
            .get(what)
            .and_then(since)
            .is_some_and(|ms| (0..HOLDS_MS).contains(&ms))
    }

    /// Remembers that it was found to be good.
    pub fn remember(
        mut self,
        disk: &dyn Disk,
        data_dir: &Path,
        what: &str,
        now: UtcMs,
    ) -> io::Result<()> {
        self.places.insert(what.to_owned(), now);
        let mut json = serde_json::to_vec(&self)?;
        json.push(b'\n');
        disk.make_folder(data_dir)?;
        disk::put(disk, &Self::path(data_dir), &json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_may_win() {
        let (won, lost) = (Ok(Meaning::Done), Ok(Meaning::Taken));
        let silent: Said<Meaning> = Err("silence".to_owned());
        let busy = Ok(Meaning::Again("SlowDown (503)".to_owned()));
        let no = Ok(Meaning::Refused("AccessDenied (403)".to_owned()));
        for (said, expected) in [
            (
                vec![lost.clone(), won.clone(), lost.clone()],
                Race::Decided(Some(1)),
            ),
            (
                vec![lost.clone(), won.clone(), silent.clone()],
                Race::Decided(Some(1)),
            ),
            (vec![won.clone(), won.clone(), lost.clone()], Race::Won(2)),
            (vec![won.clone(), won.clone(), silent.clone()], Race::Won(2)),
            (
                vec![lost.clone(), silent, lost.clone()],
                Race::Decided(None),
            ),
            (vec![lost.clone(), busy, lost.clone()], Race::Decided(None)),
            (
                vec![no.clone(), no],
                Race::Refused("AccessDenied (403)".to_owned()),
            ),
        ] {
            assert_eq!(race(&said), expected, "{said:?}");
        }
        assert!(matches!(race(&[lost.clone(), lost]), Race::Nobody(_)));
    }

    #[test]
    fn what_was_found_out_holds_for_a_day() {
        let probed = Probed {
            format: FORMAT,
            places: [("a".to_owned(), UtcMs(1_000))].into(),
        };
        assert!(probed.holds("a", UtcMs(1_000)));
        assert!(probed.holds("a", UtcMs(HOLDS_MS)));
        assert!(!probed.holds("a", UtcMs(1_000 + HOLDS_MS)));
        // a clock that was wrong
        assert!(!probed.holds("a", UtcMs(999)));
        assert!(!probed.holds("b", UtcMs(1_000)));
    }
}
