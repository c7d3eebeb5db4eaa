//! Files compressed with xz, hashed as they are written and as they are read.
//!
//! Compression goes in blocks of a fixed size on several threads, so the bytes do not depend on how
//! many threads there are. The options are LZMA2's, chosen by measurement; any xz reader reads the files.
//!
//! Another compression of the CSV files and lists begins here; `layout` has the endings of their names.

use std::{
    fmt,
    io::{self, Read, Write},
    panic::resume_unwind,
    path::Path,
    sync::mpsc,
    thread::JoinHandle,
};

use liblzma::{
    stream::{Check, Filters, LzmaOptions, MtStreamBuilder, Stream},
    write::XzEncoder,
};

use twox_hash::XxHash3_128;

use super::manifest::Output;
use crate::{
    segment::seal::{Digest, Digester},
    world::disk::{self, Disk, DiskFile},
};

/// How hard to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Within a tenth of the size of `xz -6`, at half its cost (`docs/performance.md`).
    Balanced,
    /// Fastest.
    Fast,
    /// Smallest.
    Small,
}

/// How files of the vault become .xz files.
pub trait Compress: fmt::Debug + Sync {
    /// Begins one.
    fn begin(
        &self,
        file: Hashed,
        threads: u32,
        filling: Filling,
    ) -> io::Result<Box<dyn Compressing>>;
}

/// When the content of a file comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filling {
    /// While the hour is read.
    Gradual,
    /// All of it at the end, when nothing else is left to do: smaller blocks share it among the cores.
    AtTheEnd,
}

/// A .xz file that takes content in.
pub trait Compressing: Write + Send {
    /// Writes what is still to be written, and gives the file back.
    fn end(self: Box<Self>) -> io::Result<Hashed>;
}

/// Options of LZMA2, and the size of the blocks that are compressed independently.
struct Options {
    preset: u32,
    dict_bytes: u32,
    nice: u32,
    depth: u32,
    block_bytes: u64,
}

impl Effort {
    /// Text in many scripts wants 4 literal context bits and no position bits; the dictionary's cache misses are what costs
    /// time.
    const fn options(self, filling: Filling) -> Options {
        match self {
            Self::Balanced => Options {
                preset: 6,
                dict_bytes: 1 << 20,
                nice: 28,
                depth: 12,
                block_bytes: match filling {
                    Filling::Gradual => 8 << 20,
                    Filling::AtTheEnd => 4 << 20,
                },
            },
            Self::Fast => Options {
                preset: 1,
                dict_bytes: 1 << 20,
                nice: 128,
                depth: 8,
                block_bytes: 4 << 20,
            },
            Self::Small => Options {
                preset: 9,
                dict_bytes: 32 << 20,
                nice: 64,
                depth: 0,
                block_bytes: 96 << 20,
            },
        }
    }
}

impl Compress for Effort {
    fn begin(
        &self,
        file: Hashed,
        threads: u32,
        filling: Filling,
    ) -> io::Result<Box<dyn Compressing>> {
        let stream = self.options(filling).encoder(threads)?;
        Ok(Box::new(XzEncoder::new_stream(file, stream)))
    }
}

impl Compressing for XzEncoder<Hashed> {
    fn end(self: Box<Self>) -> io::Result<Hashed> {
        self.finish()
    }
}

impl Options {
    fn encoder(&self, threads: u32) -> Result<Stream, liblzma::stream::Error> {
        let mut lzma = LzmaOptions::new_preset(self.preset)?;
        lzma.dict_size(self.dict_bytes)
            .literal_context_bits(4)
            .position_bits(0);
        lzma.nice_len(self.nice).depth(self.depth);
        let mut filters = Filters::new();
        filters.lzma2(&lzma);
        MtStreamBuilder::new()
            .threads(threads.max(1))
            .block_size(self.block_bytes)
            .filters(filters)
            .check(Check::Crc64)
            .encoder()
    }
}

/// After so many bytes the disk begins to make them durable, so that little is left in the end.
const SYNC_BYTES: u64 = 16 << 20;

/// By what bytes that were written are known again when they are read back: how many they are, how many lines, and a
/// checksum of 128 bits, which takes a fortieth of the time of a SHA-256. It guards against what a disk or a memory
/// does, and not against anybody: that the file is what its manifest says is for its SHA-256 to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    bytes: u64,
    lines: u64,
    checksum: u128,
}

/// Takes the mark of bytes as they come.
#[derive(Default)]
struct Marker {
    bytes: u64,
    lines: u64,
    hash: XxHash3_128,
}

impl Marker {
    fn finish(&self) -> Mark {
        Mark {
            bytes: self.bytes,
            lines: self.lines,
            checksum: self.hash.finish_128(),
        }
    }
}

/// Something that takes bytes in, piece by piece.
trait Take: Default {
    fn take(&mut self, bytes: &[u8]);
}

impl Take for Marker {
    fn take(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        self.hash.write(bytes);
    }
}

impl Take for Digester {
    fn take(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

/// A file that was written, and by what it is known when it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// What is in it.
    pub output: Output,
    /// Of the file, and of its content.
    marks: [Mark; 2],
}

/// A file's bytes on their way to the disk, hashed.
pub struct Hashed {
    file: Box<dyn DiskFile>,
    digester: Digester,
    marker: Marker,
    /// Bytes of which a sync knows that has begun.
    synced_bytes: u64,
    syncing: Option<JoinHandle<io::Result<()>>>,
}

impl Hashed {
    /// Makes a new file. A file of that name left by an earlier attempt is replaced.
    pub(super) fn create(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: disk::create_anew(disk, path)?,
            digester: Digester::default(),
            marker: Marker::default(),
            synced_bytes: 0,
            syncing: None,
        })
    }

    /// Begins a sync if there is enough for one and none is under way.
    fn sync_ahead(&mut self) -> io::Result<()> {
        let is_busy = self.syncing.as_ref().is_some_and(|s| !s.is_finished());
        if is_busy || self.digester.bytes() < self.synced_bytes + SYNC_BYTES {
            return Ok(());
        }
        self.end_sync()?;
        self.synced_bytes = self.digester.bytes();
        let mut file = self.file.second_handle()?;
        self.syncing = Some(std::thread::spawn(move || file.sync()));
        Ok(())
    }

    /// The result of the sync that was begun: a disk reports an error only once.
    fn end_sync(&mut self) -> io::Result<()> {
        let ended = self.syncing.take().map(JoinHandle::join);
        ended.map_or(Ok(()), |ended| {
            ended.unwrap_or_else(|why| resume_unwind(why))
        })
    }

    /// Ends the file durably: what is in it.
    pub(super) fn finish(self) -> io::Result<Digest> {
        self.finish_marked().map(|(digest, _)| digest)
    }

    fn finish_marked(mut self) -> io::Result<(Digest, Mark)> {
        self.end_sync()?;
        self.file.sync()?;
        Ok((self.digester.finish(), self.marker.finish()))
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        let now = bytes.get(..written).unwrap_or_default();
        self.digester.update(now);
        self.marker.take(now);
        self.sync_ahead()?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file that is being compressed.
pub struct XzWriter {
    encoder: Box<dyn Compressing>,
    content: Digester,
    marker: Marker,
}

impl XzWriter {
    /// Makes a new file. A file of that name left by an earlier attempt is replaced.
    pub fn create(
        disk: &dyn Disk,
        path: &Path,
        compress: &dyn Compress,
        (threads, filling): (u32, Filling),
    ) -> io::Result<Self> {
        let file = Hashed::create(disk, path)?;
        Ok(Self {
            encoder: compress.begin(file, threads, filling)?,
            content: Digester::default(),
            marker: Marker::default(),
        })
    }

    /// Takes content in.
    pub fn write_all(&mut self, content: &[u8]) -> io::Result<()> {
        self.content.update(content);
        self.marker.take(content);
        self.encoder.write_all(content)
    }

    /// Ends the file durably: what is in it, under the name that it will have.
    pub fn finish(self, name: String, header_lines: u64) -> io::Result<Written> {
        let file = self.encoder.end()?;
        let ((file, mark), content) = (file.finish_marked()?, self.content.finish());
        Ok(Written {
            output: Output::of(name, &file, &content, header_lines),
            marks: [mark, self.marker.finish()],
        })
    }
}

/// Content read at a time.
const CHUNK_BYTES: usize = 512 * 1024;

/// A decoder may take so much memory: enough for every preset of xz.
const DECODER_BYTES_MAX: u64 = 128 << 20;

/// A file's bytes on their way from the disk, which something takes in.
struct Taken<R, T> {
    source: R,
    taker: T,
}

impl<R: Read, T: Take> Read for Taken<R, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.source.read(buffer)?;
        self.taker.take(buffer.get(..len).unwrap_or_default());
        Ok(len)
    }
}

/// Reads a file through: what is in it. `each` is given the content, piece by piece.
pub fn read_through(
    disk: &dyn Disk,
    path: &Path,
    header_lines: u64,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Output> {
    let stream = Stream::new_stream_decoder(DECODER_BYTES_MAX, liblzma::stream::CONCATENATED)?;
    // what is only stored takes as long to hash as to decode
    let (file, content) = hashed_aside(|hash| {
        decode::<Digester>(disk, path, stream, |piece| {
            each(piece)?;
            hash(piece);
            Ok(())
        })
    })?;
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok(Output::of(name, &file.finish(), &content, header_lines))
}

/// Threads that read a file back; one that was written in one block has work for one.
const READ_BACK_THREADS: u32 = 4;

/// Beyond this memory fewer of them work.
const READ_BACK_BYTES_MAX: u64 = 64 << 20;

/// Whether a file that was just written reads back as it was written, its blocks on several threads.
pub fn reads_back(disk: &dyn Disk, path: &Path, written: &Written) -> io::Result<bool> {
    let stream = MtStreamBuilder::new()
        .threads(READ_BACK_THREADS)
        .memlimit_threading(READ_BACK_BYTES_MAX)
        .memlimit_stop(DECODER_BYTES_MAX)
        .decoder()?;
    let mut content = Marker::default();
    let file = decode::<Marker>(disk, path, stream, |piece| {
        content.take(piece);
        Ok(())
    })?;
    Ok(written.marks == [file.finish(), content.finish()])
}

/// Gives the content of a file to `each`, and the bytes of the file to what is given back.
fn decode<T: Take>(
    disk: &dyn Disk,
    path: &Path,
    decoder: Stream,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<T> {
    let source = Taken {
        source: disk.open(path)?,
        taker: T::default(),
    };
    let mut decoder = liblzma::read::XzDecoder::new_stream(
        io::BufReader::with_capacity(CHUNK_BYTES, source),
        decoder,
    );
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let (len, fault) = fill(&mut decoder, &mut chunk);
        let piece = chunk.get(..len).unwrap_or_default();
        if !piece.is_empty() {
            each(piece)?;
        }
        fault?;
        if piece.is_empty() {
            break;
        }
    }
    let mut taken = decoder.into_inner().into_inner();
    // whatever comes after the compressed stream counts as bytes of the file too
    io::copy(&mut taken, &mut io::sink())?;
    Ok(taken.taker)
}

/// Reads until the chunk is full, or nothing comes any more: how much, and what went wrong. A decoder
/// gives less than is asked for, and threads that wait for one another want more.
fn fill(source: &mut impl Read, chunk: &mut [u8]) -> (usize, io::Result<()>) {
    let mut len = 0;
    while len < chunk.len() {
        match source.read(chunk.get_mut(len..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(why) if why.kind() == io::ErrorKind::Interrupted => (),
            Err(why) => return (len, Err(why)),
        }
    }
    (len, Ok(()))
}

/// Pieces that wait for being hashed.
const PIECES_AHEAD: usize = 2;

/// What `give` gives, and the digest of all pieces that it hands out, which another thread works out meanwhile.
fn hashed_aside<T>(
    give: impl FnOnce(&mut dyn FnMut(&[u8])) -> io::Result<T>,
) -> io::Result<(T, Digest)> {
    let (full, to_hash) = mpsc::sync_channel::<Vec<u8>>(PIECES_AHEAD);
    let (hashed, empty) = mpsc::channel::<Vec<u8>>();
    std::thread::scope(|scope| {
        let digest = std::thread::Builder::new().spawn_scoped(scope, move || {
            let mut digester = Digester::default();
            for mut piece in to_hash {
                digester.update(&piece);
                piece.clear();
                // the sender may have ended
                let _ended = hashed.send(piece);
            }
            digester.finish()
        })?;
        let given = give(&mut |piece| {
            let mut copy = empty.try_recv().unwrap_or_default();
            copy.extend_from_slice(piece);
            // that fails only if the other thread has panicked, which is reported below
            let _panicked = full.send(copy);
        });
        drop(full);
        let digest = digest.join().unwrap_or_else(|why| resume_unwind(why));
        given.map(|given| (given, digest))
    })
}

/// Cuts content that comes in pieces into lines (without their LF).
pub struct Lines<F> {
    partial: Vec<u8>,
    each: F,
}

impl<F: FnMut(&[u8]) -> io::Result<()>> Lines<F> {
    /// `each` is given every line.
    pub fn new(each: F) -> Self {
        Self {
            partial: Vec::new(),
            each,
        }
    }

    /// Takes a piece in.
    pub fn take(&mut self, mut piece: &[u8]) -> io::Result<()> {
        while let Some(end) = memchr::memchr(b'\n', piece) {
            let (line, rest) = piece.split_at(end);
            piece = rest.get(1..).unwrap_or_default();
            if self.partial.is_empty() {
                (self.each)(line)?;
            } else {
                self.partial.extend_from_slice(line);
                (self.each)(&self.partial)?;
                self.partial.clear();
            }
        }
        self.partial.extend_from_slice(piece);
        Ok(())
    }

    /// What came after the last line end: nothing, in a whole file.
    pub fn rest(&self) -> &[u8] {
        &self.partial
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::world::disk::RealDisk;

    #[test]
    fn bytes_do_not_depend_on_the_number_of_threads_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        // more than two blocks of either size, and quick to compress
        let mut text = String::new();
        for n in 0..1_500_000_u64 {
            writeln!(text, "{:012}", n / 9 % 7_919).unwrap();
        }
        for effort in [Effort::Balanced, Effort::Fast] {
            let write = |threads| {
                let path = folder.path().join(format!("{threads}.xz"));
                let of = (threads, Filling::AtTheEnd);
                let mut file = XzWriter::create(&RealDisk, &path, &effort, of).unwrap();
                for piece in text
                    .as_bytes()
                    .chunks(1_000 * usize::try_from(threads).unwrap())
                {
                    file.write_all(piece).unwrap();
                }
                let written = file.finish(format!("{threads}.xz"), 1).unwrap();
                assert!(reads_back(&RealDisk, &path, &written).unwrap());
                let written = written.output;
                if 1 < threads {
                    // the same bytes read back as the same
                    return written.sha256;
                }
                let mut content = Vec::new();
                let read = read_through(&RealDisk, &path, 1, |piece| {
                    content.extend_from_slice(piece);
                    Ok(())
                });
                assert_eq!(read.unwrap(), written);
                assert!(content == text.as_bytes());
                assert_eq!(written.rows, 1_499_999);
                written.sha256
            };
            let one = write(1);
            assert_eq!([write(2), write(5)], [one, one]);
        }
    }

    #[test]
    fn a_file_that_reads_back_as_another_one_is_not_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            let of = (1, Filling::Gradual);
            let mut file = XzWriter::create(&RealDisk, &path, &Effort::Fast, of).unwrap();
            file.write_all(content).unwrap();
            (file.finish(name.to_owned(), 0).unwrap(), path)
        };
        // as many bytes and lines
        let (one, path_of_one) = write("one", b"a,b\nc,d\n");
        let (other, path_of_other) = write("other", b"a,b\nc,e\n");
        let reads_back = |path, written| reads_back(&RealDisk, path, written).unwrap();
        assert!(reads_back(&path_of_one, &one) && reads_back(&path_of_other, &other));
        assert!(!reads_back(&path_of_one, &other) && !reads_back(&path_of_other, &one));
        let both = [&path_of_one, &path_of_other].map(|path| std::fs::read(path).unwrap());
        disk::put(&RealDisk, &path_of_one, &both.concat()).unwrap();
        assert!(!reads_back(&path_of_one, &one));
    }
}
