//! Collecting when the machine fails it: kills, a full disk, a server that is not the API.

use std::{
    fs, io,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;
use twinstream::period::UtcMs;

use crate::{
    collect::{post, site, texts},
    support::{
        api::{Api, Peer},
        proxy::Proxy,
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
    let mut lost = vec![Duration::ZERO; times];
    for (n, (connection, at)) in sent.lock().unwrap().iter().enumerate() {
        if let Some(killed) = killed.get(*connection)
            && !have.contains(&n)
        {
            lost[*connection] = lost[*connection].max(killed.saturating_duration_since(*at));
        }
    }
    lost.sort();
    eprintln!("kill -9, {times} times: the oldest line lost was sent so long before: {lost:?}");
    // a busy machine may keep the collector from running for longer than that, but not at most of the kills: what is held
    // back for long would be lost at nearly all of them
    assert!(lost[times / 2] < Duration::from_millis(50), "{lost:?}");
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
        let mount = Command::new("mount")
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
        let unmount = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmount.unwrap().success());
    }
}

#[test]
fn told_to_stop_while_there_is_no_room_to_mend_what_was_open_it_stops() {
    let Some(mount) = Mount::new("20m") else {
        skipped("mounting a file system is not allowed here");
        return;
    };
    let api = Api::start(|_, peer| {
        peer.stream("")?;
        peer.chunk("{\"data\":{\"id\":\"1\"}}\r\n")?;
        peer.hold()
    });
    let base_url = format!("http://127.0.0.1:{}", api.port);
    let dir = tempfile::TempDir::new().unwrap();
    let site = Site::with_spool(dir, mount.0.path().join("spool"), &base_url);
    let running = site.start(None);
    until("a line", || !site.events_of("first_line").is_empty());
    running.kill();
    let filled = fs::write(mount.0.path().join("ballast"), vec![1; 20 << 20]);
    assert_eq!(filled.unwrap_err().kind(), io::ErrorKind::StorageFull);

    let log = site.dir.path().join("log");
    let mut command = site.command(None);
    command.stderr(fs::File::create(&log).unwrap());
    let mut running = Running::of(command);
    let said = || fs::read_to_string(&log).unwrap();
    until("the wait for room", || {
        said().contains("until there is space")
    });
    running.signal(Signal::TERM);
    assert!(running.wait().success(), "{}", said());
    assert_eq!(api.requests().len(), 1, "it has not collected");
    // with room, the next start mends it
    fs::remove_file(mount.0.path().join("ballast")).unwrap();
    let running = site.start(None);
    until("what was open", || !site.events_of("recovered").is_empty());
    running.stop();
    site.check_sealed();
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
    let is_filled = Arc::new(AtomicBool::new(false));
    let filled = Arc::clone(&is_filled);
    let long_text = "f".repeat(LONG_BYTES);
    let api = Api::start(move |connection, peer| {
        peer.stream("")?;
        let mut lines = 0;
        while !peer.over() {
            // what fills the disk is the ballast: no connection brings much more than the room that there is beside it
            let enough = if connection == 0 && !filled.load(Ordering::SeqCst) {
                10
            } else {
                200
            };
            if enough <= lines {
                peer.chunk("\r\n")?;
                thread::sleep(Duration::from_millis(10));
                continue;
            }
            lines += 1;
            let n = {
                let mut sent = log.lock().unwrap();
                sent.push(connection);
                sent.len() - 1
            };
            peer.chunk(format!(
                "{{\"data\":{{\"id\":\"{n}\",\"text\":\"{long_text}\"}}}}\r\n"
            ))?;
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
    is_filled.store(true, Ordering::SeqCst);
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
        log.matches("collecting stops until there is space").count(),
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
    running.signal(Signal::TERM);
    thread::sleep(Duration::from_millis(500));
    running.signal(Signal::INT);
    // at once: by the first signal alone it ends some seconds later, and with another code
    assert_eq!(running.wait().code(), Some(130));
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
    let pair = rcgen::KeyPair::generate().unwrap();
    let mut made = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    // the issuer, too
    made.distinguished_name
        .push(rcgen::DnType::CommonName, name);
    let made = made.self_signed(&pair).unwrap();
    let file = folder.join(format!("{name}.pem"));
    fs::write(&file, made.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(pair.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.der().clone()], key)
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

/// A site whose API is reached under another name than this machine's, so that a proxy counts.
fn far_site() -> Site {
    Site::new("https://api.example.org")
}

fn through(site: &Site, certificate: &std::path::Path, variables: &[(&str, &str)]) -> Running {
    let mut command = site.command(None);
    set(&mut command, certificate, variables);
    Running::of(command)
}

fn set(command: &mut Command, certificate: &std::path::Path, variables: &[(&str, &str)]) {
    for name in ["HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command
        .env("SSL_CERT_FILE", certificate)
        .env_remove("SSL_CERT_DIR")
        .envs(variables.iter().copied());
}

/// How the first attempt ends.
fn first_end(
    site: &Site,
    certificate: &std::path::Path,
    variables: &[(&str, &str)],
) -> (Value, Value) {
    let running = through(site, certificate, variables);
    until("an end", || !site.events_of("disconnected").is_empty());
    running.stop();
    let mut end = site.events_of("disconnected").remove(0);
    (end["cause"].take(), end["detail"].take())
}

#[test]
fn the_network_s_proxy_is_gone_through_and_told_from_what_else_can_fail() {
    let folder = tempfile::TempDir::new().unwrap();
    let (api, certificate) = tls_api("api.example.org", folder.path());
    let proxy = Proxy::start(api.port, |head| {
        if head.contains("\r\nProxy-Authorization: Basic YW5uOnBAc3M=\r\n") {
            "200 Connection established"
        } else if head.contains("Basic") {
            "403 Forbidden"
        } else {
            "407 Proxy Authentication Required"
        }
    });
    let of = |user: &str| format!("http://{user}127.0.0.1:{}", proxy.port);
    let (ann, bob, nobody) = (of("ann:p%40ss@"), of("bob:x@"), of(""));
    let site = far_site();
    let running = through(&site, &certificate, &[("HTTPS_PROXY", &ann)]);
    until("a line through the proxy", || site.lines() == [post(0)]);
    let log = running.stop();
    assert!(!log.contains("p@ss") && !log.contains("p%40ss"), "{log}");
    assert!(proxy.heads()[0].starts_with("CONNECT api.example.org:443 HTTP/1.1\r\n"));
    assert_eq!(
        api.requests()[0].header("host"),
        Some("api.example.org"),
        "the API is asked as ever"
    );

    let tried = [
        (
            "https_proxy",
            &nobody,
            "proxy",
            "put its user and password into https_proxy",
        ),
        (
            "ALL_PROXY",
            &bob,
            "proxy",
            "ask its operator to let this machine reach api.example.org:443",
        ),
    ];
    for (variable, url, cause, says) in tried {
        let (ended, detail) = first_end(&far_site(), &certificate, &[(variable, url)]);
        assert_eq!(ended, cause);
        let detail = detail.as_str().unwrap().to_owned();
        assert!(detail.contains(says) && !detail.contains("bob"), "{detail}");
    }
    let (_other, foreign) = tls_api("other.example.org", folder.path());
    let (ended, detail) = first_end(&far_site(), &foreign, &[("HTTPS_PROXY", &ann)]);
    assert_eq!(ended, "unknown_issuer");
    assert!(
        detail.as_str().unwrap().contains("update-ca-certificates"),
        "{detail}"
    );
    let asked = proxy.heads().len();
    let without = [("HTTPS_PROXY", ann.as_str()), ("NO_PROXY", "example.org")];
    first_end(&far_site(), &certificate, &without);
    assert_eq!(proxy.heads().len(), asked, "NO_PROXY names it");
}

#[test]
fn check_and_config_show_the_proxy_and_one_that_cannot_be_used_is_refused() {
    let folder = tempfile::TempDir::new().unwrap();
    let (api, certificate) = tls_api("api.example.org", folder.path());
    let proxy = Proxy::start(api.port, |head| {
        if head.contains("Basic YW5uOnBAc3M=") {
            "200 Connection established"
        } else {
            "407 Proxy Authentication Required"
        }
    });
    let site = far_site();
    let say = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twinstream"));
        set(&mut command, &certificate, variables);
        command.args(["--server", "1", "--config"]);
        command.arg(site.dir.path().join("twinstream.toml"));
        let out = command.args(arguments).output().unwrap();
        let said = [out.stdout, out.stderr].concat();
        (out.status.code(), String::from_utf8(said).unwrap())
    };
    let shown = format!("http://127.0.0.1:{}", proxy.port);
    let ann = format!("http://ann:p%40ss@127.0.0.1:{}", proxy.port);
    let (_, said) = say(&["check"], &[("HTTPS_PROXY", &ann)]);
    let told =
        format!("proxy       https://api.example.org is reached through {shown} (HTTPS_PROXY)");
    assert!(
        said.contains(&told) && said.contains("the stream sample opens"),
        "{said}"
    );
    let (code, said) = say(&["check"], &[("HTTPS_PROXY", &shown)]);
    assert_ne!(code, Some(0));
    assert!(
        said.contains("proxy (HTTPS_PROXY) refuses the connection: ") && said.contains("407"),
        "{said}"
    );
    let (code, said) = say(&["config", "show"], &[("HTTPS_PROXY", &ann)]);
    assert_eq!(code, Some(0));
    let row = said
        .lines()
        .find(|line| line.starts_with("x.proxy"))
        .unwrap();
    assert!(
        row.contains(&shown) && row.ends_with("$HTTPS_PROXY"),
        "{row}"
    );
    assert!(!said.contains("p@ss") && !said.contains("p%40ss"), "{said}");
    let socks = [("ALL_PROXY", "socks5://ann:hush@127.0.0.1:1080")];
    for arguments in [&["collect"][..], &["config", "show"]] {
        let (code, said) = say(arguments, &socks);
        assert_eq!(code, Some(3), "{said}");
        assert!(
            said.contains("ALL_PROXY: a proxy of the kind socks5://"),
            "{said}"
        );
        assert!(said.contains("hint: ") && !said.contains("hush"), "{said}");
    }
}
