//! The closing record of a segment and its events file: `….seal.json`.
//!
//! Written last and durably, so its presence says that both are complete. It comes from another
//! machine when files were delivered, so it is read with a limit and against the file's own name.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use super::{
    name::{Partition, RunId, SegmentName, ServerId},
    sha256::Sha256,
};
use crate::period::{Minute, UtcMs};

/// The version of the spool's format that this program writes.
pub const FORMAT: u32 = 1;

/// A seal has some 900 bytes, and some 200 more for each minute of which posts were taken out on request; a file beyond
/// this is none.
pub const SEAL_BYTES_MAX: u64 = 1 << 20;

/// What a seal says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Version of the format: 1.
    pub format: u32,
    /// Name and version of the program that sealed.
    pub program: String,
    /// Who received it.
    pub server: ServerId,
    /// Which stream.
    pub stream: String,
    /// Which part of it, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<Partition>,
    /// The UTC minute of arrival.
    pub minute: Minute,
    /// Which run of the collector.
    pub run: RunId,
    /// The place of that run in the order of the server's runs.
    pub run_number: u64,
    /// Which part of that minute in that run.
    pub part: u16,
    /// The segment: its plain bytes, also when the file itself has been compressed since.
    pub segment: Digest,
    /// The events file.
    pub events: Digest,
    /// When the first stored line arrived; `None` when there is none.
    pub first_arrival: Option<UtcMs>,
    /// When the last stored line arrived.
    pub last_arrival: Option<UtcMs>,
    /// Lines that were longer than `max_line` and are stored cut.
    pub oversize: u64,
    /// Whether a crash had left the pair open.
    pub recovered: bool,
    /// What was taken out of the segment on request since it was first sealed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<Redacted>,
}

/// Lines were taken out on request: `segment` says what is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redacted {
    /// How many.
    pub lines: u64,
    /// SHA-256 that the segment had before.
    pub sha256: Sha256,
    /// The seconds, of each minute, that posts were taken out of: something was received of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seconds: SecondsOf,
}

/// Seconds (0 to 59) of minutes.
pub type SecondsOf = BTreeMap<Minute, BTreeSet<u8>>;

/// What is known of a file: enough to prove that it is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Number of lines.
    pub lines: u64,
    /// Number of bytes.
    pub bytes: u64,
    /// SHA-256 of the bytes.
    pub sha256: Sha256,
}

/// What every format has.
#[derive(Deserialize)]
struct Numbered {
    format: u32,
}

/// A seal that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Not a seal at all.
    #[error("it is not a seal: {0}")]
    Json(#[from] serde_json::Error),
    /// From a later program.
    #[error("it has format {found}, this program reads up to {FORMAT}: upgrade this server")]
    TooNew {
        /// The format it has.
        found: u32,
    },
    /// A renamed or foreign seal.
    #[error("it belongs to {says}, not to {name}")]
    OtherName {
        /// The name it lies under.
        name: String,
        /// The name it states.
        says: String,
    },
}

impl Seal {
    /// The name of the segment it closes.
    pub fn name(&self) -> SegmentName {
        SegmentName {
            server: self.server.clone(),
            stream: self.stream.clone(),
            partition: self.partition,
            minute: self.minute,
            run: self.run,
            part: self.part,
        }
    }

    /// Reads a seal and checks that it belongs to the name it lies under.
    pub fn read(bytes: &[u8], name: &SegmentName) -> Result<Self, SealError> {
        // one of a later format may lack members of this one
        let Numbered { format: found } = serde_json::from_slice(bytes)?;
        if FORMAT < found {
            return Err(SealError::TooNew { found });
        }
        let seal: Self = serde_json::from_slice(bytes)?;
        if seal.name() == *name {
            Ok(seal)
        } else {
            Err(SealError::OtherName {
                name: name.to_string(),
                says: seal.name().to_string(),
            })
        }
    }

    /// One line of JSON with its LF, always the same for the same seal.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec(self).unwrap_or_default();
        json.push(b'\n');
        json
    }
}

/// Takes the digest of bytes as they come.
#[derive(Clone, Default)]
pub struct Digester {
    lines: u64,
    bytes: u64,
    hash: sha2::Sha256,
}

impl Digester {
    /// Takes further bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        self.bytes += bytes.len() as u64;
        self.hash.update(bytes);
    }

    /// Bytes taken in so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The digest of all bytes taken in.
    pub fn finish(self) -> Digest {
        Digest {
            lines: self.lines,
            bytes: self.bytes,
            sha256: Sha256::from(<[u8; 32]>::from(self.hash.finalize())),
        }
    }
}

/// Takes what is written to it in.
impl Write for Digester {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is written through it, hashed.
pub struct Hashing<W> {
    /// Where it goes.
    pub to: W,
    /// What has gone there.
    pub digester: Digester,
}

impl<W> Hashing<W> {
    /// Nothing yet.
    pub fn new(to: W) -> Self {
        Self {
            to,
            digester: Digester::default(),
        }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.to.write(bytes)?;
        self.digester.update(bytes.get(..len).unwrap_or_default());
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
