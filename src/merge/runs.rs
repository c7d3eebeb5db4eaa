//! Reads a segment's lines: its runs, its digest, and the posts in it that stay out.

use std::{
    io::{self, Read as _},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::known_lines::KnownLines;
use crate::{
    cover::{
        clock::{self, Lag},
        listened::{Listened, Listener},
    },
    period::{Minute, UtcMs},
    segment::{
        line::Stamp,
        raw,
        seal::{Digest, Digester},
    },
    source::{Placed, Rejected},
    vault::redactions::Redactions,
    world::disk::{self, Disk},
};

/// Bytes read at a time, so few that they are still near the processor when they are hashed; a longer
/// line is read whole.
const BUFFER_BYTES: usize = 128 * 1024;

/// A run ends when it has so many bytes, so that part of a large minute can be read alone.
const RUN_BYTES_MAX: u64 = 256 * 1024;

/// The lags of so many posts are taken …
const LAGS_MIN: usize = 64;
/// … and of each so many-th after them.
const LAGS_EVERY: u64 = 8;

/// What the lines of a run have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RunKey {
    /// Posts whose ids carry this minute.
    #[serde(rename = "m")]
    Minute(Minute),
    /// Posts with older ids, whose `created_at` says this minute.
    #[serde(rename = "o")]
    Old(Minute),
    /// No posts.
    #[serde(rename = "r")]
    Rejected,
}

/// A stretch of consecutive lines with one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineRun {
    /// What they have in common.
    pub key: RunKey,
    /// The earliest and the latest second (0 to 59) of their post times in the minute.
    pub seconds: (u8, u8),
    /// Where the first of them begins.
    pub offset: u64,
    /// Their bytes, line ends included.
    pub bytes: u64,
    /// How many they are.
    pub lines: u64,
    /// Whether the beginning of each line tells its time: [`early_time`](crate::source::Source::early_time).
    pub is_early: bool,
    /// CRC-32 of the bytes: they are read again without the whole file's hash.
    pub crc32: u32,
}

impl LineRun {
    /// The begin of the earliest second of its posts, in a minute that is its key.
    pub(super) fn begin(&self, minute: Minute) -> UtcMs {
        minute.begin().plus_ms(i64::from(self.seconds.0) * 1_000)
    }

    /// The end of the latest second of its posts, in a minute that is its key.
    pub(super) fn end(&self, minute: Minute) -> UtcMs {
        minute
            .begin()
            .plus_ms((i64::from(self.seconds.1) + 1) * 1_000)
    }
}

/// A post that is to stay out, and why.
pub(super) type ToRedact = (Placed, String);

/// A segment that was read through.
pub(super) struct Read {
    /// What is in it.
    pub(super) digest: Digest,
    /// Its runs.
    pub(super) runs: Vec<LineRun>,
    /// The posts in it that are to stay out, if it names any.
    pub(super) named: Option<Vec<ToRedact>>,
    /// How far its stamps lie after its posts.
    pub(super) lag: Option<Lag>,
    /// Between which of the platform's times it has all of each connection.
    pub(super) listened: Vec<Listened>,
}

/// Reads a segment through, with the connections of its events file.
pub(super) fn read_segment(
    disk: &dyn Disk,
    path: &Path,
    (redactions, known): (&Redactions, &mut KnownLines),
    listener: Listener,
) -> io::Result<Read> {
    let mut source = raw::open(disk, path)?;
    let mut digester = Digester::default();
    let mut runs = Reading::new((redactions, known), listener);
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut len = 0;
    loop {
        if len == buffer.len() {
            // a line longer than that
            buffer.resize(2 * len, 0);
        }
        let read = match source.read(buffer.get_mut(len..).unwrap_or_default()) {
            Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        len += read;
        let is_over = read == 0;
        let bytes = buffer.get(..len).unwrap_or_default();
        let whole = match memchr::memrchr(b'\n', bytes) {
            Some(end) if !is_over => end + 1,
            None if !is_over => continue,
            // the last line may lack its end
            _ => len,
        };
        let lines = bytes.get(..whole).unwrap_or_default();
        runs.take(digester.bytes(), lines);
        digester.update(lines);
        if is_over {
            runs.end_run();
            return Ok(Read {
                digest: digester.finish(),
                runs: runs.runs,
                named: runs.named,
                lag: clock::lag(runs.lags_ms),
                listened: runs.listener.finish(),
            });
        }
        buffer.copy_within(whole..len, 0);
        len -= whole;
    }
}

/// The runs of a segment whose lines come in order.
struct Reading<'a> {
    redactions: &'a Redactions,
    known: &'a mut KnownLines,
    named: Option<Vec<ToRedact>>,
    runs: Vec<LineRun>,
    posts: u64,
    lags_ms: Vec<i64>,
    listener: Listener,
    /// Of the last run.
    crc: crc32fast::Hasher,
}

impl<'a> Reading<'a> {
    fn new((redactions, known): (&'a Redactions, &'a mut KnownLines), listener: Listener) -> Self {
        Self {
            redactions,
            known,
            named: None,
            runs: Vec::new(),
            posts: 0,
            lags_ms: Vec::new(),
            listener,
            crc: crc32fast::Hasher::new(),
        }
    }

    /// Takes whole lines in, which begin at that offset.
    fn take(&mut self, mut offset: u64, mut lines: &[u8]) {
        while !lines.is_empty() {
            let end = memchr::memchr(b'\n', lines);
            let (line, rest) = lines.split_at(end.map_or(lines.len(), |end| end + 1));
            self.line(offset, line);
            offset += line.len() as u64;
            lines = rest;
        }
    }

    fn line(&mut self, offset: u64, line: &[u8]) {
        let bytes = line.len() as u64;
        let stored = line.strip_suffix(b"\n").unwrap_or(line);
        let stamp = Stamp::of(stored);
        let place = || self.redactions.source.place_and_early(stored);
        let found = match &stamp {
            Some(stamp) => self.known.find_or(stamp.around(stored), place),
            None => place(),
        };
        let is_early = matches!(found, Ok((_, true)));
        let placed = found.map(|(placed, _)| placed);
        match &placed {
            Ok(placed) => {
                if let Some(why) = self.redactions.reason(&placed.key, stored) {
                    let named = self.named.get_or_insert_default();
                    named.push((placed.clone(), why.to_owned()));
                }
            }
            Err(_no_post) if self.redactions.are_named_in(stored) => {
                self.named.get_or_insert_default();
            }
            Err(_no_post) => (),
        }
        if let Ok(placed) = &placed
            && placed.is_timed
        {
            self.posts += 1;
            let is_taken = self.lags_ms.len() < LAGS_MIN || self.posts.is_multiple_of(LAGS_EVERY);
            if is_taken && let Some(stamp) = stamp {
                self.lags_ms.push(stamp.at.0.saturating_sub(placed.at.0));
            }
        }
        if let Some(seen) = self.redactions.source.seen(stored)
            && let Some(stamp) = stamp
        {
            self.listener.line(stamp.at, seen);
        }
        let (key, second) = key_of(placed);
        match self.runs.last_mut() {
            Some(run) if run.key == key && run.bytes < RUN_BYTES_MAX => {
                run.bytes += bytes;
                run.lines += 1;
                run.is_early &= is_early;
                run.seconds = (run.seconds.0.min(second), run.seconds.1.max(second));
            }
            _ => {
                self.end_run();
                self.runs.push(LineRun {
                    key,
                    seconds: (second, second),
                    offset,
                    bytes,
                    lines: 1,
                    is_early,
                    crc32: 0,
                });
            }
        }
        self.crc.update(line);
    }

    fn end_run(&mut self) {
        if let Some(run) = self.runs.last_mut() {
            run.crc32 = std::mem::take(&mut self.crc).finalize();
        }
    }
}

/// Which run a line belongs to, and its second in the minute.
fn key_of(placed: Result<Placed, Rejected>) -> (RunKey, u8) {
    match placed {
        Ok(placed) => {
            let minute = placed.at.minute();
            let second = u8::try_from(placed.at.second() - minute.begin().second()).unwrap_or(0);
            if placed.is_timed {
                (RunKey::Minute(minute), second)
            } else {
                (RunKey::Old(minute), second)
            }
        }
        Err(_why_is_told_when_it_is_written) => (RunKey::Rejected, 0),
    }
}

/// Reads a run again, and checks that it is what was indexed.
pub fn read_run(
    source: &mut dyn disk::Source,
    run: &LineRun,
    into: &mut Vec<u8>,
) -> io::Result<()> {
    source.seek(io::SeekFrom::Start(run.offset))?;
    let before = into.len();
    let len = usize::try_from(run.bytes).map_err(io::Error::other)?;
    into.resize(before + len, 0);
    let bytes = into.get_mut(before..).unwrap_or_default();
    source.read_exact(bytes)?;
    if crc32fast::hash(bytes) == run.crc32 {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "it has changed since it was indexed, at byte {}",
            run.offset
        )))
    }
}
