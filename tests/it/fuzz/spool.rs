//! What lies in a spool, written by this server, by another one, or by whoever has its key.

use std::path::Path;

use arrow_array::Array as _;
use serde_json::Value;
use twinstream::{
    merge::hour::rejected,
    period::{Minute, UtcMs},
    place::memory::Memory,
    segment::{
        acks, event::Event, line, name::SegmentName, recover, runs::Runs, seal::Seal,
        spool::in_folder,
    },
    source::{self, List, Listed, x::parse},
    vault::{csv, posts::rows},
    world::disk::Disk as _,
};

use super::{disk_with, golden, outcome};
use crate::support::{
    disk::SimulatedDisk,
    events::{self, events},
    fuzz::Fuzz,
    posts::{Received, Segment, post, segments, stream},
    primary::{Site, at},
};

const NAME: &str = "1_sample_20261123T1357Z_3fa9c01b_000";
const FOLDER: &str = "spool/1/2026-11-23/13";

fn name() -> SegmentName {
    NAME.parse().unwrap()
}

#[test]
fn fuzz_stored_line() {
    let member =
        r#""__twarc":{"retrieved_at":"2026-11-23T14:05:09.123Z","version":"twinstream/0.1.0"}"#;
    let fuzz = Fuzz::new("stored_line", 10_000)
        .seed(post(7, UtcMs(1_795_442_709_123)))
        .seed("{}")
        .seed(" { } ")
        .seed("<html>")
        .seed(format!("{{{member}}}"))
        .seed(format!("{{\"a\":1,{member}}} and more"))
        .seed(format!("x{{\"a\":1,{member}}}"));
    let stamp = UtcMs(1_795_442_709_999);
    fuzz.run(|input| {
        if input.contains(&b'\n') {
            return "two lines".to_owned();
        }
        let mut stored = Vec::new();
        line::store(input, stamp, &mut stored);
        let whole = stored.strip_suffix(b"\n").unwrap();
        assert!(!whole.contains(&b'\n'));
        // what was received comes out again, and no stamp is believed but ours
        let cut = line::cut(whole);
        assert_eq!(cut.received(), input, "{}", String::from_utf8_lossy(input));
        assert!([None, Some(stamp)].contains(&cut.retrieved_at));
        let is_json =
            |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).is_ok_and(|v| v.is_object());
        assert!(!is_json(input) || is_json(whole));
        // of a line of any making, nothing is invented
        let cut = line::cut(input);
        assert!(cut.received().len() <= input.len());
        format!("{:?}", cut.retrieved_at.is_some())
    });
}

#[test]
fn fuzz_seal() {
    let fuzz = Fuzz::new("seal", 3_000).seed(golden(&format!("{FOLDER}/{NAME}.seal.json")));
    fuzz.run(|input| {
        let read = Seal::read(input, &name());
        if let Ok(seal) = &read {
            assert_eq!(seal.name(), name());
            assert_eq!(&Seal::read(&seal.to_json(), &name()).unwrap(), seal);
        }
        outcome(&read)
    });
}

#[test]
fn fuzz_events() {
    let fuzz = Fuzz::new("events", 4_000);
    let text = golden(&format!("{FOLDER}/{NAME}.events.jsonl"));
    let fuzz = text.split(|byte| *byte == b'\n').fold(fuzz, Fuzz::seed);
    fuzz.run(|input| {
        let read = serde_json::from_slice::<Event>(input);
        if let Ok(event) = &read {
            let again: Event = serde_json::from_slice(&event.to_json()).unwrap();
            assert_eq!(&again, event);
        }
        outcome(&read)
    });
}

#[test]
fn fuzz_acknowledgements() {
    let path = acks::path(Path::new("/spool"), &"1".parse().unwrap());
    let fuzz = Fuzz::new("acknowledgements", 1_500).seed(
        r#"{"at":"2026-11-23T14:05:09.123Z","file":"1_sample_20261123T1357Z_3fa9c01b_000.seal.json","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}"#.to_owned()
            + "\n{\"at\":\"2026-11-23T14:05:09.123Z\",\"file\":\"../x\",\"sha256\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}\n",
    );
    fuzz.run(|input| {
        let disk = disk_with(&path, input);
        let all = acks::read(&disk, &path, |_| true).unwrap();
        for (file, ack) in &all {
            assert_eq!(&ack.file, file);
            let (segment, _) = file.split_once('.').unwrap_or((file, ""));
            assert!(segment.parse::<SegmentName>().is_ok(), "{file}");
        }
        // nothing that still lies here is forgotten, whatever else goes
        let now = at("2027-11-23T14:05:09Z");
        acks::forget(&disk, &path, std::time::Duration::MAX, now, |_| true).unwrap();
        acks::forget(&disk, &path, std::time::Duration::ZERO, now, |_| true).unwrap();
        assert_eq!(acks::read(&disk, &path, |_| true).unwrap(), all);
        format!("{}", all.len().min(2) as u8 as char)
    });
}

#[test]
fn fuzz_runs_and_places() {
    let server = "1".parse().unwrap();
    let fuzz = Fuzz::new("runs_and_places", 2_000)
        .seed(r#"{"runs":[{"number":1795442709,"id":"3fa9c01b"},{"number":1795442710,"id":"00000001"}]}"#)
        .seed(r#"{"format":1,"places":{"spool":"00112233445566778899aabbccddeeff"}}"#);
    fuzz.run(|input| {
        let spool = Path::new("/spool");
        let disk = disk_with(&twinstream::segment::runs::path(spool, &server), input);
        let mut runs = Runs::read(&disk, spool, &server).unwrap();
        let before = runs.iter().map(|run| run.number).max().unwrap_or(0);
        let begun = runs.begin("0000abcd".parse().unwrap(), at("2026-11-23T14:05:09Z"));
        assert!(
            before < begun.number || before == u64::MAX,
            "{before} {begun:?}"
        );
        runs.keep(&disk, spool, &server).unwrap();
        assert_eq!(Runs::read(&disk, spool, &server).unwrap(), runs);
        let disk = disk_with(&twinstream::place::memory::path(spool), input);
        let read = Memory::read(&disk, spool);
        if let Ok(memory) = &read {
            let mut memory = memory.clone();
            let id = twinstream::place::id::PlaceId::of(7);
            memory.remember(&disk, spool, "vault", &id).unwrap();
            assert_eq!(Memory::read(&disk, spool).unwrap(), memory);
        }
        outcome(&read)
    });
}

/// Whatever an unclean end leaves in a pair of open files, what is sealed is a beginning of it in whole lines.
#[test]
fn fuzz_open_pair() {
    let minute = Minute(29_924_039);
    let name = SegmentName { minute, ..name() };
    let paths = name.paths(Path::new("/spool"));
    let events = golden(&format!("{FOLDER}/{NAME}.events.jsonl"));
    let mut lines = Vec::new();
    line::store(
        post(7, minute.begin()).as_bytes(),
        minute.begin(),
        &mut lines,
    );
    let fuzz = Fuzz::new("open_pair", 400)
        .seed([&lines[..], b"\xfe", &events].concat())
        .seed(
            [
                &lines[..lines.len() - 3],
                b"\xfe",
                &events[..events.len() - 9],
            ]
            .concat(),
        );
    fuzz.run(|input| {
        let (lines, events) = input.split_at(memchr::memchr(b'\xfe', input).unwrap_or(input.len()));
        let disk = SimulatedDisk::default();
        disk.make_folder(&paths.folder).unwrap();
        for (path, bytes) in [(&paths.segment, lines), (&paths.events, events)] {
            let path = twinstream::segment::name::open(path);
            disk.create(&path).unwrap().write_all(bytes).unwrap();
        }
        let done = recover::recover(&disk, Path::new("/spool"), &name.server).unwrap();
        assert!(done.failed.is_empty(), "{:?}", done.failed);
        let found = in_folder(&disk, &paths.folder, &name.server).unwrap();
        assert!(found.iter().all(|(_, here)| here.sealed), "{found:?}");
        let files = disk.files();
        let whole = |bytes: &[u8]| memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1);
        let sealed = files.get(&paths.segment).cloned().unwrap_or_default();
        assert_eq!(sealed, lines[..whole(lines)]);
        let seal = files.get(&paths.seal).unwrap();
        let seal = Seal::read(seal, &name).unwrap();
        assert!(seal.recovered);
        assert_eq!(seal.segment.bytes, sealed.len() as u64);
        format!("{}", seal.first_arrival.is_some())
    });
}

/// A second server sends what it likes: the archive of the first one is made all the same, and verifies.
#[test]
fn fuzz_what_a_second_server_delivers() {
    let begin = at("2026-11-23T13:57:00Z");
    let honest = segments("1", &stream(1, begin, 2, 3)[0]);
    let of_second = segments("2", &stream(2, begin, 2, 3)[1]);
    let text = |segment: &Segment| {
        let lines = segment.lines.iter().map(|one| &*one.line);
        lines.collect::<Vec<_>>().join(&b'\n')
    };
    let golden = ["57", "58", "59"].map(|minute| {
        golden(&format!(
            "{FOLDER}/1_sample_20261123T13{minute}Z_3fa9c01b_000.events.jsonl"
        ))
    });
    let mut fuzz = Fuzz::new("what_a_second_server_delivers", 30);
    for events in golden {
        fuzz = fuzz.seed([&text(&of_second[0])[..], b"\xfe", &events].concat());
    }
    fuzz.run(|input| {
        let (lines, events) = input.split_at(memchr::memchr(b'\xfe', input).unwrap_or(input.len()));
        let mut hostile = of_second[0].clone();
        let received = |line: &[u8]| Received {
            at: hostile.lines[0].at,
            line: line.to_owned(),
        };
        let lines = lines.split(|byte| *byte == b'\n').map(received).collect();
        hostile.lines = lines;
        hostile.events = events
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        let events = hostile.events.len();
        let site = Site {
            threads: 1,
            ..Site::in_memory()
        };
        site.put(&honest);
        site.put(&[hostile, of_second[1].clone()]);
        let outcome = site.try_merge(&[], "2026-11-23T15:00:00Z").unwrap();
        assert!(outcome.failed.is_empty(), "{outcome:?}");
        assert!(site.hours().contains(&"2026-11-23_13".to_owned()));
        let found = site.verify();
        assert_eq!(found.worst(), None, "{found:?}");
        format!("{} {}", outcome.unusable.len(), "x".repeat(events.min(9)))
    });
}

/// A line of any making has one place, and every reader agrees on it.
#[test]
fn fuzz_posts() {
    let mut fuzz = Fuzz::new("posts", 6_000)
        .seed(r#"{"data":{"id":"20","created_at":"2006-03-21T20:50:14.000Z","text":"just setting up"}}"#)
        .seed(r#"{"data":{"id":18446744073709551616,"referenced_tweets":[{"type":"quoted","id":"1"}]},"includes":{"users":[{"id":"1"}]}}"#);
    for n in 0..4 {
        fuzz = fuzz.seed(post(n, at("2026-11-23T13:57:00Z")));
    }
    fuzz.run(|input| {
        let (place, whole) = (parse::place(input), parse::post(input, true));
        if let Ok((placed, true)) = &place {
            assert_eq!(parse::early_time(input), Some(placed.at));
        }
        let place = place.map(|(placed, _)| placed);
        assert_eq!(
            place.as_ref().ok().map(|placed| placed.key.clone()),
            whole.as_ref().ok().map(|post| post.placed.key.clone()),
        );
        // it is an object to us exactly if it is one to others, up to how deep and large they go
        let theirs = serde_json::from_slice::<Value>(input);
        if let (Ok(placed), Ok(theirs)) = (&place, &theirs) {
            let id = &theirs["data"]["id"];
            let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
            assert_eq!(placed.key.to_string(), id);
        }
        if let (Err(why), Ok(theirs)) = (&place, &theirs) {
            let id = theirs.pointer("/data/id").and_then(Value::as_str);
            let id =
                id.and_then(|text| text.parse::<u64>().ok().filter(|id| id.to_string() == text));
            assert!(id.is_none_or(|id| id < 29_700_000_000), "{why:?}: {theirs}");
        }
        let mut row = Vec::new();
        assert_eq!(
            rejected::push(&mut row, source::SAMPLE.source, &name(), input).is_some(),
            place.is_err()
        );
        place.map_or_else(|why| why.word().to_owned(), |_| "post".to_owned())
    });
}

/// An event of any making stands in the lists under its own name, and its row and columns can be made.
#[test]
fn fuzz_bluesky() {
    let mut fuzz = Fuzz::new("bluesky", 4_000);
    for (n, event) in (0..).zip(events(at("2026-11-23T13:57:00Z"), 1, 20)) {
        fuzz = fuzz.seed(events::line(&event, n % 2, 20));
    }
    let source = source::BLUESKY.source;
    fuzz.run(|input| {
        let place = source.place(input);
        let mut records = source.records(true);
        let read = records.read(input, None);
        assert_eq!(read.is_ok(), place.is_ok());
        let (Ok(record), Ok(placed)) = (read, &place) else {
            return place.map_or_else(|why| why.word().to_owned(), |_| String::new());
        };
        assert_eq!(
            source.key(&placed.key.to_string()),
            Some(placed.key.clone())
        );
        let (mut listed, mut deleted) = (Vec::new(), Vec::new());
        records.put_id(record, &mut listed);
        records.put_deletion(record, &mut deleted);
        let key = |line: &[u8], read: &dyn Fn(&str) -> Option<Listed>| {
            let line = std::str::from_utf8(line)
                .unwrap()
                .strip_suffix('\n')?
                .to_owned();
            Some(read(&line).unwrap().key)
        };
        let is_in = |list| {
            source
                .stands_in(&placed.key, list)
                .then(|| placed.key.clone())
        };
        assert_eq!(key(&listed, &|line| source.listed(line)), is_in(List::Ids));
        assert_eq!(
            key(&deleted, &|line| source.deleted(line)),
            is_in(List::Deletions)
        );
        let mut row = Vec::new();
        let has_row = records
            .row(record)
            .map(|cells| csv::push_row(&mut row, cells));
        assert_eq!(
            has_row.is_some(),
            source.stands_in(&placed.key, List::Table)
        );
        if has_row.is_some() {
            let cells = csv::fields(row.strip_suffix(b"\n").unwrap()).unwrap();
            let (of_row, author) = source.row(&cells).unwrap();
            assert_eq!(of_row.key, source.key_by_row(&placed.key));
            assert_eq!(author, source.author(input));
        }
        records.push_columns(record);
        let columns = records.take_columns().unwrap();
        let schema = rows::schema(source);
        let fields = schema.fields().iter().zip(&columns);
        let mut required = fields.filter(|(field, _)| !field.is_nullable());
        assert!(required.all(|(_, column)| column.null_count() == 0));
        format!(
            "{} {} {}",
            listed.len().min(1),
            deleted.len().min(1),
            row.len().min(1)
        )
    });
}
