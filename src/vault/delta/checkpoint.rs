//! All files of a version as one Parquet file, so that a reader need not begin with the first version: one row each for
//! the protocol, the table, the ledger, and every file.
//!
//! Files that were removed before are not in it, nor is a column for them: who reads a table does not need them, and nobody
//! else may clean up here.

use std::{collections::BTreeMap, io, sync::Arc};

use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, Int32Array, Int64Array, ListArray, MapArray,
    RecordBatch, StringArray, StructArray,
    builder::{ListBuilder, MapBuilder, MapFieldNames, StringBuilder},
    cast::AsArray as _,
    types::{Int32Type, Int64Type},
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, Fields, Schema};
use bytes::Bytes;
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
        arrow_writer::ArrowWriterOptions,
    },
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};

use super::{
    super::posts::read::check_size,
    action::{LEDGER, MetaData, Protocol, TableFile, rows_of, stats},
    table::Table,
};
use crate::{period::UtcMs, world::panic::contained};

/// A row.
enum Row<'t> {
    Protocol(&'t Protocol),
    MetaData(&'t MetaData),
    Ledger(u64),
    Add(&'t TableFile),
}

/// The columns of one kind of row; in all other rows they are null.
struct Part {
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl Part {
    const fn new() -> Self {
        Self {
            fields: Vec::new(),
            arrays: Vec::new(),
        }
    }

    fn with(mut self, name: &str, array: impl Array + 'static) -> Self {
        let kind = array.data_type().clone();
        self.fields.push(Field::new(name, kind, true));
        self.arrays.push(Arc::new(array));
        self
    }

    fn of(self, rows: &[Row<'_>], is_one: impl Fn(&Row<'_>) -> bool) -> StructArray {
        let valid = rows.iter().map(is_one).collect::<NullBuffer>();
        StructArray::new(Fields::from(self.fields), self.arrays, Some(valid))
    }
}

fn texts<'t>(rows: &[Row<'t>], of: impl Fn(&Row<'t>) -> Option<String>) -> StringArray {
    rows.iter().map(of).collect()
}

fn numbers(rows: &[Row<'_>], of: impl Fn(&Row<'_>) -> Option<u64>) -> Int64Array {
    let number = |row| of(row).map(u64::cast_signed);
    rows.iter().map(number).collect()
}

fn lists<'t>(rows: &[Row<'t>], of: impl Fn(&Row<'t>) -> Option<&'t [String]>) -> ListArray {
    let item = Field::new("element", DataType::Utf8, true);
    let mut lists = ListBuilder::new(StringBuilder::new()).with_field(item);
    for row in rows {
        let list = of(row);
        lists.append_option(list.map(|list| list.iter().map(Some)));
    }
    lists.finish()
}

/// Maps without entries.
fn maps(rows: &[Row<'_>], is_one: impl Fn(&Row<'_>) -> bool) -> io::Result<MapArray> {
    let none = BTreeMap::new();
    maps_of(rows, |row| is_one(row).then_some(&none))
}

fn maps_of<'m>(
    rows: &[Row<'m>],
    of: impl Fn(&Row<'m>) -> Option<&'m BTreeMap<String, String>>,
) -> io::Result<MapArray> {
    let names = MapFieldNames {
        entry: "key_value".to_owned(),
        key: "key".to_owned(),
        value: "value".to_owned(),
    };
    let mut maps = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for row in rows {
        let map = of(row);
        for (key, value) in map.into_iter().flatten() {
            maps.keys().append_value(key);
            maps.values().append_value(value);
        }
        maps.append(map.is_some()).map_err(io::Error::other)?;
    }
    Ok(maps.finish())
}

fn add(rows: &[Row<'_>]) -> io::Result<StructArray> {
    let of = |row: &Row<'_>, is: fn(&TableFile) -> u64| match row {
        Row::Add(file) => Some(is(file)),
        _ => None,
    };
    let is_one = |row: &Row<'_>| matches!(row, Row::Add(_));
    let path = |row: &Row<'_>| match row {
        Row::Add(file) => Some(file.path.clone()),
        _ => None,
    };
    let always: BooleanArray = rows.iter().map(|row| is_one(row).then_some(true)).collect();
    Ok(Part::new()
        .with("path", texts(rows, path))
        .with("partitionValues", maps(rows, is_one)?)
        .with("size", numbers(rows, |row| of(row, |file| file.bytes)))
        .with(
            "modificationTime",
            numbers(rows, |row| of(row, |file| file.time.0.cast_unsigned())),
        )
        .with("dataChange", always)
        .with(
            "stats",
            texts(rows, |row| of(row, |file| file.rows).map(stats)),
        )
        .of(rows, is_one))
}

fn meta_data<'m>(rows: &[Row<'m>]) -> io::Result<StructArray> {
    let is_one = |row: &Row<'_>| matches!(row, Row::MetaData(_));
    let text = |row: &Row<'_>, of: fn(&MetaData) -> &str| match row {
        Row::MetaData(meta_data) => Some(of(meta_data).to_owned()),
        _ => None,
    };
    let format = Part::new()
        .with("provider", texts(rows, |row| text(row, |_| "parquet")))
        .with("options", maps(rows, is_one)?)
        .of(rows, is_one);
    let configuration = |row: &Row<'m>| match row {
        Row::MetaData(meta_data) => Some(&meta_data.configuration),
        _ => None,
    };
    let partitions = |row: &Row<'_>| is_one(row).then_some(&[][..]);
    Ok(Part::new()
        .with("id", texts(rows, |row| text(row, |of| &of.id)))
        .with("format", format)
        .with(
            "schemaString",
            texts(rows, |row| text(row, |of| &of.schema_string)),
        )
        .with("partitionColumns", lists(rows, partitions))
        .with("configuration", maps_of(rows, configuration)?)
        .of(rows, is_one))
}

fn features<'t>(row: &Row<'t>) -> Option<&'t [String]> {
    match row {
        Row::Protocol(protocol) => Some(&protocol.writer_features),
        _ => None,
    }
}

fn protocol(rows: &[Row<'_>]) -> StructArray {
    let number = |of: fn(&Protocol) -> i32| -> Int32Array {
        let of_row = |row: &Row<'_>| match row {
            Row::Protocol(protocol) => Some(of(protocol)),
            _ => None,
        };
        rows.iter().map(of_row).collect()
    };
    Part::new()
        .with("minReaderVersion", number(|of| of.min_reader_version))
        .with("minWriterVersion", number(|of| of.min_writer_version))
        .with("readerFeatures", lists(rows, |_| None))
        .with("writerFeatures", lists(rows, features))
        .of(rows, |row| matches!(row, Row::Protocol(_)))
}

fn txn(rows: &[Row<'_>]) -> StructArray {
    let is_one = |row: &Row<'_>| matches!(row, Row::Ledger(_));
    let lines = |row: &Row<'_>| match row {
        Row::Ledger(lines) => Some(*lines),
        _ => None,
    };
    let app = |row: &Row<'_>| is_one(row).then(|| LEDGER.to_owned());
    Part::new()
        .with("appId", texts(rows, app))
        .with("version", numbers(rows, lines))
        .of(rows, is_one)
}

/// The rows of a table.
fn rows(table: &Table) -> impl Iterator<Item = Row<'_>> {
    let protocol = table.protocol.iter().map(Row::Protocol);
    let meta_data = table.meta_data.iter().map(Row::MetaData);
    protocol
        .chain(meta_data)
        .chain([Row::Ledger(table.ledger)])
        .chain(table.files.values().map(Row::Add))
}

/// How many rows a table has.
pub fn len(table: &Table) -> u64 {
    rows(table).count() as u64
}

/// A table as a file.
pub fn write(table: &Table) -> io::Result<Vec<u8>> {
    let rows: Vec<Row<'_>> = rows(table).collect();
    let columns = [
        ("txn", txn(&rows)),
        ("add", add(&rows)?),
        ("metaData", meta_data(&rows)?),
        ("protocol", protocol(&rows)),
    ];
    let field =
        |(name, array): &(&str, StructArray)| Field::new(*name, array.data_type().clone(), true);
    let fields: Vec<Field> = columns.iter().map(field).collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.map(|(_, array)| Arc::new(array) as ArrayRef);
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays.to_vec());
    let batch = batch.map_err(io::Error::other)?;
    let level = ZstdLevel::try_new(2).map_err(io::Error::other)?;
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level));
    let options = ArrowWriterOptions::new()
        .with_properties(properties.build())
        .with_skip_arrow_metadata(true);
    let writer = ArrowWriter::try_new_with_options(Vec::new(), schema, options);
    let mut writer = writer.map_err(io::Error::other)?;
    writer.write(&batch).map_err(io::Error::other)?;
    writer.into_inner().map_err(io::Error::other)
}

/// A table from a file; an error says what is wrong with it.
pub fn read(bytes: Vec<u8>) -> Result<Table, String> {
    let bytes = Bytes::from(bytes);
    let table = contained(|| {
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options);
        let builder = builder.map_err(io::Error::other)?;
        check_size(builder.metadata())?;
        let reader = builder.build();
        let mut table = Table::default();
        for batch in reader.map_err(io::Error::other)? {
            let batch = batch.map_err(io::Error::other)?;
            take(&mut table, &batch).map_err(io::Error::other)?;
        }
        Ok(table)
    });
    let table = table.map_err(|why| why.to_string())?;
    if table.protocol.is_none() || table.meta_data.is_none() || table.ledger == 0 {
        return Err("it does not say what the table is".to_owned());
    }
    Ok(table)
}

/// A column of a struct, or of a batch.
fn child<'a>(of: Option<&'a ArrayRef>, name: &str) -> Result<&'a ArrayRef, String> {
    of.ok_or_else(|| format!("it has no column {name}"))
}

fn text(of: &StructArray, name: &str, row: usize) -> Result<String, String> {
    let column = child(of.column_by_name(name), name)?;
    let column = column.as_string_opt::<i32>();
    let column = column.ok_or_else(|| format!("{name} is no text"))?;
    Ok(column.value(row).to_owned())
}

fn number<T: ArrowPrimitiveType>(
    of: &StructArray,
    name: &str,
    row: usize,
) -> Result<T::Native, String> {
    let column = child(of.column_by_name(name), name)?;
    let column = column.as_primitive_opt::<T>();
    let column = column.ok_or_else(|| format!("{name} is no number"))?;
    Ok(column.value(row))
}

fn list(of: &StructArray, name: &str, row: usize) -> Result<Vec<String>, String> {
    let column = child(of.column_by_name(name), name)?;
    let items = column.as_list_opt::<i32>().map(|lists| lists.value(row));
    let items = items
        .as_ref()
        .and_then(|items| items.as_string_opt::<i32>());
    let items = items.ok_or_else(|| format!("{name} is no list of texts"))?;
    Ok(items.iter().flatten().map(str::to_owned).collect())
}

fn map(of: &StructArray, name: &str, row: usize) -> Result<BTreeMap<String, String>, String> {
    let column = child(of.column_by_name(name), name)?;
    let entries = column.as_map_opt().map(|maps| maps.value(row));
    let texts = |nth: usize| {
        let column = entries.as_ref()?.columns().get(nth)?;
        column.as_string_opt::<i32>()
    };
    let (Some(keys), Some(values)) = (texts(0), texts(1)) else {
        return Err(format!("{name} is no map of texts"));
    };
    let values = values
        .iter()
        .map(|value| value.unwrap_or_default().to_owned());
    Ok(keys
        .iter()
        .flatten()
        .map(str::to_owned)
        .zip(values)
        .collect())
}

/// Takes the rows of a batch in.
fn take(table: &mut Table, batch: &RecordBatch) -> Result<(), String> {
    let part = |name: &str| {
        let column = child(batch.column_by_name(name), name)?;
        let part = column.as_struct_opt();
        part.ok_or_else(|| format!("{name} has no columns"))
    };
    let (txn, add) = (part("txn")?, part("add")?);
    let (meta_data, protocol) = (part("metaData")?, part("protocol")?);
    for row in 0..batch.num_rows() {
        if txn.is_valid(row) && text(txn, "appId", row)? == LEDGER {
            table.ledger = number::<Int64Type>(txn, "version", row)?.cast_unsigned();
        }
        if protocol.is_valid(row) {
            table.protocol = Some(Protocol {
                min_reader_version: number::<Int32Type>(protocol, "minReaderVersion", row)?,
                min_writer_version: number::<Int32Type>(protocol, "minWriterVersion", row)?,
                writer_features: list(protocol, "writerFeatures", row)?,
            });
        }
        if meta_data.is_valid(row) {
            let schema = text(meta_data, "schemaString", row)?;
            let id = text(meta_data, "id", row)?;
            let configuration = map(meta_data, "configuration", row)?;
            table.meta_data = Some(MetaData::of_text(id, schema, configuration));
        }
        if add.is_valid(row) {
            let file = TableFile {
                path: text(add, "path", row)?,
                bytes: number::<Int64Type>(add, "size", row)?.cast_unsigned(),
                rows: rows_of(&text(add, "stats", row)?)?,
                time: UtcMs(number::<Int64Type>(add, "modificationTime", row)?),
            };
            table.files.insert(file.path.clone(), file);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{
        super::table::tests::{file, next},
        *,
    };
    use crate::period::Hour;

    #[test]
    fn a_checkpoint_is_the_table_and_nothing_else_is_one() {
        let lines: Vec<(Hour, u64)> = (0..40).map(|hour| (Hour(hour), 1)).collect();
        let mut table = Table::default();
        table.take(&next(true, 0, &lines)).unwrap();
        let bytes = write(&table).unwrap();
        assert_eq!(bytes, write(&table).unwrap());
        let found = read(bytes.clone()).unwrap();
        assert_eq!(found, table);
        assert_eq!(len(&found), 43);
        assert!(
            found
                .files
                .values()
                .cloned()
                .eq(lines.iter().map(|(hour, n)| file(*hour, *n)))
        );
        // with nothing in it
        let empty = Table {
            files: BTreeMap::new(),
            ..table
        };
        assert_eq!(read(write(&empty).unwrap()).unwrap(), empty);
        assert!(read(Vec::new()).is_err());
        assert!(read(bytes[..bytes.len() / 2].to_vec()).is_err());
        assert!(read(write(&Table::default()).unwrap()).is_err());
    }
}
