//! Parses a line into a post, or the reason why it is not one.

use std::borrow::Cow;

use super::{id, reject};
use crate::{
    period::UtcMs,
    source::{
        Placed, Rejected,
        json::{self, NotJson, Object, Reader, cell},
        key::{Key, numeric_id},
    },
};

/// Times that `created_at` can have said, in milliseconds since 1970: 2006 to the end of 2199.
/// There were no posts before, and every offset of a zone since then is a whole number of minutes.
const POSSIBLE: std::ops::Range<i64> = 1_136_073_600_000..7_258_118_400_000;

/// Type and id of a post that is referred to.
pub type Reference<'a> = (Cow<'a, str>, Cow<'a, str>);

/// A post with what the 20 columns need; everything borrows from the line where it can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post<'a> {
    /// Its id and its time.
    pub placed: Placed,
    /// The parts of the line, as they stand in it.
    pub pieces: Pieces<'a>,
    /// When the collector received it; empty if that is not known. No part of the line as received.
    pub retrieved_at: String,
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
    /// The first reference.
    pub reference: Option<Reference<'a>>,
    /// The entry of `includes.users` that has the author's id.
    pub author: Option<Author<'a>>,
}

/// The parts of a line that say something of its post, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pieces<'a> {
    /// The post.
    pub data: Object<'a>,
    /// What was delivered beside it.
    pub includes: Option<Object<'a>>,
    /// What could not be delivered.
    pub errors: Option<&'a str>,
    /// The rules of the filtered stream that it matched.
    pub matching_rules: Option<&'a str>,
}

impl Post<'_> {
    pub(super) const fn empty() -> Self {
        Self {
            placed: Placed {
                key: Key::Number(0),
                at: UtcMs(0),
                is_timed: false,
                is_prompt: true,
            },
            pieces: Pieces {
                data: Object {
                    json: "",
                    members: Vec::new(),
                },
                includes: None,
                errors: None,
                matching_rules: None,
            },
            retrieved_at: String::new(),
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
    pub object: Object<'a>,
    /// `created_at`, `location`, `name`, `username`, `verified`, `protected`, then of
    /// `public_metrics` the counts of followers, following, tweets (posts) and lists.
    pub cells: [Cow<'a, str>; 10],
}

/// Whose post a line is, if it says so.
pub fn author(line: &[u8]) -> Option<Cow<'_, str>> {
    let mut author = None;
    let read = json::read(text(line).ok()?, |name, value| {
        if name != "data" {
            return value.value().map(drop);
        }
        value.members(|name, value| {
            if name == "author_id" {
                author = Some(value.cell()?);
            } else {
                value.value()?;
            }
            Ok(())
        })
    });
    read.ok().and(author)
}

/// Where a line belongs; keeps no more of it than that needs. Says as well whether [`early_time`] tells its time.
pub fn place(line: &[u8]) -> Result<(Placed, bool), Rejected> {
    let (mut post_id, mut created_at) = (None, Cow::Borrowed(""));
    let mut ids = 0;
    json::read(text(line)?, |name, value| {
        if name != "data" {
            return value.value().map(drop);
        }
        (post_id, created_at) = (None, Cow::Borrowed(""));
        value.members(|name, value| {
            match name {
                "id" => {
                    post_id = Some(value.value()?);
                    ids += 1;
                }
                "created_at" => created_at = value.cell()?,
                _ => drop(value.value()?),
            }
            Ok(())
        })
    })?;
    let placed = placed(post_id, &created_at)?;
    // the last id counts: so does the first one, if it is the only one
    let is_early = placed.is_timed && ids == 1;
    Ok((placed, is_early))
}

/// The time that the first id of a post tells. What comes after it is not read.
pub fn early_time(line: &[u8]) -> Option<UtcMs> {
    let mut first = None;
    let _ended_at_the_id = json::read(text(line).ok()?, |name, value| {
        if name != "data" {
            return value.value().map(drop);
        }
        value.members(|name, value| {
            let json = value.value()?;
            if name == "id" {
                first = Some(json);
                return Err(NotJson);
            }
            Ok(())
        })
    });
    id::time(numeric_id(&cell(first?))?)
}

fn text(line: &[u8]) -> Result<&str, Rejected> {
    simdutf8::basic::from_utf8(line).map_err(|_not_utf8| Rejected::NOT_JSON)
}

fn placed(post_id: Option<&str>, created_at: &str) -> Result<Placed, Rejected> {
    let post_id = post_id
        .filter(|json| *json != "null")
        .ok_or(reject::NO_ID)?;
    let id = numeric_id(&cell(post_id)).ok_or(reject::BAD_ID)?;
    let from_member = || match created_at.parse::<UtcMs>() {
        Ok(at) if POSSIBLE.contains(&at.0) => Ok(at),
        Ok(_) | Err(crate::period::NotATime { .. }) => Err(reject::NO_TIME),
    };
    let time = id::time(id);
    Ok(Placed {
        key: id.into(),
        at: time.map_or_else(from_member, Ok)?,
        is_timed: time.is_some(),
        is_prompt: true,
    })
}

/// The whole post, if wanted with the members of its parts. The last of several members with one name counts, so each
/// one starts over.
pub fn post(line: &[u8], has_members: bool) -> Result<Post<'_>, Rejected> {
    let mut post = Post::empty();
    post.read(line, has_members)?;
    Ok(post)
}

impl<'a> Post<'a> {
    /// Takes in what a line says, into an empty post. An error leaves it half read.
    pub(super) fn read(&mut self, line: &'a [u8], has_members: bool) -> Result<(), Rejected> {
        let mut id = None;
        let mut before_includes: Option<Reader<'_>> = None;
        json::read(text(line)?, |name, value| {
            match name {
                "data" => {
                    id = self.read_data(value, has_members)?;
                    // includes that came first are searched now that the author is known
                    if let Some(mut includes) = before_includes.clone() {
                        self.read_includes(&mut includes, has_members)?;
                    }
                }
                "includes" => {
                    before_includes = Some(value.clone());
                    self.read_includes(value, has_members)?;
                }
                "errors" => self.pieces.errors = Some(value.value()?),
                "matching_rules" => self.pieces.matching_rules = Some(value.value()?),
                _ => drop(value.value()?),
            }
            Ok(())
        })?;
        self.placed = placed(id, &self.created_at)?;
        Ok(())
    }

    /// Takes in what `data` says, and gives the id as it stands there.
    fn read_data(
        &mut self,
        data: &mut Reader<'a>,
        has_members: bool,
    ) -> Result<Option<&'a str>, NotJson> {
        let Self {
            conversation_id,
            author_id,
            created_at,
            source,
            lang,
            text,
            reference,
            ..
        } = self;
        let mut cells = [conversation_id, author_id, created_at, source, lang, text];
        for cell in &mut cells {
            **cell = Cow::Borrowed("");
        }
        let [conversation_id, author_id, created_at, source, lang, text] = cells;
        let (mut id, mut reference_old) = (None, None);
        *reference = None;
        self.pieces.data = data.object(has_members, |name, value| {
            match name {
                "id" => id = Some(value.value()?),
                "conversation_id" => *conversation_id = value.cell()?,
                "author_id" => *author_id = value.cell()?,
                "created_at" => *created_at = value.cell()?,
                "source" => *source = value.cell()?,
                "lang" => *lang = value.cell()?,
                "text" => *text = value.cell()?,
                "referenced_posts" => *reference = first_reference(value)?,
                "referenced_tweets" => reference_old = first_reference(value)?,
                _ => drop(value.value()?),
            }
            Ok(())
        })?;
        if reference.is_none() {
            *reference = reference_old;
        }
        Ok(id)
    }

    /// Takes in all of `includes`, and the user who has the author's id, the last one if there are several.
    fn read_includes(
        &mut self,
        includes: &mut Reader<'a>,
        has_members: bool,
    ) -> Result<(), NotJson> {
        let Self {
            author_id, author, ..
        } = self;
        *author = None;
        let object = includes.object(has_members, |name, value| {
            if name != "users" {
                return value.value().map(drop);
            }
            *author = None;
            value.items(|user| {
                let mut found = Author::default();
                let id = found.read(user, has_members)?;
                if id == *author_id && !author_id.is_empty() {
                    *author = Some(found);
                }
                Ok(())
            })
        })?;
        self.pieces.includes = Some(object);
        Ok(())
    }
}

/// Type and id of the first item, if it has a type.
fn first_reference<'a>(list: &mut Reader<'a>) -> Result<Option<Reference<'a>>, NotJson> {
    let mut first = None;
    list.items(|item| {
        if first.is_some() {
            return item.value().map(drop);
        }
        let (mut kind, mut id) = (Cow::Borrowed(""), Cow::Borrowed(""));
        item.members(|name, value| {
            match name {
                "type" => kind = value.cell()?,
                "id" => id = value.cell()?,
                _ => drop(value.value()?),
            }
            Ok(())
        })?;
        first = Some((kind, id));
        Ok(())
    })?;
    Ok(first.filter(|(kind, _)| !kind.is_empty()))
}

impl<'a> Author<'a> {
    /// Takes in what a user is, and gives its id.
    fn read(&mut self, user: &mut Reader<'a>, has_members: bool) -> Result<Cow<'a, str>, NotJson> {
        let (mut id, mut metrics) = (Cow::Borrowed(""), None);
        let [
            created_at,
            location,
            name,
            username,
            verified,
            protected,
            ..,
        ] = &mut self.cells;
        self.object = user.object(has_members, |member, value| {
            match member {
                "id" => id = value.cell()?,
                "created_at" => *created_at = value.cell()?,
                "location" => *location = value.cell()?,
                "name" => *name = value.cell()?,
                "username" => *username = value.cell()?,
                "verified" => *verified = value.cell()?,
                "protected" => *protected = value.cell()?,
                "public_metrics" => metrics = Some(counts(value)?),
                _ => drop(value.value()?),
            }
            Ok(())
        })?;
        if let (Some(metrics), [.., followers, following, posts, listed]) =
            (metrics, &mut self.cells)
        {
            [*followers, *following, *posts, *listed] = metrics;
        }
        Ok(id)
    }
}

/// A user's counts of followers, following, posts and lists.
fn counts<'a>(metrics: &mut Reader<'a>) -> Result<[Cow<'a, str>; 4], NotJson> {
    let mut counts = [const { Cow::Borrowed("") }; 4];
    let mut posts_old = Cow::Borrowed("");
    let [followers, following, posts, listed] = &mut counts;
    metrics.members(|name, value| {
        match name {
            "followers_count" => *followers = value.cell()?,
            "following_count" => *following = value.cell()?,
            "post_count" => *posts = value.cell()?,
            "tweet_count" => posts_old = value.cell()?,
            "listed_count" => *listed = value.cell()?,
            _ => drop(value.value()?),
        }
        Ok(())
    })?;
    if posts.is_empty() {
        *posts = posts_old;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_place(line: impl AsRef<[u8]>, expected: Result<(u64, &str), Rejected>) {
        let line = line.as_ref();
        let found = place(line).map(|(placed, _)| (placed.key.to_string(), placed.at.to_string()));
        let shown = String::from_utf8_lossy(line);
        assert_eq!(
            found,
            expected.map(|(id, at)| (id.to_string(), at.to_owned())),
            "{shown}"
        );
        let both = place(line);
        if let Ok((placed, true)) = &both {
            assert_eq!(early_time(line), Some(placed.at), "{shown}");
        }
        assert_eq!(
            post(line, true).map(|post| post.placed),
            both.map(|(placed, _)| placed),
            "{shown}"
        );
    }

    fn twice_of(first: &str, second: &str) -> String {
        format!("{first},{second}")
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
        let twice = |first: &str, second: &str| {
            let line = format!("{{{first},{second}}}");
            let post = post(line.as_bytes(), true).unwrap();
            post.author
                .map_or(String::new(), |author| author.cells[2].to_string())
        };
        let (data, data_of_8) = (
            r#""data":{"id":"1541815603606036480","author_id":"7"}"#,
            r#""data":{"id":"1541815603606036480","author_id":"8"}"#,
        );
        let users = r#""includes":{"users":[{"id":"8","name":"b"},{"id":"7","name":"a"},{"id":"7","name":"c"}]}"#;
        assert_eq!(twice(data, users), "c");
        assert_eq!(twice(users, data), "c");
        assert_eq!(twice(&twice_of(data, users), data_of_8), "b");
        assert_eq!(twice(&twice_of(data, users), r#""includes":{}"#), "");
        check_place(
            r#"{"data":{"id":"1"},"data":{"id":"1541815603606036480"}}"#,
            Ok((ID, T)),
        );
        // before snowflake
        let old = r#"{"data":{"id":"20","created_at":"2006-03-21T20:50:14.000Z"}}"#;
        check_place(old, Ok((20, "2006-03-21T20:50:14.000Z")));
        check_place(r#"{"data":{"id":"20"}}"#, Err(reject::NO_TIME));
        check_place(
            r#"{"data":{"id":"20","created_at":"soon"}}"#,
            Err(reject::NO_TIME),
        );
        check_place(
            r#"{"data":{"id":"20","created_at":17}}"#,
            Err(reject::NO_TIME),
        );
        let year =
            |year| format!(r#"{{"data":{{"id":"20","created_at":"{year}-01-01T00:00:00Z"}}}}"#);
        check_place(year("2005"), Err(reject::NO_TIME));
        check_place(year("-000001"), Err(reject::NO_TIME));
        check_place(year("9999"), Err(reject::NO_TIME));
        // ids
        check_place(
            r#"{"data":{"id":"9223372036854775808"}}"#,
            Err(reject::BAD_ID),
        );
        check_place(r#"{"data":{"id":-1}}"#, Err(reject::BAD_ID));
        check_place(r#"{"data":{"id":1.5}}"#, Err(reject::BAD_ID));
        check_place(r#"{"data":{"id":""}}"#, Err(reject::BAD_ID));
        check_place(r#"{"data":{"id":null}}"#, Err(reject::NO_ID));
        check_place(r#"{"data":{}}"#, Err(reject::NO_ID));
        check_place(r#"{"data":[{"id":"1"}]}"#, Err(reject::NO_ID));
        check_place(r#"{"id":"1541815603606036480"}"#, Err(reject::NO_ID));
        check_place("[]", Err(reject::NO_ID));
        check_place("null", Err(reject::NO_ID));
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
            check_place(torn, Err(Rejected::NOT_JSON));
        }
        check_place(
            b"{\"data\":{\"id\":\"1541815603606036480\",\"text\":\"\0\"}}",
            Err(Rejected::NOT_JSON),
        );
        check_place(
            b"{\"data\":{\"id\":\"1541815603606036480\",\"text\":\"\xff\"}}",
            Err(Rejected::NOT_JSON),
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
            let mut post = post(line.as_bytes(), true).unwrap();
            post.pieces = Pieces::default();
            post.author.as_mut().unwrap().object = Object::default();
            post
        };
        let post_old = without_json(old.leak());
        assert_eq!(post_old, without_json(new.leak()));
        assert_eq!(post_old.reference, Some(("quoted".into(), "5".into())));
        let cells = ["", "", "me", "", "", "", "", "", "12", "1"];
        assert_eq!(post_old.author.unwrap().cells, cells.map(Cow::Borrowed));
    }
}
