//! A line → a post, or the reason for which it is none.

use std::borrow::Cow;

use super::{
    id,
    json::{cell, items, members},
    reject::Rejected,
};
use crate::period::UtcMs;

/// Times that `created_at` can have said, in milliseconds since 1970: 2006 to the end of 2199.
/// There were no posts before, and every offset of a zone since then is a whole number of minutes.
const POSSIBLE: std::ops::Range<i64> = 1_136_073_600_000..7_258_118_400_000;

/// What orders and places a post: its id and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The id.
    pub id: u64,
    /// The post time.
    pub at: UtcMs,
}

/// A post with what the 20 columns need; everything borrows from the line where it can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post<'a> {
    /// Its id and its time.
    pub placed: Placed,
    /// The parts of the line, as they stand in it.
    pub pieces: Pieces<'a>,
    /// When the collector received it, as the stored line says; empty without its stamp.
    pub retrieved_at: Cow<'a, str>,
    /// `data.conversation_id`
    pub conversation_id: Cow<'a, str>,
    /// `data.author_id`
    pub author_id: Cow<'a, str>,
    /// `data.created_at`
    pub created_at: Cow<'a, str>,
    /// `data.source`
    pub source: Cow<'a, str>,
    /// `data.lang`
    pub lang: Cow<'a, str>,
    /// `data.text`
    pub text: Cow<'a, str>,
    /// Type and id of the first reference.
    pub reference: Option<(Cow<'a, str>, Cow<'a, str>)>,
    /// The entry of `includes.users` that has the author's id.
    pub author: Option<Author<'a>>,
}

/// The parts of a line that say something of its post, as JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pieces<'a> {
    /// The post.
    pub data: &'a str,
    /// What was delivered beside it.
    pub includes: Option<&'a str>,
    /// What could not be delivered.
    pub errors: Option<&'a str>,
}

impl Post<'_> {
    const fn empty() -> Self {
        Self {
            placed: Placed {
                id: 0,
                at: UtcMs(0),
            },
            pieces: Pieces {
                data: "",
                includes: None,
                errors: None,
            },
            retrieved_at: Cow::Borrowed(""),
            conversation_id: Cow::Borrowed(""),
            author_id: Cow::Borrowed(""),
            created_at: Cow::Borrowed(""),
            source: Cow::Borrowed(""),
            lang: Cow::Borrowed(""),
            text: Cow::Borrowed(""),
            reference: None,
            author: None,
        }
    }
}

/// An author as the line has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Author<'a> {
    /// The whole object.
    pub json: &'a str,
    /// `created_at`, `location`, `name`, `username`, `verified`, `protected`, then of
    /// `public_metrics` the counts of followers, following, tweets (posts) and lists.
    pub cells: [Cow<'a, str>; 10],
}

/// The parts of a line that are looked into; the last of several members with one name counts.
#[derive(Default)]
struct Parts<'a> {
    data: Option<&'a str>,
    includes: Option<&'a str>,
    errors: Option<&'a str>,
    stamp: Option<&'a str>,
}

fn parts(line: &[u8]) -> Result<Parts<'_>, Rejected> {
    let not_json = |_why| Rejected::NotJson;
    let text = std::str::from_utf8(line).map_err(|_not_utf8| Rejected::NotJson)?;
    let mut parts = Parts::default();
    let each = |key: &[u8], value| match key {
        b"data" => parts.data = Some(value),
        b"includes" => parts.includes = Some(value),
        b"errors" => parts.errors = Some(value),
        b"__twarc" => parts.stamp = Some(value),
        _ => (),
    };
    members(text, each).map_err(not_json)?;
    Ok(parts)
}

/// Where a line belongs; reads no more of it than that needs.
pub fn place(line: &[u8]) -> Result<Placed, Rejected> {
    let data = parts(line)?.data.ok_or(Rejected::NoId)?;
    let (mut post_id, mut created_at) = (None, "");
    let each = |key: &[u8], value| match key {
        b"id" => post_id = Some(value),
        b"created_at" => created_at = value,
        _ => (),
    };
    members(data, each).map_err(|_why| Rejected::NotJson)?;
    placed(post_id, || cell(created_at))
}

fn placed<'a>(
    post_id: Option<&str>,
    created_at: impl FnOnce() -> Cow<'a, str>,
) -> Result<Placed, Rejected> {
    let post_id = post_id
        .filter(|json| *json != "null")
        .ok_or(Rejected::NoId)?;
    let id = id::parse(&cell(post_id)).ok_or(Rejected::BadId)?;
    let from_member = || match created_at().parse::<UtcMs>() {
        Ok(at) if POSSIBLE.contains(&at.0) => Ok(at),
        Ok(_) | Err(crate::period::NotATime { .. }) => Err(Rejected::NoTime),
    };
    let at = id::time(id).map_or_else(from_member, Ok)?;
    Ok(Placed { id, at })
}

/// The whole post.
pub fn post(line: &[u8]) -> Result<Post<'_>, Rejected> {
    let parts = parts(line)?;
    let data = parts.data.ok_or(Rejected::NoId)?;
    let mut post = Post::empty();
    post.pieces = Pieces {
        data,
        includes: parts.includes,
        errors: parts.errors,
    };
    let (mut post_id, mut references, mut references_old) = (None, None, None);
    let each = |key: &[u8], value| match key {
        b"id" => post_id = Some(value),
        b"conversation_id" => post.conversation_id = cell(value),
        b"author_id" => post.author_id = cell(value),
        b"created_at" => post.created_at = cell(value),
        b"source" => post.source = cell(value),
        b"lang" => post.lang = cell(value),
        b"text" => post.text = cell(value),
        b"referenced_posts" => references = Some(value),
        b"referenced_tweets" => references_old = Some(value),
        _ => (),
    };
    members(data, each).map_err(|_why| Rejected::NotJson)?;
    post.placed = placed(post_id, || Cow::Borrowed(&post.created_at))?;
    // syntax was checked with the whole line, so from here on nothing can be wrong but types
    let old = || references_old.and_then(first_reference);
    post.reference = references.and_then(first_reference).or_else(old);
    post.author = parts
        .includes
        .and_then(|includes| author(includes, &post.author_id));
    if let Some(stamp) = parts.stamp {
        let each = |key: &[u8], value| {
            if key == b"retrieved_at" {
                post.retrieved_at = cell(value);
            }
        };
        members(stamp, each).map_err(|_why| Rejected::NotJson)?;
    }
    Ok(post)
}

fn first_reference(json: &str) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    let mut first = None;
    let checked = items(json, |item| first = first.or(Some(item)));
    let (mut kind, mut id) = (Cow::Borrowed(""), Cow::Borrowed(""));
    let each = |key: &[u8], value| match key {
        b"type" => kind = cell(value),
        b"id" => id = cell(value),
        _ => (),
    };
    match checked.and_then(|()| members(first.unwrap_or("null"), each)) {
        Ok(()) if !kind.is_empty() => Some((kind, id)),
        _ => None,
    }
}

/// The user with the author's id; the last one if there are several.
fn author<'a>(includes: &'a str, author_id: &str) -> Option<Author<'a>> {
    let mut users = None;
    let found = members(includes, |key, value| {
        if key == b"users" {
            users = Some(value);
        }
    });
    let mut author = None;
    let searched = found.and_then(|()| {
        items(users.unwrap_or("null"), |user| {
            author = user_with(user, author_id).or(author.take());
        })
    });
    searched.map_or(None, |()| author)
}

fn user_with<'a>(user: &'a str, author_id: &str) -> Option<Author<'a>> {
    let mut author = Author {
        json: user,
        ..Author::default()
    };
    let (mut is_author, mut metrics) = (false, "null");
    let [
        created_at,
        location,
        name,
        username,
        verified,
        protected,
        ..,
    ] = &mut author.cells;
    let each = |key: &[u8], value| match key {
        b"id" => is_author = cell(value) == author_id,
        b"created_at" => *created_at = cell(value),
        b"location" => *location = cell(value),
        b"name" => *name = cell(value),
        b"username" => *username = cell(value),
        b"verified" => *verified = cell(value),
        b"protected" => *protected = cell(value),
        b"public_metrics" => metrics = value,
        _ => (),
    };
    let read = members(user, each);
    let [.., followers, following, posts, listed] = &mut author.cells;
    let mut posts_new = Cow::Borrowed("");
    let each = |key: &[u8], value| match key {
        b"followers_count" => *followers = cell(value),
        b"following_count" => *following = cell(value),
        b"tweet_count" => *posts = cell(value),
        b"post_count" => posts_new = cell(value),
        b"listed_count" => *listed = cell(value),
        _ => (),
    };
    let read = read.and_then(|()| members(metrics, each));
    if !posts_new.is_empty() {
        *posts = posts_new;
    }
    (read.is_ok() && is_author && !author_id.is_empty()).then_some(author)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_place(line: impl AsRef<[u8]>, expected: Result<(u64, &str), Rejected>) {
        let line = line.as_ref();
        let found = place(line).map(|placed| (placed.id, placed.at.to_string()));
        let shown = String::from_utf8_lossy(line);
        assert_eq!(
            found,
            expected.map(|(id, at)| (id, at.to_owned())),
            "{shown}"
        );
        assert_eq!(post(line).map(|post| post.placed), place(line), "{shown}");
    }

    const T: &str = "2022-06-28T16:07:40.105Z";
    const ID: u64 = 1_541_815_603_606_036_480;

    #[test]
    fn every_object_with_an_id_and_a_time_is_a_post() {
        check_place(r#"{"data":{"id":"1541815603606036480"}}"#, Ok((ID, T)));
        check_place(
            r#" {"data" : {"id":1541815603606036480} , "x":[{}]} "#,
            Ok((ID, T)),
        );
        check_place(
            r#"{"data":{"id":"1541815603606036480","text":"\ud83d"}}"#,
            Ok((ID, T)),
        );
        check_place(
            r#"{"data":{"id":"1541815603606036480","text":"\u0000"}}"#,
            Ok((ID, T)),
        );
        // the last of several members counts
        check_place(
            r#"{"data":{"id":"1","id":"1541815603606036480"}}"#,
            Ok((ID, T)),
        );
        check_place(
            r#"{"data":{"id":"1"},"data":{"id":"1541815603606036480"}}"#,
            Ok((ID, T)),
        );
        // before snowflake
        let old = r#"{"data":{"id":"20","created_at":"2006-03-21T20:50:14.000Z"}}"#;
        check_place(old, Ok((20, "2006-03-21T20:50:14.000Z")));
        check_place(r#"{"data":{"id":"20"}}"#, Err(Rejected::NoTime));
        check_place(
            r#"{"data":{"id":"20","created_at":"soon"}}"#,
            Err(Rejected::NoTime),
        );
        check_place(
            r#"{"data":{"id":"20","created_at":17}}"#,
            Err(Rejected::NoTime),
        );
        let year =
            |year| format!(r#"{{"data":{{"id":"20","created_at":"{year}-01-01T00:00:00Z"}}}}"#);
        check_place(year("2005"), Err(Rejected::NoTime));
        check_place(year("-000001"), Err(Rejected::NoTime));
        check_place(year("9999"), Err(Rejected::NoTime));
        // ids
        check_place(
            r#"{"data":{"id":"18446744073709551616"}}"#,
            Err(Rejected::BadId),
        );
        check_place(r#"{"data":{"id":-1}}"#, Err(Rejected::BadId));
        check_place(r#"{"data":{"id":1.5}}"#, Err(Rejected::BadId));
        check_place(r#"{"data":{"id":""}}"#, Err(Rejected::BadId));
        check_place(r#"{"data":{"id":null}}"#, Err(Rejected::NoId));
        check_place(r#"{"data":{}}"#, Err(Rejected::NoId));
        check_place(r#"{"data":[{"id":"1"}]}"#, Err(Rejected::NoId));
        check_place(r#"{"id":"1541815603606036480"}"#, Err(Rejected::NoId));
        check_place("[]", Err(Rejected::NoId));
        check_place("null", Err(Rejected::NoId));
    }

    #[test]
    fn what_is_not_json_is_no_post_however_long_it_looks_like_one() {
        for torn in [
            r#"{"data":{"id":"1541815603606036480""#,
            "",
            "  ",
            "{",
            "x",
            r#"{"data":{}} x"#,
        ] {
            check_place(torn, Err(Rejected::NotJson));
        }
        check_place(
            b"{\"data\":{\"id\":\"1541815603606036480\",\"text\":\"\0\"}}",
            Err(Rejected::NotJson),
        );
        check_place(
            b"{\"data\":{\"id\":\"1541815603606036480\",\"text\":\"\xff\"}}",
            Err(Rejected::NotJson),
        );
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        check_place(
            format!(r#"{{"data":{{"id":"1541815603606036480","x":{deep}}}}}"#),
            Ok((ID, T)),
        );
    }

    #[test]
    fn both_spellings_give_the_same_post() {
        let line = |refs: &str, count: &str| {
            format!(
                r#"{{"data":{{"id":"1541815603606036480","author_id":"7","{refs}":[{{"type":"quoted","id":"5"}},{{"type":"replied_to","id":"6"}}]}},"includes":{{"users":[{{"id":"8","name":"other"}},{{"id":"7","name":"me","public_metrics":{{"{count}":12,"listed_count":1}}}}]}}}}"#
            )
        };
        let old = line("referenced_tweets", "tweet_count");
        let new = line("referenced_posts", "post_count");
        let without_json = |line: &'static str| {
            let mut post = post(line.as_bytes()).unwrap();
            post.pieces = Pieces::default();
            post.author.as_mut().unwrap().json = "";
            post
        };
        let post_old = without_json(old.leak());
        assert_eq!(post_old, without_json(new.leak()));
        assert_eq!(post_old.reference, Some(("quoted".into(), "5".into())));
        let cells = ["", "", "me", "", "", "", "", "", "12", "1"];
        assert_eq!(post_old.author.unwrap().cells, cells.map(Cow::Borrowed));
    }
}
