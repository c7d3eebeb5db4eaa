//! Which streams there are, and which posts of the feed each gets. If a stream has partitions, a hash of the post's id
//! selects one: a post is in one partition only, and always in the same.

use super::chance::mix;

/// A stream that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offer {
    /// What it is called.
    pub(super) word: &'static str,
    /// Its path.
    pub(super) path: &'static str,
    /// How many partitions it has; 0: none.
    pub(super) partitions: u8,
    /// Whether the app's rules choose what it brings.
    pub(super) by_rules: bool,
}

/// No stream has more partitions than the firehose.
pub(super) const PARTITIONS_MAX: u8 = 20;

/// The streams. All of them send posts of one feed; the recipe says how many there are.
const OFFERS: [Offer; 4] = [
    Offer {
        word: "sample",
        path: "/2/tweets/sample/stream",
        partitions: 0,
        by_rules: false,
    },
    Offer {
        word: "sample10",
        path: "/2/tweets/sample10/stream",
        partitions: 2,
        by_rules: false,
    },
    Offer {
        word: "firehose",
        path: "/2/tweets/firehose/stream",
        partitions: PARTITIONS_MAX,
        by_rules: false,
    },
    Offer {
        word: "filtered",
        path: "/2/tweets/search/stream",
        partitions: 0,
        by_rules: true,
    },
];

impl Offer {
    /// The stream of a path.
    pub(super) fn of(path: &str) -> Option<Self> {
        OFFERS.into_iter().find(|offer| offer.path == path)
    }
}

/// What a stream gets of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selection {
    /// Everything.
    All,
    /// What the app's rules choose.
    Matching,
    /// One of so many partitions, counted from 1.
    Partition(u8, u8),
}

impl Selection {
    /// The partition, if it is one.
    pub(super) const fn partition(self) -> Option<u8> {
        match self {
            Self::All | Self::Matching => None,
            Self::Partition(number, _) => Some(number),
        }
    }

    /// Whether it gets that post; what has no id is of the first partition.
    pub(super) fn takes(self, post_id: Option<u64>) -> bool {
        match self {
            Self::All | Self::Matching => true,
            Self::Partition(number, of) => {
                let index = post_id.map_or(0, |post_id| mix(post_id) % u64::from(of.max(1)));
                index + 1 == u64::from(number)
            }
        }
    }
}
