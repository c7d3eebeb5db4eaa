//! Records → rows of `posts.parquet`, as batches in memory.

use std::{fmt::Write as _, sync::Arc};

use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{
        BooleanBuilder, Int64Builder, ListBuilder, StringBuilder, TimestampMillisecondBuilder,
    },
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use super::ours::OURS;
use crate::{
    period::UtcMs,
    source::{Records, Source, arrow},
};

/// A batch that holds lines of so many bytes is closed: no column of it comes near 2 GiB, where
/// the offsets of texts end. (One line has at most 16 MiB.)
const BATCH_BYTES_MAX: usize = 64 << 20;

/// The schema of a source's file.
pub fn schema(source: &dyn Source) -> SchemaRef {
    let columns = source.columns();
    Arc::new(Schema::new(arrow::fields(columns.into_iter().chain(OURS))))
}

/// Where the whole line stands.
pub const LINE: &str = "line";

/// What the servers have to do with a record.
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
    /// Whether the copy that is kept came by backfill.
    pub backfilled: bool,
}

/// Rows that are being made.
pub struct Rows {
    schema: SchemaRef,
    done: Vec<RecordBatch>,
    open: Option<Ours>,
    /// Bytes of lines that a batch will hold, about.
    bytes: usize,
}

/// The columns that the program adds.
struct Ours {
    post_time: TimestampMillisecondBuilder,
    server: StringBuilder,
    retrieved_at: TimestampMillisecondBuilder,
    seen_by: ListBuilder<StringBuilder>,
    first_seen_at: TimestampMillisecondBuilder,
    copies: Int64Builder,
    backfilled: BooleanBuilder,
    line: StringBuilder,
}

impl Rows {
    /// For lines of about so many bytes.
    pub fn of_bytes(schema: &SchemaRef, bytes: usize) -> Self {
        Self {
            schema: Arc::clone(schema),
            done: Vec::new(),
            open: None,
            bytes: bytes.min(BATCH_BYTES_MAX),
        }
    }

    /// Takes a record in. `received` is its line as received, in two pieces.
    pub fn push(
        &mut self,
        records: &mut dyn Records<'_>,
        record: usize,
        received: (&[u8], &[u8]),
        seen: &Seen<'_>,
    ) -> Result<(), ArrowError> {
        let at = records.placed(record).at;
        records.push_columns(record);
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(Ours::new(&self.schema, self.bytes)),
        };
        open.push(at, received, seen);
        if BATCH_BYTES_MAX <= open.line.values_slice().len() {
            self.close(records)?;
        }
        Ok(())
    }

    fn close(&mut self, records: &mut dyn Records<'_>) -> Result<(), ArrowError> {
        if let Some(open) = self.open.take() {
            let mut arrays = records.take_columns()?;
            arrays.extend(open.finish());
            let schema = Arc::clone(&self.schema);
            self.done.push(RecordBatch::try_new(schema, arrays)?);
        }
        Ok(())
    }

    /// The rows, in the order in which they came.
    pub fn finish(mut self, records: &mut dyn Records<'_>) -> Result<Vec<RecordBatch>, ArrowError> {
        self.close(records)?;
        Ok(self.done)
    }
}

impl Ours {
    fn new(schema: &Schema, bytes: usize) -> Self {
        let time = || {
            let field = schema.field_with_name("post_time");
            let kind = field.map_or(DataType::Null, |field| field.data_type().clone());
            TimestampMillisecondBuilder::with_capacity(0).with_data_type(kind)
        };
        let item = match schema.field_with_name("seen_by").map(Field::data_type) {
            Ok(DataType::List(item)) => Some(Arc::clone(item)),
            _ => None,
        };
        let mut seen_by = ListBuilder::new(StringBuilder::with_capacity(0, 0));
        if let Some(item) = item {
            seen_by = seen_by.with_field(item);
        }
        Self {
            post_time: time(),
            server: StringBuilder::with_capacity(0, 0),
            retrieved_at: time(),
            seen_by,
            first_seen_at: time(),
            copies: Int64Builder::with_capacity(0),
            backfilled: BooleanBuilder::with_capacity(0),
            line: StringBuilder::with_capacity(0, bytes),
        }
    }

    fn push(&mut self, at: UtcMs, received: (&[u8], &[u8]), seen: &Seen<'_>) {
        let ms = |at: Option<UtcMs>| at.map(|at| at.0);
        self.post_time.append_value(at.0);
        self.server.append_value(seen.server);
        self.retrieved_at.append_option(ms(seen.retrieved_at));
        for server in seen.seen_by {
            self.seen_by.values().append_value(server);
        }
        self.seen_by.append(true);
        self.first_seen_at.append_option(ms(seen.first_seen_at));
        let copies = i64::try_from(seen.copies).unwrap_or(i64::MAX);
        self.copies.append_value(copies);
        self.backfilled.append_value(seen.backfilled);
        for piece in [received.0, received.1] {
            // a line that is a record was checked to be UTF-8; writing to memory cannot fail
            let text = simdutf8::basic::from_utf8(piece).unwrap_or_default();
            let _written = self.line.write_str(text);
        }
        self.line.append_value("");
    }

    fn finish(mut self) -> [ArrayRef; 8] {
        [
            Arc::new(self.post_time.finish()),
            Arc::new(self.server.finish()),
            Arc::new(self.retrieved_at.finish()),
            Arc::new(self.seen_by.finish()),
            Arc::new(self.first_seen_at.finish()),
            Arc::new(self.copies.finish()),
            Arc::new(self.backfilled.finish()),
            Arc::new(self.line.finish()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{
        Array,
        cast::AsArray as _,
        types::{Float64Type, Int64Type, TimestampMillisecondType},
    };

    use super::*;
    use crate::source::x::X;

    /// A cell as text: structs without their nulls.
    fn show(array: &dyn Array, row: usize) -> String {
        if array.is_null(row) {
            return "null".to_owned();
        }
        match array.data_type() {
            DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
            DataType::Float64 => array.as_primitive::<Float64Type>().value(row).to_string(),
            DataType::Boolean => array.as_boolean().value(row).to_string(),
            DataType::Timestamp(..) => {
                let ms = array.as_primitive::<TimestampMillisecondType>().value(row);
                UtcMs(ms).to_string()
            }
            DataType::List(_) => {
                let items = array.as_list::<i32>().value(row);
                let items: Vec<String> = (0..items.len()).map(|n| show(&items, n)).collect();
                format!("[{}]", items.join(" "))
            }
            DataType::Struct(fields) => {
                let cells = fields.iter().zip(array.as_struct().columns());
                let cells = cells.filter(|(_, cell)| cell.is_valid(row));
                let cells: Vec<String> = cells
                    .map(|(field, cell)| format!("{}={}", field.name(), show(cell, row)))
                    .collect();
                format!("{{{}}}", cells.join(" "))
            }
            _ => array.as_string::<i32>().value(row).to_owned(),
        }
    }

    const SEEN: Seen<'static> = Seen {
        server: "1",
        retrieved_at: None,
        seen_by: &["1", "2"],
        first_seen_at: None,
        copies: 3,
        backfilled: false,
    };

    /// A line with further members of `data`, and of the line after it.
    fn line_of(data: &str, after: &str) -> String {
        let id = r#""id":"2101712260468977783","author_id":"7""#;
        let data = [id, data].join(if data.is_empty() { "" } else { "," });
        format!(r#"{{"data":{{{data}}}{after}}}"#)
    }

    /// Every column of every row.
    fn rows_of(lines: &[String]) -> Vec<Vec<String>> {
        let mut records = X.records(true);
        let mut rows = Rows::of_bytes(&schema(&X), 0);
        for line in lines {
            let record = records.read(line.as_bytes(), None).unwrap();
            let received = (line.as_bytes(), &b""[..]);
            rows.push(&mut *records, record, received, &SEEN).unwrap();
        }
        let batch = rows.finish(&mut *records).unwrap().remove(0);
        let row = |row| batch.columns().iter().map(|c| show(c, row)).collect();
        (0..batch.num_rows()).map(row).collect()
    }

    /// Checks a column of such a line.
    #[track_caller]
    fn check(data: &str, after: &str, column: &str, expected: &str) {
        let line = line_of(data, after);
        let mut records = X.records(true);
        let mut rows = Rows::of_bytes(&schema(&X), 0);
        let record = records.read(line.as_bytes(), None).unwrap();
        let received = line.as_bytes().split_at(9);
        rows.push(&mut *records, record, received, &SEEN).unwrap();
        let batch = rows.finish(&mut *records).unwrap().remove(0);
        let (name, path) = column.split_once('.').unwrap_or((column, ""));
        let cell = show(batch.column_by_name(name).unwrap(), 0);
        let found = if path.is_empty() {
            cell
        } else {
            let begin = format!("{path}=");
            let mut words = cell.trim_matches(['{', '}']).split(' ');
            let found = words.find_map(|word| word.strip_prefix(&begin));
            found.unwrap_or("null").to_owned()
        };
        assert_eq!(found, expected, "{column} of {line}");
        assert_eq!(show(batch.column_by_name("line").unwrap(), 0), line);
    }

    #[test]
    fn both_spellings_give_the_same_and_the_newer_one_counts() {
        for (older, newer, column) in [
            ("referenced_tweets", "referenced_posts", "referenced_posts"),
            (
                "edit_history_tweet_ids",
                "edit_history_post_ids",
                "edit_history_post_ids",
            ),
            ("note_tweet", "note_post", "note_post"),
        ] {
            let value = |text: &str| match column {
                "note_post" => (
                    format!(r#"{{"text":"t{text}"}}"#),
                    format!("{{text=t{text}}}"),
                ),
                "referenced_posts" => (
                    format!(r#"[{{"type":"quoted","id":"{text}"}},{{"id":"6"}}]"#),
                    format!("[{{type=quoted id={text}}} {{id=6}}]"),
                ),
                _ => (format!(r#"["{text}","6"]"#), format!("[{text} 6]")),
            };
            let ((five, expected), (eight, other)) = (value("5"), value("8"));
            check(&format!(r#""{older}":{five}"#), "", column, &expected);
            check(&format!(r#""{newer}":{five}"#), "", column, &expected);
            check(
                &format!(r#""{newer}":{five},"{older}":{eight}"#),
                "",
                column,
                &expected,
            );
            check(
                &format!(r#""{older}":{eight},"{newer}":{five}"#),
                "",
                column,
                &expected,
            );
            // what says nothing does not count
            for nothing in ["null", "[]", "[ ]", "{}"] {
                check(
                    &format!(r#""{older}":{eight},"{newer}":{nothing}"#),
                    "",
                    column,
                    &other,
                );
                check(&format!(r#""{newer}":{nothing}"#), "", column, "null");
            }
        }
    }

    #[test]
    fn both_spellings_of_deeper_members_are_read() {
        let metrics = |name| format!(r#""public_metrics":{{"{name}":3,"like_count":0}}"#);
        check(
            &metrics("retweet_count"),
            "",
            "public_metrics.repost_count",
            "3",
        );
        check(
            &metrics("repost_count"),
            "",
            "public_metrics.repost_count",
            "3",
        );
        let users = |name| {
            format!(
                r#","includes":{{"users":[{{"id":"9","{name}":"4"}},{{"id":"7","name":"me","{name}":"5"}}]}}"#
            )
        };
        for name in ["pinned_tweet_id", "pinned_post_id"] {
            check(
                "",
                &users(name),
                "author",
                "{id=7 name=me pinned_post_id=5}",
            );
            check(
                "",
                &users(name),
                "includes",
                "{users=[{id=9 pinned_post_id=4}]}",
            );
        }
        for name in ["tweets", "posts"] {
            let includes = format!(r#","includes":{{"{name}":[{{"id":"4","text":"a\nb"}}]}}"#);
            check("", &includes, "includes", "{posts=[{id=4 text=a\nb}]}");
        }
    }

    /// Members of `data`, a column, what is in it.
    const SHAPES: &[(&str, &str, &str)] = &[
        ("", "id", "2101712260468977783"),
        ("", "post_time", "2026-09-20T16:37:05.478Z"),
        ("", "copies", "3"),
        ("", "seen_by", "[1 2]"),
        (
            r#""created_at":"2026-09-20T16:37:05.000Z""#,
            "created_at",
            "2026-09-20T16:37:05.000Z",
        ),
        (r#""created_at":17"#, "created_at", "null"),
        (r#""created_at":"soon""#, "created_at", "null"),
        (
            r#""text":"a\r\n\u2028b\u0000 \ud83d""#,
            "text",
            "a\r\n\u{2028}b\0 \u{fffd}",
        ),
        (r#""text":["a"]"#, "text", "null"),
        (r#""text":5"#, "text", "null"),
        (r#""lang":"en","lang":"de""#, "lang", "de"),
        (
            r#""conversation_id":9223372036854775807"#,
            "conversation_id",
            "9223372036854775807",
        ),
        (
            r#""conversation_id":"9223372036854775808""#,
            "conversation_id",
            "null",
        ),
        (r#""conversation_id":-1"#, "conversation_id", "null"),
        (
            r#""edit_history_tweet_ids":[""]"#,
            "edit_history_post_ids",
            "[null]",
        ),
        (
            r#""edit_history_tweet_ids":"5""#,
            "edit_history_post_ids",
            "null",
        ),
        (
            r#""referenced_tweets":{"id":"5"}"#,
            "referenced_posts",
            "null",
        ),
        (
            r#""referenced_tweets":[5,null,{"id":"5","type":7}]"#,
            "referenced_posts",
            "[null null {id=5}]",
        ),
        (
            r#""possibly_sensitive":"yes""#,
            "possibly_sensitive",
            "null",
        ),
        (
            r#""possibly_sensitive":false"#,
            "possibly_sensitive",
            "false",
        ),
        (
            r#""public_metrics":{"like_count":1.5,"reply_count":"2","quote_count":1e3}"#,
            "public_metrics",
            "{reply_count=2}",
        ),
        (r#""public_metrics":[1]"#, "public_metrics", "null"),
        (
            r#""geo":{"coordinates":{"type":"Point","coordinates":[-0.5,51]}}"#,
            "geo",
            "{coordinates={type=Point coordinates=[-0.5 51]}}",
        ),
        (
            r#""withheld":{"country_codes":["XX"],"scope":"post"}"#,
            "withheld",
            "{country_codes=[XX] scope=post}",
        ),
        (
            r#""article":{"title": "a"}"#,
            "article",
            r#"{"title": "a"}"#,
        ),
        (
            r#""matched_media_notes":{"note_id":"4"}"#,
            "matched_media_notes",
            "[{note_id=4}]",
        ),
        (
            r#""matched_media_notes":[{"note_id":"4"}]"#,
            "matched_media_notes",
            "[{note_id=4}]",
        ),
        (
            r#""matched_media_notes":"4""#,
            "matched_media_notes",
            "null",
        ),
        (
            r#""suggested_source_links":["a",{"url":"b","start":1}]"#,
            "suggested_source_links",
            "[a b]",
        ),
        (
            r#""attachments":{"media_keys":["3_1"],"poll_ids":["5"]}"#,
            "attachments",
            "{media_keys=[3_1] poll_ids=[5]}",
        ),
        (r#""unknown":{"deep":[1]}"#, "lang", "null"),
    ];

    /// What comes after `data`, a column, what is in it.
    const BESIDE: &[(&str, &str, &str)] = &[
        (
            r#","errors":[{"title":"x"}]"#,
            "errors",
            r#"[{"title":"x"}]"#,
        ),
        (r#","includes":[]"#, "includes", "null"),
        (r#","includes":{"users":"none"}"#, "author", "null"),
        (
            r#","includes":{"users":[{"id":"7","affiliation":{"user_id":"5"}}]}"#,
            "author",
            "{id=7 affiliation={user_id=[5]}}",
        ),
        (
            r#","includes":{"users":[{"id":"7","affiliation":{"user_id":["5"]}}]}"#,
            "author",
            "{id=7 affiliation={user_id=[5]}}",
        ),
        (
            r#","includes":{"users":[{"id":"7"}],"media":[{"media_key":"3_1","duration_ms":5}]}"#,
            "includes",
            "{media=[{media_key=3_1 duration_ms=5}]}",
        ),
    ];

    #[test]
    fn a_row_owes_nothing_to_those_before_it() {
        let shapes = SHAPES.iter().map(|(data, ..)| line_of(data, ""));
        let beside = BESIDE.iter().map(|(after, ..)| line_of("", after));
        // the last of several counts, under either name
        let several = r#""note_tweet":{"text":"a"},"note_post":{"text":"b"},"note_tweet":{"text":"c"},"note_post":{"text":"d"}"#;
        let mut lines: Vec<String> = shapes.chain(beside).collect();
        lines.push(line_of(several, ""));
        lines.extend(lines.clone().into_iter().rev());
        let together = rows_of(&lines);
        for (line, row) in lines.iter().zip(&together) {
            let alone = rows_of(std::slice::from_ref(line));
            assert_eq!(alone.first(), Some(row), "{line}");
        }
        let note = |row: &Vec<String>| row.iter().any(|cell| cell == "{text=d}");
        assert_eq!(together.iter().filter(|row| note(row)).count(), 2);
    }

    #[test]
    fn what_has_another_shape_is_null_and_alive_in_the_line() {
        for (data, column, expected) in SHAPES {
            check(data, "", column, expected);
        }
        for (after, column, expected) in BESIDE {
            check("", after, column, expected);
        }
    }
}
