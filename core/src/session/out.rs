//! Room for output, lent for one call.

use crate::bytes::fill;
use crate::text::Text;

/// Room for output, lent by the shell for one call.
///
/// It takes what fits and says how much that was. The rest is the session's to remember, as a
/// position and not as a copy, until [`render`](super::Session::render).
#[derive(Debug)]
pub struct Out<'a> {
    buf: &'a mut [u8],
    /// Bytes rendered so far. Invariant: `len <= buf.len()`.
    len: usize,
}

#[cfg(feature = "defmt")]
impl defmt::Format for Out<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(
            f,
            "Out {{ rendered: {=[u8]}, room: {=usize} }}",
            self.rendered(),
            self.room()
        );
    }
}

impl<'a> Out<'a> {
    /// Output goes to `buf`, all of which is room.
    pub const fn new(buf: &'a mut [u8]) -> Self {
        Self { buf, len: 0 }
    }

    /// Bytes of room left.
    pub const fn room(&self) -> usize {
        self.buf.len() - self.len
    }

    /// Renders as much of `bytes` as fits, and says how much that was.
    #[must_use = "what did not fit is to be rendered later"]
    pub fn put(&mut self, bytes: &[u8]) -> usize {
        let n = fill(self.window(), bytes);
        self.len += n;
        n
    }

    /// Renders what is behind the first `rendered` bytes of a text, as much as fits. How long the text
    /// is.
    pub(crate) fn text(
        &mut self,
        rendered: &mut usize,
        write: impl FnOnce(&mut Text<'_>),
    ) -> usize {
        let mut text = Text::new(self.window(), *rendered);
        write(&mut text);
        let (len, written) = (text.len(), text.written());
        self.advance(written);
        *rendered = rendered.saturating_add(written);
        len
    }

    /// The room, to be rendered into directly: then [`advance`](Self::advance).
    pub fn window(&mut self) -> &mut [u8] {
        self.buf.get_mut(self.len..).unwrap_or_default()
    }

    /// The first `n` bytes of the [`window`](Self::window) are rendered.
    pub fn advance(&mut self, n: usize) {
        debug_assert!(n <= self.room(), "rendered more than there was room for");
        self.len = self.len.saturating_add(n).min(self.buf.len());
    }

    /// What has been rendered.
    pub fn rendered(&self) -> &[u8] {
        self.buf.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn put_takes_what_fits() {
        let mut buf = [0; 4];
        let mut out = Out::new(&mut buf);
        assert_eq!(out.put(b"abc"), 3);
        assert_eq!(out.put(b"de"), 1);
        assert_eq!(out.put(b"f"), 0);
        assert_eq!((out.rendered(), out.room()), (&b"abcd"[..], 0));
        assert!(out.window().is_empty());
    }
}
