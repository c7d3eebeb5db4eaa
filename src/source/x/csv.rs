//! The columns of `tweets.csv` and `users.csv`, in their order: the predecessor's, so that code written for its
//! files keeps working.

use crate::source::{Named, Table, joined};

/// `tweets.csv`, one row a post.
pub(super) static TWEETS: Table = Table {
    name: "tweets",
    row: "post, ascending by `id`",
    columns: &TWEET_COLUMNS,
    retrieved_at: "retrieved_at",
};

/// `users.csv`, one row an author.
pub(super) static USERS: Table = Table {
    name: "users",
    row: "author, ascending by `author_id`",
    columns: &USER_COLUMNS,
    retrieved_at: "",
};

const TWEET_COLUMNS: [Named; 20] = joined(&POST, &AUTHOR);

const USER_COLUMNS: [Named; 12] = joined(&USER, &AUTHOR);

/// What both files say of an author.
const AUTHOR: [Named; 10] = [
    ("author.created_at", "When the author's account was made"),
    (
        "author.location",
        "The place that the author gives: any text",
    ),
    ("author.name", "The author's name"),
    ("author.username", "The author's username, without @"),
    ("author.verified", "Whether the author is verified"),
    (
        "author.protected",
        "Whether only followers can see the author's posts",
    ),
    (
        "author.public_metrics.followers_count",
        "Followers of the author, at delivery",
    ),
    (
        "author.public_metrics.following_count",
        "Users the author follows",
    ),
    ("author.public_metrics.tweet_count", "Posts of the author"),
    (
        "author.public_metrics.listed_count",
        "Lists the author is on",
    ),
];

/// What only `tweets.csv` says.
const POST: [Named; 10] = [
    ("id", "The post's id"),
    ("conversation_id", "The first post of the conversation"),
    ("author_id", "The author's id"),
    ("created_at", "When the post was made, according to the API"),
    (
        "retrieved_at",
        "When the server whose copy is kept received it",
    ),
    (
        "source",
        "The app it was posted with; X stopped sending it in December 2022",
    ),
    ("lang", "The language that X detected"),
    (
        "text",
        "The text; every line break and NUL is one space (`posts.parquet` has the exact text)",
    ),
    (
        "reference_type",
        "How it refers to another post: `retweeted`, `quoted`, `replied_to`, or `original` if it does not",
    ),
    (
        "referenced_tweet_id",
        "The post it refers to (the first if there are several); empty if there is none",
    ),
];

/// What only `users.csv` says.
const USER: [Named; 2] = [
    ("author_id", "The author's id"),
    (
        "lang",
        "The language of the author's latest post of the hour",
    ),
];
