//! The one list of the columns of `posts.parquet`: the file's schema, the description in its
//! metadata and the data dictionary are made from it.
//!
//! Names are the API's, in its newer spelling (post); where an older one exists (tweet), both are
//! read, and the newer one counts if a post has both. What the API calls by a name is here under
//! that name, as deep as it goes; what the program adds stands at the end.

use super::{
    api_beside::{MEDIA, PLACE, POLL, TOPIC, USER},
    api_post::POST,
};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// An id: an unsigned number of 64 bits.
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
    /// The users of `includes` but for the post's author.
    Others,
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
pub(super) const fn column(name: &'static str, kind: Type, about: &'static str) -> Column {
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
    pub(super) const fn or(self, also: &'static str) -> Self {
        Self { also, ..self }
    }

    /// The same in every row.
    pub(super) const fn always(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }
}

/// What was delivered beside the post.
pub const INCLUDES: &[Column] = &[
    column(
        "users",
        Type::Others,
        "Users other than the author: mentioned, replied to, authors of referenced posts",
    ),
    column(
        "posts",
        Type::List(&Type::Struct(POST)),
        "Posts that this one refers to",
    )
    .or("tweets"),
    column(
        "media",
        Type::List(&Type::Struct(MEDIA)),
        "Photos, videos and animated images",
    ),
    column("polls", Type::List(&Type::Struct(POLL)), "Polls"),
    column("places", Type::List(&Type::Struct(PLACE)), "Places"),
    column("topics", Type::List(&Type::Struct(TOPIC)), "Topics"),
];

/// What a line has beside its post.
pub const AROUND: &[Column] = &[
    column(
        "author",
        Type::Struct(USER),
        "The author as delivered with the post: the user in `includes` whose id is `author_id`",
    ),
    column(
        "includes",
        Type::Struct(INCLUDES),
        "What was delivered beside the post",
    ),
    column(
        "errors",
        Type::Json,
        "What the API could not deliver of this post, as JSON",
    ),
];

/// What the program knows of a post.
pub const OURS: &[Column] = &[
    column(
        "post_time",
        Type::Time,
        "When the post was made: the millisecond in its id, for ids below 29,700,000,000 `created_at`. It decides the hour",
    )
    .always(),
    column(
        "server",
        Type::Text,
        "The server whose copy this row is: the one that received it first",
    )
    .always(),
    column(
        "retrieved_at",
        Type::Time,
        "When that server received it",
    ),
    column(
        "seen_by",
        Type::List(&Type::Text),
        "The servers that received the post, in ascending order",
    )
    .always(),
    column(
        "first_seen_at",
        Type::Time,
        "When the first of them received it",
    ),
    column(
        "copies",
        Type::Int,
        "How often it was received, by all servers together",
    )
    .always(),
    column(
        "backfilled",
        Type::Bool,
        "Whether this copy came by backfill: the post is older than the connection that brought it, which had asked for backfill",
    )
    .always(),
    column(
        "line",
        Type::Text,
        "The whole line as that server received it, as JSON: every byte, also of fields that are no columns",
    )
    .always(),
];

/// What makes a line a post: every row has it.
const ID: Column = column(
    "id",
    Type::Id,
    "The post's id. Rows ascend by it; from 29,700,000,000 on it carries the millisecond: `(id >> 22) + 1288834974657`",
)
.always();

/// All columns of `posts.parquet`, in order.
pub fn posts() -> impl Iterator<Item = &'static Column> {
    let of_post = POST.iter().filter(|column| column.name != ID.name);
    std::iter::once(&ID)
        .chain(of_post)
        .chain(AROUND)
        .chain(OURS)
}
