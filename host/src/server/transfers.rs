//! What `tftp` and `xfer` do for their clients.

use std::sync::Arc;

use windlass_core::transfer::tftp::{Config, TftpServer};
use windlass_core::transfer::xfer::XferServer;
use windlass_core::transfer::{Timing, Transfer};
use windlass_core::wire::tftp::{BLOCK_MAX, Opcode};
use windlass_core::wire::xfer::Packet;

use crate::digest::OFFERED;
use crate::drive::Peers;
use crate::sys::root::Root;

/// A folder of files, sent and received over datagrams.
#[derive(Debug, Clone)]
pub struct Transfers {
    /// The folder. Without one every request is refused.
    pub root: Option<Arc<Root>>,
    /// Its terms.
    pub terms: Terms,
    /// Transfers at a single port at once.
    pub max: usize,
    /// A transfer on which nothing moves for this time is given up, in microseconds.
    pub give_up_us: Option<u64>,
    /// The peers that are served, by any process.
    pub(super) peers: Arc<Peers>,
}

/// What clients may do, and how large their datagrams may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Clients may send files (`tftp`).
    pub allow_write: bool,
    /// A file that is there may be replaced by one that a client sends.
    pub overwrite: bool,
    /// Bytes of a block of `tftp` at most.
    pub max_blksize: u16,
    /// The ports of transfers, the first and the last; without them the kernel chooses.
    pub ports: Option<(u16, u16)>,
    /// All transfers are served at the port of the listener.
    pub single_port: bool,
}

impl Terms {
    /// Reading alone, blocks of any size.
    pub const DEFAULT: Self = Self {
        allow_write: false,
        overwrite: false,
        max_blksize: BLOCK_MAX,
        ports: None,
        single_port: false,
    };
}

impl Default for Terms {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Transfers at a single port, where nothing else limits them.
const SINGLE_PORT_MAX: usize = 4096;

impl Transfers {
    /// The files of this folder, or none.
    pub fn new(root: Option<Root>, terms: Terms) -> Self {
        let (root, peers) = (root.map(Arc::new), Arc::new(Peers::new()));
        Self { root, terms, max: SINGLE_PORT_MAX, give_up_us: None, peers }
    }

    fn timing(&self) -> Timing {
        let give_up_us = self.give_up_us.map(|us| u32::try_from(us).unwrap_or(u32::MAX));
        Timing { give_up_us: give_up_us.unwrap_or(Timing::SERVER.give_up_us), ..Timing::SERVER }
    }

    /// A server of one `tftp` request, at a socket with so many bytes of room.
    pub(super) fn tftp(&self, room: usize) -> Box<dyn Transfer + Send> {
        // What a client sends has to fit into this socket, and what it is sent into one as Linux makes them.
        let window_bytes = u32::try_from(room / 2).unwrap_or(u32::MAX);
        let config = Config {
            timing: self.timing(),
            block_max: self.terms.max_blksize,
            writes: self.terms.allow_write,
            window_bytes: Config::DEFAULT.window_bytes.min(window_bytes),
            digests: OFFERED,
            ..Config::DEFAULT
        };
        Box::new(TftpServer::<{ windlass_core::transfer::tftp::NAME_MAX }>::new(config))
    }

    /// A server of one `xfer` request.
    pub(super) fn xfer(&self) -> Box<dyn Transfer + Send> {
        Box::new(XferServer::<{ windlass_core::wire::xfer::PATH_MAX }>::new(self.timing()))
    }
}

/// Whether a datagram is a request of TFTP, well formed or not.
pub(super) fn is_tftp_request(datagram: &[u8]) -> bool {
    matches!(Opcode::of(datagram), Some(Opcode::Read | Opcode::Write))
}

/// Whether a datagram is a request of `xfer`.
pub(super) fn is_xfer_request(datagram: &[u8]) -> bool {
    matches!(Packet::parse(datagram), Ok(Packet::Path(_)))
}
