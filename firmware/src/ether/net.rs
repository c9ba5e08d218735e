//! Transfers and sessions over the sockets of smoltcp: one UDP and one TCP socket.

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::{tcp, udp};
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, IpEndpoint};
use windlass_core::fault::{Fault, Peer};
use windlass_core::file::{Answer, Op, Storage};
use windlass_core::pump::{Need, Pump};
use windlass_core::session::Session;
use windlass_core::time::Instant;
use windlass_core::transfer::{HEAD_MAX, Heard, Transfer};
use windlass_core::want::Close;

use super::{Ether, FRAME_MAX};
use crate::clock;

/// The last byte of the addresses of the board in the network that QEMU makes.
pub const BOARD: u8 = 15;

/// The address of the host in that network.
pub const HOST: IpAddress = IpAddress::v4(10, 0, 2, 2);

/// How long a report has until it has left.
const REPORT_US: u64 = 50_000;

/// The memory of the sockets.
#[derive(Debug)]
pub struct Memory {
    received: [udp::PacketMetadata; 8],
    sent: [udp::PacketMetadata; 4],
    datagrams: [u8; 8192],
    acks: [u8; 2048],
    rx: [u8; 8192],
    tx: [u8; 2048],
    sockets: [SocketStorage<'static>; 2],
}

impl Memory {
    /// Empty.
    pub const fn new() -> Self {
        Self {
            received: [udp::PacketMetadata::EMPTY; 8],
            sent: [udp::PacketMetadata::EMPTY; 4],
            datagrams: [0; 8192],
            acks: [0; 2048],
            rx: [0; 8192],
            tx: [0; 2048],
            sockets: [SocketStorage::EMPTY; 2],
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// The network, as a program sees it.
#[expect(missing_debug_implementations, reason = "smoltcp's interface has none")]
pub struct Net {
    /// The device, and how bad the network is.
    pub ether: &'static mut Ether,
    interface: Interface,
    sockets: SocketSet<'static>,
    udp: SocketHandle,
    tcp: SocketHandle,
    /// The number of connections, which gives each a port of its own.
    connections: u16,
}

impl Net {
    /// Starts the device, with addresses that end in `number`. `None` if there is none.
    pub fn start(
        ether: &'static mut Ether,
        memory: &'static mut Memory,
        number: u8,
    ) -> Option<Self> {
        let mac = [0x02, 0, 0, 0, 0, number];
        if !Ether::start(mac) {
            return None;
        }
        let config = Config::new(EthernetAddress(mac).into());
        let mut interface = Interface::new(config, ether, clock::now().into());
        interface.update_ip_addrs(|addresses| {
            let _ = addresses.push(IpCidr::new(IpAddress::v4(10, 0, 2, number), 24));
        });
        let Memory { received, sent, datagrams, acks, rx, tx, sockets } = memory;
        let mut sockets = SocketSet::new(&mut sockets[..]);
        let udp = sockets.add(udp::Socket::new(
            udp::PacketBuffer::new(&mut received[..], &mut datagrams[..]),
            udp::PacketBuffer::new(&mut sent[..], &mut acks[..]),
        ));
        let rx = tcp::SocketBuffer::new(&mut rx[..]);
        let tcp = sockets.add(tcp::Socket::new(rx, tcp::SocketBuffer::new(&mut tx[..])));
        Some(Self { ether, interface, sockets, udp, tcp, connections: 0 })
    }

    /// Moves frames. Returns the time.
    pub fn poll(&mut self) -> Instant {
        let now = clock::now();
        self.interface.poll(now.into(), self.ether, &mut self.sockets);
        now
    }

    /// The TCP socket.
    pub fn tcp(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.tcp)
    }

    /// The UDP socket.
    pub fn udp(&mut self) -> &mut udp::Socket<'static> {
        self.sockets.get_mut(self.udp)
    }

    /// Receives what is sent to this group. Returns whether there was room for one more.
    pub fn join(&mut self, group: IpAddress) -> bool {
        self.interface.join_multicast_group(group).is_ok()
    }

    /// Sends a datagram from a port of its own, once.
    pub fn report(&mut self, datagram: &[u8], to: IpEndpoint) {
        let port = self.port();
        let socket = self.udp();
        socket.close();
        let _ = socket.bind(port).map(|()| socket.send_slice(datagram, to));
        let begun = clock::now();
        // The address of the receiver has to be found first.
        while self.poll().since(begun) < REPORT_US {}
    }

    /// A port that no connection had before.
    fn port(&mut self) -> u16 {
        self.connections += 1;
        49_152 + self.connections
    }

    /// Begins another TCP connection.
    pub fn connect(&mut self, server: IpEndpoint) {
        let port = self.port();
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.tcp);
        socket.abort();
        let _ = socket.connect(self.interface.context(), server, port);
    }

    /// Runs a transfer with a server to its end.
    ///
    /// # Errors
    /// The fault with which it ended.
    pub fn transfer(
        &mut self,
        transfer: &mut dyn Transfer,
        storage: &mut dyn Storage,
        server: IpEndpoint,
    ) -> Result<(), Fault> {
        let mut running = Running::new(self, transfer, storage, server);
        loop {
            let now = self.poll();
            if let Some(how) = running.turn(self, now) {
                return how;
            }
        }
    }

    /// Runs a session with a server to its end.
    ///
    /// # Errors
    /// The fault with which it ended.
    pub fn session(
        &mut self,
        session: &mut impl Session,
        storage: &mut impl Storage,
        server: IpEndpoint,
    ) -> Result<(), Fault> {
        let (mut rx, mut tx) = ([0; 2048], [0; 64]);
        let mut pump = Pump::new(&mut rx, &mut tx).idle_timeout(120_000_000);
        self.connect(server);
        loop {
            let now = self.poll();
            let socket = self.tcp();
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

/// A transfer that runs over the UDP socket.
#[expect(missing_debug_implementations, reason = "a transfer has none as a trait object")]
pub struct Running<'t> {
    transfer: &'t mut dyn Transfer,
    storage: &'t mut dyn Storage,
    server: IpEndpoint,
    /// The first answer tells the port of the transfer.
    peer: Option<IpEndpoint>,
    /// The datagram that was handed over last, and where in it the bytes are that were not kept.
    held: [u8; FRAME_MAX],
    at: usize,
}

impl<'t> Running<'t> {
    /// For a server, from a port of its own.
    pub fn new(
        net: &mut Net,
        transfer: &'t mut dyn Transfer,
        storage: &'t mut dyn Storage,
        server: IpEndpoint,
    ) -> Self {
        let port = net.port();
        let socket = net.udp();
        socket.close();
        let _ = socket.bind(port);
        Self { transfer, storage, server, peer: None, held: [0; FRAME_MAX], at: 0 }
    }

    /// Does all that can be done now, as [`windlass_core::transfer`] says. Returns how the transfer ended,
    /// if it did.
    pub fn turn(&mut self, net: &mut Net, now: Instant) -> Option<Result<(), Fault>> {
        let socket = net.udp();
        loop {
            let want = self.transfer.want();
            if want.wake.is_due(now) {
                self.transfer.tick(now);
            } else if want.write && socket.can_send() {
                self.send(socket, now);
            } else if want.close == Close::WriteHalf {
                return Some(Ok(()));
            } else if let Close::Done(how) = want.close {
                return Some(how);
            } else if want.file {
                if !self.store(now) {
                    return None;
                }
            } else if want.read && socket.can_recv() {
                let Ok((len, from)) = socket.recv_slice(&mut self.held) else { continue };
                let from = from.endpoint;
                if from.addr != self.server.addr || *self.peer.get_or_insert(from) != from {
                    continue;
                }
                match self.transfer.handle(now, self.held.get(..len).unwrap_or_default()) {
                    Heard::Store { at } => self.at = at,
                    Heard::Taken | Heard::Ignored | Heard::Malformed(_) | Heard::Ended { .. } => {}
                    Heard::Replaced => return Some(Err(Fault::Aborted)),
                }
            } else {
                return None;
            }
        }
    }

    /// Sends what is owed. A client that reads sends no part of a file.
    fn send(&mut self, socket: &mut udp::Socket<'_>, now: Instant) {
        let (mut head, mut count) = ([0; HEAD_MAX], 0);
        while let Some(tx) = self.transfer.render(now, count, &mut head) {
            let datagram = head.get(..tx.head).unwrap_or_default();
            if socket.send_slice(datagram, self.peer.unwrap_or(self.server)).is_err() {
                break;
            }
            count += 1;
        }
        self.transfer.sent(now, count);
    }

    /// Does the operation that the transfer waits for. Returns whether the storage has answered.
    fn store(&mut self, now: Instant) -> bool {
        let Some(file) = self.transfer.storage() else { return false };
        let Some(op) = file.op() else { return false };
        let len = match op {
            Op::Store(extent) => usize::try_from(extent.len).unwrap_or(usize::MAX),
            _ => 0,
        };
        let memory = self.held.get_mut(self.at..).and_then(|rest| rest.get_mut(..len));
        let answer = self.storage.perform(now, op, memory.unwrap_or_default());
        if let Answer::Busy(_) = answer {
            return false;
        }
        if let Answer::Kept(n) = answer {
            self.at += n;
        }
        file.answer(now, answer);
        true
    }
}
