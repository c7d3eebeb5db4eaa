//! RFC 4180 rows: fields separated by commas, rows ended by LF, a field quoted only when it must be.
//!
//! Fields come in as the API gave them; whatever some reader takes for a line break, and NUL, becomes one
//! space on the way (CR LF one for both), so that one row is one line for every reader.

use crate::text::is_line_break;

/// Appends one row with its LF.
pub fn push_row(to: &mut Vec<u8>, fields: impl IntoIterator<Item = impl AsRef<str>>) {
    let before = to.len();
    for (index, field) in fields.into_iter().enumerate() {
        if 0 < index {
            to.push(b',');
        }
        push_field(to, field.as_ref());
    }
    if to.len() == before {
        // a row of one empty field must not look like an empty line
        to.extend_from_slice(b"\"\"");
    }
    to.push(b'\n');
}

/// Appends one field.
pub fn push_field(to: &mut Vec<u8>, field: &str) {
    let mut rest = field.as_bytes();
    // nearly all fields are copied as they are
    let Some(first_of_either) = first(rest, |eight| quoted(eight) | special(eight)) else {
        to.extend_from_slice(rest);
        return;
    };
    let is_quoted = first(rest.get(first_of_either..).unwrap_or_default(), quoted).is_some();
    if is_quoted {
        to.push(b'"');
    }
    // what is not special is copied in one go
    while let Some(at) = first(rest, special) {
        let (plain, special) = rest.split_at(at);
        to.extend_from_slice(plain);
        let (shown, len) = replaced(special);
        to.extend_from_slice(shown);
        rest = special.get(len..).unwrap_or_default();
    }
    to.extend_from_slice(rest);
    if is_quoted {
        to.push(b'"');
    }
}

/// What stands for the character with which the text begins, and how many bytes of the text that
/// is for.
fn replaced(text: &[u8]) -> (&[u8], usize) {
    match text {
        [b'"', ..] => (b"\"\"", 1),
        [b'\r', b'\n', ..] | [0xc2, 0x85, ..] => (b" ", 2),
        [b'\0' | 0xa..=0xd | 0x1c..=0x1e, ..] => (b" ", 1),
        [0xe2, 0x80, 0xa8 | 0xa9, ..] => (b" ", 3),
        [first, ..] => (std::slice::from_ref(first), 1),
        [] => (b"", 0),
    }
}

/// A one in each of eight bytes.
const EACH: u64 = 0x0101_0101_0101_0101;

/// Eight bytes that ask for nothing.
const PLAIN: u64 = EACH * b'0' as u64;

/// Sets the highest bit of each of eight bytes that is zero. A borrow comes only from one that is, and goes to those after
/// it: up to the first one, the bits are right.
const fn zeros(eight: u64) -> u64 {
    eight.wrapping_sub(EACH) & !eight
}

/// Of eight bytes, those for which a field is quoted: a comma, a quote.
const fn quoted(eight: u64) -> u64 {
    zeros(eight ^ (EACH * 0x2c)) | zeros(eight ^ (EACH * 0x22))
}

/// Of eight bytes, those that may begin something that is changed in a row: a quote, what is less than a space, and 0xc2
/// and 0xe2, with which U+0085, U+2028 and U+2029 begin, as do other characters.
const fn special(eight: u64) -> u64 {
    let controls = eight.wrapping_sub(EACH * 0x20) & !eight;
    controls | zeros(eight ^ (EACH * 0x22)) | zeros((eight & (EACH * 0xdf)) ^ (EACH * 0xc2))
}

/// Where the first byte is whose highest bit `of` sets. Eight are looked at together.
#[inline]
fn first(bytes: &[u8], of: impl Fn(u64) -> u64) -> Option<usize> {
    let (chunks, rest) = bytes.as_chunks();
    let found = |eight: u64| {
        let bits = of(eight) & (EACH * 0x80);
        (bits != 0).then(|| bits.trailing_zeros() as usize / 8)
    };
    for (number, chunk) in chunks.iter().enumerate() {
        if let Some(at) = found(u64::from_le_bytes(*chunk)) {
            return Some(number * 8 + at);
        }
    }
    let last = rest.iter().rev();
    let last = last.fold(PLAIN, |eight, byte| eight << 8 | u64::from(*byte));
    found(last).map(|at| chunks.len() * 8 + at)
}

/// The fields of a row without its LF; `None` if it is not one that [`push_row`] writes.
pub fn fields(row: &[u8]) -> Option<Vec<String>> {
    let mut rest = std::str::from_utf8(row).ok()?;
    let mut fields = Vec::new();
    loop {
        let (field, after) = if let Some(quoted) = rest.strip_prefix('"') {
            unquote(quoted)?
        } else {
            let (field, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
            (field.to_owned(), after)
        };
        if field.contains(|c| c == '\0' || is_line_break(c)) {
            return None;
        }
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return after.is_empty().then_some(fields),
        }
    }
}

/// What a quoted field says, and what comes after it.
fn unquote(mut rest: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    loop {
        let (text, after) = rest.split_once('"')?;
        field.push_str(text);
        match after.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Some((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_row(fields: &[&str], row: &str) {
        let mut found = Vec::new();
        push_row(&mut found, fields.iter().copied());
        assert_eq!(String::from_utf8(found).unwrap(), format!("{row}\n"));
    }

    #[test]
    fn a_row_is_one_line() {
        check_row(&["a", "", "c"], "a,,c");
        check_row(&["a,b", "say \"hi\"", "\""], r#""a,b","say ""hi""","""""#);
        check_row(
            &["a\r\nb\rc\nd\u{b}e\u{c}f\u{85}g\u{2028}h\u{2029}i\0j\u{1c}k\u{1d}l\u{1e}m"],
            "a b c d e f g h i j k l m",
        );
        check_row(
            &["\n\r", "\r\r\n\n", "\u{200d}\u{e9}"],
            "  ,   ,\u{200d}\u{e9}",
        );
        check_row(&[""], "\"\"");
    }

    #[test]
    fn no_row_that_some_reader_takes_for_two_is_written_or_read() {
        // what Python's `str.splitlines` breaks at, and NUL
        let ends = "\n\r\u{b}\u{c}\u{1c}\u{1d}\u{1e}\u{85}\u{2028}\u{2029}\0";
        for c in (0..=0x3_000).filter_map(char::from_u32) {
            let mut row = Vec::new();
            push_row(&mut row, [format!("a{c}b").as_str(), "c"]);
            let is_kept = row
                .windows(c.len_utf8())
                .any(|some| some == c.to_string().as_bytes());
            assert_eq!(is_kept, !ends.replace('\n', "").contains(c), "{c:?}");
            let read = fields(format!("a{c}b").as_bytes());
            assert_eq!(read.is_some(), !ends.contains(c), "{c:?}");
        }
    }

    #[test]
    fn a_field_is_quoted_and_changed_wherever_it_asks_for_that() {
        for len in [1, 7, 8, 9, 15, 16, 17, 33] {
            for at in 0..len {
                let (before, after) = ("x".repeat(at), "y".repeat(len - at - 1));
                let check = |put: &str, row: &str| {
                    let row = row.replace('<', &before).replace('>', &after);
                    check_row(&[&format!("{before}{put}{after}")], &row);
                };
                check(",", "\"<,>\"");
                check("\"", "\"<\"\">\"");
                check("\n", "< >");
                check("\u{2028}", "< >");
                check("\u{1}", "<\u{1}>");
                check("\u{e9}", "<\u{e9}>");
            }
        }
    }

    proptest! {
        #[test]
        fn a_reader_gets_the_fields_back(fields in proptest::collection::vec("[a-c\",; \t'é\u{2028}\u{200d}]{0,6}", 1..5)) {
            let mut row = Vec::new();
            push_row(&mut row, fields.iter().map(String::as_str));
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(row.as_slice());
            let read: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
            let expected: Vec<String> = fields.iter().map(|field| field.replace('\u{2028}', " ")).collect();
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!(read[0].iter().collect::<Vec<_>>(), expected.clone());
            prop_assert_eq!(super::fields(row.strip_suffix(b"\n").unwrap()), Some(expected));
        }
    }
}
