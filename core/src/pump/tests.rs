//! The pump at its edges: sessions that do nothing, storage that answers late or never, one byte of
//! memory. That it runs every session as a shell does is a law: [`crate::laws`].

extern crate std;

use std::vec::Vec;

use super::*;
use crate::file::{Digest, DigestKind, Facts};
use crate::session::files::{FilesClient, FilesServer, Options, Request};
use crate::session::{Consumed, TimeServer, Upper};
use crate::want::Want;
use crate::wire::Stamp;

const NOW: Instant = Instant::from_micros(1_000);

/// A session that wants something and never does anything with it.
struct Stubborn(Want);

impl Session for Stubborn {
    fn input(&mut self, _: Instant, _: &mut [u8], _: &mut Out<'_>) -> Consumed {
        Consumed::bytes(0)
    }

    fn eof(&mut self, _: Instant) {}

    fn want(&self) -> Want {
        self.0
    }

    fn abort(&mut self, why: Fault) {
        self.0 = Want::done(Err(why));
    }
}

#[test]
fn a_session_that_does_nothing_with_what_it_has_is_ended() {
    let (mut rx, mut tx) = ([0; 4], [0; 2]);
    for (want, received, have) in [
        (Want::READ, 4, 4),
        (Want::READ, 1, 1),
        (Want::WRITE, 0, 2),
        (Want { wake: Wake::Now, ..Want::READ }, 0, 0),
    ] {
        let mut pump = Pump::new(&mut rx, &mut tx);
        let mut session = Stubborn(want);
        if received > 0 {
            assert!(matches!(pump.next(&mut session, NOW), Need::Recv { .. }));
            pump.received(received);
        }
        let fault = Limit { need: have + 1, have }.into();
        assert_eq!(pump.next(&mut session, NOW), Need::Over(Err(fault)), "{want:?}");
    }
}

#[test]
fn without_memory_it_says_so() {
    let fault = Fault::Local(Limit { need: 1, have: 0 });
    let mut pump = Pump::new(&mut [], &mut []);
    assert_eq!(pump.next(&mut Upper::new(), NOW), Need::Over(Err(fault)));
    assert_eq!(pump.next(&mut TimeServer::new(Stamp(1)), NOW), Need::Over(Err(fault)));
}

#[test]
fn what_is_wanted_is_the_same_until_it_is_done() {
    let (mut rx, mut tx) = ([0; 4], [0; 4]);
    let mut pump = Pump::new(&mut rx, &mut tx);
    let mut session = TimeServer::new(Stamp(12));
    for _ in 0..3 {
        let Need::Send { bytes: b"12\n", .. } = pump.next(&mut session, NOW) else { panic!() };
    }
    pump.sent(2);
    for _ in 0..3 {
        let Need::Send { bytes: b"\n", .. } = pump.next(&mut session, NOW) else { panic!() };
    }
    pump.sent(1);
    assert_eq!(pump.next(&mut session, NOW), Need::Over(Ok(())));
}

#[test]
fn the_end_of_our_output_is_told_once_and_after_it() {
    let (mut rx, mut tx) = ([0; 4], [0; 4]);
    let mut pump = Pump::new(&mut rx, &mut tx);
    let mut session = Stubborn(Want { close: Close::WriteHalf, ..Want::READ });
    assert_eq!(pump.next(&mut session, NOW), Need::Shutdown);
    assert!(matches!(pump.next(&mut session, NOW), Need::Recv { .. }));
}

#[test]
fn the_next_session_begins_anew() {
    let (mut rx, mut tx) = ([0; 8], [0; 4]);
    let mut pump = Pump::new(&mut rx, &mut tx);
    let mut first = FilesClient::new(b"", [0; 8]);
    let Need::Recv { buf, .. } = pump.next(&mut first, NOW) else { panic!() };
    buf.copy_from_slice(b"\0\0\0\x09abcd");
    pump.received(8);
    // Nine bytes do not fit into its memory: it is over, with four bytes of input left.
    assert!(matches!(pump.next(&mut first, NOW), Need::Over(Err(Fault::Local(_)))));
    let mut next = Upper::new();
    assert!(matches!(pump.next(&mut next, NOW), Need::Recv { .. }), "a fault takes all");
    pump.reset();
    assert!(matches!(pump.next(&mut next, NOW), Need::Recv { .. }));
}

/// The file of this server arrives late: the header is sent meanwhile, and the memory stays in its
/// place.
#[test]
fn a_part_of_a_file_may_be_read_later() {
    let (mut rx, mut tx) = ([0; 64], [0; 64]);
    let mut pump = Pump::new(&mut rx, &mut tx);
    let mut session = FilesServer::pushing([0; 8], b"name");
    assert!(matches!(pump.next(&mut session, NOW), Need::File { op: Op::Open(b"name"), .. }));
    pump.answer(&mut session, NOW, Answer::Busy(Wake::Never));
    assert_eq!(pump.next(&mut session, NOW), Need::Wait(Wake::Never));
    pump.answer(&mut session, NOW, Answer::Opened(5));
    let mut sent = Vec::new();
    let Need::Send { bytes, .. } = pump.next(&mut session, NOW) else { panic!() };
    sent.extend_from_slice(bytes);
    pump.sent(sent.len());
    let Need::File { op: Op::Read { extent, digest: None }, memory } = pump.next(&mut session, NOW)
    else {
        panic!()
    };
    assert_eq!((extent, memory.len()), (Extent { offset: 0, len: 5 }, 5));
    // DMA fills it while the header leaves.
    memory.copy_from_slice(b"abcde");
    pump.answer(&mut session, NOW, Answer::Busy(Wake::Never));
    for _ in 0..2 {
        let Need::Send { bytes, .. } = pump.next(&mut session, NOW) else { panic!() };
        let n = bytes.len().min(2);
        sent.extend_from_slice(&bytes[..n]);
        pump.sent(n);
    }
    assert_eq!(pump.next(&mut session, NOW), Need::Wait(Wake::Never));
    pump.answer(&mut session, NOW, Answer::Read(5));
    while let Need::Send { bytes, .. } = pump.next(&mut session, NOW) {
        let n = bytes.len();
        sent.extend_from_slice(bytes);
        pump.sent(n);
    }
    assert_eq!(sent, b"\0\0\0\x0cname\0size\x005\0\0\0\0\x05abcde\0\0\0\0");
    assert_eq!(session.want(), Want::done(Ok(())));
}

#[test]
fn a_busy_storage_is_asked_again_at_its_time() {
    let (mut rx, mut tx) = ([0; 16], [0; 16]);
    let mut pump = Pump::new(&mut rx, &mut tx).idle_timeout(1_000);
    let mut session = FilesServer::pushing([0; 8], b"name");
    let at = NOW.after(300);
    assert!(matches!(pump.next(&mut session, NOW), Need::File { .. }));
    pump.answer(&mut session, NOW, Answer::Busy(Wake::At(at)));
    assert_eq!(pump.next(&mut session, NOW), Need::Wait(Wake::At(at)));
    assert_eq!(pump.next(&mut session, NOW.after(299)), Need::Wait(Wake::At(at)));
    assert!(matches!(pump.next(&mut session, at), Need::File { op: Op::Open(_), .. }));
    pump.answer(&mut session, at, Answer::Busy(Wake::At(at.after(5_000))));
    // Nothing moved since the beginning.
    assert_eq!(pump.next(&mut session, at), Need::Wait(Wake::At(NOW.after(1_000))));
    let over = pump.next(&mut session, NOW.after(1_000));
    assert_eq!(over, Need::Over(Err(StorageFault::Stalled.into())));
}

/// A storage that keeps and reads a byte at a time.
struct Disk(Vec<u8>);
impl crate::file::Storage for Disk {
    fn perform(&mut self, _: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer {
        match op {
            Op::Open(_) => Answer::Opened(self.0.len() as u64),
            Op::Read { extent, .. } => {
                memory[0] = self.0[usize::try_from(extent.offset).unwrap()];
                Answer::Read(1)
            }
            Op::Store(_) => {
                self.0.push(memory[0]);
                Answer::Kept(1)
            }
            Op::Digest { extent, .. } => Answer::Digested(extent.len),
            Op::FinishDigest(_) => Answer::Digest(Digest::Crc32(7)),
            Op::Commit(digest) => {
                assert_eq!(digest, Some(Digest::Crc32(7)));
                Answer::Done
            }
            Op::Create(_) | Op::Close => Answer::Done,
            Op::Examine => Answer::Facts(Facts::default()),
        }
    }
}

/// One turn of an end: whether it is over.
fn turn<S: Session>(
    pump: &mut Pump<'_>,
    session: &mut S,
    disk: &mut Disk,
    from: &mut Vec<u8>,
    to: &mut Vec<u8>,
) -> Option<Result<(), Fault>> {
    match pump.next(session, NOW) {
        Need::Send { bytes, .. } => {
            to.push(bytes[0]);
            pump.sent(1);
        }
        Need::Recv { buf, .. } if !from.is_empty() => {
            buf[0] = from.remove(0);
            pump.received(1);
        }
        Need::Recv { .. } | Need::Wait(_) | Need::Shutdown => {}
        Need::File { op, memory } => {
            let answer = crate::file::Storage::perform(disk, NOW, op, memory);
            pump.answer(session, NOW, answer);
        }
        Need::Over(how) => return Some(how),
    }
    None
}

/// Two devices with one byte of memory for each direction, and a storage that keeps one at a time.
#[test]
fn a_file_goes_through_memory_of_one_byte() {
    let options = Options { digest: Some(DigestKind::Crc32), ..Options::NONE };
    let mut request = [0; 64];
    let len = Request { name: b"image", options }.render(&mut request).unwrap();
    let mut client = FilesClient::new(&request[..len], [0; 64]);
    let mut server = FilesServer::new([0; 64]);
    let (mut image, mut kept) = (Disk((0..100).collect()), Disk(Vec::new()));
    let (mut rx, mut tx) = ([[0; 1]; 2], [[0; 1]; 2]);
    let [rx_a, rx_b] = &mut rx;
    let [tx_a, tx_b] = &mut tx;
    let (mut a, mut b) = (Pump::new(rx_a, tx_a), Pump::new(rx_b, tx_b));
    let mut wires = [Vec::new(), Vec::new()];
    let [up, down] = &mut wires;
    let how = loop {
        let _ = turn(&mut b, &mut server, &mut image, up, down);
        if let Some(how) = turn(&mut a, &mut client, &mut kept, down, up) {
            break how;
        }
    };
    assert_eq!((how, kept.0), (Ok(()), image.0));
}
