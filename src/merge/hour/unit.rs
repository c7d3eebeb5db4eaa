//! A unit of work: a minute of post time, or a part of one, or all old ids of an hour. Turns its lines from all
//! segments into rows in ascending order of ids.

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;

use super::{
    dedupe::{Copy, NO_STAMP, Tally, dedupe},
    distribute::Text,
    former::{self, Facts},
    made::Made,
    named::Named,
    units::{Segment, Unit},
    users::{self, Rank},
};
use crate::{
    period::UtcMs,
    segment::line,
    source::{AuthorName, Placed, Records},
    vault::{
        csv,
        posts::rows::{Rows, Seen},
    },
};

/// The result of a unit.
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
    pub users: users::Sorted,
    /// What it says about the servers.
    pub tally: Tally,
}

/// Parses, dedupes, sorts and flattens the lines of a unit.
pub fn merge(segments: &[Segment], made: &Made<'_>, unit: &Unit, text: &Text) -> Merged {
    let mut lines = Vec::new();
    for (of, stored) in text.lines() {
        lines.extend(segments.get(of).map(|segment| Line::new(segment, stored)));
    }
    let copies = made.copies().max(1);
    // servers lack some of what the others have
    let with_more = |of: usize| of + of / 8;
    let received = lines.iter().map(|line: &Line<'_>| line.stored.len());
    let kept = received.sum::<usize>() / copies;
    let mut records = made.source.records(made.columns.is_some());
    records.make_room(with_more(lines.len() / copies));
    let mut copies = read(lines, &mut *records);
    copies.retain(|copy| unit.time.contains(records.placed(copy.record).at));
    let rows = made
        .columns
        .map(|schema| Rows::of_bytes(schema, with_more(kept)));
    flatten_all(copies, &mut *records, rows, kept, made)
}

/// So many bytes of a line are looked at to bring its copies together. The ids of a post are among them.
const MARKED_BYTES: usize = 256;

/// A line before it is read.
struct Line<'a> {
    /// CRC-32 of the begin of what was received, and how long that is: brings copies together, proves nothing.
    mark: (u32, usize),
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
        let begin = cut.before.get(..MARKED_BYTES).unwrap_or(cut.before);
        Self {
            mark: (crc32fast::hash(begin), cut.before.len() + cut.after.len()),
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
    lines.sort_by_cached_key(|line| (line.mark, line.retrieved_at(), line.server));
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
        users: users::Sorted::default(),
        tally: Tally::default(),
    };
    let mut users = users::Rows::new(made.source.join());
    merged.tally = dedupe(copies, made, records, |records, copy, group, is_held| {
        merged.take(records, copy.record, is_held, &mut users);
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
    merged.users = users.sorted();
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
    fn take(
        &mut self,
        records: &dyn Records<'_>,
        record: usize,
        is_held: bool,
        users: &mut users::Rows,
    ) {
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
                // a comma follows instead of the line end
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
        users.put(author, rank, write);
    }
}
