//! One of two boards on a network that loses frames. Each reports a score to a group by multicast, and answers a
//! report of the other board with one to its address by UDP.
//!
//! The first argument is the number of the board. It ends QEMU with a failure if it has not heard both reports of
//! the other board in time.
#![no_std]
#![no_main]

use defmt::println;
use smoltcp::socket::udp;
use smoltcp::wire::{IpAddress, IpEndpoint};
use windlass_core::responder::{Responder, ScoreReceiver};
use windlass_core::sim::Path;
use windlass_core::wire::Score;
use windlass_firmware::cpu::{self, entry};
use windlass_firmware::ether::Ether;
use windlass_firmware::ether::net::{Memory, Net};
use windlass_firmware::{board, clock};

/// Where reports go.
const GROUP: IpAddress = IpAddress::v4(239, 255, 23, 33);
const PORT: u16 = 2333;

/// The time between two reports, the time for all, and how long a board still answers that has heard all: in
/// microseconds.
const AGAIN_US: u64 = 50_000;
const LIMIT_US: u64 = 60_000_000;
const LINGER_US: u64 = 3_000_000;

/// A fifth of all frames is lost.
const LOSSY: Path = Path { loss: 200, ..Path::PERFECT };

#[entry]
fn main() -> ! {
    static mut ETHER: Ether = Ether::new();
    static mut MEMORY: Memory = Memory::new();

    let _uart = board::start();
    let arguments = cpu::args::<80>().ok();
    let mut words = arguments.iter().flatten().map(Result::unwrap_or_default).skip(1);
    let number = words.next().and_then(|word| word.parse().ok()).unwrap_or(1);
    let Some(mut net) = Net::start(ETHER, MEMORY, number) else {
        println!("no LAN9118");
        cpu::exit(1);
    };
    net.ether.becomes(LOSSY, LOSSY);
    if !net.join(GROUP) || net.udp().bind(PORT).is_err() {
        println!("no group");
        cpu::exit(1);
    }
    let mut report = [0; 32];
    let rendered = Score::render(number.into(), 0, board::NAME.as_bytes(), &mut report);
    let report = rendered.unwrap_or_default();
    let (mut by_group, mut alone, mut sent, mut due) = (0_u32, 0_u32, 0_u32, clock::now());
    let mut has_both = None;
    while has_both.is_none_or(|since| clock::now().since(since) < LINGER_US) {
        let now = net.poll();
        if now.as_micros() > LIMIT_US {
            println!("not heard: {} by multicast, {} by UDP", by_group, alone);
            cpu::exit(1);
        }
        let socket = net.udp();
        if due <= now && has_both.is_none() {
            due = now.after(AGAIN_US);
            sent += u32::from(socket.send_slice(report, IpEndpoint::new(GROUP, PORT)).is_ok());
        }
        let mut buf = [0; Score::LEN_MAX];
        while let Ok((len, from)) = socket.recv_slice(&mut buf) {
            let is_to_group = from.local_address == Some(GROUP);
            let mut is_other = false;
            let mut receiver = ScoreReceiver::new(|_, _: &IpEndpoint, score: &Score<'_>| {
                is_other = score.math() != number.into();
            });
            let _ = receiver.datagram(now, &from.endpoint, &mut buf, len);
            if !is_other {
                continue;
            }
            if is_to_group {
                by_group += 1;
                let to = udp::UdpMetadata::from(from.endpoint);
                let _ = socket.send_slice(report, to);
            } else {
                alone += 1;
            }
        }
        if by_group > 0 && alone > 0 {
            has_both = has_both.or(Some(now));
        }
    }
    println!(
        "board {}: reported {} times, heard {} by multicast, {} by UDP",
        number, sent, by_group, alone
    );
    cpu::exit(0)
}
