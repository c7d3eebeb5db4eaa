//! Which platforms can be collected. All that the configuration knows of one is here, in `stream`, and in the section of each
//! (`resolve_x`, `resolve_bluesky`).

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

    /// How its simulator on this machine is named in the configuration, for whoever asks for simulated time.
    pub const fn how_to_simulate(self) -> &'static str {
        match self {
            Self::X => {
                "simulated time is for a simulated API: set x.base_url to its loopback address"
            }
            Self::Bluesky => {
                "simulated time is for simulated endpoints: set bluesky.endpoints to their loopback addresses"
            }
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
