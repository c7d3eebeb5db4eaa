//! The only thing that can be sent.
//!
//! A `Publishable` is made from a kind of the closed list of `vault::public`, never from a path or
//! from bytes, and what it holds was looked at: an ids file has ids and nothing else, a manifest is
//! one, the ledger has its lines. So even a file of posts that lies under the name of an ids file
//! stays here.

use std::{
    io::{self, BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
};

use super::plan::Wanted;
use crate::{
    vault::{
        ledger,
        manifest::{self, Manifest},
        public::Public,
    },
    world::disk::{self, Disk},
};

/// An hour of the sampled stream has about a megabyte of ids; a file beyond this is not sent, since
/// it is held whole while it is.
const BYTES_MAX: u64 = 256 << 20;

/// An id has at most 20 digits.
const ID_DIGITS_MAX: usize = 20;

/// Bytes that may be public, and are those that were wanted.
pub struct Publishable {
    bytes: Vec<u8>,
}

/// Why a file is not sent.
#[derive(Debug, thiserror::Error)]
pub enum NotPublishable {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not the file any more that it was when this run began: a merge has made another one.
    #[error("{} has changed since this run began", .0.display())]
    Changed(PathBuf),
    /// What is in it is not what its name says.
    #[error("{} is not what its name says: {why}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl Publishable {
    /// Reads a wanted file and looks at what is in it.
    pub fn read(disk: &dyn Disk, vault: &Path, wanted: &Wanted) -> Result<Self, NotPublishable> {
        let path = wanted.what.path(vault);
        let mut bytes = match disk::read_bounded(disk, &path, BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(source) => return Err(NotPublishable::Io { path, source }),
        };
        if wanted.what == Public::Ledger {
            // it has grown by whole lines only; what this run speaks of is its beginning
            bytes.truncate(usize::try_from(wanted.bytes).unwrap_or(usize::MAX));
        }
        if manifest::sha256(&bytes) != wanted.sha256 {
            return Err(NotPublishable::Changed(path));
        }
        match check(wanted.what, &bytes) {
            Ok(()) => Ok(Self { bytes }),
            Err(why) => Err(NotPublishable::Content { path, why }),
        }
    }

    /// What is sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Whether the content is of its kind.
fn check(what: Public, bytes: &[u8]) -> Result<(), String> {
    match what {
        Public::Ids(_) => check_ids(bytes),
        Public::Manifest(hour) => match Manifest::from_json(bytes) {
            Ok(manifest) if manifest.hour == hour => Ok(()),
            Ok(manifest) => Err(format!("it is the manifest of {}", manifest.hour)),
            Err(why) => Err(why.to_string()),
        },
        Public::Ledger => {
            let mut lines = bytes.split(|byte| *byte == b'\n').filter(|l| !l.is_empty());
            let wrong = lines.find_map(|line| serde_json::from_slice::<ledger::Line>(line).err());
            wrong.map_or(Ok(()), |why| Err(why.to_string()))
        }
        // functions of the manifests, written by this program
        Public::Day(..) => Ok(()),
    }
}

/// Every line is an id.
fn check_ids(bytes: &[u8]) -> Result<(), String> {
    let mut lines = BufReader::new(liblzma::read::XzDecoder::new_multi_decoder(bytes));
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let read = lines
            .by_ref()
            .take(ID_DIGITS_MAX as u64 + 1)
            .read_until(b'\n', &mut line);
        if read.map_err(|why| why.to_string())? == 0 {
            break;
        }
        match line.strip_suffix(b"\n") {
            Some(id) if !id.is_empty() && id.iter().all(u8::is_ascii_digit) => (),
            _ => return Err(format!("line {number} is no id")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn xz(text: &str) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn ids_are_ids_and_nothing_else() {
        for good in ["", "1\n18446744073709551615\n"] {
            assert_eq!(check_ids(&xz(good)), Ok(()));
        }
        for bad in [
            "1\n2",
            "1\n\n2\n",
            "id,text\n",
            "1\n2,hello\n",
            "184467440737095516150\n",
            "1 \n",
        ] {
            assert!(check_ids(&xz(bad)).is_err(), "{bad:?}");
        }
        assert!(check_ids(b"no xz").is_err());
    }

    #[test]
    fn a_manifest_is_that_of_its_hour_and_a_ledger_has_its_lines() {
        let hour = "2026-11-23_14".parse().unwrap();
        assert!(check(Public::Manifest(hour), b"{\"text\":\"hello\"}").is_err());
        assert!(check(Public::Ledger, b"{\"text\":\"hello\"}\n").is_err());
        assert!(check(Public::Ledger, b"").is_ok());
    }
}
