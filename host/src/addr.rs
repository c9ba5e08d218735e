//! Addresses as the command line writes them.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::str::FromStr;

use crate::printable::{is_printable, printable};

/// Where to listen or connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `tcp:HOST:PORT`; the host is a name, an IPv4 address or `[IPv6]`, with its zone if it is
    /// link-local: `[fe80::1%eth0]`. Port 0 picks one.
    Tcp(HostPort),
    /// `udp:HOST:PORT`
    Udp(HostPort),
    /// `unix:PATH`, a stream socket in the file system.
    Unix(PathBuf),
    /// `unix:@NAME`, a stream socket in the abstract name space.
    UnixAbstract(String),
    /// `unix-dgram:PATH`
    UnixDatagram(PathBuf),
    /// `fd:N`, inherited from the parent process.
    Fd(RawFd),
}

/// The host and port of an internet address. The host is without brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// What arrives at a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Connections, which are accepted.
    Stream,
    /// Datagrams.
    Datagram,
}

/// Why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressError {
    /// It starts with none of the known schemes.
    Scheme,
    /// No host, an IPv6 address without brackets, or a character that cannot be shown.
    Host,
    /// The text in brackets is not an IPv6 address.
    Literal,
    /// The port is missing or not a number up to 65535.
    Port,
    /// The path or name is empty, too long for `sun_path`, or has a character that cannot be shown.
    Path,
    /// Not a descriptor number.
    Fd,
}

impl Address {
    /// The address of a TCP or UDP socket with a numeric host.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(at) | Self::Udp(at) => Some(SocketAddr::new(at.host.parse().ok()?, at.port)),
            Self::Unix(_) | Self::UnixAbstract(_) | Self::UnixDatagram(_) | Self::Fd(_) => None,
        }
    }
}

impl Address {
    /// What arrives at a listener with this address; `None` where only the socket itself can say.
    pub const fn transport(&self) -> Option<Transport> {
        match self {
            Self::Tcp(_) | Self::Unix(_) | Self::UnixAbstract(_) => Some(Transport::Stream),
            Self::Udp(_) | Self::UnixDatagram(_) => Some(Transport::Datagram),
            Self::Fd(_) => None,
        }
    }

    /// Its port becomes that of `real`, if both have one.
    pub fn set_port_of(&mut self, real: &Self) {
        if let (Self::Tcp(at) | Self::Udp(at), Self::Tcp(real) | Self::Udp(real)) = (self, real) {
            at.port = real.port;
        }
    }

    /// Whether both are the address of one socket, as far as can be told without a resolver: of two
    /// ways to write an IP address, say.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self.socket_addr(), other.socket_addr()) {
            (Some(one), Some(two)) => one == two && self.transport() == other.transport(),
            _ => self == other,
        }
    }
}

/// The longest path or abstract name, in bytes: `sun_path` less its NUL (unix(7)).
const SUN_PATH_MAX: usize = 107;

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once(':').ok_or(AddressError::Scheme)?;
        match scheme {
            "tcp" => Ok(Address::Tcp(rest.parse()?)),
            "udp" => Ok(Address::Udp(rest.parse()?)),
            "unix" => match rest.strip_prefix('@') {
                Some(name) => Ok(Address::UnixAbstract(sun_path(name)?.to_owned())),
                None => Ok(Address::Unix(sun_path(rest)?.into())),
            },
            "unix-dgram" => Ok(Address::UnixDatagram(sun_path(rest)?.into())),
            "fd" => match rest.parse() {
                Ok(fd) if fd >= 0 => Ok(Address::Fd(fd)),
                _ => Err(AddressError::Fd),
            },
            _ => Err(AddressError::Scheme),
        }
    }
}

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (host, port) = text.rsplit_once(':').ok_or(AddressError::Port)?;
        let host = match host.strip_prefix('[').map(|host| host.strip_suffix(']')) {
            Some(Some(bracketed)) if ipv6(bracketed).is_some() => bracketed,
            Some(Some(_)) => return Err(AddressError::Literal),
            Some(None) => return Err(AddressError::Host),
            None if host.contains(':') => return Err(AddressError::Host),
            None => host,
        };
        if host.is_empty() || host.contains(' ') || !is_printable(host) {
            return Err(AddressError::Host);
        }
        let port = port.parse().map_err(|_| AddressError::Port)?;
        Ok(Self { host: host.to_owned(), port })
    }
}

impl HostPort {
    /// The host as an IPv6 address with its zone, if it has one (RFC 4007): a link-local address
    /// means one of as many hosts as there are links.
    pub fn zoned(&self) -> Option<(Ipv6Addr, &str)> {
        let (address, zone) = ipv6(&self.host)?;
        zone.map(|zone| (address, zone))
    }
}

/// An IPv6 address as text, and its zone behind `%`: the name of an interface, or its number.
fn ipv6(text: &str) -> Option<(Ipv6Addr, Option<&str>)> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    // As the kernel takes names of interfaces: 15 bytes, without `/`, `:` and spaces.
    let is_zone = |zone: &str| {
        let is_name = zone.bytes().all(|byte| byte.is_ascii_graphic() && !b"/:[]%".contains(&byte));
        (1..=15).contains(&zone.len()) && is_name
    };
    let fits = zone.is_none_or(is_zone);
    address.parse().ok().filter(|_| fits).map(|address| (address, zone))
}

fn sun_path(text: &str) -> Result<&str, AddressError> {
    let fits = (1..=SUN_PATH_MAX).contains(&text.len()) && is_printable(text);
    if fits { Ok(text) } else { Err(AddressError::Path) }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(at) => write!(f, "tcp:{at}"),
            Address::Udp(at) => write!(f, "udp:{at}"),
            Address::Unix(path) => write!(f, "unix:{}", printable(path)),
            Address::UnixAbstract(name) => write!(f, "unix:@{name}"),
            Address::UnixDatagram(path) => write!(f, "unix-dgram:{}", printable(path)),
            Address::Fd(fd) => write!(f, "fd:{fd}"),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressError::Scheme => {
                "an address is tcp:HOST:PORT, unix:PATH, unix:@NAME, unix-dgram:PATH, \
                 udp:HOST:PORT or fd:N"
            }
            AddressError::Host => {
                "the host is empty, an IPv6 address without [brackets], or no name"
            }
            AddressError::Literal => {
                "in [brackets] is an IPv6 address, one of a link with its zone: [fe80::1%eth0]"
            }
            AddressError::Port => "the port is not a number from 0 to 65535",
            AddressError::Path => "a socket path has 1 to 107 bytes of printable characters",
            AddressError::Fd => "not a descriptor number",
        })
    }
}

impl std::error::Error for AddressError {}

impl From<AddressError> for std::io::Error {
    fn from(error: AddressError) -> Self {
        Self::new(std::io::ErrorKind::InvalidInput, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_parsed_prints_the_same() {
        for text in [
            "tcp:127.0.0.1:0",
            "tcp:[::1]:65535",
            "tcp:[fe80::1%eth0]:80",
            "tcp:[fe80::1%2]:80",
            "tcp:localhost:80",
            "udp:239.0.0.2:9000",
            "unix:/tmp/a b",
            "unix:relative",
            "unix:@name",
            "unix-dgram:/x",
            "fd:3",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let long = format!("unix:{}", "x".repeat(108));
        for (text, error) in [
            ("", AddressError::Scheme),
            ("127.0.0.1:80", AddressError::Scheme),
            ("http:localhost:80", AddressError::Scheme),
            ("tcp:80", AddressError::Port),
            ("tcp:localhost", AddressError::Port),
            ("tcp:localhost:", AddressError::Port),
            ("tcp:localhost:65536", AddressError::Port),
            ("tcp:localhost:-1", AddressError::Port),
            ("tcp::80", AddressError::Host),
            ("tcp:a b:80", AddressError::Host),
            ("tcp:\u{1b}[31m:80", AddressError::Host),
            ("tcp:a\u{202e}:80", AddressError::Host),
            ("tcp:::1:80", AddressError::Host),
            ("tcp:[::1:80", AddressError::Host),
            ("tcp:fe80::1%eth0:80", AddressError::Host),
            ("tcp:[localhost]:80", AddressError::Literal),
            ("tcp:[127.0.0.1]:80", AddressError::Literal),
            ("tcp:[]:80", AddressError::Literal),
            ("tcp:[fe80::1%]:80", AddressError::Literal),
            ("tcp:[fe80::1%a b]:80", AddressError::Literal),
            ("tcp:[fe80::1%a%b]:80", AddressError::Literal),
            ("tcp:[fe80::1%0123456789abcdef]:80", AddressError::Literal),
            ("unix:", AddressError::Path),
            ("unix:@", AddressError::Path),
            ("unix:a\0b", AddressError::Path),
            ("unix:a\nb", AddressError::Path),
            ("unix:a\u{202e}b", AddressError::Path),
            (&long, AddressError::Path),
            ("fd:-1", AddressError::Fd),
            ("fd:x", AddressError::Fd),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_zone_is_told_from_its_address() {
        let zoned = |text: &str| {
            let at: HostPort = text.parse().unwrap();
            at.zoned().map(|(address, zone)| (address.to_string(), zone.to_owned()))
        };
        let expected = Some(("fe80::1".to_owned(), "eth0".to_owned()));
        assert_eq!(zoned("[FE80:0::1%eth0]:80"), expected);
        assert_eq!(zoned("[fe80::1]:80"), None);
        assert_eq!(zoned("localhost:80"), None);
    }
}
