//! A client's request: what it asks for, and what it takes for an answer.

use super::super::parts::{WINDOWS, has};
use super::names::Number;
use super::options::Options;
use crate::bytes::find;
use crate::fault::{Fault, Limit};
use crate::wire::tftp::{Mode, Opcode, REQUEST_MAX, Writer};

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

    /// The options of a request, for a file of so many bytes.
    fn options<const PARTS: u8>(&self, size: u64) -> Options<PARTS> {
        let mut options = Options::none();
        let asks_size = self.size && self.mode == Mode::Octet;
        options.set(Number::Size, asks_size.then_some(size));
        options.set(Number::Block, self.block.map(u64::from));
        let window = self.window.filter(|_| has(PARTS, WINDOWS));
        options.set(Number::Window, window.map(u64::from));
        options.set(Number::TimeoutUs, self.timeout_us.map(u64::from));
        options
    }
}

/// The longest name: the options of a request take less than 160 bytes.
const NAME_MAX: usize = REQUEST_MAX - 180;

/// A request.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Request<N, const PARTS: u8> {
    pub(super) name: N,
    pub(super) mode: Mode,
    /// What is asked for and, once there was an answer, what is agreed.
    pub(super) options: Options<PARTS>,
}

impl<N: AsRef<[u8]>, const PARTS: u8> Request<N, PARTS> {
    /// For the file of this name, of so many bytes.
    pub(super) fn new(name: N, size: u64, offer: &Offer) -> Self {
        Self { name, mode: offer.mode, options: offer.options(size) }
    }

    /// Whether its name fits into a request.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let name = self.name.as_ref();
        let have = find(0, name).unwrap_or(name.len()).min(NAME_MAX);
        let is_usable = have > 0 && have == name.len();
        if is_usable { Ok(()) } else { Err(Limit { need: name.len(), have }.into()) }
    }

    /// Writes it, to read or to write the file. A writer tells its digest, and a reader asks for it.
    pub(super) fn render(&self, opcode: Opcode, head: &mut [u8]) -> Option<usize> {
        let mut writer = Writer::new(opcode as u16, head);
        writer.word(self.name.as_ref());
        writer.word(self.mode.name());
        self.options.write(&mut writer, opcode == Opcode::Write);
        writer.finish()
    }
}
