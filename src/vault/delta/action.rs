//! A version of the log: JSON actions of the Delta Lake protocol, one a line, in one form. A version that has another form
//! was not written by this program.
//!
//! The protocol asks writers for a feature that no other program has, so that nobody else's program writes here, and above
//! all none *vacuums* the table: for it, every file of the vault but the newest Parquet files would be garbage. Readers
//! need the first version of the protocol only. Old versions of the log are cleaned up by programs that do not look at
//! features (`deltalake` is one), so the table also says that versions are kept for longer than anybody will ask.

use std::{collections::BTreeMap, io, iter};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{period::UtcMs, segment::line::PROGRAM};

/// What a writer must know.
const FEATURE: &str = "twinstream";

/// How long versions are kept after a checkpoint; the protocol has no word for "for ever", and "weeks" is the largest unit that
/// all programs read.
const KEPT: [(&str, &str); 1] = [("delta.logRetentionDuration", "interval 5200 weeks")];

/// Whose number the lines of the ledger are.
pub(super) const LEDGER: &str = "twinstream-ledger";

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Action {
    CommitInfo(CommitInfo),
    Protocol(Protocol),
    MetaData(MetaData),
    Txn(Txn),
    Remove(Remove),
    Add(Add),
}

/// Who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommitInfo {
    operation: String,
    engine_info: String,
    /// The version that has the schema which holds from then on.
    meta_data_version: u64,
}

/// What readers and writers must be able to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Protocol {
    /// Of readers: the first version.
    pub min_reader_version: i32,
    /// Of writers: features that are named.
    pub min_writer_version: i32,
    /// These.
    pub writer_features: Vec<String>,
}

/// What the table is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetaData {
    /// The vault's id.
    pub id: String,
    format: Format,
    /// The columns, as JSON.
    pub schema_string: String,
    /// None: some readers take their values from the names of folders, which do not have them.
    pub partition_columns: Vec<String>,
    /// What other programs may do with the log.
    pub configuration: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Format {
    provider: String,
    options: Empty,
}

/// `{}`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Empty {}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Txn {
    app_id: String,
    version: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Remove {
    path: String,
    data_change: bool,
    extended_file_metadata: bool,
    partition_values: Empty,
    size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Add {
    path: String,
    partition_values: Empty,
    size: u64,
    modification_time: i64,
    data_change: bool,
    stats: String,
}

/// What is said of the rows of a file. Not their least and greatest ids or times: versions stay, and a post may have to go.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    num_records: u64,
}

/// A file of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFile {
    /// Where it lies in the vault.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// The end of its hour, which the table has as the time of the file.
    pub time: UtcMs,
}

/// A file that is no longer one of the table's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Where it lies in the vault.
    pub path: String,
    /// Its length.
    pub bytes: u64,
}

/// A version, as it differs from the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The program that wrote it.
    pub program: String,
    /// The version that has the schema which holds from this one on.
    pub schema_of: u64,
    /// In the first one.
    pub protocol: Option<Protocol>,
    /// In the first one, and where the schema has grown.
    pub meta_data: Option<MetaData>,
    /// How many lines of the ledger are in it.
    pub ledger: u64,
    /// What went, by path.
    pub removed: Vec<Removed>,
    /// What came, by path.
    pub added: Vec<TableFile>,
}

impl Protocol {
    /// What this program asks for.
    pub fn ours() -> Self {
        Self {
            min_reader_version: 1,
            min_writer_version: 7,
            writer_features: vec![FEATURE.to_owned()],
        }
    }
}

impl MetaData {
    /// Of a vault whose files have these columns.
    pub fn new(id: String, schema: &Value) -> Self {
        let kept = KEPT.map(|(key, value)| (key.to_owned(), value.to_owned()));
        Self::of_text(id, schema.to_string(), kept.into())
    }

    /// The same with the columns as JSON.
    pub(super) fn of_text(
        id: String,
        schema_string: String,
        configuration: BTreeMap<String, String>,
    ) -> Self {
        Self {
            id,
            format: Format {
                provider: "parquet".to_owned(),
                options: Empty {},
            },
            schema_string,
            partition_columns: Vec::new(),
            configuration,
        }
    }

    /// The columns.
    pub fn schema(&self) -> Result<Value, String> {
        let schema = serde_json::from_str(&self.schema_string);
        schema.map_err(|why| format!("its schema: {}", in_one_line(&why)))
    }
}

/// What is said of the rows of a file.
pub(super) fn stats(rows: u64) -> String {
    // writing numbers to memory
    serde_json::to_string(&Stats { num_records: rows }).unwrap_or_default()
}

/// How many rows that says the file has.
pub(super) fn rows_of(stats: &str) -> Result<u64, String> {
    let stats: Result<Stats, _> = serde_json::from_str(stats);
    stats
        .map(|stats| stats.num_records)
        .map_err(|why| format!("its statistics: {}", in_one_line(&why)))
}

/// What serde says, which may repeat what somebody else wrote.
fn in_one_line(why: &serde_json::Error) -> String {
    why.to_string().replace(char::is_control, " ")
}

impl Version {
    /// A version that this program writes.
    pub fn new(schema_of: u64, ledger: u64) -> Self {
        Self {
            program: PROGRAM.to_owned(),
            schema_of,
            protocol: None,
            meta_data: None,
            ledger,
            removed: Vec::new(),
            added: Vec::new(),
        }
    }

    fn actions(&self) -> impl Iterator<Item = Action> {
        let info = Action::CommitInfo(CommitInfo {
            operation: "MERGE".to_owned(),
            engine_info: self.program.clone(),
            meta_data_version: self.schema_of,
        });
        let txn = Action::Txn(Txn {
            app_id: LEDGER.to_owned(),
            version: self.ledger,
        });
        let remove = |removed: &Removed| {
            Action::Remove(Remove {
                path: removed.path.clone(),
                data_change: true,
                extended_file_metadata: true,
                partition_values: Empty {},
                size: removed.bytes,
            })
        };
        let add = |added: &TableFile| {
            Action::Add(Add {
                path: added.path.clone(),
                partition_values: Empty {},
                size: added.bytes,
                modification_time: added.time.0,
                data_change: true,
                stats: stats(added.rows),
            })
        };
        iter::once(info)
            .chain(self.protocol.clone().map(Action::Protocol))
            .chain(self.meta_data.clone().map(Action::MetaData))
            .chain([txn])
            .chain(self.removed.iter().map(remove))
            .chain(self.added.iter().map(add))
    }

    /// Its one form.
    pub fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for action in self.actions() {
            serde_json::to_writer(&mut bytes, &action)?;
            bytes.push(b'\n');
        }
        Ok(bytes)
    }

    /// From its bytes; an error says why they are not a version of this log.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let (mut info, mut ledger) = (None, None);
        let mut version = Self::new(0, 0);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match serde_json::from_slice(line).map_err(|why| in_one_line(&why))? {
                Action::CommitInfo(found) => info = Some(found),
                Action::Protocol(found) => version.protocol = Some(found),
                Action::MetaData(found) => version.meta_data = Some(found),
                Action::Txn(found) => ledger = Some(found.version),
                Action::Remove(Remove { path, size, .. }) => {
                    version.removed.push(Removed { path, bytes: size });
                }
                Action::Add(add) => version.added.push(TableFile {
                    rows: rows_of(&add.stats)?,
                    path: add.path,
                    bytes: add.size,
                    time: UtcMs(add.modification_time),
                }),
            }
        }
        let info = info.ok_or("it does not say who wrote it")?;
        version.program = info.engine_info;
        version.schema_of = info.meta_data_version;
        version.ledger = ledger.ok_or("it does not say which lines of the ledger are in it")?;
        match version.to_bytes() {
            Ok(same) if same == bytes => Ok(version),
            _ => Err("it is not written as this program writes it".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_version_has_one_form_and_nothing_of_others_is_taken_for_one() {
        let schema = json!({"type": "struct", "fields": []});
        let version = Version {
            protocol: Some(Protocol::ours()),
            meta_data: Some(MetaData::new("ab".to_owned(), &schema)),
            removed: vec![Removed {
                path: "2026-11-23/a".to_owned(),
                bytes: 3,
            }],
            added: vec![TableFile {
                path: "2026-11-23/b".to_owned(),
                bytes: 5,
                rows: 7,
                time: UtcMs(1_000),
            }],
            program: "twinstream/1".to_owned(),
            ..Version::new(4, 41)
        };
        let bytes = version.to_bytes().unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert_eq!(
            text,
            r#"{"commitInfo":{"operation":"MERGE","engineInfo":"twinstream/1","metaDataVersion":4}}
{"protocol":{"minReaderVersion":1,"minWriterVersion":7,"writerFeatures":["twinstream"]}}
{"metaData":{"id":"ab","format":{"provider":"parquet","options":{}},"schemaString":"{\"fields\":[],\"type\":\"struct\"}","partitionColumns":[],"configuration":{"delta.logRetentionDuration":"interval 5200 weeks"}}}
{"txn":{"appId":"twinstream-ledger","version":41}}
{"remove":{"path":"2026-11-23/a","dataChange":true,"extendedFileMetadata":true,"partitionValues":{},"size":3}}
{"add":{"path":"2026-11-23/b","partitionValues":{},"size":5,"modificationTime":1000,"dataChange":true,"stats":"{\"numRecords\":7}"}}
"#
        );
        assert_eq!(Version::read(&bytes).unwrap(), version);
        let torn = text.strip_suffix('\n').unwrap();
        let swapped: Vec<&str> = text.lines().rev().collect();
        let swapped = swapped.join("\n") + "\n";
        for other in [
            "",
            "\n",
            "{}\n",
            torn,
            &*swapped,
            &text.replace("true", "false"),
            &text.replace("twinstream-ledger", "streaming-query"),
            &text.replace("\"size\":5", "\"size\":5,\"tags\":{}"),
            &text.replace("add", "cdc"),
            r#"{"commitInfo":{"operation":"WRITE","timestamp":1}}"#,
        ] {
            assert!(Version::read(other.as_bytes()).is_err(), "{other}");
        }
    }
}
