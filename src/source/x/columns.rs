//! The one list of the columns that X's lines give `posts.parquet`.
//!
//! Names are the API's, in its newer spelling (post); where an older one exists (tweet), both are
//! read, and the newer one counts if a post has both. What the API calls by a name is here under
//! that name, as deep as it goes.

use super::{
    columns_beside::{MEDIA, PLACE, POLL, TOPIC, USER},
    columns_post::POST,
};
use crate::source::columns::{Column, Type, column};

/// What was delivered beside the post.
pub(super) const INCLUDES: &[Column] = &[
    column(
        "users",
        Type::Others(&Type::Struct(USER)),
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

const RULE: &[Column] = &[
    column(
        "id",
        Type::Id,
        "The rule's id, a new one each time the rule is added",
    ),
    column("tag", Type::Text, "The tag that the rule's author gave it"),
];

/// What a line has beside its post.
pub(super) const AROUND: &[Column] = &[
    column(
        "author",
        Type::Struct(USER),
        "The author as delivered with the post: the user in `includes` whose id is `author_id`",
    ),
    column(
        "includes",
        Type::Struct(INCLUDES),
        "What was delivered with the post",
    ),
    column(
        "errors",
        Type::Json,
        "The parts of this post that the API could not deliver, as JSON",
    ),
    column(
        "matching_rules",
        Type::List(&Type::Struct(RULE)),
        "The rules of the filtered stream that the post matched, according to the copy that is kept. Manifests say \
         which rules were in force",
    ),
];

/// What makes a line a post: every row has it.
const ID: Column = column(
    "id",
    Type::Id,
    "The post's id, in ascending order. Ids from 29,700,000,000 on contain the millisecond: `(id >> 22) + \
     1288834974657`",
)
.always();

/// All of them, in order.
pub(super) fn all() -> impl Iterator<Item = &'static Column> {
    let of_post = POST.iter().filter(|column| column.name != ID.name);
    std::iter::once(&ID).chain(of_post).chain(AROUND)
}
