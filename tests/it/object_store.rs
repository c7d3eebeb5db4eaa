//! Places of all kinds do the same (one suite for a folder and for an object store, with faults); and servers whose
//! segments go through an object store, up to the vault.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use twinstream::{
    period::UtcMs,
    place::{
        folder::Folder,
        s3::{
            address::Address,
            probe::ProbeError,
            request::{self, Access, Requests, StoreEndpoint},
            store::S3,
        },
        store::{
            Content, Created, Key, Store, StoreError, Timed as _, Window, create_of, digest,
            read_whole,
        },
    },
    segment::{name::SegmentName, sha256::Sha256},
    world::{clock::Clock, disk::RealDisk},
};

use crate::support::{
    disk::SimulatedDisk,
    folder::files_below,
    object_store::{BUCKET, Faults, KEY_ID, ObjectStore, REGION, SECRET},
    osf::fast_folder,
    posts::{Segment, segments, stream},
    primary::{Site, at, command as site_command},
};

/// A client whose waits take a thousandth.
pub(crate) fn client(endpoints: &[String], prefix: &str) -> S3 {
    let clock = Clock::simulated("2026-11-23T15:00:00Z@1000".parse().unwrap());
    let endpoint = |url: &String| StoreEndpoint {
        url: url.parse().unwrap(),
        proxy: None,
    };
    let endpoints: Vec<StoreEndpoint> = endpoints.iter().map(endpoint).collect();
    let access = Access::new(KEY_ID, SECRET, None);
    let address = Address::new(&format!("{BUCKET}/{prefix}")).unwrap();
    let agent = request::agent(&endpoints, None, &clock).unwrap();
    let requests = Requests::new(address, &endpoints, REGION, access, agent).unwrap();
    S3::new(requests, clock)
}

fn key(text: &str) -> Key {
    text.to_owned().try_into().unwrap()
}

fn listed(store: &dyn Store, prefix: &str) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    store
        .list(prefix, &mut |one| {
            found.push((one.key.to_string(), one.bytes));
        })
        .unwrap();
    found.sort();
    found
}

/// What every place must do.
#[track_caller]
fn check_conforms(store: &dyn Store, context: &str) {
    let is = |text: &str| {
        let found = read_whole(store, &key(text), 1 << 20).unwrap();
        found.map(|bytes| String::from_utf8(bytes).unwrap())
    };
    // what is created is read back, and the same again is the same
    let large = vec![b'x'; 700_000];
    for _twice in 0..2 {
        assert_eq!(
            create_of(store, &key("a/large"), &large).unwrap(),
            Created::Stands,
            "{context}"
        );
        assert_eq!(
            create_of(store, &key("a/b.json"), b"one").unwrap(),
            Created::Stands,
            "{context}"
        );
        assert_eq!(
            create_of(store, &key("a/empty"), b"").unwrap(),
            Created::Stands,
            "{context}"
        );
    }
    assert_eq!(
        read_whole(store, &key("a/large"), 1 << 20)
            .unwrap()
            .unwrap(),
        large,
        "{context}"
    );
    assert_eq!(is("a/empty").as_deref(), Some(""), "{context}");
    // nothing is overwritten
    for other in [&b"two"[..], b"", b"longer than one"] {
        let taken = Created::Taken {
            sha256: digest(b"one").sha256,
        };
        assert_eq!(
            create_of(store, &key("a/b.json"), other).unwrap(),
            taken,
            "{context}"
        );
        assert_eq!(is("a/b.json").as_deref(), Some("one"), "{context}");
    }
    // what has changed since it was sealed is not put there, nor any of it
    let sealed = digest(b"sealed");
    for changed in ["sealee", "seal", "sealed and more"] {
        let other = Content {
            digest: &sealed,
            open: &|| Ok(Box::new(io::Cursor::new(changed.as_bytes().to_vec()))),
        };
        let refused = store.create(&key("a/changed"), &other);
        assert!(
            matches!(refused, Err(StoreError::Changed { .. })),
            "{context}: {refused:?}"
        );
        assert_eq!(is("a/changed"), None, "{context}");
    }
    // what cannot be read here says so, and is not the store's fault
    let unreadable = Content {
        digest: &sealed,
        open: &|| Err(io::Error::other("no such file")),
    };
    assert!(
        matches!(
            store.create(&key("a/changed"), &unreadable),
            Err(StoreError::Io(_))
        ),
        "{context}"
    );
    // reading has a limit
    assert!(
        matches!(
            read_whole(store, &key("a/large"), 1_000),
            Err(StoreError::TooLong { .. })
        ),
        "{context}"
    );
    assert_eq!(is("a"), None, "{context}");
    // a listing is whole, however many pages it has, and of its prefix only
    let many: Vec<(String, u64)> = (0..25).map(|n| (format!("m/{n:02}"), n + 1)).collect();
    for (name, len) in &many {
        let bytes = vec![b'm'; usize::try_from(*len).unwrap()];
        assert_eq!(
            create_of(store, &key(name), &bytes).unwrap(),
            Created::Stands,
            "{context}"
        );
    }
    assert_eq!(listed(store, "m/"), many, "{context}");
    assert_eq!(listed(store, "m/1").len(), 10, "{context}");
    assert_eq!(listed(store, "").len(), 28, "{context}");
    assert_eq!(listed(store, "n/"), [], "{context}");
    // what is deleted is gone, and may be deleted again
    for _twice in 0..2 {
        store.delete(&key("m/00")).unwrap();
    }
    assert_eq!(is("m/00"), None, "{context}");
    assert_eq!(listed(store, "m/").len(), 24, "{context}");
}

#[test]
fn a_folder_and_an_object_store_do_the_same_whatever_goes_wrong_on_the_way() {
    let dir = TempDir::new().unwrap();
    check_conforms(
        &Folder {
            disk: &RealDisk,
            root: dir.path(),
        },
        "a folder",
    );
    let disk = SimulatedDisk::default();
    check_conforms(
        &Folder {
            disk: &disk,
            root: Path::new("/place"),
        },
        "a folder in memory",
    );
    disk.power_cut(7);
    let folder = Folder {
        disk: &disk,
        root: Path::new("/place"),
    };
    // what was created is there; what was deleted may be
    assert!((24..=25).contains(&listed(&folder, "m/").len()));
    assert_eq!(listed(&folder, "a/").len(), 3);

    let server = ObjectStore::start();
    for (n, (faults, happens)) in [
        (Faults::default(), false),
        (
            Faults {
                lose_answer: 3,
                ..Faults::default()
            },
            true,
        ),
        (
            Faults {
                lose_request: 3,
                lose_answer: 5,
                ..Faults::default()
            },
            true,
        ),
        (
            Faults {
                slow_down: 3,
                ..Faults::default()
            },
            true,
        ),
        (
            Faults {
                cut_body: 2,
                ..Faults::default()
            },
            true,
        ),
        (
            Faults {
                cut_body: 2,
                ignores_ranges: true,
                ..Faults::default()
            },
            true,
        ),
        (
            Faults {
                delay: Duration::from_millis(1),
                lose_answer: 7,
                slow_down: 4,
                cut_body: 3,
                ..Faults::default()
            },
            true,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        server.set_page(if n == 0 { 1_000 } else { 7 });
        let context = format!("{faults:?}");
        server.set(faults);
        check_conforms(&client(&server.endpoints, &format!("place{n}")), &context);
        assert_eq!(0 < server.faulty(), happens, "{context}");
    }
    // one of its ways is closed
    server.set(Faults::default());
    let closed = ["http://127.0.0.1:1".to_owned(), server.endpoints[0].clone()];
    check_conforms(&client(&closed, "closed"), "one way is closed");
    assert_eq!(server.wrongs(), Vec::<String>::new());
    // with the wrong key nothing is done, and the key is not told
    let clock = Clock::simulated("2026-11-23T15:00:00Z@1000".parse().unwrap());
    let endpoint = StoreEndpoint {
        url: server.endpoints[0].parse().unwrap(),
        proxy: None,
    };
    let access = Access::new(KEY_ID, "another", None);
    let address = Address::new("archive/wrong").unwrap();
    let agent = request::agent(std::slice::from_ref(&endpoint), None, &clock).unwrap();
    let requests = Requests::new(address, &[endpoint], REGION, access, agent).unwrap();
    let why = create_of(&S3::new(requests, clock), &key("a"), b"a")
        .unwrap_err()
        .to_string();
    assert_eq!(
        why,
        "s3://archive/wrong refuses PUT a: SignatureDoesNotMatch (403)"
    );
}

#[test]
fn of_many_writers_one_wins_and_each_knows_the_truth_though_answers_are_lost() {
    let server = ObjectStore::start();
    for round in 0..6 {
        server.set(Faults {
            lose_answer: 2,
            slow_down: 5,
            delay: Duration::from_millis(1),
            ..Faults::default()
        });
        let store = client(&server.endpoints, "race");
        let name = key(&format!("r{round}.json"));
        let writer = |n: u8| {
            let (store, name) = (&store, &name);
            move || create_of(store, name, &[n]).unwrap()
        };
        let told: Vec<Created> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|n| scope.spawn(writer(n))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(0 < server.faulty());
        let there = &server.objects()[&format!("race/{name}")];
        for (n, told) in told.iter().enumerate() {
            let expected = if *there == [u8::try_from(n).unwrap()] {
                Created::Stands
            } else {
                Created::Taken {
                    sha256: digest(there).sha256,
                }
            };
            assert_eq!(*told, expected, "writer {n} of round {round}");
        }
    }
}

#[test]
fn whatever_request_it_dies_at_the_next_attempt_ends_with_the_same() {
    let server = ObjectStore::start();
    let act = |prefix: &str| -> Result<(), StoreError> {
        let store = client(&server.endpoints, prefix);
        for (name, bytes) in [("a", "one"), ("b", "two")] {
            let created = create_of(&store, &key(name), bytes.as_bytes())?;
            assert_eq!(created, Created::Stands);
        }
        store.list("", &mut |_| ())?;
        store.delete(&key("b"))
    };
    let mut died = 0;
    for dies_at in 1.. {
        let prefix = format!("die{dies_at}");
        // after the request was done, or before
        for lost in [false, true] {
            server.set(Faults {
                dies_at: Some(dies_at + u64::from(lost)),
                lose_answer: if lost { dies_at } else { 0 },
                ..Faults::default()
            });
            let is_done = match act(&prefix) {
                Ok(()) => true,
                Err(why) => {
                    assert!(why.is_passing(), "{why}");
                    false
                }
            };
            server.set(Faults::default());
            if is_done && !lost {
                assert_eq!(died, 12, "every request was the last one, in two ways");
                return;
            }
            died += 1;
        }
        act(&prefix).unwrap();
        let mut there = server.objects();
        there.retain(|key, _| key.starts_with(&prefix) && key[prefix.len()..].starts_with('/'));
        assert_eq!(
            there,
            BTreeMap::from([(format!("{prefix}/a"), b"one".to_vec())])
        );
    }
}

#[test]
fn what_comes_too_late_by_the_store_s_clock_is_not_created() {
    let server = ObjectStore::start();
    server.set_now("2026-11-23T15:00:00Z");
    server.set(Faults {
        lose_answer: 3,
        ..Faults::default()
    });
    let store = client(&server.endpoints, "late");
    assert_eq!(store.now().unwrap(), at("2026-11-23T15:00:00Z"));
    let create = |name: &str, since: &str| {
        let digest = digest(b"one");
        let content = Content {
            digest: &digest,
            open: &|| Ok(Box::new(io::Cursor::new(b"one".to_vec()))),
        };
        let window = Window {
            since: at(since),
            lasts: Duration::from_hours(6),
        };
        store.create_within(&key(name), &content, window)
    };
    let (early, late) = ("2026-11-23T08:59:00Z", "2026-11-23T09:01:00Z");
    for n in 0..4 {
        let why = create(&format!("a{n}"), early).unwrap_err();
        assert!(matches!(why, StoreError::Late { .. }), "{why}");
        let created = create(&format!("b{n}"), late).unwrap();
        assert_eq!(created, Created::Stands);
    }
    // what stands may have been created in time, its answer lost
    assert_eq!(create("b0", early).unwrap(), Created::Stands);
    assert_eq!(listed(&store, "a"), []);
    assert!(0 < server.faulty());
    let mut created = Vec::new();
    store
        .list("", &mut |one| created.push(one.created))
        .unwrap();
    assert_eq!(created, vec![Some(at("2026-11-23T15:00:00Z")); 4]);
}

#[test]
fn a_store_that_cannot_be_trusted_is_found_out() {
    let server = ObjectStore::start();
    let names = std::sync::atomic::AtomicU64::new(0);
    let probe = |faults: Faults| {
        server.set(faults);
        let draw = || {
            Ok(names
                .fetch_add(1, std::sync::atomic::Ordering::SeqCst)
                .to_string())
        };
        client(&server.endpoints, "probed").probe(&draw)
    };
    probe(Faults::default()).unwrap();
    probe(Faults {
        lose_answer: 3,
        slow_down: 5,
        ..Faults::default()
    })
    .unwrap();
    let ignores = probe(Faults {
        ignores_the_condition: true,
        ..Faults::default()
    })
    .unwrap_err();
    assert!(
        matches!(ignores, ProbeError::Ignores { won: 32, .. }),
        "{ignores}"
    );
    // also where most of what they were told is lost
    let ignores = probe(Faults {
        ignores_the_condition: true,
        lose_answer: 2,
        ..Faults::default()
    })
    .unwrap_err();
    assert!(matches!(ignores, ProbeError::Ignores { .. }), "{ignores}");
    let late = probe(Faults {
        lists_nothing: true,
        ..Faults::default()
    })
    .unwrap_err();
    assert!(matches!(late, ProbeError::ListsLate { .. }), "{late}");
    let refused = probe(Faults {
        refuses: true,
        ..Faults::default()
    })
    .unwrap_err();
    assert!(
        matches!(refused, ProbeError::Store(StoreError::Refused { .. })),
        "{refused}"
    );
    let dead = probe(Faults {
        dies_at: Some(1),
        ..Faults::default()
    })
    .unwrap_err();
    assert!(
        matches!(dead, ProbeError::Store(StoreError::Unreachable { .. })),
        "{dead}"
    );
}

/// Three minutes and a bit of one of two servers.
pub(crate) fn minutes_of(begin: UtcMs, server: &str) -> Vec<Segment> {
    let nth = usize::from(server != "1");
    segments(server, &stream(2, begin, 3, 6)[nth])
}

/// A primary, a secondary, and the store between them.
pub(crate) struct Servers {
    pub(crate) dir: TempDir,
    pub(crate) store: ObjectStore,
    /// Whether the vault lies there, too, and others merge.
    has_vault: bool,
    /// Further lines of the configuration: before its sections, of `[merge]`, and further sections.
    pub(crate) more: [String; 3],
    pub(crate) keep_raw: &'static str,
}

pub(crate) const NOW: &str = "2026-11-23T18:00:00Z";
const LATER: &str = "2026-11-23T18:20:00Z";
pub(crate) const LATEST: &str = "2026-11-23T18:50:00Z";
const WEEK_LATER: &str = "2026-11-30T18:00:00Z";

impl Servers {
    fn new() -> Self {
        Self {
            dir: fast_folder(),
            store: ObjectStore::start(),
            has_vault: false,
            more: Default::default(),
            keep_raw: "forever",
        }
    }

    pub(crate) fn with_vault() -> Self {
        Self {
            has_vault: true,
            ..Self::new()
        }
    }

    pub(crate) fn spool(&self, server: &str) -> PathBuf {
        self.dir.path().join(server).join("spool")
    }

    pub(crate) fn command(&self, server: &str, now: &str, args: &[&str]) -> Command {
        let dir = self.dir.path();
        let secret = dir.join("access-key");
        fs::write(&secret, format!("{KEY_ID}\n{SECRET}\n")).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let [one, two] = [&self.store.endpoints[0], &self.store.endpoints[1]];
        let dir = dir.display();
        let to = format!("deliver_to = \"s3://{BUCKET}/x/spool\"\n");
        let (vault, of_primary) = if self.has_vault {
            (format!("vault_dir = \"s3://{BUCKET}/x/vault\"\n"), &*to)
        } else {
            (String::new(), "")
        };
        let [top, of_merge, sections] = &self.more;
        let mut config = format!(
            "data_dir = \"{dir}/{server}\"\nspool_dir = \"s3://{BUCKET}/x/spool\"\n{vault}{top}\
             [s3]\nendpoint = [\"{one}\", \"{two}\"]\nregion = \"{REGION}\"\naccess_key_file = \"{dir}/access-key\"\n\
             [x]\nbase_url = \"http://127.0.0.1:9\"\n\
             [deliver]\nkeep_delivered = \"48h\"\n\
             [merge]\nkeep_raw = \"{}\"\nkeep_free = \"1KiB\"\norphans = \"12h\"\nkeep_superseded = \"1h\"\nxz = \"fast\"\n{of_merge}\
             [[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a.example.org\"\n{of_primary}\
             [[servers]]\nid = \"2\"\nrole = \"secondary\"\nhost = \"b.example.org\"\n{to}",
            self.keep_raw,
        );
        config += sections;
        if self.has_vault {
            let merger =
                |id| format!("[[servers]]\nid = \"{id}\"\nrole = \"merger\"\nhost = \"{id}\"\n");
            config.extend(["m1", "m2", "m3"].map(merger));
        }
        let path = self.dir.path().join(format!("{server}.toml"));
        fs::write(&path, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_twinstream"));
        // waits take a hundredth
        command
            .args([
                "--server",
                server,
                "--verbose",
                "--clock",
                &format!("{now}@100"),
            ])
            .arg("--config")
            .arg(path)
            .args(args)
            .stdin(Stdio::null());
        for name in [
            "CREDENTIALS_DIRECTORY",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
        ] {
            command.env_remove(name);
        }
        command
    }

    #[track_caller]
    pub(crate) fn check(&self, server: &str, now: &str, args: &[&str], exit: i32) -> String {
        let output = self.command(server, now, args).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{args:?}: {said}");
        for secret in [SECRET, "s3cret", "X-Amz", "Signature="] {
            assert!(!said.contains(secret), "{args:?} shows {secret}: {said}");
        }
        said
    }

    /// The segments in the store. Beside each that is whole lies what it holds.
    pub(crate) fn segments(&self) -> BTreeMap<String, Vec<u8>> {
        let (indexes, files): (BTreeMap<_, _>, BTreeMap<_, _>) =
            (self.spooled().into_iter()).partition(|(key, _)| key.ends_with(".index.json"));
        for key in files.keys().filter(|key| key.ends_with(".seal.json")) {
            let index = key.replace(".seal.json", ".index.json");
            assert!(
                key.contains(".redacted-") || indexes.contains_key(&index),
                "{key}"
            );
        }
        files
    }

    /// No index outlives the lines that it counts.
    fn check_indexes(&self) {
        let files = self.spooled();
        for key in files.keys().filter(|key| key.ends_with(".index.json")) {
            let segment = key.replace(".index.json", ".jsonl.zst");
            assert!(files.contains_key(&segment), "{key} is left");
        }
    }

    fn spooled(&self) -> BTreeMap<String, Vec<u8>> {
        let objects = self.store.objects().into_iter();
        let own = objects
            .filter_map(|(key, bytes)| Some((key.strip_prefix("x/spool/")?.to_owned(), bytes)));
        own.filter(|(key, _)| key != "spool.json" && !key.starts_with("arrivals/"))
            .collect()
    }
}

/// The same with segments in their plain form.
fn plainly(files: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let plain = |(key, bytes): (String, Vec<u8>)| match key.strip_suffix(".zst") {
        Some(plain) => (plain.to_owned(), zstd::decode_all(&bytes[..]).unwrap()),
        None => (key, bytes),
    };
    files.into_iter().map(plain).collect()
}

/// The files of a server in a spool's folder, as the store names them.
fn here(spool: &Path, server: &str) -> BTreeMap<String, Vec<u8>> {
    let mut paths = files_below(&spool.join(server));
    paths.retain(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        !["acks.jsonl", "spool.json"].contains(&name)
    });
    let named = |path: PathBuf| {
        let key = path
            .strip_prefix(spool)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        (key, fs::read(path).unwrap())
    };
    paths.into_iter().map(named).collect()
}

pub(crate) fn put(segments: &[Segment], spool: &Path) {
    for segment in segments {
        segment.put(&RealDisk, spool, false);
    }
}

/// The data files and day files of a vault; ledger and manifests say when they were made.
pub(crate) fn data(vault: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut paths = files_below(vault);
    paths.retain(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.contains(".txt.xz") || name.contains(".csv.xz") || name.ends_with("_certificate.txt")
    });
    let named = |path: PathBuf| {
        (
            path.strip_prefix(vault).unwrap().to_owned(),
            fs::read(path).unwrap(),
        )
    };
    paths.into_iter().map(named).collect()
}

#[test]
fn what_is_delivered_to_an_object_store_is_merged_as_if_it_had_come_on_a_disk() {
    let servers = Servers::new();
    let begin = at("2026-11-23T13:10:00Z");
    let (one, two) = (minutes_of(begin, "1"), minutes_of(begin, "2"));
    put(&one, &servers.spool("1"));
    put(&two, &servers.spool("2"));
    let plain = Site::new("UTC");
    plain.put(&one);
    plain.put(&two);
    let sent = here(&servers.spool("2"), "2");

    servers.check("2", NOW, &["deliver", "--dry-run"], 0);
    assert_eq!(servers.store.objects(), BTreeMap::new());
    // killed after each file; answers are lost, the store is slow, a gateway is away
    for nth in 1..=4 {
        servers.store.set(Faults {
            lose_answer: 5,
            slow_down: 7,
            ..Faults::default()
        });
        let mut command = servers.command("2", NOW, &["deliver"]);
        let ended = command
            .env("TWINSTREAM_CRASH_AT", format!("ObjectCreated:{nth}"))
            .output()
            .unwrap();
        assert_eq!(
            ended.status.code(),
            None,
            "{}",
            String::from_utf8_lossy(&ended.stderr)
        );
        assert!(servers.spooled().len() >= nth);
        let arrived = plainly(servers.segments());
        assert!(arrived.iter().all(|(key, bytes)| sent[key] == *bytes));
        // a segment without its seal is not fetched
        if nth == 2 {
            servers.check("1", "2026-11-23T13:10:30Z", &["merge"], 4);
            assert_eq!(here(&servers.spool("1"), "2"), BTreeMap::new());
        }
    }
    servers.check("2", NOW, &["deliver"], 0);
    assert!(0 < servers.store.faulty());
    assert_eq!(plainly(servers.segments()), sent);
    // a disk with too little room gets nothing more
    let mut merge = servers.command("1", NOW, &["merge"]);
    let path = servers.dir.path().join("1.toml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, config.replace("\"1KiB\"", "\"1000000TiB\"")).unwrap();
    let said = merge.output().unwrap();
    let words = String::from_utf8_lossy(&said.stderr);
    assert!(
        said.status.code() == Some(1) && words.contains("merge.keep_free"),
        "{words}"
    );
    let came = here(&servers.spool("1"), "2");
    assert!(came.keys().eq(["2/hold"]), "{:?}", came.keys());
    assert!(
        servers
            .segments()
            .keys()
            .all(|key| !key.ends_with("000.jsonl"))
    );
    servers.check("2", NOW, &["deliver"], 4);
    assert_eq!(
        here(&servers.spool("2"), "2"),
        sent,
        "kept for keep_delivered"
    );

    // fetched in spite of the same, killed in between, and merged
    servers.store.set_page(2);
    servers.store.set(Faults {
        lose_answer: 5,
        slow_down: 7,
        cut_body: 4,
        ..Faults::default()
    });
    let mut killed = servers.command("1", NOW, &["merge"]);
    let ended = killed
        .env("TWINSTREAM_CRASH_AT", "DataFetched:2")
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), None);
    servers.check("1", NOW, &["merge"], 0);
    assert!(0 < servers.store.faulty());
    servers.store.set(Faults::default());
    assert_eq!(plainly(here(&servers.spool("1"), "2")), sent);
    plain.merge(NOW);
    let (merged, expected) = (
        data(&servers.dir.path().join("1/vault")),
        data(&plain.vault()),
    );
    assert!(
        !expected.is_empty() && merged == expected,
        "{:?} {:?}",
        merged.keys(),
        expected.keys()
    );
    servers.store.set(Faults::default());
    servers.check("1", NOW, &["merge"], 4);
    assert_eq!(servers.store.requests(), 2, "the mark, and what is new");

    // only what was read back from there goes here, after its time; the store keeps all of it
    servers.check("2", WEEK_LATER, &["deliver"], 0);
    assert_eq!(here(&servers.spool("2"), "2"), BTreeMap::new());
    assert_eq!(plainly(servers.segments()), sent);
    assert_eq!(servers.store.wrongs(), Vec::<String>::new());
    servers.check(
        "1",
        NOW,
        &["redact", "--author", "7", "--reason", "asked"],
        0,
    );
    servers.check("1", NOW, &["status"], 0);
    servers.check("2", NOW, &["status"], 0);
}

/// What is damaged here after it was fetched is fetched again from the store, which has it still, though nobody announces it again.
#[test]
fn what_was_damaged_after_it_was_fetched_is_fetched_again() {
    let servers = Servers::new();
    let two = minutes_of(at("2026-11-23T13:10:00Z"), "2");
    put(&two, &servers.spool("2"));
    let sent = here(&servers.spool("2"), "2");
    servers.check("2", NOW, &["deliver"], 0);
    servers.check("1", "2026-11-23T13:10:30Z", &["merge"], 0);
    assert_eq!(plainly(here(&servers.spool("1"), "2")), sent);
    let paths = two[1].name.paths(&servers.spool("1"));
    let packed = paths.segment.with_extension("jsonl.zst");
    assert!(packed.exists());
    fs::write(&paths.seal, "{").unwrap();
    let said = servers.check("1", NOW, &["merge"], 5);
    assert!(said.contains("acknowledgement is withdrawn"), "{said}");
    assert!(!packed.exists());
    servers.check("1", LATER, &["merge"], 0);
    let again = servers.spool("1").join("2/aside");
    assert!(again.exists());
    for path in [&packed, &paths.events, &paths.seal] {
        assert!(path.exists(), "{}", path.display());
    }
    servers.store.set(Faults::default());
    servers.check("1", LATER, &["merge"], 4);
    assert_eq!(servers.store.requests(), 2, "the mark, and what is new");
}

#[test]
fn nothing_in_an_object_store_is_overwritten_and_what_is_wrong_there_is_not_merged() {
    let servers = Servers::new();
    let begin = at("2026-11-23T13:10:00Z");
    let two = minutes_of(begin, "2");
    put(&two, &servers.spool("2"));
    servers.check("1", NOW, &["merge"], 4);
    servers.check("2", NOW, &["deliver"], 0);
    servers
        .store
        .put("x/spool/2/2026-11-23/14/../../../etc", b"hostile");
    servers.store.put("x/spool/2/photo.jpg", b"a stranger");
    let said = servers.check("1", NOW, &["merge"], 0);
    assert!(said.contains("skipped"), "{said}");
    // two further segments, of which one finds its name taken and the other is spoiled on its way
    let later = minutes_of(begin.plus_ms(3_600_000), "2");
    put(&later, &servers.spool("2"));
    let names: Vec<&SegmentName> = later.iter().map(|segment| &segment.name).collect();
    let file = |name: &SegmentName, ending: &str| {
        let (day, hour) = (name.minute.day_folder(), name.minute.hour_folder());
        format!("x/spool/2/{day}/{hour}/{name}.{ending}")
    };
    servers.store.put(&file(names[0], "events.jsonl"), b"{}\n");
    let said = servers.check("2", NOW, &["deliver"], 1);
    assert!(
        said.contains("exists with other content") && said.contains("not_delivered"),
        "{said}"
    );
    assert_eq!(
        servers.store.objects()[&file(names[0], "events.jsonl")],
        b"{}\n"
    );
    assert!(
        !servers
            .store
            .objects()
            .contains_key(&file(names[0], "seal.json"))
    );
    let whole = servers.store.objects()[&file(names[1], "jsonl.zst")].clone();
    let mut spoiled = whole.clone();
    spoiled[30] ^= 1;
    servers.store.put(&file(names[1], "jsonl.zst"), &spoiled);
    // what lies here under a name is not taken for what lies there, though it is as long
    let packed = &servers.store.objects()[&file(names[2], "jsonl.zst")];
    let mut other = zstd::decode_all(&packed[..]).unwrap();
    other[30] ^= 1;
    let paths = names[2].paths(&servers.spool("1"));
    fs::create_dir_all(&paths.folder).unwrap();
    fs::write(&paths.segment, &other).unwrap();
    let said = servers.check("1", NOW, &["merge"], 1);
    assert!(said.contains("is here with other content"), "{said}");
    assert!(fs::read(&paths.segment).unwrap() == other && !paths.seal.exists());
    fs::remove_file(&paths.segment).unwrap();
    let said = servers.check("1", NOW, &["merge"], 1);
    assert!(
        said.contains("is not what the seal says") && said.contains("fails_check"),
        "{said}"
    );
    let fetched = here(&servers.spool("1"), "2");
    let has = |name: &SegmentName| fetched.keys().any(|key| key.contains(&name.to_string()));
    assert!(!has(names[0]) && !has(names[1]));
    assert!(
        names[2..]
            .iter()
            .chain(&two.iter().map(|s| &s.name).collect::<Vec<_>>())
            .all(|name| has(name))
    );

    // whatever else has come meanwhile, it is asked for again until it is right
    let evening = minutes_of(begin.plus_ms(2 * 3_600_000), "2");
    put(&evening, &servers.spool("2"));
    servers.check("2", NOW, &["deliver"], 1);
    servers.check("1", NOW, &["merge"], 1);
    let fetched = |name: &SegmentName| {
        let here = here(&servers.spool("1"), "2");
        here.keys().any(|key| key.contains(&name.to_string()))
    };
    assert!(evening.iter().all(|segment| fetched(&segment.name)) && !fetched(names[1]));
    servers.store.put(&file(names[1], "jsonl.zst"), &whole);
    servers.check("1", NOW, &["merge"], 0);
    assert!(fetched(names[1]) && !fetched(names[0]));

    // what was there and is not, or is another, is not taken for new
    let spool = servers.store.replace(BTreeMap::new());
    for (server, stage) in [("2", "deliver"), ("1", "merge")] {
        let said = servers.check(server, NOW, &[stage], 6);
        assert!(said.contains("place_away"), "{said}");
    }
    assert_eq!(
        servers.store.objects(),
        BTreeMap::new(),
        "nothing is made in its place"
    );
    let mut other = spool.clone();
    other.insert(
        "x/spool/spool.json".to_owned(),
        b"{\"format\":1,\"id\":\"abc\"}\n".to_vec(),
    );
    other.retain(|key, _| key.ends_with("spool.json"));
    servers.store.replace(other);
    for (server, stage) in [("2", "deliver"), ("1", "merge")] {
        let said = servers.check(server, NOW, &[stage], 6);
        assert!(said.contains("its id is abc"), "{said}");
    }
    // in another spool nothing is safe yet: all of it is delivered again
    servers.check("2", WEEK_LATER, &["deliver", "--adopt"], 0);
    let all = two.len() + later.len() + evening.len();
    assert_eq!(servers.segments().len(), 3 * all);
    assert!(!here(&servers.spool("2"), "2").is_empty());
    servers.store.replace(spool);
    servers.check("2", NOW, &["deliver", "--adopt"], 1);

    // a folder of the bucket in which something else lies is no spool
    let fresh = Servers::new();
    put(&two, &fresh.spool("2"));
    fresh.store.put("x/spool/photos/1.jpg", b"photo");
    let said = fresh.check("2", NOW, &["deliver"], 6);
    assert!(said.contains("is no spool"), "{said}");
    assert_eq!(fresh.store.objects().len(), 1);
}

/// A merger that has never fetched lists the spool, and knows from then on what is announced: between the two nothing gets lost.
#[test]
fn what_arrives_while_a_merger_looks_for_the_first_time_is_fetched() {
    let servers = Servers::new();
    let begin = at("2026-11-23T13:10:00Z");
    let (early, late) = (
        minutes_of(begin, "2"),
        minutes_of(begin.plus_ms(3_600_000), "2"),
    );
    put(&early, &servers.spool("2"));
    servers.check("2", NOW, &["deliver"], 0);
    servers.store.set(Faults {
        holds: Some(("GET", "arrivals/2/1.txt")),
        ..Faults::default()
    });
    let mut looks = servers.command("1", NOW, &["merge"]);
    let looks = looks.stdout(Stdio::null()).stderr(Stdio::piped());
    let looks = looks.spawn().unwrap();
    servers.store.wait_until_held();
    put(&late, &servers.spool("2"));
    servers.check("2", NOW, &["deliver"], 0);
    servers.store.set(Faults::default());
    let looked = looks.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&looked.stderr);
    assert_eq!(looked.status.code(), Some(0), "{said}");
    servers.command("1", LATER, &["merge"]).output().unwrap();
    let fetched = here(&servers.spool("1"), "2");
    for one in early.iter().chain(&late) {
        let seal = format!("{}.seal.json", one.name);
        assert!(fetched.keys().any(|key| key.ends_with(&seal)), "{seal}");
    }
}

/// Whoever may write there can announce what cannot be read: that is a failure of one server.
#[test]
fn what_one_server_announces_wrongly_stops_no_other() {
    let mut servers = Servers::new();
    servers.more[2] = format!(
        "[[servers]]\nid = \"3\"\nrole = \"secondary\"\nhost = \"c.example.org\"\ndeliver_to = \"s3://{BUCKET}/x/spool\"\n"
    );
    let begin = at("2026-11-23T13:10:00Z");
    put(&minutes_of(begin, "3"), &servers.spool("3"));
    servers.check("3", NOW, &["deliver"], 0);
    servers
        .store
        .put("x/spool/arrivals/2/1.txt", &vec![b'x'; (1 << 20) + 1]);
    let said = servers.check("1", NOW, &["merge"], 1);
    assert!(said.contains("what server 2 delivers to "), "{said}");
    assert!(said.contains("arrivals/2/1.txt is longer than"), "{said}");
    assert!(!here(&servers.spool("1"), "3").is_empty(), "{said}");
}

#[test]
fn a_store_that_is_away_or_ignores_the_condition_gets_nothing_and_takes_nothing() {
    let servers = Servers::new();
    let begin = at("2026-11-23T13:10:00Z");
    put(&minutes_of(begin, "1"), &servers.spool("1"));
    put(&minutes_of(begin, "2"), &servers.spool("2"));
    servers.store.set(Faults {
        ignores_the_condition: true,
        ..Faults::default()
    });
    for (server, args) in [
        ("2", &["deliver"][..]),
        ("2", &["check"]),
        ("1", &["check"]),
    ] {
        let said = servers.check(server, NOW, args, if args == ["check"] { 1 } else { 3 });
        assert!(said.contains("does not keep the condition"), "{said}");
    }
    assert_eq!(servers.store.objects(), BTreeMap::new());
    // what is here is merged all the same
    let said = servers.check("1", NOW, &["merge"], 3);
    assert!(said.contains("does not keep the condition"), "{said}");
    assert!(servers.dir.path().join("1/vault/ledger.jsonl").exists());
    assert!(0 < servers.store.faulty());

    servers.store.set(Faults {
        dies_at: Some(1),
        ..Faults::default()
    });
    let said = servers.check("2", NOW, &["deliver"], 6);
    assert!(said.contains("cannot be reached"), "{said}");
    servers.check("1", NOW, &["merge"], 6);
    servers.store.set(Faults {
        refuses: true,
        ..Faults::default()
    });
    let said = servers.check("2", NOW, &["deliver"], 3);
    assert!(said.contains("AccessDenied"), "{said}");
    servers.store.set(Faults::default());
    let said = servers.check("2", NOW, &["check"], 1);
    assert!(said.contains("of 32 writers, one succeeded"), "{said}");
    servers.check("2", NOW, &["deliver"], 0);
    // it is asked again the next day only
    let before = servers.store.requests();
    servers.check("2", "2026-11-23T23:00:00Z", &["deliver"], 4);
    assert!(servers.store.requests() < before + 10);
    servers.check("2", "2026-11-24T23:30:00Z", &["deliver"], 4);
    assert!(before + 32 < servers.store.requests());
    servers.check("1", NOW, &["merge"], 0);
}

/// What a vault in the store must be, whoever looks at it from outside.
pub(crate) fn check_vault(servers: &Servers) -> BTreeMap<String, u64> {
    let objects = servers.store.objects();
    let own: BTreeMap<&str, &Vec<u8>> = objects
        .iter()
        .filter_map(|(key, bytes)| Some((key.strip_prefix("x/vault/")?, bytes)))
        .collect();
    let mut previous = Sha256::ZEROS;
    let mut latest: BTreeMap<String, u64> = BTreeMap::new();
    let mut commits = BTreeMap::new();
    let lines = own.keys().filter(|key| key.starts_with("ledger/")).count();
    for number in 1..=lines {
        let line = own[&*format!("ledger/{number}.json")];
        let says: Value = serde_json::from_slice(line).unwrap();
        assert_eq!(
            says["previous"],
            previous.to_string(),
            "the chain breaks at line {number}"
        );
        previous = digest(line.strip_suffix(b"\n").unwrap()).sha256;
        let hour = says["hour"].as_str().unwrap();
        let revision = says["revision"].as_u64().unwrap();
        let known = latest.insert(hour.to_owned(), revision).unwrap_or(0);
        assert_eq!(revision, known + 1, "each revision once, in its order");
        let folder = format!("{}/{hour}", &hour[..10]);
        let commit = own[&*format!("{folder}/r{revision}.json")];
        let commit: Value = serde_json::from_slice(commit).unwrap();
        commits.insert((hour.to_owned(), revision), (folder, commit));
    }
    // all files of each hour's latest revision are there, and what is there of others is what their manifests say
    let mut named = commits.len();
    for ((hour, revision), (folder, commit)) in &commits {
        let attempt = commit["attempt"].as_str().unwrap();
        for output in commit["manifest"]["outputs"].as_array().unwrap() {
            let name = output["name"].as_str().unwrap();
            match own.get(&*format!("{folder}/{attempt}/{name}")) {
                Some(bytes) => {
                    assert_eq!(output["sha256"], digest(bytes).sha256.to_string(), "{name}");
                    named += 1;
                }
                None => assert!(*revision < latest[hour], "{name} of r{revision} is missing"),
            }
        }
    }
    // what the table names is there, whoever was killed
    for path in check_log(&objects).files {
        assert!(own.contains_key(&*path), "{path} is missing");
    }
    let is_left = |key: &&&str| key.starts_with("20");
    let left = own.keys().filter(is_left).count() - named;
    latest.insert("left over".to_owned(), left as u64);
    latest
}

/// The Delta Lake log, as any program reads such a log.
pub(crate) struct LogFound {
    /// How many versions there are.
    pub(crate) versions: usize,
    /// The files of the last one.
    pub(crate) files: BTreeSet<String>,
    /// How many lines of the ledger it lacks.
    pub(crate) lacks: usize,
}

/// Every version has each hour as the ledger had it then, once.
pub(crate) fn check_log(objects: &BTreeMap<String, Vec<u8>>) -> LogFound {
    let json = |key: &str| -> Option<Value> {
        let bytes = objects.get(&format!("x/vault/{key}"))?;
        Some(serde_json::from_slice(bytes).unwrap())
    };
    let mut lines = Vec::new();
    // of each file: its bytes and its rows, which readers believe
    let mut numbers_of: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    while let Some(line) = json(&format!("ledger/{}.json", lines.len() + 1)) {
        let hour = line["hour"].as_str().unwrap().to_owned();
        let revision = &line["revision"];
        let folder = format!("{}/{hour}", &hour[..10]);
        let commit = json(&format!("{folder}/r{revision}.json")).unwrap();
        let attempt = commit["attempt"].as_str().unwrap();
        let mut outputs = commit["manifest"]["outputs"].as_array().unwrap().iter();
        let posts = outputs.find_map(|output| {
            let name = output["name"].as_str().unwrap();
            let path = format!("{folder}/{attempt}/{name}");
            let numbers = ["bytes", "rows"].map(|of| output[of].as_u64().unwrap());
            let is_posts = name.ends_with("_posts.parquet");
            is_posts.then(|| {
                numbers_of.insert(path.clone(), numbers);
                path
            })
        });
        lines.push((hour, posts));
    }
    let mut found = LogFound {
        versions: 0,
        files: BTreeSet::new(),
        lacks: 0,
    };
    let mut known = 0;
    let version = |number: usize| objects.get(&format!("x/vault/_delta_log/{number:020}.json"));
    while let Some(bytes) = version(found.versions) {
        let mut ledger = 0;
        for action in std::str::from_utf8(bytes).unwrap().lines() {
            let action: Value = serde_json::from_str(action).unwrap();
            let path = |of: &str| action[of]["path"].as_str().map(str::to_owned);
            if let Some(path) = path("remove") {
                assert!(found.files.remove(&path), "{path} was not there");
            }
            if let Some(path) = path("add") {
                let stats = action["add"]["stats"].as_str().unwrap();
                let stats: Value = serde_json::from_str(stats).unwrap();
                let told = [&action["add"]["size"], &stats["numRecords"]];
                assert_eq!(
                    told.map(Value::as_u64),
                    numbers_of[&path].map(Some),
                    "{path}"
                );
                assert!(found.files.insert(path));
            }
            ledger += action["txn"]["version"].as_u64().unwrap_or(0) as usize;
        }
        assert!(known < ledger, "{known} {ledger}");
        known = ledger;
        let then: BTreeMap<&String, &Option<String>> = lines[..known]
            .iter()
            .map(|(hour, posts)| (hour, posts))
            .collect();
        let expected: BTreeSet<String> = then.into_values().flatten().cloned().collect();
        assert_eq!(found.files, expected, "version {}", found.versions);
        found.versions += 1;
    }
    found.lacks = lines.len() - known;
    found
}

/// Who has no copy is told the same as who has the vault in a folder, and little is asked for it.
fn check_what_is_told_without_a_copy(servers: &Servers) {
    let plain = Site::new("UTC");
    let to = plain.vault().display().to_string();
    let checkout = ["checkout", "s3://archive/x/vault", "--to", &*to];
    servers.check("1", LATEST, &checkout, 0);
    let told = |args: &[&str], mut of: Command| {
        let output = of.args(args).output().unwrap();
        (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            output.status.code(),
        )
    };
    let day = ["--since", "2026-11-23", "--until", "2026-11-23"];
    let before = ["--since", "2026-11-21", "--until", "2026-11-22"];
    for (args, exit) in [
        (&["gaps"][..], 0),
        (&["gaps", "--csv"], 0),
        (&[&["gaps", "--json"][..], &day].concat(), 0),
        (&["gaps", "--since", "2026-11-23T14:20:00Z"], 0),
        (&[&["gaps"][..], &before].concat(), 4),
    ] {
        let expected = told(&args[1..], site_command(&plain, args[0], LATEST));
        assert_eq!(expected.1, Some(exit), "{args:?}");
        servers.store.set(Faults::default());
        let found = told(args, servers.command("2", LATEST, &[]));
        assert!(found == expected, "{args:?}: {found:?}");
        let requests = servers.store.requests();
        assert!(requests <= 8, "{args:?}: {requests} requests");
        // a copy has them, too
        servers.store.set(Faults::default());
        assert!(
            told(args, servers.command("m1", LATEST, &[])) == expected,
            "{args:?}"
        );
        let requests = servers.store.requests();
        assert!(requests <= 3, "{args:?}: {requests} requests");
    }
    // and one that is behind is asked for no more than it has
    let gaps = [
        "gaps",
        "--since",
        "2026-11-23_13",
        "--until",
        "2026-11-23_13",
    ];
    let day = servers.dir.path().join("m1/vault/2026-11-23");
    let manifest = day.join("2026-11-23_13_manifest.json");
    let current = fs::read(&manifest).unwrap();
    fs::copy(
        day.join("revisions/2026-11-23_13_r1_manifest.json"),
        &manifest,
    )
    .unwrap();
    let behind = told(&gaps, servers.command("m1", LATEST, &[]));
    fs::write(&manifest, current).unwrap();
    assert!(behind == told(&gaps, servers.command("m1", LATEST, &[])));
    let status = |server: &str| {
        let said = servers
            .command(server, LATEST, &["status", "--json"])
            .output();
        serde_json::from_slice::<Value>(&said.unwrap().stdout).unwrap()["vault"].clone()
    };
    let there = status("2");
    assert!(there["hours"] == 5 && there["revisions"] == 8, "{there}");
    assert_eq!(there, status("m1"));
    let away = Faults {
        dies_at: Some(0),
        ..Faults::default()
    };
    servers.store.set(away);
    for args in [["gaps"], ["status"]] {
        let said = servers.check("2", LATEST, &args, 6);
        // what lies here is told all the same
        assert_eq!(args == ["status"], said.contains("2 (here)"), "{said}");
        // the copy is as good as it was
        servers.check("m1", LATEST, &args, 0);
    }
    // a key that may not read the vault is no fault of a machine that only collects
    servers.store.set(Faults {
        refuses: true,
        ..Faults::default()
    });
    let said = servers.check("2", LATEST, &["status"], 0);
    for words in [
        "what is committed is not shown: s3://archive/x/vault refuses GET vault.json: AccessDenied",
        "2 (here)",
    ] {
        assert!(said.contains(words), "{said}");
    }
    servers.check("2", LATEST, &["gaps"], 3);
    // on one that merges it is, and nothing is claimed of an archive that could not be asked
    let [of_m2, aside] = ["m2", "m2-aside"].map(|name| servers.dir.path().join(name));
    fs::rename(&of_m2, &aside).unwrap();
    let said = servers.check("m2", LATEST, &["status"], 3);
    drop(fs::remove_dir_all(&of_m2));
    fs::rename(&aside, &of_m2).unwrap();
    assert!(
        said.contains("vault     not known: s3://archive/x/vault"),
        "{said}"
    );
    assert!(!said.contains("committed in"), "{said}");
    servers.store.set(Faults::default());
    let nobody = |command: &str| {
        let at = format!("{LATEST}@100");
        let config = servers.dir.path().join("2.toml");
        let output = Command::new(env!("CARGO_BIN_EXE_twinstream"))
            .args(["--clock", &at, command, "--config"])
            .arg(config)
            .output();
        let output = output.unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let said = nobody("status");
    for words in [
        "this machine is not one of the servers",
        "5 hours committed",
    ] {
        assert!(said.contains(words), "{said}");
    }
    assert!(!said.contains("connection"), "{said}");
    let said = nobody("merge");
    assert!(said.contains("2 (b.example.org), m1 (m1)"), "{said}");
}

/// Between the data of an attempt and its commit another machine commits: its revision stands, and of the attempt nothing
/// is left.
#[test]
fn who_is_too_late_with_a_commit_leaves_nothing_of_its_own() {
    let servers = Servers::with_vault();
    for server in ["1", "2"] {
        put(
            &minutes_of(at("2026-11-23T13:10:00Z"), server),
            &servers.spool(server),
        );
        servers.check(server, NOW, &["deliver"], 0);
    }
    servers.check("m1", "2026-11-23T13:10:30Z", &["merge"], 4);
    let before = servers.store.objects();
    servers.check("m2", NOW, &["merge"], 0);
    let after = servers.store.objects();
    assert!(check_vault(&servers)["left over"] == 0 && before.len() + 5 < after.len());
    servers.store.replace(before);
    servers.store.meanwhile("/r1.json", after.clone());
    let said = servers.check("m1", NOW, &["merge"], 4);
    assert!(said.contains("committed by other machines"), "{said}");
    let names = |objects: &BTreeMap<String, Vec<u8>>| objects.keys().cloned().collect::<Vec<_>>();
    let found = servers.store.objects();
    assert_eq!(names(&found), names(&after));
    assert!(found == after);
    let [first, second] = ["m1", "m2"].map(|id| data(&servers.dir.path().join(id).join("vault")));
    assert!(!first.is_empty() && first == second);
}

#[test]
fn several_mergers_make_one_vault_whatever_is_lost_and_whoever_is_killed() {
    let servers = Servers::with_vault();
    let plain = Site::new("UTC");
    let hour = |n: i64| at("2026-11-23T13:10:00Z").plus_ms(n * 3_600_000);
    let mut late = Vec::new();
    for n in 0..3 {
        for server in ["1", "2"] {
            let mut segments = minutes_of(hour(n), server);
            plain.put(&segments);
            late.extend((server == "2").then(|| segments.pop().unwrap()));
            put(&segments, &servers.spool(server));
        }
    }
    servers.check("m1", NOW, &["merge"], 4);
    servers.check("m1", NOW, &["collect"], 3);
    for server in ["1", "2"] {
        servers.check(server, NOW, &["deliver"], 0);
    }
    let trouble = Faults {
        lose_answer: 11,
        slow_down: 13,
        cut_body: 9,
        ..Faults::default()
    };
    let mut kills = 0;
    let mut merge_all = |now: &str, crashes: [&str; 3]| {
        let start = |(id, crash): (&str, &str)| {
            let mut command = servers.command(id, now, &["merge"]);
            command.env("TWINSTREAM_CRASH_AT", crash);
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let started: Vec<_> = ["m1", "m2", "m3"]
            .into_iter()
            .zip(crashes)
            .map(start)
            .collect();
        for merger in started {
            let output = merger.wait_with_output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            match output.status.code() {
                None => kills += 1,
                Some(0 | 4) => (),
                Some(other) => panic!("exit code {other}: {stderr}"),
            }
            assert!(
                !stderr.contains(SECRET) && !stderr.contains("X-Amz"),
                "{stderr}"
            );
        }
        check_vault(&servers);
    };
    for crashes in [
        ["AttemptStored:1", "AttemptStored:3", "RevisionCreated:1"],
        ["RevisionCreated:1", "LineCreated:1", "AttemptStored:2"],
        ["LineCreated:1", "FileInPlace:2", "ManifestInPlace:1"],
        ["never", "never", "never"],
    ] {
        servers.store.set(trouble.clone());
        merge_all(NOW, crashes);
        assert!(0 < servers.store.faulty());
    }
    let out = servers.dir.path().join("out");
    let to = out.display().to_string();
    let checkout = ["checkout", "s3://archive/x/vault", "--to", &*to];
    servers.check("1", NOW, &checkout, 0);
    // what came late makes a second revision of each hour, when it has settled
    put(&late, &servers.spool("2"));
    servers.check("2", NOW, &["deliver"], 0);
    merge_all(LATER, ["never"; 3]);
    for crashes in [
        ["AttemptStored:1", "RevisionCreated:2", "LineCreated:1"],
        ["VersionCreated:1", "VersionCreated:1", "VersionCreated:1"],
        ["never", "never", "never"],
    ] {
        merge_all(LATEST, crashes);
    }
    // who is first at what, and so who reaches the point at which it is to die, differs
    assert!(2 <= kills, "{kills}");
    servers.store.set(Faults::default());
    for id in ["m1", "m2", "m3", "1"] {
        let first = servers.command(id, LATEST, &["merge"]).output().unwrap();
        assert!(
            matches!(first.status.code(), Some(0 | 4)),
            "{}",
            String::from_utf8_lossy(&first.stderr)
        );
        servers.check(id, LATEST, &["merge"], 4);
    }
    let mut latest = check_vault(&servers);
    let log = check_log(&servers.store.objects());
    assert!(
        log.lacks == 0 && 2 <= log.versions,
        "{} {}",
        log.lacks,
        log.versions
    );
    assert_eq!(log.files.len(), latest.len() - 1);
    // what a killed attempt leaves is read by nobody; who lost a race has cleaned up
    assert!(latest.remove("left over").unwrap() <= 3 * kills);
    // the hours with late data have two revisions, those without posts one
    let of_hours: Vec<(&str, u64)> = latest.iter().map(|(hour, n)| (&hour[11..], *n)).collect();
    assert_eq!(
        of_hours,
        [("13", 2), ("14", 2), ("15", 2), ("16", 1), ("17", 1)]
    );
    assert_eq!(servers.store.wrongs(), Vec::<String>::new());

    // the bytes of one machine, here and in each copy
    plain.merge(LATEST);
    let expected = data(&plain.vault());
    // a copy that was made before goes on, and says so
    let said = servers.command("1", NOW, &checkout).output().unwrap();
    let told = String::from_utf8_lossy(&said.stdout).into_owned();
    let hours: usize = told.split(' ').next().unwrap().parse().unwrap();
    assert!(3 <= hours, "{told}");
    servers.check("1", NOW, &checkout, 4);
    let ledger = fs::read(out.join("ledger.jsonl")).unwrap();
    for vault in [
        out.clone(),
        servers.dir.path().join("m2/vault"),
        servers.dir.path().join("1/vault"),
    ] {
        assert!(data(&vault) == expected, "{}", vault.display());
        assert_eq!(fs::read(vault.join("ledger.jsonl")).unwrap(), ledger);
        servers.check("1", NOW, &["verify", &vault.display().to_string()], 0);
    }
    let day = servers.dir.path().join("day").display().to_string();
    let one = [
        "checkout",
        "s3://archive/x/vault",
        "--day",
        "2026-11-22",
        "--to",
        &*day,
    ];
    servers.check("1", NOW, &one, 4);
    servers.check("1", NOW, &one, 2);
    // read where it lies: the whole, a day, a file
    for path in ["s3://archive/x/vault", "s3://archive/x/vault/2026-11-23"] {
        let said = servers.check("1", NOW, &["verify", path], 0);
        assert!(said.contains("5 hours checked: all holds"), "{said}");
    }
    servers.check("1", NOW, &["verify", "s3://archive/none"], 6);
    let objects = servers.store.objects();
    let file = objects.keys().rfind(|key| key.ends_with("_13_IDs.txt.xz"));
    let file = format!("s3://archive/{}", file.unwrap());
    let said = servers.check("1", NOW, &["inspect", &file], 0);
    assert!(
        said.contains("2026-11-23_13") && said.contains(&file),
        "{said}"
    );
    servers.check("1", NOW, &["inspect", "s3://archive/x/vault/none"], 1);
    check_what_is_told_without_a_copy(&servers);
    // with nothing new little is asked
    servers.store.set(Faults::default());
    servers.check("m3", LATEST, &["merge"], 4);
    let requests = servers.store.requests();
    assert!(requests <= 15, "{requests} requests");
    for args in [&["gaps"][..], &["status"], &["report", "2026-11-23"]] {
        let said = servers.command("1", NOW, args).output().unwrap();
        assert!(
            matches!(said.status.code(), Some(0 | 4 | 5)),
            "{args:?}: {}",
            String::from_utf8_lossy(&said.stderr)
        );
    }

    // a line that was changed, or a file, is found, and nothing follows it
    let good = servers.store.objects();
    let spoiled = |key: &str, to: &str, named: &str| {
        let mut objects = good.clone();
        let bytes = objects.get_mut(key).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        servers.store.replace(objects);
        let to = servers.dir.path().join(to).display().to_string();
        let said = servers.check(
            "1",
            NOW,
            &["checkout", "s3://archive/x/vault", "--to", &to],
            1,
        );
        assert!(said.contains(named), "{key}: {said}");
    };
    // a day that was copied in part is no copy of the whole
    let cut = servers.dir.path().join("cut").display().to_string();
    let mut objects = good.clone();
    let key = "x/vault/2026-11-23/2026-11-23_13/r2.json";
    objects.get_mut(key).unwrap().truncate(1);
    servers.store.replace(objects);
    let whole = ["checkout", "s3://archive/x/vault", "--to", &cut];
    let of_day = [&whole[..], &["--day", "2026-11-22"]].concat();
    servers.check("1", NOW, &of_day, 1);
    servers.store.replace(good.clone());
    servers.check("1", NOW, &whole, 2);
    spoiled(
        "x/vault/ledger/4.json",
        "spoiled1",
        "ledger/5.json: it does not go on",
    );
    spoiled(
        "x/vault/2026-11-23/2026-11-23_13/r2.json",
        "spoiled2",
        "2026-11-23_13/r2.json: ",
    );
    let file = good
        .keys()
        .rfind(|key| key.contains("_14_IDs") && key.contains("/r2-"))
        .unwrap();
    spoiled(
        file,
        "spoiled3",
        "_IDs.txt.xz: it is not what its manifest says",
    );
    // a Delta Lake log that cannot be read is said, and the copy is verified all the same
    let args = ["verify", "s3://archive/x/vault"];
    servers.store.replace(good.clone());
    servers.store.set(Faults {
        refuses_to_read: Some("_delta_log"),
        ..Faults::default()
    });
    let said = servers.check("1", NOW, &args, 5);
    assert!(
        said.contains("incomplete: s3://archive/x/vault/_delta_log/: the log could not be checked"),
        "{said}"
    );
    servers.store.set(Faults::default());
    // a version that somebody else wrote is named, and stops no merge
    let mut objects = good.clone();
    let last = objects.keys().rfind(|key| key.contains("_delta_log/"));
    let last = last.unwrap().clone();
    let foreign = br#"{"commitInfo":{"timestamp":1,"operation":"OPTIMIZE"}}"#;
    objects.insert(last.clone(), foreign.to_vec());
    servers.store.replace(objects);
    let said = servers.check("1", NOW, &args, 1);
    assert!(
        said.contains(&format!("WRONG: s3://archive/{last}")),
        "{said}"
    );
    // a machine that has not seen it
    fs::remove_file(servers.dir.path().join("m3/merger/delta_log.json")).unwrap();
    let said = servers.check("m3", LATEST, &["merge"], 5);
    assert!(said.contains("delta_log") && said.contains(&last), "{said}");
    let unknown = servers.dir.path().join("unknown.txt");
    fs::write(&unknown, "1\n").unwrap();
    let unknown = unknown.display().to_string();
    let redact = ["redact", "--ids", &unknown, "--reason", "asked"];
    let said = servers.check("m3", LATEST, &redact, 5);
    assert!(said.contains("delta_log"), "{said}");
    // once the log is deleted, it is made anew
    let mut objects = servers.store.objects();
    objects.retain(|key, _| !key.contains("_delta_log/"));
    servers.store.replace(objects);
    let said = servers.check("1", NOW, &args, 0);
    assert!(said.contains("it lacks 8 lines of the ledger"), "{said}");
    servers.check("m3", LATEST, &["merge"], 4);
    let log = check_log(&servers.store.objects());
    assert_eq!((log.versions, log.lacks), (1, 0));
    // a vault that is away is not begun anew, here or there
    servers.store.replace(
        good.into_iter()
            .filter(|(key, _)| !key.starts_with("x/vault"))
            .collect(),
    );
    let said = servers.check("m1", NOW, &["merge"], 6);
    assert!(said.contains("place_away"), "{said}");
    assert!(
        !servers
            .store
            .objects()
            .keys()
            .any(|key| key.starts_with("x/vault/"))
    );
    // every command says so in the same words
    let away =
        "the vault is away: s3://archive/x/vault: it is empty, and this server has worked with ";
    assert!(said.contains(away), "{said}");
    let checked = servers.command("m1", NOW, &["check"]).output().unwrap();
    let told = String::from_utf8_lossy(&checked.stdout);
    assert!(told.contains(away), "{told}");
}

#[test]
fn what_nobody_reads_goes_from_the_store_and_a_merger_that_wakes_too_late_commits_nothing() {
    const LATE: &str = "2026-11-24T01:00:00Z";
    let servers = Servers::with_vault();
    let (mut segments, one) = (
        minutes_of(at("2026-11-23T13:10:00Z"), "2"),
        minutes_of(at("2026-11-23T13:10:00Z"), "1"),
    );
    let late = segments.pop().unwrap();
    put(&one, &servers.spool("1"));
    put(&segments, &servers.spool("2"));
    servers.store.set_now(NOW);
    for server in ["1", "2"] {
        servers.check(server, NOW, &["deliver"], 0);
    }
    let crashed = |id: &str, now: &str, at: &str| {
        let mut command = servers.command(id, now, &["merge"]);
        let ended = command.env("TWINSTREAM_CRASH_AT", at).output().unwrap();
        assert_eq!(ended.status.code(), None, "{at}");
    };
    let folder = "x/vault/2026-11-23/2026-11-23_13/";
    let of_hour = |part: &str| -> Vec<String> {
        let prefix = format!("{folder}{part}");
        let objects = servers.store.objects().into_keys();
        objects.filter(|key| key.starts_with(&prefix)).collect()
    };
    // one merger dies; another one's commit is on its way for seven hours
    crashed("m1", NOW, "AttemptStored:1");
    let holds = |method, part| Faults {
        holds: Some((method, part)),
        ..Faults::default()
    };
    let start = |id: &str, now: &str, args: &[&str]| {
        let mut command = servers.command(id, now, args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    servers.store.set(holds("PUT", "_13/r1.json"));
    let asleep = start("m2", NOW, &["merge"]);
    servers.store.wait_until_held();
    // of the one that died there are some files, of the one that is held all of them
    let attempts = of_hour("r1-");
    let mut of_attempts: BTreeMap<&str, usize> = BTreeMap::new();
    for key in &attempts {
        *of_attempts
            .entry(key.rsplit_once('/').unwrap().0)
            .or_default() += 1;
    }
    assert_eq!(of_attempts.len(), 2, "{attempts:?}");
    let files = *of_attempts.values().max().unwrap();
    assert!(3 <= files, "{attempts:?}");
    servers.store.set_now(LATE);
    servers.store.set(Faults::default());
    let woken = asleep.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&woken.stderr);
    assert_eq!(woken.status.code(), Some(1), "{said}");
    assert!(
        said.contains("r1.json was not created: it was too late"),
        "{said}"
    );
    assert_eq!(of_hour("r1.json"), Vec::<String>::new());
    // who commits the revision makes both attempts nobody's
    servers.check("m3", LATE, &["merge"], 0);
    assert_eq!(of_hour("r1").len(), files + 1, "{:?}", of_hour("r1"));
    let left = |servers: &Servers| check_vault(servers)["left over"];
    assert_eq!(left(&servers), 0);

    // a copy reads the first revision while the second comes and the first goes; what may still be committed stays
    let orphan = |n: u8| format!("{folder}r9-00000000000000{n:02x}/2026-11-23_13_IDs.txt.xz");
    servers.store.put(&orphan(1), b"old");
    servers.store.set(holds("GET", "_13/r1-"));
    let to = servers.dir.path().join("reader");
    let args = ["checkout", "s3://archive/x/vault", "--to"];
    let to_reader = [&args[..], &[to.to_str().unwrap()]].concat();
    let reader = start("1", "2026-11-24T02:50:00Z", &to_reader);
    servers.store.wait_until_held();
    put(&[late], &servers.spool("2"));
    servers.check("2", LATE, &["deliver"], 0);
    servers.check("m3", LATE, &["merge"], 4);
    servers.store.set_now("2026-11-24T01:20:00Z");
    crashed("m3", "2026-11-24T01:20:00Z", "LineCreated:1");
    assert_eq!(check_vault(&servers)["2026-11-23_13"], 2);
    // what counts is when the Delta Lake log ceased to name it: another merger extends that
    servers.store.set_now("2026-11-24T02:30:00Z");
    servers.check("m1", "2026-11-24T02:30:00Z", &["merge"], 0);
    assert_eq!(check_log(&servers.store.objects()).lacks, 0);
    assert_eq!(of_hour("r1-").len(), files, "kept for keep_superseded");
    // and looks again, as it would the next day
    fs::remove_file(servers.dir.path().join("m1/merger/swept.json")).unwrap();
    servers.store.set_now("2026-11-24T03:40:00Z");
    servers.store.put(&orphan(2), b"young");
    crashed("m1", "2026-11-24T03:40:00Z", "AttemptSwept:1");
    assert_eq!(of_hour("r1-").len(), files - 1);
    let said = servers.check("m1", "2026-11-24T03:40:00Z", &["merge"], 0);
    assert!(said.contains("1 attempt that nobody reads"), "{said}");
    assert_eq!(of_hour("r1"), [format!("{folder}r1.json")]);
    assert_eq!(of_hour("r9").len(), 2);
    servers.store.set(Faults::default());
    let read = reader.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&read.stderr);
    assert_eq!(read.status.code(), Some(0), "{said}");
    servers.check("1", LATE, &["verify", to.to_str().unwrap()], 0);
    // what is old and was never committed goes; the successor of what is superseded must be whole
    let noon = "2026-11-24T14:00:00Z";
    servers.store.set_now(noon);
    // the others have looked through the vault within a day
    servers.check("1", noon, &["merge"], 0);
    assert_eq!(of_hour("r9"), [orphan(2)]);
    assert_eq!(left(&servers), 1);
    assert_eq!(servers.store.wrongs(), Vec::<String>::new());
}

#[test]
fn raw_data_goes_from_the_store_behind_hours_that_are_whole_there_and_rows_stand_for_it() {
    const KEPT: &str = "2026-11-23T19:30:00Z";
    const SETTLED: &str = "2026-11-23T19:50:00Z";
    let servers = Servers {
        keep_raw: "1h",
        ..Servers::with_vault()
    };
    let plain = Site::new("UTC");
    let begin = at("2026-11-23T13:10:00Z");
    let (one, mut two) = (minutes_of(begin, "1"), minutes_of(begin, "2"));
    plain.put(&one);
    plain.put(&two);
    let late = two.remove(1);
    put(&one, &servers.spool("1"));
    put(&two, &servers.spool("2"));
    for server in ["1", "2"] {
        servers.check(server, NOW, &["deliver"], 0);
    }
    let sent = servers.segments();
    // an hour is found whole by the next merge, when it is in the copy
    for (merger, exit) in [("m1", 0), ("m1", 4), ("m2", 4)] {
        servers.check(merger, NOW, &["merge"], exit);
    }
    let own = |merger: &str| {
        let spool = servers.dir.path().join(merger).join("merger/spool");
        let mut files = here(&spool, "1");
        files.extend(here(&spool, "2"));
        files
    };
    assert_eq!(own("m1"), sent, "what is fetched stays compressed");
    servers.check("m1", "2026-11-23T18:59:00Z", &["merge"], 0);
    assert_eq!(servers.segments(), sent, "kept for keep_raw");

    // the vault here is whole, the one in the store is not
    let good = servers.store.objects();
    let file = good
        .keys()
        .find(|key| key.contains("/r1-") && key.ends_with("_13_posts.parquet"))
        .unwrap();
    let mut bytes = good[file].clone();
    bytes[9] ^= 1;
    servers.store.put(file, &bytes);
    let said = servers.check("m1", KEPT, &["merge"], 5);
    assert!(
        said.contains("raw_data_kept") && said.contains("_13_posts.parquet"),
        "{said}"
    );
    assert_eq!(servers.segments(), sent);
    servers.store.put(file, &good[file]);
    // where it was not whole it is kept for keep_raw since it is again
    servers.check("m1", "2026-11-23T19:35:00Z", &["merge"], 4);
    assert_eq!(servers.segments(), sent);
    servers.check("m2", KEPT, &["merge"], 0);
    let left = servers.segments();
    assert!(left.len() < sent.len(), "{:?}", left.keys());
    assert_eq!(own("m2"), left, "the same here and there");
    let latest = |segments: &[Segment]| segments.last().unwrap().name.to_string();
    for name in [latest(&one), latest(&two)] {
        assert!(left.keys().any(|key| key.contains(&name)), "{name}");
    }

    // killed in the middle, in the store and here, it is finished by the next; nothing comes back
    let mut again = good.clone();
    again.extend(servers.store.objects());
    servers.store.replace(again);
    assert_eq!(servers.segments(), sent);
    for at in ["ObjectDeleted:2", "SegmentDeleted:1"] {
        let later = "2026-11-23T20:40:00Z";
        let mut command = servers.command("m1", later, &["merge"]);
        let ended = command.env("TWINSTREAM_CRASH_AT", at).output().unwrap();
        assert_eq!(ended.status.code(), None, "{at}");
        assert!(servers.segments().len() < sent.len());
    }
    servers.check("m1", "2026-11-23T20:40:00Z", &["merge"], 0);
    assert_eq!(
        servers.segments().keys().collect::<Vec<_>>(),
        left.keys().collect::<Vec<_>>()
    );
    assert_eq!(own("m1"), left);
    servers.check_indexes();
    servers.check("m2", KEPT, &["merge"], 4);

    // one that never had the raw data merges what comes late
    put(&[late], &servers.spool("2"));
    servers.check("2", KEPT, &["deliver"], 0);
    servers.check("m3", KEPT, &["merge"], 4);
    servers.check("m3", SETTLED, &["merge"], 0);
    assert_eq!(check_vault(&servers)["2026-11-23_13"], 2);
    plain.merge(SETTLED);
    let vault = servers.dir.path().join("m3/vault");
    let expected = data(&plain.vault());
    let found = data(&vault);
    for (name, bytes) in &expected {
        assert!(found[name] == *bytes, "{}", name.display());
    }
    servers.check("1", NOW, &["verify", vault.to_str().unwrap()], 0);
    assert_eq!(servers.store.wrongs(), Vec::<String>::new());
}

#[test]
fn what_is_redacted_lies_nowhere_in_the_store_and_in_no_copy_whoever_is_killed() {
    let servers = Servers::with_vault();
    let begin = at("2026-11-23T13:10:00Z");
    let (one, two) = (minutes_of(begin, "1"), minutes_of(begin, "2"));
    put(&one, &servers.spool("1"));
    put(&two, &servers.spool("2"));
    for server in ["1", "2"] {
        servers.check(server, NOW, &["deliver"], 0);
    }
    let dir = servers.dir.path();
    let killed = |id: &str, args: &[&str], at: &str| {
        let mut command = servers.command(id, NOW, args);
        let ended = command.env("TWINSTREAM_CRASH_AT", at).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), None, "{at}: {said}");
    };
    // an attempt that was never committed has the posts, too
    killed("m3", &["merge"], "AttemptStored:2");
    servers.check("m1", NOW, &["merge"], 0);
    servers.check("m2", NOW, &["merge"], 4);
    let unxz = crate::support::primary::unxz;
    let path = dir.join("m1/vault/2026-11-23/2026-11-23_13_IDs.txt.xz");
    let before = unxz(&fs::read(&path).unwrap());
    let all: Vec<&str> = before.lines().collect();
    let ids = [all[0], all[all.len() / 2]];
    let list = dir.join("ids.txt");
    fs::write(&list, ids.join("\n")).unwrap();
    let list = list.display().to_string();
    let args = ["redact", "--ids", &list, "--reason", "asked"];

    let there = || -> Vec<PathBuf> {
        let root = dir.join("there");
        for (key, bytes) in servers.store.objects() {
            let path = root.join(key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let mut found = crate::redact::mentions(&root, &ids);
        found.retain(|path| !path.display().to_string().contains("/redactions/"));
        fs::remove_dir_all(root).unwrap();
        found
    };
    assert!(6 <= there().len(), "raw data of both, two attempts");
    servers.check("m1", NOW, &[&args[..], &["--dry-run"]].concat(), 0);
    for at in [
        "RedactionListed:1",
        "RedactedAside:1",
        "RedactionNoted:1",
        "ObjectCreated:1",
        "ObjectCreated:2",
        "RevisionCreated:1",
        "AttemptSwept:1",
    ] {
        killed("m1", &args, at);
    }
    servers.check("m1", NOW, &args, 0);
    assert_eq!(there(), Vec::<PathBuf>::new());
    let names = servers.segments();
    assert!(
        names
            .keys()
            .any(|key| key.contains(".redacted-2.seal.json"))
    );
    servers.check_indexes();
    let latest = check_vault(&servers);
    assert_eq!((latest["2026-11-23_13"], latest["left over"]), (2, 0));
    // the copies follow, and a server that delivers once more brings nothing back
    let kept = files_below(&dir.join("2"));
    let acks = kept.iter().find(|path| path.ends_with("acks.jsonl"));
    fs::remove_file(acks.unwrap()).unwrap();
    servers.check("2", NOW, &["deliver"], 0);
    assert!(!there().is_empty());
    for merger in ["m2", "m3"] {
        let said = servers.command(merger, NOW, &["merge"]).output().unwrap();
        let words = String::from_utf8_lossy(&said.stderr);
        assert!(
            matches!(said.status.code(), Some(0 | 4)),
            "{merger}: {words}"
        );
        assert_eq!(there(), Vec::<PathBuf>::new(), "{merger}");
    }
    for merger in ["m1", "m2", "m3"] {
        let mut found = crate::redact::mentions(&dir.join(merger), &ids);
        found.retain(|path| !path.ends_with("redactions.jsonl"));
        assert_eq!(found, Vec::<PathBuf>::new(), "{merger}");
        let vault = dir.join(merger).join("vault").display().to_string();
        servers.check("1", NOW, &["verify", &vault], 0);
    }
    let after = unxz(&fs::read(&path).unwrap());
    let left: Vec<&str> = all.iter().copied().filter(|id| !ids.contains(id)).collect();
    assert_eq!(after.lines().collect::<Vec<_>>(), left);
    assert_eq!(check_vault(&servers)["2026-11-23_13"], 2);

    // if one of two hours cannot be made anew, what was taken out of the other goes all the same
    let late = "2026-11-23T20:00:00Z";
    for server in ["1", "2"] {
        put(
            &minutes_of(at("2026-11-23T18:10:00Z"), server),
            &servers.spool(server),
        );
        servers.check(server, late, &["deliver"], 0);
    }
    servers.check("m1", late, &["merge"], 0);
    let path = dir.join("m1/vault/2026-11-23/2026-11-23_18_IDs.txt.xz");
    let other = unxz(&fs::read(path).unwrap());
    fs::write(&list, [left[0], other.lines().next().unwrap()].join("\n")).unwrap();
    let mut objects = servers.store.objects();
    objects.retain(|key, _| !(key.contains("x/spool/") && key.contains("/2026-11-23/13/")));
    servers.store.replace(objects);
    for server in ["1", "2"] {
        let raw = dir.join(format!("m1/merger/spool/{server}/2026-11-23/13"));
        fs::remove_dir_all(raw).unwrap();
    }
    let posts = dir.join("m1/vault/2026-11-23/2026-11-23_13_posts.parquet");
    fs::write(posts, b"damaged").unwrap();
    let said = servers.check("m1", late, &args, 1);
    assert!(
        said.contains("still have posts") && said.contains("2026-11-23_13: "),
        "{said}"
    );
    let of_hour = |revision: u64| {
        let part = format!("2026-11-23_18/r{revision}-");
        let objects = servers.store.objects();
        objects.keys().filter(|key| key.contains(&part)).count()
    };
    assert!(of_hour(1) == 0 && 0 < of_hour(2), "{said}");
    assert_eq!(servers.store.wrongs(), Vec::<String>::new());
}

/// Posts are to be taken out of raw data that lies in a store which does not answer: only the hours of that raw data wait for
/// it, and nothing is forgotten over it.
#[test]
fn while_the_store_is_away_only_those_hours_wait_of_which_something_is_to_be_taken_out() {
    let servers = Servers::new();
    let data = |begin: &str, server: &str| minutes_of(at(begin), server);
    let first = "2026-11-22T22:10:00Z";
    let (one, two) = (data(first, "1"), data(first, "2"));
    put(&one, &servers.spool("1"));
    put(&two, &servers.spool("2"));
    servers.check("2", NOW, &["deliver"], 0);
    servers.check("1", NOW, &["merge"], 0);
    let own = servers.dir.path().join("1");
    let path = own.join("vault/2026-11-22/2026-11-22_22_IDs.txt.xz");
    let listed = crate::support::primary::unxz(&fs::read(path).unwrap());
    // one of each segment that has any: of what came from the store, and of what was collected here
    let of_segment = |segment: &Segment| {
        let has = |line: &[u8], id: &str| memchr::memmem::find(line, id.as_bytes()).is_some();
        let has = |id: &&str| segment.lines.iter().any(|one| has(&one.line, id));
        listed.lines().find(has)
    };
    let ids: Vec<&str> = one.iter().chain(&two).filter_map(of_segment).collect();
    let ids = &*ids;
    let list = servers.dir.path().join("ids.txt");
    fs::write(&list, ids.join("\n")).unwrap();
    let list = list.display().to_string();
    let redact = ["redact", "--ids", &*list, "--reason", "asked"];
    let killed = |now: &str, args: &[&str], at: &str| {
        let mut command = servers.command("1", now, args);
        let ended = command.env("TWINSTREAM_CRASH_AT", at).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), None, "{at}: {said}");
    };
    let revision = |hour: &str| {
        let path = own.join(format!("vault/{}/{hour}_manifest.json", &hour[..10]));
        let bytes = fs::read(path).unwrap_or_else(|_| b"null".to_vec());
        let manifest: Value = serde_json::from_slice(&bytes).unwrap();
        manifest["history"]["revision"].as_u64()
    };
    let away = || {
        servers.store.set(Faults {
            dies_at: Some(0),
            ..Faults::default()
        });
    };
    let left = || {
        let root = servers.dir.path().join("there");
        for (key, bytes) in servers.store.objects() {
            let path = root.join(key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let mut found = crate::redact::mentions(&root, ids);
        fs::remove_dir_all(root).unwrap();
        found.extend(crate::redact::mentions(&own, ids));
        found.retain(|path| !path.ends_with("redactions.jsonl"));
        found
    };

    killed(NOW, &redact, "RedactionListed:1");
    away();
    put(&data("2026-11-23T18:10:00Z", "1"), &servers.spool("1"));
    for now in ["2026-11-23T19:30:00Z", "2026-11-23T19:40:00Z"] {
        let said = servers.check("1", now, &["merge"], 6);
        assert!(
            said.contains("place_away") && !said.contains("held back"),
            "{said}"
        );
        assert_eq!(revision("2026-11-23_18"), Some(1));
        assert_eq!(revision("2026-11-22_22"), Some(1));
    }
    // it answers again for so long that they are taken out here, and not there
    servers.store.set(Faults::default());
    killed("2026-11-23T19:50:00Z", &["merge"], "RedactedInPlace:1");
    away();
    put(&data("2026-11-23T19:10:00Z", "1"), &servers.spool("1"));
    servers.check("1", "2026-11-23T20:30:00Z", &["merge"], 6);
    assert_eq!(revision("2026-11-23_19"), Some(1));
    assert!(!left().is_empty());
    servers.store.set(Faults::default());
    let ended = servers
        .command("1", "2026-11-23T20:40:00Z", &["merge"])
        .output();
    assert!(matches!(ended.unwrap().status.code(), Some(0 | 4)));
    assert_eq!(revision("2026-11-22_22"), Some(2));
    assert_eq!(left(), Vec::<PathBuf>::new());
    assert_eq!(servers.store.wrongs(), Vec::<String>::new());
}
