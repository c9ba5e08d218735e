//! Downloads a file into flash over a UART that loses, doubles and changes bytes.
#![no_std]
#![no_main]

use core::convert::Infallible;

use cortex_m_rt::entry;
use windlass_core::driver::{Error, Linked, blocking};
use windlass_core::file::DigestKind;
use windlass_core::frame::link::Link;
use windlass_core::pump::Pump;
use windlass_core::session::files::{FilesClient, Options, Request};
use windlass_examples::board::{Timer, Uart};
use windlass_examples::flash::Nor;

#[entry]
fn main() -> ! {
    static mut FLASH: Nor<8192> = Nor::new();
    let (mut uart, mut timer) = (Uart::start(0), Timer::start());
    let mut first = 0;
    loop {
        // Each link begins with another number, so that no packet of the last one is taken for its own.
        first = u8::wrapping_add(first, 1);
        if fetch_file(first, FLASH, &mut uart, &mut timer).is_ok() {
            cortex_m::asm::bkpt();
        }
    }
}

fn fetch_file<const N: usize>(
    first: u8,
    flash: &mut Nor<N>,
    uart: &mut Uart,
    timer: &mut Timer,
) -> Result<(), Error<Infallible>> {
    let mut request = [0; 64];
    let options = Options { digest: Some(DigestKind::Crc32), ..Options::NONE };
    let len = Request { name: b"image", options }.render(&mut request).unwrap_or_default();
    let mut client = FilesClient::new(request.get(..len).unwrap_or_default(), [0; 64]);

    let (mut rx, mut tx, mut on_its_way) = ([0; 128], [0; 32], [0; 64]);
    let (mut link_rx, mut link_tx) = ([0; Link::rx_len(128)], [0; Link::tx_len(32)]);
    let pump = Pump::new(&mut rx, &mut tx).idle_timeout(60_000_000);
    let mut link = Link::connect(&mut link_rx, &mut link_tx, first);
    let mut linked = Linked::new(pump, &mut link, &mut on_its_way);
    blocking::run(&mut linked, &mut client, flash, uart, timer)
}
