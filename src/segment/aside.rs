//! `<spool>/<server>/aside/…`: the files that cannot be used. They are neither used nor deleted, and keep their
//! folders: what was in `2/2026-11-23/14` is in `2/aside/2026-11-23/14`. Nothing that was set aside before is
//! overwritten: a second file goes to `aside.2`, and so on.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

use super::name::{SegmentName, ServerId};
use crate::world::disk::Disk;

/// Whether a folder's name is one of those.
pub fn is_aside(name: &str) -> bool {
    name == "aside"
        || name
            .strip_prefix("aside.")
            .is_some_and(|number| number.parse::<u32>().is_ok())
}

/// Moves a segment's files, it itself in whichever form, the seal last: what is without its seal is not taken for complete.
pub fn segment(disk: &dyn Disk, spool: &Path, name: &SegmentName) -> io::Result<PathBuf> {
    let folder = name.folder();
    let inside = folder.strip_prefix(name.server.as_str()).unwrap_or(&folder);
    let names = ["jsonl", "jsonl.zst", "events.jsonl", "seal.json"]
        .map(|ending| format!("{name}.{ending}"));
    let mut there = Vec::new();
    for name in &names {
        if disk.len(&spool.join(&folder).join(name))?.is_some() {
            there.push(OsStr::new(name));
        }
    }
    set(disk, spool, &name.server, inside, &there)
}

/// The segments of a server that lie aside and arrived in one hour, and where they lie below the spool; `inside` is the
/// hour's folder below the server's. Ascending.
pub fn segments_of(
    disk: &dyn Disk,
    spool: &Path,
    server: &ServerId,
    inside: &Path,
) -> io::Result<BTreeMap<SegmentName, PathBuf>> {
    let mut found = BTreeMap::new();
    let top = Path::new(server.as_str());
    for entry in disk.list(&spool.join(top))? {
        if !entry.folder || !is_aside(&entry.name) {
            continue;
        }
        let folder = top.join(&entry.name).join(inside);
        for file in disk.list(&spool.join(&folder))? {
            if let Some((name, _)) = SegmentName::of_file(&file.name) {
                found.insert(name, folder.clone());
            }
        }
    }
    Ok(found)
}

/// Moves entries of one folder of a server; `inside` is that folder below the server's.
pub fn set(
    disk: &dyn Disk,
    spool: &Path,
    server: &ServerId,
    inside: &Path,
    names: &[&OsStr],
) -> io::Result<PathBuf> {
    let top = spool.join(server.as_str());
    let from = top.join(inside);
    let mut number = 1;
    let to = loop {
        let aside = match number {
            1 => "aside".to_owned(),
            more => format!("aside.{more}"),
        };
        let to = top.join(aside).join(inside);
        if !disk
            .list(&to)?
            .iter()
            .any(|entry| names.contains(&OsStr::new(&entry.name)))
        {
            break to;
        }
        number += 1;
    };
    disk.make_folder(&to)?;
    for name in names {
        disk.rename(&from.join(name), &to.join(name))?;
        disk.sync_folder(&to)?;
        disk.sync_folder(&from)?;
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::disk::{self, RealDisk};

    /// The same segment three times, each time with other bytes, in either form.
    #[test]
    fn nothing_that_was_set_aside_before_is_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let name: SegmentName = "2_sample_20261123T1405Z_3fa9c01b_000".parse().unwrap();
        let folder = dir.path().join(name.folder());
        RealDisk.make_folder(&folder).unwrap();
        let other = folder.join("2_sample_20261123T1406Z_3fa9c01b_000.jsonl");
        disk::put(&RealDisk, &other, b"other").unwrap();
        let mut moved = Vec::new();
        for endings in [
            &["jsonl", "events.jsonl", "seal.json"][..],
            &["jsonl.zst", "events.jsonl", "seal.json"],
            &["jsonl", "jsonl.zst", "seal.json"],
            &["seal.json"],
        ] {
            for ending in endings {
                let bytes = format!("{ending} {}", moved.len());
                let path = folder.join(format!("{name}.{ending}"));
                disk::put(&RealDisk, &path, bytes.as_bytes()).unwrap();
            }
            let to = segment(&RealDisk, dir.path(), &name).unwrap();
            let left = RealDisk.list(&folder).unwrap();
            assert_eq!(
                left.len(),
                1,
                "the other segment stays, and nothing else: {left:?}"
            );
            moved.push((to, endings));
        }
        for (number, (to, endings)) in moved.iter().enumerate() {
            for ending in *endings {
                let path = to.join(format!("{name}.{ending}"));
                let bytes = disk::read_bounded(&RealDisk, &path, 99).unwrap();
                assert_eq!(bytes, format!("{ending} {number}").as_bytes());
            }
        }
        assert!(moved[0].0.ends_with("2/aside/2026-11-23/14"));
        assert!(moved[1].0.ends_with("2/aside.2/2026-11-23/14"));
    }
}
