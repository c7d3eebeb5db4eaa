//! From the bytes of one response to what is stored of them.
//!
//! Bytes go in as they are read; out come lines as they lie in a segment, and error frames. What
//! a line says is looked at only as far as `notice` must.

use super::{
    frame::{Framer, Piece, Rest},
    gunzip::{DecodeError, Decoder},
    notice::{self, Notice},
};
use crate::{period::UtcMs, segment::line};

/// Of what came after the last line end, so much goes into the record of the disconnection.
const UNFINISHED_BYTES_MAX: usize = 64 * 1024;

/// Takes one response in.
pub(super) struct Intake {
    decoder: Decoder,
    framer: Framer,
}

/// What some bytes were made of.
#[derive(Debug, Default)]
pub(super) struct Portion {
    /// Whole stored lines.
    pub(super) stored: Vec<u8>,
    pub(super) lines: u64,
    pub(super) oversize: u64,
    pub(super) keep_alives: u64,
    pub(super) frames: Vec<Frame>,
}

/// An error frame.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) line: String,
    pub(super) notice: Notice,
}

impl Portion {
    fn line(&mut self, line: &[u8], at: UtcMs) {
        if let Some(notice) = notice::read_frame(line) {
            let line = String::from_utf8_lossy(line).into_owned();
            self.frames.push(Frame { line, notice });
        } else {
            line::store(line, at, &mut self.stored);
            self.lines += 1;
        }
    }

    fn piece(&mut self, piece: Piece, at: UtcMs) {
        match piece {
            Piece::KeepAlive => self.keep_alives += 1,
            Piece::Line(line) => self.line(line, at),
            Piece::Cut(line) => {
                line::store(line, at, &mut self.stored);
                self.lines += 1;
                self.oversize += 1;
            }
        }
    }
}

impl Intake {
    pub(super) fn new(encoding: Option<&str>, max_line: usize) -> Result<Self, DecodeError> {
        Ok(Self {
            decoder: Decoder::for_encoding(encoding)?,
            framer: Framer::new(max_line),
        })
    }

    /// Takes the next portion from `input`, which moves on; `None` when it is used up.
    pub(super) fn take(
        &mut self,
        input: &mut &[u8],
        at: UtcMs,
    ) -> Result<Option<Portion>, DecodeError> {
        /// What a stamp adds to a line, for each of the lines of a portion of usual posts.
        const STAMPS_BYTES: usize = 8 * 1024;
        let bytes = self.decoder.decode(input)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let mut portion = Portion {
            stored: Vec::with_capacity(bytes.len() + STAMPS_BYTES.min(bytes.len())),
            ..Portion::default()
        };
        self.framer.feed(bytes, |piece| portion.piece(piece, at));
        Ok(Some(portion))
    }

    /// The response is over: what came after the last line end, as a line if it looks whole, or
    /// in words.
    pub(super) fn finish(self, at: UtcMs) -> (Portion, Option<String>) {
        let mut portion = Portion::default();
        let unfinished = match self.framer.finish() {
            Rest::Nothing => None,
            Rest::Line(line) => {
                portion.line(&line, at);
                None
            }
            Rest::Unfinished(rest) => {
                let head = rest.get(..UNFINISHED_BYTES_MAX).unwrap_or(&rest);
                Some(String::from_utf8_lossy(head).into_owned())
            }
        };
        (portion, unfinished)
    }
}
