//! A simulated OSF that is a process of its own, and a primary whose vault is published to it.

use std::{
    collections::BTreeMap,
    fs, io,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use twinstream::{period::UtcMs, source::BLUESKY, world::disk::RealDisk};

use super::{
    folder::files_below,
    posts::{Segment, segments, stream},
    primary::{Site, at},
};

/// Simulated seconds in a real one: the second between two requests is 2 ms.
const RATE: u32 = 500;

/// Text that no token, log line or message may show.
pub(crate) const TOKEN: &str = "s3cret-osf-token";

/// A folder in memory where there is such a thing: the tests sync a lot.
pub(crate) fn fast_folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        TempDir::new_in(memory).unwrap()
    } else {
        TempDir::new().unwrap()
    }
}

/// The service.
pub(crate) struct Osf {
    child: Child,
    pub(crate) url: String,
    dir: TempDir,
}

impl Osf {
    /// Starts it with these faults, or `random` ones.
    pub(crate) fn start(faults: &str, more: &[&str]) -> Self {
        let dir = fast_folder();
        let path = dir.path().join("faults.toml");
        fs::write(&path, faults).unwrap();
        let faults = if faults == "random" {
            Path::new("random")
        } else {
            &path
        };
        let mut child = Command::new(env!("CARGO_BIN_EXE_twinstream"))
            .args(["simulate", "--seed", "5", "--osf-token", TOKEN, "--clock"])
            .arg(format!("2026-11-23T18:00:00Z@{RATE}"))
            .arg("--osf")
            .arg(dir.path().join("osf"))
            .arg("--truth")
            .arg(dir.path().join("truth.jsonl"))
            .arg("--osf-faults")
            .arg(faults)
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines
            .map(|line| line.unwrap())
            .find_map(|line| line.strip_prefix("osf ").map(str::to_owned));
        Self {
            child,
            url: url.unwrap(),
            dir,
        }
    }

    /// What it did so far.
    pub(crate) fn truth(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.dir.path().join("truth.jsonl")).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Value> {
        let mut truth = self.truth();
        truth.retain(|event| event["event"] == "osf");
        truth
    }

    /// Every version that was ever stored: path and hash.
    pub(crate) fn stored(&self) -> Vec<(String, String)> {
        let text = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
        let truth = self.truth();
        let stored = truth.iter().filter(|event| event["event"] == "osf_stored");
        stored
            .map(|event| (text(event, "path"), text(event, "sha256")))
            .collect()
    }

    /// How many requests a fault of that kind has hit.
    pub(crate) fn hits(&self, kind: &str) -> usize {
        let requests = self.requests();
        requests
            .iter()
            .filter(|r| r["fault"]["kind"] == kind)
            .count()
    }

    /// The latest version of every file, by path. One that vanishes meanwhile, on its way to its
    /// final name, is passed over.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let top = self.dir.path().join("osf/storage");
        files_below(&top)
            .into_iter()
            .filter_map(|path| {
                let bytes = match fs::read(&path) {
                    Err(why) if why.kind() == io::ErrorKind::NotFound => return None,
                    read => read.unwrap(),
                };
                let name = path
                    .strip_prefix(&top)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                Some((name, bytes))
            })
            .collect()
    }

    /// Puts a file of somebody else's into the root, or as a new version in place of one of ours.
    pub(crate) fn put_by_hand(&self, path: &str, bytes: &[u8]) {
        let bearer = format!("Bearer {TOKEN}");
        let get = |url: &str| -> Value {
            let request = ureq::get(url).header("Authorization", &bearer);
            request.call().unwrap().body_mut().read_json().unwrap()
        };
        let named = |list: &Value, name: &str| -> Value {
            let data = list["data"].as_array().unwrap();
            let is_it = |entry: &&Value| entry["attributes"]["name"] == name;
            data.iter().find(is_it).cloned().unwrap_or(Value::Null)
        };
        let mut folder = named(
            &get(&format!("{}/v2/nodes/abcde/files/", self.url)),
            "osfstorage",
        );
        let mut parts: Vec<&str> = path.split('/').collect();
        let name = parts.pop().unwrap();
        let list = |folder: &Value| {
            let related = &folder["relationships"]["files"]["links"]["related"]["href"];
            get(&format!("{}?page[size]=100", related.as_str().unwrap()))
        };
        for part in parts {
            folder = named(&list(&folder), part);
        }
        let file = named(&list(&folder), name);
        let place = |entry: &Value| entry["links"]["upload"].as_str().unwrap().to_owned();
        let url = if file.is_null() {
            format!("{}?kind=file&name={name}", place(&folder))
        } else {
            format!("{}?kind=file", place(&file))
        };
        let request = ureq::put(&url).header("Authorization", &bearer);
        request.send(bytes).unwrap();
    }
}

impl Drop for Osf {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A primary with a vault, its own data folder, and a configuration.
pub(crate) struct Publisher {
    pub(crate) site: Site,
    /// The instant its clock shows when it starts.
    pub(crate) now: String,
}

/// What a command said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    #[track_caller]
    pub(crate) fn check(&self, code: i32, words: &str) -> &Self {
        let whole = format!("{}\n{}", self.out, self.err);
        assert_eq!(self.code, code, "{whole}");
        assert!(whole.contains(words), "no {words:?} in: {whole}");
        self
    }

    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let said = Self {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        };
        assert!(!said.out.contains(TOKEN) && !said.err.contains(TOKEN));
        said
    }
}

impl Publisher {
    /// A vault with so many hours from 13 h on, each with some posts.
    pub(crate) fn with_hours(begin: &str, hours: i64, now: &str) -> Self {
        let dir = fast_folder();
        let root = dir.path().to_owned();
        let site = Site {
            dir: Some(dir),
            ..Site::on(Box::new(RealDisk), &root, "UTC")
        };
        for hour in 0..hours {
            let begin = at(begin).plus_ms(hour * 3_600_000);
            site.put(&some_of(begin, "1"));
            site.put(&some_of(begin, "2"));
        }
        site.merge(now);
        Self::of(site, now)
    }

    /// Of a vault that is there.
    pub(crate) fn of(site: Site, now: &str) -> Self {
        let now = now.to_owned();
        let publisher = Self { site, now };
        publisher.write_token(0o600);
        publisher
    }

    fn write_token(&self, mode: u32) {
        let path = self.site.root.join("osf-token");
        fs::write(&path, TOKEN).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Makes the token's file one that others can read, or not.
    pub(crate) fn open_token(&self, open: bool) {
        self.write_token(if open { 0o644 } else { 0o600 });
    }

    /// `publish` of the primary, or of another server.
    pub(crate) fn command(&self, url: &str, more_config: &str, args: &[&str]) -> Command {
        self.any_command(url, more_config, &[&["publish"], args].concat())
    }

    /// A command of the primary.
    pub(crate) fn any_command(&self, url: &str, more_config: &str, args: &[&str]) -> Command {
        let root = self.site.root.display();
        let source = if self.site.stream.word == BLUESKY.word {
            "bluesky"
        } else {
            "x"
        };
        let config = format!(
            "source = \"{source}\"\ndata_dir = \"{root}\"\n[bluesky]\nendpoints = [\"ws://127.0.0.1:9\"]\n[x]\nbase_url = \"http://127.0.0.1:9\"\n\
             [[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a.example.org\"\n\
             [[servers]]\nid = \"2\"\nrole = \"secondary\"\nhost = \"b.example.org\"\ndeliver_to = \"x\"\n\
             [merge]\nkeep_free = \"1KiB\"\n\
             [publish.osf]\nproject = \"abcde\"\nbase_url = \"{url}\"\ntoken_file = \"{root}/osf-token\"\n\
             {more_config}\n"
        );
        let path = self.site.root.join("twinstream.toml");
        fs::write(&path, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_twinstream"));
        let (name, args) = args.split_first().unwrap();
        command
            .arg(name)
            .arg("--config")
            .arg(path)
            .args(["--server", "1"])
            .args(["--clock", &format!("{}@{RATE}", self.now)])
            .args(args)
            .env_remove("CREDENTIALS_DIRECTORY")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Does a command once.
    pub(crate) fn run(&self, url: &str, more_config: &str, args: &[&str]) -> Said {
        Said::of(&self.any_command(url, more_config, args).output().unwrap())
    }

    /// Publishes once.
    pub(crate) fn publish(&self, osf: &Osf, args: &[&str]) -> Said {
        self.publish_with(osf, "", args)
    }

    /// The same with more in its configuration.
    pub(crate) fn publish_with(&self, osf: &Osf, more_config: &str, args: &[&str]) -> Said {
        Said::of(&self.command(&osf.url, more_config, args).output().unwrap())
    }

    /// The diary's lines.
    pub(crate) fn diary(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.diary_path()).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub(crate) fn diary_path(&self) -> PathBuf {
        self.site.root.join("published.jsonl")
    }

    /// Ids that became public, as the diary has them.
    pub(crate) fn ids(&self) -> u64 {
        let new_ids = |line: &Value| line["new_ids"].as_u64().unwrap();
        self.diary().iter().map(new_ids).sum()
    }

    /// Forgets everything about what was published.
    pub(crate) fn forget(&self) {
        for name in ["published.jsonl", "publish.json", "osf_folders.json"] {
            drop(fs::remove_file(self.site.root.join(name)));
        }
    }

    /// What should be public: the vault's files of the public kinds, by remote path.
    pub(crate) fn expected(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for (path, bytes) in self.site.files() {
            let name = path.rsplit('/').next().unwrap();
            let is_public = [
                "_IDs.txt.xz",
                "_manifest.json",
                "_report.txt",
                "_gaps.csv",
                "_exposure.csv",
                "_certificate.txt",
                "_certificate.svg",
                "_certificate.json",
                "_README.md",
                "ledger.jsonl",
                "CITATION.cff",
                "DATASET.md",
                "croissant.json",
                "datacite.json",
                "datapackage.json",
                "ro-crate-metadata.json",
                ".tsr",
                ".pem",
            ];
            let is_public = is_public.iter().any(|ending| name.ends_with(ending));
            if is_public && !path.contains("revisions/") {
                let remote = match path.split_once('/') {
                    Some((day, name)) => format!("{}/{name}", day.replace('-', "/")),
                    None => path.clone(),
                };
                files.insert(remote, bytes);
            }
        }
        files
    }
}

/// What a server received in the first minutes of an hour.
pub(crate) fn some_of(begin: UtcMs, server: &str) -> Vec<Segment> {
    let nth = usize::from(server != "1");
    segments(server, &stream(2, begin, 1, 6)[nth])
}
