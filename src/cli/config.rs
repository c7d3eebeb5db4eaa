//! `config`: prints the defaults or the effective settings, or checks the configuration.

use super::{
    args::Global,
    exit::{Exit, Failure},
};

#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {}

pub(crate) fn run(_global: &Global, _args: &ConfigArgs) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
