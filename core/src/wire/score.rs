//! The score: the report of one name's marks, a datagram of its own.

use core::fmt;

use zerocopy::byteorder::network_endian::U32;
use zerocopy::{FromBytes, IntoBytes};

use crate::bytes::{first, put};
use crate::fault::{Limit, Peer};

/// `u32 math | u32 chinese | name, NUL`: a whole datagram, borrowed from where it was received.
///
/// A value of this type has a name of 0 to [`NAME_MAX`](Self::NAME_MAX) bytes, and one NUL, which
/// is its last byte. The peer chose the bytes of the name, and they can have any value: escape them
/// before they are printed on a terminal.
///
/// ```
/// use windlass_core::wire::Score;
/// let mut buf = [0; Score::LEN_MAX];
/// let datagram = Score::render(83, 86, b"Mike", &mut buf)?;
/// assert_eq!(datagram, b"\0\0\0\x53\0\0\0\x56Mike\0");
/// let score = Score::parse(datagram).unwrap();
/// assert_eq!((score.math(), score.chinese(), score.name()), (83, 86, &b"Mike"[..]));
/// # Ok::<(), windlass_core::fault::Limit>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Score<'d> {
    /// Math, then Chinese.
    marks: &'d [U32; 2],
    /// The name and its NUL.
    name: &'d [u8],
}

impl<'d> Score<'d> {
    /// Bytes in front of the name.
    const MARKS: usize = size_of::<[U32; 2]>();

    /// The longest name, in bytes, without its NUL. The datagram with its headers stays within the 512
    /// bytes that the notes recommend for UDP: `512 - 8 - 8`, less the NUL.
    pub const NAME_MAX: usize = 495;

    /// The shortest datagram, in bytes: one with an empty name.
    pub const LEN_MIN: usize = Self::MARKS + 1;

    /// The longest datagram, in bytes.
    pub const LEN_MAX: usize = Self::MARKS + Self::NAME_MAX + 1;

    /// Reads a whole datagram.
    ///
    /// # Errors
    /// [`Peer::Truncated`] for less than [`LEN_MIN`](Self::LEN_MIN) bytes, [`Peer::TooLong`] for
    /// more than [`LEN_MAX`](Self::LEN_MAX), [`Peer::Malformed`] where the first NUL of the name is
    /// not its last byte.
    pub fn parse(datagram: &'d [u8]) -> Result<Self, Peer> {
        if datagram.len() > Self::LEN_MAX {
            let [claimed, max] =
                [datagram.len(), Self::LEN_MAX].map(|len| u32::try_from(len).unwrap_or(u32::MAX));
            return Err(Peer::TooLong { claimed, max });
        }
        if datagram.len() < Self::LEN_MIN {
            return Err(Peer::Truncated);
        }
        let (marks, name) = FromBytes::ref_from_prefix(datagram).map_err(|_| Peer::Truncated)?;
        let nul = name.iter().position(|&byte| byte == 0);
        if nul.map(|at| at + 1) == Some(name.len()) {
            Ok(Self { marks, name })
        } else {
            Err(Peer::Malformed)
        }
    }

    /// Writes a datagram into `buf`, and returns it.
    ///
    /// # Errors
    /// The name is longer than [`NAME_MAX`](Self::NAME_MAX) or has a NUL in it, so that no receiver
    /// would take it whole, or `buf` is too short.
    pub fn render<'b>(
        math: u32,
        chinese: u32,
        name: &[u8],
        buf: &'b mut [u8],
    ) -> Result<&'b [u8], Limit> {
        let whole = first(name, Self::NAME_MAX);
        let usable = whole.iter().position(|&byte| byte == 0).unwrap_or(whole.len());
        if usable < name.len() {
            return Err(Limit { need: name.len(), have: usable });
        }
        let need = Self::MARKS + name.len() + 1;
        if buf.len() < need {
            return Err(Limit { need, have: buf.len() });
        }
        let marks = [U32::new(math), U32::new(chinese)];
        let mut len = 0;
        for part in [marks.as_bytes(), name, b"\0"] {
            len = put(buf, len, part);
        }
        Ok(first(buf, len))
    }

    /// The mark in mathematics.
    pub const fn math(&self) -> u32 {
        self.marks[0].get()
    }

    /// The mark in Chinese.
    pub const fn chinese(&self) -> u32 {
        self.marks[1].get()
    }

    /// The name, without its NUL: 0 to [`NAME_MAX`](Self::NAME_MAX) bytes that the peer chose.
    pub fn name(&self) -> &'d [u8] {
        self.name.split_last().map_or(&[], |(_, name)| name)
    }
}

impl fmt::Debug for Score<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (f.debug_struct("Score").field("math", &self.math()).field("chinese", &self.chinese()))
            .field("name", &format_args!("{}", self.name().escape_ascii()))
            .finish()
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Score<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        let (math, chinese) = (self.math(), self.chinese());
        defmt::write!(
            f,
            "Score {{ math: {}, chinese: {}, name: {=[u8]:a} }}",
            math,
            chinese,
            self.name()
        );
    }
}

const _: () = assert!(align_of::<[U32; 2]>() == 1 && Score::LEN_MAX == 8 + 496);

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn the_datagram_of_the_notes() {
        let bytes = [0, 0, 0, 0x53, 0, 0, 0, 0x56, b'M', b'i', b'k', b'e', 0];
        let score = Score::parse(&bytes).unwrap();
        assert_eq!((score.math(), score.chinese(), score.name()), (83, 86, &b"Mike"[..]));
        assert_eq!(std::format!("{score:?}"), "Score { math: 83, chinese: 86, name: Mike }");
        let mut buf = [0xff; 13];
        assert_eq!(Score::render(83, 86, b"Mike", &mut buf), Ok(&bytes[..]));
    }

    #[test]
    fn what_is_no_score_is_told_apart() {
        let too_long = Peer::TooLong { claimed: 505, max: 504 };
        let long = |len: usize| {
            let mut bytes = vec![b'x'; len];
            bytes[len - 1] = 0;
            bytes
        };
        for (bytes, is) in [
            (vec![], Err(Peer::Truncated)),
            (long(8), Err(Peer::Truncated)),
            (long(9), Ok(0)),
            (long(504), Ok(495)),
            (long(505), Err(too_long)),
            (vec![b'x'; 9], Err(Peer::Malformed)),
            (vec![b'x'; 504], Err(Peer::Malformed)),
            (b"\0\0\0\0\0\0\0\0Mike\0\0".to_vec(), Err(Peer::Malformed)),
            (b"\0\0\0\0\0\0\0\0Mi\0ke\0".to_vec(), Err(Peer::Malformed)),
            (b"\0\0\0\0\0\0\0\0Mike\0!".to_vec(), Err(Peer::Malformed)),
        ] {
            assert_eq!(Score::parse(&bytes).map(|score| score.name().len()), is, "{bytes:?}");
        }
    }

    #[test]
    fn no_name_is_cut() {
        let mut buf = [0; 600];
        for (name, room, is) in [
            (&[b'x'; 496][..], 600, Err(Limit { need: 496, have: 495 })),
            (b"Mi\0ke", 600, Err(Limit { need: 5, have: 2 })),
            (b"Mike", 12, Err(Limit { need: 13, have: 12 })),
            (b"Mike", 13, Ok(13)),
            (b"", 9, Ok(9)),
            (&[b'x'; 495], 504, Ok(504)),
        ] {
            assert_eq!(Score::render(1, 2, name, &mut buf[..room]).map(<[u8]>::len), is);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_score_that_renders_to_them_or_an_error(bytes: Vec<u8>) {
            if let Ok(score) = Score::parse(&bytes) {
                let mut buf = [0; Score::LEN_MAX];
                let again = Score::render(score.math(), score.chinese(), score.name(), &mut buf);
                prop_assert_eq!(again, Ok(&bytes[..]));
            }
        }

        #[test]
        fn what_is_rendered_is_read(math: u32, chinese: u32, name in "[^\0]{0,123}") {
            let mut buf = [0; Score::LEN_MAX];
            let bytes = Score::render(math, chinese, name.as_bytes(), &mut buf).unwrap();
            let score = Score::parse(bytes).unwrap();
            prop_assert_eq!((score.math(), score.chinese()), (math, chinese));
            prop_assert_eq!(score.name(), name.as_bytes());
        }
    }
}
