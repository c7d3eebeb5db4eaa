//! X's posts: which cells of them are copied, and in what form.

use super::{
    key::{HashKey, IdKind},
    row::Row,
    tables::{Form, Tables, minute},
    words::{self, Names},
};
use crate::vault::csv;

/// What is copied of X.
pub static FORM: Form = Form {
    tables: &[("posts", &POSTS), ("users", &USERS)],
    read: READ,
    add,
    readme: include_str!("readme_x.md"),
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

/// Takes a post of X in.
fn add(tables: &mut Tables, key: &HashKey, post: &Row<'_>) {
    let hash = |of, id: Option<u64>| id.map_or_else(String::new, |id| key.hash(of, id));
    let all = post.each("referenced_posts");
    let referenced = |kind: &str| {
        let mut of_kind = all.iter().filter(|one| one.text("type") == Some(kind));
        hash(IdKind::Post, of_kind.next().and_then(|one| one.id("id")))
    };
    let mentions = mentions(post);
    let mentioned: Vec<String> = mentions
        .iter()
        .filter_map(|user| Some(key.hash(IdKind::User, user.id("id")?)))
        .collect();
    let note = post.object("note_post");
    let text = note
        .and_then(|note| note.text("text"))
        .or(post.text("text"));
    let fields = [
        hash(IdKind::Post, post.id("id")),
        hash(IdKind::Post, post.id("conversation_id")),
        hash(IdKind::User, post.id("author_id")),
        post.time("post_time").map_or_else(String::new, minute),
        post.text("lang").unwrap_or_default().to_owned(),
        words::cleaned(text.unwrap_or_default(), &names(post, &mentions)),
        referenced("retweeted"),
        referenced("quoted"),
        referenced("replied_to"),
        hash(IdKind::User, post.id("in_reply_to_user_id")),
        mentioned.join(" "),
    ];
    let mut row = Vec::new();
    csv::push_row(&mut row, fields.iter().map(String::as_str));
    tables.post(row);
    if let (Some(id), Some(author)) = (post.id("author_id"), post.object("author")) {
        let id = key.hash(IdKind::User, id);
        let row = user(&id, &author);
        // a later post of the hour has the later counts
        tables.user(id, row);
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

/// The number with all digits but the first made zeros.
fn one_digit(count: i64) -> i64 {
    let mut unit = 1;
    while 10 <= count / unit {
        unit *= 10;
    }
    count / unit * unit
}

/// The users who are named in the text.
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
    fn counts_are_coarse() {
        let counts = [0, 7, 10, 19, 99, 100, 123_456].map(one_digit);
        assert_eq!(counts, [0, 7, 10, 10, 90, 100, 100_000]);
        assert_eq!(one_digit(i64::MAX), 9_000_000_000_000_000_000);
    }
}
