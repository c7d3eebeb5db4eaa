//! The accounts on Bluesky: a bounded number of places, each with one account after another.
//!
//! Every place gives its account up once in [`LIFE_S`] seconds, at a second that follows from its number
//! alone, so which account ends at a second, and whose turn it is at any other, is a matter of arithmetic
//! in both directions. Nothing has to be replayed from a beginning. The same holds for pauses, in which an
//! account is deactivated or suspended and comes back.

use super::name;
use crate::simulate::chance::{Chance, mix};

/// How many accounts there are at any moment.
const PLACES: u64 = 120_000;

/// How long an account lives: a prime, so that a step through it meets every second once.
const LIFE_S: i64 = 1_000_003;

/// The step from one place's end to the next one's, and what undoes it modulo [`LIFE_S`].
const END: (i64, i64) = (611_953, 383_243);

/// The same for pauses.
const PAUSE: (i64, i64) = (377_771, 873_598);

/// How long pauses are.
const PAUSES_S: &[i64] = &[61, 307, 1_801, 10_007, 90_001, 400_009];

const KIND_DID: u64 = 0x0064_6964;
const KIND_FATE: u64 = 0x6661_7465;

/// One account: the place it has, and how many had it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) place: u64,
    pub(super) life: i64,
}

/// What `status` says of an account that is not active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inactive {
    Deleted,
    Takendown,
    Deactivated,
    Suspended,
}

impl Inactive {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Takendown => "takendown",
            Self::Deactivated => "deactivated",
            Self::Suspended => "suspended",
        }
    }
}

/// A second of its own for each place.
fn second_of(place: u64, (step, _): (i64, i64)) -> i64 {
    i64::try_from(place).unwrap_or(0) * step % LIFE_S
}

/// The place whose second this is.
fn place_of(second: i64, (_, back): (i64, i64)) -> Option<u64> {
    let place = u64::try_from(second.rem_euclid(LIFE_S) * back % LIFE_S).ok()?;
    (place < PLACES).then_some(place)
}

/// The account that has a place at that second.
pub(super) fn holder(place: u64, second: i64) -> Account {
    let life = (second - second_of(place, END)).div_euclid(LIFE_S);
    Account { place, life }
}

/// An account that is active at that second; places with small numbers are far likelier.
pub(super) fn choose(chance: &mut Chance, seed: u64, second: i64) -> Account {
    let mut place = chance.skewed(PLACES);
    loop {
        let account = holder(place, second);
        if !is_paused(account, seed, second) {
            return account;
        }
        place = (place + 1) % PLACES;
    }
}

/// The account that ends at that second, and how.
pub(super) fn ending(seed: u64, second: i64) -> Option<(Account, Inactive)> {
    let account = holder(place_of(second, END)?, second - 1);
    let how = match fate(seed, account, 0).below(100) {
        0..55 => Inactive::Deleted,
        55..80 => Inactive::Takendown,
        80..92 => Inactive::Deactivated,
        _ => Inactive::Suspended,
    };
    Some((account, how))
}

/// The account that goes away at that second to come back.
pub(super) fn pausing(seed: u64, second: i64) -> Option<(Account, Inactive)> {
    let account = holder(place_of(second, PAUSE)?, second);
    let how = if fate(seed, account, 1).one_in(3) {
        Inactive::Suspended
    } else {
        Inactive::Deactivated
    };
    Some((account, how))
}

/// The accounts that come back at that second.
pub(super) fn returning(seed: u64, second: i64) -> impl Iterator<Item = Account> {
    PAUSES_S.iter().filter_map(move |lasts_s| {
        let (account, _) = pausing(seed, second - lasts_s)?;
        let is_its_end = pause_s(seed, account) == *lasts_s;
        (is_its_end && holder(account.place, second) == account).then_some(account)
    })
}

/// Whether an account is there at that second.
pub(super) fn is_active(account: Account, seed: u64, second: i64) -> bool {
    holder(account.place, second) == account && !is_paused(account, seed, second)
}

/// Nothing is heard of it to the end of the second in which it comes back.
fn is_paused(account: Account, seed: u64, second: i64) -> bool {
    let passed = (second - second_of(account.place, PAUSE)).rem_euclid(LIFE_S);
    let then = holder(account.place, second - passed);
    then == account && passed <= pause_s(seed, account)
}

fn pause_s(seed: u64, account: Account) -> i64 {
    fate(seed, account, 2).pick(PAUSES_S)
}

fn fate(seed: u64, account: Account, of: u64) -> Chance {
    Chance::of(seed, KIND_FATE + of, number(account))
}

/// A number that no other account has.
fn number(account: Account) -> u64 {
    account.place ^ mix(account.life.unsigned_abs())
}

impl Account {
    /// Its DID: mostly of the method plc, now and then of web.
    pub(super) fn did(self, seed: u64) -> String {
        let mut out = String::with_capacity(32);
        if self.place % 40 == 17 {
            out.push_str("did:web:");
            self.put_name(&mut out);
            out.push_str(".example");
        } else {
            out.push_str("did:plc:");
            name::put_plc(&mut out, &mut Chance::of(seed, KIND_DID, number(self)));
        }
        out
    }

    /// The handle that it has had since its `change`th change.
    pub(super) fn handle(self, change: u64, out: &mut String) {
        self.put_name(out);
        if 0 < change {
            out.push('-');
            put_decimal(change, out);
        }
        out.push_str(".bsky.example");
    }

    fn put_name(self, out: &mut String) {
        const HEADS: &[&str] = &[
            "cat", "null", "nova", "xn--yuki", "ana", "nan", "rio", "the-real",
        ];
        let head = usize::try_from(self.place % 8).unwrap_or(0);
        out.push_str(HEADS[head]);
        put_decimal(self.place, out);
        out.push('-');
        put_decimal(self.life.unsigned_abs(), out);
    }
}

fn put_decimal(number: u64, out: &mut String) {
    out.push_str(&number.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_442_400;

    #[test]
    fn an_account_ends_once_and_nobody_has_its_did_again() {
        let mut ends = 0;
        for second in NOW..NOW + 2_000 {
            if let Some((account, _)) = ending(1, second) {
                ends += 1;
                assert_eq!(holder(account.place, second - 1), account);
                let next = holder(account.place, second);
                assert_eq!(next.life, account.life + 1);
                assert_ne!(next.did(1), account.did(1));
                let again = ending(1, second + LIFE_S).unwrap().0;
                assert_eq!(again, next, "a life later");
            }
        }
        // 120,000 places in 1,000,003 seconds
        assert!((150..330).contains(&ends), "{ends}");
    }

    #[test]
    fn who_pauses_comes_back_and_is_silent_in_between() {
        let mut back = 0;
        for second in NOW..NOW + 2_000 {
            let Some((account, _)) = pausing(1, second) else {
                continue;
            };
            let until = second + pause_s(1, account);
            assert!(is_paused(account, 1, second) && is_paused(account, 1, until));
            assert!(!is_paused(account, 1, second - 1) && !is_paused(account, 1, until + 1));
            let returns = returning(1, until).any(|one| one == account);
            assert_eq!(returns, holder(account.place, until) == account);
            back += usize::from(returns);
        }
        assert!(100 < back, "{back}");
        let mut chance = Chance::of(1, 2, 3);
        for second in NOW..NOW + 20_000 {
            let one = choose(&mut chance, 1, second);
            assert!(!is_paused(one, 1, second));
        }
    }
}
