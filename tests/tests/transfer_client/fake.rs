//! The server that a test plays, and the folder of the client.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::thread;

use windlass_tests::{Outcome, PATIENCE, Program, windlass};

/// A folder to download into.
pub(super) struct Place(tempfile::TempDir);

impl Place {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(super) fn file(&self) -> PathBuf {
        self.0.path().join("x")
    }

    pub(super) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("read");
        let names = entries.map(|it| it.expect("an entry").file_name().to_string_lossy().into());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[track_caller]
    pub(super) fn has_only(&self, content: &[u8]) {
        assert_eq!(self.names(), ["x"]);
        assert!(fs::read(self.file()).expect("read") == content, "other bytes");
    }

    #[track_caller]
    pub(super) fn is_empty(&self) {
        assert_eq!(self.names(), Vec::<String>::new());
    }

    pub(super) fn get(&self, url: &str, options: &str) -> Program {
        windlass!("get").arg(url).words(options).arg("-o").arg(self.file())
    }

    pub(super) fn put(&self, url: &str, options: &str) -> Program {
        windlass!("put", self.file(), url).words(options)
    }
}

/// The server's end.
pub(super) struct Fake {
    /// The port that is asked.
    pub(super) asked: UdpSocket,
    /// The port of the transfer.
    pub(super) tid: UdpSocket,
}

impl Fake {
    pub(super) fn at(host: &str) -> Self {
        let open = || {
            let socket = UdpSocket::bind((host, 0)).expect("bind");
            socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            socket
        };
        Self { asked: open(), tid: open() }
    }

    pub(super) fn new() -> Self {
        Self::at("127.0.0.1")
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.asked.local_addr().expect("an address")
    }

    pub(super) fn url(&self, name: &str) -> String {
        format!("tftp://{}/{name}", self.address())
    }

    /// The request, and the client.
    #[track_caller]
    pub(super) fn request(&self) -> (Vec<u8>, SocketAddr) {
        hear(&self.asked)
    }

    /// What the client sends to the port of the transfer.
    #[track_caller]
    pub(super) fn hears(&self) -> Vec<u8> {
        hear(&self.tid).0
    }

    /// What the client sends next: it may repeat what was heard `before`.
    #[track_caller]
    pub(super) fn hears_after(&self, before: &[u8]) -> Vec<u8> {
        std::iter::repeat_with(|| self.hears()).find(|said| said != before).expect("it is endless")
    }

    pub(super) fn says(&self, to: SocketAddr, datagram: &[u8]) {
        self.tid.send_to(datagram, to).expect("send");
    }

    /// Sends blocks of a file one by one, from this number on, and hears each acknowledgement.
    #[track_caller]
    pub(super) fn sends(
        &self,
        to: SocketAddr,
        file: &[u8],
        size: usize,
        numbers: impl Iterator<Item = u16>,
    ) {
        let (mut blocks, mut before) = (file.chunks(size).collect::<Vec<_>>(), 0);
        if file.len().is_multiple_of(size) {
            blocks.push(&[]);
        }
        for (block, number) in blocks.into_iter().zip(numbers) {
            self.says(to, &data(number, block));
            assert_eq!(self.hears_after(&ack(before)), ack(number));
            before = number;
        }
    }

    /// Takes blocks of this size until the last one, and acknowledges each. What came.
    #[track_caller]
    pub(super) fn takes(&self, client: SocketAddr, size: usize) -> Vec<u8> {
        let mut file = Vec::new();
        for number in 1u16.. {
            let block = loop {
                let said = self.hears();
                assert_eq!(said[..2], [0, 3], "{}", said.escape_ascii());
                if said[2..4] == number.to_be_bytes() {
                    break said;
                }
            };
            file.extend_from_slice(&block[4..]);
            self.says(client, &ack(number));
            if block.len() < 4 + size {
                return file;
            }
        }
        unreachable!("it has fewer blocks");
    }

    /// What the client has sent and was not heard.
    pub(super) fn rest(&self) -> Vec<Vec<u8>> {
        let mut rest: Vec<Vec<u8>> = Vec::new();
        for socket in [&self.asked, &self.tid] {
            socket.set_nonblocking(true).expect("nonblocking");
            let mut buf = [0; 2048];
            while let Ok(len) = socket.recv(&mut buf) {
                rest.push(buf[..len].to_vec());
            }
            socket.set_nonblocking(false).expect("blocking");
        }
        rest
    }

    /// A client that has ended repeated its last words.
    pub(super) fn forgets(&self) {
        self.rest();
    }

    /// The client, which has ended, has said nothing after these words. On a busy machine it repeated something
    /// before.
    #[track_caller]
    pub(super) fn has_heard_all_after(&self, last: &[u8]) {
        let rest = self.rest();
        assert!(rest.iter().all(|said| said == last), "{rest:?}");
    }
}

#[track_caller]
pub(super) fn hear(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buf = vec![0; 1 << 16];
    let (len, from) = socket.recv_from(&mut buf).expect("the client says something");
    buf.truncate(len);
    (buf, from)
}

pub(super) fn data(number: u16, block: &[u8]) -> Vec<u8> {
    [&[0, 3], &number.to_be_bytes()[..], block].concat()
}

pub(super) fn ack(number: u16) -> Vec<u8> {
    [&[0, 4], &number.to_be_bytes()[..]].concat()
}

pub(super) fn oack(options: &[(&str, &str)]) -> Vec<u8> {
    let mut packet = vec![0, 6];
    for word in options.iter().flat_map(|(name, value)| [name, value]) {
        packet.extend_from_slice(word.as_bytes());
        packet.push(0);
    }
    packet
}

pub(super) fn is_error(packet: &[u8], code: u8) -> bool {
    packet.starts_with(&[0, 5, 0, code]) && packet.ends_with(&[0])
}

/// The value of an option of a request.
pub(super) fn option(request: &[u8], name: &str) -> Option<String> {
    let mut words = request[2..].split(|&byte| byte == 0).skip(2);
    words.by_ref().find(|word| *word == name.as_bytes())?;
    words.next().map(|value| String::from_utf8_lossy(value).into_owned())
}

/// Runs the client, while the test plays the server.
#[track_caller]
pub(super) fn play(client: Program, server: impl FnOnce()) -> Outcome {
    thread::scope(|scope| {
        let client = scope.spawn(|| client.run());
        server();
        client.join().expect("the client ends")
    })
}
