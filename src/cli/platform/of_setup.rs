//! What a set-up has of its platform.

use super::{Platform, of};
use crate::{
    cli::{exit::Failure, setup::Setup},
    config::settings::Server,
    source::wire::Wire,
};

impl Setup {
    /// Where the posts come from.
    pub(crate) fn platform(&self) -> &'static dyn Platform {
        of(self.settings.source)
    }

    /// How each part of the stream that this server collects is asked for.
    pub(crate) fn wires(&self, server: &Server) -> Result<Vec<Box<dyn Wire>>, Failure> {
        let legs = server.legs().into_iter();
        legs.map(|leg| self.platform().wire(&self.settings, leg.partition))
            .collect()
    }
}
