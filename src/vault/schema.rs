//! The columns of the CSV files, in their order: the predecessor's, so that code written for its
//! files keeps working.

/// `tweets.csv`, one row a post.
pub const TWEETS: [&str; 20] = [
    "id",
    "conversation_id",
    "author_id",
    "created_at",
    "retrieved_at",
    "source",
    "lang",
    "text",
    "reference_type",
    "referenced_tweet_id",
    "author.created_at",
    "author.location",
    "author.name",
    "author.username",
    "author.verified",
    "author.protected",
    "author.public_metrics.followers_count",
    "author.public_metrics.following_count",
    "author.public_metrics.tweet_count",
    "author.public_metrics.listed_count",
];

/// `users.csv`, one row an author.
pub const USERS: [&str; 12] = [
    "author_id",
    "lang",
    "author.created_at",
    "author.location",
    "author.name",
    "author.username",
    "author.verified",
    "author.protected",
    "author.public_metrics.followers_count",
    "author.public_metrics.following_count",
    "author.public_metrics.tweet_count",
    "author.public_metrics.listed_count",
];

/// The header line of a file with these columns, with its LF.
pub fn header(columns: &[&str]) -> String {
    format!("{}\n", columns.join(","))
}
