//! The records of Bluesky: a pure function of the seed.
//!
//! They are addressed by class, second and number, so that an earlier record can be named (by a reply, a like, a
//! delete, an update) without being written. Its address also decides what happens to a record later: the deletes of
//! a second are found among the records that are as old as one of `LAGS_S`.

use super::{
    account::{self, Account},
    name::{self, CidOf},
};
use crate::{
    period::UtcMs,
    simulate::{chance::Chance, post},
};

/// The collection of posts.
pub const POSTS: &str = "app.bsky.feed.post";

const KIND_COUNT: u64 = 0x0062_636f_756e;
const KIND_ITEM: u64 = 0x0062_6974_656d;
const KIND_FATE: u64 = 0x0062_6661_7465;
const KIND_CID: u64 = 0x6263_6964;

/// How old records are when they are changed or deleted.
pub(super) const LAGS_S: &[i64] = &[
    3, 11, 31, 97, 307, 1_009, 3_607, 10_007, 36_007, 86_413, 259_201, 604_801,
];

/// A relay refuses what its server says is made later than this.
const AHEAD_US_MAX: u64 = 290_000_000;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Post,
    Like,
    Repost,
    Follow,
    Block,
    Profile,
}

impl Class {
    pub(super) const ALL: [Self; 6] = [
        Self::Post,
        Self::Like,
        Self::Repost,
        Self::Follow,
        Self::Block,
        Self::Profile,
    ];

    pub(super) const fn collection(self) -> &'static str {
        match self {
            Self::Post => POSTS,
            Self::Like => "app.bsky.feed.like",
            Self::Repost => "app.bsky.feed.repost",
            Self::Follow => "app.bsky.graph.follow",
            Self::Block => "app.bsky.graph.block",
            Self::Profile => "app.bsky.actor.profile",
        }
    }

    /// How many there are for twelve posts.
    const fn for_twelve_posts(self) -> u64 {
        match self {
            Self::Post => 12,
            Self::Like => 69,
            Self::Repost => 10,
            Self::Follow => 6,
            Self::Block => 2,
            Self::Profile => 1,
        }
    }

    /// How many of 1,000 records are deleted, and how many are changed.
    pub(super) const fn fates(self) -> (u64, u64) {
        match self {
            Self::Post => (40, 12),
            Self::Like | Self::Repost => (30, 0),
            Self::Follow => (250, 0),
            Self::Block => (100, 0),
            Self::Profile => (0, 0),
        }
    }
}

/// All that decides what happens.
#[derive(Debug, Clone)]
pub struct World {
    /// The seed.
    pub seed: u64,
    /// New posts in 1,000 seconds, in the mean over a day.
    pub posts_per_1000s: u64,
}

/// The address of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) class: Class,
    pub(super) second: i64,
    pub(super) number: u64,
}

/// A record, as far as others name it.
pub(super) struct Item {
    pub(super) author: Account,
    pub(super) rkey: String,
    pub(super) relayed_us: i64,
    pub(super) made_us: i64,
}

impl World {
    /// How many records of a class are made in that second.
    pub(super) fn count(&self, class: Class, second: i64) -> u64 {
        let kind = KIND_COUNT + class as u64;
        let mut chance = Chance::of(self.seed, kind, second.unsigned_abs());
        let rate = self.posts_per_1000s * class.for_twelve_posts() / 12;
        post::count(&mut chance, rate, second)
    }

    /// The record at an address.
    pub(super) fn item(&self, address: Address) -> Item {
        let mut chance = Chance::of(self.seed, KIND_ITEM, case(address));
        let author = account::choose(&mut chance, self.seed, address.second);
        let (relayed_us, made_us) = times(&mut chance, address.second);
        let rkey = if address.class == Class::Profile {
            "self".to_owned()
        } else {
            let mut rkey = String::with_capacity(13);
            let before_us = chance.between(1_000, 900_000);
            name::put_tid(&mut rkey, made_us - before_us, chance.below(1_024));
            rkey
        };
        Item {
            author,
            rkey,
            relayed_us,
            made_us,
        }
    }

    /// An earlier record of that class: mostly of the last hours. `None` if chance meets an empty second.
    pub(super) fn earlier(
        &self,
        chance: &mut Chance,
        class: Class,
        second: i64,
    ) -> Option<Address> {
        let back_s = 5 + i64::try_from(chance.skewed(200_000)).unwrap_or(0);
        let second = second - back_s;
        let count = self.count(class, second);
        (0 < count).then(|| Address {
            class,
            second,
            number: chance.below(count),
        })
    }

    /// The CID of a record's version.
    pub(super) fn cid(&self, address: Address, version: u64) -> String {
        let mut chance = Chance::of(self.seed, KIND_CID + version, case(address));
        let mut cid = String::with_capacity(59);
        name::put_cid(&mut cid, CidOf::Record, &mut chance);
        cid
    }

    /// After how many seconds a record is updated, and after how many it is deleted.
    pub(super) fn fate(&self, address: Address) -> (Option<i64>, Option<i64>) {
        let mut chance = Chance::of(self.seed, KIND_FATE, case(address));
        let (deleted, updated) = address.class.fates();
        let point = chance.below(1_000);
        let place = chance.skewed_index(LAGS_S.len());
        let lag = LAGS_S.get(place).copied();
        if point < deleted {
            // some of those that are deleted were updated before
            let before = place
                .checked_sub(1)
                .filter(|_| 0 < updated && point < deleted / 8);
            (before.and_then(|place| LAGS_S.get(place).copied()), lag)
        } else if point < deleted + updated {
            (lag, None)
        } else {
            (None, None)
        }
    }
}

/// A number that no other address has.
pub(super) fn case(address: Address) -> u64 {
    address.second.unsigned_abs() ^ (address.number << 36) ^ ((address.class as u64) << 60)
}

/// When the relay passes a commit on, and when its server says that it was made: mostly a moment before, seldom
/// long ago, seldom in the future.
pub(super) fn times(chance: &mut Chance, second: i64) -> (i64, i64) {
    const MINUTE_US: u64 = 60_000_000;
    let relayed_us = second * 1_000_000 + chance.between(0, 999_999);
    let back_us = match chance.below(6_000) {
        0 | 1 => MINUTE_US + chance.skewed(20 * 60 * MINUTE_US),
        2 | 3 => 25 * 60 * MINUTE_US + chance.skewed(20 * 24 * 60 * MINUTE_US),
        4 | 5 => {
            let ahead_us = 1_000_000 + chance.below(AHEAD_US_MAX - 1_000_000);
            return (relayed_us, relayed_us.saturating_add_unsigned(ahead_us));
        }
        _ => 80_000 + chance.skewed(3_000_000),
    };
    (relayed_us, relayed_us.saturating_sub_unsigned(back_us))
}

/// The instant of a microsecond, without what is below a millisecond.
pub fn instant(us: i64) -> UtcMs {
    UtcMs(us.div_euclid(1_000))
}
