//! Registers of devices.
#![expect(unsafe_code, reason = "a register is an address")]

/// A register of 32 bits, by its address. Every one is a constant of [`board`](crate::board).
#[derive(Debug, Clone, Copy)]
pub struct Register(pub(crate) usize);

/// A register of 8 bits.
#[derive(Debug, Clone, Copy)]
pub struct Register8(pub(crate) usize);

impl Register {
    /// Reads it.
    pub fn load(self) -> u32 {
        // SAFETY: every `Register` is a readable word of a device of the board, at an aligned address
        // that nothing else uses. No load changes memory.
        unsafe { (self.0 as *const u32).read_volatile() }
    }

    /// Writes it.
    pub fn store(self, value: u32) {
        // SAFETY: as for `load`; it is writable too, and no store makes a device touch memory: none of
        // them has DMA.
        unsafe { (self.0 as *mut u32).write_volatile(value) }
    }
}

impl Register8 {
    /// Reads it.
    pub fn load(self) -> u8 {
        // SAFETY: as for `Register`.
        unsafe { (self.0 as *const u8).read_volatile() }
    }

    /// Writes it.
    pub fn store(self, value: u8) {
        // SAFETY: as for `Register`.
        unsafe { (self.0 as *mut u8).write_volatile(value) }
    }
}
