//! Somebody else's command, run to its end within a bounded time and without a shell. What it prints goes
//! to standard error: standard output is for facts of ours.

use std::{
    io,
    os::unix::process::CommandExt as _,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use super::{clock::Clock, process};

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// It could not be started.
    #[error("it cannot be started: {0}")]
    Start(#[from] io::Error),
    /// It ended with an error.
    #[error("it ended with {0}")]
    Ended(ExitStatus),
    /// It took too long, and was ended with everything it had started.
    #[error("it was ended after {0:?}")]
    TooLong(Duration),
}

/// Runs a command as a process group of its own; `limit` is real time.
pub fn run(command: &[String], last: &std::path::Path, limit: Duration) -> Result<(), HookError> {
    let Some((program, arguments)) = command.split_first() else {
        return Ok(());
    };
    let mut child = Command::new(program)
        .args(arguments)
        .arg(last)
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .process_group(0)
        .spawn()?;
    // a command of somebody's has nothing to do with the time that is simulated
    let clock = Clock::system();
    let mut waited = Duration::ZERO;
    loop {
        if let Some(status) = child.try_wait()? {
            return if status.success() {
                Ok(())
            } else {
                Err(HookError::Ended(status))
            };
        }
        if limit <= waited {
            process::end_group(child.id(), true);
            child.wait()?;
            return Err(HookError::TooLong(limit));
        }
        clock.block(LOOK);
        waited += LOOK;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn the_last_argument_is_given_and_no_shell_sees_it() {
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("a; $(b) 'c'");
        run(&words(&["mkdir", "--"]), &made, Duration::from_secs(20)).unwrap();
        assert!(made.is_dir());
        let again = run(&words(&["mkdir", "--"]), &made, Duration::from_secs(20));
        assert!(matches!(again, Err(HookError::Ended(_))), "{again:?}");
        let none = run(&words(&["/no/such/program"]), &made, Duration::ZERO);
        assert!(matches!(none, Err(HookError::Start(_))), "{none:?}");
    }

    #[test]
    fn one_that_hangs_is_ended_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = "sleep 600 & echo $! > \"$0\"; wait";
        let hangs = run(
            &words(&["sh", "-c", script]),
            &pid,
            Duration::from_millis(500),
        );
        assert!(matches!(hangs, Err(HookError::TooLong(_))), "{hangs:?}");
        let pid = std::fs::read_to_string(&pid).unwrap();
        let gone = || match std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())) {
            Ok(stat) => stat.contains(") Z "),
            Err(_no_such_process) => true,
        };
        while !gone() {
            Clock::system().block(LOOK);
        }
    }
}
