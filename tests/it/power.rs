//! The power fails at every single call that the writer and the recovery make; and on real file systems.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use tempfile::TempDir;

use twinstream::{
    period::{Minute, UtcMs},
    segment::{
        event::{Event, EventKind},
        line,
        name::{Leg, Partition, RunId, SegmentName, ServerId},
        recover::{Past, Recovered, past, recover},
        runs::{Run, Runs},
        seal::{Digester, Seal},
        spool,
        writer::{Closed, Lines, WriteError, Writer},
    },
    source::{BLUESKY, SAMPLE},
    world::disk::{Disk, RealDisk, read_bounded},
};

use crate::support::{disk::SimulatedDisk, skipped::skipped};

const SPOOL: &str = "/spool";
/// The last minute of an hour, so that a folder is made under way as well.
const FIRST: Minute = Minute(29_924_039);
const MINUTES: i64 = 3;

fn run(id: u32) -> Run {
    Run {
        number: 1,
        id: RunId(id),
    }
}

fn server() -> ServerId {
    "1".parse().unwrap()
}

fn leg() -> Leg {
    Leg::whole(server())
}

/// What a run has written, and how much of it was synced, per minute.
#[derive(Default)]
struct Written {
    stored: BTreeMap<i64, Vec<u8>>,
    events: BTreeMap<i64, Vec<u8>>,
    synced: BTreeMap<i64, (usize, usize)>,
}

impl Written {
    fn sync(&mut self, minute: i64) {
        let len = |of: &BTreeMap<i64, Vec<u8>>| of.get(&minute).map_or(0, Vec::len);
        let lens = (len(&self.stored), len(&self.events));
        self.synced.insert(minute, lens);
    }
}

/// A few minutes of collecting, as the collector's two threads do it.
fn collect(disk: &SimulatedDisk, written: &mut Written) -> Result<(), WriteError> {
    collect_until(disk, Path::new(SPOOL), usize::MAX, written)
}

/// The same, cut off after so many seconds.
fn collect_until<D: Disk + Clone + 'static>(
    disk: &D,
    spool: &Path,
    seconds: usize,
    written: &mut Written,
) -> Result<(), WriteError> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut writer = Writer::new(shared, spool, &leg(), SAMPLE.word, run(0x3fa9_c01b));
    let mut passed = 0;
    let mut to_seal: Option<Closed> = None;
    for minute in FIRST.0..FIRST.0 + MINUTES {
        let begin = Minute(minute).begin();
        for second in 0..4 {
            let at = begin.plus_ms(second * 1_000 + 17);
            if let Some(closed) = writer.turn_to(at) {
                assert!(to_seal.replace(closed).is_none());
            }
            let event = Event {
                at,
                what: EventKind::FirstLine {
                    clock_offset_ms: None,
                },
                connection: 1,
            };
            let json = event.to_json();
            written.events.entry(minute).or_default().extend(json);
            writer.event(&event)?;
            let mut stored = Vec::new();
            for n in 0..3 {
                let received = format!(r#"{{"data":{{"id":"{minute}{second}{n}"}}}}"#);
                line::store(received.as_bytes(), at, &mut stored);
            }
            written.stored.entry(minute).or_default().extend(&stored);
            let lines = Lines {
                first: at,
                last: at,
                stored: &stored,
                oversize: 0,
            };
            writer.lines(lines)?;
            if let Some(mut closed) = to_seal.take() {
                closed.seal(disk)?;
                written.sync(minute - 1);
            }
            if second % 2 == 1 {
                writer.watch()?.unwrap().sync(disk)?;
                written.sync(minute);
            }
            passed += 1;
            if passed == seconds {
                return Ok(());
            }
        }
    }
    writer.close().unwrap().seal(disk)?;
    written.sync(FIRST.0 + MINUTES - 1);
    Ok(())
}

/// Everything is sealed, each file is what its seal says, and holds a beginning of what was
/// written, at least as long as what was synced. How many bytes of it are gone.
fn check_spool(disk: &dyn Disk, spool: &Path, written: &Written, at: &str) -> usize {
    let mut lost = 0;
    let mut found: BTreeMap<i64, (Vec<u8>, Vec<u8>)> = BTreeMap::new();
    for folder in spool::hour_folders(disk, spool, &server()).unwrap().found {
        for entry in disk.list(&folder).unwrap() {
            let ending = entry.name.split_once('.').unwrap().1.to_owned();
            assert!(
                ["jsonl", "events.jsonl", "seal.json"].contains(&ending.as_str()),
                "{at}: {} is left",
                entry.name
            );
        }
        for (name, here) in spool::in_folder(disk, &folder, &server()).unwrap() {
            assert!(here.sealed, "{at}: {name} has no seal");
            let pair = check_sealed(disk, spool, &name, at);
            assert!(found.insert(name.minute.0, pair).is_none(), "{at}: twice");
        }
    }
    for minute in FIRST.0..FIRST.0 + MINUTES {
        let empty = Vec::new();
        let (stored, events) = found.remove(&minute).unwrap_or_default();
        let (all, all_events) = (
            written.stored.get(&minute).unwrap_or(&empty),
            written.events.get(&minute).unwrap_or(&empty),
        );
        let (synced, synced_events) = written.synced.get(&minute).copied().unwrap_or_default();
        assert!(all.starts_with(&stored), "{at}: other lines");
        assert!(all_events.starts_with(&events), "{at}: other events");
        assert!(synced <= stored.len(), "{at}: synced lines are lost");
        assert!(
            synced_events <= events.len(),
            "{at}: synced events are lost"
        );
        lost += all.len() + all_events.len() - stored.len() - events.len();
        for file in [stored, events] {
            assert!(file.is_empty() || file.ends_with(b"\n"), "{at}: torn");
        }
    }
    lost
}

/// Recovers, and says what it found.
fn left_open(disk: &SimulatedDisk) -> Vec<Recovered> {
    let done = recover(disk, Path::new(SPOOL), &server()).unwrap();
    assert!(done.failed.is_empty(), "{:?}", done.failed);
    done.recovered
}

fn check_sealed(disk: &dyn Disk, spool: &Path, name: &SegmentName, at: &str) -> (Vec<u8>, Vec<u8>) {
    let paths = name.paths(spool);
    let read = |path: &Path| read_bounded(disk, path, 1 << 20).unwrap();
    let seal = Seal::read(&read(&paths.seal), name).unwrap();
    let (segment, events) = (read(&paths.segment), read(&paths.events));
    for (bytes, digest) in [(&segment, &seal.segment), (&events, &seal.events)] {
        let mut digester = Digester::default();
        digester.update(bytes);
        assert_eq!(digester.finish(), *digest, "{at}: {name}");
    }
    let stamps: Vec<UtcMs> = segment
        .split(|byte| *byte == b'\n')
        .filter_map(|stored| line::cut(stored).retrieved_at)
        .collect();
    assert_eq!(seal.first_arrival, stamps.first().copied(), "{at}: {name}");
    assert_eq!(seal.last_arrival, stamps.last().copied(), "{at}: {name}");
    (segment, events)
}

#[test]
fn whenever_the_power_fails_what_was_synced_is_there() {
    let spool = Path::new(SPOOL);
    let whole = SimulatedDisk::default();
    let mut written = Written::default();
    collect(&whole, &mut written).unwrap();
    let calls = whole.calls();
    check_spool(&whole, spool, &written, "without a failure");
    assert!(50 < calls, "{calls}");
    let mut torn = 0;
    for call in 1..=calls {
        for seed in 0..4 {
            let at = format!("call {call}, seed {seed}");
            let disk = SimulatedDisk::default();
            disk.fail_in(call);
            let mut written = Written::default();
            let ended = collect(&disk, &mut written);
            assert!(ended.is_err(), "{at}: the failure was not noticed");
            disk.power_cut(call * 31 + seed);
            // and again while recovering, until it gets through
            let mut again = 1 + seed;
            loop {
                disk.fail_in(again);
                match recover(&disk, spool, &server()) {
                    Ok(done) if done.failed.is_empty() => {
                        let cut = done.recovered.iter().filter(|left| 0 < left.cut_bytes);
                        torn += cut.count();
                        break;
                    }
                    Ok(_) | Err(_) => disk.power_cut(call * 37 + again),
                }
                again += 3;
            }
            disk.power_cut(call);
            check_spool(&disk, spool, &written, &at);
            let files = disk.files();
            assert_eq!(left_open(&disk), [], "{at}");
            assert_eq!(
                disk.files(),
                files,
                "{at}: a second recovery changes something"
            );
        }
    }
    assert!(10 < torn, "the power never tore a line");
}

fn sealed(disk: &SimulatedDisk) -> Vec<SegmentName> {
    let spool = Path::new(SPOOL);
    spool::sealed(disk, spool, &server()).unwrap().found
}

fn last_arrival(disk: &SimulatedDisk) -> Option<UtcMs> {
    past_of(disk, &leg()).last_line
}

fn past_of(disk: &SimulatedDisk, leg: &Leg) -> Past {
    let sealed = sealed(disk);
    past(disk, Path::new(SPOOL), leg, (&sealed, SAMPLE.word), None).unwrap()
}

fn write_line(writer: &mut Writer, received: &[u8], at: UtcMs) {
    let mut stored = Vec::new();
    line::store(received, at, &mut stored);
    let lines = Lines {
        first: at,
        last: at,
        stored: &stored,
        oversize: 0,
    };
    writer.lines(lines).unwrap();
}

#[test]
fn recovery_tells_what_it_found_and_when_the_last_line_came() {
    let disk = SimulatedDisk::default();
    let spool = Path::new(SPOOL);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    assert_eq!(last_arrival(&disk), None);
    let mut writer = Writer::new(shared, spool, &leg(), SAMPLE.word, run(1));
    let at = FIRST.begin().plus_ms(1_234);
    write_line(&mut writer, b"{}", at);
    let event = Event {
        at: at.plus_ms(500),
        what: EventKind::FirstLine {
            clock_offset_ms: None,
        },
        connection: 1,
    };
    writer.event(&event).unwrap();
    let name = writer.open_name().unwrap().clone();
    let paths = name.paths(spool);
    let torn = twinstream::segment::name::open(&paths.segment);
    disk.append(&torn)
        .unwrap()
        .write_all(b"{\"data\":")
        .unwrap();
    drop(disk.create(&paths.folder.join(format!("{name}.seal.json.tmp"))));
    let left = left_open(&disk);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].name, name);
    assert_eq!((left[0].lines, left[0].cut_bytes), (1, 8));
    assert_eq!(left[0].last, Some(at.plus_ms(500)));
    assert_eq!(last_arrival(&disk), Some(at));
    assert_eq!(disk.files().len(), 3);
}

#[test]
fn the_last_line_is_that_of_the_latest_run_whatever_its_clock_says() {
    let disk = SimulatedDisk::default();
    let spool = Path::new(SPOOL);
    disk.make_folder(&spool.join("1")).unwrap();
    let mut runs = Runs::default();
    // the clock was two hours ahead, and was set while nothing ran
    let ahead = Minute(FIRST.0 + 120).begin();
    for (id, at) in [
        (9, ahead),
        (1, FIRST.begin()),
        (5, FIRST.begin().plus_ms(7_000)),
    ] {
        let run = runs.begin(RunId(id), at);
        runs.keep(&disk, spool, &leg()).unwrap();
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let mut writer = Writer::new(shared, spool, &leg(), SAMPLE.word, run);
        write_line(&mut writer, b"{}", at);
        writer.close().unwrap().seal(&disk).unwrap();
        let past = past_of(&disk, &leg());
        assert_eq!(
            (past.last_line, past.run_number),
            (Some(at), Some(run.number))
        );
    }
    // what came over one leg of the server is nothing to another, which has received nothing yet
    let other = Leg {
        partition: Partition::new(2),
        ..leg()
    };
    assert_eq!(past_of(&disk, &other), Past::default());
    // a run that nobody remembers was there all the same
    disk.remove(&twinstream::segment::runs::path(spool, &leg()))
        .unwrap();
    assert!(past_of(&disk, &leg()).run_number.is_some());
}

#[test]
fn a_stream_is_asked_for_since_the_last_line_that_can_be_read() {
    let disk = SimulatedDisk::default();
    let spool = Path::new(SPOOL);
    let cursor_of = |line: &[u8]| {
        let line: serde_json::Value = serde_json::from_slice(line).ok()?;
        line.get("time_us")?.as_i64()
    };
    let cursor = || {
        let past = past(
            &disk,
            spool,
            &leg(),
            (&sealed(&disk), BLUESKY.word),
            Some(cursor_of),
        );
        past.unwrap().cursor
    };
    assert_eq!(cursor(), None);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut names = Vec::new();
    for (minute, lines) in [
        ["{\"time_us\":1}", "{\"time_us\":2}"],
        ["{\"time_us\":3}", "{\"kind\":\"?\"}"],
        ["{\"kind\":\"?\"}", "{\"kind\":\"?\"}"],
    ]
    .iter()
    .enumerate()
    {
        let at = FIRST
            .begin()
            .plus_ms(60_000 * i64::try_from(minute).unwrap());
        let mut writer = Writer::new(Arc::clone(&shared), spool, &leg(), BLUESKY.word, run(1));
        for line in lines {
            write_line(&mut writer, line.as_bytes(), at);
        }
        names.push(writer.open_name().unwrap().clone());
        writer.close().unwrap().seal(&disk).unwrap();
    }
    // a line that tells no place leaves that to the one before it, be it in another segment
    assert_eq!(cursor(), Some(3));
    disk.remove(&names[1].paths(spool).segment).unwrap();
    assert_eq!(cursor(), Some(2), "the segment is gone, its seal is not");
    // another stream's lines tell nothing
    let past = past(
        &disk,
        spool,
        &leg(),
        (&sealed(&disk), SAMPLE.word),
        Some(cursor_of),
    );
    assert_eq!(past.unwrap().cursor, None);
}

#[test]
fn a_pair_that_cannot_be_mended_stops_no_other() {
    let disk = SimulatedDisk::default();
    for run in [1, 2] {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let mut writer = Writer::new(
            shared,
            Path::new(SPOOL),
            &leg(),
            SAMPLE.word,
            self::run(run),
        );
        let event = Event {
            at: FIRST.begin(),
            what: EventKind::FirstLine {
                clock_offset_ms: None,
            },
            connection: 1,
        };
        writer.event(&event).unwrap();
        if run == 1 {
            // by whatever mishap the segment lies there twice
            let paths = writer.open_name().unwrap().paths(Path::new(SPOOL));
            drop(disk.create(&paths.segment).unwrap());
        }
    }
    let done = recover(&disk, Path::new(SPOOL), &server()).unwrap();
    let runs = |names: Vec<&SegmentName>| -> Vec<u32> { names.iter().map(|n| n.run.0).collect() };
    assert_eq!(
        runs(done.recovered.iter().map(|left| &left.name).collect()),
        [2]
    );
    assert_eq!(
        runs(done.failed.iter().map(|(name, _)| name).collect()),
        [1]
    );
}

#[test]
fn a_full_disk_keeps_what_is_whole_and_goes_on_when_there_is_room() {
    for capacity in 1..2_500 {
        let disk = SimulatedDisk::default();
        disk.set_capacity(Some(capacity));
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let mut writer = Writer::new(shared, Path::new(SPOOL), &leg(), SAMPLE.word, run(7));
        let mut stored = Vec::new();
        line::store(br#"{"data":{"id":"1"}}"#, FIRST.begin(), &mut stored);
        let lines = Lines {
            first: FIRST.begin(),
            last: FIRST.begin(),
            stored: &stored,
            oversize: 0,
        };
        let mut failed = 0;
        for _ in 0..5 {
            while let Err(error) = writer.lines(lines) {
                assert!(error.passes(), "{error}");
                failed += 1;
                for (path, bytes) in disk.files() {
                    assert_eq!(bytes.len() % stored.len(), 0, "{}", path.display());
                }
                disk.set_capacity(None);
            }
        }
        disk.set_capacity(Some(capacity));
        let mut closed = writer.close().unwrap();
        while let Err(error) = closed.seal(&disk) {
            assert!(error.passes(), "{error}");
            failed += 1;
            disk.set_capacity(None);
        }
        let needed: usize = disk.files().values().map(Vec::len).sum();
        let fits = needed as u64 <= capacity;
        assert_eq!(failed == 0, fits, "{capacity} of {needed} bytes");
        assert_eq!(left_open(&disk), []);
        let name = spool::sealed(&disk, Path::new(SPOOL), &server())
            .unwrap()
            .found
            .remove(0);
        let (segment, _) = check_sealed(&disk, Path::new(SPOOL), &name, "full");
        assert_eq!(segment, stored.repeat(5));
    }
}

/// A file system of its own, in a file; gone with the test.
struct FileSystem {
    dir: TempDir,
    image: PathBuf,
}

fn succeeds(command: &mut Command) -> bool {
    // a program that is not here is as good as one that does not succeed
    command.output().is_ok_and(|said| said.status.success())
}

impl FileSystem {
    fn new(kind: &str) -> Option<Self> {
        const BYTES: u64 = 320 << 20;
        let dir = TempDir::new().unwrap();
        let image = dir.path().join("image");
        fs::File::create(&image).unwrap().set_len(BYTES).unwrap();
        fs::create_dir(dir.path().join("mount")).unwrap();
        let made = succeeds(Command::new(format!("mkfs.{kind}")).arg("-q").arg(&image));
        let has_cutter = succeeds(Command::new("xfs_io").arg("-V"));
        let made = Self { dir, image }.filter(made && has_cutter)?;
        let is_mounted = made.mount();
        made.filter(is_mounted)
    }

    fn filter(self, holds: bool) -> Option<Self> {
        holds.then_some(self)
    }

    fn top(&self) -> PathBuf {
        self.dir.path().join("mount")
    }

    fn mount(&self) -> bool {
        let mut mount = Command::new("mount");
        succeeds(mount.args(["-o", "loop"]).arg(&self.image).arg(self.top()))
    }

    /// From now on nothing reaches the disk, the journal neither; then the machine starts again.
    fn power_cut(&self) {
        let mut cut = Command::new("xfs_io");
        assert!(succeeds(cut.args(["-x", "-c", "shutdown"]).arg(self.top())));
        let late = fs::write(self.top().join("late"), "too late");
        assert!(late.is_err(), "the power is still there");
        assert!(succeeds(Command::new("umount").arg(self.top())));
        assert!(self.mount(), "it does not come up again");
    }
}

impl Drop for FileSystem {
    fn drop(&mut self) {
        // if it could not be mounted, there is nothing to unmount
        succeeds(Command::new("umount").arg("-l").arg(self.top()));
    }
}

#[test]
fn on_real_file_systems_what_was_synced_outlives_a_power_cut() {
    for kind in ["ext4", "xfs"] {
        let Some(system) = FileSystem::new(kind) else {
            skipped(&format!(
                "no power is cut on {kind}: it takes root, loop devices and xfsprogs"
            ));
            continue;
        };
        let mut lost = 0;
        for seconds in 1..=12 {
            let at = format!("{kind}, after {seconds} s");
            let spool = system.top().join(format!("spool-{seconds}"));
            RealDisk.make_folder(&spool).unwrap();
            let mut written = Written::default();
            collect_until(&RealDisk, &spool, seconds, &mut written).unwrap();
            system.power_cut();
            let done = recover(&RealDisk, &spool, &server()).unwrap();
            assert!(done.failed.is_empty(), "{at}: {:?}", done.failed);
            lost += check_spool(&RealDisk, &spool, &written, &at);
        }
        assert!(0 < lost, "{kind}: nothing was ever on its way to the disk");
    }
}
