//! The API's objects, member by member, as columns: what comes beside a post.

use super::columns_parts::{
    COUNTRY_CODES, FLOATS, NON_PUBLIC_METRICS, ORGANIC_METRICS, PROMOTED_METRICS, SCOPE, TEXTS,
    URL, USER_ENTITIES,
};
use crate::source::columns::{Column, Type, column};

const USER_METRICS: &[Column] = &[
    column("followers_count", Type::Int, "Followers"),
    column("following_count", Type::Int, "Users followed"),
    column("post_count", Type::Int, "Posts").or("tweet_count"),
    column("listed_count", Type::Int, "Lists it is on"),
    column("like_count", Type::Int, "Posts liked"),
    column("media_count", Type::Int, "Media posted"),
];

const AFFILIATION: &[Column] = &[
    column("badge_url", Type::Text, "The badge"),
    column("description", Type::Text, "What it is"),
    URL,
    column("user_id", Type::Many(&Type::Id), "The affiliated users"),
];

/// A user: `author`, and the items of `includes.users`.
pub(super) const USER: &[Column] = &[
    column("id", Type::Id, "The user's id"),
    column("name", Type::Text, "The name shown"),
    column("username", Type::Text, "The username, without @"),
    column("created_at", Type::Time, "When the account was made"),
    column(
        "description",
        Type::Text,
        "How the user describes themselves",
    ),
    column(
        "location",
        Type::Text,
        "The place that the user gives: any text",
    ),
    URL,
    column(
        "entities",
        Type::Struct(USER_ENTITIES),
        "Links, mentions and tags in address and description",
    ),
    column(
        "protected",
        Type::Bool,
        "Whether only followers can see the posts",
    ),
    column(
        "verified",
        Type::Bool,
        "Whether verified; since 2023 also if paid for",
    ),
    column(
        "verified_type",
        Type::Text,
        "`blue`, `government`, `business` or `none`",
    ),
    column(
        "verified_followers_count",
        Type::Int,
        "Followers that are verified",
    ),
    column(
        "is_identity_verified",
        Type::Bool,
        "Whether an identity document was checked",
    ),
    column(
        "parody",
        Type::Bool,
        "Whether the account calls itself a parody",
    ),
    column(
        "subscription_type",
        Type::Text,
        "`Basic`, `Premium`, `PremiumPlus` or `None`",
    ),
    column(
        "subscription",
        Type::Struct(&[column(
            "subscribes_to_you",
            Type::Bool,
            "Whether the user subscribes to the account that collects",
        )]),
        "Subscription to the account that collects",
    ),
    column(
        "connection_status",
        TEXTS,
        "Relation to the account that collects",
    ),
    column(
        "receives_your_dm",
        Type::Bool,
        "Whether the account that collects may send the user messages",
    ),
    column(
        "confirmed_email",
        Type::Text,
        "The e-mail address; only for the account that collects",
    ),
    column(
        "affiliation",
        Type::Struct(AFFILIATION),
        "Organization the user belongs to",
    ),
    column(
        "public_metrics",
        Type::Struct(USER_METRICS),
        "Counts at the moment of delivery",
    ),
    column("pinned_post_id", Type::Id, "The pinned post").or("pinned_tweet_id"),
    column("most_recent_post_id", Type::Id, "The latest post").or("most_recent_tweet_id"),
    column("profile_image_url", Type::Text, "The picture"),
    column("profile_banner_url", Type::Text, "The banner"),
    column(
        "withheld",
        Type::Struct(&[COUNTRY_CODES, SCOPE]),
        "Where the user is withheld",
    ),
];

const VARIANT: &[Column] = &[
    column("bit_rate", Type::Int, "Bits per second"),
    column("content_type", Type::Text, "Its MIME type"),
    URL,
];

/// A photo, video or animated image.
pub(super) const MEDIA: &[Column] = &[
    column("media_key", Type::Text, "Its key"),
    column("type", Type::Text, "`photo`, `video` or `animated_gif`"),
    column("url", Type::Text, "Address of a photo"),
    column(
        "preview_image_url",
        Type::Text,
        "Address of a video's first picture",
    ),
    column("width", Type::Int, "Pixels across"),
    column("height", Type::Int, "Pixels down"),
    column("duration_ms", Type::Int, "Length in milliseconds"),
    column(
        "alt_text",
        Type::Text,
        "Its description for people who cannot see it",
    ),
    column("variants", Type::List(&Type::Struct(VARIANT)), "Its files"),
    column(
        "public_metrics",
        Type::Struct(&[column("view_count", Type::Int, "Number of views")]),
        "Counts at the moment of delivery",
    ),
    NON_PUBLIC_METRICS,
    ORGANIC_METRICS,
    PROMOTED_METRICS,
];

const OPTION: &[Column] = &[
    column("position", Type::Int, "From 1"),
    column("label", Type::Text, "What it says"),
    column("votes", Type::Int, "Votes"),
];

/// A poll.
pub(super) const POLL: &[Column] = &[
    column("id", Type::Id, "Its id"),
    column("options", Type::List(&Type::Struct(OPTION)), "The choices"),
    column("voting_status", Type::Text, "`open` or `closed`"),
    column("duration_minutes", Type::Int, "How long it runs"),
    column("end_datetime", Type::Time, "When it ends"),
];

const PLACE_GEO: &[Column] = &[
    column("type", Type::Text, "`Feature`"),
    column("bbox", FLOATS, "West, south, east, north in degrees"),
    column("properties", Type::Json, "Its other properties"),
];

/// A place.
pub(super) const PLACE: &[Column] = &[
    column("id", Type::Text, "Its id, in hex digits"),
    column(
        "full_name",
        Type::Text,
        "Its name with that of the larger place",
    ),
    column("name", Type::Text, "Its name"),
    column("country", Type::Text, "Its country"),
    column(
        "country_code",
        Type::Text,
        "Its country: ISO 3166-1 alpha-2",
    ),
    column(
        "place_type",
        Type::Text,
        "`poi`, `neighborhood`, `city`, `admin`, `country` or `unknown`",
    ),
    column("contained_within", TEXTS, "Places that contain it"),
    column("geo", Type::Struct(PLACE_GEO), "Where it is"),
];

/// A topic.
pub(super) const TOPIC: &[Column] = &[
    column("id", Type::Text, "Its id"),
    column("name", Type::Text, "Its name"),
    column("description", Type::Text, "What it is"),
];
