//! Datagrams sent and listened to: what `score` and `cast` have in common.

pub mod cast;
#[cfg(feature = "cli")]
pub mod score;
mod talk;
pub(super) mod time;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use talk::talk;
pub use time::time;
use tracing::{info, warn};

use super::on_ending_signals;
use crate::addr::{Address, Transport};
use crate::error::{Error, Result};
use crate::printable::printable;
use crate::reactor::{Context, Datagrams as Arrived, EventLoop};
use crate::standard;
use crate::sys::connect::resolve_within;
use crate::sys::datagram::{self, Datagrams, Peer, group};
use crate::sys::listener::{Group, Listener};
use crate::sys::{Errno, clock};

/// How datagrams get where they go.
#[derive(Debug, Clone, Default)]
pub struct Route {
    /// The interface that they leave by, by its name.
    pub interface: Option<String>,
    /// Broadcast addresses are allowed.
    pub broadcast: bool,
    /// How many routers they may pass; otherwise what the system has: 1 for groups.
    pub ttl: Option<u8>,
}

/// Which datagrams are listened to.
#[derive(Debug, Clone)]
pub struct Listening {
    /// Where.
    pub address: Address,
    /// The group to join.
    pub group: Option<IpAddr>,
    /// The interface, by its name: of the group, or without one, of the socket.
    pub interface: Option<String>,
    /// End after so many that were shown.
    pub count: Option<u64>,
}

/// How long a name may take to be resolved, in microseconds.
const RESOLVE_US: u64 = 10_000_000;

/// A socket to send with, and where to.
struct Sender {
    socket: Datagrams,
    /// `None`: it is connected.
    to: Option<SocketAddr>,
    address: Address,
}

impl Sender {
    fn open(address: &Address, route: &Route) -> Result<Self> {
        let deadline = clock::now().after(RESOLVE_US);
        let failed = |errno| Error::new("send to", address, errno);
        let Address::Udp(at) = address else {
            let socket = datagram::connect_to_send(address, deadline)?;
            return Ok(Self { socket, to: None, address: address.clone() });
        };
        // Of several addresses of a name the first: nothing would say which of them heard it.
        let to = resolve_within(at, deadline)?.first().copied();
        let to = to.ok_or_else(|| failed(Errno::EADDRNOTAVAIL))?;
        if to.port() == 0 {
            return Err(Error::new("send to", address, "nothing receives at port 0"));
        }
        if route.ttl == Some(0) && !to.ip().is_multicast() {
            return Err(Error::new("send to", address, "a TTL of 0 is for multicast groups"));
        }
        let socket = datagram::open(to).map_err(failed)?;
        if route.broadcast {
            datagram::allow_broadcast(&socket).map_err(failed)?;
        }
        if let Some(name) = &route.interface {
            let by = |errno| Error::new("send by interface", printable(name), errno);
            if to.ip().is_multicast() {
                let number = group::interface(name).map_err(by)?;
                group::send_by(&socket, to.ip(), number).map_err(by)?;
            } else {
                datagram::bind_to_device(&socket, name).map_err(by)?;
            }
        }
        if let Some(ttl) = route.ttl {
            let set = if to.ip().is_multicast() { group::set_ttl } else { group::set_unicast_ttl };
            set(&socket, to.ip(), ttl).map_err(failed)?;
        }
        Ok(Self { socket, to: Some(to), address: address.clone() })
    }

    /// Sends one datagram. False: there is no room for it now.
    fn try_send(&self, datagram: &[u8]) -> Result<bool> {
        let sent = match self.to {
            Some(to) => self.socket.send_to(datagram, to),
            None => self.socket.send(datagram),
        };
        sent.map_err(|errno| {
            let error = Error::new("send to", &self.address, errno);
            match errno {
                Errno::EACCES => error.and("a broadcast address takes --broadcast"),
                Errno::EMSGSIZE => error.and(format!("it has {} bytes", datagram.len())),
                _ => error,
            }
        })
    }
}

/// When there is no room to send, it is tried again after so many microseconds. The socket may say that it
/// has room while a queue below it is full (`ENOBUFS`).
const NO_ROOM_US: u64 = 1_000;

/// The state of [`listen`].
struct Ear<F> {
    left: Option<u64>,
    show: F,
    dropped: Dropped,
    /// The counts when they were logged last.
    told: Dropped,
    outcome: Result<()>,
}

/// Datagrams that were not shown.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
struct Dropped {
    /// The number of datagrams that do not follow the protocol, or are too long.
    malformed: u64,
    /// This program was too slow (`SO_RXQ_OVFL`).
    overflow: u64,
}

/// Listens, and prints what `show` makes of each datagram, until a signal comes or enough were shown. What
/// `show` refuses is counted, and told once a second. `room` is the longest datagram that is taken, in bytes.
///
/// # Errors
/// The socket cannot be opened, there is no such group or interface, or standard output fails.
fn listen<F>(what: &Listening, room: usize, show: F) -> Result<()>
where
    F: FnMut(&Peer, &[u8]) -> Option<String> + 'static,
{
    let mut events = EventLoop::new()?;
    // Before there is a socket file, so that an end at any moment takes it away.
    on_ending_signals(&mut events, |_: &mut Ear<F>, cx, _| cx.exit())?;
    let socket = open(what)?;
    let group = socket.group().map(|group| format!(", in the group {group}"));
    let line = format!("listening {}{}\n", socket.address(), group.unwrap_or_default());
    let mut member = socket.share()?;
    events.datagrams(socket, move |datagrams, ear, cx| ear.hear(datagrams, room, cx))?;
    events.every(Duration::from_secs(1), move |ear, _| {
        ear.log_dropped();
        if member.renew_membership()
            && let Some(group) = member.group()
        {
            info!("joined {group} again");
        }
    });
    standard::print_stderr(&line);
    let (dropped, told) = (Dropped::default(), Dropped::default());
    let mut ear = Ear { left: what.count, show, dropped, told, outcome: Ok(()) };
    events.run(&mut ear)?;
    // Datagrams that were dropped in the last second are logged too.
    ear.log_dropped();
    ear.outcome
}

/// A group that is given, or that the address is one of, is joined.
fn open(what: &Listening) -> Result<Listener> {
    let own = what.address.socket_addr().map(|at| at.ip()).filter(IpAddr::is_multicast);
    let Some(address) = what.group.or(own) else {
        if what.address.transport() != Some(Transport::Datagram) {
            let why = "this is not the address of a datagram socket";
            return Err(Error::new("listen on", &what.address, why));
        }
        let socket = Listener::bind(&what.address, 1)?;
        if let Some(name) = &what.interface {
            datagram::bind_to_device(&socket, name)
                .map_err(Error::of("listen on interface", printable(name)))?;
        }
        return Ok(socket);
    };
    Listener::bind_member(&what.address, Group { address, interface: what.interface.clone() })
}

impl<F: FnMut(&Peer, &[u8]) -> Option<String>> Ear<F> {
    fn hear(&mut self, datagrams: &mut Arrived<'_>, room: usize, cx: &mut Context<Self>) {
        if let Some(errno) = datagrams.error {
            self.outcome = Err(Error::new("receive on", datagrams.socket.address(), errno));
            return cx.exit();
        }
        self.dropped.overflow = datagrams.batch.overflow().into();
        let mut text = String::new();
        for received in datagrams.batch.iter_mut() {
            if self.left == Some(0) {
                break;
            }
            let fits = !received.cut && received.len <= room;
            let line = fits.then(|| (self.show)(received.peer, received.datagram()));
            match line.flatten() {
                Some(line) => {
                    text.push_str(&line);
                    self.left = self.left.map(|left| left - 1);
                }
                None => self.dropped.malformed += 1,
            }
        }
        if !text.is_empty() {
            self.outcome = standard::print(&text);
        }
        if self.outcome.is_err() || self.left == Some(0) {
            cx.exit();
        }
    }
}

impl<F> Ear<F> {
    /// Says what was dropped since.
    fn log_dropped(&mut self) {
        if self.told != self.dropped {
            let malformed = self.dropped.malformed - self.told.malformed;
            let overflow = self.dropped.overflow.wrapping_sub(self.told.overflow);
            warn!(malformed, overflow, "datagrams were dropped");
            self.told = self.dropped;
        }
    }
}
