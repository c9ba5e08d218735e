//! Windlass on bare metal: the `upper` service on the UART of a Cortex-M4.
//!
//! It is the smallest complete shell around the core, meant as a starting point. There is no
//! allocator and no operating system, and the session is the one that the Linux host runs.
//!
//! - [`port`]: the loop that runs any `Session` over any byte port. It knows no hardware.
//! - [`uart`]: the port, and all of the `unsafe`.
//! - [`clock`]: the `SysTick` timer as a count of microseconds.
//! - [`sleep`]: WFI, without missing the interrupt that comes just before it.
//!
//! The board is QEMU's `mps2-an386`. The boot line and a panic's message go to semihosting, so on
//! real hardware a debugger has to be attached.
#![no_std]
#![no_main]

mod clock;
mod port;
mod sleep;
mod uart;

use core::panic::PanicInfo;

use cortex_m::Peripherals;
use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use windlass_core::pump::Pump;
use windlass_core::session::Upper;

use crate::uart::{Ring, Uart};

#[entry]
fn main() -> ! {
    static mut RING: Ring = Ring::new();
    static mut RX: [u8; 64] = [0; 64];
    static mut TX: [u8; 64] = [0; 64];

    let board = Peripherals::take().expect("main runs once");
    hprintln!(
        "windlass-firmware: upper on UART0, {} bytes of RAM lent",
        size_of::<Ring>() + RX.len() + TX.len() + size_of::<Pump>() + size_of::<Upper>()
    );
    clock::start(board.SYST);
    let mut port = Uart::start(board.NVIC, RING);
    let mut pump = Pump::new(RX, TX);
    loop {
        if let Err(fault) = port::run(&mut pump, &mut Upper::new(), &mut port) {
            hprintln!("windlass-firmware: {}", fault);
            pump.reset();
        }
    }
}

/// Ends QEMU with a failure, so that a script sees it.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    hprintln!("windlass-firmware: {}", info);
    loop {
        debug::exit(debug::EXIT_FAILURE);
    }
}
