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

/// What the columns of `tweets.csv` mean.
pub const TWEETS_ABOUT: [&str; 20] = [
    "The post's id",
    "The first post of the conversation",
    "The author's id",
    "When the post was made, as the API says",
    "When the server whose copy is kept received it",
    "The app it was posted with; withdrawn by X in December 2022",
    "The language that X found",
    "The text; every line break and NUL is one space (`posts.parquet` has the exact text)",
    "How it refers to another post: `retweeted`, `quoted`, `replied_to`, or `original` if it does not",
    "The post it refers to (the first if there are several); empty if there is none",
    "When the author's account was made",
    "What the author gives as a place",
    "The author's name",
    "The author's name without @",
    "Whether the author is verified",
    "Whether only followers can see the author's posts",
    "Followers of the author, at delivery",
    "Users the author follows",
    "Posts of the author",
    "Lists the author is on",
];

/// What the columns of `users.csv` mean.
pub const USERS_ABOUT: [&str; 12] = [
    "The author's id",
    "The language of the author's latest post of the hour",
    TWEETS_ABOUT[10],
    TWEETS_ABOUT[11],
    TWEETS_ABOUT[12],
    TWEETS_ABOUT[13],
    TWEETS_ABOUT[14],
    TWEETS_ABOUT[15],
    TWEETS_ABOUT[16],
    TWEETS_ABOUT[17],
    TWEETS_ABOUT[18],
    TWEETS_ABOUT[19],
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
