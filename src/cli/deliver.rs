//! `deliver`: sends what is sealed and not yet acknowledged, once.

use super::{
    args::Global,
    exit::{Exit, Failure},
};

#[derive(Debug, clap::Args)]
pub(crate) struct DeliverArgs {}

pub(crate) fn run(_global: &Global, _args: &DeliverArgs) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
