//! The tables: which cells of a post go into them, and in what form. Those of X's posts are here.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    key::{Key, Of},
    row::Row,
    words::{self, Names},
};
use crate::{period::UtcMs, vault::csv};

/// What is copied of a platform.
pub(super) struct Form {
    /// The tables: what their files are called, and their columns.
    pub(super) tables: &'static [(&'static str, &'static [&'static str])],
    /// The columns of `posts.parquet` that are looked at.
    pub(super) read: &'static [&'static str],
    /// Takes a row of it in.
    pub(super) add: fn(&mut Tables, &Key, &Row<'_>),
    /// What is told of the copy.
    pub(super) readme: &'static str,
}

/// What is copied of X.
pub(super) const X: Form = Form {
    tables: &[("posts", &POSTS), ("users", &USERS)],
    read: READ,
    add,
    readme: include_str!("readme.md"),
};

/// The columns of posts.
const POSTS: [&str; 11] = [
    "id",
    "conversation_id",
    "author_id",
    "created_at",
    "lang",
    "text",
    "reposted_id",
    "quoted_id",
    "replied_to_id",
    "in_reply_to_user_id",
    "mentioned_user_ids",
];

/// The columns of users.
const USERS: [&str; 6] = [
    "author_id",
    "created_year",
    "verified",
    "followers_count",
    "following_count",
    "post_count",
];

const READ: &[&str] = &[
    "id",
    "conversation_id",
    "author_id",
    "post_time",
    "lang",
    "text",
    "note_post",
    "referenced_posts",
    "in_reply_to_user_id",
    "entities",
    "author",
    "includes",
];

/// The rows of an hour, in the order of their hashes: that of ids would tell when each post was made.
#[derive(Default)]
pub(super) struct Tables {
    posts: Vec<Vec<u8>>,
    users: BTreeMap<String, Vec<u8>>,
    /// The lines of what is held back, which is not copied.
    pub(super) held: BTreeSet<String>,
}

/// Takes a post of X in.
fn add(tables: &mut Tables, key: &Key, post: &Row<'_>) {
    let hash = |of, id: Option<u64>| id.map_or_else(String::new, |id| key.hash(of, id));
    let all = post.each("referenced_posts");
    let referenced = |kind: &str| {
        let mut of_kind = all.iter().filter(|one| one.text("type") == Some(kind));
        hash(Of::Post, of_kind.next().and_then(|one| one.id("id")))
    };
    let mentions = mentions(post);
    let mentioned: Vec<String> = mentions
        .iter()
        .filter_map(|user| Some(key.hash(Of::User, user.id("id")?)))
        .collect();
    let note = post.object("note_post");
    let text = note
        .and_then(|note| note.text("text"))
        .or(post.text("text"));
    let fields = [
        hash(Of::Post, post.id("id")),
        hash(Of::Post, post.id("conversation_id")),
        hash(Of::User, post.id("author_id")),
        post.time("post_time").map_or_else(String::new, minute),
        post.text("lang").unwrap_or_default().to_owned(),
        words::cleaned(text.unwrap_or_default(), &names(post, &mentions)),
        referenced("retweeted"),
        referenced("quoted"),
        referenced("replied_to"),
        hash(Of::User, post.id("in_reply_to_user_id")),
        mentioned.join(" "),
    ];
    let mut row = Vec::new();
    csv::push_row(&mut row, fields.iter().map(String::as_str));
    tables.post(row);
    if let (Some(id), Some(author)) = (post.id("author_id"), post.object("author")) {
        let id = key.hash(Of::User, id);
        let row = user(&id, &author);
        // a later post of the hour has the later counts
        tables.users.insert(id, row);
    }
}

impl Tables {
    /// None yet, and none of those lines is to come in.
    pub(super) fn without(held: BTreeSet<String>) -> Self {
        Self {
            held,
            ..Self::default()
        }
    }

    /// Takes the row of a post in.
    pub(super) fn post(&mut self, row: Vec<u8>) {
        self.posts.push(row);
    }

    /// How many posts are in it.
    pub(super) fn len(&self) -> u64 {
        self.posts.len() as u64
    }

    /// The rows of posts, and of users.
    pub(super) fn rows(mut self) -> [Vec<Vec<u8>>; 2] {
        self.posts.sort();
        [self.posts, self.users.into_values().collect()]
    }
}

fn user(id: &str, of: &Row<'_>) -> Vec<u8> {
    let metrics = of.object("public_metrics");
    let count = |name: &str| {
        let count = metrics.as_ref().and_then(|metrics| metrics.number(name));
        count.map_or_else(String::new, |count| one_digit(count).to_string())
    };
    let year = of.time("created_at").map(|at| at.to_string());
    let fields = [
        id.to_owned(),
        year.map_or_else(String::new, |year| year.chars().take(4).collect()),
        of.flag("verified")
            .map_or_else(String::new, |is| is.to_string()),
        count("followers_count"),
        count("following_count"),
        count("post_count"),
    ];
    let mut row = Vec::new();
    csv::push_row(&mut row, fields.iter().map(String::as_str));
    row
}

/// `2026-11-23T14:05Z`
pub(super) fn minute(at: UtcMs) -> String {
    at.to_string().chars().take(16).collect::<String>() + "Z"
}

/// The number with all digits but the first made zeros.
fn one_digit(count: i64) -> i64 {
    let mut unit = 1;
    while 10 <= count / unit {
        unit *= 10;
    }
    count / unit * unit
}

/// Who is named in the text.
fn mentions<'a>(post: &Row<'a>) -> Vec<Row<'a>> {
    let note = post.object("note_post");
    let of_note = note.and_then(|note| note.object("entities"));
    let entities = of_note.or(post.object("entities"));
    entities.map_or_else(Vec::new, |entities| entities.each("mentions"))
}

/// What the persons are called that come with a post.
fn names<'a>(post: &Row<'a>, mentions: &[Row<'a>]) -> Names {
    let mut names = Names::default();
    let short = post.object("entities");
    let short = short.map_or_else(Vec::new, |entities| entities.each("mentions"));
    let others = post.object("includes");
    let others = others.map_or_else(Vec::new, |includes| includes.each("users"));
    let author = post.object("author");
    for user in author.iter().chain(&others).chain(mentions).chain(&short) {
        if let Some(handle) = user.text("username") {
            names.handle(handle);
        }
        if let Some(name) = user.text("name") {
            names.name(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_times_are_coarse() {
        let counts = [0, 7, 10, 19, 99, 100, 123_456].map(one_digit);
        assert_eq!(counts, [0, 7, 10, 10, 90, 100, 100_000]);
        assert_eq!(one_digit(i64::MAX), 9_000_000_000_000_000_000);
        let at: UtcMs = "2026-11-23T14:05:59.999Z".parse().unwrap();
        assert_eq!(minute(at), "2026-11-23T14:05Z");
    }
}
