//! A SHA-256: by it a file is known to be the same. It is written as 64 lower-case hex digits, and nothing else is read as one.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Digest as _;

/// The hash of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256([u8; 32]);

/// Text that is no SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a SHA-256: that has 64 lower-case hex digits")]
pub struct NotASha256;

impl Sha256 {
    /// 64 zeros: what the first line has as the hash of the line before it.
    pub const ZEROS: Self = Self([0; 32]);

    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The first 16 digits as a number: what is named by its hash has a short name.
    pub fn begin(&self) -> u64 {
        self.0.first_chunk().copied().map_or(0, u64::from_be_bytes)
    }
}

impl From<[u8; 32]> for Sha256 {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<Sha256> for [u8; 32] {
    fn from(hash: Sha256) -> Self {
        hash.0
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sha256 {
    type Err = NotASha256;

    fn from_str(text: &str) -> Result<Self, NotASha256> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(NotASha256),
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let mut bytes = [0; 32];
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return Err(NotASha256);
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = Sha256;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a SHA-256: 64 lower-case hex digits")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Sha256, E> {
                text.parse().map_err(|_not_one: NotASha256| {
                    E::invalid_value(de::Unexpected::Str(text), &self)
                })
            }
        }

        deserializer.deserialize_str(Text)
    }
}

/// Lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes
        .iter()
        .flat_map(|&byte| [digit(byte >> 4), digit(byte)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn it_is_read_as_it_is_written_and_nothing_else_is_one() {
        let one = Sha256::of(b"");
        assert_eq!(one.to_string(), OF_NOTHING);
        assert_eq!(OF_NOTHING.parse(), Ok(one));
        assert_eq!(Sha256::ZEROS.to_string(), "0".repeat(64));
        assert_eq!(format!("{:016x}", one.begin()), OF_NOTHING[..16]);
        let json = format!("{OF_NOTHING:?}");
        assert_eq!(serde_json::to_string(&one).unwrap(), json);
        assert_eq!(serde_json::from_str::<Sha256>(&json).unwrap(), one);
        let upper = OF_NOTHING.to_uppercase();
        let (short, long) = (&OF_NOTHING[1..], format!("{OF_NOTHING}00"));
        for other in [
            "",
            "ab",
            short,
            &long,
            &upper,
            &"ä".repeat(32),
            &"+".repeat(64),
        ] {
            assert_eq!(other.parse::<Sha256>(), Err(NotASha256), "{other}");
            let json = serde_json::to_string(other).unwrap();
            let why = serde_json::from_str::<Sha256>(&json)
                .unwrap_err()
                .to_string();
            assert!(why.contains("a SHA-256: 64 lower-case hex digits"), "{why}");
        }
    }
}
