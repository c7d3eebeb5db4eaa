//! The certificate, its picture and README: what they say, when they are outdated, and what a stranger
//! finds who has only the published files.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use twinstream::{
    cite::{
        day::DaySum,
        description::{self, ArchiveState, Description},
        files,
    },
    config::{
        file,
        resolve::{ThisMachine, resolve},
    },
    cover::{
        backfill::{Backfill, Hole},
        cause::{self, Cause},
        estimate::{self, Both},
        gap::{self, Gap, Runs, UNION},
        seconds::{self, Covered},
    },
    period::{Day, Hour, Interval, Minute, UtcMs, Zone},
    report::{
        certificate, files as day_files,
        revision::Revision,
        statement::{AnyStatement, DaySaid, Statement},
    },
    segment::{
        name::{Leg, RunId, SegmentName},
        sha256::Sha256,
    },
    source::SAMPLE,
    vault::{
        ledger::LedgerLine,
        manifest::{
            Conflicts, Counts, Coverage, History, HourSaid, Inputs, Manifest, MinuteRow, Minutes,
            Output, ServerCounts, TotalCounts,
        },
        public::{Public, RootFile},
        witness::WitnessStamp,
    },
    verify::{coverage, problem::Problems},
};

use crate::support::{
    folder::{files_below, published},
    posts::{segments, stream},
    primary::{Site, at, command, unxz},
};

const DAY: &str = "2026-11-23";
const LATER: &str = "2026-11-24T02:00:00Z@1";

/// Runs the program with nothing but its arguments; gives its exit code and all that it says.
fn twinstream(folder: &Path, args: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_twinstream"))
        .args(args)
        .current_dir(folder)
        .env_remove("TWINSTREAM_CONFIG")
        .env_remove("TWINSTREAM_SERVER")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    (output.status.code().unwrap(), said)
}

/// A day with faults: both servers miss 40 s, one of them another 10 min, and that one's last half hour
/// is delivered late.
struct Archive {
    site: Site,
    /// How many are committed.
    revisions: usize,
}

impl Archive {
    fn new() -> Self {
        let site = Site::new("UTC");
        let dir = site.root.to_str().unwrap();
        let config = format!(
            "data_dir = \"{dir}\"\n\
             [x]\nbase_url = \"http://127.0.0.1:1\"\nbearer_token_file = \"{dir}/token\"\n\
             [[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a.example.org\"\n\
             [[servers]]\nid = \"2\"\nrole = \"secondary\"\nhost = \"b.example.org\"\n\
             deliver_to = \"{dir}/elsewhere\"\n\
             [mail]\nhost = \"127.0.0.1\"\ntls = \"none\"\nfrom = \"a@example.org\"\n\
             to = [\"b@example.org\"]\n"
        );
        fs::write(site.root.join("twinstream.toml"), config).unwrap();
        let mut archive = Self { site, revisions: 0 };
        let mut received = stream(2, at("2026-11-23T13:50:00Z"), 80, 300);
        let cut = |of: &mut Vec<_>, begin: &str, end: &str| {
            let (begin, end) = (at(begin), at(end));
            of.retain(|one: &crate::support::posts::Received| one.at < begin || end <= one.at);
        };
        for of in &mut received {
            cut(of, "2026-11-23T14:02:00Z", "2026-11-23T14:02:40Z");
        }
        cut(
            &mut received[1],
            "2026-11-23T14:20:00Z",
            "2026-11-23T14:30:00Z",
        );
        let of = |n: usize| segments(["1", "2"][n], &received[n]);
        let late = of(1).len() - 30;
        archive.site.put(&of(0));
        archive.site.put(&of(1)[..late]);
        assert_eq!(archive.site.merge("2026-11-23T16:10:00Z").len(), 3);
        let (code, said) = archive.report(&[]);
        assert_eq!(code, 5, "{said}");
        assert!(said.contains("data of server 2 is late"), "{said}");
        assert_eq!(archive.verify().0, 0);
        archive.site.put(&of(1)[late..]);
        // an hour before the late ones may get a new revision too: it knows more of what came after it
        let renewed = archive.site.merge("2026-11-23T17:10:00Z").len();
        assert!(2 <= renewed, "{renewed}");
        archive.revisions = 3 + renewed;
        archive
    }

    fn report(&self, args: &[&str]) -> (i32, String) {
        self.report_of(DAY, args)
    }

    fn report_of(&self, day: &str, args: &[&str]) -> (i32, String) {
        let fixed = ["--server", "1", "--config", "twinstream.toml"];
        let clock = ["--clock", LATER, "report", day];
        let args: Vec<&str> = fixed.iter().chain(&clock).chain(args).copied().collect();
        twinstream(&self.site.root, &args)
    }

    fn verify(&self) -> (i32, String) {
        twinstream(&self.site.root, &["verify", "vault"])
    }

    fn text(&self, ending: &str) -> String {
        let path = self.site.vault().join(DAY).join(format!("{DAY}_{ending}"));
        fs::read_to_string(path).unwrap()
    }
}

/// What a falsifier does to the bytes of a file.
type Change = Box<dyn Fn(Vec<u8>) -> Vec<u8>>;

#[test]
fn a_certificate_says_what_the_manifests_say_and_a_stranger_finds_what_was_changed() {
    let archive = Archive::new();
    // late data has made new revisions: the certificate is outdated until it is written again
    let (code, said) = archive.verify();
    assert!(
        code == 5 && said.contains("writes it again"),
        "{code}: {said}"
    );
    let former = day_files::REPORTED.map(|file| {
        let name = Public::Day(DAY.parse().unwrap(), file).name();
        let path = archive.site.vault().join(DAY).join(&name);
        (name, fs::read(path).unwrap())
    });
    let before = archive.text("certificate.txt");
    // the next night's report writes it anew on its way
    let (code, said) = archive.report_of("2026-11-22", &[]);
    assert!(
        code == 0 && said.contains("written again"),
        "{code}: {said}"
    );
    assert_eq!(archive.verify().0, 0);
    assert_eq!(archive.report_of("2026-11-22", &[]).0, 4);
    let (code, said) = archive.report(&["--mail"]);
    assert_eq!(
        code, 6,
        "no mail server is there, and the letter waits: {said}"
    );
    assert_eq!(archive.verify().0, 0);
    let text = archive.text("certificate.txt");
    assert!(said.contains(&text), "the words are printed");
    assert_ne!(before, text);
    says_it_all(&archive, &text);
    let letters = files_below(&archive.site.root.join("mail"));
    let letter = fs::read_to_string(&letters[0]).unwrap();
    for attached in ["_report.txt", "_certificate.txt", "_certificate.svg"] {
        assert!(letter.contains(&format!("{DAY}{attached}")), "{attached}");
    }
    // doing it twice gives the same bytes
    let files = archive.site.files();
    archive.report(&[]);
    assert_eq!(files, archive.site.files());
    let (_, dry) = archive.report(&["--dry-run", "--json"]);
    let end = dry.rfind('}').unwrap() + 1;
    let told: serde_json::Value = serde_json::from_str(&dry[..end]).unwrap();
    assert_eq!(told["posts"], archive.posts());
    assert_eq!(told["complete"], false);

    let copy = published(&archive.site);
    let (code, said) = twinstream(copy.path(), &["verify", "."]);
    assert_eq!(code, 0, "{said}");
    stranger(copy.path());
    incomplete(copy.path());
    without_a_file(copy.path());
    without_an_hour(copy.path());
    without_manifests(copy.path());
    with_a_former_certificate(copy.path(), &former);
    beside_the_files(copy.path());
    today(&archive);
}

/// A copy in which something is not there; and the hashes by themselves.
fn incomplete(copy: &Path) {
    let folder = copy.join("2026/11/23");
    // a file of the day stands for the day, with the ledger above it
    let (code, said) = twinstream(&folder, &["verify", &format!("{DAY}_certificate.txt")]);
    let is_whole = said.contains("3 hours checked") || said.contains("4 hours checked");
    assert!(code == 0 && is_whole, "{code}: {said}");
    assert!(!said.contains("no ledger"), "{said}");
    // the command of the README
    let readme = fs::read_to_string(folder.join(format!("{DAY}_README.md"))).unwrap();
    let mut commands = readme.lines().filter(|line| line.contains("sha256sum -c"));
    let command = commands.next().unwrap();
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(&folder)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let ids = files_below(&folder);
    let ids = ids
        .iter()
        .filter(|path| path.to_str().unwrap().ends_with("_IDs.txt.xz"));
    assert_eq!(
        said.matches("_IDs.txt.xz: OK").count(),
        ids.count(),
        "{said}"
    );
    // the last line of the ledger
    let ledger = copy.join("ledger.jsonl");
    let whole = fs::read_to_string(&ledger).unwrap();
    let without = whole.trim_end().rfind('\n').unwrap();
    let with_ledger = |text: &str, code: i32, told: &str| {
        fs::write(&ledger, text).unwrap();
        let said = verified(copy, code, told);
        assert!(!said.contains("merge"), "nobody merges a copy: {said}");
        assert!(!said.contains(NO_LEDGER), "{said}");
        fs::write(&ledger, &whole).unwrap();
    };
    with_ledger(&whole[..=without], 5, "fetched again");
    // what is not there is incomplete, whether it is a line, all of them, or the file
    with_ledger("", 5, "fetched again");
    with_ledger("no ledger\n", 1, "not a line of a ledger");
    with_ledger(
        &whole[whole.find('\n').unwrap() + 1..],
        1,
        "line 1 does not",
    );
    fs::remove_file(&ledger).unwrap();
    verified(copy, 5, NO_LEDGER);
    fs::write(&ledger, &whole).unwrap();
    // the table of days has what is wrong in the ledger
    let first: serde_json::Value = serde_json::from_str(whole.lines().next().unwrap()).unwrap();
    let hash = first["manifest_sha256"].as_str().unwrap();
    with_ledger(&whole.replacen(hash, &"0".repeat(64), 1), 1, "  WRONG\n");
    // and its head is what common tools say
    let last = whole.lines().last().unwrap();
    let head = format!(
        "{} lines, the last one's SHA-256 is {}",
        whole.lines().count(),
        Sha256::of(last.as_bytes())
    );
    verified(copy, 0, &head);
    // a day that the ledger has, and the folder has not
    let day = copy.join("2026/11/23");
    fs::rename(&day, copy.join("away")).unwrap();
    verified(copy, 0, "all holds");
    let away = TempDir::new().unwrap();
    fs::rename(copy.join("away"), away.path().join("day")).unwrap();
    verified(
        copy,
        5,
        "days that are not here, which were not checked: 2026-11-23\n",
    );
    fs::rename(away.path().join("day"), &day).unwrap();
    verified(copy, 0, "all holds");
}

const NO_LEDGER: &str = "nothing shows that the manifests are those that were committed";

/// Verifies a copy, which must end so and say that; gives all that was said.
#[track_caller]
fn verified(copy: &Path, code: i32, told: &str) -> String {
    let (found, said) = twinstream(copy, &["verify", "."]);
    assert!(
        found == code && said.contains(told),
        "{told}: {found}: {said}"
    );
    said
}

/// Changes a file, verifies, and puts it back.
#[track_caller]
fn with_changed(copy: &Path, file: &Path, change: &dyn Fn(&str) -> String, code: i32, told: &str) {
    let original = fs::read(file).unwrap();
    let text = change(std::str::from_utf8(&original).unwrap());
    assert!(text.as_bytes() != original, "{}", file.display());
    fs::write(file, text).unwrap();
    let said = verified(copy, code, told);
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(said.contains(name), "{name}: {said}");
    fs::write(file, original).unwrap();
}

const DAY_FILES: [&str; 7] = [
    "report.txt",
    "gaps.csv",
    "exposure.csv",
    "certificate.txt",
    "certificate.svg",
    "certificate.json",
    "README.md",
];

/// Each file that a published day has, taken away alone; and what is the matter with one, told as it is.
fn without_a_file(copy: &Path) {
    let folder = copy.join("2026/11/23");
    let path = |ending: &str| folder.join(format!("{DAY}_{ending}"));
    for ending in DAY_FILES
        .into_iter()
        .chain(["13_IDs.txt.xz", "14_manifest.json"])
    {
        let file = path(ending);
        let bytes = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let said = verified(copy, 5, &format!("{DAY}_{ending}"));
        assert!(said.contains("  incomplete\n"), "the table: {said}");
        fs::write(&file, bytes).unwrap();
    }
    with_changed(
        copy,
        &path("gaps.csv"),
        &|text| text.trim_end().to_owned(),
        1,
        "say: its last line has no line end\n",
    );
    with_changed(
        copy,
        &path("gaps.csv"),
        &|text| text.replace('\n', "\r\n"),
        1,
        "in LF: some program has changed them\n",
    );
    // one line gone is told as that, and no other
    let gone = |text: &str| {
        let lines = text.split_inclusive('\n').enumerate();
        let others = lines.filter(|(number, _)| *number != 2);
        others.map(|(_, line)| line).collect::<String>()
    };
    with_changed(copy, &path("gaps.csv"), &gone, 1, "say: before line 3, ");
    with_changed(
        copy,
        &path("certificate.svg"),
        &|svg| svg.replacen("server 2", "server 3", 1),
        1,
        "element ",
    );
    // nobody escapes by calling it another form
    for (file, format) in [
        ("README.md", "README format "),
        ("certificate.txt", "certificate format "),
        ("certificate.svg", "data-format=\""),
    ] {
        let other = |text: &str| text.replace(format, &format!("{format}9"));
        with_changed(copy, &path(file), &other, 1, ", it should be ");
    }
    let other = |text: &str| text.replacen("\"format\": ", "\"format\": 9", 1);
    let statement = path("certificate.json");
    with_changed(copy, &statement, &other, 5, "only its hashes were checked");
    // rows of a file that is not here
    let rows = |text: &str| {
        let mut manifest: serde_json::Value = serde_json::from_str(text).unwrap();
        let outputs = manifest["outputs"].as_array_mut().unwrap();
        let tweets = outputs
            .iter_mut()
            .find(|of| of["name"].as_str().unwrap().contains("tweets"));
        let rows = tweets.unwrap();
        rows["rows"] = (rows["rows"].as_u64().unwrap() + 1).into();
        manifest.to_string()
    };
    with_changed(
        copy,
        &path("14_manifest.json"),
        &rows,
        1,
        "rows of 2026-11-23_14_tweets.csv.xz: it says",
    );
    let (_, said) = twinstream(copy, &["verify", "-q", "."]);
    assert!(!said.contains("note:"), "{said}");
}

/// An hour is taken away with all that is its own: it is named, and what the day's files say of the others
/// is still checked.
fn without_an_hour(copy: &Path) {
    let folder = copy.join("2026/11/23");
    let path = |ending: &str| folder.join(format!("{DAY}_{ending}"));
    let (ledger, aside) = (copy.join("ledger.jsonl"), copy.join("aside"));
    let own = ["IDs.txt.xz", "manifest.json"].map(|ending| path(&format!("13_{ending}")));
    let bytes = own.each_ref().map(|path| fs::read(path).unwrap());
    for file in &own {
        fs::remove_file(file).unwrap();
    }
    verified(
        copy,
        5,
        "hour 13 of 2026-11-23 has no manifest here, but the ledger and certificate.json name it. Checked: hours 14-1",
    );
    let said = verified(&folder, 5, "hour 13");
    assert!(said.contains(", 1 missing: "), "{said}");
    let row_of = |text: &str, begin: &str| -> String {
        let mut rows = text
            .split_inclusive('\n')
            .filter(|line| line.starts_with(begin));
        rows.next().expect(begin).to_owned()
    };
    let without =
        |begin: &'static str| move |text: &str| text.replacen(&row_of(text, begin), "", 1);
    let other = |begin: &'static str| {
        move |text: &str| {
            let row = row_of(text, begin);
            text.replacen(
                &row,
                &row.replacen("14:02:", "14:01:", 1)
                    .replacen("0\t", "1\t", 1),
                1,
            )
        }
    };
    let by = "the day's manifests, and of hour 13 certificate.json, say: ";
    let check = |ending: &str, change: &dyn Fn(&str) -> String, told: &str| {
        with_changed(copy, &path(ending), change, 1, &format!("{by}{told}"));
    };
    let union = without("union,2026-11-23T14");
    check("gaps.csv", &union, "before line ");
    check("gaps.csv", &other("union,2026-11-23T14:02"), "line ");
    let causes = |text: &str| {
        text.replace("network", "disk")
            .replace("not running", "network")
    };
    check("gaps.csv", &causes, "line ");
    let minute = without("2026-11-23_14,2026-11-23T14:05");
    check("exposure.csv", &minute, "before line ");
    let more = |text: &str| text.to_owned() + "2026-11-23_19,2026-11-23T19:00Z,60,9\n";
    check("exposure.csv", &more, "line ");
    check("report.txt", &without("14\t"), "before line 3, ");
    let more = |text: &str| text.to_owned() + "19\t1\t1\t1\t0\t0.0%\n";
    check("report.txt", &more, "line ");
    // what is said of the hour that is not here, too
    check("report.txt", &without("13\t"), "before line 2, ");
    check("certificate.txt", &without("  2026-11-23 14:02:"), "");
    let hash = |text: &str| {
        let row = text
            .lines()
            .find(|line| line.ends_with("14_tweets.csv.xz"))
            .unwrap();
        text.replace(row, &format!("{}{}", "0".repeat(64), &row[64..]))
    };
    check("certificate.txt", &hash, "line ");
    check("README.md", &other("| 2026-11-23 14:02"), "line ");
    let picture = |svg: &str| svg.replacen("server 2", "server 3", 1);
    check("certificate.svg", &picture, "element ");
    let value = |place: &'static str, told: &str| {
        let change = move |text: &str| {
            let (before, after) = text
                .split_once("\"hour\": \"2026-11-23_14\",\n   \"intervals\"")
                .unwrap();
            let hour = "\"hour\": \"2026-11-23_14\",\n   \"intervals\"";
            format!(
                "{before}{hour}{}",
                after.replacen(place, &format!("{place}9"), 1)
            )
        };
        with_changed(copy, &path("certificate.json"), &change, 1, told);
    };
    value(
        "\"posts\": ",
        "hours[2026-11-23_14].counts.servers.1.posts is ",
    );
    value(
        "\"seconds\": ",
        "hours[2026-11-23_14].coverage.servers.1.seconds is ",
    );
    fs::rename(&ledger, &aside).unwrap();
    check("gaps.csv", &union, "before line ");
    fs::rename(&aside, &ledger).unwrap();
    for (file, bytes) in own.iter().zip(bytes) {
        fs::write(file, bytes).unwrap();
    }
    // the last hour with its lines of the ledger: it is older, or cut
    let whole = fs::read_to_string(&ledger).unwrap();
    let last: serde_json::Value = serde_json::from_str(whole.lines().last().unwrap()).unwrap();
    let last = last["hour"].as_str().unwrap().to_owned();
    let lines = whole.split_inclusive('\n');
    let cut: String = lines.filter(|line| !line.contains(&last)).collect();
    let own = ["IDs.txt.xz", "manifest.json"].map(|ending| folder.join(format!("{last}_{ending}")));
    let bytes = own.each_ref().map(|path| fs::read(path).unwrap());
    for file in &own {
        fs::remove_file(file).unwrap();
    }
    if whole.starts_with(&cut) {
        fs::write(&ledger, &cut).unwrap();
        let said = verified(copy, 5, "the ledger does not know");
        assert!(
            !said.contains("is not the one that was committed"),
            "{said}"
        );
        fs::write(&ledger, &whole).unwrap();
    } else {
        verified(copy, 5, "has no manifest here");
    }
    for (file, bytes) in own.iter().zip(bytes) {
        fs::write(file, bytes).unwrap();
    }
    verified(copy, 0, "all holds");
}

/// All manifests are taken away: the ids, the tables and the words are held against the statement's values.
fn without_manifests(copy: &Path) {
    let folder = copy.join("2026/11/23");
    let path = |ending: &str| folder.join(format!("{DAY}_{ending}"));
    let manifests = files_below(&folder)
        .into_iter()
        .filter(|path| path.to_str().unwrap().ends_with("_manifest.json"));
    let manifests: Vec<(PathBuf, Vec<u8>)> = manifests
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    for (path, _) in &manifests {
        fs::remove_file(path).unwrap();
    }
    let said = verified(
        copy,
        5,
        "the ids were compared with what certificate.json says",
    );
    assert!(!said.contains("WRONG"), "{said}");
    let ids = path("14_IDs.txt.xz");
    let bytes = fs::read(&ids).unwrap();
    let without_one: String = unxz(&bytes).split_inclusive('\n').skip(1).collect();
    fs::write(&ids, xz(&without_one)).unwrap();
    let said = verified(
        copy,
        1,
        "posts of minutes are not what the ids say: 2026-11-23T14:",
    );
    assert!(said.contains("14_IDs.txt.xz: sha256: "), "{said}");
    fs::write(&ids, bytes).unwrap();
    let row = |text: &str| text.replacen("\n14\t", "\n14\t9", 1);
    with_changed(
        copy,
        &path("report.txt"),
        &row,
        1,
        "it is not what certificate.json says: line ",
    );
    // an hour that is told twice counts once
    let twice = |text: &str| {
        let mut told: serde_json::Value = serde_json::from_str(text).unwrap();
        let hours = told["hours"].as_array_mut().unwrap();
        hours.insert(1, hours[0].clone());
        told.to_string()
    };
    let statement = path("certificate.json");
    with_changed(copy, &statement, &twice, 1, "hours 1, ");
    let cause = |text: &str| text.replace("not running", "disk");
    with_changed(
        copy,
        &path("README.md"),
        &cause,
        1,
        "it is not what certificate.json says: line ",
    );
    let sum = |text: &str| text.replacen("\"posts_seen_by_all\": ", "\"posts_seen_by_all\": 9", 1);
    with_changed(
        copy,
        &path("certificate.json"),
        &sum,
        1,
        "posts_seen_by_all is ",
    );
    let posts = |text: &str| {
        let (sums, hours) = text.split_once("\"hours\": ").unwrap();
        let hours = hours.replacen("\"posts\": ", "\"posts\": 9", 1);
        format!("{sums}\"hours\": {hours}")
    };
    let statement = path("certificate.json");
    with_changed(copy, &statement, &posts, 1, "posts of server 1: it says 9");
    for (path, bytes) in manifests {
        fs::write(path, bytes).unwrap();
    }
    verified(copy, 0, "all holds");
}

/// What a certificate says of an hour that has a later revision now stands in for no manifest.
fn with_a_former_certificate(copy: &Path, former: &[(String, Vec<u8>)]) {
    let folder = copy.join("2026/11/23");
    let ledger = fs::read_to_string(copy.join("ledger.jsonl")).unwrap();
    let lines = ledger
        .lines()
        .map(|line| serde_json::from_str::<LedgerLine>(line).unwrap());
    let renewed = lines.filter(|line| line.revision == 2);
    let hours = renewed.flat_map(|line| {
        ["IDs.txt.xz", "manifest.json"].map(|ending| format!("{}_{ending}", line.hour))
    });
    let former = former.iter().cloned();
    let changed = hours.map(|name| (name, Vec::new())).chain(former);
    let mut kept = Vec::new();
    for (name, bytes) in changed {
        let path = folder.join(name);
        kept.push((path.clone(), fs::read(&path).unwrap()));
        if bytes.is_empty() {
            fs::remove_file(path).unwrap();
        } else {
            fs::write(path, bytes).unwrap();
        }
    }
    let said = verified(copy, 5, ", and the day's tables");
    assert!(!said.contains("WRONG"), "{said}");
    for (path, bytes) in kept {
        fs::write(path, bytes).unwrap();
    }
    verified(copy, 0, "all holds");
}

/// The ledger beside the day's files, as the README says.
fn beside_the_files(copy: &Path) {
    let flat = TempDir::new().unwrap();
    for file in files_below(copy) {
        fs::copy(&file, flat.path().join(file.file_name().unwrap())).unwrap();
    }
    let said = verified(flat.path(), 0, "all holds");
    assert!(!said.contains("not a file of a vault"), "{said}");
    fs::rename(
        flat.path().join(format!("{DAY}_certificate.txt")),
        flat.path().join("certificate.txt"),
    )
    .unwrap();
    verified(flat.path(), 5, &format!("{DAY}_certificate.txt"));
    // one hour of it, for whoever needs no more
    for file in files_below(flat.path()) {
        if !file.to_str().unwrap().contains(&format!("{DAY}_14_"))
            && !file.ends_with("ledger.jsonl")
        {
            fs::remove_file(file).unwrap();
        }
    }
    let said = verified(flat.path(), 5, "Checked: hour 14,");
    assert!(said.contains("Not checked: hours 13, 15"), "{said}");
    let one = twinstream(flat.path(), &["verify", &format!("{DAY}_14_manifest.json")]);
    assert!(one.0 == 0, "{one:?}");
}

/// What lacks of a day that is not over, and a commit that is half done.
fn today(archive: &Archive) {
    let ledger = archive.site.vault().join("ledger.jsonl");
    let whole = fs::read_to_string(&ledger).unwrap();
    let without = whole.trim_end().rfind('\n').unwrap();
    fs::write(&ledger, &whole[..=without]).unwrap();
    assert_eq!(archive.verify().0, 5);
    let now = [
        "--server",
        "1",
        "--config",
        "twinstream.toml",
        "--clock",
        "2026-11-23T17:15:00Z@1",
    ];
    let args = [&now[..], &["report", DAY]].concat();
    let (code, said) = twinstream(&archive.site.root, &args);
    assert!(
        code == 5 && said.contains("the day is not over"),
        "{code}: {said}"
    );
    assert!(!said.contains("not merged yet\n"), "{said}");
    assert_eq!(fs::read_to_string(&ledger).unwrap(), whole, "finished");
    assert_eq!(archive.verify().0, 0);
}

#[test]
fn without_an_hour_there_is_an_empty_list_of_gaps() {
    let site = Site::new("UTC");
    for (form, expected) in [
        ("--json", "[]\n"),
        ("--csv", "server,begin,end,seconds,cause,detail\n"),
    ] {
        let output = command(&site, "gaps", "2026-11-23T17:15:00Z")
            .arg(form)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }
}

impl Archive {
    fn manifests(&self) -> Vec<Manifest> {
        let hours = self.site.hours();
        hours.iter().map(|hour| self.site.manifest(hour)).collect()
    }

    fn posts(&self) -> u64 {
        self.manifests().iter().map(|m| m.counts.total.posts).sum()
    }
}

/// Everything that is missing, every hash, and every number that matters is in the words.
fn says_it_all(archive: &Archive, text: &str) {
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    let shown = |at: UtcMs| at.to_string()[..19].replace('T', " ");
    let manifests = archive.manifests();
    // of the union every gap has its row, joined over the hours
    let (of_union, _) = text.split_once("\nServer 1 ").unwrap();
    let all = manifests.iter().flat_map(|manifest| &manifest.gaps);
    let gaps = gap::join(all.filter(|gap| gap.server == UNION));
    for gap in &gaps {
        let row = format!("  {}  {}", shown(gap.begin), shown(gap.end));
        let mut rows = of_union.lines().filter(|line| line.starts_with(&row));
        let is_told = rows.any(|line| line.contains(gap.cause.word()));
        assert!(is_told, "{gap:?}");
    }
    for manifest in &manifests {
        for output in &manifest.outputs {
            assert!(text.contains(&format!("{}  {}\n", output.sha256, output.name)));
        }
    }
    assert!(3 < gaps.len(), "the cuts are gaps: {gaps:?}");
    assert!(text.contains("late"), "what comes after the end of the day");
    let spoken = AnyStatement::read(archive.text("certificate.json").as_bytes()).unwrap();
    assert_eq!(spoken.revisions.len(), archive.revisions);
    for of in spoken.revisions {
        let row = format!(
            "  {}  r{:<2} {}\n",
            of.hour, of.revision, of.manifest_sha256
        );
        assert!(text.contains(&row), "{row}");
    }
    assert!(text.contains("(+"), "{text}");
    let svg = archive.text("certificate.svg");
    for part in ["<title", "<desc", "server 1", "server 2", "together"] {
        assert!(svg.contains(part), "{part}");
    }
    assert!(!svg.contains("<script") && !svg.contains("href"));
    let readme = archive.text("README.md");
    for part in [
        "1,500,000",
        "twarc2 hydrate",
        "twinstream verify",
        "24 hours",
    ] {
        assert!(readme.contains(part), "{part}");
    }
}

fn xz(text: &str) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// The id after one.
fn after(id: &str) -> String {
    (id.parse::<u64>().unwrap() + 1).to_string()
}

/// Three posts, a gap and a cause are falsified, one by one and all together.
fn stranger(copy: &Path) {
    let folder = copy.join("2026/11/23");
    let ids = |change: fn(&mut Vec<String>)| {
        move |bytes: Vec<u8>| {
            let mut lines = unxz(&bytes).lines().map(str::to_owned).collect();
            change(&mut lines);
            xz(&(lines.join("\n") + "\n"))
        }
    };

    let added = ids(|lines| lines.insert(5, after(&lines[4])));
    let removed = ids(|lines| {
        lines.remove(7);
    });
    let changed = ids(|lines| lines[9] = after(&lines[9]));
    let text = |change: fn(String) -> String| {
        move |bytes: Vec<u8>| change(String::from_utf8(bytes).unwrap()).into_bytes()
    };
    let gap = text(|text| {
        let row = text
            .split_inclusive('\n')
            .find(|line| line.starts_with("union,"));
        text.replacen(row.unwrap(), "", 1)
    });
    let told_gap = text(|text| {
        let row = text
            .split_inclusive('\n')
            .find(|line| line.starts_with("  2026-11-23 14:02:"));
        text.replacen(row.unwrap(), "", 1)
    });
    let cause = text(|text| {
        let said = |cause: &&Cause| text.contains(&format!("\"{cause}\""));
        let word = Cause::ALL.iter().find(said).unwrap();
        let other = if *word == Cause::Disk {
            Cause::Stall
        } else {
            Cause::Disk
        };
        text.replacen(&format!("\"{word}\""), &format!("\"{other}\""), 1)
    });
    let name = |ending: &str| folder.join(format!("{DAY}_{ending}"));
    let sum = text(|text| text.replacen("\"seconds_covered\": ", "\"seconds_covered\": 9", 1));
    let falsified: [(&str, PathBuf, Change); 7] = [
        ("a post added", name("13_IDs.txt.xz"), Box::new(added)),
        ("a post removed", name("14_IDs.txt.xz"), Box::new(removed)),
        ("a post changed", name("15_IDs.txt.xz"), Box::new(changed)),
        ("a gap left out", name("gaps.csv"), Box::new(gap)),
        (
            "a gap not told",
            name("certificate.txt"),
            Box::new(told_gap),
        ),
        ("a cause", name("14_manifest.json"), Box::new(cause)),
        ("a sum", name("certificate.json"), Box::new(sum)),
    ];
    let says = |said: &str, path: &Path| {
        // that a manifest is not the one that was committed is told by its hour
        let file = path.file_name().unwrap().to_str().unwrap();
        let file = file.trim_end_matches("_manifest.json");
        said.lines()
            .any(|line| line.starts_with("WRONG: ") && line.contains(file))
    };
    let originals = falsified
        .each_ref()
        .map(|(_, path, _)| fs::read(path).unwrap());
    for ((what, path, change), original) in falsified.iter().zip(&originals) {
        let bytes = change(original.clone());
        assert_ne!(bytes, *original, "{what}");
        fs::write(path, bytes).unwrap();
        let (code, said) = twinstream(copy, &["verify", "."]);
        assert!(code == 1 && says(&said, path), "{what}: {code}: {said}");
        // which minute, where the number of its ids tells
        let is_named = said.contains("posts of minutes are not what the ids say: 2026-11-23T1");
        assert_eq!(
            is_named,
            what.ends_with("added") || what.ends_with("removed"),
            "{said}"
        );
        // that others may be changed, too, is said of all of them
        assert_eq!(
            said.contains("the ids alone do not tell which ones"),
            what.starts_with("a post"),
            "{said}"
        );
        assert_eq!(
            said.contains("every minute has the right number"),
            *what == "a post changed",
            "{said}"
        );
        fs::write(path, original).unwrap();
    }
    for ((_, path, change), original) in falsified.iter().zip(&originals) {
        fs::write(path, change(original.clone())).unwrap();
    }
    let (_, said) = twinstream(copy, &["verify", "."]);
    for (what, path, _) in &falsified {
        assert!(says(&said, path), "{what}, with all others: {said}");
    }
    for ((_, path, _), original) in falsified.iter().zip(&originals) {
        fs::write(path, original).unwrap();
    }
    assert_eq!(twinstream(copy, &["verify", "."]).0, 0);
}

/// One server's day of the example: from when to when (seconds of the day), why, and more about it.
type Faults = [(i64, i64, Cause, &'static str)];

const FIRST: &Faults = &[
    (10_800, 10_880, Cause::NotRunning, ""),
    (33_250, 33_302, Cause::Network, "reset"),
    (51_600, 51_870, Cause::UpstreamSilence, ""),
    (
        60_000,
        60_009,
        Cause::PlatformDisconnect,
        "OperationalDisconnect",
    ),
];
const SECOND: &Faults = &[
    (18_600, 41_100, Cause::NotRunning, ""),
    (41_100, 41_220, Cause::LockOut, "too_many_connections"),
    (48_600, 48_635, Cause::Stall, ""),
    (51_600, 51_870, Cause::UpstreamSilence, ""),
    (
        60_004,
        60_011,
        Cause::PlatformDisconnect,
        "OperationalDisconnect",
    ),
    (72_180, 72_540, Cause::Refused, "503"),
    (79_800, 81_600, Cause::Disk, ""),
];

fn fault(faults: &Faults, second: i64) -> Option<(Cause, &'static str)> {
    let inside = faults.iter().find(|f| f.0 <= second && second < f.1)?;
    Some((inside.2, inside.3))
}

/// The gaps of an hour, of both servers and the union, and what each covers.
fn seconds_of(begin: i64, intervals: &[Interval]) -> (Coverage, Vec<Gap>) {
    let mut runs = ["1", "2", UNION].map(Runs::of);
    let mut bits = [const { Vec::new() }; 3];
    for second in seconds::all(intervals) {
        let here = [FIRST, SECOND].map(|faults| fault(faults, second - begin));
        for (place, fault) in here.iter().enumerate() {
            if let Some((cause, detail)) = fault {
                runs[place].push(second, *cause, detail);
            }
            bits[place].push(fault.is_none());
        }
        if let [Some(first), Some(other)] = here {
            let cause = cause::of_union([first.0, other.0]);
            let detail = format!("1: {}; 2: {}", first.0, other.0);
            let detail = if first == other { first.1 } else { &detail };
            runs[2].push(second, cause, detail);
        }
        bits[2].push(here.iter().any(Option::is_none));
    }
    let covered = bits.map(|bits| Covered::of(intervals, None, &bits, &vec![false; bits.len()]));
    let [first, second, union] = covered;
    let servers = [("1", first), ("2", second)];
    let servers = servers.map(|(id, covered)| (id.parse().unwrap(), covered));
    let coverage = Coverage {
        servers: servers.into(),
        began: None,
        union,
    };
    (coverage, runs.into_iter().flat_map(Runs::finish).collect())
}

/// After its network failure the first server asks for what it missed; it gets half of it.
fn backfills(hour: Hour, begin: i64) -> Vec<Backfill> {
    if hour.of_day() != 9 {
        return Vec::new();
    }
    let at = |second: i64| UtcMs((begin + second) * 1_000);
    vec![Backfill {
        server: "1".parse().unwrap(),
        run: RunId(0x3fa9_c01b),
        connection: 4,
        connected: at(33_302),
        minutes: 2,
        posts: 2_236,
        duplicates: 611,
        hole: Some(Hole {
            begin: at(33_198),
            end: at(33_302),
            cause: Cause::Network,
            closed: 52,
            open: 52,
        }),
    }]
}

/// An hour of the example, in which each server loses one post in two hundred.
fn example_hour(hour: Hour, revision: u64, with_second: bool) -> Manifest {
    let zone = Zone::named("UTC").unwrap();
    let intervals = zone.intervals(hour);
    let begin = zone.intervals(Hour(hour.day().0 * 24))[0].begin.second();
    let (mut coverage, mut gaps) = seconds_of(begin, &intervals);
    let [one, two]: [Leg; 2] = ["1", "2"].map(|id| id.parse().unwrap());
    if !with_second {
        gaps.retain(|gap| gap.server == "1");
        for gap in &mut gaps {
            // whether the other one got anything is not known yet
            if gap.cause == Cause::UpstreamSilence {
                (gap.cause, gap.detail) = (Cause::Stall, "still connected".to_owned());
            }
        }
        let of_union: Vec<Gap> = gaps
            .iter()
            .map(|gap| Gap {
                server: UNION.to_owned(),
                cause: Cause::Late,
                detail: format!("1: {}; 2: late", gap.cause),
                ..gap.clone()
            })
            .collect();
        let late = |server: &str| Gap {
            partitions: Vec::new(),
            server: server.to_owned(),
            begin: intervals[0].begin,
            end: intervals[0].end,
            cause: Cause::Late,
            detail: String::new(),
        };
        gaps.push(late("2"));
        gaps.extend(of_union);
        let none = vec![false; 3_600];
        coverage
            .servers
            .insert(two.clone(), Covered::of(&intervals, None, &none, &none));
        coverage.union = coverage.servers[&one].clone();
    }
    let bits = |covered: &Covered| seconds::from_hex(&covered.bitmap, 3_600).unwrap();
    let [of_one, of_two] = [&one, &two].map(|leg| bits(&coverage.servers[leg]));
    let of_union = bits(&coverage.union);
    let no_quiet = vec![false; 3_600];
    let [whole_one, whole_two] =
        [&of_one, &of_two].map(|bits| seconds::whole_with_posts(&intervals, None, bits, &no_quiet));
    // 43 posts a second, of which each server lacks one in 200 of those that both could have
    let row = |minute: usize| {
        let of = |has: &dyn Fn(usize) -> bool| {
            let places = minute * 60..minute * 60 + 60;
            places.filter(|place| has(*place)).count() as u64
        };
        let in_both = of(&|place| of_one[place] && of_two[place]);
        let lost = 43 * in_both / 200;
        let whole = of(&|place| whole_one[place] && whole_two[place]);
        let lost_of_whole = 43 * whole / 200;
        let both = Both {
            seconds: whole,
            first: 43 * whole - lost_of_whole,
            second: 43 * whole - lost_of_whole,
            common: 43 * whole - 2 * lost_of_whole,
        };
        let of_each = [&of_one, &of_two].map(|bits| 43 * of(&|place| bits[place]) - lost);
        MinuteRow {
            minute: Minute(intervals[0].begin.minute().0 + i64::try_from(minute).unwrap()),
            posts: 43 * of(&|place| of_union[place]),
            of_servers: of_each.to_vec(),
            common: 43 * in_both - 2 * lost,
            both: Some(both),
        }
    };
    let rows: Vec<MinuteRow> = (0..60).map(row).collect();
    let sum = |of: &dyn Fn(&MinuteRow) -> u64| rows.iter().map(of).sum::<u64>();
    let (first, second) = (sum(&|row| row.of_servers[0]), sum(&|row| row.of_servers[1]));
    let (union, shared) = (sum(&|row| row.posts), sum(&|row| row.common));
    let counts = |posts: u64, only_here: u64| ServerCounts {
        lines: posts + 3,
        posts,
        unlisted: 0,
        duplicates: 2,
        rejected: [("no_id".to_owned(), 1)].into(),
        deleted: 0,
        only_here,
    };
    let minutes = Minutes {
        partitions: BTreeMap::new(),
        servers: vec![one.clone(), two.clone()],
        rows,
    };
    let output = |ending: &str| Output {
        name: format!("{hour}_{ending}"),
        bytes: 1_000,
        sha256: Sha256::of(format!("{hour}_{ending} {revision}").as_bytes()),
        content_bytes: 2_000,
        content_sha256: Sha256::of(ending.as_bytes()),
        rows: union,
    };
    let name: SegmentName = format!("2_sample_20261123T{:02}00Z_3fa9c01b_000", hour.of_day())
        .parse()
        .unwrap();
    Manifest {
        format: 1,
        said: HourSaid {
            program: "twinstream/0.1.0".to_owned(),
            stream: "sample".to_owned(),
            timezone: "UTC".to_owned(),
            hour,
            counts: Counts {
                servers: [
                    (one, counts(first, first - shared)),
                    (two, counts(second, second - shared)),
                ]
                .into(),
                total: TotalCounts {
                    lines: first + second + 6,
                    posts: union,
                    unlisted: 0,
                    duplicates: shared + 4,
                    rejected: [("no_id".to_owned(), 2)].into(),
                    deleted: 0,
                    seen_by_all: shared,
                },
            },
            rules: None,
            collections: None,
            estimate: estimate::estimate(minutes.rows.iter().filter_map(|row| row.both.as_ref())),
            minutes,
            coverage,
            gaps,
            backfills: backfills(hour, begin),
            residues: (657..667).map(|residue| (residue, union / 10)).collect(),
            conflicts: Conflicts {
                posts: 12,
                by_field: [("author.public_metrics.followers_count".to_owned(), 12)].into(),
            },
            deletions: BTreeMap::new(),
            redactions: if hour.of_day() == 8 {
                [("request of the author".to_owned(), 2)].into()
            } else {
                BTreeMap::new()
            },
            outputs: [
                "IDs.txt.xz",
                "tweets.csv.xz",
                "users.csv.xz",
                "posts.parquet",
            ]
            .map(output)
            .into(),
            intervals,
        },
        inputs: Inputs::default(),
        carried: None,
        history: History {
            revision,
            previous_manifest: None,
            segments: vec![name],
            events: Vec::new(),
        },
    }
}

#[test]
fn a_sampling_window_that_changed_within_the_day_stands_in_the_certificate() {
    let day: Day = DAY.parse().unwrap();
    let certificate = |moved_from: i64| {
        let mut said = DaySaid::default();
        for hour in day.hours() {
            let mut manifest = example_hour(hour, 1, true);
            if moved_from <= hour.of_day() {
                manifest.residues.iter_mut().for_each(|(ms, _)| *ms += 43);
            }
            let hash = Sha256::of(&manifest.to_json());
            said.revisions.push(Revision::of(&manifest, hash, None));
            said.hours.push(manifest.said);
        }
        let statement = Statement::of(day, said).unwrap();
        let words = |text: &str| text.split_whitespace().collect::<Vec<&str>>().join(" ");
        (
            words(&certificate::headline(&statement)),
            words(&certificate::text(&statement)),
        )
    };
    let changed = "It changed during this day, and the sample changed with it: without strays it is 657-666 in hours \
                   00-14, then 700-709 in hours 15-23.";
    let (head, text) = certificate(15);
    assert!(text.contains(changed), "{text}");
    assert!(
        head.contains("The sampling window changed during this day, the last time at hour 15."),
        "{head}"
    );
    // one that changed at midnight is seen beside the certificate of the day before
    let (head, text) = certificate(0);
    assert!(
        text.contains("Without strays it is 700-709 in hours 00-23."),
        "{text}"
    );
    assert!(!head.contains("sampling window"), "{head}");
}

/// The day that the documents show: what of it is written is the form of the files, so that nobody
/// changes a word of it without raising its version.
/// The files to cite by, of an archive that has this day only.
fn example_to_cite(statement: &Statement) -> Vec<(String, String)> {
    let written = file::read(
        "[dataset]\ntitle = \"Post ids of the X sampled stream, an example\"\n\
         creators = [{ name = \"Example, Ada\", orcid = \"0000-0002-1825-0097\", affiliation = \"Example University\" },\
         { name = \"The Example Group\" }]\n\
         description = \"Made up, to show what the files look like.\"\n\
         keywords = [\"social media\", \"sampling\"]\nfunding = [\"Example Fund, grant 1234\"]\n\
         related = [\"10.5072/example\"]\n\
         [[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a.example.org\"\n",
    );
    let settings = resolve(&written.unwrap(), Path::new("/"), &ThisMachine::default()).unwrap();
    let line = |Revision { of, .. }: &Revision| LedgerLine {
        hour: of.hour,
        revision: of.revision,
        manifest_sha256: of.manifest_sha256,
        previous: Sha256::ZEROS,
    };
    let lines: Vec<LedgerLine> = statement.revisions.iter().map(line).collect();
    let archive = description::Archive::of(statement);
    let days = BTreeMap::from([(statement.day, DaySum::of(statement))]);
    let state = ArchiveState::of(&lines, &lines);
    let dataset = settings.dataset.unwrap();
    let beside = description::Beside {
        dataset: &dataset,
        doi: statement.doi.as_ref(),
        stamp: statement.witness.as_ref(),
    };
    let of = Description::of(beside, &archive, state, &lines, &days)
        .unwrap()
        .unwrap();
    let each = RootFile::ALL.into_iter();
    each.map(|file| (Public::Root(file).name(), files::text(file, &of)))
        .collect()
}

#[test]
fn the_example_of_the_documents_is_what_the_program_writes() {
    let day: Day = DAY.parse().unwrap();
    let mut said = DaySaid::default();
    for hour in day.hours() {
        let mut manifests = vec![example_hour(hour, 1, true)];
        if hour.of_day() == 14 {
            manifests = vec![example_hour(hour, 1, false), example_hour(hour, 2, true)];
        }
        let mut former = None;
        for manifest in &manifests {
            let hash = Sha256::of(&manifest.to_json());
            said.revisions.push(Revision::of(manifest, hash, former));
            former = Some(manifest);
        }
        said.hours
            .extend(manifests.pop().map(|manifest| manifest.said));
    }
    // what is shown is what could be: the seconds of its estimate and of its gaps are those of its bitmaps
    for hour in &said.hours {
        let mut problems = Problems::default();
        coverage::check(
            Path::new("example"),
            (SAMPLE.source, hour),
            None,
            &mut problems,
        );
        assert_eq!(problems, Problems::default(), "{}", hour.hour);
    }
    let mut statement = Statement::of(day, said).unwrap();
    statement.program = "twinstream/0.1.0".to_owned();
    statement.doi = Some("10.17605/OSF.IO/ABCDE".parse().unwrap());
    statement.witness = Some(WitnessStamp {
        name: "ledger_000025_20261124T060012Z.tsr".to_owned(),
        line: 25,
        time: at("2026-11-24T06:00:12Z"),
        authority: "O=Example, CN=Example Time Stamping".to_owned(),
    });
    let text = certificate::text(&statement);
    let (_, revisions) = text.split_once("\nRevisions\n").unwrap();
    let words = revisions
        .split_whitespace()
        .collect::<Vec<&str>>()
        .join(" ");
    for told in [
        "cause of 270 s of server 1 stall -> upstream silence",
        "cause of 270 s of all servers together late -> upstream silence",
    ] {
        assert!(words.contains(told), "{text}");
    }
    let of_day = day_files::REPORTED.map(|file| {
        let name = Public::Day(day, file).name();
        (name, day_files::text(&statement, file))
    });
    for (name, text) in of_day.into_iter().chain(example_to_cite(&statement)) {
        let name = format!("docs/example/{name}");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&name);
        if std::env::var_os("TWINSTREAM_WRITE_EXAMPLE").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let shown = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            shown == text,
            "{name} is not what is written now: raise its FORMAT if it has changed, and write it anew \
             with TWINSTREAM_WRITE_EXAMPLE=1"
        );
    }
}
