//! The Delta Lake log of a vault in an object store: written by several machines, whoever dies at whichever operation; and
//! what is wrong with a version is found.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use serde_json::{Value, json};
use twinstream::{
    period::UtcMs,
    place::store::{Content, Created, Key, Listed, Store, StoreError, Timed, Window, digest},
    source::SAMPLE,
    vault::{
        commit_error::InStoreError,
        delta::{check, log::DeltaLog},
        in_store::InStore,
    },
    world::disk::{Disk as _, put},
};

use super::object_store::check_log;
use crate::support::disk::SimulatedDisk;

type Objects = BTreeMap<String, Vec<u8>>;

/// A machine's way to a store in memory. From one operation on there is silence: before that is done, or after.
struct Way {
    objects: Arc<Mutex<Objects>>,
    asked: AtomicU64,
    dies_at: AtomicU64,
    dies_after: AtomicBool,
}

impl Way {
    fn ask<T>(&self, act: impl FnOnce(&mut Objects) -> T) -> Result<T, StoreError> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let dies_at = self.dies_at.load(Ordering::SeqCst);
        let silence = || StoreError::Unreachable {
            place: self.name(),
            why: "silence".to_owned(),
        };
        let is_done = asked < dies_at || asked == dies_at && self.dies_after.load(Ordering::SeqCst);
        let done = is_done.then(|| act(&mut self.objects.lock().unwrap()));
        done.filter(|_| asked < dies_at).ok_or_else(silence)
    }

    /// Silence comes at the n-th operation from now.
    fn dies_at(&self, nth: u64, after: bool) {
        self.asked.store(0, Ordering::SeqCst);
        self.dies_at.store(nth, Ordering::SeqCst);
        self.dies_after.store(after, Ordering::SeqCst);
    }
}

fn name(key: &Key) -> String {
    format!("x/vault/{key}")
}

impl Store for Way {
    fn name(&self) -> String {
        "s3://x/vault".to_owned()
    }

    fn create(&self, key: &Key, content: &Content<'_>) -> Result<Created, StoreError> {
        let mut bytes = Vec::new();
        (content.open)()?.read_to_end(&mut bytes)?;
        self.ask(|objects| match objects.get(&name(key)) {
            Some(there) if *there != bytes => Created::Taken {
                sha256: digest(there).sha256,
            },
            _ => {
                objects.insert(name(key), bytes);
                Created::Stands
            }
        })
    }

    fn read(
        &self,
        key: &Key,
        _bytes_max: u64,
        sink: &mut dyn Write,
    ) -> Result<Option<u64>, StoreError> {
        let found = self.ask(|objects| objects.get(&name(key)).cloned())?;
        if let Some(bytes) = &found {
            sink.write_all(bytes)?;
        }
        Ok(found.map(|bytes| bytes.len() as u64))
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        let all: Vec<String> = self.ask(|objects| objects.keys().cloned().collect())?;
        let own = all.iter().filter_map(|key| key.strip_prefix("x/vault/"));
        for key in own.filter(|key| key.starts_with(prefix)) {
            each(Listed {
                key: key.to_owned().try_into()?,
                bytes: 0,
                created: None,
            });
        }
        Ok(())
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.ask(|objects| objects.remove(&name(key))).map(drop)
    }
}

impl Timed for Way {
    fn now(&self) -> Result<UtcMs, StoreError> {
        Ok(UtcMs(0))
    }

    fn create_within(
        &self,
        key: &Key,
        content: &Content<'_>,
        _window: Window,
    ) -> Result<Created, StoreError> {
        self.create(key, content)
    }
}

/// A vault of which there are manifests and a ledger only.
struct Archive {
    objects: Arc<Mutex<Objects>>,
    manifest: Value,
    revisions: BTreeMap<String, u64>,
    lines: u64,
    previous: String,
}

impl Archive {
    fn new() -> Self {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1/vault");
        let manifest = golden.join("2026-11-23/2026-11-23_14_manifest.json");
        Self {
            objects: Arc::default(),
            manifest: serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap(),
            revisions: BTreeMap::new(),
            lines: 0,
            previous: "0".repeat(64),
        }
    }

    /// Somebody has committed a further revision of an hour; one in five has no posts.
    fn commit(&mut self, nth: u64) {
        let hour = format!(
            "2026-{:02}-{:02}_{:02}",
            1 + nth / 480,
            1 + nth / 24 % 20,
            nth % 24
        );
        let known = self.revisions.entry(hour.clone()).or_default();
        *known += 1;
        let revision = *known;
        let mut manifest = self.manifest.clone();
        manifest["hour"] = json!(hour);
        manifest["history"]["revision"] = json!(revision);
        let mut outputs = Vec::new();
        for output in manifest["outputs"].as_array().unwrap() {
            let mut output = output.clone();
            let name = output["name"]
                .as_str()
                .unwrap()
                .replace("2026-11-23_14", &hour);
            if !(nth + revision).is_multiple_of(5) || !name.ends_with("_posts.parquet") {
                output["name"] = json!(name);
                // as many rows as no other file, nor the list of ids, has
                output["rows"] = json!(output["rows"].as_u64().unwrap() + self.lines);
                outputs.push(output);
            }
        }
        manifest["outputs"] = json!(outputs);
        let (nth, folder) = (self.lines, format!("x/vault/{}/{hour}", &hour[..10]));
        let commit =
            format!("{{\"attempt\":\"r{revision}-{nth:016x}\",\"manifest\":{manifest}}}\n");
        self.put(&format!("{folder}/r{revision}.json"), commit.as_bytes());
        let sha256 = digest(format!("{manifest}\n").as_bytes()).sha256;
        let line = format!(
            "{{\"hour\":\"{hour}\",\"revision\":{revision},\"manifest_sha256\":\"{sha256}\",\"previous\":\"{}\"}}",
            self.previous
        );
        self.lines += 1;
        let key = format!("x/vault/ledger/{}.json", self.lines);
        self.put(&key, format!("{line}\n").as_bytes());
        self.previous = digest(line.as_bytes()).sha256.to_string();
    }

    fn put(&self, key: &str, bytes: &[u8]) {
        let mut objects = self.objects.lock().unwrap();
        objects.insert(key.to_owned(), bytes.to_vec());
    }

    fn objects(&self) -> Objects {
        self.objects.lock().unwrap().clone()
    }

    fn replace(&self, objects: Objects) {
        *self.objects.lock().unwrap() = objects;
    }

    fn take_away(&self, part: &str) {
        let mut objects = self.objects.lock().unwrap();
        objects.retain(|key, _| !key.contains(part));
    }

    fn names(&self, part: &str) -> Vec<String> {
        let names = self.objects().into_keys();
        names.filter(|key| key.contains(part)).collect()
    }

    fn versions(&self) -> usize {
        let names = self.names("_delta_log/0").into_iter();
        names.filter(|name| !name.contains(".checkpoint")).count()
    }

    /// A machine that merges, as far as the log needs it.
    fn machine(&self) -> Machine {
        let disk = SimulatedDisk::default();
        let mark = br#"{"format":1,"id":"0000000000000007","timezone":"UTC","stream":"sample"}"#;
        disk.make_folder(Path::new(VAULT)).unwrap();
        put(&disk, &Path::new(VAULT).join("vault.json"), mark).unwrap();
        Machine {
            disk,
            there: Way {
                objects: Arc::clone(&self.objects),
                asked: AtomicU64::new(0),
                dies_at: AtomicU64::new(u64::MAX),
                dies_after: AtomicBool::new(false),
            },
        }
    }
}

/// More often than a merge does.
const EVERY: u64 = 10;

const VAULT: &str = "/m/vault";

struct Machine {
    disk: SimulatedDisk,
    there: Way,
}

impl Machine {
    fn with<T>(
        &self,
        act: impl FnOnce(&InStore<'_>) -> Result<T, InStoreError>,
    ) -> Result<T, InStoreError> {
        let draw = || Err(io::Error::other("nothing is committed here"));
        let vault = InStore::new(&self.there, &self.disk, Path::new(VAULT), &draw)?;
        vault.follow(&|_| false)?;
        act(&vault)
    }

    /// What a merge does with the log.
    fn extend(&self) -> Result<(), InStoreError> {
        self.with(|vault| log_of(vault).extend())
    }

    /// What a merge does with it once a day.
    fn look(&self) -> Result<(), InStoreError> {
        self.with(|vault| log_of(vault).look())?;
        self.extend()
    }

    /// How many operations that takes beside following.
    fn asks(&self) -> u64 {
        let counted = |act: &dyn Fn()| {
            self.there.dies_at(u64::MAX, false);
            act();
            self.there.asked.load(Ordering::SeqCst)
        };
        self.with(|_| Ok(())).unwrap();
        let following = counted(&|| self.with(|_| Ok(())).unwrap());
        counted(&|| self.extend().unwrap()) - following
    }

    /// What `verify` says of it: what is wrong, and what is worth knowing.
    fn check(&self) -> [String; 2] {
        let checked = self.with(check::check).unwrap();
        [checked.wrong, checked.notes].map(|found| {
            let said = found.iter().map(|(key, why)| format!("{key}: {why}"));
            said.collect::<Vec<String>>().join("\n")
        })
    }
}

fn log_of<'a>(vault: &'a InStore<'a>) -> DeltaLog<'a> {
    DeltaLog {
        vault,
        source: SAMPLE.source,
        folder: Path::new("/m"),
        checkpoint_every: EVERY,
    }
}

const FINE: [String; 2] = [String::new(), String::new()];

#[test]
fn whatever_is_lost_and_whoever_dies_each_version_is_what_the_ledger_says() {
    let mut archive = Archive::new();
    let machines = [(); 3].map(|()| archive.machine());
    machines[0].extend().unwrap();
    assert_eq!(archive.versions(), 0);
    // a vault that has had no log so far: all of it in the first version
    for nth in 0..30 {
        archive.commit(nth % 17);
    }
    let (mut round, mut died) = (0, 0);
    while archive.versions() < 26 {
        round += 1;
        archive.commit(round * 7 % 19);
        if round.is_multiple_of(3) {
            archive.commit(round);
        }
        let machine = &machines[round as usize % 3];
        if round.is_multiple_of(7) {
            thread::scope(|scope| {
                for machine in &machines {
                    scope.spawn(|| machine.extend().unwrap());
                }
            });
        } else if round % 5 == 1 || archive.versions() % 10 < 2 {
            // it dies at every operation in turn, before that is done or after, and begins anew, or another goes on
            for (nth, after) in (1..).flat_map(|nth| [(nth, false), (nth, true)]) {
                machine.there.dies_at(nth, after);
                match machine.extend() {
                    Ok(()) => break,
                    Err(why) => assert!(why.is_away(), "{why}"),
                }
                died += 1;
            }
            machine.there.dies_at(u64::MAX, false);
        } else {
            machine.extend().unwrap();
        }
    }
    assert!(60 < died, "{died}");
    for machine in &machines {
        machine.extend().unwrap();
        assert_eq!(machine.check(), FINE);
    }
    let found = check_log(&archive.objects());
    assert_eq!(found.lacks, 0);
    assert!(20 < found.versions && 15 < found.files.len());
    let name = |version: u64| format!("x/vault/_delta_log/{version:020}.checkpoint.parquet");
    assert_eq!(archive.names(".parquet"), [name(10), name(20)]);
    let hint = |archive: &Archive| -> u64 {
        let hint = &archive.objects()["x/vault/_delta_log/_last_checkpoint"];
        let hint: Value = serde_json::from_slice(hint).unwrap();
        hint["version"].as_u64().unwrap()
    };
    assert_eq!(hint(&archive), 20);

    // with nothing new, nothing is asked of the log; with something new little, also by who has seen nothing of it
    assert_eq!(machines[0].asks(), 0);
    let asked = archive.machine().asks();
    assert!((10..30).contains(&asked), "{asked}");
    archive.commit(3);
    let asked = machines[0].asks();
    assert!((4..9).contains(&asked), "{asked}");
    // a checkpoint that was lost is made again, from the one before, and so is what points to it
    let good = archive.objects();
    let without = |parts: &[&str]| {
        let mut objects = good.clone();
        objects.retain(|key, _| !parts.iter().any(|part| key.contains(part)));
        objects
    };
    for lost in [
        &["0020.checkpoint"][..],
        &["_last_checkpoint"],
        &["0020.checkpoint", "_last_checkpoint"],
        &[".checkpoint", "_last_checkpoint"],
    ] {
        archive.replace(without(lost));
        let fresh = archive.machine();
        fresh.extend().unwrap();
        assert_eq!(archive.objects()[&name(20)], good[&name(20)]);
        assert_eq!(hint(&archive), 20);
        assert_eq!(fresh.check(), FINE);
    }
    // also by one that knows of it: at the latest when it looks
    archive.replace(without(&["0020.checkpoint"]));
    machines[0].look().unwrap();
    assert_eq!(archive.objects()[&name(20)], good[&name(20)]);
    assert_eq!(machines[0].check(), FINE);
    // what others have committed and logged since a copy was made is no fault of the log
    let [one, other] = [&machines[0], &machines[1]];
    for nth in 0..3 {
        archive.commit(nth);
    }
    let found = one.with(|vault| {
        for nth in 0..6 {
            archive.commit(nth);
        }
        other.extend().unwrap();
        check::check(vault)
    });
    let found = found.unwrap();
    assert!(
        found.wrong.is_empty() && found.notes.is_empty(),
        "{found:?}"
    );
    // if somebody has cleaned up before the checkpoint, what is there is gone on with, by one that knows of it and one that
    // does not
    let mut objects = archive.objects();
    objects.retain(|key, _| !(0..20).any(|n| key.ends_with(&format!("{n:020}.json"))));
    archive.replace(objects);
    let latest = |archive: &Archive| archive.names("_delta_log/0").pop().unwrap();
    for machine in [&machines[0], &archive.machine()] {
        let before = latest(&archive);
        archive.commit(7);
        machine.extend().unwrap();
        assert!(before < latest(&archive), "{before}");
        assert!(archive.names("_delta_log/00000000000000000000").is_empty());
    }
    // one that has gone on while others deleted the log and began it anew makes no second hole
    machines[1].extend().unwrap();
    let late = latest(&archive);
    let bytes = archive.objects()[&late].clone();
    archive.take_away("_delta_log");
    machines[0].look().unwrap();
    archive.put(&late, &bytes);
    archive.commit(6);
    machines[1].extend().unwrap();
    assert_eq!(check_log(&archive.objects()).versions, 2);
    assert_eq!(latest(&archive), late);
    // a log that was taken away is begun anew, by one that knows of the former one, too: when it looks, or has something new
    for commits in [false, true] {
        archive.take_away("_delta_log");
        let [wrong, note] = machines[0].check();
        assert!(
            wrong.is_empty() && note.contains("of the ledger: a merge adds them"),
            "{note}"
        );
        if commits {
            archive.commit(5);
            machines[0].extend().unwrap();
        } else {
            machines[0].look().unwrap();
        }
        let found = check_log(&archive.objects());
        assert_eq!((found.versions, found.lacks), (1, 0));
        assert_eq!(machines[0].check(), FINE);
    }
}

#[test]
fn a_version_that_is_wrong_is_named_and_nothing_goes_on_from_one_that_others_wrote() {
    let mut archive = Archive::new();
    let machine = archive.machine();
    for nth in 0..14 {
        archive.commit(nth % 4);
        machine.extend().unwrap();
    }
    assert_eq!(machine.check(), FINE);
    let good = archive.objects();
    let key = |name: &str| format!("x/vault/_delta_log/{name}");
    let version = |n: u64| key(&format!("{n:020}.json"));
    let text = |n: u64| String::from_utf8(good[&version(n)].clone()).unwrap();
    let foreign = r#"{"commitInfo":{"timestamp":1,"operation":"OPTIMIZE"}}"#.to_owned() + "\n";
    let line = |n: u64, ending: &str| {
        let text = text(n);
        let line = text.lines().find(|line| line.starts_with(ending)).unwrap();
        format!("{line}\n")
    };
    let checkpoint = key(&format!("{:020}.checkpoint.parquet", 10));
    let mut spoiled = good[&checkpoint].clone();
    spoiled.truncate(spoiled.len() / 2);
    for (at, bytes, named, why) in [
        (
            version(6),
            Some(foreign.clone()),
            "006.json",
            "missing field",
        ),
        (
            version(6),
            None,
            "006.json",
            "it is missing, but later ones",
        ),
        (
            version(6),
            Some(text(6).replace("\"size\":", "\"size\":1")),
            "006.json",
            "as line 7",
        ),
        (
            version(6),
            Some(text(6).replace(&line(6, "{\"add"), "")),
            "006.json",
            "as line 7",
        ),
        (
            version(6),
            Some(text(6).replace(&line(6, "{\"remove"), "")),
            "006.json",
            "as line 7",
        ),
        (
            version(6),
            Some(text(5)),
            "006.json",
            "the version before has 6",
        ),
        (
            version(13),
            Some(text(13).replace("\"version\":14", "\"version\":999")),
            "013.json",
            "999 lines",
        ),
        (
            version(0),
            Some(text(0).replace("{\"protocol\"", "{\"protocal\"")),
            "000.json",
            "unknown variant",
        ),
        (
            checkpoint.clone(),
            Some(String::new()),
            "010.checkpoint.parquet",
            "",
        ),
        (
            key("_last_checkpoint"),
            Some("{\"version\":300,\"size\":1}".to_owned()),
            "_last_checkpoint",
            "missing",
        ),
    ] {
        let mut objects = good.clone();
        match &bytes {
            Some(bytes) => objects.insert(at.clone(), bytes.clone().into_bytes()),
            None => objects.remove(&at),
        };
        archive.replace(objects);
        let [wrong, _] = machine.check();
        assert!(
            wrong.contains(named) && wrong.contains(why),
            "{at}: {wrong}"
        );
    }
    // a checkpoint of another version, as it may lie there
    let mut objects = good.clone();
    objects.insert(checkpoint, spoiled);
    objects.insert(key("stranger.crc"), Vec::new());
    archive.replace(objects);
    let [wrong, note] = machine.check();
    assert!(wrong.contains("010.checkpoint.parquet"), "{wrong}");
    assert!(
        note.contains("stranger.crc: it is no file of the log"),
        "{note}"
    );

    // who finds the next version taken by somebody else stops there, and changes nothing
    archive.replace(good.clone());
    archive.commit(1);
    archive.put(&version(14), foreign.as_bytes());
    let before = archive.objects();
    let why = machine.extend().unwrap_err();
    assert!(
        !why.is_away() && why.to_string().contains("014.json"),
        "{why}"
    );
    assert!(archive.objects() == before);
    // and goes on when it is gone
    let mut objects = archive.objects();
    objects.remove(&version(14));
    archive.replace(objects);
    machine.extend().unwrap();
    assert_eq!(machine.check(), FINE);
    let found = check_log(&archive.objects());
    assert_eq!((found.versions, found.lacks), (15, 0));
}
