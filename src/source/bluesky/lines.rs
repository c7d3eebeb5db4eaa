//! What Bluesky's lines are.

use arrow_array::{RecordBatch, cast::AsArray as _};

use super::{
    account, columns, csv, event,
    name::{self, Commit, Name, is_did},
    records::Events,
    reject, tid,
    torn::{dids, said},
    words,
};
use crate::period::UtcMs;
use crate::source::{
    Deletions, Dictionary, Join, List, Listed, Placed, Records, Rejected, Source, Table, Words,
    columns::Column, key::Key,
};

/// All events of the collections that are wanted.
pub(in crate::source) const BLUESKY: &str = "bluesky";

/// Columns that hardly ever repeat.
const UNIQUE: [&str; 10] = [
    "key",
    "uri",
    "time_us",
    "cursor",
    "commit.rev",
    "commit.rkey",
    "commit.cid",
    "commit.record.createdAt",
    "commit.record.text",
    "commit.record.subject",
];

const DICTIONARY: Dictionary = Dictionary {
    page: "data-dictionary-bluesky.md",
    ids: "\
One line per commit that creates or updates a record: the record's address (`at://did/collection/rkey`), a tab, and the revision of the
repository (a TID); ascending by the time of the revision, then by the event's key, which is the same without `at://` and with `@` for
the tab. A revision contains its time: 13 characters of `234567abcdefghijklmnopqrstuvwxyz`, five bits each, the highest first; without
the lowest ten bits they are microseconds since 1970.

## `deletions.txt.xz`

One line per commit that deletes a record, in the same form (the key of its event is followed by `#delete`), and one per account event:
the account, the event's number, its time, and `active` or the status (`inactive` if the event gives none, `unknown` if it does not say
whether the account is active), separated by tabs. The order is the same. The file is never published.

## `held.txt.xz`

One line per record that is held back because its account is not active, in the form and order of `IDs.txt`, which then lacks it. The
file is never published.",
    posts: "\
One row per event, of every kind and collection, ascending by `post_time`, then by `key`. `a.b` is member `b` of the struct `a`, `a[].b`
a member of each item of the list `a`. Names are those that Jetstream sends. `post_time` is the millisecond of the revision; identity and
account events have their own time.",
};

/// Bluesky.
#[derive(Debug, Clone, Copy)]
pub struct Bluesky;

fn listed(commit: &Commit<'_>) -> Option<Listed> {
    Some(Listed {
        key: commit.key(),
        at: Some(tid::time(commit.rev)?),
        is_timed: true,
        is_whole: true,
    })
}

impl Source for Bluesky {
    fn streams(&self) -> &'static [&'static str] {
        &[BLUESKY]
    }

    fn has_rules(&self, _stream: &str) -> bool {
        false
    }

    fn has_collections(&self) -> bool {
        true
    }

    fn place(&self, line: &[u8]) -> Result<Placed, Rejected> {
        event::place(line)
    }

    fn seen(&self, line: &[u8]) -> Option<UtcMs> {
        event::seen_us(line).map(|us| UtcMs(us.div_euclid(1_000)))
    }

    fn tells_when_seen(&self) -> bool {
        true
    }

    fn reasons(&self) -> Vec<Rejected> {
        vec![
            Rejected::NOT_JSON,
            reject::NO_DID,
            reject::UNKNOWN_KIND,
            reject::BAD_COMMIT,
            reject::BAD_REV,
            reject::NO_SEQ,
            reject::NO_TIME,
            reject::OUT_OF_RANGE,
        ]
    }

    fn author(&self, line: &[u8]) -> Option<Key> {
        self.author_key(&event::author(line)?)
    }

    fn key(&self, text: &str) -> Option<Key> {
        Name::read(text).map(|name| name.key())
    }

    fn author_key(&self, text: &str) -> Option<Key> {
        is_did(text).then(|| text.into())
    }

    fn time(&self, key: &Key) -> Option<UtcMs> {
        match Name::of(key)? {
            Name::Commit(commit) => tid::time(commit.rev),
            Name::Account(..) => None,
        }
    }

    fn keys_have_times_since(&self) -> Option<UtcMs> {
        None
    }

    fn times_are_claimed(&self) -> bool {
        true
    }

    fn residue(&self, _key: &Key) -> Option<u64> {
        None
    }

    /// An account wherever it stands; an event by all parts of its name.
    fn is_named_in(&self, line: &[u8], is_listed: &dyn Fn(&Key) -> bool) -> bool {
        if dids(line).any(|did| is_listed(&did.into())) {
            return true;
        }
        let is_named = |(did, collection, rkey, rev): (&str, &str, &str, &str)| {
            let name = |is_delete| Commit {
                did,
                collection,
                rkey,
                rev,
                is_delete,
            };
            [false, true].into_iter().any(|d| is_listed(&name(d).key()))
        };
        said(line, "did").any(|did| {
            said(line, "collection").any(|collection| {
                said(line, "rkey")
                    .any(|rkey| said(line, "rev").any(|rev| is_named((did, collection, rkey, rev))))
            })
        })
    }

    fn listed(&self, line: &str) -> Option<Listed> {
        listed(&Commit::of_line(line, false)?)
    }

    fn deleted(&self, line: &str) -> Option<Listed> {
        account::listed(line)
    }

    fn deletions(&self) -> Option<&'static dyn Deletions> {
        Some(&Bluesky)
    }

    fn stands_in(&self, key: &Key, list: List) -> bool {
        match (Name::of(key), list) {
            (Some(Name::Commit(commit)), List::Ids) => !commit.is_delete,
            (Some(Name::Commit(commit)), List::Table) => commit.is_in_table(),
            (Some(Name::Commit(commit)), List::Deletions) => commit.is_delete,
            (Some(Name::Account(_, kind, _)), List::Deletions) => kind == "account",
            // whether a record is held back, its key does not say
            _ => false,
        }
    }

    fn has_rows_of_all(&self) -> bool {
        false
    }

    fn key_by_row(&self, key: &Key) -> Key {
        let by_row = match Name::of(key) {
            Some(Name::Commit(commit)) => {
                let at = tid::time(commit.rev);
                at.and_then(|at| name::key_by_row(&commit.uri(), at))
            }
            _ => None,
        };
        by_row.unwrap_or_else(|| key.clone())
    }

    fn author_by_key(&self, key: &Key) -> Option<Key> {
        Name::of(key).map(|name| name.did().into())
    }

    fn table(&self) -> &'static Table {
        &csv::POSTS
    }

    fn authors(&self) -> &'static Table {
        &csv::USERS
    }

    fn join(&self) -> Option<Join> {
        Some(csv::join)
    }

    fn row(&self, cells: &[String]) -> Option<(Listed, Option<Key>)> {
        let [uri, _, did, _, _, indexed_at, ..] = cells else {
            return None;
        };
        let at = indexed_at.parse().ok()?;
        let listed = Listed {
            key: name::key_by_row(uri, at)?,
            at: Some(at),
            is_timed: true,
            is_whole: false,
        };
        Some((listed, Some(self.author_key(did)?)))
    }

    fn author_of_row(&self, cells: &[String]) -> Option<Key> {
        self.author_key(cells.first()?)
    }

    fn columns(&self) -> Vec<&'static Column> {
        columns::all().collect()
    }

    fn described(&self, _members: &'static [Column]) -> &'static str {
        ""
    }

    fn dictionary(&self) -> &'static Dictionary {
        &DICTIONARY
    }

    fn sorted_by(&self) -> &'static [&'static str] {
        &["post_time", "key"]
    }

    fn words(&self, _stream: &str) -> &'static Words {
        &words::WORDS
    }

    fn unique_columns(&self) -> &'static [&'static str] {
        &UNIQUE
    }

    fn keys(&self, rows: &RecordBatch) -> Option<Vec<Key>> {
        let keys = rows.column_by_name("key")?.as_string_opt::<i32>()?;
        keys.iter().map(|key| key.map(Key::from)).collect()
    }

    fn records<'l>(&self, has_columns: bool) -> Box<dyn Records<'l> + 'l> {
        Box::new(Events::new(has_columns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line that cannot be read may be of whoever it names, wherever that stands.
    #[test]
    fn a_torn_line_names_every_account_in_it_and_its_event() {
        let line = r#"{"did":"did:plc:a","kind":"commit","commit":{"rev":"3mptbypluud2a","operation":"create","collection":"app.bsky.feed.post","rkey":"3k","record":{"reply":{"uri":"at://did:plc:b/app.bsky.feed.post/3j"},"text":"did:plc:c"#;
        let event = "did:plc:a/app.bsky.feed.post/3k@3mptbypluud2a";
        let delete = format!("{event}#delete");
        for (listed, is_named) in [
            ("did:plc:a", true),
            ("did:plc:b", true),
            ("did:plc:c", true),
            ("did:plc:d", false),
            ("did:plc", false),
            (event, true),
            (&*delete, true),
            ("did:plc:a/app.bsky.feed.post/3j@3mptbypluud2a", false),
            ("did:plc:b/app.bsky.feed.post/3k@3mptbypluud2a", false),
            ("did:plc:a/app.bsky.feed.post/3k@3mptbypluud2b", false),
        ] {
            let is_listed = |key: &Key| *key == Key::from(listed);
            assert_eq!(
                Bluesky.is_named_in(line.as_bytes(), &is_listed),
                is_named,
                "{listed}"
            );
        }
    }
}
