//! Reads exactly `n` bytes, however many calls that takes.

use super::{Read, Step};
use crate::bytes::{after, fill};

/// Reads exactly as many bytes as its buffer holds (`readn`).
///
/// ```text
/// buf  [ filled ........ | unfilled ........ ]
///      0               moved           buf.len()
/// ```
///
/// The caller reports any other error of the read, such as `ECONNRESET`; [`filled`](Self::filled)
/// then still has the bytes that arrived before. An empty buffer is [`Step::Done`] before any read.
///
/// ```
/// use windlass_core::stream::{Read, ReadN, Step};
/// let mut buf = [0; 4];
/// let mut read = ReadN::new(&mut buf);
/// read.unfilled()[..3].copy_from_slice(b"abc");
/// assert_eq!(read.handle_read(Read::count(3)), Step::Again);
/// assert_eq!(read.handle_read(Read::Interrupted), Step::Again);
/// assert_eq!(read.handle_read(Read::Eof), Step::Ended { moved: 3 });
/// assert_eq!(read.filled(), b"abc");
/// ```
#[derive(Debug)]
pub struct ReadN<'b> {
    buf: &'b mut [u8],
    /// Bytes read so far. Invariant: `moved <= buf.len()`.
    moved: usize,
}

#[cfg(feature = "defmt")]
impl defmt::Format for ReadN<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "ReadN {{ filled: {=usize}, of: {=usize} }}", self.moved, self.buf.len());
    }
}

impl<'b> ReadN<'b> {
    /// Will read `buf.len()` bytes into `buf`.
    pub const fn new(buf: &'b mut [u8]) -> Self {
        Self { buf, moved: 0 }
    }

    /// The next step, before or between reads.
    pub fn step(&self) -> Step {
        if self.moved == self.buf.len() { Step::Done } else { Step::Again }
    }

    /// The window for the next read. Empty only when [`Step::Done`]: do not read then, since a
    /// read of zero bytes looks like the end of the stream.
    pub fn unfilled(&mut self) -> &mut [u8] {
        self.buf.get_mut(self.moved..).unwrap_or_default()
    }

    /// The bytes read so far.
    pub fn filled(&self) -> &[u8] {
        self.buf.get(..self.moved).unwrap_or_default()
    }

    /// Takes the outcome of one read into [`unfilled`](Self::unfilled).
    pub fn handle_read(&mut self, read: Read) -> Step {
        match read {
            Read::Moved(n) => {
                debug_assert!(
                    n.get() <= self.buf.len() - self.moved,
                    "moved more than it was lent"
                );
                self.moved = self.moved.saturating_add(n.get()).min(self.buf.len());
                self.step()
            }
            // If the last byte came in the call before, the work is done: the end of the stream
            // does not matter.
            Read::Interrupted | Read::WouldBlock | Read::Eof if self.step() == Step::Done => {
                Step::Done
            }
            Read::Interrupted => Step::Again,
            Read::WouldBlock => Step::Wait,
            Read::Eof => Step::Ended { moved: self.moved },
        }
    }

    /// Takes bytes that are already in memory, and returns those that it does not need.
    pub fn feed<'i>(&mut self, input: &'i [u8]) -> (Step, &'i [u8]) {
        let n = fill(self.unfilled(), input);
        self.moved += n;
        (self.step(), after(input, n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn zero_bytes_are_done_before_any_read() {
        let mut read = ReadN::new(&mut []);
        assert_eq!(read.step(), Step::Done);
        assert!(read.unfilled().is_empty());
        assert_eq!(read.handle_read(Read::Eof), Step::Done);
    }

    #[test]
    fn eof_reports_what_was_moved() {
        let mut buf = [0; 3];
        assert_eq!(ReadN::new(&mut buf).handle_read(Read::Eof), Step::Ended { moved: 0 });
        let mut read = ReadN::new(&mut buf);
        assert_eq!(read.feed(b"ab"), (Step::Again, &b""[..]));
        assert_eq!(read.handle_read(Read::Eof), Step::Ended { moved: 2 });
        assert_eq!(read.feed(b"cd"), (Step::Done, &b"d"[..]), "it can resume on a new stream");
    }

    proptest! {
        #[test]
        fn every_script_of_short_reads_fills_the_buffer(
            data in proptest::collection::vec(any::<u8>(), 0..200),
            script in proptest::collection::vec(0usize..5, 0..400),
        ) {
            let mut buf = [0; 150];
            let mut read = ReadN::new(&mut buf);
            let mut source = &data[..];
            for choice in script {
                let outcome = match choice {
                    0 => Read::Interrupted,
                    1 => Read::WouldBlock,
                    n => {
                        let window = read.unfilled();
                        let n = n.min(window.len()).min(source.len());
                        window[..n].copy_from_slice(&source[..n]);
                        source = &source[n..];
                        Read::count(n)
                    }
                };
                let moved = read.filled().len();
                match read.handle_read(outcome) {
                    Step::Done => prop_assert_eq!(read.filled().len(), 150),
                    Step::Ended { moved: at } => prop_assert!(at == moved && source.is_empty()),
                    Step::Wait => prop_assert_eq!(outcome, Read::WouldBlock),
                    Step::Again => {}
                }
                prop_assert_eq!(read.filled(), &data[..read.filled().len()]);
            }
        }
    }
}
