//! What X's lines are.

use arrow_array::{RecordBatch, cast::AsArray as _, types::Int64Type};

use super::{
    columns, columns_beside, columns_post, csv,
    id::{self, author, plain},
    parse, records, reject, words,
};
use crate::period::UtcMs;
use crate::source::{
    Deletions, Dictionary, Join, List, Listed, Placed, Records, Rejected, Source, Table, Words,
    columns::Column,
    key::{Key, numeric_id},
};

/// Digits from which on a number is taken for an id wherever it stands; a shorter one must be quoted.
const PLAIN_DIGITS: usize = 15;

/// Columns that hardly ever repeat.
const UNIQUE: [&str; 9] = [
    "id",
    "text",
    "author_id",
    "author.id",
    "author.username",
    "author.created_at",
    "conversation_id",
    "edit_history_post_ids.list.element",
    "referenced_posts.list.element.id",
];

/// The words of X's streams. The first one stands for all of them.
pub(in crate::source) const STREAMS: [&str; 4] = ["sample", "sample10", "firehose", "filtered"];

const DICTIONARY: Dictionary = Dictionary {
    page: "data-dictionary.md",
    ids: "One post id per line, ascending.",
    posts: "\
One row per post, ascending by `id`. `a.b` is member `b` of the struct `a`, `a[].b` a member of each item of the list `a`. Names are the
API's, in its newer spelling; where it has an older one, both are read, and the newer one counts if a post has both. `post_time` is the
millisecond in the id, for ids below 29,700,000,000 `created_at`.",
};

/// X.
#[derive(Debug, Clone, Copy)]
pub struct X;

/// A post that is named by its id alone.
fn listed(post_id: u64, created_at: Option<UtcMs>) -> Listed {
    let time = id::time(post_id);
    Listed {
        key: post_id.into(),
        at: time.or(created_at),
        is_timed: time.is_some(),
        is_whole: true,
    }
}

impl Source for X {
    fn streams(&self) -> &'static [&'static str] {
        &STREAMS
    }

    fn has_rules(&self, stream: &str) -> bool {
        stream == STREAMS[3]
    }

    fn place(&self, line: &[u8]) -> Result<Placed, Rejected> {
        parse::place(line).map(|(placed, _)| placed)
    }

    fn place_and_early(&self, line: &[u8]) -> Result<(Placed, bool), Rejected> {
        parse::place(line)
    }

    fn early_time(&self, line: &[u8]) -> Option<UtcMs> {
        parse::early_time(line)
    }

    fn seen(&self, _line: &[u8]) -> Option<UtcMs> {
        None
    }

    fn tells_when_seen(&self) -> bool {
        false
    }

    fn reasons(&self) -> Vec<Rejected> {
        vec![
            Rejected::NOT_JSON,
            reject::NO_ID,
            reject::BAD_ID,
            reject::NO_TIME,
        ]
    }

    fn author(&self, line: &[u8]) -> Option<Key> {
        self.author_key(&parse::author(line)?)
    }

    fn key(&self, text: &str) -> Option<Key> {
        numeric_id(text).map(Key::from)
    }

    fn author_key(&self, text: &str) -> Option<Key> {
        numeric_id(text).map(Key::from)
    }

    fn time(&self, key: &Key) -> Option<UtcMs> {
        match key {
            Key::Number(post_id) => id::time(*post_id),
            Key::Text(_) => None,
        }
    }

    fn keys_have_times_since(&self) -> Option<UtcMs> {
        id::time(id::FIRST_SNOWFLAKE)
    }

    fn times_are_claimed(&self) -> bool {
        false
    }

    fn residue(&self, key: &Key) -> Option<u64> {
        match key {
            Key::Number(post_id) => id::time(*post_id).map(|_| id::residue(*post_id)),
            Key::Text(_) => None,
        }
    }

    /// In quotes, or by a number as long as ids are.
    fn is_named_in(&self, line: &[u8], is_listed: &dyn Fn(&Key) -> bool) -> bool {
        let is_digit = |at: &usize| line.get(*at).is_some_and(u8::is_ascii_digit);
        let mut at = 0;
        while at < line.len() {
            if !is_digit(&at) {
                at += 1;
                continue;
            }
            let begin = at;
            while is_digit(&at) {
                at += 1;
            }
            let is_quoted =
                0 < begin && line.get(begin - 1) == Some(&b'"') && line.get(at) == Some(&b'"');
            let text = line
                .get(begin..at)
                .and_then(|text| str::from_utf8(text).ok());
            let named = text
                .and_then(numeric_id)
                .is_some_and(|id| is_listed(&id.into()));
            if named && (is_quoted || PLAIN_DIGITS <= at - begin) {
                return true;
            }
        }
        false
    }

    fn listed(&self, line: &str) -> Option<Listed> {
        plain(line).map(|post_id| listed(post_id, None))
    }

    fn deleted(&self, _line: &str) -> Option<Listed> {
        None
    }

    fn deletions(&self) -> Option<&'static dyn Deletions> {
        None
    }

    fn stands_in(&self, _key: &Key, list: List) -> bool {
        matches!(list, List::Ids | List::Table)
    }

    fn has_rows_of_all(&self) -> bool {
        true
    }

    fn key_by_row(&self, key: &Key) -> Key {
        key.clone()
    }

    fn author_by_key(&self, _key: &Key) -> Option<Key> {
        None
    }

    fn table(&self) -> &'static Table {
        &csv::TWEETS
    }

    fn authors(&self) -> &'static Table {
        &csv::USERS
    }

    fn join(&self) -> Option<Join> {
        None
    }

    fn row(&self, cells: &[String]) -> Option<(Listed, Option<Key>)> {
        let [post_id, _, author_id, created_at, ..] = cells else {
            return None;
        };
        let listed = listed(plain(post_id)?, created_at.parse().ok());
        Some((listed, author(author_id)))
    }

    fn author_of_row(&self, cells: &[String]) -> Option<Key> {
        author(cells.first()?)
    }

    fn columns(&self) -> Vec<&'static Column> {
        columns::all().collect()
    }

    fn described(&self, members: &'static [Column]) -> &'static str {
        if members == columns_post::POST {
            ". Members as those of the post itself: `id` to `username`"
        } else if members == columns_beside::USER {
            ". Members as those of `author`"
        } else {
            ""
        }
    }

    fn dictionary(&self) -> &'static Dictionary {
        &DICTIONARY
    }

    fn sorted_by(&self) -> &'static [&'static str] {
        &["id"]
    }

    fn words(&self, stream: &str) -> &'static Words {
        words::of(stream)
    }

    fn unique_columns(&self) -> &'static [&'static str] {
        &UNIQUE
    }

    fn keys(&self, rows: &RecordBatch) -> Option<Vec<Key>> {
        let ids = rows.column_by_name("id")?;
        let ids = ids.as_primitive_opt::<Int64Type>()?;
        let key = |post_id: i64| u64::try_from(post_id).ok().map(Key::from);
        ids.iter().map(|post_id| post_id.and_then(key)).collect()
    }

    fn records<'l>(&self, has_columns: bool) -> Box<dyn Records<'l> + 'l> {
        Box::new(records::Posts::new(has_columns))
    }
}
