//! Windlass on bare metal: the `upper` service on a UART, on three instruction sets.
//!
//! It is the smallest complete shell around the core, meant as a starting point. There is no
//! allocator and no operating system, and the session is the one that the Linux host runs.
//!
//! - [`port`]: the loop that runs any `Session` over any byte port. It knows no hardware.
//! - [`received`]: bytes between the interrupt and the loop.
//! - [`clock`]: a counter of 32 bits as time that does not wrap, and an alarm.
//! - [`board`]: the UART and the timer of a board: `mps2` (Cortex-M4), `microbit` (Cortex-M0) or
//!   `virt` (RISC-V), by the target. To add a board, write one such file.
//! - [`cpu`]: the first instruction, sleep, and what the debugger shows.
//!
//! The boards are those of QEMU. The boot line and a panic's message go to semihosting, so on real
//! hardware a debugger has to be attached.
#![no_std]
#![no_main]

mod board;
mod clock;
mod cpu;
mod port;
mod received;
mod register;

use core::panic::PanicInfo;

use windlass_core::pump::Pump;
use windlass_core::session::Upper;

use crate::cpu::{entry, say};

#[entry]
fn main() -> ! {
    let (mut rx, mut tx) = ([0; 64], [0; 64]);
    say!(
        "windlass-firmware: upper on UART0 of {}, {} bytes of RAM lent",
        board::NAME,
        received::LEN + rx.len() + tx.len() + size_of::<Pump>() + size_of::<Upper>()
    );
    let mut port = board::start();
    let mut pump = Pump::new(&mut rx, &mut tx);
    loop {
        if let Err(fault) = port::run(&mut pump, &mut Upper::new(), &mut port) {
            say!("windlass-firmware: {}", fault);
            pump.reset();
        }
    }
}

/// Ends QEMU with a failure, so that a script sees it.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    say!("windlass-firmware: {}", info);
    cpu::fail()
}
