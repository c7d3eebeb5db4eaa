//! Whether an answer is a page of somebody else: a portal, a proxy, a network that wants a login.

use hyper::{HeaderMap, StatusCode, header};

use crate::text::one_line;

/// How much is kept of an answer in the platform's place.
const SHOWN_CHARS_MAX: usize = 80;

/// What tells from the head that this is not the platform; `None` for what may be it.
pub fn head(status: StatusCode, headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let kind = text(header::CONTENT_TYPE).unwrap_or("").trim();
    let is_page = is_page(headers);
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

/// Whether the content type is that of a page. The API says `application/json`; other spellings, and none at
/// all, are judged by the first line.
pub fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim();
    ["text/html", "application/xhtml+xml"]
        .iter()
        .any(|page| kind.eq_ignore_ascii_case(page))
}

/// The begin of what somebody else says, on one line.
pub(super) fn shown(bytes: &[u8]) -> String {
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
}
