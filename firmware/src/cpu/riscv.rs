//! A RISC-V in machine mode.
#![expect(unsafe_code, reason = "unmasking interrupts, and the stack pointer")]

use core::arch::asm;

use riscv::register::mie;

pub use riscv::asm::wfi as wait_for_interrupt;
pub use riscv_rt::entry;

/// The top of the stack.
pub fn stack_pointer() -> usize {
    let top;
    // SAFETY: it reads a register.
    unsafe { asm!("mv {}, sp", out(reg) top, options(nomem, nostack, preserves_flags)) };
    top
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
