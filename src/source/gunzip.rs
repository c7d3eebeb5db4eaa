//! Decodes the body of a response as its bytes come.
//!
//! Whatever can be decoded is given out at once: the API flushes its gzip stream after each write
//! and ends it without a trailer, so neither a full buffer nor an end may be waited for. Several
//! members may follow each other. Each call gives out at most one buffer, so bytes that inflate a
//! thousandfold cost time and no memory.

use flate2::{Decompress, FlushDecompress, Status};

/// Bytes given out per call.
pub const DECODED_BYTES_MAX: usize = 64 * 1024;

/// The largest window of deflate; the gzip format allows all of it.
const WINDOW_BITS: u8 = 15;

/// The bytes are not what the response said they are.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A `Content-Encoding` that was not asked for.
    #[error("the response is encoded as {0:?}, which was not asked for")]
    UnknownEncoding(String),
    /// Not gzip, or damaged.
    #[error("the response's gzip stream is damaged: {0}")]
    Damaged(#[from] flate2::DecompressError),
}

/// Decodes one body.
pub enum Decoder {
    /// The bytes as they are.
    Identity,
    /// Gzip.
    Gzip(Box<Gunzip>),
}

/// The state of a gzip stream.
pub struct Gunzip {
    member: Decompress,
    /// Whether the last member has ended, so that further bytes begin another.
    ended: bool,
    buffer: Vec<u8>,
}

impl Decoder {
    /// The decoder for a `Content-Encoding`.
    pub fn for_encoding(encoding: Option<&str>) -> Result<Self, DecodeError> {
        match encoding.map(|name| name.trim().to_ascii_lowercase()) {
            None => Ok(Self::Identity),
            Some(name) if name.is_empty() || name == "identity" => Ok(Self::Identity),
            Some(name) if name == "gzip" || name == "x-gzip" => {
                Ok(Self::Gzip(Box::new(Gunzip::new())))
            }
            Some(name) => Err(DecodeError::UnknownEncoding(name)),
        }
    }

    /// Decodes from `input`, moves it past what was used, and returns at most one buffer. An empty result means that
    /// this input has no more.
    pub fn decode<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<&'a [u8], DecodeError> {
        match self {
            Self::Identity => {
                let (now, later) = input.split_at(input.len().min(DECODED_BYTES_MAX));
                *input = later;
                Ok(now)
            }
            Self::Gzip(gunzip) => gunzip.decode(input),
        }
    }
}

impl Gunzip {
    fn new() -> Self {
        Self {
            member: Decompress::new_gzip(WINDOW_BITS),
            ended: false,
            buffer: vec![0; DECODED_BYTES_MAX],
        }
    }

    fn decode(&mut self, input: &mut &[u8]) -> Result<&[u8], DecodeError> {
        loop {
            if self.ended {
                if input.is_empty() {
                    return Ok(&[]);
                }
                self.member = Decompress::new_gzip(WINDOW_BITS);
                self.ended = false;
            }
            let (in_before, out_before) = (self.member.total_in(), self.member.total_out());
            let status = self
                .member
                .decompress(input, &mut self.buffer, FlushDecompress::None);
            let used = advance(in_before, self.member.total_in());
            let made = advance(out_before, self.member.total_out());
            *input = input.get(used..).unwrap_or(&[]);
            match status {
                Ok(Status::StreamEnd) => self.ended = true,
                Ok(Status::Ok | Status::BufError) => (),
                // what came out before the damage is kept; the next call meets the damage again
                Err(_again) if 0 < made => (),
                Err(damage) => return Err(damage.into()),
            }
            if 0 < made {
                return Ok(self.buffer.get(..made).unwrap_or(&[]));
            }
            if !self.ended && (input.is_empty() || used == 0) {
                return Ok(&[]);
            }
        }
    }
}

/// How far a total moved in one call; both are bounded by the buffers given.
fn advance(before: u64, after: u64) -> usize {
    usize::try_from(after.saturating_sub(before)).unwrap_or(0)
}

/// Decodes a whole short body, as far as it can be decoded, to at most `max` bytes.
pub fn decode_short(encoding: Option<&str>, body: &[u8], max: usize) -> Vec<u8> {
    let mut short = Vec::new();
    let mut decoder = match Decoder::for_encoding(encoding) {
        Ok(decoder) => decoder,
        Err(_unknown) => return body.get(..max).unwrap_or(body).to_vec(),
    };
    let mut rest = body;
    while short.len() < max {
        match decoder.decode(&mut rest) {
            Ok([]) | Err(_) => break,
            Ok(bytes) => short.extend_from_slice(bytes),
        }
    }
    short.truncate(max);
    short
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;

    use super::*;

    /// Everything that comes out of the chunks, and whether damage was met.
    fn decode_all<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, bool) {
        let mut decoder = Decoder::for_encoding(Some("gzip")).unwrap();
        let mut out = Vec::new();
        for chunk in chunks {
            let mut rest = chunk;
            loop {
                match decoder.decode(&mut rest) {
                    Ok([]) => break,
                    Ok(bytes) => out.extend_from_slice(bytes),
                    Err(_) => return (out, true),
                }
            }
        }
        (out, false)
    }

    fn member(parts: &[Vec<u8>]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        for part in parts {
            gzip.write_all(part).unwrap();
            gzip.flush().unwrap();
        }
        gzip.finish().unwrap()
    }

    #[test]
    fn what_was_flushed_comes_out_without_a_trailer() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(b"{\"data\":1}\r\n").unwrap();
        gzip.flush().unwrap();
        let flushed = gzip.get_ref().clone();
        assert_eq!(
            decode_all([flushed.as_slice()]),
            (b"{\"data\":1}\r\n".to_vec(), false)
        );
    }

    #[test]
    fn a_bomb_comes_out_in_small_pieces() {
        let bomb = member(&[vec![b'x'; 32 << 20]]);
        let mut decoder = Decoder::for_encoding(Some("gzip")).unwrap();
        let (mut rest, mut total) = (bomb.as_slice(), 0);
        loop {
            let len = decoder.decode(&mut rest).unwrap().len();
            assert!(len <= DECODED_BYTES_MAX);
            total += len;
            if len == 0 {
                break;
            }
        }
        assert_eq!(total, 32 << 20);
    }

    #[test]
    fn damage_is_told_after_what_came_before_it() {
        let good = b"a line that is stored\n".to_vec();
        let mut bytes = member(std::slice::from_ref(&good));
        bytes.extend_from_slice(b"not gzip at all");
        assert_eq!(decode_all([bytes.as_slice()]), (good, true));
        assert!(matches!(
            Decoder::for_encoding(Some("br")),
            Err(DecodeError::UnknownEncoding(_))
        ));
    }

    proptest! {
        #[test]
        fn any_cut_of_any_members_gives_the_same_bytes(
            members in proptest::collection::vec(
                proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..4), 0..4),
            cuts in proptest::collection::vec(0usize..600, 0..20),
            lost in 0usize..30,
        ) {
            let whole: Vec<u8> = members.iter().flat_map(|parts| member(parts)).collect();
            let plain: Vec<u8> = members.concat().concat();
            let received = &whole[..whole.len().saturating_sub(lost)];
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(received.len())).collect();
            cuts.extend([0, received.len()]);
            cuts.sort_unstable();
            let (out, damaged) = decode_all(cuts.windows(2).map(|ends| &received[ends[0]..ends[1]]));
            prop_assert!(!damaged);
            prop_assert!(plain.starts_with(&out));
            // the last member's trailer has 8 bytes, the empty last block and flush marks some more
            if lost <= 8 {
                prop_assert_eq!(out, plain);
            }
        }
    }
}
