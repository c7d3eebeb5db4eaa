//! The files by which an archive is found and cited: made, published, revised, and checked by whoever has
//! them. Other people's validators read them in `scripts/foreign`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use serde_json::Value;

use crate::support::{
    folder::published,
    osf::{Osf, Publisher},
    posts::{Received, post, segments},
    primary::at,
};

const NOW: &str = "2026-11-23T16:20:00Z";
const NAMES: [&str; 6] = [
    "CITATION.cff",
    "DATASET.md",
    "croissant.json",
    "datacite.json",
    "datapackage.json",
    "ro-crate-metadata.json",
];
const DATASET: &str = r#"
[dataset]
title = "Ids: \"a\" test"
creators = [
    { name = "Example, Ada", orcid = "0000-0002-1825-0097", affiliation = "A University" },
    { name = "The Group" },
]
description = """
Two lines
of words"""
keywords = ["ids", "a: b"]
funding = ["A Fund, grant 1"]
related = ["10.5281/zenodo.1234567"]
"#;

/// Runs a command of the primary that has its configuration.
fn twinstream(folder: &Path, args: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_twinstream"))
        .args(args)
        .current_dir(folder)
        .env_remove("TWINSTREAM_CONFIG")
        .env_remove("TWINSTREAM_SERVER")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(said).unwrap(),
    )
}

#[track_caller]
fn verified(folder: &Path, code: i32, told: &str) {
    let (found, said) = twinstream(folder, &["verify", "."]);
    assert!(
        found == code && said.contains(told),
        "{code} {told:?}: {found}: {said}"
    );
}

fn report(publisher: &Publisher) -> (i32, String) {
    let clock = format!("{NOW}@1");
    let args = [
        "--server",
        "1",
        "--config",
        "twinstream.toml",
        "--clock",
        &clock,
    ];
    let args: Vec<&str> = args.into_iter().chain(["report", "2026-11-23"]).collect();
    twinstream(&publisher.site.root, &args)
}

/// A segment with posts of hour 14 that no other has.
fn late(publisher: &Publisher, now: &str) {
    let begin = at("2026-11-23T14:40:00Z");
    let received = (0..5).map(|n| {
        let at = begin.plus_ms(i64::try_from(n).unwrap() * 500);
        let line = post(900_000 + n, at).into_bytes();
        Received { at, line }
    });
    publisher
        .site
        .put(&segments("3", &received.collect::<Vec<_>>()));
    assert!(!publisher.site.merge(now).is_empty());
}

fn json(files: &BTreeMap<String, Vec<u8>>, name: &str) -> Value {
    serde_json::from_slice(&files[name]).unwrap()
}

fn version(osf: &Osf) -> String {
    json(&osf.files(), "datacite.json")["version"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn what_an_archive_is_cited_by_is_made_published_and_revised() {
    let osf = Osf::start("", &[]);
    let publisher = Publisher::with_hours("2026-11-23T13:10:00Z", 2, NOW);
    publisher.publish(&osf, &[]).check(0, "published");
    assert!(
        NAMES.iter().all(|name| !osf.files().contains_key(*name)),
        "nothing is configured"
    );

    let with = |args: &[&str]| publisher.publish_with(&osf, DATASET, args);
    with(&[]).check(0, "croissant.json");
    speak_of_what_is_there(&osf.files());
    with(&[]).check(4, "");
    with(&["--audit"]).check(0, "0 are missing");
    let first = version(&osf);

    // late data: what is public stays as it is until the next report, which is told of
    late(&publisher, "2026-11-23T17:20:00Z");
    with(&[]).check(0, "14_manifest.json");
    assert_eq!(version(&osf), first);
    let vault = publisher.site.vault();
    verified(
        &vault,
        5,
        "which it does not describe: it is made again by `twinstream report`",
    );
    let (code, said) = report(&publisher);
    assert_eq!(code, 5, "seconds are missing: {said}");
    verified(&vault, 0, "all holds");
    with(&[]).check(0, "croissant.json");
    assert_ne!(version(&osf), first);
    speak_of_what_is_there(&osf.files());
    // the ledger is the last of all
    let order: Vec<String> = osf.stored().into_iter().map(|(path, _)| path).collect();
    let last = |name: &str| order.iter().rposition(|path| path.ends_with(name)).unwrap();
    assert!(
        NAMES
            .iter()
            .all(|name| last(name) > last("14_manifest.json"))
    );

    // making them again from nothing that is remembered gives the same bytes
    let files = publisher.site.files();
    fs::remove_file(publisher.site.root.join("days.json")).unwrap();
    report(&publisher);
    assert_eq!(files, publisher.site.files());
    assert!(publisher.site.root.join("days.json").exists());

    // another title is another description
    let other = DATASET.replace("a\\\" test", "b\\\" test");
    publisher
        .publish_with(&osf, &other, &[])
        .check(0, "DATASET.md");
    for name in NAMES {
        let text = String::from_utf8(osf.files()[name].clone()).unwrap();
        let title = if name == "DATASET.md" {
            "\"b\" test"
        } else {
            "\\\"b\\\" test"
        };
        assert!(text.contains(title), "{name}: {text}");
    }

    // something else under one of the names stays here
    fs::write(vault.join("DATASET.md"), "private").unwrap();
    let said = publisher.publish_with(&osf, &other, &[]);
    said.check(1, "not published: DATASET.md: it is not what");
    fs::write(vault.join("datacite.json"), "private").unwrap();
    fs::remove_file(publisher.site.root.join("days.json")).unwrap();
    fs::write(vault.join("2026-11-23/2026-11-23_14_manifest.json"), "{}").unwrap();
    let said = publisher.publish_with(&osf, &other, &[]);
    said.check(1, "the files to cite by are not made");
    assert!(osf.files().values().all(|bytes| bytes != b"private"));
}

/// What the files say is there is there, and what is there they speak of.
fn speak_of_what_is_there(files: &BTreeMap<String, Vec<u8>>) {
    for name in NAMES {
        let text = std::str::from_utf8(&files[name]).unwrap();
        assert!(
            text.ends_with('\n') && !text.contains("twinstream.toml"),
            "{name}"
        );
    }
    of_data_package(files);
    of_ro_crate(files);
    let croissant = json(files, "croissant.json");
    let ids = |of: &Value| -> BTreeSet<String> {
        let each = of.as_array().unwrap().iter();
        each.map(|one| one["@id"].as_str().unwrap().to_owned())
            .collect()
    };
    let sets = ids(&croissant["distribution"]);
    for record_set in croissant["recordSet"].as_array().unwrap() {
        for field in record_set["field"].as_array().unwrap() {
            let set = field["source"]["fileSet"]["@id"].as_str().unwrap();
            assert!(sets.contains(set), "{field}");
        }
    }
    let datacite = json(files, "datacite.json");
    let missing = croissant["rai:dataCollectionMissingData"].as_str().unwrap();
    let told = datacite["descriptions"].as_array().unwrap();
    assert!(told.iter().any(|one| one["description"] == missing));
    let union: u64 = String::from_utf8_lossy(&files["2026/11/23/2026-11-23_gaps.csv"])
        .lines()
        .filter(|line| line.starts_with("union,"))
        .map(|line| line.split(',').nth(3).unwrap().parse::<u64>().unwrap())
        .sum();
    let digits: String = missing.chars().filter(|c| *c != ',').collect();
    assert!(
        digits.contains(&format!("{union} seconds in ")),
        "{union}: {missing}"
    );
    let cff = String::from_utf8_lossy(&files["CITATION.cff"]);
    let line = format!("version: {}", datacite["version"]);
    assert!(cff.lines().any(|one| one == line), "{line}: {cff}");
}

fn of_data_package(files: &BTreeMap<String, Vec<u8>>) {
    let package = json(files, "datapackage.json");
    let mut spoken = BTreeSet::new();
    for resource in package["resources"].as_array().unwrap() {
        let fields = resource["schema"]["fields"].as_array().unwrap();
        let names: Vec<&str> = fields
            .iter()
            .map(|field| field["name"].as_str().unwrap())
            .collect();
        for path in resource["path"].as_array().unwrap() {
            let path = path.as_str().unwrap();
            assert!(spoken.insert(path.to_owned()), "{path} twice");
            if resource["name"] != "ids" {
                let text = String::from_utf8_lossy(&files[path]);
                let mark = if path.ends_with("_report.txt") {
                    '\t'
                } else {
                    ','
                };
                let head: Vec<&str> = text.lines().next().unwrap().split(mark).collect();
                assert_eq!(head, names, "{path}");
            }
        }
    }
    let is_spoken_of = |path: &&String| {
        ["_IDs.txt.xz", "_gaps.csv", "_exposure.csv", "_report.txt"]
            .iter()
            .any(|ending| path.ends_with(ending))
    };
    let there: BTreeSet<String> = files.keys().filter(is_spoken_of).cloned().collect();
    assert_eq!(spoken, there);
}

fn of_ro_crate(files: &BTreeMap<String, Vec<u8>>) {
    let crate_ = json(files, "ro-crate-metadata.json");
    let graph = crate_["@graph"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for entity in graph {
        assert!(
            ids.insert(entity["@id"].as_str().unwrap()),
            "{entity} twice"
        );
    }
    let mut spoken = Vec::new();
    for entity in graph {
        for value in entity.as_object().unwrap().values() {
            let each = value
                .as_array()
                .map_or(std::slice::from_ref(value), Vec::as_slice);
            spoken.extend(each.iter().filter_map(|one| one["@id"].as_str()));
        }
    }
    spoken.retain(|id| *id != "https://w3id.org/ro/crate/1.2");
    assert!(spoken.iter().all(|id| ids.contains(id)), "{spoken:?}");
    let root = graph.iter().find(|entity| entity["@id"] == "./").unwrap();
    for part in root["hasPart"].as_array().unwrap() {
        let id = part["@id"].as_str().unwrap();
        assert!(files.keys().any(|path| path.starts_with(id)), "{id}");
    }
}

#[test]
fn a_stranger_finds_what_was_changed_in_what_it_is_cited_by() {
    let publisher = Publisher::with_hours("2026-11-23T13:10:00Z", 2, NOW);
    late(&publisher, "2026-11-23T17:20:00Z");
    // for the validators: the DOI of `publish --doi`
    let doi = r#"{"format":1,"doi":"10.17605/OSF.IO/ABCDE","project":"abcde"}"#;
    fs::write(publisher.site.vault().join("doi.json"), doi).unwrap();
    drop(publisher.command("http://127.0.0.1:9", DATASET, &[]));
    assert_eq!(report(&publisher).0, 5);
    let copy = published(&publisher.site);
    let copy = copy.path();
    if let Some(kept) = std::env::var_os("TWINSTREAM_KEEP_PUBLISHED") {
        // for `scripts/foreign`
        let status = Command::new("cp").arg("-r").arg(copy).arg(kept).status();
        assert!(status.unwrap().success());
    }
    verified(copy, 0, "all holds");
    // one of them stands for all of them
    let (code, said) = twinstream(copy, &["verify", "croissant.json"]);
    assert!(code == 0 && said.contains("hours checked"), "{said}");
    for (name, says, other, told) in [
        (
            "croissant.json",
            " gaps are missing",
            "0 gaps are missing",
            "it is not what ledger, manifests",
        ),
        (
            "croissant.json",
            "\"cr:UInt64\"",
            "\"sc:Float\"",
            "it is not what ledger, manifests",
        ),
        (
            "datapackage.json",
            "_13_IDs",
            "_12_IDs",
            "it is not what ledger, manifests",
        ),
        (
            "ro-crate-metadata.json",
            "Example, Ada",
            "Example, Eve",
            "it is not what ledger, manifests",
        ),
        (
            "CITATION.cff",
            "license: CC0-1.0",
            "license: MIT",
            "it is not what ledger, manifests",
        ),
        (
            "DATASET.md",
            "10.5281",
            "10.5282",
            "it is not what ledger, manifests",
        ),
        (
            "datacite.json",
            " posts\"",
            "1 posts\"",
            "datacite.json: it is not what",
        ),
        (
            "datacite.json",
            "\"CC0-1.0\"",
            "\"MIT\"",
            "it does not have the form",
        ),
        (
            "datacite.json",
            "\"version\": \"1.",
            "\"version\": \"2.",
            "which this program does not write",
        ),
    ] {
        let path = copy.join(name);
        let text = fs::read_to_string(&path).unwrap();
        let changed = text.replacen(says, other, 1);
        assert!(changed != text, "{name} has no {says}");
        fs::write(&path, changed).unwrap();
        verified(copy, 1, told);
        fs::write(&path, text).unwrap();
    }
    for name in NAMES {
        let path = copy.join(name);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        verified(copy, 5, &format!("{name}: it is missing"));
        fs::write(&path, bytes).unwrap();
    }
    // a state that the ledger here does not have yet, and one that it has left behind
    let ledger = copy.join("ledger.jsonl");
    let whole = fs::read_to_string(&ledger).unwrap();
    let shorter = &whole[..=whole.trim_end().rfind('\n').unwrap()];
    fs::write(&ledger, shorter).unwrap();
    verified(copy, 5, "lines of the ledger, of which");
    fs::write(&ledger, &whole).unwrap();
    without_an_hour(copy);
    verified(copy, 0, "all holds");
}

/// The sums cannot be made again; what can be held together still is.
fn without_an_hour(copy: &Path) {
    let manifest = copy.join("2026/11/23/2026-11-23_15_manifest.json");
    let bytes = fs::read(&manifest).unwrap();
    fs::remove_file(&manifest).unwrap();
    verified(
        copy,
        5,
        "1 hour is not here that the files to cite by describe",
    );
    for (name, says, other, told) in [
        (
            "croissant.json",
            " gaps are missing",
            "0 gaps are missing",
            "about what is missing",
        ),
        (
            "croissant.json",
            "SHA-256 ",
            "SHA-256 0",
            "it does not name",
        ),
        (
            "CITATION.cff",
            "version: \"1.",
            "version: \"1.9",
            "it does not describe version",
        ),
    ] {
        let path = copy.join(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen(says, other, 1)).unwrap();
        verified(copy, 1, told);
        fs::write(&path, text).unwrap();
    }
    let path = copy.join("datacite.json");
    let text = fs::read_to_string(&path).unwrap();
    let posts = text
        .lines()
        .find(|line| line.ends_with(" posts\","))
        .unwrap();
    fs::write(&path, text.replace(posts, "\"1 posts\",")).unwrap();
    verified(copy, 1, "it says 1 posts, and");
    fs::write(&path, text).unwrap();
    fs::write(&manifest, bytes).unwrap();
}
