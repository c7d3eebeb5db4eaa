//! A post → the cells of the CSV files, in the order of their columns.

use std::borrow::Cow;

use super::parse::Post;

/// Number of columns of `tweets.csv`.
pub const POST_CELLS: usize = 20;

/// Number of columns of `users.csv`.
pub const USER_CELLS: usize = 12;

/// The word for a post that refers to nothing, as the predecessor wrote it.
const ORIGINAL: &str = "original";

/// The row of `tweets.csv`. `id` is the post's id as text.
pub fn post_row<'p>(post: &'p Post<'_>, id: &'p str) -> [Cow<'p, str>; POST_CELLS] {
    let (kind, referenced) = match &post.reference {
        Some((kind, id)) => (kind.as_ref(), id.as_ref()),
        None => (ORIGINAL, ""),
    };
    let mut row: [Cow<'p, str>; POST_CELLS] = [const { Cow::Borrowed("") }; POST_CELLS];
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
    let of_author = post.author.iter().flat_map(|author| author.cells.iter().map(AsRef::as_ref));
    for (cell, text) in row.iter_mut().zip(of_post.into_iter().chain(of_author)) {
        *cell = one_line(text);
    }
    row
}

/// The row of `users.csv`: the author's id, the post's language, the author's cells.
pub fn user_row<'p>(post: &'p Post<'_>) -> [Cow<'p, str>; USER_CELLS] {
    let mut row: [Cow<'p, str>; USER_CELLS] = [const { Cow::Borrowed("") }; USER_CELLS];
    let of_author = post.author.iter().flat_map(|author| author.cells.iter().map(AsRef::as_ref));
    let texts = [post.author_id.as_ref(), post.lang.as_ref()].into_iter().chain(of_author);
    for (cell, text) in row.iter_mut().zip(texts) {
        *cell = one_line(text);
    }
    row
}

/// Every line break of any kind, and NUL, becomes one space (CR LF one for both), so that one
/// record is one line for every reader.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_break) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut after_cr = false;
    for c in text.chars() {
        if !is_break(c) {
            out.push(c);
        } else if !(after_cr && c == '\n') {
            out.push(' ');
        }
        after_cr = c == '\r';
    }
    Cow::Owned(out)
}

const fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' | '\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_break_is_one_space() {
        assert_eq!(one_line("a\r\nb\rc\nd\u{b}e\u{c}f\u{85}g\u{2028}h\u{2029}i\0j"), "a b c d e f g h i j");
        assert_eq!(one_line("\n\r"), "  ");
        assert!(matches!(one_line("plain"), Cow::Borrowed("plain")));
    }
}
