//! Embassy: two sessions and a transfer at once, cancelled and begun again by timers.
//!
//! - `upper` on the UART, until the other end had its bytes back.
//! - `files` over TCP. Every few milliseconds a timer drops the future of the driver, and the driver goes
//!   on with the same pump and session: no byte is lost or doubled.
//! - TFTP over UDP. A timer that is too short drops the transfer, and another one begins with more time.
//!
//! It ends QEMU with a failure if a byte is wrong, or if nothing was cancelled.
#![no_std]
#![no_main]

use core::cell::{Cell, RefCell};
use defmt::println;
use embassy_executor::Spawner;
use embassy_futures::join::join3;
use embassy_futures::select::select;
use embassy_futures::yield_now;
use embassy_time::{Duration, with_timeout};
use smoltcp::wire::IpEndpoint;
use static_cell::StaticCell;
use windlass_core::driver::{EmbassyClock, asynch};
use windlass_core::file::DigestKind;
use windlass_core::pump::Pump;
use windlass_core::session::files::{Options, Request};
use windlass_core::session::{FilesClient, Upper};
use windlass_core::transfer::tftp::{Offer, TftpGet};
use windlass_core::transfer::{Timing, parts};
use windlass_firmware::cpu;
use windlass_firmware::embassy::{Console, Tcp, serve, transfer};
use windlass_firmware::ether::Ether;
use windlass_firmware::ether::files::{Compared, Number};
use windlass_firmware::ether::net::{BOARD, HOST, Memory, Net};
use windlass_firmware::port::Port;
use windlass_firmware::{board, clock};

static ETHER: StaticCell<Ether> = StaticCell::new();
static MEMORY: StaticCell<Memory> = StaticCell::new();

/// Bytes that the other end of the UART sends.
const LINES: usize = 16 * 1024;
/// The sizes of the files in bytes.
const IMAGE: usize = 256 * 1024;
const SMALL: usize = 64 * 1024;

/// How long the driver of `files` runs before it is dropped.
const SLICE: Duration = Duration::from_millis(7);
/// How long the first transfer has.
const FIRST: Duration = Duration::from_millis(100);

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    // Everything is one task, so that its parts can borrow from each other.
    let _ = spawner;
    let port = RefCell::new(board::start());
    let Some(net) = Net::start(ETHER.init_with(Ether::new), MEMORY.init_with(Memory::new), BOARD)
    else {
        println!("no LAN9118");
        cpu::exit(1);
    };
    let net = RefCell::new(net);
    println!("upper on UART0");
    let _ = select(serve(&net), everything(&net, &port)).await;
}

/// A download, of which an ERROR needs no words.
fn tftp_get(name: &[u8]) -> TftpGet<&[u8], { parts::ROUND_TRIPS | parts::EXTENSIONS }> {
    TftpGet::with_parts(name, Offer::DEFAULT, &Timing::CLIENT)
}

/// Runs all three, and ends QEMU.
async fn everything(net: &RefCell<Net>, port: &RefCell<impl Port>) {
    let qemu = IpEndpoint::new(HOST, 69);
    let mut number = Number::default();
    let mut get = tftp_get(b"files");
    let found = transfer(net, &mut get, &mut number, qemu).await;
    let begun = clock::now();
    let files = IpEndpoint::new(HOST, number.0);
    let all = join3(lines(port), download(net, files), image(net, qemu));
    let (sent, cancelled, again) = all.await;
    let ms = clock::now().since(begun) / 1000;
    println!("upper sent {} bytes", sent);
    println!("files over TCP, cancelled {} times", cancelled.unwrap_or(0));
    println!("TFTP, begun again {} times", again.unwrap_or(0));
    println!("{} ms", ms);
    let is_right =
        found.is_ok() && cancelled.is_some_and(|n| n > 0) && again.is_some_and(|n| n > 0);
    cpu::exit(u8::from(!is_right))
}

/// Serves the UART until the other end had all its bytes back. Returns their number.
async fn lines(port: &RefCell<impl Port>) -> usize {
    let sent = Cell::new(0);
    let (mut rx, mut tx) = ([0; 64], [0; 16]);
    let mut pump = Pump::new(&mut rx, &mut tx);
    let (mut upper, mut none) = (Upper::new(), ());
    let (mut reads, mut writes) = (Console { port, sent: &sent }, Console { port, sent: &sent });
    let halves = (&mut reads, &mut writes);
    let running = asynch::run(&mut pump, &mut upper, &mut none, halves, &EmbassyClock);
    let enough = async {
        while sent.get() < LINES {
            yield_now().await;
        }
    };
    let _ = select(running, enough).await;
    sent.get()
}

/// Downloads a file over TCP. Returns how often the driver was cancelled, if the file is right.
async fn download(net: &RefCell<Net>, server: IpEndpoint) -> Option<u32> {
    let mut request = [0; 64];
    let options = Options { digest: Some(DigestKind::Crc32), ..Options::NONE };
    let len = Request { name: b"small", options }.render(&mut request).ok()?;
    let mut client = FilesClient::new(request.get(..len)?, [0; 64]);
    let mut file = Compared::new(SMALL);
    let (mut rx, mut tx) = ([0; 2048], [0; 64]);
    let mut pump = Pump::new(&mut rx, &mut tx).idle_timeout(600_000_000);
    net.borrow_mut().connect(server);
    let mut cancelled = 0;
    loop {
        let halves = (&mut Tcp(net), &mut Tcp(net));
        let running = asynch::run(&mut pump, &mut client, &mut file, halves, &EmbassyClock);
        match with_timeout(SLICE, running).await {
            Ok(how) => return how.ok().map(|()| cancelled),
            Err(_) => cancelled += 1,
        }
    }
}

/// Downloads a file by TFTP. Returns how often it began again, if the file is right.
async fn image(net: &RefCell<Net>, server: IpEndpoint) -> Option<u32> {
    let (mut again, mut limit) = (0, FIRST);
    loop {
        let mut get = tftp_get(b"image");
        let mut file = Compared::new(IMAGE);
        let running = transfer(net, &mut get, &mut file, server);
        if let Ok(how) = with_timeout(limit, running).await {
            return how.ok().map(|()| again);
        }
        (again, limit) = (again + 1, limit * 2);
    }
}
