//! Windlass on bare metal: the `upper` service on a UART, on three instruction sets.
//!
//! It is the smallest complete program around the core, meant as a starting point. The session is the
//! one that the Linux host runs.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use windlass_core::pump::Pump;
use windlass_core::session::Upper;
use windlass_firmware::cpu::{entry, say};
use windlass_firmware::{board, cpu, port, received};

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
