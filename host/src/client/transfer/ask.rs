//! What is asked, and where: the addresses of a server, one after another, and the options of a request.

use std::net::SocketAddr;
use std::os::fd::AsFd;

use tracing::debug;
use windlass_core::time::Instant;
use windlass_core::transfer::Timing;
use windlass_core::transfer::tftp::Offer;
use windlass_core::wire::tftp::Mode;

use crate::addr::HostPort;
use crate::error::{Error, Result};
use crate::sys::clock;
use crate::sys::connect::resolve_within;
use crate::sys::datagram::make_receive_room;

/// What a TFTP client asks of a server beside the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asks {
    /// Bytes of a block, 8 to 65464. Default: 1428, which fits into an Ethernet frame.
    pub block: Option<u16>,
    /// Blocks of a window. Default: 32.
    pub window: Option<u16>,
    /// Nothing but RFC 1350: no option of either kind.
    pub plain: bool,
}

impl Asks {
    /// The options of a request from this socket. A window has to fit into half of its receive buffer: with a larger one
    /// each window would lose its end, and the rate would be that of the retransmission timer.
    pub(in crate::client) fn offer(&self, socket: &impl AsFd, is_text: bool) -> Offer {
        let mode = if is_text { Mode::Netascii } else { Mode::Octet };
        if self.plain {
            return Offer { mode, ..Offer::NONE };
        }
        let block = self.block.or(Offer::DEFAULT.block).unwrap_or(BLOCK);
        let window = self.window.or(Offer::DEFAULT.window).unwrap_or(1);
        let cost = usize::from(block) + OVERHEAD;
        let room = make_receive_room(socket, 2 * cost * usize::from(window)) / 2;
        let fits = u16::try_from((room / cost).max(1)).unwrap_or(u16::MAX);
        if fits < window {
            debug!(window, fits, "the receive buffer holds a smaller window");
        }
        Offer { mode, block: Some(block), window: Some(window.min(fits)), ..Offer::DEFAULT }
    }
}

/// Of a server without options.
const BLOCK: u16 = 512;

/// What the kernel counts for a datagram beside its block.
const OVERHEAD: usize = 512;

/// The timing of a client that gives up when nothing moves for so many microseconds.
pub(in crate::client) fn timing(give_up_us: u64) -> Timing {
    Timing { give_up_us: u32::try_from(give_up_us).unwrap_or(u32::MAX), ..Timing::CLIENT }
}

/// How an attempt with one address ended.
pub(in crate::client) enum Attempt<T> {
    /// The server there answered: this is the result.
    Answered(Result<T>),
    /// There is no server there, or it is silent.
    Unanswered(Error),
}

/// Tries the addresses of a server one after another until one answers. Each gets its share of the time until
/// `until`.
///
/// # Errors
/// The name is unknown; that of the last address.
pub(in crate::client) fn each_address<T>(
    server: &HostPort,
    until: Instant,
    mut attempt: impl FnMut(SocketAddr, Instant) -> Attempt<T>,
) -> Result<T> {
    let addresses = resolve_within(server, until)?;
    let mut left = addresses.len() as u64;
    let mut why = Error::new("resolve", &server.host, "it has no address");
    for address in addresses {
        let now = clock::now();
        let share_us = until.since(now) / left;
        left -= 1;
        match attempt(address, now.after(share_us)) {
            Attempt::Answered(result) => return result,
            Attempt::Unanswered(error) => {
                debug!(%address, %error, "no answer");
                why = error;
            }
        }
    }
    Err(why)
}
