//! A UDP proxy in a thread of its own, which loses, doubles, delays and reorders what it hands on.
//!
//! ```text
//!   client ──▶ front ──▶ up ──▶ server, port 69           front: the address that clients ask
//!   client ◀── door ◀─── up ◀── server, port 40001        up: a socket for each client
//!   client ──▶ door ───▶ up ──▶ server, port 40001        door: a socket for each port that answers a client
//! ```
//!
//! It is transparent: each address of a client or a server is an address of its own on the other side. So a
//! server that takes a port for each transfer (TFTP) is seen to do so, and one with a single port too; a
//! server that begins two transfers for two copies of a request is seen with two ports.
//!
//! The n-th datagram of a client, or to it, has a fate that follows from the seed, from n, and from which
//! client it is in the order of their first datagrams. Only the time is real: two runs with the same seed lose the
//! same datagrams if both ends send the same ones.
//!
//! ```
//! use std::net::UdpSocket;
//! use windlass_lossy::{Lossy, Path};
//!
//! let server = UdpSocket::bind("127.0.0.1:0")?;
//! let paths = [Path { lose: &[1], ..Path::PERFECT }, Path::PERFECT];
//! let lossy = Lossy::start("127.0.0.1:0", server.local_addr()?, 1, paths)?;
//! let client = UdpSocket::bind("127.0.0.1:0")?;
//! client.send_to(b"lost", lossy.address())?;
//! client.send_to(b"there", lossy.address())?;
//! let mut buf = [0; 16];
//! let (len, from) = server.recv_from(&mut buf)?;
//! assert_eq!((&buf[..len], lossy.counts()[0].lost), (&b"there"[..], 1));
//! server.send_to(b"back", from)?;
//! assert_eq!(client.recv_from(&mut buf)?, (4, lossy.address()));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! This is a package of its own because the tests and `cargo xtask` use it: `xtask` has to run when nothing
//! else builds.

mod path;
mod proxy;
mod random;

pub use path::Path;
pub use random::Random;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use proxy::{Proxy, Tally};

/// A running proxy. Dropping it ends it.
#[derive(Debug)]
pub struct Lossy {
    address: SocketAddr,
    tally: Arc<[Tally; 2]>,
    /// The thread ends when this is closed.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

/// What came of the datagrams of one direction so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Datagrams that were sent.
    pub sent: u64,
    /// Of those, the ones that did not arrive.
    pub lost: u64,
    /// Of those, the ones that arrived twice.
    pub doubled: u64,
}

impl Lossy {
    /// Stands at `at` for the server at `server`. The first path is that from clients to the server, the other
    /// one that back.
    ///
    /// # Errors
    /// The address is in use; there are no descriptors or threads left.
    pub fn start(
        at: impl ToSocketAddrs,
        server: SocketAddr,
        seed: u64,
        paths: [Path; 2],
    ) -> io::Result<Self> {
        let front = UdpSocket::bind(at)?;
        let address = front.local_addr()?;
        let tally = Arc::<[Tally; 2]>::default();
        let (stop, stopped) = UnixStream::pair()?;
        let run = {
            let tally = Arc::clone(&tally);
            move || Proxy::new(front, server, seed, paths, &tally).run(&stopped)
        };
        let thread = std::thread::Builder::new().name("lossy".into()).spawn(run)?;
        Ok(Self { address, tally, stop: Some(stop), thread: Some(thread) })
    }

    /// The address that clients ask.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What came of the datagrams so far: of those from clients, and of those to them.
    pub fn counts(&self) -> [Counts; 2] {
        [0, 1].map(|nth| {
            let tally: &Tally = &self.tally[nth];
            Counts {
                sent: tally.sent.load(Ordering::Relaxed),
                lost: tally.lost.load(Ordering::Relaxed),
                doubled: tally.doubled.load(Ordering::Relaxed),
            }
        })
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // If it panicked it has said so.
            let _ = thread.join();
        }
    }
}
