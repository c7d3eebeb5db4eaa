//! `collect`: collects the stream until it is told to stop.

use super::{
    args::Global,
    exit::{Exit, Failure},
};

#[derive(Debug, clap::Args)]
pub(crate) struct CollectArgs {}

pub(crate) fn run(_global: &Global, _args: &CollectArgs) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
