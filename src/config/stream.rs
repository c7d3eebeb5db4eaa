//! What the settings of the chosen platform mean for everything else: where its stream is, what it needs, and into how many
//! partitions it is divided.

use std::{path::Path, slice};

use super::{platform::Platform, settings::Settings};
use crate::segment::collections::Collections;

impl Settings {
    /// Where the stream is, in the order of the configuration.
    pub fn addresses(&self) -> &[String] {
        match self.source {
            Platform::X => slice::from_ref(&self.x.base_url),
            Platform::Bluesky => &self.bluesky.endpoints,
        }
    }

    /// Where this server asks for the stream: first here, then there.
    pub fn endpoints(&self) -> Vec<String> {
        let all = self.addresses();
        let this = self.this_one().filter(|_| match self.source {
            Platform::X => false,
            Platform::Bluesky => true,
        });
        let own = this.and_then(|this| this.endpoint.clone());
        let place = self.servers.iter().position(|server| {
            // the place in the file is the same on every server
            Some(&server.id) == self.this.as_ref()
        });
        let first = place.unwrap_or(0) % all.len().max(1);
        let (before, from) = all.split_at(first);
        let rest = from
            .iter()
            .chain(before)
            .filter(|one| Some(*one) != own.as_ref());
        own.iter().chain(rest).cloned().collect()
    }

    /// Holds the token without which the stream is not given, where it takes one.
    pub fn stream_token_file(&self) -> Option<&Path> {
        match self.source {
            Platform::X => Some(&self.x.bearer_token_file),
            Platform::Bluesky => None,
        }
    }

    /// Into how many partitions the stream is divided; 0: into none.
    pub const fn partitions(&self) -> u8 {
        match self.source {
            Platform::X => self.x.stream.partitions(),
            Platform::Bluesky => 0,
        }
    }

    /// The collections that are asked for, where the platform sends only those that are named.
    pub fn collections(&self) -> Option<Collections> {
        match self.source {
            Platform::X => None,
            Platform::Bluesky => Some(self.bluesky.collections.clone().into()),
        }
    }

    /// Whether what was deleted is taken out of the archive.
    pub const fn honours_deletions(&self) -> bool {
        match self.source {
            // its stream reports no deletions: `redact` removes posts on request
            Platform::X => false,
            Platform::Bluesky => self.bluesky.honours_deletions,
        }
    }
}
