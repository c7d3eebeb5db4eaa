//! What lies in a vault or in a copy of one, which anybody may have changed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use twinstream::{
    period::UtcMs,
    report::{
        files, read,
        statement::{AnyStatement, DaySaid, ReadStatement, Statement},
    },
    segment::sha256::Sha256,
    source::{SAMPLE, Sources},
    vault::{
        conflicts,
        identity::{self, Identity},
        ledger,
        manifest::Manifest,
        posts::read::{Wanted, read_through},
        public::Public,
        published::{self, Published},
        redactions::{self, Redactions},
        xz::{self, Effort, XzWriter},
    },
    verify::{found::Found, hour, problem::Severity, survey, together},
    world::disk::{Disk as _, RealDisk},
};

use super::{disk_with, golden, outcome};
use crate::support::{disk::SimulatedDisk, folder::files_below, fuzz::Fuzz};

const DAY: &str = "vault/2026-11-23";

#[test]
fn fuzz_manifest() {
    let fuzz = Fuzz::new("manifest", 1_000)
        .seed(golden(&format!("{DAY}/2026-11-23_13_manifest.json")))
        .seed(golden(&format!("{DAY}/2026-11-23_14_manifest.json")));
    fuzz.run(|input| {
        let read = Manifest::from_json(input);
        if let Ok(manifest) = &read {
            let again = Manifest::from_json(&manifest.to_json()).unwrap();
            assert_eq!(&again, manifest);
            let _ = (manifest.balances(), manifest.names_posts());
        }
        outcome(&read)
    });
}

#[test]
fn fuzz_ledger() {
    let vault = Path::new("/vault");
    let fuzz = Fuzz::new("ledger", 3_000).seed(golden("vault/ledger.jsonl"));
    fuzz.run(|input| {
        let disk = disk_with(&ledger::path(vault), input);
        let read = ledger::read(&disk, vault);
        let breaks = ledger::breaks(&disk, vault).unwrap();
        match &read {
            Ok(lines) => {
                let whole = ledger::whole(&disk, vault).unwrap();
                assert!(input.starts_with(&whole));
                let all = ledger::each_line(&disk, vault, |_| ()).unwrap();
                assert_eq!(all.sha256, Sha256::of(&whole));
                assert!(breaks.iter().all(|line| (1..=lines.len()).contains(line)));
                // a chain that holds has one form
                if breaks.is_empty() {
                    let head = ledger::head_of(lines, lines);
                    assert_eq!(head, ledger::head(&disk, vault).unwrap());
                }
            }
            Err(why) => {
                assert!(!breaks.is_empty(), "{why}");
                assert!(why.to_string().starts_with("/vault/ledger.jsonl:"), "{why}");
            }
        }
        // who appends cuts a torn line off, and the chain goes on
        if breaks.is_empty() {
            let mut open = ledger::Ledger::open(&disk, vault).unwrap();
            let hour = "2026-11-23_15".parse().unwrap();
            open.append(&disk, hour, 1, b"{}").unwrap();
            assert!(ledger::breaks(&disk, vault).unwrap().is_empty());
        }
        format!("{} {}", outcome(&read), breaks.len().min(1))
    });
}

#[test]
fn fuzz_small_files_of_a_vault() {
    let vault = Path::new("/vault");
    let id = r#"{"id":"1856000000000000000","reason":"asked","hour":"2026-11-23_13"}"#;
    let author = r#"{"author":"7","reason":"asked"}"#;
    let conflict = r#"{"field":"text","id":"1856000000000000000","kept":{"server":"1","value":"a"},"other":{"server":"2","value":"b"}}"#;
    let diary = r#"{"time":"2026-11-23T15:00:00.000Z","hour":"2026-11-23_13","revision":1,"file":"2026-11-23_13_IDs.txt.xz","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","new_ids":7}"#;
    let fuzz = Fuzz::new("small_files_of_a_vault", 3_000)
        .seed(golden("vault/vault.json"))
        .seed(format!("{id}\n{author}\n"))
        .seed(conflict)
        .seed(format!("{diary}\n{diary}"));
    fuzz.run(|input| {
        let disk = disk_with(&identity::path(vault), input);
        let identity = Identity::read(&disk, vault);
        if let Err(why) = &identity {
            assert!(why.to_string().starts_with("/vault/vault.json"), "{why}");
        }
        let disk = disk_with(&redactions::path(vault), input);
        let list = Redactions::read(&disk, vault, SAMPLE.source);
        match &list {
            Ok(list) => {
                list.write(&disk, vault).unwrap();
                let again = Redactions::read(&disk, vault, SAMPLE.source).unwrap();
                assert_eq!(format!("{again:?}"), format!("{list:?}"));
            }
            Err(why) => {
                let why = why.to_string();
                assert!(why.starts_with("/vault/redactions.jsonl:"), "{why}");
            }
        }
        let conflict = conflicts::fault(SAMPLE.source, input, None);
        let diary = disk_with(&published::path(vault), input);
        let told = Published::read(&diary, &published::path(vault)).unwrap();
        let _ = told.ids_in_30_days(UtcMs(1_795_442_709_123));
        format!(
            "{} {} {}",
            outcome(&identity),
            outcome(&list),
            outcome(&conflict)
        )
    });
}

#[test]
fn fuzz_compressed_files() {
    let path = Path::new("/vault/2026-11-23_13_IDs.txt.xz");
    let fuzz = Fuzz::new("compressed_files", 600)
        .seed(golden(&format!("{DAY}/2026-11-23_13_IDs.txt.xz")))
        .seed(golden(&format!("{DAY}/2026-11-23_13_tweets.csv.xz")));
    let file = XzWriter::create(
        &disk_with(path, b""),
        path,
        &Effort::Fast,
        (1, xz::Filling::Gradual),
    )
    .unwrap();
    let written = file.finish("another".to_owned(), 0).unwrap();
    fuzz.run(|input| {
        let disk = disk_with(path, input);
        let back = xz::reads_back(&disk, path, &written);
        let through = xz::read_through(&disk, path, 0, |_| Ok(()));
        format!("{} {}", outcome(&back), outcome(&through))
    });
}

#[test]
fn fuzz_parquet() {
    let path = Path::new("/vault/2026-11-23_13_posts.parquet");
    let fuzz =
        Fuzz::new("parquet", 150).seed(golden(&format!("{DAY}/2026-11-23_13_posts.parquet")));
    fuzz.run(|input| {
        let disk = disk_with(path, input);
        outcome(&read_through(&disk, path, Wanted::All, |_| Ok(())))
    });
}

/// What is stated of the golden vault's day.
fn statement() -> Statement {
    let disk = RealDisk;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/v1/{DAY}"));
    let day = "2026-11-23".parse().unwrap();
    Statement::of(day, read::day(&disk, &folder, day).unwrap()).unwrap()
}

#[test]
fn fuzz_statement() {
    let fuzz = Fuzz::new("statement", 500).seed(statement().to_json());
    fuzz.run(|input| {
        let Ok(spoken) = AnyStatement::read(input) else {
            return "nothing".to_owned();
        };
        let told = ReadStatement::read(input, &spoken);
        if let Ok(Some(told)) = &told {
            let said = DaySaid {
                hours: told.hours.clone(),
                revisions: told.revisions.clone(),
            };
            let Ok(statement) = Statement::of("2026-11-23".parse().unwrap(), said) else {
                return "no statement".to_owned();
            };
            let again = statement.to_json();
            let again = ReadStatement::read(&again, &AnyStatement::read(&again).unwrap());
            let again = again.unwrap().unwrap();
            assert_eq!(
                (&again.hours, &again.revisions),
                (&told.hours, &told.revisions)
            );
            for file in files::REPORTED {
                let _ = files::text(&statement, file);
            }
        }
        outcome(&told)
    });
}

/// The golden vault as it is, with what is reported of its day, by the path in it.
fn whole() -> BTreeMap<String, Vec<u8>> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1/vault");
    let name = |path: &PathBuf| {
        path.strip_prefix(&top)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    let there = files_below(&top);
    let there = there
        .iter()
        .map(|path| (name(path), std::fs::read(path).unwrap()));
    let statement = statement();
    let reported = files::REPORTED.map(|file| {
        let name = Public::Day(statement.day, file).name();
        let text = files::text(&statement, file);
        (format!("2026-11-23/{name}"), text.into_bytes())
    });
    there.chain(reported).collect()
}

fn verified(files: &BTreeMap<String, Vec<u8>>) -> Found {
    let disk = SimulatedDisk::default();
    let root = Path::new("/vault");
    for (name, bytes) in files {
        let path = root.join(name);
        disk.make_folder(path.parent().unwrap()).unwrap();
        disk.create(&path).unwrap().write_all(bytes).unwrap();
    }
    let survey = survey::survey(&disk, &[root.to_owned()], None).unwrap();
    let sources = Sources::known();
    let hours = survey.hours.iter().map(|(place, number)| {
        hour::hour(
            &disk,
            &sources,
            place,
            number.and_then(|number| survey.roots.get(number)),
        )
    });
    together(&disk, &survey, hours.collect())
}

/// Whichever file of a vault is changed, and however: `verify` finds it.
#[test]
fn fuzz_a_changed_vault() {
    let files = whole();
    assert_eq!(verified(&files).worst(), None);
    let names: Vec<&String> = files.keys().collect();
    let mut fuzz = Fuzz::new("a_changed_vault", 15);
    for (number, name) in names.iter().enumerate() {
        let number = u8::try_from(number).unwrap();
        fuzz = fuzz.seed([&[number][..], &files[*name]].concat());
    }
    fuzz.run(|input| {
        let Some((number, bytes)) = input.split_first() else {
            return "nothing".to_owned();
        };
        let name = names[usize::from(*number) % names.len()];
        let mut changed = files.clone();
        changed.insert(name.clone(), bytes.to_owned());
        if changed == files {
            return name.clone();
        }
        let found = verified(&changed);
        let worst = found.worst();
        if *name == "vault.json" {
            // what it says of itself and nothing else speaks of
            let is_other = |bytes: &[u8]| serde_json::from_slice::<Identity>(bytes).ok();
            assert!(
                worst.is_some_and(|worst| worst != Severity::Note) || is_other(bytes).is_some()
            );
        } else {
            assert!(
                worst.is_some_and(|worst| worst != Severity::Note),
                "{name} was changed, and nobody sees it: {found:?}"
            );
        }
        format!("{name} {worst:?}")
    });
}
