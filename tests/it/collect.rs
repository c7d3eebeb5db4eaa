//! Collecting: the built binary against an API by hand, with real sockets, files and signals.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

use crate::support::{
    api::{Api, Peer},
    site::{Site, until},
};

const CLOCK_60: Option<&str> = Some("2026-11-23T14:05:00Z@60");

fn post(n: usize) -> String {
    format!(r#"{{"data":{{"id":"{n}","text":"ärger 🌍 \n"}}}}"#)
}

fn site(api: &Api) -> Site {
    Site::new(&format!("http://127.0.0.1:{}", api.port))
}

fn texts(values: &[Value], key: &str) -> Vec<String> {
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

    for (name, path) in site.files() {
        let folder = path.parent().unwrap();
        let mode =
            |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(folder)), (0o640, 0o750), "{name}");
        if name != "reserve" {
            // 1/2026-11-23/14/1_sample_20261123T1405Z_3fa9c01b_000.jsonl
            let minute = name.split('_').nth(2).unwrap();
            let (day, hour) = (&minute[..8], &minute[9..11]);
            let lies = format!("1/{}-{}-{}/{hour}", &day[..4], &day[4..6], &day[6..]);
            assert!(folder.ends_with(&lies), "{}", path.display());
        }
    }
}

/// Sends numbered posts for as long as the connection holds, and notes when each was sent.
fn counting(
    sent: &Mutex<Vec<(usize, Instant)>>,
    connection: usize,
    peer: &mut Peer,
) -> io::Result<()> {
    peer.stream("")?;
    loop {
        let n = sent.lock().unwrap().len();
        peer.chunk(format!("{}\r\n", post(n)))?;
        sent.lock().unwrap().push((connection, Instant::now()));
        thread::sleep(Duration::from_micros(300));
        if peer.over() {
            return Ok(());
        }
    }
}

#[test]
fn killed_at_any_moment_it_loses_at_most_50_ms() {
    let times = std::env::var("TWINSTREAM_KILLS").map_or(10, |times| times.parse().unwrap());
    let sent: Arc<Mutex<Vec<(usize, Instant)>>> = Arc::default();
    let log = Arc::clone(&sent);
    let api = Api::start(move |connection, peer| counting(&log, connection, peer));
    let site = site(&api);
    let mut killed = Vec::new();
    for n in 0..times {
        let running = site.start(None);
        until("a line on this connection", || {
            sent.lock()
                .unwrap()
                .last()
                .is_some_and(|(connection, _)| *connection == n)
        });
        let odd = u64::from(running.id()) * 7_919 % 211;
        thread::sleep(Duration::from_millis(60 + odd));
        killed.push(Instant::now());
        running.kill();
    }
    let running = site.start(None);
    until("the last connection", || api.requests().len() == times + 1);
    running.stop();

    let numbers: Vec<usize> = site
        .lines()
        .iter()
        .map(|line| {
            let value: Value = serde_json::from_str(line).unwrap();
            let n = value["data"]["id"].as_str().unwrap().parse().unwrap();
            assert_eq!(*line, post(n), "as it was sent");
            n
        })
        .collect();
    assert!(
        numbers.is_sorted_by(|a, b| a < b),
        "in order, nothing twice"
    );
    let have: std::collections::BTreeSet<usize> = numbers.into_iter().collect();
    let mut worst = Duration::ZERO;
    for (n, (connection, at)) in sent.lock().unwrap().iter().enumerate() {
        if let Some(killed) = killed.get(*connection)
            && !have.contains(&n)
        {
            worst = worst.max(killed.saturating_duration_since(*at));
        }
    }
    eprintln!("kill -9, {times} times: the oldest line lost was sent {worst:?} before");
    assert!(worst < Duration::from_millis(50), "{worst:?}");
    let seals = site.check_sealed();
    let recovered = site.events_of("recovered");
    assert_eq!(
        seals
            .iter()
            .filter(|seal| seal["recovered"] == true)
            .count(),
        recovered.len()
    );
    assert!(times <= recovered.len());
    assert_eq!(site.events_of("stopped").len(), 1);
}

#[test]
fn a_drop_is_answered_at_once_and_with_backfill() {
    let dropped: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let drops = Arc::clone(&dropped);
    let api = Api::start(move |connection, peer| {
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
        drops.lock().unwrap().push(Instant::now());
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
    let minutes: Vec<Option<u8>> = requests
        .iter()
        .map(crate::support::api::Request::backfill)
        .collect();
    assert_eq!(minutes[0], None, "the very first start");
    // the outage in minutes, rounded up, and one: some milliseconds make two
    assert!(
        minutes[1..]
            .iter()
            .all(|asked| matches!(asked, Some(1 | 2))),
        "{minutes:?}"
    );
    for (n, dropped) in dropped.lock().unwrap().iter().enumerate() {
        let after = requests[n + 1].at.saturating_duration_since(*dropped);
        eprintln!("reconnected after {after:?}");
        assert!(after < Duration::from_millis(50), "{after:?}");
    }
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
    assert_eq!(site.events_of("waiting"), Vec::<Value>::new());
    site.check_sealed();
}

#[test]
fn backfill_that_is_refused_is_not_asked_for_again() {
    let api = Api::start(|connection, peer| {
        match connection {
        1 => peer.refuse(
            400,
            "",
            r#"{"errors":[{"parameters":{"backfill_minutes":["2"]},"message":"m"}],"title":"Invalid Request","type":"https://api.twitter.com/2/problems/invalid-request"}"#,
        ),
        _ => {
            peer.stream("")?;
            peer.chunk(format!("{}\r\n", post(connection)))?;
            if connection < 3 { Ok(()) } else { peer.hold() }
        }
    }
    });
    let site = site(&api);
    let running = site.start(None);
    until("the fourth connection's line", || {
        site.lines().contains(&post(3))
    });
    running.stop();
    let requests = api.requests();
    let minutes: Vec<Option<u8>> = requests
        .iter()
        .map(crate::support::api::Request::backfill)
        .collect();
    assert!(
        matches!(minutes[..], [None, Some(1 | 2), None, None]),
        "{minutes:?}"
    );
    let after = requests[2].at - requests[1].at;
    assert!(after < Duration::from_millis(200), "{after:?}");
    assert_eq!(site.events_of("waiting"), Vec::<Value>::new());
}

#[test]
fn each_refusal_waits_as_the_table_says() {
    const RATE: f64 = 600.0;
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
    let waits: Vec<(String, u64)> = site
        .events_of("waiting")
        .iter()
        .map(|wait| {
            (
                wait["why"].as_str().unwrap().to_owned(),
                wait["wait_ms"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("server_error", 5_000),
        ("too_many_connections", 10_000),
        ("rate_limit", 60_000),
        ("unauthorized", 10_000),
        ("usage_cap", 900_000),
        ("network", 250),
    ];
    // the clock moves on a little between deciding and writing it down
    for ((why, wait_ms), (expected_why, expected_ms)) in waits.iter().zip(expected) {
        assert_eq!(why, expected_why);
        assert!(
            (expected_ms * 9 / 10..=expected_ms).contains(wait_ms) || expected_ms < 10_000,
            "{why} {wait_ms}"
        );
    }
    let requests = api.requests();
    for (pair, (why, wait_ms)) in requests.windows(2).zip(expected) {
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let least = Duration::from_secs_f64(wait_ms as f64 / 1_000.0 / RATE);
        assert!(least.mul_f64(0.98) <= pair[1].at - pair[0].at, "{why}");
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
    let silent = requests[1].at - requests[0].at;
    assert!(
        (480..900).contains(&silent.as_millis()),
        "30 s at rate 60: {silent:?}"
    );
    let ends = site.events_of("disconnected");
    assert_eq!(texts(&ends, "cause"), ["stall", "shutdown"]);
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
    running.stop();
    fs::remove_file(site.dir.path().join("token")).unwrap();
    let without = site.command(None).output().unwrap();
    assert_eq!(without.status.code(), Some(3));
}

/// A small file system in memory, gone with the test; `None` where mounting is not allowed.
struct Mount(tempfile::TempDir);

impl Mount {
    fn new(size: &str) -> Option<Self> {
        let dir = tempfile::TempDir::new().unwrap();
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(dir.path())
            .output();
        match mount {
            Ok(out) if out.status.success() => Some(Self(dir)),
            _ => None,
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmount = std::process::Command::new("umount")
            .arg("-l")
            .arg(self.0.path())
            .status();
        assert!(unmount.unwrap().success());
    }
}

#[test]
fn a_full_disk_stops_collecting_until_there_is_room_and_loses_nothing() {
    let Some(mount) = Mount::new("100m") else {
        eprintln!("SKIPPED: mounting a file system is not allowed here");
        return;
    };
    let sent: Arc<Mutex<Vec<usize>>> = Arc::default();
    let log = Arc::clone(&sent);
    let filler = "f".repeat(20_000);
    let api = Api::start(move |connection, peer| {
        peer.stream("")?;
        while !peer.over() {
            let n = {
                let mut sent = log.lock().unwrap();
                sent.push(connection);
                sent.len() - 1
            };
            peer.chunk(format!(
                "{{\"data\":{{\"id\":\"{n}\",\"text\":\"{filler}\"}}}}\r\n"
            ))?;
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    });
    let spool = mount.0.path().join("spool");
    let base_url = format!("http://127.0.0.1:{}", api.port);
    let site = Site::with_spool(tempfile::TempDir::new().unwrap(), spool.clone(), &base_url);
    let running = site.start(Some("2026-11-23T14:05:00Z@20"));
    until("the first lines", || {
        !site.events_of("first_line").is_empty()
    });
    let reserve = spool.join("1/reserve");
    assert_eq!(fs::metadata(&reserve).unwrap().len(), 64 << 20);
    let ballast = mount.0.path().join("ballast");
    let filled = fs::write(&ballast, vec![1; 64 << 20]);
    assert_eq!(filled.unwrap_err().kind(), io::ErrorKind::StorageFull);
    until("the disconnection for want of room", || {
        site.events_of("disconnected")
            .iter()
            .any(|end| end["cause"] == "disk")
    });
    let asked = api.requests().len();
    until("the wait for room", || {
        !site.events_of("waiting").is_empty()
    });
    assert!(!reserve.exists(), "it was not freed");
    thread::sleep(Duration::from_millis(600));
    assert_eq!(
        api.requests().len(),
        asked,
        "12 s later there is still no room"
    );
    fs::remove_file(&ballast).unwrap();
    until("the next connection's lines", || {
        asked < site.events_of("first_line").len()
    });
    let log = running.stop();
    assert_eq!(
        log.matches("disk_full").count(),
        1,
        "one clear message: {log}"
    );
    assert!(reserve.exists());
    assert!(api.requests()[asked].backfill().is_some());
    site.check_sealed();
    let numbers: Vec<usize> = site
        .lines()
        .iter()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["data"]["id"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    assert!(
        numbers.is_sorted_by(|a, b| a < b),
        "in order, nothing twice"
    );
    // what was stored of each connection is all up to where it was let go
    let sent = sent.lock().unwrap();
    for connection in 0..=asked {
        let of: Vec<usize> = numbers
            .iter()
            .copied()
            .filter(|n| sent[*n] == connection)
            .collect();
        assert!(
            of.len() > 1 && of.windows(2).all(|pair| pair[0] + 1 == pair[1]),
            "{connection}"
        );
    }
}

/// A server with a certificate of its own for that name, and the file that vouches for it.
fn tls_api(name: &str, folder: &std::path::Path) -> (Api, std::path::PathBuf) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let file = folder.join("certificate.pem");
    fs::write(&file, made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let api = Api::start_with(
        |connection, peer| {
            peer.stream("")?;
            peer.chunk(format!("{}\r\n", post(connection)))?;
            peer.hold()
        },
        move |tcp| {
            let server =
                rustls::ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
            Ok(Box::new(rustls::StreamOwned::new(server, tcp)))
        },
    );
    (api, file)
}

#[test]
fn only_a_server_with_the_right_certificate_gets_the_token() {
    let folder = tempfile::TempDir::new().unwrap();
    let (api, certificate) = tls_api("localhost", folder.path());
    let site = Site::new(&format!("https://localhost:{}", api.port));
    let start = |site: &Site, certificate: &std::path::Path| {
        let mut command = site.command(None);
        command
            .env("SSL_CERT_FILE", certificate)
            .env_remove("SSL_CERT_DIR");
        crate::support::site::Running::of(command)
    };
    let running = start(&site, &certificate);
    until("a line over TLS", || site.lines() == [post(0)]);
    running.stop();

    let (api, certificate) = tls_api("other.example.org", folder.path());
    let site = Site::new(&format!("https://localhost:{}", api.port));
    let running = start(&site, &certificate);
    until("the third attempt", || {
        2 < site.events_of("disconnected").len()
    });
    running.stop();
    assert!(api.requests().is_empty(), "the token was sent");
    let ends = site.events_of("disconnected");
    assert_eq!(texts(&ends[..3], "cause"), ["tls", "tls", "tls"]);
    let waits = site.events_of("waiting");
    assert_eq!(texts(&waits[..2], "why"), ["network", "network"]);
}
