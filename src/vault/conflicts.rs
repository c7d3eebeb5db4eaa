//! `conflicts.jsonl`: examples of posts whose copies differ, to explain the manifest's counts. Never published, since
//! it has values of posts.
//!
//! One JSON object a line: `field` (a column of the table of posts, or of that of authors), `id`, and of the copy that counts (`kept`) and of
//! the first that differs (`other`) each `server` and `value`. Of each column the posts with the lowest ids, so the file
//! has an upper bound however long the hour is.

use serde::{Deserialize, Serialize};

use crate::{segment::name::Leg, source::Source};

/// Posts of each column.
pub const EXAMPLES_MAX: usize = 10;

/// Characters of a value; a longer one ends in `…`. The longest texts of posts have 25,000.
pub const VALUE_CHARS_MAX: usize = 1_000;

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// The column.
    pub field: String,
    /// The post. A text, as everywhere: not every reader has integers of 64 bits.
    pub id: String,
    /// What is in the archive.
    pub kept: Side,
    /// What another copy said.
    pub other: Side,
}

/// What a copy says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// Who received it.
    pub server: Leg,
    /// The cell.
    pub value: String,
}

/// A value, cut if it is long.
pub fn value(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Why a line cannot follow that one in the file.
pub fn fault(
    source: &dyn Source,
    line: &[u8],
    before: Option<&Example>,
) -> Result<Example, String> {
    let example: Example =
        serde_json::from_slice(line).map_err(|why| format!("it is not an example: {why}"))?;
    let tables = [source.table(), source.authors()].into_iter();
    let mut columns = tables.flat_map(|table| table.columns);
    if !columns.any(|(name, _)| *name == example.field) {
        return Err(format!("{:?} is not a column", example.field));
    }
    // a cut value may look like another
    let is_cut = |side: &Side| VALUE_CHARS_MAX < side.value.chars().count();
    if example.kept.value == example.other.value && !is_cut(&example.kept) {
        return Err("its copies do not differ".to_owned());
    }
    let key = |example: &Example| (example.field.clone(), source.key(&example.id));
    if before.is_some_and(|before| key(&example) <= key(before)) {
        return Err("it is not in order".to_owned());
    }
    Ok(example)
}
