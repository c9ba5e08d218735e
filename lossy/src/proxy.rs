//! The loop: it waits for all sockets at once, and hands on what is due.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::path::{Fate, Fates, Path};

/// A client that is silent for so long is forgotten, with its sockets.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// What came of the datagrams of one direction.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) doubled: AtomicU64,
}

pub(crate) struct Proxy<'t> {
    /// The address that clients ask.
    front: Rc<UdpSocket>,
    server: SocketAddr,
    seed: u64,
    paths: [Path; 2],
    clients: Vec<Client>,
    /// Clients so far.
    count: u64,
    road: Road<'t>,
}

/// One client, and its counterpart towards the server.
struct Client {
    at: SocketAddr,
    up: Rc<UdpSocket>,
    /// The other addresses of the server that answered, and what stands for them.
    doors: Vec<(SocketAddr, Rc<UdpSocket>)>,
    fates: [Fates; 2],
    seen: Instant,
}

/// What is on its way.
struct Road<'t> {
    /// By the time of arrival; of two that arrive at once, the one that was sent first.
    late: BTreeMap<(Instant, u64), Late>,
    /// Of all that were late.
    serial: u64,
    tally: &'t [Tally; 2],
}

struct Late {
    from: Rc<UdpSocket>,
    to: SocketAddr,
    bytes: Box<[u8]>,
}

impl<'t> Proxy<'t> {
    pub(crate) fn new(
        front: UdpSocket,
        server: SocketAddr,
        seed: u64,
        paths: [Path; 2],
        tally: &'t [Tally; 2],
    ) -> Self {
        let road = Road { late: BTreeMap::new(), serial: 0, tally };
        Self { front: Rc::new(front), server, seed, paths, clients: Vec::new(), count: 0, road }
    }

    /// Until the other end of `stopped` is closed.
    pub(crate) fn run(&mut self, stopped: &UnixStream) {
        if self.front.set_nonblocking(true).is_err() {
            return;
        }
        let mut buf = vec![0; 1 << 16];
        loop {
            let next = self.road.late.first_key_value().map(|(&(at, _), _)| at);
            let wait = next.map(|at| at.saturating_duration_since(Instant::now()));
            let sockets = self.clients.iter().flat_map(|client| {
                std::iter::once(&client.up).chain(client.doors.iter().map(|(_, door)| door))
            });
            let mut all = vec![PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
            all.extend(
                std::iter::once(&self.front)
                    .chain(sockets)
                    .map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)),
            );
            if ppoll(&mut all, wait.map(TimeSpec::from), None).is_err() {
                continue;
            }
            if all[0].any().unwrap_or(true) {
                return;
            }
            self.road.arrive();
            self.serve_front(&mut buf);
            for client in &mut self.clients {
                client.exchange(&mut self.road, &self.front, self.server, &mut buf);
            }
            self.clients.retain(|client| client.seen.elapsed() < FORGOTTEN_AFTER);
        }
    }

    /// What clients send to the address that they were told.
    fn serve_front(&mut self, buf: &mut [u8]) {
        while let Some((len, at)) = receive(&self.front, buf) {
            let known = self.clients.iter().position(|client| client.at == at);
            let Some(nth) = known.or_else(|| self.meet(at)) else { continue };
            let client = &mut self.clients[nth];
            client.seen = Instant::now();
            self.road.hand_on(THERE, &mut client.fates, &client.up, self.server, &buf[..len]);
        }
    }

    /// A new client. `None`: there is no descriptor left, and its datagram is lost.
    fn meet(&mut self, at: SocketAddr) -> Option<usize> {
        let any: IpAddr = match self.server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let up = open(any).ok()?;
        let seed = self.seed.wrapping_mul(0x0001_0000).wrapping_add(self.count << 1);
        self.count += 1;
        let fates = [Fates::new(self.paths[0], seed), Fates::new(self.paths[1], seed + 1)];
        self.clients.push(Client { at, up, doors: Vec::new(), fates, seen: Instant::now() });
        Some(self.clients.len() - 1)
    }
}

impl Client {
    /// What the server sends to this client, and what this client sends to a port that answered.
    fn exchange(
        &mut self,
        road: &mut Road<'_>,
        front: &Rc<UdpSocket>,
        server: SocketAddr,
        buf: &mut [u8],
    ) {
        while let Some((len, from)) = receive(&self.up, buf) {
            self.seen = Instant::now();
            let known = self.doors.iter().find(|(at, _)| *at == from).map(|(_, door)| door);
            let door = match known {
                _ if from == server => Rc::clone(front),
                Some(door) => Rc::clone(door),
                None => {
                    let ip = front.local_addr().map(|at| at.ip());
                    let Ok(door) = ip.and_then(open) else { continue };
                    self.doors.push((from, Rc::clone(&door)));
                    door
                }
            };
            road.hand_on(BACK, &mut self.fates, &door, self.at, &buf[..len]);
        }
        for (to, door) in &self.doors {
            while let Some((len, from)) = receive(door, buf) {
                if from == self.at {
                    self.seen = Instant::now();
                    road.hand_on(THERE, &mut self.fates, &self.up, *to, &buf[..len]);
                }
            }
        }
    }
}

const THERE: usize = 0;
const BACK: usize = 1;

impl Road<'_> {
    /// A datagram leaves in this direction.
    fn hand_on(
        &mut self,
        direction: usize,
        fates: &mut [Fates; 2],
        from: &Rc<UdpSocket>,
        to: SocketAddr,
        bytes: &[u8],
    ) {
        let tally = &self.tally[direction];
        tally.sent.fetch_add(1, Ordering::Relaxed);
        let Fate::Arrives(after, copy) = fates[direction].next() else {
            tally.lost.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if copy.is_some() {
            tally.doubled.fetch_add(1, Ordering::Relaxed);
        }
        for after in std::iter::once(after).chain(copy) {
            if after.is_zero() {
                // What does not fit is lost, as on any network.
                let _ = from.send_to(bytes, to);
                continue;
            }
            let (from, bytes) = (Rc::clone(from), bytes.into());
            self.serial += 1;
            let at = Instant::now() + after;
            self.late.insert((at, self.serial), Late { from, to, bytes });
        }
    }

    /// What is due arrives.
    fn arrive(&mut self) {
        let now = Instant::now();
        while let Some(late) = self.late.first_entry().filter(|late| late.key().0 <= now) {
            let Late { from, to, bytes } = late.remove();
            let _ = from.send_to(&bytes, to);
        }
    }
}

fn open(ip: IpAddr) -> io::Result<Rc<UdpSocket>> {
    let socket = UdpSocket::bind((ip, 0))?;
    socket.set_nonblocking(true)?;
    Ok(Rc::new(socket))
}

fn receive(socket: &UdpSocket, buf: &mut [u8]) -> Option<(usize, SocketAddr)> {
    socket.recv_from(buf).ok()
}

#[cfg(test)]
mod tests;
