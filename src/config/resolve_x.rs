//! Resolves `[x]` into valid settings, and says which parts of a stream a server collects.

use std::borrow::Cow;

use super::{
    file::{Entry, Table, Value},
    resolve::Resolving,
    settings::{Fields, RULE_CHARS_PAY_PER_USE, X, XStream},
};
use crate::segment::{
    name::Partition,
    rules::{Rule, spelled},
};

/// A line's length.
const MAX_LINE: std::ops::RangeInclusive<u64> = 64 << 10..=1 << 30;

/// The longest rule that X takes from anybody (enterprise). Which length and which operators an app may have is X's to say:
/// `rules push` has it say so.
const RULE_CHARS_MAX: usize = 2_048;

/// Every answer is recorded with all rules: at most this many. An app on pay-per-use may have as many; a contract
/// allows more.
const RULES_MAX: usize = 1_000;

impl Resolving<'_> {
    pub(super) fn x(&mut self) -> X {
        let base_url = self.base_url("x.base_url");
        let max_line = self.size("x.max_line");
        if !MAX_LINE.contains(&max_line) {
            let line = self.line("x.max_line");
            self.wrong(
                line,
                "x.max_line",
                "it is out of range",
                "it takes \"64KiB\" to \"1GiB\"",
            );
        }
        let stream = self.stream();
        X {
            stream,
            rules: self.rules(stream),
            base_url,
            bearer_token_file: self.path("x.bearer_token_file"),
            fields: self.one_of("x.fields", &[("core", Fields::Core), ("all", Fields::All)]),
            backfill: self.bool("x.backfill"),
            max_line: usize::try_from(max_line).unwrap_or(usize::MAX),
        }
    }

    fn stream(&mut self) -> XStream {
        const KEY: &str = "x.stream";
        if self.text(KEY) == "decahose" {
            let line = self.line(KEY);
            let why = "\"decahose\" is not a valid value";
            self.wrong(line, KEY, why, "X's API calls it \"sample10\"");
            return XStream::Sample10;
        }
        let streams = XStream::ALL.map(|stream| (stream.word(), stream));
        self.one_of(KEY, &streams)
    }

    fn rules(&mut self, stream: XStream) -> Vec<Rule> {
        const KEY: &str = "x.rules";
        const HINT: &str = "write rules = [{ value = \"climate lang:en\", tag = \"climate\" }]";
        let found = self.find(KEY);
        let line = found.as_ref().and_then(|(_, line)| *line);
        let tables = match found {
            Some((Value::Tables(tables), _)) if stream == XStream::Filtered => tables,
            Some(_) if stream != XStream::Filtered => {
                let why = format!("the stream {:?} has no rules", stream.word());
                self.wrong(line, KEY, why, "remove them, or set stream = \"filtered\"");
                return Vec::new();
            }
            Some((Value::List(texts), _)) if !texts.is_empty() => {
                let why = "each rule is a table with a value and, if you like, a tag; a text alone is not a rule";
                let hint = format!("write rules = [{{ value = {:?} }}]", texts.concat());
                let hint = if texts.len() == 1 { &*hint } else { HINT };
                self.wrong(line, KEY, why, hint);
                return Vec::new();
            }
            Some(_) => {
                self.wrong(line, KEY, "it takes a list of at least one rule", HINT);
                return Vec::new();
            }
            None if stream == XStream::Filtered => {
                let why = "it is missing: without a rule X sends nothing";
                self.wrong(None, KEY, why, HINT);
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let rules: Vec<Rule> = tables.iter().map(|table| self.rule(table)).collect();
        if RULES_MAX < rules.len() {
            let why = format!(
                "there are {} rules, and this program takes at most {RULES_MAX}, whatever the plan or contract allows \
                 (pay-per-use: 1000)",
                rules.len()
            );
            self.wrong(line, KEY, why, "join rules with OR");
        }
        let mut values: Vec<Cow<'_, str>> = rules.iter().map(|rule| spelled(&rule.value)).collect();
        values.sort_unstable();
        if let Some([value, _]) = values.array_windows().find(|[one, next]| one == next) {
            let why = format!("the rule {value:?} occurs twice");
            self.wrong(
                line,
                KEY,
                why,
                "X takes each value once: one rule has one tag",
            );
        }
        rules
    }

    fn rule(&mut self, table: &Table) -> Rule {
        const KEY: &str = "x.rules";
        let line = Some(table.line);
        let mut text = |name: &str| {
            let text = table.texts.get(name).map_or("", |text| text.trim());
            if text.chars().any(char::is_control) {
                let why = format!("a rule's {name} has more than one line");
                self.wrong(line, KEY, why, "write it on one line");
            }
            text.to_owned()
        };
        let rule = Rule {
            value: text("value"),
            tag: text("tag"),
            id: String::new(),
        };
        if rule.value.is_empty() {
            let hint = "write value = \"climate lang:en\"";
            self.wrong(line, KEY, "a rule has no value", hint);
        }
        let chars = rule.value.chars().count();
        if RULE_CHARS_MAX < chars {
            let why = format!(
                "a rule has {chars} characters, and X takes at most {RULE_CHARS_MAX} with an enterprise contract, \
                 {RULE_CHARS_PAY_PER_USE} on pay-per-use"
            );
            self.wrong(
                line,
                KEY,
                why,
                "split it into two rules: posts that match either are sent",
            );
        }
        rule
    }

    /// Which parts of that stream the servers collect, unless one says so itself.
    pub(super) fn partitions(&mut self, stream: Option<XStream>) -> Vec<Partition> {
        let key = "x.partitions";
        let (text, line) = (self.text(key), self.line(key));
        if stream.is_none_or(|stream| stream.partitions() == 0) && !self.is_written(key) {
            return Vec::new();
        }
        self.partitions_of(stream, key, (&text, line))
    }

    /// Which parts of that stream a server says it collects.
    pub(super) fn own_partitions(
        &mut self,
        stream: Option<XStream>,
        entry: &Entry,
    ) -> Vec<Partition> {
        let key = "partitions";
        let Value::Text(text) = &entry.value else {
            let hint = format!("write {}, in quotes", examples(stream));
            self.wrong(Some(entry.line), key, "it takes a text", &hint);
            return Vec::new();
        };
        self.partitions_of(stream, key, (text, Some(entry.line)))
    }

    fn partitions_of(
        &mut self,
        stream: Option<XStream>,
        key: &str,
        (text, line): (&str, Option<usize>),
    ) -> Vec<Partition> {
        let Some(stream) = stream.filter(|stream| 0 < stream.partitions()) else {
            let why = match stream {
                Some(stream) => format!("the stream {:?} has no partitions", stream.word()),
                None => "only streams of X have partitions".to_owned(),
            };
            self.wrong(line, key, why, "remove it");
            return Vec::new();
        };
        let last = stream.partitions();
        read(text, last).unwrap_or_else(|why| {
            let why = format!(
                "{text:?}: {why}; {} has partitions 1 to {last}",
                stream.word()
            );
            let hint = format!("write {}", examples(Some(stream)));
            self.wrong(line, key, why, &hint);
            Vec::new()
        })
    }
}

/// What may be written for a stream's partitions.
const fn examples(stream: Option<XStream>) -> &'static str {
    match stream {
        Some(XStream::Sample10) => "\"all\", \"1\" or \"2\"",
        _ => "\"all\", \"1-10\" or \"3,7\"",
    }
}

/// What is wrong with a text for partitions of a stream that has those up to `last`.
pub fn are_partitions(text: &str, last: u8) -> Result<(), String> {
    read(text, last).map(drop)
}

/// The partitions that a text names, ascending, of a stream that has those up to `last`; or what is wrong with the text.
fn read(text: &str, last: u8) -> Result<Vec<Partition>, String> {
    let number = |text: &str| {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("{text:?} is not a number"));
        }
        let number = text.parse::<u8>().ok();
        let number = number.filter(|number| (1..=last).contains(number));
        number.ok_or_else(|| format!("there is no partition {text}"))
    };
    let range = |part: &str| {
        let Some((first, last)) = part.split_once('-') else {
            return number(part).map(|one| one..=one);
        };
        let (first, last) = (number(first)?, number(last)?);
        if last < first {
            return Err(format!("write {last}-{first} in place of {first}-{last}"));
        }
        Ok(first..=last)
    };
    let ranges: Vec<_> = match text {
        "all" => vec![1..=last],
        _ => text.split(',').map(range).collect::<Result<_, _>>()?,
    };
    let mut numbers: Vec<u8> = ranges.into_iter().flatten().collect();
    numbers.sort_unstable();
    if let Some([twice, _]) = numbers.array_windows().find(|[one, next]| one == next) {
        return Err(format!("it names partition {twice} twice"));
    }
    Ok(numbers.into_iter().filter_map(Partition::new).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_named_by_numbers_and_ranges() {
        let numbers = |text| -> Vec<u8> {
            let found = read(text, 20).unwrap();
            found.into_iter().map(Partition::number).collect()
        };
        assert_eq!(numbers("all"), (1..=20).collect::<Vec<u8>>());
        assert_eq!(numbers("1-10"), (1..=10).collect::<Vec<u8>>());
        assert_eq!(numbers("7, 3"), [3, 7]);
        assert_eq!(numbers("19-20,1"), [1, 19, 20]);
        for (wrong, why) in [
            ("", "\"\" is not a number"),
            ("0", "there is no partition 0"),
            ("21", "there is no partition 21"),
            ("1-21", "there is no partition 21"),
            ("1-2000", "there is no partition 2000"),
            ("10-1", "write 1-10 in place of 10-1"),
            ("1,1", "it names partition 1 twice"),
            ("1-5,3", "it names partition 3 twice"),
            ("+1", "\"+1\" is not a number"),
            ("1-", "\"\" is not a number"),
            ("-1", "\"\" is not a number"),
            ("ALL", "\"ALL\" is not a number"),
            ("1;2", "\"1;2\" is not a number"),
        ] {
            assert_eq!(read(wrong, 20).unwrap_err(), why, "{wrong}");
        }
    }
}
