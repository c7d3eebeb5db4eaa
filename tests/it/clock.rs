//! Clocks that are wrong and are set while a real collector runs.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;
use twinstream::{period::UtcMs, source::x::id};

use crate::{
    collect::site,
    support::{
        api::{Api, Peer},
        site::{Running, Site, until},
        skipped::skipped,
    },
};

const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
const TWO_HOURS_MS: i64 = 7_200_000;

fn now() -> UtcMs {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UtcMs(i64::try_from(now.as_millis()).unwrap())
}

/// Streams posts that are made at this moment, twenty a second, as long as after so many it is to go on.
fn posts(
    peer: &mut Peer,
    date: SystemTime,
    sent: &AtomicU64,
    goes_on: impl Fn(u64) -> bool,
) -> std::io::Result<()> {
    let date = httpdate::fmt_http_date(date);
    peer.stream(&format!("date: {date}\r\n"))?;
    while !peer.over() && goes_on(sent.load(Ordering::SeqCst)) {
        let number = sent.load(Ordering::SeqCst);
        let id = id::first_of(now()) + number % 1_000;
        peer.chunk(format!(
            "{{\"data\":{{\"id\":\"{id}\",\"text\":\"{number}\"}}}}\r\n"
        ))?;
        sent.fetch_add(1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A collector whose clock shows what that file says.
fn start(site: &Site, clock: &Path) -> Running {
    let mut command = site.command(None);
    command
        .env("LD_PRELOAD", LIBRARY)
        .env("FAKETIME_TIMESTAMP_FILE", clock)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1");
    Running::of(command)
}

fn more_lines(site: &Site) {
    let before = site.lines().len();
    until("twenty more lines", || before + 20 <= site.lines().len());
}

fn number(event: &Value, member: &str) -> i64 {
    event[member].as_i64().unwrap()
}

/// What `gaps` and `merge` say, as JSON.
fn json(site: &Site, arguments: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_twinstream"));
    command.args(arguments).args(["--server", "1", "--config"]);
    command.arg(site.dir.path().join("twinstream.toml"));
    let out = command.output().unwrap();
    let log = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{arguments:?}: {log}");
    serde_json::from_slice(&out.stdout).unwrap()
}

#[test]
fn a_clock_that_is_put_right_loses_nothing_and_makes_no_gap() {
    if !Path::new(LIBRARY).exists() {
        return skipped("no clock is set: libfaketime is missing (apt-get install faketime)");
    }
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let api = Api::start(move |number, peer| {
        let here = SystemTime::now();
        if number == 0 {
            return posts(peer, here, &counter, |_| !over.load(Ordering::SeqCst));
        }
        let (date, reset) = (httpdate::fmt_http_date(here), now().second() + 600);
        let headers = format!("date: {date}\r\nx-rate-limit-reset: {reset}\r\n");
        peer.refuse(429, &headers, "")
    });
    let site = site(&api);
    let clock = site.dir.path().join("clock");
    // two hours ahead at boot
    fs::write(&clock, "+2h\n").unwrap();
    let running = start(&site, &clock);
    more_lines(&site);
    let begun = now();
    fs::write(&clock, "+0\n").unwrap();
    until("a step", || !site.events_of("clock_stepped").is_empty());
    more_lines(&site);
    fs::write(&clock, "-25s\n").unwrap();
    until("another", || 2 == site.events_of("clock_stepped").len());
    more_lines(&site);
    // when it may ask again is reckoned by the time that never steps, in which this clock is two hours ahead
    let stopped = now();
    is_over.store(true, Ordering::SeqCst);
    let waits = || {
        let all = site.events_of("waiting");
        all.into_iter().find(|event| event["why"] == "rate_limit")
    };
    until("a wait", || waits().is_some());
    running.stop();
    let wait_ms = number(&waits().unwrap(), "wait_ms");
    // ten minutes, but for what the machine took meanwhile
    assert!((300_000..=620_000).contains(&wait_ms), "{wait_ms}");

    let mut steps = site.events_of("clock_stepped");
    steps.sort_by_key(|step| number(step, "number"));
    let sizes: Vec<i64> = steps.iter().map(|step| number(step, "step_ms")).collect();
    assert!((sizes[0] + TWO_HOURS_MS).abs() < 2_000, "{sizes:?}");
    assert!((sizes[1] + 25_000).abs() < 2_000, "{sizes:?}");
    let seals = site.check_sealed();
    let mut runs: Vec<(u64, String)> = seals
        .iter()
        .map(|seal| {
            let run = seal["run"].as_str().unwrap().to_owned();
            (seal["run_number"].as_u64().unwrap(), run)
        })
        .collect();
    runs.sort();
    runs.dedup();
    let numbers: Vec<u64> = runs.iter().map(|run| run.0).collect();
    assert_eq!(numbers, [numbers[0], numbers[0] + 1, numbers[0] + 2]);
    // the spool remembers them: the next start goes on from the last one
    let kept = fs::read(site.dir.path().join("spool/1/runs.json")).unwrap();
    let kept: Value = serde_json::from_slice(&kept).unwrap();
    let kept = kept["runs"].as_array().unwrap().iter();
    let kept: Vec<u64> = kept.map(|run| run["number"].as_u64().unwrap()).collect();
    assert_eq!(kept, numbers);
    // one connection until it was ended, and every line of it once
    assert_eq!(api.requests().len(), 2);
    check_whole(&site);
    check_archive(&site, begun, stopped);
}

/// Every line once, and none is missing of those before the last one: what is sent after it was told to end it need not take.
#[track_caller]
fn check_whole(site: &Site) {
    let number = |line: &String| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["data"]["text"].as_str().unwrap().parse().unwrap()
    };
    let mut numbers: Vec<u64> = site.lines().iter().map(number).collect();
    numbers.sort_unstable();
    let expected: Vec<u64> = (0..numbers.len() as u64).collect();
    assert_eq!(numbers, expected);
}

/// The hours in which it collected, merged now: nothing of the time in which it did is in a gap.
fn check_archive(site: &Site, begun: UtcMs, stopped: UtcMs) {
    let hour = |at: UtcMs| at.to_string()[..13].replace('T', "_");
    let (first, last) = (hour(begun), hour(stopped));
    json(
        site,
        &["merge", "--json", "--hour", &first, "--hour", &last],
    );
    let gaps = json(
        site,
        &["gaps", "--json", "--since", &begun.to_string()[..10]],
    );
    for gap in gaps.as_array().unwrap() {
        let from: UtcMs = gap["begin"].as_str().unwrap().parse().unwrap();
        assert!(stopped.plus_ms(-2_000) <= from, "{gap}");
        let is_of_the_end = ["not running", "refused"].contains(&gap["cause"].as_str().unwrap());
        assert!(is_of_the_end, "{gap}");
    }
}

#[test]
fn a_clock_that_has_drifted_begins_a_new_run_too() {
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    // the first connection ends; by then the API's clock is a minute ahead of ours
    let api = Api::start(move |number, peer| {
        let ahead_s = if number == 0 { 0 } else { 60 };
        let date = SystemTime::now() + Duration::from_secs(ahead_s);
        posts(peer, date, &counter, |sent| 0 < number || sent < 10)
    });
    let site = site(&api);
    let running = site.start(None);
    until("a new run", || !site.events_of("clock_stepped").is_empty());
    more_lines(&site);
    running.stop();
    let steps = site.events_of("clock_stepped");
    assert_eq!(steps.len(), 1);
    let step_ms = number(&steps[0], "step_ms");
    // but for the time that the answer was under way
    assert!((step_ms + 60_000).abs() < 20_000, "{step_ms}");
    check_whole(&site);
    assert_eq!(site.events_of("started").len(), 1);
}
