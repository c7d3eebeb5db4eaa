//! Machines that only merge, as services: they merge by the hour, one of them publishes, and another takes its place with
//! nothing but a line of the configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use twinstream::{period::Hour, share::Share};

use super::object_store::{LATEST, NOW, Servers, check_log, check_vault, data, minutes_of, put};

/// When what came late at [`LATEST`] is fetched, and when it has settled.
const LATER: &str = "2026-11-23T20:00:00Z";
const MUCH_LATER: &str = "2026-11-23T21:30:00Z";
use crate::support::{
    folder::files_below,
    object_store::Faults,
    osf::{Osf, TOKEN},
    port::free_port,
    primary::{Site, at},
    site::{Running, until},
};

/// The services of a set-up with a vault in a store, and OSF.
struct World {
    servers: Servers,
    osf: Osf,
    page: u16,
}

impl World {
    fn new() -> Self {
        let servers = Servers::with_vault();
        let token = servers.dir.path().join("osf-token");
        fs::write(&token, TOKEN).unwrap();
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
        let osf = Osf::start("", &[]);
        Self {
            servers,
            osf,
            page: 0,
        }
    }

    /// The service on a machine; its page is the one that is asked.
    fn start(&mut self, server: &str, publisher: &str, now: &str) -> Running {
        self.page = free_port();
        let (url, page) = (&self.osf.url, self.page);
        let token = self.servers.dir.path().join("osf-token");
        self.servers.more = [
            format!("publisher = \"{publisher}\"\n"),
            "settle = \"1m\"\n".to_owned(),
            format!(
                "[publish.osf]\nproject = \"abcde\"\nbase_url = \"{url}\"\ntoken_file = \"{}\"\nevery = \"1m\"\n\
                 [status]\nlisten = \"127.0.0.1:{page}\"\n",
                token.display()
            ),
        ];
        let mut command = self.servers.command(server, now, &["run"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        Running::of(command)
    }

    /// What the page says; nothing while nobody serves it.
    fn ask(&self, path: &str) -> String {
        let Ok(mut tcp) = TcpStream::connect(("127.0.0.1", self.page)) else {
            return String::new();
        };
        tcp.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost:{}\r\n\r\n",
            self.page
        );
        let mut answer = String::new();
        drop(tcp.write_all(request.as_bytes()));
        drop(tcp.read_to_string(&mut answer));
        answer
    }

    fn status(&self) -> Value {
        let answer = self.ask("/api/status");
        let json = answer
            .split_once("\r\n\r\n")
            .map_or("null", |(_, json)| json);
        serde_json::from_str(json).unwrap()
    }

    fn ledger(&self, server: &str) -> usize {
        let path = self
            .servers
            .dir
            .path()
            .join(server)
            .join("vault/ledger.jsonl");
        fs::read_to_string(path).map_or(0, |text| text.lines().count())
    }

    /// The diary of a machine: what it says of each file, and how many ids in all.
    fn diary(&self, server: &str) -> (BTreeSet<String>, u64) {
        let path = self.servers.dir.path().join(server).join("published.jsonl");
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let ids = lines.map(|line| line["new_ids"].as_u64().unwrap()).sum();
        (text.lines().map(str::to_owned).collect(), ids)
    }

    /// Whether all of the diary of a machine is in the store.
    fn is_diary_shared(&self, server: &str) -> bool {
        let folder = self.servers.dir.path().join(server);
        let note = fs::read(folder.join("published.shared.json")).unwrap_or_default();
        let note: Value = serde_json::from_slice(&note).unwrap_or_default();
        let diary = fs::metadata(folder.join("published.jsonl"));
        let has_ledger = fs::read_to_string(folder.join("published.jsonl"))
            .is_ok_and(|text| text.contains("\"ledger.jsonl\""));
        has_ledger && diary.is_ok_and(|diary| note["bytes"] == diary.len())
    }

    /// The public ledger, and all public files of one ending.
    fn public(&self, ending: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = self.osf.files();
        files.retain(|path, _| path.ends_with(ending));
        files
    }
}

#[test]
fn mergers_run_by_themselves_and_another_publishes_when_a_line_says_so() {
    let mut world = World::new();
    let hour = |n: i64| at("2026-11-23T15:10:00Z").plus_ms(n * 3_600_000);
    let mut late = Vec::new();
    for n in 0..2 {
        for server in ["1", "2"] {
            let mut segments = minutes_of(hour(n), server);
            late.push((server, segments.pop().unwrap()));
            put(&segments, &world.servers.spool(server));
        }
    }
    for server in ["1", "2"] {
        world.servers.check(server, NOW, &["deliver"], 0);
    }

    let one = world.start("m1", "m1", NOW);
    until("the hours are merged and public", || {
        2 <= world.ledger("m1") && world.public("_IDs.txt.xz").len() == world.ledger("m1")
    });
    let page = world.ask("/");
    for part in ["Merging", "server m1, merger"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(world.ask("/health").contains(" 200 "));
    let status = world.status();
    assert_eq!(
        (&status["role"], &status["this"]),
        (&"merger".into(), &"m1".into())
    );
    for server in status["servers"].as_array().unwrap() {
        assert_eq!(server["sealed"], 4);
    }
    // whoever is not named does not publish
    let said = world.servers.check("1", NOW, &["publish"], 3);
    assert!(said.contains("publishing is done by server m1"), "{said}");
    world
        .servers
        .check("m1", LATEST, &["report", "2026-11-23"], 5);
    // what it has not shared by then, the other machine could only ask OSF for
    until("all that is due by now is in both", || {
        let ledger = world.public("ledger.jsonl");
        ledger
            .values()
            .any(|text| memchr::memchr_iter(b'\n', text).count() == 3)
            && world.is_diary_shared("m1")
    });
    one.stop();
    let before = world.diary("m1");
    assert!(0 < before.1);

    // the first machine is lost; late data comes, and another one is named
    for (server, segment) in late {
        put(&[segment], &world.servers.spool(server));
        world.servers.check(server, NOW, &["deliver"], 0);
    }
    let revisions = check_vault(&world.servers);
    let two = world.start("m2", "m2", LATEST);
    until(
        "the late data of both hours is public, and no merge is under way",
        || {
            let ledger = world.public("ledger.jsonl");
            let public = ledger.values().next().unwrap();
            let now = check_vault(&world.servers);
            let is_later = |hour| revisions[hour] < now[hour];
            let lines = world.ledger("m2");
            ["2026-11-23_15", "2026-11-23_16"].into_iter().all(is_later)
                && now["left over"] == 0
                && now.values().sum::<u64>() == lines as u64
                && memchr::memchr_iter(b'\n', public).count() == lines
        },
    );
    let diary = world.diary("m2");
    assert!(
        before.0.is_subset(&diary.0) && before.1 < diary.1,
        "{before:?} {diary:?}"
    );
    let ids = world.public("_IDs.txt.xz");
    for (path, bytes) in &ids {
        let name = path.rsplit('/').next().unwrap();
        let here = world
            .servers
            .dir
            .path()
            .join("m2/vault/2026-11-23")
            .join(name);
        assert!(fs::read(here).unwrap() == *bytes, "{name}");
    }
    // while the store is away that is an alarm, and it goes on by itself
    world.servers.store.set(Faults {
        dies_at: Some(0),
        ..Faults::default()
    });
    let alarms = |world: &World| world.status()["alarms"].to_string();
    until("the store is missed", || {
        alarms(&world).contains("place_away")
    });
    world.servers.store.set(Faults::default());
    until("it is back", || !alarms(&world).contains("place_away"));
    let log = two.stop();
    assert!(!log.contains(TOKEN) && !log.contains("X-Amz"), "{log}");
}

#[test]
fn tasks_that_share_the_hours_do_each_its_own_and_all_of_them_together() {
    let servers = Servers::with_vault();
    for n in 0..4 {
        let begin = at("2026-11-23T12:10:00Z").plus_ms(n * 3_600_000);
        for server in ["1", "2"] {
            put(&minutes_of(begin, server), &servers.spool(server));
        }
    }
    for server in ["1", "2"] {
        servers.check(server, NOW, &["deliver"], 0);
    }
    // what it would merge: of what it has fetched, without asking the store
    let planned = |code| {
        let args = ["merge", "--dry-run", "--json"];
        let said = servers.command("m1", LATEST, &args).output().unwrap();
        assert_eq!(said.status.code(), Some(code), "{said:?}");
        let plan: Value = serde_json::from_slice(&said.stdout).unwrap();
        plan["hours"].as_array().unwrap().len() as u64
    };
    assert_eq!(planned(4), 0);
    assert!(!servers.dir.path().join("m1").exists());
    let mut all = BTreeSet::new();
    for (server, share) in [("m1", "1/2"), ("m2", "2/2")] {
        let args = ["merge", "--pending", "--share", share, "--json"];
        let said = servers.command(server, LATEST, &args).output().unwrap();
        let outcome: Value = serde_json::from_slice(&said.stdout).unwrap();
        let committed = outcome["committed"].as_array().unwrap();
        let hours: Vec<String> = committed
            .iter()
            .map(|one| one["hour"].to_string())
            .collect();
        let left = outcome["left"].as_u64().unwrap_or(0);
        assert!(!hours.is_empty(), "{share}: {outcome}");
        // what the first has committed is not due for the second any more
        assert!(share != "1/2" || 0 < left, "{share}: {outcome}");
        if share == "1/2" {
            assert_eq!(planned(0), left);
        }
        for hour in hours {
            assert!(all.insert(hour), "{share}: {outcome}");
        }
    }
    servers.check("m1", LATEST, &["merge"], 4);
    assert_eq!(planned(4), 0);
    assert_eq!(all.len(), 6);
    let vault = servers.dir.path().join("m1/vault").display().to_string();
    let mut hours = 0;
    for share in ["1/3", "2/3", "3/3"] {
        let args = ["verify", &vault, "--json", "--share", share];
        let said = servers.command("m1", LATEST, &args).output().unwrap();
        assert!(
            matches!(said.status.code(), Some(0 | 4)),
            "{share}: {said:?}"
        );
        let found: Value = serde_json::from_slice(&said.stdout).unwrap_or_default();
        let days = found["days"].as_object().into_iter().flatten();
        hours += days
            .map(|(_, day)| day["hours"].as_u64().unwrap())
            .sum::<u64>();
    }
    assert_eq!(hours, 6);
    servers.check("m1", LATEST, &["merge", "--share", "3/2"], 2);
}

/// The segments that a merger has: in its spool, and those of which it only knows what they hold.
fn known(servers: &Servers, merger: &str) -> [BTreeSet<String>; 2] {
    let spool = servers.dir.path().join(merger).join("merger/spool");
    let left = spool.join("_unfetched");
    let seals = |is_left: bool| {
        let files = files_below(&spool).into_iter();
        let of = files.filter(|file| file.starts_with(&left) == is_left);
        let names = of.map(|file| file.file_name().unwrap().to_str().unwrap().to_owned());
        let names: BTreeSet<String> = names
            .filter_map(|name| Some(name.strip_suffix(".seal.json")?.to_owned()))
            .collect();
        names
    };
    [seals(false), seals(true)]
}

#[test]
fn a_task_fetches_the_segments_of_its_share_and_what_else_its_hours_turn_out_to_need() {
    let servers = Servers::with_vault();
    let plain = Site::new("UTC");
    let mut late = Vec::new();
    for n in 0..4 {
        let begin = at("2026-11-23T12:10:00Z").plus_ms(n * 3_600_000);
        for server in ["1", "2"] {
            let mut segments = minutes_of(begin, server);
            plain.put(&segments);
            late.extend(segments.pop());
            put(&segments, &servers.spool(server));
        }
    }
    for server in ["1", "2"] {
        servers.check(server, NOW, &["deliver"], 0);
    }
    let all: BTreeSet<String> = names(&servers);
    let mut fetched = BTreeSet::new();
    for (merger, share) in [("m1", "1/2"), ("m2", "2/2")] {
        let said = servers.check(merger, LATEST, &["merge", "--share", share], 0);
        assert!(said.contains("of other shares in s3://"), "{said}");
        let [here, left] = known(&servers, merger);
        assert!(!here.is_empty() && !left.is_empty(), "{here:?}, {left:?}");
        assert!(here.is_disjoint(&left));
        assert_eq!(&here | &left, all, "{merger}");
        fetched.extend(here);
        // nothing of what was left lies here
        let spool = servers.dir.path().join(merger).join("merger/spool");
        let files = files_below(&spool.join("_unfetched"));
        assert_eq!(files.len(), 3 * left.len());
        assert!(
            !files
                .iter()
                .any(|file| file.extension().is_some_and(|is| is == "zst"))
        );
        // asked again, it fetches and leaves nothing more
        servers.check(merger, LATEST, &["merge", "--share", share], 4);
        assert_eq!(known(&servers, merger), [&all - &left, left]);
    }
    assert_eq!(fetched, all, "each segment is somebody's");
    // what comes late goes to those who need it, and its hours are made anew with all of theirs
    for segment in &late {
        put(
            std::slice::from_ref(segment),
            &servers.spool(segment.name.server.as_str()),
        );
    }
    for server in ["1", "2"] {
        servers.check(server, LATEST, &["deliver"], 0);
    }
    for (merger, share) in [("m1", "1/2"), ("m2", "2/2")] {
        for now in [LATER, MUCH_LATER] {
            servers.check(merger, now, &["merge", "--share", share], 0);
        }
    }
    let revisions = check_vault(&servers);
    plain.merge(MUCH_LATER);
    let expected = data(&plain.vault());
    // the other task brings its copy up to date when it merges
    servers.check("m1", MUCH_LATER, &["merge", "--share", "1/2"], 4);
    let found = data(&servers.dir.path().join("m1/vault"));
    for (name, bytes) in &expected {
        assert!(found[name] == *bytes, "{}", name.display());
    }
    assert!(
        revisions.values().any(|revision| *revision == 2),
        "{revisions:?}"
    );
    // whoever takes over another share, or merges all hours, fetches what that needs
    for (merger, args) in [("m1", &["merge", "--share", "2/2"][..]), ("m2", &["merge"])] {
        assert!(!known(&servers, merger)[1].is_empty());
        let said = servers.check(merger, MUCH_LATER, args, 4);
        assert!(said.contains("fetched"), "{said}");
        assert_eq!(known(&servers, merger), [names(&servers), BTreeSet::new()]);
    }
}

#[test]
fn an_hour_waits_for_a_segment_that_was_left_and_cannot_be_fetched() {
    const EARLY: &str = "2026-11-23T12:15:00Z";
    let servers = Servers::with_vault();
    for server in ["1", "2"] {
        let begin = at("2026-11-23T12:10:00Z");
        put(&minutes_of(begin, server), &servers.spool(server));
        servers.check(server, EARLY, &["deliver"], 0);
    }
    let hour: Hour = "2026-11-23_12".parse().unwrap();
    let shares = ["1/2", "2/2"];
    let is_other = |share: &&&str| !share.parse::<Share>().unwrap().has(&hour);
    let other = shares.iter().find(is_other).unwrap();
    servers.check("m1", EARLY, &["merge", "--share", other], 4);
    let [here, left] = known(&servers, "m1");
    assert_eq!((here.len(), left), (0, names(&servers)));
    let good = servers.store.objects();
    let key = good.keys().find(|key| key.ends_with(".jsonl.zst")).unwrap();
    servers.store.put(key, b"something else");
    let said = servers.check("m1", NOW, &["merge"], 1);
    assert!(
        said.contains("1 segment of it cannot be fetched from the object store"),
        "{said}"
    );
    let vault = servers.dir.path().join("m1/vault/2026-11-23");
    let is_of_hour = |path: &Path| path.to_string_lossy().contains("2026-11-23_12_");
    assert!(!files_below(&vault).iter().any(|path| is_of_hour(path)));
    servers.store.put(key, &good[key]);
    servers.check("m1", NOW, &["merge"], 0);
    assert_eq!(check_vault(&servers)["2026-11-23_12"], 1);
}

/// The segments in the store.
fn names(servers: &Servers) -> BTreeSet<String> {
    let files = servers.segments().into_keys();
    let seals = files.filter_map(|key| Some(key.strip_suffix(".seal.json")?.to_owned()));
    let names = seals.map(|key| key.rsplit('/').next().unwrap().to_owned());
    names.collect()
}

#[test]
fn a_vault_moves_into_a_store_and_back_with_its_id_and_its_ledger() {
    let plain = Site::new("UTC");
    let servers = Servers::with_vault();
    let hour = |n: i64| at("2026-11-23T13:10:00Z").plus_ms(n * 3_600_000);
    for server in ["1", "2"] {
        for n in 0..2 {
            plain.put(&minutes_of(hour(n), server));
        }
        plain.merge(NOW);
        put(&minutes_of(hour(1), server), &servers.spool(server));
    }
    // late data of server 2 has made second revisions
    let id = |vault: &Path| {
        let mark = fs::read(vault.join("vault.json")).unwrap();
        serde_json::from_slice::<Value>(&mark).unwrap()["id"].clone()
    };
    let from = plain.vault();
    let ledger = fs::read(from.join("ledger.jsonl")).unwrap();
    let vault = servers.dir.path().join("m1/vault");
    copy(&from, &vault);
    // what is not there is not taken for moved
    let places = format!("{{\"format\":1,\"places\":{{\"vault\":{}}}}}", id(&from));
    fs::write(servers.dir.path().join("m1/places.json"), places).unwrap();
    let said = servers.check("m1", NOW, &["merge"], 6);
    assert!(said.contains("place_away"), "{said}");
    for crash in ["LineCreated:2", "LineCreated:4"] {
        let mut command = servers.command("m1", NOW, &["merge", "--adopt"]);
        let ended = command.env("TWINSTREAM_CRASH_AT", crash).output().unwrap();
        assert_eq!(ended.status.code(), None);
        // it is no vault before all of it is there
        servers.check("m2", NOW, &["merge"], 6);
    }
    let merged = servers
        .command("m1", NOW, &["merge", "--adopt"])
        .output()
        .unwrap();
    assert!(matches!(merged.status.code(), Some(0 | 4)), "{merged:?}");
    // of what was superseded before, only the manifests are there: the table has the rest
    let objects = servers.store.objects();
    let log = check_log(&objects);
    assert_eq!((log.versions, log.lacks), (1, 0));
    for path in &log.files {
        assert!(objects.contains_key(&format!("x/vault/{path}")), "{path}");
    }
    let out = servers.dir.path().join("out");
    let to = out.display().to_string();
    servers.check(
        "m2",
        NOW,
        &["checkout", "s3://archive/x/vault", "--to", &to],
        0,
    );
    assert!(
        fs::read(out.join("ledger.jsonl"))
            .unwrap()
            .starts_with(&ledger)
    );
    assert_eq!((id(&out), data(&out)), (id(&from), data(&from)));
    servers.check("m2", NOW, &["verify", &to], 0);

    // other machines go on from there, and so does a folder that it was moved back to
    for server in ["1", "2"] {
        put(&minutes_of(hour(3), server), &servers.spool(server));
        servers.check(server, LATEST, &["deliver"], 0);
    }
    servers.check("m2", LATEST, &["merge"], 0);
    servers.check(
        "m2",
        LATEST,
        &["checkout", "s3://archive/x/vault", "--to", &to],
        0,
    );
    for server in ["1", "2"] {
        plain.put(&minutes_of(hour(3), server));
    }
    fs::remove_dir_all(&from).unwrap();
    copy(&out, &from);
    let ledger = fs::read(from.join("ledger.jsonl")).unwrap();
    plain.merge(LATEST);
    assert!(
        fs::read(from.join("ledger.jsonl"))
            .unwrap()
            .starts_with(&ledger)
    );
    assert_eq!(id(&from), id(&out));
}

fn copy(from: &Path, to: &Path) {
    for path in files_below(from) {
        let to = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(path, to).unwrap();
    }
}
