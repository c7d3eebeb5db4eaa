//! `merge`: merges the given or all ready hours, once.

use super::{
    args::Global,
    exit::{Exit, Failure},
};

#[derive(Debug, clap::Args)]
pub(crate) struct MergeArgs {}

pub(crate) fn run(_global: &Global, _args: &MergeArgs) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
