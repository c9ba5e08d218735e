//! A network with one machine, which receives what it sends. A driver of a real one has the same shape.

use smoltcp::iface::{Interface, PollIngressSingleResult, PollResult, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

const MTU: usize = 576;

/// Received packets that are handled before the program goes on.
const PACKETS: u8 = 8;

/// Moves packets.
pub fn poll(
    interface: &mut Interface,
    device: &mut impl Device,
    sockets: &mut SocketSet<'_>,
    now: Instant,
) {
    interface.poll_maintenance(now);
    // `Interface::poll` goes on as long as packets arrive: a flood of them would stop every timer.
    for _ in 0..PACKETS {
        let polled = interface.poll_ingress_single(now, device, sockets);
        if polled == PollIngressSingleResult::None {
            break;
        }
    }
    while interface.poll_egress(now, device, sockets) != PollResult::None {}
}

/// One packet between sending and receiving.
#[derive(Debug)]
pub struct Loopback {
    packet: [u8; MTU],
    len: usize,
    last: [u8; MTU],
}

impl Loopback {
    /// With nothing on its way.
    pub const fn new() -> Self {
        Self { packet: [0; MTU], len: 0, last: [0; MTU] }
    }
}

impl Default for Loopback {
    fn default() -> Self {
        Self::new()
    }
}

/// A received packet.
#[derive(Debug)]
pub struct Came<'d>(&'d [u8]);

/// Room for a packet to send.
#[derive(Debug)]
pub struct Goes<'d> {
    packet: &'d mut [u8; MTU],
    len: &'d mut usize,
}

impl RxToken for Came<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl TxToken for Goes<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        *self.len = len.min(MTU);
        f(self.packet.get_mut(..len).unwrap_or_default())
    }
}

impl Device for Loopback {
    type RxToken<'d> = Came<'d>;
    type TxToken<'d> = Goes<'d>;

    fn receive(&mut self, _: Instant) -> Option<(Came<'_>, Goes<'_>)> {
        let len = core::mem::take(&mut self.len);
        if len == 0 {
            return None;
        }
        self.last = self.packet;
        let came = Came(self.last.get(..len).unwrap_or_default());
        Some((came, Goes { packet: &mut self.packet, len: &mut self.len }))
    }

    fn transmit(&mut self, _: Instant) -> Option<Goes<'_>> {
        (self.len == 0).then_some(Goes { packet: &mut self.packet, len: &mut self.len })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        capabilities
    }
}
