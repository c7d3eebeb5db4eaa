//! `simulate`: runs the simulated X API on loopback, for rehearsals and tests.

use super::{
    args::Global,
    exit::{Exit, Failure},
};

#[derive(Debug, clap::Args)]
pub(crate) struct SimulateArgs {}

pub(crate) fn run(_global: &Global, _args: &SimulateArgs) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
