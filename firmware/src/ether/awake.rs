//! Keeps the main loop of the emulator awake.
//!
//! A frame of the board that opens a connection to the host does not wake that loop, which may have begun to sleep for a
//! second. Until it wakes it does not look at the new connection, so the answer of the host is late, and a server that
//! waits in milliseconds has given up by then. A timer of the board runs in the loop, whether it interrupts or not.

use crate::register::Register;

/// From now on it runs in every millisecond.
pub fn keep_awake() {
    LOAD.store(25_000);
    CONTROL.store(ENABLE | PERIODIC | BITS_32);
}

// The CMSDK dual timer, at 25 MHz. Address: Arm DAI 0386.
const LOAD: Register = Register(0x4000_2000);
const CONTROL: Register = Register(0x4000_2008);
const ENABLE: u32 = 1 << 7;
const PERIODIC: u32 = 1 << 6;
const BITS_32: u32 = 1 << 1;
