//! Files. The one trait of the project: the tests implement it a second time, as a disk that
//! forgets at a power cut what was not synced.
//!
//! The recipe *write aside → sync → rename → sync the folder* stands here once, in `put`.
//! New files are 0640, new folders 0750.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name, without its folder. Entries whose names are not UTF-8 are none of ours and are
    /// not listed.
    pub name: String,
    /// Whether it is a folder. Symbolic links count as neither folder nor file and are not listed.
    pub folder: bool,
    /// Bytes, for a file.
    pub len: u64,
}

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
pub trait Disk: Send + Sync {
    /// Makes a new file; an existing one is an error.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file to write at its end; makes it if there is none. Does not follow a symbolic link in
    /// the last place: what lies in a spool may come from another machine.
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file to read. Does not follow a symbolic link in the last place.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Source>>;
    /// Renames a file, in place of another if there is one. Durable after [`Disk::sync_folder`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. Durable after [`Disk::sync_folder`].
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder and those above it, durably.
    fn make_folder(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes the entries of a folder durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// The entries of a folder, by name; an absent folder has none.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;
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

struct RealFile(File);

impl Write for RealFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl DiskFile for RealFile {
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn second_handle(&self) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(Self(self.0.try_clone()?)))
    }
}

/// The flag that makes opening a symbolic link an error.
fn no_follow() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0)
}

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        // append: a cut must not leave the write position beyond the end
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o640)
            .open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .custom_flags(no_follow())
            .open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Source>> {
        Ok(Box::new(
            OpenOptions::new()
                .read(true)
                .custom_flags(no_follow())
                .open(path)?,
        ))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
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
            other => other?,
        }
        parent.map_or(Ok(()), |parent| self.sync_folder(parent))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let listing = match fs::read_dir(path) {
            Ok(listing) => listing,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        let mut found = Vec::new();
        for entry in listing {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                continue;
            };
            let meta = match entry.metadata() {
                Ok(meta) => meta,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            if meta.is_symlink() {
                tracing::warn!(
                    "{} is a symbolic link and is passed over",
                    path.join(name).display()
                );
            } else if meta.is_dir() || meta.is_file() {
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

    fn others(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let listing = match fs::read_dir(path) {
            Ok(listing) => listing,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        let mut found = Vec::new();
        for entry in listing {
            let entry = entry?;
            let name = entry.file_name();
            let kind = entry.file_type()?;
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
            Err(e) => Err(e),
        }
    }

    fn reserve(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .custom_flags(no_follow())
            .open(path)?;
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, len) {
            Ok(()) => (),
            // a file system without fallocate: take the blocks by writing them
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                io::copy(&mut io::repeat(0).take(len), &mut &file)?;
            }
            Err(e) => return Err(e.into()),
        }
        file.sync_all()
    }

    fn free(&self, folder: &Path) -> io::Result<u64> {
        let fs = rustix::fs::statvfs(folder)?;
        Ok(fs.f_bavail.saturating_mul(fs.f_frsize))
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
        return Err(io::Error::other(format!(
            "it is longer than the {max} bytes such a file may have"
        )));
    }
    Ok(bytes)
}

/// Every line of a file, with its LF if it has one; a line is cut beyond `line_max` bytes. An absent
/// file has none.
pub fn each_line(
    disk: &dyn Disk,
    path: &Path,
    line_max: u64,
    mut take: impl FnMut(&[u8]),
) -> io::Result<()> {
    if disk.len(path)?.is_none() {
        return Ok(());
    }
    let mut lines = BufReader::new(disk.open(path)?);
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
