//! What lies in a vault, what `verify` finds when it is not as it was, and the two commands.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use twinstream::{
    segment::{name::Partition, sha256::Sha256},
    source::SAMPLE10,
    vault::{
        ledger::{self, LedgerLine},
        manifest::Manifest,
    },
    verify::problem::{Problem, Severity},
    world::{
        disk::Disk,
        lock::{FolderLock, Lock},
    },
};

use crate::{
    support::{
        folder::files_below,
        posts::{Received, Segment, segments, segments_of, stream},
        primary::{Site, at},
        skipped::real_posts,
    },
    world::in_parts,
};

const LATER: &str = "2026-11-23T16:30:00Z";

/// A vault of three hours, one of them in its second revision, and with rejected lines.
fn vault(site: &Site) {
    let received = stream(2, at("2026-11-23T13:50:00Z"), 25, 12);
    let of = |n: usize| segments(["1", "2"][n], &received[n]);
    site.put(&of(0));
    site.put(&of(1)[5..]);
    assert_eq!(site.merge("2026-11-23T16:10:00Z").len(), 3);
    site.put(&of(1)[..5]);
    assert_eq!(site.merge(LATER).len(), 1);
}

fn replace(disk: &dyn Disk, path: &Path, bytes: Option<&[u8]>) {
    if disk.len(path).unwrap().is_some() {
        disk.remove(path).unwrap();
    }
    if let Some(bytes) = bytes {
        disk.make_folder(path.parent().unwrap()).unwrap();
        disk.create(path).unwrap().write_all(bytes).unwrap();
    }
}

/// Whether a byte is one of the vault's id. No other file has it, so that a copy of a vault with another
/// id is a vault: `data_dir` remembers which one is meant.
fn is_of_id(bytes: &[u8], offset: usize) -> bool {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let id = text
        .find("\"id\":\"")
        .map(|begin| begin + 6..begin + 6 + 32);
    id.is_some_and(|id| id.contains(&offset))
}

#[track_caller]
fn check_found(site: &Site, what: &str, worst: Option<Severity>) {
    let found = site.verify();
    assert_eq!(found.worst(), worst, "{what}: {:#?}", found.problems);
}

/// Who has which partitions of a stream of two.
const HELD: [&[(&str, &[u8])]; 4] = [
    &[("1", &[1, 2])],
    &[("1", &[1]), ("2", &[2])],
    &[("1", &[1, 2]), ("2", &[1, 2])],
    &[("1", &[1, 2]), ("2", &[2])],
];

#[test]
fn an_archive_of_partitions_is_whole_whoever_has_which() {
    let received = stream(2, at("2026-11-23T13:50:00Z"), 25, 12);
    for held in HELD {
        let mut site = Site::in_memory();
        site.stream = SAMPLE10;
        let partitions = |of: &[u8]| -> Vec<Partition> {
            of.iter().map(|n| Partition::new(*n).unwrap()).collect()
        };
        for ((id, of), received) in held.iter().zip(&received) {
            for segment in segments_of(SAMPLE10.word, id, received) {
                let parts = in_parts(&segment, &partitions(&[1, 2]));
                let has = |part: &Segment| partitions(of).contains(&part.name.partition.unwrap());
                site.put(&parts.into_iter().filter(has).collect::<Vec<_>>());
            }
        }
        assert_eq!(site.merge("2026-11-23T16:10:00Z").len(), 3);
        let rejected = site.hours().into_iter().map(|hour| {
            let counts = site.manifest(&hour).said.counts.clone();
            counts.total.rejected.values().sum::<u64>()
        });
        assert!(0 < rejected.sum::<u64>(), "a line is no post");
        check_found(&site, &format!("{held:?}"), None);
    }
}

const WRONG: Option<Severity> = Some(Severity::Wrong);
const UNFINISHED: Option<Severity> = Some(Severity::Unfinished);

#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn verify_finds_every_change() {
    let site = Site::in_memory();
    vault(&site);
    let files = site.files();
    check_found(&site, "nothing was changed", None);
    let endings = [
        "IDs.txt.xz",
        "tweets.csv.xz",
        "users.csv.xz",
        "rejected.jsonl.xz",
        "manifest.json",
        "r1_manifest.json",
        "report.txt",
        "ledger.jsonl",
    ];
    for ending in endings {
        assert!(files.keys().any(|name| name.ends_with(ending)), "{ending}");
    }
    for (name, bytes) in &files {
        let path = site.vault().join(name);
        // the last byte of the ledger is its last line's end: without it the line is torn
        let last = bytes.len() - 1 - usize::from(name == "ledger.jsonl");
        for (offset, bit) in [
            (0, 0),
            (bytes.len() / 3, 5),
            (bytes.len() / 2, 0),
            (bytes.len() / 2, 5),
            (last, 5),
        ] {
            if is_of_id(bytes, offset) {
                continue;
            }
            let mut changed = bytes.clone();
            changed[offset] ^= 1 << bit;
            replace(&*site.disk, &path, Some(&changed));
            check_found(
                &site,
                &format!("bit {bit} of byte {offset} of {name}"),
                WRONG,
            );
        }
        let mut longer = bytes.clone();
        longer.push(b'\n');
        replace(&*site.disk, &path, Some(&longer));
        check_found(&site, &format!("{name} is longer"), WRONG);
        replace(&*site.disk, &path, None);
        check_found(&site, &format!("{name} is missing"), WRONG);
        replace(&*site.disk, &path, Some(bytes));
    }
    check_found(&site, "everything is back", None);

    let put =
        |name: &str, bytes: &[u8]| replace(&*site.disk, &site.vault().join(name), Some(bytes));
    let day = "2026-11-23/2026-11-23";
    let [first, second] = ["13", "14"].map(|hour| format!("{day}_{hour}_manifest.json"));
    put(&first, &files[&second]);
    put(&second, &files[&first]);
    check_found(&site, "two manifests are swapped", WRONG);
    put(&second, &files[&second]);
    // an earlier revision in the place of the latest
    put(
        &first,
        &files["2026-11-23/revisions/2026-11-23_13_r1_manifest.json"],
    );
    check_found(&site, "the former manifest is back in place", WRONG);
    put(&first, &files[&first]);

    let ledger = String::from_utf8(files["ledger.jsonl"].clone()).unwrap();
    let lines: Vec<&str> = ledger.split_inclusive('\n').collect();
    assert_eq!(lines.len(), 4);
    for gone in 0..lines.len() {
        let mut left = lines.clone();
        left.remove(gone);
        put("ledger.jsonl", left.concat().as_bytes());
        // the last line of the last commit may not have been written yet
        let expected = if gone + 1 == lines.len() {
            UNFINISHED
        } else {
            WRONG
        };
        check_found(&site, &format!("line {gone} is gone"), expected);
    }
    put("ledger.jsonl", lines[..2].concat().as_bytes());
    check_found(&site, "the last two lines are gone", WRONG);
    put(
        "ledger.jsonl",
        [lines[1], lines[0], lines[2], lines[3]].concat().as_bytes(),
    );
    check_found(&site, "two lines are swapped", WRONG);
    put("ledger.jsonl", &ledger.as_bytes()[..ledger.len() - 9]);
    check_found(&site, "the last line is torn", UNFINISHED);
    put("ledger.jsonl", ledger.as_bytes());

    let other_zone = String::from_utf8(files["vault.json"].clone())
        .unwrap()
        .replace("UTC", "CET");
    put("vault.json", other_zone.as_bytes());
    check_found(&site, "another time zone", WRONG);
    put("vault.json", &files["vault.json"]);

    put(&format!("{first}.r3.new"), b"{}");
    check_found(&site, "a commit is half done", UNFINISHED);
    replace(
        &*site.disk,
        &site.vault().join(format!("{first}.r3.new")),
        None,
    );
    put(&format!("{day}_13_IDs.txt.xz.r3.new"), b"");
    check_found(&site, "an attempt was left", UNFINISHED);
    replace(
        &*site.disk,
        &site.vault().join(format!("{day}_13_IDs.txt.xz.r3.new")),
        None,
    );
    put("2026-11-23/notes.txt", b"mine");
    check_found(&site, "somebody's file", Some(Severity::Note));
}

#[test]
fn a_day_lies_once_in_the_folder_of_its_name() {
    let site = Site::in_memory();
    vault(&site);
    let files = site.files();
    let of_day = || {
        files
            .iter()
            .filter(|(name, _)| name.starts_with("2026-11-23/"))
    };
    let put =
        |name: &str, bytes: Option<&[u8]>| replace(&*site.disk, &site.vault().join(name), bytes);
    for other in ["2026-11-27", "2026-11-22", "backup/2026-11-23", "copy"] {
        let there = |name: &str| name.replacen("2026-11-23", other, 1);
        for (name, bytes) in of_day() {
            put(&there(name), Some(bytes));
        }
        check_found(&site, &format!("a copy of the day in {other}"), WRONG);
        for (name, _) in of_day() {
            put(name, None);
        }
        if other.starts_with("2026") {
            check_found(&site, &format!("the day was moved to {other}"), WRONG);
        }
        for (name, bytes) in of_day() {
            put(&there(name), None);
            put(name, Some(bytes));
        }
        check_found(&site, "everything is back", None);
    }
    // what is published has other folders
    let copy = Site::in_memory();
    let put =
        |name: &str, bytes: &[u8]| replace(&*copy.disk, &copy.vault().join(name), Some(bytes));
    put("ledger.jsonl", &files["ledger.jsonl"]);
    let ids = "2026-11-23_13_IDs.txt.xz";
    for folder in ["2026/11/23", "2026/11/24"] {
        put(
            &format!("{folder}/{ids}"),
            &files[&format!("2026-11-23/{ids}")],
        );
        let expected = match folder {
            "2026/11/23" => Some(Severity::Incomplete),
            _ => WRONG,
        };
        check_found(&copy, folder, expected);
    }
}

#[test]
fn verify_finds_a_flipped_bit_in_every_byte_of_the_small_files_at_the_root() {
    let site = Site::in_memory();
    // one hour will do, in two revisions
    let received = stream(2, at("2026-11-23T13:50:00Z"), 3, 4);
    for (n, server) in ["1", "2"].into_iter().enumerate() {
        site.put(&segments(server, &received[n]));
        assert_eq!(site.merge(LATER).len(), [3, 1][n]);
    }
    let files = site.files();
    for name in ["vault.json", "ledger.jsonl"] {
        let bytes = &files[name];
        let path = site.vault().join(name);
        // nothing comes after the ledger's last line that would tell of it
        let begin = bytes.len().saturating_sub(200);
        for byte in begin..bytes.len() {
            if is_of_id(bytes, byte) {
                continue;
            }
            let mut changed = bytes.clone();
            changed[byte] ^= 1 << (byte % 8);
            replace(&*site.disk, &path, Some(&changed));
            let found = site.verify();
            let text = String::from_utf8_lossy(&changed);
            // an hour earlier, as if the first hour had not been merged yet, is only unfinished
            assert!(UNFINISHED <= found.worst(), "byte {byte} of {name}: {text}");
        }
        let mut wider = String::from_utf8(bytes.clone()).unwrap();
        let end = wider.rfind('}').unwrap();
        wider.insert_str(end, r#","more":1"#);
        replace(&*site.disk, &path, Some(wider.as_bytes()));
        check_found(&site, &format!("{name} has a further member"), WRONG);
        replace(&*site.disk, &path, Some(bytes));
    }
}

#[test]
fn a_copy_of_what_is_published_verifies_too() {
    let site = Site::in_memory();
    vault(&site);
    let files = site.files();
    let copy = Site::in_memory();
    let put =
        |name: &str, bytes: Option<&[u8]>| replace(&*copy.disk, &copy.vault().join(name), bytes);
    for (name, bytes) in &files {
        let is_public = ["IDs.txt.xz", "_manifest.json", "report.txt"]
            .iter()
            .any(|e| name.ends_with(e));
        if name == "ledger.jsonl" {
            put(name, Some(bytes));
        } else if is_public && !name.contains("revisions") {
            put(&name.replace("2026-11-23/", "2026/11/23/"), Some(bytes));
        }
    }
    // of the day's files the report alone is here
    check_found(&copy, "a copy", Some(Severity::Incomplete));
    let posts = |site: &Site| {
        site.verify()
            .days
            .values()
            .map(|day| day.posts)
            .sum::<u64>()
    };
    assert_eq!(posts(&copy), posts(&site));
    let name = "2026/11/23/2026-11-23_14_IDs.txt.xz";
    put(name, Some(&files["2026-11-23/2026-11-23_13_IDs.txt.xz"]));
    check_found(&copy, "the ids of another hour", WRONG);
    put(name, None);
    check_found(&copy, "no ids", Some(Severity::Incomplete));
}

/// Changes a file in JSON.
fn edit(site: &Site, name: &str, change: impl Fn(&mut Value)) {
    let mut says: Value = serde_json::from_slice(&site.files()[name]).unwrap();
    change(&mut says);
    let bytes = if name.ends_with("_manifest.json") {
        let manifest = Manifest::from_json(says.to_string().as_bytes()).unwrap();
        manifest.to_json()
    } else {
        format!("{says}\n").into_bytes()
    };
    replace(&*site.disk, &site.vault().join(name), Some(&bytes));
}

/// Changes the lines of the ledger, each of which has the hash of the one before then.
fn chain_anew(site: &Site, change: impl Fn(&mut Vec<LedgerLine>)) {
    let mut lines = ledger::read(&*site.disk, &site.vault()).unwrap();
    change(&mut lines);
    let mut text = Vec::new();
    let mut previous = Sha256::ZEROS;
    for line in &mut lines {
        line.previous = previous;
        previous = line.hash().unwrap();
        text.extend(line.to_bytes().unwrap());
    }
    replace(&*site.disk, &ledger::path(&site.vault()), Some(&text));
}

/// A change of a vault: what is said of it then, how bad that is, and of which file.
type Change<'c> = (&'c dyn Fn(), Severity, &'c str, &'c str);

/// Bytes that are not as they were show in the ledger, whatever they say. Here the ledger agrees with what was changed, as far as
/// it can: each finding stands for itself.
#[test]
#[expect(clippy::too_many_lines, reason = "one change after another")]
fn what_hours_do_not_have_in_common_is_told_for_what_it_is() {
    use Severity::{Unfinished, Wrong};
    let site = &Site::in_memory();
    vault(site);
    let files = &site.files();
    let day = "2026-11-23";
    let [first, second] = ["13", "14"].map(|hour| format!("{day}/{day}_{hour}_manifest.json"));
    let former = format!("{day}/revisions/{day}_13_r1_manifest.json");
    let put = |name: &str, bytes: Option<&[u8]>| {
        replace(&*site.disk, &site.vault().join(name), bytes);
    };
    let remove = |is_so: &dyn Fn(&str) -> bool| {
        for name in files.keys().filter(|name| is_so(name)) {
            put(name, None);
        }
    };
    let is_of_second = |name: &str| name.contains("2026-11-23_14");
    let changes: &[Change<'_>] = &[
        (
            &|| chain_anew(site, |lines| lines.swap(0, 3)),
            Wrong,
            "ledger.jsonl",
            "revision 2 of 2026-11-23_13 comes after 0 others",
        ),
        (
            &|| {
                put(
                    "vault.json",
                    Some(&[b" ", &files["vault.json"][..]].concat()),
                );
            },
            Wrong,
            "vault.json",
            "it is not as this program writes it",
        ),
        (
            &|| remove(&|name| name.starts_with(day)),
            Wrong,
            "ledger.jsonl",
            "it has 2026-11-23_14, which has no file here",
        ),
        (
            &|| remove(&is_of_second),
            Wrong,
            "ledger.jsonl",
            "it has 2026-11-23_14, which has no file here",
        ),
        (
            &|| put("ledger.jsonl", None),
            Wrong,
            "ledger.jsonl",
            "the ledger is missing",
        ),
        (
            &|| put("vault.json", None),
            Wrong,
            "vault.json",
            "it is missing",
        ),
        (
            &|| {
                edit(site, "vault.json", |says| {
                    says["first_hour"] = json!("2026-11-23_14");
                });
            },
            Wrong,
            "vault.json",
            "the first hour: it says 2026-11-23_14, but collecting began in 2026-11-23_13",
        ),
        (
            &|| {
                edit(site, "vault.json", |says| {
                    says["first_hour"] = json!("2026-11-13_13");
                });
            },
            Unfinished,
            "vault.json",
            "the first hour: it says 2026-11-13_13, but collecting began in 2026-11-23_13",
        ),
        (
            &|| {
                remove(&is_of_second);
                chain_anew(site, |lines| {
                    lines.remove(1);
                });
            },
            Unfinished,
            "vault.json",
            "hour 2026-11-23_14 of the span is not committed",
        ),
        (
            &|| {
                let begins = json!("2026-11-23T14:00:01Z");
                edit(site, &second, |says| {
                    says["coverage"]["union"]["begins"] = begins.clone();
                });
            },
            Wrong,
            &second,
            "it says that the archive begins in this hour, but there are earlier ones",
        ),
        (
            &|| {
                chain_anew(site, |lines| {
                    let last = lines[3].clone();
                    lines.push(LedgerLine {
                        revision: 3,
                        ..last
                    });
                });
            },
            Wrong,
            day,
            "the ledger has 3 revisions of 2026-11-23_13, the folder 2",
        ),
        (
            &|| chain_anew(site, |lines| lines.truncate(2)),
            Wrong,
            "ledger.jsonl",
            "1 lines of 2026-11-23_13 are missing",
        ),
        (&|| put(&former, None), Wrong, &former, "it is missing"),
        (
            &|| put(&former, Some(b"{}")),
            Wrong,
            &former,
            "it is not a manifest",
        ),
        (
            &|| edit(site, &former, |says| says["hour"] = json!("2026-11-23_14")),
            Wrong,
            &former,
            "the hour: it says 2026-11-23_14, found 2026-11-23_13",
        ),
        (
            &|| edit(site, &former, |says| says["history"]["revision"] = json!(9)),
            Wrong,
            &former,
            "the revision: it says 9, found 1",
        ),
        (
            &|| {
                edit(site, &former, |says| {
                    says["program"] = json!("twinstream/0.1.1");
                });
                let sha256 = Sha256::of(&site.files()[&former]);
                chain_anew(site, |lines| lines[0].manifest_sha256 = sha256);
            },
            Wrong,
            &first,
            "the manifest before it is not the one that it names",
        ),
        (
            &|| {
                edit(site, &former, |says| {
                    says["program"] = json!("twinstream/0.1.1");
                });
            },
            Wrong,
            "ledger.jsonl",
            "revision 1 of 2026-11-23_13: its manifest is not the one that was committed",
        ),
        (
            &|| put("2026-11-23/2026-11-23_gaps.csv", None),
            Wrong,
            "2026-11-23_gaps.csv",
            "it is missing",
        ),
        (
            &|| {
                for (name, bytes) in files.iter().filter(|(name, _)| name.starts_with(day)) {
                    put(&name.replace("2026-11-23/", "2026-11-25/"), Some(bytes));
                }
            },
            Wrong,
            "2026-11-25",
            "it has files of 2026-11-23, and its name is that of 2026-11-25",
        ),
    ];
    for (change, severity, file, words) in changes {
        change();
        let found = site.verify();
        let is_it = |one: &&Problem| {
            one.severity == *severity && one.path.ends_with(file) && one.what.contains(words)
        };
        let told = found.problems.iter().filter(is_it).count();
        assert_ne!(told, 0, "{file}: {words}: {:#?}", found.problems);
        for name in site
            .files()
            .keys()
            .filter(|name| !files.contains_key(*name))
        {
            put(name, None);
        }
        for (name, bytes) in files {
            put(name, Some(bytes));
        }
        check_found(site, "everything is back", None);
    }
}

/// A set-up with a configuration file, for the commands.
struct Commands {
    dir: TempDir,
}

impl Commands {
    fn new() -> Self {
        let commands = Self {
            dir: TempDir::new().unwrap(),
        };
        commands.configure("UTC");
        commands
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.dir.path().join(inside)
    }

    fn configure(&self, zone: &str) {
        let dir = self.dir.path().display();
        let text = format!(
            "data_dir = \"{dir}\"\n\
             [x]\nbase_url = \"http://127.0.0.1:1\"\nbearer_token_file = \"{dir}/token\"\n\
             [[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a.example.org\"\n\
             [[servers]]\nid = \"2\"\nrole = \"secondary\"\nhost = \"b.example.org\"\n\
             deliver_to = \"{dir}/elsewhere\"\n\
             [merge]\ntimezone = \"{zone}\"\nxz = \"fast\"\nkeep_free = \"64KiB\"\n"
        );
        fs::write(self.path("twinstream.toml"), text).unwrap();
    }

    fn put(&self, segments: &[Segment]) {
        for segment in segments {
            segment.put(
                &twinstream::world::disk::RealDisk,
                &self.path("spool"),
                false,
            );
        }
    }

    #[track_caller]
    fn check(&self, server: &str, args: &[&str], exit: i32) -> Output {
        let output = Command::new(env!("CARGO_BIN_EXE_twinstream"))
            .args([
                "--clock",
                &format!("{LATER}@1"),
                "--server",
                server,
                "--config",
            ])
            .arg(self.path("twinstream.toml"))
            .args(args)
            .output()
            .unwrap();
        let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        assert_eq!(output.status.code(), Some(exit), "{args:?}: {said:?}");
        output
    }

    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let read = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
        files_below(&self.path("vault"))
            .into_iter()
            .map(read)
            .collect()
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn the_commands_end_as_the_table_of_exit_codes_says() {
    let site = Commands::new();
    let vault = site.path("vault");
    let vault = vault.to_str().unwrap();
    site.check("1", &["merge"], 4);
    site.check("2", &["merge"], 3);
    let received = stream(2, at("2026-11-23T13:50:00Z"), 25, 12);
    let [first, second] = [0, 1].map(|n: usize| segments(["1", "2"][n], &received[n]));
    site.put(&first);
    site.put(&second[1..]);

    let dry = site.check("1", &["merge", "--dry-run"], 0);
    assert!(String::from_utf8_lossy(&dry.stdout).contains("2026-11-23_13"));
    assert!(!site.path("index").exists(), "a dry run writes nothing");
    site.check("1", &["merge", "--hour", "2026-11-23_25"], 2);
    let merged = site.check("1", &["merge"], 0);
    let table = String::from_utf8(merged.stdout).unwrap();
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(
        table
            .lines()
            .nth(1)
            .unwrap()
            .starts_with("2026-11-23_13         1"),
        "{table}"
    );
    let before = site.files();
    site.check("1", &["merge"], 4);
    site.check("1", &["merge", "--hour", "2026-11-23_13"], 4);
    assert_eq!(before, site.files());
    let verified = site.check("1", &["verify", vault], 0);
    assert!(String::from_utf8_lossy(&verified.stdout).contains("all holds"));

    {
        let _other = Lock::take(site.dir.path(), "merge", at(LATER)).unwrap();
        let refused = site.check("1", &["merge"], 7);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("is already running here"));
    }
    {
        let _other = FolderLock::take(Path::new(vault), "merge").unwrap();
        let refused = site.check("1", &["merge"], 7);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("another data_dir"));
    }
    // a segment that is not what was sealed
    site.put(&second[..1]);
    let [(path, mut bytes), ..] = second[0].files(&site.path("spool"));
    bytes[10] ^= 1;
    fs::write(&path, bytes).unwrap();
    let outcome = site.check("1", &["merge", "--json"], 5);
    let outcome: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    assert_eq!(outcome["unusable"][0]["what"], second[0].name.to_string());
    site.check("1", &["merge"], 4);
    // a whole copy of it
    site.put(&second[..1]);
    let again = site.check("1", &["merge", "--json"], 0);
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again["committed"][0]["revision"], 2);
    site.check("1", &["verify", vault], 0);

    site.configure("CET");
    let refused = site.check("1", &["merge"], 3);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("timezone") && said.contains("hint:"),
        "{said}"
    );

    // verify needs no configuration, and takes a day or a file as well
    let bare = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twinstream"));
        let command = command
            .arg("verify")
            .args(args)
            .current_dir(site.dir.path());
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (
            output.status.code(),
            text + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let day = "vault/2026-11-23";
    let tweets = format!("{day}/2026-11-23_14_tweets.csv.xz");
    assert_eq!(bare(&[day]).0, Some(0));
    assert_eq!(bare(&[&tweets, "vault/ledger.jsonl"]).0, Some(0));
    assert_eq!(bare(&["nowhere"]).0, Some(1));
    assert_eq!(bare(&["spool"]).0, Some(4));
    let mut bytes = fs::read(site.path(&tweets)).unwrap();
    bytes[200] ^= 8;
    fs::write(site.path(&tweets), &bytes).unwrap();
    let (exit, said) = bare(&["vault"]);
    assert_eq!(exit, Some(1));
    assert!(said.contains(&tweets) && said.contains("WRONG"), "{said}");
    assert_eq!(bare(&[&tweets]).0, Some(1));
    assert_eq!(
        bare(&[&format!("{day}/2026-11-23_13_manifest.json")]).0,
        Some(0)
    );
}

#[test]
fn real_posts_come_through_as_the_predecessor_had_them() {
    let Some(folder) = real_posts() else { return };
    let text = fs::read_to_string(folder.join("stream.jsonl")).unwrap();
    let began = at("2026-11-23T14:00:00Z");
    let receive = |skip: usize| -> Vec<Received> {
        let lines = text.lines().enumerate().filter(|(n, _)| n % 5 != skip);
        lines
            .map(|(n, line)| Received {
                at: began.plus_ms(i64::try_from(n).unwrap() * 100),
                line: line.as_bytes().to_vec(),
            })
            .collect()
    };
    let site = Site::in_memory();
    site.put(&segments("1", &receive(1)));
    site.put(&segments("2", &receive(3)));
    site.merge("2026-11-23T14:30:00Z");
    check_found(&site, "the real posts", None);

    let (mut rows, mut ids) = (BTreeMap::new(), Vec::new());
    for hour in site.hours() {
        ids.extend(
            site.text(&hour, "IDs.txt.xz")
                .lines()
                .map(|id| id.parse::<u64>().unwrap()),
        );
        let tweets = site.text(&hour, "tweets.csv.xz");
        let mut reader = csv::Reader::from_reader(tweets.as_bytes());
        for row in reader.records().map(Result::unwrap) {
            rows.insert(row[0].parse::<u64>().unwrap(), row);
        }
    }
    assert!(ids.is_sorted());
    assert_eq!(ids.len(), text.lines().count());
    assert_eq!(ids, rows.keys().copied().collect::<Vec<_>>());

    let mut reader = csv::Reader::from_path(folder.join("predecessor.csv")).unwrap();
    let mut compared = 0;
    for expected in reader.records().map(Result::unwrap) {
        let found = &rows[&expected[0].parse::<u64>().unwrap()];
        for (column, (found, expected)) in found.iter().zip(&expected).enumerate() {
            match column {
                4 => (),
                9 if expected == "null" => assert_eq!(found, ""),
                _ => assert_eq!(
                    found,
                    one_line(expected),
                    "column {column} of {}",
                    &rows[&ids[0]][0]
                ),
            }
        }
        compared += 1;
    }
    assert_eq!(compared, rows.len());
}

/// Every line break of any kind becomes one space.
fn one_line(field: &str) -> String {
    let breaks = [
        '\r', '\n', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}',
        '\u{2029}', '\0',
    ];
    field.replace("\r\n", " ").replace(breaks, " ")
}
