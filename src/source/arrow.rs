//! The Arrow types of the columns.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, TimeUnit};

use super::columns::{Column, Type};

/// The zone that Parquet times are in.
pub(super) const ZONE: &str = "UTC";

/// How the Parquet format wants the items of a list to be called.
const ITEM: &str = "element";

/// The Arrow type of what a column holds.
fn data_type(kind: &Type) -> DataType {
    match kind {
        Type::Id | Type::Int => DataType::Int64,
        Type::Float => DataType::Float64,
        Type::Bool => DataType::Boolean,
        Type::Time => DataType::Timestamp(TimeUnit::Millisecond, Some(ZONE.into())),
        Type::Text | Type::Link | Type::Json => DataType::Utf8,
        Type::List(item) | Type::Many(item) | Type::Others(item) => {
            DataType::List(item_field(item))
        }
        Type::Struct(columns) => DataType::Struct(fields(columns.iter())),
    }
}

pub(super) fn item_field(item: &Type) -> Arc<Field> {
    Arc::new(Field::new(ITEM, data_type(item), true))
}

/// The Arrow fields of columns.
pub fn fields<'c>(columns: impl Iterator<Item = &'c Column>) -> Fields {
    let field =
        |column: &Column| Field::new(column.name, data_type(&column.kind), !column.required);
    columns.map(field).collect()
}
