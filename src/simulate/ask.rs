//! What a request asks for, and whether the stream understands it.

use super::{
    answer::Answer,
    selection::{Offer, Selection},
};

/// The most that `backfill_minutes` may be.
const BACKFILL_MINUTES_MAX: i64 = 5;

const TWEET_FIELDS: &str = "article attachments author_id card_uri community_id context_annotations \
    conversation_id created_at display_text_range edit_controls edit_history_tweet_ids entities geo id \
    in_reply_to_user_id lang matched_media_notes media_metadata non_public_metrics \
    note_request_suggestions note_tweet organic_metrics paid_partnership possibly_sensitive \
    promoted_metrics public_metrics referenced_tweets reply_settings scopes source \
    suggested_source_links suggested_source_links_with_counts text withheld";

const EXPANSIONS: &str = "article.cover_media article.media_entities attachments.media_keys \
    attachments.media_source_tweet attachments.poll_ids author_id edit_history_tweet_ids \
    entities.mentions.username geo.place_id in_reply_to_user_id entities.note.mentions.username \
    referenced_tweets.id referenced_tweets.id.attachments.media_keys referenced_tweets.id.author_id";

const USER_FIELDS: &str = "affiliation confirmed_email connection_status created_at description entities \
    id is_identity_verified location most_recent_tweet_id name parody pinned_tweet_id \
    profile_banner_url profile_image_url protected public_metrics receives_your_dm subscription \
    subscription_type url username verified verified_followers_count verified_type withheld";

const MEDIA_FIELDS: &str = "alt_text duration_ms height media_key non_public_metrics organic_metrics \
    preview_image_url promoted_metrics public_metrics type url variants width";

const POLL_FIELDS: &str = "duration_minutes end_datetime id options voting_status";

const PLACE_FIELDS: &str = "contained_within country country_code full_name geo id name place_type";

/// The parameters that are lists, and their allowed values.
const LISTS: &[(&str, &str)] = &[
    ("tweet.fields", TWEET_FIELDS),
    ("expansions", EXPANSIONS),
    ("user.fields", USER_FIELDS),
    ("media.fields", MEDIA_FIELDS),
    ("poll.fields", POLL_FIELDS),
    ("place.fields", PLACE_FIELDS),
];

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) backfill_minutes: i64,
    pub(super) selection: Selection,
}

/// The partition that a query names, as far as that is known before the query is checked.
pub(super) fn partition(query: &str) -> Option<u8> {
    let mut pairs = query.split('&');
    let value = pairs.find_map(|pair| pair.strip_prefix("partition="))?;
    value.parse().ok()
}

/// Reads the query of a request: what it asks for, or why it makes no sense.
pub(super) fn read(offer: Offer, query: &str, has_right: bool) -> Result<Asked, Answer> {
    let mut seen: Vec<String> = Vec::new();
    let (mut backfill, mut selection) = (0, Selection::All);
    if offer.by_rules {
        selection = Selection::Matching;
    }
    let last = offer.partitions;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name), decode(value));
        let wrong = |message: String| Answer::InvalidRequest {
            parameter: name.clone(),
            value: value.clone(),
            message,
        };
        if seen.contains(&name) {
            return Err(wrong(format!(
                "The query parameter [{name}] is given more than once"
            )));
        }
        if name == "backfill_minutes" {
            backfill = match value.parse::<i64>() {
                Ok(minutes) if (0..=BACKFILL_MINUTES_MAX).contains(&minutes) => minutes,
                _ => {
                    return Err(wrong(format!(
                        "The `backfill_minutes` query parameter value [{value}] is not between 0 and {BACKFILL_MINUTES_MAX}"
                    )));
                }
            };
            if !has_right {
                return Err(wrong(
                    "The `backfill_minutes` query parameter is not allowed for your access level"
                        .to_owned(),
                ));
            }
        } else if name == "partition" && 0 < last {
            selection = match value.parse::<u8>() {
                Ok(number) if (1..=last).contains(&number) => Selection::Partition(number, last),
                _ => {
                    return Err(wrong(format!(
                        "The `partition` query parameter value [{value}] is not between 1 and {last}"
                    )));
                }
            };
        } else if let Some((_, allowed)) = LISTS.iter().find(|(list, _)| *list == name) {
            check_list(&name, &value, allowed).map_err(wrong)?;
        } else {
            let names: Vec<&str> = LISTS.iter().map(|(list, _)| *list).collect();
            return Err(wrong(format!(
                "The query parameter [{name}] is not one of [backfill_minutes,{}{}]",
                if 0 < last { "partition," } else { "" },
                names.join(",")
            )));
        }
        seen.push(name);
    }
    if 0 < last && selection == Selection::All {
        return Err(Answer::InvalidRequest {
            parameter: "partition".to_owned(),
            value: String::new(),
            message: "The `partition` query parameter can not be empty".to_owned(),
        });
    }
    Ok(Asked {
        backfill_minutes: backfill,
        selection,
    })
}

fn check_list(name: &str, value: &str, allowed: &str) -> Result<(), String> {
    let mut seen: Vec<&str> = Vec::new();
    for one in value.split(',') {
        if !allowed.split_ascii_whitespace().any(|known| known == one) {
            let allowed: Vec<&str> = allowed.split_ascii_whitespace().collect();
            return Err(format!(
                "The `{name}` query parameter value [{one}] is not one of [{}]",
                allowed.join(",")
            ));
        }
        if seen.contains(&one) {
            return Err(format!(
                "The `{name}` query parameter value [{one}] stands twice"
            ));
        }
        seen.push(one);
    }
    Ok(())
}

/// Undoes percent-encoding; what is no escape stays as it is.
pub(super) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digit = |place: usize| char::from(*bytes.get(place)?).to_digit(16);
        if let (b'%', Some(high), Some(low)) = (byte, digit(at + 1), digit(at + 2)) {
            out.push(u8::try_from(high * 16 + low).unwrap_or(byte));
            at += 3;
        } else {
            out.push(if byte == b'+' { b' ' } else { byte });
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether the client said that it takes gzip.
pub(super) fn accepts_gzip(accept_encoding: &str) -> bool {
    accept_encoding.split(',').any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let is_gzip = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        is_gzip && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backfill_minutes(query: &str, has_right: bool) -> Result<i64, Answer> {
        let sample = Offer::of("/2/tweets/sample/stream").unwrap();
        read(sample, query, has_right).map(|asked| asked.backfill_minutes)
    }

    #[track_caller]
    fn check_refused(query: &str, named: &str, message: &str) {
        match backfill_minutes(query, true) {
            Err(Answer::InvalidRequest {
                parameter,
                message: found,
                ..
            }) => {
                assert_eq!(parameter, named);
                assert!(found.contains(message), "{found}");
            }
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn what_the_stream_understands_is_taken() {
        for (query, minutes) in [
            ("", 0),
            ("backfill_minutes=0", 0),
            ("backfill_minutes=5&tweet.fields=id%2Ctext,lang", 5),
            (
                "expansions=author_id&user.fields=id,name&media.fields=url&poll.fields=id&place.fields=id",
                0,
            ),
        ] {
            assert_eq!(backfill_minutes(query, true), Ok(minutes), "{query}");
        }
    }

    #[test]
    fn every_wrong_parameter_is_named() {
        check_refused("partition=1", "partition", "is not one of");
        check_refused(
            "start_time=2026-11-23T00:00:00Z",
            "start_time",
            "is not one of",
        );
        check_refused("post.fields=id", "post.fields", "is not one of");
        check_refused("backfill_minutes=6", "backfill_minutes", "between 0 and 5");
        check_refused("backfill_minutes=-1", "backfill_minutes", "between 0 and 5");
        check_refused("backfill_minutes=x", "backfill_minutes", "between 0 and 5");
        check_refused("backfill_minutes=", "backfill_minutes", "between 0 and 5");
        check_refused(
            "backfill_minutes=1&backfill_minutes=1",
            "backfill_minutes",
            "more than once",
        );
        for (list, _) in LISTS {
            check_refused(&format!("{list}="), list, "value []");
            check_refused(&format!("{list}=bad"), list, "value [bad]");
            check_refused(&format!("{list}=id,id,bad"), list, "[");
        }
        check_refused("tweet.fields=id,id", "tweet.fields", "stands twice");
        check_refused(
            "tweet.fields=referenced_posts",
            "tweet.fields",
            "referenced_tweets",
        );
    }

    #[test]
    fn backfill_needs_the_right() {
        assert_eq!(backfill_minutes("tweet.fields=id", false), Ok(0));
        for query in ["backfill_minutes=5", "backfill_minutes=0"] {
            match backfill_minutes(query, false) {
                Err(answer) => assert_eq!(answer.status(), 400),
                Ok(minutes) => panic!("{minutes}"),
            }
        }
    }

    #[test]
    fn gzip_is_given_only_to_those_who_take_it() {
        for (header, takes) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("identity", false),
            ("", false),
        ] {
            assert_eq!(accepts_gzip(header), takes, "{header}");
        }
    }
}
