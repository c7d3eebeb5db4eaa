//! rsync over ssh as a child process: arguments, what it says, and how it ended.
//!
//! No shell is involved on this side. On the other one the account's shell, or rrsync behind a
//! restricted key, sees nothing but names that the configuration and `SegmentName` have checked.

use std::{
    io::{self, Read, Write as _},
    path::Path,
    process::{Command, ExitStatus, Stdio},
};

use crate::config::settings::SshTarget;

/// Seconds without any data after which rsync gives up.
const SILENCE_S: u32 = 60;

/// Seconds that a connection may take to come about.
const CONNECT_S: u32 = 15;

/// What is read of rsync's messages; a file list of a batch is far shorter.
const OUTPUT_BYTES_MAX: u64 = 4 << 20;

/// What is shown of its complaints.
const COMPLAINT_CHARS_MAX: usize = 600;

/// The first rsync that can make what it receives durable.
const FSYNC_SINCE: (u32, u32, u32) = (3, 2, 4);

/// Partial transfers are kept here, beside the file, until they are whole.
const PARTIAL_DIR: &str = ".rsync-partial";

/// The other side: whom to reach, and how.
#[derive(Debug, Clone)]
pub struct Remote<'a> {
    /// Where it is.
    pub target: &'a SshTarget,
    /// Further arguments for ssh.
    pub ssh_options: &'a [String],
}

/// Why rsync did not do it.
#[derive(Debug, thiserror::Error)]
pub enum RsyncError {
    /// rsync is not there.
    #[error("rsync cannot be started: {0}")]
    Start(#[source] io::Error),
    /// The other side, or the way to it.
    #[error("{to} cannot be reached: {says}")]
    Unreachable {
        /// Where it was to go.
        to: String,
        /// What rsync and ssh said.
        says: String,
    },
    /// A file or folder is not there.
    #[error("{to}: {says}")]
    Missing {
        /// Where it was looked for.
        to: String,
        /// What rsync said.
        says: String,
    },
    /// Anything else.
    #[error("rsync to {to} failed ({status}): {says}")]
    Failed {
        /// Where it was to go.
        to: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        says: String,
    },
}

/// What a dry run of rsync says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum There {
    /// It is not there.
    Absent,
    /// Something of another size is there.
    Other,
}

impl Remote<'_> {
    /// `user@host:/folder/` as rsync takes it.
    fn place(&self, folder: &str) -> String {
        let SshTarget { user, .. } = self.target;
        let folder = folder.trim_end_matches('/');
        format!("{user}@{}:{folder}/", self.target.written_host())
    }

    /// Lists a folder: the names in it, folders with a `/` behind.
    pub fn list(&self, folder: &str) -> Result<Vec<String>, RsyncError> {
        let mut arguments = self.common();
        arguments.extend(["--list-only".to_owned(), self.place(folder)]);
        Ok(listed(&self.run(&arguments, "")?))
    }

    /// Makes `here` hold these files as the folder there holds them: what is not there goes.
    pub fn mirror(
        &self,
        folder: &str,
        names: &[&str],
        max_bytes: u64,
        here: &Path,
    ) -> Result<(), RsyncError> {
        let mut arguments = self.common();
        arguments.extend(["--dirs", "--times", "--delete"].map(str::to_owned));
        arguments.push(format!("--max-size={max_bytes}"));
        arguments.extend(names.iter().map(|name| format!("--include=/{name}")));
        arguments.extend([
            "--exclude=*".to_owned(),
            self.place(folder),
            format!("{}/", here.display()),
        ]);
        self.run(&arguments, "").map(drop)
    }

    /// Makes a folder whose parent is there; `here` is any folder, nothing of it is sent.
    pub fn make_folder(&self, here: &Path, folder: &str) -> Result<(), RsyncError> {
        let mut arguments = self.common();
        arguments.extend(["--dirs", "--exclude=*"].map(str::to_owned));
        arguments.extend([format!("{}/", here.display()), self.place(folder)]);
        self.run(&arguments, "").map(drop)
    }

    /// Which of these files are not there, or of another size. `names` begin at both folders.
    pub fn compare(
        &self,
        from: &Path,
        folder: &str,
        names: &[String],
    ) -> Result<Vec<(String, There)>, RsyncError> {
        let more = ["--dry-run", "--size-only", "--out-format=%i %n"];
        Ok(compared(&self.put(&more, from, folder, names)?))
    }

    /// Sends files that are not there. None that is there is touched.
    pub fn send(&self, from: &Path, folder: &str, names: &[String]) -> Result<(), RsyncError> {
        let partial = format!("--partial-dir={PARTIAL_DIR}");
        let mut more = vec!["--ignore-existing", partial.as_str()];
        if !can_sync(version()?) {
            return self.put(&more, from, folder, names).map(drop);
        }
        more.push("--fsync");
        match self.put(&more, from, folder, names) {
            // the rsync on the other side is older; what counts is synced before it is acknowledged
            Err(RsyncError::Unreachable { says, .. } | RsyncError::Failed { says, .. })
                if says.contains("--fsync") =>
            {
                more.pop();
                self.put(&more, from, folder, names).map(drop)
            }
            other => other.map(drop),
        }
    }

    fn put(
        &self,
        more: &[&str],
        from: &Path,
        folder: &str,
        names: &[String],
    ) -> Result<String, RsyncError> {
        let mut arguments = self.common();
        arguments.extend(more.iter().map(|&text| text.to_owned()));
        arguments.extend(["--compress", "--files-from=-"].map(str::to_owned));
        arguments.extend([format!("{}/", from.display()), self.place(folder)]);
        self.run(&arguments, &names.join("\n"))
    }

    fn common(&self) -> Vec<String> {
        vec![
            format!("--timeout={SILENCE_S}"),
            format!("--rsh={}", self.rsh()),
        ]
    }

    /// The ssh command as rsync takes it: rsync itself splits it at spaces outside quotes.
    fn rsh(&self) -> String {
        let mut words: Vec<String> = vec!["ssh".to_owned()];
        for option in [
            "BatchMode=yes".to_owned(),
            format!("ConnectTimeout={CONNECT_S}"),
            format!("ServerAliveInterval={CONNECT_S}"),
            "ServerAliveCountMax=3".to_owned(),
            "ForwardAgent=no".to_owned(),
            "ForwardX11=no".to_owned(),
        ] {
            words.extend(["-o".to_owned(), option]);
        }
        if let Some(port) = self.target.port {
            words.extend(["-p".to_owned(), port.to_string()]);
        }
        // what the user asks for goes before what is asked for here: ssh takes the first of several
        let mut asked = self.ssh_options.to_vec();
        asked.extend(words.split_off(1));
        words.extend(asked);
        words
            .iter()
            .map(|word| quoted(word))
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn run(&self, arguments: &[String], input: &str) -> Result<String, RsyncError> {
        let mut command = Command::new("rsync");
        command.args(arguments);
        for variable in [
            "RSYNC_RSH",
            "RSYNC_PARTIAL_DIR",
            "RSYNC_PROTECT_ARGS",
            "RSYNC_OLD_ARGS",
        ] {
            command.env_remove(variable);
        }
        let (status, says, complaint) = finish(&mut command, input).map_err(RsyncError::Start)?;
        if status.success() {
            return Ok(says);
        }
        let to = self.target.to_string();
        Err(failed(to, status, shortened(&complaint)))
    }
}

/// What an end with an error means.
fn failed(to: String, status: ExitStatus, says: String) -> RsyncError {
    let not_there = |line: &str| line.contains("No such file or directory");
    // since 3.5.0 rrsync itself opens what is asked for, and breaks off
    let mut of_rrsync = says
        .split("; ")
        .filter(|line| line.contains("rrsync error:"));
    match status.code() {
        Some(12) if of_rrsync.any(not_there) => RsyncError::Missing { to, says },
        // 10, 30, 35: socket and time; 12: the stream broke off; 127: no rsync there; 255: ssh
        Some(10 | 12 | 30 | 35 | 127 | 255) => RsyncError::Unreachable { to, says },
        Some(23) if not_there(&says) => RsyncError::Missing { to, says },
        _ => RsyncError::Failed { to, status, says },
    }
}

/// Runs a child to its end; what it says is read within bounds, whatever it says.
fn finish(command: &mut Command, input: &str) -> io::Result<(ExitStatus, String, String)> {
    let mut child = command
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (says, complaint) = std::thread::scope(|scope| {
        let complaint = scope.spawn(|| text_of(stderr));
        scope.spawn(move || {
            // a child that ends early closes its side: its exit code says why
            stdin.map(|mut stdin| stdin.write_all(input.as_bytes()))
        });
        (text_of(stdout), complaint.join().unwrap_or_default())
    });
    Ok((child.wait()?, says, complaint))
}

fn text_of(from: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        // what cannot be read is not said; the rest is read, so that the child does not wait for it
        let read = from.by_ref().take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes);
        if read.is_ok() {
            io::copy(&mut from, &mut io::sink()).unwrap_or_default();
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A complaint in one line. It comes from the other side: nothing in it may move the cursor.
fn shortened(complaint: &str) -> String {
    let lines: Vec<&str> = complaint
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    match lines
        .join("; ")
        .chars()
        .map(plain)
        .take(COMPLAINT_CHARS_MAX)
        .collect::<String>()
    {
        silent if silent.is_empty() => "it said nothing".to_owned(),
        text => text,
    }
}

/// A word as rsync's `--rsh` takes it: in single quotes, a single quote in it doubled.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "''"))
}

/// The names in what `--list-only` says: rights, size, day, time, name.
fn listed(says: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in says.lines() {
        let mut fields = line.splitn(2, ' ');
        let (Some(rights), Some(mut rest)) = (fields.next(), fields.next()) else {
            continue;
        };
        for _size_day_time in 0..3 {
            rest = rest
                .trim_start()
                .split_once(' ')
                .map_or("", |(_, rest)| rest);
        }
        match rest {
            "" | "." => (),
            name if rights.starts_with('d') => names.push(format!("{name}/")),
            name => names.push(name.to_owned()),
        }
    }
    names
}

/// What a dry run with `%i %n` says: `<f+++++++++ name` is absent, `<f..` with letters differs.
fn compared(says: &str) -> Vec<(String, There)> {
    let of_line = |line: &str| {
        let (what, name) = line.split_once(' ')?;
        if !what.starts_with("<f") {
            return None;
        }
        let there = if what.contains('+') {
            There::Absent
        } else {
            There::Other
        };
        Some((name.to_owned(), there))
    };
    says.lines().filter_map(of_line).collect()
}

/// The version of the rsync here.
pub fn version() -> Result<(u32, u32, u32), RsyncError> {
    let mut command = Command::new("rsync");
    command.arg("--version");
    let (_, says, _) = finish(&mut command, "").map_err(RsyncError::Start)?;
    Ok(version_of(&says))
}

/// That of the rsync project; another program of that name has none.
fn version_of(says: &str) -> (u32, u32, u32) {
    if !says.starts_with("rsync ") {
        return (0, 0, 0);
    }
    let mut words = says
        .split_whitespace()
        .skip_while(|word| *word != "version")
        .skip(1);
    let mut numbers = words.next().unwrap_or("").split('.').map(|number| {
        let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(0)
    });
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

/// Whether an rsync of that version has `--fsync`.
pub fn can_sync(version: (u32, u32, u32)) -> bool {
    FSYNC_SINCE <= version
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_not_an_end_of_the_way() {
        use std::os::unix::process::ExitStatusExt as _;
        let is_missing = |code: i32, says: &str| {
            let status = ExitStatus::from_raw(code << 8);
            let why = failed(String::new(), status, says.to_owned());
            matches!(why, RsyncError::Missing { .. })
        };
        // rsync 3.2.7, then rrsync of 3.5.0
        let no_folder = "change_dir \"/spool/2\" failed: No such file or directory (2)";
        assert!(is_missing(23, no_folder));
        let no_folder = "/usr/bin/rrsync error: post-realpath open failed (race detected): /spool/2/ \
            No such file or directory; rsync: connection unexpectedly closed";
        assert!(is_missing(12, no_folder));
        assert!(!is_missing(12, "rsync: connection unexpectedly closed"));
        assert!(!is_missing(255, "id: No such file or directory"));
    }

    #[test]
    fn what_rsync_says_is_understood() {
        let listing = "drwxr-xr-x          4,096 2026/11/24 13:34:50 .\n\
                       -rw-r--r--              0 2026/11/24 13:34:50 acks.jsonl\n\
                       drwxr-x---          4,096 2026/11/24 13:34:50 2026-11-24\n\
                       -rw-r--r--  1,234,567,890 2026/11/24 13:34:50 two words\n\
                       nonsense\n";
        assert_eq!(listed(listing), ["acks.jsonl", "2026-11-24/", "two words"]);
        let dry =
            "cd+++++++++ 2026-11-24/\n<f+++++++++ a.jsonl\n<fc.T...... b.jsonl\n.f..t...... c\n\n";
        let found = compared(dry);
        assert_eq!(
            found,
            [
                ("a.jsonl".to_owned(), There::Absent),
                ("b.jsonl".to_owned(), There::Other)
            ]
        );
        for (says, version, syncs) in [
            (
                "rsync  version 3.2.7  protocol version 32\nCopyright",
                (3, 2, 7),
                true,
            ),
            ("rsync  version v3.1.3  protocol", (0, 1, 3), false),
            ("rsync  version 3.2.4pre1  protocol", (3, 2, 4), true),
            ("openrsync: protocol version 29", (0, 0, 0), false),
            ("", (0, 0, 0), false),
        ] {
            assert_eq!(
                (version_of(says), can_sync(version_of(says))),
                (version, syncs),
                "{says}"
            );
        }
    }

    #[test]
    fn the_ssh_command_keeps_each_argument_one_argument() {
        let target = SshTarget {
            user: "u".to_owned(),
            host: "::1".to_owned(),
            port: Some(2222),
            path: "/spool".to_owned(),
        };
        let options = ["-i".to_owned(), "/my key's".to_owned()];
        let remote = Remote {
            target: &target,
            ssh_options: &options,
        };
        let rsh = remote.rsh();
        assert!(
            rsh.starts_with("'ssh' '-i' '/my key''s' '-o' 'BatchMode=yes' "),
            "{rsh}"
        );
        assert!(rsh.ends_with(" '-p' '2222'"), "{rsh}");
        assert_eq!(remote.place("/"), "u@[::1]:/");
        assert_eq!(remote.place("/spool/2"), "u@[::1]:/spool/2/");
    }

    #[test]
    fn a_complaint_is_one_short_line_without_control_characters() {
        assert_eq!(shortened(" a\u{1b}[2Jb \n\n c\n"), "a [2Jb; c");
        assert_eq!(shortened(""), "it said nothing");
        assert_eq!(shortened(&"x".repeat(10_000)).len(), COMPLAINT_CHARS_MAX);
    }
}
