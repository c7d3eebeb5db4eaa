//! How a text is not what it should be, line by line, so that a person finds the place. Pure.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

/// How many differences are reported one by one.
const TOLD_MAX: usize = 5;

/// Of a line so many characters are shown.
const SHOWN_CHARS_MAX: usize = 140;

/// How the bytes of a file are not the text that they should be; `None` if they are.
pub fn difference(found: &[u8], expected: &str) -> Option<String> {
    if found == expected.as_bytes() {
        return None;
    }
    let text = String::from_utf8_lossy(found);
    let (text, mut ends) = line_ends(&text, expected);
    let lines: Vec<(usize, &str)> = (1..).zip(text.lines()).collect();
    let wanted: Vec<&str> = expected.lines().collect();
    let told = told(&differences(&lines, &wanted, "line"));
    ends.extend((!told.is_empty()).then_some(told));
    if ends.is_empty() {
        ends.push("its bytes differ, but none of its lines do".to_owned());
    }
    Some(ends.join("; "))
}

/// How a picture is not the one that it should be. It is one line: its elements are told.
pub fn elements(found: &[u8], expected: &str) -> String {
    let elements = |text: &str| text.replace('<', "\n<");
    let (says, expected) = (
        elements(&String::from_utf8_lossy(found)),
        elements(expected),
    );
    let found: Vec<(usize, &str)> = (0..).zip(says.lines()).collect();
    let wanted: Vec<&str> = expected.lines().collect();
    let differences = differences(&found, &wanted, "element");
    if differences.is_empty() {
        "its line ends differ".to_owned()
    } else {
        told(&differences)
    }
}

/// How values are not those that they should be, both as JSON: each by its place.
pub fn values(found: &[u8], expected: &str) -> String {
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let mut differences = Vec::new();
    compare(
        "",
        &read(found),
        &read(expected.as_bytes()),
        &mut differences,
    );
    if differences.is_empty() {
        differences.push("its bytes differ, but none of its values do".to_owned());
    }
    told(&differences)
}

fn compare(place: &str, found: &Value, expected: &Value, differences: &mut Vec<String>) {
    match (found, expected) {
        _ if found == expected => (),
        (Value::Object(found), Value::Object(expected)) => {
            let names: BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
            for name in names {
                let place = if place.is_empty() {
                    name.clone()
                } else {
                    format!("{place}.{name}")
                };
                match (found.get(name), expected.get(name)) {
                    (Some(found), Some(expected)) => {
                        compare(&place, found, expected, differences);
                    }
                    (Some(found), None) => differences.push(format!(
                        "{place}, {}, should not be there",
                        cut(&found.to_string())
                    )),
                    _ => differences.push(format!("{place} is missing")),
                }
            }
        }
        (Value::Array(found), Value::Array(expected)) if found.len() == expected.len() => {
            for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
                let name = match (expected["hour"].as_str(), expected["revision"].as_u64()) {
                    (Some(hour), Some(revision)) => format!("{hour} r{revision}"),
                    (Some(hour), None) => hour.to_owned(),
                    (None, _) => number.to_string(),
                };
                compare(&format!("{place}[{name}]"), found, expected, differences);
            }
        }
        (Value::Array(found), Value::Array(expected)) => {
            let texts = |of: &[Value]| of.iter().map(Value::to_string).collect::<Vec<String>>();
            let (found, expected) = (texts(found), texts(expected));
            let found: Vec<(usize, &str)> = (0..).zip(found.iter().map(String::as_str)).collect();
            let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
            differences.extend(self::differences(&found, &expected, place));
        }
        _ => differences.push(format!(
            "{place} is {}, it should be {}",
            cut(&found.to_string()),
            cut(&expected.to_string())
        )),
    }
}

/// What is about line ends alone, and the text without that.
fn line_ends(text: &str, expected: &str) -> (String, Vec<String>) {
    let mut told = Vec::new();
    let mut text = text.to_owned();
    if let Some(rest) = text.strip_prefix('\u{feff}') {
        text = rest.to_owned();
        told.push("it begins with a byte order mark".to_owned());
    }
    if text.contains('\r') && !expected.contains('\r') {
        text = text.replace("\r\n", "\n");
        told.push(
            "its lines end in CR LF, those of the archive in LF: some program has changed them"
                .to_owned(),
        );
    }
    if expected.ends_with('\n') && !text.is_empty() && !text.ends_with('\n') {
        told.push("its last line has no line end".to_owned());
    } else if text.trim_end_matches('\n') == expected.trim_end_matches('\n') && text != expected {
        told.push("it has other empty lines at its end".to_owned());
    }
    (text, told)
}

/// The differences between numbered lines and those that should be there, each in words.
fn differences(found: &[(usize, &str)], expected: &[&str], unit: &str) -> Vec<String> {
    let count = |lines: &mut dyn Iterator<Item = &str>| {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for line in lines {
            *counts.entry(line.to_owned()).or_default() += 1;
        }
        counts
    };
    // what is still to come on both sides
    let mut found_later = count(&mut found.iter().map(|(_, line)| *line));
    let mut wanted_later = count(&mut expected.iter().copied());
    let take = |counts: &mut HashMap<String, usize>, line: &str| {
        if let Some(left) = counts.get_mut(line) {
            *left = left.saturating_sub(1);
        }
    };
    let is_left = |counts: &HashMap<String, usize>, line: &str| counts.get(line) > Some(&0);
    let (mut found, mut wanted) = (found.iter().peekable(), expected.iter().peekable());
    let mut told = Vec::new();
    loop {
        match (found.peek().copied(), wanted.peek().copied()) {
            (None, None) => return told,
            (Some((_, line)), Some(should)) if line == should => {
                take(&mut found_later, line);
                take(&mut wanted_later, should);
                found.next();
                wanted.next();
            }
            (Some((number, line)), Some(should)) => {
                let is_extra = !is_left(&wanted_later, line);
                let is_missing = !is_left(&found_later, should);
                if is_extra == is_missing {
                    told.push(format!(
                        "{unit} {number} is {}, it should be {}",
                        shown(line),
                        shown(should)
                    ));
                } else if is_missing {
                    told.push(format!(
                        "before {unit} {number}, {} is missing",
                        shown(should)
                    ));
                } else {
                    told.push(format!(
                        "{unit} {number}, {}, should not be there",
                        shown(line)
                    ));
                }
                if is_extra || !is_missing {
                    take(&mut found_later, line);
                    found.next();
                }
                if is_missing || !is_extra {
                    take(&mut wanted_later, should);
                    wanted.next();
                }
            }
            (Some((number, line)), None) => {
                told.push(format!(
                    "{unit} {number}, {}, should not be there",
                    shown(line)
                ));
                found.next();
            }
            (None, Some(should)) => {
                told.push(format!("at the end, {} is missing", shown(should)));
                wanted.next();
            }
        }
    }
}

/// A handful of them, and how many more there are.
fn told(differences: &[String]) -> String {
    let shown = differences.iter().take(TOLD_MAX).cloned();
    let mut told: Vec<String> = shown.collect();
    let more = differences.len().saturating_sub(TOLD_MAX);
    if 0 < more {
        told.push(format!("and {more} more"));
    }
    told.join("; ")
}

/// As much of a line as a message needs.
fn shown(line: &str) -> String {
    format!("{:?}", cut(line.trim_end()))
}

fn cut(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(found: &str, expected: &str, told: &str) {
        let said = difference(found.as_bytes(), expected).unwrap_or_default();
        assert_eq!(said, told);
    }

    #[test]
    fn values_are_told_by_their_places() {
        let expected =
            r#"{"a": {"b": [1, {"hour": "2026-11-23_14", "c": "x"}]}, "d": [1, 2], "e": null}"#;
        for (found, told) in [
            (
                expected.replace('x', "y"),
                r#"a.b[2026-11-23_14].c is "y", it should be "x""#,
            ),
            (
                expected.replace("[1, {", "[3, {"),
                "a.b[0] is 3, it should be 1",
            ),
            (
                expected.replace("1, 2", "1, 2, 3"),
                r#"d 2, "3", should not be there"#,
            ),
            (
                expected.replace("1, 2", "2"),
                r#"before d 0, "1" is missing"#,
            ),
            (expected.replace(", \"e\": null", ""), "e is missing"),
            (
                expected.replace("\"e\"", "\"f\""),
                "e is missing; f, null, should not be there",
            ),
            (
                expected.replace(' ', ""),
                "its bytes differ, but none of its values do",
            ),
        ] {
            assert_eq!(values(found.as_bytes(), expected), told);
        }
    }

    #[test]
    fn each_difference_is_told_as_what_it_is() {
        check("a\nb\n", "a\nb\n", "");
        check("a\nb", "a\nb\n", "its last line has no line end");
        check(
            "a\nb\n\n",
            "a\nb\n",
            "it has other empty lines at its end; line 3, \"\", should not be there",
        );
        let crlf =
            "its lines end in CR LF, those of the archive in LF: some program has changed them";
        check("a\r\nb\r\n", "a\nb\n", crlf);
        check(
            "\u{feff}a\r\nX\r\n",
            "a\nb\n",
            &format!(
                "it begins with a byte order mark; {crlf}; line 2 is \"X\", it should be \"b\""
            ),
        );
        check("a\nc\n", "a\nb\nc\n", "before line 2, \"b\" is missing");
        check(
            "a\n",
            "a\nb\nc\n",
            "at the end, \"b\" is missing; at the end, \"c\" is missing",
        );
        check("a\nx\nb\n", "a\nb\n", "line 2, \"x\", should not be there");
        check(
            "a\nx\nc\n",
            "a\nb\nc\n",
            "line 2 is \"x\", it should be \"b\"",
        );
        // a line changed, one gone and one added, each in its place
        check(
            "a\nX\nc\ne\nf\ny\n",
            "a\nb\nc\nd\ne\nf\n",
            "line 2 is \"X\", it should be \"b\"; before line 4, \"d\" is missing; line 6, \"y\", should not be there",
        );
        // the same line twice
        check("a\na\nb\n", "a\nb\n", "line 2, \"a\", should not be there");
        check("a\nb\n", "a\na\nb\n", "before line 2, \"a\" is missing");
        let many = "1\n2\n3\n4\n5\n6\n7\n";
        let said = difference(b"", many).unwrap();
        assert!(said.ends_with("; and 2 more"), "{said}");
        check(
            "\u{fffd}\n",
            "é\n",
            "line 1 is \"\u{fffd}\", it should be \"é\"",
        );
    }
}
