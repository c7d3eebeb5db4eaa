//! The service as a real process: it collects, starts the stages, serves the page and writes mails,
//! and whatever becomes of its children, it goes on collecting.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use twinstream::{period::UtcMs, report::statement::AnyStatement, world::disk::RealDisk};

use crate::support::{
    folder::files_below,
    osf::Osf,
    pace::at_pace,
    port::free_port,
    posts::{segments, stream},
    primary::at,
    site::{Running, until},
};

/// Simulated seconds per second, where a test does not need them to be more.
const RATE: i32 = 60;

/// A process that does not outlive its test.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A server, its simulated world, and a folder for both.
struct Site {
    dir: TempDir,
    /// When the simulated time began, and the real instant of it; none: the time is the real one.
    began: Option<(UtcMs, Instant)>,
    rate: i32,
    api: Option<Guarded>,
    /// Where the stream is, and where mail goes.
    url: String,
    smtp: String,
    page: u16,
}

impl Drop for Site {
    /// What a test was waiting for in vain stands in the log.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.path("run.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.len().saturating_sub(80);
            let log = format!("the end of run.log:\n{}\n", lines[last..].join("\n"));
            std::io::stderr().write_all(log.as_bytes()).unwrap();
        }
    }
}

impl Site {
    fn new(begin: Option<&str>) -> Self {
        let site = Self {
            dir: TempDir::new().unwrap(),
            began: begin.map(|begin| (begin.parse().unwrap(), Instant::now())),
            rate: RATE,
            api: None,
            url: "http://127.0.0.1:9".to_owned(),
            smtp: "127.0.0.1:9".to_owned(),
            page: free_port(),
        };
        site.secret("token", "simulated\n");
        site
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.dir.path().join(inside)
    }

    fn secret(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(self.path(name), private).unwrap();
    }

    /// The same at another pace.
    fn at_rate(mut self, rate: i32) -> Self {
        self.rate = rate;
        self
    }

    /// The time in there.
    fn now(&self) -> UtcMs {
        let (begin, at) = self.began.unwrap();
        begin.plus_ms(i64::try_from(at.elapsed().as_millis()).unwrap() * i64::from(self.rate))
    }

    fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twinstream"));
        if self.began.is_some() {
            command.args(["--clock", &format!("{}@{}", self.now(), self.rate)]);
        }
        command
            .env_remove("TWINSTREAM_X_BEARER_TOKEN")
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null());
        command
    }

    /// Starts the simulated world.
    fn simulate(&mut self, args: &[&str], faults: &str) {
        fs::write(self.path("faults.toml"), faults).unwrap();
        let mut child = self
            .program()
            .args(["simulate", "--rate", "30", "--faults"])
            .arg(self.path("faults.toml"))
            .arg("--truth")
            .arg(self.path("truth.jsonl"))
            .arg("--smtp")
            .arg(self.path("mails"))
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        self.api = Some(Guarded(child));
        for line in BufReader::new(stdout).lines().take(2).map(Result::unwrap) {
            match line.strip_prefix("smtp ") {
                Some(address) => address.clone_into(&mut self.smtp),
                None => self.url = line,
            }
        }
    }

    /// Writes the configuration; `more` goes to its end.
    fn configure(&self, more: &str) {
        let dir = self.dir.path().display();
        let text = format!(
            "data_dir = \"{dir}/data\"\n[x]\nbase_url = \"{}\"\nbearer_token_file = \"{dir}/token\"\n\
             [[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a.example.org\"\n\
             [[servers]]\nid = \"2\"\nrole = \"secondary\"\nhost = \"b.example.org\"\n\
             deliver_to = \"{dir}/primary\"\n\
             [deliver]\nevery = \"1s\"\n\
             [merge]\nxz = \"fast\"\nkeep_free = \"1MiB\"\nformats = [\"csv\"]\nsettle = \"1m\"\n\
             [status]\nlisten = \"127.0.0.1:{}\"\n{more}",
            self.url, self.page
        );
        fs::write(self.path("twinstream.toml"), text).unwrap();
    }

    fn mail_section(&self, host: &str, tls: &str) -> String {
        let port = self.smtp.rsplit_once(':').unwrap().1;
        format!(
            "[mail]\nhost = \"{host}\"\nport = {port}\ntls = \"{tls}\"\n\
             from = \"twinstream@example.org\"\nto = [\"me@example.org\"]\n"
        )
    }

    fn command(&self, server: &str) -> Command {
        let mut command = self.program();
        command.args(["--server", server, "--config"]);
        command.arg(self.path("twinstream.toml")).arg("run");
        command.stderr(fs::File::create(self.path("run.log")).unwrap());
        command
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("run.log")).unwrap()
    }

    /// Answers of the page: status and the whole text.
    fn get(&self, path: &str) -> (u16, String) {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost:{}\r\n\r\n",
            self.page
        );
        self.say(request.as_bytes())
    }

    fn say(&self, request: &[u8]) -> (u16, String) {
        let Ok(mut tcp) = TcpStream::connect(("127.0.0.1", self.page)) else {
            return (0, String::new());
        };
        tcp.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let mut answer = Vec::new();
        // a page that has seen enough closes while it is being written to
        drop(tcp.write_all(request));
        drop(tcp.read_to_end(&mut answer));
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        (status.unwrap_or(0), answer)
    }

    fn stage(&self, stage: &str) -> Value {
        let text = fs::read_to_string(self.path("data/stages.json")).unwrap_or_default();
        let record: Value = serde_json::from_str(&text).unwrap_or_default();
        record["stages"][stage].clone()
    }

    /// Bytes of posts in the spool of a server.
    fn stored(&self, server: &str) -> u64 {
        files_below(&self.path("data/spool").join(server))
            .iter()
            .filter(|path| {
                let name = path.file_name().unwrap().to_str().unwrap();
                name.contains(".jsonl") && !name.contains("events")
            })
            .map(|path| fs::metadata(path).map_or(0, |meta| meta.len()))
            .sum()
    }

    /// The subjects of all mails that have come.
    fn subjects(&self) -> Vec<String> {
        let mails = self.mails();
        let subject = |mail: &String| {
            let unfolded = mail.replace("\r\n ", " ");
            let line = unfolded
                .lines()
                .find_map(|line| line.strip_prefix("Subject: "));
            line.unwrap_or("").to_owned()
        };
        mails.iter().map(subject).collect()
    }

    fn mails(&self) -> Vec<String> {
        let mut paths = files_below(&self.path("mails"));
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "eml"));
        paths.sort();
        paths
            .iter()
            .map(|path| fs::read_to_string(path).unwrap())
            .collect()
    }
}

/// Stops the service and checks that it ends as it should.
#[track_caller]
fn stop(site: &Site, mut running: Running) {
    // before that it is ended by the signal itself, as any program
    until("it collects", || {
        site.log().contains("collecting as server")
    });
    running.signal(rustix::process::Signal::TERM);
    let status = running.wait();
    assert!(status.success(), "{status}");
}

#[test]
fn the_service_collects_merges_shows_and_writes() {
    at_pace(RATE, the_service_runs);
}

fn the_service_runs(rate: i32) {
    let mut site = Site::new(Some("2026-11-23T13:50:00Z")).at_rate(rate);
    let faults = "[[fault]]\nat = \"3m\"\nfor = \"150s\"\nkind = \"quiet\"\n";
    site.simulate(&[], faults);
    site.configure(&site.mail_section("127.0.0.1", "none"));
    let running = Running::of(site.command("1"));
    until("posts are stored", || site.get("/health").0 == 200);
    let (status, page) = site.get("/");
    assert_eq!(status, 200);
    for part in [
        "Storing posts",
        "content-security-policy: default-src 'none'",
        "1 (here)",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    until("the quiet is seen", || site.get("/health").0 == 503);
    until("the alarm", || {
        site.get("/").1.contains("has stored no post for")
    });
    let (_, metrics) = site.get("/metrics");
    for line in [
        "twinstream_storing 0.0",
        "twinstream_alarms{kind=\"no_posts\"} 1.0",
        "# EOF",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    until("the hour is merged", || {
        site.path("data/vault/2026-11-23/2026-11-23_13_manifest.json")
            .exists()
    });
    let has_come = |word: &str| {
        let subjects = site.subjects();
        subjects.iter().any(|subject| subject.contains(word))
    };
    until("the alarm's end is mailed", || has_come("over: no posts"));
    let status = || -> Value {
        let (_, json) = site.get("/api/status");
        serde_json::from_str(json.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    until("the hour is shown", || status()["vault"]["hours"] == 1);
    let status = status();
    assert_eq!(status["servers"][0]["link"]["state"], "connected");
    assert_eq!(
        status["alarms"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|a| a["kind"] == "no_posts")
            .count(),
        0
    );
    assert_eq!(site.stage("merge")["failures"], 0);
    stop(&site, running);
    until("the last mail", || has_come("WARNING"));
    let subjects = site.subjects();
    let of = |word: &str| {
        subjects
            .iter()
            .filter(|subject| subject.contains(word))
            .count()
    };
    let counts = [
        of("collecting has begun"),
        of("ALARM: no posts"),
        of("over: no posts"),
        of("WARNING: collecting ends"),
    ];
    assert_eq!(counts, [1, 1, 1, 1], "{subjects:?}");
    let alarm = site
        .mails()
        .into_iter()
        .find(|mail| mail.contains("ALARM: no posts"));
    assert!(alarm.unwrap().contains("What to do: Look at the log"));
    let truth = fs::read_to_string(site.path("truth.jsonl")).unwrap();
    assert!(truth.contains("\"event\":\"mail\",\"file\":\"0001.eml\""));
}

/// The children of a process, by the kernel's list.
fn children(parent: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_str().unwrap_or("").parse::<u32>() else {
            continue;
        };
        // (name) state parent; it may have ended meanwhile
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        if after.split(' ').nth(1) == Some(&parent.to_string()) && !after.starts_with('Z') {
            found.push(pid);
        }
    }
    found
}

/// Says whether it is still there to be signalled.
fn signal(pid: u32, signal: &str) -> bool {
    let sent = Command::new("kill")
        .args([&format!("-{signal}"), &pid.to_string()])
        .stderr(Stdio::null())
        .status();
    sent.unwrap().success()
}

fn is_there(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Waits for a child and stops it in its tracks, after it has said what it is.
#[track_caller]
fn catch_child(parent: u32) -> u32 {
    let mut caught = None;
    until("a child", || {
        caught = children(parent).into_iter().find(|pid| {
            let score = fs::read_to_string(format!("/proc/{pid}/oom_score_adj"));
            score.is_ok_and(|score| score.trim() == "500") && signal(*pid, "STOP") && {
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                stat.contains(") T ")
            }
        });
        caught.is_some()
    });
    caught.unwrap()
}

#[test]
fn whatever_becomes_of_a_child_it_goes_on_collecting() {
    let mut site = Site::new(None);
    site.simulate(&[], "");
    site.configure("");
    fs::create_dir(site.path("primary")).unwrap();
    let mut running = Running::of(site.command("2"));
    until("posts are stored", || 0 < site.stored("2"));
    // one that hangs
    let child = catch_child(running.id());
    let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap();
    let nice = stat
        .rsplit_once(") ")
        .unwrap()
        .1
        .split(' ')
        .nth(16)
        .unwrap()
        .to_owned();
    assert_eq!(nice, "10");
    let before = site.stored("2");
    until("posts beside a child that hangs", || {
        before + 50_000 < site.stored("2")
    });
    assert_eq!(site.get("/health").0, 200);
    assert!(is_there(child));
    // one that the kernel kills
    assert!(signal(child, "KILL"));
    until("it is noted", || site.log().contains("signal 9 ended it"));
    until("the next one does its work", || {
        let stage = site.stage("deliver");
        stage["failures"] == 0 && stage["ended"].is_string()
    });
    // one that fails
    fs::remove_dir_all(site.path("primary")).unwrap();
    fs::write(site.path("primary"), "in the way").unwrap();
    until("it fails again and again", || {
        site.stage("deliver")["failures"].as_u64() > Some(1)
    });
    let before = site.stored("2");
    until("more posts", || before < site.stored("2"));
    // the kernel kills the service: nothing of it stays
    let child = catch_child(running.id());
    running.signal(rustix::process::Signal::KILL);
    running.wait();
    until("the child has ended too", || !is_there(child));
    let running = Running::of(site.command("2"));
    let before = site.stored("2");
    until("it goes on", || before < site.stored("2"));
    stop(&site, running);
}

fn hears(next: &impl Fn() -> String, what: &str) -> bool {
    (0..100).any(|_| next().contains(what))
}

#[test]
fn systemd_is_told_what_is_so() {
    let mut site = Site::new(None);
    site.simulate(&[], "");
    site.configure("");
    let socket = UnixDatagram::bind(site.path("notify")).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    let mut command = site.command("1");
    command
        .env("NOTIFY_SOCKET", site.path("notify"))
        .env("WATCHDOG_USEC", "2000000");
    let running = Running::of(command);
    let next = || {
        let mut buffer = [0; 4_096];
        let len = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    };
    assert!(hears(&next, "READY=1"));
    for _ in 0..3 {
        assert!(hears(&next, "WATCHDOG=1"));
    }
    running.signal(rustix::process::Signal::TERM);
    assert!(hears(&next, "STOPPING=1"));
    stop(&site, running);
}

#[test]
fn a_folder_that_cannot_be_written_is_told_before_anything_begins() {
    let site = Site::new(None);
    site.configure("");
    fs::create_dir(site.path("data")).unwrap();
    fs::create_dir(site.path("data/write-test")).unwrap();
    let socket = UnixDatagram::bind(site.path("notify")).unwrap();
    socket.set_nonblocking(true).unwrap();
    let ended = site
        .command("1")
        .env("NOTIFY_SOCKET", site.path("notify"))
        .status()
        .unwrap();
    assert_eq!(ended.code(), Some(1));
    assert!(site.log().contains("cannot write: "), "{}", site.log());
    assert!(
        socket.recv(&mut [0; 10]).is_err(),
        "it said that it is ready"
    );
}

#[test]
fn hostile_requests_get_little_and_cost_little() {
    let site = Site::new(None);
    site.configure("");
    let running = Running::of(site.command("1"));
    until("the page answers", || site.get("/").0 == 200);
    let (status, why) = site.get("/health");
    assert_eq!(status, 503, "{why}");
    let ask = |request: String| site.say(request.as_bytes()).0;
    let local = "Host: 127.0.0.1\r\n";
    assert_eq!(
        ask(format!("GET /../../etc/passwd HTTP/1.1\r\n{local}\r\n")),
        404
    );
    assert_eq!(
        ask(format!(
            "POST / HTTP/1.1\r\n{local}Content-Length: 9\r\n\r\n"
        )),
        405
    );
    assert_eq!(
        ask("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned()),
        421
    );
    assert_eq!(ask("GET / HTTP/1.1\r\n\r\n".to_owned()), 421);
    assert_eq!(
        ask("GET / HTTP/1.1\r\nHost: [::1]:9\r\n\r\n".to_owned()),
        200
    );
    let long = format!(
        "GET / HTTP/1.1\r\n{local}X: {}\r\n\r\n",
        "x".repeat(100_000)
    );
    assert_ne!(ask(long), 200);
    let many = format!("GET / HTTP/1.1\r\n{local}{}\r\n", "X: y\r\n".repeat(1_000));
    assert_ne!(ask(many), 200);
    // as many connections as there is room for, none of which says anything: they are let go
    let silent: Vec<TcpStream> = (0..40)
        .map(|_| TcpStream::connect(("127.0.0.1", site.page)).unwrap())
        .collect();
    until("somebody else is served", || site.get("/").0 == 200);
    drop(silent);
    stop(&site, running);
}

#[test]
fn with_a_token_only_those_who_have_it_see_the_page() {
    let site = Site::new(None);
    site.secret("status-token", "s3cret\n");
    site.configure(&format!(
        "token_file = \"{}\"\n",
        site.path("status-token").display()
    ));
    let running = Running::of(site.command("1"));
    until("the page answers", || site.get("/").0 == 401);
    let with = |authorization: &str| {
        let request =
            format!("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\r\n");
        site.say(request.as_bytes()).0
    };
    // a:s3cret, a:wrong
    assert_eq!(with("Basic YTpzM2NyZXQ="), 200);
    assert_eq!(with("Basic YTp3cm9uZw=="), 401);
    assert_eq!(with("Bearer s3cret"), 200);
    stop(&site, running);
    assert!(!site.log().contains("s3cret"));
}

/// A certificate for that name and its key, as files.
fn certificate(site: &Site, name: &str) -> [String; 2] {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    fs::write(site.path("smtp.pem"), made.cert.pem()).unwrap();
    fs::write(site.path("smtp.key"), made.signing_key.serialize_pem()).unwrap();
    ["smtp.pem", "smtp.key"].map(|file| site.path(file).display().to_string())
}

/// What waits to be sent, in the order in which it was written.
fn waiting(site: &Site) -> Vec<Value> {
    let mut paths = files_below(&site.path("data/mail"));
    paths.sort();
    let letters = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    letters
        .filter_map(|path| serde_json::from_slice(&fs::read(path).ok()?).ok())
        .collect()
}

/// Mail over TLS from a service that trusts `trusted`.
fn run_with_mail(site: &Site, trusted: &Path) -> Running {
    let mut command = site.command("1");
    command
        .env("SSL_CERT_FILE", trusted)
        .env_remove("SSL_CERT_DIR");
    Running::of(command)
}

#[track_caller]
fn check_tls(tls: &str, more: &[&str]) {
    let mut site = Site::new(Some("2026-11-23T14:10:00Z"));
    let [certificate, key] = certificate(&site, "localhost");
    let mut args = vec!["--smtp-cert", &certificate, "--smtp-key", &key];
    args.extend(["--smtp-login", "me:pass-word"]);
    args.extend(more);
    site.simulate(&args, "");
    site.secret("password", "pass-word\n");
    let login = format!(
        "user = \"me\"\npassword_file = \"{}\"\n",
        site.path("password").display()
    );
    site.configure(&format!("{}{login}", site.mail_section("localhost", tls)));
    let running = run_with_mail(&site, Path::new(&certificate));
    until("the first mail", || !site.mails().is_empty());
    let mail = &site.mails()[0];
    for line in [
        "X-Simulated-Tls: yes",
        "X-Simulated-User: me",
        "X-Simulated-To: me@example.org",
    ] {
        assert!(mail.contains(line), "{line} in {mail}");
    }
    until("nothing waits", || waiting(&site).is_empty());
    stop(&site, running);
    assert!(!site.log().contains("pass-word"));
}

#[test]
fn mail_goes_over_starttls() {
    check_tls("starttls", &[]);
}

#[test]
fn mail_goes_over_tls_from_the_beginning() {
    check_tls("implicit", &["--smtp-implicit"]);
}

#[test]
fn a_mail_server_that_cannot_be_trusted_gets_nothing() {
    let mut site = Site::new(Some("2026-11-23T14:10:00Z"));
    let [mine, key] = certificate(&site, "other.example.org");
    site.simulate(&["--smtp-cert", &mine, "--smtp-key", &key], "");
    site.configure(&site.mail_section("localhost", "starttls"));
    let running = run_with_mail(&site, Path::new(&mine));
    until("it was tried twice", || {
        waiting(&site)
            .iter()
            .any(|letter| letter["attempts"].as_u64() > Some(1))
    });
    let failed = waiting(&site)[0]["failed"].as_str().unwrap().to_owned();
    assert!(failed.contains("certificate"), "{failed}");
    stop(&site, running);
    assert_eq!(site.mails().len(), 0);
    // one that offers no TLS at all
    let mut site = Site::new(Some("2026-11-23T14:10:00Z"));
    site.simulate(&[], "");
    site.configure(&site.mail_section("localhost", "starttls"));
    let running = Running::of(site.command("1"));
    until("it was tried twice", || {
        waiting(&site)
            .iter()
            .any(|letter| letter["attempts"].as_u64() > Some(1))
    });
    stop(&site, running);
    assert_eq!(site.mails().len(), 0);
}

#[test]
fn mail_that_is_not_taken_is_kept_and_comes_in_the_end() {
    at_pace(RATE, mail_is_not_taken);
}

fn mail_is_not_taken(rate: i32) {
    let mut site = Site::new(Some("2026-11-23T14:10:00Z")).at_rate(rate);
    let faults = "[[fault]]\nat = \"0s\"\nfor = \"4m\"\nkind = \"greylist\"\n\
                  [[fault]]\nat = \"4m\"\nfor = \"2m\"\nkind = \"down\"\n\
                  [[fault]]\nat = \"6m\"\nfor = \"1m\"\nkind = \"drop\"\n";
    let path = site.path("smtp-faults.toml");
    fs::write(&path, faults).unwrap();
    site.simulate(&["--smtp-faults", path.to_str().unwrap()], "");
    site.configure(&site.mail_section("127.0.0.1", "none"));
    let running = Running::of(site.command("1"));
    until("it is refused", || {
        waiting(&site).iter().any(|letter| {
            letter["failed"]
                .as_str()
                .is_some_and(|why| why.contains("451"))
        })
    });
    // the service is stopped while nothing can be sent, and started again
    stop(&site, running);
    assert!(
        2 <= waiting(&site).len(),
        "the warning of the end waits too"
    );
    let running = Running::of(site.command("1"));
    until("all came in the end", || {
        let subjects = site.subjects();
        let begun = subjects
            .iter()
            .filter(|subject| subject.contains("has begun"));
        begun.count() == 2 && waiting(&site).is_empty()
    });
    stop(&site, running);
    // each once. In their order, too, but for one that is refused at the last moment before the next is taken: see `monitor::queue`
    let mut ids: Vec<String> = site
        .mails()
        .iter()
        .map(|mail| {
            let id = mail
                .lines()
                .find_map(|line| line.strip_prefix("Message-ID: <"));
            id.unwrap().to_owned()
        })
        .collect();
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "{ids:?}");
    let truth = fs::read_to_string(site.path("truth.jsonl")).unwrap();
    for told in ["451 4.7.1", "\"event\":\"smtp_port\",\"open\":false"] {
        assert!(truth.contains(told), "{told}: a fault did not happen");
    }
}

/// An odd password goes as it is; a name without a dot is not said; and a server that takes mail for one
/// at a time gives it to each once.
#[test]
fn a_choosy_mail_server_gets_what_it_wants() {
    at_pace(RATE, a_choosy_mail_server);
}

fn a_choosy_mail_server(rate: i32) {
    let mut site = Site::new(Some("2026-11-23T14:10:00Z")).at_rate(rate);
    let faults = "[[fault]]\nat = \"0s\"\nfor = \"10m\"\nkind = \"bare_hello\"\n\
                  [[fault]]\nat = \"10m\"\nfor = \"9h\"\nkind = \"single\"\n";
    let path = site.path("smtp-faults.toml");
    fs::write(&path, faults).unwrap();
    let password = " pässwörd \"it's\" #1 ";
    let login = format!("me:{password}");
    site.simulate(
        &[
            "--smtp-faults",
            path.to_str().unwrap(),
            "--smtp-login",
            &login,
        ],
        "",
    );
    site.secret("password", &format!("\u{feff}{password}\r\nand a remark\n"));
    let mail = site.mail_section("127.0.0.1", "none").replace(
        "\"me@example.org\"",
        "\"me@example.org\", \"you@example.org\"",
    );
    let file = site.path("password").display().to_string();
    site.configure(&format!(
        "{mail}user = \"me\"\npassword_file = \"{file}\"\n"
    ));
    let running = Running::of(site.command("1"));
    until("the first mail", || !site.mails().is_empty());
    let first = site.mails().remove(0);
    for line in [
        "X-Simulated-User: me",
        "X-Simulated-To: me@example.org, you@example.org",
    ] {
        assert!(first.contains(line), "{line} in {first}");
    }
    let hello = first
        .lines()
        .find_map(|line| line.strip_prefix("X-Simulated-Hello: "))
        .unwrap()
        .to_owned();
    let own = rustix::system::uname();
    let own = own.nodename().to_string_lossy();
    let expected = if own.contains('.') {
        &*own
    } else {
        "example.org"
    };
    assert_eq!(hello, expected);
    until("one recipient at a time is wanted", || {
        at("2026-11-23T14:21:00Z") < site.now()
    });
    stop(&site, running);
    until("all have the last mail", || waiting(&site).is_empty());
    let of_end = site
        .mails()
        .into_iter()
        .filter(|mail| mail.contains("collecting ends"));
    let to: Vec<String> = of_end
        .map(|mail| {
            let to = mail
                .lines()
                .find_map(|line| line.strip_prefix("X-Simulated-To: "));
            to.unwrap().to_owned()
        })
        .collect();
    assert_eq!(to, ["me@example.org", "you@example.org"]);
    let truth = fs::read_to_string(site.path("truth.jsonl")).unwrap();
    assert!(truth.contains("554 5.7.1"), "{truth}");
    assert!(!truth.contains("535 5.7.8"), "{truth}");
    assert!(!site.log().contains(password.trim()));
}

#[test]
fn a_recipient_that_is_refused_keeps_mail_from_nobody_else_and_is_an_alarm() {
    let mut site = Site::new(Some("2026-11-23T14:10:00Z"));
    site.rate = 120;
    let faults =
        "[[fault]]\nat = \"0s\"\nfor = \"9h\"\nkind = \"refuse\"\nto = \"gone@example.org\"\n";
    let path = site.path("smtp-faults.toml");
    fs::write(&path, faults).unwrap();
    site.simulate(&["--smtp-faults", path.to_str().unwrap()], "");
    let mail = site.mail_section("127.0.0.1", "none").replace(
        "\"me@example.org\"",
        "\"me@example.org\", \"gone@example.org\", \"you@example.org\"",
    );
    site.configure(&mail);
    // `check` asks for each, and sends nothing
    let mut check = site.program();
    check.args(["--server", "1", "--config"]);
    check
        .arg(site.path("twinstream.toml"))
        .args(["check", "--json"]);
    let found: Vec<Value> = serde_json::from_slice(&check.output().unwrap().stdout).unwrap();
    let findings: Vec<(&str, &str)> = found
        .iter()
        .filter(|one| one["check"] == "mail")
        .map(|one| {
            (
                one["state"].as_str().unwrap(),
                one["what"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        findings.iter().map(|finding| finding.0).collect::<Vec<_>>(),
        ["ok", "fail", "ok"]
    );
    assert!(
        findings[1].1.contains("gone@example.org: ") && findings[1].1.contains("(550): 5.1.1"),
        "{findings:?}"
    );
    assert_eq!(site.mails().len(), 0);

    let running = Running::of(site.command("1"));
    until("the first mail is kept for one of them", || {
        waiting(&site).iter().any(|letter| {
            letter["taken"] == serde_json::json!(["me@example.org", "you@example.org"])
                && letter["failed"]
                    .as_str()
                    .unwrap()
                    .contains("to gone@example.org: ")
        })
    });
    stop(&site, running);
    let running = Running::of(site.command("1"));
    until("that somebody gets none is an alarm", || {
        let (_, metrics) = site.get("/metrics");
        metrics.contains("twinstream_alarms{kind=\"mail_stuck\"} 1.0")
    });
    let page = site.get("/").1;
    assert!(page.contains("to gone@example.org: "), "{page}");
    until("the others hear of it", || {
        site.subjects()
            .iter()
            .any(|subject| subject.contains("ALARM: mail stuck"))
    });
    stop(&site, running);
    let mails = site.mails();
    let to = |mail: &String| mail.contains("X-Simulated-To: me@example.org, you@example.org\r\n");
    assert!(mails.iter().all(to), "{mails:?}");
    let mut subjects = site.subjects();
    let all = subjects.len();
    assert_eq!(
        subjects
            .iter()
            .filter(|subject| subject.contains("has begun"))
            .count(),
        2
    );
    // nothing came twice: each mail has its id
    subjects = mails
        .iter()
        .filter_map(|mail| mail.lines().find(|line| line.starts_with("Message-ID: ")))
        .map(str::to_owned)
        .collect();
    subjects.sort();
    subjects.dedup();
    assert_eq!(subjects.len(), all);
    // what was taken for some is not called unsent
    let log = site.log();
    assert!(
        log.contains("sent to me@example.org, you@example.org, not yet to all"),
        "{log}"
    );
    assert!(!log.contains("mail not sent"), "{log}");
}

#[test]
fn nothing_that_is_wrong_with_mail_keeps_it_from_collecting() {
    for (section, words) in [
        (
            "user = \"me\"\npassword_file = \"none-there\"\n",
            "none-there",
        ),
        (
            "user = \"me\"\npassword_file = \"open\"\n",
            "others can read",
        ),
        ("hots = \"a\"\n", "there is no such key"),
        ("to = [\"nobody\"]\n", "is not a mail address"),
    ] {
        let mut site = Site::new(Some("2026-11-23T14:10:00Z"));
        site.simulate(&[], "");
        fs::write(site.path("open"), "password").unwrap();
        let mut mail = site.mail_section("127.0.0.1", "none");
        if section.starts_with("to") {
            mail = mail.replace("to = [\"me@example.org\"]\n", "");
        }
        site.configure(&format!("{mail}{section}"));
        let running = Running::of(site.command("1"));
        until(words, || {
            let (_, page) = site.get("/api/status");
            let json = page.split_once("\r\n\r\n").map_or("", |(_, json)| json);
            let status: Value = serde_json::from_str(json).unwrap_or_default();
            let alarms = status["alarms"].as_array().cloned().unwrap_or_default();
            alarms.iter().any(|alarm| {
                alarm["kind"] == "mail_stuck" && alarm["what"].as_str().unwrap().contains(words)
            })
        });
        until("it collects", || 0 < site.stored("1"));
        stop(&site, running);
        assert!(!waiting(&site).is_empty(), "{words}: its mails are kept");
        // whoever asks is told
        let mut check = site.program();
        check.args(["--server", "1", "--config"]);
        check
            .arg(site.path("twinstream.toml"))
            .args(["check", "--json"]);
        let said = check.output().unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_page_that_cannot_be_served_is_an_alarm_and_keeps_nobody_from_collecting() {
    let mut site = Site::new(Some("2026-11-23T14:10:00Z"));
    site.simulate(&[], "");
    site.configure("");
    let taken = TcpListener::bind(("127.0.0.1", site.page)).unwrap();
    let running = Running::of(site.command("1"));
    until("it collects", || 0 < site.stored("1"));
    until("the alarm", || site.log().contains("alarm=\"no_page\""));
    drop(taken);
    until("the page is there", || site.get("/health").0 == 200);
    until("the alarm is over", || {
        site.log().contains("alarm over: cannot serve the page")
    });
    stop(&site, running);
}

/// The revisions that a statement speaks of, by hour.
fn spoken_of(statement: &[u8]) -> Vec<(String, u64)> {
    let spoken = AnyStatement::read(statement).map_or(Vec::new(), |spoken| spoken.revisions);
    let told = spoken.iter();
    told.map(|of| (of.hour.to_string(), of.revision)).collect()
}

#[test]
fn a_day_that_late_data_changed_gets_a_new_certificate_which_becomes_public() {
    let mut site = Site::new(Some("2026-11-24T01:40:00Z"));
    site.rate = 300;
    // at first OSF does not accept the token
    let refused = "[[fault]]\ntimes = 2\nkind = \"status\"\nstatus = 401\n";
    let osf = Osf::start(refused, &[]);
    site.secret("osf-token", "s3cret-osf-token");
    let publish = format!(
        "[publish.osf]\nproject = \"abcde\"\nbase_url = \"{}\"\ntoken_file = \"{}\"\n",
        osf.url,
        site.path("osf-token").display()
    );
    // of the mails none is taken: they wait where they can be seen
    site.configure(&format!(
        "{}{publish}",
        site.mail_section("127.0.0.1", "none")
    ));
    let received = stream(2, at("2026-11-23T21:50:00Z"), 90, 3);
    let spool = site.path("data/spool");
    let of = |server: &str, nth: usize| segments(server, &received[nth]);
    let late = of("2", 1).split_off(60);
    let in_time = of("2", 1).into_iter().take(60);
    for segment in of("1", 0).into_iter().chain(in_time) {
        segment.put(&RealDisk, &spool, false);
    }
    let running = Running::of(site.command("1"));
    let path = "2026/11/23/2026-11-23_certificate.json";
    let here = || {
        let path = "data/vault/2026-11-23/2026-11-23_certificate.json";
        fs::read(site.path(path)).unwrap_or_default()
    };
    let is_public = || {
        osf.files()
            .get(path)
            .is_some_and(|public| *public == here())
    };
    let speaks_of = |hour: &str, revision: u64| {
        let told = spoken_of(&here());
        told.contains(&(hour.to_owned(), revision)) && is_public()
    };
    until("the day's report is public", || {
        speaks_of("2026-11-23_22", 1)
    });
    let reports = || {
        let letters = waiting(&site);
        let subject = |letter: &Value| letter["subject"].as_str().unwrap().to_owned();
        letters
            .iter()
            .filter(|letter| subject(letter).contains("report of"))
            .count()
    };
    assert_eq!(reports(), 1);
    for segment in &late {
        segment.put(&RealDisk, &spool, false);
    }
    until("the report of the changed day is public", || {
        speaks_of("2026-11-23_22", 2)
    });
    stop(&site, running);
    let subjects: Vec<String> = waiting(&site)
        .iter()
        .map(|letter| letter["subject"].as_str().unwrap().to_owned())
        .filter(|subject| subject.contains("osf token"))
        .collect();
    assert_eq!(
        subjects,
        [
            "[twinstream 1] ALARM: osf token",
            "[twinstream 1] over: osf token"
        ]
    );
    // no mail for each of them; the next day's will tell
    assert_eq!(reports(), 1);
    let renewed = fs::read_to_string(site.path("data/renewed.json")).unwrap();
    assert!(renewed.starts_with("{\"2026-11-23\":\""), "{renewed}");
}
