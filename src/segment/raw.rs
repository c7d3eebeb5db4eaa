//! The bytes of a sealed segment, in either of its two forms in the spool.
//!
//! ```text
//! ….jsonl        as it was written
//! ….jsonl.zst    compressed: zstd frames of 1 MiB of plain bytes each, and a table of them
//! ```
//!
//! The table is that of zstd's "seekable format": a skippable frame at the end, which `zstd -d` and
//! every other reader passes over. With it a stretch of lines is read by decompressing one or two
//! frames. Every frame has a checksum. Where both forms lie side by side (a crash came between
//! two steps), the plain one counts.

#![deny(clippy::indexing_slicing)]

use std::{
    io::{self, Read, Seek, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::CParameter,
};

use super::{
    name::Paths,
    seal::{Digest, Digester},
};
use crate::world::{
    crash::{self, Point},
    disk::{self, Disk, DiskFile, Source},
};

/// Plain bytes in each frame: enough to compress well, few enough to be decompressed for one line.
const FRAME_BYTES: usize = 1 << 20;

/// A frame that says it has more is not one of ours.
const FRAME_BYTES_MAX: u32 = 16 << 20;

/// zstd's level: fast enough to be no part of the cost of a merge.
const LEVEL: i32 = 6;

/// The magic numbers of a skippable frame and of the table in it.
const SKIPPABLE: u32 = 0x184d_2a5e;
const SEEKABLE: u32 = 0x8f92_eab1;

/// Number of frames, descriptor, magic number.
const FOOTER_BYTES: u64 = 9;
/// Compressed and plain size of a frame.
const ENTRY_BYTES: u64 = 8;
/// Magic number and size of the skippable frame.
const HEADER_BYTES: u64 = 8;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// The compressed form of a segment: `….jsonl.zst`.
pub fn compressed(plain: &Path) -> PathBuf {
    let mut name = plain.as_os_str().to_owned();
    name.push(".zst");
    PathBuf::from(name)
}

/// A file that is written anew, before it takes the place of the one without this ending.
pub fn redacted(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".redacted");
    PathBuf::from(name)
}

/// Opens a segment, whichever form it has; what is read are its plain bytes. `plain` is its path
/// in the plain form.
pub fn open(disk: &dyn Disk, plain: &Path) -> io::Result<Box<dyn Source>> {
    // no look before: the one form may take the other's place at any moment
    match disk.open(plain) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => match disk.open(&compressed(plain)) {
            Ok(source) => Ok(Box::new(Unpacker::new(source)?)),
            Err(other) if other.kind() == io::ErrorKind::NotFound => Err(why),
            Err(other) => Err(other),
        },
        other => other,
    }
}

/// Opens the compressed form, whether or not the plain one is there.
pub fn open_compressed(disk: &dyn Disk, path: &Path) -> io::Result<Box<dyn Source>> {
    Ok(Box::new(Unpacker::new(disk.open(path)?)?))
}

/// Whether a segment that was sealed with so many bytes is there, by names and lengths alone.
pub fn is_there(disk: &dyn Disk, plain: &Path, bytes: u64) -> io::Result<bool> {
    match disk.len(plain)? {
        Some(len) => Ok(len == bytes),
        None => Ok(disk.len(&compressed(plain))?.is_some()),
    }
}

/// Whether a segment is there in either form.
pub fn exists(disk: &dyn Disk, plain: &Path) -> io::Result<bool> {
    Ok(disk.len(plain)?.is_some() || disk.len(&compressed(plain))?.is_some())
}

/// Reads everything, and gives it to `each` piece by piece.
pub fn read_through(
    source: &mut dyn Read,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Digest> {
    let mut digester = Digester::default();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let len = source.read(&mut chunk)?;
        let piece = chunk.get(..len).unwrap_or_default();
        if piece.is_empty() {
            return Ok(digester.finish());
        }
        digester.update(piece);
        each(piece)?;
    }
}

/// Deletes a segment's files from the spool, the seal last: a segment without its seal would look like one that a
/// crash left open.
pub fn remove(disk: &dyn Disk, paths: &Paths) -> io::Result<()> {
    let packed = compressed(&paths.segment);
    let leftovers = [
        disk::aside(&packed),
        redacted(&packed),
        redacted(&paths.segment),
        redacted(&paths.seal),
    ];
    let files = [&packed, &paths.segment, &paths.events, &paths.seal];
    for path in leftovers.iter().chain(files) {
        disk::remove_if_there(disk, path)?;
    }
    disk.sync_folder(&paths.folder)
}

/// A segment that is being compressed.
pub struct Packer {
    file: Box<dyn DiskFile>,
    compressor: Compressor<'static>,
    pending: Vec<u8>,
    table: Vec<u8>,
    frames: u32,
}

impl Packer {
    /// Makes a new file. A file of that name left by an earlier attempt is replaced.
    pub fn create(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Self {
            file: disk::create_anew(disk, path)?,
            compressor,
            pending: Vec::with_capacity(FRAME_BYTES),
            table: Vec::new(),
            frames: 0,
        })
    }

    /// Takes plain bytes in.
    pub fn write_all(&mut self, mut plain: &[u8]) -> io::Result<()> {
        while !plain.is_empty() {
            let room = FRAME_BYTES - self.pending.len();
            let (now, later) = plain.split_at(plain.len().min(room));
            self.pending.extend_from_slice(now);
            plain = later;
            if self.pending.len() == FRAME_BYTES {
                self.end_frame()?;
            }
        }
        Ok(())
    }

    fn end_frame(&mut self) -> io::Result<()> {
        let packed = self.compressor.compress(&self.pending)?;
        self.file.write_all(&packed)?;
        for len in [packed.len(), self.pending.len()] {
            let len = u32::try_from(len).map_err(io::Error::other)?;
            self.table.extend_from_slice(&len.to_le_bytes());
        }
        self.frames += 1;
        self.pending.clear();
        Ok(())
    }

    /// Ends the file durably.
    pub fn finish(mut self) -> io::Result<()> {
        // an empty segment has one empty frame, so that every reader takes the file for zstd's
        if !self.pending.is_empty() || self.frames == 0 {
            self.end_frame()?;
        }
        let len =
            u32::try_from(self.table.len() as u64 + FOOTER_BYTES).map_err(io::Error::other)?;
        let mut tail = Vec::new();
        tail.extend_from_slice(&SKIPPABLE.to_le_bytes());
        tail.extend_from_slice(&len.to_le_bytes());
        tail.append(&mut self.table);
        tail.extend_from_slice(&self.frames.to_le_bytes());
        tail.push(0);
        tail.extend_from_slice(&SEEKABLE.to_le_bytes());
        self.file.write_all(&tail)?;
        self.file.sync()
    }
}

/// What became of a segment that was to be compressed.
#[derive(Debug)]
pub enum Packed {
    /// It is, durably, and reads back as it was sealed.
    Whole,
    /// The plain form is not what was sealed, but this.
    Damaged(Digest),
    /// What was written reads back as this.
    ReadsBack(Digest),
}

/// Writes the compressed form of a segment aside, durably, reads it back, and compares it with the seal.
pub fn pack(disk: &dyn Disk, plain: &Path, aside: &Path, sealed: &Digest) -> io::Result<Packed> {
    let mut packer = Packer::create(disk, aside)?;
    let mut source = disk.open(plain)?;
    let found = read_through(&mut *source, |bytes| packer.write_all(bytes))?;
    packer.finish()?;
    crash::point(Point::PackedAside);
    if found != *sealed {
        return Ok(Packed::Damaged(found));
    }
    let found = unpacked(disk, aside, sealed.bytes)?;
    Ok(if found == *sealed {
        Packed::Whole
    } else {
        Packed::ReadsBack(found)
    })
}

/// What a compressed form has plainly, as far as it may be long.
pub fn unpacked(disk: &dyn Disk, path: &Path, bytes_max: u64) -> io::Result<Digest> {
    let mut back = open_compressed(disk, path)?.take(bytes_max.saturating_add(1));
    read_through(&mut back, |_| Ok(()))
}

/// More bytes than the compressed form of so many can have.
pub const fn packed_max(plain_bytes: u64) -> u64 {
    plain_bytes + plain_bytes / 64 + (64 << 10)
}

/// What comes in compressed, read as it comes: its plain bytes are counted and hashed, and not kept.
pub struct Unpacking(zstd::stream::write::Decoder<'static, Digester>);

impl Unpacking {
    /// Before the first byte.
    pub fn new() -> io::Result<Self> {
        zstd::stream::write::Decoder::new(Digester::default()).map(Self)
    }

    /// What it was, plainly.
    pub fn finish(mut self) -> io::Result<Digest> {
        self.0.flush()?;
        Ok(self.0.into_inner().finish())
    }
}

impl io::Write for Unpacking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Where a frame lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    /// Its place in the file.
    offset: u64,
    /// Its bytes there.
    bytes: u32,
    /// The place of its plain bytes.
    plain_offset: u64,
    /// How many they are.
    plain_bytes: u32,
}

/// The plain bytes of a compressed segment.
struct Unpacker {
    source: Box<dyn Source>,
    frames: Vec<Frame>,
    /// Plain bytes of the whole.
    len: u64,
    /// Where the next read begins.
    at: u64,
    /// The frame that was read last, and its plain bytes.
    current: Option<(Frame, Vec<u8>)>,
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("it is not a compressed segment: {why}"),
    )
}

impl Unpacker {
    fn new(mut source: Box<dyn Source>) -> io::Result<Self> {
        let (frames, len) = read_table(&mut *source)?;
        Ok(Self {
            source,
            frames,
            len,
            at: 0,
            current: None,
        })
    }

    /// Decompresses the frame that has the byte that is read next.
    fn load(&mut self) -> io::Result<()> {
        let has = |frame: &Frame| {
            (frame.plain_offset..frame.plain_offset + u64::from(frame.plain_bytes))
                .contains(&self.at)
        };
        if self.current.as_ref().is_some_and(|(frame, _)| has(frame)) {
            return Ok(());
        }
        let number = self
            .frames
            .partition_point(|frame| frame.plain_offset + u64::from(frame.plain_bytes) <= self.at);
        let frame = *self
            .frames
            .get(number)
            .ok_or_else(|| invalid("its table is too short"))?;
        self.source.seek(SeekFrom::Start(frame.offset))?;
        let mut packed = vec![0; usize::try_from(frame.bytes).map_err(io::Error::other)?];
        self.source.read_exact(&mut packed)?;
        let plain_bytes = usize::try_from(frame.plain_bytes).map_err(io::Error::other)?;
        let plain = Decompressor::new()?
            .decompress(&packed, plain_bytes)
            .map_err(|why| invalid(&why.to_string()))?;
        if plain.len() != plain_bytes {
            return Err(invalid("a frame's length is not what its table says"));
        }
        self.current = Some((frame, plain));
        Ok(())
    }
}

/// The frames of a file, and the plain bytes of all of them.
fn read_table(source: &mut dyn Source) -> io::Result<(Vec<Frame>, u64)> {
    let end = source.seek(SeekFrom::End(0))?;
    let footer_at = end
        .checked_sub(FOOTER_BYTES)
        .ok_or_else(|| invalid("it is too short"))?;
    source.seek(SeekFrom::Start(footer_at))?;
    let count = read_u32(source)?;
    let mut descriptor = [0];
    source.read_exact(&mut descriptor)?;
    if read_u32(source)? != SEEKABLE || descriptor != [0] {
        return Err(invalid("it has no table of its frames at its end"));
    }
    let table_bytes = u64::from(count) * ENTRY_BYTES;
    let table_at = footer_at
        .checked_sub(table_bytes + HEADER_BYTES)
        .ok_or_else(|| invalid("its table is longer than it is"))?;
    source.seek(SeekFrom::Start(table_at))?;
    let header = (read_u32(source)?, u64::from(read_u32(source)?));
    if header != (SKIPPABLE, table_bytes + FOOTER_BYTES) {
        return Err(invalid("its table is damaged"));
    }
    let mut table = io::BufReader::new(source.take(table_bytes));
    let (mut frames, mut offset, mut plain_offset) = (Vec::new(), 0, 0);
    for _ in 0..count {
        let frame = Frame {
            offset,
            bytes: read_u32(&mut table)?,
            plain_offset,
            plain_bytes: read_u32(&mut table)?,
        };
        if FRAME_BYTES_MAX < frame.plain_bytes.max(frame.bytes) {
            return Err(invalid("a frame is too long"));
        }
        offset += u64::from(frame.bytes);
        plain_offset += u64::from(frame.plain_bytes);
        frames.push(frame);
    }
    if offset != table_at {
        return Err(invalid("its table does not fit its frames"));
    }
    Ok((frames, plain_offset))
}

fn read_u32(source: &mut (impl Read + ?Sized)) -> io::Result<u32> {
    let mut bytes = [0; 4];
    source.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

impl Read for Unpacker {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.len <= self.at || into.is_empty() {
            return Ok(0);
        }
        self.load()?;
        let Some((frame, plain)) = &self.current else {
            return Ok(0);
        };
        let begin = usize::try_from(self.at - frame.plain_offset).map_err(io::Error::other)?;
        let here = plain.get(begin..).unwrap_or_default();
        let len = here.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..len), here.get(..len)) {
            to.copy_from_slice(from);
        }
        self.at += len as u64;
        Ok(len)
    }
}

impl Seek for Unpacker {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::world::disk::RealDisk;

    fn pack(folder: &Path, plain: &[u8]) -> PathBuf {
        let path = folder.join("a.jsonl");
        let mut packer = Packer::create(&RealDisk, &compressed(&path)).unwrap();
        for piece in plain.chunks(100_003) {
            packer.write_all(piece).unwrap();
        }
        packer.finish().unwrap();
        path
    }

    #[test]
    fn every_stretch_reads_as_it_was_and_zstd_reads_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        let line = |n: u64| format!("{{\"n\":{}}}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let plain: String = (0..100_000).map(line).collect();
        let plain = plain.as_bytes();
        assert!(2 * FRAME_BYTES < plain.len());
        for plain in [plain, &plain[..FRAME_BYTES], &plain[..7], b""] {
            let path = pack(folder.path(), plain);
            let packed = std::fs::read(compressed(&path)).unwrap();
            assert_eq!(zstd::decode_all(&packed[..]).unwrap(), plain);
            let mut source = open(&RealDisk, &path).unwrap();
            let mut found = Vec::new();
            let digest = read_through(&mut source, |piece| {
                found.extend_from_slice(piece);
                Ok(())
            });
            assert_eq!(found, plain);
            assert_eq!(digest.unwrap().bytes, plain.len() as u64);
            for begin in [0, 1, FRAME_BYTES - 3, FRAME_BYTES, 2 * FRAME_BYTES - 1] {
                let Some(expected) = plain.get(begin..plain.len().min(begin + 10)) else {
                    continue;
                };
                source.seek(SeekFrom::Start(begin as u64)).unwrap();
                let mut found = vec![0; expected.len()];
                source.read_exact(&mut found).unwrap();
                assert_eq!(found, expected, "at {begin}");
            }
        }
        // the plain form counts
        let path = pack(folder.path(), b"packed");
        std::fs::File::create(&path).unwrap();
        assert_eq!(
            open(&RealDisk, &path).unwrap().read(&mut [0; 9]).unwrap(),
            0
        );
    }

    proptest! {
        /// Whatever lies there: an error, or bytes; no panic, and no more memory than the table may ask for.
        #[test]
        fn damage_is_an_error(at in 0usize..200, with: u8, cut in 0usize..200) {
            let folder = tempfile::tempdir().unwrap();
            let plain = b"one\ntwo\nthree\n".repeat(9);
            let path = pack(folder.path(), &plain);
            let mut packed = std::fs::read(compressed(&path)).unwrap();
            let at = at % packed.len();
            let changed = packed[at] != with;
            packed[at] = with;
            let cut = cut % packed.len();
            packed.truncate(packed.len() - cut);
            std::fs::File::create(compressed(&path)).and_then(|mut f| io::Write::write_all(&mut f, &packed)).unwrap();
            let read = open(&RealDisk, &path).and_then(|mut source| {
                let mut found = Vec::new();
                source.read_to_end(&mut found).map(|_| found)
            });
            match read {
                Ok(found) => prop_assert!(found == plain && (cut == 0 || !changed)),
                Err(_damaged) => prop_assert!(changed || 0 < cut),
            }
        }
    }
}
