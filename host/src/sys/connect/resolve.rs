//! Names to addresses, in a bounded time.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use windlass_core::time::Instant;

use crate::addr::HostPort;
use crate::error::{Error, Result};
use crate::sys::clock;

/// The addresses of a host and port, in the order to try them, if the resolver knows them before
/// `deadline`.
///
/// `getaddrinfo(3)` cannot be told when to stop, and asks a silent server for half a minute. So a thread
/// calls it. If the answer comes too late the thread is left behind, and ends by itself: for programs
/// that ask once or twice.
///
/// # Errors
/// The error of the resolver; `ETIMEDOUT`.
pub fn resolve_within(at: &HostPort, deadline: Instant) -> Result<Vec<SocketAddr>> {
    // Only for a name the resolver is asked.
    if let Some(literal) = literal(at)? {
        return Ok(vec![literal]);
    }
    let (host, port) = (at.host.clone(), at.port);
    let ask = move || (host.as_str(), port).to_socket_addrs().map(Vec::from_iter);
    in_time(ask, deadline).map_err(Error::of("resolve", &at.host))
}

/// The address, if the host is no name.
///
/// # Errors
/// There is no interface with the name or the number of the zone.
pub(super) fn literal(at: &HostPort) -> Result<Option<SocketAddr>> {
    if let Some((ip, zone)) = at.zoned() {
        let zone = if_nametoindex(zone).or_else(|errno| zone.parse().map_err(|_| errno));
        let zone = zone.map_err(Error::of("resolve", &at.host))?;
        return Ok(Some(SocketAddrV6::new(ip, at.port, 0, zone).into()));
    }
    Ok(at.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, at.port)))
}

fn in_time<T: Send + 'static>(
    ask: impl FnOnce() -> io::Result<T> + Send + 'static,
    deadline: Instant,
) -> std::result::Result<T, Box<dyn std::error::Error + Send + Sync>> {
    let (sender, answer) = channel();
    thread::Builder::new().name("resolver".into()).spawn(move || sender.send(ask()))?;
    match answer.recv_timeout(Duration::from_micros(deadline.since(clock::now()))) {
        Ok(answer) => Ok(answer?),
        Err(RecvTimeoutError::Timeout) => Err(Errno::ETIMEDOUT.into()),
        Err(RecvTimeoutError::Disconnected) => Err("the resolver ended without an answer".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str) -> HostPort {
        HostPort { host: host.to_owned(), port: 7 }
    }

    #[test]
    fn an_address_is_not_asked_for() {
        for (host, address) in [("127.0.0.1", "127.0.0.1:7"), ("::1", "[::1]:7")] {
            let found = resolve_within(&at(host), Instant::ZERO).unwrap();
            assert_eq!(found, [address.parse().unwrap()]);
        }
    }

    #[test]
    fn a_zone_is_part_of_an_address() {
        let found = resolve_within(&at("fe80::1%lo"), clock::now().after(60_000_000)).unwrap();
        let [SocketAddr::V6(found)] = found[..] else { panic!("{found:?}") };
        assert_eq!((found.ip().to_string(), found.scope_id()), ("fe80::1".into(), 1));
    }

    #[test]
    fn an_answer_that_does_not_come_ends_at_the_deadline() {
        let (_silent, never) = channel::<()>();
        let ask = move || never.recv().map_err(io::Error::other);
        let error = in_time(ask, clock::now().after(20_000)).unwrap_err();
        assert_eq!(error.to_string(), Errno::ETIMEDOUT.to_string());
    }
}
