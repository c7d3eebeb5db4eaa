//! What decides which posts there are, and how their lines are written.

/// Which fields a line has, whatever the request asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fields {
    /// The few that describe who wrote what, when, in reply to what.
    Core,
    /// About all there are.
    All,
}

/// Which of the two vocabularies of the API lines use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vocabulary {
    /// `referenced_tweets`, `tweet_count`, …
    Tweet,
    /// `referenced_posts`, `post_count`, …
    Post,
    /// One or the other, line by line.
    Mixed,
}

/// The members whose names differ between the vocabularies.
#[derive(Debug)]
pub(super) struct Spelling {
    pub(super) edit_history: &'static str,
    pub(super) referenced: &'static str,
    pub(super) included_posts: &'static str,
    pub(super) reposts: &'static str,
    pub(super) user_posts: &'static str,
    pub(super) note: &'static str,
    pub(super) pinned: &'static str,
    pub(super) resource: &'static str,
}

pub(super) const TWEET: Spelling = Spelling {
    edit_history: "edit_history_tweet_ids",
    referenced: "referenced_tweets",
    included_posts: "tweets",
    reposts: "retweet_count",
    user_posts: "tweet_count",
    note: "note_tweet",
    pinned: "pinned_tweet_id",
    resource: "tweet",
};

pub(super) const POST: Spelling = Spelling {
    edit_history: "edit_history_post_ids",
    referenced: "referenced_posts",
    included_posts: "posts",
    reposts: "repost_count",
    user_posts: "post_count",
    note: "note_post",
    pinned: "pinned_post_id",
    resource: "post",
};

/// All that decides what posts there are.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The seed.
    pub seed: u64,
    /// Posts per 1,000 seconds, in the mean over a day.
    pub posts_per_1000s: u64,
    /// The residues modulo 1,000 that ids may have in their milliseconds; never empty, below 1,000.
    pub residues: Vec<u16>,
    /// Which fields lines have.
    pub fields: Fields,
    /// Which vocabulary they use.
    pub vocabulary: Vocabulary,
}
