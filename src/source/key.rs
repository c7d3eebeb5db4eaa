//! What names a record, or an author: a number or a text, in one total order.

use std::fmt;

use sha2::{Digest, Sha256};

/// The name of a record or of an author. Numbers come first, by size; then texts, byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// An id that is a number.
    Number(u64),
    /// Any other.
    Text(Box<str>),
}

impl Key {
    /// Takes it into the hash of a list of keys.
    pub fn hash_into(&self, hash: &mut Sha256) {
        match self {
            Self::Number(number) => hash.update(number.to_le_bytes()),
            Self::Text(text) => {
                hash.update(text.as_bytes());
                hash.update(b"\n");
            }
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// A number of decimal digits that fits into 64 bits.
pub fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// An id that is a number. Columns of ids are signed, so beyond 2^63 − 1 there is none.
pub fn numeric_id(text: &str) -> Option<u64> {
    number(text).filter(|number| i64::try_from(*number).is_ok())
}

impl From<u64> for Key {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend_by_size_and_come_before_texts() {
        let keys: [Key; 5] = [9.into(), 10.into(), u64::MAX.into(), "1".into(), "a".into()];
        assert!(keys.is_sorted());
        let texts = keys.map(|key| key.to_string());
        assert_eq!(texts, ["9", "10", "18446744073709551615", "1", "a"]);
        assert_eq!(number("18446744073709551615"), Some(u64::MAX));
        let greatest = i64::MAX.unsigned_abs();
        assert_eq!(numeric_id("9223372036854775807"), Some(greatest));
        assert_eq!(numeric_id("9223372036854775808"), None);
        for wrong in ["", "-1", "+1", "1.0", "18446744073709551616", "1 ", "１"] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }
}
