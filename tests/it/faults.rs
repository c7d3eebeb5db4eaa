//! Collecting when the machine fails it: kills, a full disk, a server that is not the API.

use std::{
    fs, io,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use twinstream::period::UtcMs;

use crate::{
    collect::{post, site, texts},
    support::{
        api::{Api, Peer},
        site::{Running, Site, until},
        skipped::skipped,
    },
};

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
    // each run an hour after the one before: so many in a row would be made to wait
    let begin: UtcMs = "2026-11-23T00:00:00Z".parse().unwrap();
    let clock = |n: usize| format!("{}@1", begin.plus_ms(i64::try_from(n).unwrap() * 3_600_000));
    for n in 0..times {
        let running = site.start(Some(&clock(n)));
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
    let running = site.start(Some(&clock(times)));
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

/// A line is about so long.
const LONG_BYTES: usize = 20_000;

#[test]
fn a_full_disk_stops_collecting_until_there_is_room_and_loses_nothing() {
    let Some(mount) = Mount::new("100m") else {
        skipped("mounting a file system is not allowed here");
        return;
    };
    let sent: Arc<Mutex<Vec<usize>>> = Arc::default();
    let log = Arc::clone(&sent);
    let long_text = "f".repeat(LONG_BYTES);
    let api = Api::start(move |connection, peer| {
        peer.stream("")?;
        while !peer.over() {
            let n = {
                let mut sent = log.lock().unwrap();
                sent.push(connection);
                sent.len() - 1
            };
            peer.chunk(format!(
                "{{\"data\":{{\"id\":\"{n}\",\"text\":\"{long_text}\"}}}}\r\n"
            ))?;
            // the second one must not fill the disk again before it is told to stop
            thread::sleep(Duration::from_millis(if connection == 0 { 1 } else { 20 }));
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
    // how long it takes nobody knows, so nothing is claimed
    let wait = &site.events_of("waiting")[0];
    assert!(
        wait["why"] == "disk_full" && wait.get("wait_ms").is_none(),
        "{wait}"
    );
    thread::sleep(Duration::from_millis(600));
    assert_eq!(
        api.requests().len(),
        asked,
        "12 s later there is still no room"
    );
    let before = site.stored_bytes();
    fs::remove_file(&ballast).unwrap();
    until("the next connection's lines", || {
        asked < site.events_of("first_line").len()
    });
    until("several of them", || {
        before + 3 * LONG_BYTES < site.stored_bytes()
    });
    let log = running.stop();
    assert_eq!(
        log.matches("collecting stops until there is room").count(),
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
            "{connection}: {of:?}"
        );
    }
}

#[test]
fn a_second_signal_ends_at_once_and_loses_nothing_that_was_synced() {
    let Some(mount) = Mount::new("70m") else {
        skipped("mounting a file system is not allowed here");
        return;
    };
    let api = Api::start(|connection, peer| {
        peer.stream("")?;
        peer.chunk(format!("{}\r\n", post(connection)))?;
        thread::sleep(Duration::from_millis(300));
        while !peer.over() {
            peer.chunk(format!("{}\r\n", "g".repeat(50_000)))?;
        }
        Ok(())
    });
    let spool = mount.0.path().join("spool");
    let base_url = format!("http://127.0.0.1:{}", api.port);
    let site = Site::with_spool(tempfile::TempDir::new().unwrap(), spool, &base_url);
    let mut running = site.start(None);
    until("the first line", || !site.lines().is_empty());
    // the disk is full for good: what the freed reserve would have given is taken as well
    let ballast = mount.0.path().join("ballast");
    let fill = || {
        let mut options = fs::OpenOptions::new();
        let mut ballast = options.append(true).create(true).open(&ballast).unwrap();
        let filled = io::Write::write_all(&mut ballast, &vec![1; 80 << 20]);
        assert_eq!(filled.unwrap_err().kind(), io::ErrorKind::StorageFull);
    };
    until("the reserve to be freed", || {
        fill();
        !mount.0.path().join("spool/1/reserve").exists()
    });
    fill();
    running.signal(rustix::process::Signal::TERM);
    thread::sleep(Duration::from_millis(500));
    let begun = Instant::now();
    running.signal(rustix::process::Signal::INT);
    let status = running.wait();
    assert_eq!(
        status.code(),
        Some(130),
        "the first signal had not ended it yet"
    );
    assert!(begun.elapsed() < Duration::from_millis(500));
    fs::remove_file(&ballast).unwrap();
    let asked = api.requests().len();
    let running = site.start(None);
    until("the next request", || asked < api.requests().len());
    running.stop();
    let lines = site.lines();
    assert_eq!(lines[0], post(0));
    site.check_sealed();
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
        Running::of(command)
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
