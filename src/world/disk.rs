//! Files. The one trait of the project: the tests implement it a second time, as a disk that
//! forgets at a power cut what was not synced.
//!
//! The recipe *write aside → sync → rename → sync the folder* is here once, in `put`. New files are 0640, new folders
//! 0750. Every error says what could not be done, and with which file.
//!
//! There are two kinds of files. What we or another machine put there is used through `RealDisk`, which
//! follows no symbolic link. What a user names on the command line or in the configuration is read as
//! every tool reads it: see `users_file`.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt as _, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

use super::error_at::not;

/// What the file system itself keeps in its root: it is not ours, and not listed.
const LOST_AND_FOUND: &str = "lost+found";

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name, without its folder. Entries whose names are not UTF-8 are not ours and are
    /// not listed.
    pub name: String,
    /// Whether it is a folder. Symbolic links count as neither folder nor file and are not listed.
    pub folder: bool,
    /// Bytes, for a file.
    pub len: u64,
}

/// What a folder was like at a moment: as soon as something is put into it, taken out of it or renamed in it, it is like
/// something else for good. (The file's number and the time of its last change, which nobody can set.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FolderState(pub [i64; 3]);

/// What can be read and positioned.
pub trait Source: Read + Seek + Send {}
impl<T: Read + Seek + Send> Source for T {}

/// An open file that is being written.
pub trait DiskFile: Write + Send {
    /// Makes all that was written so far durable (`fdatasync`).
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to that many bytes; the next write goes to its end.
    fn cut(&mut self, len: u64) -> io::Result<()>;
    /// A second handle on the same file, so that another thread can sync while this one writes.
    fn second_handle(&self) -> io::Result<Box<dyn DiskFile>>;
}

/// What stages ask of a file system.
///
/// A power cut keeps any part of what is not durable yet: any beginning of what was appended to a file, and any
/// beginning of a folder's changes in their order, independently for each folder.
pub trait Disk: Send + Sync {
    /// Makes a new file; an existing one is an error.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file to write at its end; makes it if there is none. Does not follow a symbolic link as the last part:
    /// files in a spool may come from another machine.
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file to read. Does not follow a symbolic link in the last place.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Source>>;
    /// Renames a file, in place of another if there is one. Durable after [`Disk::sync_folder`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. Durable after [`Disk::sync_folder`].
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder and those above it, durably; those that are there stay as they are.
    fn make_folder(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes the entries of a folder durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// The entries of a folder, by name; an absent folder has none.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;
    /// What a folder is like now; `None` if there is none, or if this disk cannot tell.
    fn version(&self, _folder: &Path) -> io::Result<Option<FolderState>> {
        Ok(None)
    }
    /// What [`Disk::list`] leaves out of a folder: links, sockets, names that are not UTF-8. A disk
    /// that cannot hold such things has none.
    fn others(&self, _folder: &Path) -> io::Result<Vec<OsString>> {
        Ok(Vec::new())
    }
    /// A file's length; `None` if there is no such file.
    fn len(&self, path: &Path) -> io::Result<Option<u64>>;
    /// Makes a file of that length whose blocks are really taken from the disk.
    fn reserve(&self, path: &Path, len: u64) -> io::Result<()>;
    /// Bytes that this process may still write on the file system of that folder.
    fn free(&self, folder: &Path) -> io::Result<u64>;
}

/// The real file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl RealDisk {
    /// Whether nothing can be made on the file system of that folder although it has room.
    pub fn has_no_inode(self, folder: &Path) -> bool {
        rustix::fs::statvfs(folder).is_ok_and(|fs| has_no_inode(&fs))
    }
}

/// An open file that knows its name.
struct RealFile {
    file: File,
    path: PathBuf,
}

impl RealFile {
    fn open(options: &OpenOptions, path: &Path) -> io::Result<Self> {
        let file = options.open(path).map_err(not("opened", path))?;
        let path = path.to_owned();
        Ok(Self { file, path })
    }
}

impl Write for RealFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(not("written", &self.path))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().map_err(not("written", &self.path))
    }
}

impl Read for RealFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.file.read(into).map_err(not("read", &self.path))
    }
}

impl Seek for RealFile {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.file.seek(to).map_err(not("read", &self.path))
    }
}

impl DiskFile for RealFile {
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data().map_err(not("synced", &self.path))
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len).map_err(not("cut", &self.path))
    }

    fn second_handle(&self) -> io::Result<Box<dyn DiskFile>> {
        let file = self.file.try_clone().map_err(not("shared", &self.path))?;
        let path = self.path.clone();
        Ok(Box::new(Self { file, path }))
    }
}

/// The flag that makes opening a symbolic link an error.
fn no_follow() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0)
}

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        // append: a cut must not leave the write position beyond the end
        let mut options = OpenOptions::new();
        options.append(true).create_new(true).mode(0o640);
        let file = options.open(path).map_err(not("made", path))?;
        let path = path.to_owned();
        Ok(Box::new(RealFile { file, path }))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o640);
        options.custom_flags(no_follow());
        Ok(Box::new(RealFile::open(&options, path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Source>> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(no_follow());
        Ok(Box::new(RealFile::open(&options, path)?))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to).map_err(not("renamed", from))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path).map_err(not("removed", path))
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent {
            self.make_folder(parent)?;
        }
        match fs::DirBuilder::new().mode(0o750).create(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => (),
            other => other.map_err(not("made", path))?,
        }
        parent.map_or(Ok(()), |parent| self.sync_folder(parent))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path).map_err(not("removed", path))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let synced = File::open(path).and_then(|folder| folder.sync_all());
        synced.map_err(not("synced", path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        listed(path, |entry| {
            let meta = entry.metadata()?;
            if meta.is_symlink() {
                tracing::warn!(
                    "{} is a symbolic link and is skipped",
                    entry.path().display()
                );
            }
            Ok(meta)
        })
    }

    fn version(&self, path: &Path) -> io::Result<Option<FolderState>> {
        match fs::symlink_metadata(path) {
            Ok(meta) if meta.is_dir() => {
                let [second, nanosecond] = [meta.ctime(), meta.ctime_nsec()];
                Ok(Some(FolderState([
                    meta.ino().cast_signed(),
                    second,
                    nanosecond,
                ])))
            }
            Ok(_) => Ok(None),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(not("examined", path)(e)),
        }
    }

    fn others(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let mut found = Vec::new();
        for entry in entries(path)? {
            let entry = entry.map_err(not("listed", path))?;
            let name = entry.file_name();
            let kind = entry.file_type();
            let kind = kind.map_err(not("examined", &path.join(&name)))?;
            if name.to_str().is_none() || !(kind.is_dir() || kind.is_file()) {
                found.push(name);
            }
        }
        Ok(found)
    }

    fn len(&self, path: &Path) -> io::Result<Option<u64>> {
        match fs::symlink_metadata(path) {
            Ok(meta) => Ok(meta.is_file().then_some(meta.len())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(not("examined", path)(e)),
        }
    }

    fn reserve(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o640);
        options.custom_flags(no_follow());
        let RealFile { file, .. } = RealFile::open(&options, path)?;
        let taken = match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, len)
        {
            Ok(()) => Ok(()),
            // a file system without fallocate: take the blocks by writing them
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                io::copy(&mut io::repeat(0).take(len), &mut &file).map(drop)
            }
            Err(e) => Err(e.into()),
        };
        let synced = taken.and_then(|()| file.sync_all());
        synced.map_err(not("written", path))
    }

    fn free(&self, folder: &Path) -> io::Result<u64> {
        let fs = rustix::fs::statvfs(folder);
        let fs = fs.map_err(|e| not("examined", folder)(e.into()))?;
        if has_no_inode(&fs) {
            return Ok(0);
        }
        Ok(fs.f_bavail.saturating_mul(fs.f_frsize))
    }
}

/// The files and folders that a user names, to read: links are followed, and a pipe is a file.
#[derive(Debug, Clone, Copy, Default)]
pub struct UsersDisk;

impl UsersDisk {
    /// Opens a file. Its rights are those of what was opened, wherever the links led.
    pub fn open_file(self, path: &Path) -> io::Result<(impl Source + use<>, fs::Metadata)> {
        let mut options = OpenOptions::new();
        let opened = RealFile::open(options.read(true), path)?;
        let meta = opened.file.metadata().map_err(not("examined", path))?;
        Ok((opened, meta))
    }
}

fn only_read<T>(path: &Path) -> io::Result<T> {
    Err(not("changed", path)(
        io::ErrorKind::ReadOnlyFilesystem.into(),
    ))
}

impl Disk for UsersDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        only_read(path)
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        only_read(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Source>> {
        Ok(Box::new(self.open_file(path)?.0))
    }

    fn rename(&self, from: &Path, _to: &Path) -> io::Result<()> {
        only_read(from)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        only_read(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        only_read(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        only_read(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        only_read(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        listed(path, |entry| fs::metadata(entry.path()))
    }

    fn others(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let ours = self.list(path)?;
        let names = entries(path)?.map(|entry| entry.map(|entry| entry.file_name()));
        let names: io::Result<Vec<OsString>> = names.collect();
        let mut names = names.map_err(not("listed", path))?;
        names.retain(|name| {
            *name != *LOST_AND_FOUND && !ours.iter().any(|entry| *name == *entry.name)
        });
        Ok(names)
    }

    fn len(&self, path: &Path) -> io::Result<Option<u64>> {
        match fs::metadata(path) {
            Ok(meta) => Ok(meta.is_file().then_some(meta.len())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(not("examined", path)(e)),
        }
    }

    fn reserve(&self, path: &Path, _len: u64) -> io::Result<()> {
        only_read(path)
    }

    fn free(&self, folder: &Path) -> io::Result<u64> {
        RealDisk.free(folder)
    }
}

/// The files and folders in a folder, by name.
fn listed(
    path: &Path,
    look: impl Fn(&fs::DirEntry) -> io::Result<fs::Metadata>,
) -> io::Result<Vec<Entry>> {
    let mut found = Vec::new();
    for entry in entries(path)? {
        let entry = entry.map_err(not("listed", path))?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            continue;
        };
        if name == LOST_AND_FOUND {
            continue;
        }
        let meta = match look(&entry) {
            Ok(meta) => meta,
            // gone since, or a link to nothing
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(not("examined", &path.join(name))(e)),
        };
        if meta.is_dir() || meta.is_file() {
            found.push(Entry {
                name,
                folder: meta.is_dir(),
                len: meta.len(),
            });
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a file system has a number of inodes, and all are taken: nothing can be made there.
fn has_no_inode(fs: &rustix::fs::StatVfs) -> bool {
    0 < fs.f_files && fs.f_favail == 0
}

/// The entries of a folder; an absent one has none.
fn entries(path: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(path) {
        Ok(listing) => Ok(Some(listing).into_iter().flatten()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        Err(e) => Err(not("listed", path)(e)),
    }
}

/// Puts a whole file in place, durably: it is there with these bytes, or as it was before.
pub fn put(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = aside(path);
    let mut file = create_anew(disk, &aside)?;
    file.write_all(bytes)?;
    file.sync()?;
    drop(file);
    disk.rename(&aside, path)?;
    disk.sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Removes a file, if there is one.
pub fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.len(path)? {
        Some(_) => disk.remove(path),
        None => Ok(()),
    }
}

/// Makes a new file. One of that name that was left by an earlier attempt is replaced.
pub fn create_anew(disk: &dyn Disk, path: &Path) -> io::Result<Box<dyn DiskFile>> {
    remove_if_there(disk, path)?;
    disk.create(path)
}

/// Makes a file that only its owner may read. One that is there is an error, and stays.
pub fn put_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create_new(true).mode(0o600);
    let mut file = options.open(path).map_err(not("made", path))?;
    file.write_all(bytes).map_err(not("written", path))?;
    file.sync_all().map_err(not("synced", path))?;
    RealDisk.sync_folder(path.parent().unwrap_or(Path::new("/")))
}

/// Where [`put`] writes before it renames: `name.tmp`.
pub fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// A whole file of at most `max` bytes; a longer one is an error, not a long wait.
pub fn read_bounded(disk: &dyn Disk, path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    disk.open(path)?.take(max + 1).read_to_end(&mut bytes)?;
    if max < bytes.len() as u64 {
        let why = format!("it is longer than the {max} bytes such a file may have");
        return Err(not("read", path)(io::Error::other(why)));
    }
    Ok(bytes)
}

/// The same of a file that may not be there.
pub fn read_if_there(disk: &dyn Disk, path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
    match disk.len(path)? {
        Some(_) => read_bounded(disk, path, max).map(Some),
        None => Ok(None),
    }
}

/// What a file has as JSON; `None` if there is none that can be read, for values that are then found again.
pub fn noted<T: DeserializeOwned>(disk: &dyn Disk, path: &Path, max: u64) -> Option<T> {
    let bytes = read_bounded(disk, path, max).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Every line of a file, with its LF if it has one; a line is cut beyond `line_max` bytes. An absent
/// file has none.
pub fn each_line(
    disk: &dyn Disk,
    path: &Path,
    line_max: u64,
    take: impl FnMut(&[u8]),
) -> io::Result<()> {
    each_line_from(disk, (path, 0), line_max, take)
}

/// The same from a line's begin on.
pub fn each_line_from(
    disk: &dyn Disk,
    (path, offset): (&Path, u64),
    line_max: u64,
    mut take: impl FnMut(&[u8]),
) -> io::Result<()> {
    if disk.len(path)?.is_none() {
        return Ok(());
    }
    let mut file = disk.open(path)?;
    // a pipe can only be read from its begin
    if 0 < offset {
        file.seek(io::SeekFrom::Start(offset))?;
    }
    let mut lines = BufReader::new(file);
    let mut line = Vec::new();
    while 0 < lines.by_ref().take(line_max).read_until(b'\n', &mut line)? {
        take(&line);
        line.clear();
    }
    Ok(())
}

/// Appends whole lines, durably. A torn last line does not swallow the first of them.
pub fn append_lines(disk: &dyn Disk, path: &Path, lines: &[u8]) -> io::Result<()> {
    let is_torn = match disk.len(path)? {
        None | Some(0) => false,
        Some(_) => {
            let mut file = disk.open(path)?;
            file.seek(io::SeekFrom::End(-1))?;
            let mut last = [0];
            file.read_exact(&mut last)?;
            last != *b"\n"
        }
    };
    let mut text = Vec::new();
    if is_torn {
        text.push(b'\n');
    }
    text.extend_from_slice(lines);
    let mut file = disk.append(path)?;
    file.write_all(&text)?;
    file.sync()?;
    disk.sync_folder(path.parent().unwrap_or(Path::new(".")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_made_is_for_its_owner_and_the_group_and_a_secret_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        RealDisk.make_folder(&path("a/b")).unwrap();
        drop(RealDisk.create(&path("a/created")).unwrap());
        drop(RealDisk.append(&path("a/appended")).unwrap());
        put(&RealDisk, &path("a/put"), b"x").unwrap();
        RealDisk.reserve(&path("a/reserved"), 10).unwrap();
        put_secret(&path("a/secret"), b"x").unwrap();
        // what the umask takes away is taken away besides
        let at_most = |name: &str, most: u32| {
            let mode = mode(&path(name));
            assert!(
                mode & !most == 0 && mode & 0o600 == 0o600,
                "{name}: {mode:o}"
            );
        };
        for name in ["a", "a/b"] {
            at_most(name, 0o750);
        }
        for name in ["a/created", "a/appended", "a/put", "a/reserved"] {
            at_most(name, 0o640);
        }
        at_most("a/secret", 0o600);
        assert!(
            put_secret(&path("a/secret"), b"y").is_err(),
            "one that is there stays"
        );
    }

    #[test]
    fn no_link_is_followed_and_none_is_listed() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        put(&RealDisk, &path("file"), b"x").unwrap();
        RealDisk.make_folder(&path("folder")).unwrap();
        for (to, link) in [
            ("file", "to_file"),
            ("folder", "to_folder"),
            ("none", "to_none"),
        ] {
            symlink(path(to), path(link)).unwrap();
            let link = path(link);
            assert!(
                RealDisk.open(&link).is_err() && RealDisk.append(&link).is_err(),
                "{to}"
            );
            assert!(RealDisk.create(&link).is_err() && RealDisk.reserve(&link, 9).is_err());
            assert_eq!(RealDisk.len(&link).unwrap(), None);
        }
        let names: Vec<String> = RealDisk
            .list(dir.path())
            .unwrap()
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        assert_eq!(names, ["file", "folder"]);
        assert_eq!(RealDisk.others(dir.path()).unwrap().len(), 3);
        assert!(!path("none").exists());
    }
}
