//! The processor: the first instruction, sleep, and what the program that runs the image tells it and is told:
//! semihosting, as Arm defines it for every processor.
//!
//! Each processor has the same items. `sleep` returns after an interrupt; at once if one came since the last
//! call. Between that check and WFI no handler can run, since interrupts are off; WFI wakes for a pending
//! one all the same, and its handler runs as soon as they are on again.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

// The log of every image.
use defmt_semihosting as _;
pub use semihosting::experimental::env::args;

#[cfg(target_arch = "arm")]
#[path = "cpu/cortex_m.rs"]
mod kind;
#[cfg(target_arch = "riscv32")]
#[path = "cpu/riscv.rs"]
mod kind;

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

/// Ends QEMU with this exit code.
pub fn exit(code: u8) -> ! {
    critical_section::with(|_| semihosting::process::exit(code.into()))
}

/// Ends QEMU with a failure, so that a script sees it.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    defmt::println!("{}", defmt::Display2Format(info));
    exit(1)
}
