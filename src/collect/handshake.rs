//! How an HTTP connection becomes a WebSocket (RFC 6455, section 4): what is asked, and whether the other side has
//! understood it.

use std::io;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::{
    HeaderMap,
    header::{
        CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};
use sha1::{Digest as _, Sha1};

/// What RFC 6455 puts after the key.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A new key: 16 random bytes.
pub(super) fn key() -> io::Result<HeaderValue> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    HeaderValue::from_str(&STANDARD.encode(bytes)).map_err(io::Error::other)
}

/// What asks for a WebSocket.
pub(super) fn headers(key: &HeaderValue) -> [(HeaderName, HeaderValue); 4] {
    [
        (CONNECTION, HeaderValue::from_static("Upgrade")),
        (UPGRADE, HeaderValue::from_static("websocket")),
        (SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
        (SEC_WEBSOCKET_KEY, key.clone()),
    ]
}

/// Whether the answer is to that key.
pub(super) fn is_accepted(key: &HeaderValue, answer: &HeaderMap) -> bool {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(GUID);
    let expected = STANDARD.encode(hash.finalize());
    let accepted = answer.get(SEC_WEBSOCKET_ACCEPT);
    accepted.is_some_and(|accepted| accepted.as_bytes() == expected.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard_is_accepted() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        let mut answer = HeaderMap::new();
        assert!(!is_accepted(&key, &answer));
        let accepted = HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        answer.insert(SEC_WEBSOCKET_ACCEPT, accepted);
        assert!(is_accepted(&key, &answer));
        assert!(!is_accepted(&self::key().unwrap(), &answer));
    }
}
