//! Lines of a file in place of generated posts.
//!
//! A line that some collector stored has a member `__twarc` that the API never sent; it is cut out, wherever it is in
//! the outer object, and every other byte stays.

use bytes::Bytes;
use serde::Deserialize;

/// The lines of a file that are sent one after the other.
#[derive(Debug, Default)]
pub struct Replay {
    /// Each line with its CR LF, and the id of its post, if it has one.
    pub(super) lines: Vec<(Bytes, Option<u64>)>,
    /// How many streams must be open at the same time before the first line is sent.
    pub(super) wait: usize,
}

impl Replay {
    /// Reads the content of a file; empty lines, which would be keep-alives, are left out.
    pub fn new(content: &[u8], wait: usize) -> Self {
        let lines = content
            .split(|byte| *byte == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
            .filter(|line| !line.is_empty())
            .map(|line| {
                let mut line = without_twarc(line);
                let id = id(&line);
                line.extend_from_slice(b"\r\n");
                (Bytes::from(line), id)
            })
            .collect();
        Self { lines, wait }
    }
}

fn id(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        data: Data<'a>,
    }
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        id: &'a str,
    }
    match serde_json::from_slice::<Line<'_>>(line).map(|line| line.data.id.parse()) {
        Ok(Ok(id)) => Some(id),
        Ok(Err(_)) | Err(_) => None,
    }
}

/// The line without the outer object's member `__twarc` and the comma that went with it.
fn without_twarc(line: &[u8]) -> Vec<u8> {
    let Some((begin, end)) = twarc(line) else {
        return line.to_vec();
    };
    let before = line[..begin].trim_ascii_end();
    let after = line[end..].trim_ascii_start();
    match (before.strip_suffix(b","), after.strip_prefix(b",")) {
        // `before` keeps the white space that stood in front of its comma
        (Some(before), _) => [before, &line[end..]].concat(),
        (None, Some(after)) => [&line[..begin], after].concat(),
        (None, None) => [&line[..begin], &line[end..]].concat(),
    }
}

/// Where the member begins and ends: from its key's quote to after its value.
fn twarc(line: &[u8]) -> Option<(usize, usize)> {
    const KEY: &[u8] = b"\"__twarc\"";
    let (mut depth, mut at) = (0_u32, 0);
    let mut begin = None;
    while let Some(&byte) = line.get(at) {
        match byte {
            b'"' => {
                let is_key = depth == 1 && begin.is_none() && line[at..].starts_with(KEY);
                if is_key && line[at + KEY.len()..].trim_ascii_start().first() == Some(&b':') {
                    begin = Some(at);
                }
                at = after_string(line, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return begin.map(|begin| (begin, at));
                }
            }
            b',' if depth == 1 => {
                if let Some(begin) = begin {
                    return Some((begin, at));
                }
            }
            _ => (),
        }
        at += 1;
    }
    None
}

/// The place after the string that begins at `at`.
fn after_string(line: &[u8], at: usize) -> Option<usize> {
    let mut inside = at + 1;
    loop {
        match line.get(inside)? {
            b'\\' => inside += 2,
            b'"' => return Some(inside + 1),
            _ => inside += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_cut(stored: &str, sent: &str) {
        let found = without_twarc(stored.as_bytes());
        assert_eq!(String::from_utf8(found).unwrap(), sent);
    }

    #[test]
    fn the_member_goes_and_every_other_byte_stays() {
        check_cut(
            r#"{"data":{"id":"1"},"__twarc":{"version":"x"}}"#,
            r#"{"data":{"id":"1"}}"#,
        );
        check_cut(
            r#"{"data": {}, "__twarc": {"url": "a,b}", "v": [1]}}"#,
            r#"{"data": {}}"#,
        );
        check_cut(r#"{"__twarc":{"a":"\"}"}, "data":{}}"#, r#"{ "data":{}}"#);
        check_cut(r#"{"a":1,"__twarc":{},"b":2}"#, r#"{"a":1,"b":2}"#);
        check_cut(r#"{"__twarc":{}}"#, "{}");
    }

    #[test]
    fn what_has_no_such_member_is_not_touched() {
        for line in [
            "",
            "{}",
            r#"{"data":{"__twarc":{}}}"#,
            r#"{"text":"\"__twarc\":{}"}"#,
            r#"{"a":"__twarc","b":1}"#,
            r#"{"__twarc":{"#,
            "not json \"",
        ] {
            check_cut(line, line);
        }
    }

    #[test]
    fn lines_keep_their_ids_and_end_as_the_api_s_do() {
        let content = "{\"data\":{\"id\":\"7\"},\"__twarc\":{}}\n\nno json\r\n{\"x\":1}";
        let replay = Replay::new(content.as_bytes(), 1);
        let expected: Vec<(Bytes, Option<u64>)> = vec![
            (Bytes::from("{\"data\":{\"id\":\"7\"}}\r\n"), Some(7)),
            (Bytes::from("no json\r\n"), None),
            (Bytes::from("{\"x\":1}\r\n"), None),
        ];
        assert_eq!(replay.lines, expected);
    }
}
