//! A record, member by member, as columns: those of all collections of which anything is known.

use crate::source::columns::{Column, Type, column};

/// A list of texts.
const TEXTS: Type = Type::List(&Type::Text);

const URI: Column = column("uri", Type::Text, "Its address");

const CID: Column = column("cid", Type::Text, "The hash of that version");

const TYPE: Column = column("$type", Type::Text, "Its type");

/// A record that is referred to.
const REFERENCE: &[Column] = &[URI, CID];

const REPLY: &[Column] = &[
    column(
        "root",
        Type::Struct(REFERENCE),
        "The first post of the thread",
    ),
    column(
        "parent",
        Type::Struct(REFERENCE),
        "The post that is answered",
    ),
];

const EXTERNAL: &[Column] = &[
    column("uri", Type::Text, "Its address"),
    column("title", Type::Text, "Its title"),
    column("description", Type::Text, "Its description"),
    column("thumb", Type::Json, "Its picture"),
];

const ASPECT: &[Column] = &[
    column("width", Type::Int, "Width"),
    column("height", Type::Int, "Height"),
];

const ASPECT_RATIO: Column = column("aspectRatio", Type::Struct(ASPECT), "Its proportions");

const ALT: Column = column(
    "alt",
    Type::Text,
    "Its description for people who cannot see it",
);

const IMAGE: &[Column] = &[
    ALT,
    ASPECT_RATIO,
    column("image", Type::Json, "The file: its hash, type and size"),
];

/// A record that is quoted: alone its reference, beside media one in an object.
const QUOTED: &[Column] = &[
    TYPE,
    URI,
    CID,
    column(
        "record",
        Type::Struct(REFERENCE),
        "The same, if there are media beside it",
    ),
];

const EMBED: &[Column] = &[
    TYPE,
    column("external", Type::Struct(EXTERNAL), "A page"),
    column("images", Type::List(&Type::Struct(IMAGE)), "Images"),
    column("record", Type::Struct(QUOTED), "The record that is quoted"),
    column("media", Type::Json, "Media beside a quoted record"),
    column(
        "video",
        Type::Json,
        "The video's file: its hash, type and size",
    ),
    ALT,
    ASPECT_RATIO,
    column("captions", Type::Json, "The video's captions"),
    column(
        "presentation",
        Type::Text,
        "How the video is meant to be shown",
    ),
];

const INDEX: &[Column] = &[
    column("byteStart", Type::Int, "Its first byte in the text"),
    column("byteEnd", Type::Int, "The byte after its last one"),
];

const FEATURE: &[Column] = &[
    TYPE,
    column("did", Type::Text, "The account that is mentioned"),
    column("uri", Type::Text, "The address that is linked to"),
    column("tag", Type::Text, "The tag, without #"),
];

const FACET: &[Column] = &[
    column(
        "index",
        Type::Struct(INDEX),
        "The bytes of the text (UTF-8) that it refers to",
    ),
    column(
        "features",
        Type::List(&Type::Struct(FEATURE)),
        "What they are",
    ),
];

const LABELS: &[Column] = &[
    TYPE,
    column(
        "values",
        Type::List(&Type::Struct(&[column("val", Type::Text, "The label")])),
        "The labels",
    ),
];

/// A record.
pub(super) const RECORD: &[Column] = &[
    TYPE,
    column(
        "createdAt",
        Type::Time,
        "When it was made, according to the author's app; null if that is not a valid time",
    ),
    column("text", Type::Text, "The text of a post"),
    column("langs", TEXTS, "The languages that its author's app gives"),
    column(
        "reply",
        Type::Struct(REPLY),
        "The posts that a reply answers",
    ),
    column("embed", Type::Struct(EMBED), "What is embedded in a post"),
    column(
        "facets",
        Type::List(&Type::Struct(FACET)),
        "Mentions, links and tags in the text",
    ),
    column("tags", TEXTS, "Tags beside the text"),
    column(
        "labels",
        Type::Struct(LABELS),
        "The labels that its author has given it",
    ),
    column("entities", Type::Json, "The form that facets had in 2022"),
    column(
        "subject",
        Type::Json,
        "What a like, repost, follow or block refers to: a reference, or a `did`",
    ),
    column(
        "via",
        Type::Struct(REFERENCE),
        "The repost by which it was found",
    ),
];
