//! Every parser of bytes that come from elsewhere is given what has been tampered with, and must keep its word:
//! what it reads and writes again it reads as the same, what it refuses it names, and no name leads out of a folder.
//! (`collect` has its targets beside its parsers, which nobody else can reach.)

mod remote;
mod settings;
mod spool;
mod store;
mod vault;
mod words;

use std::path::{Component, Path};

use twinstream::world::disk::Disk as _;

use crate::support::disk::SimulatedDisk;

/// A disk with one file.
fn disk_with(path: &Path, bytes: &[u8]) -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    disk.make_folder(path.parent().unwrap()).unwrap();
    disk.create(path).unwrap().write_all(bytes).unwrap();
    disk
}

/// What an input comes to: the kind of what was read, or the error.
fn outcome<T, E: std::fmt::Display>(read: &Result<T, E>) -> String {
    read.as_ref()
        .map_or_else(ToString::to_string, |_| "read".to_owned())
}

/// Nothing of it goes up, or begins elsewhere.
#[track_caller]
fn assert_inside(path: &Path) {
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    assert!(path.components().all(is_plain), "{}", path.display());
}

/// A terminal, a log and a mail take it as one line.
#[track_caller]
fn assert_one_line(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

fn golden(path: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1");
    std::fs::read(folder.join(path)).unwrap()
}
