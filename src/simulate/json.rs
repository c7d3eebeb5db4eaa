//! JSON written by hand into a buffer, since a simulated hour has a hundred megabytes of it.

use crate::period::UtcMs;

/// Appends text that is JSON already.
pub(super) fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// Appends a number.
pub(super) fn put_number(out: &mut Vec<u8>, number: u64) {
    const DIGITS: &[u8; 10] = b"0123456789";
    let mut digits = [0_u8; 20];
    let mut begin = digits.len();
    let mut rest = number;
    loop {
        begin -= 1;
        digits[begin] = usize::try_from(rest % 10).map_or(b'0', |digit| DIGITS[digit]);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[begin..]);
}

/// Appends an id as the string it is on the wire.
pub(super) fn put_id(out: &mut Vec<u8>, id: u64) {
    out.push(b'"');
    put_number(out, id);
    out.push(b'"');
}

/// Appends an instant on a whole second, as the wire has it.
pub(super) fn put_second(out: &mut Vec<u8>, second: i64) {
    out.push(b'"');
    put(out, &UtcMs(second * 1_000).to_string());
    out.push(b'"');
}

/// Appends a JSON string. Control characters are escaped, the rest is UTF-8.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut plain = 0;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let escape: Option<&[u8]> = match byte {
            b'"' => Some(b"\\\""),
            b'\\' => Some(b"\\\\"),
            b'\n' => Some(b"\\n"),
            b'\r' => Some(b"\\r"),
            b'\t' => Some(b"\\t"),
            0..0x20 => None,
            _ => continue,
        };
        out.extend_from_slice(&bytes[plain..at]);
        plain = at + 1;
        if let Some(escape) = escape {
            out.extend_from_slice(escape);
        } else {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        }
    }
    out.extend_from_slice(&bytes[plain..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for text in [
            "",
            "a\"b\\c\n\r\t",
            "\0\u{1f}\u{7f}",
            "é😂\u{2028}",
            "{}",
            "\\u0000",
        ] {
            let mut out = Vec::new();
            put_text(&mut out, text);
            assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
        for number in [0, 7, 10, 1_541_815_603_606_036_480, u64::MAX] {
            let mut out = Vec::new();
            put_number(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
        let mut out = Vec::new();
        put_second(&mut out, 1_656_432_460);
        assert_eq!(out, b"\"2022-06-28T16:07:40.000Z\"");
    }
}
