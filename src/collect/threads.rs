//! The two threads at the disk's end of the queue: one writes, one syncs and seals.
//!
//! Writing never waits for a sync: each batch goes to the kernel as it comes, in one call. The other thread makes it
//! durable within a second, and seals segments whose minute is over. On a full disk, both free the reserve and try
//! again until there is room; nothing that was read is dropped.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::halt::{Halt, Stop};
use crate::{
    period::{Minute, UtcMs},
    place::open::Spool,
    segment::{
        event::Event,
        name::{Leg, SegmentName},
        runs::{self, Run, Runs},
        writer::{Closed, Lines, Watched, WriteError, Writer},
    },
    world::{clock::Clock, disk::Disk},
};

/// From the first byte that is not durable to the sync: with the sync itself it stays below 1.1 s.
const SYNC_AFTER: Duration = Duration::from_millis(850);

/// From the end of a pair's sealing to the first sync of the next pair.
const AFTER_SEALING: Duration = Duration::from_millis(50);

/// However fast a simulated clock runs, the disk is a real one.
const SYNC_AFTER_REAL_MIN: Duration = Duration::from_millis(200);

/// How often a full disk is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Threads that call the disk and little else.
const STACK_BYTES: usize = 256 * 1024;

/// How long before its first minute the folder of an hour is made, so that no line waits for it.
const FOLDER_AHEAD_MINUTES: i64 = 2;

/// What the reading side hands over, in the order in which it happened.
pub(super) enum Message {
    /// Lines that arrived together.
    Lines {
        first: UtcMs,
        last: UtcMs,
        stored: Vec<u8>,
        oversize: u64,
        /// Gives the queue its room back when the lines are written.
        room: Option<OwnedSemaphorePermit>,
    },
    /// Something happened.
    Event {
        event: Event,
        room: Option<OwnedSemaphorePermit>,
    },
    /// The time: pairs of earlier minutes are over.
    Turn(UtcMs),
    /// What comes now belongs to this run.
    Run {
        run: Run,
        /// It and those before, to be kept.
        runs: Runs,
    },
    /// The open pair is to be sealed.
    Close,
}

/// What the writing thread hands on to the one that syncs.
enum SyncJob {
    /// This pair is open now.
    Watch(Watched),
    /// Something was written since the last sync.
    Dirty,
    /// This pair is over.
    Seal(Box<Closed>),
    /// This name's folder is needed soon.
    Prepare(SegmentName),
}

/// What both threads need.
#[derive(Clone)]
pub(super) struct ThreadContext {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) spool: Spool,
    pub(super) leg: Leg,
    pub(super) clock: Clock,
    pub(super) halt: Arc<Halt>,
}

impl ThreadContext {
    /// Whether the spool is where it was. Where it is not, nothing is made.
    fn has_spool(&self) -> bool {
        self.spool.is_here(&*self.disk)
    }

    /// A failure because the spool is away passes when it is back.
    fn judged(&self, error: WriteError) -> WriteError {
        match error {
            WriteError::Io { path, .. } if !self.has_spool() => WriteError::Away { path },
            error => error,
        }
    }
}

/// Starts both threads. They end when the sender is dropped, after everything is written and
/// sealed; then the second value resolves.
pub(super) fn start(
    context: &ThreadContext,
    writer: Writer,
) -> io::Result<(Sender<Message>, oneshot::Receiver<()>)> {
    let (to_writer, messages) = mpsc::channel();
    let (to_syncer, jobs) = mpsc::channel();
    let (done, when_done) = oneshot::channel::<()>();
    let dirty = Arc::new(AtomicBool::new(false));
    let syncer = Syncer {
        context: context.clone(),
        dirty: Arc::clone(&dirty),
        watched: None,
        to_seal: VecDeque::new(),
    };
    let writing = WriteThread {
        context: context.clone(),
        writer,
        to_syncer,
        dirty,
        watched: None,
    };
    let thread = |name: &str| {
        thread::Builder::new()
            .name(name.to_owned())
            .stack_size(STACK_BYTES)
    };
    let syncing = thread("sync").spawn(move || syncer.run(&jobs))?;
    thread("write").spawn(move || {
        writing.run(messages);
        // a panic aborts the process, so this only waits for the thread's end
        drop(syncing.join());
        drop(done);
    })?;
    Ok((to_writer, when_done))
}

struct WriteThread {
    context: ThreadContext,
    writer: Writer,
    to_syncer: Sender<SyncJob>,
    dirty: Arc<AtomicBool>,
    /// The pair that the other thread knows of.
    watched: Option<SegmentName>,
}

impl WriteThread {
    fn run(mut self, messages: Receiver<Message>) {
        for message in messages {
            if let Err(error) = self.take(message) {
                self.context.halt.stop(Stop::Trouble(error.to_string()));
                break;
            }
        }
        self.close();
    }

    fn take(&mut self, message: Message) -> Result<(), WriteError> {
        match message {
            Message::Lines {
                first,
                last,
                stored,
                oversize,
                room,
            } => {
                self.turn_to(first);
                let lines = Lines {
                    first,
                    last,
                    stored: &stored,
                    oversize,
                };
                self.patiently(|writer| writer.lines(lines))?;
                drop(room);
                self.tell_syncer()
            }
            Message::Event { event, room } => {
                self.turn_to(event.at);
                self.patiently(|writer| writer.event(&event))?;
                drop(room);
                self.tell_syncer()
            }
            Message::Turn(at) => {
                self.turn_to(at);
                Ok(())
            }
            Message::Run { run, runs } => {
                if let Some(closed) = self.writer.begin_run(run) {
                    self.hand_on(SyncJob::Seal(Box::new(closed)));
                }
                let context = self.context.clone();
                let path = runs::path(&context.spool, &context.leg);
                self.patiently(|_| {
                    let kept = runs.keep(&*context.disk, &context.spool, &context.leg);
                    kept.map_err(|source| WriteError::new(&path, source))
                })
            }
            Message::Close => {
                self.close();
                Ok(())
            }
        }
    }

    /// Writes; on a full disk it waits for room, and for a disk that is away until it is back.
    fn patiently(
        &mut self,
        mut write: impl FnMut(&mut Writer) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        loop {
            let written = if self.writer.open_name().is_some() || self.context.has_spool() {
                write(&mut self.writer).map_err(|error| self.context.judged(error))
            } else {
                let path = self.context.spool.to_path_buf();
                Err(WriteError::Away { path })
            };
            match written {
                Err(error) if error.passes() => {
                    if self.context.halt.disk_fails(&error) {
                        continue;
                    }
                    if self.context.halt.must_hurry() {
                        return Err(error);
                    }
                    self.context.clock.block(RETRY);
                }
                other => return other,
            }
        }
    }

    fn turn_to(&mut self, at: UtcMs) {
        if let Some(closed) = self.writer.turn_to(at) {
            self.hand_on(SyncJob::Seal(Box::new(closed)));
        }
    }

    fn close(&mut self) {
        if let Some(closed) = self.writer.close() {
            self.hand_on(SyncJob::Seal(Box::new(closed)));
        }
    }

    /// Has the other thread sync what was just written.
    fn tell_syncer(&mut self) -> Result<(), WriteError> {
        let was_dirty = self.dirty.swap(true, Ordering::SeqCst);
        if self.watched.as_ref() == self.writer.open_name() {
            if !was_dirty {
                self.hand_on(SyncJob::Dirty);
            }
            return Ok(());
        }
        if let Some(watched) = self.writer.watch()? {
            self.hand_on(SyncJob::Watch(watched));
        }
        self.watched = self.writer.open_name().cloned();
        if let Some(name) = &self.watched {
            let mut soon = name.clone();
            soon.minute = Minute(name.minute.0 + FOLDER_AHEAD_MINUTES);
            self.hand_on(SyncJob::Prepare(soon));
        }
        Ok(())
    }

    fn hand_on(&self, job: SyncJob) {
        // it fails only when the other thread has ended, which it does after us
        drop(self.to_syncer.send(job));
    }
}

struct Syncer {
    context: ThreadContext,
    /// Whether something was written since the last sync began.
    dirty: Arc<AtomicBool>,
    watched: Option<Watched>,
    to_seal: VecDeque<Box<Closed>>,
}

impl Syncer {
    fn run(mut self, jobs: &Receiver<SyncJob>) {
        let sync_after = self.context.clock.real(SYNC_AFTER).max(SYNC_AFTER_REAL_MIN);
        let retry = self.context.clock.real(RETRY).max(SYNC_AFTER_REAL_MIN);
        let mut due = false;
        // lines written while a pair was being sealed have waited long enough
        let mut soon = false;
        loop {
            let job = match (due, self.to_seal.is_empty()) {
                (true, _) if soon => jobs.recv_timeout(AFTER_SEALING),
                (true, _) => jobs.recv_timeout(sync_after),
                (false, false) => jobs.recv_timeout(retry),
                (false, true) => jobs.recv().map_err(|_ended| RecvTimeoutError::Disconnected),
            };
            match job {
                Ok(SyncJob::Dirty) => due = true,
                Ok(SyncJob::Watch(watched)) => {
                    self.watched = Some(watched);
                    due = true;
                }
                Ok(SyncJob::Prepare(name)) => self.prepare(&name),
                Ok(SyncJob::Seal(closed)) => {
                    // sealing syncs it; what is written by now belongs to the next pair
                    self.watched = None;
                    self.to_seal.push_back(closed);
                    self.seal_all();
                    soon = true;
                }
                Err(RecvTimeoutError::Timeout) => {
                    due = self.sync();
                    soon = false;
                    self.seal_all();
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        while !self.to_seal.is_empty() && !self.context.halt.must_hurry() {
            self.seal_all();
            if !self.to_seal.is_empty() {
                self.context.clock.block(RETRY);
            }
        }
    }

    /// Makes the open pair durable; says whether that is still to be done.
    fn sync(&mut self) -> bool {
        self.dirty.store(false, Ordering::SeqCst);
        let Some(watched) = &mut self.watched else {
            return false;
        };
        match watched.sync(&*self.context.disk) {
            Ok(()) => false,
            Err(error) => {
                let error = self.context.judged(error);
                self.failed(&error);
                error.passes()
            }
        }
    }

    fn seal_all(&mut self) {
        while let Some(closed) = self.to_seal.front_mut() {
            let context = &self.context;
            let mut seal = || {
                closed
                    .seal(&*context.disk)
                    .map_err(|error| context.judged(error))
            };
            let mut sealed = seal();
            if let Err(error) = &sealed
                && error.passes()
                && self.context.halt.disk_fails(error)
            {
                sealed = seal();
            }
            match sealed {
                Ok(()) => self.context.halt.renew_reserve(),
                Err(error) if error.passes() => return,
                // the pair stays as it is, and is recovered at the next start
                Err(error) => self.failed(&error),
            }
            self.to_seal.pop_front();
        }
    }

    fn failed(&self, error: &WriteError) {
        if error.passes() {
            self.context.halt.disk_fails(error);
        } else {
            self.context.halt.stop(Stop::Trouble(error.to_string()));
        }
    }

    fn prepare(&self, name: &SegmentName) {
        if !self.context.has_spool() {
            return;
        }
        let folder = self.context.spool.join(name.folder());
        if let Err(error) = self.context.disk.make_folder(&folder) {
            // the pair that needs it makes it again, and heeds the failure
            tracing::debug!("cannot make {} yet: {error}", folder.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, path::Path, sync::Mutex};

    use super::*;
    use crate::{
        place::{decide::Asks, open::Opener},
        segment::{event::EventKind, name::RunId},
        source::SAMPLE,
        world::{
            disk::{DiskFile, Entry, RealDisk, Source},
            faulty::{Call, FaultyDisk},
        },
    };

    /// What was done to the segments, and when it was over. A sync tells when it began as well.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<(Done, UtcMs)>>>);

    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Done {
        Written(usize),
        SyncBegun,
        Synced,
    }

    /// The real disk with slow syncs, which notes what happens to segments.
    struct SlowDisk {
        log: Log,
        clock: Clock,
    }

    struct SlowFile {
        file: Box<dyn DiskFile>,
        log: Option<Log>,
        clock: Clock,
    }

    /// Writes that waited for a sync would wait a quarter of a second in every one.
    const SLOW: Duration = Duration::from_millis(300);

    impl SlowFile {
        fn note(&self, done: Done) {
            if let Some(log) = &self.log {
                log.0.lock().unwrap().push((done, self.clock.now()));
            }
        }
    }

    impl Write for SlowFile {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let len = self.file.write(bytes)?;
            self.note(Done::Written(len));
            Ok(len)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.file.flush()
        }
    }

    impl DiskFile for SlowFile {
        fn sync(&mut self) -> io::Result<()> {
            self.note(Done::SyncBegun);
            self.clock.block(SLOW);
            self.file.sync()?;
            self.note(Done::Synced);
            Ok(())
        }

        fn cut(&mut self, len: u64) -> io::Result<()> {
            self.file.cut(len)
        }

        fn second_handle(&self) -> io::Result<Box<dyn DiskFile>> {
            Ok(Box::new(Self {
                file: self.file.second_handle()?,
                log: self.log.clone(),
                clock: self.clock.clone(),
            }))
        }
    }

    impl Disk for SlowDisk {
        fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
            let segment = path
                .to_str()
                .is_some_and(|p| p.ends_with(".jsonl.open") && !p.ends_with(".events.jsonl.open"));
            Ok(Box::new(SlowFile {
                file: RealDisk.create(path)?,
                log: segment.then(|| self.log.clone()),
                clock: self.clock.clone(),
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

    fn on(disk: Arc<dyn Disk>, folder: &Path, clock: &Clock) -> ThreadContext {
        let opener = Opener::of(&*disk, folder);
        let spool: Spool = opener.spool(&folder.into(), Asks::Make).unwrap();
        ThreadContext {
            halt: Arc::new(Halt::new(
                Arc::clone(&disk),
                spool.clone(),
                &"1".parse().unwrap(),
                Arc::default(),
            )),
            disk,
            leg: "1".parse().unwrap(),
            spool,
            clock: clock.clone(),
        }
    }

    const RUN: Run = Run {
        number: 1,
        id: RunId(5),
    };

    #[test]
    fn lines_are_written_at_once_and_durable_a_second_later_though_syncs_are_slow() {
        let dir = tempfile::TempDir::new().unwrap();
        let (clock, log) = (Clock::system(), Log::default());
        let disk: Arc<dyn Disk> = Arc::new(SlowDisk {
            log: log.clone(),
            clock: clock.clone(),
        });
        let shared = on(Arc::clone(&disk), dir.path(), &clock);
        // as a collector that starts: taking it keeps the disk busy
        disk.make_folder(&dir.path().join("1")).unwrap();
        shared.halt.hold_reserve().unwrap();
        let writer = Writer::new(disk, dir.path(), &"1".parse().unwrap(), SAMPLE.word, RUN);
        let (to_writer, ended) = start(&shared, writer).unwrap();
        let mut sent = Vec::new();
        for n in 0..250 {
            let at = clock.now();
            // in the middle the minute turns, and the old pair is sealed meanwhile
            let stamp = UtcMs(1_795_442_400_000 + if n < 125 { 0 } else { 60_000 });
            to_writer
                .send(Message::Lines {
                    first: stamp,
                    last: stamp,
                    stored: vec![b'\n'; n + 1],
                    oversize: 0,
                    room: None,
                })
                .unwrap();
            sent.push(at);
            clock.block(Duration::from_millis(10));
        }
        drop(to_writer);
        assert!(ended.blocking_recv().is_err(), "it ends by dropping");
        let log = log.0.lock().unwrap().clone();
        let handed_over: Vec<(usize, UtcMs)> = log
            .iter()
            .enumerate()
            .filter_map(|(index, (done, at))| {
                matches!(done, Done::Written(_)).then_some((index, *at))
            })
            .collect();
        assert_eq!(handed_over.len(), sent.len(), "one write for each batch");
        let (mut to_written, mut to_synced) = (Vec::new(), Vec::new());
        for (sent, (index, at)) in sent.iter().zip(handed_over) {
            to_written.push(at.0 - sent.0);
            let after = &log[index..];
            let begun = after
                .iter()
                .position(|(done, _)| *done == Done::SyncBegun)
                .unwrap();
            let synced = after[begun..]
                .iter()
                .find(|(done, _)| *done == Done::Synced)
                .unwrap();
            to_synced.push(synced.1.0 - sent.0);
        }
        // nine of ten: how long a busy machine lets a process wait now and then is not asked here
        let most = |mut waits: Vec<i64>| {
            waits.sort_unstable();
            waits[waits.len() * 9 / 10]
        };
        let (write, sync) = (most(to_written), most(to_synced));
        eprintln!("written after {write} ms, durable after {sync} ms");
        assert!(write < 50, "{write}");
        let slow = i64::try_from(SLOW.as_millis()).unwrap();
        assert!((500..1_100 + slow).contains(&sync), "{sync}");
        let syncs = log.iter().filter(|(done, _)| *done == Done::Synced).count();
        assert!(
            syncs <= 7,
            "{syncs} syncs: a sync for each post wears disks out"
        );
    }

    #[test]
    fn a_disk_that_fails_ends_the_process_and_not_silently() {
        let dir = tempfile::TempDir::new().unwrap();
        let clock = Clock::system();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let shared = on(Arc::clone(&disk), dir.path(), &clock);
        // where the server's folder should be there is a file
        drop(RealDisk.create(&dir.path().join("1")).unwrap());
        let writer = Writer::new(disk, dir.path(), &"1".parse().unwrap(), SAMPLE.word, RUN);
        let (to_writer, ended) = start(&shared, writer).unwrap();
        let event = Event {
            at: clock.now(),
            what: EventKind::FirstLine {
                clock_offset_ms: None,
            },
            connection: 1,
        };
        to_writer
            .send(Message::Event { event, room: None })
            .unwrap();
        assert!(ended.blocking_recv().is_err());
        let Some(Stop::Trouble(what)) = shared.halt.state().stop else {
            panic!("it goes on as if nothing had happened");
        };
        assert!(what.starts_with("cannot write"), "{what}");
    }

    /// What becomes of a run in which these calls of the disk fail for good: while its first minute goes on, and in the end.
    fn run_on(call: Call, ending: &'static str) -> [Option<Stop>; 2] {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let faulty = Arc::new(FaultyDisk::default());
        let disk: Arc<dyn Disk> = Arc::clone(&faulty) as _;
        let shared = on(Arc::clone(&disk), dir.path(), &clock);
        faulty.fail(call, ending, io::ErrorKind::Other);
        let writer = Writer::new(disk, dir.path(), &"1".parse().unwrap(), SAMPLE.word, RUN);
        let (to_writer, ended) = start(&shared, writer).unwrap();
        let at = UtcMs(1_795_442_400_000);
        let lines = |at: UtcMs| Message::Lines {
            first: at,
            last: at,
            stored: b"{}\n".to_vec(),
            oversize: 0,
            room: None,
        };
        to_writer.send(lines(at)).unwrap();
        // until the first sync is due
        for _ in 0..200 {
            if call != Call::Sync || shared.halt.state().stop.is_some() {
                break;
            }
            clock.block(Duration::from_millis(10));
        }
        let first = shared.halt.state().stop;
        // whoever has gone by then takes nothing any more
        drop(to_writer.send(lines(at.plus_ms(60_000))));
        drop(to_writer);
        assert!(ended.blocking_recv().is_err());
        [first, shared.halt.state().stop]
    }

    #[test]
    fn nothing_that_the_disk_cannot_do_is_passed_over() {
        assert_eq!(run_on(Call::Write, ".none"), [None, None]);
        for (call, ending) in [
            (Call::Write, ".jsonl.open"),
            (Call::Sync, "_000.jsonl.open"),
            (Call::Sync, ".events.jsonl.open"),
            (Call::Rename, "_000.jsonl"),
            (Call::Rename, ".events.jsonl"),
            (Call::Rename, ".seal.json"),
            (Call::MakeFolder, "1/2026-11-23/14"),
        ] {
            let [first, stop] = run_on(call, ending);
            assert!(
                matches!(stop, Some(Stop::Trouble(_))),
                "{call:?} {ending}: {stop:?}"
            );
            // a kernel tells once that it could not make something durable: the next sync may be well
            assert!(call != Call::Sync || first.is_some(), "{ending}");
        }
    }

    #[test]
    fn no_folder_is_made_where_the_spool_s_disk_is_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let shared = on(Arc::new(RealDisk), dir.path(), &Clock::system());
        let syncer = Syncer {
            context: shared,
            dirty: Arc::default(),
            watched: None,
            to_seal: VecDeque::new(),
        };
        let name: SegmentName = "1_sample_20261123T1405Z_00000005_000".parse().unwrap();
        let folder = dir.path().join(name.folder());
        RealDisk
            .rename(&dir.path().join("spool.json"), &dir.path().join("gone"))
            .unwrap();
        syncer.prepare(&name);
        assert!(!folder.exists());
        RealDisk
            .rename(&dir.path().join("gone"), &dir.path().join("spool.json"))
            .unwrap();
        syncer.prepare(&name);
        assert!(folder.is_dir());
    }
}
