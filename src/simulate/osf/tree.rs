//! What a simulated OSF storage holds, over a directory.
//!
//! ```text
//! <dir>/tree.json            every folder and file with its versions
//! <dir>/objects/<sha256>     the bytes of every version, once each
//! <dir>/storage/2026/11/23/… the latest version of each file, for people to look at
//! ```
//!
//! As in OSF a file and a folder may have the same name, identical bytes make no new version, and
//! ids are 24 hex digits.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::md5::md5;
use crate::{
    period::UtcMs,
    simulate::chance::mix,
    world::disk::{self, Disk as _, RealDisk},
};

/// What is simulated fits into memory; a file beyond this is not ours.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// A folder or a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Node {
    pub(super) id: String,
    /// The folder that it is in; the root if `None`.
    pub(super) parent: Option<String>,
    pub(super) name: String,
    pub(super) created: UtcMs,
    /// The versions of a file, oldest first; a folder has none.
    pub(super) versions: Vec<Version>,
    pub(super) is_folder: bool,
}

/// One version of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) sha256: String,
    pub(super) md5: String,
    pub(super) size: u64,
    pub(super) modified: UtcMs,
}

#[derive(Serialize, Deserialize, Default)]
struct Kept {
    made: u64,
    nodes: Vec<Node>,
    /// The project's DOI.
    doi: Option<String>,
}

/// The storage of one project.
pub(super) struct Tree {
    dir: PathBuf,
    seed: u64,
    kept: Kept,
}

impl Node {
    /// The current version; `None` for a folder.
    pub(super) fn current(&self) -> Option<&Version> {
        self.versions.last()
    }
}

impl Tree {
    /// Continues with what is there, or starts empty.
    pub(super) fn open(dir: &Path, seed: u64) -> io::Result<Self> {
        RealDisk.make_folder(&dir.join("objects"))?;
        RealDisk.make_folder(&dir.join("storage"))?;
        let path = dir.join("tree.json");
        let kept = if RealDisk.len(&path)?.is_some() {
            serde_json::from_slice(&disk::read_bounded(&RealDisk, &path, FILE_BYTES_MAX)?)?
        } else {
            Kept::default()
        };
        let dir = dir.to_owned();
        Ok(Self { dir, seed, kept })
    }

    /// The node of that id.
    pub(super) fn node(&self, id: &str) -> Option<&Node> {
        self.kept.nodes.iter().find(|node| node.id == id)
    }

    /// The entries of a folder, in the order in which they were made.
    pub(super) fn children(&self, parent: Option<&str>) -> Vec<&Node> {
        let is_here = |node: &&Node| node.parent.as_deref() == parent;
        self.kept.nodes.iter().filter(is_here).collect()
    }

    /// The file or the folder of that name.
    pub(super) fn named(&self, parent: Option<&str>, name: &str, folder: bool) -> Option<&Node> {
        let mut here = self.children(parent).into_iter();
        here.find(|node| node.name == name && node.is_folder == folder)
    }

    /// `/2026/11/` for a folder, `/2026/11/name` for a file.
    pub(super) fn materialized(&self, node: &Node) -> String {
        let above = match node.parent.as_deref().and_then(|id| self.node(id)) {
            Some(parent) => self.materialized(parent),
            None => "/".to_owned(),
        };
        let end = if node.is_folder { "/" } else { "" };
        format!("{above}{}{end}", node.name)
    }

    /// The project's DOI.
    pub(super) fn doi(&self) -> Option<&str> {
        self.kept.doi.as_deref()
    }

    /// Gives the project that DOI.
    pub(super) fn mint(&mut self, doi: String) -> io::Result<()> {
        self.kept.doi = Some(doi);
        self.keep()
    }

    /// Bytes of all versions: what the quota counts.
    pub(super) fn usage(&self) -> u64 {
        let versions = self.kept.nodes.iter().flat_map(|node| &node.versions);
        versions.map(|version| version.size).sum()
    }

    /// A new node below a folder.
    pub(super) fn make(
        &mut self,
        parent: Option<&str>,
        name: &str,
        is_folder: bool,
        now: UtcMs,
    ) -> io::Result<Node> {
        self.kept.made += 1;
        let (high, low) = (mix(self.seed ^ self.kept.made), mix(self.kept.made));
        let node = Node {
            id: format!("{high:016x}{:08x}", low & 0xffff_ffff),
            parent: parent.map(str::to_owned),
            name: name.to_owned(),
            created: now,
            versions: Vec::new(),
            is_folder,
        };
        self.kept.nodes.push(node.clone());
        if is_folder {
            self.keep()?;
        }
        Ok(node)
    }

    /// Gives a file its bytes; `false` if it has them already.
    pub(super) fn write(&mut self, id: &str, bytes: &[u8], now: UtcMs) -> io::Result<bool> {
        let version = Version {
            sha256: hex(&Sha256::digest(bytes)),
            md5: md5(bytes),
            size: bytes.len() as u64,
            modified: now,
        };
        let Some(node) = self.kept.nodes.iter_mut().find(|node| node.id == id) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if node
            .current()
            .is_some_and(|has| has.sha256 == version.sha256)
        {
            return Ok(false);
        }
        disk::put(&RealDisk, &self.object(&version.sha256), bytes)?;
        if let Some(node) = self.kept.nodes.iter_mut().find(|node| node.id == id) {
            node.versions.push(version);
        }
        self.keep()?;
        self.show(id, bytes)?;
        Ok(true)
    }

    /// Takes a file or a folder and all below it away.
    pub(super) fn remove(&mut self, id: &str) -> io::Result<()> {
        let below: Vec<String> = self
            .children(Some(id))
            .iter()
            .map(|node| node.id.clone())
            .collect();
        for child in below {
            self.remove(&child)?;
        }
        let shown = self.node(id).map(|node| self.shown(node));
        self.kept.nodes.retain(|node| node.id != id);
        self.keep()?;
        match shown {
            Some(path) if path.is_file() => RealDisk.remove(&path),
            Some(path) if path.is_dir() => RealDisk.remove_folder(&path),
            _ => Ok(()),
        }
    }

    /// The bytes of a version.
    pub(super) fn bytes(&self, sha256: &str) -> io::Result<Vec<u8>> {
        disk::read_bounded(&RealDisk, &self.object(sha256), FILE_BYTES_MAX)
    }

    fn object(&self, sha256: &str) -> PathBuf {
        self.dir.join("objects").join(sha256)
    }

    fn shown(&self, node: &Node) -> PathBuf {
        let path = self.materialized(node);
        self.dir.join("storage").join(path.trim_matches('/'))
    }

    /// Puts the latest bytes where a person looks; a name that a folder has is left to the folder.
    fn show(&self, id: &str, bytes: &[u8]) -> io::Result<()> {
        let Some(node) = self.node(id) else {
            return Ok(());
        };
        let path = self.shown(node);
        if path.is_dir() {
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            RealDisk.make_folder(folder)?;
        }
        disk::put(&RealDisk, &path, bytes)
    }

    fn keep(&self) -> io::Result<()> {
        let json = serde_json::to_vec(&self.kept)?;
        disk::put(&RealDisk, &self.dir.join("tree.json"), &json)
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_keeps_its_versions_and_is_there_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut tree = Tree::open(dir.path(), 1).unwrap();
        let folder = tree.make(None, "2026", true, UtcMs(1)).unwrap();
        let file = tree.make(Some(&folder.id), "a", false, UtcMs(2)).unwrap();
        tree.make(Some(&folder.id), "a", true, UtcMs(3)).unwrap();
        assert!(tree.write(&file.id, b"one", UtcMs(4)).unwrap());
        assert!(!tree.write(&file.id, b"one", UtcMs(5)).unwrap());
        assert!(tree.write(&file.id, b"second", UtcMs(6)).unwrap());
        let tree = Tree::open(dir.path(), 1).unwrap();
        let file = tree.named(Some(&folder.id), "a", false).unwrap();
        assert_eq!(tree.materialized(file), "/2026/a");
        assert_eq!((file.versions.len(), tree.usage()), (2, 9));
        assert_eq!(tree.bytes(&file.versions[0].sha256).unwrap(), b"one");
        assert_eq!(tree.children(Some(&folder.id)).len(), 2);
    }
}
