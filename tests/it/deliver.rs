//! Delivery to a folder: real processes, real files, interrupted and repeated at will.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use twinstream::{
    deliver::{
        plan::Plan,
        run::{self, DeliverJob},
    },
    period::{Minute, UtcMs},
    place::{
        decide::Asks,
        open::{Opener, Spool},
    },
    segment::{
        acks,
        event::{Event, EventKind},
        name::{RunId, SegmentName},
    },
    world::disk::RealDisk,
};

use crate::support::{
    disk::SimulatedDisk,
    folder::files_below,
    posts::{Received, Segment},
};

/// A secondary with its spool, and the primary's spool beside it.
struct Site {
    dir: TempDir,
}

const FIRST_MINUTE: i64 = 29_924_040;

/// A segment of so many lines in that minute.
fn segment(minute: i64, lines: u32) -> Segment {
    let name = SegmentName {
        server: "2".parse().unwrap(),
        stream: "sample".to_owned(),
        partition: None,
        minute: Minute(FIRST_MINUTE + minute),
        run: RunId(0x3fa9_c01b),
        part: 0,
    };
    let received = |k| Received {
        at: name.minute.begin(),
        line: format!("{{\"data\":{{\"id\":\"{k}\"}}}}").into_bytes(),
    };
    let first_line = Event {
        at: name.minute.begin(),
        what: EventKind::FirstLine {
            clock_offset_ms: None,
        },
        connection: 1,
    };
    Segment {
        name: name.clone(),
        lines: (0..lines).map(received).collect(),
        events: vec![first_line],
    }
}

impl Site {
    fn new(keep_delivered: &str) -> Self {
        let site = Self {
            dir: TempDir::new().unwrap(),
        };
        fs::create_dir_all(site.target()).unwrap();
        site.configure("primary/spool", keep_delivered);
        site
    }

    fn configure(&self, deliver_to: &str, keep_delivered: &str) {
        let dir = self.dir.path().display();
        let text = format!(
            "data_dir = \"{dir}/secondary\"\n[x]\nbase_url = \"http://127.0.0.1:1\"\n\
             [[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a.example.org\"\n\
             [[servers]]\nid = \"2\"\nrole = \"secondary\"\nhost = \"b.example.org\"\n\
             deliver_to = \"{dir}/{deliver_to}\"\n[deliver]\nkeep_delivered = \"{keep_delivered}\"\n"
        );
        fs::write(self.dir.path().join("twinstream.toml"), text).unwrap();
    }

    fn spool(&self) -> PathBuf {
        self.dir.path().join("secondary/spool")
    }

    fn target(&self) -> PathBuf {
        self.dir.path().join("primary/spool")
    }

    /// The primary has begun to use its spool.
    fn mark(&self) {
        let opener = Opener::of(&RealDisk, self.dir.path());
        let _marked: Spool = opener.spool(&self.target().into(), Asks::Make).unwrap();
    }

    /// Seals a segment of so many lines in that minute.
    fn seal(&self, minute: i64, lines: u32) -> SegmentName {
        let segment = segment(minute, lines);
        segment.put(&RealDisk, &self.spool(), false);
        segment.name
    }

    /// A merge of the primary.
    #[track_caller]
    fn check_merge(&self, at: &str, exit: i32) -> String {
        let config = self.dir.path().join("primary.toml");
        let text = fs::read_to_string(self.dir.path().join("twinstream.toml")).unwrap();
        let text = text.replace("/secondary\"\n", "/primary\"\n");
        fs::write(&config, text + "[merge]\nkeep_free = \"0B\"\n").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_twinstream"));
        command.args(["--clock", &format!("{at}@1"), "--server", "1", "--config"]);
        let output = command.arg(config).arg("merge").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{said}");
        said
    }

    fn command(&self, at: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twinstream"));
        command
            .args(["--clock", &format!("{at}@1"), "--server", "2", "--config"])
            .arg(self.dir.path().join("twinstream.toml"))
            .arg("deliver");
        command
    }

    #[track_caller]
    fn check_deliver(&self, at: &str, exit: i32) -> Output {
        let output = self.command(at).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(exit), "{stderr}");
        output
    }
}

/// Every file below a folder with its bytes; acknowledgements and leftovers aside.
fn tree(top: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut paths = files_below(top);
    paths.retain(|path| !path.ends_with("acks.jsonl") && !path.ends_with("spool.json"));
    let read = |path: PathBuf| {
        let inside = path.strip_prefix(top).unwrap().to_owned();
        (inside, fs::read(path).unwrap())
    };
    paths.into_iter().map(read).collect()
}

/// Files that have their final names at the target.
fn arrived(site: &Site) -> usize {
    let is_final = |path: &&PathBuf| path.extension().is_some_and(|ending| ending != "tmp");
    let folder = site.target().join("2/2026-11-23/14");
    files_below(&folder).iter().filter(is_final).count()
}

const NOW: &str = "2026-11-23T15:00:00Z";
const WEEK_LATER: &str = "2026-11-30T15:00:00Z";

#[test]
fn what_is_delivered_is_the_same_there_and_goes_here_only_after_its_time() {
    let site = Site::new("48h");
    for minute in 0..3 {
        site.seal(minute, 10);
    }
    // an open pair is not sent
    let open = site
        .spool()
        .join("2/2026-11-23/14/2_sample_20261123T1459Z_3fa9c01b_000.jsonl.open");
    fs::create_dir_all(open.parent().unwrap()).unwrap();
    fs::write(&open, "{}").unwrap();
    let mut sent = tree(&site.spool());
    sent.remove(open.strip_prefix(site.spool()).unwrap());

    site.check_deliver(NOW, 0);
    assert_eq!(tree(&site.target()), sent);
    site.check_deliver(NOW, 4);
    assert_eq!(tree(&site.spool()).len(), 10, "kept for keep_delivered");

    // one that is not acknowledged stays, however old
    site.seal(3, 10);
    site.configure("elsewhere/spool", "48h");
    site.check_deliver(WEEK_LATER, 6);
    assert_eq!(
        tree(&site.spool()).len(),
        13,
        "nothing goes while the target is away"
    );
    site.configure("primary/spool", "48h");
    site.check_deliver(WEEK_LATER, 0);
    assert_eq!(
        tree(&site.spool()).len(),
        4,
        "the open file, and what was acknowledged just now"
    );
    assert_eq!(tree(&site.target()).len(), 12);
}

/// However often a copy is damaged there after it was acknowledged: it is sent again, and nothing goes here before the copy
/// that stands now was read back.
#[test]
fn what_is_found_damaged_after_it_was_acknowledged_is_sent_again_and_never_goes_before() {
    let site = Site::new("48h");
    site.mark();
    let [damaged, _good] = [0, 1].map(|minute| site.seal(minute, 10));
    let sent = tree(&site.spool());
    let there = damaged.paths(&site.target());
    site.check_deliver(NOW, 0);
    let faults: [(&str, &str, &dyn Fn()); 3] = [
        ("11-24", "11-26", &|| {
            fs::write(&there.segment, "cut").unwrap();
        }),
        ("11-27", "11-29", &|| {
            fs::remove_file(&there.events).unwrap();
        }),
        ("11-30", "12-02", &|| fs::write(&there.seal, "{").unwrap()),
    ];
    for (n, (merged, delivered, damage)) in faults.iter().enumerate() {
        damage();
        let said = site.check_merge(&format!("2026-{merged}T15:00:00Z"), 5);
        assert!(said.contains("acknowledgement is withdrawn"), "{said}");
        assert!(!there.segment.exists() && !there.seal.exists());
        // longer than keep_delivered after the last acknowledgement
        let output = site.check_deliver(&format!("2026-{delivered}T15:00:00Z"), 0);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("delivered 1 segment to"), "{n}: {said}");
        for path in [&there.segment, &there.events, &there.seal] {
            let inside = path.strip_prefix(site.target()).unwrap();
            assert_eq!(fs::read(path).unwrap(), sent[inside], "{n}");
        }
        let here = tree(&site.spool());
        let is_here = |path: &&PathBuf| path.to_str().unwrap().contains(&damaged.to_string());
        assert_eq!(here.keys().filter(is_here).count(), 3, "{n}: {here:?}");
    }
    site.check_merge("2026-12-04T15:00:00Z", 0);
    site.check_deliver("2026-12-10T15:00:00Z", 0);
    assert!(tree(&site.spool()).is_empty());
}

/// What a machine collected under another id is delivered by nobody: it is said, and how to deliver it.
#[test]
fn what_was_collected_under_another_id_is_not_passed_over_in_silence() {
    let site = Site::new("48h");
    for minute in 0..3 {
        site.seal(minute, 10);
    }
    let runs = site.spool().join("2/runs.json");
    fs::write(&runs, "{\"runs\":[]}").unwrap();
    let config = site.dir.path().join("twinstream.toml");
    let former = fs::read_to_string(&config).unwrap();
    let now = former.replace("id = \"2\"", "id = \"3\"");
    fs::write(&config, &now).unwrap();
    let as_server = |id: &str, what: &[&str], exit: i32| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twinstream"));
        command.args(["--clock", &format!("{NOW}@1"), "--server", id, "--config"]);
        let output = command.arg(&config).args(what).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(
            exit < 0 || output.status.code() == Some(exit),
            "{what:?}: {said}"
        );
        said
    };
    for (what, exit) in [
        (&["deliver", "--dry-run"][..], 0),
        (&["deliver"], 5),
        (&["check"], -1),
    ] {
        let said = as_server("3", what, exit);
        assert!(
            said.contains("3 sealed segments of server 2") && said.contains("--server 2 deliver"),
            "{said}"
        );
        assert!(!said.contains("all that is sealed"), "{said}");
    }
    let said = as_server("3", &["deliver", "--dry-run", "--json"], 0);
    assert!(said.contains("\"left_behind\": {\n    \"2\": 3"), "{said}");
    // what it says helps
    let until = "[[servers]]\nid = \"2\"\nrole = \"secondary\"\nhost = \"b.example.org\"\nuntil = \"2026-11-24\"\n";
    let to = format!("deliver_to = \"{}\"\n", site.target().display());
    fs::write(&config, format!("{now}{until}{to}")).unwrap();
    as_server("2", &["deliver"], 0);
    assert_eq!(tree(&site.target()).len(), 9);
    // what others delivered to a machine that was the primary is not its own
    fs::remove_file(&runs).unwrap();
    as_server("3", &["deliver"], 4);
}

#[test]
fn nothing_is_overwritten_and_one_bad_segment_stops_no_other() {
    let site = Site::new("0s");
    site.mark();
    let [conflict, damaged, half, good] = [0, 1, 2, 3].map(|minute| site.seal(minute, 5));
    let there = |name: &SegmentName| name.paths(&site.target());
    fs::create_dir_all(there(&conflict).folder).unwrap();
    fs::write(there(&conflict).segment, "something else").unwrap();
    // of the right length
    let path = damaged.paths(&site.spool()).segment;
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::write(&path, &bytes).unwrap();
    // a delivery that was cut: one file in place, one torn aside, no seal
    fs::copy(half.paths(&site.spool()).segment, there(&half).segment).unwrap();
    fs::write(there(&half).events.with_extension("jsonl.tmp"), "torn").unwrap();

    let output = site.check_deliver(NOW, 1);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("exists with other content"), "{stderr}");
    assert!(
        stderr.contains("is damaged: sealed with sha256"),
        "{stderr}"
    );
    assert_eq!(
        fs::read(there(&conflict).segment).unwrap(),
        b"something else"
    );
    assert!(!there(&conflict).seal.exists());
    assert!(!there(&damaged).seal.exists());
    for name in [&half, &good] {
        let here = tree(&site.spool());
        for path in [there(name).segment, there(name).events, there(name).seal] {
            let inside = path.strip_prefix(site.target()).unwrap();
            assert_eq!(
                here.get(inside),
                Some(&fs::read(&path).unwrap()),
                "{}",
                path.display()
            );
        }
    }
    // the good ones may go at once (keep_delivered is 0), the bad ones stay for a person to see
    site.check_deliver("2026-11-23T15:00:01Z", 1);
    let left: Vec<String> = tree(&site.spool())
        .keys()
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert!(
        left.iter()
            .all(|stem| stem.starts_with(&conflict.to_string())
                || stem.starts_with(&damaged.to_string())),
        "{left:?}"
    );
    assert_eq!(left.len(), 6);
}

#[test]
fn each_of_the_three_files_is_compared_and_what_was_redacted_does_not_come_back() {
    let site = Site::new("0s");
    site.mark();
    let [other_events, other_seal, good, redacted] =
        [0, 1, 2, 3].map(|minute| site.seal(minute, 5));
    let there = |name: &SegmentName| name.paths(&site.target());
    fs::create_dir_all(there(&good).folder).unwrap();
    fs::write(there(&other_events).events, "{}\n").unwrap();
    fs::write(there(&other_seal).seal, "{}\n").unwrap();
    // delivered before; since then a post was taken out there, and then another
    let here = redacted.paths(&site.spool());
    let mut seal: Value = serde_json::from_slice(&fs::read(&here.seal).unwrap()).unwrap();
    let [ours, between] = [seal["segment"]["sha256"].clone(), json!("1".repeat(64))];
    let was = [ours, between].map(|sha256| json!({"lines": 1, "sha256": sha256}));
    seal["redacted"] = json!(was);
    seal["segment"]["sha256"] = json!("0".repeat(64));
    let seal = serde_json::to_vec(&seal).unwrap();
    fs::write(there(&redacted).seal, &seal).unwrap();
    fs::write(there(&redacted).segment, "what is left").unwrap();
    fs::copy(&here.events, there(&redacted).events).unwrap();

    let output = site.check_deliver(NOW, 1);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        said.matches("exists with other content").count(),
        2,
        "{said}"
    );
    assert_eq!(fs::read(there(&other_events).events).unwrap(), b"{}\n");
    assert_eq!(fs::read(there(&other_seal).seal).unwrap(), b"{}\n");
    assert_eq!(fs::read(there(&redacted).segment).unwrap(), b"what is left");
    assert_eq!(fs::read(there(&redacted).seal).unwrap(), seal);

    // an acknowledgement of other events than those that lie here lets nothing go
    let acks = site.target().join("2/acks.jsonl");
    let text = fs::read_to_string(&acks).unwrap();
    let changed = text.lines().map(|line| {
        let mut ack: Value = serde_json::from_str(line).unwrap();
        if ack["file"] == json!(format!("{good}.events.jsonl")) {
            ack["sha256"] = json!("0".repeat(64));
        }
        format!("{ack}\n")
    });
    fs::write(&acks, changed.collect::<String>()).unwrap();
    site.check_deliver("2026-11-23T15:00:01Z", 1);
    for (name, stays) in [
        (&other_events, true),
        (&other_seal, true),
        (&good, true),
        (&redacted, false),
    ] {
        let paths = name.paths(&site.spool());
        for path in [paths.segment, paths.events, paths.seal] {
            assert_eq!(path.exists(), stays, "{}", path.display());
        }
    }
}

#[test]
fn nothing_is_delivered_through_a_link_that_a_merge_would_not_follow() {
    let site = Site::new("0s");
    site.mark();
    let name = site.seal(0, 5);
    let [elsewhere, moved] = ["elsewhere", "moved"].map(|name| site.dir.path().join(name));
    fs::create_dir_all(&elsewhere).unwrap();
    let day = site.target().join("2/2026-11-23");
    fs::create_dir_all(site.target().join("2")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &day).unwrap();
    for _ in 0..2 {
        let output = site.check_deliver(NOW, 1);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("is not a real folder"), "{stderr}");
    }
    assert!(tree(&elsewhere).is_empty());
    assert_eq!(tree(&site.spool()).len(), 3, "nothing goes here");
    // the target itself may lie elsewhere
    fs::remove_file(&day).unwrap();
    fs::rename(site.target(), &moved).unwrap();
    std::os::unix::fs::symlink(&moved, site.target()).unwrap();
    site.check_deliver(NOW, 0);
    assert!(name.paths(&moved).seal.exists());
}

#[test]
fn a_copy_that_does_not_read_back_is_not_acknowledged_and_nothing_goes() {
    let (spool, target) = (Path::new("/secondary/spool"), Path::new("/primary/spool"));
    let server = "2".parse().unwrap();
    let one = segment(0, 5);
    let plan = Plan {
        send: vec![one.name.clone()],
        settled: Vec::new(),
        unreadable: 0,
    };
    let now = || UtcMs(0);
    // the first write is the segment's, the second the events file's, the third the seal's
    for nth in 1..=3 {
        let disk = SimulatedDisk::default();
        let opener = Opener::of(&disk, Path::new("/secondary"));
        let job = DeliverJob {
            server: &server,
            spool: &opener.spool(&spool.into(), Asks::Make).unwrap(),
            target: &opener.spool(&target.into(), Asks::MakeInEmpty).unwrap(),
            keep_delivered: Duration::ZERO,
            keep_free: 0,
        };
        one.put(&disk, spool, true);
        let here = disk.files();
        disk.spoil_write(nth);
        let delivered = run::carry_out(&disk, &job, &plan, &now, |_| ()).unwrap();
        assert!(disk.has_spoiled());
        assert_eq!((delivered.sent, delivered.failed), (0, 1));
        let there = one.name.paths(target);
        let path = [&there.segment, &there.events, &there.seal][usize::try_from(nth).unwrap() - 1];
        let files = disk.files();
        assert!(!files.contains_key(path), "{}", path.display());
        assert!(!files.contains_key(&acks::path(target, &server)));
        assert!(
            here.iter()
                .all(|(path, bytes)| files.get(path) == Some(bytes))
        );
        // the next delivery mends it
        let delivered = run::carry_out(&disk, &job, &plan, &now, |_| ()).unwrap();
        assert_eq!((delivered.sent, delivered.failed), (1, 0));
        let acknowledged = acks::read(&disk, &acks::path(target, &server), |_| true).unwrap();
        assert_eq!(acknowledged.len(), 3);
    }
}

#[test]
fn a_delivery_killed_again_and_again_arrives_whole() {
    let site = Site::new("48h");
    for minute in 0..40 {
        site.seal(minute, 2_000);
    }
    let sent = tree(&site.spool());
    let mut killed = 0;
    for round in 0..200 {
        let mut child = site
            .command(NOW)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // until the next file has arrived, so that each round is cut at another place
        let before = arrived(&site);
        while child.try_wait().unwrap().is_none() && arrived(&site) <= before + round % 3 {}
        killed += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        if arrived(&site) == sent.len() {
            break;
        }
    }
    // a busy machine does not let us see each file arrive
    assert!(1 < killed, "only {killed} were really killed");
    let last = site.command(NOW).output().unwrap();
    assert!(matches!(last.status.code(), Some(0 | 4)), "{last:?}");
    assert_eq!(tree(&site.target()), sent);
    site.check_deliver(NOW, 4);
}

#[test]
fn a_second_delivery_beside_the_first_and_a_wrong_target_are_refused() {
    let site = Site::new("48h");
    site.seal(0, 10);
    let now: UtcMs = NOW.parse().unwrap();
    let lock =
        twinstream::world::lock::Lock::take(&site.dir.path().join("secondary"), "deliver", now);
    let output = site.check_deliver(NOW, 7);
    assert!(String::from_utf8_lossy(&output.stderr).contains("is held by process"));
    drop(lock);
    site.configure("secondary/spool", "0s");
    site.check_deliver(NOW, 3);
    assert_eq!(tree(&site.spool()).len(), 3);
}
