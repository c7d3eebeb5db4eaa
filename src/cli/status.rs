//! `status`: tells how things stand, from what lies on the disk.

use super::{
    args::Global,
    exit::{Exit, Failure},
};

#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {}

pub(crate) fn run(_global: &Global, _args: &StatusArgs) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
