//! Publishing: the real command against the simulated OSF, over sockets.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read as _, Write as _},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use liblzma::{read::XzDecoder, write::XzEncoder};
use serde_json::Value;
use twinstream::{
    period::{Day, Hour},
    report::{files, read, statement::Statement},
    segment::{line::PROGRAM, sha256::Sha256},
    vault::{
        layout, ledger,
        manifest::Manifest,
        public::{DayFile, Public, RootFile},
        witness::Witness,
    },
    world::disk::RealDisk,
};

use crate::support::{
    authority::{Authority, P256},
    osf::{Osf, Publisher, Said},
    posts::{Received, post, segments},
    primary::at,
    site::until,
};

const NOW: &str = "2026-11-23T18:00:00Z";

/// Hours 13 to 15 and the empty ones up to now.
fn publisher() -> Publisher {
    Publisher::with_hours("2026-11-23T13:10:00Z", 3, NOW)
}

/// A late segment with `count` posts of an hour that no other has.
fn late(publisher: &Publisher, hour: &str, count: u64, now: &str) {
    let minute = i64::try_from(20 + count).unwrap();
    let begin = at(hour).plus_ms(minute * 60_000);
    let received = (0..count)
        .map(|n| {
            let at = begin.plus_ms(i64::try_from(n).unwrap() * 500);
            let line = post(900_000 + n, at).into_bytes();
            Received { at, line }
        })
        .collect::<Vec<_>>();
    publisher.site.put(&segments("3", &received));
    assert!(!publisher.site.merge(now).is_empty());
}

/// Everything that is public is the vault's, all of it, and nothing else.
#[track_caller]
fn check_public(osf: &Osf, publisher: &Publisher) {
    let (public, expected) = (osf.files(), publisher.expected());
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&public), names(&expected));
    for (name, bytes) in &expected {
        assert!(public[name] == *bytes, "{name} differs");
    }
    check_credentials(osf);
}

/// The token goes to OSF with every request, and never to the storage behind it; nothing that may not
/// be public was ever sent.
#[track_caller]
fn check_credentials(osf: &Osf) {
    let requests = osf.requests();
    for request in &requests {
        let is_storage = request["service"] == "storage";
        assert_eq!(request["authorization"], !is_storage, "{request}");
    }
    assert!(
        requests.iter().any(|r| r["service"] == "storage"),
        "nothing was read back"
    );
    for (path, _) in osf.stored() {
        let name = path.rsplit('/').next().unwrap();
        assert!(Public::of_name(name).is_some(), "{path} was sent");
    }
}

fn posts(publisher: &Publisher) -> u64 {
    let hours = publisher.site.hours();
    let posts = |hour: &String| publisher.site.manifest(hour).counts.total.posts;
    hours.iter().map(posts).sum()
}

#[test]
fn one_who_only_looks_does_not_wait_long_for_a_service_that_is_away() {
    let osf = Osf::start("[[fault]]\nkind = \"status\"\nstatus = 503\n", &[]);
    let publisher = publisher();
    let dry = publisher.publish(&osf, &["--dry-run"]);
    dry.check(6, "");
    assert!(dry.err.contains("hint: nothing is lost"), "{}", dry.err);
    let asked = osf.hits("status");
    assert!((1..=3).contains(&asked), "asked {asked} times");
}

#[test]
fn what_is_committed_becomes_public_once_and_again_changes_nothing() {
    let osf = Osf::start("", &[]);
    let mut publisher = publisher();
    let dry = publisher.publish(&osf, &["--dry-run"]);
    dry.check(0, "upload   2026/11/23/2026-11-23_13_IDs.txt.xz");
    assert!(osf.requests().iter().all(|r| r["method"] == "GET"));
    assert!(publisher.diary().is_empty());

    let begun = osf.requests().len();
    publisher.publish(&osf, &[]).check(0, "published");
    check_public(&osf, &publisher);
    assert_eq!(publisher.ids(), posts(&publisher));
    let order: Vec<String> = osf.stored().into_iter().map(|(path, _)| path).collect();
    let place = |name: &str| order.iter().position(|path| path.ends_with(name)).unwrap();
    assert!(place("14_IDs.txt.xz") < place("14_manifest.json"));
    assert_eq!(place("ledger.jsonl"), order.len() - 1);
    // a second between two requests, by the clock that both go by
    let times: Vec<i64> = osf.requests()[begun..]
        .iter()
        .map(|r| at(r["at"].as_str().unwrap()).0)
        .collect();
    let (count, took) = (
        i64::try_from(times.len()).unwrap(),
        times[times.len() - 1] - times[0],
    );
    assert!((count - 2) * 1_000 <= took, "{count} requests in {took} ms");

    let asked = osf.requests().len();
    publisher.publish(&osf, &[]).check(4, "");
    publisher.publish(&osf, &["--dry-run"]).check(4, "");
    assert_eq!(osf.requests().len(), asked, "what is known needs no asking");
    publisher
        .publish(&osf, &["--audit"])
        .check(0, "0 are missing");

    // late data: a new revision, a new version, and only the new ids count
    let before = publisher.ids();
    late(
        &publisher,
        "2026-11-23T14:00:00Z",
        7,
        "2026-11-23T19:00:00Z",
    );
    publisher
        .publish(&osf, &[])
        .check(0, "2026-11-23_14_manifest.json");
    check_public(&osf, &publisher);
    assert_eq!(publisher.ids() - before, 7);

    // the diary can be had again: from what is public, version by version
    // with the times at which it became public, however long ago that was
    let kept = counted(&publisher);
    publisher.forget();
    "2027-11-23T19:00:00Z".clone_into(&mut publisher.now);
    publisher
        .publish(&osf, &["--audit"])
        .check(0, "added to published.jsonl");
    assert_eq!(counted(&publisher), kept);
    for line in publisher.diary() {
        let time = at(line["time"].as_str().unwrap());
        assert!(time < at("2026-11-30T00:00:00Z"), "{line}");
    }
    publisher.publish(&osf, &[]).check(4, "");
}

/// The diary's lines with new ids, whenever they were written.
fn counted(publisher: &Publisher) -> BTreeSet<String> {
    let mut lines = publisher.diary();
    lines.retain(|line| line["new_ids"] != 0);
    let text = |line: &Value| format!("{} {}", line["file"], line["new_ids"]);
    lines.iter().map(text).collect()
}

/// A fault, how often it must be seen, and what becomes of a run that meets it.
struct Case {
    faults: &'static str,
    kind: &'static str,
    code: i32,
    words: &'static str,
    /// Whether everything is public in the end.
    whole: bool,
}

const fn case(
    faults: &'static str,
    kind: &'static str,
    (code, words): (i32, &'static str),
    whole: bool,
) -> Case {
    Case {
        faults,
        kind,
        code,
        words,
        whole,
    }
}

const PASSES: (i32, &str) = (0, "published");

#[test]
fn trouble_that_passes_is_waited_out_and_nothing_is_put_twice() {
    let publisher = publisher();
    for one in [
        case(
            "on = \"create\"\ntimes = 2\nkind = \"status\"\nstatus = 503",
            "status",
            PASSES,
            true,
        ),
        case(
            "on = \"list\"\ntimes = 2\nkind = \"status\"\nstatus = 502",
            "status",
            PASSES,
            true,
        ),
        case(
            "on = \"find\"\ntimes = 1\nkind = \"status\"\nstatus = 504",
            "status",
            PASSES,
            true,
        ),
        // the server's own checksum fails
        case(
            "on = \"create\"\nname = \"IDs\"\ntimes = 2\nkind = \"status\"\nstatus = 500",
            "status",
            PASSES,
            true,
        ),
        case(
            "on = \"folder\"\ntimes = 2\nkind = \"lost\"",
            "lost",
            PASSES,
            true,
        ),
        case(
            "on = \"create\"\ntimes = 3\nkind = \"lost\"",
            "lost",
            PASSES,
            true,
        ),
        case(
            "on = \"create\"\ntimes = 3\nkind = \"reset\"",
            "reset",
            PASSES,
            true,
        ),
        case(
            "on = \"create\"\ntimes = 2\nkind = \"torn\"",
            "torn",
            PASSES,
            true,
        ),
        case(
            "on = \"download\"\ntimes = 2\nkind = \"reset\"",
            "reset",
            PASSES,
            true,
        ),
        case(
            "on = \"download\"\ntimes = 2\nkind = \"torn\"",
            "torn",
            PASSES,
            true,
        ),
        case(
            "on = \"create\"\ntimes = 1\nkind = \"stall\"\nwait = \"1h\"",
            "stall",
            PASSES,
            true,
        ),
        case(
            "on = \"create\"\ntimes = 2\nkind = \"throttled\"\nretry_after = \"7\"",
            "throttled",
            PASSES,
            true,
        ),
        case(
            "on = \"list\"\ntimes = 2\nkind = \"throttled\"\nretry_after = \"date+20\"",
            "throttled",
            PASSES,
            true,
        ),
        // a list that is behind: the name is taken, as the answer or a reset tells
        case(
            "on = \"list\"\nname = \"11\"\ntimes = 1\nkind = \"stale\"",
            "stale",
            PASSES,
            true,
        ),
    ] {
        publisher.forget();
        let osf = Osf::start(&format!("[[fault]]\n{}\n", one.faults), &[]);
        publisher.publish(&osf, &[]).check(one.code, one.words);
        assert!(0 < osf.hits(one.kind), "{}", one.faults);
        assert!(one.whole);
        check_public(&osf, &publisher);
        let stored = osf.stored();
        let once: BTreeSet<&(String, String)> = stored.iter().collect();
        assert_eq!(stored.len(), once.len(), "{}", one.faults);
        assert_eq!(publisher.diary().len(), once.len(), "{}", one.faults);
    }
}

#[test]
fn damage_on_the_way_is_seen_and_mended() {
    let publisher = publisher();
    for (fault, kind) in [
        (
            "on = \"create\"\nname = \"IDs\"\ntimes = 2\nkind = \"damage\"",
            "damage",
        ),
        (
            "on = \"download\"\nskip = 3\ntimes = 4\nkind = \"garble\"",
            "garble",
        ),
    ] {
        publisher.forget();
        let osf = Osf::start(&format!("[[fault]]\n{fault}\n"), &[]);
        publisher.publish(&osf, &[]).check(0, "published");
        assert!(0 < osf.hits(kind), "{fault}");
        check_public(&osf, &publisher);
        // what came down wrong did not count: it was fetched again
        let mut reads = osf.requests();
        reads.retain(|read| read["service"] == "storage");
        let wrong = reads.iter().filter(|read| !read["fault"].is_null()).count();
        assert_eq!(0 < wrong, kind == "garble");
        assert!(publisher.diary().len() + wrong <= reads.len(), "{fault}");
    }
}

#[test]
fn a_refusal_is_an_alarm_and_stops_no_other_hour() {
    let publisher = publisher();
    let only = |status: u16| {
        format!(
            "[[fault]]\non = \"create\"\nname = \"_14_IDs\"\nkind = \"status\"\nstatus = {status}\n"
        )
    };
    for (faults, words) in [
        (only(400), "Bad Request"),
        (only(403), "permission"),
        (only(404), "Not found"),
        (only(413), "Too Large"),
        (only(507), "quota"),
        (
            "[[fault]]\non = \"create\"\nname = \"_14_IDs\"\nkind = \"checked_out\"\n".to_owned(),
            "checkout",
        ),
        (
            "[[fault]]\non = \"create\"\nname = \"_14_IDs\"\nkind = \"foreign\"\n".to_owned(),
            "http://127.0.0.9:9, which is not OSF's",
        ),
    ] {
        publisher.forget();
        let osf = Osf::start(&faults, &[]);
        let said = publisher.publish(&osf, &[]);
        said.check(1, words).check(1, "hint:").check(1, "alarm");
        let public = osf.files();
        let is_there = |name: &str| public.contains_key(&format!("2026/11/23/2026-11-23_{name}"));
        assert!(
            is_there("13_manifest.json") && is_there("15_manifest.json"),
            "{faults}"
        );
        assert!(
            !is_there("14_manifest.json"),
            "a manifest without its data: {faults}"
        );
        assert!(public.contains_key("ledger.jsonl"), "{faults}");
        let tries = osf
            .requests()
            .iter()
            .filter(|r| !r["fault"].is_null())
            .count();
        assert_eq!(tries, 1, "asked again in vain: {faults}");
        // the folder says what lies there, so the file whose answer was unusable is confirmed
        drop(osf);
    }
    // however many are refused for their own sake: that is not the service
    publisher.forget();
    let refused = "[[fault]]\non = \"create\"\nname = \"_IDs\"\nkind = \"status\"\nstatus = 400\n";
    let osf = Osf::start(refused, &[]);
    publisher.publish(&osf, &[]).check(1, "Bad Request");
    let public = osf.files();
    assert!(
        public.contains_key("ledger.jsonl") && !public.keys().any(|path| path.contains("_IDs"))
    );
    assert!(3 <= osf.hits("status"), "one of each hour");
}

#[test]
fn what_holds_for_all_files_ends_the_run() {
    let publisher = publisher();
    let status = |status: u16, skip: u32| {
        format!("[[fault]]\nskip = {skip}\nkind = \"status\"\nstatus = {status}\n")
    };
    // the token expires on the way
    let osf = Osf::start(&status(401, 12), &[]);
    publisher
        .publish(&osf, &[])
        .check(1, "does not accept the token")
        .check(1, "osf_token");
    assert_eq!(osf.hits("status"), 1);
    // the project is full
    publisher.forget();
    let osf = Osf::start("", &["--osf-quota", "10"]);
    publisher
        .publish(&osf, &[])
        .check(1, "quota")
        .check(1, "make a component");
    assert_eq!(
        osf.requests().iter().filter(|r| r["status"] == 507).count(),
        3
    );
    assert!(osf.files().is_empty());
    // the service is away
    publisher.forget();
    let osf = Osf::start(&status(503, 0), &[]);
    publisher
        .publish(&osf, &[])
        .check(6, "the next run resumes");
    // it asks for more time than a run has: the next run keeps it
    publisher.forget();
    let throttled = "[[fault]]\non = \"list\"\nkind = \"throttled\"\nretry_after = \"1234\"\n";
    let osf = Osf::start(throttled, &[]);
    publisher
        .publish(&osf, &[])
        .check(6, "no more requests until");
    let asked = osf.requests().len();
    publisher
        .publish(&osf, &[])
        .check(6, "no more requests until");
    assert_eq!(osf.requests().len(), asked);
    let last = fs::read_to_string(publisher.site.root.join("publish.json")).unwrap();
    assert!(last.contains("not_before"), "{last}");
    // nobody is there
    publisher.forget();
    let gone = publisher
        .command("http://127.0.0.1:9", "", &[])
        .output()
        .unwrap();
    assert_eq!(gone.status.code(), Some(6));
}

#[test]
fn a_name_that_is_taken_is_found_by_its_conflict() {
    let publisher = publisher();
    // the second run's listing of the day does not show what is there: every file is put as a new one
    let stale = "[[fault]]\non = \"list\"\nskip = 17\ntimes = 1\nkind = \"stale\"\n";
    let reset = "[[fault]]\non = \"create\"\nkind = \"conflict_reset\"\n";
    for (faults, is_told) in [(stale.to_owned(), true), (format!("{reset}{stale}"), false)] {
        publisher.forget();
        let osf = Osf::start(&faults, &[]);
        publisher.publish(&osf, &[]).check(0, "published");
        check_public(&osf, &publisher);
        osf.put_by_hand("2026/11/23/2026-11-23_14_IDs.txt.xz", b"other");
        publisher.forget();
        let begun = osf.requests().len();
        publisher
            .publish(&osf, &[])
            .check(0, "1 were there already, 0 failed");
        check_public(&osf, &publisher);
        assert_eq!(osf.hits("stale"), 1);
        let again = osf.requests().split_off(begun);
        let told = again.iter().filter(|r| r["status"] == 409).count();
        let cut = again.iter().filter(|r| r["status"].is_null()).count();
        assert_eq!((4 < told, 4 < cut), (is_told, !is_told), "{faults}");
        // the one that was spoiled by hand was put again, and no other
        let stored = osf.stored();
        let once: BTreeSet<&(String, String)> = stored.iter().collect();
        assert_eq!(once.len() + 1, stored.len(), "{faults}");
    }
}

#[test]
fn days_of_hours_and_revisions_survive_faults_and_kills() {
    let now = "2026-11-26T18:00:00Z";
    let publisher = Publisher::with_hours("2026-11-23T13:10:00Z", 24 * 3, now);
    let osf = Osf::start("random", &[]);
    let mut kills = 0;
    for nth in 1..=60_u64 {
        let asked = osf.requests().len();
        let mut child = publisher.command(&osf.url, "", &[]).spawn().unwrap();
        if nth <= 6 {
            // in the middle of whatever it is doing
            until("some requests", || {
                asked + 100 < osf.requests().len() || child.try_wait().unwrap().is_some()
            });
            thread::sleep(Duration::from_millis(3 * nth));
            kills += usize::from(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            drop(child.wait());
        } else if child.wait_with_output().unwrap().status.code() == Some(4) {
            break;
        }
        if nth == 2 || nth == 5 {
            late(&publisher, "2026-11-24T02:00:00Z", 3 + nth, now);
            late(&publisher, "2026-11-25T23:00:00Z", 2 + nth, now);
        }
    }
    assert!(1 < kills, "{kills} kills");
    for kind in ["status", "lost", "reset", "torn", "damage", "throttled"] {
        assert!(0 < osf.hits(kind), "no {kind}");
    }
    publisher.publish(&osf, &[]).check(4, "");
    check_public(&osf, &publisher);
    assert_eq!(
        publisher.ids(),
        posts(&publisher),
        "each id is counted once"
    );
    let lines: Vec<String> = publisher
        .diary()
        .iter()
        .map(|line| format!("{} {}", line["file"], line["sha256"]))
        .collect();
    let once: BTreeSet<&String> = lines.iter().collect();
    assert_eq!(lines.len(), once.len());
}

#[test]
fn what_may_not_be_published_is_not() {
    let (publisher, osf) = (publisher(), Osf::start("", &[]));
    // the table above those that are in the file already
    let forbid = |args: &[&str]| {
        let mut command = publisher.any_command(&osf.url, "", args);
        let path = publisher.site.root.join("twinstream.toml");
        let text = fs::read_to_string(&path).unwrap();
        let text = text.replace(
            "[publish.osf]",
            "[publish]\nforbid = \"dsa\"\n[publish.osf]",
        );
        fs::write(&path, text).unwrap();
        Said::of(&command.output().unwrap())
    };
    for args in [
        &["publish"][..],
        &["publish", "--dry-run"],
        &["publish", "--audit"],
    ] {
        forbid(args)
            .check(3, "Digital Services Act")
            .check(3, "hint: ");
    }
    assert!(osf.requests().is_empty());
    forbid(&["status"]).check(0, "public    nothing: [publish] forbid");
    let check = forbid(&["check"]);
    assert!(
        check.out.contains("osf         nothing is published"),
        "{}",
        check.out
    );
    // without that line it goes out
    publisher.publish(&osf, &[]).check(0, "published");
}

#[test]
fn the_cap_on_ids_holds() {
    let publisher = publisher();
    let counts: Vec<u64> = ["13", "14", "15"]
        .iter()
        .map(|hour| {
            publisher
                .site
                .manifest(&format!("2026-11-23_{hour}"))
                .counts
                .total
                .posts
        })
        .collect();
    let cap = format!("ids_per_30_days = {}", counts[0] + counts[1]);
    let osf = Osf::start("", &[]);
    let said = publisher.publish_with(&osf, &cap, &[]);
    said.check(1, "publishing has stopped")
        .check(1, "id_cap")
        .check(1, "(X: with its written approval)");
    assert_eq!(publisher.ids(), counts[0] + counts[1]);
    let public = osf.files();
    assert!(public.contains_key("2026/11/23/2026-11-23_14_manifest.json"));
    assert!(
        !public.keys().any(|path| path.contains("_15_")),
        "{:?}",
        public.keys()
    );
    assert!(public.contains_key("2026/11/23/2026-11-23_report.txt"));
    publisher
        .publish_with(&osf, &cap, &[])
        .check(1, "publishing has stopped");
    // thirty days later there is room again
    let publisher = Publisher {
        now: "2026-12-23T18:30:00Z".to_owned(),
        ..publisher
    };
    publisher
        .publish_with(&osf, &cap, &[])
        .check(0, "15_manifest.json");
}

#[test]
fn nothing_private_ever_leaves() {
    let publisher = publisher();
    let vault = publisher.site.vault();
    let day = vault.join("2026-11-23");
    let tweets = fs::read(day.join("2026-11-23_14_tweets.csv.xz")).unwrap();
    // posts under the name of an ids file, with a manifest and a ledger that say it is right
    let path = day.join("2026-11-23_14_manifest.json");
    let former = fs::read(&path).unwrap();
    let mut manifest = Manifest::from_json(&former).unwrap();
    for output in &mut manifest.outputs {
        if output.name.ends_with("_IDs.txt.xz") {
            output.bytes = tweets.len() as u64;
            output.sha256 = Sha256::of(&tweets);
        }
    }
    fs::write(&path, manifest.to_json()).unwrap();
    fs::write(day.join("2026-11-23_14_IDs.txt.xz"), &tweets).unwrap();
    let ledger = fs::read_to_string(vault.join("ledger.jsonl")).unwrap();
    let ledger = ledger.replace(
        &Sha256::of(&former).to_string(),
        &Sha256::of(&manifest.to_json()).to_string(),
    );
    fs::write(vault.join("ledger.jsonl"), ledger).unwrap();
    // and a manifest and a ledger's line that are something else
    fs::write(day.join("2026-11-23_tweets.csv"), "id,text\n1,private\n").unwrap();
    fs::write(day.join("notes.txt"), "private").unwrap();

    // one hour's manifest is not the one that the ledger speaks of
    let path = day.join("2026-11-23_13_manifest.json");
    let other = fs::read_to_string(&path)
        .unwrap()
        .replace("sample", "simple");
    fs::write(&path, other).unwrap();

    let osf = Osf::start("", &[]);
    let said = publisher.publish(&osf, &[]);
    said.check(1, "is not what it must be: line 1 is not an id");
    said.check(1, "its manifest is not the one in the ledger");
    let sent = osf.stored();
    assert!(sent.iter().any(|(path, _)| path.ends_with("15_IDs.txt.xz")));
    for (path, hash) in &sent {
        let name = path.rsplit('/').next().unwrap();
        assert!(Public::of_name(name).is_some(), "{path} was sent");
        assert!(
            !name.contains("_14_") && !name.contains("_13_"),
            "{path} was sent"
        );
        assert_ne!(*hash, Sha256::of(&tweets).to_string());
    }
}

/// What is planted.
const PRIVATE: &str = "what somebody wrote";

/// Has the ledger speak of the manifest that is in place, with every link of the chain mended.
fn vouch(vault: &Path, hour: Hour, manifest: &[u8]) {
    fs::write(layout::manifest_path(vault, hour), manifest).unwrap();
    let mut previous = Sha256::ZEROS;
    let mut text = String::new();
    for mut line in ledger::read(&RealDisk, vault).unwrap() {
        if line.hour == hour {
            line.manifest_sha256 = Sha256::of(manifest);
        }
        line.previous = previous;
        let json = serde_json::to_string(&line).unwrap();
        previous = Sha256::of(json.as_bytes());
        text += &(json + "\n");
    }
    fs::write(ledger::path(vault), text).unwrap();
}

/// Plants a text in a public file, with all that vouches for it; the word by which it is refused.
fn plant(vault: &Path, what: Public) -> &'static str {
    let path = what.path(vault);
    let text = fs::read(&path).unwrap();
    match what {
        Public::Ids(hour) => {
            let mut xz = XzEncoder::new(Vec::new(), 1);
            xz.write_all(PRIVATE.as_bytes()).unwrap();
            let ids = xz.finish().unwrap();
            let mut manifest =
                Manifest::from_json(&fs::read(layout::manifest_path(vault, hour)).unwrap())
                    .unwrap();
            let name = what.name();
            let output = manifest.outputs.iter_mut().find(|of| of.name == name);
            let output = output.unwrap();
            (output.bytes, output.sha256) = (ids.len() as u64, Sha256::of(&ids));
            fs::write(&path, ids).unwrap();
            vouch(vault, hour, &manifest.to_json());
            "is not an id"
        }
        Public::Manifest(hour) => {
            let text = String::from_utf8(text).unwrap();
            let text = text.replacen('{', &format!("{{\n \"text\": \"{PRIVATE}\","), 1);
            vouch(vault, hour, text.as_bytes());
            "not as this program writes it"
        }
        Public::Ledger => {
            let text = String::from_utf8(text).unwrap();
            let (before, last) = text.trim_end().rsplit_once('\n').unwrap();
            let last = last.replacen('{', &format!("{{\"text\":\"{PRIVATE}\","), 1);
            fs::write(&path, format!("{before}\n{last}\n")).unwrap();
            "not as this program writes it"
        }
        Public::Day(_, DayFile::Statement) => {
            let text = String::from_utf8(text).unwrap();
            let program = format!("\"program\": \"{PROGRAM} {PRIVATE}");
            let text = text.replacen(&format!("\"program\": \"{PROGRAM}"), &program, 1);
            fs::write(&path, text).unwrap();
            "it is not a certificate"
        }
        Public::Day(..) => {
            fs::write(&path, [text, PRIVATE.into()].concat()).unwrap();
            "it is not what the manifests of its day say"
        }
        Public::Root(RootFile::DataCite) => {
            fs::write(&path, [text, PRIVATE.into()].concat()).unwrap();
            "is not what this program writes about this archive"
        }
        Public::Root(_) => {
            fs::write(&path, [text, PRIVATE.into()].concat()).unwrap();
            "it is not what configuration, ledger and manifests say"
        }
        Public::Stamp(_) => {
            fs::write(&path, [text, PRIVATE.into()].concat()).unwrap();
            "it is not an answer of a time-stamping authority"
        }
        Public::Authority(_) => {
            fs::write(&path, [text, PRIVATE.into()].concat()).unwrap();
            "its name does not match its content"
        }
    }
}

/// The certificate of the day, in all its forms, and the README.
fn write_certificate(vault: &Path, day: Day) {
    let said = read::day(&RealDisk, &layout::day_folder(vault, day), day).unwrap();
    let statement = Statement::of(day, said).unwrap();
    for file in files::REPORTED {
        let path = Public::Day(day, file).path(vault);
        fs::write(path, files::text(&statement, file)).unwrap();
    }
}

#[test]
fn a_post_in_any_public_file_stays_here() {
    let publisher = publisher();
    let (vault, root) = (publisher.site.vault(), &publisher.site.root);
    let hour: Hour = "2026-11-23_14".parse().unwrap();
    write_certificate(&vault, hour.day());
    let authority = Authority::start(P256);
    publisher
        .run("http://127.0.0.1:9", &authority.config(), &["witness"])
        .check(0, "");
    let osf = Osf::start("", &[]);
    let dataset = "[dataset]\ntitle = \"a\"\ncreators = [{ name = \"b\" }]\n";
    publisher
        .publish_with(&osf, dataset, &[])
        .check(0, "published");
    check_public(&osf, &publisher);
    let mut all = vec![Public::Ids(hour), Public::Manifest(hour), Public::Ledger];
    all.extend(DayFile::ALL.map(|file| Public::Day(hour.day(), file)));
    all.extend(RootFile::ALL.map(Public::Root));
    let witness = Witness::open(&RealDisk, &vault, None).unwrap();
    all.extend(witness.stamps.iter().copied().map(Public::Stamp));
    all.extend(witness.authorities.iter().copied().map(Public::Authority));
    assert_eq!(all.len(), 18);
    let good = root.join("good");
    copy_all(&vault, &good);
    for what in all {
        let why = plant(&vault, what);
        publisher.forget();
        let osf = Osf::start("", &[]);
        let said = publisher.publish(&osf, &[]);
        for (path, bytes) in osf.files() {
            let mut plain = Vec::new();
            if XzDecoder::new(&*bytes).read_to_end(&mut plain).is_err() {
                plain = bytes;
            }
            let is_in = |text: &[u8]| text.windows(PRIVATE.len()).any(|w| w == PRIVATE.as_bytes());
            assert!(!is_in(&plain), "{path} has it");
        }
        let name = what.name();
        said.check(1, &name)
            .check(1, why)
            .check(1, "not_publishable");
        copy_all(&good, &vault);
    }
    // certificates that speak of former revisions are no alarm, and wait
    late(
        &publisher,
        "2026-11-23T14:00:00Z",
        3,
        "2026-11-23T19:00:00Z",
    );
    publisher.forget();
    let osf = Osf::start("", &[]);
    let said = publisher.publish(&osf, &[]);
    said.check(0, "the next `twinstream report` writes it again")
        .check(0, "0 failed, 4 wait");
    assert!(!osf.files().contains_key("datacite.json"), "nor do these");
    write_certificate(&vault, hour.day());
    fs::remove_file(vault.join("datacite.json")).unwrap();
    let said = publisher.publish_with(&osf, dataset, &[]);
    said.check(0, "certificate.svg").check(0, "datacite.json");
    check_public(&osf, &publisher);
}

/// Copies a vault's files over those of another.
fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn an_audit_finds_what_is_missing_other_or_too_much() {
    let publisher = publisher();
    let osf = Osf::start("", &[]);
    publisher.publish(&osf, &[]).check(0, "published");
    osf.put_by_hand("2026/11/23/2026-11-23_13_tweets.csv.xz", b"private");
    osf.put_by_hand("about.md", b"the project's own");
    osf.put_by_hand("2026/11/23/2026-11-23_14_IDs.txt.xz", b"other");
    late(
        &publisher,
        "2026-11-23T15:00:00Z",
        4,
        "2026-11-23T19:00:00Z",
    );
    let said = publisher.publish(&osf, &["--audit", "--json"]);
    let found: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(said.code, 5);
    assert_eq!(
        found["foreign"],
        serde_json::json!(["2026/11/23/2026-11-23_13_tweets.csv.xz"])
    );
    let differs = found["differs"].as_array().unwrap();
    let has = |path: &str| differs.iter().any(|one| one == path);
    assert!(
        has("2026/11/23/2026-11-23_14_IDs.txt.xz") && has("2026/11/23/2026-11-23_15_IDs.txt.xz")
    );
    assert!(!has("2026/11/23/2026-11-23_13_IDs.txt.xz"));
    assert_eq!(found["ledger_behind"], true);
    // what was changed by hand is put right once the diary does not vouch for it
    publisher.forget();
    publisher.publish(&osf, &[]).check(0, "14_IDs.txt.xz");
    publisher
        .publish(&osf, &["--audit"])
        .check(5, "foreign  2026/11/23/2026-11-23_13_tweets.csv.xz");
}

#[test]
fn a_vault_whose_ledger_does_not_go_on_from_the_public_one_replaces_nothing() {
    let publisher = publisher();
    let osf = Osf::start("", &[]);
    publisher.publish(&osf, &[]).check(0, "published");
    let vault = publisher.site.vault();
    let older = publisher.site.root.join("older");
    let copy = |from: &Path, to: &Path| {
        let copied = Command::new("cp").arg("-a").args([from, to]).status();
        assert!(copied.unwrap().success());
    };
    copy(&vault, &older);
    let six = "2026-11-23T19:00:00Z";
    late(&publisher, "2026-11-23T15:00:00Z", 4, six);
    publisher.publish(&osf, &[]).check(0, "published");
    check_public(&osf, &publisher);
    let public = osf.stored();
    let forked = |publisher: &Publisher, words: &str| {
        for is_known in [true, false] {
            if !is_known {
                publisher.forget();
            }
            publisher.publish(&osf, &["--dry-run"]).check(1, words);
            let said = publisher.publish(&osf, &[]);
            said.check(1, words).check(1, "ledger_forked");
        }
        assert_eq!(osf.stored(), public);
    };

    // a backup from before the last revision …
    fs::rename(&vault, publisher.site.root.join("latest")).unwrap();
    copy(&older, &vault);
    publisher.forget();
    forked(&publisher, "this vault is older than what is public");
    // … and what it goes on with
    fs::remove_file(publisher.site.root.join("published.jsonl")).unwrap_or_default();
    late(&publisher, "2026-11-23T14:00:00Z", 7, six);
    forked(&publisher, "the public ledger is another vault's");
    // the latest copy is taken
    fs::remove_dir_all(&vault).unwrap();
    fs::rename(publisher.site.root.join("latest"), &vault).unwrap();
    publisher.forget();
    publisher.publish(&osf, &[]).check(0, "0 failed");
    assert_eq!(osf.stored(), public);

    let other = Publisher::with_hours("2026-11-24T13:10:00Z", 1, "2026-11-24T18:00:00Z");
    forked(&other, "its 8 lines the first 0 are this vault's");
}

#[test]
fn who_may_not_publish_is_told_so() {
    let publisher = publisher();
    let osf = Osf::start("", &[]);
    publisher.open_token(true);
    publisher.publish(&osf, &[]).check(3, "others can read");
    publisher.open_token(false);
    let mut secondary = publisher.command(&osf.url, "", &[]);
    secondary.args(["--server", "2"]);
    assert_eq!(
        secondary.output().unwrap().status.code(),
        Some(2),
        "said twice"
    );
    publisher.publish(&osf, &["--server=2"]);
    let clock = publisher
        .command("https://api.osf.io", "", &[])
        .output()
        .unwrap();
    assert_eq!(
        clock.status.code(),
        Some(3),
        "simulated time is for a simulated OSF"
    );
    let lock = publisher.site.root.join("publish.lock");
    let mut holder = Command::new("flock")
        .arg(&lock)
        .args(["sleep", "20"])
        .spawn()
        .unwrap();
    until("the lock is taken", || {
        publisher.publish(&osf, &["--dry-run"]).code == 7
    });
    holder.kill().unwrap();
    holder.wait().unwrap();
}
