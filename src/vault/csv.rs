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
    // nearly all fields are copied as they are: nothing but a table decides about each of their bytes
    let care = rest.iter().fold(0, |care, &byte| care | care_of(byte));
    if care == 0 {
        to.extend_from_slice(rest);
        return;
    }
    let quoted = care & QUOTED != 0;
    if quoted {
        to.push(b'"');
    }
    // what is not special is copied in one go
    while let Some(at) = rest.iter().position(|&byte| care_of(byte) & SPECIAL != 0) {
        let (plain, special) = rest.split_at(at);
        to.extend_from_slice(plain);
        let (shown, len) = replaced(special);
        to.extend_from_slice(shown);
        rest = special.get(len..).unwrap_or_default();
    }
    to.extend_from_slice(rest);
    if quoted {
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

/// A field with such a byte is quoted.
const QUOTED: u8 = 1;

/// A byte that begins something that is changed in a row.
const SPECIAL: u8 = 2;

fn care_of(byte: u8) -> u8 {
    CARE.get(usize::from(byte)).copied().unwrap_or(0)
}

/// What each byte asks for. U+0085, U+2028 and U+2029 begin with the last two, as do other
/// characters.
const CARE: [u8; 256] = {
    let mut care = [0; 256];
    care[b',' as usize] = QUOTED;
    care[b'"' as usize] = QUOTED | SPECIAL;
    care[b'\0' as usize] = SPECIAL;
    care[0xa] = SPECIAL;
    care[0xb] = SPECIAL;
    care[0xc] = SPECIAL;
    care[0xd] = SPECIAL;
    care[0x1c] = SPECIAL;
    care[0x1d] = SPECIAL;
    care[0x1e] = SPECIAL;
    care[0xc2] = SPECIAL;
    care[0xe2] = SPECIAL;
    care
};

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
