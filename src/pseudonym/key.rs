//! The key, and the hashes that replace ids: the first half of HMAC-SHA-256.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::segment::sha256::hex;

/// Bytes of a key.
pub const BYTES: usize = 32;

/// Bytes of a hash that are kept: two of a billion ids are the same once in a million million such copies.
const KEPT: usize = 16;

/// What an id is of. The same one stands for two things if it is of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    /// A post; conversations are identified by one too.
    Post,
    /// A user.
    User,
}

/// A key. It has no text form but that of its file.
#[derive(Clone)]
pub struct HashKey {
    mac: Hmac<Sha256>,
}

impl HashKey {
    /// From chance.
    pub fn new(bytes: &[u8; BYTES]) -> Self {
        // a key that is shorter than a block is the same with zeros behind it (RFC 2104)
        let mut block = [0; 64];
        let (begin, _zeros) = block.split_at_mut(BYTES);
        begin.copy_from_slice(bytes);
        Self {
            mac: Hmac::new(&block.into()),
        }
    }

    /// From the text of its file: 64 digits.
    pub fn of_text(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() != 2 * BYTES || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; BYTES];
        for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
        }
        Some(Self::new(&bytes))
    }

    /// What stands for an id.
    pub fn hash(&self, of: IdKind, id: impl std::fmt::Display) -> String {
        let what = match of {
            IdKind::Post => "post",
            IdKind::User => "user",
        };
        self.of(&format!("{what}:{id}"), KEPT)
    }

    /// The mark by which two copies show that they have the same key.
    pub fn mark(&self) -> String {
        self.of("key", 4)
    }

    fn of(&self, message: &str, bytes: usize) -> String {
        let mut mac = self.mac.clone();
        mac.update(message.as_bytes());
        let whole = mac.finalize().into_bytes();
        hex(whole.get(..bytes).unwrap_or_default())
    }
}

/// The text of a key's file.
pub fn text(bytes: &[u8; BYTES]) -> String {
    hex(bytes) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_that_every_program_makes_by_this_key() {
        let bytes = [7; BYTES];
        let key = HashKey::new(&bytes);
        // python3 -c 'import hmac;print(hmac.new(bytes([7]*32),b"post:2124880648641171460","sha256").hexdigest()[:32])'
        assert_eq!(
            key.hash(IdKind::Post, 2_124_880_648_641_171_460_u64),
            "83b4b6b45759bce0b5c80dc5b0f1b726"
        );
        assert_eq!(
            key.hash(IdKind::User, 12),
            "844c5ee79a9f38f361e9bec48b2334f3"
        );
        assert_ne!(key.hash(IdKind::User, 12), key.hash(IdKind::Post, 12));
        let again = HashKey::of_text(&text(&bytes)).unwrap();
        assert_eq!((again.mark(), again.mark().len()), (key.mark(), 8));
        let other = HashKey::new(&[8; BYTES]);
        assert_ne!(other.hash(IdKind::User, 12), key.hash(IdKind::User, 12));
        for wrong in [
            "",
            "07",
            &"0g".repeat(32),
            &"07".repeat(33),
            &"é".repeat(32),
        ] {
            assert!(HashKey::of_text(wrong).is_none(), "{wrong}");
        }
    }
}
