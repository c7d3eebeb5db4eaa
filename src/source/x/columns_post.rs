//! The API's objects, member by member, as columns: posts.
//!
//! From the OpenAPI descriptions 2.166 (which says tweet) and 2.167 (which says post) of X API v2.
//! Where the two give a member different shapes, both are read.

use super::columns_parts::{
    COUNTRY_CODES, ENTITIES, FLOATS, IDS, NON_PUBLIC_METRICS, ORGANIC_METRICS, PROMOTED_METRICS,
    SCOPE, TEXT_ENTITIES, TEXTS,
};
use crate::source::columns::{Column, Type, column};

const REFERENCE: &[Column] = &[
    column("type", Type::Text, "`retweeted`, `quoted` or `replied_to`"),
    column("id", Type::Id, "The other post's id"),
];

const POST_METRICS: &[Column] = &[
    column("repost_count", Type::Int, "Times reposted").or("retweet_count"),
    column("reply_count", Type::Int, "Replies"),
    column("like_count", Type::Int, "Likes"),
    column("quote_count", Type::Int, "Times quoted"),
    column("bookmark_count", Type::Int, "Times bookmarked"),
    column("impression_count", Type::Int, "Times shown"),
];

const ATTACHMENTS: &[Column] = &[
    column("media_keys", TEXTS, "The media, see `includes.media`"),
    column("poll_ids", IDS, "The polls, see `includes.polls`"),
    column(
        "media_source_tweet_id",
        IDS,
        "The posts that the media come from",
    )
    .or("media_source_post_id"),
];

const NOTE: &[Column] = &[
    column("text", Type::Text, "The full text"),
    column(
        "entities",
        Type::Struct(TEXT_ENTITIES),
        "Links, mentions and tags in the full text",
    ),
];

const SUBJECT: &[Column] = &[
    column("id", Type::Id, "Its id"),
    column("name", Type::Text, "Its name"),
    column("description", Type::Text, "What it is"),
];

const CONTEXT: &[Column] = &[
    column("domain", Type::Struct(SUBJECT), "The kind of subject"),
    column("entity", Type::Struct(SUBJECT), "The subject"),
];

const POINT: &[Column] = &[
    column("type", Type::Text, "`Point`"),
    column("coordinates", FLOATS, "Longitude and latitude in degrees"),
];

const GEO: &[Column] = &[
    column("place_id", Type::Text, "The place, see `includes.places`"),
    column(
        "coordinates",
        Type::Struct(POINT),
        "The exact position, if the author gave it",
    ),
];

const WITHHELD: &[Column] = &[
    column("copyright", Type::Bool, "Whether for copyright"),
    COUNTRY_CODES,
    SCOPE,
];

const EDIT_CONTROLS: &[Column] = &[
    column("is_edit_eligible", Type::Bool, "Whether it can be edited"),
    column("editable_until", Type::Time, "Until when"),
    column("edits_remaining", Type::Int, "How many edits are left"),
];

const MEDIA_METADATA: &[Column] = &[
    column("media_key", Type::Text, "The medium"),
    column(
        "alt_text",
        Type::Text,
        "Its description for people who cannot see it",
    ),
    column("title", Type::Text, "Its title"),
    column("description", Type::Text, "Its description"),
];

const MEDIA_NOTE: &[Column] = &[
    column("match_status", Type::Text, "How it matches"),
    column("note_id", Type::Id, "The note"),
];

const SUGGESTION: &[Column] = &[
    column("suggestion_id", Type::Text, "Its id"),
    column("suggestion", Type::Text, "The suggestion"),
    column("source_link", Type::Link, "Its source"),
];

const COUNTED_LINK: &[Column] = &[
    column("count", Type::Int, "How many times it was suggested"),
    column("url", Type::Link, "Address"),
];

/// A post: `data`, and the items of `includes.posts` (`includes.tweets`).
pub(super) const POST: &[Column] = &[
    column("id", Type::Id, "The post's id"),
    column(
        "created_at",
        Type::Time,
        "When it was made, according to the API: whole seconds",
    ),
    column("author_id", Type::Id, "The author's id"),
    column(
        "text",
        Type::Text,
        "The text, with all its line breaks. For a repost or a long post, the API gives only the beginning: see \
         `referenced_posts` and `note_post`",
    ),
    column(
        "lang",
        Type::Text,
        "The language that X detected: BCP 47, `und` for none, `q…` and `zxx` for posts without words",
    ),
    column(
        "conversation_id",
        Type::Id,
        "The first post of the conversation; `id` if this post is the first",
    ),
    column("in_reply_to_user_id", Type::Id, "The user replied to"),
    column(
        "referenced_posts",
        Type::List(&Type::Struct(REFERENCE)),
        "All posts that it refers to; null if there are none",
    )
    .or("referenced_tweets"),
    column(
        "source",
        Type::Text,
        "The app it was posted with; X stopped sending it in December 2022",
    ),
    column(
        "possibly_sensitive",
        Type::Bool,
        "Whether its links may lead to sensitive content",
    ),
    column("reply_settings", Type::Text, "Who may reply"),
    column(
        "public_metrics",
        Type::Struct(POST_METRICS),
        "Counts at the moment of delivery: nearly all 0 in a live stream",
    ),
    NON_PUBLIC_METRICS,
    ORGANIC_METRICS,
    PROMOTED_METRICS,
    column("attachments", Type::Struct(ATTACHMENTS), "Media and polls"),
    column(
        "entities",
        Type::Struct(ENTITIES),
        "Links, mentions, tags and annotations in the text; positions count characters (Unicode code points)",
    ),
    column(
        "note_post",
        Type::Struct(NOTE),
        "The full text of a long post",
    )
    .or("note_tweet"),
    column("article", Type::Json, "An article"),
    column(
        "context_annotations",
        Type::List(&Type::Struct(CONTEXT)),
        "Subjects that X found in it",
    ),
    column("geo", Type::Struct(GEO), "Where it was posted from"),
    column("withheld", Type::Struct(WITHHELD), "Where it is withheld"),
    column(
        "edit_history_post_ids",
        IDS,
        "Its versions, oldest first; only its own id if it was never edited",
    )
    .or("edit_history_tweet_ids"),
    column(
        "edit_controls",
        Type::Struct(EDIT_CONTROLS),
        "Whether it can still be edited",
    ),
    column(
        "display_text_range",
        Type::List(&Type::Int),
        "First character shown, and the one after the last",
    ),
    column("community_id", Type::Id, "The community it was posted in"),
    column("card_uri", Type::Text, "Its card"),
    column(
        "scopes",
        Type::Struct(&[column(
            "followers",
            Type::Bool,
            "Whether it is for followers only",
        )]),
        "Who can see it",
    ),
    column("paid_partnership", Type::Bool, "Whether it is advertising"),
    column(
        "media_metadata",
        Type::List(&Type::Struct(MEDIA_METADATA)),
        "Descriptions of its media",
    ),
    column(
        "matched_media_notes",
        Type::Many(&Type::Struct(MEDIA_NOTE)),
        "Community Notes on its media",
    ),
    column(
        "note_request_suggestions",
        Type::Many(&Type::Struct(SUGGESTION)),
        "Suggestions for Community Notes",
    ),
    column(
        "suggested_source_links",
        Type::List(&Type::Link),
        "Sources suggested for Community Notes",
    ),
    column(
        "suggested_source_links_with_counts",
        Type::Many(&Type::Struct(COUNTED_LINK)),
        "The same, with counts",
    ),
    column(
        "username",
        Type::Text,
        "The author's username; described by the API, but never seen in streams",
    ),
];
