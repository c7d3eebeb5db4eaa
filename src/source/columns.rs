//! What a column of `posts.parquet` is: the file's schema, the description in its metadata and the data
//! dictionary are made from lists of these.

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// An id: a number of at most 2^63 − 1.
    Id,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// True or false.
    Bool,
    /// An instant in milliseconds of UTC.
    Time,
    /// A text, exactly as it was delivered.
    Text,
    /// An address: a text, or the `url` of an object.
    Link,
    /// Any JSON value as text: its shape is not fixed by the API.
    Json,
    /// A list.
    List(&'static Self),
    /// A list; a value that stands alone is a list of one.
    Many(&'static Self),
    /// A list without the item that is the record's author.
    Others(&'static Self),
    /// An object.
    Struct(&'static [Column]),
}

/// A column, or a member of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// The API's other name for it; empty if it has none.
    pub also: &'static str,
    /// What it holds.
    pub kind: Type,
    /// Whether every row has it.
    pub required: bool,
    /// What it means.
    pub about: &'static str,
}

/// A column that a row may lack.
pub const fn column(name: &'static str, kind: Type, about: &'static str) -> Column {
    Column {
        name,
        also: "",
        kind,
        required: false,
        about,
    }
}

impl Column {
    /// The same with an older name.
    #[must_use]
    pub const fn or(self, also: &'static str) -> Self {
        Self { also, ..self }
    }

    /// The same in every row.
    #[must_use]
    pub const fn always(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }
}
