//! A device that updates itself over a UART: it requests the image that its first argument names, from the
//! server at the other end of a link, and ends with a verdict, which it also reports as a score on the line. After
//! an update it gets the time, from a server at the other end of UART 1, if the board has one.
//!
//! The second argument is how many of a thousand bytes the line drops and how many it changes, the third the seed
//! of that, and the fourth, if it is a number, that of an operation in which the flash is worn out. With a fifth one
//! the board stays on after its verdict, until power fails.
#![no_std]
#![no_main]

use defmt::println;
use embedded_io::Write;
use windlass_core::driver::{Error, Linked, blocking};
use windlass_core::fault::{Fault, StorageFault};
use windlass_core::file::Storage;
use windlass_core::frame::link::{self, Link, Timing};
use windlass_core::pump::Pump;
use windlass_core::session::{FilesClient, Session, TimeClient};
use windlass_core::wire::Score;
use windlass_firmware::cpu::{self, entry};
use windlass_firmware::line::{BAUD, Line, Spinning};
use windlass_firmware::port::Port;
use windlass_firmware::{board, clock};
use windlass_updater::{Flash, Updater, Verdict};

/// Bytes of a slot.
const SLOT: u32 = 64 * 1024;

/// The largest payload of a packet.
const PAYLOAD: usize = 128;

/// The largest payload on a line that damages bytes: of long packets, more are damaged.
const SHORT: usize = 24;

const TIMING: Timing = Timing::of_line(BAUD, PAYLOAD, 20_000);
const SHORT_TIMING: Timing = Timing::of_line(BAUD, SHORT, 5_000);

/// How often a report is sent: nothing answers it.
const REPORTS: u8 = 3;

#[entry]
fn main() -> ! {
    let arguments = cpu::args::<80>().ok();
    let mut words = arguments.iter().flatten().map(Result::unwrap_or_default).skip(1);
    let name = words.next().unwrap_or_default();
    let mut number = || words.next().and_then(|word| word.parse::<u32>().ok());
    let (damaged, seed, worn) = (number().unwrap_or(0), number().unwrap_or(0), number());
    let damaged = u16::try_from(damaged).unwrap_or(u16::MAX);
    let stays = words.next().is_some();

    let mut line = Line::new(board::start(), damaged, seed.into());
    let verdict = match Updater::start(board::flash(worn), SLOT) {
        Ok(mut updater) => {
            println!(
                "{} bytes of RAM for its state",
                size_of_val(&updater) - size_of_val(updater.flash())
            );
            boots(&mut updater);
            let verdict = update(&mut updater, name, &mut line, damaged > 0);
            boots(&mut updater);
            verdict
        }
        Err(_) => Verdict::FlashFailed,
    };
    let ms = clock::now().as_micros() / 1000;
    report(verdict, ms, &mut line);
    if verdict == Verdict::Updated
        && let Some(port) = board::second()
    {
        let mut client = TimeClient::new();
        let mut line = Line::new(port, damaged, seed.into());
        let how = over_a_link(&mut client, &mut (), &mut line, damaged > 0);
        match client.stamp() {
            Some(stamp) => println!("the time is {}", stamp.0),
            None => println!("no time: {}", how),
        }
    }
    println!("{} after {} ms", verdict, ms);
    if stays {
        loop {
            core::hint::spin_loop();
        }
    }
    cpu::exit(code(verdict))
}

/// Says what the device boots next.
fn boots(updater: &mut Updater<impl Flash>) {
    if let Ok(Some((slot, image))) = updater.boot() {
        println!("boots slot {}: {} bytes, crc {:08x}", slot, image.len, image.crc);
    } else {
        println!("boots nothing");
    }
    println!("has {} bytes of the next image", updater.kept());
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

/// Reports the verdict and the time as a score of this board.
fn report(verdict: Verdict, ms: u64, uart: &mut Line<impl Port>) {
    let ms = u32::try_from(ms).unwrap_or(u32::MAX);
    for _ in 0..REPORTS {
        let mut score = [0; 32];
        let score = Score::render(code(verdict).into(), ms, board::NAME.as_bytes(), &mut score);
        let mut packet = [0; 32 + link::OVERHEAD];
        if let Ok(score) = score
            && let Some(report) = link::report(&mut packet, score)
        {
            let Ok(()) = uart.write_all(report);
        }
    }
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
