//! What the escapes in a JSON string stand for. Its syntax was checked before.

use std::borrow::Cow;

/// The text of a string, given without its quotes. A lone surrogate becomes U+FFFD.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', text.as_bytes()) else {
        return Cow::Borrowed(text);
    };
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
