//! Room for output, lent for one call.

use crate::bytes::fill;
use crate::text::Text;

/// Room for output, lent by the shell for one call.
///
/// It takes as many bytes as fit and returns their number. The session keeps the position of the
/// rest, not a copy, until [`render`](super::Session::render) is called.
#[derive(Debug)]
pub struct Out<'a> {
    buf: &'a mut [u8],
    /// Bytes rendered so far. Invariant: `len <= buf.len()`.
    len: usize,
}

#[cfg(feature = "defmt")]
impl defmt::Format for Out<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Out {{ rendered: {=usize}, room: {=usize} }}", self.len, self.room());
    }
}

impl<'a> Out<'a> {
    /// The whole of `buf` is room for output.
    pub const fn new(buf: &'a mut [u8]) -> Self {
        Self { buf, len: 0 }
    }

    /// Bytes of room left.
    pub const fn room(&self) -> usize {
        self.buf.len() - self.len
    }

    /// Renders as many of `bytes` as fit, and returns their number.
    #[must_use = "the bytes that did not fit have to be rendered later"]
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

    /// The room, to render into it directly; then call [`advance`](Self::advance).
    pub fn window(&mut self) -> &mut [u8] {
        self.buf.get_mut(self.len..).unwrap_or_default()
    }

    /// The first `n` bytes of the [`window`](Self::window) are rendered.
    pub fn advance(&mut self, n: usize) {
        debug_assert!(n <= self.room(), "rendered more than there was room for");
        self.len = self.len.saturating_add(n).min(self.buf.len());
    }

    /// The bytes rendered so far.
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
