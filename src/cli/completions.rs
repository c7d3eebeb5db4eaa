//! `completions`: prints the completions for a shell.

use clap::CommandFactory as _;

use super::{
    args::{Cli, Global},
    exit::{Exit, Failure},
    output,
};

/// Prints the completions for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream completions bash > /etc/bash_completion.d/twinstream
  twinstream completions zsh > \"${fpath[1]}/_twinstream\"")]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub(crate) fn run(_global: &Global, args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "twinstream", &mut text);
    output::print(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Done)
}
