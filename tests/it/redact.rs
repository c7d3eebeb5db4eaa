//! Removal on request: the posts are gone from everything, the books balance, and they stay out.

use std::{
    collections::BTreeSet,
    fs,
    io::Read as _,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use twinstream::{
    segment::{
        raw,
        seal::{SEAL_BYTES_MAX, Seal},
    },
    world::{
        crash::{Point, VARIABLE},
        disk::{Disk as _, RealDisk, read_bounded},
    },
};

use crate::support::{
    folder::files_below,
    posts::{Segment, segments, stream},
    primary::{Site, at, command, unxz},
};

const NOW: &str = "2026-11-23T16:00:00Z";

fn two_servers(begin: &str, minutes: i64) -> Vec<Segment> {
    let received = stream(2, at(begin), minutes, 12);
    [("1", 0), ("2", 1)]
        .into_iter()
        .flat_map(|(server, n)| segments(server, &received[n]))
        .collect()
}

fn redact(site: &Site, ids: &[&str], reason: &str, more: &[&str]) -> Command {
    let file = site.root.join("ids.txt");
    fs::write(&file, ids.join("\n")).unwrap();
    let mut command = command(site, "redact", NOW);
    command
        .args(["--json", "--reason", reason, "--ids"])
        .arg(file)
        .args(more);
    command
}

#[track_caller]
fn told(output: &Output) -> Value {
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Every file below that has one of these texts in it, decompressed where it is compressed.
fn mentions(root: &Path, texts: &[&str]) -> Vec<PathBuf> {
    let has = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        let bytes = match path.extension().and_then(|ending| ending.to_str()) {
            Some("xz") => unxz(&bytes).into_bytes(),
            Some("zst") => zstd::decode_all(&bytes[..]).unwrap(),
            _ => bytes,
        };
        let is_in = |text: &&str| memchr::memmem::find(&bytes, text.as_bytes()).is_some();
        texts.iter().any(is_in)
    };
    files_below(root).into_iter().filter(has).collect()
}

/// The posts of an hour that are to go: the first and the last, and one in the middle.
fn three(site: &Site, hour: &str) -> Vec<String> {
    let text = site.text(hour, "IDs.txt.xz");
    let ids: Vec<&str> = text.lines().collect();
    [0, ids.len() / 2, ids.len() - 1]
        .map(|n| ids[n].to_owned())
        .to_vec()
}

#[test]
fn redacted_posts_are_gone_from_everything_and_stay_out() {
    let all = two_servers("2026-11-23T13:50:00Z", 22);
    let site = Site::new("UTC");
    // one segment comes later
    let (late, first): (Vec<_>, Vec<_>) = all
        .iter()
        .cloned()
        .partition(|s| s.name.to_string().starts_with("2_sample_20261123T1402"));
    site.put(&first);
    site.merge("2026-11-23T15:10:00Z");
    let before = site.manifest("2026-11-23_14");
    let mut ids = three(&site, "2026-11-23_14");
    // one that only the late segment may have brought twice, and one that was never there
    ids.push("1541815603606036481".to_owned());
    let asked: Vec<&str> = ids.iter().map(String::as_str).collect();
    let of_it: Vec<String> = asked.iter().map(|id| format!("\"{id}\"")).collect();
    let of_it: Vec<&str> = of_it.iter().map(String::as_str).collect();
    let forms = |ending: &str| {
        files_below(&site.spool())
            .iter()
            .filter(|p| p.to_str().unwrap().ends_with(ending))
            .count()
    };
    assert!(
        0 < forms(".jsonl.zst") && 0 < forms("000.jsonl"),
        "both forms are there"
    );

    // a dry run says it and does nothing
    let vault = site.files();
    let dry = told(&redact(&site, &asked, "x", &["--dry-run"]).output().unwrap());
    assert_eq!(dry["found"].as_object().unwrap().len(), 3, "{dry}");
    assert_eq!(dry["not_found"][0], asked[3]);
    assert!(0 < dry["segments"].as_u64().unwrap());
    assert!(vault == site.files());

    let done = told(
        &redact(&site, &asked, "deleted by its author", &[])
            .output()
            .unwrap(),
    );
    assert_eq!(done["found"], dry["found"]);
    assert_eq!(done["segments"], dry["segments"]);
    let after = site.manifest("2026-11-23_14");
    assert_eq!(after.history.revision, 2);
    assert_eq!(
        after.redactions,
        [("deleted by its author".to_owned(), 3)].into()
    );
    assert_eq!(after.counts.total.posts + 3, before.counts.total.posts);
    assert!(after.balances());
    assert_eq!(mentions(&site.spool(), &of_it), [""; 0].map(PathBuf::from));
    let in_vault = mentions(&site.vault(), &asked[..3]);
    assert_eq!(in_vault, [site.vault().join("redactions.jsonl")]);
    assert_eq!(site.verify().worst(), None);
    check_seals(&site);

    // the other hours that share a segment follow; then all is quiet
    site.merge(NOW);
    let quiet = site.files();
    assert_eq!(site.merge(NOW), []);
    assert!(quiet == site.files());

    // they come again: with a late segment, with one whose acknowledgement was lost, and after the
    // index was deleted
    site.put(&late);
    site.put(&first[..8]);
    fs::remove_dir_all(site.root.join("index")).unwrap();
    site.merge(NOW);
    assert_eq!(mentions(&site.spool(), &of_it), [""; 0].map(PathBuf::from));
    assert_eq!(
        mentions(&site.vault(), &asked[..3]),
        [site.vault().join("redactions.jsonl")]
    );
    assert_eq!(site.verify().worst(), None);

    // the archive is what it would be if they had never been received
    let without = Site::new("UTC");
    let never: BTreeSet<&[u8]> = of_it.iter().take(3).map(|id| id.as_bytes()).collect();
    let clean: Vec<Segment> = all
        .iter()
        .cloned()
        .map(|mut segment| {
            segment.lines.retain(|one| {
                !never
                    .iter()
                    .any(|id| memchr::memmem::find(&one.line, id).is_some())
            });
            segment
        })
        .collect();
    without.put(&clean);
    without.merge(NOW);
    for ending in [
        "IDs.txt.xz",
        "tweets.csv.xz",
        "users.csv.xz",
        "rejected.jsonl.xz",
    ] {
        let name = format!("2026-11-23/2026-11-23_14_{ending}");
        assert!(
            site.files().get(&name) == without.files().get(&name),
            "{name}"
        );
    }
}

/// Every seal is true of the plain bytes of its segment, and says what it was before.
#[track_caller]
fn check_seals(site: &Site) {
    let mut redacted = 0;
    for path in files_below(&site.spool()) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(!name.ends_with(".redacted"), "{name} is left");
        let Some(stem) = name.strip_suffix(".seal.json") else {
            continue;
        };
        let bytes = read_bounded(&RealDisk, &path, SEAL_BYTES_MAX).unwrap();
        let seal = Seal::read(&bytes, &stem.parse().unwrap()).unwrap();
        let plain = path.with_file_name(format!("{stem}.jsonl"));
        let both = RealDisk.len(&plain).unwrap().is_some() && raw::compressed(&plain).exists();
        assert!(!both, "{stem} lies in both forms");
        let mut source = raw::open(&RealDisk, &plain).unwrap();
        let found = raw::read_through(&mut source, |_| Ok(())).unwrap();
        assert_eq!(found, seal.segment, "{stem}");
        redacted += seal.redacted.len();
        let mut text = String::new();
        fs::File::open(&path)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text.contains("redacted"), !seal.redacted.is_empty());
    }
    assert!(0 < redacted);
}

/// Killed at every point, the next merge takes them out; nothing else changes.
#[test]
fn a_redaction_that_is_killed_is_finished_by_the_next_merge() {
    let all = two_servers("2026-11-23T13:58:00Z", 5);
    let prepared = Site::new("UTC");
    prepared.put(&all);
    prepared.merge("2026-11-23T15:10:00Z");
    let ids = three(&prepared, "2026-11-23_14");
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let copy = || {
        let site = Site::new("UTC");
        let from = prepared.root.join(".");
        let copied = Command::new("cp")
            .arg("-a")
            .arg(from)
            .arg(&site.root)
            .status();
        assert!(copied.unwrap().success());
        site
    };
    let finish = |site: &Site| {
        // what shares a segment with them follows
        let merged = command(site, "merge", NOW).output().unwrap();
        let code = merged.status.code().unwrap();
        assert!(
            [0, 4].contains(&code),
            "{}",
            String::from_utf8_lossy(&merged.stderr)
        );
    };
    let undisturbed = copy();
    told(&redact(&undisturbed, &ids, "why", &[]).output().unwrap());
    finish(&undisturbed);
    let expected = undisturbed.essence();
    let points = Point::OF_REDACTION.iter().chain(&Point::OF_MERGE[..9]);
    for point in points {
        let site = copy();
        let killed = redact(&site, &ids, "why", &[])
            .env(VARIABLE, format!("{point:?}"))
            .output();
        assert_eq!(
            killed.unwrap().status.signal(),
            Some(9),
            "{point:?} was never passed"
        );
        finish(&site);
        finish(&site);
        assert!(site.essence() == expected, "{point:?}");
        assert_eq!(
            mentions(&site.spool(), &ids),
            [""; 0].map(PathBuf::from),
            "{point:?}"
        );
        check_seals(&site);
        assert_eq!(site.verify().worst(), None, "{point:?}");
    }
}

#[test]
fn what_cannot_be_redacted_is_said() {
    let site = Site::new("UTC");
    let stderr = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let failed = redact(&site, &["12", "twelve"], "why", &[])
        .output()
        .unwrap();
    assert_eq!(failed.status.code(), Some(2));
    assert!(
        stderr(&failed).contains("line 2 is no post id"),
        "{}",
        stderr(&failed)
    );
    let failed = redact(&site, &["12"], " ", &[]).output().unwrap();
    assert_eq!(failed.status.code(), Some(2));
    let mut secondary = redact(&site, &["12"], "why", &["--server", "2"]);
    let failed = secondary.output().unwrap();
    assert_eq!(failed.status.code(), Some(3), "{}", stderr(&failed));
    assert!(!site.vault().join("redactions.jsonl").exists());

    // an hour whose raw data is gone cannot be made anew from CSV files: that is said, each time
    site.put(&two_servers("2026-11-23T13:10:00Z", 2));
    site.merge("2026-11-23T14:10:00Z");
    let ids = three(&site, "2026-11-23_13");
    fs::remove_dir_all(site.spool()).unwrap();
    fs::create_dir_all(site.spool()).unwrap();
    for _ in 0..2 {
        let failed = redact(&site, &[&ids[0]], "why", &[]).output().unwrap();
        assert_eq!(failed.status.code(), Some(1), "{}", stderr(&failed));
        assert!(
            stderr(&failed).contains("still have posts")
                && stderr(&failed).contains("2026-11-23_13"),
            "{}",
            stderr(&failed)
        );
    }
}
