//! A RISC-V in machine mode.
#![expect(unsafe_code, reason = "unmasking interrupts")]

use riscv::register::mie;
use riscv_semihosting::debug;

pub use riscv::asm::wfi as wait_for_interrupt;
pub use riscv_rt::entry;
pub(super) use riscv_semihosting as semihosting;
pub use riscv_semihosting::hprintln as say;

/// Ends QEMU with success.
pub fn succeed() -> ! {
    riscv::interrupt::disable();
    loop {
        debug::exit(debug::EXIT_SUCCESS);
    }
}

/// Ends QEMU with a failure.
pub fn fail() -> ! {
    riscv::interrupt::disable();
    loop {
        debug::exit(debug::EXIT_FAILURE);
    }
}

/// Enables the interrupts of devices and of the timer.
pub fn unmask() {
    // SAFETY: both have handlers, and no critical section has begun.
    unsafe {
        mie::set_mext();
        mie::set_mtimer();
        riscv::interrupt::enable();
    }
}
