//! The collector, in this process, on a disk that notes when every line was durable.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use clap::Args;
use twinstream::{
    collect::Collector,
    config::{
        proxy::Proxies,
        settings::{Fields, Secret, X, XStream},
    },
    place::{decide::Asks, open::Opener},
    source::x::wire::Api,
    world::{
        clock::Clock,
        disk::{Disk, DiskFile, Entry, RealDisk, Source},
    },
};

use super::Failure;

#[derive(Args)]
pub(super) struct Collect {
    #[arg(long)]
    base_url: String,
    #[arg(long)]
    spool: PathBuf,
}

impl Collect {
    /// Collects until it is told to stop, then prints for every line, in order, the millisecond since
    /// 1970 at which it was durable; one on a line.
    pub(super) fn run(&self) -> Result<(), Failure> {
        let clock = Clock::system();
        let noting = NotingDisk {
            clock: clock.clone(),
            files: Arc::default(),
        };
        let files = Arc::clone(&noting.files);
        let collector = Collector {
            spool: {
                let spool = self.spool.clone();
                Box::new(move || {
                    Opener::of(&RealDisk, &spool).spool(&spool.clone().into(), Asks::Make)
                })
            },
            data_dir: self.spool.clone(),
            server: "1".parse()?,
            wires: {
                let settings = X {
                    rules: Vec::new(),
                    stream: XStream::Sample,
                    base_url: self.base_url.clone(),
                    bearer_token_file: PathBuf::new(),
                    fields: Fields::Core,
                    backfill: false,
                    max_line: 1 << 20,
                };
                vec![Box::new(Api::new(
                    &settings,
                    None,
                    &Secret::new("simulated"),
                )?)]
            },
            endpoints: vec![self.base_url.clone()],
            proxies: Proxies::default(),
            clock,
            disk: Arc::new(noting),
            progress: Arc::default(),
        };
        collector.run()?;
        let files = files.lock().unwrap_or_else(PoisonError::into_inner);
        for file in files.iter() {
            let file = file.lock().unwrap_or_else(PoisonError::into_inner);
            for ms in &file.durable_ms {
                println!("{ms}");
            }
        }
        Ok(())
    }
}

/// What is known of a segment that is being written.
#[derive(Default)]
struct Lines {
    written: usize,
    /// For each line that is durable, when it was.
    durable_ms: Vec<i64>,
}

type Shared = Arc<Mutex<Lines>>;

/// The real disk, which notes what becomes of segments.
struct NotingDisk {
    clock: Clock,
    /// In the order in which they were made.
    files: Arc<Mutex<Vec<Shared>>>,
}

struct NotingFile {
    file: Box<dyn DiskFile>,
    clock: Clock,
    lines: Shared,
}

impl NotingFile {
    fn lines(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for NotingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.file.write(bytes)?;
        let ends = bytes.iter().take(len).filter(|byte| **byte == b'\n');
        self.lines().written += ends.count();
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl DiskFile for NotingFile {
    fn sync(&mut self) -> io::Result<()> {
        let written = self.lines().written;
        self.file.sync()?;
        let now = self.clock.now().0;
        let mut lines = self.lines();
        let more = written.max(lines.durable_ms.len());
        lines.durable_ms.resize(more, now);
        Ok(())
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.file.cut(len)
    }

    fn second_handle(&self) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(Self {
            file: self.file.second_handle()?,
            clock: self.clock.clone(),
            lines: Arc::clone(&self.lines),
        }))
    }
}

impl Disk for NotingDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = RealDisk.create(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.ends_with(".jsonl.open") || name.ends_with(".events.jsonl.open") {
            return Ok(file);
        }
        let lines = Shared::default();
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.push(Arc::clone(&lines));
        Ok(Box::new(NotingFile {
            file,
            clock: self.clock.clone(),
            lines,
        }))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.append(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Source>> {
        RealDisk.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        RealDisk.make_folder(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_folder(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        RealDisk.list(path)
    }

    fn len(&self, path: &Path) -> io::Result<Option<u64>> {
        RealDisk.len(path)
    }

    fn reserve(&self, path: &Path, len: u64) -> io::Result<()> {
        RealDisk.reserve(path, len)
    }

    fn free(&self, folder: &Path) -> io::Result<u64> {
        RealDisk.free(folder)
    }
}
