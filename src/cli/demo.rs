//! `demo`: shows the whole system on this machine: no keys, no set-up, nothing but loopback.

use super::{
    args::Global,
    exit::{Exit, Failure},
};

#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {}

pub(crate) fn run(_global: &Global, _args: &DemoArgs) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
