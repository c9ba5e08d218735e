//! Clients of services on datagrams.

use std::net::{Ipv4Addr, UdpSocket};

use crate::PATIENCE;

/// A client with an address of this host.
#[track_caller]
pub fn client_at(own: [u8; 4]) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::from(own), 0)).expect("bind");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    socket
}

/// Nothing has come to it by now.
#[track_caller]
pub fn hears_nothing(client: &UdpSocket) {
    client.set_nonblocking(true).expect("set");
    assert!(client.recv(&mut [0; 100]).is_err(), "something came");
}
