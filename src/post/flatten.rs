//! A post → the cells of the CSV files, in the order of their columns, with the text as it came.

use super::parse::Post;

/// Number of columns of `tweets.csv`.
pub const POST_CELLS: usize = 20;

/// Number of columns of `users.csv`.
pub const USER_CELLS: usize = 12;

/// The word for a post that refers to nothing, as the predecessor wrote it.
const ORIGINAL: &str = "original";

/// The row of `tweets.csv`. `id` is the post's id as text.
pub fn post_row<'p>(post: &'p Post<'_>, id: &'p str) -> [&'p str; POST_CELLS] {
    let (kind, referenced) = match &post.reference {
        Some((kind, id)) => (kind.as_ref(), id.as_ref()),
        None => (ORIGINAL, ""),
    };
    let mut row = [""; POST_CELLS];
    let of_post = [
        id,
        &post.conversation_id,
        &post.author_id,
        &post.created_at,
        &post.retrieved_at,
        &post.source,
        &post.lang,
        &post.text,
        kind,
        referenced,
    ];
    fill(&mut row, of_post.into_iter().chain(of_author(post)));
    row
}

/// The row of `users.csv`: the author's id, the post's language, the author's cells.
pub fn user_row<'p>(post: &'p Post<'_>) -> [&'p str; USER_CELLS] {
    let mut row = [""; USER_CELLS];
    let of_post = [post.author_id.as_ref(), post.lang.as_ref()];
    fill(&mut row, of_post.into_iter().chain(of_author(post)));
    row
}

fn of_author<'p>(post: &'p Post<'_>) -> impl Iterator<Item = &'p str> {
    let author = post.author.iter();
    author.flat_map(|author| author.cells.iter().map(AsRef::as_ref))
}

fn fill<'p>(row: &mut [&'p str], texts: impl Iterator<Item = &'p str>) {
    for (cell, text) in row.iter_mut().zip(texts) {
        *cell = text;
    }
}
