//! JSON without opinions: the members of an object, the items of a list, the text of a string,
//! each as it stands in the line.
//!
//! serde_json checks the syntax; this only hands out the pieces. It exists because posts need three
//! things that typed reading does not give: the last of several members with one name counts (as in
//! every scripting language), a lone surrogate is a readable text, and a member of an unexpected type
//! spoils nothing but itself.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Hands out every member of an object, in order. Another value than an object has none.
pub fn members<'a>(
    json: &'a str,
    each: impl FnMut(&[u8], &'a str),
) -> Result<(), serde_json::Error> {
    if json.trim_start().as_bytes().first() != Some(&b'{') {
        serde_json::from_str::<serde::de::IgnoredAny>(json)?;
        return Ok(());
    }
    let mut reader = serde_json::Deserializer::from_str(json);
    reader.deserialize_map(Members(each))?;
    reader.end()
}

/// Hands out every item of a list, in order. Another value than a list has none.
pub fn items<'a>(json: &'a str, each: impl FnMut(&'a str)) -> Result<(), serde_json::Error> {
    if json.as_bytes().first() != Some(&b'[') {
        return Ok(());
    }
    serde_json::Deserializer::from_str(json).deserialize_seq(Items(each))
}

struct Members<F>(F);

impl<'de, F: FnMut(&[u8], &'de str)> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key<'de>>()? {
            let value: &'de RawValue = map.next_value()?;
            (self.0)(&key.0, value.get());
        }
        Ok(())
    }
}

struct Items<F>(F);

impl<'de, F: FnMut(&'de str)> Visitor<'de> for Items<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(item) = list.next_element::<&'de RawValue>()? {
            (self.0)(item.get());
        }
        Ok(())
    }
}

/// A member's name as bytes: a name with a lone surrogate is a name too.
struct Key<'a>(Cow<'a, [u8]>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(bytes)))
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(bytes.to_vec())))
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text.as_bytes())))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.as_bytes().to_vec())))
            }
        }
        from.deserialize_bytes(Bytes)
    }
}

/// A value as a cell: the text of a string, the digits of a number, `true`, `false`; empty for
/// null, objects and lists. A lone surrogate becomes U+FFFD.
pub fn cell(json: &str) -> Cow<'_, str> {
    match json.as_bytes() {
        [b'"', ..] => {
            let inside = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            inside.map_or(Cow::Borrowed(""), unescape)
        }
        b"null" | [] | [b'{' | b'[', ..] => Cow::Borrowed(""),
        _ => Cow::Borrowed(json),
    }
}

fn unescape(text: &str) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', text.as_bytes()) else { return Cow::Borrowed(text) };
    let (plain, mut rest) = text.split_at(first);
    let mut out = String::with_capacity(text.len());
    out.push_str(plain);
    while let Some(escape) = rest.strip_prefix('\\') {
        let mut chars = escape.chars();
        let kind = chars.next().unwrap_or('\\');
        let mut after = chars.as_str();
        out.push(match kind {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => unit(&mut after),
            other => other,
        });
        let next = memchr::memchr(b'\\', after.as_bytes()).unwrap_or(after.len());
        let (plain, further) = after.split_at(next);
        out.push_str(plain);
        rest = further;
    }
    Cow::Owned(out)
}

/// The character whose four hex digits come next, and those of its second half if it has one.
fn unit(rest: &mut &str) -> char {
    let first = hex4(rest);
    if (0xD800..0xDC00).contains(&first)
        && let Some(mut second) = rest.strip_prefix("\\u")
    {
        let low = hex4(&mut second);
        if (0xDC00..0xE000).contains(&low) {
            *rest = second;
            let code = 0x1_0000 + ((first - 0xD800) << 10) + (low - 0xDC00);
            return char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        }
    }
    char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn hex4(rest: &mut &str) -> u32 {
    let (digits, after) = rest.split_at_checked(4).unwrap_or((rest, ""));
    *rest = after;
    u32::from_str_radix(digits, 16).unwrap_or(0xFFFD)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn surrogates_without_their_half_are_readable() {
        for (json, text) in [
            (r#""\ud83d\ude00""#, "😀"),
            (r#""\ud83d""#, "\u{FFFD}"),
            (r#""\ud83dx\ude00""#, "\u{FFFD}x\u{FFFD}"),
            (r#""\ud83d\u0041""#, "\u{FFFD}A"),
            (r#""a\"b\\\/\n\u0000""#, "a\"b\\/\n\0"),
            ("12", "12"),
            ("true", "true"),
            ("null", ""),
            ("[1]", ""),
            ("{}", ""),
        ] {
            assert_eq!(cell(json), text, "{json}");
        }
    }

    proptest! {
        #[test]
        fn a_cell_is_the_text_that_was_written(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(cell(&json), text);
        }
    }
}
