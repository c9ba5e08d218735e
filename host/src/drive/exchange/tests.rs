//! Both ends of transfers over loopback, turn by turn in one thread.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use windlass_core::fault::{Fault, Peer as PeerFault, StorageFault};
use windlass_core::file::{Answer, Op, Refusal, Storage};
use windlass_core::transfer::tftp::{Config, Offer, TftpGet, TftpPut, TftpServer};
use windlass_core::transfer::xfer::{XferClient, XferServer};
use windlass_core::transfer::{Timing, Transfer};
use windlass_core::wire::tftp::Mode;

use super::super::buffers::{Buffers, Reports};
use super::super::ledger::Ledger;
use super::super::rules::Rules;
use super::super::turns::{Next, Turns};
use super::*;
use crate::sys::clock;
use crate::sys::root::Root;

/// A client's storage in memory.
#[derive(Default)]
struct Memory {
    file: Vec<u8>,
    whole: bool,
}

impl Storage for Memory {
    fn perform(&mut self, _: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer {
        match op {
            Op::Create(head) => {
                assert_eq!(head.offset, 0);
                Answer::Done
            }
            Op::Store(extent) => {
                assert_eq!(extent.offset, self.file.len() as u64, "in order");
                // In pieces, as a flash takes them.
                let n = memory.len().min(1000);
                self.file.extend_from_slice(&memory[..n]);
                Answer::Kept(n)
            }
            Op::Commit(_) => {
                self.whole = true;
                Answer::Done
            }
            Op::Read { extent, .. } => {
                let from = extent.offset as usize;
                memory.copy_from_slice(&self.file[from..from + memory.len()]);
                Answer::Read(memory.len())
            }
            Op::Open(_) | Op::Examine | Op::Digest { .. } | Op::FinishDigest(_) | Op::Close => {
                Answer::Failed(StorageFault::Unsupported.into())
            }
        }
    }
}

/// A server's end and its loop, made by the request of a client.
struct Server {
    place: tempfile::TempDir,
    buffers: Buffers,
    listener: std::net::UdpSocket,
    job: Option<Exchange>,
    how: Option<Result<(), Fault>>,
}

impl Server {
    fn new(helpers: bool) -> Self {
        let place = tempfile::tempdir().unwrap();
        let root = Some(Arc::new(Root::open(place.path()).unwrap()));
        let mut buffers = Buffers::for_many(Rules { root, ..Rules::default() }, Reports::OnChange);
        if helpers {
            buffers.start_helpers();
        }
        let listener = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { place, buffers, listener, job: None, how: None }
    }

    fn at(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    fn path(&self) -> &Path {
        self.place.path()
    }

    fn turn(&mut self, make: &dyn Fn() -> Box<dyn Transfer + Send>) {
        let now = clock::now();
        let mut buf = [0; 2000];
        if self.job.is_none()
            && self.how.is_none()
            && let Ok((len, from)) = self.listener.recv_from(&mut buf)
        {
            let at = "127.0.0.1:0".parse().unwrap();
            let socket = Conversation::with_client(at, from).unwrap();
            self.job = Some(Exchange::serving(socket, make(), buf[..len].into(), false, now));
        }
        let Some(job) = &mut self.job else { return };
        for (_, answer) in self.buffers.answers() {
            job.came(answer);
        }
        if let Next::Closed(how) = job.turn(Ready::READ, now, &mut self.buffers) {
            self.how = Some(how);
            self.job = None;
        }
    }
}

/// A client's end.
fn asking(
    socket: Conversation,
    machine: Box<dyn Transfer + Send>,
    storage: &mut Memory,
) -> WithStorage<'_> {
    WithStorage { job: Exchange::asking(socket, machine, clock::now()), storage }
}

/// Runs both ends until the client's is over.
fn run(
    server: &mut Server,
    make: &dyn Fn() -> Box<dyn Transfer + Send>,
    mut client: WithStorage<'_>,
) -> Result<(), Fault> {
    let mut buffers = Buffers::for_one(Rules::default());
    let until = clock::now().after(30_000_000);
    loop {
        let now = clock::now();
        assert!(now < until, "it hangs");
        if let Next::Closed(how) = client.turn(Ready::READ, now, &mut buffers) {
            // The server hears the last word.
            for _ in 0..3 {
                server.turn(make);
            }
            return how;
        }
        server.turn(make);
    }
}

fn tftp(writes: bool) -> Box<dyn Transfer + Send> {
    let timing = Timing { linger_us: 20_000, ..Timing::SERVER };
    Box::new(TftpServer::<255>::new(Config { writes, timing, ..Config::DEFAULT }))
}

fn get(server: &mut Server, name: &'static [u8], offer: Offer) -> (Result<(), Fault>, Memory) {
    let mut memory = Memory::default();
    let socket = Conversation::with_server(server.at()).unwrap();
    let machine = Box::new(TftpGet::new(name, offer, &Timing::CLIENT));
    let client = asking(socket, machine, &mut memory);
    let how = run(server, &|| tftp(false), client);
    (how, memory)
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n / 7 + n) as u8).collect()
}

#[test]
fn files_arrive_whole_in_blocks_and_windows_of_any_size() {
    for helpers in [false, true] {
        for (block, window) in
            [(None, None), (Some(1428), Some(32)), (Some(65464), Some(3)), (Some(8), Some(64))]
        {
            for len in [0, 1, 511, 512, 1024, 50_000] {
                let mut server = Server::new(helpers);
                fs::write(server.path().join("file"), content(len)).unwrap();
                let offer = Offer { block, window, ..Offer::DEFAULT };
                let (how, memory) = get(&mut server, b"file", offer);
                assert_eq!(how, Ok(()), "{len} bytes by {block:?} {window:?}");
                assert!(memory.whole && memory.file == content(len));
                assert_eq!(server.how, Some(Ok(())));
            }
        }
    }
}

#[test]
fn a_text_is_translated_on_its_way() {
    for helpers in [false, true] {
        for (block, window) in [(None, None), (Some(1428), Some(8)), (Some(9), Some(2))] {
            for lines in [0, 1, 50, 4000] {
                let mut server = Server::new(helpers);
                fs::write(server.path().join("file"), "a line\n\r".repeat(lines)).unwrap();
                let offer = Offer { block, window, mode: Mode::Netascii, ..Offer::DEFAULT };
                let (how, memory) = get(&mut server, b"file", offer);
                assert_eq!((how, server.how), (Ok(()), Some(Ok(()))));
                assert!(memory.whole && memory.file == "a line\r\n\r\0".repeat(lines).as_bytes());
            }
        }
    }
    let mut server = Server::new(true);
    fs::File::create(server.path().join("file")).unwrap().set_len((16 << 20) + 1).unwrap();
    let offer = Offer { mode: Mode::Netascii, ..Offer::DEFAULT };
    assert_eq!(get(&mut server, b"file", offer).0, Err(PeerFault::Refused.into()));
}

#[test]
fn a_refusal_reaches_the_client() {
    let mut server = Server::new(false);
    let mut memory = Memory::default();
    let socket = Conversation::with_server(server.at()).unwrap();
    let machine = Box::new(TftpGet::new(b"../up", Offer::NONE, &Timing::CLIENT));
    let mut client = asking(socket, machine, &mut memory);
    let mut buffers = Buffers::for_one(Rules::default());
    let how = loop {
        if let Next::Closed(how) = client.turn(Ready::READ, clock::now(), &mut buffers) {
            break how;
        }
        server.turn(&|| tftp(false));
    };
    assert_eq!(how, Err(PeerFault::Refused.into()));
    let said = client.job.told().said.as_ref().unwrap();
    assert_eq!((said.code, &*said.text), (2, Refusal::BadName.text().as_bytes()));
    assert_eq!(server.how, Some(Err(Fault::Denied)));
}

#[test]
fn an_upload_is_there_when_it_is_whole() {
    for helpers in [false, true] {
        for mode in [Mode::Octet, Mode::Netascii] {
            for len in [0, 512, 10_000] {
                let mut server = Server::new(helpers);
                // Without a byte that a text translates.
                let file: Vec<_> = (0..len).map(|n| b'a' + (n % 23) as u8).collect();
                let mut memory = Memory { file: file.clone(), whole: false };
                let socket = Conversation::with_server(server.at()).unwrap();
                let offer = Offer { mode, ..Offer::DEFAULT };
                let machine = Box::new(TftpPut::new(b"new", len as u64, offer, &Timing::CLIENT));
                let client = asking(socket, machine, &mut memory);
                assert_eq!(run(&mut server, &|| tftp(true), client), Ok(()));
                assert_eq!(fs::read(server.path().join("new")).unwrap(), file);
                assert_eq!(fs::read_dir(server.path()).unwrap().count(), 1);
            }
        }
    }
}

/// And before its client hears so. Nothing that comes then changes that.
#[test]
fn an_upload_is_counted_when_its_file_is_whole() {
    for helpers in [false, true] {
        let mut server = Server::new(helpers);
        let ledger = Arc::new(Ledger::new().unwrap());
        server
            .buffers
            .change_rules(RulesId::default(), |rules| rules.ledger = Some(Arc::clone(&ledger)));
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_nonblocking(true).unwrap();
        let make = || -> Box<dyn Transfer + Send> {
            let config = Config { writes: true, timing: Timing::SERVER, ..Config::DEFAULT };
            Box::new(TftpServer::<255>::new(config))
        };
        let mut buf = [0; 600];
        // Turns of the server, until it has said something else than `before`.
        let mut hears = |server: &mut Server, before: &[u8]| loop {
            server.turn(&make);
            if let Ok((len, from)) = client.recv_from(&mut buf)
                && &buf[..len] != before
            {
                break (buf[..len].to_vec(), from, ledger.totals());
            }
        };
        client.send_to(b"\0\x02new\0octet\0", server.at()).unwrap();
        let (first, from, totals) = hears(&mut server, b"");
        assert_eq!((&*first, totals.now(), totals.files_received), (&b"\0\x04\0\0"[..], 1, 0));
        client.send_to(b"\0\x03\0\x01all of it", from).unwrap();
        let (last, _, totals) = hears(&mut server, &first);
        assert_eq!((&*last, totals.served, totals.now()), (&b"\0\x04\0\x01"[..], 1, 0));
        assert_eq!(totals.files_received, 1);
        server.turn(&make);
        assert!(server.job.as_ref().is_some_and(Turns::only_repeats));
        client.send_to(b"\0\x05\0\0late\0", from).unwrap();
        while server.how.is_none() {
            server.turn(&make);
        }
        assert_eq!(server.how, Some(Ok(())));
        let totals = ledger.totals();
        assert_eq!((totals.begun, totals.ended(), totals.files_failed), (1, 1, 0));
    }
}

#[test]
fn xfer_sends_a_file() {
    for len in [0, 1024, 5000] {
        let mut server = Server::new(true);
        fs::write(server.path().join("file"), content(len)).unwrap();
        let mut memory = Memory::default();
        let socket = Conversation::with_server(server.at()).unwrap();
        let machine = Box::new(XferClient::new(b"file", &Timing::CLIENT));
        let client = asking(socket, machine, &mut memory);
        let make =
            || -> Box<dyn Transfer + Send> { Box::new(XferServer::<1024>::new(Timing::SERVER)) };
        assert_eq!(run(&mut server, &make, client), Ok(()));
        assert!(memory.whole && memory.file == content(len));
        assert_eq!(server.how, Some(Ok(())));
    }
}

#[test]
fn a_client_that_is_gone_frees_its_place_at_once() {
    let mut server = Server::new(false);
    fs::write(server.path().join("file"), content(5000)).unwrap();
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"\0\x01file\0octet\0", server.at()).unwrap();
    while server.job.is_none() {
        server.turn(&|| tftp(false));
    }
    drop(client);
    // What answers the next datagram is an error of the network.
    let job = server.job.as_mut().unwrap();
    let mut now = clock::now();
    let how = loop {
        now = now.after(50_000);
        let ready = Ready { read: true, dead: true, ..Ready::NONE };
        if let Next::Closed(how) = job.turn(ready, now, &mut server.buffers) {
            break how;
        }
    };
    assert_eq!(how, Err(PeerFault::Reset.into()));
}

#[test]
fn a_file_that_shrinks_ends_the_transfer_and_the_client_is_told() {
    let mut server = Server::new(false);
    let path = server.path().join("file");
    fs::write(&path, content(5000)).unwrap();
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"\0\x01file\0octet\0", server.at()).unwrap();
    while server.job.is_none() {
        server.turn(&|| tftp(false));
    }
    let mut buf = [0; 600];
    let (len, from) = client.recv_from(&mut buf).unwrap();
    assert_eq!((len, &buf[..4]), (516, &b"\0\x03\0\x01"[..]));
    fs::write(&path, content(100)).unwrap();
    // The next blocks may have been read with the first one.
    while buf[1] == 3 {
        client.send_to(&[0, 4, buf[2], buf[3]], from).unwrap();
        server.turn(&|| tftp(false));
        client.recv_from(&mut buf).unwrap();
    }
    assert_eq!(&buf[..4], b"\0\x05\0\0");
    assert_eq!(server.how, Some(Err(StorageFault::Changed.into())));
}
