//! What people delete: gone from every file but raw data that is young, whenever and wherever it comes; and everything
//! else is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read as _,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use liblzma::read::XzEncoder;
use serde_json::Value;
use twinstream::{
    merge::deletions::Honour,
    period::UtcMs,
    segment::{event::EventKind, raw},
    source::{self, bluesky::tid},
    world::{
        crash::{Point, VARIABLE},
        disk::RealDisk,
    },
};

use crate::{
    bluesky::{cell, rows_of},
    object_store::{NOW, Servers, check_vault},
    redact::mentions,
    support::{
        events::{self, Event, commit, rev},
        folder::files_below,
        osf::{Osf, Publisher, fast_folder},
        posts::{Received, Segment, mix, segments_of},
        primary::{Site, at, command, unxz},
    },
};

const POSTS: &str = "app.bsky.feed.post";
const MINUTE: i64 = 60_000;
const BEGIN: &str = "2026-11-23T13:40:00Z";

/// Accounts, and what becomes of them.
const STAYS: &str = "did:plc:stays";
const GONE: &str = "did:plc:gone";
const DOWN: &str = "did:plc:down";
const AWAY: &str = "did:plc:away";
const BACK: &str = "did:plc:back";
const WRITER: &str = "did:plc:writer";
const DOWN_UNTIL: &str = "2026-11-23T15:00:00Z";

/// A version of a post, with words that no other one has.
#[derive(Debug, Clone)]
struct Version {
    did: &'static str,
    uri: String,
    at: UtcMs,
    rev: String,
    words: String,
}

/// What is written, and what becomes of it.
#[derive(Default)]
struct Story {
    events: Vec<Event>,
    versions: Vec<Version>,
    /// The revision that deleted a post last, by address.
    deleted: BTreeMap<String, String>,
    number: u64,
}

/// Where a version is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Listed,
    Held,
    Nowhere,
}

impl Story {
    fn next(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    fn write(&mut self, did: &'static str, at: UtcMs, operation: &str, rkey: &str, more: &str) {
        let n = self.next();
        let words = format!("words{n}x");
        let record = format!(
            r#"{{"$type":"{POSTS}","createdAt":"{at}","langs":["en"],"text":"some {words}"{more}}}"#
        );
        self.events.push(commit(
            (at, n),
            did,
            operation,
            (POSTS, rkey),
            Some(&record),
        ));
        self.versions.push(Version {
            did,
            uri: format!("at://{did}/{POSTS}/{rkey}"),
            at,
            rev: rev(at, n),
            words,
        });
    }

    fn delete(&mut self, did: &'static str, at: UtcMs, rkey: &str) {
        let n = self.next();
        self.events
            .push(commit((at, n), did, "delete", (POSTS, rkey), None));
        let by = self.deleted.entry(format!("at://{did}/{POSTS}/{rkey}"));
        let by = by.or_default();
        *by = rev(at, n).max(by.clone());
    }

    fn account(&mut self, did: &str, at: UtcMs, status: &str) {
        let n = self.next();
        let what = match status {
            "active" => r#""active":true"#.to_owned(),
            status => format!(r#""active":false,"status":"{status}""#),
        };
        self.events.push(Event {
            at,
            did: did.to_owned(),
            kind: "account",
            says: format!(r#"{{"did":"{did}",{what},"seq":{n},"time":"{at}"}}"#),
        });
    }

    /// Where a version is to be, when all events up to then were read.
    fn place(&self, version: &Version, read_at: UtcMs) -> Place {
        let by = self.deleted.get(&version.uri);
        let is_back = at("2026-11-24T21:30:00Z") <= read_at;
        let is_over = at("2026-12-23T15:10:00Z") <= read_at;
        match version.did {
            GONE => Place::Nowhere,
            DOWN if version.at < at(DOWN_UNTIL) => Place::Nowhere,
            BACK if !is_back => Place::Held,
            AWAY if is_over => Place::Nowhere,
            AWAY => Place::Held,
            _ if by.is_some_and(|by| version.rev < *by) => Place::Nowhere,
            _ => Place::Listed,
        }
    }

    /// The addresses and revisions that a list has to have.
    fn of(&self, place: Place, read_at: UtcMs) -> BTreeSet<String> {
        let of_place = self
            .versions
            .iter()
            .filter(|one| self.place(one, read_at) == place);
        of_place
            .map(|one| format!("{}\t{}", one.uri, one.rev))
            .collect()
    }
}

/// Hours of posts, and what became of them.
fn story() -> Story {
    let mut story = Story::default();
    let begin = at(BEGIN);
    // an hour in which nothing is ever deleted
    for minute in 0..3 {
        let at = at("2026-11-23T10:00:00Z").plus_ms(minute * MINUTE);
        story.write(STAYS, at, "create", &tid::first_of(at), "");
    }
    // and one in which the only post that is deleted has an address of the hour before
    let edge = at("2026-11-23T11:00:00.100Z");
    let rkey = tid::first_of(edge.plus_ms(-200));
    story.write(WRITER, edge, "create", &rkey, "");
    story.delete(WRITER, at("2026-11-23T14:20:00Z"), &rkey);
    // and one in which it is a version of a post that was made hours before
    let made = tid::first_of(at("2026-11-23T08:00:00Z"));
    story.write(WRITER, at("2026-11-23T12:30:00Z"), "update", &made, "");
    story.delete(WRITER, at("2026-11-23T14:21:00Z"), &made);
    for minute in (0..100).step_by(2) {
        let at = begin.plus_ms(minute * MINUTE);
        for (did, ms) in [(STAYS, 0), (GONE, 1), (DOWN, 2), (AWAY, 3), (BACK, 4)] {
            let at = at.plus_ms(ms * 10_000);
            let is_there = match did {
                AWAY => at < self::at("2026-11-23T15:10:00Z"),
                BACK => at < self::at("2026-11-23T14:50:00Z"),
                DOWN => at < self::at("2026-11-23T14:30:00Z") || self::at(DOWN_UNTIL) < at,
                _ => true,
            };
            if is_there {
                story.write(did, at, "create", &tid::first_of(at.plus_ms(-200)), "");
            }
        }
        write_and_delete(&mut story, minute, at.plus_ms(50_000));
    }
    story.account(GONE, at("2026-11-23T15:30:00Z"), "deleted");
    story.account(DOWN, at("2026-11-23T14:30:00Z"), "takendown");
    story.account(DOWN, at("2026-11-23T14:40:00Z"), "desynchronized");
    story.account(DOWN, at(DOWN_UNTIL), "active");
    story.account(AWAY, at("2026-11-23T15:10:00Z"), "deactivated");
    story.account(BACK, at("2026-11-23T14:50:00Z"), "suspended");
    story
}

/// A post of somebody who deletes; its address tells the truth, nothing, the future, or long ago.
fn write_and_delete(story: &mut Story, minute: i64, at: UtcMs) {
    let rkey = match minute / 2 % 5 {
        0 => format!("self{minute}"),
        1 => tid::first_of(self::at("2150-01-01T00:00:00Z").plus_ms(minute)),
        2 => tid::first_of(self::at("2023-05-05T05:05:05Z").plus_ms(minute)),
        _ => tid::first_of(at.plus_ms(-300)),
    };
    let later = |minutes: i64| at.plus_ms(minutes * MINUTE);
    story.write(WRITER, at, "create", &rkey, "");
    match minute / 2 % 4 {
        0 => story.delete(WRITER, later(20), &rkey),
        1 => {
            story.write(WRITER, later(10), "update", &rkey, "");
            story.delete(WRITER, later(40), &rkey);
        }
        2 => {
            story.delete(WRITER, later(20), &rkey);
            story.write(WRITER, later(30), "create", &rkey, "");
        }
        _ => (),
    }
    // who quotes it has said something himself
    let uri = format!("at://{WRITER}/{POSTS}/{rkey}");
    let quote = format!(
        r#","embed":{{"$type":"app.bsky.embed.record","record":{{"uri":"{uri}","cid":"bafyq"}}}}"#
    );
    let at = later(5);
    story.write(STAYS, at, "create", &tid::first_of(at), &quote);
}

/// What two servers got of it: each lacks some, one has torn lines and another text for some.
fn received(story: &Story, server: u64) -> Vec<Received> {
    let mut received = Vec::new();
    for (n, event) in (0_u64..).zip(&story.events) {
        let is_told = event.kind == "account" || event.says.contains("\"delete\"");
        let luck = mix(n, server) % 20;
        if luck < 2 && !is_told && server == 2 {
            continue;
        }
        let mut line = events::line(event, server, 30);
        if luck == 2 && server == 2 {
            line = line.replace("some words", "other words");
        }
        let at = event.at.plus_ms(100 + i64::try_from(server).unwrap());
        // what makes the index of holders find the hours before is to be the only thing by which they are found
        if (luck == 3 || luck == 4) && self::at(BEGIN) <= event.at {
            // torn behind the text; and one whose time cannot be
            let torn = &line[..line.len() - 3];
            let old = line.replace(&rev_of(event), "2222222222222");
            let wrong = if luck == 3 { torn } else { &old };
            let line = wrong.as_bytes().to_vec();
            received.push(Received { at, line });
        }
        if luck == 5 {
            let line = line.clone().into_bytes();
            received.push(Received { at, line });
        }
        let line = line.into_bytes();
        received.push(Received { at, line });
    }
    received.sort_by_key(|one| one.at);
    received
}

fn rev_of(event: &Event) -> String {
    let says: Value = serde_json::from_str(&event.says).unwrap();
    says["rev"].as_str().unwrap_or("none").to_owned()
}

/// The segments of both, and those that come late: some of the second server's.
fn arrivals(story: &Story) -> (Vec<Segment>, Vec<Segment>) {
    let of = |server: u64| segments_of("bluesky", &server.to_string(), &received(story, server));
    let (late, soon): (Vec<_>, Vec<_>) = of(2).into_iter().partition(|segment| {
        !segment.lines.is_empty()
            && mix(u64::try_from(segment.name.minute.0).unwrap(), 3).is_multiple_of(3)
    });
    ([of(1), soon].concat(), late)
}

/// An account event that comes by itself, later.
fn later_event(did: &str, when: &str, status: &str) -> Vec<Segment> {
    let mut story = Story {
        number: 900_000,
        ..Story::default()
    };
    story.account(did, at(when), status);
    let event = &story.events[0];
    let one = Received {
        at: event.at.plus_ms(100),
        line: events::line(event, 1, 30).into_bytes(),
    };
    let mut segments = segments_of("bluesky", "1", &[one]);
    // the server was there all the time
    segments[0].events[0].what = EventKind::FirstLine {
        clock_offset_ms: None,
    };
    segments
}

fn site(site: Site) -> Site {
    let mut site = Site {
        stream: source::BLUESKY,
        honour: Honour::Daily,
        ..site
    };
    site.settings.parquet = true;
    site
}

/// What a Parquet file says.
fn cells_of(bytes: Vec<u8>) -> String {
    let table = rows_of(bytes);
    let columns = table.columns().iter();
    let cells = columns.flat_map(|column| {
        (0..table.num_rows()).map(move |row| cell(column, row).to_string() + "\n")
    });
    cells.collect()
}

/// Every file below a folder: as it is, and unpacked.
fn every_file(root: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            let raw = String::from_utf8_lossy(&bytes).into_owned();
            let plain = match path.extension().and_then(|ending| ending.to_str()) {
                Some("xz") => unxz(&bytes),
                Some("zst") => String::from_utf8(zstd::decode_all(&*bytes).unwrap()).unwrap(),
                Some("parquet") => cells_of(bytes),
                _ => String::new(),
            };
            let name = path.strip_prefix(root).unwrap().display().to_string();
            all.push((name, plain + &raw));
        }
    }
    all
}

/// Every text that lies in the vault, and beside it but for the spool: files as they are, and unpacked.
fn everything(site: &Site) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (name, bytes) in site.files() {
        let text =
            if name.ends_with("txt.xz") || name.ends_with("csv.xz") || name.ends_with("jsonl.xz") {
                unxz(&bytes)
            } else if name.ends_with("_posts.parquet") {
                let raw = String::from_utf8_lossy(&bytes).into_owned();
                cells_of(bytes) + &raw
            } else {
                String::from_utf8_lossy(&bytes).into_owned()
            };
        all.push((name, text));
    }
    let mut folders = vec![
        site.root.join("index"),
        site.root.join("scratch"),
        site.root.join("holders"),
    ];
    while let Some(folder) = folders.pop() {
        for entry in site.disk.list(&folder).unwrap() {
            let path = folder.join(&entry.name);
            if entry.folder {
                folders.push(path);
                continue;
            }
            let mut bytes = Vec::new();
            let mut file = site.disk.open(&path).unwrap();
            file.read_to_end(&mut bytes).unwrap();
            all.push((
                path.display().to_string(),
                String::from_utf8_lossy(&bytes).into_owned(),
            ));
        }
    }
    all
}

/// The lines of all files with this ending.
fn listed(all: &[(String, String)], ending: &str) -> BTreeSet<String> {
    let files = all.iter().filter(|(name, _)| name.ends_with(ending));
    files
        .flat_map(|(_, text)| text.lines().map(str::to_owned))
        .collect()
}

/// Every version is where it is to be, and no file says a word of those that are to be nowhere.
#[track_caller]
fn check(site: &Site, story: &Story, read_at: &str) {
    let read_at = at(read_at);
    let all = everything(site);
    assert_eq!(listed(&all, "IDs.txt.xz"), story.of(Place::Listed, read_at));
    assert_eq!(listed(&all, "held.txt.xz"), story.of(Place::Held, read_at));
    // which files say which words
    let mut said: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (name, text) in &all {
        for rest in text.split("words").skip(1) {
            let number = rest.split('x').next().unwrap_or_default();
            said.entry(format!("words{number}x"))
                .or_default()
                .insert(name);
        }
    }
    for version in &story.versions {
        let found = said.get(&version.words).cloned().unwrap_or_default();
        let is_in = |ending: &str| found.iter().any(|name| name.ends_with(ending));
        if story.place(version, read_at) == Place::Nowhere {
            assert!(found.is_empty(), "{version:?}: {found:?}");
        } else {
            let is_whole = is_in("_posts.parquet") && is_in("_posts.csv.xz");
            assert!(is_whole, "{version:?}: {found:?}");
        }
    }
    for hour in site.hours() {
        let manifest = site.manifest(&hour);
        assert!(manifest.balances(), "{hour}");
    }
    let found = site.verify().problems;
    assert!(found.is_empty(), "{found:?}");
}

fn deletions(site: &Site) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for hour in site.hours() {
        for (why, records) in site.manifest(&hour).said.deletions {
            *sums.entry(why).or_default() += records;
        }
    }
    sums
}

fn revisions(site: &Site) -> BTreeMap<String, u64> {
    let hours = site.hours().into_iter();
    hours
        .map(|hour| (hour.clone(), site.manifest(&hour).history.revision))
        .collect()
}

/// The hours of the story.
const HOURS: [&str; 5] = [
    "2026-11-23_11",
    "2026-11-23_12",
    "2026-11-23_13",
    "2026-11-23_14",
    "2026-11-23_15",
];

/// Honours what was deleted, and makes these hours anew at once; whoever waited for all hours of a month would wait long.
#[track_caller]
fn honour(site: &mut Site, hours: &[&str], now: &str) {
    site.honour = Honour::Now;
    let outcome = site.try_merge(hours, now).unwrap();
    assert!(outcome.failed.is_empty(), "{outcome:?}");
    site.honour = Honour::Daily;
}

/// How often a text stands in the raw data that is there.
fn in_raw_data(site: &Site, segments: &[Segment], text: &str) -> usize {
    let mut found = 0;
    for segment in segments {
        let path = segment.name.paths(&site.spool()).segment;
        let mut bytes = Vec::new();
        if let Ok(mut file) = raw::open(&*site.disk, &path) {
            file.read_to_end(&mut bytes).unwrap();
        }
        found += String::from_utf8_lossy(&bytes).matches(text).count();
    }
    found
}

/// Of each hour: the seconds that somebody has, and those of them that have lost all their posts.
fn of_seconds(site: &Site) -> Vec<(u64, u64)> {
    let of_hour = |hour: &&str| {
        let said = site.manifest(hour).said;
        (said.coverage.union.covered, said.coverage.union.emptied)
    };
    HOURS.iter().map(of_hour).collect()
}

#[test]
fn what_was_deleted_is_nowhere_but_in_young_raw_data_and_all_else_is_there() {
    let story = story();
    let (soon, late) = arrivals(&story);
    let mut site = site(Site::in_memory());
    site.put(&soon);
    site.merge("2026-11-23T16:00:00Z");
    assert_eq!(deletions(&site), BTreeMap::new(), "not read yet");
    let has = |site: &Site, words: &str| {
        everything(site)
            .iter()
            .any(|(_, text)| text.contains(words))
    };
    assert!(has(&site, "other words") && has(&site, "words6x"));
    site.merge("2026-11-24T14:00:00Z");
    assert_eq!(deletions(&site), BTreeMap::new(), "no day has passed");

    // a day later: one more revision of each hour, and none of one that holds nothing of it
    let first = revisions(&site);
    let read_at = "2026-11-24T16:00:00Z";
    let received = of_seconds(&site);
    site.merge(read_at);
    check(&site, &story, read_at);
    // what was received was received, whatever became of it
    let left = of_seconds(&site);
    assert!(left.iter().any(|(_, emptied)| 0 < *emptied), "{left:?}");
    for ((was, _), (is, _)) in received.iter().zip(&left) {
        assert!(was <= is, "{received:?} {left:?}");
    }
    let second = revisions(&site);
    let redone = first.keys().filter(|hour| first[*hour] < second[*hour]);
    let redone: Vec<&str> = redone.map(String::as_str).collect();
    assert_eq!(redone, HOURS, "{second:?}");
    assert!(HOURS.iter().all(|hour| second[*hour] == first[*hour] + 1));
    let found = deletions(&site);
    let count = |place| story.of(place, at(read_at)).len() as u64;
    assert_eq!(found["deleted"] + found["account"], count(Place::Nowhere));
    assert_eq!(found["held_back"], count(Place::Held));
    honour(&mut site, &HOURS, "2026-11-24T17:00:00Z");
    let third = revisions(&site);
    assert!(
        HOURS.iter().all(|hour| third[*hour] == second[*hour]),
        "nothing twice"
    );

    // raw data still has it; then that is gone, too
    assert!(300 < in_raw_data(&site, &soon, "some words"));
    site.settings.keep_raw = Some(Duration::from_hours(1));
    for now in ["2026-11-24T19:00:00Z", "2026-11-24T22:00:00Z"] {
        site.merge(now);
    }
    site.settings.keep_raw = None;
    assert!(in_raw_data(&site, &soon, "some words") < 20);

    // one comes back, though the raw data is gone
    site.put(&later_event(BACK, "2026-11-24T21:30:00Z", "active"));
    let of_event = "2026-11-24_21";
    site.try_merge(&[of_event], "2026-11-26T00:00:00Z").unwrap();
    honour(&mut site, &HOURS, "2026-11-26T00:00:00Z");
    check(&site, &story, "2026-11-26T00:00:00Z");

    // late data brings nothing back, long before deletions are honoured again
    site.put(&late);
    let merged = site.try_merge(&HOURS, "2026-11-26T01:00:00Z").unwrap();
    assert_eq!(merged.committed.len(), 3, "{merged:?}");
    check(&site, &story, "2026-11-26T01:00:00Z");
    for hour in &HOURS[2..4] {
        assert!(site.manifest(hour).carried.is_some(), "{hour}");
    }

    // and who stays away for thirty days is gone
    for now in ["2026-12-23T15:00:00Z", "2026-12-23T15:20:00Z"] {
        honour(&mut site, &HOURS, now);
        check(&site, &story, now);
    }
    assert!(!deletions(&site).contains_key("held_back"));
}

/// What was held back goes also where nothing else has to go.
#[test]
fn an_hour_that_only_has_posts_to_hold_back_loses_them_after_thirty_days() {
    let mut story = Story::default();
    for minute in 0..12 {
        let at = at("2026-11-23T13:54:00Z").plus_ms(minute * MINUTE);
        story.write(STAYS, at, "create", &tid::first_of(at), "");
        story.write(AWAY, at.plus_ms(500), "create", &tid::first_of(at), "");
    }
    story.account(AWAY, at("2026-11-23T15:10:00Z"), "deactivated");
    let site = site(Site::in_memory());
    // without cut lines that name somebody, which would be a reason of their own
    let received = story.events.iter().map(|event| Received {
        at: event.at.plus_ms(100),
        line: events::line(event, 1, 30).into_bytes(),
    });
    let received: Vec<Received> = received.collect();
    site.put(&segments_of("bluesky", "1", &received));
    site.merge("2026-11-23T16:20:00Z");
    for now in [
        "2026-11-24T16:30:00Z",
        "2026-12-23T15:00:00Z",
        "2026-12-24T15:20:00Z",
    ] {
        site.merge(now);
        check(&site, &story, now);
    }
}

/// Killed on its way, the next merge ends with the same bytes, and makes no hour anew that was done.
#[test]
fn whoever_asks_for_it_has_honoured_what_that_merge_itself_brings() {
    let story = story();
    let (soon, _) = arrivals(&story);
    let mut site = site(Site::in_memory());
    site.put(&soon);
    site.honour = Honour::Now;
    let read_at = "2026-11-24T16:00:00Z";
    site.merge(read_at);
    check(&site, &story, read_at);
}

#[test]
fn a_daily_run_that_is_killed_is_finished_by_the_next_merge() {
    let mut story = Story::default();
    for minute in 0..12 {
        let at = at("2026-11-23T13:54:00Z").plus_ms(minute * MINUTE);
        story.write(GONE, at, "create", &tid::first_of(at), "");
        write_and_delete(&mut story, 2 * minute, at.plus_ms(5_000));
    }
    story.account(GONE, at("2026-11-23T14:59:00Z"), "deleted");
    let prepared = site(Site::new("UTC"));
    prepared.put(&arrivals(&story).0);
    for now in ["2026-11-23T15:20:00Z", "2026-11-24T14:15:00Z"] {
        prepared.merge(now);
    }
    let before = revisions(&prepared);
    let copy = || {
        let site = site(Site::new("UTC"));
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(prepared.root.join(".")).arg(&site.root);
        assert!(copy.status().unwrap().success());
        site
    };
    let now = "2026-11-24T14:25:00Z";
    let asked = ["--hour", "2026-11-23_13", "--hour", "2026-11-23_14"];
    let finish = |site: &Site, asked: &[&str]| {
        let merged = command(site, "merge", now).args(asked).output().unwrap();
        let code = merged.status.code().unwrap();
        let why = String::from_utf8_lossy(&merged.stderr).into_owned();
        assert!([0, 4].contains(&code), "{why}");
    };
    let essence = |site: &Site| {
        let mut files = site.essence();
        files.retain(|name, _| name != "deleted/state.json");
        files
    };
    let undisturbed = copy();
    finish(&undisturbed, &[]);
    let expected = essence(&undisturbed);
    let points = [
        Point::ManifestAside,
        Point::ManifestInPlace,
        Point::LedgerAppended,
    ];
    for point in Point::OF_DELETIONS.into_iter().chain(points) {
        let site = copy();
        let mut killed = command(&site, "merge", now);
        let killed = killed.env(VARIABLE, format!("{point:?}")).output().unwrap();
        let why = String::from_utf8_lossy(&killed.stderr).into_owned();
        assert_eq!(killed.status.signal(), Some(9), "{point:?}: {why}");
        if point != Point::DeletionsListed {
            // what was read is known, whoever merges next and whatever for
            finish(&site, &asked);
        }
        finish(&site, &[]);
        assert!(essence(&site) == expected, "{point:?}");
        for hour in ["2026-11-23_13", "2026-11-23_14"] {
            let revision = site.manifest(hour).history.revision;
            assert_eq!(revision, before[hour] + 1, "{point:?}: {hour}");
        }
    }
    let deleted = story
        .versions
        .iter()
        .filter(|one| story.place(one, at(now)) == Place::Nowhere);
    assert!(deleted.count() > 12);
    check(&undisturbed, &story, now);

    // by hand: all versions of a record, and an account
    let is_listed = |one: &&Version| story.place(one, at(now)) == Place::Listed;
    let mut listed = story.versions.iter().filter(is_listed);
    let one = listed.find(|one| one.did == WRITER).unwrap();
    let file = undisturbed.root.join("ids.txt");
    fs::write(&file, format!("{}\n", one.uri)).unwrap();
    let by_hand = |args: &[&str]| {
        let mut redact = command(&undisturbed, "redact", now);
        let redact = redact
            .args(["--reason", "asked"])
            .args(args)
            .arg("--ids")
            .arg(&file);
        let output = redact.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let (code, said) = by_hand(&["--author", STAYS]);
    assert_eq!(code, Some(0), "{said}");
    for (name, text) in everything(&undisturbed) {
        let is_list = name == "redactions.jsonl";
        assert!(
            is_list || !text.contains(&one.words) && !text.contains(STAYS),
            "{name}"
        );
    }
    fs::write(&file, "1541815603606036480\n").unwrap();
    let (code, said) = by_hand(&[]);
    assert!(
        code == Some(2) && said.contains("one address a line"),
        "{said}"
    );
    let (code, said) = by_hand(&["--author", "12"]);
    assert!(code == Some(2), "{said}");
}

/// A vault in an object store, into which several machines merge: one of them takes out what was deleted, and none brings it
/// back, whoever is killed and whoever has not heard of it.
#[test]
fn what_was_deleted_lies_in_no_vault_in_an_object_store_whoever_merges() {
    let mut story = Story::default();
    for minute in 0..4 {
        let at = at("2026-11-23T13:57:00Z").plus_ms(minute * MINUTE);
        story.write(GONE, at, "create", &tid::first_of(at), "");
        write_and_delete(&mut story, 2 * minute, at.plus_ms(5_000));
    }
    story.account(GONE, at("2026-11-23T14:59:00Z"), "deleted");
    let (mut soon, mut late) = arrivals(&story);
    let is_early = |segment: &Segment| segment.name.minute < at("2026-11-23T14:00:00Z").minute();
    let last = late.remove(late.iter().position(is_early).unwrap());
    // minutes in which nothing came would only be more to deliver
    soon.retain(|segment| !segment.lines.is_empty());
    let mut servers = Servers::with_vault();
    servers.keep_raw = "90d";
    servers.more[0] = "source = \"bluesky\"\n".to_owned();
    let section = "[bluesky]\nendpoints = [\"ws://127.0.0.1:9\"]\n".to_owned();
    servers.more[2].clone_from(&section);
    let deliver = |servers: &Servers, segments: &[Segment], server: &str| {
        for segment in segments {
            if segment.name.server.as_str() == server {
                segment.put(&RealDisk, &servers.spool(server), false);
            }
        }
        servers.check(server, NOW, &["deliver"], 0);
    };
    let killed =
        |servers: &Servers, server: &str, args: &[&str], now: &str, at: Point, nth: u64| {
            let mut command = servers.command(server, now, args);
            let command = command.env(VARIABLE, format!("{at:?}:{nth}"));
            let ended = command.output().unwrap();
            let why = String::from_utf8_lossy(&ended.stderr).into_owned();
            assert_eq!(ended.status.signal(), Some(9), "{at:?}: {why}");
        };
    // whether there is something to do besides depends on how fast this machine is
    let runs = |servers: &Servers, server: &str, args: &[&str], now: &str| {
        let ended = servers.command(server, now, args).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(matches!(ended.status.code(), Some(0 | 4)), "{said}");
    };
    // it has looked for deletions today
    runs(&servers, "m2", &["merge"], "2026-11-23T13:30:00Z");
    deliver(&servers, &soon, "1");
    deliver(&servers, &soon, "2");
    // an attempt that nobody commits has the posts, too
    killed(&servers, "m3", &["merge"], NOW, Point::AttemptStored, 2);
    runs(&servers, "m1", &["merge"], NOW);
    runs(&servers, "m2", &["merge"], NOW);

    let now = "2026-11-23T18:30:00Z";
    let gone = |one: &&Version| story.place(one, at(now)) == Place::Nowhere;
    let gone = story.versions.iter().filter(gone);
    let words: Vec<&str> = gone.map(|one| &*one.words).collect();
    let dir = servers.dir.path().to_owned();
    let there = |servers: &Servers| -> Vec<PathBuf> {
        let root = dir.join("there");
        for (key, bytes) in servers.store.objects() {
            if key.starts_with("x/vault/") {
                let path = root.join(key);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, bytes).unwrap();
            }
        }
        let found = mentions(&root, &words);
        fs::remove_dir_all(root).unwrap();
        found
    };
    let copy = |id: &str| dir.join(id).join("vault");
    assert!(
        4 <= there(&servers).len() && 6 < words.len(),
        "two attempts"
    );
    // a day has not passed for any of them
    runs(&servers, "m1", &["merge"], now);
    assert!(!there(&servers).is_empty());
    // killed when what is due was noted, and when the first hour was committed
    let by_hand = ["redact", "--deleted"];
    killed(&servers, "m1", &by_hand, now, Point::DeletionsNoted, 1);
    killed(&servers, "m1", &by_hand, now, Point::RevisionCreated, 1);
    runs(&servers, "m1", &by_hand, now);
    assert_eq!(there(&servers), Vec::<PathBuf>::new());
    assert_eq!(mentions(&copy("m1"), &words), Vec::<PathBuf>::new());

    // another one has read no deletions yet, and merges what comes late
    deliver(&servers, &late, "2");
    let both = [
        "merge",
        "--hour",
        "2026-11-23_13",
        "--hour",
        "2026-11-23_14",
    ];
    servers.check("m2", now, &both, 0);
    assert_eq!(there(&servers), Vec::<PathBuf>::new());
    assert_eq!(mentions(&copy("m2"), &words), Vec::<PathBuf>::new());
    let latest = check_vault(&servers);
    assert_eq!((latest["left over"], latest["2026-11-23_13"]), (0, 3));

    // one with shorter lists has brought something back to an hour that tells of no deletion: it is taken out again
    runs(&servers, "m1", &by_hand, now);
    servers.more[2] += "honour_deletions = \"never\"\n";
    deliver(&servers, &[last], "2");
    servers.check("m3", now, &both, 0);
    assert!(!there(&servers).is_empty());
    servers.more[2] = section;
    servers.check("m1", now, &by_hand, 0);
    assert_eq!(there(&servers), Vec::<PathBuf>::new());

    // whoever comes then has all else
    runs(&servers, "m3", &["merge"], now);
    let vault = copy("m3");
    servers.check("1", NOW, &["verify", vault.to_str().unwrap()], 0);
    let mut listed = BTreeSet::new();
    for path in files_below(&vault) {
        if path.to_str().unwrap().ends_with("_IDs.txt.xz") {
            let text = unxz(&fs::read(path).unwrap());
            listed.extend(text.lines().map(str::to_owned));
        }
    }
    assert_eq!(listed, story.of(Place::Listed, at(now)));
    assert_eq!(mentions(&vault, &words), Vec::<PathBuf>::new());
    assert_eq!(servers.store.wrongs(), Vec::<String>::new());
}

/// The text of a public file.
fn public_text(files: &BTreeMap<String, Vec<u8>>, name: &str) -> String {
    let bytes = &files[name];
    if name.ends_with("txt.xz") {
        unxz(bytes)
    } else {
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// What is public lacks what was deleted and what is held back, says so in Bluesky's words, and a stranger finds what was
/// changed in it.
#[test]
fn what_is_public_lacks_what_was_deleted_and_a_stranger_finds_what_was_changed() {
    let mut story = Story::default();
    for minute in 0..12 {
        let at = at("2026-11-23T13:54:00Z").plus_ms(minute * MINUTE);
        story.write(GONE, at, "create", &tid::first_of(at), "");
        story.write(AWAY, at.plus_ms(500), "create", &tid::first_of(at), "");
        write_and_delete(&mut story, 2 * minute, at.plus_ms(5_000));
    }
    story.account(GONE, at("2026-11-23T14:58:00Z"), "takendown");
    story.account(AWAY, at("2026-11-23T14:59:00Z"), "deactivated");
    let dir = fast_folder();
    let root = dir.path().to_owned();
    let real = Site {
        dir: Some(dir),
        ..Site::on(Box::new(RealDisk), &root, "UTC")
    };
    let site = site(real);
    site.put(&arrivals(&story).0);
    site.merge("2026-11-23T15:20:00Z");
    let osf = Osf::start("", &[]);
    let dataset = "[dataset]\ntitle = \"Posts\"\nlicence = \"CC0-1.0\"\ndescription = \"Some.\"\n[[dataset.creators]]\nname = \"Ada Example\"";
    let mut publisher = Publisher::of(site, "2026-11-23T15:30:00Z");
    publisher
        .publish_with(&osf, dataset, &[])
        .check(0, "new ids in 30 days\n");
    let lists = |osf: &Osf| {
        let files = osf.files();
        let names = files.keys().filter(|name| name.ends_with("_IDs.txt.xz"));
        let texts = names.map(|name| public_text(&files, name));
        let lines: BTreeSet<String> = texts
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        lines
    };
    assert!(
        lists(&osf).iter().any(|line| line.contains(GONE)),
        "not read yet"
    );

    let read_at = "2026-11-24T14:30:00Z";
    honour(&mut publisher.site, &HOURS, read_at);
    read_at.clone_into(&mut publisher.now);
    let report = ["report", "2026-11-23"];
    publisher.run(&osf.url, dataset, &report).check(5, "");
    publisher
        .publish_with(&osf, dataset, &[])
        .check(0, "14_IDs.txt.xz");
    let files = osf.files();
    assert_eq!(lists(&osf), story.of(Place::Listed, at(read_at)));
    assert!(files == publisher.expected());
    for (name, bytes) in &files {
        let text = public_text(&files, name) + &String::from_utf8_lossy(bytes);
        for private in [GONE, AWAY, "some words"] {
            assert!(!text.contains(private), "{private} in {name}");
        }
    }
    let certificate = public_text(&files, "2026/11/23/2026-11-23_certificate.txt");
    for row in [
        "posts taken out, deleted",
        "posts taken out, account gone",
        "posts held back",
    ] {
        assert!(certificate.contains(row), "{row}: {certificate}");
    }
    let readme = public_text(&files, "2026/11/23/2026-11-23_README.md");
    assert!(readme.contains("app.bsky.feed.getPosts") && readme.contains("head -25"));
    assert!(readme.starts_with("# Addresses of posts, 2026-11-23\n"));
    assert!(certificate.contains("\nWhat came by replay\n"));
    assert!(!certificate.contains("sampling window"), "{certificate}");
    for name in ["DATASET.md", "croissant.json", "datapackage.json"] {
        let text = public_text(&files, name);
        assert!(
            text.contains("Jetstream") || name == "datapackage.json",
            "{name}"
        );
        assert!(
            !text.contains("X API") && !text.contains("1288834974657"),
            "{name}: {text}"
        );
    }

    // a stranger has the public files, and nothing else
    let copy = fast_folder();
    for (name, bytes) in &files {
        let path = copy.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let verify = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twinstream"));
        let output = command.arg("verify").arg(copy.path()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        (output.status.code(), said)
    };
    let whole = verify();
    assert_eq!(whole.0, Some(0), "{}", whole.1);
    let day = copy.path().join("2026/11/23");
    let change = |name: &str, change: &dyn Fn(&[u8]) -> Vec<u8>, told: &str| {
        let path = day.join(name);
        let right = fs::read(&path).unwrap();
        let wrong = change(&right);
        assert!(wrong != right, "{name} is as it was");
        fs::write(&path, wrong).unwrap();
        let (code, said) = verify();
        assert!(code != Some(0) && said.contains(told), "{name}: {said}");
        fs::write(&path, right).unwrap();
    };
    let replace = |from: &'static str, to: &'static str| {
        move |bytes: &[u8]| {
            String::from_utf8_lossy(bytes)
                .replacen(from, to, 1)
                .into_bytes()
        }
    };
    let back = |bytes: &[u8]| {
        let line = format!(
            "at://{GONE}/{POSTS}/3k\t{}\n",
            rev(at("2026-11-23T14:59:59Z"), 1)
        );
        let text = unxz(bytes) + &line;
        let mut packed = Vec::new();
        let mut encoder = XzEncoder::new(text.as_bytes(), 1);
        encoder.read_to_end(&mut packed).unwrap();
        packed
    };
    change("2026-11-23_14_IDs.txt.xz", &back, "sha256");
    let manifest = "2026-11-23_14_manifest.json";
    change(
        manifest,
        &replace("\"held_back\": ", "\"held_back\": 9"),
        "held back",
    );
    change(
        manifest,
        &replace("\"deleted\": ", "\"deleted\": 1"),
        "the books do not balance",
    );
    change(
        manifest,
        &replace("\"account\": ", "\"unasked\": "),
        "not a reason to take records out",
    );
    let certificate = "2026-11-23_certificate.txt";
    change(
        certificate,
        &replace("posts held back", "posts kept back"),
        "certificate",
    );
    no_file_says_a_word_of_it(&mut publisher, &osf, (&story, dataset));
}

/// When raw data has gone, late data has come, and everything was made anew, published and mailed: in no file of all that
/// there is, whatever it is for.
fn no_file_says_a_word_of_it(
    publisher: &mut Publisher,
    osf: &Osf,
    (story, dataset): (&Story, &str),
) {
    publisher.site.put(&arrivals(story).1);
    publisher.site.merge("2026-11-24T16:00:00Z");
    publisher.site.settings.keep_raw = Some(Duration::from_hours(1));
    for now in ["2026-11-24T19:00:00Z", "2026-11-24T22:00:00Z"] {
        publisher.site.merge(now);
    }
    "2026-11-24T22:10:00Z".clone_into(&mut publisher.now);
    let mail = "[mail]\nhost = \"127.0.0.1\"\nport = 9\ntls = \"none\"\nfrom = \"a@example.org\"\nto = [\"b@example.org\"]";
    let config = format!("{mail}\n{dataset}");
    let report = ["report", "2026-11-23", "--mail"];
    publisher.run(&osf.url, &config, &report).check(6, "");
    publisher.publish_with(osf, &config, &[]).check(0, "");
    let read_at = at("2026-11-24T22:00:00Z");
    let all = every_file(&publisher.site.root);
    let has = |words: &str| all.iter().any(|(name, _)| name.contains(words));
    for kind in [
        "mail/",
        "spool/",
        "index/",
        "deleted/",
        "_users.csv.xz",
        "revisions/",
    ] {
        assert!(
            has(kind),
            "{kind}: {:?}",
            all.iter().map(|one| &one.0).collect::<Vec<_>>()
        );
    }
    let (nowhere, others): (Vec<&Version>, Vec<&Version>) = (story.versions.iter())
        .partition(|version| story.place(version, read_at) == Place::Nowhere);
    for version in nowhere {
        // who quotes it names its address; nobody quotes who is gone
        let address = if version.did == GONE {
            &version.uri
        } else {
            &version.words
        };
        for (name, text) in &all {
            let says = text.contains(&version.words) || text.contains(address);
            assert!(!says, "{name}: {version:?}");
        }
    }
    for version in others {
        assert!(
            all.iter().any(|(_, text)| text.contains(&version.words)),
            "{version:?}"
        );
    }
}
