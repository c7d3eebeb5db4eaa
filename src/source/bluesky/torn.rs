//! What a line that is no event may name all the same: it may be torn.

use memchr::memmem;

use super::name::is_did;

/// How many members of one name are read in a line that is not an event: an event has one or two.
const SAID_MAX: usize = 4;

/// The texts that follow such a member's name in what need not be JSON.
pub(super) fn said<'l>(line: &'l [u8], member: &str) -> impl Iterator<Item = &'l str> {
    let head = format!("\"{member}\":\"");
    let places = memmem::find_iter(line, head.as_bytes()).take(SAID_MAX);
    let places: Vec<usize> = places.collect();
    let len = head.len();
    places.into_iter().filter_map(move |place| {
        let rest = line.get(place + len..)?;
        let end = memchr::memchr(b'"', rest)?;
        str::from_utf8(rest.get(..end)?).ok()
    })
}

/// Whatever looks like the name of an account.
pub(super) fn dids(line: &[u8]) -> impl Iterator<Item = &str> {
    memmem::find_iter(line, "did:").filter_map(|begin| {
        let rest = line.get(begin..)?;
        let may = |byte: &u8| byte.is_ascii_alphanumeric() || b"._:%-".contains(byte);
        let end = rest
            .iter()
            .position(|byte| !may(byte))
            .unwrap_or(rest.len());
        str::from_utf8(rest.get(..end)?)
            .ok()
            .filter(|did| is_did(did))
    })
}
