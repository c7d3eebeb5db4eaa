//! The command line: its commands.

use clap::{Parser, Subcommand};

use super::{exit::TABLE, global::Global};

/// Collects a public post stream (X, Bluesky) on several servers, merges it into one archive, and proves what it has.
#[derive(Debug, Parser)]
#[command(name = "twinstream", version, after_help = TABLE, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Simulates the whole system on this machine: needs no keys and no set-up, uses only loopback
    Demo(super::demo::DemoArgs),
    /// Writes a commented configuration file
    Init(Box<super::init::InitArgs>),
    /// Prints the defaults or the effective settings, or checks the configuration
    Config(super::config::ConfigArgs),
    /// Tests every connection and folder once: API, disk, clock, primary, mail, OSF, witness, service
    Check(super::check::CheckArgs),
    /// Runs the service: collects, and starts the other stages on schedule
    Run(super::run::RunArgs),
    /// Collects the stream until it is told to stop
    Collect(super::collect::CollectArgs),
    /// Runs one delivery: sends every sealed segment that is not yet acknowledged
    Deliver(super::deliver::DeliverArgs),
    /// Runs one merge: of the given hours, or of all that are due
    Merge(super::merge::MergeArgs),
    Checkout(super::checkout::CheckoutArgs),
    /// Runs one upload to OSF: of everything that is committed and not yet public
    Publish(super::publish::PublishArgs),
    /// Writes the day's certificate, and prints the day's report
    Report(super::report::ReportArgs),
    /// Has a time-stamping authority stamp the ledger's last line, if a stamp is due
    Witness(super::witness::WitnessArgs),
    /// Compares the rules of X's filtered stream with the configured ones, or makes X's the same
    Rules(super::rules::RulesArgs),
    /// Takes posts out of the archive on request
    Redact(super::redact::RedactArgs),
    /// Copies days for your team, with keyed hashes in place of ids
    Pseudonymise(super::pseudonymise::PseudonymiseArgs),
    /// Prints what the status page shows; reads only files, so it also works while no service runs
    Status(super::status::StatusArgs),
    /// Lists what is missing: which server, from when to when, and why
    Gaps(super::gaps::GapsArgs),
    /// Checks hours, days or a whole vault; needs no keys and no configuration
    Verify(super::verify::VerifyArgs),
    /// Shows what a segment, events file, seal, manifest or vault file contains
    Inspect(super::inspect::InspectArgs),
    /// Simulates the platforms, OSF and a mail server on loopback, for rehearsals
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
