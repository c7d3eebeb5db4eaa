//! All that happens on Bluesky in one second: a pure function of the seed and the second.

use bytes::Bytes;
use serde::Serialize;

use super::{
    account::{self, Account, Inactive},
    name, record,
    world::{Address, Class, Item, LAGS_S, World, case, times},
};
use crate::simulate::{
    chance::Chance,
    json::{put, put_number, put_text},
};

const KIND_CHANGE: u64 = 0x0062_6368_616e;
const KIND_IDENTITY: u64 = 0x0062_6964_656e;

/// Identity events in 1,000 seconds, beside those of new accounts.
const IDENTITIES_PER_1000S: u64 = 300;

/// The second that the relay's numbers count from, and how many it has for each.
const SEQ_BEGIN: i64 = 1_700_000_000;
const SEQ_PER_S: i64 = 350;
/// How much of what happens is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Breadth {
    /// Posts, and what happens to accounts.
    Posts,
    /// Everything.
    All,
}

/// What an event is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HappenedKind {
    /// A record was created, updated or deleted.
    Commit {
        /// Which of the three.
        operation: &'static str,
        /// The kind of record.
        #[serde(skip)]
        collection: &'static str,
        /// Its name in the collection.
        #[serde(skip)]
        rkey: String,
        /// The revision of the author's repository that has it.
        #[serde(skip)]
        rev: String,
    },
    /// The handle or the keys of an account are others.
    Identity {
        /// The relay's number.
        #[serde(skip)]
        seq: u64,
    },
    /// An account went away or came back.
    Account {
        /// The relay's number.
        #[serde(skip)]
        seq: u64,
        /// Whether it is there.
        active: bool,
        /// Why it is not.
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<&'static str>,
    },
}

/// One event as the relay has it, before an instance sees it.
#[derive(Debug, Clone)]
pub struct Happened {
    /// When the relay passed it on, in Unix microseconds.
    pub relayed_us: i64,
    /// When it was made, by its rev or its own time, in Unix microseconds.
    pub made_us: i64,
    /// Whose it is.
    pub did: String,
    /// What it is.
    pub what: HappenedKind,
    /// The members after `time_us`, with the comma before them and the brace after them.
    pub(super) rest: Bytes,
}

impl Happened {
    /// `did/collection/rkey@rev` or `did#kind/seq`.
    pub fn key(&self) -> String {
        let did = &self.did;
        match &self.what {
            HappenedKind::Commit {
                collection,
                rkey,
                rev,
                ..
            } => format!("{did}/{collection}/{rkey}@{rev}"),
            HappenedKind::Identity { seq } => format!("{did}#identity/{seq}"),
            HappenedKind::Account { seq, .. } => format!("{did}#account/{seq}"),
        }
    }

    /// The JSON that an instance sends which saw it then, and which may number its events.
    pub fn json(&self, time_us: i64, cursor: Option<i64>) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.rest.len() + 100);
        out.extend_from_slice(b"{\"did\":\"");
        out.extend_from_slice(self.did.as_bytes());
        out.extend_from_slice(b"\",\"time_us\":");
        out.extend_from_slice(time_us.to_string().as_bytes());
        if let Some(cursor) = cursor {
            out.extend_from_slice(b",\"cursor\":");
            out.extend_from_slice(cursor.to_string().as_bytes());
        }
        out.extend_from_slice(&self.rest);
        out
    }
}

impl World {
    /// What the relay passes on in that UTC second, in its order.
    pub fn second(&self, second: i64, breadth: Breadth) -> Vec<Happened> {
        let mut found = Vec::new();
        for class in Class::ALL {
            if breadth == Breadth::All || class == Class::Post {
                self.put_creates(class, second, &mut found);
                self.put_changes(class, second, &mut found);
            }
        }
        self.put_accounts(second, &mut found);
        found.sort_by_key(|event| event.relayed_us);
        found
    }

    fn put_creates(&self, class: Class, second: i64, found: &mut Vec<Happened>) {
        for number in 0..self.count(class, second) {
            let address = Address {
                class,
                second,
                number,
            };
            let item = self.item(address);
            let operation = if class == Class::Profile {
                "update"
            } else {
                "create"
            };
            let content = Some((address, 0));
            let (relayed_us, made_us) = (item.relayed_us, item.made_us);
            found.push(self.commit(&item, class, operation, (relayed_us, made_us), content));
        }
    }

    /// The updates and deletes of earlier records.
    fn put_changes(&self, class: Class, second: i64, found: &mut Vec<Happened>) {
        if class.fates() == (0, 0) {
            return;
        }
        for lag_s in LAGS_S {
            for number in 0..self.count(class, second - lag_s) {
                let address = Address {
                    class,
                    second: second - lag_s,
                    number,
                };
                let (updated, deleted) = self.fate(address);
                if updated == Some(*lag_s) {
                    self.put_change(address, second, Some((address, 1)), found);
                }
                if deleted == Some(*lag_s) {
                    self.put_change(address, second, None, found);
                }
            }
        }
    }

    fn put_change(
        &self,
        address: Address,
        second: i64,
        content: Option<(Address, u64)>,
        found: &mut Vec<Happened>,
    ) {
        let item = self.item(address);
        // an account that is gone or away changes nothing
        if account::is_active(item.author, self.seed, second) {
            let case = case(address) ^ second.unsigned_abs();
            let times = times(&mut Chance::of(self.seed, KIND_CHANGE, case), second);
            let operation = if content.is_some() {
                "update"
            } else {
                "delete"
            };
            found.push(self.commit(&item, address.class, operation, times, content));
        }
    }

    /// What happens to accounts.
    fn put_accounts(&self, second: i64, found: &mut Vec<Happened>) {
        let mut chance = Chance::of(self.seed, KIND_IDENTITY, second.unsigned_abs());
        let mut events = Vec::new();
        if let Some((account, how)) = account::ending(self.seed, second) {
            events.push((account, Of::Account(Some(how))));
            let next = account::holder(account.place, second);
            events.push((next, Of::Identity(0)));
            events.push((next, Of::Account(None)));
        }
        if let Some((account, how)) = account::pausing(self.seed, second) {
            events.push((account, Of::Account(Some(how))));
        }
        for account in account::returning(self.seed, second) {
            events.push((account, Of::Account(None)));
        }
        if chance.below(1_000) < IDENTITIES_PER_1000S {
            let account = account::choose(&mut chance, self.seed, second);
            events.push((account, Of::Identity(chance.below(4))));
        }
        let mut passed_us = chance.between(0, 100_000);
        for (place, (account, of)) in (0..).zip(events) {
            passed_us += chance.between(1, 90_000);
            let relayed_us = second * 1_000_000 + passed_us;
            let seq = ((second - SEQ_BEGIN) * SEQ_PER_S + place).unsigned_abs();
            found.push(self.of_account(account, of, relayed_us, seq, &mut chance));
        }
    }

    fn of_account(
        &self,
        account: Account,
        of: Of,
        relayed_us: i64,
        seq: u64,
        chance: &mut Chance,
    ) -> Happened {
        let made_us = relayed_us - chance.between(20_000, 900_000);
        let did = account.did(self.seed);
        let mut rest = Vec::with_capacity(200);
        let what = match of {
            Of::Identity(nth) => {
                put(&mut rest, ",\"kind\":\"identity\",\"identity\":{\"did\":");
                put_text(&mut rest, &did);
                if !chance.one_in(20) {
                    let mut handle = String::new();
                    account.handle(nth, &mut handle);
                    put(&mut rest, ",\"handle\":");
                    put_text(&mut rest, &handle);
                }
                HappenedKind::Identity { seq }
            }
            Of::Account(how) => {
                put(&mut rest, ",\"kind\":\"account\",\"account\":{\"active\":");
                put(&mut rest, if how.is_some() { "false" } else { "true" });
                if let Some(how) = how {
                    put(&mut rest, ",\"status\":\"");
                    put(&mut rest, how.word());
                    put(&mut rest, "\"");
                }
                put(&mut rest, ",\"did\":");
                put_text(&mut rest, &did);
                HappenedKind::Account {
                    seq,
                    active: how.is_none(),
                    status: how.map(Inactive::word),
                }
            }
        };
        put(&mut rest, ",\"seq\":");
        put_number(&mut rest, seq);
        put(&mut rest, ",\"time\":");
        record::put_time(&mut rest, made_us);
        put(&mut rest, "}}");
        Happened {
            relayed_us,
            made_us,
            did,
            what,
            rest: rest.into(),
        }
    }

    /// A commit; `content` is the record and which version of it, `None` for a delete.
    fn commit(
        &self,
        item: &Item,
        class: Class,
        operation: &'static str,
        (relayed_us, made_us): (i64, i64),
        content: Option<(Address, u64)>,
    ) -> Happened {
        let mut rev = String::with_capacity(13);
        name::put_tid(&mut rev, made_us, relayed_us.unsigned_abs());
        let mut rest = Vec::with_capacity(800);
        put(&mut rest, ",\"kind\":\"commit\",\"commit\":{\"rev\":\"");
        put(&mut rest, &rev);
        put(&mut rest, "\",\"operation\":\"");
        put(&mut rest, operation);
        put(&mut rest, "\",\"collection\":\"");
        put(&mut rest, class.collection());
        put(&mut rest, "\",\"rkey\":\"");
        put(&mut rest, &item.rkey);
        put(&mut rest, "\"");
        if let Some((address, version)) = content {
            put(&mut rest, ",\"record\":");
            record::put_record(self, address, item, version, made_us, &mut rest);
            put(&mut rest, ",\"cid\":\"");
            put(&mut rest, &self.cid(address, version));
            put(&mut rest, "\"");
        }
        put(&mut rest, "}}");
        Happened {
            relayed_us,
            made_us,
            did: item.author.did(self.seed),
            what: HappenedKind::Commit {
                operation,
                collection: class.collection(),
                rkey: item.rkey.clone(),
                rev,
            },
            rest: rest.into(),
        }
    }
}

/// An account event.
#[derive(Clone, Copy)]
enum Of {
    Identity(u64),
    /// Why it is away; `None` for one that is there.
    Account(Option<Inactive>),
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    const NOW: i64 = 1_795_442_400;

    fn world(seed: u64) -> World {
        World {
            seed,
            posts_per_1000s: 20_000,
        }
    }

    #[test]
    fn a_second_is_the_same_whenever_it_is_asked_for_and_however_much_of_it() {
        let keys = |world: World, breadth| -> Vec<(String, Bytes)> {
            let made = world.second(NOW, breadth).into_iter();
            made.map(|event| (event.key(), event.rest)).collect()
        };
        let all = keys(world(1), Breadth::All);
        assert_eq!(all, keys(world(1), Breadth::All));
        assert_ne!(all, keys(world(2), Breadth::All));
        let posts = keys(world(1), Breadth::Posts);
        assert!(10 < posts.len() && posts.len() * 4 < all.len());
        assert!(posts.iter().all(|event| all.contains(event)));
    }

    #[expect(clippy::excessive_nesting, reason = "a walk over a whole world")]
    #[test]
    fn what_is_deleted_was_there_and_who_is_gone_says_nothing_more() {
        let mut posts: HashMap<(String, String), i64> = HashMap::new();
        let (mut revs, mut gone) = (HashSet::new(), HashSet::new());
        let mut away = HashSet::new();
        let (mut deletes, mut returns) = (0, 0);
        for second in NOW - 700..NOW {
            for event in world(1).second(second, Breadth::Posts) {
                assert!(!gone.contains(&event.did), "{} is gone", event.did);
                assert!(revs.insert(event.key()), "{} twice", event.key());
                match event.what {
                    HappenedKind::Commit {
                        operation, rkey, ..
                    } => {
                        let name = (event.did, rkey);
                        if operation == "create" {
                            assert!(!away.contains(&name.0), "{} is away", name.0);
                            assert_eq!(posts.insert(name, second), None);
                        } else if let Some(created) = posts.get(&name) {
                            assert!(LAGS_S.contains(&(second - created)));
                            deletes += usize::from(operation == "delete");
                        }
                        // what is older was made before the test began to look
                    }
                    HappenedKind::Account {
                        status: Some("deleted" | "takendown"),
                        ..
                    } => drop(gone.insert(event.did)),
                    HappenedKind::Account { active: false, .. } => drop(away.insert(event.did)),
                    HappenedKind::Account { .. } => returns += usize::from(away.remove(&event.did)),
                    HappenedKind::Identity { .. } => (),
                }
            }
        }
        assert!(100 < deletes, "{deletes}");
        assert!(10 < returns, "{returns}");
        assert!(20 < gone.len(), "{}", gone.len());
    }

    #[expect(clippy::excessive_nesting, reason = "a walk over a whole world")]
    #[test]
    fn nobody_deletes_old_posts_who_is_gone_or_away() {
        let world = world(1);
        let mut silent = 0;
        for second in NOW..NOW + 3_000 {
            for lag_s in LAGS_S {
                let class = Class::Post;
                for number in 0..world.count(class, second - lag_s) {
                    let address = Address {
                        class,
                        second: second - lag_s,
                        number,
                    };
                    if world.fate(address).1 != Some(*lag_s) {
                        continue;
                    }
                    let author = world.item(address).author;
                    if !account::is_active(author, 1, second) {
                        let did = author.did(1);
                        let made = world.second(second, Breadth::Posts);
                        assert!(made.iter().all(|event| event.did != did), "{did}");
                        silent += 1;
                    }
                }
            }
        }
        assert!(10 < silent, "{silent}");
    }
}
