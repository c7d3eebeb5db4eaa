//! What every column of the data files means: for the Parquet file's metadata, and for people in
//! `docs/data-dictionary.md`.

use serde::Serialize;

use super::columns::{self, Column, Type};

/// A column as the file's metadata has it.
#[derive(Serialize)]
struct Entry {
    /// Its name, with those of the columns that it is in.
    column: String,
    /// Its type, in words.
    r#type: String,
    /// What it means.
    about: &'static str,
    /// The name that it has in the API's older spelling.
    #[serde(skip_serializing_if = "str::is_empty")]
    also: &'static str,
}

/// What a column holds, in words.
fn words(kind: &Type) -> String {
    match kind {
        Type::Id => "uint64".to_owned(),
        Type::Int => "int64".to_owned(),
        Type::Float => "double".to_owned(),
        Type::Bool => "boolean".to_owned(),
        Type::Time => "timestamp[ms, UTC]".to_owned(),
        Type::Text | Type::Link => "string".to_owned(),
        Type::Json => "string (JSON)".to_owned(),
        Type::List(item) | Type::Many(item) => format!("list of {}", words(item)),
        Type::Others => "list of struct".to_owned(),
        Type::Struct(_) => "struct".to_owned(),
    }
}

fn entry(column: &Column) -> Entry {
    Entry {
        column: column.name.to_owned(),
        r#type: words(&column.kind),
        about: column.about,
        also: column.also,
    }
}

/// The columns, for the file's metadata.
pub fn as_json() -> String {
    let entries: Vec<Entry> = columns::posts().map(entry).collect();
    // writing to memory what is made of texts
    serde_json::to_string(&entries).unwrap_or_default()
}
