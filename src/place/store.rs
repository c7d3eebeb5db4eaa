//! The operations of every kind of place: create a file once, read it, list, delete.
//!
//! A key is written once and never changed. `create` returns only after reading the bytes back: they are the given
//! ones, or the key was taken. An answer, or a missing answer, decides nothing.

use std::{
    fmt,
    io::{self, Read, Write},
    time::Duration,
};

use crate::{
    period::{UtcMs, ms},
    segment::{
        seal::{Digest, Digester},
        sha256::Sha256,
    },
};

/// Keys of ours have less than 150 bytes; stores take 1,024 with the prefix.
const KEY_BYTES_MAX: usize = 512;

/// The name of a file in a place, relative to its root: parts separated by `/`. No part can lead out of the place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

/// A text that is no key.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not the name of a file in a place")]
pub struct NotAKey(String);

impl TryFrom<String> for Key {
    type Error = NotAKey;

    fn try_from(text: String) -> Result<Self, NotAKey> {
        let is_plain = |part: &str| {
            !part.is_empty()
                && ![".", ".."].contains(&part)
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-=".contains(&b))
        };
        if text.len() <= KEY_BYTES_MAX && text.split('/').all(is_plain) {
            Ok(Self(text))
        } else {
            Err(NotAKey(text))
        }
    }
}

impl Key {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The content for a key: length and hash, and how to read it as often as needed.
pub struct Content<'a> {
    /// What it must be.
    pub digest: &'a Digest,
    /// Opens it.
    pub open: &'a dyn Fn() -> io::Result<Box<dyn Read>>,
}

/// What is under a key after an attempt to create it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// The given content, read back, whoever wrote it.
    Stands,
    /// Something else, which was there before and is unchanged.
    Taken {
        /// What it is.
        sha256: Sha256,
    },
}

/// A file of a listing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its name.
    pub key: Key,
    /// Its length.
    pub bytes: u64,
    /// When it was created, by the place's own clock, if it has one.
    pub created: Option<UtcMs>,
}

/// A period, by the place's own clock, in which something may be created there.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Its begin.
    pub since: UtcMs,
    /// How long it is.
    pub lasts: Duration,
}

impl Window {
    fn end(&self) -> UtcMs {
        self.since.plus_ms(ms(self.lasts))
    }

    /// Whether it has ended then.
    pub fn is_over(&self, now: UtcMs) -> bool {
        self.end() <= now
    }
}

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No answer came that can be used, however often it was asked.
    #[error("{place} cannot be reached: {why}")]
    Unreachable {
        /// Which place.
        place: String,
        /// What came last.
        why: String,
    },
    /// It refuses, and would refuse again.
    #[error("{place} refuses {asked}: {why}")]
    Refused {
        /// Which place.
        place: String,
        /// What was asked of it.
        asked: String,
        /// With which word.
        why: String,
    },
    /// A file is longer than it may be, or a listing does not end.
    #[error("{place}: {key} is longer than the {bytes_max} bytes such a file may have")]
    TooLong {
        /// Which place.
        place: String,
        /// Which file.
        key: String,
        /// What is allowed.
        bytes_max: u64,
    },
    /// The content changed before it was sent completely; nothing of it is in the store.
    #[error("the file for {key} has changed here since it was sealed; it was not stored")]
    Changed {
        /// Under which name.
        key: Key,
        /// What it is now, as far as it was read.
        found: Sha256,
    },
    /// It came too late, and is not there.
    #[error("{place}: {key} was not created: it was too late for it by the clock there")]
    Late {
        /// Which place.
        place: String,
        /// Which file.
        key: Key,
    },
    /// It was written and does not read back.
    #[error("{place}: {key} does not read back as it was written (sha256 {there}, ours {ours})")]
    ReadBack {
        /// Which place.
        place: String,
        /// Which file.
        key: Key,
        /// The hash there.
        there: Sha256,
        /// The hash here.
        ours: Sha256,
    },
    /// A file or folder of this machine.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<NotAKey> for StoreError {
    fn from(why: NotAKey) -> Self {
        Self::Io(io::Error::other(why))
    }
}

impl StoreError {
    /// Whether it may be well the next time without anybody doing anything.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// A place.
pub trait Store: Sync {
    /// What people call it: `s3://archive/spool`, or a folder's path.
    fn name(&self) -> String;

    /// Creates a file unless its name is taken.
    fn create(&self, key: &Key, content: &Content<'_>) -> Result<Created, StoreError>;

    /// Reads a file through; `None`: there is none.
    fn read(
        &self,
        key: &Key,
        bytes_max: u64,
        sink: &mut dyn Write,
    ) -> Result<Option<u64>, StoreError>;

    /// All files whose names begin so, in no particular order. Invalid names are reported and skipped.
    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError>;

    /// Deletes a file; it is fine if there is none.
    fn delete(&self, key: &Key) -> Result<(), StoreError>;
}

/// A place with a clock of its own, by which it knows when something was created and what comes too late.
pub trait Timed: Store {
    /// What time it is there.
    fn now(&self) -> Result<UtcMs, StoreError>;

    /// Creates a file unless its name is taken. The place itself refuses it when the window is over, however late the
    /// request comes, and whatever time it is here.
    fn create_within(
        &self,
        key: &Key,
        content: &Content<'_>,
        window: Window,
    ) -> Result<Created, StoreError>;
}

/// What a file is, read through.
pub fn digest_of(
    store: &dyn Store,
    key: &Key,
    bytes_max: u64,
) -> Result<Option<Digest>, StoreError> {
    let mut digester = Digester::default();
    let found = store.read(key, bytes_max, &mut digester)?;
    Ok(found.map(|_bytes| digester.finish()))
}

/// A whole file of at most so many bytes.
pub fn read_whole(
    store: &dyn Store,
    key: &Key,
    bytes_max: u64,
) -> Result<Option<Vec<u8>>, StoreError> {
    let mut bytes = Vec::new();
    let found = store.read(key, bytes_max, &mut bytes)?;
    Ok(found.map(|_bytes| bytes))
}

/// Creates a file of these bytes.
pub fn create_of(store: &dyn Store, key: &Key, bytes: &[u8]) -> Result<Created, StoreError> {
    let content = Content {
        digest: &digest(bytes),
        open: &|| Ok(Box::new(io::Cursor::new(bytes.to_vec()))),
    };
    store.create(key, &content)
}

/// What these bytes are.
pub fn digest(bytes: &[u8]) -> Digest {
    let mut digester = Digester::default();
    digester.update(bytes);
    digester.finish()
}

/// Reads content and holds its last bytes back until all of it was what it must be: who sends it never ends a
/// request with bytes that nobody sealed.
pub struct Checked<'a> {
    inner: Box<dyn Read + 'a>,
    digester: Option<Digester>,
    expected: &'a Digest,
    held: Vec<u8>,
    /// Why reading failed here, for a caller that sees only that sending has failed.
    pub failed: Option<io::Error>,
    /// What the content was, if it was something else.
    pub other: Option<Sha256>,
}

/// How much is read at once.
const CHUNK_BYTES: usize = 64 * 1024;

impl<'a> Checked<'a> {
    /// Begins to read.
    pub fn open(content: &'a Content<'a>) -> io::Result<Self> {
        Ok(Self {
            inner: (content.open)()?,
            digester: Some(Digester::default()),
            expected: content.digest,
            held: Vec::new(),
            failed: None,
            other: None,
        })
    }

    /// Why reading ended early, if it did.
    pub fn ended(self, key: &Key) -> Result<(), StoreError> {
        match (self.other, self.failed) {
            (Some(found), _) => Err(StoreError::Changed {
                key: key.clone(),
                found,
            }),
            (None, Some(why)) => Err(why.into()),
            (None, None) => Ok(()),
        }
    }

    /// Holds the next bytes; whether there are any.
    fn fill(&mut self) -> io::Result<bool> {
        let Some(digester) = &mut self.digester else {
            return Ok(false);
        };
        let mut buffer = vec![0; CHUNK_BYTES];
        let len = self.inner.read(&mut buffer)?;
        buffer.truncate(len);
        digester.update(&buffer);
        self.held = buffer;
        let is_too_long = self.expected.bytes < digester.bytes();
        // also without waiting for the end: the last bytes were to be these
        if (digester.bytes() == self.expected.bytes || len == 0 || is_too_long)
            && let Some(digester) = self.digester.take()
            && let found = digester.finish()
            && found != *self.expected
        {
            self.other = Some(found.sha256);
            self.held.clear();
            return Err(io::Error::other("it has changed since it was sealed"));
        }
        Ok(0 < len)
    }
}

impl Read for Checked<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.held.is_empty() {
            match self.fill() {
                Ok(true) => (),
                Ok(false) => return Ok(0),
                Err(why) => {
                    let kind = why.kind();
                    self.failed = Some(why);
                    return Err(kind.into());
                }
            }
        }
        let len = self.held.len().min(into.len());
        let rest = self.held.split_off(len);
        let given = std::mem::replace(&mut self.held, rest);
        into.iter_mut()
            .zip(&given)
            .for_each(|(to, from)| *to = *from);
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_leads_nowhere_else() {
        for key in [
            "spool.json",
            "2/2026-11-23/14/2_sample_20261123T1400Z_3fa9c01b_000.seal.json",
            ".probe/a=b",
        ] {
            assert_eq!(Key::try_from(key.to_owned()).unwrap().as_str(), key);
        }
        let long = "a/".repeat(300);
        for wrong in [
            "", "/", "a/", "/a", "a//b", ".", "..", "a/../b", "a/./b", "a b", "a%2e", "ä", "a\0",
            &long,
        ] {
            assert!(Key::try_from(wrong.to_owned()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn content_that_has_changed_never_comes_to_its_end() {
        let sealed = vec![7; 3 * CHUNK_BYTES + 5];
        let digest = digest(&sealed);
        let mut flipped = sealed.clone();
        flipped[100] ^= 1;
        let longer = [&sealed[..], b"x"].concat();
        for (bytes, is_whole) in [
            (sealed.clone(), true),
            (sealed[..sealed.len() - 1].to_vec(), false),
            (flipped, false),
            (longer, false),
            (Vec::new(), false),
        ] {
            let len = bytes.len();
            let content = Content {
                digest: &digest,
                open: &|| Ok(Box::new(io::Cursor::new(bytes.clone()))),
            };
            let mut checked = Checked::open(&content).unwrap();
            let mut read = Vec::new();
            let ended = checked.read_to_end(&mut read).is_ok();
            if is_whole {
                assert!(ended && read == sealed && checked.other.is_none(), "{len}");
            } else {
                assert!(!ended && checked.other.is_some(), "{len}");
                assert!(read.len() < sealed.len(), "{len}");
            }
        }
        let empty = self::digest(b"");
        let content = Content {
            digest: &empty,
            open: &|| Ok(Box::new(io::empty())),
        };
        let mut read = Vec::new();
        Checked::open(&content)
            .unwrap()
            .read_to_end(&mut read)
            .unwrap();
        assert!(read.is_empty());
    }
}
