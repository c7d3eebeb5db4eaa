//! What an object store answers, what other machines have put there, and what was told of deletions.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::Path,
};

use twinstream::{
    period::UtcMs,
    place::{
        folder::Folder,
        s3::{
            address::Address,
            answer::{self, Meaning},
            probe::Probed,
        },
        store::{Content, Created, Key, Listed, Store, StoreError, Timed, Window},
    },
    source::{self, deletions::DeletionLine},
    vault::{
        deleted::{Deleted, LeftOut},
        delta::{action::Version, checkpoint, table::Table},
        in_store::InStore,
        manifest::Manifest,
    },
    world::disk::{self, Disk as _},
};

use super::{assert_inside, assert_one_line, disk_with, golden, outcome};
use crate::support::{disk::SimulatedDisk, fuzz::Fuzz};

/// Nothing is taken for absent because a portal says so, no name of a listing leads elsewhere, and no word of an answer
/// reaches a terminal that is not one word.
#[test]
fn fuzz_answers_of_an_object_store() {
    let address = Address::new("archive/some/spool").unwrap();
    let error = r#"<?xml version="1.0"?><Error><Code>NoSuchKey</Code><Message>m</Message></Error>"#;
    let object = |key: &str| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-11-23T14:00:00.000Z</LastModified><ETag>&quot;0&quot;</ETag><Size>3</Size></Contents>"
        )
    };
    let page = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>archive</Name><EncodingType>url</EncodingType><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys>{}{}<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></ListBucketResult>"#,
        object("some/spool/2/2026-11-23/14/a.jsonl"),
        object("some/spool/..%2F..%2Fb"),
    );
    let fuzz = Fuzz::new("answers_of_an_object_store", 3_000);
    fuzz.seed(error).seed(page).run(|input| {
        let mut said = Vec::new();
        for status in [200, 302, 403, 404, 412, 503] {
            let meaning = answer::meaning(status, input);
            let is_absent = meaning == Meaning::Absent;
            let names_it = memchr::memmem::find(input, b"<Code>NoSuchKey</Code>").is_some();
            assert!(!is_absent || (status == 404 && names_it));
            if let Meaning::Refused(words) | Meaning::Again(words) = &meaning {
                assert_one_line(words);
                assert!(words.len() < 200, "{words}");
            }
            said.push(format!("{meaning:?}"));
        }
        let read = answer::read_page(input, &address);
        if let Ok(page) = &read {
            for key in page.found.iter().map(|listed| &listed.key) {
                assert_inside(Path::new(key.as_str()));
                let object = address.object(key.as_str());
                assert_eq!(address.key(&object), Some(key.as_str()));
            }
            said.push(format!(
                "{} {}",
                page.found.len().min(2),
                page.next.is_some()
            ));
        }
        let probed = disk_with(&Probed::path(Path::new("/data")), input);
        assert!(!Probed::read(&probed, Path::new("/data")).holds("s3://archive/spool", UtcMs(0)));
        format!("{} {}", said.concat(), outcome(&read))
    });
}

const VAULT: &str = "/vault";
const STORE: &str = "/store";

/// The golden vault, as it lies in a store.
fn vault_in_a_store() -> BTreeMap<String, Vec<u8>> {
    let mut objects = BTreeMap::new();
    for hour in ["2026-11-23_13", "2026-11-23_14"] {
        let manifest = golden(&format!("vault/2026-11-23/{hour}_manifest.json"));
        let folder = format!("2026-11-23/{hour}");
        for output in Manifest::from_json(&manifest).unwrap().said.outputs {
            let bytes = golden(&format!("vault/2026-11-23/{}", output.name));
            let name = format!("{folder}/r1-00000000000000ab/{}", output.name);
            objects.insert(name, bytes);
        }
        let commit = [
            &br#"{"attempt":"r1-00000000000000ab","manifest":"#[..],
            manifest.trim_ascii_end(),
            b"}\n",
        ];
        objects.insert(format!("{folder}/r1.json"), commit.concat());
    }
    let ledger = golden("vault/ledger.jsonl");
    for (number, line) in (1..).zip(ledger.split_inclusive(|byte| *byte == b'\n')) {
        objects.insert(format!("ledger/{number}.json"), line.to_vec());
    }
    objects
}

fn put(disk: &SimulatedDisk, objects: &BTreeMap<String, Vec<u8>>) {
    for (name, bytes) in objects {
        let path = Path::new(STORE).join(name);
        disk.make_folder(path.parent().unwrap()).unwrap();
        disk::remove_if_there(disk, &path).unwrap();
        disk.create(&path).unwrap().write_all(bytes).unwrap();
    }
}

/// A folder in which it is always the same time.
struct Still<'a>(Folder<'a>);

impl Store for Still<'_> {
    fn name(&self) -> String {
        self.0.name()
    }

    fn create(&self, key: &Key, content: &Content<'_>) -> Result<Created, StoreError> {
        self.0.create(key, content)
    }

    fn read(
        &self,
        key: &Key,
        bytes_max: u64,
        sink: &mut dyn Write,
    ) -> Result<Option<u64>, StoreError> {
        self.0.read(key, bytes_max, sink)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        self.0.list(prefix, each)
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.0.delete(key)
    }
}

impl Timed for Still<'_> {
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

/// Follows the store; what lies in the copy then of hours and ledger, but for what is aside.
fn follow(disk: &SimulatedDisk) -> (Result<usize, String>, BTreeMap<String, Vec<u8>>) {
    let (vault, root) = (Path::new(VAULT), Path::new(STORE));
    disk.make_folder(vault).unwrap();
    let store = Still(Folder { disk, root });
    let draw = || Ok(1);
    let followed = InStore::new(&store, disk, vault, &draw)
        .and_then(|all| all.follow(&|_| true))
        .map(|changed| changed.len())
        .map_err(|why| why.to_string());
    let mut files = BTreeMap::new();
    for (path, bytes) in disk.files() {
        let name = path.strip_prefix(VAULT).ok().and_then(Path::to_str);
        let is_of_hour = |name: &&str| {
            let is_aside = [".tmp", ".new"].iter().any(|aside| name.ends_with(aside));
            let is_one = name.starts_with("2026-11-23/2026-11-23_1") && !is_aside;
            is_one || *name == "ledger.jsonl"
        };
        if let Some(name) = name.filter(is_of_hour) {
            files.insert(name.to_owned(), bytes);
        }
    }
    (followed, files)
}

/// Whatever is changed in a store: the copy has the right files or none, names an object, and goes on when all is right
/// again.
#[test]
fn fuzz_a_vault_in_a_store() {
    let objects = vault_in_a_store();
    let names: Vec<&String> = objects.keys().collect();
    let right = SimulatedDisk::default();
    put(&right, &objects);
    let (followed, whole) = follow(&right);
    assert_eq!((followed, whole.len()), (Ok(2), 12));
    let mut fuzz = Fuzz::new("a_vault_in_a_store", 150);
    for (number, name) in (0_u8..).zip(&names) {
        fuzz = fuzz.seed([&[number][..], &objects[*name]].concat());
    }
    fuzz.run(|input| {
        let Some((number, bytes)) = input.split_first() else {
            return "nothing".to_owned();
        };
        let name = names[usize::from(*number) % names.len()];
        let disk = SimulatedDisk::default();
        put(&disk, &objects);
        put(&disk, &BTreeMap::from([(name.clone(), bytes.to_owned())]));
        let (followed, files) = follow(&disk);
        for (file, bytes) in &files {
            let is_ledger = *file == "ledger.jsonl";
            let whole = whole
                .get(file)
                .unwrap_or_else(|| panic!("{name} was changed, and there is {file}"));
            let is_right = bytes == whole || is_ledger && whole.starts_with(bytes);
            assert!(is_right, "{name} was changed, and {file} is another");
        }
        if let Err(why) = &followed {
            // of two lines of the ledger that do not fit it is the later one
            let is_named = names.iter().any(|name| why.contains(name.as_str()));
            assert!(is_named, "{name}: {why}");
            assert_one_line(why);
        } else {
            assert!(files == whole, "{name}");
        }
        put(&disk, &objects);
        let (again, files) = follow(&disk);
        assert!(again.is_ok() && files == whole, "{name}: {again:?}");
        name.clone()
    });
}

/// Whatever lies under the name of a version of the Delta Lake log, or of a checkpoint: it is one in its one form, or an
/// error says why not.
#[test]
fn fuzz_versions_and_checkpoints_of_the_delta_log() {
    let version = r#"{"commitInfo":{"operation":"MERGE","engineInfo":"twinstream/1","metaDataVersion":0}}
{"protocol":{"minReaderVersion":1,"minWriterVersion":7,"writerFeatures":["twinstream"]}}
{"metaData":{"id":"ab","format":{"provider":"parquet","options":{}},"schemaString":"{}","partitionColumns":[],"configuration":{"delta.logRetentionDuration":"interval 5200 weeks"}}}
{"txn":{"appId":"twinstream-ledger","version":41}}
{"add":{"path":"a","partitionValues":{},"size":5,"modificationTime":1000,"dataChange":true,"stats":"{\"numRecords\":7}"}}
"#;
    let mut table = Table::default();
    table
        .take(&Version::read(version.as_bytes()).unwrap())
        .unwrap();
    let checkpoint = checkpoint::write(&table).unwrap();
    let fuzz = Fuzz::new("versions_and_checkpoints_of_the_delta_log", 600);
    fuzz.seed(version).seed(checkpoint).run(|input| {
        let read = Version::read(input);
        let mut table = Table::default();
        let mut taken = false;
        match &read {
            Ok(version) => {
                assert_eq!(version.to_bytes().unwrap(), input);
                taken = table.take(version).is_ok();
            }
            Err(why) => assert_one_line(why),
        }
        if taken {
            let bytes = checkpoint::write(&table).unwrap();
            assert_eq!(checkpoint::read(bytes), Ok(table));
        }
        let table = checkpoint::read(input.to_owned());
        format!(
            "{} {taken} {}",
            outcome(&read.map(drop)),
            outcome(&table.map(drop))
        )
    });
}

/// Whatever lines come in whatever order: what is on the lists is what they say, once; and a list that somebody has changed
/// is an error that names it, or has lost what it has lost.
#[test]
fn fuzz_lists_of_what_was_deleted() {
    let vault = Path::new(VAULT);
    let source = source::BLUESKY.source;
    let told = source.deletions().unwrap();
    let record = "at://did:plc:abc/app.bsky.feed.post/3mptbyoeyc22k\t3mptbypzzz722";
    let own = "at://did:plc:abc/app.bsky.feed.post/self\t3mptbypzzz722";
    let account = "did:plc:abc\t31527015400\t2026-07-04T14:39:13.987Z\ttakendown";
    let fuzz = Fuzz::new("lists_of_what_was_deleted", 800)
        .seed(format!("{record}\n{own}\n{account}\n"))
        .seed(account.replace("takendown", "deactivated"));
    fuzz.run(|input| {
        let text = String::from_utf8_lossy(input);
        let lines = text.split('\n').filter(|line| told.told(line).is_some());
        let lines: BTreeSet<String> = lines.map(str::to_owned).collect();
        let disk = SimulatedDisk::default();
        let deleted = Deleted::read(&disk, vault, Some(told)).unwrap();
        for _twice in 0..2 {
            deleted.add(lines.clone()).unwrap();
        }
        let mut listed = Vec::new();
        for (path, bytes) in disk.files() {
            assert!(path.starts_with("/vault/deleted"), "{}", path.display());
            let text = String::from_utf8(bytes).unwrap();
            let of_list: Vec<&str> = text.lines().collect();
            assert!(of_list.is_sorted_by(|a, b| a < b), "{text:?}");
            listed.extend(of_list.into_iter().map(str::to_owned));
        }
        listed.sort();
        assert!(listed.iter().eq(&lines));
        let again = Deleted::read(&disk, vault, Some(told)).unwrap();
        let mut last: BTreeMap<&str, &str> = BTreeMap::new();
        for line in &lines {
            if let Some(DeletionLine::Record {
                record, revision, ..
            }) = told.told(line)
            {
                assert_eq!(format!("{record}\t{revision}"), *line);
                let latest = last.entry(record).or_default();
                *latest = revision.max(latest);
            }
        }
        let is_gone = |record: &str, revision: &str| {
            let listed = source.listed(&format!("{record}\t{revision}")).unwrap();
            again.why(&listed.key) == Some(LeftOut::Deleted)
        };
        for (record, revision) in &last {
            assert!(!is_gone(record, revision), "{record} {revision}");
            let first = "2222222222222";
            assert_eq!(
                is_gone(record, first),
                first < *revision,
                "{record} {revision}"
            );
        }
        again.check().unwrap();
        let path = Path::new("/vault/deleted/accounts.txt");
        let changed = disk_with(path, input);
        let read = Deleted::read(&changed, vault, Some(told));
        if let Err(why) = &read {
            assert!(
                why.to_string().starts_with("/vault/deleted/accounts.txt"),
                "{why}"
            );
        }
        format!("{} {}", last.len().min(3), outcome(&read.map(drop)))
    });
}
