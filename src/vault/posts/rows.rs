//! Posts → rows of `posts.parquet`, as batches in memory.

use std::{
    fmt::Write as _,
    sync::{Arc, LazyLock},
};

use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{Int64Builder, ListBuilder, StringBuilder, TimestampMillisecondBuilder},
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use super::{
    api_post::POST,
    cells::{self, Cells, Struct},
    columns::{self, AROUND},
};
use crate::{period::UtcMs, post::parse::Post};

/// A batch that holds lines of so many bytes is closed: no column of it comes near 2 GiB, where
/// the offsets of texts end. (One line has at most 16 MiB.)
const BATCH_BYTES_MAX: usize = 64 << 20;

/// The schema of the file.
pub static SCHEMA: LazyLock<SchemaRef> =
    LazyLock::new(|| Arc::new(Schema::new(cells::fields(columns::posts()))));

/// Where the whole line stands.
pub const LINE: &str = "line";

/// What the servers have to do with a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<'s> {
    /// Whose copy is kept.
    pub server: &'s str,
    /// When that server received it.
    pub retrieved_at: Option<UtcMs>,
    /// Who received it, ascending.
    pub seen_by: &'s [&'s str],
    /// When the first of them did.
    pub first_seen_at: Option<UtcMs>,
    /// How often it was received.
    pub copies: u64,
}

/// Rows that are being made.
#[derive(Default)]
pub struct Rows {
    done: Vec<Result<RecordBatch, ArrowError>>,
    open: Option<Batch>,
}

struct Batch {
    post: Struct,
    around: Vec<Cells>,
    post_time: TimestampMillisecondBuilder,
    server: StringBuilder,
    retrieved_at: TimestampMillisecondBuilder,
    seen_by: ListBuilder<StringBuilder>,
    first_seen_at: TimestampMillisecondBuilder,
    copies: Int64Builder,
    line: StringBuilder,
}

impl Rows {
    /// Takes a post in. `received` is its line as received, in two pieces.
    pub fn push(&mut self, post: &Post<'_>, received: (&[u8], &[u8]), seen: &Seen<'_>) {
        let batch = self.open.get_or_insert_with(Batch::new);
        batch.push(post, received, seen);
        if BATCH_BYTES_MAX <= batch.line.values_slice().len() {
            self.close();
        }
    }

    fn close(&mut self) {
        self.done.extend(self.open.take().map(Batch::finish));
    }

    /// The rows, in the order in which they came.
    pub fn finish(mut self) -> Result<Vec<RecordBatch>, ArrowError> {
        self.close();
        self.done.into_iter().collect()
    }
}

impl Batch {
    fn new() -> Self {
        let time = || {
            let field = SCHEMA.field_with_name("post_time");
            let kind = field.map_or(DataType::Null, |field| field.data_type().clone());
            TimestampMillisecondBuilder::with_capacity(0).with_data_type(kind)
        };
        let item = match SCHEMA.field_with_name("seen_by").map(Field::data_type) {
            Ok(DataType::List(item)) => Some(Arc::clone(item)),
            _ => None,
        };
        let mut seen_by = ListBuilder::new(StringBuilder::with_capacity(0, 0));
        if let Some(item) = item {
            seen_by = seen_by.with_field(item);
        }
        Self {
            post: Struct::new(POST),
            around: AROUND.iter().map(|c| Cells::new(&c.kind)).collect(),
            post_time: time(),
            server: StringBuilder::with_capacity(0, 0),
            retrieved_at: time(),
            seen_by,
            first_seen_at: time(),
            copies: Int64Builder::with_capacity(0),
            line: StringBuilder::with_capacity(0, 0),
        }
    }

    fn push(&mut self, post: &Post<'_>, received: (&[u8], &[u8]), seen: &Seen<'_>) {
        let author = post.author_id.as_ref();
        self.post.push(post.pieces.data, author);
        let around = [
            post.author.as_ref().map(|author| author.json),
            post.pieces.includes,
            post.pieces.errors,
        ];
        for (cells, json) in self.around.iter_mut().zip(around) {
            cells.push(json, author);
        }
        let ms = |at: Option<UtcMs>| at.map(|at| at.0);
        self.post_time.append_value(post.placed.at.0);
        self.server.append_value(seen.server);
        self.retrieved_at.append_option(ms(seen.retrieved_at));
        for server in seen.seen_by {
            self.seen_by.values().append_value(server);
        }
        self.seen_by.append(true);
        self.first_seen_at.append_option(ms(seen.first_seen_at));
        let copies = i64::try_from(seen.copies).unwrap_or(i64::MAX);
        self.copies.append_value(copies);
        for piece in [received.0, received.1] {
            // a line that is a post was checked to be UTF-8; writing to memory cannot fail
            let text = str::from_utf8(piece).unwrap_or_default();
            let _written = self.line.write_str(text);
        }
        self.line.append_value("");
    }

    fn finish(mut self) -> Result<RecordBatch, ArrowError> {
        let mut arrays = self.post.into_columns()?;
        for cells in self.around {
            arrays.push(cells.finish()?);
        }
        let ours: [ArrayRef; 7] = [
            Arc::new(self.post_time.finish()),
            Arc::new(self.server.finish()),
            Arc::new(self.retrieved_at.finish()),
            Arc::new(self.seen_by.finish()),
            Arc::new(self.first_seen_at.finish()),
            Arc::new(self.copies.finish()),
            Arc::new(self.line.finish()),
        ];
        arrays.extend(ours);
        RecordBatch::try_new(Arc::clone(&SCHEMA), arrays)
    }
}
