//! `posts.parquet` read again, batch by batch: also one that comes from elsewhere.

use std::{
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    },
    errors::ParquetError,
    file::{
        metadata::{ColumnChunkMetaData, ParquetMetaData},
        reader::{ChunkReader, Length},
    },
};

use super::{
    super::manifest::Output,
    rows::LINE,
    write::{lines, take_content},
};
use crate::{
    segment::{raw, seal::Digester},
    world::{
        disk::{self, Disk},
        panic::contained,
    },
};

/// Rows handed out at a time.
const BATCH_ROWS: usize = 1_024;

/// A column of one of our row groups has some 100 MiB before it is compressed.
const CHUNK_BYTES_MAX: i64 = 1 << 30;

/// A file of the disk as the Parquet crate wants it: readable from anywhere.
struct Chunks {
    source: Arc<Mutex<Box<dyn disk::Source>>>,
    len: u64,
}

/// One place in it.
struct From {
    source: Arc<Mutex<Box<dyn disk::Source>>>,
    at: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        source.seek(SeekFrom::Start(self.at))?;
        let len = source.read(buffer)?;
        self.at += len as u64;
        Ok(len)
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for Chunks {
    type T = io::BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(io::BufReader::new(From {
            source: Arc::clone(&self.source),
            at: start,
        }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let is_inside = u64::try_from(length)
            .ok()
            .and_then(|length| start.checked_add(length))
            .is_some_and(|end| end <= self.len);
        if !is_inside {
            return Err(ParquetError::EOF(format!(
                "{length} bytes from byte {start} on are not in the file"
            )));
        }
        let mut bytes = vec![0; length];
        let mut from = From {
            source: Arc::clone(&self.source),
            at: start,
        };
        from.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

fn damaged(why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_string())
}

/// Which columns are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All of them.
    All,
    /// Those with these names, and the lines.
    Only(&'static [&'static str]),
}

/// Reads a file through: what is in it. `each` is given the rows, batch by batch. Whatever the file's
/// bytes are, and whatever the Parquet crate makes of them, it ends with an error at worst.
pub fn read_through(
    disk: &dyn Disk,
    path: &Path,
    wanted: Wanted,
    mut each: impl FnMut(&RecordBatch) -> io::Result<()>,
) -> io::Result<Output> {
    let file = raw::read_through(&mut *disk.open(path)?, |_| Ok(()))?;
    let chunks = Chunks {
        source: Arc::new(Mutex::new(disk.open(path)?)),
        len: file.bytes,
    };
    let mut content = Digester::default();
    contained(|| {
        for batch in open(chunks, wanted)? {
            let batch = batch.map_err(damaged)?;
            take_content(&mut content, lines(&batch)?);
            each(&batch)?;
        }
        Ok(())
    })?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(Output::of(name.into_owned(), &file, &content.finish(), 0))
}

/// What a file's own metadata has under that key.
pub fn metadata(disk: &dyn Disk, path: &Path, key: &str) -> io::Result<Option<String>> {
    let len = disk.len(path)?.ok_or(io::ErrorKind::NotFound)?;
    let chunks = Chunks {
        source: Arc::new(Mutex::new(disk.open(path)?)),
        len,
    };
    contained(|| {
        let builder = ParquetRecordBatchReaderBuilder::try_new(chunks).map_err(damaged)?;
        let pairs = builder.metadata().file_metadata().key_value_metadata();
        let mut pairs = pairs.into_iter().flatten();
        let found = pairs.find(|pair| pair.key == key);
        Ok(found.and_then(|pair| pair.value.clone()))
    })
}

/// Whether a file can be read in the memory that there is, whatever it says of itself.
pub(in crate::vault) fn check_size(of: &ParquetMetaData) -> io::Result<()> {
    for group in of.row_groups() {
        let largest = group
            .columns()
            .iter()
            .map(ColumnChunkMetaData::uncompressed_size)
            .max();
        if largest.is_some_and(|bytes| CHUNK_BYTES_MAX < bytes) {
            return Err(damaged("it has a column that no memory is meant to hold"));
        }
    }
    Ok(())
}

fn open(chunks: Chunks, wanted: Wanted) -> io::Result<ParquetRecordBatchReader> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(chunks).map_err(damaged)?;
    check_size(builder.metadata())?;
    let mask = match wanted {
        Wanted::All => ProjectionMask::all(),
        Wanted::Only(names) => {
            let schema = builder.parquet_schema();
            ProjectionMask::columns(schema, names.iter().copied().chain([LINE]))
        }
    };
    let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS);
    reader.build().map_err(damaged)
}
