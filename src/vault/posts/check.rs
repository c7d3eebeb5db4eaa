//! The rows of `posts.parquet`, worked out again: ids that ascend, and columns that say what the
//! whole line of their row says.

use std::{io, path::Path};

use arrow_array::{
    Array as _, RecordBatch, StringArray,
    cast::AsArray as _,
    types::{Int64Type, TimestampMillisecondType},
};
use arrow_schema::SchemaRef;

use super::{
    super::{
        layout::Kind,
        manifest::Output,
        verify::Problems,
        verify_rows::{self, Hashes, TOLD_MAX},
    },
    ours::OURS,
    read::{self, Wanted},
    rows::{self, Seen},
    write::lines,
};
use crate::{
    period::{Interval, UtcMs},
    source::{List, Placed, Source, key::Key},
    world::disk::Disk,
};

/// After so many faults the rest is not read: it is not one of our files.
const FAULTS_MAX: u64 = 1_000;

/// A file that is being read.
struct Reading<'a> {
    source: &'a dyn Source,
    schema: SchemaRef,
    path: &'a Path,
    intervals: &'a [Interval],
    problems: &'a mut Problems,
    row: u64,
    faults: u64,
    last: Option<Placed>,
    hashes: Hashes,
}

/// Reads the file through: what it is, and what is wrong in it.
pub fn read(
    disk: &dyn Disk,
    path: &Path,
    source: &dyn Source,
    intervals: &[Interval],
    rows: &mut verify_rows::Rows,
    problems: &mut Problems,
) -> io::Result<Output> {
    let mut reading = Reading {
        source,
        schema: rows::schema(source),
        path,
        intervals,
        problems,
        row: 0,
        faults: 0,
        last: None,
        hashes: Hashes::default(),
    };
    let output = read::read_through(disk, path, Wanted::All, |batch| reading.take(batch))?;
    if TOLD_MAX < reading.faults {
        let more = reading.faults - TOLD_MAX;
        let what = format!("{more} more rows or columns are wrong");
        reading.problems.wrong(path, what);
    }
    rows.told_by(Kind::Posts, reading.hashes, &List::ALL);
    Ok(output)
}

fn lacks(what: &str) -> io::Error {
    let what = format!("its column {what} is missing or of another type");
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl Reading<'_> {
    fn fault(&mut self, row: u64, what: impl FnOnce() -> String) -> io::Result<()> {
        self.faults += 1;
        if self.faults <= TOLD_MAX {
            let what = format!("row {row}: {}", what());
            self.problems.wrong(self.path, what);
        }
        if FAULTS_MAX < self.faults {
            let what = format!("it has more than {FAULTS_MAX} faults");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(())
    }

    fn take(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let keys = self
            .source
            .keys(batch)
            .ok_or_else(|| lacks(self.source.sorted_by().last().unwrap_or(&"id")))?;
        let lines = lines(batch)?;
        if 0 < lines.null_count() {
            return Err(lacks("line"));
        }
        let first = self.row;
        for (key, line) in keys.iter().zip(lines.iter().flatten()) {
            self.row += 1;
            self.check_key(key, line)?;
        }
        // columns of another version are described in the file, and not compared
        if batch.schema() == self.schema {
            self.compare(batch, lines, first)?;
        }
        Ok(())
    }

    fn check_key(&mut self, key: &Key, line: &str) -> io::Result<()> {
        let row = self.row;
        let placed = match self.source.place(line.as_bytes()) {
            Ok(placed) => placed,
            Err(why) => {
                return self.fault(row, || format!("its line is no post: {}", why.word()));
            }
        };
        if placed.key != *key {
            self.fault(row, || {
                format!("its id is {key}, its line's {}", placed.key)
            })?;
        }
        self.hashes.take(self.source, &placed.key);
        let at = placed.at;
        if !self.intervals.iter().any(|i| i.contains(at)) {
            self.fault(row, || {
                format!("id {key} is of {at}, which is not in this hour")
            })?;
        }
        let last = self.last.replace(placed.clone());
        if last.is_some_and(|last| placed.order() <= last.order()) {
            self.fault(row, || format!("id {key} does not ascend"))?;
        }
        Ok(())
    }

    /// Makes the rows again from their lines, and compares column by column.
    fn compare(&mut self, batch: &RecordBatch, lines: &StringArray, first: u64) -> io::Result<()> {
        // a line that is no post has been told
        let mut begin = 0;
        for again in again(self.source, &self.schema, batch, lines).unwrap_or_default() {
            let part = batch.slice(begin, again.num_rows());
            self.compare_part(&part, &again, first + begin as u64)?;
            begin += again.num_rows();
        }
        Ok(())
    }

    fn compare_part(
        &mut self,
        part: &RecordBatch,
        again: &RecordBatch,
        first: u64,
    ) -> io::Result<()> {
        for (number, field) in self.schema.clone().fields().iter().enumerate() {
            let (found, made) = (part.column(number), again.column(number));
            if found.as_ref() == made.as_ref() {
                continue;
            }
            let is_other =
                |row: &usize| found.slice(*row, 1).as_ref() != made.slice(*row, 1).as_ref();
            let row = (0..part.num_rows()).find(is_other).unwrap_or(0);
            let name = field.name();
            let is_ours = OURS.iter().any(|column| column.name == name);
            let what = if is_ours {
                "cannot be"
            } else {
                "is not what its line says"
            };
            self.fault(first + 1 + row as u64, || format!("column {name} {what}"))?;
        }
        Ok(())
    }
}

/// The rows made again from their lines, and from what they say of the servers; `None` if that
/// cannot be done.
fn again(
    source: &dyn Source,
    schema: &SchemaRef,
    batch: &RecordBatch,
    lines: &StringArray,
) -> Option<Vec<RecordBatch>> {
    let text = |name| batch.column_by_name(name)?.as_string_opt::<i32>();
    let time = |name| {
        let column = batch.column_by_name(name)?;
        column.as_primitive_opt::<TimestampMillisecondType>()
    };
    let servers = text("server")?;
    let retrieved = time("retrieved_at")?;
    let copies = batch
        .column_by_name("copies")?
        .as_primitive_opt::<Int64Type>()?;
    let backfilled = batch.column_by_name("backfilled")?.as_boolean_opt()?;
    let seen_by = batch.column_by_name("seen_by")?.as_list_opt::<i32>()?;
    let mut records = source.records(true);
    let mut rows = rows::Rows::of_bytes(schema, 0);
    for (row, line) in lines.iter().enumerate() {
        let line = line?.as_bytes();
        let record = records.read(line, None).ok()?;
        let of_row = seen_by.value(row);
        let mut seen: Vec<&str> = of_row.as_string_opt::<i32>()?.iter().flatten().collect();
        seen.sort_unstable();
        seen.dedup();
        let at = retrieved.is_valid(row).then(|| UtcMs(retrieved.value(row)));
        let least = seen.len().max(1) as u64;
        let row = Seen {
            server: servers.value(row),
            retrieved_at: at,
            seen_by: &seen,
            first_seen_at: at,
            copies: u64::try_from(copies.value(row)).unwrap_or(0).max(least),
            backfilled: backfilled.value(row),
        };
        rows.push(&mut *records, record, (line, b""), &row).ok()?;
    }
    rows.finish(&mut *records).ok()
}
