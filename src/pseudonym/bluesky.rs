//! Bluesky's posts: which cells of them are copied, and in what form.
//!
//! What an account is called is a domain, any domain: so every host goes from texts, with or without a path, and with it all
//! addresses.

use super::{
    key::{HashKey, IdKind},
    row::Row,
    tables::{Form, Tables, minute},
    words::{self, Names},
};
use crate::vault::csv;

/// What is copied of Bluesky.
pub static FORM: Form = Form {
    tables: &[("posts", &POSTS)],
    read: &["uri", "did", "post_time", "commit"],
    add,
    readme: include_str!("readme_bluesky.md"),
};

const POSTS: [&str; 11] = [
    "id",
    "conversation_id",
    "author_id",
    "created_at",
    "operation",
    "lang",
    "text",
    "quoted_id",
    "replied_to_id",
    "in_reply_to_user_id",
    "mentioned_user_ids",
];

/// The only collection whose records are copied.
const COLLECTION: &str = "app.bsky.feed.post";

/// A language's code has no more characters; what has more says something else.
const LANG_CHARS_MAX: usize = 11;

/// Takes an event in, if it is a post that is there for all: not one that was deleted, or is held back.
fn add(tables: &mut Tables, key: &HashKey, event: &Row<'_>) {
    let Some(commit) = event.object("commit") else {
        return;
    };
    let is_post = commit.text("collection") == Some(COLLECTION);
    let (Some(uri), Some(did), Some(record), Some(operation)) = (
        event.text("uri"),
        event.text("did"),
        commit.object("record").filter(|_| is_post),
        commit.text("operation").and_then(known_operation),
    ) else {
        return;
    };
    let rev = commit.text("rev").unwrap_or_default();
    if tables.held.contains(&format!("{uri}\t{rev}")) {
        return;
    }
    let text = record.text("text").unwrap_or_default();
    let (mentioned, names) = mentions(&record, text);
    let reply = record.object("reply");
    let of_reply = |which: &str| reply.as_ref()?.object(which)?.text("uri");
    let parent = of_reply("parent");
    let post = |uri: Option<&str>| uri.map_or_else(String::new, |uri| key.hash(IdKind::Post, uri));
    let user = |did: Option<&str>| did.map_or_else(String::new, |did| key.hash(IdKind::User, did));
    let mentioned: Vec<String> = mentioned.iter().map(|did| user(Some(did))).collect();
    let langs: Vec<&str> = record.texts("langs");
    let langs: Vec<&str> = langs.into_iter().filter(|lang| is_lang(lang)).collect();
    let fields = [
        post(Some(uri)),
        post(of_reply("root").or(Some(uri))),
        user(Some(did)),
        event.time("post_time").map_or_else(String::new, minute),
        operation.to_owned(),
        langs.join(" "),
        words::cleaned(text, &names),
        post(quoted(&record)),
        post(parent),
        user(parent.and_then(account)),
        mentioned.join(" "),
    ];
    let mut row = Vec::new();
    csv::push_row(&mut row, fields.iter().map(String::as_str));
    tables.post(row);
}

fn known_operation(word: &str) -> Option<&'static str> {
    ["create", "update"]
        .into_iter()
        .find(|known| *known == word)
}

/// Whose record an address leads to.
fn account(uri: &str) -> Option<&str> {
    let account = uri.strip_prefix("at://")?.split('/').next()?;
    account.starts_with("did:").then_some(account)
}

/// Languages are what an app wrote: a code is believed.
fn is_lang(text: &str) -> bool {
    let may = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let first = text.split('-').next().unwrap_or_default();
    text.len() <= LANG_CHARS_MAX
        && text.chars().all(may)
        && (2..=3).contains(&first.len())
        && first.chars().all(|c| c.is_ascii_alphabetic())
}

/// The record that a post quotes, alone or beside media.
fn quoted<'a>(record: &Row<'a>) -> Option<&'a str> {
    let quoted = record.object("embed")?.object("record")?;
    let inner = quoted.object("record").and_then(|inner| inner.text("uri"));
    inner.or(quoted.text("uri"))
}

/// The accounts that are mentioned, and their names in the text.
fn mentions<'a>(record: &Row<'a>, text: &str) -> (Vec<&'a str>, Names) {
    let (mut mentioned, mut names) = (Vec::new(), Names::of_domains());
    for facet in record.each("facets") {
        let dids = facet.each("features");
        let dids: Vec<&str> = dids
            .iter()
            .filter_map(|feature| feature.text("did"))
            .collect();
        if dids.is_empty() {
            continue;
        }
        mentioned.extend(dids);
        let index = facet.object("index");
        let edge = |name: &str| usize::try_from(index.as_ref()?.number(name)?).ok();
        let shown = edge("byteStart").zip(edge("byteEnd"));
        let shown = shown.and_then(|(begin, end)| text.get(begin..end));
        if let Some(shown) = shown {
            let handle = shown.trim_start_matches(['@', '＠']);
            names.handle(handle);
            names.handle(handle.split('.').next().unwrap_or_default());
        }
    }
    (mentioned, names)
}
