//! From bytes to chunks: cut anywhere, compressed if asked for, and torn when a fault wants it.

use std::{
    io::{self, Write as _},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::chance::Chance;

/// What leaves as one chunk, and whether the next one waits a moment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) bytes: Bytes,
    pub(super) pause: bool,
}

/// Cuts and compresses what one stream sends.
pub(super) struct Chunker {
    chance: Chance,
    gzip: Option<GzEncoder<Vec<u8>>>,
    spoil: bool,
}

impl Chunker {
    /// The chunker of one stream.
    pub(super) fn new(chance: Chance, gzip: bool) -> Self {
        let gzip = gzip.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
        Self {
            chance,
            gzip,
            spoil: false,
        }
    }

    /// The chunks in which these bytes leave.
    pub(super) fn chunks(&mut self, bytes: Vec<u8>) -> io::Result<Vec<Chunk>> {
        let sizes = sizes(bytes.len(), &mut self.chance);
        let mut rest = Bytes::from(bytes);
        let mut found = Vec::with_capacity(sizes.len());
        for size in sizes {
            let part = rest.split_to(size);
            let part = match &mut self.gzip {
                None => part,
                Some(_) => Bytes::from(self.compress(&part)?),
            };
            let pause = !rest.is_empty() && self.chance.one_in(48);
            if self.gzip.is_some() && 40 < part.len() && self.chance.one_in(4) {
                let (head, tail) = part.split_at(part.len() / 3);
                let (head, tail) = (part.slice_ref(head), part.slice_ref(tail));
                found.push(Chunk {
                    bytes: head,
                    pause: false,
                });
                found.push(Chunk { bytes: tail, pause });
            } else {
                found.push(Chunk { bytes: part, pause });
            }
        }
        Ok(found)
    }

    fn compress(&mut self, part: &[u8]) -> io::Result<Vec<u8>> {
        let Some(encoder) = &mut self.gzip else {
            return Ok(part.to_vec());
        };
        encoder.write_all(part)?;
        encoder.flush()?;
        let mut out = std::mem::take(encoder.get_mut());
        if self.chance.one_in(150) {
            encoder.try_finish()?;
            out.append(encoder.get_mut());
            *encoder = GzEncoder::new(Vec::new(), Compression::fast());
        }
        if self.spoil {
            self.spoil = false;
            // every write begins on a byte with a new block or member; neither a block of type 3
            // nor a member that begins so exists, so every decoder sees it at once
            out.fill(0xff);
        }
        Ok(out)
    }

    /// Makes the next compressed bytes wrong.
    pub(super) const fn spoil(&mut self) {
        self.spoil = true;
    }

    /// What ends a gzip stream properly; nothing for a plain one.
    pub(super) fn trailer(&mut self) -> io::Result<Bytes> {
        match self.gzip.take() {
            Some(encoder) => Ok(encoder.finish()?.into()),
            None => Ok(Bytes::new()),
        }
    }

    /// What makes sure that a gzip stream is in the middle of a member: by chance, one may just
    /// have ended. Nothing for a plain one.
    pub(super) fn unfinished(&mut self) -> io::Result<Bytes> {
        match &mut self.gzip {
            Some(encoder) => {
                encoder.flush()?;
                Ok(std::mem::take(encoder.get_mut()).into())
            }
            None => Ok(Bytes::new()),
        }
    }

    /// The two halves of a line that is torn: the first one arrives, of the second one a part.
    pub(super) fn halves(&mut self, line: &[u8]) -> io::Result<(Bytes, Bytes)> {
        let (head, tail) = line.split_at(line.len() / 2);
        if self.gzip.is_some() {
            return Ok((self.compress(head)?.into(), self.compress(tail)?.into()));
        }
        Ok((Bytes::copy_from_slice(head), Bytes::copy_from_slice(tail)))
    }
}

/// Sizes of chunks that add up to `len`: often one chunk, often several that end anywhere.
fn sizes(len: usize, chance: &mut Chance) -> Vec<usize> {
    if len == 0 {
        return Vec::new();
    }
    if chance.one_in(2) && len < 64 << 10 {
        return vec![len];
    }
    let longest = if chance.one_in(8) { 40 } else { 2_000 };
    let longest = longest.max(len / 16);
    let mut found = Vec::new();
    let mut rest = len;
    while 0 < rest {
        let size = (1 + chance.index(longest)).min(rest);
        found.push(size);
        rest -= size;
    }
    found
}

/// What a stream's socket does with the bytes that hyper hands it.
#[derive(Debug, Clone, Default)]
pub(super) struct Fate(Arc<AtomicU8>);

const WHOLE: u8 = 0;
const CUT: u8 = 1;
const RESET: u8 = 2;
const TORN: u8 = 3;

impl Fate {
    /// Closes in the middle of the next write.
    pub(super) fn cut(&self) {
        self.0.store(CUT, Ordering::Relaxed);
    }

    /// Resets in the middle of the next write, or when the connection ends before there is one.
    pub(super) fn reset(&self) {
        self.0.store(RESET, Ordering::Relaxed);
    }
}

/// A socket that can be torn in the middle of a chunk.
pub(super) struct Wire {
    socket: TcpStream,
    fate: Fate,
}

impl Wire {
    /// The socket, and what decides on its fate.
    pub(super) fn new(socket: TcpStream) -> (Self, Fate) {
        let fate = Fate::default();
        (
            Self {
                socket,
                fate: fate.clone(),
            },
            fate,
        )
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.fate.0.load(Ordering::Relaxed) == RESET {
            // a connection that is gone already cannot be reset
            drop(self.socket.set_zero_linger());
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, into)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let fate = self.fate.0.load(Ordering::Relaxed);
        if fate == WHOLE {
            return Pin::new(&mut self.socket).poll_write(cx, bytes);
        }
        if fate == TORN || bytes.len() < 2 {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let written = Pin::new(&mut self.socket).poll_write(cx, &bytes[..bytes.len() / 2]);
        if let Poll::Ready(Ok(_)) = &written {
            self.fate.0.store(TORN, Ordering::Relaxed);
            if fate == RESET {
                self.socket.set_zero_linger()?;
            }
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.fate.0.load(Ordering::Relaxed) == TORN {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::MultiGzDecoder;

    use super::*;

    fn lines() -> Vec<Vec<u8>> {
        (0..400)
            .map(|k| {
                format!("{{\"line\":{k},\"text\":\"žluťoučký 🐎\"}}\r\n")
                    .repeat(k % 7)
                    .into_bytes()
            })
            .collect()
    }

    fn sent(gzip: bool) -> (Chunker, Vec<Chunk>) {
        let mut chunker = Chunker::new(Chance::of(3, 4, 5), gzip);
        let mut all = Vec::new();
        for line in lines() {
            all.extend(chunker.chunks(line).unwrap());
        }
        (chunker, all)
    }

    fn joined(chunks: &[Chunk]) -> Vec<u8> {
        chunks
            .iter()
            .flat_map(|chunk| chunk.bytes.to_vec())
            .collect()
    }

    #[test]
    fn chunks_are_cut_anywhere_and_lose_nothing() {
        let (_, chunks) = sent(false);
        assert_eq!(joined(&chunks), lines().concat());
        assert!(chunks.iter().all(|chunk| !chunk.bytes.is_empty()));
        let in_a_character = chunks
            .iter()
            .any(|chunk| str::from_utf8(&chunk.bytes).is_err());
        assert!(in_a_character);
        assert!(chunks.iter().any(|chunk| chunk.pause));
        assert_eq!(chunks, sent(false).1, "the same seed cuts the same");
    }

    #[test]
    fn gzip_has_several_members_and_every_write_is_flushed() {
        let (mut chunker, chunks) = sent(true);
        let mut stream = joined(&chunks);
        let members = memchr::memmem::find_iter(&stream, b"\x1f\x8b\x08\x00").count();
        assert!(1 < members, "{members}");
        let mut whole = Vec::new();
        let unfinished = MultiGzDecoder::new(stream.as_slice()).read_to_end(&mut whole);
        assert_eq!(
            whole,
            lines().concat(),
            "all of it, though the trailer is missing"
        );
        assert_eq!(unfinished.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        stream.extend_from_slice(&chunker.trailer().unwrap());
        whole.clear();
        assert!(
            MultiGzDecoder::new(stream.as_slice())
                .read_to_end(&mut whole)
                .is_ok()
        );
    }

    #[test]
    fn a_stream_without_trailer_is_in_the_middle_of_a_member_even_where_one_just_ended() {
        let is_unfinished = |stream: &[u8]| {
            MultiGzDecoder::new(stream)
                .read_to_end(&mut Vec::new())
                .is_err()
        };
        let mut at_an_end = 0;
        for seed in 0..4_000 {
            let mut chunker = Chunker::new(Chance::of(seed, 4, 5), true);
            let mut stream = joined(&chunker.chunks(b"{}\r\n".to_vec()).unwrap());
            at_an_end += usize::from(!is_unfinished(&stream));
            stream.extend_from_slice(&chunker.unfinished().unwrap());
            assert!(is_unfinished(&stream), "seed {seed}");
        }
        assert!(0 < at_an_end, "no member ended with a line");
    }

    #[test]
    fn a_spoiled_stream_does_not_decode() {
        let mut chunker = Chunker::new(Chance::of(3, 4, 5), true);
        chunker.spoil();
        let mut all = Vec::new();
        for line in lines() {
            all.extend(chunker.chunks(line).unwrap());
        }
        let mut whole = Vec::new();
        let read = MultiGzDecoder::new(joined(&all).as_slice()).read_to_end(&mut whole);
        assert!(read.is_err());
        assert_ne!(whole, lines().concat());
    }
}
