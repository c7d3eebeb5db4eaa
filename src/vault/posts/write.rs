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

/// What the events files of the hour's inputs told (`merge::hour::remembered`).
pub const KEY_EVENTS: &str = "twinstream.events";

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
pub fn lines(batch: &RecordBatch) -> io::Result<&StringArray> {
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

    /// Adds something to the file's own metadata.
    pub fn tell(&mut self, key: &str, value: String) {
        let pair = KeyValue::new(key.to_owned(), value);
        self.writer.append_key_value_metadata(pair);
    }

    /// Ends the file durably: what is in it, under the name that it will have.
    pub fn finish(mut self, name: String) -> io::Result<Output> {
        if 0 < self.size.rows {
            self.put()?;
        }
        let file = self.writer.into_inner().map_err(failed)?.finish()?;
        Ok(Output::of(name, &file, &self.content.finish(), 0))
    }
}
