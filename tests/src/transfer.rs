//! Clients of `tftp` and `xfer`: one that runs the core's machine over a real socket, and one that says what a
//! test tells it to.

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use windlass::drive::{Buffers, Exchange, Rules, Said, WithStorage, run_alone};
use windlass::sys::clock;
use windlass::sys::datagram::Conversation;
use windlass_core::fault::{Fault, StorageFault};
use windlass_core::file::{Answer, Op, Storage};
use windlass_core::time::Instant;
use windlass_core::transfer::tftp::{Offer, TftpGet, TftpPut};
use windlass_core::transfer::{Timing, Transfer};

use crate::{PATIENCE, Random, meanwhile, within};

/// A folder with a file `file` of so many bytes, and these.
#[track_caller]
pub fn place(len: usize) -> (tempfile::TempDir, Vec<u8>) {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = Random::new(13).bytes(len);
    std::fs::write(folder.path().join("file"), &bytes).expect("write");
    (folder, bytes)
}

/// A file in memory, at the client's end of a transfer.
#[derive(Debug, Default)]
pub struct Memory {
    /// Its bytes.
    pub file: Vec<u8>,
    /// All of it came.
    pub whole: bool,
}

impl Storage for Memory {
    fn perform(&mut self, _: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer {
        match op {
            Op::Create(_) => Answer::Done,
            Op::Store(extent) => {
                assert_eq!(extent.offset, self.file.len() as u64, "in order");
                self.file.extend_from_slice(memory);
                Answer::Kept(memory.len())
            }
            Op::Commit(_) => {
                self.whole = true;
                Answer::Done
            }
            Op::Read { extent, .. } => {
                let from = usize::try_from(extent.offset).expect("an offset");
                memory.copy_from_slice(&self.file[from..from + memory.len()]);
                Answer::Read(memory.len())
            }
            Op::Open(_) | Op::Examine | Op::Close | Op::Digest { .. } | Op::FinishDigest(_) => {
                Answer::Failed(StorageFault::Unsupported.into())
            }
        }
    }
}

/// How a transfer ended.
#[derive(Debug)]
pub struct Ended {
    /// As its machine has it.
    pub how: Result<(), Fault>,
    /// The file, of a reader.
    pub memory: Memory,
    /// The last words of the server.
    pub said: Option<Said>,
}

/// Runs a client's machine against the server at `address` (`udp:HOST:PORT`).
#[track_caller]
pub fn transfer(
    address: &str,
    machine: Box<dyn Transfer + Send + '_>,
    mut memory: Memory,
) -> Ended {
    let at: SocketAddr = address.trim_start_matches("udp:").parse().expect("an address");
    let socket = Conversation::with_server(at).expect("a socket");
    let job = Exchange::asking(socket, machine, clock::now());
    let mut client = WithStorage { job, storage: &mut memory };
    let how = run_alone(&mut client, &mut Buffers::for_one(Rules::default()));
    let said = client.job.told().said.clone();
    drop(client);
    Ended { how, memory, said }
}

/// Fetches a file by TFTP.
#[track_caller]
pub fn get(address: &str, name: &str, offer: Offer) -> Ended {
    let machine = Box::new(TftpGet::new(name.as_bytes(), offer, &Timing::CLIENT));
    transfer(address, machine, Memory::default())
}

/// Stores a file by TFTP.
#[track_caller]
pub fn put(address: &str, name: &str, file: &[u8], offer: Offer) -> Ended {
    let len = file.len() as u64;
    let machine = Box::new(TftpPut::new(name.as_bytes(), len, offer, &Timing::CLIENT));
    transfer(address, machine, Memory { file: file.into(), whole: false })
}

impl Ended {
    /// This file came whole.
    #[track_caller]
    pub fn came(&self, file: &[u8]) {
        assert_eq!(self.how, Ok(()), "{:?}", self.said);
        assert!(self.memory.whole && self.memory.file == file, "the same bytes");
    }
}

/// A client that says what the test tells it to.
#[derive(Debug)]
pub struct Asker {
    socket: UdpSocket,
    server: SocketAddr,
}

impl Asker {
    /// Of the server at `address` (`udp:HOST:PORT`).
    #[track_caller]
    pub fn of(address: &str) -> Self {
        let server: SocketAddr = address.trim_start_matches("udp:").parse().expect("an address");
        let any = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let socket = UdpSocket::bind(any).expect("bind");
        socket.set_read_timeout(Some(PATIENCE)).expect("set");
        Self { socket, server }
    }

    /// Sends a request.
    #[track_caller]
    pub fn ask(&self, request: &[u8]) {
        self.say(request, self.server);
    }

    /// Sends a datagram.
    #[track_caller]
    pub fn say(&self, datagram: &[u8], to: SocketAddr) {
        assert_eq!(self.socket.send_to(datagram, to).expect("send"), datagram.len());
    }

    /// The next datagram, and where it came from.
    #[track_caller]
    pub fn hear(&self) -> (Vec<u8>, SocketAddr) {
        let mut buf = vec![0; 0xffff];
        let (len, from) = self.socket.recv_from(&mut buf).expect("an answer");
        buf.truncate(len);
        (buf, from)
    }

    /// The next datagram that is not `last`: a server repeats that one when its timer runs out, also because this
    /// machine is busy.
    #[track_caller]
    pub fn hear_after(&self, last: &[u8]) -> Vec<u8> {
        loop {
            let (datagram, _) = self.hear();
            if datagram != last {
                return datagram;
            }
        }
    }

    /// The next datagram that has come by now.
    pub fn next(&self) -> Option<(Vec<u8>, SocketAddr)> {
        self.socket.set_nonblocking(true).expect("set");
        let mut buf = vec![0; 0xffff];
        let came = self.socket.recv_from(&mut buf);
        self.socket.set_nonblocking(false).expect("set");
        came.ok().map(|(len, from)| (buf[..len].to_vec(), from))
    }

    /// What has come by now.
    pub fn heard(&self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.next()).map(|(datagram, _)| datagram).collect()
    }

    /// The address of the server.
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// Its own address.
    pub fn own(&self) -> SocketAddr {
        self.socket.local_addr().expect("an address")
    }
}

/// A client in the middle of a file: it has the first block.
#[derive(Debug)]
pub struct Begun {
    /// The client.
    pub asker: Asker,
    /// The port of the transfer.
    pub from: SocketAddr,
}

impl Begun {
    /// Of the file `file`, of a server at `address` (`udp:HOST:PORT`).
    #[track_caller]
    pub fn at(address: &str) -> Self {
        let asker = Asker::of(address);
        asker.ask(&request(1, "file", "octet", ""));
        let (first, from) = asker.hear();
        assert_eq!(first[..4], [0, 3, 0, 1]);
        Self { asker, from }
    }

    /// Takes the rest of the file.
    #[track_caller]
    pub fn goes_on(self, file: &[u8]) {
        for (block, bytes) in (1u16..).zip(file.chunks(512)).skip(1) {
            self.asker.say(&ack(block - 1), self.from);
            // The one before may have come again.
            while self.asker.hear().0 != data(block, bytes) {}
        }
        let blocks = file.len().div_ceil(512);
        self.asker.say(&ack(u16::try_from(blocks).expect("a small file")), self.from);
    }
}

/// A file of nine bytes that a client has stored by TFTP: it has heard the last acknowledgement, and may ask for it
/// again.
#[derive(Debug)]
pub struct Stored {
    asker: Asker,
    from: SocketAddr,
}

impl Stored {
    /// Its bytes.
    pub const FILE: &'static [u8] = b"all of it";

    /// At the server at `address` (`udp:HOST:PORT`).
    #[track_caller]
    pub fn at(address: &str, name: &str) -> Self {
        let asker = Asker::of(address);
        asker.ask(&request(2, name, "octet", ""));
        let (answer, from) = asker.hear();
        assert_eq!(answer, ack(0));
        asker.say(&data(1, Self::FILE), from);
        assert_eq!(asker.hear_after(&answer), ack(1));
        Self { asker, from }
    }

    /// Asks for the last acknowledgement again.
    #[track_caller]
    fn ask_again(&self) {
        self.asker.say(&data(1, Self::FILE), self.from);
    }

    /// Asks for it again and again until `body` has ended: the server has to be ready for that all the time.
    pub fn asking_again<T>(&self, body: impl FnOnce() -> T) -> T {
        let asks = || {
            self.ask_again();
            // The pace of a client that is in a hurry.
            thread::sleep(Duration::from_millis(50));
        };
        meanwhile(1, asks, body)
    }

    /// The last acknowledgement is repeated.
    #[track_caller]
    pub fn is_answered_again(&self) {
        drop(self.asker.heard());
        // What comes within a round trip is taken for a copy that the network made.
        within(PATIENCE, "the last acknowledgement is repeated", || {
            self.ask_again();
            self.asker.heard().contains(&ack(1).to_vec())
        });
    }

    /// The address of the client.
    pub fn own(&self) -> SocketAddr {
        self.asker.own()
    }
}

/// A request of TFTP: `opcode` 1 reads, 2 writes; options as `blksize=1428 tsize=0`.
pub fn request(opcode: u8, name: &str, mode: &str, options: &str) -> Vec<u8> {
    let mut request = vec![0, opcode];
    let options = options.split_whitespace().flat_map(|option| option.split('='));
    for word in [name, mode].into_iter().chain(options) {
        request.extend(word.bytes());
        request.push(0);
    }
    request
}

/// An ACK of TFTP.
pub fn ack(block: u16) -> [u8; 4] {
    let [high, low] = block.to_be_bytes();
    [0, 4, high, low]
}

/// A DATA of TFTP.
pub fn data(block: u16, bytes: &[u8]) -> Vec<u8> {
    let [high, low] = block.to_be_bytes();
    [&[0, 3, high, low], bytes].concat()
}
