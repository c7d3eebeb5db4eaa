//! `completions`: prints the completions for a shell.

use super::{
    args::Global,
    exit::{Exit, Failure},
};

#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {}

pub(crate) fn run(_global: &Global, _args: &CompletionsArgs) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
