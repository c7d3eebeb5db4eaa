//! The command line: names and help texts, nothing else.

use std::path::PathBuf;

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{OsStringValueParser, TypedValueParser},
};

use super::exit::TABLE;
use crate::{config::home, world::clock::SimulatedTime};

/// Collects the X sampled stream on several servers, merges it into one archive, and proves what it has.
#[derive(Debug, Parser)]
#[command(name = "twinstream", version, after_help = TABLE, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is collected, or simulated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SourceArg {
    /// X's sample
    #[default]
    X,
    /// All posts of Bluesky, which needs no key
    Bluesky,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The configuration file [default: ./twinstream.toml, then /etc/twinstream/twinstream.toml]
    #[arg(value_parser = users_path(), long, global = true, env = "TWINSTREAM_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Which of the servers this is [default: the one whose host is this machine's name]
    #[arg(long, global = true, env = "TWINSTREAM_SERVER", value_name = "ID")]
    pub(crate) server: Option<String>,
    /// Accept another spool or vault than the one that this server has worked with: once, after a restore
    /// or a move
    #[arg(long, global = true)]
    pub(crate) adopt: bool,
    /// Only warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// More detail: each connection, each file
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// How log lines look on standard error
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

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows the whole system on this machine: no keys, no set-up, nothing but loopback
    Demo(super::demo::DemoArgs),
    /// Writes a commented configuration file
    Init(Box<super::init::InitArgs>),
    /// Prints the defaults or the effective settings, or checks the configuration
    Config(super::config::ConfigArgs),
    /// Tries each door once: API, disk, clock, primary, mail, OSF, witness, service
    Check(super::check::CheckArgs),
    /// Runs the service: collects, and starts the other stages on schedule
    Run(super::run::RunArgs),
    /// Collects the stream until it is told to stop
    Collect(super::collect::CollectArgs),
    /// Sends what is sealed and not yet acknowledged, once
    Deliver(super::deliver::DeliverArgs),
    /// Merges the given or all ready hours, once
    Merge(super::merge::MergeArgs),
    /// Uploads what is committed and not public to OSF, once
    Publish(super::publish::PublishArgs),
    /// Writes the day's certificate, and prints the day's report
    Report(super::report::ReportArgs),
    /// Has the ledger's last line stamped by a time-stamping authority, if that is due
    Witness(super::witness::WitnessArgs),
    /// Takes posts out of the archive on request
    Redact(super::redact::RedactArgs),
    /// Copies days for sharing inside a team, with keyed hashes in the place of ids
    Pseudonymise(super::pseudonymise::PseudonymiseArgs),
    /// Tells how things stand, from what lies on the disk
    Status(super::status::StatusArgs),
    /// Prints what is missing: which server, since when, until when, and why
    Gaps(super::gaps::GapsArgs),
    /// Checks vault hours, days or a whole vault again; needs no keys and no configuration
    Verify(super::verify::VerifyArgs),
    /// Tells what a segment, events file, seal, manifest or vault file contains
    Inspect(super::inspect::InspectArgs),
    /// Runs the simulated X API, OSF and mail server on loopback, for rehearsals and tests
    Simulate(Box<super::simulate::SimulateArgs>),
    /// Prints or installs the systemd unit for this server
    Service(super::service::ServiceArgs),
    /// Writes the manual pages
    #[command(hide = true)]
    Man(super::man::ManArgs),
    /// Prints the completions for a shell
    Completions(super::completions::CompletionsArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// Beyond this, clap breaks a line, and leaves a single word on the next one.
    const WIDTH: usize = 100;

    #[test]
    fn examples_and_notes_are_not_broken_by_a_wide_terminal() {
        let mut commands = vec![Cli::command()];
        let mut seen = 0;
        while let Some(command) = commands.pop() {
            commands.extend(command.get_subcommands().cloned());
            let text = command.get_after_help().map(ToString::to_string);
            for line in text.unwrap_or_default().lines() {
                let width = line.chars().count();
                assert!(width <= WIDTH, "{}: {width}: {line}", command.get_name());
                seen += 1;
            }
        }
        assert!(100 < seen, "{seen} lines");
    }
}
