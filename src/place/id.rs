//! The id of a place: drawn once, and by chance, so that no two are the same.

use std::{fmt, io, str::FromStr};

use serde::{Deserialize, Serialize};

/// Hex digits of an id that is drawn: 128 bits.
const DIGITS: usize = 32;

/// An id that somebody gave may have other letters and another length, up to this.
const CHARS_MAX: usize = 64;

/// Letters and digits, in ASCII.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct PlaceId(String);

/// A text that is no id.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not the id of a place (letters and digits, at most {CHARS_MAX})")]
pub struct NotAnId(String);

impl PlaceId {
    /// An id from these bits.
    pub fn of(bits: u128) -> Self {
        Self(format!("{bits:0DIGITS$x}"))
    }

    /// Draws one.
    pub fn draw() -> io::Result<Self> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(io::Error::other)?;
        Ok(Self::of(u128::from_ne_bytes(bits)))
    }
}

impl TryFrom<String> for PlaceId {
    type Error = NotAnId;

    fn try_from(text: String) -> Result<Self, NotAnId> {
        let is_one = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if (1..=CHARS_MAX).contains(&text.len()) && text.bytes().all(is_one) {
            Ok(Self(text))
        } else {
            Err(NotAnId(text))
        }
    }
}

impl FromStr for PlaceId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        text.to_owned().try_into()
    }
}

impl fmt::Display for PlaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_nothing_else_is_one() {
        let id = PlaceId::of(0xab);
        assert_eq!(id.to_string(), format!("{}ab", "0".repeat(30)));
        assert_eq!(id, id.to_string().parse().unwrap());
        assert_ne!(PlaceId::draw().unwrap(), PlaceId::draw().unwrap());
        for wrong in ["", "a b", "a/b", &"0".repeat(65)] {
            assert!(wrong.parse::<PlaceId>().is_err(), "{wrong}");
        }
    }
}
