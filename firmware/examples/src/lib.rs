//! The parts that the examples share: the board, a simulated flash, and a network with one machine.
//!
//! The programs are under `bin`, and `docs/DEVICE.md` shows parts of them. The board is the MPS2 of Arm,
//! which QEMU has as `mps2-an385` (Cortex-M3, and good enough for a Cortex-M0) and `mps2-an386`
//! (Cortex-M4).
#![no_std]

pub mod board;
pub mod ether;
pub mod flash;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
