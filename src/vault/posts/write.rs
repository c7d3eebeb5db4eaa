//! `posts.parquet`, hashed as it is written: bounded in memory, its bytes a function of its rows.
//!
//! Rows come in batches of any size and are put into the file in batches of one size, because where
//! a batch ends decides where a page ends. Compressed with zstd, which every reader has; one version
//! of the format that every reader reads.

use std::{io, path::Path, sync::Arc};

use arrow_array::{Array as _, RecordBatch, StringArray, cast::AsArray as _};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use parquet::{
    arrow::{ArrowSchemaConverter, ArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::{Compression, ZstdLevel},
    file::{
        metadata::{KeyValue, SortingColumn},
        properties::{EnabledStatistics, WriterProperties},
    },
    schema::types::ColumnPath,
};

use super::{
    super::{manifest::Output, xz::Hashed},
    dictionary,
    rows::{self, LINE},
};
use crate::{
    period::Hour,
    segment::{line::PROGRAM, seal::Digester},
    source::Source,
    world::disk::Disk,
};

/// Rows that are put into the file at a time …
const BATCH_ROWS: usize = 4_096;

/// … or fewer, if their lines have so many bytes.
const BATCH_BYTES: usize = 8 << 20;

/// Rows of a row group …
const GROUP_ROWS: usize = 1 << 17;

/// … or fewer, if their lines have so many bytes: a reader holds one in memory, the writer holds
/// one compressed.
const GROUP_BYTES: usize = 64 << 20;

/// How hard zstd works.
const ZSTD_LEVEL: i32 = 2;

/// The keys of the file's own metadata.
pub const KEY_FORMAT: &str = "twinstream.format";
/// Name and version of the program.
pub const KEY_PROGRAM: &str = "twinstream.program";
/// Which hour it is of.
pub const KEY_HOUR: &str = "twinstream.hour";
/// What each column means, as JSON.
pub const KEY_COLUMNS: &str = "twinstream.columns";

/// The version of the columns.
pub const FORMAT: &str = "1";

/// What the Parquet and Arrow crates say went wrong.
pub(super) fn failed(why: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(why)
}

/// Columns that hardly ever repeat: a dictionary of them is made for nothing.
const UNIQUE: [&str; 4] = [LINE, "post_time", "retrieved_at", "first_seen_at"];

/// A column of the file, in words that are divided by dots.
fn leaf(path: &str) -> ColumnPath {
    ColumnPath::new(path.split('.').map(str::to_owned).collect())
}

fn properties(source: &dyn Source, hour: Hour) -> io::Result<WriterProperties> {
    let pair = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
    let about = vec![
        pair(KEY_FORMAT, FORMAT.to_owned()),
        pair(KEY_PROGRAM, PROGRAM.to_owned()),
        pair(KEY_HOUR, hour.to_string()),
        pair(KEY_COLUMNS, dictionary::as_json(source)),
    ];
    let leaves = ArrowSchemaConverter::new().convert(&rows::schema(source));
    let leaves = leaves.map_err(failed)?;
    let sorted_by = leaves
        .columns()
        .iter()
        .zip(0..)
        .filter_map(|(leaf, number)| {
            let by = source.sorted_by().iter();
            let place = by.clone().position(|name| *name == leaf.path().string())?;
            Some((place, number))
        });
    let mut sorted_by: Vec<(usize, i32)> = sorted_by.collect();
    sorted_by.sort_unstable();
    let sorted_by = sorted_by.into_iter().map(|(_, column_idx)| SortingColumn {
        column_idx,
        descending: false,
        nulls_first: false,
    });
    let level = ZstdLevel::try_new(ZSTD_LEVEL).map_err(failed)?;
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(None)
        .set_key_value_metadata(Some(about))
        .set_sorting_columns(Some(sorted_by.collect()));
    for path in UNIQUE.iter().chain(source.unique_columns()) {
        builder = builder.set_column_dictionary_enabled(leaf(path), false);
    }
    // the least and the greatest text say nothing
    let is_text = |path: &&&str| path.rsplit('.').next() == Some("text");
    for path in source
        .unique_columns()
        .iter()
        .filter(is_text)
        .chain([&LINE])
    {
        builder = builder.set_column_statistics_enabled(leaf(path), EnabledStatistics::None);
    }
    Ok(builder.build())
}

/// Rows and the bytes of their lines.
#[derive(Default, Clone, Copy)]
struct Size {
    rows: usize,
    bytes: usize,
}

impl Size {
    const fn is_beyond(self, rows: usize, bytes: usize) -> bool {
        rows <= self.rows || bytes <= self.bytes
    }
}

/// A file that is being written.
pub struct ParquetWriter {
    schema: SchemaRef,
    writer: ArrowWriter<Hashed>,
    content: Digester,
    /// What comes next into the file.
    next: Vec<RecordBatch>,
    size: Size,
    group: Size,
}

/// The lines of a batch.
pub(super) fn lines(batch: &RecordBatch) -> io::Result<&StringArray> {
    let column = batch.column_by_name(LINE);
    column
        .and_then(|column| column.as_string_opt())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it has no column of lines"))
}

/// Takes the lines of a batch into the digest of a file's content: each with a line end.
pub(super) fn take_content(content: &mut Digester, lines: &StringArray) {
    for line in lines.iter().flatten() {
        content.update(line.as_bytes());
        content.update(b"\n");
    }
}

impl ParquetWriter {
    /// Makes a new file. A file of that name left by an earlier attempt is replaced.
    pub fn create(
        disk: &dyn Disk,
        path: &Path,
        source: &dyn Source,
        hour: Hour,
    ) -> io::Result<Self> {
        let options = ArrowWriterOptions::new()
            .with_properties(properties(source, hour)?)
            // Arrow's own schema says nothing that the file's types do not say
            .with_skip_arrow_metadata(true);
        let file = Hashed::create(disk, path)?;
        let schema = rows::schema(source);
        let writer = ArrowWriter::try_new_with_options(file, Arc::clone(&schema), options);
        Ok(Self {
            schema,
            writer: writer.map_err(failed)?,
            content: Digester::default(),
            next: Vec::new(),
            size: Size::default(),
            group: Size::default(),
        })
    }

    /// Takes rows in, which follow the ones before by their ids.
    pub fn take(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let lines = lines(batch)?;
        take_content(&mut self.content, lines);
        let mut begin = 0;
        for row in 0..lines.len() {
            self.size.rows += 1;
            self.size.bytes += lines.value(row).len();
            if self.size.is_beyond(BATCH_ROWS, BATCH_BYTES) {
                self.next.push(batch.slice(begin, row + 1 - begin));
                self.put()?;
                begin = row + 1;
            }
        }
        if begin < lines.len() {
            self.next.push(batch.slice(begin, lines.len() - begin));
        }
        Ok(())
    }

    /// Puts what was collected into the file.
    fn put(&mut self) -> io::Result<()> {
        let size = std::mem::take(&mut self.size);
        let batch = concat_batches(&self.schema, &self.next).map_err(failed)?;
        self.next.clear();
        self.writer.write(&batch).map_err(failed)?;
        self.group.rows += size.rows;
        self.group.bytes += size.bytes;
        if self.group.is_beyond(GROUP_ROWS, GROUP_BYTES) {
            self.group = Size::default();
            self.writer.flush().map_err(failed)?;
        }
        Ok(())
    }

    /// Ends the file durably: what is in it, under the name that it will have.
    pub fn finish(mut self, name: String) -> io::Result<Output> {
        if 0 < self.size.rows {
            self.put()?;
        }
        let file = self.writer.into_inner().map_err(failed)?.finish()?;
        Ok(output(name, file, self.content))
    }
}

/// What a manifest says of a file.
pub(super) fn output(
    name: String,
    file: crate::segment::seal::Digest,
    content: Digester,
) -> Output {
    let content = content.finish();
    Output {
        name,
        bytes: file.bytes,
        sha256: file.sha256,
        content_bytes: content.bytes,
        content_sha256: content.sha256,
        rows: content.lines,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;
    use crate::{
        period::UtcMs,
        source::x::{X, id},
        vault::{
            posts::{
                check,
                read::{self, Wanted},
                rows::{Rows, Seen},
            },
            verify::Problems,
            verify_rows,
        },
        world::disk::RealDisk,
    };

    const HOUR_BEGIN: &str = "2026-11-23T14:00:00Z";

    /// The rows of so many posts in batches of a size; `spoil` may change what the columns are made
    /// of, and leaves the line alone.
    fn write(
        path: &Path,
        (count, size): (usize, usize),
        spoil: impl Fn(usize, &mut String),
    ) -> Output {
        let begin: UtcMs = HOUR_BEGIN.parse().unwrap();
        let hour = "2026-11-23_14".parse().unwrap();
        let mut file = ParquetWriter::create(&RealDisk, path, &X, hour).unwrap();
        for part in (0..count).collect::<Vec<_>>().chunks(size) {
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
            let mut rows = Rows::of_bytes(&rows::schema(&X), 0);
            for (&n, spoiled) in part.iter().zip(&spoiled) {
                let line = line(n);
                let record = records.read(spoiled.as_bytes(), None).unwrap();
                let seen = Seen {
                    server: "1",
                    retrieved_at: Some(begin),
                    seen_by: &["1"],
                    first_seen_at: Some(begin),
                    copies: 1,
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
        let interval = crate::period::Interval {
            begin,
            end: begin.plus_ms(3_600_000),
        };
        let mut problems = Problems::default();
        let mut rows = verify_rows::Rows::default();
        let read = check::read(&RealDisk, path, &X, &[interval], &mut rows, &mut problems);
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
    }

    #[test]
    fn a_damaged_or_foreign_file_is_an_error_and_no_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("2026-11-23_14_posts.parquet");
        write(&path, (200, 200), |_, _| ());
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
