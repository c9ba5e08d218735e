//! `windlass bridge`: a device on a line that damages bytes, a server on a socket.
//!
//! The device is the core's own: a session on a pump over a link, as firmware has it.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Instant as Clock;

use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use windlass_core::crc::Crc32;
use windlass_core::driver::Linked;
use windlass_core::fault::{Fault, Peer};
use windlass_core::file::{Answer, Digest, DigestKind, Op, Storage};
use windlass_core::frame::link::{self, Link, Timing};
use windlass_core::pump::{Need, Pump};
use windlass_core::session::files::{Options, Request};
use windlass_core::session::{FilesClient, Session, TimeClient};
use windlass_core::time::Instant;
use windlass_core::wire::Score;
use windlass_tests::{Model, PATIENCE, Program, Random, Running, Server, serve, windlass};

const TIMING: Timing = Timing::of_line(115_200, 24, 5_000);

/// The device's end of a line.
struct Line {
    file: File,
    /// Of a thousand bytes in each direction so many are dropped and as many have a bit flipped.
    damaged: usize,
    random: Random,
    /// Numbers the links.
    first: u8,
    since: Clock,
}

impl Line {
    fn new(file: File, damaged: usize) -> Self {
        Self { file, damaged, random: Random::new(7), first: 0, since: Clock::now() }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.since.elapsed().as_micros()).expect("a time"))
    }

    /// What is left of some bytes.
    fn damage(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut left = Vec::new();
        for byte in bytes {
            let dice = self.random.up_to(999);
            if dice >= 2 * self.damaged {
                left.push(*byte);
            } else if dice >= self.damaged {
                left.push(byte ^ (1 << self.random.up_to(7)));
            }
        }
        left
    }

    /// Runs a session to its end, or until `enough` bytes were kept.
    fn run(&mut self, session: &mut impl Session, disk: &mut Disk, enough: usize) -> Option<Fault> {
        const RX: usize = Link::rx_len(24);
        const TX: usize = Link::tx_len(24);
        let (mut link_rx, mut link_tx) = ([0; RX], [0; TX]);
        let (mut rx, mut tx, mut memory) = ([0; 64], [0; 64], [0; 64]);
        self.first = self.first.wrapping_add(1);
        let mut link = Link::connect(&mut link_rx, &mut link_tx, self.first).with_timing(&TIMING);
        let mut linked = Linked::new(Pump::new(&mut rx, &mut tx), &mut link, &mut memory);
        let end = Clock::now() + PATIENCE;
        loop {
            assert!(Clock::now() < end, "the session does not end");
            match linked.next(session, self.now()) {
                Need::Send { bytes, .. } => {
                    let count = bytes.len();
                    let left = self.damage(bytes);
                    self.file.write_all(&left).expect("write to the line");
                    linked.sent(count);
                }
                Need::Recv { buf, .. } => {
                    let mut bytes = vec![0; buf.len()];
                    match self.file.read(&mut bytes) {
                        Ok(0) => linked.eof(),
                        Ok(count) => {
                            let left = self.damage(&bytes[..count]);
                            buf[..left.len()].copy_from_slice(&left);
                            linked.received(left.len());
                        }
                        // As a UART is polled.
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            std::thread::yield_now();
                        }
                        Err(error) => panic!("read from the line: {error}"),
                    }
                }
                Need::File { op, memory } => {
                    let answer = disk.perform(self.now(), op, memory);
                    linked.answer(session, self.now(), answer);
                }
                Need::Over(how) => return how.err(),
                Need::Wait(_) | Need::Shutdown => {}
            }
            if disk.bytes.len() >= enough {
                return None;
            }
        }
    }

    /// Fetches the file `image`.
    fn fetch(&mut self, enough: usize) -> (Option<Fault>, Disk) {
        let mut request = [0; 64];
        let options = Options { digest: Some(DigestKind::Crc32), ..Options::NONE };
        let len = Request { name: b"image", options }.render(&mut request).expect("it fits");
        let mut client = FilesClient::new(&request[..len], [0; 96]);
        let mut disk = Disk::default();
        let fault = self.run(&mut client, &mut disk, enough);
        (fault, disk)
    }

    fn time(&mut self) -> Option<i64> {
        let mut client = TimeClient::new();
        self.run(&mut client, &mut Disk::default(), usize::MAX);
        client.stamp().map(|stamp| stamp.0)
    }
}

/// What a client keeps.
#[derive(Default)]
struct Disk {
    bytes: Vec<u8>,
    is_whole: bool,
}

impl Storage for Disk {
    fn perform(&mut self, _: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer {
        match op {
            Op::Store(_) => {
                self.bytes.extend_from_slice(memory);
                Answer::Kept(memory.len())
            }
            Op::Commit(Some(Digest::Crc32(sent))) => {
                let mut crc = Crc32::new();
                crc.update(&self.bytes);
                self.is_whole = crc.finish() == sent;
                Answer::Done
            }
            _ => Answer::Done,
        }
    }
}

/// Both ends of a line, and a bridge on it.
struct Scene {
    line: Line,
    bridge: Running,
    log: PathBuf,
    _folder: tempfile::TempDir,
}

/// A bridge on a Unix socket, to a server at `server`.
fn bridged(server: &str, damaged: usize) -> Scene {
    bridged_with(server, damaged, "")
}

/// The same with these options.
fn bridged_with(server: &str, damaged: usize, options: &str) -> Scene {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("line");
    let listener = UnixListener::bind(&path).expect("listen");
    let log = folder.path().join("log");
    let line = format!("unix:{}", path.display());
    let bridge = windlass!("bridge", line, server).words("--payload 24 --latency 0.005");
    let bridge = bridge.words(options).errors(File::create(&log).expect("create")).start();
    let (stream, _) = listener.accept().expect("accept");
    stream.set_nonblocking(true).expect("fcntl");
    let line = Line::new(File::from(OwnedFd::from(stream)), damaged);
    Scene { line, bridge, log, _folder: folder }
}

/// A server with the file `image`.
fn files() -> (Server, Vec<u8>, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let image = Random::new(3).bytes(20_000);
    std::fs::write(folder.path().join("image"), &image).expect("write");
    let root = format!("--root {}", folder.path().display());
    (serve!("files", Model::Epoll).args(&root).start(), image, folder)
}

#[test]
fn a_file_arrives_whole_over_a_clean_line_and_over_a_bad_one() {
    let (server, image, _folder) = files();
    for damaged in [0, 3] {
        let mut scene = bridged(server.address(), damaged);
        // One conversation after another.
        for _ in 0..2 {
            let (fault, disk) = scene.line.fetch(usize::MAX);
            assert_eq!((fault, disk.is_whole), (None, true));
            assert!(disk.bytes == image, "other bytes than expected");
        }
    }
}

#[test]
fn a_server_that_speaks_first_is_heard() {
    let server = serve!("time", Model::Thread).start();
    let mut scene = bridged(server.address(), 10);
    for _ in 0..2 {
        assert!(scene.line.time().is_some_and(|seconds| seconds > 1_700_000_000));
    }
}

#[test]
fn a_device_that_starts_again_in_the_middle_of_a_file_gets_it() {
    let (server, image, _folder) = files();
    let mut scene = bridged(server.address(), 0);
    let (_, part) = scene.line.fetch(5_000);
    assert!(!part.is_whole && image.starts_with(&part.bytes));
    let (fault, disk) = scene.line.fetch(usize::MAX);
    assert_eq!((fault, disk.is_whole), (None, true));
}

#[test]
fn without_a_server_the_device_is_told_and_the_bridge_stays() {
    let free = TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("an address");
    let mut scene = bridged(&format!("tcp:{free}"), 0);
    for _ in 0..2 {
        let (fault, _) = scene.line.fetch(usize::MAX);
        assert_eq!(fault, Some(Fault::Peer(Peer::Reset)));
    }
    assert!(!scene.bridge.has_ended());
    let log = std::fs::read_to_string(&scene.log).expect("read");
    assert!(log.contains(&format!("connect to tcp:{free}: Connection refused")), "{log}");
}

#[test]
fn a_server_that_is_lost_ends_the_link() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = format!("tcp:{}", listener.local_addr().expect("an address"));
    let mut scene = bridged(&address, 0);
    std::thread::scope(|scope| {
        let lost = scope.spawn(|| {
            let (mut stream, _) = listener.accept().expect("accept");
            let mut request = [0; 4];
            stream.read_exact(&mut request).expect("read");
            // The rest of the request was not read: the kernel answers with a reset.
        });
        let (fault, _) = scene.line.fetch(usize::MAX);
        let is_told = matches!(fault, Some(Fault::Peer(Peer::Reset | Peer::Truncated)));
        assert!(is_told, "{fault:?}");
        lost.join().expect("it ends");
    });
}

#[test]
fn reports_go_on_as_datagrams_beside_a_link() {
    let (server, image, _folder) = files();
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("bind");
    receiver.set_read_timeout(Some(PATIENCE)).expect("setsockopt");
    let to = receiver.local_addr().expect("an address");
    let mut scene = bridged_with(server.address(), 0, &format!("--reports udp:{to}"));
    let report = |line: &mut Line, name: &[u8]| {
        let (mut memory, mut score) = ([0; 64], [0; 32]);
        let score = Score::render(1, 2, name, &mut score).expect("a score");
        let packet = link::report(&mut memory, score).expect("a packet").to_vec();
        line.file.write_all(&packet).expect("write to the line");
        packet
    };
    let mut damaged = report(&mut scene.line, b"first");
    damaged[9] ^= 4;
    scene.line.file.write_all(&damaged).expect("write to the line");
    let (fault, disk) = scene.line.fetch(usize::MAX);
    assert_eq!((fault, disk.bytes == image), (None, true));
    report(&mut scene.line, b"second");
    for name in [&b"first"[..], b"second"] {
        let mut datagram = [0; 64];
        let len = receiver.recv(&mut datagram).expect("a report");
        let score = Score::parse(&datagram[..len]).expect("a score");
        assert_eq!((score.math(), score.chinese(), score.name()), (1, 2, name));
    }
}

#[test]
fn it_ends_when_the_line_ends() {
    let server = serve!("time", Model::Thread).start();
    let Scene { line, mut bridge, .. } = bridged(server.address(), 0);
    drop(line);
    assert_eq!(bridge.wait(), Some(0));
}

/// A terminal changes bytes, and has lines, echo and signals, until it is set otherwise.
#[test]
fn a_serial_port_passes_every_byte() {
    let (server, image, _folder) = files();
    let ours = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK).expect("a pty");
    grantpt(&ours).expect("grantpt");
    unlockpt(&ours).expect("unlockpt");
    let path = ptsname_r(&ours).expect("a name");
    // Open from the beginning, or the first bytes of the device find no terminal.
    let _theirs = File::options().read(true).write(true).open(&path).expect("open");
    let _bridge = windlass!("bridge", path, server.address()).words("--baud 921600").start();
    let mut line = Line::new(File::from(OwnedFd::from(ours)), 0);
    let (fault, disk) = line.fetch(usize::MAX);
    assert_eq!((fault, disk.is_whole), (None, true));
    assert!(disk.bytes == image, "other bytes than expected");
}

#[test]
fn what_is_no_line_is_an_error() {
    let to = |line: &str| -> Program { windlass!("bridge", line, "tcp:127.0.0.1:1") };
    to("/nonexistent").run().fails_with(1, &["open the serial port /nonexistent: No such file"]);
    to("/dev/null").run().fails_with(1, &["set the serial port /dev/null: it is no serial port"]);
    to("unix:/nonexistent").run().fails_with(1, &["connect to unix:/nonexistent: No such file"]);
    to("udp:127.0.0.1:1").run().fails_with(1, &["connect to udp:127.0.0.1:1: this is not"]);
    to("ttyUSB0").run().fails_with(2, &["ttyUSB0"]);
    to("/dev/null").words("--payload 7").run().fails_with(2, &["--payload"]);
}
