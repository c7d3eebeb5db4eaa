//! The simulated API as its clients see it: on real sockets, with a fast clock.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use twinstream::world::clock::Clock;

use crate::support::pace::at_pace;
use client::{Client, Ended};

mod bluesky;
mod client;
mod subscriber;

const START: &str = "2026-11-23T14:00:00Z";
/// The same in Unix milliseconds.
const START_MS: u64 = 1_795_442_400_000;
const SAMPLE: &str = "/2/tweets/sample/stream";

struct Simulator {
    child: Child,
    ports: Vec<u16>,
    folder: TempDir,
}

impl Simulator {
    /// Starts the program with that many ports, its clock at that rate, and faults.
    fn start(ports: usize, rate: i32, faults: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        fs::File::create(file("faults.toml"))
            .unwrap()
            .write_all(faults.as_bytes())
            .unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_twinstream"))
            .args([
                "simulate",
                "--seed",
                "11",
                "--clock",
                &format!("{START}@{rate}"),
            ])
            .args([
                "--faults",
                &file("faults.toml"),
                "--truth",
                &file("truth.jsonl"),
            ])
            .args((0..ports).flat_map(|_| ["--listen", "0"]))
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut urls = BufReader::new(child.stdout.take().unwrap()).lines();
        let ports = (0..ports)
            .map(|_| {
                let url = urls.next().unwrap().unwrap();
                let (_, port) = url.split_once("://127.0.0.1:").unwrap();
                port.parse().unwrap()
            })
            .collect();
        Self {
            child,
            ports,
            folder,
        }
    }

    fn truth(&self) -> Vec<Value> {
        let path: PathBuf = self.folder.path().join("truth.jsonl");
        let text = fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Ends it as a supervisor does; gives its exit code.
    fn stop(&mut self) -> Option<i32> {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        match self.child.kill() {
            Ok(()) | Err(_) => drop(self.child.wait()),
        }
    }
}

/// A whole answer that is no stream.
#[track_caller]
fn check_answer(
    port: u16,
    target: &str,
    headers: &str,
    status: u16,
    contains: &str,
) -> HashMap<String, String> {
    let mut client = Client::ask(port, target, headers).unwrap();
    assert_eq!(client.status, status);
    let mut body = Vec::new();
    client.socket.read_to_end(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    assert!(body.contains(contains), "{body}");
    assert!(!contains.is_empty() || body.is_empty(), "{body}");
    client.headers
}

fn at_least(lines: usize) -> impl Fn(&Client) -> bool {
    move |client| lines <= client.lines().len()
}

/// Longer than anything takes that is waited for.
const LONG: Duration = Duration::from_mins(1);

#[test]
fn what_makes_no_sense_on_the_command_line_is_refused_with_what_was_meant() {
    for (args, said) in [
        (
            ["simulate", "--streams", "decahose"],
            "similar value exists: 'sample10'",
        ),
        (
            ["init", "--stream", "decahose"],
            "similar value exists: 'sample10'",
        ),
        (
            ["init", "--stream", "firehos"],
            "similar value exists: 'firehose'",
        ),
        (["simulate", "--max-connections", "0"], "from 1 on"),
        (["simulate", "--max-requests", "0"], "0 is not in 1.."),
    ] {
        let ends = ["--duration", "1s"];
        let ends = ends.iter().filter(|_| args[0] == "simulate");
        let output = Command::new(env!("CARGO_BIN_EXE_twinstream"))
            .args(args)
            .args(ends)
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {told}");
        assert!(told.contains(said), "{args:?}: {told}");
    }
}

#[test]
fn all_clients_get_the_same_posts_plain_or_compressed() {
    let simulator = Simulator::start(2, 20, "", &["--rate", "20", "--spelling", "mixed"]);
    let mut plain = Client::stream(simulator.ports[0], "?tweet.fields=id,text", false);
    let mut packed = Client::stream(simulator.ports[1], "", true);
    assert!(packed.gzip.is_some());
    assert_eq!(packed.read(LONG, at_least(150)), Ended::Open);
    assert_eq!(
        plain.read(LONG, at_least(packed.lines().len() + 50)),
        Ended::Open
    );
    let (plain, packed) = (plain.lines(), packed.lines());
    let begin = plain.iter().position(|line| *line == packed[0]).unwrap();
    assert_eq!(plain[begin..begin + packed.len()], packed);
}

#[test]
fn a_backfill_begins_minutes_ago() {
    let mut simulator = Simulator::start(1, 5, "", &["--rate", "5", "--token", "simulated"]);
    let mut client = Client::stream(simulator.ports[0], "?backfill_minutes=2", false);
    client.read(LONG, at_least(500));
    let times: Vec<u64> = client
        .ids()
        .iter()
        .map(|id| (id >> 22) + 1_288_834_974_657)
        .collect();
    assert!(times[0] < START_MS - 100_000, "{}", times[0]);
    assert!(times.iter().all(|time| START_MS - 130_000 < *time));
    drop(client);
    assert_eq!(simulator.stop(), Some(0));
    let truth = simulator.truth();
    let told: u64 = truth
        .iter()
        .filter_map(|event| event["posts"].as_u64().filter(|_| event["event"] == "sent"))
        .sum();
    assert!(500 <= told, "{told}");
    assert_eq!(truth.last().unwrap()["event"], "stop");
}

#[test]
fn requests_are_refused_with_the_bodies_of_the_api() {
    let simulator = Simulator::start(
        1,
        1,
        "",
        &[
            "--max-connections",
            "1",
            "--no-backfill-right",
            "--max-requests",
            "5",
        ],
    );
    let port = simulator.ports[0];
    let token = "Authorization: Bearer simulated\r\n";
    check_answer(port, SAMPLE, "", 401, "\"Unauthorized\"");
    check_answer(
        port,
        SAMPLE,
        "Authorization: Bearer other\r\n",
        401,
        "about:blank",
    );
    check_answer(port, "/2/users/me", token, 404, "");
    check_answer(
        port,
        &format!("{SAMPLE}?partition=1"),
        token,
        400,
        "partition",
    );
    check_answer(
        port,
        &format!("{SAMPLE}?backfill_minutes=5"),
        token,
        400,
        "invalid-request",
    );
    let _only = Client::stream(port, "", false);
    let headers = check_answer(port, SAMPLE, token, 429, "TooManyConnections");
    assert_eq!(headers["x-rate-limit-remaining"], "1");
    assert_eq!(headers["content-type"], "application/json; charset=utf-8");
    assert!(
        headers["date"].starts_with("Mon, 23 Nov 2026 14:00:"),
        "{}",
        headers["date"]
    );
    check_answer(port, SAMPLE, token, 429, "TooManyConnections");
    let headers = check_answer(port, SAMPLE, token, 429, "about:blank");
    assert_eq!(headers["x-rate-limit-remaining"], "0");
    // a quarter of an hour after the first request
    let reset: u64 = headers["x-rate-limit-reset"].parse().unwrap();
    assert!((900..960).contains(&(reset - START_MS / 1_000)), "{reset}");
}

/// The kinds of faults that hit one port, each with what its file says more.
const KINDS: &[(&str, &str)] = &[
    ("drop", ""),
    ("reset", ""),
    ("cut", ""),
    ("stall", "for = \"40s\""),
    ("slow", "for = \"40s\"\nbytes_per_s = 3"),
    ("quiet", "for = \"50s\""),
    ("garbage", "bytes = 300000"),
    ("duplicates", "count = 10"),
    ("lockout", "for = \"40s\"\nclose = true"),
    ("status", "for = \"60s\"\nstatus = 503"),
    ("error_frame", "disconnect_type = \"ForceDisconnect\""),
    ("error_frame", "close = false\ncount = 3"),
    ("refuse", "for = \"60s\""),
    ("gzip_damage", ""),
    ("no_trailer", ""),
];

fn faults_on_ports() -> String {
    let entries: Vec<String> = (1..)
        .zip(KINDS)
        .map(|(listener, (kind, more))| {
            format!("[[fault]]\nat = \"40s\"\nlistener = {listener}\nkind = \"{kind}\"\n{more}\n")
        })
        .collect();
    entries.concat()
}

#[test]
fn every_fault_happens_and_is_seen() {
    at_pace(20, every_fault);
}

fn every_fault(rate: i32) {
    let more = [
        "--rate",
        "10",
        "--max-connections",
        "99",
        "--max-requests",
        "9999",
    ];
    let simulator = Simulator::start(KINDS.len(), rate, &faults_on_ports(), &more);
    std::thread::scope(|scope| {
        for (port, (kind, more)) in simulator.ports.iter().zip(KINDS) {
            scope.spawn(move || check_seen(*port, kind, more));
        }
    });
    let truth = simulator.truth();
    for (place, (kind, _)) in KINDS.iter().enumerate() {
        let of_fault = |name: &'static str| {
            truth
                .iter()
                .any(move |event| event["event"] == name && event["fault"] == place + 1)
        };
        let happened = match *kind {
            "status" => of_fault("request"),
            "refuse" => truth
                .iter()
                .any(|event| event["event"] == "port" && event["listener"] == place + 1),
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
        let found = Client::ask(port, SAMPLE, "Authorization: Bearer simulated\r\n");
        let found = match found {
            Ok(client) => Some(client.status),
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
fn check_seen(port: u16, kind: &str, more: &str) {
    let gzip = matches!(kind, "gzip_damage" | "no_trailer");
    let mut client = Client::stream(port, "", gzip);
    // every fault is over 90 s after the start
    let is_past = |client: &Client| {
        client
            .last_post_ms()
            .is_some_and(|ms| START_MS + 92_000 < ms)
    };
    match kind {
        "status" => return await_status(port, Some(503)),
        "refuse" => {
            await_status(port, None);
            return await_status(port, Some(200));
        }
        _ => (),
    }
    let ended = client.read(LONG, is_past);
    let lines = client.lines();
    let ids = client.ids();
    let distinct: HashSet<u64> = ids.iter().copied().collect();
    let posts: Vec<Value> = lines
        .iter()
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    assert!(10 < ids.len(), "{kind}: {} posts", ids.len());
    match kind {
        "stall" | "slow" => {
            assert_eq!(ended, Ended::Open);
            let longest = Duration::from_millis(1_200);
            assert!(longest < client.silence, "{:?}", client.silence);
        }
        "quiet" => {
            assert!(lines.contains(&b"".as_slice()), "an empty line");
            let mut seconds: Vec<u64> = distinct.iter().map(|id| (id >> 22) / 1_000).collect();
            seconds.sort_unstable();
            let hole = seconds.windows(2).map(|pair| pair[1] - pair[0]).max();
            assert!(Some(40) < hole, "{hole:?}");
        }
        "garbage" => {
            let broken = lines.len() - posts.len();
            assert!((5..9).contains(&broken), "{broken}");
            assert!(lines.iter().any(|line| 300_000 < line.len()));
        }
        "duplicates" => assert_eq!(ids.len() - distinct.len(), 10),
        "error_frame" if more.contains("close") => {
            let of_reference =
                |post: &&Value| post["errors"][0]["parameter"] == "referenced_tweets.id";
            assert_eq!(posts.iter().filter(of_reference).count(), 3);
        }
        "error_frame" => {
            assert_eq!(ended, Ended::Clean);
            let frame = &posts.last().unwrap()["errors"][0];
            assert_eq!(frame["disconnect_type"], "ForceDisconnect");
        }
        "lockout" => {
            assert_eq!(ended, Ended::Clean);
            await_status(port, Some(429));
        }
        _ => check_ended(kind, client, ended),
    }
}

/// What is seen of a fault that ends the stream.
#[track_caller]
fn check_ended(kind: &str, client: Client, ended: Ended) {
    match kind {
        "drop" => assert_eq!(ended, Ended::Clean),
        "reset" => assert_eq!(ended, Ended::Reset),
        "cut" => {
            assert_eq!(ended, Ended::Closed);
            assert!(!client.undecoded.is_empty(), "in the middle of a chunk");
            assert!(!client.body.ends_with(b"\n"), "in the middle of a line");
        }
        "gzip_damage" => assert_eq!(ended, Ended::Undecodable),
        "no_trailer" => {
            assert_eq!(ended, Ended::Clean);
            assert!(client.gzip.unwrap().try_finish().is_err(), "unfinished");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn posts_of_an_upstream_outage_reach_nobody() {
    at_pace(50, an_upstream_outage);
}

fn an_upstream_outage(rate: i32) {
    let outage = "[[fault]]\nat = \"20s\"\nfor = \"60s\"\nkind = \"upstream\"";
    let simulator = Simulator::start(1, rate, outage, &["--rate", "10"]);
    let mut client = Client::stream(simulator.ports[0], "?backfill_minutes=1", false);
    let late = |client: &Client| {
        client
            .last_post_ms()
            .is_some_and(|ms| START_MS + 100_000 < ms)
    };
    assert_eq!(client.read(LONG, late), Ended::Open);
    let inside = |id: &&u64| {
        let time = (**id >> 22) + 1_288_834_974_657;
        (START_MS + 20_000..START_MS + 80_000).contains(&time)
    };
    assert_eq!(client.ids().iter().filter(inside).count(), 0);
    assert!(client.lines().contains(&b"".as_slice()), "kept alive");
}

#[test]
fn a_file_is_replayed_without_the_collector_s_member() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lines.jsonl");
    let content: Vec<String> = (0..40)
        .map(|k| {
            format!(
                "{{\"data\":{{\"id\":\"{k}\",\"text\":\"{k}\"}}, \"__twarc\": {{\"version\": \"2.1\"}}}}\n"
            )
        })
        .collect();
    fs::File::create(&path)
        .unwrap()
        .write_all(content.concat().as_bytes())
        .unwrap();
    let more = [
        "--rate",
        "10",
        "--replay",
        path.to_str().unwrap(),
        "--replay-wait",
        "2",
    ];
    let simulator = Simulator::start(1, 20, "", &more);
    let mut clients = [(); 2].map(|()| Client::stream(simulator.ports[0], "", false));
    for client in &mut clients {
        assert_eq!(client.read(LONG, at_least(41)), Ended::Open);
        let expected: Vec<String> = (0..40)
            .map(|k| format!("{{\"data\":{{\"id\":\"{k}\",\"text\":\"{k}\"}}}}"))
            .collect();
        let lines = client.lines();
        assert_eq!(
            lines[..40],
            expected.iter().map(String::as_bytes).collect::<Vec<_>>()
        );
        assert_eq!(lines[40], b"", "kept alive after the last line");
    }
}

#[test]
fn it_listens_on_loopback_only_and_ends_with_its_time() {
    let program = || Command::new(env!("CARGO_BIN_EXE_twinstream"));
    let open = program()
        .args(["simulate", "--listen", "0.0.0.0:0"])
        .output()
        .unwrap();
    assert_eq!(open.status.code(), Some(2));
    let message = String::from_utf8(open.stderr).unwrap();
    assert!(message.contains("this machine only"), "{message}");
    let clock = format!("{START}@1000");
    let timed = program()
        .args(["simulate", "--duration", "1m", "--clock", &clock])
        .output()
        .unwrap();
    assert_eq!(timed.status.code(), Some(0));
    assert!(timed.stdout.starts_with(b"http://127.0.0.1:"));
}
