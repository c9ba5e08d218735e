//! A UART as a line of a certain rate that damages bytes: the emulator has no rate, and loses nothing.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, ReadReady, Write};
use windlass_core::driver::blocking;
use windlass_core::sim::Random;
use windlass_core::time::{Instant, Wake};

use crate::clock;
use crate::port::Port;

/// Bits per second.
pub const BAUD: u32 = 115_200;

/// The time of a byte, which is ten bits, in microseconds.
const BYTE_US: u64 = 10_000_000 / BAUD as u64;

/// Turns of a waiting loop.
const WAIT: u32 = 300;

/// A port. Its bytes take their time and are damaged by a seed, in both directions.
#[derive(Debug)]
pub struct Line<P> {
    port: P,
    /// Of a thousand bytes so many are dropped, and as many have a bit flipped.
    damaged: u16,
    random: Random,
    /// A byte that has arrived.
    came: Option<u8>,
    /// When the next byte can arrive, and leave.
    input_at: Instant,
    output_at: Instant,
}

impl<P: Port> Line<P> {
    /// A line that damages so many of a thousand bytes in each way.
    pub fn new(port: P, damaged: u16, seed: u64) -> Self {
        let (random, now) = (Random::new(seed), clock::now());
        Self { port, damaged, random, came: None, input_at: now, output_at: now }
    }

    /// The byte as the line leaves it.
    fn damage(&mut self, byte: u8) -> Option<u8> {
        let [is_dropped, is_changed] = [(); 2].map(|()| self.random.chance(self.damaged));
        if is_dropped {
            return None;
        }
        Some(if is_changed { byte ^ (1 << self.random.below(8)) } else { byte })
    }

    /// Looks whether a byte has arrived.
    fn look(&mut self) {
        let (now, mut byte) = (clock::now(), [0]);
        if self.came.is_none() && self.input_at <= now && self.port.read(&mut byte) == 1 {
            self.input_at = self.input_at.max(now).after(BYTE_US);
            self.came = self.damage(byte[0]);
        }
    }
}

impl<P> ErrorType for Line<P> {
    type Error = Infallible;
}

impl<P: Port> ReadReady for Line<P> {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        self.look();
        Ok(self.came.is_some())
    }
}

impl<P: Port> Read for Line<P> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Infallible> {
        let Some(slot) = buf.first_mut() else { return Ok(0) };
        loop {
            self.look();
            if let Some(byte) = self.came.take() {
                *slot = byte;
                return Ok(1);
            }
        }
    }
}

impl<P: Port> Write for Line<P> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let Some(&byte) = bytes.first() else { return Ok(0) };
        while clock::now() < self.output_at {
            blocking::Clock::wait(&mut Spinning, Wake::Now);
        }
        self.output_at = self.output_at.max(clock::now()).after(BYTE_US);
        if let Some(byte) = self.damage(byte) {
            while self.port.write(&[byte]) == 0 {}
        }
        Ok(1)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while clock::now() < self.output_at {}
        Ok(())
    }
}

/// Waits in a loop and not in WFI: while a processor of QEMU sleeps, its time goes by as fast as it can, and the
/// programs around it do not.
#[derive(Debug)]
pub struct Spinning;

impl blocking::Clock for Spinning {
    fn now(&mut self) -> Instant {
        clock::now()
    }

    /// For some 30 us. Each `spin_loop` is an instruction at which the emulator lets its other threads run, so the
    /// programs around it answer in little of the board's time.
    fn wait(&mut self, _: Wake) {
        for _ in 0..WAIT {
            core::hint::spin_loop();
        }
    }
}
