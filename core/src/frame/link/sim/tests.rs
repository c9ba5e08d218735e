//! A file over a line that lies: every fault of one byte at every position, many at random, cut lines.

extern crate std;

use std::vec::Vec;

use super::{Lie, User, Wire, run};
use crate::fault::{Fault, Peer};
use crate::file::{Answer, Extent, Op, Piece, Storage};
use crate::frame::link::{Link, Timing};
use crate::rtt::Bounds;
use crate::session::files::{FilesClient, FilesServer, Options, Request};
use crate::session::{Out, Session};
use crate::time::Instant;
use crate::want::Close;

const RX: usize = Link::rx_len(120);
const TX: usize = Link::tx_len(120);
const MINUTE: u64 = 60_000_000;

/// A session over a link, as a shell runs it.
struct Runs<'s> {
    session: &'s mut dyn Session,
    disk: &'s mut Disk,
    /// Bytes of a piece at most.
    step: usize,
    ended: bool,
}

impl<'s> Runs<'s> {
    fn new(session: &'s mut dyn Session, disk: &'s mut Disk, step: usize) -> Self {
        Self { session, disk, step, ended: false }
    }

    /// Whether something moved.
    fn step(&mut self, now: Instant, link: &mut Link<'_>) -> bool {
        let want = self.session.want();
        if let Some(Err(why)) = link.over() {
            self.session.abort(why);
        }
        match want.close {
            Close::Done(Ok(())) => link.close(),
            Close::Done(Err(_)) => link.reset(),
            Close::Open | Close::WriteHalf => {}
        }
        let mut received = link.received().to_vec();
        received.truncate(self.step);
        let room = link.room();
        let room_len = room.len().min(self.step);
        let room = &mut room[..room_len];
        if want.close.is_done() {
            let n = received.len();
            link.taken(n);
            false
        } else if want.write && !room.is_empty() {
            let n = self.send(now, room);
            link.sent(n);
            true
        } else if want.file {
            let file = self.session.file().unwrap();
            let op = file.op().unwrap();
            let len = if let Op::Store(extent) = op { extent.len } else { 0 };
            let memory = &mut received[..usize::try_from(len).unwrap()];
            let answer = self.disk.perform(now, op, memory);
            file.answer(now, answer);
            if let Answer::Kept(n) = answer {
                link.taken(n);
            }
            true
        } else if want.read && !received.is_empty() {
            let mut out = Out::new(room);
            let consumed = self.session.input(now, &mut received, &mut out);
            let n = out.rendered().len();
            assert_eq!(consumed.reply, 0);
            link.sent(n);
            link.taken(consumed.bytes);
            true
        } else if link.is_ended() && !self.ended {
            self.ended = true;
            self.session.eof(now);
            true
        } else {
            false
        }
    }

    fn send(&mut self, now: Instant, room: &mut [u8]) -> usize {
        if let Some(file) = self.session.file()
            && let Some(piece) = file.piece(0)
        {
            let n = match piece {
                Piece::Head { .. } => file.head(0, room),
                Piece::File(extent) => self.disk.read(extent, room),
            };
            file.sent(now, n as u64);
            return n;
        }
        let mut out = Out::new(room);
        self.session.render(now, &mut out);
        out.rendered().len()
    }
}

impl User for Runs<'_> {
    fn turn(&mut self, now: Instant, link: &mut Link<'_>) {
        while self.step(now, link) {}
    }
}

/// The file of a server, or what a client keeps.
#[derive(Default)]
struct Disk(Vec<u8>);

impl Disk {
    fn read(&self, extent: Extent, to: &mut [u8]) -> usize {
        let from = usize::try_from(extent.offset).unwrap();
        let n = to.len().min(usize::try_from(extent.len).unwrap());
        to[..n].copy_from_slice(&self.0[from..from + n]);
        n
    }
}

impl Storage for Disk {
    fn perform(&mut self, _: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer {
        match op {
            Op::Open(_) => Answer::Opened(self.0.len() as u64),
            Op::Create(head) => {
                assert_eq!(head.name, b"image");
                Answer::Done
            }
            Op::Store(extent) => {
                assert_eq!(extent.offset, self.0.len() as u64);
                self.0.extend_from_slice(memory);
                Answer::Kept(memory.len())
            }
            Op::Commit(_) => Answer::Done,
            Op::Read { .. } | Op::Examine | Op::Digest { .. } | Op::FinishDigest(_) | Op::Close => {
                panic!("{op:?}")
            }
        }
    }
}

struct Outcome {
    client: Result<(), Fault>,
    links: [Result<(), Fault>; 2],
    file: Vec<u8>,
    sent: [usize; 2],
    at: u64,
}

/// A client fetches `file` over the wires.
fn transfer(file: &[u8], mut wires: [Wire; 2], limit_us: u64) -> Outcome {
    let (mut rx, mut tx) = ([[0; RX]; 2], [[0; TX]; 2]);
    let ([rx_a, rx_b], [tx_a, tx_b]) = (&mut rx, &mut tx);
    let mut opener = Link::connect(rx_a, tx_a, 250);
    let mut listener = Link::listen(rx_b, tx_b);
    let mut request = [0; 64];
    let len = Request { name: b"image", options: Options::default() }.render(&mut request).unwrap();
    let mut client = FilesClient::new(&request[..len], [0; 64]);
    let mut server = FilesServer::new([0; 64]);
    let (mut kept, mut image) = (Disk::default(), Disk(file.to_vec()));
    let (links, at) = run(
        [
            (&mut opener, &mut Runs::new(&mut client, &mut kept, 50)),
            (&mut listener, &mut Runs::new(&mut server, &mut image, usize::MAX)),
        ],
        &mut wires,
        limit_us,
    );
    let Close::Done(how) = client.want().close else { panic!("the client waits on") };
    Outcome { client: how, links, file: kept.0, sent: [wires[0].sent, wires[1].sent], at }
}

/// Not compressible, with zeros in it.
fn image(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(((at * at) >> 3) % 251).unwrap()).collect()
}

fn clean() -> Wire {
    Wire::new(None, 0, 1)
}

#[test]
fn a_file_arrives_over_an_honest_line() {
    if cfg!(miri) {
        return;
    }
    let file = image(2600);
    let it = transfer(&file, [clean(), clean()], MINUTE);
    assert_eq!((it.client, it.links, it.file), (Ok(()), [Ok(()); 2], file));
    let on_the_wire: usize = it.sent.iter().sum();
    assert!((2_900..3_300).contains(&on_the_wire), "{on_the_wire}");
    // The lines are busy for 0.3 s, and the end that answered answers for 3 s more.
    assert!(it.at < 3_300_000, "{}", it.at);
}

/// One fault of `lies` at each position of each direction: the right file, at both ends.
fn every_position(lies: &[Lie]) {
    let file = image(if cfg!(miri) { 150 } else { 2600 });
    let sent = transfer(&file, [clean(), clean()], MINUTE).sent;
    for (direction, len) in sent.into_iter().enumerate() {
        for at in (0..len).step_by(if cfg!(miri) { 171 } else { 1 }) {
            for &lie in lies {
                let mut wires = [clean(), clean()];
                wires[direction] = Wire::new(Some((at, lie)), 0, 1);
                let it = transfer(&file, wires, MINUTE);
                let what = std::format!("{lie:?} at {at} of direction {direction}");
                assert_eq!((it.client, it.links), (Ok(()), [Ok(()); 2]), "{what}");
                assert!(it.file == file, "{what}: other bytes");
            }
        }
    }
}

#[test]
fn every_bit_may_flip_low() {
    every_position(&[0, 1, 2, 3].map(Lie::Flip));
}

#[test]
fn every_bit_may_flip_high() {
    every_position(&[4, 5, 6, 7].map(Lie::Flip));
}

#[test]
fn every_byte_may_be_lost_or_come_twice() {
    every_position(&[Lie::Drop, Lie::Double]);
}

#[test]
fn every_byte_may_become_another() {
    every_position(&[Lie::Become(0), Lie::Become(1), Lie::Become(0xff)]);
}

/// Many faults at once: the right file, or a name for what went wrong.
#[test]
fn a_line_that_lies_all_the_time_ends_too() {
    let file = image(if cfg!(miri) { 100 } else { 1500 });
    let mut whole = 0;
    for (rate, runs) in [(2000, 60), (300, 60), (100, 60), (40, 30), (10, 10)] {
        for seed in 1..=if cfg!(miri) { 1 } else { runs } {
            let wires = [seed, seed + 1000].map(|seed| Wire::new(None, rate, seed * 7919));
            let it = transfer(&file, wires, 20 * MINUTE);
            assert!(file.starts_with(&it.file), "rate {rate} seed {seed}: other bytes");
            match it.client {
                Ok(()) => {
                    assert!(it.file == file, "rate {rate} seed {seed}: not whole");
                    whole += 1;
                }
                Err(Fault::TimedOut { .. } | Fault::Peer(Peer::Reset)) => {}
                Err(other) => panic!("rate {rate} seed {seed}: {other}"),
            }
        }
    }
    assert!(cfg!(miri) || whole > 130, "{whole} of 220");
}

#[test]
fn a_line_that_is_cut_ends_both_ends() {
    let file = image(if cfg!(miri) { 100 } else { 1000 });
    let step = if cfg!(miri) { 90 } else { 7 };
    for direction in 0..2 {
        for at in (0..transfer(&file, [clean(), clean()], MINUTE).sent[direction]).step_by(step) {
            let mut wires = [clean(), clean()];
            wires[direction].cut_at = at;
            if at % 2 == 0 {
                wires[1 - direction].cut_at = at;
            }
            // An end that listens and hears nothing waits for ever: that is what it is for.
            if direction == 0 && at < 12 || wires[0].cut_at < 12 {
                continue;
            }
            let it = transfer(&file, wires, 3 * MINUTE);
            match it.client {
                Ok(()) => assert!(it.file == file, "cut at {at} of {direction}"),
                Err(Fault::TimedOut { waited_us }) => {
                    assert!(waited_us < 2 * MINUTE, "cut at {at} of {direction}: {waited_us}");
                }
                Err(other) => panic!("cut at {at} of {direction}: {other}"),
            }
        }
    }
}

/// Sends all it has, and takes what comes.
struct Talks {
    to_send: Vec<u8>,
    got: Vec<u8>,
}

impl User for Talks {
    fn turn(&mut self, _: Instant, link: &mut Link<'_>) {
        self.got.extend_from_slice(link.received());
        let n = link.received().len();
        link.taken(n);
        let n = link.send(&self.to_send);
        self.to_send.drain(..n);
        if self.to_send.is_empty() && n == 0 {
            link.close();
        }
    }
}

/// Both talk at once, on two wires or on one: how both ended, if with all bytes.
fn talk(len: usize, mut wires: [Wire; 2]) -> [Result<(), Fault>; 2] {
    let (mut rx, mut tx) = ([[0; RX]; 2], [[0; TX]; 2]);
    let ([rx_a, rx_b], [tx_a, tx_b]) = (&mut rx, &mut tx);
    // The same timeout at both ends from the beginning: what is worst on a bus.
    let rto = Bounds { initial_us: 200_000, ..Timing::DEFAULT.rto };
    let timing = Timing { rto, ..Timing::DEFAULT };
    let mut a = Link::connect(rx_a, tx_a, 0).with_timing(&timing);
    let mut b = Link::listen(rx_b, tx_b).with_timing(&timing);
    let [mut at_a, mut at_b] =
        [len, len + 77].map(|len| Talks { to_send: image(len), got: Vec::new() });
    let ends: [(_, &mut dyn User); 2] = [(&mut a, &mut at_a), (&mut b, &mut at_b)];
    let how = run(ends, &mut wires, 60 * MINUTE).0;
    for (got, sent, how) in [(&at_a.got, image(len + 77), how[0]), (&at_b.got, image(len), how[1])]
    {
        assert!(sent.starts_with(got), "other bytes");
        assert!(how.is_err() || got.len() == sent.len(), "not all of them");
    }
    how
}

#[test]
fn both_ends_may_talk_at_once() {
    assert_eq!(talk(if cfg!(miri) { 200 } else { 3000 }, [clean(), clean()]), [Ok(()); 2]);
    for seed in 1..if cfg!(miri) { 2 } else { 40 } {
        let wires = [seed, seed + 99].map(|seed| Wire::new(None, 500, seed * 7919));
        assert_eq!(talk(if cfg!(miri) { 100 } else { 1000 }, wires), [Ok(()); 2], "seed {seed}");
    }
}

#[test]
fn two_that_collide_on_a_bus_do_not_collide_for_ever() {
    for len in (0..if cfg!(miri) { 20 } else { 2000 }).step_by(19) {
        let mut wires = [clean(), clean()];
        for wire in &mut wires {
            wire.is_bus = true;
        }
        assert_eq!(talk(len, wires), [Ok(()); 2], "{len} bytes");
    }
}
