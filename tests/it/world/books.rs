//! The books, kept from outside: what may go from the store when it goes, and in the end what lies there, by its plain
//! listing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use twinstream::{
    place::{
        segments::{self, There},
        store::{Key, digest},
    },
    segment::{
        name::{SegmentName, ServerId},
        sha256::Sha256,
    },
};

use crate::support::primary::unxz;

/// How old an attempt must be that nobody has committed, and how long a superseded revision stays, in seconds.
pub(crate) const ORPHANS_S: u64 = 14 * 3_600;
pub(crate) const SUPERSEDED_S: u64 = 3 * 3_600;

pub(crate) const VAULT: &str = "x/vault/";
pub(crate) const SPOOL: &str = "x/spool/";
/// Written after the ledger; who reads by it is told which files are current.
const DELTA_LOG: &str = "x/vault/_delta_log/";

/// What lies in the store, when each of it was created, and what time it is there.
pub(crate) type StoreNow<'a> = (&'a Objects, &'a BTreeMap<String, u64>, u64);

pub(crate) type Objects = BTreeMap<String, Vec<u8>>;

/// What was seen.
#[derive(Default)]
pub(crate) struct Books {
    /// The order of all that comes, is read and goes.
    steps: u64,
    /// When each revision came.
    committed: BTreeMap<String, u64>,
    /// When each machine last read each file of the vault.
    read: BTreeMap<(String, String), u64>,
    /// When the oldest file of each attempt was created, in seconds.
    attempts: BTreeMap<String, u64>,
    /// Whether what was superseded goes at once.
    keeps_nothing: bool,
    /// What was done that may not be.
    pub(crate) wrongs: Vec<String>,
}

/// A key of an hour's: the hour's folder, the revision, and, of data, the attempt.
struct OfHour<'k> {
    folder: &'k str,
    revision: u64,
    attempt: Option<&'k str>,
}

fn of_hour(key: &str) -> Option<OfHour<'_>> {
    let rest = key.strip_prefix(VAULT)?;
    let end = rest.match_indices('/').nth(1)?.0;
    let (folder, rest) = (&key[..VAULT.len() + end], &rest[end + 1..]);
    let number = rest.strip_prefix('r')?;
    if let Some(revision) = number.strip_suffix(".json") {
        let revision = revision.parse().ok()?;
        return Some(OfHour {
            folder,
            revision,
            attempt: None,
        });
    }
    let (attempt, _file) = rest.split_once('/')?;
    let revision = attempt[1..].split_once('-')?.0.parse().ok()?;
    Some(OfHour {
        folder,
        revision,
        attempt: Some(attempt),
    })
}

/// Whether creating it commits a revision.
pub(crate) fn is_commit(key: &str) -> bool {
    of_hour(key).is_some_and(|of| of.attempt.is_none())
}

fn commit_of(objects: &Objects, folder: &str, revision: u64) -> Option<Value> {
    let bytes = objects.get(&format!("{folder}/r{revision}.json"))?;
    Some(serde_json::from_slice(bytes).unwrap())
}

/// The files of a revision: their keys, and their hashes as the manifest has them.
fn files_of(folder: &str, commit: &Value) -> Vec<(String, String)> {
    let attempt = commit["attempt"].as_str().unwrap();
    let outputs = commit["manifest"]["outputs"].as_array().unwrap();
    let file = |output: &Value| {
        let name = output["name"].as_str().unwrap();
        let sha256 = output["sha256"].as_str().unwrap();
        (format!("{folder}/{attempt}/{name}"), sha256.to_owned())
    };
    outputs.iter().map(file).collect()
}

/// The latest revision of each hour, with its folder.
pub(crate) fn latest(objects: &Objects) -> BTreeMap<String, u64> {
    let mut latest = BTreeMap::new();
    for of in objects.keys().filter_map(|key| of_hour(key)) {
        if of.attempt.is_none() {
            let known = latest.entry(of.folder.to_owned()).or_insert(0);
            *known = of.revision.max(*known);
        }
    }
    latest
}

impl Books {
    pub(crate) fn new(keeps_nothing: bool) -> Self {
        Self {
            keeps_nothing,
            ..Self::default()
        }
    }

    fn step(&mut self) -> u64 {
        self.steps += 1;
        self.steps
    }

    /// It is there now.
    pub(crate) fn comes(&mut self, key: &str, now_s: u64) {
        let step = self.step();
        match of_hour(key) {
            Some(OfHour { attempt: None, .. }) => {
                self.committed.insert(key.to_owned(), step);
            }
            Some(OfHour {
                folder,
                attempt: Some(attempt),
                ..
            }) => {
                let attempt = format!("{folder}/{attempt}");
                self.attempts.entry(attempt).or_insert(now_s);
            }
            None => (),
        }
    }

    /// A machine has read it.
    pub(crate) fn read(&mut self, machine: &str, key: &str) {
        let step = self.step();
        self.read.insert((machine.to_owned(), key.to_owned()), step);
    }

    /// A machine is about to delete it: says what that is, and notes it if it may not.
    pub(crate) fn goes(
        &mut self,
        machine: &str,
        key: &str,
        there: StoreNow<'_>,
    ) -> Option<&'static str> {
        self.step();
        if !there.0.contains_key(key) {
            return None;
        }
        let may = if key.starts_with(DELTA_LOG) {
            Ok("a file of the Delta log went")
        } else if key.starts_with(SPOOL) {
            self.raw_data_goes(machine, key, there.0)
        } else {
            self.data_goes(key, there)
        };
        match may {
            Ok(what) => Some(what),
            Err(why) => {
                self.wrongs.push(format!("{machine} deletes {key}: {why}"));
                None
            }
        }
    }

    /// Of the vault only attempts go: those that can never be committed, and those that were superseded.
    fn data_goes(
        &self,
        key: &str,
        (objects, created, now_s): StoreNow<'_>,
    ) -> Result<&'static str, String> {
        let Some(OfHour {
            folder,
            revision,
            attempt: Some(attempt),
        }) = of_hour(key)
        else {
            return Err("it is no file of an attempt".to_owned());
        };
        let Some(commit) = commit_of(objects, folder, revision) else {
            let oldest = self.attempts[&format!("{folder}/{attempt}")];
            let age = now_s - oldest;
            return if ORPHANS_S <= age {
                Ok("an orphan was swept")
            } else {
                Err(format!("nobody has committed it, and it is {age} s old"))
            };
        };
        if commit["attempt"] != attempt {
            return Ok("what lost a race was deleted");
        }
        let Some(next) = created.get(&format!("{folder}/r{}.json", revision + 1)) else {
            return Err("it is what is current".to_owned());
        };
        let last = latest(objects)[folder];
        let current = commit_of(objects, folder, last).unwrap();
        for (file, sha256) in files_of(folder, &current) {
            let is_whole = objects
                .get(&file)
                .is_some_and(|bytes| digest(bytes).sha256.to_string() == sha256);
            if !is_whole {
                return Err(format!("{file} of its successor is not whole"));
            }
        }
        let is_taken_out = commit["manifest"]["redactions"] != current["manifest"]["redactions"];
        if is_taken_out {
            Ok("a revision went from which something was taken out")
        } else if self.keeps_nothing {
            Ok("a superseded revision went")
        } else if now_s < next + SUPERSEDED_S {
            Err(format!("it was superseded {} s ago", now_s - next))
        } else {
            // whoever opened the table so long ago may still read
            let then = |key: &String| created[key] + SUPERSEDED_S <= now_s;
            let named = versions(objects).filter(|(key, _)| then(key)).last();
            let folder = format!("{}/{attempt}/", &folder[VAULT.len()..]);
            match named {
                Some((_, files)) if files.iter().any(|file| file.starts_with(&folder)) => {
                    Err("the table named it until lately".to_owned())
                }
                Some(_) => Ok("a superseded revision went"),
                None => Err("the table has no version of then".to_owned()),
            }
        }
    }

    /// A segment goes behind hours that this machine has read again since they were committed, or behind a later form of it.
    fn raw_data_goes(
        &self,
        machine: &str,
        key: &str,
        objects: &Objects,
    ) -> Result<&'static str, String> {
        let own = &key[SPOOL.len()..];
        let server = own.split('/').next().unwrap_or_default();
        let server = server.parse::<ServerId>();
        let server = server.map_err(|_not_one| "it is no raw data".to_owned())?;
        let parsed = segments::parse(&Key::try_from(own.to_owned()).unwrap(), &server);
        let (name, _) = parsed.ok_or_else(|| "it is no file of a segment".to_owned())?;
        let before = there_of(objects, &name, None).latest();
        if before == there_of(objects, &name, Some(key)).latest() {
            return Ok(if before.is_some() {
                "a former form of a segment went"
            } else {
                "the rest of a segment went"
            });
        }
        let text = name.to_string();
        let names = |inputs: &Value| {
            let inputs = inputs.as_array().unwrap().iter();
            inputs.filter(|input| input["name"] == *text).count()
        };
        let mut hours = 0;
        for (folder, last) in latest(objects) {
            let commits = (1..=last).rev().map(|revision| {
                let commit = commit_of(objects, &folder, revision).unwrap();
                (format!("{folder}/r{revision}.json"), commit)
            });
            let has = |(_, commit): &(String, Value)| {
                let inputs = &commit["manifest"]["inputs"];
                // a segment without a post is an input of its hour by its events alone
                0 < names(&inputs["segments"])
                    || 0 < names(&inputs["events"]) && folder.ends_with(&hour_of(&name))
            };
            let having: Vec<(String, Value)> = commits.filter(has).collect();
            if having.is_empty() {
                continue;
            }
            hours += 1;
            let is_verified = |(commit, says): &(String, Value)| {
                let since = self.committed[commit];
                files_of(&folder, says).iter().all(|(file, _)| {
                    let read = self.read.get(&(machine.to_owned(), file.clone()));
                    read.is_some_and(|read| since < *read)
                })
            };
            if !having.iter().any(is_verified) {
                return Err(format!(
                    "{folder} has it, and its files were not read again since it was committed"
                ));
            }
        }
        if hours == 0 {
            return Err("no hour has it".to_owned());
        }
        Ok("raw data went")
    }
}

fn hour_of(name: &SegmentName) -> String {
    format!("{}_{}", name.minute.day_folder(), name.minute.hour_folder())
}

/// What of a segment is there, but for one key.
fn there_of(objects: &Objects, name: &SegmentName, but: Option<&str>) -> There {
    let (day, hour) = (name.minute.day_folder(), name.minute.hour_folder());
    let prefix = format!("{SPOOL}{}/{day}/{hour}/{name}.", name.server);
    let mut there = There::default();
    let keys = objects.range(prefix.clone()..).map(|(key, _)| key);
    for key in keys.take_while(|key| key.starts_with(&prefix)) {
        if Some(key.as_str()) == but {
            continue;
        }
        let own = Key::try_from(key[SPOOL.len()..].to_owned()).unwrap();
        if let Some((_, file)) = segments::parse(&own, &name.server) {
            there.take(file);
        }
    }
    there
}

/// The versions of the Delta Lake table: the key of each, and the files that it has.
fn versions(objects: &Objects) -> impl Iterator<Item = (&String, BTreeSet<String>)> {
    let mut files = BTreeSet::new();
    let keys = objects.range(DELTA_LOG.to_owned()..);
    let keys = keys.take_while(|(key, _)| key.starts_with(DELTA_LOG));
    let keys =
        keys.filter(|(key, _)| key.len() == DELTA_LOG.len() + "00000000000000000000.json".len());
    keys.map(move |(key, bytes)| {
        for line in bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let action: Value = serde_json::from_slice(line).unwrap();
            if let Some(path) = action["remove"]["path"].as_str() {
                assert!(
                    files.remove(path),
                    "{key} removes {path}, which was not there"
                );
            }
            if let Some(path) = action["add"]["path"].as_str() {
                assert!(files.insert(path.to_owned()), "{key} adds {path} again");
            }
        }
        (key, files.clone())
    })
}

/// Every version of the table must have what was current after some line of the ledger, the last one after the last line.
pub(crate) fn judge_table(objects: &Objects) -> Result<(), String> {
    let mut current: BTreeMap<String, String> = BTreeMap::new();
    let mut after = vec![BTreeSet::new()];
    for number in 1.. {
        let Some(line) = objects.get(&format!("{VAULT}ledger/{number}.json")) else {
            break;
        };
        let says: Value = serde_json::from_slice(line).unwrap();
        let hour = says["hour"].as_str().unwrap();
        let folder = format!("{VAULT}{}/{hour}", &hour[..10]);
        let commit = commit_of(objects, &folder, says["revision"].as_u64().unwrap()).unwrap();
        let mut files = files_of(&folder, &commit).into_iter().map(|(key, _)| key);
        match files.find(|key| key.ends_with("_posts.parquet")) {
            Some(key) => current.insert(folder, key[VAULT.len()..].to_owned()),
            None => current.remove(&folder),
        };
        after.push(current.values().cloned().collect::<BTreeSet<String>>());
    }
    let mut line = 0;
    for (key, files) in versions(objects) {
        let found = after[line..].iter().position(|of_line| *of_line == files);
        let found = found.ok_or_else(|| format!("{key} is not what was current after any line"))?;
        line += found;
    }
    if after[line] == after[after.len() - 1] {
        Ok(())
    } else {
        Err(format!(
            "the table ends with line {line} of {}",
            after.len() - 1
        ))
    }
}

/// The current revision of each hour, by its name: its manifest, and its files.
pub(crate) type Current = BTreeMap<String, (Value, BTreeMap<String, Vec<u8>>)>;

/// What a vault must be, whoever looks at it from outside. Gives what is current, and how many files of others are left.
pub(crate) fn judge(objects: &Objects) -> Result<(Current, usize), String> {
    let own = objects.iter().filter(|(key, _)| key.starts_with(VAULT));
    let own: BTreeMap<&str, &Vec<u8>> = own.map(|(key, bytes)| (key.as_str(), bytes)).collect();
    let ledger = format!("{VAULT}ledger/");
    let lines = own.keys().filter(|key| key.starts_with(&ledger)).count();
    let mut previous = Sha256::ZEROS;
    let mut known: BTreeMap<String, u64> = BTreeMap::new();
    for number in 1..=lines {
        let line = own
            .get(&*format!("{ledger}{number}.json"))
            .ok_or_else(|| format!("line {number} of {lines} is missing"))?;
        let says: Value = serde_json::from_slice(line).unwrap();
        if says["previous"] != previous.to_string() {
            return Err(format!("the chain breaks at line {number}"));
        }
        previous = digest(line.strip_suffix(b"\n").unwrap()).sha256;
        let hour = says["hour"].as_str().unwrap();
        let revision = says["revision"].as_u64().unwrap();
        let folder = format!("{VAULT}{}/{hour}", &hour[..10]);
        let before = known.insert(folder.clone(), revision).unwrap_or(0);
        if revision != before + 1 {
            return Err(format!(
                "line {number}: {hour} goes from {before} to {revision}"
            ));
        }
        let commit = own.get(&*format!("{folder}/r{revision}.json"));
        let commit = commit.ok_or_else(|| format!("{hour} has no revision {revision}"))?;
        // the manifest's own bytes are what the line is about
        let text = std::str::from_utf8(commit).unwrap();
        let at = text.find("\"manifest\":").unwrap() + "\"manifest\":".len();
        let manifest = format!("{}\n", &text[at..text.len() - 2]);
        if says["manifest_sha256"] != digest(manifest.as_bytes()).sha256.to_string() {
            return Err(format!("line {number} is of another manifest of {hour}"));
        }
    }
    let committed = latest(objects);
    if committed != known {
        return Err(format!(
            "committed is {committed:?}, the ledger has {known:?}"
        ));
    }
    let mut current = Current::new();
    let mut files = BTreeSet::new();
    for (folder, last) in &committed {
        let commit = commit_of(objects, folder, *last).unwrap();
        let mut data = BTreeMap::new();
        for (key, sha256) in files_of(folder, &commit) {
            let bytes = objects.get(&key);
            let bytes = bytes.ok_or_else(|| format!("{key} of a current revision is missing"))?;
            if digest(bytes).sha256.to_string() != sha256 {
                return Err(format!("{key} is not what its manifest says"));
            }
            let name = key.rsplit('/').next().unwrap().to_owned();
            data.insert(name, bytes.clone());
            files.insert(key);
        }
        let hour = folder.rsplit('/').next().unwrap().to_owned();
        current.insert(hour, (commit["manifest"].clone(), data));
    }
    let is_data = |key: &&&str| of_hour(key).is_some_and(|of| of.attempt.is_some());
    let left = own.keys().filter(is_data);
    let left = left.filter(|key| !files.contains(**key)).count();
    Ok((current, left))
}

/// The ids of all posts that are current; an error if one is there twice.
pub(crate) fn ids(current: &Current) -> Result<BTreeSet<String>, String> {
    let mut ids = BTreeSet::new();
    for (_, data) in current.values() {
        let lists = data
            .iter()
            .filter(|(name, _)| name.ends_with("_IDs.txt.xz"));
        for (name, bytes) in lists {
            for id in unxz(bytes).lines() {
                if !ids.insert(id.to_owned()) {
                    return Err(format!("{id} is in {name}, and it is elsewhere, too"));
                }
            }
        }
    }
    Ok(ids)
}
