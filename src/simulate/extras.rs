//! What `--fields all` adds to a post: entities, counts, media, places, the posts referred to.

use super::{
    chance::Chance,
    draft::{Draft, put_core},
    json::{put, put_id, put_number, put_second, put_text},
    recipe::{Recipe, Spelling},
    snowflake, user, words,
};

const PLACE: &str = "01a9a39529b27f36";

/// What the post's own lower bits say it has, so that `data` and `includes` agree.
struct Has {
    media: bool,
    place: bool,
    long: bool,
}

impl Has {
    fn of(draft: &Draft) -> Self {
        let mut chance = Chance::of(draft.id, 0x68_6173, 0);
        Self {
            media: chance.one_in(4),
            place: chance.one_in(60),
            long: chance.one_in(40),
        }
    }
}

/// Appends further members of `data`.
pub(super) fn put_of_post(chance: &mut Chance, draft: &Draft, names: &Spelling, out: &mut Vec<u8>) {
    put(out, ",\"possibly_sensitive\":");
    put(out, if chance.one_in(30) { "true" } else { "false" });
    put(
        out,
        ",\"reply_settings\":\"everyone\",\"public_metrics\":{\"",
    );
    put(out, names.reposts);
    put(out, "\":");
    put_number(
        out,
        if draft.references.is_empty() {
            0
        } else {
            chance.skewed(90_000)
        },
    );
    put(
        out,
        ",\"reply_count\":0,\"like_count\":0,\"quote_count\":0,\"bookmark_count\":0,\"impression_count\":",
    );
    put_number(out, chance.skewed(500));
    put(
        out,
        "},\"edit_controls\":{\"edits_remaining\":5,\"is_edit_eligible\":",
    );
    put(
        out,
        if draft.references.is_empty() {
            "true"
        } else {
            "false"
        },
    );
    put(out, ",\"editable_until\":");
    put_second(out, draft.second + 3_600);
    put(out, "},\"display_text_range\":[0,");
    put_number(out, draft.text.chars().count() as u64);
    put(out, "]");
    if let Some((_, _, whose)) = draft
        .references
        .iter()
        .find(|(how, ..)| *how == "replied_to")
    {
        put(out, ",\"in_reply_to_user_id\":");
        put_id(out, user::id(*whose));
    }
    put_entities(chance, draft, out);
    if chance.one_in(3) {
        put(
            out,
            ",\"context_annotations\":[{\"domain\":{\"id\":\"46\",\"name\":\"Business Taxonomy\",\
            \"description\":\"Categories within Brand Verticals\"},\"entity\":{\"id\":\"1557697333571112960\",\
            \"name\":\"Technology Business\"}}]",
        );
    }
    put_attached(chance, draft, names, out);
}

/// What only some posts have.
fn put_attached(chance: &mut Chance, draft: &Draft, names: &Spelling, out: &mut Vec<u8>) {
    let has = Has::of(draft);
    if has.media {
        put(out, ",\"attachments\":{\"media_keys\":[\"3_");
        put_number(out, draft.id);
        put(out, "\"]}");
    }
    if has.place {
        put(out, ",\"geo\":{\"place_id\":\"");
        put(out, PLACE);
        put(
            out,
            "\",\"coordinates\":{\"type\":\"Point\",\"coordinates\":[16.37,48.21]}}",
        );
    }
    if has.long {
        put(out, ",\"");
        put(out, names.note);
        put(out, "\":{\"text\":");
        let mut text = draft.text.clone();
        words::text(chance, 600, &mut text);
        put_text(out, &text);
        put(out, "}");
    }
    if chance.one_in(500) {
        put(
            out,
            ",\"withheld\":{\"copyright\":false,\"country_codes\":[\"DE\",\"XY\"],\"scope\":\"",
        );
        put(out, names.resource);
        put(out, "\"}");
    }
}

fn put_entities(chance: &mut Chance, draft: &Draft, out: &mut Vec<u8>) {
    let mention = draft.text.find('@').and_then(|at| {
        let handle: &str = draft.text.get(at + 1..)?;
        let end = handle.find([' ', ':'])?;
        Some((
            draft.text.get(..at)?.chars().count() as u64,
            handle.get(..end)?,
        ))
    });
    put(out, ",\"entities\":{");
    let mut first = true;
    let (Some((begin, handle)), Some((_, _, whose))) = (mention, draft.references.last()) else {
        put_hashtag(chance, &mut first, out);
        put(out, "}");
        return;
    };
    put(out, "\"mentions\":[{\"start\":");
    put_number(out, begin);
    put(out, ",\"end\":");
    put_number(out, begin + 1 + handle.len() as u64);
    put(out, ",\"username\":");
    put_text(out, handle);
    put(out, ",\"id\":");
    put_id(out, user::id(*whose));
    put(out, "}]");
    first = false;
    put_hashtag(chance, &mut first, out);
    put(out, "}");
}

fn put_hashtag(chance: &mut Chance, first: &mut bool, out: &mut Vec<u8>) {
    let mut tag = String::new();
    words::tag(chance, &mut tag);
    put(
        out,
        if *first {
            "\"hashtags\":[{\"start\":0,\"end\":"
        } else {
            ",\"hashtags\":[{\"start\":0,\"end\":"
        },
    );
    put_number(out, 1 + tag.chars().count() as u64);
    put(out, ",\"tag\":");
    put_text(out, &tag);
    put(out, "}]");
}

/// Appends `includes` with users, the posts referred to, media and places.
pub(super) fn put_includes(
    recipe: &Recipe,
    chance: &mut Chance,
    draft: &Draft,
    names: &Spelling,
    users_left_out: bool,
    out: &mut Vec<u8>,
) {
    let mut people: Vec<u64> = if users_left_out {
        Vec::new()
    } else {
        vec![draft.author]
    };
    for (_, _, whose) in &draft.references {
        if !people.contains(whose) {
            people.push(*whose);
        }
    }
    let mut open = ",\"includes\":{";
    for (place, person) in people.iter().enumerate() {
        put(
            out,
            if place == 0 {
                ",\"includes\":{\"users\":["
            } else {
                ","
            },
        );
        user::put_user(recipe, *person, draft.second, names, out);
        if place + 1 == people.len() {
            put(out, "]");
            open = ",";
        }
    }
    for (place, (_, id, whose)) in draft.references.iter().enumerate() {
        if place == 0 {
            put(out, open);
            put(out, "\"");
            put(out, names.included_posts);
            put(out, "\":[");
            open = ",";
        } else {
            put(out, ",");
        }
        put_referenced(chance, *id, *whose, names, out);
        if place + 1 == draft.references.len() {
            put(out, "]");
        }
    }
    open = put_media_and_places(draft, open, out);
    if open == "," {
        put(out, "}");
    }
}

/// Appends what the post has of both; gives what the next member begins with.
fn put_media_and_places(draft: &Draft, begin: &'static str, out: &mut Vec<u8>) -> &'static str {
    let has = Has::of(draft);
    let mut open = begin;
    if has.media {
        put(out, open);
        open = ",";
        put(out, "\"media\":[{\"media_key\":\"3_");
        put_number(out, draft.id);
        put(
            out,
            "\",\"type\":\"photo\",\"url\":\"https://pbs.example.org/media/",
        );
        put_number(out, draft.id);
        put(
            out,
            ".jpg\",\"width\":1200,\"height\":675,\"alt_text\":\"a cat, \\\"sleeping\\\"\"}]",
        );
    }
    if has.place {
        put(out, open);
        open = ",";
        put(out, "\"places\":[{\"id\":\"");
        put(out, PLACE);
        put(
            out,
            "\",\"full_name\":\"Wien, Österreich\",\"name\":\"Wien\",\"country\":\"Österreich\",\
            \"country_code\":\"AT\",\"place_type\":\"city\",\"geo\":{\"type\":\"Feature\",\
            \"bbox\":[16.18,48.11,16.58,48.32],\"properties\":{}}}]",
        );
    }
    open
}

fn put_referenced(chance: &mut Chance, id: u64, whose: u64, names: &Spelling, out: &mut Vec<u8>) {
    let mut draft = Draft {
        id,
        second: snowflake::created(id).second(),
        author: whose,
        conversation: id,
        lang: "und",
        text: String::new(),
        references: Vec::new(),
        edited: Vec::new(),
    };
    draft.lang = words::text(chance, 120, &mut draft.text);
    put(out, "{\"author_id\":");
    put_id(out, user::id(whose));
    put_core(chance, &draft, names, out);
    put(out, "}");
}

/// Appends the `errors` that stand beside `data` when something referred to cannot be shown.
pub(super) fn put_errors(value: &str, parameter: &str, resource: &str, out: &mut Vec<u8>) {
    put(out, ",\"errors\":[{\"value\":");
    put_text(out, value);
    put(out, ",\"detail\":");
    put_text(
        out,
        &format!("Could not find {resource} with {parameter}: [{value}]."),
    );
    put(out, ",\"title\":\"Not Found Error\",\"resource_type\":");
    put_text(out, resource);
    put(out, ",\"parameter\":");
    put_text(out, parameter);
    put(out, ",\"resource_id\":");
    put_text(out, value);
    put(
        out,
        ",\"type\":\"https://api.twitter.com/2/problems/resource-not-found\"}]",
    );
}
