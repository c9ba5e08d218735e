//! Two ends on an unreliable line, in virtual time.

extern crate std;

use std::collections::VecDeque;
use std::vec::Vec;

use crate::fault::Fault;
use crate::frame::link::Link;
use crate::time::Instant;

/// The time of a byte at 115,200 baud, in microseconds.
const BYTE_US: u64 = 87;

/// The number of bytes that a UART takes at a time.
const FIFO: usize = 64;

/// A fault of one byte on the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lie {
    Flip(u8),
    Drop,
    Double,
    Become(u8),
}

/// One direction of the line.
pub(crate) struct Wire {
    on_its_way: VecDeque<(u64, Vec<u8>)>,
    busy_until: u64,
    /// Bytes that were sent.
    pub(super) sent: usize,
    lie: Option<(usize, Lie)>,
    /// One byte in this many has a fault; 0 for none.
    pub(super) rate: u32,
    seed: u64,
    /// Nothing arrives from this byte on.
    pub(crate) cut_at: usize,
    /// Both directions are one pair of wires: bytes that are sent at the same time are lost, and
    /// each end receives its own bytes.
    pub(super) is_bus: bool,
}

impl Wire {
    pub(crate) fn new(lie: Option<(usize, Lie)>, rate: u32, seed: u64) -> Self {
        Self {
            on_its_way: VecDeque::new(),
            busy_until: 0,
            sent: 0,
            lie,
            rate,
            seed: seed | 1,
            cut_at: usize::MAX,
            is_bus: false,
        }
    }

    /// Xorshift.
    fn random(&mut self, below: u32) -> u32 {
        for shift in [13, -7, 17] {
            self.seed ^= if shift > 0 { self.seed << shift } else { self.seed >> -shift };
        }
        u32::try_from(self.seed >> 32).unwrap_or_default() % below
    }

    /// When the line is free again.
    pub(crate) fn free_at(&self) -> u64 {
        self.busy_until
    }

    /// When the next byte arrives.
    pub(crate) fn arrives_at(&self) -> Option<u64> {
        self.on_its_way.front().map(|(at, _)| *at)
    }

    /// The bytes that have arrived.
    pub(crate) fn recv(&mut self, now: u64) -> Option<Vec<u8>> {
        self.arrives_at().filter(|at| *at <= now)?;
        self.on_its_way.pop_front().map(|(_, bytes)| bytes)
    }

    pub(crate) fn send(&mut self, now: u64, bytes: &[u8]) {
        self.busy_until = now + BYTE_US * bytes.len() as u64;
        let mut arriving = Vec::new();
        for &byte in bytes {
            let (once, at_random) = (self.lie, self.rate > 0 && self.random(self.rate) == 0);
            let lie = match once {
                Some((at, lie)) if at == self.sent => Some(lie),
                _ if self.sent >= self.cut_at => Some(Lie::Drop),
                _ if at_random => Some(match self.random(4) {
                    0 => Lie::Drop,
                    1 => Lie::Double,
                    2 => Lie::Become(self.random(256).to_le_bytes()[0]),
                    _ => Lie::Flip(self.random(8).to_le_bytes()[0]),
                }),
                _ => None,
            };
            self.sent += 1;
            match lie {
                None => arriving.push(byte),
                Some(Lie::Drop) => {}
                Some(Lie::Double) => arriving.extend([byte; 2]),
                Some(Lie::Flip(bit)) => arriving.push(byte ^ 1 << bit),
                Some(Lie::Become(byte)) => arriving.push(byte),
            }
        }
        self.on_its_way.push_back((self.busy_until, arriving));
    }
}

/// If both directions send at the same time, their bytes change.
fn collide(wires: &mut [Wire; 2], now: u64) {
    if wires.iter().all(|wire| wire.busy_until > now) {
        for (_, bytes) in wires.iter_mut().filter_map(|wire| wire.on_its_way.back_mut()) {
            bytes.fill(0x55);
        }
    }
}

/// The user of an end, which reads and writes its stream.
pub(super) trait User {
    /// Moves as many bytes as possible.
    fn turn(&mut self, now: Instant, link: &mut Link<'_>);
}

/// Runs both ends until both are done. Returns how and when each ended.
///
/// # Panics
/// If nothing can happen any more, or if it takes longer than `limit_us`.
pub(super) fn run(
    ends: [(&mut Link<'_>, &mut dyn User); 2],
    wires: &mut [Wire; 2],
    limit_us: u64,
) -> ([Result<(), Fault>; 2], u64) {
    let [a, b] = ends;
    let mut ends = [a, b];
    let mut now = 0;
    loop {
        let mut next = u64::MAX;
        let mut how = [None; 2];
        for (of, (link, user)) in ends.iter_mut().enumerate() {
            let instant = Instant::from_micros(now);
            let from = &mut wires[1 - of];
            while let Some(bytes) = from.recv(now) {
                link.input(instant, &bytes);
            }
            link.input(instant, &[]);
            let wake = link.wake();
            assert!(link.over().is_some() || !wake.is_due(instant), "nothing that is due is left");
            user.turn(instant, link);
            let to = &mut wires[of];
            let mut wants_to_write = !link.output(instant).is_empty();
            if wants_to_write && to.busy_until <= now {
                let bytes = link.output(instant);
                let bytes = bytes[..bytes.len().min(FIFO)].to_vec();
                link.wrote(bytes.len());
                to.send(now, &bytes);
                if to.is_bus {
                    link.input(instant, &bytes);
                    collide(wires, now);
                }
                wants_to_write = true;
            }
            let to = &mut wires[of];
            if wants_to_write || !to.on_its_way.is_empty() {
                next = next.min(to.busy_until.max(now + 1));
            }
            how[of] = link.over();
            if how[of].is_none()
                && let Some(wait) = link.wake().wait_us(instant)
            {
                next = next.min(now + wait.max(1));
            }
        }
        if let [Some(a), Some(b)] = how {
            return ([a, b], now);
        }
        assert!(next < limit_us, "no end after {now} us: {how:?} {:?} {:?}", ends[0].0, ends[1].0);
        now = next;
    }
}

#[cfg(test)]
mod tests;
