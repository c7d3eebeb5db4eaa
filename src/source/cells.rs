//! Turns JSON in a line into typed columns.
//!
//! Nothing in here fails: a value that does not have the type of its column is null there, and is still in the row's
//! whole line. `null`, `[]`, `{}` and a missing member are the same.

use std::{ops::Range, sync::Arc};

use arrow_array::{
    ArrayRef, ListArray, StructArray,
    builder::{
        BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMillisecondBuilder,
    },
};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, Field, Fields};

use super::{
    arrow::{ZONE, fields, item_field},
    columns::{Column, Type},
    json::{Object, cell, items, members},
    key::numeric_id,
};
use crate::period::UtcMs;

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

/// The author of the record whose row is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Author<'a> {
    /// The id.
    pub id: &'a str,
    /// The object as it is in the line; empty if there is none.
    pub json: &'a str,
}

/// A column that is being filled. Most posts lack most members, so nulls are only counted until a
/// value comes.
pub struct Cells {
    cells: CellBuilder,
    /// Nulls that follow and are not there yet.
    nulls: usize,
}

/// What it is filled with.
enum CellBuilder {
    Id(Int64Builder),
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
struct List {
    accepts: Accepts,
    field: Arc<Field>,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
    items: Cells,
}

/// An object column.
pub struct Struct {
    /// The names of its members, sorted by [`sort_key`].
    names: Vec<Name>,
    fields: Fields,
    nulls: NullBufferBuilder,
    cells: Vec<Cells>,
    len: usize,
    /// For each place in an object, the name that was last found there: members come in the same
    /// order again and again.
    usual: Vec<usize>,
    /// Where in the object that is taken in the value of each column stands, under its newer and
    /// under its older name; and the columns that have one.
    found: Vec<[Range<usize>; 2]>,
    present: Vec<usize>,
}

/// The position of a part of a text in it.
fn place_in(text: &str, part: &str) -> Range<usize> {
    let begin = part.as_ptr().addr() - text.as_ptr().addr();
    begin..begin + part.len()
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
    /// An empty column.
    pub fn new(kind: &'static Type) -> Self {
        let list = |accepts, item| {
            CellBuilder::List(Box::new(List {
                accepts,
                field: item_field(item),
                offsets: vec![0],
                nulls: NullBufferBuilder::new(0),
                items: Self::new(item),
            }))
        };
        let cells = match kind {
            Type::Id => CellBuilder::Id(Int64Builder::with_capacity(0)),
            Type::Int => CellBuilder::Int(Int64Builder::with_capacity(0)),
            Type::Float => CellBuilder::Float(Float64Builder::with_capacity(0)),
            Type::Bool => CellBuilder::Bool(BooleanBuilder::with_capacity(0)),
            Type::Time => {
                CellBuilder::Time(TimestampMillisecondBuilder::with_capacity(0).with_timezone(ZONE))
            }
            Type::Text => CellBuilder::Text(StringBuilder::with_capacity(0, 0)),
            Type::Link => CellBuilder::Link(StringBuilder::with_capacity(0, 0)),
            Type::Json => CellBuilder::Json(StringBuilder::with_capacity(0, 0)),
            Type::List(item) => list(Accepts::List, item),
            Type::Many(item) => list(Accepts::One, item),
            Type::Others(item) => list(Accepts::Others, item),
            Type::Struct(columns) => CellBuilder::Struct(Struct::new(columns)),
        };
        Self { cells, nulls: 0 }
    }

    /// Takes a value in.
    pub fn push(&mut self, json: Option<&str>, author: Author<'_>) {
        let Some(json) = json.filter(|json| is_present(json)) else {
            self.nulls += 1;
            return;
        };
        self.settle();
        match &mut self.cells {
            CellBuilder::Id(cells) => {
                cells.append_option(numeric_id(&cell(json)).map(u64::cast_signed));
            }
            CellBuilder::Int(cells) => cells.append_option(cell(json).parse().ok()),
            CellBuilder::Float(cells) => {
                let number: Option<f64> = json.parse().ok();
                cells.append_option(number.filter(|number| number.is_finite()));
            }
            CellBuilder::Bool(cells) => cells.append_option(json.parse().ok()),
            CellBuilder::Time(cells) => {
                let at = text(json).and_then(|text| text.parse::<UtcMs>().ok());
                cells.append_option(at.map(|at| at.0));
            }
            CellBuilder::Text(cells) => cells.append_option(text(json)),
            CellBuilder::Link(cells) => cells.append_option(link(json)),
            CellBuilder::Json(cells) => cells.append_value(json),
            CellBuilder::List(list) => list.push(json, author),
            CellBuilder::Struct(cells) => cells.push(json, author),
        }
    }

    /// Takes an object in whose members are known; `None` and an empty one are null.
    pub fn push_object(&mut self, object: Option<&Object<'_>>, author: Author<'_>) {
        let Some(object) = object.filter(|object| is_present(object.json)) else {
            self.nulls += 1;
            return;
        };
        self.settle();
        if let CellBuilder::Struct(cells) = &mut self.cells {
            cells.push_object(object, author);
        }
    }

    /// Puts the nulls in that were only counted.
    fn settle(&mut self) {
        let nulls = std::mem::take(&mut self.nulls);
        if nulls == 0 {
            return;
        }
        match &mut self.cells {
            CellBuilder::Id(cells) | CellBuilder::Int(cells) => cells.append_nulls(nulls),
            CellBuilder::Float(cells) => cells.append_nulls(nulls),
            CellBuilder::Bool(cells) => cells.append_nulls(nulls),
            CellBuilder::Time(cells) => cells.append_nulls(nulls),
            CellBuilder::Text(cells) | CellBuilder::Link(cells) | CellBuilder::Json(cells) => {
                cells.append_nulls(nulls);
            }
            CellBuilder::List(list) => list.append_nulls(nulls),
            CellBuilder::Struct(cells) => cells.append_nulls(nulls),
        }
    }

    /// The column, with all that was taken in.
    pub fn finish(mut self) -> Result<ArrayRef, ArrowError> {
        self.settle();
        Ok(match self.cells {
            CellBuilder::Id(mut cells) | CellBuilder::Int(mut cells) => Arc::new(cells.finish()),
            CellBuilder::Float(mut cells) => Arc::new(cells.finish()),
            CellBuilder::Bool(mut cells) => Arc::new(cells.finish()),
            CellBuilder::Time(mut cells) => Arc::new(cells.finish()),
            CellBuilder::Text(mut cells)
            | CellBuilder::Link(mut cells)
            | CellBuilder::Json(mut cells) => Arc::new(cells.finish()),
            CellBuilder::List(list) => Arc::new(list.finish()?),
            CellBuilder::Struct(cells) => Arc::new(cells.finish()?),
        })
    }

    fn len(&self) -> usize {
        use arrow_array::builder::ArrayBuilder as _;
        let settled = match &self.cells {
            CellBuilder::Id(cells) | CellBuilder::Int(cells) => cells.len(),
            CellBuilder::Float(cells) => cells.len(),
            CellBuilder::Bool(cells) => cells.len(),
            CellBuilder::Time(cells) => cells.len(),
            CellBuilder::Text(cells) | CellBuilder::Link(cells) | CellBuilder::Json(cells) => {
                cells.len()
            }
            CellBuilder::List(list) => list.offsets.len() - 1,
            CellBuilder::Struct(cells) => cells.len,
        };
        settled + self.nulls
    }

    /// Adds nulls up to that length.
    fn fill(&mut self, len: usize) {
        self.nulls += len.saturating_sub(self.len());
    }

    /// Whether a value that stands alone is an item of this kind.
    fn would_take(&self, json: &str) -> bool {
        match self.cells {
            CellBuilder::Id(_) => numeric_id(&cell(json)).is_some(),
            CellBuilder::Struct(_) => json.starts_with('{'),
            _ => false,
        }
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

/// Whether it is the list of the author's object and of nothing else.
fn is_only_author(json: &str, author: Author<'_>) -> bool {
    let inside = json
        .strip_prefix('[')
        .and_then(|json| json.strip_suffix(']'));
    inside.is_some_and(|inside| std::ptr::eq(inside, author.json))
}

/// Whether it is the author's object.
fn is_author(json: &str, author: Author<'_>) -> bool {
    if std::ptr::eq(json, author.json) {
        return true;
    }
    let mut is_it = false;
    let checked = members(json, |key, value| {
        if key == b"id" {
            is_it = cell(value) == author.id;
        }
    });
    checked.is_ok() && is_it && !author.id.is_empty()
}

impl List {
    fn push(&mut self, json: &str, author: Author<'_>) {
        let mut pushed = false;
        if self.accepts == Accepts::Others && is_only_author(json, author) {
            // so it is with most posts
        } else if json.starts_with('[') {
            let (accepts, cells) = (self.accepts, &mut self.items);
            let checked = items(json, |item| {
                if accepts != Accepts::Others || !is_author(item, author) {
                    cells.push(Some(item), author);
                    pushed = true;
                }
            });
            pushed &= checked.is_ok();
        } else if self.accepts == Accepts::One && self.items.would_take(json) {
            self.items.push(Some(json), author);
            pushed = true;
        }
        self.offsets.push(self.end());
        self.nulls.append(pushed);
    }

    fn append_nulls(&mut self, nulls: usize) {
        let len = self.offsets.len() + nulls;
        self.offsets.resize(len, self.end());
        self.nulls.append_n_nulls(nulls);
    }

    /// Where the items of the rows so far end.
    fn end(&self) -> i32 {
        // a batch of rows is far below 2^31 items: see `rows::BATCH_BYTES_MAX`
        i32::try_from(self.items.len()).unwrap_or(i32::MAX)
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

/// A name of a member, the column that it belongs to, and whether it is the older of two.
type Name = (&'static str, usize, bool);

/// Sorts names; those of another length need no further look.
fn sort_key(name: &[u8]) -> (usize, &[u8]) {
    (name.len(), name)
}

impl Struct {
    /// An object column without rows.
    pub fn new(columns: &'static [Column]) -> Self {
        let names = columns.iter().enumerate().flat_map(|(number, column)| {
            let older = Some(column.also).filter(|also| !also.is_empty());
            let newer = (column.name, number, false);
            std::iter::once(newer).chain(older.map(|also| (also, number, true)))
        });
        let mut names: Vec<Name> = names.collect();
        names.sort_unstable_by_key(|(name, ..)| sort_key(name.as_bytes()));
        Self {
            names,
            fields: fields(columns.iter()),
            nulls: NullBufferBuilder::new(0),
            cells: columns.iter().map(|c| Cells::new(&c.kind)).collect(),
            len: 0,
            usual: Vec::new(),
            found: vec![[0..0, 0..0]; columns.len()],
            present: Vec::new(),
        }
    }

    fn push(&mut self, json: &str, author: Author<'_>) {
        self.begin();
        let mut nth = 0;
        let checked = members(json, |key, value| {
            self.find(nth, key, place_in(json, value));
            nth += 1;
        });
        if checked.is_ok() && json.starts_with('{') {
            self.end(json, author);
        } else {
            self.append_nulls(1);
        }
    }

    /// Takes an object in whose members are known.
    pub fn push_object(&mut self, object: &Object<'_>, author: Author<'_>) {
        if !object.json.starts_with('{') {
            return self.append_nulls(1);
        }
        self.begin();
        for (nth, (key, value)) in object.members.iter().enumerate() {
            self.find(nth, key.as_bytes(), place_in(object.json, value));
        }
        self.end(object.json, author);
    }

    /// Forgets what was found in the object before.
    fn begin(&mut self) {
        for column in self.present.drain(..) {
            if let Some(found) = self.found.get_mut(column) {
                *found = [0..0, 0..0];
            }
        }
    }

    /// Takes the values in that were found in an object.
    fn end(&mut self, json: &str, author: Author<'_>) {
        for &column in &self.present {
            let Some([newer, older]) = self.found.get(column) else {
                continue;
            };
            let value = |place: &Range<usize>| json.get(place.clone()).filter(|v| !v.is_empty());
            // the newer name counts, if it says anything
            let newer = value(newer).filter(|json| is_present(json));
            if let Some(cells) = self.cells.get_mut(column) {
                cells.fill(self.len);
                cells.push(newer.or_else(|| value(older)), author);
            }
        }
        self.nulls.append_non_null();
        self.len += 1;
    }

    /// Notes where the value of a member stands, if there is a column for it; the last of several
    /// with one name counts.
    fn find(&mut self, nth: usize, key: &[u8], place: Range<usize>) {
        let Some((_, column, is_older)) = self.known(nth, key) else {
            return;
        };
        let Some(found) = self.found.get_mut(column) else {
            return;
        };
        if found.iter().all(Range::is_empty) {
            self.present.push(column);
        }
        let [newer, older] = found;
        *(if is_older { older } else { newer }) = place;
    }

    /// The column of the member that is the `nth` of its object.
    fn known(&mut self, nth: usize, key: &[u8]) -> Option<Name> {
        let usual = self.usual.get(nth).and_then(|usual| self.names.get(*usual));
        if let Some(name) = usual.filter(|(name, ..)| name.as_bytes() == key) {
            return Some(*name);
        }
        let by_key = |(name, ..): &Name| sort_key(name.as_bytes()).cmp(&sort_key(key));
        let known = self.names.binary_search_by(by_key).ok()?;
        if self.usual.len() <= nth && nth < self.names.len() {
            self.usual.resize(nth + 1, 0);
        }
        if let Some(usual) = self.usual.get_mut(nth) {
            *usual = known;
        }
        self.names.get(known).copied()
    }

    fn append_nulls(&mut self, nulls: usize) {
        self.nulls.append_n_nulls(nulls);
        self.len += nulls;
    }

    /// Its columns, each by itself.
    pub fn into_columns(self) -> Result<Vec<ArrayRef>, ArrowError> {
        let cells = self.cells.into_iter();
        let finish = |mut cells: Cells| {
            cells.fill(self.len);
            cells.finish()
        };
        cells.map(finish).collect()
    }

    fn finish(mut self) -> Result<StructArray, ArrowError> {
        let (fields, nulls) = (self.fields.clone(), self.nulls.finish());
        StructArray::try_new(fields, self.into_columns()?, nulls)
    }
}
