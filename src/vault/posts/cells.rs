//! JSON as it stands in a line → typed columns.
//!
//! Nothing in here fails: what has not the shape that its column expects is null there, and stands
//! in the row's whole line all the same. `null`, `[]`, `{}` and a missing member are the same.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, ListArray, StructArray,
    builder::{
        BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMillisecondBuilder,
        UInt64Builder,
    },
};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, Fields, TimeUnit};

use super::{
    api_beside::USER,
    columns::{Column, Type},
};
use crate::{
    period::UtcMs,
    post::{
        id,
        json::{cell, items, members},
    },
};

/// The zone that Parquet times are in.
const ZONE: &str = "UTC";

/// How the Parquet format wants the items of a list to be called.
const ITEM: &str = "element";

/// The Arrow type of what a column holds.
fn data_type(kind: &Type) -> DataType {
    match kind {
        Type::Id => DataType::UInt64,
        Type::Int => DataType::Int64,
        Type::Float => DataType::Float64,
        Type::Bool => DataType::Boolean,
        Type::Time => DataType::Timestamp(TimeUnit::Millisecond, Some(ZONE.into())),
        Type::Text | Type::Link | Type::Json => DataType::Utf8,
        Type::List(item) | Type::Many(item) => DataType::List(item_field(item)),
        Type::Others => DataType::List(item_field(&OTHER_USER)),
        Type::Struct(columns) => DataType::Struct(fields(columns.iter())),
    }
}

/// The item of [`Type::Others`].
const OTHER_USER: Type = Type::Struct(USER);

fn item_field(item: &Type) -> Arc<Field> {
    Arc::new(Field::new(ITEM, data_type(item), true))
}

/// The Arrow fields of columns.
pub(super) fn fields<'c>(columns: impl Iterator<Item = &'c Column>) -> Fields {
    let field =
        |column: &Column| Field::new(column.name, data_type(&column.kind), !column.required);
    columns.map(field).collect()
}

/// What a list accepts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Accepts {
    /// Only a list.
    List,
    /// Also a value that stands alone.
    One,
    /// Only users other than the author.
    Others,
}

/// A column that is being filled.
pub(super) enum Cells {
    Id(UInt64Builder),
    Int(Int64Builder),
    Float(Float64Builder),
    Bool(BooleanBuilder),
    Time(TimestampMillisecondBuilder),
    Text(StringBuilder),
    Link(StringBuilder),
    Json(StringBuilder),
    List(Box<List>),
    Struct(Struct),
}

/// A list column.
pub(super) struct List {
    accepts: Accepts,
    field: Arc<Field>,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
    items: Cells,
}

/// An object column.
pub(super) struct Struct {
    columns: &'static [Column],
    fields: Fields,
    nulls: NullBufferBuilder,
    cells: Vec<Cells>,
    len: usize,
}

/// Whether a value says anything.
fn is_present(json: &str) -> bool {
    let is_empty = |open, close| {
        json.strip_prefix(open)
            .and_then(|rest: &str| rest.strip_suffix(close))
            .is_some_and(|inside| inside.trim_ascii().is_empty())
    };
    !(json == "null" || is_empty('[', ']') || is_empty('{', '}'))
}

/// The text of a string.
fn text(json: &str) -> Option<std::borrow::Cow<'_, str>> {
    json.starts_with('"').then(|| cell(json))
}

impl Cells {
    pub(super) fn new(kind: &'static Type) -> Self {
        let list = |accepts, item| {
            Self::List(Box::new(List {
                accepts,
                field: item_field(item),
                offsets: vec![0],
                nulls: NullBufferBuilder::new(0),
                items: Self::new(item),
            }))
        };
        match kind {
            Type::Id => Self::Id(UInt64Builder::with_capacity(0)),
            Type::Int => Self::Int(Int64Builder::with_capacity(0)),
            Type::Float => Self::Float(Float64Builder::with_capacity(0)),
            Type::Bool => Self::Bool(BooleanBuilder::with_capacity(0)),
            Type::Time => {
                Self::Time(TimestampMillisecondBuilder::with_capacity(0).with_timezone(ZONE))
            }
            Type::Text => Self::Text(StringBuilder::with_capacity(0, 0)),
            Type::Link => Self::Link(StringBuilder::with_capacity(0, 0)),
            Type::Json => Self::Json(StringBuilder::with_capacity(0, 0)),
            Type::List(item) => list(Accepts::List, item),
            Type::Many(item) => list(Accepts::One, item),
            Type::Others => list(Accepts::Others, &OTHER_USER),
            Type::Struct(columns) => Self::Struct(Struct::new(columns)),
        }
    }

    /// Takes a value in. `author` is the post's author.
    pub(super) fn push(&mut self, json: Option<&str>, author: &str) {
        let Some(json) = json.filter(|json| is_present(json)) else {
            return self.push_null();
        };
        match self {
            Self::Id(cells) => cells.append_option(id::parse(&cell(json))),
            Self::Int(cells) => cells.append_option(cell(json).parse().ok()),
            Self::Float(cells) => {
                let number: Option<f64> = json.parse().ok();
                cells.append_option(number.filter(|number| number.is_finite()));
            }
            Self::Bool(cells) => cells.append_option(json.parse().ok()),
            Self::Time(cells) => {
                let at = text(json).and_then(|text| text.parse::<UtcMs>().ok());
                cells.append_option(at.map(|at| at.0));
            }
            Self::Text(cells) => cells.append_option(text(json)),
            Self::Link(cells) => cells.append_option(link(json)),
            Self::Json(cells) => cells.append_value(json),
            Self::List(list) => list.push(json, author),
            Self::Struct(cells) => cells.push(json, author),
        }
    }

    fn push_null(&mut self) {
        match self {
            Self::Id(cells) => cells.append_null(),
            Self::Int(cells) => cells.append_null(),
            Self::Float(cells) => cells.append_null(),
            Self::Bool(cells) => cells.append_null(),
            Self::Time(cells) => cells.append_null(),
            Self::Text(cells) | Self::Link(cells) | Self::Json(cells) => cells.append_null(),
            Self::List(list) => list.end(false),
            Self::Struct(cells) => cells.push_null(),
        }
    }

    pub(super) fn finish(self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Id(mut cells) => Arc::new(cells.finish()),
            Self::Int(mut cells) => Arc::new(cells.finish()),
            Self::Float(mut cells) => Arc::new(cells.finish()),
            Self::Bool(mut cells) => Arc::new(cells.finish()),
            Self::Time(mut cells) => Arc::new(cells.finish()),
            Self::Text(mut cells) | Self::Link(mut cells) | Self::Json(mut cells) => {
                Arc::new(cells.finish())
            }
            Self::List(list) => Arc::new(list.finish()?),
            Self::Struct(cells) => Arc::new(cells.finish()?),
        })
    }
}

/// An address, alone or in an object.
fn link(json: &str) -> Option<String> {
    let mut url = None;
    // its syntax was checked with the whole line
    let checked = members(json, |key, value| {
        if key == b"url" {
            url = text(value);
        }
    });
    checked.ok()?;
    url.or_else(|| text(json)).map(Into::into)
}

/// Whether it is the object of the user with that id.
fn is_user(json: &str, user_id: &str) -> bool {
    let mut is_it = false;
    let checked = members(json, |key, value| {
        if key == b"id" {
            is_it = cell(value) == user_id;
        }
    });
    checked.is_ok() && is_it && !user_id.is_empty()
}

impl List {
    fn push(&mut self, json: &str, author: &str) {
        let mut pushed = false;
        if json.starts_with('[') {
            let (accepts, cells) = (self.accepts, &mut self.items);
            let checked = items(json, |item| {
                if accepts != Accepts::Others || !is_user(item, author) {
                    cells.push(Some(item), author);
                    pushed = true;
                }
            });
            pushed &= checked.is_ok();
        } else if self.accepts == Accepts::One && self.items.would_take(json) {
            self.items.push(Some(json), author);
            pushed = true;
        }
        self.end(pushed);
    }

    /// Ends a row's list.
    fn end(&mut self, is_valid: bool) {
        // a batch of rows is far below 2^31 items: see `rows::BATCH_BYTES_MAX`
        let end = i32::try_from(self.items.len()).unwrap_or(i32::MAX);
        self.offsets.push(end);
        self.nulls.append(is_valid);
    }

    fn finish(mut self) -> Result<ListArray, ArrowError> {
        ListArray::try_new(
            self.field,
            OffsetBuffer::new(ScalarBuffer::from(self.offsets)),
            self.items.finish()?,
            self.nulls.finish(),
        )
    }
}

impl Cells {
    fn len(&self) -> usize {
        use arrow_array::builder::ArrayBuilder as _;
        match self {
            Self::Id(cells) => cells.len(),
            Self::Int(cells) => cells.len(),
            Self::Float(cells) => cells.len(),
            Self::Bool(cells) => cells.len(),
            Self::Time(cells) => cells.len(),
            Self::Text(cells) | Self::Link(cells) | Self::Json(cells) => cells.len(),
            Self::List(list) => list.offsets.len() - 1,
            Self::Struct(cells) => cells.len,
        }
    }

    /// Whether a value that stands alone is an item of this kind.
    fn would_take(&self, json: &str) -> bool {
        match self {
            Self::Id(_) => id::parse(&cell(json)).is_some(),
            Self::Struct(_) => json.starts_with('{'),
            _ => false,
        }
    }
}

impl Struct {
    pub(super) fn new(columns: &'static [Column]) -> Self {
        Self {
            columns,
            fields: fields(columns.iter()),
            nulls: NullBufferBuilder::new(0),
            cells: columns.iter().map(|c| Cells::new(&c.kind)).collect(),
            len: 0,
        }
    }

    pub(super) fn push(&mut self, json: &str, author: &str) {
        // the newer and the older name of each member; the last of several with one name counts
        let mut found: Vec<[Option<&str>; 2]> = vec![[None; 2]; self.columns.len()];
        let checked = members(json, |key, value| {
            for (column, [newer, older]) in self.columns.iter().zip(&mut found) {
                if column.name.as_bytes() == key {
                    *newer = Some(value);
                } else if column.also.as_bytes() == key && !key.is_empty() {
                    *older = Some(value);
                }
            }
        });
        if checked.is_err() || !json.starts_with('{') {
            return self.push_null();
        }
        for (cells, [newer, older]) in self.cells.iter_mut().zip(found) {
            let newer = newer.filter(|json| is_present(json));
            cells.push(newer.or(older), author);
        }
        self.nulls.append_non_null();
        self.len += 1;
    }

    fn push_null(&mut self) {
        for cells in &mut self.cells {
            cells.push_null();
        }
        self.nulls.append_null();
        self.len += 1;
    }

    /// Its columns, each by itself.
    pub(super) fn into_columns(self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.cells.into_iter().map(Cells::finish).collect()
    }

    fn finish(mut self) -> Result<StructArray, ArrowError> {
        let cells: Result<Vec<ArrayRef>, ArrowError> =
            self.cells.into_iter().map(Cells::finish).collect();
        StructArray::try_new(self.fields, cells?, self.nulls.finish())
    }
}
