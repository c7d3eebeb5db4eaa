//! What `check` says of what a token may do at X: which stream, how many connections, backfill; and what `rules push` says where X
//! spells a rule otherwise than it was written.

use super::*;
use crate::support::api::Api;

/// The first server's configuration, with these lines in `[x]`.
fn configure(site: &Site, urls: &[String], x: &str) {
    site.configure(urls);
    let text = fs::read_to_string(site.path("server1.toml")).unwrap();
    fs::write(
        site.path("server1.toml"),
        text.replace("[x]\n", &format!("[x]\n{x}\n")),
    )
    .unwrap();
}

/// What `check` says of one thing: its state, what is said, and how to mend it.
fn check(site: &Site, exit: i32) -> impl Fn(&str) -> String {
    let output = site
        .program(None)
        .arg("--config")
        .arg(site.path("server1.toml"))
        .args(["--server", "1", "check", "--json"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit), "{output:?} {said}");
    let found: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    move |check| {
        let one = found.iter().rfind(|one| one["check"] == check);
        assert!(one.is_some(), "no {check} in {found:?}");
        let one = one.unwrap();
        let text = |key: &str| one[key].as_str().unwrap_or("").to_owned();
        [text("state"), text("what"), text("hint")].join(" | ")
    }
}

#[track_caller]
fn check_said(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "no {part:?} in {said:?}");
    }
}

#[test]
fn check_says_which_stream_how_many_connections_and_backfill_a_token_may_have() {
    let site = Site::new(1);
    let lockout = "[[fault]]\nat = \"0s\"\nfor = \"24h\"\nkind = \"lockout\"\npartition = 3\n";
    let args = ["--max-connections", "1", "--streams", "sample10,firehose"];
    let (api, urls) = site.simulate(&args, lockout);
    configure(&site, &urls, "stream = \"sample10\"");
    let finding = check(&site, 0);
    check_said(&finding("token"), &["ok", "sample10 opens"]);
    check_said(&finding("backfill"), &["ok", "granted"]);
    let left = ["ok", "50 in 15 minutes", "48 left", "this server needs 2"];
    check_said(&finding("requests"), &left);
    let shared = ["ok", "2 are open at once", "while another server collects"];
    check_said(&finding("connections"), &shared);
    configure(&site, &urls, "stream = \"firehose\"\npartitions = \"1-5\"");
    let finding = check(&site, 1);
    let refused = [
        "fail",
        "with 2 open, partition 3 is refused (429)",
        "contract",
    ];
    check_said(&finding("connections"), &refused);
    // each partition has one place, and it is free again
    configure(&site, &urls, "stream = \"firehose\"\npartitions = \"1-2\"");
    check_said(&check(&site, 0)("connections"), &["ok", "2 are open"]);
    configure(&site, &urls, "stream = \"sample\"");
    let forbidden = [
        "fail",
        "(403)",
        "stream sample;",
        "sample10, firehose",
        "pay-per-use",
    ];
    check_said(&check(&site, 1)("token"), &forbidden);
    drop(api);

    let args = [
        "--no-backfill-right",
        "--max-requests",
        "6",
        "--streams",
        "sample,firehose",
    ];
    let (_api, urls) = site.simulate(&args, "");
    configure(&site, &urls, "stream = \"sample\"");
    let finding = check(&site, 0);
    check_said(&finding("token"), &["ok", "sample opens"]);
    check_said(&finding("backfill"), &["warn", "not granted"]);
    // the refusal cost a request, and will again in a day
    check_said(
        &finding("requests"),
        &["ok", "4 left", "this server needs 2"],
    );
    let alone = ["ok", "one is open", "while another server collects"];
    check_said(&finding("connections"), &alone);
    configure(&site, &urls, "stream = \"firehose\"\nbackfill = false");
    let finding = check(&site, 0);
    check_said(
        &finding("connections"),
        &["warn", "19 more", "3 requests left"],
    );
    check_said(
        &finding("requests"),
        &[
            "warn",
            "3 left",
            "all 2 servers need 40 to start: start 1 of them",
            "start the collector after 2026-11-23T",
        ],
    );
    check_said(&finding("backfill"), &["ok", "not asked for"]);
    for _ in 0..3 {
        drop(check(&site, 0));
    }
    check_said(
        &check(&site, 0)("token"),
        &["warn", "reached X's limit of requests", "after 2026-11-23T"],
    );
}

/// All legs break at once.
const ALL_BREAK: &str = "[[fault]]\nat = \"30s\"\nkind = \"drop\"\n";

#[test]
fn backfill_that_one_leg_was_refused_costs_no_other_leg_and_no_later_run_a_request() {
    let site = Site::new(4);
    let (_api, urls) = site.simulate(&["--no-backfill-right"], ALL_BREAK);
    configure(&site, &urls, "stream = \"firehose\"\npartitions = \"1-4\"");
    let opened = || truth(&site, "event", "open").len();
    let refused = || {
        let requests = truth(&site, "event", "request").into_iter();
        requests.filter(|one| one["status"] == 400).count()
    };
    let collector = site.collect(1);
    until("four streams, and four again", || opened() == 8);
    assert_eq!(refused(), 1, "one leg asks for all");
    // the API has answered a moment before the collector knows, and keeps it beside its work
    let kept = site.path("server1/backfill.json");
    until("the note", || kept.exists());
    stop(collector);
    let collector = site.collect(1);
    until("four of the next run", || opened() == 12);
    stop(collector);
    assert_eq!(refused(), 1, "a later run knows");
    // `check` asks in any case, and what it finds a collector knows
    fs::remove_file(site.path("server1/backfill.json")).unwrap();
    check_said(&check(&site, 0)("backfill"), &["warn", "not granted"]);
    let (before, opened_before) = (refused(), opened());
    let collector = site.collect(1);
    until("four after the check", || opened() == opened_before + 4);
    stop(collector);
    assert_eq!(refused(), before, "check has told it");
}

/// One leg breaks while few requests are left.
const ONE_BREAKS: &str = "[[fault]]\nat = \"40s\"\nkind = \"drop\"\npartition = 1\n";

#[test]
fn a_leg_that_waits_for_requests_is_told_to_and_its_time_is_a_lock_out() {
    at_pace(20, one_waits_for_requests);
}

fn one_waits_for_requests(rate: i32) {
    let site = Site::new(rate);
    let args = ["--rate", "80", "--max-requests", "6"];
    let (_api, urls) = site.simulate(&args, ONE_BREAKS);
    let x = "backfill = false\nstream = \"firehose\"\npartitions = \"1-2\"";
    configure(&site, &urls, x);
    let collector = site.collect(1);
    until("a while of waiting", || 120.0 < site.elapsed());
    let status = site.check_stage(1, None, &["status"], &[0]);
    let status = String::from_utf8(status.stdout).unwrap();
    for words in ["partition 1: not connected for", "(waits until 14:"] {
        assert!(status.contains(words), "{status}");
    }
    until("the connection", || {
        truth(&site, "event", "open").len() == 3
    });
    let back = site.elapsed();
    until("posts", || back + 30.0 < site.elapsed());
    stop(collector);
    site.check_stage(1, Some(SETTLED), &["merge"], &[0]);
    let gaps = site.check_stage(1, Some(SETTLED), &["gaps", "--csv"], &[0]);
    let gaps = String::from_utf8(gaps.stdout).unwrap();
    let mut rows = csv::Reader::from_reader(gaps.as_bytes());
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    let of_leg = rows.iter().filter(|row| &row[0] == "1.01");
    let causes: Vec<(&str, &str)> = of_leg.map(|row| (&row[4], &row[5])).collect();
    assert!(
        causes.contains(&("lock-out", "waited for requests")),
        "{gaps}"
    );
    assert!(
        !causes.iter().any(|(cause, _)| *cause == "network"),
        "{gaps}"
    );
}

#[test]
fn rules_that_x_tells_otherwise_are_said_and_spaces_make_no_difference() {
    const NONE: &str = r#"{"meta":{"sent":"2026-11-23T14:00:00.000Z","result_count":0}}"#;
    const ADDED: &str =
        r#"{"data":[{"id":"1","value":"cats"}],"meta":{"summary":{"created":1,"not_created":0}}}"#;
    const SPACES: &str =
        r#"{"data":[{"id":"1","value":" cats  lang:en"}],"meta":{"result_count":1}}"#;
    const OTHERWISE: &str =
        r#"{"data":[{"id":"1","value":"CATS lang:en"}],"meta":{"result_count":1}}"#;
    let site = Site::new(1);
    let pushes = [
        (SPACES, 0, "added"),
        (OTHERWISE, 5, "reports others than it was given"),
    ];
    for (told, exit, says) in pushes {
        let api = Api::start(move |nth, peer| {
            let (status, body) = [(200, NONE), (201, ADDED), (200, told)][nth];
            let len = body.len();
            peer.raw(format!(
                "HTTP/1.1 {status} Yes\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {len}\r\n\r\n{body}"
            ))?;
            peer.hold()
        });
        let url = format!("http://127.0.0.1:{}", api.port);
        let x = "stream = \"filtered\"\nrules = [{ value = \"cats lang:en\" }]";
        configure(&site, &[url], x);
        let output = site
            .program(None)
            .arg("--config")
            .arg(site.path("server1.toml"))
            .args(["--server", "1", "rules", "push"])
            .output()
            .unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(exit), "{said}");
        assert!(said.contains(says), "{said}");
    }
}
