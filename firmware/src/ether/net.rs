//! Transfers and sessions over the sockets of smoltcp: two UDP sockets, for both ends of a transfer, and a TCP socket.

use smoltcp::iface::{
    Config, Interface, PollIngressSingleResult, PollResult, SocketHandle, SocketSet, SocketStorage,
};
use smoltcp::socket::{tcp, udp};
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, IpEndpoint};
use windlass_core::fault::{Fault, Peer, StorageFault};
use windlass_core::file::{Answer, Op, Storage};
use windlass_core::pump::{Need, Pump};
use windlass_core::session::Session;
use windlass_core::time::Instant;
use windlass_core::transfer::{HEAD_MAX, Heard, Transfer};
use windlass_core::want::Close;

use super::{Ether, FRAME_MAX, SLOTS};
use crate::clock;

/// The last byte of the addresses of the board in the network that QEMU makes.
pub const BOARD: u8 = 15;

/// The address of the host in that network.
pub const HOST: IpAddress = IpAddress::v4(10, 0, 2, 2);

const _: () = assert!(FRAME_MAX >= HEAD_MAX, "a head fits in a frame");

/// How long a report has until it has left.
const REPORT_US: u64 = 50_000;

/// The memory of the sockets.
#[derive(Debug)]
pub struct Memory {
    clients: UdpMemory,
    servers: UdpMemory,
    rx: [u8; 8192],
    tx: [u8; 2048],
    sockets: [SocketStorage<'static>; 3],
}

/// That of a UDP socket.
#[derive(Debug)]
struct UdpMemory {
    received: [udp::PacketMetadata; 8],
    sent: [udp::PacketMetadata; 8],
    rx: [u8; 8192],
    tx: [u8; 8192],
}

impl UdpMemory {
    const EMPTY: Self = Self {
        received: [udp::PacketMetadata::EMPTY; 8],
        sent: [udp::PacketMetadata::EMPTY; 8],
        rx: [0; 8192],
        tx: [0; 8192],
    };

    fn socket(&'static mut self) -> udp::Socket<'static> {
        udp::Socket::new(
            udp::PacketBuffer::new(&mut self.received[..], &mut self.rx[..]),
            udp::PacketBuffer::new(&mut self.sent[..], &mut self.tx[..]),
        )
    }
}

impl Memory {
    /// Empty.
    pub const fn new() -> Self {
        Self {
            clients: UdpMemory::EMPTY,
            servers: UdpMemory::EMPTY,
            rx: [0; 8192],
            tx: [0; 2048],
            sockets: [SocketStorage::EMPTY; 3],
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
    udp: [SocketHandle; 2],
    tcp: SocketHandle,
    /// The address of the board.
    address: IpAddress,
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
        let address = IpAddress::v4(10, 0, 2, number);
        interface.update_ip_addrs(|addresses| {
            let _ = addresses.push(IpCidr::new(address, 24));
        });
        let Memory { clients, servers, rx, tx, sockets } = memory;
        let mut sockets = SocketSet::new(&mut sockets[..]);
        let udp = [clients, servers].map(|memory| sockets.add(memory.socket()));
        let rx = tcp::SocketBuffer::new(&mut rx[..]);
        let tcp = sockets.add(tcp::Socket::new(rx, tcp::SocketBuffer::new(&mut tx[..])));
        Some(Self { ether, interface, sockets, udp, tcp, address, connections: 0 })
    }

    /// Moves frames. Returns the time. It takes a bounded number of frames, so a flood of them delays a timer, and does not
    /// stop it.
    pub fn poll(&mut self) -> Instant {
        let now = clock::now();
        let Self { ether, interface, sockets, .. } = self;
        interface.poll_maintenance(now.into());
        for _ in 0..SLOTS {
            let polled = interface.poll_ingress_single(now.into(), *ether, sockets);
            if polled == PollIngressSingleResult::None {
                break;
            }
        }
        while interface.poll_egress(now.into(), *ether, sockets) != PollResult::None {}
        now
    }

    /// The TCP socket.
    pub fn tcp(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.tcp)
    }

    /// The UDP socket of clients.
    pub fn udp(&mut self) -> &mut udp::Socket<'static> {
        self.udp_socket(0)
    }

    fn udp_socket(&mut self, number: usize) -> &mut udp::Socket<'static> {
        self.sockets.get_mut(self.udp[number])
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

    /// A port that the last 16,383 connections had not.
    fn port(&mut self) -> u16 {
        self.connections = self.connections.wrapping_add(1);
        49_152 | self.connections
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

    /// Runs a transfer of the board with itself, to the end of its client.
    ///
    /// # Errors
    /// The fault with which the client ended.
    pub fn alone(
        &mut self,
        [client, server]: [&mut dyn Transfer; 2],
        [kept, sent]: [&mut dyn Storage; 2],
    ) -> Result<(), Fault> {
        let at = IpEndpoint::new(self.address, self.port());
        let mut server = Running::on(self, (1, at.port), server, sent, at);
        let mut client = Running::new(self, client, kept, at);
        loop {
            let now = self.poll();
            let _ = server.turn(self, now);
            if let Some(how) = client.turn(self, now) {
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
    /// The number of the UDP socket.
    socket: usize,
    transfer: &'t mut dyn Transfer,
    storage: &'t mut dyn Storage,
    /// Where the first datagram goes, and the host that the others come from.
    server: IpEndpoint,
    /// The first datagram that the transfer takes tells its port. A stranger on the same host does not.
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
        Self::on(net, (0, port), transfer, storage, server)
    }

    /// On a socket, which is bound to this port.
    fn on(
        net: &mut Net,
        (number, port): (usize, u16),
        transfer: &'t mut dyn Transfer,
        storage: &'t mut dyn Storage,
        server: IpEndpoint,
    ) -> Self {
        let socket = net.udp_socket(number);
        socket.close();
        let _ = socket.bind(port);
        Self { socket: number, transfer, storage, server, peer: None, held: [0; FRAME_MAX], at: 0 }
    }

    /// Does all that can be done now, as [`windlass_core::transfer`] says. Returns how the transfer ended,
    /// if it did.
    pub fn turn(&mut self, net: &mut Net, now: Instant) -> Option<Result<(), Fault>> {
        let socket = net.udp_socket(self.socket);
        loop {
            let want = self.transfer.want();
            if want.wake.is_due(now) {
                self.transfer.tick(now);
            } else if want.write && socket.can_send() {
                if !self.send(socket, now) {
                    return None;
                }
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
                if from.addr != self.server.addr || self.peer.is_some_and(|peer| peer != from) {
                    continue;
                }
                match self.transfer.handle(now, self.held.get(..len).unwrap_or_default()) {
                    Heard::Ignored | Heard::Malformed(_) => continue,
                    Heard::Store { at } => self.at = at,
                    Heard::Taken | Heard::Ended { .. } => {}
                    Heard::Replaced => return Some(Err(Fault::Aborted)),
                }
                self.peer = Some(from);
            } else {
                return None;
            }
        }
    }

    /// Sends what is owed: heads, and behind them parts of the file, which the storage has at once. Returns whether any
    /// of it found room: a socket that takes another datagram may have too few bytes left for this one.
    fn send(&mut self, socket: &mut udp::Socket<'_>, now: Instant) -> bool {
        let (mut datagram, mut count) = ([0; FRAME_MAX], 0);
        while let Some(tx) = self.transfer.render(now, count, &mut datagram) {
            let len = tx.head + usize::try_from(tx.body.len).unwrap_or(FRAME_MAX);
            let body = datagram.get_mut(tx.head..len).unwrap_or_default();
            if !body.is_empty() {
                let read = Op::Read { extent: tx.body, digest: None };
                if self.storage.perform(now, read, body) != Answer::Read(body.len()) {
                    self.transfer.abort(StorageFault::Failed.into());
                    return true;
                }
            }
            let datagram = datagram.get(..len).unwrap_or_default();
            if socket.send_slice(datagram, self.peer.unwrap_or(self.server)).is_err() {
                break;
            }
            count += 1;
        }
        self.transfer.sent(now, count);
        count > 0
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
