//! The real disk for unit tests: calls that a test names fail, and as much is free as it says.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use super::disk::{Disk, DiskFile, Entry, RealDisk, Source};

/// What can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Write,
    Sync,
    Rename,
    Reserve,
    MakeFolder,
    List,
}

/// Calls for files whose names end so fail in this way.
type Faults = Arc<Mutex<Vec<(Call, &'static str, io::ErrorKind)>>>;

/// A disk that does as it is told.
#[derive(Default)]
pub struct FaultyDisk {
    faults: Faults,
    free: Mutex<Option<u64>>,
}

struct FaultyFile {
    file: Box<dyn DiskFile>,
    name: String,
    faults: Faults,
}

fn judge(faults: &Faults, call: Call, name: &str) -> io::Result<()> {
    let faults = faults.lock().unwrap();
    let mut faults = faults.iter();
    let fault = faults.find(|(of, ending, _)| *of == call && name.ends_with(ending));
    fault.map_or(Ok(()), |(_, _, kind)| Err((*kind).into()))
}

fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl FaultyDisk {
    /// From now on this call fails for names that end so.
    pub fn fail(&self, call: Call, ending: &'static str, kind: io::ErrorKind) {
        self.faults.lock().unwrap().push((call, ending, kind));
    }

    /// From now on nothing fails.
    pub fn mend(&self) {
        self.faults.lock().unwrap().clear();
    }

    /// From now on so much is free.
    pub fn has_free(&self, bytes: u64) {
        *self.free.lock().unwrap() = Some(bytes);
    }

    fn file(&self, path: &Path, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(FaultyFile {
            file,
            name: name(path),
            faults: Arc::clone(&self.faults),
        })
    }
}

impl io::Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        judge(&self.faults, Call::Write, &self.name)?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl DiskFile for FaultyFile {
    fn sync(&mut self) -> io::Result<()> {
        judge(&self.faults, Call::Sync, &self.name)?;
        self.file.sync()
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.file.cut(len)
    }

    fn second_handle(&self) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(Self {
            file: self.file.second_handle()?,
            name: self.name.clone(),
            faults: Arc::clone(&self.faults),
        }))
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(path, RealDisk.create(path)?))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(path, RealDisk.append(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Source>> {
        RealDisk.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        judge(&self.faults, Call::Rename, &name(to))?;
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        judge(&self.faults, Call::MakeFolder, &name(path))?;
        RealDisk.make_folder(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_folder(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        judge(&self.faults, Call::List, &name(path))?;
        RealDisk.list(path)
    }

    fn len(&self, path: &Path) -> io::Result<Option<u64>> {
        RealDisk.len(path)
    }

    fn reserve(&self, path: &Path, len: u64) -> io::Result<()> {
        // as with a real disk that is full, something of it is there
        if let Err(why) = judge(&self.faults, Call::Reserve, &name(path)) {
            RealDisk.reserve(path, len / 2)?;
            return Err(why);
        }
        RealDisk.reserve(path, len)
    }

    fn free(&self, folder: &Path) -> io::Result<u64> {
        match *self.free.lock().unwrap() {
            Some(free) => Ok(free),
            None => RealDisk.free(folder),
        }
    }
}
