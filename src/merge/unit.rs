//! A unit of work: a minute of post time, or a part of one, or all old ids of an hour. Its lines
//! from all segments → rows in ascending order of ids.

use std::{collections::BTreeMap, path::PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};

use super::{
    deal::Text,
    dedupe::{Copy, NO_STAMP, Tally, dedupe},
    former::{self, Facts},
    index::{Run, RunKey},
    named::Named,
    users::{self, Rank},
};
use crate::{
    cover::backfill::Connection,
    period::{Interval, Minute, UtcMs},
    segment::line,
    source::{AuthorName, Placed, Records, Source},
    vault::{
        csv,
        deleted::Deleted,
        posts::rows::{Rows, Seen},
    },
};

/// Lines of about this many bytes make a unit; a minute with more is divided.
pub const UNIT_BYTES: u64 = 2 << 20;

/// A segment of the hour, for whoever reads its lines.
#[derive(Debug)]
pub struct Segment {
    /// Where it lies in its plain form; it may lie compressed beside that.
    pub path: PathBuf,
    /// Its server's number in the ascending order of ids.
    pub server: usize,
    /// How far the stamps of its run lie after the posts' clock.
    pub lag_ms: i64,
    /// Whether it has rows of the former revision, whose stamps say more.
    pub is_former: bool,
    /// Its runs that belong to the hour.
    pub runs: Vec<Run>,
}

/// What a unit is made of.
#[derive(Debug, PartialEq, Eq)]
pub struct Unit {
    /// Only posts of this time belong to it.
    pub time: Interval,
    /// The runs that have lines of it and of no unit before: the numbers of the source and of the
    /// run in it.
    pub runs: Vec<(usize, usize)>,
    /// About how many bytes of lines it has.
    pub bytes: u64,
}

/// What came of a unit.
#[derive(Debug)]
pub struct Merged {
    /// The first and the last record; `None` without one.
    pub range: Option<(Placed, Placed)>,
    /// Its part of `IDs.txt`.
    pub ids: Vec<u8>,
    /// Its part of the table of records.
    pub table: Vec<u8>,
    /// Its part of `deletions.txt`.
    pub deletions: Vec<u8>,
    /// Its part of `held.txt`.
    pub held: Vec<u8>,
    /// Its part of `posts.parquet`, if that is wanted.
    pub posts: Result<Vec<RecordBatch>, ArrowError>,
    /// What its records have to do with what accounts are called, in their order.
    pub named: Vec<Named>,
    /// Its authors.
    pub users: users::Rows,
    /// What it says about the servers.
    pub tally: Tally,
}

/// What is made of the units of an hour.
#[derive(Debug, Clone, Copy)]
pub struct Made<'a> {
    /// What lines are.
    pub source: &'a dyn Source,
    /// The names of the hour's legs, ascending.
    pub names: &'a [String],
    /// The part of the stream that each of them is of.
    pub part_of: &'a [usize],
    /// The connections of each of them.
    pub connections: &'a [Vec<Connection>],
    /// The columns of `posts.parquet`, if that is wanted.
    pub columns: Option<&'a SchemaRef>,
    /// What was deleted.
    pub deleted: &'a Deleted<'a>,
}

impl Made<'_> {
    /// How often a post is received if nothing is missed.
    fn copies(&self) -> usize {
        let parts = self.part_of.iter().max().map_or(1, |last| last + 1);
        self.part_of.len() / parts
    }
}

/// Divides the posts of an hour into units, in ascending order of ids and of time.
pub fn units(segments: &[Segment], unit_bytes: u64) -> Vec<Unit> {
    let mut old = Vec::new();
    let mut minutes: BTreeMap<Minute, Vec<(usize, usize)>> = BTreeMap::new();
    for (number, segment) in segments.iter().enumerate() {
        for (of_segment, run) in segment.runs.iter().enumerate() {
            let place = (number, of_segment);
            match run.key {
                RunKey::Old(_) => old.push(place),
                RunKey::Minute(minute) => minutes.entry(minute).or_default().push(place),
                RunKey::Rejected => (),
            }
        }
    }
    let mut units = Vec::new();
    if !old.is_empty() {
        units.push(Unit {
            time: Interval {
                begin: UtcMs(i64::MIN),
                end: UtcMs(i64::MAX),
            },
            bytes: bytes(segments, &old),
            runs: old,
        });
    }
    for (minute, runs) in minutes {
        divide(minute, segments, runs, unit_bytes, &mut units);
    }
    units
}

fn run((segment, run): (usize, usize), segments: &[Segment]) -> Option<&Run> {
    segments.get(segment)?.runs.get(run)
}

fn bytes(segments: &[Segment], runs: &[(usize, usize)]) -> u64 {
    let runs = runs.iter().filter_map(|place| run(*place, segments));
    runs.map(|run| run.bytes).sum()
}

/// No unit is shorter than that, and so a minute has no more parts than …
const PART_MS_MIN: u64 = 100;

/// … these.
const PARTS_MAX: u64 = 60_000 / PART_MS_MIN;

/// Divides a minute so that the units are about equally long.
fn divide(
    minute: Minute,
    segments: &[Segment],
    mut runs: Vec<(usize, usize)>,
    unit_bytes: u64,
    units: &mut Vec<Unit>,
) {
    let bytes = bytes(segments, &runs);
    let parts = bytes.div_ceil(unit_bytes.max(1)).clamp(1, PARTS_MAX);
    for part in 0..parts {
        let ms = |part: u64| {
            let ms = part * PARTS_MAX * PART_MS_MIN / parts;
            minute.begin().plus_ms(i64::try_from(ms).unwrap_or(0))
        };
        let time = Interval {
            begin: ms(part),
            end: ms(part + 1),
        };
        let begins = |place: &mut (usize, usize)| {
            run(*place, segments).is_some_and(|run| run.begin(minute) < time.end)
        };
        units.push(Unit {
            time,
            runs: runs.extract_if(.., begins).collect(),
            bytes: bytes / parts,
        });
    }
}

/// Parses, dedupes, sorts and flattens the lines of a unit.
pub fn merge(segments: &[Segment], made: &Made<'_>, unit: &Unit, text: &Text) -> Merged {
    let mut lines = Vec::new();
    for (of, stored) in text.lines() {
        lines.extend(segments.get(of).map(|segment| Line::new(segment, stored)));
    }
    let received = lines.iter().map(|line: &Line<'_>| line.stored.len());
    let kept = received.sum::<usize>() / made.copies().max(1);
    // servers lack some of what the others have
    let for_bytes = kept + kept / 8;
    let mut records = made.source.records(made.columns.is_some());
    let mut copies = read(lines, &mut *records);
    copies.retain(|copy| unit.time.contains(records.placed(copy.record).at));
    let rows = made.columns.map(|schema| Rows::of_bytes(schema, for_bytes));
    flatten_all(copies, &mut *records, rows, kept, made)
}

/// A line before it is read.
struct Line<'a> {
    /// CRC-32 of what was received: brings copies together, proves nothing.
    crc32: u32,
    server: usize,
    lag_ms: i64,
    stored: &'a [u8],
    cut: line::Stored<'a>,
    /// What is known of the copies that a row of the former revision stands for.
    former: Option<Facts>,
}

impl<'a> Line<'a> {
    fn new(segment: &Segment, stored: &'a [u8]) -> Self {
        let former = segment.is_former.then(|| former::facts(stored)).flatten();
        let cut = line::cut(stored);
        let mut crc = crc32fast::Hasher::new();
        crc.update(cut.before);
        crc.update(cut.after);
        Self {
            crc32: crc.finalize(),
            server: former.as_ref().map_or(segment.server, |facts| facts.server),
            lag_ms: segment.lag_ms,
            stored,
            cut,
            former,
        }
    }

    /// A line without a stamp counts as having come last.
    fn retrieved_at(&self) -> UtcMs {
        if self.has_no_stamp() {
            return NO_STAMP;
        }
        self.cut.retrieved_at.unwrap_or(NO_STAMP)
    }

    /// Whether it is a row whose line had no stamp: the one that it has is made up.
    fn has_no_stamp(&self) -> bool {
        self.former.as_ref().is_some_and(|facts| !facts.stamped)
    }

    fn is_same_as(&self, other: &Self) -> bool {
        (self.cut.before, self.cut.after) == (other.cut.before, other.cut.after)
    }
}

/// Lines as copies of records. Of lines that were received with the same bytes only the one that
/// came first, which is the only one that may be kept, is read. A line that is no record is left out:
/// the index has counted it as one, so the books will not balance.
fn read<'l>(mut lines: Vec<Line<'l>>, records: &mut dyn Records<'l>) -> Vec<Copy<'l>> {
    lines.sort_unstable_by_key(|line| (line.crc32, line.retrieved_at(), line.server));
    let mut copies = Vec::with_capacity(lines.len());
    for same in lines.chunk_by(Line::is_same_as) {
        let Some(first) = same.first() else { continue };
        let retrieved_at = Some(first.retrieved_at()).filter(|at| *at != NO_STAMP);
        let Ok(record) = records.read(first.stored, retrieved_at) else {
            continue;
        };
        copies.extend(same.iter().map(|line| Copy {
            retrieved_at: line.retrieved_at(),
            lag_ms: line.lag_ms,
            server: line.server,
            received: (line.cut.before, line.cut.after),
            record,
            former: line.former.clone(),
        }));
    }
    copies
}

fn flatten_all<'l>(
    copies: Vec<Copy<'l>>,
    records: &mut dyn Records<'l>,
    mut rows: Option<Rows>,
    bytes: usize,
    made: &Made<'_>,
) -> Merged {
    let mut merged = Merged {
        range: None,
        ids: Vec::new(),
        // the columns of CSV say less than half of what a line does, unless it has few fields
        table: Vec::with_capacity(bytes / 2),
        deletions: Vec::new(),
        held: Vec::new(),
        posts: Ok(Vec::new()),
        named: Vec::new(),
        users: users::Rows::new(made.source.join()),
        tally: Tally::default(),
    };
    merged.tally = dedupe(copies, made, records, |records, copy, group, is_held| {
        merged.take(records, copy.record, is_held);
        if let Some(made_rows) = &mut rows
            && let Err(why) = push_row(made_rows, records, copy, group, made)
        {
            merged.posts = Err(why);
            rows = None;
        }
    });
    if let Some(rows) = rows {
        merged.posts = rows.finish(records);
    }
    merged
}

/// Takes a record into the rows of `posts.parquet`.
fn push_row(
    rows: &mut Rows,
    records: &mut dyn Records<'_>,
    copy: &Copy<'_>,
    group: &[Copy<'_>],
    made: &Made<'_>,
) -> Result<(), ArrowError> {
    let name = |number: usize| made.names.get(number).map_or("", String::as_str);
    let mut seen_by: Vec<usize> = group.iter().flat_map(Copy::seen_by).copied().collect();
    seen_by.sort_unstable();
    seen_by.dedup();
    let seen_by: Vec<&str> = seen_by.into_iter().map(name).collect();
    // a line without a stamp counts as having come last
    let at = |at: UtcMs| Some(at).filter(|at| *at != NO_STAMP);
    let seen = Seen {
        server: name(copy.server),
        retrieved_at: at(copy.retrieved_at),
        seen_by: &seen_by,
        first_seen_at: group
            .iter()
            .map(|copy| copy.retrieved_at)
            .min()
            .and_then(at),
        copies: group.iter().map(Copy::weight).sum(),
        backfilled: copy.former.as_ref().map_or_else(
            || {
                let connections = made.connections.get(copy.server);
                let connections = connections.map_or(&[][..], Vec::as_slice);
                let place = copy.backfilled_by(connections, records.placed(copy.record).at);
                place.is_some()
            },
            |facts| facts.backfilled,
        ),
    };
    rows.push(records, copy.record, copy.received, &seen)
}

impl Merged {
    /// Takes the copy that counts into the lists and tables.
    fn take(&mut self, records: &dyn Records<'_>, record: usize, is_held: bool) {
        let list = if is_held {
            &mut self.held
        } else {
            &mut self.ids
        };
        records.put_id(record, list);
        records.put_deletion(record, &mut self.deletions);
        let begin = self.table.len();
        let row = records.row(record);
        if let Some(row) = &row {
            csv::push_row(&mut self.table, row);
        }
        let placed = records.placed(record);
        let first = self.range.take().map_or_else(|| placed.clone(), |r| r.0);
        self.range = Some((first, placed.clone()));
        let Some((author, has_author)) = records.author(record) else {
            return;
        };
        match (records.author_name(record), &row) {
            (Some(AuthorName::Told(name)), _) => {
                self.named
                    .push(Named::Told(author.clone(), name.to_owned()));
            }
            (Some(AuthorName::Wanted(cell)), Some(row)) => {
                let mut before = Vec::new();
                // a comma follows in the place of the line end
                csv::push_row(&mut before, row.iter().take(cell));
                let at = begin + before.len();
                self.named.push(Named::Wanted(author.clone(), at));
            }
            _ => (),
        }
        let rank = Rank {
            has_author,
            at: placed.order().0,
            key: placed.key.clone(),
        };
        let write = |to: &mut Vec<u8>| csv::push_row(to, records.author_row(record));
        self.users.put(author, rank, write);
    }
}
