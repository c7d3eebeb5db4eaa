//! The one list of the columns that Bluesky's lines give `posts.parquet`. Names are those of the wire, as deep as they go.

use super::columns_record::RECORD;
use crate::source::columns::{Column, Type, column};

/// What is worked out of an event.
pub(super) const NAMES: [Column; 2] = [
    column(
        "key",
        Type::Text,
        "The key of the event: `did/collection/rkey@rev` for a commit, followed by `#delete` if it deletes a record; \
         `did#kind/seq` for other events. Rows ascend by `post_time`, then by `key`",
    )
    .always(),
    column(
        "uri",
        Type::Text,
        "The address of a commit's record: `at://did/collection/rkey`",
    ),
];

const SEQ: Column = column(
    "seq",
    Type::Int,
    "The event's number on the relay that the endpoint listens to",
);

const TIME: Column = column(
    "time",
    Type::Time,
    "When the relay saw it; this decides the hour",
);

const COMMIT: &[Column] = &[
    column(
        "rev",
        Type::Text,
        "The repository's revision: a TID; its time decides the hour",
    ),
    column("operation", Type::Text, "`create`, `update` or `delete`"),
    column("collection", Type::Text, "The collection of the record"),
    column("rkey", Type::Text, "The record's key in the collection"),
    column("cid", Type::Text, "The hash of this version of the record"),
    column(
        "record",
        Type::Struct(RECORD),
        "The record; null if it is deleted",
    ),
];

const IDENTITY: &[Column] = &[
    column("did", Type::Text, "The account"),
    column("handle", Type::Text, "Its handle"),
    SEQ,
    TIME,
];

const ACCOUNT: &[Column] = &[
    column("did", Type::Text, "The account"),
    column("active", Type::Bool, "Whether it is active"),
    column(
        "status",
        Type::Text,
        "Why it is not active: `takendown`, `suspended`, `deleted`, `deactivated`, `desynchronized`, `throttled` or \
         a newer word",
    ),
    SEQ,
    TIME,
];

/// What a line has.
pub(super) const EVENT: &[Column] = &[
    column(
        "did",
        Type::Text,
        "The account whose repository or event it is",
    )
    .always(),
    column("kind", Type::Text, "`commit`, `identity` or `account`").always(),
    column(
        "time_us",
        Type::Int,
        "When the endpoint that sent the kept copy first saw it, in microseconds since 1970; endpoints differ",
    )
    .always(),
    column(
        "cursor",
        Type::Int,
        "The event's number on that endpoint, if the endpoint counts events",
    ),
    column("commit", Type::Struct(COMMIT), "A change of one record"),
    column(
        "identity",
        Type::Struct(IDENTITY),
        "The handle of an account",
    ),
    column(
        "account",
        Type::Struct(ACCOUNT),
        "Whether an account is active",
    ),
];

/// All of them, in order.
pub(super) fn all() -> impl Iterator<Item = &'static Column> {
    NAMES.iter().chain(EVENT)
}
