//! The simulated Jetstream as its clients see it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;
use twinstream::world::clock::Clock;

use super::{
    LONG, START_MS, Simulator,
    subscriber::{Ended, Subscriber, key, time_us},
};
use crate::support::{api::Api, pace::at_pace};

const POSTS: &str = "wantedCollections=app.bsky.feed.post";

fn simulator(ports: usize, clock_rate: i32, faults: &str, more: &[&str]) -> Simulator {
    let more = [&["--source", "bluesky"], more].concat();
    Simulator::start(ports, clock_rate, faults, &more)
}

/// A `time_us` so many seconds after the simulator's start.
fn us(seconds: i64) -> i64 {
    (i64::try_from(START_MS).unwrap() + seconds * 1_000) * 1_000
}

fn until(us: i64) -> impl Fn(&Subscriber) -> bool {
    move |client| {
        client
            .messages
            .last()
            .and_then(time_us)
            .is_some_and(|last| us <= last)
    }
}

/// Until events of so many seconds have come.
fn seconds(many: i64) -> impl Fn(&Subscriber) -> bool {
    move |client| {
        let first = client.messages.first().and_then(time_us);
        first.is_some_and(|first| until(first + many * 1_000_000)(client))
    }
}

fn count(messages: usize) -> impl Fn(&Subscriber) -> bool {
    move |client| messages <= client.messages.len()
}

fn is_tid(text: &str) -> bool {
    let digits = "234567abcdefghijklmnopqrstuvwxyz";
    text.len() == 13 && text.chars().all(|c| digits.contains(c)) && text < "k"
}

/// The microseconds in a TID.
fn tid_us(text: &str) -> i64 {
    let digits = "234567abcdefghijklmnopqrstuvwxyz";
    let digit = |c| i64::try_from(digits.find(c).unwrap()).unwrap();
    text.chars().fold(0, |value, c| value << 5 | digit(c)) >> 10
}

#[track_caller]
fn check_shape(event: &Value) {
    let keys = |value: &Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    let did = event["did"].as_str().unwrap();
    assert!(
        did.starts_with("did:plc:") && did.len() == 32 || did.starts_with("did:web:"),
        "{did}"
    );
    assert!(event["time_us"].is_i64());
    let kind = event["kind"].as_str().unwrap();
    let inner = &event[kind];
    assert!(
        keys(event).is_subset(
            &["did", "time_us", "cursor", "kind", kind]
                .map(str::to_owned)
                .into()
        )
    );
    if kind != "commit" {
        assert_eq!(inner["did"], event["did"]);
        assert!(
            inner["seq"].is_u64() && inner["time"].is_string(),
            "{event}"
        );
        if kind == "account" {
            assert_eq!(
                inner["active"].as_bool().unwrap(),
                inner["status"].is_null(),
                "{event}"
            );
        }
        return;
    }
    assert!(is_tid(inner["rev"].as_str().unwrap()), "{event}");
    let rkey = inner["rkey"].as_str().unwrap();
    assert!(is_tid(rkey) || rkey == "self", "{event}");
    if inner["operation"] == "delete" {
        let expected = ["rev", "operation", "collection", "rkey"].map(str::to_owned);
        assert_eq!(keys(inner), expected.into());
        return;
    }
    assert_eq!(inner["record"]["$type"], inner["collection"]);
    let cid = inner["cid"].as_str().unwrap();
    assert!(cid.starts_with("bafyrei") && cid.len() == 59, "{cid}");
    for facet in inner["record"]["facets"].as_array().unwrap_or(&Vec::new()) {
        let text = inner["record"]["text"].as_str().unwrap();
        let at = |end: &str| usize::try_from(facet["index"][end].as_u64().unwrap()).unwrap();
        let marked = text.get(at("byteStart")..at("byteEnd")).unwrap();
        let feature = &facet["features"][0];
        match feature["$type"]
            .as_str()
            .unwrap()
            .split_once('#')
            .unwrap()
            .1
        {
            "mention" => assert!(
                marked.starts_with('@') && feature["did"].is_string(),
                "{marked}"
            ),
            "tag" => assert_eq!(marked, format!("#{}", feature["tag"].as_str().unwrap())),
            "link" => assert_eq!(feature["uri"], format!("https://{marked}")),
            other => panic!("{other}"),
        }
    }
}

/// What kinds of values lie where in an event; the places of a list count as one.
fn paths(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                paths(value, &format!("{at}.{name}"), found);
            }
        }
        Value::Array(list) => list
            .iter()
            .for_each(|value| paths(value, &format!("{at}[]"), found)),
        Value::String(_) => drop(found.insert(format!("{at}: text"))),
        Value::Number(_) => drop(found.insert(format!("{at}: number"))),
        Value::Bool(_) => drop(found.insert(format!("{at}: bool"))),
        Value::Null => (),
    }
}

#[test]
fn events_have_the_shapes_of_real_ones() {
    let simulator = simulator(1, 20, "", &["--rate", "4"]);
    let mut client = Subscriber::open(simulator.ports[0], &format!("?cursor={}", us(-600)));
    assert_eq!(client.read(LONG, until(us(0))), Ended::Open);
    let events = client.events();
    assert_eq!(events.len(), client.messages.len());
    let mut of: BTreeMap<String, usize> = BTreeMap::new();
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in &events {
        check_shape(event);
        let (kind, commit) = (event["kind"].as_str().unwrap(), &event["commit"]);
        let collection = commit["collection"].as_str().unwrap_or(kind);
        let operation = commit["operation"].as_str().unwrap_or("");
        *of.entry(format!("{operation} {collection}")).or_default() += 1;
        if let Some(embed) = commit["record"]["embed"]["$type"].as_str() {
            *of.entry(embed.to_owned()).or_default() += 1;
        }
        paths(event, "", found.entry(collection.to_owned()).or_default());
    }
    for (what, at_least) in [
        ("create app.bsky.feed.post", 1_500),
        ("update app.bsky.feed.post", 5),
        ("delete app.bsky.feed.post", 40),
        ("create app.bsky.feed.like", 9_000),
        ("delete app.bsky.feed.like", 100),
        ("create app.bsky.feed.repost", 1_000),
        ("create app.bsky.graph.follow", 600),
        ("delete app.bsky.graph.follow", 50),
        ("update app.bsky.actor.profile", 50),
        (" identity", 100),
        (" account", 60),
        ("app.bsky.embed.images", 100),
        ("app.bsky.embed.external", 100),
        ("app.bsky.embed.record", 50),
        ("app.bsky.embed.recordWithMedia", 10),
        ("app.bsky.embed.video", 10),
    ] {
        assert!(
            of.get(what).is_some_and(|many| at_least <= *many),
            "{what}: {of:?}"
        );
    }
    for status in ["deleted", "takendown", "deactivated", "suspended"] {
        let there = events
            .iter()
            .any(|event| event["account"]["status"] == status);
        assert!(there, "{status}");
    }
    let off_us =
        |event: &Value| Some(tid_us(event["commit"]["rev"].as_str()?) - event["time_us"].as_i64()?);
    let offs: Vec<i64> = events.iter().filter_map(off_us).collect();
    assert!(
        offs.iter().any(|off| *off < -24 * 3_600_000_000),
        "days ago"
    );
    assert!(offs.iter().any(|off| 1_000_000 < *off), "in the future");
    let Ok(real) = std::env::var("TWINSTREAM_BLUESKY_EVENTS") else {
        eprintln!(
            "skipped: TWINSTREAM_BLUESKY_EVENTS names no file of real events to compare with"
        );
        return;
    };
    for line in fs::read_to_string(real).unwrap().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let collection = event["commit"]["collection"].as_str();
        let Some(ours) = found.get(collection.unwrap_or(event["kind"].as_str().unwrap())) else {
            continue;
        };
        let mut theirs = BTreeSet::new();
        paths(&event, "", &mut theirs);
        let missing: Vec<_> = theirs.difference(ours).collect();
        assert!(missing.is_empty(), "{collection:?}: {missing:?}");
    }
}

/// What two instances say of the same seconds: key → `time_us`.
fn told(port: u16, query: &str, from: i64, to: i64) -> HashMap<String, i64> {
    let mut client = Subscriber::open(port, &format!("?{query}&cursor={}", from - 5_000_000));
    assert_eq!(client.read(LONG, until(to + 5_000_000)), Ended::Open);
    let events = client.events();
    let told = events
        .iter()
        .map(|event| (key(event), event["time_us"].as_i64().unwrap()));
    told.collect()
}

#[test]
fn both_instances_tell_the_same_each_in_its_own_time() {
    let simulator = simulator(2, 20, "", &["--rate", "8"]);
    let [one, two] = [0, 1].map(|place| told(simulator.ports[place], POSTS, us(-900), us(-30)));
    let mut differences = Vec::new();
    for (these, others) in [(&one, &two), (&two, &one)] {
        for (key, time_us) in these {
            let inside = us(-890) < *time_us && *time_us < us(-40);
            if let Some(other) = others.get(key).filter(|_| inside) {
                differences.push(time_us - other);
            } else {
                assert!(!inside, "{key} was told by one only");
            }
        }
    }
    assert!(10_000 < differences.len());
    let same = differences.iter().filter(|apart| **apart == 0).count();
    assert!(same * 100 < differences.len(), "{same}");
    assert!(differences.iter().all(|apart| apart.abs() < 2_000_000));
    let hundredths: BTreeSet<i64> = differences.iter().map(|apart| apart / 10_000).collect();
    assert!(
        10 < hundredths.len(),
        "their distance drifts: {hundredths:?}"
    );
}

#[test]
fn a_cursor_replays_the_bytes_that_were_live() {
    let mut simulator = simulator(2, 20, "", &["--rate", "8", "--window", "5m"]);
    let port = simulator.ports[1];
    let mut live = Subscriber::open(port, "");
    assert_eq!(live.read(LONG, seconds(30)), Ended::Open);
    let events = live.events();
    let times: Vec<i64> = events
        .iter()
        .map(|event| event["time_us"].as_i64().unwrap())
        .collect();
    assert!(!times.is_sorted(), "not strictly in order");
    let begin = events.len() / 3;
    // the first of the events that have its time
    let begin = times.iter().position(|time| times[begin] <= *time).unwrap();
    let mut replayed = Subscriber::open(port, &format!("?cursor={}", times[begin]));
    let rest = &live.messages[begin..];
    assert_eq!(replayed.read(LONG, count(rest.len())), Ended::Open);
    assert_eq!(replayed.messages[..rest.len()], *rest);
    assert!(
        events.iter().all(|event| event["cursor"].is_u64()),
        "as newer servers do"
    );
    // what is older than the window begins with the oldest, without a word
    let mut old = Subscriber::open(port, &format!("?{POSTS}&cursor={}", us(-9_000)));
    assert_eq!(old.read(LONG, count(100)), Ended::Open);
    let first = old.events()[0]["time_us"].as_i64().unwrap();
    assert!(us(-300) <= first && first < us(0), "{}", first - us(0));
    // a future one is live
    let mut future = Subscriber::open(port, &format!("?{POSTS}&cursor={}", us(90_000)));
    assert_eq!(future.read(LONG, count(10)), Ended::Open);
    assert!(*times.last().unwrap() < future.events()[0]["time_us"].as_i64().unwrap());
    drop((live, replayed, old, future));
    assert_eq!(simulator.stop(), Some(0));
    check_truth(&simulator.truth(), &events);
}

/// The log says what was asked and sent, and what there was.
fn check_truth(truth: &[Value], live: &[Value]) {
    let of = |name: &'static str| truth.iter().filter(move |event| event["event"] == name);
    let begins: Vec<&Value> = of("begin").collect();
    assert_eq!(begins.len(), 4);
    assert!(begins[0]["from_us"].is_null() && begins[0]["cursor"].is_null());
    assert_eq!(begins[1]["from_us"], begins[1]["cursor"]);
    assert_eq!(begins[2]["clamped"], true);
    assert!(begins[2]["cursor"].as_i64() < begins[2]["from_us"].as_i64());
    assert!(begins[3]["from_us"].is_null() && begins[3]["clamped"] == false);
    let subscribed: Vec<&Value> = of("subscribe").collect();
    assert_eq!(subscribed[2]["collections"][0], "app.bsky.feed.post");
    let over = of("unsubscribe")
        .find(|event| event["connection"] == 1)
        .unwrap();
    assert_eq!(
        (&over["why"], &over["first"]),
        (&Value::from("client"), &Value::from(key(&live[0])))
    );
    assert!(live.len() <= usize::try_from(over["events"].as_u64().unwrap()).unwrap());
    let sum: u64 = of("delivered")
        .filter(|event| event["connection"] == 1)
        .map(|event| event["events"].as_u64().unwrap())
        .sum();
    assert_eq!(Value::from(sum), over["events"]);
    let exists: HashMap<&str, &Value> = of("exists")
        .map(|event| (event["key"].as_str().unwrap(), event))
        .collect();
    let mut compared = 0;
    for event in live {
        let is_post = event["commit"]["collection"] == "app.bsky.feed.post";
        // what was on its way when the simulator began, it does not tell
        if (is_post || event["kind"] != "commit") && us(2) < event["time_us"].as_i64().unwrap() {
            let told = exists[key(event).as_str()];
            assert_eq!(told["time_us"][1], event["time_us"]);
            assert_eq!(told["kind"], event["kind"]);
            assert_eq!(told["operation"], event["commit"]["operation"]);
            compared += 1;
        }
    }
    assert!(150 < compared, "{compared}");
    assert_eq!(truth.last().unwrap()["event"], "stop");
}

#[test]
fn clients_get_what_they_want() {
    let simulator = simulator(1, 20, "", &["--rate", "8"]);
    let port = simulator.ports[0];
    let from = format!("cursor={}", us(-120));
    let read = |query: &str| {
        let mut client = Subscriber::open(port, &format!("?{query}&{from}"));
        assert_eq!(client.read(LONG, until(us(-5))), Ended::Open);
        client.events()
    };
    let collections = |events: &[Value]| -> BTreeSet<String> {
        let of = |event: &Value| {
            event["commit"]["collection"]
                .as_str()
                .unwrap_or("")
                .to_owned()
        };
        events.iter().map(of).collect()
    };
    let posts = read(POSTS);
    assert_eq!(
        collections(&posts),
        ["", "app.bsky.feed.post"].map(str::to_owned).into()
    );
    let feed = read("wantedCollections=app.bsky.feed.*");
    assert!(collections(&feed).contains("app.bsky.feed.like"));
    assert!(!collections(&feed).contains("app.bsky.graph.follow"));
    let did = posts
        .iter()
        .find(|event| event["kind"] == "commit")
        .unwrap()["did"]
        .as_str()
        .unwrap();
    let of_one = read(&format!("wantedDids={did}"));
    let commits: Vec<&Value> = of_one
        .iter()
        .filter(|event| event["kind"] == "commit")
        .collect();
    assert!(!commits.is_empty() && commits.iter().all(|event| event["did"] == did));
    let accounts = |events: &[Value]| {
        events
            .iter()
            .filter(|event| event["kind"] != "commit")
            .count()
    };
    assert!(20 < accounts(&of_one));
    let mut short = Subscriber::open(port, &format!("?{POSTS}&maxMessageSizeBytes=600&{from}"));
    assert_eq!(short.read(LONG, until(us(-5))), Ended::Open);
    assert!(short.messages.iter().all(|message| message.len() <= 600));
    assert!(short.messages.len() < posts.len());
    let too_many = "wantedCollections=a.b.c&".repeat(101);
    for (target, headers, status, says) in [
        (
            "/subscribe?wantedCollections=app.bsky.fee*",
            "",
            400,
            "invalid collection",
        ),
        ("/subscribe?wantedDids=x", "", 400, "invalid DID"),
        ("/subscribe?cursor=x", "", 400, "invalid cursor"),
        (
            &format!("/subscribe?{too_many}"),
            "",
            400,
            "too many wanted collections",
        ),
        ("/subscribe?compress=true", "", 400, "compression"),
        (
            "/subscribe",
            "Socket-Encoding: zstd\r\n",
            400,
            "compression",
        ),
        (
            "/xrpc/com.atproto.sync.subscribeRepos",
            "",
            404,
            "not found",
        ),
    ] {
        let (found, body) = Subscriber::ask(port, target, headers)
            .unwrap()
            .err()
            .unwrap();
        assert_eq!(found, status, "{target}");
        assert!(body.contains(says), "{body}");
    }
}

#[test]
fn options_can_be_sent_later_and_must_make_sense() {
    let mut simulator = simulator(1, 20, "", &["--rate", "8"]);
    let port = simulator.ports[0];
    let mut client = Subscriber::open(port, &format!("?requireHello=true&cursor={}", us(-60)));
    // a ping of the simulated clock, and nothing else
    assert_eq!(client.read(LONG, |client| 0 < client.pings), Ended::Open);
    assert_eq!(client.messages.len(), 0);
    client.say(r#"{"type":"no_such_type","payload":7}"#);
    client.say(
        r#"{"type":"options_update","payload":{"wantedCollections":["app.bsky.graph.follow"]}}"#,
    );
    assert_eq!(client.read(LONG, count(60)), Ended::Open);
    let events = client.events();
    assert!(
        events[0]["time_us"].as_i64().unwrap() < us(-50),
        "from the cursor on"
    );
    let is_wanted = |event: &Value| {
        event["kind"] != "commit" || event["commit"]["collection"] == "app.bsky.graph.follow"
    };
    assert!(events.iter().all(is_wanted));
    client.say(r#"{"type":"options_update","payload":{}}"#);
    let likes = |client: &Subscriber| {
        let last = client
            .messages
            .last()
            .map(|last| last.to_text().unwrap().to_owned());
        last.is_some_and(|last| last.contains("app.bsky.feed.like"))
    };
    assert_eq!(client.read(LONG, likes), Ended::Open);
    client.say(r#"{"type":"options_update","payload":{"wantedCollections":["nonsense"]}}"#);
    let ended = client.read(LONG, |_| false);
    assert_eq!(
        ended,
        Ended::Closed(1008, "invalid collection: nonsense".to_owned())
    );
    let mut wordy = Subscriber::open(port, "?requireHello=true");
    match wordy.socket.send("x".repeat(10_000_001).into()) {
        // the server may have gone in the middle of it
        Ok(()) | Err(_) => (),
    }
    let ended = wordy.read(LONG, |_| false);
    assert!(
        matches!(ended, Ended::Closed(1009, _) | Ended::Reset),
        "{ended:?}"
    );
    assert_eq!(simulator.stop(), Some(0));
    let truth = simulator.truth();
    let invalid = truth.iter().filter(|event| event["why"] == "invalid");
    assert_eq!(invalid.count(), 2);
}

#[test]
fn compressed_frames_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dictionary");
    let more = ["--rate", "8", "--dictionary", path.to_str().unwrap()];
    let simulator = simulator(1, 20, "", &more);
    let dictionary = fs::read(&path).unwrap();
    let port = simulator.ports[0];
    let from = format!("cursor={}", us(-60));
    let mut plain = Subscriber::open(port, &format!("?{from}"));
    assert_eq!(plain.read(LONG, count(300)), Ended::Open);
    let plain_bytes: usize = plain.messages[..300].iter().map(Message::len).sum();
    let header = Subscriber::ask(
        port,
        &format!("/subscribe?{from}"),
        "Socket-Encoding: zstd\r\n",
    );
    for mut packed in [
        Subscriber::open(port, &format!("?compress=true&{from}")),
        header.unwrap().unwrap(),
    ] {
        assert_eq!(packed.read(LONG, count(300)), Ended::Open);
        let mut decompressor = zstd::bulk::Decompressor::with_dictionary(&dictionary).unwrap();
        for (packed, plain) in packed.messages[..300].iter().zip(&plain.messages) {
            assert!(packed.is_binary());
            let bytes = decompressor
                .decompress(&packed.clone().into_data(), 1 << 20)
                .unwrap();
            assert_eq!(bytes, plain.clone().into_data());
        }
        let packed_bytes: usize = packed.messages[..300].iter().map(Message::len).sum();
        assert!(
            packed_bytes * 2 < plain_bytes,
            "{packed_bytes} of {plain_bytes}"
        );
    }
    let both = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let refused = Subscriber::ask(port, "/subscribe?compress=true", both).unwrap();
    assert_eq!(refused.err().unwrap().0, 400);
    what_cannot_be_read_is_told(folder.path(), port, &path);
}

/// `check` and the collector say what is wrong with a dictionary, and with what only looks like an instance.
fn what_cannot_be_read_is_told(folder: &Path, port: u16, dictionary: &Path) {
    let run = |command: &str, port: u16, dictionary: &Path| {
        let config = folder.join("twinstream.toml");
        let text = format!(
            "source = \"bluesky\"\ndata_dir = \"{}\"\n[bluesky]\ncompress = true\nendpoints = [\"ws://127.0.0.1:{port}\"]\n\
             dictionary_file = \"{}\"\n[[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a.example.org\"\n",
            folder.join("data").display(),
            dictionary.display()
        );
        fs::write(&config, text).unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_twinstream"));
        program.args(["--server", "1", "--config"]).arg(&config);
        program.arg(command).env("RUST_LOG", "warn");
        program.stdout(Stdio::piped()).stderr(Stdio::piped());
        program
    };
    let said = |command: &str, port: u16, dictionary: &Path| {
        let out = run(command, port, dictionary).output().unwrap();
        let said = [out.stdout, out.stderr].concat();
        (out.status.code(), String::from_utf8(said).unwrap())
    };
    let (_, text) = said("check", port, dictionary);
    assert!(
        text.contains(&format!("ws://127.0.0.1:{port} gives events")),
        "{text}"
    );
    let other = folder.join("other");
    fs::write(
        &other,
        twinstream::simulate::bluesky::dictionary(99).unwrap(),
    )
    .unwrap();
    let (code, text) = said("check", port, &other);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("its messages need the dictionary "), "{text}");
    let none = folder.join("none");
    fs::write(&none, "<!doctype html>").unwrap();
    let (_, text) = said("check", port, &none);
    assert!(text.contains("it is not a zstd dictionary"), "{text}");
    assert_eq!(said("collect", port, &none).0, Some(3));
    // whoever answers 101 is no instance yet
    let api = Api::start(|_, peer| {
        peer.raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")?;
        peer.hold()
    });
    let (code, text) = said("check", api.port, dictionary);
    assert!(
        code != Some(0) && text.contains("does not speak WebSocket"),
        "{text}"
    );
    // with a wrong dictionary nothing comes, and a person has to know
    let mut collector = run("collect", port, &other).spawn().unwrap();
    let mut lines = BufReader::new(collector.stderr.take().unwrap()).lines();
    let alarm = lines.find_map(|line| line.ok().filter(|line| line.contains("ERROR")));
    collector.kill().unwrap();
    collector.wait().unwrap();
    let alarm = alarm.unwrap_or_default();
    assert!(
        alarm.contains("need the dictionary") && alarm.contains("refused"),
        "{alarm}"
    );
}

/// The kinds of faults that hit one instance, each with what its file says more.
const KINDS: &[(&str, &str)] = &[
    ("stale", ""),
    ("stale", "pings = false"),
    ("stall", "for = \"40s\""),
    ("quiet", "for = \"50s\""),
    ("close_frame", ""),
    ("close_frame", "code = 1001\nreason = \"going away\""),
    ("drop", ""),
    ("reset", ""),
    ("cut", ""),
    ("brief", "for = \"5s\""),
    ("status", "for = \"60s\"\nstatus = 503"),
    ("portal", "for = \"60s\""),
    ("refuse", "for = \"60s\""),
    ("upstream", "for = \"40s\""),
    ("loss", "for = \"40s\""),
    ("loss", "for = \"40s\"\none_in = 4"),
    ("clamp", "for = \"1000s\"\nwindow = \"20s\""),
    ("garbage", "bytes = 300000"),
    ("garbage", "line = \"over_long\"\nbytes = 200000"),
    ("garbage", "line = \"not_json\""),
    ("garbage", "line = \"torn\""),
    ("garbage", "line = \"not_utf8\""),
    ("unknown_dictionary", ""),
    ("duplicates", "count = 10"),
];

/// When they happen, in seconds: late enough for all clients to be there, however busy the machine is.
const AT: i64 = 90;

#[test]
fn every_fault_happens_and_is_seen() {
    at_pace(20, every_fault);
}

fn every_fault(rate: i32) {
    let entries = (1..).zip(KINDS).map(|(listener, (kind, more))| {
        format!("[[fault]]\nat = \"{AT}s\"\nlistener = {listener}\nkind = \"{kind}\"\n{more}\n")
    });
    let faults: String = entries.collect();
    let mut simulator = simulator(KINDS.len(), rate, &faults, &["--rate", "4"]);
    std::thread::scope(|scope| {
        for (port, (kind, more)) in simulator.ports.iter().zip(KINDS) {
            scope.spawn(move || check_seen(*port, (kind, more), rate));
        }
    });
    assert_eq!(simulator.stop(), Some(0));
    let truth = simulator.truth();
    for (place, (kind, _)) in KINDS.iter().enumerate() {
        let of_fault = |name: &'static str| {
            truth
                .iter()
                .any(move |event| event["event"] == name && event["fault"] == place + 1)
        };
        let exists = |lost: bool| {
            truth.iter().any(move |event| {
                event["event"] == "exists" && event["time_us"][place].is_null() == lost
            })
        };
        let happened = match *kind {
            "status" | "portal" => of_fault("request"),
            "refuse" => truth
                .iter()
                .any(|event| event["event"] == "port" && event["listener"] == place + 1),
            "loss" => exists(true) && exists(false),
            "upstream" => exists(false),
            "clamp" => truth.iter().any(|event| event["clamped"] == true),
            _ => of_fault("hit"),
        };
        assert!(
            happened && of_fault("fault"),
            "{kind} is not in the truth log"
        );
    }
}

/// Waits until a further request at that port gets that status; `None` is a closed port.
#[track_caller]
fn await_status(port: u16, status: Option<u16>) {
    let clock = Clock::system();
    for _ in 0..1_200 {
        let found = match Subscriber::ask(port, "/subscribe", "") {
            Ok(Ok(_)) => Some(101),
            Ok(Err((status, _))) => Some(status),
            Err(_refused) => None,
        };
        if found == status {
            return;
        }
        clock.block(Duration::from_millis(50));
    }
    panic!("{status:?} never came");
}

#[track_caller]
fn check_seen(port: u16, (kind, more): (&str, &str), rate: i32) {
    match kind {
        "status" => {
            await_status(port, Some(503));
            return await_status(port, Some(101));
        }
        "portal" => return await_status(port, Some(200)),
        "refuse" => {
            await_status(port, None);
            return await_status(port, Some(101));
        }
        _ => (),
    }
    let mut client = Subscriber::open(port, &format!("?{POSTS}"));
    // nothing comes after these but pings, or not even those
    let at_most = if more == "pings = false" {
        Duration::from_secs((AT + 60).unsigned_abs()) / rate.unsigned_abs()
    } else {
        LONG
    };
    let ended = client.read(at_most, |client| {
        kind == "stale" && 5 <= client.pings || until(us(AT + 52))(client)
    });
    let events = client.events();
    let times: Vec<i64> = events
        .iter()
        .filter_map(|event| event["time_us"].as_i64())
        .collect();
    let mut sorted = times.clone();
    sorted.sort_unstable();
    let hole = sorted
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .max()
        .unwrap_or(0);
    let distinct: BTreeSet<String> = events.iter().map(key_or_text).collect();
    let closed = |code, reason: &str| Ended::Closed(code, reason.to_owned());
    assert!(10 < events.len(), "{kind}: {} events", events.len());
    match (kind, more) {
        ("stale", "") => {
            assert_eq!(ended, Ended::Open);
            assert!(*times.last().unwrap() < us(AT + 2));
        }
        ("stale", _) => assert!(client.pings < 4 && *times.last().unwrap() < us(AT + 2)),
        ("stall", _) => {
            assert_eq!(ended, Ended::Open);
            assert!(hole < 5_000_000, "all came in the end: {hole}");
            assert!(Duration::from_millis(1_200) < client.silence);
        }
        ("quiet" | "upstream", _) | ("loss", "for = \"40s\"") => {
            assert_eq!(ended, Ended::Open);
            assert!(38_000_000 < hole, "{kind}: {hole}");
            let back = Subscriber::open(port, &format!("?{POSTS}&cursor={}", us(AT + 2)));
            check_after(kind, back);
        }
        ("loss", _) => assert!(hole < 10_000_000, "{hole}"),
        ("close_frame", "") => assert_eq!(ended, closed(1012, "")),
        ("close_frame", _) => assert_eq!(ended, closed(1001, "going away")),
        ("brief", _) => assert_eq!(ended, closed(1000, "")),
        ("drop" | "cut", _) => assert_eq!(ended, Ended::Dropped),
        ("reset", _) => assert_eq!(ended, Ended::Reset),
        ("clamp", _) => check_clamped(port, &times),
        ("unknown_dictionary", _) => {
            let binary = client
                .messages
                .iter()
                .find(|message| message.is_binary())
                .unwrap();
            let bytes = binary.clone().into_data();
            assert!(zstd::bulk::decompress(&bytes, 1 << 20).is_err());
        }
        ("duplicates", _) => assert_eq!(events.len() - distinct.len(), 10),
        ("garbage", "bytes = 300000") => {
            assert!(
                matches!(&ended, Ended::Unreadable(why) if why.contains("Space limit")),
                "{ended:?}"
            );
        }
        ("garbage", over_long) if over_long.contains("over_long") => {
            assert!(
                client
                    .messages
                    .iter()
                    .any(|message| 200_000 < message.len())
            );
        }
        ("garbage", not_utf8) if not_utf8.contains("not_utf8") => {
            assert!(
                matches!(&ended, Ended::Unreadable(why) if why.contains("UTF-8")),
                "{ended:?}"
            );
        }
        ("garbage", _) => assert_eq!(client.messages.len() - events.len(), 1),
        other => panic!("{other:?}"),
    }
}

/// What a second connection shows that begins within the fault.
#[track_caller]
fn check_after(kind: &str, mut back: Subscriber) {
    assert_eq!(back.read(LONG, until(us(AT + 60))), Ended::Open);
    let events = back.events();
    let inside = |us_of: &dyn Fn(&Value) -> i64| {
        let within = |event: &&Value| (us(AT + 5)..us(AT + 35)).contains(&us_of(event));
        events.iter().filter(within).count()
    };
    let seen = inside(&|event| event["time_us"].as_i64().unwrap());
    let made = inside(&|event| event["commit"]["rev"].as_str().map_or(0, tid_us));
    match kind {
        // the instance has had them all the time
        "quiet" => assert!(40 < seen && 40 < made, "{seen} {made}"),
        // they came to the instance late
        "upstream" => assert!(seen == 0 && 40 < made, "{seen} {made}"),
        _ => assert!(seen == 0 && made < 3, "{seen} {made}"),
    }
}

/// The window is shorter for those who come while the fault goes on.
#[track_caller]
fn check_clamped(port: u16, times: &[i64]) {
    let mut later = Subscriber::open(port, &format!("?{POSTS}&cursor={}", us(-100)));
    assert_eq!(later.read(LONG, count(1)), Ended::Open);
    let first = later.events()[0]["time_us"].as_i64().unwrap();
    assert!(us(AT + 25) < first, "{}", first - times.last().unwrap());
}

fn key_or_text(event: &Value) -> String {
    if event["kind"] == "sync" {
        event.to_string()
    } else {
        key(event)
    }
}

#[test]
fn who_does_not_read_is_told_so_and_left() {
    let mut simulator = simulator(1, 20, "", &["--rate", "20"]);
    let mut client = Subscriber::open(simulator.ports[0], &format!("?cursor={}", us(-80_000)));
    let clock = Clock::system();
    let is_slow = |simulator: &Simulator| {
        let truth = fs::read_to_string(simulator.folder.path().join("truth.jsonl")).unwrap();
        truth.contains("\"slow_reader\"")
    };
    for _ in 0..400 {
        if is_slow(&simulator) {
            break;
        }
        clock.block(Duration::from_millis(50));
    }
    assert!(is_slow(&simulator));
    let ended = client.read(LONG, |_| false);
    assert_eq!(ended, Ended::Closed(1008, "consumer too slow".to_owned()));
    assert_eq!(simulator.stop(), Some(0));
    let truth = simulator.truth();
    let over = truth
        .iter()
        .find(|event| event["event"] == "unsubscribe")
        .unwrap();
    assert_eq!(
        (&over["why"], &over["code"]),
        (&Value::from("slow_reader"), &Value::from(1008))
    );
}
