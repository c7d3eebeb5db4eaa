//! The exit codes, and which failure has which.
//!
//! The only table of exit codes: `--help` shows it, and supervisors, scripts and tests rely on it.

use std::fmt;

use crate::{place::open::NotHere, world::lock::LockError};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The configuration is wrong, or this is not this server's role.
    Configuration = 3,
    /// There was nothing to do.
    NothingToDo = 4,
    /// Done, but something is incomplete or was set aside.
    Incomplete = 5,
    /// A peer or service cannot be reached.
    Unreachable = 6,
    /// The same stage is running already.
    Locked = 7,
}

/// The table as `--help` prints it.
pub const TABLE: &str = "\
Exit codes:
  0  done
  1  failed
  2  usage
  3  configuration (also: not this server's role)
  4  nothing to do
  5  done, but something is incomplete or set aside
  6  a peer or service is unreachable
  7  locked: the same stage is already running here";

/// A failure on its way to a person: what, where, why, and what to do.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What failed, where and why; lower case, no full stop.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with its exit code.
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self {
            exit,
            what: what.into(),
            hint: None,
        }
    }

    /// A lock that could not be had.
    pub fn lock(error: LockError) -> Self {
        match error {
            LockError::Taken { .. } => Self::new(Exit::Locked, error.to_string())
                .hint("wait for it to end; the lock goes with its process"),
            LockError::Io { .. } => Self::from(error),
        }
    }

    /// A place that is away, or another one.
    pub fn place(why: &NotHere) -> Self {
        let exit = match why {
            NotHere::Io(_) => Exit::Failed,
            NotHere::Away { .. } | NotHere::Other { .. } | NotHere::NoPlace { .. } => {
                Exit::Unreachable
            }
        };
        Self::new(exit, why.to_string()).hint(why.hint())
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Anything that ends a command early and is not more special than "failed".
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut what = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !what.contains(&cause_text) {
                what = format!("{what}: {cause_text}");
            }
            source = cause.source();
        }
        Self::new(Exit::Failed, what)
    }
}
