//! `demo --config`: a rehearsal of the user's own set-up, which touches nothing that is theirs.

use std::{
    fs, io,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;
use twinstream::{
    cover::{cause::Cause, gap::Gap},
    vault::manifest::Manifest,
};

use crate::support::{folder::files_below, pace::at_pace};

/// Simulated seconds per second.
const RATE: i32 = 500;

/// What would give the user away wherever it turned up.
const SECRET: &str = "the-users-own-secret";

/// A port of the user's world: nobody may knock.
fn trap() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn clock(rate: i32) -> String {
    format!("2026-11-23T14:00:00Z@{rate}")
}

fn demo(config: &Path, dir: &Path, rate: i32) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_twinstream"));
    command
        .args(["--clock", &clock(rate)])
        .arg("--config")
        .arg(config)
        .args(["demo", "--posts", "1", "--dir"])
        .arg(dir)
        .env("TWINSTREAM_X_BEARER_TOKEN", SECRET)
        .stdin(Stdio::null());
    command
}

/// Runs it to its end; gives its words and what the status page showed while it ran.
fn watched(config: &Path, dir: &Path, rate: i32) -> (Output, String) {
    let mut running = demo(config, dir, rate)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut said, mut page) = (String::new(), String::new());
    for line in BufReader::new(running.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(url) = line.strip_prefix("The status page, while this runs: ") {
            page = ureq::get(url)
                .call()
                .unwrap()
                .body_mut()
                .read_to_string()
                .unwrap();
        }
        said += &(line + "\n");
    }
    let output = running.wait_with_output().unwrap();
    let stdout = said.into_bytes();
    (Output { stdout, ..output }, page)
}

/// A set-up as it might be: everything that leads outside is named in it.
fn config(real: &Path, ports: [u16; 4]) -> String {
    let [api, osf, mail, ssh] = ports;
    let real = real.display();
    format!(
        r#"
data_dir = "{real}"
vault_dir = "{real}/archive"
[x]
base_url = "http://127.0.0.1:{api}"
bearer_token_file = "{real}/token"
[[servers]]
id = "east"
role = "secondary"
host = "east"
deliver_to = "ssh://u@127.0.0.1:{ssh}{real}/spool"
[[servers]]
id = "west"
role = "primary"
host = "west"
[[servers]]
id = "gone"
role = "secondary"
host = "gone"
deliver_to = "{real}/spool"
until = "2026-01-01"
[merge]
timezone = "Asia/Kolkata"
settle = "2h"
formats = ["csv"]
keep_free = "1MiB"
[hook]
after_hour = ["/bin/touch", "{real}/hooked"]
[publish.osf]
project = "zyxwv"
base_url = "http://127.0.0.1:{osf}"
token_file = "{real}/token"
[mail]
host = "127.0.0.1"
port = {mail}
tls = "none"
user = "me"
password_file = "{real}/token"
from = "from@example.org"
to = ["to@example.org"]
"#
    )
}

#[test]
fn the_demo_of_bluesky_shows_what_was_asked_for_again_and_what_could_not_be_had() {
    at_pace(RATE, the_demo_of_bluesky);
}

fn the_demo_of_bluesky(rate: i32) {
    let top = TempDir::new().unwrap();
    let dir = top.path().join("demo");
    let mut demo = Command::new(env!("CARGO_BIN_EXE_twinstream"));
    demo.args(["--clock", &clock(rate)])
        .args(["demo", "--source", "bluesky", "--posts", "2", "--dir"])
        .arg(&dir)
        .stdin(Stdio::null());
    let output = demo.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let wrong = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}\n{wrong}");
    assert!(said.contains("all holds") && said.contains("_posts.csv.xz"));
    let happened = fs::read_to_string(dir.join("truth.jsonl")).unwrap();
    for kind in ["loss", "refuse", "drop", "stale", "garbage", "clamp"] {
        assert!(happened.contains(&format!("\"kind\":\"{kind}\"")), "{kind}");
    }
    let hour = "server1/vault/2026-11-23/2026-11-23_14_manifest.json";
    let manifest = Manifest::from_json(&fs::read(dir.join(hour)).unwrap()).unwrap();
    // at such a pace a process takes simulated seconds to start and to stop
    let is_long = |gap: &&Gap| 60 <= gap.seconds();
    let gaps: Vec<&Gap> = manifest.gaps.iter().filter(is_long).collect();
    let found: Vec<(&str, Cause)> = gaps
        .iter()
        .map(|gap| (gap.server.as_str(), gap.cause))
        .collect();
    assert_eq!(found, [("2", Cause::ReplayWindow)], "{gaps:?}");
    let lost = manifest.counts.servers.values().map(|of| of.only_here);
    let lost: Vec<u64> = lost.collect();
    assert!(100 < lost[0] && 10 < lost[1], "{lost:?}");
    let mail = fs::read_to_string(files_below(&dir.join("mail")).first().unwrap()).unwrap();
    assert!(mail.contains("report of 2026-11-23"));
    let public = files_below(&dir.join("osf/storage"));
    let names = public
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap());
    let names: Vec<&str> = names.collect();
    for name in [
        "2026-11-23_14_IDs.txt.xz",
        "2026-11-23_14_manifest.json",
        "DATASET.md",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert!(
        !names
            .iter()
            .any(|name| name.contains("posts") || name.contains("deletions"))
    );
}

#[test]
fn a_rehearsal_goes_by_the_users_configuration_and_touches_nothing_of_theirs() {
    at_pace(RATE, a_rehearsal);
}

fn a_rehearsal(rate: i32) {
    let top = TempDir::new().unwrap();
    let real = top.path().join("real");
    fs::create_dir(&real).unwrap();
    fs::write(real.join("token"), SECRET).unwrap();
    // who reads it all the same is told off
    fs::set_permissions(real.join("token"), fs::Permissions::from_mode(0o644)).unwrap();
    let traps = [trap(), trap(), trap(), trap()];
    let ports = [&traps[0], &traps[1], &traps[2], &traps[3]].map(|(_, port)| *port);
    let file = top.path().join("mine.toml");
    fs::write(&file, config(&real, ports)).unwrap();

    let inside = demo(&file, &real.join("rehearsal"), rate).output().unwrap();
    assert_eq!(inside.status.code(), Some(2), "{inside:?}");

    let dir = top.path().join("rehearsal");
    let (output, page) = watched(&file, &dir, rate);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let logs = ["servereast.log", "serverwest.log", "simulator.log"]
        .map(|log| fs::read_to_string(dir.join(log)).unwrap_or_default());
    assert_eq!(
        output.status.code(),
        Some(0),
        "{said}\n{}\n{logs:#?}",
        String::from_utf8_lossy(&output.stderr)
    );
    for shown in ["<th scope=\"row\">east", "<th scope=\"row\">west"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    // theirs: the zone with its half hours, the two servers that go on, the project, the addresses
    let day = dir.join("serverwest/vault/2026-11-23");
    let manifest = fs::read(day.join("2026-11-23_19_manifest.json")).unwrap();
    let manifest = Manifest::from_json(&manifest).unwrap();
    let servers: Vec<String> = manifest
        .coverage
        .servers
        .keys()
        .map(ToString::to_string)
        .collect();
    assert_eq!(servers, ["east", "west"]);
    assert!(!day.join("2026-11-23_19_posts.parquet").exists());
    assert!(
        dir.join("osf/storage/2026/11/23/2026-11-23_19_IDs.txt.xz")
            .exists(),
        "{said}"
    );
    let mails = files_below(&dir.join("mail"));
    let mail = fs::read_to_string(mails.first().unwrap()).unwrap();
    assert!(mail.contains("to@example.org") && mail.contains("report of 2026-11-23"));
    for key in [
        "data_dir",
        "hook.after_hour",
        "mail.password_file",
        "x.base_url",
    ] {
        assert!(said.contains(key), "{key} is not named: {said}");
    }
    // untouched: folders, ports, secrets
    assert_eq!(files_below(&real), [real.join("token")]);
    for (listener, port) in &traps {
        let knocked = listener.accept().map(|(_, from)| from);
        assert_eq!(
            knocked.map_err(|error| error.kind()),
            Err(io::ErrorKind::WouldBlock),
            "somebody was at port {port}: {said}"
        );
    }
    for path in files_below(&dir) {
        let bytes = fs::read(&path).unwrap();
        let found = bytes.windows(SECRET.len()).any(|w| w == SECRET.as_bytes());
        assert!(!found, "{} has the user's secret", path.display());
    }
}
