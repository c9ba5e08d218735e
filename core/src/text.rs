//! A text of which a window is written.
//!
//! A session that sends a text in pieces remembers how much of it has left, and not the text: it
//! writes the text again, and only what is behind that lands in the room it was lent. So a piece of
//! any length needs no buffer. With no room at all, a text is only measured.

use crate::bytes::{after, put};
use crate::decimal;

/// A text that is written in the order of its bytes.
#[derive(Debug)]
pub(crate) struct Text<'w> {
    /// Where its bytes from `begin` on go, as far as there is room.
    window: &'w mut [u8],
    begin: usize,
    /// Bytes of the text so far, in the window or not.
    len: usize,
}

impl<'w> Text<'w> {
    /// What is behind the first `begin` bytes goes to `window`.
    pub(crate) const fn new(window: &'w mut [u8], begin: usize) -> Self {
        Self { window, begin, len: 0 }
    }

    /// Bytes of the text so far, whether or not there was room for them.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// How many bytes of the window are written.
    pub(crate) fn written(&self) -> usize {
        self.len.saturating_sub(self.begin).min(self.window.len())
    }

    /// The next bytes.
    #[inline(never)]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let before = self.begin.saturating_sub(self.len);
        put(self.window, self.len.saturating_sub(self.begin), after(bytes, before));
        self.len = self.len.saturating_add(bytes.len());
    }

    /// A number in decimal digits, at least `least` of them, so zeros before it.
    #[inline(never)]
    pub(crate) fn number(&mut self, number: u64, least: usize) {
        let digits = decimal::digits(number).max(least);
        let mut bytes = number.to_be_bytes();
        let at = self.len;
        for place in (at..at.saturating_add(digits)).rev() {
            let digit = decimal::divide(&mut bytes);
            let slot = place.checked_sub(self.begin).and_then(|place| self.window.get_mut(place));
            if let Some(slot) = slot {
                *slot = b'0' + digit;
            }
        }
        self.len = at.saturating_add(digits);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::session::Out;
    use std::vec;
    use std::vec::Vec;

    fn write(text: &mut Text<'_>) {
        text.put(b"size");
        text.number(0, 0);
        text.put(b"");
        text.number(u64::MAX, 0);
        text.number(42, 5);
    }

    #[test]
    fn windows_of_any_size_make_the_whole() {
        let all = b"size01844674407370955161500042";
        for size in 1..=all.len() + 1 {
            let (mut rendered, mut whole) = (0, Vec::new());
            while rendered < all.len() {
                let mut room = vec![0; size];
                let mut out = Out::new(&mut room);
                assert_eq!(out.text(&mut rendered, write), all.len());
                whole.extend_from_slice(out.rendered());
            }
            assert_eq!(whole, all, "by {size}");
        }
    }

    #[test]
    fn without_room_a_text_is_measured() {
        let mut text = Text::new(&mut [], 0);
        write(&mut text);
        assert_eq!((text.len(), text.written()), (30, 0));
    }
}
