//! The DOI of an archive: minted once, kept, and named by everything that it is cited by.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::support::{
    folder::published,
    osf::{Osf, Publisher, Said},
};

const NOW: &str = "2026-11-24T00:30:00Z";
const DAY: &str = "2026-11-23";
const DOI: &str = "10.17605/OSF.IO/ABCDE";
const DATASET: &str = "\n[dataset]\ntitle = \"Ids\"\ncreators = [{ name = \"Example, Ada\" }]\n\
                       description = \"A test.\"\n";
/// Each of the files, and how it names the DOI.
const NAMED: [(&str, &str); 6] = [
    (
        "CITATION.cff",
        "\ndoi: 10.17605/OSF.IO/ABCDE\nauthors:\n  - ",
    ),
    ("DATASET.md", "<https://doi.org/10.17605/OSF.IO/ABCDE>"),
    (
        "croissant.json",
        "\"@id\": \"https://doi.org/10.17605/OSF.IO/ABCDE\"",
    ),
    ("datacite.json", "\"doi\": \"10.17605/OSF.IO/ABCDE\""),
    (
        "datapackage.json",
        "\"id\": \"https://doi.org/10.17605/OSF.IO/ABCDE\"",
    ),
    (
        "ro-crate-metadata.json",
        "\"identifier\": \"https://doi.org/10.17605/OSF.IO/ABCDE\"",
    ),
];

fn publisher() -> Publisher {
    Publisher::with_hours("2026-11-23T13:10:00Z", 2, NOW)
}

fn doi(publisher: &Publisher, osf: &Osf, args: &[&str]) -> Said {
    publisher.publish_with(osf, DATASET, &[&["--doi"], args].concat())
}

/// How many times OSF was asked for one.
fn asked(osf: &Osf) -> usize {
    let requests = osf.requests();
    requests.iter().filter(|r| r["method"] == "POST").count()
}

fn kept(publisher: &Publisher) -> Option<Value> {
    let path = publisher.site.vault().join("doi.json");
    let text = fs::read(path).ok()?;
    Some(serde_json::from_slice(&text).unwrap())
}

fn names_it(folder: &Path, file: &str, words: &str) -> bool {
    fs::read_to_string(folder.join(file))
        .unwrap()
        .contains(words)
}

#[track_caller]
fn verified(folder: &Path, code: i32, told: &str) {
    let said = Command::new(env!("CARGO_BIN_EXE_twinstream"))
        .args(["verify", "."])
        .current_dir(folder)
        .output()
        .unwrap();
    let words = String::from_utf8([said.stdout, said.stderr].concat()).unwrap();
    assert!(
        said.status.code() == Some(code) && words.contains(told),
        "{code} {told:?}: {:?}: {words}",
        said.status
    );
}

#[test]
fn a_doi_is_minted_once_and_named_by_all_that_the_archive_is_cited_by() {
    let (osf, publisher) = (Osf::start("", &[]), publisher());
    let vault = publisher.site.vault();
    let report = |code| {
        let said = publisher.run(&osf.url, DATASET, &["report", DAY]);
        said.check(code, "Certificate of completeness");
    };
    report(5);
    let readme = format!("{DAY}/{DAY}_README.md");
    assert!(!names_it(&vault, &readme, DOI) && !names_it(&vault, "DATASET.md", DOI));

    let before = publisher.site.files();
    doi(&publisher, &osf, &["--dry-run"]).check(0, "one would be minted");
    assert_eq!(asked(&osf), 0);
    assert_eq!(before, publisher.site.files());

    doi(&publisher, &osf, &[]).check(0, &format!("https://doi.org/{DOI}\nminted"));
    assert_eq!(kept(&publisher).unwrap()["doi"], DOI);
    for (file, words) in NAMED {
        assert!(names_it(&vault, file, words), "{file}");
    }
    verified(&vault, 0, "all holds");
    assert!(osf.files().is_empty(), "nothing is uploaded");
    // again, and again with nothing but the vault: there is one and it stays
    doi(&publisher, &osf, &[]).check(4, "the archive has it");
    doi(&publisher, &osf, &["--dry-run", "--json"]).check(4, DOI);
    assert_eq!(asked(&osf), 1);
    fs::remove_file(vault.join("doi.json")).unwrap();
    verified(&vault, 1, "none was minted for this vault");
    doi(&publisher, &osf, &["--dry-run"]).check(0, "would take it over");
    assert_eq!(kept(&publisher), None);
    doi(&publisher, &osf, &[]).check(0, "the project had it");
    assert_eq!(
        (asked(&osf), &kept(&publisher).unwrap()["project"]),
        (1, &"abcde".into())
    );

    // the next report, and what is public
    report(5);
    assert!(names_it(
        &vault,
        &readme,
        &format!("<https://doi.org/{DOI}>")
    ));
    verified(&vault, 0, "all holds");
    publisher
        .publish_with(&osf, DATASET, &[])
        .check(0, "published");
    let copy = published(&publisher.site);
    verified(copy.path(), 0, "all holds");
    assert!(!copy.path().join("doi.json").exists());
    a_stranger_finds_another_doi(copy.path());
    // another project than the one that the DOI leads to
    let path = vault.join("doi.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("abcde", "other")).unwrap();
    doi(&publisher, &osf, &[]).check(3, "leads to the project other");
    fs::write(&path, text.replace(':', " ")).unwrap();
    doi(&publisher, &osf, &[]).check(1, "doi.json: ");
    verified(&vault, 1, "doi.json: ");
}

/// In one of the files it is found; and so is one that only a README names.
fn a_stranger_finds_another_doi(copy: &Path) {
    let readme = format!("2026/11/23/{DAY}_README.md");
    let statement = format!("2026/11/23/{DAY}_certificate.json");
    for (file, code, told) in [
        (
            "croissant.json",
            1,
            "it is not what ledger, manifests and datacite.json say",
        ),
        (
            "CITATION.cff",
            1,
            "it is not what ledger, manifests and datacite.json say",
        ),
        (
            &*readme,
            1,
            "_README.md: it is not what the day's manifests say: line ",
        ),
        (
            &*statement,
            1,
            "_certificate.json: it names 10.17605/OSF.IO/OTHER, the archive has 10.17605/OSF.IO/ABCDE",
        ),
    ] {
        let path = copy.join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("OSF.IO/ABCDE", "OSF.IO/OTHER")).unwrap();
        verified(copy, code, told);
        fs::write(&path, text).unwrap();
    }
    let path = copy.join("datacite.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    verified(copy, 5, "in the root of the archive, would tell");
    fs::write(&path, text).unwrap();
}

#[test]
fn nothing_is_minted_where_it_may_not_be() {
    let publisher = publisher();
    let refused = |more: &[&str], words: &str| {
        let osf = Osf::start("", more);
        for args in [&[][..], &["--dry-run"]] {
            doi(&publisher, &osf, args)
                .check(1, words)
                .check(1, "hint: ");
        }
        assert_eq!(asked(&osf), 0, "{words}");
    };
    refused(&["--osf-private"], "the project abcde is private");
    refused(
        &["--osf-role", "write"],
        "is not an administrator of the project abcde",
    );
    let osf = Osf::start("", &[]);
    for (section, why) in [
        ("", "has no [dataset]"),
        (
            "\n[dataset]\ntitle = \"Ids\"\ncreators = [{ name = \"A\" }]\n",
            "has no description",
        ),
    ] {
        let said = publisher.publish_with(&osf, section, &["--doi"]);
        said.check(3, why);
    }
    let forbidden = format!("[publish]\nforbid = \"dsa\"\n{DATASET}");
    publisher
        .publish_with(&osf, &forbidden, &["--doi"])
        .check(3, "nothing is published");
    assert!(osf.requests().is_empty(), "nobody was asked");
    assert_eq!(kept(&publisher), None);
}

#[test]
fn a_lost_answer_loses_no_doi_and_mints_no_second_one() {
    for (fault, hits) in [
        // it was minted, and nobody heard of it
        ("kind = \"lost\"\ntimes = 1", ("lost", 1)),
        ("kind = \"torn\"\ntimes = 1", ("torn", 1)),
        // it was not
        ("kind = \"reset\"\ntimes = 2", ("reset", 2)),
        ("kind = \"status\"\nstatus = 502\ntimes = 1", ("status", 1)),
        (
            "kind = \"throttled\"\nretry_after = \"2\"\ntimes = 1",
            ("throttled", 1),
        ),
    ] {
        let osf = Osf::start(&format!("[[fault]]\non = \"mint\"\n{fault}\n"), &[]);
        let publisher = publisher();
        doi(&publisher, &osf, &[]).check(0, DOI);
        assert_eq!(osf.hits(hits.0), hits.1, "{fault}");
        assert_eq!(kept(&publisher).unwrap()["doi"], DOI);
        let made = osf.requests();
        let minted = made
            .iter()
            .filter(|r| r["method"] == "POST" && r["status"] == 201);
        assert!(minted.count() <= 1, "{fault}");
        assert!(
            !made.iter().any(|r| r["status"] == 400),
            "{fault}: asked for a second one"
        );
    }
    // ended between the answer and the vault
    let (osf, publisher) = (Osf::start("", &[]), publisher());
    let mut command = publisher.command(&osf.url, DATASET, &["--doi"]);
    let killed = command
        .env("TWINSTREAM_CRASH_AT", "DoiMinted")
        .status()
        .unwrap();
    assert_eq!(killed.code(), None, "it was killed");
    assert_eq!((asked(&osf), kept(&publisher)), (1, None));
    doi(&publisher, &osf, &[]).check(0, "the project had it");
    assert_eq!(asked(&osf), 1);
    // two at once: the list was older than the DOI
    let stale = "[[fault]]\non = \"find\"\nskip = 3\ntimes = 1\nkind = \"stale\"\n";
    let osf = Osf::start(stale, &[]);
    for _ in 0..2 {
        fs::remove_file(publisher.site.vault().join("doi.json")).unwrap();
        doi(&publisher, &osf, &[]).check(0, DOI);
    }
    let requests = osf.requests();
    let refused = requests.iter().filter(|r| r["status"] == 400).count();
    assert_eq!((osf.hits("stale"), asked(&osf), refused), (1, 2, 1));
    fs::remove_file(publisher.site.vault().join("doi.json")).unwrap();
    let refusal = "[[fault]]\non = \"mint\"\nkind = \"status\"\nstatus = 400\n";
    let osf = Osf::start(refusal, &[]);
    doi(&publisher, &osf, &[]).check(1, "Bad Request");
    assert_eq!(kept(&publisher), None);
}
