//! Talks to people: one file per command, each of which turns settings into a stage's run.

#![expect(clippy::print_stderr, reason = "this is where a person is spoken to")]

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use args::{Cli, Command};
use exit::{Exit, Failure};

use crate::world::{panic, process};

mod args;
mod attempts;
mod check;
mod check_services;
mod check_x;
mod checkout;
mod collect;
mod commits;
mod completions;
mod config;
mod deliver;
mod demo;
mod demo_site;
mod finding;
mod gaps;
mod global;
mod init;
mod inspect;
mod man;
mod merge;
mod merge_store;
mod merging;
mod output;
mod picture;
mod platform;
mod probe;
mod progress;
mod pseudonymise;
mod publish;
mod redact;
mod report;
mod rules;
mod run;
mod scratch;
mod service;
mod setup;
mod simulate;
mod simulate_bluesky;
mod simulate_flags;
mod simulate_osf;
mod simulate_smtp;
mod status;
mod store;
mod stream;
mod unit;
mod vault_there;
mod verify;
mod witness;

/// The exit codes, and which failure has which.
pub mod exit;

/// The real entry: reads the command line, runs the command, prints a failure.
pub fn main() -> ExitCode {
    panic::end_the_process();
    let cli = Cli::parse();
    setup::start_log(&cli.global);
    let exit = match dispatch(&cli) {
        Ok(exit) => exit,
        Err(failure) => {
            if !failure.what.is_empty() {
                eprintln!("twinstream: {failure}");
            }
            failure.exit
        }
    };
    ExitCode::from(exit as u8)
}

fn dispatch(cli: &Cli) -> Result<Exit, Failure> {
    if let Some(parent) = cli.global.child_of {
        process::be_a_child_of(parent)?;
    }
    match &cli.command {
        Command::Demo(args) => demo::run(&cli.global, args),
        Command::Init(args) => init::run(&cli.global, args),
        Command::Config(args) => config::run(&cli.global, args),
        Command::Check(args) => check::run(&cli.global, args),
        Command::Run(args) => run::run(&cli.global, args),
        Command::Collect(args) => collect::run(&cli.global, args),
        Command::Deliver(args) => deliver::run(&cli.global, args),
        Command::Merge(args) => merge::run(&cli.global, args),
        Command::Publish(args) => publish::run(&cli.global, args),
        Command::Report(args) => report::run(&cli.global, args),
        Command::Witness(args) => witness::run(&cli.global, args),
        Command::Rules(args) => rules::run(&cli.global, args),
        Command::Redact(args) => redact::run(&cli.global, args),
        Command::Pseudonymise(args) => pseudonymise::run(&cli.global, args),
        Command::Status(args) => status::run(&cli.global, args),
        Command::Checkout(args) => checkout::run(&cli.global, args),
        Command::Verify(args) => verify::run(&cli.global, args),
        Command::Gaps(args) => gaps::run(&cli.global, args),
        Command::Inspect(args) => inspect::run(&cli.global, args),
        Command::Simulate(args) => simulate::run(&cli.global, args),
        Command::Service(args) => service::run(&cli.global, args),
        Command::Man(args) => man::run(Cli::command(), args),
        Command::Completions(args) => completions::run(Cli::command(), args),
    }
}
