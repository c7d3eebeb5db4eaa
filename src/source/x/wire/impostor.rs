//! Whether an answer with 200 comes from the API: a portal, a proxy or a page of the network may send one too.
//!
//! After the head ([`page`](crate::source::page)) the body tells by its first line: that of the API is an
//! object with `data` or `errors`. What cannot be read as a page or a refusal gets the benefit of the
//! doubt: the API may send new kinds of messages, and nothing that it sends may be lost.

use std::fmt;

use serde::{
    Deserialize,
    de::{IgnoredAny, MapAccess, Visitor},
};

use crate::source::page::shown;

/// Looks at a body until its first line has told whose it is.
#[derive(Debug, Default)]
pub struct FirstLine {
    begun: bool,
    told: bool,
}

impl FirstLine {
    /// The next decoded bytes, cut anywhere: the first that is no white space tells a page.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut rest = bytes;
        while let (false, Some((first, after))) = (self.begun, rest.split_first()) {
            if !first.is_ascii_whitespace() {
                self.begun = true;
                if *first != b'{' {
                    return Err(format!("it begins with {:?}", shown(rest)));
                }
            }
            rest = after;
        }
        Ok(())
    }

    /// A line that is not empty, perhaps cut.
    pub fn line(&mut self, line: &[u8]) -> Result<(), String> {
        if std::mem::replace(&mut self.told, true) || is_of_api(line) {
            return Ok(());
        }
        Err(format!("its first line is {:?}", shown(line)))
    }
}

/// A line of a page that is spread over many, or a refusal that came with 200, is none of the API's.
fn is_of_api(line: &[u8]) -> bool {
    const PROBLEM: [&str; 6] = ["error", "title", "detail", "message", "status", "code"];
    let line = line.trim_ascii();
    if line == b"{" {
        return false;
    }
    match serde_json::from_slice::<TopLevel>(line) {
        Ok(found) => {
            let is = |key: &str| found.0.iter().any(|name| name == key);
            is("data") || is("errors") || !PROBLEM.iter().any(|key| is(key))
        }
        // a post may be damaged
        Err(_not_an_object) => line.starts_with(b"{\""),
    }
}

/// The names at the top level of an object.
struct TopLevel(Vec<String>);

impl<'de> Deserialize<'de> for TopLevel {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = TopLevel;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TopLevel, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = map.next_key()? {
                    names.push(name);
                    map.next_value::<IgnoredAny>()?;
                }
                Ok(TopLevel(names))
            }
        }
        from.deserialize_map(Names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_body(chunks: &[&str], says: Option<&str>) {
        let mut first = FirstLine::default();
        let found = chunks
            .iter()
            .try_for_each(|bytes| first.bytes(bytes.as_bytes()));
        let whole = chunks.concat();
        let mut lines = whole.split("\r\n").filter(|line| !line.is_empty());
        let found = found.and_then(|()| lines.try_for_each(|line| first.line(line.as_bytes())));
        match says {
            None => assert_eq!(found, Ok(())),
            Some(says) => assert!(found.clone().unwrap_err().contains(says), "{found:?}"),
        }
    }

    #[test]
    fn the_first_line_tells_whose_it_is() {
        check_body(&["{\"da", "ta\":{\"id\":\"1\"}}\r\n"], None);
        check_body(&["\r\n", "\r", "\n{", "\"errors\":[]}\r\n"], None);
        check_body(&["{\"data\":{\"id\":\"1\"}}\r\ngarbage\r\n"], None);
        check_body(&["{\"data\":{\"id\":\"\\ud800"], None);
        check_body(&["{\"kind_of_tomorrow\":1}\r\n"], None);
        check_body(
            &["{\"detail\":\"x\",\"errors\":[{\"title\":\"soon\"}]}\r\n"],
            None,
        );
        check_body(&["", "\r\n"], None);
        check_body(&["<!DOCTYPE html>\n<html>"], Some("<!DOCTYPE html>"));
        check_body(&["\r\n\r\n  ", " <html>\r\n"], Some("<html>"));
        check_body(&["Please log in"], Some("Please log in"));
        check_body(&["[]"], Some("[]"));
        check_body(&["{\r\n  \"error\": 1\r\n}"], Some("\"{\""));
        check_body(&["{\"error\":\"login\"}\r\n"], Some("login"));
        check_body(
            &["{\"title\":\"Unauthorized\",\"status\":401}\r\n"],
            Some("Unauthorized"),
        );
    }
}
