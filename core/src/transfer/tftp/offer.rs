//! A client's request: what it asks for, and what it takes for an answer.

use super::asked::name_of;
use crate::decimal;
use crate::fault::{Fault, Limit, Peer};
use crate::file::{Digest, DigestKind};
use crate::wire::tftp::{BLOCK_DEFAULT, Mode, Opcode, Options, REQUEST_MAX, Writer};

/// What a client asks a server for. Every option may be left out of the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Offer {
    /// How the bytes travel.
    pub mode: Mode,
    /// `blksize`: bytes of a block, 8 to 65464.
    pub block: Option<u16>,
    /// `windowsize`: blocks that may be on their way at once. A window and its headers are to fit into half of
    /// the receive buffer of the socket.
    pub window: Option<u16>,
    /// `tsize`: the size of the file. Not asked for in netascii, where servers mean different things by it.
    pub size: bool,
    /// `utimeout`: when the server is to send again at first, in microseconds. tftp-hpa waits a second without it.
    pub timeout_us: Option<u32>,
}

impl Offer {
    /// Nothing beside RFC 1350.
    pub const NONE: Self =
        Self { mode: Mode::Octet, block: None, window: None, size: false, timeout_us: None };

    /// Blocks that fit into an Ethernet frame beside the headers of IPv4, in windows of 32, and a server that
    /// sends again after 20 ms.
    pub const DEFAULT: Self = Self {
        block: Some(1428),
        window: Some(32),
        size: true,
        timeout_us: Some(20_000),
        ..Self::NONE
    };

    /// Whether a request for a file of this name fits into a datagram.
    pub(super) fn fits(name: &[u8]) -> Result<(), Fault> {
        let usable = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        if usable == name.len() && !name.is_empty() && name.len() <= NAME_MAX {
            Ok(())
        } else {
            Err(Limit { need: name.len(), have: usable.min(NAME_MAX) }.into())
        }
    }

    /// Writes the request.
    pub(super) fn render(&self, asks: &Asks<impl AsRef<[u8]>>, head: &mut [u8]) -> Option<usize> {
        let opcode = if asks.is_write { Opcode::Write } else { Opcode::Read };
        let mut writer = Writer::new(opcode as u16, head);
        writer.word(asks.name.as_ref());
        writer.word(self.mode.name());
        for (name, number) in [
            (&b"tsize"[..], self.asks_size().then_some(asks.size)),
            (b"blksize", self.block.map(u64::from)),
            (b"windowsize", self.window.map(u64::from)),
            (b"utimeout", self.timeout_us.map(u64::from)),
            (b"seek", asks.asks_seek()),
        ] {
            writer.number(name, number);
        }
        match asks.digest {
            Some((kind, None)) => {
                writer.word(name_of(kind));
                writer.word(b"0");
            }
            Some((kind, Some(digest))) => {
                writer.word(name_of(kind));
                digest.hex(|digits| writer.put(digits));
                writer.word(b"");
            }
            None => {}
        }
        writer.finish()
    }

    fn asks_size(&self) -> bool {
        self.size && self.mode == Mode::Octet
    }

    /// Reads an OACK.
    ///
    /// # Errors
    /// [`Peer::Options`] for an option that was not asked for, or one that the server may not change so.
    pub(super) fn accept<N>(&self, asks: &Asks<N>, options: Options<'_>) -> Result<Accepted, Peer> {
        let mut accepted = Accepted::PLAIN;
        for (name, value) in options.pairs() {
            let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
            // A number from `least` to what was asked for.
            let up_to = |least: u16, asked: Option<u16>| {
                let number = decimal::parse(value).and_then(|n| u16::try_from(n).ok());
                let most = asked.ok_or(Peer::Options)?;
                number.filter(|n| (least..=most).contains(n)).ok_or(Peer::Options)
            };
            let same = |asked: Option<u64>| match decimal::parse(value) {
                number @ Some(_) if number == asked => Ok(number),
                _ => Err(Peer::Options),
            };
            if is(b"blksize") {
                accepted.block = up_to(8, self.block)?;
            } else if is(b"windowsize") {
                accepted.window = up_to(1, self.window)?;
            } else if is(b"tsize") && self.asks_size() {
                accepted.size = Some(decimal::parse(value).ok_or(Peer::Options)?);
            } else if is(b"utimeout") {
                same(self.timeout_us.map(u64::from))?;
            } else if is(b"seek") {
                accepted.seek = same(asks.asks_seek())?.unwrap_or(0);
            } else {
                let (kind, told) = asks.digest.ok_or(Peer::Options)?;
                let digest = Digest::from_hex(value).filter(|digest| digest.kind() == kind);
                if !is(name_of(kind)) || digest.is_none() || (told.is_some() && told != digest) {
                    return Err(Peer::Options);
                }
                accepted.digest = digest;
            }
        }
        Ok(accepted)
    }
}

/// The longest name: the options of a request take less than 160 bytes.
const NAME_MAX: usize = REQUEST_MAX - 180;

/// What one request asks for.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Asks<N> {
    pub(super) is_write: bool,
    pub(super) name: N,
    /// Of a file that is offered; else 0.
    pub(super) size: u64,
    /// The first byte that is wanted.
    pub(super) seek: u64,
    pub(super) digest: Option<(DigestKind, Option<Digest>)>,
}

impl<N> Asks<N> {
    fn asks_seek(&self) -> Option<u64> {
        (self.seek > 0).then_some(self.seek)
    }
}

/// What a server agreed to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Accepted {
    pub(super) block: u16,
    pub(super) window: u16,
    pub(super) size: Option<u64>,
    pub(super) seek: u64,
    pub(super) digest: Option<Digest>,
}

impl Accepted {
    /// What a server without options agrees to.
    pub(super) const PLAIN: Self =
        Self { block: BLOCK_DEFAULT, window: 1, size: None, seek: 0, digest: None };
}
