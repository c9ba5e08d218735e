//! Text as TFTP carries it: netascii, the form of the Telnet protocol (RFC 764).
//!
//! A line ends with CR LF, and a CR that ends none is CR NUL. Both ends translate, so a Unix text is longer
//! while it travels. The pairs may be cut anywhere: each direction remembers one byte.
//!
//! ```
//! use windlass_core::transfer::netascii::{Decoder, Encoder};
//! let (mut sent, mut kept) = ([0; 16], [0; 16]);
//! let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
//! let there = encoder.encode(b"a\nb\r", &mut sent);
//! assert_eq!((there.read, &sent[..there.written]), (4, &b"a\r\nb\r\0"[..]));
//! let back = decoder.decode(&sent[..there.written], &mut kept);
//! assert_eq!(&kept[..back.written], b"a\nb\r");
//! ```

/// How far a translation came: as far as there was input and room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Moved {
    /// Bytes of the input that are done with.
    pub read: usize,
    /// Bytes of the room that are written.
    pub written: usize,
}

/// Translates a file into what travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Encoder {
    /// The second byte of a pair, if there was room for the first one only.
    owed: Option<u8>,
}

impl Encoder {
    /// At the beginning of a file.
    pub const fn new() -> Self {
        Self { owed: None }
    }

    /// Whether all that was read is written.
    pub const fn is_done(&self) -> bool {
        self.owed.is_none()
    }

    /// Translates as much of `from` as there is room for in `to`. With an empty `from` it writes what is owed.
    pub fn encode(&mut self, from: &[u8], to: &mut [u8]) -> Moved {
        let mut moved = Moved::default();
        let mut bytes = from.iter();
        for slot in to {
            let byte = match (self.owed.take(), bytes.as_slice()) {
                (Some(byte), _) => byte,
                (None, [byte, rest @ ..]) => {
                    bytes = rest.iter();
                    self.owed = match byte {
                        b'\n' => Some(b'\n'),
                        b'\r' => Some(0),
                        _ => None,
                    };
                    if self.owed.is_some() { b'\r' } else { *byte }
                }
                (None, []) => break,
            };
            *slot = byte;
            moved.written = moved.written.saturating_add(1);
        }
        moved.read = from.len().saturating_sub(bytes.len());
        moved
    }
}

/// Translates what travels into a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Decoder {
    /// The last byte was a CR, and it is not known yet what it means.
    cr: bool,
}

impl Decoder {
    /// At the beginning of a file.
    pub const fn new() -> Self {
        Self { cr: false }
    }

    /// Translates as much of `from` as there is room for in `to`. A CR before anything but LF and NUL is a CR.
    pub fn decode(&mut self, from: &[u8], to: &mut [u8]) -> Moved {
        let mut moved = Moved::default();
        let (mut rest, mut room) = (from, to.iter_mut());
        while let [byte, behind @ ..] = rest {
            if *byte == b'\r' && !self.cr {
                self.cr = true;
                rest = behind;
                continue;
            }
            let Some(slot) = room.next() else { break };
            (*slot, rest) = match (core::mem::take(&mut self.cr), byte) {
                (false, &byte) => (byte, behind),
                (true, b'\n') => (b'\n', behind),
                (true, 0) => (b'\r', behind),
                // The byte is looked at again, without the CR before it.
                (true, _) => (b'\r', rest),
            };
            moved.written = moved.written.saturating_add(1);
        }
        moved.read = from.len().saturating_sub(rest.len());
        moved
    }

    /// The file ended: the byte that is left of it, if there is one.
    pub fn finish(&mut self) -> Option<u8> {
        core::mem::take(&mut self.cr).then_some(b'\r')
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// In pieces of so many bytes, through rooms of so many.
    fn encode(file: &[u8], piece: usize, room: usize) -> Vec<u8> {
        let (mut encoder, mut out, mut from) = (Encoder::new(), Vec::new(), file);
        while !from.is_empty() || !encoder.is_done() {
            let mut to = std::vec![0; room];
            let moved = encoder.encode(&from[..piece.min(from.len())], &mut to);
            assert!(moved.read + moved.written > 0, "it goes on");
            out.extend_from_slice(&to[..moved.written]);
            from = &from[moved.read..];
        }
        out
    }

    fn decode(stream: &[u8], piece: usize, room: usize) -> Vec<u8> {
        let (mut decoder, mut out, mut from) = (Decoder::new(), Vec::new(), stream);
        while !from.is_empty() {
            let mut to = std::vec![0; room];
            let moved = decoder.decode(&from[..piece.min(from.len())], &mut to);
            assert!(moved.read + moved.written > 0, "it goes on");
            out.extend_from_slice(&to[..moved.written]);
            from = &from[moved.read..];
        }
        out.extend(decoder.finish());
        out
    }

    #[test]
    fn table() {
        for (file, travels) in [
            (&b""[..], &b""[..]),
            (b"a", b"a"),
            (b"\n", b"\r\n"),
            (b"\r", b"\r\0"),
            (b"\r\n", b"\r\0\r\n"),
            (b"\n\n\r", b"\r\n\r\n\r\0"),
            (b"a\0b", b"a\0b"),
        ] {
            assert_eq!(encode(file, 9, 9), travels);
            assert_eq!(decode(travels, 9, 9), file);
        }
        // What no encoder makes is kept.
        for (travels, file) in [
            (&b"\r"[..], &b"\r"[..]),
            (b"a\rb", b"a\rb"),
            (b"\r\r\n", b"\r\n"),
            (b"\n", b"\n"),
            (b"\r\r\r", b"\r\r\r"),
        ] {
            assert_eq!(decode(travels, 9, 9), file, "{travels:?}");
        }
    }

    proptest! {
        #[test]
        fn there_and_back_however_it_is_cut(
            file in proptest::collection::vec(
                prop_oneof![Just(b'\r'), Just(b'\n'), Just(0_u8), any::<u8>()], 0..200),
            (piece, room) in (1_usize..9, 1_usize..9),
        ) {
            let travels = encode(&file, 1000, 1000);
            prop_assert_eq!(&encode(&file, piece, room), &travels);
            prop_assert_eq!(decode(&travels, piece, room), file);
        }
    }
}
