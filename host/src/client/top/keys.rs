//! Parses keys from the bytes of a terminal: one byte each, or an escape sequence.

use super::model::Key;

/// A reader of keys. It keeps its position in a sequence, which may arrive in pieces.
#[derive(Debug, Default)]
pub(super) struct Keys(State);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After an escape: the key of that name, or the beginning of a sequence.
    Escape,
    /// In `ESC O`, the arrows of a terminal in application mode.
    Short,
    /// In `ESC [`, with the first number so far.
    Long { number: u8, is_first: bool },
}

const ESC: u8 = 0x1B;

impl Keys {
    /// The state for the next byte.
    pub(super) fn take(&mut self, byte: u8) -> Option<Key> {
        let (state, key) = match (self.0, byte) {
            // Two escapes: the first was the key.
            (State::Escape, ESC) => (State::Escape, Some(Key::Quit)),
            (_, ESC) => (State::Escape, None),
            (State::Text, _) => (State::Text, plain(byte)),
            (State::Escape, b'[') => (State::Long { number: 0, is_first: true }, None),
            (State::Escape, b'O') => (State::Short, None),
            (State::Long { number, is_first: true }, b'0'..=b'9') => {
                let number = number.saturating_mul(10).saturating_add(byte - b'0');
                (State::Long { number, is_first: true }, None)
            }
            (State::Long { number, .. }, b' '..=b'?') => {
                (State::Long { number, is_first: false }, None)
            }
            (State::Long { number, .. }, b'~') => (State::Text, numbered(number)),
            (State::Short | State::Long { .. }, _) => (State::Text, lettered(byte)),
            // With Alt.
            (State::Escape, _) => (State::Text, None),
        };
        self.0 = state;
        key
    }

    /// Whether the next byte decides the meaning of the last one.
    pub(super) fn is_open(&self) -> bool {
        self.0 == State::Escape
    }

    /// No byte follows: the meaning of the last byte alone.
    pub(super) fn close(&mut self) -> Option<Key> {
        std::mem::take(&mut self.0).eq(&State::Escape).then_some(Key::Quit)
    }
}

fn plain(byte: u8) -> Option<Key> {
    match byte {
        // Ctrl-C, and Ctrl-Z: in raw mode the terminal does not turn them into signals.
        b'q' | 0x03 => Some(Key::Quit),
        0x1a => Some(Key::Stop),
        b'p' | b' ' => Some(Key::Pause),
        b's' => Some(Key::Sort),
        b'k' => Some(Key::Up(1)),
        b'j' => Some(Key::Down(1)),
        _ => None,
    }
}

/// The last byte of a sequence: arrows, Home, End.
fn lettered(byte: u8) -> Option<Key> {
    match byte {
        b'A' => Some(Key::Up(1)),
        b'B' => Some(Key::Down(1)),
        b'H' => Some(Key::Up(usize::MAX)),
        b'F' => Some(Key::Down(usize::MAX)),
        // In raw mode, also inside an unknown sequence.
        0x03 => Some(Key::Quit),
        0x1a => Some(Key::Stop),
        _ => None,
    }
}

/// `ESC [ number ~`: Home and End have two numbers each, by terminal.
fn numbered(number: u8) -> Option<Key> {
    match number {
        1 | 7 => Some(Key::Up(usize::MAX)),
        4 | 8 => Some(Key::Down(usize::MAX)),
        5 => Some(Key::Up(10)),
        6 => Some(Key::Down(10)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut keys = Keys::default();
        let mut all: Vec<_> = bytes.iter().filter_map(|&byte| keys.take(byte)).collect();
        all.extend(keys.close());
        all
    }

    #[test]
    fn keys_are_bytes_and_sequences() {
        const TOP: Key = Key::Up(usize::MAX);
        const BOTTOM: Key = Key::Down(usize::MAX);
        for (bytes, expected) in [
            (&b"q"[..], &[Key::Quit][..]),
            (b"\x03", &[Key::Quit]),
            (b"\x1a", &[Key::Stop]),
            (b"\x1b[\x1a", &[Key::Stop]),
            (b"\x1b", &[Key::Quit]),
            (b"\x1b\x1b", &[Key::Quit, Key::Quit]),
            (b"p s", &[Key::Pause, Key::Pause, Key::Sort]),
            (b"jk", &[Key::Down(1), Key::Up(1)]),
            (b"\x1b[A\x1b[B\x1bOA\x1bOB", &[Key::Up(1), Key::Down(1), Key::Up(1), Key::Down(1)]),
            (b"\x1b[5~\x1b[6~", &[Key::Up(10), Key::Down(10)]),
            (b"\x1b[H\x1bOF\x1b[1~\x1b[8~", &[TOP, BOTTOM, TOP, BOTTOM]),
            // With Ctrl, and with Shift.
            (b"\x1b[1;5A\x1b[6;2~", &[Key::Up(1), Key::Down(10)]),
            // F5, F1 of the Linux console, Alt-q, an answer to a question, letters of other scripts.
            (b"\x1b[15~\x1b[[A\x1bq\x1b[?1;2c\xd0\xb9\xe7\x8c\xab", &[]),
            (b"\x1b[99999999999999999999~p", &[Key::Pause]),
            (b"\x1b[\x03", &[Key::Quit]),
            (b"\x1b[12\x1b[A", &[Key::Up(1)]),
        ] {
            assert_eq!(keys(bytes), expected, "{:?}", bytes.escape_ascii().to_string());
        }
    }

    #[test]
    fn only_an_escape_is_two_things() {
        let mut keys = Keys::default();
        assert_eq!((keys.take(b'x'), keys.is_open()), (None, false));
        assert_eq!((keys.take(ESC), keys.is_open()), (None, true));
        assert_eq!((keys.take(b'['), keys.is_open()), (None, false));
        assert_eq!(keys.take(b'A'), Some(Key::Up(1)));
        assert_eq!((keys.take(ESC), keys.is_open()), (None, true));
        assert_eq!((keys.close(), keys.is_open()), (Some(Key::Quit), false));
        assert_eq!(keys.close(), None);
    }
}
