//! Turns the bytes of a streaming response into lines.
//!
//! Chunks may be cut anywhere, inside a character too. A line ends with `\n`, and one `\r` before
//! it is not part of it; an empty line is the server's keep-alive. A line longer than the limit is
//! handed out cut and passed over to its end, so that one broken post cannot fill the memory.
//! A line that lies whole in one chunk is handed out without a copy.
//!
//! Knows nothing of JSON, time or sockets.

/// What the bytes are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A line without its line end; never empty.
    Line(&'a [u8]),
    /// The beginning of a line that is longer than the limit; its rest is passed over.
    Cut(&'a [u8]),
    /// An empty line.
    KeepAlive,
}

/// What is left when the bytes end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing but white space, or the rest of a line that was handed out cut.
    Nothing,
    /// What looks like a whole object, though its line end never came.
    Line(Vec<u8>),
    /// The beginning of something.
    Unfinished(Vec<u8>),
}

/// Cuts bytes into lines.
#[derive(Debug)]
pub(super) struct Framer {
    max_line: usize,
    /// The beginning of the line that is not over yet: at most `max_line` and one `\r`.
    begun: Vec<u8>,
    /// Whether the line that is not over yet was handed out cut.
    passing_over: bool,
}

impl Framer {
    pub(super) fn new(max_line: usize) -> Self {
        Self {
            max_line,
            begun: Vec::new(),
            passing_over: false,
        }
    }

    /// Takes further bytes and hands out what is complete with them.
    pub(super) fn feed(&mut self, bytes: &[u8], mut out: impl FnMut(Piece)) {
        let mut rest = bytes;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(at);
            rest = after.strip_prefix(b"\n").unwrap_or(after);
            if self.passing_over {
                self.passing_over = false;
            } else if self.begun.is_empty() {
                out(self.piece(line));
            } else {
                self.begin(line, &mut out);
                if !self.passing_over {
                    out(self.piece(&self.begun));
                }
                self.passing_over = false;
                self.forget_begun();
            }
        }
        if !rest.is_empty() && !self.passing_over {
            self.begin(rest, &mut out);
        }
    }

    fn piece<'a>(&self, line: &'a [u8]) -> Piece<'a> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match line.get(..self.max_line) {
            _ if line.is_empty() => Piece::KeepAlive,
            Some(head) if head.len() < line.len() => Piece::Cut(head),
            _ => Piece::Line(line),
        }
    }

    /// Keeps the beginning of a line; one that grows beyond the limit is handed out cut.
    fn begin(&mut self, part: &[u8], out: &mut impl FnMut(Piece)) {
        let room = (self.max_line + 1).saturating_sub(self.begun.len());
        let (kept, beyond) = part.split_at(room.min(part.len()));
        self.begun.extend_from_slice(kept);
        let full = self.max_line < self.begun.len();
        if full && (!beyond.is_empty() || self.begun.last() != Some(&b'\r')) {
            out(Piece::Cut(
                self.begun.get(..self.max_line).unwrap_or(&self.begun),
            ));
            self.forget_begun();
            self.passing_over = true;
        }
    }

    /// Lets the memory of an unusually long line go as well.
    fn forget_begun(&mut self) {
        /// Ten times a long post of all fields.
        const KEPT_CAPACITY: usize = 256 * 1024;
        self.begun.clear();
        self.begun.shrink_to(KEPT_CAPACITY);
    }

    /// Ends the bytes: says what came after the last line end.
    pub(super) fn finish(self) -> Rest {
        let trimmed = self.begun.trim_ascii();
        if trimmed.is_empty() || self.passing_over {
            Rest::Nothing
        } else if trimmed.starts_with(b"{") && trimmed.ends_with(b"}") && 1 < trimmed.len() {
            let line = self.begun.strip_suffix(b"\r").unwrap_or(&self.begun);
            Rest::Line(line.to_vec())
        } else {
            Rest::Unfinished(self.begun)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a framer gives, as text: `c:` cut, `-` keep-alive, `|` before the rest.
    fn framed<'a>(max_line: usize, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut framer = Framer::new(max_line);
        let mut out = Vec::new();
        for chunk in chunks {
            framer.feed(chunk, |piece| {
                out.push(match piece {
                    Piece::Line(line) => format!("l:{}", line.escape_ascii()),
                    Piece::Cut(line) => format!("c:{}", line.escape_ascii()),
                    Piece::KeepAlive => "-".to_owned(),
                });
            });
        }
        match framer.finish() {
            Rest::Nothing => (),
            Rest::Line(line) => out.push(format!("|l:{}", line.escape_ascii())),
            Rest::Unfinished(rest) => out.push(format!("|u:{}", rest.escape_ascii())),
        }
        out
    }

    #[track_caller]
    fn check_frame(received: &str, expected: &[&str]) {
        let bytes = received.as_bytes();
        assert_eq!(framed(8, [bytes]), expected, "in one chunk");
        assert_eq!(framed(8, bytes.chunks(1)), expected, "byte by byte");
    }

    #[test]
    fn lines_keep_alives_and_what_is_left() {
        check_frame("", &[]);
        check_frame("ab\r\ncd\n\r\n\n", &["l:ab", "l:cd", "-", "-"]);
        check_frame("a\rb\r\r\n", &["l:a\\rb\\r"]);
        check_frame("12345678\r\nx\n", &["l:12345678", "l:x"]);
        check_frame("123456789\nx\n", &["c:12345678", "l:x"]);
        check_frame("12345678\rz\nx\n", &["c:12345678", "l:x"]);
        check_frame("1234567890abcdefghijkl", &["c:12345678"]);
        check_frame("a\n{1}", &["l:a", "|l:{1}"]);
        check_frame("a\n {1}\r", &["l:a", "|l: {1}"]);
        check_frame("a\n{1", &["l:a", "|u:{1"]);
        check_frame("a\n \r", &["l:a"]);
        check_frame("{", &["|u:{"]);
    }

    proptest! {
        #[test]
        fn where_chunks_are_cut_makes_no_difference(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'{'), Just(b'}'), any::<u8>()], 0..200),
            cuts in proptest::collection::vec(0usize..200, 0..12),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks = cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]);
            prop_assert_eq!(framed(8, chunks), framed(8, [bytes.as_slice()]));
        }
    }
}
