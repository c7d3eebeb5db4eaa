//! What stands around the stages: the first configuration, `check`, the unit, the hook.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::Value;
use tempfile::TempDir;
use twinstream::world::disk::RealDisk;

use crate::support::{
    api::Api,
    folder::files_below,
    posts,
    site::until,
    skipped::skipped,
    sshd::{self, Sshd},
};

fn twinstream(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_twinstream"))
        .args(arguments)
        .current_dir(folder)
        .env("HOME", folder)
        .env_remove("TWINSTREAM_X_BEARER_TOKEN")
        .env_remove("XDG_CONFIG_HOME")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[track_caller]
fn check(folder: &Path, arguments: &[&str], exit: i32) -> (String, String) {
    let output = twinstream(folder, arguments);
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(
        output.status.code(),
        Some(exit),
        "{arguments:?}: {stdout}{stderr}"
    );
    (stdout, stderr)
}

/// What a terminal shows while somebody answers there: each question, and what is typed.
#[track_caller]
fn on_a_terminal(folder: &Path, arguments: &str, dialogue: &[(&str, &str)]) -> String {
    let program = env!("CARGO_BIN_EXE_twinstream");
    // it gives a command a terminal, and hands on how that ended
    let mut terminal = Command::new("script")
        .args(["-qec", &format!("{program} {arguments}"), "/dev/null"])
        .current_dir(folder)
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = terminal.stdout.take().unwrap();
    let shown = Arc::new(Mutex::new(String::new()));
    let reader = {
        let shown = Arc::clone(&shown);
        thread::spawn(move || {
            let mut buffer = [0; 4_096];
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                shown.lock().unwrap().push_str(&text);
            }
        })
    };
    let mut stdin = terminal.stdin.take().unwrap();
    let mut seen = 0;
    for (question, answer) in dialogue {
        until(question, || {
            shown.lock().unwrap()[seen..].contains(question)
        });
        seen = shown.lock().unwrap().len();
        stdin.write_all(answer.as_bytes()).unwrap();
        stdin.write_all(b"\r").unwrap();
    }
    assert!(terminal.wait().unwrap().success());
    reader.join().unwrap();
    shown.lock().unwrap().clone()
}

#[test]
fn init_asks_on_a_terminal_and_again_for_what_cannot_be() {
    let dir = TempDir::new().unwrap();
    let dialogue = [
        ("Folder for the data [/var/lib/twinstream]: ", "data"),
        ("firehose or filtered [sample]: ", "everything"),
        ("firehose or filtered [sample]: ", "sample10"),
        ("X bearer token [/etc/twinstream/x-bearer-token]: ", ""),
        ("archive's hours [UTC]: ", "Mars/Olympus"),
        ("\"Mars/Olympus\" is not a time zone", "CET"),
        ("Host of the primary [", "one.example.org"),
        ("there is one server): ", "one.example.org"),
        ("is another machine", "two.example.org"),
        (
            "Partitions 1 to 2 that the primary collects (all, 1, …) [all]: ",
            "0",
        ),
        ("collects (all, 1, …) [all]: ", ""),
        ("Those that the secondary collects [all]: ", "2"),
        ("OSF project to publish in (empty: none): ", ""),
        ("(empty: no mail): ", "mail.example.org"),
        ("Sender's address [twinstream@", ""),
        ("Address to send them to: ", ""),
        ("an address looks like", "me@example.org"),
    ];
    let shown = on_a_terminal(dir.path(), "init", &dialogue);
    assert!(shown.contains("wrote twinstream.toml"), "{shown}");
    let written = fs::read_to_string(dir.path().join("twinstream.toml")).unwrap();
    // both servers name one folder
    let folder = dir.path().join("data").display().to_string();
    let data_dir = format!("data_dir = \"{folder}\"");
    let spool = format!("deliver_to = \"ssh://twinstream@one.example.org{folder}/spool\"");
    for line in [
        data_dir.as_str(),
        &spool,
        "timezone = \"CET\"",
        "host = \"two.example.org\"",
        "partitions = \"2\"",
        "to = [\"me@example.org\"]",
    ] {
        assert!(written.contains(line), "{line} in {written}");
    }
    assert!(!written.contains("\n[publish.osf]"), "{written}");
    assert!(written.contains("\nstream = \"sample10\"\n"), "{written}");
}

const OLD_SETTINGS: &str = "SERVER = 1\nPYTHON_DST = /usr/bin/python3\nPYTHON_LIBRARY_DST=/usr/lib/python3\n\
    TWITTER_API_KEY_DST=/home/me/keys\nTWITTER_API_KEY_FILENAME=twitter.txt\nNOTIFICATIONS = True\n\
    M3ClASSIFY=False\nEMAIL_CREDENTIALS_DST=/home/me/keys\nEMAIL_CREDENTIALS_FILENAME=mail.txt\n\
    TMP_STORAGE_SERVER_1=/data/s1\nTMP_STORAGE_SERVER_2=/data/s2\nREPOSITORY_DST=/home/me/repo\nUSERNAME=me\n\
    GROUPNAME=me\nOSF_KEY_DST=/home/me/keys\nOSF_KEY_FILENAME=osf.txt\nDATA_VAULT_DST=/data/vault\nSHOE_SIZE=44\n";

#[test]
fn init_writes_a_right_file_once_and_tells_what_became_of_every_old_line() {
    let dir = TempDir::new().unwrap();
    let here = dir.path();
    let (next, _) = check(
        here,
        &[
            "init",
            "--secondary",
            "other.example.net",
            "--osf-project",
            "abcde",
        ],
        0,
    );
    assert!(next.starts_with("wrote twinstream.toml\nnext:\n"), "{next}");
    let path = here.join("twinstream.toml");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o640
    );
    let written = fs::read(&path).unwrap();
    let (checked, _) = check(here, &["config", "check"], 0);
    assert!(checked.starts_with("ok "), "{checked}");
    let (_, said) = check(here, &["init"], 1);
    assert!(said.contains("is not overwritten"), "{said}");
    assert_eq!(fs::read(&path).unwrap(), written);

    fs::write(here.join("server_settings.txt"), OLD_SETTINGS).unwrap();
    let from = [
        "init",
        "--config",
        "new/t.toml",
        "--from-server-settings",
        "server_settings.txt",
    ];
    let (said, _) = check(here, &from, 0);
    for (number, line) in OLD_SETTINGS.lines().enumerate() {
        let key = line.split(['=', ' ']).next().unwrap();
        let begins = format!("line {:>3}  {key} ", number + 1);
        assert_eq!(said.matches(&begins).count(), 1, "{begins:?} in {said}");
    }
    assert!(
        said.contains("SHOE_SIZE") && said.contains("twinstream does not know it"),
        "{said}"
    );
    let (shown, _) = check(
        here,
        &["config", "show", "--config", "new/t.toml", "--json"],
        0,
    );
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let value = |key: &str| {
        let found = shown
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["key"] == key);
        found.map_or_else(String::new, |one| one["value"].as_str().unwrap().to_owned())
    };
    assert_eq!(value("merge.timezone"), "CET");
    assert_eq!(value("vault_dir"), "/data/vault-twinstream");
    assert_eq!(value("x.bearer_token_file"), "/home/me/keys/twitter.txt");
    check(here, &["config", "check", "--config", "new/t.toml"], 0);
    check(
        here,
        &["init", "--config", "bad.toml", "--timezone", "Mars"],
        2,
    );
    let one_machine = ["--primary", "one", "--secondary", "One"];
    let arguments = [&["init", "--config", "bad.toml"], one_machine.as_slice()].concat();
    let (_, said) = check(here, &arguments, 2);
    assert!(
        said.contains("hint: the secondary is another machine"),
        "{said}"
    );
    assert!(!here.join("bad.toml").exists());
    let filtered = ["init", "--config", "rules.toml", "--stream", "filtered"];
    let (_, said) = check(here, &filtered, 2);
    assert!(said.contains("hint: add --rule "), "{said}");
    let rule = ["--rule", "climate \"sea level\""];
    check(here, &[&filtered[..], &rule].concat(), 0);
    let bluesky = ["init", "--config", "bad.toml", "--source", "bluesky"];
    let (_, said) = check(here, &[&bluesky[..], &rule].concat(), 2);
    assert!(said.contains("--rule is for X only"), "{said}");
}

#[test]
fn config_check_judges_a_token_as_collect_does_and_says_which_server_this_is() {
    let dir = TempDir::new().unwrap();
    let here = dir.path();
    let flags = ["--data-dir", "data", "--token-file", "token"];
    check(here, &[&["init"], flags.as_slice()].concat(), 0);
    let look = |exit| check(here, &["config", "check"], exit);
    let (said, _) = look(0);
    assert!(said.contains("; this is server 1, primary\n"), "{said}");
    assert!(said.contains("warn  cannot use the token: "), "{said}");

    let token = here.join("token");
    fs::write(&token, "AAAA\n").unwrap();
    let mode = |mode| fs::set_permissions(&token, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    let (_, refused) = check(here, &["collect"], 3);
    assert!(refused.contains("others can read"), "{refused}");
    let (said, error) = look(3);
    assert_eq!((said.as_str(), error), ("", refused));
    mode(0o600);
    let (said, _) = look(0);
    assert!(!said.contains("warn"), "{said}");
    assert!(
        said.contains("\nok    stream sample: one connection"),
        "{said}"
    );

    let path = here.join("twinstream.toml");
    let written = fs::read_to_string(&path).unwrap();
    let x = "[x]\nstream = \"firehose\"\npartitions = \"1-18\"\n";
    let second = "\n[[servers]]\nid = \"2\"\nrole = \"secondary\"\nhost = \"b\"\npartitions = \"2,11-19\"\ndeliver_to = \"there\"\n";
    // a server is there until its last day has come
    for (until, is_there) in [("2026-01-31", false), ("2199-01-31", true)] {
        let second = format!("{second}until = \"{until}\"\n");
        fs::write(&path, written.replace("[x]\n", x) + &second).unwrap();
        let (said, _) = look(0);
        assert_eq!(
            said.contains("server 2: 10 connections"),
            is_there,
            "{said}"
        );
        assert_eq!(
            said.contains("no server collects partitions 19-20"),
            !is_there,
            "{said}"
        );
    }
    fs::write(&path, written.replace("[x]\n", x) + second).unwrap();
    let (said, _) = look(0);
    for line in [
        "ok    stream firehose in 20 partitions",
        "      server 1: 18 connections, for partitions 1-18",
        "      server 2: 10 connections, for partitions 2, 11-19",
        "note  no server collects partition 20",
        "note  only one server collects partitions 1, 3-10, 19: what it misses there is lost",
    ] {
        assert!(said.lines().any(|shown| shown == line), "{line}: {said}");
    }
    let long = "cats ".repeat(250);
    let x = format!("[x]\nstream = \"filtered\"\nrules = [{{ value = \"{long}\" }}]\n");
    fs::write(&path, written.replace("[x]\n", &x)).unwrap();
    let (said, _) = look(0);
    let warned = "warn  1 rule has more than 1,024 characters: X takes such rules with an enterprise contract only";
    assert!(said.contains(warned), "{said}");
}

/// Runs systemd's own checker on a unit; `None` if there is none here.
fn systemd(folder: &Path, unit: &str, arguments: &[&str]) -> Option<(bool, String)> {
    let path = folder.join("twinstream.service");
    fs::write(&path, unit).unwrap();
    let Ok(output) = Command::new("systemd-analyze")
        .args(arguments)
        .arg(&path)
        .output()
    else {
        skipped("systemd-analyze: the units are not checked");
        return None;
    };
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8(said).unwrap()))
}

#[test]
fn the_unit_is_what_systemd_takes_and_hardly_anything_is_open_to_it() {
    let dir = TempDir::new().unwrap();
    let here = dir.path();
    let unit = here.join("unit");
    fs::create_dir(&unit).unwrap();
    check(
        here,
        &[
            "init",
            "--secondary",
            "other",
            "--mail-host",
            "mail.example.org",
            "--mail-to",
            "me@example.org",
            "--mail-user",
            "me",
        ],
        0,
    );
    for server in ["1", "2"] {
        let (text, _) = check(here, &["--server", server, "service", "print"], 0);
        assert!(text.contains(&format!("--server {server} run\n")), "{text}");
        for line in [
            "Type=notify",
            "WatchdogSec=120",
            "User=twinstream",
            "LoadCredential=x-bearer-token:/etc/twinstream/x-bearer-token",
            "LoadCredential=mail-password:/etc/twinstream/mail-password",
            "SetCredential=mail-password:\\n",
            "StateDirectory=twinstream",
            "RequiresMountsFor=/var/lib/twinstream /var/lib/twinstream/spool /var/lib/twinstream/vault",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(!text.contains("Group="), "{text}");
        assert!(!text.contains("SetCredential=x-bearer-token"), "{text}");
        if let Some((clean, said)) = systemd(&unit, &text, &["verify"]) {
            assert!(clean && said.trim().is_empty(), "{said}");
        }
        if let Some((_, said)) =
            systemd(&unit, &text, &["security", "--offline=true", "--no-pager"])
        {
            let level = said
                .lines()
                .find(|line| line.contains("exposure level"))
                .unwrap_or_else(|| panic!("{said}"));
            let score: f64 = level
                .split(':')
                .nth(1)
                .unwrap()
                .split_whitespace()
                .next()
                .unwrap()
                .parse()
                .unwrap();
            assert!(score <= 1.8, "{said}");
        }
    }
    // every folder of the configuration, wherever it lies and whatever its name
    let elsewhere = [
        "init",
        "--config",
        "elsewhere.toml",
        "--vault-dir",
        "/mnt/a $b/vault",
        "--secondary",
        "other",
        "--deliver-to",
        "/mnt/far/spool",
    ];
    check(here, &elsewhere, 0);
    let print = [
        "--config",
        "elsewhere.toml",
        "--server",
        "2",
        "service",
        "print",
    ];
    let (text, _) = check(here, &print, 0);
    let line = text
        .lines()
        .find(|line| line.starts_with("RequiresMountsFor="));
    for folder in [
        "/mnt/far/spool",
        "\"/mnt/a $b/vault\"",
        "/var/lib/twinstream/spool",
    ] {
        assert!(
            line.is_some_and(|line| line.contains(folder)),
            "{folder}: {text}"
        );
    }
    assert!(
        text.lines()
            .any(|line| line == "ReadWritePaths=-/mnt/far/spool"),
        "{text}"
    );
    if let Some((clean, said)) = systemd(&unit, &text, &["verify"]) {
        assert!(clean && said.trim().is_empty(), "{said}");
    }
    // never as root, under whatever name
    let (_, said) = check(here, &["service", "print", "--run-as", "root"], 3);
    assert!(said.contains("never runs as root"), "{said}");
    let as_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let (text, said) = check(
        here,
        &["service", "print", "--user"],
        if as_root { 3 } else { 0 },
    );
    assert!(if as_root {
        said.contains("never runs as root")
    } else {
        !text.contains("User=")
    });
    let (text, _) = check(here, &["service", "install", "--dry-run"], 0);
    assert!(
        text.starts_with("# would be written to /etc/systemd/system/twinstream.service\n"),
        "{text}"
    );
    check(here, &["service", "print", "--run-as", "a b"], 3);
}

#[test]
fn check_tries_each_door_and_says_how_to_mend_it() {
    let dir = TempDir::new().unwrap();
    let here = dir.path();
    // an API that grants no backfill
    let api = Api::start(|nth, peer| match nth % 2 {
        0 => peer.raw("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"),
        _ => peer.raw(
            "HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 2015 00:00:00 GMT\r\ncontent-length: 0\r\n\r\n",
        ),
    });
    let token = here.join("token");
    fs::write(&token, "AAAA\n").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let config = |deliver_to: &str, options: &[String], more: &str| {
        let text = format!(
            "data_dir = \"data\"\n[x]\nbase_url = \"http://127.0.0.1:{}\"\nbearer_token_file = \"token\"\n\
             [[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a.example.org\"\n\
             [[servers]]\nid = \"2\"\nrole = \"secondary\"\nhost = \"b.example.org\"\ndeliver_to = \"{deliver_to}\"\n\
             [deliver]\nssh_options = {options:?}\n[merge]\nkeep_free = \"0B\"\n{more}",
            api.port
        );
        fs::write(here.join("twinstream.toml"), text).unwrap();
    };
    let found = |exit: i32| {
        let (said, _) = check(here, &["--server", "2", "check", "--json"], exit);
        let all: Vec<Value> = serde_json::from_str(&said).unwrap();
        move |check: &str| {
            let one = all
                .iter()
                .rfind(|one| one["check"] == check)
                .unwrap_or_else(|| panic!("no {check} in {all:?}"));
            assert!(one["state"] == "ok" || one["hint"].is_string(), "{one}");
            (
                one["state"].as_str().unwrap().to_owned(),
                one["what"].as_str().unwrap().to_owned(),
            )
        }
    };
    config(
        "ssh://u@127.0.0.1:1/spool",
        &[],
        "[mail]\nhost = \"127.0.0.1\"\nport = 1\ntls = \"none\"\nfrom = \"a@b\"\nto = [\"c@d\"]\n",
    );
    if sshd::can_ssh() {
        let finding = found(6);
        assert_eq!(finding("token").0, "ok");
        assert_eq!(finding("backfill").0, "warn");
        assert_eq!(finding("rsync").0, "ok");
        assert_eq!(finding("primary").0, "fail");
        assert_eq!(finding("mail").0, "fail");
        assert_eq!(finding("disk").0, "ok");
        let sshd = Sshd::start(&here.join("ssh"), "");
        fs::create_dir_all(here.join("p/spool")).unwrap();
        let target = format!(
            "ssh://{}@127.0.0.1:{}{}/p/spool",
            sshd::user(),
            sshd.port(),
            here.display()
        );
        config(&target, &sshd.options(), "");
        assert_eq!(found(0)("primary").0, "ok");
    }
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    config("p", &[], "");
    let finding = found(1);
    let (state, what) = finding("token");
    assert!(
        state == "fail" && what.contains("others can read"),
        "{what}"
    );
    assert!(
        finding("folder").1.contains("spool"),
        "a secondary's last one"
    );
    assert_eq!(files_below(&here.join("data")).len(), 0, "left as it was");
}

#[test]
fn after_each_hour_the_hook_is_run_and_cannot_harm_the_merge() {
    let dir = TempDir::new().unwrap();
    let here = dir.path();
    let begin = "2026-11-23T14:00:00Z".parse().unwrap();
    let received = posts::stream(1, begin, 70, 5).remove(0);
    for segment in posts::segments("1", &received) {
        segment.put(&RealDisk, &here.join("data/spool"), false);
    }
    let hook = here.join("hook");
    fs::write(
        &hook,
        "#!/bin/sh\necho \"$#: $2\" >> \"$1\"\necho noise\nexit 3\n",
    )
    .unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let text = format!(
        "data_dir = \"data\"\n[x]\nbase_url = \"http://127.0.0.1:1\"\n[[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a\"\n\
         [merge]\nformats = [\"csv\"]\nkeep_free = \"0B\"\n[hook]\nafter_hour = [{:?}, {:?}]\n",
        hook.display().to_string(),
        here.join("said").display().to_string(),
    );
    fs::write(here.join("twinstream.toml"), text).unwrap();
    let merge = [
        "--server",
        "1",
        "--clock",
        "2026-11-23T15:30:00Z@1",
        "merge",
        "--json",
    ];
    let (json, log) = check(here, &merge, 0);
    let outcome: Value = serde_json::from_str(&json).unwrap();
    let hours = outcome["committed"].as_array().unwrap().len();
    assert!(0 < hours);
    let said = fs::read_to_string(here.join("said")).unwrap();
    assert_eq!(said.lines().count(), hours, "{said}");
    for line in said.lines() {
        let path = line.strip_prefix("2: ").unwrap();
        assert!(
            path.ends_with("_manifest.json") && Path::new(path).exists(),
            "{path}"
        );
    }
    assert_eq!(log.matches("after_hour failed").count(), hours, "{log}");
    let (_, log) = check(here, &merge, 4);
    assert!(!log.contains("after_hour"), "{log}");
}
