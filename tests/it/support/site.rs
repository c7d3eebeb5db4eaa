//! A collector with its folder: starts it, stops it, and reads what it wrote with nothing but the
//! documented format.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use twinstream::segment::line;

use super::folder::files_below;

/// Longer than anything takes on a machine that does ten other things: who has waited so long waits in vain.
const IN_VAIN: Duration = Duration::from_mins(6);

/// Waits until something is so; the test fails when that takes too long.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + IN_VAIN;
    while !is_so() {
        assert!(Instant::now() < deadline, "in vain waited for: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A server of a set-up.
pub(crate) struct Site {
    pub(crate) dir: TempDir,
    pub(crate) spool: PathBuf,
}

/// A collector that runs; killed when the test ends early.
pub(crate) struct Running {
    child: Child,
}

impl Site {
    /// A server that collects from that address.
    pub(crate) fn new(base_url: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let spool = dir.path().join("spool");
        Self::with_spool(dir, spool, base_url)
    }

    /// The same with its spool elsewhere.
    pub(crate) fn with_spool(dir: TempDir, spool: PathBuf, base_url: &str) -> Self {
        let token = dir.path().join("token");
        fs::write(&token, "AAAA%2Fsecret%3D\n").unwrap();
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
        let config = format!(
            "data_dir = \"{}\"\nspool_dir = \"{}\"\n[x]\nbase_url = \"{base_url}\"\n\
             bearer_token_file = \"{}\"\nmax_line = \"64KiB\"\n\
             [[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a.example.org\"\n",
            dir.path().display(),
            spool.display(),
            token.display()
        );
        fs::write(dir.path().join("twinstream.toml"), config).unwrap();
        Self { dir, spool }
    }

    /// The command, ready for more arguments.
    pub(crate) fn command(&self, clock: Option<&str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twinstream"));
        command.args(["collect", "--server", "1", "--config"]);
        command.arg(self.dir.path().join("twinstream.toml"));
        command.args(clock.into_iter().flat_map(|clock| ["--clock", clock]));
        command.env_remove("TWINSTREAM_X_BEARER_TOKEN");
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Starts collecting.
    pub(crate) fn start(&self, clock: Option<&str>) -> Running {
        Running::of(self.command(clock))
    }

    /// Every file of the spool, by name.
    pub(crate) fn files(&self) -> BTreeMap<String, PathBuf> {
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        let paths = files_below(&self.spool.join("1")).into_iter();
        paths.map(|path| (name(&path), path)).collect()
    }

    fn read_all(&self, ending: &str) -> Vec<u8> {
        let is_one = |name: &str| {
            let name = name.strip_suffix(".open").unwrap_or(name);
            name.split_once('.').is_some_and(|(_, rest)| rest == ending)
        };
        let mut parts: Vec<(Vec<String>, PathBuf)> = self
            .files()
            .into_iter()
            .filter(|(name, _)| is_one(name))
            .map(|(name, path)| (order_of(&path, &name), path))
            .collect();
        parts.sort();
        // a file may get its final name at any moment
        let read = |path: &Path| {
            fs::read(path).or_else(|_| fs::read(path.to_str().unwrap().trim_end_matches(".open")))
        };
        parts
            .iter()
            .flat_map(|(_, path)| read(path).unwrap())
            .collect()
    }

    /// How much lies in all segments; the last line may be on its way.
    pub(crate) fn stored_bytes(&self) -> usize {
        self.read_all("jsonl").len()
    }

    /// The received lines in all segments, in the order of the runs and minutes.
    pub(crate) fn lines(&self) -> Vec<String> {
        let stored = self.read_all("jsonl");
        assert!(stored.is_empty() || stored.ends_with(b"\n"), "torn");
        stored
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|stored| String::from_utf8(line::cut(stored).received()).unwrap())
            .collect()
    }

    /// All events.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = String::from_utf8(self.read_all("events.jsonl")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The events of a kind.
    pub(crate) fn events_of(&self, kind: &str) -> Vec<Value> {
        let mut events = self.events();
        events.retain(|event| event["kind"] == kind);
        events
    }

    /// Checks that everything is sealed and that each seal is true, with `sha256sum` as witness;
    /// gives the seals in the order of their names.
    #[track_caller]
    pub(crate) fn check_sealed(&self) -> Vec<Value> {
        let files = self.files();
        let mut seals = Vec::new();
        for (name, path) in &files {
            let Some((stem, ending)) = name.split_once('.') else {
                assert_eq!(name, "reserve");
                continue;
            };
            if name == "runs.json" {
                continue;
            }
            assert!(
                ["jsonl", "events.jsonl", "seal.json"].contains(&ending),
                "{name} is left"
            );
            if ending != "seal.json" {
                assert!(
                    files.contains_key(&format!("{stem}.seal.json")),
                    "{name} has no seal"
                );
                continue;
            }
            let seal: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
            for (part, file) in [("segment", "jsonl"), ("events", "events.jsonl")] {
                let file = &files[&format!("{stem}.{file}")];
                let bytes = fs::read(file).unwrap();
                let lines = memchr::memchr_iter(b'\n', &bytes).count();
                assert_eq!(seal[part]["bytes"], bytes.len(), "{stem}");
                assert_eq!(seal[part]["lines"], lines, "{stem}");
                assert_eq!(seal[part]["sha256"], sha256sum(file), "{stem}");
            }
            seals.push(seal);
        }
        seals
    }
}

/// Files of different runs in one minute are in the order in which they were begun.
fn order_of(path: &Path, name: &str) -> Vec<String> {
    let minute = name.split('_').nth(2).unwrap().to_owned();
    let begun = fs::metadata(path)
        .and_then(|meta| meta.created())
        .map_or(String::new(), |at| {
            format!(
                "{:?}",
                at.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos()
            )
        });
    vec![minute, begun, name.to_owned()]
}

fn sha256sum(path: &Path) -> String {
    let out = Command::new("sha256sum").arg(path).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    text.split(' ').next().unwrap().to_owned()
}

impl Running {
    /// Starts that command.
    pub(crate) fn of(mut command: Command) -> Self {
        Self {
            child: command.spawn().unwrap(),
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Asks it to end, and waits for that.
    #[track_caller]
    pub(crate) fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        let status = self.wait();
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        std::io::stderr().write_all(log.as_bytes()).unwrap();
        assert!(status.success(), "{status}");
        log
    }

    /// Kills it as the kernel does when memory is short.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.wait();
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
