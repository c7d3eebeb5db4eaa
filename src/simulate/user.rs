//! The people who post: a bounded population whose names stay and whose counts drift.

use super::{
    chance::{Chance, mix},
    json::{put, put_id, put_number, put_second, put_text},
    recipe::{Fields, Recipe, Spelling},
    snowflake, words,
};

/// How many people there are. Few enough that an hour sees most loud ones many times.
const POPULATION: u64 = 120_000;

const KIND_USER: u64 = 0x7573_6572;

/// A number of the population; small ones post far more than large ones.
pub(super) fn choose(chance: &mut Chance) -> u64 {
    chance.skewed(POPULATION)
}

/// The id of a user: small and sequential for the old third, a snowflake for the others.
pub(super) fn id(user: u64) -> u64 {
    if is_old(user) {
        10_000 + user * 30_011
    } else {
        700_000_000_000_000_000 + user * 10_000_000_000_007
    }
}

const fn is_old(user: u64) -> bool {
    user.is_multiple_of(3)
}

/// Appends the user's handle: at most 15 of `A-Za-z0-9_`.
pub(super) fn username(seed: u64, user: u64, out: &mut String) {
    const HEADS: &[&str] = &[
        "Cat", "null", "the_real", "x", "Nova", "_yuki", "mohamed", "J0hn", "ana_", "NaN", "Rio",
    ];
    let mut chance = Chance::of(seed, KIND_USER + 1, user);
    out.push_str(chance.pick(HEADS));
    // six digits of base 36 name the user, so handles do not collide
    let mut rest = user * 15_013 + 1_000_003;
    for _ in 0..6 {
        let digit = u32::try_from(rest % 36).unwrap_or(0);
        out.push(char::from_digit(digit, 36).unwrap_or('_'));
        rest /= 36;
    }
}

/// Appends the user as an object of `includes.users`, as it is at that second.
pub(super) fn put_user(
    recipe: &Recipe,
    user: u64,
    second: i64,
    names: &Spelling,
    out: &mut Vec<u8>,
) {
    let mut chance = Chance::of(recipe.seed, KIND_USER, user);
    let mut text = String::with_capacity(64);
    put(out, "{\"created_at\":");
    put_second(out, created(user));
    put(out, ",\"id\":");
    put_id(out, id(user));
    if chance.below(100) < 55 {
        words::name(&mut chance, &mut text);
        put(out, ",\"location\":");
        put_text(out, &text);
        text.clear();
    }
    words::name(&mut chance, &mut text);
    put(out, ",\"name\":");
    put_text(out, &text);
    text.clear();
    put(
        out,
        ",\"protected\":false,\"public_metrics\":{\"followers_count\":",
    );
    put_metrics(&mut chance, user, second, names, out);
    put(out, "},\"username\":\"");
    username(recipe.seed, user, &mut text);
    put(out, &text);
    put(out, "\",\"verified\":");
    put(out, if chance.one_in(14) { "true" } else { "false" });
    if recipe.fields == Fields::All {
        put_more(&mut chance, user, names, out);
    }
    out.push(b'}');
}

fn put_metrics(chance: &mut Chance, user: u64, second: i64, names: &Spelling, out: &mut Vec<u8>) {
    let hours = u64::try_from(second / 3_600).unwrap_or(0);
    let minute = u64::try_from(second / 60).unwrap_or(0);
    let since_2020 = u64::try_from(second - 1_577_836_800).unwrap_or(0);
    let wobble = mix(user ^ minute.rotate_left(32)) % 7;
    let counts = [
        chance.skewed(2_000_000) + hours * chance.below(3) / 50 + wobble,
        chance.skewed(9_000) + wobble / 3,
        chance.skewed(60_000) + since_2020 * (1 + chance.below(40)) / 86_400,
        chance.skewed(900),
        chance.skewed(80_000) + minute % 11,
        chance.skewed(5_000),
    ];
    let keys = [
        "following_count",
        names.user_posts,
        "listed_count",
        "like_count",
        "media_count",
    ];
    put_number(out, counts[0]);
    for (key, count) in keys.iter().zip(&counts[1..]) {
        put(out, ",\"");
        put(out, key);
        put(out, "\":");
        put_number(out, *count);
    }
}

/// What `--fields all` adds.
fn put_more(chance: &mut Chance, user: u64, names: &Spelling, out: &mut Vec<u8>) {
    let mut text = String::with_capacity(160);
    if chance.below(10) < 8 {
        words::text(chance, 80, &mut text);
        put(out, ",\"description\":");
        put_text(out, &text);
    }
    if chance.one_in(3) {
        put(out, ",\"url\":\"https://t.co/");
        put_number(out, chance.below(1 << 40));
        put(
            out,
            "\",\"entities\":{\"url\":{\"urls\":[{\"start\":0,\"end\":23,\"url\":\"https://t.co/aaaaaaaaaa\",\
            \"expanded_url\":\"https://example.org/\",\"display_url\":\"example.org\"}]}}",
        );
    }
    if chance.one_in(3) {
        put(out, ",\"");
        put(out, names.pinned);
        put(out, "\":");
        put_id(out, 1_500_000_000_000_000_000 + chance.below(1 << 58));
    }
    put(
        out,
        ",\"profile_image_url\":\"https://pbs.example.org/profile_images/",
    );
    put_number(out, user);
    put(out, "/abc_normal.jpg\",\"verified_type\":\"");
    put(
        out,
        chance.pick(&["none", "none", "none", "blue", "business", "government"]),
    );
    put(out, "\",\"parody\":false,\"is_identity_verified\":false");
}

fn created(user: u64) -> i64 {
    if is_old(user) {
        1_150_000_000 + i64::try_from(user * 1_700).unwrap_or(0)
    } else {
        snowflake::created(id(user)).second()
    }
}
