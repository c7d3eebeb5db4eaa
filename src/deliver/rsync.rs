//! rsync over ssh as a child process: arguments, what it says, and how it ended.
//!
//! No shell is involved on this side. On the other side, the account's shell, or rrsync behind a restricted key, sees
//! only names that the configuration and `SegmentName` have checked.
//!
//! The exit code decides what an end means. If several ends share one code, lines printed by rsync and ssh themselves
//! decide: the other side may print anything before them, such as a banner.

use std::{
    fmt,
    io::{self, Read, Write as _},
    path::Path,
    process::{Command, ExitStatus, Stdio},
};

use crate::{config::address::SshTarget, text::one_line};

/// Seconds without any data after which rsync gives up.
const SILENCE_S: u32 = 60;

/// Seconds that connecting may take.
const CONNECT_S: u32 = 15;

/// What rsync may print, and complain of; a file list of a batch is far shorter.
const OUTPUT_BYTES_MAX: u64 = 64 << 20;

/// How much of its complaints is shown: their end, which tells the result.
const SHOWN_CHARS_MAX: usize = 600;

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
        says: Complaint,
    },
    /// A file or folder is not there.
    #[error("{to}: {says}")]
    Missing {
        /// Where it was looked for.
        to: String,
        /// What rsync said.
        says: Complaint,
    },
    /// Anything else.
    #[error("rsync to {to} failed ({status}): {says}")]
    Failed {
        /// Where it was to go.
        to: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        says: Complaint,
    },
}

/// All that rsync and ssh said on standard error. It is shown as its last lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint(String);

/// Why ssh does not get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The host's key is not known.
    UnknownHost,
    /// The host has another key than before.
    ChangedHost,
    /// The host does not take this server's key.
    Login,
}

impl Complaint {
    fn lines(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
    }

    /// Whether rsync, here or there, or rrsync says that a file or folder is not there.
    fn is_of_missing(&self) -> bool {
        self.lines().any(|line| {
            // since 3.5.0 rrsync itself opens what is asked for, and breaks off
            (line.starts_with("rsync: ") && line.contains(": No such file or directory (2)"))
                || (is_of_rrsync(line) && line.contains("No such file or directory"))
        })
    }

    /// Whether the rsync there does not know an option.
    fn is_of_option(&self, option: &str) -> bool {
        let mut lines = self.lines();
        lines.any(|line| (line.starts_with("rsync") || is_of_rrsync(line)) && line.contains(option))
    }

    /// Why ssh could not log in, if that is the reason: by its own last line, which is followed by rsync's.
    pub fn closed(&self) -> Option<Closed> {
        const CHANGED: &str = "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!";
        let mut lines = self.lines().rev();
        let last = lines.find(|line| !line.starts_with("rsync"))?;
        if last == "Host key verification failed." {
            let is_changed = |line: &str| line.trim_matches(['@', ' ']) == CHANGED;
            return Some(if lines.any(is_changed) {
                Closed::ChangedHost
            } else {
                Closed::UnknownHost
            });
        }
        last.contains(": Permission denied (")
            .then_some(Closed::Login)
    }
}

/// `/usr/bin/rrsync error: …`
fn is_of_rrsync(line: &str) -> bool {
    let (program, _) = line.split_once(' ').unwrap_or_default();
    program.trim_end_matches(':').rsplit('/').next() == Some("rrsync")
}

impl fmt::Display for Complaint {
    /// The last lines, on one. They come from the other side: nothing in them may move the cursor.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<&str> = self.lines().collect();
        let text = one_line(&lines.join("; "));
        let over = text.chars().count().saturating_sub(SHOWN_CHARS_MAX);
        match text.char_indices().nth(over) {
            None => f.write_str("it said nothing"),
            Some((0, _)) => f.write_str(&text),
            Some((begin, _)) => write!(f, "… {}", text.get(begin..).unwrap_or_default()),
        }
    }
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

    /// Makes `here` hold these files as the remote folder does: files that are not there are deleted.
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

    /// Sends files that are missing there. Existing ones are not touched.
    pub fn send(&self, from: &Path, folder: &str, names: &[String]) -> Result<(), RsyncError> {
        let partial = format!("--partial-dir={PARTIAL_DIR}");
        let mut more = vec!["--ignore-existing", partial.as_str()];
        if !can_sync(version()?) {
            return self.put(&more, from, folder, names).map(drop);
        }
        more.push("--fsync");
        match self.put(&more, from, folder, names) {
            // the rsync on the other side is older; the primary syncs files before it acknowledges them
            Err(RsyncError::Unreachable { says, .. } | RsyncError::Failed { says, .. })
                if says.is_of_option("--fsync") =>
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
        // the user's options come first: of several, ssh takes the first
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
        Err(failed(to, status, Complaint(complaint)))
    }
}

/// What an end with an error means.
fn failed(to: String, status: ExitStatus, says: Complaint) -> RsyncError {
    match status.code() {
        Some(12 | 23) if says.is_of_missing() => RsyncError::Missing { to, says },
        // 10, 30, 35: socket and time; 12: the stream broke off; 127: no rsync there; 255: ssh
        Some(10 | 12 | 30 | 35 | 127 | 255) => RsyncError::Unreachable { to, says },
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
        let complaint = complaint.join().unwrap_or_else(|_panic| Ok(String::new()));
        (text_of(stdout), complaint)
    });
    let status = child.wait()?;
    Ok((status, says?, complaint?))
}

/// All of it, since a truncated text must not decide anything.
fn text_of(from: Option<impl Read>) -> io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        from.by_ref()
            .take(OUTPUT_BYTES_MAX)
            .read_to_end(&mut bytes)?;
        // the rest is read, so that the child does not wait for it
        if 0 < io::copy(&mut from, &mut io::sink())? {
            return Err(io::Error::other(format!(
                "rsync says more than {OUTPUT_BYTES_MAX} bytes"
            )));
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
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
    use crate::fuzz::Fuzz;

    #[test]
    fn a_folder_that_is_not_there_is_not_an_end_of_the_way() {
        use std::os::unix::process::ExitStatusExt as _;
        let is_missing = |code: i32, says: &str| {
            let status = ExitStatus::from_raw(code << 8);
            let why = failed(String::new(), status, Complaint(says.to_owned()));
            matches!(why, RsyncError::Missing { .. })
        };
        // rsync 3.2.7, then rrsync of 3.5.0
        let banner = "Authorized use only. ".repeat(43);
        let change_dir =
            "rsync: [sender] change_dir \"/spool/2\" failed: No such file or directory (2)\n";
        let rrsync = "/usr/bin/rrsync error: post-realpath open failed (race detected): /spool/2/ \
            No such file or directory\nrsync: connection unexpectedly closed\n";
        assert!(is_missing(23, change_dir));
        assert!(is_missing(23, &format!("{banner}\n{change_dir}")));
        assert!(is_missing(12, rrsync));
        assert!(is_missing(12, &format!("{banner}\n{rrsync}")));
        assert!(!is_missing(12, "rsync: connection unexpectedly closed"));
        assert!(!is_missing(255, "id: No such file or directory"));
        assert!(!is_missing(
            23,
            "No such file or directory (2)\nrsync error: …"
        ));
    }

    #[test]
    fn why_ssh_does_not_get_in_is_what_ssh_says_last() {
        let closed = |says: &str| Complaint(says.to_owned()).closed();
        let rsync = "rsync: connection unexpectedly closed (0 bytes received so far)\nrsync error: \
            unexplained error (code 255) at io.c(228)\n";
        let failed = format!("Host key verification failed.\r\n{rsync}");
        assert_eq!(closed(&failed), Some(Closed::UnknownHost));
        let changed =
            "@@@@@@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@\n";
        let more = "It is also possible that a host key has just been changed.\n".repeat(20);
        let said = format!("{changed}{more}{failed}");
        assert_eq!(closed(&said), Some(Closed::ChangedHost));
        let denied = format!("u@h: Permission denied (publickey).\r\n{rsync}");
        assert_eq!(closed(&denied), Some(Closed::Login));
        // a banner may say anything
        assert_eq!(closed(&format!("{failed}{denied}")), Some(Closed::Login));
        assert_eq!(closed(&format!("{denied}ssh: connect to host h\n")), None);
        assert_eq!(closed(""), None);
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
    fn a_complaint_is_shown_as_its_end_on_one_line_without_control_characters() {
        let shown = |says: &str| Complaint(says.to_owned()).to_string();
        assert_eq!(shown(" a\u{1b}[2Jb \n\n c\n"), "a [2Jb; c");
        assert_eq!(shown(""), "it said nothing");
        let long = shown(&format!("{}why", "x".repeat(10_000)));
        assert!(long.starts_with("… x") && long.ends_with("xwhy"), "{long}");
        assert_eq!(long.chars().count(), SHOWN_CHARS_MAX + 2);
    }

    #[test]
    fn fuzz_words_of_rsync_and_ssh() {
        let listing = "drwxr-xr-x          4,096 2026/11/23 14:05:09 .\n-rw-r--r--            712 2026/11/23 14:05:09 acks.jsonl\ndrwxr-xr-x          4,096 2026/11/23 14:05:09 2026-11-23\n";
        let fuzz = Fuzz::new("words_of_rsync_and_ssh", 5_000)
            .seed(listing)
            .seed("<f+++++++++ 2026-11-23/14/a.jsonl\n<f.st...... b c\n")
            .seed("rsync  version 3.2.7  protocol version 31\n")
            .seed("u@h: Permission denied (publickey).\r\nrsync: connection unexpectedly closed (0 bytes received so far) [sender]\n")
            .seed("/usr/bin/rrsync error: --mkpath is not allowed\n\x1b[2J");
        fuzz.run(|input| {
            let says = String::from_utf8_lossy(input).into_owned();
            let lines = says.lines().count();
            let (names, compared) = (listed(&says), compared(&says));
            assert!(names.len() <= lines && compared.len() <= lines);
            assert!(
                names
                    .iter()
                    .all(|name| ![".", "./", ""].contains(&name.as_str()))
            );
            let version = version_of(&says);
            assert!(version == (0, 0, 0) || says.starts_with("rsync "));
            let complaint = Complaint(says);
            let shown = complaint.to_string();
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
            assert!(shown.chars().count() <= SHOWN_CHARS_MAX + 2);
            let missing = complaint.is_of_missing();
            format!(
                "{} {} {:?} {missing}",
                names.len().min(1),
                compared.len().min(1),
                complaint.closed()
            )
        });
    }

    #[test]
    fn how_rsync_ends_tells_whether_the_other_side_was_reached() {
        use std::os::unix::process::ExitStatusExt as _;
        let end = |code: i32| {
            let status = ExitStatus::from_raw(code << 8);
            match failed("to".to_owned(), status, Complaint("it says no".to_owned())) {
                RsyncError::Unreachable { .. } => "unreachable",
                RsyncError::Missing { .. } => "missing",
                RsyncError::Failed { .. } => "failed",
                RsyncError::Start(_) => "start",
            }
        };
        for code in [10, 12, 30, 35, 127, 255] {
            assert_eq!(end(code), "unreachable", "{code}");
        }
        for code in [1, 2, 3, 5, 11, 13, 23, 24, 25] {
            assert_eq!(end(code), "failed", "{code}");
        }
        // ended by a signal
        let killed = failed(
            String::new(),
            ExitStatus::from_raw(9),
            Complaint(String::new()),
        );
        assert!(matches!(killed, RsyncError::Failed { .. }));
    }
}
