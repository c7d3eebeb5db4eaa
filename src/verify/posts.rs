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
    problem::Problems,
    rows::{Hashes, Held, Rows, TOLD_MAX},
};
use crate::{
    period::{Interval, UtcMs},
    source::{List, Placed, Source, key::Key},
    vault::{
        layout::FileKind,
        manifest::Output,
        posts::{
            ours::OURS,
            read::{self, Wanted},
            rows::{self, Seen},
            write::lines,
        },
    },
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
    held: &'a Held,
}

/// Reads the file through: what it is, and what is wrong in it.
pub fn read(
    disk: &dyn Disk,
    path: &Path,
    source: &dyn Source,
    intervals: &[Interval],
    rows: &mut Rows,
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
        held: &rows.held,
    };
    let output = read::read_through(disk, path, Wanted::All, |batch| reading.take(batch))?;
    if TOLD_MAX < reading.faults {
        let more = reading.faults - TOLD_MAX;
        let what = format!("{more} more rows or columns are wrong");
        reading.problems.wrong(path, what);
    }
    let hashes = reading.hashes;
    rows.told_by(FileKind::Posts, hashes, &List::ALL);
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
                return self.fault(row, || format!("its line is not a post: {}", why.word()));
            }
        };
        if placed.key != *key {
            self.fault(row, || {
                format!("its id is {key}, its line's {}", placed.key)
            })?;
        }
        self.hashes.take(self.source, &placed.key, self.held);
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
        // a line that is not a post has been told
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

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;
    use crate::{
        source::x::{X, id},
        vault::posts::write::ParquetWriter,
        world::disk::RealDisk,
    };

    const HOUR_BEGIN: &str = "2026-11-23T14:00:00Z";

    /// The rows of so many posts in batches of a size; `spoil` may change what the columns are made
    /// of, and leaves the line alone.
    fn write(path: &Path, posts: (usize, usize), spoil: impl Fn(usize, &mut String)) -> Output {
        write_seen(path, posts, (&["1"], 1), spoil)
    }

    /// The same of posts that were seen by these servers, in so many copies.
    fn write_seen(
        path: &Path,
        (count, size): (usize, usize),
        seen: (&[&str], u64),
        spoil: impl Fn(usize, &mut String),
    ) -> Output {
        let posts: Vec<usize> = (0..count).collect();
        write_posts(path, (&posts, size), seen, spoil)
    }

    /// The same of these posts, in this order.
    fn write_posts(
        path: &Path,
        (posts, size): (&[usize], usize),
        (seen_by, copies): (&[&str], u64),
        spoil: impl Fn(usize, &mut String),
    ) -> Output {
        let begin: UtcMs = HOUR_BEGIN.parse().unwrap();
        let hour = "2026-11-23_14".parse().unwrap();
        let mut file = ParquetWriter::create(&RealDisk, path, &X, hour).unwrap();
        for part in posts.chunks(size) {
            let line = |n| {
                let post_id = first_id(n);
                format!(r#"{{"data":{{"id":"{post_id}","text":"{n}","unknown":{n}}}}}"#)
            };
            let spoiled: Vec<String> = part
                .iter()
                .map(|n| {
                    let mut spoiled = line(*n);
                    spoil(*n, &mut spoiled);
                    spoiled
                })
                .collect();
            let mut records = X.records(true);
            let mut rows = rows::Rows::of_bytes(&rows::schema(&X), 0);
            for (&n, spoiled) in part.iter().zip(&spoiled) {
                let line = line(n);
                let record = records.read(spoiled.as_bytes(), None).unwrap();
                let seen = Seen {
                    server: "1",
                    retrieved_at: Some(begin),
                    seen_by,
                    first_seen_at: Some(begin),
                    copies,
                    backfilled: false,
                };
                let received = (line.as_bytes(), &b""[..]);
                rows.push(&mut *records, record, received, &seen).unwrap();
            }
            for batch in rows.finish(&mut *records).unwrap() {
                file.take(&batch).unwrap();
            }
        }
        file.finish("2026-11-23_14_posts.parquet".to_owned())
            .unwrap()
    }

    fn first_id(n: usize) -> u64 {
        let begin: UtcMs = HOUR_BEGIN.parse().unwrap();
        id::first_of(begin.plus_ms(i64::try_from(n).unwrap() * 400))
    }

    fn problems(path: &Path) -> (io::Result<Output>, Vec<String>) {
        let begin: UtcMs = HOUR_BEGIN.parse().unwrap();
        let interval = Interval {
            begin,
            end: begin.plus_ms(3_600_000),
        };
        let mut problems = Problems::default();
        let mut rows = Rows::default();
        let read = read(&RealDisk, path, &X, &[interval], &mut rows, &mut problems);
        (
            read,
            problems.0.into_iter().map(|problem| problem.what).collect(),
        )
    }

    #[test]
    fn bytes_do_not_depend_on_the_batches_and_rows_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("2026-11-23_14_posts.parquet");
        let one = write(&path, (9_000, 9_000), |_, _| ());
        assert_eq!(one.rows, 9_000);
        let (read, wrong) = problems(&path);
        assert_eq!((read.unwrap(), wrong.len()), (one.clone(), 0), "{wrong:?}");
        for size in [1_000, 4_097] {
            let again = write(&path, (9_000, size), |_, _| ());
            assert_eq!(again, one, "in batches of {size}");
        }
        // two ids that changed places
        let swap = |n: usize, data: &mut String| {
            let other = [7, 8]
                .into_iter()
                .find(|other| [7, 8].contains(&n) && *other != n);
            if let Some(other) = other {
                *data = data.replace(&first_id(n).to_string(), &first_id(other).to_string());
            }
        };
        write(&path, (100, 100), swap);
        let (_, wrong) = problems(&path);
        let is_told = |end: &str| {
            wrong
                .iter()
                .any(|what| what.starts_with("row 9: ") && what.ends_with(end))
        };
        assert!(is_told(&format!("its line's {}", first_id(8))), "{wrong:?}");
        // a text that is not its line's
        let spoil = |n: usize, data: &mut String| {
            if n == 77 {
                *data = data.replace("\"77\"", "\"78\"");
            }
        };
        write(&path, (100, 100), spoil);
        assert_eq!(
            problems(&path).1,
            ["row 78: column text is not what its line says"]
        );
        // in a later batch, too
        let spoil = |n: usize, data: &mut String| {
            if n == 3_077 {
                *data = data.replace("\"3077\"", "\"3078\"");
            }
        };
        write(&path, (4_000, 4_000), spoil);
        let wrong = problems(&path).1;
        assert_eq!(wrong, ["row 3078: column text is not what its line says"]);
        // two rows that changed places, and one that is there twice
        for posts in [[0, 2, 1, 3], [0, 1, 1, 3]] {
            write_posts(&path, (&posts, 4), (&["1"], 1), |_, _| ());
            let wrong = problems(&path).1;
            assert!(
                matches!(&wrong[..], [one] if one.starts_with("row 3: ")),
                "{wrong:?}"
            );
        }
        // each server that has seen a post has a copy of it
        for (copies, wrong) in [
            (3, None),
            (2, None),
            (1, Some("row 1: column copies cannot be")),
        ] {
            write_seen(&path, (10, 10), (&["1", "2"], copies), |_, _| ());
            assert_eq!(problems(&path).1, Vec::from_iter(wrong));
        }
    }

    #[test]
    fn a_damaged_or_foreign_file_is_an_error_and_no_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("2026-11-23_14_posts.parquet");
        write(&path, (50, 50), |_, _| ());
        let whole = fs::read(&path).unwrap();
        let mut seen = [0; 2];
        let mut check = |bytes: &[u8]| {
            RealDisk.remove(&path).unwrap();
            RealDisk.create(&path).unwrap().write_all(bytes).unwrap();
            let (read, wrong) = problems(&path);
            seen[usize::from(read.is_ok() && wrong.is_empty())] += 1;
            let _whatever = read::read_through(&RealDisk, &path, Wanted::Only(&["id"]), |_| Ok(()));
        };
        for len in [
            0,
            3,
            4,
            8,
            12,
            whole.len() / 2,
            whole.len() - 9,
            whole.len() - 1,
        ] {
            check(&whole[..len]);
        }
        check(b"PAR1\xff\xff\xff\x7fPAR1");
        check(b"PAR1\x00\x00\x00\x00PAR1");
        // the footer, where all numbers are, and a stretch of the data
        let footer = u32::from_le_bytes(whole[whole.len() - 8..][..4].try_into().unwrap());
        let footer = whole.len() - 8 - usize::try_from(footer).unwrap();
        for n in 0..150_usize {
            let mut bytes = whole.clone();
            let at = if n % 2 == 0 {
                footer + n * (whole.len() - footer) / 150
            } else {
                n * footer / 150
            };
            bytes[at] ^= [0x80, 0xff, 0x01, 0x7f][n % 4];
            check(&bytes);
        }
        assert!(50 < seen[0], "most are noticed: {seen:?}");
    }
}
