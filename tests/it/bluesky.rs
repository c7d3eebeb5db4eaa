//! Bluesky's events, merged and verified.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use arrow_array::{Array as _, RecordBatch, cast::AsArray as _};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use twinstream::{
    cover::gap::Gap,
    period::UtcMs,
    segment::event::EventKind,
    source::{self, bluesky::tid},
    vault::manifest::Manifest,
    world::disk::put,
};

use crate::support::{
    events::{self, commit, events, received_by},
    posts::{Received, Segment, mix, segments_of},
    primary::{Site, at},
    recorded::{Turn, recorded},
    skipped::bluesky_events,
};

const BEGIN: &str = "2026-11-23T13:40:00Z";
const LATER: &str = "2026-11-23T18:00:00Z";
const HOURS: [&str; 2] = ["2026-11-23_13", "2026-11-23_14"];

fn site() -> Site {
    let mut site = Site {
        stream: source::BLUESKY,
        ..Site::in_memory()
    };
    site.settings.parquet = true;
    site
}

fn received() -> Vec<Vec<Received>> {
    let all = events(at(BEGIN), 50, 20);
    (1..=2).map(|server| received_by(server, &all)).collect()
}

fn all_segments(received: &[Vec<Received>]) -> Vec<Segment> {
    let of_server = |(received, server): (&Vec<Received>, u64)| {
        segments_of("bluesky", &server.to_string(), received)
    };
    received.iter().zip(1..).flat_map(of_server).collect()
}

/// What an hour must have, worked out from the lines alone.
#[derive(Default)]
struct Truth {
    /// By time and key: lines of the lists, and rows of the table as uri, revision's time, operation.
    ids: BTreeMap<(i64, String), String>,
    deletions: BTreeMap<(i64, String), String>,
    rows: BTreeMap<(i64, String), String>,
    keys: BTreeSet<(i64, String)>,
    /// Of each account: handle, active, status, posts, first and last event.
    users: BTreeMap<String, [String; 6]>,
}

fn truth(servers: &[Vec<Received>], hour: &str) -> Truth {
    let mut all: BTreeMap<(i64, String), Value> = BTreeMap::new();
    for one in servers.iter().flatten() {
        // half of a pair is a text to us, and to serde_json none
        let line = String::from_utf8_lossy(&one.line).replace("\\ud83d!", "!");
        let Ok(event) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        let (Some(did), Some(kind)) = (event["did"].as_str(), event["kind"].as_str()) else {
            continue;
        };
        let says = &event[kind];
        let text = |member: &str| says[member].as_str().unwrap_or_default();
        let (time, key) = if kind == "commit" {
            let delete = if says["operation"] == "delete" {
                "#delete"
            } else {
                ""
            };
            let record = format!("{did}/{}/{}", text("collection"), text("rkey"));
            (
                tid::time(text("rev")).unwrap(),
                format!("{record}@{}{delete}", text("rev")),
            )
        } else {
            (at(text("time")), format!("{did}#{kind}/{}", says["seq"]))
        };
        let seen = event["time_us"].as_i64().unwrap() / 1_000;
        let is_near = (seen - 86_400_000..=seen + 300_000).contains(&time.0);
        let begin = at(&format!("{}T{}:00:00Z", &hour[..10], &hour[11..])).0;
        if is_near && (begin..begin + 3_600_000).contains(&time.0) {
            all.insert((time.0, key), event);
        }
    }
    let mut truth = Truth::default();
    for ((ms, key), event) in all {
        truth.take(UtcMs(ms), key, &event);
    }
    truth
}

impl Truth {
    fn take(&mut self, time: UtcMs, key: String, event: &Value) {
        let place = (time.0, key);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let says = &event[event["kind"].as_str().unwrap()];
        let did = text(&event["did"]);
        let user = self.users.entry(did.clone()).or_insert_with(|| {
            let none = String::new();
            [
                none.clone(),
                none.clone(),
                none,
                "0".into(),
                time.to_string(),
                String::new(),
            ]
        });
        user[5] = time.to_string();
        match event["kind"].as_str().unwrap() {
            "identity" => user[0] = text(&says["handle"]),
            "account" => {
                let status = says["status"].as_str().unwrap_or("active");
                let line = format!("{did}\t{}\t{time}\t{status}", says["seq"]);
                self.deletions.insert(place.clone(), line);
                user[1] = says["active"].to_string();
                user[2] = text(&says["status"]);
            }
            _ => {
                let is_post = says["collection"] == "app.bsky.feed.post";
                let uri = format!(
                    "at://{did}/{}/{}",
                    text(&says["collection"]),
                    text(&says["rkey"])
                );
                let line = format!("{uri}\t{}", text(&says["rev"]));
                let operation = text(&says["operation"]);
                if operation == "delete" {
                    self.deletions.insert(place.clone(), line);
                } else {
                    self.ids.insert(place.clone(), line);
                    if is_post {
                        let handle = &user[0];
                        let row =
                            format!("{uri} {time} {operation} {} {handle}", text(&says["cid"]));
                        self.rows.insert(place.clone(), row);
                    }
                    if is_post && operation == "create" {
                        user[3] = (user[3].parse::<u64>().unwrap() + 1).to_string();
                    }
                }
            }
        }
        self.keys.insert(place);
    }
}

fn lines<K>(of: &BTreeMap<K, String>) -> String {
    let lines: Vec<&str> = of.values().flat_map(|line| [line, "\n"]).collect();
    lines.concat()
}

/// The rows of a CSV file without its header.
fn rows(text: &str) -> Vec<csv::StringRecord> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.records().map(Result::unwrap).collect()
}

pub(crate) fn parquet(site: &Site, hour: &str) -> RecordBatch {
    rows_of(site.files()[&format!("{}/{hour}_posts.parquet", &hour[..10])].clone())
}

/// All rows of a Parquet file.
pub(crate) fn rows_of(bytes: Vec<u8>) -> RecordBatch {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
    let schema = builder.schema().clone();
    let batches: Vec<RecordBatch> = builder.build().unwrap().map(Result::unwrap).collect();
    arrow_select::concat::concat_batches(&schema, &batches).unwrap()
}

/// Everything of an hour is what the lines say.
fn check_hour(site: &Site, servers: &[Vec<Received>], hour: &str) -> Manifest {
    let truth = truth(servers, hour);
    assert_eq!(site.text(hour, "IDs.txt.xz"), lines(&truth.ids));
    assert_eq!(site.text(hour, "deletions.txt.xz"), lines(&truth.deletions));
    let found: Vec<String> = rows(&site.text(hour, "posts.csv.xz"))
        .iter()
        .map(|row| {
            format!(
                "{} {} {} {} {}",
                &row[0], &row[5], &row[6], &row[1], &row[3]
            )
        })
        .collect();
    assert_eq!(found, truth.rows.values().cloned().collect::<Vec<_>>());
    assert!(
        found.iter().any(|row| !row.ends_with(' ')),
        "no handle was told before a post"
    );
    let users: BTreeMap<String, [String; 6]> = rows(&site.text(hour, "users.csv.xz"))
        .iter()
        .map(|row| {
            let cells = [1, 2, 3, 4, 5, 6].map(|cell| row[cell].to_owned());
            (row[0].to_owned(), cells)
        })
        .collect();
    assert_eq!(users, truth.users);
    let table = parquet(site, hour);
    let keys = table.column_by_name("key").unwrap().as_string::<i32>();
    let keys: Vec<&str> = keys.iter().flatten().collect();
    assert!(keys.iter().eq(truth.keys.iter().map(|(_, key)| key)));
    let manifest = site.manifest(hour);
    let total = &manifest.counts.total;
    assert!(manifest.balances());
    assert_eq!(total.posts, truth.ids.len() as u64);
    assert_eq!(total.records(), truth.keys.len() as u64);
    assert!(0 < total.unlisted && 0 < total.duplicates && 0 < total.rejected["out_of_range"]);
    assert!(total.rejected.contains_key("not_json") && total.rejected.contains_key("no_did"));
    assert_eq!(manifest.conflicts.posts, 0, "{:?}", manifest.conflicts);
    manifest
}

#[track_caller]
fn check_verifies(site: &Site) {
    let found = site.verify();
    assert!(found.problems.is_empty(), "{:?}", found.problems);
}

#[test]
fn hours_of_events_are_what_the_lines_say_however_they_came() {
    let received = received();
    let all = all_segments(&received);
    let at_once = site();
    at_once.put(&all);
    at_once.merge(LATER);
    for hour in HOURS {
        check_hour(&at_once, &received, hour);
    }
    check_verifies(&at_once);
    for (threads, unit_bytes, parts) in [(1, 3_000, 1), (5, 20_000, 5)] {
        let site = Site {
            threads,
            unit_bytes,
            ..site()
        };
        for part in 0..parts {
            let came = all.iter().zip(0_u64..);
            let came = came.filter(|(_, n)| mix(*n, 77) % parts == part);
            site.put(&came.map(|(segment, _)| segment.clone()).collect::<Vec<_>>());
            site.merge(LATER);
        }
        assert!(
            site.essence() == at_once.essence(),
            "{threads} threads, {parts} parts"
        );
        assert_eq!(site.manifest(HOURS[0]).history.revision, parts);
        check_verifies(&site);
    }
}

#[test]
fn late_events_find_the_rows_of_what_is_gone() {
    let received = received();
    let all = all_segments(&received);
    let is_late = |n: u64| !n.is_multiple_of(60) && mix(n, 5).is_multiple_of(6);
    let numbered = || all.iter().cloned().zip(0_u64..);
    let part = |late: bool| {
        let of_part = numbered().filter(|(_, n)| is_late(*n) == late);
        of_part.map(|(segment, _)| segment).collect::<Vec<_>>()
    };
    let mut site = site();
    site.put(&part(false));
    site.merge(LATER);
    site.settings.keep_raw = Some(Duration::from_hours(1));
    for now in ["2026-11-24T18:00:00Z", "2026-11-24T23:00:00Z"] {
        site.merge(now);
    }
    site.settings.keep_raw = None;
    let left = site
        .disk
        .list(&site.spool().join("1/2026-11-23/13"))
        .unwrap();
    assert!(left.len() <= 3, "raw data is gone: {left:?}");
    site.put(&part(true));
    site.merge("2026-11-26T18:00:00Z");
    for hour in HOURS {
        let manifest = check_hour(&site, &received, hour);
        assert!(manifest.carried.is_some());
    }
    check_verifies(&site);
}

/// Of a rare collection an hour may have nothing. What is told of accounts comes all the same, and tells that nothing was missed.
#[test]
fn an_hour_without_a_post_is_quiet_while_other_events_come() {
    let silent = at("2026-11-23T14:20:10Z").0..at("2026-11-23T14:25:05Z").0;
    let begin = at("2026-11-23T12:50:00Z");
    let posts = [at("2026-11-23T13:01:07Z"), at("2026-11-23T15:30:07Z")];
    let told = (0..540_u64).map(|n| {
        let at = begin.plus_ms(20_000 * i64::try_from(n).unwrap());
        events::Event {
            at,
            did: events::did(n),
            kind: "account",
            says: format!(
                r#"{{"did":"{}","active":true,"seq":{n},"time":"{at}"}}"#,
                events::did(n)
            ),
        }
    });
    let told = told.filter(|event| !silent.contains(&event.at.0));
    let post = |(n, at): (u64, &UtcMs)| {
        let place = ("app.bsky.feed.post", "3k");
        commit(
            (*at, n),
            "did:plc:a",
            "create",
            place,
            Some(&events::post(n)),
        )
    };
    let all = told.chain((1..).zip(&posts).map(post));
    let mut received: Vec<Received> = all
        .map(|event| Received {
            at: event.at.plus_ms(300),
            line: events::line(&event, 1, 100).into_bytes(),
        })
        .collect();
    received.sort_by_key(|one| one.at);
    let (late, soon): (Vec<Segment>, Vec<Segment>) = segments_of("bluesky", "1", &received)
        .into_iter()
        .partition(|segment| segment.name.minute == at("2026-11-23T14:40:00Z").minute());
    let mut site = site();
    site.put(&soon);
    site.merge(LATER);
    let said = |site: &Site| {
        let of_hour = |hour| {
            let manifest = site.manifest(hour);
            let gaps = manifest.gaps.iter().filter(|gap| gap.server == "1");
            let gaps: Vec<(String, String)> = gaps
                .map(|gap| {
                    let edge = |at: UtcMs| at.to_string()[14..19].to_owned();
                    (edge(gap.begin), edge(gap.end))
                })
                .collect();
            (manifest.coverage.union.quiet, gaps)
        };
        ["2026-11-23_13", "2026-11-23_14"].map(of_hour)
    };
    let gap = |begin: &str, end: &str| (begin.to_owned(), end.to_owned());
    let silent = gap("20:00", "25:21");
    let first = said(&site);
    assert_eq!(first[0], (3_599, vec![]));
    let missing = gap("39:40", "41:01");
    assert_eq!(first[1], (3_600 - 321 - 81, vec![silent.clone(), missing]));
    check_verifies(&site);
    // a segment comes when the raw data of all others is gone
    site.settings.keep_raw = Some(Duration::from_hours(1));
    for now in ["2026-11-24T18:00:00Z", "2026-11-24T23:00:00Z"] {
        site.merge(now);
    }
    site.settings.keep_raw = None;
    site.put(&late);
    site.merge("2026-11-26T18:00:00Z");
    assert!(site.manifest("2026-11-23_14").carried.is_some());
    let again = said(&site);
    assert_eq!(again[1], (3_600 - 321, vec![silent]));
    check_verifies(&site);
}

/// Posts of a frequent collection and of a rare one, each while it is requested; other events come all the time.
#[test]
fn after_another_list_a_rare_collection_is_not_missing() {
    let begin = at("2026-11-23T13:50:00Z");
    let change = at("2026-11-23T14:20:00Z");
    let end = at("2026-11-23T15:10:00Z");
    let every = |from: UtcMs, until: UtcMs, ms: usize| (from.0..until.0).step_by(ms).map(UtcMs);
    let post = |(n, at): (u64, UtcMs)| {
        let key = format!("3k{n}");
        let place = ("app.bsky.feed.post", key.as_str());
        let record = events::post(n);
        commit((at, n), "did:plc:a", "create", place, Some(&record))
    };
    let posts = every(begin.plus_ms(1_000), change, 250).chain(every(change, end, 50_000));
    let told = |at: UtcMs| events::Event {
        at,
        did: events::did(1),
        kind: "account",
        says: format!(
            r#"{{"did":"{}","active":true,"seq":{},"time":"{at}"}}"#,
            events::did(1),
            at.0
        ),
    };
    let told = every(begin.plus_ms(1_000), end, 5_000).map(told);
    let mut received: Vec<Received> = told
        .chain((1..).zip(posts).map(post))
        .map(|event| Received {
            at: event.at.plus_ms(300),
            line: events::line(&event, 1, 100).into_bytes(),
        })
        .collect();
    received.sort_by_key(|one| one.at);
    let turns = [
        (begin, Turn::Starts),
        (begin.plus_ms(500), Turn::Connects),
        (change.plus_ms(-1), Turn::Stops),
        (change.plus_ms(100), Turn::Starts),
        (change.plus_ms(200), Turn::Connects),
    ];
    let mut segments = recorded("bluesky", "1", &received, &turns);
    for segment in &mut segments {
        let is_before = segment.name.minute.begin() < change;
        let list = if is_before {
            "app.bsky.feed.*"
        } else {
            "app.bsky.rare"
        };
        for event in &mut segment.events {
            if let EventKind::Alive(alive) = &mut event.what {
                alive.collections = Some(vec![list.to_owned()].into());
            }
        }
    }
    let site = site();
    site.put(&segments);
    site.merge(LATER);
    let manifest = site.manifest("2026-11-23_14");
    let lists = &manifest.collections.as_ref().unwrap().lists;
    assert_eq!(lists.len(), 2, "{lists:?}");
    let gaps: Vec<i64> = manifest.gaps.iter().map(Gap::seconds).collect();
    assert!(
        gaps.iter().all(|seconds| *seconds < 5),
        "{:?}",
        manifest.gaps
    );
    check_verifies(&site);
}

#[test]
fn copies_that_differ_in_their_record_are_conflicts_and_nothing_else_is() {
    let begin = at(BEGIN);
    let posts = ("app.bsky.feed.post", "3k");
    let like = ("app.bsky.feed.like", "3k");
    let record = |text: &str| format!(r#"{{"$type":"app.bsky.feed.post","text":"{text}"}}"#);
    let post = commit((begin, 1), "did:plc:a", "create", posts, Some(&record("a")));
    let other = commit((begin, 2), "did:plc:a", "create", posts, Some(&record("a")));
    let liked = commit((begin, 3), "did:plc:a", "create", like, Some("{}"));
    let received = [1, 2].map(|server| {
        let change = |line: String| {
            if server == 2 {
                line
            } else {
                line.replace("\"a\"", "\"b\"")
                    .replace("bafyrei3", "bafyrei4")
            }
        };
        let lines = [
            change(events::line(&post, server, 20)),
            events::line(&other, server, 20),
            change(events::line(&liked, server, 20)),
        ];
        let lines = lines.map(|line| Received {
            at: begin.plus_ms(1_000),
            line: line.into_bytes(),
        });
        lines.to_vec()
    });
    let site = site();
    site.put(&all_segments(&received));
    site.merge(LATER);
    let conflicts = site.manifest(HOURS[0]).said.conflicts;
    let fields = [("cid".to_owned(), 1), ("text".to_owned(), 1)];
    assert_eq!((conflicts.posts, conflicts.by_field), (2, fields.into()));
    let examples = site.text(HOURS[0], "conflicts.jsonl.xz");
    assert_eq!(examples.lines().count(), 2);
    check_verifies(&site);
}

#[test]
fn a_list_that_lacks_a_line_or_has_one_too_many_is_found() {
    let site = site();
    site.put(&all_segments(&received()));
    site.merge(LATER);
    for (ending, files) in [
        ("IDs.txt.xz", "in IDs.txt and in posts.parquet"),
        ("posts.csv.xz", "in IDs.txt and in posts.csv"),
        ("deletions.txt.xz", "in posts.parquet and in deletions.txt"),
    ] {
        let path = site
            .vault()
            .join(&HOURS[0][..10])
            .join(format!("{}_{ending}", HOURS[0]));
        let text = site.text(HOURS[0], ending);
        let cut: Vec<&str> = text.lines().collect();
        let cut = cut[..cut.len() - 1].join("\n") + "\n";
        let whole = site.files()[&format!("{}/{}_{ending}", &HOURS[0][..10], HOURS[0])].clone();
        let mut packed = Vec::new();
        let mut encoder = liblzma::read::XzEncoder::new(cut.as_bytes(), 1);
        std::io::Read::read_to_end(&mut encoder, &mut packed).unwrap();
        site.disk.remove(&path).unwrap();
        put(&*site.disk, &path, &packed).unwrap();
        let found = format!("{:?}", site.verify().problems);
        let what = format!("the ids {files} are not the same");
        assert!(found.contains(&what), "{found}");
        site.disk.remove(&path).unwrap();
        put(&*site.disk, &path, &whole).unwrap();
    }
    check_verifies(&site);
}

/// A value found by names that lead to it, as JSON of what the column holds.
pub(crate) fn cell(table: &dyn arrow_array::Array, row: usize) -> Value {
    use arrow_schema::DataType;
    if table.is_null(row) {
        return Value::Null;
    }
    match table.data_type() {
        DataType::Utf8 => table.as_string::<i32>().value(row).into(),
        DataType::Int64 => table
            .as_primitive::<arrow_array::types::Int64Type>()
            .value(row)
            .into(),
        DataType::Boolean => table.as_boolean().value(row).into(),
        DataType::Timestamp(..) => {
            let ms = table.as_primitive::<arrow_array::types::TimestampMillisecondType>();
            UtcMs(ms.value(row)).to_string().into()
        }
        DataType::List(_) => {
            let items = table.as_list::<i32>().value(row);
            (0..items.len()).map(|item| cell(&items, item)).collect()
        }
        DataType::Struct(fields) => {
            let cells = fields.iter().zip(table.as_struct().columns());
            cells
                .map(|(field, column)| (field.name().clone(), cell(column, row)))
                .filter(|(_, value)| !value.is_null())
                .collect()
        }
        other => unreachable!("no column has the type {other}"),
    }
}

/// Every member of a value that has a column is in the column, and everything else is told by its path.
fn compare(path: &str, line: &Value, column: &Value, apart: &mut BTreeSet<String>) {
    match (line, column) {
        (Value::Object(members), Value::Object(columns)) => {
            for (name, value) in members {
                match columns.get(name) {
                    Some(column) => compare(&format!("{path}.{name}"), value, column, apart),
                    None => drop(apart.insert(format!("{path}.{name}"))),
                }
            }
        }
        (Value::Array(items), Value::Array(columns)) => {
            assert_eq!(items.len(), columns.len(), "{path}");
            for (item, column) in items.iter().zip(columns) {
                compare(&format!("{path}[]"), item, column, apart);
            }
        }
        // JSON as text
        (value, Value::String(text)) if !value.is_string() || path.ends_with(".subject") => {
            assert_eq!(
                serde_json::from_str::<Value>(text).unwrap(),
                *value,
                "{path}"
            );
        }
        (Value::String(said), Value::String(found)) if said != found => {
            assert_eq!(at(said), at(found), "{path}");
        }
        (value, column) => assert_eq!(value, column, "{path}"),
    }
}

#[test]
fn real_events_come_through_whole() {
    let Some(path) = bluesky_events() else { return };
    let text = fs::read_to_string(path).unwrap();
    let events: Vec<&str> = text.lines().collect();
    let line = |line: &&str| {
        let placed = source::BLUESKY.source.place(line.as_bytes()).unwrap();
        Received {
            at: placed.at.plus_ms(1_000),
            line: line.as_bytes().to_vec(),
        }
    };
    let mut received: Vec<Received> = events.iter().map(line).collect();
    received.sort_by_key(|one| one.at);
    let site = site();
    site.put(&segments_of("bluesky", "1", &received));
    site.merge("2026-07-04T18:00:00Z");
    check_verifies(&site);
    let hour = "2026-07-04_14";
    let table = parquet(&site, hour);
    assert_eq!(table.num_rows(), events.len());
    let lines = table.column_by_name("line").unwrap().as_string::<i32>();
    let stored: BTreeSet<&str> = lines.iter().flatten().collect();
    assert_eq!(stored, events.iter().copied().collect(), "byte for byte");
    let mut apart = BTreeSet::new();
    for (row, line) in lines.iter().flatten().enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        let schema = table.schema();
        let columns = schema.fields().iter().zip(table.columns());
        let columns: Value = columns
            .map(|(field, column)| (field.name().clone(), cell(column, row)))
            .filter(|(_, value)| !value.is_null())
            .collect();
        compare("", &line, &columns, &mut apart);
    }
    // what other apps keep in their own collections stands in `line` only
    let apart: Vec<&str> = apart.iter().map(String::as_str).collect();
    assert_eq!(
        apart,
        [
            ".commit.record.expiry",
            ".commit.record.item",
            ".commit.record.time"
        ]
    );
    let of_posts = events
        .iter()
        .filter(|line| line.contains("\"collection\":\"app.bsky.feed.post\""));
    assert_eq!(
        rows(&site.text(hour, "posts.csv.xz")).len(),
        of_posts.count()
    );
}
