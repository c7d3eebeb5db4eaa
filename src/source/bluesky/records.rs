//! Events of a unit of work: read once, then written to as many files as are wanted.

use std::{borrow::Cow, sync::Arc};

use arrow_array::{ArrayRef, builder::StringBuilder};
use arrow_schema::ArrowError;

use super::{
    account::account_line,
    columns::EVENT,
    csv,
    event::{self, Change, Event, EventContent},
    post::Post,
};
use crate::{
    period::UtcMs,
    source::{
        AuthorName, Difference, Placed, Records, Rejected,
        cells::{Author, Struct},
        differing,
        key::Key,
    },
};

/// Events, and the columns that are being filled with them.
pub(super) struct Events<'l> {
    events: Vec<(Event<'l>, Option<UtcMs>)>,
    columns: Option<Columns>,
}

/// Columns of Parquet.
struct Columns {
    key: StringBuilder,
    uri: StringBuilder,
    event: Struct,
}

impl Columns {
    fn new() -> Self {
        Self {
            key: StringBuilder::with_capacity(0, 0),
            uri: StringBuilder::with_capacity(0, 0),
            event: Struct::new(EVENT),
        }
    }

    fn push(&mut self, event: &Event<'_>) {
        self.key.append_value(event.placed.key.to_string());
        self.uri.append_option(event.uri());
        self.event.push_object(&event.object, Author::default());
    }

    fn finish(mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        let mut arrays: Vec<ArrayRef> =
            vec![Arc::new(self.key.finish()), Arc::new(self.uri.finish())];
        arrays.extend(self.event.into_columns()?);
        Ok(arrays)
    }
}

impl Event<'_> {
    /// Where the record of a commit is.
    fn uri(&self) -> Option<String> {
        match &self.what {
            EventContent::Commit(change) => Some(change.name(&self.did).uri()),
            EventContent::Identity(_) | EventContent::Account(_) => None,
        }
    }

    /// Its line in the list of deletions, or in that of ids.
    fn line(&self, is_delete: bool) -> Option<String> {
        match &self.what {
            EventContent::Commit(change) => {
                let name = change.name(&self.did);
                (name.is_delete == is_delete).then(|| name.line())
            }
            EventContent::Account(told) if is_delete => {
                Some(account_line(&self.did, self.placed.at, told))
            }
            EventContent::Identity(_) | EventContent::Account(_) => None,
        }
    }

    /// The commit of a post that has a row in the table.
    fn post(&self) -> Option<&Change<'_>> {
        match &self.what {
            EventContent::Commit(change) if change.name(&self.did).is_in_table() => Some(change),
            _ => None,
        }
    }

    fn row(&self, retrieved_at: Option<UtcMs>) -> Option<Vec<Cow<'_, str>>> {
        let change = self.post()?;
        let post = Post::read(change.record);
        let lists = [post.tags(), post.mentions(), post.links(), post.labels()];
        let langs = post.langs();
        let mut row = Vec::with_capacity(19);
        row.extend([
            change.name(&self.did).uri().into(),
            Cow::Borrowed(&*change.cid),
            Cow::Borrowed(&*self.did),
            Cow::Borrowed(""),
            post.created_at,
            self.placed.at.to_string().into(),
            Cow::Borrowed(&*change.operation),
            post.text,
            langs.into(),
            post.reply_root,
            post.reply_parent,
            post.quoted_uri,
            post.embed_type,
            post.external_uri,
        ]);
        row.extend(lists.map(Cow::Owned));
        row.push(
            retrieved_at
                .map_or_else(String::new, |at| at.to_string())
                .into(),
        );
        Some(row)
    }

    /// What it says as JSON, without what is of the endpoint.
    const fn json(&self) -> &str {
        match &self.what {
            EventContent::Commit(change) => change.json,
            EventContent::Identity(told) | EventContent::Account(told) => told.json,
        }
    }

    /// What is compared where there is no row: a record's hash stands for it.
    fn cells(&self) -> [(&'static str, &str); 5] {
        let (change, told) = match &self.what {
            EventContent::Commit(change) => (Some(change), None),
            EventContent::Identity(told) | EventContent::Account(told) => (None, Some(told)),
        };
        [
            ("cid", change.map_or("", |change| &change.cid)),
            ("operation", change.map_or("", |change| &change.operation)),
            ("handle", told.map_or("", |told| &told.handle)),
            ("active", told.map_or("", |told| &told.active)),
            ("status", told.map_or("", |told| &told.status)),
        ]
    }
}

impl Events<'_> {
    pub(super) fn new(has_columns: bool) -> Self {
        Self {
            events: Vec::new(),
            columns: has_columns.then(Columns::new),
        }
    }
}

fn put_line(line: Option<String>, to: &mut Vec<u8>) {
    if let Some(line) = line {
        to.extend_from_slice(line.as_bytes());
        to.push(b'\n');
    }
}

impl<'l> Records<'l> for Events<'l> {
    fn read(&mut self, line: &'l [u8], retrieved_at: Option<UtcMs>) -> Result<usize, Rejected> {
        self.events.push((event::event(line)?, retrieved_at));
        Ok(self.events.len() - 1)
    }

    fn placed(&self, record: usize) -> &Placed {
        &self.events[record].0.placed
    }

    fn put_id(&self, record: usize, to: &mut Vec<u8>) {
        put_line(self.events[record].0.line(false), to);
    }

    fn put_deletion(&self, record: usize, to: &mut Vec<u8>) {
        put_line(self.events[record].0.line(true), to);
    }

    fn row(&self, record: usize) -> Option<Vec<Cow<'_, str>>> {
        let (event, retrieved_at) = &self.events[record];
        event.row(*retrieved_at)
    }

    fn differences(&self, kept: usize, other: usize) -> Vec<Difference<'_>> {
        let [kept, other] = [kept, other].map(|record| &self.events[record].0);
        if kept.json() == other.json() {
            return Vec::new();
        }
        if let (Some(kept), Some(other)) = (kept.row(None), other.row(None)) {
            return differing(&csv::POSTS, kept, other);
        }
        let cells = kept.cells().into_iter().zip(other.cells());
        let cells = cells.map(|((name, a), (_, b))| (name, [a, b].map(Cow::Borrowed)));
        cells.filter(|(_, [a, b])| a != b).collect()
    }

    fn author(&self, record: usize) -> Option<(Key, bool)> {
        Some((Key::from(&*self.events[record].0.did), true))
    }

    fn author_name(&self, record: usize) -> Option<AuthorName<'_>> {
        let event = &self.events[record].0;
        match &event.what {
            EventContent::Identity(told) if !told.handle.is_empty() => {
                Some(AuthorName::Told(&told.handle))
            }
            EventContent::Identity(_) | EventContent::Account(_) => None,
            EventContent::Commit(_) => event.post().map(|_| AuthorName::Wanted(csv::HANDLE)),
        }
    }

    fn author_row(&self, record: usize) -> Vec<Cow<'_, str>> {
        let event = &self.events[record].0;
        let (handle, active, status) = match &event.what {
            EventContent::Commit(_) => ("", "", ""),
            EventContent::Identity(told) => (&*told.handle, "", ""),
            EventContent::Account(told) => ("", &*told.active, &*told.status),
        };
        let is_new = event
            .post()
            .is_some_and(|change| change.operation == "create");
        let posts = if is_new { "1" } else { "0" };
        let at = event.placed.at.to_string();
        let row = [&*event.did, handle, active, status, posts].map(Cow::Borrowed);
        row.into_iter()
            .chain([at.clone().into(), at.into()])
            .collect()
    }

    fn push_columns(&mut self, record: usize) {
        if let Some(columns) = &mut self.columns {
            columns.push(&self.events[record].0);
        }
    }

    fn take_columns(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        let columns = self.columns.as_mut();
        let columns = columns.map(|columns| std::mem::replace(columns, Columns::new()));
        columns.map_or(Ok(Vec::new()), Columns::finish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each event adds to its account's row.
    #[test]
    fn only_a_new_post_counts_for_its_account() {
        let commit = |collection: &str, operation: &str| {
            format!(
                r#"{{"did":"did:plc:a","time_us":1783175888085434,"kind":"commit","commit":{{"rev":"3mptbypluud2a","operation":"{operation}","collection":"{collection}","rkey":"3k"}}}}"#
            )
        };
        let told = |kind: &str, member: &str| {
            format!(
                r#"{{"did":"did:plc:a","time_us":1783175888085434,"kind":"{kind}","{kind}":{{"seq":1,"time":"2026-07-04T14:38:07.514Z",{member}}}}}"#
            )
        };
        let at = "2026-07-04T14:38:07.514Z";
        for (line, expected) in [
            (commit("app.bsky.feed.post", "create"), ["", "", "", "1"]),
            (commit("app.bsky.feed.post", "update"), ["", "", "", "0"]),
            (commit("app.bsky.feed.post", "delete"), ["", "", "", "0"]),
            (commit("app.bsky.feed.like", "create"), ["", "", "", "0"]),
            (
                told("identity", r#""handle":"a.example""#),
                ["a.example", "", "", "0"],
            ),
            (
                told("account", r#""active":false,"status":"deleted""#),
                ["", "false", "deleted", "0"],
            ),
        ] {
            let mut events = Events::new(false);
            let number = events.read(line.as_bytes(), None).unwrap();
            let [handle, active, status, posts] = expected;
            let expected = ["did:plc:a", handle, active, status, posts, at, at];
            assert_eq!(events.author_row(number), expected, "{line}");
        }
    }
}
