//! What is asked of the API: path and parameters of the request.
//!
//! The stream takes the old spelling `tweet.fields` whatever the API's pages say. A list is one
//! parameter with its values joined by commas; an empty list would be refused, so none is sent.

use crate::{
    config::settings::{Fields, X, XStream},
    segment::name::Partition,
};

/// The path of a stream below the base address.
const fn path(stream: XStream) -> &'static str {
    match stream {
        XStream::Sample => "/2/tweets/sample/stream",
        XStream::Sample10 => "/2/tweets/sample10/stream",
        XStream::Firehose => "/2/tweets/firehose/stream",
        XStream::Filtered => "/2/tweets/search/stream",
    }
}

/// What the 20 columns need.
const CORE: &[(&str, &[&str])] = &[
    ("expansions", &["author_id"]),
    (
        "tweet.fields",
        &[
            "author_id",
            "conversation_id",
            "created_at",
            "id",
            "lang",
            "text",
            "referenced_tweets",
            "source",
        ],
    ),
    (
        "user.fields",
        &[
            "created_at",
            "id",
            "location",
            "name",
            "protected",
            "public_metrics",
            "username",
            "verified",
        ],
    ),
];

/// Every public field and expansion. Left out are the metrics that only an author may see.
const ALL: &[(&str, &[&str])] = &[
    (
        "expansions",
        &[
            "article.cover_media",
            "article.media_entities",
            "attachments.media_keys",
            "attachments.media_source_tweet",
            "attachments.poll_ids",
            "author_id",
            "edit_history_tweet_ids",
            "entities.mentions.username",
            "entities.note.mentions.username",
            "geo.place_id",
            "in_reply_to_user_id",
            "referenced_tweets.id",
            "referenced_tweets.id.attachments.media_keys",
            "referenced_tweets.id.author_id",
        ],
    ),
    (
        "tweet.fields",
        &[
            "article",
            "attachments",
            "author_id",
            "card_uri",
            "community_id",
            "context_annotations",
            "conversation_id",
            "created_at",
            "display_text_range",
            "edit_controls",
            "edit_history_tweet_ids",
            "entities",
            "geo",
            "id",
            "in_reply_to_user_id",
            "lang",
            "matched_media_notes",
            "media_metadata",
            "note_request_suggestions",
            "note_tweet",
            "paid_partnership",
            "possibly_sensitive",
            "public_metrics",
            "referenced_tweets",
            "reply_settings",
            "scopes",
            "source",
            "suggested_source_links",
            "suggested_source_links_with_counts",
            "text",
            "withheld",
        ],
    ),
    (
        "user.fields",
        &[
            "affiliation",
            "created_at",
            "description",
            "entities",
            "id",
            "is_identity_verified",
            "location",
            "most_recent_tweet_id",
            "name",
            "parody",
            "pinned_tweet_id",
            "profile_banner_url",
            "profile_image_url",
            "protected",
            "public_metrics",
            "subscription_type",
            "url",
            "username",
            "verified",
            "verified_followers_count",
            "verified_type",
            "withheld",
        ],
    ),
    (
        "media.fields",
        &[
            "alt_text",
            "duration_ms",
            "height",
            "media_key",
            "preview_image_url",
            "public_metrics",
            "type",
            "url",
            "variants",
            "width",
        ],
    ),
    (
        "poll.fields",
        &[
            "duration_minutes",
            "end_datetime",
            "id",
            "options",
            "voting_status",
        ],
    ),
    (
        "place.fields",
        &[
            "contained_within",
            "country",
            "country_code",
            "full_name",
            "geo",
            "id",
            "name",
            "place_type",
        ],
    ),
];

/// Path and query of the request.
pub(super) fn path_and_query(
    settings: &X,
    partition: Option<Partition>,
    backfill_minutes: u8,
) -> String {
    let lists = match settings.fields {
        Fields::Core => CORE,
        Fields::All => ALL,
    };
    let mut parameters: Vec<String> = lists
        .iter()
        .map(|(name, values)| format!("{name}={}", values.join(",")))
        .collect();
    if let Some(partition) = partition {
        parameters.push(format!("partition={}", partition.number()));
    }
    if 0 < backfill_minutes {
        parameters.push(format!("backfill_minutes={backfill_minutes}"));
    }
    let path = path(settings.stream);
    format!("{path}?{}", parameters.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn x(stream: XStream, fields: Fields) -> X {
        X {
            stream,
            rules: Vec::new(),
            base_url: String::new(),
            bearer_token_file: "token".into(),
            fields,
            backfill: true,
            max_line: 0,
        }
    }

    #[test]
    fn the_core_asks_for_what_the_columns_need_and_backfill_only_when_there_is_some() {
        let core = "/2/tweets/sample/stream?expansions=author_id\
            &tweet.fields=author_id,conversation_id,created_at,id,lang,text,referenced_tweets,source\
            &user.fields=created_at,id,location,name,protected,public_metrics,username,verified";
        let sample = x(XStream::Sample, Fields::Core);
        assert_eq!(path_and_query(&sample, None, 0), core);
        assert_eq!(
            path_and_query(&sample, None, 3),
            format!("{core}&backfill_minutes=3")
        );
        let all = x(XStream::Firehose, Fields::Core);
        let core = core.replace("sample", "firehose");
        assert_eq!(
            path_and_query(&all, Partition::new(7), 3),
            format!("{core}&partition=7&backfill_minutes=3")
        );
    }

    #[test]
    fn all_asks_for_no_field_that_only_an_author_may_see() {
        let all = path_and_query(&x(XStream::Sample, Fields::All), None, 0);
        for private in [
            "non_public",
            "organic",
            "promoted",
            "confirmed_email",
            "receives_your_dm",
        ] {
            assert!(!all.contains(private), "{private}");
        }
        assert!(!all.contains("=&") && !all.ends_with('='), "an empty list");
        assert_eq!(
            ALL.iter().map(|(_, values)| values.len()).sum::<usize>(),
            90
        );
    }
}
