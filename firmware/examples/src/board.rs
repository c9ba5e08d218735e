//! The board: its UARTs and a timer. All of the examples' `unsafe` is here.
//!
//! Registers and bits: Arm DDI 0479, Cortex-M System Design Kit; addresses: Arm DAI 0386.

#![expect(unsafe_code, reason = "registers, and unmasking interrupts")]

use core::convert::Infallible;

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;
use windlass_core::driver::blocking;
use windlass_core::time::{Instant, Ticks, Wake};

/// The frequency of the CPU and of the timer, in hertz.
pub const CPU_HZ: u32 = 25_000_000;

/// A UART that holds one byte in each direction.
#[derive(Debug, Clone, Copy)]
pub struct Uart {
    base: usize,
}

impl Uart {
    /// UART 0, 1 or 2, at 115,200 baud.
    pub fn start(number: u8) -> Self {
        let uart = Self::of(number);
        store(uart.base + 0x10, CPU_HZ / 115_200);
        store(uart.base + 0x08, 0b1111);
        uart
    }

    /// UART 0, 1 or 2 after it was started.
    pub fn of(number: u8) -> Self {
        Self { base: 0x4000_4000 + (usize::from(number) << 12) }
    }

    /// The received byte.
    pub fn take(self) -> Option<u8> {
        if load(self.base + 0x04) & 0b10 == 0 {
            return None;
        }
        store(self.base + 0x0c, 0b10);
        let [byte, ..] = load(self.base).to_le_bytes();
        Some(byte)
    }

    /// Whether there is room for a byte.
    pub fn has_room(self) -> bool {
        load(self.base + 0x04) & 0b01 == 0
    }

    /// Sends a byte, for which there is room.
    pub fn put(self, byte: u8) {
        store(self.base + 0x0c, 0b01);
        store(self.base, byte.into());
    }
}

impl embedded_io::ErrorType for Uart {
    type Error = Infallible;
}

impl embedded_io::ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(load(self.base + 0x04) & 0b10 != 0)
    }
}

impl embedded_io::Read for Uart {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Infallible> {
        let mut n = 0;
        while let Some(slot) = buf.get_mut(n) {
            match self.take() {
                Some(byte) => *slot = byte,
                None if n > 0 => break,
                None => continue,
            }
            n += 1;
        }
        Ok(n)
    }
}

impl embedded_io::Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for &byte in bytes {
            while !self.has_room() {}
            self.put(byte);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while !self.has_room() {}
        Ok(())
    }
}

/// Time that does not wrap, from a timer of 32 bits that wraps after 171 seconds.
#[derive(Debug)]
pub struct Timer {
    ticks: Ticks,
}

impl Timer {
    /// Starts it at zero.
    pub fn start() -> Self {
        store(0x4000_0004, u32::MAX);
        store(0x4000_0008, u32::MAX);
        store(0x4000_0000, 1);
        Self { ticks: const { Ticks::new(CPU_HZ) } }
    }

    /// A timer that was started, for a static.
    pub const fn started() -> Self {
        Self { ticks: Ticks::new(CPU_HZ) }
    }

    /// The time. Call it at least once in each period of the timer.
    pub fn now(&mut self) -> Instant {
        // It counts down.
        self.ticks.now(!load(0x4000_0004))
    }
}

impl blocking::Clock for Timer {
    fn now(&mut self) -> Instant {
        Timer::now(self)
    }

    /// The UARTs are asked again and again, so it does not wait. With interrupts, this is WFI.
    fn wait(&mut self, _: Wake) {
        core::hint::spin_loop();
    }
}

/// An interrupt of the board.
#[derive(Clone, Copy)]
struct Irq(u16);

// SAFETY: the numbers are those of the board's UARTs, and they never change.
unsafe impl InterruptNumber for Irq {
    fn number(self) -> u16 {
        self.0
    }
}

/// Enables the interrupts of UART 0 and 1.
pub fn unmask_uarts(_: &mut NVIC) {
    for number in 0..4 {
        // SAFETY: no critical section of the examples is a matter of masking one interrupt.
        unsafe { NVIC::unmask(Irq(number)) }
    }
}

fn load(address: usize) -> u32 {
    // SAFETY: every address is an aligned register of a device that touches no memory.
    unsafe { (address as *const u32).read_volatile() }
}

fn store(address: usize, value: u32) {
    // SAFETY: as for `load`.
    unsafe { (address as *mut u32).write_volatile(value) }
}
