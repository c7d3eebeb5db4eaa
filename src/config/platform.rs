//! Which platforms can be collected, and what the settings of one mean for all others: here, and in the section of each
//! (`resolve_x`, `resolve_bluesky`), stands all that the configuration knows of them.

use std::{path::Path, slice};

use super::settings::Settings;

/// A platform whose stream can be collected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Platform {
    /// X.
    #[default]
    X,
    /// Bluesky.
    Bluesky,
}

impl Platform {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::X, Self::Bluesky];

    /// As `source` has it; its section is called so, too.
    pub const fn word(self) -> &'static str {
        match self {
            Self::X => "x",
            Self::Bluesky => "bluesky",
        }
    }

    /// Whether its stream needs a token.
    pub const fn takes_token(self) -> bool {
        match self {
            Self::X => true,
            Self::Bluesky => false,
        }
    }

    /// What of its posts is published.
    pub const fn ids(self) -> &'static str {
        match self {
            Self::X => "ids of posts",
            Self::Bluesky => "addresses of posts",
        }
    }

    /// Whether its terms limit how many ids may become public, unless the configuration says otherwise.
    pub const fn limits_ids(self) -> bool {
        match self {
            Self::X => true,
            Self::Bluesky => false,
        }
    }
}

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

    /// Whether what was deleted is taken out of the archive.
    pub const fn honours_deletions(&self) -> bool {
        match self.source {
            // its stream reports no deletions: `redact` removes posts on request
            Platform::X => false,
            Platform::Bluesky => self.bluesky.honours_deletions,
        }
    }
}
