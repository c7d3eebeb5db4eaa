//! What the commands need from a platform. Each platform's part is a file of its own.

use std::process::Command;

use super::{exit::Failure, finding::Finding, setup::Setup};
use crate::{
    config::{self, proxy::Proxies, rehearsal::Simulated, settings::Settings},
    pseudonym::Form,
    segment::name::Partition,
    source::wire::Wire,
};

/// Bluesky.
mod bluesky;
/// What a set-up has of its platform.
mod of_setup;
/// X.
mod x;

/// A platform, as the commands see it.
pub(crate) trait Platform {
    /// How a part of the stream is asked for.
    fn wire(
        &self,
        settings: &Settings,
        partition: Option<Partition>,
    ) -> Result<Box<dyn Wire>, Failure>;

    /// Whether the stream can be had here, and the clock: what `check` tells.
    fn check(&self, setup: &Setup, proxies: &Proxies) -> Vec<Finding>;

    /// What a copy under pseudonyms has of it.
    fn pseudonyms(&self) -> &'static Form;

    /// What `simulate` stands in for.
    fn simulated(&self) -> &'static str;

    /// The faults of a demo: the first and the last server lose other minutes.
    fn faults(&self, last: usize) -> String;

    /// What `simulate` is told besides, for so many servers, of which each has that token.
    fn simulate(&self, settings: &Settings, token: &str, command: &mut Command);

    /// Where a server of a demo finds the stream: at its own address, or at all of them.
    fn stands_at(&self, own: &str, all: &[String]) -> Simulated;
}

/// Who answers.
pub(crate) const fn of(platform: config::platform::Platform) -> &'static dyn Platform {
    match platform {
        config::platform::Platform::X => &x::X,
        config::platform::Platform::Bluesky => &bluesky::Bluesky,
    }
}
