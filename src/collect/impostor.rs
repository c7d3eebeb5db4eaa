//! Whether what answers with 200 is the API: a portal, a proxy or a page of the network does so, too.
//!
//! The head tells by its status and its content type, the body by its first line: that of the API is an
//! object with `data` or `errors`. What cannot be read as a page or a refusal gets the benefit of the
//! doubt: the API may send new kinds of messages, and nothing that it sends may be lost.

use std::fmt;

use hyper::{HeaderMap, StatusCode, header};
use serde::{
    Deserialize,
    de::{IgnoredAny, MapAccess, Visitor},
};

use crate::text::one_line;

/// Of what answers in the API's place so much is told.
const SHOWN_CHARS_MAX: usize = 80;

/// What tells from the head that this is not the API; `None` for what may be it.
pub fn head(status: StatusCode, headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let kind = text(header::CONTENT_TYPE).unwrap_or("").trim();
    let is_page = is_page(kind);
    if status.is_redirection() {
        let place = text(header::LOCATION).unwrap_or("nowhere");
        return Some(format!(
            "HTTP {}, a redirect to {}",
            status.as_u16(),
            shown(place.as_bytes())
        ));
    }
    if status == StatusCode::NETWORK_AUTHENTICATION_REQUIRED {
        return Some("HTTP 511: this network asks for a login".to_owned());
    }
    let is_refusal = status.is_client_error()
        && ![StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    if is_page && (is_refusal || status.is_success()) {
        return Some(format!(
            "HTTP {} with a page ({})",
            status.as_u16(),
            shown(kind.as_bytes())
        ));
    }
    if status == StatusCode::OK && text(header::CONTENT_LENGTH) == Some("0") {
        return Some("HTTP 200 and nothing else".to_owned());
    }
    None
}

/// Whether a content type is that of a page. The API says `application/json`; other spellings, and none at
/// all, are judged by the first line.
fn is_page(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or("").trim();
    ["text/html", "application/xhtml+xml"]
        .iter()
        .any(|page| kind.eq_ignore_ascii_case(page))
}

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

fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().next().unwrap_or("");
    one_line(line).chars().take(SHOWN_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[track_caller]
    fn check_head(status: u16, headers: &[(&'static str, &'static str)], says: Option<&str>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        let found = head(StatusCode::from_u16(status).unwrap(), &map);
        match says {
            None => assert_eq!(found, None),
            Some(says) => assert!(found.as_ref().unwrap().contains(says), "{found:?}"),
        }
    }

    #[test]
    fn the_head_tells_pages_and_redirects() {
        let kind = |kind| [("content-type", kind)];
        for json in [
            "application/json",
            "application/json; charset=utf-8",
            "APPLICATION/JSON;charset=UTF-8",
            "application/x-ndjson",
            "text/plain",
            "",
        ] {
            check_head(200, &kind(json), None);
        }
        check_head(200, &[], None);
        check_head(200, &kind("text/html; charset=utf-8"), Some("text/html"));
        check_head(200, &kind("Text/HTML"), Some("HTTP 200 with a page"));
        check_head(200, &kind("application/xhtml+xml"), Some("xhtml"));
        check_head(200, &[("content-length", "0")], Some("nothing else"));
        let portal = [("location", "http://login.example.org/?a\u{1}b")];
        check_head(302, &[portal[0]; 0], Some("a redirect to nowhere"));
        check_head(
            302,
            &[("location", "http://login.example.org/")],
            Some("HTTP 302, a redirect to http://login.example.org/"),
        );
        check_head(511, &[], Some("asks for a login"));
        check_head(403, &kind("text/html"), Some("HTTP 403 with a page"));
        check_head(403, &kind("application/problem+json"), None);
        check_head(404, &[], None);
        // the API's own edge sends pages with these
        for status in [408, 429, 500, 502, 503, 504] {
            check_head(status, &kind("text/html"), None);
        }
    }

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
