//! Disks that are away: what was there is not taken for new, nothing is made in its place, and everything
//! goes on by itself when it is back.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::Value;
use twinstream::world::crash;

use crate::support::{
    api::Api,
    folder::files_below,
    osf::some_of,
    port::free_port,
    primary::{Site, at},
    site::{Running, Site as Server, until},
};

const NOW: &str = "2026-11-23T18:00:00Z";
const WEEK_LATER: &str = "2026-11-30T18:00:00Z";

/// A command of a server of the set-up in that folder.
fn command(root: &Path, server: &str, now: &str, args: &[&str]) -> Command {
    let dir = root.display();
    let token = root.join("token");
    fs::write(&token, "AAAA").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let data_dir = if server == "1" { "" } else { "/secondary" };
    let config = format!(
        "data_dir = \"{dir}{data_dir}\"\n[x]\nbase_url = \"http://127.0.0.1:9\"\n\
         bearer_token_file = \"{dir}/token\"\n\
         [[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a.example.org\"\n\
         [[servers]]\nid = \"2\"\nrole = \"secondary\"\nhost = \"b.example.org\"\n\
         deliver_to = \"{dir}/spool\"\n[deliver]\nkeep_delivered = \"48h\"\n\
         [merge]\nkeep_free = \"1KiB\"\nformats = [\"csv\"]\n\
         [publish.osf]\nproject = \"abcde\"\nbase_url = \"http://127.0.0.1:9\"\n\
         token_file = \"{dir}/token\"\n"
    );
    let path = root.join(format!("{server}.toml"));
    fs::write(&path, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_twinstream"));
    command
        .args(["--server", server, "--clock", &format!("{now}@1")])
        .arg("--config")
        .arg(path)
        .args(args)
        .env_remove("TWINSTREAM_X_BEARER_TOKEN")
        .env_remove("CREDENTIALS_DIRECTORY")
        .stdin(Stdio::null());
    command
}

#[track_caller]
fn check(root: &Path, server: &str, now: &str, args: &[&str], exit: i32) -> String {
    let output = command(root, server, now, args).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert_eq!(output.status.code(), Some(exit), "{args:?}: {said}");
    said
}

/// Every file with its bytes, without locks and configuration.
fn tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut paths = files_below(root);
    let is_passed_over = |path: &PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        matches!(ending, Some("lock" | "toml"))
    };
    paths.retain(|path| !is_passed_over(path));
    let with_bytes = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
    paths.into_iter().map(with_bytes).collect()
}

/// A place that can be taken away, and given back, as an unmounted disk is: its empty mount point stays.
struct Disk<'a> {
    place: &'a Path,
}

impl Disk<'_> {
    fn kept(&self) -> PathBuf {
        self.place.with_extension("unmounted")
    }

    fn unmount(&self) {
        fs::rename(self.place, self.kept()).unwrap();
        fs::create_dir(self.place).unwrap();
    }

    /// Whatever was written below the mount point is hidden from now on; there must be nothing.
    #[track_caller]
    fn mount(&self) {
        assert_eq!(files_below(self.place), Vec::<PathBuf>::new());
        fs::remove_dir_all(self.place).unwrap();
        fs::rename(self.kept(), self.place).unwrap();
    }
}

/// A primary with three hours of two servers, committed.
fn primary() -> Site {
    let site = Site::new("UTC");
    for hour in 0..3 {
        let begin = at("2026-11-23T13:10:00Z").plus_ms(hour * 3_600_000);
        site.put(&some_of(begin, "1"));
        site.put(&some_of(begin, "2"));
    }
    check(&site.root, "1", NOW, &["merge"], 0);
    site
}

const STAGES: [&[&str]; 9] = [
    &["merge"],
    &["merge", "--dry-run"],
    &["report", "2026-11-23"],
    &["report", "2026-11-23", "--dry-run"],
    &["gaps"],
    &["status"],
    &["publish"],
    &["publish", "--audit"],
    &["redact", "--ids", "ids.txt", "--reason", "asked"],
];

#[test]
fn a_vault_or_spool_that_is_away_or_another_is_left_alone_and_accepted_on_purpose_only() {
    let site = primary();
    let (root, vault, spool) = (&site.root, site.vault(), site.spool());
    let ids = root.join("ids.txt");
    fs::write(&ids, "1\n").unwrap();
    let stages = STAGES.map(|stage| {
        let full = |word: &&str| match *word {
            "ids.txt" => ids.display().to_string(),
            word => word.to_owned(),
        };
        stage.iter().map(full).collect::<Vec<String>>()
    });
    let all_refuse = |place: &str, words: &str| {
        let before = tree(root);
        let mut refused = 0;
        for stage in &stages {
            let needs_spool = ["merge", "status", "redact"].contains(&&*stage[0]);
            if place == "spool" && !needs_spool {
                continue;
            }
            let stage: Vec<&str> = stage.iter().map(String::as_str).collect();
            let said = check(root, "1", NOW, &stage, 6);
            assert!(said.contains(words), "{words:?} in {said}");
            assert!(said.contains("alarm=\"place_away\""), "{said}");
            refused += 1;
        }
        assert_eq!(refused, if place == "spool" { 4 } else { 9 });
        if place == "spool" {
            let said = check(root, "1", NOW, &["collect"], 6);
            assert!(said.contains(words), "{said}");
        }
        let found = check(root, "1", NOW, &["check"], 6);
        assert!(found.contains(words), "{found}");
        assert!(tree(root) == before, "nothing is written anywhere");
    };
    for (name, place) in [("vault", &vault), ("spool", &spool)] {
        let disk = Disk { place };
        disk.unmount();
        all_refuse(name, &format!("the {name} is away: {}", place.display()));
        // the mount point itself is gone
        fs::remove_dir(place).unwrap();
        all_refuse(name, "no such folder");
        fs::create_dir(place).unwrap();
        disk.mount();
        check(root, "1", NOW, &["merge"], 4);
        check(root, "1", NOW, &["gaps"], 0);
    }

    // another one is there
    let other = primary();
    for (name, theirs, place) in [
        ("vault", other.vault(), &vault),
        ("spool", other.spool(), &spool),
    ] {
        let disk = Disk { place };
        fs::rename(place, disk.kept()).unwrap();
        fs::rename(&theirs, place).unwrap();
        all_refuse(name, &format!("is another {name}: its id is "));
        fs::rename(place, &theirs).unwrap();
        fs::rename(disk.kept(), place).unwrap();
        check(root, "1", NOW, &["merge"], 4);
    }
    // on purpose, and only once
    fs::rename(&vault, root.join("mine")).unwrap();
    fs::rename(other.vault(), &vault).unwrap();
    check(root, "1", NOW, &["gaps", "--adopt"], 0);
    check(root, "1", NOW, &["gaps"], 6);
    check(root, "1", NOW, &["merge", "--adopt"], 4);
    check(root, "1", NOW, &["merge"], 4);
    check(root, "1", NOW, &["gaps"], 0);
    // it makes nothing
    fs::rename(&vault, other.vault()).unwrap();
    check(root, "1", NOW, &["merge", "--adopt"], 6);
    fs::rename(root.join("mine"), &vault).unwrap();
    check(root, "1", NOW, &["merge"], 6);
    check(root, "1", NOW, &["merge", "--adopt"], 4);

    // what cannot be read does not make anything new
    let memory = root.join("places.json");
    let whole = fs::read(&memory).unwrap();
    fs::write(&memory, &whole[..whole.len() / 2]).unwrap();
    check(root, "1", NOW, &["merge"], 1);
    fs::write(&memory, &whole).unwrap();
    // a vault that has lost its mark is none, whoever asks
    fs::remove_file(vault.join("vault.json")).unwrap();
    fs::remove_file(&memory).unwrap();
    let said = check(root, "1", NOW, &["merge"], 6);
    assert!(
        said.contains("it has no vault.json, and is not empty"),
        "{said}"
    );
}

#[test]
fn a_target_is_never_made_and_nothing_goes_here_for_one_that_is_away_or_another() {
    let site = Site::new("UTC");
    let (root, target) = (&site.root, site.spool());
    let own = root.join("secondary/spool");
    let one = &some_of(at("2026-11-23T13:10:00Z"), "2")[0];
    one.put(&*site.disk, &own, false);
    let sealed = tree(&own);
    let deliver = |now: &str, exit: i32, words: &str| {
        let said = check(root, "2", now, &["deliver"], exit);
        assert!(said.contains(words), "{words:?} in {said}");
        // the API is out of reach, too
        let found = check(root, "2", now, &["check"], 6);
        assert!(exit != 6 || found.contains(words), "{words:?} in {found}");
    };
    // never made; never one that holds something else
    let said = check(root, "2", NOW, &["deliver"], 6);
    assert!(
        said.contains("is no primary's spool: no such folder"),
        "{said}"
    );
    let found = check(root, "2", NOW, &["check"], 6);
    assert!(
        found.contains("is not there\n                  hint: mount its disk"),
        "{found}"
    );
    assert!(!target.exists());
    fs::create_dir_all(target.join("holiday")).unwrap();
    fs::write(target.join("holiday/picture"), "mine").unwrap();
    deliver(NOW, 6, "it has no spool.json, and is not empty");
    assert_eq!(tree(&target).len(), 1);
    fs::remove_dir_all(&target).unwrap();
    // nothing at all: it becomes one
    fs::create_dir(&target).unwrap();
    fs::create_dir(target.join("lost+found")).unwrap();
    check(root, "2", NOW, &["deliver", "--dry-run"], 0);
    assert_eq!(tree(&target).len(), 0);
    deliver(NOW, 0, "");
    assert_eq!(tree(&target).len(), sealed.len() + 2, "acks and mark");

    // it is time to delete here, and the disk there is not mounted
    let disk = Disk { place: &target };
    disk.unmount();
    deliver(WEEK_LATER, 6, "the primary's spool is away: ");
    assert!(tree(&own) == sealed);
    disk.mount();
    let other = Site::new("UTC");
    other.opened().unwrap();
    fs::rename(&target, disk.kept()).unwrap();
    fs::rename(other.spool(), &target).unwrap();
    deliver(WEEK_LATER, 6, "is another primary's spool: its id is ");
    assert!(tree(&own) == sealed);
    // a new primary, on purpose: what it lacks is sent again, and goes here when it has been there for long
    check(root, "2", WEEK_LATER, &["deliver", "--adopt"], 0);
    assert!(tree(&own) == sealed);
    assert!(one.name.paths(&target).seal.exists());
    check(root, "2", WEEK_LATER, &["deliver"], 4);
    // the primary takes what the secondary has marked for what it is
    check(root, "1", NOW, &["merge"], 0);
    let id = |path: &Path| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap();
    assert_eq!(
        id(&target.join("spool.json"))["id"],
        id(&root.join("places.json"))["places"]["spool"]
    );
}

#[test]
fn a_kill_between_making_and_remembering_leaves_a_place_that_is_used() {
    let kill = format!("{:?}", crash::Point::PlaceMade);
    let site = Site::new("UTC");
    site.put(&some_of(at("2026-11-23T13:10:00Z"), "1"));
    let root = &site.root;
    let mark = |path: PathBuf| {
        let bytes = fs::read(path).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()["id"].clone()
    };
    // the first place is the spool, the second the vault
    for marked in ["spool/spool.json", "vault/vault.json"] {
        assert!(!root.join(marked).exists());
        let killed = command(root, "1", NOW, &["merge"])
            .env(crash::VARIABLE, &kill)
            .output()
            .unwrap();
        assert_eq!(killed.status.code(), None, "{killed:?}");
        let made = mark(root.join(marked));
        let remembered = fs::read_to_string(root.join("places.json")).unwrap_or_default();
        assert!(!remembered.contains(made.as_str().unwrap()), "{remembered}");
    }
    let made = ["spool/spool.json", "vault/vault.json"].map(|marked| mark(root.join(marked)));
    check(root, "1", NOW, &["merge"], 0);
    let memory: Value =
        serde_json::from_slice(&fs::read(root.join("places.json")).unwrap()).unwrap();
    assert_eq!(
        [&memory["places"]["spool"], &memory["places"]["vault"]],
        [&made[0], &made[1]]
    );
    check(root, "1", NOW, &["merge"], 4);
}

/// How many connections were made, and how many of them were let go.
#[derive(Default)]
struct Connections {
    made: AtomicU64,
    ended: AtomicU64,
}

impl Connections {
    fn made(&self) -> u64 {
        self.made.load(Ordering::SeqCst)
    }
}

/// Sends numbered posts to whoever connects, some hundred a second, as long as it listens; every
/// connection has its own numbers.
fn numbered(connections: &Arc<Connections>) -> Api {
    let connections = Arc::clone(connections);
    Api::start(move |_, peer| {
        let nth = connections.made.fetch_add(1, Ordering::SeqCst);
        let mut sent = peer.stream("");
        let mut number = 0;
        while sent.is_ok() {
            let id = nth * 1_000_000 + number;
            sent = peer.chunk(format!(
                "{{\"data\":{{\"id\":\"{id}\"}}}}
"
            ));
            number += 1;
            thread::sleep(Duration::from_millis(5));
        }
        connections.ended.fetch_add(1, Ordering::SeqCst);
        sent
    })
}

/// The numbers of the stored posts, by connection.
fn stored(site: &Server) -> BTreeMap<u64, Vec<u64>> {
    let mut stored: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for line in site.lines() {
        let json: Value = serde_json::from_str(&line).unwrap();
        let number: u64 = json["data"]["id"].as_str().unwrap().parse().unwrap();
        stored
            .entry(number / 1_000_000)
            .or_default()
            .push(number % 1_000_000);
    }
    stored
}

#[test]
fn a_collector_whose_spool_goes_away_and_comes_back_loses_nothing_and_writes_nowhere_else() {
    let connections = Arc::default();
    let api = numbered(&connections);
    let site = Server::new(&format!("http://127.0.0.1:{}", api.port));
    // a minute takes two seconds
    let running = site.start(Some("2026-11-23T14:00:30Z@30"));
    until("posts are stored", || 2_000 < site.stored_bytes());
    let disk = Disk { place: &site.spool };
    let log = site.dir.path().join("places.json");
    assert!(log.exists());
    disk.unmount();
    // the minute ends, and the next one must not be begun below the mount point
    let before = connections.made();
    until("the connection is let go", || {
        connections.ended.load(Ordering::SeqCst) == before
    });
    thread::sleep(Duration::from_secs(1));
    assert_eq!(files_below(&site.spool), Vec::<PathBuf>::new());
    // nor in another spool that is mounted there
    let mark = site.spool.join("spool.json");
    let other = format!("{{\"format\":1,\"id\":\"{}\"}}\n", "5".repeat(32));
    fs::write(&mark, other).unwrap();
    thread::sleep(Duration::from_millis(2_500));
    assert_eq!(files_below(&site.spool), std::slice::from_ref(&mark));
    fs::remove_file(&mark).unwrap();
    assert_eq!(
        connections.made(),
        before,
        "nobody asks for posts meanwhile"
    );
    disk.mount();
    until("it has connected again", || before < connections.made());
    let whole = site.stored_bytes();
    until("more posts are stored", || {
        whole + 2_000 < site.stored_bytes()
    });
    let said = running.stop();
    assert!(said.contains("place_away"), "{said}");
    site.check_sealed();
    let stored = stored(&site);
    assert!(1 < stored.len(), "{:?}", stored.keys());
    for (connection, numbers) in stored {
        let expected: Vec<u64> = (0..numbers.len() as u64).collect();
        assert_eq!(numbers, expected, "connection {connection} has a hole");
    }
}

#[test]
fn the_service_waits_for_a_disk_that_is_away_says_so_and_begins_by_itself() {
    let connections = Arc::default();
    let api = numbered(&connections);
    let site = Server::new(&format!("http://127.0.0.1:{}", api.port));
    let port = free_port();
    let config = site.dir.path().join("twinstream.toml");
    let text = fs::read_to_string(&config).unwrap();
    let page = format!("[status]\nlisten = \"127.0.0.1:{port}\"\n");
    fs::write(&config, text + &page).unwrap();
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twinstream"));
        command
            .args([
                "run",
                "--server",
                "1",
                "--clock",
                "2026-11-23T14:00:30Z@30",
                "--config",
            ])
            .arg(&config)
            .stderr(Stdio::piped());
        Running::of(command)
    };
    let alarms = || {
        let mut answer = ureq::get(format!("http://127.0.0.1:{port}/api/status"))
            .call()
            .ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        let status: Value = serde_json::from_str(&text).ok()?;
        let alarms = status["alarms"].as_array()?.iter();
        let away = alarms.filter(|alarm| alarm["kind"] == "place_away");
        Some(
            away.map(|alarm| alarm["subject"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>(),
        )
    };
    let running = start();
    until("posts are stored", || 2_000 < site.stored_bytes());
    until("the vault is made", || {
        site.dir.path().join("vault/vault.json").exists()
    });
    running.stop();
    let vault = site.dir.path().join("vault");
    let disks = [Disk { place: &site.spool }, Disk { place: &vault }];
    disks.iter().for_each(Disk::unmount);
    let before = connections.made();
    let running = start();
    until("both are told of", || {
        alarms().is_some_and(|mut away| {
            away.sort();
            away == ["spool", "vault"]
        })
    });
    assert_eq!(connections.made(), before);
    disks.iter().for_each(Disk::mount);
    let whole = site.stored_bytes();
    until("posts are stored again", || {
        whole + 2_000 < site.stored_bytes()
    });
    until("the alarms are over", || {
        alarms().is_some_and(|away| away.is_empty())
    });
    running.stop();
    // told to end while it waits, it ends
    disks.iter().for_each(Disk::unmount);
    let running = start();
    until("it is told of again", || {
        alarms().is_some_and(|away| !away.is_empty())
    });
    running.stop();
    disks.iter().for_each(Disk::mount);
}
