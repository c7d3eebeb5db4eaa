//! The columns of `posts.parquet` in Delta Lake's words.
//!
//! The table's schema only grows: a program that does not know a column leaves it in, and one that brings a new column
//! adds it. So programs of several versions can write to one log. Files that lack a column have null there.

use serde_json::{Value, json};

use super::super::posts::ours::OURS;
use crate::source::{
    Source,
    columns::{Column, Type},
};

/// The schema of a source's files.
pub fn of_source(source: &dyn Source) -> Value {
    of_columns(source.columns().into_iter().chain(OURS))
}

fn of_columns<'c>(columns: impl Iterator<Item = &'c Column>) -> Value {
    let field = |column: &Column| {
        json!({
            "name": column.name,
            "type": of_type(&column.kind),
            // files of an earlier program may lack it
            "nullable": true,
            "metadata": {},
        })
    };
    let fields: Vec<Value> = columns.map(field).collect();
    json!({"type": "struct", "fields": fields})
}

fn of_type(kind: &Type) -> Value {
    match kind {
        Type::Id | Type::Int => "long".into(),
        Type::Float => "double".into(),
        Type::Bool => "boolean".into(),
        Type::Time => "timestamp".into(),
        Type::Text | Type::Link | Type::Json => "string".into(),
        Type::List(item) | Type::Many(item) | Type::Others(item) => {
            json!({"type": "array", "elementType": of_type(item), "containsNull": true})
        }
        Type::Struct(columns) => of_columns(columns.iter()),
    }
}

/// What the log has, with what only we have behind it: the same again if there is nothing. An error says which column is
/// of another type.
pub fn united(known: &Value, ours: &Value) -> Result<Value, String> {
    match (known["type"].as_str(), ours["type"].as_str()) {
        (Some("struct"), Some("struct")) => {
            let fields = |of: &Value| of["fields"].as_array().cloned().unwrap_or_default();
            let ours = fields(ours);
            let named = |among: &[Value], name: &Value| {
                let mut among = among.iter();
                among.find(|field| field["name"] == *name).cloned()
            };
            let mut all = fields(known);
            for field in &mut all {
                if let Some(of_ours) = named(&ours, &field["name"]) {
                    let united = united(&field["type"], &of_ours["type"]);
                    field["type"] = united.map_err(|why| format!("{}: {why}", field["name"]))?;
                }
            }
            let is_new = |field: &Value| named(&all, &field["name"]).is_none();
            let new: Vec<Value> = ours.into_iter().filter(is_new).collect();
            all.extend(new);
            Ok(json!({"type": "struct", "fields": all}))
        }
        (Some("array"), Some("array")) => {
            let item = united(&known["elementType"], &ours["elementType"])?;
            Ok(json!({"type": "array", "elementType": item, "containsNull": true}))
        }
        _ if known == ours => Ok(known.clone()),
        _ => Err(format!("it is {known} there, and {ours} here")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::source::Sources;

    const fn column(name: &'static str, kind: Type) -> Column {
        crate::source::columns::column(name, kind, "")
    }

    #[test]
    fn the_schema_grows_and_never_shrinks() {
        const INNER: &[Column] = &[column("a", Type::Int)];
        const MORE: &[Column] = &[column("b", Type::Text), column("a", Type::Int)];
        let of = |columns: &[Column]| of_columns(columns.iter());
        let old = of(&[
            column("id", Type::Id),
            column("gone", Type::Bool),
            column("parts", Type::List(&Type::Struct(INNER))),
        ]);
        let new = of(&[
            column("new", Type::Time),
            column("id", Type::Id),
            column("parts", Type::Many(&Type::Struct(MORE))),
        ]);
        let both = united(&old, &new).unwrap();
        let names = |of: &Value| -> Vec<String> {
            let fields = of["fields"].as_array().unwrap().iter();
            fields
                .map(|field| field["name"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(names(&both), ["id", "gone", "parts", "new"]);
        assert_eq!(names(&both["fields"][2]["type"]["elementType"]), ["a", "b"]);
        // whichever program comes next, it stays
        assert_eq!(united(&both, &old).unwrap(), both);
        assert_eq!(united(&both, &new).unwrap(), both);
        let other = of(&[column("id", Type::Text)]);
        let why = united(&both, &other).unwrap_err();
        assert_eq!(why, r#""id": it is "long" there, and "string" here"#);
    }

    #[test]
    fn every_source_has_columns_that_such_a_table_can_have() {
        for source in Sources::known().all() {
            let schema = of_source(source);
            let mut names = BTreeSet::new();
            for field in schema["fields"].as_array().unwrap() {
                let name = field["name"].as_str().unwrap();
                assert!(!name.contains([' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '=']));
                assert!(names.insert(name.to_ascii_lowercase()), "{name}");
            }
            assert!(names.contains("line") && names.contains("post_time"));
        }
    }
}
