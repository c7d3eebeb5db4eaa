//! What a line is: a record with a key and a time, or the reason why it is not a record.

use std::borrow::Cow;

use arrow_array::ArrayRef;
use arrow_schema::ArrowError;
use serde::{Deserialize, Serialize};

use super::{json, key::Key};
use crate::period::UtcMs;

/// What orders and places a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// What names it.
    pub key: Key,
    /// Its time: decides the hour.
    pub at: UtcMs,
    /// Whether its line in the list of ids tells that time.
    pub is_timed: bool,
    /// Whether the platform saw it at about that time. If not, it is no evidence that a server was listening in that
    /// second.
    pub is_prompt: bool,
}

impl Placed {
    /// Rows ascend by this: by time, then key; that whose time the list of ids does not tell comes first.
    pub const fn order(&self) -> (UtcMs, &Key) {
        order(Some(self.at), self.is_timed, &self.key)
    }
}

/// A record as a table or list of ids names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What names it.
    pub key: Key,
    /// Its time, if it can be told.
    pub at: Option<UtcMs>,
    /// Whether its line in the list of ids tells that time.
    pub is_timed: bool,
    /// Whether that is all of its key: a row of the table may tell less of it.
    pub is_whole: bool,
}

impl Listed {
    /// As [`Placed::order`].
    pub const fn order(&self) -> (UtcMs, &Key) {
        order(self.at, self.is_timed, &self.key)
    }
}

const fn order(at: Option<UtcMs>, is_timed: bool, key: &Key) -> (UtcMs, &Key) {
    match at {
        Some(at) if is_timed => (at, key),
        Some(_) | None => (UtcMs(i64::MIN), key),
    }
}

/// What a record has to do with what its author is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorName<'a> {
    /// It tells it.
    Told(&'a str),
    /// This cell of its row is for what was told before.
    Wanted(usize),
}

/// Why a line is no record: a word of its source's closed list. The line is kept verbatim, with this reason.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rejected(Cow<'static, str>);

impl Rejected {
    /// Not JSON, or not UTF-8: torn, cut for its length, damaged.
    pub const NOT_JSON: Self = Self::new("not_json");

    /// That word.
    pub const fn new(word: &'static str) -> Self {
        Self(Cow::Borrowed(word))
    }

    /// The word for it in manifests and in `rejected.jsonl`.
    pub fn word(&self) -> &str {
        &self.0
    }
}

impl From<json::NotJson> for Rejected {
    fn from(json::NotJson: json::NotJson) -> Self {
        Self::NOT_JSON
    }
}

/// A column, and what each of two copies says in it.
pub type Difference<'r> = (&'static str, [Cow<'r, str>; 2]);

/// The records of a unit of work, each known by its number.
pub trait Records<'l> {
    /// Reads a line, which was received then, if that is known.
    fn read(&mut self, line: &'l [u8], retrieved_at: Option<UtcMs>) -> Result<usize, Rejected>;

    /// Makes room for about so many more.
    fn make_room(&mut self, _records: usize) {}

    /// What orders and places a record.
    fn placed(&self, record: usize) -> &Placed;

    /// Appends its line of `IDs.txt` or `held.txt`, if it has one.
    fn put_id(&self, record: usize, to: &mut Vec<u8>);

    /// Appends its line of `deletions.txt`, if it has one.
    fn put_deletion(&self, record: usize, to: &mut Vec<u8>);

    /// Its row of the table of records, if it has one.
    fn row(&self, record: usize) -> Option<Vec<Cow<'_, str>>>;

    /// The columns in which two copies of a record differ, and what each says. When and from where a copy came is no
    /// part of the record.
    fn differences(&self, kept: usize, other: usize) -> Vec<Difference<'_>>;

    /// Its author, and whether it came with what its author said of himself.
    fn author(&self, record: usize) -> Option<(Key, bool)>;

    /// What it has to do with what its author is called.
    fn author_name(&self, _record: usize) -> Option<AuthorName<'_>> {
        None
    }

    /// Its row of the table of authors.
    fn author_row(&self, record: usize) -> Vec<Cow<'_, str>>;

    /// Appends it to the columns of `posts.parquet`.
    fn push_columns(&mut self, record: usize);

    /// The columns so far; the next ones start over.
    fn take_columns(&mut self) -> Result<Vec<ArrayRef>, ArrowError>;
}
