//! `<spool>/<server>/acks.jsonl`: what has been read back and checked where it was delivered to.
//!
//! One JSON object a line: `{"at":"2026-11-23T14:06:01.000Z","file":"2_sample_…_000.jsonl","sha256":"…"}`.
//! Append-only. A torn last line is one acknowledgement that was not given.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::name::ServerId;
use crate::{
    period::UtcMs,
    world::disk::{self, Disk},
};

/// A line has some 160 bytes; a longer one is not an acknowledgement.
const LINE_BYTES_MAX: u64 = 4_096;

/// One acknowledged file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// When it was read back.
    pub at: UtcMs,
    /// Its name, without folders: it says which folder it lies in.
    pub file: String,
    /// SHA-256 of the bytes that were read back.
    pub sha256: String,
}

/// Where the acknowledgements of a server lie in the spool that was delivered to.
pub fn path(spool: &Path, server: &ServerId) -> PathBuf {
    spool.join(server.as_str()).join("acks.jsonl")
}

/// All acknowledgements of one server, by file name; the first of several for one file counts.
pub fn read(disk: &dyn Disk, path: &Path) -> io::Result<BTreeMap<String, Ack>> {
    let mut acks = BTreeMap::new();
    disk::each_line(
        disk,
        path,
        LINE_BYTES_MAX,
        |line| match serde_json::from_slice::<Ack>(line) {
            Ok(ack) => {
                acks.entry(ack.file.clone()).or_insert(ack);
            }
            Err(why) => tracing::warn!(
                "{}: a line is no acknowledgement and counts as none: {why}",
                path.display()
            ),
        },
    )?;
    Ok(acks)
}

/// Appends acknowledgements, durably.
pub fn append(disk: &dyn Disk, path: &Path, acks: &[Ack]) -> io::Result<()> {
    let mut text = Vec::new();
    for ack in acks {
        serde_json::to_writer(&mut text, ack)?;
        text.push(b'\n');
    }
    disk::append_lines(disk, path, &text)
}
