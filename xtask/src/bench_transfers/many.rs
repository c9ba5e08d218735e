//! Many transfers at once, by a client that only counts: it spins on a thousand sockets.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use super::{Bench, ROUNDS};
use crate::median::median;
use crate::run::Result;

/// Transfers at once.
const COUNT: usize = 1000;

/// When a request that has no answer is sent again.
const AGAIN: Duration = Duration::from_millis(200);

/// A client acknowledges each block of 1428 bytes.
const REQUEST: &[u8] = b"\0\x01256k\0octet\0blksize\x001428\0";

/// A download, block by block.
struct Client {
    socket: UdpSocket,
    /// The last block that came, and bytes so far.
    last: u16,
    bytes: usize,
    heard: Instant,
    is_over: bool,
}

impl Client {
    fn ask(at: SocketAddr, request: &[u8]) -> std::io::Result<Self> {
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        socket.set_nonblocking(true)?;
        socket.send_to(request, at)?;
        Ok(Self { socket, last: 0, bytes: 0, heard: Instant::now(), is_over: false })
    }

    /// Takes what came, if anything did, and acknowledges it.
    fn turn(&mut self, whole: &[u8]) -> Result<()> {
        let mut buf = [0; 1500];
        let (len, from) = match self.socket.recv_from(&mut buf) {
            Ok(came) => came,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        self.heard = Instant::now();
        let block = u16::from_be_bytes([buf[2], buf[3]]);
        match buf[..len] {
            [0, 3, _, _, ref bytes @ ..] => {
                if block == self.last.wrapping_add(1) {
                    if whole.get(self.bytes..self.bytes + bytes.len()) != Some(bytes) {
                        return Err(format!("block {block} has other bytes"));
                    }
                    self.bytes += bytes.len();
                    self.last = block;
                    self.is_over = bytes.len() < 1428;
                }
            }
            [0, 6, ..] => {}
            _ => return Err(format!("{:?} came", &buf[..len])),
        }
        let [high, low] = self.last.to_be_bytes();
        self.socket.send_to(&[0, 4, high, low], from).map(drop).map_err(|error| error.to_string())
    }
}

/// CPU seconds for each GiB that so many clients download at once, `each` of them again and again; and the bytes of
/// memory of the server while all are served.
fn measure(bench: &Bench<'_>, count: usize, times: usize) -> Result<(f64, u64)> {
    let whole = std::fs::read(bench.root().join("256k")).map_err(|error| error.to_string())?;
    let server = bench.start("tftp", "epoll")?.ok_or("no server")?;
    let (idle, before) = (bench.group.memory(), bench.group.seconds());
    let mut memory = 0;
    for _ in 0..times {
        let clients = (0..count).map(|_| Client::ask(server.at, REQUEST));
        let mut clients = clients
            .collect::<std::io::Result<Vec<_>>>()
            .map_err(|error| format!("{count} clients: {error}"))?;
        let mut is_measured = false;
        while clients.iter().any(|client| !client.is_over) {
            for client in clients.iter_mut().filter(|client| !client.is_over) {
                client.turn(&whole)?;
                let quiet = client.heard.elapsed();
                if quiet > AGAIN && client.bytes == 0 {
                    // The socket of the server holds some hundred requests.
                    client.heard = Instant::now();
                    client.socket.send_to(REQUEST, server.at).map_err(|it| it.to_string())?;
                } else if quiet > Duration::from_secs(10) {
                    let (bytes, last) = (client.bytes, client.last);
                    return Err(format!("a transfer of {count} stands still at {bytes}, {last}"));
                }
            }
            if count > 1 && !is_measured && clients.iter().all(|client| client.bytes > 1 << 16) {
                is_measured = true;
                memory = memory.max(bench.group.memory().saturating_sub(idle));
            }
        }
        if clients.iter().any(|client| client.bytes != whole.len()) {
            return Err("a file is not whole".into());
        }
    }
    let seconds = bench.group.seconds() - before;
    Ok((seconds / (count * times * whole.len()) as f64 * f64::from(1 << 30), memory))
}

/// A thousand transfers in one loop, and one.
pub(crate) fn at_once(bench: &Bench<'_>) -> Result<()> {
    println!("| transfers at once | CPU s/GiB | ratio | memory of each, KiB |\n|---|---|---|---|");
    let (mut one, mut many, mut memory) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        one.push(measure(bench, 1, 200)?.0);
        let (seconds, bytes) = measure(bench, COUNT, 1)?;
        many.push(seconds);
        memory = memory.max(bytes);
    }
    let [one, many] = [one, many].map(median);
    println!("| 1 | {one:.2} | 1.00 | – |");
    let each = memory as f64 / 1024.0 / COUNT as f64;
    println!("| {COUNT} | {many:.2} | {:.2} | {each:.1} |", many / one);
    Ok(())
}

/// What 16 requests with the largest options add to the memory of the server, which gets no acknowledgement of them
/// and then of what it offers.
pub(crate) fn largest_options(bench: &Bench<'_>) -> Result<()> {
    let server = bench.start("tftp", "epoll")?.ok_or("no server")?;
    let request = b"\0\x0164m\0octet\0blksize\x0065464\0windowsize\x0065535\0";
    let idle = bench.group.memory();
    let mut most = 0;
    let fail = |error: std::io::Error| error.to_string();
    let clients: Vec<_> =
        (0..16).map(|_| Client::ask(server.at, request).map_err(fail)).collect::<Result<_>>()?;
    for round in 0..20 {
        thread::park_timeout(Duration::from_millis(50));
        most = most.max(bench.group.memory().saturating_sub(idle));
        if round == 10 {
            // Each takes the offer, and nothing more.
            for client in &clients {
                let mut buf = [0; 512];
                let (_, from) = client.socket.recv_from(&mut buf).map_err(fail)?;
                client.socket.send_to(b"\0\x04\0\0", from).map_err(fail)?;
            }
        }
    }
    println!("16 requests with the largest options add {} KiB", most / 1024);
    Ok(())
}
