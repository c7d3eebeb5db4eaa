//! What every column of the data files means: for the Parquet file's metadata, and for people in
//! `docs/data-dictionary.md` and its like.

use std::fmt::Write as _;

use serde::Serialize;

use super::ours::OURS;
use crate::source::{
    Source,
    columns::{Column, Type},
};

/// A column as the file's metadata has it.
#[derive(Serialize)]
struct Entry {
    /// Its name, with those of the columns that it is in.
    column: String,
    /// Its type, in words.
    #[serde(rename = "type")]
    kind: String,
    /// What it means.
    about: String,
    /// The name that it has in the API's older spelling.
    #[serde(skip_serializing_if = "str::is_empty")]
    also: &'static str,
}

/// What a column holds, in words.
fn words(kind: &Type) -> String {
    match kind {
        Type::Id | Type::Int => "int64".to_owned(),
        Type::Float => "double".to_owned(),
        Type::Bool => "boolean".to_owned(),
        Type::Time => "timestamp[ms, UTC]".to_owned(),
        Type::Text | Type::Link => "string".to_owned(),
        Type::Json => "string (JSON)".to_owned(),
        Type::List(item) | Type::Many(item) | Type::Others(item) => {
            format!("list of {}", words(item))
        }
        Type::Struct(_) => "struct".to_owned(),
    }
}

/// All columns and their members, in order.
fn entries(source: &dyn Source) -> Vec<Entry> {
    let mut entries = Vec::new();
    for column in source.columns().into_iter().chain(OURS) {
        push(&mut entries, source, "", column);
    }
    entries
}

/// A column, and its members.
fn push(entries: &mut Vec<Entry>, source: &dyn Source, within: &str, column: &Column) {
    let path = format!("{within}{}", column.name);
    let members = members(&column.kind);
    let same = match members {
        Some((members, "[]")) => source.described(members),
        _ => "",
    };
    entries.push(Entry {
        column: path.clone(),
        kind: words(&column.kind),
        about: format!("{}{same}", column.about),
        also: column.also,
    });
    if let Some((members, list)) = members
        && same.is_empty()
    {
        for member in members {
            push(entries, source, &format!("{path}{list}."), member);
        }
    }
}

/// The members of a struct, or of the items of a list of them.
fn members(kind: &Type) -> Option<(&'static [Column], &'static str)> {
    match kind {
        Type::Struct(columns) => Some((columns, "")),
        Type::List(Type::Struct(columns))
        | Type::Many(Type::Struct(columns))
        | Type::Others(Type::Struct(columns)) => Some((columns, "[]")),
        _ => None,
    }
}

/// The columns, for the file's metadata.
pub fn as_json(source: &dyn Source) -> String {
    // writing to memory what is made of texts
    serde_json::to_string(&entries(source)).unwrap_or_default()
}

/// What stands before the tables.
const HEAD: &str = "\
# Data dictionary

Generated from the lists of columns in `src/source/` and `src/vault/posts/ours.rs`; a test compares it with them.
After a change of a column: `TWINSTREAM_WRITE=1 cargo test --lib dictionary`.

Every file is named `YYYY-mm-dd_hh_…` after its hour; a post belongs to the hour of its post time. [formats.md](formats.md) says how
the files are made, and how to read them without rounding ids.

## `IDs.txt.xz`

";

const POSTS_TAIL: &str = " A value
that was delivered as `null` or `[]`, was not delivered, or does not have the type of its column is null; `line` has it as it came. The
file's metadata has this table as JSON under `twinstream.columns`, and `twinstream.format`, `twinstream.program`, `twinstream.hour`.

| column | type | meaning | older name |
|---|---|---|---|
";

/// The page for people.
pub fn as_markdown(source: &dyn Source) -> String {
    let words = source.dictionary();
    let mut page = format!("{HEAD}{}\n", words.ids);
    for table in [source.table(), source.authors()] {
        let head = "| column | meaning |\n|---|---|\n";
        let (name, row) = (table.name, table.row);
        // writing to memory cannot fail
        let _written = write!(page, "\n## `{name}.csv.xz`\n\nOne row per {row}.\n\n{head}");
        for (name, about) in table.columns {
            let _written = writeln!(page, "| `{name}` | {about} |");
        }
    }
    let _written = write!(page, "\n## `posts.parquet`\n\n{}{POSTS_TAIL}", words.posts);
    for entry in entries(source) {
        let also = match entry.also {
            "" => String::new(),
            also => format!("`{also}`"),
        };
        let Entry {
            column,
            kind,
            about,
            ..
        } = entry;
        let _written = writeln!(page, "| `{column}` | {kind} | {about} | {also} |");
    }
    page
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::source::Sources;
    use crate::world::disk::{RealDisk, put, read_bounded};

    #[test]
    fn the_dictionary_is_current() {
        for source in Sources::known().all() {
            let name = source.dictionary().page;
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("docs")
                .join(name);
            let page = as_markdown(source);
            if std::env::var_os("TWINSTREAM_WRITE").is_some() {
                put(&RealDisk, &path, page.as_bytes()).unwrap();
            }
            let found = read_bounded(&RealDisk, &path, 1 << 20).unwrap_or_default();
            assert!(
                found == page.as_bytes(),
                "docs/{name} is not what the columns say: TWINSTREAM_WRITE=1 cargo test --lib dictionary"
            );
        }
    }
}
