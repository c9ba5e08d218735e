//! A network: smoltcp on a device. A frame is what the port reads, or writes, at once.

use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

use crate::{Port, compiler_routines, keep, lend, now, number};

/// The longest frame, without its checksum.
const FRAME_MAX: usize = 1514;

/// The port of the only service.
const SERVICE: u16 = 7;

/// A device.
#[derive(Debug)]
struct Wire;

/// A frame that came.
#[derive(Debug)]
struct Came(&'static [u8]);

/// A frame to send.
#[derive(Debug)]
struct Goes;

impl Device for Wire {
    type RxToken<'a> = Came;
    type TxToken<'a> = Goes;

    fn receive(&mut self, _: Instant) -> Option<(Came, Goes)> {
        let frame = lend::<FRAME_MAX>();
        let len = Port::new().read(frame);
        frame.get(..len).filter(|frame| !frame.is_empty()).map(|frame| (Came(frame), Goes))
    }

    fn transmit(&mut self, _: Instant) -> Option<Goes> {
        Some(Goes)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME_MAX;
        capabilities
    }
}

impl RxToken for Came {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(self.0)
    }
}

impl TxToken for Goes {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let frame = lend::<FRAME_MAX>().get_mut(..len).unwrap_or_default();
        let filled = fill(frame);
        Port::new().write(frame);
        filled
    }
}

fn interface() -> Interface {
    let config = Config::new(EthernetAddress([2, 0, 0, 0, 0, 1]).into());
    let mut interface = Interface::new(config, &mut Wire, now().into());
    interface.update_ip_addrs(|addresses| {
        let _ = addresses.push(IpCidr::new(IpAddress::v4(10, 0, 0, 1), 24));
    });
    interface
}

/// A UDP socket that sends to and receives from any address.
pub fn udp() {
    compiler_routines();
    let mut interface = interface();
    let (mut received, mut sent) =
        ([udp::PacketMetadata::EMPTY; 4], [udp::PacketMetadata::EMPTY; 4]);
    let mut storage = [SocketStorage::EMPTY; 1];
    let mut sockets = SocketSet::new(&mut storage[..]);
    let handle = sockets.add(udp::Socket::new(
        udp::PacketBuffer::new(&mut received[..], &mut lend::<4096>()[..]),
        udp::PacketBuffer::new(&mut sent[..], &mut lend::<4096>()[..]),
    ));
    keep(sockets.get_mut::<udp::Socket<'_>>(handle).bind(SERVICE).is_ok().into());
    while number() > 0 {
        interface.poll(now().into(), &mut Wire, &mut sockets);
        let socket = sockets.get_mut::<udp::Socket<'_>>(handle);
        let buf = lend::<FRAME_MAX>();
        if let Ok((len, from)) = socket.recv_slice(buf) {
            let sent = socket.send_slice(buf.get(..len).unwrap_or_default(), from.endpoint);
            keep(sent.is_ok().into());
        }
    }
}

/// A TCP socket that connects to a server, or waits for a client.
pub fn tcp() {
    compiler_routines();
    let mut interface = interface();
    let mut storage = [SocketStorage::EMPTY; 1];
    let mut sockets = SocketSet::new(&mut storage[..]);
    let handle = sockets.add(tcp::Socket::new(
        tcp::SocketBuffer::new(&mut lend::<4096>()[..]),
        tcp::SocketBuffer::new(&mut lend::<1024>()[..]),
    ));
    let socket = sockets.get_mut::<tcp::Socket<'_>>(handle);
    let server = (IpAddress::v4(10, 0, 0, 2), SERVICE);
    let begun = if number() > 0 {
        socket.connect(interface.context(), server, 49_152).is_ok()
    } else {
        socket.listen(SERVICE).is_ok()
    };
    keep(begun.into());
    while number() > 0 {
        interface.poll(now().into(), &mut Wire, &mut sockets);
        let socket = sockets.get_mut::<tcp::Socket<'_>>(handle);
        let buf = lend::<FRAME_MAX>();
        if let Ok(len) = socket.recv_slice(buf) {
            keep(socket.send_slice(buf.get(..len).unwrap_or_default()).is_ok().into());
        }
        if !socket.may_recv() {
            socket.close();
        }
        if !socket.is_open() {
            socket.abort();
        }
    }
}
