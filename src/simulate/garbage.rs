//! Lines that are no good posts: each kind that has broken a reader somewhere.

use serde::{Deserialize, Serialize};

use super::{chance::Chance, snowflake};
use crate::period::UtcMs;

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Garbage {
    /// Text that is not JSON.
    NotJson,
    /// The first half of a post.
    Torn,
    /// A post whose text is as long as the fault says.
    OverLong,
    /// A post with half of a surrogate pair in its text.
    LoneSurrogate,
    /// A post with a raw NUL byte in its text.
    RawNul,
    /// A post with bytes that are not UTF-8.
    NotUtf8,
    /// A post without an id.
    NoId,
    /// A post whose id has more than 64 bits.
    HugeId,
    /// A post whose members stand twice, with different values.
    DuplicateKeys,
    /// An object of another kind.
    UnknownObject,
    /// A post older than the ids that carry a time.
    BeforeSnowflake,
    /// White space that is not the empty line of a keep-alive.
    WhiteSpace,
}

/// All kinds, in the order in which a fault that names none sends them.
pub const ALL: &[Garbage] = &[
    Garbage::NotJson,
    Garbage::Torn,
    Garbage::OverLong,
    Garbage::LoneSurrogate,
    Garbage::RawNul,
    Garbage::NotUtf8,
    Garbage::NoId,
    Garbage::HugeId,
    Garbage::DuplicateKeys,
    Garbage::UnknownObject,
    Garbage::BeforeSnowflake,
    Garbage::WhiteSpace,
];

/// The line, with its CR LF, as it is sent at that moment. `long_bytes` is for `OverLong` only.
pub(super) fn line(kind: Garbage, long_bytes: usize, at: UtcMs, chance: &mut Chance) -> Vec<u8> {
    // the topmost lower bits: no generated post of the same millisecond has them
    let id = snowflake::at(at, snowflake::PER_MS - 1 - chance.below(64)).to_string();
    let post = |id: &str, text: &str| {
        format!(
            r#"{{"data":{{"author_id":"12","created_at":"{}Z","id":"{id}","lang":"en","text":"{text}"}}}}"#,
            at.to_string().get(..19).unwrap_or("2026-01-01T00:00:00")
        )
    };
    let mut line: Vec<u8> = match kind {
        Garbage::NotJson => b"upstream connect error or disconnect/reset before headers".to_vec(),
        Garbage::Torn => {
            let mut whole = post(&id, "torn in the middle").into_bytes();
            whole.truncate(whole.len() / 2);
            whole
        }
        Garbage::OverLong => post(&id, &"x".repeat(long_bytes)).into_bytes(),
        Garbage::LoneSurrogate => post(&id, r"half a pair \ud83d and on").into_bytes(),
        Garbage::RawNul => post(&id, "a raw \0 byte").into_bytes(),
        Garbage::NotUtf8 => replace(&post(&id, "latin ? text"), b'?', 0xe9),
        Garbage::NoId => r#"{"data":{"author_id":"12","lang":"en","text":"no id"}}"#.into(),
        Garbage::HugeId => post("98765432109876543210987", "an id beyond 64 bits").into_bytes(),
        Garbage::DuplicateKeys => {
            let earlier = snowflake::at(at.plus_ms(-1_000), 7);
            format!(
                r#"{{"data":{{"id":"{earlier}","text":"first","id":"{id}","text":"second"}}}}"#
            )
            .into_bytes()
        }
        Garbage::UnknownObject => {
            br#"{"control":{"kind":"maintenance","in_minutes":[1,2,3]},"v":3}"#.to_vec()
        }
        Garbage::BeforeSnowflake => {
            br#"{"data":{"author_id":"12","created_at":"2006-03-21T20:50:14.000Z","id":"20","lang":"en","text":"just setting up"}}"#.to_vec()
        }
        Garbage::WhiteSpace => b" \t  ".to_vec(),
    };
    line.extend_from_slice(b"\r\n");
    line
}

fn replace(text: &str, what: u8, with: u8) -> Vec<u8> {
    let swap = |byte| if byte == what { with } else { byte };
    text.bytes().map(swap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_one_line_and_is_what_its_name_says() {
        for &kind in ALL {
            let line = line(
                kind,
                5_000,
                UtcMs(1_795_442_709_123),
                &mut Chance::of(1, 2, 3),
            );
            let body = line.strip_suffix(b"\r\n").unwrap();
            assert!(!body.contains(&b'\n'), "{kind:?}");
            let is_json = serde_json::from_slice::<serde_json::Value>(body).is_ok();
            let expected = !matches!(
                kind,
                Garbage::NotJson
                    | Garbage::Torn
                    | Garbage::LoneSurrogate
                    | Garbage::RawNul
                    | Garbage::NotUtf8
                    | Garbage::WhiteSpace
            );
            assert_eq!(is_json, expected, "{kind:?}");
            assert_eq!(5_000 < line.len(), kind == Garbage::OverLong, "{kind:?}");
        }
    }
}
