//! Two ends, each a session over a pump over a link, on a line that lies, in virtual time.

extern crate std;

use std::vec::Vec;

use super::*;
use crate::crc::Crc32;
use crate::fault::{Fault, Peer, StorageFault};
use crate::file::{Digest, DigestKind, Digests, Op, Storage};
use crate::frame::link::sim::{Lie, Wire};
use crate::session::files::{FilesClient, FilesServer, Options, Request};

/// A file: what a server has, or what a client keeps.
#[derive(Default)]
struct Disk {
    bytes: Vec<u8>,
    crc: Crc32,
    /// Every other question is answered so much later.
    busy_us: u64,
    asked: u32,
    is_committed: bool,
}

impl Storage for Disk {
    fn perform(&mut self, now: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer {
        self.asked += 1;
        if self.busy_us > 0 && self.asked % 2 == 1 {
            return Answer::Busy(Wake::At(now.after(self.busy_us)));
        }
        match op {
            Op::Open(_) => Answer::Opened(self.bytes.len() as u64),
            Op::Read { extent, .. } => {
                let from = usize::try_from(extent.offset).unwrap();
                memory.copy_from_slice(&self.bytes[from..from + memory.len()]);
                self.crc.update(memory);
                Answer::Read(memory.len())
            }
            Op::FinishDigest(_) => Answer::Digest(Digest::Crc32(self.crc.finish())),
            Op::Store(extent) => {
                assert_eq!(extent.offset, self.bytes.len() as u64);
                self.bytes.extend_from_slice(memory);
                self.crc.update(memory);
                Answer::Kept(memory.len())
            }
            Op::Commit(Some(Digest::Crc32(crc))) if crc == self.crc.finish() => {
                self.is_committed = true;
                Answer::Done
            }
            Op::Create(_) | Op::Close => Answer::Done,
            Op::Commit(_) => Answer::Failed(Fault::Integrity),
            Op::Examine | Op::Digest { .. } => Answer::Failed(StorageFault::Unsupported.into()),
        }
    }
}

/// Runs one end as far as it comes: how it ended, or when it goes on.
fn turn(
    linked: &mut Linked<'_, '_>,
    session: &mut impl Session,
    disk: &mut Disk,
    [from, to]: [&mut Wire; 2],
    now_us: u64,
) -> Result<Result<(), Fault>, u64> {
    let now = Instant::from_micros(now_us);
    loop {
        match linked.next(session, now) {
            Need::Send { bytes, .. } => {
                if to.free_at() > now_us {
                    return Err(to.free_at());
                }
                let n = bytes.len().min(10);
                to.send(now_us, &bytes[..n]);
                linked.sent(n);
            }
            Need::Recv { buf, until } => {
                let Some(bytes) = from.recv(now_us) else {
                    let wait = until.wait_us(now).map_or(u64::MAX, |us| now_us + us.max(1));
                    return Err(wait);
                };
                buf[..bytes.len()].copy_from_slice(&bytes);
                linked.received(bytes.len());
            }
            Need::File { op, memory } => {
                let answer = disk.perform(now, op, memory);
                linked.answer(session, now, answer);
            }
            Need::Over(how) => return Ok(how),
            Need::Wait(until) => assert_eq!(until, Wake::Now, "it has read nothing meanwhile"),
            Need::Shutdown => panic!("a link has no half of a line"),
        }
    }
}

/// A client fetches a file: how both ends ended, and what the client has.
fn transfer(
    file: &[u8],
    mut wires: [Wire; 2],
    busy_us: u64,
    idle_timeout_us: [u64; 2],
) -> ([Result<(), Fault>; 2], Vec<u8>) {
    const RX: usize = Link::rx_len(64);
    const TX: usize = Link::tx_len(64);
    let (mut rx, mut tx, mut line) = ([[0; RX]; 2], [[0; TX]; 2], [[0; 32]; 2]);
    let (mut pump_rx, mut pump_tx) = ([[0; 40]; 2], [[0; 24]; 2]);
    let ([rx_a, rx_b], [tx_a, tx_b], [line_a, line_b]) = (&mut rx, &mut tx, &mut line);
    let ([a_in, b_in], [a_out, b_out]) = (&mut pump_rx, &mut pump_tx);
    let mut opener = Link::connect(rx_a, tx_a, 3);
    let mut listener = Link::listen(rx_b, tx_b);
    let pump = Pump::new(a_in, a_out).idle_timeout(idle_timeout_us[0]);
    let mut a = Linked::new(pump, &mut opener, line_a);
    let pump = Pump::new(b_in, b_out).idle_timeout(idle_timeout_us[1]);
    let mut b = Linked::new(pump, &mut listener, line_b);
    let mut request = [0; 64];
    let options = Options { digest: Some(DigestKind::Crc32), ..Options::NONE };
    let len = Request { name: b"image", options }.render(&mut request).unwrap();
    let mut client = FilesClient::new(&request[..len], [0; 64]);
    let mut server = FilesServer::new([0; 64]).offering(Digests::CRC32);
    let mut kept = Disk { busy_us, ..Disk::default() };
    let mut image = Disk { bytes: file.to_vec(), ..Disk::default() };
    let (mut now, mut how) = (1, [None; 2]);
    loop {
        let [ab, ba] = &mut wires;
        let mut next = u64::MAX;
        let one = turn(&mut a, &mut client, &mut kept, [ba, ab], now);
        let two = turn(&mut b, &mut server, &mut image, [ab, ba], now);
        for (wire, how) in wires.iter().zip([how[1], how[0]]) {
            // What the second end sent while the first had had its turn.
            if how.is_none() {
                next = next.min(wire.arrives_at().unwrap_or(u64::MAX));
            }
        }
        for (turned, how) in [one, two].into_iter().zip(&mut how) {
            match turned {
                Ok(ended) => *how = Some(ended),
                Err(at) => next = next.min(at),
            }
        }
        if let [Some(a), Some(b)] = how {
            assert_eq!(a.is_ok(), kept.is_committed);
            return ([a, b], kept.bytes);
        }
        assert!(next < 600_000_000, "no end after {now} us: {how:?} {a:?} {b:?}");
        now = next.max(now + 1);
    }
}

fn clean() -> Wire {
    Wire::new(None, 0, 1)
}

fn image() -> Vec<u8> {
    (0..if cfg!(miri) { 100 } else { 700_u32 })
        .map(|at| ((at * at) >> 3).to_le_bytes()[0])
        .collect()
}

#[test]
fn a_file_arrives_and_both_ends_know() {
    let (how, kept) = transfer(&image(), [clean(), clean()], 0, [0; 2]);
    assert_eq!((how, kept), ([Ok(()); 2], image()));
}

#[test]
fn every_byte_may_be_flipped_lost_or_doubled() {
    let step = if cfg!(miri) { 331 } else { 1 };
    for direction in 0..2 {
        for at in (0..1100).step_by(step) {
            for lie in [Lie::Flip(5), Lie::Drop, Lie::Double] {
                let mut wires = [clean(), clean()];
                wires[direction] = Wire::new(Some((at, lie)), 0, 1);
                let (how, kept) = transfer(&image(), wires, 0, [60_000_000; 2]);
                assert_eq!((how, kept == image()), ([Ok(()); 2], true), "{lie:?} at {at}");
            }
        }
    }
}

#[test]
fn a_storage_that_is_busy_holds_the_other_end_up_and_loses_nothing() {
    let (how, kept) = transfer(&image(), [clean(), clean()], 300_000, [60_000_000; 2]);
    assert_eq!((how, kept), ([Ok(()); 2], image()));
}

/// Both streams have ended long before the file is committed.
#[test]
fn a_storage_that_is_busy_for_longer_than_the_link_lives_is_waited_for() {
    let (how, kept) = transfer(&image(), [clean(), clean()], 15_000_000, [0; 2]);
    assert_eq!((how, kept), ([Ok(()); 2], image()));
}

#[test]
fn a_storage_that_is_busy_for_too_long_is_named_and_the_other_end_hears_of_it() {
    let (how, _) = transfer(&image(), [clean(), clean()], 20_000_000, [5_000_000, 0]);
    assert_eq!(how, [Err(Fault::Storage(StorageFault::Stalled)), Err(Fault::Peer(Peer::Reset))]);
}

#[test]
fn a_line_that_is_cut_ends_both_ends_with_a_name() {
    for at in (14..900).step_by(if cfg!(miri) { 300 } else { 31 }) {
        let mut wires = [clean(), clean()];
        for wire in &mut wires {
            wire.cut_at = at;
        }
        let (how, kept) = transfer(&image(), wires, 0, [5_000_000; 2]);
        assert!(how[0].is_err() || kept == image(), "cut at {at}: {how:?}");
        assert!(image().starts_with(&kept));
        for ended in how {
            assert!(
                matches!(ended, Ok(()) | Err(Fault::TimedOut { .. } | Fault::Peer(Peer::Reset))),
                "cut at {at}: {how:?}"
            );
        }
    }
}
