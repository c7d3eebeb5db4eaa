//! `inspect`: tells what a segment, events file, seal, manifest or vault file contains.

use super::{
    args::Global,
    exit::{Exit, Failure},
};

#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {}

pub(crate) fn run(_global: &Global, _args: &InspectArgs) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
