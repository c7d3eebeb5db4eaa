//! A stored line: the bytes as received, with one member put in before the last `}`.
//!
//! ```text
//! received  {"data":{…},"includes":{…}}
//! stored    {"data":{…},"includes":{…},"__twarc":{"retrieved_at":"2026-11-23T14:05:09.123Z","version":"twinstream/0.1.0"}}
//! ```
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

/// Characters of a stamp.
const STAMP_BYTES: usize = 24;

/// Between the stamp and the program's name.
const MIDDLE: &[u8] = b"\",\"version\":\"";

/// After the program's name.
const TAIL: &[u8] = b"\"}";

/// Bytes of the member that this version of the program puts in.
const MEMBER_BYTES: usize = HEAD.len() + STAMP_BYTES + MIDDLE.len() + PROGRAM.len() + TAIL.len();

/// Whether the line looks like an object, and so is stamped: decided by its ends alone.
fn looks_like_an_object(line: &[u8]) -> bool {
    let trimmed = line.trim_ascii();
    2 <= trimmed.len() && trimmed.first() == Some(&b'{') && trimmed.last() == Some(&b'}')
}

/// Appends one received line (without its line end) as it is stored, LF included.
pub fn store(line: &[u8], retrieved_at: UtcMs, out: &mut Vec<u8>) {
    if looks_like_an_object(line) {
        let last_brace = memchr::memrchr(b'}', line).unwrap_or(line.len());
        let (before, after) = line.split_at(last_brace);
        let empty = before.trim_ascii_end().last() == Some(&b'{') && before.trim_ascii().len() == 1;
        out.extend_from_slice(before);
        if !empty {
            out.push(b',');
        }
        out.extend_from_slice(HEAD);
        out.extend_from_slice(retrieved_at.to_string().as_bytes());
        out.extend_from_slice(MIDDLE);
        out.extend_from_slice(PROGRAM.as_bytes());
        out.extend_from_slice(TAIL);
        out.extend_from_slice(after);
    } else {
        out.extend_from_slice(line);
    }
    out.push(b'\n');
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

/// Cuts out the member that [`store`] put in, if there is one.
pub fn cut(stored: &[u8]) -> Stored<'_> {
    let without = Stored {
        before: stored,
        after: &[],
        retrieved_at: None,
    };
    // what looks like it in another line was received so
    if !looks_like_an_object(stored) {
        return without;
    }
    let Some(last_brace) = memchr::memrchr(b'}', stored) else {
        return without;
    };
    let (inside, after) = stored.split_at(last_brace);
    if !inside.ends_with(TAIL) {
        return without;
    }
    let Some(begin) = member_begin(inside) else {
        return without;
    };
    let (before, member) = inside.split_at(begin);
    let Some(stamp) = member.get(HEAD.len()..HEAD.len() + STAMP_BYTES) else {
        return without;
    };
    let text = match str::from_utf8(stamp) {
        Ok(text) => text,
        Err(_not_text) => return without,
    };
    let Ok(retrieved_at) = text.parse::<UtcMs>() else {
        return without;
    };
    let before = before.strip_suffix(b",").unwrap_or(before);
    Stored {
        before,
        after,
        retrieved_at: Some(retrieved_at),
    }
}

/// Where the last member that looks like ours begins. Nearly all lines are from this version of the
/// program, whose member has one length and no room for a second head: there is nothing to search.
fn member_begin(inside: &[u8]) -> Option<usize> {
    static HEADS: LazyLock<memmem::FinderRev<'_>> = LazyLock::new(|| memmem::FinderRev::new(HEAD));
    let usual = inside.len().checked_sub(MEMBER_BYTES);
    let is_ours = |begin: &usize| {
        let member = inside.get(*begin..).and_then(|m| m.strip_prefix(HEAD));
        let rest = member
            .and_then(|m| m.get(STAMP_BYTES..))
            .unwrap_or_default();
        let version = rest.strip_prefix(MIDDLE).and_then(|r| r.strip_suffix(TAIL));
        version == Some(PROGRAM.as_bytes())
    };
    usual.filter(is_ours).or_else(|| HEADS.rfind(inside))
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

    proptest! {
        #[test]
        fn cutting_restores_what_was_received(
            line in proptest::collection::vec(prop_oneof![Just(b'{'), Just(b'}'), Just(b'"'), Just(b','), Just(b' '), any::<u8>()], 0..60)
        ) {
            prop_assume!(!line.contains(&b'\n'));
            let mut out = Vec::new();
            store(&line, AT, &mut out);
            prop_assert_eq!(out.pop(), Some(b'\n'));
            prop_assert_eq!(cut(&out).received(), line);
        }
    }
}
