//! Deletes from a vault in an object store the attempts of which nobody reads a file any more. Nothing else is ever
//! deleted there.
//!
//! ```text
//! r2-…, and r2.json names another        it can never be committed: it goes
//! r3-…, and there is no r3.json          an orphan: it goes when its oldest file is older than `orphans`
//! r1-…, and r1.json names it             it stays as long as it is the latest, and `keep_superseded` after the Delta Lake
//!                                        log has ceased to name it; it goes at once if a later revision has had something
//!                                        taken out
//! ```
//!
//! `orphans` is counted by the store's clock, by which the store has refused to commit an attempt long before
//! (`ATTEMPT_MAX` in `in_store`). So it does not matter how long a merger slept, what its clock shows, how many of
//! them sweep, and how old a listing is: files are created once, and no name is used twice. A superseded revision is
//! deleted only when the ledger has the later one, whose files were read again and found whole.
//!
//! `keep_superseded` is counted by the same clock from the first version of the log that does not name the revision. A
//! version that is as old as that was the latest one then: whoever has opened the table since has it, or a later one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    commit_error::InStoreError,
    delta::log,
    in_store::{
        ATTEMPT_MAX, Committed, InStore, attempt_name, data_key, hour_folder, revision_key,
    },
    ledger,
    manifest::Manifest,
};
use crate::{
    period::{Hour, UtcMs, ms},
    place::store::{Key, Listed, digest_of},
    world::crash::{self, Point},
};

/// How long what nobody may need stays.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// An attempt that was never committed, nor another in its place.
    pub orphans: Duration,
    /// A superseded revision, after the Delta Lake log has ceased to name it; `None`: it goes at once.
    pub superseded: Option<Duration>,
}

/// The result of a sweep.
#[derive(Debug, Default)]
pub struct SweptAttempts {
    /// Attempts of which no file is left.
    pub attempts: u64,
    /// Hours of which something stays because something is wrong with them.
    pub problems: Vec<String>,
}

/// An attempt at a revision: the revision, and the number that was drawn for it.
type Attempt = (u64, u64);

/// The attempts of an hour in the store.
#[derive(Debug, Default, PartialEq, Eq)]
struct There {
    /// When the oldest file of each was created.
    attempts: BTreeMap<Attempt, UtcMs>,
}

/// When each version of the Delta Lake log was created.
type Versions = BTreeMap<u64, UtcMs>;

/// The revision of each hour that a version has.
type Current = BTreeMap<Hour, u64>;

/// What a key is of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Revision(Hour, u64),
    Data(Hour, Attempt),
}

/// Reads a key; `None`: it is of neither.
pub(super) fn part(key: &Key) -> Option<Part> {
    let mut parts = key.as_str().split('/');
    let (_day, hour, third) = (parts.next()?, parts.next()?, parts.next()?);
    let hour: Hour = hour.parse().ok()?;
    let number = third.strip_prefix('r')?;
    let Some(file) = parts.next() else {
        let revision = number.strip_suffix(".json")?.parse().ok()?;
        let is_it = revision_key(hour, revision).is_ok_and(|own| own == *key);
        return is_it.then_some(Part::Revision(hour, revision));
    };
    let (revision, attempt) = number.split_once('-')?;
    let revision = revision.parse().ok()?;
    let attempt = u64::from_str_radix(attempt, 16).ok()?;
    let is_it = data_key(hour, &attempt_name(revision, attempt), file).is_ok_and(|own| own == *key);
    is_it.then_some(Part::Data(hour, (revision, attempt)))
}

impl There {
    fn take(&mut self, attempt: Attempt, created: UtcMs) {
        let oldest = self.attempts.entry(attempt).or_insert(created);
        *oldest = created.min(*oldest);
    }

    /// The attempts that need a look: all but the one at the latest revision, and those that are young and may still be
    /// committed.
    fn suspects(&self, latest: u64, orphans: Duration, now: UtcMs) -> Vec<Attempt> {
        let of = |revision: u64| self.attempts.range((revision, 0)..=(revision, u64::MAX));
        let is_suspect = |((revision, _), oldest): &(&Attempt, &UtcMs)| match revision.cmp(&latest)
        {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Equal => 1 < of(latest).count(),
            std::cmp::Ordering::Greater => after(**oldest, orphans.max(2 * ATTEMPT_MAX)) <= now,
        };
        let suspects = self.attempts.iter().filter(is_suspect);
        suspects.map(|(attempt, _)| *attempt).collect()
    }
}

/// The version of the log that was the latest one so long ago: no one who has opened the table since has an earlier one.
fn latest_then(versions: &Versions, keep: Duration, now: UtcMs) -> Option<u64> {
    let mut latest_first = versions.iter().rev();
    let then = latest_first.find(|(_, created)| after(**created, keep) <= now);
    then.map(|(version, _)| *version)
}

fn after(at: UtcMs, wait: Duration) -> UtcMs {
    at.plus_ms(ms(wait))
}

/// Whether anything was taken out of an hour after a revision of it: then that revision has it still.
fn is_taken_out(of: &Manifest, latest: &Manifest) -> bool {
    of.redactions != latest.redactions
}

impl InStore<'_> {
    /// Takes away the attempts that nobody reads any more: of these hours, or of all. What superseded them must be in the
    /// copy, and before that in the Delta Lake log: it never names what is gone.
    pub fn sweep(
        &self,
        asked: Option<&BTreeSet<Hour>>,
        keep: Keep,
    ) -> Result<SweptAttempts, InStoreError> {
        let (there, versions) = self.there(asked)?;
        // whatever is listed was created before
        let now = self.store.now()?;
        let mut swept = SweptAttempts::default();
        let then = keep
            .superseded
            .and_then(|keep| latest_then(&versions, keep, now));
        let current_then = match self.current_in(then) {
            Ok(current) => current,
            Err(why) if why.is_away() => return Err(why),
            Err(why) => {
                let what = format!("superseded files of all hours are kept: {why}");
                swept.problems.push(what);
                Current::new()
            }
        };
        for (hour, there) in &there {
            let current = current_then.get(hour).copied().unwrap_or(0);
            match self.sweep_hour((*hour, there), (keep, current), now) {
                Ok(attempts) => swept.attempts += attempts,
                Err(why) if why.is_away() => return Err(why),
                Err(why) => swept
                    .problems
                    .push(format!("superseded files of hour {hour} are kept: {why}")),
            }
        }
        Ok(swept)
    }

    /// The hours that have a revision in a version of the log, and which.
    fn current_in(&self, version: Option<u64>) -> Result<Current, InStoreError> {
        let mut current = Current::new();
        let Some(version) = version else {
            return Ok(current);
        };
        let read = log::read(self.store, version)?;
        let mut lines = read.map_or(0, |read| read.ledger);
        ledger::each_line(self.disk, self.vault, |line| {
            if 0 < lines {
                lines -= 1;
                current.insert(line.hour, line.revision);
            }
        })?;
        Ok(current)
    }

    /// The attempts of each hour; and if all are asked for, the versions of the log.
    fn there(
        &self,
        asked: Option<&BTreeSet<Hour>>,
    ) -> Result<(BTreeMap<Hour, There>, Versions), InStoreError> {
        let mut there: BTreeMap<Hour, There> = BTreeMap::new();
        let mut versions = Versions::new();
        let mut timeless = None;
        let mut each = |listed: Listed| {
            let (part, version) = (part(&listed.key), log::version_of(&listed.key));
            match (part, version, listed.created) {
                (Some(Part::Data(hour, attempt)), _, Some(created)) => {
                    there.entry(hour).or_default().take(attempt, created);
                }
                (_, Some(version), Some(created)) => {
                    versions.insert(version, created);
                }
                (Some(Part::Data(..)), _, None) => timeless = Some(listed.key),
                _ => (),
            }
        };
        match asked {
            None => self.store.list("", &mut each)?,
            Some(hours) => {
                for hour in hours {
                    let prefix = format!("{}/", hour_folder(*hour));
                    self.store.list(&prefix, &mut each)?;
                }
            }
        }
        match timeless {
            Some(key) => Err(self.wrong(&key, "its listing does not say when it was created")),
            None => Ok((there, versions)),
        }
    }

    fn sweep_hour(
        &self,
        (hour, there): (Hour, &There),
        (keep, current_then): (Keep, u64),
        now: UtcMs,
    ) -> Result<u64, InStoreError> {
        let latest = self.latest(hour);
        let mut read: BTreeMap<u64, Option<Committed>> = BTreeMap::new();
        let mut is_whole = false;
        let mut gone = 0;
        for (revision, attempt) in there.suspects(latest, keep.orphans, now) {
            let name = attempt_name(revision, attempt);
            for revision in [revision, latest] {
                if let std::collections::btree_map::Entry::Vacant(entry) = read.entry(revision) {
                    entry.insert(self.committed(hour, revision)?);
                }
            }
            let of = |revision: u64| read.get(&revision).and_then(Option::as_ref);
            let goes = match (of(revision), of(latest)) {
                // no commit of it can come any more
                (None, _) => latest < revision,
                // it may have its line in the ledger by the next time
                (Some(_), _) if latest < revision => false,
                (Some(committed), _) if committed.attempt != name => true,
                (Some(committed), Some(current)) if revision < latest => {
                    let is_due = is_taken_out(&committed.manifest, &current.manifest)
                        || keep.superseded.is_none()
                        || revision < current_then;
                    if is_due && !is_whole {
                        self.read_again(hour, current)?;
                        is_whole = true;
                    }
                    is_due
                }
                (Some(_), _) => false,
            };
            if goes {
                self.delete_attempt(hour, &name)?;
                gone += 1;
            }
        }
        Ok(gone)
    }

    /// Reads a revision's files again, and compares them with its manifest.
    pub(super) fn read_again(&self, hour: Hour, of: &Committed) -> Result<(), InStoreError> {
        for output in &of.manifest.outputs {
            let key = data_key(hour, &of.attempt, &output.name)?;
            let found = digest_of(self.store, &key, output.bytes)?;
            if found
                .is_none_or(|found| (found.bytes, found.sha256) != (output.bytes, output.sha256))
            {
                return Err(self.wrong(&key, "it is not what its manifest says"));
            }
        }
        Ok(())
    }

    fn delete_attempt(&self, hour: Hour, name: &str) -> Result<(), InStoreError> {
        let mut keys = Vec::new();
        let prefix = format!("{}/{name}/", hour_folder(hour));
        self.store
            .list(&prefix, &mut |listed| keys.push(listed.key))?;
        for key in keys {
            self.store.delete(&key)?;
            crash::point(Point::AttemptSwept);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::{
        place::{
            folder::Folder,
            store::{Content, Created, Store, StoreError, Timed, Window, create_of},
        },
        segment::sha256::Sha256,
        vault::in_store::commit_bytes,
        world::disk::RealDisk,
    };

    const HOUR: Duration = Duration::from_hours(1);

    fn at(hours: i64) -> UtcMs {
        UtcMs(hours * 3_600_000)
    }

    #[test]
    fn a_key_is_of_a_revision_or_an_attempt_or_of_nothing_that_is_swept() {
        let of = |text: &str| part(&text.to_owned().try_into().unwrap());
        let hour = "2026-11-23_14".parse().unwrap();
        let attempt = "2026-11-23/2026-11-23_14/r12-00000000000000ab";
        assert_eq!(
            of("2026-11-23/2026-11-23_14/r12.json"),
            Some(Part::Revision(hour, 12))
        );
        assert_eq!(
            of(&format!("{attempt}/2026-11-23_14_IDs.txt.xz")),
            Some(Part::Data(hour, (12, 0xab)))
        );
        for other in [
            attempt,
            "vault.json",
            "ledger/12.json",
            "begin/2026-11-23_14",
            "2026-11-22/2026-11-23_14/r12.json",
            "2026-11-23/2026-11-23_14/r012.json",
            "2026-11-23/2026-11-23_14/r12.json.old",
            "2026-11-23/2026-11-23_14/r12-ab/a",
            "2026-11-23/2026-11-23_14/r12-00000000000000AB/a",
            "2026-11-23/2026-11-23_14/r12-00000000000000ab/a/b",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn an_attempt_that_may_be_committed_or_read_is_left_alone() {
        let mut there = There::default();
        for (revision, attempt, created) in
            [(1, 1, 0), (2, 2, 10), (3, 3, 20), (3, 3, 90), (4, 4, 70)]
        {
            there.take((revision, attempt), at(created));
        }
        let suspects = |there: &There, latest, now| there.suspects(latest, 24 * HOUR, at(now));
        // the one at the latest revision is what was committed; the fourth is young
        assert_eq!(suspects(&there, 3, 93), [(1, 1), (2, 2)]);
        assert_eq!(suspects(&there, 3, 94), [(1, 1), (2, 2), (4, 4)]);
        // its oldest file counts
        assert_eq!(suspects(&there, 2, 43), [(1, 1)]);
        assert_eq!(suspects(&there, 2, 44), [(1, 1), (3, 3)]);
        // an attempt lasts longer than that
        assert_eq!(there.suspects(3, HOUR, at(81)), [(1, 1), (2, 2)]);
        assert_eq!(there.suspects(3, HOUR, at(82)).len(), 3);
        // several at one revision: which of them was committed has to be read
        there.take((3, 9), at(93));
        assert_eq!(suspects(&there, 3, 93), [(1, 1), (2, 2), (3, 3), (3, 9)]);
    }

    /// A folder that knows when its files were created: long ago.
    struct Old<'a>(Folder<'a>);

    impl Store for Old<'_> {
        fn name(&self) -> String {
            self.0.name()
        }

        fn create(&self, key: &Key, content: &Content<'_>) -> Result<Created, StoreError> {
            self.0.create(key, content)
        }

        fn read(
            &self,
            key: &Key,
            bytes_max: u64,
            sink: &mut dyn Write,
        ) -> Result<Option<u64>, StoreError> {
            self.0.read(key, bytes_max, sink)
        }

        fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
            self.0.list(prefix, &mut |listed| {
                each(Listed {
                    created: Some(at(0)),
                    ..listed
                });
            })
        }

        fn delete(&self, key: &Key) -> Result<(), StoreError> {
            self.0.delete(key)
        }
    }

    impl Timed for Old<'_> {
        fn now(&self) -> Result<UtcMs, StoreError> {
            Ok(at(999))
        }

        fn create_within(
            &self,
            key: &Key,
            content: &Content<'_>,
            _window: Window,
        ) -> Result<Created, StoreError> {
            self.create(key, content)
        }
    }

    /// The manifest of a revision of an hour with one file of these bytes.
    fn manifest(revision: u64, bytes: &[u8]) -> Vec<u8> {
        let text =
            include_str!("../../tests/golden/v1/vault/2026-11-23/2026-11-23_13_manifest.json");
        let mut json: serde_json::Value = serde_json::from_str(text).unwrap();
        json["history"]["revision"] = revision.into();
        let mut output = json["outputs"][0].take();
        output["bytes"] = bytes.len().into();
        output["sha256"] = Sha256::of(bytes).to_string().into();
        json["outputs"] = vec![output].into();
        format!("{json}\n").into_bytes()
    }

    /// The former files may be the last whole ones.
    #[test]
    fn superseded_files_stay_as_long_as_those_in_their_place_are_not_whole() {
        for (there, is_whole) in [(&b"two"[..], true), (b"twe", false), (b"tw", false)] {
            let (remote, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let store = Old(Folder {
                disk: &RealDisk,
                root: remote.path(),
            });
            let mut ledger = ledger::Ledger::open(&RealDisk, copy.path()).unwrap();
            let mut first = None;
            for (revision, bytes, lies) in [(1, &b"one"[..], &b"one"[..]), (2, b"two", there)] {
                let json = manifest(revision, bytes);
                let manifest = Manifest::from_json(&json).unwrap();
                let hour = manifest.hour;
                let name = attempt_name(revision, revision);
                let file = &manifest.outputs[0].name;
                let key = data_key(hour, &name, file).unwrap();
                create_of(&store, &key, lies).unwrap();
                first.get_or_insert(key);
                let commit = commit_bytes(&name, &json).unwrap();
                create_of(&store, &revision_key(hour, revision).unwrap(), &commit).unwrap();
                ledger.append(&RealDisk, hour, revision, &json).unwrap();
            }
            let draw = || Ok(7);
            let vault = InStore::new(&store, &RealDisk, copy.path(), &draw).unwrap();
            let keep = Keep {
                orphans: HOUR,
                superseded: None,
            };
            let swept = vault.sweep(None, keep).unwrap();
            assert_eq!(swept.problems.is_empty(), is_whole, "{:?}", swept.problems);
            assert_eq!(swept.attempts, u64::from(is_whole));
            let key = first.unwrap();
            let is_there = digest_of(&store, &key, 99).unwrap().is_some();
            assert_eq!(is_there, !is_whole, "{there:?}");
        }
    }

    #[test]
    fn the_version_counts_that_was_the_latest_when_the_time_began() {
        let versions = Versions::from([(0, at(1)), (1, at(11)), (2, at(21))]);
        let then = |keep, now| latest_then(&versions, keep * HOUR, at(now));
        assert_eq!(then(7, 7), None);
        assert_eq!(then(7, 8), Some(0));
        assert_eq!(then(7, 17), Some(0));
        assert_eq!(then(7, 18), Some(1));
        assert_eq!(then(7, 999), Some(2));
        assert_eq!(then(0, 21), Some(2));
        assert_eq!(latest_then(&Versions::new(), HOUR, at(999)), None);
    }
}
