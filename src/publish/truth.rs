//! Whether a file that is to go out is what the vault's manifests say it must be.
//!
//! No file is trusted because it is there: a day's files are made again from the manifests of its hours, the ledger
//! is read line by line, and a manifest must be exactly as this program writes it, without any foreign word.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
};

use serde_json::Value;

use crate::{
    period::{Day, Hour},
    report::{
        files, read,
        statement::{AnyStatement, BYTES_MAX, Statement},
    },
    segment::{seal::Digester, sha256::Sha256},
    source::{Listed, Source},
    vault::{
        day, layout, ledger,
        manifest::{MANIFEST_BYTES_MAX, Manifest},
        public::{DayFile, Public},
        published::Published,
        witness::{self, Witness, WitnessStamp},
    },
    world::{
        disk::{self, Disk},
        error_at::At as _,
    },
};

/// A line of ids is no longer than that in any stream.
const ID_BYTES_MAX: u64 = 4_096;

/// `twinstream/0.1.0`, and some more for a version's suffix.
const PROGRAM_BYTES_MAX: usize = 64;

/// The platform's words about a gap are cut to 300 bytes when they are recorded; a gap of all has those of
/// each server.
const WORDS_BYTES_MAX: usize = 4_096;

/// Why a file is not what it must be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Untrue {
    /// It was written with a certificate that speaks of former revisions.
    Outdated,
    /// It says something else.
    Other(String),
}

impl From<String> for Untrue {
    fn from(why: String) -> Self {
        Self::Other(why)
    }
}

/// What files are held against.
pub(super) struct Truth<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) vault: &'a Path,
    /// What the vault's ids are.
    pub(super) source: &'static dyn Source,
    /// Files published earlier were checked then.
    pub(super) published: &'a Published,
}

impl Truth<'_> {
    /// Checks the bytes of a file. Those of ids are known by the hash that the hour's manifest has of them.
    pub(super) fn check(&self, what: Public, bytes: &[u8]) -> Result<(), Untrue> {
        match what {
            Public::Ids(_) => Ok(check_ids(self.source, bytes)?),
            Public::Manifest(hour) => Ok(check_manifest(hour, bytes)?),
            Public::Ledger => Ok(self.check_ledger(bytes)?),
            Public::Day(day, file) => self.check_day(day, file, bytes),
            // this run has made it again when it read the vault, and has its hash
            Public::Root(_) => Ok(()),
            Public::Authority(name) => {
                let found = witness::authority(self.disk, self.vault, name);
                Ok(found.map(drop).map_err(|why| why.to_string())?)
            }
            Public::Stamp(name) => {
                let all = Witness::open(self.disk, self.vault, None);
                let all = all.map_err(|why| why.to_string())?;
                let found = all.stamp(self.disk, name);
                Ok(found.map(drop).map_err(|why| why.to_string())?)
            }
        }
    }

    fn check_day(&self, day: Day, file: DayFile, bytes: &[u8]) -> Result<(), Untrue> {
        let folder = layout::day_folder(self.vault, day);
        let said = read::day(self.disk, &folder, day).map_err(|why| why.to_string())?;
        if let Some(table) = day::table(file, &said.hours) {
            return same(bytes, &table);
        }
        let mut now = Statement::of(day, said).map_err(|why| why.to_string())?;
        read::beside(self.disk, self.vault, &mut now).map_err(|why| why.to_string())?;
        let path = Public::Day(day, DayFile::Statement).path(self.vault);
        if matches!(self.disk.len(&path), Ok(None)) {
            // it is put in place after the others
            return Err(Untrue::Outdated);
        }
        let told = disk::read_bounded(self.disk, &path, BYTES_MAX);
        let told = told.at(&path).map_err(|why| why.to_string())?;
        let told =
            AnyStatement::read(&told).map_err(|why| format!("it is not a certificate: {why}"))?;
        if !is_program(&told.program) {
            let why = format!("it is not a certificate: {:?} is no program", told.program);
            return Err(Untrue::Other(why));
        }
        let mut then = now.clone();
        then.program.clone_from(&told.program);
        // a day that was reported before there was a stamp, or a DOI, names none
        then.witness = told.witness.and_then(|told| self.held(&now, &told));
        then.doi = now.doi.clone().filter(|_| told.doi.is_some());
        let found = same(bytes, &files::text(&then, file));
        let is_outdated = || {
            !told
                .revisions
                .iter()
                .eq(now.revisions.iter().map(|it| &it.of))
        };
        // or it is put in place before the statement that it goes with
        if found.is_err() && (is_outdated() || same(bytes, &files::text(&now, file)).is_ok()) {
            return Err(Untrue::Outdated);
        }
        found
    }

    /// The stamp that a statement names, if it is as it says and covers what is stated.
    fn held(&self, of: &Statement, told: &WitnessStamp) -> Option<WitnessStamp> {
        let witness = Witness::open(self.disk, self.vault, None).ok()?;
        let line = witness.line_of(of.revisions.iter().map(|it| &it.of))?;
        let stamp = witness.stamp(self.disk, told.name.parse().ok()?).ok()?;
        (stamp == *told && line <= stamp.line).then_some(stamp)
    }

    /// Every line is one, chained to the line before, and no manifest contradicts it.
    fn check_ledger(&self, bytes: &[u8]) -> Result<(), String> {
        if let Some(line) = ledger::breaks_in(bytes).first() {
            return Err(format!(
                "line {line} is not as this program writes it, or not chained to the one before"
            ));
        }
        let mut so_far = Digester::default();
        let mut unknown = Vec::new();
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            so_far.update(line);
            unknown.push(line);
            if self
                .published
                .has(Public::Ledger, so_far.clone().finish().sha256)
            {
                unknown.clear();
            }
        }
        for line in unknown {
            let line: ledger::LedgerLine =
                serde_json::from_slice(line).map_err(|why| why.to_string())?;
            self.check_line(&line)?;
        }
        Ok(())
    }

    fn check_line(&self, line: &ledger::LedgerLine) -> Result<(), String> {
        let in_place = layout::manifest_path(self.vault, line.hour);
        let former = layout::archived_path(self.vault, line.hour, line.revision);
        for path in [&in_place, &former] {
            if self
                .disk
                .len(path)
                .map_err(|why| why.to_string())?
                .is_none()
            {
                continue;
            }
            let bytes = disk::read_bounded(self.disk, path, MANIFEST_BYTES_MAX);
            let bytes = bytes.at(path).map_err(|why| why.to_string())?;
            if Sha256::of(&bytes) == line.manifest_sha256 {
                return Ok(());
            }
            let manifest = Manifest::from_json(&bytes);
            let is_it = |manifest: &Manifest| manifest.history.revision == line.revision;
            if manifest.as_ref().map_or(true, is_it) {
                return Err(format!(
                    "its line of {} r{} has another hash than {}",
                    line.hour,
                    line.revision,
                    path.display()
                ));
            }
        }
        // a former manifest that has been lost contradicts nothing
        Ok(())
    }
}

fn same(bytes: &[u8], expected: &str) -> Result<(), Untrue> {
    if bytes == expected.as_bytes() {
        return Ok(());
    }
    let what = "it is not what the manifests of its day say";
    Err(Untrue::Other(what.to_owned()))
}

/// `twinstream/0.1.0`
fn is_program(text: &str) -> bool {
    let version = text.strip_prefix("twinstream/").unwrap_or_default();
    let is_of_version = |c: char| c.is_ascii_alphanumeric() || ".-+".contains(c);
    !version.is_empty() && text.len() <= PROGRAM_BYTES_MAX && version.chars().all(is_of_version)
}

/// It is that of its hour, in the one form, and its words are those of a manifest.
fn check_manifest(hour: Hour, bytes: &[u8]) -> Result<(), String> {
    let manifest = Manifest::from_json(bytes).map_err(|why| why.to_string())?;
    if manifest.hour != hour {
        return Err(format!("it is the manifest of {}", manifest.hour));
    }
    if manifest.to_json() != bytes {
        return Err("it is not as this program writes it".to_owned());
    }
    let words = serde_json::to_value(&manifest).map_err(|why| why.to_string())?;
    match foreign_word(&words, "") {
        Some(word) => Err(format!("{word:?} is not a word of a manifest")),
        None if !is_program(&manifest.program) => {
            Err(format!("{:?} is no program", manifest.program))
        }
        None => Ok(()),
    }
}

/// A text in a manifest that is neither a name, a number, a time nor a hash, except in members that hold words, which
/// have a bounded length.
fn foreign_word<'v>(value: &'v Value, member: &str) -> Option<&'v str> {
    let is_name = |text: &str| {
        let may = |c: char| c.is_ascii_alphanumeric() || "_.:+-/".contains(c);
        text.chars().all(may)
    };
    let is_ours = |text: &str| match member {
        "detail" | "method" | "cause" | "redactions" => text.len() <= WORDS_BYTES_MAX,
        _ => is_name(text),
    };
    match value {
        Value::String(text) => Some(text.as_str()).filter(|text| !is_ours(text)),
        Value::Array(items) => items.iter().find_map(|item| foreign_word(item, member)),
        Value::Object(members) => members.iter().find_map(|(name, value)| {
            let wrong = Some(name.as_str()).filter(|name| !is_ours(name));
            wrong.or_else(|| foreign_word(value, name))
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Every line is an id, greater than the one before.
fn check_ids(source: &dyn Source, bytes: &[u8]) -> Result<(), String> {
    let mut lines = BufReader::new(liblzma::read::XzDecoder::new_multi_decoder(bytes));
    let mut line = Vec::new();
    let mut before: Option<Listed> = None;
    for number in 1_u64.. {
        line.clear();
        let read = lines
            .by_ref()
            .take(ID_BYTES_MAX)
            .read_until(b'\n', &mut line);
        if read.map_err(|why| why.to_string())? == 0 {
            break;
        }
        let is_after = |listed: &Listed| {
            let before = before.as_ref();
            before.is_none_or(|before| before.order() < listed.order())
        };
        let listed = line
            .strip_suffix(b"\n")
            .and_then(|line| source.listed(str::from_utf8(line).ok()?))
            .filter(is_after);
        if listed.is_none() {
            return Err(format!(
                "line {number} is not an id, or not greater than the one before"
            ));
        }
        before = listed;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::source::x::X;

    fn xz(text: &str) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn ids_are_ids_and_nothing_else() {
        for good in ["", "1\n9223372036854775807\n"] {
            assert_eq!(check_ids(&X, &xz(good)), Ok(()));
        }
        for bad in [
            "1\n2",
            "1\n\n2\n",
            "id,text\n",
            "1\n2,hello\n",
            "9223372036854775808\n",
            "1 \n",
            "+1\n",
            "2\n1\n",
            "2\n2\n",
        ] {
            assert!(check_ids(&X, &xz(bad)).is_err(), "{bad:?}");
        }
        assert!(check_ids(&X, b"no xz").is_err());
    }

    #[test]
    fn a_program_has_a_name_and_a_version() {
        assert!(is_program(crate::segment::line::PROGRAM));
        for no in [
            "",
            "twinstream/",
            "twinstream/0.1 hello",
            "hello/1",
            "twinstream/0.1.0\nhello",
        ] {
            assert!(!is_program(no), "{no:?}");
        }
    }

    #[test]
    fn words_stand_only_where_a_manifest_has_words() {
        let of = |json: &str| {
            let value: Value = serde_json::from_str(json).unwrap();
            foreign_word(&value, "").map(str::to_owned)
        };
        let good = r#"{"hour":"2026-11-23_14","gaps":[{"cause":"not running","detail":"a b"}]}"#;
        assert_eq!(of(good), None);
        for bad in [
            r#"{"stream":"what they wrote"}"#,
            r#"{"inputs":[{"name":"what they wrote"}]}"#,
            r#"{"inputs":[{"name":"1"},{"name":"what they wrote"}]}"#,
            r#"{"counts":{"what they wrote":1}}"#,
        ] {
            assert_eq!(of(bad).as_deref(), Some("what they wrote"), "{bad}");
        }
        let detail = |bytes| format!(r#"{{"gaps":[{{"detail":"{}"}}]}}"#, "a ".repeat(bytes / 2));
        assert_eq!(of(&detail(WORDS_BYTES_MAX)), None);
        assert!(
            of(&detail(WORDS_BYTES_MAX + 2)).is_some(),
            "as long as a post"
        );
    }

    #[test]
    fn a_table_is_the_same_in_every_byte() {
        assert_eq!(same(b"hour\tposts\n", "hour\tposts\n"), Ok(()));
        for other in ["hour\tpostz\n", "hour\tposts", "hour\tposts\n\n", ""] {
            assert!(
                same(other.as_bytes(), "hour\tposts\n").is_err(),
                "{other:?}"
            );
        }
    }
}
