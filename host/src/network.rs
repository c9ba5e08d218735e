//! Networks of internet addresses, as `--allow` and `--deny` have them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network: all addresses that begin with the same bits.
///
/// An address without a length is the network of that address alone.
///
/// ```
/// use windlass::network::Network;
///
/// let network: Network = "192.0.2.0/24".parse().unwrap();
/// assert!(network.contains("192.0.2.7".parse().unwrap()));
/// // The address of an IPv4 client at an IPv6 socket.
/// assert!(network.contains("::ffff:192.0.2.7".parse().unwrap()));
/// assert!("192.0.2.7/24".parse::<Network>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// The first address. An IPv4 address is never mapped into IPv6.
    first: IpAddr,
    /// Bits that all addresses begin with.
    len: u8,
}

impl Network {
    /// Whether an address is in it. An IPv4 address that is mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && first_of(address, self.len) == self.first
    }
}

/// Where the connections of a balancer come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balancer {
    /// From this network.
    Network(Network),
    /// From this host, through a Unix socket: `unix`.
    Unix,
}

impl FromStr for Balancer {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "unix" { Ok(Self::Unix) } else { text.parse().map(Self::Network) }
    }
}

/// Bits of an address of this family.
fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The first address of the network of `len` bits that has the address.
pub(crate) fn first_of(address: IpAddr, len: u8) -> IpAddr {
    let host = u32::from(bits(address).saturating_sub(len));
    match address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(host).unwrap_or(0);
            Ipv4Addr::from_bits(ip.to_bits() & mask).into()
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(host).unwrap_or(0);
            Ipv6Addr::from_bits(ip.to_bits() & mask).into()
        }
    }
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "a network is ADDRESS or ADDRESS/LENGTH, such as 192.0.2.0/24";
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (text, None),
        };
        let given: IpAddr = address.parse().map_err(|_| FORM)?;
        let first = given.to_canonical();
        let len = match len {
            None => bits(first),
            Some(len) if len.bytes().all(|byte| byte.is_ascii_digit()) => {
                let len: u8 = len.parse().map_err(|_| FORM)?;
                // 96 bits of a mapped address are not the client's.
                len.checked_sub(bits(given) - bits(first)).ok_or(FORM)?
            }
            Some(_) => return Err(FORM),
        };
        if len > bits(first) {
            return Err("the length is longer than the address");
        }
        if first_of(first, len) != first {
            return Err("the address has bits behind the length of the network");
        }
        Ok(Self { first, len })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_that_begin_with_its_bits() {
        for (network, inside, outside) in [
            ("0.0.0.0/0", &["0.0.0.0", "255.255.255.255", "::ffff:1.2.3.4"][..], &["::"][..]),
            ("::/0", &["::", "ffff::1"], &["1.2.3.4", "::ffff:1.2.3.4"]),
            ("10.0.0.0/8", &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"], &["11.0.0.0"]),
            ("192.0.2.128/25", &["192.0.2.128", "192.0.2.255"], &["192.0.2.127"]),
            ("192.0.2.7", &["192.0.2.7"], &["192.0.2.6", "192.0.2.8"]),
            ("::ffff:192.0.2.0/120", &["192.0.2.7", "::ffff:192.0.2.7"], &["192.0.3.0"]),
            ("2001:db8::/33", &["2001:db8:7fff::"], &["2001:db8:8000::"]),
            ("::1", &["::1"], &["::2", "127.0.0.1"]),
        ] {
            let network: Network = network.parse().unwrap();
            for address in inside {
                assert!(network.contains(address.parse().unwrap()), "{network} {address}");
            }
            for address in outside {
                assert!(!network.contains(address.parse().unwrap()), "{network} {address}");
            }
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "/",
            "10",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "10.0.0.0/8/8",
            "10.0.0.1/8",
            "::1/64",
            "::/129",
            "::ffff:10.0.0.0/8",
            "localhost",
            "fe80::1%lo",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
