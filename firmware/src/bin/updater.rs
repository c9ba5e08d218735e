//! A device that updates itself over a UART: it requests the image that its first argument names, from the
//! server at the other end of a link, and ends with a verdict. After an update it gets the time, from a server at
//! the other end of UART 1.
//!
//! The second argument is how many of a thousand bytes the line drops and how many it changes, the third the seed
//! of that, and the fourth, if there is one, the number of an operation in which the flash is worn out.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use windlass_core::driver::{Error, Linked, blocking};
use windlass_core::fault::{Fault, StorageFault};
use windlass_core::file::Storage;
use windlass_core::frame::link::{Link, Timing};
use windlass_core::pump::Pump;
use windlass_core::session::{FilesClient, Session, TimeClient};
use windlass_firmware::cpu::{self, entry, say};
use windlass_firmware::line::{BAUD, Line, Spinning};
use windlass_firmware::port::Port;
use windlass_firmware::{board, clock};
use windlass_updater::{Flash, Harm, Nor, Updater, Verdict};

/// Bytes of a slot.
const SLOT: u32 = 64 * 1024;

/// The largest payload of a packet.
const PAYLOAD: usize = 128;

/// The largest payload on a line that damages bytes: of long packets, more are damaged.
const SHORT: usize = 24;

const TIMING: Timing = Timing::of_line(BAUD, PAYLOAD, 20_000);
const SHORT_TIMING: Timing = Timing::of_line(BAUD, SHORT, 5_000);

#[entry]
fn main() -> ! {
    let mut arguments = [0; 80];
    let mut words = cpu::arguments(&mut arguments).split(' ').skip(1);
    let name = words.next().unwrap_or_default();
    let damaged = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    let mut number = || words.next().and_then(|word| word.parse::<u32>().ok());
    let (seed, worn) = (number().unwrap_or(0), number());

    let port = board::start();
    let mut line = Line::new(port, damaged, seed.into());
    let mut nor = Nor::new(board::psram());
    if let Some(nth) = worn {
        nor = nor.harmed(nth, Harm::Worn);
    }
    let verdict = match Updater::start(nor, SLOT) {
        Ok(mut updater) => {
            // The simulated flash holds a page of its own.
            say!(
                "updater: {} bytes of RAM for its state",
                size_of_val(&updater) - size_of::<Nor<&mut [u8]>>()
            );
            boots(&mut updater);
            let verdict = update(&mut updater, name, &mut line, damaged > 0);
            boots(&mut updater);
            verdict
        }
        Err(_) => Verdict::FlashFailed,
    };
    let ms = clock::now().as_micros() / 1000;
    if verdict == Verdict::Updated {
        let mut client = TimeClient::new();
        let mut line = Line::new(board::second(), damaged, seed.into());
        let how = over_a_link(&mut client, &mut (), &mut line, damaged > 0);
        match client.stamp() {
            Some(stamp) => say!("updater: time {}", stamp.0),
            None => say!("updater: no time: {:?}", how),
        }
    }
    say!("updater: {} after {} ms", verdict, ms);
    cpu::exit(code(verdict))
}

/// Says what the device boots next.
fn boots(updater: &mut Updater<impl Flash>) {
    match updater.boot() {
        Ok(Some((slot, image))) => {
            say!("updater: boots slot {:?}: {} bytes, crc {:08x}", slot, image.len, image.crc);
        }
        Ok(None) => say!("updater: boots nothing"),
        Err(_) => say!("updater: the flash cannot be read"),
    }
    say!("updater: has {} bytes of the next image", updater.kept());
}

/// Requests the image once.
fn update(
    updater: &mut Updater<impl Flash>,
    name: &str,
    uart: &mut Line<impl Port>,
    is_bad: bool,
) -> Verdict {
    let mut request = [0; 96];
    let Ok(len) = updater.request(name.as_bytes(), &mut request) else {
        return Verdict::Broken(Fault::Storage(StorageFault::Failed));
    };
    let mut client = FilesClient::new(request.get(..len).unwrap_or_default(), [0; 96]);
    let how = over_a_link(&mut client, updater, uart, is_bad);
    while let Ok(Some(_)) = updater.settle(clock::now()) {}
    updater.verdict(how)
}

/// Runs a session to its end over a link that this end opens.
fn over_a_link(
    session: &mut impl Session,
    storage: &mut impl Storage,
    uart: &mut Line<impl Port>,
    is_bad: bool,
) -> Result<(), Fault> {
    let (mut rx, mut tx, mut on_its_way) = ([0; 128], [0; 64], [0; 32]);
    let (mut link_rx, mut link_tx) = ([0; Link::rx_len(PAYLOAD)], [0; Link::tx_len(PAYLOAD)]);
    let (mut short_rx, mut short_tx) = ([0; Link::rx_len(SHORT)], [0; Link::tx_len(SHORT)]);
    let pump = Pump::new(&mut rx, &mut tx).idle_timeout(60_000_000);
    // The number differs from that of the last link, if the device starts at another time than before.
    let first = clock::now().as_micros().to_le_bytes()[0];
    let opened = if is_bad {
        Link::connect(&mut short_rx, &mut short_tx, first)
    } else {
        Link::connect(&mut link_rx, &mut link_tx, first)
    };
    let mut link = opened.with_timing(if is_bad { &SHORT_TIMING } else { &TIMING });
    let mut linked = Linked::new(pump, &mut link, &mut on_its_way);
    let how = blocking::run(&mut linked, session, storage, uart, &mut Spinning);
    how.map_err(|error| match error {
        Error::Session(fault) => fault,
        Error::Port(never) => match never {},
    })
}

/// The exit code of a verdict.
const fn code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Updated => 0,
        Verdict::WrongDigest => 10,
        Verdict::ServerGone => 11,
        Verdict::FlashFailed => 12,
        Verdict::TooLarge => 13,
        Verdict::Refused => 14,
        Verdict::Unsupported => 15,
        Verdict::Broken(_) => 16,
    }
}

/// Ends QEMU with a failure, so that a script sees it.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    say!("updater: {}", info);
    cpu::fail()
}
