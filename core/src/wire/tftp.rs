//! The packets of TFTP (RFC 1350) with their options (RFC 2347).

mod text;

pub use text::{Options, Writer};

use byteorder::{ByteOrder, NetworkEndian};
use zerocopy::byteorder::network_endian::U16;

use crate::bytes::{place_of, put, text_of, until_nul};
use crate::fault::Peer;

/// Where the bytes of the file begin in a DATA.
pub const DATA_AT: usize = size_of::<[U16; 2]>();

/// The size of a block where nothing else was agreed.
pub const BLOCK_DEFAULT: u16 = 512;

/// The smallest and the largest size of a block (RFC 2348).
pub const BLOCK_MIN: u16 = 8;
/// See [`BLOCK_MIN`].
pub const BLOCK_MAX: u16 = 65464;

/// The longest request (RFC 2347).
pub const REQUEST_MAX: usize = 512;

/// The first two bytes of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u16)]
pub enum Opcode {
    /// Read a file: RRQ.
    Read = 1,
    /// Write a file: WRQ.
    Write = 2,
    /// A block of a file.
    Data = 3,
    /// A block came.
    Ack = 4,
    /// The transfer is over.
    Error = 5,
    /// These options are agreed: OACK.
    OptionAck = 6,
}

impl Opcode {
    /// That of a datagram, if it begins with one.
    pub fn of(datagram: &[u8]) -> Option<Self> {
        Some(match number(datagram)?.0 {
            1 => Self::Read,
            2 => Self::Write,
            3 => Self::Data,
            4 => Self::Ack,
            5 => Self::Error,
            6 => Self::OptionAck,
            _ => return None,
        })
    }
}

/// Why a transfer is over, for the other end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u16)]
pub enum ErrorCode {
    /// See the text.
    Undefined = 0,
    /// There is no such file.
    NotFound = 1,
    /// The file is not for this peer.
    Access = 2,
    /// There is no room left.
    Full = 3,
    /// Not a packet of TFTP.
    Illegal = 4,
    /// The sender takes part in no transfer.
    UnknownTid = 5,
    /// There is such a file already.
    Exists = 6,
    /// The options are not as they should be (RFC 2347).
    Options = 8,
}

/// How the bytes of a file travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Mode {
    /// As they are.
    #[default]
    Octet,
    /// As text: a line ends with CR LF, and a CR that ends none is CR NUL.
    Netascii,
}

impl Mode {
    /// Its name on the wire.
    pub const fn name(self) -> &'static [u8] {
        match self {
            Self::Octet => b"octet",
            Self::Netascii => b"netascii",
        }
    }
}

/// A datagram, borrowed from where it was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Packet<'d> {
    /// A file is asked for, or offered.
    Request(Request<'d>),
    /// A block of the file.
    Data {
        /// Its number. The first one is 1; behind 65535 comes 0.
        block: u16,
        /// Its bytes. The last block of a file is shorter than the others.
        bytes: &'d [u8],
    },
    /// Every block up to this one came.
    Ack {
        /// Its number.
        block: u16,
    },
    /// The transfer is over.
    Error {
        /// One of [`ErrorCode`], or another number.
        code: u16,
        /// The reason in words of the peer, without the NUL.
        text: &'d [u8],
    },
    /// These options are agreed.
    OptionAck(Options<'d>),
}

/// A RRQ or WRQ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Request<'d> {
    /// The file comes from the peer: a WRQ.
    pub is_write: bool,
    /// The name of the file: a claim of the peer.
    pub name: &'d [u8],
    /// How it travels.
    pub mode: Mode,
    /// What is asked for beside.
    pub options: Options<'d>,
}

impl<'d> Packet<'d> {
    /// Reads a whole datagram.
    ///
    /// Names of modes and options may be in any case. Behind the mode of a request only whole options count:
    /// NULs that fill a request up, and an option that is cut, are as if they were not there.
    ///
    /// # Errors
    /// [`Peer::Truncated`] for a datagram that ends too early, [`Peer::Malformed`] for any other that is none.
    pub fn parse(datagram: &'d [u8]) -> Result<Self, Peer> {
        match Opcode::of(datagram) {
            Some(Opcode::Read | Opcode::Write) => Request::parse(datagram).map(Self::Request),
            _ => Self::parse_answer(datagram),
        }
    }

    /// Reads a whole datagram, as one that takes no requests: they are malformed.
    pub(crate) fn parse_answer(datagram: &'d [u8]) -> Result<Self, Peer> {
        let (opcode, rest) = number(datagram).ok_or(Peer::Truncated)?;
        if opcode == Opcode::OptionAck as u16 {
            return Ok(Self::OptionAck(Options(rest)));
        }
        if !(Opcode::Data as u16..=Opcode::Error as u16).contains(&opcode) {
            return Err(Peer::Malformed);
        }
        let (number, rest) = number(rest).ok_or(Peer::Truncated)?;
        Ok(if opcode == Opcode::Data as u16 {
            Self::Data { block: number, bytes: rest }
        } else if opcode == Opcode::Ack as u16 {
            Self::Ack { block: number }
        } else {
            Self::Error { code: number, text: text_of(rest) }
        })
    }
}

impl<'d> Request<'d> {
    /// Reads a whole datagram, which begins with its opcode.
    pub(crate) fn parse(datagram: &'d [u8]) -> Result<Self, Peer> {
        let (opcode, rest) = number(datagram).ok_or(Peer::Truncated)?;
        let (name, rest) = until_nul(rest).ok_or(Peer::Truncated)?;
        let (mode, rest) = until_nul(rest).ok_or(Peer::Truncated)?;
        let mode = match place_of(mode, b"octet\nnetascii\n") {
            Some(0) => Mode::Octet,
            Some(_) => Mode::Netascii,
            None => return Err(Peer::Malformed),
        };
        let is_write = opcode == Opcode::Write as u16;
        Ok(Self { is_write, name, mode, options: Options(rest) })
    }
}

/// A `u16` at the front of bytes of any length, and what is behind it.
fn number(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<2>()?;
    Some((NetworkEndian::read_u16(number), rest))
}

/// A packet of two numbers: an ACK, or what stands before the bytes of a DATA.
///
/// ```
/// use windlass_core::wire::tftp::{Opcode, numbered};
/// assert_eq!(numbered(Opcode::Ack, 258), [0, 4, 1, 2]);
/// ```
pub fn numbered(opcode: Opcode, number: u16) -> [u8; 4] {
    ((u32::from(opcode as u16) << 16) | u32::from(number)).to_be_bytes()
}

/// Writes an ERROR, and says how many bytes that took. The text is cut where it does not fit.
///
/// ```
/// use windlass_core::wire::tftp::{ErrorCode, error};
/// let mut buf = [0; 64];
/// let len = error(ErrorCode::UnknownTid, "no such transfer", &mut buf);
/// assert_eq!(buf[..len], *b"\0\x05\0\x05no such transfer\0");
/// ```
pub fn error(code: ErrorCode, text: &str, to: &mut [u8]) -> usize {
    let at = put(to, 0, &numbered(Opcode::Error, code as u16));
    let at = put(to, at, text.as_bytes());
    let len = put(to, at, b"\0");
    if len == at
        && let Some(last) = to.last_mut()
    {
        *last = 0;
    }
    len
}

const _: () = assert!(DATA_AT == 4 && align_of::<[U16; 2]>() == 1);

#[cfg(test)]
mod tests;
