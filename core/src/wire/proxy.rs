//! The header by which a balancer tells a server which client a connection is of (PROXY protocol, versions 1
//! and 2).
//!
//! ```text
//!   PROXY TCP4 192.0.2.7 198.51.100.1 4711 80 CR LF           version 1: a line, at most 107 bytes
//!   \r\n\r\n\0\r\nQUIT\n │ 0x21 │ family │ u16 length │ addresses │ further fields        version 2
//! ```
//!
//! `PROXY UNKNOWN` is 15 bytes with its end, one less than the fixed part of version 2: so the first byte that
//! differs decides, and nothing waits for sixteen.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::bytes::{after, find, first};
use crate::fault::Peer;

/// The longest header that is taken, in bytes: room for the fields behind the addresses.
pub const HEADER_MAX: usize = 1024;

/// The longest header of version 1.
const LINE_MAX: usize = 107;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of version 2 before the addresses.
const FIXED: usize = 16;

/// What the bytes of a connection begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Proxied {
    /// There is more to come; all bytes so far are of the header.
    More,
    /// A header of so many bytes.
    Header {
        /// Its length.
        len: usize,
        /// The client, if the balancer says it. It says none of a connection of its own, such as a check.
        client: Option<Client>,
    },
}

/// The address of a client, as a balancer has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client(pub SocketAddr);

#[cfg(feature = "defmt")]
impl defmt::Format for Client {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Client({})", self.0.port());
    }
}

impl Proxied {
    /// Looks at all bytes that have come.
    ///
    /// # Errors
    /// They are no header, or one that is too long.
    pub fn parse(bytes: &[u8]) -> Result<Self, Peer> {
        let begins = |with: &[u8]| {
            let n = bytes.len().min(with.len());
            first(bytes, n) == first(with, n)
        };
        if begins(SIGNATURE) {
            binary(bytes)
        } else if begins(b"PROXY ") {
            text(bytes)
        } else {
            Err(Peer::Malformed)
        }
    }
}

fn too_long(claimed: usize, max: usize) -> Peer {
    let [claimed, max] = [claimed, max].map(|len| u32::try_from(len).unwrap_or(u32::MAX));
    Peer::TooLong { claimed, max }
}

/// Version 1.
fn text(bytes: &[u8]) -> Result<Proxied, Peer> {
    let Some(end) = find(b'\n', first(bytes, LINE_MAX)) else {
        return if bytes.len() < LINE_MAX {
            Ok(Proxied::More)
        } else {
            Err(too_long(bytes.len(), LINE_MAX))
        };
    };
    let line = first(bytes, end);
    let line = line.strip_suffix(b"\r").ok_or(Peer::Malformed)?;
    let line = core::str::from_utf8(line).map_err(|_| Peer::Malformed)?;
    let mut words = line.split(' ');
    let (_, kind) = (words.next(), words.next());
    let client = match kind {
        // What follows is of no meaning.
        Some("UNKNOWN") => None,
        Some(kind @ ("TCP4" | "TCP6")) => {
            let is_v4 = kind == "TCP4";
            let [source, target] = [words.next(), words.next()].map(|word| address(word, is_v4));
            let [port, target_port] = [words.next(), words.next()].map(port);
            target?;
            target_port?;
            if words.next().is_some() {
                return Err(Peer::Malformed);
            }
            Some(Client(SocketAddr::new(source?, port?)))
        }
        _ => return Err(Peer::Malformed),
    };
    Ok(Proxied::Header { len: end.saturating_add(1), client })
}

fn address(word: Option<&str>, is_v4: bool) -> Result<IpAddr, Peer> {
    let address: IpAddr = word.and_then(|word| word.parse().ok()).ok_or(Peer::Malformed)?;
    if address.is_ipv4() == is_v4 { Ok(address) } else { Err(Peer::Malformed) }
}

fn port(word: Option<&str>) -> Result<u16, Peer> {
    let word = word.filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    let is_plain = |word: &&str| *word == "0" || !word.starts_with('0');
    word.filter(is_plain).and_then(|word| word.parse().ok()).ok_or(Peer::Malformed)
}

/// Version 2.
fn binary(bytes: &[u8]) -> Result<Proxied, Peer> {
    // Each byte is looked at when it is there.
    let (command, family) = (bytes.get(12).copied(), bytes.get(13).copied());
    if !matches!(command, None | Some(0x20 | 0x21)) {
        return Err(Peer::Malformed);
    }
    let Some(&[high, low]) = bytes.get(14..FIXED).and_then(|two| two.first_chunk()) else {
        return Ok(Proxied::More);
    };
    let rest = usize::from(u16::from_be_bytes([high, low]));
    let len = FIXED.saturating_add(rest);
    if len > HEADER_MAX {
        return Err(too_long(len, HEADER_MAX));
    }
    if bytes.len() < len {
        return Ok(Proxied::More);
    }
    let fields = after(first(bytes, len), FIXED);
    let client = match (command, family) {
        (Some(0x21), Some(0x11)) => {
            let [a, b, c, d, _, _, _, _, high, low, ..] = *fields else {
                return Err(Peer::Malformed);
            };
            let ip = Ipv4Addr::new(a, b, c, d);
            if fields.len() < 12 {
                return Err(Peer::Malformed);
            }
            Some(Client(SocketAddr::new(ip.into(), u16::from_be_bytes([high, low]))))
        }
        (Some(0x21), Some(0x21)) => {
            let ip: [u8; 16] = *fields.first_chunk().ok_or(Peer::Malformed)?;
            let ports: &[u8; 4] = after(fields, 32).first_chunk().ok_or(Peer::Malformed)?;
            let [high, low, ..] = *ports;
            let ip = IpAddr::V6(Ipv6Addr::from(ip));
            Some(Client(SocketAddr::new(ip, u16::from_be_bytes([high, low]))))
        }
        // A connection of the balancer itself; AF_UNSPEC, a Unix socket, datagrams: there is no address that
        // means anything here.
        (Some(0x20), _) | (_, Some(0x00 | 0x12 | 0x22 | 0x31 | 0x32)) => None,
        _ => return Err(Peer::Malformed),
    };
    Ok(Proxied::Header { len, client })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    /// A header: before its end it is not one, and never something else.
    fn parse(bytes: &[u8]) -> Proxied {
        let whole = Proxied::parse(bytes).unwrap();
        let Proxied::Header { len, .. } = whole else { panic!("it is not whole") };
        for cut in 0..len {
            assert_eq!(Proxied::parse(&bytes[..cut]), Ok(Proxied::More), "{cut}");
        }
        assert_eq!(Proxied::parse(&bytes[..len]), Ok(whole), "what is behind it does not matter");
        whole
    }

    fn header(len: usize, client: Option<&str>) -> Proxied {
        let client = client.map(|client| Client(client.parse().unwrap()));
        Proxied::Header { len, client }
    }

    #[test]
    fn lines_of_version_1() {
        assert_eq!(parse(b"PROXY UNKNOWN\r\n"), header(15, None));
        assert_eq!(parse(b"PROXY UNKNOWN ff:: ff:: 1 2\r\nGET"), header(29, None));
        let four = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\nGET /";
        assert_eq!(parse(four), header(43, Some("192.0.2.7:4711")));
        let six = b"PROXY TCP6 2001:db8::7 ::1 65535 0\r\n";
        assert_eq!(parse(six), header(36, Some("[2001:db8::7]:65535")));
        for bad in [
            &b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\n"[..],
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
            b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY \r\n",
            b"PROXY\r\n",
            b"proxy UNKNOWN\r\n",
            b"GET / HTTP/1.1\r\n",
            b"\x16\x03\x01",
            b"\r\n\r\n\0\r\nQUIT\r",
        ] {
            assert_eq!(Proxied::parse(bad), Err(Peer::Malformed), "{bad:?}");
        }
        let long = [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat();
        assert_eq!(Proxied::parse(&long[..106]), Ok(Proxied::More));
        assert!(matches!(Proxied::parse(&long), Err(Peer::TooLong { max: 107, .. })));
    }

    fn binary(command: u8, family: u8, fields: &[u8]) -> Vec<u8> {
        let len = u16::try_from(fields.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &len, fields].concat()
    }

    #[test]
    fn headers_of_version_2() {
        let four = [192, 0, 2, 7, 198, 51, 100, 1, 18, 103, 0, 80];
        assert_eq!(parse(&binary(0x21, 0x11, &four)), header(28, Some("192.0.2.7:4711")));
        let longer = [&four[..], &[3, 0, 4, 1, 2, 3, 4]].concat();
        assert_eq!(parse(&binary(0x21, 0x11, &longer)), header(35, Some("192.0.2.7:4711")));
        let mut six = [0; 36];
        (six[15], six[33]) = (7, 9);
        assert_eq!(parse(&binary(0x21, 0x21, &six)), header(52, Some("[::7]:9")));
        // A check of the balancer's own, with or without an address; no family; a Unix socket.
        assert_eq!(parse(&binary(0x20, 0x00, &[])), header(16, None));
        assert_eq!(parse(&binary(0x20, 0x11, &four)), header(28, None));
        assert_eq!(parse(&binary(0x21, 0x00, &[1, 2])), header(18, None));
        assert_eq!(parse(&binary(0x21, 0x31, &[0; 216])), header(232, None));
        for bad in [
            binary(0x11, 0x11, &four),
            binary(0x22, 0x11, &four),
            binary(0x21, 0x13, &four),
            binary(0x21, 0x11, &four[..11]),
            binary(0x21, 0x21, &six[..35]),
        ] {
            assert_eq!(Proxied::parse(&bad), Err(Peer::Malformed), "{bad:?}");
        }
        let long = binary(0x21, 0x11, &[0; 1009]);
        let too_long = Err(Peer::TooLong { claimed: 1025, max: 1024 });
        assert_eq!(Proxied::parse(&long[..16]), too_long);
        assert_eq!(parse(&binary(0x21, 0x00, &[0; 1008])), header(1024, None));
    }
}
