//! A stored line: the bytes as received, with one member put in before the last `}`.
//!
//! ```text
//! received  {"data":{…},"includes":{…}}
//! stored    {"data":{…},"includes":{…},"__twarc":{"retrieved_at":"2026-11-23T14:05:09.123Z","version":"twinstream/0.1.0"}}
//! ```
//!
//! A stream that several endpoints serve has the member `"__twinstream":{"retrieved_at":"…","version":"…","endpoint":"…"}`
//! instead, which says whose line it is.
//!
//! Cutting the member out gives the received bytes back. It is put in when the line, trimmed of
//! white space, begins with `{` and ends with `}`; every other line is stored as it is. Nothing is
//! validated. Tools of the twarc family read such lines as their own.

use std::sync::LazyLock;

use memchr::memmem;

use crate::period::UtcMs;

/// What every stored line and seal says about the program that wrote it.
pub const PROGRAM: &str = concat!("twinstream/", env!("CARGO_PKG_VERSION"));

const HEAD: &[u8] = b"\"__twarc\":{\"retrieved_at\":\"";

/// The same of a line that says from which endpoint it came.
const HEAD_OF_ENDPOINT: &[u8] = b"\"__twinstream\":{\"retrieved_at\":\"";

/// Characters of a stamp.
const STAMP_BYTES: usize = 24;

/// Between the stamp and the program's name.
const MIDDLE: &[u8] = b"\",\"version\":\"";

/// Between the program's name and the endpoint, which is a JSON text.
const ENDPOINT: &[u8] = b"\",\"endpoint\":";

/// After the program's name or the endpoint.
const TAIL: &[u8] = b"\"}";

/// Bytes of the member that this version of the program puts in.
const MEMBER_BYTES: usize = HEAD.len() + STAMP_BYTES + MIDDLE.len() + PROGRAM.len() + TAIL.len();

/// The position of a stored line in its platform's stream; `None` if the line does not tell it.
pub type CursorOf = fn(&[u8]) -> Option<i64>;

/// Whether the line looks like an object, and so is stamped: decided by its ends alone.
fn looks_like_an_object(line: &[u8]) -> bool {
    let trimmed = line.trim_ascii();
    2 <= trimmed.len() && trimmed.first() == Some(&b'{') && trimmed.last() == Some(&b'}')
}

/// Appends one received line (without its line end) as it is stored, LF included.
pub fn store(line: &[u8], retrieved_at: UtcMs, out: &mut Vec<u8>) {
    put(line, out, |out| {
        push_stamp(HEAD, retrieved_at, out);
        out.extend_from_slice(TAIL);
    });
}

/// The same of a line that came from an endpoint.
pub fn store_from(line: &[u8], retrieved_at: UtcMs, endpoint: &str, out: &mut Vec<u8>) {
    put(line, out, |out| {
        push_stamp(HEAD_OF_ENDPOINT, retrieved_at, out);
        out.extend_from_slice(ENDPOINT);
        // a text, as JSON: no quote of it looks like the end of one
        let endpoint = serde_json::Value::from(endpoint).to_string();
        out.extend_from_slice(endpoint.as_bytes());
        out.push(b'}');
    });
}

fn put(line: &[u8], out: &mut Vec<u8>, member: impl FnOnce(&mut Vec<u8>)) {
    if looks_like_an_object(line) {
        let last_brace = memchr::memrchr(b'}', line).unwrap_or(line.len());
        let (before, after) = line.split_at(last_brace);
        let empty = before.trim_ascii_end().last() == Some(&b'{') && before.trim_ascii().len() == 1;
        out.extend_from_slice(before);
        if !empty {
            out.push(b',');
        }
        member(out);
        out.extend_from_slice(after);
    } else {
        out.extend_from_slice(line);
    }
    out.push(b'\n');
}

/// A stamp and who made it, without the end of the member.
fn push_stamp(head: &[u8], retrieved_at: UtcMs, out: &mut Vec<u8>) {
    out.extend_from_slice(head);
    out.extend_from_slice(retrieved_at.to_string().as_bytes());
    out.extend_from_slice(MIDDLE);
    out.extend_from_slice(PROGRAM.as_bytes());
}

/// A stored line (without its LF) taken apart again.
#[derive(Debug, PartialEq, Eq)]
pub struct Stored<'a> {
    /// The received bytes before the member …
    pub before: &'a [u8],
    /// … and after it. Put together they are the line as received.
    pub after: &'a [u8],
    /// When it arrived; `None` for a line that was stored without the member.
    pub retrieved_at: Option<UtcMs>,
}

impl Stored<'_> {
    /// The line as received.
    pub fn received(&self) -> Vec<u8> {
        [self.before, self.after].concat()
    }
}

/// Cuts out the member that [`store`] or [`store_from`] put in, if there is one.
pub fn cut(stored: &[u8]) -> Stored<'_> {
    let Some(stamp) = Stamp::of(stored) else {
        return Stored {
            before: stored,
            after: &[],
            retrieved_at: None,
        };
    };
    let before = stored.get(..stamp.member).unwrap_or_default();
    Stored {
        before: before.strip_suffix(b",").unwrap_or(before),
        after: stored.get(stamp.last_brace..).unwrap_or_default(),
        retrieved_at: Some(stamp.at),
    }
}

/// The member that [`store`] or [`store_from`] put into a line, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// When the line arrived.
    pub at: UtcMs,
    /// Where the member begins,
    member: usize,
    /// where that time stands in it,
    time: usize,
    /// and where the member ends.
    last_brace: usize,
}

impl Stamp {
    /// The stamp of a stored line, if it has one.
    pub fn of(stored: &[u8]) -> Option<Self> {
        // what looks like it in another line was received so
        if !looks_like_an_object(stored) {
            return None;
        }
        let last_brace = memchr::memrchr(b'}', stored)?;
        let inside = stored.get(..last_brace)?;
        if !inside.ends_with(TAIL) {
            return None;
        }
        let (member, head) = member_begin(inside)?;
        let time = member + head.len();
        let text = str::from_utf8(inside.get(time..time + STAMP_BYTES)?).ok()?;
        Some(Self {
            at: text.parse().ok()?,
            member,
            time,
            last_brace,
        })
    }

    /// The line before the time of its stamp, and after it: the same for all of its copies that are stamped by the
    /// same version of the program (and came from the same endpoint).
    pub fn around<'a>(&self, stored: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        let before = stored.get(..self.time).unwrap_or_default();
        let after = stored.get(self.time + STAMP_BYTES..).unwrap_or_default();
        (before, after)
    }
}

/// Where the last member that looks like ours begins, and with what. Nearly all lines without an endpoint are from
/// this version of the program, whose member has one length and no room for a second head: there is nothing to search.
fn member_begin(inside: &[u8]) -> Option<(usize, &'static [u8])> {
    static HEADS: LazyLock<[memmem::FinderRev<'_>; 2]> =
        LazyLock::new(|| [HEAD, HEAD_OF_ENDPOINT].map(memmem::FinderRev::new));
    let usual = inside.len().checked_sub(MEMBER_BYTES);
    let is_ours = |begin: &usize| {
        let member = inside.get(*begin..).and_then(|m| m.strip_prefix(HEAD));
        let rest = member
            .and_then(|m| m.get(STAMP_BYTES..))
            .unwrap_or_default();
        let version = rest.strip_prefix(MIDDLE).and_then(|r| r.strip_suffix(TAIL));
        version == Some(PROGRAM.as_bytes())
    };
    if let Some(begin) = usual.filter(is_ours) {
        return Some((begin, HEAD));
    }
    let [without, with] = &*HEADS;
    // from the end, and what has an endpoint first: then little is left to search for the other
    let found = with.rfind(inside);
    let rest = inside.get(found.unwrap_or(0)..).unwrap_or_default();
    let later = without.rfind(rest).map(|at| found.unwrap_or(0) + at);
    later
        .map(|begin| (begin, HEAD))
        .or_else(|| found.map(|begin| (begin, HEAD_OF_ENDPOINT)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AT: UtcMs = UtcMs(1_795_442_709_123);

    #[track_caller]
    fn check_store(received: &str, stored: &str) {
        let mut out = Vec::new();
        store(received.as_bytes(), AT, &mut out);
        let stamp = format!(
            r#""__twarc":{{"retrieved_at":"2026-11-23T14:05:09.123Z","version":"{PROGRAM}"}}"#
        );
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out, format!("{}\n", stored.replace("STAMP", &stamp)));
        assert_eq!(
            cut(out.trim_end_matches('\n').as_bytes()).received(),
            received.as_bytes()
        );
    }

    #[test]
    fn the_member_goes_before_the_last_brace() {
        check_store(r#"{"data":{}}"#, r#"{"data":{},STAMP}"#);
        check_store("{}", "{STAMP}");
        check_store(" { \t} ", " { \tSTAMP} ");
        check_store("{broken}", "{broken,STAMP}");
        check_store("{{}", "{{,STAMP}");
        check_store(r#"{"a":1,"__twarc":{}}"#, r#"{"a":1,"__twarc":{},STAMP}"#);
        check_store("[1]", "[1]");
        check_store("{", "{");
        check_store("}", "}");
        check_store("  ", "  ");
        check_store("x}", "x}");
        let foreign =
            r#"{"a":1,"__twarc":{"retrieved_at":"2026-11-23T14:05:09.123Z","version":"x"}}"#;
        for other in [format!("x{foreign}"), format!("{foreign} x")] {
            check_store(&other, &other);
            assert_eq!(cut(other.as_bytes()).retrieved_at, None, "{other}");
        }
    }

    #[test]
    fn a_line_of_an_endpoint_names_it() {
        let endpoint = r#"wss://a.example/"__twarc":{"retrieved_at":"#;
        let mut out = Vec::new();
        store_from(b"{\"did\":1}", AT, endpoint, &mut out);
        let stored: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let stamp = &stored["__twinstream"];
        assert_eq!(stamp["retrieved_at"], "2026-11-23T14:05:09.123Z");
        assert_eq!(
            (&stamp["version"], &stamp["endpoint"]),
            (&PROGRAM.into(), &endpoint.into())
        );
        let cut = cut(out.trim_ascii_end());
        assert_eq!(
            (cut.retrieved_at, cut.received()),
            (Some(AT), b"{\"did\":1}".into())
        );
    }

    proptest! {
        #[test]
        fn cutting_restores_what_was_received(
            mut line in proptest::collection::vec(prop_oneof![Just(b'{'), Just(b'}'), Just(b'"'), Just(b','), Just(b' '), any::<u8>()], 0..60)
        ) {
            prop_assume!(!line.contains(&b'\n'));
            // whatever a line was before, also one that was stored already
            for endpoint in [None, Some("wss://a.example"), None] {
                let mut out = Vec::new();
                match endpoint {
                    Some(endpoint) => store_from(&line, AT, endpoint, &mut out),
                    None => store(&line, AT, &mut out),
                }
                prop_assert_eq!(out.pop(), Some(b'\n'));
                prop_assert_eq!(&cut(&out).received(), &line);
                line = out;
            }
        }
    }
}
