//! The API's objects as columns: parts that posts and users have in common.

use crate::source::columns::{Column, Type, column};

pub(super) const TEXTS: Type = Type::List(&Type::Text);
pub(super) const IDS: Type = Type::List(&Type::Id);
pub(super) const FLOATS: Type = Type::List(&Type::Float);

const BEGIN: Column = column("start", Type::Int, "First character in the text, from 0");
const END: Column = column("end", Type::Int, "Character after the last");
pub(super) const URL: Column = column("url", Type::Text, "Address");

const OF_AUTHOR: &str = "Counts that only the author may see";
pub(super) const NON_PUBLIC_METRICS: Column = column("non_public_metrics", Type::Json, OF_AUTHOR);
pub(super) const ORGANIC_METRICS: Column = column("organic_metrics", Type::Json, OF_AUTHOR);
pub(super) const PROMOTED_METRICS: Column = column("promoted_metrics", Type::Json, OF_AUTHOR);

const IMAGE: &[Column] = &[
    URL,
    column("width", Type::Int, "Pixels across"),
    column("height", Type::Int, "Pixels down"),
];

const URL_ENTITY: &[Column] = &[
    BEGIN,
    END,
    column("url", Type::Text, "The address in the text (t.co)"),
    column("expanded_url", Type::Text, "The address that it leads to"),
    column("display_url", Type::Text, "The address as shown"),
    column(
        "unwound_url",
        Type::Text,
        "The address after all redirections",
    ),
    column("status", Type::Int, "HTTP status of that address"),
    column("title", Type::Text, "Title of the page"),
    column("description", Type::Text, "Description of the page"),
    column(
        "images",
        Type::List(&Type::Struct(IMAGE)),
        "Images of the page",
    ),
    column("media_key", Type::Text, "The medium, if it leads to one"),
];

const MENTION: &[Column] = &[
    BEGIN,
    END,
    column("username", Type::Text, "The username, without @"),
    column("id", Type::Id, "The user's id"),
];

const TAG: &[Column] = &[
    BEGIN,
    END,
    column("tag", Type::Text, "The tag, without its sign"),
];

const ANNOTATION: &[Column] = &[
    BEGIN,
    column("end", Type::Int, "Last character: this one is inclusive"),
    column("probability", Type::Float, "Probability, from 0 to 1"),
    column(
        "type",
        Type::Text,
        "`Person`, `Place`, `Product`, `Organization`, `Other`",
    ),
    column("normalized_text", Type::Text, "The text that is annotated"),
];

pub(super) const URLS: Column = column("urls", Type::List(&Type::Struct(URL_ENTITY)), "Addresses");
const MENTIONS: Column = column(
    "mentions",
    Type::List(&Type::Struct(MENTION)),
    "Users mentioned",
);
const HASHTAGS: Column = column("hashtags", Type::List(&Type::Struct(TAG)), "Hashtags");
const CASHTAGS: Column = column("cashtags", Type::List(&Type::Struct(TAG)), "Cashtags");

pub(super) const TEXT_ENTITIES: &[Column] = &[URLS, MENTIONS, HASHTAGS, CASHTAGS];

pub(super) const ENTITIES: &[Column] = &[
    URLS,
    MENTIONS,
    HASHTAGS,
    CASHTAGS,
    column(
        "annotations",
        Type::List(&Type::Struct(ANNOTATION)),
        "Persons, places, products found in the text",
    ),
];

pub(super) const USER_ENTITIES: &[Column] = &[
    column("url", Type::Struct(&[URLS]), "In the user's address"),
    column(
        "description",
        Type::Struct(TEXT_ENTITIES),
        "In the user's description",
    ),
];

pub(super) const COUNTRY_CODES: Column = column(
    "country_codes",
    TEXTS,
    "Countries in which it is withheld: ISO 3166-1 alpha-2, also `XX` and `XY`",
);
pub(super) const SCOPE: Column = column(
    "scope",
    Type::Text,
    "What is withheld: the post or the user",
);
