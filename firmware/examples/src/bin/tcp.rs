//! smoltcp: downloads a file into flash over a TCP socket.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
use smoltcp::socket::tcp;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use windlass_core::fault::{Fault, Peer};
use windlass_core::file::{DigestKind, Storage};
use windlass_core::pump::{Need, Pump};
use windlass_core::session::Session;
use windlass_core::session::files::{FilesClient, Options, Request};
use windlass_core::time::Instant;
use windlass_examples::board::Timer;
use windlass_examples::ether::{Loopback, poll};
use windlass_examples::flash::Nor;

#[entry]
fn main() -> ! {
    static mut FLASH: Nor<8192> = Nor::new();
    static mut ETHER: Loopback = Loopback::new();
    static mut RX: [u8; 2048] = [0; 2048];
    static mut TX: [u8; 256] = [0; 256];
    let mut timer = Timer::start();
    let config = Config::new(HardwareAddress::Ip);
    let mut interface = Interface::new(config, ETHER, timer.now().into());
    interface.update_ip_addrs(|addresses| {
        let _ = addresses.push(IpCidr::new(IpAddress::v4(192, 0, 2, 1), 24));
    });
    let mut sockets = [SocketStorage::EMPTY; 1];
    let mut sockets = SocketSet::new(&mut sockets[..]);
    let socket =
        tcp::Socket::new(tcp::SocketBuffer::new(&mut RX[..]), tcp::SocketBuffer::new(&mut TX[..]));
    let handle = sockets.add(socket);
    let host = (IpAddress::v4(192, 0, 2, 2), 7070);
    let _ = sockets.get_mut::<tcp::Socket<'_>>(handle).connect(interface.context(), host, 49152);

    let mut request = [0; 64];
    let options = Options { digest: Some(DigestKind::Crc32), ..Options::NONE };
    let len = Request { name: b"image", options }.render(&mut request).unwrap_or_default();
    let mut client = FilesClient::new(request.get(..len).unwrap_or_default(), [0; 64]);
    let (mut rx, mut tx) = ([0; 512], [0; 64]);
    let mut pump = Pump::new(&mut rx, &mut tx).idle_timeout(30_000_000);
    loop {
        let now = timer.now();
        poll(&mut interface, ETHER, &mut sockets, now.into());
        let socket = sockets.get_mut(handle);
        if turn(&mut pump, &mut client, FLASH, socket, now).is_some() {
            cortex_m::asm::bkpt();
        }
    }
}

/// Moves as many bytes as possible now. Returns how the session ended, if it did.
fn turn(
    pump: &mut Pump<'_>,
    session: &mut impl Session,
    storage: &mut impl Storage,
    socket: &mut tcp::Socket<'_>,
    now: Instant,
) -> Option<Result<(), Fault>> {
    if !socket.is_open() {
        session.abort(Peer::Reset.into());
    }
    loop {
        match pump.next(session, now) {
            Need::Send { bytes, .. } if socket.can_send() => {
                let n = socket.send_slice(bytes).unwrap_or(0);
                pump.sent(n);
            }
            Need::Recv { buf, .. } if socket.can_recv() => {
                let n = socket.recv_slice(buf).unwrap_or(0);
                pump.received(n);
            }
            Need::Recv { .. } if socket.may_send() && !socket.may_recv() => pump.eof(),
            Need::File { op, memory } => {
                let answer = storage.perform(now, op, memory);
                pump.answer(session, now, answer);
            }
            Need::Shutdown => socket.close(),
            Need::Over(how) => {
                // After a fault the peer may be gone: nothing waits for it.
                if how.is_ok() {
                    socket.close();
                } else {
                    socket.abort();
                }
                return Some(how);
            }
            Need::Send { .. } | Need::Recv { .. } | Need::Wait(_) => return None,
        }
    }
}
