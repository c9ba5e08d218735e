//! The processor: the first instruction, sleep, and semihosting.
//!
//! Each has the same items. `sleep` returns after an interrupt; at once if one came since the last
//! call. Between that check and WFI no handler can run, since interrupts are off; WFI wakes for a pending
//! one all the same, and its handler runs as soon as they are on again.

use core::sync::atomic::{AtomicBool, Ordering};

#[cfg(target_arch = "arm")]
#[path = "cpu/cortex_m.rs"]
mod kind;
#[cfg(target_arch = "riscv32")]
#[path = "cpu/riscv.rs"]
mod kind;

mod host;

pub use host::{arguments, exit};
pub use kind::*;

/// An interrupt came since the last sleep, so there may be something to do.
static NOTED: AtomicBool = AtomicBool::new(false);

/// Every interrupt handler calls this.
pub fn note() {
    NOTED.store(true, Ordering::Relaxed);
}

/// Sleeps until an interrupt.
pub fn sleep() {
    critical_section::with(|_| {
        if !NOTED.load(Ordering::Relaxed) {
            wait_for_interrupt();
        }
        NOTED.store(false, Ordering::Relaxed);
    });
}
