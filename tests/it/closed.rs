//! Days of the spool that are closed: whatever comes and goes, a merge that passes them over does what one does that looks at all.

use std::{
    fs,
    path::{Path, PathBuf},
    slice,
    time::Duration,
};

use serde_json::Value;
use twinstream::{
    deliver::receive::ReceiveJob,
    period::{Hour, UtcMs},
    segment::{
        acks,
        event::{Event, EventKind},
        name::RunId,
        raw,
    },
    vault::redactions::Redactions,
    world::disk::{Disk as _, RealDisk, read_bounded, remove_if_there},
};

use crate::{
    object_store::{minutes_of, put},
    support::{
        disk::SimulatedDisk,
        posts::{Received, Segment, mix, post, segments},
        primary::{Site, at},
        seeds::seeds,
    },
};

const BEGIN: &str = "2026-11-20T22:00:00Z";
const DAYS: i64 = 5;
const DAY_MS: i64 = 86_400_000;

/// What a server received, some minutes of each hour or few, and where it is told how its clock was off.
fn received(server: &str, seed: u64) -> Vec<Segment> {
    let begin = at(BEGIN);
    let number: u64 = server.parse().unwrap();
    let mut all: Vec<Segment> = Vec::new();
    let minutes = DAYS * 1_440;
    let mut minute = i64::try_from(mix(seed, number) % 200).unwrap();
    while minute < minutes {
        let chance = |of: u64| mix(seed ^ of, minute.cast_unsigned() * 8 + number);
        // the clock of one run in three is off by some minutes, or hours
        let run = minute / 2_000;
        let off_min = [0, 0, 3, -90][usize::try_from(mix(seed, run.cast_unsigned()) % 4).unwrap()];
        let time = begin.plus_ms(minute * 60_000);
        // one post of before, or hours before
        let late = [900, 900, 70_000, 9_000_000][usize::try_from(chance(1) % 4).unwrap()];
        let lines = (0..6).map(|n| {
            let made = time.plus_ms(n * 9_000 - if n == 0 { late } else { 900 });
            Received {
                at: time.plus_ms(n * 9_000 + off_min * 60_000),
                line: post(chance(2) ^ n.cast_unsigned(), made).into_bytes(),
            }
        });
        let mut segment = segments(server, &lines.collect::<Vec<_>>()).remove(0);
        segment.name.run = RunId(u32::try_from(run).unwrap() + 1);
        let stamp = segment.name.minute.begin();
        let event = |what| Event {
            at: stamp.plus_ms(100),
            what,
            connection: 1,
        };
        segment.events.truncate(usize::from(all.is_empty()));
        match chance(3) % 8 {
            0 => segment.events.push(event(EventKind::FirstLine {
                clock_offset_ms: Some(-off_min * 60_000),
            })),
            1 => segment.events.push(event(EventKind::Stopped {
                why: "signal".to_owned(),
            })),
            _ => (),
        }
        all.push(segment);
        minute += [1, 7, 45, 61, 200, 900][usize::try_from(chance(4) % 6).unwrap()];
    }
    all
}

/// Two spools and vaults that hear of the same; the second forgets each time which days are closed, and what is committed of each.
struct Both {
    sites: [Site; 2],
    disks: [SimulatedDisk; 2],
}

fn closed_path() -> PathBuf {
    PathBuf::from("/primary/closed.json")
}

/// What a merge notes so that it need not look at all.
fn records() -> [PathBuf; 2] {
    [closed_path(), PathBuf::from("/primary/listings.json")]
}

impl Both {
    fn new() -> Self {
        let disks = [SimulatedDisk::default(), SimulatedDisk::default()];
        let sites = disks.each_ref().map(|disk| Site {
            disk: Box::new(disk.clone()),
            ..Site::in_memory()
        });
        for site in &sites {
            site.disk.make_folder(&site.spool()).unwrap();
            site.disk.make_folder(&site.vault()).unwrap();
        }
        Self { sites, disks }
    }

    /// How many days are closed.
    fn closed(&self) -> usize {
        let Ok(bytes) = read_bounded(&self.disks[0], &closed_path(), 1 << 24) else {
            return 0;
        };
        let closed: Value = serde_json::from_slice(&bytes).unwrap();
        closed["days"].as_object().unwrap().len()
    }

    /// Merges both: what was done, and how many calls of the disk the first one saved.
    fn merge(&self, now: UtcMs) -> (String, u64) {
        let now = now.to_string();
        for record in records() {
            remove_if_there(&self.disks[1], &record).unwrap();
        }
        let before = self.disks.each_ref().map(SimulatedDisk::calls);
        let done = self.sites.each_ref().map(|site| {
            let outcome = site.try_merge(&[], &now).unwrap();
            let hours = outcome.committed.iter();
            let hours: Vec<(Hour, u64)> = hours.map(|one| (one.hour, one.revision)).collect();
            let failed = outcome.failed.iter();
            let failed: Vec<_> = failed.map(|one| (one.hour, one.why.as_str())).collect();
            let (waiting, redacted) = (outcome.waiting, outcome.redacted);
            let (swept, unusable) = (&outcome.swept, &outcome.unusable);
            format!("{hours:?} {failed:?} {waiting} {redacted} {swept:?} {unusable:?}")
        });
        assert_eq!(done[0], done[1], "{now}");
        let after = self.disks.each_ref().map(SimulatedDisk::calls);
        let [passing, looking] = [0, 1].map(|n: usize| after[n] - before[n]);
        let [done, _] = done;
        (done, looking.saturating_sub(passing))
    }

    fn check_same(&self) {
        let without_records = |disk: &SimulatedDisk| {
            let mut files = disk.files();
            files.retain(|path, _| !records().contains(path));
            files
        };
        let [passing, looking] = self.disks.each_ref().map(without_records);
        for (path, bytes) in &looking {
            assert!(
                passing.get(path) == Some(bytes),
                "{} differs",
                path.display()
            );
        }
        assert_eq!(passing.len(), looking.len());
    }
}

/// Takes all files of a segment away, as a person might.
fn take_away(site: &Site, segment: &Segment) {
    let paths = segment.name.paths(&site.spool());
    let packed = raw::compressed(&paths.segment);
    for path in [paths.segment, packed, paths.events, paths.seal] {
        remove_if_there(&*site.disk, &path).unwrap();
    }
}

/// Asks for a post to be taken out.
fn redact(site: &Site, segment: &Segment) {
    let line = segment.lines.first().map(|one| one.line.as_slice());
    let post: Value = serde_json::from_slice(line.unwrap()).unwrap();
    let source = site.stream.source;
    let mut list = Redactions::read(&*site.disk, &site.vault(), source).unwrap();
    list.ask(source.key(post["data"]["id"].as_str().unwrap()), "asked");
    list.write(&*site.disk, &site.vault()).unwrap();
}

/// A segment that no one has yet, of a server and a day that is closed.
fn of_closed_day(both: &Both, server: &str) -> Segment {
    let bytes = read_bounded(&both.disks[0], &closed_path(), 1 << 24).unwrap();
    let closed: Value = serde_json::from_slice(&bytes).unwrap();
    let days = closed["days"].as_object().unwrap();
    let (day, _) = days.iter().next_back().unwrap();
    let time = at(&format!("{day}T11:31:30Z"));
    let made = time.plus_ms(-900);
    let line = post(made.0.cast_unsigned(), made).into_bytes();
    let mut segment = segments(server, &[Received { at: time, line }]).remove(0);
    segment.name.run = RunId(0x0c10_5ed0);
    segment
}

/// What came of a run: calls saved, most days that were closed at once, later revisions, raw data that went.
#[derive(Debug, Default)]
struct Sums {
    saved: u64,
    closed: usize,
    later: usize,
    swept: usize,
}

fn run(seed: u64, sums: &mut Sums) {
    let mut both = Both::new();
    let mut all = [received("1", seed), received("2", seed)].concat();
    // a tenth comes late, by up to four days
    let when = |segment: &Segment| {
        let chance = mix(seed, segment.name.minute.0.cast_unsigned());
        let late = if chance.is_multiple_of(10) {
            chance % 5
        } else {
            0
        };
        segment
            .name
            .minute
            .end()
            .plus_ms(late.cast_signed() * DAY_MS)
    };
    all.sort_by_key(when);
    let mut next = 0;
    let mut now = at(BEGIN);
    for step in 0_u64..26 {
        let chance = |of: u64| mix(seed + 77, step * 16 + of);
        now = now.plus_ms((1 + chance(0) % 10).cast_signed() * 3_600_000);
        while all.get(next).is_some_and(|segment| when(segment) <= now) {
            for site in &both.sites {
                site.deliver(&all[next..=next], now);
            }
            next += 1;
        }
        if 0 < next {
            let old = usize::try_from(chance(1)).unwrap() % next;
            for site in &both.sites {
                match chance(2) % 12 {
                    0 => take_away(site, &all[old]),
                    1 => redact(site, &all[old]),
                    2 => site.deliver(&all[old..=old], now),
                    _ => (),
                }
            }
        }
        let keep = (12 < step && chance(3).is_multiple_of(3)).then(|| Duration::from_hours(40));
        for site in &mut both.sites {
            site.settings.keep_raw = keep;
        }
        // once more after a while: what has not changed is closed
        for _ in 0..3 {
            let (done, saved) = both.merge(now);
            sums.saved += saved;
            sums.closed = both.closed().max(sums.closed);
            sums.later += done.matches(", 2)").count();
            sums.swept += usize::from(!done.contains("deleted: 0,"));
            now = now.plus_ms(61_000);
        }
        both.check_same();
    }
    // whichever server it is that something of a closed day comes late from
    for site in &mut both.sites {
        site.settings.keep_raw = None;
    }
    for server in ["1", "2"] {
        for _ in 0..3 {
            both.merge(now);
            now = now.plus_ms(61_000);
        }
        let late = of_closed_day(&both, server);
        for site in &both.sites {
            site.deliver(slice::from_ref(&late), now);
        }
        now = now.plus_ms(3_600_000);
        let (done, _) = both.merge(now);
        assert!(!done.starts_with("[]"), "server {server}: {done}");
        both.check_same();
    }
}

#[test]
fn a_merge_that_passes_closed_days_over_does_what_one_does_that_looks_at_all() {
    let mut sums = Sums::default();
    for seed in seeds(1) {
        run(seed - 1, &mut sums);
    }
    println!("{sums:?}");
    assert!(2 < sums.closed && 0 < sums.saved, "{sums:?}");
    assert!(0 < sums.later && 0 < sums.swept, "{sums:?}");
}

/// Of a day of which all is acknowledged nothing is looked at again before something is put there; then all is as ever.
#[test]
fn a_day_that_is_acknowledged_is_received_from_again_when_something_comes() {
    let site = Site::new("UTC");
    let (spool, _vault) = site.opened().unwrap();
    let mut segments = minutes_of(at("2026-11-21T13:10:00Z"), "2");
    segments.extend(minutes_of(at("2026-11-22T13:10:00Z"), "2"));
    let late = segments.remove(1);
    put(&segments, &spool);
    let servers = ["2".parse().unwrap()];
    let job = ReceiveJob {
        disk: &RealDisk,
        data_dir: &site.root,
        spool: &spool,
        servers: &servers,
        keep_free: 0,
        keep_delivered: Duration::from_hours(48),
    };
    let receive = |now: &str| {
        let received = job.run(&|| at(now));
        assert!(received.failed.is_empty(), "{received:?}");
        (received.acknowledged, received.refused.len())
    };
    let known = || {
        let bytes = fs::read(site.root.join("received.json")).unwrap();
        let known: Value = serde_json::from_slice(&bytes).unwrap();
        known["2"]["days"].as_object().unwrap().len()
    };
    let all = segments.len() as u64;
    assert_eq!(receive("2026-11-22T14:00:00Z"), (all, 0));
    assert_eq!((receive("2026-11-22T14:00:30Z"), known()), ((0, 0), 0));
    assert_eq!((receive("2026-11-22T14:01:00Z"), known()), ((0, 0), 2));
    // what comes late, and what does not belong there
    put(slice::from_ref(&late), &spool);
    fs::write(late.name.paths(&spool).folder.join("stranger"), "").unwrap();
    assert_eq!((receive("2026-11-22T15:00:00Z"), known()), ((1, 1), 1));
    for now in ["2026-11-22T15:01:00Z", "2026-11-22T15:02:00Z"] {
        assert_eq!(receive(now), (0, 0));
    }
    assert_eq!(known(), 2);
    // acknowledgements that are gone are given again
    fs::write(acks::path(&spool, &servers[0]), "").unwrap();
    assert_eq!(receive("2026-11-22T16:00:00Z"), (all + 1, 0));
    // and so are all if what is known is damaged, without reading anything back that is acknowledged
    fs::write(site.root.join("received.json"), "{").unwrap();
    assert_eq!((receive("2026-11-22T16:01:00Z"), known()), ((0, 0), 0));
}

/// Also on the first days of a machine that has just fetched all of it.
#[test]
fn of_acknowledgements_only_those_of_the_last_days_are_read_however_many_there_are() {
    let read = |days: i64| {
        let disk = SimulatedDisk::default();
        let site = Site::on(Box::new(disk.clone()), Path::new("/primary"), "UTC");
        disk.make_folder(&site.spool()).unwrap();
        let last = at("2026-11-22T13:10:00Z");
        let begins = (0..days).map(|day| last.plus_ms(-day * DAY_MS));
        site.put(
            &begins
                .flat_map(|begin| minutes_of(begin, "2"))
                .collect::<Vec<_>>(),
        );
        let (spool, _vault) = site.opened().unwrap();
        let servers = ["2".parse().unwrap()];
        let job = ReceiveJob {
            disk: &disk,
            data_dir: &site.root,
            spool: &spool,
            servers: &servers,
            keep_free: 0,
            keep_delivered: Duration::from_hours(48),
        };
        let merge = |minute: i64| {
            let now = last.plus_ms((180 + minute) * 60_000);
            let received = job.run(&|| now);
            assert!(received.failed.is_empty(), "{received:?}");
            let outcome = site.try_merge(&[], &now.to_string()).unwrap();
            assert!(outcome.failed.is_empty(), "{outcome:?}");
            received.acknowledged
        };
        // segments are compressed when they have been here for an hour, and then their days are closed
        for minute in [0, 65, 70, 75, 80] {
            merge(minute);
        }
        // the first time that something comes after all days were done with, all is read once more
        site.put(&minutes_of(last.plus_ms(3_600_000), "2"));
        for minute in [85, 90, 95] {
            merge(minute);
        }
        let path = acks::path(&spool, &servers[0]);
        let before = disk.read_of(&path);
        // with nothing new, and with something
        assert_eq!(merge(100), 0);
        site.put(&minutes_of(last.plus_ms(7_200_000), "2"));
        assert_ne!(merge(105), 0);
        (disk.read_of(&path) - before, disk.len(&path).unwrap())
    };
    let (few, many) = (read(3), read(9));
    assert!(0 < few.0 && 2 * few.1.unwrap() < many.1.unwrap());
    assert_eq!(few.0, many.0);
}
