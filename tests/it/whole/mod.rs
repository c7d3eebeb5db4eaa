//! The main job from end to end, as a user would run it: simulated API, two collectors with
//! different losses, delivery, merge, verify. Only the built binary and what it writes are used.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use tempfile::TempDir;
use twinstream::{
    cover::{cause::Cause, gap::Gap},
    vault::manifest::Manifest,
};

use crate::support::{folder::files_below, pace::at_pace, site::until, skipped::real_posts};

/// What a token may do.
mod access;
/// Collections that change.
mod collections;
/// A stream that rules choose.
mod filtered;

/// Simulated seconds per second, where it does not matter when just something is noticed: a machine
/// that is busy for a second must not look like a stream that stalls.
const RATE: i32 = 20;

/// Two servers, the simulated API, and one folder for all of them.
struct Site {
    dir: TempDir,
    /// Simulated milliseconds at the start, and the real instant of it.
    began: std::time::Instant,
    /// Simulated seconds per second.
    rate: i32,
}

/// A child that does not outlive its test.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _ended_already = self.0.wait();
    }
}

const BEGIN: &str = "2026-11-23T14:00:00Z";

/// The hour in which everything happens has settled, the next one has not.
const SETTLED: &str = "2026-11-23T15:30:00Z";

impl Site {
    fn new(rate: i32) -> Self {
        let site = Self {
            rate,
            dir: TempDir::new().unwrap(),
            began: std::time::Instant::now(),
        };
        fs::write(site.path("token"), "AAAA%2Btest%3D\n").unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(site.path("token"), private).unwrap();
        site
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.dir.path().join(inside)
    }

    /// Seconds of simulated time since the start.
    fn elapsed(&self) -> f64 {
        self.began.elapsed().as_secs_f64() * f64::from(self.rate)
    }

    /// A command that goes by the clock of all, or by one that begins at that time: what hangs on
    /// an hour's settle time must not hang on how fast this machine is.
    fn program(&self, from: Option<&str>) -> Command {
        let begin: twinstream::period::UtcMs = BEGIN.parse().unwrap();
        let now = begin.plus_ms((self.elapsed() * 1_000.0) as i64);
        let clock = from.map_or_else(
            || format!("{now}@{}", self.rate),
            |from| format!("{from}@1"),
        );
        let mut command = Command::new(env!("CARGO_BIN_EXE_twinstream"));
        command.args(["--clock", &clock]).stdin(Stdio::null());
        command
    }

    /// Starts the simulated API with one address for each collector.
    fn simulate(&self, args: &[&str], faults: &str) -> (Guarded, Vec<String>) {
        fs::write(self.path("faults.toml"), faults).unwrap();
        let mut child = self
            .program(None)
            .args([
                "simulate",
                "--listen",
                "127.0.0.1:0",
                "--listen",
                "127.0.0.1:0",
            ])
            .args(["--token", "AAAA%2Btest%3D", "--seed", "7"])
            .arg("--faults")
            .arg(self.path("faults.toml"))
            .arg("--truth")
            .arg(self.path("truth.jsonl"))
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let guarded = Guarded(child);
        let urls = BufReader::new(stdout)
            .lines()
            .take(2)
            .map(Result::unwrap)
            .collect();
        (guarded, urls)
    }

    fn configure(&self, urls: &[String]) {
        let dir = self.dir.path().display();
        for (server, url) in (1..).zip(urls) {
            let text = format!(
                "data_dir = \"{dir}/server{server}\"\n\
                 [x]\nbase_url = \"{url}\"\nbearer_token_file = \"{dir}/token\"\n\
                 [[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a.example.org\"\n\
                 [[servers]]\nid = \"2\"\nrole = \"secondary\"\nhost = \"b.example.org\"\n\
                 deliver_to = \"{dir}/server1/spool\"\n\
                 [merge]\nxz = \"fast\"\nkeep_free = \"1MiB\"\nformats = [\"csv\"]\n"
            );
            fs::write(self.path(&format!("server{server}.toml")), text).unwrap();
        }
    }

    /// Both servers know both instances; each begins with its own.
    fn configure_bluesky(&self, urls: &[String]) {
        let dir = self.dir.path().display();
        for server in 1..=2 {
            let text = format!(
                "source = \"bluesky\"\ndata_dir = \"{dir}/server{server}\"\n\
                 [bluesky]\nendpoints = {urls:?}\n\
                 [[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a.example.org\"\n\
                 [[servers]]\nid = \"2\"\nrole = \"secondary\"\nhost = \"b.example.org\"\n\
                 deliver_to = \"{dir}/server1/spool\"\n\
                 [merge]\nxz = \"fast\"\nkeep_free = \"1MiB\"\n"
            );
            fs::write(self.path(&format!("server{server}.toml")), text).unwrap();
        }
    }

    fn on_server(&self, server: u8, from: Option<&str>) -> Command {
        let mut command = self.program(from);
        command
            .arg("--config")
            .arg(self.path(&format!("server{server}.toml")));
        command.args(["--server", &server.to_string()]);
        command
    }

    fn collect(&self, server: u8) -> Guarded {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path(&format!("server{server}.log")))
            .unwrap();
        Guarded(
            self.on_server(server, None)
                .arg("collect")
                .stderr(log)
                .spawn()
                .unwrap(),
        )
    }

    #[track_caller]
    fn check_stage(&self, server: u8, from: Option<&str>, args: &[&str], exit: &[i32]) -> Output {
        let output = self.on_server(server, from).args(args).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let stdout = String::from_utf8_lossy(&output.stdout);
        let code = output.status.code().unwrap();
        assert!(
            exit.contains(&code),
            "{args:?} ended with {code}:\n{stdout}\n{stderr}"
        );
        output
    }

    #[track_caller]
    fn check_verify(&self) {
        let output = Command::new(env!("CARGO_BIN_EXE_twinstream"))
            .arg("verify")
            .arg(self.path("server1/vault"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{text}");
    }

    /// Delivers, merges and verifies; gives the gaps as CSV.
    fn archived(&self) -> String {
        self.check_stage(2, None, &["deliver"], &[0]);
        self.check_stage(1, Some(SETTLED), &["merge"], &[0]);
        self.check_verify();
        let gaps = self.check_stage(1, Some(SETTLED), &["gaps", "--csv"], &[0]);
        String::from_utf8(gaps.stdout).unwrap()
    }

    /// All sealed lines of one server, from its own spool.
    fn lines(&self, server: u8) -> Vec<String> {
        self.lines_of(server, false)
    }

    /// What its events files say.
    fn events(&self, server: u8) -> Vec<serde_json::Value> {
        let lines = self.lines_of(server, true);
        let read = |line: &String| serde_json::from_str(line).unwrap();
        lines.iter().map(read).collect()
    }

    /// The same while it collects, those of the minute that is not sealed yet among them.
    fn events_so_far(&self, server: u8) -> Vec<serde_json::Value> {
        let mut paths = files_below(&self.path(&format!("server{server}/spool/{server}")));
        paths.retain(|path| path.to_str().unwrap().contains(".events.jsonl"));
        let read = |path: &PathBuf| {
            // it may get its final name at any moment
            let sealed = path.to_str().unwrap().trim_end_matches(".open").to_owned();
            fs::read_to_string(path)
                .or_else(|_| fs::read_to_string(sealed))
                .unwrap_or_default()
        };
        let texts: Vec<String> = paths.iter().map(read).collect();
        let lines = texts.iter().flat_map(|text| text.lines());
        // the last one may be on its way
        lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    fn lines_of(&self, server: u8, events: bool) -> Vec<String> {
        let spool = self.path(&format!("server{server}/spool/{server}"));
        let mut paths = files_below(&spool);
        paths.retain(|path| {
            // the names of events files have one more dot
            let stem = path.file_stem().unwrap().to_str().unwrap();
            path.extension().is_some_and(|ending| ending == "jsonl")
                && stem.contains('.') == events
                && stem != "acks"
        });
        let read = |path: &PathBuf| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        paths
            .iter()
            .flat_map(|path| read(path).lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    /// All vault files whose names end so, ascending by name.
    fn vault_files(&self, ending: &str) -> Vec<PathBuf> {
        let mut paths = files_below(&self.path("server1/vault"));
        paths.retain(|path| path.to_str().unwrap().ends_with(ending));
        paths
    }
}

/// Ends a collector as a service manager would, and expects it to end well.
fn stop(mut collector: Guarded) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(collector.0.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(collector.0.wait().unwrap().code(), Some(0));
}

fn unxz(path: &Path) -> String {
    let mut text = String::new();
    liblzma::read::XzDecoder::new(fs::File::open(path).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    text
}

/// Records of the simulator's log whose member has that value.
fn truth(site: &Site, member: &str, value: &str) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(site.path("truth.jsonl")).unwrap();
    let records = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    records.filter(|record| record[member] == value).collect()
}

/// Each server is shut out for some seconds, never both at once.
const DIFFERENT_LOSSES: &str = r#"
[[fault]]
at = "20s"
listener = 1
kind = "lockout"
for = "5s"
close = true

[[fault]]
at = "45s"
listener = 2
kind = "lockout"
for = "5s"
close = true
"#;

#[test]
fn the_real_posts_come_through_whole() {
    at_pace(RATE, real_posts_come_through);
}

fn real_posts_come_through(rate: i32) {
    let Some(real) = real_posts() else { return };
    let site = Site::new(rate);
    let stream = real.join("stream.jsonl");
    let (_api, urls) = site.simulate(
        &[
            "--replay",
            stream.to_str().unwrap(),
            "--rate",
            "10",
            "--replay-wait",
            "2",
            "--no-backfill-right",
        ],
        DIFFERENT_LOSSES,
    );
    site.configure(&urls);
    let [first, second] = [1, 2].map(|server| site.collect(server));
    until("the last post", || {
        site.elapsed() > 95.0 && site.path("server2/spool/2").exists()
    });
    stop(first);
    stop(second);
    let posts = fs::read_to_string(&stream).unwrap().lines().count();
    for server in [1, 2] {
        let lines = site.lines(server).len();
        assert!(
            posts / 2 < lines && lines < posts,
            "server {server} was to lose some: {lines}"
        );
    }
    site.check_stage(2, None, &["deliver"], &[0]);
    site.check_stage(1, Some(SETTLED), &["merge"], &[0]);
    site.check_verify();

    let mut rows = Vec::new();
    let mut ids = Vec::new();
    for path in site.vault_files("_tweets.csv.xz") {
        let text = unxz(&path);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        rows.extend(reader.records().map(Result::unwrap));
    }
    for path in site.vault_files("_IDs.txt.xz") {
        ids.extend(unxz(&path).lines().map(str::to_owned).collect::<Vec<_>>());
    }
    assert_eq!(rows.len(), posts);
    assert_eq!(
        rows.iter().map(|row| row[0].to_owned()).collect::<Vec<_>>(),
        ids
    );
    check_against_predecessor(&real.join("predecessor.csv"), &rows);
}

/// Field by field, up to the differences that the documentation lists.
fn check_against_predecessor(path: &Path, rows: &[csv::StringRecord]) {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let mut expected: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for row in reader.records() {
        let mut row: Vec<String> = row.unwrap().iter().map(str::to_owned).collect();
        row[4] = String::new();
        if row[9] == "null" {
            row[9] = String::new();
        }
        let row: Vec<String> = row.iter().map(|field| one_line(field)).collect();
        expected.insert(row[0].parse().unwrap(), row);
    }
    let found: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let mut row: Vec<String> = row.iter().map(str::to_owned).collect();
            row[4] = String::new();
            row
        })
        .collect();
    // the predecessor's rows in ascending order of ids are this vault's, hour after hour
    for (found, expected) in found.iter().zip(expected.values()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}

/// Every line break of any kind becomes one space.
fn one_line(field: &str) -> String {
    field.replace("\r\n", " ").replace(
        [
            '\r', '\n', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}',
            '\u{2029}', '\0',
        ],
        " ",
    )
}

/// Faults of every kind that a collector may meet within six minutes.
const MANY_FAULTS: &str = r#"
[[fault]]
at = "30s"
listener = 1
kind = "drop"

[[fault]]
at = "50s"
listener = 2
kind = "reset"

[[fault]]
at = "80s"
listener = 1
kind = "cut"

[[fault]]
at = "100s"
listener = 2
kind = "error_frame"
disconnect_type = "OperationalDisconnect"

[[fault]]
at = "120s"
listener = 1
kind = "garbage"

[[fault]]
at = "140s"
listener = 2
kind = "stall"
for = "45s"

[[fault]]
at = "200s"
listener = 1
kind = "duplicates"

[[fault]]
at = "223s"
listener = 2
kind = "drop"

[[fault]]
at = "260s"
listener = 1
kind = "no_trailer"
"#;

#[test]
fn two_servers_with_faults_and_a_kill_make_one_archive_that_verifies() {
    at_pace(RATE, two_servers_make_one_archive);
}

fn two_servers_make_one_archive(rate: i32) {
    let site = Site::new(rate);
    let (_api, urls) = site.simulate(&["--rate", "30", "--spelling", "mixed"], MANY_FAULTS);
    site.configure(&urls);
    let mut first = site.collect(1);
    let second = site.collect(2);
    until("minute 4", || 240.0 < site.elapsed());
    first.0.kill().unwrap();
    first.0.wait().unwrap();
    site.check_stage(2, None, &["deliver"], &[0, 4]);
    let first = site.collect(1);
    until("minute 6", || 360.0 < site.elapsed());
    stop(first);
    stop(second);
    site.check_stage(2, None, &["deliver"], &[0]);
    let merged = site.check_stage(1, Some(SETTLED), &["merge"], &[0]);
    assert!(!merged.stdout.is_empty(), "a merge says what it committed");
    site.check_verify();
    // again: nothing to do, and nothing changes
    let before: Vec<Vec<u8>> = site
        .vault_files("")
        .iter()
        .map(|path| fs::read(path).unwrap())
        .collect();
    site.check_stage(1, Some(SETTLED), &["merge"], &[4]);
    let after: Vec<Vec<u8>> = site
        .vault_files("")
        .iter()
        .map(|path| fs::read(path).unwrap())
        .collect();
    assert_eq!(before, after);

    let kinds: BTreeSet<String> = truth(&site, "event", "hit")
        .iter()
        .map(|record| record["kind"].as_str().unwrap().to_owned())
        .collect();
    let wanted = [
        "cut",
        "drop",
        "duplicates",
        "error_frame",
        "garbage",
        "no_trailer",
        "reset",
        "stall",
    ];
    assert_eq!(
        kinds,
        wanted.map(str::to_owned).into(),
        "every fault has happened"
    );

    // every post that any collector stored is in the vault, once
    let stored: BTreeSet<u64> = [1, 2]
        .iter()
        .flat_map(|&server| site.lines(server))
        // a line that is not UTF-8 is rejected, and kept with the rejected ones
        .filter(|line| !line.contains(char::REPLACEMENT_CHARACTER))
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok())
        .filter_map(|line| line["data"]["id"].as_str()?.parse().ok())
        .filter(|id| (1 << 60..1 << 62).contains(id))
        .collect();
    let mut archived: Vec<u64> = Vec::new();
    for path in site
        .vault_files("2026-11-23_14_IDs.txt.xz")
        .iter()
        .chain(&site.vault_files("2026-11-23_13_IDs.txt.xz"))
    {
        archived.extend(unxz(path).lines().map(|id| id.parse::<u64>().unwrap()));
    }
    let recent: BTreeSet<u64> = archived
        .iter()
        .copied()
        .filter(|id| (1 << 60..1 << 62).contains(id))
        .collect();
    assert!(5_000 < recent.len(), "{}", recent.len());
    // the other way round does not hold: serde_json refuses lone surrogates, which are good posts
    let lost: Vec<&u64> = stored.difference(&recent).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

/// Each fault is long enough to make a gap, and far enough from the next to be told from it.
const FAULTS_WITH_GAPS: &str = r#"
[[fault]]
at = "30s"
for = "20s"
kind = "refuse"
listener = 1

[[fault]]
at = "31s"
kind = "drop"
listener = 1

[[fault]]
at = "60s"
for = "20s"
kind = "status"
status = 503
listener = 2

[[fault]]
at = "61s"
kind = "drop"
listener = 2

[[fault]]
at = "75s"
for = "40s"
kind = "stall"
listener = 1

[[fault]]
at = "140s"
for = "25s"
kind = "upstream"

[[fault]]
at = "190s"
for = "8s"
kind = "lockout"
close = true
listener = 1
"#;

/// Server, cause, and the seconds after the begin between which its gap must lie: posts that were under
/// way are missing as well, and waiting outlasts the fault.
const GAPS: [(&str, &str, i64, i64); 8] = [
    ("1", "network", 20, 56),
    ("2", "refused", 50, 112),
    ("1", "stall", 65, 112),
    // the other one is refused then
    ("union", "stall", 65, 112),
    ("1", "upstream silence", 135, 170),
    ("2", "upstream silence", 135, 170),
    ("union", "upstream silence", 135, 170),
    ("1", "lock-out", 180, 206),
];

#[test]
fn real_collectors_have_the_gaps_that_the_simulator_made_and_verify_finds_false_ones() {
    at_pace(12, gaps_are_those_of_the_simulator);
}

fn gaps_are_those_of_the_simulator(rate: i32) {
    let site = Site::new(rate);
    let (_api, urls) = site.simulate(&["--rate", "40"], FAULTS_WITH_GAPS);
    site.configure(&urls);
    for server in [1, 2] {
        // it would close the holes
        let path = site.path(&format!("server{server}.toml"));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("[x]\n", "[x]\nbackfill = false\n")).unwrap();
    }
    let first = site.collect(1);
    let mut second = site.collect(2);
    until("a time to kill", || 215.0 < site.elapsed());
    let killed = site.elapsed();
    second.0.kill().unwrap();
    second.0.wait().unwrap();
    until("a while without it", || 240.0 < site.elapsed());
    let second = site.collect(2);
    until("it collects again", || 270.0 < site.elapsed());
    stop(first);
    stop(second);
    let gaps = site.archived();
    let begin: twinstream::period::UtcMs = BEGIN.parse().unwrap();
    let mut found: Vec<(String, String, i64, i64)> = Vec::new();
    for row in csv::Reader::from_reader(gaps.as_bytes()).records() {
        let row = row.unwrap();
        let second = |text: &str| {
            let at: twinstream::period::UtcMs = text.parse().unwrap();
            (at.0 - begin.0) / 1_000
        };
        found.push((
            row[0].into(),
            row[4].into(),
            second(&row[1]),
            second(&row[2]),
        ));
    }
    for (server, cause, from, to) in GAPS {
        let here = found
            .iter()
            .filter(|gap| (gap.0.as_str(), gap.1.as_str()) == (server, cause));
        let lies: Vec<bool> = here.map(|gap| from <= gap.2 && gap.3 <= to).collect();
        assert!(
            !lies.is_empty() && lies.iter().all(|lies| *lies),
            "{server} {cause}: {gaps}"
        );
    }
    let killed = killed as i64;
    let expected = |gap: &(String, String, i64, i64)| {
        let is_one =
            |(server, cause, ..): &(&str, &str, i64, i64)| gap.0 == *server && gap.1 == *cause;
        let is_start_or_kill = gap.1 == "not running"
            && (gap.3 < 20 || (gap.0 == "2" && killed - 15 <= gap.2 && gap.3 < 262));
        // both ended: the primary knows that it did not run, of the other one more may be to come
        let cause = if gap.0 == "1" { "not running" } else { "late" };
        let is_end = gap.1 == cause && 255 < gap.2;
        GAPS.iter().any(is_one) || is_start_or_kill || is_end
    };
    let others: Vec<_> = found.iter().filter(|gap| !expected(gap)).collect();
    assert!(others.is_empty(), "{others:?}\n{gaps}");
    assert!(
        found
            .iter()
            .any(|gap| gap.0 == "2" && gap.1 == "not running" && 100 < gap.2),
        "{gaps}"
    );
    check_falsified(&site);
}

/// A stranger's copy of what is published, in which a post id, a gap and a cause were falsified.
#[track_caller]
fn check_falsified(site: &Site) {
    let copy = site.path("copy");
    let day = copy.join("2026-11-23");
    let put = |name: &str, bytes: &[u8]| {
        fs::create_dir_all(&day).unwrap();
        fs::write(day.join(name), bytes).unwrap();
    };
    let mut names: Vec<PathBuf> = site.vault_files("IDs.txt.xz");
    for ending in [
        "_manifest.json",
        "_gaps.csv",
        "_exposure.csv",
        "_report.txt",
    ] {
        names.extend(site.vault_files(ending));
    }
    for path in names
        .iter()
        .filter(|path| !path.to_str().unwrap().contains("revisions"))
    {
        put(
            path.file_name().unwrap().to_str().unwrap(),
            &fs::read(path).unwrap(),
        );
    }
    fs::copy(
        site.path("server1/vault/ledger.jsonl"),
        copy.join("ledger.jsonl"),
    )
    .unwrap();
    let verify = || {
        let output = Command::new(env!("CARGO_BIN_EXE_twinstream"))
            .arg("verify")
            .arg(&copy)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (code, text) = verify();
    // of the day no report was made yet
    assert_eq!(code, Some(5), "{text}");
    assert!(text.contains("stay in the vault"), "{text}");
    assert!(text.contains("published after the day's report"), "{text}");
    assert!(text.contains("what could be checked holds"), "{text}");
    let path = day.join("2026-11-23_14_manifest.json");
    let committed = fs::read(&path).unwrap();
    let check = |change: &dyn Fn(&mut Manifest), told: &str| {
        let mut manifest = Manifest::from_json(&committed).unwrap();
        change(&mut manifest);
        assert_ne!(manifest.to_json(), committed);
        fs::write(&path, manifest.to_json()).unwrap();
        let (code, text) = verify();
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(told), "{text}");
        fs::write(&path, &committed).unwrap();
    };
    let place = |manifest: &Manifest, server: &str, cause: Cause| {
        let is_it = |gap: &Gap| gap.server == server && gap.cause == cause;
        manifest.gaps.iter().position(is_it).unwrap()
    };
    let of_server = |manifest: &mut Manifest| {
        let place = place(manifest, "2", Cause::Refused);
        manifest.gaps[place].cause = Cause::Network;
    };
    // the ledger knows the manifest that was committed
    check(&of_server, "not the one that was committed");
    fs::remove_file(copy.join("ledger.jsonl")).unwrap();
    // without it, the day's file knows the cause as well
    check(&of_server, "it is not what the day's manifests say");
    let of_union = |manifest: &mut Manifest| {
        let place = place(manifest, "union", Cause::UpstreamSilence);
        manifest.gaps[place].cause = Cause::Network;
    };
    check(&of_union, "do not follow from those of the servers");
    let gone = |manifest: &mut Manifest| {
        let place = place(manifest, "1", Cause::LockOut);
        manifest.gaps.remove(place);
    };
    check(&gone, "not the runs of seconds that are not covered");
    let covered = |manifest: &mut Manifest| {
        let union = &mut manifest.coverage.union;
        union.bitmap = union.bitmap.replace('0', "f");
    };
    check(&covered, "not what the ids say");
    let estimate = |manifest: &mut Manifest| {
        manifest.estimate.as_mut().unwrap().high += 1;
    };
    check(&estimate, "the estimate is not what");
    let path = day.join("2026-11-23_gaps.csv");
    let gaps = fs::read_to_string(&path).unwrap();
    fs::write(&path, gaps.replace("refused", "disk")).unwrap();
    let (code, text) = verify();
    assert!(
        code == Some(1) && text.contains("gaps.csv: it is not what"),
        "{text}"
    );
    fs::write(&path, gaps).unwrap();
    let ids = day.join("2026-11-23_14_IDs.txt.xz");
    let changed = unxz(&ids).replacen('5', "6", 3);
    let mut packed = Vec::new();
    let mut writer = liblzma::write::XzEncoder::new(&mut packed, 1);
    std::io::Write::write_all(&mut writer, changed.as_bytes()).unwrap();
    writer.finish().unwrap();
    fs::write(&ids, packed).unwrap();
    let (code, text) = verify();
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("sha256"), "{text}");
}

/// Streams end as soon as they have begun, for longer than the requests last that are made at once.
const BRIEF: &str = r#"
[[fault]]
at = "40s"
for = "13s"
kind = "brief"
"#;

/// Only the first partition is locked out.
const FAULTS_OF_A_PARTITION: &str = r#"
[[fault]]
at = "40s"
for = "8s"
kind = "lockout"
close = true
partition = 1
"#;

/// One server holds both partitions of the 10 % sample, the other one of them; the first is killed and started again.
#[test]
fn what_happens_to_one_partition_happens_to_that_leg_alone_and_the_union_names_it() {
    at_pace(12, one_partition_is_locked_out);
}

fn one_partition_is_locked_out(rate: i32) {
    let site = Site::new(rate);
    let (_api, urls) = site.simulate(&["--rate", "80"], FAULTS_OF_A_PARTITION);
    site.configure(&urls);
    for server in [1, 2] {
        let path = site.path(&format!("server{server}.toml"));
        let text = fs::read_to_string(&path).unwrap();
        let x = "[x]\nbackfill = false\nstream = \"sample10\"\n";
        let text = text.replace("[x]\n", x);
        let text = text.replace("host = \"b", "partitions = \"2\"\nhost = \"b");
        fs::write(&path, text).unwrap();
    }
    let mut first = site.collect(1);
    let second = site.collect(2);
    until("a while before the lock-out", || 25.0 < site.elapsed());
    let status = site.check_stage(1, None, &["status", "--json"], &[0]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    let legs = status["servers"][0]["legs"].as_array().unwrap();
    let connections: Vec<&str> = legs
        .iter()
        .map(|leg| leg["link"]["state"].as_str().unwrap())
        .collect();
    assert_eq!(connections, ["connected", "connected"], "{status}");
    assert_eq!(
        status["held"]["by_nobody"],
        serde_json::json!([]),
        "{status}"
    );
    assert_eq!(status["held"]["by_one"]["1"][0], 1, "{status}");
    until("a time to kill", || 95.0 < site.elapsed());
    first.0.kill().unwrap();
    first.0.wait().unwrap();
    let status = site.check_stage(1, None, &["status"], &[0]);
    let status = String::from_utf8(status.stdout).unwrap();
    for words in ["1 (here)  not running for", "no service (`twinstream run`)"] {
        assert!(status.contains(words), "{status}");
    }
    until("a while without it", || 110.0 < site.elapsed());
    let first = site.collect(1);
    until("it collects again", || 140.0 < site.elapsed());
    stop(first);
    stop(second);
    let gaps = site.archived();
    let begin: twinstream::period::UtcMs = BEGIN.parse().unwrap();
    let found = |server: &str, cause: &str, detail: &str| -> Vec<(i64, i64)> {
        let mut rows = csv::Reader::from_reader(gaps.as_bytes());
        let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
        let second = |text: &str| {
            let at: twinstream::period::UtcMs = text.parse().unwrap();
            (at.0 - begin.0) / 1_000
        };
        let here = rows
            .iter()
            .filter(|row| &row[0] == server && &row[4] == cause && row[5].contains(detail));
        let here = here.map(|row| (second(&row[1]), second(&row[2])));
        // the beginning and the end are no matter here
        here.filter(|gap| 15 < gap.0 && gap.1 < 138).collect()
    };
    let lies = |gaps: &[(i64, i64)], from: i64, to: i64| {
        assert!(!gaps.is_empty(), "{from}-{to}");
        let lie = gaps.iter().all(|gap| from <= gap.0 && gap.1 <= to);
        assert!(lie, "{gaps:?} in {from}-{to}");
    };
    lies(&found("1.01", "lock-out", ""), 28, 66);
    lies(&found("union", "lock-out", "partition 1"), 28, 66);
    lies(&found("1.01", "not running", ""), 66, 132);
    lies(&found("1.02", "not running", ""), 66, 132);
    // what the other server has is no gap of the union
    lies(&found("union", "not running", "partition 1"), 66, 132);
    for (server, cause) in [
        ("1.02", "lock-out"),
        ("2.02", "lock-out"),
        ("2.02", "not running"),
    ] {
        assert_eq!(found(server, cause, ""), [], "{gaps}");
    }
    assert_eq!(found("union", "not running", "2"), [], "{gaps}");
    let certificate = site.check_stage(1, Some(SETTLED), &["report", "2026-11-23"], &[0, 5]);
    let certificate = String::from_utf8(certificate.stdout).unwrap();
    assert!(certificate.contains("partition 1"), "{certificate}");
    let names = files_below(&site.path("server1/spool/1"));
    let has = |part: &str| {
        names
            .iter()
            .any(|path| path.to_string_lossy().contains(part))
    };
    assert!(has("1_sample10.01_") && has("1_sample10.02_") && has("runs.02.json"));
}

#[test]
fn after_streams_that_break_again_and_again_two_servers_collect_again_soon_and_not_in_step() {
    at_pace(RATE, streams_break_again_and_again);
}

fn streams_break_again_and_again(rate: i32) {
    let site = Site::new(rate);
    let (_api, urls) = site.simulate(&[], BRIEF);
    site.configure(&urls);
    let collectors = [1, 2].map(|server| site.collect(server));
    let at = |record: &serde_json::Value, key: &str| -> twinstream::period::UtcMs {
        record[key].as_str().unwrap().parse().unwrap()
    };
    let well = || {
        truth(&site, "phase", "end")
            .first()
            .map(|end| at(end, "end"))
    };
    let opened = |listener: u64| {
        let opens = truth(&site, "event", "open").into_iter();
        let well = well()?;
        opens
            .filter(|open| open["listener"] == listener)
            .map(|open| at(&open, "at"))
            .find(|at| well <= *at)
    };
    until("streams that hold", || {
        opened(1).is_some() && opened(2).is_some()
    });
    for collector in collectors {
        stop(collector);
    }
    let hits = truth(&site, "kind", "brief");
    assert!(10 <= hits.len(), "the fault was to hit: {hits:?}");
    let begin: twinstream::period::UtcMs = BEGIN.parse().unwrap();
    let mut paused = Vec::new();
    for listener in [1, 2] {
        let late_ms = opened(listener).unwrap().0 - well().unwrap().0;
        assert!(late_ms <= 35_000, "server {listener}: {late_ms} ms");
        let mut requests = truth(&site, "event", "request");
        requests.retain(|request| request["listener"] == listener);
        assert!(requests.len() <= 12, "{requests:?}");
        let times = requests.iter().map(|one| at(one, "at").0 - begin.0);
        paused.push(times.skip(6).collect::<Vec<_>>());
        let log = fs::read_to_string(site.path(&format!("server{listener}.log"))).unwrap();
        assert!(log.contains("(pace)"), "{log}");
    }
    assert_ne!(paused[0], paused[1], "in step");
}

/// What a network puts in the API's place while a stream has broken.
const PORTAL: &str = r#"
[[fault]]
at = "40s"
kind = "drop"
listener = 1

[[fault]]
at = "39s"
for = "8s"
kind = "portal"
portal = "page_as_json"
listener = 1
"#;

#[test]
fn a_portal_gives_no_post_and_a_gap_that_names_it() {
    at_pace(RATE, a_portal_answers);
}

fn a_portal_answers(rate: i32) {
    let site = Site::new(rate);
    let (_api, urls) = site.simulate(&["--no-backfill-right"], PORTAL);
    site.configure(&urls);
    let collectors = [1, 2].map(|server| site.collect(server));
    until("the time after it", || 80.0 < site.elapsed());
    for collector in collectors {
        stop(collector);
    }
    let mut pages = truth(&site, "event", "request");
    pages.retain(|request| request["fault"] == 2 && request["status"] == 200);
    assert!(!pages.is_empty(), "the portal was to answer");
    let lines = site.lines(1);
    assert!(lines.iter().all(|line| line.starts_with('{')), "{lines:?}");
    // its clock, which is an hour ahead, is nobody's
    let told: Vec<i64> = site
        .events(1)
        .iter()
        .filter_map(|event| event["clock_offset_ms"].as_i64())
        .collect();
    assert!(
        told.len() > 2 && told.iter().all(|offset| offset.abs() < 60_000),
        "{told:?}"
    );
    let gaps = site.archived();
    let is_told = gaps.lines().any(|row| {
        row.starts_with("1,") && row.contains(",network,") && row.contains("not the API")
    });
    assert!(is_told, "{gaps}");
}

/// An instance that takes connections and sends nothing.
const SILENT: &str = r#"
[[fault]]
at = "0s"
for = "1h"
kind = "stall"
listener = 1
"#;

#[test]
fn an_endpoint_that_refuses_or_sends_nothing_is_left_for_the_next_one() {
    at_pace(RATE, endpoints_give_nothing);
}

fn endpoints_give_nothing(rate: i32) {
    let site = Site::new(rate);
    let more = ["--source", "bluesky", "--rate", "20"];
    let (_instances, urls) = site.simulate(&more, SILENT);
    // its path is wrong: HTTP 404, for which one would wait 15 minutes
    let wrong = format!("{}/elsewhere", urls[0]);
    site.configure_bluesky(&[wrong, urls[0].clone(), urls[1].clone()]);
    let collector = site.collect(1);
    let log = || fs::read_to_string(site.path("server1.log")).unwrap_or_default();
    until("events of the third one", || {
        60.0 < site.elapsed() && site.lines(1).len() > 20
    });
    stop(collector);
    let log = log();
    assert!(log.contains("404"), "{log}");
    assert!(
        log.contains(&format!("switching to endpoint {}", urls[1])),
        "{log}"
    );
    // whatever time that took here, it was to wait for a minute at most
    let events = site.events(1);
    let waits: Vec<u64> = events
        .iter()
        .filter_map(|event| event["wait_ms"].as_u64())
        .collect();
    assert!(
        !waits.is_empty() && waits.iter().all(|ms| *ms <= 60_000),
        "{waits:?}"
    );
}

/// One instance falls silent, one breaks off and cannot be reached for a while; what one server misses while it is down is no more to be had when it
/// asks for it.
const OF_INSTANCES: &str = r#"
[[fault]]
at = "40s"
listener = 1
kind = "stale"

[[fault]]
at = "54s"
for = "8s"
listener = 2
kind = "refuse"

[[fault]]
at = "55s"
listener = 2
kind = "reset"

[[fault]]
at = "100s"
for = "60s"
listener = 2
kind = "clamp"
window = "10s"
"#;

#[test]
fn two_servers_at_two_instances_of_bluesky_know_what_could_not_be_had_again() {
    at_pace(RATE, two_servers_at_two_instances);
}

fn two_servers_at_two_instances(rate: i32) {
    let site = Site::new(rate);
    let more = ["--source", "bluesky", "--rate", "20"];
    let (_instances, urls) = site.simulate(&more, OF_INSTANCES);
    site.configure_bluesky(&urls);
    let [first, mut second] = [1, 2].map(|server| site.collect(server));
    until("a time to kill", || 75.0 < site.elapsed());
    let killed = site.elapsed();
    second.0.kill().unwrap();
    second.0.wait().unwrap();
    until("a window that is too short", || 125.0 < site.elapsed());
    let second = site.collect(2);
    until("it has gone on", || 165.0 < site.elapsed());
    stop(first);
    stop(second);
    for kind in ["stale", "refuse", "reset", "clamp"] {
        let fired = fs::read_to_string(site.path("truth.jsonl")).unwrap();
        assert!(
            fired.contains(&format!("\"{kind}\"")),
            "{kind} did not happen"
        );
    }
    site.check_stage(2, None, &["deliver"], &[0]);
    site.check_stage(1, Some(SETTLED), &["merge"], &[0]);
    site.check_verify();

    let begin: twinstream::period::UtcMs = BEGIN.parse().unwrap();
    let seconds = |at: twinstream::period::UtcMs| (at.0 - begin.0) / 1_000;
    let hour = site.path("server1/vault/2026-11-23/2026-11-23_14_manifest.json");
    let manifest = Manifest::from_json(&fs::read(hour).unwrap()).unwrap();
    assert_eq!(manifest.stream, "bluesky");
    // before and after that the servers began and ended
    let within = |gap: &&Gap| 20 < seconds(gap.begin) && seconds(gap.end) < 150;
    let gaps: Vec<&Gap> = manifest.gaps.iter().filter(within).collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let gap = gaps[0];
    assert_eq!((gap.server.as_str(), gap.cause), ("2", Cause::ReplayWindow));
    let (from, to) = (seconds(gap.begin), seconds(gap.end));
    let killed = killed as i64;
    assert!((killed - 3..=killed + 3).contains(&from), "{from} {killed}");
    assert!((105..=135).contains(&to), "{to}");

    // each post that was made meanwhile is listed once, and nothing else is
    let is_of_then = |record: &serde_json::Value| {
        let at: twinstream::period::UtcMs = record["time"].as_str().unwrap().parse().unwrap();
        (20..150).contains(&seconds(at)) && record["operation"] != "delete"
    };
    let expected: BTreeSet<String> = truth(&site, "event", "exists")
        .iter()
        .filter(|record| record["kind"] == "commit" && is_of_then(record))
        .map(|record| {
            let (record, rev) = record["key"].as_str().unwrap().split_once('@').unwrap();
            format!("at://{record}\t{rev}")
        })
        .collect();
    let mut listed: Vec<String> = Vec::new();
    for path in site.vault_files("_IDs.txt.xz") {
        listed.extend(unxz(&path).lines().map(str::to_owned));
    }
    let once: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(once.len(), listed.len());
    let missing: Vec<&String> = expected.difference(&once).collect();
    assert!(1_000 < expected.len() && missing.is_empty(), "{missing:?}");
}
