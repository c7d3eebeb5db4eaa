//! Collecting: the built binary against an API by hand, with real sockets, files and signals.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    process::Command,
    thread,
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;
use twinstream::period::UtcMs;

use crate::support::{
    api::{Api, Peer, Request},
    site::{Site, until},
};

const CLOCK_60: Option<&str> = Some("2026-11-23T14:05:00Z@60");

/// The n-th post, as it is sent.
pub(crate) fn post(n: usize) -> String {
    format!(r#"{{"data":{{"id":"{n}","text":"ärger 🌍 \n"}}}}"#)
}

/// A server that collects from that API.
pub(crate) fn site(api: &Api) -> Site {
    Site::new(&format!("http://127.0.0.1:{}", api.port))
}

/// A member of each, as text.
pub(crate) fn texts(values: &[Value], key: &str) -> Vec<String> {
    let text = |value: &Value| match &value[key] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    values.iter().map(text).collect()
}

#[test]
fn everything_that_comes_is_stored_as_the_format_says() {
    const FRAME: &str = r#"{"detail":"x","errors":[{"title":"soon"}]}"#;
    let odd = [
        r#"{"errors":[],"data":{"id":"7"}}"#,
        "garbage",
        "{}",
        "[1]",
        " {\"a\":1} ",
    ];
    let api = Api::start(move |_, peer| {
        peer.stream("content-encoding: gzip\r\nx-transaction-id: abc\r\n")?;
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        write!(gzip, "{}\r\n\r\n{}\n{FRAME}\r\n", post(1), post(2))?;
        let first = gzip.finish()?;
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        for line in odd {
            write!(gzip, "{line}\r\n")?;
        }
        write!(gzip, "{}\r\n", "x".repeat(65 * 1024))?;
        gzip.flush()?;
        for byte in [first, gzip.get_ref().clone()].concat() {
            peer.chunk([byte])?;
        }
        peer.hold()
    });
    let site = site(&api);
    let running = site.start(None);
    until("eight lines", || site.lines().len() == 8);
    running.stop();

    check_request(&api);
    let mut expected = vec![post(1), post(2)];
    expected.extend(odd.map(str::to_owned));
    expected.push("x".repeat(64 * 1024));
    assert_eq!(site.lines(), expected);
    let seals = site.check_sealed();
    assert_eq!(
        seals
            .iter()
            .filter_map(|seal| seal["oversize"].as_u64())
            .sum::<u64>(),
        1
    );
    assert!(
        seals
            .iter()
            .all(|seal| seal["recovered"] == false && seal["format"] == 1)
    );

    let events = site.events();
    let kinds = texts(&events, "kind");
    let kinds: Vec<&str> = kinds
        .iter()
        .map(String::as_str)
        .filter(|kind| *kind != "alive")
        .collect();
    let expected = [
        "started",
        "connecting",
        "connected",
        "first_line",
        "error_frame",
        "disconnected",
        "stopped",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(texts(&site.events_of("error_frame"), "line"), [FRAME]);
    assert_eq!(site.events_of("connected")[0]["transaction"], "abc");
    let end = &site.events_of("disconnected")[0];
    assert_eq!(
        (&end["cause"], &end["lines"]),
        (&"shutdown".into(), &8.into())
    );
    let alive = site.events_of("alive");
    assert_eq!(
        alive
            .iter()
            .filter_map(|alive| alive["lines"].as_u64())
            .sum::<u64>(),
        8
    );
    assert!(
        alive
            .iter()
            .any(|alive| alive["seconds"] != Value::Array(vec![]))
    );
    check_places(&site);
}

#[track_caller]
fn check_request(api: &Api) {
    let request = &api.requests()[0];
    assert_eq!(
        request.header("authorization"),
        Some("Bearer AAAA%2Fsecret%3D")
    );
    assert_eq!(request.header("accept-encoding"), Some("gzip"));
    assert!(
        request
            .header("user-agent")
            .unwrap()
            .starts_with("twinstream/")
    );
    assert_eq!(
        request.header("host"),
        Some(format!("127.0.0.1:{}", api.port).as_str())
    );
    assert!(
        request
            .path
            .starts_with("/2/tweets/sample/stream?expansions=author_id&tweet.fields=")
    );
    assert_eq!(request.backfill(), None);
}

/// Names, folders and rights are as the format says.
#[track_caller]
fn check_places(site: &Site) {
    for (name, path) in site.files() {
        let folder = path.parent().unwrap();
        let mode =
            |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(folder)), (0o640, 0o750), "{name}");
        if name != "reserve" && name != "runs.json" {
            // 1/2026-11-23/14/1_sample_20261123T1405Z_3fa9c01b_000.jsonl
            let minute = name.split('_').nth(2).unwrap();
            let (day, hour) = (&minute[..8], &minute[9..11]);
            let lies = format!("1/{}-{}-{}/{hour}", &day[..4], &day[4..6], &day[6..]);
            assert!(folder.ends_with(&lies), "{}", path.display());
        }
    }
}

#[test]
fn a_drop_is_answered_at_once_and_with_backfill() {
    let api = Api::start(|connection, peer| {
        peer.stream("")?;
        peer.chunk(format!("{}\r\n", post(connection)))?;
        match connection {
            // in the middle of a line; then after a whole one without its line end
            0 => peer.chunk(r#"{"data":{"id":"torn","#)?,
            1 => {
                peer.chunk(r#"{"data":{"id":"whole"}}"#)?;
                peer.raw("0\r\n\r\n")?;
            }
            2 => peer.chunk("{\"errors\":[{\"disconnect_type\":\"ForceDisconnect\"}]}\r\n")?,
            _ => return peer.hold(),
        }
        match connection {
            2 => peer.hold(),
            _ => Ok(()),
        }
    });
    let site = site(&api);
    let running = site.start(None);
    until("the fourth connection's line", || {
        site.lines().contains(&post(3))
    });
    running.stop();
    let running = site.start(None);
    until("the line after the restart", || {
        site.lines().contains(&post(4))
    });
    running.stop();

    let requests = api.requests();
    let minutes: Vec<Option<u8>> = requests.iter().map(Request::backfill).collect();
    assert_eq!(minutes[0], None, "the very first start");
    // the outage in minutes, rounded up, and one: some milliseconds make two
    assert!(
        minutes[1..]
            .iter()
            .all(|asked| matches!(asked, Some(1 | 2))),
        "{minutes:?}"
    );
    let whole = r#"{"data":{"id":"whole"}}"#.to_owned();
    assert_eq!(
        site.lines(),
        [post(0), post(1), whole, post(2), post(3), post(4)]
    );
    let ends = site.events_of("disconnected");
    assert_eq!(
        texts(&ends, "cause"),
        ["reset", "eof", "platform", "shutdown", "shutdown"]
    );
    assert_eq!(ends[0]["unfinished"], r#"{"data":{"id":"torn","#);
    assert_eq!(ends[2]["disconnect_type"], "ForceDisconnect");
    // at once: a wait of a millisecond would be told
    assert_eq!(site.events_of("waiting"), Vec::<Value>::new());
    site.check_sealed();
}

#[test]
fn backfill_that_is_refused_is_not_asked_for_again() {
    const REFUSED: &str = r#"{"errors":[{"parameters":{"backfill_minutes":["2"]},"message":"m"}],"title":"Invalid Request","type":"https://api.twitter.com/2/problems/invalid-request"}"#;
    let api = Api::start(|connection, peer| {
        if connection == 1 {
            return peer.refuse(400, "", REFUSED);
        }
        peer.stream("")?;
        peer.chunk(format!("{}\r\n", post(connection)))?;
        if connection == 2 {
            // one that holds, after which nothing else counts that went wrong before
            for _ in 0..9 {
                thread::sleep(Duration::from_millis(200));
                peer.chunk("\r\n")?;
            }
            peer.chunk(format!("{}\r\n", post(9)))?;
        }
        if connection < 3 { Ok(()) } else { peer.hold() }
    });
    let site = site(&api);
    let running = site.start(Some("2026-11-23T14:05:00Z@20"));
    until("the fourth connection's line", || {
        site.lines().contains(&post(3))
    });
    running.stop();
    let requests = api.requests();
    let minutes: Vec<Option<u8>> = requests.iter().map(Request::backfill).collect();
    assert!(
        matches!(minutes[..], [None, Some(1 | 2), None, None]),
        "{minutes:?}"
    );
    assert_eq!(site.events_of("waiting"), Vec::<Value>::new());
}

/// From the end of a connection to the next attempt, all by the collector's clock.
#[derive(Debug)]
struct Pause {
    end: Value,
    /// Why it waits, and for how long, as it was told.
    told: Option<(String, i64)>,
    lasted_ms: i64,
}

impl Pause {
    /// It is as long as it must be, and what was told is that, of which chance may make a tenth more and deciding takes away a little.
    /// However slow the machine is, both are so.
    #[track_caller]
    fn check(&self, least_ms: i64) {
        assert!(least_ms <= self.lasted_ms, "{least_ms}: {self:?}");
        let most_ms = least_ms + (least_ms / 10).min(5_000);
        let told_ms = self.told.as_ref().map_or(0, |told| told.1);
        assert!(told_ms <= most_ms, "{least_ms}: {self:?}");
    }
}

/// All of them that another attempt followed.
fn pauses(site: &Site) -> Vec<Pause> {
    let at = |event: &Value| event["at"].as_str().unwrap().parse::<UtcMs>().unwrap();
    let (mut pauses, mut open) = (Vec::new(), None);
    for event in site.events() {
        match event["kind"].as_str().unwrap() {
            "disconnected" => open = Some((event, None)),
            "waiting" => {
                let why = event["why"].as_str().unwrap().to_owned();
                let told = Some((why, event["wait_ms"].as_i64().unwrap()));
                open = open.map(|(end, _)| (end, told));
            }
            "connecting" => {
                if let Some((end, told)) = open.take() {
                    let lasted_ms = at(&event).0 - at(&end).0;
                    pauses.push(Pause {
                        end,
                        told,
                        lasted_ms,
                    });
                }
            }
            _ => {}
        }
    }
    pauses
}

#[test]
fn each_refusal_waits_as_the_table_says() {
    let api = Api::start(|connection, peer| {
        match connection {
        0 => peer.refuse(503, "content-type: text/html\r\n", "<html>"),
        1 => peer.refuse(429, "", r#"{"connection_issue":"TooManyConnections","type":"https://api.x.com/2/problems/streaming-connection"}"#),
        2 => peer.refuse(429, "x-rate-limit-remaining: 0\r\n", r#"{"title":"Too Many Requests","type":"about:blank"}"#),
        3 => peer.refuse(401, "", r#"{"title":"Unauthorized","type":"about:blank"}"#),
        4 => peer.refuse(402, "", r#"{"title":"Payment Required","type":"https://api.x.com/2/problems/credits-depleted"}"#),
        5 => Ok(()),
        _ => {
            peer.stream("")?;
            peer.chunk("\r\n")?;
            peer.hold()
        }
    }
    });
    let site = site(&api);
    let running = site.start(Some("2026-11-23T14:05:00Z@600"));
    until("the seventh request", || api.requests().len() == 7);
    until("its first line", || site.events_of("first_line").len() == 1);
    let log = running.stop();
    let expected = [
        ("server_error", 5_000_i64),
        ("too_many_connections", 10_000),
        ("rate_limit", 60_000),
        ("unauthorized", 10_000),
        ("usage_cap", 900_000),
        ("network", 250),
    ];
    let pauses = pauses(&site);
    assert_eq!(pauses.len(), expected.len(), "{pauses:?}");
    for (pause, (why, least_ms)) in pauses.iter().zip(expected) {
        pause.check(least_ms);
        // a wait that is over before it can be told is not told: 5 s are eight real milliseconds here
        let told = pause.told.as_ref().map(|told| told.0.as_str());
        assert!(told.is_none_or(|told| told == why), "{why}: {pause:?}");
        assert!(told.is_some() || least_ms < 900_000, "{pause:?}");
    }
    let ends = site.events_of("disconnected");
    assert_eq!(
        texts(&ends[..5], "status"),
        ["503", "429", "429", "401", "402"]
    );
    assert_eq!(ends[5]["cause"], "reset");
    for alarm in ["unauthorized", "usage_cap"] {
        assert!(log.contains(alarm), "{log}");
    }
    assert!(!log.contains("secret"), "the token is in the log");
    site.check_sealed();
}

#[test]
fn counters_go_back_only_by_a_connection_that_held() {
    let api = Api::start(|connection, peer| match connection {
        // a status 200 that gives nothing, and a stream of one line
        2 => peer.stream(""),
        4 => {
            peer.stream("")?;
            peer.chunk(format!("{}\r\n", post(connection)))
        }
        0..7 => peer.refuse(503, "content-type: text/html\r\n", "<html>"),
        _ => {
            peer.stream("")?;
            peer.hold()
        }
    });
    let site = site(&api);
    let running = site.start(CLOCK_60);
    until("the eighth request", || api.requests().len() == 8);
    running.stop();
    let mut refused = pauses(&site);
    refused.retain(|pause| pause.end["status"] == 503);
    assert_eq!(refused.len(), 5, "{refused:?}");
    for (pause, times) in refused.iter().zip([1, 2, 4, 8, 16]) {
        // 5 s, doubled each time
        pause.check(5_000 * times);
    }
}

#[test]
fn silence_is_a_stall_and_keep_alives_without_posts_are_an_alarm() {
    let api = Api::start(|connection, peer| {
        peer.stream("")?;
        peer.chunk(format!("{}\r\n", post(connection)))?;
        while 0 < connection && !peer.over() {
            peer.chunk("\r\n")?;
            thread::sleep(Duration::from_millis(100));
        }
        peer.hold()
    });
    let site = site(&api);
    let running = site.start(CLOCK_60);
    until("the alarm", || site.events_of("no_posts").len() == 1);
    until("a minute's record", || 2 < site.events_of("alive").len());
    let log = running.stop();
    assert!(log.contains("no_posts"), "{log}");
    let requests = api.requests();
    assert_eq!(requests.len(), 2, "no reconnection for want of posts");
    let ends = site.events_of("disconnected");
    assert_eq!(texts(&ends, "cause"), ["stall", "shutdown"]);
    let at = |event: &Value| event["at"].as_str().unwrap().parse::<UtcMs>().unwrap();
    let silent_ms = at(&ends[0]).0 - at(&site.events_of("first_line")[0]).0;
    assert!(30_000 <= silent_ms, "{silent_ms}");
    let alive = site.events_of("alive");
    let silences: usize = alive
        .iter()
        .map(|alive| alive["silences"].as_array().unwrap().len())
        .sum();
    assert!(0 < silences);
    let seals = site.check_sealed();
    let minutes: Vec<&str> = seals
        .iter()
        .map(|seal| seal["minute"].as_str().unwrap())
        .collect();
    assert_eq!(minutes[0], "2026-11-23T14:05Z");
    assert!(
        minutes.is_sorted_by(|a, b| a < b),
        "every minute once: {minutes:?}"
    );
}

#[test]
fn only_one_collector_runs_and_none_without_its_token() {
    let api = Api::start(|_, peer| {
        peer.stream("")?;
        peer.hold()
    });
    let site = site(&api);
    let running = site.start(None);
    until("the connection", || api.requests().len() == 1);
    let second = site.command(None).output().unwrap();
    assert_eq!(second.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&second.stderr).contains(&running.id().to_string()));
    // nor one with another data directory in the same spool: it would mend what is being written
    let base_url = format!("http://127.0.0.1:{}", api.port);
    let other = Site::with_spool(
        tempfile::TempDir::new().unwrap(),
        site.spool.clone(),
        &base_url,
    );
    let second = other.command(None).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(7), "{said}");
    assert!(said.contains("another data_dir"), "{said}");
    assert_eq!(api.requests().len(), 1);
    running.stop();
    fs::remove_file(site.dir.path().join("token")).unwrap();
    let without = site.command(None).output().unwrap();
    assert_eq!(without.status.code(), Some(3));
}

#[test]
fn a_service_that_is_started_again_and_again_spares_the_budget() {
    let api = Api::start(|_, peer| {
        peer.stream("")?;
        peer.chunk("\r\n")?;
        peer.hold()
    });
    let site = site(&api);
    let begin: UtcMs = "2026-11-23T14:05:00Z".parse().unwrap();
    // every six seconds, as systemd does with what ends at once
    for start in 0..12_i64 {
        let running = site.start(Some(&format!("{}@1", begin.plus_ms(start * 6_000))));
        let asked = usize::try_from(start).unwrap() + 1;
        until("the request", || api.requests().len() == asked);
        until("its answer", || site.events_of("connected").len() == asked);
        running.kill();
    }
    assert_eq!(
        site.events_of("waiting"),
        Vec::<Value>::new(),
        "a start does not wait"
    );
    let running = site.start(Some(&format!("{}@1", begin.plus_ms(72_000))));
    until("the wait", || site.events_of("waiting").len() == 1);
    running.stop();
    assert_eq!(api.requests().len(), 12);
    let wait = &site.events_of("waiting")[0];
    assert_eq!(wait["why"], "pace");
    // each start names the one before, which has left its files
    let mut started = site.events_of("started");
    started.sort_by_key(|of| of["number"].as_u64());
    let numbers: Vec<u64> = started
        .iter()
        .map(|of| of["number"].as_u64().unwrap())
        .collect();
    let first = numbers[0];
    assert!(
        numbers.iter().copied().eq(first..=first + 12),
        "{numbers:?}"
    );
    let after: Vec<Option<u64>> = started.iter().map(|of| of["after"].as_u64()).collect();
    let before = numbers
        .iter()
        .map(|number| number.checked_sub(1).filter(|before| first <= *before));
    assert!(after.iter().copied().eq(before), "{after:?}");
    let wait_ms = wait["wait_ms"].as_u64().unwrap();
    assert!((60_000..110_000).contains(&wait_ms), "{wait_ms}");
}

/// What networks put in the API's place, all with another look.
fn impostor(n: usize, peer: &mut Peer) -> io::Result<()> {
    const PAGE: &str = "\r\n<!DOCTYPE html>\r\n<html>\r\n<body>{\"data\":1}</body>\r\n</html>\r\n";
    match n {
        // with a clock of its own
        0 => peer.refuse(
            200,
            "content-type: text/html; charset=utf-8\r\ndate: Mon, 23 Nov 2026 09:00:00 GMT\r\n",
            PAGE,
        ),
        1 => {
            peer.stream("content-encoding: gzip\r\n")?;
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            write!(gzip, "{PAGE}")?;
            for byte in gzip.finish()? {
                peer.chunk([byte])?;
            }
            peer.hold()
        }
        2 => peer.refuse(302, "location: http://login.example.org/\r\n", ""),
        3 => peer.refuse(200, "content-type: application/json\r\n", ""),
        4 => peer.refuse(
            200,
            "content-type: application/json\r\n",
            "{\"error\":\"login\"}",
        ),
        5 => peer.refuse(
            200,
            "",
            "{\n \"title\": \"Unauthorized\",\n \"status\": 401\n}\n{\"data\":1}",
        ),
        _ => peer.refuse(403, "content-type: text/html\r\n", PAGE),
    }
}

#[test]
fn what_answers_in_the_api_s_place_is_told_and_nothing_of_it_is_stored() {
    const IMPOSTORS: usize = 7;
    let api = Api::start(|connection, peer| {
        if connection < IMPOSTORS {
            return impostor(connection, peer);
        }
        // the API, without a content type, with keep-alives before a line that is cut anywhere
        peer.raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        for byte in format!("\r\n\r\n{}\r\n", post(7)).into_bytes() {
            peer.chunk([byte])?;
        }
        peer.hold()
    });
    let site = site(&api);
    let running = site.start(Some("2026-11-23T14:05:00Z@60"));
    until("the API's line", || !site.lines().is_empty());
    let log = running.stop();
    assert_eq!(site.lines(), [post(7)]);
    let ends = site.events_of("disconnected");
    let mut causes = vec!["not_the_api"; IMPOSTORS];
    causes.push("shutdown");
    assert_eq!(texts(&ends, "cause"), causes);
    for (end, says) in ends.iter().zip([
        "HTTP 200 with a page (text/html; charset=utf-8)",
        "it begins with \"<\"",
        "HTTP 302, a redirect to http://login.example.org/",
        "HTTP 200 and nothing else",
        "its first line is \"{\\\"error\\\":\\\"login\\\"}\"",
        "its first line is \"{\"",
        "HTTP 403 with a page (text/html)",
    ]) {
        assert_eq!((&end["detail"], &end["lines"]), (&says.into(), &0.into()));
    }
    assert_eq!(
        log.matches("alarm=\"not_the_api\"").count(),
        IMPOSTORS,
        "{log}"
    );
    assert!(log.contains("this is not the API: HTTP 302"), "{log}");
    let alive = site.events_of("alive");
    let believed = alive
        .iter()
        .filter(|alive| !alive["clock_offset_ms"].is_null());
    assert_eq!(
        (believed.count(), site.events_of("clock_stepped").len()),
        (0, 0)
    );
    assert!(!alive.is_empty());
    site.check_sealed();
}

#[test]
fn check_tells_what_answers_in_the_api_s_place() {
    for n in 0..7 {
        let api = Api::start(move |_, peer| impostor(n, peer));
        let (code, said) = checked(&site(&api));
        assert_eq!(code, Some(1), "{n}: {said}");
        assert!(
            said.contains("fail  token       not the API: "),
            "{n}: {said}"
        );
        assert!(said.contains("hint: "), "{n}: {said}");
    }
    let api = Api::start(|_, peer| {
        peer.stream("")?;
        peer.chunk(format!("\r\n{}\r\n", post(1)))?;
        peer.hold()
    });
    let (_, said) = checked(&site(&api));
    assert!(
        said.contains("ok    token       the stream sample opens"),
        "{said}"
    );
}

/// How `check` ends, and what it says.
fn checked(site: &Site) -> (Option<i32>, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_twinstream"))
        .args(["check", "--server", "1", "--config"])
        .arg(site.dir.path().join("twinstream.toml"))
        .output()
        .unwrap();
    (
        out.status.code(),
        String::from_utf8_lossy(&out.stdout).into_owned(),
    )
}

#[test]
fn rules_that_are_not_told_are_asked_for_again_while_the_stream_goes_on() {
    let api = Api::start(|n, peer| match n {
        0 => {
            peer.stream("")?;
            while !peer.over() {
                peer.chunk("\r\n")?;
                thread::sleep(Duration::from_millis(50));
            }
            Ok(())
        }
        1 => peer.refuse(503, "", r#"{"title":"Service Unavailable","detail":"x"}"#),
        2 => peer.refuse(
            200,
            "",
            r#"{"data":[{"id":"1","value":"cat"}],"meta":{"next_token":"abc"}}"#,
        ),
        _ => peer.refuse(
            200,
            "",
            r#"{"data":[{"id":"2","value":"dog","tag":"dogs"}],"meta":{}}"#,
        ),
    });
    let site = site(&api);
    let path = site.dir.path().join("twinstream.toml");
    let rules = r#"rules = [{ value = "dog", tag = "dogs" }, { value = "cat" }]"#;
    let x = format!("[x]\nstream = \"filtered\"\n{rules}\n");
    let text = fs::read_to_string(&path).unwrap().replace("[x]\n", &x);
    fs::write(&path, text).unwrap();
    let running = site.start(CLOCK_60);
    until("all pages of rules", || !site.events_of("rules").is_empty());
    running.stop();
    let unknown = texts(&site.events_of("rules_unknown"), "detail");
    assert_eq!(unknown, ["HTTP 503: Service Unavailable: x"]);
    let told = &site.events_of("rules")[0];
    assert_eq!(told["rules"][1]["tag"], "dogs", "{told}");
    assert_eq!(told["sha256"], told["configured"], "{told}");
    let requests = api.requests();
    let asked: Vec<&str> = requests
        .iter()
        .map(|request| request.path.as_str())
        .collect();
    assert!(
        asked[0].starts_with("/2/tweets/search/stream?"),
        "{asked:?}"
    );
    assert!(asked[3].ends_with("&pagination_token=abc"), "{asked:?}");
    assert!(requests[1].header("authorization").is_some());
    // nobody waited for them, and keep-alives alone are no reason to worry
    assert_eq!(site.events_of("connected").len(), 1);
    assert_eq!(site.events_of("no_posts").len(), 0);
}
