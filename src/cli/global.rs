//! What every command takes.

use std::path::PathBuf;

use clap::{
    Args, ValueEnum,
    builder::{OsStringValueParser, TypedValueParser},
};

use crate::{
    config::{home, platform::Platform},
    world::clock::SimulatedTime,
};

/// What is collected, or simulated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SourceArg {
    /// A stream of X
    #[default]
    X,
    /// All posts of Bluesky, which needs no key
    Bluesky,
}

impl SourceArg {
    /// What the configuration calls it.
    pub(crate) const fn platform(self) -> Platform {
        match self {
            Self::X => Platform::X,
            Self::Bluesky => Platform::Bluesky,
        }
    }
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// The configuration file [default: ./twinstream.toml, then /etc/twinstream/twinstream.toml]
    #[arg(value_parser = users_path(), long, global = true, env = "TWINSTREAM_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Which server this is [default: the one whose `host` is this machine's name]
    #[arg(long, global = true, env = "TWINSTREAM_SERVER", value_name = "ID")]
    pub(crate) server: Option<String>,
    /// Accept another spool or vault in place of the one that this server has worked with; needed once after you
    /// changed it
    #[arg(long, global = true)]
    pub(crate) adopt: bool,
    /// Log only warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Log more: each connection and each file
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// The format of log lines on standard error
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        value_name = "FORM"
    )]
    pub(crate) log: LogForm,
    /// START@RATE: simulated time, only with a simulated API on loopback
    #[arg(long, global = true, hide = true, value_name = "START@RATE")]
    pub(crate) clock: Option<SimulatedTime>,
    /// The service that started this process
    #[arg(long, global = true, hide = true, value_name = "PID")]
    pub(crate) child_of: Option<u32>,
}

/// A path that a user names.
pub(crate) fn users_path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(|written| match written.to_str() {
        Some(written) => home::expand(written, home::home().as_deref()),
        // what is not text begins with no sign for a home
        None => Ok(PathBuf::from(written)),
    })
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogForm {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
