//! A bare loop: it gets the time, downloads a file into flash, sends a report, and serves lines.
#![no_std]
#![no_main]

use core::convert::Infallible;

use cortex_m_rt::entry;
use embedded_io::Write;
use windlass_core::driver::{Error, blocking};
use windlass_core::file::DigestKind;
use windlass_core::frame::Encoder;
use windlass_core::pump::Pump;
use windlass_core::session::files::{Options, Request};
use windlass_core::session::{FilesClient, TimeClient, Upper};
use windlass_core::wire::Stamp;
use windlass_examples::board::{Timer, Uart};
use windlass_examples::flash::Nor;

#[entry]
fn main() -> ! {
    static mut FLASH: Nor<8192> = Nor::new();
    let (mut console, mut host) = (Uart::start(0), Uart::start(1));
    let mut timer = Timer::start();
    let stamp = fetch_stamp(&mut host, &mut timer);
    let file = fetch_file(FLASH, &mut host, &mut timer);
    let report: &[u8] = match (stamp, file) {
        (Some(_), Ok(())) => b"the image is whole",
        _ => b"the image is not there",
    };
    let _ = send_report(report, &mut host);
    serve_lines(&mut console, &mut timer)
}

/// Answers every line in capitals, for ever: a UART has no end of the stream.
fn serve_lines(console: &mut Uart, timer: &mut Timer) -> ! {
    let (mut rx, mut tx) = ([0; 64], [0; 16]);
    let mut pump = Pump::new(&mut rx, &mut tx);
    loop {
        let _ = blocking::run(&mut pump, &mut Upper::new(), &mut (), console, timer);
        pump.reset();
    }
}

/// The time, if the host sends it within ten seconds.
fn fetch_stamp(host: &mut Uart, timer: &mut Timer) -> Option<Stamp> {
    let (mut rx, mut tx) = ([0; 32], [0; 1]);
    let mut pump = Pump::new(&mut rx, &mut tx).idle_timeout(10_000_000);
    let mut client = TimeClient::new();
    let _ = blocking::run(&mut pump, &mut client, &mut (), host, timer);
    client.stamp()
}

/// Downloads the file `image` into flash, and compares its CRC-32.
fn fetch_file<const N: usize>(
    flash: &mut Nor<N>,
    host: &mut Uart,
    timer: &mut Timer,
) -> Result<(), Error<Infallible>> {
    let mut request = [0; 64];
    let options = Options { digest: Some(DigestKind::Crc32), ..Options::NONE };
    let len = Request { name: b"image", options }.render(&mut request).unwrap_or_default();
    let mut client = FilesClient::new(request.get(..len).unwrap_or_default(), [0; 64]);

    let (mut rx, mut tx) = ([0; 256], [0; 64]);
    let mut pump = Pump::new(&mut rx, &mut tx).idle_timeout(30_000_000);
    blocking::run(&mut pump, &mut client, flash, host, timer)
}

/// A report is a frame: its length in four bytes, and the text.
fn send_report(text: &[u8], host: &mut Uart) -> Result<(), Infallible> {
    if let Ok(frame) = Encoder::new(text, 4096) {
        for part in frame.pending() {
            host.write_all(part)?;
        }
    }
    Ok(())
}
