//! One child process: starts it, reads its log, and ends it when its time is over.
//!
//! It leads a process group of its own, so that its own children end with it. A thread that nobody waits for copies
//! its standard error into our log, line by line. Its standard output is for people who start it by hand, and is
//! dropped.

use std::{
    io::{self, BufRead as _, BufReader, Read},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use serde_json::Value;

use super::{record::Raised, stage::Stage};
use crate::{
    alarm::AlarmKind,
    period::{UtcMs, ms},
    world::process,
};

/// A line of a log is read whole, since its meaning depends on all of it. A longer one is not ours, and is logged in
/// pieces.
const LOG_LINE_BYTES_MAX: u64 = 1 << 20;

/// More different alarms of one run are not kept; a kind has one for each server at most …
const ALARMS_MAX: usize = 64;
/// … and of the words of each, so many.
const ALARM_CHARS_MAX: usize = 2_000;

/// Between asking it to end and ending it.
const PATIENCE_MS: i64 = 10_000;

/// Threads that copy bytes.
const STACK_BYTES: usize = 128 * 1024;

/// A child that runs. Dropping it ends it.
#[derive(Debug)]
pub struct Child {
    stage: Stage,
    process: std::process::Child,
    /// What it has said so far.
    output: Arc<Mutex<Output>>,
    /// When its time is over, by the real time.
    deadline: UtcMs,
    /// Since when it has been asked to end, and whether for taking too long.
    asked: Option<(UtcMs, bool)>,
}

/// What is kept of what a child says.
#[derive(Debug, Default)]
struct Output {
    /// The last line that reported a failure.
    failure: Option<String>,
    alarms: Vec<Raised>,
}

impl Output {
    fn alarm(&mut self, kind: AlarmKind, subject: &str, message: &str) {
        let mut known = self.alarms.iter_mut();
        if let Some(same) = known.find(|known| known.kind == kind && known.subject == subject) {
            same.more += 1;
        } else if self.alarms.len() < ALARMS_MAX {
            // the hint is the kind's
            let what = message.split("\n  hint:").next().unwrap_or(message);
            self.alarms.push(Raised {
                kind,
                subject: subject.to_owned(),
                what: what.chars().take(ALARM_CHARS_MAX).collect(),
                more: 0,
            });
        }
    }
}

/// How a child ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub exit: Option<i32>,
    /// Why, in words, if it did not end by itself.
    pub why: Option<String>,
    /// Whether it was asked to end because the service ends, which is not a failure.
    pub with_service: bool,
    /// The last failure that it told.
    pub said: Option<String>,
    /// The alarms that it raised.
    pub alarms: Vec<Raised>,
}

impl Child {
    /// Starts it. `now` is the real time, which its `limit` counts in.
    pub fn start(
        stage: Stage,
        mut command: Command,
        limit: Duration,
        now: UtcMs,
    ) -> io::Result<Self> {
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // these are the service's own
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .env_remove("WATCHDOG_PID");
        let mut process = command.spawn()?;
        let stderr = process.stderr.take();
        let output = Arc::new(Mutex::new(Output::default()));
        let limit_ms = ms(limit);
        let child = Self {
            stage,
            output: Arc::clone(&output),
            deadline: now.plus_ms(limit_ms),
            asked: None,
            process,
        };
        if let Some(stderr) = stderr {
            let thread = thread::Builder::new().name("child".to_owned());
            thread
                .stack_size(STACK_BYTES)
                .spawn(move || relay(stage, stderr, &output))?;
        }
        Ok(child)
    }

    /// Whether it has ended, and how. One whose time is over is asked to end, and then ended.
    pub fn poll(&mut self, now: UtcMs) -> io::Result<Option<Ended>> {
        if let Some(status) = self.process.try_wait()? {
            // its own children are no longer needed
            process::end_group(self.process.id(), true);
            return Ok(Some(self.ended(status)));
        }
        match self.asked {
            None if self.deadline <= now => {
                tracing::warn!("{} has taken too long and is ended", self.stage);
                self.asked = Some((now, true));
                process::end_group(self.process.id(), false);
            }
            Some((since, _)) if since.plus_ms(PATIENCE_MS) <= now => {
                process::end_group(self.process.id(), true);
            }
            _ => (),
        }
        Ok(None)
    }

    /// Asks it to end.
    pub fn ask_to_end(&mut self, now: UtcMs) {
        if self.asked.is_none() {
            self.asked = Some((now, false));
            process::end_group(self.process.id(), false);
        }
    }

    fn ended(&self, status: ExitStatus) -> Ended {
        let why = match (self.asked, status.signal()) {
            (Some((_, true)), _) => Some("it took too long".to_owned()),
            (Some((_, false)), _) => Some("the service ends".to_owned()),
            (None, Some(signal)) => Some(format!("signal {signal} ended it")),
            (None, None) => None,
        };
        let output =
            std::mem::take(&mut *self.output.lock().unwrap_or_else(PoisonError::into_inner));
        Ended {
            exit: status.code(),
            why,
            with_service: matches!(self.asked, Some((_, false))),
            said: output.failure,
            alarms: output.alarms,
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !matches!(self.process.try_wait(), Ok(Some(_))) {
            process::end_group(self.process.id(), true);
            // it cannot outlive the signal, and a zombie would stay until we end
            drop(self.process.wait());
        }
    }
}

/// Passes a child's log on.
fn relay(stage: Stage, from: impl Read, output: &Mutex<Output>) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match from
            .by_ref()
            .take(LOG_LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
        {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
                tell(stage, text.trim_end(), &mut output);
            }
        }
    }
}

/// Logs a line of a child as our own, and keeps it if it reports a failure.
fn tell(stage: Stage, line: &str, output: &mut Output) {
    let parsed: Option<Value> = serde_json::from_str(line).ok();
    let member = |name: &str| parsed.as_ref()?.get(name)?.as_str();
    let (Some(level), Some(message)) = (member("level"), member("message")) else {
        if let Some(failure) = line.strip_prefix("twinstream: ") {
            tracing::warn!("{stage}: {failure}");
            output.failure = Some(failure.to_owned());
        } else if !line.is_empty() {
            tracing::info!("{stage}: {line}");
        }
        return;
    };
    match level {
        "ERROR" => {
            output.failure = Some(message.to_owned());
            let kind = member("alarm").and_then(AlarmKind::of_word);
            let Some(kind) = kind else {
                tracing::warn!("{stage}: {message}");
                return;
            };
            let subject = member("subject").unwrap_or_default();
            alarm!(kind, subject, "{stage}: {message}");
            output.alarm(kind, subject, message);
        }
        "WARN" => tracing::warn!("{stage}: {message}"),
        "INFO" => tracing::info!("{stage}: {message}"),
        _ => tracing::debug!("{stage}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::clock::Clock;

    fn shell(script: &str, limit: Duration) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Child::start(Stage::Merge, command, limit, Clock::system().now()).unwrap()
    }

    #[track_caller]
    fn end(child: &mut Child, ahead_ms: i64) -> Ended {
        let clock = Clock::system();
        for _ in 0..2_000 {
            if let Some(ended) = child.poll(clock.now().plus_ms(ahead_ms)).unwrap() {
                return ended;
            }
            clock.block(Duration::from_millis(10));
        }
        panic!("it does not end");
    }

    /// Waits for what the reading threads have yet to read.
    #[track_caller]
    /// What was said last, once it is not an alarm of the test's script, after which more is said.
    fn said(child: &Child) -> String {
        for _ in 0..2_000 {
            if let Some(said) = &child.output.lock().unwrap().failure
                && !["it is", "not good"].contains(&said.lines().next().unwrap_or_default())
            {
                return said.clone();
            }
            Clock::system().block(Duration::from_millis(5));
        }
        panic!("nothing was said");
    }

    #[test]
    fn what_a_child_says_is_heard() {
        let script = r#"echo '{"level":"WARN","message":"so so"}' >&2
            for n in 1 2 3; do printf '%s\n' '{"level":"ERROR","message":"it is\n  hint: x","alarm":"disk","subject":"2"}' >&2; done
            echo '{"level":"ERROR","message":"not good","alarm":"none such"}' >&2; echo 'twinstream: cannot: why' >&2
            sleep 0.3; exit 3"#;
        let mut child = shell(script, Duration::from_mins(1));
        assert_eq!(said(&child), "cannot: why");
        let ended = end(&mut child, 0);
        assert_eq!((ended.exit, ended.why), (Some(3), None));
        let [raised] = &ended.alarms[..] else {
            panic!("{:?}", ended.alarms);
        };
        let expected = (AlarmKind::Disk, "2", "it is", 2);
        let found = (raised.kind, &*raised.subject, &*raised.what, raised.more);
        assert_eq!(found, expected);
    }

    #[test]
    fn one_that_hangs_is_ended_with_all_that_it_started() {
        let mut child = shell(
            "trap '' TERM; sleep 600 & echo twinstream: $! >&2; wait; sleep 600",
            Duration::from_secs(5),
        );
        let sleeper = said(&child);
        assert_eq!(child.poll(Clock::system().now()).unwrap(), None);
        // the limit is over: it is asked to end, and ignores that
        assert_eq!(
            child.poll(Clock::system().now().plus_ms(6_000)).unwrap(),
            None
        );
        let ended = end(&mut child, 6_000 + PATIENCE_MS);
        assert_eq!(ended.why.as_deref(), Some("it took too long"));
        let stat = format!("/proc/{sleeper}/stat");
        let is_gone = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        for _ in 0..2_000 {
            if is_gone() {
                return;
            }
            Clock::system().block(Duration::from_millis(5));
        }
        panic!("{sleeper} is still there");
    }

    #[test]
    fn one_that_is_killed_is_told_so() {
        let mut child = shell("kill -9 $$", Duration::from_mins(1));
        let ended = end(&mut child, 0);
        assert_eq!(ended.why.as_deref(), Some("signal 9 ended it"));
        assert_eq!(ended.exit, None);
    }

    #[test]
    fn each_alarm_of_a_kind_and_a_subject_is_kept_and_nothing_of_the_service_s_own_is_handed_on() {
        let script = r#"say() { printf '%s\n' "{\"level\":\"ERROR\",\"message\":\"$1\",\"alarm\":\"$2\",\"subject\":\"$3\"}" >&2; }
            say one disk 1; say two disk 2; say three clock 2; say four disk 2
            echo "twinstream: ${NOTIFY_SOCKET-none} ${WATCHDOG_USEC-none} ${WATCHDOG_PID-none} $OTHER" >&2; sleep 0.3"#;
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "OTHER"] {
            command.env(name, "x");
        }
        let now = Clock::system().now();
        let mut child = Child::start(Stage::Merge, command, Duration::from_mins(1), now).unwrap();
        let ended = end(&mut child, 0);
        assert_eq!(ended.said.as_deref(), Some("none none none x"));
        let told: Vec<String> = ended
            .alarms
            .iter()
            .map(|one| {
                format!(
                    "{} {} {} {}",
                    one.kind.word(),
                    one.subject,
                    one.what,
                    one.more
                )
            })
            .collect();
        assert_eq!(told, ["disk 1 one 0", "disk 2 two 1", "clock 2 three 0"]);
    }
}
