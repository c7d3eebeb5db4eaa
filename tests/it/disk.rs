//! Both disks, the real one and the simulated one, keep the same contract.

use std::{
    io::{ErrorKind, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use tempfile::TempDir;
use twinstream::world::disk::{Disk, RealDisk, put, read_bounded};

use crate::support::disk::SimulatedDisk;

/// The contract, step by step, in an empty folder.
fn check_contract(disk: &dyn Disk, dir: &Path) {
    let (a, b, folder) = (dir.join("a"), dir.join("b"), dir.join("x/y"));
    let read = |path: &Path| read_bounded(disk, path, 1_000).unwrap();
    let names = |path: &Path| -> Vec<(String, bool, u64)> {
        let entries = disk.list(path).unwrap().into_iter();
        // how long a folder is, is the file system's own business
        let len = |entry: &twinstream::world::disk::Entry| if entry.folder { 0 } else { entry.len };
        entries
            .map(|entry| (entry.name.clone(), entry.folder, len(&entry)))
            .collect()
    };

    assert_eq!(disk.len(&a).unwrap(), None);
    assert_eq!(disk.open(&a).err().unwrap().kind(), ErrorKind::NotFound);
    assert_eq!(disk.remove(&a).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(disk.rename(&a, &b).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(
        disk.create(&folder.join("f")).err().unwrap().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(disk.list(&folder).unwrap(), []);

    let mut file = disk.create(&a).unwrap();
    assert_eq!(
        disk.create(&a).err().unwrap().kind(),
        ErrorKind::AlreadyExists
    );
    file.write_all(b"one\ntwo\nthr").unwrap();
    assert_eq!(read(&a), b"one\ntwo\nthr", "handed over at once");
    file.cut(8).unwrap();
    file.write_all(b"3\n").unwrap();
    assert_eq!(read(&a), b"one\ntwo\n3\n", "a cut leaves no hole");
    let mut second = file.second_handle().unwrap();
    second.sync().unwrap();
    drop((file, second));
    let mut again = disk.append(&a).unwrap();
    again.write_all(b"4\n").unwrap();
    again.sync().unwrap();
    drop(again);
    assert_eq!(disk.len(&a).unwrap(), Some(12));
    assert!(read_bounded(disk, &a, 11).is_err(), "longer than allowed");
    let mut source = disk.open(&a).unwrap();
    source.seek(SeekFrom::Start(8)).unwrap();
    let mut rest = String::new();
    source.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "3\n4\n");

    disk.make_folder(&folder).unwrap();
    disk.make_folder(&folder).unwrap();
    put(disk, &folder.join("f"), b"first").unwrap();
    put(disk, &folder.join("f"), b"second").unwrap();
    drop(disk.create(&folder.join("g.tmp")).unwrap());
    put(disk, &folder.join("g"), b"beside what a crash left").unwrap();
    assert_eq!(read(&folder.join("f")), b"second");
    assert_eq!(
        names(&folder),
        [("f".to_owned(), false, 6), ("g".to_owned(), false, 24)]
    );
    assert!(disk.remove_folder(&folder).is_err(), "it is not empty");
    disk.remove(&folder.join("f")).unwrap();
    disk.remove(&folder.join("g")).unwrap();
    disk.remove_folder(&folder).unwrap();

    disk.rename(&a, &b).unwrap();
    assert_eq!(
        names(dir),
        [("b".to_owned(), false, 12), ("x".to_owned(), true, 0)]
    );
    drop(disk.create(&a).unwrap());
    disk.rename(&a, &b).unwrap();
    assert_eq!(read(&b), b"", "in place of the other");

    let free = disk.free(dir).unwrap();
    disk.reserve(&a, 1 << 20).unwrap();
    disk.reserve(&a, 1 << 20).unwrap();
    assert_eq!(disk.len(&a).unwrap(), Some(1 << 20));
    assert!(disk.free(dir).unwrap() < free || free == u64::MAX);
    disk.sync_folder(dir).unwrap();
}

#[test]
fn the_real_disk_keeps_the_contract() {
    let dir = TempDir::new().unwrap();
    check_contract(&RealDisk, dir.path());
}

#[test]
fn the_simulated_disk_keeps_the_contract() {
    let disk = SimulatedDisk::default();
    disk.make_folder(Path::new("/d")).unwrap();
    disk.set_capacity(Some(1 << 24));
    check_contract(&disk, Path::new("/d"));
}

#[test]
fn the_simulated_disk_forgets_what_was_not_synced() {
    let kept = |sync_file: bool, sync_folder: bool| -> Vec<usize> {
        let mut kept: Vec<usize> = (0..64)
            .map(|seed| {
                let disk = SimulatedDisk::default();
                disk.make_folder(Path::new("/d")).unwrap();
                let mut file = disk.create(Path::new("/d/f")).unwrap();
                file.write_all(b"1234").unwrap();
                if sync_file {
                    file.sync().unwrap();
                }
                if sync_folder {
                    disk.sync_folder(Path::new("/d")).unwrap();
                }
                disk.power_cut(seed);
                disk.files().get(Path::new("/d/f")).map_or(99, Vec::len)
            })
            .collect();
        kept.sort_unstable();
        kept.dedup();
        kept
    };
    assert_eq!(kept(true, true), [4]);
    assert_eq!(kept(false, true), [0, 1, 2, 3, 4]);
    assert_eq!(kept(true, false), [4, 99]);
}
