//! A valid .xz file whose content is not compressed: what a merge costs without its compression is
//! measured with it. No setting of the program leads here.
//!
//! One block of LZMA2's uncompressed chunks, without a check of its own: the manifest has the content's
//! hash. Every xz reader reads it.
//! The names are those of the format's specification, version 1.2.0 (tukaani.org).

use std::io::{self, Write};

use twinstream::vault::xz::{Compress, Compressing, Filling, Hashed};

/// No check, as it stands in header and footer.
const STREAM_FLAGS: [u8; 2] = [0, 0];

/// One filter, no sizes; LZMA2 with one byte of properties: a dictionary of 64 KiB; padding.
const BLOCK_HEADER: [u8; 8] = [2, 0, 0x21, 1, 8, 0, 0, 0];

/// Most that one chunk can hold.
const CHUNK_BYTES: usize = 1 << 16;

/// Bytes of a block's header with its checksum.
const BLOCK_HEADER_BYTES: u64 = 12;

/// Does not compress.
#[derive(Debug)]
pub(super) struct Stored;

impl Compress for Stored {
    fn begin(
        &self,
        file: Hashed,
        _threads: u32,
        _filling: Filling,
    ) -> io::Result<Box<dyn Compressing>> {
        Ok(Box::new(Storing::begin(file)?))
    }
}

/// Writes such a file.
struct Storing<W> {
    to: W,
    /// Content that is not written yet: less than a chunk.
    chunk: Vec<u8>,
    content_bytes: u64,
    /// Bytes of the block so far, from its header on.
    block_bytes: u64,
}

impl<W: Write> Write for Storing<W> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        self.take(content)?;
        Ok(content.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Compressing for Storing<Hashed> {
    fn end(self: Box<Self>) -> io::Result<Hashed> {
        self.finish()
    }
}

impl<W: Write> Storing<W> {
    /// Begins the file.
    fn begin(mut to: W) -> io::Result<Self> {
        to.write_all(&[0xfd, b'7', b'z', b'X', b'Z', 0])?;
        put_with_crc(&mut to, &STREAM_FLAGS)?;
        put_with_crc(&mut to, &BLOCK_HEADER)?;
        Ok(Self {
            to,
            chunk: Vec::with_capacity(CHUNK_BYTES),
            content_bytes: 0,
            block_bytes: BLOCK_HEADER_BYTES,
        })
    }

    /// Takes content in.
    fn take(&mut self, mut content: &[u8]) -> io::Result<()> {
        // where chunks end depends on the content alone, not on the pieces in which it comes
        while !content.is_empty() {
            let room = CHUNK_BYTES - self.chunk.len();
            let (now, rest) = content.split_at(room.min(content.len()));
            self.chunk.extend_from_slice(now);
            content = rest;
            if self.chunk.len() == CHUNK_BYTES {
                self.put_chunk()?;
            }
        }
        Ok(())
    }

    fn put_chunk(&mut self) -> io::Result<()> {
        // the first chunk resets the dictionary
        let control = if self.content_bytes == 0 { 1 } else { 2 };
        let len = u16::try_from(self.chunk.len() - 1).map_err(io::Error::other)?;
        let [high, low] = len.to_be_bytes();
        self.to.write_all(&[control, high, low])?;
        self.to.write_all(&self.chunk)?;
        self.content_bytes += self.chunk.len() as u64;
        self.block_bytes += 3 + self.chunk.len() as u64;
        self.chunk.clear();
        Ok(())
    }

    /// Ends the file and gives back what it was written to.
    fn finish(mut self) -> io::Result<W> {
        if !self.chunk.is_empty() {
            self.put_chunk()?;
        }
        self.to.write_all(&[0])?;
        self.block_bytes += 1;
        self.to.write_all(padding(self.block_bytes))?;
        let mut index = vec![0, 1];
        put_number(&mut index, self.block_bytes);
        put_number(&mut index, self.content_bytes);
        index.extend_from_slice(padding(index.len() as u64));
        put_with_crc(&mut self.to, &index)?;
        let size = u32::try_from(index.len() / 4).map_err(io::Error::other)?;
        let mut footer = size.to_le_bytes().to_vec();
        footer.extend_from_slice(&STREAM_FLAGS);
        self.to.write_all(&crc32fast::hash(&footer).to_le_bytes())?;
        self.to.write_all(&footer)?;
        self.to.write_all(b"YZ")?;
        Ok(self.to)
    }
}

fn put_with_crc(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.write_all(&crc32fast::hash(bytes).to_le_bytes())
}

/// Seven bits a byte, the lowest first.
fn put_number(to: &mut Vec<u8>, mut number: u64) {
    while 0x80 <= number {
        to.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    to.push(u8::try_from(number).unwrap_or(0));
}

/// Zeros up to a multiple of four.
fn padding(len: u64) -> &'static [u8] {
    match len % 4 {
        1 => &[0; 3],
        2 => &[0; 2],
        3 => &[0; 1],
        _ => &[],
    }
}
