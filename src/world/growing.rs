//! Files that only grow, read on from where one was: `ledger.jsonl`, `published.jsonl`, a segment
//! that is being written.

use std::{
    io::{self, Read as _, SeekFrom},
    path::Path,
};

use super::disk::Disk;

/// How much is read at once; what is beyond comes with the next look.
const READ_BYTES_MAX: u64 = 64 << 20;

/// Of the last line so much is kept: what is put into a stored line stands at its end.
const TAIL_BYTES: usize = 4_096;

/// The end of a line that comes piece by piece, however long it is. In front of an end without its beginning stands the
/// line's first byte that is no white space: it tells an object from anything else.
#[derive(Debug, Default)]
pub struct LineEnd {
    first: Option<u8>,
    bytes: Vec<u8>,
    is_cut: bool,
}

impl LineEnd {
    /// Takes the next piece, and keeps `max` bytes of all.
    pub fn push(&mut self, piece: &[u8], max: usize) {
        let mut bytes = piece.iter().copied();
        let is_text = |byte: &u8| !byte.is_ascii_whitespace();
        self.first = self.first.or_else(|| bytes.find(is_text));
        let from = piece.len().saturating_sub(max);
        let kept = piece.get(from..).unwrap_or(piece);
        let beyond = (self.bytes.len() + kept.len()).saturating_sub(max);
        self.is_cut |= 0 < from + beyond;
        self.bytes.drain(..beyond.min(self.bytes.len()));
        self.bytes.extend_from_slice(kept);
    }

    /// What was kept of the line; the next piece begins another.
    pub fn take(&mut self) -> Vec<u8> {
        let Self {
            first,
            bytes,
            is_cut,
        } = std::mem::take(self);
        match first {
            Some(first) if is_cut => [&[first], &*bytes].concat(),
            _ => bytes,
        }
    }
}

/// How far a file has been read.
#[derive(Debug, Clone, Default)]
pub struct ReadPosition {
    /// Bytes of whole lines.
    offset: u64,
    /// Whole lines.
    pub lines: u64,
    /// The last whole line, without its LF; of a longer one its [end](LineEnd).
    pub last: Vec<u8>,
}

impl ReadPosition {
    /// Whether a file of that many bytes continues this one; a shorter one is another file.
    pub fn is_within(&self, bytes: u64) -> bool {
        self.offset <= bytes
    }

    /// Reads on, and hands over every new whole line. A file that is shorter than before is read from the beginning.
    pub fn read_on(
        &mut self,
        disk: &dyn Disk,
        path: &Path,
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        let Some(len) = disk.len(path)? else {
            *self = Self::default();
            return Ok(());
        };
        if !self.is_within(len) {
            *self = Self::default();
        }
        if len == self.offset {
            return Ok(());
        }
        let mut file = disk.open(path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut from = file.take(READ_BYTES_MAX);
        let (mut begun, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
        loop {
            let count = from.read(&mut buffer)?;
            let Some(mut bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
                return Ok(());
            };
            while let Some(end) = memchr::memchr(b'\n', bytes) {
                let (line, rest) = bytes.split_at(end);
                begun.extend_from_slice(line);
                self.offset += begun.len() as u64 + 1;
                self.lines += 1;
                take(&begun);
                let mut last = LineEnd::default();
                last.push(&begun, TAIL_BYTES);
                self.last = last.take();
                begun.clear();
                bytes = rest.get(1..).unwrap_or(&[]);
            }
            begun.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::world::disk::RealDisk;

    #[test]
    fn a_growing_file_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let mut place = ReadPosition::default();
        let mut look = |more: &str| {
            RealDisk
                .append(&path)
                .unwrap()
                .write_all(more.as_bytes())
                .unwrap();
            let mut seen = Vec::new();
            let take = |line: &[u8]| seen.push(String::from_utf8(line.to_vec()).unwrap());
            place.read_on(&RealDisk, &path, take).unwrap();
            (seen, place.lines, place.last.clone())
        };
        assert_eq!(
            look("a\nb\nc"),
            (vec!["a".to_owned(), "b".to_owned()], 2, b"b".to_vec())
        );
        assert_eq!(look(""), (vec![], 2, b"b".to_vec()));
        assert_eq!(look("d\n"), (vec!["cd".to_owned()], 3, b"cd".to_vec()));
        RealDisk.append(&path).unwrap().cut(0).unwrap();
        assert_eq!(look("x\n"), (vec!["x".to_owned()], 1, b"x".to_vec()));
    }

    /// Lines of every kind, cut into pieces anywhere.
    #[test]
    fn of_a_line_the_end_is_kept_and_what_it_begins_with() {
        for line in [
            "",
            "{}",
            " {\"a\":1234567890}",
            "x{\"a\":1234567890}",
            "   \t",
            "  {",
        ] {
            for (pieces, max) in sizes() {
                let expected = if line.len() <= max {
                    line.to_owned()
                } else {
                    let first = line.trim_start().get(..1).unwrap_or_default();
                    format!("{first}{}", &line[line.len() - max..])
                };
                let mut end = LineEnd::default();
                for _again in 0..2 {
                    let mut pieces = line.as_bytes().chunks(pieces);
                    pieces.by_ref().for_each(|piece| end.push(piece, max));
                    assert_eq!(end.take(), expected.as_bytes(), "{line:?} {max}");
                }
            }
        }
    }

    /// Of pieces, and how much is kept.
    fn sizes() -> impl Iterator<Item = (usize, usize)> {
        let kept = [1, 2, 5, 16, 17, 18, 40];
        [1, 2, 3, 7, 100]
            .into_iter()
            .flat_map(move |pieces| kept.map(|max| (pieces, max)))
    }
}
