//! The life of an archive: late data in all its forms, moving, restoring, upgrading, and rules of
//! time zones that change.

use std::{cell::RefCell, collections::BTreeSet, fs, path::Path, process::Command};

use twinstream::{
    deliver::folder,
    merge::outcome::CommittedHour,
    place::{
        segments::{self as fetched, Bring},
        store::StoreError,
    },
    segment::{name::SegmentName, raw},
    world::disk,
};

use crate::support::{
    folder::files_below,
    posts::{Segment, mix, segments, stream},
    primary::{Site, at},
};

/// What two servers received.
fn two_servers(begin: &str, minutes: i64, per_minute: u64) -> [Vec<Segment>; 2] {
    let received = stream(2, at(begin), minutes, per_minute);
    [("1", 0), ("2", 1)].map(|(server, n)| segments(server, &received[n]))
}

fn revisions(committed: &[CommittedHour], hour: &str) -> usize {
    let of_hour = committed.iter().filter(|one| one.hour.to_string() == hour);
    of_hour.count()
}

/// Sixty late segments of one hour: one revision when they come minute by minute, one every six
/// hours when they trickle in, one when they come at once, in whatever order; none when they come
/// again. The bytes are the same.
#[test]
fn late_segments_are_merged_together() {
    let [first, second] = two_servers("2026-11-23T13:00:00Z", 60, 4);
    let hour = "2026-11-23_13";
    let clean = Site::in_memory();
    clean.put(&first);
    clean.put(&second);
    clean.merge("2026-11-23T14:10:00Z");
    let essence = |site: &Site| {
        let mut files = site.essence();
        files.retain(|name, _| name.starts_with("2026-11-23/2026-11-23_13"));
        files
    };
    let mut order = second.clone();
    order.sort_by_key(|segment| mix(segment.name.minute.0.unsigned_abs(), 3));
    // minutes between two of them, how often a merge runs, how many revisions that makes
    for (every, merge_every, expected) in [(0, 10, 1), (1, 3, 1), (8, 8, 2)] {
        let site = Site::in_memory();
        site.put(&first);
        site.merge("2026-11-23T14:10:00Z");
        let begin = at("2026-11-23T15:00:00Z");
        let last = every * i64::try_from(order.len()).unwrap();
        let mut committed = Vec::new();
        let mut come = 0;
        for minute in (0..=last + 20).step_by(merge_every) {
            let now = begin.plus_ms(minute * 60_000);
            while come < order.len() && every * i64::try_from(come).unwrap() <= minute {
                site.deliver(
                    &order[come..=come],
                    begin.plus_ms(every * i64::try_from(come).unwrap() * 60_000),
                );
                come += 1;
            }
            committed.extend(site.merge(&now.to_string()));
        }
        assert_eq!(come, order.len());
        assert_eq!(
            revisions(&committed, hour),
            expected,
            "one every {every} minutes"
        );
        assert!(
            essence(&site) == essence(&clean),
            "one every {every} minutes"
        );
        // all of them again, and the index is gone
        site.put(&second);
        for entry in site
            .disk
            .list(&site.root.join("index/2/2026-11-23/13"))
            .unwrap()
        {
            let path = site.root.join("index/2/2026-11-23/13").join(entry.name);
            site.disk.remove(&path).unwrap();
        }
        let later = begin.plus_ms((last + 60) * 60_000);
        assert_eq!(revisions(&site.merge(&later.to_string()), hour), 0);
        assert_eq!(site.manifest(hour).history.revision, 1 + expected as u64);
        assert_eq!(site.verify().worst(), None);
    }
}

/// Another machine has made the hours of segments that are not here: what they lack is fetched and merged at once.
#[test]
fn what_an_hour_lacks_of_another_machine_is_brought_and_merged_at_once() {
    let [first, second] = two_servers("2026-11-23T13:50:00Z", 25, 6);
    let (merged, now) = ("2026-11-23T16:10:00Z", "2026-11-23T16:40:00Z");
    let there = Site::in_memory();
    there.put(&first);
    assert_eq!(there.merge(merged).len(), 3);
    let whole = Site::in_memory();
    whole.put(&first);
    whole.put(&second);
    whole.merge(now);
    let lacking = || {
        let site = Site::in_memory();
        for (name, bytes) in there.files() {
            let path = site.vault().join(name);
            site.disk.make_folder(path.parent().unwrap()).unwrap();
            disk::put(&*site.disk, &path, &bytes).unwrap();
        }
        site.put(&second);
        site
    };
    let site = lacking();
    let asked = RefCell::new(BTreeSet::new());
    let bring = |names: &BTreeSet<SegmentName>| {
        let is_wanted = |segment: &&Segment| names.contains(&segment.name);
        let wanted: Vec<Segment> = first.iter().filter(is_wanted).cloned().collect();
        site.put(&wanted);
        asked.borrow_mut().extend(names.iter().cloned());
        Ok(wanted.len() as u64)
    };
    let outcome = site.merge_bringing(&bring, &[], now).unwrap();
    assert!(outcome.failed.is_empty(), "{outcome:?}");
    let revisions = outcome.committed.iter().map(|hour| hour.revision);
    // the third hour has nothing of either
    assert_eq!(revisions.collect::<Vec<u64>>(), [2, 2]);
    let names = first.iter().map(|segment| segment.name.clone());
    assert!(
        asked.into_inner().into_iter().eq(names),
        "all, and nothing else"
    );
    assert!(site.essence() == whole.essence());

    // nobody has them, or nobody can be asked
    let failed = |bring: Bring<'_>| {
        let outcome = lacking().merge_bringing(bring, &[], now).unwrap();
        let failed = outcome.failed.into_iter();
        let failed: Vec<(bool, String)> = failed.map(|one| (one.held_back, one.why)).collect();
        assert_eq!(
            (failed.len(), outcome.committed.len()),
            (2, 0),
            "{failed:?}"
        );
        failed
    };
    for (held_back, why) in failed(&fetched::bring_nothing) {
        assert!(held_back && why.contains("would lack what it had"), "{why}");
    }
    let away = |_: &BTreeSet<SegmentName>| {
        Err(StoreError::Unreachable {
            place: "s3://archive/spool".to_owned(),
            why: "it is night".to_owned(),
        })
    };
    for (held_back, why) in failed(&away) {
        assert!(!held_back && why.ends_with("it is night"), "{why}");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let copied = Command::new("cp")
        .arg("-a")
        .arg(from.join("."))
        .arg(to)
        .status();
    assert!(copied.unwrap().success());
}

#[test]
fn a_vault_restored_from_a_backup_catches_up() {
    let site = Site::new("UTC");
    let [first, second] = two_servers("2026-11-23T13:55:00Z", 12, 8);
    site.put(&first);
    site.merge("2026-11-23T14:10:00Z");
    let backup = site.root.join("backup");
    copy(&site.vault(), &backup);
    site.put(&second);
    site.merge("2026-11-23T15:10:00Z");
    let expected = site.essence();
    fs::remove_dir_all(site.vault()).unwrap();
    copy(&backup, &site.vault());
    assert_eq!(site.verify().worst(), None);
    let now = "2026-11-23T15:11:00Z";
    let committed = site.merge(now);
    assert_eq!(committed.len(), 2, "{committed:?}");
    assert!(site.essence() == expected);
    assert_eq!(site.verify().worst(), None);
    assert_eq!(site.merge(now), []);
}

#[test]
fn a_primary_that_moves_takes_spool_and_vault_along() {
    let [first, second] = two_servers("2026-11-23T13:55:00Z", 12, 8);
    let (old, new) = (Site::new("UTC"), Site::new("UTC"));
    old.put(&first);
    old.put(&second[..6]);
    old.merge("2026-11-23T15:10:00Z");
    copy(&old.spool(), &new.spool());
    copy(&old.vault(), &new.vault());
    assert_eq!(
        new.merge("2026-11-23T15:11:00Z"),
        [],
        "nothing is lost, nothing is new"
    );
    // the old primary sends on what it holds, which lies compressed there
    let packed = files_below(&old.spool());
    assert!(
        packed
            .iter()
            .any(|path| path.to_str().unwrap().ends_with(".jsonl.zst"))
    );
    for segment in &first[..2] {
        raw::remove(&*new.disk, &segment.name.paths(&new.spool())).unwrap();
        let sent = folder::send(
            &*new.disk,
            &segment.name,
            &old.spool(),
            &new.spool(),
            || at("2026-11-23T15:12:00Z"),
        );
        assert_eq!(sent.unwrap().len(), 3);
        let [(path, bytes), ..] = segment.files(&new.spool());
        assert!(fs::read(path).unwrap() == bytes, "it arrives plain");
        // and once more, when it lies compressed here
        new.merge("2026-11-23T15:12:00Z");
        let again = folder::send(
            &*new.disk,
            &segment.name,
            &old.spool(),
            &new.spool(),
            || at("2026-11-23T15:13:00Z"),
        );
        assert_eq!(again.unwrap().len(), 3);
    }
    new.put(&second[6..]);
    new.merge("2026-11-23T15:20:00Z");
    let clean = Site::new("UTC");
    clean.put(&first);
    clean.put(&second);
    clean.merge("2026-11-23T15:20:00Z");
    assert!(clean.essence() == new.essence());
}

/// The rules of zones are built into the program. A later program may know others: an hour that was
/// committed with other UTC time is never mixed with them.
#[test]
fn an_hour_that_was_committed_under_other_rules_is_held_back() {
    let [first, second] = two_servers("2026-11-23T13:55:00Z", 12, 8);
    let site = Site::new("CET");
    site.put(&first);
    site.merge("2026-11-23T15:10:00Z");
    let path = site.vault().join("2026-11-23/2026-11-23_14_manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    let begin = "2026-11-23T13:00:00.000Z";
    assert!(text.contains(begin), "{}", &text[..600]);
    fs::write(&path, text.replacen(begin, "2026-11-23T13:30:00.000Z", 1)).unwrap();
    let before = site.files();
    site.put(&second);
    let outcome = site.try_merge(&[], "2026-11-23T15:20:00Z").unwrap();
    assert_eq!(outcome.failed.len(), 1, "{outcome:?}");
    assert!(
        outcome.failed[0].why.contains("rules of CET"),
        "{outcome:?}"
    );
    assert_eq!(outcome.committed.len(), 1, "the other hour goes on");
    let data = "2026-11-23/2026-11-23_14_IDs.txt.xz";
    assert!(before[data] == site.files()[data]);
    let found = site.verify();
    assert!(
        found
            .problems
            .iter()
            .any(|problem| problem.what.contains("intervals")),
        "{found:?}"
    );
}

/// What a program of format 1 wrote: a vault, and the spool that it was made of, compressed and plain.
/// `TWINSTREAM_WRITE_GOLDEN=1` writes it anew, as long as no version with this format was released.
#[test]
fn what_version_1_wrote_is_read_verified_and_merged_again() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1");
    let [first, second] = two_servers("2026-11-23T13:57:00Z", 5, 6);
    let parquet = |site: Site| {
        let mut settings = site.settings.clone();
        settings.parquet = true;
        Site { settings, ..site }
    };
    if std::env::var_os("TWINSTREAM_WRITE_GOLDEN").is_some() {
        let site = parquet(Site::new("UTC"));
        site.put(&first[..4]);
        site.put(&second[..3]);
        site.merge("2026-11-23T14:59:00Z");
        site.put(&first[4..]);
        site.merge("2026-11-23T15:10:00Z");
        if golden.exists() {
            fs::remove_dir_all(&golden).unwrap();
        }
        copy(&site.spool(), &golden.join("spool"));
        copy(&site.vault(), &golden.join("vault"));
    }
    let site = parquet(Site::new("UTC"));
    copy(&golden, &site.root);
    let endings: Vec<String> = files_below(&site.spool())
        .iter()
        .map(|path| path.extension().unwrap().to_str().unwrap().to_owned())
        .collect();
    for ending in ["jsonl", "zst", "json"] {
        assert!(endings.iter().any(|one| one == ending), "{ending}");
    }
    let found = site.verify();
    assert_eq!(found.worst(), None, "{:?}", found.problems);
    let before = site.manifest("2026-11-23_13");
    assert_eq!(before.format, 1);
    assert_eq!(site.merge("2026-11-23T15:10:00Z"), [], "nothing is new");
    // late data: every earlier input is read again
    site.put(&second[3..]);
    let committed = site.merge("2026-11-23T15:20:00Z");
    assert!(0 < revisions(&committed, "2026-11-23_14"), "{committed:?}");
    let clean = parquet(Site::new("UTC"));
    clean.put(&first);
    clean.put(&second);
    clean.merge("2026-11-23T15:20:00Z");
    for hour in ["2026-11-23_13", "2026-11-23_14"] {
        for ending in ["IDs.txt.xz", "tweets.csv.xz", "users.csv.xz"] {
            assert_eq!(
                site.text(hour, ending),
                clean.text(hour, ending),
                "{hour} {ending}"
            );
        }
    }
    assert_eq!(site.verify().worst(), None);
}
