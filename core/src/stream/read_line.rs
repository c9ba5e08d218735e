//! Cuts a byte stream into lines, in a buffer of fixed size.

use crate::bytes::{after, find, first, put};

/// Cuts a stream into lines (`readline`); the pieces of the stream may have any length.
///
/// A line ends with `\n` or `\r\n`, or with the end of the stream; a `\r` anywhere else is text. The
/// limit, in bytes of text, is the length of the buffer. A line over the limit is reported once, as
/// soon as it exceeds the limit, and skipped to its end. The next line is not affected.
///
/// A line that is complete in the input is lent from there; only a line that is cut by the pieces is
/// copied to the buffer. On a host `memchr` finds the `\n`.
///
/// ```
/// use windlass_core::stream::{LineStep, ReadLine};
/// let mut buf = [0; 16];
/// let mut lines = ReadLine::new(&mut buf);
/// let mut input = &b"one\r\ntw"[..];
/// while let LineStep::Line { line, rest } = lines.feed(input) {
///     assert_eq!(line.text, b"one");
///     input = rest;
/// }
/// assert!(matches!(lines.feed(b"o\n"), LineStep::Line { line, .. } if line.text == b"two"));
/// assert!(lines.finish().is_none());
/// ```
#[derive(Debug)]
pub struct ReadLine<'b> {
    buf: &'b mut [u8],
    /// Bytes of the unfinished line in `buf`. Invariant: `len <= buf.len()`.
    len: usize,
    /// A `\r` came last: it is text unless `\n` follows. It is not in `buf`.
    held_cr: bool,
    /// The unfinished line exceeded the limit and was reported.
    skipping: bool,
}

#[cfg(feature = "defmt")]
impl defmt::Format for ReadLine<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "ReadLine {{ len: {=usize}, max: {=usize} }}", self.len, self.buf.len());
    }
}

/// A line without its ending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line<'a> {
    /// The bytes before the ending.
    pub text: &'a [u8],
    /// The ending of the line.
    pub ending: Ending,
}

/// The ending of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Ending {
    /// `\n`
    Lf,
    /// `\r\n`
    CrLf,
    /// The end of the stream: the last line had no newline.
    Eof,
}

/// What [`ReadLine::feed`] found. `rest` is the input after it: feed that next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum LineStep<'a, 'i> {
    /// All of the input is taken, and no line is complete.
    More,
    /// A line.
    Line {
        /// The line.
        line: Line<'a>,
        /// The input after it.
        rest: &'i [u8],
    },
    /// A line of more than `max` bytes. The rest of it is skipped.
    TooLong {
        /// The limit.
        max: usize,
        /// The input after the part that is skipped so far.
        rest: &'i [u8],
    },
}

#[cfg(feature = "defmt")]
impl defmt::Format for Line<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Line {{ text: {=usize}, ending: {} }}", self.text.len(), self.ending);
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for LineStep<'_, '_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        match self {
            Self::More => defmt::write!(f, "More"),
            Self::Line { line, rest } => {
                defmt::write!(f, "Line {{ line: {}, rest: {=usize} }}", line, rest.len());
            }
            Self::TooLong { max, rest } => {
                defmt::write!(f, "TooLong {{ max: {=usize}, rest: {=usize} }}", max, rest.len());
            }
        }
    }
}

impl<'b> ReadLine<'b> {
    /// Gathers lines of up to `buf.len()` bytes.
    pub const fn new(buf: &'b mut [u8]) -> Self {
        Self { buf, len: 0, held_cr: false, skipping: false }
    }

    /// Takes input up to the end of the first line in it.
    pub fn feed<'a, 'i: 'a>(&'a mut self, mut input: &'i [u8]) -> LineStep<'a, 'i> {
        if self.skipping {
            let Some(end) = find(b'\n', input) else { return LineStep::More };
            self.skipping = false;
            input = after(input, end + 1);
        }
        if self.held_cr {
            match input.split_first() {
                None => return LineStep::More,
                Some((b'\n', rest)) => return self.complete(b"", Ending::CrLf, rest),
                Some(_) if !self.store(b"\r") => return self.overflow(input),
                Some(_) => self.held_cr = false,
            }
        }
        let Some(end) = find(b'\n', input) else {
            let text = input.strip_suffix(b"\r").unwrap_or(input);
            if !self.store(text) {
                return self.overflow(b"");
            }
            self.held_cr = text.len() < input.len();
            return LineStep::More;
        };
        let (piece, rest) = (first(input, end), after(input, end + 1));
        match piece.strip_suffix(b"\r") {
            Some(text) => self.complete(text, Ending::CrLf, rest),
            None => self.complete(piece, Ending::Lf, rest),
        }
    }

    /// The stream has ended. Returns the last line if it had no newline.
    ///
    /// # Errors
    /// The limit, if a last `\r` exceeds it.
    pub fn finish(&mut self) -> Option<Result<Line<'_>, usize>> {
        let skipping = core::mem::take(&mut self.skipping);
        let held_cr = core::mem::take(&mut self.held_cr);
        let stored = !held_cr || self.store(b"\r");
        let len = core::mem::take(&mut self.len);
        if skipping || (len == 0 && !held_cr) {
            None
        } else if stored {
            Some(Ok(Line { text: self.buf.get(..len).unwrap_or_default(), ending: Ending::Eof }))
        } else {
            Some(Err(self.buf.len()))
        }
    }

    /// The line is the gathered bytes and then `text`. If there are none, `text` itself is lent.
    fn complete<'a, 'i: 'a>(
        &'a mut self,
        text: &'i [u8],
        ending: Ending,
        rest: &'i [u8],
    ) -> LineStep<'a, 'i> {
        self.held_cr = false;
        if self.len + text.len() > self.buf.len() {
            self.len = 0;
            return LineStep::TooLong { max: self.buf.len(), rest };
        }
        if self.len == 0 {
            return LineStep::Line { line: Line { text, ending }, rest };
        }
        self.store(text);
        let len = core::mem::take(&mut self.len);
        let text = self.buf.get(..len).unwrap_or_default();
        LineStep::Line { line: Line { text, ending }, rest }
    }

    /// The line exceeded the limit before its end was seen; its end may be in `input`.
    fn overflow<'a, 'i: 'a>(&'a mut self, input: &'i [u8]) -> LineStep<'a, 'i> {
        self.len = 0;
        self.held_cr = false;
        let max = self.buf.len();
        if let Some(end) = find(b'\n', input) {
            LineStep::TooLong { max, rest: after(input, end + 1) }
        } else {
            self.skipping = true;
            LineStep::TooLong { max, rest: b"" }
        }
    }

    /// Appends to the buffer. If `text` does not fit, appends nothing and returns `false`.
    fn store(&mut self, bytes: &[u8]) -> bool {
        let fits = bytes.len() <= self.buf.len().saturating_sub(self.len);
        if fits {
            self.len = put(self.buf, self.len, bytes);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    type Event = Result<(Vec<u8>, Ending), usize>;

    /// The events of a stream fed in the given pieces.
    fn run<'i>(limit: usize, pieces: impl IntoIterator<Item = &'i [u8]>) -> Vec<Event> {
        let mut buf = std::vec![0; limit];
        let mut lines = ReadLine::new(&mut buf);
        let mut events = Vec::new();
        for mut input in pieces {
            loop {
                match lines.feed(input) {
                    LineStep::More => break,
                    LineStep::Line { line, rest } => {
                        events.push(Ok((line.text.to_vec(), line.ending)));
                        input = rest;
                    }
                    LineStep::TooLong { max, rest } => {
                        events.push(Err(max));
                        input = rest;
                    }
                }
            }
        }
        if let Some(last) = lines.finish() {
            events.push(last.map(|line| (line.text.to_vec(), line.ending)));
        }
        events
    }

    /// The same, written the slow and obvious way.
    fn model(limit: usize, stream: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for piece in stream.split_inclusive(|&b| b == b'\n') {
            let (text, ending) = match piece {
                [text @ .., b'\r', b'\n'] => (text, Ending::CrLf),
                [text @ .., b'\n'] => (text, Ending::Lf),
                text => (text, Ending::Eof),
            };
            events.push(if text.len() > limit { Err(limit) } else { Ok((text.to_vec(), ending)) });
        }
        events
    }

    #[test]
    fn boundaries() {
        for stream in [
            &b""[..],
            b"\n",
            b"\r\n",
            b"\r",
            b"\r\r\n",
            b"abc",
            b"abc\n",
            b"abc\r\n",
            b"abcd\n",
            b"abcd\r\n",
            b"abcde\n",
            b"abcde\r\n",
            b"abcde",
            b"abcd\r",
            b"abc\r",
            b"a\rb\n",
            b"abcdefgh\nxy\n",
            b"abcd\rx\nok\n",
            b"abcde\r\nok\r\nend",
            b"\n\n\n",
            b"abcdefgh",
        ] {
            let expected = model(4, stream);
            for size in 1..=stream.len().max(1) {
                assert_eq!(run(4, stream.chunks(size)), expected, "{stream:?} by {size}");
            }
        }
    }

    #[test]
    fn a_buffer_of_nothing_takes_empty_lines_only() {
        assert_eq!(run(0, [&b"\nx\n\r\n"[..]]), model(0, b"\nx\n\r\n"));
    }

    #[test]
    fn a_line_that_never_ends_is_reported_at_its_limit() {
        let mut buf = [0; 4];
        let mut lines = ReadLine::new(&mut buf);
        assert_eq!(lines.feed(b"abcd"), LineStep::More);
        assert_eq!(lines.feed(b"e"), LineStep::TooLong { max: 4, rest: b"" });
        assert_eq!(lines.feed(b"fgh"), LineStep::More);
        assert!(lines.finish().is_none());
    }

    proptest! {
        #[test]
        fn any_chunking_of_any_stream_gives_the_same_lines(
            stream in proptest::collection::vec(
                prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'a'), Just(b'b')], 0..80),
            cuts in proptest::collection::vec(0usize..80, 0..12),
            limit in 0usize..12,
        ) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|c| c.min(stream.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([stream.len()]) {
                pieces.push(&stream[from..cut]);
                from = cut;
            }
            prop_assert_eq!(run(limit, pieces), model(limit, &stream));
        }
    }
}
