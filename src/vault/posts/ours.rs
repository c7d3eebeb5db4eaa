//! The columns of `posts.parquet` that the program adds. Those that a line brings are in the platform's folder (`source/x/columns.rs`).

use crate::source::columns::{Column, Type, column};

/// What the program knows of a post.
pub const OURS: &[Column] = &[
    column(
        "post_time",
        Type::Time,
        "The time of the post, which decides the hour",
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
        "How many times all servers together received it",
    )
    .always(),
    column(
        "backfilled",
        Type::Bool,
        "Whether this copy came by backfill: the connection had asked for backfill, and the post is older than the \
         connection",
    )
    .always(),
    column(
        "line",
        Type::Text,
        "The whole line as that server received it, as JSON: every byte, including fields that have no column",
    )
    .always(),
];
