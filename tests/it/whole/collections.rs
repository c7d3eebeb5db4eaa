//! Bluesky from end to end while another list of collections is rolled out, on one server after the other: what was requested in
//! which seconds stands in events, manifest and certificate, and nothing that was not requested is taken for a loss.

use super::*;
use twinstream::{period::UtcMs, segment::collections::Collections};

const BEFORE: [&str; 2] = ["app.bsky.feed.post", "app.bsky.feed.repost"];
const AFTER: [&str; 2] = ["app.bsky.feed.like", "app.bsky.feed.post"];

/// With it, a report writes the files to cite the archive by.
const DATASET: &str = "\n[dataset]\ntitle = \"Posts\"\ncreators = [{ name = \"Example, Ada\" }]";

fn configure(site: &Site, server: u8, list: [&str; 2]) {
    let path = site.path(&format!("server{server}.toml"));
    let text = fs::read_to_string(&path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("collections"));
    let lines: Vec<&str> = lines.collect();
    let section = format!("[bluesky]\ncollections = {list:?}");
    let mut text = lines.join("\n").replace("[bluesky]", &section);
    if !text.contains(DATASET) {
        text += DATASET;
    }
    fs::write(&path, text).unwrap();
}

/// Ends a server's collector and starts it again with the other list; says when.
fn roll_out(site: &Site, server: u8, collector: Guarded) -> (Guarded, i64) {
    configure(site, server, AFTER);
    let at = site.elapsed() as i64;
    stop(collector);
    (site.collect(server), at)
}

#[test]
fn a_list_that_is_rolled_out_is_told_and_what_was_not_requested_is_no_loss() {
    at_pace(RATE, rolled_out);
}

fn rolled_out(rate: i32) {
    let site = Site::new(rate);
    let more = ["--source", "bluesky", "--rate", "60"];
    let (_instances, urls) = site.simulate(&more, "");
    site.configure_bluesky(&urls);
    for server in [1, 2] {
        configure(&site, server, BEFORE);
    }
    let [first, second] = [1, 2].map(|server| site.collect(server));
    until("some minutes", || 70.0 < site.elapsed());
    let (second, rolled_out_2) = roll_out(&site, 2, second);
    until("a while", || 150.0 < site.elapsed());
    let (first, rolled_out_1) = roll_out(&site, 1, first);
    until("the end", || 240.0 < site.elapsed());
    stop(first);
    stop(second);
    site.archived();
    let manifest = fs::read(&site.vault_files("14_manifest.json")[0]).unwrap();
    check_manifest(
        &Manifest::from_json(&manifest).unwrap(),
        [rolled_out_1, rolled_out_2],
    );
    check_certificate(&site);
}

/// Each server's list is that of its configuration, with a few seconds of both; what differs is not compared.
#[track_caller]
fn check_manifest(manifest: &Manifest, rolled_out: [i64; 2]) {
    let begin: UtcMs = BEGIN.parse().unwrap();
    let second = |at: UtcMs| at.second() - begin.second();
    let told = manifest.said.collections.as_ref().unwrap();
    let lists: Vec<String> = told.lists.iter().map(Collections::words).collect();
    assert_eq!(lists, [AFTER.join(", "), BEFORE.join(", ")]);
    let mut changes: Vec<[i64; 2]> = Vec::new();
    for (stretches, at) in told.servers.values().zip(rolled_out) {
        let found = stretches.iter();
        let found: Vec<_> = found
            .map(|one| (second(one.end), &one.holds.lists[..]))
            .collect();
        let lists: Vec<&[usize]> = found.iter().map(|one| one.1).collect();
        assert_eq!(lists, [&[1][..], &[0, 1], &[0], &[]], "{found:?}");
        let [until, both] = [found[0].0, found[1].0];
        // a machine that is busy receives later; a connection resumes with an overlap of ten seconds
        assert!((at - 40..=at).contains(&until), "{at}: {found:?}");
        assert!((5..15).contains(&(both - until)), "{at}: {found:?}");
        changes.push([until, both]);
    }
    // while the lists differ, each lacks hundreds that the other has
    let [first, second] = [0, 1].map(|server| {
        let rows = manifest.minutes.rows.iter();
        rows.map(|row| row.of_servers[server] - row.common)
            .sum::<u64>()
    });
    assert!(200 < first && 200 < second, "{first} {second}");
    let estimate = manifest.estimate.as_ref().unwrap();
    let differing = u64::try_from(changes[0][0] - changes[1][1]).unwrap();
    let seconds = manifest.coverage.union.covered;
    assert!(
        estimate.seconds + differing <= seconds && seconds < estimate.seconds + differing + 60,
        "{} of {seconds}, without {differing}",
        estimate.seconds
    );
    assert!(
        estimate.unseen.is_none() && estimate.high < 10,
        "{estimate:?}"
    );
}

/// The certificate says how many seconds each collection has; and `verify` finds a stretch that was changed.
#[track_caller]
fn check_certificate(site: &Site) {
    site.check_stage(1, Some(SETTLED), &["report", "2026-11-23"], &[0, 5]);
    let text = fs::read_to_string(&site.vault_files("certificate.txt")[0]).unwrap();
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in [
        "Not every collection was requested in all of the",
        "see Requested collections",
        "List 1: app.bsky.feed.like, app.bsky.feed.post",
        "List 2: app.bsky.feed.post, app.bsky.feed.repost",
        "in which they were sent the same",
        "is not necessarily one that the others missed",
    ] {
        assert!(words.contains(said), "{said}: {text}");
    }
    let page = fs::read_to_string(site.path("server1/vault/DATASET.md")).unwrap();
    let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = "The servers did not request the same collections all the time. Of the";
    let (_, told) = words.split_once(said).expect(&page);
    let (told, _) = told.split_once(" Each day's certificate").unwrap();
    for name in ["like in ", "post in ", "repost in "] {
        assert!(told.contains(&format!("app.bsky.feed.{name}")), "{told}");
    }
    let path = &site.vault_files("14_manifest.json")[0];
    let changed = fs::read_to_string(path).unwrap();
    let (before, told) = changed.split_once("\"collections\"").unwrap();
    let told = told.replacen("[0,1]", "[0]", 1);
    fs::write(path, format!("{before}\"collections\"{told}")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_twinstream"))
        .args(["verify", site.path("server1/vault").to_str().unwrap()])
        .output()
        .unwrap();
    let found = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{found}");
    assert!(found.contains("collections"), "{found}");
}
