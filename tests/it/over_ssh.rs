//! Delivery over ssh: a real sshd, a real rsync, a restricted key, a link that breaks, a hostile sender.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use twinstream::{
    deliver::receive,
    period::{Minute, UtcMs},
    place::{
        decide::Asks,
        open::{Opener, Spool},
    },
    segment::{
        acks,
        event::{Event, EventKind},
        name::{RunId, SegmentName, ServerId},
        sha256::Sha256,
    },
    world::disk::{Disk as _, RealDisk},
};

use crate::support::{
    disk::SimulatedDisk,
    folder::files_below,
    posts::{Received, Segment},
    sshd::{self, Link, Sshd},
};

const FIRST_MINUTE: i64 = 29_924_040;
/// No hour is due.
const EARLY: &str = "2026-11-23T14:00:30Z";
const NOW: &str = "2026-11-23T15:00:00Z";
const WEEK_LATER: &str = "2026-11-30T15:00:00Z";
const HOUR: &str = "2/2026-11-23/14";

/// A secondary and a primary on one machine, with ssh between them.
struct Site {
    dir: TempDir,
    sshd: Sshd,
}

/// Lines that do not compress away, for the link is to be cut in the middle of them, and that make no
/// hour due: only receiving is looked at here.
fn segment(minute: i64, lines: u64) -> Segment {
    let name = SegmentName {
        server: "2".parse().unwrap(),
        stream: "sample".to_owned(),
        partition: None,
        minute: Minute(FIRST_MINUTE + minute),
        run: RunId(0x3fa9_c01b),
        part: 0,
    };
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(u64::try_from(minute).unwrap() + 1);
    let mut next = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise
    };
    let received = |_| Received {
        at: name.minute.begin(),
        line: format!("{{\"noise\":\"{:x}{:x}{:x}\"}}", next(), next(), next()).into_bytes(),
    };
    let lines = (0..lines).map(received).collect();
    let first_line = Event {
        at: name.minute.begin(),
        what: EventKind::FirstLine {
            clock_offset_ms: None,
        },
        connection: 1,
    };
    Segment {
        name,
        lines,
        events: vec![first_line],
    }
}

impl Site {
    /// `restriction` stands before the key; `{spool}` in it is the primary's spool.
    fn new(restriction: &str) -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir_all(dir.path().join("primary/spool/2")).unwrap();
        let spool = dir.path().join("primary/spool");
        let restriction = restriction.replace("{spool}", &spool.display().to_string());
        let opener = Opener::of(&RealDisk, dir.path());
        let _marked: Spool = opener.spool(&spool.clone().into(), Asks::Make).unwrap();
        let sshd = Sshd::start(&dir.path().join("ssh"), &restriction);
        let site = Self { dir, sshd };
        site.configure(site.sshd.port(), "48h");
        site
    }

    fn configure(&self, port: u16, keep_delivered: &str) {
        self.configure_with(port, keep_delivered, "0B");
    }

    fn configure_with(&self, port: u16, keep_delivered: &str, keep_free: &str) {
        let dir = self.dir.path().display();
        let user = sshd::user();
        for (role, server) in [("primary", "1"), ("secondary", "2")] {
            let text = format!(
                "data_dir = \"{dir}/{role}\"\n[x]\nbase_url = \"http://127.0.0.1:1\"\n\
                 [[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a.example.org\"\n\
                 [[servers]]\nid = \"2\"\nrole = \"secondary\"\nhost = \"b.example.org\"\n\
                 deliver_to = \"ssh://{user}@127.0.0.1:{port}{dir}/primary/spool\"\n\
                 [deliver]\nkeep_delivered = \"{keep_delivered}\"\nssh_options = {:?}\n\
                 [merge]\nformats = [\"csv\"]\nkeep_free = \"{keep_free}\"\n",
                self.sshd.options()
            );
            fs::write(self.dir.path().join(format!("{server}.toml")), text).unwrap();
        }
    }

    fn spool(&self) -> PathBuf {
        self.dir.path().join("secondary/spool")
    }

    fn target(&self) -> PathBuf {
        self.dir.path().join("primary/spool")
    }

    fn seal(&self, minute: i64, lines: u64) -> SegmentName {
        let segment = segment(minute, lines);
        segment.put(&RealDisk, &self.spool(), false);
        segment.name
    }

    fn command(&self, server: &str, at: &str, what: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twinstream"));
        command
            .args([
                "--clock",
                &format!("{at}@1"),
                "--server",
                server,
                "--config",
            ])
            .arg(self.dir.path().join(format!("{server}.toml")))
            .args(what)
            .stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn check(&self, server: &str, at: &str, what: &[&str], exit: i32) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(server, at, what).output().unwrap();
        let said = [stdout, stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_eq!(status.code(), Some(exit), "{what:?}: {said}");
        said
    }

    #[track_caller]
    fn deliver(&self, at: &str, exit: i32) -> String {
        self.check("2", at, &["deliver"], exit)
    }

    /// The primary takes stock: nothing is ready to be merged, but what has come in is received.
    #[track_caller]
    fn receive(&self, exit: i32) -> String {
        self.check("1", EARLY, &["merge"], exit)
    }

    /// The same, where it may be that nothing new has come in.
    #[track_caller]
    fn try_receive(&self) {
        let output = self.command("1", EARLY, &["merge"]).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 4)), "{output:?}");
    }

    fn acknowledged(&self) -> usize {
        let path = acks::path(&self.target(), &"2".parse().unwrap());
        acks::read(&RealDisk, &path, |_| true).unwrap().len()
    }
}

/// Every file of server 2 with its bytes; acknowledgements and what rsync has under way aside.
fn tree(spool: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let top = spool.join(HOUR);
    let is_ours = |path: &PathBuf| {
        !path
            .strip_prefix(&top)
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with('.')
    };
    let read = |path: PathBuf| {
        (
            path.strip_prefix(spool).unwrap().to_owned(),
            fs::read(path).unwrap(),
        )
    };
    files_below(&top)
        .into_iter()
        .filter(is_ours)
        .map(read)
        .collect()
}

const RESTRICTED: &str = "command=\"/usr/bin/rrsync -no-del -no-lock -munge {spool}/2\",restrict";

const RESTRICTED_TO_SPOOL: &str = "command=\"/usr/bin/rrsync -no-lock {spool}\",restrict";

#[test]
fn with_a_restricted_key_only_what_the_primary_has_read_back_goes() {
    if !sshd::can_ssh() {
        return;
    }
    let site = Site::new(RESTRICTED);
    site.receive(4);
    let names = [0, 1, 2].map(|minute| site.seal(minute, 20));
    let sent = tree(&site.spool());
    let open = site
        .spool()
        .join(HOUR)
        .join("2_sample_20261123T1459Z_3fa9c01b_000.jsonl.open");
    fs::write(&open, "{}").unwrap();
    assert_eq!(
        site.check("2", NOW, &["deliver", "--dry-run"], 0)
            .lines()
            .filter(|line| line.starts_with("send "))
            .count(),
        3
    );
    assert_eq!(tree(&site.target()).len(), 0);
    site.deliver(NOW, 0);
    assert_eq!(tree(&site.target()), sent, "the open file stays here");
    assert!(
        site.deliver(WEEK_LATER, 4)
            .contains("3 segments lie there and wait")
    );

    // a byte is not what it was when the primary reads it back
    let damaged = names[1].paths(&site.target()).segment;
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[100] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    let said = site.receive(5);
    assert!(
        said.contains("delivered, but is not acknowledged") && said.contains("is damaged"),
        "{said}"
    );
    assert_eq!(site.acknowledged(), 6);
    site.configure(site.sshd.port(), "0s");
    let said = site.deliver(WEEK_LATER, 0);
    assert!(
        said.contains("delivered 1 segment to") && said.contains("2 deleted here"),
        "{said}"
    );
    let left = tree(&site.spool());
    assert_eq!(
        left.len(),
        4,
        "what is not acknowledged stays, and what is open: {left:?}"
    );
    assert_eq!(tree(&site.target()), sent, "sent again, and whole");
    site.receive(0);
    site.deliver(WEEK_LATER, 0);
    assert_eq!(tree(&site.spool()).len(), 1);
    assert_eq!(site.acknowledged(), 9);
    site.deliver(WEEK_LATER, 4);

    // the key can do nothing else
    let to = format!("{}@127.0.0.1", sshd::user());
    let ssh = |command: &str| {
        let port = site.sshd.port().to_string();
        let mut ssh = Command::new("ssh");
        ssh.args(["-p", &port, "-o", "BatchMode=yes"]);
        for option in site.sshd.options() {
            if option.contains('=') {
                ssh.arg("-o");
            }
            ssh.arg(option);
        }
        ssh.args([&to, command]).output().unwrap()
    };
    let victim = site.dir.path().join("victim");
    for command in [
        &format!("touch {}", victim.display()),
        "rsync --server --sender -e.LsfxCIvu . ../1/",
        "rsync --server --delete -de.LsfxCIvu . .",
    ] {
        let output = ssh(command);
        assert!(!output.status.success(), "{command}: {output:?}");
    }
    assert!(!victim.exists());
}

/// A copy that is damaged after it was acknowledged, and is found so by a merge, is sent again before anything goes here.
/// Its own folder was all that the key saw; now it sees the whole spool, and "/" is another folder than before.
#[test]
fn with_a_key_that_sees_more_than_before_it_goes_to_the_same_folder() {
    if !sshd::can_ssh() {
        return;
    }
    let site = Site::new(RESTRICTED);
    site.receive(4);
    site.seal(0, 5);
    site.deliver(NOW, 0);
    site.receive(0);
    let spool = site.target();
    site.sshd
        .restrict(&RESTRICTED_TO_SPOOL.replace("{spool}", &spool.display().to_string()));
    site.seal(1, 5);
    site.deliver(NOW, 0);
    assert_eq!(tree(&spool), tree(&site.spool()));
    let mut folders: Vec<String> = (fs::read_dir(&spool).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| spool.join(name).is_dir() && !name.starts_with('.'))
        .collect();
    folders.sort();
    assert_eq!(folders, ["2"], "nothing was made above it");
    site.receive(0);
    assert_eq!(site.acknowledged(), 6);
}

#[test]
fn what_is_found_damaged_after_it_was_acknowledged_is_sent_again() {
    if !sshd::can_ssh() {
        return;
    }
    let site = Site::new(RESTRICTED);
    site.receive(4);
    let [damaged, _good] = [0, 1].map(|minute| site.seal(minute, 20));
    let sent = tree(&site.spool());
    site.deliver(NOW, 0);
    site.try_receive();
    assert_eq!(site.acknowledged(), 6);
    let there = damaged.paths(&site.target());
    fs::write(&there.segment, "cut").unwrap();
    let said = site.receive(5);
    assert!(said.contains("acknowledgement is withdrawn"), "{said}");
    assert_eq!(site.acknowledged(), 3);
    site.configure(site.sshd.port(), "0s");
    // the remembered folder, and the one that is looked for anew
    for remembers in [true, false] {
        if !remembers {
            fs::remove_file(site.dir.path().join("secondary/deliver/place.json")).unwrap();
            fs::remove_file(&there.seal).unwrap();
        }
        let said = site.deliver(WEEK_LATER, 0);
        assert!(said.contains("delivered 1 segment to"), "{said}");
        assert!(damaged.paths(&site.spool()).seal.exists());
        assert_eq!(tree(&site.target()), sent, "sent again, and whole");
    }
    site.check("1", WEEK_LATER, &["merge"], 0);
    assert_eq!(site.acknowledged(), 6);
    site.deliver("2026-12-01T15:00:00Z", 0);
    assert_eq!(tree(&site.spool()).len(), 0);
}

#[test]
fn whatever_a_host_says_before_it_lets_in_decides_nothing() {
    if !sshd::can_ssh() {
        return;
    }
    for restriction in ["", RESTRICTED_TO_SPOOL] {
        let mut site = Site::new(restriction);
        let line =
            "Authorized use only. Host key verification failed. Permission denied (publickey).\n";
        site.sshd.greet(&line.repeat(11));
        // the first delivery of all: the folder is not there yet
        fs::remove_dir(site.target().join("2")).unwrap();
        if restriction.is_empty() {
            // nothing at all will do as well
            fs::remove_file(site.target().join("spool.json")).unwrap();
        }
        site.seal(0, 20);
        let sent = tree(&site.spool());
        let said = site.deliver(NOW, 0);
        assert_eq!(tree(&site.target()), sent, "{said}");

        if restriction.is_empty() {
            continue;
        }
        // what is said in the end is shown, and hinted at
        let check = |site: &Site| {
            let output = site.command("2", NOW, &["check"]).output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let said = check(&site);
        assert!(said.contains("accepts this server"), "{said}");
        let keys = site.dir.path().join("ssh/keys");
        let kept = fs::read(&keys).unwrap();
        fs::write(&keys, "").unwrap();
        let said = site.deliver(NOW, 6);
        assert!(said.contains("rsync error: "), "{said}");
        let said = check(&site);
        assert!(
            said.contains("hint: put this server's public key"),
            "{said}"
        );
        fs::write(&keys, kept).unwrap();
        site.sshd.change_host_key();
        let said = check(&site);
        assert!(said.contains("forget its former key"), "{said}");
    }
}

#[test]
fn cut_and_killed_again_and_again_it_arrives_whole_and_once() {
    if !sshd::can_ssh() {
        return;
    }
    let mut site = Site::new("restrict,command=\"/usr/bin/rrsync -no-lock {spool}\"");
    for minute in 0..8 {
        site.seal(minute, 600);
    }
    let sent = tree(&site.spool());
    let bytes: usize = sent.values().map(Vec::len).sum();
    let victim = Arc::new(AtomicU32::new(0));
    let link = {
        let victim = victim.clone();
        Link::new(site.sshd.port(), move || {
            match victim.swap(0, Ordering::SeqCst) {
                0 => (),
                pid => drop(Command::new("kill").args(["-9", &pid.to_string()]).status()),
            }
        })
    };
    site.configure(link.port, "48h");
    let (mut broken, mut killed) = (0, 0);
    for round in 0..30_u64 {
        let (cuts, before) = (link.cuts(), tree(&site.target()).len());
        link.set_limit(36_000 + round * 4_000);
        let mut deliver = site
            .command("2", NOW, &["deliver"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        if round % 2 == 1 {
            victim.store(deliver.id(), Ordering::SeqCst);
        }
        let status = deliver.wait().unwrap();
        victim.store(0, Ordering::SeqCst);
        if status.success() || status.code() == Some(4) {
            break;
        }
        assert!(
            cuts < link.cuts(),
            "it ended without having been cut: {status}"
        );
        assert!(matches!(status.code(), Some(6) | None), "{status}");
        broken += u32::from(status.code().is_some());
        killed += u32::from(status.code().is_none());
        if round == 2 {
            // the other machine goes down and comes back
            site.sshd.kill();
            site.deliver(NOW, 6);
            site.sshd.up();
        }
        assert!(before <= tree(&site.target()).len());
        // what is there in part is never taken for whole
        if round == 1 {
            site.try_receive();
        }
    }
    assert!(
        1 < broken && 1 < killed,
        "{broken} broken, {killed} killed, of {bytes} bytes"
    );
    link.set_limit(u64::MAX);
    let said = site.command("2", NOW, &["deliver"]).output().unwrap();
    assert!(matches!(said.status.code(), Some(0 | 4)), "{said:?}");
    assert_eq!(tree(&site.target()), sent);
    drop(
        site.command("1", "2026-11-23T14:00:30Z", &["merge"])
            .output(),
    );
    assert_eq!(site.acknowledged(), sent.len());
    site.deliver(NOW, 4);
    let leftovers: Vec<PathBuf> = files_below(&site.target().join("2"))
        .into_iter()
        .filter(|path| path.to_str().unwrap().contains("partial"))
        .collect();
    assert_eq!(leftovers, Vec::<PathBuf>::new());
}

#[test]
fn nothing_is_overwritten_and_what_is_another_file_there_never_goes_here() {
    if !sshd::can_ssh() {
        return;
    }
    // an account with a shell sees the path as it is written, and the spool is made
    let site = Site::new("");
    fs::remove_dir_all(site.target()).unwrap();
    let [other_size, other_bytes, good, other_events, other_seal] =
        [0, 1, 2, 3, 4].map(|minute| site.seal(minute, 5));
    let damaged = [5, 6].map(|minute| site.seal(minute, 5));
    let torn = [7, 8].map(|minute| site.seal(minute, 5));
    fs::remove_file(torn[0].paths(&site.spool()).segment).unwrap();
    fs::remove_file(torn[1].paths(&site.spool()).events).unwrap();
    let there = |name: &SegmentName| name.paths(&site.target());
    fs::create_dir_all(there(&other_size).folder).unwrap();
    fs::write(there(&other_size).segment, "something else").unwrap();
    let of_same_size = fs::read(other_bytes.paths(&site.spool()).segment).unwrap();
    let of_same_size = vec![b'x'; of_same_size.len()];
    fs::write(there(&other_bytes).segment, &of_same_size).unwrap();
    fs::write(there(&other_events).events, "{}\n").unwrap();
    fs::write(there(&other_seal).seal, "{}\n").unwrap();
    // what is not as it was sealed is not sent
    let here = [
        damaged[0].paths(&site.spool()).segment,
        damaged[1].paths(&site.spool()).events,
    ];
    for path in here {
        let mut bytes = fs::read(&path).unwrap();
        bytes[7] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    let said = site.deliver(NOW, 1);
    let conflicts = said.matches("with other content; it was not overwritten");
    assert_eq!(conflicts.count(), 3, "{said}");
    assert!(
        said.contains("delivered 2 segments") && said.contains("7 failed"),
        "{said}"
    );
    // one of which a file is missing keeps no other from being sent
    for name in &torn {
        assert!(said.contains(&format!("{name}")), "{said}");
        assert!(!there(name).seal.exists());
    }
    assert_eq!(fs::read(there(&other_events).events).unwrap(), b"{}\n");
    assert_eq!(fs::read(there(&other_seal).seal).unwrap(), b"{}\n");
    let stay = [&other_events, &other_seal, &damaged[0], &damaged[1]];
    assert!(stay.iter().all(|name| !there(name).segment.exists()));
    assert_eq!(
        fs::read(there(&other_size).segment).unwrap(),
        b"something else"
    );
    assert_eq!(fs::read(there(&other_bytes).segment).unwrap(), of_same_size);
    assert!(!there(&other_size).seal.exists());
    site.receive(5);
    assert_eq!(site.acknowledged(), 3, "{good} alone");
    let set_aside = site
        .target()
        .join("2/aside/2026-11-23/14")
        .join(format!("{other_bytes}.jsonl"));
    assert_eq!(fs::read(set_aside).unwrap(), of_same_size);

    // the primary acknowledges another file of that name: ours stays
    let acks_there = acks::path(&site.target(), &"2".parse().unwrap());
    let given = |ending: &str| acks::Ack {
        at: UtcMs(0),
        file: format!("{other_size}.{ending}"),
        sha256: Sha256::ZEROS,
    };
    acks::append(
        &RealDisk,
        &acks_there,
        &["jsonl", "events.jsonl", "seal.json"].map(given),
    )
    .unwrap();
    let said = site.deliver(WEEK_LATER, 1);
    assert!(said.contains("both are kept"), "{said}");
    for name in [&other_size].into_iter().chain(stay) {
        let left = name.paths(&site.spool());
        assert!(left.segment.exists() && left.events.exists() && left.seal.exists());
    }
    assert!(!good.paths(&site.spool()).seal.exists());
}

#[test]
fn what_hostile_hands_deliver_is_set_aside_and_no_link_is_followed() {
    if !sshd::can_ssh() {
        return;
    }
    let site = Site::new(RESTRICTED);
    let victim = site.dir.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let there = site.target().join("2");
    let hour = there.join("2026-11-23/14");
    fs::create_dir_all(&hour).unwrap();
    symlink(&victim, there.join("acks.jsonl")).unwrap();
    symlink("/etc", there.join("2026-11-22")).unwrap();
    symlink(
        &victim,
        hour.join("2_sample_20261123T1405Z_3fa9c01b_000.jsonl"),
    )
    .unwrap();
    fs::create_dir_all(there.join("2026-11-23/99")).unwrap();
    fs::create_dir_all(there.join("2")).unwrap();
    for name in [
        "1_sample_20261123T1405Z_3fa9c01b_000.seal.json",
        "2_sample_20261123T1505Z_3fa9c01b_000.seal.json",
        "authorized_keys",
    ] {
        fs::write(hour.join(name), "{}").unwrap();
    }
    // a seal that claims what no segment has, and one that is no seal
    let [huge, broken, good] = [1, 2, 3].map(|minute| segment(minute, 3));
    for one in [&huge, &broken, &good] {
        one.put(&RealDisk, &site.target(), false);
    }
    let paths = huge.name.paths(&site.target());
    let seal = fs::read_to_string(&paths.seal).unwrap();
    let claims = seal.replace("\"bytes\":", "\"bytes\":9999999999999");
    assert_ne!(claims, seal);
    fs::write(&paths.seal, claims).unwrap();
    fs::write(broken.name.paths(&site.target()).seal, vec![b'['; 100_000]).unwrap();

    let said = site.receive(5);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(site.acknowledged(), 3, "{said}");
    let left: Vec<PathBuf> = files_below(&there);
    let left: Vec<&str> = left
        .iter()
        .map(|path| path.strip_prefix(&there).unwrap().to_str().unwrap())
        .filter(|path| !path.starts_with("aside"))
        .collect();
    assert_eq!(
        left.len(),
        5,
        "the acknowledgements, the mark and the good segment: {left:?}"
    );
    assert_eq!(
        said.matches("was delivered to the folder of server 2")
            .count(),
        8,
        "{said}"
    );
    assert_eq!(
        said.matches("delivered, but is not acknowledged").count(),
        2,
        "{said}"
    );
    site.receive(4);
}

#[test]
fn an_unreachable_or_full_primary_is_said_and_nothing_is_lost() {
    if !sshd::can_ssh() {
        return;
    }
    let mut site = Site::new(RESTRICTED);
    site.seal(0, 5);
    let sent = tree(&site.spool());
    site.sshd.kill();
    assert!(site.deliver(NOW, 6).contains("cannot be reached"));
    site.sshd.up();
    // a machine that is another one
    let known = site.dir.path().join("ssh/known");
    let right = fs::read(&known).unwrap();
    fs::write(&known, "").unwrap();
    assert!(
        site.deliver(NOW, 6)
            .contains("Host key verification failed")
    );
    fs::write(&known, right).unwrap();
    // a disk that is nearly full
    site.configure_with(site.sshd.port(), "48h", "1000TiB");
    site.check("1", EARLY, &["merge"], 4);
    let said = site.deliver(NOW, 6);
    assert!(
        said.contains("accepts nothing at present") && said.contains("merge.keep_free"),
        "{said}"
    );
    assert_eq!(tree(&site.target()).len(), 0);
    site.configure(site.sshd.port(), "48h");
    site.receive(4);
    site.deliver(NOW, 0);
    assert_eq!(tree(&site.target()), sent);
    // a key that sees another folder than a spool
    let elsewhere = site.dir.path().join("elsewhere");
    fs::create_dir_all(elsewhere.join("mail")).unwrap();
    site.sshd.restrict(&format!(
        "command=\"/usr/bin/rrsync {}\",restrict",
        elsewhere.display()
    ));
    site.seal(1, 5);
    let said = site.deliver(NOW, 6);
    assert!(
        said.contains("no spool is there that this key can see (at the root it sees mail/"),
        "{said}"
    );
    assert_eq!(files_below(&elsewhere), Vec::<PathBuf>::new());
}

#[test]
fn while_the_primary_s_spool_is_away_or_another_everything_stays_here() {
    if !sshd::can_ssh() {
        return;
    }
    std::thread::scope(|scope| {
        for restriction in [
            RESTRICTED,
            "command=\"/usr/bin/rrsync {spool}\",restrict",
            "",
        ] {
            scope.spawn(|| stays_here(restriction));
        }
    });
}

/// The same, whatever a key is restricted to.
fn stays_here(restriction: &str) {
    let site = Site::new(restriction);
    site.receive(4);
    site.seal(0, 5);
    let sent = tree(&site.spool());
    site.deliver(NOW, 0);
    site.receive(0);
    let own = |words: &str| {
        // long after it was acknowledged
        let said = site.deliver(WEEK_LATER, 6);
        assert!(said.contains(words), "{restriction}: {words} in {said}");
        let found = site.check("2", WEEK_LATER, &["check"], 1);
        assert!(found.contains(words), "{restriction}: {words} in {found}");
        assert!(tree(&site.spool()) == sent, "{restriction}");
    };
    let (target, kept) = (site.target(), site.dir.path().join("unmounted"));
    fs::rename(&target, &kept).unwrap();
    // the mount point, with what somebody made below it who followed the guide
    fs::create_dir_all(target.join("2")).unwrap();
    fs::write(target.join("2/acks.jsonl"), "").unwrap();
    own("the primary's spool is away: ssh://");
    fs::remove_dir_all(&target).unwrap();
    fs::create_dir(&target).unwrap();
    if restriction == RESTRICTED {
        site.deliver(WEEK_LATER, 6);
    } else {
        own("the primary's spool is away: ssh://");
    }
    assert!(tree(&site.spool()) == sent, "{restriction}");
    assert_eq!(files_below(&target), Vec::<PathBuf>::new());
    // a primary that began anew
    fs::remove_file(site.dir.path().join("primary/places.json")).unwrap();
    site.receive(4);
    own("is another primary's spool: its id is ");
    fs::remove_dir_all(&target).unwrap();
    fs::rename(&kept, &target).unwrap();
    // it is back, and by now it is time
    site.check("1", EARLY, &["merge"], 6);
    site.check("1", EARLY, &["merge", "--adopt"], 4);
    site.deliver(WEEK_LATER, 0);
    assert_eq!(tree(&site.spool()).len(), 0);
}

fn opened(disk: &SimulatedDisk, spool: &Path) -> Spool {
    let opener = Opener::of(disk, Path::new("/primary"));
    opener.spool(&spool.into(), Asks::Make).unwrap()
}

/// A primary that receives what comes from these servers.
fn receiving<'a>(
    disk: &'a SimulatedDisk,
    opened: &'a Spool,
    servers: &'a [ServerId],
) -> receive::ReceiveJob<'a> {
    receive::ReceiveJob {
        disk,
        data_dir: opened,
        spool: opened,
        servers,
        keep_free: 0,
        keep_delivered: Duration::ZERO,
    }
}

#[test]
fn an_acknowledged_file_outlives_a_power_cut() {
    let spool = Path::new("/primary/spool");
    let servers: [ServerId; 1] = ["2".parse().unwrap()];
    for seed in 0..40 {
        let disk = SimulatedDisk::default();
        let opened = opened(&disk, spool);
        let segments = [0, 1, 2].map(|minute| segment(minute, 5));
        for one in &segments {
            // as an rsync without --fsync leaves it
            disk.make_folder_undurably(&spool.join(one.name.folder()));
            one.put(&disk, spool, false);
        }
        let job = receiving(&disk, &opened, &servers);
        if 0 < seed {
            disk.fail_in(seed);
        }
        let acknowledged = job.run(&|| UtcMs(0)).acknowledged;
        disk.power_cut(seed);
        let files = disk.files();
        let acks = acks::read(&disk, &acks::path(spool, &servers[0]), |_| true).unwrap();
        assert!(acknowledged * 3 <= acks.len() as u64);
        assert_eq!(acknowledged, if seed == 0 { 3 } else { acknowledged });
        for one in &segments {
            for (path, bytes) in one.files(spool) {
                let name = path.file_name().unwrap().to_str().unwrap();
                if acks.contains_key(name) {
                    assert_eq!(files.get(&path), Some(&bytes), "seed {seed}: {name}");
                }
            }
        }
    }
}

/// What a later program has sealed cannot be read back yet; when it can be, it is, however long its day has been as it is.
#[test]
fn what_could_not_be_read_back_is_read_again() {
    let spool = Path::new("/primary/spool");
    let servers: [ServerId; 1] = ["2".parse().unwrap()];
    let disk = SimulatedDisk::default();
    let opened = opened(&disk, spool);
    let segments = [0, 1].map(|minute| segment(minute, 5));
    for one in &segments {
        one.put(&disk, spool, false);
    }
    let [.., (seal, sealed)] = segments[1].files(spool);
    // in its place, which leaves the folder as it was
    let put = |bytes: &[u8]| {
        let mut file = disk.append(&seal).unwrap();
        file.cut(0).unwrap();
        file.write_all(bytes).unwrap();
    };
    let text = String::from_utf8(sealed.clone()).unwrap();
    let later = text.replacen("\"format\":1,", "\"format\":9,", 1);
    assert_ne!(later, text);
    put(later.as_bytes());
    let job = receiving(&disk, &opened, &servers);
    let received = [1, 2, 3].map(|hour| {
        let received = job.run(&|| UtcMs(hour * 3_600_000));
        (received.acknowledged, received.refused.len())
    });
    assert_eq!(received, [(1, 1), (0, 1), (0, 1)]);
    put(&sealed);
    assert_eq!(job.run(&|| UtcMs(4 * 3_600_000)).acknowledged, 1);
}

/// The list of acknowledgements does not grow with the years: what has gone from the spool, and from the
/// secondary long ago, is taken out; wherever the power fails, all the others are still there.
#[test]
fn acknowledgements_of_what_is_long_gone_are_forgotten_and_no_others() {
    const DAY_MS: i64 = 86_400_000;
    let spool = Path::new("/primary/spool");
    let server: ServerId = "2".parse().unwrap();
    let path = acks::path(spool, &server);
    let keep_delivered = Duration::from_hours(48);
    let now = UtcMs(100 * DAY_MS);
    // acknowledged so many days ago
    let ages = [99, 98, 97, 96, 60, 33, 32, 31, 0];
    let forgotten = [99, 98, 97, 96, 33];
    let mut cut = 0;
    for seed in 0..30 {
        let disk = SimulatedDisk::default();
        let opened = opened(&disk, spool);
        disk.make_folder(&spool.join("2")).unwrap();
        let of_age = |(minute, age): (i64, &i64)| {
            let one = segment(minute, 1);
            let acks = one.files(spool).map(|(file, _)| acks::Ack {
                at: UtcMs(now.0 - age * DAY_MS),
                file: file.file_name().unwrap().to_str().unwrap().to_owned(),
                sha256: Sha256::ZEROS,
            });
            acks::append(&disk, &path, &acks).unwrap();
            if *age == 60 {
                one.put(&disk, spool, true);
            }
            one.name
        };
        let names: Vec<SegmentName> = (0..).zip(&ages).map(of_age).collect();
        if 0 < seed {
            disk.fail_in(seed);
        }
        let job = receive::ReceiveJob {
            keep_delivered,
            ..receiving(&disk, &opened, std::slice::from_ref(&server))
        };
        job.run(&|| now);
        disk.power_cut(seed);
        let left = acks::read(&disk, &path, |_| true).unwrap();
        let is_left =
            |name: &SegmentName| left.keys().any(|file| file.starts_with(&name.to_string()));
        let gone: Vec<i64> = ages
            .iter()
            .zip(&names)
            .filter(|(_, name)| !is_left(name))
            .map(|(age, _)| *age)
            .collect();
        assert!(
            gone.is_empty() || gone == forgotten,
            "seed {seed}: {gone:?}"
        );
        assert!(0 < seed || gone == forgotten);
        cut += usize::from(gone.is_empty());
    }
    assert!(
        0 < cut,
        "the power never failed before the list was in place"
    );
}
