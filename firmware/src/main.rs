//! Windlass on bare metal: the `upper` service on the UART of a Cortex-M4.
//!
//! It is the smallest whole shell around the core, and meant to be copied from. There is no
//! allocator and no operating system, and the session is the one that the Linux host runs.
//!
//! - [`shell`]: the loop that runs any `Session` over any byte port. It knows no hardware.
//! - [`uart`]: the port, and all of the `unsafe`.
//! - [`clock`]: the `SysTick` timer as a count of microseconds.
//! - [`sleep`]: WFI, without missing the interrupt that comes just before it.
//!
//! The board is QEMU's `mps2-an386`. The boot line and a panic's message go to semihosting, so on
//! real hardware a debugger has to be attached.
#![no_std]
#![no_main]

mod clock;
mod shell;
mod sleep;
mod uart;

use core::panic::PanicInfo;

use cortex_m::Peripherals;
use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use windlass_core::session::Upper;

use crate::shell::{Shell, Turn};
use crate::uart::{Ring, Uart};

type BoardShell = Shell<64, 64>;

#[entry]
fn main() -> ! {
    static mut RING: Ring = Ring::new();
    static mut SHELL: BoardShell = Shell::new();

    let board = Peripherals::take().expect("main runs once");
    hprintln!(
        "windlass-firmware: upper on UART0, {} bytes of RAM lent",
        size_of::<Ring>() + size_of::<BoardShell>() + size_of::<Upper>()
    );
    clock::start(board.SYST);
    let mut port = Uart::start(board.NVIC, RING);
    let mut session = Upper::new();
    loop {
        match SHELL.turn(&mut session, &mut port, clock::now()) {
            Turn::Again => {}
            Turn::Idle => sleep::until_interrupt(),
            Turn::Over(how) => {
                if let Err(fault) = how {
                    hprintln!("windlass-firmware: {}", fault);
                }
                session = Upper::new();
            }
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
