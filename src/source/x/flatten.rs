//! Turns a post into the cells of `tweets.csv` and `users.csv`, in the order of their columns, with the text as it came.

use std::borrow::Cow;

use super::parse::Post;

/// The word for a post that refers to nothing, as the predecessor wrote it.
const ORIGINAL: &str = "original";

/// The row of `tweets.csv`.
pub(super) fn post_row<'p>(post: &'p Post<'_>) -> Vec<Cow<'p, str>> {
    let (kind, referenced) = match &post.reference {
        Some((kind, id)) => (kind.as_ref(), id.as_ref()),
        None => (ORIGINAL, ""),
    };
    let mut row = Vec::with_capacity(20);
    row.push(post.placed.key.to_string().into());
    let of_post = [
        &*post.conversation_id,
        &post.author_id,
        &post.created_at,
        &post.retrieved_at,
        &post.source,
        &post.lang,
        &post.text,
        kind,
        referenced,
    ];
    row.extend(of_post.map(Cow::Borrowed));
    row.extend(of_author(post));
    row
}

/// The row of `users.csv`: the author's id, the post's language, the author's cells.
pub(super) fn user_row<'p>(post: &'p Post<'_>) -> Vec<Cow<'p, str>> {
    let mut row = Vec::with_capacity(12);
    row.extend([&post.author_id, &post.lang].map(|cell| Cow::Borrowed(cell.as_ref())));
    row.extend(of_author(post));
    row
}

/// The author's cells; empty ones for a post that came without its author.
fn of_author<'p>(post: &'p Post<'_>) -> [Cow<'p, str>; 10] {
    match &post.author {
        Some(author) => author
            .cells
            .each_ref()
            .map(|cell| Cow::Borrowed(cell.as_ref())),
        None => [const { Cow::Borrowed("") }; 10],
    }
}
