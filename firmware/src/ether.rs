//! The network port of the MPS2 board as a device of smoltcp, with a network behind it that loses,
//! doubles and delays frames by a seed.

pub mod awake;
pub mod files;
mod lan9118;
pub mod net;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use windlass_core::sim::{Link, Path};

/// The longest frame, without its checksum.
pub const FRAME_MAX: usize = 1514;

/// Frames on their way in one direction: a burst of a TCP window. At most so many are taken at once.
const SLOTS: usize = 16;

/// One direction of the bad network.
type Way = Link<SLOTS, FRAME_MAX>;

/// The device.
#[derive(Debug)]
pub struct Ether {
    inward: Way,
    outward: Way,
    /// The frame that came last.
    came: [u8; FRAME_MAX],
    /// A frame that is moved to or from the device.
    moved: [u8; FRAME_MAX],
}

/// A received frame.
#[derive(Debug)]
pub struct Came<'d>(&'d [u8]);

/// The network, for a frame to send at this time.
#[derive(Debug)]
pub struct Goes<'d>(&'d mut Way, Instant);

impl Ether {
    /// With a perfect network.
    pub const fn new() -> Self {
        Self {
            inward: Link::new(Path::PERFECT, 1),
            outward: Link::new(Path::PERFECT, 2),
            came: [0; FRAME_MAX],
            moved: [0; FRAME_MAX],
        }
    }

    /// Starts the device with this address. Returns whether there is one.
    pub fn start(address: [u8; 6]) -> bool {
        lan9118::start(address)
    }

    /// From now on the network is like that, to the board and from it.
    pub fn becomes(&mut self, inward: Path, outward: Path) {
        self.inward.becomes(inward);
        self.outward.becomes(outward);
    }

    /// From now on the board is alone with itself: it receives what it sends.
    pub fn loops(&self, on: bool) {
        lan9118::loops(on);
    }

    /// Frames that did not arrive, in both directions.
    pub fn lost(&self) -> u32 {
        self.inward.lost().wrapping_add(self.outward.lost())
    }

    /// Moves frames between the device and the network.
    fn turn(&mut self, now: Instant) {
        for _ in 0..SLOTS {
            if let Some(len) = lan9118::recv(&mut self.moved) {
                self.inward.send(now.into(), self.moved.get(..len).unwrap_or_default());
            }
        }
        while lan9118::has_room()
            && let Some(len) = self.outward.recv(now.into(), &mut self.moved)
        {
            lan9118::send(self.moved.get(..len).unwrap_or_default());
        }
    }
}

impl Default for Ether {
    fn default() -> Self {
        Self::new()
    }
}

impl RxToken for Came<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl TxToken for Goes<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = [0; FRAME_MAX];
        // The capabilities state the longest frame, so it fits.
        let frame = frame.get_mut(..len).unwrap_or_default();
        let done = f(frame);
        self.0.send(self.1.into(), frame);
        done
    }
}

impl Device for Ether {
    type RxToken<'d> = Came<'d>;
    type TxToken<'d> = Goes<'d>;

    fn receive(&mut self, now: Instant) -> Option<(Came<'_>, Goes<'_>)> {
        self.turn(now);
        let len = self.inward.recv(now.into(), &mut self.came)?;
        let came = Came(self.came.get(..len).unwrap_or_default());
        Some((came, Goes(&mut self.outward, now)))
    }

    fn transmit(&mut self, now: Instant) -> Option<Goes<'_>> {
        self.turn(now);
        Some(Goes(&mut self.outward, now))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME_MAX;
        capabilities
    }
}
