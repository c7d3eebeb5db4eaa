//! What most commands need before they start: the log, the settings, the clock, the disk.

use super::{
    args::Global,
    exit::{Exit, Failure},
};
use crate::{
    config::settings::{Server, Settings},
    world::clock::Clock,
};

/// What a stage's command has at hand.
pub(crate) struct Setup {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
}

/// Reads the configuration and makes the clock.
pub(crate) fn load(_global: &Global) -> Result<Setup, Failure> {
    Err(Failure::new(Exit::Configuration, "cannot read the config"))
}

impl Setup {
    /// The server that this process runs on.
    pub(crate) fn this_server(&self) -> Result<&Server, Failure> {
        let this = self.settings.this.as_ref();
        self.settings
            .servers
            .iter()
            .find(|server| Some(&server.id) == this)
            .ok_or_else(|| Failure::new(Exit::Configuration, "which server this is cannot be told"))
    }
}

/// Sends log lines to standard error in the form asked for.
pub(crate) fn start_log(_global: &Global) {}
