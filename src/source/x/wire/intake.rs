//! From the bytes of one response to what is stored of them.
//!
//! Bytes go in as they are read; lines as they are stored in a segment, and error frames, come out. A line's content
//! is read only as far as `notice` needs.

use super::{
    frame::{Framer, Piece, Rest},
    impostor::FirstLine,
    notice, rules,
};
use crate::{
    period::UtcMs,
    segment::line,
    source::{
        gunzip::{DecodeError, Decoder},
        wire::{Frame, Intake, IntakeError, Portion},
    },
};

/// How much of the bytes after the last line end goes into the record of the disconnection.
const UNFINISHED_BYTES_MAX: usize = 64 * 1024;

/// Takes one response in.
pub(super) struct Body {
    decoder: Decoder,
    framer: Framer,
    first: FirstLine,
    /// Whether lines name the rules that they match.
    pub(super) names_rules: bool,
}

fn take_line(portion: &mut Portion, line: &[u8], at: UtcMs) {
    if let Some(notice) = notice::read_frame(line) {
        let line = String::from_utf8_lossy(line).into_owned();
        portion.frames.push(Frame { line, notice });
    } else {
        line::store(line, at, &mut portion.stored);
        portion.lines += 1;
    }
}

fn take_piece(
    portion: &mut Portion,
    piece: Piece<'_>,
    first: &mut FirstLine,
    at: UtcMs,
) -> Result<(), String> {
    if let Piece::Line(line) | Piece::Cut(line) = piece {
        first.line(line)?;
    }
    match piece {
        Piece::KeepAlive => portion.keep_alives += 1,
        Piece::Line(line) => take_line(portion, line, at),
        Piece::Cut(line) => {
            line::store(line, at, &mut portion.stored);
            portion.lines += 1;
            portion.oversize += 1;
        }
    }
    Ok(())
}

impl Body {
    pub(super) fn new(encoding: Option<&str>, max_line: usize) -> Result<Self, DecodeError> {
        Ok(Self {
            decoder: Decoder::for_encoding(encoding)?,
            framer: Framer::new(max_line),
            first: FirstLine::default(),
            names_rules: false,
        })
    }
}

impl Intake for Body {
    fn take(&mut self, input: &mut &[u8], at: UtcMs) -> Result<Option<Portion>, IntakeError> {
        /// What a stamp adds to a line, for each of the lines of a portion of usual posts.
        const STAMPS_BYTES: usize = 8 * 1024;
        let bytes = self.decoder.decode(input);
        let bytes = bytes.map_err(|why| IntakeError::Decode(why.to_string()))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.first.bytes(bytes).map_err(IntakeError::NotTheApi)?;
        let mut portion = Portion {
            stored: Vec::with_capacity(bytes.len() + STAMPS_BYTES.min(bytes.len())),
            ..Portion::default()
        };
        let mut taken = Ok(());
        self.framer.feed(bytes, |piece| {
            if taken.is_ok() {
                taken = take_piece(&mut portion, piece, &mut self.first, at);
            }
        });
        taken.map_err(IntakeError::NotTheApi)?;
        if self.names_rules {
            portion.rules = rules::named(&portion.stored);
        }
        Ok(Some(portion))
    }

    fn finish(self: Box<Self>, at: UtcMs) -> Result<(Portion, Option<String>), IntakeError> {
        let Self {
            framer, mut first, ..
        } = *self;
        let mut portion = Portion::default();
        let unfinished = match framer.finish() {
            Rest::Nothing => None,
            Rest::Line(line) => {
                first.line(&line).map_err(IntakeError::NotTheApi)?;
                take_line(&mut portion, &line, at);
                None
            }
            Rest::Unfinished(rest) => {
                let head = rest.get(..UNFINISHED_BYTES_MAX).unwrap_or(&rest);
                Some(String::from_utf8_lossy(head).into_owned())
            }
        };
        Ok((portion, unfinished))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;

    use super::*;
    use crate::{fuzz::Fuzz, source::gunzip::DECODED_BYTES_MAX};

    const AT: UtcMs = UtcMs(1_795_442_709_123);

    /// Everything that is made of the chunks: lines as received, keep-alives, frames, the rest.
    fn taken<'a>(
        encoding: Option<&str>,
        chunks: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Vec<Vec<u8>>, u64, Vec<String>, Option<String>) {
        let mut intake = Box::new(Body::new(encoding, 40).unwrap());
        let (mut stored, mut keep_alives, mut frames, mut lines) = (Vec::new(), 0, Vec::new(), 0);
        let mut add = |portion: Portion| {
            stored.extend(portion.stored);
            keep_alives += portion.keep_alives;
            lines += portion.lines;
            frames.extend(portion.frames.into_iter().map(|frame| frame.line));
        };
        for chunk in chunks {
            let mut rest = chunk;
            while let Some(portion) = intake.take(&mut rest, AT).unwrap() {
                add(portion);
            }
        }
        let (portion, unfinished) = intake.finish(AT).unwrap();
        add(portion);
        let received: Vec<Vec<u8>> = stored
            .split_inclusive(|byte| *byte == b'\n')
            .map(|stored| line::cut(stored.strip_suffix(b"\n").unwrap()).received())
            .collect();
        assert_eq!(lines, received.len() as u64, "each line is counted");
        (received, keep_alives, frames, unfinished)
    }

    fn some_lines() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            Just(b"\r\n".to_vec()),
            Just(b"\n".to_vec()),
            Just(br#"{"data":{"id":"1"}}"#.to_vec()),
            Just(br#"{"errors":[]}"#.to_vec()),
            Just(b"{}".to_vec()),
            Just("\u{1f30d}".as_bytes().to_vec()),
            proptest::collection::vec(any::<u8>(), 0..60),
        ];
        proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn neither_chunks_nor_members_change_what_is_stored(
            members in proptest::collection::vec(some_lines(), 0..4),
            cuts in proptest::collection::vec(0usize..800, 0..12),
        ) {
            // what is not the API's is nothing to take in
            let mut members = members;
            members.insert(0, b"{\"data\":{}}\n".to_vec());
            let plain = members.concat();
            let mut zipped = Vec::new();
            for member in &members {
                let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
                gzip.write_all(member).unwrap();
                zipped.extend(gzip.finish().unwrap());
            }
            // the last member's trailer never comes
            zipped.truncate(zipped.len().saturating_sub(8));
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(zipped.len())).collect();
            cuts.extend([0, zipped.len()]);
            cuts.sort_unstable();
            let chunks = cuts.windows(2).map(|ends| &zipped[ends[0]..ends[1]]);
            prop_assert_eq!(taken(Some("gzip"), chunks), taken(None, [plain.as_slice()]));
        }
    }

    /// However a body is damaged and cut: the same bytes give the same lines, nothing of them is lost or stamped
    /// by others, and what inflates a thousandfold takes no more memory than one buffer.
    #[test]
    fn fuzz_body() {
        const MAX_LINE: usize = 200;
        let body = b"\r\n{\"data\":{\"id\":\"1\"}}\r\n{\"errors\":[{\"disconnect_type\":\"x\"}]}\r\n{\"data\":{\"id\":\"2\"}";
        let zip = |bytes: &[u8]| {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            gzip.write_all(bytes).unwrap();
            gzip.finish().unwrap()
        };
        let parts = zip(body);
        let fuzz = Fuzz::new("body", 600)
            .seed(&body[..])
            .seed(parts.clone())
            .seed([&parts[..], &parts].concat())
            .seed(zip(&b"{\"data\":0}\n".repeat(20_000)));
        let taken = |input: &[u8], chunk: usize| {
            let encoding = input.starts_with(&[0x1f]).then_some("gzip");
            let mut intake = Box::new(Body::new(encoding, MAX_LINE).unwrap());
            let (mut stored, mut counts) = (Vec::new(), [0, 0, 0]);
            let mut add = |portion: &Portion| {
                let lines = memchr::memchr_iter(b'\n', &portion.stored).count() as u64;
                assert_eq!(lines, portion.lines);
                let most = 2 * (DECODED_BYTES_MAX + MAX_LINE) as u64 + 100 * (lines + 1);
                assert!(portion.stored.capacity() as u64 <= 2 * most);
                stored.extend_from_slice(&portion.stored);
                counts[0] += portion.keep_alives;
                counts[1] += portion.oversize;
                counts[2] += portion.frames.len() as u64;
            };
            let mut failed = None;
            for mut rest in input.chunks(chunk.max(1)) {
                while let (None, Some(taken)) = (&failed, intake.take(&mut rest, AT).transpose()) {
                    match taken {
                        Ok(portion) => add(&portion),
                        Err(why) => failed = Some(format!("{why:?}")),
                    }
                }
            }
            let unfinished = match (&failed, intake.finish(AT)) {
                (None, Ok((portion, unfinished))) => {
                    add(&portion);
                    unfinished
                }
                _ => None,
            };
            for line in stored.split(|byte| *byte == b'\n') {
                let stamp = line::cut(line).retrieved_at;
                assert!(stamp.is_none_or(|stamp| stamp == AT));
                assert!(line::cut(line).received().len() <= MAX_LINE.max(40));
            }
            (stored, counts, unfinished, failed)
        };
        fuzz.run(|input| {
            let whole = taken(input, input.len());
            // what stands before a fault may be handed out or not; without one, how it was cut makes no difference
            if whole.3.is_none() {
                assert_eq!(taken(input, 7), whole);
            }
            format!("{:?} {:?}", whole.3, whole.1)
        });
    }
}
