//! Transfers and sessions over the sockets of smoltcp, one at a time.

use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::{tcp, udp};
use smoltcp::wire::IpEndpoint;
use windlass_core::fault::{Fault, Peer};
use windlass_core::file::{Answer, Op, Storage};
use windlass_core::pump::{Need, Pump};
use windlass_core::session::Session;
use windlass_core::time::Instant;
use windlass_core::transfer::{HEAD_MAX, Heard, Transfer};
use windlass_core::want::Close;
use windlass_firmware::clock;
use windlass_firmware::ether::{Ether, FRAME_MAX};

/// The network, as a program sees it.
pub(crate) struct Net<'n> {
    pub(crate) ether: &'n mut Ether,
    pub(crate) interface: Interface,
    pub(crate) sockets: SocketSet<'n>,
    pub(crate) udp: SocketHandle,
    pub(crate) tcp: SocketHandle,
    /// The number of the next connection, which gives it a port of its own.
    pub(crate) next: u16,
}

impl Net<'_> {
    fn poll(&mut self) -> Instant {
        let now = clock::now();
        self.interface.poll(now.into(), self.ether, &mut self.sockets);
        now
    }

    /// A port that no connection had before.
    fn port(&mut self) -> u16 {
        self.next += 1;
        49_152 + self.next
    }

    /// Runs a transfer with a server, as [`windlass_core::transfer`] says.
    pub(crate) fn transfer(
        &mut self,
        transfer: &mut dyn Transfer,
        storage: &mut dyn Storage,
        server: IpEndpoint,
    ) -> Result<(), Fault> {
        let port = self.port();
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.udp);
        socket.close();
        let _ = socket.bind(port);
        // The first answer tells the port of the transfer.
        let mut peer = None;
        let (mut held, mut at) = ([0; FRAME_MAX], 0);
        loop {
            let now = self.poll();
            let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.udp);
            let want = transfer.want();
            if want.wake.is_due(now) {
                transfer.tick(now);
            } else if want.write && socket.can_send() {
                let (mut front, mut count) = ([0; HEAD_MAX], 0);
                // A client that reads sends no part of a file.
                while let Some(tx) = transfer.render(now, count, &mut front) {
                    let datagram = front.get(..tx.head).unwrap_or_default();
                    if socket.send_slice(datagram, peer.unwrap_or(server)).is_err() {
                        break;
                    }
                    count += 1;
                }
                transfer.sent(now, count);
            } else if want.close == Close::WriteHalf {
                return Ok(());
            } else if let Close::Done(how) = want.close {
                return how;
            } else if want.file {
                store(transfer, storage, now, &mut held, &mut at);
            } else if want.read && socket.can_recv() {
                let Ok((len, from)) = socket.recv_slice(&mut held) else { continue };
                if from.endpoint.addr != server.addr
                    || *peer.get_or_insert(from.endpoint) != from.endpoint
                {
                    continue;
                }
                match transfer.handle(now, held.get(..len).unwrap_or_default()) {
                    Heard::Store { at: begins } => at = begins,
                    Heard::Taken | Heard::Ignored | Heard::Malformed(_) | Heard::Ended { .. } => {}
                    Heard::Replaced => return Err(Fault::Aborted),
                }
            }
        }
    }

    /// Runs a session with a server to its end.
    pub(crate) fn session(
        &mut self,
        session: &mut impl Session,
        storage: &mut impl Storage,
        server: IpEndpoint,
    ) -> Result<(), Fault> {
        let (mut rx, mut tx) = ([0; 2048], [0; 64]);
        let mut pump = Pump::new(&mut rx, &mut tx).idle_timeout(120_000_000);
        let port = self.port();
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.tcp);
        socket.abort();
        let _ = socket.connect(self.interface.context(), server, port);
        loop {
            let now = self.poll();
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.tcp);
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
                    Need::Over(how) => return how,
                    Need::Send { .. } | Need::Recv { .. } | Need::Wait(_) => break,
                }
            }
        }
    }
}

/// Does the operation that a transfer waits for. The bytes to keep begin at `at` of the datagram.
fn store(
    transfer: &mut dyn Transfer,
    storage: &mut dyn Storage,
    now: Instant,
    datagram: &mut [u8],
    at: &mut usize,
) {
    let Some(file) = transfer.storage() else { return };
    let Some(op) = file.op() else { return };
    let len = match op {
        Op::Store(extent) => usize::try_from(extent.len).unwrap_or(usize::MAX),
        _ => 0,
    };
    let memory = datagram.get_mut(*at..).and_then(|rest| rest.get_mut(..len));
    match storage.perform(now, op, memory.unwrap_or_default()) {
        // It is asked again.
        Answer::Busy(_) => {}
        answer => {
            if let Answer::Kept(n) = answer {
                *at += n;
            }
            file.answer(now, answer);
        }
    }
}
