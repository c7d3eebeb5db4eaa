//! What the data files of an hour say, worked out row by row.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io,
    path::Path,
};

use sha2::{Digest as _, Sha256};

use super::{
    conflicts::{self, Example},
    csv,
    layout::Kind,
    manifest::{ByWord, Output},
    schema,
    verify::Problems,
    xz,
};
use crate::{
    period::{Interval, Minute, UtcMs},
    post::id,
    world::disk::Disk,
};

/// Of one kind of fault so many are told one by one.
pub(super) const TOLD_MAX: u64 = 3;

/// What the rows of an hour come to.
#[derive(Debug, Default)]
pub struct Rows {
    /// Posts of each minute.
    pub minutes: BTreeMap<Minute, u64>,
    /// Seconds in which a post falls.
    pub seconds: BTreeSet<i64>,
    /// Ids of each residue of the millisecond.
    pub residues: BTreeMap<u64, u64>,
    /// Hash of the ids in `IDs.txt`, in `tweets.csv`, and in `posts.parquet`.
    pub ids: [Option<[u8; 32]>; 3],
    /// SHA-256 of what `IDs.txt` holds.
    pub ids_content: Option<String>,
    /// Rejected lines by server and reason.
    pub rejected: BTreeMap<String, ByWord>,
    /// Ids without a time in them: only `tweets.csv` has theirs.
    pub old_ids: u64,
    /// Authors of the posts.
    authors: HashSet<String>,
    /// Whether `tweets.csv` was read.
    has_authors: bool,
}

/// One data file that is being read.
struct Reading<'a> {
    kind: Kind,
    path: &'a Path,
    intervals: &'a [Interval],
    problems: &'a mut Problems,
    rows: &'a mut Rows,
    line: u64,
    faults: u64,
    last: Option<(bool, u64, String)>,
    ids: Sha256,
    users: u64,
    /// The one before.
    example: Option<Example>,
}

/// Reads a data file through: what it is, and what is wrong in it.
pub fn read(
    disk: &dyn Disk,
    path: &Path,
    kind: Kind,
    intervals: &[Interval],
    rows: &mut Rows,
    problems: &mut Problems,
) -> io::Result<Output> {
    let mut reading = Reading {
        kind,
        path,
        intervals,
        problems,
        rows,
        line: 0,
        faults: 0,
        last: None,
        ids: Sha256::default(),
        users: 0,
        example: None,
    };
    let mut lines = xz::Lines::new(|line: &[u8]| {
        reading.take(line);
        Ok(())
    });
    let output = xz::read_through(disk, path, kind.header_lines(), |piece| lines.take(piece))?;
    let rest = lines.rest().len();
    reading.finish(rest);
    Ok(output)
}

impl Reading<'_> {
    fn fault(&mut self, what: impl FnOnce() -> String) {
        self.faults += 1;
        if self.faults <= TOLD_MAX {
            let what = format!("line {}: {}", self.line, what());
            self.problems.wrong(self.path, what);
        }
    }

    fn take(&mut self, line: &[u8]) {
        self.line += 1;
        match self.kind {
            Kind::Ids => self.id(line),
            Kind::Tweets if self.line == 1 => self.header(line, &schema::TWEETS),
            Kind::Users if self.line == 1 => self.header(line, &schema::USERS),
            Kind::Tweets => self.tweet(line),
            Kind::Users => self.user(line),
            Kind::Rejected => self.rejected(line),
            Kind::Conflicts => self.example(line),
            // it has no lines: `posts::check` reads it
            Kind::Posts => (),
        }
    }

    fn header(&mut self, line: &[u8], columns: &[&str]) {
        if schema::header(columns).as_bytes().strip_suffix(b"\n") != Some(line) {
            self.fault(|| "it is not the header of such a file".to_owned());
        }
    }

    fn id(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line).into_owned();
        let Some(post_id) = self.ascending_id(&text) else {
            return;
        };
        self.ids.update(post_id.to_le_bytes());
        match id::time(post_id) {
            Some(at) => {
                self.falls_in(at, &text);
                *self.rows.residues.entry(id::residue(post_id)).or_default() += 1;
            }
            None => self.rows.old_ids += 1,
        }
    }

    /// A post's id, which must be greater than the one before.
    fn ascending_id(&mut self, text: &str) -> Option<u64> {
        let post_id = id::parse(text).filter(|post_id| post_id.to_string() == text);
        let Some(post_id) = post_id else {
            self.fault(|| format!("{text:?} is no id"));
            return None;
        };
        if self.last.as_ref().is_some_and(|last| post_id <= last.1) {
            self.fault(|| format!("id {post_id} does not ascend"));
        }
        self.last = Some((false, post_id, String::new()));
        Some(post_id)
    }

    fn falls_in(&mut self, at: UtcMs, id: &str) {
        if !self.intervals.iter().any(|interval| interval.contains(at)) {
            self.fault(|| format!("id {id} is of {at}, which is not in this hour"));
        }
        *self.rows.minutes.entry(at.minute()).or_default() += 1;
        self.rows.seconds.insert(at.second());
    }

    fn tweet(&mut self, line: &[u8]) {
        let fields = csv::fields(line).unwrap_or_default();
        if fields.len() != schema::TWEETS.len() {
            return self.fault(|| format!("it is no row of {} columns", schema::TWEETS.len()));
        }
        let [post_id, _, author, created_at, ..] = fields.as_slice() else {
            return;
        };
        let Some(number) = self.ascending_id(post_id) else {
            return;
        };
        self.ids.update(number.to_le_bytes());
        if id::time(number).is_none() {
            match created_at.parse() {
                Ok(at) => self.falls_in(at, post_id),
                Err(_no_time) => self.fault(|| format!("the old id {post_id} has no time")),
            }
        }
        if !author.is_empty() && !self.rows.authors.contains(author) {
            self.rows.authors.insert(author.clone());
        }
    }

    fn user(&mut self, line: &[u8]) {
        let fields = csv::fields(line).unwrap_or_default();
        if fields.len() != schema::USERS.len() {
            return self.fault(|| format!("it is no row of {} columns", schema::USERS.len()));
        }
        let [author, ..] = fields.as_slice() else {
            return;
        };
        let key = match id::parse(author) {
            Some(number) if number.to_string() == *author => (false, number, String::new()),
            _ => (true, 0, author.clone()),
        };
        if self.last.as_ref().is_some_and(|last| key <= *last) {
            self.fault(|| format!("author {author} does not ascend"));
        }
        self.last = Some(key);
        self.users += 1;
        if self.rows.has_authors && !self.rows.authors.contains(author) {
            self.fault(|| format!("author {author} has no post in this hour"));
        }
    }

    fn rejected(&mut self, line: &[u8]) {
        let read = serde_json::from_slice::<serde_json::Value>(line).unwrap_or_default();
        let (server, reason) = (read["server"].as_str(), read["reason"].as_str());
        let (Some(server), Some(reason)) = (server, reason) else {
            return self.fault(|| "it is no rejected line".to_owned());
        };
        let of_server = self.rows.rejected.entry(server.to_owned()).or_default();
        *of_server.entry(reason.to_owned()).or_default() += 1;
    }

    fn example(&mut self, line: &[u8]) {
        match conflicts::fault(line, self.example.as_ref()) {
            Ok(example) => self.example = Some(example),
            Err(why) => self.fault(|| why),
        }
    }

    fn finish(mut self, rest: usize) {
        if 0 < rest {
            self.line += 1;
            self.fault(|| "it has no end".to_owned());
        }
        if TOLD_MAX < self.faults {
            let more = self.faults - TOLD_MAX;
            self.problems
                .wrong(self.path, format!("{more} more lines are wrong"));
        }
        let hash: [u8; 32] = self.ids.finalize().into();
        match self.kind {
            Kind::Ids => self.rows.ids[0] = Some(hash),
            Kind::Tweets => {
                self.rows.ids[1] = Some(hash);
                self.rows.has_authors = true;
            }
            Kind::Users => {
                let authors = self.rows.authors.len() as u64;
                if self.rows.has_authors {
                    self.problems.same(
                        self.path,
                        "authors of the hour's posts",
                        authors,
                        self.users,
                    );
                }
            }
            Kind::Posts | Kind::Rejected | Kind::Conflicts => (),
        }
    }
}
