//! JSON without opinions: the members of an object, the items of a list, the text of a string,
//! each as it stands in the line.
//!
//! One reader goes over a line once, checks its syntax to the last byte (RFC 8259, as strictly as serde_json, with
//! which a property test compares it), and hands out the pieces on the way. It exists because posts need what typed
//! parsing lacks: the last of several members with one name counts (as in every scripting language), a lone surrogate
//! is a readable text, and a member of an unexpected type affects only itself. It also exists because a merge spends
//! most of its time parsing.

use std::borrow::Cow;

use super::escape::unescape;

/// The text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotJson;

/// An object as it stands in a line, and its members. Another value has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object<'a> {
    /// The whole of it.
    pub json: &'a str,
    /// Names and values, in their order.
    pub members: Vec<(Cow<'a, str>, &'a str)>,
}

/// Users have about so many members, posts not many more.
const MEMBERS_USUAL: usize = 16;

/// Goes over a text once, from left to right.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
}

/// Reads the whole of a text: `each` is given every member's name of the object that it is, and the
/// reader before its value, which it must go over. Another value than an object has no members.
pub fn read<'a>(
    text: &'a str,
    each: impl FnMut(&str, &mut Reader<'a>) -> Result<(), NotJson>,
) -> Result<(), NotJson> {
    whole(text, |reader| reader.members(each))
}

/// Hands out every member of an object, in order. Another value than an object has none.
pub fn members<'a>(text: &'a str, mut each: impl FnMut(&[u8], &'a str)) -> Result<(), NotJson> {
    read(text, |name, value| {
        each(name.as_bytes(), value.value()?);
        Ok(())
    })
}

/// Hands out every item of a list, in order. Another value than a list has none.
pub fn items<'a>(text: &'a str, mut each: impl FnMut(&'a str)) -> Result<(), NotJson> {
    whole(text, |reader| {
        reader.items(|item| {
            each(item.value()?);
            Ok(())
        })
    })
}

/// Reads the whole of a text as [`read`] does, and gives the object with all its members as they stand there.
pub fn object<'a>(
    text: &'a str,
    each: impl FnMut(&str, &mut Reader<'a>) -> Result<(), NotJson>,
) -> Result<Object<'a>, NotJson> {
    whole(text, |reader| reader.object(true, each))
}

fn whole<'a, T>(
    text: &'a str,
    go_over: impl FnOnce(&mut Reader<'a>) -> Result<T, NotJson>,
) -> Result<T, NotJson> {
    let mut reader = Reader { text, at: 0 };
    let read = go_over(&mut reader)?;
    reader.space();
    if reader.at == text.len() {
        Ok(read)
    } else {
        Err(NotJson)
    }
}

impl<'a> Reader<'a> {
    /// Goes over a value; if it is an object, `each` is given every member's name, and the reader
    /// before its value, which it must go over.
    pub fn members(
        &mut self,
        mut each: impl FnMut(&str, &mut Self) -> Result<(), NotJson>,
    ) -> Result<(), NotJson> {
        self.each_member(|name, value| each(&name, value))
    }

    /// The same, and gives the value, if wanted with all its members as they stand there.
    pub fn object(
        &mut self,
        has_members: bool,
        mut each: impl FnMut(&str, &mut Self) -> Result<(), NotJson>,
    ) -> Result<Object<'a>, NotJson> {
        self.space();
        let begin = self.clone();
        let mut members = match self.peek() {
            Some(b'{') if has_members => Vec::with_capacity(MEMBERS_USUAL),
            _ => Vec::new(),
        };
        self.each_member(|name, value| {
            let begin = value.clone();
            each(&name, value)?;
            if has_members {
                members.push((name, begin.up_to(value)));
            }
            Ok(())
        })?;
        let json = begin.up_to(self);
        Ok(Object { json, members })
    }

    fn each_member(
        &mut self,
        mut each: impl FnMut(Cow<'a, str>, &mut Self) -> Result<(), NotJson>,
    ) -> Result<(), NotJson> {
        self.space();
        if self.peek() != Some(b'{') {
            return self.value().map(drop);
        }
        self.at += 1;
        self.space();
        if self.eat(b'}') {
            return Ok(());
        }
        loop {
            let name = self.name()?;
            each(name, self)?;
            self.space();
            if self.eat(b'}') {
                return Ok(());
            }
            self.expect(b',')?;
            self.space();
        }
    }

    /// Goes over a value; if it is a list, `each` is given the reader before every item, which it
    /// must go over.
    pub fn items(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), NotJson>,
    ) -> Result<(), NotJson> {
        self.space();
        if self.peek() != Some(b'[') {
            return self.value().map(drop);
        }
        self.at += 1;
        self.space();
        if self.eat(b']') {
            return Ok(());
        }
        loop {
            each(self)?;
            self.space();
            if self.eat(b']') {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    /// Goes over a value of any kind and depth, and gives it as it stands there.
    pub fn value(&mut self) -> Result<&'a str, NotJson> {
        self.space();
        let begin = self.at;
        self.at = value_end(self.text.as_bytes(), begin).ok_or(NotJson)?;
        self.text.get(begin..self.at).ok_or(NotJson)
    }

    /// Goes over a value and gives it as a cell, see [`cell`].
    pub fn cell(&mut self) -> Result<Cow<'a, str>, NotJson> {
        self.space();
        if self.eat(b'"') {
            self.string()
        } else {
            self.value().map(cell)
        }
    }

    /// What stands between here and where the same text's other reader is, without the space before it.
    pub fn up_to(&self, other: &Self) -> &'a str {
        let between = self.text.get(self.at..other.at).unwrap_or_default();
        between.trim_ascii_start()
    }

    /// A member's name and the colon after it.
    fn name(&mut self) -> Result<Cow<'a, str>, NotJson> {
        self.expect(b'"')?;
        let name = self.string()?;
        self.space();
        self.expect(b':')?;
        Ok(name)
    }

    /// The text of a string after its first quote; goes over the last one.
    fn string(&mut self) -> Result<Cow<'a, str>, NotJson> {
        let begin = self.at;
        let (end, has_escapes) = string_end(self.text.as_bytes(), begin).ok_or(NotJson)?;
        self.at = end;
        let text = self.text.get(begin..end - 1).ok_or(NotJson)?;
        Ok(if has_escapes {
            unescape(text)
        } else {
            Cow::Borrowed(text)
        })
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn expect(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.eat(byte) { Ok(()) } else { Err(NotJson) }
    }

    fn space(&mut self) {
        self.at = space_end(self.text.as_bytes(), self.at);
    }
}

/// Where the value ends that begins at this place, of any kind and without a limit of depth. What follows takes a
/// place and gives a place, so that the processor keeps it in a register.
fn value_end(text: &[u8], mut at: usize) -> Option<usize> {
    let mut open = Open::default();
    loop {
        match text.get(at)? {
            b'"' => (at, _) = string_end(text, at + 1)?,
            b'-' | b'0'..=b'9' => at = number_end(text, at)?,
            b'{' => {
                at = space_end(text, at + 1);
                if text.get(at) == Some(&b'}') {
                    at += 1;
                } else {
                    open.push(true);
                    at = name_end(text, at)?;
                    continue;
                }
            }
            b'[' => {
                at = space_end(text, at + 1);
                if text.get(at) == Some(&b']') {
                    at += 1;
                } else {
                    open.push(false);
                    continue;
                }
            }
            b't' => at = word_end(text, at, b"true")?,
            b'f' => at = word_end(text, at, b"false")?,
            b'n' => at = word_end(text, at, b"null")?,
            _ => return None,
        }
        // a value has ended here, and perhaps what it stands in
        loop {
            let Some(is_object) = open.last() else {
                return Some(at);
            };
            at = space_end(text, at);
            let next = *text.get(at)?;
            at += 1;
            if next == b',' {
                at = space_end(text, at);
                if is_object {
                    at = name_end(text, at)?;
                }
                break;
            }
            if next != end_of(is_object) {
                return None;
            }
            open.pop();
        }
    }
}

/// Where the value of a member begins, whose name begins here.
#[inline]
fn name_end(text: &[u8], at: usize) -> Option<usize> {
    if text.get(at) != Some(&b'"') {
        return None;
    }
    let (at, _) = string_end(text, at + 1)?;
    let at = space_end(text, at);
    if text.get(at) != Some(&b':') {
        return None;
    }
    Some(space_end(text, at + 1))
}

/// Where white space ends. There is hardly ever any.
#[inline]
fn space_end(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

fn word_end(text: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    let is_there = text.get(at..).is_some_and(|rest| rest.starts_with(word));
    is_there.then_some(at + word.len())
}

fn number_end(text: &[u8], mut at: usize) -> Option<usize> {
    at += usize::from(text.get(at) == Some(&b'-'));
    at = if text.get(at) == Some(&b'0') {
        at + 1
    } else {
        digits_end(text, at)?
    };
    if text.get(at) == Some(&b'.') {
        at = digits_end(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        at += usize::from(matches!(text.get(at), Some(b'+' | b'-')));
        at = digits_end(text, at)?;
    }
    Some(at)
}

/// Where the digits end, of which there is at least one.
#[inline]
fn digits_end(text: &[u8], begin: usize) -> Option<usize> {
    let mut at = begin;
    // eight together: how many there are is different each time, and a loop's end would not be foreseen
    while let Some(eight) = text.get(at..).and_then(|rest| rest.first_chunk()) {
        let digits = digits(*eight);
        at += digits;
        if digits < 8 {
            return (begin < at).then_some(at);
        }
    }
    while text.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    (begin < at).then_some(at)
}

/// How many of these bytes are digits, up to the first other one.
#[inline]
fn digits(eight: [u8; 8]) -> usize {
    // a digit becomes its value: less than ten
    let values = u64::from_le_bytes(eight) ^ (EACH * 0x30);
    let from_ten = (values & (EACH * 0x7f)) + EACH * (0x80 - 10);
    let others = (from_ten | values) & (EACH * 0x80);
    others.trailing_zeros() as usize / 8
}

/// Where a string ends of which the first quote comes before this place, its last quote included; and whether there
/// are escapes in it.
#[inline]
fn string_end(text: &[u8], mut at: usize) -> Option<(usize, bool)> {
    let mut has_escapes = false;
    loop {
        at += plain(text.get(at..)?);
        match text.get(at)? {
            b'"' => return Some((at + 1, has_escapes)),
            b'\\' => at = escape_end(text, at + 1)?,
            _ => return None,
        }
        has_escapes = true;
    }
}

/// Where an escape ends whose backslash comes before this place.
fn escape_end(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 1),
        b'u' => {
            let digits = text.get(at + 1..at + 5)?;
            let are_hex = digits.iter().all(u8::is_ascii_hexdigit);
            are_hex.then_some(at + 5)
        }
        _ => None,
    }
}

/// The objects and lists that are open, the innermost last: whether each is an object. The outer
/// ones wait on the heap, which hardly any line needs.
#[derive(Default)]
struct Open {
    outer: Vec<u64>,
    /// A bit for each, below a one.
    inner: u64,
}

impl Open {
    fn push(&mut self, is_object: bool) {
        let bits = self.inner.max(1);
        if bits.leading_zeros() == 0 {
            self.outer.push(bits);
            self.inner = 0b10 | u64::from(is_object);
        } else {
            self.inner = bits << 1 | u64::from(is_object);
        }
    }

    fn last(&self) -> Option<bool> {
        (!self.is_empty()).then_some(self.inner & 1 == 1)
    }

    fn pop(&mut self) {
        self.inner >>= 1;
        if self.inner <= 1 {
            self.inner = self.outer.pop().unwrap_or(0);
        }
    }

    fn is_empty(&self) -> bool {
        self.inner <= 1
    }
}

const fn end_of(is_object: bool) -> u8 {
    if is_object { b'}' } else { b']' }
}

/// So many bytes of a string are looked at together.
const TOGETHER: usize = 16;

/// A one in each byte.
const EACH: u64 = 0x0101_0101_0101_0101;

/// How many bytes of a string come before a quote, a backslash or a control character.
#[inline]
fn plain(bytes: &[u8]) -> usize {
    let (chunks, rest) = bytes.as_chunks::<TOGETHER>();
    for (number, chunk) in chunks.iter().enumerate() {
        let [low, high] = [ends_in(chunk.first_chunk()), ends_in(chunk.last_chunk())];
        if low | high != 0 {
            let ends = u128::from(low) | u128::from(high) << 64;
            return number * TOGETHER + ends.trailing_zeros() as usize / 8;
        }
    }
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..b' ');
    bytes.len() - rest.len() + rest.iter().position(ends).unwrap_or(rest.len())
}

/// The highest bit of each of these bytes, up to the first one that is set. It is written as arithmetic on all of them, for
/// whatever asks for one after the other is not compiled to instructions that take all at once.
#[inline]
fn ends_in(eight: Option<&[u8; 8]>) -> u64 {
    let eight = eight.map_or(0, |eight| u64::from_le_bytes(*eight));
    // a borrow comes only from a byte that is one of these, and goes to those after it
    let is_zero = |each: u64| each.wrapping_sub(EACH) & !each;
    let is_control = eight.wrapping_sub(EACH * 0x20) & !eight;
    let quotes = is_zero(eight ^ (EACH * 0x22));
    let backslashes = is_zero(eight ^ (EACH * 0x5c));
    (is_control | quotes | backslashes) & (EACH * 0x80)
}

/// A value as a cell: the text of a string, the digits of a number, `true`, `false`; empty for
/// null, objects and lists. A lone surrogate becomes U+FFFD.
pub fn cell(json: &str) -> Cow<'_, str> {
    match json.as_bytes() {
        [b'"', ..] => {
            let inside = json
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'));
            inside.map_or(Cow::Borrowed(""), unescape)
        }
        b"null" | [] | [b'{' | b'[', ..] => Cow::Borrowed(""),
        _ => Cow::Borrowed(json),
    }
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

    #[track_caller]
    fn check_places(other: u8, byte: u8, len: usize) {
        for at in 0..len {
            let mut text = vec![other; len];
            text[at] = byte;
            let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..b' ');
            let expected = text.iter().position(ends).unwrap_or(len);
            assert_eq!(plain(&text), expected, "{text:?}");
            let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
            let expected = Some(digits.count()).filter(|digits| 0 < *digits);
            assert_eq!(digits_end(&text, 0), expected, "{text:?}");
        }
    }

    #[test]
    fn every_byte_is_found_at_every_place_whatever_is_around_it() {
        // neighbours whose differences to what is looked for borrow or carry
        for other in *b"a!#[] /:\x7f\x80\xff09" {
            for byte in 0..=255 {
                for len in [1, 8, 15, 16, 17, 40] {
                    check_places(other, byte, len);
                }
            }
        }
    }

    /// Everything that can begin, end, or spoil a value.
    const PIECES: [&str; 40] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"data\":",
        "\"\\u0061\"",
        "\"\\ud83d\"",
        "\\",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\u{1}\"",
        "\"é家😀 and some more plain text\"",
        "0",
        "-",
        "12",
        "01",
        "-0",
        "1.5",
        "1.",
        ".5",
        "1e5",
        "1E+",
        "1e-7",
        "true",
        "false",
        "null",
        "nul",
        "truex",
        " ",
        "\t",
        "\r\n",
        "\u{a0}",
        "{}",
        "[]",
        "[1,2]",
        "{\"a\":{\"b\":[null]}}",
    ];

    fn is_json(text: &str) -> bool {
        members(text, |_, _| ()).is_ok()
    }

    proptest! {
        #[test]
        fn what_serde_json_reads_is_read_and_nothing_else(
            pieces in proptest::collection::vec(0..PIECES.len(), 0..12)
        ) {
            let text: String = pieces.iter().map(|&piece| PIECES[piece]).collect();
            let expected = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(is_json(&text), expected, "{}", text);
        }

        #[test]
        fn damage_is_seen_where_serde_json_sees_it(at in 0_usize..200, byte in 0_u8..128, cut in 0_usize..400) {
            let line = r#"{"data":{"id":"1541815603606036480","text":"a \"b\" \ud83d\u00e9 é家","n":[1,-2.5e3,true,null,{"x":[]}]},"includes":{"users":[{"id":"7","name":"家族","public_metrics":{"tweet_count":12}}]},"__twarc":{"retrieved_at":"2026-11-23T14:05:09.123Z"}}"#;
            let mut bytes = line.as_bytes().to_vec();
            bytes.truncate(cut.max(1));
            let at = at % bytes.len();
            bytes[at] = byte;
            let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
            let expected = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(is_json(&text), expected, "{}", text);
        }

        #[test]
        fn a_cell_is_the_text_that_was_written(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(cell(&json), text);
        }
    }
}
