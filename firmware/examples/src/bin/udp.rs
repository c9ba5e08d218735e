//! smoltcp: a port that answers datagrams, and a report once a second.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
use smoltcp::socket::udp;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, IpEndpoint};
use windlass_core::responder::{Responder, Response};
use windlass_core::time::Instant;
use windlass_core::transform::Uppercase;
use windlass_core::wire::Score;
use windlass_examples::board::Timer;
use windlass_examples::ether::{Loopback, poll};

#[entry]
fn main() -> ! {
    static mut ETHER: Loopback = Loopback::new();
    static mut RX: [u8; 1024] = [0; 1024];
    static mut TX: [u8; 1024] = [0; 1024];
    let mut timer = Timer::start();
    let config = Config::new(HardwareAddress::Ip);
    let mut interface = Interface::new(config, ETHER, timer.now().into());
    interface.update_ip_addrs(|addresses| {
        let _ = addresses.push(IpCidr::new(IpAddress::v4(192, 0, 2, 1), 24));
    });
    let mut received = [udp::PacketMetadata::EMPTY; 4];
    let mut sent = [udp::PacketMetadata::EMPTY; 4];
    let mut socket = udp::Socket::new(
        udp::PacketBuffer::new(&mut received[..], &mut RX[..]),
        udp::PacketBuffer::new(&mut sent[..], &mut TX[..]),
    );
    let bound = socket.bind(9527);
    let mut sockets = [SocketStorage::EMPTY; 1];
    let mut sockets = SocketSet::new(&mut sockets[..]);
    let port = sockets.add(socket);

    let mut malformed = 0;
    let mut report_at = Instant::ZERO;
    while bound.is_ok() {
        let now = timer.now();
        poll(&mut interface, ETHER, &mut sockets, now.into());
        let socket = sockets.get_mut(port);
        malformed += answer(&mut Uppercase, socket, now);
        if now >= report_at && socket.can_send() {
            report(socket, malformed);
            report_at = now.after(1_000_000);
        }
    }
    loop {
        cortex_m::asm::bkpt();
    }
}

/// Answers the received datagrams, as long as there is room for replies. Returns how many were
/// malformed.
fn answer(
    responder: &mut impl Responder<IpEndpoint>,
    socket: &mut udp::Socket<'_>,
    now: Instant,
) -> u32 {
    let mut malformed = 0;
    let mut buf = [0; 512];
    while socket.can_send() {
        let (len, from) = match socket.recv_slice(&mut buf) {
            Ok(received) => received,
            // A datagram that is longer than the buffer is dropped, not cut.
            Err(udp::RecvError::Truncated) => {
                malformed += 1;
                continue;
            }
            Err(udp::RecvError::Exhausted) => break,
        };
        match responder.datagram(now, &from.endpoint, &mut buf, len) {
            Response::Reply(len) => {
                // The reply leaves from the address that was asked.
                let to = udp::UdpMetadata { meta: smoltcp::phy::PacketMeta::default(), ..from };
                let _ = socket.send_slice(buf.get(..len).unwrap_or_default(), to);
            }
            Response::NoReply => {}
            Response::Malformed(_) => malformed += 1,
        }
    }
    malformed
}

/// Sends a score to the host.
fn report(socket: &mut udp::Socket<'_>, malformed: u32) {
    let mut buf = [0; 64];
    if let Ok(score) = Score::render(malformed, 0, b"board 1", &mut buf) {
        // Without room the report is left out: the next one has newer values.
        let _ = socket.send_slice(score, (IpAddress::v4(192, 0, 2, 2), 2333));
    }
}
