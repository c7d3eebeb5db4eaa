//! What the data files of an hour say, worked out row by row.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io,
    path::Path,
};

use sha2::Digest as _;

use super::problem::Problems;
use crate::{
    period::{Interval, Minute, UtcMs},
    segment::{
        name::{Leg, SegmentName},
        sha256::Sha256,
    },
    source::{List, Listed, Source, Table, key::Key},
    vault::{
        conflicts::{self, Example},
        csv,
        layout::FileKind,
        manifest::{ByWord, Output},
        xz,
    },
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
    /// The hash of the keys in each list, as each file that was read tells it.
    pub ids: BTreeMap<List, BTreeMap<FileKind, Sha256>>,
    /// SHA-256 of what `IDs.txt` holds.
    pub ids_content: Option<Sha256>,
    /// Rejected lines by leg and reason.
    pub rejected: BTreeMap<Leg, ByWord>,
    /// Ids without a time in them: only the table of records has theirs.
    pub old_ids: u64,
    /// Authors of the posts.
    authors: HashSet<Key>,
    /// What is held back.
    pub held: Held,
    /// Whether the table of records was read.
    pub has_table: bool,
}

/// What is held back, which no other list has.
#[derive(Debug, Default)]
pub struct Held {
    keys: HashSet<Key>,
    /// As the rows of the table tell them.
    by_row: HashSet<Key>,
}

/// The hash of the keys in each list.
#[derive(Debug, Default)]
pub(super) struct Hashes(BTreeMap<List, sha2::Sha256>);

impl Hashes {
    /// Adds a record to the lists that it belongs to; a record that is held back is in `held.txt` and not in
    /// `IDs.txt`.
    pub(super) fn take(&mut self, source: &dyn Source, key: &Key, held: &Held) {
        let is_held = held.keys.contains(key);
        for list in List::ALL {
            let hash = self.0.entry(list).or_default();
            let stands = match list {
                List::Held => is_held,
                List::Ids | List::Table | List::Deletions => {
                    !is_held && source.stands_in(key, list)
                }
            };
            if !stands {
                continue;
            }
            if list == List::Table {
                source.key_by_row(key).hash_into(hash);
            } else {
                key.hash_into(hash);
            }
        }
    }

    /// Takes a row of the table in.
    fn row(&mut self, key: &Key) {
        key.hash_into(self.0.entry(List::Table).or_default());
    }
}

impl Rows {
    /// The part of a file on some lists, all of which it has.
    pub(super) fn told_by(&mut self, kind: FileKind, mut hashes: Hashes, lists: &[List]) {
        for list in lists {
            let hash = hashes.0.remove(list).unwrap_or_default();
            let of_list = self.ids.entry(*list).or_default();
            of_list.insert(kind, <[u8; 32]>::from(hash.finalize()).into());
        }
    }

    /// Whether the file of ids was read.
    pub(super) fn has_ids(&self) -> bool {
        let ids = self.ids.get(&List::Ids);
        ids.is_some_and(|told| told.contains_key(&FileKind::Ids))
    }
}

/// One data file that is being read.
struct Reading<'a> {
    source: &'a dyn Source,
    kind: FileKind,
    path: &'a Path,
    intervals: &'a [Interval],
    problems: &'a mut Problems,
    rows: &'a mut Rows,
    line: u64,
    faults: u64,
    last: Option<Listed>,
    last_author: Option<Key>,
    hashes: Hashes,
    users: u64,
    /// Of these, authors of posts.
    with_posts: u64,
    /// The one before.
    example: Option<Example>,
}

/// Reads a data file through: what it is, and what is wrong in it.
pub fn read(
    (disk, source): (&dyn Disk, &dyn Source),
    path: &Path,
    kind: FileKind,
    intervals: &[Interval],
    rows: &mut Rows,
    problems: &mut Problems,
) -> io::Result<Output> {
    let mut reading = Reading {
        source,
        kind,
        path,
        intervals,
        problems,
        rows,
        line: 0,
        faults: 0,
        last: None,
        last_author: None,
        hashes: Hashes::default(),
        users: 0,
        with_posts: 0,
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
            FileKind::Ids => self.id(line),
            FileKind::Tweets | FileKind::PostsTable if self.line == 1 => {
                self.header(line, self.source.table());
            }
            FileKind::Users if self.line == 1 => self.header(line, self.source.authors()),
            FileKind::Tweets | FileKind::PostsTable => self.row(line),
            FileKind::Users => self.author(line),
            FileKind::Deletions => self.deletion(line),
            FileKind::Held => self.held(line),
            FileKind::Rejected => self.rejected(line),
            FileKind::Conflicts => self.example(line),
            // it has no lines: `posts::check` reads it
            FileKind::Posts => (),
        }
    }

    fn header(&mut self, line: &[u8], table: &Table) {
        if table.header().as_bytes().strip_suffix(b"\n") != Some(line) {
            self.fault(|| "it is not the header of such a file".to_owned());
        }
    }

    fn id(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let Some(listed) = self.source.listed(&text) else {
            return self.fault(|| format!("{text:?} is not an id"));
        };
        match listed.at {
            Some(at) => {
                self.falls_in(at, &listed.key);
                if let Some(residue) = self.source.residue(&listed.key) {
                    *self.rows.residues.entry(residue).or_default() += 1;
                }
            }
            None => self.rows.old_ids += 1,
        }
        self.hashes.take(self.source, &listed.key, &self.rows.held);
        self.ascends(listed);
    }

    fn held(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let Some(listed) = self.source.listed(&text) else {
            return self.fault(|| format!("{text:?} is not an id"));
        };
        if let Some(at) = listed.at {
            self.must_fall_in(at, &listed.key);
        }
        let held = &mut self.rows.held;
        held.by_row.insert(self.source.key_by_row(&listed.key));
        held.keys.insert(listed.key.clone());
        self.hashes.take(self.source, &listed.key, held);
        self.ascends(listed);
    }

    fn deletion(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let Some(listed) = self.source.deleted(&text) else {
            return self.fault(|| format!("{text:?} is not a deletion"));
        };
        if let Some(at) = listed.at {
            self.must_fall_in(at, &listed.key);
        }
        self.hashes.take(self.source, &listed.key, &self.rows.held);
        self.ascends(listed);
    }

    /// The record must come after the one before.
    fn ascends(&mut self, listed: Listed) {
        let is_after = |last: &Listed| {
            // what tells less than all of a key may be there twice
            last.order() < listed.order() || !listed.is_whole && last.order() == listed.order()
        };
        if !self.last.as_ref().is_none_or(is_after) {
            self.fault(|| format!("id {} does not ascend", listed.key));
        }
        self.last = Some(listed);
    }

    fn must_fall_in(&mut self, at: UtcMs, key: &Key) {
        if !self.intervals.iter().any(|interval| interval.contains(at)) {
            self.fault(|| format!("id {key} is of {at}, which is not in this hour"));
        }
    }

    fn falls_in(&mut self, at: UtcMs, key: &Key) {
        self.must_fall_in(at, key);
        *self.rows.minutes.entry(at.minute()).or_default() += 1;
        self.rows.seconds.insert(at.second());
    }

    fn row(&mut self, line: &[u8]) {
        let columns = self.source.table().columns.len();
        let fields = csv::fields(line).unwrap_or_default();
        if fields.len() != columns {
            return self.fault(|| format!("it is not a row of {columns} columns"));
        }
        let Some((listed, author)) = self.source.row(&fields) else {
            let first = fields.first().cloned().unwrap_or_default();
            return self.fault(|| format!("{first:?} is not an id"));
        };
        if listed.is_timed {
            if let Some(at) = listed.at {
                self.must_fall_in(at, &listed.key);
            }
        } else {
            match listed.at {
                Some(at) => self.falls_in(at, &listed.key),
                None => self.fault(|| format!("the old id {} has no time", listed.key)),
            }
        }
        if let Some(author) = author
            && !self.rows.authors.contains(&author)
        {
            self.rows.authors.insert(author);
        }
        if !self.rows.held.by_row.contains(&listed.key) {
            self.hashes.row(&listed.key);
        }
        self.ascends(listed);
    }

    fn author(&mut self, line: &[u8]) {
        let columns = self.source.authors().columns.len();
        let fields = csv::fields(line).unwrap_or_default();
        if fields.len() != columns {
            return self.fault(|| format!("it is not a row of {columns} columns"));
        }
        let Some(author) = self.source.author_of_row(&fields) else {
            return self.fault(|| "it names no author".to_owned());
        };
        if self
            .last_author
            .as_ref()
            .is_some_and(|last| author <= *last)
        {
            self.fault(|| format!("author {author} does not ascend"));
        }
        self.users += 1;
        let has_posts = self.rows.authors.contains(&author);
        self.with_posts += u64::from(has_posts);
        if self.rows.has_table && self.source.has_rows_of_all() && !has_posts {
            self.fault(|| format!("author {author} has no post in this hour"));
        }
        self.last_author = Some(author);
    }

    fn rejected(&mut self, line: &[u8]) {
        let read = serde_json::from_slice::<serde_json::Value>(line).unwrap_or_default();
        let text = |member: &str| read[member].as_str();
        let segment = text("segment").and_then(|name| name.parse::<SegmentName>().ok());
        let (Some(segment), Some(reason)) = (segment, text("reason")) else {
            return self.fault(|| "it is not a rejected line".to_owned());
        };
        if text("server") != Some(segment.server.as_str()) {
            return self.fault(|| format!("its server is not that of {segment}"));
        }
        let of_leg = self.rows.rejected.entry(segment.leg()).or_default();
        *of_leg.entry(reason.to_owned()).or_default() += 1;
    }

    fn example(&mut self, line: &[u8]) {
        match conflicts::fault(self.source, line, self.example.as_ref()) {
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
        match self.kind {
            FileKind::Ids => {
                let lists = [List::Ids, List::Table];
                self.rows.told_by(self.kind, self.hashes, &lists);
            }
            FileKind::Tweets | FileKind::PostsTable => {
                self.rows.told_by(self.kind, self.hashes, &[List::Table]);
                self.rows.has_table = true;
            }
            FileKind::Deletions => {
                self.rows
                    .told_by(self.kind, self.hashes, &[List::Deletions]);
            }
            FileKind::Held => {
                self.rows.told_by(self.kind, self.hashes, &[List::Held]);
            }
            FileKind::Users => {
                let authors = self.rows.authors.len() as u64;
                // others than authors of posts may have a row, where others have records
                let found = if self.source.has_rows_of_all() {
                    self.users
                } else {
                    self.with_posts
                };
                if self.rows.has_table {
                    let what = "authors of the hour's posts";
                    self.problems.same(self.path, what, authors, found);
                }
            }
            FileKind::Posts | FileKind::Rejected | FileKind::Conflicts => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::{
        period::{Hour, Zone},
        source::{BLUESKY, SAMPLE, Stream},
        world::disk::RealDisk,
    };

    const HOUR: &str = "2026-11-23_14";
    const GOLDEN: &str = "tests/golden/v1/vault/2026-11-23";

    /// What a file of the example vault holds, line by line.
    fn lines(kind: FileKind) -> Vec<String> {
        let path = Path::new(GOLDEN).join(kind.name(HOUR.parse().unwrap()));
        let mut lines = Vec::new();
        let mut all = xz::Lines::new(|line: &[u8]| {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
            Ok(())
        });
        xz::read_through(&RealDisk, &path, 0, |piece| all.take(piece)).unwrap();
        lines
    }

    /// What is said of files with these texts, read one after the other.
    fn told(of: Stream, files: &[(FileKind, String)]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let hour: Hour = HOUR.parse().unwrap();
        let intervals = Zone::named("UTC").unwrap().intervals(hour);
        let (mut rows, mut problems) = (Rows::default(), Problems::default());
        for (kind, text) in files {
            let path = dir.path().join(kind.name(hour));
            let file = std::fs::File::create(&path).unwrap();
            let mut to = liblzma::write::XzEncoder::new(file, 0);
            to.write_all(text.as_bytes()).unwrap();
            to.finish().unwrap();
            let from = (&RealDisk as &dyn Disk, of.source);
            read(from, &path, *kind, &intervals, &mut rows, &mut problems).unwrap();
        }
        problems.0.into_iter().map(|one| one.what).collect()
    }

    fn text(lines: &[String]) -> String {
        lines.join("\n") + "\n"
    }

    /// A change of a file's lines.
    type Change<'c> = &'c dyn Fn(&mut Vec<String>);

    /// Of each file, one change after another, and what is said of it.
    #[test]
    #[expect(clippy::too_many_lines, reason = "one change after another")]
    fn each_wrong_line_is_told() {
        use FileKind::{Deletions, Held, Ids, Rejected, Tweets, Users};
        let all: Vec<(FileKind, String)> = [Ids, Tweets, Users]
            .map(|kind| (kind, text(&lines(kind))))
            .to_vec();
        assert_eq!(told(SAMPLE, &all), [""; 0]);
        let first = lines(Ids)[0].clone();
        // an hour later
        let other = (first.parse::<u64>().unwrap() + (3_600_000 << 22)).to_string();
        let cell = |line: &str, number: usize, to: &str| {
            let mut cells: Vec<&str> = line.split(',').collect();
            cells[number] = to;
            cells.join(",")
        };
        let cases: &[(FileKind, Change<'_>, &[&str])] = &[
            (
                Ids,
                &|l| l[1] = "007".to_owned(),
                &["line 2: \"007\" is not an id"],
            ),
            (
                Ids,
                &|l| l.swap(0, 1),
                &[&format!("line 2: id {first} does not ascend")],
            ),
            (
                Ids,
                &|l| l[1] = first.clone(),
                &[&format!("line 2: id {first} does not ascend")],
            ),
            (
                Ids,
                &|l| *l.last_mut().unwrap() = other.clone(),
                &[&format!(
                    "line 10: id {other} is of 2026-11-23T15:00:06.055Z, which is not in this hour"
                )],
            ),
            (
                Ids,
                &|l| l[..5].fill("x".to_owned()),
                &[
                    "line 1: \"x\" is not an id",
                    "line 2: \"x\" is not an id",
                    "line 3: \"x\" is not an id",
                    "2 more lines are wrong",
                ],
            ),
            (
                Tweets,
                &|l| l[0] = cell(&l[0], 1, "conversation"),
                &["line 1: it is not the header of such a file"],
            ),
            (
                Tweets,
                &|l| l[2] += ",",
                &["line 3: it is not a row of 20 columns"],
            ),
            (
                Tweets,
                &|l| l[2] = cell(&l[2], 0, "x"),
                &["line 3: \"x\" is not an id"],
            ),
            (
                Tweets,
                &|l| l.swap(1, 2),
                &[&format!("line 3: id {first} does not ascend")],
            ),
            (
                Tweets,
                &|l| {
                    let row = cell(&l[1], 0, &other);
                    *l.last_mut().unwrap() = row;
                },
                &[&format!(
                    "line 11: id {other} is of 2026-11-23T15:00:06.055Z, which is not in this hour"
                )],
            ),
            (
                Tweets,
                &|l| l[1] = cell(&cell(&l[1], 0, "20"), 3, ""),
                &["line 2: the old id 20 has no time"],
            ),
            (
                Tweets,
                &|l| l[1] = cell(&cell(&l[1], 0, "20"), 3, "2010-01-01T00:00:00.000Z"),
                &["line 2: id 20 is of 2010-01-01T00:00:00.000Z, which is not in this hour"],
            ),
            (
                Users,
                &|l| l[0] += ",more",
                &["line 1: it is not the header of such a file"],
            ),
            (
                Users,
                &|l| l[1] = cell(&l[1], 0, ""),
                &["line 2: it names no author"],
            ),
            (
                Users,
                &|l| l[1] = "8".to_owned(),
                &["line 2: it is not a row of 12 columns"],
            ),
            (
                Users,
                &|l| l.swap(1, 2),
                &["line 3: author 8 does not ascend"],
            ),
            (
                Users,
                &|l| l[1] = cell(&l[1], 0, "7"),
                &["line 2: author 7 has no post in this hour"],
            ),
            (
                Users,
                &|l| drop(l.remove(1)),
                &["authors of the hour's posts: it says 9, found 8"],
            ),
        ];
        for (kind, change, expected) in cases {
            let mut files = all.clone();
            let mut changed = lines(*kind);
            change(&mut changed);
            let of = files.iter_mut().find(|(of, _)| of == kind).unwrap();
            of.1 = text(&changed);
            let found = told(SAMPLE, &files);
            // what a row has lost may be missed in the next file, too
            assert!(
                found.starts_with(
                    &expected
                        .iter()
                        .map(|what| (*what).to_owned())
                        .collect::<Vec<_>>()
                ),
                "{expected:?}: {found:?}"
            );
        }
        let torn = text(&lines(Ids)).trim_end().to_owned();
        assert_eq!(told(SAMPLE, &[(Ids, torn)]), ["line 10: it has no end"]);

        let rejected = |server: &str, reason: &str| {
            let segment = "1_sample_20261123T1400Z_3fa9c01b_000";
            format!("{{\"reason\":{reason},\"server\":\"{server}\",\"segment\":\"{segment}\"}}\n")
        };
        let of_rejected = |text: String| told(SAMPLE, &[(Rejected, text)]);
        assert_eq!(of_rejected(rejected("1", "\"no_id\"")), [""; 0]);
        assert_eq!(
            of_rejected(rejected("2", "\"no_id\"")),
            ["line 1: its server is not that of 1_sample_20261123T1400Z_3fa9c01b_000"]
        );
        for wrong in [rejected("1", "null"), "{}\n".to_owned(), "[\n".to_owned()] {
            assert_eq!(of_rejected(wrong), ["line 1: it is not a rejected line"]);
        }

        let uri = |collection: &str| {
            format!("at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/{collection}/3kfh2v2kr722u")
        };
        let post = format!("{}\t3kfh2v2kr722u", uri("app.bsky.feed.post"));
        for (kind, what) in [(Held, "an id"), (Deletions, "a deletion")] {
            let of_lines = |lines: &[&str]| {
                let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
                told(BLUESKY, &[(kind, text(&lines))])
            };
            assert_eq!(of_lines(&["x"]), [format!("line 1: \"x\" is not {what}")]);
            let found = of_lines(&[&post, &post]);
            let [early, _, ascends] = &found[..] else {
                panic!("{kind:?}: {found:?}")
            };
            assert!(early.contains("which is not in this hour"), "{found:?}");
            assert!(ascends.ends_with("does not ascend"), "{found:?}");
        }
    }
}
