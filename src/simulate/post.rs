//! Posts made from the seed and the second alone.
//!
//! `Recipe::second` is a pure function: the same recipe gives the same bytes for the same second
//! in every process, so that all connections, and all simulators of that seed, show the same posts.
//! A post's creation millisecond leaves one of the chosen residues modulo 1,000 in its id, as the
//! sampled stream's posts do. It is delivered half a second to eight seconds after its creation.

use std::ops::Range;

use bytes::Bytes;

use super::{
    chance::Chance,
    draft::{Draft, put_core},
    extras,
    json::{put, put_id},
    recipe::{Fields, POST, Recipe, TWEET, Vocabulary},
    snowflake, user, words,
};
use crate::period::UtcMs;

/// No post is delivered later than this after its creation.
pub const DELAY_MAX_MS: i64 = 8_000;

const KIND_SECOND: u64 = 0x7365_636f;
const KIND_POST: u64 = 0x706f_7374;

/// All posts created in one UTC second.
#[derive(Debug)]
pub struct Second {
    /// Their lines, one after the other, each with its CR LF.
    pub bytes: Bytes,
    /// Where each one lies, in the order of creation.
    pub posts: Vec<Made>,
}

/// One post of a [`Second`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its id, which carries the moment of its creation.
    pub id: u64,
    /// When connections get it.
    pub deliver: UtcMs,
    /// Its line in [`Second::bytes`].
    pub line: Range<usize>,
}

impl Recipe {
    /// The posts created in that UTC second.
    pub fn second(&self, second: i64) -> Second {
        let ids = self.ids(second);
        let mut bytes = Vec::with_capacity(ids.len() * 900);
        let mut posts = Vec::with_capacity(ids.len());
        let mut text = String::new();
        for id in ids {
            let mut chance = Chance::of(self.seed, KIND_POST, id);
            let deliver = snowflake::created(id).plus_ms(delay_ms(&mut chance));
            let begin = bytes.len();
            let draft = self.draft(&mut chance, id, second, text);
            self.put_line(&mut chance, &draft, &mut bytes);
            bytes.extend_from_slice(b"\r\n");
            posts.push(Made {
                id,
                deliver,
                line: begin..bytes.len(),
            });
            text = draft.text;
        }
        Second {
            bytes: Bytes::from(bytes),
            posts,
        }
    }

    /// The ids of the second, ascending.
    fn ids(&self, second: i64) -> Vec<u64> {
        let case = second.unsigned_abs();
        let mut chance = Chance::of(self.seed, KIND_SECOND, case);
        let count = count(&mut chance, self.posts_per_1000s, second);
        let mut ids: Vec<u64> = (0..count)
            .map(|number| {
                let residue = i64::from(chance.pick(&self.residues));
                let ms = (residue + snowflake::EPOCH_MS).rem_euclid(1_000);
                // the sequence is the post's number; every 4,096 posts it begins again with
                // another worker, so no two posts of a second share their lower 22 bits
                let (round, sequence) = (number / 4_096, number % 4_096);
                let worker =
                    Chance::of(self.seed, KIND_SECOND + 1, case ^ (sequence << 40)).below(1_024);
                let lower = (worker + round) % 1_024 * 4_096 + sequence;
                snowflake::at(UtcMs(second * 1_000 + ms), lower)
            })
            .collect();
        ids.sort_unstable();
        ids
    }

    fn draft(&self, chance: &mut Chance, id: u64, second: i64, mut text: String) -> Draft {
        text.clear();
        let author = user::choose(chance);
        let mut draft = Draft {
            id,
            second,
            author,
            conversation: id,
            lang: "und",
            text,
            references: Vec::new(),
            edited: Vec::new(),
        };
        let long = chance.below(100) < 20;
        let chars = chance.index(if long { 230 } else { 110 }) + 8;
        let kind = chance.below(1_000);
        let refer = |chance: &mut Chance| earlier(chance, id);
        match kind {
            0..400 => {
                let (other, whose) = (refer(chance), user::choose(chance));
                draft.text.push_str("RT @");
                user::username(self.seed, whose, &mut draft.text);
                draft.text.push_str(": ");
                draft.references.push(("retweeted", other, whose));
            }
            400..570 => {
                let (other, whose) = (refer(chance), user::choose(chance));
                draft.text.push('@');
                user::username(self.seed, whose, &mut draft.text);
                draft.text.push(' ');
                draft.conversation = if chance.one_in(2) {
                    other
                } else {
                    earlier(chance, other)
                };
                draft.references.push(("replied_to", other, whose));
                if kind < 410 {
                    draft
                        .references
                        .insert(0, ("quoted", refer(chance), user::choose(chance)));
                }
            }
            570..650 => draft
                .references
                .push(("quoted", refer(chance), user::choose(chance))),
            _ => (),
        }
        draft.lang = words::text(chance, chars, &mut draft.text);
        if kind < 400 && 110 < chars {
            draft.text.push('…');
        }
        if chance.one_in(250) {
            draft
                .edited
                .push(id - snowflake::PER_MS * (1_000 + chance.below(600_000)));
        }
        draft
    }

    fn put_line(&self, chance: &mut Chance, draft: &Draft, out: &mut Vec<u8>) {
        let names = match self.vocabulary {
            Vocabulary::Tweet => &TWEET,
            Vocabulary::Post => &POST,
            Vocabulary::Mixed => chance.pick(&[&TWEET, &POST]),
        };
        put(out, "{\"data\":{\"author_id\":");
        put_id(out, user::id(draft.author));
        put_core(chance, draft, names, out);
        if self.fields == Fields::All {
            extras::put_of_post(chance, draft, names, out);
        }
        put(out, "}");
        let users_left_out = chance.one_in(300);
        match self.fields {
            Fields::Core if users_left_out => (),
            Fields::Core => {
                put(out, ",\"includes\":{\"users\":[");
                user::put_user(self, draft.author, draft.second, names, out);
                put(out, "]}");
            }
            Fields::All => extras::put_includes(self, chance, draft, names, users_left_out, out),
        }
        if users_left_out {
            extras::put_errors(
                &user::id(draft.author).to_string(),
                "author_id",
                "user",
                out,
            );
        }
        put(out, "}");
    }
}

/// The id of an earlier post: mostly of the last hours, seldom years old.
fn earlier(chance: &mut Chance, id: u64) -> u64 {
    let back_ms = if chance.one_in(20) {
        chance.below(100_000_000_000)
    } else {
        1_000 + chance.skewed(200_000_000)
    };
    let back = back_ms * snowflake::PER_MS + chance.below(snowflake::PER_MS);
    if back < id {
        id - back
    } else {
        20 + id % 1_000_000_007
    }
}

fn delay_ms(chance: &mut Chance) -> i64 {
    if chance.one_in(100) {
        chance.between(3_000, DELAY_MAX_MS)
    } else {
        chance.between(500, 3_000)
    }
}

/// How many posts a second has: about the rate, up to a quarter more or less with the time of day.
pub(super) fn count(chance: &mut Chance, posts_per_1000s: u64, second: i64) -> u64 {
    const DAY_S: i64 = 86_400;
    // a wave without sines, whose last bits differ between machines: down to noon, up to midnight
    let from_noon = (second.rem_euclid(DAY_S) - DAY_S / 2).unsigned_abs();
    let wave_per_mille = 750 + from_noon * 500 / (DAY_S.unsigned_abs() / 2);
    let mean_e6 = posts_per_1000s * wave_per_mille;
    if mean_e6 < 20_000_000 {
        // binomial with 64 trials: near enough to Poisson, and nothing but whole numbers
        return (0..64)
            .filter(|_| chance.below(64_000_000) < mean_e6)
            .map(|_| 1)
            .sum();
    }
    // twelve even choices make a bell of variance 1
    let bell_e6: i64 = (0..12).map(|_| chance.between(-500_000, 500_000)).sum();
    let root = i64::try_from((mean_e6 / 1_000_000).isqrt()).unwrap_or(0);
    let mean_e6 = i64::try_from(mean_e6).unwrap_or(i64::MAX / 2);
    let exact_e6 = mean_e6 + root * bell_e6 + chance.between(0, 999_999);
    u64::try_from(exact_e6 / 1_000_000)
        .unwrap_or(0)
        .min(snowflake::PER_MS)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn recipe(fields: Fields, vocabulary: Vocabulary) -> Recipe {
        Recipe {
            seed: 7,
            posts_per_1000s: 43_000,
            residues: (0..=9).collect(),
            fields,
            vocabulary,
        }
    }

    const NOON: i64 = 1_795_435_200;

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
        let same = recipe(Fields::All, Vocabulary::Mixed);
        let other = Recipe {
            seed: 8,
            ..same.clone()
        };
        assert_eq!(same.second(NOON).bytes, same.clone().second(NOON).bytes);
        assert_ne!(same.second(NOON).bytes, other.second(NOON).bytes);
    }

    #[test]
    fn ids_are_unique_carry_their_second_and_leave_the_chosen_residues() {
        let recipe = Recipe {
            posts_per_1000s: 9_000_000,
            residues: vec![0, 5, 999],
            ..recipe(Fields::Core, Vocabulary::Tweet)
        };
        let mut seen = HashSet::new();
        let mut residues = HashSet::new();
        for second in NOON..NOON + 3 {
            for id in recipe.ids(second) {
                assert!(seen.insert(id), "{id} twice");
                assert_eq!(snowflake::created(id).second(), second);
                residues.insert((id >> 22) % 1_000);
            }
        }
        assert_eq!(residues, HashSet::from([0, 5, 999]));
        assert!(18_000 < seen.len());
    }

    #[test]
    fn the_number_of_posts_is_about_the_rate_over_a_day() {
        for rate in [500_u64, 5_000, 43_000] {
            let recipe = Recipe {
                posts_per_1000s: rate,
                ..recipe(Fields::Core, Vocabulary::Tweet)
            };
            let total: usize = (0..1_000)
                .map(|k| recipe.ids(NOON + k * 864 / 10 * 10).len())
                .sum();
            let expected = usize::try_from(rate).unwrap();
            assert!(
                expected * 9 / 10 < total && total < expected * 11 / 10,
                "{rate}: {total}"
            );
        }
    }

    #[track_caller]
    fn check_lines(recipe: &Recipe, referenced: &str, other: &str) {
        let (mut posts, mut referring) = (0, 0);
        for made in (NOON..NOON + 40).map(|second| recipe.second(second)) {
            for post in &made.posts {
                let line = &made.bytes[post.line.clone()];
                let body = line.strip_suffix(b"\r\n").unwrap();
                assert!(!body.contains(&b'\n') && !body.contains(&b'\r'));
                let value: serde_json::Value = serde_json::from_slice(body).unwrap();
                assert_eq!(value["data"]["id"], post.id.to_string());
                assert!(value["data"][other].is_null());
                posts += 1;
                referring += usize::from(!value["data"][referenced].is_null());
            }
        }
        assert!(60 < referring * 100 / posts && referring * 100 / posts < 70);
    }

    #[test]
    fn every_line_is_json_in_its_vocabulary_and_ends_with_cr_lf() {
        let (tweet, post) = ("referenced_tweets", "referenced_posts");
        for fields in [Fields::Core, Fields::All] {
            check_lines(&recipe(fields, Vocabulary::Tweet), tweet, post);
            check_lines(&recipe(fields, Vocabulary::Post), post, tweet);
        }
    }

    #[test]
    fn a_core_line_is_about_as_long_as_a_real_one_and_most_posts_come_soon() {
        let recipe = recipe(Fields::Core, Vocabulary::Tweet);
        let (mut bytes, mut posts, mut late) = (0, 0, 0);
        for second in NOON..NOON + 100 {
            let made = recipe.second(second);
            bytes += made.bytes.len();
            posts += made.posts.len();
            for post in &made.posts {
                let delay = post.deliver.0 - snowflake::created(post.id).0;
                assert!((500..=DELAY_MAX_MS).contains(&delay));
                late += usize::from(3_000 < delay);
            }
        }
        let mean = bytes / posts;
        assert!((600..750).contains(&mean), "{mean} bytes a line");
        assert!(0 < late && late * 100 < posts * 2, "{late} of {posts} late");
    }
}
