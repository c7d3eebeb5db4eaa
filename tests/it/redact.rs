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
    vault::posts::read::{self, Wanted},
    world::{
        crash::{Point, VARIABLE},
        disk::{Disk as _, RealDisk, read_bounded},
    },
};

use crate::support::{
    folder::files_below,
    posts::{Segment, segments, stream},
    primary::{Site, at, command, rows, unxz},
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
    redact_at(site, ids, reason, more, NOW)
}

fn redact_at(site: &Site, ids: &[&str], reason: &str, more: &[&str], now: &str) -> Command {
    let file = site.root.join("ids.txt");
    fs::write(&file, ids.join("\n")).unwrap();
    let mut command = command(site, "redact", now);
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

/// The texts of a Parquet file: the cells of its columns of texts that are no lists.
fn cells(path: &Path) -> Vec<u8> {
    use arrow_array::cast::AsArray as _;
    let mut text = Vec::new();
    read::read_through(&RealDisk, path, Wanted::All, |batch| {
        for column in batch.columns() {
            let cells = column
                .as_string_opt::<i32>()
                .into_iter()
                .flatten()
                .flatten();
            text.extend(cells.flat_map(str::bytes));
        }
        Ok(())
    })
    .unwrap();
    text
}

/// Every file below that has one of these texts in it, decompressed where it is compressed.
pub(crate) fn mentions(root: &Path, texts: &[&str]) -> Vec<PathBuf> {
    let has = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        let bytes = match path.extension().and_then(|ending| ending.to_str()) {
            Some("parquet") => cells(path),
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

    // asking again, or for what never came, merges none of the hours that are due
    for ids in [&asked[..1], &asked[3..]] {
        let vault = site.files();
        let mut again = redact(&site, ids, "deleted by its author", &[]);
        let again = told(&again.output().unwrap());
        assert_eq!(again["committed"].as_array().unwrap().len(), 0, "{again}");
        assert!(vault == site.files());
    }

    // the other hours that share a segment follow; then all is quiet
    assert_ne!(site.merge(NOW), []);
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

/// How much of the raw data is still there when the request comes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Raw {
    There,
    /// The rows of `posts.parquet` stand for one part, and segments for the other.
    Half,
    Gone,
}

/// What one would have if some posts had never been received.
fn without(segments: &[Segment], ids: &[String]) -> Vec<Segment> {
    let is_free = |line: &[u8]| {
        let named = |id: &String| memchr::memmem::find(line, format!("\"{id}\"").as_bytes());
        ids.iter().all(|id| named(id).is_none())
    };
    let mut segments = segments.to_vec();
    for segment in &mut segments {
        segment.lines.retain(|one| is_free(&one.line));
    }
    segments
}

/// A primary with Parquet whose hours 13 and 14 are merged, and of whose raw data so much is left.
fn with_parquet(all: &[Segment], raw: Raw) -> Site {
    let mut site = Site::new("UTC");
    site.settings.parquet = true;
    let is_late = |s: &Segment| raw == Raw::Half && s.name.minute.0 % 3 == 1;
    let (late, first): (Vec<_>, Vec<_>) = all.iter().cloned().partition(is_late);
    site.put(&first);
    site.merge("2026-11-23T15:10:00Z");
    if raw != Raw::There {
        site.settings.keep_raw = Some(std::time::Duration::from_hours(1));
        site.merge("2026-11-23T17:00:00Z");
        site.settings.keep_raw = None;
        let left = fs::read_dir(site.spool().join("1/2026-11-23/14")).unwrap();
        assert!(
            left.count() <= 3,
            "the raw data is gone, but for the last minute"
        );
    }
    site.put(&late);
    site.merge(LATER);
    site
}

const LATER: &str = "2026-11-23T20:00:00Z";

/// Whether raw data is there or not: the posts are gone from every file, the bytes are those of an
/// archive that never received them, the books balance, and the ledger shows the revision.
#[test]
fn redacted_posts_are_gone_from_rows_that_stand_for_raw_data() {
    const HOUR: &str = "2026-11-23_14";
    let all = two_servers("2026-11-23T13:56:00Z", 13);
    for raw in [Raw::There, Raw::Half, Raw::Gone] {
        let site = with_parquet(&all, raw);
        let text = site.text(HOUR, "IDs.txt.xz");
        let rejected = site.text(HOUR, "rejected.jsonl.xz");
        let is_half = |n: usize, id: &str| n.is_multiple_of(2) || rejected.contains(id);
        let ids = text.lines().enumerate().filter(|(n, id)| is_half(*n, id));
        let ids: Vec<String> = ids.map(|(_, id)| id.to_owned()).collect();
        assert!(ids.iter().any(|id| rejected.contains(id.as_str())));
        let asked: Vec<&str> = ids.iter().map(String::as_str).collect();
        let before = site.manifest(HOUR);
        // copies, further copies, conflicts, and lines that are not posts are among what goes
        let is_named = |line: &Vec<u8>| {
            asked
                .iter()
                .any(|id| memchr::memmem::find(line, id.as_bytes()).is_some())
        };
        let going = all
            .iter()
            .flat_map(|s| &s.lines)
            .filter(|one| is_named(&one.line))
            .count();
        assert!(3 * ids.len() < 2 * going);
        if raw != Raw::There {
            let damaged = site.root.join("scratch").join(HOUR);
            fs::create_dir_all(&damaged).unwrap();
            fs::write(damaged.join("former.jsonl"), asked[0]).unwrap();
        }

        let mut done = redact_at(&site, &asked, "ethics board", &[], LATER);
        let done = told(&done.output().unwrap());
        assert_eq!(
            done["found"].as_object().unwrap().len(),
            ids.len(),
            "{raw:?}: {done}"
        );
        let after = site.manifest(HOUR);
        assert_eq!(after.history.revision, before.history.revision + 1);
        assert_eq!(
            after.redactions,
            [("ethics board".to_owned(), ids.len() as u64)].into()
        );
        assert!(after.balances(), "{raw:?}: {:?}", after.counts);
        assert_eq!(after.carried.is_some(), raw != Raw::There);

        // nothing that is left names them, whatever it is
        fs::remove_file(site.root.join("ids.txt")).unwrap();
        let list = site.vault().join("redactions.jsonl");
        assert_eq!(mentions(&site.root, &asked), [list], "{raw:?}");
        site.merge(LATER);
        let found = site.verify();
        assert_eq!(found.worst(), None, "{raw:?}: {:?}", found.problems);
        check_ledger(&site, HOUR, after.history.revision);

        let never = with_parquet(&without(&all, &ids), raw);
        let (expected, files) = (never.files(), site.files());
        for (name, bytes) in expected.iter().filter(|(name, _)| name.contains(HOUR)) {
            let is_data = [".xz", ".parquet"]
                .iter()
                .any(|ending| name.ends_with(ending));
            assert!(
                !is_data || is_same(&never, &site, (name.as_str(), bytes.as_slice()), raw),
                "{raw:?}: {name}"
            );
        }
        for ending in ["posts.parquet", "conflicts.jsonl.xz", "rejected.jsonl.xz"] {
            assert!(
                expected.contains_key(&format!("2026-11-23/{HOUR}_{ending}")),
                "{ending}"
            );
        }
        assert_eq!(
            after.counts.total,
            never.manifest(HOUR).counts.total,
            "{raw:?}"
        );
        let is_data = |name: &&String| name.contains(HOUR) && !name.contains("revisions/");
        let names = |files: &std::collections::BTreeMap<String, Vec<u8>>| -> Vec<String> {
            files.keys().filter(is_data).cloned().collect()
        };
        assert_eq!(
            names(&files),
            names(&expected),
            "nothing of the old revision lies about"
        );

        // once more changes nothing, and what comes again stays out
        let quiet = site.files();
        assert_eq!(site.merge(LATER), []);
        assert!(quiet == site.files());
    }
}

/// While an hour is not over, nothing has its posts but segments that were looked into before.
#[test]
fn an_author_who_asks_before_an_hour_is_merged_is_gone_from_its_segments() {
    let author = ["\"author_id\":\"7\""];
    let site = Site::new("UTC");
    site.put(&two_servers("2026-11-23T14:00:00Z", 6));
    assert_eq!(site.merge("2026-11-23T14:30:00Z"), []);
    assert!(1 < mentions(&site.root, &author).len());
    let mut redact = command(&site, "redact", "2026-11-23T14:31:00Z");
    redact.args(["--json", "--reason", "asked", "--author", "7"]);
    told(&redact.output().unwrap());
    site.merge("2026-11-23T14:32:00Z");
    assert_eq!(mentions(&site.root, &author), [""; 0].map(PathBuf::from));
    assert!(!site.merge(LATER).is_empty());
    assert_eq!(mentions(&site.root, &author), [""; 0].map(PathBuf::from));
    let found = site.verify();
    assert_eq!(found.worst(), None, "{:?}", found.problems);
}

/// All posts of two people are gone, whether raw data is there or not, and what comes of them later stays
/// out: the archive is the one that never received them.
#[test]
fn an_author_who_asks_is_gone_and_stays_out() {
    const HOUR: &str = "2026-11-23_14";
    let authors = ["7", "19"];
    let names = authors.map(|author| format!("\"author_id\":\"{author}\""));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let is_by = |line: &[u8]| {
        let is_in = |name: &&str| memchr::memmem::find(line, name.as_bytes()).is_some();
        names.iter().any(is_in)
    };
    let all = two_servers("2026-11-23T13:56:00Z", 13);
    let is_late = |s: &Segment| s.name.to_string().starts_with("2_sample_20261123T1403");
    let (late, first): (Vec<_>, Vec<_>) = all.iter().cloned().partition(is_late);
    let going = |of: &[Segment]| {
        of.iter()
            .flat_map(|s| &s.lines)
            .filter(|one| is_by(&one.line))
            .count()
    };
    assert!(0 < going(&late) && 10 < going(&first));
    let never = |of: &[Segment]| {
        let mut of = of.to_vec();
        for segment in &mut of {
            segment.lines.retain(|one| !is_by(&one.line));
        }
        of
    };
    for raw in [Raw::There, Raw::Half, Raw::Gone] {
        let site = with_parquet(&first, raw);
        let redact = |more: &[&str]| {
            let mut command = command(&site, "redact", LATER);
            command.args([
                "--json", "--reason", "asked", "--author", "7", "--author", "19",
            ]);
            told(&command.args(more).output().unwrap())
        };
        let before = site.files();
        let dry = redact(&["--dry-run"]);
        assert!(before == site.files());
        let done = redact(&[]);
        assert_eq!(
            (&done["found"], &done["authors"]),
            (&dry["found"], &dry["authors"]),
            "{raw:?}"
        );
        let posts = done["found"].as_object().unwrap().len() as u64;
        let of_each: Vec<u64> = authors
            .iter()
            .map(|id| done["authors"][id].as_u64().unwrap())
            .collect();
        assert!(of_each.iter().all(|posts| 0 < *posts) && of_each.iter().sum::<u64>() == posts);
        // those who come later
        site.put(&late);
        site.merge(LATER);
        let after = site.manifest(HOUR);
        assert!(after.balances(), "{raw:?}: {:?}", after.counts);
        assert!(
            after.redactions["asked"] + site.manifest("2026-11-23_13").redactions["asked"] >= posts
        );
        assert_eq!(
            mentions(&site.root, &names),
            [""; 0].map(PathBuf::from),
            "{raw:?}"
        );
        let found = site.verify();
        assert_eq!(found.worst(), None, "{raw:?}: {:?}", found.problems);
        let expected = with_parquet(&never(&first), raw);
        expected.put(&never(&late));
        expected.merge(LATER);
        let never = expected.files();
        for (name, bytes) in never
            .iter()
            .filter(|(name, _)| name.contains("2026-11-23_1"))
        {
            let is_data = [".xz", ".parquet"]
                .iter()
                .any(|ending| name.ends_with(ending));
            assert!(
                !is_data || is_same(&expected, &site, (name.as_str(), bytes.as_slice()), raw),
                "{raw:?}: {name}"
            );
        }
        // asking once more finds nobody
        let again = redact(&[]);
        assert_eq!(again["found"].as_object().unwrap().len(), 0, "{again}");
        let quiet = site.files();
        assert_eq!(site.merge(LATER), []);
        assert!(quiet == site.files());
    }
}

/// Whether raw data is there or not, and also when something comes late: what was received of the seconds whose posts are all gone
/// is no silence, at either server or at both.
#[test]
fn seconds_of_which_nothing_is_left_were_received_all_the_same() {
    const HOUR: &str = "2026-11-23_14";
    let all = two_servers("2026-11-23T13:56:00Z", 13);
    let is_late = |s: &Segment| s.name.to_string().starts_with("2_sample_20261123T1407");
    let (late, first): (Vec<_>, Vec<_>) = all.iter().cloned().partition(is_late);
    let [from, to] = ["2026-11-23T14:02:10Z", "2026-11-23T14:05:10Z"].map(at);
    for raw in [Raw::There, Raw::Half, Raw::Gone] {
        let site = with_parquet(&first, raw);
        let ids = site.text(HOUR, "IDs.txt.xz");
        let is_then = |id: &&str| {
            let id: u64 = id.parse().unwrap();
            let at = (id >> 22) + 1_288_834_974_657;
            (from.0..to.0).contains(&i64::try_from(at).unwrap())
        };
        let asked: Vec<&str> = ids.lines().filter(is_then).collect();
        let before = site.manifest(HOUR);
        told(
            &redact_at(&site, &asked, "asked", &[], LATER)
                .output()
                .unwrap(),
        );
        let after = site.manifest(HOUR);
        assert_eq!(after.history.revision, before.history.revision + 1);
        assert_eq!(after.gaps, before.gaps, "{raw:?}");
        let [covered, left] = [&before, &after].map(|of| of.coverage.union.covered);
        assert_eq!(covered, left, "{raw:?}");
        let emptied = after.coverage.union.emptied;
        assert!(
            (10..=asked.len() as u64).contains(&emptied),
            "{raw:?}: {emptied}"
        );
        for covered in after.coverage.servers.values() {
            assert!(0 < covered.emptied && covered.emptied <= emptied, "{raw:?}");
        }
        let found = site.verify();
        assert_eq!(found.worst(), None, "{raw:?}: {:?}", found.problems);
        site.put(&late);
        site.merge("2026-11-23T23:00:00Z");
        let latest = site.manifest(HOUR);
        assert!(after.history.revision < latest.history.revision, "{raw:?}");
        assert_eq!(latest.coverage.union.emptied, emptied, "{raw:?}");
        let found = site.verify();
        assert_eq!(found.worst(), None, "{raw:?}: {:?}", found.problems);
    }
}

/// Whether a data file is that of an archive that never received the posts. If raw data is gone, `posts.parquet` also has
/// how late the posts of each segment came, as it was found with them.
fn is_same(never: &Site, site: &Site, (name, bytes): (&str, &[u8]), raw: Raw) -> bool {
    if raw == Raw::There || !name.ends_with("_posts.parquet") {
        return site.files()[name] == *bytes;
    }
    let file = name.rsplit('/').next().unwrap();
    let rows = |site: &Site| rows(&site.manifest(&file[..13]), file);
    rows(never) == rows(site)
}

/// The ledger's last line of an hour is that of its manifest.
#[track_caller]
fn check_ledger(site: &Site, hour: &str, revision: u64) {
    let ledger = String::from_utf8(site.files()["ledger.jsonl"].clone()).unwrap();
    let lines = ledger
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_hour: Vec<Value> = lines.filter(|line| line["hour"] == hour).collect();
    let last = of_hour.last().unwrap();
    assert_eq!(last["revision"], revision);
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
        stderr(&failed).contains("line 2 is not a post id"),
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
    for server in ["1", "2"] {
        fs::remove_dir_all(site.spool().join(server)).unwrap();
    }
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
