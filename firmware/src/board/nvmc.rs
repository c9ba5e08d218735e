//! The flash of the nRF51, behind the part that the linker fills. Its controller erases pages of 1 KiB and
//! programs words, and stops the processor meanwhile: for 22 ms and 46 us on the chip, for no time in QEMU.
//!
//! Registers: nRF51 Series Reference Manual 3.0, chapter 6.

use core::ops::Range;

use windlass_core::time::{Instant, Wake};
use windlass_updater::{Failed, Flash, SECTOR};

use crate::register::Register;

/// The address of the flash of the updater, and its length: a log of 8 KiB and two slots of 64 KiB.
const AT: u32 = 120 * 1024;
const LEN: u32 = 136 * 1024;

/// Bytes that the controller erases at once.
const PAGE: u32 = 1024;

/// The flash.
#[derive(Debug)]
pub struct Nvmc {
    /// What is left of the sector that is being erased.
    erasing: Range<u32>,
}

/// The flash. A real one is worn out when it is, and not when a test likes it.
pub fn flash(_worn: Option<u32>) -> Nvmc {
    Nvmc { erasing: 0..0 }
}

/// The address of `len` bytes of the flash from `at` on.
fn address(at: u32, len: usize) -> Result<u32, Failed> {
    let len = u32::try_from(len).map_err(|_| Failed)?;
    at.checked_add(len).filter(|&to| to <= LEN).map(|_| AT + at).ok_or(Failed)
}

/// Lets the controller do one thing.
fn enabled(config: u32, work: impl FnOnce()) {
    CONFIG.store(config);
    work();
    while READY.load() == 0 {}
    CONFIG.store(READ_ONLY);
}

/// The word of the flash at an address.
fn word(address: u32) -> Register {
    Register(address as usize)
}

impl Flash for Nvmc {
    fn read(&mut self, at: u32, to: &mut [u8]) -> Result<(), Failed> {
        let from = address(at, to.len())?;
        for (address, byte) in (from..).zip(to) {
            let bytes = word(address & !3).load().to_le_bytes();
            *byte = bytes[address as usize % 4];
        }
        Ok(())
    }

    fn erase(&mut self, _: Instant, at: u32) -> Result<(), Failed> {
        let from = address(at, SECTOR as usize)?;
        self.erasing = from..from + SECTOR;
        Ok(())
    }

    /// A page of 256 bytes takes 3 ms on the chip: a UART of 115,200 baud brings 34 bytes in this time, and the link
    /// has those that were lost sent again.
    fn program(&mut self, _: Instant, at: u32, bytes: &[u8]) -> Result<(), Failed> {
        let to = address(at, bytes.len())?;
        if !to.is_multiple_of(4) {
            return Err(Failed);
        }
        for (address, part) in (to..).step_by(4).zip(bytes.chunks(4)) {
            // What is not programmed stays as it is.
            let mut value = [0xff; 4];
            value.iter_mut().zip(part).for_each(|(to, byte)| *to = *byte);
            enabled(WRITE, || word(address).store(u32::from_le_bytes(value)));
        }
        Ok(())
    }

    /// Erases a page of the sector, so that the line is served between two of them.
    fn busy(&mut self, _: Instant) -> Result<Option<Wake>, Failed> {
        if self.erasing.is_empty() {
            return Ok(None);
        }
        enabled(ERASE, || ERASE_PAGE.store(self.erasing.start));
        self.erasing.start += PAGE;
        Ok(Some(Wake::Now).filter(|_| !self.erasing.is_empty()))
    }
}

const READY: Register = Register(0x4001_e400);
const CONFIG: Register = Register(0x4001_e504);
const ERASE_PAGE: Register = Register(0x4001_e508);
const READ_ONLY: u32 = 0;
const WRITE: u32 = 1;
const ERASE: u32 = 2;
