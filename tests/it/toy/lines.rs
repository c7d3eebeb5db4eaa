//! What a reading of a tide gauge is: its key is a text that says nothing of its time, which stands beside it.

use std::{borrow::Cow, sync::Arc};

use arrow_array::{ArrayRef, RecordBatch, builder::StringBuilder, cast::AsArray as _};
use arrow_schema::ArrowError;
use twinstream::{
    period::UtcMs,
    source::{
        Deletions, Dictionary, Difference, Join, List, Listed, Placed, Records, Rejected, Source,
        Table, Words,
        columns::{Column, Type, column},
        differing, json,
        key::Key,
    },
};

/// The stream.
pub(crate) const TIDES: &str = "tides";

const NO_NAME: Rejected = Rejected::new("no_name");

const READINGS: Table = Table {
    name: "readings",
    row: "One row a reading.",
    columns: &[
        ("name", "its name"),
        ("time", "when it was taken"),
        ("station", "by whom"),
        ("level", "how high the water stood"),
        ("retrieved_at", "when it was received"),
    ],
    retrieved_at: "retrieved_at",
};

const STATIONS: Table = Table {
    name: "stations",
    row: "One row a station.",
    columns: &[
        ("station", "its name"),
        ("retrieved_at", "when it was told"),
    ],
    retrieved_at: "retrieved_at",
};

const COLUMNS: [Column; 2] = [
    column("name", Type::Text, "its name").always(),
    column("level", Type::Text, "how high the water stood").always(),
];

/// Readings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tides;

/// A reading.
struct Reading {
    placed: Placed,
    station: String,
    level: String,
    retrieved_at: String,
}

impl Reading {
    fn read(line: &[u8]) -> Result<Self, Rejected> {
        let text = str::from_utf8(line).map_err(|_not_utf8| Rejected::NOT_JSON)?;
        let mut members: [String; 4] = Default::default();
        json::read(text, |name, value| {
            let known = ["name", "time", "station", "level"];
            match known.iter().position(|known| *known == name) {
                Some(place) => members[place] = value.cell()?.into_owned(),
                None => drop(value.value()?),
            }
            Ok(())
        })?;
        let [name, time, station, level] = members;
        let at = time.parse().map_err(|_no_time| NO_NAME)?;
        if name.is_empty() {
            return Err(NO_NAME);
        }
        let placed = Placed {
            key: Key::from(&*name),
            at,
            is_timed: true,
            is_prompt: true,
        };
        Ok(Self {
            placed,
            station,
            level,
            retrieved_at: String::new(),
        })
    }

    fn row(&self) -> Vec<Cow<'_, str>> {
        let time = self.placed.at.to_string();
        let name = self.placed.key.to_string();
        [name, time]
            .map(Cow::Owned)
            .into_iter()
            .chain([&*self.station, &self.level, &self.retrieved_at].map(Cow::Borrowed))
            .collect()
    }
}

fn listed(name: &str, time: &str) -> Option<Listed> {
    Some(Listed {
        key: name.into(),
        at: Some(time.parse().ok()?),
        is_timed: true,
        is_whole: true,
    })
}

impl Source for Tides {
    fn streams(&self) -> &'static [&'static str] {
        &[TIDES]
    }

    fn has_rules(&self, _stream: &str) -> bool {
        false
    }

    fn place(&self, line: &[u8]) -> Result<Placed, Rejected> {
        Reading::read(line).map(|reading| reading.placed)
    }

    fn seen(&self, _line: &[u8]) -> Option<UtcMs> {
        None
    }

    fn tells_when_seen(&self) -> bool {
        false
    }

    fn reasons(&self) -> Vec<Rejected> {
        vec![Rejected::NOT_JSON, NO_NAME]
    }

    fn author(&self, line: &[u8]) -> Option<Key> {
        Some(Key::from(&*Reading::read(line).ok()?.station))
    }

    fn key(&self, text: &str) -> Option<Key> {
        Some(text.into())
    }

    fn author_key(&self, text: &str) -> Option<Key> {
        Some(text.into())
    }

    fn time(&self, _key: &Key) -> Option<UtcMs> {
        None
    }

    fn keys_have_times_since(&self) -> Option<UtcMs> {
        None
    }

    fn times_are_claimed(&self) -> bool {
        false
    }

    fn residue(&self, _key: &Key) -> Option<u64> {
        None
    }

    fn is_named_in(&self, line: &[u8], is_listed: &dyn Fn(&Key) -> bool) -> bool {
        let text = String::from_utf8_lossy(line);
        text.split('"').any(|word| is_listed(&word.into()))
    }

    fn listed(&self, line: &str) -> Option<Listed> {
        let (name, time) = line.split_once('\t')?;
        listed(name, time)
    }

    fn deleted(&self, _line: &str) -> Option<Listed> {
        None
    }

    fn deletions(&self) -> Option<&'static dyn Deletions> {
        None
    }

    fn stands_in(&self, _key: &Key, list: List) -> bool {
        matches!(list, List::Ids | List::Table)
    }

    fn has_rows_of_all(&self) -> bool {
        true
    }

    fn key_by_row(&self, key: &Key) -> Key {
        key.clone()
    }

    fn author_by_key(&self, _key: &Key) -> Option<Key> {
        None
    }

    fn table(&self) -> &'static Table {
        &READINGS
    }

    fn authors(&self) -> &'static Table {
        &STATIONS
    }

    fn join(&self) -> Option<Join> {
        None
    }

    fn row(&self, cells: &[String]) -> Option<(Listed, Option<Key>)> {
        let [name, time, station, ..] = cells else {
            return None;
        };
        Some((listed(name, time)?, Some(Key::from(&**station))))
    }

    fn author_of_row(&self, cells: &[String]) -> Option<Key> {
        Some(Key::from(&**cells.first()?))
    }

    fn columns(&self) -> Vec<&'static Column> {
        COLUMNS.iter().collect()
    }

    fn described(&self, _members: &'static [Column]) -> &'static str {
        ""
    }

    fn dictionary(&self) -> &'static Dictionary {
        &Dictionary {
            page: "",
            ids: "",
            posts: "",
        }
    }

    fn sorted_by(&self) -> &'static [&'static str] {
        &["name"]
    }

    fn words(&self, _stream: &str) -> &'static Words {
        &Words::UNKNOWN
    }

    fn unique_columns(&self) -> &'static [&'static str] {
        &["name"]
    }

    fn keys(&self, rows: &RecordBatch) -> Option<Vec<Key>> {
        let names = rows.column_by_name("name")?.as_string_opt::<i32>()?;
        names.iter().map(|name| name.map(Key::from)).collect()
    }

    fn records<'l>(&self, _has_columns: bool) -> Box<dyn Records<'l> + 'l> {
        Box::new(Readings::default())
    }
}

/// Those of a unit of work.
#[derive(Default)]
struct Readings {
    all: Vec<Reading>,
    names: StringBuilder,
    levels: StringBuilder,
}

impl<'l> Records<'l> for Readings {
    fn read(&mut self, line: &'l [u8], retrieved_at: Option<UtcMs>) -> Result<usize, Rejected> {
        let retrieved_at = retrieved_at.map_or_else(String::new, |at| at.to_string());
        self.all.push(Reading {
            retrieved_at,
            ..Reading::read(line)?
        });
        Ok(self.all.len() - 1)
    }

    fn placed(&self, record: usize) -> &Placed {
        &self.all[record].placed
    }

    fn put_id(&self, record: usize, to: &mut Vec<u8>) {
        let Placed { key, at, .. } = self.placed(record);
        to.extend_from_slice(format!("{key}\t{at}\n").as_bytes());
    }

    fn put_deletion(&self, _record: usize, _to: &mut Vec<u8>) {}

    fn row(&self, record: usize) -> Option<Vec<Cow<'_, str>>> {
        Some(self.all[record].row())
    }

    fn differences(&self, kept: usize, other: usize) -> Vec<Difference<'_>> {
        let [kept, other] = [kept, other].map(|record| self.all[record].row());
        differing(&READINGS, kept, other)
    }

    fn author(&self, record: usize) -> Option<(Key, bool)> {
        Some((Key::from(&*self.all[record].station), true))
    }

    fn author_row(&self, record: usize) -> Vec<Cow<'_, str>> {
        let Reading {
            station,
            retrieved_at,
            ..
        } = &self.all[record];
        vec![Cow::Borrowed(station), Cow::Borrowed(retrieved_at)]
    }

    fn push_columns(&mut self, record: usize) {
        let reading = &self.all[record];
        self.names.append_value(reading.placed.key.to_string());
        self.levels.append_value(&reading.level);
    }

    fn take_columns(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        let columns = [&mut self.names, &mut self.levels];
        let finished = columns.map(|column| Arc::new(column.finish()) as ArrayRef);
        Ok(finished.into())
    }
}
