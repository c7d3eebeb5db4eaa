//! `completions`: prints the completions for a shell.

use super::{
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

/// Of that command line.
pub(crate) fn run(mut whole: clap::Command, args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut whole, "twinstream", &mut text);
    output::print(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Done)
}
