//! What cannot be read is told of by its name, and stops nothing else.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use twinstream::world::disk::{Disk as _, RealDisk};

use crate::support::{
    authority::{Authority, P256},
    folder::files_below,
    osf::{Osf, Publisher, Said, some_of},
    primary::at,
    skipped::skipped,
};

const NOW: &str = "2026-11-24T06:00:00Z";
const TWINSTREAM: &str = env!("CARGO_BIN_EXE_twinstream");

/// A command without root's right to read everything.
fn command(publisher: &Publisher, what: &[&str]) -> Command {
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--bounding-set=-dac_override,-dac_read_search", "--"])
            .arg(TWINSTREAM);
        command
    } else {
        Command::new(TWINSTREAM)
    };
    let config = publisher.site.root.join("twinstream.toml");
    command.arg("--config").arg(config);
    command.args(["--clock", &format!("{NOW}@1000")]).args(what);
    command.stdin(Stdio::null());
    command
}

/// Exit code, and all that was said.
#[track_caller]
fn check(publisher: &Publisher, what: &[&str], code: i32, words: &[&str]) {
    let output = command(publisher, what).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(output.status.code(), Some(code), "{what:?}: {said}");
    for words in words {
        assert!(said.contains(words), "no {words:?} in: {said}");
    }
}

fn close(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
}

fn open(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_cannot_be_read_is_named_and_stops_nothing_else() {
    let osf = Osf::start("", &[]);
    let publisher = Publisher::with_hours("2026-11-23T22:10:00Z", 4, NOW);
    publisher.publish(&osf, &["--dry-run"]).check(0, "upload");
    let (vault, spool) = (publisher.site.vault(), publisher.site.spool());
    let vault_shown = vault.display().to_string();

    // what a file system keeps in its root is not ours
    for folder in [&vault, &spool, &spool.join("1"), &publisher.site.root] {
        fs::create_dir(folder.join("lost+found")).unwrap();
        close(&folder.join("lost+found"));
    }
    check(&publisher, &["verify", &vault_shown], 0, &["all holds"]);
    check(&publisher, &["merge", "--server=1"], 4, &[]);

    // a day of the vault
    let day = vault.join("2026-11-24");
    close(&day);
    let denied = "/2026-11-24 cannot be listed: Permission denied";
    let here = "2026-11-23      2";
    check(&publisher, &["verify", &vault_shown], 1, &[denied, here]);
    publisher
        .site
        .put(&some_of(at("2026-11-23T23:40:00Z"), "3"));
    let merged = [denied, "2026-11-23_23"];
    check(
        &publisher,
        &["merge", "--server=1", "--hour=2026-11-23_23"],
        5,
        &merged,
    );
    open(&day);

    // an hour of the spool
    let hour = spool.join("2/2026-11-24/00");
    close(&hour);
    let denied = "/2026-11-24/00 cannot be listed: Permission denied";
    publisher
        .site
        .put(&some_of(at("2026-11-23T22:40:00Z"), "3"));
    let merged = [denied, "2026-11-23_22"];
    check(
        &publisher,
        &["merge", "--server=1", "--hour=2026-11-23_22"],
        5,
        &merged,
    );
    let there = publisher.site.root.join("x/2");
    fs::create_dir_all(publisher.site.root.join("x")).unwrap();
    let delivered = [denied, "delivered 3 segments", "1 failed"];
    check(&publisher, &["deliver", "--server=2"], 1, &delivered);
    assert!(there.join("2026-11-23/22").is_dir());
    open(&hour);

    // a file that is to be public
    let report = vault.join("2026-11-23/2026-11-23_report.txt");
    close(&report);
    let denied = "2026-11-23_report.txt cannot be opened: Permission denied";
    check(&publisher, &["publish", "--server=1"], 1, &[denied]);
    assert!(osf.files().contains_key("2026/11/23/2026-11-23_gaps.csv"));
}

/// What the ledger says, and the list of what was redacted, must be known before anything is merged. Nothing else may keep late
/// data of an hour from being merged and published.
#[test]
fn whatever_of_a_vault_cannot_be_read_the_other_hours_go_on() {
    let osf = Osf::start("", &[]);
    let publisher = Publisher::with_hours("2026-11-23T22:10:00Z", 4, NOW);
    publisher.publish(&osf, &[]).check(0, "published");
    let vault = publisher.site.vault();
    fs::create_dir(vault.join("witness")).unwrap();
    let beside = [
        "witness/ledger_000001_20261124T050000Z.tsr",
        "witness/authority_3f9a0c41b2d7e865.pem",
        "CITATION.cff",
    ];
    for name in beside {
        fs::write(vault.join(name), "of nobody").unwrap();
    }
    // all but two hours: that of the late data, and one that tells when the vault began
    let files: Vec<String> = publisher.site.files().into_keys().collect();
    let is_open = |name: &str| {
        let open = ["-23_23_", "-24_01_", "ledger.jsonl", "vault.json"];
        open.iter().any(|open| name.contains(open))
    };
    let closed: Vec<&String> = files.iter().filter(|name| !is_open(name)).collect();
    assert!(15 < closed.len(), "{closed:?}");
    for name in &closed {
        close(&vault.join(name));
    }
    publisher
        .site
        .put(&some_of(at("2026-11-23T23:40:00Z"), "3"));
    check(
        &publisher,
        &["merge", "--server=1"],
        5,
        &["2026-11-23_23", "2026-11-23_22"],
    );
    let told: Vec<String> = beside.map(|name| format!("{name} cannot be opened")).into();
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    check(&publisher, &["publish", "--server=1"], 1, &told);
    for name in &closed {
        open(&vault.join(name));
    }
    for kind in ["IDs.txt.xz", "manifest.json"] {
        let ours = fs::read(vault.join(format!("2026-11-23/2026-11-23_23_{kind}"))).unwrap();
        let public = osf
            .files()
            .remove(&format!("2026/11/23/2026-11-23_23_{kind}"));
        assert_eq!(public, Some(ours), "{kind}");
    }
}

/// Below `merge.keep_free` no stage that fills a disk goes on, however it is reached; each goes on when there is room.
#[test]
fn below_keep_free_no_stage_goes_on() {
    let (osf, authority) = (Osf::start("", &[]), Authority::start(P256));
    let publisher = Publisher::with_hours("2026-11-23T22:10:00Z", 1, NOW);
    let root = &publisher.site.root;
    let there = root.join("there");
    fs::create_dir(&there).unwrap();
    publisher
        .site
        .put(&some_of(at("2026-11-23T22:40:00Z"), "1"));
    let before = publisher.site.files();
    let done = |room: &str, what: &[&str]| {
        let mut command = publisher.any_command(&osf.url, &authority.config(), what);
        let path = root.join("twinstream.toml");
        let config = fs::read_to_string(&path).unwrap();
        let config = config
            .replace("keep_free = \"1KiB\"", &format!("keep_free = \"{room}\""))
            .replace("deliver_to = \"x\"", "deliver_to = \"there\"");
        assert!(
            config.contains(room) && config.contains("there"),
            "{config}"
        );
        fs::write(&path, config).unwrap();
        if what == ["deliver"] {
            // that is the secondary's
            command = self::command(&publisher, &["deliver", "--server=2"]);
        }
        Said::of(&command.output().unwrap())
    };
    let stages: [(&[&str], i32); 4] = [
        (&["merge"], 1),
        (&["publish"], 1),
        (&["witness"], 1),
        (&["deliver"], 6),
    ];
    for (what, code) in stages {
        done("1000000TiB", what).check(code, "merge.keep_free");
    }
    assert!(
        before == publisher.site.files(),
        "nothing was merged or stamped"
    );
    assert!(osf.files().is_empty());
    assert_eq!(some_files(&there), 0);
    for (what, _) in stages {
        done("1KiB", what).check(0, "");
    }
    let after = publisher.site.files();
    let mut names = after.keys();
    assert!(names.any(|name| name.starts_with("witness/ledger_")) && before.len() < after.len());
    assert!(!osf.files().is_empty() && 0 < some_files(&there));
}

/// How many segments lie below a folder.
fn some_files(folder: &Path) -> usize {
    let mut files = files_below(folder);
    files.retain(|path| path.to_string_lossy().ends_with(".seal.json"));
    files.len()
}

#[test]
fn no_inode_is_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let mount = |command: &str, args: &[&str]| {
        let status = Command::new(command).args(args).arg(dir.path()).output();
        status.is_ok_and(|output| output.status.success())
    };
    if !mount(
        "mount",
        &["-t", "tmpfs", "-o", "size=100m,nr_inodes=40", "tmpfs"],
    ) {
        skipped("mounting a file system is not allowed here");
        return;
    }
    let before = RealDisk.free(dir.path()).unwrap();
    let files = (0..).take_while(|n| fs::File::create(dir.path().join(format!("{n}"))).is_ok());
    let files = files.count();
    let after = RealDisk.free(dir.path()).unwrap();
    let config = tempfile::tempdir().unwrap();
    let path = config.path().join("twinstream.toml");
    let text = format!(
        "data_dir = \"{}\"\n[x]\nbase_url = \"http://127.0.0.1:9\"\n[[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a.example.org\"\n",
        dir.path().display()
    );
    fs::write(&path, text).unwrap();
    let said = Command::new(TWINSTREAM)
        .args(["check", "--server=1", "--config"])
        .arg(&path)
        .output();
    assert!(mount("umount", &["-l"]));
    let said = String::from_utf8_lossy(&said.unwrap().stdout).into_owned();
    assert!(0 < before && 0 < files && files < 40, "{before} {files}");
    assert_eq!(after, 0);
    assert!(said.contains("no more files can be made"), "{said}");
}
