//! Cells of `posts.parquet` by the names of their columns, as deep as they go. A cell that is not there is
//! `None`, whatever the reason.

use arrow_array::{
    Array as _, ArrayRef, RecordBatch, StructArray,
    cast::AsArray as _,
    types::{Int64Type, TimestampMillisecondType},
};

use crate::period::UtcMs;

/// A row, or an object in one.
pub(super) struct Row<'a> {
    of: &'a StructArray,
    at: usize,
}

/// The rows of a batch.
pub(super) fn table(batch: &RecordBatch) -> StructArray {
    StructArray::from(batch.clone())
}

impl<'a> Row<'a> {
    /// The row of that number.
    pub(super) fn new(of: &'a StructArray, at: usize) -> Self {
        Self { of, at }
    }

    fn cell(&self, name: &str) -> Option<&'a ArrayRef> {
        let column = self.of.column_by_name(name)?;
        (self.at < column.len() && column.is_valid(self.at)).then_some(column)
    }

    pub(super) fn id(&self, name: &str) -> Option<u64> {
        u64::try_from(self.number(name)?).ok()
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        let numbers = self.cell(name)?.as_primitive_opt::<Int64Type>()?;
        Some(numbers.value(self.at))
    }

    pub(super) fn time(&self, name: &str) -> Option<UtcMs> {
        let times = self.cell(name)?;
        let times = times.as_primitive_opt::<TimestampMillisecondType>()?;
        Some(UtcMs(times.value(self.at)))
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        Some(self.cell(name)?.as_boolean_opt()?.value(self.at))
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        Some(self.cell(name)?.as_string_opt::<i32>()?.value(self.at))
    }

    pub(super) fn object(&self, name: &str) -> Option<Self> {
        let of = self.cell(name)?.as_struct_opt()?;
        Some(Self { of, at: self.at })
    }

    /// The texts of a list.
    pub(super) fn texts(&self, name: &str) -> Vec<&'a str> {
        let items = || {
            let list = self.cell(name)?.as_list_opt::<i32>()?;
            let of = list.values().as_string_opt::<i32>()?;
            let edge = |at: usize| usize::try_from(*list.value_offsets().get(at)?).ok();
            let each = edge(self.at)?..edge(self.at + 1)?;
            Some(
                each.filter(|at| of.is_valid(*at))
                    .map(|at| of.value(at))
                    .collect(),
            )
        };
        items().unwrap_or_default()
    }

    /// The objects of a list.
    pub(super) fn each(&self, name: &str) -> Vec<Self> {
        let items = || {
            let list = self.cell(name)?.as_list_opt::<i32>()?;
            let of = list.values().as_struct_opt()?;
            let edge = |at: usize| usize::try_from(*list.value_offsets().get(at)?).ok();
            let each = edge(self.at)?..edge(self.at + 1)?;
            Some(each.map(|at| Self { of, at }).collect())
        };
        items().unwrap_or_default()
    }
}
