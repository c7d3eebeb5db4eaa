//! A post before it is written, and the part of its line that every post has.

use super::{
    chance::Chance,
    json::{put, put_id, put_second, put_text},
    recipe::Spelling,
};

/// What a post is, before it is written.
pub(super) struct Draft {
    pub(super) id: u64,
    pub(super) second: i64,
    pub(super) author: u64,
    pub(super) conversation: u64,
    pub(super) lang: &'static str,
    pub(super) text: String,
    /// What it refers to: how, the id of the post, the number of its author.
    pub(super) references: Vec<(&'static str, u64, u64)>,
    /// Ids of the versions before an edit.
    pub(super) edited: Vec<u64>,
}

/// What every post has, wherever it stands: from `conversation_id` on.
pub(super) fn put_core(chance: &mut Chance, draft: &Draft, names: &Spelling, out: &mut Vec<u8>) {
    put(out, ",\"conversation_id\":");
    put_id(out, draft.conversation);
    put(out, ",\"created_at\":");
    put_second(out, draft.second);
    put(out, ",\"");
    put(out, names.edit_history);
    put(out, "\":[");
    for earlier in &draft.edited {
        put_id(out, *earlier);
        put(out, ",");
    }
    put_id(out, draft.id);
    put(out, "],\"id\":");
    put_id(out, draft.id);
    put(out, ",\"lang\":\"");
    put(out, draft.lang);
    put(out, "\"");
    if chance.one_in(50) {
        put(out, ",\"source\":\"Twitter Web App\"");
    }
    put(out, ",\"text\":");
    put_text(out, &draft.text);
    for (place, (how, id, _)) in draft.references.iter().enumerate() {
        if place == 0 {
            put(out, ",\"");
            put(out, names.referenced);
            put(out, "\":[{\"type\":\"");
        } else {
            put(out, ",{\"type\":\"");
        }
        put(out, how);
        put(out, "\",\"id\":");
        put_id(out, *id);
        put(
            out,
            if place + 1 == draft.references.len() {
                "}]"
            } else {
                "}"
            },
        );
    }
}
