//! Windlass on bare metal: the `upper` service on a UART, on three instruction sets.
//!
//! It is the smallest complete program around the core, meant as a starting point. The session is the
//! one that the Linux host runs.
#![no_std]
#![no_main]

use defmt::println;
use windlass_core::pump::Pump;
use windlass_core::session::Upper;
use windlass_firmware::cpu::entry;
use windlass_firmware::{board, port, received};

#[entry]
fn main() -> ! {
    let (mut rx, mut tx) = ([0; 64], [0; 64]);
    println!(
        "upper on UART0 of {}, {} bytes of RAM lent",
        board::NAME,
        received::LEN + rx.len() + tx.len() + size_of::<Pump>() + size_of::<Upper>()
    );
    let mut port = board::start();
    let mut pump = Pump::new(&mut rx, &mut tx);
    loop {
        if let Err(fault) = port::run(&mut pump, &mut Upper::new(), &mut port) {
            println!("{}", fault);
            pump.reset();
        }
    }
}
