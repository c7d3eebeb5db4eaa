//! The contents of records: posts with everything that a post can have, likes, reposts, follows.

use super::{
    account,
    name::{self, CidOf},
    world::{Address, Class, Item, World, instant},
};
use crate::simulate::{
    chance::Chance,
    json::{put, put_number, put_text},
    words,
};

const KIND_RECORD: u64 = 0x0062_7265_636f;

/// Appends an instant in the form of records, in whole milliseconds.
pub(super) fn put_time(out: &mut Vec<u8>, us: i64) {
    out.push(b'"');
    put(out, &instant(us).to_string());
    out.push(b'"');
}

/// Appends the record at an address.
pub(super) fn put_record(
    world: &World,
    address: Address,
    item: &Item,
    version: u64,
    made_us: i64,
    out: &mut Vec<u8>,
) {
    let case = address.second.unsigned_abs() ^ (address.number << 36);
    let kind = KIND_RECORD + address.class as u64 + 16 * version;
    let mut chance = Chance::of(world.seed, kind, case);
    put(out, "{\"$type\":\"");
    put(out, address.class.collection());
    put(out, "\",\"createdAt\":");
    put_created(&mut chance, made_us, out);
    match address.class {
        Class::Post => put_post(world, &mut chance, address, item, version, out),
        Class::Like | Class::Repost => put_subject(world, &mut chance, address, out),
        Class::Follow | Class::Block => {
            let whom = account::choose(&mut chance, world.seed, address.second);
            put(out, ",\"subject\":");
            put_text(out, &whom.did(world.seed));
        }
        Class::Profile => {
            let mut text = String::new();
            words::name(&mut chance, &mut text);
            put(out, ",\"displayName\":");
            put_text(out, &text);
            text.clear();
            words::text(&mut chance, 80, &mut text);
            put(out, ",\"description\":");
            put_text(out, &text);
        }
    }
    put(out, "}");
}

/// The time that a client writes: mostly right, and in the ways that clients write it.
fn put_created(chance: &mut Chance, made_us: i64, out: &mut Vec<u8>) {
    let us = made_us - chance.between(1_000, 1_500_000);
    match chance.below(100) {
        0..88 => put_time(out, us),
        88..93 => {
            let text = instant(us).to_string();
            put(out, "\"");
            put(out, text.trim_end_matches('Z'));
            put_number(out, us.rem_euclid(1_000).unsigned_abs() + 1_000);
            put(out, "Z\"");
        }
        93..97 => {
            let text = instant(us).to_string();
            put(out, "\"");
            put(out, text.get(..19).unwrap_or(""));
            put(out, "+00:00\"");
        }
        // brought from elsewhere, or a clock that is wrong
        97..99 => put_time(out, us - chance.between(1, 400) * 86_400_000_000),
        _ => put_time(out, us + chance.between(1, 400) * 3_600_000_000),
    }
}

/// What is liked or reposted, and through whose repost.
fn put_subject(world: &World, chance: &mut Chance, address: Address, out: &mut Vec<u8>) {
    put(out, ",\"subject\":");
    put_reference(world, chance, Class::Post, address.second, out);
    if chance.one_in(4) {
        put(out, ",\"via\":");
        put_reference(world, chance, Class::Repost, address.second, out);
    }
}

/// `{"cid":…,"uri":…}` of an earlier record, or of one that nobody has seen.
fn put_reference(world: &World, chance: &mut Chance, class: Class, second: i64, out: &mut Vec<u8>) {
    let to = world.earlier(chance, class, second).unwrap_or(Address {
        class,
        second: second - 86_400,
        number: 0,
    });
    put_strong(world, to, out);
}

fn put_strong(world: &World, to: Address, out: &mut Vec<u8>) {
    let item = world.item(to);
    put(out, "{\"cid\":\"");
    put(out, &world.cid(to, 0));
    put(out, "\",\"uri\":\"at://");
    put(out, &item.author.did(world.seed));
    put(out, "/");
    put(out, to.class.collection());
    put(out, "/");
    put(out, &item.rkey);
    put(out, "\"}");
}

fn put_post(
    world: &World,
    chance: &mut Chance,
    address: Address,
    item: &Item,
    version: u64,
    out: &mut Vec<u8>,
) {
    put_embed(world, chance, address, out);
    let mut text = String::with_capacity(300);
    let mut facets = Vec::new();
    let longest = if chance.one_in(5) { 280 } else { 120 };
    let chars = chance.index(longest);
    if chance.one_in(8) {
        let whom = account::choose(chance, world.seed, address.second);
        let begin = text.len();
        text.push('@');
        whom.handle(0, &mut text);
        facets.push((begin, text.len(), Feature::Mention(whom.did(world.seed))));
        text.push(' ');
    }
    let lang = words::text(chance, chars, &mut text);
    if chance.one_in(8) {
        text.push('\n');
        let begin = text.len();
        text.push_str("example.org/");
        name::put_tid(&mut text, chance.between(0, 1 << 52), 0);
        let uri = format!("https://{}", &text[begin..]);
        facets.push((begin, text.len(), Feature::Link(uri)));
    }
    for _ in 0..[0, 0, 0, 0, 1, 2][chance.index(6)] {
        text.push(' ');
        let begin = text.len();
        text.push('#');
        words::tag(chance, &mut text);
        facets.push((
            begin,
            text.len(),
            Feature::Tag(text[begin + 1..].to_owned()),
        ));
    }
    if 0 < version {
        text.push_str(" (edited)");
    }
    put_facets(&facets, out);
    if chance.one_in(100) {
        put(
            out,
            ",\"labels\":{\"$type\":\"com.atproto.label.defs#selfLabels\",\"values\":[{\"val\":\"",
        );
        put(
            out,
            chance.pick(&["porn", "nudity", "graphic-media", "!no-unauthenticated"]),
        );
        put(out, "\"}]}");
    }
    put_langs(chance, lang, out);
    if chance.below(10) < 4 {
        put_reply(world, chance, address, out);
    }
    if chance.one_in(40) {
        put(out, ",\"tags\":[");
        let mut tag = String::new();
        words::tag(chance, &mut tag);
        put_text(out, &tag);
        put(out, ",\"bot\"]");
    }
    put(out, ",\"text\":");
    put_text(out, &text);
    if item.author.place % 50 == 7 {
        // what a client adds that the lexicon does not know
        put(out, ",\"example.client\":{\"version\":[1,2]}");
    }
}

enum Feature {
    Mention(String),
    Link(String),
    Tag(String),
}

fn put_facets(facets: &[(usize, usize, Feature)], out: &mut Vec<u8>) {
    for (place, (begin, end, feature)) in facets.iter().enumerate() {
        put(out, if place == 0 { ",\"facets\":[" } else { "," });
        let (kind, key, value) = match feature {
            Feature::Mention(did) => ("mention", "did", did),
            Feature::Link(uri) => ("link", "uri", uri),
            Feature::Tag(tag) => ("tag", "tag", tag),
        };
        put(out, "{\"features\":[{\"$type\":\"app.bsky.richtext.facet#");
        put(out, kind);
        put(out, "\",\"");
        put(out, key);
        put(out, "\":");
        put_text(out, value);
        put(out, "}],\"index\":{\"byteEnd\":");
        put_number(out, *end as u64);
        put(out, ",\"byteStart\":");
        put_number(out, *begin as u64);
        put(out, "}}");
        if place + 1 == facets.len() {
            put(out, "]");
        }
    }
}

fn put_langs(chance: &mut Chance, lang: &str, out: &mut Vec<u8>) {
    let lang = match lang {
        // the tags of X that no list of languages has
        "und" | "qst" => return,
        "in" => "id",
        "pt" if chance.one_in(2) => "pt-BR",
        "en" if chance.one_in(8) => "en-US",
        other => other,
    };
    if chance.one_in(16) {
        return;
    }
    put(out, ",\"langs\":[\"");
    put(out, lang);
    put(
        out,
        if chance.one_in(12) {
            "\",\"ja\"]"
        } else {
            "\"]"
        },
    );
}

fn put_reply(world: &World, chance: &mut Chance, address: Address, out: &mut Vec<u8>) {
    let Some(parent) = world.earlier(chance, Class::Post, address.second) else {
        return;
    };
    let root = if chance.below(10) < 6 {
        None
    } else {
        world.earlier(chance, Class::Post, parent.second)
    };
    put(out, ",\"reply\":{\"parent\":");
    put_strong(world, parent, out);
    put(out, ",\"root\":");
    put_strong(world, root.unwrap_or(parent), out);
    put(out, "}");
}

fn put_embed(world: &World, chance: &mut Chance, address: Address, out: &mut Vec<u8>) {
    match chance.below(100) {
        0..14 => {
            put(out, ",\"embed\":");
            put_images(chance, out);
        }
        14..24 => {
            put(
                out,
                ",\"embed\":{\"$type\":\"app.bsky.embed.external\",\"external\":",
            );
            put_external(chance, out);
            put(out, "}");
        }
        24..29 => {
            put(
                out,
                ",\"embed\":{\"$type\":\"app.bsky.embed.record\",\"record\":",
            );
            put_reference(world, chance, Class::Post, address.second, out);
            put(out, "}");
        }
        29..31 => {
            put(
                out,
                ",\"embed\":{\"$type\":\"app.bsky.embed.recordWithMedia\",\"media\":",
            );
            put_images(chance, out);
            put(
                out,
                ",\"record\":{\"$type\":\"app.bsky.embed.record\",\"record\":",
            );
            put_reference(world, chance, Class::Post, address.second, out);
            put(out, "}}");
        }
        31..33 => {
            put(
                out,
                ",\"embed\":{\"$type\":\"app.bsky.embed.video\",\"aspectRatio\":",
            );
            put_ratio(chance, out);
            put(out, ",\"video\":");
            put_blob(chance, "video/mp4", out);
            put(out, "}");
        }
        _ => (),
    }
}

fn put_images(chance: &mut Chance, out: &mut Vec<u8>) {
    put(out, "{\"$type\":\"app.bsky.embed.images\",\"images\":[");
    for place in 0..=chance.skewed(4) {
        if 0 < place {
            put(out, ",");
        }
        let mut alt = String::new();
        if chance.one_in(2) {
            words::text(chance, 60, &mut alt);
        }
        put(out, "{\"alt\":");
        put_text(out, &alt);
        put(out, ",\"aspectRatio\":");
        put_ratio(chance, out);
        put(out, ",\"image\":");
        put_blob(chance, "image/jpeg", out);
        put(out, "}");
    }
    put(out, "]}");
}

fn put_external(chance: &mut Chance, out: &mut Vec<u8>) {
    let mut text = String::new();
    words::text(chance, 80, &mut text);
    put(out, "{\"description\":");
    put_text(out, &text);
    if !chance.one_in(4) {
        put(out, ",\"thumb\":");
        put_blob(chance, "image/jpeg", out);
    }
    text.clear();
    words::text(chance, 30, &mut text);
    put(out, ",\"title\":");
    put_text(out, &text);
    put(out, ",\"uri\":\"https://news.example/");
    put_number(out, chance.below(1 << 40));
    put(out, "?a=1&b=%C3%A9\"}");
}

fn put_ratio(chance: &mut Chance, out: &mut Vec<u8>) {
    put(out, "{\"height\":");
    put_number(out, 200 + chance.below(2_000));
    put(out, ",\"width\":");
    put_number(out, 200 + chance.below(2_000));
    put(out, "}");
}

fn put_blob(chance: &mut Chance, mime: &str, out: &mut Vec<u8>) {
    let mut cid = String::with_capacity(59);
    name::put_cid(&mut cid, CidOf::Blob, chance);
    put(out, "{\"$type\":\"blob\",\"ref\":{\"$link\":\"");
    put(out, &cid);
    put(out, "\"},\"mimeType\":\"");
    put(out, mime);
    put(out, "\",\"size\":");
    put_number(out, 10_000 + chance.below(900_000));
    put(out, "}");
}
