//! Reads the TOML file: known keys only, each with its line.
//!
//! Nothing is decided here: missing, doubtful or contradictory values are for `resolve`.

use std::{collections::BTreeMap, fmt};

use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

/// The defaults, which are also the manual; the only place where a default stands.
pub const DEFAULT: &str = include_str!("default.toml");

/// Every key outside `[[servers]]`, as it is written with its tables.
pub const KEYS: &[&str] = &[
    "source",
    "data_dir",
    "spool_dir",
    "vault_dir",
    "publisher",
    "s3.endpoint",
    "s3.region",
    "s3.access_key_file",
    "s3.ca_file",
    "x.stream",
    "x.partitions",
    "x.rules",
    "x.base_url",
    "x.bearer_token_file",
    "x.fields",
    "x.backfill",
    "x.max_line",
    "bluesky.collections",
    "bluesky.endpoints",
    "bluesky.overlap",
    "bluesky.compress",
    "bluesky.dictionary_file",
    "bluesky.honour_deletions",
    "deliver.every",
    "deliver.keep_delivered",
    "deliver.ssh_options",
    "merge.timezone",
    "merge.settle",
    "merge.formats",
    "merge.xz",
    "merge.keep_raw",
    "merge.keep_free",
    "merge.orphans",
    "merge.keep_superseded",
    "hook.after_hour",
    "publish.forbid",
    "publish.osf.project",
    "publish.osf.storage",
    "publish.osf.token_file",
    "publish.osf.every",
    "publish.osf.ids_per_30_days",
    "publish.osf.base_url",
    "witness.tsa",
    "witness.tsa_ca_file",
    "witness.every",
    "mail.host",
    "mail.port",
    "mail.tls",
    "mail.user",
    "mail.password_file",
    "mail.from",
    "mail.to",
    "mail.helo",
    "mail.daily_report_at",
    "status.listen",
    "status.token_file",
    "dataset.title",
    "dataset.creators",
    "dataset.description",
    "dataset.licence",
    "dataset.keywords",
    "dataset.funding",
    "dataset.related",
];

/// Every key of a `[[servers]]` entry.
pub const SERVER_KEYS: &[&str] = &[
    "id",
    "role",
    "host",
    "endpoint",
    "partitions",
    "deliver_to",
    "until",
];

/// Keys that hold a list of tables, and the keys of these, which all hold texts.
pub const TABLE_KEYS: &[(&str, &[&str])] = &[
    ("dataset.creators", &["name", "orcid", "affiliation"]),
    ("x.rules", &["value", "tag"]),
];

/// A problem of a configuration: where, which key, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, from 1; `None` for what is missing.
    pub line: Option<usize>,
    /// The key, with its tables; empty when the file as a whole is meant.
    pub key: String,
    /// Why it is wrong.
    pub why: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// Whether it concerns mail only: collecting works without that.
    pub fn is_of_mail(&self) -> bool {
        self.key == "mail" || self.key.starts_with("mail.")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "`{}`: ", self.key)?;
        }
        f.write_str(&self.why)
    }
}

/// A value as it is written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(untagged)]
pub enum Value {
    /// `"text"`
    Text(String),
    /// `true` or `false`
    Bool(bool),
    /// `123`
    Integer(i64),
    /// `["a", "b"]`
    List(Vec<String>),
    /// `[{ name = "a" }, { name = "b" }]`
    Tables(Vec<Table>),
}

/// A table of a list.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Table {
    /// Where it begins, from 1.
    #[serde(skip)]
    pub line: usize,
    /// Its texts, by key.
    pub texts: BTreeMap<String, String>,
}

impl fmt::Display for Table {
    /// As it is written in TOML.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |text: &String| toml::Value::String(text.clone());
        let texts = self.texts.iter();
        let texts: Vec<String> = texts
            .map(|(key, of)| format!("{key} = {}", text(of)))
            .collect();
        write!(f, "{{ {} }}", texts.join(", "))
    }
}

impl fmt::Display for Value {
    /// As it is written in TOML.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::List(list) => write!(f, "{list:?}"),
            Self::Tables(tables) => {
                let tables: Vec<String> = tables.iter().map(Table::to_string).collect();
                write!(f, "[{}]", tables.join(", "))
            }
        }
    }
}

/// A value and the line it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What is written.
    pub value: Value,
    /// Where, from 1.
    pub line: usize,
}

/// A file with known keys only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// By key with its tables, such as `x.base_url`.
    pub entries: BTreeMap<String, Entry>,
    /// The `[[servers]]` entries in their order, by key, and the line each begins on.
    pub servers: Vec<(usize, BTreeMap<String, Entry>)>,
    /// Problems of `[mail]`; the rest of the file is still used.
    pub of_mail: Vec<Problem>,
}

/// Reads a file; reports all problems at once.
pub fn read(text: &str) -> Result<Written, Vec<Problem>> {
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let line = error.span().map(|span| line_of(text, span.start));
            let why = format!("it is not TOML: {}", error.message());
            return Err(vec![Problem {
                line,
                key: String::new(),
                why,
                hint: None,
            }]);
        }
    };
    let mut reading = Reading {
        text,
        written: Written::default(),
        problems: Vec::new(),
    };
    reading.table("", table.get_ref());
    if reading.problems.iter().all(Problem::is_of_mail) {
        reading.written.of_mail = reading.problems;
        Ok(reading.written)
    } else {
        Err(reading.problems)
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count()
}

/// A file that is being read.
struct Reading<'a> {
    text: &'a str,
    written: Written,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let line = line_of(self.text, key.span().start);
            let path = format!("{prefix}{}", key.get_ref());
            let is_table = KEYS
                .iter()
                .any(|known| known.starts_with(&format!("{path}.")));
            match value.get_ref() {
                DeValue::Table(inner) if is_table => self.table(&format!("{path}."), inner),
                DeValue::Array(list) if path == "servers" => {
                    for server in list {
                        self.server(line_of(self.text, server.span().start), server.get_ref());
                    }
                }
                _ if path == "servers" => {
                    self.wrong(
                        line,
                        &path,
                        "each server is a table",
                        Some("write [[servers]]"),
                    );
                }
                _ if is_table => {
                    self.wrong(line, &path, "it is a table", Some("write it as [table]"));
                }
                DeValue::Array(list) if is_table_list(&path, list) => {
                    let tables = list
                        .iter()
                        .filter_map(|of| self.table_of(&path, of))
                        .collect();
                    let value = Value::Tables(tables);
                    self.written.entries.insert(path, Entry { value, line });
                }
                value if KEYS.contains(&path.as_str()) => match entry(value, line) {
                    Ok(entry) => {
                        self.written.entries.insert(path, entry);
                    }
                    Err(why) => self.wrong(line, &path, why, None),
                },
                _ => self.unknown(line, &path, &known_here(prefix)),
            }
        }
    }

    /// A table of a list: known keys, with texts.
    fn table_of(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Option<Table> {
        let (_, known) = TABLE_KEYS.iter().find(|(key, _)| *key == path)?;
        let mut table = Table {
            line: line_of(self.text, value.span().start),
            texts: BTreeMap::new(),
        };
        for (key, value) in value.get_ref().as_table()? {
            let line = line_of(self.text, key.span().start);
            let name = key.get_ref().to_string();
            let whole = format!("{path}.{name}");
            if !known.contains(&name.as_str()) {
                let known: Vec<String> = known.iter().map(|key| format!("{path}.{key}")).collect();
                self.unknown(line, &whole, &known);
            } else if let Some(text) = value.get_ref().as_str() {
                table.texts.insert(name, text.to_owned());
            } else {
                self.wrong(line, &whole, "it takes a text", Some("put it in quotes"));
            }
        }
        Some(table)
    }

    fn server(&mut self, begin: usize, value: &DeValue<'_>) {
        let DeValue::Table(table) = value else {
            self.wrong(
                begin,
                "servers",
                "each server is a table",
                Some("write [[servers]]"),
            );
            return;
        };
        let mut entries = BTreeMap::new();
        for (key, value) in table {
            let line = line_of(self.text, key.span().start);
            let name = key.get_ref().as_ref();
            if !SERVER_KEYS.contains(&name) {
                let known: Vec<String> = SERVER_KEYS.iter().map(|key| (*key).to_owned()).collect();
                self.unknown(line, name, &known);
                continue;
            }
            match entry(value.get_ref(), line) {
                Ok(entry) => {
                    entries.insert(name.to_owned(), entry);
                }
                Err(why) => self.wrong(line, name, why, None),
            }
        }
        self.written.servers.push((begin, entries));
    }

    fn wrong(&mut self, line: usize, key: &str, why: &str, hint: Option<&str>) {
        self.problems.push(Problem {
            line: Some(line),
            key: key.to_owned(),
            why: why.to_owned(),
            hint: hint.map(str::to_owned),
        });
    }

    fn unknown(&mut self, line: usize, key: &str, known: &[String]) {
        let near = |known: &&String| strsim::damerau_levenshtein(known, key);
        let hint = match known.iter().min_by_key(near) {
            Some(known) if strsim::damerau_levenshtein(known, key) <= 3 => {
                format!("did you mean `{known}`?")
            }
            _ => format!("known here: {}", known.join(", ")),
        };
        self.wrong(line, key, "there is no such key", Some(&hint));
    }
}

/// Whether a list is one of tables, where that is what is expected.
fn is_table_list(path: &str, list: &DeArray<'_>) -> bool {
    let is_table = |item: &Spanned<DeValue<'_>>| matches!(item.get_ref(), DeValue::Table(_));
    TABLE_KEYS.iter().any(|(key, _)| *key == path) && !list.is_empty() && list.iter().all(is_table)
}

/// The keys and tables that may stand below a prefix.
fn known_here(prefix: &str) -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    for key in KEYS.iter().filter_map(|key| key.strip_prefix(prefix)) {
        let first = key.split('.').next().unwrap_or(key);
        let whole = format!("{prefix}{first}");
        if !known.contains(&whole) {
            known.push(whole);
        }
    }
    if prefix.is_empty() {
        known.push("servers".to_owned());
    }
    known
}

fn entry(value: &DeValue<'_>, line: usize) -> Result<Entry, &'static str> {
    let value = match value {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_too_large) => return Err("the number is too large"),
        },
        DeValue::Array(list) => {
            let texts = list
                .iter()
                .map(|item| item.get_ref().as_str().map(str::to_owned));
            match texts.collect::<Option<Vec<String>>>() {
                Some(list) => Value::List(list),
                None => return Err("the list takes texts only"),
            }
        }
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::Float(_) => return Err("a number with a decimal point does not fit here"),
        DeValue::Table(_) => return Err("it is a table, but a value is expected"),
    };
    Ok(Entry { value, line })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_problems(text: &str, expected: &[(usize, &str, &str)]) {
        let problems = read(text).unwrap_err();
        let found: Vec<(usize, String, String)> = problems
            .iter()
            .map(|p| {
                (
                    p.line.unwrap(),
                    p.to_string(),
                    p.hint.clone().unwrap_or_default(),
                )
            })
            .collect();
        let expected: Vec<(usize, String, String)> = expected
            .iter()
            .map(|(l, w, h)| (*l, (*w).to_owned(), (*h).to_owned()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
        check_problems(
            "data_dir = \"/x\"\n[deliver]\nevry = \"1m\"\n",
            &[(
                3,
                "`deliver.evry`: there is no such key",
                "did you mean `deliver.every`?",
            )],
        );
        check_problems(
            "[x]\nbase_url = 1.5\n[[servers]]\nid = \"1\"\nhosst = \"a\"\n[colour]\nred = 1\n",
            &[
                (
                    2,
                    "`x.base_url`: a number with a decimal point does not fit here",
                    "",
                ),
                (5, "`hosst`: there is no such key", "did you mean `host`?"),
                (
                    6,
                    "`colour`: there is no such key",
                    "known here: source, data_dir, spool_dir, vault_dir, publisher, s3, x, bluesky, deliver, merge, hook, publish, witness, mail, status, dataset, servers",
                ),
            ],
        );
        check_problems(
            "x = \n",
            &[(
                1,
                "it is not TOML: string values must be quoted, expected literal string",
                "",
            )],
        );
    }

    /// The manual with every key that has no default written out.
    fn uncommented() -> String {
        let is_key = |line: &str| {
            let line = line.strip_prefix("# ").unwrap_or("");
            line.starts_with('[')
                || line.split_once(" = ").is_some_and(|(key, _)| {
                    key.bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
                })
        };
        let open = |line: &str| {
            if is_key(line) {
                line[2..].to_owned()
            } else {
                line.to_owned()
            }
        };
        DEFAULT.lines().map(open).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_manual_has_every_key_and_a_comment_for_each() {
        let text = uncommented();
        let written = read(&text).unwrap();
        let found: Vec<&str> = written.entries.keys().map(String::as_str).collect();
        let mut known = KEYS.to_vec();
        known.sort_unstable();
        assert_eq!(found, known);
        let of_servers: std::collections::BTreeSet<&str> = written
            .servers
            .iter()
            .flat_map(|(_, server)| server.keys())
            .map(String::as_str)
            .collect();
        assert_eq!(of_servers, SERVER_KEYS.iter().copied().collect());
        assert!(
            KEYS.len() + SERVER_KEYS.len() <= 70,
            "more keys than anybody will read"
        );
        for line in ["x.fields", "merge.settle", "deliver.every"] {
            assert!(
                read(DEFAULT).unwrap().entries.contains_key(line),
                "{line} has a default"
            );
        }
    }
}
