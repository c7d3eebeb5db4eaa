//! What the authority is asked: to stamp a hash, with a nonce, and to send its certificate along.

/// A SHA-256.
pub type Hash = [u8; 32];

/// A number that an answer has to repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce([u8; 8]);

impl Nonce {
    /// From chance. The first bits are fixed, so that it is written with all its octets.
    pub fn new(mut octets: [u8; 8]) -> Self {
        let [first, ..] = &mut octets;
        *first = (*first & 0x3f) | 0x40;
        Self(octets)
    }

    /// As it is written.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

/// A TimeStampReq before the hash: version 1, and a MessageImprint by SHA-256.
const HEAD: [u8; 24] = [
    0x30, 0x43, 0x02, 0x01, 0x01, 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65,
    0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20,
];
/// Before the nonce: an INTEGER of eight octets.
const NONCE: [u8; 2] = [0x02, 0x08];
/// Behind it: certReq TRUE.
const TAIL: [u8; 3] = [0x01, 0x01, 0xff];

/// The request: only the octets of hash and nonce vary.
pub fn request(hash: &Hash, nonce: Nonce) -> Vec<u8> {
    [&HEAD[..], hash, &NONCE, &nonce.0, &TAIL].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_long_as_it_says() {
        let nonce = Nonce::new([0; 8]);
        let bytes = request(&[7; 32], nonce);
        assert_eq!(bytes.len(), 2 + usize::from(bytes[1]));
        assert_eq!(
            (nonce.octets()[0], Nonce::new([0xff; 8]).octets()[0]),
            (0x40, 0x7f)
        );
    }
}
