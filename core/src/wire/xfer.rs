//! The packets of `xfer`: stop-and-wait in five kinds, each a `u32` and what belongs to it.

use zerocopy::byteorder::network_endian::U32;
use zerocopy::{FromBytes, IntoBytes};

use crate::bytes::{append, find, text_of, until_nul};
use crate::fault::Peer;

/// The bytes of a path with its NUL at most.
pub const PATH_MAX: usize = 1024;

/// The bytes of the file in one DATA at most.
pub const BLOCK_MAX: usize = 1024;

/// Where the bytes of the file begin in a DATA.
pub const DATA_AT: usize = size_of::<[U32; 3]>();

/// The longest datagram.
pub const DATAGRAM_MAX: usize = DATA_AT + BLOCK_MAX;

pub(crate) const PATH: u32 = 1;
pub(crate) const DATA: u32 = 2;
pub(crate) const EOT: u32 = 3;
pub(crate) const ACK: u32 = 4;
pub(crate) const ERROR: u32 = 5;

/// A datagram, borrowed from where it was received.
///
/// ```
/// use windlass_core::wire::xfer::Packet;
/// let mut buf = [0; 64];
/// let len = Packet::Data { seq: 1, bytes: b"hi" }.render(&mut buf).unwrap();
/// assert_eq!(buf[..len], *b"\0\0\0\x02\0\0\0\x01\0\0\0\x02hi");
/// assert_eq!(Packet::parse(&buf[..len]), Ok(Packet::Data { seq: 1, bytes: b"hi" }));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Packet<'d> {
    /// The request: the path of the file, without its NUL.
    Path(&'d [u8]),
    /// A block of the file.
    Data {
        /// Its number. The first one is 1.
        seq: u32,
        /// 1 to [`BLOCK_MAX`] bytes.
        bytes: &'d [u8],
    },
    /// The file ended. Its number follows that of the last DATA.
    Eot {
        /// Its number.
        seq: u32,
    },
    /// DATA or EOT of this number came, and was kept.
    Ack {
        /// The number.
        seq: u32,
    },
    /// The transfer is over.
    Error {
        /// The reason, with the numbers of TFTP ([`ErrorCode`](super::tftp::ErrorCode)).
        code: u32,
        /// The reason in words of the peer, without the NUL.
        text: &'d [u8],
    },
}

impl<'d> Packet<'d> {
    /// Reads a whole datagram.
    ///
    /// # Errors
    /// [`Peer::Truncated`] for one that ends too early, [`Peer::TooLong`] for a path or a block that is too
    /// long, [`Peer::Malformed`] for another kind and for bytes that do not belong there.
    pub fn parse(datagram: &'d [u8]) -> Result<Self, Peer> {
        Self::parse_of::<true, true>(datagram)
    }

    /// Reads a whole datagram, as one that takes no requests: they are malformed.
    pub(crate) fn parse_answer(datagram: &'d [u8]) -> Result<Self, Peer> {
        Self::parse_of::<false, true>(datagram)
    }

    /// Reads a whole datagram, as one that takes no file: what only a server sends is malformed.
    pub(crate) fn parse_call(datagram: &'d [u8]) -> Result<Self, Peer> {
        Self::parse_of::<true, false>(datagram)
    }

    fn parse_of<const CALLS: bool, const BLOCKS: bool>(datagram: &'d [u8]) -> Result<Self, Peer> {
        let (kind, rest) = number(datagram)?;
        match kind {
            PATH if CALLS => {
                let (path, behind) = until_nul(rest).ok_or(Peer::Truncated)?;
                if path.len() >= PATH_MAX {
                    return Err(too_long(path.len(), PATH_MAX - 1));
                }
                return if behind.is_empty() { Ok(Self::Path(path)) } else { Err(Peer::Malformed) };
            }
            DATA | EOT if BLOCKS => {}
            ACK | ERROR => {}
            _ => return Err(Peer::Malformed),
        }
        let (number_of, rest) = number(rest)?;
        match kind {
            ERROR => Ok(Self::Error { code: number_of, text: text_of(rest) }),
            DATA if BLOCKS => {
                let (len, bytes) = number(rest)?;
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                if len > BLOCK_MAX {
                    Err(too_long(len, BLOCK_MAX))
                } else if bytes.len() < len {
                    Err(Peer::Truncated)
                } else if bytes.len() > len || len == 0 {
                    Err(Peer::Malformed)
                } else {
                    Ok(Self::Data { seq: number_of, bytes })
                }
            }
            _ if !rest.is_empty() => Err(Peer::Malformed),
            EOT if BLOCKS => Ok(Self::Eot { seq: number_of }),
            _ => Ok(Self::Ack { seq: number_of }),
        }
    }

    /// Writes it, and says how many bytes that took: `None` where it does not fit, or is none that
    /// [`parse`](Self::parse) takes.
    pub fn render(&self, to: &mut [u8]) -> Option<usize> {
        match *self {
            Self::Path(path) => {
                let is_usable = path.len() < PATH_MAX && find(0, path).is_none();
                put_text(to, &[U32::new(PATH)], path).filter(|_| is_usable)
            }
            Self::Data { seq, bytes } => {
                let head =
                    put_numbers(to, &[DATA, seq, u32::try_from(bytes.len()).ok()?].map(U32::new))?;
                append(to, head, bytes).filter(|_| (1..=BLOCK_MAX).contains(&bytes.len()))
            }
            Self::Eot { seq } => put_numbers(to, &[U32::new(EOT), U32::new(seq)]),
            Self::Ack { seq } => put_numbers(to, &[U32::new(ACK), U32::new(seq)]),
            Self::Error { text, .. } if find(0, text).is_some() => None,
            Self::Error { code, text } => put_text(to, &[U32::new(ERROR), U32::new(code)], text),
        }
    }
}

/// Writes numbers, if they fit.
pub(crate) fn put_numbers(to: &mut [u8], numbers: &[U32]) -> Option<usize> {
    append(to, 0, numbers.as_bytes())
}

/// Writes numbers, and a text with its NUL behind them, if they fit.
#[inline(never)]
pub(crate) fn put_text(to: &mut [u8], numbers: &[U32], text: &[u8]) -> Option<usize> {
    let at = put_numbers(to, numbers)?;
    let at = append(to, at, text)?;
    append(to, at, b"\0")
}

/// A number at the front, and what is behind it.
fn number(bytes: &[u8]) -> Result<(u32, &[u8]), Peer> {
    let (number, behind) = U32::ref_from_prefix(bytes).map_err(|_| Peer::Truncated)?;
    Ok((number.get(), behind))
}

fn too_long(claimed: usize, max: usize) -> Peer {
    let [claimed, max] = [claimed, max].map(|len| u32::try_from(len).unwrap_or(u32::MAX));
    Peer::TooLong { claimed, max }
}

const _: () = assert!(DATA_AT == 12 && align_of::<[U32; 3]>() == 1);

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    /// A datagram of `head` and so many bytes `x`.
    fn long(head: &[u8], len: usize) -> Vec<u8> {
        [head, &vec![b'x'; len]].concat()
    }

    #[test]
    fn table() {
        let longest = long(b"\0\0\0\x01", 1023);
        let block = long(b"\0\0\0\x02\0\0\0\x07\0\0\x04\0", 1024);
        for (bytes, is) in [
            (&b""[..], Err(Peer::Truncated)),
            (b"\0\0\0", Err(Peer::Truncated)),
            (b"\0\0\0\0", Err(Peer::Malformed)),
            (b"\0\0\0\x06\0\0\0\0", Err(Peer::Malformed)),
            (b"\x01\0\0\0a\0", Err(Peer::Malformed)),
            (b"\0\0\0\x01a", Err(Peer::Truncated)),
            (b"\0\0\0\x01", Err(Peer::Truncated)),
            (b"\0\0\0\x01\0", Ok(Packet::Path(b""))),
            (b"\0\0\0\x01a\0", Ok(Packet::Path(b"a"))),
            (b"\0\0\0\x01a\0b", Err(Peer::Malformed)),
            (&[&longest[..], b"\0"].concat(), Ok(Packet::Path(&longest[4..]))),
            (&[&longest[..], b"x\0"].concat(), Err(Peer::TooLong { claimed: 1024, max: 1023 })),
            (b"\0\0\0\x02\0\0\0\x01\0\0\0", Err(Peer::Truncated)),
            (b"\0\0\0\x02\0\0\0\x01\0\0\0\0", Err(Peer::Malformed)),
            (b"\0\0\0\x02\0\0\0\x01\0\0\0\x02a", Err(Peer::Truncated)),
            (b"\0\0\0\x02\0\0\0\x01\0\0\0\x01ab", Err(Peer::Malformed)),
            (
                b"\0\0\0\x02\xff\0\0\x01\0\0\0\x01a",
                Ok(Packet::Data { seq: 0xff00_0001, bytes: b"a" }),
            ),
            (&block, Ok(Packet::Data { seq: 7, bytes: &block[12..] })),
            (
                b"\0\0\0\x02\0\0\0\x01\xff\xff\xff\xffa",
                Err(Peer::TooLong { claimed: u32::MAX, max: 1024 }),
            ),
            (b"\0\0\0\x03\0\0\0\x02", Ok(Packet::Eot { seq: 2 })),
            (b"\0\0\0\x03\0\0\0", Err(Peer::Truncated)),
            (b"\0\0\0\x04\0\0\0\x02", Ok(Packet::Ack { seq: 2 })),
            (b"\0\0\0\x04\0\0\0\x02\0", Err(Peer::Malformed)),
            (b"\0\0\0\x05\0\0\0\x01no\0", Ok(Packet::Error { code: 1, text: b"no" })),
            (b"\0\0\0\x05\0\0\0\x01no", Ok(Packet::Error { code: 1, text: b"no" })),
            (b"\0\0\0\x05\0\0\0", Err(Peer::Truncated)),
        ] {
            assert_eq!(Packet::parse(bytes), is, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_no_receiver_takes_is_not_written() {
        let mut to = [0; 2000];
        for packet in [
            Packet::Path(b"a\0b"),
            Packet::Path(&[b'x'; 1024]),
            Packet::Data { seq: 1, bytes: b"" },
            Packet::Data { seq: 1, bytes: &[0; 1025] },
            Packet::Error { code: 0, text: b"a\0b" },
        ] {
            assert_eq!(packet.render(&mut to), None, "{packet:?}");
        }
        assert_eq!(Packet::Path(b"name").render(&mut to[..8]), None);
        assert_eq!(Packet::Path(b"name").render(&mut to[..9]), Some(9));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_packet_that_renders_to_them_or_an_error(
            kind in 0_u8..8, mut bytes: Vec<u8>,
        ) {
            bytes.splice(..0, [0, 0, 0, kind]);
            if let Ok(packet) = Packet::parse(&bytes) {
                let mut to = [0; 2000];
                let again = packet.render(&mut to).map(|len| &to[..len]);
                // An ERROR may lack its NUL, or have bytes behind it.
                let is_error = matches!(packet, Packet::Error { .. });
                prop_assert!(again == Some(&bytes[..]) || is_error);
            }
        }
    }
}
