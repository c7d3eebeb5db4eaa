//! What the program knows of a platform, and which platforms there are.

use std::{collections::BTreeMap, fmt};

use super::{
    bluesky,
    columns::Column,
    deletions::Deletions,
    key::Key,
    record::{Listed, Placed, Records, Rejected},
    table::{Dictionary, Join, List, Table},
    words::Words,
    x,
};
use crate::period::UtcMs;

/// A platform's streams.
pub trait Source: Send + Sync + fmt::Debug {
    /// The words of its streams, as they stand in the names of segments, in `vault.json` and in manifests.
    fn streams(&self) -> &'static [&'static str];

    /// Whether rules choose what the stream brings: then rules are in force in every second, and the number of posts
    /// to come is unknown.
    fn has_rules(&self, stream: &str) -> bool;

    /// Whether its streams bring only the collections that are asked for.
    fn has_collections(&self) -> bool {
        false
    }

    /// What a stored line is, keeping only what that needs.
    fn place(&self, line: &[u8]) -> Result<Placed, Rejected>;

    /// The same, and whether [`early_time`](Source::early_time) tells the same time: the part of a line that an index
    /// has.
    fn place_and_early(&self, line: &[u8]) -> Result<(Placed, bool), Rejected> {
        self.place(line).map(|placed| (placed, false))
    }

    /// The time of a record, taken from the beginning of its line without reading the rest. It may be used only if
    /// the index says so.
    fn early_time(&self, _line: &[u8]) -> Option<UtcMs> {
        None
    }

    /// When the platform saw the record of a line, by the clock from which connections resume; `None` if it has none.
    fn seen(&self, line: &[u8]) -> Option<UtcMs>;

    /// Whether it has such a clock.
    fn tells_when_seen(&self) -> bool;

    /// The closed list of reasons for which a line is no record.
    fn reasons(&self) -> Vec<Rejected>;

    /// The author of a line's record, if the line names one.
    fn author(&self, line: &[u8]) -> Option<Key>;

    /// The key that a text in a file, or from a person, stands for.
    fn key(&self, text: &str) -> Option<Key>;

    /// The author that such a text stands for.
    fn author_key(&self, text: &str) -> Option<Key>;

    /// The time that is in a key.
    fn time(&self, key: &Key) -> Option<UtcMs>;

    /// Records from before that instant may have keys without a time.
    fn keys_have_times_since(&self) -> Option<UtcMs>;

    /// Whether the author's side sets a record's time, which may be in a second in which nobody was listening.
    fn times_are_claimed(&self) -> bool;

    /// The residue of a key's milliseconds modulo 1,000, if the stream is sampled by it.
    fn residue(&self, key: &Key) -> Option<u64>;

    /// Whether a rejected line names one of these keys, or one of these authors.
    fn is_named_in(&self, line: &[u8], is_listed: &dyn Fn(&Key) -> bool) -> bool;

    /// The record that a line of `IDs.txt` names, if the line is exactly as a merge writes it.
    fn listed(&self, line: &str) -> Option<Listed>;

    /// The record that a line of `deletions.txt` names, if the line is exactly as a merge writes it.
    fn deleted(&self, line: &str) -> Option<Listed>;

    /// How a stream reports deletions, which are then in `deletions.txt`.
    fn deletions(&self) -> Option<&'static dyn Deletions>;

    /// Whether a record is in that list.
    fn stands_in(&self, key: &Key, list: List) -> bool;

    /// Whether every record has a line in the list of ids and a row in the table.
    fn has_rows_of_all(&self) -> bool;

    /// The part of a record's key that a row of the table has.
    fn key_by_row(&self, key: &Key) -> Key;

    /// The author, if a key names one.
    fn author_by_key(&self, key: &Key) -> Option<Key>;

    /// The table of records.
    fn table(&self) -> &'static Table;

    /// The table of authors.
    fn authors(&self) -> &'static Table;

    /// How two rows of an author become one; without it the later one counts.
    fn join(&self) -> Option<Join>;

    /// The record of a row of the table of records, and the key of its author.
    fn row(&self, cells: &[String]) -> Option<(Listed, Option<Key>)>;

    /// The author of a row of the table of authors.
    fn author_of_row(&self, cells: &[String]) -> Option<Key>;

    /// The columns of `posts.parquet`, without those that the program adds.
    fn columns(&self) -> Vec<&'static Column>;

    /// How the data dictionary refers to a struct whose members were described before; empty if they were not.
    fn described(&self, members: &'static [Column]) -> &'static str;

    /// What the data dictionary says of the files as a whole.
    fn dictionary(&self) -> &'static Dictionary;

    /// The columns by which rows of `posts.parquet` ascend, the one of their keys last.
    fn sorted_by(&self) -> &'static [&'static str];

    /// The texts on a stream for people who get its ids.
    fn words(&self, stream: &str) -> &'static Words;

    /// Leaves of these columns whose values hardly ever repeat.
    fn unique_columns(&self) -> &'static [&'static str];

    /// The keys of rows of `posts.parquet`; `None` if their columns are not ours.
    fn keys(&self, rows: &arrow_array::RecordBatch) -> Option<Vec<Key>>;

    /// Reads the lines of a unit of work, the columns of `posts.parquet` as well if these are wanted.
    fn records<'l>(&self, has_columns: bool) -> Box<dyn Records<'l> + 'l>;
}

/// A stream, and what its lines are.
#[derive(Debug, Clone, Copy)]
pub struct Stream {
    /// Its word.
    pub word: &'static str,
    /// Whose it is.
    pub source: &'static dyn Source,
}

impl Stream {
    /// The texts on it for people who get its ids.
    pub fn words(self) -> &'static Words {
        self.source.words(self.word)
    }
}

/// X's sample of about 1 % of all posts.
pub const SAMPLE: Stream = Stream {
    word: x::STREAMS[0],
    source: &x::X,
};

/// X's sample of about 10 % of all posts, in two partitions.
pub const SAMPLE10: Stream = Stream {
    word: x::STREAMS[1],
    source: &x::X,
};

/// All posts of X, in twenty partitions.
pub const FIREHOSE: Stream = Stream {
    word: x::STREAMS[2],
    source: &x::X,
};

/// The posts of X that match an app's rules.
pub const FILTERED: Stream = Stream {
    word: x::STREAMS[3],
    source: &x::X,
};

/// Bluesky's events: commits of the collections that are wanted, identities, accounts.
pub const BLUESKY: Stream = Stream {
    word: bluesky::BLUESKY,
    source: &bluesky::Bluesky,
};

/// The platforms that can be collected, by the words of their streams.
#[derive(Debug, Clone)]
pub struct Sources(BTreeMap<&'static str, &'static dyn Source>);

impl Sources {
    /// These.
    pub fn new(sources: &[&'static dyn Source]) -> Self {
        let streams = sources.iter().flat_map(|source| {
            let streams = source.streams().iter();
            streams.map(|stream| (*stream, *source))
        });
        Self(streams.collect())
    }

    /// All that this program knows.
    pub fn known() -> Self {
        Self::new(&[&x::X, &bluesky::Bluesky])
    }

    /// Each of them once.
    pub fn all(&self) -> Vec<&'static dyn Source> {
        let mut all: Vec<&'static dyn Source> = Vec::new();
        for (stream, source) in &self.0 {
            if source.streams().first() == Some(stream) {
                all.push(*source);
            }
        }
        all
    }

    /// The texts of the platform that has this stream.
    pub fn words_of(stream: &str) -> &'static Words {
        Self::known()
            .of(stream)
            .map_or(&Words::UNKNOWN, |source| source.words(stream))
    }

    /// The platform that has this stream.
    pub fn of(&self, stream: &str) -> Option<&'static dyn Source> {
        self.0.get(stream).copied()
    }
}
