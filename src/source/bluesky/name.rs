//! What names an event: of a commit the repository, the record, the revision and whether it deletes; of an identity or
//! account event the account and the event's number.
//!
//! ```text
//! did:plc:abc/app.bsky.feed.post/3mptbyoeyc22k@3mptbypcq372f
//! did:plc:abc/app.bsky.feed.post/3mptbyoeyc22k@3mptbypzzz722#delete
//! did:plc:abc#identity/31527015400
//! ```
//!
//! None of the marks can be in a part, so no two events have one name.

use super::tid;
use crate::{
    period::UtcMs,
    source::key::{Key, number},
};

/// The collection of posts: its commits are the rows of the table.
pub(super) const POSTS: &str = "app.bsky.feed.post";

const SCHEME: &str = "at://";
const DELETE: &str = "#delete";

/// An account, as identity and account events have it.
const OF_ACCOUNT: [&str; 2] = ["identity", "account"];

/// A change of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Commit<'a> {
    pub(super) did: &'a str,
    pub(super) collection: &'a str,
    pub(super) rkey: &'a str,
    pub(super) rev: &'a str,
    pub(super) is_delete: bool,
}

/// What a key says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name<'a> {
    Commit(Commit<'a>),
    /// The account of the event, its kind, and its number.
    Account(&'a str, &'a str, u64),
}

pub(super) fn is_did(text: &str) -> bool {
    let Some((method, rest)) = text.strip_prefix("did:").and_then(|t| t.split_once(':')) else {
        return false;
    };
    let may = |byte: u8| byte.is_ascii_alphanumeric() || b"._:%-".contains(&byte);
    let is_end = |byte: &u8| !b":%".contains(byte);
    text.len() <= 2_048
        && !method.is_empty()
        && method.bytes().all(|byte| byte.is_ascii_lowercase())
        && rest.bytes().all(may)
        && rest.as_bytes().last().is_some_and(is_end)
}

/// Whether it can be a collection: segments divided by dots.
pub(super) fn is_collection(text: &str) -> bool {
    let is_segment = |segment: &str| {
        let may = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !segment.is_empty() && segment.bytes().all(may)
    };
    text.len() <= 317 && text.contains('.') && text.split('.').all(is_segment)
}

/// Whether it can name a record in its collection.
pub(super) fn is_rkey(text: &str) -> bool {
    let may = |byte: u8| byte.is_ascii_alphanumeric() || b"._:~-".contains(&byte);
    (1..=512).contains(&text.len()) && text.bytes().all(may) && text != "." && text != ".."
}

impl<'a> Commit<'a> {
    fn read(text: &'a str, rev: &'a str, is_delete: bool) -> Option<Self> {
        let (did, record) = text.split_once('/')?;
        let (collection, rkey) = record.split_once('/')?;
        let is_one =
            is_did(did) && is_collection(collection) && is_rkey(rkey) && tid::time(rev).is_some();
        is_one.then_some(Self {
            did,
            collection,
            rkey,
            rev,
            is_delete,
        })
    }

    /// Its line in a list, without the LF: where the record is, a tab, the revision.
    pub(super) fn of_line(line: &'a str, is_delete: bool) -> Option<Self> {
        let (uri, rev) = line.strip_prefix(SCHEME)?.split_once('\t')?;
        Self::read(uri, rev, is_delete)
    }

    /// The same, written.
    pub(super) fn line(&self) -> String {
        format!("{}\t{}", self.uri(), self.rev)
    }

    /// Where the record is.
    pub(super) fn uri(&self) -> String {
        format!("{SCHEME}{}/{}/{}", self.did, self.collection, self.rkey)
    }

    pub(super) fn key(&self) -> Key {
        let delete = if self.is_delete { DELETE } else { "" };
        let Self {
            did,
            collection,
            rkey,
            rev,
            ..
        } = self;
        format!("{did}/{collection}/{rkey}@{rev}{delete}")
            .as_str()
            .into()
    }

    /// Whether it has a row in the table.
    pub(super) fn is_in_table(&self) -> bool {
        !self.is_delete && self.collection == POSTS
    }
}

/// The part of a key in a row of the table: the record's address, and the millisecond of the revision.
pub(super) fn key_by_row(uri: &str, at: UtcMs) -> Option<Key> {
    let record = uri.strip_prefix(SCHEME)?;
    let commit = Commit::read(record, "2222222222222", false)?;
    let key = format!("{record}@{at}");
    commit.is_in_table().then(|| key.as_str().into())
}

impl<'a> Name<'a> {
    pub(super) fn read(text: &'a str) -> Option<Self> {
        if let Some((record, rest)) = text.split_once('@') {
            let rev = rest.strip_suffix(DELETE).unwrap_or(rest);
            return Commit::read(record, rev, rev.len() < rest.len()).map(Self::Commit);
        }
        let (did, rest) = text.split_once('#')?;
        let (kind, seq) = rest.split_once('/')?;
        let seq = number(seq).filter(|number| number.to_string() == seq)?;
        let is_one = is_did(did) && OF_ACCOUNT.contains(&kind);
        is_one.then_some(Self::Account(did, kind, seq))
    }

    pub(super) fn of(key: &'a Key) -> Option<Self> {
        match key {
            Key::Text(text) => Self::read(text),
            Key::Number(_) => None,
        }
    }

    pub(super) fn key(&self) -> Key {
        match self {
            Self::Commit(commit) => commit.key(),
            Self::Account(did, kind, seq) => format!("{did}#{kind}/{seq}").as_str().into(),
        }
    }

    pub(super) const fn did(&self) -> &'a str {
        match self {
            Self::Commit(commit) => commit.did,
            Self::Account(did, ..) => did,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_and_lines_read_back(
            did in "did:[a-z]{1,5}:[a-zA-Z0-9._:%-]{0,20}[a-z0-9]",
            collection in "[a-z]{1,9}(\\.[a-zA-Z0-9-]{1,9}){1,4}",
            rkey in "[a-zA-Z0-9._:~-]{3,20}",
            rev in "[2-7][2-7a-z]{12}",
            is_delete: bool,
            seq: u64,
        ) {
            let commit = Commit { did: &did, collection: &collection, rkey: &rkey, rev: &rev, is_delete };
            for name in [Name::Commit(commit), Name::Account(&did, "identity", seq)] {
                let key = name.key();
                prop_assert_eq!(Name::of(&key), Some(name));
                prop_assert_eq!(name.did(), &did);
            }
            let line = commit.line();
            prop_assert_eq!(Commit::of_line(&line, is_delete), Some(commit));
        }

        #[test]
        fn what_is_read_is_what_would_be_written(text in "(did:plc:a|did:web:b%3a1|x)(/app\\.bsky\\.feed\\.post|/a\\.b)?(/[a@#/.]{1,3}|/3mptbyoeyc22k)?(@|#|\t)?(identity/|account/|3mptbyoeyc22k)?(0?[0-9]|#delete)?") {
            if let Some(name) = Name::read(&text) {
                prop_assert_eq!(name.key().to_string(), text);
            }
        }
    }

    #[test]
    fn a_did_is_one_or_none() {
        for did in [
            "did:plc:mxusjw2ukr3zesmjxitmnsrv",
            "did:web:a.example%3A8080",
            "did:web:a",
        ] {
            assert!(is_did(did), "{did}");
        }
        for wrong in [
            "",
            "did:plc",
            "did:plc:",
            "did:PLC:a",
            "did:plc:a/b",
            "did:plc:a:",
            "did:plc:ä",
            "plc:a:b",
        ] {
            assert!(!is_did(wrong), "{wrong}");
        }
        assert!(is_rkey("self") && !is_rkey("..") && !is_rkey("a@b") && !is_rkey(""));
        assert!(is_collection(POSTS) && !is_collection("post") && !is_collection("a..b"));
    }
}
