//! Merging, through the library with a real or a simulated disk, and through the command.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use twinstream::{
    config::settings::{Role, Server},
    cover::{cause::Cause, gap::Gap},
    period::Hour,
    segment::{
        acks,
        event::{Event, EventKind},
        name::{Partition, RunId},
        raw,
        sha256::Sha256,
    },
    source::x::{X, id},
    vault::{
        conflicts::{self, EXAMPLES_MAX, Example, Side},
        public::Public,
    },
};

use crate::support::{
    disk::SimulatedDisk,
    posts::{Received, Segment, mix, post, segments, stream},
    primary::{Site, at},
    recorded::{Turn, recorded},
};

/// How a post of this test begins.
const HEAD: &str = "{\"data\":{\"id\":\"";

fn is_good(line: &[u8]) -> bool {
    line.starts_with(HEAD.as_bytes()) && line.ends_with(b"}}")
}

/// The ids of good posts by hour of UTC, worked out from the lines alone.
fn truth(servers: &[Vec<Received>]) -> BTreeMap<i64, BTreeSet<u64>> {
    let mut hours: BTreeMap<i64, BTreeSet<u64>> = BTreeMap::new();
    for one in servers.iter().flatten() {
        if !is_good(&one.line) {
            continue;
        }
        let text = std::str::from_utf8(&one.line).unwrap();
        let rest = text.strip_prefix(HEAD).unwrap();
        let post_id: u64 = rest.split('"').next().unwrap().parse().unwrap();
        let hour = id::time(post_id).unwrap().second().div_euclid(3_600);
        hours.entry(hour).or_default().insert(post_id);
    }
    hours
}

/// Seven shuffled parts: what came first may be from the middle.
fn shuffled(all: &[Segment]) -> Vec<Vec<Segment>> {
    let mut parts = vec![Vec::new(); 7];
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|n| mix(*n as u64, 77));
    for (nth, n) in order.into_iter().enumerate() {
        parts[nth * 7 / all.len()].push(all[n].clone());
    }
    parts
}

const LATER: &str = "2026-11-23T18:00:00Z";

#[test]
fn the_archive_is_a_function_of_its_inputs() {
    for servers in [1, 2, 5] {
        let received = stream(servers, at("2026-11-23T13:40:00Z"), 50, 12);
        let all: Vec<Segment> = received
            .iter()
            .zip(1..)
            .flat_map(|(received, server)| segments(&server.to_string(), received))
            .collect();
        let mut at_once = Site::in_memory();
        at_once.settings.parquet = servers == 2;
        at_once.put(&all);
        let committed = at_once.merge(LATER);
        let hours: Vec<String> = committed.iter().map(|hour| hour.hour.to_string()).collect();
        let expected = [
            "2026-11-23_13",
            "2026-11-23_14",
            "2026-11-23_15",
            "2026-11-23_16",
        ];
        assert_eq!(
            hours, expected,
            "the last two are empty, and committed all the same"
        );
        for (threads, unit_bytes, times) in [(1, 3_000, 1), (5, 1_500, 7), (2, 4 << 20, 7)] {
            let mut site = Site {
                threads,
                unit_bytes,
                ..Site::in_memory()
            };
            site.settings.parquet = servers == 2;
            let parts = shuffled(&all);
            for (nth, part) in parts.iter().enumerate() {
                site.put(part);
                if times == 7 || nth == 6 {
                    site.merge(LATER);
                }
            }
            let same = at_once.essence() == site.essence();
            assert!(same, "{servers} servers, {threads} threads, {times} merges");
            let revision = site.manifest("2026-11-23_14").history.revision;
            assert_eq!(revision, times, "{servers} servers");
        }
        let texts: Vec<String> = expected.map(|hour| at_once.text(hour, "IDs.txt.xz")).into();
        let found: BTreeSet<u64> = texts
            .iter()
            .flat_map(|text| text.lines())
            .map(|id| id.parse().unwrap())
            .collect();
        let truth: BTreeSet<u64> = truth(&received).into_values().flatten().collect();
        assert_eq!(found, truth, "nothing is lost, nothing is made up");
        assert!(texts.iter().all(|text| {
            text.lines()
                .is_sorted_by_key(|id| id.parse::<u64>().unwrap())
        }));
    }
}

#[test]
fn the_books_balance() {
    let received = stream(2, at("2026-11-23T13:30:00Z"), 70, 50);
    let mut site = Site::in_memory();
    site.settings.parquet = true;
    for (received, server) in received.iter().zip(["1", "2"]) {
        site.put(&segments(server, received));
    }
    site.merge(LATER);
    let (mut lines, mut rejected, mut posts) = (BTreeMap::new(), Vec::new(), 0);
    for (hour, ids) in truth(&received) {
        let hour = Hour(hour).to_string();
        let manifest = site.manifest(&hour);
        assert!(manifest.balances());
        assert_eq!(manifest.counts.total.posts, ids.len() as u64);
        assert_eq!(
            site.text(&hour, "tweets.csv.xz").lines().count(),
            ids.len() + 1
        );
        assert!(manifest.conflicts.posts > 0 && manifest.counts.total.seen_by_all > 0);
        let fields: Vec<&String> = manifest.conflicts.by_field.keys().collect();
        assert_eq!(fields, ["author.public_metrics.followers_count"]);
        for (server, counts) in &manifest.counts.servers {
            *lines.entry(server.to_string()).or_insert(0) += counts.lines;
            assert!(counts.duplicates > 0 && counts.only_here > 0);
        }
        let text = site.text(&hour, "rejected.jsonl.xz");
        rejected.extend(
            text.lines()
                .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()),
        );
        posts += ids.len();
    }
    assert_eq!(
        lines["1"],
        received[0].len() as u64,
        "all that was stored was taken"
    );
    assert_eq!(lines["2"], received[1].len() as u64);
    let truth: usize = truth(&received).values().map(BTreeSet::len).sum();
    assert_eq!(posts, truth);
    // rejected lines are there verbatim, in the order of arrival at each server
    let verbatim = |l: &serde_json::Value| match l["line"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => STANDARD.decode(l["line_base64"].as_str().unwrap()).unwrap(),
    };
    let mut found: Vec<Vec<u8>> = rejected.iter().map(verbatim).collect();
    let all = received.iter().flatten().map(|one| one.line.clone());
    let mut bad: Vec<Vec<u8>> = all.filter(|line| !is_good(line)).collect();
    bad.sort();
    found.sort();
    assert_eq!(found, bad);
    assert!(bad.iter().any(|line| std::str::from_utf8(line).is_err()));
    let reasons: BTreeSet<&str> = rejected
        .iter()
        .map(|l| l["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["no_id", "not_json"].into());
    let verified = site.verify();
    assert!(verified.worst().is_none(), "{verified:?}");
}

#[track_caller]
fn check_ledger(site: &Site) {
    let files = site.files();
    let text = std::str::from_utf8(&files["ledger.jsonl"]).unwrap();
    let mut previous = Sha256::ZEROS;
    for line in text.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["previous"], previous.to_string());
        previous = Sha256::of(line.as_bytes());
        let (hour, revision) = (
            record["hour"].as_str().unwrap(),
            record["revision"].as_u64().unwrap(),
        );
        let (day, _) = hour.split_once('_').unwrap();
        let archived = format!("{day}/revisions/{hour}_r{revision}_manifest.json");
        let manifest = files
            .get(&archived)
            .unwrap_or_else(|| &files[&format!("{day}/{hour}_manifest.json")]);
        assert_eq!(record["manifest_sha256"], Sha256::of(manifest).to_string());
        let read: serde_json::Value = serde_json::from_slice(manifest).unwrap();
        assert_eq!(read["history"]["revision"], revision);
    }
    let manifests = files
        .keys()
        .filter(|name| name.ends_with("_manifest.json"))
        .count();
    assert_eq!(text.lines().count(), manifests);
}

#[test]
fn late_data_makes_a_new_revision_and_again_changes_nothing() {
    let received = stream(2, at("2026-11-23T13:30:00Z"), 45, 30);
    let site = Site::new("UTC");
    let [first, second] = [("1", 0), ("2", 1)].map(|(server, n)| segments(server, &received[n]));
    site.put(&first);
    // server 2 was cut off for minutes 10 to 20
    site.put(&second[..10]);
    site.put(&second[20..]);
    site.merge("2026-11-23T15:10:00Z");
    let before = site.files();
    assert_eq!(site.merge("2026-11-23T15:11:00Z"), []);
    assert_eq!(before, site.files(), "twice is once");
    check_ledger(&site);

    site.put(&second[10..20]);
    let committed = site.merge("2026-11-23T15:20:00Z");
    assert_eq!(committed.len(), 1);
    assert_eq!(
        (
            committed[0].hour.to_string().as_str(),
            committed[0].revision
        ),
        ("2026-11-23_13", 2)
    );
    let manifest = site.manifest("2026-11-23_13");
    let came_in: Vec<_> = second[10..20]
        .iter()
        .map(|segment| segment.name.clone())
        .collect();
    assert_eq!(manifest.history.segments, came_in);
    assert_eq!(manifest.history.events, came_in);
    let after = site.files();
    let former = &before["2026-11-23/2026-11-23_13_manifest.json"];
    assert_eq!(
        after["2026-11-23/revisions/2026-11-23_13_r1_manifest.json"],
        *former
    );
    assert_eq!(manifest.history.previous_manifest, Some(Sha256::of(former)));
    check_ledger(&site);
    assert_eq!(site.merge("2026-11-23T15:21:00Z"), []);
    assert_eq!(after, site.files());
    let report = std::str::from_utf8(&after["2026-11-23/2026-11-23_report.txt"]).unwrap();
    let columns: Vec<Vec<&str>> = report
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(
        columns[0],
        ["hour", "serv 1", "serv 2", "total", "diff", "diff %"]
    );
    assert_eq!(columns[1][0], "13");
    assert_eq!(columns[1][3], manifest.counts.total.posts.to_string());
    assert_eq!(columns.len(), 3);

    // an input of the former revision that is gone: the hour never shrinks
    let [segment, ..] = first[3].files(&site.spool());
    // it was merged and sealed long ago, so it lies compressed
    fs::remove_file(raw::compressed(&segment.0)).unwrap();
    site.put(&segments("3", &received[1][..200]));
    let outcome = site.try_merge(&[], "2026-11-23T16:09:00Z").unwrap();
    assert_eq!(outcome.failed[0].hour.to_string(), "2026-11-23_13");
    assert_eq!(
        (outcome.committed.len(), outcome.unusable.len()),
        (0, 1),
        "{outcome:?}"
    );
    assert_eq!(
        after["2026-11-23/2026-11-23_13_IDs.txt.xz"],
        site.files()["2026-11-23/2026-11-23_13_IDs.txt.xz"]
    );
}

/// Nothing of the primary is on its way: what lies aside there stays missing until somebody brings a good copy.
#[test]
fn a_gap_of_what_lies_aside_on_the_primary_says_where() {
    let received = stream(2, at("2026-11-23T13:50:00Z"), 40, 120);
    let mut site = Site::new("UTC");
    let server = |(id, role): (&str, Role)| Server {
        id: id.parse().unwrap(),
        role,
        host: String::new(),
        deliver_to: None,
        endpoint: None,
        partitions: Vec::new(),
        until: None,
    };
    site.servers = [("1", Role::Primary), ("2", Role::Secondary)]
        .map(server)
        .into();
    for (received, server) in received.iter().zip(["1", "2"]) {
        site.put(&segments(server, received));
    }
    let [good, others] = [("1", 0), ("2", 1)].map(|(server, number)| {
        let of_server = segments(server, &received[number]);
        let name = |of: &&Segment| of.name.to_string().contains("T1405Z");
        of_server.iter().find(name).unwrap().clone()
    });
    for segment in [&good, &others] {
        let [(path, mut bytes), ..] = segment.files(&site.spool());
        bytes[100] ^= 4;
        fs::write(&path, &bytes).unwrap();
    }
    assert_eq!(site.try_merge(&[], LATER).unwrap().unusable.len(), 2);
    let gaps = || {
        let gaps = site.manifest("2026-11-23_14").said.gaps;
        let of_then = |gap: &Gap| {
            gap.begin <= at("2026-11-23T14:05:30Z") && at("2026-11-23T14:05:30Z") < gap.end
        };
        let then = gaps.into_iter().filter(of_then);
        let then = then.map(|gap| (gap.server, gap.cause, gap.detail));
        then.collect::<Vec<_>>()
    };
    let found = gaps();
    let causes: Vec<_> = found.iter().map(|(of, cause, _)| (&**of, *cause)).collect();
    assert_eq!(causes, ["1", "2", "union"].map(|of| (of, Cause::Late)));
    assert!(
        found[0].2.contains("set aside in 1/aside/2026-11-23/14:"),
        "{found:?}"
    );
    // that of the other server comes again
    assert!(!found[1].2.contains("aside"), "{found:?}");
    let found = site.verify();
    assert_eq!(found.worst(), None, "{:?}", found.problems);
    site.put(&[good]);
    site.merge(LATER);
    assert_eq!(gaps().len(), 1);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn a_bad_segment_or_hour_stops_no_other() {
    let received = stream(2, at("2026-11-23T12:10:00Z"), 170, 12);
    let site = Site::new("UTC");
    for (received, server) in received.iter().zip(["1", "2"]) {
        site.put(&segments(server, received));
    }
    // one flipped byte in one segment
    let bad = segments("2", &received[1])[30].files(&site.spool());
    let mut bytes = fs::read(&bad[0].0).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&bad[0].0, &bytes).unwrap();
    // somebody's file where an hour's file is to go
    site.opened().unwrap();
    fs::create_dir_all(site.vault().join("2026-11-23")).unwrap();
    let foreign = site.vault().join("2026-11-23/2026-11-23_13_tweets.csv.xz");
    fs::write(&foreign, "mine").unwrap();

    let outcome = site.try_merge(&[], LATER).unwrap();
    let hours: Vec<String> = outcome
        .committed
        .iter()
        .map(|hour| hour.hour.to_string())
        .collect();
    assert_eq!(
        hours,
        [
            "2026-11-23_12",
            "2026-11-23_14",
            "2026-11-23_15",
            "2026-11-23_16"
        ]
    );
    assert_eq!(outcome.failed.len(), 1);
    assert_eq!(outcome.failed[0].hour.to_string(), "2026-11-23_13");
    assert_eq!(fs::read_to_string(&foreign).unwrap(), "mine");
    let aside = outcome.unusable[0].moved_to.clone().unwrap();
    assert_eq!(
        fs::read(aside.join(bad[0].0.file_name().unwrap())).unwrap(),
        bytes
    );
    assert!(bad.iter().all(|(path, _)| !path.exists()));
    assert!(
        !site
            .manifest("2026-11-23_12")
            .inputs
            .segments
            .iter()
            .any(|input| {
                bad[0].0.file_stem().unwrap().to_str() == Some(input.name.to_string().as_str())
            })
    );

    // mended: a whole copy comes again, the foreign file goes
    fs::remove_file(&foreign).unwrap();
    site.put(&segments("2", &received[1])[30..31]);
    let hours: Vec<(String, u64)> = site
        .merge(LATER)
        .iter()
        .map(|hour| (hour.hour.to_string(), hour.revision))
        .collect();
    assert_eq!(
        hours,
        [
            ("2026-11-23_12".to_owned(), 2),
            ("2026-11-23_13".to_owned(), 1)
        ]
    );
    let undisturbed = Site::new("UTC");
    for (received, server) in received.iter().zip(["1", "2"]) {
        undisturbed.put(&segments(server, received));
    }
    undisturbed.merge(LATER);
    assert!(undisturbed.essence() == site.essence());

    // damage after the segment was indexed: found when its lines are read, never merged
    let late = segments("3", &received[0][..300]);
    site.put(&late);
    site.try_merge(&["2026-11-23_20"], LATER).unwrap();
    let [(path, mut bytes), ..] = late[2].files(&site.spool());
    bytes[100] ^= 4;
    fs::write(&path, &bytes).unwrap();
    let outcome = site.try_merge(&[], LATER).unwrap();
    assert_eq!(
        (outcome.failed.len(), outcome.unusable.len()),
        (1, 0),
        "{outcome:?}"
    );
    let outcome = site.try_merge(&[], LATER).unwrap();
    assert_eq!(
        (outcome.failed.len(), outcome.unusable.len()),
        (0, 1),
        "{outcome:?}"
    );
    assert_eq!(outcome.committed.len(), 1);
}

/// What a ledger lacks is finished hour by hour, and what it knows is never begun anew.
#[test]
fn an_hour_that_cannot_be_finished_stops_no_other_and_one_that_is_gone_does_not_begin_again() {
    let received = stream(1, at("2026-11-23T12:30:00Z"), 100, 12);
    let site = Site::in_memory();
    let all = segments("1", &received[0]);
    let (early, late) = all.split_at(95);
    site.put(early);
    site.merge(LATER);
    let ledger = site.vault().join("ledger.jsonl");
    let lines = site.files().remove("ledger.jsonl").unwrap();
    let manifest = |hour: &str| {
        site.vault()
            .join(format!("2026-11-23/2026-11-23_{hour}_manifest.json"))
    };
    let write = |path: &Path, bytes: &[u8]| {
        site.disk.remove(path).unwrap();
        std::io::Write::write_all(&mut site.disk.create(path).unwrap(), bytes).unwrap();
    };
    let whole = site
        .files()
        .remove("2026-11-23/2026-11-23_12_manifest.json")
        .unwrap();

    // the ledger knows none of the hours, and the first of them is damaged
    write(&ledger, b"");
    write(&manifest("12"), b"{}\n");
    let outcome = site.try_merge(&[], LATER).unwrap();
    let failed: Vec<String> = outcome.failed.iter().map(|f| f.hour.to_string()).collect();
    assert_eq!(failed, ["2026-11-23_12"], "{outcome:?}");
    let finished: Vec<String> = outcome.finished.iter().map(Hour::to_string).collect();
    assert_eq!(
        finished,
        [
            "2026-11-23_13",
            "2026-11-23_14",
            "2026-11-23_15",
            "2026-11-23_16"
        ]
    );

    // it knows all of them, and late data comes for one whose manifest is gone
    write(&ledger, &lines);
    write(&manifest("12"), &whole);
    site.disk.remove(&manifest("13")).unwrap();
    site.put(late);
    let outcome = site.try_merge(&[], LATER).unwrap();
    let [failed] = &outcome.failed[..] else {
        panic!("{outcome:?}")
    };
    assert_eq!(failed.hour.to_string(), "2026-11-23_13");
    assert!(failed.why.contains("its manifest is missing"), "{failed:?}");
    assert_eq!(
        site.files()["ledger.jsonl"][..lines.len()],
        lines,
        "nothing of before has changed"
    );
    assert!(!site.hours().contains(&"2026-11-23_13".to_owned()));
}

#[test]
fn a_server_is_expected_until_the_day_on_which_it_is_gone_for_good() {
    let received = stream(1, at("2026-11-23T22:30:00Z"), 180, 6);
    let mut site = Site::in_memory();
    let server = |id: &str, role, until: Option<&str>| Server {
        id: id.parse().unwrap(),
        role,
        host: String::new(),
        deliver_to: None,
        endpoint: None,
        partitions: Vec::new(),
        until: until.map(|day| day.parse().unwrap()),
    };
    site.servers = vec![
        server("1", Role::Primary, None),
        server("2", Role::Secondary, Some("2026-11-24")),
        server("3", Role::Secondary, None),
    ];
    site.put(&segments("1", &received[0]));
    site.merge("2026-11-24T04:00:00Z");
    for (hour, expected) in [
        ("2026-11-23_23", &["1", "2", "3"][..]),
        ("2026-11-24_00", &["1", "3"]),
    ] {
        let manifest = site.manifest(hour);
        let servers: Vec<String> = manifest
            .coverage
            .servers
            .keys()
            .map(ToString::to_string)
            .collect();
        assert_eq!(servers, expected, "{hour}");
        let late = |server: &str| {
            let of_server = manifest.gaps.iter().filter(|gap| gap.server == server);
            let told: Vec<(String, i64)> = of_server
                .map(|gap| (gap.cause.to_string(), gap.seconds()))
                .collect();
            told
        };
        for server in expected.iter().filter(|id| **id != "1") {
            assert_eq!(
                late(server),
                [("late".to_owned(), 3_600)],
                "{hour} {server}"
            );
        }
    }
}

/// Both servers have both partitions, are stopped, and go on with one each.
#[test]
fn a_leg_that_is_not_configured_any_more_ends_where_it_stopped() {
    let received = stream(1, at("2026-11-23T13:50:00Z"), 31, 30);
    let again = stream(1, at("2026-11-23T14:22:00Z"), 60, 30);
    let mut site = Site::in_memory();
    let server = |id: &str, role, partition| Server {
        id: id.parse().unwrap(),
        role,
        host: String::new(),
        deliver_to: None,
        endpoint: None,
        partitions: Partition::new(partition).into_iter().collect(),
        until: None,
    };
    site.servers = vec![
        server("1", Role::Primary, 1),
        server("2", Role::Secondary, 2),
    ];
    let leg = |of: Vec<Segment>, partition, is_again: bool| -> Vec<Segment> {
        let mut of = of;
        for segment in &mut of {
            segment.name.partition = Partition::new(partition);
            if is_again {
                segment.name.run = RunId(0x3fa9_c01c);
            }
        }
        of
    };
    for server in ["1", "2"] {
        for partition in [1, 2] {
            let mut of = leg(segments(server, &received[0]), partition, false);
            of.retain(|segment| segment.name.minute.begin() < at("2026-11-23T14:21:00Z"));
            let stopped = Event {
                at: at("2026-11-23T14:20:45Z"),
                what: EventKind::Stopped {
                    why: "signal".to_owned(),
                },
                connection: 1,
            };
            of.last_mut().unwrap().events.push(stopped);
            site.put(&of);
        }
    }
    for (server, partition) in [("1", 1), ("2", 2)] {
        let mut of = leg(segments(server, &again[0]), partition, true);
        let EventKind::Started { last_line, .. } = &mut of[0].events[0].what else {
            panic!("{of:?}")
        };
        *last_line = Some(at("2026-11-23T14:20:40Z"));
        site.put(&of);
    }
    site.merge("2026-11-23T17:30:00Z");
    let legs = |hour: &str| -> Vec<String> {
        let manifest = site.manifest(hour);
        let legs = manifest.coverage.servers.keys();
        legs.map(ToString::to_string).collect()
    };
    assert_eq!(legs("2026-11-23_14"), ["1.01", "1.02", "2.01", "2.02"]);
    assert_eq!(legs("2026-11-23_15"), ["1.01", "2.02"]);
    assert_eq!(legs("2026-11-23_16"), ["1.01", "2.02"]);
    let manifest = site.manifest("2026-11-23_14");
    let cause = |of: &str, when: &str| {
        let mut gaps = manifest.gaps.iter().filter(|gap| gap.server == of);
        let gap = gaps.find(|gap| gap.begin <= at(when) && at(when) < gap.end);
        gap.map(|gap| gap.cause.to_string())
    };
    for leg in ["1.02", "2.01"] {
        for when in ["2026-11-23T14:21:30Z", "2026-11-23T14:59:59Z"] {
            assert_eq!(cause(leg, when).unwrap(), "not running", "{leg} {when}");
        }
    }
    let union = cause("union", "2026-11-23T14:21:30Z");
    assert_eq!(union.unwrap(), "not running");
    let found = site.verify();
    assert_eq!(found.worst(), None, "{:?}", found.problems);
}

/// Of two partitions, the second is collected from 14:35 on only: in no second before that is every partition there.
#[test]
fn a_partition_that_is_added_is_missing_in_its_hour_and_uncollected_before() {
    let mut site = Site::in_memory();
    let partitions = [1, 2].map(|number| Partition::new(number).unwrap());
    site.servers = vec![Server {
        id: "1".parse().unwrap(),
        role: Role::Primary,
        host: String::new(),
        deliver_to: None,
        endpoint: None,
        partitions: partitions.to_vec(),
        until: None,
    }];
    for (number, begin, minutes) in [(1, "13:50", 130), (2, "14:35", 85)] {
        let begin = at(&format!("2026-11-23T{begin}:00Z"));
        let received = stream(number.into(), begin, minutes, 30);
        let mut of = segments("1", &received[0]);
        for segment in &mut of {
            segment.name.partition = Partition::new(number);
        }
        site.put(&of);
    }
    site.merge("2026-11-23T17:30:00Z");
    // how many seconds of that time lack partition 2
    let lacks = |hour: &str, from: &str, to: &str| {
        let (from, to) = (at(from), at(to));
        let manifest = site.manifest(hour);
        let gaps = manifest.gaps.iter().filter(|gap| gap.server == "union");
        let of_2 = gaps.filter(|gap| gap.partitions.contains(&partitions[1]));
        let seconds = of_2.map(|gap| gap.end.min(to).second() - gap.begin.max(from).second());
        seconds.filter(|seconds| 0 < *seconds).sum::<i64>()
    };
    let (begin, added) = ("2026-11-23T14:00:00Z", "2026-11-23T14:35:00Z");
    let before = lacks("2026-11-23_14", begin, added);
    assert!((2_090..=2_100).contains(&before), "{before}");
    let whole = lacks("2026-11-23_13", "2026-11-23T13:00:00Z", begin);
    assert_eq!(whole, 0, "nobody collected it then");
    let found = site.verify();
    assert_eq!(found.worst(), None, "{:?}", found.problems);
}

/// Hours in which a server did not run know its last run from one file; its posts tell how wrong its clock was.
#[test]
fn a_clock_that_was_wrong_before_a_crash_hides_no_hour_in_which_nothing_ran() {
    let turns = [
        ("14:20:00Z", Turn::Starts),
        ("14:20:01Z", Turn::Connects),
        ("14:50:40Z", Turn::Dies),
        ("17:10:00Z", Turn::Starts),
        ("17:10:01Z", Turn::Connects),
    ];
    let when = |time: &str| at(&format!("2026-11-23T{time}"));
    let turns = turns.map(|(time, turn)| (when(time), turn));
    let mut lines = stream(1, when("14:20:00Z"), 31, 30).remove(0);
    lines.extend(stream(1, when("17:10:00Z"), 10, 30).remove(0));
    for ahead_hours in [-9, 0, 5] {
        let site = Site::in_memory();
        let mut of = recorded("sample", "2", &lines, &turns);
        let ahead_ms = ahead_hours * 3_600_000;
        for segment in &mut of {
            if segment.name.minute < when("15:00:00Z").minute() {
                set_ahead(segment, ahead_ms);
            }
        }
        site.put(&of);
        site.merge("2026-11-23T19:30:00Z");
        for hour in [15, 16] {
            let manifest = site.manifest(&format!("2026-11-23_{hour}"));
            let of_server = manifest.gaps.iter().filter(|gap| gap.server == "2");
            let causes: Vec<String> = of_server.map(|gap| gap.cause.to_string()).collect();
            assert_eq!(causes, ["not running"], "{hour}, {ahead_hours} hours ahead");
        }
        let found = site.verify();
        assert_eq!(found.worst(), None, "{:?}", found.problems);
    }
}

/// A segment as a server writes it whose clock is ahead.
fn set_ahead(segment: &mut Segment, ahead_ms: i64) {
    let minute = segment.name.minute.begin().plus_ms(ahead_ms).minute();
    segment.name.minute = minute;
    for line in &mut segment.lines {
        line.at = line.at.plus_ms(ahead_ms);
    }
    for event in &mut segment.events {
        event.at = event.at.plus_ms(ahead_ms);
        if let EventKind::Alive(alive) = &mut event.what {
            alive.minute = minute;
        }
    }
}

/// Posts of given instants, received by one server a second later.
fn one_server(instants: &[&str]) -> Vec<Segment> {
    let line = |(n, text): (usize, &&str)| Received {
        at: at(text).plus_ms(1_000),
        line: post(n as u64, at(text)).into_bytes(),
    };
    segments(
        "1",
        &instants.iter().enumerate().map(line).collect::<Vec<_>>(),
    )
}

#[test]
fn hours_are_labels_of_the_zone() {
    // autumn in Europe: the hour that comes twice is one of 7,200 seconds
    let autumn = Site::new("CET");
    let instants = [
        "2026-10-24T23:30:00Z",
        "2026-10-25T00:00:00Z",
        "2026-10-25T00:59:59.999Z",
        "2026-10-25T01:30:00Z",
        "2026-10-25T02:00:00Z",
    ];
    autumn.put(&one_server(&instants));
    autumn.merge("2026-10-25T03:10:00Z");
    let manifest = autumn.manifest("2026-10-25_02");
    assert_eq!(manifest.counts.total.posts, 3);
    assert_eq!(
        manifest
            .intervals
            .iter()
            .map(twinstream::period::Interval::seconds)
            .sum::<i64>(),
        7_200
    );
    assert_eq!(manifest.minutes.rows.len(), 120);
    assert_eq!(manifest.coverage.union.bitmap.len(), 1_800);
    assert_eq!(manifest.coverage.union.covered, 3);
    let texts = ["01", "03"].map(|hour| autumn.manifest(&format!("2026-10-25_{hour}")));
    assert_eq!(texts.map(|manifest| manifest.counts.total.posts), [1, 1]);

    // spring: the hour that is skipped does not exist
    let spring = Site::new("CET");
    spring.put(&one_server(&[
        "2026-03-29T00:58:30Z",
        "2026-03-29T00:59:59Z",
        "2026-03-29T01:00:00Z",
    ]));
    let hours = spring.merge("2026-03-29T03:10:00Z");
    let hours: Vec<String> = hours.iter().map(|hour| hour.hour.to_string()).collect();
    assert_eq!(hours, ["2026-03-29_01", "2026-03-29_03", "2026-03-29_04"]);
    let verified = spring.verify();
    assert!(verified.worst().is_none(), "{verified:?}");

    // half an hour comes twice
    let island = Site::new("Australia/Lord_Howe");
    island.put(&one_server(&[
        "2026-04-04T14:10:00Z",
        "2026-04-04T15:29:59Z",
        "2026-04-04T15:30:00Z",
    ]));
    island.merge("2026-04-04T17:00:00Z");
    let manifest = island.manifest("2026-04-05_01");
    assert_eq!(
        (manifest.counts.total.posts, manifest.minutes.rows.len()),
        (2, 90)
    );
    assert_eq!(island.manifest("2026-04-05_02").counts.total.posts, 1);

    // old ids, ids of the future, and lines that belong nowhere
    let far = Site::new("UTC");
    let old = r#"{"data":{"id":"20","created_at":"2006-03-21T20:50:14.000Z","author_id":"12"}}"#;
    let older = r#"{"data":{"id":"19","created_at":"2006-03-21T20:51:14.000Z","author_id":"12"}}"#;
    let future = post(1, at("2031-01-01T00:00:00Z"));
    let lines = [old, older, &future, "torn", r#"{"data":{"id":"21"}}"#, old];
    let received = lines.map(|line| Received {
        at: at("2026-11-23T14:59:59Z"),
        line: line.as_bytes().to_vec(),
    });
    far.put(&segments("1", &received));
    let hours: Vec<String> = far
        .merge("2026-11-23T15:00:00Z")
        .iter()
        .map(|hour| hour.hour.to_string())
        .collect();
    assert_eq!(
        hours,
        ["2006-03-21_20", "2031-01-01_00"],
        "they need no settle time"
    );
    assert_eq!(far.text("2006-03-21_20", "IDs.txt.xz"), "19\n20\n");
    assert_eq!(far.merge("2026-11-23T15:10:00Z").len(), 1);
    let rejected = far.text("2026-11-23_14", "rejected.jsonl.xz");
    let reasons: Vec<&str> = rejected
        .lines()
        .map(|l| l.split('"').nth(3).unwrap())
        .collect();
    assert_eq!(reasons, ["not_json", "no_time"]);
    assert!(far.manifest("2026-11-23_14").balances());
}

const NOW: &str = "2026-11-23T16:09:00Z";

/// A power cut in any operation of a merge of a late segment: finishing gives what an undisturbed
/// merge gives.
#[test]
fn a_merge_that_is_cut_off_anywhere_is_finished_with_the_same_bytes() {
    let received = stream(2, at("2026-11-23T13:57:00Z"), 5, 10);
    let all: Vec<Segment> = received
        .iter()
        .zip(["1", "2"])
        .flat_map(|(received, server)| segments(server, received))
        .collect();
    let on = |disk: &SimulatedDisk| Site {
        threads: 1,
        ..Site::on(Box::new(disk.clone()), Path::new("/primary"), "UTC")
    };
    let prepared = SimulatedDisk::default();
    let site = on(&prepared);
    site.disk.make_folder(&site.spool()).unwrap();
    site.put(&all[1..]);
    site.merge("2026-11-23T15:10:00Z");
    site.put(&all[..1]);
    let disk = prepared.copy();
    let undisturbed = on(&disk);
    let before = disk.calls();
    assert_eq!(undisturbed.merge(NOW).len(), 1);
    let calls = disk.calls() - before;
    let expected = undisturbed.files();
    check_ledger(&undisturbed);
    assert!(50 < calls, "{calls}");
    for call in 1..=calls {
        let disk = prepared.copy();
        let site = on(&disk);
        disk.fail_in(call);
        // a command ends with its first error; here the power is out for all that follows
        let _cut_off = site.try_merge(&[], NOW);
        disk.power_cut(call);
        let outcome = site.try_merge(&[], NOW).unwrap();
        assert!(
            outcome.failed.is_empty() && outcome.unusable.is_empty(),
            "{call}: {outcome:?}"
        );
        let found = site.files();
        let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected), "call {call} of {calls}");
        assert!(found == expected, "call {call} of {calls}");
    }
}

/// A segment that was acknowledged, and is damaged here, stays where the next merge finds it until its acknowledgement is withdrawn:
/// till then its good copy elsewhere may be deleted.
#[test]
fn what_is_damaged_is_set_aside_when_it_is_known_to_be_wanted_again() {
    let received = stream(1, at("2026-11-23T13:57:00Z"), 3, 10);
    let all = segments("2", &received[0]);
    let site = Site::new("UTC");
    site.deliver(&all, at("2026-11-23T14:05:00Z"));
    let [(path, mut bytes), _, (seal, _)] = all[1].files(&site.spool());
    bytes[10] ^= 1;
    fs::write(&path, bytes).unwrap();
    let given = acks::path(&site.spool(), &all[1].name.server);
    // nothing can be withdrawn
    let in_the_way = given.with_file_name("withdrawn.jsonl");
    fs::create_dir(&in_the_way).unwrap();
    let outcome = site.try_merge(&[], NOW).unwrap();
    assert_eq!(outcome.unusable.len(), 1, "{outcome:?}");
    assert!(seal.exists() && path.exists());
    fs::remove_dir(&in_the_way).unwrap();
    let outcome = site.try_merge(&[], NOW).unwrap();
    assert_eq!(outcome.unusable.len(), 1, "{outcome:?}");
    assert!(!seal.exists() && !path.exists());
    let wanted = acks::wanted_again(&*site.disk, &given).unwrap();
    assert!(wanted.into_iter().eq([all[1].name.clone()]));
}

/// A write of a merge is spoiled on its way, untold: no data file is committed that is not as it was written.
#[test]
fn a_data_file_that_does_not_read_back_is_not_committed() {
    let received = stream(1, at("2026-11-23T13:57:00Z"), 5, 10);
    let prepared = SimulatedDisk::default();
    let on = |disk: &SimulatedDisk| {
        let mut site = Site::on(Box::new(disk.clone()), Path::new("/primary"), "UTC");
        // nothing but the comparison finds a flipped bit there: the file has no checksums of its own
        site.settings.parquet = true;
        site.threads = 1;
        site
    };
    let site = on(&prepared);
    site.disk.make_folder(&site.spool()).unwrap();
    site.put(&segments("1", &received[0]));
    let data_files = |site: &Site| {
        let mut files = site.files();
        let is_data = |name: &str| {
            ["csv.xz", "IDs", "posts.parquet"]
                .iter()
                .any(|part| name.contains(part))
        };
        files.retain(|name, _| is_data(name));
        files
    };
    let undisturbed = on(&prepared.copy());
    undisturbed.merge(NOW);
    let expected = data_files(&undisturbed);
    assert!(8 <= expected.len(), "{:?}", expected.keys());
    let mut held_back = 0;
    for nth in 1.. {
        let disk = prepared.copy();
        let site = on(&disk);
        disk.spoil_write(nth);
        let outcome = site.try_merge(&[], NOW);
        if !disk.has_spoiled() {
            break;
        }
        let is_committed = outcome.is_ok_and(|outcome| outcome.failed.is_empty());
        if is_committed {
            assert!(data_files(&site) == expected, "write {nth}");
        } else {
            held_back += 1;
        }
    }
    assert!(expected.len() <= held_back, "{held_back}");
}

/// Every column in which copies differ has examples, as the raw data has them, and no file of them may be public.
#[test]
fn conflicts_have_examples_that_stay_here() {
    let site = Site::in_memory();
    let received = stream(2, at("2026-11-23T14:00:00Z"), 20, 30);
    for (server, received) in ["1", "2"].iter().zip(&received) {
        site.put(&segments(server, received));
    }
    site.merge("2026-11-23T15:10:00Z");
    let conflicts = site.manifest("2026-11-23_14").said.conflicts;
    assert!(EXAMPLES_MAX as u64 + 5 < conflicts.posts, "{conflicts:?}");
    let text = site.text("2026-11-23_14", "conflicts.jsonl.xz");
    let examples: Vec<Example> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of_field = |field: &str| examples.iter().filter(|e| e.field == field).count();
    for (field, posts) in &conflicts.by_field {
        assert_eq!(
            of_field(field),
            EXAMPLES_MAX.min(usize::try_from(*posts).unwrap()),
            "{field}"
        );
    }
    let has = |example: &Example, side: &Side| {
        let number = usize::from(side.server.to_string() == "2");
        let named = |line: &[u8], text: &str| memchr::memmem::find(line, text.as_bytes()).is_some();
        let count = format!("\"followers_count\":{},", side.value);
        received[number]
            .iter()
            .any(|one| named(&one.line, &example.id) && named(&one.line, &count))
    };
    for example in &examples {
        assert_eq!(example.field, "author.public_metrics.followers_count");
        assert!(
            has(example, &example.kept) && has(example, &example.other),
            "{example:?}"
        );
    }
    let name = "2026-11-23_14_conflicts.jsonl.xz";
    assert!(site.files().contains_key(&format!("2026-11-23/{name}")));
    assert_eq!(Public::of_name(name), None);
    assert_eq!(site.verify().worst(), None);
    // an example that is none is found, whatever the manifest says of its bytes
    let [first, ..] = &examples[..] else {
        unreachable!()
    };
    let same = Example {
        other: first.kept.clone(),
        ..first.clone()
    };
    for (wrong, before) in [(&same, None), (first, Some(first))] {
        let line = serde_json::to_vec(wrong).unwrap();
        assert!(conflicts::fault(&X, &line, before).is_err(), "{wrong:?}");
    }
}
