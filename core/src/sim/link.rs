//! One direction of a network.

use heapless::Vec;

use super::random::Random;
use crate::bytes::{fill, first};
use crate::time::{Instant, Wake};

/// What a network does to datagrams. Chances are of a thousand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Path {
    /// Microseconds from one end to the other.
    pub delay_us: u32,
    /// Bytes that leave in a second; 0 for any number.
    pub bytes_per_second: u32,
    /// The datagram does not arrive.
    pub loss: u16,
    /// It arrives twice.
    pub duplicate: u16,
    /// It is late, so that others overtake it.
    pub reorder: u16,
    /// By so many microseconds.
    pub reorder_us: u32,
    /// One bit of it is another one. UDP has a checksum; a serial line has none.
    pub corrupt: u16,
}

impl Path {
    /// Everything arrives at once, and as it was sent.
    pub const PERFECT: Self = Self {
        delay_us: 0,
        bytes_per_second: 0,
        loss: 0,
        duplicate: 0,
        reorder: 0,
        reorder_us: 0,
        corrupt: 0,
    };
}

/// Datagrams on their way: `SLOTS` at most, of `MTU` bytes at most. What is more is lost, as in the queue of a
/// router.
#[derive(Clone, Debug)]
pub struct Link<const SLOTS: usize, const MTU: usize> {
    path: Path,
    random: Random,
    on_its_way: Vec<Slot<MTU>, SLOTS>,
    busy_until: Instant,
    /// The datagrams behind so many are lost.
    cut_after: Option<u32>,
    sent: u32,
    lost: u32,
}

#[cfg(feature = "defmt")]
impl<const SLOTS: usize, const MTU: usize> defmt::Format for Link<SLOTS, MTU> {
    fn format(&self, f: defmt::Formatter<'_>) {
        let (n, sent) = (self.on_its_way.len(), self.sent);
        defmt::write!(
            f,
            "Link {{ path: {}, on_its_way: {=usize}, sent: {=u32} }}",
            self.path,
            n,
            sent
        );
    }
}

#[derive(Clone, Debug)]
struct Slot<const MTU: usize> {
    at: Instant,
    /// Of two that arrive at once, the one that was sent first.
    serial: u32,
    len: usize,
    bytes: [u8; MTU],
}

impl<const SLOTS: usize, const MTU: usize> Link<SLOTS, MTU> {
    /// An empty one.
    pub const fn new(path: Path, seed: u64) -> Self {
        Self {
            path,
            random: Random::new(seed),
            on_its_way: Vec::new(),
            busy_until: Instant::ZERO,
            cut_after: None,
            sent: 0,
            lost: 0,
        }
    }

    /// Datagrams that were sent.
    pub const fn sent(&self) -> u32 {
        self.sent
    }

    /// Datagrams that did not arrive.
    pub const fn lost(&self) -> u32 {
        self.lost
    }

    /// From now on it is another path; what is on its way arrives.
    pub const fn becomes(&mut self, path: Path) {
        self.path = path;
    }

    /// After so many datagrams it is cut: those that follow are lost.
    pub const fn cut_after(&mut self, datagrams: u32) {
        self.cut_after = Some(datagrams);
    }

    /// A datagram leaves. One that is longer than `MTU` is lost.
    pub fn send(&mut self, now: Instant, datagram: &[u8]) {
        self.sent = self.sent.wrapping_add(1);
        let us = (datagram.len() as u64 * 1_000_000).checked_div(self.path.bytes_per_second.into());
        self.busy_until = self.busy_until.max(now).after(us.unwrap_or(0));
        let copies = if self.random.chance(self.path.duplicate) { 2 } else { 1 };
        let is_cut = self.cut_after.is_some_and(|datagrams| self.sent > datagrams);
        let is_lost = self.random.chance(self.path.loss) || is_cut || datagram.len() > MTU;
        for _ in 0..copies {
            let is_late = self.random.chance(self.path.reorder);
            let late_us = if is_late { self.path.reorder_us } else { 0 };
            let at = self.busy_until.after(self.path.delay_us.into()).after(late_us.into());
            let mut slot = Slot { at, serial: self.sent, len: datagram.len(), bytes: [0; MTU] };
            fill(&mut slot.bytes, datagram);
            if self.random.chance(self.path.corrupt) {
                let len = u32::try_from(slot.len).unwrap_or(u32::MAX);
                let (nth, bit) = (self.random.below(len) as usize, self.random.below(8));
                if let Some(byte) = slot.bytes.get_mut(nth) {
                    *byte ^= 1 << bit;
                }
            }
            if is_lost || self.on_its_way.push(slot).is_err() {
                self.lost = self.lost.wrapping_add(1);
            }
        }
    }

    /// When something arrives.
    pub fn arrives_at(&self) -> Wake {
        self.on_its_way.iter().map(|slot| slot.at).min().map_or(Wake::Never, Wake::At)
    }

    /// What has arrived by now, one by one: its length, and its bytes in `to`.
    pub fn recv(&mut self, now: Instant, to: &mut [u8; MTU]) -> Option<usize> {
        let arrived = self.on_its_way.iter().enumerate().filter(|(_, slot)| slot.at <= now);
        let (nth, _) = arrived.min_by_key(|(_, slot)| (slot.at, slot.serial))?;
        // Below the length, as it was found there.
        let slot = (nth < self.on_its_way.len()).then(|| self.on_its_way.swap_remove(nth))?;
        Some(fill(to, first(&slot.bytes, slot.len)))
    }
}
