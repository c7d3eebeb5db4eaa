//! The life of raw data: compressed and deleted only behind hours that were found whole, whatever
//! happens meanwhile.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use twinstream::{
    segment::{
        name::SegmentName,
        raw,
        seal::{SEAL_BYTES_MAX, Seal},
    },
    world::{
        crash::{Point, VARIABLE},
        disk::{Disk, read_bounded},
    },
};

use crate::support::{
    disk::SimulatedDisk,
    posts::{Segment, segments, stream},
    primary::{Site, at, command},
};

/// What two servers received in some minutes, in the order of arrival.
fn two_servers(begin: &str, minutes: i64) -> Vec<Segment> {
    let received = stream(2, at(begin), minutes, 10);
    let of = |server: usize| segments(["1", "2"][server], &received[server]);
    let mut all = [of(0), of(1)].concat();
    all.sort_by_key(|segment| segment.name.minute);
    all
}

/// Which forms of a segment are in the spool: `p`lain, `z`std, `e`vents, `s`eal.
fn forms(disk: &dyn Disk, spool: &Path, name: &SegmentName) -> String {
    let paths = name.paths(spool);
    let is_there = |path: &Path| disk.len(path).unwrap().is_some();
    let packed = raw::compressed(&paths.segment);
    [
        ('p', paths.segment),
        ('z', packed),
        ('e', paths.events),
        ('s', paths.seal),
    ]
    .into_iter()
    .filter(|(_, path)| is_there(path))
    .map(|(letter, _)| letter)
    .collect()
}

/// How many segments have which forms.
fn count_forms(site: &Site, all: &[Segment]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for segment in all {
        let forms = forms(&*site.disk, &site.spool(), &segment.name);
        *counts.entry(forms).or_insert(0) += 1;
    }
    counts
}

/// Every segment that has a seal reads as it was sealed, and as it was received.
#[track_caller]
fn check_raw(site: &Site, all: &[Segment]) {
    for segment in all {
        let paths = segment.name.paths(&site.spool());
        if site.disk.len(&paths.seal).unwrap().is_none() {
            continue;
        }
        let bytes = read_bounded(&*site.disk, &paths.seal, SEAL_BYTES_MAX).unwrap();
        let seal = Seal::read(&bytes, &segment.name).unwrap();
        let mut found = Vec::new();
        let mut source = raw::open(&*site.disk, &paths.segment).unwrap();
        source.read_to_end(&mut found).unwrap();
        let [(_, stored), ..] = segment.files(&site.spool());
        assert!(found == stored, "{}", segment.name);
        assert_eq!(seal.segment.bytes, found.len() as u64);
    }
}

#[test]
fn raw_data_goes_only_behind_hours_that_are_found_whole() {
    let all = two_servers("2026-11-23T13:40:00Z", 40);
    let site = Site {
        settings: keep_raw(Some(Duration::from_hours(2))),
        ..Site::new("UTC")
    };
    let (now, late) = all.split_at(all.len() - 6);
    site.put(now);
    assert_eq!(site.merge("2026-11-23T15:10:00Z").len(), 2);
    // sealed an hour ago and merged: compressed; the seals are those of the plain bytes
    let packed = now.iter().filter(|segment| {
        segment.name.minute.end().plus_ms(3_600_000) <= at("2026-11-23T15:10:00Z")
    });
    let packed = packed.count();
    let counts = count_forms(&site, now);
    assert_eq!(counts["zes"], packed);
    assert_eq!(counts["pes"], now.len() - packed);
    check_raw(&site, now);

    // late data is merged out of compressed segments; the bytes are those of a merge of plain ones
    site.put(late);
    let revisions: Vec<u64> = site
        .merge("2026-11-23T15:40:00Z")
        .iter()
        .map(|hour| hour.revision)
        .collect();
    assert_eq!(revisions, [2]);
    let plain = Site::new("UTC");
    plain.put(&all);
    plain.merge("2026-11-23T15:10:00Z");
    assert!(plain.essence() == site.essence());
    site.merge("2026-11-23T16:10:00Z");
    assert_eq!(
        count_forms(&site, &all),
        [("zes".to_owned(), all.len())].into()
    );

    // two hours later; one data file of one hour has a flipped bit
    let damaged = site.vault().join("2026-11-23/2026-11-23_14_tweets.csv.xz");
    let mut bytes = fs::read(&damaged).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&damaged, &bytes).unwrap();
    let outcome = site.try_merge(&[], "2026-11-23T17:45:00Z").unwrap();
    assert_eq!(outcome.swept.problems.len(), 1, "{outcome:?}");
    assert!(outcome.swept.problems[0].contains("2026-11-23_14_tweets.csv.xz"));
    let kept: Vec<&Segment> = all
        .iter()
        .filter(|segment| forms(&*site.disk, &site.spool(), &segment.name) == "zes")
        .collect();
    let is_of_14 = |segment: &&Segment| {
        let minute = segment.name.minute.compact();
        "1358" < &minute[9..13]
    };
    assert!(0 < outcome.swept.deleted, "the hour before it is whole");
    assert!(
        all.iter()
            .filter(is_of_14)
            .all(|s| kept.iter().any(|k| k.name == s.name))
    );
    check_raw(&site, &all);

    // mended: all goes but the latest minute of each server, which later hours may need
    bytes[middle] ^= 1;
    fs::write(&damaged, &bytes).unwrap();
    let before = site.essence();
    // verified anew: two hours from now
    site.merge("2026-11-23T17:46:00Z");
    site.merge("2026-11-23T19:46:00Z");
    let left = count_forms(&site, &all);
    assert_eq!(left["zes"], 2);
    assert_eq!(left[""], all.len() - 2);
    // hours that are over by now have come to the day's files; its gaps are sorted by server
    for (name, bytes) in before
        .into_iter()
        .filter(|(name, _)| !name.ends_with("_gaps.csv"))
    {
        assert!(
            site.files()[&name].starts_with(&bytes),
            "{name} has changed"
        );
    }
    assert_eq!(site.verify().worst(), None);
    // nothing is left behind
    let index = site.root.join("index");
    let files = crate::support::folder::files_below(&index);
    assert_eq!(files.len(), 2, "{files:?}");
    for gone in ["sweep.json", "spool/1/2026-11-23/13"] {
        assert!(!site.root.join(gone).exists(), "{gone}");
    }
}

/// Who asks for some hours hears nothing of the others, of which raw data may be needed.
#[test]
fn a_merge_of_some_hours_sweeps_nothing() {
    let all = two_servers("2026-11-23T13:40:00Z", 40);
    let site = Site {
        settings: keep_raw(Some(Duration::from_hours(2))),
        ..Site::in_memory()
    };
    site.put(&all);
    assert_eq!(site.merge("2026-11-23T15:10:00Z").len(), 2);
    let before = count_forms(&site, &all);
    let later = "2026-11-23T19:46:00Z";
    let asked = site.try_merge(&["2026-11-23_13"], later).unwrap();
    assert_eq!((asked.swept.compressed, asked.swept.deleted), (0, 0));
    assert_eq!(count_forms(&site, &all), before);
    let swept = site.try_merge(&[], later).unwrap().swept;
    assert!(0 < swept.deleted, "{swept:?}");
}

fn keep_raw(keep: Option<Duration>) -> twinstream::config::settings::Merge {
    twinstream::config::settings::Merge {
        keep_raw: keep,
        ..Site::in_memory().settings
    }
}

/// A power cut in any operation of a sweep that compresses and deletes. Before anything is finished,
/// every segment is whole in the spool, or its hours verify; afterwards all is as without a cut.
#[test]
fn a_sweep_that_is_cut_off_anywhere_loses_nothing() {
    let old = two_servers("2026-11-23T12:56:00Z", 2);
    let new = two_servers("2026-11-23T13:50:00Z", 2);
    let last = two_servers("2026-11-23T14:40:00Z", 2);
    let all = [old.clone(), new.clone(), last.clone()].concat();
    let site = |disk: SimulatedDisk, keep| {
        let settings = keep_raw(keep);
        let site = Site::on(Box::new(disk), Path::new("/primary"), "UTC");
        Site {
            threads: 1,
            settings,
            ..site
        }
    };
    let prepared = SimulatedDisk::default();
    let before = site(prepared.clone(), None);
    before.disk.make_folder(&before.spool()).unwrap();
    before.put(&old);
    before.merge("2026-11-23T13:10:00Z");
    before.put(&new);
    before.merge("2026-11-23T14:10:00Z");
    before.put(&last);
    before.merge("2026-11-23T15:12:00Z");
    let prepare = || {
        let disk = prepared.copy();
        (disk.clone(), site(disk, Some(Duration::from_mins(90))))
    };
    // what only the hour 12 has taken has had its time, what is of the hour 14 is to be compressed
    let now = "2026-11-23T15:45:00Z";
    let sweep = |site: &Site| site.try_merge(&[], now).unwrap();
    let (disk, undisturbed) = prepare();
    let before = disk.calls();
    let outcome = sweep(&undisturbed);
    assert!(
        0 < outcome.swept.deleted && 0 < outcome.swept.compressed,
        "{outcome:?}"
    );
    let calls = disk.calls() - before;
    let spool = |disk: &SimulatedDisk| -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = disk.files();
        files.retain(|path, _| path.starts_with("/primary/spool"));
        files
    };
    let expected = (spool(&disk), undisturbed.files());
    assert!(100 < calls, "{calls}");
    let mut halves = 0;
    for call in 1..=calls {
        let (disk, site) = prepare();
        disk.fail_in(call);
        let _cut_off = site.try_merge(&[], now);
        disk.power_cut(call);
        let noted = disk.len(&site.root.join("sweep.json")).unwrap().is_some();
        halves += u64::from(noted);
        let is_whole = site.verify().worst() < Some(twinstream::verify::problem::Severity::Wrong);
        for segment in &all {
            let forms = forms(&disk, &site.spool(), &segment.name);
            let has_raw = forms.contains(['p', 'z']) && forms.ends_with("es");
            assert!(
                has_raw || is_whole,
                "call {call} of {calls}: {} {forms}",
                segment.name
            );
        }
        let outcome = sweep(&site);
        assert!(
            outcome.failed.is_empty()
                && outcome.unusable.is_empty()
                && outcome.swept.problems.is_empty(),
            "{call}: {outcome:?}"
        );
        check_raw(&site, &all);
        assert!(site.files() == expected.1, "call {call} of {calls}");
        let found = spool(&disk);
        assert!(
            found == expected.0,
            "call {call} of {calls}: {:?}",
            found.keys()
        );
    }
    assert!(3 < halves, "deletions were cut off {halves} times");
}

/// A write of a sweep is spoiled on its way, untold: the plain segment stays until a compressed one
/// reads back as it was sealed.
#[test]
fn a_compressed_segment_that_does_not_read_back_replaces_nothing() {
    let all = two_servers("2026-11-23T13:50:00Z", 2);
    let prepared = SimulatedDisk::default();
    let site = |disk: SimulatedDisk| Site {
        threads: 1,
        ..Site::on(Box::new(disk), Path::new("/primary"), "UTC")
    };
    let before = site(prepared.clone());
    before.disk.make_folder(&before.spool()).unwrap();
    before.put(&all);
    before.merge("2026-11-23T14:10:00Z");
    let now = "2026-11-23T14:58:00Z";
    let mut kept = 0;
    for nth in 1.. {
        let disk = prepared.copy();
        let site = site(disk.clone());
        disk.spoil_write(nth);
        let outcome = site.try_merge(&[], now).unwrap();
        if !disk.has_spoiled() {
            assert_eq!(outcome.swept.compressed, all.len() as u64);
            break;
        }
        check_raw(&site, &all);
        kept += outcome.swept.problems.len();
        site.try_merge(&[], now).unwrap();
        assert_eq!(
            count_forms(&site, &all),
            [("zes".to_owned(), all.len())].into()
        );
        check_raw(&site, &all);
    }
    assert!(all.len() <= kept, "{kept} of {}", all.len());
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The real process, really killed at every named point of commit and sweep; then the command is
/// given again.
#[test]
fn killed_at_every_named_point_the_next_merge_ends_with_the_same_bytes() {
    let all = two_servers("2026-11-23T13:58:00Z", 4);
    let (first, late) = all.split_at(all.len() - 1);
    let prepared = Site::new("UTC");
    prepared.put(first);
    let done = command(&prepared, "merge", "2026-11-23T15:10:00Z")
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", told(&done));
    prepared.put(late);
    let prepare = || {
        let site = Site::new("UTC");
        let copied = Command::new("cp")
            .arg("-a")
            .arg(prepared.root.join("."))
            .arg(&site.root)
            .status();
        assert!(copied.unwrap().success());
        site
    };
    // late data: a second revision of the hour 14. An hour later all raw data that can go has gone
    let times = ["2026-11-23T15:10:30Z", "2026-11-23T16:12:00Z"];
    let spool_of = |site: &Site| {
        let below = crate::support::folder::files_below(&site.spool());
        let name = |path: PathBuf| path.strip_prefix(&site.root).unwrap().to_owned();
        below.into_iter().map(name).collect::<Vec<_>>()
    };
    let undisturbed = prepare();
    for now in times {
        let done = command(&undisturbed, "merge", now).output().unwrap();
        assert!(
            [0, 4].contains(&done.status.code().unwrap()),
            "{}",
            told(&done)
        );
    }
    let expected = (undisturbed.files(), spool_of(&undisturbed));
    assert_eq!(undisturbed.manifest("2026-11-23_14").history.revision, 2);
    for point in Point::OF_MERGE {
        let site = prepare();
        let mut killed = 0;
        for now in times {
            let done = command(&site, "merge", now)
                .env(VARIABLE, format!("{point:?}"))
                .output()
                .unwrap();
            if done.status.signal() == Some(9) {
                killed += 1;
                let again = command(&site, "merge", now).output().unwrap();
                assert!(
                    [0, 4].contains(&again.status.code().unwrap()),
                    "{point:?}: {}",
                    told(&again)
                );
            }
        }
        assert!(0 < killed, "{point:?} was never passed");
        assert!(site.files() == expected.0, "{point:?}");
        assert_eq!(spool_of(&site), expected.1, "{point:?}");
    }
}

/// Below `keep_free` nothing is merged, and that is said; with room it goes on by itself.
#[test]
fn merging_stops_below_keep_free_and_goes_on_by_itself() {
    let all = two_servers("2026-11-23T12:58:00Z", 70);
    let disk = SimulatedDisk::default();
    let site = Site::on(Box::new(disk.clone()), Path::new("/primary"), "UTC");
    let mut settings = keep_raw(None);
    settings.keep_free = 1_000_000;
    let site = Site { settings, ..site };
    site.disk.make_folder(&site.spool()).unwrap();
    site.put(&all);
    let used: usize = disk.files().values().map(Vec::len).sum();
    let capacity = |free: usize| disk.set_capacity(Some((used + free) as u64));
    capacity(999_999);
    let outcome = site.try_merge(&[], "2026-11-23T15:10:00Z").unwrap();
    assert_eq!(outcome.committed, []);
    let why = outcome.stopped.unwrap();
    assert!(
        why.contains("keep_free is 1000000") && why.contains("bytes are free"),
        "{why}"
    );
    // room for one hour and its index, and not for the next
    let mut rounds = 0;
    let mut free = 1_050_000;
    while site.hours().len() < 3 {
        capacity(free);
        let outcome = site.try_merge(&[], "2026-11-23T15:10:00Z").unwrap();
        assert!(outcome.failed.is_empty(), "{outcome:?}");
        free += 50_000;
        rounds += 1;
        assert!(rounds < 40, "{free}");
    }
    assert!(1 < rounds, "it stopped between the hours");
    disk.set_capacity(None);
    let unlimited = Site::in_memory();
    unlimited.put(&all);
    unlimited.merge("2026-11-23T15:10:00Z");
    assert!(unlimited.essence() == site.essence());
}
